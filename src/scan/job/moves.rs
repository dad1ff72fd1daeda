//! Which row a new file may be the moved file of: the one row of its size and hash whose file is really gone.
//!
//! A row is looked for under every root, because films are moved from one disk to another; that its file is gone
//! counts only where its root is what it was. All of this asks disks, so none of it runs within a transaction.

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};

use tracing::warn;

use super::planning;
use super::row::JobRow;
use crate::library::files::{self, Span, Status, Twin};
use crate::scan::hash::ContentHash;
use crate::scan::plan::{Move, Plan, Vanished, choose_moves, is_mass_deletion};
use crate::scan::{Error, discover, root};

/// Rows of one content that are looked at; of more, none is told to be the one.
const SAME_CONTENT_LIMIT: u32 = 64;

/// Rows of another root that are asked for at a time.
const PAGE: u32 = 1000;

/// Spans in which an absent file proves nothing, because a mount is gone; `None` = the whole root.
type UntrustedSpans = Option<Vec<Span>>;

/// Sizes worth a hash: of files gone from this root, of files missing, and of those that other roots have
/// (one may have been moved here, and that root not been scanned since).
pub(super) fn sizes_of_lost(
    row: &JobRow<'_>,
    missing: &[Vanished],
    plan: &Plan,
) -> Result<HashSet<u64>, Error> {
    if !plan.changes.iter().any(|change| change.is_new) {
        return Ok(HashSet::new());
    }
    let own = Span::below(&discover::stored(&row.task.root));
    let mut sizes: HashSet<u64> = row.read(|tx| files::sizes_elsewhere(tx, &own))?;
    sizes.extend(missing.iter().filter_map(|row| row.hash).map(ContentHash::size));
    Ok(sizes)
}

