//! Reports to the service manager: the phase, a status line, and that the daemon is alive.

use std::future::pending;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{Instant, Interval, MissedTickBehavior, interval_at};

use super::scanning;
use crate::base::times::STATUS_INTERVAL;
use crate::config::Environment;
use crate::daemon::health::Health;
use crate::daemon::notify::{Notifier, watchdog_period};
use crate::scan::ScanState;

/// systemd, or another service manager with its protocol, if any.
pub(super) struct Manager {
    pub(super) notifier: Notifier,
    watchdog_period: Option<Duration>,
}

impl Manager {
    pub(super) fn new(environment: &Environment) -> Self {
        let watchdog = watchdog_period(environment.get("WATCHDOG_USEC"), environment.get("WATCHDOG_PID"));
        Self { notifier: Notifier::new(environment.get("NOTIFY_SOCKET")), watchdog_period: watchdog }
    }

    /// Ticks when a watchdog message is due.
    pub(super) fn watchdog(&self) -> Ticks {
        Ticks::every(self.watchdog_period)
    }

    /// Ticks when the status line is due.
    pub(super) fn status_ticks(&self) -> Ticks {
        Ticks::every(self.notifier.is_connected().then_some(STATUS_INTERVAL))
    }
}

/// The parts of the status line.
pub(super) struct Status {
    pub(super) health: Health,
    pub(super) scans: watch::Receiver<ScanState>,
    /// Why the last reload failed, until one succeeds.
    pub(super) reload_failure: Option<String>,
}

impl Status {
    /// The phase, the number of files, the checks that do not pass, and a failed reload.
    pub(super) fn line(&self) -> String {
        let mut parts = vec![self.health.phase().as_str().to_owned()];
        parts.extend(scanning::files(&self.scans.borrow()).map(|files| format!("{files} files")));
        for check in self.health.checks().iter() {
            let reason = check.result.as_ref().and_then(|result| result.reason);
            parts.extend(reason.map(|reason| format!("{} {reason}", check.name)));
        }
        let failure = self.reload_failure.as_ref();
        parts.extend(failure.map(|failure| format!("the last reload failed: {failure}")));
        parts.join(", ")
    }
}

/// Ticks at a period, or never.
pub(super) struct Ticks(Option<Interval>);

impl Ticks {
    fn every(period: Option<Duration>) -> Self {
        Self(period.map(|period| {
            let mut ticks = interval_at(Instant::now() + period, period);
            ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
            ticks
        }))
    }

    pub(super) async fn next(&mut self) {
        match &mut self.0 {
            Some(ticks) => {
                ticks.tick().await;
            }
            None => pending().await,
        }
    }
}
