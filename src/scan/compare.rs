//! The walk and the library side by side: what is new, what changed, what vanished.
//!
//! Both come ordered by path, so this is one merge of two sorted lists; only what differs is kept.

use std::collections::VecDeque;
use std::ffi::OsStr;
use std::ops::{ControlFlow, Range};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::discover::{self, Found, Rules, Walked};
use super::hash::ContentHash;
use super::root;
use crate::base::timestamp::Timestamp;
use crate::library::files::{self, Known, Span, Status};
use crate::library::{self, Library, Patience};

/// Rows read at a time: no read transaction lives as long as a walk of a slow share.
const PAGE: u32 = 2000;

/// Bytes of paths kept for one round. What does not fit is left for the next round, so that the first scan of
/// a million files needs no more memory than that of a hundred thousand.
const ROOM: usize = 6 << 20;

/// Other programs round times to milliseconds.
pub(crate) const SAME_TIME: Duration = Duration::from_millis(1);

/// A file to be read.
#[derive(Clone, Debug)]
pub(crate) struct Change {
    path: Range<u32>,
    /// Bytes, at the walk.
    pub(crate) size: u64,
    /// Its mtime, at the walk.
    pub(crate) modified: Timestamp,
    /// There is no row of it.
    pub(crate) is_new: bool,
}

/// A row whose file is gone.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Vanished {
    pub(crate) id: i64,
    pub(crate) hash: Option<ContentHash>,
}

/// What one comparison found.
#[derive(Debug, Default)]
pub(crate) struct Plan {
    paths: Vec<u8>,
    /// To be read, in the order of their paths.
    pub(crate) changes: Vec<Change>,
    /// Rows whose files are gone.
    pub(crate) vanished: Vec<Vanished>,
    /// Rows whose files are gone with the mount below the root that held them; by mount.
    pub(crate) unmounted: Vec<(String, Vec<Vanished>)>,
    /// Videos found.
    pub(crate) found: u64,
    /// Of them, those as their rows say.
    pub(crate) unchanged: u64,
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
        let range = change.path.start as usize..change.path.end as usize;
        Path::new(OsStr::from_bytes(self.paths.get(range).unwrap_or_default()))
    }
}

/// What to compare.
pub(crate) struct Scope<'a> {
    pub(crate) library: &'a Library,
    pub(crate) patience: Patience<'a>,
    pub(crate) rules: Rules<'a>,
    /// Paths, none below another.
    pub(crate) targets: &'a [PathBuf],
    /// Mount points below the root at the last completed scan, as stored paths.
    pub(crate) mounts: &'a [String],
    /// Changes up to this path were planned by an earlier round.
    pub(crate) resume: Option<&'a str>,
    /// Called for every file, and often in between.
    pub(crate) tick: &'a dyn Fn(u64) -> ControlFlow<()>,
}

/// Compares the targets with their rows.
pub(crate) fn compare(scope: &Scope<'_>) -> Result<Plan, library::Error> {
    let mut merge = Merge {
        scope,
        rows: Rows { scope, spans: VecDeque::new(), page: VecDeque::new() },
        except: scope.rules.except.iter().map(|raw| Span::below(&discover::encode_path(raw))).collect(),
        mounts: scope.mounts.iter().map(|mount| Span::below(mount)).collect(),
        plan: Plan {
            unmounted: scope.mounts.iter().map(|mount| (mount.clone(), Vec::new())).collect(),
            ..Plan::default()
        },
        failed: None,
    };
    for target in scope.targets {
        let stored = discover::encode_path(target.as_os_str().as_bytes());
        merge.rows.spans = [Span::exactly(&stored), Span::below(&stored)].into();
        merge.rows.page.clear();
        let walked = discover::walk(target, scope.rules, &mut |found| merge.visit(found));
        let stopped = walked.stopped;
        merge.plan.walked.add(walked);
        if let Some(error) = merge.failed.take() {
            return Err(error);
        }
        if stopped {
            return Err(library::Error::Cancelled);
        }
        while let Some(row) = merge.rows.next()? {
            merge.vanished(&row);
        }
    }
    let mut plan = merge.plan;
    // The last ones were counted after the last tick.
    if (scope.tick)(plan.found).is_break() {
        return Err(library::Error::Cancelled);
    }
    // A mount that is there has simply lost those files.
    let (there, gone): (Vec<_>, Vec<_>) = std::mem::take(&mut plan.unmounted)
        .into_iter()
        .partition(|(mount, _)| plan.walked.mounts.contains(mount));
    plan.vanished.extend(there.into_iter().flat_map(|(_, rows)| rows));
    plan.unmounted = gone.into_iter().filter(|(_, rows)| !rows.is_empty()).collect();
    Ok(plan)
}

