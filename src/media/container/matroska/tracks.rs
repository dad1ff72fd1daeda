//! `TrackEntry` (RFC 9559, 5.1.4): the headers of a track, with the defaults of the format.

use super::ebml::{Children, Element};
use super::encodings::{self, Encoding};
use super::{ids, picture};
use crate::media::codec::picture::Picture;
use crate::media::error::Error;
use crate::media::info::TrackFacts;
use crate::media::reader::Reader;

/// Maximum of bytes read of `CodecPrivate`.
const MAX_PRIVATE: usize = 16 * 1024;

/// Maximum of tracks in one file, as in ffprobe.
pub(super) const MAX_TRACKS: usize = 1000;

/// A track's headers.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct TrackEntry {
    pub(super) number: u64,
    /// What tags name the track by.
    pub(super) uid: u64,
    pub(super) kind: TrackKind,
    pub(super) codec_id: String,
    /// As it is stored, see [`TrackEntry::restored_private`].
    pub(super) codec_private: Vec<u8>,
    pub(super) encodings: Vec<Encoding>,
    pub(super) language: Option<String>,
    pub(super) language_bcp47: Option<String>,
    pub(super) name: Option<String>,
    pub(super) is_default: bool,
    pub(super) is_forced: bool,
    /// Nanoseconds a frame.
    pub(super) default_duration: Option<u64>,
    /// A factor on the Segment's timestamp scale, other than 1 only in old files.
    pub(super) timestamp_scale: f64,
    pub(super) width: Option<u32>,
    pub(super) height: Option<u32>,
    pub(super) picture: Picture,
    pub(super) channels: u32,
    pub(super) bit_depth: u32,
    /// Hz of the decoder's output.
    pub(super) sample_rate: Option<u32>,
    /// The flags, and later the rest.
    pub(super) facts: TrackFacts,
}

impl Default for TrackEntry {
    fn default() -> Self {
        Self {
            number: 0,
            uid: 0,
            kind: TrackKind::Metadata,
            codec_id: String::new(),
            codec_private: Vec::new(),
            encodings: Vec::new(),
            language: None,
            language_bcp47: None,
            name: None,
            is_default: true,
            is_forced: false,
            default_duration: None,
            timestamp_scale: 1.0,
            width: None,
            height: None,
            picture: Picture::default(),
            channels: 1,
            bit_depth: 0,
            sample_rate: None,
            // The defaults of the format, and what absent flags without one mean.
            facts: TrackFacts {
                is_hearing_impaired: Some(false),
                is_visual_impaired: Some(false),
                is_commentary: Some(false),
                is_original: Some(false),
                is_enabled: Some(true),
                ..TrackFacts::default()
            },
        }
    }
}

impl TrackEntry {
    /// The codec's header; empty if it cannot be restored.
    pub(super) fn restored_private(&mut self) -> Vec<u8> {
        let stored = std::mem::take(&mut self.codec_private);
        if stored.is_empty() {
            return stored;
        }
        encodings::restore(&self.encodings, encodings::PRIVATE, stored, MAX_PRIVATE).unwrap_or_default()
    }

    /// The size of the picture, if the track states it.
    pub(super) fn size(&self) -> Option<(u32, u32)> {
        self.width.zip(self.height).filter(|(width, height)| *width > 0 && *height > 0)
    }
}

/// The track types that ffprobe reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum TrackKind {
    Video,
    Audio,
    Subtitle,
    Metadata,
}

impl TrackKind {
    fn from_number(number: u64) -> Option<Self> {
        Some(match number {
            0x01 => Self::Video,
            0x02 => Self::Audio,
            0x11 => Self::Subtitle,
            0x21 => Self::Metadata,
            _ => return None,
        })
    }

    /// Whether a codec identifier's prefix (RFC 9559, 5.1.4.1.21) fits the type. ffprobe ignores
    /// other tracks.
    fn accepts(self, codec_id: &str) -> bool {
        let prefixes: &[u8] = match self {
            Self::Video => b"V",
            Self::Audio => b"A",
            Self::Subtitle | Self::Metadata => b"DS",
        };
        codec_id.bytes().next().is_some_and(|prefix| prefixes.contains(&prefix))
    }
}

/// Reads the entries of `Tracks`. On an error, `entries` keeps those before it.
pub(super) fn read(
    reader: &mut Reader<'_>,
    mut children: Children,
    entries: &mut Vec<TrackEntry>,
) -> Result<u64, Error> {
    while let Some(child) = children.next(reader)? {
        if child.id == ids::TRACK_ENTRY {
            if entries.len() >= MAX_TRACKS {
                return Err(Error::Excessive { limit: "1,000 tracks" });
            }
            let inner = child.children(children.position(), ids::TOP_LEVEL);
            entries.extend(entry(reader, inner)?);
        }
    }
    Ok(children.position())
}

