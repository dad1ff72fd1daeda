//! Lines → stream, from a thread of its own.
//!
//! `tracing-appender` does nearly this, but its guard may hold an exit for 1.1 s when the stream is stuck,
//! prints with `println!` when something fails, and allocates its whole queue ahead. Here the queue is one
//! buffer of bytes that the thread swaps for an empty one, so that a burst is one write(2); what does not
//! fit is dropped and counted; and nobody waits for the thread longer than they say.

use std::ffi::OsStr;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;

use crate::base::log::Output;

/// Bytes that may wait for the stream; about 2,000 lines.
const CAPACITY: usize = 256 * 1024;

/// What the buffers keep allocated between bursts.
const RESTING: usize = 8 * 1024;

/// Streams are written to directly: the locks and buffers of `std::io` would hold the exit when the thread is stuck.
impl Output {
    fn with<T>(self, work: impl FnOnce(BorrowedFd<'_>) -> T) -> T {
        match self {
            Self::Stderr => work(io::stderr().as_fd()),
            Self::Stdout => work(io::stdout().as_fd()),
        }
    }

    /// Whether this is what `$JOURNAL_STREAM` names: `device:inode` in decimal (`systemd.exec(5)`). The
    /// variable alone says nothing: it is inherited by programs whose streams have been redirected.
    pub(super) fn is_journal(self, variable: Option<&OsStr>) -> bool {
        let named = variable.and_then(OsStr::to_str).and_then(|text| text.split_once(':'));
        let Some((device, inode)) = named else { return false };
        self.with(|fd| rustix::fs::fstat(fd))
            .is_ok_and(|stat| device.parse() == Ok(stat.st_dev) && inode.parse() == Ok(stat.st_ino))
    }
}

/// A handle on the writer's thread.
#[derive(Clone)]
pub(super) struct Writer(Arc<Shared>);

struct Shared {
    queue: Mutex<Queue>,
    filled: Condvar,
    emptied: Condvar,
    dropped: AtomicU64,
}

#[derive(Default)]
struct Queue {
    pending: Vec<u8>,
    writing: bool,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Queue> {
        // Nothing in here panics half-way; and a log that stops with the first panic is no log.
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Writer {
    pub(super) fn start(output: Output) -> io::Result<Self> {
        let shared = Arc::new(Shared {
            queue: Mutex::default(),
            filled: Condvar::new(),
            emptied: Condvar::new(),
            dropped: AtomicU64::new(0),
        });
        let thread = Arc::clone(&shared);
        std::thread::Builder::new().name("log".into()).spawn(move || write_forever(&thread, output))?;
        Ok(Self(shared))
    }

    /// Queues one line, or drops it when the queue is full. Never blocks for the stream.
    pub(super) fn push(&self, line: &str) {
        let mut queue = self.0.lock();
        if queue.pending.len() + line.len() > CAPACITY {
            self.0.dropped.fetch_add(1, Ordering::Relaxed);
            return;
        }
        queue.pending.extend_from_slice(line.as_bytes());
        drop(queue);
        self.0.filled.notify_one();
    }

    pub(super) fn dropped(&self) -> u64 {
        self.0.dropped.load(Ordering::Relaxed)
    }

    /// The stream takes lines: the queue is far from full.
    pub(super) fn is_idle(&self) -> bool {
        self.0.lock().pending.len() < CAPACITY / 2
    }

    /// Waits until the queue is empty and written, or until `patience` ends.
    pub(super) fn flush(&self, patience: Duration) {
        let busy = |queue: &mut Queue| queue.writing || !queue.pending.is_empty();
        drop(self.0.emptied.wait_timeout_while(self.0.lock(), patience, busy));
    }
}

fn write_forever(shared: &Shared, output: Output) {
    let mut batch = Vec::new();
    loop {
        let mut queue = shared.lock();
        queue.writing = false;
        shared.emptied.notify_all();
        while queue.pending.is_empty() {
            queue = shared.filled.wait(queue).unwrap_or_else(PoisonError::into_inner);
        }
        std::mem::swap(&mut queue.pending, &mut batch);
        queue.writing = true;
        drop(queue);

        let left = output.with(|fd| write_all(fd, &batch, None));
        #[expect(clippy::naive_bytecount, reason = "hardly ever more than nothing to count")]
        let lost = left.iter().filter(|byte| **byte == b'\n').count();
        shared.dropped.fetch_add(lost as u64, Ordering::Relaxed);
        batch.clear();
        batch.shrink_to(RESTING);
    }
}

/// Writes what the stream takes within `patience`; for a line that must be out before the exit.
pub(super) fn write_patiently(fd: BorrowedFd<'_>, bytes: &[u8], patience: Duration) {
    write_all(fd, bytes, Some(Instant::now() + patience));
}

/// Writes all, and returns what the stream did not take. With a deadline it asks before each write whether
/// there is room, and writes no more than fits then (a pipe with room has `PIPE_BUF` of it: pipe(7)).
fn write_all<'a>(fd: BorrowedFd<'_>, mut bytes: &'a [u8], deadline: Option<Instant>) -> &'a [u8] {
    const PIPE_BUF: usize = 4096;
    while !bytes.is_empty() {
        if deadline.is_some() && !writable(fd, deadline) {
            break;
        }
        let most = if deadline.is_some() { PIPE_BUF.min(bytes.len()) } else { bytes.len() };
        match rustix::io::write(fd, &bytes[..most]) {
            Ok(0) => break,
            Ok(count) => bytes = &bytes[count..],
            Err(Errno::INTR) => {}
            // Someone who shares the stream has made it non-blocking.
            Err(Errno::AGAIN) if writable(fd, deadline) => {}
            Err(_) => break,
        }
    }
    bytes
}

/// Waits until `fd` takes bytes; `false` when it does not before the deadline.
fn writable(fd: BorrowedFd<'_>, deadline: Option<Instant>) -> bool {
    let wait = deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
    let wait = wait.and_then(|wait| Timespec::try_from(wait).ok());
    match poll(&mut [PollFd::from_borrowed_fd(fd, PollFlags::OUT)], wait.as_ref()) {
        Ok(count) => count > 0,
        Err(error) => error == Errno::INTR,
    }
}
