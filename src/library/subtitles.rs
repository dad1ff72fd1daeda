//! Rows of `daemon_subtitles`: the subtitle files beside videos.
//!
//! The table is the daemon's own and has no foreign keys. The first write creates it; where it does not exist, no video has
//! subtitle files.

use std::borrow::Cow;

use rusqlite::{Connection, Statement, Transaction, params};
use serde::Serialize;

use super::files::Known;
use super::lenient::{integer, text, word};
use super::own::OwnTable;

/// The table.
const TABLE: OwnTable = OwnTable { name: "daemon_subtitles", statements: &[SQL, INDEX] };

const SQL: &str = "\
CREATE TABLE daemon_subtitles (
    file_id INTEGER NOT NULL,             -- files.id of the video
    name TEXT NOT NULL,                   -- relative to the video's directory
    language TEXT NOT NULL,               -- as tracks.language; und if the name does not tell
    tag TEXT,                             -- BCP 47, if it says more than the language
    is_forced INTEGER NOT NULL,
    is_hearing_impaired INTEGER NOT NULL,
    format TEXT NOT NULL,                 -- srt, ass, ssa, vtt, sub, vobsub, sup
    PRIMARY KEY (file_id, name)
) WITHOUT ROWID";

const INDEX: &str = "CREATE INDEX daemon_subtitles_language ON daemon_subtitles (language)";

/// What separates the names of a list. No name has two slashes in a row.
pub const SEPARATOR: &str = "//";

/// A subtitle file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[expect(missing_docs, reason = "the names are the columns")]
pub struct Subtitle<'a> {
    pub name: Cow<'a, str>,
    pub language: String,
    pub tag: Option<String>,
    pub is_forced: bool,
    pub is_hearing_impaired: bool,
    pub format: Cow<'a, str>,
}

impl Subtitle<'_> {
    /// As ffprobe names what is in such files; `None` where the format may be one of several.
    #[must_use]
    pub fn codec(&self) -> Option<&'static str> {
        codec(&self.format)
    }
}

/// What a format is as a codec.
pub(super) fn codec(format: &str) -> Option<&'static str> {
    Some(match format {
        "srt" => "subrip",
        "ass" | "ssa" => "ass",
        "vtt" => "webvtt",
        "sup" => "hdmv_pgs_subtitle",
        "vobsub" => "dvd_subtitle",
        _ => return None,
    })
}

/// The languages of all subtitle files, with their codecs. Some occur more than once.
///
/// # Errors
/// What SQLite reports.
pub fn values(conn: &Connection) -> rusqlite::Result<Vec<(String, Option<&'static str>)>> {
    let mut found = Vec::new();
    if TABLE.exists(conn)? {
        let mut statement =
            conn.prepare("SELECT DISTINCT language, format FROM daemon_subtitles LIMIT 1000")?;
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            found.extend(text(row, 0).map(|language| (language, word(row, 1).and_then(codec))));
        }
    }
    Ok(found)
}

/// Reads language and format of the subtitle files of a video; `None` if none are recorded.
///
/// # Errors
/// What SQLite reports.
pub(super) fn prepare(conn: &Connection) -> rusqlite::Result<Option<Statement<'_>>> {
    const OF_ONE: &str = "SELECT language, format FROM daemon_subtitles WHERE file_id = ?1 LIMIT 100";
    TABLE.exists(conn)?.then(|| conn.prepare(OF_ONE)).transpose()
}

/// Adds to each row the names of its subtitle files, ordered and separated by [`SEPARATOR`].
///
/// # Errors
/// What SQLite reports.
pub fn attach(conn: &Connection, rows: &mut [Known]) -> rusqlite::Result<()> {
    if !TABLE.exists(conn)? {
        return Ok(());
    }
    let mut statement = conn.prepare(NAMES)?;
    let mut order: Vec<usize> = (0..rows.len()).collect();
    order.sort_unstable_by_key(|index| rows[*index].id);
    let (Some(first), Some(last)) = (order.first(), order.last()) else { return Ok(()) };
    // Rows of neighbouring paths usually have neighbouring ids; then one step through the table serves all.
    let span = rows[*last].id.saturating_sub(rows[*first].id);
    let is_dense = span < SPARSE * i64::try_from(rows.len()).unwrap_or(i64::MAX);
    let steps = if is_dense { vec![&order[..]] } else { order.chunks(1).collect() };
    for step in steps {
        let (Some(first), Some(last)) = (step.first(), step.last()) else { continue };
        let mut found = statement.query([rows[*first].id, rows[*last].id])?;
        let mut rest = step.iter();
        let mut current = rest.next();
        while let Some(row) = found.next()? {
            let (Ok(id), Some(name)) = (row.get::<_, i64>(0), word(row, 1)) else { continue };
            while current.is_some_and(|index| rows[*index].id < id) {
                current = rest.next();
            }
            if let Some(known) = current.map(|index| &mut rows[*index]).filter(|known| known.id == id) {
                if !known.subtitles.is_empty() {
                    known.subtitles.push_str(SEPARATOR);
                }
                known.subtitles.push_str(name);
            }
        }
    }
    Ok(())
}

/// Rows of the table for each that is wanted, up to which reading all is faster than looking each up.
const SPARSE: i64 = 16;

