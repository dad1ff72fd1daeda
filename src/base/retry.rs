//! When an attempt is repeated, and for how long: the one policy for all retries.
//!
//! A policy decides by the time waited and the number of retries alone. [`RetryPolicy::run`] measures and sleeps.

use std::time::{Duration, Instant};

use tokio_util::sync::CancellationToken;

/// The pause before a retry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Interval {
    /// Always the same.
    Constant(Duration),
    /// Doubled with each retry.
    Doubling {
        /// The first pause.
        first: Duration,
        /// No pause is longer.
        longest: Duration,
    },
    /// A part of the time waited so far: short first, and never much longer than the time that was waited for.
    Proportional {
        /// The time waited is divided by this.
        divisor: u32,
        /// No pause is shorter.
        shortest: Duration,
    },
}

impl Interval {
    /// The pause after `waited`, when `retries` have been made.
    #[must_use]
    pub(crate) fn pause(self, waited: Duration, retries: u32) -> Duration {
        match self {
            Self::Constant(pause) => pause,
            Self::Doubling { first, longest } => {
                first.saturating_mul(2_u32.saturating_pow(retries)).min(longest)
            }
            Self::Proportional { divisor, shortest } => (waited / divisor).max(shortest),
        }
    }
}

/// How long, how often and at which intervals an attempt is repeated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct RetryPolicy {
    /// The pause before each retry.
    pub interval: Interval,
    /// No retry begins later than this; `None`: no limit.
    pub timeout: Option<Duration>,
    /// The most retries; `None`: no limit.
    pub retries: Option<u32>,
}

/// Why an attempt failed.
#[derive(Debug)]
pub(crate) enum Failure<E> {
    /// The next attempt may succeed.
    Temporary(E),
    /// No attempt will.
    Permanent(E),
}

/// Why there is no further attempt.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Stopped<E> {
    /// The last one failed for good.
    Failed(E),
    /// The policy's limit is reached; the last failure.
    TimedOut(E),
    /// The caller was cancelled while waiting.
    Cancelled,
}

impl RetryPolicy {
    /// At constant intervals, without a limit.
    #[must_use]
    pub(crate) const fn every(interval: Duration) -> Self {
        Self { interval: Interval::Constant(interval), timeout: None, retries: None }
    }

    /// The same, for `timeout` at most.
    #[must_use]
    pub(crate) const fn within(self, timeout: Duration) -> Self {
        Self { timeout: Some(timeout), ..self }
    }

    /// The pause before the next retry; `None` when there is none.
    #[must_use]
    pub(crate) fn next_pause(&self, waited: Duration, retries: u32) -> Option<Duration> {
        let is_over = self.timeout.is_some_and(|timeout| waited >= timeout)
            || self.retries.is_some_and(|most| retries >= most);
        (!is_over).then(|| self.interval.pause(waited, retries))
    }

    /// Repeats `attempt` while it fails temporarily. `cancel` ends the wait, and never prevents the first attempt.
    ///
    /// # Errors
    /// When `attempt` failed for good, or the wait ended.
    pub(crate) fn run<T, E>(
        self,
        cancel: Option<&CancellationToken>,
        attempt: impl FnMut() -> Result<T, Failure<E>>,
    ) -> Result<T, Stopped<E>> {
        run([self], cancel, attempt, |_| 0)
    }
}

/// As [`RetryPolicy::run`], where not all failures are retried alike: `policy_of` gives the number of a failure's policy.
/// Each policy counts its own retries. The time is counted from the first attempt.
///
/// # Errors
/// As [`RetryPolicy::run`].
pub(crate) fn run<T, E, const N: usize>(
    policies: [RetryPolicy; N],
    cancel: Option<&CancellationToken>,
    attempt: impl FnMut() -> Result<T, Failure<E>>,
    policy_of: impl Fn(&E) -> usize,
) -> Result<T, Stopped<E>> {
    let start = Instant::now();
    run_timed(policies, cancel, attempt, policy_of, || start.elapsed(), std::thread::sleep)
}

fn run_timed<T, E, const N: usize>(
    policies: [RetryPolicy; N],
    cancel: Option<&CancellationToken>,
    mut attempt: impl FnMut() -> Result<T, Failure<E>>,
    policy_of: impl Fn(&E) -> usize,
    waited: impl Fn() -> Duration,
    sleep: impl Fn(Duration),
) -> Result<T, Stopped<E>> {
    let mut retries = [0; N];
    loop {
        let error = match attempt() {
            Ok(value) => return Ok(value),
            Err(Failure::Permanent(error)) => return Err(Stopped::Failed(error)),
            Err(Failure::Temporary(error)) => error,
        };
        if cancel.is_some_and(CancellationToken::is_cancelled) {
            return Err(Stopped::Cancelled);
        }
        let number = policy_of(&error);
        let Some(pause) = policies[number].next_pause(waited(), retries[number]) else {
            return Err(Stopped::TimedOut(error));
        };
        retries[number] += 1;
        sleep(pause);
    }
}

