//! Movie fragments: start and end of the tracks of a fragmented file, and the times of the first
//! frames.
//!
//! The first fragments are read for their frames. The end is taken from a segment index that covers
//! the file, else from the last fragments in the random access table (`mfra`), else from `mehd`,
//! else from a walk.

use super::boxes::{BoxHeader, Boxes};
use super::fragmented::Fragmented;
use super::movie::{Fragments, Movie};
use super::random_access::{IndexEntry, last_entry, random_access_size};
use super::track::MovieTrack;
use crate::media::bytes::{u16_at, u32_at, u64_at};
use crate::media::error::Error;
use crate::media::frame_rate::sufficient;
use crate::media::info::TrackType;
use crate::media::reader::Reader;

/// Fragments of a track at the start that are always read.
const FIRST: u32 = 4;
/// A file with fewer fragments is read to its end, because `mehd` is often wrong in live
/// recordings.
const SHORT: u32 = 16;
/// Maximum of fragments, and of reads, for the frames that a rate is estimated from: live streams have
/// one frame in each.
const MAX_FIRST: u32 = 128;
const MAX_FIRST_READS: u32 = 64;
/// Fragments that are shorter than this in the mean are read in larger steps.
const NEAR: u64 = 8 * 1024;
const STEP: usize = 16 * 1024;
/// Maximum of reads in a walk to the end.
const MAX_READS: u32 = 600;
/// Bytes at the end of the file that are searched for the last fragments, in increasing steps.
const TAILS: [usize; 3] = [32 * 1024, 128 * 1024, 512 * 1024];
/// Maximum of boxes read in `mfra`: a `tfra` for each track, and `mfro`.
const MAX_INDEX_BOXES: u32 = 64;

/// The tracks' times, in the order of the movie's tracks.
#[derive(Clone, Debug, Default)]
pub(crate) struct Timeline {
    pub(crate) tracks: Vec<Fragmented>,
    /// The duration by `mehd`, in units of the movie, if the walk did not reach the end.
    pub(crate) stated: Option<u64>,
    /// How many bytes the file is shorter than its boxes or index state; `None` if its end was not seen.
    pub(crate) missing: Option<u64>,
    /// Where the last box other than padding ends, if all were seen.
    pub(crate) media_end: Option<u64>,
    /// The size of `mfra`, once it was read.
    random_access: Option<u64>,
}

/// Reads the fragments of a movie; `boxes` are those that follow the movie box.
pub(crate) fn read(
    reader: &mut Reader<'_>,
    movie: &Movie,
    fragments: &Fragments,
    mut boxes: Boxes,
) -> Result<Timeline, Error> {
    let mut timeline = Timeline::from_movie(movie);
    let (mut count, mut begin, mut fetched, mut end) = (0, None, 0, 0);
    let (mut is_indexed, mut is_looked_up, mut is_searched) = (false, false, false);
    loop {
        let Some(found) = boxes.next(reader)? else {
            // Less than the header of a box: the file was cut within it.
            let rest = reader.length().saturating_sub(boxes.position());
            timeline.sees_end(if (1..8).contains(&rest) { 8 - rest } else { 0 });
            timeline.media_end = Some(end);
            break;
        };
        end = found.data_end().unwrap_or(end);
        if found.is_truncated() {
            timeline.sees_end(found.missing);
        }
        match &found.kind {
            b"sidx" => is_indexed |= timeline.segment_index(reader, &found)?,
            b"moof" => {
                count += 1;
                timeline.fragment(reader, &found, fragments, None)?;
                let is_begun = count >= SHORT || timeline.tracks.iter().any(|track| track.fragments >= FIRST);
                let is_expensive = count >= MAX_FIRST || reader.usage().reads >= MAX_FIRST_READS;
                if !is_expensive && !timeline.has_frames(movie, is_begun) {
                    let distance = found.end - *begin.get_or_insert(found.offset);
                    if distance < NEAR * u64::from(count) && found.end >= fetched {
                        fetched = found.end + STEP as u64;
                        reader.at_most(found.end, STEP)?;
                    }
                    continue;
                }
                if is_indexed {
                    timeline.spread_index(movie);
                    break;
                }
                if is_begun && !is_looked_up {
                    is_looked_up = true;
                    if timeline.last_fragments(reader, fragments)? {
                        break;
                    }
                }
                if count >= SHORT && !is_searched {
                    is_searched = true;
                    timeline.stated = fragments.duration.filter(|duration| *duration > 0);
                    if timeline.stated.is_some() || timeline.search_tail(reader, fragments, found.end)? {
                        break;
                    }
                }
            }
            _ => {}
        }
        if reader.usage().reads >= MAX_READS {
            // The walk did not reach the end, so the ends found so far are wrong.
            timeline.clear_ends();
            break;
        }
    }
    Ok(timeline)
}

