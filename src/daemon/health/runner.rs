//! Runs one check on a thread of its own, and decides which of its results is valid at any moment.
//!
//! The thread waits for a request, runs the check and stores the result. It repeats a check that was busy without a
//! further request. The callers of [`Runner::refresh`] decide whether a result is late or stale. So a check that never
//! returns blocks only its own thread.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::Notify;
use tokio::time::{MissedTickBehavior, interval, timeout_at};

use super::{Check, CheckResult, Results};
use crate::base::times::{
    HEALTH_BUSY_RETRY_INTERVAL, HEALTH_CHECK_INTERVAL, HEALTH_DEAD_AFTER, HEALTH_FRESH_FOR,
    HEALTH_PROBE_TIMEOUT, HEALTH_STALE_AFTER,
};

/// Upper bounds of the duration histogram's buckets, in seconds.
pub const BUCKETS: [f64; 11] = [0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.08, 0.25, 1.0];

/// Durations of the runs of a check.
#[derive(Clone, Debug, Default)]
pub struct Histogram {
    /// Runs per bucket of [`BUCKETS`], then those above all bounds; not cumulative.
    pub counts: [u64; BUCKETS.len() + 1],
    /// Sum in seconds.
    pub sum: f64,
}

impl Histogram {
    fn observe(&mut self, took: Duration) {
        let took = took.as_secs_f64();
        let bucket = BUCKETS.iter().position(|bound| took <= *bound).unwrap_or(BUCKETS.len());
        self.counts[bucket] += 1;
        self.sum += took;
    }
}

#[derive(Debug)]
pub(super) struct Runner {
    name: &'static str,
    state: Mutex<State>,
    /// Where the valid result is stored.
    results: Arc<Results>,
    /// Wakes the thread.
    requested: Condvar,
    /// Wakes the probes that wait for a run.
    done: Notify,
}

#[derive(Debug)]
struct State {
    stopped: bool,
    /// Since when a run is requested or in progress.
    requested: Option<Instant>,
    running: bool,
    /// The result of the last run.
    last: Option<Arc<CheckResult>>,
    /// The result of the last run that was not busy.
    settled: Option<Arc<CheckResult>>,
    /// When a valid result was stored last.
    stored_at: Instant,
    durations: Histogram,
}

impl State {
    fn is_fresh(&self, now: Instant) -> bool {
        let age = |last: &Arc<CheckResult>| now.saturating_duration_since(last.checked_at);
        self.last.as_ref().is_some_and(|last| age(last) <= HEALTH_FRESH_FOR)
    }

    /// The result that is valid while no run is late.
    fn valid(&self, now: Instant) -> Option<Arc<CheckResult>> {
        let last = self.last.as_ref()?;
        let substitute = if last.is_busy { self.substitute(now) } else { None };
        Some(substitute.unwrap_or_else(|| Arc::clone(last)))
    }

    /// The last result that was not busy, while it may replace another.
    fn substitute(&self, now: Instant) -> Option<Arc<CheckResult>> {
        let age = |result: &Arc<CheckResult>| now.saturating_duration_since(result.checked_at);
        self.settled.as_ref().filter(|result| age(result) < HEALTH_STALE_AFTER).cloned()
    }

    /// Whether the last run was busy, and another may still end before the last result expires.
    fn wants_retry(&self, now: Instant) -> bool {
        self.last.as_ref().is_some_and(|last| last.is_busy) && self.substitute(now).is_some()
    }
}

impl Runner {
    /// Starts the thread, and a task that requests a run twice a second.
    pub(super) fn start(mut check: impl Check, results: Arc<Results>) -> std::io::Result<Arc<Self>> {
        let runner = Arc::new(Self {
            name: check.name(),
            state: Mutex::new(State {
                stopped: false,
                requested: None,
                running: false,
                last: None,
                settled: None,
                stored_at: Instant::now(),
                durations: Histogram::default(),
            }),
            results,
            requested: Condvar::new(),
            done: Notify::new(),
        });
        let own = Arc::clone(&runner);
        std::thread::Builder::new().name("check".to_owned()).spawn(move || own.run(&mut check))?;
        let own = Arc::clone(&runner);
        tokio::spawn(async move {
            let mut period = interval(HEALTH_CHECK_INTERVAL);
            period.set_missed_tick_behavior(MissedTickBehavior::Delay);
            while !own.lock().stopped {
                period.tick().await;
                own.refresh().await;
            }
        });
        Ok(runner)
    }

