//! Recording what a scan found out: the statements of one batch, within its transaction.

use rusqlite::{OptionalExtension, Statement, ToSql, Transaction, params, params_from_iter};

use super::tracks::{self, Track};
use super::{Status, Unhashed};
use crate::base::timestamp::Timestamp;
use crate::library::lenient::{integer, unsigned};

/// What a scan found out about one file.
#[derive(Clone, Debug)]
pub struct Record<'a> {
    /// Absolute, in the stored form.
    pub path: &'a str,
    /// Lower case, without the dot.
    pub extension: &'a str,
    /// Bytes.
    pub size: u64,
    /// The file's mtime.
    pub modified: Timestamp,
    /// Its content, or why it could not be read.
    pub content: Result<Content<'a>, &'a str>,
    /// Its hash, where the scan computed it at once.
    pub hash: Option<&'a str>,
}

/// What is in a file that could be read.
#[derive(Clone, Debug)]
pub struct Content<'a> {
    /// `files.container_format`
    pub container_format: &'a str,
    /// Its tracks, in order.
    pub tracks: Vec<Track<'a>>,
}

/// The statements of one batch, prepared once for it.
pub struct Writer<'tx> {
    find: Statement<'tx>,
    insert: Statement<'tx>,
    update: Statement<'tx>,
    rename: Statement<'tx>,
    tracks: Statement<'tx>,
    delete_tracks: Statement<'tx>,
    insert_track: Statement<'tx>,
    missing: Statement<'tx>,
    hash: Statement<'tx>,
    now: Timestamp,
}

