//! Reads a Segment (RFC 9559, 5.1): linearly up to the first Cluster, then what the SeekHeads list.
//! After damage, reading continues at the next known element.

use std::collections::{BTreeSet, VecDeque};

use super::ebml::{Children, Element};
use super::tags::{self, Statistics};
use super::tracks::{self, MAX_TRACKS, TrackEntry};
use super::{attachments, ids};
use crate::media::error::Error;
use crate::media::info::Track;
use crate::media::reader::Reader;

/// Maximum of SeekHead entries that are followed, as in ffprobe.
const MAX_SEEKS: usize = 64;
/// Maximum of damaged bytes that are searched for the next known element.
const MAX_DAMAGE: u64 = 256 * 1024;
/// Reads of a file up to which those elements are read that only tell facts: `Tags`, and `Chapters` behind the clusters.
const FEW_READS: u32 = 4;
/// Bytes of Info and Tracks that one read gets.
const PREFETCH: usize = 64 * 1024;

/// A Segment's place and contents.
#[derive(Debug, Default)]
pub(super) struct Segment {
    /// The offset of its content: positions in SeekHeads are relative to it.
    pub(super) start: u64,
    /// Its end, or that of the file if the file is shorter.
    pub(super) end: u64,
    /// Its size is unknown, or exceeds the file.
    pub(super) is_open: bool,
    /// How many bytes it is larger than the file. If its size is unknown: how far a SeekHead points beyond the file, else `None`.
    pub(super) missing: Option<u64>,
    timestamp_scale: Option<u64>,
    /// In units of the timestamp scale.
    pub(super) duration: Option<f64>,
    pub(super) title: Option<String>,
    /// Number of chapters; `None` if the file has some that were not read.
    pub(super) chapters: Option<u32>,
    pub(super) statistics: Vec<Statistics>,
    pub(super) entries: Vec<TrackEntry>,
    pub(super) attachments: Vec<Track>,
    /// The offset of the first Cluster.
    pub(super) cluster: Option<u64>,
    /// A SeekHead lists Clusters: the file may be the initialization segment of a stream (DASH).
    pub(super) names_clusters: bool,
    /// The first error.
    pub(super) damage: Option<Error>,
    seeks: VecDeque<(u32, u64)>,
    /// The largest offset that a SeekHead states.
    furthest: u64,
    /// `Chapters` and `Tags` that were not read yet.
    late: Vec<(u32, u64)>,
    /// Offsets and identifiers of the elements read.
    done: BTreeSet<u64>,
    kinds: BTreeSet<u32>,
}

impl Segment {
    /// Reads the Segment `element`.
    pub(super) fn read(reader: &mut Reader<'_>, element: Element) -> Result<Self, Error> {
        let length = reader.length();
        let mut segment = Self {
            start: element.body,
            end: element.end.unwrap_or(length).min(length),
            is_open: element.end.is_none_or(|end| end > length),
            missing: element.end.map(|end| end.saturating_sub(length)),
            chapters: Some(0),
            ..Self::default()
        };
        segment.up_to_first_cluster(reader)?;
        segment.follow_seeks(reader)?;
        // The element there has at least one byte.
        segment.missing =
            segment.missing.or((segment.furthest >= length).then(|| segment.furthest - length + 1));
        Ok(segment)
    }

    /// The duration, if it makes sense.
    pub(super) fn seconds(&self) -> Option<f64> {
        #[expect(clippy::cast_precision_loss, reason = "a scale is far below 2^52")]
        let seconds = self.duration? * self.timestamp_scale() as f64 / 1e9;
        Some(seconds).filter(|seconds| seconds.is_finite() && *seconds > 0.0)
    }

    /// Nanoseconds a tick.
    pub(super) fn timestamp_scale(&self) -> u64 {
        self.timestamp_scale.filter(|scale| *scale > 0).unwrap_or(1_000_000)
    }

    fn up_to_first_cluster(&mut self, reader: &mut Reader<'_>) -> Result<(), Error> {
        let mut offset = self.start;
        loop {
            match self.next(reader, offset) {
                Ok(Some(next)) => offset = next,
                Ok(None) => return Ok(()),
                Err(error @ (Error::Io(_) | Error::Excessive { .. })) => return self.give_up(error),
                Err(error) => {
                    self.damage.get_or_insert(error);
                    match resynchronise(reader, offset.saturating_add(1), self.end)? {
                        Some(next) => offset = next,
                        None => return Ok(()),
                    }
                }
            }
        }
    }

    /// Reads the element at `offset`; the offset of the next one, or `None` at the first Cluster
    /// and at the end.
    fn next(&mut self, reader: &mut Reader<'_>, offset: u64) -> Result<Option<u64>, Error> {
        let Some(element) = Element::at(reader, offset, self.end)? else { return Ok(None) };
        if element.id == ids::CLUSTER {
            self.cluster = Some(offset);
            return Ok(None);
        }
        let next = self.element(reader, element)?;
        match element.end {
            Some(end) => Ok(Some(end)),
            None if ids::TOP_LEVEL.contains(&element.id) => Ok(Some(next)),
            None => Err(Error::Malformed { offset, what: "an unknown element has no size" }),
        }
    }

    /// Reads one element of the top level; the offset of its end, if its size is unknown.
    fn element(&mut self, reader: &mut Reader<'_>, element: Element) -> Result<u64, Error> {
        self.done.insert(element.offset);
        self.kinds.insert(element.id);
        let children = element.children(self.end, ids::TOP_LEVEL);
        match element.id {
            ids::INFO => {
                element.head(reader, PREFETCH)?;
                self.info(reader, children)
            }
            ids::TRACKS => {
                element.head(reader, PREFETCH)?;
                tracks::read(reader, children, &mut self.entries)
            }
            ids::ATTACHMENTS => attachments::read(reader, children, &mut self.attachments),
            ids::SEEK_HEAD => self.seek_head(reader, children),
            ids::CHAPTERS | ids::TAGS => self.optional(reader, element, children),
            _ => Ok(element.body),
        }
    }