    pub(super) fn name(&self) -> &'static str {
        self.name
    }

    /// The thread.
    fn run(&self, check: &mut impl Check) {
        while self.wait_for_request() {
            let start = Instant::now();
            let result = catch_unwind(AssertUnwindSafe(|| check.run())).unwrap_or_else(|_| {
                let detail = format!("the {} check panicked; please report this bug", self.name);
                CheckResult::fail("io_error", detail)
            });
            let now = Instant::now();
            // Also of a result that the check has kept from an earlier run.
            let result = Arc::new(CheckResult { checked_at: now, ..result });
            let mut state = self.lock();
            state.durations.observe(now - start);
            state.requested = None;
            state.running = false;
            if !result.is_busy {
                state.settled = Some(Arc::clone(&result));
            }
            state.last = Some(result);
            drop(state);
            self.done.notify_waiters();
        }
    }

    /// Waits until a run is requested, or the time to repeat a busy one; `false` once stopped.
    fn wait_for_request(&self) -> bool {
        let mut state = self.lock();
        while state.requested.is_none() && !state.stopped {
            state = if state.wants_retry(Instant::now()) {
                let waited = self.requested.wait_timeout(state, HEALTH_BUSY_RETRY_INTERVAL);
                let (mut state, waited) = waited.unwrap_or_else(PoisonError::into_inner);
                if waited.timed_out() {
                    state.requested.get_or_insert_with(Instant::now);
                }
                state
            } else {
                self.requested.wait(state).unwrap_or_else(PoisonError::into_inner)
            };
        }
        state.running = !state.stopped;
        state.running
    }

    /// Stores the last result if it is fresh, else requests a run. Returns whether it is fresh. Does not wait.
    pub(super) fn request(&self, now: Instant) -> bool {
        let mut state = self.lock();
        let is_fresh = self.store_fresh(&mut state, now);
        if !is_fresh {
            self.request_at(&mut state, now);
        }
        is_fresh
    }

    /// Stores the last result if it is fresh. Returns whether it is. Once stopped, the last stored result stays.
    fn store_fresh(&self, state: &mut State, now: Instant) -> bool {
        if !state.stopped && state.is_fresh(now) {
            let valid = state.valid(now);
            self.store(state, valid, now);
            return true;
        }
        state.stopped
    }

    /// Since when a run is requested: from now on, or from before.
    fn request_at(&self, state: &mut State, now: Instant) -> Instant {
        *state.requested.get_or_insert_with(|| {
            self.requested.notify_one();
            now
        })
    }

    /// Stores the valid result, from a new run if the last is too old. Takes [`HEALTH_PROBE_TIMEOUT`] at most.
    pub(super) async fn refresh(&self) {
        loop {
            let mut done = pin!(self.done.notified());
            let requested = {
                let mut state = self.lock();
                let now = Instant::now();
                if self.store_fresh(&mut state, now) {
                    return;
                }
                let requested = self.request_at(&mut state, now);
                if now >= requested + HEALTH_PROBE_TIMEOUT {
                    let valid = state.substitute(now).unwrap_or_else(|| self.late(requested, now));
                    return self.store(&mut state, Some(valid), now);
                }
                done.as_mut().enable();
                requested
            };
            // The next iteration decides whether it is late.
            let _ = timeout_at((requested + HEALTH_PROBE_TIMEOUT).into(), done).await;
        }
    }

    /// The result while a run, requested at `requested`, has not ended.
    fn late(&self, requested: Instant, now: Instant) -> Arc<CheckResult> {
        let (name, waited) = (self.name, now.saturating_duration_since(requested).as_secs_f64());
        let detail = format!(
            "the {name} check has not ended for {waited:.1} s; check whether the disk or the network share hangs"
        );
        Arc::new(CheckResult::fail("timeout", detail))
    }

    fn store(&self, state: &mut State, valid: Option<Arc<CheckResult>>, now: Instant) {
        state.stored_at = now;
        if let Some(valid) = valid {
            self.results.replace(self.name, &valid);
        }
    }

    pub(super) async fn stop(&self) {
        self.lock().stopped = true;
        self.requested.notify_one();
        let deadline = Instant::now() + HEALTH_PROBE_TIMEOUT;
        loop {
            let mut done = pin!(self.done.notified());
            done.as_mut().enable();
            if !self.lock().running || timeout_at(deadline.into(), done).await.is_err() {
                return;
            }
        }
    }

    pub(super) fn durations(&self) -> Histogram {
        self.lock().durations.clone()
    }

    pub(super) fn is_alive(&self) -> bool {
        let state = self.lock();
        state.stopped || state.stored_at.elapsed() < HEALTH_DEAD_AFTER
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
