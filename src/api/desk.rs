//! Where requests read the library: a few at a time, each on a connection of its own that only reads, on a
//! thread that may block, and none for long. So no request keeps a probe or a scan waiting.

use std::sync::Arc;
use std::time::Duration;

use rusqlite::{InterruptHandle, Transaction};
use tokio::sync::{Semaphore, oneshot};
use tokio::task::spawn_blocking;
use tokio::time::{Instant, timeout_at};
use tokio_util::sync::CancellationToken;

use super::answer::Refusal;
use crate::library::{Error, Library, Patience};

/// Requests that read at once; the others wait for their turn.
const READERS: usize = 2;

/// How long a request may wait and read, both together.
const LIMIT: Duration = Duration::from_secs(3);

/// The desk; clones share it.
#[derive(Clone, Debug)]
pub(super) struct Desk {
    library: Arc<Library>,
    places: Arc<Semaphore>,
}

/// Ends the query of a request that nobody waits for any more.
struct Reader {
    stop: CancellationToken,
    handle: Option<InterruptHandle>,
}

impl Drop for Reader {
    fn drop(&mut self) {
        self.stop.cancel();
        if let Some(handle) = &self.handle {
            handle.interrupt();
        }
    }
}

impl Desk {
    pub(super) fn new(library: Arc<Library>) -> Self {
        Self { library, places: Arc::new(Semaphore::new(READERS)) }
    }

    /// Until when a request that has just come may wait and read.
    pub(super) fn deadline() -> Instant {
        Instant::now() + LIMIT
    }

    /// What a request is told whose deadline has come.
    pub(super) fn late() -> Refusal {
        Refusal::unavailable(format!("not answered within {LIMIT:?}; try again later"))
    }

    /// Runs `work` in one read transaction. When it takes too long, or the client has gone, it is interrupted.
    pub(super) async fn read<T: Send + 'static>(
        &self,
        work: impl FnMut(&Transaction<'_>) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T, Refusal> {
        self.read_by(Self::deadline(), work).await
    }

    /// As [`Self::read`], for a request that has waited for something else already.
    pub(super) async fn read_by<T: Send + 'static>(
        &self,
        deadline: Instant,
        mut work: impl FnMut(&Transaction<'_>) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T, Refusal> {
        let late = |_| Self::late();
        let place = timeout_at(deadline, Arc::clone(&self.places).acquire_owned())
            .await
            .map_err(late)?
            .map_err(|_| Refusal::unavailable("the daemon is stopping".to_owned()))?;
        let mut reader = Reader { stop: CancellationToken::new(), handle: None };
        let (library, stop) = (Arc::clone(&self.library), reader.stop.clone());
        let (tell, told) = oneshot::channel();
        let mut tell = Some(tell);
        let running = spawn_blocking(move || {
            // The place is free again when the thread is, not when the client gives up.
            let _place = place;
            let cancelled = || stop.is_cancelled();
            library.read(Patience { limit: Some(LIMIT), cancelled: &cancelled }, |tx| {
                if let Some(tell) = tell.take() {
                    let _ = tell.send(tx.get_interrupt_handle());
                }
                if stop.is_cancelled() {
                    return Err(rusqlite::Error::InvalidQuery);
                }
                work(tx)
            })
        });
        let outcome = timeout_at(deadline, async {
            reader.handle = told.await.ok();
            running.await
        })
        .await
        .map_err(late)?;
        // It is done: nothing is left to interrupt.
        reader.handle = None;
        match outcome {
            Ok(Ok(value)) => Ok(value),
            Ok(Err(error)) => Err(refusal(&error)),
            Err(_) => Err(Refusal::unavailable(
                "reading the library failed inside vpo; please report this".to_owned(),
            )),
        }
    }

    /// The library itself.
    pub(super) fn library(&self) -> &Library {
        &self.library
    }
}

fn refusal(error: &Error) -> Refusal {
    let mut text = error.to_string();
    if let Some(source) = std::error::Error::source(error) {
        text = format!("{text}: {source}");
    }
    Refusal::unavailable(text)
}
