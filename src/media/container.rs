//! Containers: how tracks lie in a file. Each stands on [`codec`](super::codec) and names no other.

mod avi;
pub(super) mod format;
mod matroska;
mod mp4;

use format::ContainerFormat;

/// Every format that is read: to add one, add its folder, its `mod` and its name here. The first that recognises a
/// file reads it, so MP4, which only looks for the type of a box, comes last.
pub(super) const FORMATS: &[ContainerFormat] = &[matroska::FORMAT, avi::FORMAT, mp4::FORMAT];
