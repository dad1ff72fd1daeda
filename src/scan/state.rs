//! The published state of the scanner: plain values for checks, metrics and the status line, so that those access neither
//! disk nor database.

use std::path::PathBuf;
use std::sync::Arc;

use super::job::Summary;
use super::progress::Snapshot;
use crate::base::timestamp::Timestamp;
use crate::library::changes::Kind;
use crate::library::files::statistics::Totals;

/// The scanner at one moment.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct ScanState {
    /// The roots, as configured.
    pub roots: Vec<RootState>,
    /// A problem of the scanner as a whole (a full disk, an unreachable database).
    pub problem: Option<Problem>,
    /// What the library holds, as last counted after a scan.
    pub counted: Option<Arc<Counted>>,
    /// Sums since the start.
    pub counts: Counts,
}

/// The result of a count.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counted {
    pub totals: Totals,
    /// Changes of files since the daemon's start, in the order of [`Kind::OF_FILES`].
    pub changes: [u64; Kind::OF_FILES.len()],
}

/// A problem to report.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Problem {
    /// A stable code.
    pub code: &'static str,
    /// One line: what, where, what to do.
    pub detail: String,
}

/// One root.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct RootState {
    /// Its path.
    pub path: PathBuf,
    /// Its problem, if any.
    pub problem: Option<Problem>,
    /// When a scan of the whole root last completed.
    pub last_success: Option<Timestamp>,
    /// The summary of that scan; `None` if it ran before the daemon's start.
    pub last_summary: Option<Summary>,
    /// The progress of its running scan.
    pub running: Option<Snapshot>,
    /// The state of its watch.
    pub watch: WatchState,
}

/// Whether changes below a root are watched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum WatchState {
    /// Not wanted.
    Off,
    /// Being set up.
    Starting,
    /// All directories are watched.
    Watching,
    /// The file system does not report changes, a limit is reached, or the root is absent: only the interval finds changes.
    Unavailable,
}

impl WatchState {
    /// Every state, in the order used by metrics.
    pub(crate) const ALL: [Self; 4] = [Self::Off, Self::Starting, Self::Watching, Self::Unavailable];

    /// The name used in JSON and metrics.
    #[must_use]
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Off => "off",
            Self::Starting => "starting",
            Self::Watching => "watching",
            Self::Unavailable => "unavailable",
        }
    }
}

/// Sums since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Counts {
    /// Files read.
    pub files_read: u64,
    /// Files that could not be parsed or read.
    pub file_errors: u64,
    /// Titles of tracks that were cut.
    pub cut_titles: u64,
    /// Files hashed.
    pub files_hashed: u64,
    /// Scans that completed.
    pub completed: u64,
    /// Scans that failed.
    pub failed: u64,
    /// Scans that were cancelled.
    pub cancelled: u64,
    /// Seconds spent in scans that completed.
    pub seconds: f64,
}
