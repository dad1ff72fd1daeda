//! Rows of `files` and `tracks` as a scan reads and writes them.
//!
//! Every function takes the connection or transaction it works in; who opens it, for how long, and what
//! happens when the library is busy is not known here. Nothing here ever deletes a row of `files`.

pub mod listing;
pub mod statistics;

use std::collections::HashSet;

use rusqlite::{Connection, OptionalExtension, Row, Rows, Statement, Transaction, params};

use super::lenient::{exact_text, unsigned};
use super::timestamp::Timestamp;

/// What `files.scan_status` says.
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

    fn of(word: &str) -> Self {
        Self::OURS.into_iter().find(|status| status.as_str() == word).unwrap_or(Self::Foreign)
    }
}

/// What `scan_error` of a file begins with that could not be opened or read at all: such a row is tried
/// again by every scan, because permissions and failing disks change neither size nor mtime.
pub const UNREADABLE: &str = "cannot be read: ";

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
        (self.from.as_str()..self.to.as_str()).contains(&path)
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
    /// `None` when the stored text is no time.
    pub modified: Option<Timestamp>,
    /// `files.scan_status`
    pub status: Status,
    /// The row says [`UNREADABLE`].
    pub unreadable: bool,
    /// `files.content_hash`
    pub hash: Option<String>,
}

/// The first `limit` rows of `span`, ordered by path.
///
/// # Errors
/// What SQLite reports.
pub fn known(conn: &Connection, span: &Span, limit: u32) -> rusqlite::Result<Vec<Known>> {
    let mut statement = conn.prepare(KNOWN)?;
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

const KNOWN: &str = "SELECT id, path, size_bytes, modified_at, scan_status, content_hash,
        substr(coalesce(scan_error, ''), 1, length(?3)) = ?3
    FROM files WHERE path >= ?1 AND path < ?2 ORDER BY path";

/// How many rows of `span` are not missing.
///
/// # Errors
/// What SQLite reports.
pub fn count_present(conn: &Connection, span: &Span) -> rusqlite::Result<u64> {
    conn.query_one(
        "SELECT count(*) FROM files WHERE path >= ?1 AND path < ?2 AND scan_status <> 'missing'",
        params![span.from, span.to],
        |row| Ok(unsigned(row, 0)),
    )
}

/// Whether `span` has a row that is not missing.
///
/// # Errors
/// What SQLite reports.
pub fn any_present(conn: &Connection, span: &Span) -> rusqlite::Result<bool> {
    conn.query_one(
        "SELECT EXISTS (SELECT 1 FROM files WHERE path >= ?1 AND path < ?2 AND scan_status <> 'missing')",
        params![span.from, span.to],
        |row| row.get(0),
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
    /// `files.modified_at` as stored: [`Writer::set_hash`] wants it back.
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

/// A row of `tracks` without its ids; `track_index` is the position.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names are the columns")]
pub struct Track<'a> {
    pub track_type: &'a str,
    pub codec: Option<&'a str>,
    pub language: Option<&'a str>,
    pub title: Option<&'a str>,
    pub is_default: bool,
    pub is_forced: bool,
    pub channels: Option<u32>,
    pub channel_layout: Option<&'a str>,
    pub width: Option<u32>,
    pub height: Option<u32>,
    pub frame_rate: Option<&'a str>,
}

/// What a scan found out about one file.
#[derive(Clone, Debug)]
pub struct Record<'a> {
    /// Absolute, in the stored form.
    pub path: &'a str,
    /// Lower case, without the dot.
    pub extension: &'a str,
    /// Bytes.
    pub size: u64,
    /// The file's mtime.
    pub modified: Timestamp,
    /// Its content, or why it could not be read.
    pub content: Result<Content<'a>, &'a str>,
    /// Its hash, where the scan computed it at once.
    pub hash: Option<&'a str>,
}

/// What is in a file that could be read.
#[derive(Clone, Debug)]
pub struct Content<'a> {
    /// `files.container_format`
    pub container_format: &'a str,
    /// Its tracks, in order.
    pub tracks: Vec<Track<'a>>,
}

