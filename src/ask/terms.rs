//! Reads a query, checks the languages and codecs that it names against the library, and says how they were understood.

use std::cell::OnceCell;

use crate::library::files::listing::{self, Column};
use crate::library::sqlite::Transaction;
use crate::query::{self, Kind, Query, fold, normalise};

/// Most values that are named where a query finds nothing.
const NAMED: usize = 8;

/// Reads a query.
///
/// # Errors
/// If it is not one, or names a language or codec that is neither known nor recorded.
pub(crate) fn read(tx: &Transaction<'_>, text: &str) -> Result<Query, query::Error> {
    let recorded = Recorded::new(tx);
    Query::parse(text, &|kind, value| recorded.has(kind, value))
}

/// The stored name of a language or codec.
///
/// # Errors
/// If it is neither known nor recorded, with a hint.
pub(crate) fn canonical(tx: &Transaction<'_>, kind: Kind, given: &str) -> Result<String, String> {
    let recorded = Recorded::new(tx);
    query::canonical(kind, given, &|kind, value| recorded.has(kind, value))
}

/// The codecs that were read as another name, a sentence each.
pub(crate) fn aliases(query: &Query) -> Vec<String> {
    let is_alias = |term: &&query::Term| term.kind == Kind::Codec && fold(&term.given) != term.canonical;
    let terms = query.terms.iter().filter(is_alias);
    terms.map(|term| format!("{} is read as {}", term.given, term.canonical)).collect()
}

/// For each language and codec of the query that no track has, a sentence that names what there is. It reads every track.
pub(crate) fn absent(tx: &Transaction<'_>, query: &Query) -> Vec<String> {
    let recorded = Recorded::new(tx);
    let absent = query.terms.iter().filter(|term| !recorded.has(term.kind, &term.canonical));
    let sentence = |term: &query::Term| {
        let what = if term.kind == Kind::Codec { "codec" } else { "language" };
        let there: Vec<&str> = recorded.values(term.kind).iter().take(NAMED).map(String::as_str).collect();
        let there = if there.is_empty() { "none".to_owned() } else { there.join(", ") };
        format!("no track has the {what} {}; there is {there}", term.canonical)
    };
    absent.map(sentence).collect()
}

/// The codecs and languages of the library, read when they are asked for.
struct Recorded<'a> {
    tx: &'a Transaction<'a>,
    codecs: OnceCell<Vec<String>>,
    languages: OnceCell<Vec<String>>,
}

impl<'a> Recorded<'a> {
    fn new(tx: &'a Transaction<'a>) -> Self {
        Self { tx, codecs: OnceCell::new(), languages: OnceCell::new() }
    }

    fn values(&self, kind: Kind) -> &[String] {
        let (cell, column) = match kind {
            Kind::Codec => (&self.codecs, Column::Codec),
            Kind::Language => (&self.languages, Column::Language),
        };
        // A database that cannot be read is reported when the files are.
        cell.get_or_init(|| listing::values(self.tx, column).unwrap_or_default())
    }

    fn has(&self, kind: Kind, canonical: &str) -> bool {
        self.values(kind).iter().any(|value| match kind {
            Kind::Codec => fold(value) == canonical,
            Kind::Language => normalise(value) == canonical,
        })
    }
}
