//! The head of the sample table: durations of the first frames. The rest of the table is not read.

use super::boxes::BoxHeader;
use crate::media::bytes::u32_at;
use crate::media::error::Error;
use crate::media::frame_rate::FRAMES;
use crate::media::reader::Reader;

/// Maximum of runs that are read: one for each frame, if all durations differ.
const RUNS: usize = FRAMES;

/// The head of `stts` (ISO/IEC 14496-12, 8.6.1.2).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Durations {
    /// Runs in the whole table.
    total: u32,
    /// The first runs: how many frames, and how long each lasts.
    runs: Vec<(u32, u32)>,
}

impl Durations {
    pub(crate) fn parse(reader: &mut Reader<'_>, table: &BoxHeader) -> Result<Self, Error> {
        let head = table.head(reader, 8 + RUNS * 8)?;
        let entries = u32::try_from(table.length().saturating_sub(8) / 8).unwrap_or(u32::MAX);
        let total = u32_at(head, 4).unwrap_or(0).min(entries);
        let runs =
            head.get(8..).unwrap_or_default().chunks_exact(8).take(usize::try_from(total).unwrap_or(RUNS));
        let runs = runs.filter_map(|run| Some((u32_at(run, 0)?, plausible(u32_at(run, 4)?)))).collect();
        Ok(Self { total, runs })
    }

    /// Whether the track has no frames outside of fragments.
    pub(crate) fn is_empty(&self) -> bool {
        self.total == 0
    }

    /// The duration of each frame, if all are equal or only the last frame differs.
    pub(crate) fn constant(&self) -> Option<u32> {
        match (self.total, self.runs.as_slice()) {
            (1, [(_, duration)]) | (2, [(_, duration), (1, _)]) => Some(*duration),
            _ => None,
        }
    }

    /// Number of frames; of a longer table at least as many.
    pub(crate) fn samples(&self) -> u32 {
        let read = u32::try_from(self.runs.len()).unwrap_or(0);
        let counted = self.runs.iter().fold(0_u32, |sum, (count, _)| sum.saturating_add(*count));
        counted.saturating_add(self.total.saturating_sub(read))
    }

    /// The decoding times of the first frames.
    pub(crate) fn times(&self) -> Vec<i64> {
        let each = self.runs.iter().flat_map(|(count, duration)| {
            std::iter::repeat_n(*duration, usize::try_from(*count).unwrap_or(FRAMES).min(FRAMES))
        });
        accumulate(0, each.take(FRAMES))
    }
}

/// The sum of all sizes in `stsz` (ISO/IEC 14496-12, 8.7.3.2); `None` if it is cut.
pub(crate) fn total_size(table: &[u8]) -> Option<u64> {
    let (each, count) = (u32_at(table, 4)?, u32_at(table, 8)?);
    if each > 0 {
        return Some(u64::from(each) * u64::from(count));
    }
    let sizes = table.get(12..)?.chunks_exact(4);
    let is_whole = usize::try_from(count).is_ok_and(|count| count <= sizes.len());
    is_whole.then(|| sizes.filter_map(|size| u32_at(size, 0)).map(u64::from).sum())
}

/// The times of consecutive frames with these durations.
pub(crate) fn accumulate(start: i64, durations: impl Iterator<Item = u32>) -> Vec<i64> {
    let mut time = start;
    durations
        .map(|duration| {
            let now = time;
            time = time.saturating_add(i64::from(duration));
            now
        })
        .collect()
}

/// Some writers store negative corrections as huge durations.
fn plausible(duration: u32) -> u32 {
    if duration > u32::MAX - 480_000 { 1 } else { duration }
}
