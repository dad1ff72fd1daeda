//! Applies a plan: reads what is new or changed and stores it a batch at a time, then marks what is missing.

use std::collections::HashSet;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::RecvTimeoutError;
use std::time::Instant;

use tracing::info;

use super::moves::Moves;
use super::planning::PlannedScan;
use super::row::JobRow;
use super::{BATCH, BATCH_BYTES, ScanResult};
use crate::base::retry::Failure;
use crate::base::times::{SCAN_BATCH_AGE, SCAN_POLL_INTERVAL, SCAN_SETTLE_WAIT};
use crate::library::changes::Kind;
use crate::library::files;
use crate::library::files::writer::Writer;
use crate::scan::examples::Examples;
use crate::scan::history::{History, Recorder};
use crate::scan::plan::{Plan, Vanished};
use crate::scan::progress::Phase;
use crate::scan::read::{self, Reading};
use crate::scan::root;
use crate::scan::{Error, store};

/// Rounds in which files that were being written are checked again, in a scan that a user waits for.
const SETTLE_ROUNDS: u32 = 2;

/// Applies the plans of one scan.
pub(super) struct Apply<'a> {
    pub(super) row: &'a JobRow<'a>,
    pub(super) scan: &'a PlannedScan<'a>,
    pub(super) moves: Moves<'a>,
    /// Sizes of files that may have moved: a new file of such a size is hashed at once.
    pub(super) sizes: Arc<HashSet<u64>>,
    /// Rows that followed their files.
    pub(super) moved: HashSet<i64>,
    /// How changes are recorded.
    pub(super) history: History,
    pub(super) result: &'a mut ScanResult,
}

