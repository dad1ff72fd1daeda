//! Channels from the header of an audio frame. For MP3 and DTS, most writers state two channels in
//! the sample entry, also for streams with another number.

use super::bits::Bits;

/// Bytes needed of the first frame.
pub(crate) const LENGTH: usize = 16;

/// Whether the channels of a codec are known only from a frame.
pub(crate) fn is_needed(codec: &str) -> bool {
    matches!(codec, "mp1" | "mp2" | "mp3" | "dts")
}

/// The channels that the first bytes of a frame state.
pub(crate) fn channels(codec: &str, frame: &[u8]) -> Option<u32> {
    if codec == "dts" { dts(frame) } else { mpeg(frame) }
}

/// ISO/IEC 11172-3, 2.4.1.3.
fn mpeg(frame: &[u8]) -> Option<u32> {
    let header = u32::from_be_bytes(*frame.first_chunk()?);
    let is_frame = header >> 21 == 0x7FF && header >> 17 & 3 != 0 && header >> 12 & 15 != 15;
    is_frame.then_some(if header >> 6 & 3 == 3 { 1 } else { 2 })
}

/// ETSI TS 102 114, 5.3.1, of a core stream in 16-bit words.
fn dts(frame: &[u8]) -> Option<u32> {
    /// Speakers by `AMODE`.
    const SPEAKERS: [u32; 16] = [1, 2, 2, 2, 2, 3, 3, 4, 4, 5, 6, 6, 6, 7, 8, 8];
    let mut bits = Bits::new(frame);
    if bits.number(32)? != 0x7FFE_8001 {
        return None;
    }
    bits.skip(1 + 5 + 1 + 7 + 14)?; // frame type, deficit, check, blocks, size
    let mode = usize::try_from(bits.number(6)?).ok()?;
    bits.skip(4 + 5 + 5 + 3 + 1 + 1)?; // rates, five flags, extension, word
    let low_frequency = bits.number(2)?;
    Some(SPEAKERS.get(mode)? + u32::from(matches!(low_frequency, 1 | 2)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_tell_their_channels() {
        assert_eq!(channels("mp3", &[0xFF, 0xFB, 0x90, 0x64]), Some(2));
        assert_eq!(channels("mp3", &[0xFF, 0xFB, 0x90, 0xC4]), Some(1));
        assert_eq!(channels("mp3", &[0xFF, 0xFB]), None);
        assert_eq!(channels("mp3", b"ID3\x04"), None);
        let surround = [0x7F, 0xFE, 0x80, 0x01, 0xFC, 0x3C, 0x7D, 0xF2, 0x77, 0x00, 0x04, 0, 0, 0, 0, 0];
        assert_eq!(channels("dts", &surround), Some(6));
        assert_eq!(channels("dts", &surround[..9]), None);
    }
}
