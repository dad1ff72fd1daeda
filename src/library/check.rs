//! The check that can fail: one look at the library as a stranger would take it (stat, open afresh, read,
//! close).
//!
//! `SELECT 1` makes no file access in SQLite, and a kept connection misses an overwritten header or schema page,
//! and `chmod`. So each look stats the path first (opening a pipe or a dead share blocks for good, and opening
//! an empty file makes SQLite remove the `-wal` beside it), then reads the version and a row through a connection of its own. It
//! knows no deadline: whoever calls it minds the clock.

use std::fs::Metadata;
use std::io;
use std::path::Path;
use std::sync::atomic::Ordering;
use std::sync::{PoisonError, TryLockError};
use std::time::{Duration, Instant};

use rusqlite::{Connection, ErrorCode};
use rustix::fs::Access;
use tracing::{info, warn};

use super::connection::{self, Reader};
use super::lock::LockError;
use super::open::{Pin, open_writer};
use super::schema::{self, Mismatch};
use super::{Library, OpenError, SHORTEST, State, diagnose, is_busy, path};

/// How long a look waits for a neighbour's commit: less than the 80 ms after which a check counts as late.
const BUSY: Duration = Duration::from_millis(60);

/// How long a replaced library is warned about.
const REPLACED: Duration = Duration::from_secs(60);

/// What is wrong. The names ([`Reason::as_str`]) are part of the public contract.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// Nothing is at the path.
    Missing,
    /// Something else than a SQLite database, or nothing in it.
    NotADatabase,
    /// A database that does not hold together.
    Corrupt,
    /// A database of another program or time.
    WrongSchema,
    /// We may not read it.
    PermissionDenied,
    /// Another program keeps it locked.
    Locked,
    /// The system cannot read it.
    IoError,
    /// It can be read but not written.
    ReadOnly,
    /// Another valid library has just taken its place.
    Replaced,
    /// The lock file is not ours any more: another daemon may be at work on the library.
    LockLost,
}

impl Reason {
    /// The stable name.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Missing => "missing",
            Self::NotADatabase => "not_a_database",
            Self::Corrupt => "corrupt",
            Self::WrongSchema => "wrong_schema",
            Self::PermissionDenied => "permission_denied",
            Self::Locked => "locked",
            Self::IoError => "io_error",
            Self::ReadOnly => "read_only",
            Self::Replaced => "replaced",
            Self::LockLost => "lock_lost",
        }
    }

    /// Whether the library is usable all the same.
    #[must_use]
    pub fn is_warning(self) -> bool {
        matches!(self, Self::ReadOnly | Self::Replaced | Self::LockLost)
    }
}

/// What a check found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// `None` when all is well.
    pub reason: Option<Reason>,
    /// One line for people.
    pub detail: Option<String>,
    /// It was only found busy (a neighbour's commit): worth another look before it is believed.
    pub busy: bool,
}

/// What stops a look.
struct Fault {
    reason: Reason,
    detail: String,
    busy: bool,
}

impl Fault {
    fn new(reason: Reason, detail: impl Into<String>) -> Self {
        Self { reason, detail: detail.into(), busy: false }
    }
}

impl Library {
    /// Takes one look. Blocks as long as the file system does.
    ///
    /// A valid library with another inode at the path is adopted here, and [`Self::generation`] rises.
    pub fn check(&self) -> Finding {
        // Put the lock file back only where a library is, never into a directory whose mount is gone. But also when the
        // library is unusable, and before the look, which may hang: without the file a second daemon could start.
        let kept = self.is_there().then(|| self.put_lock_back());
        let found = self.look();
        let kept = kept.or_else(|| found.is_ok().then(|| self.put_lock_back()));
        let lock_lost = kept.and_then(Result::err).map(|error| {
            let error: &dyn std::error::Error = &error;
            let cause = error.source().map(|cause| format!(": {cause}")).unwrap_or_default();
            format!(
                "the lock file was removed, replaced or overwritten, and cannot be had again: {error}{cause}"
            )
        });
        let state = self.state.read().unwrap_or_else(PoisonError::into_inner);
        let (reason, detail, busy) = match found {
            Err(fault) => (Some(fault.reason), Some(fault.detail), fault.busy),
            Ok(()) if lock_lost.is_some() => (Some(Reason::LockLost), lock_lost, false),
            Ok(()) if state.adopted.is_some_and(|when| when.elapsed() < REPLACED) => {
                let detail = "another valid library has taken the place of the one before, and is used now";
                (Some(Reason::Replaced), Some(detail.to_owned()), false)
            }
            Ok(()) if !self.may_write() => {
                (Some(Reason::ReadOnly), Some(diagnose::access(&self.path)), false)
            }
            Ok(()) => (None, None, false),
        };
        Finding { reason, detail, busy }
    }

