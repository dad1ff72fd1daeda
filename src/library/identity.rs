//! Identifies the content of the database file, and classifies a change of it.
//!
//! Two things identify a content: the file's [`Stamp`] after our last checkpoint, and the one row of the table
//! `daemon_state` ([`Row`]). Only the holder of the lock writes that row, and every write transaction raises its `seq`. So
//! a changed stamp with the same row means that another SQLite program wrote, and another row means other content. The file
//! change counter of SQLite's header cannot be used: it does not change in WAL mode.
//!
//! Everything here is pure except [`Stamp::at`], which calls stat(2), and the two statements that read and write the row.

use std::fmt;
use std::fs::Metadata;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::str::FromStr;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use rusqlite::{Connection, OptionalExtension, params};

use super::sqlite::is_absent;
use crate::base::times::DATABASE_DEBOUNCE;

/// The daemon's own table, which other VPO programs do not use. The first write creates it.
pub(super) const SQL: &str = "\
CREATE TABLE IF NOT EXISTS daemon_state (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    lineage TEXT NOT NULL,    -- random; new at every start of the daemon and after every adoption
    seq INTEGER NOT NULL,     -- write transactions in this lineage
    base INTEGER NOT NULL,    -- seq that the main file held when this transaction began: what the -wal builds on
    parent TEXT NOT NULL      -- lineage:seq that this lineage continues; empty for a new database
)";

/// The part of stat(2) that identifies a file's content. Other content has another size or other times, unless a program sets
/// them; the time of the last status change (ctime) cannot be set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Stamp {
    device: u64,
    inode: u64,
    pub(super) length: u64,
    /// Seconds and nanoseconds.
    pub(super) modified: (i64, i64),
    /// Time of the last status change: seconds and nanoseconds.
    pub(super) changed: (i64, i64),
}

impl Stamp {
    /// The stamp of the file at `path`, links followed; `None` if stat(2) fails.
    pub(super) fn at(path: &Path) -> Option<Self> {
        std::fs::metadata(path).ok().as_ref().map(Self::of)
    }

    pub(super) fn of(found: &Metadata) -> Self {
        Self {
            device: found.dev(),
            inode: found.ino(),
            length: found.len(),
            modified: (found.mtime(), found.mtime_nsec()),
            changed: (found.ctime(), found.ctime_nsec()),
        }
    }

    /// Whether the content has not changed for some seconds, by the wall clock.
    pub(super) fn is_old(&self) -> bool {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let modified = u64::try_from(self.modified.0).map_or(Duration::ZERO, Duration::from_secs);
        now.saturating_sub(modified) > DATABASE_DEBOUNCE + Duration::from_secs(1)
    }

    /// Whether nothing but the time of the last status change may differ: the file was renamed, or its mode changed.
    pub(super) fn is_same_content(&self, other: &Self) -> bool {
        Self { changed: other.changed, ..*self } == *other
    }

    /// Whether both are of the same file, with any content.
    pub(super) fn is_same_file(&self, other: &Self) -> bool {
        (self.device, self.inode) == (other.device, other.inode)
    }
}

/// One word, in the form of the lock file.
impl fmt::Display for Stamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { device, inode, length, modified: (ms, mn), changed: (cs, cn) } = self;
        write!(f, "{device}:{inode}:{length}:{ms}.{mn}:{cs}.{cn}")
    }
}

impl FromStr for Stamp {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let mut parts = text.split(':');
        let mut part = || parts.next().ok_or(());
        let time = |text: &str| {
            let (seconds, nanoseconds) = text.split_once('.').ok_or(())?;
            Ok((seconds.parse().map_err(|_| ())?, nanoseconds.parse().map_err(|_| ())?))
        };
        Ok(Self {
            device: part()?.parse().map_err(|_| ())?,
            inode: part()?.parse().map_err(|_| ())?,
            length: part()?.parse().map_err(|_| ())?,
            modified: time(part()?)?,
            changed: time(part()?)?,
        })
    }
}

/// The row of `daemon_state`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Row {
    pub(super) lineage: String,
    pub(super) seq: i64,
    pub(super) base: i64,
    pub(super) parent: String,
}

