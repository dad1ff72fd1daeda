//! A stream of an AVI file, and the tracks that it becomes.

use crate::media::codec::picture::Picture;
use crate::media::codec::riff::WaveFormat;
use crate::media::codec::video::VideoConfig;
use crate::media::codec::{avc, frame_header, mpeg2, mpeg4};
use crate::media::frame_rate::{self, Timing};
use crate::media::info::{Track, TrackFacts, TrackType, channel_layout};

/// Contents of a `strl` list.
#[derive(Debug)]
pub(super) struct Stream {
    pub(super) kind: StreamKind,
    pub(super) handler: [u8; 4],
    pub(super) scale: u32,
    pub(super) rate: u32,
    pub(super) length: u32,
    /// The part of `length` that the file has.
    pub(super) shown: u32,
    pub(super) sample_size: u32,
    pub(super) is_enabled: bool,
    pub(super) title: Option<String>,
    pub(super) format: Option<StreamFormat>,
    /// Contents of the header of MPEG-4 video: after the bitmap format, else in the first frame.
    pub(super) picture: VideoConfig,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum StreamKind {
    Video,
    Audio,
    Subtitle,
    /// Video and audio in one stream (DV type 1).
    Interleaved,
    Other,
}

/// Contents of a `strf` chunk.
#[derive(Clone, Copy, Debug)]
pub(super) enum StreamFormat {
    Bitmap { codec: Option<&'static str>, width: u32, height: u32 },
    Wave(WaveFormat),
}

impl Stream {
    /// Whether the format does not state what a frame does.
    pub(super) fn needs_frame(&self) -> bool {
        match &self.format {
            Some(StreamFormat::Bitmap { codec, .. }) => {
                matches!(codec, Some("mpeg4" | "mpeg2video" | "h264" | "mjpeg"))
                    && self.picture == VideoConfig::default()
            }
            Some(StreamFormat::Wave(wave)) => {
                !wave.is_configured && wave.codec.is_some_and(frame_header::is_needed)
            }
            None => false,
        }
    }

    /// As [`Self::needs_frame`], for more than facts.
    pub(super) fn depends_on_frame(&self) -> bool {
        let is_wave = matches!(self.format, Some(StreamFormat::Wave(_)));
        let is_mpeg4 = matches!(self.format, Some(StreamFormat::Bitmap { codec: Some("mpeg4"), .. }));
        (is_wave || is_mpeg4) && self.needs_frame()
    }

    /// Applies the header of a frame, if there is one in these bytes.
    pub(super) fn apply_frame(&mut self, bytes: &[u8]) {
        if let Some(StreamFormat::Wave(wave)) = &mut self.format {
            let header = wave.codec.and_then(|codec| frame_header::find(codec, bytes));
            if let Some(header) = header {
                let channels = if header.channels > 0 { header.channels } else { wave.channels };
                let sound = header.sound.or(wave.sound);
                *wave = WaveFormat { codec: Some(header.codec), channels, is_configured: true, sound };
            }
            return;
        }
        let codec = match &self.format {
            Some(StreamFormat::Bitmap { codec, .. }) => *codec,
            _ => None,
        };
        // Size and rate of other codecs are those that the container states.
        match codec {
            Some("mpeg4") => self.picture = mpeg4::parse(bytes).unwrap_or_default(),
            Some("h264") => self.picture.picture = avc::find(bytes).unwrap_or_default(),
            Some("mpeg2video") => self.picture.picture = mpeg2::parse(bytes),
            _ => {}
        }
    }

    /// Whether its frames are pictures of JPEG.
    pub(super) fn is_jpeg(&self) -> bool {
        matches!(self.format, Some(StreamFormat::Bitmap { codec: Some("mjpeg"), .. }))
    }

    /// Seconds of so many units.
    pub(super) fn seconds(&self, units: u32) -> f64 {
        f64::from(units) * f64::from(self.scale) / f64::from(self.rate)
    }

