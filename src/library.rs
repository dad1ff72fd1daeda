//! The database (SQLite, schema version 7): created, opened, locked, checked, read and written here. All SQL of the project
//! is in this folder. Imports only [`crate::base`], and no async or HTTP.
//!
//! [`open`] opens it and refuses what is not clearly ours. [`check`] is the health check. [`lock`] admits one daemon and
//! records where that daemon listens. [`files`] and [`jobs`] are its rows. [`mod@backup`] copies it and restores a copy. This
//! file holds what all of them use: one [`Library`], its reads, its writes and its close.

pub(crate) mod backup;
pub mod changes;
pub(crate) mod check;
mod connection;
mod diagnose;
mod draft;
mod error;
mod exclusion;
pub(crate) mod file_system;
pub mod files;
pub(crate) mod forget;
mod gate;
mod identity;
mod integrity;
pub mod jobs;
mod lenient;
pub mod lock;
mod log;
pub(crate) mod open;
mod overwrites;
mod own;
mod path;
pub(crate) mod room;
pub mod schema;
mod session;
pub(crate) mod sqlite;
pub mod subtitles;
pub mod totals;

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rusqlite::Transaction;
use tokio_util::sync::CancellationToken;

use crate::base::retry::{self, Failure, RetryPolicy, Stopped};
use crate::base::times::{
    DATABASE_ACCESS_RETRY, DATABASE_ATTEMPT_TIMEOUT, DATABASE_BUSY_RETRY_INTERVAL, DATABASE_BUSY_TIMEOUT,
    DATABASE_UNSETTLED_RETRY_INTERVAL,
};
pub use check::Finding;
pub use check::reason::Reason;
use connection::Reader;
pub use error::Error;
pub(crate) use error::is_busy;
use gate::Gate;
use identity::{Known, Row, Settling, Stamp};
use integrity::Evidence;
pub use integrity::{Integrity, SHARE};
pub use lock::Lock;
pub use open::{OpenError, Options};
use overwrites::Overwrites;
use session::LetGo;

/// The schema version that this program reads and writes.
pub const SCHEMA_VERSION: u32 = 7;

/// Minimum bytes of a database: one page of the smallest size. SQLite takes a shorter file for an empty database, and then
/// removes its `-wal`, even if it is open for reading only.
const SHORTEST: u64 = 512;

/// An open library. It keeps no connection: each read and each write opens its own, and between them nothing is held.
#[derive(Debug)]
pub struct Library {
    path: PathBuf,
    /// Where the path led, all links followed, when the library was opened and locked.
    real: PathBuf,
    lock: Option<Lock>,
    /// Whether it was opened to be written: because there are roots to record, or to leave a job for the daemon.
    writes: AtomicBool,
    /// Ends every statement that runs.
    closed: Arc<AtomicBool>,
    reader: Reader,
    gate: Arc<Gate>,
    overwrites: Mutex<Overwrites>,
    /// Never held during disk I/O.
    state: Mutex<State>,
}

/// What is known of the file at the path.
#[derive(Debug)]
struct State {
    /// The content that is in use.
    known: Known,
    /// The lineage of our own transactions, once there is one.
    lineage: Option<Lineage>,
    settling: Option<Settling>,
    /// Counts the contents that were taken into use.
    generation: u64,
    /// When the last one was adopted, and why.
    adopted: Option<(Instant, String)>,
    /// The log at the last call of [`Library::tidy`], and the one that it last tried to bring in.
    log_seen: Option<Stamp>,
    log_tried: Option<Stamp>,
    /// Why the last check found it unusable: work that failed meanwhile begins again once it is usable.
    lost: Option<Reason>,
    /// The database file and its log at the last check, if the log held what no checkpoint had copied.
    unsaved: Option<(Stamp, Stamp)>,
    /// The last checkpoint failed, and that was logged.
    is_log_stuck: bool,
    /// The frames of the log at the last check, if another program has the database open.
    frames: Option<check::Frames>,
    /// Why the last session was abandoned: until the next check nothing is written.
    let_go: Option<LetGo>,
    evidence: Evidence,
}

impl State {
    /// Whether `row` is of the transaction of ours that follows the one that is known.
    fn is_own_successor(&self, row: Option<&Row>) -> bool {
        let Some((lineage, row)) = self.lineage.as_ref().zip(row) else { return false };
        let known = self.known.row.as_ref().filter(|known| known.lineage == row.lineage);
        row.lineage == lineage.name && row.seq == known.map_or(0, |known| known.seq) + 1
    }

    /// The file is usable again: whether work begins again at once. After an I/O error it does not, because the disk may refuse
    /// the next write as well: what failed is retried at its own interval.
    fn take_lost(&mut self) -> bool {
        self.lost.take().is_some_and(|reason| reason != Reason::IoError)
    }
}

