//! What makes a test one screen: a sandbox of its own for each test, the daemon as a child, a small HTTP
//! client that shows what really came back, and waiting for conditions instead of sleeping.

mod daemon;
pub(crate) mod database;
mod films;
mod http;
pub(crate) mod mutants;
pub(crate) mod samples;
mod sandbox;
mod terminal;
pub(crate) mod video;

pub(crate) use daemon::{Daemon, freeze};
pub(crate) use films::{FileRow, settled};
pub(crate) use http::{Answer, Client};
pub(crate) use sandbox::Sandbox;
pub(crate) use terminal::Terminal;

use std::time::{Duration, Instant};

/// How long a test waits for something that must happen but has no deadline of its own.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// Time within which a probe is always answered.
pub(crate) const PROBE: Duration = Duration::from_millis(100);

/// Waits until `probe` gives a value; fails the test with `what` when it does not in time.
#[track_caller]
pub(crate) fn eventually<T>(what: &str, mut probe: impl FnMut() -> Option<T>) -> T {
    within(PATIENCE, what, &mut probe)
}

/// As [`eventually`], with the product's own deadline.
#[track_caller]
pub(crate) fn within<T>(limit: Duration, what: &str, mut probe: impl FnMut() -> Option<T>) -> T {
    let start = Instant::now();
    loop {
        if let Some(value) = probe() {
            return value;
        }
        assert!(start.elapsed() < limit, "not within {limit:?}: {what}");
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// How often [`in_time`] tries.
const ATTEMPTS: u32 = 3;

/// The retry rule for the product's own deadlines, which are tested as written: the tests run in parallel on
/// a few cores, so an attempt may be late without any fault of the daemon. It is made again, up to three
/// times in all; a daemon that is really late is late each time.
#[track_caller]
pub(crate) fn in_time<T>(mut attempt: impl FnMut() -> Result<T, String>) -> T {
    let mut reasons = Vec::new();
    for _ in 0..ATTEMPTS {
        match attempt() {
            Ok(value) => return value,
            Err(reason) => reasons.push(reason),
        }
    }
    panic!("late {ATTEMPTS} times: {}", reasons.join("; "));
}
