//! One daemon per library: `library.db.lock`, held with flock(2) for life, never unlinked.
//!
//! The file's content, written by the holder, is two lines of UTF-8: the pid in decimal, then the address
//! that the daemon really bound, as `http://127.0.0.1:8321`, `unix:/run/vpo/vpo.sock` or, for an abstract socket,
//! `unix:@vpo`. The second line is absent until the daemon listens. A prober takes a shared lock without waiting: getting it means that no
//! daemon runs.
//!
//! The file lies beside the library (beside the target, where the path is a symbolic link, so that two names
//! cannot make two daemons). It is made only when the library is there, which is why a lock file without a
//! library always means a lost one. Where the directory is not writable it goes to the runtime directory.
//!
//! A lock on a file that was removed guards nothing: whoever comes next makes another and locks that. So the holder
//! looks after its file ([`Lock::keep`]) and puts it back; and until it has, a shared lock on the library's directory
//! tells who comes that somebody is there.

use std::fmt;
use std::fs::{File, OpenOptions};
use std::io::{self, Read};
use std::net::SocketAddr;
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rustix::fs::{FlockOperation, OFlags, StatVfsMountFlags, flock, statvfs};
use rustix::io::Errno;

/// How long [`Lock::acquire`] tries: a predecessor that is just exiting is no reason to refuse.
const PATIENCE: Duration = Duration::from_secs(1);

/// Time between two tries.
const PAUSE: Duration = Duration::from_millis(10);

/// Longer than any content; what is beyond is not ours.
const LONGEST: u64 = 4096;

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
    #[error("cannot use the lock file {}", lock.display())]
    Io {
        /// The lock file.
        lock: PathBuf,
        /// What failed.
        source: io::Error,
    },
}

/// Where a daemon listens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Address {
    /// TCP.
    Tcp(SocketAddr),
    /// A Unix socket.
    Unix(PathBuf),
    /// A Unix socket of that name in Linux' abstract namespace.
    Abstract(String),
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => write!(f, "http://{address}"),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
            Self::Abstract(name) => write!(f, "unix:@{name}"),
        }
    }
}

impl Address {
    fn parse(line: &str) -> Option<Self> {
        if let Some(path) = line.strip_prefix("unix:") {
            return Some(match path.strip_prefix('@') {
                Some(name) => Self::Abstract(name.to_owned()),
                None => Self::Unix(path.into()),
            });
        }
        line.strip_prefix("http://")?.parse().ok().map(Self::Tcp)
    }
}

/// What a holder has written about itself; nothing yet, for a moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Holder {
    /// Its process id, in its own pid namespace.
    pub pid: Option<u32>,
    /// Where it listens.
    pub address: Option<Address>,
}

impl Holder {
    /// Only whole lines count: a writer may be half way through the last one.
    fn parse(content: &str) -> Self {
        let mut lines = content.split_inclusive('\n').filter_map(|line| line.strip_suffix('\n'));
        Self {
            pid: lines.next().and_then(|line| line.parse().ok()),
            address: lines.next().and_then(Address::parse),
        }
    }
}

impl fmt::Display for Holder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.pid {
            Some(pid) => write!(f, "the daemon with pid {pid}")?,
            None => f.write_str("another daemon")?,
        }
        match &self.address {
            Some(address) => write!(f, " at {address}"),
            None => f.write_str(", which does not listen yet"),
        }
    }
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
    written: String,
    mark: Option<File>,
}

impl Held {
    fn new(file: File, library: &Path) -> io::Result<Self> {
        let found = file.metadata()?;
        let (device, inode) = (found.dev(), found.ino());
        Ok(Self { file, device, inode, written: String::new(), mark: mark(library) })
    }

    /// Whether it is the file at `path`.
    fn is_at(&self, path: &Path) -> bool {
        std::fs::symlink_metadata(path)
            .is_ok_and(|found| (found.dev(), found.ino()) == (self.device, self.inode))
    }

