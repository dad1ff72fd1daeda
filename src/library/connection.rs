//! The two ways in which SQLite is let at the library: as a reader that changes nothing, and as the one
//! writer. Nothing but SQLite ever opens `library.db`, `-wal` or `-shm`: closing a descriptor of our own
//! would drop the POSIX locks that SQLite holds on the file.

use std::ffi::{OsStr, OsString};
use std::fmt::Write as _;
use std::fs::Metadata;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use rusqlite::config::DbConfig;
use rusqlite::{Connection, ErrorCode, OpenFlags};
use rustix::fs::{Access, AtFlags, CWD, accessat};
use rustix::io::Errno;

use super::diagnose;
use super::file_system::is_read_only;
use super::path::{companion, directory};
use super::{SLICE, is_busy};

/// After this long a file that changes again shows another mtime on every file system (FAT counts in 2 s).
const SETTLED: Duration = Duration::from_secs(3);

/// Between two tries for a lock.
const SHORTEST_PAUSE: Duration = Duration::from_micros(50);

/// Reads without a trace: `library.db` and `-wal` stay as they are, and no file appears beside them.
///
/// An ordinary read-only connection to a WAL library makes a `-wal` and a `-shm`, cannot remove them again, and so
/// may leave the library's owner with files of ours that he cannot write. So where nobody has such a library
/// open (there is no `-wal`), it is read as `immutable`, and what was read counts only if still nobody has it open
/// afterwards. Everywhere else the connection is an ordinary one, which sees the locks of others.
#[derive(Debug)]
pub(super) struct Reader {
    path: PathBuf,
    wal: PathBuf,
    gate: Arc<Gate>,
    /// Whether the file of that stamp is in WAL mode.
    known: Mutex<Option<(Stamp, bool)>>,
}

/// What tells one content of a file from another, as far as stat(2) does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Stamp {
    device: u64,
    inode: u64,
    length: u64,
    /// Seconds and nanoseconds.
    modified: (i64, i64),
}

impl Stamp {
    /// Of the file at `path`, or what a link there leads to; `None` when it cannot be reached.
    pub(super) fn at(path: &Path) -> Option<Self> {
        std::fs::metadata(path).ok().as_ref().map(Self::of)
    }

    fn of(found: &Metadata) -> Self {
        Self {
            device: found.dev(),
            inode: found.ino(),
            length: found.len(),
            modified: (found.mtime(), found.mtime_nsec()),
        }
    }
}

impl Reader {
    pub(super) fn new(path: &Path) -> Self {
        let wal = companion(path, "-wal");
        Self { path: path.to_owned(), wal, gate: Arc::default(), known: Mutex::default() }
    }

    /// Runs `work` on a new connection, which waits at most `busy` for a lock; where someone comes between, once
    /// more.
    pub(super) fn read<T>(
        &self,
        busy: Duration,
        mut work: impl FnMut(&Connection) -> rusqlite::Result<T>,
    ) -> rusqlite::Result<T> {
        if let Some(found) = self.read_without_locks(busy, &mut work) {
            return found;
        }
        let _turn = Gate::locking(&self.gate);
        work(&open(self.path.as_os_str(), busy)?)
    }

    /// `None` when reading without locks is not allowed now, or what was read may be invalid.
    fn read_without_locks<T>(
        &self,
        busy: Duration,
        work: &mut impl FnMut(&Connection) -> rusqlite::Result<T>,
    ) -> Option<rusqlite::Result<T>> {
        let look = |work: &mut dyn FnMut(&Connection) -> rusqlite::Result<T>| {
            work(&open(&immutable(&self.path), busy)?)
        };
        if is_read_only(&self.path) && self.is_complete() {
            // Nobody can write here, and SQLite could make no `-shm`. Somebody may through another mount, though:
            // what looks wrong is looked at again with locks.
            let _turn = Gate::lockless(&self.gate)?;
            return look(work).ok().map(Ok);
        }
        if self.wal.exists() || !diagnose::directory_writable(directory(&self.path)) {
            return None;
        }
        let _turn = Gate::lockless(&self.gate)?;
        let before = self.wal_stamp()?;
        let found = look(work);
        (Stamp::at(&self.path) == Some(before) && !self.wal.exists()).then_some(found)
    }

