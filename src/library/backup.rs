//! Backups: [`back_up`] copies a database into one complete file, [`restore()`] replaces a database by such a file.
//!
//! Both create the new file in a [`Draft`] in the directory of its destination, check all of it, write it to disk and then
//! rename it. So a crash leaves the old state or the new one.
//!
//! A backup is a `VACUUM INTO`: one consistent state, whatever is written meanwhile. It copies tables and indexes
//! alike, so the `integrity_check` of the copy also finds damage of the library, and holds no lock on it.

mod replace;
mod restore;

use std::fs::File;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use rusqlite::config::DbConfig;
use rusqlite::{Connection, ErrorCode, OpenFlags, ffi};
use rustix::io::Errno;
use tokio_util::sync::CancellationToken;

pub(crate) use restore::{Options, Restored, restore};

use super::draft::{self, Draft, rename_new};
use super::lock::{self, Found};
use super::path::{self, companion, directory};
use super::schema::{self, Mismatch};
use super::{Library, OpenError, Retry, diagnose, integrity, sqlite};
use crate::base::times::{BACKUP_CANCEL_POLL_INTERVAL, DATABASE_ATTEMPT_TIMEOUT};

/// Why a library was not backed up or restored. Each but [`Error::Open`] begins with a stable code.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// A backup replaces nothing.
    #[error("error[backup-exists]: cannot write {}: it exists. Give another name, or remove it", .0.display())]
    Exists(PathBuf),
    /// The backup cannot be made there.
    #[error("error[backup-path]: cannot write {}: {problem}", path.display())]
    Target {
        /// The backup.
        path: PathBuf,
        /// Why, and what to do.
        problem: String,
    },
    /// The database is damaged.
    #[error(
        "error[library-damaged]: cannot back up {}: it is damaged ({problem}). Restore an earlier backup, or save what can be \
         saved with `sqlite3 {} .recover`",
        path.display(), path.display()
    )]
    Damaged {
        /// The library.
        path: PathBuf,
        /// What SQLite found.
        problem: String,
    },
    /// The file cannot be restored.
    #[error("error[backup-unusable]: cannot restore {}: {problem}. The library was not changed", path.display())]
    Unusable {
        /// The backup.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
    /// The disk is full.
    #[error("error[disk-full]: cannot write {}: the disk is full. Free some space", .0.display())]
    DiskFull(PathBuf),
    /// A program that has the old database open would damage the new one.
    #[error(
        "error[library-in-use]: cannot replace {}: {} has it open. End that program",
        path.display(),
        pid.map_or("another program".to_owned(), |pid| format!("the process with pid {pid}"))
    )]
    InUse {
        /// The library.
        path: PathBuf,
        /// Its process, if the kernel reports it.
        pid: Option<u32>,
    },
    /// The path of the database cannot be written.
    #[error("error[library-path]: cannot replace {}: {problem}", path.display())]
    Place {
        /// The library.
        path: PathBuf,
        /// Why, and what to do.
        problem: String,
    },
    /// The library cannot be opened.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// The caller cancelled.
    #[error("interrupted")]
    Cancelled,
}

/// A backup that was made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Backup {
    /// Where, absolute.
    pub path: PathBuf,
    /// Its length.
    pub bytes: u64,
    /// How many files the library knows.
    pub files: u64,
    /// How long all of it took.
    pub took: Duration,
}

