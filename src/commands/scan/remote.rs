//! A scan by the running daemon: queues a job, and polls its row until the job ends.

use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::Instant;

use serde_json::json;
use tokio_util::sync::CancellationToken;

use super::report::{Bar, Ended};
use super::{EXIT_FAILURE, EXIT_INTERRUPTED, EXIT_TERMINATED, Part, listen, output};
use crate::base::retry::Failure;
use crate::base::text::Text;
use crate::base::times::{
    JOB_CLAIM_TIMEOUT, JOB_HOLDER_POLL_INTERVAL, JOB_POLL, JOB_WITHDRAW_BUSY_TIMEOUT, SCAN_STALLED_AFTER,
};
use crate::cli::ScanArgs;
use crate::config::Config;
use crate::library::changes::{self, Mark};
use crate::library::jobs::{self, Running, Standing, Status};
use crate::library::lock::{self, Found, Holder, LockError};
use crate::library::{self, Library, Retry};
use crate::scan::progress::Snapshot;
use crate::scan::{self, Summary, chain, coded, discover};

/// Queues a job for each path, waits for its end, and withdraws a job that the daemon does not start.
pub(super) fn scan(
    args: &ScanArgs,
    config: &Config,
    parts: &[Part],
    runtime_directory: Option<&Path>,
) -> ExitCode {
    let stop = match Stop::listen() {
        Ok(stop) => stop,
        Err(error) => return output::fail(&scan::Error::Threads(error), EXIT_FAILURE),
    };
    let find_holder = || lock::find(&config.database.path, runtime_directory);
    if let Some(detail) = lock::damage(&config.database.path, runtime_directory) {
        output::complain(&format_args!(
            "error[database-damaged]: the daemon has found {} damaged ({detail}), and writes nothing to it. Restore a backup \
             with `vpo restore`; the daemon then scans by itself",
            config.database.path.display()
        ));
        return ExitCode::from(EXIT_FAILURE);
    }
    let library = match Library::visit(&config.database.path, &stop.cancel) {
        Ok(library) => library,
        Err(error) => return output::fail(&error, EXIT_FAILURE),
    };
    let mut ends = Vec::new();
    let mut code = ExitCode::SUCCESS;
    let options = jobs::Options::requested(args.accept_missing, args.full);
    let targets = parts.iter().flat_map(|part| part.targets.iter().map(move |target| (part, target)));
    let mark = || library.read(Retry::new(&stop.cancel), |tx| changes::mark(tx)).ok();
    for (part, target) in targets {
        let (path, before) = (discover::stored(target), mark());
        match follow(&library, &path, &options, &stop, &find_holder) {
            Ok(end) => {
                let marks = before.zip(mark()).map(<[Mark; 2]>::from);
                ends.push(Ended { stored_root: discover::stored(&part.root), marks, ..end });
            }
            Err(FollowError::Stopped(signal)) => {
                code = ExitCode::from(signal);
                break;
            }
            Err(FollowError::NotRun(reason)) => {
                output::complain(&reason);
                code = ExitCode::from(EXIT_FAILURE);
                break;
            }
            Err(FollowError::Scan(error)) => {
                output::complain(&coded(&error));
                code = ExitCode::from(EXIT_FAILURE);
                break;
            }
        }
    }
    let printed = Ended::print(&ends, args, &config.database.path, (Text::default(), json!({})));
    for reason in ends.iter().filter_map(Ended::failure) {
        output::complain(&reason);
        code = ExitCode::from(EXIT_FAILURE);
    }
    if code == ExitCode::SUCCESS { printed } else { code }
}

/// Why a job was not followed to its end.
enum FollowError {
    Stopped(u8),
    NotRun(String),
    Scan(scan::Error),
}

impl From<library::Error> for FollowError {
    fn from(error: library::Error) -> Self {
        Self::Scan(error.into())
    }
}

