//! Why the database cannot be opened, with a stable code for each cause.

use std::path::PathBuf;

use crate::library::Error;
use crate::library::lock::LockError;
use crate::library::schema::Mismatch;

/// Why the database cannot be opened. Each message is one line: an error code, what failed, where, and what to do.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The database is missing, but its companions show that it existed.
    #[error(
        "error[library-lost]: {} is missing, but {} still {}. Mount the volume or restore a backup with `vpo restore`; to \
         start over, stop the daemon that used it and delete {}",
        path.display(),
        list(beside),
        if beside.len() == 1 { "exists" } else { "exist" },
        if beside.len() == 1 { "that file" } else { "those files" }
    )]
    Lost {
        /// The database.
        path: PathBuf,
        /// The companions that exist.
        beside: Vec<PathBuf>,
    },
    /// The database does not exist, and this command does not create one.
    #[error("error[database-missing]: {} does not exist. `vpo serve` and `vpo scan` create it", .0.display())]
    Missing(PathBuf),
    /// Its directory does not exist.
    #[error(
        "error[directory-missing]: {}, the directory of the database, does not exist. Create it, mount the volume, or correct \
         `database.path` (only the directory of the default path is created)",
        .0.display()
    )]
    NoDirectory(PathBuf),
    /// A symbolic link to nothing.
    #[error(
        "error[dangling-link]: {} is a symbolic link to {}, which does not exist. Mount the volume, restore a backup, or \
         remove the link",
        path.display(), target.display()
    )]
    DanglingLink {
        /// The database.
        path: PathBuf,
        /// The target of the link.
        target: PathBuf,
    },
    /// A directory, a pipe, a device.
    #[error("error[not-a-file]: {} is {kind}. `database.path` must name a file", path.display())]
    NotAFile {
        /// The path.
        path: PathBuf,
        /// Its type, in words.
        kind: &'static str,
    },
    /// The file is empty, or shorter than any database.
    #[error(
        "error[database-empty]: {} {}. Restore a backup, or remove the file to start over",
        path.display(),
        if *length == 0 { "is empty (zero bytes)".to_owned() } else { format!("has {length} bytes, fewer than any database") }
    )]
    TooShort {
        /// The database.
        path: PathBuf,
        /// Its length in bytes.
        length: u64,
    },
    /// Not a SQLite database.
    #[error("error[not-a-database]: {} is not a SQLite database. Restore a backup, or correct `database.path`", path.display())]
    NotADatabase {
        /// The file.
        path: PathBuf,
    },
    /// A database of another program, or of another schema version.
    #[error("error[wrong-schema]: {} {mismatch}. It was not changed. Correct `database.path`, or use the program that created it", path.display())]
    NotOurs {
        /// The file.
        path: PathBuf,
        /// How its schema differs.
        mismatch: Mismatch,
    },
    /// It can be read but not written, and there are roots to record.
    #[error(
        "error[database-read-only]: {} can be read but not written, and `scan.roots` names roots to record in it: {diagnosis}; \
         or remove `scan.roots`",
        path.display()
    )]
    ReadOnly {
        /// The database.
        path: PathBuf,
        /// Owners, modes, and the fix.
        diagnosis: String,
    },
    /// WAL needs a writable directory, even for reading.
    #[error(
        "error[wal-directory]: {} is in WAL mode, which needs a writable directory even for reading: {diagnosis}; or convert it \
         there with `sqlite3 {} 'PRAGMA journal_mode=DELETE'`",
        path.display(), path.display()
    )]
    WalDirectory {
        /// The database.
        path: PathBuf,
        /// Owners, modes, and the fix.
        diagnosis: String,
    },
    /// An unfinished write of another program must be rolled back first, and this process only reads.
    #[error(
        "error[unfinished-write]: {} holds an unfinished write of another program, which only a program that writes can roll \
         back. Run that program, or `sqlite3 {} 'SELECT 1 FROM _meta'`", path.display(), path.display()
    )]
    Unfinished {
        /// The database.
        path: PathBuf,
    },
    /// A log lies beside it that may or may not belong to it.
    #[error(
        "error[database-undecided]: {0} was changed while no vpo used it, and nothing shows whether {0}-wal belongs to \
         it. Restore a backup with `vpo restore`, or move the -wal away to use the file without it; nothing was changed",
        path.display()
    )]
    Undecided {
        /// The database.
        path: PathBuf,
    },
    /// A damaged database.
    #[error(
        "error[database-damaged]: {} is damaged ({problem}). Restore a backup, or save what can be saved with `sqlite3 {} .recover`",
        path.display(), path.display()
    )]
    Corrupt {
        /// The database.
        path: PathBuf,
        /// The message of SQLite.
        problem: String,
    },
    /// A component of its path blocks it.
    #[error("error[database-unreachable]: cannot reach {}: {problem}", path.display())]
    Way {
        /// The database.
        path: PathBuf,
        /// The cause, and the fix.
        problem: String,
    },
    /// It cannot be opened or read.
    #[error("error[database-access]: cannot open {}: {problem}: {diagnosis}", path.display())]
    Access {
        /// The database.
        path: PathBuf,
        /// What failed.
        problem: String,
        /// Owners, modes, and the fix.
        diagnosis: String,
    },
    /// It cannot be created.
    #[error("error[database-create]: cannot create {}: {problem}: {diagnosis}", path.display())]
    Create {
        /// The database.
        path: PathBuf,
        /// What failed.
        problem: String,
        /// Owners, modes, and the fix.
        diagnosis: String,
    },
    /// The file system does not support WAL.
    #[error(
        "error[no-wal]: cannot put {} into WAL mode on {file_system} (it stays in {mode} mode). Put it on a local file system",
        path.display()
    )]
    NoWal {
        /// The database.
        path: PathBuf,
        /// Its journal mode.
        mode: String,
        /// The type of its file system.
        file_system: String,
    },
    /// Another daemon holds the lock, or it could not be taken.
    #[error(transparent)]
    Lock(#[from] LockError),
    /// Damaged, locked for long, or the caller was told to stop.
    #[error(transparent)]
    Library(#[from] Error),
}

fn list(paths: &[PathBuf]) -> String {
    paths.iter().map(|path| path.display().to_string()).collect::<Vec<_>>().join(", ")
}
