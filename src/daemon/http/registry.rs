//! The open connections: how far each is, and which may be closed in favour of a new one.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::Notify;
use tokio::task::AbortHandle;

use super::counters::Counters;
use super::socket::Socket;

/// How far a connection is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    /// No byte of a request has come since the last answer.
    Idle,
    /// A new connection, or one with a request half sent.
    Receiving,
    /// A complete request is with its route.
    Handling,
    /// The answer is on its way.
    Answering,
    /// The answer does not go out: the client does not read.
    Stalled,
    /// All is answered. What the client still sends is read and dropped, until it hangs up.
    Lingering,
}

/// What a connection was let in for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Purpose {
    /// Every request: it counts against the limit of connections.
    Any,
    /// One health probe: it came when the limit was reached.
    Probe,
}

const STAGES: [Stage; 6] =
    [Stage::Idle, Stage::Receiving, Stage::Handling, Stage::Answering, Stage::Stalled, Stage::Lingering];
const STAGE_BITS: u32 = 3;

/// A probe's connection is not closed for another's before its request can be here.
const REQUEST_TIME: Duration = Duration::from_millis(20);

/// One connection, as its task, the service and the accept loop share it.
#[derive(Debug)]
pub(super) struct Connection {
    pub(super) socket: Socket,
    pub(super) purpose: Purpose,
    /// The stage and since when, as milliseconds since `epoch`: one word, so that a look at it never waits.
    progress: AtomicU64,
    /// Bytes of a further request wait on our side of the kernel.
    behind: AtomicBool,
    epoch: Instant,
}

impl Connection {
    fn new(socket: Socket, purpose: Purpose, epoch: Instant) -> Self {
        let (progress, behind) = (AtomicU64::new(0), AtomicBool::new(false));
        let connection = Self { socket, purpose, progress, behind, epoch };
        connection.enter(Stage::Receiving);
        connection
    }

    /// Notes a stage that begins now.
    pub(super) fn enter(&self, stage: Stage) {
        let since = match stage {
            // Nothing asks since when: spare the clock.
            Stage::Handling | Stage::Answering => 0,
            Stage::Idle | Stage::Receiving | Stage::Stalled | Stage::Lingering => {
                milliseconds(self.epoch.elapsed())
            }
        };
        self.progress.store(since << STAGE_BITS | stage as u64, Ordering::Relaxed);
    }

    /// The stage.
    pub(super) fn stage(&self) -> Stage {
        self.progress().0
    }

    /// Notes whether bytes of a further request were read already.
    pub(super) fn set_behind(&self, behind: bool) {
        self.behind.store(behind, Ordering::Relaxed);
    }

    /// Whether something of a request has arrived that has not been looked at: that is a request in progress, and
    /// we are only late to see it.
    pub(super) fn waits(&self) -> bool {
        self.behind.load(Ordering::Relaxed) || self.socket.unread()
    }

    /// Whether the connection is so new that its first request may still be on the way.
    pub(super) fn newer_than(&self, age: Duration) -> bool {
        let (stage, since) = self.progress();
        stage == Stage::Receiving && milliseconds(self.epoch.elapsed()) < since + milliseconds(age)
    }

    /// The stage, and when it began (milliseconds since the epoch).
    fn progress(&self) -> (Stage, u64) {
        let word = self.progress.load(Ordering::Relaxed);
        let stage = usize::try_from(word & ((1 << STAGE_BITS) - 1)).unwrap_or(0);
        (STAGES[stage], word >> STAGE_BITS)
    }
}

/// Longest time that each stage may take.
#[derive(Clone, Copy, Debug)]
pub(super) struct Patience {
    pub(super) idle: Duration,
    pub(super) receiving: Duration,
    pub(super) stalled: Duration,
}

/// How many connections ran out of patience.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Expired {
    pub(super) idle: u64,
    pub(super) others: u64,
}

/// All open connections.
#[derive(Debug)]
pub(super) struct Registry {
    entries: Mutex<Entries>,
    /// Someone left.
    pub(super) left: Notify,
    epoch: Instant,
    counters: Arc<Counters>,
}

#[derive(Debug, Default)]
struct Entries {
    slots: Vec<Option<Entry>>,
    free: Vec<usize>,
    /// Connections that hold a descriptor.
    open: usize,
    /// Those of them that have not been told to end, by [`Purpose`].
    staying: [usize; 2],
}

#[derive(Debug)]
struct Entry {
    connection: Arc<Connection>,
    /// Ends its task, and with that closes the socket; `None` until the task is there.
    task: Option<AbortHandle>,
    closing: bool,
}

fn milliseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX >> STAGE_BITS)
}

/// A connection's place in the registry; given up when dropped.
#[derive(Debug)]
pub(super) struct Place {
    registry: Arc<Registry>,
    slot: usize,
    pub(super) connection: Arc<Connection>,
}

impl Registry {
    pub(super) fn new(counters: Arc<Counters>) -> Self {
        Self { entries: Mutex::default(), left: Notify::new(), epoch: Instant::now(), counters }
    }

