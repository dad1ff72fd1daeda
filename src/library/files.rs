//! Rows of `files` and `tracks`, and the [`facts`] beside them: what a scan looks up is here, what it records in [`writer`];
//! [`listing`], [`order`] and [`statistics`] are for people.
//!
//! Every function takes the connection or transaction that it uses; opening it and retries are not done here. Nothing here
//! deletes a row of `files`.

pub mod facts;
pub mod listing;
pub mod order;
pub mod statistics;
pub mod writer;

use std::collections::HashSet;
use std::time::Duration;

use rusqlite::{Connection, OptionalExtension, Row, Rows, params};

use super::lenient::{exact_text, unsigned};
use crate::base::timestamp::Timestamp;
use facts::Probed;

/// The values of `files.scan_status`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Status {
    /// Known, not read yet.
    Pending,
    /// Read; its tracks are recorded.
    Ok,
    /// Could not be read or parsed; `scan_error` says why.
    Error,
    /// Was here, is not any more.
    Missing,
    /// A word of another program; left alone.
    Foreign,
}

impl Status {
    /// Every status.
    pub const ALL: [Self; 5] = [Self::Pending, Self::Ok, Self::Error, Self::Missing, Self::Foreign];

    /// The four that this program writes.
    pub const OURS: [Self; 4] = [Self::Pending, Self::Ok, Self::Error, Self::Missing];

    /// The stored word.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Ok => "ok",
            Self::Error => "error",
            Self::Missing => "missing",
            Self::Foreign => "foreign",
        }
    }

    pub(super) fn of(word: &str) -> Self {
        Self::OURS.into_iter().find(|status| status.as_str() == word).unwrap_or(Self::Foreign)
    }
}

/// What `scan_error` of a file begins with that could not be opened or read at all: such a row is tried
/// again by every scan, because permissions and failing disks change neither size nor mtime.
pub const UNREADABLE: &str = "cannot be read: ";

/// Times that lie no further apart are the same: other programs round them to milliseconds.
pub const SAME_TIME: Duration = Duration::from_millis(1);

/// A half-open span of `files.path` in the order of its bytes, which is the order of the index.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Span {
    from: String,
    to: String,
}

impl Span {
    /// Exactly `path`.
    #[must_use]
    pub fn exactly(path: &str) -> Self {
        Self { from: path.to_owned(), to: format!("{path}\0") }
    }

    /// Everything below the directory `path`.
    #[must_use]
    pub fn below(path: &str) -> Self {
        let bare = path.trim_end_matches('/');
        // '0' is the byte after '/'.
        Self { from: format!("{bare}/"), to: format!("{bare}0") }
    }

    /// Whether `path` lies in it.
    #[must_use]
    pub fn contains(&self, path: &str) -> bool {
        self.contains_bytes(path.as_bytes())
    }

    /// As [`Self::contains`], for text of another program, which may be of any bytes.
    #[must_use]
    pub(crate) fn contains_bytes(&self, path: &[u8]) -> bool {
        (self.from.as_bytes()..self.to.as_bytes()).contains(&path)
    }

    /// The rest of it after `path`.
    #[must_use]
    pub fn after(&self, path: &str) -> Self {
        Self { from: format!("{path}\0"), to: self.to.clone() }
    }
}

/// What a scan needs to know of a row to tell whether its file has changed.
#[derive(Clone, Debug)]
pub struct Known {
    /// `files.id`
    pub id: i64,
    /// `files.path`
    pub path: String,
    /// Bytes.
    pub size: u64,
    /// `None` if the stored text is not a time.
    pub modified: Option<Timestamp>,
    /// `files.scan_status`
    pub status: Status,
    /// The row says [`UNREADABLE`].
    pub unreadable: bool,
    /// `files.content_hash`
    pub hash: Option<String>,
    /// Who has read its facts.
    pub probed: Probed,
    /// The names of its subtitle files, once [`subtitles::attach`](super::subtitles::attach) has added them.
    pub subtitles: String,
}

/// The first `limit` rows of `span`, ordered by path.
///
/// # Errors
/// What SQLite reports.
pub fn known(conn: &Connection, span: &Span, limit: u32) -> rusqlite::Result<Vec<Known>> {
    let mut statement = conn.prepare(&known_sql(&facts::Source::new(conn)?))?;
    let rows = statement.query(params![span.from, span.to, UNREADABLE])?;
    first(rows, limit, |row| {
        Some(Known {
            id: row.get(0).ok()?,
            path: exact_text(row, 1)?,
            size: unsigned(row, 2),
            modified: exact_text(row, 3).as_deref().and_then(Timestamp::parse),
            status: Status::of(&exact_text(row, 4).unwrap_or_default()),
            hash: exact_text(row, 5),
            unreadable: row.get(6).ok()?,
            probed: Probed::of(row, 7, 3),
            subtitles: String::new(),
        })
    })
}

