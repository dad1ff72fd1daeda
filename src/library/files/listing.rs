//! Files as the API lists them: filters, pages, one file with its tracks.
//!
//! A page is bounded whatever the filter and however large the library: it either follows an index that holds
//! the filter and the order, or examines [`WINDOW`] rows by their ids and returns a cursor.

use rusqlite::{Connection, OptionalExtension, Row, ToSql, params, params_from_iter};
use serde::Serialize;

use super::facts::{self, Cut, StoredTrackFacts};
use super::statistics::is_image;
use crate::base::facts::Facts;
use crate::base::fold::{contains, fold};
use crate::library::lenient::{integer, text, word};
use crate::library::room::Room;
use crate::library::subtitles::{self, Subtitle};

/// Most rows of `files` that one page examines.
const WINDOW: i64 = 50_000;

/// [`with_tracks`] ends after the file that exceeds this.
const TRACKS_BYTES: usize = 4 << 20;

/// Most subtitle files of one video.
const SUBTITLES: usize = 100;

/// What to list. Every condition given must hold.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filter {
    /// `scan_status`
    pub status: Option<String>,
    /// Lower case, without the dot.
    pub extension: Option<String>,
    /// A track has this codec.
    pub codec: Option<String>,
    /// A track has this language.
    pub language: Option<String>,
    /// The file lies directly in this directory.
    pub directory: Option<String>,
    /// The path contains this, whatever the case of ASCII letters.
    pub path_contains: Option<String>,
}

/// A row of `files`, with its facts.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[expect(missing_docs, reason = "the names are the columns")]
pub struct File {
    pub id: i64,
    pub path: String,
    pub filename: String,
    pub directory: String,
    pub extension: String,
    pub size_bytes: i64,
    pub modified_at: String,
    pub content_hash: Option<String>,
    pub container_format: Option<String>,
    pub scanned_at: String,
    pub scan_status: String,
    pub scan_error: Option<String>,
    /// When the file was first seen; `None` if it was there at the first scan.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub first_seen: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub duration_seconds: Option<f64>,
    /// Bits per second, of the whole file.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bit_rate: Option<u64>,
    /// Zero bytes at its end, if they fill 64 KiB.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub zero_tail: Option<u64>,
    #[serde(flatten, serialize_with = "Facts::serialize_known")]
    pub facts: Facts,
    /// Whether the facts are of the file as the row describes it. If not, they are unknown.
    #[serde(skip)]
    pub are_facts_current: bool,
}

impl File {
    /// Whether it is cut short: it ends with zeros, or before the end that its container states. `None`: not known.
    #[must_use]
    pub fn is_truncated(&self) -> Option<bool> {
        self.cut().map(Cut::is_truncated)
    }

    /// How it ends, as [`Cut::find`].
    #[must_use]
    pub fn cut(&self) -> Option<Cut> {
        let size = self.size_bytes.try_into().unwrap_or_default();
        Cut::of(size, self.zero_tail.is_some(), &self.facts)
    }
}

/// A row of `tracks`, with its facts.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[expect(missing_docs, reason = "the names are the columns")]
pub struct Track {
    pub id: i64,
    pub track_index: i64,
    pub track_type: String,
    pub codec: Option<String>,
    pub language: Option<String>,
    pub title: Option<String>,
    pub is_default: bool,
    pub is_forced: bool,
    pub channels: Option<i64>,
    pub channel_layout: Option<String>,
    pub width: Option<i64>,
    pub height: Option<i64>,
    pub frame_rate: Option<String>,
    #[serde(flatten, serialize_with = "StoredTrackFacts::serialize_known")]
    pub facts: StoredTrackFacts,
}

/// A file with its tracks.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Details {
    /// Its row.
    #[serde(flatten)]
    pub file: File,
    /// Its tracks, in order.
    pub tracks: Vec<Track>,
    /// The subtitle files beside it, by name; the first 100.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub subtitles: Vec<Subtitle<'static>>,
    /// Whether the tracks are only the first ones: all of them take more than 1 MiB.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub truncated: bool,
}

impl Details {
    /// The largest video track that is not a cover; of tracks of the same width the first.
    #[must_use]
    pub fn picture(&self) -> Option<&Track> {
        let is_picture = |track: &&Track| {
            let is_cover = track.frame_rate.is_none() && is_image(track.codec.as_deref());
            track.track_type == "video" && !is_cover
        };
        self.tracks.iter().rev().filter(is_picture).max_by_key(|track| track.width)
    }
}

impl From<File> for Details {
    fn from(file: File) -> Self {
        Self { file, tracks: Vec::new(), subtitles: Vec::new(), truncated: false }
    }
}

