//! Turns errors of SQLite and of the operating system into the reason to refuse a database.

use std::path::Path;

use rusqlite::ErrorCode;
use rustix::fs::Access;

use super::OpenError;
use crate::library::connection::all_allow;
use crate::library::path::directory;
use crate::library::{Error, diagnose};

/// The refusal for an error.
pub(super) fn refused(path: &Path, error: Error) -> OpenError {
    match error {
        Error::Sqlite { source, .. } => refusal(path, source),
        other => other.into(),
    }
}

/// The refusal for an error of SQLite.
fn refusal(path: &Path, source: rusqlite::Error) -> OpenError {
    let directory = directory(path);
    let path = path.to_owned();
    match source.sqlite_error_code() {
        Some(ErrorCode::NotADatabase) => OpenError::NotADatabase { path },
        Some(ErrorCode::DatabaseCorrupt) => OpenError::Corrupt { path, problem: source.to_string() },
        Some(ErrorCode::CannotOpen | ErrorCode::ReadOnly)
            if all_allow(Access::READ_OK, &path) && !diagnose::directory_writable(directory) =>
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

/// The refusal of a database that cannot be accessed, with the owners and modes.
pub(super) fn access_error(path: &Path, problem: String) -> OpenError {
    OpenError::Access { path: path.to_owned(), problem, diagnosis: diagnose::access(path) }
}
