//! One scan of one root, from its row in `jobs` to the end: plan, then apply.
//!
//! [`planning`] makes the plan ([`crate::scan::plan`]) and refuses what looks like an accident; a dry run ends there.
//! [`apply`] reads, stores, and records what is missing. Both ask [`moves`] which rows belong to moved files, and use
//! [`row`] for the job's row and the library.
//!
//! No step reads a video or a directory within a transaction: a share that hangs would keep the library locked for
//! everyone.

mod apply;
mod moves;
mod planning;
mod row;
mod summary;

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use serde::Serialize;
use tokio_util::sync::CancellationToken;
use tracing::{info_span, warn};

use super::plan::Plan;
use super::progress::Progress;
use super::read::{self, Reading};
use super::root::RecoverySignal;
use super::store::Stored;
use super::{Error, chain, discover, new_job_id};
use crate::library::jobs::{End, Options, Queued, Reason};
use crate::library::{self, Library};
use apply::Apply;
use moves::Moves;
use row::JobRow;
pub(crate) use summary::Summary;

/// Most rows changed in one transaction.
const BATCH: usize = 500;

/// Bytes of readings from which on they are stored: an eighth of what may wait for it. Usual files are fewer than this, and
/// files of a thousand tracks make no transaction that delays a check.
const BATCH_BYTES: usize = 1 << 20;

/// Files to look at again that are remembered one by one; of more, the whole root is looked at.
const UNSETTLED_KEPT: usize = 1000;

/// What a scan works with.
#[derive(Clone, Debug)]
pub(crate) struct Context {
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
pub(crate) struct Task {
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

impl Task {
    /// A scan that a person has asked for and waits for.
    ///
    /// # Errors
    /// As [`new_job_id`].
    pub(crate) fn requested(root: &Path, targets: &[PathBuf], accept_missing: bool) -> Result<Self, Error> {
        let mut options = Options::new(Reason::Request);
        (options.accept_missing, options.wait) = (accept_missing, true);
        let job = Queued { id: new_job_id()?, path: discover::stored(root), options };
        Ok(Self { root: root.to_owned(), targets: targets.to_vec(), job, queued: false, quiet: false })
    }
}

/// How a scan ended.
#[derive(Debug)]
pub(crate) struct Report {
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
pub(crate) fn run(context: &Context, task: &Task) -> Report {
    let span = info_span!("scan", job_id = %task.job.id);
    let _entered = span.enter();
    let start = Instant::now();
    let row = JobRow::new(context, task);
    let mut result = ScanResult::default();
    let error = scan(&row, &mut result).err().map(|error| match error {
        // The stop came while the library was waited for.
        Error::Library(library::Error::Cancelled) if context.stop.is_cancelled() => Error::Cancelled,
        error => error,
    });
    let end = match &error {
        None => End::Completed,
        Some(reason @ (Error::Cancelled | Error::Library(library::Error::Replaced(_)))) => {
            End::Cancelled(chain(reason))
        }
        Some(reason) => End::Failed(chain(reason)),
    };
    let unsettled = result.take_unsettled(&task.root);
    let ScanResult { mut summary, signals, .. } = result;
    summary.seconds = start.elapsed().as_secs_f64();
    #[expect(clippy::cast_precision_loss, reason = "a rate")]
    if summary.seconds > 0.0 {
        summary.files_per_second = summary.scanned as f64 / summary.seconds;
    }
    let mut unrecorded = None;
    if row.is_begun()
        && let Err(failure) = row.finish(&end, &summary)
    {
        warn!(error = chain(&failure), "the end of the scan could not be recorded yet");
        unrecorded = Some(end);
    }
    Report { summary, unsettled, signals, error, idle: !row.is_begun(), unrecorded }
}

fn scan(row: &JobRow<'_>, result: &mut ScanResult) -> Result<(), Error> {
    let task = row.task;
    if !task.quiet {
        row.begin()?;
    }
    let (scan, mut plan) = planning::plan(row)?;
    result.take_walk(&task.root, &plan);
    result.put_off(&plan);
    if plan.is_idle() && task.quiet {
        return Ok(());
    }
    row.begin()?;
    let missing = std::mem::take(&mut plan.missing);
    let plan = Arc::new(plan);
    let mut moves = Moves::new(row);
    scan.guard(&mut moves, &plan, &missing, &mut result.signals)?;
    result.take_unmounted(&plan.unmounted);
    result.summary.mounts = plan.mounts(&scan.baseline);
    let sizes = Arc::new(moves::sizes_of_lost(row, &missing, &plan)?);
    let mut apply = Apply { row, scan: &scan, moves, sizes, moved: HashSet::new(), result };
    apply.read_rounds(plan, &scan.targets)?;
    apply.settle()?;
    if scan.is_whole() {
        apply.mark_missing(missing)?;
        result.summary.root = Some(scan.baseline.look.identity);
    }
    Ok(())
}

/// What a scan has done so far, also when it ends early.
#[derive(Default)]
struct ScanResult {
    summary: Summary,
    unsettled: Vec<PathBuf>,
    signals: Vec<RecoverySignal>,
}

impl ScanResult {
    fn take_walk(&mut self, root: &Path, plan: &Plan) {
        let (walked, summary) = (&plan.walked, &mut self.summary);
        summary.total_discovered = plan.found;
        summary.skipped = plan.unchanged;
        summary.symlinks = walked.symlinks;
        summary.unreadable = walked.clashes;
        summary.walk_errors = walked.error_count;
        summary.walk_error_examples.clone_from(&walked.errors);
        summary.mounts.clone_from(&walked.mounts);
        self.signals = walked.places.iter().cloned().map(RecoverySignal::Place).collect();
        if let Some(first) = walked.errors.first() {
            warn!(
                root = %root.display(),
                errors = walked.error_count,
                first,
                "the walk met errors, so nothing is taken for missing"
            );
        }
        if let Some(first) = &walked.first_clash {
            warn!(
                root = %root.display(),
                names = walked.clashes,
                first,
                "names that are not UTF-8 are not recorded, because other names are stored like them: rename them"
            );
        }
    }

