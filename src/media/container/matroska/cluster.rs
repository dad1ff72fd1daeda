//! The first blocks, for tracks that do not state their rate or size. Only the headers of blocks are
//! read, and the first bytes of a frame.

use super::ebml::{Children, Element, variable};
use super::ids;
use crate::media::error::Error;
use crate::media::reader::Reader;

/// Maximum of blocks read, over all tracks.
const MAX_BLOCKS: u32 = 1_000;
/// The flags of a block with several frames.
const LACING: u8 = 0x06;
const FIXED: u8 = 0x04;
const EBML: u8 = 0x06;
/// Bytes that lacing takes, at most.
const MAX_LACING: usize = 128;
/// Maximum distance from the first Cluster, as in ffprobe.
const MAX_DISTANCE: u64 = 5_000_000;

/// Time and duration of a block, in units of the timestamp scale; 0 if not stated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Frame {
    pub(super) time: i64,
    pub(super) duration: i64,
}

/// What is wanted of a track's first blocks, and what was found.
#[derive(Debug, Default)]
pub(super) struct FirstBlocks {
    /// The track's number.
    pub(super) track: u64,
    /// How many different times are wanted. Hidden frames have the time of the next one.
    pub(super) wanted: usize,
    /// How many of the first bytes of the first frame are wanted.
    pub(super) wants_head: usize,
    /// The track is described without its frame, which is worth few reads only.
    pub(super) is_optional: bool,
    pub(super) frames: Vec<Frame>,
    pub(super) head: Option<Vec<u8>>,
    /// How many different times were found.
    pub(super) times: usize,
}

impl FirstBlocks {
    fn is_done(&self, is_expensive: bool) -> bool {
        let needs_head = self.wants_head > 0 && self.head.is_none();
        self.times >= self.wanted && !(needs_head && !(self.is_optional && is_expensive))
    }

    fn add(&mut self, frame: Frame) {
        if self.frames.last().is_none_or(|last| last.time != frame.time) {
            self.times += 1;
        }
        self.frames.push(frame);
    }
}

/// Reads that optional frames are worth, and bytes of each: sound often lies behind a picture.
const OPTIONAL_READS: u32 = 2;
const OPTIONAL_STEP: usize = 8 * 1024;
/// Bytes of a frame by which it is described.
pub(super) const HEAD: usize = 64;
/// The longest header of a block: number, time, flags.
const MAX_BLOCK_HEADER: usize = 8 + 2 + 1;

/// Reads the first blocks of `tracks`, as many as they want.
pub(super) fn first_blocks(reader: &mut Reader<'_>, first: u64, end: u64, tracks: &mut [FirstBlocks]) {
    let most_reads = reader.usage().reads + OPTIONAL_READS;
    let mut walk = ClusterWalk { tracks, blocks: 0, most_reads };
    let end = end.min(first.saturating_add(MAX_DISTANCE));
    // On an error, the blocks read so far are used.
    let _ = walk.clusters(reader, first, end);
}

struct ClusterWalk<'a> {
    tracks: &'a mut [FirstBlocks],
    blocks: u32,
    /// Reads of the file after which optional frames are not searched for.
    most_reads: u32,
}