/// The first `limit` of those rows that `read` can make something of; the others are another program's affair.
fn first<T>(
    mut rows: Rows<'_>,
    limit: u32,
    read: impl Fn(&Row<'_>) -> Option<T>,
) -> rusqlite::Result<Vec<T>> {
    let mut found = Vec::new();
    while found.len() < limit as usize
        && let Some(row) = rows.next()?
    {
        found.extend(read(row));
    }
    Ok(found)
}

fn known_sql(source: &facts::Source) -> String {
    format!(
        "SELECT files.id, path, files.size_bytes, files.modified_at, scan_status, content_hash,
            substr(coalesce(scan_error, ''), 1, length(?3)) = ?3, {}
         FROM files{} WHERE path >= ?1 AND path < ?2 ORDER BY path",
        source.probed(),
        source.join()
    )
}

/// Sizes of hashed files that are missing or lie outside `span`: only a new file of such a size can have moved here.
/// Reads the table once.
///
/// # Errors
/// What SQLite reports.
pub fn sizes_elsewhere(conn: &Connection, span: &Span) -> rusqlite::Result<HashSet<u64>> {
    let mut statement = conn.prepare(
        "SELECT size_bytes FROM files WHERE content_hash IS NOT NULL
            AND (scan_status = 'missing' OR NOT (path >= ?1 AND path < ?2))",
    )?;
    statement.query_map([&span.from, &span.to], |row| Ok(unsigned(row, 0)))?.collect()
}

/// The paths of those rows of `span` that have a hash, are not missing, and are of a size that is wanted. Reads all of
/// the span.
///
/// # Errors
/// What SQLite reports.
pub fn paths_by_size(
    conn: &Connection,
    span: &Span,
    is_wanted: impl Fn(u64) -> bool,
) -> rusqlite::Result<Vec<String>> {
    let mut statement = conn.prepare(
        "SELECT path, size_bytes FROM files
         WHERE path >= ?1 AND path < ?2 AND content_hash IS NOT NULL AND scan_status <> 'missing'",
    )?;
    let rows = statement.query([&span.from, &span.to])?;
    first(rows, u32::MAX, |row| exact_text(row, 0).filter(|_| is_wanted(unsigned(row, 1))))
}

/// A row of a content that is looked for.
#[derive(Clone, Debug)]
pub struct Twin {
    /// `files.id`
    pub id: i64,
    /// `files.path`
    pub path: String,
    /// `files.scan_status`
    pub status: Status,
}

/// For each (hash, size), up to `limit` rows of that content.
///
/// # Errors
/// What SQLite reports.
pub fn twins(conn: &Connection, contents: &[(String, u64)], limit: u32) -> rusqlite::Result<Vec<Vec<Twin>>> {
    let mut statement = conn.prepare(TWINS)?;
    let mut of = |(hash, size): &(String, u64)| {
        let rows = statement.query(params![hash, size.cast_signed()])?;
        first(rows, limit, |row| {
            let status = Status::of(&exact_text(row, 2).unwrap_or_default());
            Some(Twin { id: row.get(0).ok()?, path: exact_text(row, 1)?, status })
        })
    };
    contents.iter().map(&mut of).collect()
}

const TWINS: &str = "SELECT id, path, scan_status FROM files WHERE content_hash = ?1 AND size_bytes = ?2";

/// The paths of rows; `None` for those that there are not.
///
/// # Errors
/// What SQLite reports.
pub fn paths(conn: &Connection, ids: &[i64]) -> rusqlite::Result<Vec<Option<String>>> {
    let mut statement = conn.prepare("SELECT path FROM files WHERE id = ?1")?;
    let mut path = |id| Ok(statement.query_row([id], |row| Ok(exact_text(row, 0))).optional()?.flatten());
    ids.iter().map(&mut path).collect()
}

/// A row without a hash.
#[derive(Clone, Debug)]
pub struct Unhashed {
    /// `files.id`
    pub id: i64,
    /// `files.path`
    pub path: String,
    /// Bytes.
    pub size: u64,
    /// `files.modified_at` as stored: [`writer::Writer::set_hash`] wants it back.
    pub modified: String,
}

/// The next `limit` rows after `after` that are there but have no hash, ordered by id.
///
/// # Errors
/// What SQLite reports.
pub fn unhashed(conn: &Connection, after: i64, limit: u32) -> rusqlite::Result<Vec<Unhashed>> {
    let mut statement = conn.prepare(UNHASHED)?;
    first(statement.query([after])?, limit, |row| {
        let (path, modified) = (exact_text(row, 1)?, exact_text(row, 3)?);
        Some(Unhashed { id: row.get(0).ok()?, path, size: unsigned(row, 2), modified })
    })
}

const UNHASHED: &str = "SELECT id, path, size_bytes, modified_at FROM files
    WHERE content_hash IS NULL AND id > ?1 AND scan_status <> 'missing' ORDER BY id";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::library::schema::plan;

    #[test]
    fn a_scan_reads_rows_with_their_facts_in_the_order_of_an_index() {
        let connection = Connection::open_in_memory().expect("a database");
        facts::create(&connection);
        let source = facts::Source::new(&connection).expect("read");
        let sql = known_sql(&source).replace("?1", "'/a'").replace("?2", "'/b'").replace("?3", "'x'");
        assert_eq!(
            plan(&sql, &[]),
            "SEARCH files USING INDEX sqlite_autoindex_files_1 (path>? AND path<?); \
             SEARCH d USING INTEGER PRIMARY KEY (rowid=?) LEFT-JOIN"
        );
    }
}
