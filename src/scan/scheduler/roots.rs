//! What the scheduler knows of one root: what is due, what is wrong, what was seen.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::SyncSender;
use std::time::{Duration, Instant};

use tracing::{info, warn};

use super::Event;
use super::issue::RootIssue;
use super::running::Running;
use super::watching::Watch;
use crate::base::times::{
    ROOT_CHECK_INTERVAL, ROOT_UNREACHABLE_AFTER, SCAN_DATABASE_RETRY_INTERVAL, SCAN_DEBOUNCE,
    SCAN_RESTART_INTERVAL, WATCH_DEBOUNCE, WATCH_OVERFLOW_INTERVAL,
};
use crate::base::timestamp::Timestamp;
use crate::library::jobs::{Options, Queued, Reason};
use crate::library::{self};
use crate::scan::job::{Report, Summary, Task};
use crate::scan::overlap::ResolvedRoot;
use crate::scan::root::{self, Look, Offline, RecoverySignal};
use crate::scan::state::{Problem, RootState};
use crate::scan::watch::WatchEvent;
use crate::scan::{Error, chain, discover, new_job_id};

/// Of more paths than this, the whole root is looked at.
const PATHS: usize = 1000;

/// One root.
#[derive(Debug)]
pub(super) struct Root {
    pub(super) path: PathBuf,
    /// A scan of all of it, and why.
    whole: Option<(Instant, Reason)>,
    pub(super) interval_due: Option<Instant>,
    /// Paths where something changed, to be looked at from then on.
    changed: Option<(Instant, BTreeSet<PathBuf>)>,
    overflowed: Option<Instant>,
    look: Option<Result<Look, Offline>>,
    /// Where it really was when it was last there.
    resolved: Option<ResolvedRoot>,
    /// Another root that covers it.
    covered_by: Option<PathBuf>,
    looked: Instant,
    looking: bool,
    look_soon: bool,
    issue: Option<RootIssue>,
    /// Places or mounts whose return suggests that `issue` is over.
    signals: Arc<[RecoverySignal]>,
    /// The signals that prompted the scan now due or running.
    pending_signals: Vec<RecoverySignal>,
    last_success: Option<Timestamp>,
    last_summary: Option<Summary>,
    pub(super) watch: Watch,
}

impl Root {
    pub(super) fn new(path: PathBuf, last_success: Option<Timestamp>) -> Self {
        Self {
            path,
            whole: None,
            interval_due: None,
            changed: None,
            overflowed: None,
            look: None,
            resolved: None,
            covered_by: None,
            looked: Instant::now(),
            looking: false,
            look_soon: false,
            issue: None,
            signals: [].into(),
            pending_signals: Vec::new(),
            last_success,
            last_summary: None,
            watch: Watch::new(),
        }
    }

    /// Requests a scan of the whole root at `when`; an earlier request keeps its reason.
    pub(super) fn request_full_scan(&mut self, reason: Reason, when: Instant) {
        self.whole = match self.whole {
            Some((due, earlier)) => Some((due.min(when), earlier)),
            None => Some((when, reason)),
        };
    }

    /// Makes a requested scan of the whole root due now.
    fn run_now(&mut self) {
        if let Some((due, _)) = &mut self.whole {
            *due = Instant::now();
        }
    }

    /// Requests a scan of `paths` at `when`, or of the whole root where they are too many.
    fn request_partial_scan(&mut self, paths: impl IntoIterator<Item = PathBuf>, when: Instant) {
        let (due, changed) = self.changed.get_or_insert_with(|| (when, BTreeSet::new()));
        *due = (*due).min(when);
        changed.extend(paths);
        if changed.len() > PATHS {
            self.changed = None;
            self.request_full_scan(Reason::Watch, when);
        }
    }

    /// When something is due next.
    pub(super) fn next(&self) -> Option<Instant> {
        let whole = self.whole.map(|(due, _)| due);
        let changed = self.changed.as_ref().map(|(due, _)| *due);
        [whole, self.interval_due, changed].into_iter().flatten().min().filter(|_| self.may_scan())
    }

    pub(super) fn is_due(&self, now: Instant) -> bool {
        self.next().is_some_and(|due| due <= now)
    }

    /// While the root is plainly not there, or another one covers it, nothing of it is scanned.
    fn may_scan(&self) -> bool {
        !matches!(self.look, Some(Err(_))) && self.covered_by.is_none()
    }

    /// Whether a first look at it is over, or it has been silent for so long that nobody waits for one any more.
    pub(super) fn is_looked_at(&self) -> bool {
        self.look.is_some()
    }

