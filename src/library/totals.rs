//! Counts the whole library while it may be written to.
//!
//! Each slice is a read of its own, because a read blocks writers. A commit between two slices is counted in part;
//! [`Count::of`] shows whether there was one.

use std::time::{Duration, Instant};

use super::files::statistics::{Depth, Tally};
use super::{Error, Fingerprint, Library, Patience};

/// How long one read of a count takes.
const SLICE_TIME: Duration = Duration::from_millis(20);

/// Pause between two slices, in which a waiting writer gets its turn.
const PAUSE: Duration = Duration::from_millis(1);

/// How long a slice waits for a locked library before it begins anew; what was counted before is kept.
const LOCKED: Duration = Duration::from_secs(1);

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

/// Counts to the end; anew when another library takes the place of this one.
///
/// # Errors
/// As [`Library::read`], but for [`Error::Busy`]: it waits for a locked library until `cancelled`.
pub fn count(library: &Library, depth: Depth, cancelled: &dyn Fn() -> bool) -> Result<Count, Error> {
    let patience = Patience { limit: Some(LOCKED), cancelled, generation: None };
    'anew: loop {
        let (generation, before, began) = (library.generation(), library.fingerprint(), Instant::now());
        let mut tally = Tally::new(depth);
        loop {
            if cancelled() {
                return Err(Error::Cancelled);
            }
            let slice = library.read(patience, |tx| {
                // A read may be made again.
                let mut next = tally.clone();
                let is_last = next.advance(tx, SLICE_TIME)?;
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
            std::thread::sleep(PAUSE);
        }
    }
}
