//! Stores batches of files with their tracks, and moved files under their old rows. Runs within a transaction, so it accesses
//! no other disk.

use std::collections::HashMap;

use tracing::{debug, info};

use super::hash::ContentHash;
use super::history::{self, After, History, Recorder};
use super::plan::{Move, OtherSubtitles, Plan};
use super::read::{Outcome, Reading};
use super::subtitle;
use crate::base::timestamp::Timestamp;
use crate::library::changes::{Before, Kind};
use crate::library::files::UNREADABLE;
use crate::library::files::facts::Cut;
use crate::library::files::writer::{Content, Failure, Record, Track, Writer};
use crate::library::sqlite;
use crate::library::subtitles::{self, Difference, SEPARATOR};
use crate::media::{self, MediaInfo, PROBER_VERSION};

/// The counters of a batch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Stored {
    pub(crate) added: u64,
    pub(crate) updated: u64,
    pub(crate) moved: u64,
    pub(crate) errors: u64,
    pub(crate) unreadable: u64,
    pub(crate) subtitles_added: u64,
    pub(crate) subtitles_gone: u64,
}

impl Stored {
    fn count_subtitles(&mut self, difference: &Difference) {
        self.subtitles_added += difference.added.len() as u64;
        self.subtitles_gone += difference.gone.len() as u64;
    }
}

