//! The size and format of a still image (a cover) from its header: PNG, JPEG, GIF.

use super::color::Color;
use super::picture::{Picture, PixelFormat};
use super::video::VideoConfig;
use crate::media::reader::Reader;

/// Maximum of markers read from a JPEG: metadata and previews precede the frame header.
const MAX_MARKERS: u32 = 64;

/// What the image that lies between two offsets of the file states; `None` without a size.
pub(crate) fn parse(reader: &mut Reader<'_>, start: u64, end: u64) -> Option<VideoConfig> {
    let head = reader.at_most(start, 26).ok()?;
    let (size, picture) = if head.starts_with(b"\x89PNG\r\n\x1A\n") {
        let number = |at: usize| Some(u32::from_be_bytes(head.get(at..at + 4)?.try_into().ok()?));
        ((number(16)?, number(20)?), png(head))
    } else if head.starts_with(b"GIF8") {
        let number = |at: usize| Some(u16::from_le_bytes(head.get(at..at + 2)?.try_into().ok()?).into());
        ((number(6)?, number(8)?), format("bgra", 8))
    } else if head.starts_with(b"\xFF\xD8") {
        jpeg(reader, start + 2, end)?
    } else {
        return None;
    };
    (size.0 > 0 && size.1 > 0).then_some(VideoConfig { size: Some(size), picture, ..VideoConfig::default() })
}

fn format(name: &'static str, depth: u8) -> Picture {
    Picture { format: Some(PixelFormat { name, depth }), ..Picture::default() }
}

/// By depth and colour type (PNG, 11.2.1).
fn png(head: &[u8]) -> Picture {
    let mut picture = match head.get(24..26) {
        Some([8, 0]) => format("gray", 8),
        Some([8, 2]) => format("rgb24", 8),
        Some([_, 3]) => format("pal8", 8),
        Some([8, 4]) => format("ya8", 8),
        Some([8, 6]) => format("rgba", 8),
        _ => Picture::default(),
    };
    picture.color.is_full = picture.format.map(|_| true);
    picture
}

/// Walks the markers of a JPEG (ITU-T T.81, B.2.2) to its frame header.
fn jpeg(reader: &mut Reader<'_>, mut at: u64, end: u64) -> Option<((u32, u32), Picture)> {
    for _ in 0..MAX_MARKERS {
        if at >= end {
            return None;
        }
        let marker = reader.array::<9>(at, "cover").ok()?;
        match marker {
            // Fill bytes, and markers without a length.
            [0xFF, 0xFF, ..] => at += 1,
            [0xFF, 0x01 | 0xD0..=0xD8, ..] => at += 2,
            [
                0xFF,
                kind @ (0xC0..=0xC3 | 0xC5..=0xC7 | 0xC9..=0xCB | 0xCD..=0xCF),
                _,
                _,
                depth,
                h1,
                h0,
                w1,
                w0,
            ] => {
                let size = (u16::from_be_bytes([w1, w0]).into(), u16::from_be_bytes([h1, h0]).into());
                // The number of components, and of each its number, sampling and table.
                let components = reader.at_most(at + 9, 10).unwrap_or_default();
                return Some((size, jpeg_picture(kind, depth, components)));
            }
            [0xFF, _, high, low, ..] => at += 2 + u64::from(u16::from_be_bytes([high, low])),
            _ => return None,
        }
    }
    None
}

/// As ffmpeg's decoder names it.
fn jpeg_picture(kind: u8, depth: u8, components: &[u8]) -> Picture {
    let name = match *components {
        [1, ..] => Some("gray"),
        // How much finer the first one is sampled than the others, across and down.
        [3, _, first, _, _, second, _, _, third, ..]
            if second == third && second & 0x0F != 0 && second > 0x0F =>
        {
            match (first / 16 / (second / 16), first % 16 / (second % 16)) {
                (2, 2) => Some("yuvj420p"),
                (2, 1) => Some("yuvj422p"),
                (1, 1) => Some("yuvj444p"),
                (1, 2) => Some("yuvj440p"),
                _ => None,
            }
        }
        _ => None,
    };
    Picture {
        profile: ["Baseline", "Sequential", "Progressive", "Lossless"].get(usize::from(kind & 15)).copied(),
        format: name.filter(|_| depth == 8).map(|name| PixelFormat { name, depth }),
        color: Color { matrix: Some(5), is_full: Some(true), ..Color::default() },
        ..Picture::default()
    }
}
