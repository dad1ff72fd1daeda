//! Shortage of file descriptors: the part that opens a file retries, and another part closes what it can spare.
//!
//! The limit of open files holds for the whole process. So this state is one for the process too.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use rustix::io::Errno;
use tokio::sync::Notify;

use super::times::DESCRIPTOR_RETRY;

static SHORTAGE: Shortage = Shortage::new();

struct Shortage {
    /// Notified whenever opening fails for lack of descriptors.
    reported: Notify,
    /// When the present shortage began.
    since: Mutex<Option<Instant>>,
}

impl Shortage {
    const fn new() -> Self {
        Self { reported: Notify::const_new(), since: Mutex::new(None) }
    }

    fn open<T>(&self, mut open: impl FnMut() -> Result<T, Errno>) -> Result<T, Errno> {
        loop {
            match open() {
                Err(Errno::INTR) => {}
                Err(error @ (Errno::MFILE | Errno::NFILE)) => {
                    self.reported.notify_one();
                    let since = *self.since().get_or_insert_with(Instant::now);
                    let Some(pause) = DESCRIPTOR_RETRY.next_pause(since.elapsed(), 0) else {
                        return Err(error);
                    };
                    std::thread::sleep(pause);
                }
                other => {
                    *self.since() = None;
                    return other;
                }
            }
        }
    }

    fn since(&self) -> MutexGuard<'_, Option<Instant>> {
        self.since.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Calls `open`, again after a signal, and again while there is no descriptor. Once a shortage has lasted for 2 s, calls
/// fail without a retry until one gets a descriptor.
///
/// # Errors
/// As `open`.
pub(crate) fn open<T>(open: impl FnMut() -> Result<T, Errno>) -> Result<T, Errno> {
    SHORTAGE.open(open)
}

/// Waits for a shortage.
pub(crate) async fn shortage() {
    SHORTAGE.reported.notified().await;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_are_repeated_for_the_first_two_seconds_of_a_shortage() {
        let shortage = Shortage::new();
        let mut tries = 0;
        let opened = shortage.open(|| {
            tries += 1;
            if tries < 4 { Err([Errno::MFILE, Errno::NFILE, Errno::INTR][tries - 1]) } else { Ok(tries) }
        });
        assert_eq!(opened, Ok(4));
        let waits_for = |error| {
            let start = Instant::now();
            assert_eq!(shortage.open(|| Err::<(), _>(error)), Err(error));
            Some(start.elapsed()) >= DESCRIPTOR_RETRY.timeout
        };
        assert!(waits_for(Errno::MFILE));
        assert!(!waits_for(Errno::MFILE), "the same shortage");
        assert!(!waits_for(Errno::NOENT), "a descriptor was left, so the shortage is over");
        assert!(waits_for(Errno::NFILE));
    }
}