const NAMES: &str = "SELECT file_id, name FROM daemon_subtitles
    WHERE file_id >= ?1 AND file_id <= ?2 ORDER BY file_id, name";

/// Whether the table exists.
///
/// # Errors
/// What SQLite reports.
pub fn are_recorded(conn: &Connection) -> rusqlite::Result<bool> {
    TABLE.exists(conn)
}

/// Deletes rows of videos that are no longer recorded, because another program has deleted theirs.
///
/// # Errors
/// What SQLite reports.
pub fn delete_orphans(conn: &Connection) -> rusqlite::Result<()> {
    if TABLE.exists(conn)? {
        conn.execute("DELETE FROM daemon_subtitles WHERE file_id NOT IN (SELECT id FROM files)", [])?;
    }
    Ok(())
}

/// What one video gained and lost.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Difference {
    /// Names of new subtitle files.
    pub added: Vec<String>,
    /// Names of those that are gone.
    pub gone: Vec<String>,
}

/// Reads the subtitle files of the videos from `first` to `last`, by id, in the order of ids and names.
///
/// # Errors
/// What SQLite reports.
pub fn read(
    conn: &Connection,
    first: i64,
    last: i64,
    each: &mut dyn FnMut(i64, Subtitle<'static>),
) -> rusqlite::Result<()> {
    if !TABLE.exists(conn)? {
        return Ok(());
    }
    rows(&mut conn.prepare(ALL)?, first, last, each)
}

const ALL: &str =
    "SELECT file_id, name, language, tag, is_forced, is_hearing_impaired, format FROM daemon_subtitles
    WHERE file_id >= ?1 AND file_id <= ?2 ORDER BY file_id, name";

/// Reads what [`ALL`] selects.
fn rows(
    statement: &mut Statement<'_>,
    first: i64,
    last: i64,
    each: &mut dyn FnMut(i64, Subtitle<'static>),
) -> rusqlite::Result<()> {
    let mut rows = statement.query([first, last])?;
    while let Some(row) = rows.next()? {
        let (Some(id), Some(name), Some(language)) = (integer(row, 0), text(row, 1), text(row, 2)) else {
            continue;
        };
        let subtitle = Subtitle {
            name: name.into(),
            language,
            tag: text(row, 3),
            is_forced: integer(row, 4) == Some(1),
            is_hearing_impaired: integer(row, 5) == Some(1),
            format: text(row, 6).unwrap_or_default().into(),
        };
        each(id, subtitle);
    }
    Ok(())
}

/// The statements of one batch.
pub struct Writer<'tx>(Option<Statements<'tx>>);

struct Statements<'tx> {
    read: Statement<'tx>,
    replace: Statement<'tx>,
    delete: Statement<'tx>,
}

impl<'tx> Writer<'tx> {
    /// Creates the table if it does not exist, and prepares the statements. If it cannot be created, nothing is recorded.
    ///
    /// # Errors
    /// What SQLite reports.
    pub fn new(tx: &'tx Transaction<'_>) -> rusqlite::Result<Self> {
        if !TABLE.create(tx)? {
            return Ok(Self(None));
        }
        Ok(Self(Some(Statements {
            read: tx.prepare(ALL)?,
            replace: tx.prepare(
                "INSERT OR REPLACE INTO daemon_subtitles
                    (file_id, name, language, tag, is_forced, is_hearing_impaired, format)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
            )?,
            delete: tx.prepare("DELETE FROM daemon_subtitles WHERE file_id = ?1 AND name = ?2")?,
        })))
    }

    /// Records the subtitle files of a video, ordered by name, in place of those that are recorded. The difference is of names
    /// alone.
    ///
    /// # Errors
    /// What SQLite reports.
    pub fn set(&mut self, file_id: i64, subtitles: &[Subtitle<'_>]) -> rusqlite::Result<Difference> {
        let mut difference = Difference::default();
        let Some(Statements { read, replace, delete }) = &mut self.0 else { return Ok(difference) };
        let mut known = Vec::new();
        rows(read, file_id, file_id, &mut |_, subtitle| known.push(subtitle))?;
        for Subtitle { name, .. } in &known {
            if subtitles.binary_search_by(|subtitle| subtitle.name.cmp(name)).is_err() {
                delete.execute(params![file_id, name])?;
                difference.gone.push(name.clone().into_owned());
            }
        }
        for subtitle in subtitles {
            let before = known.binary_search_by(|known| known.name.cmp(&subtitle.name));
            if before.is_ok_and(|at| known[at] == *subtitle) {
                continue;
            }
            replace.execute(params![
                file_id,
                subtitle.name,
                subtitle.language,
                subtitle.tag,
                subtitle.is_forced,
                subtitle.is_hearing_impaired,
                subtitle.format
            ])?;
            if before.is_err() {
                difference.added.push(subtitle.name.clone().into_owned());
            }
        }
        Ok(difference)
    }

    /// Removes the subtitle files of a video, which has moved away from them.
    ///
    /// # Errors
    /// What SQLite reports.
    pub fn clear(&mut self, file_id: i64) -> rusqlite::Result<()> {
        self.set(file_id, &[]).map(|_| ())
    }
}