    /// Connections open now.
    pub(super) fn open(&self) -> usize {
        self.lock().open
    }

    /// Connections open now for that purpose that have not been told to end.
    pub(super) fn staying(&self, purpose: Purpose) -> usize {
        self.lock().staying[purpose as usize]
    }

    /// Takes a connection in.
    pub(super) fn admit(self: &Arc<Self>, socket: Socket, purpose: Purpose) -> Place {
        let connection = Arc::new(Connection::new(socket, purpose, self.epoch));
        let entry = Some(Entry { connection: Arc::clone(&connection), task: None, closing: false });
        let mut entries = self.lock();
        entries.open += 1;
        entries.staying[purpose as usize] += 1;
        let slot = if let Some(slot) = entries.free.pop() {
            entries.slots[slot] = entry;
            slot
        } else {
            entries.slots.push(entry);
            entries.slots.len() - 1
        };
        Place { registry: Arc::clone(self), slot, connection }
    }

    /// Says which task serves the connection in `slot`.
    pub(super) fn served_by(&self, slot: usize, connection: &Arc<Connection>, task: AbortHandle) {
        // The task may have ended, and its slot have been given to another, before we came to this.
        if let Some(Some(entry)) = self.lock().slots.get_mut(slot)
            && Arc::ptr_eq(&entry.connection, connection)
        {
            entry.task = Some(task);
        }
    }

    /// Closes a connection of that purpose to make room: one that has had all its answers, else the one that has been
    /// without a complete request for longest, else the one whose client has not read its answer for longest. `false`
    /// when all are at work.
    pub(super) fn evict(&self, purpose: Purpose) -> bool {
        let now = milliseconds(self.epoch.elapsed());
        let mut entries = self.lock();
        for wanted in [&[Stage::Lingering][..], &[Stage::Idle, Stage::Receiving], &[Stage::Stalled]] {
            let oldest = entries
                .slots
                .iter()
                .enumerate()
                .filter_map(|(slot, entry)| {
                    let entry = entry.as_ref()?;
                    let (stage, since) = entry.connection.progress();
                    let is_at_work = match stage {
                        Stage::Idle => entry.connection.waits(),
                        Stage::Receiving => {
                            let is_new =
                                purpose == Purpose::Probe && now < since + milliseconds(REQUEST_TIME);
                            is_new || entry.connection.waits()
                        }
                        Stage::Handling | Stage::Answering => true,
                        // What has come meanwhile is for nobody.
                        Stage::Stalled | Stage::Lingering => false,
                    };
                    let candidate = entry.task.is_some()
                        && entry.connection.purpose == purpose
                        && wanted.contains(&stage)
                        && !is_at_work;
                    candidate.then_some((since, slot))
                })
                .min();
            if let Some((_, slot)) = oldest {
                entries.close(slot);
                return true;
            }
        }
        false
    }

    /// Closes those whose stage has lasted too long.
    pub(super) fn expire(&self, patience: Patience) -> Expired {
        let now = milliseconds(self.epoch.elapsed());
        let mut expired = Expired::default();
        let mut entries = self.lock();
        for slot in 0..entries.slots.len() {
            let Some(entry) = &entries.slots[slot] else { continue };
            let (stage, since) = entry.connection.progress();
            let age = now.saturating_sub(since);
            let over = match stage {
                Stage::Idle => age > milliseconds(patience.idle) && !entry.connection.waits(),
                Stage::Receiving => age > milliseconds(patience.receiving) && !entry.connection.waits(),
                Stage::Stalled => age > milliseconds(patience.stalled),
                // Lingering ends by itself.
                Stage::Handling | Stage::Answering | Stage::Lingering => false,
            };
            if over && entry.task.is_some() {
                entries.close(slot);
                match stage {
                    Stage::Idle => expired.idle += 1,
                    _ => expired.others += 1,
                }
            }
        }
        expired
    }

    /// Closes all.
    pub(super) fn close_all(&self) {
        let mut entries = self.lock();
        for slot in 0..entries.slots.len() {
            entries.close(slot);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Entries> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Entries {
    /// Ends the task in a slot. The slot is taken until the task has let go of it, so that `open` counts
    /// descriptors, not intentions.
    fn close(&mut self, slot: usize) {
        if let Some(entry) = &mut self.slots[slot]
            && let Some(task) = entry.task.take()
        {
            task.abort();
            entry.closing = true;
            self.staying[entry.connection.purpose as usize] -= 1;
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut entries = self.registry.lock();
        let entry = entries.slots[self.slot].take();
        if entry.is_some_and(|entry| !entry.closing) {
            entries.staying[self.connection.purpose as usize] -= 1;
        }
        entries.free.push(self.slot);
        entries.open -= 1;
        drop(entries);
        self.registry.counters.closed();
        self.registry.left.notify_one();
    }
}

impl Place {
    /// Its slot.
    pub(super) fn slot(&self) -> usize {
        self.slot
    }
}
