//! The list of files: what is searched for, in order, page by page.

use std::sync::Arc;

use maud::{Markup, html};

use super::format::{Name, Sentence, encoded, plural, size};
use super::overview::QUESTIONS;
use super::{Outcome, Site, View, page};
use crate::api::budget::Size;
use crate::api::query::Parameters;
use crate::ask::terms;
use crate::ask::{Bounds, Cursor, Page, Question};
use crate::library::files::listing::{Details, Track};
use crate::library::files::order::Sort;
use crate::library::files::statistics::resolution;
use crate::library::sqlite::{self, Transaction};
use crate::query::{self, Query};

/// Files of a page.
const LIMIT: u32 = 50;

/// Most tracks of a type that a row names.
const TRACKS: usize = 4;

/// The order where none is asked for.
const BY_PATH: &str = "path";

/// What is asked for.
#[derive(Clone)]
struct Request {
    /// What was typed.
    text: String,
    sort: Sort,
    /// The order as parameter.
    order: String,
    /// 0 at the first page.
    cursor: i64,
}

/// What was found.
struct Found {
    /// What was typed, as an expression: for programs. Empty for all files.
    expression: String,
    /// How it was understood.
    notes: Vec<String>,
    /// `None` if the file where the page begins is no longer recorded.
    page: Option<Page>,
}

pub(super) async fn show(site: &Arc<Site>, query: &str) -> Outcome {
    let mut parameters = Parameters::parse(query);
    let mut taken = |name| parameters.take(name).unwrap_or_default();
    let (text, order, cursor) = (taken("q").trim().to_owned(), taken("sort"), taken("cursor"));
    let sort = Sort::parse(&order).or_else(|| Sort::parse(BY_PATH)).unwrap_or_default();
    let request = Request { text, sort, order, cursor: cursor.parse().unwrap_or_default() };
    let frame = site.frame(View::Files);
    let asked = request.clone();
    let read = move |tx: &Transaction<'_>| find(tx, &asked);
    let render = move |found: Result<Found, query::Error>| page(&frame, &main(&request, &found));
    site.read(Size::Page, read, render).await
}

fn find(tx: &Transaction<'_>, request: &Request) -> sqlite::Result<Result<Found, query::Error>> {
    let (expression, query) = match understand(tx, &request.text) {
        Ok(understood) => understood,
        Err(refusal) => return Ok(Err(refusal)),
    };
    let mut notes = query.as_ref().map(terms::aliases).unwrap_or_default();
    let question = Question { sort: request.sort, ..Question::new(query) };
    let page = question.page(tx, &request.cursor.into(), Bounds::page(LIMIT))?;
    let is_empty =
        page.as_ref().is_some_and(|page| page.files.is_empty() && page.walked.next_cursor.is_none());
    if let Some(query) = question.query.as_ref().filter(|_| is_empty) {
        notes.extend(terms::absent(tx, query));
    }
    Ok(Ok(Found { expression, notes, page }))
}

/// What was typed is an expression, or else words that the path contains.
fn understand(tx: &Transaction<'_>, text: &str) -> Result<(String, Option<Query>), query::Error> {
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

fn main(request: &Request, found: &Result<Found, query::Error>) -> Markup {
    let is_refused = found.is_err();
    html! {
        main #main {
            h1 { "Files" }
            form.ask role="search" action="files" {
                input type="search" name="q" value=(request.text) aria-label="Words of the path, or an expression"
                    placeholder="Words of the path, or an expression" autocomplete="off" spellcheck="false" dir="auto"
                    aria-invalid=[is_refused.then_some("true")] aria-describedby=[is_refused.then_some("fault")];
                @if !request.order.is_empty() { input type="hidden" name="sort" value=(request.order); }
                button { "Search" }
            }
            @if let Err(refusal) = found { (fault(refusal)) }
            (examples(request.text.is_empty() || is_refused))
            @if let Ok(found) = found { (results(request, found)) }
        }
    }
}

