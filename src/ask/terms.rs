//! Reads a query, checks the languages and codecs that it names against the library, and says how they were understood.

use std::cell::OnceCell;
use std::collections::BTreeSet;

use super::Question;
use crate::library::files::listing::{self, Column};
use crate::library::files::order;
use crate::library::sqlite::Transaction;
use crate::query::{self, Kind, Query, Term, fold, normalise};

/// Most values that are named where a query finds nothing, and most of its languages and codecs that are looked for.
const NAMED: usize = 8;

/// Tracks or files that are read for the notes of a request, which has to be answered in a few seconds.
const NOTED: u32 = 500_000;

/// Reads a query.
///
/// # Errors
/// If it is not one, or names a language or codec that is neither known nor recorded.
pub(crate) fn read(tx: &Transaction<'_>, text: &str) -> Result<Query, query::Error> {
    Query::parse(text, &|kind, value| is_recorded(tx, kind, value, u32::MAX))
}

/// A language or codec by any name.
///
/// # Errors
/// If it is neither known nor recorded, with a hint.
pub(crate) fn canonical(tx: &Transaction<'_>, kind: Kind, given: &str) -> Result<Term, String> {
    query::canonical(kind, given, &|kind, value| is_recorded(tx, kind, value, u32::MAX))
}

/// How the conditions of a question were read, and what there is in place of what they name, unless the library is too large.
pub(crate) fn notes(tx: &Transaction<'_>, question: &Question) -> Vec<String> {
    let terms = || question.query.iter().flat_map(|query| &query.terms).chain(&question.filter_terms);
    let mut notes = aliases_of(&mut terms());
    notes.extend(absent_of(tx, &mut terms(), NOTED));
    notes
}

/// The codecs that were read as another name, a sentence each.
pub(crate) fn aliases(query: &Query) -> Vec<String> {
    aliases_of(&mut query.terms.iter())
}

fn aliases_of(terms: &mut dyn Iterator<Item = &Term>) -> Vec<String> {
    let aliases = terms.filter(|term| term.kind == Kind::Codec && fold(&term.given) != term.canonical);
    aliases.map(|term| format!("{} is read as {}", term.given, term.canonical)).collect()
}

/// For each language, codec and container of the query that no file has, a sentence that names what there is. It may read
/// every track.
pub(crate) fn absent(tx: &Transaction<'_>, query: &Query) -> Vec<String> {
    absent_of(tx, &mut query.terms.iter(), u32::MAX)
}

fn absent_of(tx: &Transaction<'_>, terms: &mut dyn Iterator<Item = &Term>, most: u32) -> Vec<String> {
    let [codecs, languages, containers] = [const { OnceCell::new() }; 3];
    let mut seen = BTreeSet::new();
    let terms = terms.filter(|term| seen.insert(&term.canonical)).take(NAMED);
    let absent = terms.filter(|term| !is_recorded(tx, term.kind, &term.canonical, most));
    let sentence = |term: &Term| {
        let (what, cell, column) = match term.kind {
            Kind::Codec => ("codec", &codecs, Column::Codec),
            Kind::Language => ("language", &languages, Column::Language),
            Kind::Container => ("container", &containers, Column::Container),
        };
        let values = cell.get_or_init(|| listing::values(tx, column).unwrap_or_default());
        let there: Vec<&str> = values.iter().take(NAMED).map(String::as_str).collect();
        let there = if there.is_empty() { "none".to_owned() } else { there.join(", ") };
        let whose = if term.kind == Kind::Container { "file" } else { "track" };
        format!("no {whose} has the {what} {}; there is {there}", term.canonical)
    };
    absent.map(sentence).collect()
}

/// Whether a track or a subtitle file has a language or codec, or a file a container; as far as `most` rows show. A database that cannot be read is reported when the files are.
fn is_recorded(tx: &Transaction<'_>, kind: Kind, canonical: &str, most: u32) -> bool {
    let is_wanted = |language: &str| normalise(language) == canonical;
    let is_listed = || {
        let languages = listing::values(tx, Column::Language)?;
        Ok(languages.iter().any(|language| is_wanted(language)))
    };
    let found = match kind {
        Kind::Codec => listing::may_have_codec(tx, canonical, most),
        Kind::Container => {
            let is_part = |found: &str| found.split(',').any(|part| fold(part) == canonical);
            listing::may_have_container(tx, &|found| fold(found) == canonical || is_part(found), most)
        }
        Kind::Language => {
            order::has_language(tx, &is_wanted).and_then(|found| found.map_or_else(is_listed, Ok))
        }
    };
    found.unwrap_or(true)
}
