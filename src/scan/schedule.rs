//! Decides when what is scanned: (state, event, now) → actions. Uses no library, no thread, no file system and no clock.
//! [`super::engine`] executes the actions, and returns their results as events.
//!
//! A root is scanned at the start, at every interval, when it is back or has changed, and when `vpo scan` requests it. A
//! part of it is scanned when the watch has reported a change there, or when a file was still being written.
//!
//! [`root`] is the state of one root: when it is [`due`], whether it is there ([`presence`]), its [`issue`] and its watch
//! ([`root_watch`]). [`running`] holds the scans that run, [`requests`] the queued jobs, [`upkeep`] what is counted,
//! deleted and hashed in the background. [`dispatch`] starts jobs, and [`completion`] handles their ends.
//!
//! Decisions are logged here. The writer of the log does not block.

mod completion;
mod dispatch;
mod due;
mod issue;
mod presence;
mod requests;
mod root;
mod root_watch;
mod running;
#[cfg(test)]
mod tests;
mod upkeep;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use tracing::info;

use super::facts_pass::FactsWork;
use super::hash_pass::Hashed;
use super::job::{Report, Task};
use super::overlap::{self, ResolvedRoot};
use super::root::{Look, Offline, RecoverySignal};
use super::state::{Counted, Counts, Problem, ScanState};
use super::watch::WatchEvent;
use super::{Error, Retention, Settings, chain};
use crate::base::times::{SCAN_ENGINE_MIN_INTERVAL, SCAN_ENGINE_POLL_INTERVAL};
use crate::base::timestamp::Timestamp;
use crate::library;
use crate::library::jobs::{End, Reason, Request};
use requests::Requests;
use root::Root;
use running::RunningJobs;
use upkeep::Upkeep;

/// Maximum number of changed paths; with more, the whole root is scanned.
const PATHS_LIMIT: usize = 1000;

/// Pause after a count, in multiples of its duration: if a file arrives every few seconds, counting takes at most a tenth of
/// a core.
const COUNT_PAUSES: u32 = 10;

/// An event.
#[derive(Debug)]
pub(super) enum Event {
    /// New settings.
    Settings(Settings),
    /// Sent every [`SCAN_ENGINE_POLL_INTERVAL`].
    Tick {
        /// [`library::Library::generation`]
        generation: u64,
        /// The heartbeats of the running jobs, by id.
        beats: Vec<(u64, u64)>,
    },
    /// Wakes the engine, because something outside has changed.
    Wake,
    /// When a root was last scanned by an earlier daemon.
    LastSuccess { root: PathBuf, at: Option<Timestamp> },
    /// Scans that an earlier daemon left running were closed as failed.
    AbandonedClosed(Result<usize, library::Error>),
    /// The queued jobs.
    Requests(Vec<Request>),
    /// The end of a job was recorded.
    EndRecorded { id: String },
    /// A scan ended.
    Scanned { root: PathBuf, id: u64, at: Timestamp, report: Box<Report> },
    /// A hashing pass ended.
    Hashed { id: u64, outcome: Result<Hashed, Error> },
    /// Files were counted, and rows of old scans were deleted if requested.
    Counted {
        counted: Result<Arc<Counted>, Error>,
        took: Duration,
        expired: Option<Result<usize, library::Error>>,
    },
    /// The result of a look at a root, its real path, and whether a recovery signal was found.
    Looked { root: PathBuf, look: Result<Look, Offline>, resolved: Option<ResolvedRoot>, recovered: bool },
    /// A look at a root failed.
    LookFailed { root: PathBuf },
    /// What the watch of a root reports.
    Watch { root: PathBuf, attempt: u64, event: WatchEvent },
}

