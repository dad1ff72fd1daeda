//! Reads a query, checks the languages and codecs that it names against the library, and says how they were understood.

use std::cell::OnceCell;
use std::collections::BTreeSet;

use crate::library::files::listing::{self, Column};
use crate::library::files::order;
use crate::library::sqlite::Transaction;
use crate::query::{self, Kind, Query, fold, normalise};

/// Most values that are named where a query finds nothing, and most of its languages and codecs that are looked for.
const NAMED: usize = 8;

/// Reads a query.
///
/// # Errors
/// If it is not one, or names a language or codec that is neither known nor recorded.
pub(crate) fn read(tx: &Transaction<'_>, text: &str) -> Result<Query, query::Error> {
    Query::parse(text, &|kind, value| is_recorded(tx, kind, value))
}

/// The stored name of a language or codec.
///
/// # Errors
/// If it is neither known nor recorded, with a hint.
pub(crate) fn canonical(tx: &Transaction<'_>, kind: Kind, given: &str) -> Result<String, String> {
    query::canonical(kind, given, &|kind, value| is_recorded(tx, kind, value))
}

/// The codecs that were read as another name, a sentence each.
pub(crate) fn aliases(query: &Query) -> Vec<String> {
    let is_alias = |term: &&query::Term| term.kind == Kind::Codec && fold(&term.given) != term.canonical;
    let terms = query.terms.iter().filter(is_alias);
    terms.map(|term| format!("{} is read as {}", term.given, term.canonical)).collect()
}

/// For each language and codec of the query that no track and no subtitle file has, a sentence that names what there is. It
/// may read every track.
pub(crate) fn absent(tx: &Transaction<'_>, query: &Query) -> Vec<String> {
    let [codecs, languages] = [const { OnceCell::new() }; 2];
    let mut seen = BTreeSet::new();
    let terms = query.terms.iter().filter(|term| seen.insert(&term.canonical)).take(NAMED);
    let absent = terms.filter(|term| !is_recorded(tx, term.kind, &term.canonical));
    let sentence = |term: &query::Term| {
        let (what, cell, column) = match term.kind {
            Kind::Codec => ("codec", &codecs, Column::Codec),
            Kind::Language => ("language", &languages, Column::Language),
        };
        let values = cell.get_or_init(|| listing::values(tx, column).unwrap_or_default());
        let there: Vec<&str> = values.iter().take(NAMED).map(String::as_str).collect();
        let there = if there.is_empty() { "none".to_owned() } else { there.join(", ") };
        format!("no track has the {what} {}; there is {there}", term.canonical)
    };
    absent.map(sentence).collect()
}

/// Whether a track or a subtitle file has a language or codec. A database that cannot be read is reported when the files are.
fn is_recorded(tx: &Transaction<'_>, kind: Kind, canonical: &str) -> bool {
    let is_wanted = |language: &str| normalise(language) == canonical;
    let is_listed = || {
        let languages = listing::values(tx, Column::Language)?;
        Ok(languages.iter().any(|language| is_wanted(language)))
    };
    let found = match kind {
        Kind::Codec => listing::has_codec(tx, canonical),
        Kind::Language => {
            order::has_language(tx, &is_wanted).and_then(|found| found.map_or_else(is_listed, Ok))
        }
    };
    found.unwrap_or(true)
}