impl Timeline {
    fn from_movie(movie: &Movie) -> Self {
        let track = |track: &MovieTrack| {
            let sampled = if track.durations.is_empty() { 0 } else { track.duration.unwrap_or(0) };
            Fragmented {
                id: track.id,
                end: i64::try_from(sampled).unwrap_or(i64::MAX),
                shift: track.shift(movie.timescale),
                ..Fragmented::default()
            }
        };
        Self { tracks: movie.tracks().map(track).collect(), ..Self::default() }
    }

    /// Whether enough frames are known for the rate of each video, except those that have none in the
    /// first fragments.
    fn has_frames(&self, movie: &Movie, is_begun: bool) -> bool {
        movie.tracks().zip(&self.tracks).all(|(track, found)| {
            track.kind() != TrackType::Video
                || is_begun && found.fragments == 0
                || found.times.len() > sufficient(track.timescale, 1)
        })
    }

    fn random_access_size(&mut self, reader: &mut Reader<'_>) -> Result<u64, Error> {
        if self.random_access.is_none() {
            self.random_access = Some(random_access_size(reader)?);
        }
        Ok(self.random_access.unwrap_or(0))
    }

    /// Notes what the end of the file shows: how much is missing there.
    fn sees_end(&mut self, missing: u64) {
        self.missing = self.missing.max(Some(missing));
    }

    fn close(&mut self) {
        for track in &mut self.tracks {
            track.is_closed = true;
        }
    }

    /// ISO/IEC 14496-12, 8.16.3; whether the index reaches to the end of the file.
    fn segment_index(&mut self, reader: &mut Reader<'_>, sidx: &BoxHeader) -> Result<bool, Error> {
        let head = sidx.head(reader, 32)?;
        let long = head.first() == Some(&1);
        let entries = if long { 32 } else { 24 };
        let times = if long {
            u64_at(head, 12).zip(u64_at(head, 20))
        } else {
            u32_at(head, 12).map(u64::from).zip(u32_at(head, 16).map(u64::from))
        };
        let (Some(id), Some((mut time, first)), Some(count)) =
            (u32_at(head, 4), times, u16_at(head, entries - 2))
        else {
            return Ok(false);
        };
        let mut position = sidx.end.saturating_add(first);
        let size = usize::from(count) * 12;
        let Some(references) = sidx.head(reader, entries + size)?.get(entries..) else { return Ok(false) };
        // The last one may be truncated after the needed part.
        for reference in references.chunks(12) {
            let (Some(size), Some(duration)) = (u32_at(reference, 0), u32_at(reference, 4)) else { break };
            if size >> 31 == 1 {
                return Ok(false); // an index of indexes
            }
            position = position.saturating_add(u64::from(size));
            time = time.saturating_add(u64::from(duration));
        }
        if let Some(track) = self.tracks.iter_mut().find(|track| track.id == id) {
            track.end = i64::try_from(time).unwrap_or(i64::MAX);
            track.has_index = true;
        }
        let length = reader.length();
        if position >= length {
            self.sees_end(position - length);
        }
        Ok(position == length || position < length && position == length - self.random_access_size(reader)?)
    }

    /// Applies the index of one track to those without one.
    fn spread_index(&mut self, movie: &Movie) {
        let timescales: Vec<u32> = movie.tracks().map(|track| track.timescale).collect();
        let indexed = self.tracks.iter().zip(&timescales).find(|(track, _)| track.has_index);
        let Some((end, from)) = indexed.map(|(track, timescale)| (track.end, *timescale)) else { return };
        for (track, to) in self.tracks.iter_mut().zip(timescales).filter(|(track, _)| !track.has_index) {
            let scaled = i128::from(end) * i128::from(to) / i128::from(from.max(1));
            track.end = i64::try_from(scaled).unwrap_or(i64::MAX);
            track.has_index = true;
        }
    }

