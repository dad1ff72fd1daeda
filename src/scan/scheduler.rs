//! The daemon's side: when what is scanned.
//!
//! One thread decides and never touches a disk itself; scans, looks at roots and the setting up of watches
//! have threads of their own, so that a dead share holds up nothing but itself. A root is scanned at the start,
//! at every interval, when it comes back or looks different, and when `vpo scan` asks for it; a part of it
//! when the watch has seen something there, or a file was still being written.
//!
//! This file holds the thread's loop and its state. [`roots`] holds the state of each root, with its [`watching`] and its
//! [`issue`]. [`requests`] takes queued jobs, [`dispatch`] starts what is due, [`completion`] handles what has ended, and
//! [`upkeep`] counts files and deletes old rows.

mod completion;
mod dispatch;
mod issue;
mod requests;
mod roots;
mod running;
mod upkeep;
mod watching;

use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender};
use std::time::{Duration, Instant};

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tracing::{debug, info, warn};

use super::job::Report;
use super::overlap::ResolvedRoot;
use super::root::{Look, Offline};
use super::state::{Counts, Problem, ScanState};
use super::watch::WatchEvent;
use super::{Error, Settings, chain, discover, hashing, overlap};
use crate::base::times::{
    DATABASE_BUSY_TIMEOUT, SCHEDULER_BUSY_TIMEOUT, SCHEDULER_MIN_INTERVAL, SCHEDULER_POLL_INTERVAL,
    SCHEDULER_STOP_TIMEOUT, WATCH_START_TIMEOUT,
};
use crate::library::files::statistics::Totals;
use crate::library::jobs::{self, End, Queued, Reason, history};
use crate::library::{self, Library, Retry};
use roots::Root;
use running::{Running, Work};
use upkeep::Upkeep;

/// What the scheduler is told.
#[derive(Debug)]
pub(super) enum Event {
    /// A scan ended.
    Scanned { root: PathBuf, id: u64, report: Box<Report> },
    /// A pass of hashes ended.
    Hashed { id: u64, outcome: Result<hashing::Hashed, Error> },
    /// The library was counted, and old rows were deleted where it was time.
    KeptUp {
        totals: Result<Totals, library::Error>,
        took: Duration,
        expired: Option<Result<usize, library::Error>>,
    },
    /// A look at a root, where it really is, and whether its issue is over.
    Looked { root: PathBuf, look: Result<Look, Offline>, resolved: Option<ResolvedRoot>, healed: bool },
    /// What the watch of a root reports.
    Watch { root: PathBuf, attempt: u64, event: WatchEvent },
    /// The settings are others, or the daemon stops.
    Wake,
}

/// Everything that the deciding thread knows.
pub(super) struct Scheduler {
    library: Arc<Library>,
    /// As they are to be.
    wanted: watch::Receiver<Settings>,
    /// As they are in force.
    settings: Settings,
    stop: CancellationToken,
    events: SyncSender<Event>,
    inbox: Receiver<Event>,
    published: watch::Sender<ScanState>,
    roots: Vec<Root>,
    requests: VecDeque<Queued>,
    running: Vec<Running>,
    /// Rows may be without a hash.
    hash_due: Option<Instant>,
    /// No row of an earlier daemon is called running any more: only then may a scan of ours be.
    abandoned_closed: bool,
    /// Since when that has not been possible.
    abandoned_since: Instant,
    /// Ends that could not be recorded when they came.
    unrecorded: Vec<(String, End)>,
    generation: u64,
    problem: Option<Problem>,
    upkeep: Upkeep,
    counts: Counts,
    next_id: u64,
}

impl Scheduler {
    pub(super) fn new(
        library: Arc<Library>,
        wanted: watch::Receiver<Settings>,
        stop: CancellationToken,
        events: SyncSender<Event>,
        inbox: Receiver<Event>,
        published: watch::Sender<ScanState>,
    ) -> Self {
        Self {
            generation: library.generation(),
            library,
            wanted,
            settings: Settings::default(),
            stop,
            events,
            inbox,
            published,
            roots: Vec::new(),
            requests: VecDeque::new(),
            running: Vec::new(),
            hash_due: Some(Instant::now()),
            abandoned_closed: false,
            abandoned_since: Instant::now(),
            unrecorded: Vec::new(),
            problem: None,
            upkeep: Upkeep::new(),
            counts: Counts::default(),
            next_id: 0,
        }
    }

