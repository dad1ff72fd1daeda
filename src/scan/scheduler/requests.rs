//! Scans that others ask for: the queued rows of `vpo scan` beside a running daemon. Takes them or says why not; when they
//! run is not decided here.

use std::path::Path;

use tracing::{debug, warn};

use super::roots::Root;
use super::{BRIEF, Scheduler};
use crate::library::Patience;
use crate::library::jobs::{self, End, Queued};
use crate::scan::chain;

impl Scheduler {
    pub(super) fn take_requests(&mut self, queued: Vec<Queued>) {
        for job in queued {
            let is_taken = self.requests.iter().any(|other| other.id == job.id)
                || self.running.iter().any(|running| running.job() == Some(&job.id))
                || self.unrecorded.iter().any(|(id, _)| *id == job.id);
            if is_taken {
                continue;
            }
            if self.root_of(&job.path).is_some() {
                self.requests.push_back(job);
            } else {
                let roots: Vec<_> = self.roots.iter().map(|root| root.path.display().to_string()).collect();
                let reason =
                    format!("{} is under none of the daemon's roots ({})", job.path, roots.join(", "));
                warn!(job_id = job.id, "a scan was asked for, but {reason}");
                self.record_end(&job.id, End::Failed(reason));
            }
        }
    }

    pub(super) fn record_end(&mut self, id: &str, end: End) {
        let patience = Patience::within(BRIEF);
        if let Err(failure) = self.library.write(patience, |tx| jobs::end(tx, id, &end, None)) {
            debug!(job_id = id, error = chain(&failure), "the end of a job is still to be recorded");
            self.unrecorded.push((id.to_owned(), end));
        }
    }

    /// The innermost root that a stored path belongs to.
    pub(super) fn root_of(&self, stored: &str) -> Option<&Root> {
        // Paths that are asked for are UTF-8, and so written as they are.
        let path = Path::new(stored);
        self.roots
            .iter()
            .filter(|root| path.starts_with(&root.path))
            .max_by_key(|root| root.path.as_os_str().len())
    }
}
