//! A new library: made whole under a temporary name, on disk before it gets its own, and without ever replacing
//! anything. A crash leaves a library or none, and at worst a draft under a name that nobody looks for.

use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use rusqlite::{Connection, OpenFlags};
use rustix::fs::{CWD, RenameFlags};
use rustix::io::Errno;
use tracing::{debug, info};

use super::OpenError;
use crate::library::{SCHEMA_VERSION, diagnose, schema};

/// Makes a library where there has never been one.
pub(super) fn create(path: &Path, create_directory: bool) -> Result<(), OpenError> {
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
    // The name itself must survive a power failure, or the next start would find a lost library. A directory
    // that may not be read, or a file system that syncs none, is no reason to refuse.
    if let Err(error) = std::fs::File::open(directory).and_then(|directory| directory.sync_all()) {
        debug!(path = %directory.display(), %error, "the directory could not be synced");
    }
    info!(path = %path.display(), schema_version = SCHEMA_VERSION, "library created");
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
