//! The accept loop: admission at the connection limit, timeouts, and the stop.
//!
//! At the limit the loop keeps one accepted connection waiting and accepts no other: the rest waits in the kernel's
//! backlog. The waiting one is admitted as soon as a connection ends. The oldest connection that was inactive for
//! [`HTTP_EVICTION_AGE`] is closed for it. When another part of the daemon runs out of descriptors, all such connections are
//! closed.

use std::convert::Infallible;
use std::fmt;
use std::future::pending;
use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::time::{Instant, MissedTickBehavior, interval, interval_at, sleep, sleep_until};
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};
use warp::Filter;
use warp::reply::Response;

use super::connection;
use super::counters::{CloseReason, Counters};
use super::listener::{AcceptError, Accepting, Closing, Listener};
use super::registry::{Registry, StageTimeouts};
use super::service::Routes;
use super::socket::Socket;
use super::state::Connection;
use crate::base::descriptors;
use crate::base::error::plain;
use crate::base::times::{
    HTTP_ACCEPT_RETRY_INTERVAL, HTTP_ANSWER_TIMEOUT, HTTP_EVICTION_AGE, HTTP_IDLE_TIMEOUT,
    HTTP_RECEIVE_TIMEOUT, HTTP_SHORTAGE_PAUSE, HTTP_STALL_TIMEOUT, HTTP_STOP_GRACE, HTTP_STOP_STALL_TIMEOUT,
    HTTP_SWEEP_INTERVAL, HTTP_WARNING_INTERVAL,
};

/// Descriptors reserved for other purposes: database, log, roots, directories of a scan, notifications.
const RESERVE: u64 = 128;
/// Timeouts of the stages while the daemon runs.
const RUNNING: StageTimeouts = StageTimeouts {
    idle: HTTP_IDLE_TIMEOUT,
    receiving: HTTP_RECEIVE_TIMEOUT,
    stalled: HTTP_STALL_TIMEOUT,
    answering: HTTP_ANSWER_TIMEOUT,
};
/// The same while the responses to clients that do not read them take more than [`UNSENT`].
const CROWDED: StageTimeouts = StageTimeouts { stalled: HTTP_EVICTION_AGE, ..RUNNING };
/// Timeouts of the stages after the stop and [`HTTP_STOP_GRACE`].
const STOPPING: StageTimeouts = StageTimeouts {
    idle: Duration::ZERO,
    receiving: Duration::ZERO,
    stalled: HTTP_STOP_STALL_TIMEOUT,
    answering: HTTP_ANSWER_TIMEOUT,
};
/// Timeouts of the stages in a shortage of descriptors.
const SHORTAGE: StageTimeouts = StageTimeouts {
    idle: HTTP_EVICTION_AGE,
    receiving: HTTP_EVICTION_AGE,
    stalled: HTTP_EVICTION_AGE,
    answering: HTTP_ANSWER_TIMEOUT,
};
/// Bytes of large responses that wait for their clients, from which on those that do not read are closed sooner.
const UNSENT: usize = 4 * 1024 * 1024;
/// Connections accepted from the backlog at the stop before other tasks run.
const BURST: usize = 64;
/// Limits of the HTTP server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Limits {
    /// Maximum number of open connections.
    pub connections: usize,
}

impl Limits {
    /// Reduces `max_connections` to the limit of open files, minus a reserve. The limit is raised to the hard limit first.
    #[must_use]
    pub(crate) fn fitted(max_connections: usize) -> Self {
        let mut limit = getrlimit(Resource::Nofile);
        let raised = Rlimit { current: limit.maximum, maximum: limit.maximum };
        if limit.current != limit.maximum && setrlimit(Resource::Nofile, raised).is_ok() {
            limit.current = limit.maximum;
        }
        // If there are very few descriptors, half of them are for connections.
        let room = limit.current.map_or(u64::MAX, |current| current.saturating_sub(RESERVE).max(current / 2));
        let connections = max_connections.min(usize::try_from(room).unwrap_or(usize::MAX)).max(1);
        if connections < max_connections {
            warn!(
                max_connections,
                connections, "server.max_connections exceeds the limit of open files; raise LimitNOFILE"
            );
        }
        Self { connections }
    }
}

/// Why the server ended before it was stopped.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ServeError {
    /// The listening socket cannot be used.
    #[error("cannot use the listening socket any more: {0}; restart the daemon")]
    Listener(#[from] io::Error),
}

/// Serves `routes` until `stop`. Then it accepts the connections in the backlog, closes the listening socket, answers
/// every request that has arrived, and returns when the last connection is closed. Dropping the future closes them.
///
/// # Errors
///
/// If the listening socket itself fails.
pub(crate) async fn serve<F>(
    listener: Listener,
    routes: F,
    stop: CancellationToken,
    limits: Limits,
    counters: Arc<Counters>,
) -> Result<(), ServeError>
where
    F: Filter<Extract = (Response,), Error = Infallible> + Clone + Send + Sync + 'static,
{
    counters.set_limit(limits.connections);
    let listener = listener.accepting()?;
    let mut server = Server {
        routes: warp::service(routes),
        registry: Registry::new(Arc::clone(&counters)),
        stop,
        limits,
        counters,
        waiting: None,
        paused_until: None,
        warned: None,
    };
    server.accept_until_stopped(&listener).await?;
    server.drain_backlog(listener.closing()?).await?;
    server.drain().await;
    Ok(())
}

