//! Handles scans and hashing passes that have ended: counters, log lines and retries.

use std::path::Path;
use std::time::Instant;

use tracing::{debug, info, warn};

use super::{Action, Schedule};
use crate::base::times::SCAN_DATABASE_RETRY_INTERVAL;
use crate::base::timestamp::Timestamp;
use crate::library;
use crate::scan::facts_pass::FactsWork;
use crate::scan::hash_pass::Hashed;
use crate::scan::job::Report;
use crate::scan::{Error, chain};

impl Schedule {
    pub(super) fn scanned(
        &mut self,
        path: &Path,
        id: u64,
        at: Timestamp,
        mut report: Report,
        now: Instant,
        actions: &mut Vec<Action>,
    ) {
        let running = self.running.remove(id);
        let job_id = running.as_ref().and_then(|one| one.job()).unwrap_or_default();
        if !report.idle {
            self.upkeep.scan_ended();
        }
        let whole = report.summary.root.is_some();
        self.upkeep.facts_work().add(report.summary.facts_work());
        // Also if no file was read: the root may have been absent during the last hashing pass.
        if report.summary.scanned > 0 || whole {
            self.upkeep.request_hashing(now);
        }
        if let Some(end) = report.unrecorded.take() {
            self.requests.keep_end(job_id, end);
        }
        self.report_end(path, job_id, &report);
        let (moved, interval) = (report.summary.moved, self.settings.rescan_interval);
        if let Some(root) = self.root_mut(path) {
            root.scan_ended(report, whole, (now, at), actions);
            root.due.restart_interval(interval, now);
        }
        if moved > 0 {
            // The missing files of another root may have moved here.
            for root in self.roots.iter_mut().filter(|root| root.path != path) {
                root.files_moved_elsewhere(now);
            }
        }
    }

    /// Counts and logs how a scan ended, and records a problem of the scanner as a whole.
    fn report_end(&mut self, path: &Path, job_id: &str, report: &Report) {
        self.counts.files_read += report.summary.scanned;
        self.counts.cut_titles += report.summary.cut_titles;
        self.counts.file_errors += report.summary.errors + report.summary.unreadable;
        match &report.error {
            None => {
                // A scan that wrote nothing does not show that the database can be written.
                if !report.idle {
                    self.problem = None;
                    self.counts.completed += 1;
                    self.counts.seconds += report.summary.seconds;
                    let summary = &report.summary;
                    info!(
                        job_id,
                        root = %path.display(),
                        found = summary.total_discovered,
                        new = summary.added,
                        changed = summary.updated,
                        moved = summary.moved,
                        missing = summary.removed,
                        errors = summary.errors + summary.unreadable,
                        seconds = summary.seconds,
                        "scan completed"
                    );
                }
            }
            Some(Error::Cancelled | Error::Library(library::Error::Replaced(_)) | Error::JobClaimed(_)) => {
                self.counts.cancelled += u64::from(!report.idle);
            }
            Some(failure) => {
                if !report.idle {
                    self.counts.failed += 1;
                    warn!(job_id, root = %path.display(), "scan failed: {}", chain(failure));
                }
                if !matches!(failure, Error::Offline { .. } | Error::MassDeletion { .. } | Error::Unknown(_))
                {
                    self.record_problem(failure);
                }
            }
        }
    }

    pub(super) fn hashed(&mut self, id: u64, outcome: Result<Hashed, Error>, now: Instant) {
        self.running.remove(id);
        match outcome {
            Ok(hashed) => {
                *self.upkeep.facts_work() = FactsWork::default();
                self.counts.files_hashed += hashed.files;
                self.counts.files_read += hashed.reread;
                if hashed.files + hashed.reread > 0 {
                    // The library can be written again.
                    self.problem = None;
                    debug!(
                        files = hashed.files,
                        read_again = hashed.reread,
                        seconds = hashed.seconds,
                        "hashed"
                    );
                }
            }
            Err(Error::Cancelled | Error::Library(library::Error::Cancelled)) => {
                self.upkeep.request_hashing(now);
            }
            Err(failure) => {
                self.upkeep.request_hashing(now + SCAN_DATABASE_RETRY_INTERVAL);
                if matches!(failure, Error::Library(library::Error::Replaced(_))) {
                    debug!(error = chain(&failure), "hashing will be retried");
                } else {
                    warn!(
                        "hashing failed, next attempt in {SCAN_DATABASE_RETRY_INTERVAL:?}: {}",
                        chain(&failure)
                    );
                    self.record_problem(&failure);
                }
            }
        }
    }
}
