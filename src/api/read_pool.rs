//! Limits concurrent database reads of requests. Each read gets its own read-only connection on a blocking thread and is
//! interrupted after 3 s. So requests do not delay a health check or a scan.

use std::sync::Arc;

use tokio::sync::{Semaphore, oneshot};
use tokio::task::spawn_blocking;
use tokio::time::{Instant, timeout_at};
use tokio_util::sync::CancellationToken;

use hyper::body::Bytes;
use warp::reply::Response;

use super::answer::{self, Refusal};
use super::budget::{AnswerBudget, Size};
use super::gzip;
use crate::base::error;
use crate::base::times::API_REQUEST_TIMEOUT;
use crate::library::sqlite::{self, InterruptHandle, Transaction};
use crate::library::{Error, Fingerprint, Library, Retry};

/// Maximum number of concurrent reads.
const READERS: usize = 2;

/// The permits to read; clones share them.
#[derive(Clone, Debug)]
pub(crate) struct ReadPool {
    library: Arc<Library>,
    permits: Arc<Semaphore>,
    budget: AnswerBudget,
    /// Whether the client accepts gzip.
    gzip: bool,
}

/// Interrupts the query of a request whose client has gone or whose deadline has passed.
struct Reader {
    stop: CancellationToken,
    /// Receives the handle once the query begins; `None` when the query has ended.
    handle: Option<oneshot::Receiver<InterruptHandle>>,
}

impl Drop for Reader {
    fn drop(&mut self) {
        // In this order: the thread first sends its handle and then checks the token, so one of the two interrupts it.
        self.stop.cancel();
        if let Some(handle) = self.handle.as_mut().and_then(|handle| handle.try_recv().ok()) {
            handle.interrupt();
        }
    }
}

impl ReadPool {
    pub(super) fn new(library: Arc<Library>) -> Self {
        Self { library, permits: Arc::new(Semaphore::new(READERS)), budget: AnswerBudget::new(), gzip: false }
    }

    /// The same pool for a client that accepts gzip, or not.
    pub(super) fn with_gzip(self, gzip: bool) -> Self {
        Self { gzip, ..self }
    }

    /// The deadline of a new request.
    pub(crate) fn deadline() -> Instant {
        Instant::now() + API_REQUEST_TIMEOUT
    }

    /// The answer after the deadline.
    fn late() -> Refusal {
        Refusal::unavailable(format!("not answered within {API_REQUEST_TIMEOUT:?}; try again later"))
    }

    /// Answers with what `work` reads in one read transaction and `render` makes of it, both on one blocking thread.
    ///
    /// # Errors
    /// As [`Self::read`], and those of `render`.
    pub(super) async fn answer<T: Send + 'static>(
        &self,
        deadline: Instant,
        size: Size,
        work: impl FnMut(&Transaction<'_>) -> sqlite::Result<T> + Send + 'static,
        render: impl FnOnce(T) -> Result<Box<str>, Refusal> + Send + 'static,
    ) -> Result<Response, Refusal> {
        let (bytes, is_compressed) = self.text(deadline, size, work, render).await?;
        Ok(answer::ok(bytes, is_compressed))
    }

    /// As [`Self::answer`], but only the bytes, which are in use until they are dropped, and whether they are gzip.
    ///
    /// # Errors
    /// As [`Self::answer`].
    pub(crate) async fn text<T: Send + 'static>(
        &self,
        deadline: Instant,
        size: Size,
        work: impl FnMut(&Transaction<'_>) -> sqlite::Result<T> + Send + 'static,
        render: impl FnOnce(T) -> Result<Box<str>, Refusal> + Send + 'static,
    ) -> Result<(Bytes, bool), Refusal> {
        let gzip = self.gzip;
        self.bytes(deadline, size, work, move |read| Ok(encoded(render(read)?, gzip))).await
    }

