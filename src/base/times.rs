//! Every wait, retry, poll, timeout and age limit of the product that is not configured.
//!
//! Each name begins with the part that waits. `…_TIMEOUT` is the longest wait, `…_INTERVAL` the time between two attempts
//! or polls, `…_AFTER` and `…_AGE` an age from which something counts as other than before.

use std::time::Duration;

use super::retry::{Interval, RetryPolicy};

const fn us(microseconds: u64) -> Duration {
    Duration::from_micros(microseconds)
}

const fn ms(milliseconds: u64) -> Duration {
    Duration::from_millis(milliseconds)
}

const fn s(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

// The database: locks of other programs and of this process.

/// A read or write outside a scan waits this long while other programs keep the database locked.
pub const DATABASE_BUSY_TIMEOUT: Duration = s(10);
/// One attempt waits this long for a lock. Between two attempts a cancellation is noticed.
pub(crate) const DATABASE_ATTEMPT_TIMEOUT: Duration = ms(100);
/// A commit waits this long for readers of other processes, in attempts of [`DATABASE_ATTEMPT_TIMEOUT`].
pub(crate) const DATABASE_COMMIT_TIMEOUT: Duration = s(2);
/// Between two attempts on a locked database. SQLite does not always wait: a snapshot that is out of date, or a lock whose
/// waiting would be a deadlock, fails at once.
pub(crate) const DATABASE_BUSY_RETRY_INTERVAL: Duration = ms(1);
/// Between two attempts on a database that another program has changed, and that is not verified yet.
pub(crate) const DATABASE_UNSETTLED_RETRY_INTERVAL: Duration = ms(10);
/// Retries of an opening without permission. SQLite under root creates a `-wal` or `-shm`, and gives it to the database's
/// owner in its next system call.
pub(crate) const DATABASE_ACCESS_RETRY: RetryPolicy = RetryPolicy {
    interval: Interval::Doubling { first: ms(1), longest: ms(16) },
    timeout: None,
    retries: Some(5),
};
/// Within an attempt, between two tries of SQLite for a lock. SQLite's own handler sleeps up to 25 ms. A program that
/// commits one transaction after the other leaves the database unlocked for a tenth of a millisecond at a time.
pub(crate) const DATABASE_LOCK_INTERVAL: Interval = Interval::Proportional { divisor: 50, shortest: us(50) };
/// The statements of one connection may take this long together. `integrity_check` and `VACUUM INTO` are exempt.
pub(crate) const DATABASE_STATEMENT_TIMEOUT: Duration = s(30);
/// The end of the process has at least this long to close the database: enough for a healthy disk.
pub(crate) const DATABASE_CLOSE_MIN_TIMEOUT: Duration = ms(500);

// The database: changes by other programs.

/// A file that changed without explanation must be unchanged for this long before it is adopted: a copy may be in progress.
pub(crate) const DATABASE_DEBOUNCE: Duration = ms(500);
/// At the start, a file that changed more recently may still be changing.
pub(crate) const DATABASE_START_DEBOUNCE: Duration = ms(500);
/// The start waits for such a file. Some programs write to it all the time, so the wait is short.
pub(crate) const DATABASE_START_RETRY: RetryPolicy = RetryPolicy::every(ms(10)).within(s(1));
/// A program that is not SQLite and closes the file later than this after a checkpoint, without a change since, has not
/// collided with the checkpoint.
pub(crate) const DATABASE_COLLISION_WINDOW: Duration = s(1);
/// A program that is not SQLite and has had the file open for this long without a change of it does not copy: most likely it
/// closed the file at the same time as another one, which inotify(7) reports as one event.
pub(crate) const DATABASE_COPY_PAUSE: Duration = s(2);
/// A main file that changed later than this after its log was not changed by the checkpoint of the last commit, which follows
/// it at once.
pub(crate) const DATABASE_CHECKPOINT_AGE: Duration = s(2);
/// The check waits this long for a lock of another program: less than [`HEALTH_PROBE_TIMEOUT`].
pub(crate) const DATABASE_CHECK_BUSY_TIMEOUT: Duration = ms(60);
/// The check warns this long that the database was replaced.
pub(crate) const DATABASE_REPLACED_WARNING_AGE: Duration = s(60);
/// Until the next `integrity_check`, after one that was interrupted or could not begin.
pub(crate) const INTEGRITY_CHECK_RETRY_INTERVAL: Duration = s(1);
/// If another program wrote during an `integrity_check`, the next one begins this long after it.
pub(crate) const INTEGRITY_CHECK_REPEAT_INTERVAL: Duration = s(60);
/// A pausing `integrity_check` polls at this interval whether a writer waits.
pub(crate) const INTEGRITY_CHECK_POLL_INTERVAL: Duration = ms(5);

// The database: lock file, counts, backups.

/// A start waits this long for the lock: the daemon that holds it may be exiting.
pub(crate) const LOCK_RETRY: RetryPolicy = RetryPolicy::every(ms(10)).within(s(1));
/// One read of a count takes this long, because a read blocks writers.
pub(crate) const COUNT_READ_TIME: Duration = ms(20);
/// Between two reads of a count, so that a waiting writer can begin.
pub(crate) const COUNT_READ_INTERVAL: Duration = ms(1);
/// A read of a count waits this long for a lock, and then begins again. What was counted before is kept.
pub(crate) const COUNT_BUSY_TIMEOUT: Duration = s(1);
/// `vpo backup` and `vpo restore` poll at this interval whether they are to stop.
pub(crate) const BACKUP_CANCEL_POLL_INTERVAL: Duration = ms(20);
/// `vpo restore` waits this long for other programs that have the database open. The interval is short, because the daemon
/// may have it open for most of the time while it scans.
pub(crate) const RESTORE_IN_USE_RETRY: RetryPolicy = RetryPolicy::every(us(200)).within(s(3));
/// The same for the daemon. After it, the database is replaced while the daemon has it open.
pub(crate) const RESTORE_DAEMON_RETRY: RetryPolicy = RetryPolicy::every(us(200)).within(s(1));

// Health checks, tasks and the exit.

/// A result this young answers a probe without a new check.
pub(crate) const HEALTH_FRESH_FOR: Duration = ms(250);
/// A probe waits this long for a check: with it, a probe is answered within 100 ms.
pub(crate) const HEALTH_PROBE_TIMEOUT: Duration = ms(80);
/// Until this age the last result replaces one that is late or busy.
pub(crate) const HEALTH_STALE_AFTER: Duration = s(1);
/// Between two checks without a request. If the next one meets the commit of another program, there is always a result
/// younger than [`HEALTH_STALE_AFTER`] that replaces it.
pub(crate) const HEALTH_CHECK_INTERVAL: Duration = ms(500);
/// Until the next run of a check that was busy, while the last result is valid. A program that commits all the time leaves
/// the database free for moments only, and two runs a second would miss them all.
pub(crate) const HEALTH_BUSY_RETRY_INTERVAL: Duration = ms(20);
/// Without a result for this long, the daemon itself has failed.
pub(crate) const HEALTH_DEAD_AFTER: Duration = s(5);
/// The scanner's results are confirmed at least at this interval.
pub(crate) const SCANNER_CONFIRM_INTERVAL: Duration = s(10);
/// Before a failed task is restarted. A task that ran for longer than [`TASK_RESTART_LONGEST`] begins with the first pause.
pub(crate) const TASK_RESTART_INTERVAL: Interval =
    Interval::Doubling { first: s(1), longest: TASK_RESTART_LONGEST };
/// The longest pause before a restart.
pub(crate) const TASK_RESTART_LONGEST: Duration = s(60);
/// Between two updates of the status line of the service manager.
pub(crate) const STATUS_INTERVAL: Duration = s(1);
/// The exit waits this long for the last lines of the log.
pub(crate) const LOG_FLUSH_TIMEOUT: Duration = ms(100);
/// The same for the line that states why the daemon failed, and for a line on standard error that no program reads.
pub(crate) const LOG_FAILURE_FLUSH_TIMEOUT: Duration = s(1);
/// A thread of tokio's pool ends after it had no work for this long.
pub(crate) const POOL_THREAD_IDLE_TIMEOUT: Duration = s(1);

// Descriptors.

/// A call that opens a file is repeated this long while the process has no descriptor left. The limit counts from the
/// beginning of the shortage. It is longer than [`HTTP_EVICTION_AGE`], after which connections are closed.
pub(crate) const DESCRIPTOR_RETRY: RetryPolicy = RetryPolicy::every(ms(10)).within(s(2));

// HTTP.

/// A connection without a request is closed after this.
pub(crate) const HTTP_IDLE_TIMEOUT: Duration = s(75);
/// A client has this long to send a request.
pub(crate) const HTTP_RECEIVE_TIMEOUT: Duration = s(10);
/// A response is given up when the client reads nothing of it for this long.
pub(crate) const HTTP_STALL_TIMEOUT: Duration = s(10);
/// A response is given up when it takes longer, however steadily the client reads: a page of 256 KiB at 4 KB/s.
pub(crate) const HTTP_ANSWER_TIMEOUT: Duration = s(60);
/// The timeout of a client that reads nothing, while the daemon stops.
pub(crate) const HTTP_STOP_STALL_TIMEOUT: Duration = s(1);
/// When the daemon stops, a half-sent request and a new connection still get the time that a lost packet takes.
pub(crate) const HTTP_STOP_GRACE: Duration = ms(250);
/// Between two checks of the timeouts of all connections.
pub(crate) const HTTP_SWEEP_INTERVAL: Duration = ms(500);
/// A connection must be inactive for this long before it is closed in favour of a new one.
pub(crate) const HTTP_EVICTION_AGE: Duration = s(1);
/// After accept(2) failed for lack of descriptors or memory: other threads may free some.
pub(crate) const HTTP_ACCEPT_RETRY_INTERVAL: Duration = ms(10);
/// After connections were closed in a shortage of descriptors, so that new connections do not take the descriptors.
pub(crate) const HTTP_SHORTAGE_PAUSE: Duration = ms(100);
/// Between two warnings about a lack of descriptors; so for wrong access tokens.
pub(crate) const HTTP_WARNING_INTERVAL: Duration = s(60);
/// The socket is read for this long after a response for which the client may not have waited. Closing it with unread
/// bytes would reset the connection, and the client could lose the response (RFC 9112, section 9.6).
pub(crate) const HTTP_LINGER_TIMEOUT: Duration = s(1);

/// A command waits this long for the next bytes of the daemon's answer.
pub(crate) const DAEMON_ANSWER_TIMEOUT: Duration = s(2);

// The API.

/// A request may wait and read for this long, both together.
pub(crate) const API_REQUEST_TIMEOUT: Duration = s(3);
/// A page of a query ends after this time, with the cursor of the next one, also if nothing was found.
pub(crate) const QUERY_READ_TIME: Duration = s(1);
/// A count of the files for which a query holds may take this long: some millions of files.
pub(crate) const API_STATISTICS_TIMEOUT: Duration = s(30);
/// A part of a streamed answer is tried again this long while the database is busy.
pub(crate) const API_STREAM_TIMEOUT: Duration = s(15);
/// A request waits this long for a count that has just begun: one of a library of some thousand files takes no longer.
pub(crate) const API_COUNT_TIMEOUT: Duration = ms(50);
/// Until the next count after one that failed.
pub(crate) const API_COUNT_RETRY_INTERVAL: Duration = s(1);

// The scanner: what is scanned when.

/// The engine reads queued jobs, and checks the heartbeats of running scans, at this interval.
pub(crate) const SCAN_ENGINE_POLL_INTERVAL: Duration = s(1);
/// The engine pauses for this long between two rounds, also when something is due already.
pub(crate) const SCAN_ENGINE_MIN_INTERVAL: Duration = ms(10);
/// The engine's thread waits this long for a locked database.
pub(crate) const SCAN_ENGINE_BUSY_TIMEOUT: Duration = ms(200);
/// At a stop, the engine waits this long for scans to record their end.
pub(crate) const SCAN_ENGINE_STOP_TIMEOUT: Duration = ms(800);
/// At a stop, the scanner waits this long for the engine: longer than [`SCAN_ENGINE_STOP_TIMEOUT`], and less than a
/// second.
pub(crate) const SCANNER_STOP_TIMEOUT: Duration = ms(950);
/// Until the next scan after a failure of the database.
pub(crate) const SCAN_DATABASE_RETRY_INTERVAL: Duration = s(15);
/// Until the next scan of a root after one that was cancelled, or for which the database was replaced.
pub(crate) const SCAN_RESTART_INTERVAL: Duration = s(1);
/// Between two checks of a root. A check that takes longer than this makes the root unresponsive.
pub(crate) const ROOT_CHECK_INTERVAL: Duration = s(10);
/// A root whose check takes longer counts as unreachable: no scan asks it whether a file has moved.
pub(crate) const ROOT_UNREACHABLE_AFTER: Duration = s(1);
/// Resolving the path of a root may take this long. A root that takes longer is left out.
pub(crate) const ROOT_RESOLVE_TIMEOUT: Duration = s(10);
/// A root's first scan waits this long for its watch.
pub(crate) const WATCH_START_TIMEOUT: Duration = s(3);
/// Changes are collected for this long before they are scanned.
pub(crate) const WATCH_DEBOUNCE: Duration = s(2);
/// Between two full scans because of overflows of the watch.
pub(crate) const WATCH_OVERFLOW_INTERVAL: Duration = s(60);
/// Between two searches for rows of scans that are too old.
pub(crate) const JOB_EXPIRY_INTERVAL: Duration = s(24 * 3600);

// One scan.

/// A file is read once it was unchanged for this long, and is looked at again after it.
pub(crate) const SCAN_DEBOUNCE: Duration = s(5);
/// A scan that a user waits for looks again at files that were being written after this long.
pub(crate) const SCAN_SETTLE_WAIT: RetryPolicy = RetryPolicy::every(ms(20)).within(ms(5_050));
/// While a scan waits for its readers, it polls at this interval whether it is to stop.
pub(crate) const SCAN_POLL_INTERVAL: Duration = ms(100);
/// A file that was read waits this long for its transaction; so does a hash.
pub(crate) const SCAN_BATCH_AGE: Duration = s(1);
/// Between two heartbeats in the job's row.
pub(crate) const SCAN_HEARTBEAT_INTERVAL: Duration = s(2);
/// Without a heartbeat for this long, a scan no longer keeps others from beginning.
pub(crate) const SCAN_STALLED_AFTER: Duration = s(30);
/// After a wait of this length for a locked database, the scan logs that it goes on.
pub(crate) const SCAN_BUSY_REPORT_AFTER: Duration = s(1);
/// The record of a scan's end waits this long for the database: the process may be stopping.
pub(crate) const SCAN_END_BUSY_TIMEOUT: Duration = ms(500);

// The page.

/// Files that were found within this time are growth of the library.
pub(crate) const PAGE_GROWTH_AGE: Duration = s(365 * 86_400);

// `vpo scan`.

/// A cancelled scan in the foreground has this long to record its end.
pub(crate) const FOREGROUND_STOP_TIMEOUT: Duration = s(1);
/// A scan in the foreground checks the lock file and the database at this interval, as a daemon does.
pub(crate) const FOREGROUND_CHECK_INTERVAL: Duration = ms(500);
/// Between two updates of the progress bar.
pub(crate) const FOREGROUND_PROGRESS_INTERVAL: Duration = ms(100);
/// A scan by the daemon: between two reads of the job's row.
pub(crate) const JOB_POLL: RetryPolicy = RetryPolicy::every(ms(200));
/// Between two checks whether the daemon still runs.
pub(crate) const JOB_HOLDER_POLL_INTERVAL: Duration = s(1);
/// A daemon with roots begins a queued job within a second, unless it is busy with another.
pub(crate) const JOB_CLAIM_TIMEOUT: Duration = s(5);
/// A job that cannot be withdrawn within this stays queued.
pub(crate) const JOB_WITHDRAW_BUSY_TIMEOUT: Duration = s(1);
