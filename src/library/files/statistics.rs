//! Counts and bytes over the whole library. Each of these reads a table or an index from end to end, which is
//! tens of milliseconds for a hundred thousand files: callers ask seldom, and keep the answer.

use rusqlite::Connection;

use super::{Status, bytes};

/// Files and bytes by status.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// Of each status that occurs: its word, files, bytes.
    pub by_status: Vec<(&'static str, u64, u64)>,
}

/// Counts files and bytes by status.
///
/// # Errors
/// What SQLite reports.
pub fn totals(conn: &Connection) -> rusqlite::Result<Totals> {
    let mut statement =
        conn.prepare("SELECT scan_status, count(*), sum(size_bytes) FROM files GROUP BY scan_status")?;
    let rows = statement.query_map([], |row| {
        let status = Status::of(row.get_ref(0)?.as_str()?);
        Ok((status.as_str(), bytes(row, 1)?, bytes(row, 2)?))
    })?;
    let mut totals = Totals::default();
    for row in rows {
        let (status, files, size) = row?;
        match totals.by_status.iter_mut().find(|(word, ..)| *word == status) {
            // Words of other programs are counted together.
            Some(sum) => (sum.1, sum.2) = (sum.1 + files, sum.2 + size),
            None => totals.by_status.push((status, files, size)),
        }
    }
    Ok(totals)
}
