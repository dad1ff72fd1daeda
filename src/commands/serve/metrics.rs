//! The metrics of log, database and scanner. Those of HTTP and of the checks are in `daemon::http`.

use std::sync::Arc;

use tokio::sync::watch;

use super::start::Shown;
use crate::daemon::backoff::TaskState;
use crate::daemon::metrics::{Registry, Text};
use crate::library::Library;
use crate::library::changes::Kind;
use crate::library::files::Status;
use crate::library::files::statistics::{Group, OTHERS, Overview, RESOLUTIONS, RootTotals, Sum};
use crate::scan::ScanState;
use crate::scan::state::{Counted, RootState, WatchState};
use crate::telemetry::Telemetry;

/// Adds a collector for each part. A scrape costs no access to a disk or a database.
pub(super) fn add(registry: &mut Registry, shown: &Shown) {
    let telemetry = shown.telemetry.clone();
    registry.add(move |text| log(&telemetry, text));
    let library = Arc::clone(&shown.library);
    registry.add(move |text| database(&library, text));
    let scanner = shown.scanner.clone();
    registry.add(move |text| task(&scanner, text));
    let (scans, counted) = (shown.scans.clone(), shown.counted.clone());
    registry.add(move |text| scanning(&scans, &counted, text));
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

fn scanning(
    state: &watch::Receiver<ScanState>,
    counted: &watch::Receiver<Option<Arc<Counted>>>,
    text: &mut Text,
) {
    let state = state.borrow().clone();
    if let Some(Counted { totals, changes }) = state.counted.as_deref().or(counted.borrow().as_deref()) {
        files(&totals.roots, text);
        pictures(&totals.overview, text);
        let mut family = text.family("vpo_changes_total", "Changes of files that scans recorded, by kind.");
        for (kind, count) in Kind::OF_FILES.iter().zip(changes) {
            family.sample(&[("kind", kind.as_str())], count);
        }
    }
    if !state.roots.is_empty() {
        roots(&state.roots, text);
        scans(&state, text);
    }
}

/// Every status of this program, zero or not: Prometheus does not see a change from no series to one.
fn files(roots: &[RootTotals], text: &mut Text) {
    let mut each = |name, help, value: fn(&Sum) -> u64| {
        let mut family = text.family(name, help);
        for totals in roots {
            for (status, sum) in Status::ALL.iter().zip(&totals.by_status) {
                if *status != Status::Foreign || sum.files > 0 {
                    family.sample(&[("root", &totals.root), ("status", status.as_str())], value(sum));
                }
            }
        }
    };
    let help = "Files in the library by root and status, as last counted.";
    each("vpo_library_files", help, |sum| sum.files);
    let help = "Bytes of files in the library by root and status, as last counted.";
    each("vpo_library_bytes", help, |sum| sum.bytes);
}

fn pictures(overview: &Overview, text: &mut Text) {
    let help = "Files that are not missing by the codec of their largest video track, as last counted.";
    groups(text, ("vpo_library_files_by_codec", "codec", help), &CODECS, &overview.pictures);
    let help = "Files that are not missing by the class of their largest video track, as last counted.";
    groups(
        text,
        ("vpo_library_files_by_resolution", "resolution", help),
        &RESOLUTIONS,
        &overview.resolutions,
    );
    let help = "Files that are not missing by the dynamic range of a video track, as last counted.";
    groups(text, ("vpo_library_files_by_hdr", "hdr", help), &HDR_FORMATS, &overview.ranges);
    let help = "Files that are not missing and lack bytes at their end, as last counted.";
    text.value("vpo_library_truncated_files", help, overview.truncated);
}

/// The codecs of films, zero or not. Others appear once a file has them.
const CODECS: [&str; 8] = ["av1", "h264", "hevc", "mpeg2video", "mpeg4", "vc1", "vp8", "vp9"];

/// The dynamic ranges of `hdr_format`, zero or not.
const HDR_FORMATS: [&str; 6] = ["dolby_vision", "hdr10+", "hdr10", "pq", "hlg", "sdr"];

/// Groups of a family beyond those that are always there. All further files are one group.
const MORE_GROUPS: usize = 20;

/// Writes the files of each group: of all those in `always`, then of the largest others.
fn groups(text: &mut Text, (name, label, help): (&str, &str, &str), always: &[&str], groups: &[Group]) {
    let mut family = text.family(name, help);
    for name in always {
        let group = groups.iter().find(|group| group.name.as_deref() == Some(name));
        family.sample(&[(label, name)], group.map_or(0, |group| group.files));
    }
    let (mut shown, mut rest) = (0, 0);
    for group in groups {
        let name = group.name.as_deref().unwrap_or("(none)");
        if always.contains(&name) {
            continue;
        }
        if shown < MORE_GROUPS && name != OTHERS {
            shown += 1;
            family.sample(&[(label, name)], group.files);
        } else {
            rest += group.files;
        }
    }
    if rest > 0 {
        family.sample(&[(label, OTHERS)], rest);
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
        ("vpo_scan_titles_cut_total", "Titles of tracks that were cut: too long.", counts.cut_titles),
        ("vpo_scan_files_hashed_total", "Files hashed.", counts.files_hashed),
    ] {
        text.value(name, help, count);
    }
    text.value("vpo_scan_seconds_total", "Time spent in scans that completed.", counts.seconds);
}
