//! Errors of the system and of SQLite that end a check, and the reason each one is reported with.

use std::io;
use std::path::Path;

use rusqlite::{ErrorCode, ffi};
use rustix::fs::Access;

use super::reason::Reason;
use crate::base::error::plain;
use crate::library::{connection, diagnose, integrity, is_busy, path};

/// Why a check failed.
pub(super) struct Fault {
    pub(super) reason: Reason,
    pub(super) detail: String,
    pub(super) busy: bool,
    /// The disk or the memory was full, so that SQLite could not read.
    pub(super) for_lack: bool,
    /// A program died while it wrote, and its write is to be rolled back.
    pub(super) is_unfinished: bool,
}

impl Fault {
    pub(super) fn new(reason: Reason, detail: impl Into<String>) -> Self {
        Self { reason, detail: plain(detail.into()), busy: false, for_lack: false, is_unfinished: false }
    }

    pub(super) fn busy(reason: Reason, detail: impl Into<String>) -> Self {
        Self { busy: true, ..Self::new(reason, detail) }
    }
}

pub(super) fn io_fault(path: &Path, error: &io::Error) -> Fault {
    let reason = match error.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => {
            // Owners and modes do not matter if the file does not exist.
            let gone = path.ancestors().take_while(|part| !part.exists()).last().unwrap_or(path);
            let detail =
                format!("{} is not there: restore a backup, or mount what belongs there", gone.display());
            return Fault::new(Reason::Missing, detail);
        }
        io::ErrorKind::PermissionDenied => Reason::PermissionDenied,
        _ => Reason::IoError,
    };
    let why = diagnose::fault(path, error).unwrap_or_else(|| diagnose::access(path));
    Fault::new(reason, format!("{}: {error}: {why}", path.display()))
}

/// What an error of SQLite means.
pub(super) fn sqlite_fault(path: &Path, error: &rusqlite::Error) -> Fault {
    if is_busy(error) {
        let detail = format!("another program keeps {} locked", path.display());
        return Fault::busy(Reason::Locked, detail);
    }
    let said = |reason| Fault::new(reason, format!("{}: {error}", path.display()));
    match error.sqlite_error_code() {
        Some(ErrorCode::NotADatabase) => said(Reason::NotADatabase),
        Some(ErrorCode::DatabaseCorrupt) => said(Reason::Corrupt),
        Some(ErrorCode::ReadOnly) if connection::is_unfinished(error) => {
            let detail = format!("{} holds an unfinished write of another program", path.display());
            Fault { is_unfinished: true, ..Fault::busy(Reason::Locked, detail) }
        }
        Some(ErrorCode::CannotOpen | ErrorCode::PermissionDenied | ErrorCode::ReadOnly) => {
            // SQLite does not report the error of the system.
            let reason = match std::fs::metadata(path) {
                Err(error) => return io_fault(path, &error),
                Ok(_) if !connection::all_allow(Access::READ_OK, path) => Reason::PermissionDenied,
                Ok(_) if !diagnose::directory_writable(path::directory(path)) => Reason::PermissionDenied,
                Ok(_) => Reason::IoError,
            };
            let detail = format!("{}: {error}: {}", path.display(), diagnose::access(path));
            // A companion may be inaccessible for a moment only: SQLite of root creates a `-shm`, and then gives it to the owner of
            // the database.
            let busy = diagnose::readable(path) && diagnose::directory_writable(path::directory(path));
            Fault { busy, ..Fault::new(reason, detail) }
        }
        _ => {
            // The file may have gone meanwhile.
            if let Err(error) = std::fs::metadata(path) {
                return io_fault(path, &error);
            }
            let code = error.sqlite_extended_error_code().unwrap_or_default();
            let detail = io_error(path, &format!("{error} (SQLite code {code})"));
            let for_lack = integrity::is_for_lack(path, error);
            Fault { for_lack, busy: code == ffi::SQLITE_IOERR_FSTAT, ..Fault::new(Reason::IoError, detail) }
        }
    }
}

/// Describes an error of the disk.
pub(super) fn io_error(path: &Path, error: &str) -> String {
    format!("{}: {error}: look at the disk or the share, and at the kernel's log", path.display())
}

/// Why new content cannot be written.
pub(super) fn writer_fault(path: &Path, error: &rusqlite::Error) -> Fault {
    match error.sqlite_error_code() {
        _ if is_busy(error) => sqlite_fault(path, error),
        Some(ErrorCode::ReadOnly | ErrorCode::CannotOpen)
            if !connection::all_allow(Access::WRITE_OK, path) =>
        {
            let detail = format!("{}: {error}: {}", path.display(), diagnose::access(path));
            Fault::new(Reason::PermissionDenied, detail)
        }
        _ => Fault::new(Reason::IoError, format!("{}: {error}", path.display())),
    }
}
