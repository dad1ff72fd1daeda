//! AV1 (AV1 Bitstream & Decoding Process Specification): what its sequence header states.

use super::bits::Bits;
use super::color::{Color, RGB};
use super::picture::{Level, Picture, PixelFormat};
use super::sei;
use super::video::VideoConfig;

/// The types of unit that are read.
const SEQUENCE_HEADER: u32 = 1;
const METADATA: u32 = 5;
/// Maximum of units read.
const MAX_UNITS: usize = 8;

/// From `av1C` (AV1 Codec ISO Media File Format Binding, 2.3.3): its fixed part, and the sequence header that follows.
pub(crate) fn parse(payload: &[u8]) -> Option<VideoConfig> {
    let mut bits = Bits::new(payload);
    bits.skip(8)?;
    let profile = bits.number(3)?;
    let level = bits.number(5)?;
    bits.skip(1)?;
    let depth = match (bits.flag()?, bits.flag()?) {
        (true, true) => 12,
        (true, false) => 10,
        (false, _) => 8,
    };
    let format = pixel_format(bits.flag()?, bits.flag()?, bits.flag()?, depth);
    let mut picture =
        Picture { profile: name(profile), level: level_of(level), format, ..Picture::default() };
    units(payload.get(4..).unwrap_or_default(), &mut picture);
    Some(VideoConfig { picture, ..VideoConfig::default() })
}

/// ISO's `chroma_format_idc` of what is subsampled.
fn pixel_format(is_gray: bool, across: bool, down: bool, depth: u32) -> Option<PixelFormat> {
    let chroma = match (is_gray, across, down) {
        (true, ..) => 0,
        (_, true, true) => 1,
        (_, true, false) => 2,
        _ => 3,
    };
    PixelFormat::planar(chroma, depth)
}

fn name(profile: u32) -> Option<&'static str> {
    ["Main", "High", "Professional"].get(usize::try_from(profile).ok()?).copied()
}

/// `seq_level_idx` (A.3): four steps from 2.0 on; 31 has no limits.
fn level_of(index: u32) -> Option<Level> {
    let tenths = (2 + index / 4) * 10 + index % 4;
    (index < 31).then(|| Level::Tenths(u8::try_from(tenths).unwrap_or(u8::MAX)))
}

/// Reads units (5.3): the sequence header, and metadata of HDR.
pub(crate) fn units(mut bytes: &[u8], picture: &mut Picture) {
    for _ in 0..MAX_UNITS {
        let Some((kind, unit, rest)) = unit(bytes) else { break };
        match kind {
            SEQUENCE_HEADER => {
                let _ = sequence(&mut Bits::new(unit), picture);
            }
            METADATA => match unit {
                [1 | 2, ..] => picture.has_mastering = true,
                [4, message @ ..] => picture.has_dynamic |= sei::is_dynamic(message),
                _ => {}
            },
            _ => {}
        }
        bytes = rest;
    }
}

/// The type and content of the first unit, and what follows it.
fn unit(bytes: &[u8]) -> Option<(u32, &[u8], &[u8])> {
    let (head, mut rest) = bytes.split_first()?;
    if head & 4 != 0 {
        rest = rest.get(1..)?;
    }
    let mut size = rest.len();
    if head & 2 != 0 {
        size = 0;
        for (nth, byte) in rest.iter().enumerate().take(4) {
            size |= usize::from(byte & 0x7F) << (7 * nth);
            if byte & 0x80 == 0 {
                rest = rest.get(nth + 1..)?;
                break;
            }
        }
    }
    let size = size.min(rest.len());
    Some((u32::from(head >> 3 & 15), rest.get(..size)?, rest.get(size..)?))
}

