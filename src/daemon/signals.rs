//! The signals of the daemon.
//!
//! SIGTERM and SIGINT stop the daemon. A second SIGINT makes it exit immediately. SIGHUP reloads the configuration. If
//! standard input was a terminal at the start, SIGHUP stops the daemon instead, because the terminal has closed. SIGPIPE
//! is ignored by the Rust runtime. As PID 1 of a container the daemon reaps orphans.

use std::fmt;
use std::io::{self, IsTerminal as _};

use rustix::process::{WaitOptions, getpid, wait};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tracing::debug;

use crate::base::signals::with_signals_blocked;

/// The signal that stops the daemon.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stop {
    /// SIGTERM
    Terminate,
    /// SIGINT
    Interrupt,
    /// SIGHUP of a terminal
    Hangup,
}

impl fmt::Display for Stop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Terminate => "SIGTERM",
            Self::Interrupt => "SIGINT",
            Self::Hangup => "SIGHUP of the terminal",
        })
    }
}

/// The request of a signal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Request {
    /// SIGTERM or SIGINT, or SIGHUP of a terminal
    Stop(Stop),
    /// SIGHUP
    Reload,
}

/// The handlers.
#[derive(Debug)]
pub(crate) struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hangup: Signal,
    /// Standard input was a terminal at the start.
    has_terminal: bool,
    interrupts: u32,
}

impl Signals {
    /// Installs the handlers. From then on these signals do not end the process, and none is lost. Call it within a tokio
    /// runtime, before other threads exist.
    ///
    /// # Errors
    /// When the handlers cannot be installed.
    pub(crate) fn install() -> io::Result<Self> {
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
            has_terminal: io::stdin().is_terminal(),
            interrupts: 0,
        })
    }

    /// Waits for a request to stop. Leaves a request to reload pending. Cancel safe.
    pub(crate) async fn stop(&mut self) -> Stop {
        tokio::select! {
            biased;
            _ = self.interrupt.recv() => {
                self.interrupts += 1;
                Stop::Interrupt
            }
            _ = self.terminate.recv() => Stop::Terminate,
            _ = self.hangup.recv(), if self.has_terminal => Stop::Hangup,
        }
    }

    /// Waits for any request. Several pending reloads count as one. Cancel safe.
    pub(crate) async fn request(&mut self) -> Request {
        let Self { terminate, interrupt, hangup, has_terminal, interrupts } = self;
        tokio::select! {
            biased;
            _ = interrupt.recv() => {
                *interrupts += 1;
                Request::Stop(Stop::Interrupt)
            }
            _ = terminate.recv() => Request::Stop(Stop::Terminate),
            _ = hangup.recv() => if *has_terminal { Request::Stop(Stop::Hangup) } else { Request::Reload },
        }
    }

    /// Waits until SIGINT has arrived twice since the start.
    pub(crate) async fn second_interrupt(&mut self) {
        while self.interrupts < 2 {
            self.interrupt.recv().await;
            self.interrupts += 1;
        }
    }
}

/// Reaps every child that ends. The daemon itself starts no process, so these are orphans of other processes.
async fn reap(mut child: Signal) {
    loop {
        // One signal may stand for many children.
        while let Ok(Some((pid, status))) = wait(WaitOptions::NOHANG) {
            debug!(pid = pid.as_raw_nonzero().get(), ?status, "orphan reaped");
        }
        child.recv().await;
    }
}