    /// Decides until told to stop.
    pub(super) fn run(mut self) {
        self.take_settings();
        let mut polled: Option<Instant> = None;
        while !self.stop.is_cancelled() {
            if self.wanted.has_changed().unwrap_or(false) {
                self.take_settings();
            }
            if polled.is_none_or(|at| at.elapsed() >= SCHEDULER_POLL_INTERVAL) {
                polled = Some(Instant::now());
                self.poll();
            }
            self.start_what_is_due();
            self.keep_up();
            self.publish();
            match self.inbox.recv_timeout(self.pause()) {
                Ok(event) => self.take(event),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => break,
            }
        }
        self.end();
    }

    /// Until the next thing is due; at most until the next poll.
    fn pause(&self) -> Duration {
        let now = Instant::now();
        // What is due and has not begun waits for what runs, or for a look, and an event tells of the end of either.
        let is_free = self.abandoned_closed && self.running.is_empty() && self.are_all_looked_at();
        let may_begin = |due: &Instant| *due > now || is_free;
        let due = self.roots.iter().filter_map(Root::next).filter(may_begin).min();
        due.map_or(SCHEDULER_POLL_INTERVAL, |due| due.saturating_duration_since(now))
            .clamp(SCHEDULER_MIN_INTERVAL, SCHEDULER_POLL_INTERVAL)
    }

    fn take(&mut self, event: Event) {
        match event {
            Event::Scanned { root, id, report } => self.scanned(&root, id, *report),
            Event::Hashed { id, outcome } => self.hashed(id, outcome),
            Event::KeptUp { totals, took, expired } => self.kept_up(totals, took, expired),
            Event::Looked { root, look, resolved, healed } => {
                if let Some(root) = self.root_mut(&root) {
                    root.looked(look, resolved, healed);
                }
                self.find_overlaps();
            }
            Event::Watch { root, attempt, event } => {
                if let Some(root) = self.root_mut(&root) {
                    root.take_watch_event(attempt, event);
                }
            }
            Event::Wake => {}
        }
    }

    fn root_mut(&mut self, path: &Path) -> Option<&mut Root> {
        self.roots.iter_mut().find(|root| root.path == path)
    }

    fn take_settings(&mut self) {
        let settings = self.wanted.borrow_and_update().clone();
        self.apply(settings);
    }

    /// Roots come and go; those that stay keep what is known of them.
    fn apply(&mut self, settings: Settings) {
        if settings == self.settings && !self.roots.is_empty() {
            return;
        }
        let mut before = std::mem::take(&mut self.roots);
        for path in &settings.roots {
            let kept = before.iter().position(|root| root.path == *path).map(|at| before.swap_remove(at));
            let is_new = kept.is_none();
            let mut root = kept.unwrap_or_else(|| self.new_root(path, settings.watch));
            let others = settings.extensions != self.settings.extensions;
            if is_new || others || settings.watch != self.settings.watch {
                root.watch.begin(path, settings.watch, &settings.extensions, &self.events);
            }
            if others && !is_new {
                root.request_full_scan(Reason::Settings, Instant::now());
            }
            root.interval_due = match settings.rescan_interval {
                // The interval begins with the end of its first scan.
                Some(_) if is_new => None,
                Some(interval) => {
                    let latest = Instant::now() + interval;
                    Some(root.interval_due.map_or(latest, |due| due.min(latest)))
                }
                None => None,
            };
            // A scan of any root waits for the first look at each.
            root.look_if_due(&self.events);
            self.roots.push(root);
        }
        for gone in before {
            info!(root = %gone.path.display(), "no longer a root; its files keep their rows");
            for running in self.running.iter().filter(|running| running.root() == Some(&gone.path)) {
                running.stop.cancel();
            }
        }
        if settings.job_retention != self.settings.job_retention {
            self.upkeep.expire_soon();
        }
        self.settings = settings;
        self.find_overlaps();
    }

    /// Which roots lead to where another one has all of it already.
    fn find_overlaps(&mut self) {
        let resolved: Vec<_> = self.roots.iter().map(Root::resolved).collect();
        for (at, root) in self.roots.iter_mut().enumerate() {
            root.set_covered_by(overlap::covered_by(&resolved, at).map(Path::to_owned));
        }
    }

