//! Stops the daemon: requests, tasks, checks, the database, in this order.

use std::error::Error;
use std::process::ExitCode;

use tokio::task::spawn_blocking;
use tokio::time::{Instant, timeout_at};
use tracing::{error, info, warn};

use super::{Daemon, ServeError, http_ended};
use crate::base::times::DATABASE_CLOSE_MIN_TIMEOUT;
use crate::daemon::health::Phase;
use crate::daemon::signals::{Signals, Stop};

/// Exit code after a second SIGINT: 128 + SIGINT, as in shells.
const EXIT_INTERRUPTED: u8 = 130;

/// Stops all parts in order. Returns early on a second SIGINT.
pub(super) async fn stop(
    mut daemon: Daemon,
    mut signals: Signals,
    outcome: Result<Stop, ServeError>,
) -> Result<ExitCode, ServeError> {
    let begun = Instant::now();
    let timeout = daemon.shutdown_timeout;
    daemon.status.health.set_phase(Phase::Stopping);
    daemon.manager.notifier.stopping();
    daemon.show_status();
    let why = outcome.as_ref().map_or_else(|_| "failed".to_owned(), ToString::to_string);
    info!("{why}: stopping, for {timeout:?} at most");
    tokio::select! {
        biased;
        () = signals.second_interrupt() => {
            warn!("second SIGINT: exiting immediately");
            return Ok(ExitCode::from(EXIT_INTERRUPTED));
        }
        () = end(&mut daemon, begun + timeout) => info!("stopped after {:?}", begun.elapsed()),
    }
    outcome.map(|_| ExitCode::SUCCESS)
}

/// Ends requests and tasks. Cancels and logs those that remain at the deadline. Then closes the database.
async fn end(daemon: &mut Daemon, deadline: Instant) {
    // Requests and tasks together, so that a scan does not continue while a slow client reads.
    daemon.stop.cancel();
    let mut left = Vec::new();
    if !daemon.http.is_finished() {
        match timeout_at(deadline, &mut daemon.http).await {
            Ok(Ok(Ok(()))) => {}
            Ok(outcome) => error!("{}", http_ended(outcome)),
            Err(_) => {
                left.push("requests in progress");
                daemon.http.abort();
            }
        }
    }
    if timeout_at(deadline, &mut daemon.scanner).await.is_err() {
        left.push("scanner");
        daemon.scanner.abort();
    }
    if !left.is_empty() {
        warn!("cancelled after {:?}: {}", daemon.shutdown_timeout, left.join(", "));
    }
    close(daemon, deadline.max(Instant::now() + DATABASE_CLOSE_MIN_TIMEOUT)).await;
}

/// Stops the checks and closes the database.
async fn close(daemon: &Daemon, deadline: Instant) {
    let library = daemon.library.clone();
    let close = move || {
        if let Err(failure) = library.close() {
            warn!(error = &failure as &dyn Error, "the database was not closed cleanly; no data is lost");
        }
    };
    let closed = async {
        daemon.status.health.stop_checks().await;
        spawn_blocking(close).await
    };
    match timeout_at(deadline, closed).await {
        Ok(Ok(())) => {}
        Ok(Err(failure)) => error!("closing failed: {failure}"),
        Err(_) => warn!("not closed in time: the disk does not answer"),
    }
}
