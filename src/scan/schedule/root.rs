//! The state of one root: its requested scans, its issue, and the results of looks.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tracing::{info, warn};

use super::due::Due;
use super::issue::{Issues, RootIssue};
use super::presence::{NextLook, Presence};
use super::root_watch::RootWatch;
use super::running::Running;
use super::{Action, NewJobId};
use crate::base::times::{
    SCAN_DATABASE_RETRY_INTERVAL, SCAN_DEBOUNCE, SCAN_RESTART_INTERVAL, WATCH_DEBOUNCE, WATCH_START_TIMEOUT,
};
use crate::base::timestamp::Timestamp;
use crate::library;
use crate::library::jobs::{Options, Queued, Reason};
use crate::scan::job::{Report, Summary, Task};
use crate::scan::overlap::ResolvedRoot;
use crate::scan::root::{Look, Offline};
use crate::scan::state::{Problem, RootState};
use crate::scan::watch::WatchEvent;
use crate::scan::{Error, chain, discover};

/// One root.
#[derive(Debug)]
pub(super) struct Root {
    pub(super) path: PathBuf,
    pub(super) due: Due,
    pub(super) presence: Presence,
    pub(super) watch: RootWatch,
    /// Another root that covers it.
    pub(super) covered_by: Option<PathBuf>,
    issues: Issues,
    pub(super) last_success: Option<Timestamp>,
    last_summary: Option<Summary>,
}

impl Root {
    /// A new root, whose first scan is requested. The watch is started first, so that no change during
    /// the walk is missed.
    pub(super) fn new(path: PathBuf, is_watched: bool, now: Instant) -> Self {
        let mut due = Due::default();
        let pause = if is_watched { WATCH_START_TIMEOUT } else { Duration::ZERO };
        due.request_full_scan(Reason::Start, now + pause);
        Self {
            path,
            due,
            presence: Presence::new(now),
            watch: RootWatch::new(),
            covered_by: None,
            issues: Issues::default(),
            last_success: None,
            last_summary: None,
        }
    }

    /// When something is due next.
    pub(super) fn next_due(&self) -> Option<Instant> {
        self.due.next().filter(|_| self.may_scan())
    }

    pub(super) fn is_due(&self, now: Instant) -> bool {
        self.next_due().is_some_and(|due| due <= now)
    }

    /// While the root is absent, or another one covers it, it is not scanned.
    fn may_scan(&self) -> bool {
        !self.presence.is_offline() && self.covered_by.is_none()
    }

    /// Why it is not scanned although it is present.
    pub(super) fn overlap(&self) -> Option<Error> {
        let other = self.covered_by.clone()?;
        Some(Error::Overlaps { root: self.path.clone(), other })
    }

    /// Whether it is known to be present and to respond.
    pub(super) fn answers(&self, now: Instant) -> bool {
        self.may_scan() && !self.presence.is_late(now)
    }

    /// What is due first, as a task.
    pub(super) fn next_task(&mut self, now: Instant, new_job_id: NewJobId<'_>) -> Option<Task> {
        let id = match new_job_id() {
            Ok(id) => id,
            Err(error) => {
                warn!(root = %self.path.display(), "cannot start a scan: {}", chain(&error));
                self.due.put_off(now);
                return None;
            }
        };
        let (targets, reason) = self.due.take(&self.path, now)?;
        Some(Task {
            root: self.path.clone(),
            quiet: reason.is_quiet(),
            job: Queued { id, path: discover::stored(&self.path), options: Options::new(reason) },
            targets,
            queued: false,
        })
    }

    /// A scan of it ended at `now`; `at` is the same as a date. `whole` when it completed a walk of all of it.
    pub(super) fn scan_ended(
        &mut self,
        report: Report,
        whole: bool,
        (now, at): (Instant, Timestamp),
        actions: &mut Vec<Action>,
    ) {
        if !report.unsettled.is_empty() {
            self.due.request_partial_scan(report.unsettled, now + SCAN_DEBOUNCE);
        }
        // A scan of a part, or one that did not complete, does not show whether an issue of the whole root is over.
        if whole || matches!(report.error, Some(Error::Offline { .. } | Error::MassDeletion { .. })) {
            self.issues.set_signals(report.signals);
        }
        match report.error {
            None if whole => {
                self.last_success = Some(at);
                self.issues.issue = RootIssue::from_summary(&report.summary);
                let before = self.last_summary.replace(report.summary.clone());
                let has_other_mounts = before.is_some_and(|before| before.mounts != report.summary.mounts);
                self.watch.walked(&self.path, has_other_mounts, actions);
            }
            None | Some(Error::JobClaimed(_) | Error::Unknown(_)) => {}
            Some(Error::Cancelled | Error::Library(library::Error::Replaced(_))) => {
                self.due.request_full_scan(Reason::Again, now + SCAN_RESTART_INTERVAL);
            }
            Some(Error::Offline { why, .. }) => self.issues.issue = Some(RootIssue::Offline(why)),
            Some(ref error @ Error::MassDeletion { .. }) => {
                self.issues.issue = Some(RootIssue::MassDeletion(chain(error)));
            }
            Some(_) => self.due.request_full_scan(Reason::Again, now + SCAN_DATABASE_RETRY_INTERVAL),
        }
    }

