//! Bytes → [`MediaInfo`]: Matroska/WebM, ISO base media (MP4, M4V, MOV, fragmented) and AVI, found by
//! content, never by extension. Pure but for a panic hook (`guard`): `Read + Seek` in, a value out; no SQL, no
//! async, no logging, nothing of the crate. What is reported equals what ffprobe reports, through VPO's usual
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

pub use error::Error;
pub use info::{MediaInfo, Track, TrackType};
pub use probe::{extensions, measure, open, probe, probe_file};
pub use reader::{Source, Usage};
