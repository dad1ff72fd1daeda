//! Keeps the library true to the roots: walk, plan, read, store, and the watch that asks for it.
//! Knows [`crate::library`] and [`crate::media`]; knows nothing of the daemon, HTTP or configuration files.
//!
//! A scan runs on plain threads and blocks on whatever disks and shares block on; it looks at its token for
//! every file and every batch. [`job`] is one scan from beginning to end. In the daemon, [`schedule`] decides when what is
//! scanned, and [`engine`] carries that out and publishes a [`state::ScanState`].

mod compare;
pub(crate) mod debounce;
pub(crate) mod discover;
mod engine;
pub(crate) mod hash;
pub(crate) mod hash_pass;
pub(crate) mod job;
pub(crate) mod name;
pub(crate) mod overlap;
mod plan;
pub(crate) mod progress;
mod read;
pub(crate) mod root;
mod scanner;
mod schedule;
pub(crate) mod state;
mod store;
mod watch;

use std::path::PathBuf;
use std::time::Duration;

pub(crate) use job::{Context, Report, Summary, Task};
pub(crate) use scanner::Scanner;
pub(crate) use state::ScanState;

use crate::base::random;
pub(crate) use crate::library::sqlite::chain;
use crate::library::{self, Library, Retry, jobs};

/// What a scanner is told to do.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Settings {
    /// Absolute paths of directories.
    pub roots: Vec<PathBuf>,
    /// Watch them with inotify.
    pub watch: bool,
    /// Time between two scans of a root; `None` = never.
    pub rescan_interval: Option<Duration>,
    /// Extensions of videos, lower case, without the dot.
    pub extensions: Vec<String>,
    /// Age from which the row of a finished scan is deleted; `None` = never.
    pub job_retention: Option<Duration>,
}

/// Why a scan ended before its end.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// The root is not what it should be.
    #[error("the root {} {why}", root.display())]
    Offline {
        /// The root.
        root: PathBuf,
        /// What is wrong with it.
        why: root::Offline,
    },
    /// The root leads to where another root has all of it already.
    #[error(
        "the root {} leads to where the root {} has the same videos, and is not scanned, so that none is recorded twice: \
         scan that one, or take one of the two out",
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
        "{gone} of the {known} files of {} would go missing at once, which is no accident: nothing was changed. \
         Mount or restore what belongs there; if they are really gone, confirm with `vpo scan --accept-missing`",
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
    #[error("{} is not there (what a symbolic link below a root points to does not count), and nothing of it is in the \
         library; correct the path", .0.display())]
    Unknown(PathBuf),
    /// The library could not be read or written.
    #[error(transparent)]
    Library(#[from] library::Error),
    /// The threads that read files did not start.
    #[error("cannot start a thread: {0}; raise the limit on tasks (ulimit -u, TasksMax=)")]
    Threads(#[source] std::io::Error),
    /// The kernel gives no random numbers.
    #[error(
        "the kernel gives no random numbers: {0}; let the sandbox of this process (seccomp) allow getrandom"
    )]
    Random(#[source] std::io::Error),
    /// Told to stop.
    #[error("told to stop; what was stored is kept, and the next scan goes on from there")]
    Cancelled,
    /// The job's row is no longer there to take.
    #[error("the job {0} was taken or cancelled by another program")]
    JobClaimed(String),
    /// A bug of ours.
    #[error("the scanner has crashed; please report this as a bug")]
    Crashed,
}

impl Error {
    /// A stable word for checks and metrics.
    #[must_use]
    pub(crate) fn code(&self) -> &'static str {
        match self {
            Self::Offline { why, .. } => why.code(),
            Self::Overlaps { .. } => "overlaps",
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
