//! MPEG-4 video (ISO/IEC 14496-2): size and frame rate in its video object layer, profile and level before it.

use super::bits::Bits;
use super::picture::{Level, Picture};
use super::video::VideoConfig;

/// From the decoder specific information of MPEG-4 video: its visual object sequence and video object layer (ISO/IEC
/// 14496-2, 6.2.2 and 6.2.3).
pub(crate) fn parse(specific: &[u8]) -> Option<VideoConfig> {
    Some(VideoConfig { picture: profile_and_level(specific), ..layer(specific)? })
}

/// By `profile_and_level_indication` (table G.1), with ffprobe's names.
fn profile_and_level(specific: &[u8]) -> Picture {
    const PROFILES: [&str; 16] = [
        "Simple Profile",
        "Simple Scalable Profile",
        "Core Profile",
        "Main Profile",
        "N-bit Profile",
        "Scalable Texture Profile",
        "Simple Face Animation Profile",
        "Basic Animated Texture Profile",
        "Hybrid Profile",
        "Advanced Real Time Simple Profile",
        "Code Scalable Profile",
        "Advanced Coding Profile",
        "Advanced Core Profile",
        "Advanced Scalable Texture Profile",
        "Simple Studio Profile",
        "Advanced Simple Profile",
    ];
    let at = specific.windows(4).position(|code| code == [0, 0, 1, 0xB0]);
    let Some(stated) = at.and_then(|at| specific.get(at + 4)) else { return Picture::default() };
    Picture {
        profile: PROFILES.get(usize::from(stated >> 4)).copied(),
        // Level 0 of the simple profile is written as 8.
        level: Some(Level::Whole(if *stated == 8 { 0 } else { stated & 15 })),
        ..Picture::default()
    }
}

fn layer(specific: &[u8]) -> Option<VideoConfig> {
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
        return Some(VideoConfig { rate, ..VideoConfig::default() });
    }
    bits.skip(1)?;
    let width = bits.number(13)?;
    bits.skip(1)?;
    let height = bits.number(13)?;
    let size = (width > 0 && height > 0).then_some((width, height));
    Some(VideoConfig { size, rate, ..VideoConfig::default() })
}
