//! What earlier scans of ours left in `jobs`: the latest walk of a root, and how long rows are kept.
//!
//! A scan has no `file_id`, and the index on that column holds such rows in the order of their rowids. So rows of ours
//! are found there whatever number of jobs other programs have.

use std::collections::HashMap;
use std::time::Duration;

use rusqlite::{Connection, OptionalExtension, Row, params};

use super::{BY, Status};
use crate::base::timestamp::Timestamp;
use crate::library::lenient::{exact_text, word};

/// A walk of all of a root that completed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Walk {
    /// `summary_json`
    pub summary: String,
    /// `completed_at`
    pub completed: Option<Timestamp>,
}

/// Our latest completed walk of all of the root `path`; scans of parts of it do not count. The latest is the one whose
/// row was inserted last: the times in the rows depend on clocks that may have been wrong.
///
/// # Errors
/// What SQLite reports.
pub fn last_walk(conn: &Connection, path: &str) -> rusqlite::Result<Option<Walk>> {
    let walk = |row: &Row<'_>| {
        let completed = exact_text(row, 1).as_deref().and_then(Timestamp::parse);
        Ok(Walk { summary: row.get(0)?, completed })
    };
    conn.query_row(LAST_WALK, [path, BY], walk).optional()
}

/// The plus keeps SQLite from the index on `status`, which mixes scans with the jobs of other programs.
const LAST_WALK: &str = "SELECT summary_json, completed_at FROM jobs
    WHERE file_id IS NULL AND +status = 'completed' AND job_type = 'scan' AND file_path = ?1
        AND json_valid(policy_json) AND json_extract(policy_json, '$.by') = ?2
        AND json_valid(summary_json) AND json_extract(summary_json, '$.root') IS NOT NULL
    ORDER BY rowid DESC LIMIT 1";

/// Rows of ours that are kept whatever their age: a clock that jumps ahead must not take all of the history.
const NEWEST: u32 = 100;

/// Rows that one step examines, and so deletes at most.
const STEP: usize = 500;

/// Roots whose latest walk is remembered; walks of others are kept.
const ROOTS: usize = 10_000;

/// Finds the rows of ours that are older than they are kept, from the newest to the oldest, a short read each.
///
/// Kept are: rows that are not finished; the [`NEWEST`] rows; the latest completed walk of each root, which the next
/// scan compares with; rows of other programs.
#[derive(Clone, Debug)]
pub struct Expiry {
    /// The last row that was examined.
    before: i64,
    /// Rows of ours that were examined.
    count: u32,
    /// By root, the id of the latest walk.
    walks: HashMap<String, String>,
    /// A row that came later is old enough.
    is_below_old: bool,
}

/// A row of ours.
struct Old {
    id: String,
    root: String,
    is_finished: bool,
    is_walk: bool,
    ended: Option<Timestamp>,
}

const OURS: &str = "SELECT rowid, id, file_path, status, coalesce(completed_at, created_at),
        status = 'completed' AND json_valid(summary_json) AND json_extract(summary_json, '$.root') IS NOT NULL,
        job_type = 'scan' AND json_valid(policy_json) AND json_extract(policy_json, '$.by') = ?2
    FROM jobs WHERE file_id IS NULL AND rowid < ?1 ORDER BY rowid DESC";

impl Expiry {
    /// Before the newest row.
    #[must_use]
    pub fn new() -> Self {
        Self { before: i64::MAX, count: 0, walks: HashMap::new(), is_below_old: false }
    }

