//! A track of a movie (`trak`): its headers, and the head of its sample table.

use super::boxes::{BoxHeader, Boxes};
use super::metadata::Role;
use super::sample_entry::{self, SampleEntry};
use super::sample_table::{self, Durations};
use crate::media::bytes::{text, u16_at, u32_at, u64_at};
use crate::media::codec::fourcc::{FourCc, four_cc_at};
use crate::media::codec::frame_header;
use crate::media::error::Error;
use crate::media::info::{TrackFacts, TrackType};
use crate::media::language::{self, bibliographic};
use crate::media::reader::{MAX_ELEMENT, Reader};

/// Maximum of bytes read of a language tag.
const MAX_TAG: usize = 64;
/// Maximum of edits that are read: the first two give the start of a track, all of them its length.
pub(crate) const EDITS: usize = 8;

/// Contents of `trak`.
#[derive(Clone, Debug, Default)]
pub(crate) struct MovieTrack {
    pub(crate) id: u32,
    pub(crate) is_enabled: bool,
    pub(crate) is_forced: bool,
    /// Units of the track's times a second.
    pub(crate) timescale: u32,
    /// Length of the media in units; `None` when not stated.
    pub(crate) duration: Option<u64>,
    pub(crate) language: Option<String>,
    pub(crate) entry: SampleEntry,
    pub(crate) durations: Durations,
    pub(crate) edits: Vec<Edit>,
    /// There are more edits than were read.
    pub(crate) has_more_edits: bool,
    handler: FourCc,
    /// The sum of the samples' sizes, if it was at hand.
    bytes: Option<u64>,
    /// Name, flags and language tag.
    pub(crate) facts: TrackFacts,
}

/// One entry of `elst`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Edit {
    /// In units of the movie.
    duration: u64,
    /// In units of the media; -1 is a pause.
    media_time: i64,
}

impl MovieTrack {
    pub(crate) fn kind(&self) -> TrackType {
        self.entry.kind.unwrap_or(track_type_of_handler(self.handler))
    }

    /// How much earlier than the media itself the track's presentation begins, in units of the
    /// media.
    pub(crate) fn shift(&self, movie_timescale: u32) -> i64 {
        let (pause, rest) = match self.edits.as_slice() {
            [first, rest @ ..] if first.media_time == -1 => (first.duration, rest),
            edits => (0, edits),
        };
        let start = rest.first().map_or(0, |edit| edit.media_time.max(0));
        let scaled = u128::from(pause) * u128::from(self.timescale) / u128::from(movie_timescale.max(1));
        start.saturating_sub(i64::try_from(scaled).unwrap_or(i64::MAX))
    }

    /// The duration of the samples outside of fragments, in units of the track, as far as the edits
    /// show them.
    pub(crate) fn shown(&self, movie_timescale: u32) -> u64 {
        let whole = self.duration.unwrap_or(0);
        let edited: u128 = self.edits.iter().map(|edit| u128::from(edit.duration)).sum();
        if edited == 0 || self.has_more_edits || self.durations.is_empty() {
            return whole;
        }
        let (to, from) = (u128::from(self.timescale), u128::from(movie_timescale.max(1)));
        let edited = edited.saturating_mul(to).saturating_add(from / 2) / from;
        u64::try_from(edited).unwrap_or(u64::MAX).min(whole)
    }
}

/// The type of a track by its handler; the sample entry's format may override it.
fn track_type_of_handler(handler: FourCc) -> TrackType {
    match &handler {
        b"vide" => TrackType::Video,
        b"soun" => TrackType::Audio,
        b"subp" | b"clcp" => TrackType::Subtitle,
        _ => TrackType::Other,
    }
}

impl MovieTrack {
    /// ISO/IEC 14496-12, 8.3.2.
    pub(crate) fn header(&mut self, payload: &[u8]) {
        self.is_enabled = payload.get(3).is_some_and(|flags| flags & 1 == 1);
        let at = if payload.first() == Some(&1) { 20 } else { 12 };
        self.id = u32_at(payload, at).unwrap_or(0);
    }

    pub(crate) fn media(
        &mut self,
        reader: &mut Reader<'_>,
        mdia: &BoxHeader,
        is_quicktime: bool,
    ) -> Result<(), Error> {
        let mut boxes = mdia.children(0);
        let mut tag = None;
        while let Some(found) = boxes.next(reader)? {
            match &found.kind {
                b"mdhd" => self.media_header(found.head(reader, 36)?),
                // A BCP 47 tag, which overrules `mdhd` (ISO/IEC 14496-12, 8.4.6).
                b"elng" => {
                    tag = found.head(reader, 4 + MAX_TAG)?.get(4..).and_then(text);
                }
                b"hdlr" => {
                    let payload = found.head(reader, 12)?;
                    self.handler = four_cc_at(payload, 8).unwrap_or_default();
                }
                b"minf" => {
                    if let Some(table) = found.children(0).find(reader, *b"stbl")? {
                        self.sample_table(reader, table.children(0), is_quicktime)?;
                    }
                }
                _ => {}
            }
        }
        self.language = tag.as_deref().and_then(bibliographic).or_else(|| self.language.take());
        let tag = tag.as_deref().and_then(language::tag);
        self.facts.language_tag = tag.or_else(|| language::tag(self.language.as_deref()?));
        Ok(())
    }