    /// Starts a look at it if one is due. One that does not end makes the root unresponsive.
    pub(super) fn look_if_due(&mut self, now: Instant, actions: &mut Vec<Action>) {
        match self.presence.next_look(now) {
            NextLook::Wait => {}
            NextLook::Begin => actions
                .push(Action::Look { root: self.path.clone(), signals: Arc::clone(&self.issues.signals) }),
            NextLook::Overdue => self.take_look(Err(Offline::Unresponsive), now, actions),
        }
    }

    pub(super) fn look_ended(
        &mut self,
        look: Result<Look, Offline>,
        resolved: Option<ResolvedRoot>,
        recovered: bool,
        now: Instant,
        actions: &mut Vec<Action>,
    ) {
        self.presence.look_ended(resolved, now);
        self.take_look(look, now, actions);
        if recovered && self.issues.take_signals() {
            // Only a scan can end the issue.
            self.due.request_full_scan(Reason::RootChanged, now);
        }
    }

    /// A scan of another root found moved files, which may be those missing here.
    pub(super) fn files_moved_elsewhere(&mut self, now: Instant) {
        if matches!(self.issues.issue, Some(RootIssue::MassDeletion(_))) {
            self.due.request_full_scan(Reason::RootChanged, now);
        }
    }

    fn take_look(&mut self, look: Result<Look, Offline>, now: Instant, actions: &mut Vec<Action>) {
        let is_over = look.as_ref().is_ok_and(|look| self.issues.end_by_look(look));
        if !is_over && !self.presence.is_news(&look) {
            return;
        }
        let offline = look.as_ref().err().cloned();
        let is_first = !self.presence.record(look);
        if let Some(why) = offline {
            self.issues.issue = Some(RootIssue::Offline(why));
            self.watch.lose(&self.path, actions);
        } else if !is_first {
            info!(root = %self.path.display(), "the root has changed; it is scanned");
            self.due.request_full_scan(Reason::RootChanged, now);
            self.watch.restart(&self.path, actions);
        }
    }

    pub(super) fn take_watch_event(
        &mut self,
        attempt: u64,
        event: WatchEvent,
        now: Instant,
        actions: &mut Vec<Action>,
    ) {
        if !self.watch.is_current(attempt) {
            return;
        }
        match event {
            WatchEvent::Started => {
                self.watch.succeed();
                // The watch has not reported changes between the last walk and now.
                self.due.request_full_scan(Reason::Watch, now);
            }
            WatchEvent::Failed(error) => {
                self.due.run_now(now);
                self.watch.fail(&self.path, &error, self.may_scan(), actions);
            }
            WatchEvent::Changed(paths) => {
                if paths.contains(&self.path) {
                    // Another directory, which is not watched, may be in its place: a look finds out.
                    self.presence.look_soon();
                }
                self.due.request_partial_scan(paths, now + WATCH_DEBOUNCE);
            }
            WatchEvent::Overflow => self.due.request_after_overflow(now),
        }
    }

    /// The state to publish, with the running scan of it.
    pub(super) fn state(&self, running: Option<&Running>) -> RootState {
        let problem = match running {
            Some(running) if running.is_stuck() => Some(Problem {
                code: "stalled",
                detail: format!(
                    "the scan of {} makes no progress; check the network share or the disk",
                    self.path.display()
                ),
            }),
            _ if self.covered_by.is_some() => {
                self.overlap().map(|error| Problem { code: error.code(), detail: chain(&error) })
            }
            _ => self.issues.issue.as_ref().map(|issue| issue.problem(&self.path)),
        };
        RootState {
            path: self.path.clone(),
            problem,
            last_success: self.last_success,
            last_summary: self.last_summary.clone(),
            running: None,
            watch: self.watch.state(),
        }
    }
}
