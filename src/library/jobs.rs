//! Rows of `jobs`: a scan's life from queued to completed, failed or cancelled.
//!
//! Only rows of `job_type` scan whose `policy_json` says `"by": "vpo-serve"` are ours; those of other
//! programs are listed but never touched.
//!
//! Their order is that of their rowids, in which they were inserted: times come from clocks that may jump. `VACUUM`
//! keeps that order, and so does `.dump`.

pub mod history;
pub mod listing;
#[cfg(test)]
mod tests;

use rusqlite::types::{FromSql, FromSqlError, FromSqlResult, ToSqlOutput, ValueRef};
use rusqlite::{Connection, OptionalExtension, ToSql, params};
use serde::{Deserialize, Serialize};

use super::lenient::{exact_text, integer};
use crate::base::timestamp::Timestamp;

/// The value of `by` in `policy_json` that makes a row ours.
pub const BY: &str = "vpo-serve";

/// The values of `jobs.status`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// Waits to be taken.
    Queued,
    /// Under way.
    Running,
    /// Did what it was asked to.
    Completed,
    /// Could not, for the reason in `error_message`.
    Failed,
    /// Cancelled, or withdrawn before it began.
    Cancelled,
}

impl Status {
    /// Every one that the schema allows.
    pub const ALL: [Self; 5] = [Self::Queued, Self::Running, Self::Completed, Self::Failed, Self::Cancelled];

    /// The stored word.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Running => "running",
            Self::Completed => "completed",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
        }
    }

    /// Nothing more will happen to the job.
    #[must_use]
    pub fn is_final(self) -> bool {
        !matches!(self, Self::Queued | Self::Running)
    }

    /// The status of a stored word, if it is one.
    #[must_use]
    pub fn of(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|status| status.as_str() == word)
    }
}

impl ToSql for Status {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(self.as_str().into())
    }
}

impl FromSql for Status {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        Self::of(value.as_str()?).ok_or(FromSqlError::InvalidType)
    }
}

/// Why a scan was made, as `policy_json` records it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// The daemon has started, or the root is a new one.
    Start,
    /// `scan.rescan_interval` is over.
    Interval,
    /// The watch has seen something, or has begun only now.
    Watch,
    /// `vpo scan`
    Request,
    /// `scan.extensions` has changed.
    Settings,
    /// The scan before did not come to its end.
    Again,
    /// The root is back, has changed, or its issue may be over.
    RootChanged,
    /// Another library has taken the place of the one before.
    LibraryReplaced,
}

impl Reason {
    /// The stored word.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Start => "start",
            Self::Interval => "interval",
            Self::Watch => "watch",
            Self::Request => "request",
            Self::Settings => "settings",
            Self::Again => "again",
            Self::RootChanged => "root_changed",
            Self::LibraryReplaced => "library_replaced",
        }
    }

    /// Whether a scan for it leaves no row when nothing was to be done.
    #[must_use]
    pub fn is_quiet(self) -> bool {
        self == Self::Watch
    }
}

/// What a scan was asked to do, as `policy_json` records it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Options {
    /// The program that asked and may take it: [`BY`].
    by: String,
    /// Why the scan was made: the word of a [`Reason`], or whatever another program has put there.
    #[serde(default)]
    pub reason: String,
    /// Confirmed by the user: what is gone is gone.
    #[serde(default)]
    pub accept_missing: bool,
    /// Look again at files that are still being written before the job ends.
    #[serde(default)]
    pub wait: bool,
    /// Read files that have not changed, too.
    #[serde(default)]
    pub full: bool,
}

impl Options {
    /// Plain options for `reason`.
    #[must_use]
    pub fn new(reason: Reason) -> Self {
        let reason = reason.as_str().to_owned();
        Self { by: BY.to_owned(), reason, accept_missing: false, wait: false, full: false }
    }

    /// Those of a scan that a user requests and waits for.
    #[must_use]
    pub fn requested(accept_missing: bool, full: bool) -> Self {
        Self { accept_missing, full, wait: true, ..Self::new(Reason::Request) }
    }
}

