//! Counts the whole library while it may be written to.
//!
//! Each slice is a read of its own, because a read blocks writers. A commit between two slices is counted in part;
//! [`Count::of`] shows whether there was one.

use std::time::Instant;

use tokio_util::sync::CancellationToken;

use super::files::statistics::Tally;
use super::{Error, Fingerprint, Library, Retry};
use crate::base::times::{COUNT_BUSY_TIMEOUT, COUNT_READ_INTERVAL, COUNT_READ_TIME};

/// A count of the whole library.
#[derive(Debug)]
pub struct Count {
    /// What was counted.
    pub tally: Tally,
    /// [`Library::generation`] all the while.
    pub generation: u64,
    /// [`Library::fingerprint`] all the while; `None` where something was written meanwhile, so that the figures may
    /// belong to no one moment.
    pub of: Option<Fingerprint>,
    /// When it began.
    pub began: Instant,
}

/// Counts to the end, with totals for each of `roots`. Starts again if other content is adopted.
///
/// # Errors
/// As [`Library::read`], but for [`Error::Busy`]: it waits for a locked library until `cancel`.
pub fn count(library: &Library, roots: &[String], cancel: &CancellationToken) -> Result<Count, Error> {
    let retry = Retry { timeout: Some(COUNT_BUSY_TIMEOUT), ..Retry::new(cancel) };
    'anew: loop {
        let (generation, before, began) = (library.generation(), library.fingerprint(), Instant::now());
        let mut tally = Tally::new(roots);
        loop {
            if cancel.is_cancelled() {
                return Err(Error::Cancelled);
            }
            let slice = library.read(retry, |tx| {
                // A read may be made again.
                let mut next = tally.clone();
                let is_last = next.advance(tx, COUNT_READ_TIME)?;
                Ok((next, is_last))
            });
            let is_last = match slice {
                Ok((next, is_last)) => {
                    tally = next;
                    is_last
                }
                Err(Error::Busy { .. }) => false,
                Err(error) => return Err(error),
            };
            if library.generation() != generation {
                continue 'anew;
            }
            if is_last {
                let of = library.fingerprint().filter(|after| before == Some(*after));
                return Ok(Count { tally, generation, of, began });
            }
            std::thread::sleep(COUNT_READ_INTERVAL);
        }
    }
}
