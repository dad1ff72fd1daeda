//! Video codecs' own headers in a sample entry, as far as they tell size and frame rate: ffprobe asks the
//! decoder, which follows them and not the sample entry.

use super::bits::Bits;
use crate::media::bytes::u16_at;

/// What a header tells.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct VideoConfig {
    /// Width and height in pixels.
    pub(crate) size: Option<(u32, u32)>,
    /// Frames a second that the codec claims: a fraction, not reduced.
    pub(crate) rate: Option<(u32, u32)>,
}

/// From `avcC` (ISO/IEC 14496-15, 5.3.3.1): its first sequence parameter set. `stated` is the sample entry's
/// size, which may crop what the set does not.
pub(crate) fn avc(payload: &[u8], stated: (u32, u32)) -> Option<VideoConfig> {
    if payload.get(5)?.trailing_zeros() >= 5 {
        return None; // no set at all
    }
    let length = usize::from(u16_at(payload, 6)?);
    let unit = payload.get(8..)?;
    avc_sequence(&unescaped(unit.get(..length).unwrap_or(unit)), stated)
}

/// ISO/IEC 14496-10, 7.3.2.1.1.
fn avc_sequence(unit: &[u8], stated: (u32, u32)) -> Option<VideoConfig> {
    let mut bits = Bits::new(unit.get(1..)?);
    let profile = bits.number(8)?;
    bits.skip(16)?;
    bits.golomb()?; // seq_parameter_set_id
    let mut chroma_format = 1;
    let mut separate_planes = false;
    if matches!(profile, 44 | 83 | 86 | 100 | 110 | 118 | 122 | 128 | 134 | 135 | 138 | 139 | 244) {
        chroma_format = bits.golomb()?;
        separate_planes = chroma_format == 3 && bits.flag()?;
        bits.golomb()?;
        bits.golomb()?;
        bits.skip(1)?;
        if bits.flag()? {
            for list in 0..if chroma_format == 3 { 12 } else { 8 } {
                if bits.flag()? {
                    skip_scaling_list(&mut bits, if list < 6 { 16 } else { 64 })?;
                }
            }
        }
    }
    bits.golomb()?; // log2_max_frame_num
    match bits.golomb()? {
        0 => {
            bits.golomb()?;
        }
        1 => {
            bits.skip(1)?;
            bits.signed_golomb()?;
            bits.signed_golomb()?;
            for _ in 0..bits.golomb()?.min(255) {
                bits.signed_golomb()?;
            }
        }
        _ => {}
    }
    bits.golomb()?; // max_num_ref_frames
    bits.skip(1)?;
    let columns = bits.golomb()?.checked_add(1)?;
    let rows = bits.golomb()?.checked_add(1)?;
    let frames_only = bits.flag()?;
    if !frames_only {
        bits.skip(1)?;
    }
    bits.skip(1)?;
    let field = if frames_only { 1 } else { 2 };
    let coded = (columns.checked_mul(16)?, rows.checked_mul(16)?.checked_mul(field)?);
    let mut crop = [0; 4];
    if bits.flag()? {
        for edge in &mut crop {
            *edge = bits.golomb()?;
        }
    }
    let (across, down) = if separate_planes { (1, 1) } else { chroma_unit(chroma_format) };
    let size = cropped(coded, crop, (across, down * field));
    // A container may crop what the codec does not, within the last macroblock.
    let container_crops = crop[0] == 0
        && crop[2] == 0
        && stated.0 > 0
        && stated.1 > 0
        && stated.0 <= size.0
        && stated.1 <= size.1
        && stated.0.next_multiple_of(16) == size.0.next_multiple_of(16)
        && stated.1.next_multiple_of(16) == size.1.next_multiple_of(16);
    let rate = if bits.flag() == Some(true) { avc_rate(&mut bits) } else { None };
    Some(VideoConfig { size: Some(if container_crops { stated } else { size }), rate })
}

/// The frame rate in the VUI parameters (ISO/IEC 14496-10, E.1.1): a frame is two ticks.
fn avc_rate(bits: &mut Bits<'_>) -> Option<(u32, u32)> {
    skip_vui_signal(bits)?;
    timing(bits, 2)
}

/// What stands before the timing in the VUI of both codecs: aspect ratio, overscan, signal type, chroma.
fn skip_vui_signal(bits: &mut Bits<'_>) -> Option<()> {
    if bits.flag()? && bits.number(8)? == 255 {
        bits.skip(32)?;
    }
    if bits.flag()? {
        bits.skip(1)?;
    }
    if bits.flag()? {
        bits.skip(4)?;
        if bits.flag()? {
            bits.skip(24)?;
        }
    }
    if bits.flag()? {
        bits.golomb()?;
        bits.golomb()?;
    }
    Some(())
}