/// Some files, by id.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Page {
    /// At most as many as were asked for; fewer where they take more than 256 KiB, and perhaps where rows had to be examined
    /// one by one.
    pub files: Vec<File>,
    /// The `cursor` of the next page; `None` on the last one.
    pub next_cursor: Option<i64>,
    /// The same by its older name, until 1.0.
    pub next: Option<i64>,
}

impl Page {
    fn new(files: Vec<File>, next: Option<i64>) -> Self {
        Self { files, next_cursor: next, next }
    }
}

/// The query of files, up to its conditions.
fn select(source: &facts::Source) -> String {
    format!(
        "SELECT files.id, path, filename, directory, extension, files.size_bytes, files.modified_at, content_hash,
            container_format, scanned_at, scan_status, scan_error, {} FROM files{}",
        source.file_columns(),
        source.join()
    )
}

/// The query of a page, and what it is given.
fn query(filter: &Filter, source: &facts::Source, after: i64, limit: u32) -> (String, Vec<Box<dyn ToSql>>) {
    // SQLite folds ASCII only, so whether the path contains a text is found out row by row.
    let limit = if filter.path_contains.is_some() { u32::MAX } else { limit };
    let mut sql = format!("{} WHERE files.id > ? AND files.id <= ?", select(source));
    let mut values: Vec<Box<dyn ToSql>> = vec![Box::new(after), Box::new(window_end(filter, after))];
    let mut condition = |text: &str, value: Option<String>| {
        if let Some(value) = value {
            sql.push_str(" AND ");
            sql.push_str(text);
            values.push(Box::new(value));
        }
    };
    condition("directory = ?", filter.directory.clone());
    condition("extension = ?", filter.extension.clone());
    condition("scan_status = ?", filter.status.clone());
    let track = "EXISTS (SELECT 1 FROM tracks WHERE tracks.file_id = files.id AND";
    condition(&format!("{track} codec = ?)"), filter.codec.clone());
    // The plus keeps SQLite from the index on languages, which holds half of all tracks under `und`.
    condition(&format!("{track} +language = ?)"), filter.language.clone());
    sql.push_str(" ORDER BY files.id LIMIT ?");
    values.push(Box::new(limit));
    (sql, values)
}

/// The last id that a page after `after` examines. An index that gives the rows in order needs no end, as long
/// as no other condition makes it pass over rows.
fn window_end(filter: &Filter, after: i64) -> i64 {
    let Filter { status, codec, language, path_contains, .. } = filter;
    let passes_over = [status, codec, language, path_contains].into_iter().any(Option::is_some);
    let indexes = usize::from(filter.directory.is_some()) + usize::from(filter.extension.is_some());
    if passes_over || indexes > 1 { after.saturating_add(WINDOW) } else { i64::MAX }
}

/// The files after `after` to which `filter` applies.
///
/// # Errors
/// What SQLite reports.
pub fn page(conn: &Connection, filter: &Filter, after: i64, limit: u32) -> rusqlite::Result<Page> {
    // One more than wanted shows whether there are more.
    let (sql, values) = query(filter, &facts::Source::new(conn)?, after, limit.saturating_add(1));
    let mut statement = conn.prepare(&sql)?;
    let mut rows = statement.query(params_from_iter(values))?;
    let (mut files, mut room) = (Vec::new(), Room::page());
    let part = filter.path_contains.as_deref().map(fold);
    while let Some(row) = rows.next()? {
        if part.as_ref().is_some_and(|part| !text(row, 1).is_some_and(|path| contains(part, &path))) {
            continue;
        }
        let next = file(row)?;
        if files.len() >= limit as usize || !room.fits(&next) {
            let last = files.last().map(|file: &File| file.id);
            return Ok(Page::new(files, last));
        }
        files.push(next);
    }
    let end = window_end(filter, after);
    let last: Option<i64> = conn.query_one("SELECT max(id) FROM files", [], |row| row.get(0))?;
    Ok(Page::new(files, last.filter(|last| *last > end).map(|_| end)))
}

/// One file.
///
/// # Errors
/// What SQLite reports.
pub fn details(conn: &Connection, id: i64) -> rusqlite::Result<Option<Details>> {
    let sql = format!("{} WHERE files.id = ?1", select(&facts::Source::new(conn)?));
    let found = conn.query_row(&sql, [id], file).optional()?;
    Ok(match found {
        Some(file) => with_tracks(conn, vec![file])?.pop(),
        None => None,
    })
}

