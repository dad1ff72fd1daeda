//! The two ways in which SQLite is let at the library: as a reader that changes nothing, and as a writer. Every connection is
//! opened here, hardened against what another program may have put into the schema, and bounded in time. Nothing but SQLite
//! ever opens `library.db`, `-wal` or `-shm`: closing a descriptor of our own would drop the POSIX locks that SQLite holds on
//! the file.

use std::ffi::{OsStr, OsString};
use std::fmt::Write as _;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use rusqlite::config::DbConfig;
use rusqlite::{Connection, ErrorCode, OpenFlags, Transaction};
use rustix::fs::{Access, AtFlags, CWD, accessat};
use rustix::io::Errno;
use tracing::warn;

use super::file_system::is_read_only;
use super::identity::Stamp;
use super::path::{companion, directory};
use super::{diagnose, is_busy};
use crate::base::retry::RetryPolicy;
use crate::base::times::{
    DATABASE_ATTEMPT_TIMEOUT, DATABASE_COMMIT_TIMEOUT, DATABASE_LOCK_INTERVAL, DATABASE_STATEMENT_TIMEOUT,
};

/// After this long a file that changes again shows another mtime on every file system (FAT counts in 2 s).
const MTIME_GRANULARITY: Duration = Duration::from_secs(3);

/// Times that a file is read which changes meanwhile.
const TRIES: u32 = 5;

/// Instructions of SQLite's virtual machine between two checks of the time: some tenths of a millisecond.
const INSTRUCTIONS: i32 = 20_000;

/// Reads without a trace: `library.db` and `-wal` stay as they are, and no file appears beside them.
///
/// An ordinary read-only connection to a WAL database creates a `-wal` and a `-shm` and cannot remove them again. The owner
/// of the database may then be unable to write these files. So a database without a `-wal`, which no program has open, is
/// read as `immutable`; the result counts only if there is no `-wal` afterwards. Otherwise the connection is an ordinary
/// one, which observes the locks of other programs.
#[derive(Debug)]
pub(super) struct Reader {
    path: PathBuf,
    wal: PathBuf,
    closing: Arc<AtomicBool>,
    /// Whether the file of that stamp is in WAL mode.
    known: Mutex<Option<(Stamp, bool)>>,
    /// Connections that were opened.
    opened: Arc<AtomicU32>,
}

impl Reader {
    /// A true `closing` ends every statement.
    pub(super) fn new(path: &Path, closing: Arc<AtomicBool>) -> Self {
        let wal = companion(path, "-wal");
        Self { path: path.to_owned(), wal, closing, known: Mutex::default(), opened: Arc::default() }
    }

    /// Counts the connections that were opened.
    pub(super) fn opened(&self) -> Arc<AtomicU32> {
        Arc::clone(&self.opened)
    }

