//! Holding signals back: for as long as handlers are put up, and for threads that are to have none.
//!
//! tokio's handlers come from the `signal-hook-registry` crate, which makes a handler the process's (sigaction(2)) some
//! instructions before it stores what that is to do: what comes in between ends nothing and tells nobody. And who
//! asks a process to stop asks once. This module does not know what a signal means to whom.

use std::io;

use nix::sys::signal::{SigSet, Signal};

/// Does `work` with SIGTERM, SIGINT and SIGHUP held back from this thread; what comes meanwhile is delivered at the end.
/// From then on they reach it, also where whoever started the process had blocked them.
///
/// The kernel gives a process's signal to any thread that does not hold it back. So handlers that are to lose none are
/// put up in the first thread, while every other one was started within this: it then has them held back for good.
///
/// # Errors
/// Never with these signals, by sigprocmask(2).
pub fn held_back<T>(work: impl FnOnce() -> T) -> io::Result<T> {
    let signals = SigSet::from_iter([Signal::SIGTERM, Signal::SIGINT, Signal::SIGHUP]);
    signals.thread_block()?;
    let done = work();
    signals.thread_unblock()?;
    Ok(done)
}
