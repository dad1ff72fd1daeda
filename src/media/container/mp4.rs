//! ISO base media file format (ISO/IEC 14496-12) and QuickTime (QuickTime File Format
//! Specification): MP4, M4V, MOV, 3GP, fragmented or not.
//!
//! The parser skips from box to box until `moov`, which is at either end of the file. It does not
//! read `mdat`, nor sample tables beyond their head. Results equal ffprobe's; `docs/probing.md`
//! lists the differences.

mod boxes;
mod elementary_stream;
mod fragmented;
mod fragments;
mod language;
mod metadata;
mod movie;
mod picture_boxes;
mod random_access;
mod sample_entry;
mod sample_table;
#[cfg(test)]
mod tests;
mod track;

use boxes::{BoxHeader, Boxes};
use fragmented::Fragmented;
use fragments::Timeline;
use metadata::Cover;
use movie::{Movie, MovieStream};
use track::MovieTrack;

use super::format::ContainerFormat;
use crate::media::codec::fourcc::four_cc_at;
use crate::media::error::Error;
use crate::media::frame_rate::{self, Rate, Timing};
use crate::media::info::{Facts, MediaInfo, Track, TrackFacts, TrackType, add_bit_rate, channel_layout};
use crate::media::language::UNDETERMINED;
use crate::media::reader::Reader;

/// Maximum of boxes after `moov` whose sizes are read.
const MAX_BOXES_AFTER: u32 = 8;

/// MP4 and its relatives.
pub(super) const FORMAT: ContainerFormat = ContainerFormat {
    name: "mov,mp4,m4a,3gp,3g2,mj2",
    titles: &["MP4", "MOV"],
    extensions: &["mp4", "m4v", "mov"],
    recognises,
    parse,
};

/// By the type of the first box. Motion JPEG 2000 begins with the signature of JPEG 2000 (ISO/IEC
/// 15444-3, 5.1).
fn recognises(head: &[u8]) -> bool {
    let four = |at: usize| head.get(at..at + 4).unwrap_or_default();
    match four(4) {
        b"jP  " => four(16) == b"ftyp" && four(20) == b"mjp2",
        kind => matches!(
            kind,
            b"ftyp"
                | b"moov"
                | b"mdat"
                | b"moof"
                | b"styp"
                | b"sidx"
                | b"free"
                | b"skip"
                | b"wide"
                | b"pnot"
                | b"uuid"
                | b"junk"
                | b"pict"
                | b"emsg"
                | b"prfl"
        ),
    }
}

/// Reads an ISO base media file's tracks.
///
/// # Errors
///
/// [`Error::Truncated`] when the file ends before `moov` or within its tracks, [`Error::Malformed`]
/// when there is none, [`Error::NoTracks`], and those of the reader.
fn parse(reader: &mut Reader<'_>) -> Result<MediaInfo, Error> {
    let Found { movie, boxes, missing, is_fast_start, media, end, is_open, moov } = find_movie(reader)?;
    let timeline = match &movie.fragments {
        Some(fragments) => Some(fragments::read(reader, &movie, fragments, boxes)?),
        None => None,
    };
    let mut of_track = timeline.iter().flat_map(|timeline| &timeline.tracks);
    let mut tracks: Vec<Track> = movie
        .streams
        .iter()
        .map(|stream| match stream {
            MovieStream::Track(track) => describe(&movie, track, of_track.next()),
            MovieStream::Cover(cover) => describe_cover(cover),
        })
        .collect();
    if tracks.is_empty() {
        return Err(Error::NoTracks);
    }
    let duration_seconds = match &timeline {
        Some(timeline) => fragmented_duration(&movie, timeline),
        None => duration(&movie),
    };
    let (missing_bytes, media_end) = if let Some(timeline) = &timeline {
        let missing = timeline.missing.max(Some(missing).filter(|missing| *missing > 0));
        (missing, timeline.media_end.unwrap_or(reader.length()))
    } else {
        let after = measure_after(reader, boxes);
        let missing = missing.max(after.missing);
        if missing == 0 {
            add_bit_rate(&mut tracks, media.saturating_add(after.media), duration_seconds);
        }
        let is_stated = missing > 0 || !(is_open || after.is_open);
        let missing = if is_stated { Some(missing) } else { movie::missing_chunks(reader, &moov)? };
        (missing, end.max(after.end))
    };
    Ok(MediaInfo {
        container_format: FORMAT.name,
        duration_seconds,
        tracks,
        facts: Facts {
            missing_bytes,
            media_end: Some(media_end),
            chapters: Some(movie.chapter_count()),
            title: movie.title,
            is_fast_start: Some(is_fast_start),
            ..Facts::default()
        },
    })
}