    /// Runs `work` on a new connection, which waits at most `busy` for a lock. Repeats it if another program wrote meanwhile.
    ///
    /// # Errors
    /// Of SQLite; BUSY if the file changes all the time.
    pub(super) fn read<T>(
        &self,
        busy: Duration,
        mut work: impl FnMut(&mut Connection) -> rusqlite::Result<T>,
    ) -> rusqlite::Result<T> {
        for _ in 0..TRIES {
            match self.read_without_locks(busy, &mut work) {
                Sight::Valid(found) => return found,
                Sight::NotAllowed => return self.read_with_locks(busy, work),
                // An ordinary connection would leave a `-wal` beside a file that no program has open.
                Sight::Outdated => {}
            }
        }
        let busy = rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_BUSY);
        Err(rusqlite::Error::SqliteFailure(busy, Some("the file changes all the time".to_owned())))
    }

    /// As [`Self::read`], for what takes so long that writes in between are likely: then on an ordinary connection, which sees
    /// one state, and may leave a `-wal` and a `-shm`.
    pub(super) fn read_long<T>(
        &self,
        busy: Duration,
        mut work: impl FnMut(&mut Connection) -> rusqlite::Result<T>,
    ) -> rusqlite::Result<T> {
        match self.read_without_locks(busy, &mut work) {
            Sight::Valid(found) => found,
            // SQLite creates a `-wal` and a `-shm` with the mode of the file. They would stay read-only once it can be written
            // again.
            Sight::Outdated if !diagnose::writable(&self.path) => self.read(busy, work),
            Sight::Outdated | Sight::NotAllowed => self.read_with_locks(busy, work),
        }
    }

    fn read_without_locks<T>(
        &self,
        busy: Duration,
        work: &mut impl FnMut(&mut Connection) -> rusqlite::Result<T>,
    ) -> Sight<T> {
        let look = |work: &mut dyn FnMut(&mut Connection) -> rusqlite::Result<T>| {
            work(&mut self.open(&immutable(&self.path), busy)?)
        };
        if is_read_only(&self.path) && self.is_complete() {
            // No program can write here, and SQLite could not create a `-shm`. But a program may write through another mount:
            // after an error the read is repeated with locks.
            return look(work).map_or(Sight::NotAllowed, |found| Sight::Valid(Ok(found)));
        }
        if self.wal.exists() || !diagnose::directory_writable(directory(&self.path)) {
            return Sight::NotAllowed;
        }
        let Some(before) = self.wal_stamp() else { return Sight::NotAllowed };
        let found = look(work);
        if Stamp::at(&self.path) == Some(before) && !self.wal.exists() {
            Sight::Valid(found)
        } else {
            Sight::Outdated
        }
    }

    /// On an ordinary connection.
    fn read_with_locks<T>(
        &self,
        busy: Duration,
        mut work: impl FnMut(&mut Connection) -> rusqlite::Result<T>,
    ) -> rusqlite::Result<T> {
        let found = self.open(self.path.as_os_str(), busy).and_then(|mut connection| work(&mut connection));
        // On a full disk SQLite leaves a log without a frame, whose index it cannot make. The file is complete without it.
        let is_disk = |error: &rusqlite::Error| error.sqlite_error_code() == Some(ErrorCode::SystemIoFailure);
        if found.as_ref().is_err_and(is_disk) && self.is_complete() {
            let before = Stamp::at(&self.path);
            let alone = self.read_as_it_is(&mut work);
            if Stamp::at(&self.path) == before && self.is_complete() {
                return alone;
            }
        }
        found
    }

    /// Reads the main file alone, without its `-wal` or `-journal`: for a file that cannot be read otherwise without
    /// writing to it.
    pub(super) fn read_as_it_is<T>(
        &self,
        work: impl FnOnce(&mut Connection) -> rusqlite::Result<T>,
    ) -> rusqlite::Result<T> {
        work(&mut self.open(&immutable(&self.path), Duration::ZERO)?)
    }

    /// Whether the main file alone is the whole database. `immutable` ignores a `-wal` and a `-journal`, and would show a
    /// state that never existed.
    fn is_complete(&self) -> bool {
        let empty = |file: &Path| std::fs::metadata(file).map_or(true, |found| found.len() == 0);
        empty(&self.wal) && empty(&companion(&self.path, "-journal"))
    }

    /// Whether readers and writers do not keep each other out.
    pub(super) fn is_in_wal_mode(&self) -> bool {
        self.wal_stamp().is_some()
    }

    /// The file's stamp, if it is in WAL mode.
    fn wal_stamp(&self) -> Option<Stamp> {
        let found = std::fs::metadata(&self.path).ok()?;
        let stamp = Stamp::of(&found);
        // Not held during disk I/O: a hung disk must not block callers that would time out by themselves.
        let known = *self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let is_wal = match known {
            Some((of, is_wal)) if of == stamp => is_wal,
            _ => {
                let is_wal = self.is_wal().ok()?;
                let age = found.modified().ok().and_then(|time| SystemTime::now().duration_since(time).ok());
                let is_settled = age.is_some_and(|age| age > MTIME_GRANULARITY);
                *self.known.lock().unwrap_or_else(PoisonError::into_inner) =
                    is_settled.then_some((stamp, is_wal));
                is_wal
            }
        };
        is_wal.then_some(stamp)
    }

    /// Whether the file is in WAL mode, without creating a `-wal`: without locks SQLite cannot use WAL, and refuses (<https://www.sqlite.org/uri.html>, `nolock`).
    fn is_wal(&self) -> rusqlite::Result<bool> {
        let connection = self.open(&uri(&self.path, "nolock=1"), Duration::ZERO)?;
        let looked = connection.query_row("SELECT 1 FROM sqlite_master LIMIT 1", [], |_| Ok(()));
        Ok(looked.is_err_and(|error| error.sqlite_error_code() == Some(ErrorCode::CannotOpen)))
    }

    /// A connection that only reads.
    fn open(&self, name: &OsStr, busy: Duration) -> rusqlite::Result<Connection> {
        self.opened.fetch_add(1, Ordering::Relaxed);
        let mut connection = Connection::open_with_flags(
            Path::new(name),
            OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX | OpenFlags::SQLITE_OPEN_URI,
        )?;
        prepare(&mut connection, busy, &self.closing)?;
        Ok(connection)
    }

    /// A connection that writes, each try of which waits at most [`DATABASE_ATTEMPT_TIMEOUT`] for a lock; the file must
    /// be there.
    ///
    /// Closing it leaves the log and the main file as they are, unless [`close_clean`] does it: a checkpoint at the close
    /// would write into the content that is at the path by then.
    pub(super) fn open_writer(&self) -> rusqlite::Result<Connection> {
        let connection = self.open_untouched()?;
        connection.pragma_update(None, "foreign_keys", true)?;
        connection.pragma_update(None, "synchronous", "NORMAL")?;
        // A commit must not checkpoint by itself.
        connection.pragma_update(None, "wal_autocheckpoint", 0)?;
        Ok(connection)
    }
}

