//! What the scheduler knows of one root: what is due, what is wrong, what was seen.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::SyncSender;
use std::time::{Duration, Instant};

use tracing::{info, warn};

use super::Event;
use super::running::Running;
use crate::library::jobs::{Options, Queued, Reason};
use crate::library::timestamp::Timestamp;
use crate::library::{self};
use crate::scan::job::{Report, Summary, Task};
use crate::scan::root::{self, Look, Offline, Witness};
use crate::scan::state::{Problem, RootState, WatchState};
use crate::scan::watch::{self, Seen, WatchError, Watching};
use crate::scan::{Error, chain, discover, new_job_id, settle};

/// Time between two looks at a root, and how long one may take before the root is called silent.
const LOOK: Duration = Duration::from_secs(10);

/// A root that takes longer than this for a look is not asked for files that may have moved elsewhere.
const LATE: Duration = Duration::from_secs(1);

/// Changes are gathered for this long before a look at them.
const GATHER: Duration = Duration::from_secs(2);

/// Of more paths than this, the whole root is looked at.
const PATHS: usize = 1000;

/// After an overflow of the watch, the next whole scan on its behalf comes no sooner than this.
const OVERFLOW_PAUSE: Duration = Duration::from_secs(60);

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
    looked: Instant,
    looking: bool,
    look_soon: bool,
    problem: Option<Problem>,
    /// What would show that it is over.
    witnesses: Arc<[Witness]>,
    /// Those that led to the last scan on their behalf.
    believed: Vec<Witness>,
    last_success: Option<Timestamp>,
    last_summary: Option<Summary>,
    watching: Option<Watching>,
    pub(super) watch_state: WatchState,
    attempt: u64,
    /// How to begin watching again.
    watch_again: Option<(Arc<[String]>, SyncSender<Event>)>,
    told: Option<String>,
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
            looked: Instant::now(),
            looking: false,
            look_soon: false,
            problem: None,
            witnesses: [].into(),
            believed: Vec::new(),
            last_success,
            last_summary: None,
            watching: None,
            watch_state: WatchState::Off,
            attempt: 0,
            watch_again: None,
            told: None,
        }
    }

    /// Asks for a scan of all of it.
    pub(super) fn ask_whole(&mut self, reason: Reason, when: Instant) {
        self.whole = match self.whole {
            Some((due, earlier)) => Some((due.min(when), earlier)),
            None => Some((when, reason)),
        };
    }

    /// Nothing is to be waited for any more before a scan that is already asked for.
    fn hasten(&mut self) {
        if let Some((due, _)) = &mut self.whole {
            *due = Instant::now();
        }
    }

    fn ask_paths(&mut self, paths: impl IntoIterator<Item = PathBuf>, when: Instant) {
        let (due, changed) = self.changed.get_or_insert_with(|| (when, BTreeSet::new()));
        *due = (*due).min(when);
        changed.extend(paths);
        if changed.len() > PATHS {
            self.changed = None;
            self.ask_whole(Reason::Watch, when);
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

    /// While the root is plainly not there nothing of it is scanned; at the start nobody knows yet.
    fn may_scan(&self) -> bool {
        !matches!(self.look, Some(Err(_)))
    }

    /// Whether it is known not to be a share that hangs, or is not there.
    pub(super) fn answers(&self) -> bool {
        self.may_scan() && !(self.looking && self.looked.elapsed() > LATE)
    }

    pub(super) fn is_online(&self) -> bool {
        self.may_scan() && self.problem.is_none()
    }

    /// What is due first, as a task.
    pub(super) fn next_task(&mut self, now: Instant) -> Option<Task> {
        let id = match new_job_id() {
            Ok(id) => id,
            Err(error) => {
                warn!(root = %self.path.display(), "no scan can begin: {}", chain(&error));
                self.ask_whole(Reason::Again, now + LOOK);
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
            self.ask_paths(report.unsettled, now + settle::QUIET);
        }
        // A look at a part, or one that did not come to an end, says nothing of what troubled the whole.
        if whole || matches!(report.error, Some(Error::Offline { .. } | Error::Mass { .. })) {
            // Those that were well and changed nothing say nothing, until the scan that they led to is over.
            let is_news = report.witnesses != std::mem::take(&mut self.believed);
            self.witnesses = if is_news { report.witnesses.into() } else { [].into() };
        }
        match report.error {
            None if whole => {
                self.last_success = Some(Timestamp::now());
                self.problem = trouble_of(&report.summary);
                self.last_summary = Some(report.summary);
            }
            None | Some(Error::Taken(_) | Error::Unknown(_)) => {}
            Some(Error::Cancelled | Error::Library(library::Error::Replaced(_))) => {
                self.ask_whole(Reason::Again, now + Duration::from_secs(1));
            }
            Some(ref error @ (Error::Offline { .. } | Error::Mass { .. })) => {
                self.problem = Some(Problem { code: error.code(), detail: chain(error) });
            }
            Some(_) => self.ask_whole(Reason::Again, now + super::LIBRARY_PAUSE),
        }
        if self.interval_due.is_none_or(|due| due <= now) {
            self.interval_due = interval.map(|interval| now + interval);
        }
    }

    /// Looks at it on a thread of its own, so that a dead share holds nobody up.
    pub(super) fn look_if_due(&mut self, events: &SyncSender<Event>) {
        if self.looking {
            if self.looked.elapsed() > LOOK {
                self.take_look(Err(Offline::Silent));
            }
            return;
        }
        if self.look.is_some() && self.looked.elapsed() < LOOK && !self.look_soon {
            return;
        }
        self.look_soon = false;
        self.looked = Instant::now();
        let (path, events, witnesses) = (self.path.clone(), events.clone(), Arc::clone(&self.witnesses));
        let thread = std::thread::Builder::new().name("look".into()).spawn(move || {
            let look = root::look(&path);
            let healed = look.is_ok() && witnesses.iter().any(Witness::is_well);
            let _ = events.send(Event::Looked { root: path, look, healed });
        });
        self.looking = thread.is_ok();
    }

    pub(super) fn looked(&mut self, look: Result<Look, Offline>, healed: bool) {
        self.looking = false;
        self.looked = Instant::now();
        self.take_look(look);
        if healed && !self.witnesses.is_empty() {
            // Whether all is well again, only a scan can tell.
            self.believed = self.witnesses.to_vec();
            self.witnesses = [].into();
            self.ask_whole(Reason::RootChanged, Instant::now());
        }
    }

    /// A scan of another root found files that had been elsewhere: perhaps those that this one misses.
    pub(super) fn something_moved(&mut self) {
        if self.problem.as_ref().is_some_and(|problem| problem.code == "mass_missing") {
            self.ask_whole(Reason::RootChanged, Instant::now());
        }
    }

    fn take_look(&mut self, look: Result<Look, Offline>) {
        let differs = self.look.as_ref() != Some(&look);
        if let Ok(now) = &look
            && self.problem.as_ref().is_some_and(|problem| is_over(problem, now))
        {
            self.problem = None;
        } else if !differs {
            return;
        }
        let before = self.look.replace(look.clone());
        match look {
            Err(why) => {
                let detail = format!("the root {} {why}", self.path.display());
                self.problem = Some(Problem { code: why.code(), detail });
                // What was mounted here is gone, and its watches with it.
                self.watching = None;
            }
            Ok(_) => {
                if before.is_some() {
                    info!(root = %self.path.display(), "the root looks different: it is scanned");
                    self.ask_whole(Reason::RootChanged, Instant::now());
                    if let Some((extensions, events)) = self.watch_again.clone() {
                        self.watch(extensions, events);
                    }
                }
            }
        }
    }

    pub(super) fn begin_watching(&mut self, wanted: bool, extensions: &[String], events: &SyncSender<Event>) {
        self.attempt += 1;
        self.watching = None;
        if wanted {
            self.watch(extensions.into(), events.clone());
        } else {
            self.watch_again = None;
            self.watch_state = WatchState::Off;
        }
    }

    fn watch(&mut self, extensions: Arc<[String]>, events: SyncSender<Event>) {
        self.watch_again = Some((Arc::clone(&extensions), events.clone()));
        self.attempt += 1;
        self.watching = None;
        self.watch_state = WatchState::Starting;
        let (path, attempt) = (self.path.clone(), self.attempt);
        let thread = std::thread::Builder::new().name("watch".into()).spawn(move || {
            let (root, teller) = (path.clone(), events.clone());
            let outcome = watch::start(&path, extensions, move |seen| {
                let _ = teller.send(Event::Seen { root: root.clone(), attempt, seen });
            });
            let _ = events.send(Event::Watched { root: path, attempt, outcome });
        });
        if thread.is_err() {
            self.watch_state = WatchState::Unavailable;
        }
    }

    pub(super) fn watched(&mut self, attempt: u64, outcome: Result<Watching, WatchError>) {
        if attempt != self.attempt {
            return;
        }
        match outcome {
            Ok(watching) => {
                self.watching = Some(watching);
                self.watch_state = WatchState::Watching;
                self.told = None;
                // What changed between the last walk and now was seen by nobody.
                self.hasten();
                self.ask_whole(Reason::Watch, Instant::now());
            }
            Err(why) => {
                self.watch_state = WatchState::Unavailable;
                self.hasten();
                let text = why.to_string();
                if self.told.as_ref() != Some(&text) && self.may_scan() {
                    warn!(root = %self.path.display(), "changes are not seen as they happen: {text}");
                    self.told = Some(text);
                }
            }
        }
    }

    pub(super) fn seen(&mut self, attempt: u64, seen: Seen) {
        if attempt != self.attempt {
            return;
        }
        let now = Instant::now();
        match seen {
            Seen::Changed(paths) => {
                if paths.contains(&self.path) {
                    // It may be another directory by now, which nobody watches: a look tells.
                    self.look_soon = true;
                }
                self.ask_paths(paths, now + GATHER);
            }
            Seen::Overflow => {
                // A scan itself makes events: without a pause, each could lead to the next.
                let next = self.overflowed.map_or(now, |last| (last + OVERFLOW_PAUSE).max(now));
                self.overflowed = Some(next);
                self.ask_whole(Reason::Watch, next + GATHER);
            }
            Seen::Exhausted => {
                self.watching = None;
                self.watched(attempt, Err(WatchError::watches()));
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
                _ => self.problem.clone(),
            },
            last_success: self.last_success,
            last_summary: self.last_summary.clone(),
            running: running.map(|running| running.progress.snapshot()),
            watch: self.watch_state,
        }
    }
}

/// Whether a look shows that what kept a scan from its work is no more.
fn is_over(problem: &Problem, look: &Look) -> bool {
    match problem.code {
        "unreadable" | "silent" => true,
        "empty" => !look.empty,
        "unmounted" => look.identity.mount_point,
        _ => false,
    }
}

/// What a completed scan leaves to be told.
fn trouble_of(summary: &Summary) -> Option<Problem> {
    if summary.walk_errors > 0 {
        let first = summary.walk_error_examples.first().map_or("", String::as_str);
        let detail = format!(
            "{} places could not be read, so nothing is taken for missing; the first: {first}",
            summary.walk_errors
        );
        return Some(Problem { code: "walk_errors", detail });
    }
    if summary.unmounted > 0 {
        let detail = format!(
            "{} files are gone with a mount below the root, and keep their status: mount what belongs there, or \
             confirm with `vpo scan --accept-missing`",
            summary.unmounted
        );
        return Some(Problem { code: "mount_below_gone", detail });
    }
    None
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