/// Copies the library at `database` to `target`, which must not exist. Takes no lock of the daemon's, and leaves nothing
/// beside the library.
///
/// # Errors
/// [`Error`]; nothing is left at `target` then.
pub(crate) fn back_up(database: &Path, target: &Path, cancel: &CancellationToken) -> Result<Backup, Error> {
    let start = Instant::now();
    let target = check_target(target, database)?;
    let had_log = companion(database, "-wal").exists();
    let library = Library::view(database, cancel)?;
    // A daemon that runs decides on the log by itself, and would take our try of the locks for a copy onto the file.
    let is_unused = matches!(lock::find(database, None), Ok(Found::NoFile | Found::NotHeld));
    let unread = |source| super::Error::Unreachable { path: library.path().to_owned(), source };
    if is_unused && library.has_foreign_log().map_err(unread).map_err(OpenError::from)? {
        return Err(OpenError::Undecided { path: library.path().to_owned() }.into());
    }
    let failed = |error: io::Error| at_target(&target, &error);
    draft::sweep(directory(&target));
    let draft = Draft::new(directory(&target)).map_err(failed)?;
    let source = std::fs::metadata(library.path()).map_err(unread).map_err(OpenError::from)?;
    let copied = copy(&library, (&draft, &target), source.mode() & 0o666, cancel, &failed);
    if !had_log {
        tidy(library.path());
    }
    copied?;
    let copy = examine(&draft.file(), cancel).map_err(|flaw| match flaw {
        Flaw::Mismatch(mismatch) => OpenError::NotOurs { path: library.path().to_owned(), mismatch }.into(),
        Flaw::Damaged(problem) => Error::Damaged { path: library.path().to_owned(), problem },
        Flaw::Sqlite(error) => failure(&library, &target, error),
    })?;
    let written = File::open(draft.file()).and_then(|file| {
        file.sync_all()?;
        file.metadata()
    });
    let bytes = written.map_err(failed)?.len();
    if cancel.is_cancelled() {
        return Err(Error::Cancelled);
    }
    rename_new(&draft.file(), &target).map_err(|error| failed(error.into()))?;
    drop(draft);
    if let Err(error) = draft::sync_directory(directory(&target)) {
        let _ = std::fs::remove_file(&target);
        return Err(failed(error));
    }
    Ok(Backup { path: target, bytes, files: copy.files, took: start.elapsed() })
}

/// The absolute path of a backup that can be made, by its name alone.
fn check_target(target: &Path, database: &Path) -> Result<PathBuf, Error> {
    let refuse = |problem: &str| Err(Error::Target { path: target.to_owned(), problem: problem.to_owned() });
    let absolute = std::path::absolute(target).unwrap_or_else(|_| target.to_owned());
    match std::fs::metadata(&absolute) {
        Ok(found) if found.is_dir() => return refuse("it is a directory. Give the name of a file in it"),
        _ if absolute.file_name().is_none() || target.as_os_str().as_bytes().ends_with(b"/") => {
            return refuse("it does not name a file");
        }
        _ if absolute.symlink_metadata().is_ok() => return Err(Error::Exists(absolute)),
        _ => {}
    }
    let place = directory(&absolute);
    match std::fs::metadata(place) {
        Ok(found) if found.is_dir() => {}
        Ok(found) => {
            return refuse(&format!(
                "{} is {}, not a directory. Correct the path",
                place.display(),
                diagnose::kind(&found)
            ));
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return refuse(&format!(
                "the directory {} does not exist. Create it, or mount what belongs there",
                place.display()
            ));
        }
        Err(error) => return Err(at_target(&absolute, &error)),
    }
    let library = path::real(database);
    let names = ["", "-wal", "-shm", "-journal"].map(|suffix| companion(&library, suffix));
    let real = path::real(&absolute);
    if names.contains(&real) || path::lock(&library) == real {
        return refuse("SQLite or the daemon uses that name for the library itself. Give another name");
    }
    Ok(absolute)
}

/// Copies a consistent state into the draft.
fn copy(
    library: &Library,
    (draft, target): (&Draft, &Path),
    mode: u32,
    cancel: &CancellationToken,
    failed: &dyn Fn(io::Error) -> Error,
) -> Result<(), Error> {
    let path = library.path();
    let mut unmade = None;
    let copied = Retry::new(cancel).run(path, || {
        // Once more from the start where another program came between.
        let vacuum = |connection: &mut Connection| {
            // It takes as long as it takes, and is interrupted otherwise.
            connection.progress_handler(0, None::<fn() -> bool>)?;
            if let Err(error) = draft.begin(mode) {
                unmade = Some(error);
                return Ok(());
            }
            interruptible(connection, cancel, || {
                // A name of any bytes.
                let name = draft.file();
                connection.execute("VACUUM INTO CAST(?1 AS TEXT)", [name.as_os_str().as_bytes()]).map(|_| ())
            })
        };
        library.reader.read_long(DATABASE_ATTEMPT_TIMEOUT, vacuum).map_err(|source| library.not_begun(source))
    });
    match (unmade, copied) {
        (Some(error), _) => Err(failed(error)),
        (None, Ok(())) => Ok(()),
        (None, Err(super::Error::Sqlite { source, .. })) => Err(failure(library, target, source)),
        (None, Err(super::Error::Cancelled)) => Err(Error::Cancelled),
        (None, Err(error)) => Err(OpenError::from(error).into()),
    }
}

