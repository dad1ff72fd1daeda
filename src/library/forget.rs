//! Removes rows of files that are gone for long, on request. The schema removes with a row of `files` its tracks, operations
//! and jobs; the tables of the daemon have no foreign keys. `daemon_changes` stays: it records what happened.

use rusqlite::{Connection, params};
use serde::Serialize;

use super::lenient::{exact_text, unsigned};
use super::sqlite::prepare_if_there;
use crate::base::timestamp::Timestamp;

/// Tables with rows of one file and no foreign keys.
const OWN_TABLES: [&str; 3] = ["daemon_files", "daemon_tracks", "daemon_subtitles"];

/// A missing file.
#[derive(Clone, Debug)]
pub(crate) struct Missing {
    /// `files.id`
    pub id: i64,
    /// `files.path`
    pub path: String,
    /// `files.scanned_at`, as stored: since when it is missing.
    since: String,
}

/// How many rows were removed, or would be.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Forgotten {
    /// Of `files`.
    pub files: u64,
    /// Of `tracks`.
    pub tracks: u64,
    /// Of `daemon_subtitles`.
    pub subtitles: u64,
}

impl Forgotten {
    /// Adds what another step removed.
    pub(crate) fn add(&mut self, other: Self) {
        self.files += other.files;
        self.tracks += other.tracks;
        self.subtitles += other.subtitles;
    }
}

/// The next `limit` files after `after` that are missing since `before` or longer, ordered by id.
///
/// # Errors
/// What SQLite reports.
pub(crate) fn missing(
    conn: &Connection,
    before: Timestamp,
    after: i64,
    limit: usize,
) -> rusqlite::Result<Vec<Missing>> {
    let mut statement = conn.prepare(
        "SELECT id, path, scanned_at FROM files WHERE id > ?1 AND scan_status = 'missing' ORDER BY id",
    )?;
    let mut rows = statement.query([after])?;
    let mut found = Vec::new();
    while found.len() < limit
        && let Some(row) = rows.next()?
    {
        let (Some(path), Some(since)) = (exact_text(row, 1), exact_text(row, 2)) else { continue };
        if Timestamp::parse(&since).is_some_and(|since| since <= before) {
            found.push(Missing { id: row.get(0)?, path, since });
        }
    }
    Ok(found)
}

/// Removes the rows of files that are still missing since then, unless it `is_dry_run`.
///
/// # Errors
/// What SQLite reports.
pub(crate) fn forget(conn: &Connection, files: &[Missing], is_dry_run: bool) -> rusqlite::Result<Forgotten> {
    let is_still = "FROM files WHERE id = ?1 AND scan_status = 'missing' AND scanned_at = ?2";
    let mut find = conn.prepare(&format!("SELECT 1 {is_still}"))?;
    let mut delete = conn.prepare(&format!("DELETE {is_still}"))?;
    let mut tracks = conn.prepare("SELECT count(*) FROM tracks WHERE file_id = ?1")?;
    let mut subtitles = prepare_if_there(conn, "SELECT count(*) FROM daemon_subtitles WHERE file_id = ?1")?;
    let mut own = Vec::new();
    for table in OWN_TABLES {
        own.extend(prepare_if_there(conn, &format!("DELETE FROM {table} WHERE file_id = ?1"))?);
    }
    let mut forgotten = Forgotten::default();
    for Missing { id, since, .. } in files {
        if !find.exists(params![id, since])? {
            continue;
        }
        forgotten.files += 1;
        forgotten.tracks += tracks.query_row([id], |row| Ok(unsigned(row, 0)))?;
        if let Some(subtitles) = &mut subtitles {
            forgotten.subtitles += subtitles.query_row([id], |row| Ok(unsigned(row, 0)))?;
        }
        if !is_dry_run {
            delete.execute(params![id, since])?;
            for statement in &mut own {
                statement.execute([id])?;
            }
        }
    }
    Ok(forgotten)
}
