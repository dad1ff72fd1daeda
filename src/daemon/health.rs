//! The daemon's health: the results of its checks, and the answer to a probe.
//!
//! A [`Check`] that is registered runs on a thread of its own ([`runner`]): twice a second, and on demand when its last
//! result is older than 250 ms. All waiting probes share one run. The result of another check follows from an event (a
//! root was unmounted) and is set with [`Health::set`]; such a check never fails `/health`.
//! This module does not depend on any particular check. It imports only [`crate::base`].

mod report;
mod runner;

use std::borrow::Cow;
use std::io;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tracing::{debug, info, warn};

pub use report::{DATABASE, Disclosure, Report};
pub use runner::{BUCKETS, Histogram};

use runner::Runner;

/// The outcome of a check.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// No problem.
    Pass,
    /// A problem that the daemon can work with (200).
    Warn,
    /// The part is not usable (503 if the check is critical).
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

/// The result of a check.
#[derive(Clone, Debug)]
pub struct CheckResult {
    /// The outcome.
    pub status: Status,
    /// A stable code (`missing`, `locked`, …); `None` if the check passes.
    pub reason: Option<&'static str>,
    /// One line for people: what, where, what to do.
    pub detail: Option<String>,
    /// Another program holds the part. The result before this one stays valid for up to a second.
    pub is_busy: bool,
    /// When the check ended.
    pub checked_at: Instant,
}

impl CheckResult {
    /// The check passes.
    #[must_use]
    pub fn pass() -> Self {
        Self { status: Status::Pass, reason: None, detail: None, is_busy: false, checked_at: Instant::now() }
    }

    /// The part has a problem and is usable.
    #[must_use]
    pub fn warn(reason: &'static str, detail: impl Into<String>) -> Self {
        Self { status: Status::Warn, reason: Some(reason), detail: Some(detail.into()), ..Self::pass() }
    }

    /// The part is not usable.
    #[must_use]
    pub fn fail(reason: &'static str, detail: impl Into<String>) -> Self {
        Self { status: Status::Fail, ..Self::warn(reason, detail) }
    }

    /// The part could not be checked because another program holds it. A failure only if that lasts.
    #[must_use]
    pub fn busy(reason: &'static str, detail: impl Into<String>) -> Self {
        Self { is_busy: true, ..Self::fail(reason, detail) }
    }
}

/// A check that [`Health::register`] runs on a thread of its own.
pub trait Check: Send + 'static {
    /// Its name in `/health`, in the log and in `vpo_check_status`.
    fn name(&self) -> &'static str;

    /// Whether `/health` answers 503 while it fails.
    fn is_critical(&self) -> bool {
        false
    }

    /// Checks once. It may block: after 80 ms a probe no longer waits for it, and after a second it fails with `timeout`.
    fn run(&mut self) -> CheckResult;
}

/// The phase of the daemon.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Starting (503).
    Starting,
    /// Running.
    Running,
    /// Stopping after a signal or a failure (503).
    Stopping,
}

impl Phase {
    /// Every phase, in order.
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

/// The versions in every answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Identity {
    /// The program's version.
    pub version: &'static str,
    /// The schema version of the database.
    pub schema_version: u32,
}

/// A check in the list of all.
#[derive(Clone, Debug)]
pub struct ListedCheck {
    /// Its name.
    pub name: Cow<'static, str>,
    /// Whether `/health` answers 503 while it fails.
    pub is_critical: bool,
    /// Its last result; `None` before the first.
    pub result: Option<Arc<CheckResult>>,
}

/// The results of all checks, in the order of their registration.
#[derive(Debug, Default)]
struct Results(Mutex<Arc<Vec<ListedCheck>>>);

impl Results {
    fn lock(&self) -> MutexGuard<'_, Arc<Vec<ListedCheck>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn add(&self, name: Cow<'static, str>, is_critical: bool) {
        Arc::make_mut(&mut *self.lock()).push(ListedCheck { name, is_critical, result: None });
    }

    /// Replaces the result of a check in the list, and logs the change.
    fn replace(&self, name: &str, result: &Arc<CheckResult>) {
        let mut list = self.lock();
        let Some(index) = list.iter().position(|check| check.name == name) else { return };
        if list[index].result.as_ref().is_some_and(|before| Arc::ptr_eq(before, result)) {
            return;
        }
        let before = Arc::make_mut(&mut *list)[index].result.replace(Arc::clone(result));
        drop(list);
        log_change(name, before.as_deref(), result);
    }
}

/// The daemon's health; clones share it.
#[derive(Clone, Debug)]
pub struct Health(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    identity: Identity,
    started: Instant,
    phase: AtomicU8,
    results: Arc<Results>,
    runners: Mutex<Arc<Vec<Arc<Runner>>>>,
}

