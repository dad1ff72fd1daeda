//! Containers: where the tracks and their headers are in a file. Each uses [`codec`](super::codec)
//! and no other container.

mod avi;
pub(super) mod format;
mod matroska;
mod mp4;

use format::ContainerFormat;

/// All formats. To add one, add its folder, its `mod` and its entry here. The first format that
/// recognises a file reads it. MP4 comes last because it is recognised only by the type of its
/// first box.
pub(super) const FORMATS: &[ContainerFormat] = &[matroska::FORMAT, avi::FORMAT, mp4::FORMAT];
