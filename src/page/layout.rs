//! What all views have in common: the head, the navigation, the search, what is happening now, and the page for a view that
//! cannot be shown.

use maud::{DOCTYPE, Markup, html};

use super::daemon::{Daemon, Health, Problem, Root};
use super::format::{Name, Sentence, count};
use super::overview;
use crate::api::answer::Refusal;
use warp::http::StatusCode;

/// Most problems that are named above a view.
const PROBLEMS: usize = 5;

/// What surrounds a view.
pub(super) struct Frame {
    /// Where it is in the navigation.
    pub tab: Option<Tab>,
    /// How links lead to the page's own directory.
    pub up: String,
    /// Of the window; the tab's name if it is empty.
    pub title: String,
    /// Whether the head has a search field. The list of files has a larger one.
    pub has_search: bool,
    /// What is happening now.
    pub live: Markup,
    /// Seconds after which a browser without scripts loads the page again.
    pub reload: Option<u32>,
}

impl Frame {
    /// The address of a view.
    fn link(&self, path: &str) -> String {
        let link = format!("{}{path}", self.up);
        if link.is_empty() { "./".to_owned() } else { link }
    }
}

/// A part of the navigation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Tab {
    Overview,
    Files,
    Changes,
    Jobs,
    About,
}

impl Tab {
    const ALL: [(Self, &'static str, &'static str); 5] = [
        (Self::Overview, "Overview", ""),
        (Self::Files, "Files", "files"),
        (Self::Changes, "Changes", "changes"),
        (Self::Jobs, "Jobs", "jobs"),
        (Self::About, "About", "about"),
    ];

    fn name(self) -> &'static str {
        Self::ALL[self as usize].1
    }
}

/// A whole page.
pub(super) fn document(frame: &Frame, main: &Markup) -> String {
    let Frame { tab, up, title, .. } = frame;
    let title = if title.is_empty() { tab.map_or("VPO", Tab::name) } else { title };
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                title { (Sentence(title)) " · VPO" }
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                @if let Some(seconds) = frame.reload { noscript { meta http-equiv="refresh" content=(seconds); } }
                link rel="icon" href={ (up) "logo.svg" } type="image/svg+xml";
                link rel="stylesheet" href={ (up) "style.css" };
                script src={ (up) "page.js" } defer {}
            }
            body {
                a.skip href="#main" { "Skip to the content" }
                (header(frame))
                section #live aria-label="Now" data-from={ (up) "live" }
                    data-lost="VPO does not answer. This page continues when it does."
                    data-asks="VPO asks for the access token again. Load this page again." { (frame.live) }
                p #say role="status" {}
                (main)
            }
        }
    }
    .into_string()
}

fn header(frame: &Frame) -> Markup {
    let Frame { tab, up, has_search, .. } = frame;
    html! {
        header {
            a.brand href=(frame.link("")) aria-label="VPO, to the overview" {
                img src={ (up) "logo.svg" } alt="" width="28" height="28";
                "VPO"
            }
            nav aria-label="Views" {
                @for (other, name, path) in Tab::ALL {
                    a href=(frame.link(path)) aria-current=[(*tab == Some(other)).then_some("page")] { (name) }
                }
            }
            @if *has_search {
                form role="search" action={ (up) "files" } {
                    input type="search" name="q" aria-label="Search files" placeholder="Search files" autocomplete="off"
                        spellcheck="false" dir="auto";
                }
            }
        }
    }
}

/// What is happening now: problems and running scans. Empty if there is nothing to say.
pub(super) fn live(daemon: &dyn Daemon) -> Markup {
    let Health { phase, problems, version, .. } = daemon.health();
    let is_down = problems.iter().any(|problem| problem.is_failure);
    let roots = daemon.roots();
    html! {
        div data-version=(version) data-down[is_down] {
            @if phase != "running" { p.note { "The daemon is " (phase) "." } }
            @for problem in problems.iter().take(PROBLEMS) { (sentence(problem)) }
            @if problems.len() > PROBLEMS {
                p.note.warn { "And " (problems.len() - PROBLEMS) " more problems." }
            }
            @for root in &roots { @if let Some(scan) = &root.scan {
                p.note.scan {
                    span {
                        (scan.doing) " " (Name(&root.path)) ": "
                        @if scan.to_read == 0 { (count(scan.found)) " videos found" }
                        @else { (count(scan.read)) " of " (count(scan.to_read)) " videos read" }
                    }
                    @if scan.to_read == 0 { progress aria-label="Progress of the scan" {} }
                    @else {
                        progress aria-label="Progress of the scan" max=(scan.to_read) value=(scan.read) {}
                    }
                }
            } }
        }
    }
}

fn sentence(problem: &Problem) -> Markup {
    let Problem { check, is_failure, detail, reason } = problem;
    html! {
        @if *is_failure {
            p.note.bad {
                strong { "The database cannot be used. " }
                (Sentence(detail)) ". " (advice(reason)) " This page recovers by itself."
            }
        } @else {
            p.note.warn {
                @match check.strip_prefix("root:") {
                    Some(root) => strong { "Root " (Name(root)) ": " },
                    None => strong { "Warning of the " (check) ": " },
                }
                (Sentence(detail)) "."
            }
        }
    }
}

/// What to do about a database that cannot be used. `docs/operations.md` lists the reasons. The details of the others say it.
fn advice(reason: &str) -> &'static str {
    match reason {
        "not_a_database" | "corrupt" | "copy_collided" => {
            "Nothing is written to it. Restore a backup: vpo restore FILE."
        }
        "wrong_schema" => "Correct database.path, or restore a backup of this version: vpo restore FILE.",
        "locked" => "Close the program that has it open. Nothing is lost by waiting.",
        _ => "",
    }
}

/// A page that says why a view cannot be shown.
pub(super) fn refusal(frame: Frame, refusal: &Refusal, roots: &[Root]) -> String {
    let is_unavailable = refusal.status == StatusCode::SERVICE_UNAVAILABLE;
    let title = match refusal.status {
        StatusCode::SERVICE_UNAVAILABLE => "The library cannot be read now",
        StatusCode::NOT_FOUND => "Not found",
        _ => "This cannot be shown",
    };
    let main = html! {
        main #main data-refresh[is_unavailable] {
            h1 { (title) }
            p { (Sentence(&refusal.message)) }
            @if is_unavailable {
                p { "This page is loaded again until the library can be read." }
                (overview::roots(roots))
            } @else {
                p { a href=(frame.link("")) { "To the overview" } }
            }
        }
    };
    let title = if frame.tab.is_none() { title.to_owned() } else { frame.title.clone() };
    document(&Frame { title, reload: is_unavailable.then_some(5), ..frame }, &main)
}