#[cfg(test)]
mod tests {
    use std::cell::{Cell, RefCell};

    use super::*;

    const MS: Duration = Duration::from_millis(1);
    const EVERY_10_MS: RetryPolicy = RetryPolicy::every(Duration::from_millis(10));
    const THREE_TIMES: RetryPolicy = RetryPolicy {
        interval: Interval::Doubling { first: MS, longest: Duration::from_millis(100) },
        timeout: None,
        retries: Some(3),
    };

    /// Runs attempts that fail as `failures` says and then succeed. Returns the outcome and the pauses in milliseconds.
    fn run_failures<const N: usize>(
        policies: [RetryPolicy; N],
        cancel: &CancellationToken,
        failures: impl IntoIterator<Item = Failure<usize>>,
    ) -> (Result<(), Stopped<usize>>, Vec<u128>) {
        let mut failures = failures.into_iter();
        let (now, pauses) = (Cell::new(Duration::ZERO), RefCell::new(Vec::new()));
        let sleep = |pause: Duration| {
            now.set(now.get() + pause);
            pauses.borrow_mut().push(pause.as_millis());
        };
        let attempt = || failures.next().map_or(Ok(()), Err);
        let outcome = run_timed(policies, Some(cancel), attempt, |number| *number, || now.get(), sleep);
        (outcome, pauses.into_inner())
    }

    fn temporary(numbers: &[usize]) -> impl Iterator<Item = Failure<usize>> {
        numbers.iter().copied().map(Failure::Temporary)
    }

    #[test]
    fn pauses_are_constant_doubled_or_a_part_of_the_wait() {
        let pauses = |interval: Interval| {
            [(0, 0), (50, 1), (5_000, 2), (50_000, 40)]
                .map(|(waited, retries)| interval.pause(MS * waited, retries).as_millis())
        };
        assert_eq!(pauses(EVERY_10_MS.interval), [10, 10, 10, 10]);
        assert_eq!(pauses(Interval::Doubling { first: MS * 3, longest: MS * 900 }), [3, 6, 12, 900]);
        assert_eq!(pauses(Interval::Proportional { divisor: 50, shortest: MS * 2 }), [2, 2, 100, 1000]);
    }

    #[test]
    fn attempts_are_repeated_until_success_or_a_permanent_failure() {
        let cancel = CancellationToken::new();
        assert_eq!(run_failures([EVERY_10_MS], &cancel, temporary(&[0, 0])), (Ok(()), vec![10, 10]));
        let failures = temporary(&[0]).chain([Failure::Permanent(0)]);
        assert_eq!(run_failures([EVERY_10_MS], &cancel, failures), (Err(Stopped::Failed(0)), vec![10]));
    }

    #[test]
    fn a_limit_of_time_or_retries_ends_the_wait() {
        let cancel = CancellationToken::new();
        let policy = EVERY_10_MS.within(MS * 25);
        let timed_out = || Err(Stopped::TimedOut(0));
        assert_eq!(run_failures([policy], &cancel, temporary(&[0; 9])), (timed_out(), vec![10, 10, 10]));
        assert_eq!(run_failures([THREE_TIMES], &cancel, temporary(&[0; 9])), (timed_out(), vec![1, 2, 4]));
        let policy = EVERY_10_MS.within(Duration::ZERO);
        assert_eq!(run_failures([policy], &cancel, temporary(&[0])), (timed_out(), Vec::new()));
        assert_eq!(run_failures([policy], &cancel, []), (Ok(()), Vec::new()));
    }

    #[test]
    fn each_policy_counts_its_own_retries_and_all_share_the_time() {
        let cancel = CancellationToken::new();
        let policies = [EVERY_10_MS.within(MS * 25), THREE_TIMES];
        let failures = temporary(&[1, 0, 1, 0, 1]);
        assert_eq!(run_failures(policies, &cancel, failures), (Ok(()), vec![1, 10, 2, 10, 4]));
        let failures = temporary(&[1, 0, 1, 0, 1, 0]);
        assert_eq!(run_failures(policies, &cancel, failures).0, Err(Stopped::TimedOut(0)), "after 27 ms");
        assert_eq!(run_failures(policies, &cancel, temporary(&[1; 4])).0, Err(Stopped::TimedOut(1)));
    }

    #[test]
    fn a_cancelled_caller_gets_one_attempt_and_does_not_wait() {
        let cancel = CancellationToken::new();
        cancel.cancel();
        assert_eq!(run_failures([EVERY_10_MS], &cancel, []), (Ok(()), Vec::new()));
        assert_eq!(
            run_failures([EVERY_10_MS], &cancel, temporary(&[0])),
            (Err(Stopped::Cancelled), Vec::new())
        );
        let failures = [Failure::Permanent(0)];
        assert_eq!(run_failures([EVERY_10_MS], &cancel, failures), (Err(Stopped::Failed(0)), Vec::new()));
    }
}
