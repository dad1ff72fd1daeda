//! Whether a write-ahead log can belong to the main file beside it, read from both without SQLite.
//!
//! SQLite replays whatever log lies beside a database, also beside a backup that was copied over it: pages of the two are then
//! mixed, and `integrity_check` may pass. Three facts decide. A commit states how many pages the database has, and so does its
//! first page. A log whose pages are all in the main file already adds nothing, whichever program wrote it. And a log was
//! written for this file if a checkpoint of it began, and was cut short or held up by a reader: then some of its pages are in
//! the file. A page that both have by chance is not evidence: `VACUUM` writes all pages, also those that did not change. A
//! checkpoint copies the last version of each page, in ascending order (`walCheckpoint` in SQLite's `wal.c`), but no page that
//! changed after the oldest reader began. So a page that is in the file counts only if all lower ones are there too (it was cut
//! short), or all others that such a reader left to it.
//!
//! Formats: <https://www.sqlite.org/fileformat2.html>, sections 1.3 and 4.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

use super::identity::Stamp;
use super::path::companion;
use crate::base::times::DATABASE_CHECKPOINT_AGE;

const LOG_HEADER: usize = 32;
const FRAME_HEADER: usize = 24;
const LARGEST_PAGE: u32 = 65_536;

/// How a log relates to the main file beside it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Relation {
    /// The main file holds all of it already, or it holds no transaction, or there is none.
    AddsNothing,
    /// A checkpoint has copied some of its pages into the main file.
    Continues,
    /// None has: it may belong to the file, or to an earlier content of it.
    Adds,
    /// It is of a database of another size.
    Foreign,
}

/// Whether the log beside the database at `path`, which changed to `main` without explanation, was written for an earlier
/// content of it: it is of another size, or the main file changed after it, and not by a checkpoint of it. As [`compare`].
pub(super) fn is_foreign(path: &Path, main: Stamp) -> io::Result<bool> {
    Ok(match compare(path)? {
        Relation::Foreign => true,
        Relation::Adds => is_older(path, main),
        Relation::AddsNothing | Relation::Continues => false,
    })
}

/// Whether the main file changed after the last write to the log. (SQLite sets the owner of a log that root opens, and with it
/// the time of the last status change.)
pub(super) fn is_older(path: &Path, main: Stamp) -> bool {
    Stamp::at(&companion(path, "-wal")).is_some_and(|log| log.modified < main.changed)
}

/// Whether the main file changed as soon after the log as by a checkpoint that follows the commit.
pub(super) fn is_checkpoint_time(path: &Path, main: Stamp) -> bool {
    let limit = DATABASE_CHECKPOINT_AGE.as_secs().cast_signed();
    Stamp::at(&companion(path, "-wal"))
        .is_some_and(|log| main.changed >= log.modified && main.changed.0 - log.modified.0 <= limit)
}

/// Compares the log beside the database at `path` with the main file, page by page until it is clear. Only for a database
/// that nothing of this process has open: closing a descriptor of the main file would drop SQLite's locks.
///
/// # Errors
/// Of the system.
pub(super) fn compare(path: &Path) -> io::Result<Relation> {
    let main = File::open(path)?;
    let log = match File::open(companion(path, "-wal")) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Relation::AddsNothing),
        log => log?,
    };
    let Some(committed) = Committed::read(&log)? else { return Ok(Relation::AddsNothing) };
    let first = match committed.first_page(&log)? {
        Some(first) => first,
        None => read_header(&main, 0)?,
    };
    if committed.has_other_size(&first) {
        return Ok(Relation::Foreign);
    }
    let size = committed.page_size as usize;
    let (mut in_main, mut in_log) = (vec![0; size], vec![0; size]);
    // Of the pages that have no version in the main file: the commits of their versions.
    let mut lacking = BTreeSet::<Vec<u64>>::new();
    // Versions in the main file that a checkpoint held up by a reader may have copied: their commit, and the next one.
    let mut copied = Vec::new();
    let (mut has_begun, mut lacks_some) = (false, false);
    for (page, frames) in &committed.frames {
        let at = u64::from(page - 1) * u64::from(committed.page_size);
        let is_there = main.read_exact_at(&mut in_main, at).is_ok();
        let mut found = None;
        for (index, frame) in frames.iter().enumerate().rev() {
            log.read_exact_at(&mut in_log, frame.at + FRAME_HEADER as u64)?;
            if is_there && in_main == in_log {
                found = found.or(Some(index));
                // Cut short: the lower pages come first.
                has_begun |= lacking.iter().all(|commits| commits[0] > frame.commit);
                copied.push((frame.commit, frames.get(index + 1).map_or(u64::MAX, |next| next.commit)));
            }
        }
        lacks_some |= found != Some(frames.len() - 1);
        if found.is_none() {
            lacking.insert(frames.iter().map(|frame| frame.commit).collect());
        }
        if has_begun && lacks_some {
            return Ok(Relation::Continues);
        }
    }
    if !lacks_some {
        return Ok(Relation::AddsNothing);
    }
    let is_held_up = copied.iter().any(|(commit, next)| {
        lacking.iter().all(|commits| commits[0] > *commit || has_version_between(commits, *commit, *next))
    });
    Ok(if is_held_up { Relation::Continues } else { Relation::Adds })
}

