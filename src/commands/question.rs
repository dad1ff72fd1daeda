//! From flags and the text of a query to a [`Question`], with its refusals and notes on standard error.

use std::path::Path;
use std::process::ExitCode;

use tokio_util::sync::CancellationToken;
use unicode_width::UnicodeWidthStr;

use super::{EXIT_FAILURE, EXIT_USAGE, output};
use crate::ask::Question;
use crate::ask::terms;
use crate::base::text::Escaped;
use crate::cli::ListArgs;
use crate::config::{self, Environment};
use crate::library::files::order::Sort;
use crate::library::sqlite::Transaction;
use crate::library::{Library, Retry};
use crate::query::{self, Query, is_codec};
use crate::scan::discover;

/// Reads the query and the flags that stand for queries.
///
/// # Errors
/// The exit code, after the refusal is written to standard error.
pub(super) fn read(
    library: &Library,
    args: &ListArgs,
    environment: &Environment,
) -> Result<Question, ExitCode> {
    let mut queries = Vec::new();
    for (origin, text) in texts(args) {
        queries.push(read_one(library, &origin, &text)?);
    }
    let mut question = Question::new(Query::all(queries));
    question.missing |= args.missing;
    if let Some(key) = &args.sort {
        question.sort = Sort::parse(key).ok_or_else(|| refuse_key(key))?;
    }
    if let Some(directory) = &args.below {
        let path = config::absolute(Path::new(directory), environment)
            .map_err(|advice| usage(&format_args!("--in {directory:?}: {advice}")))?;
        question.below = Some(discover::stored(&path));
    }
    Ok(question)
}

/// The queries that are given, each with its origin.
fn texts(args: &ListArgs) -> Vec<(String, String)> {
    let mut texts = Vec::new();
    for (flag, values, not) in [("--has", &args.has, ""), ("--lacks", &args.lacks, "not ")] {
        texts
            .extend(values.iter().map(|value| (format!("{flag} {value}"), format!("{not}{}", track(value)))));
    }
    for (is_given, flag, fact) in
        [(args.truncated, "--truncated", "truncated"), (args.duplicates, "--duplicates", "duplicate")]
    {
        if is_given {
            texts.push((flag.to_owned(), fact.to_owned()));
        }
    }
    texts.extend(args.query.iter().map(|query| ("query".to_owned(), query.clone())));
    texts
}

/// The query that `TYPE:VALUE` stands for. A value that is the name of a codec is not a language.
fn track(value: &str) -> String {
    match value.split_once(':') {
        Some((track_type, value)) => {
            let filter = if is_codec(value) { "codec" } else { "lang" };
            format!("exists({track_type}, {filter} == \"{value}\")")
        }
        None => format!("exists({value})"),
    }
}

fn read_one(library: &Library, origin: &str, text: &str) -> Result<Query, ExitCode> {
    let read = within(library, |tx| Ok(terms::read(tx, text)))?;
    let query = read.map_err(|error| refuse(origin, &error))?;
    for alias in terms::aliases(&query) {
        output::complain(&alias);
    }
    Ok(query)
}

/// Runs `work` in one read transaction.
///
/// # Errors
/// The exit code, after the error is written to standard error.
pub(super) fn within<T>(
    library: &Library,
    work: impl FnMut(&Transaction<'_>) -> crate::library::sqlite::Result<T>,
) -> Result<T, ExitCode> {
    library
        .read(Retry::new(&CancellationToken::new()), work)
        .map_err(|error| output::fail(&error, EXIT_FAILURE))
}

/// Says for each codec, language and container of a query that no file has, what there is.
pub(super) fn explain(library: &Library, question: &Question) {
    for note in absent(library, question) {
        output::complain(&note);
    }
}

/// What [`explain`] says.
pub(super) fn absent(library: &Library, question: &Question) -> Vec<String> {
    let absent = |query| within(library, |tx| Ok(terms::absent(tx, query))).unwrap_or_default();
    question.query.as_ref().map(absent).unwrap_or_default()
}

/// Shows an error with its place in the query.
fn refuse(origin: &str, error: &query::Error) -> ExitCode {
    output::complain(&format_args!("{origin}, {error}"));
    output::complain(&format_args!("  {}", Escaped(&error.excerpt)));
    let before: String = error.excerpt.chars().take(error.caret).collect();
    output::complain(&format_args!("  {:1$}^", "", Escaped(before).to_string().width()));
    ExitCode::from(EXIT_USAGE)
}

fn refuse_key(key: &str) -> ExitCode {
    use crate::library::files::order::Key;
    let keys = Key::ALL.map(Key::as_str).join(", ");
    usage(&format_args!("--sort {key}: give one of {keys}; a - before it reverses the order"))
}

/// Writes what is wrong with the command line.
pub(super) fn usage(what: &dyn std::fmt::Display) -> ExitCode {
    output::complain(what);
    ExitCode::from(EXIT_USAGE)
}
