//! Plans the scan of a task, for a scan and for a dry run: examines the root, compares it with the library, and refuses a
//! mass deletion. Only reads.

use std::collections::HashSet;
use std::ops::ControlFlow;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError};

use tokio_util::sync::CancellationToken;

use super::moves::{self, Moves};
use super::row::JobRow;
use super::{BATCH, Error};
use crate::base::times::SCAN_POLL_INTERVAL;
use crate::library::files::{self, Span};
use crate::scan::compare::{Scope, compare};
use crate::scan::discover::{self, Rules};
use crate::scan::hash::ContentHash;
use crate::scan::plan::{Baseline, Plan, Refusal, Vanished, is_mass_deletion};
use crate::scan::progress::Phase;
use crate::scan::read;
use crate::scan::root::{self, RecoverySignal};

/// Number of the first and of the last missing files whose return is checked later.
const SIGNALS: usize = 5;

/// What to scan, and what to compare it with.
pub(super) struct PlannedScan<'a> {
    row: &'a JobRow<'a>,
    pub(super) baseline: Baseline,
    /// Paths at or below the root.
    pub(super) targets: Vec<PathBuf>,
}

/// Plans the task. Plans the whole root if a part does not show where its files have gone.
pub(super) fn plan<'a>(row: &'a JobRow<'a>) -> Result<(PlannedScan<'a>, Plan), Error> {
    let task = row.task;
    let baseline = baseline(row, &task.root)?;
    refuse_unknown(row)?;
    row.context.progress.enter(Phase::Walking);
    let targets = if baseline.is_same_root() { &task.targets } else { std::slice::from_ref(&task.root) };
    let mut scan = PlannedScan { row, baseline, targets: targets.to_vec() };
    let mut plan = scan.compare(&scan.targets, None)?;
    if !scan.is_whole() && (!plan.missing.is_empty() || moves::have_come_here(row, &plan)?) {
        // Only a walk of the whole root shows whether files are gone.
        scan.targets = vec![task.root.clone()];
        plan = scan.compare(&scan.targets, None)?;
    }
    Ok((scan, plan))
}

/// Examines a root, then reads what its last completed scan recorded.
pub(super) fn baseline(row: &JobRow<'_>, root: &Path) -> Result<Baseline, Error> {
    let look = root::look(root).map_err(|why| Error::Offline { root: root.to_owned(), why })?;
    let before = row.last_walk(root)?;
    let options = &row.task.job.options;
    let accept_missing = root == row.task.root && options.accept_missing;
    Ok(Baseline { look, before: before.root, mounts: before.mounts, accept_missing, full: options.full })
}

/// Rejects a requested path that never existed. A path from the watch may have been removed since.
fn refuse_unknown(row: &JobRow<'_>) -> Result<(), Error> {
    let task = row.task;
    let is_asked = |target: &&PathBuf| !task.quiet && **target != task.root;
    for target in task.targets.iter().filter(is_asked) {
        if !root::is_nothing_at(&task.root, target).unwrap_or(false) {
            continue;
        }
        let stored = discover::stored(target);
        let mut is_known = false;
        for span in [Span::exactly(&stored), Span::below(&stored)] {
            is_known |= !row.read(|tx| files::known(tx, &span, 1))?.is_empty();
        }
        if !is_known {
            return Err(Error::Unknown(target.clone()));
        }
    }
    Ok(())
}

