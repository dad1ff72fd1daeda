//! State that a connection's socket side and its service share; neither sees more of the other.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio_util::sync::CancellationToken;

use super::registry::Connection;

/// What the socket side and the service of one connection share.
#[derive(Debug)]
pub(super) struct Exchange {
    pub(super) connection: Arc<Connection>,
    pub(super) stop: CancellationToken,
    /// See [`Self::overrun`].
    overrun: AtomicBool,
}

impl Exchange {
    pub(super) fn new(connection: Arc<Connection>, stop: CancellationToken) -> Self {
        Self { connection, stop, overrun: AtomicBool::new(false) }
    }

    /// Whether the answer under way is the connection's last: what follows will not be read, or the daemon
    /// stops and nothing more has arrived.
    pub(super) fn is_last(&self) -> bool {
        self.is_overrun() || self.stop.is_cancelled() && !self.connection.waits()
    }

    /// Notes that the client has sent, or may still send, what will not be read: a body, what follows a malformed
    /// head, or a further request where there is room for one probe.
    pub(super) fn overrun(&self) {
        self.overrun.store(true, Ordering::Relaxed);
    }

    /// Whether the client has sent, or may still send, what nobody will read.
    pub(super) fn is_overrun(&self) -> bool {
        self.overrun.load(Ordering::Relaxed)
    }
}
