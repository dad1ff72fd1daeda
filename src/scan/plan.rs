//! The plan of a scan: entries of a walk × rows of the library × what an earlier scan recorded → what is new, changed
//! or gone, and whether the scan must be refused. Accesses neither disk nor database: their contents are passed in.
//!
//! Entries and rows come ordered by path, so planning is one merge of two sorted lists. Only differences are kept.

mod baseline;

use std::collections::{HashMap, HashSet};
use std::ffi::OsStr;
use std::iter::Peekable;
use std::ops::Range;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use rustix::io::Errno;

use super::debounce;
use super::discover::{self, Found, Walked};
use super::hash::ContentHash;
use super::root::Offline;
use crate::base::timestamp::Timestamp;
use crate::library::files::facts::Probed;
use crate::library::files::{Known, SAME_TIME, Span, Status};
use crate::media::PROBER_VERSION;
pub(crate) use baseline::Baseline;

/// Maximum bytes of paths in one round. The rest is left for the next round, so that the first scan of a million files needs
/// no more memory than that of a hundred thousand.
const ROOM: usize = 6 << 20;

/// If at least this many files, and more than this share of the root's, would go missing at once, the scan is refused.
const MASS: usize = 10;
const MASS_PERCENT: u64 = 30;

/// Whether `gone` of `known` files are too many to go missing at once.
pub(crate) fn is_mass_deletion(gone: usize, known: u64) -> bool {
    gone >= MASS && gone as u64 * 100 > known * MASS_PERCENT
}

/// A file to be read.
#[derive(Clone, Debug)]
pub(crate) struct Change {
    path: Range<u32>,
    /// Size in bytes, at the walk.
    pub(crate) size: u64,
    /// Its mtime, at the walk.
    pub(crate) modified: Timestamp,
    /// Whether it has no row: it is new or moved. Otherwise it has changed.
    pub(crate) is_new: bool,
    /// Its row says that it ended with zeros.
    pub(crate) had_zero_tail: bool,
    /// Names of its subtitle files; `None` if they are not known.
    subtitles: Option<Range<u32>>,
}

/// An unchanged file with other subtitle files beside it than recorded.
#[derive(Clone, Debug)]
pub(crate) struct OtherSubtitles {
    /// `files.id`
    pub(crate) id: i64,
    path: Range<u32>,
    names: Range<u32>,
}

/// A row whose file is gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Vanished {
    pub(crate) id: i64,
    pub(crate) hash: Option<ContentHash>,
}

/// A row of which the file was found elsewhere.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Move {
    /// `files.id`
    pub(crate) id: i64,
    /// The path at which it no longer exists.
    pub(crate) from: String,
}

/// Chooses for each file, given by its index, the row that moves with it: the only row of its content that is gone. If
/// several are, none is chosen. A row moves with one file only.
pub(crate) fn choose_moves(files: impl IntoIterator<Item = (usize, Vec<Move>)>) -> HashMap<usize, Move> {
    let mut taken = HashSet::new();
    let only = |(index, mut gone): (usize, Vec<Move>)| Some((index, gone.pop().filter(|_| gone.is_empty())?));
    files.into_iter().filter_map(only).filter(|(_, one)| taken.insert(one.id)).collect()
}

/// Why a plan is refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// The root is absent or has changed.
    Offline(Offline),
    /// Too many files would go missing at once, unless enough of them have moved.
    MassDeletion,
}

/// The extension of a file as the library stores it: in lower case.
pub(crate) fn extension_of(path: &Path) -> String {
    path.extension().unwrap_or_default().to_ascii_lowercase().to_string_lossy().into_owned()
}

