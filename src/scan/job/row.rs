//! The row of a job, and the writes of its scan: waits, heartbeats, and cancellation by another program.

use std::cell::Cell;
use std::path::Path;
use std::time::{Duration, Instant};

use tracing::{debug, info};

use super::{Context, Error, Summary, Task};
use crate::base::times::{SCAN_BUSY_REPORT_AFTER, SCAN_END_BUSY_TIMEOUT, SCAN_HEARTBEAT_INTERVAL};
use crate::library::jobs::{self, End, history};
use crate::library::{self, Retry, sqlite};
use crate::scan::discover;
use crate::scan::root::{Beneath, Offline};

/// The row of one job.
pub(super) struct JobRow<'a> {
    pub(super) context: &'a Context,
    pub(super) task: &'a Task,
    /// Whether it was written.
    is_begun: Cell<bool>,
    /// Whether another program has changed the status of the row, which cancels the scan.
    ended_by_another: Cell<bool>,
    heartbeat: Cell<Instant>,
    /// The generation of the library when the scan began. What it derives from its rows does not apply to another content.
    generation: u64,
}

impl<'a> JobRow<'a> {
    pub(super) fn new(context: &'a Context, task: &'a Task) -> Self {
        Self {
            context,
            task,
            is_begun: Cell::new(false),
            ended_by_another: Cell::new(false),
            heartbeat: Cell::new(Instant::now()),
            generation: context.library.generation(),
        }
    }

    /// Writes the row, once.
    pub(super) fn begin(&self) -> Result<(), Error> {
        if self.is_begun() {
            return Ok(());
        }
        let (job, queued) = (&self.task.job, self.task.queued);
        self.is_begun.set(self.write(|tx| jobs::begin(tx, job, queued, std::process::id()))?);
        if !self.is_begun() {
            return Err(Error::JobClaimed(job.id.clone()));
        }
        debug!(root = %self.task.root.display(), reason = job.options.reason, "scan begins");
        Ok(())
    }

    pub(super) fn is_begun(&self) -> bool {
        self.is_begun.get()
    }

    /// Records how the job ended. Waits only briefly for a locked database, because the daemon may be stopping.
    pub(super) fn finish(&self, end: &End, summary: &Summary) -> Result<(), library::Error> {
        let retry = Retry::within(SCAN_END_BUSY_TIMEOUT);
        let summary = serde_json::to_string(summary).ok();
        self.context.library.write(retry, |tx| {
            self.record_progress(tx)?;
            jobs::end(tx, &self.task.job.id, end, summary.as_deref())
        })
    }

    /// Whether the scan may continue.
    pub(super) fn check(&self) -> Result<(), Error> {
        if self.context.stop.is_cancelled() {
            Err(Error::Cancelled)
        } else if self.ended_by_another.get() {
            Err(Error::JobClaimed(self.task.job.id.clone()))
        } else {
            Ok(())
        }
    }

    pub(super) fn read<T>(
        &self,
        work: impl FnMut(&sqlite::Transaction<'_>) -> sqlite::Result<T>,
    ) -> Result<T, Error> {
        let value = self.context.library.read(self.retry(), work)?;
        self.context.progress.set_library_busy(false);
        Ok(value)
    }

    pub(super) fn write<T>(
        &self,
        work: impl FnOnce(&sqlite::Transaction<'_>) -> sqlite::Result<T>,
    ) -> Result<T, Error> {
        let start = Instant::now();
        let value = self.context.library.write(self.retry().for_generation(self.generation), work)?;
        if self.context.progress.set_library_busy(false) && start.elapsed() > SCAN_BUSY_REPORT_AFTER {
            info!(
                seconds = start.elapsed().as_secs(),
                "the database is no longer locked by another program; the scan continues"
            );
        }
        Ok(value)
    }

    /// Writes to the library, together with the heartbeat.
    pub(super) fn write_with_heartbeat<T>(
        &self,
        work: impl FnOnce(&sqlite::Transaction<'_>) -> sqlite::Result<T>,
    ) -> Result<T, Error> {
        self.heartbeat.set(Instant::now());
        self.write(|tx| {
            let value = work(tx)?;
            self.record_progress(tx)?;
            Ok(value)
        })
    }

    /// Waits for a locked database until the scan is stopped, and reports the wait.
    pub(super) fn retry(&self) -> Retry<'a> {
        Retry::until_cancelled(&self.context.stop).observed_by(&*self.context.progress)
    }

    /// Checks whether the scan may continue, and writes a heartbeat if one is due.
    pub(super) fn tick(&self) -> Result<(), Error> {
        self.beat_if_due();
        self.check()
    }

    /// Writes a heartbeat between batches. Skips it if the database is locked.
    fn beat_if_due(&self) {
        if self.heartbeat.get().elapsed() <= SCAN_HEARTBEAT_INTERVAL {
            return;
        }
        self.heartbeat.set(Instant::now());
        if self.is_begun() {
            let retry = Retry::within(Duration::ZERO);
            let _ = self.context.library.write(retry, |tx| self.record_progress(tx));
        }
    }

    fn record_progress(&self, tx: &sqlite::Transaction<'_>) -> sqlite::Result<()> {
        let snapshot = self.context.progress.snapshot();
        let text = serde_json::to_string(&snapshot).unwrap_or_default();
        let is_running = jobs::progress(tx, &self.task.job.id, snapshot.percent(), &text)?;
        self.ended_by_another.set(!is_running);
        Ok(())
    }

    /// What the last completed scan of a root recorded.
    pub(super) fn last_walk(&self, root: &Path) -> Result<Summary, Error> {
        let root = discover::stored(root);
        let walk = self.read(|tx| history::last_walk(tx, &root))?;
        Ok(walk.and_then(|walk| serde_json::from_str(&walk.summary).ok()).unwrap_or_default())
    }

    /// Opens the root, to open what is below it.
    pub(super) fn open_root(&self) -> Result<Beneath, Error> {
        Beneath::new(&self.task.root)
            .map_err(|error| self.offline(Offline::unreadable(&self.task.root, error)))
    }

    pub(super) fn offline(&self, why: Offline) -> Error {
        Error::Offline { root: self.task.root.clone(), why }
    }
}
