//! Recording what a scan found out: the statements of one batch, within its transaction.

use rusqlite::{OptionalExtension, Row, Statement, Transaction, params};

use super::facts::store::FactsWriter;
use super::{SAME_TIME, Status, Unhashed};
use crate::base::facts::{Facts, TrackFacts};
use crate::base::timestamp::Timestamp;
use crate::library::lenient::{unsigned, word};

/// A row of `tracks` without its ids; `track_index` is the position.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names are the columns")]
pub struct Track<'a> {
    pub track_type: &'a str,
    pub codec: Option<&'a str>,
    pub language: Option<&'a str>,
    pub title: Option<&'a str>,
    pub is_default: bool,
    pub is_forced: bool,
    pub channels: Option<u32>,
    pub channel_layout: Option<&'a str>,
    pub width: Option<u32>,
    pub height: Option<u32>,
    pub frame_rate: Option<&'a str>,
}

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
    pub content: Result<Content<'a>, Failure<'a>>,
    /// Its hash, where the scan computed it at once.
    pub hash: Option<&'a str>,
    /// Version of the prober that has read it.
    pub prober: u32,
    /// When the file was first seen, if it is not one of those that were there before.
    pub first_seen: Option<Timestamp>,
}

/// Why a file could not be read.
#[derive(Clone, Copy, Debug)]
pub struct Failure<'a> {
    /// `files.scan_error`
    pub reason: &'a str,
    /// How many bytes it lacks, if its container states that.
    pub missing_bytes: Option<u64>,
}

/// What is in a file that could be read.
#[derive(Clone, Debug)]
pub struct Content<'a> {
    /// `files.container_format`
    pub container_format: &'a str,
    /// Seconds.
    pub duration_seconds: Option<f64>,
    /// Its facts.
    pub facts: &'a Facts,
    /// Its tracks with their facts, in order.
    pub tracks: Vec<(Track<'a>, &'a TrackFacts<&'static str>)>,
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
    /// `None` if no facts can be stored.
    facts: Option<FactsWriter<'tx>>,
    now: Timestamp,
}

