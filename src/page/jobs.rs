//! Scans, and the work of other programs of VPO.

use std::sync::Arc;

use maud::{Markup, html};
use serde_json::Value;

use super::format::{Name, ROWS, Sentence, count, duration, encoded, fitting, stored};
use super::{Outcome, Site, View, page};
use crate::api::answer::Refusal;
use crate::api::budget::Size;
use crate::api::query;
use crate::base::timestamp::Timestamp;
use crate::library::jobs::listing::{self, Filter, Job, Page};
use crate::library::sqlite::Transaction;

/// Jobs of a page.
const LIMIT: u32 = 30;

pub(super) async fn show(site: &Arc<Site>, query: &str) -> Outcome {
    let frame = site.frame(View::Jobs);
    let cursor = query::cursor(query)?;
    let start = cursor.clone();
    let read = move |tx: &Transaction<'_>| listing::page(tx, &Filter::default(), start.as_deref(), LIMIT);
    let render = move |found: Option<Page>| {
        let gone = || Refusal::not_found("The job where this page begins is no longer recorded.");
        let jobs = found.ok_or_else(gone)?;
        page(&frame, &main(&jobs, cursor.is_some()))
    };
    site.read(Size::Page, read, render).await
}

fn main(page: &Page, is_later: bool) -> Markup {
    let (rows, shown) = fitting(&mut page.jobs.iter().map(row), &mut { ROWS });
    let is_cut = shown < page.jobs.len();
    let next =
        if is_cut { page.jobs[..shown].last().map(|last| &last.id) } else { page.next_cursor.as_ref() };
    html! {
        main #main data-refresh[!is_later] {
            h1 { "Jobs" }
            @if page.jobs.is_empty() {
                p.lead { "No job is recorded yet." }
                p { "Every scan is recorded here, with what it found. The first one begins when a root is configured." }
            } @else {
                table {
                    thead { tr {
                        th scope="col" { "Job" } th scope="col" { "State" } th scope="col" { "Began" }
                        th scope="col" { "Took" } th scope="col" { "Result" }
                    } }
                    tbody { (rows) }
                }
            }
            @if let Some(next) = next {
                p.pages { a href={ "jobs?cursor=" (encoded(next)) } rel="next" { "Older jobs" } }
            }
        }
    }
}

fn row(job: &Job) -> Markup {
    let class = match job.status.as_str() {
        "completed" => "badge ok",
        "failed" => "badge bad",
        "cancelled" => "badge warn",
        _ => "badge",
    };
    let began = job.started_at.as_deref().unwrap_or(&job.created_at);
    let took = job
        .completed_at
        .as_deref()
        .and_then(|end| Timestamp::parse(job.started_at.as_deref()?)?.until(Timestamp::parse(end)?));
    html! {
        tr {
            th scope="row" { (Sentence(&job.job_type)) " " span.path { (Name(&job.file_path)) } }
            td data-label="State" { span class=(class) { (Sentence(&job.status)) } }
            td data-label="Began" { (stored(began)) }
            td data-label="Took" { @if let Some(took) = took { (duration(took.as_secs_f64())) } @else { "–" } }
            td data-label="Result" { (result(job)) }
        }
    }
}

/// What a scan found, or why a job failed.
fn result(job: &Job) -> Markup {
    const COUNTS: [(&str, &str); 6] = [
        ("added", "new"),
        ("updated", "changed"),
        ("removed", "missing"),
        ("moved", "moved"),
        ("errors", "broken"),
        ("unreadable", "not readable"),
    ];
    let found = COUNTS.iter().filter_map(|(key, word)| {
        let number = job.summary.get(key).and_then(Value::as_u64).filter(|number| *number > 0)?;
        Some((number, word))
    });
    let found: Vec<_> = found.collect();
    let videos = job.summary.get("total_discovered").and_then(Value::as_u64);
    html! {
        @if let Some(error) = &job.error_message { (Sentence(error)) }
        @else if let Some(videos) = videos {
            (count(videos)) " videos"
            @if found.is_empty() { ", nothing new" }
            @for (number, word) in found { ", " (count(number)) " " (word) }
        }
    }
}
