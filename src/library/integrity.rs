//! Evidence of damage: errors that SQLite reported anywhere, and the results of `integrity_check`. Only this module keeps such
//! evidence; [`Library::check`] reports it.
//!
//! CORRUPT and NOTADB count until `integrity_check` passes on the same content, or other content is adopted. IOERR counts until
//! the next check. A full disk, and a lack of memory or descriptors, are not evidence.
//!
//! `integrity_check` runs table by table in the background, on connections of its own, at a tenth of a core, and leaves as
//! soon as a writer waits. `quick_check` is not sufficient: it does not compare tables with their indexes, and passes databases
//! that a copy has mixed.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use rusqlite::{Connection, ErrorCode, ffi};
use tracing::{debug, error, info};

use super::check::reason::Reason;
use super::connection::is_damage;
use super::identity::Stamp;
use super::lock::notes::Fault;
use super::{Library, diagnose};
use crate::base::times::{
    DATABASE_ATTEMPT_TIMEOUT, DATABASE_BUSY_TIMEOUT, INTEGRITY_CHECK_POLL_INTERVAL,
    INTEGRITY_CHECK_REPEAT_INTERVAL, INTEGRITY_CHECK_RETRY_INTERVAL,
};

/// Instructions of SQLite between two calls of the pacing handler; `integrity_check` counts pages in their place.
const STEPS: i32 = 100;

/// The part of the time in which the check works beside a daemon: one in this many.
pub const SHARE: u32 = 10;

/// Up to this length, in bytes, the file is also checked as a whole.
const WHOLE: u64 = 256 << 20;

/// The page cache of the check, in KiB, as SQLite takes it: negative.
const CACHE: i64 = -512;

/// What is known against the database.
#[derive(Debug)]
pub(super) struct Evidence {
    /// A content that is damaged, as far as is known.
    pub(super) fault: Option<Fault>,
    /// An error of the disk that no check has reported yet.
    pub(super) io_error: Option<String>,
    /// Nothing is written before `integrity_check` has passed.
    unverified: bool,
    /// Counts the reasons to hold: a check that began before the last one does not end it.
    holds: u32,
    /// `integrity_check` is to run, from then on.
    due: Option<Instant>,
    last: Option<(Instant, bool)>,
    running: bool,
}

impl Evidence {
    /// At the start.
    pub(super) fn new() -> Self {
        Self {
            fault: None,
            io_error: None,
            unverified: false,
            holds: 0,
            due: Some(Instant::now()),
            last: None,
            running: false,
        }
    }

    /// Other content was adopted: what was known of the one before does not count, and nothing of this one is known yet.
    pub(super) fn forget(&mut self) {
        (self.fault, self.io_error) = (None, None);
        self.hold();
    }

    /// Has the check run soon.
    pub(super) fn ask(&mut self) {
        self.due = Some(Instant::now());
        self.last = None;
    }

    /// Lets nothing be written until the check has passed.
    pub(super) fn hold(&mut self) {
        self.unverified = true;
        self.holds = self.holds.wrapping_add(1);
        self.ask();
    }

    pub(super) fn is_unverified(&self) -> bool {
        self.unverified
    }

    /// Whether a copy has collided with a checkpoint of ours, and nothing was copied again since.
    pub(super) fn is_collided(&self) -> bool {
        self.fault.as_ref().is_some_and(|fault| fault.reason == Reason::CopyCollided)
    }

    /// Why nothing may be written, also while the file is being changed: only the check finds that other content has taken its
    /// place, or that it was repaired.
    pub(super) fn damage(&self) -> Option<String> {
        self.fault.as_ref().map(|fault| fault.detail.clone())
    }
}

/// How the last `integrity_check` went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Integrity {
    /// Whether it passed.
    pub passed: bool,
    /// Time since it ended.
    pub age: Duration,
}

/// How a check of a table ended.
enum Outcome {
    Passed,
    Failed(String),
    /// A writer waited, or the content changed: to be repeated.
    Interrupted,
}

