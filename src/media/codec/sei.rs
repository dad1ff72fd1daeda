//! Supplemental enhancement information of HEVC (ISO/IEC 23008-2, 7.3.5 and D.2): metadata of HDR.

use super::picture::Picture;
use super::video::unescaped;
use crate::media::bytes::u32_at;

/// Notes the metadata in the payload of one unit, without its header and its emulation prevention bytes.
pub(crate) fn apply(mut unit: &[u8], picture: &mut Picture) {
    while let Some((kind, rest)) = number(unit)
        && let Some((size, rest)) = number(rest)
    {
        match kind {
            4 => picture.has_dynamic |= is_dynamic(rest),
            // Mastering display, light level.
            137 | 144 => picture.has_mastering = true,
            _ => {}
        }
        unit = rest.get(size..).unwrap_or_default();
    }
}

/// Notes the metadata before the picture in the first bytes of a frame, whose units follow their sizes of four bytes, as all
/// writers have it (ISO/IEC 14496-15, 8.3.3).
pub(crate) fn apply_frame(mut frame: &[u8], picture: &mut Picture) {
    while let Some(size) = u32_at(frame, 0).and_then(|size| usize::try_from(size).ok())
        && let Some(rest) = frame.get(4..)
        && let Some(kind) = rest.first().map(|byte| byte >> 1)
        && kind >= 32
    {
        if kind == SEI {
            let unit = rest.get(..size).unwrap_or(rest);
            apply(unescaped(unit).get(2..).unwrap_or_default(), picture);
        }
        frame = rest.get(size..).unwrap_or_default();
    }
}

/// The type of a unit of information that precedes its picture.
pub(crate) const SEI: u8 = 39;

/// Whether a message of ITU-T T.35 is that of SMPTE ST 2094-40 (HDR10+): country, provider, its code, application.
pub(crate) fn is_dynamic(message: &[u8]) -> bool {
    message.starts_with(&[0xB5, 0x00, 0x3C, 0x00, 0x01, 0x04])
}

/// A number in bytes of 255 and a last one, which is less.
fn number(bytes: &[u8]) -> Option<(usize, &[u8])> {
    let full = bytes.iter().position(|byte| *byte != 255)?;
    let (last, rest) = bytes.get(full..)?.split_first()?;
    Some((full * 255 + usize::from(*last), rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metadata_of_hdr_are_found_behind_others() {
        let found = |unit: &[u8]| {
            let mut picture = Picture::default();
            apply(unit, &mut picture);
            (picture.has_mastering, picture.has_dynamic)
        };
        assert_eq!(found(&[5, 2, 0, 0, 144, 4, 0, 0, 0, 0, 0x80]), (true, false));
        assert_eq!(found(&[4, 6, 0xB5, 0, 0x3C, 0, 1, 4, 137, 0]), (true, true));
        assert_eq!(found(&[4, 6, 0xB5, 0, 0x31, 0, 1, 4]), (false, false));
        let long = [&[5, 255, 1][..], &[0; 256], &[137, 1, 0]].concat();
        assert_eq!(found(&long), (true, false));
        assert_eq!(found(&[255, 255]), (false, false));
        let unit = [SEI << 1, 1, 4, 6, 0xB5, 0, 0x3C, 0, 1, 4, 0x80];
        let frame =
            [&[0, 0, 0, 3, 35 << 1, 1, 0x50][..], &[0, 0, 0, 11], &unit, &[0, 0, 0, 9, 2, 1]].concat();
        for (end, expected) in [(frame.len(), true), (20, false), (5, false)] {
            let mut picture = Picture::default();
            apply_frame(&frame[..end], &mut picture);
            assert_eq!(picture.has_dynamic, expected, "{end}");
        }
        assert_eq!(found(&[5, 9, 1]), (false, false));
    }
}