    /// What lies in `library.db`, whatever a `-wal` or a `-journal` has to say of it: for a look at a file that cannot be
    /// read otherwise without writing to it. `None` while connections that take locks are open.
    pub(super) fn read_as_it_is<T>(
        &self,
        work: impl FnOnce(&Connection) -> rusqlite::Result<T>,
    ) -> Option<rusqlite::Result<T>> {
        let _turn = Gate::lockless(&self.gate)?;
        Some(open(&immutable(&self.path), Duration::ZERO).and_then(|connection| work(&connection)))
    }

    /// Whether `library.db` alone is the whole library: what lies in a `-wal` or a `-journal` counts too, and
    /// `immutable` would not look into them and show a state that never was.
    fn is_complete(&self) -> bool {
        let empty = |file: &Path| std::fs::metadata(file).map_or(true, |found| found.len() == 0);
        empty(&self.wal) && empty(&companion(&self.path, "-journal"))
    }

    /// The file's stamp, if it is in WAL mode.
    fn wal_stamp(&self) -> Option<Stamp> {
        let found = std::fs::metadata(&self.path).ok()?;
        let stamp = Stamp::of(&found);
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let is_wal = match *known {
            Some((of, is_wal)) if of == stamp => is_wal,
            _ => {
                let is_wal = is_wal(&self.path).ok()?;
                let age = found.modified().ok().and_then(|time| SystemTime::now().duration_since(time).ok());
                *known = age.is_some_and(|age| age > SETTLED).then_some((stamp, is_wal));
                is_wal
            }
        };
        is_wal.then_some(stamp)
    }
}

/// Who of this process has the library open: connections that take locks, or connections that take none, never both.
/// Closing any descriptor of a file drops all POSIX locks that the process holds on it; SQLite sees to that
/// among the connections that lock, and not for the others.
#[derive(Debug, Default)]
struct Gate {
    inside: Mutex<Inside>,
    left: Condvar,
}

#[derive(Debug, Default)]
struct Inside {
    locking: usize,
    lockless: usize,
    /// Who waits to lock: nobody may go in before them.
    waiting: usize,
}

/// Being inside, until dropped.
#[derive(Debug)]
struct Turn {
    gate: Arc<Gate>,
    locking: bool,
}

impl Gate {
    fn locking(gate: &Arc<Self>) -> Turn {
        let mut inside = gate.inside.lock().unwrap_or_else(PoisonError::into_inner);
        inside.waiting += 1;
        inside = gate
            .left
            .wait_while(inside, |inside| inside.lockless > 0)
            .unwrap_or_else(PoisonError::into_inner);
        inside.waiting -= 1;
        inside.locking += 1;
        Turn { gate: Arc::clone(gate), locking: true }
    }

    /// `None` while others lock, or wait to.
    fn lockless(gate: &Arc<Self>) -> Option<Turn> {
        let mut inside = gate.inside.lock().unwrap_or_else(PoisonError::into_inner);
        if inside.locking > 0 || inside.waiting > 0 {
            return None;
        }
        inside.lockless += 1;
        Some(Turn { gate: Arc::clone(gate), locking: false })
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        let mut inside = self.gate.inside.lock().unwrap_or_else(PoisonError::into_inner);
        if self.locking {
            inside.locking -= 1;
        } else {
            inside.lockless -= 1;
        }
        self.gate.left.notify_all();
    }
}

/// Whether the file says that it is in WAL mode, learnt without making a `-wal`: without locks SQLite cannot use
/// one, and refuses (<https://www.sqlite.org/uri.html>, `nolock`).
fn is_wal(path: &Path) -> rusqlite::Result<bool> {
    let connection = open(&uri(path, "nolock=1"), Duration::ZERO)?;
    let looked = connection.query_row("SELECT 1 FROM sqlite_master LIMIT 1", [], |_| Ok(()));
    Ok(looked.is_err_and(|error| error.sqlite_error_code() == Some(ErrorCode::CannotOpen)))
}

/// A connection that only reads.
fn open(name: &OsStr, busy: Duration) -> rusqlite::Result<Connection> {
    let mut connection = Connection::open_with_flags(
        Path::new(name),
        OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX | OpenFlags::SQLITE_OPEN_URI,
    )?;
    wait_when_busy(&mut connection, busy)?;
    Ok(connection)
}

