//! Jobs as the API lists them, of this program and others, the last inserted first: times come from clocks that may
//! jump, and the order of a listing must not.

use rusqlite::{Connection, OptionalExtension, Row, params};
use serde::Serialize;
use serde_json::Value;

use crate::base::text::{CUT, cut};
use crate::library::lenient::{exact_text, integer, text, word};
use crate::library::room::Room;

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
    /// `policy_json`, read; shortened when longer than 16 KiB, as the others.
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
    /// At most as many as were asked for; fewer where they take more than 256 KiB; where a type was asked for, perhaps fewer.
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
    let (mut examined, mut last, mut room) = (0, None, Room::page());
    while let Some(row) = rows.next()? {
        let is_wanted = filter.job_type.is_none() || filter.job_type.as_deref() == word(row, 1);
        let next = is_wanted.then(|| job(row));
        let is_full = page.jobs.len() >= limit as usize || examined >= WINDOW;
        if is_full || next.as_ref().is_some_and(|next| !room.fits(next)) {
            page.next.clone_from(&last);
            page.next_cursor = last;
            break;
        }
        examined += 1;
        last = exact_text(row, 0);
        page.jobs.extend(next);
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

/// A JSON column longer than this is shortened.
const JSON_BYTES: usize = 16 * 1024;

/// One longer than this is shown as null: reading it takes several times its length in memory.
const JSON_READ_BYTES: usize = 1024 * 1024;

/// What a JSON column holds, shortened; null where it is not JSON.
fn value(text: &str) -> Value {
    let read = Some(text).filter(|text| text.len() <= JSON_READ_BYTES);
    let value: Value = read.and_then(|text| serde_json::from_str(text).ok()).unwrap_or_default();
    if text.len() <= JSON_BYTES {
        return value;
    }
    Some(shortened(value)).filter(|value| value.to_string().len() <= JSON_BYTES).unwrap_or_default()
}

/// Lists of at most 8 values and texts of at most 512 bytes, with a mark where there are more.
fn shortened(value: Value) -> Value {
    match value {
        Value::String(mut text) => {
            cut(&mut text, 512);
            text.into()
        }
        Value::Array(values) => {
            let more = (values.len() > 8).then(|| CUT.to_string().into());
            values.into_iter().take(8).map(shortened).chain(more).collect()
        }
        Value::Object(values) => values.into_iter().map(|(key, value)| (key, shortened(value))).collect(),
        other => other,
    }
}

fn job(row: &Row<'_>) -> Job {
    let json = |column: usize| word(row, column).map(value).unwrap_or_default();
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
    fn long_json_is_shortened() {
        let long = "x".repeat(4_000);
        let summary = serde_json::json!({"added": 3, "mounts": vec![&long; 5], "walk_errors": 7});
        let shown = value(&summary.to_string());
        assert_eq!((&shown["added"], &shown["walk_errors"]), (&3.into(), &7.into()));
        let mounts = shown["mounts"].as_array().unwrap();
        assert!(mounts.iter().all(|mount| *mount == format!("{}{CUT}", &long[..512])));
        assert_eq!(mounts.len(), 5);
        let numbers: Vec<u32> = (0..20_000).collect();
        let shown = value(&serde_json::to_string(&numbers).unwrap());
        assert_eq!(shown.to_string(), "[0,1,2,3,4,5,6,7,\"\u{2026}\"]");
        for short in ["{\"a\":[1,2,3,4,5,6,7,8,9,10]}", "null"] {
            assert_eq!(value(short).to_string(), short);
        }
        let keys: serde_json::Map<_, _> = (0..9_000).map(|n| (n.to_string(), Value::Null)).collect();
        let too_long = serde_json::to_string(&"x".repeat(JSON_READ_BYTES)).unwrap();
        for shown in [value("{"), value(&Value::from(keys).to_string()), value(&too_long)] {
            assert_eq!(shown, Value::Null);
        }
    }

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
