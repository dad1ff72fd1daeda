//! One scan of one root, from its row in `jobs` to the end: compare → read → store → missing.

use std::collections::HashSet;
use std::ffi::OsStr;
use std::ops::ControlFlow;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::RecvTimeoutError;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};
use tokio_util::sync::CancellationToken;
use tracing::{debug, info, info_span, warn};

use super::compare::{Plan, Scope, Vanished, compare};
use super::discover::{self, Rules};
use super::hash::ContentHash;
use super::progress::{Phase, Progress};
use super::read::{self, Outcome, Reading, Work};
use super::root::{self, Identity, Look, Offline};
use super::store::{self, Candidates, Stored};
use super::{Error, name, settle};
use crate::library::files::{self, Span, Writer};
use crate::library::jobs::{self, End, Queued};
use crate::library::timestamp::Timestamp;
use crate::library::{self, Library, Patience};

/// Most files in one transaction, and the longest that a file read waits for its transaction.
const BATCH: usize = 500;
const BATCH_AGE: Duration = Duration::from_secs(1);

/// Time between two heartbeats.
const HEARTBEAT: Duration = Duration::from_secs(2);

/// From this many files on, and this share of the root's, going missing at once is no accident.
const MASS: usize = 10;
const MASS_PERCENT: u64 = 30;

/// Rounds of looking again at files that were being written, for a scan that somebody waits for.
const SETTLE_ROUNDS: u32 = 2;

/// Files to look at again that are remembered one by one; of more, the whole root is looked at.
const UNSETTLED_KEPT: usize = 1000;

/// What a scan works with.
#[derive(Clone, Debug)]
pub struct Context {
    /// The library, open for writing.
    pub library: Arc<Library>,
    /// All configured roots: a walk of one does not enter another.
    pub roots: Arc<[PathBuf]>,
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

/// What a scan did, as `summary_json` records it. The first six keys are those of other VPO programs.
#[derive(Clone, Debug, Default, Serialize, Deserialize, PartialEq)]
pub struct Summary {
    /// Videos found.
    pub total_discovered: u64,
    /// Of them, those read.
    pub scanned: u64,
    /// Of them, those unchanged.
    pub skipped: u64,
    /// New rows.
    pub added: u64,
    /// Rows that went missing.
    pub removed: u64,
    /// Files that could not be parsed.
    pub errors: u64,
    /// Rows brought up to date.
    pub updated: u64,
    /// Rows that followed their moved file.
    pub moved: u64,
    /// Files that could not be read at all; what is known of them stays.
    pub unreadable: u64,
    /// Files still being written, left for later.
    pub unsettled: u64,
    /// Symbolic links passed over.
    pub symlinks: u64,
    /// What the walk could not read; with any of it, nothing goes missing.
    pub walk_errors: u64,
    /// The first few of those.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub walk_error_examples: Vec<String>,
    /// Files that are gone with a mount below the root; they keep their status.
    pub unmounted: u64,
    /// Wall-clock time.
    pub seconds: f64,
    /// Files read, by wall-clock time.
    pub files_per_second: f64,
    /// What the root is: only where all of it was walked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub root: Option<Identity>,
    /// Mount points below it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub mounts: Vec<String>,
}

/// How a scan ended.
#[derive(Debug)]
pub struct Report {
    /// What it did, also when it ended early.
    pub summary: Summary,
    /// To be looked at again once they are quiet.
    pub unsettled: Vec<PathBuf>,
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
    let mut run = Run {
        context,
        task,
        summary: Summary::default(),
        unsettled: Vec::new(),
        put_off_count: 0,
        begun: false,
        heartbeat: Instant::now(),
        start: Instant::now(),
    };
    let mut error = run.scan().err();
    let end = match &error {
        None => End::Completed,
        Some(Error::Library(library::Error::Cancelled)) if context.stop.is_cancelled() => {
            error = Some(Error::Cancelled);
            End::Cancelled(
                "told to stop; what was stored is kept, and the next scan goes on from there".to_owned(),
            )
        }
        Some(reason @ (Error::Cancelled | Error::Library(library::Error::Replaced(_)))) => {
            End::Cancelled(super::chain(reason))
        }
        Some(reason) => End::Failed(super::chain(reason)),
    };
    let unsettled = std::mem::take(&mut run.unsettled);
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
    Report { summary, unsettled, error, idle: !begun, unrecorded }
}

/// Records how a job ended. Waits a moment for the library, but not for long: this may be the way out.
fn finish(context: &Context, id: &str, end: &End, summary: &Summary) -> Result<(), library::Error> {
    let never = || false;
    let patience = Patience { limit: Some(Duration::from_millis(500)), cancelled: &never };
    let summary = serde_json::to_string(summary).ok();
    context.library.write(patience, |tx| jobs::end(tx, id, end, summary.as_deref()))?;
    checkpoint(context);
    Ok(())
}

/// A piece of work is done: what is in the log goes into the file. Nothing depends on it, and a stop does it anyway.
pub(crate) fn checkpoint(context: &Context) {
    if !context.stop.is_cancelled()
        && let Err(failure) = context.library.settle()
    {
        debug!(error = super::chain(&failure), "the library's log could not be brought into it yet");
    }
}

struct Run<'a> {
    context: &'a Context,
    task: &'a Task,
    summary: Summary,
    unsettled: Vec<PathBuf>,
    put_off_count: u64,
    /// There is a row.
    begun: bool,
    heartbeat: Instant,
    start: Instant,
}

