//! Matroska and WebM (EBML, RFC 8794; Matroska, RFC 9559).

mod attachments;
mod cluster;
mod codec;
mod ebml;
mod ids;
mod segment;
mod tracks;

use ebml::{Children, Element};
use segment::Segment;
use tracks::{Entry, Kind};

use super::names::{Rate, channel_layout, language, primary_subtag};
use super::reader::Reader;
use super::{Error, MediaInfo, Track, TrackType};

/// Frames whose times are looked at where a track does not state its rate; some more than count, because they
/// are stored in decoding order.
const FRAMES: usize = 40 + 17;

/// Reads a Matroska or WebM file's tracks and attachments.
pub(crate) fn parse(reader: &mut Reader<'_>) -> Result<MediaInfo, Error> {
    let mut segment = find_segment(reader)?;
    let scale = segment.timestamp_scale.filter(|scale| *scale > 0).unwrap_or(1_000_000);
    let entries = std::mem::take(&mut segment.entries);
    let rates = rates(reader, &segment, &entries, scale);
    let mut tracks: Vec<Track> =
        entries.into_iter().zip(rates).map(|(entry, rate)| track(entry, rate)).collect();
    tracks.append(&mut segment.attachments);
    if segment.cluster.is_none() && segment.is_open {
        return Err(Error::Truncated { what: "headers", length: reader.length() });
    }
    if tracks.is_empty() {
        return Err(segment.damage.unwrap_or(Error::NoTracks));
    }
    #[expect(clippy::cast_precision_loss, reason = "a scale is far below 2^52")]
    let duration = segment.duration.map(|ticks| ticks * scale as f64 / 1e9);
    Ok(MediaInfo {
        container_format: "matroska,webm",
        duration_seconds: duration.filter(|seconds| seconds.is_finite() && *seconds > 0.0),
        tracks,
    })
}

/// Checks the EBML header and reads the first Segment behind it.
fn find_segment(reader: &mut Reader<'_>) -> Result<Segment, Error> {
    let length = reader.length();
    let mut offset = 0;
    while let Some(element) = Element::at(reader, offset, length)? {
        match element.id {
            ids::EBML => header(reader, element.children(length, &[ids::SEGMENT]))?,
            ids::SEGMENT => return Segment::read(reader, element),
            _ => {}
        }
        offset = element.end.ok_or(Error::Malformed { offset, what: "an EBML header without size" })?;
    }
    Err(Error::Truncated { what: "EBML header", length })
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

fn track(entry: Entry, rate: Option<Rate>) -> Track {
    let codec = codec::of(&entry);
    let is_subtitle = entry.kind == Kind::Subtitle || codec.name == Some("webvtt");
    let track_type = match entry.kind {
        Kind::Video => TrackType::Video,
        Kind::Audio => TrackType::Audio,
        _ if is_subtitle => TrackType::Subtitle,
        _ => TrackType::Other,
    };
    let (is_video, is_audio) = (entry.kind == Kind::Video, entry.kind == Kind::Audio);
    let channels = codec.channels.unwrap_or(entry.channels);
    let channels = Some(channels).filter(|channels| is_audio && *channels > 0);
    let spoken = match (&entry.language, &entry.language_bcp47) {
        (Some(code), _) => code,
        (None, Some(tag)) => primary_subtag(tag),
        (None, None) => "eng",
    };
    Track {
        track_type,
        codec: codec.name.map(str::to_owned),
        language: Some(language(spoken)),
        title: entry.name,
        is_default: entry.is_default,
        is_forced: entry.is_forced,
        channels,
        channel_layout: channels.and_then(channel_layout),
        width: entry.width.filter(|width| is_video && *width > 0),
        height: entry.height.filter(|height| is_video && *height > 0),
        frame_rate: rate.map(|rate| rate.to_string()),
    }
}

/// The rate of each video track, by its own word or by its first frames' times.
fn rates(reader: &mut Reader<'_>, segment: &Segment, entries: &[Entry], scale: u64) -> Vec<Option<Rate>> {
    let stated = |entry: &Entry| {
        entry.default_duration.and_then(|duration| Rate::approximate(1_000_000_000, duration, 30_000))
    };
    let is_silent =
        |entry: &Entry| entry.kind == Kind::Video && !stated(entry).is_some_and(|rate| is_plausible(rate));
    let silent: Vec<u64> =
        entries.iter().filter(|entry| is_silent(entry)).map(|entry| entry.number).collect();
    let mut times = match segment.cluster {
        Some(first) if !silent.is_empty() => cluster::timestamps(reader, first, segment.end, &silent, FRAMES),
        _ => Vec::new(),
    }
    .into_iter();
    let mut rate = |entry: &Entry| match entry.kind {
        Kind::Video if is_silent(entry) => {
            let times = times.next().unwrap_or_default();
            let _ = (scale, times);
            stated(entry)
        }
        Kind::Video => stated(entry),
        _ => None,
    };
    entries.iter().map(|entry| rate(entry)).collect()
}

/// ffprobe does not believe a stated rate outside of this range, and looks for itself.
fn is_plausible(rate: Rate) -> bool {
    let (numerator, denominator) = (u128::from(rate.numerator), u128::from(rate.denominator));
    numerator < denominator * 1000 && numerator > denominator * 5
}
