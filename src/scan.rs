//! Keeps the library up to date with the roots: walk, plan, read, store, and the watch that requests scans.
//! Uses [`crate::library`] and [`crate::media`], and neither the daemon, HTTP nor configuration files.
//!
//! A scan runs on plain threads, which block as long as disks and shares do. It checks its token for every file and every
//! batch. `job` is one scan from beginning to end. In the daemon, `schedule` decides when what is
//! scanned, and `engine` carries that out and publishes a `ScanState`.

mod budget;
mod compare;
pub(crate) mod debounce;
pub(crate) mod discover;
mod engine;
pub(crate) mod examples;
pub(crate) mod facts_pass;
pub(crate) mod hash;
pub(crate) mod hash_pass;
mod history;
pub(crate) mod job;
pub(crate) mod name;
pub(crate) mod overlap;
pub(crate) mod passed_over;
mod plan;
pub(crate) mod progress;
mod read;
pub(crate) mod root;
mod scanner;
mod schedule;
pub(crate) mod state;
mod store;
pub mod subtitle;
mod watch;

use std::path::PathBuf;
use std::time::Duration;

pub(crate) use job::{Context, Report, Summary, Task};
pub(crate) use scanner::Scanner;
pub(crate) use state::ScanState;

use crate::base::random;
pub(crate) use crate::library::sqlite::chain;
use crate::library::{self, Library, Retry, jobs};

/// The settings of a scanner.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Settings {
    /// Absolute paths of directories to scan.
    pub roots: Vec<PathBuf>,
    /// Watch them with inotify.
    pub watch: bool,
    /// Time between two scans of a root; `None` = never.
    pub rescan_interval: Option<Duration>,
    /// Extensions of videos, lower case, without the dot.
    pub extensions: Vec<String>,
    /// How long rows are kept.
    pub retention: Retention,
}

/// Ages from which rows are deleted; `None` = never.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Retention {
    /// Of rows of finished scans.
    pub jobs: Option<Duration>,
    /// Of changes.
    pub changes: Option<Duration>,
}

/// Why a scan ended before its end.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// The root is absent, or differs from what an earlier scan recorded.
    #[error("the root {} {why}", root.display())]
    Offline {
        /// The root.
        root: PathBuf,
        /// The difference.
        why: root::Offline,
    },
    /// Another root covers everything in the root.
    #[error(
        "the root {} is not scanned, because the root {} contains the same videos; remove one of the two from the command or from scan.roots",
        root.display(), other.display()
    )]
    Overlaps {
        /// The root.
        root: PathBuf,
        /// The one that is scanned.
        other: PathBuf,
    },
    /// Too many files would go missing at once.
    #[error(
        "{gone} of {known} files of {} would be recorded as missing, so nothing was changed. Mount the share or restore the \
         files; if they are really gone, confirm with `vpo scan --accept-missing`",
        root.display()
    )]
    MassDeletion {
        /// The root.
        root: PathBuf,
        /// Files that are gone.
        gone: u64,
        /// Files that were there.
        known: u64,
    },
    /// A path to scan is neither in the file system nor in the library.
    #[error("cannot scan {}: it does not exist, and the library has no files of it (symbolic links below a root are not \
         followed); correct the path", .0.display())]
    Unknown(PathBuf),
    /// The library could not be read or written.
    #[error(transparent)]
    Library(#[from] library::Error),
    /// The threads that read files did not start.
    #[error("cannot start a thread: {0}; raise the limit on tasks (ulimit -u, TasksMax=)")]
    Threads(#[source] std::io::Error),
    /// getrandom(2) failed.
    #[error(
        "cannot get random numbers from the kernel: {0}; allow getrandom in the sandbox of this process (seccomp)"
    )]
    Random(#[source] std::io::Error),
    /// The scan was stopped.
    #[error("cancelled; stored results are kept, and the next scan resumes")]
    Cancelled,
    /// Another program has changed the row of the job.
    #[error("another program has taken or cancelled the job {0}")]
    JobClaimed(String),
    /// A bug.
    #[error("the scanner crashed; please report this bug")]
    Crashed,
}

impl Error {
    /// A stable code for checks, messages and metrics.
    #[must_use]
    pub(crate) fn code(&self) -> &'static str {
        match self {
            Self::Offline { why, .. } => why.code(),
            Self::Overlaps { .. } => "overlapping_root",
            Self::MassDeletion { .. } => "mass_missing",
            Self::Unknown(_) => "unknown_path",
            Self::Library(error) if error.is_disk_full() => "disk_full",
            Self::Library(_) => "library",
            Self::Threads(_) => "threads",
            Self::Random(_) => "random",
            Self::Cancelled | Self::JobClaimed(_) => "cancelled",
            Self::Crashed => "crashed",
        }
    }
}

/// An error in one line, with its code (`error[CODE]: …`) unless the scan was cancelled.
#[must_use]
pub(crate) fn coded(error: &Error) -> String {
    let text = chain(error);
    match error {
        Error::Cancelled | Error::JobClaimed(_) => text,
        // Some errors of the library have codes of their own.
        _ if text.starts_with("error[") => text,
        _ => format!("error[{}]: {text}", error.code()),
    }
}

/// A new job's id: a random UUID, as other VPO programs use.
///
/// # Errors
/// [`Error::Random`]
pub(crate) fn new_job_id() -> Result<String, Error> {
    random::uuid().map_err(Error::Random)
}

/// Closes the rows that are called running as failed. The caller holds the database's lock: the processes that wrote them
/// are dead. Returns how many there were.
///
/// # Errors
/// The library could not be written.
pub(crate) fn close_abandoned(library: &Library, retry: Retry<'_>) -> Result<usize, library::Error> {
    library.write(retry, |tx| jobs::fail_abandoned(tx))
}
