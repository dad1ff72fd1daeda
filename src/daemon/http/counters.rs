//! What the HTTP side counts, for `/metrics`. Every label's values are known here, so that no client can
//! make the list grow.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::daemon::metrics::{Kind, Text};

/// Routes as they are counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names are the routes")]
pub enum Route {
    Health,
    Readyz,
    Livez,
    Metrics,
    Api,
    Other,
}

impl Route {
    const NAMES: [&'static str; 6] = ["/health", "/readyz", "/livez", "/metrics", "/api/v1", "other"];

    /// Whether it is a health probe's.
    pub(super) fn is_probe(self) -> bool {
        matches!(self, Self::Health | Self::Readyz | Self::Livez)
    }

    /// The name that it is counted under.
    pub(super) fn as_str(self) -> &'static str {
        Self::NAMES[self as usize]
    }

    /// The route that a path is counted under.
    #[must_use]
    pub fn of(path: &str) -> Self {
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

/// Status codes that are counted by themselves; any other counts as `other`, behind them.
const STATUSES: [u16; 10] = [200, 400, 401, 403, 404, 405, 413, 421, 500, 503];

/// Where a status code is counted.
fn status_index(status: u16) -> usize {
    STATUSES.iter().position(|counted| *counted == status).unwrap_or(STATUSES.len())
}

/// The counters of one daemon.
#[derive(Debug, Default)]
pub struct Counters {
    requests: [[AtomicU64; STATUSES.len() + 1]; Route::NAMES.len()],
    malformed: AtomicU64,
    accepted: AtomicU64,
    closed: AtomicU64,
    evicted: AtomicU64,
    refused: AtomicU64,
    timed_out: AtomicU64,
    idle_closed: AtomicU64,
    exhausted: AtomicU64,
    limit: AtomicU64,
}

fn add(counter: &AtomicU64, count: u64) {
    counter.fetch_add(count, Ordering::Relaxed);
}

fn get(counter: &AtomicU64) -> u64 {
    counter.load(Ordering::Relaxed)
}

impl Counters {
    pub(super) fn request(&self, route: Route, status: u16) {
        add(&self.requests[route as usize][status_index(status)], 1);
    }

    pub(super) fn malformed(&self) {
        add(&self.malformed, 1);
    }

    pub(super) fn accepted(&self) {
        add(&self.accepted, 1);
    }

    pub(super) fn closed(&self) {
        add(&self.closed, 1);
    }

    pub(super) fn evicted(&self) {
        add(&self.evicted, 1);
    }

    pub(super) fn refused(&self) {
        add(&self.refused, 1);
    }

    pub(super) fn timed_out(&self, count: u64) {
        add(&self.timed_out, count);
    }

    pub(super) fn idle_closed(&self, count: u64) {
        add(&self.idle_closed, count);
    }

    pub(super) fn exhausted(&self) {
        add(&self.exhausted, 1);
    }

    pub(super) fn set_limit(&self, limit: usize) {
        self.limit.store(u64::try_from(limit).unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    /// Connections open now.
    #[must_use]
    pub fn open(&self) -> u64 {
        // `closed` first: a connection that comes in between is not taken for one that was never there.
        let closed = get(&self.closed);
        get(&self.accepted).saturating_sub(closed)
    }

    /// Writes all of it as metrics.
    pub fn collect(&self, text: &mut Text) {
        let mut requests = text.family(
            "vpo_http_requests_total",
            Kind::Counter,
            "Requests answered, by route and status code.",
        );
        for (route, statuses) in Route::NAMES.iter().zip(&self.requests) {
            for (index, count) in statuses.iter().enumerate() {
                let count = get(count);
                // Every route shows its success from the start, the rest once it happened.
                if count > 0 || (index == 0 && *route != "other") {
                    let status = STATUSES.get(index).map_or("other".to_owned(), u16::to_string);
                    requests.sample(&[("route", route), ("status", &status)], count);
                }
            }
        }
        let counters = [
            ("vpo_http_malformed_requests_total", "Requests that could not be parsed.", &self.malformed),
            ("vpo_http_connections_accepted_total", "Connections accepted.", &self.accepted),
            (
                "vpo_http_connections_evicted_total",
                "Connections without a complete request in progress that were closed to let a new one in.",
                &self.evicted,
            ),
            (
                "vpo_http_connections_refused_total",
                "Connections turned away because every open one had a request in progress.",
                &self.refused,
            ),
            (
                "vpo_http_connections_timed_out_total",
                "Connections closed because a request was not completed or an answer not read in time.",
                &self.timed_out,
            ),
            (
                "vpo_http_connections_idle_closed_total",
                "Keep-alive connections closed after a long time without a request.",
                &self.idle_closed,
            ),
            (
                "vpo_http_accept_exhausted_total",
                "Times that a connection had to wait because descriptors or memory had run out.",
                &self.exhausted,
            ),
        ];
        for (name, help, counter) in counters {
            text.family(name, Kind::Counter, help).sample(&[], get(counter));
        }
        text.family("vpo_http_connections_open", Kind::Gauge, "Connections open now.")
            .sample(&[], self.open());
        text.family("vpo_http_connections_limit", Kind::Gauge, "Most connections open at once.")
            .sample(&[], get(&self.limit));
    }
}