/// What an error of SQLite means for a backup.
fn failure(library: &Library, target: &Path, source: rusqlite::Error) -> Error {
    match source.sqlite_error_code() {
        Some(ErrorCode::OperationInterrupted) => Error::Cancelled,
        Some(ErrorCode::DiskFull) => Error::DiskFull(target.to_owned()),
        Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => {
            Error::Damaged { path: library.path().to_owned(), problem: source.to_string() }
        }
        // The library is only read.
        _ if source.sqlite_extended_error_code() == Some(ffi::SQLITE_IOERR_WRITE) => {
            Error::Target { path: target.to_owned(), problem: sqlite::chain(&source) }
        }
        _ => OpenError::Library(library.failed(source)).into(),
    }
}

/// What an error at the backup's place means.
fn at_target(target: &Path, error: &io::Error) -> Error {
    match Errno::from_io_error(error) {
        Some(Errno::NOSPC | Errno::DQUOT) => Error::DiskFull(target.to_owned()),
        Some(Errno::EXIST) => Error::Exists(target.to_owned()),
        _ => Error::Target { path: target.to_owned(), problem: explained(target, error) },
    }
}

/// An error at `path`, with the fix.
fn explained(path: &Path, error: &io::Error) -> String {
    let fix = diagnose::fault(path, error).unwrap_or_else(|| diagnose::access(path));
    format!("{error}: {fix}")
}

/// Removes the `-wal` and `-shm` that our own reading has made or kept another program from removing: a connection that only
/// reads cannot. SQLite does it when the last connection that may write closes. What that program has left in the log is
/// brought into the library then; where there is a daemon, it does that itself, because it knows each write to its library.
fn tidy(library: &Path) {
    let Ok(log) = std::fs::metadata(companion(library, "-wal")) else { return };
    if log.len() > 0 && lock::held(library, None).is_some() {
        return;
    }
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let tidied = Connection::open_with_flags(library, flags)
        .and_then(|writer| writer.query_row("SELECT count(*) FROM sqlite_master", [], |_| Ok(())));
    if let Err(error) = tidied {
        tracing::debug!(path = %library.display(), %error, "the -wal and -shm stay");
    }
}

/// What a whole copy holds.
struct Examined {
    files: u64,
}

/// What is wrong with a copy.
enum Flaw {
    Mismatch(Mismatch),
    /// The first message of `integrity_check`.
    Damaged(String),
    Sqlite(rusqlite::Error),
}

impl From<rusqlite::Error> for Flaw {
    fn from(error: rusqlite::Error) -> Self {
        Self::Sqlite(error)
    }
}

/// Checks all of a copy that no other program can open. SQLite applies a log beside it, or rolls it back.
fn examine(copy: &Path, cancel: &CancellationToken) -> Result<Examined, Flaw> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(copy, flags)?;
    // Whatever its schema holds, nothing of it is run.
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_DEFENSIVE, true)?;
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_TRUSTED_SCHEMA, false)?;
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_TRIGGER, false)?;
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_VIEW, false)?;
    let examined = interruptible(&connection, cancel, || {
        if let Err(mismatch) = schema::verify(&connection)? {
            return Ok(Err(Flaw::Mismatch(mismatch)));
        }
        let verdict: String = connection.query_row("PRAGMA integrity_check(1)", [], |row| row.get(0))?;
        if verdict != "ok" {
            return Ok(Err(Flaw::Damaged(integrity::first_line(&verdict).to_owned())));
        }
        let files: i64 = connection.query_row("SELECT count(*) FROM files", [], |row| row.get(0))?;
        Ok(Ok(Examined { files: files.unsigned_abs() }))
    })??;
    connection.close().map_err(|(_, error)| error)?;
    Ok(examined)
}

/// Runs `work`, and interrupts what it does on `connection` once the caller wants to stop.
fn interruptible<T>(
    connection: &Connection,
    cancel: &CancellationToken,
    work: impl FnOnce() -> rusqlite::Result<T>,
) -> rusqlite::Result<T> {
    struct Done<'a>(&'a AtomicBool, std::thread::Thread);
    impl Drop for Done<'_> {
        fn drop(&mut self) {
            self.0.store(true, Ordering::Release);
            self.1.unpark();
        }
    }
    let handle = connection.get_interrupt_handle();
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let watch = scope.spawn(|| {
            while !done.load(Ordering::Acquire) {
                // Again and again: it ends the statement that runs, not one that comes.
                if cancel.is_cancelled() {
                    handle.interrupt();
                }
                std::thread::park_timeout(BACKUP_CANCEL_POLL_INTERVAL);
            }
        });
        let _done = Done(&done, watch.thread().clone());
        work()
    })
}