/// The result of one comparison.
#[derive(Debug, Default)]
pub(crate) struct Plan {
    paths: Vec<u8>,
    /// To be read, in the order of their paths.
    pub(crate) changes: Vec<Change>,
    /// Changes that are still being written ([`Plan::put_off`]).
    pub(crate) unquiet: Vec<Change>,
    /// Unchanged files of which the subtitle files have changed.
    pub(crate) subtitles: Vec<OtherSubtitles>,
    /// Rows whose files are gone.
    pub(crate) missing: Vec<Vanished>,
    /// Mounts below the root that are gone, and how many rows have lost their files with each. These keep their status.
    pub(crate) unmounted: Vec<(String, u64)>,
    /// Why nothing of it may be applied.
    pub(crate) refusal: Option<Refusal>,
    /// Videos found.
    pub(crate) found: u64,
    /// Of them, those as their rows say.
    pub(crate) unchanged: u64,
    /// Of the unchanged, those whose facts no prober of this version has read.
    pub(crate) outdated: u64,
    /// Of them, those to be read, with the ones that did not fit.
    pub(crate) to_read: u64,
    /// Rows that are not missing.
    pub(crate) known: u64,
    /// How the walk went.
    pub(crate) walked: Walked,
    /// Not all changes fitted: go on after this path.
    pub(crate) resume: Option<String>,
}

impl Plan {
    /// The path of a change, for the kernel.
    pub(crate) fn path(&self, change: &Change) -> &Path {
        Path::new(OsStr::from_bytes(self.bytes(&change.path)))
    }

    /// The path of a change as the library stores it, and its extension in lower case.
    pub(crate) fn stored_path(&self, change: &Change) -> (String, String) {
        let path = self.path(change);
        (discover::stored(path), extension_of(path))
    }

    /// The names of a change's subtitle files, as [`Found::subtitles`].
    pub(crate) fn subtitles(&self, change: &Change) -> Option<&str> {
        let names = self.bytes(change.subtitles.as_ref()?);
        std::str::from_utf8(names).ok()
    }

    /// The stored path of an unchanged file, and the names of its subtitle files.
    pub(crate) fn other_subtitles(&self, other: &OtherSubtitles) -> (String, &str) {
        let path = discover::encode_path(self.bytes(&other.path));
        (path, std::str::from_utf8(self.bytes(&other.names)).unwrap_or_default())
    }

    fn bytes(&self, range: &Range<u32>) -> &[u8] {
        self.paths.get(range.start as usize..range.end as usize).unwrap_or_default()
    }

    /// Keeps some bytes of a path or of names.
    fn keep(&mut self, bytes: &[u8]) -> Range<u32> {
        let start = u32::try_from(self.paths.len()).unwrap_or(u32::MAX);
        self.paths.extend_from_slice(bytes);
        start..u32::try_from(self.paths.len()).unwrap_or(u32::MAX)
    }

    /// Sets the changes aside that are still being written at `now`.
    pub(crate) fn put_off(&mut self, now: Timestamp) {
        let is_unquiet = |change: &mut Change| !debounce::is_quiet(change.modified, now);
        self.unquiet.extend(self.changes.extract_if(.., is_unquiet));
        self.to_read -= self.unquiet.len() as u64;
    }

    /// All changes of this round.
    pub(crate) fn all_changes(&self) -> impl Iterator<Item = &Change> {
        self.changes.iter().chain(&self.unquiet)
    }

    /// Nothing is to be read or marked.
    pub(crate) fn is_idle(&self) -> bool {
        self.to_read == 0 && self.missing.is_empty() && self.subtitles.is_empty()
    }

    /// Mount points below the root for the next scan to compare with. One that is gone is remembered until it is back or
    /// confirmed; one that may not have been reached, until a walk without errors.
    pub(crate) fn mounts(&self, baseline: &Baseline) -> Vec<String> {
        let mut mounts = self.walked.mounts.clone();
        mounts.extend(self.unmounted.iter().map(|(mount, _)| mount.clone()));
        if !baseline.accept_missing && self.walked.error_count > 0 {
            let others: Vec<_> =
                baseline.mounts.iter().filter(|mount| !mounts.contains(mount)).cloned().collect();
            mounts.extend(others);
        }
        mounts
    }

