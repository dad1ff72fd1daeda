//! Tasks that outlive their mistakes: `spawn(name, policy, |token| async …)`. A panic or an error becomes a
//! state and a restart with backoff, never the daemon's end; a stop tells every task through its token and
//! waits for it. Imports [`crate::base`] alone, and does not know what a task does. Failures are reported through
//! the list of tasks; whoever shows it as checks ([`Supervisor::subscribe`]) logs each change once.

use std::error::Error;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinError;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::{AbortOnDropHandle, TaskTracker};
use tracing::{debug, warn};

use crate::base::error::{chain, panic_message};

/// After how long a task that failed is restarted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Policy {
    /// Pause before the first restart; doubled with each failure that follows.
    pub backoff: Duration,
    /// The longest pause. A task that ran longer than this before it failed starts over at `backoff`.
    pub backoff_limit: Duration,
}

impl Policy {
    /// Restarts after 1 s, 2 s, 4 s … up to a minute.
    pub const RESTART: Self =
        Self { backoff: Duration::from_secs(1), backoff_limit: Duration::from_secs(60) };
}

/// What a task is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// At work.
    Running,
    /// Failed; waits for its restart.
    Restarting,
    /// Failed while the daemon stopped.
    Failed,
    /// Came to its end.
    Finished,
}

impl State {
    /// Every state, in the order used by metrics.
    pub const ALL: [Self; 4] = [Self::Running, Self::Restarting, Self::Failed, Self::Finished];

    /// The name used in JSON and metrics.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Restarting => "restarting",
            Self::Failed => "failed",
            Self::Finished => "finished",
        }
    }
}

/// A task as it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Task {
    /// As given to [`Supervisor::spawn`].
    pub name: String,
    /// What it is doing.
    pub state: State,
    /// How often it was begun anew.
    pub restarts: u64,
    /// Why it failed last, with all causes; kept after a restart.
    pub last_error: Option<String>,
}

/// Runs tasks; clones share them.
#[derive(Clone, Debug)]
pub struct Supervisor {
    tasks: watch::Sender<Vec<Task>>,
    handles: Arc<Mutex<Vec<AbortOnDropHandle<()>>>>,
    tracker: TaskTracker,
    stop: CancellationToken,
}

impl Default for Supervisor {
    fn default() -> Self {
        Self {
            tasks: watch::Sender::new(Vec::new()),
            handles: Arc::default(),
            tracker: TaskTracker::new(),
            stop: CancellationToken::new(),
        }
    }
}

impl Supervisor {
    /// Runs what `make` makes, again after each failure and the pause of `policy`. The token is cancelled when
    /// the daemon stops: the task then returns as soon as it can. Must be called within a tokio runtime.
    pub fn spawn<M, F, E>(&self, name: impl Into<String>, policy: Policy, make: M)
    where
        M: FnMut(CancellationToken) -> F + Send + 'static,
        F: Future<Output = Result<(), E>> + Send + 'static,
        E: Error + Send + 'static,
    {
        let task = Task { name: name.into(), state: State::Running, restarts: 0, last_error: None };
        let name = task.name.clone();
        let mut index = 0;
        self.tasks.send_modify(|tasks| {
            index = tasks.len();
            tasks.push(task);
        });
        let entry = Entry { tasks: self.tasks.clone(), index };
        let supervised = supervise(name, policy, make, entry, self.stop.clone());
        let handle = AbortOnDropHandle::new(self.tracker.spawn(supervised));
        let mut handles = self.handles();
        handles.retain(|handle| !handle.is_finished());
        handles.push(handle);
    }

    /// All tasks so far, in the order of their start.
    #[must_use]
    pub fn tasks(&self) -> Vec<Task> {
        self.tasks.borrow().clone()
    }

    /// The same as a channel that tells of changes.
    #[must_use]
    pub fn subscribe(&self) -> watch::Receiver<Vec<Task>> {
        self.tasks.subscribe()
    }

    /// Tells every task to end, and does not wait.
    pub fn stop(&self) {
        self.stop.cancel();
        self.tracker.close();
    }

    /// Tells every task to end and waits until `deadline`; then cancels those left and returns their names.
    pub async fn drain(&self, deadline: Instant) -> Vec<String> {
        self.stop();
        if tokio::time::timeout_at(deadline, self.tracker.wait()).await.is_ok() {
            return Vec::new();
        }
        let alive = |task: &&Task| matches!(task.state, State::Running | State::Restarting);
        let left = self.tasks.borrow().iter().filter(alive).map(|task| task.name.clone()).collect();
        self.handles().clear();
        left
    }

