//! The list of files: a search, its results in order, page by page.

mod search;

use std::sync::Arc;

use maud::{Markup, html};

use super::format::{Name, ROWS, Sentence, count, encoded, fitting, plural, size};
use super::overview::QUESTIONS;
use super::track::{pictures, sounds, texts};
use super::{Outcome, Site, View, page};
use crate::api::budget::Size;
use crate::api::query::{Search, search};
use crate::library::files::listing::Details;
use crate::library::sqlite::Transaction;
use crate::query;
use search::{Found, find};

/// Files of a page.
const LIMIT: u32 = 50;

/// The order where none is asked for.
const BY_PATH: &str = "path";

/// Longer links are not shown: the request would be too long.
const LONGEST_LINK: usize = 8000;

pub(super) async fn show(site: &Arc<Site>, query: &str) -> Outcome {
    let request = search(query, BY_PATH)?;
    let frame = site.frame(View::Files);
    let known = site.readers.overviews.kept(site.library.generation()).map(|totals| totals.overview.files);
    let asked = request.clone();
    let read = move |tx: &Transaction<'_>| find(tx, &asked);
    let render = move |found: Result<Found, query::Error>| page(&frame, &main(&request, &found, known));
    site.read(Size::Page, read, render).await
}

/// `known`: the files of the library, if they are counted.
fn main(request: &Search, found: &Result<Found, query::Error>, known: Option<u64>) -> Markup {
    let is_refused = found.is_err();
    let page = found.as_ref().ok().and_then(|found| found.page.as_ref());
    let is_empty = request.text.is_empty() && page.is_some_and(|page| page.files.is_empty());
    html! {
        main #main data-refresh[is_empty] {
            h1 { "Files" }
            form.ask role="search" action="files" {
                input type="search" name="q" value=(request.text) aria-label="Words of the path, or an expression"
                    placeholder="Words of the path, or an expression" autocomplete="off" spellcheck="false" dir="auto"
                    aria-invalid=[is_refused.then_some("true")] aria-describedby=[is_refused.then_some("fault")];
                @if request.order != BY_PATH { input type="hidden" name="sort" value=(request.order); }
                button { "Search" }
            }
            @if let Err(refusal) = found { (fault(refusal)) }
            (examples(request.text.is_empty() || is_refused))
            @if let Ok(found) = found { (results(request, found, known)) }
        }
    }
}

/// Why the text is not answered, and where it is wrong.
fn fault(error: &query::Error) -> Markup {
    let (before, after) = split(&error.excerpt, error.caret);
    let (at, rest) = split(after, 1);
    html! {
        div.fault #fault role="alert" {
            pre {
                (Sentence(before)) mark { @if at.is_empty() { "␣" } @else { (Sentence(at)) } } (Sentence(rest))
            }
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

fn results(request: &Search, found: &Found, known: Option<u64>) -> Markup {
    let Some(page) = &found.page else {
        return html! {
            p.lead { "The file where this page begins is no longer recorded. " a href=(link(request, &request.order, 0)) { "To the first page" } }
        };
    };
    // The text is part of links and of the form.
    let mut left = ROWS.saturating_sub(request.text.len() * 13);
    let (rows, shown) = fitting(&mut page.files.iter().map(row), &mut left);
    let is_cut = shown < page.files.len();
    let last = page.files[..shown].last().map(|last| last.file.id);
    let next = if is_cut { last } else { page.next };
    let is_whole = next.is_none() && request.cursor == 0;
    html! {
        @for note in &found.notes { p.note { (Sentence(note)) "." } }
        @if shown == 0 && is_whole {
            (nothing(request, page.left_out))
        } @else {
            p.bar {
                span {
                    (plural(shown as u64, "file", "files"))
                    @if !is_whole {
                        " on this page"
                        @match known.filter(|_| request.text.is_empty()) {
                            Some(all) => { ", " (count(all)) " in all" }
                            None => (link_for_programs(found, "stats?", " · ", "Count all")),
                        }
                    }
                    @if page.left_out > 0 {
                        ", " (plural(page.left_out, "missing one left out", "missing ones left out"))
                    }
                }
                span {
                    "Export"
                    (link_for_programs(found, &exported("csv", request), ": ", "CSV"))
                    (link_for_programs(found, &exported("ndjson&tracks=1", request), " · ", "JSON lines"))
                }
            }
            (table(request, &rows))
        }
        p.pages {
            @if request.cursor != 0 { a href=(link(request, &request.order, 0)) { "First page" } }
            @if let Some(next) = next {
                a href=(link(request, &request.order, next)) rel="next" {
                    @if shown == 0 { "None so far: search further" } @else { "Next page" }
                }
            }
        }
    }
}

fn nothing(request: &Search, left_out: u64) -> Markup {
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

fn table(request: &Search, rows: &Markup) -> Markup {
    html! {
        table.files {
            thead { tr {
                (heading(request, "Name", "path", "-path"))
                (heading(request, "Size", "-size", "size"))
                th scope="col" { "Video" } th scope="col" { "Audio" } th scope="col" { "Subtitles" }
            } }
            tbody { (rows) }
        }
    }
}

/// A heading that sorts by its column: at first in one order, then in the other.
fn heading(request: &Search, name: &str, first: &str, second: &str) -> Markup {
    let order = request.order.as_str();
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
                @if file.is_truncated() == Some(true) { " " span.badge.bad { "cut short" } }
                span.path { (Name(&file.directory)) }
            }
            td { (size(file.size_bytes.unsigned_abs())) }
            td { (Sentence(&pictures(details))) }
            td { (Sentence(&sounds(details))) }
            td { (Sentence(&texts(details))) }
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

/// This list in another order, or from another file on.
fn link(request: &Search, order: &str, cursor: i64) -> String {
    let mut link = format!("files?q={}", encoded(&request.text));
    if order != BY_PATH {
        link += "&sort=";
        link += &encoded(order);
    }
    if cursor != 0 {
        link += "&cursor=";
        link += &cursor.to_string();
    }
    link
}

/// The part of the API that answers with the whole list.
fn exported(format: &str, request: &Search) -> String {
    format!("files?format={format}&sort={}&", encoded(&request.order))
}

/// A link to a part of the API with what was searched for, after some text; nothing if it is too long. Missing files are left out
/// as on the page, where the API would not.
fn link_for_programs(found: &Found, part: &str, before: &str, name: &str) -> Markup {
    let condition = match found.expression.as_str() {
        "" => "missing=0".to_owned(),
        expression => format!("where={}", encoded(expression)),
    };
    let address = format!("api/v1/{part}{condition}");
    html! { @if address.len() <= LONGEST_LINK { (before) a href=(address) { (name) } } }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_place_of_an_error_may_be_the_end() {
        assert_eq!((split("äb", 1), split("äb", 2), split("äb", 9)), (("ä", "b"), ("äb", ""), ("äb", "")));
    }
}
