//! Runs the scanner as a task of the daemon, and converts its state for other parts.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::{JoinError, spawn_blocking};
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;
use tracing::debug;

use super::checks::scanner;
use crate::api;
use crate::config::Config;
use crate::daemon::backoff::{TaskState, run_with_backoff};
use crate::daemon::health::Health;
use crate::library::files::Status;
use crate::library::files::statistics::RootTotals;
use crate::library::{Library, OpenError, totals};
use crate::scan::state::{Counted, RootState};
use crate::scan::{self, Retention, ScanState, Scanner, Settings, chain};

/// Why the scanner's task failed.
#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error(transparent)]
    Library(#[from] OpenError),
    #[error(transparent)]
    Scan(#[from] scan::Error),
    #[error("preparing the database for writing crashed: {0}; please report this as a bug")]
    Crashed(#[from] JoinError),
}

/// The settings of the scanner from `[scan]`.
pub(super) fn settings(config: &Config) -> Settings {
    let scan = &config.scan;
    let day = Duration::from_secs(24 * 3600);
    let age = |days: u16| Some(day * u32::from(days)).filter(|time| !time.is_zero());
    Settings {
        roots: scan.roots.clone(),
        watch: scan.watch,
        rescan_interval: scan.rescan_interval.interval(),
        extensions: scan.extensions.to_vec(),
        retention: Retention { jobs: age(scan.job_retention_days), changes: age(scan.history_days) },
    }
}

/// The running scanner.
pub(super) struct Scanning {
    /// Empty until there are roots.
    pub(super) scans: watch::Receiver<ScanState>,
    /// What the library held at the start, if there were no roots then. With roots the scanner counts.
    pub(super) counted: watch::Receiver<Option<Arc<Counted>>>,
    pub(super) task: watch::Receiver<TaskState>,
    pub(super) handle: AbortOnDropHandle<()>,
}

/// Starts the scanner as soon as there are roots, at the start or after a reload. Ends at `stop`.
pub(super) fn start(
    library: &Arc<Library>,
    settings: &watch::Sender<Settings>,
    health: &Health,
    stop: &CancellationToken,
) -> Scanning {
    let scanner = Scanner::new(Arc::clone(library), settings.subscribe());
    let state = watch::Sender::new(TaskState::default());
    let (scans, task) = (scanner.state(), state.subscribe());
    let shown = scanner::show(scans.clone(), task.clone(), health.clone());
    let counted = watch::Sender::new(None);
    let first_count = counted.subscribe();
    if settings.borrow().roots.is_empty() {
        let (library, stop) = (Arc::clone(library), stop.clone());
        spawn_blocking(move || match totals::count(&library, &[], &stop) {
            Ok(count) => {
                let totals = count.tally.totals();
                counted.send_replace(Some(Arc::new(Counted { totals, ..Counted::default() })));
            }
            Err(error) => debug!(error = chain(&error), "the library could not be counted"),
        });
    }
    let (library, stop, mut settings) = (Arc::clone(library), stop.clone(), settings.subscribe());
    let handle = AbortOnDropHandle::new(tokio::spawn(async move {
        let has_roots = async { settings.wait_for(|settings| !settings.roots.is_empty()).await.is_ok() };
        tokio::select! {
            () = stop.cancelled() => return,
            has_roots = has_roots => if !has_roots { return },
        }
        let _shown = AbortOnDropHandle::new(tokio::spawn(shown));
        let run = || {
            let (library, scanner, stop) = (Arc::clone(&library), scanner.clone(), stop.clone());
            async move {
                let cancel = stop.clone();
                spawn_blocking(move || library.admit_writing(&cancel)).await??;
                scanner.run(stop).await.map_err(Failure::from)
            }
        };
        run_with_backoff(&state, &stop, run).await;
    }));
    Scanning { scans, counted: first_count, task, handle }
}

/// Files in the library that are not missing, as last counted after a scan.
pub(super) fn files(state: &ScanState) -> Option<u64> {
    let sums = |totals: &RootTotals| {
        Status::ALL
            .iter()
            .zip(&totals.by_status)
            .filter(|(status, _)| **status != Status::Missing)
            .map(|(_, sum)| sum.files)
            .sum::<u64>()
    };
    Some(state.counted.as_ref()?.totals.roots.iter().map(sums).sum())
}

/// The roots as the API shows them.
pub(super) fn roots(state: watch::Receiver<ScanState>) -> impl Fn() -> Vec<api::Root> {
    move || {
        let root = |root: &RootState| api::Root {
            path: root.path.clone(),
            status: if root.problem.is_none() { "ok" } else { "warn" },
            reason: root.problem.as_ref().map(|problem| problem.code),
            detail: root.problem.as_ref().map(|problem| problem.detail.clone()),
            last_success: root.last_success.map(|time| time.to_string()),
            watch: root.watch.as_str(),
            scanning: root.running.is_some(),
        };
        state.borrow().roots.iter().map(root).collect()
    }
}