/// Files by their ids, in that order; those without a row are left out.
///
/// # Errors
/// What SQLite reports.
pub fn chosen(conn: &Connection, ids: &[i64], tracks: bool) -> rusqlite::Result<Vec<Details>> {
    let source = facts::Source::new(conn)?;
    let mut statement = conn.prepare(&format!("{} WHERE files.id = ?1", select(&source)))?;
    let mut found = Vec::with_capacity(ids.len());
    for id in ids {
        let Some(file) = statement.query_row([id], file).optional()? else { continue };
        if tracks {
            found.extend(with_tracks_from(conn, &source, vec![file])?);
        } else {
            found.push(Details::from(file));
        }
    }
    Ok(found)
}

/// Files, in the order of their ids, with their tracks: the first of them, where the tracks of all would take too much memory.
///
/// # Errors
/// What SQLite reports.
pub fn with_tracks(conn: &Connection, files: Vec<File>) -> rusqlite::Result<Vec<Details>> {
    with_tracks_from(conn, &facts::Source::new(conn)?, files)
}

fn with_tracks_from(
    conn: &Connection,
    source: &facts::Source,
    files: Vec<File>,
) -> rusqlite::Result<Vec<Details>> {
    let mut found = add_tracks(conn, source, files.into_iter().map(Details::from).collect())?;
    let ids = found.first().zip(found.last()).map(|(first, last)| (first.file.id, last.file.id));
    let Some((first, last)) = ids else { return Ok(found) };
    subtitles::read(conn, first, last, &mut |id, subtitle| {
        let at = found.binary_search_by_key(&id, |details| details.file.id).ok();
        let details = at.and_then(|at| found.get_mut(at));
        if let Some(details) = details.filter(|details| details.subtitles.len() < SUBTITLES) {
            details.subtitles.push(subtitle);
        }
    })?;
    Ok(found)
}

fn add_tracks(
    conn: &Connection,
    source: &facts::Source,
    mut found: Vec<Details>,
) -> rusqlite::Result<Vec<Details>> {
    let Some((first, last)) = found.first().zip(found.last()) else { return Ok(found) };
    let mut statement = conn.prepare(&tracks_sql(source))?;
    let mut rows = statement.query([first.file.id, last.file.id])?;
    let (mut at, mut room, mut bytes) = (0, Room::details(), 0);
    while let Some(row) = rows.next()? {
        let file_id: i64 = row.get(13)?;
        while found.get(at).is_some_and(|details| details.file.id < file_id) {
            at += 1;
            room = Room::details();
            if bytes > TRACKS_BYTES {
                found.truncate(at);
                return Ok(found);
            }
        }
        let Some(details) = found.get_mut(at).filter(|details| details.file.id == file_id) else { continue };
        let next = track(row, details.file.are_facts_current)?;
        details.truncated |= !room.fits(&next);
        if !details.truncated {
            bytes += size_of::<Track>() + next.title.as_ref().map_or(0, String::len);
            next.facts.each(&mut |_, value| bytes += value.text_len());
            details.tracks.push(next);
        }
    }
    Ok(found)
}

fn track(row: &Row<'_>, are_facts_current: bool) -> rusqlite::Result<Track> {
    Ok(Track {
        id: row.get(0)?,
        track_index: integer(row, 1).unwrap_or_default(),
        track_type: text(row, 2).unwrap_or_default(),
        codec: text(row, 3),
        language: text(row, 4),
        title: text(row, 5),
        is_default: integer(row, 6).is_some_and(|flag| flag != 0),
        is_forced: integer(row, 7).is_some_and(|flag| flag != 0),
        channels: integer(row, 8),
        channel_layout: text(row, 9),
        width: integer(row, 10),
        height: integer(row, 11),
        frame_rate: text(row, 12),
        facts: if are_facts_current { facts::of_track(row, 14) } else { StoredTrackFacts::default() },
    })
}

fn tracks_sql(source: &facts::Source) -> String {
    format!(
        "SELECT tracks.id, tracks.track_index, track_type, codec, language, title, is_default, is_forced, channels,
            channel_layout, width, height, frame_rate, tracks.file_id, {} FROM tracks{}
         WHERE tracks.file_id BETWEEN ?1 AND ?2 ORDER BY tracks.file_id, tracks.track_index",
        source.track_columns(),
        source.join_tracks()
    )
}

/// For each file, whether another file that is there has the same hash.
///
/// # Errors
/// What SQLite reports.
pub fn have_twins(conn: &Connection, files: &[Details]) -> rusqlite::Result<Vec<bool>> {
    let mut statement = conn.prepare(TWIN)?;
    let mut has_twin = |file: &File| match &file.content_hash {
        Some(hash) => statement.exists((hash, file.id)),
        None => Ok(false),
    };
    files.iter().map(|details| has_twin(&details.file)).collect()
}

