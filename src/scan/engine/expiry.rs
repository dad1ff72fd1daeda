//! Deletes rows of scans that are older than `scan.job_retention_days`, and changes that are older than
//! `scan.history_days`.

use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::base::timestamp::Timestamp;
use crate::library::jobs::history::{self, Expiry};
use crate::library::{self, Library, Retry, changes, subtitles};
use crate::scan::Retention;

/// Deletes what is old, a short transaction each. Returns the number of rows of scans.
pub(super) fn expire(
    library: &Library,
    retention: Retention,
    stop: &CancellationToken,
) -> Result<usize, library::Error> {
    expire_changes(library, retention.changes, stop)?;
    retention.jobs.map_or(Ok(0), |age| expire_jobs(library, age, stop))
}

fn expire_changes(
    library: &Library,
    age: Option<Duration>,
    stop: &CancellationToken,
) -> Result<(), library::Error> {
    let generation = library.generation();
    loop {
        let retry = Retry::new(stop).for_generation(generation);
        let (_, may_be_more) = library.write(retry, |tx| changes::expire(tx, Timestamp::now(), age))?;
        if !may_be_more {
            return library.write(retry, |tx| subtitles::delete_orphans(tx));
        }
    }
}

fn expire_jobs(library: &Library, age: Duration, stop: &CancellationToken) -> Result<usize, library::Error> {
    let retry = Retry::new(stop);
    let (generation, now) = (library.generation(), Timestamp::now());
    let (mut expiry, mut deleted) = (Expiry::new(), 0);
    loop {
        let (next, expired, is_last) = library.read(retry, |tx| {
            // A read may be repeated.
            let mut next = expiry.clone();
            let (expired, is_last) = next.step(tx, now, age)?;
            Ok((next, expired, is_last))
        })?;
        expiry = next;
        // Ids found in one library must not be deleted in another.
        if stop.is_cancelled() || library.generation() != generation {
            return Err(library::Error::Cancelled);
        }
        if !expired.is_empty() {
            deleted += library.write(retry, |tx| history::delete(tx, &expired))?;
        }
        if is_last {
            return Ok(deleted);
        }
    }
}