/// A queued row of ours.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Queued {
    /// `jobs.id`
    pub id: String,
    /// What to scan: a root or a path below one.
    pub path: String,
    /// `policy_json`
    pub options: Options,
}

/// The state of a job of ours, for a process that follows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Standing {
    /// `status`
    pub status: Status,
    /// `progress_json`
    pub progress: Option<String>,
    /// `error_message`
    pub error: Option<String>,
    /// `summary_json`
    pub summary: Option<String>,
}

impl Standing {
    /// Nothing more will happen to it.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.status.is_final()
    }
}

/// Queues a scan of `path` under the id `id`.
///
/// # Errors
/// Of SQLite.
pub fn queue(conn: &Connection, id: &str, path: &str, options: &Options) -> rusqlite::Result<()> {
    conn.execute(
        "INSERT INTO jobs (id, file_path, job_type, status, policy_json, created_at)
         VALUES (?1, ?2, 'scan', 'queued', ?3, ?4)",
        params![id, path, json(options), Timestamp::now()],
    )?;
    Ok(())
}

/// A queued row that is marked as ours.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Request {
    /// A scan.
    Scan(Queued),
    /// Its options are not what they must be.
    Malformed {
        /// `jobs.id`
        id: String,
        /// What is wrong with them.
        why: String,
    },
}

impl Request {
    /// `jobs.id`
    #[must_use]
    pub fn id(&self) -> &str {
        match self {
            Self::Scan(job) => &job.id,
            Self::Malformed { id, .. } => id,
        }
    }
}

/// Our queued rows by priority, those of one priority in the order in which they were inserted.
///
/// # Errors
/// Of SQLite.
pub fn queued(conn: &Connection) -> rusqlite::Result<Vec<Request>> {
    let mut statement = conn.prepare(QUEUED)?;
    let mut rows = statement.query([])?;
    let mut ours = Vec::new();
    while let Some(row) = rows.next()? {
        // What another program left there, a BLOB even, is not ours and no reason to stop.
        let (Some(id), Some(path), Some(policy)) =
            (exact_text(row, 0), exact_text(row, 1), exact_text(row, 2))
        else {
            continue;
        };
        let Ok(policy) = serde_json::from_str::<serde_json::Value>(&policy) else { continue };
        if policy.get("by").and_then(serde_json::Value::as_str) != Some(BY) {
            continue;
        }
        ours.push(match serde_json::from_value(policy) {
            Ok(options) => Request::Scan(Queued { id, path, options }),
            Err(why) => Request::Malformed { id, why: why.to_string() },
        });
    }
    Ok(ours)
}

const QUEUED: &str = "SELECT id, file_path, policy_json FROM jobs
    WHERE status = 'queued' AND job_type = 'scan' ORDER BY +priority, rowid";

/// Begins a job: inserts its row, or takes the queued one. `false` when the queued one is no longer there
/// to take.
///
/// # Errors
/// Of SQLite.
pub fn begin(conn: &Connection, job: &Queued, queued: bool, pid: u32) -> rusqlite::Result<bool> {
    let now = Timestamp::now();
    let changed = if queued {
        conn.execute(
            "UPDATE jobs SET status = 'running', started_at = ?2, worker_pid = ?3, worker_heartbeat = ?2
             WHERE id = ?1 AND status = 'queued'",
            params![job.id, now, pid],
        )?
    } else {
        conn.execute(
            "INSERT INTO jobs (id, file_path, job_type, status, policy_json, created_at, started_at,
                worker_pid, worker_heartbeat)
             VALUES (?1, ?2, 'scan', 'running', ?3, ?4, ?4, ?5, ?4)",
            params![job.id, job.path, json(&job.options), now, pid],
        )?
    };
    Ok(changed > 0)
}

/// Heartbeat and progress of a running job; `false` when it is no longer called running.
///
/// # Errors
/// Of SQLite.
pub fn progress(conn: &Connection, id: &str, percent: f64, progress: &str) -> rusqlite::Result<bool> {
    let changed = conn.execute(
        "UPDATE jobs SET progress_percent = ?2, progress_json = ?3, worker_heartbeat = ?4
         WHERE id = ?1 AND status = 'running'",
        params![id, percent.clamp(0.0, 100.0), progress, Timestamp::now()],
    )?;
    Ok(changed > 0)
}

