//! One daemon per library: `library.db.lock`, held with flock(2) for life, never unlinked. In it the holder says who it
//! is ([`holder`]). A prober takes a shared lock without waiting: getting it means that no daemon runs.
//!
//! The file lies beside the library (beside the target, where the path is a symbolic link, so that two names
//! cannot make two daemons). It is made only when the library is there, which is why a lock file without a
//! library always means a lost one. Where the directory is not writable it goes to the runtime directory, unless
//! somebody who may write there holds the one beside the library.
//!
//! A lock on a file that was removed guards nothing: whoever comes next makes another and locks that. So the holder
//! looks after its file ([`Lock::keep`]) and puts it back; and until it has, a shared lock on the library's directory
//! tells who comes that somebody is there.

mod holder;
pub(super) mod notes;

use std::fs::{File, OpenOptions, Permissions};
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rustix::fs::{FlockOperation, OFlags, flock};
use rustix::io::Errno;
use tokio_util::sync::CancellationToken;

pub use holder::Holder;

use super::diagnose;
use super::file_system;
use super::path;
use crate::base::address::Address;
use crate::base::times::{LOCK_RETRY_INTERVAL, LOCK_TIMEOUT};
use notes::{Fault, Notes, Record};

/// Why the library could not be locked.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    /// Another daemon holds it.
    #[error("library {} is already in use by {holder} (lock {}): stop that one first", library.display(), lock.display())]
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
        "the lock {} of {library} is held by the daemon of another library, {}: give each daemon a RuntimeDirectory= of its own",
        lock.display(), holder.library(), library = library.display()
    )]
    Shared {
        /// The library.
        library: PathBuf,
        /// The lock file.
        lock: PathBuf,
        /// Who.
        holder: Holder,
    },
    /// Somebody keeps a shared lock on it, which no daemon does.
    #[error(
        "the lock {} of library {} is kept locked by some other program, which is no daemon: stop that one (`fuser` names it)",
        lock.display(), library.display()
    )]
    Watched {
        /// The library.
        library: PathBuf,
        /// The lock file.
        lock: PathBuf,
    },
    /// The caller was told to stop while waiting for the holder to go.
    #[error("told to stop while waiting for the lock {}", .0.display())]
    Cancelled(PathBuf),
    /// The file system has no locks.
    #[error("cannot lock {}: its file system ({file_system}) does not support flock: put the library on a local file system, or mount the share with locking", lock.display())]
    Unsupported {
        /// The lock file.
        lock: PathBuf,
        /// Its type.
        file_system: String,
        /// What flock(2) said.
        source: io::Error,
    },
    /// Neither beside the library nor in the runtime directory may we write it.
    #[error("cannot write a lock file ({}): make the library's directory writable, or set RuntimeDirectory= in the unit", lock.display())]
    NotWritable {
        /// The lock file beside the library.
        lock: PathBuf,
        /// Why it could not be opened.
        source: io::Error,
    },
    /// Anything else.
    #[error("cannot use the lock file {}: {source}: {}", lock.display(), advice(source))]
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
    /// A lock file that nobody holds: no daemon runs.
    NotHeld,
    /// A daemon runs.
    Held(Holder),
}

/// The lock, held until dropped. The kernel drops it with the process, however that ends.
#[derive(Debug)]
pub struct Lock {
    library: PathBuf,
    path: PathBuf,
    held: Mutex<Held>,
}

/// The file that is locked, what is written in it, and the mark on the library's directory.
#[derive(Debug)]
struct Held {
    file: File,
    device: u64,
    inode: u64,
    holder: Holder,
    notes: Notes,
    written: String,
    mark: Option<File>,
}

impl Held {
    fn new(file: File, library: &Path) -> io::Result<Self> {
        let found = file.metadata()?;
        let (device, inode) = (found.dev(), found.ino());
        // Older versions made it readable to all, and who can open it can lock it.
        if found.mode() & 0o077 != 0 {
            let _ = file.set_permissions(Permissions::from_mode(0o600));
        }
        let notes = Notes::parse(&holder::content(&file)?);
        let (holder, mark) = (Holder::this_process(), mark(library));
        Ok(Self { file, device, inode, holder, notes, written: String::new(), mark })
    }

    /// Whether it is the file at `path`.
    fn is_at(&self, path: &Path) -> bool {
        std::fs::symlink_metadata(path)
            .is_ok_and(|found| (found.dev(), found.ino()) == (self.device, self.inode))
    }

