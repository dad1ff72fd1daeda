//! `vpo changes [QUERY]`: prints what happened to the files of the library for which a query holds, the latest change first.

use std::ops::ControlFlow;
use std::path::Path;
use std::process::ExitCode;

use super::output::{Lines, Style};
use super::{EXIT_FAILURE, configure, database, output, question};
use crate::ask::{Bounds, Question};
use crate::base::text::plural;
use crate::cli::{ChangesArgs, ListArgs};
use crate::config::{Config, Environment};
use crate::library::Library;
use crate::library::changes::{Change, Filter};
use crate::library::files::facts::{Cut, ZERO_TAIL};

/// Changes that one read returns.
const PAGE: u64 = 500;

/// Runs `vpo changes`.
#[must_use]
pub(crate) fn run(args: &ChangesArgs) -> ExitCode {
    let config = match configure(&args.layer(), Config::resolve_without_secrets) {
        Ok(resolved) => resolved.config,
        Err(code) => return code,
    };
    let environment = Environment::from_process();
    let library = match database::view(&config, &environment) {
        Ok(library) => library,
        Err(error) => return output::fail(&error, EXIT_FAILURE),
    };
    let asked = ListArgs { query: args.query.clone(), ..ListArgs::default() };
    let question = match question::read(&library, &asked, &environment) {
        Ok(question) => question,
        Err(code) => return code,
    };
    let mut lines = Lines::new(args.color, &environment);
    match print(args, &library, &question, &mut lines) {
        ControlFlow::Break(code) => code,
        ControlFlow::Continue(found) => {
            conclude(found, args, library.path());
            if found == 0 {
                question::explain(&library, &question);
            }
            ExitCode::SUCCESS
        }
    }
}

/// Prints page after page. Returns how many changes there were.
fn print(
    args: &ChangesArgs,
    library: &Library,
    question: &Question,
    lines: &mut Lines,
) -> ControlFlow<ExitCode, u64> {
    let filter = Filter { since: args.since, file_id: None };
    let (mut cursor, mut found, limit) = (None, 0, args.limit.unwrap_or(u64::MAX));
    while found < limit {
        let bounds = Bounds::slice(PAGE.min(limit - found));
        let page = match question::within(library, |tx| question.changes(tx, filter, cursor, bounds)) {
            Ok(page) => page,
            Err(code) => return ControlFlow::Break(code),
        };
        found += page.changes.len() as u64;
        for change in &page.changes {
            if args.json {
                output::print_json_part(change)?;
            } else {
                push(lines, change);
            }
        }
        lines.print()?;
        if page.next_cursor.is_none() {
            break;
        }
        cursor = page.next_cursor;
    }
    ControlFlow::Continue(found)
}

fn push(lines: &mut Lines, change: &Change) {
    let (at, kind) = (shown(change.at.as_ref()), shown(change.kind.as_ref()));
    let style = match kind {
        "missing" | "unreadable" | "truncated" => Style::Bad,
        "returned" | "readable" | "complete" => Style::Good,
        _ => Style::Plain,
    };
    // To the second.
    let at = at.get(..19).unwrap_or(at).replace('T', " ");
    let what = describe(kind, shown(change.path.as_ref()), shown(change.detail.as_ref()));
    lines.push(style, format_args!("{at}  {kind:<14} {what}"));
}

/// Says what was read.
fn conclude(found: u64, args: &ChangesArgs, database: &Path) {
    let more = if args.limit == Some(found) { "; there may be more (--limit)" } else { "" };
    output::complain(&format_args!("{} of {}{more}", plural(found, "change"), database.display()));
}

/// The path of a change, and what there is to know of it.
pub(super) fn describe(kind: &str, path: &str, detail: &str) -> String {
    let (before, after) = match kind {
        _ if detail.is_empty() => return path.to_owned(),
        "moved" => (" (from ", ")"),
        "truncated" if Cut::parse(detail) == Some(Cut::Zeros) => {
            return format!("{path} (ends with at least {} of zeros)", super::inspect::bytes(ZERO_TAIL));
        }
        "truncated" => (" (", " bytes are missing)"),
        "first_scan" | "adopted" | "reread" => (" (", " files)"),
        _ => (" (", ")"),
    };
    [path, before, detail, after].concat()
}

fn shown(value: Option<&String>) -> &str {
    value.map_or("", String::as_str)
}
