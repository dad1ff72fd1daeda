//! Opens a database: examines the path, creates a database where there has never been one, locks it and verifies it, or
//! refuses with the cause and the fix.
//!
//! The order matters. *Examine* the path by stat(2) alone. *Create* only if neither the database nor a trace of a lost one
//! exists: complete in a draft directory, then renamed without replacing anything, so that a crash leaves a database or
//! none. *Lock* only then: so a lock file without a database always means a lost one. *Verify* the content through a
//! connection that only reads ([`recognise`]); a database without a lock file is also verified before it is locked, so that
//! no lock file appears beside another program's database. *Convert* it to WAL mode, if there are roots.

mod create;
mod error;

use std::fs::Metadata;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::SystemTime;

use rusqlite::{Connection, ErrorCode};
use rustix::fs::Access;
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};

use create::create;
pub use error::OpenError;

use super::connection::{self, Reader};
use super::draft;
use super::identity::{Known, Ownership, Row, Stamp, owner_of_log};
use super::integrity::Evidence;
use super::lock::notes::{Fault, Record};
use super::lock::{self, Lock, LockError};
use super::log::{self, Relation};
use super::overwrites::Overwrites;
use super::path::{companion, directory};
use super::session::failure;
use super::{Error, Library, Retry, SHORTEST, State, diagnose, file_system, schema};
use crate::base::retry::{Failure, Stopped};
use crate::base::times::{DATABASE_ATTEMPT_TIMEOUT, DATABASE_START_DEBOUNCE, DATABASE_START_RETRY};

/// How to open.
#[derive(Clone, Copy, Debug, Default)]
pub struct Options<'a> {
    /// There are roots: the library is written.
    pub write: bool,
    /// The path is the default one: its directory may be created too. Anywhere else a missing directory is a
    /// typo or a missing mount.
    pub create_directory: bool,
    /// `$RUNTIME_DIRECTORY`: where the lock goes when the library's directory is not writable.
    pub runtime_directory: Option<&'a Path>,
}

impl Library {
    /// Opens the database at `path` for a daemon (or a scan in the foreground): creates it where there has never been one, and
    /// locks it. Waits up to 1 s for another daemon to exit and up to 10 s for a lock of another program, until `cancel`.
    ///
    /// # Errors
    /// If it is not clearly a library that we may use. It is then unchanged.
    pub fn open(path: &Path, options: Options<'_>, cancel: &CancellationToken) -> Result<Self, OpenError> {
        let path = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
        let found = look(&path).map_err(|error| unless_held(error, options.runtime_directory))?;
        match &found {
            None => create(&path, options.create_directory)?,
            Some(found) if found.nlink() > 1 => warn!(
                path = %path.display(),
                names = found.nlink(),
                "the library has more than one name (hard links): programs that open it by different names destroy it"
            ),
            Some(_) => {}
        }
        if found.is_some() && !lock::was_locked(&path, options.runtime_directory) {
            match recognise(&Reader::new(&path, Arc::default()), &path, cancel)? {
                Recognised::Unfinished if !options.write => {
                    return Err(OpenError::Unfinished { path });
                }
                Recognised::Unfinished | Recognised::Whole => {}
            }
        }
        let lock = match Lock::acquire(&path, options.runtime_directory, cancel) {
            Ok(lock) => Some(lock),
            // Whoever only reads harms no other daemon; it cannot be found by `vpo healthcheck`, that is all.
            Err(error @ LockError::NotWritable { .. }) if !options.write => {
                warn!(
                    reason = %error,
                    "no lock file: `vpo healthcheck` will look at the configured address (remove a lock file that is \
                     left there: it would take it to mean that no daemon runs)"
                );
                None
            }
            Err(LockError::NotWritable { lock, source })
                if diagnose::writable(&path) && diagnose::directory_writable(directory(&path)) =>
            {
                let problem = format!("its lock file {} may not be written: {source}", lock.display());
                return Err(OpenError::Access { path, problem, diagnosis: diagnose::access(&lock) });
            }
            Err(LockError::NotWritable { .. }) => {
                return Err(OpenError::ReadOnly { diagnosis: diagnose::access(&path), path });
            }
            Err(error) => return Err(error.into()),
        };
        if found.is_none()
            && let (Some(lock), Some(stamp)) = (&lock, Stamp::at(&path))
        {
            // It was just created, by this process.
            lock.note_record(Record::new(false, stamp));
        }
        let library = Self::begin(path, lock, options.write, cancel)?;
        if library.lock.is_some() {
            draft::sweep(directory(&library.path));
        }
        Ok(library)
    }