    /// Whether it shows pictures.
    pub(crate) fn is_video(&self) -> bool {
        self.kind() == TrackType::Video
    }

    /// Adds what a role or characteristic states.
    pub(crate) fn apply_role(&mut self, role: Option<Role>) {
        match role {
            Some(Role::Forced) => self.is_forced = true,
            Some(Role::HearingImpaired) => self.facts.is_hearing_impaired = Some(true),
            Some(Role::VisualImpaired) => self.facts.is_visual_impaired = Some(true),
            Some(Role::Commentary) => self.facts.is_commentary = Some(true),
            None => {}
        }
    }

    /// Bits per second: of the samples, if `moov` lists all of them, else as stated.
    pub(crate) fn bit_rate(&self, lists_all: bool) -> Option<u64> {
        let duration = self.duration.filter(|duration| lists_all && *duration > 0);
        let mean = self.bytes.zip(duration).map(|(bytes, duration)| {
            u128::from(bytes) * 8 * u128::from(self.timescale) / u128::from(duration)
        });
        mean.and_then(|mean| u64::try_from(mean).ok())
            .or(self.entry.bit_rate.map(u64::from))
            .filter(|rate| *rate > 0)
    }

    /// ISO/IEC 14496-12, 8.4.2.
    fn media_header(&mut self, payload: &[u8]) {
        (self.timescale, self.duration) = timescale_and_duration(payload);
        let at = if payload.first() == Some(&1) { 32 } else { 20 };
        self.language = u16_at(payload, at).and_then(super::language::name);
    }

    /// Reads the sample description and the head of the durations (ISO/IEC 14496-12, 8.5.1), and no
    /// table after both: those of a long film are large. The exceptions are audio whose channels are
    /// known only from a frame, and sizes that were read already.
    fn sample_table(
        &mut self,
        reader: &mut Reader<'_>,
        mut boxes: Boxes,
        is_quicktime: bool,
    ) -> Result<(), Error> {
        let (mut described, mut timed, mut located) = (false, false, false);
        loop {
            let needs_frame = self.entry.needs_frame();
            if described && timed && (located || !needs_frame) && !reader.holds(boxes.position(), 20) {
                break;
            }
            let Some(found) = boxes.next(reader)? else { break };
            match &found.kind {
                b"stsd" => {
                    described = true;
                    let context = sample_entry::EntryContext {
                        kind: track_type_of_handler(self.handler),
                        is_quicktime,
                    };
                    if let Some(entry) = sample_entry::parse(reader, &found, context)? {
                        self.entry = entry;
                    }
                }
                b"stts" => {
                    timed = true;
                    self.durations = Durations::parse(reader, &found)?;
                }
                b"stsz"
                    if reader.holds(found.start, usize::try_from(found.length()).unwrap_or(usize::MAX)) =>
                {
                    self.bytes = sample_table::total_size(found.head(reader, MAX_ELEMENT)?);
                }
                b"stco" | b"co64" if needs_frame => {
                    located = true;
                    let table = found.head(reader, 16)?;
                    let offset = if found.kind == *b"co64" {
                        u64_at(table, 8)
                    } else {
                        u32_at(table, 8).map(u64::from)
                    };
                    if let Some(offset) = offset {
                        self.entry.apply_frame(reader.at_most(offset, frame_header::LENGTH)?);
                    }
                }
                _ => {}
            }
        }
        Ok(())
    }
}

/// The common part of `mvhd` and `mdhd`. A duration of all ones means that it is not known.
pub(crate) fn timescale_and_duration(payload: &[u8]) -> (u32, Option<u64>) {
    let (timescale, duration) = if payload.first() == Some(&1) {
        (u32_at(payload, 20), u64_at(payload, 24).filter(|duration| *duration != u64::MAX))
    } else {
        let duration = u32_at(payload, 16).filter(|duration| *duration != u32::MAX);
        (u32_at(payload, 12), duration.map(u64::from))
    };
    // A timescale of zero, or one that is negative as a signed number, is invalid.
    let timescale = timescale.filter(|timescale| i32::try_from(*timescale).is_ok_and(|scale| scale > 0));
    (timescale.unwrap_or(1), duration)
}

/// ISO/IEC 14496-12, 8.6.6; also whether there are more than [`EDITS`].
pub(crate) fn edit_list(payload: &[u8]) -> (Vec<Edit>, bool) {
    let long = payload.first() == Some(&1);
    let count = u32_at(payload, 4).and_then(|count| usize::try_from(count).ok()).unwrap_or(0);
    let entries = payload.get(8..).unwrap_or_default().chunks_exact(if long { 20 } else { 12 });
    let edit = |entry: &[u8]| {
        if long {
            Some(Edit { duration: u64_at(entry, 0)?, media_time: u64_at(entry, 8)?.cast_signed() })
        } else {
            let media_time = i64::from(u32_at(entry, 4)?.cast_signed());
            Some(Edit { duration: u64::from(u32_at(entry, 0)?), media_time })
        }
    };
    (entries.take(count.min(EDITS)).filter_map(edit).collect(), count > EDITS)
}
