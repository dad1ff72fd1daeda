//! The overview: how the library is, what it holds, and what to do.

mod space;

use std::sync::Arc;

use maud::{Markup, html};

use super::daemon::{Health, Root};
use super::file::lack;
use super::format::{Name, Sentence, ago, count, files, fitting, plural, size};
use super::layout::Frame;
use super::{Outcome, Site, View, page};
use crate::api::budget::Size;
use crate::api::read_pool::ReadPool;
use crate::base::timestamp::Timestamp;
use crate::library::changes::{self, Change, page as changes_page};
use crate::library::files::listing::{self, Details, File, Filter};
use crate::library::files::statistics::{Overview, Totals};
use crate::library::sqlite::Transaction;
use space::space;

/// Files with a problem that are named.
const NAMED: u32 = 5;

/// Changes that are shown.
const LAST: u32 = 6;

/// Bytes of HTML of the files with a problem, and of the changes.
const LISTS: usize = 60_000;

/// Questions that people ask, and the queries that answer them.
pub(super) const QUESTIONS: [(&str, &str); 12] = [
    ("have no English subtitles", "exists(video) and not exists(subtitle, lang == eng)"),
    ("have no English audio", "exists(video) and not exists(audio, lang == eng)"),
    ("are neither HEVC nor AV1", "exists(video) and not exists(video, codec in [hevc, av1])"),
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
    let counted = kept.map(|kept| kept.totals);
    let (frame, health, roots) = (site.frame(View::Overview), site.daemon.health(), site.daemon.roots());
    let config = site.daemon.config_file();
    let of = counted.clone();
    let read = move |tx: &Transaction<'_>| {
        let last = changes_page(tx, changes::Filter::default(), None, LAST)?.changes;
        let Some(counted) = of.as_ref().map(|totals| &totals.overview) else {
            return Ok((Vec::new(), Vec::new(), last));
        };
        let cut = listing::chosen(tx, &counted.first_truncated, false)?;
        if of_status(counted, "error") == 0 {
            return Ok((Vec::new(), cut, last));
        }
        let filter = Filter { status: Some("error".to_owned()), ..Filter::default() };
        Ok((listing::page(tx, &filter, 0, NAMED)?.files, cut, last))
    };
    let render = move |(broken, cut, last): (Vec<File>, Vec<Details>, Vec<Change>)| {
        let cut =
            cut.into_iter().map(|details| details.file).filter(|file| file.is_truncated() == Some(true));
        let counted = counted.as_deref();
        let facts = Facts { counted, is_current, health, roots, broken, cut: cut.collect(), last, config };
        page(&Frame { reload: (!is_current).then_some(3), ..frame }, &main(&facts))
    };
    site.read(Size::Whole, read, render).await
}

/// What the overview shows.
struct Facts<'a> {
    /// `None` until the first count has ended.
    counted: Option<&'a Totals>,
    /// Whether nothing was written since.
    is_current: bool,
    health: Health,
    roots: Vec<Root>,
    /// The first few files that cannot be read.
    broken: Vec<File>,
    /// The first few files that are cut short.
    cut: Vec<File>,
    /// The last changes.
    last: Vec<Change>,
    /// The file of the configuration.
    config: Option<String>,
}

