//! The schedule with an injected clock. No test waits, and none asks a disk for a root, except where two roots lead to one
//! place.

mod reasons;
mod requests;
mod roots;
mod running;
mod upkeep;

use std::cell::Cell;

use super::*;
use crate::base::times::WATCH_START_TIMEOUT;
use crate::library::jobs::{Options, Queued};
use crate::scan::job::Summary;
use crate::scan::root::Identity;
use crate::scan::state::RootState;

/// A schedule, and the time of its events.
struct World {
    schedule: Schedule,
    now: Instant,
    generation: u64,
    last_job: Cell<u32>,
    /// The heartbeats of jobs, by their ids.
    beats: Vec<(u64, u64)>,
}

impl World {
    /// Before the first event.
    fn new() -> Self {
        let now = Instant::now();
        let schedule = Schedule::new(1, now);
        Self { schedule, now, generation: 1, last_job: Cell::new(0), beats: Vec::new() }
    }

    /// With roots that are there, where scans may start.
    fn with(settings: Settings) -> Self {
        let mut world = Self::new();
        let roots = settings.roots.clone();
        world.take(Event::Settings(settings));
        world.tick();
        world.take(Event::AbandonedClosed(Ok(0)));
        for root in roots {
            world.look(&root, Ok(look()));
        }
        world
    }

    /// As [`World::with`], when the first scans of all roots and the first pass of hashes have ended.
    fn at_rest(settings: Settings) -> Self {
        let mut world = Self::with(settings);
        world.wait(WATCH_START_TIMEOUT.as_secs());
        while let Some(scan) = world.scan() {
            world.end(&scan, completed());
        }
        // The count of the start ends, and that after the scans begins.
        world.take(Event::Counted { counted: Ok(Arc::default()), took: Duration::ZERO, expired: None });
        world.dispatch_and_hash();
        world
    }

    fn wait(&mut self, seconds: u64) {
        self.now += Duration::from_secs(seconds);
    }

    fn take(&mut self, event: Event) -> Vec<Action> {
        self.schedule.take(event, self.now)
    }

    fn tick(&mut self) -> Vec<Action> {
        let (generation, beats) = (self.generation, self.beats.clone());
        self.take(Event::Tick { generation, beats })
    }

    fn dispatch(&mut self) -> Vec<Action> {
        let new_job_id = || {
            self.last_job.set(self.last_job.get() + 1);
            Ok(format!("job {}", self.last_job.get()))
        };
        self.schedule.dispatch(self.now, &new_job_id)
    }

    /// As [`World::dispatch`]; a pass of hashes that starts ends at once.
    fn dispatch_and_hash(&mut self) -> Vec<Action> {
        let actions = self.dispatch();
        if let Some(id) = hash_pass(&actions) {
            self.take(Event::Hashed { id, outcome: Ok(Hashed::default()) });
        }
        actions
    }

    /// The scan that starts now.
    fn scan(&mut self) -> Option<Started> {
        scans(self.dispatch_and_hash()).pop()
    }

    /// The reason of the scan that starts now; it then completes.
    fn reason(&mut self) -> Option<String> {
        let scan = self.scan()?;
        self.end(&scan, completed());
        Some(scan.reason)
    }

    #[track_caller]
    fn assert_scanned_again_after_15_seconds(&mut self) {
        self.wait(14);
        assert_eq!(self.scan(), None);
        self.wait(1);
        assert_eq!(self.reason().as_deref(), Some("again"));
        assert_eq!(self.problem(), None);
    }

    fn end(&mut self, scan: &Started, report: Report) -> Vec<Action> {
        let (root, at) = (scan.root.clone(), Timestamp::from_unix(1_000_000_000, 0));
        self.take(Event::Scanned { root, id: scan.id, at, report: Box::new(report) })
    }

    fn look(&mut self, root: impl AsRef<Path>, look: Result<Look, Offline>) -> Vec<Action> {
        let root = root.as_ref().to_owned();
        self.take(Event::Looked { root, look, resolved: None, recovered: false })
    }

    /// What the watch of `/a` reports, as the `attempt`th one.
    fn watch(&mut self, attempt: u64, event: WatchEvent) -> Vec<Action> {
        self.take(Event::Watch { root: "/a".into(), attempt, event })
    }

    fn root(&self, path: &str) -> RootState {
        let state = self.schedule.state();
        state.roots.into_iter().find(|root| root.path == Path::new(path)).expect("a root")
    }

    fn root_problem(&self, path: &str) -> Option<&'static str> {
        self.root(path).problem.map(|problem| problem.code)
    }

    fn problem(&self) -> Option<&'static str> {
        self.schedule.state().problem.map(|problem| problem.code)
    }
}

/// A scan that was started.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Started {
    id: u64,
    root: PathBuf,
    reason: String,
    targets: Vec<PathBuf>,
    scope: Scope,
}

fn scans(actions: Vec<Action>) -> Vec<Started> {
    let started = |action| match action {
        Action::Scan { id, task, scope } => {
            let Task { root, targets, job, .. } = *task;
            Some(Started { id, root, reason: job.options.reason, targets, scope })
        }
        _ => None,
    };
    actions.into_iter().filter_map(started).collect()
}

fn hash_pass(actions: &[Action]) -> Option<u64> {
    actions.iter().find_map(|action| match action {
        Action::Hash { id, .. } => Some(*id),
        _ => None,
    })
}

fn cancelled(actions: &[Action]) -> Vec<u64> {
    let id = |action: &Action| match action {
        Action::Cancel(id) => Some(*id),
        _ => None,
    };
    actions.iter().filter_map(id).collect()
}

fn settings(roots: &[&str]) -> Settings {
    let roots = roots.iter().map(PathBuf::from).collect();
    Settings { roots, extensions: vec!["mkv".to_owned()], ..Settings::default() }
}

fn watched(roots: &[&str]) -> Settings {
    Settings { watch: true, ..settings(roots) }
}

fn identity() -> Identity {
    Identity { filesystem: "ext4".to_owned(), mount_point: true }
}

/// A look at a root that is there.
fn look() -> Look {
    Look { identity: identity(), empty: false, directory: None }
}

/// A scan of a whole root that has read nothing.
fn completed() -> Report {
    Report {
        summary: Summary { root: Some(identity()), ..Summary::default() },
        unsettled: Vec::new(),
        signals: Vec::new(),
        error: None,
        idle: false,
        unrecorded: None,
    }
}

fn failed(error: Error) -> Report {
    Report { summary: Summary::default(), error: Some(error), ..completed() }
}

fn offline(why: Offline) -> Report {
    failed(Error::Offline { root: "/a".into(), why })
}

/// A job that `vpo scan` has queued.
fn queued(id: &str, path: &str) -> Request {
    Request::Scan(Queued { id: id.to_owned(), path: path.to_owned(), options: Options::new(Reason::Request) })
}

fn busy() -> library::Error {
    library::Error::Busy { path: "library.db".into(), limit: Duration::from_millis(200) }
}
