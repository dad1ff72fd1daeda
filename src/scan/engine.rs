//! Executes the actions of [`super::schedule`] in the daemon.
//!
//! The engine's thread accesses the database only briefly, and no other disk. Scans, hashing, counts, examinations of roots
//! and watches have their own threads, so that a hung share blocks only its own thread. They send their results to the
//! inbox.

mod expiry;

use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender};
use std::time::{Duration, Instant};

use tokio::sync::watch::{Receiver as Watched, Sender as Published};
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};

use super::facts_pass::FactsWork;
use super::job::{self, Report, Summary, Task};
use super::overlap::ResolvedRoot;
use super::progress::Progress;
use super::root::{self, RecoverySignal};
use super::schedule::{Action, Event, Schedule, Scope};
use super::state::{Counted, ScanState};
use super::watch::{self, WatchEvent, Watching};
use super::{
    Context, Error, Retention, Settings, chain, close_abandoned, coded, discover, hash_pass, new_job_id,
};
use crate::base::times::{SCAN_ENGINE_BUSY_TIMEOUT, SCAN_ENGINE_POLL_INTERVAL, SCAN_ENGINE_STOP_TIMEOUT};
use crate::base::timestamp::Timestamp;
use crate::library::jobs::{self, End, history};
use crate::library::{Library, Retry, changes, totals};

/// A scan or a hashing pass in progress.
struct Job {
    id: u64,
    /// Of a scan.
    root: Option<PathBuf>,
    stop: CancellationToken,
    progress: Arc<Progress>,
}

/// The engine's thread.
pub(super) struct Engine {
    library: Arc<Library>,
    schedule: Schedule,
    stop: CancellationToken,
    /// The sender for the threads that report results.
    events: SyncSender<Event>,
    jobs: Vec<Job>,
    watches: HashMap<PathBuf, Watching>,
    /// The last change that was recorded before the start, and in which generation of the database.
    last_change: Option<(u64, i64)>,
}

impl Engine {
    pub(super) fn new(library: Arc<Library>, stop: CancellationToken, events: SyncSender<Event>) -> Self {
        let schedule = Schedule::new(library.generation(), Instant::now());
        Self { library, schedule, stop, events, jobs: Vec::new(), watches: HashMap::new(), last_change: None }
    }

    /// Runs until it is stopped.
    pub(super) fn run(
        mut self,
        mut settings: Watched<Settings>,
        inbox: &Receiver<Event>,
        published: &Published<ScanState>,
    ) {
        settings.mark_changed();
        let mut last_tick: Option<Instant> = None;
        while !self.stop.is_cancelled() {
            if settings.has_changed().unwrap_or(last_tick.is_none()) {
                let settings = settings.borrow_and_update().clone();
                self.take(Event::Settings(settings));
            }
            if last_tick.is_none_or(|at| at.elapsed() >= SCAN_ENGINE_POLL_INTERVAL) {
                last_tick = Some(Instant::now());
                let beats = self.jobs.iter().map(|job| (job.id, job.progress.beat())).collect();
                self.take(Event::Tick { generation: self.library.generation(), beats });
            }
            let actions = self.schedule.dispatch(Instant::now(), &new_job_id);
            self.perform_all(actions);
            self.publish(published);
            match inbox.recv_timeout(self.schedule.next_wakeup(Instant::now())) {
                Ok(event) => self.take(event),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => break,
            }
        }
        self.end(inbox);
    }

    fn take(&mut self, event: Event) {
        if let Event::Scanned { id, .. } | Event::Hashed { id, .. } = &event {
            self.jobs.retain(|job| job.id != *id);
        }
        let actions = self.schedule.take(event, Instant::now());
        self.perform_all(actions);
    }

    fn perform_all(&mut self, actions: Vec<Action>) {
        for action in actions {
            if let Some(event) = self.perform(action) {
                self.take(event);
            }
        }
    }

