//! Rows of `daemon_changes`: what happened to the files of the library, and when.
//!
//! The table is the daemon's own and has no foreign keys. The first write creates it.

use std::time::Duration;

use rusqlite::{Connection, OptionalExtension, Statement, Transaction, params};
use serde::Serialize;

use super::files::facts::{Cut, Source};
use super::files::{Status, UNREADABLE};
use super::lenient::{exact_text, integer, text, unsigned};
use super::own::OwnTable;
use super::room::Room;
use super::sqlite::prepare_if_there;
use crate::base::timestamp::Timestamp;

/// The table, and its index for the changes of one file.
const TABLE: OwnTable = OwnTable { name: "daemon_changes", statements: &[SQL, INDEX] };

const INDEX: &str = "CREATE INDEX daemon_changes_file ON daemon_changes (file_id)";

/// As it is stored, byte for byte: with another text, comments included, the table of a library is replaced and its history lost.
/// What a detail of `truncated` is: [`Cut`].
const SQL: &str = "\
CREATE TABLE daemon_changes (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    at TEXT NOT NULL,       -- UTC
    kind TEXT NOT NULL,
    file_id INTEGER,        -- files.id; NULL for an entry of many files
    path TEXT NOT NULL,     -- of the file then; of the root for an entry of many files
    detail TEXT             -- moved: the path before; truncated: bytes missing; subtitle_…: name; of many files: their number
)";

/// Most rows of the table.
const MOST: i64 = 1_000_000;

/// Older rows in a row after which none is taken to be newer: some may have been written while the clock was behind.
const MOST_OLDER: u32 = 1_000;

/// Rows that one step of [`expire`] examines, and so deletes at most.
const STEP: u32 = 500;

/// What happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "docs/library.md describes the words")]
pub enum Kind {
    Added,
    Changed,
    Moved,
    Missing,
    Returned,
    Unreadable,
    Readable,
    Truncated,
    Complete,
    SubtitleAdded,
    SubtitleGone,
    FirstScan,
    Adopted,
    Reread,
}

impl Kind {
    /// The kinds of changes of one file.
    pub const OF_FILES: [Self; 11] = [
        Self::Added,
        Self::Changed,
        Self::Moved,
        Self::Missing,
        Self::Returned,
        Self::Unreadable,
        Self::Readable,
        Self::Truncated,
        Self::Complete,
        Self::SubtitleAdded,
        Self::SubtitleGone,
    ];

    /// The stored word.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Added => "added",
            Self::Changed => "changed",
            Self::Moved => "moved",
            Self::Missing => "missing",
            Self::Returned => "returned",
            Self::Unreadable => "unreadable",
            Self::Readable => "readable",
            Self::Truncated => "truncated",
            Self::Complete => "complete",
            Self::SubtitleAdded => "subtitle_added",
            Self::SubtitleGone => "subtitle_gone",
            Self::FirstScan => "first_scan",
            Self::Adopted => "adopted",
            Self::Reread => "reread",
        }
    }
}

/// What is recorded of a file before it is stored again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Before {
    /// `files.id`
    pub id: i64,
    /// `files.scan_status`
    pub status: Status,
    /// The file could not be read: the row or its last change says so.
    pub is_unreadable: bool,
    /// Bytes.
    pub size: u64,
    /// `None` if the stored text is not a time.
    pub modified: Option<Timestamp>,
    /// Whether the file is cut short, if that is recorded.
    pub cut: Option<Cut>,
}

/// The statements of one batch.
pub struct Journal<'tx> {
    tx: &'tx Transaction<'tx>,
    /// `None` if no changes can be recorded.
    insert: Option<Statement<'tx>>,
    before: Statement<'tx>,
    now: Timestamp,
}