    pub(super) fn resolved(&self) -> Option<ResolvedRoot> {
        self.resolved.clone()
    }

    pub(super) fn set_covered_by(&mut self, other: Option<PathBuf>) {
        self.covered_by = other;
    }

    /// Why it is not to be scanned although it is there.
    pub(super) fn overlap(&self) -> Option<Error> {
        let other = self.covered_by.clone()?;
        Some(Error::Overlaps { root: self.path.clone(), other })
    }

    /// Whether it is known not to be a share that hangs, or is not there.
    pub(super) fn answers(&self) -> bool {
        self.may_scan() && !(self.looking && self.looked.elapsed() > ROOT_UNREACHABLE_AFTER)
    }

    /// What is due first, as a task.
    pub(super) fn next_task(&mut self, now: Instant) -> Option<Task> {
        let id = match new_job_id() {
            Ok(id) => id,
            Err(error) => {
                warn!(root = %self.path.display(), "no scan can begin: {}", chain(&error));
                let reason = self.whole.map_or(Reason::Again, |(_, reason)| reason);
                (self.whole, self.interval_due, self.changed) =
                    (Some((now + ROOT_CHECK_INTERVAL, reason)), None, None);
                return None;
            }
        };
        let whole = self
            .whole
            .filter(|(due, _)| *due <= now)
            .map(|(_, reason)| reason)
            .or_else(|| self.interval_due.filter(|due| *due <= now).map(|_| Reason::Interval));
        let (targets, reason) = if let Some(reason) = whole {
            (self.whole, self.interval_due, self.changed) = (None, None, None);
            (vec![self.path.clone()], reason)
        } else {
            let (_, paths) = self.changed.take()?;
            (outermost(paths), Reason::Watch)
        };
        Some(Task {
            root: self.path.clone(),
            quiet: reason.is_quiet(),
            job: Queued { id, path: discover::stored(&self.path), options: Options::new(reason) },
            targets,
            queued: false,
        })
    }

    /// A scan of it ended; `whole` when it completed a walk of all of it.
    pub(super) fn scanned(&mut self, report: Report, whole: bool, interval: Option<Duration>) {
        let now = Instant::now();
        if !report.unsettled.is_empty() {
            self.request_partial_scan(report.unsettled, now + SCAN_DEBOUNCE);
        }
        // A scan of a part, or one that did not complete, does not show whether an issue of the whole root is over.
        if whole || matches!(report.error, Some(Error::Offline { .. } | Error::MassDeletion { .. })) {
            // If that scan ends with the same signals they prove nothing: without this they would start one scan after
            // another.
            let is_news = report.signals != std::mem::take(&mut self.pending_signals);
            self.signals = if is_news { report.signals.into() } else { [].into() };
        }
        match report.error {
            None if whole => {
                self.last_success = Some(Timestamp::now());
                self.issue = RootIssue::from_summary(&report.summary);
                let before = self.last_summary.replace(report.summary.clone());
                let has_other_mounts = before.is_some_and(|before| before.mounts != report.summary.mounts);
                self.watch.walked(&self.path, has_other_mounts);
            }
            None | Some(Error::JobClaimed(_) | Error::Unknown(_)) => {}
            Some(Error::Cancelled | Error::Library(library::Error::Replaced(_))) => {
                self.request_full_scan(Reason::Again, now + SCAN_RESTART_INTERVAL);
            }
            Some(Error::Offline { why, .. }) => self.issue = Some(RootIssue::Offline(why)),
            Some(ref error @ Error::MassDeletion { .. }) => {
                self.issue = Some(RootIssue::MassDeletion(chain(error)));
            }
            Some(_) => self.request_full_scan(Reason::Again, now + SCAN_DATABASE_RETRY_INTERVAL),
        }
        if self.interval_due.is_none_or(|due| due <= now) {
            self.interval_due = interval.map(|interval| now + interval);
        }
    }

    /// Looks at it on a thread of its own, so that a dead share holds nobody up.
    pub(super) fn look_if_due(&mut self, events: &SyncSender<Event>) {
        if self.looking {
            if self.looked.elapsed() > ROOT_CHECK_INTERVAL {
                self.take_look(Err(Offline::Unresponsive));
            }
            return;
        }
        if self.look.is_some() && self.looked.elapsed() < ROOT_CHECK_INTERVAL && !self.look_soon {
            return;
        }
        self.look_soon = false;
        self.looked = Instant::now();
        let (path, events, signals) = (self.path.clone(), events.clone(), Arc::clone(&self.signals));
        let thread = std::thread::Builder::new().name("look".into()).spawn(move || {
            let look = root::look(&path);
            let resolved = look.is_ok().then(|| ResolvedRoot::resolve(&path)).flatten();
            let healed = look.is_ok() && signals.iter().any(RecoverySignal::has_recovered);
            let _ = events.send(Event::Looked { root: path, look, resolved, healed });
        });
        self.looking = thread.is_ok();
    }

