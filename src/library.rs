//! The library file (SQLite, schema version 7): created, opened, locked, checked, read and written here.
//! All SQL of the project is in this folder. Imports nothing of the crate, knows no async and no HTTP.
//!
//! [`open`] is the way in and refuses whatever is not clearly ours; [`check`] is the stranger's look that
//! the daemon's health rests on; [`lock`] lets one daemon at it and tells others where that one listens;
//! [`files`] and [`jobs`] are its rows; [`mod@backup`] copies it and puts a copy back. This file is what all of them stand on: one [`Library`], its reads, its writes
//! and its end.

pub mod backup;
pub mod check;
mod connection;
mod diagnose;
mod draft;
pub mod file_system;
pub mod files;
pub mod jobs;
mod lenient;
pub mod lock;
pub mod open;
mod path;
pub mod schema;
pub mod timestamp;

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{PoisonError, RwLock};
use std::time::{Duration, Instant};

use rusqlite::{ErrorCode, Transaction, TransactionBehavior};

pub use check::{Finding, Reason};
use connection::{Reader, Stamp, Writer};
pub use lock::Lock;
use open::Pin;
pub use open::{OpenError, Options};

/// The schema version that this program reads and writes.
pub const SCHEMA_VERSION: u32 = 7;

/// How long one try for a lock of the database may take; in between, the caller is asked whether to go on.
const SLICE: Duration = Duration::from_millis(100);

/// The least that a database has: one page of the smallest size. SQLite takes a shorter file for an empty
/// database, and then removes a `-wal` beside it, even when it was opened for reading only.
const SHORTEST: u64 = 512;

/// How long a writer outside a scan waits for the other writers (and a reader for a neighbour's commit).
pub const BUSY_LIMIT: Duration = Duration::from_secs(10);

/// Why something could not be read or written in a library that was opened.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Another file is at the path: what was going on belongs to the one before. The next check adopts it.
    #[error("another library has taken the place of {}: begin anew", .0.display())]
    Replaced(PathBuf),
    /// No file is at the path, or none that can be reached.
    #[error("the library {} cannot be reached", path.display())]
    Unreachable {
        /// The library.
        path: PathBuf,
        /// What stat(2) said.
        source: std::io::Error,
    },
    /// It was opened for reading only.
    #[error("the library {} was opened for reading only", .0.display())]
    ReadOnly(PathBuf),
    /// It was closed: the daemon is stopping.
    #[error("the library {} is closed", .0.display())]
    Closed(PathBuf),
    /// Other programs kept it locked.
    #[error(
        "the library {} stayed locked by another program for {limit:?}: stop that program, or try again when it is done",
        path.display()
    )]
    Busy {
        /// The library.
        path: PathBuf,
        /// How long we waited.
        limit: Duration,
    },
    /// The caller was told to stop while waiting.
    #[error("told to stop while waiting for the library")]
    Cancelled,
    /// Anything that SQLite says.
    #[error("the library {}: SQLite failed", path.display())]
    Sqlite {
        /// The library.
        path: PathBuf,
        /// What it said.
        source: rusqlite::Error,
    },
}

/// An open library. One that only reads keeps no connection beyond its use; one that writes keeps one writer.
#[derive(Debug)]
pub struct Library {
    path: PathBuf,
    /// Where the path led, all links followed, when the library was opened and locked.
    real: PathBuf,
    lock: Option<Lock>,
    /// Whether it was opened to be written: because there are roots to record, or to leave a job for the daemon.
    writes: AtomicBool,
    closed: AtomicBool,
    reader: Reader,
    /// Whoever uses SQLite holds this shared, so that the file behind the path changes hands
    /// ([`Library::check`]) and the end comes ([`Library::close`]) only while no connection is open: a
    /// connection to the old file and one to the new would share one `-shm` and undo each other's locks.
    state: RwLock<State>,
}

