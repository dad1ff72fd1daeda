//! The output of `vpo scan`: a progress bar on a terminal, a summary, JSON.

use std::fmt::Write as _;
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressState, ProgressStyle};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use super::names::{BROKEN, Printer};
use super::{EXIT_FAILURE, output};
use crate::base::text::{Escaped, Text, plural};
use crate::cli::ScanArgs;
use crate::library::Library;
use crate::library::changes::{Kind, Mark};
use crate::scan::discover;
use crate::scan::examples::Examples;
use crate::scan::progress::{Phase, Snapshot};
use crate::scan::root::Identity;
use crate::scan::{Summary, coded};

/// A progress bar on standard error, if that is a terminal. Dropping it clears it.
pub(super) struct Bar {
    bar: ProgressBar,
    reading: bool,
}

impl Bar {
    pub(super) fn new() -> Self {
        let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr());
        bar.set_style(spinner());
        Self { bar, reading: false }
    }

    /// Shows the progress of the scan of `what`.
    pub(super) fn show(&mut self, what: &str, now: &Snapshot) {
        let reading = now.phase == Phase::Reading && now.to_read > 0;
        let doing = match now.phase {
            _ if now.library_busy => "waiting: another program has locked the database".to_owned(),
            Phase::Walking => format!("searching: {} videos", now.found),
            Phase::Reading => String::new(),
            Phase::Settling => "waiting for files that are still being written".to_owned(),
            Phase::Missing => "recording missing files".to_owned(),
            Phase::Hashing => "hashing, to recognise moved files later (Ctrl-C is safe)".to_owned(),
            Phase::Rereading => {
                "reading files again for what this version records (Ctrl-C is safe)".to_owned()
            }
        };
        self.bar.set_message(Escaped(format_args!("{what} {doing}")).to_string());
        if reading {
            self.bar.set_length(now.to_read);
            self.bar.set_position(now.read.min(now.to_read));
        }
        if reading != self.reading {
            self.reading = reading;
            self.bar.set_style(if reading { files() } else { spinner() });
            // The time before this phase does not count for the speed.
            self.bar.reset_eta();
        }
        self.bar.tick();
    }
}

fn spinner() -> ProgressStyle {
    ProgressStyle::with_template("{spinner} {msg}").unwrap_or_else(|_| ProgressStyle::default_spinner())
}

fn files() -> ProgressStyle {
    let template = "{msg}[{bar:30}] {human_pos}/{human_len} files, {speed}, {eta} left";
    ProgressStyle::with_template(template)
        .unwrap_or_else(|_| ProgressStyle::default_bar())
        .with_key("speed", |state: &ProgressState, text: &mut dyn std::fmt::Write| {
            // Writing to the line in memory cannot fail.
            let _ = write!(text, "{:.0} files/s", state.per_sec());
        })
        .progress_chars("=> ")
}

/// The result of a scan, in this process or in the daemon.
pub(super) struct Ended {
    pub(super) root: String,
    /// The root that contains it, as stored.
    pub(super) stored_root: String,
    pub(super) job: String,
    pub(super) summary: Summary,
    /// Why the scan did not complete.
    pub(super) error: Option<String>,
    pub(super) cancelled: bool,
    /// What was recorded before and after it, if that could be read.
    pub(super) marks: Option<[Mark; 2]>,
}

impl Ended {
    /// Whether the scan failed before its walk.
    fn is_empty(&self) -> bool {
        self.error.is_some() && self.summary.total_discovered == 0 && self.summary.walk_errors == 0
    }

    /// One line with the numbers of changes and problems.
    fn headline(&self) -> Text {
        let Summary { total_discovered, added, updated, moved, removed, errors, seconds, .. } = self.summary;
        let mut text = Text::default();
        // Writing to memory cannot fail.
        let _ = write!(text, "{}: {}", self.root, plural(total_discovered, "video"));
        let counts = [(added, "new"), (updated, "changed"), (moved, "moved"), (removed, "missing")];
        for (count, what) in counts {
            if count > 0 {
                let _ = write!(text, ", {count} {what}");
            }
        }
        let (subtitles, lost) = (self.summary.subtitles_added, self.summary.subtitles_gone);
        for (count, what) in [(subtitles, "added"), (lost, "gone")] {
            if count > 0 {
                let _ = write!(text, ", {} {what}", plural(count, "subtitle file"));
            }
        }
        if added + updated + moved + removed + subtitles + lost == 0 && self.error.is_none() {
            let _ = write!(text, ", nothing new");
        }
        let problems = [
            (errors, "cannot be parsed"),
            (self.summary.unreadable, "cannot be read"),
            (self.summary.unsettled, "still being written"),
            (self.summary.unmounted, "gone with their mount"),
            (self.summary.cut_titles, "titles cut: too long"),
        ];
        for (count, what) in problems {
            if count > 0 {
                let _ = write!(text, ", {count} {what}");
            }
        }
        let _ = write!(text, " ({}", time(seconds));
        if self.summary.scanned > 1 && seconds > 0.0 {
            let _ = write!(text, ", {:.0} files/s", self.summary.files_per_second);
        }
        let _ = write!(text, ")");
        text.end_line();
        text
    }

    /// Lines with what is not read, and with the first few files and places with a problem that `printer` has not named.
    fn problems(&self, printer: &Printer) -> Text {
        let (mut text, summary) = (Text::default(), &self.summary);
        passed_over(&mut text, summary);
        let (errors, unreadable) = (summary.errors, summary.unreadable);
        let unnamed = |kind, count| if printer.has_named(kind, count) { 0 } else { count };
        let lists = [
            (unnamed(BROKEN, errors), "file", "that cannot be parsed", &summary.error_examples),
            (
                unnamed(Kind::Unreadable.as_str(), unreadable),
                "file",
                "that cannot be read",
                &summary.unreadable_examples,
            ),
            (
                summary.walk_errors,
                "error",
                "during the walk, so no file in these places was recorded as missing",
                &summary.walk_error_examples,
            ),
            (summary.unsettled, "file", "still being written", &summary.unsettled_examples),
        ];
        for (count, noun, what, examples) in lists {
            list(&mut text, count, noun, what, examples);
        }
        text
    }

