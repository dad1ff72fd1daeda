//! The progress of a scan, for the job's row, the progress bar and the daemon's checks.

use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering};

use serde::{Deserialize, Serialize};
use tracing::debug;

use crate::library::RetryObserver;

/// What a scan is doing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
#[repr(u8)]
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
}

impl Phase {
    const ALL: [Self; 5] = [Self::Walking, Self::Reading, Self::Settling, Self::Missing, Self::Hashing];
}

/// Counters that many threads update. They are not consistent with each other.
#[derive(Debug, Default)]
pub(crate) struct Progress {
    phase: AtomicU8,
    found: AtomicU64,
    to_read: AtomicU64,
    read: AtomicU64,
    stored: AtomicU64,
    errors: AtomicU64,
    library_busy: AtomicBool,
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
        let get = |figure: &AtomicU64| figure.load(Ordering::Relaxed);
        Snapshot {
            phase: Phase::ALL[usize::from(self.phase.load(Ordering::Relaxed)) % Phase::ALL.len()],
            found: get(&self.found),
            to_read: get(&self.to_read),
            read: get(&self.read),
            stored: get(&self.stored),
            errors: get(&self.errors),
            library_busy: self.library_busy.load(Ordering::Relaxed),
        }
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
        self.phase.store(phase as u8, Ordering::Relaxed);
        self.alive();
    }

    pub(crate) fn found(&self, count: u64) {
        self.found.store(count, Ordering::Relaxed);
        self.alive();
    }

    pub(crate) fn expect(&self, more: u64) {
        self.to_read.fetch_add(more, Ordering::Relaxed);
        self.alive();
    }

    pub(crate) fn read(&self) {
        self.read.fetch_add(1, Ordering::Relaxed);
        self.alive();
    }

    pub(crate) fn stored(&self, count: u64, errors: u64) {
        self.stored.fetch_add(count, Ordering::Relaxed);
        self.errors.fetch_add(errors, Ordering::Relaxed);
        self.alive();
    }

    /// Returns what it was before.
    pub(crate) fn set_library_busy(&self, busy: bool) -> bool {
        self.alive();
        self.library_busy.swap(busy, Ordering::Relaxed)
    }
}

/// Reports that a scan waits for a locked database, and that it is alive.
impl RetryObserver for Progress {
    fn on_retry(&self) {
        if !self.set_library_busy(true) {
            debug!("another program has locked the database; the scan waits");
        }
    }
}
