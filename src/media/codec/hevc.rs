//! HEVC (ISO/IEC 23008-2): size and frame rate in its sequence and video parameter sets.

use super::bits::Bits;
use super::picture::{Level, Picture, PixelFormat};
use super::sei;
use super::video::{VideoConfig, chroma_unit, cropped, timing, unescaped, vui_signal};
use crate::media::bytes::u16_at;

/// From `hvcC` (ISO/IEC 14496-15, 8.3.3.1): its first sequence and video parameter sets.
pub(crate) fn parse(payload: &[u8]) -> Option<VideoConfig> {
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
                32 if config.rate.is_none() => config.rate = rate(&unescaped(unit)),
                33 if config.size.is_none() => {
                    let sequence = sequence(&unescaped(unit));
                    config.size = sequence.size;
                    config.picture = sequence.picture.or(config.picture);
                    claimed = sequence.rate;
                }
                sei::SEI => sei::apply(unescaped(unit).get(2..).unwrap_or_default(), &mut config.picture),
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

/// ISO/IEC 23008-2, 7.3.2.2: what can be read of the unit.
fn sequence(unit: &[u8]) -> VideoConfig {
    let mut config = VideoConfig::default();
    let mut bits = Bits::new(unit.get(2..).unwrap_or_default());
    let Some(sub_layers) = begin(&mut bits, &mut config) else { return config };
    config.rate = parameters(&mut bits, sub_layers, &mut config.picture);
    config.picture.name_by_color(config.picture.format == PixelFormat::planar(1, 8));
    config
}

/// Profile, format and size; the number of sub-layers, which precedes them.
fn begin(bits: &mut Bits<'_>, config: &mut VideoConfig) -> Option<u32> {
    bits.skip(4)?;
    let sub_layers = bits.number(3)?;
    bits.skip(1)?;
    let (profile, level) = profile_tier_level(bits, sub_layers)?;
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
    if size.0 == 0 || size.1 == 0 {
        return None;
    }
    config.size = Some(size);
    config.picture.profile = profile;
    // Thirty times the level.
    config.picture.level = u8::try_from(level / 3).ok().map(Level::Tenths);
    // Television's range is the default of the parameters that may follow (E.3.1).
    config.picture.color.is_full = Some(false);
    config.picture.format = PixelFormat::planar(chroma_format, bits.golomb()?.saturating_add(8));
    bits.golomb()?;
    Some(sub_layers)
}

/// Colour, and the frame rate in the VUI parameters, at the end of the set.
fn parameters(bits: &mut Bits<'_>, sub_layers: u32, picture: &mut Picture) -> Option<(u32, u32)> {
    let order_bits = usize::try_from(bits.golomb()?).ok()?.saturating_add(4);
    let each = bits.flag()?;
    skip_golombs(bits, 3 * if each { sub_layers + 1 } else { 1 })?;
    skip_golombs(bits, 6)?; // sizes of blocks
    if bits.flag()? && bits.flag()? {
        skip_scaling_lists(bits)?;
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
    vui_signal(bits, &mut picture.color)?;
    picture.color.is_full = picture.color.is_full.or(Some(false));
    bits.skip(3)?;
    if bits.flag()? {
        skip_golombs(bits, 4)?; // default display window
    }
    timing(bits, 1)
}

/// Short-term reference picture sets (ISO/IEC 23008-2, 7.3.7). Each may be coded relative to the
/// previous one.
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
fn skip_scaling_lists(bits: &mut Bits<'_>) -> Option<()> {
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

/// The frame rate in a video parameter set (ISO/IEC 23008-2, 7.3.2.1).
fn rate(unit: &[u8]) -> Option<(u32, u32)> {
    let mut bits = Bits::new(unit.get(2..)?);
    bits.skip(4 + 2 + 6)?;
    let sub_layers = bits.number(3)?;
    bits.skip(1 + 16)?;
    profile_tier_level(&mut bits, sub_layers)?;
    let each = bits.flag()?;
    skip_golombs(&mut bits, 3 * if each { sub_layers + 1 } else { 1 })?;
    let layers = usize::try_from(bits.number(6)?).ok()? + 1;
    for _ in 0..bits.golomb()?.min(1024) {
        bits.skip(layers)?;
    }
    timing(&mut bits, 1)
}

/// ISO/IEC 23008-2, 7.3.3: ffprobe's name of the general profile, and the level.
fn profile_tier_level(bits: &mut Bits<'_>, sub_layers: u32) -> Option<(Option<&'static str>, u32)> {
    bits.skip(2 + 1)?;
    let stated = bits.number(5)?;
    let compatible = bits.number(32)?;
    // Of a set without a profile the last one counts that it is compatible with, as in ffprobe.
    let profile = if stated > 0 { stated } else { 31 - compatible.trailing_zeros().min(31) };
    let name = [(1, "Main"), (2, "Main 10"), (3, "Main Still Picture"), (4, "Rext")];
    let name = name.iter().find(|(number, _)| *number == profile).map(|(_, name)| *name);
    bits.skip(48)?;
    let level = bits.number(8)?;
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
    bits.skip(length)?;
    Some((name, level))
}
