//! Codec identifiers (Matroska Codec RFC, and unregistered ones that ffprobe has) → codec names,
//! and the contents of the codecs' headers in `CodecPrivate`.

use super::tracks::{TrackEntry, TrackKind};
use crate::media::codec::audio::{self, AudioSpecificConfig, Header};
use crate::media::codec::fourcc::four_cc_at;
use crate::media::codec::picture::Picture;
use crate::media::codec::riff::{self, WaveFormat};
use crate::media::codec::sound::Sound;
use crate::media::codec::video::VideoConfig;
use crate::media::codec::{av1, avc, frame_header, hevc, mpeg2, mpeg4, quicktime, sei, vpx};

/// Contents of a track's codec identifier and private data.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Codec {
    pub(super) name: Option<&'static str>,
    /// Channels of the decoder's output.
    pub(super) channels: Option<u32>,
    /// Size and rate of the decoder's output.
    pub(super) video: VideoConfig,
    pub(super) sound: Sound,
}

/// Identifies a track's codec by its entry and its restored `CodecPrivate`.
pub(super) fn identify(entry: &TrackEntry, private: &[u8]) -> Codec {
    let four = |at: usize| four_cc_at(private, at);
    let mut sound = Sound::default();
    let (name, channels) = match entry.codec_id.as_str() {
        "V_MS/VFW/FOURCC" if private.len() >= 40 => {
            (four(16).and_then(|code| riff::video(code).or_else(|| quicktime::video(code))), None)
        }
        "A_MS/ACM" => match WaveFormat::parse(private) {
            Some(format) => {
                sound = format.sound;
                (format.codec, Some(format.channels))
            }
            None => (None, None),
        },
        // A sample description, which some writers begin with its type instead of its size.
        "V_QUICKTIME" => (four(0).and_then(quicktime::video).or_else(|| quicktime::video(four(4)?)), None),
        "A_QUICKTIME" => (four(0).and_then(quicktime::audio).or_else(|| quicktime::audio(four(4)?)), None),
        id => {
            let name = KNOWN.iter().find(|(prefix, _)| id.starts_with(prefix)).map(|(_, name)| *name);
            // An extension in the sequence header is of MPEG-2 only.
            let is_mpeg2 = |private: &[u8]| private.windows(4).any(|code| code == [0, 0, 1, 0xB5]);
            let name = match name {
                Some("mpeg1video") if is_mpeg2(private) => Some("mpeg2video"),
                _ => name.map(|name| by_depth(name, entry.bit_depth)),
            };
            (name, None)
        }
    };
    let mut codec = Codec { name, channels, sound, video: VideoConfig::default() };
    match entry.kind {
        TrackKind::Video => codec.video = name.map(|name| video_of(name, entry, private)).unwrap_or_default(),
        TrackKind::Audio if channels.is_none() => {
            let header = name.and_then(|name| sound_of(name, private));
            (codec.channels, codec.sound) = header.unwrap_or_default();
        }
        _ => {}
    }
    let stated = Sound {
        rate: entry.sample_rate,
        depth: Some(entry.bit_depth).filter(|depth| *depth > 0),
        ..Sound::default()
    };
    codec.sound = codec.sound.or(stated);
    codec
}

/// Bytes of a frame of HEVC that the information before its picture takes, with that of an encoder about itself.
pub(super) const SEI_HEAD: usize = 4 * 1024;
/// Bytes of a frame of MPEG-2 and MPEG-4 that its sequence headers take.
pub(super) const MPEG_HEAD: usize = 320;

fn mpeg_picture(name: &str, frame: &[u8]) -> Option<Picture> {
    match name {
        "mpeg2video" => Some(mpeg2::parse(frame)),
        "mpeg4" => Some(mpeg4::parse(frame)?.picture),
        _ => None,
    }
}

impl Codec {
    /// Adds what the first frame states; the size of its picture only if nothing else does.
    pub(super) fn apply_frame(&mut self, name: &'static str, needs_size: bool, frame: &[u8]) {
        if let Some(config) = vpx::key_frame(name, frame) {
            self.video.size = config.size.filter(|_| needs_size);
            self.video.picture = config.picture.or(self.video.picture);
        } else if name == "hevc" {
            sei::apply_frame(frame, &mut self.video.picture);
        } else if let Some(picture) = mpeg_picture(name, frame) {
            self.video.picture = picture.or(self.video.picture);
        } else if let Some(header) = frame_header::parse(name, frame) {
            // The track's own rate is that of an extension too.
            let rate = self.sound.rate;
            self.sound = Sound { rate: rate.or(header.sound.rate), ..header.sound.or(self.sound) };
        }
    }
}

fn sound_of(codec: &str, private: &[u8]) -> Option<Header> {
    match codec {
        "aac" => AudioSpecificConfig::parse(private).map(|config| (config.channels(), config.sound())),
        "alac" => audio::alac(private),
        "flac" => audio::flac(private),
        "opus" if private.starts_with(b"OpusHead") => {
            Some((private.get(9).map(|channels| u32::from(*channels)), Sound::default()))
        }
        "vorbis" => audio::vorbis(private),
        _ => None,
    }
}

