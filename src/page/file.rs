//! One file: what is recorded of it and of its tracks, and files with the same content.

use std::sync::Arc;

use maud::{Markup, html};

use super::changes;
use super::files::badge;
use super::format::{Name, ROWS, Sentence, duration, fitting, plural, rate, size, stored};
use super::layout::Frame;
use super::track::{language, marks, measures};
use super::{Outcome, Site, View, page};
use crate::api::answer::Refusal;
use crate::api::budget::Size;
use crate::base::text::is_unsafe;
use crate::library::changes::{Change, Filter, page as changes_page};
use crate::library::files::listing::{self, Details, File, Track};
use crate::library::files::{Twin, twins};
use crate::library::sqlite::{Result, Transaction};
use crate::library::subtitles::Subtitle;

/// Files of the same content that are named.
const TWINS: u32 = 20;

/// Changes that are shown.
const CHANGES: u32 = 20;

/// What is shown.
struct Found {
    details: Details,
    /// Other files of the same content.
    twins: Vec<Twin>,
    history: Vec<Change>,
}

pub(super) async fn show(site: &Arc<Site>, id: i64) -> Outcome {
    let frame = site.frame(View::File(id));
    let read = move |tx: &Transaction<'_>| {
        let Some(details) = listing::details(tx, id)? else { return Ok(None) };
        let twins = same_content(tx, &details.file)?;
        let filter = Filter { file_id: Some(id), ..Filter::default() };
        let history = changes_page(tx, filter, None, CHANGES)?.changes;
        Ok(Some(Found { details, twins, history }))
    };
    let render = move |found: Option<Found>| {
        let gone = || Refusal::not_found(&format!("There is no file {id} in the library."));
        let found = found.ok_or_else(gone)?;
        page(&Frame { title: found.details.file.filename.clone(), ..frame }, &main(&found))
    };
    site.read(Size::Whole, read, render).await
}

/// The other files that are there with this content.
fn same_content(tx: &Transaction<'_>, file: &File) -> Result<Vec<Twin>> {
    let Some(hash) = &file.content_hash else { return Ok(Vec::new()) };
    let content = (hash.clone(), u64::try_from(file.size_bytes).unwrap_or_default());
    let mut found = twins(tx, &[content], TWINS)?.pop().unwrap_or_default();
    found.retain(|twin| twin.id != file.id && twin.status != crate::library::files::Status::Missing);
    Ok(found)
}

fn main(found: &Found) -> Markup {
    let Found { details: Details { file, tracks, subtitles, truncated }, twins, history } = found;
    let mut left = ROWS;
    html! {
        main #main {
            h1 { (Name(&file.filename)) " " (badge(&file.scan_status)) }
            @if let Some(error) = &file.scan_error { p.note.warn { (Sentence(error)) "." } }
            @if file.scan_status == "missing" {
                p.note.warn { "This file is no longer there. What was recorded of it is kept." }
            }
            @if file.is_truncated() == Some(true) {
                p.note.warn {
                    strong { "This video is cut short. " }
                    "It " (lack(file)) "."
                }
            }
            (facts(file))
            @if !twins.is_empty() {
                h2 { "Probably the same content" }
                p.muted { "These files have the same size, and their first and last 64 KiB are equal." }
                @let (twins, _) = fitting(&mut twins.iter().map(|twin| html! { li { a href=(twin.id) { (Name(&twin.path)) } } }), &mut left);
                ul.problems { (twins) }
            }
            @if !tracks.is_empty() {
                h2 { "Tracks" }
                (table(tracks, *truncated, file.id, &mut left))
            }
            @if !subtitles.is_empty() {
                h2 { "Subtitle files" }
                (subtitle_files(subtitles, &mut left))
            }
            @if !history.is_empty() {
                h2 { "History" }
                (changes::list(history, "../", &mut left).0)
            }
        }
    }
}

/// What a file that is cut short lacks.
pub(super) fn lack(file: &File) -> Markup {
    html! {
        @match file.facts.missing_bytes.filter(|bytes| *bytes > 0) {
            Some(bytes) => { "lacks " (size(bytes)) },
            None => { "ends with at least " (size(file.zero_tail.unwrap_or_default())) " of zeros" },
        }
    }
}

