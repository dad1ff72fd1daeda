//! Covers, and the role of a track in its user data.

use super::boxes::BoxHeader;
use crate::media::bytes::u32_at;
use crate::media::codec::fourcc::four_cc_at;
use crate::media::codec::image;
use crate::media::error::Error;
use crate::media::reader::Reader;

/// Maximum of covers that are read.
const MAX_COVERS: usize = 32;

/// A picture in `covr`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Cover {
    pub(crate) codec: &'static str,
    pub(crate) size: Option<(u32, u32)>,
}

/// The covers in an item list (`udta`/`meta`/`ilst`, as iTunes writes it), in their order.
pub(crate) fn covers(reader: &mut Reader<'_>, meta: &BoxHeader) -> Result<Vec<Cover>, Error> {
    // A full box in MP4, a plain one in QuickTime.
    let skip = if four_cc_at(meta.head(reader, 8)?, 4) == Some(*b"hdlr") { 0 } else { 4 };
    let mut covers = Vec::new();
    let Some(list) = meta.children(skip).find(reader, *b"ilst")? else { return Ok(covers) };
    let mut items = list.children(0);
    while let Some(item) = items.next(reader)? {
        if item.kind != *b"covr" {
            continue;
        }
        let mut values = item.children(0);
        while let Some(value) = values.next(reader)? {
            // ffprobe ignores a cover that is truncated by the end of the file.
            let is_truncated = value.is_truncated() && value.end == reader.length();
            if value.kind == *b"data" && covers.len() < MAX_COVERS && !is_truncated {
                covers.extend(cover(reader, &value)?);
            }
        }
    }
    Ok(covers)
}

/// One value: a type, a locale and the picture. `None` for other types.
fn cover(reader: &mut Reader<'_>, value: &BoxHeader) -> Result<Option<Cover>, Error> {
    let head = value.head(reader, 8 + 32)?.to_vec();
    let (Some(stated), Some(picture)) = (u32_at(&head, 0), head.get(8..)) else { return Ok(None) };
    let is_png = picture.starts_with(b"\x89PNG\r\n\x1A\n");
    let cover = match stated {
        27 => Cover { codec: "bmp", size: bmp_size(picture) },
        // The stated type is often wrong.
        13 | 14 => {
            let codec = if is_png { "png" } else { "mjpeg" };
            Cover { codec, size: image::size(reader, value.start + 8, value.end) }
        }
        _ => return Ok(None),
    };
    Ok(Some(cover))
}

fn bmp_size(picture: &[u8]) -> Option<(u32, u32)> {
    let number = |at: usize| Some(i32::from_le_bytes(*picture.get(at..)?.first_chunk()?).unsigned_abs());
    Some((number(18)?, number(22)?))
}

/// Whether a `kind` box gives the role of forced subtitles (ISO/IEC 14496-12, 8.10.4; the DASH role
/// scheme).
pub(crate) fn is_forced(reader: &mut Reader<'_>, kind: &BoxHeader) -> Result<bool, Error> {
    let payload = kind.head(reader, 256)?;
    let mut texts = payload.get(4..).unwrap_or_default().split(|byte| *byte == 0);
    let scheme = texts.next().unwrap_or_default();
    let value = texts.next().unwrap_or_default();
    Ok(payload.starts_with(&[0; 4])
        && scheme.starts_with(b"urn:mpeg:dash:role:2011")
        && value.starts_with(b"forced-subtitle"))
}
