//! The database check's thread, and the verdict that holds at any moment.
//!
//! The thread does one thing: it waits until it is asked, runs the check, and writes down what came; a library that
//! was only busy it looks at again by itself. Whether a verdict is late or stale is judged by those who ask, so a
//! check that never returns costs one thread.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::Notify;
use tokio::time::{MissedTickBehavior, interval, timeout_at};
use tracing::{debug, info, warn};

use super::{Seen, Status, Verdict};

/// A verdict this young is given without a new look.
const FRESH: Duration = Duration::from_millis(250);
/// How long a probe waits for a check: with it, a probe is answered within 100 ms.
const DEADLINE: Duration = Duration::from_millis(80);
/// How long the last verdict stands in for one that is late or found the library busy.
const STAND_IN: Duration = Duration::from_secs(1);
/// Time between two checks that nobody asked for: short enough that there is always a verdict young enough to
/// stand in when the next check meets a neighbour's commit.
const PERIOD: Duration = Duration::from_millis(500);
/// Time until the next look at a library that was found busy, while the last verdict still stands in: a neighbour
/// that commits all the time leaves it free for moments only, and two looks a second would miss them all.
const AGAIN: Duration = Duration::from_millis(20);
/// After this long without any verdict something is wrong with the daemon itself.
const FLOW: Duration = Duration::from_secs(5);

/// Upper bounds of the duration histogram's buckets, in seconds.
pub const BUCKETS: [f64; 11] = [0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.08, 0.25, 1.0];

/// How long the checks took.
#[derive(Clone, Debug, Default)]
pub struct Histogram {
    /// Checks per bucket of [`BUCKETS`], and the rest; not cumulative.
    pub counts: [u64; BUCKETS.len() + 1],
    /// Seconds in all.
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

/// The database check as it stands.
#[derive(Clone, Debug)]
pub struct Snapshot {
    /// The verdict that holds; `None` before the first.
    pub seen: Option<Arc<Seen>>,
    /// How long the checks took.
    pub durations: Histogram,
}

#[derive(Debug, Default)]
pub(super) struct Watch {
    state: Mutex<State>,
    /// Wakes the thread.
    asked: Condvar,
    /// Wakes the probes that wait for a check.
    done: Notify,
}

#[derive(Debug, Default)]
struct State {
    watched: bool,
    stopped: bool,
    /// Since when a check is wanted or runs.
    asked: Option<Instant>,
    /// The check is with the thread.
    running: bool,
    /// How the last check ended, busy or not.
    last: Option<Arc<Seen>>,
    /// How the last check ended that found the library not busy.
    settled: Option<Arc<Seen>>,
    /// What was last told, for the log.
    told: Option<Arc<Seen>>,
    /// When something was last told.
    told_at: Option<Instant>,
    durations: Histogram,
}

impl State {
    /// The verdict that holds when no check is late.
    fn holds(&self, now: Instant) -> Option<Arc<Seen>> {
        let last = self.last.as_ref()?;
        if last.verdict.busy {
            self.stand_in(now).or_else(|| Some(Arc::clone(last)))
        } else {
            Some(Arc::clone(last))
        }
    }

    /// The last settled verdict while it is young enough to stand in.
    fn stand_in(&self, now: Instant) -> Option<Arc<Seen>> {
        self.settled.as_ref().filter(|seen| now.saturating_duration_since(seen.at) < STAND_IN).cloned()
    }

    /// Whether the library was found busy and another look may still come in time, before that is a fault.
    fn wants_another_look(&self, now: Instant) -> bool {
        self.last.as_ref().is_some_and(|last| last.verdict.busy) && self.stand_in(now).is_some()
    }

    /// The verdict that holds while a check, asked for at `asked`, does not come back.
    fn late(&self, asked: Instant, now: Instant) -> Arc<Seen> {
        self.stand_in(now).unwrap_or_else(|| {
            let waited = now.saturating_duration_since(asked).as_secs_f64();
            let detail = format!(
                "the database check has not come back for {waited:.1} s: is the disk or the network share stuck?"
            );
            Arc::new(Seen { verdict: Verdict::fail("timeout", detail), at: now })
        })
    }