impl<'tx> Journal<'tx> {
    /// Creates the table if it does not exist, and prepares the statements. If it cannot be created, nothing is recorded.
    ///
    /// # Errors
    /// What SQLite reports.
    pub fn new(tx: &'tx Transaction<'_>) -> rusqlite::Result<Self> {
        let insert =
            "INSERT INTO daemon_changes (at, kind, file_id, path, detail) VALUES (?1, ?2, ?3, ?4, ?5)";
        let insert = if TABLE.create(tx)? { Some(tx.prepare(insert)?) } else { None };
        let noted = if insert.is_some() {
            "'unreadable' = (SELECT kind FROM daemon_changes WHERE file_id = files.id
                AND kind IN ('unreadable', 'readable') ORDER BY id DESC LIMIT 1)"
        } else {
            "0"
        };
        let source = Source::new(tx)?;
        let before = format!(
            "SELECT files.id, files.size_bytes, files.modified_at, scan_status,
                substr(coalesce(scan_error, ''), 1, length(?2)) = ?2 OR {noted}, {}
             FROM files{} WHERE path = ?1",
            source.cut(),
            source.join()
        );
        Ok(Self { tx, insert, before: tx.prepare(&before)?, now: Timestamp::now() })
    }

    /// What is recorded of the file at `path`.
    ///
    /// # Errors
    /// What SQLite reports.
    pub fn before(&mut self, path: &str) -> rusqlite::Result<Option<Before>> {
        let row = self.before.query_row([path, UNREADABLE], |row| {
            Ok(Before {
                id: row.get(0)?,
                size: unsigned(row, 1),
                modified: exact_text(row, 2).as_deref().and_then(Timestamp::parse),
                status: Status::of(&exact_text(row, 3).unwrap_or_default()),
                is_unreadable: row.get::<_, Option<bool>>(4)?.unwrap_or(false),
                cut: Cut::read(row, unsigned(row, 1), 5),
            })
        });
        row.optional()
    }

    /// Whether a change of that file was recorded one by one, not only in an entry of many files.
    ///
    /// # Errors
    /// What SQLite reports.
    pub fn is_recorded(&self, id: i64) -> rusqlite::Result<bool> {
        let sql = "SELECT 1 FROM daemon_changes WHERE file_id = ?1";
        let statement = prepare_if_there(self.tx, sql)?;
        statement.map_or(Ok(false), |mut statement| statement.exists([id]))
    }

    /// Records a change of one file.
    ///
    /// # Errors
    /// What SQLite reports.
    pub fn record(&mut self, kind: Kind, id: i64, path: &str, detail: Option<&str>) -> rusqlite::Result<()> {
        let Some(insert) = &mut self.insert else { return Ok(()) };
        insert.execute(params![self.now, kind.as_str(), id, path, detail]).map(|_| ())
    }

    /// Adds `count` to the entry of many files that `entry` names, or to a new one. A first scan that was interrupted goes on
    /// with its entry.
    ///
    /// # Errors
    /// What SQLite reports.
    pub fn count(
        &mut self,
        kind: Kind,
        root: &str,
        count: u64,
        entry: &mut Option<i64>,
    ) -> rusqlite::Result<()> {
        let Some(insert) = &mut self.insert else { return Ok(()) };
        if entry.is_none() && kind == Kind::FirstScan {
            let sql = "SELECT max(id) FROM daemon_changes WHERE file_id IS NULL AND kind = ?1 AND path = ?2";
            *entry = self.tx.query_row(sql, [kind.as_str(), root], |row| row.get(0))?;
        }
        let count = i64::try_from(count).unwrap_or(i64::MAX);
        if let Some(id) = *entry {
            let sql = "UPDATE daemon_changes SET at = ?1, detail = CAST(CAST(detail AS INTEGER) + ?2 AS TEXT)
                WHERE id = ?3";
            if self.tx.execute(sql, params![self.now, count, id])? > 0 {
                return Ok(());
            }
        }
        let row = params![self.now, kind.as_str(), None::<i64>, root, count.to_string()];
        *entry = Some(insert.insert(row)?);
        Ok(())
    }
}

/// One change.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Change {
    /// Its number, which grows with time.
    pub id: i64,
    /// UTC.
    pub at: Option<String>,
    /// The word of a [`Kind`].
    pub kind: Option<String>,
    /// `files.id`; `None` for an entry of many files.
    pub file_id: Option<i64>,
    /// The file's path then, or the root.
    pub path: Option<String>,
    /// What depends on the kind.
    pub detail: Option<String>,
}

/// Changes, the latest first.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Page {
    /// At most as many as were asked for; fewer where they take more than 256 KiB.
    pub changes: Vec<Change>,
    /// Where the next page begins; `None` where there is none.
    pub next_cursor: Option<i64>,
}

/// Which changes.
#[derive(Clone, Copy, Debug, Default)]
pub struct Filter {
    /// Not those before. [`MOST_OLDER`] older ones in a row end the list.
    pub since: Option<Timestamp>,
    /// Only those of one file.
    pub file_id: Option<i64>,
}