    pub(super) fn looked(
        &mut self,
        look: Result<Look, Offline>,
        resolved: Option<ResolvedRoot>,
        healed: bool,
    ) {
        self.looking = false;
        self.resolved = resolved.or(self.resolved.take());
        self.looked = Instant::now();
        self.take_look(look);
        if healed && !self.signals.is_empty() {
            // Whether all is well again, only a scan can tell.
            self.pending_signals = self.signals.to_vec();
            self.signals = [].into();
            self.request_full_scan(Reason::RootChanged, Instant::now());
        }
    }

    /// A scan of another root found files that had been elsewhere: perhaps those that this one misses.
    pub(super) fn something_moved(&mut self) {
        if matches!(self.issue, Some(RootIssue::MassDeletion(_))) {
            self.request_full_scan(Reason::RootChanged, Instant::now());
        }
    }

    fn take_look(&mut self, look: Result<Look, Offline>) {
        let differs = self.look.as_ref() != Some(&look);
        if let Ok(now) = &look
            && self.issue.as_ref().is_some_and(|issue| issue.is_over(now))
        {
            self.issue = None;
        } else if !differs {
            return;
        }
        let before = self.look.replace(look.clone());
        match look {
            Err(why) => {
                self.issue = Some(RootIssue::Offline(why));
                self.watch.lose();
            }
            Ok(_) => {
                if before.is_some() {
                    info!(root = %self.path.display(), "the root looks different: it is scanned");
                    self.request_full_scan(Reason::RootChanged, Instant::now());
                    self.watch.begin_again(&self.path);
                }
            }
        }
    }

    pub(super) fn take_watch_event(&mut self, attempt: u64, event: WatchEvent) {
        if !self.watch.is_current(attempt) {
            return;
        }
        let now = Instant::now();
        match event {
            WatchEvent::Started => {
                self.watch.succeed();
                // No watch has reported what changed between the last walk and now.
                self.request_full_scan(Reason::Watch, now);
            }
            WatchEvent::Failed(error) => {
                self.run_now();
                self.watch.fail(&self.path, &error, self.may_scan());
            }
            WatchEvent::Changed(paths) => {
                if paths.contains(&self.path) {
                    // It may be another directory by now, which nobody watches: a look tells.
                    self.look_soon = true;
                }
                self.request_partial_scan(paths, now + WATCH_DEBOUNCE);
            }
            WatchEvent::Overflow => {
                // A scan itself makes events: without a pause, each could lead to the next.
                let next = match self.overflowed {
                    // Many overflows before that scan are one.
                    Some(next) if next > now => next,
                    Some(last) => (last + WATCH_OVERFLOW_INTERVAL).max(now),
                    None => now,
                };
                self.overflowed = Some(next);
                self.request_full_scan(Reason::Watch, next + WATCH_DEBOUNCE);
            }
        }
    }

    pub(super) fn state(&self, running: Option<&Running>) -> RootState {
        RootState {
            path: self.path.clone(),
            problem: match running {
                Some(running) if running.is_stuck() => Some(Problem {
                    code: "stuck",
                    detail: format!(
                        "a scan of {} gives no sign of life (a dead network share?)",
                        self.path.display()
                    ),
                }),
                _ if self.covered_by.is_some() => {
                    self.overlap().map(|error| Problem { code: error.code(), detail: chain(&error) })
                }
                _ => self.issue.as_ref().map(|issue| issue.problem(&self.path)),
            },
            last_success: self.last_success,
            last_summary: self.last_summary.clone(),
            running: running.map(|running| running.progress.snapshot()),
            watch: self.watch.state(),
        }
    }
}

/// Those paths that are below none of the others.
fn outermost(paths: BTreeSet<PathBuf>) -> Vec<PathBuf> {
    let mut kept: Vec<PathBuf> = Vec::new();
    // In order a directory comes before what is below it.
    for path in paths {
        if kept.last().is_none_or(|last| !path.starts_with(last)) {
            kept.push(path);
        }
    }
    kept
}
