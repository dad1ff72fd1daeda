//! The scan in this process: no daemon runs, and the library's lock is ours.

use std::path::Path;
use std::process::ExitCode;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde_json::json;
use tokio::sync::oneshot;
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;
use tracing::warn;

use super::names::{Named, Printer};
use super::report::{Bar, Ended, ended, incomplete};
use super::{EXIT_FAILURE, EXIT_INTERRUPTED, EXIT_TERMINATED, Part, Signals, listen, output};
use crate::base::text::{Text, plural};
use crate::base::times::{
    FOREGROUND_CHECK_INTERVAL, FOREGROUND_PROGRESS_INTERVAL, FOREGROUND_STOP_TIMEOUT, SCAN_END_BUSY_TIMEOUT,
};
use crate::cli::ScanArgs;
use crate::config::Config;
use crate::library::changes::{self, Kind, Mark};
use crate::library::jobs::Options;
use crate::library::{Library, Retry};
use crate::scan::facts_pass::FactsWork;
use crate::scan::hash_pass::{self, Hashed};
use crate::scan::job::Preview;
use crate::scan::overlap::Overlaps;
use crate::scan::progress::Progress;
use crate::scan::{self, Context, Task, chain, coded, job};

/// Scans, shows how far it is, and ends on Ctrl-C with what was stored.
pub(super) fn scan(args: &ScanArgs, config: &Config, parts: Vec<Part>, library: Library) -> ExitCode {
    let context = context(config, library);
    let shown = Arc::new(Mutex::new((String::new(), Arc::clone(&context.progress))));
    let (done, ending) = oneshot::channel();
    let worker = {
        let (context, shown) = (context.clone(), Arc::clone(&shown));
        let options = Options::requested(args.accept_missing, args.full);
        move || {
            let _ = done.send(scan_all(&context, &parts, &options, &shown));
        }
    };
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return output::fail(&scan::Error::Threads(error), EXIT_FAILURE),
    };
    let signals = match listen(&runtime) {
        Ok(signals) => signals,
        Err(error) => return output::fail(&scan::Error::Threads(error), EXIT_FAILURE),
    };
    let library = Arc::clone(&context.library);
    let spawn = |name: &str| std::thread::Builder::new().name(name.into());
    let spawned = spawn("check").spawn(move || watch(&library)).and_then(|_| spawn("scan").spawn(worker));
    if let Err(error) = spawned {
        return output::fail(&scan::Error::Threads(error), EXIT_FAILURE);
    }
    let (outcome, stopped) = runtime.block_on(wait(signals, ending, &context.stop, &shown));
    match (outcome, stopped) {
        (None, None) => {
            output::complain(&coded(&scan::Error::Crashed));
            ExitCode::from(EXIT_FAILURE)
        }
        (outcome, stopped) => {
            let code = outcome.map_or(ExitCode::SUCCESS, |outcome| outcome.show(args, &config.database.path));
            stopped.map_or(code, ExitCode::from)
        }
    }
}

/// Checks the database as a daemon does, until the process ends. On a thread of its own: the scan's may wait for a disk or
/// for a database that is locked.
fn watch(library: &Arc<Library>) -> ! {
    loop {
        // What another program does to the file meanwhile must be looked at, or nothing more is written.
        library.check();
        // What a killed process or another program has left is written to only once it is checked.
        library.verify_if_due(None, 1);
        std::thread::sleep(FOREGROUND_CHECK_INTERVAL);
    }
}

type Shown = Mutex<(String, Arc<Progress>)>;

