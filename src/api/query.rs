//! Parses parameters. If any is unknown, repeated or invalid, the answer is 400 and names all of them.

use std::borrow::Cow;
use std::collections::BTreeMap;

use percent_encoding::percent_decode_str;

use super::answer::Refusal;
use crate::ask::By;
use crate::base::timestamp::Timestamp;
use crate::library::changes;
use crate::library::files::order::{Key, Sort};
use crate::library::files::{Status as FileStatus, listing as files};
use crate::library::jobs::{Status as JobStatus, listing as jobs};

/// Default and maximum number of entries of a page.
const LIMIT: u32 = 100;
const LIMIT_MOST: u32 = 1000;

/// Maximum number of characters of a word (a codec, a language). Only the request line limits texts and paths.
const WORD: usize = 64;

const JOB_TYPES: [&str; 4] = ["transcode", "move", "scan", "apply"];

/// What a cursor must be.
const CURSOR: &str = "the number in `next_cursor` of the previous page";

/// The query of a request, and its problems.
#[derive(Clone, Debug, Default)]
pub(crate) struct Parameters {
    values: BTreeMap<String, String>,
    problems: Vec<String>,
}

impl Parameters {
    /// Parses `name=value&…` (application/x-www-form-urlencoded).
    pub(crate) fn parse(raw: &str) -> Self {
        let mut parameters = Self::default();
        for pair in raw.split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let name = decode(name).unwrap_or_else(|| name.to_owned());
            match decode(value) {
                Some(value) => {
                    if parameters.values.insert(name.clone(), value).is_some() {
                        parameters.problems.push(format!("{name}: given more than once"));
                    }
                }
                None => parameters.problems.push(format!("{name}: not percent-encoded UTF-8")),
            }
        }
        parameters
    }

    /// Takes the value of a parameter.
    pub(crate) fn take(&mut self, name: &str) -> Option<String> {
        self.values.remove(name)
    }

    /// Takes `name`, or else the parameter by its older name, which stays accepted until 1.0.
    fn take_either<T>(
        &mut self,
        name: &str,
        older: &str,
        take: impl Fn(&mut Self, &str) -> Option<T>,
    ) -> Option<T> {
        let older = take(self, older);
        take(self, name).or(older)
    }

    fn problem(&mut self, name: &str, wanted: &str) {
        self.problems.push(format!("{name}: {wanted}"));
    }

    fn take_text(&mut self, name: &str) -> Option<String> {
        let value = self.take(name)?;
        if value.is_empty() {
            self.problem(name, "must not be empty");
        }
        Some(value)
    }

    /// Takes text to search for. A pattern of SQLite ends at a NUL, so text with a NUL would match more than it should.
    fn take_pattern(&mut self, name: &str) -> Option<String> {
        let value = self.take_text(name)?;
        if value.contains('\0') {
            self.problem(name, "text without a NUL");
        }
        Some(value)
    }

    fn take_word(&mut self, name: &str) -> Option<String> {
        let value = self.take_text(name)?;
        if value.chars().count() > WORD {
            self.problem(name, &format!("at most {WORD} characters"));
        }
        Some(value)
    }

    fn take_one_of(&mut self, name: &str, words: &[&str]) -> Option<String> {
        let value = self.take(name)?;
        if !words.contains(&value.as_str()) {
            self.problem(name, &format!("one of {}", words.join(", ")));
        }
        Some(value)
    }

    fn take_number(&mut self, name: &str, wanted: &str) -> Option<i64> {
        let value = self.take(name)?;
        let number = number::<i64>(&value);
        if number.is_none() {
            self.problem(name, wanted);
        }
        number
    }

    fn take_flag(&mut self, name: &str) -> Option<bool> {
        self.take_one_of(name, &["0", "1"]).map(|value| value == "1")
    }

    fn sort(&mut self, text: &str) -> Sort {
        Sort::parse(text).unwrap_or_else(|| {
            let keys = Key::ALL.map(Key::as_str).join(", ");
            self.problem("sort", &format!("one of {keys}, or one of them after a -"));
            Sort::default()
        })
    }

    /// Takes what chooses files.
    fn take_files(&mut self) -> Files {
        let bare = |extension: String| extension.trim_start_matches('.').to_lowercase();
        let filter = files::Filter {
            status: self.take_one_of("status", &FileStatus::OURS.map(FileStatus::as_str)),
            extension: self.take_word("extension").map(bare),
            codec: self.take_word("codec"),
            language: self.take_word("language"),
            directory: self.take_text("directory").map(|directory| match directory.trim_end_matches('/') {
                "" => "/".to_owned(),
                bare => bare.to_owned(),
            }),
            path_contains: self.take_either("path_contains", "text", Self::take_pattern),
        };
        let (query, missing) = (self.take_text("where"), self.take_flag("missing"));
        Files { filter, query, missing, ..Files::default() }
    }

    fn take_limit(&mut self) -> u32 {
        let Some(value) = self.take("limit") else { return LIMIT };
        number(&value).filter(|limit| (1..=LIMIT_MOST).contains(limit)).unwrap_or_else(|| {
            self.problem("limit", &format!("a number from 1 to {LIMIT_MOST}"));
            LIMIT
        })
    }

    /// Reports the remaining parameters as unknown.
    fn finish(mut self, known: &[&str]) -> Result<(), Refusal> {
        for name in std::mem::take(&mut self.values).into_keys() {
            let wanted = match known {
                [] => "unknown; this route has no parameters".to_owned(),
                known => format!("unknown; the parameters are {}", known.join(", ")),
            };
            self.problem(&name, &wanted);
        }
        if self.problems.is_empty() { Ok(()) } else { Err(Refusal::parameter(self.problems.join("; "))) }
    }
}