    fn new_root(&self, path: &Path, watch: bool) -> Root {
        let stored = discover::stored(path);
        let retry = Retry::within(SCHEDULER_BUSY_TIMEOUT);
        let walk = self.library.read(retry, |tx| history::last_walk(tx, &stored)).ok().flatten();
        let mut root = Root::new(path.to_owned(), walk.and_then(|walk| walk.completed));
        // The watch first: what changes during the walk must be seen by one of the two.
        let wait = if watch { WATCH_START_TIMEOUT } else { Duration::ZERO };
        root.request_full_scan(Reason::Start, Instant::now() + wait);
        root
    }

    /// The lock is ours: whatever is still called running is dead.
    fn close_abandoned(&mut self) {
        match self.library.write(Retry::within(SCHEDULER_BUSY_TIMEOUT), |tx| jobs::fail_abandoned(tx)) {
            Ok(count) => {
                self.abandoned_closed = true;
                self.problem = None;
                if count > 0 {
                    info!(count, "scans that an earlier daemon left running are closed as failed");
                }
            }
            Err(failure) => {
                debug!(
                    error = chain(&failure),
                    "scans that an earlier daemon left running could not be closed yet; no other begins before"
                );
                // A neighbour's transaction ends by itself, and what it leaves is looked at with the next checks.
                let is_brief = matches!(failure, library::Error::Busy { .. } | library::Error::Unsettled(_))
                    && self.abandoned_since.elapsed() < DATABASE_BUSY_TIMEOUT;
                if !is_brief {
                    self.record_problem(&failure.into());
                }
            }
        }
    }

    /// Once a second: requests, another library, stuck scans, ends that are still to be recorded.
    fn poll(&mut self) {
        let generation = self.library.generation();
        if generation != self.generation {
            self.generation = generation;
            self.begin_anew();
        }
        if !self.abandoned_closed {
            self.close_abandoned();
        }
        if let Err(failure) = self.library.tidy(false) {
            debug!(error = chain(&failure), "the database's -wal cannot be brought in yet");
        }
        let retry = Retry::within(SCHEDULER_BUSY_TIMEOUT);
        match self.library.read(retry, |tx| jobs::queued(tx)) {
            Ok(requests) => self.take_requests(requests),
            Err(failure) => debug!(error = chain(&failure), "cannot look for queued scans"),
        }
        if let Some((id, end)) = self.unrecorded.first()
            && self.library.write(retry, |tx| jobs::end(tx, id, end, None)).is_ok()
        {
            self.unrecorded.remove(0);
        }
        for running in &mut self.running {
            let was_stuck = running.is_stuck();
            running.check_heartbeat();
            if was_stuck || !running.is_stuck() {
                continue;
            }
            match &running.work {
                Work::Scan { root, .. } => warn!(
                    root = %root.display(),
                    "a scan gives no sign of life (a dead network share?); other roots are not held up by it"
                ),
                Work::Hashing => warn!(
                    "hashing in the background gives no sign of life (a dead network share?); scans are not held up by it"
                ),
            }
        }
        let events = &self.events;
        for root in &mut self.roots {
            root.look_if_due(events);
        }
    }

    /// Another library has taken the place of ours (a restored backup): what we know of it is nothing.
    fn begin_anew(&mut self) {
        info!("another library is in place: running scans are cancelled and begun anew");
        for running in &self.running {
            running.stop.cancel();
        }
        self.unrecorded.clear();
        self.requests.clear();
        self.problem = None;
        (self.abandoned_closed, self.abandoned_since) = (false, Instant::now());
        for root in &mut self.roots {
            root.request_full_scan(Reason::LibraryReplaced, Instant::now());
        }
    }

    fn publish(&self) {
        let state = ScanState {
            roots: self
                .roots
                .iter()
                .map(|root| root.state(self.running.iter().find(|one| one.root() == Some(&root.path))))
                .collect(),
            problem: self.problem.clone(),
            totals: self.upkeep.totals.clone(),
            counts: self.counts,
        };
        self.published.send_if_modified(|before| {
            let differs = *before != state;
            *before = state;
            differs
        });
    }

    /// Waits a moment for scans to record how far they came.
    fn end(&mut self) {
        let deadline = Instant::now() + SCHEDULER_STOP_TIMEOUT;
        while !self.running.is_empty() {
            let left = deadline.saturating_duration_since(Instant::now());
            let Ok(event) = self.inbox.recv_timeout(left) else {
                for running in &self.running {
                    match &running.work {
                        Work::Scan { root, .. } => {
                            warn!(root = %root.display(), "a scan is stuck and is left behind");
                        }
                        Work::Hashing => warn!("hashing in the background is stuck and is left behind"),
                    }
                }
                return;
            };
            self.take(event);
        }
    }
}