    /// A reader never sees half of it: content only ever grows by one write at its end (the length changes
    /// after the bytes are there), and anything else is emptied first, which reads as "nothing yet".
    fn write(&mut self) -> io::Result<()> {
        let holder = self.holder.to_text();
        let content = holder.clone() + &self.notes.to_text();
        // Where only a note differs it is rewritten in place.
        let in_place = content.len() == self.written.len() && self.written.starts_with(&holder);
        if self.written.is_empty() || !(in_place || content.starts_with(self.written.as_str())) {
            self.file.set_len(0)?;
        }
        self.file.write_all_at(content.as_bytes(), 0)?;
        self.written = content;
        Ok(())
    }

    /// Writes again what was written, where someone has put something else into the file; `false` where not.
    fn restore(&self) -> io::Result<bool> {
        let mut found = vec![0; self.written.len() + 1];
        let length = self.file.read_at(&mut found, 0)?;
        if found.get(..length) == Some(self.written.as_bytes()) {
            return Ok(false);
        }
        self.file.set_len(0)?;
        self.file.write_all_at(self.written.as_bytes(), 0)?;
        Ok(true)
    }

    /// Marks the library's directory, where another one has come to its place with our file in it.
    fn follow(&mut self, library: &Path) {
        let is_there = |mark: &File| {
            let marked = mark.metadata().ok()?;
            let found = std::fs::metadata(library.parent()?).ok()?;
            Some((marked.dev(), marked.ino()) == (found.dev(), found.ino()))
        };
        if self.mark.as_ref().and_then(is_there) == Some(false) {
            self.mark = mark(library);
        }
    }
}

impl Lock {
    /// Takes the lock of the library `library`, or the one in `runtime_directory` where the library's
    /// directory is not writable. Tries for a second; looks at `cancel` in between.
    ///
    /// # Errors
    /// [`LockError::Held`] names the holder; [`LockError::NotWritable`] when no lock file can be written at
    /// all (a caller that only reads may go on without).
    pub fn acquire(
        library: &Path,
        runtime_directory: Option<&Path>,
        cancel: &CancellationToken,
    ) -> Result<Self, LockError> {
        let start = Instant::now();
        // A daemon that was started when the library itself was there, before it was moved and linked to.
        if let Some(lock) = beside_link(library) {
            wait_while_held(library, lock, start, cancel)?;
        }
        let library = path::real(library);
        wait_for_hidden(&library, runtime_directory, start, cancel)?;
        let beside = path::lock(&library);
        match Self::acquire_at(&library, &beside, start, cancel) {
            Err(LockError::NotWritable { lock, source }) => {
                // We may not write it; somebody who may can hold it all the same.
                wait_while_held(&library, beside, start, cancel)?;
                let Some(elsewhere) = places(&library, runtime_directory).nth(1) else {
                    return Err(LockError::NotWritable { lock, source });
                };
                match Self::acquire_at(&library, &elsewhere, start, cancel) {
                    // No runtime directory after all: a variable left from another session.
                    Err(LockError::Io { source: error, .. }) if is_absent(&error) => {
                        Err(LockError::NotWritable { lock, source })
                    }
                    other => other,
                }
            }
            other => other,
        }
    }