/// The next `limit` changes before `cursor`.
///
/// # Errors
/// What SQLite reports.
pub fn page(conn: &Connection, filter: Filter, cursor: Option<i64>, limit: u32) -> rusqlite::Result<Page> {
    let sql = match filter.file_id {
        Some(_) => OF_FILE,
        None => OF_ALL,
    };
    if !TABLE.exists(conn)? {
        return Ok(Page::default());
    }
    let mut statement = conn.prepare(sql)?;
    let mut rows = statement.query(params![cursor.unwrap_or(i64::MAX), filter.file_id])?;
    let (mut page, mut room, mut older) = (Page::default(), Room::page(), 0);
    while let Some(row) = rows.next()? {
        let at = text(row, 1);
        let is_older = |since| at.as_deref().and_then(Timestamp::parse).is_none_or(|at| at < since);
        if filter.since.is_some_and(is_older) {
            older += 1;
            if older == MOST_OLDER {
                return Ok(page);
            }
            continue;
        }
        older = 0;
        let (kind, path, detail) = (text(row, 2), text(row, 4), text(row, 5));
        let change = Change { id: row.get(0)?, at, kind, file_id: integer(row, 3), path, detail };
        if page.changes.len() >= limit as usize || !room.fits(&change) {
            page.next_cursor = page.changes.last().map(|last| last.id);
            return Ok(page);
        }
        page.changes.push(change);
    }
    Ok(page)
}

/// The id of the last change; 0 if there is none.
///
/// # Errors
/// What SQLite reports.
pub fn last_id(conn: &Connection) -> rusqlite::Result<i64> {
    let statement = prepare_if_there(conn, "SELECT max(id) FROM daemon_changes")?;
    let id = statement.map(|mut statement| statement.query_row([], |row| row.get::<_, Option<i64>>(0)));
    Ok(id.transpose()?.flatten().unwrap_or_default())
}

/// How far files and changes are recorded: what comes later has a larger id.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Mark {
    /// The largest `files.id`.
    pub file: i64,
    /// The id of the last change.
    pub change: i64,
}

/// How far files and changes are recorded now.
///
/// # Errors
/// What SQLite reports.
pub fn mark(conn: &Connection) -> rusqlite::Result<Mark> {
    let file = conn.query_row("SELECT coalesce(max(id), 0) FROM files", [], |row| row.get(0))?;
    Ok(Mark { file, change: last_id(conn)? })
}

/// How many changes of files were recorded after the one with that id, in the order of [`Kind::OF_FILES`].
///
/// # Errors
/// What SQLite reports.
pub fn count_after(conn: &Connection, id: i64) -> rusqlite::Result<[u64; Kind::OF_FILES.len()]> {
    let mut counts = [0; Kind::OF_FILES.len()];
    let sql = "SELECT kind, count(*) FROM daemon_changes WHERE id > ?1 GROUP BY kind";
    let Some(mut statement) = prepare_if_there(conn, sql)? else { return Ok(counts) };
    let mut rows = statement.query([id])?;
    while let Some(row) = rows.next()? {
        let kind = exact_text(row, 0).unwrap_or_default();
        if let Some(at) = Kind::OF_FILES.iter().position(|of| of.as_str() == kind) {
            counts[at] = unsigned(row, 1);
        }
    }
    Ok(counts)
}

const OF_ALL: &str = "SELECT id, at, kind, file_id, path, detail FROM daemon_changes
    WHERE id < ?1 AND ?2 IS NULL ORDER BY id DESC";

const OF_FILE: &str = "SELECT id, at, kind, file_id, path, detail FROM daemon_changes
    WHERE id < ?1 AND file_id = ?2 ORDER BY id DESC";