/// The statements of one batch, prepared once for it.
pub struct Writer<'tx> {
    find: Statement<'tx>,
    insert: Statement<'tx>,
    update: Statement<'tx>,
    rename: Statement<'tx>,
    tracks: Statement<'tx>,
    delete_tracks: Statement<'tx>,
    insert_track: Statement<'tx>,
    missing: Statement<'tx>,
    hash: Statement<'tx>,
    now: Timestamp,
}

impl<'tx> Writer<'tx> {
    /// Prepares the statements.
    ///
    /// # Errors
    /// What SQLite reports.
    pub fn new(tx: &'tx Transaction<'_>) -> rusqlite::Result<Self> {
        Ok(Self {
            find: tx.prepare("SELECT id, size_bytes FROM files WHERE path = ?1")?,
            insert: tx.prepare(
                "INSERT INTO files (path, filename, directory, extension, size_bytes, modified_at,
                    content_hash, container_format, scanned_at, scan_status, scan_error)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)",
            )?,
            update: tx.prepare(
                "UPDATE files SET extension = ?2, size_bytes = ?3, modified_at = ?4, content_hash = ?5,
                    container_format = ?6, scanned_at = ?7, scan_status = ?8, scan_error = ?9
                 WHERE id = ?1",
            )?,
            rename: tx.prepare(
                "UPDATE files SET path = ?2, filename = ?3, directory = ?4 WHERE id = ?1 AND path = ?5",
            )?,
            tracks: tx.prepare(
                "SELECT track_type, codec, language, title, is_default, is_forced, channels,
                    channel_layout, width, height, frame_rate, track_index
                 FROM tracks WHERE file_id = ?1 ORDER BY track_index",
            )?,
            delete_tracks: tx.prepare("DELETE FROM tracks WHERE file_id = ?1")?,
            insert_track: tx.prepare(
                "INSERT INTO tracks (file_id, track_index, track_type, codec, language, title, is_default,
                    is_forced, channels, channel_layout, width, height, frame_rate)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13)",
            )?,
            missing: tx.prepare(
                "UPDATE files SET scan_status = 'missing', scanned_at = ?3
                 WHERE id = ?1 AND path = ?2 AND scan_status <> 'missing'",
            )?,
            hash: tx.prepare(
                "UPDATE files SET content_hash = ?4 WHERE id = ?1 AND size_bytes = ?2 AND modified_at = ?3",
            )?,
            now: Timestamp::now(),
        })
    }

    /// Records a file under its path: a new row, or the one that is there, which keeps its id.
    ///
    /// Its tracks are replaced with it, and with them what hangs on them; they stay as they are where the
    /// size is the same and so is every track (a file that came back, or was only touched).
    ///
    /// # Errors
    /// What SQLite reports.
    pub fn upsert(&mut self, record: &Record<'_>) -> rusqlite::Result<i64> {
        let row = self.find.query_row([record.path], |row| Ok((row.get(0)?, unsigned(row, 1)))).optional()?;
        if let Some((id, size)) = row {
            self.update(id, record)?;
            if size == record.size && self.has_tracks(id, record)? {
                return Ok(id);
            }
            self.delete_tracks.execute([id])?;
            self.insert_tracks(id, record)?;
            return Ok(id);
        }
        let (directory, filename) = split(record.path);
        let (container, status, error) = outcome(record);
        let id = self.insert.insert(params![
            record.path,
            filename,
            directory,
            record.extension,
            record.size.cast_signed(),
            record.modified,
            record.hash,
            container,
            self.now,
            status,
            error
        ])?;
        self.insert_tracks(id, record)?;
        Ok(id)
    }

    /// Records that the file of row `id` is no longer at `from` but at `record.path`; `false`, and nothing done, where
    /// another row is already, or the row has gone on meanwhile.
    ///
    /// # Errors
    /// What SQLite reports.
    pub fn relocate(&mut self, id: i64, from: &str, record: &Record<'_>) -> rusqlite::Result<bool> {
        if self.find.exists([record.path])? {
            return Ok(false);
        }
        let (directory, filename) = split(record.path);
        if self.rename.execute(params![id, record.path, filename, directory, from])? == 0 {
            return Ok(false);
        }
        self.update(id, record)?;
        if !self.has_tracks(id, record)? {
            self.delete_tracks.execute([id])?;
            self.insert_tracks(id, record)?;
        }
        Ok(true)
    }

    /// The file of row `id` at `path` is gone. Says whether that was news.
    ///
    /// # Errors
    /// What SQLite reports.
    pub fn mark_missing(&mut self, id: i64, path: &str) -> rusqlite::Result<bool> {
        Ok(self.missing.execute(params![id, path, self.now])? > 0)
    }

    /// Records a hash, unless the row has changed since [`unhashed`] gave it out.
    ///
    /// # Errors
    /// What SQLite reports.
    pub fn set_hash(&mut self, row: &Unhashed, hash: &str) -> rusqlite::Result<()> {
        self.hash.execute(params![row.id, row.size.cast_signed(), row.modified, hash]).map(|_| ())
    }

    fn update(&mut self, id: i64, record: &Record<'_>) -> rusqlite::Result<()> {
        let (container, status, error) = outcome(record);
        self.update.execute(params![
            id,
            record.extension,
            record.size.cast_signed(),
            record.modified,
            record.hash,
            container,
            self.now,
            status,
            error
        ])?;
        Ok(())
    }

    fn has_tracks(&mut self, id: i64, record: &Record<'_>) -> rusqlite::Result<bool> {
        let wanted = record.content.as_ref().map_or(&[][..], |content| &content.tracks);
        let mut rows = self.tracks.query([id])?;
        for (index, track) in (0_i64..).zip(wanted) {
            let Some(row) = rows.next()? else { return Ok(false) };
            // What cannot be read as a track is none that we have written.
            if !stored(row).is_ok_and(|stored| stored == (*track, index)) {
                return Ok(false);
            }
        }
        Ok(rows.next()?.is_none())
    }

    fn insert_tracks(&mut self, id: i64, record: &Record<'_>) -> rusqlite::Result<()> {
        let Ok(content) = &record.content else { return Ok(()) };
        for (index, track) in (0_i64..).zip(&content.tracks) {
            self.insert_track.execute(params![
                id,
                index,
                track.track_type,
                track.codec,
                track.language,
                track.title,
                track.is_default,
                track.is_forced,
                track.channels,
                track.channel_layout,
                track.width,
                track.height,
                track.frame_rate
            ])?;
        }
        Ok(())
    }
}

