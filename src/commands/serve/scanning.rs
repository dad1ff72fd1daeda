//! Runs the scanner as a task of the daemon, and converts its state for other parts.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::{JoinError, spawn_blocking};
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use super::checks::scanner;
use crate::api;
use crate::config::Config;
use crate::daemon::backoff::{TaskState, run_with_backoff};
use crate::daemon::health::Health;
use crate::library::files::Status;
use crate::library::{Library, OpenError};
use crate::scan::state::RootState;
use crate::scan::{self, ScanState, Scanner, Settings};

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
    Settings {
        roots: scan.roots.clone(),
        watch: scan.watch,
        rescan_interval: scan.rescan_interval.interval(),
        extensions: scan.extensions.to_vec(),
        job_retention: Some(day * u32::from(scan.job_retention_days)).filter(|time| !time.is_zero()),
    }
}

/// The running scanner.
pub(super) struct Scanning {
    /// Empty until there are roots.
    pub(super) scans: watch::Receiver<ScanState>,
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
    Scanning { scans, task, handle }
}

/// Files in the library that are not missing, as last counted after a scan.
pub(super) fn files(state: &ScanState) -> Option<u64> {
    let totals = state.totals.as_ref()?;
    Some(
        totals
            .by_status
            .iter()
            .filter(|total| total.status != Status::Missing)
            .map(|total| total.files)
            .sum(),
    )
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
