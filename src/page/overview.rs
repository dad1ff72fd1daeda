//! The overview: how the library is, what it holds, and what to do.

use std::sync::Arc;

use maud::{Markup, html};

use super::daemon::{Health, Root};
use super::format::{Name, Sentence, ago, count, files, plural, size};
use super::layout::Frame;
use super::{Outcome, Site, View, page};
use crate::api::budget::Size;
use crate::api::read_pool::ReadPool;
use crate::base::timestamp::Timestamp;
use crate::library::changes::{self, Change, page as changes_page};
use crate::library::files::listing::{self, File, Filter};
use crate::library::files::statistics::{Group, Overview};
use crate::library::sqlite::Transaction;

/// Bars of one kind that are shown.
const BARS: usize = 8;

/// Files with a problem that are named.
const NAMED: u32 = 5;

/// Changes that are shown.
const LAST: u32 = 6;

/// Questions that people ask, and the queries that answer them.
pub(super) const QUESTIONS: [(&str, &str); 12] = [
    ("have no English subtitles", "not exists(subtitle, lang == eng)"),
    ("have no English audio", "not exists(audio, lang == eng)"),
    ("are neither HEVC nor AV1", "not exists(video, codec in [hevc, av1])"),
    ("are in 4K", "exists(video, height >= 2000) or exists(video, width >= 3500)"),
    ("have more than two audio tracks", "count(audio) > 2"),
    ("are larger than 20 GB", "size > 20GB"),
    ("are new this week", "age < 7d"),
    ("are probably there twice", "duplicate"),
    ("are broken", "status == error"),
    ("are cut short", "truncated"),
    ("are HDR", "exists(video, hdr == true)"),
    ("are missing", "missing"),
];

pub(super) async fn show(site: &Arc<Site>) -> Outcome {
    let deadline = ReadPool::deadline();
    let (kept, is_current) = site.readers.overviews.last(deadline).await?;
    let counted = kept.map(|kept| kept.overview);
    let (frame, health, roots) = (site.frame(View::Overview), site.daemon.health(), site.daemon.roots());
    let broken = counted.as_ref().map_or(0, |counted| of_status(counted, "error"));
    let read = move |tx: &Transaction<'_>| {
        let last = changes_page(tx, changes::Filter::default(), None, LAST)?.changes;
        if broken == 0 {
            return Ok((Vec::new(), last));
        }
        let filter = Filter { status: Some("error".to_owned()), ..Filter::default() };
        Ok((listing::page(tx, &filter, 0, NAMED)?.files, last))
    };
    let render = move |(broken, last): (Vec<File>, Vec<Change>)| {
        let main = main(&Facts { counted: counted.as_deref(), is_current, health, roots, broken, last });
        page(&Frame { reload: (!is_current).then_some(3), ..frame }, &main)
    };
    site.read(Size::Whole, read, render).await
}

/// What the overview shows.
struct Facts<'a> {
    /// `None` until the first count has ended.
    counted: Option<&'a Overview>,
    /// Whether nothing was written since.
    is_current: bool,
    health: Health,
    roots: Vec<Root>,
    /// The first few files that cannot be read.
    broken: Vec<File>,
    /// The last changes.
    last: Vec<Change>,
}

fn main(facts: &Facts<'_>) -> Markup {
    html! {
        main #main data-refresh data-again[!facts.is_current] {
            (headline(facts))
            @if let Some(counted) = facts.counted {
                @if counted.files > 0 { (figures(counted, &facts.roots)) }
                (broken(counted, &facts.broken))
                @if counted.files > 0 {
                    (questions())
                    (space(counted))
                }
            }
            @if !facts.last.is_empty() {
                section aria-labelledby="last" {
                    h2 #last { "Last changes" }
                    (super::changes::list(&facts.last, ""))
                    p { a href="changes" { "All changes" } }
                }
            }
            (roots(&facts.roots))
        }
    }
}

