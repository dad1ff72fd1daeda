//! Why a library was refused: one line each that says what, where, and what to do.

use std::path::PathBuf;

use crate::library::Error;
use crate::library::lock::LockError;
use crate::library::schema::Mismatch;

/// Why a library was refused. One line each: what, where, what to do.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// It was there once.
    #[error(
        "error[library-lost]: {} is missing, but {} still {}. Mount the volume or restore a backup with `vpo restore`; to \
         start over, stop the daemon that used it and delete {}",
        path.display(),
        list(beside),
        if beside.len() == 1 { "exists" } else { "exist" },
        if beside.len() == 1 { "that file" } else { "those files" }
    )]
    Lost {
        /// The library.
        path: PathBuf,
        /// What is left of it.
        beside: Vec<PathBuf>,
    },
    /// Nothing is there, and nothing was to be made.
    #[error("there is no library {}: `vpo serve` creates one", .0.display())]
    Missing(PathBuf),
    /// Its directory is not there.
    #[error(
        "the directory {} of the library does not exist: create it, mount what belongs there, or correct \
         `database.path` (only the default location's directory is created)",
        .0.display()
    )]
    NoDirectory(PathBuf),
    /// A symbolic link to nothing.
    #[error(
        "the library {} is a symbolic link to {}, which is not there: mount or restore what belongs there, or remove the link",
        path.display(), target.display()
    )]
    DanglingLink {
        /// The library.
        path: PathBuf,
        /// What it points to.
        target: PathBuf,
    },
    /// A directory, a pipe, a device.
    #[error("the library {} is {kind}: `database.path` must name a file", path.display())]
    NotAFile {
        /// The library.
        path: PathBuf,
        /// What is there, in words.
        kind: &'static str,
    },
    /// Nothing, or next to nothing, in it.
    #[error(
        "the library {} {}, so it is no library: restore a backup of it, or remove it to begin anew",
        path.display(),
        if *length == 0 { "is empty (zero bytes)".to_owned() } else { format!("has {length} bytes, fewer than any database") }
    )]
    TooShort {
        /// The library.
        path: PathBuf,
        /// Bytes.
        length: u64,
    },
    /// Not SQLite's.
    #[error("the file {} is not a SQLite database: restore a backup of the library, or correct `database.path`", path.display())]
    NotADatabase {
        /// The file.
        path: PathBuf,
    },
    /// A database, but not ours.
    #[error("the database {} {mismatch}; it was not touched. Correct `database.path`, or use the program that made it", path.display())]
    NotOurs {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        mismatch: Mismatch,
    },
    /// It can be read but not written, and there are roots to record.
    #[error(
        "the library {} can be read but not written, and there are library roots to record in it: {diagnosis}; \
         or configure no `scan.roots`",
        path.display()
    )]
    ReadOnly {
        /// The library.
        path: PathBuf,
        /// Who, what, where, and the fix.
        diagnosis: String,
    },
    /// WAL needs a writable directory, even for reading.
    #[error(
        "the library {} is in WAL mode, which needs a writable directory even for reading: {diagnosis}; or convert it \
         there with `sqlite3 {} 'PRAGMA journal_mode=DELETE'`",
        path.display(), path.display()
    )]
    WalDirectory {
        /// The library.
        path: PathBuf,
        /// Who, what, where, and the fix.
        diagnosis: String,
    },
    /// An unfinished write of another program must be undone first, and we only read.
    #[error(
        "the library {} holds an unfinished write of another program, which must be undone by one that may write: \
         run that program, or `sqlite3 {} 'SELECT 1 FROM _meta'`", path.display(), path.display()
    )]
    Unfinished {
        /// The library.
        path: PathBuf,
    },
    /// A log lies beside it that may or may not belong to it.
    #[error(
        "error[database-undecided]: {0} was changed while no vpo used it, and nothing shows whether {0}-wal belongs to \
         it. Restore a backup with `vpo restore`, or move the -wal away to use the file without it; nothing was changed",
        path.display()
    )]
    Undecided {
        /// The library.
        path: PathBuf,
    },
    /// SQLite's, but damaged.
    #[error(
        "the library {} is damaged ({problem}): restore a backup, or save what can be saved with `sqlite3 {} .recover`",
        path.display(), path.display()
    )]
    Corrupt {
        /// The library.
        path: PathBuf,
        /// What SQLite said.
        problem: String,
    },
    /// Its path leads nowhere.
    #[error("the library {} cannot be reached: {problem}", path.display())]
    Way {
        /// The library.
        path: PathBuf,
        /// What is in the way, and the fix.
        problem: String,
    },
    /// It cannot be opened or read.
    #[error("cannot open the library {}: {problem}: {diagnosis}", path.display())]
    Access {
        /// The library.
        path: PathBuf,
        /// What failed.
        problem: String,
        /// Who, what, where, and the fix.
        diagnosis: String,
    },
    /// It cannot be made.
    #[error("cannot create the library {}: {problem}: {diagnosis}", path.display())]
    Create {
        /// The library.
        path: PathBuf,
        /// What failed.
        problem: String,
        /// Who, what, where, and the fix.
        diagnosis: String,
    },
    /// SQLite refuses WAL here.
    #[error(
        "the library {} cannot be put into WAL mode on {file_system} (it stays in {mode} mode): put it on a local file system",
        path.display()
    )]
    NoWal {
        /// The library.
        path: PathBuf,
        /// The mode it is in.
        mode: String,
        /// Where it is.
        file_system: String,
    },
    /// Another daemon has it, or it could not be locked.
    #[error(transparent)]
    Lock(#[from] LockError),
    /// Damaged, locked for long, or the caller was told to stop.
    #[error(transparent)]
    Library(#[from] Error),
}

fn list(paths: &[PathBuf]) -> String {
    paths.iter().map(|path| path.display().to_string()).collect::<Vec<_>>().join(", ")
}