/// The boxes after `moov`.
#[derive(Default)]
struct After {
    /// How many bytes they are larger than the file.
    missing: u64,
    /// Bytes of media data.
    media: u64,
    /// Media data states no size.
    is_open: bool,
    /// The end of the last one other than padding, or that of the file if there are more.
    end: u64,
}

/// Measures the boxes after `moov`. Few are looked at: the media data follows `moov`, if it did not precede it.
fn measure_after(reader: &mut Reader<'_>, mut boxes: Boxes) -> After {
    let mut after = After::default();
    for _ in 0..MAX_BOXES_AFTER {
        let Ok(Some(found)) = boxes.next(reader) else { return after };
        after.missing = after.missing.max(found.missing);
        if found.kind == *b"mdat" {
            after.media += found.length();
            after.is_open |= found.is_open;
        }
        after.end = found.data_end().unwrap_or(after.end);
    }
    After { end: reader.length(), ..after }
}

/// The movie box, and where it was found.
struct Found {
    movie: Movie,
    /// Those that follow it.
    boxes: Boxes,
    /// How many bytes it is larger than the file.
    missing: u64,
    /// No media data precede it.
    is_fast_start: bool,
    /// Bytes of media data before it.
    media: u64,
    /// Its end.
    end: u64,
    /// The media data before it states no size.
    is_open: bool,
    moov: BoxHeader,
}

/// Finds and reads `moov`.
fn find_movie(reader: &mut Reader<'_>) -> Result<Found, Error> {
    let length = reader.length();
    let mut boxes = Boxes::new(0, length);
    let mut is_quicktime = true;
    let (mut end, mut missing, mut is_media_segment) = (0, 0, false);
    let (mut freed, mut is_fast_start, mut media, mut is_open) = (None, true, 0, false);
    while let Some(found) = boxes.next(reader)? {
        end = found.end;
        match &found.kind {
            b"ftyp" => {
                let brands = found.head(reader, 256)?;
                let is_brand = |brand: &[u8]| brand == b"qt  ";
                is_quicktime = brands.get(..4).is_some_and(is_brand)
                    || brands.get(8..).unwrap_or_default().chunks_exact(4).any(is_brand);
            }
            // Some files keep it in a box of the second type.
            kind if kind == b"moov" || kind == b"hoov" && holds_movie(reader, &found)? => {
                let movie = movie::parse(reader, &found, is_quicktime)?;
                let (missing, is_open) = (found.missing, false);
                return Ok(Found { movie, boxes, missing, is_fast_start, media, end, is_open, moov: found });
            }
            // Tag editors leave the former movie box in one, so it is used only if there is no
            // other movie box.
            b"free" if freed.is_none() && holds_movie(reader, &found)? => freed = Some((found, boxes)),
            kind => {
                is_media_segment |= matches!(kind, b"moof" | b"styp");
                if kind == b"mdat" {
                    is_fast_start = false;
                    media += found.length();
                    is_open |= found.is_open;
                }
                missing = found.missing;
            }
        }
    }
    match freed {
        Some((found, boxes)) => {
            let movie = movie::parse(reader, &found, is_quicktime)?;
            Ok(Found { movie, boxes, missing, is_fast_start: false, media, end, is_open, moov: found })
        }
        None if is_media_segment => Err(Error::Malformed {
            offset: end,
            what: "there is no movie box (moov): it is a media segment of a stream, without its headers",
        }),
        None if missing > 0 => Err(Error::Truncated { what: "media data", length, missing: Some(missing) }),
        None => Err(Error::Malformed {
            offset: end,
            what: "there is no movie box (moov): the file was never finished",
        }),
    }
}