#[derive(Debug)]
struct State {
    /// The file that was opened.
    pin: Pin,
    /// Counts how often a file was taken into use.
    generation: u64,
    /// When the last one was adopted.
    adopted: Option<Instant>,
    /// With roots; `None` while a new file waits to be adopted, and after the end.
    writer: Option<Writer>,
}

/// See [`Library::fingerprint`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fingerprint {
    library: Stamp,
    wal: Option<Stamp>,
}

/// How long to wait for a locked database.
#[derive(Clone, Copy)]
pub struct Patience<'a> {
    /// Give up after this; `None` = never.
    pub limit: Option<Duration>,
    /// Give up when this says so (looked at every 100 ms).
    pub cancelled: &'a dyn Fn() -> bool,
}

impl<'a> Patience<'a> {
    /// For work outside a scan: 10 s, or until told to stop.
    #[must_use]
    pub fn brief(cancelled: &'a dyn Fn() -> bool) -> Self {
        Self { limit: Some(BUSY_LIMIT), cancelled }
    }

    /// For work inside a scan: until told to stop.
    #[must_use]
    pub fn endless(cancelled: &'a dyn Fn() -> bool) -> Self {
        Self { limit: None, cancelled }
    }

    /// Repeats `attempt`, each of which waits [`SLICE`] inside SQLite, while the database is locked.
    fn retry<T>(self, path: &Path, mut attempt: impl FnMut() -> Result<T, Error>) -> Result<T, Error> {
        let start = Instant::now();
        loop {
            match attempt() {
                Err(Error::Sqlite { source, .. }) if is_busy(&source) => {
                    if (self.cancelled)() {
                        return Err(Error::Cancelled);
                    }
                    if let Some(limit) = self.limit.filter(|limit| start.elapsed() >= *limit) {
                        return Err(Error::Busy { path: path.to_owned(), limit });
                    }
                    // SQLite does not always wait: a snapshot that is out of date, or a lock whose waiting
                    // would be a deadlock, is told at once.
                    std::thread::sleep(Duration::from_millis(1));
                }
                other => return other,
            }
        }
    }
}

impl Patience<'static> {
    /// For a step that nobody calls off, because it is short: gives up after `limit`; with zero it does not wait at all.
    #[must_use]
    pub fn within(limit: Duration) -> Self {
        Self { limit: Some(limit), cancelled: &|| false }
    }
}

/// Someone else holds a lock.
pub(crate) fn is_busy(error: &rusqlite::Error) -> bool {
    matches!(
        error.sqlite_error_code(),
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked | ErrorCode::FileLockingProtocolFailed)
    )
}

impl Library {
    /// The library's file, absolute, as it was named.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The lock; `None` where none could be written, or none was asked for.
    #[must_use]
    pub fn lock(&self) -> Option<&Lock> {
        self.lock.as_ref()
    }

    /// What tells one state of the library from another without opening it: it changes with every commit.
    /// `None` when the library cannot be reached.
    #[must_use]
    pub fn fingerprint(&self) -> Option<Fingerprint> {
        let library = Stamp::at(&self.path)?;
        Some(Fingerprint { library, wal: Stamp::at(&path::companion(&self.path, "-wal")) })
    }

    /// A counter that [`Self::check`] raises when it opens another file at the path, or with roots reopens the same one.
    /// Work that was begun under an older number must start again.
    #[must_use]
    pub fn generation(&self) -> u64 {
        self.state.read().unwrap_or_else(PoisonError::into_inner).generation
    }