fn skip_scaling_list(bits: &mut Bits<'_>, size: u32) -> Option<()> {
    let (mut last, mut next) = (8_i32, 8_i32);
    for _ in 0..size {
        if next != 0 {
            next = last.wrapping_add(bits.signed_golomb()?) & 0xFF;
        }
        if next != 0 {
            last = next;
        }
    }
    Some(())
}

/// From `hvcC` (ISO/IEC 14496-15, 8.3.3.1): its first sequence and video parameter sets.
pub(crate) fn hevc(payload: &[u8]) -> Option<VideoConfig> {
    let (mut config, mut claimed) = (VideoConfig::default(), None);
    let mut at = 23;
    for _ in 0..*payload.get(22)? {
        let kind = payload.get(at)? & 0x3F;
        let units = u16_at(payload, at + 1)?;
        at += 3;
        for _ in 0..units {
            let length = usize::from(u16_at(payload, at)?);
            let unit = payload.get(at + 2..)?;
            let unit = unit.get(..length).unwrap_or(unit);
            match kind {
                32 if config.rate.is_none() => config.rate = hevc_rate(&unescaped(unit)),
                33 if config.size.is_none() => {
                    let sequence = hevc_sequence(&unescaped(unit));
                    config.size = sequence.size;
                    claimed = sequence.rate;
                }
                _ => {}
            }
            at += 2 + length;
            if at >= payload.len() {
                break;
            }
        }
    }
    config.rate = config.rate.or(claimed);
    Some(config)
}

/// ISO/IEC 23008-2, 7.3.2.2: as much as can be made out.
fn hevc_sequence(unit: &[u8]) -> VideoConfig {
    let mut bits = Bits::new(unit.get(2..).unwrap_or_default());
    let Some((size, sub_layers)) = hevc_size(&mut bits) else { return VideoConfig::default() };
    VideoConfig { size: Some(size), rate: hevc_sequence_rate(&mut bits, sub_layers) }
}

/// The size, and the number of sub-layers on the way to it.
fn hevc_size(bits: &mut Bits<'_>) -> Option<((u32, u32), u32)> {
    bits.skip(4)?;
    let sub_layers = bits.number(3)?;
    bits.skip(1)?;
    skip_profile_tier_level(bits, sub_layers)?;
    bits.golomb()?;
    let chroma_format = bits.golomb()?;
    let separate_planes = chroma_format == 3 && bits.flag()?;
    let coded = (bits.golomb()?, bits.golomb()?);
    let mut crop = [0; 4];
    if bits.flag()? {
        for edge in &mut crop {
            *edge = bits.golomb()?;
        }
    }
    let unit = if separate_planes { (1, 1) } else { chroma_unit(chroma_format) };
    let size = cropped(coded, crop, unit);
    (size.0 > 0 && size.1 > 0).then_some((size, sub_layers))
}

/// The frame rate in the VUI parameters, which all else precedes.
fn hevc_sequence_rate(bits: &mut Bits<'_>, sub_layers: u32) -> Option<(u32, u32)> {
    skip_golombs(bits, 2)?; // bit depths
    let order_bits = usize::try_from(bits.golomb()?).ok()?.saturating_add(4);
    let each = bits.flag()?;
    skip_golombs(bits, 3 * if each { sub_layers + 1 } else { 1 })?;
    skip_golombs(bits, 6)?; // sizes of blocks
    if bits.flag()? && bits.flag()? {
        skip_hevc_scaling_lists(bits)?;
    }
    bits.skip(2)?;
    if bits.flag()? {
        bits.skip(8)?;
        skip_golombs(bits, 2)?;
        bits.skip(1)?;
    }
    skip_reference_sets(bits)?;
    if bits.flag()? {
        let count = usize::try_from(bits.golomb()?).ok()?;
        bits.skip(count.checked_mul(order_bits.checked_add(1)?)?)?;
    }
    bits.skip(2)?;
    if !bits.flag()? {
        return None;
    }
    skip_vui_signal(bits)?;
    bits.skip(3)?;
    if bits.flag()? {
        skip_golombs(bits, 4)?; // default display window
    }
    timing(bits, 1)
}

/// Short-term reference picture sets (ISO/IEC 23008-2, 7.3.7), each of which may build on the one before.
fn skip_reference_sets(bits: &mut Bits<'_>) -> Option<()> {
    let mut before = 0;
    for index in 0..bits.golomb()?.min(64) {
        if index > 0 && bits.flag()? {
            bits.skip(1)?;
            bits.golomb()?;
            let mut count = 0;
            for _ in 0..=before {
                // Used by the current picture, or else perhaps kept for later ones.
                if bits.flag()? || bits.flag()? {
                    count += 1;
                }
            }
            before = count;
        } else {
            before = bits.golomb()?.checked_add(bits.golomb()?)?.min(32);
            for _ in 0..before {
                bits.golomb()?;
                bits.skip(1)?;
            }
        }
    }
    Some(())
}

