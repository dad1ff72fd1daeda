//! Scans that others ask for: the queued rows of `vpo scan` beside a running daemon. Takes them or says why not; when they
//! run is not decided here.

use std::path::{Component, Path, PathBuf};

use tracing::{debug, warn};

use super::Scheduler;
use super::roots::Root;
use crate::base::times::SCHEDULER_BUSY_TIMEOUT;
use crate::library::Retry;
use crate::library::jobs::{self, End, Queued, Request};
use crate::scan::chain;

impl Scheduler {
    pub(super) fn take_requests(&mut self, requests: Vec<Request>) {
        for request in requests {
            let is_taken = self.requests.iter().any(|other| other.id == request.id())
                || self.running.iter().any(|running| running.job() == Some(request.id()))
                || self.unrecorded.iter().any(|(id, _)| *id == request.id());
            if is_taken {
                continue;
            }
            match self.accepted(&request) {
                Ok(job) => self.requests.push_back(job),
                Err(reason) => {
                    warn!(job_id = request.id(), "a scan was asked for, but {reason}");
                    self.record_end(request.id(), End::Failed(reason));
                }
            }
        }
    }

    /// The job that a request asks for, or why there is none.
    fn accepted(&self, request: &Request) -> Result<Queued, String> {
        let job = match request {
            Request::Scan(job) => job,
            Request::Malformed { why, .. } => return Err(format!("its policy_json cannot be read: {why}")),
        };
        let path = Path::new(&job.path);
        // Behind a link `..` is not what it seems, and what is stored under two paths is two files.
        if path.components().any(|part| part == Component::ParentDir) {
            return Err(format!("{} has a .. in it: name the path without it", job.path));
        }
        if self.root_of(&job.path).is_none() {
            let roots: Vec<_> = self.roots.iter().map(|root| root.path.display().to_string()).collect();
            return Err(format!("{} is under none of the daemon's roots ({})", job.path, roots.join(", ")));
        }
        // One way to write it, as files are stored: no `//`, no `/./`, no slash at the end.
        let path: PathBuf = path.components().collect();
        Ok(Queued { path: path.to_string_lossy().into_owned(), ..job.clone() })
    }

    pub(super) fn record_end(&mut self, id: &str, end: End) {
        let retry = Retry::within(SCHEDULER_BUSY_TIMEOUT);
        if let Err(failure) = self.library.write(retry, |tx| jobs::end(tx, id, &end, None)) {
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
