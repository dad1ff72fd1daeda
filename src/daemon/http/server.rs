//! The accept loop: who gets in at the connection limit, who is closed for taking too long, and how it all
//! stops.

use std::convert::Infallible;
use std::io;
use std::pin::pin;
use std::sync::Arc;
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
use super::registry::{Patience, Purpose, Registry};
use super::reply;
use super::service::Routes;
use super::socket::Socket;

/// Descriptors kept for everything that is no connection: library, log, roots, notifications.
const RESERVE: u64 = 32;
/// Connections beyond the limit, each for one health probe.
const PROBES: usize = 8;
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
/// How long there may be no room before new connections no longer wait for it. With the 80 ms that a probe may
/// have to wait for the database check it is answered within 100 ms.
const ROOM: Duration = Duration::from_millis(15);
/// How long new connections wait for one of [`PROBES`] to end; each is answered before.
const PROBE_TIME: Duration = Duration::from_millis(90);
/// Pause between two tries when there is no room and nobody can be closed.
const PAUSE: Duration = Duration::from_millis(5);
/// The same when descriptors or memory have run out.
const EXHAUSTED_PAUSE: Duration = Duration::from_millis(10);
/// Connections accepted at the end before others get their turn.
const BURST: usize = 64;
/// Time between two warnings about the same lack.
const QUIET: Duration = Duration::from_secs(60);

/// How much the HTTP side may hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Most connections open at once; a few more are let in for health probes when all of them are at work.
    pub connections: usize,
}

impl Limits {
    /// Fits `max_connections` to the limit of open files, which is raised as far as it may be, less a reserve.
    #[must_use]
    pub fn fitted(max_connections: usize) -> Self {
        let wanted = u64::try_from(max_connections.saturating_add(PROBES)).unwrap_or(u64::MAX);
        let wanted = wanted.saturating_add(RESERVE);
        let mut limit = getrlimit(Resource::Nofile);
        if limit.current.is_some_and(|current| current < wanted) {
            let raised = limit.maximum.map_or(wanted, |maximum| maximum.min(wanted));
            if setrlimit(Resource::Nofile, Rlimit { current: Some(raised), maximum: limit.maximum }).is_ok() {
                limit.current = Some(raised);
            }
        }
        // With very few descriptors half of them are for connections, those for probes included.
        let room = limit.current.map_or(u64::MAX, |current| current.saturating_sub(RESERVE).max(current / 2));
        let room = usize::try_from(room).unwrap_or(usize::MAX).saturating_sub(PROBES);
        let connections = max_connections.min(room).max(1);
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
    let mut server = Server {
        routes: warp::service(routes),
        registry: Arc::new(Registry::new(Arc::clone(&counters))),
        stop,
        limits,
        counters,
        full_since: None,
        crowded_since: None,
        warned: None,
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
    /// Since when there has been no room for a connection, as far as new ones have shown.
    full_since: Option<Instant>,
    /// The same for one more probe.
    crowded_since: Option<Instant>,
    /// When the lack of descriptors was last logged.
    warned: Option<Instant>,
}

impl<R> Drop for Server<R> {
    fn drop(&mut self) {
        self.registry.close_all();
    }
}

impl<R: Routes> Server<R> {
    async fn accept_until_stopped(&mut self, listener: &Accepting) -> Result<(), ServeError> {
        let mut sweep = interval(SWEEP);
        sweep.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let stop = self.stop.clone();
        let mut stopped = pin!(stop.cancelled());
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

    async fn accept_the_rest(&mut self, listener: Closing) -> Result<(), ServeError> {
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

    /// Serves the connection, or turns it away when there is no room even for a probe.
    async fn admit(&mut self, socket: Socket) {
        let Some(purpose) = self.room().await else {
            socket.turn_away(reply::TOO_MANY.as_bytes());
            self.counters.refused();
            return;
        };
        self.counters.accepted();
        let place = self.registry.admit(socket, purpose);
        let (slot, connection) = (place.slot(), Arc::clone(&place.connection));
        let serving =
            connection::run(place, self.routes.clone(), Arc::clone(&self.counters), self.stop.clone());
        let task = tokio::spawn(serving);
        self.registry.served_by(slot, &connection, task.abort_handle());
    }

    /// What a new connection may be let in for; `None` when there is no room at all. Nobody else is accepted
    /// while this waits, so it waits for [`ROOM`] once and not again until there has been room.
    async fn room(&mut self) -> Option<Purpose> {
        loop {
            // Once the daemon stops, all who wait are let in: there will be no others.
            if self.registry.staying(Purpose::Any) < self.limits.connections
                || self.stop.is_cancelled()
                || self.evict(Purpose::Any).await
            {
                self.full_since = None;
                return Some(Purpose::Any);
            }
            if self.full_since.get_or_insert_with(Instant::now).elapsed() >= ROOM {
                return self.wait_for_probe_room().await.then_some(Purpose::Probe);
            }
            sleep(PAUSE).await;
        }
    }

    /// Waits for one of [`PROBES`] to end, or closes one, for [`PROBE_TIME`] once and not again until there has been
    /// room. Returns whether one more of them may be let in.
    async fn wait_for_probe_room(&mut self) -> bool {
        let mut tries = 0;
        while self.registry.staying(Purpose::Probe) >= PROBES && !self.evict(Purpose::Probe).await {
            tries += 1;
            // Most of them only have to be looked at to be done.
            if tries < 4 {
                tokio::task::yield_now().await;
            } else if self.crowded_since.get_or_insert_with(Instant::now).elapsed() < PROBE_TIME {
                sleep(PAUSE).await;
            } else {
                return false;
            }
        }
        self.crowded_since = None;
        true
    }

    /// Closes a connection of that purpose that has no complete request in progress; `false` when there is none.
    async fn evict(&self, purpose: Purpose) -> bool {
        let evicted = self.registry.evict(purpose);
        if evicted {
            self.counters.evicted();
            // Its descriptor is closed before the next is taken.
            tokio::task::yield_now().await;
        }
        evicted
    }

    /// Goes on after an error of accept(2), where that is possible.
    async fn put_up_with(&mut self, error: io::Error) -> Result<(), ServeError> {
        match AcceptError::of(&error) {
            AcceptError::Broken => return Err(error.into()),
            AcceptError::Nobody => {}
            AcceptError::Connection => {
                debug!(%error, "a connection was lost before it was served");
                tokio::task::yield_now().await;
            }
            AcceptError::Exhausted => {
                self.counters.exhausted();
                if self.evict(Purpose::Any).await || self.evict(Purpose::Probe).await {
                    return Ok(());
                }
                self.warn_exhausted(&error);
                sleep(EXHAUSTED_PAUSE).await;
            }
        }
        Ok(())
    }

    fn warn_exhausted(&mut self, error: &io::Error) {
        if self.warned.is_none_or(|at| at.elapsed() > QUIET) {
            self.warned = Some(Instant::now());
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
