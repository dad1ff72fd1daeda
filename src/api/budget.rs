//! Bounds the bytes of all answers that are being built or sent, over all clients. A request waits for its share before it
//! reads, so clients that do not read their answers cost no more than this. The HTTP server closes them.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, timeout_at};

use super::answer::Refusal;

/// Bytes of one unit.
const UNIT: usize = 1024;
/// Most bytes of all answers, in units: 16 MiB.
const MOST: usize = 16 * 1024;

/// What an answer takes at most, in units.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Size {
    /// A page, which is 256 KiB or one larger row; one job.
    Page = 384,
    /// One file with its tracks, the totals.
    Whole = 1_088,
}

/// The bytes of all answers; clones share them.
#[derive(Clone, Debug)]
pub(super) struct AnswerBudget(Arc<Semaphore>);

/// The bytes of one answer, in use until it is dropped.
#[derive(Debug)]
pub(super) struct AnswerShare(OwnedSemaphorePermit);

impl AnswerBudget {
    pub(super) fn new() -> Self {
        Self(Arc::new(Semaphore::new(MOST)))
    }

    /// Waits until an answer of that size has room.
    pub(super) async fn reserve(&self, size: Size, deadline: Instant) -> Result<AnswerShare, Refusal> {
        let free = Arc::clone(&self.0).acquire_many_owned(size as u32);
        let full = || {
            let message =
                "too many answers are in progress, or their clients do not read them; try again later";
            Refusal::unavailable(message.to_owned())
        };
        timeout_at(deadline, free).await.ok().and_then(Result::ok).map(AnswerShare).ok_or_else(full)
    }
}

impl AnswerShare {
    /// Returns what an answer of `bytes` does not need.
    pub(super) fn fit(&mut self, bytes: usize) {
        let surplus = self.0.num_permits().saturating_sub(bytes.div_ceil(UNIT));
        drop(self.0.split(surplus));
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn answers_wait_for_the_bytes_of_others() {
        let budget = AnswerBudget::new();
        let mut shares = Vec::new();
        for _ in 0..MOST / Size::Page as usize {
            shares.push(budget.reserve(Size::Page, Instant::now()).await.expect("free"));
        }
        let soon = || Instant::now() + Duration::from_secs(3);
        assert!(budget.reserve(Size::Page, soon()).await.is_err());
        for share in &mut shares {
            share.fit(256 * 1024);
        }
        let more = budget.reserve(Size::Whole, soon()).await;
        assert!(more.is_ok());
        shares.clear();
        drop(more);
        assert_eq!(budget.0.available_permits(), MOST);
    }
}
