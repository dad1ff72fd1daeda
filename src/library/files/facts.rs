//! The daemon's own tables of facts: `daemon_files`, a row for each file that was read, and `daemon_tracks`, a row for each of
//! its tracks of which a fact is known. Schema 7 stays as it is, and other programs do not have to know them.
//!
//! A row holds for the size and the time of change that it states, so what another program updates, deletes or inserts in
//! `files` makes facts stale and never wrong. No foreign key, trigger or view ties the tables to those of schema 7.
//!
//! The columns follow from [`Facts`] and [`TrackFacts`]. The names are the daemon's: a table of any other shape is not read,
//! and the next write replaces it.

pub(super) mod store;

use rusqlite::types::ValueRef;
use rusqlite::{Connection, Row, ToSql, params};

use super::SAME_TIME;
use crate::base::facts::{Facts, Stored as _, TrackFacts, Value};
use crate::base::timestamp::Timestamp;
use crate::library::lenient;

/// The facts of a track as they are stored.
pub type StoredTrackFacts = TrackFacts<String>;

/// Columns of `daemon_files` before those of [`Facts`]. The first four are compared with the row of `files`, so they come first.
const OF_A_FILE: &str = "file_id INTEGER PRIMARY KEY,
    prober INTEGER NOT NULL,
    size_bytes INTEGER NOT NULL,
    modified_at TEXT NOT NULL,
    first_seen TEXT,
    duration_seconds REAL";

/// Columns of `daemon_tracks` before those of [`TrackFacts`].
const OF_A_TRACK: &str = "file_id INTEGER NOT NULL,
    track_index INTEGER NOT NULL";

/// The statements that create the tables, as SQLite stores them.
fn statements() -> [String; 2] {
    let columns = |columns: &[(&str, &str)]| {
        columns.iter().flat_map(|(name, sql)| [",\n    ", name, " ", sql]).collect::<String>()
    };
    [
        format!("CREATE TABLE daemon_files (\n    {OF_A_FILE}{}\n)", columns(Facts::COLUMNS)),
        format!(
            "CREATE TABLE daemon_tracks (\n    {OF_A_TRACK}{},\n    PRIMARY KEY (file_id, track_index)\n) WITHOUT ROWID",
            columns(StoredTrackFacts::COLUMNS)
        ),
    ]
}

/// Kind, name and statement of what has the names of the tables, or belongs to what has: an index, a trigger.
const FOUND: &str = "SELECT type, name, sql FROM sqlite_master
    WHERE tbl_name COLLATE NOCASE IN ('daemon_files', 'daemon_tracks') AND sql IS NOT NULL";

/// Whether the tables are there and of our shape, without an index that would be computed at a write.
///
/// # Errors
/// Of SQLite.
pub(in crate::library) fn are_stored(conn: &Connection) -> rusqlite::Result<bool> {
    let ours = statements();
    let mut statement = conn.prepare(FOUND)?;
    let mut rows = statement.query([])?;
    let mut found = 0;
    while let Some(row) = rows.next()? {
        if !lenient::word(row, 2).is_some_and(|sql| ours.iter().any(|ours| ours == sql)) {
            return Ok(false);
        }
        found += 1;
    }
    Ok(found == ours.len())
}

/// For tests: creates the tables.
#[cfg(test)]
pub(in crate::library) fn create(conn: &Connection) {
    conn.execute_batch(&statements().join(";")).expect("valid");
}

/// Who has read the facts of a row of `files`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Probed {
    /// No prober whose facts are stored.
    Never,
    /// They are not those of the file as its row describes it: another program has updated the row.
    Stale,
    /// The prober of this version.
    By(u32),
}

impl Probed {
    /// Whether a prober of version `prober` may state more.
    #[must_use]
    pub fn is_before(self, prober: u32) -> bool {
        match self {
            Self::Never => true,
            Self::Stale => false,
            Self::By(version) => version < prober,
        }
    }

    /// Reads [`Source::probed`], which begins at `column`, in a row that has `files.modified_at` as the column `modified`.
    pub(super) fn of(row: &Row<'_>, column: usize, modified: usize) -> Self {
        let Some(version) = lenient::integer(row, column) else { return Self::Never };
        let time = |column| lenient::word(row, column).and_then(Timestamp::parse);
        let is_same_time = row.get_ref(column + 1) == Ok(ValueRef::Null)
            || time(column + 1)
                .zip(time(modified))
                .is_some_and(|(one, other)| one.distance(other) <= SAME_TIME);
        u32::try_from(version).ok().filter(|_| is_same_time).map_or(Self::Stale, Self::By)
    }
}

/// How a query names facts: by columns and a join, or by NULL in their place if they are not stored.
pub(in crate::library) struct Source {
    are_stored: bool,
}

impl Source {
    pub(in crate::library) fn new(conn: &Connection) -> rusqlite::Result<Self> {
        Ok(Self { are_stored: are_stored(conn)? })
    }

