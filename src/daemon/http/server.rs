//! The accept loop: who gets in at the connection limit, whose patience ends, and how it all stops.

use std::convert::Infallible;
use std::io;
use std::pin::pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::time::{Instant, MissedTickBehavior, interval, interval_at, sleep};
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};
use warp::Filter;
use warp::reply::Response;

use super::connection::{self, GRACE};
use super::counters::Counters;
use super::listener::{AcceptError, Accepting, Closing, Listener};
use super::registry::{Patience, Registry};
use super::reply;
use super::service::Routes;
use super::socket::Socket;

/// Descriptors kept for everything that is no connection: library, log, roots, notifications.
const RESERVE: u64 = 32;
/// How long connections may take, while the daemon runs.
const RUNNING: Patience = Patience {
    idle: Duration::from_secs(75),
    receiving: Duration::from_secs(10),
    stalled: Duration::from_secs(10),
};
/// The same once it stops and [`connection::GRACE`] has passed.
const STOPPING: Patience =
    Patience { idle: Duration::ZERO, receiving: Duration::ZERO, stalled: Duration::from_secs(1) };
/// How often patience is looked at.
const SWEEP: Duration = Duration::from_millis(500);
/// How long a new connection waits while all others have a request in progress.
const ROOM: Duration = Duration::from_millis(100);
/// Pause between two tries when there is no room and nobody can be closed.
const PAUSE: Duration = Duration::from_millis(10);
/// Connections accepted at the end before others get their turn.
const BURST: usize = 64;
/// Time between two warnings about the same lack.
const QUIET: Duration = Duration::from_secs(60);

/// How much the HTTP side may hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Most connections open at once.
    pub connections: usize,
}

impl Limits {
    /// Fits `max_connections` to the limit of open files, which is raised as far as it may be, less a reserve.
    #[must_use]
    pub fn fitted(max_connections: usize) -> Self {
        let wanted = u64::try_from(max_connections).unwrap_or(u64::MAX).saturating_add(RESERVE);
        let mut limit = getrlimit(Resource::Nofile);
        if limit.current.is_some_and(|current| current < wanted) {
            let raised = limit.maximum.map_or(wanted, |maximum| maximum.min(wanted));
            if setrlimit(Resource::Nofile, Rlimit { current: Some(raised), maximum: limit.maximum }).is_ok() {
                limit.current = Some(raised);
            }
        }
        // With very few descriptors half of them are for connections.
        let room = limit.current.map_or(u64::MAX, |current| current.saturating_sub(RESERVE).max(current / 2));
        let connections = max_connections.min(usize::try_from(room).unwrap_or(usize::MAX)).max(1);
        if connections < max_connections {
            warn!(
                max_connections,
                connections,
                "server.max_connections is more than the limit of open files allows; raise LimitNOFILE"
            );
        }
        Self { connections }
    }
}

/// Why serving ended before it was stopped.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The listening socket cannot be used.
    #[error("the listening socket broke: {0}; restart the daemon")]
    Listener(#[from] io::Error),
}

/// Serves `routes` until `stop`; then accepts who already waits, closes the listening socket, answers every
/// request that has arrived, and returns when the last connection is closed. Dropping the future closes them.
///
/// # Errors
///
/// When the listening socket itself breaks.
pub async fn serve<F>(
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
    let server = Server {
        routes: warp::service(routes),
        registry: Arc::new(Registry::new(Arc::clone(&counters))),
        stop,
        limits,
        counters,
        warned: Mutex::default(),
    };
    server.accept_until_stopped(&listener).await?;
    // Whoever the kernel has let in is served too.
    server.accept_the_rest(listener.closing()?).await?;
    server.drain().await;
    Ok(())
}

struct Server<R> {
    routes: R,
    registry: Arc<Registry>,
    stop: CancellationToken,
    limits: Limits,
    counters: Arc<Counters>,
    /// When the lack of descriptors was last logged.
    warned: Mutex<Option<Instant>>,
}

