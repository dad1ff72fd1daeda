//! Headers of audio frames, for containers that do not keep a codec's configuration: most writers state two channels
//! there, also for streams with another number.

use super::audio::FREQUENCIES;
use super::bits::Bits;
use super::dolby::{AC3_CHANNELS, ac3_bit_rate, dolby_rate, mlp_rate};
use super::dts;
use super::sound::Sound;

/// Bytes needed of the first frame for its channels.
pub(crate) const LENGTH: usize = 64;

/// Bytes of a frame of DTS by which it is described: most cores, and the beginning of the extension behind.
pub(crate) const DTS_LENGTH: usize = 2_700;

/// Contents of a frame's header: the codec, which may be another one than was stated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct FrameHeader {
    pub(crate) codec: &'static str,
    /// 0 if not stated.
    pub(crate) channels: u32,
    pub(crate) sound: Sound,
}

/// Whether frames of a codec have a header that states the channels.
pub(crate) fn is_needed(codec: &str) -> bool {
    matches!(codec, "mp1" | "mp2" | "mp3" | "dts" | "ac3" | "eac3" | "aac" | "flac")
}

/// The header of the frame that begins with these bytes.
pub(crate) fn parse(codec: &'static str, frame: &[u8]) -> Option<FrameHeader> {
    let header = |(channels, sound)| FrameHeader { codec, channels, sound };
    match codec {
        "ac3" | "eac3" => dolby(codec, frame),
        "dts" => dts::parse(frame).map(header),
        "aac" => adts(frame).map(header),
        "flac" => flac(frame).map(header),
        "truehd" | "mlp" => mlp(frame).map(header),
        "mp1" | "mp2" | "mp3" => mpeg(frame).map(header),
        _ => None,
    }
}

/// As [`parse`], of the first frame in these bytes: a chunk may begin within a frame, where its codec has a long sync word.
pub(crate) fn find(codec: &'static str, bytes: &[u8]) -> Option<FrameHeader> {
    let places = if matches!(codec, "dts" | "ac3" | "eac3") { bytes.len() } else { 1 };
    (0..places).find_map(|at| parse(codec, bytes.get(at..)?))
}

/// ISO/IEC 11172-3, 2.4.1.3, and ISO/IEC 13818-3, 2.4.2.3.
fn mpeg(frame: &[u8]) -> Option<(u32, Sound)> {
    /// Kilobits a second by index: MPEG-1 of layers 3, 2, 1, then MPEG-2 of layers 3 and 2, 1.
    #[rustfmt::skip]
    const KILOBITS: [[u16; 15]; 5] = [
        [0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320],
        [0, 32, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384],
        [0, 32, 64, 96, 128, 160, 192, 224, 256, 288, 320, 352, 384, 416, 448],
        [0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160],
        [0, 32, 48, 56, 64, 80, 96, 112, 128, 144, 160, 176, 192, 224, 256],
    ];
    let header = u32::from_be_bytes(*frame.first_chunk()?);
    let field = |shift: u32, mask: u32| usize::try_from(header >> shift & mask).ok();
    let (version, layer) = (field(19, 3)?, field(17, 3)?);
    if header >> 21 != 0x7FF || layer == 0 || field(12, 15)? == 15 {
        return None;
    }
    let table = match (version, layer) {
        (3, layer) => layer - 1,
        (_, 3) => 4,
        _ => 3,
    };
    let bit_rate = KILOBITS.get(table)?.get(field(12, 15)?).map(|kilobits| u32::from(*kilobits) * 1000);
    let halvings = match version {
        3 => 0,
        2 => 1,
        _ => 2,
    };
    let rate = [44_100, 48_000, 32_000].get(field(10, 3)?).map(|rate: &u32| rate >> halvings);
    let channels = if header >> 6 & 3 == 3 { 1 } else { 2 };
    Some((channels, Sound { rate, bit_rate, ..Sound::default() }))
}