fn video_of(codec: &str, entry: &TrackEntry, private: &[u8]) -> VideoConfig {
    let of_picture = |picture: Picture| Some(VideoConfig { picture, ..VideoConfig::default() });
    let config = match codec {
        "h264" => avc::parse(private, entry.width.zip(entry.height).unwrap_or_default()),
        "hevc" => hevc::parse(private),
        "mpeg4" => mpeg4::parse(private),
        "av1" => av1::parse(private),
        "vp9" => of_picture(vpx::features(private)),
        "mpeg2video" => of_picture(mpeg2::parse(private)),
        "prores" => four_cc_at(private, 0).and_then(|code| of_picture(Picture::of_prores(code))),
        _ => None,
    };
    let mut config = config.unwrap_or_default();
    config.picture = config.picture.or(Picture::of_codec(codec));
    config
}

/// PCM by sample size: one identifier covers several.
fn by_depth(name: &'static str, bits: u32) -> &'static str {
    match (name, bits) {
        ("pcm_s16be" | "pcm_s16le", 8) => "pcm_u8",
        ("pcm_s16be", 24) => "pcm_s24be",
        ("pcm_s16be", 32) => "pcm_s32be",
        ("pcm_s16le", 24) => "pcm_s24le",
        ("pcm_s16le", 32) => "pcm_s32le",
        ("pcm_f32le", 64) => "pcm_f64le",
        _ => name,
    }
}

/// Prefixes of identifiers; a profile may follow. The first match applies.
const KNOWN: &[(&str, &str)] = &[
    ("A_AAC", "aac"),
    ("A_AC3", "ac3"),
    ("A_ALAC", "alac"),
    ("A_ATRAC/AT1", "atrac1"),
    ("A_DTS", "dts"),
    ("A_EAC3", "eac3"),
    ("A_FLAC", "flac"),
    ("A_MLP", "mlp"),
    ("A_MPEG/L1", "mp1"),
    ("A_MPEG/L2", "mp2"),
    ("A_MPEG/L3", "mp3"),
    ("A_OPUS", "opus"),
    ("A_PCM/FLOAT/IEEE", "pcm_f32le"),
    ("A_PCM/INT/BIG", "pcm_s16be"),
    ("A_PCM/INT/LIT", "pcm_s16le"),
    ("A_QUICKTIME/QDM2", "qdm2"),
    ("A_QUICKTIME/QDMC", "qdmc"),
    ("A_REAL/14_4", "ra_144"),
    ("A_REAL/28_8", "ra_288"),
    ("A_REAL/ATRC", "atrac3"),
    ("A_REAL/COOK", "cook"),
    ("A_REAL/SIPR", "sipr"),
    ("A_TRUEHD", "truehd"),
    ("A_TTA1", "tta"),
    ("A_VORBIS", "vorbis"),
    ("A_WAVPACK4", "wavpack"),
    ("D_WEBVTT/CAPTIONS", "webvtt"),
    ("D_WEBVTT/DESCRIPTIONS", "webvtt"),
    ("D_WEBVTT/METADATA", "webvtt"),
    ("D_WEBVTT/SUBTITLES", "webvtt"),
    ("S_ARIBSUB", "arib_caption"),
    ("S_ASS", "ass"),
    ("S_DVBSUB", "dvb_subtitle"),
    ("S_HDMV/PGS", "hdmv_pgs_subtitle"),
    ("S_HDMV/TEXTST", "hdmv_text_subtitle"),
    ("S_SSA", "ass"),
    ("S_TEXT/ASCII", "text"),
    ("S_TEXT/ASS", "ass"),
    ("S_TEXT/SSA", "ass"),
    ("S_TEXT/UTF8", "subrip"),
    ("S_VOBSUB", "dvd_subtitle"),
    ("V_AV1", "av1"),
    ("V_AVS2", "avs2"),
    ("V_AVS3", "avs3"),
    ("V_DIRAC", "dirac"),
    ("V_FFV1", "ffv1"),
    ("V_MJPEG", "mjpeg"),
    ("V_MPEG1", "mpeg1video"),
    ("V_MPEG2", "mpeg2video"),
    ("V_MPEG4/ISO/AP", "mpeg4"),
    ("V_MPEG4/ISO/ASP", "mpeg4"),
    ("V_MPEG4/ISO/AVC", "h264"),
    ("V_MPEG4/ISO/SP", "mpeg4"),
    ("V_MPEG4/MS/V3", "msmpeg4v3"),
    ("V_MPEGH/ISO/HEVC", "hevc"),
    ("V_MPEGI/ISO/VVC", "vvc"),
    ("V_PRORES", "prores"),
    ("V_REAL/RV10", "rv10"),
    ("V_REAL/RV20", "rv20"),
    ("V_REAL/RV30", "rv30"),
    ("V_REAL/RV40", "rv40"),
    ("V_SNOW", "snow"),
    ("V_THEORA", "theora"),
    ("V_UNCOMPRESSED", "rawvideo"),
    ("V_VP8", "vp8"),
    ("V_VP9", "vp9"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sequence_extension_makes_mpeg_2_of_mpeg_1() {
        let name = |private: &[u8]| {
            let entry = TrackEntry {
                kind: TrackKind::Video,
                codec_id: "V_MPEG1".to_owned(),
                ..TrackEntry::default()
            };
            identify(&entry, private).name
        };
        assert_eq!(name(b"\0\0\x01\xB3\x14\0\xF0\x23"), Some("mpeg1video"));
        assert_eq!(name(b"\0\0\x01\xB3\x14\0\xF0\x23\0\0\x01\xB5\x14"), Some("mpeg2video"));
    }
}
