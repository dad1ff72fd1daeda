//! The list of files: a search, its results in order, page by page.

mod search;

use std::sync::Arc;

use maud::{Markup, html};

use super::format::{Name, Sentence, encoded, plural, size};
use super::overview::QUESTIONS;
use super::{Outcome, Site, View, page};
use crate::api::budget::Size;
use crate::api::query::Parameters;
use crate::library::files::listing::{Details, Track};
use crate::library::files::order::Sort;
use crate::library::files::statistics::resolution;
use crate::library::sqlite::Transaction;
use crate::query;
use search::{Found, find};

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

fn results(request: &Request, found: &Found) -> Markup {
    let Some(page) = &found.page else {
        return html! {
            p.lead { "The file where this page begins is no longer recorded. " a href=(link(request, &request.order, 0)) { "To the first page" } }
        };
    };
    let next = page.next;
    let number = page.files.len() as u64;
    html! {
        @for note in &found.notes { p.note { (Sentence(note)) "." } }
        @if page.files.is_empty() && next.is_none() && request.cursor == 0 {
            (nothing(request, page.left_out))
        } @else {
            p.bar {
                span {
                    @if next.is_none() && request.cursor == 0 { (plural(number, "file", "files")) }
                    @else { (plural(number, "file", "files")) " on this page" }
                    @if page.left_out > 0 {
                        ", " (plural(page.left_out, "missing one left out", "missing ones left out"))
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
                @if file.is_truncated() == Some(true) { " " span.badge.bad { "cut short" } }
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

/// A dynamic range in words.
pub(super) fn hdr(format: &str) -> &str {
    match format {
        "sdr" => "SDR",
        "pq" => "PQ",
        "hdr10" => "HDR10",
        "hdr10+" => "HDR10+",
        "hlg" => "HLG",
        "dolby_vision" => "Dolby Vision",
        other => other,
    }
}

/// `hevc 2160p HDR10`
fn picture(track: &Track) -> String {
    let class = track.width.zip(track.height).map(|(width, height)| resolution(width, height));
    let hdr = track.facts.hdr_format.as_deref().map(hdr).filter(|hdr| *hdr != "SDR");
    joined([track.codec.as_deref(), class, hdr])
}

/// `eng 5.1`
fn sound(track: &Track) -> String {
    joined([track.language.as_deref(), track.channel_layout.as_deref(), track.facts.codec_detail.as_deref()])
}

/// `eng`, or `eng forced`
fn text(track: &Track) -> String {
    joined([Some(track.language.as_deref().unwrap_or("und")), track.is_forced.then_some("forced"), None])
}

/// `3840 × 2160, 24 fps`, `5.1`
pub(super) fn measures(track: &Track) -> String {
    let pixels = track.width.zip(track.height).map(|(width, height)| format!("{width} × {height}"));
    let rate = track.frame_rate.as_deref().map(|rate| format!("{} fps", frames(rate)));
    let facts = &track.facts;
    let parts = [
        pixels,
        rate,
        facts.hdr_format.as_deref().map(|format| hdr(format).to_owned()),
        facts.bit_depth.map(|bits| format!("{bits} bit")),
        facts.profile.clone(),
        track.channel_layout.clone(),
        facts.codec_detail.clone(),
        facts.sample_rate.map(|rate| format!("{rate} Hz")),
        facts.bit_rate.map(|rate| format!("{} kbit/s", rate / 1000)),
    ];
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

fn joined(parts: [Option<&str>; 3]) -> String {
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
