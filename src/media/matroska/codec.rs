//! Codec identifiers (Matroska Codec RFC, and those that only muxers and ffprobe know) → codec names.

use super::tracks::Entry;
use crate::media::names::riff::{self, WaveFormat};

/// What a track's codec identifier, and where that leaves it open its private data, tell.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Codec {
    pub(super) name: Option<&'static str>,
    /// Channels, where the codec's own header knows better than the track.
    pub(super) channels: Option<u32>,
}

/// Names a track's codec.
pub(super) fn of(entry: &Entry) -> Codec {
    let private = entry.codec_private.as_slice();
    match entry.codec_id.as_str() {
        "V_MS/VFW/FOURCC" if private.len() >= 40 => {
            let four_cc = private.get(16..20).and_then(|code| code.try_into().ok());
            Codec { name: four_cc.and_then(riff::video), channels: None }
        }
        "A_MS/ACM" => match WaveFormat::parse(private) {
            Some(format) => Codec { name: format.codec, channels: Some(format.channels) },
            None => Codec::default(),
        },
        id => {
            let name = KNOWN.iter().find(|(prefix, _)| id.starts_with(prefix)).map(|(_, name)| *name);
            Codec { name: name.map(|name| by_depth(name, entry.bit_depth)), channels: None }
        }
    }
}

/// PCM comes in several widths under one identifier.
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

/// Prefixes of identifiers, the first that fits: what follows is a profile.
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
