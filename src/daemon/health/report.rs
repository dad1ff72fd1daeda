//! What a probe is told, and its JSON.

use std::sync::Arc;
use std::time::{Duration, Instant};

use serde::Serialize;

use super::{Identity, Phase, Pushed, Seen, Status};
use crate::base::text::to_json;

/// The daemon's health at one moment.
#[derive(Clone, Debug)]
pub struct Report {
    /// Where the daemon is in its life.
    pub phase: Phase,
    /// Who answers.
    pub identity: Identity,
    /// Time since the start.
    pub uptime: Duration,
    /// The database check; `None` when nothing is watched.
    pub database: Option<Arc<Seen>>,
    /// The other checks.
    pub pushed: Arc<Vec<Pushed>>,
    /// The moment.
    pub now: Instant,
}

/// How much of the checks a client may see.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Disclosure {
    /// Every check with its detail.
    Everything,
    /// Every check without its detail. The names of checks hold the paths of roots.
    NoDetail,
    /// No check.
    StatusOnly,
}

impl Report {
    /// Whether the database can be used.
    #[must_use]
    pub fn connected(&self) -> bool {
        self.database.as_ref().is_some_and(|seen| seen.verdict.status != Status::Fail)
    }

    /// Whether the answer is 200.
    #[must_use]
    pub fn ok(&self) -> bool {
        self.phase == Phase::Running && self.connected()
    }

    /// Whether [`Self::to_json`] of both would be the same text, but for ages a millisecond apart.
    #[must_use]
    pub fn says_the_same(&self, other: &Self) -> bool {
        self.uptime.as_millis() == other.uptime.as_millis()
            && self.phase == other.phase
            && self.identity == other.identity
            && Arc::ptr_eq(&self.pushed, &other.pushed)
            && match (&self.database, &other.database) {
                (Some(one), Some(other)) => Arc::ptr_eq(one, other),
                (None, None) => true,
                _ => false,
            }
    }

    /// The public word for the whole.
    #[must_use]
    pub fn status(&self) -> &'static str {
        match (self.phase, self.connected()) {
            (Phase::Running, true) => "healthy",
            (Phase::Running, false) => "degraded",
            (Phase::Starting | Phase::Stopping, _) => "unhealthy",
        }
    }

    /// The body of `/health`, with as much of the checks as `disclosure` says.
    #[must_use]
    pub fn to_json(&self, disclosure: Disclosure) -> Vec<u8> {
        let database = self.database.iter().map(|seen| ("database", seen.as_ref()));
        let others = self.pushed.iter().map(|pushed| (pushed.name.as_ref(), &pushed.seen));
        let checks = database.chain(others).filter(|_| disclosure != Disclosure::StatusOnly);
        let with_detail = disclosure == Disclosure::Everything;
        let body = Body {
            status: self.status(),
            database: if self.connected() { "connected" } else { "disconnected" },
            uptime_seconds: seconds(self.uptime),
            version: self.identity.version,
            shutting_down: self.phase == Phase::Stopping,
            phase: self.phase.as_str(),
            schema_version: self.identity.schema_version,
            checks: checks.map(|(name, seen)| Check::new(name, seen, self.now, with_detail)).collect(),
        };
        // Strings, numbers and lists: nothing here can fail.
        to_json(&body).unwrap_or_default().into_bytes()
    }
}

/// The first five keys are the public contract and never change meaning.
#[derive(Serialize)]
struct Body<'a> {
    status: &'static str,
    database: &'static str,
    uptime_seconds: f64,
    version: &'static str,
    shutting_down: bool,
    phase: &'static str,
    schema_version: u32,
    checks: Vec<Check<'a>>,
}

#[derive(Serialize)]
struct Check<'a> {
    name: &'a str,
    status: &'static str,
    reason: Option<&'static str>,
    #[serde(skip_serializing_if = "Detail::is_withheld")]
    detail: Detail<'a>,
    age_seconds: f64,
}

/// `null` when there is nothing to say; left out for those without the token.
#[derive(Serialize)]
#[serde(untagged)]
enum Detail<'a> {
    Told(Option<&'a str>),
    Withheld,
}

impl Detail<'_> {
    fn is_withheld(&self) -> bool {
        matches!(self, Self::Withheld)
    }
}

impl<'a> Check<'a> {
    fn new(name: &'a str, seen: &'a Seen, now: Instant, with_detail: bool) -> Self {
        Self {
            name,
            status: seen.verdict.status.as_str(),
            reason: seen.verdict.reason,
            detail: if with_detail { Detail::Told(seen.verdict.detail.as_deref()) } else { Detail::Withheld },
            age_seconds: seconds(now.saturating_duration_since(seen.at)),
        }
    }
}

/// Seconds to the millisecond: more digits would only be noise.
fn seconds(duration: Duration) -> f64 {
    Duration::from_millis(u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)).as_secs_f64()
}