/// Waits for the scan's end or a signal to stop it, and draws in between. Returns also the code that the signal exits with.
async fn wait(
    (mut interrupt, mut terminate): Signals,
    mut ending: oneshot::Receiver<Outcome>,
    stop: &CancellationToken,
    shown: &Shown,
) -> (Option<Outcome>, Option<u8>) {
    let mut bar = Bar::new();
    let mut tick = tokio::time::interval(FOREGROUND_PROGRESS_INTERVAL);
    let mut stopped = None;
    let far = Instant::now() + Duration::from_secs(365 * 24 * 3600);
    let mut deadline = far;
    let outcome = loop {
        tokio::select! {
            outcome = &mut ending => break outcome.ok(),
            _ = interrupt.recv() => {
                // Asked twice: at once.
                if stopped.replace(EXIT_INTERRUPTED).is_some() {
                    break None;
                }
                stop.cancel();
                deadline = Instant::now() + FOREGROUND_STOP_TIMEOUT;
            }
            _ = terminate.recv() => {
                stopped = Some(EXIT_TERMINATED);
                stop.cancel();
                deadline = deadline.min(Instant::now() + FOREGROUND_STOP_TIMEOUT);
            }
            () = sleep_until(deadline) => break None,
            _ = tick.tick() => {
                let (root, progress) = &*shown.lock().unwrap_or_else(PoisonError::into_inner);
                bar.show(root, &progress.snapshot());
            }
        }
    };
    (outcome, stopped)
}

/// How all of it ended.
struct Outcome {
    ends: Vec<Ended>,
    hashed: Hashed,
    /// Why files could not be hashed.
    hash_error: Option<String>,
}

impl Outcome {
    fn show(&self, args: &ScanArgs, database: &Path) -> ExitCode {
        let Hashed { files, seconds, reread, .. } = self.hashed;
        let rest = json!({"hashed": files, "hash_seconds": seconds, "hash_error": self.hash_error, "read_again": reread});
        let mut text = Text::default();
        if files > 0 {
            text.push_line(format_args!("{} hashed in {seconds:.1} s", plural(files, "file")));
        }
        if reread > 0 {
            let files = plural(reread, "file");
            text.push_line(format_args!("{files} read again for what this version records"));
        }
        let printed = Ended::print(&self.ends, args, database, (text, rest));
        let mut failed = false;
        for reason in self.ends.iter().filter_map(Ended::failure).chain(self.hash_error.clone()) {
            output::complain(&reason);
            failed = true;
        }
        if failed { ExitCode::from(EXIT_FAILURE) } else { printed }
    }
}

fn scan_all(context: &Context, parts: &[Part], options: &Options, shown: &Shown) -> Outcome {
    let cancelled = || context.stop.is_cancelled();
    if let Err(error) = scan::close_abandoned(&context.library, Retry::until_cancelled(&context.stop)) {
        warn!(error = chain(&error), "jobs of an earlier scan could not be closed");
    }
    let mut outcome = Outcome { ends: Vec::new(), hashed: Hashed::default(), hash_error: None };
    let show = |root: String, progress: &Arc<Progress>| {
        *shown.lock().unwrap_or_else(PoisonError::into_inner) = (root, Arc::clone(progress));
    };
    let (context, overlaps) = look_up(context, parts);
    let mark = || context.library.read(Retry::within(SCAN_END_BUSY_TIMEOUT), |tx| changes::mark(tx)).ok();
    for part in parts {
        if cancelled() {
            break;
        }
        let before = mark();
        let context = Context { progress: Arc::default(), ..context.clone() };
        let end = part.task(&overlaps, options).map(|task| {
            show(part.root.to_string_lossy().into_owned(), &context.progress);
            let report = job::run(&context, &task);
            ended(&part.root, &task.job.id, report, before.zip(mark()).map(<[Mark; 2]>::from))
        });
        outcome.ends.push(end.unwrap_or_else(|error| failed(&part.root, &error)));
    }
    if !cancelled() {
        show(String::new(), &context.progress);
        let roots = parts.iter().map(|part| part.root.clone()).collect();
        let mut work = FactsWork::default();
        outcome.ends.iter().for_each(|end| work.add(end.summary.facts_work()));
        match hash_pass::run(&Context { roots, ..context.clone() }, work) {
            Ok(hashed) => outcome.hashed = hashed,
            Err(scan::Error::Cancelled) => {}
            Err(error) => outcome.hash_error = Some(coded(&error)),
        }
    }
    if let Err(error) = context.library.close() {
        warn!(error = chain(&error), "the library was not closed cleanly; nothing is lost");
    }
    outcome
}