impl Library {
    /// Records an error of SQLite as evidence, if it is one.
    pub(super) fn note_error(&self, error: &rusqlite::Error) {
        match error.sqlite_error_code() {
            Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => {
                let Some(stamp) = Stamp::at(&self.path) else { return };
                if stamp != self.state().known.stamp {
                    // It is being overwritten, and what it will be is not known yet.
                    return;
                }
                let reason = match error.sqlite_error_code() {
                    Some(ErrorCode::NotADatabase) => Reason::NotADatabase,
                    _ => Reason::Corrupt,
                };
                self.found_damaged(reason, stamp, error.to_string());
            }
            Some(ErrorCode::SystemIoFailure) if !is_for_lack(&self.path, error) => {
                let code = error.sqlite_extended_error_code().unwrap_or_default();
                // SQLite does not find the main file by its name: the check sees by itself what is there.
                if code != ffi::SQLITE_IOERR_FSTAT {
                    self.state().evidence.io_error = Some(format!("{error} (SQLite code {code})"));
                }
            }
            _ => {}
        }
    }

    /// Remembers that this content is damaged, also for the next start.
    pub(super) fn found_damaged(&self, reason: Reason, stamp: Stamp, detail: String) {
        let mut state = self.state();
        if state.evidence.fault.as_ref().is_some_and(|fault| fault.stamp == stamp) {
            return;
        }
        state.evidence.ask();
        // A check that runs has not seen it.
        state.evidence.holds = state.evidence.holds.wrapping_add(1);
        let fault = Fault { starts: 1, reason, stamp, detail };
        state.evidence.fault = Some(fault.clone());
        drop(state);
        error!(
            path = %self.path.display(),
            reason = reason.as_str(),
            detail = fault.detail,
            "the database is damaged: nothing is written to it until a sound one is in its place. Restore a backup with \
             `vpo restore`"
        );
        if let Some(lock) = &self.lock {
            lock.note_fault(Some(fault));
        }
    }

    /// How many starts of a daemon have met this content damaged, this one included, and what is wrong with it.
    #[must_use]
    pub fn count_damaged_start(&self) -> Option<(u32, String)> {
        let mut state = self.state();
        let fault = state.evidence.fault.as_mut()?;
        fault.starts += 1;
        let fault = fault.clone();
        drop(state);
        if let Some(lock) = &self.lock {
            lock.note_fault(Some(fault.clone()));
        }
        Some((fault.starts, fault.detail))
    }

    /// How the last `integrity_check` of the content in use went; `None` before the first has ended.
    #[must_use]
    pub fn integrity(&self) -> Option<Integrity> {
        let (at, passed) = self.state().evidence.last?;
        Some(Integrity { passed, age: at.elapsed() })
    }

    /// Begins an `integrity_check` on a thread of its own, where one is due: after the start, after a change or an error that
    /// calls for it, and `interval` after the last. It works one in `share` of the time: [`SHARE`] beside a daemon's other work,
    /// 1 where the caller waits for nothing else.
    pub fn verify_if_due(self: &Arc<Self>, interval: Option<Duration>, share: u32) {
        {
            let mut state = self.state();
            let evidence = &mut state.evidence;
            let is_asked = evidence.due.is_some_and(|due| due <= Instant::now());
            let is_old =
                interval.zip(evidence.last).is_some_and(|(interval, (at, _))| at.elapsed() >= interval);
            if evidence.running || !(is_asked || is_old) || self.is_closed() {
                return;
            }
            evidence.running = true;
        }
        let library = Arc::clone(self);
        let thread = std::thread::Builder::new().name("verify".to_owned()).spawn(move || {
            // On Linux this is the thread's own niceness.
            let _ = rustix::process::nice(10);
            library.verify(share);
        });
        if thread.is_err() {
            let mut state = self.state();
            state.evidence.running = false;
            state.evidence.due = Some(Instant::now() + INTEGRITY_CHECK_RETRY_INTERVAL);
        }
    }

