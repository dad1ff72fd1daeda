//! `Attachments` (RFC 9559, 5.1.6): fonts and covers, as trailing tracks. The size of an image is
//! read, and only the name of all other files.

use super::ebml::Children;
use super::ids;
use crate::media::codec::image;
use crate::media::error::Error;
use crate::media::info::{Track, TrackFacts, TrackType};
use crate::media::reader::Reader;

/// Attachments of one file: ffprobe refuses more streams.
const MAX_ATTACHMENTS: usize = 1000;

/// Reads `Attachments` into tracks, and keeps those that it has when one is damaged.
pub(super) fn read(
    reader: &mut Reader<'_>,
    mut children: Children,
    tracks: &mut Vec<Track>,
) -> Result<u64, Error> {
    while let Some(child) = children.next(reader)? {
        if child.id == ids::ATTACHED_FILE {
            if tracks.len() >= MAX_ATTACHMENTS {
                return Err(Error::Excessive { limit: "1,000 attachments" });
            }
            let inner = child.children(children.position(), ids::TOP_LEVEL);
            tracks.extend(file(reader, inner)?);
        }
    }
    Ok(children.position())
}

fn file(reader: &mut Reader<'_>, mut children: Children) -> Result<Option<Track>, Error> {
    let (mut is_named, mut media_type, mut title, mut data, mut cover) = (false, None, None, None, None);
    let mut facts = TrackFacts::default();
    while let Some(child) = children.next(reader)? {
        match child.id {
            // Both may be empty, but not absent: as in ffprobe, an attachment without them is ignored.
            ids::FILE_NAME => {
                is_named = true;
                facts.file_name = child.title(reader)?;
            }
            ids::FILE_MEDIA_TYPE => media_type = Some(child.word(reader)?.unwrap_or_default()),
            ids::FILE_DESCRIPTION => title = child.title(reader)?,
            ids::FILE_DATA => {
                data = child.end.filter(|end| *end > child.body).map(|end| (child.body, end));
                // The window of the reader is near: most writers put the type before the data.
                if let (Some((start, end)), Some(kind)) = (data, media_type.as_deref()) {
                    cover = image_codec(kind).and_then(|_| image::parse(reader, start, end));
                }
            }
            _ => {}
        }
    }
    let (true, Some(media_type), Some((start, end))) = (is_named, media_type, data) else { return Ok(None) };
    let image = image_codec(&media_type);
    if image.is_some() && cover.is_none() {
        cover = image::parse(reader, start, end);
    }
    if let Some(cover) = &cover {
        cover.picture.apply(&mut facts);
    }
    facts.is_attached_picture = image.map(|_| true);
    let size = cover.and_then(|cover| cover.size);
    Ok(Some(Track {
        codec: image.or_else(|| file_codec(&media_type)).map(str::to_owned),
        title,
        width: size.map(|(width, _)| width),
        height: size.map(|(_, height)| height),
        facts: TrackFacts { mime_type: Some(media_type).filter(|name| !name.is_empty()), ..facts },
        ..Track::new(if image.is_some() { TrackType::Video } else { TrackType::Attachment })
    }))
}

/// Images, which ffprobe reports as video tracks.
fn image_codec(media_type: &str) -> Option<&'static str> {
    by_prefix(
        media_type,
        &[("image/gif", "gif"), ("image/jpeg", "mjpeg"), ("image/png", "png"), ("image/tiff", "tiff")],
    )
}

/// Other files that ffprobe has a codec name for.
fn file_codec(media_type: &str) -> Option<&'static str> {
    by_prefix(
        media_type,
        &[
            ("application/x-truetype-font", "ttf"),
            ("application/x-font", "ttf"),
            ("application/vnd.ms-opentype", "otf"),
            ("binary", "bin_data"),
        ],
    )
}

fn by_prefix(media_type: &str, names: &[(&str, &'static str)]) -> Option<&'static str> {
    names.iter().find(|(prefix, _)| media_type.starts_with(prefix)).map(|(_, name)| *name)
}
