//! Is it an accident? What keeps a share that was late to mount, or a directory deleted by mistake, from being taken
//! for films that are gone. Changes nothing itself.

use std::collections::HashSet;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::RecvTimeoutError;
use std::time::Duration;

use super::mass_deletion::is_mass_deletion;
use super::{BATCH, Run, Summary};
use crate::library::files;
use crate::scan::compare::{Plan, Vanished};
use crate::scan::hash::ContentHash;
use crate::scan::progress::Phase;
use crate::scan::root::{self, Look, Offline, RecoverySignal};
use crate::scan::{Error, discover, read};

/// How many of the first and of the last vanished files are later looked at for having come back.
const SIGNALS: usize = 5;

impl Run<'_> {
    /// Looks that tell a root that is not what it was, before anything is changed.
    pub(super) fn guard(&self, look: &Look, before: &Summary, plan: &Plan) -> Result<(), Error> {
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

    /// Too much would go missing at once. Files that only moved do not count: all new ones of a size in question are
    /// hashed, until enough of them are found or there are no more.
    pub(super) fn guard_mass(
        &mut self,
        vanished: &[Vanished],
        plan: &Arc<Plan>,
        targets: &[PathBuf],
    ) -> Result<(), Error> {
        let (known, mut gone) = (plan.known, vanished.len());
        let excused = self.task.job.options.accept_missing || plan.walked.error_count > 0;
        if excused || !is_mass_deletion(gone, known) {
            return Ok(());
        }
        self.context.progress.enter(Phase::Hashing);
        let mut rows: HashSet<i64> = vanished.iter().map(|row| row.id).collect();
        let sizes: Arc<HashSet<u64>> =
            Arc::new(vanished.iter().filter_map(|row| row.hash).map(ContentHash::size).collect());
        let mut plan = Arc::clone(plan);
        loop {
            self.find_moved_of(&plan, &sizes, &mut |id| {
                gone -= usize::from(rows.remove(&id));
                is_mass_deletion(gone, known)
            })?;
            if !is_mass_deletion(gone, known) {
                return Ok(());
            }
            // What did not fit into the plan may be where they went.
            let Some(resume) = plan.resume.clone() else { break };
            plan = Arc::new(self.compare(targets, &[], Some(&resume))?);
        }
        self.signals.extend(self.some_of(vanished)?);
        Err(Error::MassDeletion { root: self.task.root.clone(), gone: gone as u64, known })
    }

    /// Hashes the plan's new files and calls `tell` with the id of each row that one of them is; ends when it returns
    /// false.
    fn find_moved_of(
        &mut self,
        plan: &Arc<Plan>,
        sizes: &Arc<HashSet<u64>>,
        tell: &mut dyn FnMut(i64) -> bool,
    ) -> Result<(), Error> {
        // The pool ends with this, however it ends.
        let stop = self.context.stop.child_token();
        let _guard = stop.clone().drop_guard();
        let (count, progress) = (plan.changes.len(), Arc::clone(&self.context.progress));
        let (plan, sizes) = (Arc::clone(plan), Arc::clone(sizes));
        let hashes = read::pool(count, stop, move |index| {
            progress.alive();
            let change = plan.changes.get(index)?;
            let is_wanted = change.is_new && sizes.contains(&change.size);
            let file = is_wanted.then(|| read::open(plan.path(change)).ok()).flatten()?;
            ContentHash::from_file(&file.into(), change.size).ok()
        })
        .map_err(Error::Threads)?;
        let mut batch = Vec::new();
        loop {
            let is_last = match hashes.recv_timeout(Duration::from_millis(100)) {
                Ok(hash) => {
                    batch.push(hash);
                    false
                }
                Err(RecvTimeoutError::Timeout) => false,
                Err(RecvTimeoutError::Disconnected) => true,
            };
            self.check()?;
            self.beat_if_due();
            if batch.len() >= BATCH || is_last {
                for found in self.find_moves(&batch)?.into_iter().flatten() {
                    if !tell(found.id) {
                        return Ok(());
                    }
                }
                batch.clear();
            }
            if is_last {
                return Ok(());
            }
        }
    }

    /// The first and the last of what is gone: when one of them is back, so may be the others.
    fn some_of(&self, vanished: &[Vanished]) -> Result<Vec<RecoverySignal>, Error> {
        let some = vanished.iter().take(SIGNALS).chain(vanished.iter().rev().take(SIGNALS));
        let ids: Vec<_> = some.map(|row| row.id).collect();
        let mut places = Vec::new();
        for path in self.read_library(|tx| files::paths(tx, &ids))?.iter().flatten() {
            places.extend(discover::path_candidates(path).map(RecoverySignal::Place));
        }
        Ok(places)
    }
}