    fn verify(&self, share: u32) {
        let (stamp, begun) = {
            let mut state = self.state();
            state.evidence.due = None;
            (state.known.stamp, (state.generation, state.evidence.holds))
        };
        let start = Instant::now();
        let outcome = self.verify_tables(share);
        let mut state = self.state();
        state.evidence.running = false;
        if (state.generation, state.evidence.holds) != begun {
            // Begun on another content.
            return;
        }
        let known = state.known.stamp;
        let evidence = &mut state.evidence;
        if evidence.due.is_some() {
            // Another SQLite program has written meanwhile. One that writes all the time does not make this result void, and
            // not the next check begin at once.
            evidence.due = Some(Instant::now() + INTEGRITY_CHECK_REPEAT_INTERVAL);
        }
        let seconds = start.elapsed().as_secs_f64();
        match outcome {
            Outcome::Interrupted => evidence.due = Some(Instant::now() + INTEGRITY_CHECK_RETRY_INTERVAL),
            Outcome::Passed => {
                evidence.last = Some((Instant::now(), true));
                evidence.unverified = false;
                // A copy that collided with a checkpoint may have left a sound file all the same: ours, not the copy.
                let is_disproved = |fault: &Fault| {
                    (fault.stamp == stamp || known == stamp) && fault.reason != Reason::CopyCollided
                };
                let disproved = evidence.fault.take_if(|fault| is_disproved(fault)).is_some();
                drop(state);
                debug!(seconds, "integrity_check passed");
                if disproved {
                    info!(path = %self.path.display(), "the database is sound after all: integrity_check passed");
                    if let Some(lock) = &self.lock {
                        lock.note_fault(None);
                    }
                }
            }
            Outcome::Failed(detail) => {
                if Stamp::at(&self.path) != Some(known) {
                    evidence.due = Some(Instant::now() + INTEGRITY_CHECK_RETRY_INTERVAL);
                    return;
                }
                // SQLite reports a page that the disk could not give once as damage, so the first failure is confirmed.
                let is_confirmed = evidence.last.is_some_and(|(_, passed)| !passed);
                let due = (!is_confirmed).then(|| Instant::now() + INTEGRITY_CHECK_REPEAT_INTERVAL);
                evidence.last = Some((Instant::now(), false));
                evidence.due = due;
                let last = evidence.last;
                if let Some(fault) = evidence.fault.as_mut().filter(|fault| fault.stamp == known) {
                    if fault.reason != Reason::CopyCollided {
                        fault.detail = detail;
                    }
                    return;
                }
                drop(state);
                self.found_damaged(Reason::Corrupt, known, detail);
                let mut state = self.state();
                // It has just been checked.
                (state.evidence.last, state.evidence.due) = (last, due);
            }
        }
    }

    /// Table by table, and the list of free pages where the file is not too large to be read twice.
    fn verify_tables(&self, share: u32) -> Outcome {
        let list = self.verify_by(share, |connection| {
            let sql = "SELECT name FROM sqlite_master WHERE type = 'table' AND rootpage > 0";
            connection
                .prepare(sql)?
                .query_map([], |row| row.get::<_, String>(0))?
                .collect::<Result<Vec<_>, _>>()
        });
        let tables = match list {
            Ok(tables) => tables,
            Err(outcome) => return outcome,
        };
        for table in std::iter::once("sqlite_schema".to_owned()).chain(tables) {
            let quoted = table.replace('\'', "''");
            let found = self.verify_by(share, |connection| {
                let sql = format!("PRAGMA integrity_check('{quoted}')");
                connection.query_row(&sql, [], |row| row.get::<_, String>(0))
            });
            match found {
                Ok(answer) if answer == "ok" => {}
                Ok(answer) => return self.judge(&format!("integrity_check of table {table}"), &answer),
                Err(outcome) => return outcome,
            }
        }
        if Stamp::at(&self.path).is_some_and(|stamp| stamp.length > WHOLE) {
            return Outcome::Passed;
        }
        // Pages that belong to no table, and free pages that are none, show only in the whole.
        let found = self.verify_by(share, |connection| {
            connection.query_row("PRAGMA integrity_check(1)", [], |row| row.get::<_, String>(0))
        });
        match found {
            Ok(answer) if answer == "ok" => Outcome::Passed,
            Ok(answer) => self.judge("integrity_check", &answer),
            Err(outcome) => outcome,
        }
    }

    /// What an answer other than `ok` means. A page that the system cannot read is an I/O error and no damage.
    fn judge(&self, what: &str, answer: &str) -> Outcome {
        let line = first_line(answer);
        match code_of(line) {
            Some(code) if code & 0xff == ffi::SQLITE_IOERR => {
                self.state().evidence.io_error = Some(format!("{what}: {line}"));
                Outcome::Interrupted
            }
            _ => Outcome::Failed(format!("{what}: {line}")),
        }
    }

