//! The movie box (`moov`): its tracks with their headers, in the order of the file.

use std::io::Cursor;

use super::boxes::{BoxHeader, Boxes};
use super::language;
use super::metadata::{self, Cover};
use super::sample_entry::{self, SampleEntry};
use super::sample_table::Durations;
use crate::media::bytes::{text, u16_at, u32_at, u64_at};
use crate::media::codec::fourcc::{FourCc, four_cc_at};
use crate::media::codec::frame_header;
use crate::media::error::Error;
use crate::media::info::TrackType;
use crate::media::language::bibliographic;
use crate::media::reader::{MAX_ELEMENT, Reader};

/// Maximum of tracks and covers that are read.
const MAX_TRACKS: usize = 1000;
/// Maximum size of an inflated movie box.
const MAX_INFLATED: usize = 4 * 1024 * 1024;
/// Maximum of bytes read of a language tag.
const MAX_TAG: usize = 64;
/// Maximum of edits that are read: the first two give the start of a track, all of them its length.
const EDITS: usize = 8;

/// Contents of `moov`.
#[derive(Clone, Debug, Default)]
pub(crate) struct Movie {
    /// Units of `duration` a second.
    pub(crate) timescale: u32,
    /// Length in units; `None` when not stated.
    pub(crate) duration: Option<u64>,
    /// Tracks and covers, in the order of the file.
    pub(crate) streams: Vec<MovieStream>,
    /// The defaults for fragments, if there may be fragments.
    pub(crate) fragments: Option<Fragments>,
    /// Tracks that hold the chapters' titles or pictures.
    pub(crate) chapters: Vec<u32>,
}

/// Contents of `mvex`.
#[derive(Clone, Debug, Default)]
pub(crate) struct Fragments {
    /// Length with all fragments, in units of the movie.
    pub(crate) duration: Option<u64>,
    /// Per track identifier: the duration of a sample, unless a fragment states another.
    pub(crate) sample_durations: Vec<(u32, u32)>,
}

/// A track or cover. Each becomes a track of the result.
#[derive(Clone, Debug)]
pub(crate) enum MovieStream {
    Track(Box<MovieTrack>),
    Cover(Cover),
}

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
    edits: Vec<Edit>,
    /// There are more edits than were read.
    has_more_edits: bool,
    handler: FourCc,
}

/// One entry of `elst`.
#[derive(Clone, Copy, Debug)]
struct Edit {
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

/// Reads `moov`; `is_quicktime` = sound descriptions have QuickTime's extensions.
pub(crate) fn parse(reader: &mut Reader<'_>, moov: &BoxHeader, is_quicktime: bool) -> Result<Movie, Error> {
    match moov.children(0).next(reader)? {
        Some(compressed) if compressed.kind == *b"cmov" => compressed_movie(reader, &compressed),
        _ => uncompressed_movie(reader, moov, is_quicktime),
    }
}

/// Reads a compressed movie box (QuickTime File Format Specification, "Compressed Movie
/// Resources").
fn compressed_movie(reader: &mut Reader<'_>, cmov: &BoxHeader) -> Result<Movie, Error> {
    let malformed = |what| Error::Malformed { offset: cmov.offset, what };
    let scheme = cmov.children(0).find(reader, *b"dcom")?;
    let data = cmov.children(0).find(reader, *b"cmvd")?;
    let (Some(scheme), Some(data)) = (scheme, data) else {
        return Err(malformed("the compressed movie box is incomplete"));
    };
    if !scheme.head(reader, 4)?.starts_with(b"zlib") {
        return Err(malformed("the movie box is compressed in an unknown way"));
    }
    let zlib = data.head(reader, MAX_ELEMENT)?.get(4..).unwrap_or_default();
    let plain_bytes = miniz_oxide::inflate::decompress_to_vec_zlib_with_limit(zlib, MAX_INFLATED)
        .map_err(|_| malformed("the compressed movie box cannot be inflated"))?;
    let mut source = Cursor::new(plain_bytes);
    let mut inner = Reader::new(&mut source)?;
    let length = inner.length();
    match Boxes::new(0, length).find(&mut inner, *b"moov")? {
        Some(moov) => uncompressed_movie(&mut inner, &moov, true),
        None => Err(malformed("the compressed movie box holds no movie")),
    }
}

fn uncompressed_movie(reader: &mut Reader<'_>, moov: &BoxHeader, is_quicktime: bool) -> Result<Movie, Error> {
    let truncated = Error::Truncated { what: "movie box (moov)", length: reader.length() };
    let mut movie = Movie::default();
    let mut boxes = moov.children(0);
    while let Some(found) = boxes.next(reader)? {
        match &found.kind {
            b"mvhd" => movie.header(found.head(reader, 32)?),
            // The tables of a track are truncated. ffprobe refuses such a file, too.
            b"trak" if moov.is_truncated() && found.is_truncated() => return Err(truncated),
            b"trak" if movie.streams.len() < MAX_TRACKS => movie.track(reader, &found, is_quicktime)?,
            b"mvex" => movie.fragments(reader, &found)?,
            b"udta" => {
                if let Some(meta) = found.children(0).find(reader, *b"meta")? {
                    movie.covers(reader, &meta)?;
                }
            }
            b"meta" => movie.covers(reader, &found)?,
            _ => {}
        }
    }
    // If the file ends after the tracks, only tags and covers are missing.
    if moov.is_truncated() && movie.tracks().all(|track| track.entry.kind.is_none()) {
        return Err(truncated);
    }
    Ok(movie)
}

impl Movie {
    /// Adds the covers in a `meta` box.
    pub(crate) fn covers(&mut self, reader: &mut Reader<'_>, meta: &BoxHeader) -> Result<(), Error> {
        let room = MAX_TRACKS.saturating_sub(self.streams.len());
        self.streams.extend(metadata::covers(reader, meta)?.into_iter().take(room).map(MovieStream::Cover));
        Ok(())
    }

