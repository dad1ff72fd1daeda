//! `vpo list [QUERY]`: prints the files of the library for which a query holds.
//!
//! Reads the database in pages, one read transaction each, beside a running daemon or without one, and prints each page
//! before it reads the next. Results go to standard output; what was read and how many files were left out, to standard
//! error.

mod row;
mod view;

use std::cell::OnceCell;
use std::ops::ControlFlow;
use std::path::Path;
use std::process::ExitCode;

use tokio_util::sync::CancellationToken;
use unicode_width::UnicodeWidthStr;

use super::backup::count_files;
use super::{EXIT_FAILURE, EXIT_USAGE, configure, inspect, output};
use crate::base::text::{Escaped, Text, is_unsafe, to_json};
use crate::base::timestamp::Timestamp;
use crate::cli::ListArgs;
use crate::config::Config;
use crate::library::files::listing::{self, Column, Details, Filter};
use crate::library::sqlite::{self, Transaction};
use crate::library::{Library, Retry};
use crate::query::{Error, Kind, Query, fold, normalise};
use crate::scan::name::path_candidates;
use view::View;

/// Rows that one read examines.
const PAGE: u32 = 1000;

/// Most values that are named where a query finds nothing.
const NAMED: usize = 8;

/// Runs `vpo list`.
#[must_use]
pub(crate) fn run(args: &ListArgs) -> ExitCode {
    let config = match configure(&args.layer(), Config::resolve_without_secrets) {
        Ok(resolved) => resolved.config,
        Err(code) => return code,
    };
    let library = match Library::view(&config.database.path, &CancellationToken::new()) {
        Ok(library) => library,
        Err(error) => return output::fail(&error, EXIT_FAILURE),
    };
    let recorded = Recorded { library: &library, codecs: OnceCell::new(), languages: OnceCell::new() };
    let query = args.query.as_deref().map(|text| read(text, &recorded));
    let query = match query.transpose() {
        Ok(query) => query,
        Err(code) => return code,
    };
    let mut listing = Listing { args, query: query.as_ref(), found: 0, left_out: 0, unprintable: 0 };
    if let ControlFlow::Break(code) = listing.print(&library) {
        return code;
    }
    listing.conclude(library.path());
    if let (0, Some(query)) = (listing.found, &query) {
        recorded.explain(query);
    }
    ExitCode::SUCCESS
}

/// Reads the query.
fn read(text: &str, recorded: &Recorded<'_>) -> Result<Query, ExitCode> {
    let query = match Query::parse(text, &|kind, value| recorded.has(kind, value)) {
        Ok(query) => query,
        Err(error) => {
            refuse(&error);
            return Err(ExitCode::from(EXIT_USAGE));
        }
    };
    for term in query.terms.iter().filter(|term| term.kind == Kind::Codec) {
        if fold(&term.given) != term.canonical {
            output::complain(&format_args!("{} is read as {}", term.given, term.canonical));
        }
    }
    Ok(query)
}

/// Shows an error with its place in the query.
fn refuse(error: &Error) {
    output::complain(&format_args!("query, {error}"));
    output::complain(&format_args!("  {}", Escaped(&error.excerpt)));
    let before: String = error.excerpt.chars().take(error.caret).collect();
    output::complain(&format_args!("  {:1$}^", "", Escaped(before).to_string().width()));
}

/// Files as they were read.
struct Examined {
    /// Each with whether another file that is there has the same content, if the query asks that.
    files: Vec<(Details, bool)>,
    /// Where the next page begins.
    next: Option<i64>,
}

/// The listing under way.
struct Listing<'a> {
    args: &'a ListArgs,
    query: Option<&'a Query>,
    /// Files that were printed.
    found: u64,
    /// Missing files for which the query holds.
    left_out: u64,
    /// Files whose path is not printed on a line.
    unprintable: u64,
}

