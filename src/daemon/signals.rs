//! Signals as the daemon understands them.
//!
//! SIGTERM and SIGINT ask for a stop, any number of them for the same one; a second SIGINT means *now*.
//! SIGHUP asks for a reload. SIGPIPE is ignored (Rust's runtime sees to it before `main`). As PID 1 of a
//! container the daemon inherits orphans and reaps them.

use std::fmt;
use std::io;

use rustix::process::{WaitOptions, getpid, wait};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tracing::debug;

use crate::base::signals::with_signals_blocked;

/// Which signal asked for the stop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stop {
    /// SIGTERM
    Terminate,
    /// SIGINT
    Interrupt,
}

impl fmt::Display for Stop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Terminate => "SIGTERM",
            Self::Interrupt => "SIGINT",
        })
    }
}

/// What a signal asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Request {
    /// SIGTERM or SIGINT
    Stop(Stop),
    /// SIGHUP
    Reload,
}

/// The handlers.
#[derive(Debug)]
pub struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hangup: Signal,
    interrupts: u32,
}

impl Signals {
    /// Installs the handlers. From here on none of these signals ends the process by itself, and none is lost. Must be
    /// called within a tokio runtime, and before there are other threads.
    ///
    /// # Errors
    /// When the handlers cannot be installed.
    pub fn install() -> io::Result<Self> {
        let signals = with_signals_blocked(Self::handlers)??;
        if getpid().is_init() {
            tokio::spawn(reap(signal(SignalKind::child())?));
        }
        Ok(signals)
    }

    fn handlers() -> io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hangup: signal(SignalKind::hangup())?,
            interrupts: 0,
        })
    }

    /// Waits for a request to stop. Cancel safe.
    pub async fn stop(&mut self) -> Stop {
        tokio::select! {
            biased;
            _ = self.interrupt.recv() => {
                self.interrupts += 1;
                Stop::Interrupt
            }
            _ = self.terminate.recv() => Stop::Terminate,
        }
    }

    /// Waits for any request; several reloads that wait are one. Cancel safe.
    pub async fn request(&mut self) -> Request {
        let Self { terminate, interrupt, hangup, interrupts } = self;
        tokio::select! {
            biased;
            _ = interrupt.recv() => {
                *interrupts += 1;
                Request::Stop(Stop::Interrupt)
            }
            _ = terminate.recv() => Request::Stop(Stop::Terminate),
            _ = hangup.recv() => Request::Reload,
        }
    }

    /// Waits until SIGINT has come twice since the start.
    pub async fn second_interrupt(&mut self) {
        while self.interrupts < 2 {
            self.interrupt.recv().await;
            self.interrupts += 1;
        }
    }
}

/// Takes the exit status of every child that ends: as PID 1 they are other processes' orphans. The daemon
/// itself starts no process, so that none is taken away from anyone.
async fn reap(mut child: Signal) {
    loop {
        // One signal may stand for many children.
        while let Ok(Some((pid, status))) = wait(WaitOptions::NOHANG) {
            debug!(pid = pid.as_raw_nonzero().get(), ?status, "orphan reaped");
        }
        child.recv().await;
    }
}