/// ISO/IEC 23008-2, 7.3.4.
fn skip_hevc_scaling_lists(bits: &mut Bits<'_>) -> Option<()> {
    for (matrices, coefficients) in [(6, 16), (6, 64), (6, 65), (2, 65)] {
        for _ in 0..matrices {
            let count = if bits.flag()? { coefficients } else { 1 };
            skip_golombs(bits, count)?;
        }
    }
    Some(())
}

fn skip_golombs(bits: &mut Bits<'_>, count: u32) -> Option<()> {
    (0..count).try_for_each(|_| bits.golomb().map(drop))
}

/// Whether there is a timing, and how many ticks of what clock a frame lasts.
fn timing(bits: &mut Bits<'_>, ticks_of_frame: u32) -> Option<(u32, u32)> {
    if !bits.flag()? {
        return None;
    }
    let ticks = bits.number(32)?;
    let scale = bits.number(32)?;
    (ticks > 0 && scale > 0).then_some((scale, ticks.saturating_mul(ticks_of_frame)))
}

/// The frame rate in a video parameter set (ISO/IEC 23008-2, 7.3.2.1).
fn hevc_rate(unit: &[u8]) -> Option<(u32, u32)> {
    let mut bits = Bits::new(unit.get(2..)?);
    bits.skip(4 + 2 + 6)?;
    let sub_layers = bits.number(3)?;
    bits.skip(1 + 16)?;
    skip_profile_tier_level(&mut bits, sub_layers)?;
    let each = bits.flag()?;
    skip_golombs(&mut bits, 3 * if each { sub_layers + 1 } else { 1 })?;
    let layers = usize::try_from(bits.number(6)?).ok()? + 1;
    for _ in 0..bits.golomb()?.min(1024) {
        bits.skip(layers)?;
    }
    timing(&mut bits, 1)
}

/// ISO/IEC 23008-2, 7.3.3.
fn skip_profile_tier_level(bits: &mut Bits<'_>, sub_layers: u32) -> Option<()> {
    bits.skip(88 + 8)?;
    let mut length = 0;
    for _ in 0..sub_layers {
        length += if bits.flag()? { 88 } else { 0 };
        length += if bits.flag()? { 8 } else { 0 };
    }
    if sub_layers > 0 {
        for _ in sub_layers..8 {
            bits.skip(2)?;
        }
    }
    bits.skip(length)
}

/// Luma samples that a unit of cropping stands for, across and down, by `chroma_format_idc`.
fn chroma_unit(chroma_format: u32) -> (u32, u32) {
    match chroma_format {
        1 => (2, 2),
        2 => (2, 1),
        _ => (1, 1),
    }
}

/// What is left of a picture between left, right, top and bottom.
fn cropped(coded: (u32, u32), [left, right, top, bottom]: [u32; 4], unit: (u32, u32)) -> (u32, u32) {
    let less = |length: u32, one: u32, other: u32, unit: u32| {
        let edges = one.saturating_add(other).saturating_mul(unit);
        if edges < length { length - edges } else { length }
    };
    (less(coded.0, left, right, unit.0), less(coded.1, top, bottom, unit.1))
}

/// From the decoder specific information of MPEG-4 video: its video object layer (ISO/IEC 14496-2, 6.2.3).
pub(crate) fn mpeg4(specific: &[u8]) -> Option<VideoConfig> {
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
    // Without a fixed rate, a decoder claims the finest that its clock can tell.
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

/// A network abstraction layer unit without its emulation prevention bytes.
fn unescaped(unit: &[u8]) -> Vec<u8> {
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

    /// 320×240, baseline, 25 frames a second.
    const AVC: [u8; 33] = [
        1, 0x42, 0xC0, 0x0D, 0xFF, 0xE1, 0, 25, 0x67, 0x42, 0xC0, 0x0D, 0xD9, 0x01, 0x41, 0xFB, 0x01, 0x10,
        0, 0, 3, 0, 0x10, 0, 0, 3, 0x03, 0x20, 0xF1, 0x42, 0xA4, 0x80, 1,
    ];

    #[test]
    fn avc_tells_size_and_rate() {
        let config = avc(&AVC, (320, 240)).unwrap();
        assert_eq!(config.size, Some((320, 240)));
        assert_eq!(config.rate.map(|(scale, ticks)| scale / ticks), Some(25));
        assert_eq!(avc(&AVC, (318, 238)).unwrap().size, Some((318, 238)), "the container crops");
        assert_eq!(avc(&AVC, (300, 200)).unwrap().size, Some((320, 240)), "too much for a crop");
        for end in 0..AVC.len() {
            let _ = avc(&AVC[..end], (320, 240));
        }
    }

    #[test]
    fn escapes_are_removed() {
        assert_eq!(unescaped(&[0, 0, 3, 0, 0, 3, 1, 3]), [0, 0, 0, 0, 1, 3]);
    }
}