    fn handles(&self) -> MutexGuard<'_, Vec<AbortOnDropHandle<()>>> {
        self.handles.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Runs a task, again after each failure and the pause of `policy`, and keeps its entry up to date.
async fn supervise<M, F, E>(name: String, policy: Policy, mut make: M, entry: Entry, stop: CancellationToken)
where
    M: FnMut(CancellationToken) -> F,
    F: Future<Output = Result<(), E>> + Send + 'static,
    E: Error + Send + 'static,
{
    let mut backoff = policy.backoff;
    loop {
        let begun = Instant::now();
        // A task of its own: a panic in it ends there.
        let run = AbortOnDropHandle::new(tokio::spawn(make(stop.clone())));
        let reason = match run.await {
            Ok(Ok(())) => return entry.set(State::Finished),
            Ok(Err(failure)) => chain(&failure),
            Err(failure) => ended(failure),
        };
        if stop.is_cancelled() {
            warn!(task = name, "task failed while stopping: {reason}");
            return entry.fail(State::Failed, reason);
        }
        if begun.elapsed() > policy.backoff_limit {
            backoff = policy.backoff;
        }
        debug!(task = name, "task failed, next attempt in {backoff:?}: {reason}");
        entry.fail(State::Restarting, reason);
        tokio::select! {
            () = tokio::time::sleep(backoff) => {}
            () = stop.cancelled() => return entry.set(State::Finished),
        }
        backoff = (backoff * 2).min(policy.backoff_limit);
        debug!(task = name, "task restarted");
        entry.restart();
    }
}

/// One task's place in the list.
struct Entry {
    tasks: watch::Sender<Vec<Task>>,
    index: usize,
}

impl Entry {
    fn set(&self, state: State) {
        self.tasks.send_modify(|tasks| tasks[self.index].state = state);
    }

    fn fail(&self, state: State, reason: String) {
        self.tasks.send_modify(|tasks| {
            tasks[self.index].state = state;
            tasks[self.index].last_error = Some(reason);
        });
    }

    fn restart(&self) {
        self.tasks.send_modify(|tasks| {
            tasks[self.index].state = State::Running;
            tasks[self.index].restarts += 1;
        });
    }
}

/// Why a task has ended that returned nothing.
fn ended(error: JoinError) -> String {
    let Ok(payload) = error.try_into_panic() else { return "cancelled".into() };
    format!("panic: {}", panic_message(&*payload))
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;
    use std::io;
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;

    const QUICK: Policy =
        Policy { backoff: Duration::from_millis(1), backoff_limit: Duration::from_millis(4) };

    fn run<F: Future>(test: F) -> F::Output {
        tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(test)
    }

    async fn reaches(supervisor: &Supervisor, wanted: impl Fn(&Task) -> bool) -> Task {
        let mut tasks = supervisor.subscribe();
        tasks.wait_for(|tasks| wanted(&tasks[0])).await.unwrap()[0].clone()
    }

    #[test]
    fn errors_and_panics_lead_to_restarts() {
        run(async {
            let supervisor = Supervisor::default();
            let attempts = AtomicU32::new(0);
            supervisor.spawn("work", QUICK, move |_| {
                let attempt = attempts.fetch_add(1, Ordering::Relaxed);
                async move {
                    match attempt {
                        0 => Err(io::Error::other("the disk is gone")),
                        1 => panic!("a bug"),
                        _ => Ok(()),
                    }
                }
            });
            let failed = reaches(&supervisor, |task| task.state == State::Restarting).await;
            assert_eq!(failed.last_error.as_deref(), Some("the disk is gone"));
            let done = reaches(&supervisor, |task| task.state == State::Finished).await;
            assert_eq!((done.restarts, done.last_error.as_deref()), (2, Some("panic: a bug")));
        });
    }

    #[test]
    fn a_failure_during_the_stop_is_final() {
        run(async {
            let supervisor = Supervisor::default();
            supervisor.spawn("late", QUICK, |stop| async move {
                stop.cancelled().await;
                Err(io::Error::other("no"))
            });
            assert!(supervisor.drain(Instant::now() + Duration::from_secs(10)).await.is_empty());
            let failed = reaches(&supervisor, |task| task.state == State::Failed).await;
            assert_eq!((failed.restarts, failed.last_error.as_deref()), (0, Some("no")));
        });
    }

    #[test]
    fn a_stop_ends_the_obedient_and_cuts_a_backoff_short() {
        run(async {
            let supervisor = Supervisor::default();
            supervisor.spawn("obedient", QUICK, |stop| async move {
                stop.cancelled().await;
                Ok::<_, Infallible>(())
            });
            let patient = Policy { backoff: Duration::from_secs(3600), ..Policy::RESTART };
            supervisor.spawn("waiting", patient, |_| async { Err(io::Error::other("no")) });
            let mut tasks = supervisor.subscribe();
            tasks.wait_for(|tasks| tasks[1].state == State::Restarting).await.unwrap();
            let left = supervisor.drain(Instant::now() + Duration::from_secs(10)).await;
            assert!(left.is_empty(), "{left:?}");
        });
    }

    #[test]
    fn what_does_not_end_in_time_is_named_and_cancelled() {
        run(async {
            let supervisor = Supervisor::default();
            let (alive, mut dropped) = tokio::sync::oneshot::channel::<()>();
            let mut alive = Some(alive);
            supervisor.spawn("deaf", QUICK, move |_| {
                let alive = alive.take();
                async move {
                    let _alive = alive;
                    std::future::pending::<Result<(), Infallible>>().await
                }
            });
            tokio::task::yield_now().await;
            assert_eq!(supervisor.drain(Instant::now() + Duration::from_millis(5)).await, ["deaf"]);
            assert!((&mut dropped).await.is_err(), "its future is dropped");
        });
    }
}