/// Why the text is not answered, and where it is wrong.
fn fault(error: &query::Error) -> Markup {
    html! {
        div.fault #fault role="alert" {
            @let (before, after) = split(&error.excerpt, error.caret);
            @let (at, rest) = split(after, 1);
            pre { (Sentence(before)) mark { @if at.is_empty() { "␣" } @else { (Sentence(at)) } } (Sentence(rest)) }
            p { "Column " (error.column) ": " (Sentence(&error.message)) }
        }
    }
}

/// A text before and after so many characters.
fn split(text: &str, characters: usize) -> (&str, &str) {
    text.split_at(text.char_indices().nth(characters).map_or(text.len(), |(at, _)| at))
}

fn examples(is_open: bool) -> Markup {
    html! {
        details open[is_open] {
            summary { "Which videos …" }
            ul.chips { @for (name, query) in QUESTIONS { li { a href=(super::format::files(query)) title=(query) { (name) } } } }
        }
    }
}

fn results(request: &Request, found: &Found) -> Markup {
    let Some(page) = &found.page else {
        return html! {
            p.lead { "The file where this page begins is no longer recorded. " a href=(link(request, &request.order, 0)) { "To the first page" } }
        };
    };
    let next = page.walked.next_cursor.as_ref().map(Cursor::id);
    let number = page.files.len() as u64;
    html! {
        @for note in &found.notes { p.note { (Sentence(note)) "." } }
        @if page.files.is_empty() && next.is_none() && request.cursor == 0 {
            (nothing(request, page.walked.left_out))
        } @else {
            p.bar {
                span {
                    @if next.is_none() && request.cursor == 0 { (plural(number, "file", "files")) }
                    @else { (plural(number, "file", "files")) " on this page" }
                    @if page.walked.left_out > 0 {
                        ", " (plural(page.walked.left_out, "missing one left out", "missing ones left out"))
                    }
                }
                span { "Export: " (export(request, found, "csv")) " · " (export(request, found, "json")) }
            }
            (table(request, &page.files))
        }
        p.pages {
            @if request.cursor != 0 { a href=(link(request, &request.order, 0)) { "First page" } }
            @if let Some(next) = next {
                a href=(link(request, &request.order, next)) rel="next" {
                    @if number == 0 { "None so far: search further" } @else { "Next page" }
                }
            }
        }
    }
}

fn nothing(request: &Request, left_out: u64) -> Markup {
    html! {
        @if request.text.is_empty() {
            p.lead { "No file is recorded yet." }
            p { "Files appear here while a scan reads them. What is scanned is on the " a href="./" { "overview" } "." }
        } @else {
            p.lead { "Nothing was found." }
            @if left_out > 0 {
                p { (plural(left_out, "missing file matches", "missing files match")) ". Add " code { "missing and (…)" } " to see them." }
            } @else {
                p { "Search for fewer words, or begin with an example. " a href="files" { "All files" } }
            }
        }
    }
}

fn table(request: &Request, files: &[Details]) -> Markup {
    html! {
        table.files {
            thead { tr {
                (heading(request, "Name", "path", "-path"))
                (heading(request, "Size", "-size", "size"))
                th scope="col" { "Video" } th scope="col" { "Audio" } th scope="col" { "Subtitles" }
            } }
            tbody { @for details in files { (row(details)) } }
        }
    }
}

/// A heading that sorts by its column: at first in one order, then in the other.
fn heading(request: &Request, name: &str, first: &str, second: &str) -> Markup {
    let order = if request.order.is_empty() { BY_PATH } else { &request.order };
    let next = if order == first { second } else { first };
    let sorted = [first, second].contains(&order).then_some(if order.starts_with('-') {
        "descending"
    } else {
        "ascending"
    });
    html! {
        th scope="col" aria-sort=[sorted] {
            a href=(link(request, next, 0)) {
                (name) @match sorted { Some("descending") => " ↓", Some(_) => " ↑", None => "" }
            }
        }
    }
}

fn row(details: &Details) -> Markup {
    let file = &details.file;
    html! {
        tr {
            th scope="row" {
                a href={ "file/" (file.id) } { (Name(&file.filename)) }
                @if file.scan_status != "ok" { " " (badge(&file.scan_status)) }
                span.path { (Name(&file.directory)) }
            }
            td { (size(file.size_bytes.unsigned_abs())) }
            td { (Sentence(&short(details, "video", picture))) }
            td { (Sentence(&short(details, "audio", sound))) }
            td { (Sentence(&short(details, "subtitle", text))) }
        }
    }
}

