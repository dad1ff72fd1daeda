//! What `Video` and `BlockAdditionMapping` state about pictures (RFC 9559, 5.1.4.1.28 and 5.1.4.1.17).

use super::ebml::Element;
use super::ids;
use crate::media::codec::color::Color;
use crate::media::codec::picture::Picture;
use crate::media::error::Error;
use crate::media::reader::Reader;

/// Reads `Colour`.
pub(super) fn color(reader: &mut Reader<'_>, color: Element, picture: &mut Picture) -> Result<(), Error> {
    const UNSPECIFIED: u8 = 2;
    let (mut primaries, mut transfer, mut matrix, mut is_full) = (None, None, None, None);
    let mut children = color.children(color.end.unwrap_or(color.body), &[]);
    while let Some(child) = children.next(reader)? {
        match child.id {
            ids::PRIMARIES => primaries = child.unsigned(reader)?,
            ids::TRANSFER_CHARACTERISTICS => transfer = child.unsigned(reader)?,
            ids::MATRIX_COEFFICIENTS => matrix = child.unsigned(reader)?,
            ids::RANGE => {
                is_full = match child.unsigned(reader)? {
                    Some(1) => Some(false),
                    Some(2) => Some(true),
                    _ => None,
                };
            }
            ids::MAX_CLL | ids::MASTERING_METADATA => picture.has_mastering = true,
            _ => {}
        }
    }
    let code = |stated: Option<u64>| stated.and_then(|code| u8::try_from(code).ok()).unwrap_or(UNSPECIFIED);
    picture.color = Color::new(code(primaries), code(transfer), code(matrix), is_full);
    Ok(())
}

/// ffprobe's name of `FieldOrder`, which counts only of an interlaced picture. mkvmerge writes it without `FlagInterlaced`.
pub(super) fn field_order(interlaced: Option<u64>, order: Option<u64>) -> Option<&'static str> {
    match (interlaced.or(order.and(Some(1)))?, order.unwrap_or(2)) {
        (1, 0) | (2, _) => Some("progressive"),
        (1, 1) => Some("tt"),
        (1, 6) => Some("bb"),
        (1, 9) => Some("tb"),
        (1, 14) => Some("bt"),
        _ => None,
    }
}

/// Reads a `BlockAdditionMapping`: the configuration of Dolby Vision is in one whose type is that of its box in MP4.
pub(super) fn addition(reader: &mut Reader<'_>, map: Element, picture: &mut Picture) -> Result<(), Error> {
    let (mut kind, mut config) = (0, None);
    let mut children = map.children(map.end.unwrap_or(map.body), &[]);
    while let Some(child) = children.next(reader)? {
        match child.id {
            ids::BLOCK_ADD_ID_TYPE => kind = child.small(reader)?.unwrap_or(0),
            ids::BLOCK_ADD_ID_EXTRA_DATA => config = Picture::dolby_vision(child.head(reader, 5)?),
            _ => {}
        }
    }
    if matches!(&kind.to_be_bytes(), b"dvcC" | b"dvvC" | b"dvwC") {
        picture.dolby_vision = config.or(picture.dolby_vision);
    }
    Ok(())
}