/// One sentence on how the library is, and what to do.
fn headline(facts: &Facts<'_>) -> Markup {
    let Facts { counted, health, roots, .. } = facts;
    let truncated = counted.map_or(0, |counted| counted.truncated);
    let is_scanning = roots.iter().any(|root| root.scan.is_some());
    let recorded = counted.map_or(0, |counted| counted.files);
    let [broken, missing] =
        ["error", "missing"].map(|status| counted.map_or(0, |one| of_status(one, status)));
    html! {
        @if counted.is_none() {
            h1.state { "Counting the library …" }
            p.lead { "The figures are here in a moment." }
        } @else if roots.is_empty() && recorded == 0 {
            h1.state.warn { "No videos yet: no root is configured." }
            p.lead {
                "A root is a directory whose videos are recorded. Start the daemon with "
                code { "--root /srv/videos" } ", or write in the configuration: "
                code { "[scan]" } ", " code { "roots = [\"/srv/videos\"]" } "."
            }
        } @else if !health.problems.is_empty() {
            h1.state.warn {
                @if health.problems.len() == 1 { "One thing needs attention." }
                @else { (health.problems.len()) " things need attention." }
            }
            p.lead { "What it is, and what to do, is written above." }
        } @else if recorded == 0 && is_scanning {
            h1.state { "The first scan is running." }
            p.lead { "Videos appear here as they are read." }
        } @else if recorded == 0 {
            h1.state.warn { "No videos were found." }
            p.lead { "Look at the roots below: are these the directories with your videos?" }
        } @else if broken > 0 {
            h1.state.warn { (plural(broken, "video is broken.", "videos are broken.")) }
            p.lead {
                "The reasons are below."
                @if truncated > 0 { " And " a href=(files("truncated")) { (plural(truncated, "is cut short", "are cut short")) } "." }
                @else { " Everything else is well." }
            }
        } @else if truncated > 0 {
            h1.state.warn { (plural(truncated, "video is cut short.", "videos are cut short.")) }
            p.lead { "They end before they should: " a href=(files("truncated")) { "the list" } ". Everything else is well." }
        } @else {
            h1.state.ok { "All is well." }
            p.lead {
                "No broken videos"
                @if missing > 0 { ", and " (plural(missing, "that is missing", "that are missing")) }
                "."
            }
        }
    }
}

fn figures(counted: &Overview, roots: &[Root]) -> Markup {
    let missing = of_status(counted, "missing");
    let hours = (counted.seconds + 1800) / 3600;
    let figure = |name: &str, value: Markup| html! { div { dt { (name) } dd { (value) } } };
    html! {
        dl.figures {
            (figure(if counted.files == 1 { "video" } else { "videos" }, count(counted.files)))
            @if hours > 0 { (figure(if hours == 1 { "hour" } else { "hours" }, count(hours))) }
            (figure("in all", size(counted.bytes)))
            (figure(if roots.len() == 1 { "root" } else { "roots" }, count(roots.len() as u64)))
            @if counted.truncated > 0 {
                (figure("cut short", html! { a href=(files("truncated")) { (count(counted.truncated)) } }))
            }
            @if missing > 0 {
                (figure("missing", html! { a href=(files("missing")) { (count(missing)) } }))
            }
        }
    }
}

fn broken(counted: &Overview, broken: &[File]) -> Markup {
    let all = of_status(counted, "error");
    html! {
        @if !broken.is_empty() {
            section aria-labelledby="broken" {
                h2 #broken { "Broken videos" }
                ul.problems {
                    @for file in broken {
                        li {
                            a href={ "file/" (file.id) } { (Name(&file.filename)) }
                            " " span.muted { (Sentence(file.scan_error.as_deref().unwrap_or_default())) }
                        }
                    }
                }
                @if all > broken.len() as u64 {
                    p { a href=(files("status == error")) { "All " (count(all)) " broken videos" } }
                }
            }
        }
    }
}

fn questions() -> Markup {
    html! {
        section aria-labelledby="questions" {
            h2 #questions { "Which videos …" }
            ul.chips { @for (name, query) in QUESTIONS { li { a href=(files(query)) { (name) } } } }
        }
    }
}

/// A bar: its name, or none where it is not known; the query for its files; its size.
struct Bar<'a> {
    name: Option<&'a str>,
    query: Option<String>,
    files: u64,
    bytes: u64,
}

/// The bars of groups about a type of track, or about files; those that take most come first. `query` asks for the files of a name.
fn bars<'a>(
    groups: &'a [Group],
    track_type: Option<&str>,
    query: &dyn Fn(&str) -> Option<String>,
) -> Vec<Bar<'a>> {
    let is_about = |group: &&Group| group.track_type.as_deref() == track_type;
    let bar = |group: &'a Group| {
        let name = group.name.as_deref();
        Bar { name, query: name.and_then(query), files: group.files, bytes: group.bytes }
    };
    let mut bars: Vec<_> = groups.iter().filter(is_about).map(bar).collect();
    bars.sort_by_key(|bar| std::cmp::Reverse(bar.bytes));
    bars
}

