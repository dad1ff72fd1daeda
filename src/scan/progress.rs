//! The progress of a scan, for the job's row, the progress bar and the daemon's checks.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use serde::{Deserialize, Serialize};
use tracing::debug;

use crate::library::RetryObserver;

/// What a scan is doing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Phase {
    #[default]
    /// Walking the root and comparing it with the library.
    Walking,
    /// Reading files and storing their tracks.
    Reading,
    /// Waiting for files that were still being written.
    Settling,
    /// Recording missing files.
    Missing,
    /// Hashing files without a hash.
    Hashing,
    /// Reading again what an older prober has read.
    Rereading,
}

/// The progress of a scan or a hashing pass, which several threads update.
#[derive(Debug, Default)]
pub(crate) struct Progress {
    now: Mutex<Snapshot>,
    beat: AtomicU64,
}

/// [`Progress`] at one moment, as `progress_json` records it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Deserialize, Serialize)]
pub(crate) struct Snapshot {
    /// What it is doing.
    pub phase: Phase,
    /// Videos found by the walk.
    pub found: u64,
    /// Of them, those to be read.
    pub to_read: u64,
    /// Of them, those read.
    pub read: u64,
    /// Of them, those stored.
    pub stored: u64,
    /// Of them, those that could not be parsed.
    pub errors: u64,
    /// Waiting for another program that has locked the library.
    pub library_busy: bool,
}

impl Snapshot {
    /// How much of the reading is done, 0 to 100.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "a percentage")]
    pub(crate) fn percent(&self) -> f64 {
        if self.to_read == 0 {
            0.0
        } else {
            100.0 * self.stored.min(self.to_read) as f64 / self.to_read as f64
        }
    }
}

impl Progress {
    /// The current values.
    #[must_use]
    pub(crate) fn snapshot(&self) -> Snapshot {
        *self.lock()
    }

    /// The heartbeat: rises while the scan makes progress.
    #[must_use]
    pub(crate) fn beat(&self) -> u64 {
        self.beat.load(Ordering::Relaxed)
    }

    pub(crate) fn alive(&self) {
        self.beat.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn enter(&self, phase: Phase) {
        self.alive();
        self.lock().phase = phase;
    }

    pub(crate) fn found(&self, count: u64) {
        self.alive();
        self.lock().found = count;
    }

    pub(crate) fn expect(&self, more: u64) {
        self.alive();
        self.lock().to_read += more;
    }

    pub(crate) fn read(&self) {
        self.alive();
        self.lock().read += 1;
    }

    pub(crate) fn stored(&self, count: u64, errors: u64) {
        self.alive();
        let mut now = self.lock();
        now.stored += count;
        now.errors += errors;
    }

    /// Returns what it was before.
    pub(crate) fn set_library_busy(&self, busy: bool) -> bool {
        self.alive();
        std::mem::replace(&mut self.lock().library_busy, busy)
    }

    fn lock(&self) -> MutexGuard<'_, Snapshot> {
        self.now.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Reports that a scan waits until the database can be written, and that it is alive.
impl RetryObserver for Progress {
    fn on_retry(&self) {
        if !self.set_library_busy(true) {
            debug!("the database cannot be written yet; the scan waits");
        }
    }
}
