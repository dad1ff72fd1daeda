//! The counters of the HTTP server, for `/metrics`. The values of all labels are fixed here, so that clients cannot add
//! any.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::listener::AcceptError;
use crate::daemon::metrics::Text;

/// The value of the label `route`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Route {
    Health,
    Readyz,
    Livez,
    Metrics,
    Api,
    Other,
}

impl Route {
    const NAMES: [&'static str; 6] = ["/health", "/readyz", "/livez", "/metrics", "/api/v1", "other"];

    /// The name in the label.
    pub(super) fn as_str(self) -> &'static str {
        Self::NAMES[self as usize]
    }

    /// The route of a path.
    #[must_use]
    pub(crate) fn from_path(path: &str) -> Self {
        match path {
            "/health" => Self::Health,
            "/readyz" => Self::Readyz,
            "/livez" => Self::Livez,
            "/metrics" => Self::Metrics,
            path if path.starts_with("/api/v1/") => Self::Api,
            _ => Self::Other,
        }
    }
}

/// Status codes with a counter of their own. Any other counts as `other`, after them.
const STATUSES: [u16; 10] = [200, 400, 401, 403, 404, 405, 413, 421, 500, 503];

/// The index of the counter of a status code.
fn status_index(status: u16) -> usize {
    STATUSES.iter().position(|counted| *counted == status).unwrap_or(STATUSES.len())
}

/// Why a connection was closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum CloseReason {
    /// By the client, or after its last response.
    Ended,
    /// In favour of a new connection.
    Evicted,
    /// After a long time without a request.
    Idle,
    /// A request was not completed, or a response not read, in time.
    Timeout,
}

impl CloseReason {
    const NAMES: [&'static str; 4] = ["ended", "evicted", "idle", "timeout"];
}

/// The errors of accept(2) that are counted.
const ACCEPT_ERRORS: [(AcceptError, &str); 3] = [
    (AcceptError::Connection, "connection"),
    (AcceptError::Descriptors, "descriptors"),
    (AcceptError::Memory, "memory"),
];

/// Upper bounds of the buckets of the request durations, in seconds. A request of the API ends after 3 s.
const DURATION_BOUNDS: [f64; 7] = [0.001, 0.005, 0.025, 0.1, 0.5, 1.0, 3.0];

/// The counters of one daemon.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    requests: [[AtomicU64; STATUSES.len() + 1]; Route::NAMES.len()],
    /// Requests by duration; the last bucket has no bound.
    durations: [AtomicU64; DURATION_BOUNDS.len() + 1],
    /// Sum in nanoseconds.
    duration_sum: AtomicU64,
    malformed: AtomicU64,
    accepted: AtomicU64,
    closed: [AtomicU64; CloseReason::NAMES.len()],
    accept_errors: [AtomicU64; ACCEPT_ERRORS.len()],
    limit: AtomicU64,
}

fn add(counter: &AtomicU64, count: u64) {
    counter.fetch_add(count, Ordering::Relaxed);
}

fn get(counter: &AtomicU64) -> u64 {
    counter.load(Ordering::Relaxed)
}

impl Counters {
    /// Counts a request and how long its response took.
    pub(super) fn request(&self, route: Route, status: u16, took: Duration) {
        add(&self.requests[route as usize][status_index(status)], 1);
        let seconds = took.as_secs_f64();
        let bucket = DURATION_BOUNDS.iter().position(|bound| seconds <= *bound);
        add(&self.durations[bucket.unwrap_or(DURATION_BOUNDS.len())], 1);
        add(&self.duration_sum, u64::try_from(took.as_nanos()).unwrap_or(u64::MAX));
    }

    pub(super) fn malformed(&self) {
        add(&self.malformed, 1);
    }

    pub(super) fn accepted(&self) {
        add(&self.accepted, 1);
    }

    pub(super) fn closed(&self, reason: CloseReason) {
        add(&self.closed[reason as usize], 1);
    }

    pub(super) fn accept_error(&self, error: AcceptError) {
        for (count, (kind, _)) in self.accept_errors.iter().zip(ACCEPT_ERRORS) {
            if kind == error {
                add(count, 1);
            }
        }
    }

    pub(super) fn set_limit(&self, limit: usize) {
        self.limit.store(u64::try_from(limit).unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    /// Connections open now.
    fn open(&self) -> u64 {
        // `closed` is read first: a connection that is accepted in between must not be missing from `accepted`.
        let closed: u64 = self.closed.iter().map(get).sum();
        get(&self.accepted).saturating_sub(closed)
    }

    /// Writes the metrics.
    pub(crate) fn collect(&self, text: &mut Text) {
        let mut requests =
            text.family("vpo_http_requests_total", "Requests answered, by route and status code.");
        for (route, statuses) in Route::NAMES.iter().zip(&self.requests) {
            for (index, count) in statuses.iter().enumerate() {
                let count = get(count);
                // Every route shows status 200 from the start, and others once they have occurred.
                if count > 0 || (index == 0 && *route != "other") {
                    let status = STATUSES.get(index).map_or("other".to_owned(), u16::to_string);
                    requests.sample(&[("route", route), ("status", &status)], count);
                }
            }
        }
        text.histogram(
            "vpo_http_request_duration_seconds",
            "Time from a complete request to its response.",
            &DURATION_BOUNDS,
            &self.durations.each_ref().map(get),
            Duration::from_nanos(get(&self.duration_sum)).as_secs_f64(),
        );
        for (name, help, counter) in [
            ("vpo_http_malformed_requests_total", "Requests that could not be parsed.", &self.malformed),
            ("vpo_http_connections_accepted_total", "Connections accepted.", &self.accepted),
        ] {
            text.value(name, help, get(counter));
        }
        let help = "Connections closed, by reason.";
        let mut closed = text.family("vpo_http_connections_closed_total", help);
        for (reason, count) in CloseReason::NAMES.iter().zip(&self.closed) {
            closed.sample(&[("reason", reason)], get(count));
        }
        let help = "Errors of accept(2), by reason.";
        let mut errors = text.family("vpo_http_accept_errors_total", help);
        for ((_, reason), count) in ACCEPT_ERRORS.iter().zip(&self.accept_errors) {
            errors.sample(&[("reason", reason)], get(count));
        }
        text.value("vpo_http_connections_open", "Connections open now.", self.open());
        text.value("vpo_http_connections_limit", "Most connections open at once.", get(&self.limit));
    }
}
