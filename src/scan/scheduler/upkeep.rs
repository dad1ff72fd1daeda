//! Work after a scan: counts files by status, and deletes rows of scans that are older than `scan.job_retention_days`.
//! Runs on its own thread, and only after a scan, so that an idle disk stays idle.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio_util::sync::CancellationToken;
use tracing::{debug, info};

use super::{Event, Scheduler};
use crate::base::times::{JOB_EXPIRY_INTERVAL, SCAN_DATABASE_RETRY_INTERVAL};
use crate::base::timestamp::Timestamp;
use crate::library::files::statistics::{Depth, Totals};
use crate::library::jobs::history::{self, Expiry};
use crate::library::{self, Library, Retry, totals};
use crate::scan::{Error, chain};

/// After a count there is none for this many times as long as it took: where a file arrives every few seconds, counting
/// costs no more than a tenth of a core.
const PAUSE_FACTOR: u32 = 10;

/// What is to be done, and what came of it.
#[derive(Debug)]
pub(super) struct Upkeep {
    /// The totals of the last count.
    pub(super) totals: Option<Totals>,
    /// A scan has ended since.
    due: bool,
    running: bool,
    not_before: Instant,
    /// When the next search for old rows may begin.
    expiry: Instant,
}

impl Upkeep {
    pub(super) fn new() -> Self {
        let now = Instant::now();
        Self { totals: None, due: false, running: false, not_before: now, expiry: now }
    }

    /// A scan has ended that wrote something.
    pub(super) fn ask(&mut self) {
        self.due = true;
    }

    /// Rows are to be kept for another time.
    pub(super) fn expire_soon(&mut self) {
        self.expiry = Instant::now();
    }
}

impl Scheduler {
    /// Begins what is to be done, once it is time.
    pub(super) fn keep_up(&mut self) {
        let now = Instant::now();
        let upkeep = &mut self.upkeep;
        if !upkeep.due || upkeep.running || upkeep.not_before > now {
            return;
        }
        let retention = self.settings.job_retention.filter(|_| upkeep.expiry <= now);
        (upkeep.due, upkeep.running) = (false, true);
        let (library, stop, events) = (Arc::clone(&self.library), self.stop.clone(), self.events.clone());
        let thread = std::thread::Builder::new().name("upkeep".into()).spawn(move || {
            // On Linux this is the thread's own niceness.
            let _ = rustix::process::nice(10);
            let start = Instant::now();
            let totals = totals::count(&library, Depth::Files, &stop).map(|count| count.tally.totals());
            let took = start.elapsed();
            let expired = retention.map(|age| expire(&library, age, &stop));
            let _ = events.send(Event::KeptUp { totals, took, expired });
        });
        if let Err(failure) = thread {
            self.kept_up(Err(library::Error::Cancelled), Duration::ZERO, None);
            self.record_problem(&Error::Threads(failure));
        }
    }

    /// What came of it.
    pub(super) fn kept_up(
        &mut self,
        totals: Result<Totals, library::Error>,
        took: Duration,
        expired: Option<Result<usize, library::Error>>,
    ) {
        let now = Instant::now();
        let upkeep = &mut self.upkeep;
        (upkeep.running, upkeep.not_before) = (false, now + took * PAUSE_FACTOR);
        match totals {
            Ok(totals) => upkeep.totals = Some(totals),
            Err(failure) => {
                debug!(error = chain(&failure), "the library will be counted again");
                (upkeep.due, upkeep.not_before) = (true, now + SCAN_DATABASE_RETRY_INTERVAL);
            }
        }
        match expired {
            None => {}
            Some(Ok(count)) => {
                upkeep.expiry = now + JOB_EXPIRY_INTERVAL;
                if count > 0 {
                    info!(count, "deleted rows of scans that are older than scan.job_retention_days");
                }
            }
            Some(Err(failure)) => {
                debug!(error = chain(&failure), "rows of old scans will be looked for after the next scan");
            }
        }
    }
}

/// Deletes what is older than `age`, a short transaction each.
fn expire(library: &Library, age: Duration, stop: &CancellationToken) -> Result<usize, library::Error> {
    let retry = Retry::new(stop);
    let (generation, now) = (library.generation(), Timestamp::now());
    let (mut expiry, mut deleted) = (Expiry::new(), 0);
    loop {
        let (next, expired, is_last) = library.read(retry, |tx| {
            // A read may be made again.
            let mut next = expiry.clone();
            let (expired, is_last) = next.step(tx, now, age)?;
            Ok((next, expired, is_last))
        })?;
        expiry = next;
        // What was found in one library is not to be deleted in another.
        if stop.is_cancelled() || library.generation() != generation {
            return Err(library::Error::Cancelled);
        }
        if !expired.is_empty() {
            deleted += library.write(retry, |tx| history::delete(tx, &expired))?;
        }
        if is_last {
            return Ok(deleted);
        }
    }
}