impl Run<'_> {
    fn scan(&mut self) -> Result<(), Error> {
        if !self.task.quiet {
            self.begin()?;
        }
        let root = self.task.root.as_path();
        let look = root::look(root).map_err(|why| self.offline(why))?;
        self.refuse_unknown()?;
        let before = self.last_walk()?;
        let mut whole = self.task.targets == [root];
        let mut targets = self.task.targets.clone();
        self.context.progress.enter(Phase::Walking);
        let mut plan = self.compare(&targets, &before.mounts, None)?;
        if !whole && !plan.vanished.is_empty() {
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
        let mut candidates = self.candidates(&vanished, &plan)?;
        if whole {
            self.guard_mass(&vanished, &plan, &candidates)?;
        }
        self.read_rounds(plan, &targets, &mut candidates)?;
        self.settle(&mut candidates)?;
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
        vanished.retain(|row| !candidates.moved.contains(&row.id));
        if whole {
            self.mark_missing(&look, &vanished)?;
            self.summary.root = Some(look.identity);
        }
        Ok(())
    }

    /// Writes the job's row, once.
    fn begin(&mut self) -> Result<(), Error> {
        if self.begun {
            return Ok(());
        }
        let (job, queued) = (&self.task.job, self.task.queued);
        self.begun = self.write(|tx| jobs::begin(tx, job, queued, std::process::id()))?;
        if !self.begun {
            return Err(Error::Taken(job.id.clone()));
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
            if !root::is_gone(target.as_os_str().as_bytes()).unwrap_or(false) {
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

    /// What the last completed scan of the root recorded.
    fn last_walk(&self) -> Result<Summary, Error> {
        let root = discover::encode_path(self.task.root.as_os_str().as_bytes());
        let text = self.read_library(|tx| jobs::last_summary(tx, &root))?;
        Ok(text.and_then(|text| serde_json::from_str(&text).ok()).unwrap_or_default())
    }

    /// Looks that tell a root that is not what it was, before anything is changed.
    fn guard(&self, look: &Look, before: &Summary, plan: &Plan) -> Result<(), Error> {
        if self.task.job.options.accept_missing || plan.vanished.is_empty() {
            return Ok(());
        }
        if look.empty {
            return Err(self.offline(Offline::Empty));
        }
        match &before.root {
            Some(before) => root::compare(before, &look.identity).map_err(|why| self.offline(why)),
            None => Ok(()),
        }
    }

    /// Too much would go missing at once. Files that only moved do not count.
    fn guard_mass(&self, vanished: &[Vanished], plan: &Plan, candidates: &Candidates) -> Result<(), Error> {
        let is_mass = |gone: usize| gone >= MASS && gone as u64 * 100 > plan.known * MASS_PERCENT;
        if self.task.job.options.accept_missing || plan.walked.error_count > 0 || !is_mass(vanished.len()) {
            return Ok(());
        }
        let mut gone = vanished.len();
        let sizes = candidates.sizes();
        let mut seen = HashSet::new();
        for change in plan.changes.iter().filter(|change| change.is_new && sizes.contains(&change.size)) {
            self.check()?;
            let Ok(file) = read::open(plan.path(change)) else { continue };
            let hash = ContentHash::of(&file.into(), change.size);
            if hash.is_ok_and(|hash| candidates.knows(hash) && seen.insert(hash)) {
                gone -= 1;
            }
        }
        if is_mass(gone) {
            return Err(Error::Mass { root: self.task.root.clone(), gone: gone as u64, known: plan.known });
        }
        Ok(())
    }

    /// Rows that a new file may turn out to be.
    fn candidates(&self, vanished: &[Vanished], plan: &Plan) -> Result<Candidates, Error> {
        if !plan.changes.iter().any(|change| change.is_new) {
            return Ok(Candidates::default());
        }
        let mut lost = self.read_library(|tx| files::lost(tx))?;
        lost.retain(|row| {
            let path = name::decode(&row.path);
            self.context.roots.iter().any(|root| Path::new(OsStr::from_bytes(&path)).starts_with(root))
        });
        Ok(Candidates::new(vanished, lost))
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
        let cell = std::cell::Cell::new(self.heartbeat);
        let tick = |found: u64| {
            self.context.progress.found(found);
            if cell.get().elapsed() > HEARTBEAT {
                cell.set(Instant::now());
                self.beat();
            }
            if self.context.stop.is_cancelled() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        };
        let cancelled = || self.is_cancelled();
        let plan = compare(&Scope {
            library: &self.context.library,
            patience: Patience::endless(&cancelled),
            rules: Rules { extensions: &self.context.extensions, except: &except },
            targets,
            mounts,
            resume,
            tick: &tick,
        });
        self.heartbeat = cell.get();
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
        if let Some(first) = walked.errors.first() {
            warn!(
                root = %self.task.root.display(),
                errors = walked.error_count,
                first,
                "the walk met errors, so nothing is taken for missing"
            );
        }
    }

    /// Files that are plainly still being written need not be opened to know it.
    fn put_off_unquiet(&mut self, plan: &mut Plan) {
        let now = Timestamp::now();
        let (quiet, unquiet): (Vec<_>, Vec<_>) = std::mem::take(&mut plan.changes)
            .into_iter()
            .partition(|change| settle::is_quiet(change.modified, now));
        plan.changes = quiet;
        plan.to_read -= unquiet.len() as u64;
        for change in &unquiet {
            self.put_off(plan.path(change));
        }
    }

    fn put_off(&mut self, path: &Path) {
        self.put_off_count += 1;
        if self.unsettled.len() < UNSETTLED_KEPT {
            self.unsettled.push(path.to_owned());
        }
    }

    /// Reads and stores what the plan says, and what did not fit into it.
    fn read_rounds(
        &mut self,
        mut plan: Plan,
        targets: &[PathBuf],
        candidates: &mut Candidates,
    ) -> Result<(), Error> {
        self.context.progress.expect(plan.to_read);
        loop {
            let resume = plan.resume.take();
            self.read_round(plan, candidates)?;
            let Some(resume) = resume else { return Ok(()) };
            self.context.progress.enter(Phase::Walking);
            plan = self.compare(targets, &[], Some(&resume))?;
            self.put_off_unquiet(&mut plan);
        }
    }

    fn read_round(&mut self, plan: Plan, candidates: &mut Candidates) -> Result<(), Error> {
        if plan.changes.is_empty() {
            return Ok(());
        }
        self.context.progress.enter(Phase::Reading);
        // The pool ends with the round, however the round ends.
        let stop = self.context.stop.child_token();
        let _guard = stop.clone().drop_guard();
        let progress = Arc::clone(&self.context.progress);
        let work = Arc::new(Work::new(Arc::new(plan), candidates.sizes(), stop, progress));
        let readings = read::start(&work).map_err(Error::Threads)?;
        let mut batch = Vec::with_capacity(BATCH);
        let mut oldest = Instant::now();
        loop {
            match readings.recv_timeout(Duration::from_millis(100)) {
                Ok(reading) => {
                    if batch.is_empty() {
                        oldest = Instant::now();
                    }
                    batch.push(reading);
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => {
                    self.check()?;
                    return self.store(&work.plan, &mut batch, candidates);
                }
            }
            self.check()?;
            if batch.len() >= BATCH || (!batch.is_empty() && oldest.elapsed() > BATCH_AGE) {
                self.store(&work.plan, &mut batch, candidates)?;
            }
            self.beat_if_due();
        }
    }

    /// Stores a batch in one transaction, and the heartbeat with it.
    fn store(
        &mut self,
        plan: &Plan,
        batch: &mut Vec<Reading>,
        candidates: &mut Candidates,
    ) -> Result<(), Error> {
        if batch.is_empty() {
            return Ok(());
        }
        self.heartbeat = Instant::now();
        let (stored, moves) = self.write(|tx| {
            let outcome = store::batch(&mut Writer::new(tx)?, plan, batch, candidates)?;
            self.record_progress(tx)?;
            Ok(outcome)
        })?;
        candidates.settle(moves);
        let done = batch.len() as u64;
        for reading in batch.drain(..) {
            match reading.outcome {
                Outcome::Unsettled => self.put_off(plan.path(&plan.changes[reading.index])),
                Outcome::Gone | Outcome::Unreadable(_) => {}
                Outcome::Read(_) | Outcome::Broken(_) => self.summary.scanned += 1,
            }
        }
        self.count(stored);
        self.context.progress.stored(done, stored.errors);
        Ok(())
    }

    fn count(&mut self, stored: Stored) {
        self.summary.added += stored.added;
        self.summary.updated += stored.updated;
        self.summary.moved += stored.moved;
        self.summary.errors += stored.errors;
        self.summary.unreadable += stored.unreadable;
    }

    /// Looks again at files that were being written, where somebody waits for the scan.
    fn settle(&mut self, candidates: &mut Candidates) -> Result<(), Error> {
        if self.task.job.options.wait {
            for _ in 0..SETTLE_ROUNDS {
                if self.unsettled.is_empty() {
                    break;
                }
                self.context.progress.enter(Phase::Settling);
                let until = Instant::now() + settle::QUIET + Duration::from_millis(50);
                while Instant::now() < until {
                    self.check()?;
                    self.beat_if_due();
                    std::thread::sleep(Duration::from_millis(20));
                }
                let targets = self.again();
                let mut plan = self.compare(&targets, &[], None)?;
                self.put_off_unquiet(&mut plan);
                self.read_rounds(plan, &targets, candidates)?;
            }
        }
        self.summary.unsettled = self.put_off_count;
        self.unsettled = self.again();
        Ok(())
    }

    /// The files to look at again, or the root where they are too many.
    fn again(&mut self) -> Vec<PathBuf> {
        let mut paths = std::mem::take(&mut self.unsettled);
        if std::mem::take(&mut self.put_off_count) > UNSETTLED_KEPT as u64 {
            paths = vec![self.task.root.clone()];
        }
        paths
    }

    /// Files that are gone with their mount are not missing, unless the user says so.
    fn take_unmounted(&mut self, unmounted: &mut Vec<(String, Vec<Vanished>)>, vanished: &mut Vec<Vanished>) {
        for (mount, rows) in unmounted.drain(..) {
            if self.task.job.options.accept_missing {
                vanished.extend(rows);
                continue;
            }
            warn!(
                mount,
                files = rows.len(),
                "was a mount point below the root and is none now: its files keep their status; mount what belongs \
                 there, or confirm with `vpo scan --accept-missing`"
            );
            self.summary.unmounted += rows.len() as u64;
            // Remembered until it is back or confirmed.
            self.summary.mounts.push(mount);
        }
    }

    /// Marks what vanished, after one more look at the root: it may have gone during the walk.
    fn mark_missing(&mut self, look: &Look, vanished: &[Vanished]) -> Result<(), Error> {
        if vanished.is_empty() || self.summary.walk_errors > 0 {
            return Ok(());
        }
        self.context.progress.enter(Phase::Missing);
        let now = root::look(&self.task.root).map_err(|why| self.offline(why))?;
        root::compare(&look.identity, &now.identity).map_err(|why| self.offline(why))?;
        if now.empty && !look.empty {
            return Err(self.offline(Offline::Empty));
        }
        for rows in vanished.chunks(BATCH) {
            self.check()?;
            let removed = self.write(|tx| {
                let mut writer = Writer::new(tx)?;
                let mut removed = 0;
                for row in rows {
                    let Some(path) = files::path(tx, row.id)? else { continue };
                    if root::is_gone(&name::decode(&path)) == Ok(true)
                        && writer.mark_missing(row.id, &path)?
                    {
                        info!(file_path = path, file_id = row.id, "a file is missing");
                        removed += 1;
                    }
                }
                Ok(removed)
            })?;
            self.summary.removed += removed;
        }
        Ok(())
    }

    fn check(&self) -> Result<(), Error> {
        if self.context.stop.is_cancelled() { Err(Error::Cancelled) } else { Ok(()) }
    }

    /// Asked by the library every 100 ms while it is locked by somebody else.
    fn is_cancelled(&self) -> bool {
        if !self.context.progress.library_busy(true) {
            debug!("the library is locked by another program; the scan waits");
        }
        self.context.stop.is_cancelled()
    }

    fn read_library<T>(
        &self,
        work: impl FnMut(&rusqlite::Transaction<'_>) -> rusqlite::Result<T>,
    ) -> Result<T, Error> {
        let cancelled = || self.is_cancelled();
        let value = self.context.library.read(Patience::endless(&cancelled), work)?;
        self.context.progress.library_busy(false);
        Ok(value)
    }

    fn write<T>(
        &self,
        work: impl FnOnce(&rusqlite::Transaction<'_>) -> rusqlite::Result<T>,
    ) -> Result<T, Error> {
        let start = Instant::now();
        let cancelled = || self.is_cancelled();
        let value = self.context.library.write(Patience::endless(&cancelled), work)?;
        if self.context.progress.library_busy(false) && start.elapsed() > Duration::from_secs(1) {
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
            let never = || true;
            let patience = Patience { limit: Some(Duration::ZERO), cancelled: &never };
            let _ = self.context.library.write(patience, |tx| self.record_progress(tx));
        }
    }

    fn record_progress(&self, tx: &rusqlite::Transaction<'_>) -> rusqlite::Result<()> {
        let snapshot = self.context.progress.snapshot();
        let text = serde_json::to_string(&snapshot).unwrap_or_default();
        jobs::progress(tx, &self.task.job.id, snapshot.percent(), &text)
    }
}

/// What a scan would do, found out by reading only.
///
/// # Errors
/// As a scan.
pub fn dry_run(context: &Context, root: &Path, targets: &[PathBuf]) -> Result<Preview, Error> {
    let look = root::look(root).map_err(|why| Error::Offline { root: root.to_owned(), why })?;
    let task = Task {
        root: root.to_owned(),
        targets: targets.to_vec(),
        job: Queued { id: String::new(), path: String::new(), options: jobs::Options::new("dry run") },
        queued: false,
        quiet: true,
    };
    let mut run = Run {
        context,
        task: &task,
        summary: Summary::default(),
        unsettled: Vec::new(),
        put_off_count: 0,
        begun: false,
        heartbeat: Instant::now(),
        start: Instant::now(),
    };
    let before = run.last_walk()?;
    let mut preview = Preview { root: root.to_string_lossy().into_owned(), ..Preview::default() };
    let mut resume: Option<String> = None;
    loop {
        let plan = run.compare(targets, &before.mounts, resume.as_deref())?;
        preview.new += plan.changes.iter().filter(|change| change.is_new).count() as u64;
        preview.changed += plan.changes.iter().filter(|change| !change.is_new).count() as u64;
        if resume.is_none() {
            preview.found = plan.found;
            preview.unchanged = plan.unchanged;
            preview.gone = plan.vanished.len() as u64;
            preview.walk_errors = plan.walked.error_count;
            let candidates = run.candidates(&plan.vanished, &plan)?;
            let refusal = run
                .guard(&look, &before, &plan)
                .and_then(|()| run.guard_mass(&plan.vanished, &plan, &candidates))
                .err();
            preview.refusal = refusal.as_ref().map(|error| super::chain(error));
        }
        resume = plan.resume;
        if resume.is_none() {
            return Ok(preview);
        }
    }
}

/// What a scan would do.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Preview {
    /// The root.
    pub root: String,
    /// Videos found.
    pub found: u64,
    /// Of them, those that the library does not know.
    pub new: u64,
    /// Of them, those that would be read again.
    pub changed: u64,
    /// Of them, those as their rows say.
    pub unchanged: u64,
    /// Rows whose files are gone (or moved to one of the new ones).
    pub gone: u64,
    /// What the walk could not read.
    pub walk_errors: u64,
    /// Why the scan would refuse to go on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub refusal: Option<String>,
}

/// The rows of a root.
#[must_use]
pub fn rows_of(root: &Path) -> Span {
    Span::below(&discover::encode_path(root.as_os_str().as_bytes()))
}