/// Looks for a row of the rest of the root whose file is gone and may, by its size alone, be one of the new files of
/// this part.
pub(super) fn have_come_here(row: &JobRow<'_>, plan: &Plan) -> Result<bool, Error> {
    let new = plan.all_changes().filter(|change| change.is_new);
    let sizes: HashSet<u64> = new.map(|change| change.size).collect();
    if sizes.is_empty() {
        return Ok(false);
    }
    let own = Span::below(&discover::stored(&row.task.root));
    for path in row.read(|tx| files::paths_by_size(tx, &own, |size| sizes.contains(&size)))? {
        row.check()?;
        row.context.progress.alive();
        if root::is_gone(&row.task.root, &path) == Ok(true) {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Looks for the rows of moved files.
pub(super) struct Moves<'a> {
    row: &'a JobRow<'a>,
    /// Of other roots, whether so much is gone that none of it is taken for moved.
    mass_missing_roots: HashMap<PathBuf, bool>,
}

impl<'a> Moves<'a> {
    pub(super) fn new(row: &'a JobRow<'a>) -> Self {
        Self { row, mass_missing_roots: HashMap::new() }
    }

    /// The rows that move with new files, which are given and returned by their index in the plan.
    pub(super) fn find(&mut self, files: &[(usize, ContentHash)]) -> Result<HashMap<usize, Move>, Error> {
        if files.is_empty() {
            return Ok(HashMap::new());
        }
        let mut untrusted: HashMap<PathBuf, UntrustedSpans> = HashMap::new();
        let mut found = Vec::with_capacity(files.len());
        for ((index, _), twins) in files.iter().zip(self.same_content(files)?) {
            self.row.check()?;
            let mut gone = Vec::new();
            if twins.len() < SAME_CONTENT_LIMIT as usize {
                for twin in twins {
                    if self.check_gone(&twin, &mut untrusted)? {
                        gone.push(Move { id: twin.id, from: twin.path });
                    }
                }
            }
            found.push((*index, gone));
        }
        Ok(choose_moves(found))
    }

    fn same_content(&self, files: &[(usize, ContentHash)]) -> Result<Vec<Vec<Twin>>, Error> {
        let contents: Vec<_> = files.iter().map(|(_, hash)| (hash.to_string(), hash.size())).collect();
        self.row.read(|tx| files::twins(tx, &contents, SAME_CONTENT_LIMIT))
    }

    /// Finds out whether the file of a row is gone for good from where it was, and keeps what it learns of the root in
    /// `untrusted`. A row that is called missing was held to all guards when it became so.
    fn check_gone(
        &mut self,
        twin: &Twin,
        untrusted: &mut HashMap<PathBuf, UntrustedSpans>,
    ) -> Result<bool, Error> {
        let Some(root) = self.root_of(&twin.path) else { return Ok(false) };
        self.row.context.progress.alive();
        if self.row.context.unreachable.iter().any(|other| other == root)
            || root::is_gone(root, &twin.path) != Ok(true)
        {
            return Ok(false);
        }
        if twin.status == Status::Missing {
            return Ok(true);
        }
        // After the look at the file: had its share gone before that, the root shows it now.
        if !untrusted.contains_key(root) {
            untrusted.insert(root.to_owned(), self.untrusted_spans(root)?);
        }
        let places = untrusted.get(root).and_then(Option::as_ref);
        Ok(places.is_some_and(|places| !places.iter().any(|span| span.contains(&twin.path))))
    }

    /// The innermost root that a stored path lies below. Roots are UTF-8, so both are written alike.
    fn root_of(&self, path: &str) -> Option<&'a Path> {
        let JobRow { context, task, .. } = *self.row;
        let roots = context.roots.iter().chain([&task.root]);
        let above = roots.map(PathBuf::as_path).filter(|root| Path::new(path).starts_with(root));
        above.max_by_key(|root| root.as_os_str().len())
    }

    /// What the last completed scan of a root and a look at it now say.
    fn untrusted_spans(&mut self, root: &Path) -> Result<UntrustedSpans, Error> {
        if root == self.row.task.root && self.row.task.job.options.accept_missing {
            return Ok(Some(Vec::new()));
        }
        let baseline = match planning::baseline(self.row, root) {
            Ok(baseline) if baseline.check().is_ok() => baseline,
            Ok(_) | Err(Error::Offline { .. }) => return Ok(None),
            Err(error) => return Err(error),
        };
        let lost = baseline.mounts.iter().filter(|mount| !root::is_mounted(Path::new(mount)));
        let lost: Vec<_> = lost.map(|mount| Span::below(mount)).collect();
        let is_whole = root == self.row.task.root || !self.check_missing_limit(root, &lost)?;
        Ok(is_whole.then_some(lost))
    }

    /// Finds out whether another root lacks so much that a scan of it would refuse: a copy of what a swapped disk had
    /// must not take its rows. Done once a scan, because every row is looked at, and because rows that go with their
    /// files are no longer counted.
    fn check_missing_limit(&mut self, root: &Path, lost: &[Span]) -> Result<bool, Error> {
        if let Some(exceeds) = self.mass_missing_roots.get(root) {
            return Ok(*exceeds);
        }
        let (gone, known) = self.count_gone(root, lost)?;
        let too_much = is_mass_deletion(gone, known);
        if too_much {
            warn!(
                root = %root.display(),
                gone,
                known,
                "so much is gone from this root at once that none of it is taken for moved elsewhere"
            );
        }
        self.mass_missing_roots.insert(root.to_owned(), too_much);
        Ok(too_much)
    }

    /// How many files of a root are gone, those of its lost mounts left out, and how many it had.
    fn count_gone(&mut self, root: &Path, lost: &[Span]) -> Result<(usize, u64), Error> {
        let (mut gone, mut known) = (0, 0);
        let mut rest = Some(Span::below(&discover::stored(root)));
        while let Some(span) = rest {
            let rows = self.row.read(|tx| files::known(tx, &span, PAGE))?;
            rest = rows.last().filter(|_| rows.len() == PAGE as usize).map(|last| span.after(&last.path));
            for row in &rows {
                if row.status == Status::Missing || self.root_of(&row.path) != Some(root) {
                    continue;
                }
                known += 1;
                self.row.tick()?;
                self.row.context.progress.alive();
                let is_lost = lost.iter().any(|span| span.contains(&row.path));
                gone += usize::from(!is_lost && root::is_gone(root, &row.path) == Ok(true));
            }
        }
        Ok((gone, known))
    }
}
