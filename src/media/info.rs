//! The result of a probe: a video's container and tracks.

use super::language::UNDETERMINED;
use crate::base::facts;
pub use crate::base::facts::Facts;

/// A video's container and tracks.
#[derive(Clone, Debug, PartialEq)]
pub struct MediaInfo {
    /// ffprobe's name of the format, such as `matroska,webm`.
    pub container_format: &'static str,
    /// Length in seconds, if the container states it.
    pub duration_seconds: Option<f64>,
    /// The tracks in ffprobe's stream order; `track_index` is the position.
    pub tracks: Vec<Track>,
    /// What schema 7 has no column for.
    pub facts: Facts,
}

/// What the headers state about a track beyond the columns of schema 7.
pub type TrackFacts = facts::TrackFacts<&'static str>;

/// One track (ffprobe: stream).
#[derive(Clone, Debug, PartialEq)]
pub struct Track {
    /// What it carries.
    pub track_type: TrackType,
    /// ffprobe's codec name (`h264`, `aac`, `subrip`, …); `None` when unknown.
    pub codec: Option<String>,
    /// ISO 639-2/B code; `und` when absent.
    pub language: Option<String>,
    /// The track's name.
    pub title: Option<String>,
    /// Chosen by a player that has no preference.
    pub is_default: bool,
    /// Shown even when subtitles are off.
    pub is_forced: bool,
    /// Audio channels.
    pub channels: Option<u32>,
    /// `mono`, `stereo`, `quad`, `5.0`, `5.1`, `7.1`, else `Nch`.
    pub channel_layout: Option<String>,
    /// Pixels.
    pub width: Option<u32>,
    /// Pixels.
    pub height: Option<u32>,
    /// Frames a second as a fraction, `24000/1001`.
    pub frame_rate: Option<String>,
    /// What schema 7 has no column for.
    pub facts: TrackFacts,
}

impl Track {
    /// A track of which only the type is known.
    pub(crate) fn new(track_type: TrackType) -> Self {
        Self {
            track_type,
            codec: None,
            language: Some(UNDETERMINED.to_owned()),
            title: None,
            is_default: false,
            is_forced: false,
            channels: None,
            channel_layout: None,
            width: None,
            height: None,
            frame_rate: None,
            facts: TrackFacts::default(),
        }
    }
}

/// The kinds of track.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names are the kinds")]
pub enum TrackType {
    Video,
    Audio,
    Subtitle,
    Attachment,
    Other,
}

impl TrackType {
    /// The name stored in the library.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Video => "video",
            Self::Audio => "audio",
            Self::Subtitle => "subtitle",
            Self::Attachment => "attachment",
            Self::Other => "other",
        }
    }
}

/// Gives the only picture or sound that states no bit rate what the others leave of the bytes of all. Texts and data take
/// next to nothing.
pub(crate) fn add_bit_rate(tracks: &mut [Track], bytes: u64, duration: Option<f64>) {
    let is_film = |track: &&mut Track| {
        matches!(track.track_type, TrackType::Video | TrackType::Audio)
            && track.facts.is_attached_picture != Some(true)
    };
    let Some(duration) = duration.filter(|duration| *duration > 0.0) else { return };
    #[expect(clippy::cast_precision_loss, reason = "far below 2^52")]
    let (mut left, mut lacking) = (bytes as f64 * 8.0, None);
    for track in tracks.iter_mut().filter(is_film) {
        match track.facts.bit_rate {
            #[expect(clippy::cast_precision_loss, reason = "far below 2^52")]
            Some(rate) => left -= rate as f64 * track.facts.duration_seconds.unwrap_or(duration),
            None if lacking.is_some() => return,
            None => lacking = Some(track),
        }
    }
    if let Some(track) = lacking {
        let rate = left / track.facts.duration_seconds.unwrap_or(duration);
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "checked to be in range")]
        let rate = (1.0..1e12).contains(&rate).then_some(rate as u64);
        track.facts.bit_rate = rate;
    }
}

/// The name of a layout by its number of channels; the positions of the speakers do not matter.
pub(crate) fn channel_layout(channels: u32) -> Option<String> {
    let name = match channels {
        0 => return None,
        1 => "mono",
        2 => "stereo",
        4 => "quad",
        5 => "5.0",
        6 => "5.1",
        8 => "7.1",
        other => return Some(format!("{other}ch")),
    };
    Some(name.to_owned())
}
