//! Where the space goes, as bars, and how the library grew.

use maud::{Markup, html};

use crate::base::times::PAGE_GROWTH_AGE;
use crate::base::timestamp::Timestamp;
use crate::library::files::Status;
use crate::library::files::statistics::{Group, RootTotals, Totals};
use crate::page::format::{Name, files, fitting, plural, size};
use crate::page::track::hdr;

/// Bars of one kind that are shown.
const BARS: usize = 8;

/// Bytes of HTML of all the others, which are shown on demand.
const REST: usize = 30_000;

/// Months that are shown, from this one on.
const MONTHS: usize = 12;

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

/// Where the space goes, and how the library grew.
pub(super) fn space(Totals { roots, overview: counted }: &Totals, now: Timestamp) -> Markup {
    let tracks = |title, groups, track_type: &'static str, filter: &str| {
        let query = |name: &str| Some(format!("exists({track_type}, {filter} == {})", quoted(name)?));
        (title, bars(groups, Some(track_type), &query))
    };
    let files = |fact: &'static str| move |name: &str| Some(format!("{fact} == {}", quoted(name)?));
    let range = |name: &str| Some(format!("exists(video, hdr == {})", name != "sdr"));
    let mut ranges = bars(&counted.ranges, None, &range);
    for bar in &mut ranges {
        bar.name = bar.name.map(hdr);
    }
    let roots: Vec<Group> = roots.iter().map(of_root).filter(|group| group.files > 0).collect();
    let mut by_root = bars(&roots, None, &files("root"));
    if by_root.iter().all(|bar| bar.name.is_none()) {
        by_root.clear();
    }
    for bar in &mut by_root {
        bar.name = bar.name.or(Some("below no root"));
    }
    let months = months(&counted.months, now);
    let cards = [
        tracks("Video codec", &counted.codecs, "video", "codec"),
        ("Resolution", bars(&counted.resolutions, None, &resolution)),
        ("Dynamic range", ranges),
        tracks("Audio language", &counted.track_languages, "audio", "lang"),
        tracks("Subtitle language", &counted.track_languages, "subtitle", "lang"),
        tracks("Audio codec", &counted.codecs, "audio", "codec"),
        tracks("Subtitle format", &counted.codecs, "subtitle", "codec"),
        ("Container", bars(&counted.containers, None, &files("container"))),
        ("Root", by_root),
    ];
    let mut left = REST;
    html! {
        section aria-labelledby="space" {
            h2 #space { "Where the space goes" }
            div.cards {
                @for (title, bars) in cards { @if !bars.is_empty() { (card(title, &bars, counted.bytes, &mut left)) } }
            }
        }
        @if !months.is_empty() {
            section aria-labelledby="growth" {
                h2 #growth { "New in the last months" }
                div.card { ul.bars {
                    @let most = months.iter().map(|bar| bar.bytes).max().unwrap_or_default();
                    @for bar in &months { li { span { (label(bar, most)) } } }
                } }
                p.muted { "Files that are still there, by the month in which a scan found them. The first scan of a root does not count." }
            }
        }
    }
}

/// The files of a root that are there.
fn of_root(totals: &RootTotals) -> Group {
    let there = Status::ALL.iter().zip(&totals.by_status).filter(|(status, _)| **status != Status::Missing);
    let (files, bytes) =
        there.fold((0, 0), |(files, bytes), (_, sum)| (files + sum.files, bytes + sum.bytes));
    Group { name: Some(totals.root.clone()).filter(|root| !root.is_empty()), track_type: None, files, bytes }
}

/// The months of the last year in which files were new, the latest first.
fn months(groups: &[Group], now: Timestamp) -> Vec<Bar<'_>> {
    let since = now.before(PAGE_GROWTH_AGE).to_string();
    let since = since.get(..7).unwrap_or_default();
    let mut months = bars(groups, None, &|_| None);
    months.retain(|month| month.name.is_some_and(|name| name > since && name.len() == since.len()));
    months.sort_by_key(|month| std::cmp::Reverse(month.name));
    months.truncate(MONTHS);
    months
}

fn card(title: &str, bars: &[Bar<'_>], whole: u64, left: &mut usize) -> Markup {
    let (first, rest) = bars.split_at(bars.len().min(BARS));
    let (rows, shown) = fitting(&mut rest.iter().map(|bar| linked(bar, &figures(bar))), left);
    html! {
        div.card {
            h3 { (title) }
            ul.bars { @for bar in first { (linked(bar, &label(bar, whole))) } }
            @if !rest.is_empty() {
                details {
                    summary { "and " (rest.len()) " more" }
                    ul.bars { (rows) }
                    @if shown < rest.len() { p.muted { "and " (rest.len() - shown) " smaller ones" } }
                }
            }
        }
    }
}

/// A row of bars with a link to its files.
fn linked(bar: &Bar<'_>, label: &Markup) -> Markup {
    html! {
        li {
            @match &bar.query {
                Some(query) => a href=(files(query)) { (label) },
                None => span { (label) },
            }
        }
    }
}

fn figures(bar: &Bar<'_>) -> Markup {
    html! {
        span.name { @match bar.name { Some(name) => (Name(name)), None => "not known" } }
        span.amount { (size(bar.bytes)) span.muted { " · " (plural(bar.files, "file", "files")) } }
    }
}

fn label(bar: &Bar<'_>, whole: u64) -> Markup {
    html! {
        (figures(bar))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn months_of_the_last_year_are_shown_the_latest_first() {
        let group = |name: &str| Group { name: Some(name.to_owned()), track_type: None, files: 1, bytes: 1 };
        let groups = ["2025-03", "2026-02", "2024-03", "2025-02", "2026-01", "?"].map(group);
        let now = Timestamp::parse("2026-02-15T12:00:00Z").expect("a time");
        let shown: Vec<_> = months(&groups, now).into_iter().filter_map(|bar| bar.name).collect();
        assert_eq!(shown, ["2026-02", "2026-01", "2025-03"]);
    }
}