    /// Why the command fails: the scan did not complete, or could not read everything.
    pub(super) fn failure(&self) -> Option<String> {
        self.error.clone().or_else(|| Some(incomplete(&self.root, &self.summary.missed()?)))
    }

    /// Prints several results and what they have changed in the database, as text or JSON. `lines` and `rest` follow.
    pub(super) fn print(
        ends: &[Self],
        args: &ScanArgs,
        database: &Path,
        (lines, mut rest): (Text, Value),
    ) -> ExitCode {
        let mut printer = Printer::new(args, "{\"scans\":[");
        let have_changed = |end: &Self| end.marks.is_some_and(|[before, after]| before != after);
        let library =
            ends.iter().any(have_changed).then(|| Library::view(database, &CancellationToken::new()));
        let failure = match &library {
            Some(Err(error)) => Some(output::fail(error, EXIT_FAILURE)),
            _ => None,
        };
        for end in ends {
            printer.begin();
            if !end.is_empty() {
                printer.lines(&end.headline());
            }
            if let (Some(Ok(library)), Some(marks)) = (&library, end.marks) {
                printer.between(library, &end.stored_root, marks);
                printer.count_rest();
            }
            if !end.is_empty() {
                printer.lines(&end.problems(&printer));
            }
            printer.end(&end.json());
        }
        printer.lines(&lines);
        if !ends.iter().all(Self::is_empty) {
            printer.lines(&Text::line(format_args!("recorded in {}", database.display())));
        }
        rest["database"] = json!(database.display().to_string());
        let code = printer.finish(&rest);
        failure.unwrap_or(code)
    }

    fn json(&self) -> Value {
        let mut value = serde_json::to_value(&self.summary).unwrap_or_default();
        if let Some(object) = value.as_object_mut() {
            // The key `root` of the row is `identity` here, because `path` names the root.
            let identity: Option<Identity> = self.summary.root.clone();
            object.remove("root");
            object.insert("path".into(), json!(self.root));
            object.insert("job_id".into(), json!(self.job));
            object.insert("identity".into(), json!(identity));
            let status = match &self.error {
                None => "completed",
                Some(_) if self.cancelled => "cancelled",
                Some(_) => "failed",
            };
            object.insert("status".into(), json!(status));
            object.insert("error".into(), json!(self.error));
        }
        value
    }
}

/// Converts the report of a scan in this process.
pub(super) fn ended(root: &Path, job: &str, report: crate::scan::Report, marks: Option<[Mark; 2]>) -> Ended {
    Ended {
        marks,
        stored_root: discover::stored(root),
        root: root.to_string_lossy().into_owned(),
        job: job.to_owned(),
        cancelled: matches!(report.error, Some(crate::scan::Error::Cancelled)),
        error: report.error.as_ref().map(coded).or_else(|| report.unrecorded.map(|_| UNRECORDED.to_owned())),
        summary: report.summary,
    }
}

/// A command does not try to record the end again, unlike a daemon. The log has the cause.
const UNRECORDED: &str = "error[library]: cannot record the end of the scan, so the next scan records it as failed; what was \
                          stored is kept";

/// Extensions that are named of the files that a scan does not read.
const PASSED_OVER_SHOWN: usize = 8;

/// Names what the scan has seen and does not read.
fn passed_over(text: &mut Text, summary: &Summary) {
    let counts = summary.passed_over.by_count();
    if !counts.is_empty() {
        let (shown, rest) = counts.split_at(counts.len().min(PASSED_OVER_SHOWN));
        let mut named: Vec<_> =
            shown.iter().map(|(extension, count)| format!("{extension} {count}")).collect();
        if !rest.is_empty() {
            named.push(format!("{} more", rest.iter().map(|(_, count)| count).sum::<u64>()));
        }
        text.push_line(format_args!("  not read: {}", named.join(", ")));
    }
    if summary.unmatched_subtitles > 0 {
        text.push_line(format_args!(
            "  subtitle files that belong to no video: {}",
            summary.unmatched_subtitles
        ));
    }
}

/// Lists the first few of `count` files or places.
fn list(text: &mut Text, count: u64, noun: &str, what: &str, examples: &Examples) {
    if count == 0 {
        return;
    }
    text.push_line(format_args!("  {} {what}:", plural(count, noun)));
    let mut rest = count;
    for example in examples.iter() {
        text.push_line(format_args!("    {example}"));
        rest = rest.saturating_sub(1);
    }
    if rest > 0 {
        text.push_line(format_args!("    and {rest} more"));
    }
}

/// The error of a scan, or of a dry run, that did not read everything.
pub(super) fn incomplete(root: &str, missed: &str) -> String {
    format!("error[scan-incomplete]: the scan of {root} did not read everything: {missed}")
}

fn time(seconds: f64) -> String {
    if seconds < 1.0 {
        return format!("{:.0} ms", seconds * 1000.0);
    }
    let whole = Duration::try_from_secs_f64(seconds).unwrap_or_default().as_secs();
    match (whole / 3600, whole / 60 % 60) {
        (0, 0) => format!("{seconds:.1} s"),
        (0, minutes) => format!("{minutes} min {} s", whole % 60),
        (hours, minutes) => format!("{hours} h {minutes} min"),
    }
}
