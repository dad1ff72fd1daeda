//! Boxes of a sample entry that describe pictures of any codec.

use crate::media::bytes::u16_at;
use crate::media::codec::color::Color;
use crate::media::codec::fourcc::FourCc;
use crate::media::codec::picture::Picture;

/// Adds what one box states.
pub(crate) fn apply(kind: FourCc, payload: &[u8], picture: &mut Picture) {
    match &kind {
        // The first one is the most accurate (ISO/IEC 14496-12, 12.1.5.1).
        b"colr" => picture.color = picture.color.or(color(payload).unwrap_or_default()),
        b"fiel" => picture.field_order = field_order(payload).or(picture.field_order),
        // Of MP4, and of VP9 before it was in the standard.
        b"mdcv" | b"clli" | b"SmDm" | b"CoLL" => picture.has_mastering = true,
        b"dvcC" | b"dvvC" | b"dvwC" => {
            picture.dolby_vision = Picture::dolby_vision(payload).or(picture.dolby_vision);
        }
        _ => {}
    }
}

/// Code points (ISO/IEC 14496-12, 12.1.5; QuickTime's `nclc` does not state the range).
fn color(payload: &[u8]) -> Option<Color> {
    let is_full = match payload.get(..4)? {
        b"nclx" => Some(payload.get(10).is_some_and(|range| range & 0x80 != 0)),
        b"nclc" => None,
        _ => return None,
    };
    let code = |at| u16_at(payload, at).map(|code| u8::try_from(code).unwrap_or(2));
    Some(Color::new(code(4)?, code(6)?, code(8)?, is_full))
}

/// ffprobe's name of the number of fields and their order (QuickTime File Format Specification, "Field Handling").
fn field_order(payload: &[u8]) -> Option<&'static str> {
    Some(match *payload.first_chunk()? {
        [1, _] => "progressive",
        [2, 1] => "tt",
        [2, 6] => "bb",
        [2, 9] => "tb",
        [2, 14] => "bt",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn boxes_describe_pictures() {
        let mut picture = Picture::default();
        apply(*b"colr", b"nclx\0\x09\0\x10\0\x09\x80", &mut picture);
        assert_eq!(picture.color, Color::new(9, 16, 9, Some(true)));
        apply(*b"colr", b"prof....", &mut picture);
        assert_eq!(picture.color, Color::new(9, 16, 9, Some(true)));
        apply(*b"colr", b"nclc\0\x01\0\x01\0\x01", &mut picture);
        assert_eq!(picture.color, Color::new(9, 16, 9, Some(true)), "the first one");
        assert_eq!(color(b"nclc\0\x01\0\x01\0\x01"), Some(Color::new(1, 1, 1, None)));
        apply(*b"fiel", &[2, 9], &mut picture);
        apply(*b"mdcv", &[], &mut picture);
        apply(*b"dvcC", &[1, 0, 10, 0x35, 0], &mut picture);
        assert_eq!((picture.field_order, picture.has_mastering), (Some("tb"), true));
        assert_eq!(picture.dolby_vision, Some((5, 0)));
    }
}
