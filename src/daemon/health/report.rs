//! The answer to a probe, and its JSON.

use std::sync::Arc;
use std::time::{Duration, Instant};

use serde::Serialize;

use super::{CheckResult, Identity, ListedCheck, Phase, Status};
use crate::base::text::to_json;

/// The check behind the key `database`, whose reason and duration are metrics.
pub const DATABASE: &str = "database";

/// The daemon's health at one moment.
#[derive(Clone, Debug)]
pub struct Report {
    /// The phase of the daemon.
    pub phase: Phase,
    /// Version and schema version.
    pub identity: Identity,
    /// Time since the start.
    pub uptime: Duration,
    /// All checks.
    pub checks: Arc<Vec<ListedCheck>>,
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
    /// The result of a check.
    #[must_use]
    pub fn check(&self, name: &str) -> Option<&CheckResult> {
        self.checks.iter().find(|check| check.name == name)?.result.as_deref()
    }

    /// Whether the database is usable.
    #[must_use]
    pub fn connected(&self) -> bool {
        self.check(DATABASE).is_some_and(|result| result.status != Status::Fail)
    }

    /// Whether no critical check fails.
    fn is_usable(&self) -> bool {
        let fails = |check: &ListedCheck| check.result.as_ref().is_none_or(|one| one.status == Status::Fail);
        !self.checks.iter().any(|check| check.is_critical && fails(check))
    }

    /// Whether the answer is 200.
    #[must_use]
    pub fn ok(&self) -> bool {
        self.phase == Phase::Running && self.is_usable()
    }

    /// Whether a check warns or fails.
    #[must_use]
    pub fn warns(&self) -> bool {
        let warns = |check: &ListedCheck| check.result.as_ref().is_some_and(|one| one.status != Status::Pass);
        self.checks.iter().any(warns)
    }

    /// Whether [`Self::to_json`] of both is the same text, except for ages a millisecond apart.
    #[must_use]
    pub fn renders_equal(&self, other: &Self) -> bool {
        self.uptime.as_millis() == other.uptime.as_millis()
            && self.phase == other.phase
            && self.identity == other.identity
            && Arc::ptr_eq(&self.checks, &other.checks)
    }

    /// The overall status in JSON.
    #[must_use]
    pub fn status(&self) -> &'static str {
        match self.phase {
            Phase::Running if self.is_usable() => "healthy",
            Phase::Running => "degraded",
            Phase::Starting | Phase::Stopping => "unhealthy",
        }
    }

    /// The body of `/health`, with as much of the checks as `disclosure` allows.
    #[must_use]
    pub fn to_json(&self, disclosure: Disclosure) -> Vec<u8> {
        let with_detail = disclosure == Disclosure::Everything;
        let checks = self.checks.iter().filter(|_| disclosure != Disclosure::StatusOnly);
        let checks = checks.filter_map(|check| {
            let result = check.result.as_deref()?;
            Some(CheckBody {
                name: &check.name,
                status: result.status.as_str(),
                reason: result.reason,
                detail: with_detail.then_some(result.detail.as_deref()),
                age_seconds: seconds(self.now.saturating_duration_since(result.checked_at)),
            })
        });
        let body = Body {
            status: self.status(),
            database: if self.connected() { "connected" } else { "disconnected" },
            uptime_seconds: seconds(self.uptime),
            version: self.identity.version,
            shutting_down: self.phase == Phase::Stopping,
            phase: self.phase.as_str(),
            schema_version: self.identity.schema_version,
            checks: checks.collect(),
        };
        // The serialisation of strings, numbers and lists cannot fail.
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
    checks: Vec<CheckBody<'a>>,
}

#[derive(Serialize)]
struct CheckBody<'a> {
    name: &'a str,
    status: &'static str,
    reason: Option<&'static str>,
    /// Omitted for a client without the token; else `null` if the result has none.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[expect(clippy::option_option, reason = "absent and null differ")]
    detail: Option<Option<&'a str>>,
    age_seconds: f64,
}

/// Seconds, rounded to milliseconds.
fn seconds(duration: Duration) -> f64 {
    Duration::from_millis(u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)).as_secs_f64()
}
