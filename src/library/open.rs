//! Opens a database: examines the path, creates a database if there has never been one, locks it and verifies it. Or refuses,
//! with the cause and the fix.
//!
//! The order matters. *Examine* the path by stat(2) alone. *Create* only if neither the database nor a trace of a lost one
//! exists: complete in a draft directory, then renamed without replacing anything, so that a crash leaves a database or
//! none. *Lock* only then: so a lock file without a database always means a lost one. *Verify* the content through a
//! connection that only reads ([`mod@recognise`]); a database without a lock file is also verified before it is locked, so that
//! no lock file appears beside another program's database. *Convert* it to WAL mode, if there are roots.

mod create;
mod error;
mod leftover;
mod recognise;
mod refusal;

use std::fs::Metadata;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::SystemTime;

use tokio_util::sync::CancellationToken;
use tracing::warn;

use create::create;
pub use error::OpenError;
use recognise::{Recognised, recognise};
use refusal::{access_error, refused};

use super::check::reason::Reason;
use super::connection::Reader;
use super::draft;
use super::identity::{Known, Stamp};
use super::integrity::Evidence;
use super::lock::notes::{Fault, Record};
use super::lock::{self, Lock, LockError};
use super::overwrites::Overwrites;
use super::path::{companion, directory};
use super::session::failure;
use super::{Error, Library, Retry, SHORTEST, State, diagnose, file_system};
use crate::base::retry::{Failure, Stopped};
use crate::base::times::{DATABASE_ATTEMPT_TIMEOUT, DATABASE_START_DEBOUNCE, DATABASE_START_RETRY};

/// How to open.
#[derive(Clone, Copy, Debug, Default)]
pub struct Options<'a> {
    /// Whether there are roots, so that the database is written.
    pub write: bool,
    /// Whether the path is the default one, whose directory may be created. Anywhere else an absent directory is a typo or a
    /// missing mount.
    pub create_directory: bool,
    /// `$RUNTIME_DIRECTORY`: contains the lock file if the directory of the database is not writable.
    pub runtime_directory: Option<&'a Path>,
}