    fn acquire_at(
        library: &Path,
        path: &Path,
        start: Instant,
        cancel: &CancellationToken,
    ) -> Result<Self, LockError> {
        let io = |source| LockError::Io { lock: path.to_owned(), source };
        let mut was_held = false;
        loop {
            let file = open_to_lock(path).map_err(|source| match source.kind() {
                io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
                    LockError::NotWritable { lock: path.to_owned(), source }
                }
                _ => io(source),
            })?;
            match flock(&file, FlockOperation::NonBlockingLockExclusive) {
                // Perhaps only its file has gone, and it is about to put it back.
                Ok(()) if was_held && is_marked(library) && start.elapsed() < LOCK_TIMEOUT => drop(file),
                Ok(()) => {
                    // Someone may have removed or replaced the file since we opened it: then this lock
                    // guards nothing.
                    let mut held = Held::new(file, library).map_err(io)?;
                    if held.is_at(path) {
                        held.write().map_err(io)?;
                        return Ok(Self {
                            library: library.to_owned(),
                            path: path.to_owned(),
                            held: Mutex::new(held),
                        });
                    }
                }
                Err(Errno::WOULDBLOCK) if start.elapsed() < LOCK_TIMEOUT => was_held = true,
                Err(Errno::WOULDBLOCK) => return Err(refusal(library, path, &file)),
                Err(Errno::INTR) => {}
                Err(error @ (Errno::NOLCK | Errno::OPNOTSUPP | Errno::NOSYS | Errno::INVAL)) => {
                    return Err(LockError::Unsupported {
                        lock: path.to_owned(),
                        file_system: file_system::name_at(path),
                        source: error.into(),
                    });
                }
                Err(error) => return Err(io(error.into())),
            }
            if cancel.is_cancelled() {
                return Err(LockError::Cancelled(path.to_owned()));
            }
            std::thread::sleep(LOCK_RETRY_INTERVAL);
        }
    }

    /// Writes where the daemon listens.
    ///
    /// # Errors
    /// When the file cannot be written (a full disk).
    pub fn publish(&self, address: &Address) -> Result<(), LockError> {
        let library = (self.path != path::lock(&self.library)).then_some(self.library.as_path());
        let mut held = self.held();
        held.holder = Holder::serving(address.clone(), library);
        held.write().map_err(|source| LockError::Io { lock: self.path.clone(), source })
    }

    /// What the holder before has noted, or this one since.
    pub(super) fn notes(&self) -> Notes {
        self.held().notes.clone()
    }

    /// Notes where the main file stands. A disk that takes no note is no reason to stop: the next start then decides by the
    /// rows alone.
    pub(super) fn note_record(&self, record: Record) {
        let mut held = self.held();
        held.notes.record = Some(record);
        let _ = held.write();
    }

    /// Notes that the database is damaged, or no longer.
    pub(super) fn note_fault(&self, fault: Option<Fault>) {
        let mut held = self.held();
        if held.notes.fault != fault {
            held.notes.fault = fault;
            let _ = held.write();
        }
    }

    /// Looks whether the file at the path is still the one that is locked, and else makes it anew and locks it; and
    /// whether in it is what was written, and else writes it again. `false` when nothing had to be done.
    ///
    /// # Errors
    /// [`LockError::Held`] when another daemon was faster; any other when the file cannot be made.
    pub fn keep(&self) -> Result<bool, LockError> {
        let mut held = self.held();
        let io = |source| LockError::Io { lock: self.path.clone(), source };
        if held.is_at(&self.path) {
            held.follow(&self.library);
            return held.restore().map_err(io);
        }
        let file = open_to_lock(&self.path).map_err(io)?;
        match lock_briefly(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {}
            Err(Errno::WOULDBLOCK) => return Err(refusal(&self.library, &self.path, &file)),
            Err(error) => return Err(io(error.into())),
        }
        let mut anew = Held::new(file, &self.library).map_err(io)?;
        (anew.holder, anew.notes) = (held.holder.clone(), held.notes.clone());
        anew.write().map_err(io)?;
        // Should it have gone again meanwhile, the next look sees that.
        *held = anew;
        Ok(true)
    }

    /// The lock file.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    fn held(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Opens the lock file, or makes it. The standard library sets `O_CLOEXEC`: no child inherits the lock.
/// `O_NONBLOCK`: a FIFO of that name must not hold us.
fn open_to_lock(path: &Path) -> io::Result<File> {
    OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .custom_flags((OFlags::NONBLOCK | OFlags::NOFOLLOW).bits().cast_signed())
        .open(path)
}

/// Why `file`, the lock file at `path`, cannot be had: who holds it.
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
        Some(Errno::ISDIR | Errno::LOOP | Errno::NXIO | Errno::INVAL | Errno::NODEV) => {
            "something else than a file has that name: remove it"
        }
        Some(Errno::NAMETOOLONG) => "give the library a shorter name",
        _ => "see what the disk and the kernel's log say",
    }
}

/// Waits until no daemon holds `lock`, which we are not going to take ourselves.
fn wait_while_held(
    library: &Path,
    lock: PathBuf,
    start: Instant,
    cancel: &CancellationToken,
) -> Result<(), LockError> {
    loop {
        match find_at(library, &lock) {
            Ok(Found::Held(holder)) if start.elapsed() >= LOCK_TIMEOUT => {
                return Err(LockError::Held { library: library.to_owned(), lock, holder });
            }
            // Its holder is not for us to know, but that somebody holds a lock here is.
            Err(LockError::Io { source, .. })
                if source.kind() == io::ErrorKind::PermissionDenied && is_marked(library) =>
            {
                if start.elapsed() >= LOCK_TIMEOUT {
                    return Err(LockError::Held {
                        library: library.to_owned(),
                        lock,
                        holder: Holder::default(),
                    });
                }
                std::thread::sleep(LOCK_RETRY_INTERVAL);
            }
            Ok(Found::Held(_)) if cancel.is_cancelled() => return Err(LockError::Cancelled(lock)),
            Ok(Found::Held(_)) => std::thread::sleep(LOCK_RETRY_INTERVAL),
            _ => return Ok(()),
        }
    }
}