impl<'tx> Writer<'tx> {
    /// Prepares the statements, and creates the tables of facts if they are not there.
    ///
    /// # Errors
    /// What SQLite reports.
    pub fn new(tx: &'tx Transaction<'_>) -> rusqlite::Result<Self> {
        Ok(Self {
            find: tx.prepare("SELECT id, size_bytes, modified_at FROM files WHERE path = ?1")?,
            insert: tx.prepare(
                "INSERT INTO files (path, filename, directory, extension, size_bytes, modified_at,
                    content_hash, container_format, scanned_at, scan_status, scan_error)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)",
            )?,
            update: tx.prepare(
                "UPDATE files SET extension = ?2, size_bytes = ?3, modified_at = ?4,
                    content_hash = CASE WHEN ?10 THEN coalesce(?5, content_hash) ELSE ?5 END,
                    container_format = ?6, scanned_at = ?7, scan_status = ?8, scan_error = ?9
                 WHERE id = ?1",
            )?,
            rename: tx.prepare(
                "UPDATE files SET path = ?2, filename = ?3, directory = ?4 WHERE id = ?1 AND path = ?5",
            )?,
            tracks: tx.prepare(
                "SELECT track_type, codec, language, title, is_default, is_forced, channels,
                    channel_layout, width, height, frame_rate, track_index
                 FROM tracks WHERE file_id = ?1 ORDER BY track_index",
            )?,
            delete_tracks: tx.prepare("DELETE FROM tracks WHERE file_id = ?1")?,
            insert_track: tx.prepare(
                "INSERT INTO tracks (file_id, track_index, track_type, codec, language, title, is_default,
                    is_forced, channels, channel_layout, width, height, frame_rate)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13)",
            )?,
            missing: tx.prepare(
                "UPDATE files SET scan_status = 'missing', scanned_at = ?3
                 WHERE id = ?1 AND path = ?2 AND scan_status <> 'missing'",
            )?,
            hash: tx.prepare(
                "UPDATE files SET content_hash = ?4 WHERE id = ?1 AND size_bytes = ?2 AND modified_at = ?3",
            )?,
            facts: FactsWriter::new(tx)?,
            now: Timestamp::now(),
        })
    }

    /// Records a file under its path: a new row, or the one that is there, which keeps its id.
    ///
    /// Its tracks are replaced with it, and with them what hangs on them; they stay as they are where the
    /// size is the same and so is every track (a file that came back, or was only touched). Its hash stays where the size and
    /// the time of change are the same.
    ///
    /// # Errors
    /// What SQLite reports.
    pub fn upsert(&mut self, record: &Record<'_>) -> rusqlite::Result<i64> {
        let row = self.find.query_row([record.path], |row| {
            let time = word(row, 2).and_then(Timestamp::parse);
            let is_same_time = time.is_some_and(|time| time.distance(record.modified) <= SAME_TIME);
            Ok((row.get(0)?, unsigned(row, 1) == record.size, is_same_time))
        });
        if let Some((id, is_same_size, is_same_time)) = row.optional()? {
            self.update(id, record, is_same_size && is_same_time)?;
            if is_same_size && self.has_tracks(id, record)? {
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
        self.write_facts(id, record, true)?;
        Ok(id)
    }

    /// As [`Self::upsert`], unless the row `id` is no longer that of the path. Says whether it was.
    ///
    /// # Errors
    /// What SQLite reports.
    pub fn refresh(&mut self, id: i64, record: &Record<'_>) -> rusqlite::Result<bool> {
        let found = self.find.query_row([record.path], |row| row.get(0)).optional()?;
        let is_same = found == Some(id);
        if is_same {
            self.upsert(record)?;
        }
        Ok(is_same)
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
        self.update(id, record, false)?;
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
        self.hash.execute(params![row.id, row.size.cast_signed(), row.modified, hash]).map(drop)
    }

    /// Deletes the facts of rows that another program has deleted from `files`.
    ///
    /// # Errors
    /// What SQLite reports.
    pub fn forget(&mut self, ids: &[i64]) -> rusqlite::Result<()> {
        let Some(facts) = &mut self.facts else { return Ok(()) };
        ids.iter().try_for_each(|id| facts.forget(*id))
    }

    /// Whether facts can be stored.
    #[must_use]
    pub fn stores_facts(&self) -> bool {
        self.facts.is_some()
    }

    fn write_facts(&mut self, id: i64, record: &Record<'_>, is_new: bool) -> rusqlite::Result<()> {
        let Some(facts) = &mut self.facts else { return Ok(()) };
        facts.write(id, record, record.first_seen.filter(|_| is_new))?;
        facts.write_tracks(id, record, is_new)
    }

    /// Updates the row, and replaces its facts.
    fn update(&mut self, id: i64, record: &Record<'_>, keeps_hash: bool) -> rusqlite::Result<()> {
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
            error,
            keeps_hash
        ])?;
        self.write_facts(id, record, false)
    }

    fn has_tracks(&mut self, id: i64, record: &Record<'_>) -> rusqlite::Result<bool> {
        let wanted = record.content.as_ref().map_or(&[][..], |content| &content.tracks);
        let mut rows = self.tracks.query([id])?;
        for (index, (track, _)) in (0_i64..).zip(wanted) {
            let Some(row) = rows.next()? else { return Ok(false) };
            // What cannot be read as a track is none that we have written.
            if !stored(row).is_ok_and(|stored| stored == (*track, index)) {
                return Ok(false);
            }
        }
        Ok(rows.next()?.is_none())
    }

    fn insert_tracks(&mut self, id: i64, record: &Record<'_>) -> rusqlite::Result<()> {
        let Ok(content) = &record.content else { return Ok(()) };
        for (index, (track, _)) in (0_i64..).zip(&content.tracks) {
            self.insert_track.execute(params![
                id,
                index,
                track.track_type,
                track.codec,
                track.language,
                track.title,
                track.is_default,
                track.is_forced,
                track.channels,
                track.channel_layout,
                track.width,
                track.height,
                track.frame_rate
            ])?;
        }
        Ok(())
    }
}

/// A track as it is stored, and its index.
fn stored<'a>(row: &'a Row<'_>) -> rusqlite::Result<(Track<'a>, i64)> {
    let track = Track {
        track_type: row.get_ref(0)?.as_str()?,
        codec: row.get_ref(1)?.as_str_or_null()?,
        language: row.get_ref(2)?.as_str_or_null()?,
        title: row.get_ref(3)?.as_str_or_null()?,
        is_default: row.get(4)?,
        is_forced: row.get(5)?,
        channels: row.get(6)?,
        channel_layout: row.get_ref(7)?.as_str_or_null()?,
        width: row.get(8)?,
        height: row.get(9)?,
        frame_rate: row.get_ref(10)?.as_str_or_null()?,
    };
    Ok((track, row.get(11)?))
}

fn outcome<'a>(record: &Record<'a>) -> (Option<&'a str>, &'static str, Option<&'a str>) {
    match &record.content {
        Ok(content) => (Some(content.container_format), Status::Ok.as_str(), None),
        Err(failure) => (None, Status::Error.as_str(), Some(failure.reason)),
    }
}

fn split(path: &str) -> (&str, &str) {
    match path.rsplit_once('/') {
        Some(("", filename)) => ("/", filename),
        Some(parts) => parts,
        None => (".", path),
    }
}
