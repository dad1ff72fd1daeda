//! The body of an answer, handed to hyper in pieces: hyper copies what it gets into a buffer that stays with the connection,
//! and asks for more only while less than a request's head is in it.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use hyper::body::{Body, Bytes, Frame, SizeHint};

use super::state::Connection;

/// Most bytes of one piece.
const PIECE: usize = 8 * 1024;

/// A body in pieces.
pub(super) struct Pieces<B> {
    body: B,
    /// What of it is not handed over yet.
    rest: Bytes,
    /// Of a large answer: it counts what is not handed over.
    connection: Option<Arc<Connection>>,
    /// Whether the length is not known before the end.
    is_stream: bool,
}

impl<B: Body> Pieces<B> {
    pub(super) fn new(body: B, connection: &Arc<Connection>) -> Self {
        let bytes = usize::try_from(body.size_hint().lower()).unwrap_or(usize::MAX);
        let is_stream = body.size_hint().exact().is_none();
        let counted = bytes > PIECE || is_stream;
        if counted {
            connection.set_unsent(bytes.max(1));
        }
        Self { body, rest: Bytes::new(), connection: counted.then(|| Arc::clone(connection)), is_stream }
    }
}

impl<B> Drop for Pieces<B> {
    fn drop(&mut self) {
        if let Some(connection) = &self.connection {
            connection.set_unsent(0);
        }
    }
}

impl<B: Body<Data = Bytes> + Unpin> Body for Pieces<B> {
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        if self.rest.is_empty() {
            match ready!(Pin::new(&mut self.body).poll_frame(cx)) {
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(data) => {
                        self.rest = data;
                        if let (true, Some(connection)) = (self.is_stream, &self.connection) {
                            connection.begin_part();
                        }
                    }
                    Err(frame) => return Poll::Ready(Some(Ok(frame))),
                },
                end => {
                    if let Some(connection) = &self.connection {
                        connection.set_unsent(0);
                    }
                    return Poll::Ready(end);
                }
            }
        }
        let count = self.rest.len().min(PIECE);
        let piece = self.rest.split_to(count);
        if let Some(connection) = &self.connection {
            // A stream is unsent until its end is known.
            connection.set_unsent(self.rest.len().max(usize::from(self.is_stream)));
        }
        Poll::Ready(Some(Ok(Frame::data(piece))))
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_empty() && self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        let mut hint = self.body.size_hint();
        let rest = self.rest.len() as u64;
        hint.set_lower(hint.lower().saturating_add(rest));
        if let Some(upper) = hint.upper() {
            hint.set_upper(upper.saturating_add(rest));
        }
        hint
    }
}
