//! The metrics of log, database and scanner. Those of HTTP and of the checks are in `daemon::http`.

use std::sync::Arc;

use tokio::sync::watch;

use super::start::Shown;
use crate::daemon::backoff::TaskState;
use crate::daemon::metrics::{Registry, Text};
use crate::library::Library;
use crate::scan::ScanState;
use crate::scan::state::{RootState, WatchState};
use crate::telemetry::Telemetry;

/// Adds a collector for each part. A scrape costs no access to a disk or a database.
pub(super) fn add(registry: &mut Registry, shown: &Shown) {
    let telemetry = shown.telemetry.clone();
    registry.add(move |text| log(&telemetry, text));
    let library = Arc::clone(&shown.library);
    registry.add(move |text| database(&library, text));
    let scanner = shown.scanner.clone();
    registry.add(move |text| task(&scanner, text));
    let scans = shown.scans.clone();
    registry.add(move |text| scanning(&scans, text));
}

fn log(telemetry: &Telemetry, text: &mut Text) {
    text.value(
        "vpo_log_lines_dropped_total",
        "Log lines that could not be written in time.",
        telemetry.dropped(),
    );
}

fn database(library: &Library, text: &mut Text) {
    let Some(integrity) = library.integrity() else { return };
    text.value(
        "vpo_database_integrity_check_ok",
        "1 where the last integrity_check of the database passed, else 0.",
        u8::from(integrity.passed),
    );
    text.value(
        "vpo_database_integrity_check_age_seconds",
        "Time since the last integrity_check of the database ended.",
        integrity.age.as_secs_f64(),
    );
}

fn task(scanner: &watch::Receiver<TaskState>, text: &mut Text) {
    text.family("vpo_task_restarts_total", "Times that a task was started again.")
        .sample(&[("task", "scanner")], scanner.borrow().restarts);
}

fn scanning(state: &watch::Receiver<ScanState>, text: &mut Text) {
    let state = state.borrow().clone();
    if state.roots.is_empty() {
        return;
    }
    files(&state, text);
    roots(&state.roots, text);
    scans(&state, text);
}

fn files(state: &ScanState, text: &mut Text) {
    let totals = state.totals.iter().flat_map(|totals| &totals.by_status);
    let mut family =
        text.family("vpo_library_files", "Files in the library by status, as last counted after a scan.");
    for total in totals.clone() {
        family.sample(&[("status", total.status.as_str())], total.files);
    }
    let mut family = text.family(
        "vpo_library_bytes",
        "Bytes of files in the library by status, as last counted after a scan.",
    );
    for total in totals {
        family.sample(&[("status", total.status.as_str())], total.bytes);
    }
}

fn roots(roots: &[RootState], text: &mut Text) {
    let mut each = |name, help, value: &dyn Fn(&RootState) -> Option<f64>| {
        let mut family = text.family(name, help);
        for root in roots {
            if let Some(value) = value(root) {
                family.sample(&[("root", &root.path.to_string_lossy())], value);
            }
        }
    };
    each("vpo_root_ok", "1 where nothing is wrong with the root, else 0.", &|root| {
        Some(f64::from(u8::from(root.problem.is_none())))
    });
    each("vpo_scan_running", "1 while the root is scanned, else 0.", &|root| {
        Some(f64::from(u8::from(root.running.is_some())))
    });
    each(
        "vpo_scan_last_success_timestamp_seconds",
        "When the root was last scanned to the end, in seconds since 1970.",
        #[expect(clippy::cast_precision_loss, reason = "seconds since 1970 fit")]
        &|root| root.last_success.map(|time| time.unix_seconds() as f64),
    );
    each("vpo_scan_last_duration_seconds", "How long the last whole scan of the root took.", &|root| {
        root.last_summary.as_ref().map(|summary| summary.seconds)
    });
    let mut family =
        text.family("vpo_root_watch_state", "1 for the state that the root's watch is in, 0 for the others.");
    for root in roots {
        for watch in WatchState::ALL {
            let labels = [("root", &*root.path.to_string_lossy()), ("state", watch.as_str())];
            family.sample(&labels, u8::from(root.watch == watch));
        }
    }
}

fn scans(state: &ScanState, text: &mut Text) {
    let counts = state.counts;
    let mut family = text.family("vpo_scans_total", "Scans by how they ended.");
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
        text.value(name, help, count);
    }
    text.value("vpo_scan_seconds_total", "Time spent in scans that completed.", counts.seconds);
}
