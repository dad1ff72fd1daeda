//! The facts pass, after the hashing pass: reads again what an older prober has read, or a program without facts has recorded,
//! and deletes facts of rows that another program has deleted.
//!
//! One thread reads one file at a time, and a scan that is due ends the pass after the current file. What it has stored stays,
//! so the next pass continues. Files that are new or have changed never wait for it.

use std::path::{Path, PathBuf};
use std::time::Instant;

use super::hash_pass::{retry, root_of};
use super::history::History;
use super::job::{BATCH_BYTES, Context};
use super::plan::extension_of;
use super::progress::Phase;
use super::read::{self, Reading};
use super::root::Beneath;
use super::store::{self, Reread};
use super::{Error, discover, root};
use crate::base::times::SCAN_BATCH_AGE;
use crate::base::timestamp::Timestamp;
use crate::library::files::SAME_TIME;
use crate::library::files::facts::{self, Outdated};
use crate::library::files::writer::Writer;
use crate::library::subtitles;
use crate::media::PROBER_VERSION;

/// Rows that one query examines. A read transaction must not last long.
const EXAMINED: u32 = 5000;

/// Maximum number of rows that one transaction changes.
const BATCH: usize = 500;

/// What is to be done about facts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct FactsWork {
    /// A scan found files that no prober of this version has read.
    pub(crate) reread: bool,
    /// A whole root was scanned: facts may be left of rows that were deleted.
    pub(crate) sweep: bool,
}

impl FactsWork {
    /// Adds that of another scan.
    pub(crate) fn add(&mut self, other: Self) {
        self.reread |= other.reread;
        self.sweep |= other.sweep;
    }
}

/// Does the work below the context's roots, except unreachable ones, until the context is stopped. Returns the number of files
/// that were read again.
///
/// # Errors
/// Of the library; a file that cannot be read is left for the next pass.
pub(crate) fn run(context: &Context, work: FactsWork) -> Result<u64, Error> {
    if work.sweep {
        sweep(context)?;
    }
    if !work.reread || !context.library.write(retry(context), |tx| Ok(Writer::new(tx)?.stores_facts()))? {
        return Ok(0);
    }
    context.progress.enter(Phase::Rereading);
    let is_reachable = |root: &&PathBuf| !context.unreachable.contains(root);
    let roots: Vec<_> = context.roots.iter().filter(is_reachable).collect();
    let mut passes: Vec<_> = roots.iter().map(|root| Pass::new(context, root)).collect();
    let mut after = Some(0);
    while let Some(from) = after {
        let (rows, next) =
            context.library.read(retry(context), |tx| facts::outdated(tx, PROBER_VERSION, from, EXAMINED))?;
        after = next;
        for row in &rows {
            context.progress.alive();
            if context.stop.is_cancelled() {
                passes.iter_mut().try_for_each(Pass::store)?;
                return Err(Error::Cancelled);
            }
            let root = root_of(&roots, &row.path);
            if let Some(pass) = passes.iter_mut().find(|pass| Some(pass.root) == root) {
                pass.read(row)?;
            }
        }
    }
    passes.iter_mut().try_for_each(Pass::store)?;
    Ok(passes.iter().map(|pass| pass.count).sum())
}

/// Reads the files of one root again.
struct Pass<'a> {
    context: &'a Context,
    root: &'a Path,
    history: History,
    batch: Vec<Reread>,
    bytes: usize,
    oldest: Instant,
    /// Files that were stored.
    count: u64,
}

impl<'a> Pass<'a> {
    fn new(context: &'a Context, root: &'a Path) -> Self {
        let history = History {
            root: discover::stored(root),
            is_first: false,
            is_adopted: false,
            fills_subtitles: false,
            entries: [None; 3],
        };
        Self { context, root, history, batch: Vec::new(), bytes: 0, oldest: Instant::now(), count: 0 }
    }

    fn read(&mut self, row: &Outdated) -> Result<(), Error> {
        let Some(found) = read_again(self.root, row) else { return Ok(()) };
        if self.batch.is_empty() {
            (self.oldest, self.bytes) = (Instant::now(), 0);
        }
        self.bytes += found.reading.measured(Path::new(&found.path));
        self.batch.push(found);
        let is_full = self.batch.len() >= BATCH || self.bytes >= BATCH_BYTES;
        if is_full || self.oldest.elapsed() > SCAN_BATCH_AGE { self.store() } else { Ok(()) }
    }

    fn store(&mut self) -> Result<(), Error> {
        if self.batch.is_empty() {
            return Ok(());
        }
        let (context, batch, history) = (self.context, &self.batch, &mut self.history);
        self.count += context.library.write(retry(context), |tx| store::refresh(tx, batch, history))?;
        context.progress.set_library_busy(false);
        self.batch.clear();
        Ok(())
    }
}

/// Reads the file of a row, if it still is the file that the row describes: what has changed is read by the next scan.
fn read_again(root: &Path, row: &Outdated) -> Option<Reread> {
    let beneath = Beneath::new(root).ok()?;
    root::present(root, &row.path).ok()?.iter().find_map(|path| {
        // One that is not opened is not the same.
        let unread = Reading::new(0, 0, Timestamp::from_unix(0, 0));
        let reading = read::read(unread, &beneath, path, &|_| false);
        let is_same = reading.size == row.size && reading.modified.distance(row.modified) <= SAME_TIME;
        let found = Reread { id: row.id, path: row.path.clone(), extension: extension_of(path), reading };
        is_same.then_some(found)
    })
}

/// Deletes the facts of rows that are gone.
fn sweep(context: &Context) -> Result<(), Error> {
    let mut after = Some(i64::MIN);
    while let Some(from) = after {
        context.progress.alive();
        let (ids, next) = context.library.read(retry(context), |tx| facts::orphans(tx, from, EXAMINED))?;
        after = next;
        for ids in ids.chunks(BATCH) {
            context.library.write(retry(context), |tx| {
                Writer::new(tx)?.forget(ids)?;
                let mut subtitles = subtitles::Writer::new(tx)?;
                ids.iter().try_for_each(|id| subtitles.clear(*id))
            })?;
        }
    }
    Ok(())
}