/// Whether a page with versions from `commits` changed after `commit` and before `next`: then a reader at `commit` kept a
/// checkpoint before `next` from copying it.
fn has_version_between(commits: &[u64], commit: u64, next: u64) -> bool {
    commits.iter().any(|other| (commit + 1..next).contains(other))
}

/// The committed frames of a log.
struct Committed {
    /// In bytes.
    page_size: u32,
    /// Pages of the database after the last one.
    pages: u32,
    /// The versions of each page, the oldest first.
    frames: BTreeMap<u32, Vec<Frame>>,
}

/// A version of a page, as offsets in the log.
struct Frame {
    /// Where its header begins.
    at: u64,
    /// Where its transaction ends.
    commit: u64,
}

impl Committed {
    /// `None` where there is none. A frame counts where its salt is the header's; its checksum is not looked at.
    fn read(log: &File) -> io::Result<Option<Self>> {
        let mut header = [0; LOG_HEADER];
        let end = log.metadata()?.len();
        if end < LOG_HEADER as u64 {
            return Ok(None);
        }
        log.read_exact_at(&mut header, 0)?;
        let page_size = number(&header, 8);
        if !(512..=LARGEST_PAGE).contains(&page_size) {
            return Ok(None);
        }
        let mut at = LOG_HEADER as u64;
        let (mut pages, mut frames, mut pending) = (0, BTreeMap::<_, Vec<_>>::new(), Vec::new());
        while at + FRAME_HEADER as u64 + u64::from(page_size) <= end {
            let mut frame = [0; FRAME_HEADER];
            log.read_exact_at(&mut frame, at)?;
            if frame[8..16] != header[16..24] || number(&frame, 0) == 0 {
                break;
            }
            pending.push((number(&frame, 0), at));
            at += FRAME_HEADER as u64 + u64::from(page_size);
            if number(&frame, 4) > 0 {
                pages = number(&frame, 4);
                for (page, begin) in pending.drain(..) {
                    frames.entry(page).or_default().push(Frame { at: begin, commit: at });
                }
            }
        }
        frames.retain(|page, _| *page <= pages);
        Ok((pages > 0).then_some(Self { page_size, pages, frames }))
    }

    /// The header of the database as of the last commit, where the log holds the first page.
    fn first_page(&self, log: &File) -> io::Result<Option<[u8; 100]>> {
        let frame = self.frames.get(&1).and_then(|frames| frames.last());
        frame.map(|frame| read_header(log, frame.at + FRAME_HEADER as u64)).transpose()
    }

    /// Whether the first page states another size of the database than the last commit.
    fn has_other_size(&self, first: &[u8]) -> bool {
        stated_pages(first).is_some_and(|pages| pages != self.pages)
    }
}

/// Whether the header of the database states WAL mode (<https://www.sqlite.org/fileformat.html>, 1.3.3). SQLite takes it for WAL mode
/// also where a log lies beside it.
pub(super) fn is_in_wal_mode(path: &Path) -> bool {
    File::open(path).and_then(|file| read_header(&file, 0)).is_ok_and(|header| header[18] == 2)
}

fn read_header(file: &File, at: u64) -> io::Result<[u8; 100]> {
    let mut header = [0; 100];
    file.read_exact_at(&mut header, at)?;
    Ok(header)
}

/// How many pages a database has by its first page; `None` where that does not hold (an old program has written it).
fn stated_pages(header: &[u8]) -> Option<u32> {
    let pages = number(header, 28);
    (pages > 0 && number(header, 24) == number(header, 92)).then_some(pages)
}

