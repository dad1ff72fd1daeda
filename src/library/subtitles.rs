//! Rows of `daemon_subtitles`: the subtitle files beside videos.
//!
//! The table is the daemon's own and has no foreign keys. The first write creates it; where it does not exist, no video has
//! subtitle files.

use rusqlite::{Connection, Statement, Transaction, params};

use super::files::Known;
use super::sqlite::is_absent;

/// The table.
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

/// What separates the names of a list. No name has two slashes in a row.
pub const SEPARATOR: &str = "//";

/// A subtitle file.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names are the columns")]
pub struct Subtitle<'a> {
    pub name: &'a str,
    pub language: String,
    pub tag: Option<String>,
    pub is_forced: bool,
    pub is_hearing_impaired: bool,
    pub format: &'static str,
}

/// Adds to each row the names of its subtitle files, ordered and separated by [`SEPARATOR`].
///
/// # Errors
/// What SQLite reports.
pub fn attach(conn: &Connection, rows: &mut [Known]) -> rusqlite::Result<()> {
    let mut statement = match conn.prepare(NAMES) {
        Ok(statement) => statement,
        Err(error) if is_absent(&error) => return Ok(()),
        Err(error) => return Err(error),
    };
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
            let (Ok(id), Some(name)) = (row.get::<_, i64>(0), super::lenient::word(row, 1)) else { continue };
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
    match conn.prepare(NAMES) {
        Err(error) if is_absent(&error) => Ok(false),
        prepared => prepared.map(|_| true),
    }
}

/// Deletes rows of videos that are no longer recorded, because another program has deleted theirs.
///
/// # Errors
/// What SQLite reports.
pub fn delete_orphans(conn: &Connection) -> rusqlite::Result<()> {
    let sql = "DELETE FROM daemon_subtitles WHERE file_id NOT IN (SELECT id FROM files)";
    match conn.execute(sql, []) {
        Err(error) if is_absent(&error) => Ok(()),
        deleted => deleted.map(|_| ()),
    }
}

/// What one video gained and lost.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Difference {
    /// Names of new subtitle files.
    pub added: Vec<String>,
    /// Names of those that are gone.
    pub gone: Vec<String>,
}

/// The statements of one batch.
pub struct Writer<'tx> {
    names: Statement<'tx>,
    insert: Statement<'tx>,
    delete: Statement<'tx>,
}

impl<'tx> Writer<'tx> {
    /// Prepares the statements; creates the table if there is none of its shape.
    ///
    /// # Errors
    /// What SQLite reports.
    pub fn new(tx: &'tx Transaction<'_>) -> rusqlite::Result<Self> {
        let insert = "REPLACE INTO daemon_subtitles
                (file_id, name, language, tag, is_forced, is_hearing_impaired, format)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)";
        let insert = match tx.prepare(insert) {
            Err(error) if is_absent(&error) => {
                tx.execute_batch("DROP TABLE IF EXISTS daemon_subtitles")?;
                tx.execute_batch(SQL)?;
                tx.prepare(insert)?
            }
            prepared => prepared?,
        };
        Ok(Self {
            names: tx.prepare(NAMES)?,
            insert,
            delete: tx.prepare("DELETE FROM daemon_subtitles WHERE file_id = ?1 AND name = ?2")?,
        })
    }

    /// Records the subtitle files of a video, ordered by name, in place of those that are recorded.
    ///
    /// # Errors
    /// What SQLite reports.
    pub fn set(&mut self, file_id: i64, subtitles: &[Subtitle<'_>]) -> rusqlite::Result<Difference> {
        let mut difference = Difference::default();
        let known = self.names.query_map([file_id, file_id], |row| row.get::<_, String>(1))?;
        let known = known.collect::<Result<Vec<_>, _>>()?;
        for name in &known {
            if subtitles.binary_search_by(|subtitle| subtitle.name.cmp(name)).is_err() {
                self.delete.execute(params![file_id, name])?;
                difference.gone.push(name.clone());
            }
        }
        for subtitle in subtitles {
            if known.binary_search_by(|name| (**name).cmp(subtitle.name)).is_ok() {
                continue;
            }
            self.insert.execute(params![
                file_id,
                subtitle.name,
                subtitle.language,
                subtitle.tag,
                subtitle.is_forced,
                subtitle.is_hearing_impaired,
                subtitle.format
            ])?;
            difference.added.push(subtitle.name.to_owned());
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