/// ETSI TS 102 366, 4.4 of AC-3, and E.1.3 of E-AC-3 where the identifier of the syntax is above 10.
fn dolby(stated: &'static str, frame: &[u8]) -> Option<FrameHeader> {
    let mut bits = Bits::new(frame);
    let is_enhanced = frame.get(5)? >> 3 > 10;
    if bits.number(16)? != 0x0B77 || frame.get(5)? >> 3 > 16 {
        return None;
    }
    if is_enhanced {
        return enhanced(&mut bits);
    }
    bits.skip(16)?; // check
    let (rate, size) = (bits.number(2)?, bits.number(6)?);
    if rate == 3 || size > 37 {
        return None;
    }
    bits.skip(5 + 3)?; // syntax, service
    let mode = bits.number(3)?;
    let levels = [mode & 1 == 1 && mode != 1, mode & 4 == 4, mode == 2];
    bits.skip(2 * levels.into_iter().filter(|is_there| *is_there).count())?;
    let channels = AC3_CHANNELS.get(usize::try_from(mode).ok()?)? + bits.number(1)?;
    let sound = Sound { rate: dolby_rate(rate), bit_rate: ac3_bit_rate(size / 2), ..Sound::default() };
    Some(FrameHeader { codec: stated, channels, sound })
}

/// E-AC-3, after the sync word.
fn enhanced(bits: &mut Bits<'_>) -> Option<FrameHeader> {
    let kind = bits.number(2)?;
    bits.skip(3)?; // substream
    let size = (bits.number(11)? + 1) * 16;
    let (code, blocks) = (bits.number(2)?, bits.number(2)?);
    // A reserved rate is one of half the frequency, in frames of six blocks.
    let (rate, blocks) =
        if code == 3 { (dolby_rate(blocks).map(|rate| rate / 2), 3) } else { (dolby_rate(code), blocks) };
    let blocks = [1, 2, 3, 6].get(usize::try_from(blocks).ok()?)?;
    let (mode, low_frequency) = (bits.number(3)?, bits.number(1)?);
    let channels = AC3_CHANNELS.get(usize::try_from(mode).ok()?)? + low_frequency;
    let bit_rate = rate.map(|rate| size * rate / (256 * blocks));
    let layout =
        Layout { kind, blocks: *blocks, mode, has_low_frequency: low_frequency == 1, is_halved: code == 3 };
    let detail = if layout.has_objects(bits) == Some(true) { Some("Atmos") } else { None };
    let sound = Sound { detail, rate, bit_rate, ..Sound::default() };
    Some(FrameHeader { codec: "eac3", channels, sound })
}

/// What the rest of an E-AC-3 header depends on.
struct Layout {
    kind: u32,
    blocks: u32,
    mode: u32,
    has_low_frequency: bool,
    is_halved: bool,
}

impl Layout {
    /// Whether the additional information marks joint object coding (ETSI TS 102 366, E.1.2.2; TS 103 420, 8.3.1).
    fn has_objects(&self, bits: &mut Bits<'_>) -> Option<bool> {
        let programs = if self.mode == 0 { 2 } else { 1 };
        bits.skip(5)?; // syntax
        for _ in 0..programs {
            bits.skip(5)?;
            bits.skip_if(8)?; // compression
        }
        if self.kind == 1 {
            bits.skip_if(16)?; // channel map
        }
        if bits.flag()? {
            self.mixing(bits, programs)?;
        }
        if bits.flag()? {
            bits.skip(3 + 1 + 1)?; // service, rights
            bits.skip(if self.mode == 2 { 4 } else { 0 } + if self.mode >= 6 { 2 } else { 0 })?;
            for _ in 0..programs {
                bits.skip_if(8)?; // production
            }
            bits.skip(usize::from(!self.is_halved))?;
        }
        if self.kind == 0 && self.blocks != 6 {
            bits.skip(1)?;
        }
        if self.kind == 2 && (self.blocks == 6 || bits.flag()?) {
            bits.skip(6)?;
        }
        if !bits.flag()? {
            return Some(false);
        }
        bits.skip(6 + 7)?; // length, reserved
        bits.flag()
    }

