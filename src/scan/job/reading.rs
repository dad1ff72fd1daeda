//! Reading what is new or changed, and storing it a batch at a time.

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::RecvTimeoutError;
use std::time::{Duration, Instant};

use super::moves::Move;
use super::{BATCH, Run};
use crate::base::timestamp::Timestamp;
use crate::library::files::writer::Writer;
use crate::scan::compare::Plan;
use crate::scan::progress::Phase;
use crate::scan::read::{self, Outcome, Reading};
use crate::scan::store::{self, Stored};
use crate::scan::{Error, debounce};

/// The longest that a file read waits for its transaction.
const BATCH_AGE: Duration = Duration::from_secs(1);

/// Rounds of looking again at files that were being written, for a scan that somebody waits for.
const SETTLE_ROUNDS: u32 = 2;

/// Files to look at again that are remembered one by one; of more, the whole root is looked at.
const UNSETTLED_KEPT: usize = 1000;

impl Run<'_> {
    /// Files that are plainly still being written need not be opened to know it.
    pub(super) fn put_off_unquiet(&mut self, plan: &mut Plan) {
        let now = Timestamp::now();
        let (quiet, unquiet): (Vec<_>, Vec<_>) = std::mem::take(&mut plan.changes)
            .into_iter()
            .partition(|change| debounce::is_quiet(change.modified, now));
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
    pub(super) fn read_rounds(&mut self, mut plan: Arc<Plan>, targets: &[PathBuf]) -> Result<(), Error> {
        self.context.progress.expect(plan.to_read);
        loop {
            let resume = plan.resume.clone();
            self.read_round(&plan)?;
            let Some(resume) = resume else { return Ok(()) };
            self.context.progress.enter(Phase::Walking);
            let mut next = self.compare(targets, &[], Some(&resume))?;
            self.put_off_unquiet(&mut next);
            plan = Arc::new(next);
        }
    }

    fn read_round(&mut self, plan: &Arc<Plan>) -> Result<(), Error> {
        if plan.changes.is_empty() {
            return Ok(());
        }
        self.context.progress.enter(Phase::Reading);
        // The pool ends with the round, however the round ends.
        let stop = self.context.stop.child_token();
        let _guard = stop.clone().drop_guard();
        let (sizes, progress) = (Arc::clone(&self.sizes), Arc::clone(&self.context.progress));
        let readings = read::start(Arc::clone(plan), sizes, stop, progress).map_err(Error::Threads)?;
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
                    return self.store(plan, &mut batch);
                }
            }
            self.check()?;
            if batch.len() >= BATCH || (!batch.is_empty() && oldest.elapsed() > BATCH_AGE) {
                self.store(plan, &mut batch)?;
            }
            self.beat_if_due();
        }
    }

    /// Stores a batch in one transaction, and the heartbeat with it.
    fn store(&mut self, plan: &Plan, batch: &mut Vec<Reading>) -> Result<(), Error> {
        if batch.is_empty() {
            return Ok(());
        }
        let moves = self.moves_of(plan, batch)?;
        self.heartbeat = Instant::now();
        let (stored, relocated) = self.write(|tx| {
            let outcome = store::batch(&mut Writer::new(tx)?, plan, batch, &moves)?;
            self.record_progress(tx)?;
            Ok(outcome)
        })?;
        self.moved.extend(relocated);
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

    /// Which of the readings are moved files, by their index. A row goes with one file only.
    fn moves_of(&mut self, plan: &Plan, batch: &[Reading]) -> Result<HashMap<usize, Move>, Error> {
        let is_new = |reading: &Reading| plan.changes.get(reading.index).is_some_and(|change| change.is_new);
        let (indices, hashes): (Vec<_>, Vec<_>) = batch
            .iter()
            .filter(|reading| is_new(reading))
            .filter_map(|reading| Some((reading.index, reading.hash?)))
            .unzip();
        let mut taken = HashSet::new();
        let found = indices.into_iter().zip(self.find_moves(&hashes)?);
        Ok(found
            .filter_map(|(index, one)| Some((index, one?)))
            .filter(|(_, one)| taken.insert(one.id))
            .collect())
    }

    fn count(&mut self, stored: Stored) {
        self.summary.added += stored.added;
        self.summary.updated += stored.updated;
        self.summary.moved += stored.moved;
        self.summary.errors += stored.errors;
        self.summary.unreadable += stored.unreadable;
    }

    /// Looks again at files that were being written, where somebody waits for the scan.
    pub(super) fn settle(&mut self) -> Result<(), Error> {
        if self.task.job.options.wait {
            for _ in 0..SETTLE_ROUNDS {
                if self.unsettled.is_empty() {
                    break;
                }
                self.context.progress.enter(Phase::Settling);
                let until = Instant::now() + debounce::DEBOUNCE + Duration::from_millis(50);
                while Instant::now() < until {
                    self.check()?;
                    self.beat_if_due();
                    std::thread::sleep(Duration::from_millis(20));
                }
                let targets = self.again();
                let mut plan = self.compare(&targets, &[], None)?;
                self.put_off_unquiet(&mut plan);
                self.read_rounds(Arc::new(plan), &targets)?;
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
}
