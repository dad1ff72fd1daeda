//! How a library is opened: looked at before anything is touched, created where there has never been one,
//! locked, recognised, and refused with what was found, why, and what to do.
//!
//! The order matters. *Look*: what is at the path, by stat(2) alone. *Create*, only where neither the library nor
//! a trace of a lost one is there: made whole under a temporary name and then given its own without replacing
//! anything, so that a crash leaves a library or none. *Lock*, only now: so a lock file without a library
//! always means a lost one. *Recognise*, through a connection that only reads. *Convert* to WAL, with roots.

use std::fs::Metadata;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{PoisonError, RwLock};
use std::time::{Duration, SystemTime};

use rusqlite::{Connection, ErrorCode, OpenFlags};
use rustix::fd::OwnedFd;
use rustix::fs::{CWD, Mode, OFlags, RenameFlags};
use rustix::io::Errno;
use tracing::{info, warn};

use super::connection::{self, Reader, Writer, companion};
use super::lock::{self, Lock, LockError};
use super::schema::{self, Mismatch};
use super::{Error, Library, Patience, SHORTEST, SLICE, State, diagnose};

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

/// Why a library was refused. One line each: what, where, what to do.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// It was there once.
    #[error(
        "the library {} is missing, but {} beside it {}: it was lost, not never made. Restore a backup of it (or mount \
         what belongs there), or remove {} to begin anew",
        path.display(),
        list(beside),
        if beside.len() == 1 { "is still there" } else { "are still there" },
        if beside.len() == 1 { "that file" } else { "those files" }
    )]
    Lost {
        /// The library.
        path: PathBuf,
        /// What is left of it.
        beside: Vec<PathBuf>,
    },
    /// Nothing is there, and nothing was to be made.
    #[error("there is no library {}: `vpo serve` creates one", .0.display())]
    Missing(PathBuf),
    /// Its directory is not there.
    #[error(
        "the directory {} of the library does not exist: create it, mount what belongs there, or correct \
         `database.path` (only the default location's directory is created)",
        .0.display()
    )]
    NoDirectory(PathBuf),
    /// A symbolic link to nothing.
    #[error(
        "the library {} is a symbolic link to {}, which is not there: mount or restore what belongs there, or remove the link",
        path.display(), target.display()
    )]
    DanglingLink {
        /// The library.
        path: PathBuf,
        /// What it points to.
        target: PathBuf,
    },
    /// A directory, a pipe, a device.
    #[error("the library {} is {kind}: `database.path` must name a file", path.display())]
    NotAFile {
        /// The library.
        path: PathBuf,
        /// What is there, in words.
        kind: &'static str,
    },
    /// Nothing, or next to nothing, in it.
    #[error(
        "the library {} {}, so it is no library: restore a backup of it, or remove it to begin anew",
        path.display(),
        if *length == 0 { "is empty (zero bytes)".to_owned() } else { format!("has {length} bytes, fewer than any database") }
    )]
    TooShort {
        /// The library.
        path: PathBuf,
        /// Bytes.
        length: u64,
    },
    /// Not SQLite's.
    #[error("the file {} is not a SQLite database: restore a backup of the library, or correct `database.path`", path.display())]
    NotADatabase {
        /// The file.
        path: PathBuf,
        /// What SQLite said.
        source: rusqlite::Error,
    },
    /// A database, but not ours.
    #[error("the database {} {mismatch}; it was not touched. Correct `database.path`, or use the program that made it", path.display())]
    NotOurs {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        mismatch: Mismatch,
    },
    /// It can be read but not written, and there are roots to record.
    #[error(
        "the library {} can be read but not written, and there are library roots to record in it: {diagnosis}; \
         or configure no `library.roots`",
        path.display()
    )]
    ReadOnly {
        /// The library.
        path: PathBuf,
        /// Who, what, where, and the fix.
        diagnosis: String,
    },
    /// WAL needs a writable directory, even for reading.
    #[error(
        "the library {} is in WAL mode, which needs a writable directory even for reading: {diagnosis}; or convert it \
         there with `sqlite3 library.db 'PRAGMA journal_mode=DELETE'`",
        path.display()
    )]
    WalDirectory {
        /// The library.
        path: PathBuf,
        /// Who, what, where, and the fix.
        diagnosis: String,
        /// What SQLite said.
        source: rusqlite::Error,
    },
    /// An unfinished write of another program must be undone first, and we only read.
    #[error(
        "the library {} holds an unfinished write of another program, which must be undone by one that may write: \
         run that program, or `sqlite3 {} 'SELECT 1 FROM _meta'`", path.display(), path.display()
    )]
    Unfinished {
        /// The library.
        path: PathBuf,
        /// What SQLite said.
        source: rusqlite::Error,
    },
    /// It cannot be opened or read.
    #[error("cannot open the library {}: {problem}: {diagnosis}", path.display())]
    Access {
        /// The library.
        path: PathBuf,
        /// What failed.
        problem: String,
        /// Who, what, where, and the fix.
        diagnosis: String,
    },
    /// It cannot be made.
    #[error("cannot create the library {}: {problem}: {diagnosis}", path.display())]
    Create {
        /// The library.
        path: PathBuf,
        /// What failed.
        problem: String,
        /// Who, what, where, and the fix.
        diagnosis: String,
    },
    /// SQLite refuses WAL here.
    #[error(
        "the library {} cannot be put into WAL mode on {file_system} (it stays in {mode} mode): put it on a local file system",
        path.display()
    )]
    NoWal {
        /// The library.
        path: PathBuf,
        /// The mode it is in.
        mode: String,
        /// Where it is.
        file_system: String,
    },
    /// Another daemon has it, or it could not be locked.
    #[error(transparent)]
    Lock(#[from] LockError),
    /// Damaged, locked for long, or the caller was told to stop.
    #[error(transparent)]
    Library(#[from] Error),
}

impl OpenError {
    /// The caller was told to stop while waiting: no failure.
    #[must_use]
    pub fn is_cancelled(&self) -> bool {
        matches!(self, Self::Lock(LockError::Cancelled(_)) | Self::Library(Error::Cancelled))
    }
}

fn list(paths: &[PathBuf]) -> String {
    paths.iter().map(|path| path.display().to_string()).collect::<Vec<_>>().join(", ")
}

/// Pins the inode that was opened: as long as this descriptor lives its number is given to no other file, so
/// another number at the path means another file. `O_PATH` opens nothing and drops no lock.
#[derive(Debug)]
pub(super) struct Pin {
    _descriptor: OwnedFd,
    device: u64,
    inode: u64,
}

impl Pin {
    /// Whatever is at the path now.
    pub(super) fn new(path: &Path) -> io::Result<Self> {
        let descriptor = rustix::fs::open(path, OFlags::PATH | OFlags::CLOEXEC, Mode::empty())?;
        let found = rustix::fs::fstat(&descriptor)?;
        Ok(Self { _descriptor: descriptor, device: found.st_dev, inode: found.st_ino })
    }

    /// Whether `found` is that file.
    pub(super) fn is(&self, found: &Metadata) -> bool {
        (found.dev(), found.ino()) == (self.device, self.inode)
    }
}

impl Library {
    /// Opens the library at `path` for a daemon (or a scan in the foreground): creates it where there has never
    /// been one, and locks it. Waits up to 1 s for another daemon to go and up to 10 s for a neighbour's lock,
    /// and looks at `cancelled` in between.
    ///
    /// # Errors
    /// Whatever is not clearly a library that we may use; it is then left as it was.
    pub fn open(path: &Path, options: Options<'_>, cancelled: &dyn Fn() -> bool) -> Result<Self, OpenError> {
        let path = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
        if look(&path)?.is_none() {
            create(&path, options.create_directory)?;
        }
        let lock = match Lock::acquire(&path, options.runtime_directory, cancelled) {
            Ok(lock) => Some(lock),
            // Whoever only reads harms no other daemon; it cannot be found by `vpo healthcheck`, that is all.
            Err(error @ LockError::NotWritable { .. }) if !options.write => {
                warn!(reason = %error, "no lock file: `vpo healthcheck` will look at the configured address");
                None
            }
            Err(LockError::NotWritable { .. }) => {
                return Err(OpenError::ReadOnly { diagnosis: diagnose::access(&path), path });
            }
            Err(error) => return Err(error.into()),
        };
        Self::begin(path, lock, options.write, cancelled)
    }

    /// Opens a library that is there only for reading, without a lock: for a look while a daemon may run.
    ///
    /// # Errors
    /// As [`Self::open`]; nothing is ever created.
    pub fn view(path: &Path, cancelled: &dyn Fn() -> bool) -> Result<Self, OpenError> {
        let path = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
        if look(&path)?.is_none() {
            return Err(OpenError::Missing(path));
        }
        Self::begin(path, None, false, cancelled)
    }

    /// Opens a library that another process has locked, to leave word for it (a queued job): without a lock and
    /// without converting anything.
    ///
    /// # Errors
    /// As [`Self::view`].
    pub fn visit(path: &Path, cancelled: &dyn Fn() -> bool) -> Result<Self, OpenError> {
        let mut library = Self::view(path, cancelled)?;
        let writer = Writer::open(&library.reader, SLICE).map_err(|source| refusal(&library.path, source))?;
        let state = library.state.get_mut().unwrap_or_else(PoisonError::into_inner);
        state.writer = Some(writer);
        library.with_roots = AtomicBool::new(true);
        Ok(library)
    }

    /// From now on there are roots to record, as if it had been opened so.
    ///
    /// # Errors
    /// Where it cannot be written; it is then read as before.
    pub fn admit_writing(&self, cancelled: &dyn Fn() -> bool) -> Result<(), OpenError> {
        let mut state = self.state.write().unwrap_or_else(PoisonError::into_inner);
        if self.with_roots() {
            return Ok(());
        }
        if self.lock.is_none() {
            return Err(OpenError::ReadOnly {
                path: self.path.clone(),
                diagnosis: diagnose::access(&self.path),
            });
        }
        state.writer = Some(open_writer(&self.reader, &self.path, cancelled)?);
        self.with_roots.store(true, Ordering::Release);
        Ok(())
    }

    fn begin(
        path: PathBuf,
        lock: Option<Lock>,
        with_roots: bool,
        cancelled: &dyn Fn() -> bool,
    ) -> Result<Self, OpenError> {
        let found = look(&path)?;
        let pin = Pin::new(&path).map_err(|error| access_error(&path, error.to_string()))?;
        let reader = Reader::new(&path);
        recognise(&reader, &path, cancelled)?;
        if let Some(found) = found.filter(|found| found.nlink() > 1) {
            warn!(
                path = %path.display(),
                names = found.nlink(),
                "the library has more than one name (hard links): programs that open it by different names destroy it"
            );
        }
        let writer = if with_roots { Some(open_writer(&reader, &path, cancelled)?) } else { None };
        let state = State { pin, generation: 0, adopted: None, writer };
        Ok(Self {
            real: lock::real_path(&path),
            path,
            lock,
            with_roots: AtomicBool::new(with_roots),
            closed: AtomicBool::new(false),
            reader,
            state: RwLock::new(state),
        })
    }
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
                [lock::beside(path), companion(path, "-wal"), companion(path, "-journal")]
                    .into_iter()
                    .filter(|trace| trace.symlink_metadata().is_ok())
                    .collect();
            if beside.is_empty() { Ok(None) } else { Err(OpenError::Lost { path: path.to_owned(), beside }) }
        }
        Err(error) => Err(access_error(path, error.to_string())),
    }
}

