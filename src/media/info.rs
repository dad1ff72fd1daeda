//! The result of a probe: a video's container and tracks.

use serde::Serialize;

use super::language::UNDETERMINED;

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

/// What the headers state about a file beyond the columns of schema 7.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Facts {
    /// How many bytes the file is shorter than its container states: 0 of a whole file, more of a
    /// truncated one. `None` if the container does not state its size, or it was not read.
    pub missing_bytes: Option<u64>,
    /// How many bytes of the file are holes, which nothing was ever written to. `None` if the file system does not tell.
    pub hole_bytes: Option<u64>,
    /// The container's title.
    pub title: Option<String>,
    /// Number of chapters; `None` if the container cannot state it, or they were too far away.
    pub chapters: Option<u32>,
    /// MP4: whether the index is before the media data, so that a player can begin at once.
    pub is_fast_start: Option<bool>,
}

/// What the headers state about a track beyond the columns of schema 7.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct TrackFacts {
    /// BCP 47 language tag (RFC 5646), such as `pt-BR`.
    pub language_tag: Option<String>,
    /// The name of an MP4 track, which ffprobe does not report as its title.
    pub name: Option<String>,
    /// As ffprobe names it, such as `Main 10` or `LC`.
    pub profile: Option<String>,
    /// As people write it: `4.1`, `1b`, of MPEG-2 a name such as `Main`.
    pub level: Option<String>,
    /// Bits per sample of a colour or sound channel; of sound only if it is not compressed with losses.
    pub bit_depth: Option<u32>,
    /// ffmpeg's name, such as `yuv420p10le`.
    pub pixel_format: Option<String>,
    /// ffmpeg's name, such as `bt2020`.
    pub color_primaries: Option<&'static str>,
    /// ffmpeg's name, such as `smpte2084`.
    pub color_transfer: Option<&'static str>,
    /// ffmpeg's name, such as `bt2020nc`.
    pub color_matrix: Option<&'static str>,
    /// `tv` or `pc`.
    pub color_range: Option<&'static str>,
    /// `sdr`, `pq`, `hdr10`, `hdr10+`, `hlg` or `dolby_vision`; `None` where the headers do not state it.
    pub hdr_format: Option<&'static str>,
    /// Profile of Dolby Vision and its compatibility id, such as `8.1`.
    pub dolby_vision: Option<String>,
    /// `progressive`, `tt`, `bb`, `tb` or `bt`, as ffprobe names it.
    pub field_order: Option<&'static str>,
    /// Hz.
    pub sample_rate: Option<u32>,
    /// Bits per second.
    pub bit_rate: Option<u64>,
    /// Seconds.
    pub duration_seconds: Option<f64>,
    /// What the codec's name leaves open, such as `DTS-HD MA` or `Atmos`.
    pub codec_detail: Option<&'static str>,
    /// For people who do not hear well.
    pub is_hearing_impaired: Option<bool>,
    /// For people who do not see well.
    pub is_visual_impaired: Option<bool>,
    /// A commentary on the film.
    pub is_commentary: Option<bool>,
    /// In the language the film was made in.
    pub is_original: Option<bool>,
    /// Whether players offer the track. This and the flags before are `None` if the container cannot state them.
    pub is_enabled: Option<bool>,
    /// A cover or another still picture; `None` of tracks without pictures.
    pub is_attached_picture: Option<bool>,
    /// The name of an attached file.
    pub file_name: Option<String>,
    /// The MIME type of an attached file.
    pub mime_type: Option<String>,
}

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
