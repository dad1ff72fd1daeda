//! One scan of one root, from its row in `jobs` to the end: plan, then apply.
//!
//! [`planning`] makes the plan ([`crate::scan::plan`]) and refuses a mass deletion; a dry run ends there.
//! [`apply`] reads, stores, and records missing files. Both use [`moves`] to find the rows of moved
//! files, and [`row`] for the row of the job and the writes.
//!
//! No step reads a video or a directory within a transaction: a hung share would keep the database locked.

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

use super::examples::Examples;
use super::history::History;
use super::plan::Plan;
use super::progress::Progress;
use super::read::{self, Reading};
use super::root::RecoverySignal;
use super::store::Stored;
use super::{Error, chain, coded, discover, new_job_id};
use crate::library::changes::Kind;
use crate::library::jobs::{End, Options, Queued, Reason};
use crate::library::{self, Library, files, subtitles};
use apply::Apply;
use moves::Moves;
use row::JobRow;
pub(crate) use summary::{Summary, missed};

/// Maximum number of rows that one transaction changes.
const BATCH: usize = 500;

/// Bytes of readings from which on they are stored: an eighth of what may wait for it. Usual files are fewer than this, and
/// files of a thousand tracks make no transaction that delays a check.
pub(crate) const BATCH_BYTES: usize = 1 << 20;

/// Maximum number of files to check again one by one; with more, the whole root is scanned again.
const UNSETTLED_KEPT: usize = 1000;

/// What a scan uses.
#[derive(Clone, Debug)]
pub(crate) struct Context {
    /// The library, open for writing.
    pub library: Arc<Library>,
    /// All configured roots: a walk of one does not enter another.
    pub roots: Arc<[PathBuf]>,
    /// Roots that are absent or do not respond: a scan does not access them.
    pub unreachable: Arc<[PathBuf]>,
    /// Extensions of videos, lower case, without the dot.
    pub extensions: Arc<[String]>,
    /// Cancels the scan, within a second.
    pub stop: CancellationToken,
    /// The progress that it updates.
    pub progress: Arc<Progress>,
}

/// What to scan.
#[derive(Clone, Debug)]
pub(crate) struct Task {
    /// The root.
    pub root: PathBuf,
    /// Paths at or below the root; the root itself stands for all of it.
    pub targets: Vec<PathBuf>,
    /// The job.
    pub job: Queued,
    /// Whether its row exists already.
    pub queued: bool,
    /// Whether to keep no row if nothing has changed (a scan that the watch requests).
    pub quiet: bool,
}

impl Task {
    /// A scan that a user has requested and waits for.
    ///
    /// # Errors
    /// As [`new_job_id`].
    pub(crate) fn requested(root: &Path, targets: &[PathBuf], options: Options) -> Result<Self, Error> {
        let job = Queued { id: new_job_id()?, path: discover::stored(root), options };
        Ok(Self { root: root.to_owned(), targets: targets.to_vec(), job, queued: false, quiet: false })
    }
}

/// How a scan ended.
#[derive(Debug)]
pub(crate) struct Report {
    /// Its counters, also if it ended early.
    pub summary: Summary,
    /// Paths to scan again once nothing writes to them.
    pub unsettled: Vec<PathBuf>,
    /// What would indicate that its issues are over.
    pub signals: Vec<RecoverySignal>,
    /// Why it ended early.
    pub error: Option<Error>,
    /// Whether nothing had changed, and no row was kept.
    pub idle: bool,
    /// The end, if it could not be recorded in the row (full disk, locked database).
    pub unrecorded: Option<End>,
}

