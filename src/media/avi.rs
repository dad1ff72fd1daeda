//! AVI and OpenDML (RIFF): `hdrl` only.

use super::reader::Reader;
use super::{Error, MediaInfo};

/// Reads an AVI file's streams.
pub(crate) fn parse(_reader: &mut Reader<'_>) -> Result<MediaInfo, Error> {
    Err(Error::NoTracks)
}
