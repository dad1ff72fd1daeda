//! The random access table (`mfra`) at the end of a fragmented file.

use super::boxes::BoxHeader;
use crate::media::bytes::{u32_at, u64_at};
use crate::media::error::Error;
use crate::media::reader::Reader;

/// The last entry of a `tfra`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct IndexEntry {
    pub(crate) id: u32,
    pub(crate) time: i64,
    /// The offset of its fragment.
    pub(crate) fragment: u64,
}

/// ISO/IEC 14496-12, 8.8.10.
pub(crate) fn last_entry(reader: &mut Reader<'_>, tfra: &BoxHeader) -> Result<Option<IndexEntry>, Error> {
    let head = tfra.head(reader, 16)?;
    let (Some(version), Some(id), Some(lengths), Some(count)) =
        (head.first().copied(), u32_at(head, 4), u32_at(head, 8), u32_at(head, 12))
    else {
        return Ok(None);
    };
    if count == 0 {
        return Ok(None);
    }
    let numbers: u32 = [4, 2, 0].into_iter().map(|shift| (lengths >> shift & 3) + 1).sum();
    let size = u64::from(numbers) + if version == 1 { 16 } else { 8 };
    let at = tfra.start.saturating_add(16).saturating_add(size * u64::from(count - 1));
    if at.saturating_add(size) > tfra.end {
        return Ok(None);
    }
    let entry = reader.at_most(at, 16)?;
    let times = if version == 1 {
        u64_at(entry, 0).zip(u64_at(entry, 8))
    } else {
        u32_at(entry, 0).map(u64::from).zip(u32_at(entry, 4).map(u64::from))
    };
    Ok(times.map(|(time, fragment)| IndexEntry {
        id,
        time: i64::try_from(time).unwrap_or(i64::MAX),
        fragment,
    }))
}

/// The size of `mfra` by the file's last four bytes, which end it; 0 if it is impossible.
pub(crate) fn random_access_size(reader: &mut Reader<'_>) -> Result<u64, Error> {
    let length = reader.length();
    let Some(at) = length.checked_sub(4) else { return Ok(0) };
    let size = u32_at(reader.at_most(at, 4)?, 0).map_or(0, u64::from);
    Ok(if size <= length { size } else { 0 })
}