impl<R> Drop for Server<R> {
    fn drop(&mut self) {
        self.registry.close_all();
    }
}

impl<R: Routes> Server<R> {
    async fn accept_until_stopped(&self, listener: &Accepting) -> Result<(), ServeError> {
        let mut sweep = interval(SWEEP);
        sweep.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut stopped = pin!(self.stop.cancelled());
        loop {
            tokio::select! {
                biased;
                () = &mut stopped => return Ok(()),
                accepted = listener.accept() => match accepted {
                    Ok(socket) => self.admit(socket).await,
                    Err(error) => self.put_up_with(error).await?,
                },
                _ = sweep.tick(), if self.registry.open() > 0 => self.expire(RUNNING),
            }
        }
    }

    async fn accept_the_rest(&self, listener: Closing) -> Result<(), ServeError> {
        for count in 1.. {
            match listener.accept() {
                Ok(socket) => self.admit(socket).await,
                Err(error) if AcceptError::of(&error) == AcceptError::Nobody => break,
                Err(error) => self.put_up_with(error).await?,
            }
            if count % BURST == 0 {
                tokio::task::yield_now().await;
            }
        }
        Ok(())
    }

    /// Serves a connection, when there is room or room can be made.
    async fn admit(&self, socket: Socket) {
        let deadline = Instant::now() + ROOM;
        // Once the daemon stops, all who wait are let in: there will be no others.
        while self.registry.staying() >= self.limits.connections && !self.stop.is_cancelled() {
            if self.registry.evict() {
                self.counters.evicted();
                // Its descriptor is closed before the next is taken.
                tokio::task::yield_now().await;
            } else if Instant::now() >= deadline {
                socket.turn_away(reply::TOO_MANY.as_bytes());
                self.counters.refused();
                return;
            } else {
                sleep(PAUSE).await;
            }
        }
        self.counters.accepted();
        let place = self.registry.admit(socket);
        let (slot, connection) = (place.slot(), Arc::clone(&place.connection));
        let serving =
            connection::run(place, self.routes.clone(), Arc::clone(&self.counters), self.stop.clone());
        let task = tokio::spawn(serving);
        self.registry.served_by(slot, &connection, task.abort_handle());
    }

    /// Goes on after an error of accept(2), where that is possible.
    async fn put_up_with(&self, error: io::Error) -> Result<(), ServeError> {
        match AcceptError::of(&error) {
            AcceptError::Broken => return Err(error.into()),
            AcceptError::Nobody => {}
            AcceptError::Connection => {
                debug!(%error, "a connection was lost before it was served");
                tokio::task::yield_now().await;
            }
            AcceptError::Exhausted => {
                self.counters.exhausted();
                if self.registry.evict() {
                    self.counters.evicted();
                    tokio::task::yield_now().await;
                } else {
                    self.warn_exhausted(&error);
                    sleep(PAUSE).await;
                }
            }
        }
        Ok(())
    }

    fn warn_exhausted(&self, error: &io::Error) {
        let first = {
            let mut warned = self.warned.lock().unwrap_or_else(PoisonError::into_inner);
            let first = warned.is_none_or(|at| at.elapsed() > QUIET);
            if first {
                *warned = Some(Instant::now());
            }
            first
        };
        if first {
            warn!(%error, "cannot accept connections; raise the limit of open files (LimitNOFILE)");
        }
    }

    fn expire(&self, patience: Patience) {
        let expired = self.registry.expire(patience);
        self.counters.idle_closed(expired.idle);
        self.counters.timed_out(expired.others);
    }

    /// Returns when the last connection is closed.
    async fn drain(&self) {
        let mut sweep = interval_at(Instant::now() + GRACE, GRACE);
        while self.registry.open() > 0 {
            tokio::select! {
                () = self.registry.left.notified() => {}
                _ = sweep.tick() => self.expire(STOPPING),
            }
        }
    }
}
