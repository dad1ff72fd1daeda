//! VP8 (RFC 6386) and VP9 (VP9 Bitstream & Decoding Process Specification): what a key frame states, and the
//! configuration of VP9.

use super::bits::Bits;
use super::color::Color;
use super::picture::{Level, Picture, PixelFormat};
use super::video::VideoConfig;

/// What a key frame's first bytes state; `None` of other frames and codecs.
pub(crate) fn key_frame(codec: &str, frame: &[u8]) -> Option<VideoConfig> {
    let mut config = match codec {
        "vp8" => vp8(frame)?,
        "vp9" => vp9(&mut Bits::new(frame))?,
        _ => return None,
    };
    config.size = config.size.filter(|(width, height)| *width > 0 && *height > 0);
    Some(config)
}

/// RFC 6386, 9.1: two bits of each number are a scale.
fn vp8(frame: &[u8]) -> Option<VideoConfig> {
    let [tag, _, _, 0x9D, 0x01, 0x2A, w0, w1, h0, h1] = *frame.first_chunk()? else { return None };
    let number = |low: u8, high: u8| u32::from(u16::from_le_bytes([low, high]) & 0x3FFF);
    let profile = ["0", "1", "2", "3"].get(usize::from(tag >> 1 & 7)).copied();
    let picture = Picture { profile, ..Picture::default() };
    (tag & 1 == 0).then_some(VideoConfig {
        size: Some((number(w0, w1), number(h0, h1))),
        picture,
        ..VideoConfig::default()
    })
}

/// The uncompressed header, 6.2.
fn vp9(bits: &mut Bits<'_>) -> Option<VideoConfig> {
    const RGB: u32 = 7;
    /// Matrices by `color_space`; 2 is "unspecified".
    const MATRICES: [u8; 7] = [2, 5, 1, 6, 7, 9, 2];
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
    let depth = match profile {
        0 | 1 => 8,
        _ => 10 + 2 * bits.number(1)?,
    };
    let has_subsampling = profile & 1 == 1;
    let space = bits.number(3)?;
    let mut picture = Picture { profile: profile_name(profile), ..Picture::default() };
    if space == RGB {
        bits.skip(usize::from(has_subsampling))?;
        picture.color = Color::new(2, 2, super::color::RGB, Some(true));
        picture.format = PixelFormat::planar(3, depth);
        picture.name_by_color(false);
    } else {
        let matrix = usize::try_from(space).ok().and_then(|space| MATRICES.get(space)).copied();
        picture.color = Color::new(2, 2, matrix.unwrap_or(2), Some(bits.flag()?));
        let (across, down) = if has_subsampling { (bits.flag()?, bits.flag()?) } else { (true, true) };
        bits.skip(usize::from(has_subsampling))?;
        let chroma = match (across, down) {
            (true, true) => 1,
            (true, false) => 2,
            (false, false) => 3,
            (false, true) => 4,
        };
        picture.format = PixelFormat::planar(chroma, depth);
    }
    let size = Some((bits.number(16)? + 1, bits.number(16)? + 1));
    Some(VideoConfig { size, picture, ..VideoConfig::default() })
}

/// ffprobe's name.
fn profile_name(profile: u32) -> Option<&'static str> {
    ["Profile 0", "Profile 1", "Profile 2", "Profile 3"].get(usize::try_from(profile).ok()?).copied()
}

/// From `vpcC` (VP Codec ISO Media File Format Binding, 2.2).
pub(crate) fn configuration(payload: &[u8]) -> Option<Picture> {
    let mut bits = Bits::new(payload.get(4..)?);
    let (profile, level, depth) = (bits.number(8)?, bits.number(8)?, bits.number(4)?);
    let chroma = bits.number(3)?;
    let is_full = Some(bits.flag()?);
    let color = Color::read(&mut bits, is_full)?;
    Some(described(profile, level, depth, chroma, color))
}

/// From Matroska's `CodecPrivate` (VP9 Codec Feature Metadata): numbers by identifier.
pub(crate) fn features(private: &[u8]) -> Picture {
    let find = |id: u8| {
        let feature = private.chunks_exact(3).find(|feature| feature.starts_with(&[id, 1]))?;
        feature.get(2).map(|value| u32::from(*value))
    };
    let (profile, chroma) = (find(1).unwrap_or(u32::MAX), find(4).unwrap_or(u32::MAX));
    described(profile, find(2).unwrap_or(0), find(3).unwrap_or(0), chroma, Color::default())
}

fn described(profile: u32, level: u32, depth: u32, chroma: u32, color: Color) -> Picture {
    // 4:2:0 in two positions, 4:2:2, 4:4:4, 4:4:0.
    let chroma = [1, 1, 2, 3, 4].get(usize::try_from(chroma).unwrap_or(usize::MAX)).copied();
    let mut picture = Picture {
        profile: profile_name(profile),
        level: u8::try_from(level).ok().filter(|level| *level > 0).map(Level::Tenths),
        format: chroma.and_then(|chroma| PixelFormat::planar(chroma, depth)),
        color,
        ..Picture::default()
    };
    picture.name_by_color(false);
    picture
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Key frames of 320 × 240 pixels, of profile 0 and of profile 2.
    const VP9: [u8; 10] = [0x82, 0x49, 0x83, 0x42, 0x00, 0x13, 0xF0, 0x0E, 0xF0, 0x00];
    const DEEP_VP9: [u8; 10] = [0x92, 0x49, 0x83, 0x42, 0x00, 0x09, 0xF8, 0x07, 0x7B, 0x04];
    const VP8: [u8; 10] = [0x50, 0x42, 0x00, 0x9D, 0x01, 0x2A, 0x40, 0x41, 0xF0, 0x00];

    fn size(codec: &str, frame: &[u8]) -> Option<(u32, u32)> {
        key_frame(codec, frame)?.size
    }

    #[test]
    fn pictures_are_described() {
        let picture = key_frame("vp9", &DEEP_VP9).unwrap().picture;
        assert_eq!(picture.profile, Some("Profile 2"));
        assert_eq!(picture.format, PixelFormat::planar(1, 10));
        let config = [1, 0, 0, 0, 2, 31, 0xA2, 9, 16, 9, 0, 0];
        let picture = configuration(&config).unwrap();
        assert_eq!((picture.profile, picture.level), (Some("Profile 2"), Some(Level::Tenths(31))));
        assert_eq!(picture.format, PixelFormat::planar(1, 10));
        assert_eq!(picture.color, Color::new(9, 16, 9, Some(false)));
        let picture = features(&[1, 1, 0, 2, 1, 40, 3, 1, 8, 4, 1, 1]);
        assert_eq!((picture.profile, picture.level), (Some("Profile 0"), Some(Level::Tenths(40))));
        assert_eq!(picture.format, PixelFormat::planar(1, 8));
        assert_eq!(features(&[]), Picture::default());
    }

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