fn facts(file: &File) -> Markup {
    html! {
        dl.facts {
            dt { "Path" }
            dd {
                code.path { (Name(&file.path)) }
                @if is_escaped(&file.path) {
                    p.muted { "Escapes of VPO may be in this path: a control character as \\n or \\u{1b}, a byte that is not UTF-8 as %FF." }
                }
            }
            dt { "Size" } dd { (size(file.size_bytes.unsigned_abs())) }
            @if let Some(seconds) = file.duration_seconds { dt { "Duration" } dd { (duration(seconds)) } }
            @if let Some(bits) = file.bit_rate.filter(|bits| *bits > 0) { dt { "Bit rate" } dd { (rate(bits)) } }
            @if let Some(title) = &file.facts.title { dt { "Title" } dd { (Name(title)) } }
            @if let Some(seen) = &file.first_seen { dt { "First seen" } dd { (stored(seen)) } }
            @if let Some(container) = &file.container_format { dt { "Container" } dd { (Name(container)) } }
            @if let Some(chapters) = file.facts.chapters { dt { "Chapters" } dd { (chapters) } }
            @if let Some(is_fast) = file.facts.is_fast_start {
                dt { "Index" } dd { @if is_fast { "at the start: players can begin at once" } @else { "at the end" } }
            }
            @if let Some(bytes) = file.facts.hole_bytes.filter(|bytes| *bytes > 0) { dt { "Holes" } dd { (size(bytes)) } }
            dt { "Modified" } dd { (stored(&file.modified_at)) }
            @if file.scan_status != "missing" { dt { "Last read" } dd { (stored(&file.scanned_at)) } }
            @if let Some(hash) = &file.content_hash { dt { "Content hash" } dd { code { (Name(hash)) } } }
            dt { "For programs" }
            dd { a href={ "../api/v1/files/" (file.id) } { "api/v1/files/" (file.id) } }
        }
    }
}

/// Whether a path as it is shown may differ from that of the file.
fn is_escaped(path: &str) -> bool {
    let is_byte =
        |rest: &[u8]| matches!(rest, [b'%', b'8' | b'9' | b'A'..=b'F', b'0'..=b'9' | b'A'..=b'F', ..]);
    path.chars().any(is_unsafe) || (0..path.len()).any(|at| is_byte(&path.as_bytes()[at..]))
}

fn table(tracks: &[Track], truncated: bool, file: i64, left: &mut usize) -> Markup {
    let (rows, shown) = fitting(&mut tracks.iter().map(row), left);
    let more = (tracks.len() - shown) as u64;
    html! {
        table {
            thead { tr {
                th scope="col" { "Type" } th scope="col" { "Codec" } th scope="col" { "Language" }
                th scope="col" { "Details" } th scope="col" { "Title" }
            } }
            tbody { (rows) }
        }
        @if more > 0 || truncated {
            p.muted {
                @if more > 0 { (plural(more, "track", "tracks")) " more" } @else { "There are more tracks" }
                ": see " a href={ "../api/v1/files/" (file) } { "the file for programs" } "."
            }
        }
    }
}

fn row(track: &Track) -> Markup {
    let facts = &track.facts;
    html! {
        tr {
            th scope="row" { (Sentence(&track.track_type)) }
            td data-label="Codec" { (or_dash(track.codec.as_deref())) }
            td data-label="Language" { (Name(&language(track.language.as_deref(), facts.language_tag.as_deref()))) }
            td data-label="Details" {
                (Sentence(&measures(track)))
                @for mark in marks(track) { " " span.badge { (mark) } }
            }
            td data-label="Title" { (or_dash(track.title.as_deref().or(facts.name.as_deref()))) }
        }
    }
}

fn subtitle_files(files: &[Subtitle<'_>], left: &mut usize) -> Markup {
    let row = |file: &Subtitle<'_>| {
        html! {
            tr {
                th scope="row" { (Name(&file.name)) }
                td data-label="Language" { (Name(&language(Some(&file.language), file.tag.as_deref()))) }
                td data-label="Details" {
                    (Name(&file.format))
                    @if file.is_forced { " " span.badge { "forced" } }
                    @if file.is_hearing_impaired { " " span.badge { "hearing-impaired" } }
                }
            }
        }
    };
    html! {
        table {
            thead { tr { th scope="col" { "Name" } th scope="col" { "Language" } th scope="col" { "Details" } } }
            tbody { (fitting(&mut files.iter().map(row), left).0) }
        }
    }
}

fn or_dash(text: Option<&str>) -> Markup {
    html! { @match text { Some(text) => (Name(text)), None => "–" } }
}
