//! What a scan has changed or would change, by name: ten files of each kind, or all.
//!
//! The database says it afterwards: changes and files that are recorded between two marks. So it does not matter which
//! process has scanned, and no more than a page is in memory.

use std::collections::BTreeSet;
use std::fmt::{Display, Write as _};
use std::ops::ControlFlow;
use std::process::ExitCode;

use serde::Serialize;
use serde_json::Value;

use super::output;
use crate::ask::{Bounds, Cursor, Question};
use crate::base::text::{Text, to_json};
use crate::cli::ScanArgs;
use crate::commands::changes::describe;
use crate::commands::question::within;
use crate::library::Library;
use crate::library::changes::{self, Change, Filter, Kind, Mark};
use crate::library::files::listing::{self, Details};
use crate::library::files::{Span, UNREADABLE};

/// Files of a kind that are named unless all are asked for.
const NAMED: u64 = 10;

/// Changes, or files, that one read returns.
const PAGE: u32 = 500;

/// Bytes that are printed together, some more or less.
const PART: usize = 64 << 10;

/// A file that could not be parsed. Not a kind of change: the row of the file has the reason.
pub(super) const BROKEN: &str = "broken";

/// What happened to a file.
#[derive(Clone, Copy, Debug, Serialize)]
pub(super) struct Named<'a> {
    /// The word of a [`Kind`], or [`BROKEN`].
    pub(super) kind: &'a str,
    pub(super) path: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) file_id: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) detail: Option<&'a str>,
}

/// Prints scans and what they have changed, part by part.
pub(super) struct Printer {
    json: bool,
    verbose: bool,
    text: Text,
    /// Of the scan under way, by the order of [`Kind::OF_FILES`]; the last is [`BROKEN`].
    counts: [u64; Kind::OF_FILES.len() + 1],
    is_first_scan: bool,
    outcome: ControlFlow<ExitCode>,
}

impl Printer {
    /// `start` begins the JSON: an array of scans.
    pub(super) fn new(args: &ScanArgs, start: &str) -> Self {
        let mut printer = Self {
            json: args.json,
            verbose: args.verbose,
            text: Text::default(),
            counts: Default::default(),
            is_first_scan: true,
            outcome: ControlFlow::Continue(()),
        };
        if args.json {
            printer.put(start);
        }
        printer
    }

    fn put(&mut self, piece: impl Display) {
        // Writing to memory cannot fail.
        let _ = write!(self.text, "{piece}");
        if self.text.as_str().len() >= PART {
            self.flush();
        }
    }

    fn flush(&mut self) {
        let text = std::mem::take(&mut self.text);
        if self.outcome.is_continue() {
            self.outcome = output::print_part(&text);
        }
    }

    /// Adds lines, unless JSON is printed.
    pub(super) fn lines(&mut self, lines: &Text) {
        if !self.json {
            self.text.append(lines);
        }
    }

    /// Begins a scan: the names of its files follow.
    pub(super) fn begin(&mut self) {
        self.counts = Default::default();
        if self.json {
            let comma = if std::mem::take(&mut self.is_first_scan) { "" } else { "," };
            self.put(format_args!("{comma}{{\"changes\":["));
        }
    }

    /// Names a file.
    pub(super) fn name(&mut self, named: Named<'_>) {
        let count = &mut self.counts[place(named.kind)];
        *count += 1;
        let is_shown = self.verbose || (*count <= NAMED && !is_listed_with_reason(named.kind));
        if self.json {
            let is_first = self.counts.iter().sum::<u64>() == 1;
            let json = to_json(&named).unwrap_or_default();
            self.put(format_args!("{}{json}", if is_first { "" } else { "," }));
        } else if is_shown {
            let what = describe(named.kind, named.path, named.detail.unwrap_or_default());
            self.put(format_args!("  {:<14} {what}", word(named.kind)));
            self.text.end_line();
        }
    }

    /// Counts what was not named.
    pub(super) fn count_rest(&mut self) {
        if self.json || self.verbose {
            return;
        }
        let kinds = Kind::OF_FILES.iter().map(|kind| kind.as_str()).zip(self.counts);
        let rest: Vec<_> = kinds
            .filter(|(kind, count)| *count > NAMED && !is_listed_with_reason(kind))
            .map(|(kind, count)| format!("{} more {}", count - NAMED, word(kind)))
            .collect();
        if !rest.is_empty() {
            self.put(format_args!("  and {}; --verbose names all", rest.join(", ")));
            self.text.end_line();
        }
    }

    /// Whether at least `count` files of that kind are named with their reasons.
    pub(super) fn has_named(&self, kind: &str, count: u64) -> bool {
        self.verbose && self.counts[place(kind)] >= count
    }

    /// Ends a scan; `rest` is what else the JSON says of it.
    pub(super) fn end(&mut self, rest: &Value) {
        self.put_members("]", rest);
    }