    /// Opens an existing database for reading, without the lock: a daemon may run.
    ///
    /// # Errors
    /// As [`Self::open`]; nothing is ever created.
    pub fn view(path: &Path, cancel: &CancellationToken) -> Result<Self, OpenError> {
        let path = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
        if look(&path).map_err(|error| unless_held(error, None))?.is_none() {
            return Err(OpenError::Missing(path));
        }
        Self::begin(path, None, false, cancel)
    }

    /// Opens a database that another process has locked, to queue a job for that process: without the lock, and without a
    /// conversion.
    ///
    /// # Errors
    /// As [`Self::view`].
    pub fn visit(path: &Path, cancel: &CancellationToken) -> Result<Self, OpenError> {
        let library = Self::view(path, cancel)?;
        if !diagnose::writable(&library.path) {
            let problem = "it may not be written, so nothing can be queued in it".to_owned();
            return Err(access_error(&library.path, problem));
        }
        let proven = Retry::new(cancel).run(&library.path, || {
            let proven = library.reader.open_writer().and_then(|connection| library.prove(connection));
            proven.map_err(|source| library.not_begun(source))
        });
        proven.map_err(|error| refused(&library.path, error))?;
        library.writes.store(true, Ordering::Release);
        Ok(library)
    }

    /// From now on there are roots to record, as if it had been opened so.
    ///
    /// # Errors
    /// Where it cannot be written; it is then read as before.
    pub fn admit_writing(&self, cancel: &CancellationToken) -> Result<(), OpenError> {
        if self.writes() {
            return Ok(());
        }
        let path = &self.path;
        let is_allowed =
            self.lock.is_some() && diagnose::writable(path) && diagnose::directory_writable(directory(path));
        if !is_allowed {
            let diagnosis = diagnose::access(&self.path);
            return Err(OpenError::ReadOnly { path: self.path.clone(), diagnosis });
        }
        let made = Retry::new(cancel).run(path, || {
            let _turn = self
                .gate
                .write(DATABASE_ATTEMPT_TIMEOUT)
                .ok_or_else(|| Failure::Temporary(self.unsettled()))?;
            let stamp = self.reachable()?;
            // Nothing is written to a damaged file; should another take its place, the first session converts that.
            if self.state().evidence.damage().is_some() {
                return Ok((stamp, "wal".to_owned()));
            }
            let made = self.make_writable(stamp).map_err(|source| self.not_begun(source))?;
            if made.0 != stamp {
                self.overwrites().converted();
            }
            let mut state = self.state();
            // What another program has changed meanwhile is not known yet, and stays for the next check.
            if state.known.stamp == stamp {
                state.known.stamp = made.0;
            }
            Ok(made)
        });
        let (after, journal) = made.map_err(|error| refused(path, error))?;
        if journal != "wal" {
            let file_system = file_system::name_at(path);
            return Err(OpenError::NoWal { path: path.clone(), mode: journal, file_system });
        }
        if let Some(lock) = &self.lock {
            lock.note_record(Record::new(false, after));
        }
        self.writes.store(true, Ordering::Release);
        Ok(())
    }