struct Server<R> {
    routes: R,
    registry: Registry,
    stop: CancellationToken,
    limits: Limits,
    counters: Arc<Counters>,
    /// An accepted connection that waits for room.
    waiting: Option<Socket>,
    /// End of a pause in accepting. The end of a connection ends it too.
    paused_until: Option<Instant>,
    /// Time of the last warning about a lack of descriptors.
    warned: Option<Instant>,
}

impl<R: Routes> Server<R> {
    async fn accept_until_stopped(&mut self, listener: &Accepting) -> Result<(), ServeError> {
        let mut sweep = interval(HTTP_SWEEP_INTERVAL);
        sweep.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let stop = self.stop.clone();
        let mut stopped = pin!(stop.cancelled());
        loop {
            tokio::select! {
                biased;
                () = &mut stopped => return Ok(()),
                Some(()) = self.registry.ended() => self.paused_until = None,
                () = descriptors::shortage() => self.yield_descriptors().await,
                _ = sweep.tick(), if !self.registry.is_empty() => {
                    let is_crowded = self.registry.unsent() > UNSENT;
                    self.registry.expire(if is_crowded { CROWDED } else { RUNNING });
                }
                () = end_of(self.paused_until) => self.paused_until = None,
                accepted = listener.accept(), if self.paused_until.is_none() => match accepted {
                    Ok(socket) => self.waiting = Some(socket),
                    Err(error) => self.handle_accept_error(error)?,
                },
            }
            if self.paused_until.is_none() {
                self.admit_waiting();
            }
        }
    }

    /// Serves the waiting connection, or makes room for it and pauses.
    fn admit_waiting(&mut self) {
        if self.waiting.is_some() && self.registry.len() >= self.limits.connections {
            self.make_room();
        } else if let Some(socket) = self.waiting.take() {
            self.serve(socket);
        }
    }

    fn serve(&mut self, socket: Socket) {
        let connection = Arc::new(Connection::new(socket, self.stop.clone()));
        let serving =
            connection::run(Arc::clone(&connection), self.routes.clone(), Arc::clone(&self.counters));
        self.registry.spawn(connection, serving);
    }

    /// Closes the oldest connection that is inactive for [`HTTP_EVICTION_AGE`]. Pauses until a connection ends, or the oldest
    /// may be closed. Returns whether one was closed.
    fn make_room(&mut self) -> bool {
        let now = Instant::now();
        let oldest = self.registry.oldest_inactive();
        let closable = oldest.map_or(now, |(since, _)| since) + HTTP_EVICTION_AGE;
        match oldest {
            Some((_, id)) if closable <= now => {
                self.registry.close(id, CloseReason::Evicted);
                self.paused_until = Some(now + HTTP_EVICTION_AGE);
                true
            }
            _ => {
                self.paused_until = Some(closable);
                false
            }
        }
    }

    /// Closes the connections that were inactive for [`HTTP_EVICTION_AGE`], because another part of the daemon needs descriptors.
    async fn yield_descriptors(&mut self) {
        self.warn_exhausted(format_args!("out of file descriptors: closing inactive connections"));
        if self.registry.expire(SHORTAGE) {
            sleep(HTTP_SHORTAGE_PAUSE).await;
        }
    }

    /// Accepts all connections in the backlog, without a limit.
    async fn drain_backlog(&mut self, listener: Closing) -> Result<(), ServeError> {
        if let Some(socket) = self.waiting.take() {
            self.serve(socket);
        }
        for count in 1.. {
            match listener.accept() {
                Ok(socket) => self.serve(socket),
                Err(error) if AcceptError::from(&error) == AcceptError::BacklogEmpty => break,
                Err(error) => {
                    self.handle_accept_error(error)?;
                    if let Some(paused_until) = self.paused_until.take() {
                        tokio::select! {
                            Some(()) = self.registry.ended() => {}
                            () = sleep_until(paused_until) => {}
                        }
                    }
                }
            }
            if count % BURST == 0 {
                tokio::task::yield_now().await;
            }
        }
        Ok(())
    }

    /// Handles an error of accept(2). Only a failure of the listening socket is returned.
    fn handle_accept_error(&mut self, error: io::Error) -> Result<(), ServeError> {
        let kind = AcceptError::from(&error);
        self.counters.accept_error(kind);
        match kind {
            AcceptError::Broken => return Err(error.into()),
            AcceptError::BacklogEmpty => {}
            AcceptError::Connection => debug!(%error, "a connection was lost before it was served"),
            AcceptError::Descriptors | AcceptError::Memory => {
                if !self.make_room() {
                    self.warn_exhausted(format_args!("cannot accept connections: {}", plain(&error)));
                }
                let retry_at = Instant::now() + HTTP_ACCEPT_RETRY_INTERVAL;
                self.paused_until = self.paused_until.map(|until| until.min(retry_at));
            }
        }
        Ok(())
    }

    fn warn_exhausted(&mut self, problem: fmt::Arguments<'_>) {
        if self.warned.is_none_or(|at| at.elapsed() > HTTP_WARNING_INTERVAL) {
            self.warned = Some(Instant::now());
            warn!("{problem}; raise the limit of open files (LimitNOFILE)");
        }
    }

    /// Returns when the last connection is closed.
    async fn drain(&mut self) {
        let mut sweep = interval_at(Instant::now() + HTTP_STOP_GRACE, HTTP_STOP_GRACE);
        loop {
            tokio::select! {
                ended = self.registry.ended() => if ended.is_none() { return },
                _ = sweep.tick() => {
                    self.registry.expire(STOPPING);
                }
            }
        }
    }
}

/// Returns at the end of a pause; never if there is none.
async fn end_of(pause: Option<Instant>) {
    match pause {
        Some(until) => sleep_until(until).await,
        None => pending().await,
    }
}