fn access_error(path: &Path, problem: String) -> OpenError {
    OpenError::Access { path: path.to_owned(), problem, diagnosis: diagnose::access(path) }
}

/// Looks inside, through a connection that only reads.
fn recognise(reader: &Reader, path: &Path, cancelled: &dyn Fn() -> bool) -> Result<(), OpenError> {
    let found = Patience::brief(cancelled).retry(path, || {
        reader
            .read(SLICE, |connection| schema::verify(&*connection.unchecked_transaction()?))
            .map_err(|source| Error::Sqlite { path: path.to_owned(), source })
    });
    match found {
        Ok(Ok(())) => Ok(()),
        Ok(Err(mismatch)) => Err(OpenError::NotOurs { path: path.to_owned(), mismatch }),
        Err(Error::Sqlite { source, .. }) => Err(refusal(path, source)),
        Err(error) => Err(error.into()),
    }
}

/// What an error of SQLite means for someone who wants to open.
fn refusal(path: &Path, source: rusqlite::Error) -> OpenError {
    let path = path.to_owned();
    let directory = path.parent().unwrap_or(Path::new("/"));
    match source.sqlite_error_code() {
        Some(ErrorCode::NotADatabase) => OpenError::NotADatabase { path, source },
        Some(ErrorCode::CannotOpen | ErrorCode::ReadOnly)
            if connection::readable(&path) && !diagnose::directory_writable(directory) =>
        {
            OpenError::WalDirectory { diagnosis: diagnose::access(&path), path, source }
        }
        Some(ErrorCode::ReadOnly) => OpenError::Unfinished { path, source },
        Some(ErrorCode::CannotOpen | ErrorCode::PermissionDenied | ErrorCode::SystemIoFailure) => {
            access_error(&path, source.to_string())
        }
        _ => OpenError::Library(Error::Sqlite { path, source }),
    }
}