/// Checks the query of a route without parameters.
pub(super) fn none(parameters: &Parameters) -> Result<(), Refusal> {
    parameters.clone().finish(&[])
}

/// The form of an answer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Format {
    /// A page.
    #[default]
    Json,
    /// The whole answer (RFC 4180).
    Csv,
    /// The whole answer, a JSON object a line.
    Ndjson,
}

/// Which files a request asks for. The database is needed to understand it in full.
#[derive(Clone, Debug, Default)]
pub(super) struct Files {
    pub filter: files::Filter,
    /// The text of a query.
    pub query: Option<String>,
    pub missing: Option<bool>,
    pub tracks: bool,
    pub sort: Sort,
}

/// A part of the answer, or all of it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Part {
    pub format: Format,
    pub cursor: i64,
    pub limit: u32,
}

const FILES: [&str; 14] = [
    "where",
    "status",
    "extension",
    "codec",
    "language",
    "directory",
    "path_contains",
    "missing",
    "sort",
    "tracks",
    "format",
    "limit",
    "cursor",
    "by",
];

/// Parses the query of `/files`.
pub(super) fn files(mut parameters: Parameters) -> Result<(Files, Part), Refusal> {
    let mut files = parameters.take_files();
    files.tracks = parameters.take_flag("tracks").unwrap_or_default();
    if let Some(text) = parameters.take("sort") {
        files.sort = parameters.sort(&text);
    }
    let format = match parameters.take_one_of("format", &["json", "csv", "ndjson"]).as_deref() {
        Some("csv") => Format::Csv,
        Some("ndjson") => Format::Ndjson,
        _ => Format::Json,
    };
    for name in ["limit", "cursor"] {
        if format != Format::Json && parameters.take(name).is_some() {
            parameters.problem(name, "only with format=json; the other formats answer in full");
        }
    }
    let limit = parameters.take_limit();
    let cursor =
        parameters.take_either("cursor", "after", |parameters, name| parameters.take_number(name, CURSOR));
    parameters.finish(&FILES[..13])?;
    Ok((files, Part { format, cursor: cursor.unwrap_or_default(), limit }))
}

/// What the page's list of files is asked for.
#[derive(Clone, Debug)]
pub(crate) struct Search {
    /// What was typed.
    pub text: String,
    pub sort: Sort,
    /// The order as parameter.
    pub order: String,
    /// 0 at the first page.
    pub cursor: i64,
}

