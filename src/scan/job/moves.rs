//! Finds the row of a moved file: the only row with its size and hash whose file no longer exists.
//!
//! Rows of all roots are considered, because films are moved between disks. That a file is absent counts only if its root
//! has not changed. This accesses disks, so it does not run within a transaction.

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};

use tracing::warn;

use super::planning;
use super::row::JobRow;
use crate::library::files::{self, Span, Status, Twin};
use crate::scan::hash::ContentHash;
use crate::scan::plan::{Move, Plan, Vanished, choose_moves, is_mass_deletion};
use crate::scan::{Error, discover, root};

/// Maximum number of rows of one content; with more, none is chosen.
const SAME_CONTENT_LIMIT: u32 = 64;

/// Rows of another root that one query returns.
const PAGE: u32 = 1000;

/// Spans in which an absent file does not count as gone, because a mount is absent; `None` = the whole root.
type UntrustedSpans = Option<Vec<Span>>;

/// Sizes of files that may have moved here: absent from this root, missing, or recorded of another root (which may not have
/// been scanned since the move). New files of these sizes are hashed.
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

/// Whether a row outside this part has lost its file, and has the size of a new file of this part.
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

/// Finds the rows of moved files.
pub(super) struct Moves<'a> {
    row: &'a JobRow<'a>,
    /// Whether another root lacks so many files that none of them counts as moved.
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

    /// Whether the file of a row no longer exists at its path. Caches what it learns about the root in `untrusted`. A row
    /// with the status missing has passed all guards already.
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
        // After the file was checked: if its share vanished before that, the root shows it now.
        if !untrusted.contains_key(root) {
            untrusted.insert(root.to_owned(), self.untrusted_spans(root)?);
        }
        let places = untrusted.get(root).and_then(Option::as_ref);
        Ok(places.is_some_and(|places| !places.iter().any(|span| span.contains(&twin.path))))
    }

    /// The innermost root that contains a stored path. Roots are UTF-8, so their stored form is the same.
    fn root_of(&self, path: &str) -> Option<&'a Path> {
        let JobRow { context, task, .. } = *self.row;
        let roots = context.roots.iter().chain([&task.root]);
        let above = roots.map(PathBuf::as_path).filter(|root| Path::new(path).starts_with(root));
        above.max_by_key(|root| root.as_os_str().len())
    }

    /// The state of a root at its last completed scan, and now.
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

    /// Whether another root lacks so many files that the mass-deletion guard would refuse its scan: a copy of a swapped
    /// disk must not take its rows. Computed once in a scan, because it reads every row, and because rows that have moved
    /// no longer count.
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
                "so many files are absent from this root that none of them counts as moved"
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
