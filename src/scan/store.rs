//! Stores batches of files with their tracks, and moved files under their old rows. Runs within a transaction, so it accesses
//! no other disk.

use std::collections::HashMap;

use tracing::{debug, info, warn};

use super::plan::{Move, Plan};
use super::read::{Outcome, Reading};
use crate::base::timestamp::Timestamp;
use crate::library::files::UNREADABLE;
use crate::library::files::writer::{Content, Record, Track, Writer};
use crate::library::sqlite;
use crate::media::{self, MediaInfo, PROBER_VERSION};

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
    first_seen: Option<Timestamp>,
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
        let record =
            Record { hash: hash.as_deref(), first_seen, ..record(&path, &extension, reading, content) };
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

/// Records what was read again of the file of row `id`, if it could be read. Says whether it did.
pub(crate) fn refresh(
    writer: &mut Writer<'_>,
    id: i64,
    path: &str,
    extension: &str,
    reading: &Reading,
) -> sqlite::Result<bool> {
    let content = match &reading.outcome {
        Outcome::Read(info) => Ok(content(info)),
        Outcome::Broken(reason) => Err(reason.as_str()),
        Outcome::Unreadable(_) | Outcome::Unsettled | Outcome::Gone => return Ok(false),
    };
    writer.refresh(id, &record(path, extension, reading, content))
}

fn record<'a>(
    path: &'a str,
    extension: &'a str,
    reading: &Reading,
    content: Result<Content<'a>, &'a str>,
) -> Record<'a> {
    Record {
        path,
        extension,
        size: reading.size,
        modified: reading.modified,
        content,
        hash: None,
        prober: PROBER_VERSION,
        first_seen: None,
    }
}

fn content(info: &MediaInfo) -> Content<'_> {
    Content {
        container_format: info.container_format,
        duration_seconds: info.duration_seconds,
        facts: &info.facts,
        tracks: info.tracks.iter().map(|one| (track(one), &one.facts)).collect(),
    }
}

fn track(track: &media::Track) -> Track<'_> {
    Track {
        track_type: track.track_type.as_str(),
        codec: track.codec.as_deref(),
        language: track.language.as_deref(),
        title: track.title.as_deref(),
        is_default: track.is_default,
        is_forced: track.is_forced,
        channels: track.channels,
        channel_layout: track.channel_layout.as_deref(),
        width: track.width,
        height: track.height,
        frame_rate: track.frame_rate.as_deref(),
    }
}
