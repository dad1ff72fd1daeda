//! The containers: how tracks lie in a file. Each stands on [`codec`](super::codec) and names no other.

pub(super) mod avi;
pub(super) mod matroska;
pub(super) mod mp4;