/// Whether a box begins as a movie box does.
fn holds_movie(reader: &mut Reader<'_>, found: &BoxHeader) -> Result<bool, Error> {
    let first = four_cc_at(found.head(reader, 8)?, 4);
    Ok(first.is_some_and(|kind| matches!(&kind, b"mvhd" | b"cmov")))
}

fn describe(movie: &Movie, track: &MovieTrack, fragmented: Option<&Fragmented>) -> Track {
    let entry = &track.entry;
    let mut track_type = track.kind();
    let mut codec = entry.codec;
    let is_chapters = movie.chapters.contains(&track.id);
    if is_chapters && track_type != TrackType::Video {
        track_type = TrackType::Other;
        codec = Some("bin_data");
    }
    let is_video = track_type == TrackType::Video;
    let size = entry.size.filter(|_| is_video);
    let channels = (track_type == TrackType::Audio).then(|| entry.channels.unwrap_or(0));
    // The pictures of chapters are still images.
    let rate = if is_video && !is_chapters { frame_rate(movie, track, fragmented) } else { None };
    Track {
        track_type,
        codec: codec.map(str::to_owned),
        language: Some(track.language.clone().unwrap_or_else(|| UNDETERMINED.to_owned())),
        title: None,
        is_default: track.is_enabled && !entry.is_associated_service,
        is_forced: (track.is_forced || entry.is_forced) && !entry.is_associated_service,
        channels,
        channel_layout: channels.and_then(channel_layout),
        width: size.map(|(width, _)| width),
        height: size.map(|(_, height)| height),
        frame_rate: rate.map(|rate| rate.to_string()),
        facts: facts(movie, track, (track_type, channels), fragmented),
    }
}

fn facts(
    movie: &Movie,
    track: &MovieTrack,
    (track_type, channels): (TrackType, Option<u32>),
    fragmented: Option<&Fragmented>,
) -> TrackFacts {
    let mut facts = track.facts.clone();
    let entry = &track.entry;
    match track_type {
        TrackType::Video => {
            entry.picture().apply(&mut facts);
            // The pictures of chapters are still ones.
            facts.is_attached_picture = Some(movie.chapters.contains(&track.id));
        }
        TrackType::Audio => entry.sound.apply(entry.codec, channels, &mut facts),
        _ => {}
    }
    // What `moov` lists is only a part of a fragmented film.
    facts.bit_rate = track.bit_rate(movie.fragments.is_none()).or(facts.bit_rate);
    let length = match fragmented {
        Some(fragmented) => fragmented.length(track, movie.timescale),
        None => track.shown(movie.timescale),
    };
    facts.duration_seconds = Some(seconds(length, track.timescale)).filter(|seconds| *seconds > 0.0);
    // `bsmod` of AC-3 (ETSI TS 102 366, 4.4.2.2). What the container can state and does not is false.
    let or_service = |flag: Option<bool>, service| Some(flag.unwrap_or(entry.service == service));
    facts.is_visual_impaired = or_service(facts.is_visual_impaired, 2);
    facts.is_hearing_impaired = or_service(facts.is_hearing_impaired, 3);
    facts.is_commentary = or_service(facts.is_commentary, 5);
    facts.is_enabled = Some(track.is_enabled);
    facts
}

fn describe_cover(cover: &Cover) -> Track {
    // ffprobe reports 0 for an unknown size.
    let (width, height) = cover.size.unwrap_or_default();
    let mut facts = TrackFacts { is_attached_picture: Some(true), ..TrackFacts::default() };
    cover.picture.apply(&mut facts);
    Track {
        codec: Some(cover.codec.to_owned()),
        width: Some(width),
        height: Some(height),
        facts,
        ..Track::new(TrackType::Video)
    }
}

