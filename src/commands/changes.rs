//! `vpo changes`: prints what happened to the files of the library, the latest change first.

use std::ops::ControlFlow;
use std::process::ExitCode;

use tokio_util::sync::CancellationToken;

use super::{EXIT_FAILURE, configure, output};
use crate::base::text::Text;
use crate::base::timestamp::Timestamp;
use crate::cli::ChangesArgs;
use crate::config::Config;
use crate::library::changes::{self, Change, Filter};
use crate::library::{Library, Retry};

/// Changes that one read returns.
const PAGE: u32 = 500;

/// Runs `vpo changes`.
#[must_use]
pub(crate) fn run(args: &ChangesArgs) -> ExitCode {
    let config = match configure(&args.layer(), Config::resolve_without_secrets) {
        Ok(resolved) => resolved.config,
        Err(code) => return code,
    };
    let stop = CancellationToken::new();
    let library = match Library::view(&config.database.path, &stop) {
        Ok(library) => library,
        Err(error) => return output::fail(&error, EXIT_FAILURE),
    };
    let since = args.since.map(|age| Timestamp::now().before(age));
    let filter = Filter { since, file_id: None };
    let (mut cursor, mut left) = (None, args.limit.unwrap_or(u64::MAX));
    while left > 0 {
        let limit = u32::try_from(left).unwrap_or(PAGE).min(PAGE);
        let read = library.read(Retry::new(&stop), |tx| changes::page(tx, filter, cursor, limit));
        let page = match read {
            Ok(page) => page,
            Err(error) => return output::fail(&error, EXIT_FAILURE),
        };
        left -= page.changes.len() as u64;
        if let ControlFlow::Break(code) = print(args, &page.changes) {
            return code;
        }
        if page.next_cursor.is_none() {
            break;
        }
        cursor = page.next_cursor;
    }
    ExitCode::SUCCESS
}

fn print(args: &ChangesArgs, changes: &[Change]) -> ControlFlow<ExitCode> {
    if args.json {
        for change in changes {
            let code = output::print_json(change);
            if code != ExitCode::SUCCESS {
                return ControlFlow::Break(code);
            }
        }
        return ControlFlow::Continue(());
    }
    let mut text = Text::default();
    for change in changes {
        let (path, detail) = (shown(change.path.as_ref()), shown(change.detail.as_ref()));
        let (at, kind) = (shown(change.at.as_ref()), shown(change.kind.as_ref()));
        // To the second.
        let at = at.get(..19).unwrap_or(at).replace('T', " ");
        match (kind, detail) {
            (_, "") => text.push_line(format_args!("{at}  {kind:<14} {path}")),
            ("moved", from) => text.push_line(format_args!("{at}  {kind:<14} {path} (from {from})")),
            ("truncated", detail) => {
                let what = match detail.strip_prefix("zeros ").and_then(|zeros| zeros.parse().ok()) {
                    Some(zeros) => format!("ends with at least {} of zeros", super::inspect::bytes(zeros)),
                    None => format!("{detail} bytes are missing"),
                };
                text.push_line(format_args!("{at}  {kind:<14} {path} ({what})"));
            }
            ("first_scan" | "adopted" | "reread", count) => {
                text.push_line(format_args!("{at}  {kind:<14} {path} ({count} files)"));
            }
            (_, detail) => text.push_line(format_args!("{at}  {kind:<14} {path} ({detail})")),
        }
    }
    output::print_part(&text)
}

fn shown(value: Option<&String>) -> &str {
    value.map_or("", String::as_str)
}
