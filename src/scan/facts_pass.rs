//! The facts pass, after the hashing pass: reads again what an older prober has read, or a program without facts has recorded,
//! and deletes facts of rows that another program has deleted.
//!
//! One thread reads one file at a time, and a scan that is due ends the pass after the current file. What it has stored stays,
//! so the next pass continues. Files that are new or have changed never wait for it.

use std::path::{Path, PathBuf};
use std::time::Instant;

use super::hash_pass::{retry, root_of};
use super::job::{BATCH_BYTES, Context};
use super::plan::extension_of;
use super::progress::Phase;
use super::read::{self, Reading};
use super::root::Beneath;
use super::{Error, root, store};
use crate::base::times::SCAN_BATCH_AGE;
use crate::library::files::SAME_TIME;
use crate::library::files::facts::{self, Outdated};
use crate::library::files::writer::Writer;
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
    let (mut count, mut after) = (0, Some(0));
    while let Some(from) = after {
        let (rows, next) =
            context.library.read(retry(context), |tx| facts::outdated(tx, PROBER_VERSION, from, EXAMINED))?;
        after = next;
        count += reread(context, &roots, &rows)?;
    }
    Ok(count)
}

/// A file that was read again.
struct Reread {
    id: i64,
    /// As stored.
    path: String,
    extension: String,
    reading: Reading,
}

fn reread(context: &Context, roots: &[&PathBuf], rows: &[Outdated]) -> Result<u64, Error> {
    let (mut batch, mut bytes, mut count) = (Vec::new(), 0, 0);
    let mut oldest = Instant::now();
    for row in rows {
        context.progress.alive();
        if context.stop.is_cancelled() {
            break;
        }
        let Some(found) = root_of(roots, &row.path).and_then(|root| read_again(root, row)) else { continue };
        if batch.is_empty() {
            (oldest, bytes) = (Instant::now(), 0);
        }
        bytes += found.reading.measured(Path::new(&found.path));
        batch.push(found);
        if batch.len() >= BATCH || bytes >= BATCH_BYTES || oldest.elapsed() > SCAN_BATCH_AGE {
            count += store(context, &mut batch)?;
        }
    }
    count += store(context, &mut batch)?;
    if context.stop.is_cancelled() { Err(Error::Cancelled) } else { Ok(count) }
}

/// Reads the file of a row, if it still is the file that the row describes: what has changed is read by the next scan.
fn read_again(root: &Path, row: &Outdated) -> Option<Reread> {
    let beneath = Beneath::new(root).ok()?;
    root::present(root, &row.path).ok()?.iter().find_map(|path| {
        let reading = read::read(0, &beneath, path, &|_| false);
        let is_same = reading.size == row.size && reading.modified.distance(row.modified) <= SAME_TIME;
        let found = Reread { id: row.id, path: row.path.clone(), extension: extension_of(path), reading };
        is_same.then_some(found)
    })
}

fn store(context: &Context, batch: &mut Vec<Reread>) -> Result<u64, Error> {
    if batch.is_empty() {
        return Ok(0);
    }
    let count = context.library.write(retry(context), |tx| {
        let mut writer = Writer::new(tx)?;
        let mut count = 0;
        for Reread { id, path, extension, reading } in &*batch {
            count += u64::from(store::refresh(&mut writer, *id, path, extension, reading)?);
        }
        Ok(count)
    })?;
    context.progress.set_library_busy(false);
    batch.clear();
    Ok(count)
}

/// Deletes the facts of rows that are gone.
fn sweep(context: &Context) -> Result<(), Error> {
    let mut after = Some(i64::MIN);
    while let Some(from) = after {
        context.progress.alive();
        let (ids, next) = context.library.read(retry(context), |tx| facts::orphans(tx, from, EXAMINED))?;
        after = next;
        for ids in ids.chunks(BATCH) {
            context.library.write(retry(context), |tx| Writer::new(tx)?.forget(ids))?;
        }
    }
    Ok(())
}