    fn mixing(&self, bits: &mut Bits<'_>, programs: u32) -> Option<()> {
        let mode = self.mode;
        bits.skip(if mode > 2 { 2 } else { 0 })?;
        bits.skip(if mode & 1 == 1 && mode > 2 { 6 } else { 0 } + if mode & 4 == 4 { 6 } else { 0 })?;
        if self.has_low_frequency {
            bits.skip_if(5)?;
        }
        if self.kind != 0 {
            return Some(());
        }
        for _ in 0..=programs {
            bits.skip_if(6)?; // scale factors
        }
        match bits.number(2)? {
            0 => {}
            1 => bits.skip(5)?,
            2 => bits.skip(12)?,
            _ => {
                let length = usize::try_from(bits.number(5)?).ok()?;
                bits.skip((length + 2) * 8)?;
            }
        }
        for _ in 0..if mode < 2 { programs } else { 0 } {
            bits.skip_if(8 + 6)?; // panning
        }
        if bits.flag()? {
            for _ in 0..self.blocks {
                if self.blocks == 1 { bits.skip(5)? } else { bits.skip_if(5)? }
            }
        }
        Some(())
    }
}

/// The major sync of MLP and TrueHD (Meridian Lossless Packing, 3.3), behind the header of an access unit. The last
/// presentation of TrueHD, with 16 channels, is that of Atmos.
fn mlp(frame: &[u8]) -> Option<(u32, Sound)> {
    let is_truehd = match frame.get(4..8)? {
        [0xF8, 0x72, 0x6F, 0xBA] => true,
        [0xF8, 0x72, 0x6F, 0xBB] => false,
        _ => return None,
    };
    let (first, second) = (*frame.get(8)?, *frame.get(9)?);
    let (code, depth) = if is_truehd { (first >> 4, Some(24)) } else { (second >> 4, None) };
    let depth = depth.or([16, 20, 24].get(usize::from(first >> 4)).copied());
    let rate = mlp_rate(u32::from(code));
    let detail = (is_truehd && frame.get(21)? & 0x80 != 0).then_some("Atmos");
    Some((0, Sound { detail, rate, depth, ..Sound::default() }))
}

/// The header of ADTS (ISO/IEC 14496-3, 1.A.2.2.1).
fn adts(frame: &[u8]) -> Option<(u32, Sound)> {
    let mut bits = Bits::new(frame);
    let is_frame = bits.number(12)? == 0xFFF && bits.number(4)? & 6 == 0;
    let profile = ["Main", "LC", "SSR", "LTP"].get(usize::try_from(bits.number(2)?).ok()?).copied();
    let rate = FREQUENCIES.get(usize::try_from(bits.number(4)?).ok()?).copied();
    bits.skip(1)?; // private
    let channels = *[0, 1, 2, 3, 4, 5, 6, 8].get(usize::try_from(bits.number(3)?).ok()?)?;
    (is_frame && channels > 0).then_some((channels, Sound { profile, rate, ..Sound::default() }))
}