impl ClusterWalk<'_> {
    fn clusters(&mut self, reader: &mut Reader<'_>, first: u64, end: u64) -> Result<(), Error> {
        let mut offset = first;
        while !self.is_done(reader, offset)
            && let Some(element) = Element::at(reader, offset, end)?
        {
            let mut next = element.end;
            if element.id == ids::CLUSTER {
                let stop = self.blocks(reader, element.children(end, ids::TOP_LEVEL))?;
                next = next.or(Some(stop));
            }
            match next.filter(|next| *next > offset) {
                Some(next) => offset = next,
                None => break,
            }
        }
        Ok(())
    }

    fn blocks(&mut self, reader: &mut Reader<'_>, mut children: Children) -> Result<u64, Error> {
        let mut cluster = 0;
        while !self.is_done(reader, children.position())
            && let Some(child) = children.next(reader)?
        {
            match child.id {
                ids::TIMESTAMP => cluster = child.unsigned(reader)?.unwrap_or(0),
                ids::SIMPLE_BLOCK => self.block(reader, child, cluster, 0)?,
                ids::BLOCK_GROUP => {
                    let (mut block, mut duration) = (None, 0);
                    let mut inner = child.children(children.position(), &[]);
                    while let Some(child) = inner.next(reader)? {
                        match child.id {
                            ids::BLOCK => block = Some(child),
                            ids::BLOCK_DURATION => duration = child.unsigned(reader)?.unwrap_or(0),
                            _ => {}
                        }
                    }
                    if let Some(block) = block {
                        self.block(reader, block, cluster, duration)?;
                    }
                }
                _ => {}
            }
        }
        Ok(children.position())
    }

    /// Reads a block's header: its track's number, and its time relative to its Cluster's (RFC
    /// 9559, 10.1).
    fn block(
        &mut self,
        reader: &mut Reader<'_>,
        block: Element,
        cluster: u64,
        duration: u64,
    ) -> Result<(), Error> {
        self.blocks += 1;
        if block.end.is_none_or(|end| end > reader.length()) {
            return Ok(()); // truncated frames are ignored
        }
        let header = block.head(reader, MAX_BLOCK_HEADER)?;
        let Some((Some(number), length)) = variable(header) else { return Ok(()) };
        let Some([high, low, flags, ..]) = header.get(length..) else { return Ok(()) };
        let flags = *flags;
        let time = i64::try_from(cluster)
            .unwrap_or(i64::MAX)
            .saturating_add(i64::from(i16::from_be_bytes([*high, *low])));
        if let Some(track) = self.tracks.iter_mut().find(|track| track.track == number) {
            track.add(Frame { time, duration: i64::try_from(duration).unwrap_or(0) });
            if track.wants_head > 0 && track.head.is_none() {
                let whole = block.head(reader, length + 3 + MAX_LACING + track.wants_head)?;
                let frames = whole.get(length + 3..).unwrap_or_default();
                let first = lacing_length(flags, frames).and_then(|skip| frames.get(skip..));
                track.head = first.map(|frame| frame.get(..track.wants_head).unwrap_or(frame).to_vec());
            }
        }
        Ok(())
    }

    /// Whether nothing more is wanted. What only optional frames need is fetched from `next` on, in large steps.
    fn is_done(&self, reader: &mut Reader<'_>, next: u64) -> bool {
        let all_done = |is_expensive| self.tracks.iter().all(|track| track.is_done(is_expensive));
        let is_done = self.blocks >= MAX_BLOCKS || all_done(false);
        if is_done || !all_done(true) || reader.holds(next, HEAD) {
            return is_done;
        }
        reader.usage().reads >= self.most_reads || reader.at_most(next, OPTIONAL_STEP).is_err()
    }
}

/// Bytes before the first frame of a block (RFC 9559, 10.3): of several frames their number and the sizes of all but the
/// last.
fn lacing_length(flags: u8, bytes: &[u8]) -> Option<usize> {
    let kind = flags & LACING;
    if kind == 0 {
        return Some(0);
    }
    let mut at = 1;
    for _ in 0..if kind == FIXED { 0 } else { *bytes.first()? } {
        if kind == EBML {
            at += variable(bytes.get(at..)?)?.1;
        } else {
            at += bytes.get(at..)?.iter().position(|byte| *byte != 255)? + 1;
        }
    }
    Some(at)
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use super::*;

    #[test]
    fn a_cut_block_is_no_frame() {
        let block = [0xA3, 0x86, 0x81, 0, 40, 0x80, 0, 0];
        let cluster = [&[0x1F, 0x43, 0xB6, 0x75, 0x90][..], &block, &block].concat();
        let frames = |length: usize| {
            let mut source = Cursor::new(cluster.get(..length).unwrap().to_vec());
            let mut reader = Reader::new(&mut source).unwrap();
            let end = reader.length();
            let mut tracks = [FirstBlocks { track: 1, wanted: 9, ..FirstBlocks::default() }];
            first_blocks(&mut reader, 0, end, &mut tracks);
            tracks[0].frames.len()
        };
        assert_eq!((frames(21), frames(20), frames(13), frames(12)), (2, 1, 1, 0));
    }

    #[test]
    fn the_first_frame_follows_the_sizes() {
        assert_eq!(lacing_length(0x80, &[1, 2]), Some(0));
        assert_eq!(lacing_length(0x84, &[7, 2]), Some(1));
        assert_eq!(lacing_length(0x82, &[2, 255, 10, 20, 0]), Some(4));
        assert_eq!(lacing_length(0x86, &[2, 0x43, 0x20, 0xBF, 0]), Some(4));
        assert_eq!(lacing_length(0x82, &[2, 255, 255]), None);
    }
}
