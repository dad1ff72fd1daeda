//! When a root is to be scanned, and why.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::PATHS_LIMIT;
use crate::base::times::{ROOT_CHECK_INTERVAL, WATCH_DEBOUNCE, WATCH_OVERFLOW_INTERVAL};
use crate::library::jobs::Reason;

/// The scans of one root that are requested.
#[derive(Debug, Default)]
pub(super) struct Due {
    /// A scan of the whole root.
    whole: Option<(Instant, Reason)>,
    /// The next scan of the whole root by `scan.rescan_interval`.
    interval: Option<Instant>,
    /// Paths where something changed.
    changed: Option<(Instant, BTreeSet<PathBuf>)>,
    /// The last overflow of the watch that led to a scan, or the one to come that later overflows wait for.
    overflow: Option<Instant>,
}

impl Due {
    /// Requests a scan of the whole root at `when`; an earlier request keeps its reason.
    pub(super) fn request_full_scan(&mut self, reason: Reason, when: Instant) {
        self.whole = match self.whole {
            Some((due, earlier)) => Some((due.min(when), earlier)),
            None => Some((when, reason)),
        };
    }

    /// Requests a scan of `paths` at `when`, or of the whole root if they are too many.
    pub(super) fn request_partial_scan(&mut self, paths: impl IntoIterator<Item = PathBuf>, when: Instant) {
        let (due, changed) = self.changed.get_or_insert_with(|| (when, BTreeSet::new()));
        *due = (*due).min(when);
        changed.extend(paths);
        if changed.len() > PATHS_LIMIT {
            self.changed = None;
            self.request_full_scan(Reason::Watch, when);
        }
    }

    /// Requests a scan of the whole root because the watch lost events. A scan itself causes events: without a pause, each
    /// could lead to the next.
    pub(super) fn request_after_overflow(&mut self, now: Instant) {
        let next = match self.overflow {
            // Several overflows before that scan count as one.
            Some(next) if next > now => next,
            Some(last) => (last + WATCH_OVERFLOW_INTERVAL).max(now),
            None => now,
        };
        self.overflow = Some(next);
        self.request_full_scan(Reason::Watch, next + WATCH_DEBOUNCE);
    }

    /// Makes a requested scan of the whole root due now.
    pub(super) fn run_now(&mut self, now: Instant) {
        if let Some((due, _)) = &mut self.whole {
            *due = now;
        }
    }

    /// Sets the next scan by the interval, after a change of the interval or for a new root.
    pub(super) fn change_interval(&mut self, interval: Option<Duration>, now: Instant) {
        let latest = interval.map(|interval| now + interval);
        self.interval = latest.map(|latest| self.interval.map_or(latest, |due| due.min(latest)));
    }

    /// A scan has ended: the next interval begins, unless one has begun already.
    pub(super) fn restart_interval(&mut self, interval: Option<Duration>, now: Instant) {
        if self.interval.is_none_or(|due| due <= now) {
            self.interval = interval.map(|interval| now + interval);
        }
    }

    /// When the next scan is due.
    pub(super) fn next(&self) -> Option<Instant> {
        let whole = self.whole.map(|(due, _)| due);
        let changed = self.changed.as_ref().map(|(due, _)| *due);
        [whole, self.interval, changed].into_iter().flatten().min()
    }

    /// Takes the request that is due first: the paths to scan below `root`, and the reason.
    pub(super) fn take(&mut self, root: &Path, now: Instant) -> Option<(Vec<PathBuf>, Reason)> {
        let whole = self.whole.filter(|(due, _)| *due <= now).map(|(_, reason)| reason);
        let interval = || self.interval.filter(|due| *due <= now).map(|_| Reason::Interval);
        if let Some(reason) = whole.or_else(interval) {
            (self.whole, self.interval, self.changed) = (None, None, None);
            return Some((vec![root.to_owned()], reason));
        }
        let (_, paths) = self.changed.take()?;
        Some((outermost(paths), Reason::Watch))
    }

    /// Replaces all requests by one scan of the whole root, because none can start now.
    pub(super) fn put_off(&mut self, now: Instant) {
        let reason = self.whole.map_or(Reason::Again, |(_, reason)| reason);
        (self.whole, self.interval, self.changed) = (Some((now + ROOT_CHECK_INTERVAL, reason)), None, None);
    }
}

/// The paths that are not below another one.
fn outermost(paths: BTreeSet<PathBuf>) -> Vec<PathBuf> {
    let mut kept: Vec<PathBuf> = Vec::new();
    // In order, a directory precedes what is below it.
    for path in paths {
        if kept.last().is_none_or(|last| !path.starts_with(last)) {
            kept.push(path);
        }
    }
    kept
}