    /// Runs one step of the check on a connection of its own, paced.
    fn verify_by<T>(
        &self,
        share: u32,
        work: impl Fn(&Connection) -> rusqlite::Result<T>,
    ) -> Result<T, Outcome> {
        // A writer goes first; it takes some milliseconds, and the next one may be a while off.
        let turn = self.gate.read(DATABASE_BUSY_TIMEOUT).ok_or(Outcome::Interrupted)?;
        // Opening something else than a file may block.
        self.reachable().map_err(|_| Outcome::Interrupted)?;
        // In another mode than WAL a reader keeps every writer out, and a writer that waits for it every other reader.
        let share = if self.reader.is_in_wal_mode() { share } else { 1 };
        let found = self.reader.read_long(DATABASE_ATTEMPT_TIMEOUT, |connection| {
            connection.pragma_update(None, "cache_size", CACHE)?;
            let (gate, closed) = (Arc::clone(&self.gate), Arc::clone(&self.closed));
            let mut pace = Pace { since: Instant::now(), share };
            connection.progress_handler(
                STEPS,
                Some(move || {
                    let is_over = || gate.is_wanted() || closed.load(Ordering::Relaxed);
                    pace.rest(is_over)
                }),
            )?;
            work(connection)
        });
        drop(turn);
        match found {
            Ok(value) => Ok(value),
            Err(error) if is_damage(&error) => Err(Outcome::Failed(error.to_string())),
            Err(error) => {
                debug!(%error, "integrity_check is interrupted");
                self.note_error(&error);
                Err(Outcome::Interrupted)
            }
        }
    }
}

/// Whether an I/O error only means that the disk (for the index of a log) or the memory is full, or that a file would exceed the
/// limit on the size of files. The scanner warns of that, and it is not evidence of damage.
pub(super) fn is_for_lack(path: &Path, error: &rusqlite::Error) -> bool {
    let for_lack = [
        ffi::SQLITE_IOERR_NOMEM,
        ffi::SQLITE_IOERR_SHMOPEN,
        ffi::SQLITE_IOERR_SHMSIZE,
        ffi::SQLITE_IOERR_SHMMAP,
    ];
    let code = error.sqlite_extended_error_code().unwrap_or_default();
    for_lack.contains(&code)
        || (code == ffi::SQLITE_IOERR_WRITE && diagnose::has_file_size_limit())
        || diagnose::is_for_full_disk(path, error)
}

/// The result code in a message of `integrity_check` about a page that could not be read (`checkAppendMsg` in SQLite's
/// `btree.c`: "unable to get the page. error code=266").
fn code_of(line: &str) -> Option<i32> {
    line.rsplit_once("error code=")?.1.parse().ok()
}

/// The first message of `integrity_check`, without its headings.
pub(super) fn first_line(answer: &str) -> &str {
    answer.lines().find(|line| !line.starts_with("***")).unwrap_or(answer)
}

/// Keeps the check to its share of the time.
struct Pace {
    since: Instant,
    share: u32,
}

impl Pace {
    /// Sleeps for as long as the work since the last call is worth; `true` as soon as `is_over`.
    fn rest(&mut self, is_over: impl Fn() -> bool) -> bool {
        let worked = self.since.elapsed();
        if worked < INTEGRITY_CHECK_POLL_INTERVAL / self.share {
            return is_over();
        }
        let until = Instant::now() + worked * (self.share - 1);
        while Instant::now() < until {
            if is_over() {
                return true;
            }
            std::thread::sleep(
                INTEGRITY_CHECK_POLL_INTERVAL.min(until.saturating_duration_since(Instant::now())),
            );
        }
        self.since = Instant::now();
        is_over()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn page_that_cannot_be_read_is_told_from_damage() {
        assert_eq!(code_of("Tree 9 page 12: unable to get the page. error code=266"), Some(266));
        assert_eq!(code_of("Tree 9 page 238: btreeInitPage() returns error code 11"), None);
        assert_eq!(code_of("row 3 missing from index idx_files_path"), None);
    }
}
