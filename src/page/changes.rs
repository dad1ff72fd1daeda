//! What changed in the library.

use std::sync::Arc;

use maud::{Markup, html};

use super::format::{Name, ROWS, Sentence, fitting, plural, size, stored};
use super::{Outcome, Site, View, page};
use crate::api::budget::Size;
use crate::api::query::number_cursor;
use crate::library::changes::{self, Change, Filter, Page};
use crate::library::files::facts::{Cut, ZERO_TAIL};
use crate::library::sqlite::Transaction;

/// Changes of a page.
const LIMIT: u32 = 100;

pub(super) async fn show(site: &Arc<Site>, query: &str) -> Outcome {
    let frame = site.frame(View::Changes);
    let cursor = number_cursor(query)?;
    let read = move |tx: &Transaction<'_>| changes::page(tx, Filter::default(), cursor, LIMIT);
    site.read(Size::Page, read, move |found| page(&frame, &main(&found, cursor.is_some()))).await
}

fn main(page: &Page, is_later: bool) -> Markup {
    let (table, shown) = list(&page.changes, "", &mut { ROWS });
    let is_cut = shown < page.changes.len();
    let next = if is_cut { page.changes[..shown].last().map(|last| last.id) } else { page.next_cursor };
    html! {
        main #main data-refresh[!is_later] {
            h1 { "Changes" }
            @if page.changes.is_empty() {
                p.lead { "No change is recorded yet." }
                p {
                    "What scans find new, changed or missing from now on is listed here. The first scan of a root counts as one
                    change. What was scanned is in " a href="jobs" { "Jobs" } "."
                }
            } @else {
                (table)
            }
            @if let Some(next) = next {
                p.pages { a href={ "changes?cursor=" (next) } rel="next" { "Older changes" } }
            }
        }
    }
}

/// As many changes as fit into `left`, as a table, and how many; `up` leads to the page's own directory.
pub(super) fn list(changes: &[Change], up: &str, left: &mut usize) -> (Markup, usize) {
    let (rows, shown) = fitting(&mut changes.iter().map(|change| row(change, up)), left);
    let table = html! {
        table.changes {
            thead { tr { th scope="col" { "When" } th scope="col" { "What" } th scope="col" { "File" } } }
            tbody { (rows) }
        }
    };
    (table, shown)
}

fn row(change: &Change, up: &str) -> Markup {
    let kind = change.kind.as_deref().unwrap_or_default();
    let (word, class) = described(kind);
    let path = change.path.as_deref().unwrap_or_default();
    let (directory, name) = path.rsplit_once('/').unwrap_or(("", path));
    html! {
        tr {
            td { (stored(change.at.as_deref().unwrap_or_default())) }
            td { span class=(class) { @if word.is_empty() { (Sentence(kind)) } @else { (word) } } }
            th scope="row" {
                @match change.file_id {
                    Some(id) => {
                        a href={ (up) "file/" (id) } { (Name(name)) }
                        span.path { (Name(directory)) }
                    }
                    None => (Name(path)),
                }
                @if let Some(detail) = &change.detail { span.path { (detail_of(kind, detail)) } }
            }
        }
    }
}

/// A kind of change in words, and how it is marked.
fn described(kind: &str) -> (&'static str, &'static str) {
    match kind {
        "added" => ("new", "badge ok"),
        "changed" => ("changed", "badge"),
        "moved" => ("moved", "badge"),
        "missing" => ("missing", "badge warn"),
        "returned" => ("back again", "badge ok"),
        "unreadable" => ("broken", "badge bad"),
        "readable" => ("readable again", "badge ok"),
        "truncated" => ("cut short", "badge bad"),
        "complete" => ("whole again", "badge ok"),
        "subtitle_added" => ("new subtitles", "badge ok"),
        "subtitle_gone" => ("subtitles missing", "badge warn"),
        "first_scan" => ("first scan", "badge"),
        "adopted" => ("database replaced", "badge"),
        "reread" => ("read again", "badge"),
        _ => ("", "badge"),
    }
}

fn detail_of(kind: &str, detail: &str) -> Markup {
    let number = || detail.parse().unwrap_or_default();
    match kind {
        "moved" => html! { "from " (Name(detail)) },
        "truncated" if Cut::parse(detail) == Some(Cut::Zeros) => {
            html! { "ends with at least " (size(ZERO_TAIL)) " of zeros" }
        }
        "truncated" => html! { (size(number())) " missing" },
        "first_scan" | "adopted" | "reread" => plural(number(), "file", "files"),
        _ => html! { (Name(detail)) },
    }
}