/// Where nobody holds the lock, yet somebody one in the library's directory: that may be the library's own daemon,
/// whose file was removed or replaced, and which puts it back with its next check. Waits for that.
fn wait_for_hidden(
    library: &Path,
    runtime_directory: Option<&Path>,
    start: Instant,
    cancel: &CancellationToken,
) -> Result<(), LockError> {
    if !is_marked(library) {
        return Ok(());
    }
    let is_held = || {
        places(library, runtime_directory).any(|lock| matches!(find_at(library, &lock), Ok(Found::Held(_))))
    };
    while start.elapsed() < LOCK_TIMEOUT && !is_held() {
        if cancel.is_cancelled() {
            return Err(LockError::Cancelled(path::lock(library)));
        }
        std::thread::sleep(LOCK_RETRY_INTERVAL);
    }
    Ok(())
}

/// Marks the directory of `library` (a [`path::real`]) as one in which somebody holds a lock, for as long as the file
/// is open. Where the file system has no such locks there is no mark, and nobody is waited for.
fn mark(library: &Path) -> Option<File> {
    let directory = File::open(library.parent()?).ok()?;
    lock_briefly(&directory, FlockOperation::NonBlockingLockShared).is_ok().then_some(directory)
}

/// Locks without waiting for a holder; those who only look whether there is one are in the way for an instant.
fn lock_briefly(file: &File, operation: FlockOperation) -> Result<(), Errno> {
    for _ in 0..10 {
        match flock(file, operation) {
            Err(Errno::WOULDBLOCK | Errno::INTR) => std::thread::sleep(Duration::from_millis(1)),
            other => return other,
        }
    }
    flock(file, operation)
}

/// Whether somebody holds a lock in the directory of `library` (a [`path::real`]).
fn is_marked(library: &Path) -> bool {
    let directory = library.parent().and_then(|directory| File::open(directory).ok());
    directory
        .is_some_and(|file| flock(&file, FlockOperation::NonBlockingLockExclusive) == Err(Errno::WOULDBLOCK))
}

/// The lock file beside `library` itself, where that is a symbolic link.
fn beside_link(library: &Path) -> Option<PathBuf> {
    let is_link = std::fs::symlink_metadata(library).is_ok_and(|found| found.is_symlink());
    is_link.then(|| path::lock(&std::path::absolute(library).unwrap_or_else(|_| library.to_owned())))
}

/// Looks for a daemon on `library`, without waiting, as `vpo healthcheck` does: first beside the library, then in
/// `runtime_directory`, then beside a link that has taken the library's place.
///
/// # Errors
/// When a lock file is there and cannot be read or tried.
pub fn find(library: &Path, runtime_directory: Option<&Path>) -> Result<Found, LockError> {
    let real = path::real(library);
    let mut found = Found::NoFile;
    for path in places(&real, runtime_directory) {
        match find_at(&real, &path)? {
            Found::Held(holder) => return Ok(Found::Held(holder)),
            // On a read-only file system it is left from another time: whoever runs today could not lock it.
            Found::NotHeld if file_system::is_read_only(&path) => {}
            Found::NotHeld => found = Found::NotHeld,
            Found::NoFile => {}
        }
    }
    if let Some(lock) = beside_link(library)
        && let Ok(Found::Held(holder)) = find_at(library, &lock)
    {
        return Ok(Found::Held(holder));
    }
    Ok(found)
}

/// The refusal that names the daemon on `library`, if one can be seen to run.
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

/// Who holds the lock file at `path`; a daemon of another library than `library` is nobody.
fn find_at(library: &Path, path: &Path) -> Result<Found, LockError> {
    let io = |source| LockError::Io { lock: path.to_owned(), source };
    let file = match OpenOptions::new()
        .read(true)
        .custom_flags((OFlags::NONBLOCK | OFlags::NOFOLLOW).bits().cast_signed())
        .open(path)
    {
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
