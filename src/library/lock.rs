//! One daemon per database: the holder keeps an exclusive flock(2) on `library.db.lock` for as long as it runs, and never
//! unlinks the file. It writes into the file who it is ([`holder`]) and what the next holder must know ([`notes`]).
//! A prober takes a shared lock without waiting: if it gets that, no daemon runs.
//!
//! The file lies beside the database (beside the target of a symbolic link, so that two names cannot make two daemons).
//! It is created only when the database is there, so a lock file without a database means a lost one. Where the directory
//! is not writable it goes to the runtime directory. A lock on a file that was removed does not exclude other processes: the health check
//! warns of that ([`Lock::is_in_place`]), and a restart takes the lock again.

mod holder;
pub(super) mod notes;

use std::fs::{File, OpenOptions, Permissions};
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use rustix::fs::{FlockOperation, OFlags, flock};
use rustix::io::{Errno, retry_on_intr};
use tokio_util::sync::CancellationToken;

pub use holder::Holder;

use super::identity::Stamp;
use super::{diagnose, file_system, path};
use crate::base::address::Address;
use crate::base::retry::{Failure, Stopped};
use crate::base::times::LOCK_RETRY;
use notes::{Fault, Notes, Record};

/// Why the library could not be locked.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    /// Another process holds it.
    #[error(
        "error[database-in-use]: {} is in use by {holder} (lock file {}). Stop that process first",
        library.display(), lock.display()
    )]
    Held {
        /// The library.
        library: PathBuf,
        /// The lock file.
        lock: PathBuf,
        /// Who.
        holder: Holder,
    },
    /// The daemon of another library holds it: they share a runtime directory.
    #[error(
        "error[runtime-directory-shared]: the daemon of the database {} holds the lock file {} of {}. Give each daemon its own \
         RuntimeDirectory=",
        holder.library(), lock.display(), library.display()
    )]
    Shared {
        /// The library.
        library: PathBuf,
        /// The lock file.
        lock: PathBuf,
        /// Who.
        holder: Holder,
    },
    /// A program that is not a daemon holds a shared lock on it.
    #[error(
        "error[lock-held]: a program that is not a daemon keeps the lock file {} of {} locked. Stop it (`fuser` shows its pid)",
        lock.display(), library.display()
    )]
    Watched {
        /// The library.
        library: PathBuf,
        /// The lock file.
        lock: PathBuf,
    },
    /// Cancelled during the wait for the holder.
    #[error("cancelled while waiting for the lock file {}", .0.display())]
    Cancelled(PathBuf),
    /// The file system has no locks.
    #[error(
        "error[flock-unsupported]: cannot lock {}: its file system ({file_system}) does not support flock. Mount the share with \
         locking, or put the database on a local file system", lock.display()
    )]
    Unsupported {
        /// The lock file.
        lock: PathBuf,
        /// Its type.
        file_system: String,
        /// What flock(2) said.
        source: io::Error,
    },
    /// No permission to write it, neither beside the database nor in the runtime directory.
    #[error(
        "error[lock-file]: cannot write the lock file {}. Make the directory of the database writable, or set \
         RuntimeDirectory= in the unit", lock.display()
    )]
    NotWritable {
        /// The lock file beside the library.
        lock: PathBuf,
        /// Why it could not be opened.
        source: io::Error,
    },
    /// Anything else.
    #[error("error[lock-file]: cannot use the lock file {}: {source}; {}", lock.display(), advice(source))]
    Io {
        /// The lock file.
        lock: PathBuf,
        /// What failed.
        source: io::Error,
    },
}

/// What [`find`] found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Found {
    /// No lock file: no daemon has ever run here, or it could not write one.
    NoFile,
    /// A lock file that is not locked: no daemon runs.
    NotHeld,
    /// A daemon runs.
    Held(Holder),
}

/// The lock, held until dropped. The kernel drops it with the process, however that ends.
#[derive(Debug)]
pub struct Lock {
    path: PathBuf,
    file: File,
    locked: Stamp,
    content: Mutex<Content>,
}