    /// As [`Self::text`], but without gzip, and with what `render` returns besides.
    ///
    /// # Errors
    /// As [`Self::answer`].
    pub(super) async fn bytes<T: Send + 'static, U: Send + 'static>(
        &self,
        deadline: Instant,
        size: Size,
        work: impl FnMut(&Transaction<'_>) -> sqlite::Result<T> + Send + 'static,
        render: impl FnOnce(T) -> Result<(Box<[u8]>, U), Refusal> + Send + 'static,
    ) -> Result<(Bytes, U), Refusal> {
        let mut share = self.budget.reserve(size, deadline).await?;
        let finish = move |read| {
            let (text, besides) = render(read)?;
            share.fit(text.len());
            Ok((answer::counted(text, share), besides))
        };
        self.perform(deadline, work, finish).await
    }

    /// What `work` reads in one read transaction. The read is interrupted at the deadline, or when the client has closed the
    /// connection.
    ///
    /// # Errors
    /// If the database cannot be read in time.
    pub(crate) async fn read<T: Send + 'static>(
        &self,
        deadline: Instant,
        work: impl FnMut(&Transaction<'_>) -> sqlite::Result<T> + Send + 'static,
    ) -> Result<T, Refusal> {
        self.perform(deadline, work, Ok).await
    }

    async fn perform<T, U: Send + 'static>(
        &self,
        deadline: Instant,
        mut work: impl FnMut(&Transaction<'_>) -> sqlite::Result<T> + Send + 'static,
        finish: impl FnOnce(T) -> Result<U, Refusal> + Send + 'static,
    ) -> Result<U, Refusal> {
        let (sender, receiver) = oneshot::channel();
        let mut sender = Some(sender);
        let mut request = Reader { stop: CancellationToken::new(), handle: Some(receiver) };
        let stop = request.stop.clone();
        let outcome = self.run(deadline, move |library| {
            let read =
                library.read(Retry { timeout: Some(API_REQUEST_TIMEOUT), ..Retry::new(&stop) }, |tx| {
                    if let Some(sender) = sender.take() {
                        let _ = sender.send(tx.get_interrupt_handle());
                    }
                    if stop.is_cancelled() {
                        // The request has ended, so the kind of error does not matter.
                        return Err(sqlite::interrupted());
                    }
                    work(tx)
                });
            finish(read.map_err(|error| refusal(&error))?)
        });
        let outcome = outcome.await?;
        request.handle = None;
        outcome
    }

    /// As [`Self::text`], without the database.
    ///
    /// # Errors
    /// If it is not ready in time, and those of `render`.
    pub(crate) async fn render(
        &self,
        deadline: Instant,
        size: Size,
        render: impl FnOnce() -> Result<Box<str>, Refusal> + Send + 'static,
    ) -> Result<(Bytes, bool), Refusal> {
        let mut share = self.budget.reserve(size, deadline).await?;
        let gzip = self.gzip;
        let rendered = self.run(deadline, move |_| {
            let (text, is_compressed) = encoded(render()?, gzip);
            share.fit(text.len());
            Ok((answer::counted(text, share), is_compressed))
        });
        rendered.await?
    }

    /// Generation and fingerprint of the library, which change with its content. Reads the disk, so it needs a permit.
    pub(super) async fn state(&self, deadline: Instant) -> Result<(u64, Option<Fingerprint>), Refusal> {
        self.run(deadline, |library| (library.generation(), library.fingerprint())).await
    }

    /// The library, for work outside of requests.
    pub(super) fn library(&self) -> Arc<Library> {
        Arc::clone(&self.library)
    }

    /// Waits for a permit, then runs the blocking `work` on a thread. A hung disk blocks at most as many threads as there are
    /// permits.
    async fn run<T: Send + 'static>(
        &self,
        deadline: Instant,
        work: impl FnOnce(&Library) -> T + Send + 'static,
    ) -> Result<T, Refusal> {
        let late = |_| Self::late();
        let permit = timeout_at(deadline, Arc::clone(&self.permits).acquire_owned())
            .await
            .map_err(late)?
            .map_err(|_| Refusal::unavailable("the daemon is stopping".to_owned()))?;
        let library = Arc::clone(&self.library);
        let running = spawn_blocking(move || {
            // The permit is returned when the thread ends, not when the request does.
            let _permit = permit;
            work(&library)
        });
        timeout_at(deadline, running).await.map_err(late)?.map_err(|_| {
            Refusal::unavailable("reading the database crashed; please report this bug".to_owned())
        })
    }
}

/// A text as gzip, if that is wanted and worthwhile, or as it is; and whether it is gzip.
fn encoded(text: Box<str>, gzip: bool) -> (Box<[u8]>, bool) {
    match gzip.then(|| gzip::compressed(&text)).flatten() {
        Some(compressed) => (compressed.into(), true),
        None => (text.into_boxed_bytes(), false),
    }
}

fn refusal(error: &Error) -> Refusal {
    Refusal::unavailable(reason(error))
}

/// Why the database cannot be read, in one line.
pub(super) fn reason(error: &Error) -> String {
    // Deeper causes, from `rusqlite`, repeat the text.
    error::join(error::causes(error).take(2))
}
