//! Creates a new database: complete and on disk in a draft directory, then renamed to its path without replacing anything. A
//! crash leaves a complete database or none, and at worst a draft, which the next start removes.

use std::io;
use std::path::Path;

use rusqlite::{Connection, ErrorCode, OpenFlags};
use rustix::io::Errno;
use tracing::{debug, info};

use super::OpenError;
use crate::library::draft::{Draft, rename_new, sync_directory};
use crate::library::path::{companion, directory};
use crate::library::{SCHEMA_VERSION, diagnose, schema};

/// Why the database could not be created.
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
            Self::Sqlite(error)
                if error.sqlite_error_code() == Some(ErrorCode::SystemIoFailure)
                    && diagnose::has_file_size_limit() =>
            {
                diagnose::fault(path, &Errno::FBIG.into())
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

/// Creates a database at a path where none has existed.
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
                // Another start has just created it.
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(Problem::from(error).at(path)),
            }
        }
        Err(error) => return Err(Problem::from(error).at(path)),
    }
    // The longest name beside it. Without room for it, a later step would fail and leave the database.
    match companion(path, "-journal").symlink_metadata() {
        Err(error) if Errno::from_io_error(&error) == Some(Errno::NAMETOOLONG) => {
            return Err(Problem::from(error).at(path));
        }
        _ => {}
    }
    if let Err(problem) = make(path) {
        // Another start was faster: its database is as good.
        return if path.symlink_metadata().is_ok() { Ok(()) } else { Err(problem.at(path)) };
    }
    // The name must survive a power failure, or the next start finds a lost library. The database is complete in any case.
    if let Err(error) = sync_directory(directory) {
        debug!(path = %directory.display(), %error, "the directory could not be synced");
    }
    info!(path = %path.display(), schema_version = SCHEMA_VERSION, "library created");
    Ok(())
}

fn make(path: &Path) -> Result<(), Problem> {
    let draft = Draft::new(directory(path))?;
    // Created before SQLite opens it, because SQLite does not report why it cannot create a file.
    draft.begin(0o644)?;
    fill(&draft.file())?.close().map_err(|(_, error)| error)?;
    rename_new(&draft.file(), path).map_err(io::Error::from)?;
    Ok(())
}

/// Writes the schema in one transaction, which is on disk when this returns. Without a journal: before the rename nothing
/// depends on the file.
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