/// The one writer, on a library in WAL mode.
pub(super) fn open_writer(
    reader: &Reader,
    path: &Path,
    cancelled: &dyn Fn() -> bool,
) -> Result<Writer, OpenError> {
    let directory = path.parent().unwrap_or(Path::new("/"));
    if !diagnose::writable(path) || !diagnose::directory_writable(directory) {
        return Err(OpenError::ReadOnly { path: path.to_owned(), diagnosis: diagnose::access(path) });
    }
    let sqlite = |error| match error {
        Error::Sqlite { source, .. } => refusal(path, source),
        other => other.into(),
    };
    let writer = Writer::open(reader, SLICE).map_err(|source| refusal(path, source))?;
    let mode = |sql: &str| {
        Patience::brief(cancelled)
            .retry(path, || {
                writer
                    .connection()
                    .query_row(sql, [], |row| row.get::<_, String>(0))
                    .map_err(|source| Error::Sqlite { path: path.to_owned(), source })
            })
            .map_err(sqlite)
    };
    let before = mode("PRAGMA journal_mode")?;
    if before != "wal" {
        let after = mode("PRAGMA journal_mode = WAL")?;
        if after != "wal" {
            let file_system = diagnose::file_system(path);
            return Err(OpenError::NoWal { path: path.to_owned(), mode: after, file_system });
        }
        info!(path = %path.display(), before, "library converted to WAL mode");
    }
    Ok(writer)
}

