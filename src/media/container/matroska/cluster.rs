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
    /// Whether the first bytes of the first frame are wanted.
    pub(super) wants_head: bool,
    pub(super) frames: Vec<Frame>,
    pub(super) head: Option<Vec<u8>>,
    /// How many different times were found.
    times: usize,
}

impl FirstBlocks {
    pub(super) fn new(track: u64, wanted: usize, wants_head: bool) -> Self {
        Self { track, wanted, wants_head, ..Self::default() }
    }

    fn is_done(&self) -> bool {
        self.times >= self.wanted && !(self.wants_head && self.head.is_none())
    }

    fn add(&mut self, frame: Frame) {
        if self.frames.last().is_none_or(|last| last.time != frame.time) {
            self.times += 1;
        }
        self.frames.push(frame);
    }
}

/// Maximum of bytes of a frame that are kept.
pub(super) const MAX_HEAD: usize = 64;
/// The longest header of a block: number, time, flags.
const MAX_BLOCK_HEADER: usize = 8 + 2 + 1;

/// Reads the first blocks of `tracks`, as many as they want.
pub(super) fn first_blocks(reader: &mut Reader<'_>, first: u64, end: u64, tracks: &mut [FirstBlocks]) {
    let mut walk = ClusterWalk { tracks, blocks: 0 };
    let end = end.min(first.saturating_add(MAX_DISTANCE));
    // On an error, the blocks read so far are used.
    let _ = walk.clusters(reader, first, end);
}

struct ClusterWalk<'a> {
    tracks: &'a mut [FirstBlocks],
    blocks: u32,
}

impl ClusterWalk<'_> {
    fn clusters(&mut self, reader: &mut Reader<'_>, first: u64, end: u64) -> Result<(), Error> {
        let mut offset = first;
        while let Some(element) = Element::at(reader, offset, end)?
            && !self.is_done()
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
        while let Some(child) = children.next(reader)?
            && !self.is_done()
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
        let header = block.head(reader, MAX_BLOCK_HEADER + MAX_HEAD)?;
        let Some((Some(number), length)) = variable(header) else { return Ok(()) };
        let Some([high, low, flags, data @ ..]) = header.get(length..) else { return Ok(()) };
        let time = i64::try_from(cluster)
            .unwrap_or(i64::MAX)
            .saturating_add(i64::from(i16::from_be_bytes([*high, *low])));
        if let Some(track) = self.tracks.iter_mut().find(|track| track.track == number) {
            track.add(Frame { time, duration: i64::try_from(duration).unwrap_or(0) });
            // Several frames in one block are not taken apart.
            if track.wants_head && track.head.is_none() && flags & LACING == 0 {
                track.head = Some(data.get(..MAX_HEAD).unwrap_or(data).to_vec());
            }
        }
        Ok(())
    }

    fn is_done(&self) -> bool {
        self.blocks >= MAX_BLOCKS || self.tracks.iter().all(FirstBlocks::is_done)
    }
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
            let mut tracks = [FirstBlocks::new(1, 9, false)];
            first_blocks(&mut reader, 0, end, &mut tracks);
            tracks[0].frames.len()
        };
        assert_eq!((frames(21), frames(20), frames(13), frames(12)), (2, 1, 1, 0));
    }
}