impl<'tx> Writer<'tx> {
    /// Prepares the statements.
    ///
    /// # Errors
    /// What SQLite reports.
    pub fn new(tx: &'tx Transaction<'_>) -> rusqlite::Result<Self> {
        Ok(Self {
            find: tx.prepare("SELECT id, size_bytes FROM files WHERE path = ?1")?,
            insert: tx.prepare(
                "INSERT INTO files (path, filename, directory, extension, size_bytes, modified_at,
                    content_hash, container_format, scanned_at, scan_status, scan_error)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)",
            )?,
            update: tx.prepare(
                "UPDATE files SET extension = ?2, size_bytes = ?3, modified_at = ?4, content_hash = ?5,
                    container_format = ?6, scanned_at = ?7, scan_status = ?8, scan_error = ?9
                 WHERE id = ?1",
            )?,
            rename: tx.prepare(
                "UPDATE files SET path = ?2, filename = ?3, directory = ?4 WHERE id = ?1 AND path = ?5",
            )?,
            tracks: tx.prepare(&format!(
                "SELECT track_index, {} FROM tracks WHERE file_id = ?1 ORDER BY track_index",
                tracks::names()
            ))?,
            delete_tracks: tx.prepare("DELETE FROM tracks WHERE file_id = ?1")?,
            insert_track: tx.prepare(&tracks::insert())?,
            missing: tx.prepare(
                "UPDATE files SET scan_status = 'missing', scanned_at = ?3
                 WHERE id = ?1 AND path = ?2 AND scan_status <> 'missing'",
            )?,
            hash: tx.prepare(
                "UPDATE files SET content_hash = ?4 WHERE id = ?1 AND size_bytes = ?2 AND modified_at = ?3",
            )?,
            now: Timestamp::now(),
        })
    }

    /// Records a file under its path: a new row, or the one that is there, which keeps its id.
    ///
    /// Its tracks are replaced with it, and with them what hangs on them; they stay as they are where the
    /// size is the same and so is every track (a file that came back, or was only touched).
    ///
    /// # Errors
    /// What SQLite reports.
    pub fn upsert(&mut self, record: &Record<'_>) -> rusqlite::Result<i64> {
        let row = self.find.query_row([record.path], |row| Ok((row.get(0)?, unsigned(row, 1)))).optional()?;
        if let Some((id, size)) = row {
            self.update(id, record)?;
            if size == record.size && self.has_tracks(id, record)? {
                return Ok(id);
            }
            self.delete_tracks.execute([id])?;
            self.insert_tracks(id, record)?;
            return Ok(id);
        }
        let (directory, filename) = split(record.path);
        let (container, status, error) = outcome(record);
        let id = self.insert.insert(params![
            record.path,
            filename,
            directory,
            record.extension,
            record.size.cast_signed(),
            record.modified,
            record.hash,
            container,
            self.now,
            status,
            error
        ])?;
        self.insert_tracks(id, record)?;
        Ok(id)
    }

    /// Records that the file of row `id` is no longer at `from` but at `record.path`; `false`, and nothing done, where
    /// another row is already, or the row has gone on meanwhile.
    ///
    /// # Errors
    /// What SQLite reports.
    pub fn relocate(&mut self, id: i64, from: &str, record: &Record<'_>) -> rusqlite::Result<bool> {
        if self.find.exists([record.path])? {
            return Ok(false);
        }
        let (directory, filename) = split(record.path);
        if self.rename.execute(params![id, record.path, filename, directory, from])? == 0 {
            return Ok(false);
        }
        self.update(id, record)?;
        if !self.has_tracks(id, record)? {
            self.delete_tracks.execute([id])?;
            self.insert_tracks(id, record)?;
        }
        Ok(true)
    }

    /// The file of row `id` at `path` is gone. Says whether that was news.
    ///
    /// # Errors
    /// What SQLite reports.
    pub fn mark_missing(&mut self, id: i64, path: &str) -> rusqlite::Result<bool> {
        Ok(self.missing.execute(params![id, path, self.now])? > 0)
    }

    /// Records a hash, unless the row has changed since [`unhashed`](super::unhashed) gave it out.
    ///
    /// # Errors
    /// What SQLite reports.
    pub fn set_hash(&mut self, row: &Unhashed, hash: &str) -> rusqlite::Result<()> {
        self.hash.execute(params![row.id, row.size.cast_signed(), row.modified, hash]).map(|_| ())
    }

    fn update(&mut self, id: i64, record: &Record<'_>) -> rusqlite::Result<()> {
        let (container, status, error) = outcome(record);
        self.update.execute(params![
            id,
            record.extension,
            record.size.cast_signed(),
            record.modified,
            record.hash,
            container,
            self.now,
            status,
            error
        ])?;
        Ok(())
    }

    fn has_tracks(&mut self, id: i64, record: &Record<'_>) -> rusqlite::Result<bool> {
        let wanted = record.content.as_ref().map_or(&[][..], |content| &content.tracks);
        let mut rows = self.tracks.query([id])?;
        for (index, track) in (0_i64..).zip(wanted) {
            let Some(row) = rows.next()? else { return Ok(false) };
            if integer(row, 0) != Some(index) || !tracks::is_stored(row, 1, track) {
                return Ok(false);
            }
        }
        Ok(rows.next()?.is_none())
    }

    fn insert_tracks(&mut self, id: i64, record: &Record<'_>) -> rusqlite::Result<()> {
        let Ok(content) = &record.content else { return Ok(()) };
        for (index, track) in (0_i64..).zip(&content.tracks) {
            let ids: [&dyn ToSql; 2] = [&id, &index];
            let values = track.iter().map(|(_, value)| value as &dyn ToSql);
            self.insert_track.execute(params_from_iter(ids.into_iter().chain(values)))?;
        }
        Ok(())
    }
}

fn outcome<'a>(record: &Record<'a>) -> (Option<&'a str>, &'static str, Option<&'a str>) {
    match &record.content {
        Ok(content) => (Some(content.container_format), Status::Ok.as_str(), None),
        Err(reason) => (None, Status::Error.as_str(), Some(reason)),
    }
}

fn split(path: &str) -> (&str, &str) {
    match path.rsplit_once('/') {
        Some(("", filename)) => ("/", filename),
        Some(parts) => parts,
        None => (".", path),
    }
}