    /// Runs `work` in one read transaction on a connection of its own; again from its start, when the library was
    /// locked or someone came between.
    ///
    /// # Errors
    /// [`Error::Replaced`] and [`Error::Unreachable`] when the file at the path is not the open one;
    /// [`Error::Busy`] or [`Error::Cancelled`] when `patience` ends.
    pub fn read<T>(
        &self,
        patience: Patience<'_>,
        mut work: impl FnMut(&Transaction<'_>) -> rusqlite::Result<T>,
    ) -> Result<T, Error> {
        let state = self.state.read().unwrap_or_else(PoisonError::into_inner);
        patience.retry(&self.path, || {
            self.still_there(&state)?;
            self.reader
                .read(SLICE, |connection| work(&connection.unchecked_transaction()?))
                .map_err(|source| self.failed(source))
        })
    }

    /// Runs `work` in one write transaction and commits it; an error of `work` rolls it back.
    ///
    /// # Errors
    /// As [`Self::read`]; [`Error::ReadOnly`] when the library was opened without roots.
    pub fn write<T>(
        &self,
        patience: Patience<'_>,
        work: impl FnOnce(&Transaction<'_>) -> rusqlite::Result<T>,
    ) -> Result<T, Error> {
        let state = self.state.read().unwrap_or_else(PoisonError::into_inner);
        if !self.writes() {
            return Err(Error::ReadOnly(self.path.clone()));
        }
        let Some(writer) = &state.writer else {
            self.still_there(&state)?;
            return Err(Error::Replaced(self.path.clone()));
        };
        let connection = writer.connection();
        let transaction = patience.retry(&self.path, || {
            // SQLite writes happily, and in vain, into a deleted library.
            self.still_there(&state)?;
            Transaction::new_unchecked(&connection, TransactionBehavior::Immediate)
                .map_err(|source| self.failed(source))
        })?;
        let value = work(&transaction).map_err(|source| self.failed(source))?;
        transaction.commit().map_err(|source| self.failed(source))?;
        Ok(value)
    }

    /// Brings the write-ahead log into the library at the end of a piece of work, so that `library.db` alone is complete
    /// for people who copy or replace it. Does nothing without roots; what a reader of another program holds back stays
    /// in the log until the next time.
    ///
    /// # Errors
    /// As [`Self::write`].
    pub fn checkpoint(&self) -> Result<(), Error> {
        let state = self.state.read().unwrap_or_else(PoisonError::into_inner);
        let Some(writer) = &state.writer else { return Ok(()) };
        self.still_there(&state)?;
        writer.checkpoint().map_err(|source| self.failed(source))
    }

    /// Ends it: later reads and writes fail. With roots it waits for those in progress, then the write-ahead log is
    /// brought into the library and goes; without, there is nothing to wait for.
    ///
    /// # Errors
    /// When the last checkpoint failed; the log is then left beside the library, and nothing is lost.
    pub fn close(&self) -> Result<(), Error> {
        let closed = self.closed.swap(true, Ordering::AcqRel);
        if closed || !self.writes() {
            return Ok(());
        }
        let mut state = self.state.write().unwrap_or_else(PoisonError::into_inner);
        let Some(writer) = state.writer.take() else { return Ok(()) };
        match self.same_file(&state) {
            Ok(()) => writer.finish(),
            Err(Error::Replaced(_)) => writer.abandon(true),
            Err(_) => writer.abandon(false),
        }
        .map_err(|source| self.failed(source))
    }

    fn writes(&self) -> bool {
        self.writes.load(Ordering::Acquire)
    }

    fn failed(&self, source: rusqlite::Error) -> Error {
        Error::Sqlite { path: self.path.clone(), source }
    }

    /// Whether the library is open, and the file at the path is the one that was opened.
    fn still_there(&self, state: &State) -> Result<(), Error> {
        if self.closed.load(Ordering::Acquire) {
            return Err(Error::Closed(self.path.clone()));
        }
        self.same_file(state)
    }

    fn same_file(&self, state: &State) -> Result<(), Error> {
        match std::fs::metadata(&self.path) {
            Ok(found) if state.pin.is(&found) => Ok(()),
            Ok(_) => Err(Error::Replaced(self.path.clone())),
            Err(source) => Err(Error::Unreachable { path: self.path.clone(), source }),
        }
    }
}
