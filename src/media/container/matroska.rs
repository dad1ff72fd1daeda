//! Matroska and WebM (EBML, RFC 8794; Matroska, RFC 9559).

mod attachments;
mod cluster;
mod codec_id;
mod ebml;
mod encodings;
mod ids;
mod picture;
mod segment;
mod tags;
#[cfg(test)]
mod tests;
mod tracks;

use cluster::{FirstBlocks, Frame};
use codec_id::Codec;
use ebml::{Children, Element};
use segment::Segment;
use tracks::{TrackEntry, TrackKind};

use super::format::ContainerFormat;
use crate::media::codec::frame_header;
use crate::media::error::Error;
use crate::media::frame_rate::{self, Rate, Timing};
use crate::media::info::{Facts, MediaInfo, Track, TrackFacts, TrackType, add_bit_rate, channel_layout};
use crate::media::language::{self, UNDETERMINED, bibliographic};
use crate::media::reader::Reader;

/// Frames whose times are read if a track does not state its rate. Frames are stored in decoding
/// order, so some more are read than are used.
const FRAMES: usize = 41 + REORDERED;
const REORDERED: usize = 16;

/// Matroska and WebM.
pub(super) const FORMAT: ContainerFormat = ContainerFormat {
    name: "matroska,webm",
    titles: &["Matroska", "WebM"],
    extensions: &["mkv", "webm"],
    recognises: |head| head.starts_with(&ids::EBML.to_be_bytes()),
    parse,
};

/// Reads a Matroska or WebM file's tracks and attachments.
fn parse(reader: &mut Reader<'_>) -> Result<MediaInfo, Error> {
    let mut segment = find_segment(reader)?;
    let entries = std::mem::take(&mut segment.entries).into_iter();
    let with_codec = |mut entry: TrackEntry| {
        let private = entry.restored_private();
        let codec = codec_id::identify(&entry, &private);
        (entry, codec)
    };
    let mut entries: Vec<(TrackEntry, Codec)> = entries.map(with_codec).collect();
    let rates = read_blocks(reader, &segment, &mut entries);
    segment.read_late(reader);
    for (entry, _) in &mut entries {
        let of_track = segment.statistics.iter().find(|statistics| statistics.uid == entry.uid);
        entry.facts.bit_rate = of_track.and_then(|statistics| statistics.bit_rate);
        entry.facts.duration_seconds = of_track.and_then(|statistics| statistics.duration);
    }
    let mut tracks: Vec<Track> =
        entries.into_iter().zip(rates).map(|((entry, codec), rate)| track(entry, codec, rate)).collect();
    if let Some(first) = segment.cluster.filter(|_| segment.missing == Some(0)) {
        add_bit_rate(&mut tracks, segment.end.saturating_sub(first), segment.seconds());
    }
    tracks.append(&mut segment.attachments);
    if segment.cluster.is_none() && !segment.names_clusters {
        return Err(if segment.is_open {
            Error::Truncated { what: "headers", length: reader.length(), missing: segment.missing }
        } else {
            Error::Malformed { offset: segment.end, what: "there is no Cluster: the file was never finished" }
        });
    }
    if tracks.is_empty() {
        return Err(segment.damage.unwrap_or(Error::NoTracks).lacking(segment.missing));
    }
    Ok(MediaInfo {
        container_format: FORMAT.name,
        duration_seconds: segment.seconds(),
        tracks,
        facts: Facts {
            missing_bytes: segment.missing,
            media_end: Some(segment.end),
            title: segment.title,
            chapters: segment.chapters,
            ..Facts::default()
        },
    })
}

/// Checks the EBML header and reads the first Segment after it.
fn find_segment(reader: &mut Reader<'_>) -> Result<Segment, Error> {
    let length = reader.length();
    let (mut offset, mut other) = (0, None);
    while let Some(element) = Element::at(reader, offset, length)? {
        match element.id {
            ids::EBML => header(reader, element.children(length, &[ids::SEGMENT]))?,
            ids::SEGMENT => {
                let missing = element.end.map(|end| end.saturating_sub(length));
                return Segment::read(reader, element).map_err(|error| error.lacking(missing));
            }
            ids::VOID => {}
            _ => other = other.or(Some(offset)),
        }
        offset = element.end.ok_or(Error::Malformed { offset, what: "an EBML header without size" })?;
    }
    Err(match other {
        Some(offset) => Error::Malformed { offset, what: "no Segment follows the EBML header" },
        None if offset > length => {
            Error::Truncated { what: "EBML header", length, missing: Some(offset - length) }
        }
        None => {
            Error::Truncated { what: "headers: no Segment follows the EBML header", length, missing: None }
        }
    })
}

