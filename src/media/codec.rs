//! Codecs: their names and the contents of their headers, independent of the container.

pub(super) mod audio;
pub(super) mod av1;
pub(super) mod avc;
mod bits;
pub(super) mod color;
pub(super) mod dolby;
mod dts;
pub(super) mod fourcc;
pub(super) mod frame_header;
pub(super) mod hevc;
pub(super) mod image;
pub(super) mod mpeg2;
pub(super) mod mpeg4;
pub(super) mod pcm;
pub(super) mod picture;
pub(super) mod quicktime;
pub(super) mod riff;
pub(super) mod sei;
pub(super) mod sound;
pub(super) mod video;
pub(super) mod vpx;
