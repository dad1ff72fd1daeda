//! One scan of one root, from its row in `jobs` to the end: compare → read → store → missing.
//!
//! This file holds the order of the steps, the job's row, and the access to the library. Each step is a file whose
//! methods extend [`Run`]: [`guard`] refuses what looks like an accident, [`reading`] reads files and stores what they
//! hold, [`missing`] records what is gone. `guard` and `reading` call [`moves`], which recognises moved files. `guard`
//! and `moves` share the limit of [`mass_deletion`]. No other file of a step calls another one. [`preview`] calls the
//! steps that only read.
//!
//! No step reads a video or a directory within a transaction: a share that hangs would keep the library locked for
//! everyone.

mod guard;
mod mass_deletion;
mod missing;
mod moves;
mod preview;
mod reading;
mod summary;

use std::cell::Cell;
use std::collections::{HashMap, HashSet};
use std::ops::ControlFlow;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio_util::sync::CancellationToken;
use tracing::{debug, info, info_span, warn};

use super::Error;
use super::compare::{Plan, Scope, compare};
use super::discover::{self, Rules};
use super::progress::{Phase, Progress};
use super::root::{self, Look, Offline, RecoverySignal};
use crate::library::files::{self, Span};
use crate::library::jobs::{self, End, Queued, history};
use crate::library::{self, Library, Patience};

pub(crate) use moves::Move;
pub use preview::dry_run;
pub use summary::Summary;

/// Most rows changed in one transaction.
const BATCH: usize = 500;

/// Time between two heartbeats.
const HEARTBEAT: Duration = Duration::from_secs(2);

/// What a scan works with.
#[derive(Clone, Debug)]
pub struct Context {
    /// The library, open for writing.
    pub library: Arc<Library>,
    /// All configured roots: a walk of one does not enter another.
    pub roots: Arc<[PathBuf]>,
    /// Those of them that are known not to answer, or not to be there: nothing is asked of them.
    pub unreachable: Arc<[PathBuf]>,
    /// Extensions of videos, lower case, without the dot.
    pub extensions: Arc<[String]>,
    /// Ends the scan, within a second.
    pub stop: CancellationToken,
    /// Where it tells how far it is.
    pub progress: Arc<Progress>,
}

/// What to scan.
#[derive(Clone, Debug)]
pub struct Task {
    /// The root.
    pub root: PathBuf,
    /// Paths at or below it; only the root itself means all of it.
    pub targets: Vec<PathBuf>,
    /// The job.
    pub job: Queued,
    /// Its row is there already.
    pub queued: bool,
    /// Leave no row when nothing was to be done (a look on behalf of the watch).
    pub quiet: bool,
}

/// How a scan ended.
#[derive(Debug)]
pub struct Report {
    /// What it did, also when it ended early.
    pub summary: Summary,
    /// To be looked at again once they are quiet.
    pub unsettled: Vec<PathBuf>,
    /// What would show that an issue it met is over.
    pub signals: Vec<RecoverySignal>,
    /// Why it ended early.
    pub error: Option<Error>,
    /// There was nothing to do and no row was left.
    pub idle: bool,
    /// The end that could not be recorded in the job's row (a full disk, a locked library).
    pub unrecorded: Option<End>,
}