/// RFC 9639, 9.1.
fn flac(frame: &[u8]) -> Option<(u32, Sound)> {
    let header = u32::from_be_bytes(*frame.first_chunk()?);
    let is_frame = header >> 17 == 0x7FFC;
    let channels = match header >> 4 & 15 {
        independent @ 0..=7 if is_frame => independent + 1,
        8..=10 if is_frame => 2,
        _ => return None,
    };
    Some((channels, Sound::default()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn channels(codec: &'static str, frame: &[u8]) -> Option<u32> {
        Some(parse(codec, frame)?.channels)
    }

    #[test]
    fn frames_tell_their_channels() {
        assert_eq!(channels("mp3", &[0xFF, 0xFB, 0x90, 0x64]), Some(2));
        assert_eq!(channels("mp3", &[0xFF, 0xFB, 0x90, 0xC4]), Some(1));
        assert_eq!(channels("mp3", &[0xFF, 0xFB]), None);
        assert_eq!(channels("mp3", b"ID3\x04"), None);
        assert_eq!(channels("aac", &[0xFF, 0xF1, 0x4D, 0x80, 0x22, 0x1F, 0xFC]), Some(6));
        assert_eq!(channels("aac", &[0x21, 0x1B, 0x80, 0, 0, 0, 0]), None, "without ADTS");
        assert_eq!(channels("flac", &[0xFF, 0xF8, 0xC9, 0x58]), Some(6));
        assert_eq!(channels("flac", &[0xFF, 0xF9, 0xC9, 0xA8]), Some(2), "middle and side");
        assert_eq!(channels("flac", &[0xFF, 0xF8, 0xC9, 0xB8]), None);
    }

    #[test]
    fn frames_tell_their_rates() {
        let sound = |codec, frame: &[u8]| parse(codec, frame).unwrap().sound;
        let rates = |sound: Sound| (sound.rate, sound.bit_rate);
        assert_eq!(rates(sound("mp3", &[0xFF, 0xFB, 0x90, 0x64])), (Some(44_100), Some(128_000)));
        assert_eq!(rates(sound("mp2", &[0xFF, 0xFD, 0xA4, 0x00])), (Some(48_000), Some(192_000)));
        assert_eq!(rates(sound("mp3", &[0xFF, 0xF3, 0x44, 0xC4])), (Some(24_000), Some(32_000)));
        let surround = [0x0B, 0x77, 0x12, 0x34, 0x1C, 0x40, 0xE1, 0xDF];
        assert_eq!(rates(sound("ac3", &surround)), (Some(48_000), Some(384_000)));
        let enhanced = [0x0B, 0x77, 0x02, 0x7F, 0x3F, 0x87, 0xFF, 0xFF, 0, 0];
        assert_eq!(rates(sound("eac3", &enhanced)), (Some(48_000), Some(320_000)));
        let adts = sound("aac", &[0xFF, 0xF1, 0x4D, 0x80, 0x22, 0x1F, 0xFC]);
        assert_eq!((adts.profile, adts.rate), (Some("LC"), Some(48_000)));
    }

    #[test]
    fn objects_are_marked_in_headers() {
        // Six blocks, 5.1: no mixing, no information, additional information of two bytes.
        let atmos = [0x0B, 0x77, 0x05, 0xFF, 0x3F, 0x87, 0xC4, 0x10, 0x10];
        let plain = [0x0B, 0x77, 0x05, 0xFF, 0x3F, 0x87, 0xC4, 0x10, 0x00];
        assert_eq!(parse("eac3", &atmos).unwrap().sound.detail, Some("Atmos"));
        assert_eq!(parse("eac3", &plain).unwrap().sound.detail, None);
        let mut truehd = [0; 32];
        truehd[4..10].copy_from_slice(&[0xF8, 0x72, 0x6F, 0xBA, 0x00, 0x17]);
        let plain = parse("truehd", &truehd).unwrap().sound;
        assert_eq!((plain.rate, plain.depth, plain.detail), (Some(48_000), Some(24), None));
        truehd[21] = 0x80;
        assert_eq!(parse("truehd", &truehd).unwrap().sound.detail, Some("Atmos"));
        for end in 0..truehd.len() {
            let _ = (parse("truehd", &truehd[..end]), parse("eac3", atmos.get(..end).unwrap_or(&[])));
        }
    }

    #[test]
    fn dolby_frames_tell_codec_and_channels() {
        let surround = [0x0B, 0x77, 0x12, 0x34, 0x1C, 0x40, 0xE1, 0xDF];
        let found = |header: Option<FrameHeader>| header.map(|header| (header.codec, header.channels));
        assert_eq!(found(parse("ac3", &surround)), Some(("ac3", 6)));
        let stereo = [0x0B, 0x77, 0x12, 0x34, 0x14, 0x40, 0x43, 0xE0];
        assert_eq!(found(parse("ac3", &stereo)), Some(("ac3", 2)));
        let three_and_one = [0x0B, 0x77, 0x12, 0x34, 0x14, 0x40, 0x74, 0x00];
        assert_eq!(found(parse("ac3", &three_and_one)), Some(("ac3", 4)));
        let enhanced = [0x0B, 0x77, 0x02, 0x7F, 0x3F, 0x87];
        assert_eq!(found(parse("eac3", &enhanced)), Some(("eac3", 6)));
        assert_eq!(found(parse("ac3", &enhanced)), Some(("eac3", 6)), "its identifier counts");
        assert_eq!(parse("ac3", &[0x0B, 0x77, 0, 0, 0xC0, 0x40, 0xE1]), None, "a reserved rate");
        assert_eq!(found(find("ac3", &[&[0x0B, 0x77, 1][..], &surround].concat())), Some(("ac3", 6)));
        assert_eq!(find("mp3", &[0, 0xFF, 0xFB, 0x90, 0x64]), None, "its sync word is short");
    }
}
