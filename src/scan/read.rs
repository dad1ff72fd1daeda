//! The pool of threads that read files. Network shares have a high latency, so there are more threads than cores.
//!
//! The threads are never joined: a scan may end while one of them still hangs in a read of a dead share.

use std::collections::HashSet;
use std::fs::File;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, sync_channel};

use rustix::fs::{FileType, RawMode, Stat};
use rustix::io::Errno;
use tokio_util::sync::CancellationToken;

use super::budget::{ReadBudget, ReadShare};
use super::hash::ContentHash;
use super::plan::Plan;
use super::progress::Progress;
use super::root::Beneath;
use super::{debounce, discover};
use crate::base::error;
use crate::base::timestamp::Timestamp;
use crate::media::{self, MediaInfo, Track};

/// Maximum number of readings that wait to be stored. [`ReadBudget`] bounds their bytes.
const BACKLOG: usize = 256;

/// The result of reading one file.
#[derive(Debug)]
pub(crate) enum Outcome {
    /// Its tracks.
    Read(MediaInfo),
    /// It cannot be parsed, for this reason; and how many bytes it lacks, if its container states that.
    Broken(String, Option<u64>),
    /// It could not be read, for this reason.
    Unreadable(String),
    /// It is still being written.
    Unsettled,
    /// It no longer exists.
    Gone,
}

/// One file read.
#[derive(Debug)]
pub(crate) struct Reading {
    /// Index in the changes of the plan.
    pub(crate) index: usize,
    /// The result.
    pub(crate) outcome: Outcome,
    /// Size in bytes, when it was read.
    pub(crate) size: u64,
    /// Its mtime, when it was read.
    pub(crate) modified: Timestamp,
    /// Its hash, if its size is that of a file that may have moved, or it ended with zeros.
    pub(crate) hash: Option<ContentHash>,
    /// Titles that were cut.
    pub(crate) cut_titles: u32,
    /// Its bytes in the budget of its round.
    share: Option<ReadShare>,
}

impl Reading {
    /// Of a file that was of this size and mtime before it is opened.
    pub(crate) fn new(index: usize, size: u64, modified: Timestamp) -> Self {
        Self { index, outcome: Outcome::Gone, size, modified, hash: None, cut_titles: 0, share: None }
    }

    /// What it takes in memory, and about what its rows take in a transaction.
    pub(crate) fn bytes(&self) -> usize {
        self.share.as_ref().map_or(0, ReadShare::bytes)
    }

    /// What it takes in memory, with its path.
    pub(crate) fn measured(&self, path: &Path) -> usize {
        // Of a track's other columns none is longer than some words.
        let track = |track: &Track| {
            let mut bytes = size_of::<Track>() + 64 + track.title.as_ref().map_or(0, String::len);
            track.facts.each(&mut |_, value| bytes += value.text_len());
            bytes
        };
        let outcome = match &self.outcome {
            Outcome::Read(info) => {
                let mut bytes = info.tracks.iter().map(track).sum();
                info.facts.each(&mut |_, value| bytes += value.text_len());
                bytes
            }
            Outcome::Broken(reason, _) | Outcome::Unreadable(reason) => reason.len(),
            Outcome::Unsettled | Outcome::Gone => 0,
        };
        size_of::<Self>() + path.as_os_str().len() + outcome
    }
}

/// How many threads read: twice the cores, at least 4.
fn threads() -> usize {
    std::thread::available_parallelism().map_or(4, |cores| (2 * cores.get()).max(4))
}