    /// Executes an action. Returns its result, if it is available at once.
    fn perform(&mut self, action: Action) -> Option<Event> {
        match action {
            Action::ReadLastSuccess(root) => Some(self.read_last_success(root)),
            Action::CloseAbandoned => Some(Event::AbandonedClosed(close_abandoned(&self.library, retry()))),
            Action::Tidy => {
                if let Err(failure) = self.library.tidy(false) {
                    debug!(error = chain(&failure), "cannot checkpoint the -wal yet");
                }
                None
            }
            Action::ReadRequests => match self.library.read(retry(), |tx| jobs::queued(tx)) {
                Ok(requests) => Some(Event::Requests(requests)),
                Err(failure) => {
                    debug!(error = chain(&failure), "cannot look for queued scans");
                    None
                }
            },
            Action::RecordEnd { id, end } => self.record_end(id, &end),
            Action::Scan { id, task, scope } => self.scan(id, *task, scope),
            Action::Hash { id, scope, facts } => self.hash(id, scope, facts),
            Action::Cancel(id) => {
                self.jobs.iter().filter(|job| job.id == id).for_each(|job| job.stop.cancel());
                None
            }
            Action::Count { roots, expire } => self.count(roots, expire),
            Action::Look { root, signals } => self.look(root, signals),
            Action::StartWatch { root, attempt, extensions } => self.start_watch(root, attempt, extensions),
            Action::RenewWatch { root } => {
                self.watches.get(&root).inspect(|watching| watching.renew());
                None
            }
            Action::EndWatch { root } => {
                self.watches.remove(&root);
                None
            }
        }
    }

    fn read_last_success(&self, root: PathBuf) -> Event {
        let stored = discover::stored(&root);
        let walk = self.library.read(retry(), |tx| history::last_walk(tx, &stored)).ok().flatten();
        Event::LastSuccess { root, at: walk.and_then(|walk| walk.completed) }
    }

    fn record_end(&self, id: String, end: &End) -> Option<Event> {
        match self.library.write(retry(), |tx| jobs::end(tx, &id, end, None)) {
            Ok(()) => Some(Event::EndRecorded { id }),
            Err(failure) => {
                debug!(job_id = id, error = chain(&failure), "cannot record the end of a job yet");
                None
            }
        }
    }

    fn scan(&mut self, id: u64, task: Task, scope: Scope) -> Option<Event> {
        let root = task.root.clone();
        let context = self.add_job(id, Some(root.clone()), scope);
        let scanned = move |report| {
            let report = Box::new(report);
            Event::Scanned { root: root.clone(), id, at: Timestamp::now(), report }
        };
        let failed = {
            let scanned = scanned.clone();
            move |error| scanned(failed_report(error))
        };
        self.spawn("scan", move || scanned(job::run(&context, &task)), failed)
    }

    fn hash(&mut self, id: u64, scope: Scope, facts: FactsWork) -> Option<Event> {
        let context = self.add_job(id, None, scope);
        let work = move || {
            yield_to_others();
            Event::Hashed { id, outcome: hash_pass::run(&context, facts) }
        };
        self.spawn("hash", work, move |error| Event::Hashed { id, outcome: Err(error) })
    }

    fn add_job(&mut self, id: u64, root: Option<PathBuf>, scope: Scope) -> Context {
        let (stop, progress) = (self.stop.child_token(), Arc::<Progress>::default());
        self.jobs.push(Job { id, root, stop: stop.clone(), progress: Arc::clone(&progress) });
        let Scope { roots, unreachable, extensions } = scope;
        Context { library: Arc::clone(&self.library), roots, unreachable, extensions, stop, progress }
    }

    fn count(&mut self, roots: Vec<String>, expire: Option<Retention>) -> Option<Event> {
        let (library, stop) = (Arc::clone(&self.library), self.stop.clone());
        let last_change = self.last_change();
        let work = move || {
            yield_to_others();
            let start = Instant::now();
            let counted = totals::count(&library, &roots, &stop).and_then(|count| {
                let changes = library.read(retry(), |tx| changes::count_after(tx, last_change))?;
                Ok(Arc::new(Counted { totals: count.tally.totals(), changes }))
            });
            let counted = counted.map_err(Error::Library);
            let took = start.elapsed();
            let expired = expire.map(|retention| expiry::expire(&library, retention, &stop));
            Event::Counted { counted, took, expired }
        };
        let failed = |error| Event::Counted { counted: Err(error), took: Duration::ZERO, expired: None };
        self.spawn("upkeep", work, failed)
    }

    /// The id of the last change that was recorded before the start. The first count is made before a scan begins.
    fn last_change(&mut self) -> i64 {
        let generation = self.library.generation();
        if self.last_change.is_none_or(|(of, _)| of != generation) {
            let id = self.library.read(retry(), |tx| changes::last_id(tx));
            self.last_change = id.ok().map(|id| (generation, id));
        }
        self.last_change.map_or(i64::MAX, |(_, id)| id)
    }

    fn look(&self, root: PathBuf, signals: Arc<[RecoverySignal]>) -> Option<Event> {
        let path = root.clone();
        let work = move || {
            let look = root::look(&path);
            let resolved = look.is_ok().then(|| ResolvedRoot::resolve(&path)).flatten();
            let recovered = look.is_ok() && signals.iter().any(RecoverySignal::has_recovered);
            Event::Looked { root: path, look, resolved, recovered }
        };
        self.spawn("look", work, move |_| Event::LookFailed { root: root.clone() })
    }