    fn refuse(&self, baseline: &Baseline) -> Option<Refusal> {
        if baseline.accept_missing || self.missing.is_empty() {
            return None;
        }
        if let Err(why) = baseline.check() {
            return Some(Refusal::Offline(why));
        }
        is_mass_deletion(self.missing.len(), self.known).then_some(Refusal::MassDeletion)
    }
}

/// Makes a plan, an entry at a time.
pub(crate) struct Planner<'a> {
    baseline: &'a Baseline,
    /// Other roots within this one.
    except: Vec<Span>,
    /// Changes up to this path were planned by an earlier round.
    resume: Option<&'a str>,
    /// Whether there is no file of a stored path.
    is_gone: &'a dyn Fn(&str) -> Result<bool, Errno>,
    /// Per mount of the baseline, the rows whose files are gone from it.
    below_mounts: Vec<(Span, Vec<Vanished>)>,
    plan: Plan,
}

impl<'a> Planner<'a> {
    pub(crate) fn new(
        baseline: &'a Baseline,
        except: Vec<Span>,
        resume: Option<&'a str>,
        is_gone: &'a dyn Fn(&str) -> Result<bool, Errno>,
    ) -> Self {
        let below_mounts = baseline.mounts.iter().map(|mount| (Span::below(mount), Vec::new())).collect();
        Self { baseline, except, resume, is_gone, below_mounts, plan: Plan::default() }
    }

    /// How many videos were found.
    pub(crate) fn found(&self) -> u64 {
        self.plan.found
    }

    /// Takes the next entry of the walk, and the rows up to its path.
    pub(crate) fn entry<E>(
        &mut self,
        found: &Found<'_>,
        rows: &mut Peekable<impl Iterator<Item = Result<Known, E>>>,
    ) -> Result<(), E> {
        self.plan.found += 1;
        let is_up_to = |row: &Result<Known, E>| row.as_ref().map_or(true, |row| *row.path <= *found.path);
        while let Some(row) = rows.next_if(is_up_to).transpose()? {
            if row.path == found.path {
                self.known(&row, found);
                return Ok(());
            }
            self.no_entry(&row);
        }
        self.change(found, None);
        Ok(())
    }

    /// Takes a place that the walk could not read, and the rows up to its end: those of the place itself are not missing,
    /// because the walk does not know what is there.
    pub(crate) fn unread<E>(
        &mut self,
        place: &str,
        rows: &mut Peekable<impl Iterator<Item = Result<Known, E>>>,
    ) -> Result<(), E> {
        let is_within =
            |row: &Known| row.path == place || place.ends_with('/') && row.path.starts_with(place);
        let is_up_to =
            |row: &Result<Known, E>| row.as_ref().map_or(true, |row| *row.path <= *place || is_within(row));
        while let Some(row) = rows.next_if(is_up_to).transpose()? {
            if is_within(&row) {
                self.plan.known += u64::from(row.status != Status::Missing);
            } else {
                self.no_entry(&row);
            }
        }
        Ok(())
    }

    /// Takes the end of the walk of one target, and the rest of its rows.
    pub(crate) fn end<E>(
        &mut self,
        walked: Walked,
        mut rows: impl Iterator<Item = Result<Known, E>>,
    ) -> Result<(), E> {
        self.plan.walked.add(walked);
        rows.try_for_each(|row| row.map(|row| self.no_entry(&row)))
    }

    /// The plan, when all targets have ended.
    pub(crate) fn finish(self) -> Plan {
        let (baseline, mut plan) = (self.baseline, self.plan);
        for (mount, (_, rows)) in baseline.mounts.iter().zip(self.below_mounts) {
            // A mount that is there has simply lost those files.
            if baseline.accept_missing || plan.walked.mounts.contains(mount) {
                plan.missing.extend(rows);
            } else if !rows.is_empty() {
                plan.unmounted.push((mount.clone(), rows.len() as u64));
            }
        }
        plan.refusal = plan.refuse(baseline);
        plan
    }