    fn begin(
        path: PathBuf,
        lock: Option<Lock>,
        may_write: bool,
        cancel: &CancellationToken,
    ) -> Result<Self, OpenError> {
        let stamp = wait_until_still(&path, lock.as_ref(), cancel)?;
        let real = super::path::real(&path);
        let closed = Arc::new(AtomicBool::new(false));
        let state = State {
            known: Known { stamp, row: None },
            lineage: None,
            settling: None,
            generation: 0,
            adopted: None,
            log_seen: None,
            log_tried: None,
            lost: None,
            frames: None,
            let_go: None,
            evidence: Evidence::new(),
        };
        let reader = Reader::new(&path, Arc::clone(&closed));
        let library = Self {
            overwrites: Mutex::new(Overwrites::new(&real, reader.opened())),
            reader,
            real,
            path,
            lock,
            writes: AtomicBool::new(false),
            closed,
            gate: Arc::default(),
            state: Mutex::new(state),
        };
        library.settle_log()?;
        let (path, reader) = (&library.path, &library.reader);
        if let Recognised::Unfinished = recognise(reader, path, cancel)? {
            if !may_write {
                return Err(OpenError::Unfinished { path: path.clone() });
            }
            undo(reader, path, cancel)?;
            if let Recognised::Unfinished = recognise(reader, path, cancel)? {
                return Err(OpenError::Unfinished { path: path.clone() });
            }
        }
        library.take_into_use(cancel)?;
        if may_write {
            library.admit_writing(cancel)?;
        }
        Ok(library)
    }

    /// Learns what identifies the content that is there.
    fn take_into_use(&self, cancel: &CancellationToken) -> Result<(), OpenError> {
        let found = Retry::new(cancel).run(&self.path, || {
            let stamp = self.reachable()?;
            let row = self.reader.read(DATABASE_ATTEMPT_TIMEOUT, |connection| Row::read(connection));
            row.map(|row| Known { stamp, row }).map_err(|source| self.not_begun(source))
        });
        let known = found.map_err(|error| refused(&self.path, error))?;
        let fault = self.lock.as_ref().and_then(|lock| lock.notes().fault);
        let mut state = self.state();
        // A rename or a change of the mode does not repair it.
        let fault = fault.filter(|fault| fault.stamp.is_same_content(&known.stamp));
        state.evidence.fault = fault.map(|fault| Fault { stamp: known.stamp, ..fault });
        state.known = known;
        Ok(())
    }

    /// Decides about a log that a killed process has left: whether it belongs to the file beside it, or to one that was there
    /// before. What cannot be decided is refused, and nothing is changed.
    fn settle_log(&self) -> Result<(), OpenError> {
        let Some(lock) = &self.lock else { return Ok(()) };
        let record = lock.notes().record.filter(Record::is_of_this_boot);
        if !self.has_log() {
            if record.is_some_and(|record| record.begun) {
                self.state().evidence.hold();
            }
            return Ok(());
        }
        let now = Stamp::at(&self.path);
        if record.as_ref().zip(now).is_some_and(|(record, now)| record.stamp.is_same_content(&now)) {
            // Nothing has been written to it since; perhaps it was renamed and back.
            return Ok(());
        }
        if self.is_in_use() {
            debug!("another program has the database and its log open");
            self.state().evidence.hold();
            return Ok(());
        }
        let relation =
            log::compare(&self.path).map_err(|error| access_error(&self.path, error.to_string()))?;
        if relation == Relation::AddsNothing {
            debug!("the log that was left adds nothing to the database");
            return Ok(());
        }
        // The file changed after the daemon left it. The row that the log continues does not show whether a checkpoint was cut
        // short: a backup may have that row too, and other rows of other programs. Pages of the log do, if the file has not
        // changed long after it.
        let is_cut_short = |record: &Record| {
            let is_soon = now.is_some_and(|now| log::is_checkpoint_time(&self.path, now));
            record.begun && relation == Relation::Continues && is_soon
        };
        let is_partial = record.as_ref().is_none_or(is_cut_short);
        let main = self.reader.read_as_it_is(|connection| Row::read(connection));
        let log = self.reader.read(DATABASE_ATTEMPT_TIMEOUT, |connection| Row::read(connection));
        let (belongs, is_same_row) = match (main, log) {
            (Ok(main), Ok(log)) => (
                owner_of_log(main.as_ref(), log.as_ref(), is_partial) == Ownership::Belongs,
                Row::is_same(main.as_ref(), log.as_ref()),
            ),
            _ => (false, false),
        };
        // Or another layout of pages (`VACUUM INTO`).
        let is_sound_alone = self.reader.read_as_it_is(is_sound).unwrap_or(false);
        let is_sound_with_log = relation != Relation::Foreign
            && self.reader.read(DATABASE_ATTEMPT_TIMEOUT, is_sound).unwrap_or(false);
        // A log without our row (of another program, or of a queued scan) of which nothing is in the file, and the file changed
        // after it: most likely a backup was copied over the file.
        let is_older = now.is_some_and(|now| log::is_older(&self.path, now));
        let is_foreign = is_same_row && record.is_some() && is_older && relation == Relation::Adds;
        debug!(
            ?relation,
            belongs, is_sound_alone, is_sound_with_log, is_foreign, "a log that a killed program has left"
        );
        self.state().evidence.hold();
        match (belongs && !is_foreign, is_sound_alone, is_sound_with_log) {
            (true, _, true) | (false, false, true) => Ok(()),
            (_, true, _) if self.set_log_aside() => Ok(()),
            _ => Err(OpenError::Undecided { path: self.path.clone() }),
        }
    }
}

