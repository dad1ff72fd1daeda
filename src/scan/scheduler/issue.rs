//! An issue of a root: what is wrong with it, when that is over, and how it is reported.

use std::path::Path;

use crate::scan::job::Summary;
use crate::scan::root::{Look, Offline};
use crate::scan::state::Problem;

/// What is wrong with a root.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum RootIssue {
    /// It is not what it should be.
    Offline(Offline),
    /// Too many of its files would have gone missing at once; in words.
    MassDeletion(String),
    /// Places in it could not be read; in words.
    WalkErrors(String),
    /// It has lost a mount below it, and files with it; in words.
    MountBelowGone(String),
}

impl RootIssue {
    /// The issue that a completed scan leaves.
    pub(super) fn from_summary(summary: &Summary) -> Option<Self> {
        if summary.walk_errors > 0 {
            let first = summary.walk_error_examples.first().map_or("", String::as_str);
            return Some(Self::WalkErrors(format!(
                "{} places could not be read, so nothing is taken for missing; the first: {first}",
                summary.walk_errors
            )));
        }
        (summary.unmounted > 0).then(|| {
            Self::MountBelowGone(format!(
                "{} files are gone with a mount below the root, and keep their status: mount what belongs there, or \
                 confirm with `vpo scan --accept-missing`",
                summary.unmounted
            ))
        })
    }

    /// Whether a look at the root shows that it is over.
    pub(super) fn is_over(&self, look: &Look) -> bool {
        match self {
            Self::Offline(Offline::Unreadable(_) | Offline::Unresponsive) => true,
            Self::Offline(Offline::Empty) => !look.empty,
            Self::Offline(Offline::Unmounted) => look.identity.mount_point,
            Self::Offline(Offline::Changed { .. })
            | Self::MassDeletion(_)
            | Self::WalkErrors(_)
            | Self::MountBelowGone(_) => false,
        }
    }

    /// As it is shown.
    pub(super) fn problem(&self, root: &Path) -> Problem {
        let (code, detail) = match self {
            Self::Offline(why) => (why.code(), format!("the root {} {why}", root.display())),
            Self::MassDeletion(detail) => ("mass_missing", detail.clone()),
            Self::WalkErrors(detail) => ("walk_errors", detail.clone()),
            Self::MountBelowGone(detail) => ("mount_below_gone", detail.clone()),
        };
        Problem { code, detail }
    }
}
