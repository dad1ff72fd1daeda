//! The read of a look: version, one row, our own row, and whether the file is as long as it must be.

use std::fs::Metadata;
use std::path::Path;

use rusqlite::Connection;

use super::fault::{Fault, sqlite_fault};
use super::reason::Reason;
use crate::base::times::DATABASE_CHECK_BUSY_TIMEOUT;
use crate::library::connection::Reader;
use crate::library::identity::Row;
use crate::library::schema::{self, Mismatch};
use crate::library::sqlite::is_absent;

/// A sound content.
pub(super) struct Seen {
    pub(super) row: Option<Row>,
    pub(super) frames: Option<Frames>,
    /// The log has been written with all pages (`.restore`).
    pub(super) is_anew: bool,
}

/// Opens, reads, closes.
pub(super) fn examine(reader: &Reader, path: &Path, found: &Metadata, is_alone: bool) -> Result<Seen, Fault> {
    let look = |connection: &mut Connection| {
        Ok(match read(connection)? {
            Ok((extent, row)) => {
                let frames = frames(connection);
                let is_anew =
                    frames.is_some_and(|(log, _)| u64::try_from(log).is_ok_and(|log| log >= extent.pages));
                let seen = Seen { row, frames, is_anew };
                Sight::Library { cut: cut(frames, path, found.len(), &extent), seen }
            }
            Err(mismatch) => Sight::Other(mismatch),
        })
    };
    let sight =
        if is_alone { reader.read_as_it_is(look) } else { reader.read(DATABASE_CHECK_BUSY_TIMEOUT, look) };
    match sight.map_err(|error| sqlite_fault(path, &error))? {
        Sight::Library { cut: None, seen } => Ok(seen),
        Sight::Library { cut: Some(detail), .. } => Err(Fault::new(Reason::Corrupt, detail)),
        Sight::Other(mismatch) => {
            Err(Fault::new(Reason::WrongSchema, format!("{} {mismatch}", path.display())))
        }
    }
}

/// What a read through SQLite shows.
enum Sight {
    Library { cut: Option<String>, seen: Seen },
    Other(Mismatch),
}

/// The length that the database itself states.
struct Extent {
    pages: u64,
    page_size: u64,
}

/// Frames in the write-ahead log, and how many of them checkpoints have copied into the main file.
pub(in crate::library) type Frames = (i64, i64);

/// `None` without a log, or with one that we may not write: then SQLite does not count its frames.
fn frames(connection: &Connection) -> Option<Frames> {
    let frames =
        connection.query_row("PRAGMA wal_checkpoint = NOOP", [], |row| Ok((row.get(1)?, row.get(2)?)));
    frames.ok().filter(|(log, _)| *log >= 0)
}

/// Reads the version, a row of `files`, our own row and the stated length, in one transaction.
fn read(connection: &Connection) -> rusqlite::Result<Result<(Extent, Option<Row>), Mismatch>> {
    let transaction = connection.unchecked_transaction()?;
    if let Err(mismatch) = schema::version(&transaction)? {
        return Ok(Err(mismatch));
    }
    // The path is in the table itself: an index alone would not show that the table is there.
    match transaction.query_row("SELECT path, filename FROM files LIMIT 1", [], |_| Ok(())) {
        Ok(()) | Err(rusqlite::Error::QueryReturnedNoRows) => {}
        Err(error) if is_absent(&error) => {
            return Ok(Err(Mismatch::Incomplete { missing: vec!["files".to_owned()] }));
        }
        Err(error) => return Err(error),
    }
    let row = Row::read(&transaction)?;
    let pragma = |sql| transaction.query_row(sql, [], |row| row.get::<_, u32>(0)).map(u64::from);
    let extent = Extent { pages: pragma("PRAGMA page_count")?, page_size: pragma("PRAGMA page_size")? };
    Ok(Ok((extent, row)))
}

/// Describes a file that is shorter than it must be. Without a write-ahead log SQLite compares the length itself. With one it
/// uses the length that the log states. Pages that the file lacks must all be among the frames that no checkpoint has
/// copied: fewer frames than missing pages means that the file was truncated.
fn cut(frames: Option<Frames>, path: &Path, length: u64, extent: &Extent) -> Option<String> {
    let &Extent { pages, page_size } = extent;
    if length >= pages * page_size {
        return None;
    }
    let (log, copied) = frames?;
    let pending = u64::try_from(log - copied).unwrap_or(0);
    // A checkpoint may have made the file longer since.
    let length = std::fs::metadata(path).map_or(length, |found| found.len());
    (pages.saturating_sub(length / page_size) > pending)
        .then(|| format!("{} was cut short: {length} bytes of {}", path.display(), pages * page_size))
}
