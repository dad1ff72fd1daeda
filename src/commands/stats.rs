//! `vpo stats [QUERY]`: counts the files of the library for which a query holds, and their bytes.

use std::ops::ControlFlow;
use std::process::ExitCode;

use serde_json::json;

use super::output::{Lines, Style};
use super::{EXIT_FAILURE, client, configure, database, inspect, output, question};
use crate::ask::{By, Counted, Question, terms};
use crate::base::nearest::nearest;
use crate::base::text::Escaped;
use crate::base::text::plural;
use crate::cli::{ListArgs, StatsArgs};
use crate::config::{Config, Environment};
use crate::library::Library;

/// Width of the longest bar.
const BAR: u64 = 30;

/// Runs `vpo stats`.
#[must_use]
pub(crate) fn run(args: &StatsArgs) -> ExitCode {
    let by = match args.by.as_deref().map(property).transpose() {
        Ok(by) => by,
        Err(code) => return code,
    };
    let config = match configure(&args.layer(), Config::resolve_without_secrets) {
        Ok(resolved) => resolved.config,
        Err(code) => return code,
    };
    let environment = Environment::from_process();
    let library = match database::view(&config, &environment) {
        Ok(library) => library,
        Err(error) => return output::fail(&error, EXIT_FAILURE),
    };
    let asked = ListArgs { query: args.query.clone(), missing: args.missing, ..ListArgs::default() };
    let mut question = match question::read(&library, &asked, &environment) {
        Ok(question) => question,
        Err(code) => return code,
    };
    question.tracks = by.is_some_and(By::needs_tracks);
    let roots = if by == Some(By::Root) { roots(&config, &library, &environment) } else { Vec::new() };
    let counted = match count(&library, &question, by, &roots) {
        Ok(counted) => counted,
        Err(code) => return code,
    };
    let absent = question::absent(&library, &question);
    let printed = if args.json {
        let mut notes = question.query.as_ref().map(terms::aliases).unwrap_or_default();
        notes.extend_from_slice(&absent);
        let Counted { files, bytes, seconds, left_out, groups, .. } = &counted;
        output::print_json(&json!({
            "database": library.path().display().to_string(), "by": by.map(By::as_str), "files": files, "bytes": bytes, "seconds": seconds,
            "left_out": left_out, "groups": groups, "notes": notes,
        }))
    } else {
        let mut lines = Lines::new(args.color, &environment);
        match show(&mut lines, &counted, by) {
            ControlFlow::Continue(()) => ExitCode::SUCCESS,
            ControlFlow::Break(code) => code,
        }
    };
    conclude(&library, &counted);
    for note in absent {
        output::complain(&note);
    }
    printed
}

fn property(name: &str) -> Result<By, ExitCode> {
    By::parse(name).ok_or_else(|| {
        let names = By::ALL.map(By::as_str);
        let hint = nearest(name, names).map(|name| format!("; did you mean {name}?")).unwrap_or_default();
        question::usage(&format_args!("--by {}: give one of {}{hint}", Escaped(name), names.join(", ")))
    })
}

/// The configured roots, else those of the daemon.
fn roots(config: &Config, library: &Library, environment: &Environment) -> Vec<String> {
    let stored = |root: &std::path::PathBuf| crate::scan::discover::stored(root);
    let roots: Vec<String> = config.scan.roots.iter().map(stored).collect();
    let of_daemon = || {
        let holder = client::holder(library.path(), environment.runtime_directory())?;
        let health = client::health(&holder.address?, None)?;
        Some(client::roots(&health).map(|(root, _)| root.to_owned()).collect())
    };
    if roots.is_empty() { of_daemon().unwrap_or_default() } else { roots }
}

/// Counts to the end, in slices: a read must not keep writers waiting.
fn count(
    library: &Library,
    question: &Question,
    by: Option<By>,
    roots: &[String],
) -> Result<Counted, ExitCode> {
    let mut counted = Counted::default();
    loop {
        let (so_far, is_last) = question::within(library, |tx| {
            // A read may be repeated.
            let mut counted = counted.clone();
            let is_last = question.count(tx, by, roots, &mut counted)?;
            Ok((counted, is_last))
        })?;
        counted = so_far;
        if is_last {
            return Ok(counted);
        }
    }
}

fn show(lines: &mut Lines, counted: &Counted, by: Option<By>) -> ControlFlow<ExitCode> {
    let Some(by) = by else {
        lines.push(
            Style::Plain,
            format_args!(
                "{}, {} h, {}",
                plural(counted.files, "file"),
                hours(counted.seconds),
                inspect::bytes(counted.bytes)
            ),
        );
        return lines.print();
    };
    let most = counted.groups.iter().map(|group| group.bytes).max().unwrap_or_default().max(1);
    let heading = [by.as_str(), "files", "hours", "bytes", ""].map(str::to_owned).to_vec();
    let bar = if output::is_terminal() { BAR } else { 0 };
    let rows = counted.groups.iter().map(|group| {
        let length = u128::from(bar) * u128::from(group.bytes) / u128::from(most);
        vec![
            group.name.as_ref().map_or_else(|| "-".to_owned(), |name| Escaped(name).to_string()),
            group.files.to_string(),
            hours(group.seconds),
            inspect::bytes(group.bytes),
            "█".repeat(usize::try_from(length).unwrap_or_default()),
        ]
    });
    let all =
        [counted.files.to_string(), hours(counted.seconds), inspect::bytes(counted.bytes), String::new()];
    let total = std::iter::once("all".to_owned()).chain(all).collect();
    let rows: Vec<_> = std::iter::once(heading).chain(rows).chain([total]).collect();
    for (index, line) in inspect::aligned(&rows).enumerate() {
        lines.push(if index == 0 { Style::Heading } else { Style::Plain }, line);
    }
    lines.print()
}

/// With one decimal place.
fn hours(seconds: f64) -> String {
    format!("{:.1}", seconds / 3600.0)
}

/// Says what was read and what is not counted.
fn conclude(library: &Library, counted: &Counted) {
    let mut notes = vec![format!("{} of {}", plural(counted.files, "file"), library.path().display())];
    if counted.left_out > 0 {
        notes.push(format!("{} missing left out (--missing counts them)", counted.left_out));
    }
    output::complain(&notes.join("; "));
}