    /// The tracks among the streams.
    pub(crate) fn tracks(&self) -> impl Iterator<Item = &MovieTrack> {
        self.streams.iter().filter_map(|stream| match stream {
            MovieStream::Track(track) => Some(track.as_ref()),
            MovieStream::Cover(_) => None,
        })
    }

    /// ISO/IEC 14496-12, 8.2.2.
    fn header(&mut self, payload: &[u8]) {
        (self.timescale, self.duration) = timescale_and_duration(payload);
    }

    /// ISO/IEC 14496-12, 8.8.1 to 8.8.3.
    fn fragments(&mut self, reader: &mut Reader<'_>, mvex: &BoxHeader) -> Result<(), Error> {
        let mut boxes = mvex.children(0);
        while let Some(found) = boxes.next(reader)? {
            match &found.kind {
                b"mehd" => {
                    let payload = found.head(reader, 12)?;
                    let duration = match payload.first() {
                        Some(1) => u64_at(payload, 4),
                        _ => u32_at(payload, 4).map(u64::from),
                    };
                    self.fragments.get_or_insert_default().duration = duration;
                }
                b"trex" => {
                    let payload = found.head(reader, 24)?;
                    let fragments = self.fragments.get_or_insert_default();
                    if let (Some(id), Some(duration), true) = (
                        u32_at(payload, 4),
                        u32_at(payload, 12),
                        fragments.sample_durations.len() < MAX_TRACKS,
                    ) {
                        fragments.sample_durations.push((id, duration));
                    }
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// ISO/IEC 14496-12, 8.3.1.
    fn track(&mut self, reader: &mut Reader<'_>, atom: &BoxHeader, is_quicktime: bool) -> Result<(), Error> {
        let mut track = Box::new(MovieTrack::default());
        let mut covers = Vec::new();
        let mut boxes = atom.children(0);
        while let Some(found) = boxes.next(reader)? {
            match &found.kind {
                b"tkhd" => track.header(found.head(reader, 24)?),
                b"edts" => {
                    if let Some(list) = found.children(0).find(reader, *b"elst")? {
                        (track.edits, track.has_more_edits) = edit_list(list.head(reader, 8 + EDITS * 20)?);
                    }
                }
                b"tref" => {
                    if let Some(chapters) = found.children(0).find(reader, *b"chap")? {
                        let ids = chapters.head(reader, 4 * MAX_TRACKS)?.chunks_exact(4);
                        self.chapters = ids.filter_map(|id| u32_at(id, 0)).collect();
                    }
                }
                b"mdia" => track.media(reader, &found, is_quicktime)?,
                b"udta" => {
                    let mut items = found.children(0);
                    while let Some(item) = items.next(reader)? {
                        match &item.kind {
                            b"kind" => track.is_forced |= metadata::is_forced(reader, &item)?,
                            b"meta" => covers.extend(metadata::covers(reader, &item)?),
                            _ => {}
                        }
                    }
                }
                b"meta" => covers.extend(metadata::covers(reader, &found)?),
                _ => {}
            }
        }
        self.streams.push(MovieStream::Track(track));
        self.streams.extend(covers.into_iter().map(MovieStream::Cover));
        Ok(())
    }
}

impl MovieTrack {
    /// ISO/IEC 14496-12, 8.3.2.
    fn header(&mut self, payload: &[u8]) {
        self.is_enabled = payload.get(3).is_some_and(|flags| flags & 1 == 1);
        let at = if payload.first() == Some(&1) { 20 } else { 12 };
        self.id = u32_at(payload, at).unwrap_or(0);
    }

    fn media(&mut self, reader: &mut Reader<'_>, mdia: &BoxHeader, is_quicktime: bool) -> Result<(), Error> {
        let mut boxes = mdia.children(0);
        let mut extended = None;
        while let Some(found) = boxes.next(reader)? {
            match &found.kind {
                b"mdhd" => self.media_header(found.head(reader, 36)?),
                // A BCP 47 tag, which overrules `mdhd` (ISO/IEC 14496-12, 8.4.6).
                b"elng" => {
                    let tag = found.head(reader, 4 + MAX_TAG)?.get(4..).and_then(text);
                    extended = tag.as_deref().and_then(bibliographic);
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
        self.language = extended.or_else(|| self.language.take());
        Ok(())
    }

    /// ISO/IEC 14496-12, 8.4.2.
    fn media_header(&mut self, payload: &[u8]) {
        (self.timescale, self.duration) = timescale_and_duration(payload);
        let at = if payload.first() == Some(&1) { 32 } else { 20 };
        self.language = u16_at(payload, at).and_then(language::name);
    }

    /// Reads the sample description and the head of the durations (ISO/IEC 14496-12, 8.5.1), and no
    /// table after both: those of a long film are large. The exception is audio whose channels are
    /// known only from a frame.
    fn sample_table(
        &mut self,
        reader: &mut Reader<'_>,
        mut boxes: Boxes,
        is_quicktime: bool,
    ) -> Result<(), Error> {
        let (mut described, mut timed, mut located) = (false, false, false);
        loop {
            let needs_frame = self.entry.needs_frame();
            if described && timed && (located || !needs_frame) {
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
fn timescale_and_duration(payload: &[u8]) -> (u32, Option<u64>) {
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
fn edit_list(payload: &[u8]) -> (Vec<Edit>, bool) {
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
