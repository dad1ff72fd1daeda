//! What the library holds as a whole. Counting reads all of it, so one request counts for all, and the answer
//! is kept for as long as the library's files are as they were.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde::Serialize;
use tokio::sync::Mutex;
use tokio::time::timeout_at;
use warp::reply::Response;

use super::Root;
use super::answer::{self, Refusal};
use super::desk::Desk;
use super::query::{self, Parameters};
use crate::library::files::statistics::{self, Overview};
use crate::library::jobs::listing::{self as jobs, Job};
use crate::library::{Fingerprint, SCHEMA_VERSION};

/// While a scan writes, the library changes every second: an answer this old is as good.
const FRESH: Duration = Duration::from_secs(5);

/// Last scans that are shown.
const SCANS: u32 = 10;

/// Keeps the last count.
pub(super) struct Overviews {
    desk: Desk,
    roots: Box<dyn Fn() -> Vec<Root> + Send + Sync>,
    /// Held while counting: who comes then waits for that count.
    kept: Mutex<Option<Kept>>,
}

struct Kept {
    of: Option<Fingerprint>,
    at: Instant,
    overview: Arc<Overview>,
    scans: Arc<Vec<Job>>,
}

#[derive(Serialize)]
struct Answer<'a> {
    schema_version: u32,
    #[serde(flatten)]
    overview: &'a Overview,
    roots: Vec<Root>,
    scans: &'a [Job],
    /// Seconds since the library was counted.
    age_seconds: f64,
}

impl fmt::Debug for Overviews {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Overviews").finish_non_exhaustive()
    }
}

impl Overviews {
    pub(super) fn new(desk: Desk, roots: impl Fn() -> Vec<Root> + Send + Sync + 'static) -> Self {
        Self { desk, roots: Box::new(roots), kept: Mutex::new(None) }
    }

    pub(super) async fn show(self: Arc<Self>, parameters: Parameters) -> Result<Response, Refusal> {
        query::none(&parameters)?;
        // One deadline for all of it: where the count does not come to an end, those who wait must not each begin a
        // count of their own, one after the other.
        let deadline = Desk::deadline();
        let mut kept = timeout_at(deadline, self.kept.lock()).await.map_err(|_| Desk::late())?;
        let now = self.desk.fingerprint(deadline).await?;
        let is_good = |kept: &Kept| now.is_some() && (kept.of == now || kept.at.elapsed() < FRESH);
        let answer = if let Some(good) = kept.take().filter(is_good) {
            good
        } else {
            self.count(now, deadline).await?
        };
        let (overview, scans, at) = (Arc::clone(&answer.overview), Arc::clone(&answer.scans), answer.at);
        *kept = Some(answer);
        drop(kept);
        answer::json(Answer {
            schema_version: SCHEMA_VERSION,
            overview: &overview,
            roots: (self.roots)(),
            scans: &scans,
            age_seconds: at.elapsed().as_secs_f64(),
        })
    }

    async fn count(&self, now: Option<Fingerprint>, deadline: tokio::time::Instant) -> Result<Kept, Refusal> {
        let count =
            self.desk.read_by(deadline, move |tx| Ok((statistics::overview(tx)?, jobs::scans(tx, SCANS)?)));
        let (overview, scans) = count.await?;
        Ok(Kept { of: now, at: Instant::now(), overview: Arc::new(overview), scans: Arc::new(scans) })
    }
}