/// Runs a scan to its end. Its row says how it went; so does the report.
pub fn run(context: &Context, task: &Task) -> Report {
    let span = info_span!("scan", job_id = %task.job.id);
    let _entered = span.enter();
    let mut run = Run::new(context, task);
    let error = run.scan().err().map(|error| match error {
        // The stop came while the library was waited for.
        Error::Library(library::Error::Cancelled) if context.stop.is_cancelled() => Error::Cancelled,
        error => error,
    });
    let end = match &error {
        None => End::Completed,
        Some(reason @ (Error::Cancelled | Error::Library(library::Error::Replaced(_)))) => {
            End::Cancelled(super::chain(reason))
        }
        Some(reason) => End::Failed(super::chain(reason)),
    };
    let unsettled = std::mem::take(&mut run.unsettled);
    let signals = std::mem::take(&mut run.signals);
    let (begun, seconds) = (run.begun, run.start.elapsed().as_secs_f64());
    let mut summary = run.summary;
    summary.seconds = seconds;
    #[expect(clippy::cast_precision_loss, reason = "a rate")]
    if seconds > 0.0 {
        summary.files_per_second = summary.scanned as f64 / seconds;
    }
    let mut unrecorded = None;
    if begun && let Err(failure) = finish(context, &task.job.id, &end, &summary) {
        warn!(error = super::chain(&failure), "the end of the scan could not be recorded yet");
        unrecorded = Some(end);
    }
    Report { summary, unsettled, signals, error, idle: !begun, unrecorded }
}

/// Records how a job ended. Waits a moment for the library, but not for long: this may be the way out.
fn finish(context: &Context, id: &str, end: &End, summary: &Summary) -> Result<(), library::Error> {
    let patience = Patience::within(Duration::from_millis(500));
    let summary = serde_json::to_string(summary).ok();
    let progress = context.progress.snapshot();
    let text = serde_json::to_string(&progress).unwrap_or_default();
    context.library.write(patience, |tx| {
        jobs::progress(tx, id, progress.percent(), &text)?;
        jobs::end(tx, id, end, summary.as_deref())
    })
}

/// What the library calls every 100 ms while another program has it locked. Returns whether the wait is to end.
fn while_locked(context: &Context) -> impl Fn() -> bool {
    || {
        note_library_busy(&context.progress);
        context.stop.is_cancelled()
    }
}

/// Records that the library is locked by another program, and bumps the heartbeat.
fn note_library_busy(progress: &Progress) {
    if !progress.set_library_busy(true) {
        debug!("the library is locked by another program; the scan waits");
    }
}

struct Run<'a> {
    context: &'a Context,
    task: &'a Task,
    summary: Summary,
    unsettled: Vec<PathBuf>,
    put_off_count: u64,
    signals: Vec<RecoverySignal>,
    /// Sizes of files that a new one may be: one of such a size is hashed at once.
    sizes: Arc<HashSet<u64>>,
    /// Rows that followed their files.
    moved: HashSet<i64>,
    /// Of other roots, whether so much is gone that none of it is taken for moved.
    mass_missing_roots: HashMap<PathBuf, bool>,
    /// There is a row.
    begun: bool,
    /// Another program has set the row to something else than running: it wants the scan to end.
    ended_by_another: Cell<bool>,
    heartbeat: Instant,
    start: Instant,
    /// Of the library when the scan began: what it derives from its rows is of no use to another content.
    generation: u64,
}

impl<'a> Run<'a> {
    fn new(context: &'a Context, task: &'a Task) -> Self {
        Self {
            context,
            task,
            summary: Summary::default(),
            unsettled: Vec::new(),
            put_off_count: 0,
            signals: Vec::new(),
            sizes: Arc::default(),
            moved: HashSet::new(),
            mass_missing_roots: HashMap::new(),
            begun: false,
            ended_by_another: Cell::new(false),
            heartbeat: Instant::now(),
            start: Instant::now(),
            generation: context.library.generation(),
        }
    }