    /// Files that are gone with their mount are not missing.
    fn take_unmounted(&mut self, unmounted: &[(String, u64)]) {
        for (mount, files) in unmounted {
            warn!(
                mount,
                files,
                "was a mount point below the root and is none now: its files keep their status; mount what belongs \
                 there, or confirm with `vpo scan --accept-missing`"
            );
            self.summary.unmounted += files;
            self.signals.push(RecoverySignal::Mount(PathBuf::from(mount)));
        }
    }

    /// The modification time alone shows files that are still being written: they are not opened.
    fn put_off(&mut self, plan: &Plan) {
        plan.unquiet.iter().for_each(|change| self.put_off_one(plan.path(change)));
    }

    fn put_off_one(&mut self, path: &Path) {
        self.summary.unsettled += 1;
        if self.unsettled.len() < UNSETTLED_KEPT {
            self.unsettled.push(path.to_owned());
        }
    }

    /// The files to look at again, or the root where they are too many. Their number stays in the summary.
    fn take_unsettled(&mut self, root: &Path) -> Vec<PathBuf> {
        let paths = std::mem::take(&mut self.unsettled);
        if self.summary.unsettled > UNSETTLED_KEPT as u64 { vec![root.to_owned()] } else { paths }
    }

    fn count(&mut self, stored: Stored, plan: &Plan, readings: impl Iterator<Item = Reading>) {
        for reading in readings {
            match reading.outcome {
                read::Outcome::Unsettled => self.put_off_one(plan.path(&plan.changes[reading.index])),
                read::Outcome::Gone | read::Outcome::Unreadable(_) => {}
                read::Outcome::Read(_) | read::Outcome::Broken(_) => {
                    self.summary.scanned += 1;
                    self.summary.cut_titles += u64::from(reading.cut_titles);
                }
            }
        }
        self.summary.added += stored.added;
        self.summary.updated += stored.updated;
        self.summary.moved += stored.moved;
        self.summary.errors += stored.errors;
        self.summary.unreadable += stored.unreadable;
    }
}

/// Finds out, by reading only, what a scan would do.
///
/// # Errors
/// As a scan.
pub(crate) fn dry_run(context: &Context, task: &Task) -> Result<Preview, Error> {
    let row = JobRow::new(context, task);
    let (scan, mut plan) = planning::plan(&row)?;
    let missing = std::mem::take(&mut plan.missing);
    let mut plan = Arc::new(plan);
    let guarded = scan.guard(&mut Moves::new(&row), &plan, &missing, &mut Vec::new());
    let mut preview = Preview {
        root: task.root.to_string_lossy().into_owned(),
        found: plan.found,
        unchanged: plan.unchanged,
        gone: missing.len() as u64,
        walk_errors: plan.walked.error_count,
        refusal: guarded.err().map(|error| chain(&error)),
        ..Preview::default()
    };
    loop {
        let new = plan.all_changes().filter(|change| change.is_new).count() as u64;
        preview.new += new;
        preview.changed += plan.all_changes().count() as u64 - new;
        let Some(resume) = plan.resume.clone() else { return Ok(preview) };
        plan = Arc::new(scan.compare(&scan.targets, Some(&resume))?);
    }
}

/// What a scan would do.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Preview {
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