/// Runs a scan to its end. Records the result in its row, and returns it.
pub(crate) fn run(context: &Context, task: &Task) -> Report {
    let span = info_span!("scan", job_id = %task.job.id);
    let _entered = span.enter();
    let start = Instant::now();
    let row = JobRow::new(context, task);
    let mut result = ScanResult::default();
    let error = scan(&row, &mut result).err().map(|error| match error {
        // The stop came during the wait for the database.
        Error::Library(library::Error::Cancelled) if context.stop.is_cancelled() => Error::Cancelled,
        error => error,
    });
    let end = match &error {
        None => End::Completed,
        Some(reason @ (Error::Cancelled | Error::Library(library::Error::Replaced(_)))) => {
            End::Cancelled(chain(reason))
        }
        Some(reason) => End::Failed(coded(reason)),
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
        warn!(error = chain(&failure), "cannot record the end of the scan yet");
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
    let history = History {
        root: discover::stored(&task.root),
        is_first: scan.baseline.before.is_none(),
        is_adopted: task.job.options.reason == Reason::LibraryReplaced.as_str(),
        fills_subtitles: !row.read(|tx| subtitles::are_recorded(tx))?,
        entries: [None; 3],
    };
    let mut apply = Apply { row, scan: &scan, moves, sizes, moved: HashSet::new(), history, result };
    apply.read_rounds(plan, &scan.targets)?;
    apply.settle()?;
    if scan.is_whole() {
        apply.mark_missing(missing)?;
        result.summary.root = Some(scan.baseline.look.identity);
    }
    Ok(())
}

/// The results so far, also if the scan ends early.
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
        summary.outdated = plan.outdated;
        summary.symlinks = walked.symlinks;
        summary.unreadable = walked.clashes;
        summary.walk_errors = walked.error_count;
        summary.walk_error_examples.clone_from(&walked.errors);
        summary.mounts.clone_from(&walked.mounts);
        summary.unmatched_subtitles = walked.unmatched_subtitles;
        summary.passed_over.clone_from(&walked.passed_over);
        self.signals = walked.places.iter().cloned().map(RecoverySignal::Place).collect();
        if let Some(first) = summary.walk_error_examples.iter().next() {
            warn!(
                root = %root.display(),
                errors = walked.error_count,
                first,
                "the walk found errors, so no file in those places is recorded as missing"
            );
        }
        for name in walked.clash_examples.iter() {
            summary
                .unreadable_examples
                .push(|| format!("{name}: not recorded, because another name is stored like it; rename it"));
        }
        if let Some(first) = walked.clash_examples.iter().next() {
            warn!(
                root = %root.display(),
                names = walked.clashes,
                first,
                "cannot record names that are not UTF-8, because other names are stored like them; rename them"
            );
        }
    }

    /// Takes the errors of a walk after the first. It may meet those of the first again, so they are not added up.
    fn take_later_walk(&mut self, plan: &Plan) {
        let (walked, summary) = (&plan.walked, &mut self.summary);
        summary.walk_errors = summary.walk_errors.max(walked.error_count);
        if summary.walk_error_examples.is_empty() {
            summary.walk_error_examples.clone_from(&walked.errors);
        }
        for place in walked.places.iter().cloned().map(RecoverySignal::Place) {
            if !self.signals.contains(&place) {
                self.signals.push(place);
            }
        }
    }

    /// Files of an absent mount are not recorded as missing.
    fn take_unmounted(&mut self, unmounted: &[(String, u64)]) {
        for (mount, files) in unmounted {
            warn!(
                mount,
                files,
                "no longer a mount point below the root, so its files keep their status; mount the share, or confirm with \
                 `vpo scan --accept-missing`"
            );
            self.summary.unmounted += files;
            self.signals.push(RecoverySignal::Mount(PathBuf::from(mount)));
        }
    }

    /// Puts files off that were modified too recently, without opening them: they may still be written.
    fn put_off(&mut self, plan: &Plan) {
        plan.unquiet.iter().for_each(|change| self.put_off_one(plan.path(change)));
    }

    fn put_off_one(&mut self, path: &Path) {
        self.summary.unsettled += 1;
        self.summary.unsettled_examples.push(|| discover::stored(path));
        if self.unsettled.len() < UNSETTLED_KEPT {
            self.unsettled.push(path.to_owned());
        }
    }

    /// The files to check again; the root if they are too many. Their number stays in the summary.
    fn take_unsettled(&mut self, root: &Path) -> Vec<PathBuf> {
        let paths = std::mem::take(&mut self.unsettled);
        if self.summary.unsettled > UNSETTLED_KEPT as u64 { vec![root.to_owned()] } else { paths }
    }

    fn count(&mut self, stored: Stored, plan: &Plan, readings: impl Iterator<Item = Reading>) {
        for reading in readings {
            let change = &plan.changes[reading.index];
            let named = |reason: &str| format!("{}: {reason}", plan.stored_path(change).0);
            self.summary.cut_titles += u64::from(reading.cut_titles);
            match &reading.outcome {
                read::Outcome::Unsettled => self.put_off_one(plan.path(change)),
                read::Outcome::Gone => {}
                read::Outcome::Unreadable(reason) => {
                    self.summary.unreadable_examples.push(|| named(reason));
                }
                read::Outcome::Broken(reason, _) => {
                    self.summary.scanned += 1;
                    self.summary.error_examples.push(|| named(reason));
                }
                read::Outcome::Read(_) => self.summary.scanned += 1,
            }
        }
        self.add(stored);
    }

    fn add(&mut self, stored: Stored) {
        self.summary.added += stored.added;
        self.summary.updated += stored.updated;
        self.summary.moved += stored.moved;
        self.summary.errors += stored.errors;
        self.summary.unreadable += stored.unreadable;
        self.summary.subtitles_added += stored.subtitles_added;
        self.summary.subtitles_gone += stored.subtitles_gone;
    }
}

/// Determines what a scan would do. Only reads. Gives `name` each file that it would find new, changed or gone.
///
/// # Errors
/// As a scan.
pub(crate) fn dry_run(
    context: &Context,
    task: &Task,
    name: &mut dyn FnMut(Kind, &str),
) -> Result<Preview, Error> {
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
        walk_error_examples: plan.walked.errors.clone(),
        unreadable: plan.walked.clashes,
        refusal: guarded.err().map(|error| coded(&error)),
        ..Preview::default()
    };
    for rows in missing.chunks(BATCH) {
        let ids: Vec<_> = rows.iter().map(|row| row.id).collect();
        let paths = row.read(|tx| files::paths(tx, &ids))?;
        paths.iter().flatten().for_each(|path| name(Kind::Missing, path));
    }
    loop {
        for change in plan.all_changes() {
            let (kind, count) = if change.is_new {
                (Kind::Added, &mut preview.new)
            } else {
                (Kind::Changed, &mut preview.changed)
            };
            *count += 1;
            name(kind, &plan.stored_path(change).0);
        }
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
    /// Of them, those without a row.
    pub new: u64,
    /// Of them, those that would be read again.
    pub changed: u64,
    /// Of them, those unchanged.
    pub unchanged: u64,
    /// Rows whose files are gone (or moved to one of the new ones).
    pub gone: u64,
    /// Errors of the walk.
    pub walk_errors: u64,
    /// The first of them.
    #[serde(skip_serializing_if = "Examples::is_empty")]
    pub walk_error_examples: Examples,
    /// Files whose names would not be recorded, because others are stored alike.
    pub unreadable: u64,
    /// Why the scan would be refused.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub refusal: Option<String>,
}