fn space(counted: &Overview) -> Markup {
    let codecs = |title, track_type: &'static str| {
        let query = |name: &str| Some(format!("exists({track_type}, codec == {})", quoted(name)?));
        (title, bars(&counted.codecs, Some(track_type), &query))
    };
    let languages = |title, track_type: &'static str| {
        let query = |name: &str| Some(format!("exists({track_type}, lang == {})", quoted(name)?));
        (title, bars(&counted.track_languages, Some(track_type), &query))
    };
    let container = |name: &str| Some(format!("container == {}", quoted(name)?));
    let cards = [
        codecs("Video codec", "video"),
        ("Resolution", bars(&counted.resolutions, None, &resolution)),
        ("Dynamic range", bars(&counted.ranges, None, &|_| None)),
        languages("Audio language", "audio"),
        languages("Subtitle language", "subtitle"),
        codecs("Audio codec", "audio"),
        codecs("Subtitle format", "subtitle"),
        ("Container", bars(&counted.containers, None, &container)),
    ];
    html! {
        section aria-labelledby="space" {
            h2 #space { "Where the space goes" }
            div.cards {
                @for (title, bars) in cards { @if !bars.is_empty() { (card(title, &bars, counted.bytes)) } }
            }
        }
    }
}

fn card(title: &str, bars: &[Bar<'_>], whole: u64) -> Markup {
    let more = bars.len().saturating_sub(BARS);
    html! {
        div.card {
            h3 { (title) }
            ul.bars {
                @for bar in bars.iter().take(BARS) {
                    li {
                        @match &bar.query {
                            Some(query) => a href=(files(query)) { (label(bar, whole)) },
                            None => span { (label(bar, whole)) },
                        }
                    }
                }
            }
            @if more > 0 { p.muted { "and " (more) " more" } }
        }
    }
}

fn label(bar: &Bar<'_>, whole: u64) -> Markup {
    html! {
        span.name { @match bar.name { Some(name) => (Name(name)), None => "not known" } }
        span.amount { (size(bar.bytes)) span.muted { " · " (plural(bar.files, "file", "files")) } }
        svg viewBox="0 0 1000 10" preserveAspectRatio="none" aria-hidden="true" {
            rect width=(share(bar.bytes, whole)) height="10" {}
        }
    }
}

/// A part of the whole in thousandths, at least one.
fn share(part: u64, whole: u64) -> u64 {
    let share = u128::from(part) * 1000 / u128::from(whole.max(1));
    u64::try_from(share).unwrap_or(1000).clamp(1, 1000)
}

/// A name as text of a query; `None` if it holds every quote.
fn quoted(name: &str) -> Option<String> {
    let quote = ['"', '\''].into_iter().find(|quote| !name.contains(*quote))?;
    Some(if name.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
        name.to_owned()
    } else {
        format!("{quote}{name}{quote}")
    })
}

/// The query for a class of pictures: as large as the class, and not as large as the one above.
fn resolution(class: &str) -> Option<String> {
    const CLASSES: [(&str, u32, u32); 5] = [
        ("4320p", 7000, 4000),
        ("2160p", 3500, 2000),
        ("1440p", 2400, 1400),
        ("1080p", 1800, 1000),
        ("720p", 1200, 700),
    ];
    let least = |(_, width, height): &(&str, u32, u32)| {
        format!("(exists(video, width >= {width}) or exists(video, height >= {height}))")
    };
    let at = CLASSES.iter().position(|known| known.0 == class);
    let (own, above) = match at {
        Some(at) => (Some(&CLASSES[at]), at.checked_sub(1).map(|above| &CLASSES[above])),
        None if class == "sd" => (None, CLASSES.last()),
        None => return None,
    };
    let own = own.map_or_else(|| "exists(video)".to_owned(), least);
    Some(above.map_or_else(|| own.clone(), |above| format!("{own} and not {}", least(above))))
}

/// The roots and their state.
pub(super) fn roots(roots: &[Root]) -> Markup {
    let now = Timestamp::now();
    html! {
        @if !roots.is_empty() {
            section aria-labelledby="roots" {
                h2 #roots { "Roots" }
                table {
                    thead { tr { th scope="col" { "Directory" } th scope="col" { "State" } th scope="col" { "Last scan" } th scope="col" { "Changes" } } }
                    tbody {
                        @for root in roots {
                            tr {
                                th scope="row" { (Name(&root.path)) }
                                td data-label="State" {
                                    @if root.problem.is_some() { span.badge.warn { "needs attention" } }
                                    @else if root.scan.is_some() { span.badge { "scanning" } }
                                    @else { span.badge.ok { "well" } }
                                }
                                td data-label="Last scan" {
                                    @match root.last_success { Some(time) => (ago(time, now)), None => "not yet" }
                                }
                                td data-label="Changes" { (watch(root.watch)) }
                            }
                        }
                    }
                }
            }
        }
    }
}

/// How changes below a root are found, for people.
fn watch(state: &str) -> &'static str {
    match state {
        "watching" => "seen at once",
        "starting" => "watch is being set up",
        "unavailable" => "seen by scans only; they cannot be watched",
        _ => "seen by scans only",
    }
}

fn of_status(counted: &Overview, status: &str) -> u64 {
    counted.statuses.iter().find(|group| group.name.as_deref() == Some(status)).map_or(0, |group| group.files)
}