    fn start_watch(&mut self, root: PathBuf, attempt: u64, extensions: Arc<[String]>) -> Option<Event> {
        self.watches.remove(&root);
        let (events, path) = (self.events.clone(), root.clone());
        let report = move |event| {
            let _ = events.send(Event::Watch { root: path.clone(), attempt, event });
        };
        match watch::start(&root, extensions, report) {
            Ok(watching) => {
                self.watches.insert(root, watching);
                None
            }
            Err(error) => Some(Event::Watch { root, attempt, event: WatchEvent::Failed(error) }),
        }
    }

    /// Runs `work` on a thread, which sends its result to the inbox. If the thread cannot be started, returns the event that
    /// `failed` creates; after a panic the thread sends that event.
    fn spawn(
        &self,
        name: &str,
        work: impl FnOnce() -> Event + Send + 'static,
        failed: impl Fn(Error) -> Event + Clone + Send + 'static,
    ) -> Option<Event> {
        let (events, on_panic) = (self.events.clone(), failed.clone());
        let run = move || {
            let event = catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|_| on_panic(Error::Crashed));
            let _ = events.send(event);
        };
        let thread = std::thread::Builder::new().name(name.into()).spawn(run);
        thread.err().map(|error| failed(Error::Threads(error)))
    }

    fn publish(&self, published: &Published<ScanState>) {
        let mut state = self.schedule.state();
        for root in &mut state.roots {
            let job = self.jobs.iter().find(|job| job.root.as_deref() == Some(&root.path));
            root.running = job.map(|job| job.progress.snapshot());
        }
        published.send_if_modified(|before| {
            let differs = *before != state;
            *before = state;
            differs
        });
    }

    /// Waits briefly for scans to record their progress.
    fn end(mut self, inbox: &Receiver<Event>) {
        let deadline = Instant::now() + SCAN_ENGINE_STOP_TIMEOUT;
        while !self.jobs.is_empty() {
            let left = deadline.saturating_duration_since(Instant::now());
            let Ok(event) = inbox.recv_timeout(left) else {
                self.jobs.iter().for_each(|job| warn_left_behind(job.root.as_deref()));
                return;
            };
            self.take(event);
        }
    }
}

fn warn_left_behind(scanned_root: Option<&Path>) {
    if let Some(root) = scanned_root {
        warn!(root = %root.display(), "a scan is blocked by a disk; the process exits without it");
    } else {
        warn!("hashing is blocked by a disk; the process exits without it");
    }
}

fn retry() -> Retry<'static> {
    Retry::within(SCAN_ENGINE_BUSY_TIMEOUT)
}

/// Lowers the priority of this thread; on Linux the nice value is the thread's own.
fn yield_to_others() {
    let _ = rustix::process::nice(10);
}

/// The report of a scan whose thread did not start, or panicked. The row of the latter may still have the status running.
fn failed_report(error: Error) -> Report {
    let has_begun = !matches!(error, Error::Threads(_));
    Report {
        summary: Summary::default(),
        unsettled: Vec::new(),
        signals: Vec::new(),
        idle: !has_begun,
        unrecorded: has_begun.then(|| End::Failed(coded(&error))),
        error: Some(error),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::sync_channel;

    use super::*;
    use crate::library;

    #[test]
    fn panic_of_a_scan_is_its_end() {
        let dir = tempfile::tempdir().expect("a directory");
        let options = library::Options { write: true, create_directory: false, runtime_directory: None };
        let library = Library::open(&dir.path().join("library.db"), options, &CancellationToken::new())
            .expect("a new library");
        let (events, inbox) = sync_channel(1);
        let engine = Engine::new(Arc::new(library), CancellationToken::new(), events);
        let failed = |error| Event::Hashed { id: 7, outcome: Err(error) };
        assert!(engine.spawn("panics", || panic!("as a bug does"), failed).is_none());
        let event = inbox.recv_timeout(Duration::from_secs(60));
        assert!(matches!(event, Ok(Event::Hashed { id: 7, outcome: Err(Error::Crashed) })), "{event:?}");
        let (crashed, no_thread) = (
            failed_report(Error::Crashed),
            failed_report(Error::Threads(std::io::ErrorKind::WouldBlock.into())),
        );
        assert_eq!((crashed.idle, crashed.unrecorded.is_some()), (false, true));
        assert_eq!((no_thread.idle, no_thread.unrecorded), (true, None));
    }
}
