//! A new library: made whole under a temporary name, on disk before it gets its own, and without ever replacing
//! anything. A crash leaves a library or none, and at worst a draft, which the next start sweeps away.

use std::ffi::OsString;
use std::fs::OpenOptions;
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use rusqlite::{Connection, ErrorCode, OpenFlags};
use rustix::io::Errno;
use tracing::{debug, info};

use super::OpenError;
use crate::library::draft::{rename_new, sync_directory};
use crate::library::path::directory;
use crate::library::{SCHEMA_VERSION, diagnose, schema};

/// Why a library could not be made.
#[derive(Debug, thiserror::Error)]
enum Problem {
    #[error(transparent)]
    System(#[from] io::Error),
    #[error(transparent)]
    Sqlite(#[from] rusqlite::Error),
}

impl Problem {
    fn at(self, path: &Path) -> OpenError {
        let diagnosis = match &self {
            Self::System(error) => diagnose::fault(path, error),
            Self::Sqlite(error) if error.sqlite_error_code() == Some(ErrorCode::DiskFull) => {
                diagnose::fault(path, &Errno::NOSPC.into())
            }
            Self::Sqlite(_) => None,
        };
        OpenError::Create {
            path: path.to_owned(),
            problem: self.to_string(),
            diagnosis: diagnosis.unwrap_or_else(|| diagnose::access(path)),
        }
    }
}

/// Makes a library where there has never been one.
pub(super) fn create(path: &Path, create_directory: bool) -> Result<(), OpenError> {
    let directory = directory(path);
    match std::fs::metadata(directory) {
        Ok(_) => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            if let Ok(target) = directory.read_link() {
                let problem = format!(
                    "its directory {} is a symbolic link to {}, which is not there: mount what belongs there, or remove \
                     the link",
                    directory.display(),
                    target.display()
                );
                return Err(OpenError::Way { path: path.to_owned(), problem });
            }
            if !create_directory {
                return Err(OpenError::NoDirectory(directory.to_owned()));
            }
            match std::fs::create_dir(directory) {
                Ok(()) => info!(path = %directory.display(), "directory created"),
                // By another start, just now.
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(Problem::from(error).at(path)),
            }
        }
        Err(error) => return Err(Problem::from(error).at(path)),
    }
    if let Err(problem) = make(path) {
        // Another start was faster, and may have swept our draft away: its library is as good.
        return if path.symlink_metadata().is_ok() { Ok(()) } else { Err(problem.at(path)) };
    }
    // The name itself must survive a power failure, or the next start would find a lost library. The library
    // is whole all the same.
    if let Err(error) = sync_directory(directory) {
        debug!(path = %directory.display(), %error, "the directory could not be synced");
    }
    info!(path = %path.display(), schema_version = SCHEMA_VERSION, "library created");
    Ok(())
}

fn make(path: &Path) -> Result<(), Problem> {
    let draft = Draft(draft_path(path));
    // Made here, and only then opened by SQLite, which does not tell why it cannot make a file.
    OpenOptions::new().write(true).create_new(true).mode(0o644).open(&draft.0)?;
    fill(&draft.0)?.close().map_err(|(_, error)| error)?;
    rename_new(&draft.0, path).map_err(io::Error::from)?;
    Ok(())
}

/// Removes the drafts of starts that were killed. Only for whoever has the lock: then there is a library, and whoever
/// is still at a draft will find it.
pub(super) fn sweep(path: &Path) {
    let prefix = draft_prefix(path);
    let Some(directory) = path.parent() else { return };
    for entry in std::fs::read_dir(directory).into_iter().flatten().flatten() {
        let name = entry.file_name();
        let Some(rest) = name.as_encoded_bytes().strip_prefix(prefix.as_encoded_bytes()) else { continue };
        let numbers: Vec<_> = rest.split(|byte| *byte == b'-').collect();
        let is_number = |part: &&[u8]| !part.is_empty() && part.iter().all(u8::is_ascii_digit);
        let is_draft = numbers.len() == 2
            && numbers.iter().all(is_number)
            && entry.file_type().is_ok_and(|kind| kind.is_file());
        if is_draft {
            let draft = entry.path();
            match std::fs::remove_file(&draft) {
                Ok(()) => {
                    info!(path = %draft.display(), "removed what a killed start had left of a new library");
                }
                Err(error) => debug!(path = %draft.display(), %error, "a killed start's draft stays"),
            }
        }
    }
}

/// A name of this moment and this process: as PID 1 in two containers the process id alone is not enough.
fn draft_path(path: &Path) -> PathBuf {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or(Duration::ZERO);
    let mut name = draft_prefix(path);
    name.push(format!("{}-{}", std::process::id(), now.as_nanos()));
    path.with_file_name(name)
}

/// What the names of all drafts of the library at `path` begin with.
fn draft_prefix(path: &Path) -> OsString {
    let mut name = OsString::from(".");
    name.push(path.file_name().unwrap_or_default());
    name.push(".new-");
    name
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
        OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX,
    )?;
    connection.query_row("PRAGMA journal_mode = MEMORY", [], |_| Ok(()))?;
    connection.pragma_update(None, "synchronous", "FULL")?;
    let transaction = connection.unchecked_transaction()?;
    transaction.execute_batch(schema::SQL)?;
    transaction.commit()?;
    Ok(connection)
}
