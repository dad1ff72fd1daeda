//! Holding signals back: for as long as handlers are put up, and for threads that are to have none.
//!
//! tokio's handlers come from the `signal-hook-registry` crate, which makes a handler the process's (sigaction(2)) some
//! instructions before it stores what that is to do: what comes in between ends nothing and tells nobody. And who
//! asks a process to stop asks once. This module does not know what a signal means to whom.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

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

/// What a program that works to an end was asked to stop by.
#[derive(Clone, Debug)]
pub struct Stop(Arc<AtomicU8>);

impl Stop {
    /// From now on SIGINT, SIGTERM and SIGHUP only ask this thread, and those that it starts, to stop. A second one ends
    /// the process. Call it before any other thread is started.
    ///
    /// # Errors
    /// No thread could be started.
    pub fn listen() -> io::Result<Self> {
        let signals = SigSet::from_iter([Signal::SIGTERM, Signal::SIGINT, Signal::SIGHUP]);
        signals.thread_block()?;
        let code = Arc::new(AtomicU8::new(0));
        let stop = Self(Arc::clone(&code));
        std::thread::Builder::new().name("signals".into()).spawn(move || {
            // As shells have it.
            let asked = signals.wait().map_or(1, |signal| 128 + u8::try_from(signal as i32).unwrap_or(0));
            code.store(asked, Ordering::Release);
            // This thread takes the second one, with the kernel's own handling.
            let _ = signals.thread_unblock();
            loop {
                std::thread::park();
            }
        })?;
        Ok(stop)
    }

    /// The code to exit with, once there was a signal.
    #[must_use]
    pub fn code(&self) -> Option<u8> {
        Some(self.0.load(Ordering::Acquire)).filter(|code| *code != 0)
    }
}
