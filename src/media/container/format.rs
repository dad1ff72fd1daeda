//! What describes a container format to the rest of the crate.

use crate::media::error::Error;
use crate::media::info::MediaInfo;
use crate::media::reader::Reader;

/// A container format. Each container's module holds one as `FORMAT`.
pub(crate) struct ContainerFormat {
    /// ffprobe's name, reported as `container_format`.
    pub(crate) name: &'static str,
    /// Names in messages.
    pub(crate) titles: &'static [&'static str],
    /// File name extensions: lower case, without the dot.
    pub(crate) extensions: &'static [&'static str],
    /// Whether these first bytes of a file are of this format; there are [`HEAD`] if the file is
    /// that long.
    pub(crate) recognises: fn(&[u8]) -> bool,
    /// Reads the file.
    pub(crate) parse: fn(&mut Reader<'_>) -> Result<MediaInfo, Error>,
}

/// Bytes at the start of a file by which formats are recognised: three packets of an MPEG transport stream.
pub(crate) const HEAD: usize = 512;