/// How a job ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum End {
    /// It did what it was asked to.
    Completed,
    /// It could not, for this reason.
    Failed(String),
    /// It was cancelled, for this reason.
    Cancelled(String),
}

/// The end of a job.
///
/// # Errors
/// Of SQLite.
pub fn end(conn: &Connection, id: &str, end: &End, summary: Option<&str>) -> rusqlite::Result<()> {
    let (status, error) = match end {
        End::Completed => (Status::Completed, None),
        End::Failed(reason) => (Status::Failed, Some(reason)),
        End::Cancelled(reason) => (Status::Cancelled, Some(reason)),
    };
    conn.execute(
        "UPDATE jobs SET status = ?2, error_message = ?3, summary_json = ?4, completed_at = ?5,
            progress_percent = CASE ?2 WHEN 'completed' THEN 100.0 ELSE progress_percent END
         WHERE id = ?1 AND status IN ('queued', 'running')",
        params![id, status, error, summary, Timestamp::now()],
    )?;
    Ok(())
}

/// Withdraws a job that is still queued; a running one continues.
///
/// # Errors
/// Of SQLite.
pub fn withdraw(conn: &Connection, id: &str, reason: &str) -> rusqlite::Result<()> {
    conn.execute(
        "UPDATE jobs SET status = ?2, error_message = ?3, completed_at = ?4 WHERE id = ?1 AND status = 'queued'",
        params![id, Status::Cancelled, reason, Timestamp::now()],
    )?;
    Ok(())
}

/// A scan of ours that is called running.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Running {
    /// `jobs.id`
    pub id: String,
    /// `worker_pid`
    pub pid: Option<u32>,
    /// `worker_heartbeat`. A change shows that the scan is alive; the value depends on the clock of the writer.
    pub heartbeat: Option<String>,
}

/// The newest of our scans that are called running.
///
/// # Errors
/// Of SQLite.
pub fn running(conn: &Connection) -> rusqlite::Result<Vec<Running>> {
    let mut statement = conn.prepare(RUNNING)?;
    let rows = statement.query_map([BY], |row| {
        Ok(exact_text(row, 0).map(|id| Running {
            id,
            pid: integer(row, 1).and_then(|pid| u32::try_from(pid).ok()),
            heartbeat: exact_text(row, 2),
        }))
    })?;
    rows.filter_map(Result::transpose).collect()
}

const RUNNING: &str = "SELECT id, worker_pid, worker_heartbeat FROM jobs
    WHERE status = 'running' AND job_type = 'scan'
        AND json_valid(policy_json) AND json_extract(policy_json, '$.by') = ?1
    ORDER BY rowid DESC LIMIT 16";

/// Marks every scan of ours that is still called running as failed, and returns how many. Only while holding the lock:
/// then the processes that ran them have ended.
///
/// # Errors
/// Of SQLite.
pub fn fail_abandoned(conn: &Connection) -> rusqlite::Result<usize> {
    conn.execute(
        "UPDATE jobs SET status = 'failed', completed_at = ?1,
            error_message = 'the scanner ended without a word (killed, or the machine went down); what it '
                || 'had stored is kept, and the next scan goes on from there'
         WHERE status = 'running' AND job_type = 'scan' AND json_valid(policy_json)
            AND json_extract(policy_json, '$.by') = ?2",
        params![Timestamp::now(), BY],
    )
}

/// Where the job `id` stands; `None` when there is no such row.
///
/// # Errors
/// Of SQLite.
pub fn standing(conn: &Connection, id: &str) -> rusqlite::Result<Option<Standing>> {
    conn.query_row(
        "SELECT status, progress_json, error_message, summary_json FROM jobs WHERE id = ?1",
        [id],
        |row| {
            Ok(Standing {
                status: row.get(0)?,
                progress: row.get(1)?,
                error: row.get(2)?,
                summary: row.get(3)?,
            })
        },
    )
    .optional()
}

fn json(options: &Options) -> String {
    serde_json::to_string(options).unwrap_or_default()
}
