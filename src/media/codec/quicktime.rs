//! Sample entry types and object types → codec names, as ffprobe has them.
//!
//! Sources: the registration authority's lists of sample entries and object types (mp4ra.org),
//! Apple's QuickTime File Format Specification, and ffprobe's names for unregistered ones.

use super::fourcc::{FourCc, Table, look_up};
use super::riff;

/// The codec of a video sample entry. QuickTime files also use the codes of AVI.
pub(crate) fn video(format: FourCc) -> Option<&'static str> {
    look_up(VIDEO, format).or_else(|| riff::video(format))
}

/// The codec of an audio sample entry. For PCM, the type alone does not give the sample size.
pub(crate) fn audio(format: FourCc) -> Option<&'static str> {
    look_up(AUDIO, format).or_else(|| match format {
        // QuickTime wraps WAVE's format tags: two letters and the tag.
        [b'm', b's', high, low] | [b'T', b'S', high, low] => riff::audio(u16::from_be_bytes([high, low]), 16),
        _ => None,
    })
}

/// The codec of a subtitle sample entry.
pub(crate) fn subtitle(format: FourCc) -> Option<&'static str> {
    look_up(SUBTITLE, format)
}

/// The codec of a timed metadata sample entry.
pub(crate) fn data(format: FourCc) -> Option<&'static str> {
    look_up(DATA, format)
}

/// The codec of an `objectTypeIndication` (ISO/IEC 14496-1, 7.2.6.6.2).
pub(crate) fn object_type(indication: u8) -> Option<&'static str> {
    Some(match indication {
        0x08 => "mov_text",
        0x20 => "mpeg4",
        0x21 => "h264",
        0x23 => "hevc",
        0x40 | 0x66..=0x68 => "aac",
        0x60..=0x65 => "mpeg2video",
        0x69 | 0x6B => "mp3",
        0x6A => "mpeg1video",
        0x6C => "mjpeg",
        0x6D => "png",
        0x6E => "jpeg2000",
        0xA3 => "vc1",
        0xA4 => "dirac",
        0xA5 => "ac3",
        0xA6 => "eac3",
        0xA9 => "dts",
        0xAD => "opus",
        0xB1 => "vp9",
        0xC1 => "flac",
        0xD0 => "tscc2",
        0xD1 => "evrc",
        0xDD => "vorbis",
        0xE0 => "dvd_subtitle",
        0xE1 => "qcelp",
        _ => return None,
    })
}

#[rustfmt::skip]
const AUDIO: Table = &[
    ("aac", &[b"mp4a"]),
    ("ac3", &[b"ac-3", b"sac3"]),
    ("adpcm_ima_qt", &[b"ima4"]),
    ("alac", &[b"alac"]),
    ("amr_nb", &[b"samr"]),
    ("amr_wb", &[b"sawb"]),
    ("dts", &[b"dtsc", b"dtsh", b"dtsl", b"dtse", b"DTS "]),
    ("dvaudio", &[b"vdva", b"dvca"]),
    ("eac3", &[b"ec-3"]),
    ("evrc", &[b"sevc"]),
    ("flac", &[b"fLaC"]),
    ("gsm", &[b"agsm"]),
    ("ilbc", &[b"ilbc"]),
    ("mace3", &[b"MAC3"]),
    ("mace6", &[b"MAC6"]),
    ("mp1", &[b".mp1"]),
    ("mp2", &[b".mp2"]),
    ("mp3", &[b".mp3", b"mp3 ", b"ms\0\x55"]),
    ("mpegh_3d_audio", &[b"mhm1"]),
    ("nellymoser", &[b"nmos", b"NELL"]),
    ("opus", &[b"Opus"]),
    ("pcm_alaw", &[b"alaw"]),
    ("pcm_f32be", &[b"fl32"]),
    ("pcm_f64be", &[b"fl64"]),
    ("pcm_mulaw", &[b"ulaw"]),
    ("pcm_s16be", &[b"twos", b"lpcm", b"ipcm"]),
    ("pcm_s16le", &[b"sowt"]),
    ("pcm_s24be", &[b"in24"]),
    ("pcm_s32be", &[b"in32"]),
    ("pcm_u8", &[b"raw ", b"NONE"]),
    ("qcelp", &[b"Qclp", b"Qclq", b"sqcp"]),
    ("qdm2", &[b"QDM2"]),
    ("qdmc", &[b"QDMC"]),
    ("smv", &[b"ssmv"]),
    ("speex", &[b"spex", b"SPXN"]),
    ("truehd", &[b"mlpa"]),
];

#[rustfmt::skip]
const SUBTITLE: Table = &[
    ("eia_608", &[b"c608"]),
    ("mov_text", &[b"text", b"tx3g"]),
];

#[rustfmt::skip]
const DATA: Table = &[
    ("bin_data", &[b"gpmd"]),
];