/// An action for the engine.
#[derive(Debug)]
pub(super) enum Action {
    /// Ends with [`Event::LastSuccess`].
    ReadLastSuccess(PathBuf),
    /// Ends with [`Event::AbandonedClosed`].
    CloseAbandoned,
    /// Saves what other programs left in the database's log.
    Tidy,
    /// Ends with [`Event::Requests`].
    ReadRequests,
    /// Ends with [`Event::EndRecorded`], or without an event.
    RecordEnd { id: String, end: End },
    /// Ends with [`Event::Scanned`].
    Scan { id: u64, task: Box<Task>, scope: Scope },
    /// Ends with [`Event::Hashed`].
    Hash { id: u64, scope: Scope, facts: FactsWork },
    /// Cancels a scan or a hashing pass.
    Cancel(u64),
    /// Counts the files of each of `roots`, as stored, and deletes rows that are older than `expire`. Ends with
    /// [`Event::Counted`].
    Count { roots: Vec<String>, expire: Option<Retention> },
    /// Ends with [`Event::Looked`] or [`Event::LookFailed`].
    Look { root: PathBuf, signals: Arc<[RecoverySignal]> },
    /// Starts a watch in place of an earlier one of the root. Its reports carry the number of the `attempt`.
    StartWatch { root: PathBuf, attempt: u64, extensions: Arc<[String]> },
    /// Sets all watches of a root again.
    RenewWatch { root: PathBuf },
    /// Ends the watch of a root.
    EndWatch { root: PathBuf },
}

/// The roots that a job may access.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Scope {
    pub(super) roots: Arc<[PathBuf]>,
    /// Roots that it must not access.
    pub(super) unreachable: Arc<[PathBuf]>,
    pub(super) extensions: Arc<[String]>,
}

/// Makes the id of a new job. It is random, so it comes from outside.
pub(super) type NewJobId<'a> = &'a dyn Fn() -> Result<String, Error>;

/// The state of the daemon's scans.
pub(super) struct Schedule {
    settings: Settings,
    roots: Vec<Root>,
    running: RunningJobs,
    requests: Requests,
    upkeep: Upkeep,
    generation: u64,
    problem: Option<Problem>,
    counts: Counts,
}

impl Schedule {
    pub(super) fn new(generation: u64, now: Instant) -> Self {
        Self {
            settings: Settings::default(),
            roots: Vec::new(),
            running: RunningJobs::default(),
            requests: Requests::new(now),
            upkeep: Upkeep::new(now),
            generation,
            problem: None,
            counts: Counts::default(),
        }
    }

    /// Handles an event. [`Schedule::dispatch`] starts jobs, once all pending events are handled.
    pub(super) fn take(&mut self, event: Event, now: Instant) -> Vec<Action> {
        let mut actions = Vec::new();
        match event {
            Event::Settings(settings) => self.apply(settings, now, &mut actions),
            Event::Tick { generation, beats } => self.tick(generation, &beats, now, &mut actions),
            Event::Wake => {}
            Event::LastSuccess { root, at } => {
                if let Some(root) = self.root_mut(&root) {
                    root.last_success = at;
                }
            }
            Event::AbandonedClosed(outcome) => match self.requests.abandoned_closed(outcome, now) {
                Ok(true) => self.problem = None,
                Ok(false) => {}
                Err(failure) => self.record_problem(&failure),
            },
            Event::Requests(requests) => {
                self.requests.add(requests, &self.roots, &self.running, &mut actions);
            }
            Event::EndRecorded { id } => self.requests.end_recorded(&id),
            Event::Scanned { root, id, at, report } => {
                self.scanned(&root, id, at, *report, now, &mut actions);
            }
            Event::Hashed { id, outcome } => self.hashed(id, outcome, now),
            Event::Counted { counted, took, expired } => {
                if let Err(failure) = self.upkeep.counted(counted, took, expired, now) {
                    self.record_problem(&failure);
                }
            }
            Event::Looked { root, look, resolved, recovered } => {
                if let Some(root) = self.root_mut(&root) {
                    root.look_ended(look, resolved, recovered, now, &mut actions);
                }
                self.find_overlaps();
            }
            Event::LookFailed { root } => {
                if let Some(root) = self.root_mut(&root) {
                    root.presence.look_failed();
                }
            }
            Event::Watch { root, attempt, event } => {
                if let Some(root) = self.root_mut(&root) {
                    root.take_watch_event(attempt, event, now, &mut actions);
                }
            }
        }
        actions
    }

