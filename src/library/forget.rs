//! Removes rows of files that are gone for long, on request. The schema removes with a row of `files` its tracks, operations
//! and jobs; the tables of the daemon have no foreign keys. `daemon_changes` stays: it tells what happened.

use rusqlite::{Connection, params};
use serde::Serialize;

use super::lenient::{exact_text, unsigned};
use super::sqlite::is_absent;
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
    let own = OWN_TABLES.map(|table| {
        let prepare = |verb| prepare_if_there(conn, &format!("{verb} FROM {table} WHERE file_id = ?1"));
        Ok::<_, rusqlite::Error>((prepare("SELECT count(*)")?, prepare("DELETE")?))
    });
    let mut own = own.into_iter().collect::<Result<Vec<_>, _>>()?;
    let mut forgotten = Forgotten::default();
    for Missing { id, since, .. } in files {
        if !find.exists(params![id, since])? {
            continue;
        }
        forgotten.files += 1;
        forgotten.tracks += tracks.query_row([id], |row| Ok(unsigned(row, 0)))?;
        if let Some((Some(subtitles), _)) = own.last_mut() {
            forgotten.subtitles += subtitles.query_row([id], |row| Ok(unsigned(row, 0)))?;
        }
        if !is_dry_run {
            delete.execute(params![id, since])?;
            for statement in own.iter_mut().filter_map(|(_, delete)| delete.as_mut()) {
                statement.execute([id])?;
            }
        }
    }
    Ok(forgotten)
}

/// Prepares a statement; `None` if its table does not exist.
fn prepare_if_there<'a>(
    conn: &'a Connection,
    sql: &str,
) -> rusqlite::Result<Option<rusqlite::Statement<'a>>> {
    match conn.prepare(sql) {
        Err(error) if is_absent(&error) => Ok(None),
        prepared => prepared.map(Some),
    }
}
