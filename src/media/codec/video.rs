//! Size and frame rate from headers of video codecs, and the syntax that H.264 and HEVC share.
//! ffprobe reports what the decoder finds there, not what the container states.

use super::bits::Bits;
use super::color::Color;
use super::picture::Picture;

/// Contents of a header.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct VideoConfig {
    /// Width and height in pixels.
    pub(crate) size: Option<(u32, u32)>,
    /// Frames a second that the codec claims: a fraction, not reduced.
    pub(crate) rate: Option<(u32, u32)>,
    /// The rest.
    pub(crate) picture: Picture,
}

/// What precedes the timing in the VUI of both codecs: aspect ratio, overscan, signal type, chroma. `None` where it is cut;
/// `color` is what was read before.
pub(super) fn vui_signal(bits: &mut Bits<'_>, color: &mut Color) -> Option<()> {
    if bits.flag()? && bits.number(8)? == 255 {
        bits.skip(32)?;
    }
    if bits.flag()? {
        bits.skip(1)?;
    }
    if bits.flag()? {
        bits.skip(3)?;
        let is_full = Some(bits.flag()?);
        *color =
            if bits.flag()? { Color::read(bits, is_full)? } else { Color { is_full, ..Color::default() } };
    }
    if bits.flag()? {
        bits.golomb()?;
        bits.golomb()?;
    }
    Some(())
}

/// Frames a second from the optional timing: clock ticks a second, and ticks of one frame.
pub(super) fn timing(bits: &mut Bits<'_>, ticks_of_frame: u32) -> Option<(u32, u32)> {
    if !bits.flag()? {
        return None;
    }
    let ticks = bits.number(32)?;
    let scale = bits.number(32)?;
    (ticks > 0 && scale > 0).then_some((scale, ticks.saturating_mul(ticks_of_frame)))
}

/// Luma samples of one cropping unit, horizontally and vertically, by `chroma_format_idc`.
pub(super) fn chroma_unit(chroma_format: u32) -> (u32, u32) {
    match chroma_format {
        1 => (2, 2),
        2 => (2, 1),
        _ => (1, 1),
    }
}

/// The size of a picture after cropping left, right, top and bottom.
pub(super) fn cropped(
    coded: (u32, u32),
    [left, right, top, bottom]: [u32; 4],
    unit: (u32, u32),
) -> (u32, u32) {
    let less = |length: u32, one: u32, other: u32, unit: u32| {
        let edges = one.saturating_add(other).saturating_mul(unit);
        if edges < length { length - edges } else { length }
    };
    (less(coded.0, left, right, unit.0), less(coded.1, top, bottom, unit.1))
}

/// Removes the emulation prevention bytes of a network abstraction layer unit.
pub(super) fn unescaped(unit: &[u8]) -> Vec<u8> {
    let mut zeros = 0;
    let mut plain = Vec::with_capacity(unit.len());
    for byte in unit {
        if zeros >= 2 && *byte == 3 {
            zeros = 0;
            continue;
        }
        zeros = if *byte == 0 { zeros + 1 } else { 0 };
        plain.push(*byte);
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes_are_removed() {
        assert_eq!(unescaped(&[0, 0, 3, 0, 0, 3, 1, 3]), [0, 0, 0, 0, 1, 3]);
    }
}
