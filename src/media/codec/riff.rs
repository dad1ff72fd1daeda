//! The codecs of RIFF: `biCompression` of `BITMAPINFOHEADER` and `wFormatTag` of `WAVEFORMATEX`,
//! which AVI has in its stream formats, Matroska for `V_MS/VFW/FOURCC` and `A_MS/ACM`, and
//! QuickTime as a fallback.
//!
//! Sources: Microsoft's mmreg.h and vfw.h, the FOURCC registry (fourcc.org), and ffprobe's names
//! for both.

use super::audio::configured;
use super::fourcc::{FourCc, Table, look_up};
use super::sound::Sound;

/// The video codec of a four-character code.
pub(crate) fn video(code: FourCc) -> Option<&'static str> {
    look_up(VIDEO, code)
}

/// The audio codec of a format tag and the bits of a sample.
pub(crate) fn audio(tag: u16, bits: u16) -> Option<&'static str> {
    Some(match tag {
        0x0001 => match bits.div_ceil(8) {
            1 => "pcm_u8",
            2 => "pcm_s16le",
            3 => "pcm_s24le",
            4 => "pcm_s32le",
            8 => "pcm_s64le",
            _ => return None,
        },
        0x0002 => "adpcm_ms",
        0x0003 => match bits {
            32 => "pcm_f32le",
            64 => "pcm_f64le",
            _ => return None,
        },
        0x0006 => "pcm_alaw",
        0x0007 | 0x6C75 => "pcm_mulaw",
        0x000A => "wmavoice",
        0x0010 | 0x0017 => "adpcm_ima_oki",
        0x0011 if bits == 8 => "adpcm_zork",
        0x0011 | 0x0069 => "adpcm_ima_wav",
        0x0014 | 0x0040 | 0x0045 | 0x0064 => "adpcm_g726",
        0x0020 => "adpcm_yamaha",
        0x0022 | 0x1501 => "truespeech",
        0x0031 | 0x0032 | 0x1500 => "gsm_ms",
        0x0038 | 0x0057 => "amr_nb",
        0x0042 | 0x0111 | 0xA100 => "g723_1",
        0x0050 => "mp2",
        0x0055 => "mp3",
        0x0058 => "amr_wb",
        0x0061 => "adpcm_ima_dk4",
        0x0062 => "adpcm_ima_dk3",
        0x0075 => "metasound",
        0x0083 | 0x729A => "g729",
        0x00FF | 0x1600 | 0x706D | 0x4143 | 0xA106 => "aac",
        0x0130 => "sipr",
        0x0135 => "acelp.kelvin",
        0x0160 => "wmav1",
        0x0161 => "wmav2",
        0x0162 => "wmapro",
        0x0163 => "wmalossless",
        0x0165 => "xma1",
        0x0166 => "xma2",
        0x0200 => "adpcm_ct",
        0x0215 | 0x0216 => "dvaudio",
        0x0270 => "atrac3",
        0x028E => "msnsiren",
        0x028F => "adpcm_g722",
        0x0401 => "imc",
        0x0402 => "iac",
        0x0500 | 0x0501 => "avc",
        0x1602 => "aac_latm",
        0x2000 => "ac3",
        0x2001 => "dts",
        0x2048 => "sonic",
        0x594A => "xan_dpcm",
        0xA109 => "speex",
        0xF1AC => "flac",
        0x5346 => "adpcm_swf",
        0x566F => "vorbis",
        EXTENSIBLE => "dfpwm", // what QuickTime files have instead of the GUID
        _ => return None,
    })
}

/// Contents of a `WAVEFORMATEX`, with or without its extension.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct WaveFormat {
    pub(crate) codec: Option<&'static str>,
    pub(crate) channels: u32,
    /// The channels are from the codec's configuration, not only from the header.
    pub(crate) is_configured: bool,
    pub(crate) sound: Sound,
}

