//! The hashing pass: adds the hashes of rows without one, so that a later move of the file is recognised. After an
//! interruption the next pass continues.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::time::Instant;

use super::facts_pass::{self, FactsWork};
use super::hash::ContentHash;
use super::job::Context;
use super::progress::Phase;
use super::root::Beneath;
use super::{Error, discover, read, root};
use crate::base::times::SCAN_BATCH_AGE;
use crate::base::timestamp::Timestamp;
use crate::library::changes::{Journal, Kind};
use crate::library::files::facts::Cut;
use crate::library::files::writer::Writer;
use crate::library::files::{self, SAME_TIME, Unhashed};
use crate::library::{Retry, sqlite};

/// Rows that one query returns, and hashes written in one transaction.
const BATCH: u32 = 500;

/// The result of a pass.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Hashed {
    /// Files hashed.
    pub files: u64,
    /// Files read again for their facts.
    pub reread: u64,
    /// Wall-clock time.
    pub seconds: f64,
}

/// Hashes the files without a hash below the context's roots, except unreachable ones, until the context is stopped. Then does
/// the work about facts.
///
/// # Errors
/// Of the library; a file that cannot be read is left for the next pass.
pub(crate) fn run(context: &Context, work: FactsWork) -> Result<Hashed, Error> {
    let start = Instant::now();
    let mut hashed = Hashed::default();
    let mut after = 0;
    let is_reachable = |root: &&PathBuf| !context.unreachable.contains(root);
    let roots: Vec<_> = context.roots.iter().filter(is_reachable).collect();
    context.progress.enter(Phase::Hashing);
    loop {
        let rows = context.library.read(retry(context), |tx| files::unhashed(tx, after, BATCH))?;
        context.progress.set_library_busy(false);
        let Some(last) = rows.last() else { break };
        after = last.id;
        let mut batch: Vec<(&Unhashed, ContentHash)> = Vec::new();
        let mut oldest = Instant::now();
        for row in &rows {
            context.progress.alive();
            if context.stop.is_cancelled() {
                break;
            }
            let Some(root) = root_of(&roots, &row.path) else { continue };
            let paths = root::present(root, &row.path).unwrap_or_default();
            if let Some(hash) = paths.iter().find_map(|path| hash_of(root, path, row)) {
                if batch.is_empty() {
                    oldest = Instant::now();
                }
                batch.push((row, hash));
            }
            if oldest.elapsed() > SCAN_BATCH_AGE {
                hashed.files += store(context, &mut batch)?;
            }
        }
        hashed.files += store(context, &mut batch)?;
        if context.stop.is_cancelled() {
            return Err(Error::Cancelled);
        }
    }
    hashed.seconds = start.elapsed().as_secs_f64();
    hashed.reread = facts_pass::run(context, work)?;
    Ok(hashed)
}

/// The innermost root above a stored path. Roots are UTF-8, so their stored form is the same.
pub(super) fn root_of<'a>(roots: &[&'a PathBuf], path: &str) -> Option<&'a Path> {
    let above = roots.iter().map(|root| root.as_path()).filter(|root| Path::new(path).starts_with(root));
    above.max_by_key(|root| root.as_os_str().len())
}

/// Waits for a locked database until the pass is stopped. Each retry bumps the heartbeat.
pub(super) fn retry(context: &Context) -> Retry<'_> {
    Retry::until_cancelled(&context.stop).observed_by(&*context.progress)
}

/// The hash of a row's file, if it still is the file that the row describes.
fn hash_of(root: &Path, path: &Path, row: &Unhashed) -> Option<ContentHash> {
    let file = File::from(Beneath::new(root).ok()?.file(path).ok()?);
    let before = rustix::fs::fstat(&file).ok()?;
    let same_size = u64::try_from(before.st_size).ok() == Some(row.size);
    let distance = Timestamp::parse(&row.modified)?.distance(discover::modified(&before));
    if !same_size || distance > SAME_TIME {
        return None;
    }
    let hash = ContentHash::from_file(&file, row.size).ok()?;
    let after = rustix::fs::fstat(&file).ok()?;
    read::same(&before, &after).then_some(hash)
}

fn store(context: &Context, batch: &mut Vec<(&Unhashed, ContentHash)>) -> Result<u64, Error> {
    if batch.is_empty() {
        return Ok(0);
    }
    // Also after a stop, unless the database is locked.
    context.library.write(retry(context), |tx| {
        let mut writer = Writer::new(tx)?;
        batch.iter().try_for_each(|(row, hash)| writer.set_hash(row, &hash.to_string()))?;
        record_zero_tails(tx, batch)
    })?;
    context.progress.set_library_busy(false);
    Ok(batch.drain(..).count() as u64)
}

/// Records which files end with zeros in place of their content. A file that did so before was hashed by the scan.
fn record_zero_tails(tx: &sqlite::Transaction<'_>, batch: &[(&Unhashed, ContentHash)]) -> sqlite::Result<()> {
    let mut cut = batch.iter().filter(|(_, hash)| hash.has_zero_tail()).peekable();
    if cut.peek().is_none() {
        return Ok(());
    }
    let mut journal = Journal::new(tx)?;
    cut.try_for_each(|(row, _)| {
        // What a first scan or one of adopted content found is part of its entry.
        let is_cut = journal.before(&row.path)?.is_some_and(|found| found.cut == Some(Cut::Zeros));
        if is_cut && journal.is_recorded(row.id)? {
            journal.record(Kind::Truncated, row.id, &row.path, Some(&Cut::Zeros.to_string()))?;
        }
        Ok(())
    })
}
