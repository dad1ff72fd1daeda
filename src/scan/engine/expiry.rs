//! Deletes rows of scans that are older than `scan.job_retention_days`.

use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::base::timestamp::Timestamp;
use crate::library::jobs::history::{self, Expiry};
use crate::library::{self, Library, Retry};

/// Deletes what is older than `age`, a short transaction each.
pub(super) fn expire(
    library: &Library,
    age: Duration,
    stop: &CancellationToken,
) -> Result<usize, library::Error> {
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
