//! Shows the totals of the library. Counting reads all rows, which takes seconds at a million files. So a request does
//! not count. If the library has changed since the last count, the request starts a thread that counts, and shows the
//! last count with its age. Without requests nothing is counted.

use std::fmt;
use std::sync::Arc;
use std::time::Instant;

use serde::Serialize;
use tokio::sync::watch;
use tokio::time::{Instant as Deadline, timeout_at};
use tokio_util::sync::CancellationToken;
use warp::reply::Response;

use super::Root;
use super::answer::{self, Refusal};
use super::budget::Size;
use super::query::{self, Parameters};
use super::read_pool::{ReadPool, reason};
use crate::base::error::plain;
use crate::base::times::{API_COUNT_RETRY_INTERVAL, API_COUNT_TIMEOUT};
use crate::library::files::statistics::{Group, Totals};
use crate::library::jobs::listing::{self as jobs, Job};
use crate::library::totals::{self, Count};
use crate::library::{Fingerprint, Library, SCHEMA_VERSION};

/// Pause after a count, as a multiple of its duration. Counting then takes at most a fifth of a core.
const PAUSE_FACTOR: u32 = 4;

/// Number of the last scans that are shown.
const SCANS: u32 = 10;

/// Keeps the last count.
pub(crate) struct Overviews {
    pool: ReadPool,
    roots: Box<dyn Fn() -> Vec<Root> + Send + Sync>,
    state: watch::Sender<State>,
}

#[derive(Clone, Debug, Default)]
struct State {
    /// When the count in progress began.
    counting: Option<Instant>,
    /// When the next count may begin.
    next: Option<Instant>,
    /// The last count.
    kept: Option<Kept>,
    /// Generation and reason of a later count that failed.
    failed: Option<(u64, String)>,
}

/// A count that has ended.
#[derive(Clone, Debug)]
pub(crate) struct Kept {
    generation: u64,
    of: Option<Fingerprint>,
    began: Instant,
    pub(crate) totals: Arc<Totals>,
}

#[derive(Serialize)]
struct Answer<'a> {
    schema_version: u32,
    files: Option<u64>,
    bytes: Option<u64>,
    statuses: Option<&'a [Group]>,
    containers: Option<&'a [Group]>,
    codecs: Option<&'a [Group]>,
    languages: Option<&'a [Group]>,
    resolutions: Option<&'a [Group]>,
    roots: Vec<Root>,
    scans: &'a [Job],
    /// Seconds since the count began.
    age_seconds: Option<f64>,
    /// Whether nothing was written since the count began.
    current: bool,
}

impl fmt::Debug for Overviews {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Overviews").finish_non_exhaustive()
    }
}

impl Overviews {
    pub(super) fn new(pool: ReadPool, roots: impl Fn() -> Vec<Root> + Send + Sync + 'static) -> Self {
        Self { pool, roots: Box::new(roots), state: watch::Sender::default() }
    }

    pub(super) async fn show(self: Arc<Self>, parameters: Parameters) -> Result<Response, Refusal> {
        query::none(&parameters)?;
        let deadline = ReadPool::deadline();
        let (kept, is_current) = self.last(deadline).await?;
        let roots = (self.roots)();
        let render = move |scans: Vec<Job>| {
            let overview = kept.as_ref().map(|kept| &kept.totals.overview);
            answer::json(&Answer {
                schema_version: SCHEMA_VERSION,
                files: overview.map(|overview| overview.files),
                bytes: overview.map(|overview| overview.bytes),
                statuses: overview.map(|overview| &*overview.statuses),
                containers: overview.map(|overview| &*overview.containers),
                codecs: overview.map(|overview| &*overview.codecs),
                languages: overview.map(|overview| &*overview.languages),
                resolutions: overview.map(|overview| &*overview.resolutions),
                roots,
                scans: &scans,
                age_seconds: kept.as_ref().map(|kept| kept.began.elapsed().as_secs_f64()),
                current: is_current,
            })
        };
        self.pool.answer(deadline, Size::Whole, |tx| jobs::scans(tx, SCANS), render).await
    }

    /// The last count of the present content, if there is one, and whether nothing was written since it began. Starts a count if
    /// one is due, and waits for it, but not for long.
    pub(crate) async fn last(self: &Arc<Self>, deadline: Deadline) -> Result<(Option<Kept>, bool), Refusal> {
        let (generation, now) = self.pool.state(deadline).await?;
        self.count_if_due(generation, now);
        let mut state = self.state.subscribe();
        let since = state.borrow().counting;
        if let Some(since) = since {
            let _ = timeout_at(
                (since + API_COUNT_TIMEOUT).into(),
                state.wait_for(|state| state.counting.is_none()),
            )
            .await;
        }
        let State { kept, failed, .. } = state.borrow().clone();
        // Results of another generation belong to other content.
        if let Some((_, reason)) = failed.filter(|(of, _)| *of == generation) {
            return Err(Refusal::unavailable(reason));
        }
        let kept = kept.filter(|kept| kept.generation == generation);
        let is_current = kept.as_ref().is_some_and(|kept| kept.is_of(now));
        Ok((kept, is_current))
    }