    /// The two columns that [`Probed::of`] reads: the version, -1 for another size; and the time, if it is written in another way.
    pub(super) fn probed(&self) -> &'static str {
        if self.are_stored {
            "CASE WHEN d.size_bytes = files.size_bytes THEN d.prober WHEN d.file_id IS NOT NULL THEN -1 END,
                CASE WHEN d.modified_at <> files.modified_at THEN d.modified_at END"
        } else {
            "NULL, NULL"
        }
    }

    /// Joins the facts of each row of `files`.
    pub(in crate::library) fn join(&self) -> &'static str {
        if self.are_stored { " LEFT JOIN daemon_files AS d ON d.file_id = files.id" } else { "" }
    }

    /// Joins the facts of each row of `tracks`.
    pub(super) fn join_tracks(&self) -> &'static str {
        if self.are_stored {
            " LEFT JOIN daemon_tracks AS d ON d.file_id = tracks.file_id AND d.track_index = tracks.track_index"
        } else {
            ""
        }
    }

    /// The columns that [`of_file`] reads.
    pub(super) fn file_columns(&self) -> String {
        let first = ["first_seen", "duration_seconds"].into_iter();
        let facts = self.columns(first.chain(Facts::COLUMNS.iter().map(|(name, _)| *name)));
        format!("{}, {}, {facts}", self.probed(), has_zero_tail())
    }

    /// The columns that [`Cut::read`] reads.
    pub(in crate::library) fn cut(&self) -> String {
        format!("{}, {}", has_zero_tail(), self.columns(["media_end", "missing_bytes"].into_iter()))
    }

    /// The columns that [`of_track`] reads.
    pub(super) fn track_columns(&self) -> String {
        self.columns(StoredTrackFacts::COLUMNS.iter().map(|(name, _)| *name))
    }

    /// The dynamic range of a track.
    pub(super) fn hdr_format(&self) -> &'static str {
        if self.are_stored { "d.hdr_format" } else { "NULL" }
    }

    fn columns<'a>(&self, names: impl Iterator<Item = &'a str>) -> String {
        let column = |name| if self.are_stored { format!("d.{name}") } else { "NULL".to_owned() };
        names.map(column).collect::<Vec<_>>().join(", ")
    }
}

/// Zero bytes at the end of a file that its hash shows, if they fill the last block that is hashed.
pub const ZERO_TAIL: u64 = 64 * 1024;

/// The hash (XXH64) of so many zeros.
pub(crate) const ZEROS_HASH: u64 = 0x5983_DDA9_F157_15A4;

/// Whether a file ends with [`ZERO_TAIL`] zeros, by the hash of its last block and the size that it was computed for.
fn has_zero_tail() -> String {
    format!(
        "files.size_bytes >= {} AND substr(files.content_hash, 23) = ':{ZEROS_HASH:016x}:' || files.size_bytes",
        2 * ZERO_TAIL
    )
}

/// How a file ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cut {
    /// So many bytes before the end that its container states; 0: it is whole.
    Missing(u64),
    /// With zeros in place of the last data.
    Zeros,
}

impl Cut {
    /// How a file of `size` bytes ends; `None` if it is not known. Zeros behind `media_end` are not in place of data; if it is
    /// `None`, the end of the file counts.
    #[must_use]
    pub fn find(
        size: u64,
        has_zero_tail: bool,
        media_end: Option<u64>,
        missing_bytes: Option<u64>,
    ) -> Option<Self> {
        match missing_bytes {
            Some(bytes @ 1..) => Some(Self::Missing(bytes)),
            _ if has_zero_tail && media_end.is_none_or(|end| end > size - ZERO_TAIL) => Some(Self::Zeros),
            bytes => bytes.map(Self::Missing),
        }
    }

    /// As [`Self::find`], by the facts of the file.
    #[must_use]
    pub fn of(size: u64, has_zero_tail: bool, facts: &Facts) -> Option<Self> {
        Self::find(size, has_zero_tail, facts.media_end, facts.missing_bytes)
    }

    /// Reads a `daemon_changes.detail`; `None` for any other text.
    #[must_use]
    pub fn parse(detail: &str) -> Option<Self> {
        let missing = || detail.parse().ok().map(Self::Missing);
        if detail == Self::Zeros.to_string() { Some(Self::Zeros) } else { missing() }
    }

    /// Reads [`Source::cut`], which begins at `column`, of a file of `size` bytes.
    pub(in crate::library) fn read(row: &Row<'_>, size: u64, column: usize) -> Option<Self> {
        let number = |column| u64::from_stored(lenient::value(row, column));
        let has_zero_tail = lenient::integer(row, column) == Some(1);
        Self::find(size, has_zero_tail, number(column + 1), number(column + 2))
    }

    /// Whether it is cut short.
    #[must_use]
    pub fn is_truncated(self) -> bool {
        self != Self::Missing(0)
    }
}