impl Apply<'_> {
    /// Reads and stores the changes of the plan, and those that did not fit into it.
    pub(super) fn read_rounds(&mut self, mut plan: Arc<Plan>, targets: &[PathBuf]) -> Result<(), Error> {
        self.row.context.progress.expect(plan.to_read);
        loop {
            let resume = plan.resume.clone();
            self.store_subtitles(&plan)?;
            self.read_round(&plan)?;
            let Some(resume) = resume else { return Ok(()) };
            drop(plan);
            self.row.context.progress.enter(Phase::Walking);
            let next = self.scan.compare(targets, Some(&resume))?;
            self.result.take_later_walk(&next);
            self.result.put_off(&next);
            plan = Arc::new(next);
        }
    }

    /// Stores the subtitle files of unchanged videos.
    fn store_subtitles(&mut self, plan: &Plan) -> Result<(), Error> {
        for others in plan.subtitles.chunks(BATCH) {
            let history = &mut self.history;
            let stored =
                self.row.write_with_heartbeat(|tx| store::other_subtitles(tx, plan, others, history))?;
            self.result.add(stored);
            self.row.tick()?;
        }
        Ok(())
    }

    fn read_round(&mut self, plan: &Arc<Plan>) -> Result<(), Error> {
        if plan.changes.is_empty() {
            return Ok(());
        }
        let context = self.row.context;
        context.progress.enter(Phase::Reading);
        // The pool ends with the round, however the round ends.
        let stop = context.stop.child_token();
        let _guard = stop.clone().drop_guard();
        let (sizes, progress) = (Arc::clone(&self.sizes), Arc::clone(&context.progress));
        let root = self.row.open_root()?;
        let readings = read::start(root, Arc::clone(plan), sizes, stop, progress).map_err(Error::Threads)?;
        let mut batch = Vec::with_capacity(BATCH);
        let mut oldest = Instant::now();
        let mut bytes = 0;
        loop {
            match readings.recv_timeout(SCAN_POLL_INTERVAL) {
                Ok(reading) => {
                    if batch.is_empty() {
                        (oldest, bytes) = (Instant::now(), 0);
                    }
                    bytes += reading.bytes();
                    batch.push(reading);
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => {
                    self.row.check()?;
                    return self.store(plan, &mut batch);
                }
            }
            self.row.check()?;
            let is_full = batch.len() >= BATCH || bytes >= BATCH_BYTES;
            if is_full || (!batch.is_empty() && oldest.elapsed() > SCAN_BATCH_AGE) {
                self.store(plan, &mut batch)?;
            }
            self.row.tick()?;
        }
    }

    /// Stores a batch in one transaction, and the heartbeat with it.
    fn store(&mut self, plan: &Plan, batch: &mut Vec<Reading>) -> Result<(), Error> {
        if batch.is_empty() {
            return Ok(());
        }
        let is_new = |reading: &&Reading| plan.changes.get(reading.index).is_some_and(|change| change.is_new);
        let new = batch.iter().filter(is_new);
        let hashed: Vec<_> = new.filter_map(|reading| Some((reading.index, reading.hash?))).collect();
        let moves = self.moves.find(&hashed)?;
        let history = &mut self.history;
        let (stored, relocated) =
            self.row.write_with_heartbeat(|tx| store::batch(tx, plan, batch, &moves, history))?;
        self.moved.extend(relocated);
        self.row.context.progress.stored(batch.len() as u64, stored.errors);
        self.result.count(stored, plan, batch.drain(..));
        Ok(())
    }

    /// Checks files that were being written again, if a user waits for the scan.
    pub(super) fn settle(&mut self) -> Result<(), Error> {
        let JobRow { context, task, .. } = self.row;
        if task.job.options.wait {
            for _ in 0..SETTLE_ROUNDS {
                let targets = self.result.take_unsettled(&task.root);
                if targets.is_empty() {
                    break;
                }
                self.result.summary.unsettled = 0;
                self.result.summary.unsettled_examples = Examples::default();
                context.progress.enter(Phase::Settling);
                // Until the wait is over, or the scan is cancelled.
                let tick = || self.row.tick().err().ok_or(Failure::Temporary(()));
                if let Ok(error) = SCAN_SETTLE_WAIT.run(None, tick) {
                    return Err(error);
                }
                let plan = self.scan.compare(&targets, None)?;
                self.result.take_later_walk(&plan);
                self.result.put_off(&plan);
                self.read_rounds(Arc::new(plan), &targets)?;
            }
        }
        Ok(())
    }

    /// Records missing files, after the root was examined once more: its share may have vanished during the walk.
    pub(super) fn mark_missing(&mut self, mut missing: Vec<Vanished>) -> Result<(), Error> {
        missing.retain(|row| !self.moved.contains(&row.id));
        if missing.is_empty() {
            return Ok(());
        }
        self.row.context.progress.enter(Phase::Missing);
        let now = root::look(&self.row.task.root).map_err(|why| self.row.offline(why))?;
        self.scan.baseline.check_again(&now).map_err(|why| self.row.offline(why))?;
        for rows in missing.chunks(BATCH) {
            let gone = self.really_gone(rows)?;
            let history = &mut self.history;
            let removed = self.row.write(|tx| {
                let (mut writer, mut recorder) = (Writer::new(tx)?, Recorder::new(history, tx)?);
                let mut removed = Vec::with_capacity(gone.len());
                for (id, path) in &gone {
                    // A row that was moved or changed meanwhile stays as it is.
                    let is_news = writer.mark_missing(*id, path)?;
                    if is_news {
                        recorder.file(*id, path, &[Kind::Missing], None)?;
                    }
                    removed.push(is_news);
                }
                recorder.end()?;
                Ok(removed)
            })?;
            for ((id, path), _) in gone.iter().zip(removed).filter(|(_, removed)| *removed) {
                info!(file_path = path, file_id = id, "a file is missing");
                self.result.summary.removed += 1;
            }
        }
        Ok(())
    }

    /// The rows whose files are still absent, with their paths.
    fn really_gone(&self, rows: &[Vanished]) -> Result<Vec<(i64, String)>, Error> {
        let ids: Vec<_> = rows.iter().map(|row| row.id).collect();
        let paths = self.row.read(|tx| files::paths(tx, &ids))?;
        let mut gone = Vec::new();
        for (row, path) in rows.iter().zip(paths) {
            self.row.tick()?;
            self.row.context.progress.alive();
            if let Some(path) = path.filter(|path| root::is_gone(&self.row.task.root, path) == Ok(true)) {
                gone.push((row.id, path));
            }
        }
        Ok(gone)
    }
}