impl Row {
    /// Reads the row; `None` if there is none, or its name is that of something else.
    pub(super) fn read(connection: &Connection) -> rusqlite::Result<Option<Self>> {
        let sql = "SELECT lineage, seq, base, parent FROM daemon_state WHERE id = 1";
        let mut statement = match connection.prepare(sql) {
            Ok(statement) => statement,
            // "no such table", "no such column", or a view of that name.
            Err(error) if is_absent(&error) => return Ok(None),
            Err(error) => return Err(error),
        };
        let row = statement
            .query_row([], |row| {
                let column = |at| row.get::<_, i64>(at).ok();
                let text = |at| row.get::<_, String>(at).ok();
                Ok((text(0), column(1), column(2), text(3)))
            })
            .optional()?;
        Ok(match row {
            Some((Some(lineage), Some(seq), Some(base), Some(parent))) => {
                Some(Self { lineage, seq, base, parent })
            }
            _ => None,
        })
    }

    /// Writes the row, and creates the table if it does not exist.
    pub(super) fn write(&self, connection: &Connection) -> rusqlite::Result<()> {
        let sql = "REPLACE INTO daemon_state (id, lineage, seq, base, parent) VALUES (1, ?1, ?2, ?3, ?4)";
        let write = || connection.execute(sql, params![self.lineage, self.seq, self.base, self.parent]);
        match write() {
            Ok(_) => Ok(()),
            Err(error) if is_absent(&error) => {
                // The name is ours: what has it and is of another shape, or no table, is replaced.
                let sql = "SELECT type FROM sqlite_master WHERE name = 'daemon_state' COLLATE NOCASE";
                let kind: Option<String> = connection.query_row(sql, [], |row| row.get(0)).optional()?;
                if let Some(kind) = kind {
                    connection.execute_batch(&format!("DROP {kind} daemon_state"))?;
                }
                connection.execute_batch(SQL)?;
                write().map(|_| ())
            }
            Err(error) => Err(error),
        }
    }

    /// Identifies a content: unique over all lineages.
    pub(super) fn key(&self) -> String {
        format!("{}:{}", self.lineage, self.seq)
    }

    /// Whether both rows are of the same transaction.
    pub(super) fn is_same(one: Option<&Self>, other: Option<&Self>) -> bool {
        match (one, other) {
            (Some(one), Some(other)) => (&one.lineage, one.seq) == (&other.lineage, other.seq),
            (None, None) => true,
            _ => false,
        }
    }
}

/// The content of the database file that is in use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Known {
    pub(super) stamp: Stamp,
    pub(super) row: Option<Row>,
}

/// What a change of the file means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Change {
    /// The content did not change.
    None,
    /// It changed, and may still be changing: check again.
    Unsettled,
    /// Another SQLite program wrote: it continues the known content.
    Cooperative,
    /// Other content took its place.
    Replaced,
}

/// Since when a stamp that differs from the known one has been seen.
#[derive(Clone, Copy, Debug)]
pub(super) struct Settling {
    stamp: Stamp,
    since: Instant,
}

/// Classifies the file at the path, read at `now` with `stamp` and `row`. `settling` keeps between two calls since when a
/// changed file has not changed again.
pub(super) fn judge(
    known: &Known,
    stamp: Stamp,
    row: Option<&Row>,
    now: Instant,
    settling: &mut Option<Settling>,
) -> Change {
    let is_same_row = Row::is_same(known.row.as_ref(), row);
    if stamp == known.stamp {
        *settling = None;
        // The file did not change, so the difference is in a log, which only SQLite writes.
        return if is_same_row { Change::None } else { Change::Replaced };
    }
    let since = match settling {
        Some(settling) if settling.stamp == stamp => settling.since,
        _ => {
            *settling = Some(Settling { stamp, since: now });
            now
        }
    };
    if now.saturating_duration_since(since) < DATABASE_DEBOUNCE {
        return Change::Unsettled;
    }
    *settling = None;
    // SQLite writes to the existing file; a new file is not from SQLite.
    if is_same_row && stamp.is_same_file(&known.stamp) { Change::Cooperative } else { Change::Replaced }
}

/// Whether a write-ahead log without its writer belongs to the main file beside it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ownership {
    /// It belongs to it: SQLite may recover it.
    Belongs,
    /// It belongs to another file.
    Foreign,
}

