//! Blocks signals while handlers are installed, and asks a program that works to an end to stop.
//!
//! tokio's handlers come from the `signal-hook-registry` crate. It installs a handler (sigaction(2)) some instructions
//! before it stores what the handler is to do. A signal that arrives in between is lost, and a stop is usually asked for
//! once. What a signal means is up to the caller.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

use nix::sys::signal::{SigSet, Signal};
use tokio_util::sync::CancellationToken;

/// The signals that are blocked or waited for here.
fn handled() -> SigSet {
    SigSet::from_iter([Signal::SIGTERM, Signal::SIGINT, Signal::SIGHUP])
}

/// Blocks SIGXFSZ, SIGUSR1 and SIGUSR2 in this thread and all that it starts, so that they do not end the process. A write
/// beyond the limit on the size of files (`ulimit -f`) then fails with an error as any other (EFBIG).
pub(crate) fn ignore_deadly() {
    // Cannot fail with these signals, by sigprocmask(2).
    let _ = SigSet::from_iter([Signal::SIGXFSZ, Signal::SIGUSR1, Signal::SIGUSR2]).thread_block();
}

/// Runs `work` with SIGTERM, SIGINT and SIGHUP blocked in this thread. A signal that arrives meanwhile is delivered at the
/// end. Afterwards they are unblocked, even if the parent process had blocked them.
///
/// The kernel delivers a signal of the process to any thread that does not block it. So install handlers in the first
/// thread, and start every other thread within this function: a new thread inherits the blocked signals for good.
///
/// # Errors
/// Never with these signals, by sigprocmask(2).
pub(crate) fn with_signals_blocked<T>(work: impl FnOnce() -> T) -> io::Result<T> {
    let signals = handled();
    signals.thread_block()?;
    let done = work();
    signals.thread_unblock()?;
    Ok(done)
}

/// The signal that asked a program to stop, once there was one.
#[derive(Clone, Debug)]
pub(crate) struct Stop {
    code: Arc<AtomicU8>,
    cancel: CancellationToken,
}

impl Stop {
    /// From now on the first SIGINT, SIGTERM or SIGHUP is only noted. A second one ends the process. Call it before any
    /// other thread is started, or start the others within [`with_signals_blocked`].
    ///
    /// # Errors
    /// No thread could be started.
    pub(crate) fn listen() -> io::Result<Self> {
        let signals = handled();
        signals.thread_block()?;
        let stop = Self { code: Arc::default(), cancel: CancellationToken::new() };
        let Self { code, cancel } = stop.clone();
        std::thread::Builder::new().name("signals".into()).spawn(move || {
            // As shells have it.
            let asked = signals.wait().map_or(1, |signal| 128 + u8::try_from(signal as i32).unwrap_or(0));
            code.store(asked, Ordering::Release);
            cancel.cancel();
            // This thread takes the second one, with the kernel's own handling.
            let _ = signals.thread_unblock();
            loop {
                std::thread::park();
            }
        })?;
        Ok(stop)
    }

    /// Cancelled once there was a signal.
    #[must_use]
    pub(crate) fn cancel(&self) -> &CancellationToken {
        &self.cancel
    }

    /// The code to exit with, once there was a signal.
    #[must_use]
    pub(crate) fn code(&self) -> Option<u8> {
        Some(self.code.load(Ordering::Acquire)).filter(|code| *code != 0)
    }
}
