//! The scanner as an asynchronous task: the edge between tokio and the plain threads.

use std::sync::Arc;
use std::sync::mpsc::sync_channel;

use tokio::sync::{oneshot, watch};
use tokio_util::sync::CancellationToken;

use super::engine::Engine;
use super::schedule::Event;
use super::state::ScanState;
use super::{Error, Settings};
use crate::base::times::SCANNER_STOP_TIMEOUT;
use crate::library::Library;

/// Capacity of the queue to the engine's thread, which a locked database may delay. While it is full, the sending threads
/// wait. If inotify drops events meanwhile, the watch reports an overflow.
const BACKLOG: usize = 256;

/// Keeps a library up to date with its roots while [`Scanner::run`] runs.
#[derive(Clone, Debug)]
pub(crate) struct Scanner {
    library: Arc<Library>,
    settings: watch::Receiver<Settings>,
    published: watch::Sender<ScanState>,
}

impl Scanner {
    /// A scanner of `library`, which is open for writing. It follows changes of `settings`.
    #[must_use]
    pub(crate) fn new(library: Arc<Library>, settings: watch::Receiver<Settings>) -> Self {
        Self { library, settings, published: watch::Sender::default() }
    }

    /// Its state, published whenever it changes.
    #[must_use]
    pub(crate) fn state(&self) -> watch::Receiver<ScanState> {
        self.published.subscribe()
    }

    /// Scans, watches and answers requests until `stop`. Then ends within a second, also while a disk hangs.
    ///
    /// # Errors
    /// Its thread cannot be started, or has panicked.
    pub(crate) async fn run(mut self, stop: CancellationToken) -> Result<(), Error> {
        let (events, inbox) = sync_channel(BACKLOG);
        let (done, mut ended) = oneshot::channel::<()>();
        // Stops the threads of an earlier run.
        let own = stop.child_token();
        let _guard = own.clone().drop_guard();
        let (library, settings) = (Arc::clone(&self.library), self.settings.clone());
        let (token, sender, published) = (own.clone(), events.clone(), self.published.clone());
        // The engine reads its settings and its token after every event: if there is no room for one, others wake it.
        let wake = || drop(events.try_send(Event::Wake));
        std::thread::Builder::new()
            .name("scanner".into())
            .spawn(move || {
                Engine::new(library, token, sender).run(settings, &inbox, &published);
                let _ = done.send(());
            })
            .map_err(Error::Threads)?;
        loop {
            tokio::select! {
                () = stop.cancelled() => break,
                outcome = &mut ended => return outcome.map_err(|_| Error::Crashed),
                changed = self.settings.changed() => {
                    if changed.is_err() {
                        // They cannot change any more.
                        stop.cancelled().await;
                        break;
                    }
                    wake();
                }
            }
        }
        wake();
        if tokio::time::timeout(SCANNER_STOP_TIMEOUT, ended).await.is_err() {
            tracing::warn!("the scanner did not end in time; the process exits without it");
        }
        Ok(())
    }
}
