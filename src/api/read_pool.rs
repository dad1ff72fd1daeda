//! Limits the database reads of requests: a few at a time, each on its own read-only connection and a blocking thread,
//! and interrupted after a few seconds. So no request delays a health check or a scan.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{Semaphore, oneshot};
use tokio::task::spawn_blocking;
use tokio::time::{Instant, timeout_at};
use tokio_util::sync::CancellationToken;

use super::answer::Refusal;
use crate::base::error;
use crate::base::times::{API_REQUEST_TIMEOUT, API_STALLED_AFTER};
use crate::library::sqlite::{self, InterruptHandle, Transaction};
use crate::library::{Error, Fingerprint, Library, Retry};

/// Requests that read at once.
const READERS: usize = 2;

/// Requests that wait for a permit. Further ones are refused if no permit was granted or returned for [`API_STALLED_AFTER`]: on
/// a disk that hangs they would wait in vain, and hold a connection each.
const WAITING: usize = 32;

/// The readers of the library; clones share them.
#[derive(Clone, Debug)]
pub(super) struct ReadPool {
    library: Arc<Library>,
    permits: Arc<Semaphore>,
    waiting: Arc<Semaphore>,
    /// When a permit was last granted or returned.
    moved: Arc<Mutex<Instant>>,
}

/// Interrupts the query of a request whose client has gone or whose deadline has passed.
struct Reader {
    stop: CancellationToken,
    /// Gives the handle once the query begins; `None` when it is done and nothing is left to interrupt.
    handle: Option<oneshot::Receiver<InterruptHandle>>,
}

impl Drop for Reader {
    fn drop(&mut self) {
        // In this order: the thread sends its handle first and then looks at the token, so one of the two ends it.
        self.stop.cancel();
        if let Some(handle) = self.handle.as_mut().and_then(|handle| handle.try_recv().ok()) {
            handle.interrupt();
        }
    }
}

impl ReadPool {
    pub(super) fn new(library: Arc<Library>) -> Self {
        Self {
            library,
            permits: Arc::new(Semaphore::new(READERS)),
            waiting: Arc::new(Semaphore::new(WAITING)),
            moved: Arc::new(Mutex::new(Instant::now())),
        }
    }

    /// Until when a request that has just come may wait and read.
    pub(super) fn deadline() -> Instant {
        Instant::now() + API_REQUEST_TIMEOUT
    }

    /// The answer after the deadline.
    fn late() -> Refusal {
        Refusal::unavailable(format!("not answered within {API_REQUEST_TIMEOUT:?}; try again later"))
    }

    /// The answer when enough requests wait already.
    fn crowded() -> Refusal {
        Refusal::unavailable(format!(
            "{WAITING} requests or more wait for the library, and none gets its turn: its disk is slow or hangs"
        ))
    }

    /// Runs `work` in one read transaction. When it takes too long, or the client has gone, it is interrupted.
    pub(super) async fn read<T: Send + 'static>(
        &self,
        work: impl FnMut(&Transaction<'_>) -> sqlite::Result<T> + Send + 'static,
    ) -> Result<T, Refusal> {
        self.read_by(Self::deadline(), work).await
    }

    /// As [`Self::read`], for a request that has waited for something else already.
    pub(super) async fn read_by<T: Send + 'static>(
        &self,
        deadline: Instant,
        mut work: impl FnMut(&Transaction<'_>) -> sqlite::Result<T> + Send + 'static,
    ) -> Result<T, Refusal> {
        let (tell, told) = oneshot::channel();
        let mut tell = Some(tell);
        let mut reader = Reader { stop: CancellationToken::new(), handle: Some(told) };
        let stop = reader.stop.clone();
        let outcome = self.run(deadline, move |library| {
            library.read(Retry { timeout: Some(API_REQUEST_TIMEOUT), ..Retry::new(&stop) }, |tx| {
                if let Some(tell) = tell.take() {
                    let _ = tell.send(tx.get_interrupt_handle());
                }
                if stop.is_cancelled() {
                    // Nobody waits any more, so nobody sees which error it is.
                    return Err(sqlite::interrupted());
                }
                work(tx)
            })
        });
        let outcome = outcome.await?;
        reader.handle = None;
        outcome.map_err(|error| refusal(&error))
    }

    /// What distinguishes one state of the library from another: its generation and its fingerprint. Reads the disk, and so
    /// needs a permit too.
    pub(super) async fn state(&self, deadline: Instant) -> Result<(u64, Option<Fingerprint>), Refusal> {
        self.run(deadline, |library| (library.generation(), library.fingerprint())).await
    }

    /// The library, for work that is no request's.
    pub(super) fn library(&self) -> Arc<Library> {
        Arc::clone(&self.library)
    }

    /// Runs `work`, which may block, on a thread of its own, as soon as it gets a permit. A disk that hangs holds no more
    /// threads than there are permits.
    async fn run<T: Send + 'static>(
        &self,
        deadline: Instant,
        work: impl FnOnce(&Library) -> T + Send + 'static,
    ) -> Result<T, Refusal> {
        let late = |_| Self::late();
        let waiting = self.waiting.try_acquire();
        if waiting.is_err() && lock(&self.moved).elapsed() > API_STALLED_AFTER {
            return Err(Self::crowded());
        }
        let permit = timeout_at(deadline, Arc::clone(&self.permits).acquire_owned())
            .await
            .map_err(late)?
            .map_err(|_| Refusal::unavailable("the daemon is stopping".to_owned()))?;
        drop(waiting);
        *lock(&self.moved) = Instant::now();
        let (library, moved) = (Arc::clone(&self.library), Arc::clone(&self.moved));
        let running = spawn_blocking(move || {
            // The permit is returned when the thread ends, not when the client gives up.
            let _permit = permit;
            let value = work(&library);
            *lock(&moved) = Instant::now();
            value
        });
        timeout_at(deadline, running).await.map_err(late)?.map_err(|_| {
            Refusal::unavailable("reading the library failed inside vpo; please report this".to_owned())
        })
    }
}

fn lock(moved: &Mutex<Instant>) -> MutexGuard<'_, Instant> {
    moved.lock().unwrap_or_else(PoisonError::into_inner)
}

fn refusal(error: &Error) -> Refusal {
    Refusal::unavailable(reason(error))
}

/// Why the library cannot be read, in one line.
pub(super) fn reason(error: &Error) -> String {
    // Further down, `rusqlite` says the same once more, with a number.
    error::join(error::causes(error).take(2))
}
