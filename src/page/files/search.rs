//! What is searched for, and a page of what is found.

use super::LIMIT;
use crate::api::query::Search;
use crate::ask::terms;
use crate::ask::{Bounds, Cursor, Question};
use crate::base::text::to_json;
use crate::library::files::listing::{self, Details};
use crate::library::sqlite::{self, Transaction};
use crate::query::{Error, Query};

/// Bytes of the files and tracks of a page as JSON, but for the last file.
const BYTES: usize = 128 * 1024;

/// What was found.
pub(super) struct Found {
    /// What was typed, as an expression: for programs. Empty for all files.
    pub(super) expression: String,
    /// How it was understood.
    pub(super) notes: Vec<String>,
    /// `None` if the file where the page begins is no longer recorded.
    pub(super) page: Option<Searched>,
}

/// A part of the answer.
pub(super) struct Searched {
    pub(super) files: Vec<Details>,
    /// Missing files that match.
    pub(super) left_out: u64,
    /// The file after which the next page begins; `None` at the end.
    pub(super) next: Option<i64>,
}

pub(super) fn find(tx: &Transaction<'_>, request: &Search) -> sqlite::Result<Result<Found, Error>> {
    let (expression, query) = match understand(tx, &request.text) {
        Ok(understood) => understood,
        Err(refusal) => return Ok(Err(refusal)),
    };
    let mut notes = query.as_ref().map(terms::aliases).unwrap_or_default();
    // Reading tracks takes most of the time. Where the query is not about them, only those of its answer are read.
    let tracks = query.as_ref().is_none_or(Query::asks_for_tracks);
    let question = Question { sort: request.sort, tracks, ..Question::new(query) };
    let bounds = Bounds { rows: u64::MAX, ..Bounds::page(LIMIT) };
    let page = question.page(tx, &request.cursor.into(), bounds)?;
    let mut page = page.map(|page| Searched {
        files: page.files,
        left_out: page.walked.left_out,
        next: page.walked.next_cursor.as_ref().map(Cursor::id),
    });
    if let Some(page) = page.as_mut().filter(|_| !tracks) {
        add_tracks(tx, page)?;
    }
    let is_empty = page.as_ref().is_some_and(|page| page.files.is_empty() && page.next.is_none());
    if let Some(query) = question.query.as_ref().filter(|_| is_empty) {
        notes.extend(terms::absent(tx, query));
    }
    Ok(Ok(Found { expression, notes, page }))
}

/// Adds the tracks of the files, and ends the page before they take too much memory.
fn add_tracks(tx: &Transaction<'_>, page: &mut Searched) -> sqlite::Result<()> {
    let (mut files, mut bytes) = (Vec::new(), 0);
    for file in std::mem::take(&mut page.files) {
        if bytes > BYTES {
            page.next = files.last().map(|last: &Details| last.file.id);
            break;
        }
        for details in listing::chosen(tx, &[file.file.id], true)? {
            bytes += to_json(&details).map_or(0, |json| json.len());
            files.push(details);
        }
    }
    page.files = files;
    Ok(())
}

/// What was typed is an expression, or else words that the path contains.
fn understand(tx: &Transaction<'_>, text: &str) -> Result<(String, Option<Query>), Error> {
    if text.is_empty() {
        return Ok((String::new(), None));
    }
    match terms::read(tx, text) {
        Err(_) if !is_like_an_expression(text) => {
            let words = in_path(text);
            terms::read(tx, &words).map(|query| (words, Some(query)))
        }
        outcome => outcome.map(|query| (text.to_owned(), Some(query))),
    }
}

/// Whether a text that is not an expression was meant as one. Names of films hold parentheses and words such as `and`.
fn is_like_an_expression(text: &str) -> bool {
    let lower = text.to_lowercase();
    let has = |part: &&str| lower.contains(*part);
    ["exists(", "count(", "=", "<", ">", " in [", "path contains"].iter().any(has)
}

/// Words as an expression: the path contains each of them.
fn in_path(text: &str) -> String {
    let quoted = |word: &str| {
        let quote = if word.contains('"') { '\'' } else { '"' };
        // A word with both quotes is searched for without one of them.
        format!("path contains {quote}{}{quote}", word.replace(quote, ""))
    };
    let unquoted =
        text.strip_prefix('"').and_then(|text| text.strip_suffix('"')).filter(|text| !text.is_empty());
    match unquoted {
        Some(text) => quoted(text),
        None => text.split_whitespace().map(quoted).collect::<Vec<_>>().join(" and "),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_become_an_expression() {
        for (text, expression) in [
            ("blade", "path contains \"blade\""),
            ("Blade  Runner", "path contains \"Blade\" and path contains \"Runner\""),
            ("\"Blade Runner\"", "path contains \"Blade Runner\""),
            ("12\" vinyl", "path contains '12\"' and path contains \"vinyl\""),
            ("a\"b'c", "path contains 'a\"bc'"),
            ("\"\"", "path contains '\"\"'"),
        ] {
            assert_eq!(in_path(text), expression);
            assert!(Query::parse(expression, &|_, _| true).is_ok(), "{expression}");
        }
    }

    #[test]
    fn names_of_films_are_not_taken_for_expressions() {
        for name in ["Alien (1979)", "Beauty and the Beast", "[rec]", "not another film", "Se7en"] {
            assert!(!is_like_an_expression(name), "{name}");
        }
        for text in
            ["exists(audo)", "size > 20", "path contains", "codec = hevc", "container in [mkv", "Count(audio"]
        {
            assert!(is_like_an_expression(text), "{text}");
        }
    }
}