impl PlannedScan<'_> {
    /// Whether the whole root is walked.
    pub(super) fn is_whole(&self) -> bool {
        self.targets == [self.row.task.root.as_path()]
    }

    /// Compares `targets` with their rows. A plan that ended early continues after `resume`.
    pub(super) fn compare(&self, targets: &[PathBuf], resume: Option<&str>) -> Result<Plan, Error> {
        let (context, root) = (self.row.context, &self.row.task.root);
        let is_inner = |other: &&PathBuf| *other != root && other.starts_with(root);
        let except = context.roots.iter().filter(is_inner).map(|other| other.as_os_str().as_bytes().to_vec());
        let tick = |found: u64| {
            context.progress.found(found);
            if self.row.tick().is_err() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        };
        let plan = compare(&Scope {
            library: &context.library,
            retry: self.row.retry(),
            rules: Rules { root, extensions: &context.extensions, except: &except.collect::<Vec<_>>() },
            targets,
            baseline: &self.baseline,
            resume,
            tick: &tick,
        });
        self.row.check()?;
        Ok(plan?)
    }

    /// Refuses a plan with too many `missing` files. Files that only moved do not count. Adds to `signals` what would
    /// indicate that the files are back.
    pub(super) fn guard(
        &self,
        moves: &mut Moves<'_>,
        plan: &Arc<Plan>,
        missing: &[Vanished],
        signals: &mut Vec<RecoverySignal>,
    ) -> Result<(), Error> {
        match &plan.refusal {
            None => return Ok(()),
            Some(Refusal::Offline(why)) => return Err(self.row.offline(why.clone())),
            Some(Refusal::MassDeletion) => {}
        }
        let gone = self.count_unmoved(moves, plan, missing)?;
        if !is_mass_deletion(gone, plan.known) {
            return Ok(());
        }
        signals.extend(self.some_of(missing)?);
        Err(Error::MassDeletion { root: self.row.task.root.clone(), gone: gone as u64, known: plan.known })
    }

    /// Counts the missing files that have not moved: hashes new files until enough have been found or there are no more.
    fn count_unmoved(
        &self,
        moves: &mut Moves<'_>,
        plan: &Arc<Plan>,
        missing: &[Vanished],
    ) -> Result<usize, Error> {
        self.row.context.progress.enter(Phase::Hashing);
        let mut rows: HashSet<i64> = missing.iter().map(|row| row.id).collect();
        let sizes: HashSet<u64> = missing.iter().filter_map(|row| row.hash).map(ContentHash::size).collect();
        let (sizes, known) = (Arc::new(sizes), plan.known);
        let mut plan = Arc::clone(plan);
        loop {
            // The pool ends with the round, however the round ends.
            let stop = self.row.context.stop.child_token();
            let _guard = stop.clone().drop_guard();
            let hashes = self.hash_new(&plan, &sizes, stop)?;
            let mut is_last = false;
            while !is_last {
                let mut batch = Vec::new();
                while batch.len() < BATCH && !is_last {
                    match hashes.recv_timeout(SCAN_POLL_INTERVAL) {
                        Ok(hash) => batch.push(hash),
                        Err(RecvTimeoutError::Timeout) => {}
                        Err(RecvTimeoutError::Disconnected) => is_last = true,
                    }
                    self.row.tick()?;
                }
                for found in moves.find(&batch)?.into_values() {
                    rows.remove(&found.id);
                }
                if !is_mass_deletion(rows.len(), known) {
                    return Ok(rows.len());
                }
            }
            // The files may have moved to paths that did not fit into the plan.
            match &plan.resume {
                Some(resume) => plan = Arc::new(self.compare(&self.targets, Some(resume))?),
                None => return Ok(rows.len()),
            }
        }
    }

    /// Hashes the plan's new files of one of `sizes`.
    fn hash_new(
        &self,
        plan: &Arc<Plan>,
        sizes: &Arc<HashSet<u64>>,
        stop: CancellationToken,
    ) -> Result<Receiver<(usize, ContentHash)>, Error> {
        let (count, plan, sizes) = (plan.changes.len(), Arc::clone(plan), Arc::clone(sizes));
        let progress = Arc::clone(&self.row.context.progress);
        let root = self.row.open_root()?;
        let hash = move |index: usize| {
            progress.alive();
            let change = plan.changes.get(index)?;
            let is_wanted = change.is_new && sizes.contains(&change.size);
            let file = is_wanted.then(|| root.file(plan.path(change)).ok()).flatten()?;
            ContentHash::from_file(&file.into(), change.size).ok().map(|hash| (index, hash))
        };
        read::pool(count, stop, hash).map_err(Error::Threads)
    }

    /// The first and the last missing files: if one of them is back, the others may be too.
    fn some_of(&self, missing: &[Vanished]) -> Result<Vec<RecoverySignal>, Error> {
        let some = missing.iter().take(SIGNALS).chain(missing.iter().rev().take(SIGNALS));
        let ids: Vec<_> = some.map(|row| row.id).collect();
        let mut places = Vec::new();
        for path in self.row.read(|tx| files::paths(tx, &ids))?.iter().flatten() {
            let candidates = root::candidates(&self.row.task.root, path).into_iter().flatten();
            places.extend(candidates.map(RecoverySignal::Place));
        }
        Ok(places)
    }
}
