//! Bit rate and duration of tracks by the statistics that mkvmerge writes into `Tags` (RFC 9559, 5.1.8), and the number of
//! `Chapters` (5.1.7).

use super::ebml::{Children, Element};
use super::ids;
use crate::media::error::Error;
use crate::media::reader::Reader;

/// What the tags state about a track.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Statistics {
    pub(super) uid: u64,
    /// Bits per second.
    pub(super) bit_rate: Option<u64>,
    /// Seconds.
    pub(super) duration: Option<f64>,
}

/// Maximum of tracks whose statistics are read.
const MAX_STATISTICS: usize = 1000;

/// Reads `Tags`, and keeps what it has when one is damaged.
pub(super) fn read(
    reader: &mut Reader<'_>,
    mut children: Children,
    found: &mut Vec<Statistics>,
) -> Result<(), Error> {
    while let Some(child) = children.next(reader)? {
        if child.id == ids::TAG && found.len() < MAX_STATISTICS {
            let inner = child.children(children.position(), ids::TOP_LEVEL);
            let of_track = tag(reader, inner)?;
            if of_track.uid != 0 && (of_track.bit_rate.is_some() || of_track.duration.is_some()) {
                found.push(of_track);
            }
        }
    }
    Ok(())
}

fn tag(reader: &mut Reader<'_>, mut children: Children) -> Result<Statistics, Error> {
    let mut found = Statistics::default();
    while let Some(child) = children.next(reader)? {
        let mut inner = child.children(children.position(), &[]);
        match child.id {
            ids::TARGETS => {
                while let Some(target) = inner.next(reader)? {
                    if target.id == ids::TAG_TRACK_UID {
                        found.uid = target.unsigned(reader)?.unwrap_or(0);
                    }
                }
            }
            ids::SIMPLE_TAG => {
                let (mut name, mut value) = (None, None);
                while let Some(part) = inner.next(reader)? {
                    match part.id {
                        ids::TAG_NAME => name = part.word(reader)?,
                        ids::TAG_STRING => value = part.word(reader)?,
                        _ => {}
                    }
                }
                match (name.as_deref(), value) {
                    (Some("BPS"), Some(value)) => found.bit_rate = value.parse().ok(),
                    (Some("DURATION"), Some(value)) => found.duration = seconds(&value),
                    _ => {}
                }
            }
            _ => {}
        }
    }
    Ok(found)
}

/// `00:01:23.456000000`.
fn seconds(text: &str) -> Option<f64> {
    let mut parts = text.splitn(3, ':');
    let (hours, minutes) = (parts.next()?.parse::<u32>().ok()?, parts.next()?.parse::<u32>().ok()?);
    let seconds: f64 = parts.next()?.parse().ok().filter(|seconds| (0.0..60.0).contains(seconds))?;
    Some(f64::from(hours) * 3600.0 + f64::from(minutes) * 60.0 + seconds)
}

/// The number of chapters of the default edition, else of the first one.
pub(super) fn chapters(reader: &mut Reader<'_>, mut children: Children) -> Result<u32, Error> {
    let mut found: Option<(bool, u32)> = None;
    while let Some(child) = children.next(reader)? {
        if child.id == ids::EDITION_ENTRY {
            let inner = child.children(children.position(), ids::TOP_LEVEL);
            let (is_default, count) = edition(reader, inner)?;
            if found.is_none_or(|(was_default, _)| is_default && !was_default) {
                found = Some((is_default, count));
            }
        }
    }
    Ok(found.map_or(0, |(_, count)| count))
}

fn edition(reader: &mut Reader<'_>, mut children: Children) -> Result<(bool, u32), Error> {
    let (mut is_default, mut count) = (false, 0);
    while let Some(child) = children.next(reader)? {
        match child.id {
            ids::EDITION_FLAG_DEFAULT => is_default = child.flag(reader)?.unwrap_or(false),
            ids::CHAPTER_ATOM => count += 1,
            _ => {}
        }
    }
    Ok((is_default, count))
}

/// Bytes that one read gets of `Tags` and `Chapters`: those of most films are smaller.
pub(super) const PREFETCH: usize = 16 * 1024;
/// Maximum of bytes of `Chapters` and `Tags` that are read.
const MAX_SIZE: u64 = 256 * 1024;

/// Fetches `Tags` or `Chapters` in one read; whether they are small enough to be read.
pub(super) fn fetch(reader: &mut Reader<'_>, element: Element) -> Result<bool, Error> {
    let is_small = element.size().is_some_and(|size| size <= MAX_SIZE);
    if is_small {
        element.head(reader, PREFETCH)?;
    }
    Ok(is_small)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_have_three_parts() {
        assert_eq!(seconds("00:01:23.456000000"), Some(83.456));
        assert_eq!(seconds("2:00:00"), Some(7200.0));
        for text in ["", "1:2", "a:b:c", "0:0:60", "0:0:-1", "0:0:nan"] {
            assert_eq!(seconds(text), None, "{text}");
        }
    }
}
