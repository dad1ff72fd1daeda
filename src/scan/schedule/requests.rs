//! Accepts or rejects queued jobs, the rows that `vpo scan` writes for a running daemon, and keeps the ends of jobs until
//! they are recorded.

use std::collections::VecDeque;
use std::path::{Component, Path, PathBuf};
use std::time::Instant;

use tracing::{debug, info, warn};

use super::Action;
use super::root::Root;
use super::running::RunningJobs;
use crate::base::times::DATABASE_BUSY_TIMEOUT;
use crate::library;
use crate::library::jobs::{End, Queued, Request};
use crate::scan::job::Task;
use crate::scan::{Error, chain, coded};

/// Queued jobs, and ends that are not recorded yet.
#[derive(Debug)]
pub(super) struct Requests {
    queue: VecDeque<Queued>,
    unrecorded: Vec<(String, End)>,
    /// When to close the rows of an earlier daemon that still have the status running; `None` once that is done. Until then
    /// no scan starts.
    abandoned_since: Option<Instant>,
}

impl Requests {
    pub(super) fn new(now: Instant) -> Self {
        Self { queue: VecDeque::new(), unrecorded: Vec::new(), abandoned_since: Some(now) }
    }

    /// Whether scans may start.
    pub(super) fn may_start(&self) -> bool {
        self.abandoned_since.is_none()
    }

    /// The rows of an earlier daemon were closed, or could not be. Returns whether the library could be written.
    ///
    /// # Errors
    /// A failure to report.
    pub(super) fn abandoned_closed(
        &mut self,
        outcome: Result<usize, library::Error>,
        now: Instant,
    ) -> Result<bool, Error> {
        match outcome {
            Ok(count) => {
                self.abandoned_since = None;
                if count > 0 {
                    info!(count, "recorded unfinished scans of an earlier daemon as failed");
                }
                Ok(true)
            }
            Err(failure) => {
                debug!(
                    error = chain(&failure),
                    "cannot record unfinished scans of an earlier daemon as failed yet; no scan starts before"
                );
                // The transaction of another program ends by itself.
                let age = self.abandoned_since.map(|since| now.saturating_duration_since(since));
                let is_brief = matches!(failure, library::Error::Busy { .. } | library::Error::Unsettled(_))
                    && age.is_some_and(|age| age < DATABASE_BUSY_TIMEOUT);
                if is_brief { Ok(false) } else { Err(failure.into()) }
            }
        }
    }

    /// Accepts or rejects the queued rows.
    pub(super) fn add(
        &mut self,
        requests: Vec<Request>,
        roots: &[Root],
        running: &RunningJobs,
        actions: &mut Vec<Action>,
    ) {
        for request in requests {
            let id = request.id();
            let is_taken = self.queue.iter().any(|other| other.id == id)
                || running.has_job(id)
                || self.unrecorded.iter().any(|(other, _)| other == id);
            if is_taken {
                continue;
            }
            match accept(&request, roots) {
                Ok(job) => self.queue.push_back(job),
                Err(reason) => {
                    warn!(job_id = id, "rejected a queued scan: {reason}");
                    actions.push(self.record_end(id, End::Failed(reason)));
                }
            }
        }
    }

    /// The first request that could start.
    pub(super) fn next(&self, roots: &[Root], running: &RunningJobs) -> Option<usize> {
        let is_free = |root: &Root| running.scan_of(&root.path).is_none();
        self.queue.iter().position(|job| root_of(roots, &job.path).is_none_or(is_free))
    }

    /// Accepts a request as a task, or rejects it.
    pub(super) fn take(&mut self, at: usize, roots: &[Root], actions: &mut Vec<Action>) -> Option<Task> {
        let job = self.queue.remove(at)?;
        let refusal = match root_of(roots, &job.path) {
            None => format!("error[outside_roots]: {} is no longer a root", job.path),
            Some(root) => match root.overlap() {
                None => {
                    let targets = vec![PathBuf::from(&job.path)];
                    return Some(Task { root: root.path.clone(), targets, job, queued: true, quiet: false });
                }
                Some(error) => coded(&error),
            },
        };
        actions.push(self.record_end(&job.id, End::Failed(refusal)));
        None
    }

    /// Queues the end of a job until it is recorded.
    pub(super) fn keep_end(&mut self, id: &str, end: End) {
        self.unrecorded.push((id.to_owned(), end));
    }

    fn record_end(&mut self, id: &str, end: End) -> Action {
        self.keep_end(id, end.clone());
        Action::RecordEnd { id: id.to_owned(), end }
    }

    /// Records the oldest queued end.
    pub(super) fn retry_end(&self) -> Option<Action> {
        self.unrecorded.first().map(|(id, end)| Action::RecordEnd { id: id.clone(), end: end.clone() })
    }

    pub(super) fn end_recorded(&mut self, id: &str) {
        self.unrecorded.retain(|(other, _)| other != id);
    }
}

/// The job that a request asks for, or why it is refused.
fn accept(request: &Request, roots: &[Root]) -> Result<Queued, String> {
    let job = match request {
        Request::Scan(job) => job,
        Request::Malformed { why, .. } => {
            return Err(format!("error[invalid_request]: its policy_json is not valid: {why}"));
        }
    };
    let path = Path::new(&job.path);
    // After a symbolic link `..` leads elsewhere, and the same file would be stored under two paths.
    if path.components().any(|part| part == Component::ParentDir) {
        return Err(format!("error[invalid_request]: {} contains ..; give the path without it", job.path));
    }
    if root_of(roots, &job.path).is_none() {
        let roots: Vec<_> = roots.iter().map(|root| root.path.display().to_string()).collect();
        return Err(format!(
            "error[outside_roots]: {path} is not below a root of the daemon ({}), and a running daemon scans only its roots: add {path} to \
             scan.roots and reload it, or stop it to scan {path} once",
            roots.join(", "),
            path = job.path
        ));
    }
    // Normalise it as stored paths are: no `//`, no `/./`, no slash at the end.
    let path: PathBuf = path.components().collect();
    Ok(Queued { path: path.to_string_lossy().into_owned(), ..job.clone() })
}

/// The innermost root that a stored path belongs to.
fn root_of<'a>(roots: &'a [Root], stored: &str) -> Option<&'a Root> {
    // Requested paths are UTF-8, so their stored form is the same.
    let above = roots.iter().filter(|root| Path::new(stored).starts_with(&root.path));
    above.max_by_key(|root| root.path.as_os_str().len())
}