    fn look(&self) -> Result<(), Fault> {
        let found = stat(&self.path)?;
        // The same file by another name has another `-wal` beside it, and another lock.
        if std::fs::symlink_metadata(&self.path).is_ok_and(|found| found.is_symlink()) {
            self.leads_where_it_did()?;
        }
        let state = self.state.read().unwrap_or_else(PoisonError::into_inner);
        let in_use = state.pin.is(&found) && (state.writer.is_some() || !self.writes());
        if in_use || self.closed.load(Ordering::Acquire) {
            // While our writer is open SQLite reuses its old descriptor, and would not notice a chmod: so ask access(2).
            if !diagnose::readable(&self.path) {
                let detail = format!("{}: {}", self.path.display(), diagnose::access(&self.path));
                return Err(Fault::new(Reason::PermissionDenied, detail));
            }
            return examine(&self.reader, &self.path, &found);
        }
        drop(state);
        self.adopt()
    }

    /// Sees to it that the lock file beside the library is there and ours, as [`Self::check`] does: for who does not check.
    ///
    /// # Errors
    /// As [`Lock::keep`](super::Lock::keep).
    pub fn keep_lock(&self) -> Result<(), LockError> {
        if self.is_there() { self.put_lock_back() } else { Ok(()) }
    }

    fn is_there(&self) -> bool {
        std::fs::symlink_metadata(&self.real).is_ok_and(|found| found.is_file())
    }

    fn put_lock_back(&self) -> Result<(), LockError> {
        let Some(lock) = &self.lock else { return Ok(()) };
        if lock.keep()? {
            warn!(
                path = %lock.path().display(),
                "the lock file was removed, replaced or overwritten; it is as it was again, and locked. Leave it alone: \
                 without it a second daemon may start on this library"
            );
        }
        Ok(())
    }

    fn may_write(&self) -> bool {
        let directory = path::directory(&self.path);
        diagnose::writable(&self.path) && diagnose::directory_writable(directory)
    }

    fn leads_where_it_did(&self) -> Result<(), Fault> {
        let real = path::real(&self.path);
        if real == self.real {
            return Ok(());
        }
        let detail = format!(
            "{} now leads to {}, which this daemon has not locked (it did to {}): restart it to use that library",
            self.path.display(),
            real.display(),
            self.real.display()
        );
        Err(Fault::new(Reason::Missing, detail))
    }