    /// Reads the last fragment of each track in `mfra`; whether there is such a table.
    fn last_fragments(&mut self, reader: &mut Reader<'_>, fragments: &Fragments) -> Result<bool, Error> {
        self.close();
        let length = reader.length();
        let size = self.random_access_size(reader)?;
        let Some(start) = length.checked_sub(size).filter(|_| size > 0) else { return Ok(false) };
        let Some(table) = Boxes::new(start, length).find(reader, *b"mfra")? else { return Ok(false) };
        let mut boxes = table.children(0);
        let mut last = Vec::new();
        for _ in 0..MAX_INDEX_BOXES {
            let Some(found) = boxes.next(reader)? else { break };
            if found.kind == *b"tfra" {
                last.extend(last_entry(reader, &found)?);
            }
        }
        let mut is_found = false;
        for entry in last {
            // After the last fragment that begins with a key frame, there may be more of the same
            // track.
            let mut boxes = Boxes::new(entry.fragment, start);
            let mut time = Some(entry);
            while let Some(found) = boxes.next(reader)? {
                match &found.kind {
                    b"moof" => self.fragment(reader, &found, fragments, time.take())?,
                    b"mdat" | b"styp" | b"sidx" | b"emsg" | b"free" | b"prft" => continue,
                    _ => break,
                }
                is_found = true;
            }
        }
        if is_found {
            self.sees_end(0);
        }
        Ok(is_found)
    }

    /// Searches the end of a file without an index for fragments and reads them; whether there were
    /// any.
    fn search_tail(
        &mut self,
        reader: &mut Reader<'_>,
        fragments: &Fragments,
        behind: u64,
    ) -> Result<bool, Error> {
        self.close();
        let length = reader.length();
        for tail in TAILS {
            let start = length.saturating_sub(tail as u64).max(behind);
            let bytes = reader.at_most(start, tail)?;
            let looks =
                |window: &[u8]| window.get(4..8) == Some(b"moof") && window.get(12..16) == Some(b"mfhd");
            let mut found: Vec<u64> = (0_u64..)
                .zip(bytes.windows(16))
                .filter(|(_, window)| looks(window))
                .map(|(at, _)| at)
                .collect();
            // There may be separate fragments for each track.
            let enough = found.len().saturating_sub(2 * self.tracks.len());
            let Some(at) = found.drain(enough..).next() else { continue };
            let mut boxes = Boxes::new(start + at, length);
            while let Some(found) = boxes.next(reader)? {
                self.sees_end(found.missing);
                if found.kind == *b"moof" {
                    self.fragment(reader, &found, fragments, None)?;
                }
            }
            return Ok(true);
        }
        Ok(false)
    }

    /// Clears the ends of all tracks.
    fn clear_ends(&mut self) {
        for track in &mut self.tracks {
            track.end = 0;
            track.first = None;
            track.has_index = false;
        }
    }

    /// ISO/IEC 14496-12, 8.8.4 to 8.8.8 and 8.8.12.
    fn fragment(
        &mut self,
        reader: &mut Reader<'_>,
        moof: &BoxHeader,
        fragments: &Fragments,
        known: Option<IndexEntry>,
    ) -> Result<(), Error> {
        let mut boxes = moof.children(0);
        while let Some(found) = boxes.next(reader)? {
            if found.kind == *b"traf" {
                self.track_fragment(reader, &found, fragments, known)?;
            }
        }
        Ok(())
    }

    fn track_fragment(
        &mut self,
        reader: &mut Reader<'_>,
        traf: &BoxHeader,
        fragments: &Fragments,
        known: Option<IndexEntry>,
    ) -> Result<(), Error> {
        let mut boxes = traf.children(0);
        let mut current = None;
        while let Some(found) = boxes.next(reader)? {
            match &found.kind {
                b"tfhd" => {
                    let head = found.head(reader, 24)?;
                    let (Some(flags), Some(id)) = (u32_at(head, 0), u32_at(head, 4)) else { return Ok(()) };
                    let Some(track) = self.tracks.iter_mut().find(|track| track.id == id) else {
                        return Ok(());
                    };
                    track.fragments += 1;
                    let at = 8 + if flags & 1 == 1 { 8 } else { 0 } + if flags & 2 == 2 { 4 } else { 0 };
                    let stated = if flags & 8 == 8 { u32_at(head, at) } else { None };
                    let default = fragments.sample_durations.iter().find(|(known, _)| *known == id);
                    let duration = stated.or(default.map(|(_, duration)| *duration)).unwrap_or(0);
                    let indexed = known.filter(|entry| entry.id == id).map(|entry| entry.time);
                    let time = indexed.unwrap_or(track.end);
                    current = Some((track, duration, time));
                }
                b"tfdt" => {
                    let head = found.head(reader, 12)?;
                    let time = match head.first() {
                        Some(1) => u64_at(head, 4).map(u64::cast_signed),
                        _ => u32_at(head, 4).map(i64::from),
                    };
                    if let (Some((_, _, now)), Some(time)) = (&mut current, time) {
                        *now = time;
                    }
                }
                b"trun" => {
                    if let Some((track, duration, now)) = &mut current {
                        *now = track.run(reader, &found, *duration, *now)?;
                    }
                }
                _ => {}
            }
        }
        Ok(())
    }
}
