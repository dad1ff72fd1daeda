//! One connection: hyper between the socket and the service, and the closing of the socket.
//!
//! hyper's `graceful_shutdown` drops requests that are still in the socket or behind the one being answered, so it
//! is not used. `Io` hands hyper one request head at a time; once the daemon stops and nothing more has arrived, it
//! reports the end of the stream instead of waiting. Every request that has arrived is answered, the last with
//! `Connection: close`, and an idle connection ends at once.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use hyper::rt::ReadBufCursor;
use hyper::server::conn::http1;
use tracing::debug;

use super::counters::Counters;
use super::framing::{Found, Framing, MAX_HEAD};
use super::reply;
use super::service::{Routes, Service};
use super::state::{Connection, Stage};
use crate::base::times::{HTTP_LINGER_TIMEOUT, HTTP_STOP_GRACE};

/// Size of one read. Most requests are far smaller, and the buffer is on the stack.
const READ: usize = 2 * 1024;
/// Maximum bytes that [`discard`] reads once the daemon stops.
const MAX_DISCARDED: usize = 1024 * 1024;

/// The socket as hyper sees it.
struct Io {
    connection: Arc<Connection>,
    framing: Framing,
    /// Bytes read after the head that hyper has received.
    buffered: Vec<u8>,
    /// Set when the head is too long or ambiguous; it is not passed on.
    refused: Option<Found>,
}

/// Serves one connection to its end.
pub(super) async fn run<R: Routes>(connection: Arc<Connection>, routes: R, counters: Arc<Counters>) {
    let io = Io {
        connection: Arc::clone(&connection),
        framing: Framing::default(),
        buffered: Vec::new(),
        refused: None,
    };
    let service = Service::new(routes, Arc::clone(&connection), Arc::clone(&counters));
    let mut http = http1::Builder::new()
        // The accept loop checks the timeouts of all stages.
        .header_read_timeout(None)
        .max_buf_size(2 * MAX_HEAD)
        // A client may close its side after its request and still read the answer.
        .half_close(true)
        .serve_connection(io, service);
    let ended = {
        let mut stopped = std::pin::pin!(connection.stop.cancelled());
        let mut listening = false;
        std::future::poll_fn(|cx| {
            // Polled once, so that the stop wakes this task. hyper's next read then checks the token.
            if !listening {
                listening = true;
                let _ = stopped.as_mut().poll(cx);
            }
            Pin::new(&mut http).poll(cx)
        })
        .await
    };
    let io = http.into_parts().io;
    if let Err(error) = &ended {
        debug!(error = error as &dyn std::error::Error, "connection ended early");
    }
    // hyper ends without an error if it has received no byte of the request.
    if let Some(found) = io.refused {
        let answer = match found {
            Found::LineTooLong => reply::URI_TOO_LONG,
            Found::TwoLengths => reply::TWO_LENGTHS,
            _ => reply::HEAD_TOO_LONG,
        };
        connection.socket.try_write(answer.as_bytes());
    }
    if io.refused.is_some() || ended.is_err_and(|error| error.is_parse()) {
        counters.malformed();
        connection.close_after_response();
    }
    if connection.closes_after_response() || !io.buffered.is_empty() {
        connection.socket.close_write();
        connection.enter(Stage::Lingering);
        let _ = tokio::time::timeout(HTTP_LINGER_TIMEOUT, discard(&connection)).await;
    }
}

/// Reads until the client closes. When the daemon stops, reads only the bytes that have arrived.
async fn discard(connection: &Connection) {
    let socket = &connection.socket;
    let mut space = [0; READ];
    while !connection.stop.is_cancelled() {
        let read = std::future::poll_fn(|cx| socket.poll_read(cx, &mut space));
        tokio::select! {
            read = read => if !matches!(read, Ok(1..)) { return },
            () = connection.stop.cancelled() => {}
        }
    }
    for _ in 0..MAX_DISCARDED / READ {
        if !matches!(socket.try_read(&mut space), Ok(Some(1..))) {
            return;
        }
    }
}

impl Io {
    /// Passes the bytes up to the end of a head to hyper, and keeps the others.
    fn hand_over(&mut self, bytes: &[u8], mut buf: ReadBufCursor<'_>) -> io::Result<()> {
        let count = match self.framing.advance(bytes) {
            Found::Head(count) => count,
            Found::Partial => bytes.len(),
            found => {
                self.refused = Some(found);
                return Err(io::ErrorKind::InvalidData.into());
            }
        };
        let (head, rest) = bytes.split_at(count);
        buf.put_slice(head);
        self.buffered.extend_from_slice(rest);
        self.connection.set_buffered(!self.buffered.is_empty());
        if self.framing.partial() && self.connection.stage() == Stage::Idle {
            self.connection.enter(Stage::Receiving);
        }
        Ok(())
    }
}

impl hyper::rt::Read for Io {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        match this.connection.stage() {
            Stage::Idle | Stage::Receiving => {}
            // Only the body of a request could be read now, and bodies are not accepted.
            Stage::Handling | Stage::Answering | Stage::Stalled | Stage::Lingering => return Poll::Pending,
        }
        if !this.buffered.is_empty() {
            let buffered = std::mem::take(&mut this.buffered);
            // hyper always has room for more than this buffer holds.
            let count = buffered.len().min(buf.remaining());
            return Poll::Ready(this.hand_over(&buffered[..count], buf));
        }
        let mut space = [0; READ];
        let room = READ.min(buf.remaining());
        let connection = &this.connection;
        let count = match connection.socket.poll_read(cx, &mut space[..room]) {
            Poll::Ready(count) => count?,
            Poll::Pending if connection.stop.is_cancelled() => {
                // If the kernel has no bytes either, the connection ends between two requests. The first request of
                // a new connection, such as all from the backlog, may still be on the way.
                match connection.socket.try_read(&mut space[..room])? {
                    Some(count) => count,
                    None if this.framing.partial() || connection.is_younger_than(HTTP_STOP_GRACE) => {
                        return Poll::Pending;
                    }
                    None => 0,
                }
            }
            Poll::Pending => return Poll::Pending,
        };
        Poll::Ready(this.hand_over(&space[..count], buf))
    }
}

impl hyper::rt::Write for Io {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let connection = &self.connection;
        let written = connection.socket.poll_write(cx, bytes);
        let next = match (connection.stage(), &written) {
            (Stage::Answering, Poll::Pending) => Some(Stage::Stalled),
            (Stage::Stalled, Poll::Ready(_)) => Some(Stage::Answering),
            _ => None,
        };
        next.map(|stage| connection.enter(stage));
        written
    }

    /// Called when hyper has written what it has taken.
    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.connection.stage() == Stage::Answering && self.connection.unsent() == 0 {
            self.connection.enter(Stage::Idle);
        }
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        // The answer to a refused head is still to be written.
        if self.refused.is_none() {
            self.connection.socket.close_write();
        }
        Poll::Ready(Ok(()))
    }
}