    /// Examines the next rows; the ids of those that have been finished for `age`, and whether there are no more.
    ///
    /// # Errors
    /// What SQLite reports.
    pub fn step(
        &mut self,
        conn: &Connection,
        now: Timestamp,
        age: Duration,
    ) -> rusqlite::Result<(Vec<String>, bool)> {
        let mut statement = conn.prepare(OURS)?;
        let mut rows = statement.query(params![self.before, BY])?;
        let mut expired = Vec::new();
        for _ in 0..STEP {
            let Some(row) = rows.next()? else { return Ok((expired, true)) };
            self.before = row.get(0)?;
            if row.get::<_, Option<bool>>(6)? == Some(true)
                && let (Some(id), Some(root)) = (exact_text(row, 1), exact_text(row, 2))
            {
                let status = word(row, 3).and_then(Status::of);
                let old = Old {
                    id,
                    root,
                    is_finished: status.is_some_and(Status::is_final),
                    is_walk: row.get::<_, Option<bool>>(5)? == Some(true),
                    ended: exact_text(row, 4).as_deref().and_then(Timestamp::parse),
                };
                if self.has_expired(&old, now, age) {
                    expired.push(old.id);
                }
            }
        }
        Ok((expired, false))
    }

    fn has_expired(&mut self, row: &Old, now: Timestamp, age: Duration) -> bool {
        self.count = self.count.saturating_add(1);
        if row.is_walk && self.is_latest_walk(row) || self.count <= NEWEST || !row.is_finished {
            return false;
        }
        match row.ended.and_then(|ended| ended.until(now)) {
            Some(since) => {
                let is_old = since >= age;
                self.is_below_old |= is_old;
                is_old
            }
            // The clock was ahead; what was inserted before an old row is as old.
            None => self.is_below_old,
        }
    }

    fn is_latest_walk(&mut self, row: &Old) -> bool {
        if let Some(latest) = self.walks.get(&row.root) {
            return *latest == row.id;
        }
        if self.walks.len() < ROOTS {
            self.walks.insert(row.root.clone(), row.id.clone());
        }
        true
    }
}

impl Default for Expiry {
    fn default() -> Self {
        Self::new()
    }
}

/// Deletes finished rows of ours, and returns how many.
///
/// # Errors
/// What SQLite reports.
pub fn delete(conn: &Connection, ids: &[String]) -> rusqlite::Result<usize> {
    let mut statement = conn.prepare(
        "DELETE FROM jobs WHERE id = ?1 AND job_type = 'scan' AND status NOT IN ('queued', 'running')
            AND json_valid(policy_json) AND json_extract(policy_json, '$.by') = ?2",
    )?;
    ids.iter().map(|id| statement.execute([id.as_str(), BY])).sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::library::schema::plan;

    #[test]
    fn scans_are_found_along_the_index_that_holds_no_other_jobs() {
        let expected = "SEARCH jobs USING INDEX idx_jobs_file_id (file_id=?)";
        let after = format!("{} AND rowid<?)", expected.trim_end_matches(')'));
        assert_eq!(plan(OURS, &[Box::new(1), Box::new(BY)]), after);
        assert_eq!(plan(LAST_WALK, &[Box::new("/films"), Box::new(BY)]), expected);
    }

    #[test]
    fn what_is_old_expires_and_what_the_next_scan_needs_does_not() {
        const DAY: i64 = 24 * 3600;
        let now = Timestamp::from_unix(1000 * DAY, 0);
        let mut expiry = Expiry::new();
        let mut row = |root: &str, days_ago: i64, is_walk: bool, is_finished: bool| {
            let ended = Some(Timestamp::from_unix((1000 - days_ago) * DAY, 0));
            let id = format!("{root} {days_ago}");
            let old = Old { id, root: root.to_owned(), is_finished, is_walk, ended };
            expiry.has_expired(&old, now, Duration::from_secs(90 * 24 * 3600))
        };
        for number in 0..i64::from(NEWEST) {
            assert!(!row("/a", 500 - number, number == 50, true), "one of the newest, row {number}");
        }
        assert!(!row("/a", 89, true, true), "too young");
        assert!(!row("/a", -30_000, true, true), "the clock was ahead, and what came after is young");
        assert!(row("/a", 90, true, true), "old, and no longer the latest walk");
        assert!(row("/a", -30_000, true, true), "the clock was ahead, and what came after is old");
        assert!(!row("/b", 900, true, true), "the latest walk of another root");
        assert!(row("/b", 901, false, true) && row("/b", 902, true, true));
        assert!(!row("/b", 903, false, false), "not finished");
    }
}
