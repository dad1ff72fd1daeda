//! Walks a root and reads its rows, a page at a time, into a plan.

use std::collections::VecDeque;
use std::ops::ControlFlow;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

use super::discover::{self, Met, Rules};
use super::plan::{Baseline, Plan, Planner};
use super::root;
use crate::base::timestamp::Timestamp;
use crate::library::files::{self, Known, Span};
use crate::library::{self, Library, Retry, sqlite, subtitles};

/// Rows read at a time: a read transaction must not last as long as the walk of a slow share.
const PAGE: u32 = 2000;

/// What to compare.
pub(crate) struct Scope<'a> {
    pub(crate) library: &'a Library,
    pub(crate) retry: Retry<'a>,
    pub(crate) rules: Rules<'a>,
    /// Paths, none below another.
    pub(crate) targets: &'a [PathBuf],
    pub(crate) baseline: &'a Baseline,
    /// Changes up to this path were planned by an earlier round.
    pub(crate) resume: Option<&'a str>,
    /// Called for every file, and in between.
    pub(crate) tick: &'a dyn Fn(u64) -> ControlFlow<()>,
}

/// Compares the targets with their rows.
pub(crate) fn compare(scope: &Scope<'_>) -> Result<Plan, library::Error> {
    let Scope { rules, baseline, resume, tick, .. } = *scope;
    let except = rules.except.iter().map(|raw| Span::below(&discover::encode_path(raw))).collect();
    let is_gone = |path: &str| root::is_gone(rules.root, path);
    let mut planner = Planner::new(baseline, except, resume, &is_gone);
    for target in scope.targets {
        let stored = discover::encode_path(target.as_os_str().as_bytes());
        let spans = [Span::exactly(&stored), Span::below(&stored)].into();
        let mut rows = Rows { scope, spans, page: Vec::new().into_iter() }.peekable();
        let mut outcome = Ok(());
        let walked = discover::walk(target, rules, &mut |met| {
            tick(planner.found())?;
            outcome = match met {
                Met::Video(found) => planner.entry(&found, &mut rows),
                Met::Unread(path) => planner.unread(path, &mut rows),
                Met::Nothing => Ok(()),
            };
            if outcome.is_ok() { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
        });
        outcome?;
        if walked.stopped {
            return Err(library::Error::Cancelled);
        }
        planner.end(walked, rows)?;
    }
    // Some were counted after the last tick.
    if tick(planner.found()).is_break() {
        return Err(library::Error::Cancelled);
    }
    let mut plan = planner.finish();
    plan.put_off(Timestamp::now());
    Ok(plan)
}

/// The rows of some spans, a page at a time.
struct Rows<'a> {
    scope: &'a Scope<'a>,
    spans: VecDeque<Span>,
    page: std::vec::IntoIter<Known>,
}

impl Iterator for Rows<'_> {
    type Item = Result<Known, library::Error>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some(row) = self.page.next() {
                return Some(Ok(row));
            }
            let span = self.spans.pop_front()?;
            let read = |tx: &sqlite::Transaction<'_>| {
                let mut page = files::known(tx, &span, PAGE)?;
                subtitles::attach(tx, &mut page)?;
                Ok(page)
            };
            let page = match self.scope.library.read(self.scope.retry, read) {
                Ok(page) => page,
                Err(error) => return Some(Err(error)),
            };
            if let Some(last) = page.last().filter(|_| page.len() == PAGE as usize) {
                self.spans.push_front(span.after(&last.path));
            }
            self.page = page.into_iter();
        }
    }
}