/// What the holder writes into the file.
#[derive(Debug)]
struct Content {
    holder: Holder,
    notes: Notes,
    written: String,
}

impl Content {
    /// A reader never sees a part of it: content only grows, by one write at its end (the length changes after the bytes are
    /// there). For any other change the file is truncated first, which reads as "nothing yet".
    fn write(&mut self, file: &File) -> io::Result<()> {
        let holder = self.holder.to_text();
        let content = holder.clone() + &self.notes.to_text();
        // Where only a note differs it is rewritten in place.
        let in_place = content.len() == self.written.len() && self.written.starts_with(&holder);
        if self.written.is_empty() || !(in_place || content.starts_with(self.written.as_str())) {
            file.set_len(0)?;
        }
        file.write_all_at(content.as_bytes(), 0)?;
        self.written = content;
        Ok(())
    }
}

impl Lock {
    /// Takes the lock of the database `library`, or the one in `runtime_directory` where the database's
    /// directory is not writable. Retries for a second; checks `cancel` in between.
    ///
    /// # Errors
    /// [`LockError::Held`] names the holder; [`LockError::NotWritable`] when no lock file can be written at
    /// all (a caller that only reads may go on without).
    pub fn acquire(
        library: &Path,
        runtime_directory: Option<&Path>,
        cancel: &CancellationToken,
    ) -> Result<Self, LockError> {
        let mut held_lock = PathBuf::new();
        let attempt = || {
            Self::try_acquire(library, runtime_directory).map_err(|error| match &error {
                LockError::Held { lock, .. }
                | LockError::Shared { lock, .. }
                | LockError::Watched { lock, .. } => {
                    held_lock.clone_from(lock);
                    Failure::Temporary(error)
                }
                _ => Failure::Permanent(error),
            })
        };
        let acquired = LOCK_RETRY.run(Some(cancel), attempt);
        acquired.map_err(|stopped| match stopped {
            Stopped::Cancelled => LockError::Cancelled(held_lock),
            Stopped::TimedOut(error) | Stopped::Failed(error) => error,
        })
    }

    fn try_acquire(library: &Path, runtime_directory: Option<&Path>) -> Result<Self, LockError> {
        // Also finds a lock file that is not writable, and one beside a symbolic link that has replaced the database.
        if let Some(held) = held(library, runtime_directory) {
            return Err(held);
        }
        let library = path::real(library);
        let beside = Self::create(&library, path::lock(&library), false);
        let elsewhere = places(&library, runtime_directory).nth(1);
        let (Err(LockError::NotWritable { .. }), Some(elsewhere)) = (&beside, elsewhere) else {
            return beside;
        };
        match Self::create(&library, elsewhere, true) {
            // The runtime directory does not exist: the variable was left by another session.
            Err(LockError::Io { source, .. }) if is_absent(&source) => beside,
            other => other,
        }
    }