fn header(reader: &mut Reader<'_>, mut children: Children) -> Result<(), Error> {
    while let Some(child) = children.next(reader)? {
        let limit = match child.id {
            ids::EBML_READ_VERSION => 1,
            ids::EBML_MAX_ID_LENGTH => 4,
            ids::EBML_MAX_SIZE_LENGTH => 8,
            _ => continue,
        };
        if child.unsigned(reader)?.is_some_and(|value| value > limit) {
            return Err(Error::Malformed {
                offset: child.offset,
                what: "a version of EBML that nobody uses",
            });
        }
    }
    Ok(())
}

fn track(entry: TrackEntry, codec: Codec, rate: Option<Rate>) -> Track {
    let is_subtitle = entry.kind == TrackKind::Subtitle || codec.name == Some("webvtt");
    let track_type = match entry.kind {
        TrackKind::Video => TrackType::Video,
        TrackKind::Audio => TrackType::Audio,
        _ if is_subtitle => TrackType::Subtitle,
        _ => TrackType::Other,
    };
    let channels = codec.channels.unwrap_or(entry.channels);
    let channels = Some(channels).filter(|channels| entry.kind == TrackKind::Audio && *channels > 0);
    let size = codec.video.size.or(entry.size()).filter(|_| entry.kind == TrackKind::Video);
    let facts = describe(&entry, &codec, channels);
    Track {
        track_type,
        codec: codec.name.map(str::to_owned),
        language: Some(language(&entry)),
        title: entry.name,
        is_default: entry.is_default,
        is_forced: entry.is_forced,
        channels,
        channel_layout: channels.and_then(channel_layout),
        width: size.map(|(width, _)| width),
        height: size.map(|(_, height)| height),
        frame_rate: rate.map(|rate| rate.to_string()),
        facts,
    }
}

/// The facts of a track. What the container states about pictures comes before what the codec does.
fn describe(entry: &TrackEntry, codec: &Codec, channels: Option<u32>) -> TrackFacts {
    let mut facts = entry.facts.clone();
    let of_statistics = facts.bit_rate;
    facts.language_tag = match entry.language_bcp47.as_deref().or(entry.language.as_deref()) {
        Some(stated) => language::tag(stated),
        None => Some("en".to_owned()),
    };
    match entry.kind {
        TrackKind::Video => {
            entry.picture.or(codec.video.picture).apply(&mut facts);
            facts.is_attached_picture = Some(false);
        }
        TrackKind::Audio => codec.sound.apply(codec.name, channels, &mut facts),
        _ => {}
    }
    facts.bit_rate = of_statistics.or(facts.bit_rate);
    facts
}

/// `LanguageBCP47` overrules `Language`, whose default applies if there is neither (RFC 9559,
/// 5.1.4.1.19 and 5.1.4.1.20).
fn language(entry: &TrackEntry) -> String {
    let stated = [&entry.language_bcp47, &entry.language].into_iter().flatten();
    let default = if stated.clone().next().is_some() { UNDETERMINED } else { "eng" };
    stated.map(String::as_str).find_map(bibliographic).unwrap_or_else(|| default.to_owned())
}

/// The rate of each video track: the stated one, else estimated from the times of its first frames.
/// Sizes that no header states are set from the first frame.
fn read_blocks(
    reader: &mut Reader<'_>,
    segment: &Segment,
    entries: &mut [(TrackEntry, Codec)],
) -> Vec<Option<Rate>> {
    let mut blocks: Vec<FirstBlocks> = entries.iter().filter_map(wanted_blocks).collect();
    if let Some(first) = segment.cluster.filter(|_| !blocks.is_empty()) {
        cluster::first_blocks(reader, first, segment.end, &mut blocks);
    }
    let mut blocks = blocks.into_iter();
    let mut rate = |read: &mut (TrackEntry, Codec)| {
        let found = wanted_blocks(read).and_then(|_| blocks.next()).unwrap_or_default();
        let (entry, codec) = read;
        if let (Some(head), Some(name)) = (found.head, codec.name) {
            let frame = encodings::restore(&entry.encodings, encodings::FRAMES, head, found.wants_head);
            codec.apply_frame(name, entry.size().is_none(), &frame.unwrap_or_default());
        }
        if found.wanted > 0 {
            estimated_rate(entry, codec, segment.timestamp_scale(), &found.frames)
        } else {
            plausible_rate(entry).filter(|_| entry.kind == TrackKind::Video)
        }
    };
    entries.iter_mut().map(&mut rate).collect()
}