/// Has `connection` try again for as long as `busy`. SQLite's own handler sleeps up to 25 ms between two tries; a neighbour
/// that commits one transaction after the other leaves the library unlocked for a tenth of a millisecond at
/// a time.
fn wait_when_busy(connection: &mut Connection, busy: Duration) -> rusqlite::Result<()> {
    let mut since = Instant::now();
    connection.busy_handler(Some(move |tries| {
        if tries == 0 {
            since = Instant::now();
        }
        let waited = since.elapsed();
        if waited >= busy {
            return false;
        }
        std::thread::sleep((waited / 50).max(SHORTEST_PAUSE));
        true
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

/// The one writer, kept for as long as there are roots.
#[derive(Debug)]
pub(super) struct Writer {
    connection: Mutex<Connection>,
    // After the connection: readers must not think themselves alone before it is closed.
    _turn: Turn,
}

impl Writer {
    /// A new one, each try of which waits at most [`SLICE`] for a lock; the file must be there.
    pub(super) fn open(reader: &Reader) -> rusqlite::Result<Self> {
        let turn = Gate::locking(&reader.gate);
        let mut connection = Connection::open_with_flags(
            &reader.path,
            OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX,
        )?;
        wait_when_busy(&mut connection, SLICE)?;
        connection.pragma_update(None, "foreign_keys", true)?;
        connection.pragma_update(None, "synchronous", "NORMAL")?;
        Ok(Self { connection: Mutex::new(connection), _turn: turn })
    }

    /// The connection, when it is the caller's turn.
    pub(super) fn connection(&self) -> MutexGuard<'_, Connection> {
        self.connection.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Fails where SQLite cannot write. A `-wal` or a `-shm` that it may only read it opens for reading, and says nothing of
    /// it until something is written; and then it stays so for as long as this process has the library open.
    ///
    /// That another writes at the moment is no failure; but where the library cannot even be read for a lock, there is
    /// nothing to tell by. Does not wait.
    pub(super) fn prove(&self) -> rusqlite::Result<()> {
        let mut connection = self.connection();
        wait_when_busy(&mut connection, Duration::ZERO)?;
        let proven = connection.unchecked_transaction().and_then(|transaction| {
            // Opens the log. Then SQLite looks first whether it may write, and only after that for the lock.
            transaction.query_row("SELECT count(*) FROM _meta", [], |_| Ok(()))?;
            match transaction.execute("DELETE FROM _meta WHERE 0", []) {
                Err(error) if !is_busy(&error) => Err(error),
                _ => Ok(()),
            }
        });
        wait_when_busy(&mut connection, SLICE)?;
        proven
    }

    /// Brings the write-ahead log into the library and cuts it to length zero; what a reader of another program holds
    /// back stays in it, which is no error.
    pub(super) fn checkpoint(&self) -> rusqlite::Result<()> {
        self.connection().query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))
    }

    /// Brings the write-ahead log into the library and removes it, unless another program still uses it.
    pub(super) fn finish(self) -> rusqlite::Result<()> {
        let checkpointed = self.checkpoint();
        self.close()?;
        checkpointed
    }

    /// Lets go of a file that is no longer the one at the path. SQLite removes the `-wal` *by name* when the
    /// last connection closes, and that name may belong to the next library by now: so it must not.
    ///
    /// With `replaced`, what the log still holds is brought into the old file first (it is the same `-wal` that
    /// the new library would otherwise take for its own).
    pub(super) fn abandon(self, replaced: bool) -> rusqlite::Result<()> {
        self.connection().set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
        let checkpointed = if replaced { self.checkpoint() } else { Ok(()) };
        self.close()?;
        checkpointed
    }

    fn close(self) -> rusqlite::Result<()> {
        let connection = self.connection.into_inner().unwrap_or_else(PoisonError::into_inner);
        connection.close().map_err(|(_, error)| error)
    }
}

/// Whether SQLite could use the library and what lies beside it for `what`, as far as modes and lists tell.
pub(super) fn all_allow(what: Access, path: &Path) -> bool {
    ["", "-wal", "-shm", "-journal"].into_iter().all(|suffix| {
        match accessat(CWD, companion(path, suffix), what, AtFlags::EACCESS) {
            Ok(()) => true,
            Err(error) => error == Errno::NOENT && !suffix.is_empty(),
        }
    })
}

/// Something may not be opened, or only for reading, by what SQLite has seen of it.
pub(super) fn is_shut(error: &rusqlite::Error) -> bool {
    matches!(error.sqlite_error_code(), Some(ErrorCode::ReadOnly | ErrorCode::CannotOpen))
        && !is_unfinished(error)
}

/// A journal lies there that only a connection that writes may undo: its writer died, or is about to come back.
pub(super) fn is_unfinished(error: &rusqlite::Error) -> bool {
    error.sqlite_extended_error_code() == Some(rusqlite::ffi::SQLITE_READONLY_ROLLBACK)
}