fn entry(reader: &mut Reader<'_>, mut children: Children) -> Result<Option<TrackEntry>, Error> {
    let mut kind = None;
    let mut private = None;
    let mut entry = TrackEntry::default();
    while let Some(child) = children.next(reader)? {
        match child.id {
            ids::TRACK_NUMBER => entry.number = child.unsigned(reader)?.unwrap_or(0),
            ids::TRACK_UID => entry.uid = child.unsigned(reader)?.unwrap_or(0),
            ids::TRACK_TYPE => kind = child.unsigned(reader)?.and_then(TrackKind::from_number),
            ids::CODEC_ID => entry.codec_id = child.word(reader)?.unwrap_or_default(),
            ids::CODEC_PRIVATE => private = Some(child),
            ids::LANGUAGE => entry.language = child.word(reader)?,
            ids::LANGUAGE_BCP47 => entry.language_bcp47 = child.word(reader)?,
            ids::NAME => entry.name = child.title(reader)?,
            ids::FLAG_DEFAULT => entry.is_default = child.flag(reader)?.unwrap_or(true),
            ids::FLAG_FORCED => entry.is_forced = child.flag(reader)?.unwrap_or(false),
            ids::FLAG_ENABLED => entry.facts.is_enabled = child.flag(reader)?.or(Some(true)),
            ids::FLAG_HEARING_IMPAIRED => entry.facts.is_hearing_impaired = flag(reader, child)?,
            ids::FLAG_VISUAL_IMPAIRED => entry.facts.is_visual_impaired = flag(reader, child)?,
            ids::FLAG_ORIGINAL => entry.facts.is_original = flag(reader, child)?,
            ids::FLAG_COMMENTARY => entry.facts.is_commentary = flag(reader, child)?,
            ids::BLOCK_ADDITION_MAPPING => picture::addition(reader, child, &mut entry.picture)?,
            ids::DEFAULT_DURATION => {
                entry.default_duration = child.unsigned(reader)?.filter(|duration| *duration > 0);
            }
            ids::TRACK_TIMESTAMP_SCALE => {
                entry.timestamp_scale = child.float(reader)?.filter(|scale| *scale >= 0.01).unwrap_or(1.0);
            }
            ids::CONTENT_ENCODINGS => entry.encodings = encodings::read(reader, child)?,
            ids::VIDEO => video(reader, child, &mut entry)?,
            ids::AUDIO => audio(reader, child, &mut entry)?,
            _ => {}
        }
    }
    let Some(kind) = kind.filter(|kind| kind.accepts(&entry.codec_id)) else { return Ok(None) };
    entry.kind = kind;
    if let Some(private) = private {
        entry.codec_private = private.head(reader, MAX_PRIVATE)?.to_vec();
    }
    Ok(Some(entry))
}

fn flag(reader: &mut Reader<'_>, element: Element) -> Result<Option<bool>, Error> {
    Ok(element.flag(reader)?.or(Some(false)))
}

fn video(reader: &mut Reader<'_>, video: Element, entry: &mut TrackEntry) -> Result<(), Error> {
    let (mut interlaced, mut order) = (None, None);
    let mut children = video.children(video.end.unwrap_or(video.body), &[]);
    while let Some(child) = children.next(reader)? {
        match child.id {
            ids::PIXEL_WIDTH => entry.width = child.small(reader)?,
            ids::PIXEL_HEIGHT => entry.height = child.small(reader)?,
            // Deprecated, but the only statement in some old files.
            ids::FRAME_RATE if entry.default_duration.is_none() => {
                let rate = child.float(reader)?.filter(|rate| *rate > 0.0);
                entry.default_duration = rate.and_then(nanoseconds);
            }
            ids::FLAG_INTERLACED => interlaced = child.unsigned(reader)?,
            ids::FIELD_ORDER => order = child.unsigned(reader)?,
            ids::COLOUR => picture::color(reader, child, &mut entry.picture)?,
            _ => {}
        }
    }
    entry.picture.field_order = picture::field_order(interlaced, order);
    Ok(())
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "checked to be in range")]
fn nanoseconds(rate: f64) -> Option<u64> {
    let duration = 1e9 / rate;
    (1.0..1e15).contains(&duration).then_some(duration as u64)
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "checked to be in range")]
fn hertz(rate: f64) -> Option<u32> {
    (1.0..1e9).contains(&rate).then_some(rate as u32)
}

fn audio(reader: &mut Reader<'_>, audio: Element, entry: &mut TrackEntry) -> Result<(), Error> {
    let (mut stated, mut output) = (None, None);
    let mut children = audio.children(audio.end.unwrap_or(audio.body), &[]);
    while let Some(child) = children.next(reader)? {
        match child.id {
            ids::CHANNELS => entry.channels = child.small(reader)?.unwrap_or(1),
            ids::BIT_DEPTH => entry.bit_depth = child.small(reader)?.unwrap_or(0),
            ids::SAMPLING_FREQUENCY => stated = child.float(reader)?,
            ids::OUTPUT_SAMPLING_FREQUENCY => output = child.float(reader)?,
            _ => {}
        }
    }
    // The default is 8 kHz.
    entry.sample_rate = hertz(output.filter(|rate| *rate > 0.0).or(stated).unwrap_or(8_000.0));
    Ok(())
}