/// What a track lacks and its first blocks contain.
fn wanted_blocks((entry, codec): &(TrackEntry, Codec)) -> Option<FirstBlocks> {
    let is_video = entry.kind == TrackKind::Video;
    let (wants_head, is_optional) = match codec.name {
        Some("vp8" | "vp9") if is_video => (cluster::HEAD, entry.size().is_some()),
        Some("hevc") if entry.picture.or(codec.video.picture).is_pq() => (codec_id::SEI_HEAD, true),
        Some("mpeg2video") if is_video => (codec_id::MPEG_HEAD, true),
        Some("mpeg4") if is_video && codec.video.picture.profile.is_none() => (codec_id::MPEG_HEAD, true),
        Some("ac3" | "eac3" | "truehd" | "mlp" | "mp1" | "mp2" | "mp3") if !is_video => (cluster::HEAD, true),
        Some("dts") if !is_video => (frame_header::DTS_LENGTH, true),
        _ => (0, true),
    };
    let wanted = if !is_video || plausible_rate(entry).is_some() { 0 } else { FRAMES };
    let blocks =
        FirstBlocks { track: entry.number, wanted, wants_head, is_optional, ..FirstBlocks::default() };
    (wanted > 0 || wants_head > 0).then_some(blocks)
}

/// The stated rate. ffprobe ignores rates up to 5 and from 1000 frames a second on, and estimates
/// them.
fn plausible_rate(entry: &TrackEntry) -> Option<Rate> {
    let rate = Rate::approximate(1_000_000_000, entry.default_duration?, 30_000)?;
    let (numerator, denominator) = (u128::from(rate.numerator), u128::from(rate.denominator));
    (numerator < denominator * 1000 && numerator > denominator * 5).then_some(rate)
}

fn estimated_rate(entry: &TrackEntry, codec: &Codec, scale: u64, frames: &[Frame]) -> Option<Rate> {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_precision_loss,
        clippy::cast_sign_loss,
        reason = "a scale is a small positive number"
    )]
    let nanoseconds = (scale as f64 * entry.timestamp_scale) as u64;
    let unit = Rate::new(1_000_000_000, nanoseconds)?;
    let (timescale, tick) = (u32::try_from(unit.numerator).ok()?, u32::try_from(unit.denominator).ok()?);
    // The duration of frames without a stated one: by the track, else by the codec.
    let by_codec = |(frames, seconds): (u32, u32)| {
        let (frames, seconds) = (u64::from(frames), u64::from(seconds));
        let is_plausible = frames > 0 && frames < seconds * 1000;
        is_plausible.then(|| unit.numerator * seconds / (frames * unit.denominator))
    };
    let usual = entry.default_duration.map(|duration| duration / scale);
    let usual = usual.or_else(|| codec.video.rate.and_then(by_codec)).unwrap_or(0);
    let usual = i64::try_from(usual).unwrap_or(0);
    // As many as ffprobe uses: until it has enough different times, and without the first two frames.
    let (mut different, mut last) = (0, None);
    let is_used = |frame: &&Frame| {
        let is_used = different < FRAMES - REORDERED;
        different += usize::from(last.replace(frame.time) != Some(frame.time));
        is_used
    };
    let shown = frames.iter().take_while(is_used).skip(2);
    let shown = shown.map(|frame| if frame.duration > 0 { frame.duration } else { usual });
    let shown = shown.fold(0, i64::saturating_add);
    // Blocks are stored in decoding order, not in that of time.
    let mut times: Vec<i64> = frames.iter().map(|frame| frame.time).collect();
    times.sort_unstable();
    times.dedup();
    times.truncate(FRAMES - REORDERED);
    // ffprobe's H.264 decoder uses the header only once it has a frame.
    let claimed = codec.video.rate.filter(|_| codec.name != Some("h264") || !times.is_empty());
    frame_rate::estimate(Timing {
        tick,
        timescale,
        times: &times,
        shift: 0,
        is_table: false,
        shown: Some(shown),
        claimed,
        is_fine: frame_rate::is_fine(codec.name, codec.video.rate.unwrap_or((timescale, tick))),
    })
}