/// As `daemon_changes.detail` has it.
impl std::fmt::Display for Cut {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Missing(bytes) => write!(f, "{bytes}"),
            Self::Zeros => write!(f, "zeros {ZERO_TAIL}"),
        }
    }
}

/// What is known of a file.
pub(super) struct OfFile {
    pub(super) is_current: bool,
    pub(super) first_seen: Option<String>,
    pub(super) duration_seconds: Option<f64>,
    pub(super) has_zero_tail: bool,
    pub(super) facts: Facts,
}

/// Reads [`Source::file_columns`], which begin at `column`, in a row that has `files.modified_at` as the column `modified`.
pub(super) fn of_file(row: &Row<'_>, column: usize, modified: usize) -> OfFile {
    let is_current = matches!(Probed::of(row, column, modified), Probed::By(_));
    let first_seen = lenient::text(row, column + 3);
    if !is_current {
        return OfFile {
            is_current,
            first_seen,
            duration_seconds: None,
            has_zero_tail: false,
            facts: Facts::default(),
        };
    }
    OfFile {
        is_current,
        first_seen,
        duration_seconds: f64::from_stored(lenient::value(row, column + 4)),
        has_zero_tail: lenient::integer(row, column + 2) == Some(1),
        facts: Facts::from_stored(&mut values(row, column + 5)),
    }
}

/// Reads [`Source::track_columns`], which begin at `column`.
pub(super) fn of_track(row: &Row<'_>, column: usize) -> StoredTrackFacts {
    StoredTrackFacts::from_stored(&mut values(row, column))
}

fn values<'a>(row: &'a Row<'_>, first: usize) -> impl FnMut() -> Value<'a> {
    let mut columns = first..;
    move || columns.next().map_or(Value::Null, |column| lenient::value(row, column))
}

/// Some rows, and where the next ones begin; `None` after the last one.
pub type Slice<T> = (Vec<T>, Option<i64>);

/// A row of `files` that no prober of the current version has read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outdated {
    /// `files.id`
    pub id: i64,
    /// `files.path`
    pub path: String,
    /// Bytes.
    pub size: u64,
    /// `files.modified_at`
    pub modified: Timestamp,
}

/// Those of the `limit` rows of `files` after `after` that were read, but not by a prober of version `prober` or later. Rows
/// that every scan reads again are not among them.
///
/// # Errors
/// Of SQLite.
pub fn outdated(conn: &Connection, prober: u32, after: i64, limit: u32) -> rusqlite::Result<Slice<Outdated>> {
    let source = Source::new(conn)?;
    let sql = format!(
        "SELECT files.id, path, files.size_bytes, files.modified_at, {},
            scan_status = 'ok' OR scan_status = 'error' AND substr(coalesce(scan_error, ''), 1, length(?3)) <> ?3
         FROM files{} WHERE files.id > ?1 ORDER BY files.id LIMIT ?2",
        source.probed(),
        source.join()
    );
    slice(conn, &sql, params![after, limit, super::UNREADABLE], limit, |row| {
        let is_outdated = Probed::of(row, 4, 3).is_before(prober) && lenient::integer(row, 6) == Some(1);
        let path = lenient::word(row, 1).filter(|_| is_outdated)?.to_owned();
        let modified = Timestamp::parse(lenient::word(row, 3)?)?;
        Some(Outdated { id: row.get(0).ok()?, path, size: lenient::unsigned(row, 2), modified })
    })
}

/// Those of the `limit` rows of `daemon_files` after `after` whose files have no row: another program has deleted it.
///
/// # Errors
/// Of SQLite.
pub fn orphans(conn: &Connection, after: i64, limit: u32) -> rusqlite::Result<Slice<i64>> {
    if !are_stored(conn)? {
        return Ok((Vec::new(), None));
    }
    slice(conn, ORPHANS, params![after, limit], limit, |row| {
        row.get(0).ok().filter(|_| lenient::integer(row, 1) == Some(0))
    })
}

const ORPHANS: &str =
    "SELECT file_id, EXISTS (SELECT 1 FROM files WHERE files.id = d.file_id) FROM daemon_files AS d
    WHERE file_id > ?1 ORDER BY file_id LIMIT ?2";

fn slice<T>(
    conn: &Connection,
    sql: &str,
    params: &[&dyn ToSql],
    limit: u32,
    read: impl Fn(&Row<'_>) -> Option<T>,
) -> rusqlite::Result<Slice<T>> {
    let mut statement = conn.prepare(sql)?;
    let mut rows = statement.query(params)?;
    let (mut found, mut last, mut count) = (Vec::new(), None, 0);
    while let Some(row) = rows.next()? {
        (last, count) = (row.get(0).ok(), count + 1);
        found.extend(read(row));
    }
    Ok((found, last.filter(|_| count == limit)))
}
