//! One track's fragments: where they begin and end, and the times of the first frames.

use super::boxes::BoxHeader;
use super::sample_table::accumulate;
use super::track::MovieTrack;
use crate::media::bytes::u32_at;
use crate::media::error::Error;
use crate::media::frame_rate::FRAMES;
use crate::media::reader::Reader;

/// Maximum of bytes read of one run's entries.
const MAX_RUN: usize = 128 * 1024;

/// Contents of a track's fragments; times are in units of the track.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Fragmented {
    pub(crate) id: u32,
    /// Decoding times of the first frames.
    pub(crate) times: Vec<i64>,
    /// No more times are collected: the fragments that follow are not the next ones.
    pub(super) is_closed: bool,
    /// When the first frame would be shown without `delay`.
    pub(super) first: Option<i64>,
    /// The largest negative composition offset: ffprobe takes all frames to be shown so much later,
    /// so that none is shown before it is decoded.
    pub(super) delay: i64,
    /// Number of fragments read.
    pub(super) fragments: u32,
    /// The end of the last frame.
    pub(super) end: i64,
    /// How much earlier than the media the presentation begins.
    pub(super) shift: i64,
    pub(super) has_index: bool,
}

impl Fragmented {
    /// When the first frame is shown.
    pub(crate) fn start(&self) -> Option<i64> {
        self.first.map(|first| first.saturating_add(self.delay))
    }

    /// How long the track is, in its units: an index overrules what the track's header states.
    pub(crate) fn length(&self, track: &MovieTrack, movie_timescale: u32) -> u64 {
        let end = u64::try_from(self.end).unwrap_or(0);
        match self.first {
            _ if self.has_index => end,
            Some(_) => end.max(track.duration.unwrap_or(0)),
            None => track.shown(movie_timescale),
        }
    }

    /// One run of samples, the first of which is decoded at `time`; where the last one ends.
    pub(super) fn run(
        &mut self,
        reader: &mut Reader<'_>,
        trun: &BoxHeader,
        default: u32,
        time: i64,
    ) -> Result<i64, Error> {
        let head = trun.head(reader, MAX_RUN.min(8 + 8 + FRAMES * 16))?;
        let (Some(flags), Some(count)) = (u32_at(head, 0), u32_at(head, 4)) else { return Ok(time) };
        if count == 0 {
            return Ok(time);
        }
        let has = |flag: u32| flags & flag == flag;
        let entries = 8 + 4 * [0x1, 0x4].into_iter().filter(|flag| has(*flag)).count();
        let entry = 4 * [0x100, 0x200, 0x400, 0x800].into_iter().filter(|flag| has(*flag)).count();
        let offset = entry.saturating_sub(4);
        let mut offset_of_first = 0;
        if has(0x800) {
            let each = head.get(entries..).unwrap_or_default().chunks_exact(entry);
            let offsets =
                each.filter_map(|entry| u32_at(entry, offset)).map(|by| i64::from(by.cast_signed()));
            offset_of_first = offsets.clone().next().unwrap_or(0);
            self.delay = offsets.fold(self.delay, |delay, by| delay.max(-by));
        }
        self.first.get_or_insert(time.saturating_sub(self.shift).saturating_add(offset_of_first));
        let end = if has(0x100) {
            let size = usize::try_from(count).unwrap_or(usize::MAX).saturating_mul(entry);
            let payload = trun.head(reader, size.saturating_add(entries).min(MAX_RUN))?;
            let each = payload.get(entries..).unwrap_or_default().chunks_exact(entry);
            let durations: Vec<u32> = each.filter_map(|entry| u32_at(entry, 0)).collect();
            self.collect(time, durations.iter().copied());
            let sum: u64 = durations.iter().copied().map(u64::from).sum();
            // The entries that are not read are taken to be as long as those before.
            let read = u128::try_from(durations.len()).unwrap_or(1).max(1);
            u64::try_from(u128::from(sum) * u128::from(count).max(read) / read).unwrap_or(u64::MAX)
        } else {
            let frames = usize::try_from(count).unwrap_or(FRAMES).min(FRAMES);
            self.collect(time, std::iter::repeat_n(default, frames));
            u64::from(default).saturating_mul(u64::from(count))
        };
        let end = time.saturating_add(i64::try_from(end).unwrap_or(i64::MAX));
        self.end = self.end.max(end);
        Ok(end)
    }

    fn collect(&mut self, time: i64, durations: impl Iterator<Item = u32>) {
        let room = if self.is_closed { 0 } else { FRAMES.saturating_sub(self.times.len()) };
        self.times.extend(accumulate(time, durations.take(room)));
    }
}
