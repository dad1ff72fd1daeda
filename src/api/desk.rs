//! Where requests read the library: a few at a time, each on a connection of its own that only reads, on a
//! thread that may block, and none for long. So no request keeps a probe or a scan waiting.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{Semaphore, oneshot};
use tokio::task::spawn_blocking;
use tokio::time::{Instant, timeout_at};
use tokio_util::sync::CancellationToken;

use super::answer::Refusal;
use crate::base::error;
use crate::library::sqlite::{self, InterruptHandle, Transaction};
use crate::library::{Error, Fingerprint, Library, Patience};

/// Requests that read at once.
const READERS: usize = 2;

/// From this many on, requests do not wait for a turn where there has been none for [`STANDSTILL`]: on a disk that hangs
/// they would only wait in vain, and hold a connection each.
const WAITING: usize = 32;

/// On a healthy disk a turn takes milliseconds.
const STANDSTILL: Duration = Duration::from_millis(100);

/// How long a request may wait and read, both together.
const LIMIT: Duration = Duration::from_secs(3);

/// The desk; clones share it.
#[derive(Clone, Debug)]
pub(super) struct Desk {
    library: Arc<Library>,
    places: Arc<Semaphore>,
    queue: Arc<Queue>,
}

/// Those who wait for a place.
#[derive(Debug)]
struct Queue {
    waiting: AtomicUsize,
    /// When a place was last taken or given back.
    moved: Mutex<Instant>,
}

impl Queue {
    fn new() -> Self {
        Self { waiting: AtomicUsize::new(0), moved: Mutex::new(Instant::now()) }
    }

    /// Stands in the queue until the result is dropped; `None` where it is long and does not move.
    fn join(&self) -> Option<Waiting<'_>> {
        let stands_still =
            || self.moved.lock().unwrap_or_else(PoisonError::into_inner).elapsed() > STANDSTILL;
        if self.waiting.load(Ordering::Relaxed) >= WAITING && stands_still() {
            return None;
        }
        self.waiting.fetch_add(1, Ordering::Relaxed);
        Some(Waiting(self))
    }

    fn moves(&self) {
        *self.moved.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
    }
}

struct Waiting<'a>(&'a Queue);

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.waiting.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Ends the query of a request that nobody waits for any more.
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

impl Desk {
    pub(super) fn new(library: Arc<Library>) -> Self {
        Self { library, places: Arc::new(Semaphore::new(READERS)), queue: Arc::new(Queue::new()) }
    }

    /// Until when a request that has just come may wait and read.
    pub(super) fn deadline() -> Instant {
        Instant::now() + LIMIT
    }

    /// What a request is told whose deadline has come.
    fn late() -> Refusal {
        Refusal::unavailable(format!("not answered within {LIMIT:?}; try again later"))
    }

    /// What a request is told when enough wait already.
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
            let cancelled = || stop.is_cancelled();
            library.read(Patience { limit: Some(LIMIT), cancelled: &cancelled, generation: None }, |tx| {
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

    /// What tells one state of the library from another: its generation and its fingerprint. Asks the disk and so takes
    /// a place, too.
    pub(super) async fn state(&self, deadline: Instant) -> Result<(u64, Option<Fingerprint>), Refusal> {
        self.run(deadline, |library| (library.generation(), library.fingerprint())).await
    }

    /// The library, for work that is no request's.
    pub(super) fn library(&self) -> Arc<Library> {
        Arc::clone(&self.library)
    }

    /// Runs `work`, which may block, on a thread of its own, as soon as there is a place for it. A disk that hangs
    /// holds no more threads than there are places.
    async fn run<T: Send + 'static>(
        &self,
        deadline: Instant,
        work: impl FnOnce(&Library) -> T + Send + 'static,
    ) -> Result<T, Refusal> {
        let late = |_| Self::late();
        let waiting = self.queue.join().ok_or_else(Self::crowded)?;
        let place = timeout_at(deadline, Arc::clone(&self.places).acquire_owned())
            .await
            .map_err(late)?
            .map_err(|_| Refusal::unavailable("the daemon is stopping".to_owned()))?;
        drop(waiting);
        self.queue.moves();
        let (library, queue) = (Arc::clone(&self.library), Arc::clone(&self.queue));
        let running = spawn_blocking(move || {
            // The place is free again when the thread is, not when the client gives up.
            let _place = place;
            let value = work(&library);
            queue.moves();
            value
        });
        timeout_at(deadline, running).await.map_err(late)?.map_err(|_| {
            Refusal::unavailable("reading the library failed inside vpo; please report this".to_owned())
        })
    }
}

fn refusal(error: &Error) -> Refusal {
    Refusal::unavailable(reason(error))
}

/// Why the library cannot be read, in one line.
pub(super) fn reason(error: &Error) -> String {
    // Further down, `rusqlite` says the same once more, with a number.
    error::join(error::causes(error).take(2))
}
