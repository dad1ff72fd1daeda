//! Which changes of the library a scan records, one by one or as one entry with their number.
//!
//! One entry stands for the files of the first scan of a root, for all changes of a scan of adopted content, and for the files that were
//! read again, or whose subtitle files were recorded for the first time, because vpo was upgraded.

use crate::base::timestamp::Timestamp;
use crate::library::changes::{Before, Journal, Kind};
use crate::library::files::facts::Cut;
use crate::library::files::{SAME_TIME, Status};
use crate::library::sqlite;
use crate::library::subtitles::Difference;

/// A file as a scan has found it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct After {
    /// It could not be read.
    pub(crate) is_unreadable: bool,
    /// Bytes.
    pub(crate) size: u64,
    /// Its mtime.
    pub(crate) modified: Timestamp,
    /// Whether it is cut short, if that is known.
    pub(crate) cut: Option<Cut>,
}

/// What happened to a file. Empty for one that was only read again.
pub(crate) fn decide(before: Option<&Before>, after: &After) -> Vec<Kind> {
    let Some(before) = before.filter(|before| before.status != Status::Pending) else {
        let problem = match after {
            After { is_unreadable: true, .. } => Some(Kind::Unreadable),
            _ => decide_truncation(None, after.cut),
        };
        return [Some(Kind::Added), problem].into_iter().flatten().collect();
    };
    if after.is_unreadable {
        // Each scan tries it again.
        return if before.is_unreadable { Vec::new() } else { vec![Kind::Unreadable] };
    }
    let is_same_time = before.modified.is_some_and(|time| time.distance(after.modified) <= SAME_TIME);
    let is_same = before.size == after.size && is_same_time;
    let kinds = [
        (before.status == Status::Missing).then_some(Kind::Returned),
        before.is_unreadable.then_some(Kind::Readable),
        (!is_same && before.status != Status::Missing).then_some(Kind::Changed),
        // Only what is known of the same content has changed, unless it could not be read.
        decide_truncation(before.cut, after.cut).filter(|_| !is_same || before.is_unreadable),
    ];
    kinds.into_iter().flatten().collect()
}

/// Whether a file is truncated or complete now and was not before. `None`: not known.
fn decide_truncation(before: Option<Cut>, after: Option<Cut>) -> Option<Kind> {
    match (before.map(Cut::is_truncated), after.map(Cut::is_truncated)) {
        (Some(true), Some(false)) => Some(Kind::Complete),
        (None | Some(false), Some(true)) => Some(Kind::Truncated),
        _ => None,
    }
}

/// How the changes of one scan are recorded.
#[derive(Debug)]
pub(crate) struct History {
    /// The root, as stored.
    pub(crate) root: String,
    /// The root was never scanned to the end.
    pub(crate) is_first: bool,
    /// Other content was adopted in place of the database.
    pub(crate) is_adopted: bool,
    /// No subtitle files were recorded before.
    pub(crate) fills_subtitles: bool,
    /// The ids of its entries of many files, in the order of [`MANY`].
    pub(crate) entries: [Option<i64>; 3],
}

/// Kinds of entries of many files.
const MANY: [Kind; 3] = [Kind::FirstScan, Kind::Adopted, Kind::Reread];
const FIRST_SCAN: usize = 0;
const ADOPTED: usize = 1;
const REREAD: usize = 2;

/// Records the changes of one transaction.
pub(crate) struct Recorder<'a, 'tx> {
    history: &'a mut History,
    journal: Journal<'tx>,
    /// In the order of [`MANY`].
    counts: [u64; 3],
}

impl<'a, 'tx> Recorder<'a, 'tx> {
    pub(crate) fn new(history: &'a mut History, tx: &'tx sqlite::Transaction<'_>) -> sqlite::Result<Self> {
        Ok(Self { history, journal: Journal::new(tx)?, counts: [0; 3] })
    }

    /// What is recorded of the file at `path`, before it is stored again.
    pub(crate) fn before(&mut self, path: &str) -> sqlite::Result<Option<Before>> {
        self.journal.before(path)
    }