    fn scan(&mut self) -> Result<(), Error> {
        if !self.task.quiet {
            self.begin()?;
        }
        let root = self.task.root.as_path();
        let look = root::look(root).map_err(|why| self.offline(why))?;
        self.refuse_unknown()?;
        let before = self.last_walk(root)?;
        let mut targets = self.targets(&look, &before);
        let mut whole = targets == [root];
        self.context.progress.enter(Phase::Walking);
        let mut plan = self.compare(&targets, &before.mounts, None)?;
        if !whole && (!plan.vanished.is_empty() || self.find_moved_here(&plan)?) {
            // Whether files are gone can be said only after a walk of the whole root.
            (whole, targets) = (true, vec![root.to_owned()]);
            plan = self.compare(&targets, &before.mounts, None)?;
        }
        self.take_walk(&plan);
        self.put_off_unquiet(&mut plan);
        if plan.to_read == 0 && plan.vanished.is_empty() && self.task.quiet {
            return Ok(());
        }
        self.begin()?;
        if whole {
            self.guard(&look, &before, &plan)?;
        }
        let (mut vanished, mut unmounted) =
            (std::mem::take(&mut plan.vanished), std::mem::take(&mut plan.unmounted));
        let plan = Arc::new(plan);
        if whole {
            self.guard_mass(&vanished, &plan, &targets)?;
        }
        self.sizes = Arc::new(self.sizes_of_lost(&vanished, &plan)?);
        self.read_rounds(plan, &targets)?;
        self.settle()?;
        if !unmounted.is_empty() {
            self.take_unmounted(&mut unmounted, &mut vanished);
        }
        if whole && !self.task.job.options.accept_missing && self.summary.walk_errors > 0 {
            // A mount that could not be looked into, or at, is remembered until a walk without errors.
            for mount in before.mounts {
                if !self.summary.mounts.contains(&mount) {
                    self.summary.mounts.push(mount);
                }
            }
        }
        vanished.retain(|row| !self.moved.contains(&row.id));
        if whole {
            self.mark_missing(&look, &vanished)?;
            self.summary.root = Some(look.identity);
        }
        Ok(())
    }

    /// What is to be walked: what was asked for, or all of a root that is not what it was. What lies in the bare directory
    /// under a mount is none of the library's, and a part of it does not tell that from a library on a new disk.
    fn targets(&self, look: &Look, before: &Summary) -> Vec<PathBuf> {
        let is_same = before.root.as_ref().is_none_or(|before| root::compare(before, &look.identity).is_ok());
        if is_same { self.task.targets.clone() } else { vec![self.task.root.clone()] }
    }

    /// Writes the job's row, once.
    fn begin(&mut self) -> Result<(), Error> {
        if self.begun {
            return Ok(());
        }
        let (job, queued) = (&self.task.job, self.task.queued);
        self.begun = self.write(|tx| jobs::begin(tx, job, queued, std::process::id()))?;
        if !self.begun {
            return Err(Error::JobClaimed(job.id.clone()));
        }
        debug!(root = %self.task.root.display(), reason = job.options.reason, "scan begins");
        Ok(())
    }

    fn offline(&self, why: Offline) -> Error {
        Error::Offline { root: self.task.root.clone(), why }
    }

    /// Somebody who asks for a path that never was has mistyped it; what the watch saw may well be gone again.
    fn refuse_unknown(&self) -> Result<(), Error> {
        let is_asked = |target: &&PathBuf| !self.task.quiet && **target != self.task.root;
        for target in self.task.targets.iter().filter(is_asked) {
            if !root::is_nothing_at(&self.task.root, target).unwrap_or(false) {
                continue;
            }
            let stored = discover::stored(target);
            let mut is_known = false;
            for span in [Span::exactly(&stored), Span::below(&stored)] {
                is_known |= !self.read_library(|tx| files::known(tx, &span, 1))?.is_empty();
            }
            if !is_known {
                return Err(Error::Unknown(target.clone()));
            }
        }
        Ok(())
    }

    /// What the last completed scan of a root recorded.
    fn last_walk(&self, root: &Path) -> Result<Summary, Error> {
        let root = discover::stored(root);
        let walk = self.read_library(|tx| history::last_walk(tx, &root))?;
        Ok(walk.and_then(|walk| serde_json::from_str(&walk.summary).ok()).unwrap_or_default())
    }

