//! H.264 (ISO/IEC 14496-10): size and frame rate in its sequence parameter set.

use super::bits::Bits;
use super::picture::{Level, Picture, PixelFormat};
use super::video::{VideoConfig, chroma_unit, cropped, timing, unescaped, vui_signal};
use crate::media::bytes::u16_at;

/// From `avcC` (ISO/IEC 14496-15, 5.3.3.1): its first sequence parameter set. `stated` is the
/// sample entry's size, which may crop what the set does not.
pub(crate) fn parse(payload: &[u8], stated: (u32, u32)) -> Option<VideoConfig> {
    if payload.get(5)?.trailing_zeros() >= 5 {
        return None; // no set at all
    }
    let length = usize::from(u16_at(payload, 6)?);
    let unit = payload.get(8..)?;
    sequence(&unescaped(unit.get(..length).unwrap_or(unit)), stated)
}

/// From a byte stream (ISO/IEC 14496-10, annex B): its first sequence parameter set.
pub(crate) fn find(stream: &[u8]) -> Option<Picture> {
    let at = stream.windows(4).position(|code| code.starts_with(&[0, 0, 1]) && code[3] & 0x1F == 7)?;
    let unit = stream.get(at + 3..)?;
    let end = unit.windows(3).position(|code| matches!(code, [0, 0, 0 | 1])).unwrap_or(unit.len());
    Some(sequence(&unescaped(unit.get(..end)?), (0, 0))?.picture)
}

/// ISO/IEC 14496-10, 7.3.2.1.1.
fn sequence(unit: &[u8], stated: (u32, u32)) -> Option<VideoConfig> {
    let mut bits = Bits::new(unit.get(1..)?);
    let profile = bits.number(8)?;
    let constraints = bits.number(8)?;
    let level = bits.number(8)?;
    bits.golomb()?; // seq_parameter_set_id
    let (mut chroma_format, mut depth) = (1, 8);
    let mut separate_planes = false;
    if matches!(profile, 44 | 83 | 86 | 100 | 110 | 118 | 122 | 128 | 134 | 135 | 138 | 139 | 244) {
        chroma_format = bits.golomb()?;
        separate_planes = chroma_format == 3 && bits.flag()?;
        depth = bits.golomb()?.saturating_add(8);
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
    let mut picture = Picture {
        profile: profile_name(profile, constraints),
        level: Some(level_of(profile, constraints, level)),
        format: PixelFormat::planar(chroma_format, depth),
        field_order: frames_only.then_some("progressive"),
        ..Picture::default()
    };
    // The VUI parameters (ISO/IEC 14496-10, E.1.1): a frame is two ticks.
    let has_parameters = bits.flag() == Some(true);
    let is_whole = has_parameters && vui_signal(&mut bits, &mut picture.color).is_some();
    let rate = if is_whole { timing(&mut bits, 2) } else { None };
    picture.name_by_color(true);
    Some(VideoConfig { size: Some(if container_crops { stated } else { size }), rate, picture })
}

/// ffprobe's name of `profile_idc` with its constraints, of which the first is the highest bit.
fn profile_name(profile: u32, constraints: u32) -> Option<&'static str> {
    let is_constrained = constraints & 0x40 != 0;
    let is_intra = constraints & 0x10 != 0;
    Some(match profile {
        44 => "CAVLC 4:4:4",
        66 if is_constrained => "Constrained Baseline",
        66 => "Baseline",
        77 => "Main",
        88 => "Extended",
        100 => "High",
        110 if is_intra => "High 10 Intra",
        110 => "High 10",
        118 => "Multiview High",
        122 if is_intra => "High 4:2:2 Intra",
        122 => "High 4:2:2",
        128 => "Stereo High",
        144 => "High 4:4:4",
        244 if is_intra => "High 4:4:4 Intra",
        244 => "High 4:4:4 Predictive",
        _ => return None,
    })
}

/// By `level_idc`: ten times the level, with a mark for 1b (ISO/IEC 14496-10, A.3.1).
fn level_of(profile: u32, constraints: u32, level: u32) -> Level {
    let is_1b = level == 9 || level == 11 && constraints & 0x10 != 0 && matches!(profile, 66 | 77 | 88);
    if is_1b { Level::Name("1b") } else { Level::Tenths(u8::try_from(level).unwrap_or(u8::MAX)) }
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

#[cfg(test)]
mod tests {
    use super::*;

    /// 320×240, baseline, 25 frames a second.
    const AVC: [u8; 33] = [
        1, 0x42, 0xC0, 0x0D, 0xFF, 0xE1, 0, 25, 0x67, 0x42, 0xC0, 0x0D, 0xD9, 0x01, 0x41, 0xFB, 0x01, 0x10,
        0, 0, 3, 0, 0x10, 0, 0, 3, 0x03, 0x20, 0xF1, 0x42, 0xA4, 0x80, 1,
    ];

    #[test]
    fn avc_states_size_and_rate() {
        let config = parse(&AVC, (320, 240)).unwrap();
        assert_eq!(config.size, Some((320, 240)));
        assert_eq!(config.rate.map(|(scale, ticks)| scale / ticks), Some(25));
        let picture = config.picture;
        assert_eq!((picture.profile, picture.level), (Some("Constrained Baseline"), Some(Level::Tenths(13))));
        assert_eq!((picture.format, picture.field_order), (PixelFormat::planar(1, 8), Some("progressive")));
        assert_eq!(parse(&AVC, (318, 238)).unwrap().size, Some((318, 238)), "the container crops");
        assert_eq!(parse(&AVC, (300, 200)).unwrap().size, Some((320, 240)), "too much for a crop");
        for end in 0..AVC.len() {
            let _ = parse(&AVC[..end], (320, 240));
        }
    }
}
