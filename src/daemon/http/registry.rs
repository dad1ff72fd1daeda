//! The open connections with the tasks that serve them, and which of them may be closed.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::task::{AbortHandle, Id, JoinSet};
use tokio::time::Instant;

use super::counters::{CloseReason, Counters};
use super::state::{Connection, Stage};

/// Maximum duration of each stage.
#[derive(Clone, Copy, Debug)]
pub(super) struct StageTimeouts {
    pub(super) idle: Duration,
    pub(super) receiving: Duration,
    pub(super) stalled: Duration,
    /// From the beginning of a response to its end.
    pub(super) answering: Duration,
}

/// All open connections. Dropping it closes them.
#[derive(Debug)]
pub(super) struct Registry {
    /// The task of each connection, until it is joined.
    tasks: JoinSet<()>,
    /// The connections that are not being closed.
    slots: HashMap<Id, ConnectionSlot>,
    counters: Arc<Counters>,
}

#[derive(Debug)]
struct ConnectionSlot {
    connection: Arc<Connection>,
    task: AbortHandle,
}

impl Registry {
    pub(super) fn new(counters: Arc<Counters>) -> Self {
        Self { tasks: JoinSet::new(), slots: HashMap::new(), counters }
    }

    /// Connections that hold a descriptor.
    pub(super) fn len(&self) -> usize {
        self.tasks.len()
    }

    /// Whether there are no connections.
    pub(super) fn is_empty(&self) -> bool {
        self.tasks.is_empty()
    }

    /// Starts the task that serves a connection.
    pub(super) fn spawn(
        &mut self,
        connection: Arc<Connection>,
        serving: impl Future<Output = ()> + Send + 'static,
    ) {
        let task = self.tasks.spawn(serving);
        self.slots.insert(task.id(), ConnectionSlot { connection, task });
        self.counters.accepted();
    }

    /// Waits until a connection ends; `None` if there is none. Cancel safe.
    pub(super) async fn ended(&mut self) -> Option<()> {
        let id = match self.tasks.join_next_with_id().await? {
            Ok((id, ())) => id,
            Err(error) => error.id(),
        };
        if self.slots.remove(&id).is_some() {
            self.counters.closed(CloseReason::Ended);
        }
        Some(())
    }

    /// The connection that was idle, half-sent or not read by its client for the longest time, and since when.
    pub(super) fn oldest_inactive(&self) -> Option<(Instant, Id)> {
        let mut oldest: Option<(Instant, Id)> = None;
        for (id, slot) in &self.slots {
            let (stage, since) = slot.connection.progress();
            if oldest.is_none_or(|(before, _)| since < before) && slot.connection.is_inactive(stage) {
                oldest = Some((since, *id));
            }
        }
        oldest
    }

    /// Ends the task of a connection, which closes the socket. [`Self::ended`] returns once that is done.
    pub(super) fn close(&mut self, id: Id, reason: CloseReason) {
        if let Some(slot) = self.slots.remove(&id) {
            slot.task.abort();
            self.counters.closed(reason);
        }
    }

    /// Bytes of all large responses that hyper has not taken yet.
    pub(super) fn unsent(&self) -> usize {
        self.slots.values().map(|slot| slot.connection.unsent()).sum()
    }

    /// Closes the connections whose stage has lasted too long. Returns whether there were any.
    pub(super) fn expire(&mut self, timeouts: StageTimeouts) -> bool {
        let now = Instant::now();
        let expired = self.slots.iter().filter_map(|(id, slot)| {
            let (stage, since) = slot.connection.progress();
            let is_sending = matches!(stage, Stage::Answering | Stage::Stalled);
            if is_sending
                && now.saturating_duration_since(slot.connection.answer_began()) > timeouts.answering
            {
                return Some((*id, CloseReason::Timeout));
            }
            let (timeout, reason) = match stage {
                Stage::Idle => (timeouts.idle, CloseReason::Idle),
                Stage::Receiving => (timeouts.receiving, CloseReason::Timeout),
                Stage::Stalled => (timeouts.stalled, CloseReason::Timeout),
                Stage::Handling | Stage::Answering | Stage::Lingering => return None,
            };
            let is_over = now.saturating_duration_since(since) > timeout;
            (is_over && slot.connection.is_inactive(stage)).then_some((*id, reason))
        });
        let expired: Vec<_> = expired.collect();
        for (id, reason) in &expired {
            self.close(*id, *reason);
        }
        !expired.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use std::future::pending;

    use tokio::time::advance;
    use tokio_util::sync::CancellationToken;

    use super::super::socket::Socket;
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_client_that_reads_slowly_is_closed_in_the_end() {
        let timeouts = StageTimeouts {
            idle: Duration::from_secs(75),
            receiving: Duration::from_secs(10),
            stalled: Duration::from_secs(10),
            answering: Duration::from_secs(60),
        };
        let (socket, _client) = tokio::net::UnixStream::pair().expect("a pair");
        let connection = Arc::new(Connection::new(Socket::Unix(socket), CancellationToken::new()));
        let mut registry = Registry::new(Arc::default());
        registry.spawn(Arc::clone(&connection), pending());
        connection.enter(Stage::Handling);
        connection.enter(Stage::Answering);
        for _ in 0..7 {
            assert!(!registry.expire(timeouts));
            connection.enter(Stage::Stalled);
            advance(Duration::from_secs(9)).await;
            connection.enter(Stage::Answering);
        }
        assert!(registry.expire(timeouts), "63 s for one answer");
    }
}