    /// A reader never sees half of it: content only ever grows by one write at its end (the length changes
    /// after the bytes are there), and anything else is emptied first, which reads as "nothing yet".
    fn write(&mut self, content: String) -> io::Result<()> {
        if self.written.is_empty() || !content.starts_with(self.written.as_str()) {
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
    /// directory is not writable. Tries for a second; looks at `cancelled` in between.
    ///
    /// # Errors
    /// [`LockError::Held`] names the holder; [`LockError::NotWritable`] when no lock file can be written at
    /// all (a caller that only reads may go on without).
    pub fn acquire(
        library: &Path,
        runtime_directory: Option<&Path>,
        cancelled: &dyn Fn() -> bool,
    ) -> Result<Self, LockError> {
        let start = Instant::now();
        wait_for_former(library, start, cancelled)?;
        let library = real_path(library);
        wait_for_hidden(&library, runtime_directory, start, cancelled)?;
        let beside = beside(&library);
        match Self::acquire_at(&library, &beside, start, cancelled) {
            Err(LockError::NotWritable { lock, source }) => {
                let Some(name) = beside.file_name().filter(|_| runtime_directory.is_some()) else {
                    return Err(LockError::NotWritable { lock, source });
                };
                let elsewhere = runtime_directory.unwrap_or(Path::new("/")).join(name);
                match Self::acquire_at(&library, &elsewhere, start, cancelled) {
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
        cancelled: &dyn Fn() -> bool,
    ) -> Result<Self, LockError> {
        let io = |source| LockError::Io { lock: path.to_owned(), source };
        loop {
            let file = open_to_lock(path).map_err(|source| match source.kind() {
                io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
                    LockError::NotWritable { lock: path.to_owned(), source }
                }
                _ => io(source),
            })?;
            match flock(&file, FlockOperation::NonBlockingLockExclusive) {
                Ok(()) => {
                    // Someone may have removed or replaced the file since we opened it: then this lock
                    // guards nothing.
                    let mut held = Held::new(file, library).map_err(io)?;
                    if held.is_at(path) {
                        held.write(format!("{}\n", std::process::id())).map_err(io)?;
                        return Ok(Self {
                            library: library.to_owned(),
                            path: path.to_owned(),
                            held: Mutex::new(held),
                        });
                    }
                }
                Err(Errno::WOULDBLOCK) if start.elapsed() < PATIENCE => {}
                Err(Errno::WOULDBLOCK) => {
                    return Err(LockError::Held {
                        library: library.to_owned(),
                        lock: path.to_owned(),
                        holder: read_holder(&file).map_err(io)?,
                    });
                }
                Err(Errno::INTR) => {}
                Err(error @ (Errno::NOLCK | Errno::OPNOTSUPP | Errno::NOSYS | Errno::INVAL)) => {
                    return Err(LockError::Unsupported {
                        lock: path.to_owned(),
                        file_system: super::diagnose::file_system(path),
                        source: error.into(),
                    });
                }
                Err(error) => return Err(io(error.into())),
            }
            if cancelled() {
                return Err(LockError::Cancelled(path.to_owned()));
            }
            std::thread::sleep(PAUSE);
        }
    }

    /// Writes where the daemon listens.
    ///
    /// # Errors
    /// When the file cannot be written (a full disk).
    pub fn publish(&self, address: &Address) -> Result<(), LockError> {
        let content = format!("{}\n{address}\n", std::process::id());
        self.held().write(content).map_err(|source| LockError::Io { lock: self.path.clone(), source })
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
            Err(Errno::WOULDBLOCK) => {
                return Err(LockError::Held {
                    library: self.library.clone(),
                    lock: self.path.clone(),
                    holder: read_holder(&file).map_err(io)?,
                });
            }
            Err(error) => return Err(io(error.into())),
        }
        let mut anew = Held::new(file, &self.library).map_err(io)?;
        anew.write(held.written.clone()).map_err(io)?;
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
        .mode(0o644)
        .custom_flags((OFlags::NONBLOCK | OFlags::NOFOLLOW).bits().cast_signed())
        .open(path)
}

/// Waits until no daemon holds the lock beside the link that `library` may be: one that was started when the
/// library itself was there, before it was moved and linked to.
fn wait_for_former(library: &Path, start: Instant, cancelled: &dyn Fn() -> bool) -> Result<(), LockError> {
    let Some(lock) = beside_link(library) else { return Ok(()) };
    loop {
        match find_at(&lock) {
            Ok(Found::Held(holder)) if start.elapsed() >= PATIENCE => {
                return Err(LockError::Held { library: library.to_owned(), lock, holder });
            }
            Ok(Found::Held(_)) if cancelled() => return Err(LockError::Cancelled(lock)),
            Ok(Found::Held(_)) => std::thread::sleep(PAUSE),
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
    cancelled: &dyn Fn() -> bool,
) -> Result<(), LockError> {
    if !is_marked(library) {
        return Ok(());
    }
    let is_held =
        || places(library, runtime_directory).any(|lock| matches!(find_at(&lock), Ok(Found::Held(_))));
    while start.elapsed() < PATIENCE && !is_held() {
        if cancelled() {
            return Err(LockError::Cancelled(beside(library)));
        }
        std::thread::sleep(PAUSE);
    }
    Ok(())
}

/// Marks the directory of `library` (a [`real_path`]) as one in which somebody holds a lock, for as long as the file
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

/// Whether somebody holds a lock in the directory of `library` (a [`real_path`]).
fn is_marked(library: &Path) -> bool {
    let directory = library.parent().and_then(|directory| File::open(directory).ok());
    directory
        .is_some_and(|file| flock(&file, FlockOperation::NonBlockingLockExclusive) == Err(Errno::WOULDBLOCK))
}

/// The lock file beside `library` itself, where that is a symbolic link.
fn beside_link(library: &Path) -> Option<PathBuf> {
    let is_link = std::fs::symlink_metadata(library).is_ok_and(|found| found.is_symlink());
    is_link.then(|| beside(&std::path::absolute(library).unwrap_or_else(|_| library.to_owned())))
}

/// Looks for a daemon on `library`, without waiting, as `vpo healthcheck` does: first beside the library, then in
/// `runtime_directory`, then beside a link that has taken the library's place.
///
/// # Errors
/// When a lock file is there and cannot be read or tried.
pub fn find(library: &Path, runtime_directory: Option<&Path>) -> Result<Found, LockError> {
    let real = real_path(library);
    let mut found = Found::NoFile;
    for path in places(&real, runtime_directory) {
        match find_at(&path)? {
            Found::Held(holder) => return Ok(Found::Held(holder)),
            // On a read-only file system it is left from another time: whoever runs today could not lock it.
            Found::NotHeld if is_read_only(&path) => {}
            Found::NotHeld => found = Found::NotHeld,
            Found::NoFile => {}
        }
    }
    if let Some(lock) = beside_link(library)
        && let Ok(Found::Held(holder)) = find_at(&lock)
    {
        return Ok(Found::Held(holder));
    }
    Ok(found)
}

/// The refusal that names the daemon on `library`, if one can be seen to run.
#[must_use]
pub fn held(library: &Path, runtime_directory: Option<&Path>) -> Option<LockError> {
    let real = real_path(library);
    places(&real, runtime_directory).chain(beside_link(library)).find_map(|lock| match find_at(&lock) {
        Ok(Found::Held(holder)) => Some(LockError::Held { library: real.clone(), lock, holder }),
        _ => None,
    })
}

/// Whether a daemon has ever locked `library`: its file is never unlinked.
#[must_use]
pub fn was_locked(library: &Path, runtime_directory: Option<&Path>) -> bool {
    places(&real_path(library), runtime_directory).any(|lock| lock.symlink_metadata().is_ok())
}

/// Where the lock of `library` (a [`real_path`]) may be: beside it, then in the runtime directory.
fn places(library: &Path, runtime_directory: Option<&Path>) -> impl Iterator<Item = PathBuf> {
    let beside = beside(library);
    let elsewhere = runtime_directory.and_then(|directory| Some(directory.join(beside.file_name()?)));
    std::iter::once(beside).chain(elsewhere)
}

fn find_at(path: &Path) -> Result<Found, LockError> {
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
        Err(Errno::WOULDBLOCK) => Ok(Found::Held(read_holder(&file).map_err(io)?)),
        Err(error) => Err(io(error.into())),
    }
}

/// Whether nobody may write there, as it is mounted.
fn is_read_only(path: &Path) -> bool {
    statvfs(path).is_ok_and(|found| found.f_flag.contains(StatVfsMountFlags::RDONLY))
}

/// Neither the file nor, perhaps, its directory is there.
fn is_absent(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
}

fn read_holder(file: &File) -> io::Result<Holder> {
    let mut content = String::new();
    let mut reader = file.take(LONGEST);
    match reader.read_to_string(&mut content) {
        Ok(_) => Ok(Holder::parse(&content)),
        Err(error) if error.kind() == io::ErrorKind::InvalidData => Ok(Holder::default()),
        Err(error) => Err(error),
    }
}

/// The lock file beside `library`: its name with `.lock` appended.
#[must_use]
pub fn beside(library: &Path) -> PathBuf {
    let mut name = library.as_os_str().to_owned();
    name.push(".lock");
    name.into()
}

/// `path` with its symbolic links followed as far as they lead, so that every name of a library leads to one
/// lock, also while the library itself is missing.
#[must_use]
pub fn real_path(path: &Path) -> PathBuf {
    if let Ok(real) = path.canonicalize() {
        return real;
    }
    let mut path = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    // A dangling link: at most as many hops as the kernel takes (path_resolution(7)).
    for _ in 0..40 {
        let Ok(target) = path.read_link() else { break };
        path = path.parent().unwrap_or(Path::new("/")).join(target);
    }
    match (path.parent().and_then(|parent| parent.canonicalize().ok()), path.file_name()) {
        (Some(parent), Some(name)) => parent.join(name),
        _ => path,
    }
}
