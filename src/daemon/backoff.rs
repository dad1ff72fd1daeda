//! Restarts a failed task with exponential backoff.

use std::error::Error;

use tokio::sync::watch;
use tokio::task::JoinError;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;
use tracing::{debug, warn};

use crate::base::error::{chain, panic_message};
use crate::base::times::{TASK_RESTART_INTERVAL, TASK_RESTART_LONGEST};

/// The failures of a task.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct TaskState {
    /// Number of restarts.
    pub restarts: u64,
    /// Why it failed, with all causes, until it is started again.
    pub failure: Option<String>,
}

/// Runs `task` until it returns without an error, and publishes its failures. A panic is a failure too. Returns when
/// `stop` is cancelled during a pause; the task itself must end at `stop`.
pub(crate) async fn run_with_backoff<F, E>(
    state: &watch::Sender<TaskState>,
    stop: &CancellationToken,
    mut task: impl FnMut() -> F,
) where
    F: Future<Output = Result<(), E>> + Send + 'static,
    E: Error + Send + 'static,
{
    let mut failures = 0;
    loop {
        let begun = Instant::now();
        // Spawned, so that a panic ends only this task.
        let run = AbortOnDropHandle::new(tokio::spawn(task()));
        let failure = match run.await {
            Ok(Ok(())) => return,
            Ok(Err(failure)) => chain(&failure),
            Err(ended) => panicked(ended),
        };
        if stop.is_cancelled() {
            return warn!("task failed while stopping: {failure}");
        }
        if begun.elapsed() > TASK_RESTART_LONGEST {
            failures = 0;
        }
        let pause = TASK_RESTART_INTERVAL.pause(begun.elapsed(), failures);
        failures += 1;
        debug!("task failed, next attempt in {pause:?}: {failure}");
        state.send_modify(|state| state.failure = Some(failure));
        tokio::select! {
            () = sleep(pause) => {}
            () = stop.cancelled() => return,
        }
        state.send_modify(|state| *state = TaskState { restarts: state.restarts + 1, failure: None });
    }
}

fn panicked(ended: JoinError) -> String {
    let Ok(payload) = ended.try_into_panic() else { return "cancelled".into() };
    format!("panic: {}", panic_message(&*payload))
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::time::Duration;

    use super::*;

    /// Runs a task that fails `failures` times, each time after `lasts`. Returns the seconds between its starts, and what
    /// was published during each pause.
    async fn run(failures: usize, lasts: Duration) -> (Vec<u64>, Vec<TaskState>) {
        let state = watch::Sender::new(TaskState::default());
        let (mut starts, mut published) = (Vec::new(), Vec::new());
        let mut seen = state.subscribe();
        let watching = tokio::spawn(async move {
            while seen.changed().await.is_ok() {
                published.push(seen.borrow_and_update().clone());
            }
            published
        });
        run_with_backoff(&state, &CancellationToken::new(), || {
            starts.push(Instant::now());
            let start = starts.len();
            async move {
                sleep(lasts).await;
                assert_ne!(start, 2, "the second start panics");
                if start > failures { Ok(()) } else { Err(io::Error::other("the disk is gone")) }
            }
        })
        .await;
        drop(state);
        let published = watching.await.unwrap();
        (starts.windows(2).map(|pair| (pair[1] - pair[0]).as_secs()).collect(), published)
    }

    #[tokio::test(start_paused = true)]
    async fn pauses_double_up_to_a_minute() {
        let (pauses, _) = run(9, Duration::ZERO).await;
        assert_eq!(pauses, [1, 2, 4, 8, 16, 32, 60, 60, 60]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_failure_after_a_long_run_begins_with_the_first_pause() {
        let (pauses, _) = run(3, Duration::from_secs(61)).await;
        assert_eq!(pauses, [62, 62, 62]);
    }

    #[tokio::test(start_paused = true)]
    async fn errors_and_panics_are_published_until_the_restart() {
        let (_, published) = run(2, Duration::ZERO).await;
        let failures: Vec<_> =
            published.iter().map(|state| (state.restarts, state.failure.as_deref())).collect();
        let [first, cleared, second, last] = failures[..] else { panic!("{failures:?}") };
        assert_eq!((first, cleared, last), ((0, Some("the disk is gone")), (1, None), (2, None)));
        assert!(second.0 == 1 && second.1.is_some_and(|why| why.starts_with("panic: ")), "{second:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_stop_ends_a_pause() {
        let (state, stop) = (watch::Sender::new(TaskState::default()), CancellationToken::new());
        let begun = Instant::now();
        let fails = || async { Err(io::Error::other("no")) };
        let stops = async {
            sleep(Duration::from_millis(500)).await;
            stop.cancel();
        };
        tokio::join!(run_with_backoff(&state, &stop, fails), stops);
        assert_eq!(begun.elapsed(), Duration::from_millis(500));
    }

    #[tokio::test(start_paused = true)]
    async fn a_failure_during_the_stop_is_final() {
        let (state, stop) = (watch::Sender::new(TaskState::default()), CancellationToken::new());
        let mut starts = 0;
        run_with_backoff(&state, &stop, || {
            starts += 1;
            stop.cancel();
            async { Err(io::Error::other("no")) }
        })
        .await;
        assert_eq!((starts, state.borrow().clone()), (1, TaskState::default()));
    }
}