impl WaveFormat {
    /// `None` when `bytes` is too short.
    pub(crate) fn parse(bytes: &[u8]) -> Option<Self> {
        let short = |at: usize| Some(u16::from_le_bytes(bytes.get(at..at + 2)?.try_into().ok()?));
        bytes.get(..14)?;
        let tag = short(0)?;
        let bits = short(14).unwrap_or(8);
        let codec = if tag == EXTENSIBLE { extensible(bytes, bits) } else { audio(tag, bits) };
        let config = bytes.get(if tag == EXTENSIBLE { 40 } else { 18 }..).unwrap_or_default();
        let (configured, sound) = codec.and_then(|codec| configured(codec, config)).unwrap_or_default();
        let channels = if codec == Some("aac_latm") { 0 } else { u32::from(short(2)?) };
        let long = |at: usize| Some(u32::from_le_bytes(*bytes.get(at..)?.first_chunk()?));
        let stated = Sound {
            rate: long(4),
            bit_rate: long(8).map(|rate| rate.saturating_mul(8)),
            depth: Some(u32::from(bits)),
            ..Sound::default()
        };
        Some(Self {
            codec,
            channels: configured.unwrap_or(channels),
            is_configured: configured.is_some(),
            sound: sound.or(stated),
        })
    }
}

const EXTENSIBLE: u16 = 0xFFFE;

/// The codec of a `WAVEFORMATEXTENSIBLE`: its sub-format is a tag within a GUID, or another GUID.
fn extensible(bytes: &[u8], bits: u16) -> Option<&'static str> {
    const BASE: [u8; 12] = [0, 0, 0x10, 0, 0x80, 0, 0, 0xAA, 0, 0x38, 0x9B, 0x71];
    const AMBISONIC_BASE: [u8; 12] = [0x21, 0x07, 0xD3, 0x11, 0x86, 0x44, 0xC8, 0xC1, 0xCA, 0, 0, 0];
    const GUIDS: [([u8; 16], &str); 6] = [
        (*b"\x2C\x80\x6D\xE0\x46\xDB\xCF\x11\xB4\xD1\x00\x80\x5F\x6C\xBB\xEA", "ac3"),
        (*b"\xBF\xAA\x23\xE9\x58\xCB\x71\x44\xA1\x19\xFF\xFA\x01\xE4\xCE\x62", "atrac3p"),
        (*b"\xD2\x42\xE1\x47\xBA\x36\x8D\x4D\x88\xFC\x61\x65\x4F\x8C\x83\x6C", "atrac9"),
        (*b"\xAF\x87\xFB\xA7\x02\x2D\xFB\x42\xA4\xD4\x05\xCD\x93\x84\x3B\xDD", "eac3"),
        (*b"\x3A\xC1\xFA\x38\x81\x1D\x43\x61\xA4\x0D\xCE\x53\xCA\x60\x7C\xD1", "dfpwm"),
        (*b"\x2B\x80\x6D\xE0\x46\xDB\xCF\x11\xB4\xD1\x00\x80\x5F\x6C\xBB\xEA", "mp2"),
    ];
    let valid = u16::from_le_bytes(bytes.get(18..20)?.try_into().ok()?);
    let format: [u8; 16] = bytes.get(24..40)?.try_into().ok()?;
    let (tag, base) = format.split_at(4);
    if base == BASE || base == AMBISONIC_BASE {
        let tag = u32::from_le_bytes(tag.try_into().ok()?);
        let bits = if valid > 0 { valid } else { bits };
        return audio(u16::try_from(tag).ok()?, bits);
    }
    GUIDS.iter().find(|(guid, _)| *guid == format).map(|(_, name)| *name)
}