/// Parses the query of the page's list of files. A form sends fields that are empty. `order` is the one if none is given.
pub(crate) fn search(query: &str, order: &str) -> Result<Search, Refusal> {
    let mut parameters = Parameters::parse(query);
    let text = parameters.take("q").unwrap_or_default().trim().to_owned();
    let given = parameters.take("sort").filter(|order| !order.is_empty());
    let order = given.unwrap_or_else(|| order.to_owned());
    let sort = parameters.sort(&order);
    let cursor = parameters.take_number("cursor", CURSOR).unwrap_or_default();
    parameters.finish(&["q", "sort", "cursor"])?;
    Ok(Search { text, sort, order, cursor })
}

/// Parses the query of a page that has only a cursor.
pub(crate) fn cursor(query: &str) -> Result<Option<String>, Refusal> {
    let mut parameters = Parameters::parse(query);
    let cursor = parameters.take_word("cursor");
    parameters.finish(&["cursor"])?;
    Ok(cursor)
}

/// As [`cursor`], for a number.
pub(crate) fn number_cursor(query: &str) -> Result<Option<i64>, Refusal> {
    let mut parameters = Parameters::parse(query);
    let cursor = parameters.take_number("cursor", CURSOR);
    parameters.finish(&["cursor"])?;
    Ok(cursor)
}

/// Parses the query of `/stats`.
pub(super) fn statistics(mut parameters: Parameters) -> Result<(Files, Option<By>), Refusal> {
    let files = parameters.take_files();
    let by = parameters.take_one_of("by", &By::ALL.map(By::as_str));
    parameters.finish(&[&FILES[..8], &FILES[13..]].concat())?;
    Ok((files, by.as_deref().and_then(By::parse)))
}

/// Which changes: a filter, the text of a query, the cursor, the limit.
type Changes = (changes::Filter, Option<String>, Option<i64>, u32);

/// Parses the query of `/changes`.
pub(super) fn changes(mut parameters: Parameters) -> Result<Changes, Refusal> {
    let since = parameters.take("since").and_then(|value| {
        let since = Timestamp::since(&value, Timestamp::now());
        if since.is_none() {
            parameters.problem("since", "an age such as 7d, a date, or a time such as 2025-01-31T12:00:00Z");
        }
        since
    });
    let text = parameters.take_text("where");
    let file_id = parameters.take_number("file_id", "the id of a file");
    let limit = parameters.take_limit();
    let cursor = parameters.take_number("cursor", CURSOR);
    parameters.finish(&["where", "since", "file_id", "limit", "cursor"])?;
    Ok((changes::Filter { since, file_id }, text, cursor, limit))
}

/// Parses the query of `/jobs`.
pub(super) fn jobs(mut parameters: Parameters) -> Result<(jobs::Filter, Option<String>, u32), Refusal> {
    let filter = jobs::Filter {
        status: parameters.take_one_of("status", &JobStatus::ALL.map(JobStatus::as_str)),
        job_type: parameters.take_one_of("type", &JOB_TYPES),
    };
    let limit = parameters.take_limit();
    let cursor = parameters.take_either("cursor", "after", Parameters::take_word);
    parameters.finish(&["status", "type", "limit", "cursor"])?;
    Ok((filter, cursor, limit))
}

/// Decodes a part of a path.
pub(super) fn decode_path(part: &str) -> Result<String, Refusal> {
    let decoded = percent_decode_str(part).decode_utf8().map(Cow::into_owned);
    decoded.map_err(|_| Refusal::parameter(format!("{part}: not percent-encoded UTF-8")))
}

/// Digits only: no sign, no space.
fn number<T: std::str::FromStr>(text: &str) -> Option<T> {
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok())?
}

/// Decodes a name or a value of a query, in which a plus is a space; `None` if it is not UTF-8.
fn decode(text: &str) -> Option<String> {
    percent_decode_str(&text.replace('+', " ")).decode_utf8().ok().map(Cow::into_owned)
}
