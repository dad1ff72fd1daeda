//! Matroska and WebM (EBML, RFC 8794; Matroska, RFC 9559).

use super::reader::Reader;
use super::{Error, MediaInfo};

/// Reads a Matroska or WebM file's tracks and attachments.
pub(crate) fn parse(_reader: &mut Reader<'_>) -> Result<MediaInfo, Error> {
    Err(Error::NoTracks)
}
