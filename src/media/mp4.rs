//! ISO base media file format (ISO/IEC 14496-12) and QuickTime.

use super::reader::Reader;
use super::{Error, MediaInfo};

/// Reads an ISO base media file's tracks.
pub(crate) fn parse(_reader: &mut Reader<'_>) -> Result<MediaInfo, Error> {
    Err(Error::NoTracks)
}