impl Reader {
    /// Keeps other programs out until the result is dropped; fails with BUSY where one has the database open. SQLite takes the
    /// exclusive lock when it opens the log, so the mode must be set before anything is read. `None` where the database is
    /// too damaged to be read, and so to be locked.
    pub(super) fn exclude_others(&self) -> rusqlite::Result<Option<Connection>> {
        let mut connection = self.open_untouched()?;
        wait_when_busy(&mut connection, Duration::ZERO)?;
        connection.query_row("PRAGMA locking_mode = EXCLUSIVE", [], |_| Ok(()))?;
        match connection.query_row("SELECT count(*) FROM sqlite_master", [], |_| Ok(())) {
            Ok(()) => Ok(Some(connection)),
            Err(error) if is_damage(&error) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Rolls back the unfinished write of a program that died, as every SQLite program that may write does.
    pub(super) fn undo(&self) -> rusqlite::Result<()> {
        self.open_writer()?.query_row("SELECT count(*) FROM sqlite_master", [], |_| Ok(()))?;
        warn!(path = %self.path.display(), "rolled back the unfinished write of a program that died");
        Ok(())
    }

    fn open_untouched(&self) -> rusqlite::Result<Connection> {
        if !all_allow(Access::WRITE_OK, &self.path) {
            // SQLite would open it for reading, and create a `-wal` and a `-shm` with its mode, which stay in the way once it can
            // be written again.
            let error = rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_READONLY);
            return Err(rusqlite::Error::SqliteFailure(error, Some("it may not be written".to_owned())));
        }
        self.opened.fetch_add(1, Ordering::Relaxed);
        let mut connection = Connection::open_with_flags(
            &self.path,
            OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX,
        )?;
        prepare(&mut connection, DATABASE_ATTEMPT_TIMEOUT, &self.closing)?;
        Ok(connection)
    }
}

/// What came of reading without locks.
enum Sight<T> {
    Valid(rusqlite::Result<T>),
    /// Someone wrote meanwhile.
    Outdated,
    /// Someone has the library open, or it is not in WAL mode.
    NotAllowed,
}

/// Closes a writer. The log and its index go where the log `is_empty`, and else stay as they are.
pub(super) fn close(connection: Connection, is_empty: bool) -> rusqlite::Result<()> {
    if is_empty { close_clean(connection) } else { connection.close().map_err(|(_, error)| error) }
}

/// Closes a writer whose log is empty, and removes the log and its index, unless another program has them open.
fn close_clean(connection: Connection) -> rusqlite::Result<()> {
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, false)?;
    connection.close().map_err(|(_, error)| error)
}

