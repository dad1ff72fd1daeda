//! Reads video files into [`MediaInfo`]: Matroska/WebM, ISO base media (MP4, M4V, MOV, fragmented) and
//! AVI, recognised by content, never by extension. `Read + Seek` in, a value out: no SQL, no async, no
//! logging. The only side effect is a panic hook (`guard`). Results equal ffprobe's, through VPO's usual
//! names.

mod bytes;
mod codec;
mod container;
mod error;
mod frame_rate;
mod guard;
mod info;
mod language;
mod probe;
mod reader;

/// The version of what a probe finds. Raise it when the prober learned something: what an older one read is read again.
pub const PROBER_VERSION: u32 = 2;

pub use error::Error;
pub use info::{Facts, MediaInfo, Track, TrackFacts, TrackType};
pub(crate) use language::{UNDETERMINED, bibliographic, tag};
pub use probe::{extensions, measure, measure_file, open, probe, probe_file};
pub use reader::{Source, Usage};
