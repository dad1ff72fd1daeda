//! Jobs as the API lists them, of this program and others, the last inserted first: times come from clocks that may
//! jump, and the order of a listing must not.

use rusqlite::{Connection, OptionalExtension, Row, params};
use serde::Serialize;
use serde_json::Value;

use crate::library::lenient::{exact_text, integer, text, word};

/// A row of `jobs`.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[expect(missing_docs, reason = "the names are the columns")]
pub struct Job {
    pub id: String,
    pub job_type: String,
    pub status: String,
    pub file_id: Option<i64>,
    pub file_path: String,
    pub priority: i64,
    pub policy_name: Option<String>,
    /// `policy_json`, read.
    pub policy: Value,
    pub progress_percent: f64,
    /// `progress_json`, read.
    pub progress: Value,
    pub created_at: String,
    pub started_at: Option<String>,
    pub completed_at: Option<String>,
    pub worker_pid: Option<i64>,
    pub worker_heartbeat: Option<String>,
    pub error_message: Option<String>,
    /// `summary_json`, read.
    pub summary: Value,
}

/// Some jobs.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Page {
    /// At most as many as were asked for; where a type was asked for, perhaps fewer.
    pub jobs: Vec<Job>,
    /// The `cursor` of the next page; `None` on the last one.
    pub next_cursor: Option<String>,
    /// The same by its older name, until 1.0.
    pub next: Option<String>,
}

/// What to list.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filter {
    /// `status`
    pub status: Option<String>,
    /// `job_type`
    pub job_type: Option<String>,
}

const COLUMNS: &str = "id, job_type, status, file_id, file_path, priority, policy_name, policy_json, progress_percent,
    progress_json, created_at, started_at, completed_at, worker_pid, worker_heartbeat, error_message, summary_json";

/// Most rows that one page examines.
const WINDOW: usize = 50_000;

/// The rows before a rowid, the last inserted first. Without a condition on a type every row counts; with one, rows are
/// passed over, and their number is what a page bounds. The index on `status` holds rows of one status by rowid.
fn query(filter: &Filter) -> String {
    let status = if filter.status.is_some() { "status = ?2" } else { "?2 IS NULL" };
    format!("SELECT {COLUMNS} FROM jobs WHERE rowid < ?1 AND {status} ORDER BY rowid DESC")
}

/// Jobs that were inserted before the job `after`, the last inserted first; `None` when there is no such job.
///
/// # Errors
/// What SQLite reports.
pub fn page(
    conn: &Connection,
    filter: &Filter,
    after: Option<&str>,
    limit: u32,
) -> rusqlite::Result<Option<Page>> {
    let rowid = "SELECT rowid FROM jobs WHERE id = ?1";
    let start = match after {
        None => Some(i64::MAX),
        Some(id) => conn.query_row(rowid, [id], |row| row.get(0)).optional()?,
    };
    let Some(start) = start else { return Ok(None) };
    let mut statement = conn.prepare(&query(filter))?;
    let mut rows = statement.query(params![start, filter.status])?;
    let mut page = Page { jobs: Vec::new(), next_cursor: None, next: None };
    let (mut examined, mut last) = (0, None);
    while let Some(row) = rows.next()? {
        if page.jobs.len() >= limit as usize || examined >= WINDOW {
            page.next.clone_from(&last);
            page.next_cursor = last;
            break;
        }
        examined += 1;
        last = exact_text(row, 0);
        if filter.job_type.is_none() || filter.job_type.as_deref() == word(row, 1) {
            page.jobs.push(job(row));
        }
    }
    Ok(Some(page))
}

/// The last `limit` scans that were inserted, the last first. A scan has no `file_id`, so other jobs are not examined.
///
/// # Errors
/// What SQLite reports.
pub fn scans(conn: &Connection, limit: u32) -> rusqlite::Result<Vec<Job>> {
    let mut statement = conn.prepare(&scans_query())?;
    statement.query_map([limit], |row| Ok(job(row)))?.collect()
}

fn scans_query() -> String {
    format!(
        "SELECT {COLUMNS} FROM jobs WHERE file_id IS NULL AND job_type = 'scan' ORDER BY rowid DESC LIMIT ?1"
    )
}

/// One job.
///
/// # Errors
/// What SQLite reports.
pub fn details(conn: &Connection, id: &str) -> rusqlite::Result<Option<Job>> {
    conn.query_row(&format!("SELECT {COLUMNS} FROM jobs WHERE id = ?1"), [id], |row| Ok(job(row))).optional()
}

fn job(row: &Row<'_>) -> Job {
    let json = |column: usize| -> Value {
        let text = exact_text(row, column);
        text.and_then(|text| serde_json::from_str(&text).ok()).unwrap_or_default()
    };
    Job {
        id: text(row, 0).unwrap_or_default(),
        job_type: text(row, 1).unwrap_or_default(),
        status: text(row, 2).unwrap_or_default(),
        file_id: integer(row, 3),
        file_path: text(row, 4).unwrap_or_default(),
        priority: integer(row, 5).unwrap_or_default(),
        policy_name: text(row, 6),
        policy: json(7),
        progress_percent: row.get(8).unwrap_or_default(),
        progress: json(9),
        created_at: text(row, 10).unwrap_or_default(),
        started_at: text(row, 11),
        completed_at: text(row, 12),
        worker_pid: integer(row, 13),
        worker_heartbeat: text(row, 14),
        error_message: text(row, 15),
        summary: json(16),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::library::schema::plan;

    #[test]
    fn pages_follow_the_rowids() {
        let all = query(&Filter::default());
        assert_eq!(
            plan(&all, &[Box::new(1), Box::new(None::<String>)]),
            "SEARCH jobs USING INTEGER PRIMARY KEY (rowid<?)"
        );
        let failed = query(&Filter { status: Some("failed".to_owned()), job_type: None });
        assert_eq!(
            plan(&failed, &[Box::new(1), Box::new("failed")]),
            "SEARCH jobs USING INDEX idx_jobs_status (status=? AND rowid<?)"
        );
        let scans = plan(&scans_query(), &[Box::new(1)]);
        assert_eq!(scans, "SEARCH jobs USING INDEX idx_jobs_file_id (file_id=?)");
        let one = plan(&format!("SELECT {COLUMNS} FROM jobs WHERE id = 'x'"), &[]);
        assert_eq!(one, "SEARCH jobs USING INDEX sqlite_autoindex_jobs_1 (id=?)");
    }
}