/// Whether all of a database holds together.
fn is_sound(connection: &mut Connection) -> rusqlite::Result<bool> {
    // It takes as long as it takes, before the daemon begins its work.
    connection.progress_handler(0, None::<fn() -> bool>)?;
    let answer = connection.query_row("PRAGMA integrity_check(1)", [], |row| row.get::<_, String>(0))?;
    Ok(answer == "ok")
}

/// The stamp of the file at the path, once nothing changes it: a copy may be in progress. What we have left ourselves is not
/// waited for.
fn wait_until_still(
    path: &Path,
    lock: Option<&Lock>,
    cancel: &CancellationToken,
) -> Result<Stamp, OpenError> {
    let record = lock.and_then(|lock| lock.notes().record).filter(Record::is_of_this_boot);
    // A failed attempt holds the stamp of a file that may still change, or why there is no stamp.
    let attempt = || {
        let found = look(path).and_then(|found| found.ok_or_else(|| OpenError::Missing(path.to_owned())));
        let found = found.map_err(|error| Failure::Permanent(Err(error)))?;
        let stamp = Stamp::of(&found);
        let is_ours = record.as_ref().is_some_and(|record| record.stamp == stamp);
        let age = found.modified().ok().and_then(|time| SystemTime::now().duration_since(time).ok());
        // A time in the future cannot be used.
        let is_still = is_ours || age.is_none_or(|age| age >= DATABASE_START_DEBOUNCE) || lock.is_none();
        if is_still { Ok(stamp) } else { Err(Failure::Temporary(Ok(stamp))) }
    };
    DATABASE_START_RETRY.run(Some(cancel), attempt).or_else(|stopped| match stopped {
        Stopped::Cancelled => Err(OpenError::Library(Error::Cancelled)),
        Stopped::TimedOut(found) | Stopped::Failed(found) => found,
    })
}

/// What is at the path, by stat(2) alone (opening a pipe or a dead share would block); `None` where there has
/// never been a library.
fn look(path: &Path) -> Result<Option<Metadata>, OpenError> {
    match std::fs::metadata(path) {
        Ok(found) if !found.is_file() => {
            Err(OpenError::NotAFile { path: path.to_owned(), kind: diagnose::kind(&found) })
        }
        // Even an opening for reading would make SQLite remove a `-wal` beside it.
        Ok(found) if found.len() < SHORTEST => {
            Err(OpenError::TooShort { path: path.to_owned(), length: found.len() })
        }
        Ok(found) => Ok(Some(found)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            if let Ok(target) = path.read_link() {
                return Err(OpenError::DanglingLink { path: path.to_owned(), target });
            }
            let beside: Vec<PathBuf> =
                [super::path::lock(path), companion(path, "-wal"), companion(path, "-journal")]
                    .into_iter()
                    .filter(|trace| trace.symlink_metadata().is_ok())
                    .collect();
            if beside.is_empty() { Ok(None) } else { Err(OpenError::Lost { path: path.to_owned(), beside }) }
        }
        Err(error) => Err(match diagnose::fault(path, &error) {
            Some(problem) => OpenError::Way { path: path.to_owned(), problem },
            None => access_error(path, error.to_string()),
        }),
    }
}