fn follow(
    library: &Library,
    path: &str,
    options: &jobs::Options,
    stop: &Stop,
    find_holder: &dyn Fn() -> Result<Found, LockError>,
) -> Result<Ended, FollowError> {
    let id = scan::new_job_id().map_err(FollowError::Scan)?;
    let retry = Retry::new(&stop.cancel);
    library.write(retry, |tx| jobs::queue(tx, &id, path, options))?;
    let mut bar = Bar::new();
    let (mut active, mut heartbeats) = (Instant::now(), Heartbeats::default());
    let (mut holder, mut holder_polled) = (find_holder(), Instant::now());
    let poll = || {
        let give_up = |withdrawn, failure| Ok(Err((withdrawn, failure)));
        let rows = library.read(retry, |tx| Ok((jobs::standing(tx, &id)?, jobs::running(tx)?)));
        let (standing, running) = match rows {
            Ok(rows) => rows,
            Err(error) => return give_up(None, FollowError::from(error)),
        };
        let Some(standing) = standing else {
            return give_up(None, FollowError::NotRun(format!("the job {id} was removed from the database")));
        };
        if standing.is_over() {
            return Ok(Ok(ended(path, &id, &standing)));
        }
        bar.show(path, &snapshot(&standing));
        if stop.cancel.is_cancelled() {
            return Err(Failure::Temporary(()));
        }
        // A daemon writes the row before it releases the lock, and the row was read after the lock was found free.
        if matches!(holder, Ok(Found::NotHeld | Found::NoFile)) {
            let reason = match standing.status {
                Status::Queued => {
                    "error[daemon-ended]: the process that held the lock has ended; run the command again"
                        .to_owned()
                }
                _ => format!(
                    "error[daemon-ended]: the daemon ended while it scanned {path}; run the command again"
                ),
            };
            return give_up(Some("the daemon has ended"), FollowError::NotRun(reason));
        }
        let takes_scans = !matches!(&holder, Ok(Found::Held(holder)) if holder.address.is_none());
        let pid = match &holder {
            Ok(Found::Held(holder)) => holder.pid,
            _ => None,
        };
        heartbeats.update(running, Instant::now());
        let busy = heartbeats.show_progress(pid, Instant::now());
        if takes_scans && (standing.status != Status::Queued || busy) {
            active = Instant::now();
        }
        if active.elapsed() > JOB_CLAIM_TIMEOUT {
            return give_up(Some("no daemon started it"), FollowError::NotRun(why_not_started(&holder)));
        }
        if holder_polled.elapsed() > JOB_HOLDER_POLL_INTERVAL {
            (holder, holder_polled) = (find_holder(), Instant::now());
        }
        Err(Failure::Temporary(()))
    };
    // The polls end without an outcome only when the command is stopped. Then a queued job is withdrawn. A running scan
    // continues in the daemon.
    let stopped =
        |_| Err((Some("the vpo scan that queued it was stopped"), FollowError::Stopped(stop.code())));
    let outcome = JOB_POLL.run(Some(&stop.cancel), poll).unwrap_or_else(stopped);
    drop(bar);
    outcome.map_err(|(withdrawn, failure)| {
        if let Some(reason) = withdrawn {
            withdraw(library, &id, reason);
        }
        failure
    })
}

/// Tracks by their heartbeats whether other scans make progress. A heartbeat is a time of another process's clock, which
/// may differ from this one and may jump. So only a change of the value counts.
#[derive(Debug, Default)]
struct Heartbeats {
    last: Vec<(Running, Instant)>,
}

impl Heartbeats {
    /// Updates the rows of running scans.
    fn update(&mut self, running: Vec<Running>, now: Instant) {
        let before = std::mem::take(&mut self.last);
        let since = |one: &Running| before.iter().find(|(other, _)| other == one).map_or(now, |(_, at)| *at);
        self.last = running.into_iter().map(|one| (since(&one), one)).map(|(at, one)| (one, at)).collect();
    }

    /// Whether the heartbeat of a row changed within [`SCAN_STALLED_AFTER`]. If the lock file names a pid, only rows of
    /// that process count.
    fn show_progress(&self, holder: Option<u32>, now: Instant) -> bool {
        self.last.iter().any(|(one, at)| {
            (holder.is_none() || one.pid == holder) && now.duration_since(*at) <= SCAN_STALLED_AFTER
        })
    }
}

