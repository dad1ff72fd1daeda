//! Handles scans and hashing passes that have ended: figures, log lines, and retries.

use std::path::Path;
use std::time::Instant;

use tracing::{debug, info, warn};

use super::Scheduler;
use crate::base::times::SCAN_DATABASE_RETRY_INTERVAL;
use crate::library;
use crate::scan::job::Report;
use crate::scan::state::Problem;
use crate::scan::{Error, chain, hashing};

impl Scheduler {
    pub(super) fn scanned(&mut self, path: &Path, id: u64, report: Report) {
        let job = self.running.iter().find(|one| one.id == id).and_then(|one| one.job().map(str::to_owned));
        self.running.retain(|one| one.id != id);
        if !report.idle {
            self.upkeep.ask();
        }
        self.counts.files_read += report.summary.scanned;
        self.counts.file_errors += report.summary.errors + report.summary.unreadable;
        let whole = report.summary.root.is_some();
        // Also where nothing was read: the root may have been away when hashes were last computed.
        if report.summary.scanned > 0 || whole {
            self.hash_due = Some(Instant::now());
        }
        let job_id = job.as_deref().unwrap_or_default();
        if let Some(end) = report.unrecorded.clone() {
            self.unrecorded.push((job_id.to_owned(), end));
        }
        let interval = self.settings.rescan_interval;
        match &report.error {
            None => {
                // A look that wrote nothing says nothing of the library.
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
        let moved = report.summary.moved;
        if let Some(root) = self.root_mut(path) {
            root.scanned(report, whole, interval);
        }
        if moved > 0 {
            // Perhaps it is here that the files of another root went.
            for root in self.roots.iter_mut().filter(|root| root.path != path) {
                root.something_moved();
            }
        }
    }

    pub(super) fn hashed(&mut self, id: u64, outcome: Result<hashing::Hashed, Error>) {
        self.running.retain(|one| one.id != id);
        match outcome {
            Ok(hashed) => {
                self.counts.files_hashed += hashed.files;
                if hashed.files > 0 {
                    // The library can be written again.
                    self.problem = None;
                    debug!(files = hashed.files, seconds = hashed.seconds, "hashed");
                }
            }
            Err(Error::Cancelled | Error::Library(library::Error::Cancelled)) => {
                self.hash_due = Some(Instant::now());
            }
            Err(failure) => {
                self.hash_due = Some(Instant::now() + SCAN_DATABASE_RETRY_INTERVAL);
                if matches!(failure, Error::Library(library::Error::Replaced(_))) {
                    debug!(error = chain(&failure), "hashing will be tried again");
                } else {
                    warn!(
                        "hashing failed and is tried again in {SCAN_DATABASE_RETRY_INTERVAL:?}: {}",
                        chain(&failure)
                    );
                    self.record_problem(&failure);
                }
            }
        }
    }

    /// Records a problem that is not an issue of one root.
    pub(super) fn record_problem(&mut self, failure: &Error) {
        self.problem = Some(Problem { code: failure.code(), detail: chain(failure) });
    }
}
