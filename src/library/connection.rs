//! The two ways in which SQLite is let at the library: as a reader that changes nothing, and as the one
//! writer. Nothing but SQLite ever opens `library.db`, `-wal` or `-shm`: closing a descriptor of our own
//! would drop the POSIX locks that SQLite holds on the file.

use std::ffi::OsString;
use std::fmt::Write as _;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags};

use rustix::fs::{Access, AtFlags, CWD, accessat};
use rustix::io::Errno;

use super::diagnose;

/// A new connection that only reads. It leaves `library.db` and `-wal` as they are, whatever happens.
///
/// On a read-only mount nobody can write, and SQLite could make no `-shm`: `immutable=1`. Not so when a `-wal`
/// with content or a `-journal` lies there: `immutable` would not look into them and show a state that never was.
pub(super) fn reader(path: &Path, busy: Duration) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let settled = || {
        diagnose::on_read_only_mount(path)
            && ["-wal", "-journal"].into_iter().all(|suffix| {
                std::fs::metadata(companion(path, suffix)).map_or(true, |found| found.len() == 0)
            })
    };
    let connection = if settled() {
        Connection::open_with_flags(immutable(path), flags | OpenFlags::SQLITE_OPEN_URI)?
    } else {
        Connection::open_with_flags(path, flags)?
    };
    connection.busy_timeout(busy)?;
    Ok(connection)
}

/// A new connection that writes; the file must be there.
pub(super) fn writer(path: &Path, busy: Duration) -> rusqlite::Result<Connection> {
    let connection = Connection::open_with_flags(
        path,
        OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX,
    )?;
    connection.busy_timeout(busy)?;
    connection.pragma_update(None, "foreign_keys", true)?;
    connection.pragma_update(None, "synchronous", "NORMAL")?;
    Ok(connection)
}

/// The file that SQLite keeps beside the library under its (real) name and a suffix.
pub(super) fn companion(path: &Path, suffix: &str) -> PathBuf {
    let mut name = super::lock::real_path(path).into_os_string();
    name.push(suffix);
    name.into()
}

/// `file:` URI of a path of any bytes (<https://www.sqlite.org/uri.html>).
fn immutable(path: &Path) -> OsString {
    let mut uri = String::from("file://");
    for byte in path.as_os_str().as_bytes() {
        if byte.is_ascii_alphanumeric() || b"/._-".contains(byte) {
            uri.push(char::from(*byte));
        } else {
            let _ = write!(uri, "%{byte:02X}");
        }
    }
    uri.push_str("?immutable=1");
    uri.into()
}

/// Brings the write-ahead log into the library and removes it, unless another program still uses it.
pub(super) fn finish(writer: Connection) -> rusqlite::Result<()> {
    let checkpointed = checkpoint(&writer);
    writer.close().map_err(|(_, error)| error)?;
    checkpointed
}

/// Lets go of a file that is no longer the one at the path. SQLite removes the `-wal` *by name* when the last
/// connection closes, and that name may belong to the next library by now: so it must not.
///
/// With `replaced`, what the log still holds is brought into the old file first (it is the same `-wal` that the
/// new library would otherwise take for its own).
pub(super) fn abandon(writer: Connection, replaced: bool) -> rusqlite::Result<()> {
    writer.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
    let checkpointed = if replaced { checkpoint(&writer) } else { Ok(()) };
    writer.close().map_err(|(_, error)| error)?;
    checkpointed
}

/// Everything into the library and the log to length zero; what a reader of another program holds back stays
/// in the log, which is no error.
pub(super) fn checkpoint(writer: &Connection) -> rusqlite::Result<()> {
    writer.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))
}

/// Whether SQLite could read the library and what lies beside it, as far as modes and lists tell.
pub(super) fn readable(path: &Path) -> bool {
    ["", "-wal", "-shm", "-journal"].into_iter().all(|suffix| {
        let file = companion(path, suffix);
        match accessat(CWD, &file, Access::READ_OK, AtFlags::EACCESS) {
            Ok(()) => true,
            Err(error) => error == Errno::NOENT && !suffix.is_empty(),
        }
    })
}
