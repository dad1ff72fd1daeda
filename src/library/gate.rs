//! Limits which connections of this process are open at the same time: any number of readers, or one session that writes.
//! While a session is open, nothing else of ours opens the path: the file at the path may be another one by then, and SQLite
//! would use the session's `-shm` for that file.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// A lock for many readers or one writer, which can be waited for with a limit.
#[derive(Debug, Default)]
pub(super) struct Gate {
    inside: Mutex<Inside>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct Inside {
    readers: usize,
    writes: bool,
    /// Writers that wait: no reader goes in before them.
    waiting: usize,
}

/// Being inside, until dropped.
#[derive(Debug)]
pub(super) struct Turn<'a> {
    gate: &'a Gate,
    writes: bool,
}

impl Gate {
    /// Goes in as a reader; `None` where a writer is inside or waiting for longer than `limit`.
    pub(super) fn read(&self, limit: Duration) -> Option<Turn<'_>> {
        let is_closed = |inside: &mut Inside| inside.writes || inside.waiting > 0;
        let mut inside = self.wait(self.lock(), limit, is_closed)?;
        inside.readers += 1;
        Some(Turn { gate: self, writes: false })
    }

    /// Goes in as the writer; `None` where others are inside for longer than `limit`.
    pub(super) fn write(&self, limit: Duration) -> Option<Turn<'_>> {
        let mut inside = self.lock();
        inside.waiting += 1;
        let found = self.wait(inside, limit, |inside| inside.writes || inside.readers > 0);
        let mut inside = found.unwrap_or_else(|| self.lock());
        inside.waiting -= 1;
        let is_free = !inside.writes && inside.readers == 0;
        if !is_free {
            // Readers that waited for this writer.
            self.changed.notify_all();
            return None;
        }
        inside.writes = true;
        Some(Turn { gate: self, writes: true })
    }

    /// Whether a writer waits: a long reader should leave.
    pub(super) fn is_wanted(&self) -> bool {
        self.lock().waiting > 0
    }

    fn wait<'a>(
        &self,
        inside: MutexGuard<'a, Inside>,
        limit: Duration,
        is_closed: impl FnMut(&mut Inside) -> bool,
    ) -> Option<MutexGuard<'a, Inside>> {
        let waited = self.changed.wait_timeout_while(inside, limit, is_closed);
        let (inside, waited) = waited.unwrap_or_else(PoisonError::into_inner);
        (!waited.timed_out()).then_some(inside)
    }

    fn lock(&self) -> MutexGuard<'_, Inside> {
        self.inside.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        let mut inside = self.gate.lock();
        if self.writes {
            inside.writes = false;
        } else {
            inside.readers -= 1;
        }
        self.gate.changed.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    #[test]
    fn readers_share_and_a_writer_is_alone() {
        let gate = Gate::default();
        let one = gate.read(Duration::ZERO);
        let other = gate.read(Duration::ZERO);
        assert!(one.is_some() && other.is_some());
        assert!(gate.write(Duration::ZERO).is_none());
        assert!(gate.read(Duration::ZERO).is_some(), "a writer that gave up holds off no reader");
        drop((one, other));
        let writer = gate.write(Duration::ZERO);
        assert!(writer.is_some() && gate.read(Duration::ZERO).is_none());
        assert!(gate.write(Duration::ZERO).is_none());
    }

    #[test]
    fn a_waiting_writer_goes_before_new_readers() {
        let gate = Arc::new(Gate::default());
        let reader = gate.read(Duration::ZERO);
        let waits = Arc::clone(&gate);
        let writer = std::thread::spawn(move || waits.write(Duration::from_secs(60)).is_some());
        while !gate.is_wanted() {
            std::thread::yield_now();
        }
        assert!(gate.read(Duration::ZERO).is_none());
        drop(reader);
        assert!(writer.join().expect("no panic"));
        assert!(gate.read(Duration::from_secs(60)).is_some());
    }
}
