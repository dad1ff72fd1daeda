//! How a library is opened: looked at before anything is touched, created where there has never been one,
//! locked, recognised, and refused with what was found, why, and what to do.
//!
//! The order matters. *Look*: what is at the path, by stat(2) alone. *Create*, only where neither the library nor
//! a trace of a lost one is there: made whole under a temporary name and then given its own without replacing
//! anything, so that a crash leaves a library or none. *Lock*, only now: so a lock file without a library
//! always means a lost one. *Recognise*, through a connection that only reads; what nobody has ever locked is
//! recognised before that as well, so that no lock file appears beside another program's database. *Convert* to WAL,
//! with roots.

mod create;
mod error;

use std::fs::Metadata;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{PoisonError, RwLock};
use std::time::{Duration, Instant};

use rusqlite::ErrorCode;
use rustix::fd::OwnedFd;
use rustix::fs::{Access, Mode, OFlags};
use tracing::{info, warn};

use create::create;
pub use error::OpenError;

use super::connection::{self, Reader, Writer};
use super::file_system;
use super::lock::{self, Lock, LockError};
use super::path::{companion, directory};
use super::schema;
use super::{BUSY_LIMIT, Error, Library, Patience, SHORTEST, SLICE, State, diagnose};

/// The longest that [`Library::admit_writing`] holds the state at a time, and its pause: checks need the state too.
const TURN: Duration = Duration::from_millis(20);

