//! Syntax errors: the first of them, and what can still be read around it.
//!
//! The parser goes on after a mistake, and then finds many that are none: a list that is not closed swallows the
//! sections below it line by line. So each error is taken alone: what it spoils is blanked out, and the rest is
//! parsed again.

use std::iter;
use std::ops::Range;

use toml::de::{DeTable, Error};

/// Errors that are reported; whoever has that many corrects them before reading on.
const MOST: usize = 3;

/// The text with all blanked out that is not TOML, byte for byte as long as before, and the first errors in it.
pub(super) fn mend(text: &str) -> (String, Vec<Error>) {
    let mut mended = text.to_owned();
    let mut errors = Vec::new();
    while let Some(error) = first_error(&mended) {
        let spoilt = spoilt_lines(&mended, start(&error));
        let is_last = errors.len() == MOST;
        let end = if is_last { mended.len() } else { spoilt.end };
        mended.replace_range(spoilt.start..end, &" ".repeat(end - spoilt.start));
        if is_last {
            break;
        }
        errors.push(error);
    }
    (mended, errors)
}

/// Where an error begins, in bytes.
pub(super) fn start(error: &Error) -> usize {
    error.span().unwrap_or_default().start
}

/// The first in the text, which need not be the first that the parser finds.
fn first_error(text: &str) -> Option<Error> {
    DeTable::parse_recoverable(text).1.into_iter().min_by_key(start)
}

/// The lines that the first error, which begins at byte `at`, spoils: up to the next table header, for what follows in
/// the same section may be part of what went wrong.
fn spoilt_lines(text: &str, at: usize) -> Range<usize> {
    let starts: Vec<usize> = iter::once(0)
        .chain(text.match_indices('\n').map(|(newline, _)| newline + 1))
        .take_while(|start| *start <= at)
        .collect();
    let line = starts.last().copied().unwrap_or(0);
    let is_whole = |end: &usize| DeTable::parse(&text[..*end]).is_ok();
    let (opening, from) = if is_whole(&line) {
        (line, at)
    } else {
        // A list or text is open here. What precedes the first error is TOML up to the line that opens it, and is not
        // from the next line on. A header in it ends it: more likely than not its bracket was forgotten.
        let opening = starts.partition_point(is_whole).saturating_sub(1);
        (starts[opening], line.saturating_sub(1))
    };
    let header = text.match_indices("\n[").map(|(header, _)| header).find(|header| *header >= from);
    opening..header.unwrap_or(text.len())
}