/// Our transactions since the start or the last adoption.
#[derive(Debug)]
struct Lineage {
    name: String,
    /// The `seq` that the main file holds.
    base: i64,
}

/// See [`Library::fingerprint`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fingerprint {
    library: Stamp,
    wal: Option<Stamp>,
}

/// How to wait for a database that is locked, or that another program has changed and that is not verified yet.
#[derive(Clone, Copy)]
pub struct Retry<'a> {
    /// The longest wait; `None`: no limit.
    pub timeout: Option<Duration>,
    /// Ends the wait; it is checked after each attempt.
    pub cancel: Option<&'a CancellationToken>,
    /// Called after each attempt that failed and may be repeated.
    pub observer: Option<&'a dyn RetryObserver>,
    /// Fails when other content was adopted since [`Library::generation`] returned this: what is to be written was derived
    /// from the content before.
    pub generation: Option<u64>,
}

/// What reports that a read or write waits.
pub trait RetryObserver {
    /// An attempt failed, and may be repeated.
    fn on_retry(&self);
}

impl<'a> Retry<'a> {
    /// For work outside a scan: up to [`DATABASE_BUSY_TIMEOUT`], or until cancelled.
    #[must_use]
    pub fn new(cancel: &'a CancellationToken) -> Self {
        Self { timeout: Some(DATABASE_BUSY_TIMEOUT), cancel: Some(cancel), observer: None, generation: None }
    }

    /// For work inside a scan: until cancelled.
    #[must_use]
    pub fn until_cancelled(cancel: &'a CancellationToken) -> Self {
        Self { timeout: None, ..Self::new(cancel) }
    }

    /// Calls `observer` after each attempt that failed and may be repeated.
    #[must_use]
    pub fn observed_by(self, observer: &'a dyn RetryObserver) -> Self {
        Self { observer: Some(observer), ..self }
    }

    /// Only for the content of that generation.
    #[must_use]
    pub fn for_generation(self, generation: u64) -> Self {
        Self { generation: Some(generation), ..self }
    }

    /// Repeats `attempt`, each of which waits [`DATABASE_ATTEMPT_TIMEOUT`] at most.
    fn run<T>(self, path: &Path, mut attempt: impl FnMut() -> Result<T, Failure<Error>>) -> Result<T, Error> {
        let policy = |interval| RetryPolicy { timeout: self.timeout, ..RetryPolicy::every(interval) };
        let policies = [
            policy(DATABASE_BUSY_RETRY_INTERVAL),
            policy(DATABASE_UNSETTLED_RETRY_INTERVAL),
            DATABASE_ACCESS_RETRY,
        ];
        let policy_of = |error: &Error| match error {
            Error::Unsettled(_) => 1,
            Error::Sqlite { source, .. } if !is_busy(source) => 2,
            _ => 0,
        };
        let observed = || {
            attempt().inspect_err(|failure| {
                if let (Failure::Temporary(_), Some(observer)) = (failure, self.observer) {
                    observer.on_retry();
                }
            })
        };
        retry::run(policies, self.cancel, observed, policy_of).map_err(|stopped| match stopped {
            Stopped::Cancelled => Error::Cancelled,
            Stopped::TimedOut(error) if policy_of(&error) == 0 => {
                Error::Busy { path: path.to_owned(), limit: self.timeout.unwrap_or_default() }
            }
            Stopped::TimedOut(error) | Stopped::Failed(error) => error,
        })
    }
}

impl Retry<'static> {
    /// For a short step that is never cancelled: fails after `timeout`; with zero it does not wait at all.
    #[must_use]
    pub fn within(timeout: Duration) -> Self {
        Self { timeout: Some(timeout), cancel: None, observer: None, generation: None }
    }
}

impl Library {
    /// The library's file, absolute, as it was named.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The lock; `None` if none could be written, or none was requested.
    #[must_use]
    pub fn lock(&self) -> Option<&Lock> {
        self.lock.as_ref()
    }

    /// Identifies the state of the database without opening it: changes with every commit. `None` if it cannot be reached.
    #[must_use]
    pub fn fingerprint(&self) -> Option<Fingerprint> {
        let library = Stamp::at(&self.path)?;
        Some(Fingerprint { library, wal: Stamp::at(&path::companion(&self.path, "-wal")) })
    }

    /// A counter that [`Self::check`] raises when it adopts another content. Work that was begun under an older number must
    /// start again.
    #[must_use]
    pub fn generation(&self) -> u64 {
        self.state().generation
    }

