//! The issue of a root: its cause, when it is over, and how it is reported.

use std::path::Path;
use std::sync::Arc;

use crate::base::text::plural;
use crate::scan::job::Summary;
use crate::scan::root::{Look, Offline, RecoverySignal};
use crate::scan::state::Problem;

/// The issue of a root, if any, and what would indicate that it is over.
#[derive(Debug, Default)]
pub(super) struct Issues {
    pub(super) issue: Option<RootIssue>,
    /// Places or mounts whose return suggests that `issue` is over.
    pub(super) signals: Arc<[RecoverySignal]>,
    /// The signals that prompted the scan now due or running.
    pending_signals: Arc<[RecoverySignal]>,
}

impl Issues {
    /// Takes the signals of a scan. If the scan that signals prompted ends with the same ones, they are ignored: they would
    /// start one scan after another.
    pub(super) fn set_signals(&mut self, signals: Vec<RecoverySignal>) {
        let is_news = *signals != *std::mem::take(&mut self.pending_signals);
        self.signals = if is_news { signals.into() } else { Arc::default() };
    }

    /// A signal was found: the signals prompt a scan. Returns whether there were any.
    pub(super) fn take_signals(&mut self) -> bool {
        if self.signals.is_empty() {
            return false;
        }
        self.pending_signals = std::mem::take(&mut self.signals);
        true
    }

    /// Ends the issue if a look at the root shows that it is over.
    pub(super) fn end_by_look(&mut self, look: &Look) -> bool {
        self.issue.take_if(|issue| issue.is_over(look)).is_some()
    }
}

/// Why a root is not scanned, or only in part.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum RootIssue {
    /// It is absent or has changed.
    Offline(Offline),
    /// Too many files would be recorded as missing; the message.
    MassDeletion(String),
    /// Parts of it could not be read; the message.
    WalkErrors(String),
    /// A mount below it is absent, with its files; the message.
    MountBelowGone(String),
}

impl RootIssue {
    /// The issue that a completed scan leaves.
    pub(super) fn from_summary(summary: &Summary) -> Option<Self> {
        if summary.walk_errors > 0 {
            let first = summary.walk_error_examples.iter().next().map_or("", String::as_str);
            return Some(Self::WalkErrors(format!(
                "cannot read {}, so no file below is recorded as missing; the first: {first}",
                plural(summary.walk_errors, "place")
            )));
        }
        (summary.unmounted > 0).then(|| {
            Self::MountBelowGone(format!(
                "{} absent with a mount below the root, with an unchanged status; mount the share, or confirm with \
                 `vpo scan --accept-missing`",
                plural(summary.unmounted, "file")
            ))
        })
    }

    /// Whether a look at the root shows that it is over.
    fn is_over(&self, look: &Look) -> bool {
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

    /// The issue as it is reported.
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
