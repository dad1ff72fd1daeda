//! Stores batches of files with their tracks, and moved files under their old rows. Runs within a transaction, so it accesses
//! no other disk.

use std::collections::HashMap;

use tracing::{debug, info, warn};

use super::plan::{Move, Plan};
use super::read::{Outcome, Reading};
use crate::library::files::UNREADABLE;
use crate::library::files::writer::{Content, Record, Writer};
use crate::library::sqlite;
use crate::media::{self, MediaInfo};

/// The counters of a batch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Stored {
    pub(crate) added: u64,
    pub(crate) updated: u64,
    pub(crate) moved: u64,
    pub(crate) errors: u64,
    pub(crate) unreadable: u64,
}

/// Stores one batch. A reading named in `moves` takes over that row. The counters and the moved ids are valid only once the
/// transaction is committed.
pub(crate) fn batch(
    writer: &mut Writer<'_>,
    plan: &Plan,
    readings: &[Reading],
    moves: &HashMap<usize, Move>,
) -> sqlite::Result<(Stored, Vec<i64>)> {
    let mut stored = Stored::default();
    let mut relocated = Vec::new();
    for reading in readings {
        let change = &plan.changes[reading.index];
        let (path, extension) = plan.stored_path(change);
        let unreadable;
        let content = match &reading.outcome {
            Outcome::Read(info) => Ok(content(info)),
            Outcome::Broken(reason) => {
                stored.errors += 1;
                debug!(file_path = path, reason, "cannot parse a file");
                Err(reason.as_str())
            }
            Outcome::Unreadable(reason) => {
                stored.unreadable += 1;
                warn!(file_path = path, reason, "cannot read a file; the next scan retries");
                // The file itself may be unchanged, so its row stays as it is.
                if !change.is_new {
                    continue;
                }
                unreadable = format!("{UNREADABLE}{reason}");
                Err(unreadable.as_str())
            }
            Outcome::Unsettled | Outcome::Gone => continue,
        };
        let hash = reading.hash.map(|hash| hash.to_string());
        let record = Record {
            path: &path,
            extension: &extension,
            size: reading.size,
            modified: reading.modified,
            content,
            hash: hash.as_deref(),
        };
        if let Some(Move { id, from }) = moves.get(&reading.index)
            && writer.relocate(*id, from, &record)?
        {
            info!(file_path = path, file_id = id, "a file was moved or renamed; it keeps its row");
            relocated.push(*id);
            stored.moved += 1;
            continue;
        }
        writer.upsert(&record)?;
        if change.is_new {
            stored.added += 1;
        } else {
            stored.updated += 1;
        }
    }
    Ok((stored, relocated))
}

fn content(info: &MediaInfo) -> Content<'_> {
    let tracks = info.tracks.iter().map(media::Track::columns).collect();
    Content { container_format: info.container_format, tracks }
}

#[cfg(test)]
mod tests {
    use crate::library::files::tracks;
    use crate::media::{Track, TrackType};

    #[test]
    fn a_track_has_the_columns_of_the_library_in_their_order() {
        let track = Track::new(TrackType::Video);
        assert_eq!(track.columns().map(|(name, _)| name).join(", "), tracks::names());
    }
}