    /// Runs `work` in one read transaction on a connection of its own. Repeats it from its start if the database was locked or
    /// written meanwhile.
    ///
    /// # Errors
    /// [`Error::Unreachable`] when there is no file at the path; [`Error::Busy`] or [`Error::Cancelled`] when `retry`
    /// ends.
    pub fn read<T>(
        &self,
        retry: Retry<'_>,
        mut work: impl FnMut(&Transaction<'_>) -> rusqlite::Result<T>,
    ) -> Result<T, Error> {
        retry.run(&self.path, || {
            let _turn = self
                .gate
                .read(DATABASE_ATTEMPT_TIMEOUT)
                .ok_or_else(|| Failure::Temporary(self.unsettled()))?;
            let before = self.reachable()?;
            let found = self
                .reader
                .read(DATABASE_ATTEMPT_TIMEOUT, |connection| work(&connection.unchecked_transaction()?));
            found.map_err(|source| {
                // An error of a read during which the file changed is not evidence.
                let is_still = Stamp::at(&self.path) == Some(before);
                if is_busy(&source) || connection::is_shut(&source) || !is_still {
                    Failure::Temporary(self.unnoted(source))
                } else {
                    Failure::Permanent(self.failed(source))
                }
            })
        })
    }

    /// Runs `work` in one write transaction, commits it and brings it into the file; an error of `work` rolls it back.
    ///
    /// # Errors
    /// As [`Self::read`]; [`Error::ReadOnly`] when the library was opened without roots; [`Error::Replaced`] when another
    /// program changed the file meanwhile (the write is lost, and the work must start again);
    /// [`Error::Damaged`].
    pub fn write<T>(
        &self,
        retry: Retry<'_>,
        work: impl FnOnce(&Transaction<'_>) -> rusqlite::Result<T>,
    ) -> Result<T, Error> {
        if !self.writes() {
            return Err(Error::ReadOnly(self.path.clone()));
        }
        let mut work = Some(work);
        retry.run(&self.path, || self.session(retry.generation, &mut work))
    }

    /// Closes it: later reads and writes fail, and running statements are interrupted. Waits briefly for a write in progress.
    /// Checkpoints a log that a reader of another program has held up, if that is possible now.
    ///
    /// # Errors
    /// If the checkpoint failed. The log then stays beside the database, and no data is lost.
    pub fn close(&self) -> Result<(), Error> {
        let tidied = if self.is_closed() { Ok(()) } else { self.tidy(true) };
        self.closed.store(true, Ordering::Release);
        drop(self.gate.write(DATABASE_BUSY_TIMEOUT));
        tidied
    }

    fn writes(&self) -> bool {
        self.writes.load(Ordering::Acquire)
    }

    fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Acquire)
    }

    /// Whether this process keeps the library's identity: it holds the lock.
    fn owns(&self) -> bool {
        self.lock.is_some()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn unsettled(&self) -> Error {
        Error::Unsettled(self.path.clone())
    }

    fn unnoted(&self, source: rusqlite::Error) -> Error {
        Error::Sqlite { path: self.path.clone(), source }
    }

    /// Converts an error of SQLite. Only here: evidence of damage in it is recorded for the check.
    fn failed(&self, source: rusqlite::Error) -> Error {
        if self.is_closed() {
            return Error::Closed(self.path.clone());
        }
        self.note_error(&source);
        self.unnoted(source)
    }

    /// The file at the path, while the library is open.
    fn reachable(&self) -> Result<Stamp, Failure<Error>> {
        if self.is_closed() {
            return Err(Failure::Permanent(Error::Closed(self.path.clone())));
        }
        match std::fs::metadata(&self.path) {
            // Another file, or something that is none: opening a pipe would block.
            Ok(found) if !Stamp::of(&found).is_same_file(&self.state().known.stamp) => {
                Err(Failure::Permanent(Error::Replaced(self.path.clone())))
            }
            Ok(found) => Ok(Stamp::of(&found)),
            Err(source) => Err(Failure::Permanent(Error::Unreachable { path: self.path.clone(), source })),
        }
    }

    /// What may be written to: the content that we know, where it is sound and still there.
    fn may_write(&self, generation: Option<u64>) -> Result<Known, Failure<Error>> {
        let stamp = self.reachable()?;
        let state = self.state();
        if generation.is_some_and(|generation| generation != state.generation) {
            return Err(Failure::Permanent(Error::Replaced(self.path.clone())));
        }
        if let Some(detail) = state.evidence.damage() {
            return Err(Failure::Permanent(Error::Damaged { path: self.path.clone(), detail }));
        }
        let is_unsettled = state.let_go.is_some() || state.evidence.is_unverified();
        if self.owns() && (is_unsettled || stamp != state.known.stamp) {
            drop(state);
            return Err(Failure::Temporary(self.unsettled()));
        }
        Ok(state.known.clone())
    }
}