    /// The last count of the content of that generation, if there is one. From memory.
    pub(crate) fn kept(&self, generation: u64) -> Option<Arc<Totals>> {
        let state = self.state.borrow();
        state.kept.as_ref().filter(|kept| kept.generation == generation).map(|kept| Arc::clone(&kept.totals))
    }

    /// Starts a count, unless the last one is current or the pause has not ended.
    fn count_if_due(self: &Arc<Self>, generation: u64, now: Option<Fingerprint>) {
        let begins = self.state.send_if_modified(|state| {
            let is_due = state.is_due(generation, now);
            if is_due {
                (state.counting, state.failed) = (Some(Instant::now()), None);
            }
            is_due
        });
        if !begins {
            return;
        }
        let (counting, library) = (Counting { of: Arc::clone(self), generation }, self.pool.library());
        let thread = std::thread::Builder::new().name("count".into()).spawn(move || {
            // On Linux this sets the nice value of the thread.
            let _ = rustix::process::nice(10);
            counting.run(&library);
        });
        if let Err(error) = thread {
            let reason = format!("cannot start the thread that counts: {}", plain(error));
            self.state.send_modify(|state| state.fail(generation, reason));
        }
    }
}

/// A count in progress. Its end is recorded also after a panic.
struct Counting {
    of: Arc<Overviews>,
    generation: u64,
}

impl Counting {
    /// Counts. Closing the library cancels it.
    fn run(&self, library: &Library) {
        let roots = (self.of.roots)().into_iter().map(|root| root.path.to_string_lossy().into_owned());
        let outcome = totals::count(library, &roots.collect::<Vec<_>>(), &CancellationToken::new());
        self.of.state.send_modify(|state| match outcome {
            Ok(count) => state.keep(count),
            Err(error) => state.fail(self.generation, reason(&error)),
        });
    }
}

impl Drop for Counting {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let reason = "counting crashed; please report this bug".to_owned();
            self.of.state.send_modify(|state| state.fail(self.generation, reason));
        }
    }
}

impl State {
    fn is_due(&self, generation: u64, now: Option<Fingerprint>) -> bool {
        if self.counting.is_some() {
            return false;
        }
        let has_failed = self.failed.as_ref().is_some_and(|(of, _)| *of == generation);
        match self.kept.as_ref().filter(|kept| kept.generation == generation) {
            None if !has_failed => true,
            Some(kept) if !has_failed && kept.is_of(now) => false,
            _ => self.next.is_none_or(|next| next <= Instant::now()),
        }
    }

    fn keep(&mut self, count: Count) {
        let Count { tally, generation, of, began } = count;
        let next = Some(Instant::now() + began.elapsed() * PAUSE_FACTOR);
        let kept = Some(Kept { generation, of, began, totals: Arc::new(tally.totals()) });
        *self = Self { counting: None, next, kept, failed: None };
    }

    fn fail(&mut self, generation: u64, reason: String) {
        self.counting = None;
        self.next = Some(Instant::now() + API_COUNT_RETRY_INTERVAL);
        self.failed = Some((generation, reason));
    }
}

impl Kept {
    /// Whether nothing was written since the count began.
    fn is_of(&self, now: Option<Fingerprint>) -> bool {
        self.of.is_some() && self.of == now
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn counts_pause_in_proportion_to_their_duration_unless_the_content_is_other() {
        let minute = Duration::from_secs(60);
        let ago = |time: Duration| Instant::now().checked_sub(time).expect("the machine is up for longer");
        let kept = |began| Kept { generation: 1, of: None, began, totals: Arc::default() };
        assert!(State::default().is_due(1, None), "the first");
        let mut state = State { kept: Some(kept(ago(Duration::ZERO))), ..State::default() };
        state.next = Some(Instant::now() + minute);
        assert!(!state.is_due(1, None), "too soon");
        assert!(state.is_due(2, None), "another library");
        state.next = Some(ago(Duration::ZERO));
        assert!(state.is_due(1, None), "it was written to meanwhile");
        state.counting = Some(Instant::now());
        assert!(!state.is_due(1, None) && !state.is_due(2, None), "one at a time");
        state.fail(2, "damaged".to_owned());
        assert!(!state.is_due(2, None), "not at once after a failure");
        state.next = Some(ago(Duration::ZERO));
        assert!(state.is_due(2, None), "but again");
    }
}