/// Makes a library where there has never been one.
fn create(path: &Path, create_directory: bool) -> Result<(), OpenError> {
    let directory = path.parent().unwrap_or(Path::new("/"));
    match std::fs::metadata(directory) {
        Ok(_) => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound && create_directory => {
            match std::fs::create_dir(directory) {
                Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
                    return Err(create_error(path, error.to_string()));
                }
                _ => info!(path = %directory.display(), "directory created"),
            }
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Err(OpenError::NoDirectory(directory.to_owned()));
        }
        Err(error) => return Err(create_error(path, error.to_string())),
    }
    let draft = Draft(draft_path(path));
    let made = fill(&draft.0).map_err(|error| create_error(path, error.to_string()))?;
    made.close().map_err(|(_, error)| create_error(path, error.to_string()))?;
    match rename_new(&draft.0, path) {
        Ok(()) => {}
        // Another start was faster: its library is as good.
        Err(Errno::EXIST) => return Ok(()),
        Err(error) => return Err(create_error(path, io::Error::from(error).to_string())),
    }
    // The name itself must survive a power failure, or the next start would find a lost library.
    std::fs::File::open(directory)
        .and_then(|directory| directory.sync_all())
        .map_err(|error| create_error(path, error.to_string()))?;
    info!(path = %path.display(), schema_version = super::SCHEMA_VERSION, "library created");
    Ok(())
}

fn create_error(path: &Path, problem: String) -> OpenError {
    OpenError::Create { path: path.to_owned(), problem, diagnosis: diagnose::access(path) }
}

/// A name of this moment and this process: as PID 1 in two containers the process id alone is not enough.
fn draft_path(path: &Path) -> PathBuf {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or(Duration::ZERO);
    let mut name = std::ffi::OsString::from(".");
    name.push(path.file_name().unwrap_or_default());
    name.push(format!(".new-{}-{}", std::process::id(), now.as_nanos()));
    path.with_file_name(name)
}

/// A half-made library under its temporary name; removed whatever happens.
struct Draft(PathBuf);

impl Drop for Draft {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

/// The whole schema in one transaction, on disk when this returns. No journal: until it has its name, nobody
/// misses it.
fn fill(draft: &Path) -> rusqlite::Result<Connection> {
    let connection = Connection::open_with_flags(
        draft,
        OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE | OpenFlags::SQLITE_OPEN_NO_MUTEX,
    )?;
    connection.query_row("PRAGMA journal_mode = MEMORY", [], |_| Ok(()))?;
    connection.pragma_update(None, "synchronous", "FULL")?;
    let transaction = connection.unchecked_transaction()?;
    transaction.execute_batch(schema::SQL)?;
    transaction.commit()?;
    Ok(connection)
}

/// rename(2) that replaces nothing. NFS cannot, but has link(2); FAT and some FUSE servers have neither, and
/// there a look and a plain rename must do.
fn rename_new(from: &Path, to: &Path) -> Result<(), Errno> {
    match rustix::fs::renameat_with(CWD, from, CWD, to, RenameFlags::NOREPLACE) {
        Err(Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP) => match rustix::fs::link(from, to) {
            Err(Errno::PERM | Errno::NOSYS | Errno::OPNOTSUPP) => {
                if to.symlink_metadata().is_ok() {
                    return Err(Errno::EXIST);
                }
                rustix::fs::rename(from, to)
            }
            other => other,
        },
        other => other,
    }
}
