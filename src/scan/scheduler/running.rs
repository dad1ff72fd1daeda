//! Scans and passes of hashes that are under way.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use tokio_util::sync::CancellationToken;

use crate::base::times::SCAN_STALLED_AFTER;
use crate::scan::Context;
use crate::scan::progress::Progress;

/// What it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Work {
    /// A scan of a root, by the id of its job.
    Scan { root: PathBuf, job: String },
    /// A pass of hashes, over all roots.
    Hashing,
}

/// One of them.
#[derive(Debug)]
pub(super) struct Running {
    pub(super) id: u64,
    pub(super) work: Work,
    pub(super) stop: CancellationToken,
    pub(super) progress: Arc<Progress>,
    beat: u64,
    alive: Instant,
    stuck: bool,
}

impl Running {
    pub(super) fn new(id: u64, work: Work, context: &Context) -> Self {
        Self {
            id,
            work,
            stop: context.stop.clone(),
            progress: Arc::clone(&context.progress),
            beat: 0,
            alive: Instant::now(),
            stuck: false,
        }
    }

    /// The root that is scanned.
    pub(super) fn root(&self) -> Option<&Path> {
        match &self.work {
            Work::Scan { root, .. } => Some(root),
            Work::Hashing => None,
        }
    }

    /// The id of the scan's job.
    pub(super) fn job(&self) -> Option<&str> {
        match &self.work {
            Work::Scan { job, .. } => Some(job),
            Work::Hashing => None,
        }
    }

    pub(super) fn is_scan(&self) -> bool {
        matches!(self.work, Work::Scan { .. })
    }

    /// Compares the heartbeat with the last one seen, and records whether it is stuck.
    pub(super) fn check_heartbeat(&mut self) {
        let beat = self.progress.beat();
        if beat != self.beat {
            (self.beat, self.alive) = (beat, Instant::now());
        }
        self.stuck = self.alive.elapsed() > SCAN_STALLED_AFTER;
    }

    /// Whether the last check of the heartbeat found it stuck.
    pub(super) fn is_stuck(&self) -> bool {
        self.stuck
    }
}
