//! MPEG-4 video (ISO/IEC 14496-2): size and frame rate in its video object layer.

use super::bits::Bits;
use super::video::VideoConfig;

/// From the decoder specific information of MPEG-4 video: its video object layer (ISO/IEC 14496-2,
/// 6.2.3).
pub(crate) fn parse(specific: &[u8]) -> Option<VideoConfig> {
    let at = specific.windows(4).position(|code| code.starts_with(&[0, 0, 1]) && code[3] & 0xF0 == 0x20)?;
    let mut bits = Bits::new(specific.get(at + 4..)?);
    bits.skip(1 + 8)?;
    let mut version = 1;
    if bits.flag()? {
        version = bits.number(4)?;
        bits.skip(3)?;
    }
    if bits.number(4)? == 15 {
        bits.skip(16)?;
    }
    if bits.flag()? {
        bits.skip(3)?;
        if bits.flag()? {
            bits.skip(79)?;
        }
    }
    let shape = bits.number(2)?;
    if shape == 3 && version != 1 {
        bits.skip(4)?;
    }
    bits.skip(1)?;
    let resolution = bits.number(16)?;
    bits.skip(1)?;
    // Without a fixed rate, a decoder reports the resolution of its clock.
    let mut increment = 1;
    if bits.flag()? {
        let width = (32 - resolution.saturating_sub(1).leading_zeros()).max(1);
        increment = bits.number(usize::try_from(width).ok()?)?.max(1);
    }
    let rate = (resolution > 0).then_some((resolution, increment));
    if shape != 0 {
        return Some(VideoConfig { size: None, rate });
    }
    bits.skip(1)?;
    let width = bits.number(13)?;
    bits.skip(1)?;
    let height = bits.number(13)?;
    Some(VideoConfig { size: (width > 0 && height > 0).then_some((width, height)), rate })
}
