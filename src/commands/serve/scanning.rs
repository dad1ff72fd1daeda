//! The scanner as a part of the daemon: its task, and what it tells of itself as checks and metrics.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::{JoinError, spawn_blocking};

use crate::api;
use crate::config::Config;
use crate::daemon::health::{Health, Verdict};
use crate::daemon::metrics::{Kind, Registry};
use crate::daemon::supervisor::{Policy, Supervisor};
use crate::library::files::Status;
use crate::library::{Library, OpenError};
use crate::scan::state::{Problem, RootState, WatchState};
use crate::scan::{self, ScanState, Scanner, Settings};

/// Checks are confirmed at least this often.
const CONFIRM: Duration = Duration::from_secs(10);

/// Why the scanner's task failed.
#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error(transparent)]
    Library(#[from] OpenError),
    #[error(transparent)]
    Scan(#[from] scan::Error),
    #[error("preparing the library for writing crashed: {0}; please report this as a bug")]
    Crashed(#[from] JoinError),
}

/// `[scan]` as the scanner takes them.
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

/// Scans from now on if there are roots, else from when a reload brings some. What it returns is empty until then.
pub(super) fn start(
    library: Arc<Library>,
    settings: &watch::Sender<Settings>,
    supervisor: Supervisor,
    health: Health,
) -> watch::Receiver<ScanState> {
    let mut changes = settings.subscribe();
    let scanner = Scanner::new(Arc::clone(&library), settings.subscribe());
    let state = scanner.state();
    let shown = state.clone();
    let begin = move || {
        supervisor.spawn("scanner", Policy::RESTART, move |stop| {
            let (library, scanner) = (Arc::clone(&library), scanner.clone());
            async move {
                let cancelled = stop.clone();
                spawn_blocking(move || library.admit_writing(&|| cancelled.is_cancelled())).await??;
                scanner.run(stop).await.map_err(Failure::from)
            }
        });
        tokio::spawn(show(shown, health));
    };
    if changes.borrow_and_update().roots.is_empty() {
        tokio::spawn(async move {
            if changes.wait_for(|settings| !settings.roots.is_empty()).await.is_ok() {
                begin();
            }
        });
    } else {
        begin();
    }
    state
}

/// Turns the scanner's state into checks: a root's trouble or the scanner's warns and never fails.
async fn show(mut state: watch::Receiver<ScanState>, health: Health) {
    let mut shown = BTreeSet::new();
    loop {
        let now = state.borrow_and_update().clone();
        let names: BTreeSet<_> =
            now.roots.iter().map(|root| format!("root:{}", root.path.display())).collect();
        for gone in shown.difference(&names) {
            health.remove(gone);
        }
        for root in &now.roots {
            health.set(format!("root:{}", root.path.display()), verdict(root.problem.as_ref()));
        }
        health.set("scanner", verdict(now.problem.as_ref()));
        shown = names;
        tokio::select! {
            changed = state.changed() => if changed.is_err() { return },
            () = tokio::time::sleep(CONFIRM) => {}
        }
    }
}

fn verdict(problem: Option<&Problem>) -> Verdict {
    problem.map_or_else(Verdict::pass, |problem| Verdict::warn(problem.code, problem.detail.clone()))
}

/// What the status line says of the library.
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

/// The roots as the library's routes show them.
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

/// Figures that the scanner keeps: a scrape costs no look at a disk or a database.
pub(super) fn collect(metrics: &mut Registry, state: watch::Receiver<ScanState>) {
    metrics.add(move |text| {
        let state = state.borrow().clone();
        if state.roots.is_empty() {
            return;
        }
        let totals = state.totals.iter().flat_map(|totals| &totals.by_status);
        let mut family = text.family(
            "vpo_library_files",
            Kind::Gauge,
            "Files in the library by status, as last counted after a scan.",
        );
        for total in totals.clone() {
            family.sample(&[("status", total.status.as_str())], total.files);
        }
        let mut family = text.family(
            "vpo_library_bytes",
            Kind::Gauge,
            "Bytes of files in the library by status, as last counted after a scan.",
        );
        for total in totals {
            family.sample(&[("status", total.status.as_str())], total.bytes);
        }
        let mut each = |name, kind, help, value: &dyn Fn(&RootState) -> Option<f64>| {
            let mut family = text.family(name, kind, help);
            for root in &state.roots {
                if let Some(value) = value(root) {
                    family.sample(&[("root", &root.path.to_string_lossy())], value);
                }
            }
        };
        each("vpo_root_ok", Kind::Gauge, "1 where nothing is wrong with the root, else 0.", &|root| {
            Some(f64::from(u8::from(root.problem.is_none())))
        });
        each("vpo_scan_running", Kind::Gauge, "1 while the root is scanned, else 0.", &|root| {
            Some(f64::from(u8::from(root.running.is_some())))
        });
        each(
            "vpo_scan_last_success_timestamp_seconds",
            Kind::Gauge,
            "When the root was last scanned to the end, in seconds since 1970.",
            #[expect(clippy::cast_precision_loss, reason = "seconds since 1970 fit")]
            &|root| root.last_success.map(|time| time.unix_seconds() as f64),
        );
        each(
            "vpo_scan_last_duration_seconds",
            Kind::Gauge,
            "How long the last whole scan of the root took.",
            &|root| root.last_summary.as_ref().map(|summary| summary.seconds),
        );
        each(
            "vpo_scan_last_files_per_second",
            Kind::Gauge,
            "Files read per second in the last whole scan of the root.",
            &|root| root.last_summary.as_ref().map(|summary| summary.files_per_second),
        );
        let mut family = text.family(
            "vpo_root_watch_state",
            Kind::Gauge,
            "1 for the state that the root's watch is in, 0 for the others.",
        );
        for root in &state.roots {
            for watch in WatchState::ALL {
                let labels = [("root", &*root.path.to_string_lossy()), ("state", watch.as_str())];
                family.sample(&labels, u8::from(root.watch == watch));
            }
        }
        let counts = state.counts;
        let mut family = text.family("vpo_scans_total", Kind::Counter, "Scans by how they ended.");
        for (result, count) in
            [("completed", counts.completed), ("failed", counts.failed), ("cancelled", counts.cancelled)]
        {
            family.sample(&[("result", result)], count);
        }
        for (name, help, count) in [
            ("vpo_scan_files_read_total", "Files read by scans.", counts.files_read),
            ("vpo_scan_file_errors_total", "Files that could not be parsed or read.", counts.file_errors),
            ("vpo_scan_files_hashed_total", "Files hashed.", counts.files_hashed),
        ] {
            text.family(name, Kind::Counter, help).sample(&[], count);
        }
        text.family("vpo_scan_seconds_total", Kind::Counter, "Time spent in scans that completed.")
            .sample(&[], counts.seconds);
    });
}