/// Finds out where the roots lead, and which of them a scan must ask nothing.
fn look_up(context: &Context, parts: &[Part]) -> (Context, Overlaps) {
    let overlaps = Overlaps::look_up(&context.roots, parts.iter().map(|part| &part.root));
    (Context { unreachable: overlaps.unreachable(), ..context.clone() }, overlaps)
}

impl Part {
    /// The task of scanning it, unless what it holds is recorded under another root, or would be.
    fn task(&self, overlaps: &Overlaps, options: &Options) -> Result<Task, scan::Error> {
        overlaps.check(&self.root)?;
        Task::requested(&self.root, &self.targets, options.clone())
    }
}

/// A scan that did not even begin.
fn failed(root: &Path, error: &scan::Error) -> Ended {
    Ended {
        root: root.to_string_lossy().into_owned(),
        stored_root: String::new(),
        marks: None,
        job: String::new(),
        summary: scan::Summary::default(),
        error: Some(coded(error)),
        cancelled: false,
    }
}

fn context(config: &Config, library: Library) -> Context {
    Context {
        library: Arc::new(library),
        roots: config.scan.roots.clone().into(),
        unreachable: [].into(),
        extensions: config.scan.extensions.to_vec().into(),
        stop: CancellationToken::new(),
        progress: Arc::default(),
    }
}

/// `--dry-run`: reads the roots and the library, and changes neither; takes no lock.
pub(super) fn preview(args: &ScanArgs, config: &Config, parts: &[Part]) -> ExitCode {
    let database = &config.database.path;
    let library = match Library::view(database, &CancellationToken::new()) {
        Ok(library) => library,
        Err(error) => return output::fail(&error, EXIT_FAILURE),
    };
    let (context, overlaps) = look_up(&context(config, library), parts);
    let options = Options::requested(args.accept_missing, args.full);
    let mut printer = Printer::new(args, "{\"scans\":[");
    let mut is_incomplete = false;
    for part in parts {
        printer.begin();
        let mut name = |kind: Kind, path: &str| {
            printer.name(Named { kind: kind.as_str(), path, file_id: None, detail: None });
        };
        let preview =
            part.task(&overlaps, &options).and_then(|task| job::dry_run(&context, &task, &mut name));
        match preview {
            Ok(preview) => {
                printer.count_rest();
                let missed = job::missed(preview.walk_errors, preview.unreadable, 0);
                if let Some(missed) = &missed {
                    output::complain(&incomplete(&preview.root, missed));
                }
                is_incomplete |= missed.is_some() || preview.refusal.is_some();
                printer.lines(&text(&preview));
                printer.end(&json!(preview));
            }
            Err(error) => {
                output::complain(&coded(&error));
                is_incomplete = true;
                printer.end(&json!({"root": part.root.to_string_lossy(), "error": coded(&error)}));
            }
        }
    }
    let code = printer.finish(&json!({"dry_run": true, "database": database.display().to_string()}));
    if is_incomplete { ExitCode::from(EXIT_FAILURE) } else { code }
}

fn text(preview: &Preview) -> Text {
    let mut text = Text::line(format_args!(
        "{}: {}; a scan would read {} new and {} changed, and find {} gone",
        preview.root,
        plural(preview.found, "video"),
        preview.new,
        preview.changed,
        preview.gone
    ));
    if preview.walk_errors > 0 {
        text.push_line(format_args!("  the walk met {}:", plural(preview.walk_errors, "error")));
        preview.walk_error_examples.iter().for_each(|line| text.push_line(format_args!("    {line}")));
    }
    if let Some(refusal) = &preview.refusal {
        text.push_line(format_args!("  it would refuse: {refusal}"));
    }
    text
}