/// Why the process that holds the lock has not started a job.
fn why_not_started(holder: &Result<Found, LockError>) -> String {
    match holder {
        Ok(Found::Held(holder)) if holder.address.is_some() => format!(
            "error[scan-not-started]: {holder} did not start the scan. It has no scan.roots, or cannot write to the \
             database (see `vpo healthcheck`). Give it roots and reload it, or stop it and scan in the foreground"
        ),
        Ok(Found::Held(Holder { pid, .. })) => format!(
            "error[scan-not-started]: the process{} has locked the database and does not run jobs (another `vpo scan`). \
             Run the command again when it has ended",
            pid.map(|pid| format!(" with pid {pid}")).unwrap_or_default()
        ),
        Ok(Found::NotHeld | Found::NoFile) => {
            "error[scan-not-started]: no daemon started the scan".to_owned()
        }
        Err(error) => chain(error),
    }
}

fn withdraw(library: &Library, id: &str, reason: &str) {
    let retry = Retry::within(JOB_WITHDRAW_BUSY_TIMEOUT);
    if let Err(error) = library.write(retry, |tx| jobs::withdraw(tx, id, reason)) {
        output::warn(&format_args!("cannot withdraw the job {id}: {}", chain(&error)));
    }
}

fn ended(path: &str, id: &str, standing: &Standing) -> Ended {
    let summary: Summary =
        standing.summary.as_deref().and_then(|text| serde_json::from_str(text).ok()).unwrap_or_default();
    let error = (standing.status != Status::Completed).then(|| {
        standing.error.clone().unwrap_or_else(|| format!("the scan was {}", standing.status.as_str()))
    });
    Ended {
        root: path.to_owned(),
        stored_root: String::new(),
        marks: None,
        job: id.to_owned(),
        summary,
        error,
        cancelled: standing.status == Status::Cancelled,
    }
}

fn snapshot(standing: &Standing) -> Snapshot {
    let text = standing.progress.as_deref().unwrap_or_default();
    serde_json::from_str(text).unwrap_or_default()
}

/// The signal that stops the command, once it has arrived.
struct Stop {
    code: Arc<AtomicU8>,
    cancel: CancellationToken,
}

impl Stop {
    /// Handles SIGINT and SIGTERM on a thread.
    fn listen() -> std::io::Result<Self> {
        let stop = Self { code: Arc::default(), cancel: CancellationToken::new() };
        let (code, cancel) = (Arc::clone(&stop.code), stop.cancel.clone());
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let (mut interrupt, mut terminate) = listen(&runtime)?;
        std::thread::Builder::new().name("signals".into()).spawn(move || {
            let signal = runtime.block_on(async {
                tokio::select! {
                    _ = interrupt.recv() => EXIT_INTERRUPTED,
                    _ = terminate.recv() => EXIT_TERMINATED,
                }
            });
            code.store(signal, Ordering::Release);
            cancel.cancel();
        })?;
        Ok(stop)
    }

    /// The code to exit with, once cancelled.
    fn code(&self) -> u8 {
        self.code.load(Ordering::Acquire)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn scan_goes_on_while_its_heartbeat_changes_whatever_time_that_is() {
        let running = |heartbeat: &str| {
            vec![Running { id: "a".to_owned(), pid: Some(7), heartbeat: Some(heartbeat.to_owned()) }]
        };
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let progress = |heartbeats: &mut Heartbeats, running, holder, now| {
            heartbeats.update(running, now);
            heartbeats.show_progress(holder, now)
        };
        for times in [["1970", "1971", "1970"], ["2099", "2098", "2099"]] {
            let mut heartbeats = Heartbeats::default();
            for (round, time) in times.into_iter().enumerate() {
                let now = at(30 * round as u64);
                assert!(progress(&mut heartbeats, running(time), Some(7), now), "{time} in round {round}");
            }
            assert!(progress(&mut heartbeats, running(times[2]), None, at(90)), "unchanged for 30 s");
            assert!(!progress(&mut heartbeats, running(times[2]), None, at(91)), "unchanged for longer");
            assert!(!progress(&mut heartbeats, Vec::new(), None, at(92)));
        }
        let mut heartbeats = Heartbeats::default();
        assert!(!progress(&mut heartbeats, running("2099"), Some(8), start), "of a process that is gone");
    }
}