const TWIN: &str =
    "SELECT 1 FROM files WHERE content_hash = ?1 AND id <> ?2 AND scan_status <> 'missing' LIMIT 1";

/// The codecs or languages of all tracks, the most frequent first and at most [`MOST_VALUES`], and those of subtitle files;
/// or the containers of all files.
///
/// # Errors
/// What SQLite reports.
pub fn values(conn: &Connection, column: Column) -> rusqlite::Result<Vec<String>> {
    let (column, table) = match column {
        Column::Codec => ("codec", "tracks"),
        Column::Language => ("language", "tracks"),
        Column::Container => ("container_format", "files"),
    };
    let mut statement = conn.prepare(&format!(
        "SELECT {column} FROM {table} WHERE {column} IS NOT NULL GROUP BY 1 ORDER BY count(*) DESC LIMIT {MOST_VALUES}"
    ))?;
    let found = statement.query_map([], |row| Ok(text(row, 0)))?.collect::<rusqlite::Result<Vec<_>>>()?;
    let mut found: Vec<String> = found.into_iter().flatten().collect();
    for (language, codec) in subtitles::values(conn)? {
        let value = match column {
            "codec" => codec.map(str::to_owned),
            "language" => Some(language),
            _ => None,
        };
        found.extend(value.filter(|value| !found.contains(value)));
    }
    Ok(found)
}

/// Whether the container of a file is `wanted`, or there are more than `most` files and none of the first is.
///
/// # Errors
/// What SQLite reports.
pub fn may_have_container(
    conn: &Connection,
    wanted: &dyn Fn(&str) -> bool,
    most: u32,
) -> rusqlite::Result<bool> {
    let mut statement = conn.prepare("SELECT container_format FROM files")?;
    let (mut rows, mut left) = (statement.query([])?, most);
    while let Some(row) = rows.next()? {
        if left == 0 || word(row, 0).is_some_and(wanted) {
            return Ok(true);
        }
        left -= 1;
    }
    Ok(false)
}

/// Whether a track or a subtitle file has a codec, in any case, or there are more than `most` tracks and none of the first
/// has it.
///
/// # Errors
/// What SQLite reports.
pub fn may_have_codec(conn: &Connection, codec: &str, most: u32) -> rusqlite::Result<bool> {
    let of_track =
        "SELECT 1 FROM (SELECT codec FROM tracks LIMIT ?2) WHERE codec = ?1 COLLATE NOCASE LIMIT 1";
    Ok(conn.prepare(of_track)?.exists(params![codec, most])?
        || subtitles::values(conn)?.iter().any(|(_, found)| *found == Some(codec))
        || conn.prepare("SELECT 1 FROM tracks LIMIT 1 OFFSET ?1")?.exists([most])?)
}

/// A column whose values [`values`] lists.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names are the columns")]
pub enum Column {
    Codec,
    Language,
    Container,
}

/// More different values are not of codecs and languages.
const MOST_VALUES: usize = 1000;

fn file(row: &Row<'_>) -> rusqlite::Result<File> {
    let known = facts::of_file(row, 12, 6);
    let size_bytes = integer(row, 5).unwrap_or_default();
    Ok(File {
        id: row.get(0)?,
        path: text(row, 1).unwrap_or_default(),
        filename: text(row, 2).unwrap_or_default(),
        directory: text(row, 3).unwrap_or_default(),
        extension: text(row, 4).unwrap_or_default(),
        size_bytes,
        modified_at: text(row, 6).unwrap_or_default(),
        content_hash: text(row, 7),
        container_format: text(row, 8),
        scanned_at: text(row, 9).unwrap_or_default(),
        scan_status: text(row, 10).unwrap_or_default(),
        scan_error: text(row, 11),
        first_seen: known.first_seen,
        duration_seconds: known.duration_seconds,
        bit_rate: known.duration_seconds.and_then(|seconds| bit_rate(size_bytes, seconds)),
        zero_tail: known.has_zero_tail.then_some(facts::ZERO_TAIL),
        facts: known.facts,
        are_facts_current: known.is_current,
    })
}

/// Bits per second of a file; `None` for one without length.
#[expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a rate"
)]
fn bit_rate(bytes: i64, seconds: f64) -> Option<u64> {
    (seconds > 0.0).then(|| (bytes.max(0) as f64 * 8.0 / seconds) as u64)
}

#[cfg(test)]
mod tests;
