//! Why an open database could not be read or written.

use std::path::PathBuf;
use std::time::Duration;

use rusqlite::ErrorCode;

use super::{diagnose, sqlite};

/// Why an open database could not be read or written.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Another file is at the path. The next check adopts it; work on the previous content fails.
    #[error("another program has replaced the content of {}", .0.display())]
    Replaced(PathBuf),
    /// The path has no file, or cannot be accessed.
    #[error("cannot access the database {}", path.display())]
    Unreachable {
        /// The library.
        path: PathBuf,
        /// The error of stat(2).
        source: std::io::Error,
    },
    /// It was opened for reading only.
    #[error("the database {} is open for reading only", .0.display())]
    ReadOnly(PathBuf),
    /// It was closed: the daemon is stopping.
    #[error("the database {} is closed", .0.display())]
    Closed(PathBuf),
    /// Other programs kept it locked.
    #[error(
        "error[database-locked]: another program kept {} locked for {limit:?}. Stop that program, or try again later",
        path.display()
    )]
    Busy {
        /// The library.
        path: PathBuf,
        /// Time of the wait.
        limit: Duration,
    },
    /// Another program has changed the file, and it is not verified yet.
    #[error("another program has changed the database {}; it is used again after integrity_check", .0.display())]
    Unsettled(PathBuf),
    /// The database is damaged, so nothing is written.
    #[error("the database {} is damaged ({detail}); restore a backup with `vpo restore`", path.display())]
    Damaged {
        /// The library.
        path: PathBuf,
        /// The evidence.
        detail: String,
    },
    /// The caller cancelled while waiting.
    #[error("cancelled while waiting for the database")]
    Cancelled,
    /// Any other error of SQLite.
    #[error("{}", sqlite::failure(path, source))]
    Sqlite {
        /// The library.
        path: PathBuf,
        /// Its error.
        source: rusqlite::Error,
    },
}

impl Error {
    /// The disk is full.
    #[must_use]
    pub fn is_disk_full(&self) -> bool {
        matches!(self, Self::Sqlite { path, source }
            if sqlite::is_full(source) || diagnose::is_for_full_disk(path, source))
    }
}

/// Whether another connection holds a lock.
pub(crate) fn is_busy(error: &rusqlite::Error) -> bool {
    matches!(
        error.sqlite_error_code(),
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked | ErrorCode::FileLockingProtocolFailed)
    )
}
