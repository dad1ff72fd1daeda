//! Running scans and hashing passes.

use std::path::{Path, PathBuf};
use std::time::Instant;

use crate::base::times::SCAN_STALLED_AFTER;
use tracing::warn;

/// What a job does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Work {
    /// Scans a root, under the id of a row in `jobs`.
    Scan { root: PathBuf, job: String },
    /// Hashes, over all roots.
    Hashing,
}

/// A running job.
#[derive(Debug)]
pub(super) struct Running {
    pub(super) id: u64,
    pub(super) work: Work,
    beat: u64,
    last_beat: Instant,
    is_stuck: bool,
}

impl Running {
    fn is_scan(&self) -> bool {
        matches!(self.work, Work::Scan { .. })
    }

    /// The id of the scan's row in `jobs`.
    pub(super) fn job(&self) -> Option<&str> {
        match &self.work {
            Work::Scan { job, .. } => Some(job),
            Work::Hashing => None,
        }
    }

    /// Whether the last check of the heartbeat found it stuck.
    pub(super) fn is_stuck(&self) -> bool {
        self.is_stuck
    }

    /// Compares the heartbeat with the last one. Logs once if it has stopped.
    fn take_beat(&mut self, beat: Option<u64>, now: Instant) {
        if let Some(beat) = beat.filter(|beat| *beat != self.beat) {
            (self.beat, self.last_beat) = (beat, now);
        }
        let was_stuck = self.is_stuck;
        self.is_stuck = now.saturating_duration_since(self.last_beat) > SCAN_STALLED_AFTER;
        if was_stuck || !self.is_stuck {
            return;
        }
        match &self.work {
            Work::Scan { root, .. } => warn!(
                root = %root.display(),
                "a scan makes no progress; check the network share or the disk. Other roots are scanned meanwhile"
            ),
            Work::Hashing => warn!(
                "hashing makes no progress; check the network share or the disk. Scans continue meanwhile"
            ),
        }
    }
}

/// All running jobs.
#[derive(Debug, Default)]
pub(super) struct RunningJobs {
    jobs: Vec<Running>,
    last_id: u64,
}

impl RunningJobs {
    /// Adds a job, and returns its id.
    pub(super) fn add(&mut self, work: Work, now: Instant) -> u64 {
        self.last_id += 1;
        self.jobs.push(Running { id: self.last_id, work, beat: 0, last_beat: now, is_stuck: false });
        self.last_id
    }

    pub(super) fn remove(&mut self, id: u64) -> Option<Running> {
        let at = self.jobs.iter().position(|one| one.id == id)?;
        Some(self.jobs.remove(at))
    }

    pub(super) fn is_empty(&self) -> bool {
        self.jobs.is_empty()
    }

    pub(super) fn ids(&self) -> impl Iterator<Item = u64> {
        self.jobs.iter().map(|one| one.id)
    }

    /// Whether a scan runs that is not stuck.
    pub(super) fn is_scanning(&self) -> bool {
        self.jobs.iter().any(|one| one.is_scan() && !one.is_stuck)
    }

    /// The hashing passes that are not stuck.
    pub(super) fn hash_passes(&self) -> impl Iterator<Item = u64> {
        self.jobs.iter().filter(|one| !one.is_scan() && !one.is_stuck).map(|one| one.id)
    }

    /// The scan of a root.
    pub(super) fn scan_of(&self, path: &Path) -> Option<&Running> {
        self.jobs.iter().find(|one| matches!(&one.work, Work::Scan { root, .. } if root == path))
    }

    /// Whether a scan runs under this id of a row in `jobs`.
    pub(super) fn has_job(&self, job: &str) -> bool {
        self.jobs.iter().any(|one| one.job() == Some(job))
    }

    /// Takes the heartbeats of the jobs, by their ids.
    pub(super) fn take_beats(&mut self, beats: &[(u64, u64)], now: Instant) {
        for running in &mut self.jobs {
            let beat = beats.iter().find(|(id, _)| *id == running.id).map(|(_, beat)| *beat);
            running.take_beat(beat, now);
        }
    }
}