    /// Records what happened to a file.
    pub(crate) fn file(
        &mut self,
        id: i64,
        path: &str,
        kinds: &[Kind],
        detail: Option<&str>,
    ) -> sqlite::Result<()> {
        let Some(first) = kinds.first() else { return Ok(()) };
        if self.history.is_adopted {
            self.counts[ADOPTED] += 1;
        } else if self.history.is_first && *first == Kind::Added {
            self.counts[FIRST_SCAN] += 1;
        } else {
            for kind in kinds {
                let detail = detail.filter(|_| matches!(kind, Kind::Moved | Kind::Truncated));
                self.journal.record(*kind, id, path, detail)?;
            }
        }
        Ok(())
    }

    /// Counts a file that was read again without a change.
    pub(crate) fn reread(&mut self) {
        self.counts[REREAD] += 1;
    }

    /// Records the subtitle files that the video at `path` gained and lost.
    pub(crate) fn subtitles(&mut self, id: i64, path: &str, difference: &Difference) -> sqlite::Result<()> {
        let lists = [(Kind::SubtitleAdded, &difference.added), (Kind::SubtitleGone, &difference.gone)];
        if lists.iter().all(|(_, names)| names.is_empty()) {
            return Ok(());
        }
        if self.history.is_adopted || self.history.fills_subtitles {
            self.counts[if self.history.is_adopted { ADOPTED } else { REREAD }] += 1;
            return Ok(());
        }
        for (kind, names) in lists {
            names.iter().try_for_each(|name| self.journal.record(kind, id, path, Some(name)))?;
        }
        Ok(())
    }

    /// Records the counts.
    pub(crate) fn end(mut self) -> sqlite::Result<()> {
        let counts = self.counts.into_iter().zip(&mut self.history.entries);
        for (kind, (count, entry)) in MANY.into_iter().zip(counts) {
            if count > 0 {
                self.journal.count(kind, &self.history.root, count, entry)?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn truncation_is_news_only_where_both_states_are_known_or_the_file_is_cut() {
        for (before, after, expected) in [
            (None, None, None),
            (None, Some(Cut::Missing(0)), None),
            (None, Some(Cut::Missing(7)), Some(Kind::Truncated)),
            (Some(Cut::Missing(0)), Some(Cut::Zeros), Some(Kind::Truncated)),
            (Some(Cut::Zeros), Some(Cut::Missing(9)), None),
            (Some(Cut::Zeros), Some(Cut::Missing(0)), Some(Kind::Complete)),
            (Some(Cut::Missing(7)), None, None),
            (Some(Cut::Missing(0)), Some(Cut::Missing(0)), None),
        ] {
            assert_eq!(decide_truncation(before, after), expected, "{before:?} {after:?}");
        }
    }

    #[test]
    fn what_happened_follows_from_the_row_and_the_file() {
        let time = |seconds| Timestamp::from_unix(seconds, 0);
        let row = |status, is_unreadable| {
            let modified = Some(time(100));
            Before { id: 1, status, is_unreadable, size: 7, modified, cut: Some(Cut::Missing(0)) }
        };
        let file = After { is_unreadable: false, size: 7, modified: time(100), cut: Some(Cut::Missing(0)) };
        let unreadable = After { is_unreadable: true, ..file };
        let cut = After { size: 5, cut: Some(Cut::Missing(2)), ..file };
        let learned = After { cut: Some(Cut::Missing(2)), ..file };
        let (ok, missing) = (row(Status::Ok, false), row(Status::Missing, false));
        for (before, after, expected) in [
            (None, file, &[Kind::Added][..]),
            (None, unreadable, &[Kind::Added, Kind::Unreadable]),
            (None, cut, &[Kind::Added, Kind::Truncated]),
            (Some(row(Status::Pending, false)), file, &[Kind::Added]),
            (Some(ok), file, &[]),
            (Some(ok), learned, &[]),
            (Some(row(Status::Error, true)), learned, &[Kind::Readable, Kind::Truncated]),
            (Some(ok), cut, &[Kind::Changed, Kind::Truncated]),
            (Some(ok), After { modified: time(200), ..file }, &[Kind::Changed]),
            (Some(ok), unreadable, &[Kind::Unreadable]),
            (Some(row(Status::Ok, true)), unreadable, &[]),
            (Some(row(Status::Error, true)), file, &[Kind::Readable]),
            (Some(row(Status::Ok, true)), cut, &[Kind::Readable, Kind::Changed, Kind::Truncated]),
            (Some(missing), file, &[Kind::Returned]),
            (Some(missing), cut, &[Kind::Returned, Kind::Truncated]),
        ] {
            assert_eq!(decide(before.as_ref(), &after), expected, "{before:?} {after:?}");
        }
    }
}
