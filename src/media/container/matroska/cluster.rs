//! Times of the first blocks, for tracks that do not state their rate. Only the headers of blocks
//! are read.

use super::ebml::{Children, Element, variable};
use super::ids;
use crate::media::error::Error;
use crate::media::reader::Reader;

/// Maximum of blocks read, over all tracks.
const MAX_BLOCKS: u32 = 1_000;
/// Maximum distance from the first Cluster, as in ffprobe.
const MAX_DISTANCE: u64 = 5_000_000;

/// Time and duration of a block, in units of the timestamp scale; 0 if not stated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Frame {
    pub(super) time: i64,
    pub(super) duration: i64,
}

/// Collects up to `wanted` blocks of each of `tracks` (by number).
pub(super) fn first_frames(
    reader: &mut Reader<'_>,
    first: u64,
    end: u64,
    tracks: &[u64],
    wanted: usize,
) -> Vec<Vec<Frame>> {
    let mut walk = ClusterWalk { tracks, wanted, frames: vec![Vec::new(); tracks.len()], blocks: 0 };
    let end = end.min(first.saturating_add(MAX_DISTANCE));
    // On an error, the frames read so far are used.
    let _ = walk.clusters(reader, first, end);
    walk.frames
}

struct ClusterWalk<'a> {
    tracks: &'a [u64],
    wanted: usize,
    frames: Vec<Vec<Frame>>,
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
        let header = block.head(reader, 10)?;
        let Some((Some(number), length)) = variable(header) else { return Ok(()) };
        let Some([high, low]) = header.get(length..length + 2) else { return Ok(()) };
        let time = i64::try_from(cluster)
            .unwrap_or(i64::MAX)
            .saturating_add(i64::from(i16::from_be_bytes([*high, *low])));
        if let Some(index) = self.tracks.iter().position(|track| *track == number)
            && let Some(frames) = self.frames.get_mut(index)
        {
            frames.push(Frame { time, duration: i64::try_from(duration).unwrap_or(0) });
        }
        Ok(())
    }

    fn is_done(&self) -> bool {
        self.blocks >= MAX_BLOCKS || self.frames.iter().all(|frames| frames.len() >= self.wanted)
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
            first_frames(&mut reader, 0, end, &[1], 9).remove(0).len()
        };
        assert_eq!((frames(21), frames(20), frames(13), frames(12)), (2, 1, 1, 0));
    }
}