    /// Remembers what is told, and logs it when it differs from what was told before.
    fn tell(&mut self, seen: &Arc<Seen>, now: Instant) {
        self.told_at = Some(now);
        if self.told.as_ref().is_some_and(|told| Arc::ptr_eq(told, seen)) {
            return;
        }
        let before = self.told.replace(Arc::clone(seen));
        log_change("database", before.as_ref().map(|seen| &seen.verdict), &seen.verdict);
    }
}

impl Watch {
    pub(super) fn start(
        this: &Arc<Self>,
        mut check: impl FnMut() -> Verdict + Send + 'static,
    ) -> std::io::Result<()> {
        {
            let mut state = this.lock();
            state.watched = true;
            state.told_at = Some(Instant::now());
        }
        let watch = Arc::clone(this);
        std::thread::Builder::new().name("check".to_owned()).spawn(move || watch.run(&mut check))?;
        let watch = Arc::clone(this);
        tokio::spawn(async move {
            let mut period = interval(PERIOD);
            period.set_missed_tick_behavior(MissedTickBehavior::Delay);
            while !watch.lock().stopped {
                period.tick().await;
                watch.verdict().await;
            }
        });
        Ok(())
    }

    /// The thread.
    fn run(&self, check: &mut impl FnMut() -> Verdict) {
        loop {
            let mut state = self.lock();
            while state.asked.is_none() && !state.stopped {
                state = if state.wants_another_look(Instant::now()) {
                    let waited = self.asked.wait_timeout(state, AGAIN);
                    let (mut state, waited) = waited.unwrap_or_else(PoisonError::into_inner);
                    if waited.timed_out() {
                        state.asked.get_or_insert_with(Instant::now);
                    }
                    state
                } else {
                    self.asked.wait(state).unwrap_or_else(PoisonError::into_inner)
                };
            }
            if state.stopped {
                return;
            }
            state.running = true;
            drop(state);
            let start = Instant::now();
            let verdict = catch_unwind(AssertUnwindSafe(&mut *check)).unwrap_or_else(|_| {
                Verdict::fail("io_error", "the database check panicked: please report this")
            });
            let now = Instant::now();
            let mut state = self.lock();
            state.durations.observe(now - start);
            state.asked = None;
            state.running = false;
            let seen = Arc::new(Seen { verdict, at: now });
            if !seen.verdict.busy {
                state.settled = Some(Arc::clone(&seen));
            }
            state.last = Some(seen);
            drop(state);
            self.done.notify_waiters();
        }
    }

    /// The verdict that holds, and when it does: from a new check when the last is too old. Takes [`DEADLINE`]
    /// at most.
    pub(super) async fn verdict(&self) -> (Option<Arc<Seen>>, Instant) {
        loop {
            let mut done = pin!(self.done.notified());
            let asked = {
                let mut state = self.lock();
                let now = Instant::now();
                let fresh = state.last.as_ref().is_some_and(|last| now.duration_since(last.at) <= FRESH);
                if state.stopped {
                    // No look was taken since: what was last told stays, and nothing new is told.
                    return (state.told.clone().or_else(|| state.holds(now)), now);
                }
                if fresh || !state.watched {
                    let seen = state.holds(now);
                    if let Some(seen) = &seen {
                        state.tell(seen, now);
                    }
                    return (seen, now);
                }
                let asked = *state.asked.get_or_insert_with(|| {
                    self.asked.notify_one();
                    now
                });
                if now >= asked + DEADLINE {
                    let seen = state.late(asked, now);
                    state.tell(&seen, now);
                    return (Some(seen), now);
                }
                done.as_mut().enable();
                asked
            };
            // Late or not, the next turn of the loop says which.
            let _ = timeout_at((asked + DEADLINE).into(), done).await;
        }
    }

    pub(super) async fn stop(&self) {
        self.lock().stopped = true;
        self.asked.notify_one();
        let deadline = Instant::now() + DEADLINE;
        loop {
            let mut done = pin!(self.done.notified());
            done.as_mut().enable();
            if !self.lock().running || timeout_at(deadline.into(), done).await.is_err() {
                return;
            }
        }
    }

    pub(super) fn snapshot(&self) -> Snapshot {
        let state = self.lock();
        Snapshot { seen: state.told.clone(), durations: state.durations.clone() }
    }

    pub(super) fn flows(&self) -> bool {
        let state = self.lock();
        state.stopped || state.told_at.is_none_or(|at| at.elapsed() < FLOW)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One line for each change of a check's state; nothing for a check that begins well.
pub(super) fn log_change(name: &str, before: Option<&Verdict>, after: &Verdict) {
    let key = |verdict: &Verdict| (verdict.status, verdict.reason);
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
