//! Batches into the library: files with their tracks, moved files under their old rows, missing files.

use std::collections::{HashMap, HashSet};

use tracing::{debug, info, warn};

use super::compare::{Plan, Vanished};
use super::hash::ContentHash;
use super::read::{Outcome, Reading};
use super::{discover, name, root};
use crate::library::files::{Content, Lost, Record, Track, UNREADABLE, Writer};
use crate::media::MediaInfo;

use std::os::unix::ffi::OsStrExt;

/// Rows of which the file is gone, by what it would be recognised by.
#[derive(Debug, Default)]
pub(crate) struct Candidates {
    by_hash: HashMap<ContentHash, Vec<Candidate>>,
    /// Rows that were given a new path.
    pub(crate) moved: HashSet<i64>,
}

#[derive(Clone, Debug)]
struct Candidate {
    id: i64,
    /// For a row that was missing before this scan: its file may be back.
    path: Option<String>,
}

impl Candidates {
    /// From what vanished just now, and what has been missing (under the configured roots).
    pub(crate) fn new(vanished: &[Vanished], lost: Vec<Lost>) -> Self {
        let mut by_hash: HashMap<_, Vec<_>> = HashMap::new();
        for row in vanished {
            if let Some(hash) = row.hash {
                by_hash.entry(hash).or_default().push(Candidate { id: row.id, path: None });
            }
        }
        for row in lost {
            if let Some(hash) = ContentHash::parse(&row.hash).filter(|hash| hash.size() == row.size) {
                by_hash.entry(hash).or_default().push(Candidate { id: row.id, path: Some(row.path) });
            }
        }
        Self { by_hash, moved: HashSet::new() }
    }

    /// Sizes worth a hash.
    pub(crate) fn sizes(&self) -> HashSet<u64> {
        self.by_hash.keys().map(|hash| hash.size()).collect()
    }

    /// Whether a file with this hash would be recognised.
    pub(crate) fn knows(&self, hash: ContentHash) -> bool {
        self.only(hash).is_some()
    }

    /// The one row of this hash; of several, none can be told to be the one.
    fn only(&self, hash: ContentHash) -> Option<&Candidate> {
        match self.by_hash.get(&hash).map(Vec::as_slice) {
            Some([one]) => Some(one),
            _ => None,
        }
    }
}

/// What a batch did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Stored {
    pub(crate) added: u64,
    pub(crate) updated: u64,
    pub(crate) moved: u64,
    pub(crate) errors: u64,
    pub(crate) unreadable: u64,
}

/// Stores one batch within a transaction. What is remembered about moves counts once it is committed.
pub(crate) fn batch(
    writer: &mut Writer<'_>,
    plan: &Plan,
    readings: &[Reading],
    candidates: &Candidates,
) -> rusqlite::Result<(Stored, Vec<(ContentHash, i64)>)> {
    let mut stored = Stored::default();
    let mut moves: Vec<(ContentHash, i64)> = Vec::new();
    for reading in readings {
        let change = &plan.changes[reading.index];
        let raw = plan.path(change).as_os_str().as_bytes();
        let path = discover::encode_path(raw);
        let unreadable;
        let content = match &reading.outcome {
            Outcome::Read(info) => Ok(content(info)),
            Outcome::Broken(reason) => {
                stored.errors += 1;
                debug!(file_path = path, reason, "a file cannot be parsed");
                Err(reason.as_str())
            }
            Outcome::Unreadable(reason) => {
                stored.unreadable += 1;
                warn!(file_path = path, reason, "a file cannot be read; the next scan tries again");
                // What is known of it stays: a failing cable is no reason to forget its tracks.
                if !change.is_new {
                    continue;
                }
                unreadable = format!("{UNREADABLE}{reason}");
                Err(unreadable.as_str())
            }
            Outcome::Unsettled | Outcome::Gone => continue,
        };
        let hash = reading.hash.map(|hash| hash.to_string());
        let file = raw.rsplit(|byte| *byte == b'/').next().unwrap_or_default();
        let extension = file.rsplit(|byte| *byte == b'.').next().unwrap_or_default().to_ascii_lowercase();
        let record = Record {
            path: &path,
            extension: &String::from_utf8_lossy(&extension),
            size: reading.size,
            modified: reading.modified,
            content,
            hash: hash.as_deref(),
        };
        let candidate = reading.hash.filter(|_| change.is_new).and_then(|hash| {
            let taken = moves.iter().any(|(other, _)| *other == hash);
            let candidate = candidates.only(hash).filter(|one| !taken && is_gone(one))?;
            Some((hash, candidate.id))
        });
        if let Some((hash, id)) = candidate
            && writer.relocate(id, &record)?
        {
            info!(file_path = path, file_id = id, "a file was moved or renamed; its row goes with it");
            moves.push((hash, id));
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
    Ok((stored, moves))
}

impl Candidates {
    /// Takes note of moves that are committed.
    pub(crate) fn settle(&mut self, moves: Vec<(ContentHash, i64)>) {
        for (hash, id) in moves {
            self.by_hash.remove(&hash);
            self.moved.insert(id);
        }
    }
}

fn is_gone(candidate: &Candidate) -> bool {
    candidate.path.as_ref().is_none_or(|path| root::is_gone(&name::decode(path)) == Ok(true))
}

fn content(info: &MediaInfo) -> Content<'_> {
    let tracks = info.tracks.iter().map(|track| Track {
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
    });
    Content { container_format: info.container_format, tracks: tracks.collect() }
}