    /// Ends the output; `rest` is what else the JSON says of all scans.
    pub(super) fn finish(mut self, rest: &Value) -> ExitCode {
        self.put_members("]", rest);
        if self.json {
            self.text.end_line();
        }
        self.flush();
        self.outcome.break_value().unwrap_or(ExitCode::SUCCESS)
    }

    /// Continues an object with the members of another, which has some.
    fn put_members(&mut self, before: &str, rest: &Value) {
        if self.json {
            let json = to_json(rest).unwrap_or_default();
            self.put(format_args!("{before},{}", json.trim_start_matches('{')));
        }
    }

    /// Names the files below `root` that were recorded or changed between two marks.
    pub(super) fn between(&mut self, library: &Library, root: &str, [before, after]: [Mark; 2]) {
        let span = Span::below(root);
        let mut cursor = (after.file > before.file).then(|| Cursor::from(before.file));
        let question = Question { tracks: false, missing: true, ..Question::new(None) };
        while let Some(from) = cursor.take_if(|_| self.outcome.is_continue()) {
            let read = within(library, |tx| question.page(tx, &from, Bounds::slice(PAGE.into())));
            let mut page = match read {
                Ok(page) => page.unwrap_or_default(),
                Err(code) => return self.outcome = ControlFlow::Break(code),
            };
            cursor = page.walked.next_cursor.filter(|next| next.id() < after.file);
            page.files.retain(|found| found.file.id <= after.file && span.contains(&found.file.path));
            // Those that were read together are recorded in any order.
            page.files.sort_by(|one, other| one.file.path.cmp(&other.file.path));
            page.files.iter().for_each(|found| self.name_new(found));
        }
        let mut cursor = Some(after.change + 1).filter(|_| after.change > before.change);
        while let Some(from) = cursor.take_if(|_| self.outcome.is_continue()) {
            let read = within(library, |tx| {
                let mut page = changes::page(tx, Filter::default(), Some(from), PAGE)?;
                page.changes.retain(|change| change.id > before.change);
                let read: BTreeSet<i64> = page.changes.iter().filter_map(was_read).collect();
                let read: Vec<i64> = read.into_iter().filter(|id| *id <= before.file).collect();
                Ok((page, listing::chosen(tx, &read, false)?))
            });
            let (page, read) = match read {
                Ok(read) => read,
                Err(code) => return self.outcome = ControlFlow::Break(code),
            };
            cursor = page.next_cursor.filter(|next| *next > before.change + 1);
            for change in &page.changes {
                let (Some(kind), Some(path)) = (&change.kind, &change.path) else { continue };
                let is_named = change.file_id.is_some_and(|id| id <= before.file) && span.contains(path);
                if is_named {
                    let (file_id, detail) = (change.file_id, change.detail.as_deref());
                    self.name(Named { kind, path, file_id, detail });
                }
            }
            let in_span = read.iter().filter(|found| span.contains(&found.file.path));
            in_span.for_each(|found| self.name_problem(found));
        }
    }

    fn name_new(&mut self, found: &Details) {
        let file = &found.file;
        let cut = file.cut().filter(|cut| cut.is_truncated()).map(|cut| cut.to_string());
        let named = |kind, detail| Named { kind, path: &file.path, file_id: Some(file.id), detail };
        self.name(named(Kind::Added.as_str(), None));
        if cut.is_some() {
            self.name(named(Kind::Truncated.as_str(), cut.as_deref()));
        }
        if let Some(reason) = file.scan_error.as_ref().and_then(|error| error.strip_prefix(UNREADABLE)) {
            self.name(named(Kind::Unreadable.as_str(), Some(reason)));
        }
        self.name_problem(found);
    }

    /// Names a file that could not be parsed.
    fn name_problem(&mut self, found: &Details) {
        let file = &found.file;
        let reason = file.scan_error.as_deref().filter(|error| !error.starts_with(UNREADABLE));
        if file.scan_status == "error" && reason.is_some() {
            self.name(Named { kind: BROKEN, path: &file.path, file_id: Some(file.id), detail: reason });
        }
    }
}

/// The file of a change with which it was read.
fn was_read(change: &Change) -> Option<i64> {
    const KINDS: [Kind; 3] = [Kind::Changed, Kind::Returned, Kind::Readable];
    let kind = change.kind.as_deref()?;
    change.file_id.filter(|_| KINDS.iter().any(|read| read.as_str() == kind))
}

/// Its place in [`Printer::counts`].
fn place(kind: &str) -> usize {
    Kind::OF_FILES.iter().position(|one| one.as_str() == kind).unwrap_or(Kind::OF_FILES.len())
}

/// The summary lists these files with their reasons.
fn is_listed_with_reason(kind: &str) -> bool {
    kind == BROKEN || kind == Kind::Unreadable.as_str()
}

/// As in the line of the summary.
fn word(kind: &str) -> &str {
    if kind == Kind::Added.as_str() { "new" } else { kind }
}