    fn info(&mut self, reader: &mut Reader<'_>, mut children: Children) -> Result<u64, Error> {
        while let Some(child) = children.next(reader)? {
            match child.id {
                ids::TIMESTAMP_SCALE => self.timestamp_scale = child.unsigned(reader)?,
                ids::DURATION => self.duration = child.float(reader)?,
                ids::TITLE => self.title = child.title(reader)?,
                _ => {}
            }
        }
        Ok(children.position())
    }

    /// Reads what only tells facts: its damage is none of the file.
    fn optional(
        &mut self,
        reader: &mut Reader<'_>,
        element: Element,
        children: Children,
    ) -> Result<u64, Error> {
        if tags::fetch(reader, element)? {
            let _ = match element.id {
                ids::TAGS => tags::read(reader, children, &mut self.statistics),
                _ => tags::chapters(reader, children).map(|count| self.chapters = Some(count)),
            };
        }
        Ok(element.body)
    }

    /// Reads the `Chapters` and `Tags` that SeekHeads list behind the clusters, if little was read of the file.
    pub(super) fn read_late(&mut self, reader: &mut Reader<'_>) {
        for (id, offset) in std::mem::take(&mut self.late) {
            if self.kinds.contains(&id)
                || reader.usage().reads >= FEW_READS && !reader.holds(offset, tags::PREFETCH)
            {
                continue;
            }
            let Ok(_) = reader.at_most(offset, tags::PREFETCH) else { return };
            if let Ok(Some(element)) = Element::at(reader, offset, self.end)
                && element.id == id
            {
                let _ = self.element(reader, element);
            }
        }
    }

    fn seek_head(&mut self, reader: &mut Reader<'_>, mut children: Children) -> Result<u64, Error> {
        while let Some(child) = children.next(reader)? {
            if child.id != ids::SEEK {
                continue;
            }
            let (mut id, mut position) = (None, None);
            let mut inner = child.children(children.position(), &[]);
            while let Some(child) = inner.next(reader)? {
                match child.id {
                    ids::SEEK_ID => id = child.small(reader)?,
                    ids::SEEK_POSITION => position = child.unsigned(reader)?,
                    _ => {}
                }
            }
            self.names_clusters |= id == Some(ids::CLUSTER);
            if let (Some(id), Some(position)) = (id, position)
                && self.seeks.len() < MAX_SEEKS
            {
                self.seeks.push_back((id, position));
                self.furthest = self.furthest.max(self.start.saturating_add(position));
            }
        }
        Ok(children.position())
    }

    /// Reads elements that only a SeekHead lists, each offset once, so that cycles end.
    fn follow_seeks(&mut self, reader: &mut Reader<'_>) -> Result<(), Error> {
        for _ in 0..MAX_SEEKS {
            let Some((id, position)) = self.seeks.pop_front() else { break };
            let Some(offset) = self.start.checked_add(position) else { continue };
            let wanted = match id {
                ids::SEEK_HEAD => true,
                ids::INFO | ids::TRACKS | ids::ATTACHMENTS => !self.kinds.contains(&id),
                ids::TAGS | ids::CHAPTERS if !self.kinds.contains(&id) => {
                    if id == ids::CHAPTERS {
                        self.chapters = None;
                    }
                    self.late.push((id, offset));
                    false
                }
                _ => false,
            };
            if !wanted || self.done.contains(&offset) {
                continue;
            }
            let found = match Element::at(reader, offset, self.end) {
                Ok(Some(element)) if element.id == id => self.element(reader, element).map(|_| ()),
                Ok(None) if offset >= reader.length() => {
                    Err(Error::Truncated { what: "headers", length: reader.length(), missing: None })
                }
                Ok(_) => Err(Error::Malformed { offset, what: "a SeekHead points to another element" }),
                Err(error) => Err(error),
            };
            match found {
                Ok(()) => {}
                Err(error @ (Error::Io(_) | Error::Excessive { .. })) => return self.give_up(error),
                Err(error) => {
                    self.damage.get_or_insert(error);
                }
            }
        }
        Ok(())
    }

    /// Keeps what was read, if there are tracks and a Cluster, and not more tracks than are read.
    fn give_up(&mut self, error: Error) -> Result<(), Error> {
        if self.entries.is_empty() || self.entries.len() >= MAX_TRACKS || self.cluster.is_none() {
            return Err(error);
        }
        self.damage.get_or_insert(error);
        Ok(())
    }
}

/// The offset of the next known element of the top level.
fn resynchronise(reader: &mut Reader<'_>, from: u64, end: u64) -> Result<Option<u64>, Error> {
    const STEP: usize = 16 * 1024;
    let end = end.min(from.saturating_add(MAX_DAMAGE));
    let mut offset = from;
    while offset < end {
        let bytes = reader.at_most(offset, STEP)?;
        // All of them begin with a byte from 0x10 to 0x1F.
        let found = bytes.windows(4).position(|four| {
            matches!(*four, [a @ 0x10..=0x1F, b, c, d] if ids::TOP_LEVEL.contains(&u32::from_be_bytes([a, b, c, d])))
        });
        if let Some(skip) = found {
            return Ok(Some(offset + skip as u64));
        }
        if bytes.len() < STEP {
            break;
        }
        offset += (STEP - 3) as u64;
    }
    Ok(None)
}