    /// Opens or creates the file, locks it and writes who holds it; and for which database, if it lies `is_elsewhere`.
    fn create(library: &Path, path: PathBuf, is_elsewhere: bool) -> Result<Self, LockError> {
        let io = |source| LockError::Io { lock: path.clone(), source };
        loop {
            let mut options = OpenOptions::new();
            options.write(true).create(true).truncate(false).mode(0o600);
            let file = open(&path, &mut options).map_err(|source| match source.kind() {
                io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
                    LockError::NotWritable { lock: path.clone(), source }
                }
                _ => io(source),
            })?;
            match retry_on_intr(|| flock(&file, FlockOperation::NonBlockingLockExclusive)) {
                Ok(()) => {}
                Err(Errno::WOULDBLOCK) => return Err(refusal(library, &path, &file)),
                Err(error @ (Errno::NOLCK | Errno::OPNOTSUPP | Errno::NOSYS | Errno::INVAL)) => {
                    let file_system = file_system::name_at(&path);
                    return Err(LockError::Unsupported { lock: path, file_system, source: error.into() });
                }
                Err(error) => return Err(io(error.into())),
            }
            let found = file.metadata().map_err(io)?;
            // Older versions made it readable to all, and who can open it can lock it.
            if found.mode() & 0o077 != 0 {
                let _ = file.set_permissions(Permissions::from_mode(0o600));
            }
            let notes = Notes::parse(&holder::content(&file).map_err(io)?);
            let holder = Holder::this_process(is_elsewhere.then_some(library));
            let content = Mutex::new(Content { holder, notes, written: String::new() });
            let lock = Self { path: path.clone(), file, locked: Stamp::of(&found), content };
            // It may have been removed or replaced since it was opened: then this lock does not exclude other processes.
            if lock.is_in_place() {
                lock.content().write(&lock.file).map_err(io)?;
                return Ok(lock);
            }
        }
    }

    /// Writes where the daemon listens.
    ///
    /// # Errors
    /// When the file cannot be written (a full disk).
    pub fn publish(&self, address: &Address) -> Result<(), LockError> {
        let mut content = self.content();
        content.holder.address = Some(address.clone());
        content.write(&self.file).map_err(|source| LockError::Io { lock: self.path.clone(), source })
    }

    /// The notes of the previous holder, or of this one since.
    pub(super) fn notes(&self) -> Notes {
        self.content().notes.clone()
    }

    /// Notes where the main file stands. If the note cannot be written, the next start decides by the rows alone. After
    /// the file was removed or replaced, notes go to the one that is still open.
    pub(super) fn note_record(&self, record: Record) {
        let mut content = self.content();
        content.notes.record = Some(record);
        let _ = content.write(&self.file);
    }

    /// Notes that the database is damaged, or no longer.
    pub(super) fn note_fault(&self, fault: Option<Fault>) {
        let mut content = self.content();
        if content.notes.fault != fault {
            content.notes.fault = fault;
            let _ = content.write(&self.file);
        }
    }

    /// Whether the file at the path is still the one that is locked. If not, another process can take the lock.
    #[must_use]
    pub fn is_in_place(&self) -> bool {
        let found = std::fs::symlink_metadata(&self.path);
        found.is_ok_and(|found| Stamp::of(&found).is_same_file(&self.locked))
    }

    /// The lock file.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    fn content(&self) -> MutexGuard<'_, Content> {
        self.content.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Opens the lock file for reading, or as `options` say. The standard library sets `O_CLOEXEC`: no child inherits the lock.
/// `O_NONBLOCK`: a FIFO of that name must not block the open.
fn open(path: &Path, options: &mut OpenOptions) -> io::Result<File> {
    options.read(true).custom_flags((OFlags::NONBLOCK | OFlags::NOFOLLOW).bits().cast_signed()).open(path)
}

/// The refusal for `file`, the lock file at `path`, which another process has locked.
fn refusal(library: &Path, path: &Path, file: &File) -> LockError {
    let (library, lock) = (library.to_owned(), path.to_owned());
    match flock(file, FlockOperation::NonBlockingLockShared) {
        Ok(()) => LockError::Watched { library, lock },
        Err(_) => match Holder::read(file) {
            Ok(holder) if holder.is_elsewhere(&library) => LockError::Shared { library, lock, holder },
            Ok(holder) => LockError::Held { library, lock, holder },
            Err(source) => LockError::Io { lock, source },
        },
    }
}

/// What to do about an error at a lock file.
fn advice(error: &io::Error) -> &'static str {
    match Errno::from_io_error(error) {
        Some(Errno::NOSPC | Errno::DQUOT) => diagnose::MAKE_ROOM,
        Some(Errno::MFILE | Errno::NFILE) => "raise the limit on open files (ulimit -n, LimitNOFILE=)",
        Some(Errno::ISDIR | Errno::LOOP | Errno::NXIO | Errno::INVAL | Errno::NODEV | Errno::SPIPE) => {
            "its path is not a file; remove it"
        }
        Some(Errno::NAMETOOLONG) => "give the database a shorter name",
        _ => "check the disk and the kernel's log",
    }
}