/// A lost database whose daemon still runs is reported as in use. Without its lock file, which the hint for a lost database
/// says to delete, a second daemon could start.
fn unless_held(error: OpenError, runtime_directory: Option<&Path>) -> OpenError {
    match error {
        OpenError::Lost { path, beside } => match lock::held(&path, runtime_directory) {
            Some(held) => held.into(),
            None => OpenError::Lost { path, beside },
        },
        other => other,
    }
}

fn access_error(path: &Path, problem: String) -> OpenError {
    OpenError::Access { path: path.to_owned(), problem, diagnosis: diagnose::access(path) }
}

/// A library of ours, by what is in it.
enum Recognised {
    /// It can be read.
    Whole,
    /// A program died while it wrote, and SQLite reads nothing before that is undone.
    Unfinished,
}

/// Verifies the content, through a connection that only reads.
fn recognise(reader: &Reader, path: &Path, cancel: &CancellationToken) -> Result<Recognised, OpenError> {
    let found = Retry::new(cancel).run(path, || {
        reader
            .read(DATABASE_ATTEMPT_TIMEOUT, |connection| {
                schema::verify(&*connection.unchecked_transaction()?)
            })
            .map_err(|source| failure(path, source))
    });
    let unused =
        || reader.read(DATABASE_ATTEMPT_TIMEOUT, |connection| schema::unused(connection)).unwrap_or_default();
    match found {
        Ok(Ok(())) => {
            let unused = unused();
            if !unused.is_empty() {
                warn!(path = %path.display(), "triggers and views are not used: {}", unused.join(", "));
            }
            Ok(Recognised::Whole)
        }
        Ok(Err(mismatch)) => Err(OpenError::NotOurs { path: path.to_owned(), mismatch }),
        // Rolling back a hot journal modifies the file, so verify the schema first, without applying the journal.
        Err(Error::Sqlite { source, .. }) if connection::is_unfinished(&source) => {
            match reader.read_as_it_is(|connection| schema::verify(connection)) {
                Ok(Ok(())) => Ok(Recognised::Unfinished),
                Ok(Err(mismatch)) => Err(OpenError::NotOurs { path: path.to_owned(), mismatch }),
                Err(_) => Err(OpenError::Unfinished { path: path.to_owned() }),
            }
        }
        Err(error) => Err(refused(path, error)),
    }
}

/// Rolls back the unfinished write of a program that died, as every SQLite program that may write does.
fn undo(reader: &Reader, path: &Path, cancel: &CancellationToken) -> Result<(), OpenError> {
    let sqlite = |source| failure(path, source);
    Retry::new(cancel)
        .run(path, || {
            let writer = reader.open_writer().map_err(sqlite)?;
            writer.query_row("SELECT count(*) FROM sqlite_master", [], |_| Ok(())).map_err(sqlite)
        })
        .map_err(|error| refused(path, error))?;
    warn!(path = %path.display(), "another program died while it wrote to the library; its unfinished write was undone");
    Ok(())
}

/// The reason to refuse, for an error.
fn refused(path: &Path, error: Error) -> OpenError {
    match error {
        Error::Sqlite { source, .. } => refusal(path, source),
        other => other.into(),
    }
}

/// The reason to refuse, for an error of SQLite.
fn refusal(path: &Path, source: rusqlite::Error) -> OpenError {
    let directory = directory(path);
    let path = path.to_owned();
    match source.sqlite_error_code() {
        Some(ErrorCode::NotADatabase) => OpenError::NotADatabase { path },
        Some(ErrorCode::DatabaseCorrupt) => OpenError::Corrupt { path, problem: source.to_string() },
        Some(ErrorCode::CannotOpen | ErrorCode::ReadOnly)
            if connection::all_allow(Access::READ_OK, &path) && !diagnose::directory_writable(directory) =>
        {
            OpenError::WalDirectory { diagnosis: diagnose::access(&path), path }
        }
        Some(
            ErrorCode::CannotOpen
            | ErrorCode::ReadOnly
            | ErrorCode::PermissionDenied
            | ErrorCode::DiskFull
            | ErrorCode::SystemIoFailure,
        ) => access_error(&path, source.to_string()),
        _ => OpenError::Library(Error::Sqlite { path, source }),
    }
}