    /// The facts of a track of the stream.
    fn facts(&self, codec: Option<&str>, channels: Option<u32>) -> TrackFacts {
        let mut facts = TrackFacts::default();
        match &self.format {
            Some(StreamFormat::Bitmap { codec: Some(codec), .. }) => {
                self.picture.picture.or(Picture::of_codec(codec)).apply(&mut facts);
            }
            Some(StreamFormat::Wave(wave)) => wave.sound.apply(codec, channels, &mut facts),
            _ => {}
        }
        facts.is_attached_picture = (self.kind == StreamKind::Video).then_some(false);
        facts.is_enabled = Some(self.is_enabled);
        let seconds = (self.seconds(self.shown) * 1e6).round() / 1e6;
        facts.duration_seconds = Some(seconds).filter(|seconds| *seconds > 0.0);
        facts
    }

    /// The tracks of the stream: one, or two of DV type 1.
    pub(super) fn tracks(self) -> Vec<Track> {
        let mut track = Track { title: self.title.clone(), ..Track::new(TrackType::Other) };
        match (self.kind, self.format) {
            (StreamKind::Video, Some(StreamFormat::Bitmap { codec: Some("xsub"), .. })) => {
                track.track_type = TrackType::Subtitle;
                track.codec = Some("xsub".to_owned());
            }
            (StreamKind::Video, Some(StreamFormat::Bitmap { codec, width, height })) => {
                track.track_type = TrackType::Video;
                track.codec = codec.map(str::to_owned);
                let (width, height) = self.picture.size.unwrap_or((width, height));
                track.width = Some(width).filter(|width| *width > 0);
                track.height = Some(height).filter(|height| *height > 0);
                track.frame_rate = self.frame_rate(codec);
            }
            (StreamKind::Audio, Some(StreamFormat::Wave(wave))) => {
                track.track_type = TrackType::Audio;
                track.codec = wave.codec.map(str::to_owned);
                track.channels = Some(wave.channels).filter(|channels| *channels > 0);
                track.channel_layout = track.channels.and_then(channel_layout);
            }
            (StreamKind::Subtitle, _) => track.track_type = TrackType::Subtitle,
            (StreamKind::Interleaved, _) => return self.interleaved(track),
            _ => {}
        }
        track.facts = self.facts(track.codec.as_deref(), track.channels);
        vec![track]
    }

    /// The stated rate, or the standard rate that fits its frames where ffprobe estimates it.
    fn frame_rate(&self, codec: Option<&str>) -> Option<String> {
        let times: Vec<i64> = (0..=40).take(usize::try_from(self.length).unwrap_or(usize::MAX)).collect();
        let rate = frame_rate::estimate(Timing {
            tick: self.scale,
            timescale: self.rate,
            times: &times,
            shift: 0,
            is_table: false,
            shown: None,
            claimed: self.picture.rate,
            is_fine: frame_rate::is_fine(codec, self.picture.rate.unwrap_or((self.rate, self.scale))),
        });
        rate.map(|rate| rate.to_string())
    }

    /// DV type 1: the one stream is a picture and, in all but the oldest files, a pair of channels
    /// (IEC 61834).
    fn interleaved(self, track: Track) -> Vec<Track> {
        let is_ntsc = u64::from(self.rate) > u64::from(self.scale) * 27;
        let (height, rate) = if is_ntsc { (480, "30000/1001") } else { (576, "25/1") };
        let video = Track {
            track_type: TrackType::Video,
            codec: Some("dvvideo".to_owned()),
            width: Some(720),
            height: Some(height),
            frame_rate: Some(rate.to_owned()),
            ..track.clone()
        };
        let audio = Track {
            track_type: TrackType::Audio,
            codec: Some("pcm_s16le".to_owned()),
            title: None,
            channels: Some(2),
            channel_layout: channel_layout(2),
            ..track
        };
        vec![video, audio]
    }
}
