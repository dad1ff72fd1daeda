//! MPEG-2 video (ISO/IEC 13818-2): profile, level, format and colour in the extensions of its sequence header.

use super::bits::Bits;
use super::color::Color;
use super::picture::{Level, Picture, PixelFormat};

/// The start code of extensions.
const EXTENSION: u8 = 0xB5;

/// What the sequence header in these bytes states, and the first picture behind it; the default if there is none.
pub(crate) fn parse(bytes: &[u8]) -> Picture {
    let mut picture = Picture::default();
    let mut codes = bytes.windows(4).enumerate().filter(|(_, code)| code.starts_with(&[0, 0, 1]));
    if codes.any(|(_, code)| code[3] == 0xB3) {
        for (at, code) in codes {
            if code[3] == EXTENSION {
                let mut bits = Bits::new(bytes.get(at + 4..).unwrap_or_default());
                let _ = extension(&mut bits, &mut picture);
            }
        }
    }
    picture
}

fn extension(bits: &mut Bits<'_>, picture: &mut Picture) -> Option<()> {
    const PROFILES: [&str; 6] = ["4:2:2", "High", "Spatially Scalable", "SNR Scalable", "Main", "Simple"];
    match bits.number(4)? {
        // 6.2.2.3
        1 => {
            let is_escaped = bits.flag()?;
            picture.profile = PROFILES.get(usize::try_from(bits.number(3)?).ok()?).copied();
            picture.level = match (is_escaped, bits.number(4)?) {
                (false, 4) | (true, 2) => Some(Level::Name("High")),
                (false, 6) => Some(Level::Name("High 1440")),
                (false, 8) | (true, 5) => Some(Level::Name("Main")),
                (false, 10) => Some(Level::Name("Low")),
                _ => None,
            };
            picture.field_order = bits.flag()?.then_some("progressive");
            picture.format = PixelFormat::planar(bits.number(2)?, 8).filter(|format| format.name != "gray");
            picture.color.is_full = Some(false);
        }
        // 6.2.2.4
        2 => {
            bits.skip(3)?;
            if bits.flag()? {
                picture.color = Color::read(bits, Some(false))?;
            }
        }
        // 6.2.3.1: of the first picture; ffprobe takes the order of fields from it.
        8 if picture.field_order.is_none() => {
            bits.skip(16 + 2 + 2)?;
            let is_top_first = bits.flag()?;
            bits.skip(7)?;
            picture.field_order = Some(match (bits.flag()?, is_top_first) {
                (true, _) => "progressive",
                (false, true) => "tt",
                (false, false) => "bb",
            });
        }
        _ => {}
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn extensions_state_profile_format_and_colour() {
        let header = b"\0\0\x01\xB3\x0A\x00\x5A\x13\xFF\xFF\xE0\x18";
        let extension = b"\0\0\x01\xB5\x14\x82\0\x01\0\0";
        let display = b"\0\0\x01\xB5\x23\x05\x05\x06\x0A\0\0\0";
        let picture = parse(&[&header[..], extension, display].concat());
        assert_eq!((picture.profile, picture.level), (Some("Main"), Some(Level::Name("Main"))));
        assert_eq!((picture.format, picture.field_order), (PixelFormat::planar(1, 8), None));
        assert_eq!(picture.color, Color::new(5, 5, 6, Some(false)));
        assert_eq!(parse(&extension[..]), Picture::default(), "without a sequence header");
        assert_eq!(parse(&header[..]), Picture::default());
    }
}