impl Library {
    /// Opens the database at `path` for a daemon or a scan in the foreground: creates it if there has never been one, and
    /// locks it. Waits up to 1 s for another daemon to exit and up to 10 s for a lock of another program, until `cancel`.
    ///
    /// # Errors
    /// If it is not clearly a database of VPO that may be used. It is then unchanged.
    pub fn open(path: &Path, options: Options<'_>, cancel: &CancellationToken) -> Result<Self, OpenError> {
        let path = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
        let found = look(&path).map_err(|error| unless_held(error, options.runtime_directory))?;
        match &found {
            None => create(&path, options.create_directory)?,
            Some(found) if found.nlink() > 1 => warn!(
                path = %path.display(),
                names = found.nlink(),
                "the database has several names (hard links); programs that open it by different names damage it. Keep one name"
            ),
            Some(_) => {}
        }
        if found.is_some() && !lock::was_locked(&path, options.runtime_directory) {
            match recognise(&Reader::new(&path, Arc::default()), &path, cancel)? {
                Recognised::Unfinished if !options.write => {
                    return Err(OpenError::Unfinished { path });
                }
                Recognised::Unfinished | Recognised::Whole(_) => {}
            }
        }
        let lock = match Lock::acquire(&path, options.runtime_directory, cancel) {
            Ok(lock) => Some(lock),
            // Without roots nothing is written, so a lock is not needed. `vpo healthcheck` cannot find the daemon.
            Err(error @ LockError::NotWritable { .. }) if !options.write => {
                warn!(
                    reason = %error,
                    "running without a lock file; `vpo healthcheck` uses the configured address. Remove an old lock file: with it, \
                     `vpo healthcheck` reports that no daemon runs"
                );
                None
            }
            Err(LockError::NotWritable { lock, source })
                if diagnose::writable(&path) && diagnose::directory_writable(directory(&path)) =>
            {
                let problem = format!("no permission to write its lock file {}: {source}", lock.display());
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
            // This process has just created it.
            lock.note_record(Record::new(false, stamp));
        }
        let library = Self::begin(path, lock, options.write, cancel)?;
        if library.lock.is_some() {
            draft::sweep(directory(&library.path));
        }
        Ok(library)
    }

    /// As [`Library::count_damaged_start`], of a database that is too damaged to be opened; `None` for another `error`, and where
    /// that cannot be noted.
    #[must_use]
    pub fn count_unopened_start(
        path: &Path,
        runtime_directory: Option<&Path>,
        error: &OpenError,
        cancel: &CancellationToken,
    ) -> Option<(u32, String)> {
        let reason = match error {
            OpenError::Corrupt { .. } => Reason::Corrupt,
            OpenError::NotADatabase { .. } => Reason::NotADatabase,
            _ => return None,
        };
        let path = std::path::absolute(path).ok()?;
        // A file that no daemon has used gets no lock file.
        if !lock::was_locked(&path, runtime_directory) {
            return None;
        }
        let lock = Lock::acquire(&path, runtime_directory, cancel).ok()?;
        let stamp = Stamp::at(&path)?;
        let noted = lock.notes().fault.filter(|fault| fault.stamp.is_same_content(&stamp));
        let mut fault =
            noted.unwrap_or_else(|| Fault { starts: 0, reason, stamp, detail: error.to_string() });
        fault.starts += 1;
        lock.note_fault(Some(fault.clone()));
        Some((fault.starts, fault.detail))
    }

    /// Opens an existing database for reading, without the lock: a daemon may run.
    ///
    /// # Errors
    /// As [`Self::open`]; nothing is ever created.
    pub fn view(path: &Path, cancel: &CancellationToken) -> Result<Self, OpenError> {
        let path = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
        if look(&path)?.is_none() {
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
            let problem = "no permission to write it, so no job can be queued".to_owned();
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

    /// Opens the database for writing, because there are roots now.
    ///
    /// # Errors
    /// If it cannot be written. It is then read as before.
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
            // Nothing is written to a damaged file. If another one replaces it, the first session converts that.
            if self.state().evidence.damage().is_some() {
                return Ok((stamp, "wal".to_owned()));
            }
            let made = self.make_writable(stamp).map_err(|source| self.not_begun(source))?;
            if made.0 != stamp {
                self.overwrites().converted();
            }
            let mut state = self.state();
            // A change by another program meanwhile is left for the next check.
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
            unsaved: None,
            is_log_stuck: false,
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
        let mut found = recognise(reader, path, cancel)?;
        if matches!(found, Recognised::Unfinished) && may_write {
            let undone =
                Retry::new(cancel).run(path, || reader.undo().map_err(|source| failure(path, source)));
            undone.map_err(|error| refused(path, error))?;
            found = recognise(reader, path, cancel)?;
        }
        let Recognised::Whole(known) = found else {
            return Err(OpenError::Unfinished { path: path.clone() });
        };
        library.take_into_use(known)?;
        if may_write {
            library.admit_writing(cancel)?;
        }
        Ok(library)
    }

    /// Uses the content that was recognised.
    fn take_into_use(&self, known: Known) -> Result<(), OpenError> {
        let fault = self.lock.as_ref().and_then(|lock| lock.notes().fault);
        let mut state = self.state();
        if !known.stamp.is_same_file(&state.known.stamp) {
            return Err(Error::Replaced(self.path.clone()).into());
        }
        // A rename or a change of the mode does not repair it.
        let is_noted = fault.is_some();
        let fault = fault.filter(|fault| fault.stamp.is_same_content(&known.stamp));
        if let Some(lock) = self.lock.as_ref().filter(|_| is_noted && fault.is_none()) {
            // Other content has taken its place while no daemon ran.
            lock.note_fault(None);
        }
        state.evidence.fault = fault.map(|fault| Fault { stamp: known.stamp, ..fault });
        state.known = known;
        Ok(())
    }
}

/// The stamp of the file at the path, once it no longer changes: a copy may be in progress. Does not wait for a file that
/// the daemon left so.
fn wait_until_still(
    path: &Path,
    lock: Option<&Lock>,
    cancel: &CancellationToken,
) -> Result<Stamp, OpenError> {
    let record = lock.and_then(|lock| lock.notes().record).filter(Record::is_of_this_boot);
    // A failed attempt contains the stamp of a file that may still change, or why there is no stamp.
    let attempt = || {
        let found = look(path).and_then(|found| found.ok_or_else(|| OpenError::Missing(path.to_owned())));
        let found = found.map_err(|error| Failure::Permanent(Err(error)))?;
        let stamp = Stamp::of(&found);
        let is_ours = record.as_ref().is_some_and(|record| record.stamp == stamp);
        let age = found.modified().ok().and_then(|time| SystemTime::now().duration_since(time).ok());
        // A time in the future is ignored.
        let is_still = is_ours || age.is_none_or(|age| age >= DATABASE_START_DEBOUNCE) || lock.is_none();
        if is_still { Ok(stamp) } else { Err(Failure::Temporary(Ok(stamp))) }
    };
    DATABASE_START_RETRY.run(Some(cancel), attempt).or_else(|stopped| match stopped {
        Stopped::Cancelled => Err(OpenError::Library(Error::Cancelled)),
        Stopped::TimedOut(found) | Stopped::Failed(found) => found,
    })
}

/// Examines the path by stat(2) alone (opening a pipe or a hung share would block); `None` if there has never been a
/// database.
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