/// A track as it is stored, and its index.
fn stored<'a>(row: &'a Row<'_>) -> rusqlite::Result<(Track<'a>, i64)> {
    let track = Track {
        track_type: row.get_ref(0)?.as_str()?,
        codec: row.get_ref(1)?.as_str_or_null()?,
        language: row.get_ref(2)?.as_str_or_null()?,
        title: row.get_ref(3)?.as_str_or_null()?,
        is_default: row.get(4)?,
        is_forced: row.get(5)?,
        channels: row.get(6)?,
        channel_layout: row.get_ref(7)?.as_str_or_null()?,
        width: row.get(8)?,
        height: row.get(9)?,
        frame_rate: row.get_ref(10)?.as_str_or_null()?,
    };
    Ok((track, row.get(11)?))
}

fn outcome<'a>(record: &Record<'a>) -> (Option<&'a str>, &'static str, Option<&'a str>) {
    match &record.content {
        Ok(content) => (Some(content.container_format), Status::Ok.as_str(), None),
        Err(reason) => (None, Status::Error.as_str(), Some(reason)),
    }
}

fn split(path: &str) -> (&str, &str) {
    match path.rsplit_once('/') {
        Some(("", filename)) => ("/", filename),
        Some(parts) => parts,
        None => (".", path),
    }
}