/// Deletes, of the oldest rows, those that are older than `age` or too many; returns how many, and whether there may be more.
/// A row that was written while the clock was ahead is kept for longer, and so is no reason to keep those after it.
///
/// # Errors
/// What SQLite reports.
pub fn expire(conn: &Connection, now: Timestamp, age: Option<Duration>) -> rusqlite::Result<(usize, bool)> {
    if !TABLE.exists(conn)? {
        return Ok((0, false));
    }
    let mut statement = conn.prepare("SELECT id, at FROM daemon_changes ORDER BY id LIMIT ?1")?;
    let newest: Option<i64> =
        conn.query_row("SELECT max(id) FROM daemon_changes", [], |row| row.get(0)).optional()?.flatten();
    let first_kept = newest.unwrap_or_default() - MOST + 1;
    let rows = statement.query_map([STEP], |row| {
        let at = exact_text(row, 1).as_deref().and_then(Timestamp::parse);
        Ok((row.get::<_, i64>(0)?, at))
    })?;
    let mut delete = conn.prepare("DELETE FROM daemon_changes WHERE id = ?1")?;
    let mut deleted = 0;
    for row in rows.collect::<Result<Vec<_>, _>>()? {
        let since = row.1.and_then(|at| at.until(now));
        let is_old = age.is_some_and(|age| row.1.is_none() || since.is_some_and(|since| since >= age));
        if is_old || row.0 < first_kept {
            deleted += delete.execute([row.0])?;
        }
    }
    Ok((deleted, deleted == STEP as usize))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn database() -> Connection {
        let conn = Connection::open_in_memory().expect("in memory");
        conn.execute_batch(crate::library::schema::SQL).expect("the schema");
        conn
    }

    #[test]
    fn pages_go_back_in_time_and_end_at_many_older_changes() {
        let mut conn = database();
        assert_eq!(page(&conn, Filter::default(), None, 10).expect("no table"), Page::default());
        let tx = conn.transaction().expect("begun");
        let mut journal = Journal::new(&tx).expect("prepared");
        for number in 0..5 {
            journal.record(Kind::Added, number % 2, &format!("/v/{number}"), None).expect("recorded");
        }
        let mut entry = None;
        for count in [3, 4] {
            journal.count(Kind::FirstScan, "/v", count, &mut entry).expect("counted");
        }
        drop(journal);
        tx.commit().expect("committed");
        let ids = |filter, cursor, limit| {
            let page = page(&conn, filter, cursor, limit).expect("read");
            (page.changes.iter().map(|change| change.id).collect::<Vec<_>>(), page.next_cursor)
        };
        let all = Filter::default();
        assert_eq!(ids(all, None, 4), (vec![6, 5, 4, 3], Some(3)));
        assert_eq!(ids(all, Some(3), 4), (vec![2, 1], None));
        assert_eq!(ids(all, None, 6), (vec![6, 5, 4, 3, 2, 1], None));
        assert_eq!(ids(Filter { file_id: Some(1), ..all }, None, 4), (vec![4, 2], None));
        conn.execute("UPDATE daemon_changes SET at = '2001-01-01T00:00:00Z' WHERE id = 3", []).expect("set");
        let since = Timestamp::parse("2001-01-02T00:00:00Z");
        let recent = Filter { since, ..all };
        assert_eq!(ids(recent, None, 9), (vec![6, 5, 4, 2, 1], None), "a clock was behind");
        let fill = "WITH RECURSIVE n(i) AS (SELECT ?1 UNION ALL SELECT i + 1 FROM n WHERE i < ?2)
            INSERT INTO daemon_changes (id, at, kind, path) SELECT i, '2001-01-01T00:00:00Z', 'added', '/' FROM n";
        conn.execute(fill, [7, 1_005]).expect("inserted");
        assert_eq!(ids(recent, None, 9).0, [6, 5, 4, 2, 1], "999 older ones");
        conn.execute(fill, [1_006, 1_006]).expect("inserted");
        assert_eq!(ids(recent, None, 9), (vec![], None), "1,000 older ones");
        conn.execute("DELETE FROM daemon_changes WHERE id > 6", []).expect("deleted");
        let changes = page(&conn, all, None, 1).expect("read").changes;
        assert_eq!(
            (changes[0].kind.as_deref(), changes[0].detail.as_deref()),
            (Some("first_scan"), Some("7"))
        );
        assert_eq!(changes[0].file_id, None);
    }

    #[test]
    fn old_changes_and_those_that_are_too_many_expire() {
        let conn = database();
        conn.execute_batch(SQL).expect("created");
        let insert = "INSERT INTO daemon_changes (id, at, kind, path) VALUES (?1, ?2, 'added', '/v')";
        for (id, at) in [
            (1, "2030-01-01T00:00:00Z"),
            (2, "2020-01-01T00:00:00Z"),
            (3, "2020-12-30T00:00:00Z"),
            (1_000_001, "2020-12-31T00:00:00Z"),
        ] {
            conn.execute(insert, params![id, at]).expect("inserted");
        }
        let now = Timestamp::parse("2021-01-01T00:00:00Z").expect("a time");
        let left = || {
            let mut statement = conn.prepare("SELECT id FROM daemon_changes ORDER BY id").expect("prepared");
            let ids = statement.query_map([], |row| row.get::<_, i64>(0)).expect("read");
            ids.map(|id| id.expect("an id")).collect::<Vec<_>>()
        };
        assert_eq!(expire(&conn, now, None).expect("done"), (1, false), "of two million numbers");
        assert_eq!(left(), [2, 3, 1_000_001]);
        let month = Some(Duration::from_secs(30 * 86400));
        assert_eq!(expire(&conn, now, month).expect("done"), (1, false));
        assert_eq!(left(), [3, 1_000_001]);
    }
}