/// The sequence header (5.5.1), up to the colour.
fn sequence(bits: &mut Bits<'_>, picture: &mut Picture) -> Option<()> {
    let profile = bits.number(3)?;
    bits.skip(1)?;
    let is_reduced = bits.flag()?;
    if is_reduced {
        bits.skip(5)?;
    } else {
        operating_points(bits)?;
    }
    let (width, height) = (bits.number(4)? + 1, bits.number(4)? + 1);
    bits.skip(usize::try_from(width + height).ok()?)?;
    if !is_reduced && bits.flag()? {
        bits.skip(4 + 3)?; // frame identifiers
    }
    bits.skip(3)?; // superblocks, filters
    if !is_reduced {
        bits.skip(4)?; // compound, motion
        let has_order = bits.flag()?;
        bits.skip(if has_order { 2 } else { 0 })?;
        let uses_screen_tools = bits.flag()? || bits.flag()?;
        if uses_screen_tools && !bits.flag()? {
            bits.skip(1)?;
        }
        bits.skip(if has_order { 3 } else { 0 })?;
    }
    bits.skip(3)?; // superresolution, filters
    color(bits, profile, picture)
}

/// Timing and operating points (5.5.1), which are skipped.
fn operating_points(bits: &mut Bits<'_>) -> Option<()> {
    let mut delay_bits = None;
    if bits.flag()? {
        bits.skip(32 + 32)?;
        if bits.flag()? {
            bits.golomb()?;
        }
        if bits.flag()? {
            delay_bits = Some(usize::try_from(bits.number(5)? + 1).ok()?);
            bits.skip(32 + 5 + 5)?;
        }
    }
    let has_delay = bits.flag()?;
    for _ in 0..=bits.number(5)? {
        bits.skip(12)?;
        if bits.number(5)? > 7 {
            bits.skip(1)?;
        }
        if let Some(count) = delay_bits
            && bits.flag()?
        {
            bits.skip(2 * count + 1)?;
        }
        if has_delay && bits.flag()? {
            bits.skip(4)?;
        }
    }
    Some(())
}

/// 5.5.2.
fn color(bits: &mut Bits<'_>, profile: u32, picture: &mut Picture) -> Option<()> {
    const SRGB: u8 = 13;
    let is_deep = bits.flag()?;
    let is_deeper = profile == 2 && is_deep && bits.flag()?;
    let depth = if is_deeper { 12 } else { 8 + 2 * u32::from(is_deep) };
    let is_gray = profile != 1 && bits.flag()?;
    let mut color = if bits.flag()? { Color::read(bits, None)? } else { Color::default() };
    let is_rgb = (color.primaries, color.transfer, color.matrix) == (Some(1), Some(SRGB), Some(RGB));
    color.is_full = Some(!is_gray && is_rgb || bits.flag()?);
    let (across, down) = match profile {
        _ if is_gray => (true, true),
        _ if is_rgb => (false, false),
        0 => (true, true),
        1 => (false, false),
        _ if depth == 12 => {
            let across = bits.flag()?;
            (across, across && bits.flag()?)
        }
        _ => (true, false),
    };
    picture.color = color;
    picture.format = pixel_format(is_gray, across, down, depth);
    picture.name_by_color(false);
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `av1C` of libaom: 160 × 90 pixels, 8 bits.
    const PLAIN: [u8; 14] =
        [0x81, 0x00, 0x0C, 0x00, 0x0A, 0x08, 0x00, 0x00, 0x00, 0x03, 0x7B, 0x2D, 0xC4, 0x80];

    #[test]
    fn the_fixed_part_states_profile_level_and_format() {
        let picture = parse(&[0x81, 0x0D, 0x4C, 0x00]).unwrap().picture;
        assert_eq!((picture.profile, picture.level), (Some("Main"), Some(Level::Tenths(51))));
        assert_eq!(picture.format, PixelFormat::planar(1, 10));
        assert_eq!(parse(&[0x81, 0x1F, 0x10, 0x00]).unwrap().picture.format, PixelFormat::planar(0, 8));
        assert_eq!(parse(&[0x81, 0x20, 0x00, 0x00]).unwrap().picture.format, PixelFormat::planar(3, 8));
        assert_eq!(parse(&[0x81, 0x1F, 0x10, 0x00]).unwrap().picture.level, None);
        for end in 0..PLAIN.len() {
            let _ = parse(&PLAIN[..end]);
        }
    }
}