/// What holds for every connection: nothing that another program has put into the schema runs (a trigger, a view, a
/// function in an index or a default), no statement is endless, and a close writes nothing.
fn prepare(connection: &mut Connection, busy: Duration, closing: &Arc<AtomicBool>) -> rusqlite::Result<()> {
    for (what, wanted) in [
        (DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true),
        (DbConfig::SQLITE_DBCONFIG_DEFENSIVE, true),
        (DbConfig::SQLITE_DBCONFIG_TRUSTED_SCHEMA, false),
        (DbConfig::SQLITE_DBCONFIG_ENABLE_TRIGGER, false),
        (DbConfig::SQLITE_DBCONFIG_ENABLE_VIEW, false),
    ] {
        connection.set_db_config(what, wanted)?;
    }
    let (start, closing) = (Instant::now(), Arc::clone(closing));
    let is_over = move || start.elapsed() > DATABASE_STATEMENT_TIMEOUT || closing.load(Ordering::Relaxed);
    connection.progress_handler(INSTRUCTIONS, Some(is_over))?;
    wait_when_busy(connection, busy)
}

/// Has `connection` retry for as long as `busy`, in place of SQLite's own handler.
fn wait_when_busy(connection: &mut Connection, busy: Duration) -> rusqlite::Result<()> {
    let policy = RetryPolicy { interval: DATABASE_LOCK_INTERVAL, timeout: Some(busy), retries: None };
    let mut since = Instant::now();
    connection.busy_handler(Some(move |tries: i32| {
        if tries == 0 {
            since = Instant::now();
        }
        let pause = policy.next_pause(since.elapsed(), tries.unsigned_abs());
        pause.map(std::thread::sleep).is_some()
    }))
}

fn immutable(path: &Path) -> OsString {
    uri(path, "immutable=1")
}

/// `file:` URI of an absolute path of any bytes.
fn uri(path: &Path, parameter: &str) -> OsString {
    let mut uri = String::from("file://");
    for byte in path.as_os_str().as_bytes() {
        if byte.is_ascii_alphanumeric() || b"/._-".contains(byte) {
            uri.push(char::from(*byte));
        } else {
            let _ = write!(uri, "%{byte:02X}");
        }
    }
    let _ = write!(uri, "?{parameter}");
    uri.into()
}

/// Whether modes and access lists allow `what` for the database and its companions.
pub(super) fn all_allow(what: Access, path: &Path) -> bool {
    ["", "-wal", "-shm", "-journal"].into_iter().all(|suffix| {
        match accessat(CWD, companion(path, suffix), what, AtFlags::EACCESS) {
            Ok(()) => true,
            Err(error) => error == Errno::NOENT && !suffix.is_empty(),
        }
    })
}

/// The content itself is damaged, or no database at all.
pub(super) fn is_damage(error: &rusqlite::Error) -> bool {
    matches!(error.sqlite_error_code(), Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase))
}

/// Something may not be opened, or only for reading, by what SQLite has seen of it.
pub(super) fn is_shut(error: &rusqlite::Error) -> bool {
    matches!(error.sqlite_error_code(), Some(ErrorCode::ReadOnly | ErrorCode::CannotOpen))
        && !is_unfinished(error)
}

/// A hot journal exists, which only a connection that writes may roll back.
pub(super) fn is_unfinished(error: &rusqlite::Error) -> bool {
    error.sqlite_extended_error_code() == Some(rusqlite::ffi::SQLITE_READONLY_ROLLBACK)
}
/// Commits. In another journal mode than WAL a reader of another process holds a commit up. The transaction stays open
/// then, and its work cannot be done again.
pub(super) fn commit(transaction: &Transaction<'_>) -> rusqlite::Result<()> {
    let deadline = Instant::now() + DATABASE_COMMIT_TIMEOUT;
    loop {
        match transaction.execute_batch("COMMIT") {
            Err(error) if is_busy(&error) && Instant::now() < deadline => {}
            committed => return committed,
        }
    }
}