/// Constant if the sample table states so, else estimated from the times of the first frames.
fn frame_rate(movie: &Movie, track: &MovieTrack, fragmented: Option<&Fragmented>) -> Option<Rate> {
    if let Some(duration) = track.durations.constant() {
        return Rate::new(u64::from(track.timescale), u64::from(duration));
    }
    let of_fragments = fragmented.filter(|_| track.durations.is_empty());
    let times = of_fragments.map_or_else(|| track.durations.times(), |fragmented| fragmented.times.clone());
    let is_fine = track.entry.format == *b"mp4v"
        || frame_rate::is_fine(track.entry.codec, track.entry.claimed_rate.unwrap_or((track.timescale, 1)));
    frame_rate::estimate(Timing {
        tick: 1,
        timescale: track.timescale,
        times: &times,
        shift: track.shift(movie.timescale),
        shown: None,
        is_table: of_fragments.is_none(),
        // Unlike others, ffprobe's H.264 decoder uses the header only once it has a frame.
        claimed: track.entry.claimed_rate.filter(|_| track.entry.codec != Some("h264") || !times.is_empty()),
        is_fine,
    })
}

/// The duration in the movie header, else that of the longest track.
fn duration(movie: &Movie) -> Option<f64> {
    let of_tracks = || {
        let lengths = movie.tracks().filter_map(|track| Some(seconds(track.duration?, track.timescale)));
        lengths.reduce(f64::max)
    };
    movie.duration.map(|duration| seconds(duration, movie.timescale)).or_else(of_tracks)
}

/// From the first frame to the end of the last one, over the tracks that ffprobe measures.
fn fragmented_duration(movie: &Movie, timeline: &Timeline) -> Option<f64> {
    if let Some(stated) = timeline.stated {
        return Some(seconds(stated, movie.timescale));
    }
    let (mut played, mut text) = (Coverage::default(), Coverage::default());
    for (track, fragmented) in movie.tracks().zip(&timeline.tracks) {
        let length = seconds(fragmented.length(track, movie.timescale), track.timescale);
        let begin = fragmented
            .start()
            .map(|start| seconds(start.unsigned_abs(), track.timescale) * if start < 0 { -1.0 } else { 1.0 });
        match track.kind() {
            TrackType::Video | TrackType::Audio => played.add(begin, length),
            _ => text.add(begin, length),
        }
    }
    let lead = outermost(played.lead, text.lead);
    let shown = lead.zip(outermost(played.end, text.end)).map_or(0.0, |(lead, end)| lead + end);
    let longest = outermost(played.longest, text.longest).unwrap_or(0.0);
    Some(longest.max(shown)).filter(|duration| *duration > 0.0)
}

/// The time that tracks of one sort cover, in seconds.
#[derive(Clone, Copy, Debug, Default)]
struct Coverage {
    longest: Option<f64>,
    /// How long before zero the first track begins.
    lead: Option<f64>,
    end: Option<f64>,
}

impl Coverage {
    fn add(&mut self, begin: Option<f64>, length: f64) {
        let most = |known: Option<f64>, value: f64| Some(known.map_or(value, |known| known.max(value)));
        self.longest = most(self.longest, length);
        if let Some(begin) = begin {
            self.lead = most(self.lead, -begin);
            self.end = most(self.end, begin + length);
        }
    }
}

/// The end of video and audio. That of texts and data counts if it is less than a second later, or
/// the only one.
fn outermost(played: Option<f64>, text: Option<f64>) -> Option<f64> {
    match (played, text) {
        (Some(played), Some(text)) if (0.0..1.0).contains(&(text - played)) => Some(text),
        _ => played.or(text),
    }
}

#[expect(clippy::cast_precision_loss, reason = "a length beyond 2^53 units is no length")]
fn seconds(units: u64, timescale: u32) -> f64 {
    let microseconds =
        (u128::from(units) * 1_000_000 + u128::from(timescale) / 2) / u128::from(timescale.max(1));
    microseconds as f64 / 1e6
}