/// Runs `work` for every number below `count` on a pool of threads, in order; the results come out of the channel, which
/// ends after the last one, or soon after `stop`.
///
/// # Errors
/// When not even one thread could be started.
pub(crate) fn pool<T: Send + 'static>(
    count: usize,
    stop: CancellationToken,
    work: impl Fn(usize) -> Option<T> + Send + Sync + 'static,
) -> std::io::Result<Receiver<T>> {
    let (sender, receiver) = sync_channel(BACKLOG);
    let shared = Arc::new((AtomicUsize::new(0), stop, work));
    let mut started = Err(std::io::ErrorKind::WouldBlock.into());
    for number in 0..threads().min(count.max(1)) {
        let (shared, sender) = (Arc::clone(&shared), sender.clone());
        let thread = std::thread::Builder::new().name(format!("read-{number}"));
        let run = move || {
            let (next, stop, work) = &*shared;
            loop {
                let index = next.fetch_add(1, Ordering::Relaxed);
                if index >= count || stop.is_cancelled() {
                    return;
                }
                if work(index).is_some_and(|one| sender.send(one).is_err()) {
                    return;
                }
            }
        };
        match thread.spawn(run) {
            Ok(_) => started = Ok(()),
            // Fewer threads than wanted are enough.
            Err(error) => {
                started = started.or(Err(error));
                break;
            }
        }
    }
    started.map(|()| receiver)
}

/// Reads the files of the plan of `root`. A new file of one of `sizes` is hashed at once, and so is one that ended with
/// zeros: whether it is complete now is a change.
///
/// # Errors
/// As [`pool`].
pub(crate) fn start(
    root: Beneath,
    plan: Arc<Plan>,
    sizes: Arc<HashSet<u64>>,
    stop: CancellationToken,
    progress: Arc<Progress>,
) -> std::io::Result<Receiver<Reading>> {
    let budget = Arc::new(ReadBudget::default());
    pool(plan.changes.len(), stop, move |index| {
        let change = plan.changes.get(index)?;
        let wanted = |size| change.had_zero_tail || change.is_new && sizes.contains(&size);
        let path = plan.path(change);
        let unread = || Reading::new(index, change.size, change.modified);
        let mut reading = catch_unwind(AssertUnwindSafe(|| read(unread(), &root, path, &wanted)))
            .unwrap_or_else(|_| {
                let reason = "vpo crashed while it read the file; please report this bug, with the file";
                Reading { outcome: Outcome::Broken(reason.to_owned(), None), ..unread() }
            });
        reading.share = Some(budget.take(reading.measured(path)));
        progress.read();
        Some(reading)
    })
}

/// Reads one file into a new `reading`.
pub(crate) fn read(
    mut reading: Reading,
    root: &Beneath,
    path: &Path,
    hash_wanted: &dyn Fn(u64) -> bool,
) -> Reading {
    reading.outcome = match read_open(root, path, hash_wanted, &mut reading) {
        Ok(outcome) => outcome,
        // LOOP: a symbolic link has taken its place, or that of a directory above it.
        Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => Outcome::Gone,
        Err(error) => Outcome::Unreadable(error::at(path, error)),
    };
    reading
}

fn read_open(
    root: &Beneath,
    path: &Path,
    hash_wanted: &dyn Fn(u64) -> bool,
    reading: &mut Reading,
) -> Result<Outcome, Errno> {
    let file = File::from(root.file(path)?);
    let before = rustix::fs::fstat(&file)?;
    if FileType::from_raw_mode(before.st_mode as RawMode) != FileType::RegularFile {
        return Ok(Outcome::Gone);
    }
    reading.size = u64::try_from(before.st_size).unwrap_or_default();
    reading.modified = discover::modified(&before);
    if !debounce::is_quiet(reading.modified, Timestamp::now()) {
        return Ok(Outcome::Unsettled);
    }
    let (info, usage) = media::measure_file(&file);
    reading.cut_titles = usage.cut_titles;
    let outcome = match info {
        Ok(info) => Outcome::Read(info),
        Err(media::Error::Io(error)) => Outcome::Unreadable(error::plain(error)),
        Err(error) => Outcome::Broken(error.to_string(), error.missing_bytes()),
    };
    if hash_wanted(reading.size) {
        reading.hash = ContentHash::from_file(&file, reading.size).ok();
    }
    let after = rustix::fs::fstat(&file)?;
    Ok(if same(&before, &after) { outcome } else { Outcome::Unsettled })
}

pub(crate) fn same(before: &Stat, after: &Stat) -> bool {
    before.st_size == after.st_size
        && before.st_mtime == after.st_mtime
        && before.st_mtime_nsec == after.st_mtime_nsec
}
