//! Jobs as the API lists them, of this program and others, newest first.

use rusqlite::{Connection, OptionalExtension, Row, params};
use serde::Serialize;
use serde_json::Value;

use crate::library::lenient::{exact_text, integer, text};

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
    /// At most as many as were asked for.
    pub jobs: Vec<Job>,
    /// What to give as `after` for the next page; `None` when there is none.
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

/// By time of creation, then id. The plus keeps SQLite on the index by time, in whose order rows are wanted.
fn query() -> String {
    format!(
        "SELECT {COLUMNS} FROM jobs
         WHERE created_at <= ?1 AND (created_at < ?1 OR id < ?2)
            AND (?3 IS NULL OR +status = ?3) AND (?4 IS NULL OR job_type = ?4)
         ORDER BY created_at DESC, id DESC LIMIT ?5"
    )
}

/// Jobs older than the job `after`, newest first; `None` when there is no such job.
///
/// # Errors
/// What SQLite reports.
pub fn page(
    conn: &Connection,
    filter: &Filter,
    after: Option<&str>,
    limit: u32,
) -> rusqlite::Result<Option<Page>> {
    let start = match after {
        None => Some("~".to_owned()),
        Some(id) => conn
            .query_row("SELECT created_at FROM jobs WHERE id = ?1", [id], |row| row.get::<_, String>(0))
            .optional()?,
    };
    let Some(start) = start else { return Ok(None) };
    let mut statement = conn.prepare(&query())?;
    let values =
        params![start, after.unwrap_or_default(), filter.status, filter.job_type, limit.saturating_add(1)];
    let mut jobs = statement.query_map(values, |row| Ok(job(row)))?.collect::<rusqlite::Result<Vec<_>>>()?;
    let more = jobs.len() > limit as usize;
    jobs.truncate(limit as usize);
    let next = jobs.last().filter(|_| more).map(|job| job.id.clone());
    Ok(Some(Page { jobs, next }))
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
    fn pages_follow_the_index_by_time() {
        let page =
            ["?1", "?2", "?3", "?4", "?5"].iter().fold(query(), |sql, value| sql.replace(value, "'x'"));
        // The last term is the id, which only orders jobs of the same microsecond.
        assert_eq!(
            plan(&page.replace("LIMIT 'x'", "LIMIT 1"), &[]),
            "SEARCH jobs USING INDEX idx_jobs_created_at (created_at<?); USE TEMP B-TREE FOR LAST TERM OF ORDER BY"
        );
        let one = plan(&format!("SELECT {COLUMNS} FROM jobs WHERE id = 'x'"), &[]);
        assert_eq!(one, "SEARCH jobs USING INDEX sqlite_autoindex_jobs_1 (id=?)");
    }
}
