//! Background work: counts files by root and status, deletes rows of scans older than `scan.job_retention_days`, and hashes
//! files without a hash. Counts when the roots are known and after a scan, and deletes after a scan, so that an idle disk
//! stays idle.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tracing::{debug, info};

use super::{Action, COUNT_PAUSES};
use crate::base::times::{JOB_EXPIRY_INTERVAL, SCAN_DATABASE_RETRY_INTERVAL};
use crate::library;
use crate::scan::facts_pass::FactsWork;
use crate::scan::state::Counted;
use crate::scan::{Error, Settings, chain, discover};

/// The background work that is due, and its results.
#[derive(Debug)]
pub(super) struct Upkeep {
    /// The result of the last count.
    counted: Option<Arc<Counted>>,
    /// The roots were changed, or a scan has ended, since the last count.
    is_count_due: bool,
    /// A scan has ended since rows were last deleted.
    may_expire: bool,
    is_counting: bool,
    /// When the next count may begin.
    next_count: Instant,
    /// When the next search for old rows may begin.
    next_expiry: Instant,
    /// When the next hashing pass may begin; `None` if no row can be without a hash.
    next_hashing: Option<Instant>,
    /// What the next hashing pass does about facts.
    facts_work: FactsWork,
}

impl Upkeep {
    pub(super) fn new(now: Instant) -> Self {
        Self {
            counted: None,
            is_count_due: false,
            may_expire: false,
            is_counting: false,
            next_count: now,
            next_expiry: now,
            next_hashing: Some(now),
            facts_work: FactsWork::default(),
        }
    }

    pub(super) fn last_count(&self) -> Option<Arc<Counted>> {
        self.counted.clone()
    }

    /// A scan has ended that wrote something.
    pub(super) fn scan_ended(&mut self) {
        (self.is_count_due, self.may_expire) = (true, true);
    }

    /// There are other roots.
    pub(super) fn roots_changed(&mut self) {
        self.is_count_due = true;
    }

    /// The retention time of rows has changed.
    pub(super) fn expire_soon(&mut self, now: Instant) {
        self.next_expiry = now;
    }

    /// Rows may be without a hash.
    pub(super) fn request_hashing(&mut self, when: Instant) {
        self.next_hashing = Some(when);
    }

    /// What the next hashing pass does about facts. It stays to be done until a pass has ended.
    pub(super) fn facts_work(&mut self) -> &mut FactsWork {
        &mut self.facts_work
    }

    /// Whether a hashing pass is due. It then counts as started.
    pub(super) fn take_hashing(&mut self, now: Instant) -> bool {
        self.next_hashing.take_if(|due| *due <= now).is_some()
    }

    /// Starts a count, if one is due.
    pub(super) fn dispatch(&mut self, settings: &Settings, now: Instant) -> Option<Action> {
        if !self.is_count_due || self.is_counting || self.next_count > now {
            return None;
        }
        (self.is_count_due, self.is_counting) = (false, true);
        let may_expire = self.may_expire && self.next_expiry <= now;
        let roots = settings.roots.iter().map(|root| discover::stored(root)).collect();
        Some(Action::Count { roots, expire: Some(settings.retention).filter(|_| may_expire) })
    }

    /// A count has ended.
    ///
    /// # Errors
    /// A failure to report.
    pub(super) fn counted(
        &mut self,
        counted: Result<Arc<Counted>, Error>,
        took: Duration,
        expired: Option<Result<usize, library::Error>>,
        now: Instant,
    ) -> Result<(), Error> {
        (self.is_counting, self.next_count) = (false, now + took * COUNT_PAUSES);
        match expired {
            None => {}
            Some(Ok(count)) => {
                (self.may_expire, self.next_expiry) = (false, now + JOB_EXPIRY_INTERVAL);
                if count > 0 {
                    info!(count, "deleted rows of scans that are older than scan.job_retention_days");
                }
            }
            Some(Err(failure)) => {
                debug!(
                    error = chain(&failure),
                    "cannot delete rows of old scans yet; retried after the next scan"
                );
            }
        }
        match counted {
            Ok(counted) => {
                self.counted = Some(counted);
                Ok(())
            }
            Err(failure) => {
                debug!(error = chain(&failure), "cannot count the library yet; retried");
                (self.is_count_due, self.next_count) = (true, now + SCAN_DATABASE_RETRY_INTERVAL);
                if matches!(failure, Error::Library(_)) { Ok(()) } else { Err(failure) }
            }
        }
    }
}