/// Stores one batch. A reading named in `moves` takes over that row. The counters and the moved ids are valid only once the
/// transaction is committed.
pub(crate) fn batch(
    tx: &sqlite::Transaction<'_>,
    plan: &Plan,
    readings: &[Reading],
    moves: &HashMap<usize, Move>,
    history: &mut History,
) -> sqlite::Result<(Stored, Vec<i64>)> {
    let (mut writer, mut subtitles) = (Writer::new(tx)?, subtitles::Writer::new(tx)?);
    // What the first scan of a root finds may have been there for years.
    let first_seen = (!history.is_first).then(Timestamp::now);
    let mut recorder = Recorder::new(history, tx)?;
    let mut stored = Stored::default();
    let mut relocated = Vec::new();
    for reading in readings {
        let change = &plan.changes[reading.index];
        let (path, extension) = plan.stored_path(change);
        let before = if change.is_new { None } else { recorder.before(&path)? };
        let after = After::from(reading);
        let unreadable;
        let content = match &reading.outcome {
            Outcome::Read(info) => Ok(content(info)),
            Outcome::Broken(reason, missing_bytes) => {
                stored.errors += 1;
                debug!(file_path = path, reason, "cannot parse a file");
                Err(Failure { reason, missing_bytes: *missing_bytes })
            }
            Outcome::Unreadable(reason) => {
                stored.unreadable += 1;
                info!(file_path = path, reason, "cannot read a file; the next scan retries");
                // The file itself may be unchanged, so its row stays as it is.
                if !change.is_new {
                    if let Some(before) = before {
                        recorder.file(before.id, &path, &history::decide(Some(&before), &after), None)?;
                    }
                    continue;
                }
                unreadable = format!("{UNREADABLE}{reason}");
                Err(Failure { reason: &unreadable, missing_bytes: None })
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
            recorder.file(*id, &path, &[Kind::Moved], Some(from))?;
            let names = plan.subtitles(change).or(Some(""));
            let difference = set_subtitles(&mut subtitles, *id, &path, names)?;
            stored.count_subtitles(&difference);
            recorder.subtitles(*id, &path, &difference)?;
            continue;
        }
        let id = writer.upsert(&record)?;
        record_change(&mut recorder, id, &path, before.as_ref(), &after)?;
        // A new row has no subtitle files yet.
        let names = plan.subtitles(change).filter(|names| !(change.is_new && names.is_empty()));
        let difference = set_subtitles(&mut subtitles, id, &path, names)?;
        if before.is_some() {
            stored.count_subtitles(&difference);
            recorder.subtitles(id, &path, &difference)?;
        }
        if change.is_new {
            stored.added += 1;
        } else {
            stored.updated += 1;
        }
    }
    recorder.end()?;
    Ok((stored, relocated))
}

impl From<&Reading> for After {
    fn from(reading: &Reading) -> Self {
        let (missing_bytes, media_end) = match &reading.outcome {
            Outcome::Read(info) => (info.facts.missing_bytes, info.facts.media_end),
            Outcome::Broken(_, missing_bytes) => (*missing_bytes, None),
            _ => (None, None),
        };
        let has_zero_tail = reading.hash.is_some_and(ContentHash::has_zero_tail);
        Self {
            is_unreadable: matches!(reading.outcome, Outcome::Unreadable(_)),
            size: reading.size,
            modified: reading.modified,
            cut: Cut::find(reading.size, has_zero_tail, media_end, missing_bytes),
        }
    }
}

/// A file that was read again.
#[derive(Debug)]
pub(crate) struct Reread {
    /// `files.id`
    pub(crate) id: i64,
    /// As stored.
    pub(crate) path: String,
    pub(crate) extension: String,
    pub(crate) reading: Reading,
}

/// Stores files that were read again, if they could be read and their rows are still there. Returns their number.
pub(crate) fn refresh(
    tx: &sqlite::Transaction<'_>,
    batch: &[Reread],
    history: &mut History,
) -> sqlite::Result<u64> {
    let (mut writer, mut recorder) = (Writer::new(tx)?, Recorder::new(history, tx)?);
    let mut count = 0;
    for Reread { id, path, extension, reading } in batch {
        let content = match &reading.outcome {
            Outcome::Read(info) => Ok(content(info)),
            Outcome::Broken(reason, missing_bytes) => Err(Failure { reason, missing_bytes: *missing_bytes }),
            Outcome::Unreadable(_) | Outcome::Unsettled | Outcome::Gone => continue,
        };
        let before = recorder.before(path)?;
        if writer.refresh(*id, &record(path, extension, reading, content))? {
            record_change(&mut recorder, *id, path, before.as_ref(), &After::from(reading))?;
            count += 1;
        }
    }
    recorder.end()?;
    Ok(count)
}

/// Records what happened to a file that was stored.
fn record_change(
    recorder: &mut Recorder<'_, '_>,
    id: i64,
    path: &str,
    before: Option<&Before>,
    after: &After,
) -> sqlite::Result<()> {
    let kinds = history::decide(before, after);
    if kinds.is_empty() {
        recorder.reread();
    }
    let detail = after.cut.map(|cut| cut.to_string());
    recorder.file(id, path, &kinds, detail.as_deref())
}

fn record<'a>(
    path: &'a str,
    extension: &'a str,
    reading: &Reading,
    content: Result<Content<'a>, Failure<'a>>,
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

/// Stores the subtitle files of unchanged videos.
pub(crate) fn other_subtitles(
    tx: &sqlite::Transaction<'_>,
    plan: &Plan,
    others: &[OtherSubtitles],
    history: &mut History,
) -> sqlite::Result<Stored> {
    let mut writer = subtitles::Writer::new(tx)?;
    let mut recorder = Recorder::new(history, tx)?;
    let mut stored = Stored::default();
    for other in others {
        let (path, names) = plan.other_subtitles(other);
        let difference = set_subtitles(&mut writer, other.id, &path, Some(names))?;
        recorder.subtitles(other.id, &path, &difference)?;
        stored.count_subtitles(&difference);
    }
    recorder.end()?;
    Ok(stored)
}

/// Records the subtitle files of the video at `path`, unless they are not known.
fn set_subtitles(
    writer: &mut subtitles::Writer<'_>,
    id: i64,
    path: &str,
    names: Option<&str>,
) -> sqlite::Result<Difference> {
    let Some(names) = names else { return Ok(Difference::default()) };
    let video = subtitle::stem(path.rsplit_once('/').map_or(path, |(_, name)| name));
    let names = names.split(SEPARATOR).filter(|name| !name.is_empty());
    let found: Vec<_> = names.map(|name| subtitle::describe(video, name)).collect();
    writer.set(id, &found)
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