impl Health {
    /// A daemon that is starting.
    #[must_use]
    pub fn new(identity: Identity) -> Self {
        Self(Arc::new(Inner {
            identity,
            started: Instant::now(),
            phase: AtomicU8::new(Phase::Starting as u8),
            results: Arc::default(),
            runners: Mutex::default(),
        }))
    }

    /// Sets the phase of the daemon.
    pub fn set_phase(&self, phase: Phase) {
        self.0.phase.store(phase as u8, Ordering::Release);
    }

    /// The phase of the daemon.
    #[must_use]
    pub fn phase(&self) -> Phase {
        Phase::ALL[usize::from(self.0.phase.load(Ordering::Acquire))]
    }

    /// Version and schema version.
    #[must_use]
    pub fn identity(&self) -> Identity {
        self.0.identity
    }

    /// Time since the start.
    #[must_use]
    pub fn uptime(&self) -> Duration {
        self.0.started.elapsed()
    }

    /// Runs `check` on a thread of its own from now on. A check that never returns blocks that one thread, and neither a
    /// probe nor the exit. Must be called within a tokio runtime.
    ///
    /// # Errors
    ///
    /// When the thread cannot be started.
    pub fn register(&self, check: impl Check) -> io::Result<()> {
        self.0.results.add(check.name().into(), check.is_critical());
        let runner = Runner::start(check, Arc::clone(&self.0.results))?;
        let mut runners = self.0.runners.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::make_mut(&mut *runners).push(runner);
        Ok(())
    }

    /// Stops all checks, and waits at most 80 ms for running ones. Call it before the database is closed. The last results
    /// stay.
    pub async fn stop_checks(&self) {
        for runner in self.runners().iter() {
            runner.stop().await;
        }
    }

    /// Sets the result of a check that is not registered. It never turns `/health` 503.
    pub fn set(&self, name: impl Into<Cow<'static, str>>, result: CheckResult) {
        let name = name.into();
        if !self.checks().iter().any(|check| check.name == name) {
            self.0.results.add(name.clone(), false);
        }
        self.0.results.replace(&name, &Arc::new(result));
    }

    /// Removes a check that was [set](Self::set).
    pub fn remove(&self, name: &str) {
        let mut list = self.0.results.lock();
        if list.iter().any(|check| check.name == name) {
            Arc::make_mut(&mut *list).retain(|check| check.name != name);
        }
    }

    /// All checks with their last results. Runs none.
    #[must_use]
    pub fn checks(&self) -> Arc<Vec<ListedCheck>> {
        Arc::clone(&self.0.results.lock())
    }

    /// The last result of a check. Does not run it.
    #[must_use]
    pub fn check(&self, name: &str) -> Option<Arc<CheckResult>> {
        self.checks().iter().find(|check| check.name == name)?.result.clone()
    }

    /// The answer to a probe. Runs the checks whose last result is older than 250 ms, and waits for them for 80 ms at most.
    pub async fn report(&self) -> Report {
        let runners = self.runners();
        let mut now = Instant::now();
        // All are started first, so that several slow checks take no longer than one.
        let late = runners.iter().filter(|runner| !runner.request(now)).count();
        if late > 0 {
            for runner in runners.iter() {
                runner.refresh().await;
            }
            now = Instant::now();
        }
        Report {
            phase: self.phase(),
            identity: self.0.identity,
            uptime: now.saturating_duration_since(self.0.started),
            checks: self.checks(),
            now,
        }
    }

    /// Durations of the runs of a registered check.
    #[must_use]
    pub fn durations(&self, name: &str) -> Option<Histogram> {
        self.runners().iter().find(|runner| runner.name() == name).map(|runner| runner.durations())
    }

    /// Whether the registered checks still produce results (`timeout` is one). For the watchdog.
    #[must_use]
    pub fn is_alive(&self) -> bool {
        self.runners().iter().all(|runner| runner.is_alive())
    }

    fn runners(&self) -> Arc<Vec<Arc<Runner>>> {
        Arc::clone(&self.0.runners.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// One line for each change of a check's status or reason; only a debug line for a first result that passes.
fn log_change(name: &str, before: Option<&CheckResult>, after: &CheckResult) {
    let key = |result: &CheckResult| (result.status, result.reason);
    if before.map(key) == Some(key(after)) {
        return;
    }
    let reason = after.reason.unwrap_or_default();
    let detail = after.detail.as_deref().unwrap_or_default();
    match (after.status, before) {
        (Status::Fail, _) => warn!(check = name, reason, detail, "check failed"),
        (Status::Warn, _) => warn!(check = name, reason, detail, "check warns"),
        (Status::Pass, Some(_)) => info!(check = name, "check passes again"),
        (Status::Pass, None) => debug!(check = name, "check passes"),
    }
}