    /// How long to wait for an event before the next [`Schedule::dispatch`].
    pub(super) fn next_wakeup(&self, now: Instant) -> Duration {
        // What is due waits for a running job or a look, whose end is an event.
        let is_free = self.requests.may_start() && self.running.is_empty() && self.are_all_looked_at();
        let may_begin = |due: &Instant| *due > now || is_free;
        let due = self.roots.iter().filter_map(Root::next_due).filter(may_begin).min();
        due.map_or(SCAN_ENGINE_POLL_INTERVAL, |due| due.saturating_duration_since(now))
            .clamp(SCAN_ENGINE_MIN_INTERVAL, SCAN_ENGINE_POLL_INTERVAL)
    }

    /// The state to publish, without the progress of running jobs.
    pub(super) fn state(&self) -> ScanState {
        ScanState {
            roots: self.roots.iter().map(|root| root.state(self.running.scan_of(&root.path))).collect(),
            problem: self.problem.clone(),
            counted: self.upkeep.last_count(),
            counts: self.counts,
        }
    }

    fn root_mut(&mut self, path: &Path) -> Option<&mut Root> {
        self.roots.iter_mut().find(|root| root.path == path)
    }

    /// Records a problem that is not an issue of one root.
    fn record_problem(&mut self, failure: &Error) {
        self.problem = Some(Problem { code: failure.code(), detail: chain(failure) });
    }

    /// Adds and removes roots. The others keep their state.
    fn apply(&mut self, settings: Settings, now: Instant, actions: &mut Vec<Action>) {
        if settings == self.settings && !self.roots.is_empty() {
            return;
        }
        let have_extensions_changed = settings.extensions != self.settings.extensions;
        let has_watch_changed = settings.watch != self.settings.watch;
        let mut before = std::mem::take(&mut self.roots);
        for path in &settings.roots {
            let kept = before.iter().position(|root| root.path == *path).map(|at| before.swap_remove(at));
            let is_new = kept.is_none();
            let mut root = kept.unwrap_or_else(|| {
                actions.push(Action::ReadLastSuccess(path.clone()));
                Root::new(path.clone(), settings.watch, now)
            });
            if is_new || have_extensions_changed || has_watch_changed {
                let extensions = settings.watch.then(|| settings.extensions.as_slice().into());
                root.watch.set(path, extensions, actions);
            }
            if have_extensions_changed && !is_new {
                root.due.request_full_scan(Reason::Settings, now);
            }
            // The interval of a new root begins with the end of its first scan.
            root.due.change_interval(settings.rescan_interval.filter(|_| !is_new), now);
            // The first scan waits for the first look at every root.
            root.look_if_due(now, actions);
            self.roots.push(root);
        }
        for gone in before {
            info!(root = %gone.path.display(), "root removed; its rows stay");
            actions.extend(self.running.scan_of(&gone.path).map(|running| Action::Cancel(running.id)));
            actions.push(Action::EndWatch { root: gone.path });
        }
        if settings.roots != self.settings.roots {
            self.upkeep.roots_changed();
        }
        if settings.retention != self.settings.retention {
            self.upkeep.expire_soon(now);
        }
        self.settings = settings;
        self.find_overlaps();
    }

    /// Finds the roots that another root covers.
    fn find_overlaps(&mut self) {
        let resolved: Vec<_> = self.roots.iter().map(|root| root.presence.resolved()).collect();
        for (at, root) in self.roots.iter_mut().enumerate() {
            root.covered_by = overlap::covered_by(&resolved, at).map(Path::to_owned);
        }
    }

    fn tick(&mut self, generation: u64, beats: &[(u64, u64)], now: Instant, actions: &mut Vec<Action>) {
        if generation != self.generation {
            self.generation = generation;
            self.begin_anew(now, actions);
        }
        if !self.requests.may_start() {
            actions.push(Action::CloseAbandoned);
        }
        actions.extend([Action::Tidy, Action::ReadRequests]);
        actions.extend(self.requests.retry_end());
        self.running.take_beats(beats, now);
        for root in &mut self.roots {
            root.look_if_due(now, actions);
        }
    }

    /// The database was replaced (a restored backup) or was absent, so what is known of it is discarded.
    fn begin_anew(&mut self, now: Instant, actions: &mut Vec<Action>) {
        info!("the database was replaced or is back; running scans are cancelled and started again");
        actions.extend(self.running.ids().map(Action::Cancel));
        self.requests = Requests::new(now);
        self.problem = None;
        for root in &mut self.roots {
            root.due.request_full_scan(Reason::LibraryReplaced, now);
        }
    }
}