    /// Another file is at the path, or the one from before is back: let go of what is open, and take what is
    /// there if it is a library.
    fn adopt(&self) -> Result<(), Fault> {
        self.leads_where_it_did()?;
        // Reads and writes in progress find out for themselves; until they have, look again later.
        let start = Instant::now();
        let mut state = loop {
            match self.state.try_write() {
                Ok(state) => break state,
                Err(TryLockError::Poisoned(poisoned)) => break poisoned.into_inner(),
                Err(TryLockError::WouldBlock) if start.elapsed() < BUSY => {
                    std::thread::sleep(Duration::from_millis(1));
                }
                Err(TryLockError::WouldBlock) => {
                    let detail =
                        "another library has been put in place; work on the one before is just ending";
                    return Err(Fault { reason: Reason::Locked, detail: detail.into(), busy: true });
                }
            }
        };
        if let Some(writer) = state.writer.take()
            && let Err(error) = writer.abandon(true)
        {
            warn!(path = %self.path.display(), %error, "the library that was replaced could not be closed cleanly");
        }
        let pin = Pin::new(&self.path).map_err(|error| io_fault(&self.path, &error))?;
        let found = stat(&self.path)?;
        if !pin.is(&found) {
            // It changes under our eyes: the next check sees what has become of it.
            return Err(Fault {
                reason: Reason::Missing,
                detail: "it is just being replaced".into(),
                busy: true,
            });
        }
        examine(&self.reader, &self.path, &found)?;
        let writer = if self.writes() {
            Some(open_writer(&self.reader, &self.path, &|| start.elapsed() > BUSY).map_err(writer_fault)?)
        } else {
            None
        };
        let path = self.path.display();
        let adopted = if state.pin.is(&found) {
            info!(%path, "the library is back");
            state.adopted
        } else {
            // No warning: the check warns, and whoever shows it says so.
            info!(%path, "another valid library has taken the place of the one before: it is used now");
            Some(Instant::now())
        };
        // Work that was stopped by the change begins anew in either case.
        *state = State { pin, generation: state.generation + 1, adopted, writer };
        Ok(())
    }
}

/// The path must name a file with something in it.
fn stat(path: &Path) -> Result<Metadata, Fault> {
    let found = std::fs::metadata(path).map_err(|error| io_fault(path, &error))?;
    if !found.is_file() {
        let detail = format!("{} is {}", path.display(), diagnose::kind(&found));
        return Err(Fault::new(Reason::NotADatabase, detail));
    }
    if found.len() < SHORTEST {
        let detail = format!("{} has {} bytes, fewer than any database", path.display(), found.len());
        return Err(Fault::new(Reason::NotADatabase, detail));
    }
    Ok(found)
}

/// Opens, reads, closes.
fn examine(reader: &Reader, path: &Path, found: &Metadata) -> Result<(), Fault> {
    let sight = reader.read(BUSY, |connection| {
        Ok(match read(connection)? {
            Ok(extent) => Sight::Library { cut: cut(connection, path, found.len(), &extent) },
            Err(mismatch) => Sight::Other(mismatch),
        })
    });
    match sight.map_err(|error| sqlite_fault(path, &error))? {
        Sight::Library { cut: None } => Ok(()),
        Sight::Library { cut: Some(detail) } => Err(Fault::new(Reason::Corrupt, detail)),
        Sight::Other(mismatch) => {
            Err(Fault::new(Reason::WrongSchema, format!("{} {mismatch}", path.display())))
        }
    }
}

/// What a look through SQLite shows.
enum Sight {
    Library { cut: Option<String> },
    Other(Mismatch),
}

/// How long a database says it is.
struct Extent {
    pages: u64,
    page_size: u64,
}

/// The version, a row, and how long the database says it is, in one read transaction.
fn read(connection: &Connection) -> rusqlite::Result<Result<Extent, Mismatch>> {
    let transaction = connection.unchecked_transaction()?;
    if let Err(mismatch) = schema::version(&transaction)? {
        return Ok(Err(mismatch));
    }
    // The path is in the table itself: an index alone would not show that the table is there.
    match transaction.query_row("SELECT path, filename FROM files LIMIT 1", [], |_| Ok(())) {
        Ok(()) | Err(rusqlite::Error::QueryReturnedNoRows) => {}
        Err(error) if error.sqlite_error_code() == Some(ErrorCode::Unknown) => {
            return Ok(Err(Mismatch::Incomplete { missing: vec!["files".to_owned()] }));
        }
        Err(error) => return Err(error),
    }
    let pragma = |sql| transaction.query_row(sql, [], |row| row.get::<_, u32>(0)).map(u64::from);
    Ok(Ok(Extent { pages: pragma("PRAGMA page_count")?, page_size: pragma("PRAGMA page_size")? }))
}