/// Pauses between tries of what may be shut for a moment only, in milliseconds: a `-wal` or `-shm` that root's SQLite has
/// just made it gives to the library's owner in its next system call.
const PAUSES: [u64; 5] = [1, 2, 4, 8, 16];

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
            match recognise(&Reader::new(&path), &path, cancelled)? {
                Recognised::Unfinished if !options.write => {
                    return Err(OpenError::Unfinished { path });
                }
                Recognised::Unfinished | Recognised::Whole => {}
            }
        }
        let lock = match Lock::acquire(&path, options.runtime_directory, cancelled) {
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
        let library = Self::begin(path, lock, options.write, cancelled)?;
        if library.lock.is_some() {
            create::sweep(&library.path);
        }
        Ok(library)
    }

    /// Opens a library that is there only for reading, without a lock: for a look while a daemon may run.
    ///
    /// # Errors
    /// As [`Self::open`]; nothing is ever created.
    pub fn view(path: &Path, cancelled: &dyn Fn() -> bool) -> Result<Self, OpenError> {
        let path = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
        if look(&path).map_err(|error| unless_held(error, None))?.is_none() {
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
        if !diagnose::writable(&library.path) {
            let problem = "it may not be written, so nothing can be queued in it".to_owned();
            return Err(access_error(&library.path, problem));
        }
        let writer = proven_writer(&library.reader, &library.path, cancelled, |_| Ok(()))?;
        let state = library.state.get_mut().unwrap_or_else(PoisonError::into_inner);
        state.writer = Some(writer);
        library.writes = AtomicBool::new(true);
        Ok(library)
    }

    /// From now on there are roots to record, as if it had been opened so.
    ///
    /// # Errors
    /// Where it cannot be written; it is then read as before.
    pub fn admit_writing(&self, cancelled: &dyn Fn() -> bool) -> Result<(), OpenError> {
        if self.lock.is_none() && !self.writes() {
            let diagnosis = diagnose::access(&self.path);
            return Err(OpenError::ReadOnly { path: self.path.clone(), diagnosis });
        }
        let start = Instant::now();
        loop {
            // A turn at the state is short, because checks need one too.
            let mut state = self.state.write().unwrap_or_else(PoisonError::into_inner);
            if self.writes() {
                return Ok(());
            }
            let turn = Instant::now();
            match open_writer(&self.reader, &self.path, &|| cancelled() || turn.elapsed() > TURN) {
                Ok(writer) => {
                    state.writer = Some(writer);
                    self.writes.store(true, Ordering::Release);
                    return Ok(());
                }
                Err(error) if error.is_cancelled() && !cancelled() && start.elapsed() < BUSY_LIMIT => {}
                Err(error) => return Err(error),
            }
            drop(state);
            std::thread::sleep(TURN);
        }
    }

    fn begin(
        path: PathBuf,
        lock: Option<Lock>,
        may_write: bool,
        cancelled: &dyn Fn() -> bool,
    ) -> Result<Self, OpenError> {
        look(&path)?;
        let pin = Pin::new(&path).map_err(|error| access_error(&path, error.to_string()))?;
        let reader = Reader::new(&path);
        if let Recognised::Unfinished = recognise(&reader, &path, cancelled)? {
            if !may_write {
                return Err(OpenError::Unfinished { path });
            }
            undo(&reader, &path, cancelled)?;
            if let Recognised::Unfinished = recognise(&reader, &path, cancelled)? {
                return Err(OpenError::Unfinished { path });
            }
        }
        let writer = if may_write { Some(open_writer(&reader, &path, cancelled)?) } else { None };
        let state = State { pin, generation: 0, adopted: None, writer };
        Ok(Self {
            real: super::path::real(&path),
            path,
            lock,
            writes: AtomicBool::new(may_write),
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

/// A lost library whose daemon still runs: whoever removed that daemon's lock file, as one is told to where a
/// library is lost for good, would get a second daemon.
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

/// Looks inside, through a connection that only reads.
fn recognise(reader: &Reader, path: &Path, cancelled: &dyn Fn() -> bool) -> Result<Recognised, OpenError> {
    let found = unless_just_made(|| {
        Patience::brief(cancelled).retry(path, || {
            reader
                .read(SLICE, |connection| schema::verify(&*connection.unchecked_transaction()?))
                .map_err(|source| Error::Sqlite { path: path.to_owned(), source })
        })
    });
    match found {
        Ok(Ok(())) => Ok(Recognised::Whole),
        Ok(Err(mismatch)) => Err(OpenError::NotOurs { path: path.to_owned(), mismatch }),
        // Whoever undoes writes. So what lies there must be ours by what can be read of it as it is.
        Err(Error::Sqlite { source, .. }) if connection::is_unfinished(&source) => {
            match reader.read_as_it_is(schema::verify) {
                Some(Ok(Ok(()))) => Ok(Recognised::Unfinished),
                Some(Ok(Err(mismatch))) => Err(OpenError::NotOurs { path: path.to_owned(), mismatch }),
                Some(Err(_)) | None => Err(OpenError::Unfinished { path: path.to_owned() }),
            }
        }
        Err(error) => Err(refused(path, error)),
    }
}

/// Has SQLite undo what a program that died has left half written, as any program that may write does.
fn undo(reader: &Reader, path: &Path, cancelled: &dyn Fn() -> bool) -> Result<(), OpenError> {
    let writer = Writer::open(reader).map_err(|source| refusal(path, source))?;
    Patience::brief(cancelled)
        .retry(path, || {
            writer
                .connection()
                .query_row("SELECT count(*) FROM sqlite_master", [], |_| Ok(()))
                .map_err(|source| Error::Sqlite { path: path.to_owned(), source })
        })
        .map_err(|error| refused(path, error))?;
    warn!(path = %path.display(), "another program died while it wrote to the library; its unfinished write was undone");
    Ok(())
}

/// What an error means for someone who wants to open.
fn refused(path: &Path, error: Error) -> OpenError {
    match error {
        Error::Sqlite { source, .. } => refusal(path, source),
        other => other.into(),
    }
}

/// What an error of SQLite means for someone who wants to open.
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

/// The one writer, on a library in WAL mode.
pub(super) fn open_writer(
    reader: &Reader,
    path: &Path,
    cancelled: &dyn Fn() -> bool,
) -> Result<Writer, OpenError> {
    if !diagnose::writable(path) || !diagnose::directory_writable(directory(path)) {
        return Err(OpenError::ReadOnly { path: path.to_owned(), diagnosis: diagnose::access(path) });
    }
    let mut mode = String::new();
    let writer = proven_writer(reader, path, cancelled, |writer| {
        let ask = |sql: &str| {
            Patience::brief(cancelled).retry(path, || {
                writer
                    .connection()
                    .query_row(sql, [], |row| row.get::<_, String>(0))
                    .map_err(|source| Error::Sqlite { path: path.to_owned(), source })
            })
        };
        mode = ask("PRAGMA journal_mode")?;
        if mode != "wal" {
            let before = std::mem::replace(&mut mode, ask("PRAGMA journal_mode = WAL")?);
            if mode == "wal" {
                info!(path = %path.display(), before, "library converted to WAL mode");
            }
        }
        Ok(())
    })?;
    if mode != "wal" {
        return Err(OpenError::NoWal {
            path: path.to_owned(),
            mode,
            file_system: file_system::name_at(path),
        });
    }
    Ok(writer)
}

/// A writer that is shown to be able to write, once it is prepared.
fn proven_writer(
    reader: &Reader,
    path: &Path,
    cancelled: &dyn Fn() -> bool,
    mut prepare: impl FnMut(&Writer) -> Result<(), Error>,
) -> Result<Writer, OpenError> {
    let sqlite = |source| Error::Sqlite { path: path.to_owned(), source };
    unless_just_made(|| {
        let writer = Writer::open(reader).map_err(sqlite)?;
        let prove = || Patience::brief(cancelled).retry(path, || writer.prove().map_err(sqlite));
        let proven = prepare(&writer).and_then(|()| prove());
        match proven {
            Ok(()) => Ok(writer),
            Err(error) => {
                // It is the only connection, so nothing is kept of what SQLite has seen, and the next one looks anew.
                let _ = writer.abandon(false);
                Err(error)
            }
        }
    })
    .map_err(|error| refused(path, error))
}

/// Has `attempt` try again for a moment where SQLite may not open something, or only for reading.
fn unless_just_made<T>(mut attempt: impl FnMut() -> Result<T, Error>) -> Result<T, Error> {
    for pause in PAUSES {
        match attempt() {
            Err(Error::Sqlite { source, .. }) if connection::is_shut(&source) => {
                std::thread::sleep(Duration::from_millis(pause));
            }
            other => return other,
        }
    }
    attempt()
}