struct Merge<'a> {
    scope: &'a Scope<'a>,
    rows: Rows<'a>,
    except: Vec<Span>,
    mounts: Vec<Span>,
    plan: Plan,
    failed: Option<library::Error>,
}

impl Merge<'_> {
    fn visit(&mut self, found: Option<Found<'_>>) -> ControlFlow<()> {
        (self.scope.tick)(self.plan.found)?;
        let Some(found) = found else { return ControlFlow::Continue(()) };
        self.plan.found += 1;
        match self.row_of(found.path) {
            Ok(Some(row)) => self.both(&row, &found),
            Ok(None) => self.change(&found, true),
            Err(error) => {
                self.failed = Some(error);
                return ControlFlow::Break(());
            }
        }
        ControlFlow::Continue(())
    }

    /// The row of `path`; those before it have lost their files.
    fn row_of(&mut self, path: &str) -> Result<Option<Known>, library::Error> {
        while let Some(row) = self.rows.peek()? {
            match row.path.as_str().cmp(path) {
                std::cmp::Ordering::Less => {
                    if let Some(row) = self.rows.next()? {
                        self.vanished(&row);
                    }
                }
                std::cmp::Ordering::Equal => return self.rows.next(),
                std::cmp::Ordering::Greater => break,
            }
        }
        Ok(None)
    }

    fn both(&mut self, row: &Known, found: &Found<'_>) {
        if row.status != Status::Missing {
            self.plan.known += 1;
        }
        let same_time = row.modified.is_some_and(|time| time.distance(found.modified) <= SAME_TIME);
        let settled = match row.status {
            Status::Ok | Status::Foreign => true,
            Status::Error => !row.unreadable,
            Status::Missing | Status::Pending => false,
        };
        if row.size == found.size && same_time && settled {
            self.plan.unchanged += 1;
        } else {
            self.change(found, false);
        }
    }

    fn change(&mut self, found: &Found<'_>, is_new: bool) {
        if self.scope.resume.is_some_and(|resume| found.path <= resume) {
            return;
        }
        self.plan.to_read += 1;
        let plan = &mut self.plan;
        if plan.resume.is_some() {
            return;
        }
        let start = u32::try_from(plan.paths.len()).unwrap_or(u32::MAX);
        plan.paths.extend_from_slice(found.raw);
        let end = u32::try_from(plan.paths.len()).unwrap_or(u32::MAX);
        plan.changes.push(Change { path: start..end, size: found.size, modified: found.modified, is_new });
        if plan.paths.len() >= ROOM {
            plan.resume = Some(found.path.to_owned());
        }
    }

    fn vanished(&mut self, row: &Known) {
        if row.status == Status::Missing || self.except.iter().any(|span| span.contains(&row.path)) {
            return;
        }
        self.plan.known += 1;
        // The walk passes over what it does not look for (another extension, a hidden directory); such a
        // row is left alone while its file is there.
        match root::is_gone(self.scope.rules.root, &row.path) {
            Ok(true) => {}
            Ok(false) => return,
            Err(error) => {
                self.plan.walked.error(&row.path, row.path.as_bytes(), error);
                return;
            }
        }
        let vanished = Vanished { id: row.id, hash: row.hash.as_deref().and_then(ContentHash::parse) };
        match self.mounts.iter().position(|span| span.contains(&row.path)) {
            Some(mount) => self.plan.unmounted[mount].1.push(vanished),
            None => self.plan.vanished.push(vanished),
        }
    }
}

/// The rows of some spans, a page at a time.
struct Rows<'a> {
    scope: &'a Scope<'a>,
    spans: VecDeque<Span>,
    page: VecDeque<Known>,
}

impl Rows<'_> {
    fn peek(&mut self) -> Result<Option<&Known>, library::Error> {
        while self.page.is_empty() {
            let Some(span) = self.spans.pop_front() else { return Ok(None) };
            self.page =
                self.scope.library.read(self.scope.patience, |tx| files::known(tx, &span, PAGE))?.into();
            if let Some(last) = self.page.back().filter(|_| self.page.len() == PAGE as usize) {
                self.spans.push_front(span.after(&last.path));
            }
        }
        Ok(self.page.front())
    }

    fn next(&mut self) -> Result<Option<Known>, library::Error> {
        self.peek()?;
        Ok(self.page.pop_front())
    }
}
