//! VP8 (RFC 6386) and VP9 (VP9 Bitstream & Decoding Process Specification): the size in a key frame.

use super::bits::Bits;

/// Width and height that a key frame's first bytes state; `None` of other frames and codecs.
pub(crate) fn size(codec: &str, frame: &[u8]) -> Option<(u32, u32)> {
    let size = match codec {
        "vp8" => vp8(frame),
        "vp9" => vp9(&mut Bits::new(frame)),
        _ => None,
    };
    size.filter(|(width, height)| *width > 0 && *height > 0)
}

/// RFC 6386, 9.1: two bits of each number are a scale.
fn vp8(frame: &[u8]) -> Option<(u32, u32)> {
    let [tag, _, _, 0x9D, 0x01, 0x2A, w0, w1, h0, h1] = *frame.first_chunk()? else { return None };
    let number = |low: u8, high: u8| u32::from(u16::from_le_bytes([low, high]) & 0x3FFF);
    (tag & 1 == 0).then_some((number(w0, w1), number(h0, h1)))
}

/// The uncompressed header, 6.2.
fn vp9(bits: &mut Bits<'_>) -> Option<(u32, u32)> {
    const RGB: u32 = 7;
    (bits.number(2)? == 2).then_some(())?; // frame_marker
    let profile = u32::from(bits.flag()?) + 2 * u32::from(bits.flag()?);
    if profile == 3 {
        bits.skip(1)?;
    }
    let (is_repeated, is_predicted) = (bits.flag()?, bits.flag()?);
    bits.skip(2)?; // show_frame, error_resilient_mode
    if is_repeated || is_predicted || bits.number(24)? != 0x49_8342 {
        return None;
    }
    if profile >= 2 {
        bits.skip(1)?; // bit depth
    }
    let has_subsampling = profile & 1 == 1;
    if bits.number(3)? == RGB {
        bits.skip(usize::from(has_subsampling))?;
    } else {
        bits.skip(if has_subsampling { 4 } else { 1 })?;
    }
    Some((bits.number(16)? + 1, bits.number(16)? + 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Key frames of 320 × 240 pixels, of profile 0 and of profile 2.
    const VP9: [u8; 10] = [0x82, 0x49, 0x83, 0x42, 0x00, 0x13, 0xF0, 0x0E, 0xF0, 0x00];
    const DEEP_VP9: [u8; 10] = [0x92, 0x49, 0x83, 0x42, 0x00, 0x09, 0xF8, 0x07, 0x7B, 0x04];
    const VP8: [u8; 10] = [0x50, 0x42, 0x00, 0x9D, 0x01, 0x2A, 0x40, 0x41, 0xF0, 0x00];

    #[test]
    fn key_frames_state_their_size() {
        assert_eq!(size("vp9", &VP9), Some((320, 240)));
        assert_eq!(size("vp9", &DEEP_VP9), Some((320, 240)));
        assert_eq!(size("vp8", &VP8), Some((320, 240)), "without the scale");
        let predicted = |mut frame: [u8; 10], bit: u8| {
            frame[0] ^= bit;
            frame
        };
        assert_eq!(size("vp9", &predicted(VP9, 4)), None);
        assert_eq!(size("vp8", &predicted(VP8, 1)), None);
        assert_eq!(size("av1", &VP9), None);
        for end in 0..VP9.len() {
            let _ = (size("vp9", &VP9[..end]), size("vp8", &VP8[..end]));
        }
    }
}