/// The lock file beside `library` itself, where that is a symbolic link.
fn beside_link(library: &Path) -> Option<PathBuf> {
    let is_link = std::fs::symlink_metadata(library).is_ok_and(|found| found.is_symlink());
    is_link.then(|| path::lock(&std::path::absolute(library).unwrap_or_else(|_| library.to_owned())))
}

/// Finds the daemon of a database, without waiting: beside the database, then in `runtime_directory`, then beside a symbolic
/// link that has replaced the database.
///
/// # Errors
/// If a lock file exists and cannot be read or locked.
pub fn find(library: &Path, runtime_directory: Option<&Path>) -> Result<Found, LockError> {
    if let Some(LockError::Held { holder, .. }) = held(library, runtime_directory) {
        return Ok(Found::Held(holder));
    }
    let real = path::real(library);
    let mut found = Found::NoFile;
    for path in places(&real, runtime_directory) {
        // On a read-only file system it is left from another time: a daemon that runs today could not lock it.
        if find_at(&real, &path)? != Found::NoFile && !file_system::is_read_only(&path) {
            found = Found::NotHeld;
        }
    }
    Ok(found)
}

/// The refusal that names the daemon of `library`, if one runs.
#[must_use]
pub fn held(library: &Path, runtime_directory: Option<&Path>) -> Option<LockError> {
    let real = path::real(library);
    places(&real, runtime_directory).chain(beside_link(library)).find_map(|lock| {
        match find_at(&real, &lock) {
            Ok(Found::Held(holder)) => Some(LockError::Held { library: real.clone(), lock, holder }),
            _ => None,
        }
    })
}

/// How the daemon on `library` has found the database damaged, if one runs and has. Then it writes nothing to it.
#[must_use]
pub fn damage(library: &Path, runtime_directory: Option<&Path>) -> Option<String> {
    let Some(LockError::Held { lock, .. }) = held(library, runtime_directory) else { return None };
    let file = open(&lock, &mut OpenOptions::new()).ok()?;
    let fault = Notes::parse(&holder::content(&file).ok()?).fault?;
    Stamp::at(library).filter(|now| now.is_same_content(&fault.stamp)).map(|_| fault.detail)
}

/// Whether a daemon has ever locked `library`: its file is never unlinked.
#[must_use]
pub fn was_locked(library: &Path, runtime_directory: Option<&Path>) -> bool {
    places(&path::real(library), runtime_directory).any(|lock| lock.symlink_metadata().is_ok())
}

/// Where the lock of `library` (a [`path::real`]) may be: beside it, then in the runtime directory.
fn places(library: &Path, runtime_directory: Option<&Path>) -> impl Iterator<Item = PathBuf> {
    let beside = path::lock(library);
    let elsewhere = runtime_directory.and_then(|directory| Some(directory.join(beside.file_name()?)));
    std::iter::once(beside).chain(elsewhere)
}

/// Who holds the lock file at `path`; the daemon of another database does not count.
fn find_at(library: &Path, path: &Path) -> Result<Found, LockError> {
    let io = |source| LockError::Io { lock: path.to_owned(), source };
    let file = match open(path, &mut OpenOptions::new()) {
        Ok(file) => file,
        Err(error) if is_absent(&error) => return Ok(Found::NoFile),
        Err(error) => return Err(io(error)),
    };
    match flock(&file, FlockOperation::NonBlockingLockShared) {
        Ok(()) => Ok(Found::NotHeld),
        Err(Errno::WOULDBLOCK) => {
            let holder = Holder::read(&file).map_err(io)?;
            Ok(if holder.is_elsewhere(library) { Found::NotHeld } else { Found::Held(holder) })
        }
        Err(error) => Err(io(error.into())),
    }
}

/// Neither the file nor, perhaps, its directory is there.
fn is_absent(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
}
