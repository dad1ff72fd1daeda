//! `vpo list [QUERY]`: prints the files of the library for which a query holds.
//!
//! Reads the database in pages, one read transaction each, beside a running daemon or without one, and prints each page
//! before it reads the next. Results go to standard output; what was read and how many files were left out, to standard
//! error.

mod row;

use std::ops::ControlFlow;
use std::path::Path;
use std::process::ExitCode;

use super::output::{Lines, Style};
use super::{EXIT_FAILURE, configure, database, inspect, output, question};
use crate::ask::{Bounds, Cursor, Page, Question, csv};
use crate::base::text::{Text, is_unsafe, plural, to_json};
use crate::cli::ListArgs;
use crate::config::{Config, Environment};
use crate::library::Library;
use crate::library::files::listing::Details;
use crate::scan::name::path_candidates;

/// Files of one page, and rows of the table that are aligned together.
const PAGE: u64 = 1000;

/// Runs `vpo list`.
#[must_use]
pub(crate) fn run(args: &ListArgs) -> ExitCode {
    let forms = [(args.json, "--json"), (args.csv, "--csv"), (args.paths, "--paths"), (args.print0, "-0")];
    let forms: Vec<&str> =
        forms.into_iter().filter_map(|(is_given, name)| is_given.then_some(name)).collect();
    if forms.len() > 1 {
        return question::usage(&format_args!("{} exclude each other: give one", forms.join(" and ")));
    }
    let config = match configure(&args.layer(), Config::resolve_without_secrets) {
        Ok(resolved) => resolved.config,
        Err(code) => return code,
    };
    let environment = Environment::from_process();
    let library = match database::view(&config, &environment) {
        Ok(library) => library,
        Err(error) => return output::fail(&error, EXIT_FAILURE),
    };
    let mut question = match question::read(&library, args, &environment) {
        Ok(question) => question,
        Err(code) => return code,
    };
    question.tracks = !(args.paths || args.print0);
    if args.verbose {
        explain(&question);
    }
    let lines = Lines::new(args.color, &environment);
    let mut listing = Listing {
        args,
        question: &question,
        lines,
        rows: Vec::new(),
        found: 0,
        has_more: false,
        left_out: 0,
        unprintable: 0,
    };
    if let ControlFlow::Break(code) = listing.print(&library) {
        return code;
    }
    listing.conclude(library.path());
    question::explain(&library, &question);
    ExitCode::SUCCESS
}

/// Prints the query for which all conditions stand together.
fn explain(question: &Question) {
    match &question.query {
        Some(query) => output::complain(&format_args!("query: {}", query.expression)),
        None => output::complain(&"query: none, all files"),
    }
    if let Some(directory) = &question.below {
        output::complain(&format_args!("directory: {directory}"));
    }
}

/// The listing under way.
struct Listing<'a> {
    args: &'a ListArgs,
    question: &'a Question,
    lines: Lines,
    /// Rows of the table that are not printed yet.
    rows: Vec<(Style, Vec<String>)>,
    /// Files that were printed.
    found: u64,
    /// Whether files may follow that `--limit` cuts off.
    has_more: bool,
    /// Missing files for which the query holds.
    left_out: u64,
    /// Files whose path is not printed on a line.
    unprintable: u64,
}

impl Listing<'_> {
    fn print(&mut self, library: &Library) -> ControlFlow<ExitCode> {
        if self.args.csv {
            output::print_csv(csv::HEADING)?;
        }
        let mut cursor = Some(Cursor::default());
        while let Some(from) = cursor.take_if(|_| !self.is_full()) {
            let left = self.args.limit.map_or(u64::MAX, |limit| limit - self.found);
            let bounds = Bounds::slice(left.min(PAGE));
            let page = match question::within(library, |tx| self.question.page(tx, &from, bounds)) {
                // What was deleted meanwhile ends a listing in another order than that of the ids.
                Ok(page) => page.unwrap_or_default(),
                Err(code) => return ControlFlow::Break(code),
            };
            let Page { files, walked } = page;
            self.found += walked.found;
            self.left_out += walked.left_out;
            if !files.is_empty() {
                self.print_page(&files)?;
            }
            cursor = walked.next_cursor;
            self.has_more = cursor.is_some() && self.is_full();
        }
        self.print_table()
    }

    fn is_full(&self) -> bool {
        self.args.limit.is_some_and(|limit| self.found >= limit)
    }

    fn print_page(&mut self, files: &[Details]) -> ControlFlow<ExitCode> {
        if self.args.print0 {
            let paths: Vec<u8> =
                files.iter().flat_map(|details| [bytes(details), vec![0]].concat()).collect();
            return output::print_raw(&paths);
        }
        if self.args.csv {
            let mut text = String::new();
            for details in files {
                csv::push(&mut text, details);
            }
            return output::print_csv(&text);
        }
        if self.args.paths {
            let mut text = Text::default();
            for details in files {
                match String::from_utf8(bytes(details)) {
                    Ok(path) if !path.contains(is_unsafe) => text.push_line(path),
                    _ => self.unprintable += 1,
                }
            }
            return output::print_part(&text);
        }
        if self.args.json {
            let mut text = Text::default();
            for details in files {
                match to_json(details) {
                    Ok(json) => text.push_line(json),
                    Err(error) => return ControlFlow::Break(output::fail(&error, EXIT_FAILURE)),
                }
            }
            return output::print_part(&text);
        }
        self.rows.extend(files.iter().map(|details| (row::style(details), row::cells(details))));
        if self.rows.len() as u64 >= PAGE { self.print_table() } else { ControlFlow::Continue(()) }
    }

    /// Prints the rows with a heading.
    fn print_table(&mut self) -> ControlFlow<ExitCode> {
        if self.rows.is_empty() {
            return ControlFlow::Continue(());
        }
        self.rows.insert(0, (Style::Heading, row::heading()));
        let (styles, rows): (Vec<_>, Vec<_>) = std::mem::take(&mut self.rows).into_iter().unzip();
        for (style, line) in styles.into_iter().zip(inspect::aligned(&rows)) {
            self.lines.push(style, line);
        }
        self.lines.print()
    }

    /// Says what was read and what is not shown.
    fn conclude(&self, database: &Path) {
        let prints_paths = self.args.paths || self.args.print0;
        let is_for_people = !prints_paths || self.args.verbose || output::messages_are_shown();
        let asks_for_twins =
            self.question.query.as_ref().is_some_and(|query| query.names().contains("duplicate"));
        let mut notes = Vec::new();
        if is_for_people {
            notes.push(format!("{} of {}", plural(self.found, "file"), database.display()));
        }
        if is_for_people && asks_for_twins {
            notes.push("probable duplicates: size, first and last 64 KiB are equal".to_owned());
        }
        if self.has_more {
            notes.push("there may be more (--limit)".to_owned());
        }
        if self.left_out > 0 {
            notes.push(format!("{} missing left out (--missing shows them)", self.left_out));
        }
        if self.unprintable > 0 {
            let files = plural(self.unprintable, "file");
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