/// Decides by the rows: `main` is that of the main file alone, `log` that seen through the log. `may_be_partial`: a checkpoint
/// of ours may have been under way, so that the main file holds some of the log already.
pub(super) fn owner_of_log(main: Option<&Row>, log: Option<&Row>, may_be_partial: bool) -> Ownership {
    let belongs = match (main, log) {
        // A log of another program, which does not write the row.
        _ if Row::is_same(main, log) => true,
        _ if !may_be_partial => false,
        (Some(main), Some(log)) => {
            let is_continued = log.lineage == main.lineage && (log.base..=log.seq).contains(&main.seq);
            is_continued || (log.base == 0 && log.parent == main.key())
        }
        // The first transaction of the daemon in a database of another program.
        (None, Some(log)) => log.base == 0 && log.parent.is_empty(),
        (_, None) => false,
    };
    if belongs { Ownership::Belongs } else { Ownership::Foreign }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stamp(length: u64) -> Stamp {
        Stamp { device: 1, inode: 2, length, modified: (3, 4), changed: (5, 6) }
    }

    fn row(lineage: &str, seq: i64, base: i64, parent: &str) -> Row {
        Row { lineage: lineage.to_owned(), seq, base, parent: parent.to_owned() }
    }

    #[test]
    fn a_stamp_is_read_back_from_its_text() {
        let one = Stamp { modified: (-1, 999_999_999), ..stamp(7) };
        assert_eq!(one.to_string().parse(), Ok(one));
        for text in ["", "1:2", "1:2:3:4:5", "a:2:3:4.5:6.7"] {
            assert_eq!(text.parse::<Stamp>(), Err(()), "{text}");
        }
    }

    #[test]
    fn a_changed_file_is_judged_only_once_it_stands_still() {
        let known = Known { stamp: stamp(1), row: Some(row("a", 1, 0, "")) };
        let (same, other) = (row("a", 1, 0, ""), row("a", 2, 1, ""));
        let start = Instant::now();
        let at = |milliseconds| start + Duration::from_millis(milliseconds);
        let mut settling = None;
        let mut judge =
            |length, row: &Row, now| judge(&known, stamp(length), Some(row), at(now), &mut settling);
        assert_eq!(judge(1, &same, 0), Change::None);
        assert_eq!(judge(2, &same, 0), Change::Unsettled);
        assert_eq!(judge(3, &same, 400), Change::Unsettled, "it has changed again");
        assert_eq!(judge(3, &same, 800), Change::Unsettled);
        assert_eq!(judge(3, &same, 900), Change::Cooperative);
        assert_eq!(judge(4, &other, 1000), Change::Unsettled);
        assert_eq!(judge(4, &other, 1500), Change::Replaced);
        assert_eq!(judge(1, &other, 1600), Change::Replaced, "another content lies in the log");
        let moved = Stamp { inode: 9, ..stamp(1) };
        let mut judge = |now| super::judge(&known, moved, Some(&same), at(now), &mut settling);
        assert_eq!((judge(2000), judge(2500)), (Change::Unsettled, Change::Replaced), "another file");
    }

    #[test]
    fn a_log_belongs_to_the_file_that_it_builds_on() {
        let log = row("b", 7, 6, "a:3");
        for (main, log, expected) in [
            (None, None, Ownership::Belongs),
            (Some(row("b", 7, 6, "a:3")), Some(log.clone()), Ownership::Belongs),
            (Some(row("b", 6, 5, "a:3")), Some(log.clone()), Ownership::Belongs),
            (Some(row("b", 5, 4, "a:3")), Some(log.clone()), Ownership::Foreign),
            (Some(row("b", 8, 7, "a:3")), Some(log.clone()), Ownership::Foreign),
            (Some(row("a", 3, 2, "")), Some(log.clone()), Ownership::Foreign),
            (Some(row("a", 3, 2, "")), Some(row("b", 1, 0, "a:3")), Ownership::Belongs),
            (Some(row("a", 2, 1, "")), Some(row("b", 1, 0, "a:3")), Ownership::Foreign),
            (None, Some(row("b", 1, 0, "")), Ownership::Belongs),
            (None, Some(row("b", 1, 0, "a:3")), Ownership::Foreign),
            (Some(row("a", 1, 0, "")), None, Ownership::Foreign),
        ] {
            if !Row::is_same(main.as_ref(), log.as_ref()) {
                assert_eq!(owner_of_log(main.as_ref(), log.as_ref(), false), Ownership::Foreign);
            }
            assert_eq!(owner_of_log(main.as_ref(), log.as_ref(), true), expected, "{main:?} {log:?}");
        }
    }
}
