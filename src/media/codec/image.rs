//! The size of a still image (a cover) from its header: PNG, JPEG, GIF.

use crate::media::reader::Reader;

/// Maximum of markers read from a JPEG: metadata and previews precede the frame header.
const MAX_MARKERS: u32 = 64;

/// Width and height of the image that lies between two offsets of the file.
pub(crate) fn size(reader: &mut Reader<'_>, start: u64, end: u64) -> Option<(u32, u32)> {
    let head = reader.at_most(start, 24).ok()?;
    let size = if head.starts_with(b"\x89PNG\r\n\x1A\n") {
        let number = |at: usize| Some(u32::from_be_bytes(head.get(at..at + 4)?.try_into().ok()?));
        (number(16)?, number(20)?)
    } else if head.starts_with(b"GIF8") {
        let number = |at: usize| Some(u16::from_le_bytes(head.get(at..at + 2)?.try_into().ok()?).into());
        (number(6)?, number(8)?)
    } else if head.starts_with(b"\xFF\xD8") {
        jpeg(reader, start + 2, end)?
    } else {
        return None;
    };
    (size.0 > 0 && size.1 > 0).then_some(size)
}

/// Walks the markers of a JPEG (ITU-T T.81, B.2.2) to its frame header.
fn jpeg(reader: &mut Reader<'_>, mut at: u64, end: u64) -> Option<(u32, u32)> {
    for _ in 0..MAX_MARKERS {
        if at >= end {
            return None;
        }
        let marker = reader.array::<9>(at, "cover").ok()?;
        match marker {
            // Fill bytes, and markers without a length.
            [0xFF, 0xFF, ..] => at += 1,
            [0xFF, 0x01 | 0xD0..=0xD8, ..] => at += 2,
            [0xFF, 0xC0..=0xC3 | 0xC5..=0xC7 | 0xC9..=0xCB | 0xCD..=0xCF, _, _, _, h1, h0, w1, w0] => {
                return Some((u16::from_be_bytes([w1, w0]).into(), u16::from_be_bytes([h1, h0]).into()));
            }
            [0xFF, _, high, low, ..] => at += 2 + u64::from(u16::from_be_bytes([high, low])),
            _ => return None,
        }
    }
    None
}