fn number(bytes: &[u8], at: usize) -> u32 {
    bytes.get(at..at + 4).and_then(|bytes| bytes.try_into().ok()).map_or(0, u32::from_be_bytes)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use rusqlite::Connection;
    use rusqlite::config::DbConfig;

    use super::*;

    /// A database of `rows` rows, copied with its log to `to` while it is open.
    fn leave_log(dir: &Path, name: &str, rows: u32) -> std::path::PathBuf {
        let path = dir.join(format!("{name}.db"));
        let connection = Connection::open(&path).expect("open");
        connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true).expect("set");
        connection
            .execute_batch("PRAGMA journal_mode = WAL; CREATE TABLE empty (x); CREATE TABLE t (x)")
            .expect("made");
        connection
            .execute("INSERT INTO t WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?1) SELECT randomblob(1000) FROM n", [rows])
            .expect("filled");
        connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(())).expect("checkpointed");
        fs::copy(&path, dir.join(format!("{name}.backup"))).expect("copied");
        connection.execute("UPDATE t SET x = 1 WHERE rowid = 1", []).expect("changed");
        path
    }

    #[test]
    fn a_log_beside_its_own_file_is_told_from_one_beside_another() {
        let dir = tempfile::tempdir().expect("a directory");
        let (one, other) = (leave_log(dir.path(), "one", 100), leave_log(dir.path(), "other", 300));
        assert_eq!(compare(&one).expect("readable"), Relation::Adds);
        let stamp = |path: &Path| Stamp::at(path).expect("there");
        assert!(!is_foreign(&one, stamp(&one)).expect("readable"), "the log is younger");
        fs::copy(dir.path().join("one.backup"), &one).expect("copied");
        assert!(
            is_foreign(&one, stamp(&one)).expect("readable"),
            "a backup of the same size was copied over the file"
        );
        fs::copy(dir.path().join("other.backup"), &one).expect("copied");
        assert_eq!(compare(&one).expect("readable"), Relation::Foreign);
        assert!(is_foreign(&one, stamp(&one)).expect("readable"));
        let connection = Connection::open(&other).expect("open");
        connection.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |_| Ok(())).expect("checkpointed");
        assert_eq!(compare(&other).expect("readable"), Relation::AddsNothing);
    }

    #[test]
    fn a_checkpoint_that_was_held_up_shows_in_the_file() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = leave_log(dir.path(), "one", 100);
        let (reader, writer) =
            (Connection::open(&path).expect("open"), Connection::open(&path).expect("open"));
        reader.execute_batch("BEGIN; SELECT count(*) FROM t").expect("read");
        writer.execute("UPDATE t SET x = 2 WHERE rowid = 50", []).expect("changed");
        writer.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |_| Ok(())).expect("checkpointed");
        assert_eq!(compare(&path).expect("readable"), Relation::Continues);
        assert!(!is_foreign(&path, Stamp::at(&path).expect("there")).expect("readable"));
    }

    #[test]
    fn pages_that_did_not_change_are_not_evidence() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = leave_log(dir.path(), "one", 100);
        let connection = Connection::open(&path).expect("open");
        connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true).expect("set");
        // Of as many pages, and most of them are the same.
        connection.execute_batch("VACUUM; PRAGMA wal_checkpoint(TRUNCATE)").expect("vacuumed");
        fs::copy(&path, dir.path().join("one.backup")).expect("copied");
        for value in [3, 4] {
            connection.execute("UPDATE t SET x = ?1 WHERE rowid = 90", [value]).expect("changed");
            // The last commit changes the first page again, as each that makes the file longer does.
            connection.execute_batch(&format!("VACUUM; CREATE TABLE t{value} (x)")).expect("vacuumed");
        }
        // The clock of file times is coarse.
        let backup = dir.path().join("one.backup");
        while {
            fs::rename(&backup, &path).expect("renamed");
            !is_older(&path, Stamp::at(&path).expect("there"))
        } {
            fs::rename(&path, &backup).expect("renamed");
        }
        assert_eq!(compare(&path).expect("readable"), Relation::Adds);
        assert!(is_foreign(&path, Stamp::at(&path).expect("there")).expect("readable"));
        // A checkpoint of the same log that was cut short.
        let log = File::open(companion(&path, "-wal")).expect("open");
        let frame =
            Committed::read(&log).expect("readable").expect("written").frames[&1].last().expect("one").at;
        let mut page = [0; 4096];
        log.read_exact_at(&mut page, frame + FRAME_HEADER as u64).expect("read");
        fs::OpenOptions::new()
            .write(true)
            .open(&path)
            .expect("open")
            .write_all_at(&page, 0)
            .expect("written");
        assert_eq!(compare(&path).expect("readable"), Relation::Continues);
    }

    #[test]
    fn what_is_no_log_adds_nothing() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("library.db");
        fs::write(&path, [0; 4096]).expect("written");
        for content in [vec![], vec![7; 31], vec![0; 40], vec![255; 5000]] {
            fs::write(dir.path().join("library.db-wal"), content).expect("written");
            assert_eq!(compare(&path).expect("readable"), Relation::AddsNothing);
        }
    }
}
