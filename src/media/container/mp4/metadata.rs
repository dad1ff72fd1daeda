//! Titles and covers in user data, chapters, and the role of a track.

use super::boxes::{BoxHeader, Boxes};
use crate::media::bytes::{u16_at, u32_at};
use crate::media::codec::fourcc::four_cc_at;
use crate::media::codec::image;
use crate::media::codec::picture::Picture;
use crate::media::error::Error;
use crate::media::reader::Reader;

/// Maximum of covers that are read.
const MAX_COVERS: usize = 32;
/// Maximum of bytes read of the names of items.
const MAX_KEYS: usize = 4 * 1024;

/// A picture in `covr`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Cover {
    pub(crate) codec: &'static str,
    pub(crate) size: Option<(u32, u32)>,
    pub(crate) picture: Picture,
}

/// What is read of an item list.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Items {
    pub(crate) title: Option<String>,
    pub(crate) covers: Vec<Cover>,
}

impl Items {
    /// Adds those of another list.
    pub(crate) fn add(&mut self, other: Self) {
        self.title = self.title.take().or(other.title);
        self.covers.extend(other.covers);
    }
}

/// The title and the covers in an item list (`udta`/`meta`/`ilst`, as iTunes writes it; QuickTime's names its items in
/// `keys`), in their order.
pub(crate) fn items(reader: &mut Reader<'_>, meta: &BoxHeader) -> Result<Items, Error> {
    // A full box in MP4, a plain one in QuickTime.
    let skip = if four_cc_at(meta.head(reader, 8)?, 4) == Some(*b"hdlr") { 0 } else { 4 };
    let (mut found, mut title_key) = (Items::default(), *b"\xA9nam");
    let mut boxes = meta.children(skip);
    while let Some(part) = boxes.next(reader)? {
        match &part.kind {
            b"keys" => title_key = title_index(part.head(reader, MAX_KEYS)?).unwrap_or(title_key),
            b"ilst" => {
                let mut items = part.children(0);
                while let Some(item) = items.next(reader)? {
                    if item.kind == *b"covr" {
                        covers(reader, item.children(0), &mut found.covers)?;
                    } else if item.kind == title_key
                        && let Some(value) = item.children(0).find(reader, *b"data")?
                    {
                        found.title = reader.title(value.start + 8, value.length().saturating_sub(8))?;
                    }
                }
                break;
            }
            _ => {}
        }
    }
    Ok(found)
}

/// The number of the title in `keys` (QuickTime File Format Specification, "Metadata Item Keys Atom").
fn title_index(keys: &[u8]) -> Option<[u8; 4]> {
    let (mut at, mut index) = (8, 1_u32);
    while let Some(size) =
        u32_at(keys, at).and_then(|size| usize::try_from(size).ok()).filter(|size| *size >= 8)
    {
        let key = keys.get(at + 8..at.checked_add(size)?)?;
        if matches!(key, b"com.apple.quicktime.title" | b"title") {
            return Some(index.to_be_bytes());
        }
        (at, index) = (at + size, index + 1);
    }
    None
}

fn covers(reader: &mut Reader<'_>, mut values: Boxes, found: &mut Vec<Cover>) -> Result<(), Error> {
    while let Some(value) = values.next(reader)? {
        // ffprobe ignores a cover that is truncated by the end of the file.
        let is_truncated = value.is_truncated() && value.end == reader.length();
        if value.kind == *b"data" && found.len() < MAX_COVERS && !is_truncated {
            found.extend(cover(reader, &value)?);
        }
    }
    Ok(())
}

/// One value: a type, a locale and the picture. `None` for other types.
fn cover(reader: &mut Reader<'_>, value: &BoxHeader) -> Result<Option<Cover>, Error> {
    let head = value.head(reader, 8 + 32)?.to_vec();
    let (Some(stated), Some(picture)) = (u32_at(&head, 0), head.get(8..)) else { return Ok(None) };
    let is_png = picture.starts_with(b"\x89PNG\r\n\x1A\n");
    let cover = match stated {
        27 => Cover { codec: "bmp", size: bmp_size(picture), picture: Picture::default() },
        // The stated type is often wrong.
        13 | 14 => {
            let codec = if is_png { "png" } else { "mjpeg" };
            let image = image::parse(reader, value.start + 8, value.end).unwrap_or_default();
            Cover { codec, size: image.size, picture: image.picture }
        }
        _ => return Ok(None),
    };
    Ok(Some(cover))
}

fn bmp_size(picture: &[u8]) -> Option<(u32, u32)> {
    let number = |at: usize| Some(i32::from_le_bytes(*picture.get(at..)?.first_chunk()?).unsigned_abs());
    Some((number(18)?, number(22)?))
}

/// A text of QuickTime's user data: its size, its language, the text.
pub(crate) fn quicktime_text(reader: &mut Reader<'_>, item: &BoxHeader) -> Result<Option<String>, Error> {
    let size = u16_at(item.head(reader, 2)?, 0).map_or(0, u64::from);
    reader.title(item.start + 4, size.min(item.length().saturating_sub(4)))
}

/// The number of entries of `chpl`, which Nero defined and ffmpeg reads: after four bytes more in version 1.
pub(crate) fn listed_chapters(payload: &[u8]) -> Option<u32> {
    let at = if *payload.first()? == 0 { 4 } else { 8 };
    payload.get(at).map(|count| u32::from(*count))
}

/// What a track is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    Forced,
    HearingImpaired,
    VisualImpaired,
    Commentary,
}

/// The role in a `kind` box (ISO/IEC 14496-12, 8.10.4): of the DASH role scheme (ISO/IEC 23009-1, 5.8.5.5), or a kind of
/// HTML's tracks.
pub(crate) fn role(reader: &mut Reader<'_>, kind: &BoxHeader) -> Result<Option<Role>, Error> {
    let payload = kind.head(reader, 256)?;
    let mut texts = payload.get(4..).unwrap_or_default().split(|byte| *byte == 0);
    let scheme = texts.next().unwrap_or_default();
    let value = texts.next().unwrap_or_default();
    let is_known = scheme.starts_with(b"urn:mpeg:dash:role:2011") || scheme.starts_with(b"about:html-kind");
    Ok(match value {
        _ if !payload.starts_with(&[0; 4]) || !is_known => None,
        b"caption" | b"captions" => Some(Role::HearingImpaired),
        b"description" | b"descriptions" => Some(Role::VisualImpaired),
        b"commentary" => Some(Role::Commentary),
        value if value.starts_with(b"forced-subtitle") => Some(Role::Forced),
        _ => None,
    })
}

/// The characteristic in a `tagc` box (QuickTime File Format Specification, "Media Characteristic Tags").
pub(crate) fn characteristic(reader: &mut Reader<'_>, tag: &BoxHeader) -> Result<Option<Role>, Error> {
    Ok(match tag.head(reader, 128)?.trim_ascii_end() {
        b"public.accessibility.transcribes-spoken-dialog" => Some(Role::HearingImpaired),
        b"public.accessibility.describes-video" => Some(Role::VisualImpaired),
        _ => None,
    })
}
