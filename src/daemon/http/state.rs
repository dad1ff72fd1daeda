//! The state that the task of a connection, its service and the accept loop share: the socket and the stage.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::socket::Socket;

/// The stage of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    /// No byte of a request has arrived since the last response.
    Idle,
    /// The connection is new, or a request is half sent.
    Receiving,
    /// A route processes a complete request.
    Handling,
    /// The response is being sent.
    Answering,
    /// The response cannot be sent, because the client does not read.
    Stalled,
    /// The last response is sent. Further bytes of the client are read and dropped until it closes.
    Lingering,
}

/// One open connection.
#[derive(Debug)]
pub(super) struct Connection {
    pub(super) socket: Socket,
    /// Cancelled when the daemon stops.
    pub(super) stop: CancellationToken,
    state: Mutex<ConnectionState>,
}

#[derive(Debug)]
struct ConnectionState {
    stage: Stage,
    /// When the stage began.
    since: Instant,
    /// When the present response began to be sent.
    answer_began: Instant,
    /// Bytes of a large response that hyper has not taken yet.
    unsent: usize,
    /// Whether bytes of a further request have been read from the socket already.
    buffered: bool,
    close_after_response: bool,
}

impl Connection {
    /// A new connection.
    pub(super) fn new(socket: Socket, stop: CancellationToken) -> Self {
        let now = Instant::now();
        let state = ConnectionState {
            stage: Stage::Receiving,
            since: now,
            answer_began: now,
            unsent: 0,
            buffered: false,
            close_after_response: false,
        };
        Self { socket, stop, state: Mutex::new(state) }
    }

    /// Enters a stage, and returns how long the previous one lasted.
    pub(super) fn enter(&self, stage: Stage) -> Duration {
        let now = Instant::now();
        let mut progress = self.lock();
        if (progress.stage, stage) == (Stage::Handling, Stage::Answering) {
            progress.answer_began = now;
        }
        progress.stage = stage;
        now.saturating_duration_since(std::mem::replace(&mut progress.since, now))
    }

    /// The stage.
    pub(super) fn stage(&self) -> Stage {
        self.lock().stage
    }

    /// The stage, and when it began.
    pub(super) fn progress(&self) -> (Stage, Instant) {
        let state = self.lock();
        (state.stage, state.since)
    }

    /// When the present response began to be sent; the last one, if there is none.
    pub(super) fn answer_began(&self) -> Instant {
        self.lock().answer_began
    }

    /// A part of a streamed response begins to be sent: the time for an answer is that of each part.
    pub(super) fn begin_part(&self) {
        self.lock().answer_began = Instant::now();
    }

    /// Records how many bytes of a large response hyper has not taken yet.
    pub(super) fn set_unsent(&self, bytes: usize) {
        self.lock().unsent = bytes;
    }

    /// Bytes of a large response that hyper has not taken yet.
    pub(super) fn unsent(&self) -> usize {
        self.lock().unsent
    }

    /// Records whether bytes of a further request have been read from the socket.
    pub(super) fn set_buffered(&self, buffered: bool) {
        self.lock().buffered = buffered;
    }

    /// Whether bytes of a request have arrived that were not processed yet.
    pub(super) fn has_unread_data(&self) -> bool {
        self.lock().buffered || self.socket.unread()
    }

    /// Whether a connection in this stage waits only for its client.
    pub(super) fn is_inactive(&self, stage: Stage) -> bool {
        match stage {
            Stage::Idle | Stage::Receiving => !self.has_unread_data(),
            Stage::Stalled => true,
            Stage::Handling | Stage::Answering | Stage::Lingering => false,
        }
    }

    /// Whether the connection is so new that its first request may still be on the way.
    pub(super) fn is_younger_than(&self, age: Duration) -> bool {
        let (stage, since) = self.progress();
        stage == Stage::Receiving && since.elapsed() < age
    }

    /// Closes the connection after the response in progress: the client has sent, or may still send, bytes that are
    /// not processed (a body, or what follows a malformed head).
    pub(super) fn close_after_response(&self) {
        self.lock().close_after_response = true;
    }

    /// Whether [`Self::close_after_response`] was called.
    pub(super) fn closes_after_response(&self) -> bool {
        self.lock().close_after_response
    }

    /// Whether the response in progress is the last of the connection. While the daemon stops, that is the case once
    /// nothing more has arrived.
    pub(super) fn is_last_response(&self) -> bool {
        self.closes_after_response() || self.stop.is_cancelled() && !self.has_unread_data()
    }

    fn lock(&self) -> MutexGuard<'_, ConnectionState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