#[rustfmt::skip]
const VIDEO: Table = &[
    ("8bps", &[b"8BPS"]),
    ("aic", &[b"icod"]),
    ("av1", &[b"av01"]),
    ("avrp", &[b"AVrp", b"SUDS"]),
    ("avui", &[b"AVUI"]),
    ("cavs", &[b"avs2"]),
    ("cdtoons", &[b"QkBk"]),
    ("cinepak", &[b"cvid"]),
    ("dirac", &[b"drac"]),
    ("dnxhd", &[b"AVdn", b"AVdh"]),
    ("dpx", &[b"dpx "]),
    ("dvvideo", &[b"dvcp", b"dvc ", b"dvlp", b"dvl ", b"dvpp", b"dv5p", b"dv5n", b"AVdv", b"AVd1",
        b"dvhq", b"dvhp", b"dvh1", b"dvh2", b"dvh4", b"dvh5", b"dvh6", b"dvh3"]),
    ("dxv", &[b"DXD3", b"DXDI"]),
    ("exr", &[b"exr "]),
    ("flic", &[b"flic"]),
    ("gif", &[b"gif "]),
    ("h263", &[b"h263", b"s263", b"H263"]),
    ("h264", &[b"avc1", b"avc2", b"avc3", b"avc4", b"ai5p", b"ai5q", b"ai52", b"ai53", b"ai55", b"ai56",
        b"ai1p", b"ai1q", b"ai12", b"ai13", b"ai15", b"ai16", b"AVin", b"aivx", b"rv64", b"xalg",
        b"avlg", b"dva1", b"dvav"]),
    ("hap", &[b"Hap1", b"Hap5", b"HapY", b"HapA", b"HapM"]),
    ("hevc", &[b"hev1", b"hvc1", b"dvhe"]),
    ("jpeg2000", &[b"mjp2"]),
    ("magicyuv", &[b"M0R0", b"M0RA", b"M0RG", b"M0Y0", b"M0Y2", b"M0Y4", b"M8RG", b"M8RA", b"M8G0",
        b"M8Y0", b"M8Y2", b"M8Y4", b"M8YA", b"M2RA", b"M2RG"]),
    ("mjpeg", &[b"jpeg", b"mjpa", b"AVDJ", b"AVRn", b"dmb1"]),
    ("mjpegb", &[b"mjpb"]),
    ("mpeg1video", &[b"m1v ", b"m1v1", b"mpeg", b"mp1v"]),
    ("mpeg2video", &[b"m2v1", b"hdv1", b"hdv2", b"hdv3", b"hdv4", b"hdv5", b"hdv6", b"hdv7", b"hdv8",
        b"hdv9", b"hdva", b"mx5n", b"mx5p", b"mx4n", b"mx4p", b"mx3n", b"mx3p", b"xd51", b"xd54",
        b"xd55", b"xd59", b"xd5a", b"xd5b", b"xd5c", b"xd5d", b"xd5e", b"xd5f", b"xdv1", b"xdv2",
        b"xdv3", b"xdv4", b"xdv5", b"xdv6", b"xdv7", b"xdv8", b"xdv9", b"xdva", b"xdvb", b"xdvc",
        b"xdvd", b"xdve", b"xdvf", b"xdhd", b"xdh2", b"AVmp", b"mp2v"]),
    ("mpeg4", &[b"mp4v", b"DIVX", b"XVID", b"3IV2"]),
    ("msmpeg4v3", &[b"3IVD"]),
    ("msrle", &[b"WRLE"]),
    ("notchlc", &[b"nclc"]),
    ("pixlet", &[b"pxlt"]),
    ("png", &[b"png ", b"MNG "]),
    ("prores", &[b"apch", b"apcn", b"apcs", b"apco", b"ap4h", b"ap4x"]),
    ("qdraw", &[b"qdrw"]),
    ("qtrle", &[b"rle "]),
    ("r10k", &[b"R10k", b"R10g"]),
    ("r210", &[b"r210"]),
    ("rawvideo", &[b"raw ", b"yuv2", b"2vuy", b"yuvs", b"L555", b"L565", b"B565", b"24BG", b"BGRA",
        b"RGBA", b"ABGR", b"b16g", b"b48r", b"b64a", b"bxbg", b"bxrg", b"bxyv", b"NO16", b"DVOO",
        b"R420", b"R411", b"WRAW", b"AV1x", b"AVup", b"BGGR"]),
    ("rpza", &[b"rpza"]),
    ("sgi", &[b"sgi "]),
    ("sgirle", &[b"rle1"]),
    ("sheervideo", &[b"Shr0", b"Shr1", b"Shr2", b"Shr3", b"Shr4", b"Shr5", b"Shr6", b"Shr7"]),
    ("smc", &[b"smc "]),
    ("svq1", &[b"SVQ1", b"svq1", b"svqi"]),
    ("svq3", &[b"SVQ3"]),
    ("targa", &[b"tga "]),
    ("targa_y216", &[b"Y216"]),
    ("tiff", &[b"tiff"]),
    ("v210", &[b"v210", b"bxy2"]),
    ("v308", &[b"v308"]),
    ("v408", &[b"v408"]),
    ("v410", &[b"v410"]),
    ("vc1", &[b"vc-1"]),
    ("vp3", &[b"VP31"]),
    ("vp8", &[b"vp08"]),
    ("vp9", &[b"vp09"]),
    ("y41p", &[b"Y41P"]),
    ("yuv4", &[b"yuv4"]),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_become_ffprobes_names() {
        for (format, name) in [
            (b"avc1", "h264"),
            (b"hev1", "hevc"),
            (b"apcn", "prores"),
            (b"xvid", "mpeg4"),
            (b"2vuy", "rawvideo"),
        ] {
            assert_eq!(video(*format), Some(name));
        }
        assert_eq!(audio(*b"ms\x20\x00"), Some("ac3"));
        assert_eq!(audio(*b"ms\0\x55"), Some("mp3"));
        assert_eq!(audio(*b"SOWT"), Some("pcm_s16le"));
        assert_eq!((video(*b"zzzz"), audio(*b"zzzz")), (None, None));
    }
}
