//! Writes lines to the stream, on a thread of its own.
//!
//! `tracing-appender` is similar, but its guard may delay an exit by 1.1 s if the stream blocks, it reports errors
//! with `println!`, and it allocates its whole queue in advance. Here the queue is one buffer of bytes, which the
//! thread swaps for an empty one, so that a burst is one write(2). A line that does not fit is dropped and counted.
//! Every wait for the thread has a timeout.

use std::ffi::OsStr;
use std::io;
use std::io::IsTerminal as _;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;

use crate::base::log::Output;

/// Bytes that the queue holds; about 2,000 lines.
const CAPACITY: usize = 256 * 1024;

/// Bytes that a buffer keeps allocated between bursts.
const IDLE_CAPACITY: usize = 8 * 1024;

/// Streams are written to directly: the locks of `std::io` would block the exit while the thread blocks.
impl Output {
    fn with<T>(self, work: impl FnOnce(BorrowedFd<'_>) -> T) -> T {
        match self {
            Self::Stderr => work(io::stderr().as_fd()),
            Self::Stdout => work(io::stdout().as_fd()),
        }
    }

    pub(super) fn is_terminal(self) -> bool {
        self.with(|fd| fd.is_terminal())
    }

    /// Whether `$JOURNAL_STREAM` names this stream: `device:inode` in decimal (`systemd.exec(5)`). The presence of
    /// the variable is not enough: programs whose streams are redirected inherit it.
    pub(super) fn is_journal(self, variable: Option<&OsStr>) -> bool {
        let named = variable.and_then(OsStr::to_str).and_then(|text| text.split_once(':'));
        let Some((device, inode)) = named else { return false };
        self.with(|fd| rustix::fs::fstat(fd))
            .is_ok_and(|stat| device.parse() == Ok(stat.st_dev) && inode.parse() == Ok(stat.st_ino))
    }
}

/// A handle to the thread of the writer.
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
        // No code that holds the lock panics between two steps, and logging must continue after a panic.
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

    /// Queues one line, or drops it if the queue is full. Does not wait for the stream.
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

    /// Whether the queue is less than half full.
    pub(super) fn has_room(&self) -> bool {
        self.0.lock().pending.len() < CAPACITY / 2
    }

    /// Waits until the queue is empty and written, at most for `timeout`.
    pub(super) fn flush(&self, timeout: Duration) {
        let busy = |queue: &mut Queue| queue.writing || !queue.pending.is_empty();
        drop(self.0.emptied.wait_timeout_while(self.0.lock(), timeout, busy));
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
        #[expect(clippy::naive_bytecount, reason = "rarely runs on a non-empty slice")]
        let lost = left.iter().filter(|byte| **byte == b'\n').count();
        shared.dropped.fetch_add(lost as u64, Ordering::Relaxed);
        batch.clear();
        batch.shrink_to(IDLE_CAPACITY);
    }
}

/// Writes what the stream accepts within `timeout`.
pub(super) fn write_within(fd: BorrowedFd<'_>, bytes: &[u8], timeout: Duration) {
    write_all(fd, bytes, Some(Instant::now() + timeout));
}

/// Writes all, and returns what the stream did not accept. With a deadline it polls before each write, and writes
/// at most `PIPE_BUF` bytes, which a writable pipe has room for (pipe(7)).
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
            // Another process that shares the stream has made it non-blocking.
            Err(Errno::AGAIN) if writable(fd, deadline) => {}
            Err(_) => break,
        }
    }
    bytes
}

/// Waits until `fd` is writable; `false` after the deadline.
fn writable(fd: BorrowedFd<'_>, deadline: Option<Instant>) -> bool {
    let wait = deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
    let wait = wait.and_then(|wait| Timespec::try_from(wait).ok());
    match poll(&mut [PollFd::from_borrowed_fd(fd, PollFlags::OUT)], wait.as_ref()) {
        Ok(count) => count > 0,
        Err(error) => error == Errno::INTR,
    }
}
