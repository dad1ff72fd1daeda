//! Channels from the header of an audio frame, for containers that do not keep a codec's configuration:
//! most writers state two channels there, also for streams with another number.

use super::audio::AC3_CHANNELS;
use super::bits::Bits;

/// Bytes needed of the first frame.
pub(crate) const LENGTH: usize = 16;

/// Contents of a frame's header: the codec, which may be another one than was stated, and its channels.
pub(crate) type FrameHeader = (&'static str, u32);

/// Whether frames of a codec have a header that states the channels.
pub(crate) fn is_needed(codec: &str) -> bool {
    matches!(codec, "mp1" | "mp2" | "mp3" | "dts" | "ac3" | "eac3" | "aac" | "flac")
}

/// The header of the frame that begins with these bytes.
pub(crate) fn parse(codec: &'static str, frame: &[u8]) -> Option<FrameHeader> {
    match codec {
        "dts" => Some((codec, dts(frame)?)),
        "ac3" | "eac3" => dolby(codec, frame),
        "aac" => Some((codec, adts(frame)?)),
        "flac" => Some((codec, flac(frame)?)),
        _ => Some((codec, mpeg(frame)?)),
    }
}

/// As [`parse`], of the first frame in these bytes: a chunk may begin within a frame, where its codec has a long sync word.
pub(crate) fn find(codec: &'static str, bytes: &[u8]) -> Option<FrameHeader> {
    let places = if matches!(codec, "dts" | "ac3" | "eac3") { bytes.len() } else { 1 };
    (0..places).find_map(|at| parse(codec, bytes.get(at..)?))
}

/// ISO/IEC 11172-3, 2.4.1.3.
fn mpeg(frame: &[u8]) -> Option<u32> {
    let header = u32::from_be_bytes(*frame.first_chunk()?);
    let is_frame = header >> 21 == 0x7FF && header >> 17 & 3 != 0 && header >> 12 & 15 != 15;
    is_frame.then_some(if header >> 6 & 3 == 3 { 1 } else { 2 })
}

/// ETSI TS 102 366, 4.4 of AC-3, and E.1.3 of E-AC-3 where the identifier of the syntax is above 10.
fn dolby(stated: &'static str, frame: &[u8]) -> Option<FrameHeader> {
    let mut bits = Bits::new(frame);
    let is_enhanced = frame.get(5)? >> 3 > 10;
    if bits.number(16)? != 0x0B77 || frame.get(5)? >> 3 > 16 {
        return None;
    }
    let mode = if is_enhanced {
        bits.skip(2 + 3 + 11 + 2 + 2)?; // type, substream, size, rate, blocks
        bits.number(3)?
    } else {
        bits.skip(16)?; // check
        if bits.number(2)? == 3 || bits.number(6)? > 37 {
            return None;
        }
        bits.skip(5 + 3)?; // syntax, service
        let mode = bits.number(3)?;
        let levels = [mode & 1 == 1 && mode != 1, mode & 4 == 4, mode == 2];
        bits.skip(2 * levels.into_iter().filter(|is_there| *is_there).count())?;
        mode
    };
    let channels = AC3_CHANNELS.get(usize::try_from(mode).ok()?)? + bits.number(1)?;
    Some((if is_enhanced { "eac3" } else { stated }, channels))
}

/// The header of ADTS (ISO/IEC 14496-3, 1.A.2.2.1).
fn adts(frame: &[u8]) -> Option<u32> {
    let mut bits = Bits::new(frame);
    let is_frame = bits.number(12)? == 0xFFF && bits.number(4)? & 6 == 0;
    bits.skip(2 + 4 + 1)?; // object type, rate, private
    let channels = *[0, 1, 2, 3, 4, 5, 6, 8].get(usize::try_from(bits.number(3)?).ok()?)?;
    (is_frame && channels > 0).then_some(channels)
}

/// RFC 9639, 9.1.
fn flac(frame: &[u8]) -> Option<u32> {
    let header = u32::from_be_bytes(*frame.first_chunk()?);
    let is_frame = header >> 17 == 0x7FFC;
    match header >> 4 & 15 {
        independent @ 0..=7 if is_frame => Some(independent + 1),
        8..=10 if is_frame => Some(2),
        _ => None,
    }
}

/// ETSI TS 102 114, 5.3.1, of a core stream in words of 16 or 14 bits, in either byte order.
fn dts(frame: &[u8]) -> Option<u32> {
    /// Speakers by `AMODE`.
    const SPEAKERS: [u32; 16] = [1, 2, 2, 2, 2, 3, 3, 4, 4, 5, 6, 6, 6, 7, 8, 8];
    let (of_word, is_swapped) = match frame.first_chunk::<4>()? {
        [0x7F, 0xFE, 0x80, 0x01] => (16, false),
        [0xFE, 0x7F, 0x01, 0x80] => (16, true),
        [0x1F, 0xFF, 0xE8, 0x00] => (14, false),
        [0xFF, 0x1F, 0x00, 0xE8] => (14, true),
        _ => return None,
    };
    let words = frame.first_chunk::<LENGTH>()?.chunks_exact(2);
    let packed = words.fold(0_u128, |packed, pair| {
        let word = if is_swapped { [pair[1], pair[0]] } else { [pair[0], pair[1]] };
        packed << of_word | u128::from(u16::from_be_bytes(word)) & ((1 << of_word) - 1)
    });
    let packed = (packed << (8 * (16 - of_word))).to_be_bytes();
    let mut bits = Bits::new(&packed);
    bits.skip(32 + 1 + 5 + 1 + 7 + 14)?; // sync word, frame type, deficit, check, blocks, size
    let mode = usize::try_from(bits.number(6)?).ok()?;
    bits.skip(4 + 5 + 5 + 3 + 1 + 1)?; // rates, five flags, extension, word
    let low_frequency = bits.number(2)?;
    Some(SPEAKERS.get(mode)? + u32::from(matches!(low_frequency, 1 | 2)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn channels(codec: &'static str, frame: &[u8]) -> Option<u32> {
        Some(parse(codec, frame)?.1)
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
    fn dolby_frames_tell_codec_and_channels() {
        let surround = [0x0B, 0x77, 0x12, 0x34, 0x1C, 0x40, 0xE1, 0xDF];
        assert_eq!(parse("ac3", &surround), Some(("ac3", 6)));
        let stereo = [0x0B, 0x77, 0x12, 0x34, 0x14, 0x40, 0x43, 0xE0];
        assert_eq!(parse("ac3", &stereo), Some(("ac3", 2)));
        let three_and_one = [0x0B, 0x77, 0x12, 0x34, 0x14, 0x40, 0x74, 0x00];
        assert_eq!(parse("ac3", &three_and_one), Some(("ac3", 4)));
        let enhanced = [0x0B, 0x77, 0x02, 0x7F, 0x3F, 0x87];
        assert_eq!(parse("eac3", &enhanced), Some(("eac3", 6)));
        assert_eq!(parse("ac3", &enhanced), Some(("eac3", 6)), "its identifier counts");
        assert_eq!(parse("ac3", &[0x0B, 0x77, 0, 0, 0xC0, 0x40, 0xE1]), None, "a reserved rate");
        assert_eq!(find("ac3", &[&[0x0B, 0x77, 1][..], &surround].concat()), Some(("ac3", 6)));
        assert_eq!(find("mp3", &[0, 0xFF, 0xFB, 0x90, 0x64]), None, "its sync word is short");
    }

    #[test]
    fn dts_has_words_of_several_kinds() {
        let core = [0x7F, 0xFE, 0x80, 0x01, 0xFC, 0x3C, 0x7D, 0xF2, 0x77, 0x00, 0x04, 0, 0, 0, 0, 0];
        let swapped = |frame: [u8; 16]| -> Vec<u8> {
            frame.chunks_exact(2).flat_map(|pair| [pair[1], pair[0]]).collect()
        };
        let packed = u128::from_be_bytes(core);
        let words = (1..=8).map(|nth| (packed >> (128 - 14 * nth) & 0x3FFF) as u16);
        // Signed samples of 14 bits.
        let words = words.map(|word| if word & 0x2000 == 0 { word } else { word | 0xC000 });
        let in_14: Vec<u8> = words.flat_map(u16::to_be_bytes).collect();
        let in_14 = *in_14.first_chunk().unwrap();
        for frame in [core.to_vec(), swapped(core), in_14.to_vec(), swapped(in_14)] {
            assert_eq!(channels("dts", &frame), Some(6), "{frame:02X?}");
        }
        assert_eq!(channels("dts", &core[..9]), None);
        assert_eq!(channels("dts", &[0x7F; 16]), None);
    }
}