    fn compare(
        &mut self,
        targets: &[PathBuf],
        mounts: &[String],
        resume: Option<&str>,
    ) -> Result<Plan, Error> {
        let except: Vec<_> = self
            .context
            .roots
            .iter()
            .filter(|other| **other != self.task.root && other.starts_with(&self.task.root))
            .map(|other| other.as_os_str().as_bytes().to_vec())
            .collect();
        let cell = Cell::new(self.heartbeat);
        let tick = |found: u64| {
            self.context.progress.found(found);
            if cell.get().elapsed() > HEARTBEAT {
                cell.set(Instant::now());
                self.beat();
            }
            if self.check().is_err() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        };
        let cancelled = while_locked(self.context);
        let plan = compare(&Scope {
            library: &self.context.library,
            patience: Patience::endless(&cancelled),
            rules: Rules { root: &self.task.root, extensions: &self.context.extensions, except: &except },
            targets,
            mounts,
            resume,
            tick: &tick,
        });
        self.heartbeat = cell.get();
        self.check()?;
        Ok(plan?)
    }

    fn take_walk(&mut self, plan: &Plan) {
        let walked = &plan.walked;
        self.summary.total_discovered = plan.found;
        self.summary.skipped = plan.unchanged;
        self.summary.symlinks = walked.symlinks;
        self.summary.walk_errors = walked.error_count;
        self.summary.walk_error_examples.clone_from(&walked.errors);
        self.summary.mounts.clone_from(&walked.mounts);
        self.signals = walked.places.iter().cloned().map(RecoverySignal::Place).collect();
        if let Some(first) = walked.errors.first() {
            warn!(
                root = %self.task.root.display(),
                errors = walked.error_count,
                first,
                "the walk met errors, so nothing is taken for missing"
            );
        }
    }

    fn check(&self) -> Result<(), Error> {
        if self.context.stop.is_cancelled() {
            Err(Error::Cancelled)
        } else if self.ended_by_another.get() {
            Err(Error::JobClaimed(self.task.job.id.clone()))
        } else {
            Ok(())
        }
    }

    fn read_library<T>(
        &self,
        work: impl FnMut(&rusqlite::Transaction<'_>) -> rusqlite::Result<T>,
    ) -> Result<T, Error> {
        let cancelled = while_locked(self.context);
        let value = self.context.library.read(Patience::endless(&cancelled), work)?;
        self.context.progress.set_library_busy(false);
        Ok(value)
    }

    fn write<T>(
        &self,
        work: impl FnOnce(&rusqlite::Transaction<'_>) -> rusqlite::Result<T>,
    ) -> Result<T, Error> {
        let start = Instant::now();
        let cancelled = while_locked(self.context);
        let patience = Patience::endless(&cancelled).for_generation(self.generation);
        let value = self.context.library.write(patience, work)?;
        if self.context.progress.set_library_busy(false) && start.elapsed() > Duration::from_secs(1) {
            info!(
                seconds = start.elapsed().as_secs(),
                "the library was locked by another program; the scan goes on"
            );
        }
        Ok(value)
    }

    fn beat_if_due(&mut self) {
        if self.heartbeat.elapsed() > HEARTBEAT {
            self.heartbeat = Instant::now();
            self.beat();
        }
    }

    /// A heartbeat between batches. A library that is locked just now gets the next one.
    fn beat(&self) {
        if self.begun {
            let patience = Patience::within(Duration::ZERO);
            let _ = self.context.library.write(patience, |tx| self.record_progress(tx));
        }
    }

    fn record_progress(&self, tx: &rusqlite::Transaction<'_>) -> rusqlite::Result<()> {
        let snapshot = self.context.progress.snapshot();
        let text = serde_json::to_string(&snapshot).unwrap_or_default();
        let is_running = jobs::progress(tx, &self.task.job.id, snapshot.percent(), &text)?;
        self.ended_by_another.set(!is_running);
        Ok(())
    }
}
