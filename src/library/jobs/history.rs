//! What earlier scans of ours left in `jobs`: the latest walk of a root, and how long rows are kept.
//!
//! A scan has no `file_id`, and the index on that column holds such rows in the order of their rowids. So rows of ours
//! are found there whatever number of jobs other programs have.

use rusqlite::{Connection, OptionalExtension, Row};

use super::BY;
use crate::library::lenient::exact_text;
use crate::library::timestamp::Timestamp;

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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::library::schema::plan;

    #[test]
    fn scans_are_found_along_the_index_that_holds_no_other_jobs() {
        let expected = "SEARCH jobs USING INDEX idx_jobs_file_id (file_id=?)";
        assert_eq!(plan(LAST_WALK, &[Box::new("/films"), Box::new(BY)]), expected);
    }
}
