//! What the daemon knows of its own state, and how a probe learns it in time.
//!
//! The database check is a closure that this module runs on a thread of its own: twice a second, and on
//! demand when the last verdict is older than 250 ms; at most one in flight, all waiting probes share it
//! ([`watch`]). Other checks (roots, tasks) are pushed and never turn `/health` 503.
//! This module does not know what the closure looks at: it knows deadlines, ages and transitions.
//! Imports nothing of the crate.

mod report;
mod watch;

use std::borrow::Cow;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

pub use report::{Disclosure, Report};
pub use watch::{BUCKETS, Snapshot};

use watch::Watch;

/// How a check went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// All is well.
    Pass,
    /// Something to look at; the daemon still does its work (200).
    Warn,
    /// The part is not usable (503 when it is the database).
    Fail,
}

impl Status {
    /// Every status, the best first.
    pub const ALL: [Self; 3] = [Self::Pass, Self::Warn, Self::Fail];

    /// The name used in JSON and metrics.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pass => "pass",
            Self::Warn => "warn",
            Self::Fail => "fail",
        }
    }
}

/// What one look at one part found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// The outcome.
    pub status: Status,
    /// A stable code (`missing`, `locked`, …); `None` when all is well.
    pub reason: Option<&'static str>,
    /// One line for people: what, where, what to do.
    pub detail: Option<String>,
    /// The part was found busy (someone else's commit): the verdict before this one may be given for up to
    /// a second, and only then this one.
    pub busy: bool,
}

impl Verdict {
    /// All is well.
    #[must_use]
    pub fn pass() -> Self {
        Self { status: Status::Pass, reason: None, detail: None, busy: false }
    }

    /// Something to look at.
    #[must_use]
    pub fn warn(reason: &'static str, detail: impl Into<String>) -> Self {
        Self { status: Status::Warn, reason: Some(reason), detail: Some(detail.into()), busy: false }
    }

    /// The part is not usable.
    #[must_use]
    pub fn fail(reason: &'static str, detail: impl Into<String>) -> Self {
        Self { status: Status::Fail, reason: Some(reason), detail: Some(detail.into()), busy: false }
    }

    /// The part could not be looked at because someone else is at work on it; a failure only when it stays so.
    #[must_use]
    pub fn busy(reason: &'static str, detail: impl Into<String>) -> Self {
        Self { status: Status::Fail, reason: Some(reason), detail: Some(detail.into()), busy: true }
    }
}

/// Where the daemon is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Not everything is up yet (503).
    Starting,
    /// At work.
    Running,
    /// The stop signal came (503).
    Stopping,
}

impl Phase {
    /// Every phase, in the order of life.
    pub const ALL: [Self; 3] = [Self::Starting, Self::Running, Self::Stopping];

    /// The name used in JSON and metrics.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Starting => "starting",
            Self::Running => "running",
            Self::Stopping => "stopping",
        }
    }
}

/// What the daemon says of itself in every answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Identity {
    /// The program's version.
    pub version: &'static str,
    /// The library's schema version.
    pub schema_version: u32,
}

/// A check's verdict, and when it was last confirmed.
#[derive(Clone, Debug)]
pub struct Seen {
    /// What was found.
    pub verdict: Verdict,
    /// When.
    pub at: Instant,
}

/// The daemon's health; clones share it.
#[derive(Clone, Debug)]
pub struct Health(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    identity: Identity,
    started: Instant,
    phase: AtomicU8,
    database: Arc<Watch>,
    pushed: Mutex<Arc<Vec<Pushed>>>,
}

/// A check whose owner tells its verdict (a root, a task), in place of being asked.
#[derive(Clone, Debug)]
pub struct Pushed {
    /// Its name in the list of checks.
    pub name: Cow<'static, str>,
    /// Its last verdict.
    pub seen: Seen,
}

impl Health {
    /// A daemon that is starting.
    #[must_use]
    pub fn new(identity: Identity) -> Self {
        Self(Arc::new(Inner {
            identity,
            started: Instant::now(),
            phase: AtomicU8::new(Phase::Starting as u8),
            database: Arc::new(Watch::default()),
            pushed: Mutex::default(),
        }))
    }

    /// Says where the daemon is in its life.
    pub fn set_phase(&self, phase: Phase) {
        self.0.phase.store(phase as u8, Ordering::Release);
    }

    /// Where the daemon is in its life.
    #[must_use]
    pub fn phase(&self) -> Phase {
        Phase::ALL[usize::from(self.0.phase.load(Ordering::Acquire))]
    }

    /// Who answers.
    #[must_use]
    pub fn identity(&self) -> Identity {
        self.0.identity
    }

    /// Time since the start.
    #[must_use]
    pub fn uptime(&self) -> Duration {
        self.0.started.elapsed()
    }

    /// Has `check` run on a thread of its own from now on. A check that never returns holds that one thread
    /// and nothing else: not a probe, not the exit. Must be called within a tokio runtime, once.
    ///
    /// # Errors
    ///
    /// When the thread cannot be started.
    pub fn watch_database(&self, check: impl FnMut() -> Verdict + Send + 'static) -> std::io::Result<()> {
        Watch::start(&self.0.database, check)
    }

    /// Lets no further check begin, and waits until none is in flight, for as long as a check may take: to be
    /// called before the library is closed. What was last known stays.
    pub async fn stop_watching(&self) {
        self.0.database.stop().await;
    }

    /// Tells a check's verdict (a root's, a task's). It is shown and logged when it changes, and never turns
    /// `/health` 503.
    pub fn set(&self, name: impl Into<Cow<'static, str>>, verdict: Verdict) {
        let name = name.into();
        let seen = Seen { verdict, at: Instant::now() };
        let before = {
            let mut pushed = self.0.pushed.lock().unwrap_or_else(PoisonError::into_inner);
            let list = Arc::make_mut(&mut pushed);
            if let Some(check) = list.iter_mut().find(|check| check.name == name) {
                Some(std::mem::replace(&mut check.seen, seen.clone()).verdict)
            } else {
                list.push(Pushed { name: name.clone(), seen: seen.clone() });
                None
            }
        };
        watch::log_change(&name, before.as_ref(), &seen.verdict);
    }

    /// Forgets a pushed check.
    pub fn remove(&self, name: &str) {
        let mut pushed = self.0.pushed.lock().unwrap_or_else(PoisonError::into_inner);
        if pushed.iter().any(|check| check.name == name) {
            Arc::make_mut(&mut pushed).retain(|check| check.name != name);
        }
    }

    /// The pushed checks as they stand.
    #[must_use]
    pub fn pushed(&self) -> Arc<Vec<Pushed>> {
        Arc::clone(&self.0.pushed.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// What a probe is told. Waits for a check when the last verdict is older than 250 ms, for 80 ms at most.
    pub async fn report(&self) -> Report {
        let (database, now) = self.0.database.verdict().await;
        Report {
            phase: self.phase(),
            identity: self.0.identity,
            uptime: now.saturating_duration_since(self.0.started),
            database,
            pushed: self.pushed(),
            now,
        }
    }

    /// The database check as it stands, without a new look.
    #[must_use]
    pub fn last(&self) -> Snapshot {
        self.0.database.snapshot()
    }

    /// Whether checks still lead to verdicts (that a check is late is a verdict too): what the watchdog asks.
    #[must_use]
    pub fn verdicts_flow(&self) -> bool {
        self.0.database.flows()
    }
}