    fn known(&mut self, row: &Known, found: &Found<'_>) {
        if row.status != Status::Missing {
            self.plan.known += 1;
        }
        let same_time = row.modified.is_some_and(|time| time.distance(found.modified) <= SAME_TIME);
        let settled = match row.status {
            Status::Ok | Status::Foreign => true,
            Status::Error => !row.unreadable,
            Status::Missing | Status::Pending => false,
        };
        // A row with a word of another program is left alone, as far as it is true.
        let is_left = row.status == Status::Foreign;
        let is_known = is_left || !(row.probed == Probed::Stale || self.baseline.full);
        if row.size == found.size && same_time && settled && is_known {
            self.plan.unchanged += 1;
            let is_outdated = !is_left && row.probed.is_before(PROBER_VERSION);
            self.plan.outdated += u64::from(is_outdated);
            // An older version may have read their names in another way.
            let is_news = |names: &&str| *names != row.subtitles || is_outdated && !names.is_empty();
            if let Some(names) = found.subtitles.filter(is_news) {
                self.other_subtitles(row.id, found, names);
            }
        } else {
            self.change(found, Some(row));
        }
    }

    fn other_subtitles(&mut self, id: i64, found: &Found<'_>, names: &str) {
        if self.plan.resume.is_some() || self.is_planned(found) {
            return;
        }
        let (path, names) = (self.plan.keep(found.raw), self.plan.keep(names.as_bytes()));
        self.plan.subtitles.push(OtherSubtitles { id, path, names });
        self.end_round_if_full(found);
    }

    /// Whether an earlier round has planned it.
    fn is_planned(&self, found: &Found<'_>) -> bool {
        self.resume.is_some_and(|resume| found.path <= resume)
    }

    fn end_round_if_full(&mut self, found: &Found<'_>) {
        if self.plan.paths.len() >= ROOM {
            self.plan.resume = Some(found.path.to_owned());
        }
    }

    fn change(&mut self, found: &Found<'_>, row: Option<&Known>) {
        if self.is_planned(found) {
            return;
        }
        let plan = &mut self.plan;
        plan.to_read += 1;
        if plan.resume.is_some() {
            return;
        }
        let path = plan.keep(found.raw);
        let subtitles = found.subtitles.map(|names| plan.keep(names.as_bytes()));
        let (size, modified, is_new) = (found.size, found.modified, row.is_none());
        let had_zero_tail = row.and_then(hash_of).is_some_and(ContentHash::has_zero_tail);
        plan.changes.push(Change { path, size, modified, is_new, had_zero_tail, subtitles });
        self.end_round_if_full(found);
    }

    /// A row that the walk has no entry for.
    fn no_entry(&mut self, row: &Known) {
        if row.status == Status::Missing || self.except.iter().any(|span| span.contains(&row.path)) {
            return;
        }
        self.plan.known += 1;
        // The walk passes over what it does not look for (another extension, a hidden directory); such a
        // row is left alone while its file is there.
        match (self.is_gone)(&row.path) {
            Ok(true) => {}
            Ok(false) => return,
            Err(error) => {
                self.plan.walked.error(&row.path, row.path.as_bytes(), error);
                return;
            }
        }
        let vanished = Vanished { id: row.id, hash: hash_of(row) };
        match self.below_mounts.iter_mut().find(|(span, _)| span.contains(&row.path)) {
            Some((_, rows)) => rows.push(vanished),
            None => self.plan.missing.push(vanished),
        }
    }
}

fn hash_of(row: &Known) -> Option<ContentHash> {
    row.hash.as_deref().and_then(ContentHash::parse)
}

#[cfg(test)]
mod tests;