#[rustfmt::skip]
const VIDEO: Table = &[
    ("h264", &[b"H264", b"h264", b"X264", b"x264", b"avc1", b"DAVC", b"SMV2", b"VSSH", b"Q264", b"V264",
        b"GAVC", b"UMSV", b"tshd", b"INMC"]),
    ("h263", &[b"H263", b"X263", b"T263", b"L263", b"VX1K", b"ZyGo", b"M263", b"lsvm", b"U263", b"VSM4"]),
    ("h263i", &[b"I263"]),
    ("h261", &[b"H261"]),
    ("mpeg4", &[b"FMP4", b"DIVX", b"DX50", b"XVID", b"MP4S", b"M4S2", b"\x04\x00\x00\x00", b"ZMP4",
        b"DIV1", b"BLZ0", b"mp4v", b"UMP4", b"WV1F", b"SEDG", b"RMP4", b"3IV2", b"WAWV", b"FFDS", b"FVFW",
        b"DCOD", b"MVXM", b"PM4V", b"SMP4", b"DXGM", b"VIDM", b"M4T3", b"GEOX", b"G264", b"HDX4", b"DM4V",
        b"DMK2", b"DYM4", b"DIGI", b"EPHV", b"EM4A", b"M4CC", b"SN40", b"VSPX", b"ULDX", b"GEOV", b"SIPP",
        b"SM4V", b"XVIX", b"DreX", b"QMP4", b"PLV1", b"GLV4", b"GMP4", b"MNM4", b"GTM4",
        b"\x04\x00\x00\x10"]),
    ("msmpeg4v3", &[b"MP43", b"DIV3", b"MPG3", b"DIV5", b"DIV6", b"DIV4", b"DVX3", b"AP41", b"COL1",
        b"COL0"]),
    ("msmpeg4v2", &[b"MP42", b"DIV2"]),
    ("msmpeg4v1", &[b"MPG4", b"MP41"]),
    ("wmv1", &[b"WMV1"]),
    ("wmv2", &[b"WMV2", b"GXVE"]),
    ("dvvideo", &[b"dvsd", b"dvhd", b"dvh1", b"dvsl", b"dv25", b"dv50", b"cdvc", b"CDVH", b"CDV5", b"dvc ",
        b"dvcs", b"dvis", b"pdvc", b"SL25", b"SLDV", b"AVd1"]),
    ("mpeg1video", &[b"mpg1", b"PIM1", b"VCR2", b"\x01\x00\x00\x10", b"BW10", b"XMPG"]),
    ("mpeg2video", &[b"mpg2", b"MPEG", b"PIM2", b"\x02\x00\x00\x10", b"DVR ", b"MMES", b"LMP2", b"slif",
        b"EM2V", b"M701", b"M702", b"M703", b"M704", b"M705", b"mpgv"]),
    ("mjpeg", &[b"MJPG", b"MSC2", b"LJPG", b"dmb1", b"mjpa", b"JR24", b"JPGL", b"jpeg", b"IJPG", b"ACDV",
        b"QIVG", b"SLMJ", b"CJPG", b"IJLV", b"MVJP", b"AVI1", b"AVI2", b"MTSJ", b"ZJPG", b"MMJP"]),
    ("jpegls", &[b"MJLS"]),
    ("avrn", &[b"AVRn"]),
    ("huffyuv", &[b"HFYU"]),
    ("ffvhuff", &[b"FFVH"]),
    ("cyuv", &[b"CYUV"]),
    ("rawvideo", &[b"\x00\x00\x00\x00", b"\x03\x00\x00\x00", b"I420", b"YUY2", b"Y422", b"V422", b"YUNV",
        b"UYNV", b"UYNY", b"uyv1", b"2Vu1", b"2vuy", b"yuvs", b"yuv2", b"P422", b"YV12", b"YV16", b"YV24",
        b"UYVY", b"VYUY", b"IYUV", b"Y800", b"Y8  ", b"HDYC", b"YVU9", b"VDTZ", b"Y411", b"NV12", b"NV21",
        b"Y41B", b"Y42B", b"YUV9", b"auv2", b"YVYU", b"YUYV", b"I410", b"I411", b"I422", b"I440", b"I444",
        b"J420", b"J422", b"J440", b"J444", b"YUVA", b"I40A", b"I42A", b"RGB2", b"RV15", b"RV16", b"RV24",
        b"RV32", b"RGBA", b"AV32", b"GREY", b"I09L", b"I09B", b"I29L", b"I29B", b"I49L", b"I49B", b"I0AL",
        b"I0AB", b"I2AL", b"I2AB", b"I4AL", b"I4AB", b"I4FL", b"I4FB", b"I0CL", b"I0CB", b"I2CL", b"I2CB",
        b"I4CL", b"I4CB", b"I0FL", b"I0FB"]),
    ("frwu", &[b"FRWU"]),
    ("r10k", &[b"R10k"]),
    ("r210", &[b"r210"]),
    ("v210", &[b"v210", b"C210"]),
    ("v308", &[b"v308"]),
    ("v408", &[b"v408"]),
    ("ayuv", &[b"AYUV"]),
    ("v410", &[b"v410"]),
    ("yuv4", &[b"yuv4"]),
    ("indeo3", &[b"IV31", b"IV32"]),
    ("indeo4", &[b"IV41"]),
    ("indeo5", &[b"IV50"]),
    ("vp3", &[b"VP31", b"VP30"]),
    ("vp4", &[b"VP40"]),
    ("vp5", &[b"VP50"]),
    ("vp6", &[b"VP60", b"VP61", b"VP62"]),
    ("vp6a", &[b"VP6A"]),
    ("vp6f", &[b"VP6F", b"FLV4"]),
    ("vp7", &[b"VP70", b"VP71"]),
    ("vp8", &[b"VP80"]),
    ("vp9", &[b"VP90"]),
    ("asv1", &[b"ASV1"]),
    ("asv2", &[b"ASV2"]),
    ("vcr1", &[b"VCR1"]),
    ("ffv1", &[b"FFV1"]),
    ("xan_wc4", &[b"Xxan"]),
    ("mimic", &[b"LM20"]),
    ("msrle", &[b"mrle", b"\x01\x00\x00\x00", b"\x02\x00\x00\x00"]),
    ("msvideo1", &[b"MSVC", b"msvc", b"CRAM", b"cram", b"WHAM", b"wham"]),
    ("cinepak", &[b"cvid"]),
    ("truemotion1", &[b"DUCK", b"PVEZ"]),
    ("mszh", &[b"MSZH"]),
    ("zlib", &[b"ZLIB"]),
    ("snow", &[b"SNOW"]),
    ("4xm", &[b"4XMV"]),
    ("flv1", &[b"FLV1", b"S263"]),
    ("flashsv", &[b"FSV1"]),
    ("svq1", &[b"svq1"]),
    ("tscc", &[b"tscc"]),
    ("ulti", &[b"ULTI"]),
    ("vixl", &[b"VIXL"]),
    ("qpeg", &[b"QPEG", b"Q1.0", b"Q1.1"]),
    ("wmv3", &[b"WMV3"]),
    ("wmv3image", &[b"WMVP"]),
    ("vc1", &[b"WVC1", b"WMVA"]),
    ("vc1image", &[b"WVP2"]),
    ("loco", &[b"LOCO"]),
    ("wnv1", &[b"WNV1", b"YUV8"]),
    ("aasc", &[b"AAS4", b"AASC"]),
    ("indeo2", &[b"RT21"]),
    ("fraps", &[b"FPS1"]),
    ("theora", &[b"theo"]),
    ("truemotion2", &[b"TM20"]),
    ("truemotion2rt", &[b"TR20"]),
    ("cscd", &[b"CSCD"]),
    ("zmbv", &[b"ZMBV"]),
    ("kmvc", &[b"KMVC"]),
    ("cavs", &[b"CAVS"]),
    ("avs2", &[b"AVS2"]),
    ("jpeg2000", &[b"mjp2", b"MJ2C", b"LJ2C", b"LJ2K", b"IPJ2", b"AVj2"]),
    ("vmnc", &[b"VMnc"]),
    ("targa", &[b"tga "]),
    ("png", &[b"MPNG", b"PNG1", b"png "]),
    ("cljr", &[b"CLJR"]),
    ("dirac", &[b"drac"]),
    ("rpza", &[b"azpr", b"RPZA", b"rpza"]),
    ("sp5x", &[b"SP54"]),
    ("aura", &[b"AURA"]),
    ("aura2", &[b"AUR2"]),
    ("dpx", &[b"dpx "]),
    ("kgv1", &[b"KGV1"]),
    ("lagarith", &[b"LAGS"]),
    ("amv", &[b"AMVF"]),
    ("utvideo", &[b"ULRA", b"ULRG", b"ULY0", b"ULY2", b"ULY4", b"ULH0", b"ULH2", b"ULH4", b"UQY0", b"UQY2",
        b"UQRA", b"UQRG", b"UMY2", b"UMH2", b"UMY4", b"UMH4", b"UMRA", b"UMRG"]),
    ("vble", &[b"VBLE"]),
    ("escape130", &[b"E130"]),
    ("dxtory", &[b"xtor"]),
    ("zerocodec", &[b"ZECO"]),
    ("y41p", &[b"Y41P"]),
    ("flic", &[b"AFLC"]),
    ("mss1", &[b"MSS1"]),
    ("msa1", &[b"MSA1"]),
    ("tscc2", &[b"TSC2"]),
    ("mts2", &[b"MTS2"]),
    ("cllc", &[b"CLLC"]),
    ("mss2", &[b"MSS2"]),
    ("svq3", &[b"SVQ3"]),
    ("012v", &[b"012v", b"a12v"]),
    ("g2m", &[b"G2M2", b"G2M3", b"G2M4", b"G2M5"]),
    ("fic", &[b"FICV"]),
    ("hqx", &[b"CHQX"]),
    ("tdsc", &[b"TDSC"]),
    ("hq_hqa", &[b"CUVC"]),
    ("rv40", &[b"RV40"]),
    ("screenpresso", &[b"SPV1"]),
    ("rscc", &[b"RSCC", b"ISCC"]),
    ("cfhd", &[b"CFHD"]),
    ("m101", &[b"M101", b"M102"]),
    ("magicyuv", &[b"MAGY", b"M8RG", b"M8RA", b"M8G0", b"M8Y0", b"M8Y2", b"M8Y4", b"M8YA", b"M0RA",
        b"M0RG", b"M0G0", b"M0Y0", b"M0Y2", b"M0Y4", b"M2RA", b"M2RG"]),
    ("ylc", &[b"YLC0"]),
    ("speedhq", &[b"SHQ0", b"SHQ1", b"SHQ2", b"SHQ3", b"SHQ4", b"SHQ5", b"SHQ7", b"SHQ9"]),
    ("fmvc", &[b"FMVC"]),
    ("scpr", &[b"SCPR"]),
    ("clearvideo", &[b"UCOD"]),
    ("av1", &[b"AV01"]),
    ("mscc", &[b"MSCC"]),
    ("srgc", &[b"SRGC"]),
    ("imm4", &[b"IMM4"]),
    ("prosumer", &[b"BT20"]),
    ("mwsc", &[b"MWSC"]),
    ("wcmv", &[b"WCMV"]),
    ("rasc", &[b"RASC"]),
    ("hymt", &[b"HYMT"]),
    ("arbc", &[b"ARBC"]),
    ("agm", &[b"AGM0", b"AGM1", b"AGM2", b"AGM3", b"AGM4", b"AGM5", b"AGM6", b"AGM7"]),
    ("lscr", &[b"LSCR"]),
    ("imm5", &[b"IMM5"]),
    ("mvdv", &[b"MVDV"]),
    ("mvha", &[b"MVHA"]),
    ("mv30", &[b"MV30"]),
    ("notchlc", &[b"nlc1"]),
    // Unofficial, and after the others.
    ("hevc", &[b"HEVC", b"H265"]),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn case_matters_only_where_it_distinguishes_codecs() {
        assert_eq!(video(*b"XVID"), Some("mpeg4"));
        assert_eq!(video(*b"xvid"), Some("mpeg4"));
        assert_eq!(video(*b"DIV3"), Some("msmpeg4v3"));
        assert_eq!(video(*b"H265"), Some("hevc"));
        assert_eq!(video([0; 4]), Some("rawvideo"));
        assert_eq!(video(*b"\0\0\0\x10"), None);
    }

    #[test]
    fn the_extensible_format_names_its_codec_in_the_guid() {
        let mut format =
            vec![0xFE, 0xFF, 6, 0, 0x80, 0xBB, 0, 0, 0, 0, 0, 0, 4, 0, 32, 0, 22, 0, 24, 0, 0, 0, 0, 0];
        format.extend([1, 0, 0, 0, 0, 0, 0x10, 0, 0x80, 0, 0, 0xAA, 0, 0x38, 0x9B, 0x71]);
        let parsed = WaveFormat::parse(&format).unwrap();
        assert_eq!((parsed.codec, parsed.channels), (Some("pcm_s24le"), 6));
        format[24..40].copy_from_slice(b"\x3A\xC1\xFA\x38\x81\x1D\x43\x61\xA4\x0D\xCE\x53\xCA\x60\x7C\xD1");
        assert_eq!(WaveFormat::parse(&format).unwrap().codec, Some("dfpwm"));
        for end in 0..format.len() {
            let _ = WaveFormat::parse(&format[..end]);
        }
    }
}