fn main(facts: &Facts<'_>) -> Markup {
    let mut left = LISTS;
    let mut problems = |id, title, files: &[File], all, query| {
        let (rows, shown) = fitting(&mut files.iter().map(problem), &mut left);
        let all = Some(all).filter(|all| *all > shown as u64);
        section(id, title, &rows, all, query)
    };
    html! {
        main #main data-refresh data-again[!facts.is_current] {
            (headline(facts))
            @if let Some(totals) = facts.counted {
                @let counted = &totals.overview;
                @if counted.files > 0 { (figures(counted, &facts.roots)) }
                @let broken = of_status(counted, "error");
                @if broken > 0 { (problems("broken", "Broken videos", &facts.broken, broken, "status == error")) }
                @if counted.truncated > 0 {
                    (problems("cut", "Videos that are cut short", &facts.cut, counted.truncated, "truncated"))
                }
                @if counted.files > 0 {
                    (questions())
                    (space(totals, Timestamp::now()))
                }
            }
            @if !facts.last.is_empty() {
                section aria-labelledby="last" {
                    h2 #last { "Last changes" }
                    (super::changes::list(&facts.last, "", &mut { LISTS }).0)
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
    let Some(counted) = counted.map(|totals| &totals.overview) else {
        return html! {
            h1.state { "Counting the library …" }
            p.lead { "The figures are here in a moment." }
        };
    };
    let (problems, truncated) = (health.problems.len(), counted.truncated);
    let [broken, missing] = ["error", "missing"].map(|status| of_status(counted, status));
    let things = problems + usize::from(broken > 0) + usize::from(truncated > 0);
    // Just after a start, the last scans are not known yet.
    let is_unscanned = |root: &&Root| root.last_success.is_none();
    let is_scanning = roots.iter().filter(is_unscanned).any(|root| root.scan.is_some());
    let is_first = is_scanning || (counted.files == 0 && roots.iter().any(|root| is_unscanned(&root)));
    html! {
        @if roots.is_empty() && counted.files == 0 {
            (without_roots(facts))
        } @else if problems > 0 {
            h1.state.warn {
                @if things == 1 { "One thing needs attention." } @else { (things) " things need attention." }
            }
            p.lead { "What is written above says what to do. " (damaged(broken, truncated)) }
        } @else if is_first {
            h1.state { @if is_scanning { "The first scan is running." } @else { "The first scan begins." } }
            p.lead { "Videos appear here as they are read. " (damaged(broken, truncated)) }
        } @else if counted.files == 0 {
            h1.state.warn { "No videos were found." }
            p.lead { "Look at the roots below: are these the directories with your videos?" }
        } @else if broken > 0 {
            h1.state.warn { (plural(broken, "video is broken.", "videos are broken.")) }
            p.lead { "The reasons are below. " (damaged(0, truncated)) @if truncated == 0 { "Everything else is well." } }
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

/// How many videos are broken and cut short, with links.
fn damaged(broken: u64, truncated: u64) -> Markup {
    html! {
        @if broken > 0 { a href=(files("status == error")) { (plural(broken, "video is broken", "videos are broken")) } ". " }
        @if truncated > 0 { a href=(files("truncated")) { (plural(truncated, "video is cut short", "videos are cut short")) } ". " }
    }
}

fn without_roots(facts: &Facts<'_>) -> Markup {
    html! {
        h1.state.warn { "No videos yet: no root is configured." }
        p.lead {
            "A root is a directory whose videos are recorded. Start the daemon with "
            code { "--root /srv/videos" } ", or write in "
            @match &facts.config {
                Some(file) => code { (Name(file)) },
                None => { code { "~/.vpo/config.toml" } " or " code { "/etc/vpo/config.toml" } },
            }
            ": " code { "[scan]" } ", " code { "roots = [\"/srv/videos\"]" } "."
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

/// A file with a problem.
fn problem(file: &File) -> Markup {
    html! {
        li {
            a href={ "file/" (file.id) } { (Name(&file.filename)) } " "
            span.muted {
                @match &file.scan_error { Some(error) => (Sentence(error)), None => (lack(file)) }
            }
        }
    }
}

/// The first files with a problem, and a link to all of them if there are more.
fn section(id: &str, title: &str, rows: &Markup, all: Option<u64>, query: &str) -> Markup {
    html! {
        section aria-labelledby=(id) {
            h2 id=(id) { (title) }
            ul.problems { (rows) }
            @if let Some(all) = all { p { a href=(files(query)) { "All " (count(all)) } } }
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

/// The roots and their state.
pub(super) fn roots(roots: &[Root]) -> Markup {
    let now = Timestamp::now();
    html! {
        @if !roots.is_empty() {
            section aria-labelledby="roots" {
                h2 #roots { "Roots" }
                table {
                    thead { tr { th scope="col" { "Directory" } th scope="col" { "State" } th scope="col" { "Last scan" } th scope="col" { "Watch" } } }
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
                                td data-label="Watch" { @if root.problem.is_some() { "–" } @else { (watch(root.watch)) } }
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::library::files::statistics::Group;
    use crate::page::daemon::{Problem, Progress};

    /// The headline of a library: problems of the daemon, files that are there, broken and cut short, and the roots.
    fn shown(problems: usize, files: u64, broken: u64, truncated: u64, roots: &[(bool, bool)]) -> String {
        let problem = Problem { check: String::new(), is_failure: false, reason: "", detail: String::new() };
        let root = |(is_scanned, is_scanning): &(bool, bool)| Root {
            path: "/v".to_owned(),
            problem: None,
            last_success: is_scanned.then(Timestamp::now),
            watch: "off",
            scan: is_scanning.then_some(Progress { doing: "", found: 0, to_read: 0, read: 0 }),
        };
        let broken = Group { name: Some("error".to_owned()), track_type: None, files: broken, bytes: 0 };
        let overview = Overview { files, truncated, statuses: vec![broken], ..Overview::default() };
        let facts = Facts {
            counted: Some(&Totals { roots: Vec::new(), overview }),
            is_current: true,
            health: Health { problems: vec![problem; problems], ..Health::default() },
            roots: roots.iter().map(root).collect(),
            broken: Vec::new(),
            cut: Vec::new(),
            last: Vec::new(),
            config: None,
        };
        headline(&facts).into_string().replace("<data value", "<data")
    }

    #[test]
    fn the_headline_counts_all_that_needs_attention() {
        let (done, running, waiting) = ((true, false), (false, true), (false, false));
        for (shown, expected) in [
            (shown(0, 9, 0, 0, &[done]), ">All is well.<"),
            (shown(1, 9, 0, 0, &[done]), ">One thing needs attention.<"),
            (shown(1, 9, 5, 4, &[done]), ">3 things need attention.<"),
            (shown(1, 9, 5, 4, &[done]), "5</data> videos are broken</a>"),
            (shown(1, 9, 5, 4, &[done]), "4</data> videos are cut short</a>"),
            (shown(0, 9, 1, 0, &[done]), "Everything else is well."),
            (shown(0, 9, 1, 4, &[done]), "4</data> videos are cut short</a>"),
            (shown(0, 9, 0, 1, &[done]), "1</data> video is cut short."),
            (shown(0, 0, 0, 0, &[done]), ">No videos were found.<"),
            (shown(0, 0, 0, 0, &[waiting]), ">The first scan begins.<"),
            (shown(0, 0, 0, 0, &[running]), ">The first scan is running.<"),
            (shown(0, 9, 0, 0, &[done, running]), ">The first scan is running.<"),
            (shown(0, 9, 5, 0, &[running]), "5</data> videos are broken</a>"),
            (shown(0, 0, 0, 0, &[]), "no root is configured"),
            (shown(0, 9, 0, 0, &[]), ">All is well.<"),
        ] {
            assert!(shown.contains(expected), "{expected}: {shown}");
        }
        assert!(!shown(0, 9, 1, 4, &[done]).contains("Everything else is well."));
    }
}