impl Listing<'_> {
    fn print(&mut self, library: &Library) -> ControlFlow<ExitCode> {
        let mut after = Some(0);
        while let Some(from) = after
            && !self.is_full()
        {
            let read = library
                .read(Retry::new(&CancellationToken::new()), |transaction| self.page(transaction, from));
            let page = match read {
                Ok(page) => page,
                Err(error) => return ControlFlow::Break(output::fail(&error, EXIT_FAILURE)),
            };
            let matching = self.choose(&page.files);
            if !matching.is_empty() {
                self.print_page(&matching)?;
            }
            after = page.next;
        }
        ControlFlow::Continue(())
    }

    fn is_full(&self) -> bool {
        self.args.limit.is_some_and(|limit| self.found >= limit)
    }

    /// The next files.
    fn page(&self, transaction: &Transaction<'_>, after: i64) -> sqlite::Result<Examined> {
        let page = listing::page(transaction, &Filter::default(), after, PAGE)?;
        let count = page.files.len();
        let files = listing::with_tracks(transaction, page.files)?;
        let next = if files.len() < count { files.last().map(|last| last.file.id) } else { page.next_cursor };
        let twins = if self.query.is_some_and(|query| query.names().contains("duplicate")) {
            listing::have_twins(transaction, &files)?
        } else {
            vec![false; files.len()]
        };
        let files = files.into_iter().zip(twins).collect();
        Ok(Examined { files, next })
    }

    /// Those to print. Counts the others.
    fn choose<'b>(&mut self, files: &'b [(Details, bool)]) -> Vec<&'b Details> {
        let shows_missing = self.args.missing || self.query.is_some_and(Query::asks_for_missing);
        let now = Timestamp::now();
        let mut chosen = Vec::new();
        for (details, has_twin) in files {
            if self.is_full() {
                break;
            }
            let view = View { details, has_twin: *has_twin, now };
            if !self.query.is_none_or(|query| query.expression.matches(&view)) {
                continue;
            }
            if details.file.scan_status == "missing" && !shows_missing {
                self.left_out += 1;
            } else {
                self.found += 1;
                chosen.push(details);
            }
        }
        chosen
    }

    fn print_page(&mut self, files: &[&Details]) -> ControlFlow<ExitCode> {
        if self.args.print0 {
            let paths: Vec<u8> =
                files.iter().flat_map(|details| [bytes(details), vec![0]].concat()).collect();
            return output::print_raw(&paths);
        }
        let mut text = Text::default();
        if self.args.paths {
            for details in files {
                match String::from_utf8(bytes(details)) {
                    Ok(path) if !path.contains(is_unsafe) => text.push_line(path),
                    _ => self.unprintable += 1,
                }
            }
        } else if self.args.json {
            for details in files {
                match to_json(details) {
                    Ok(json) => text.push_line(json),
                    Err(error) => return ControlFlow::Break(output::fail(&error, EXIT_FAILURE)),
                }
            }
        } else {
            let rows: Vec<Vec<String>> = std::iter::once(row::heading())
                .chain(files.iter().map(|details| row::cells(details)))
                .collect();
            inspect::push_rows(&mut text, &rows);
        }
        output::print_part(&text)
    }

    /// Says what was read and what is not shown.
    fn conclude(&self, database: &Path) {
        let is_for_people = !(self.args.paths || self.args.print0);
        let mut notes = Vec::new();
        if is_for_people {
            notes.push(format!("{} of {}", count_files(self.found), database.display()));
        }
        if is_for_people && self.query.is_some_and(|query| query.names().contains("duplicate")) {
            notes.push("probable duplicates: size, first and last 64 KiB are equal".to_owned());
        }
        if self.is_full() {
            notes.push("there may be more (--limit)".to_owned());
        }
        if self.left_out > 0 {
            notes.push(format!("{} missing left out (--missing shows them)", self.left_out));
        }
        if self.unprintable > 0 {
            let files = count_files(self.unprintable);
            notes.push(format!(
                "{files} left out whose names are not UTF-8 or contain control characters (-0 prints them)"
            ));
        }
        if !notes.is_empty() {
            output::complain(&notes.join("; "));
        }
    }
}

/// The path of a file as the kernel has it. A name that is not UTF-8 is stored encoded, and a name that is may look the same.
fn bytes(details: &Details) -> Vec<u8> {
    let path = &details.file.path;
    let is_there = |candidate: &Vec<u8>| {
        use std::os::unix::ffi::OsStrExt;
        Path::new(std::ffi::OsStr::from_bytes(candidate)).symlink_metadata().is_ok()
    };
    let decoded = || path_candidates(path).find(is_there);
    path.contains('%').then(decoded).flatten().unwrap_or_else(|| path.as_bytes().to_vec())
}

/// The codecs and languages of the library, read when they are asked for.
struct Recorded<'a> {
    library: &'a Library,
    codecs: OnceCell<Vec<String>>,
    languages: OnceCell<Vec<String>>,
}

impl Recorded<'_> {
    fn values(&self, kind: Kind) -> &[String] {
        let (cell, column) = match kind {
            Kind::Codec => (&self.codecs, Column::Codec),
            Kind::Language => (&self.languages, Column::Language),
        };
        // A database that cannot be read is reported by the listing itself.
        cell.get_or_init(|| {
            let read = |transaction: &Transaction<'_>| listing::values(transaction, column);
            self.library.read(Retry::new(&CancellationToken::new()), read).unwrap_or_default()
        })
    }

    fn has(&self, kind: Kind, canonical: &str) -> bool {
        self.values(kind).iter().any(|value| match kind {
            Kind::Codec => fold(value) == canonical,
            Kind::Language => normalise(value) == canonical,
        })
    }

    /// Names what there is, for each codec and language of a query that no file has.
    fn explain(&self, query: &Query) {
        for term in &query.terms {
            if !self.has(term.kind, &term.canonical) {
                let what = if term.kind == Kind::Codec { "codec" } else { "language" };
                let there = self.values(term.kind).iter().take(NAMED).map(String::as_str);
                let there: Vec<&str> = there.collect();
                output::complain(&format_args!(
                    "no track has the {what} {}; there is {}",
                    term.canonical,
                    if there.is_empty() { "none".to_owned() } else { there.join(", ") }
                ));
            }
        }
    }
}