/// The status of a file.
pub(super) fn badge(status: &str) -> Markup {
    match status {
        "ok" => html! {},
        "error" => html! { span.badge.bad { "broken" } },
        "missing" => html! { span.badge.warn { "missing" } },
        "pending" => html! { span.badge { "not read yet" } },
        other => html! { span.badge { (Sentence(other)) } },
    }
}

/// The tracks of a type in short, each description once.
fn short(details: &Details, track_type: &str, describe: fn(&Track) -> String) -> String {
    let mut all: Vec<String> = Vec::new();
    for track in details.tracks.iter().filter(|track| track.track_type == track_type) {
        let one = describe(track);
        if !all.contains(&one) {
            all.push(one);
        }
    }
    let more = all.len().saturating_sub(TRACKS);
    all.truncate(TRACKS);
    if more > 0 {
        all.push(format!("+{more}"));
    }
    all.join(", ")
}

/// `hevc 2160p`
fn picture(track: &Track) -> String {
    let class = track.width.zip(track.height).map(|(width, height)| resolution(width, height));
    joined([track.codec.as_deref(), class])
}

/// `eng 5.1`
fn sound(track: &Track) -> String {
    joined([track.language.as_deref(), track.channel_layout.as_deref()])
}

/// `eng`, or `eng forced`
fn text(track: &Track) -> String {
    joined([Some(track.language.as_deref().unwrap_or("und")), track.is_forced.then_some("forced")])
}

/// `3840 × 2160, 24 fps`, `5.1`
pub(super) fn measures(track: &Track) -> String {
    let pixels = track.width.zip(track.height).map(|(width, height)| format!("{width} × {height}"));
    let rate = track.frame_rate.as_deref().map(|rate| format!("{} fps", frames(rate)));
    let parts = [pixels, rate, track.channel_layout.clone()];
    parts.into_iter().flatten().collect::<Vec<_>>().join(", ")
}

/// `24000/1001` as `23.976`.
fn frames(rate: &str) -> String {
    let number = |part: &str| part.parse::<f64>().ok();
    let parts = rate.split_once('/').and_then(|(above, below)| number(above).zip(number(below)));
    match parts {
        Some((above, below)) if below > 0.0 => {
            let text = format!("{:.3}", above / below);
            text.trim_end_matches('0').trim_end_matches('.').to_owned()
        }
        _ => rate.to_owned(),
    }
}

fn joined(parts: [Option<&str>; 2]) -> String {
    let parts: Vec<&str> = parts.into_iter().flatten().collect();
    if parts.is_empty() { "?".to_owned() } else { parts.join(" ") }
}

/// This list in another order, or from another file on.
fn link(request: &Request, order: &str, cursor: i64) -> String {
    let mut link = format!("files?q={}", encoded(&request.text));
    if !order.is_empty() {
        link += "&sort=";
        link += &encoded(order);
    }
    if cursor != 0 {
        link += "&cursor=";
        link += &cursor.to_string();
    }
    link
}

/// A link to the whole list for programs.
fn export(request: &Request, found: &Found, format: &str) -> Markup {
    let order = if request.order.is_empty() { BY_PATH } else { &request.order };
    let mut address = format!("api/v1/files?format={format}&sort={}", encoded(order));
    if !found.expression.is_empty() {
        address += "&where=";
        address += &encoded(&found.expression);
    }
    html! { a href=(address) { (format.to_uppercase()) } }
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

    #[test]
    fn frame_rates_are_decimal() {
        for (rate, shown) in
            [("24000/1001", "23.976"), ("25/1", "25"), ("0/0", "0/0"), ("100/1", "100"), ("x", "x")]
        {
            assert_eq!(frames(rate), shown);
        }
    }

    #[test]
    fn the_place_of_an_error_may_be_the_end() {
        assert_eq!((split("äb", 1), split("äb", 2), split("äb", 9)), (("ä", "b"), ("äb", ""), ("äb", "")));
    }
}
