//! Bounds the bytes of readings on their way from the threads that read files to the one that stores them.
//!
//! Their number alone does not bound them: a hostile file has a thousand tracks and 64 KiB of titles.

use std::sync::{Arc, Condvar, Mutex, PoisonError};

/// Most bytes of all readings that are not stored yet.
const MOST: usize = 8 << 20;

/// The bytes in use.
#[derive(Debug, Default)]
pub(crate) struct ReadBudget {
    used: Mutex<usize>,
    freed: Condvar,
}

/// Bytes in use, until it is dropped.
#[derive(Debug)]
pub(crate) struct ReadShare {
    budget: Arc<ReadBudget>,
    bytes: usize,
}

impl ReadBudget {
    /// Waits until `bytes` are free. More than there are wait until all are free.
    pub(crate) fn take(self: &Arc<Self>, bytes: usize) -> ReadShare {
        let used = self.used.lock().unwrap_or_else(PoisonError::into_inner);
        let is_full = |used: &mut usize| *used > 0 && *used + bytes > MOST;
        *self.freed.wait_while(used, is_full).unwrap_or_else(PoisonError::into_inner) += bytes;
        ReadShare { budget: Arc::clone(self), bytes }
    }
}

impl ReadShare {
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }
}

impl Drop for ReadShare {
    fn drop(&mut self) {
        *self.budget.used.lock().unwrap_or_else(PoisonError::into_inner) -= self.bytes;
        self.budget.freed.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::channel;

    use super::*;

    #[test]
    fn a_share_waits_until_its_bytes_are_free() {
        let budget = Arc::new(ReadBudget::default());
        let (first, second) = (budget.take(MOST - 10), budget.take(10));
        let (sender, receiver) = channel();
        let waiting = Arc::clone(&budget);
        let thread = std::thread::spawn(move || {
            for bytes in [10, 2 * MOST] {
                let share = waiting.take(bytes);
                sender.send((bytes, *waiting.used.lock().unwrap())).unwrap();
                drop(share);
            }
        });
        assert!(receiver.try_recv().is_err());
        drop(second);
        assert_eq!(receiver.recv().unwrap(), (10, MOST));
        drop(first);
        assert_eq!(receiver.recv().unwrap(), (2 * MOST, 2 * MOST), "larger than the budget, alone");
        thread.join().unwrap();
        assert_eq!(*budget.used.lock().unwrap(), 0);
    }
}
