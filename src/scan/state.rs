//! The published state of the scanner: plain values, for checks, metrics and the status line, which so ask no disk and no
//! database.

use std::path::PathBuf;

use super::job::Summary;
use super::progress::Snapshot;
use crate::base::timestamp::Timestamp;
use crate::library::files::statistics::Totals;

/// The scanner at one moment.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct ScanState {
    /// The roots, as configured.
    pub roots: Vec<RootState>,
    /// What keeps the scanner as a whole from its work (a full disk, a library that cannot be reached).
    pub problem: Option<Problem>,
    /// Files and bytes in the library by status, as last counted after a scan.
    pub totals: Option<Totals>,
    /// What was done since the start.
    pub counts: Counts,
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
    /// Where.
    pub path: PathBuf,
    /// What is wrong with it.
    pub problem: Option<Problem>,
    /// When a scan of all of it completed last.
    pub last_success: Option<Timestamp>,
    /// What that scan did; `None` where it was before the daemon's start.
    pub last_summary: Option<Summary>,
    /// How far a scan of it is, while there is one.
    pub running: Option<Snapshot>,
    /// Whether changes are seen as they happen.
    pub watch: WatchState,
}

/// Whether changes below a root are seen as they happen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum WatchState {
    /// Not wanted.
    Off,
    /// Being set up.
    Starting,
    /// Yes.
    Watching,
    /// The file system does not report changes, watches ran out, or the root is not there: only the interval finds changes.
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