/// Says so when the file is shorter than it must be. Without a write-ahead log SQLite has seen to that itself;
/// with one it takes the log's word for the length. Pages that are not in the file yet must all be among those
/// frames of the log that no checkpoint has copied: fewer frames than pages means that the file was cut.
fn cut(connection: &Connection, path: &Path, length: u64, extent: &Extent) -> Option<String> {
    let &Extent { pages, page_size } = extent;
    if length >= pages * page_size {
        return None;
    }
    // A log that we may not write does not tell.
    let frames = connection.query_row("PRAGMA wal_checkpoint = NOOP", [], |row| {
        Ok((row.get::<_, i64>(1)?, row.get::<_, i64>(2)?))
    });
    let (log, copied) = frames.ok()?;
    let pending = u64::try_from(log - copied).unwrap_or(0);
    // A checkpoint may have made the file longer since.
    let length = std::fs::metadata(path).map_or(length, |found| found.len());
    (pages.saturating_sub(length / page_size) > pending)
        .then(|| format!("{} was cut short: {length} bytes of {}", path.display(), pages * page_size))
}

fn io_fault(path: &Path, error: &io::Error) -> Fault {
    let reason = match error.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => {
            // Who owns what does not matter where nothing is.
            let gone = path.ancestors().take_while(|part| !part.exists()).last().unwrap_or(path);
            let detail =
                format!("{} is not there: restore a backup, or mount what belongs there", gone.display());
            return Fault::new(Reason::Missing, detail);
        }
        io::ErrorKind::PermissionDenied => Reason::PermissionDenied,
        _ => Reason::IoError,
    };
    let why = diagnose::fault(path, error).unwrap_or_else(|| diagnose::access(path));
    Fault::new(reason, format!("{}: {error}: {why}", path.display()))
}

/// What an error of SQLite means.
fn sqlite_fault(path: &Path, error: &rusqlite::Error) -> Fault {
    if is_busy(error) {
        let detail = format!("another program keeps {} locked", path.display());
        return Fault { reason: Reason::Locked, detail, busy: true };
    }
    let said = |reason| Fault::new(reason, format!("{}: {error}", path.display()));
    match error.sqlite_error_code() {
        Some(ErrorCode::NotADatabase) => said(Reason::NotADatabase),
        Some(ErrorCode::DatabaseCorrupt) => said(Reason::Corrupt),
        Some(ErrorCode::ReadOnly) if connection::is_unfinished(error) => Fault {
            reason: Reason::Locked,
            detail: format!("{} holds an unfinished write of another program", path.display()),
            busy: true,
        },
        Some(ErrorCode::CannotOpen | ErrorCode::PermissionDenied | ErrorCode::ReadOnly) => {
            // SQLite keeps the system's reason to itself.
            let reason = match std::fs::metadata(path) {
                Err(error) => return io_fault(path, &error),
                Ok(_) if !connection::all_allow(Access::READ_OK, path) => Reason::PermissionDenied,
                Ok(_) if !diagnose::directory_writable(path::directory(path)) => Reason::PermissionDenied,
                Ok(_) => Reason::IoError,
            };
            let detail = format!("{}: {error}: {}", path.display(), diagnose::access(path));
            // What is beside the library may have been shut for a moment only: root's SQLite makes a `-shm`, and then gives
            // it to the library's owner.
            let busy = diagnose::readable(path) && diagnose::directory_writable(path::directory(path));
            Fault { reason, detail, busy }
        }
        _ => said(Reason::IoError),
    }
}

/// Why the new library cannot be written.
fn writer_fault(error: OpenError) -> Fault {
    let detail = error.to_string();
    match error {
        error if error.is_cancelled() => Fault { reason: Reason::Locked, detail, busy: true },
        OpenError::ReadOnly { .. } => Fault::new(Reason::PermissionDenied, detail),
        OpenError::Access { path, .. } if !connection::all_allow(Access::WRITE_OK, &path) => {
            Fault::new(Reason::PermissionDenied, detail)
        }
        _ => Fault::new(Reason::IoError, detail),
    }
}
