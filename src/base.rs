//! The ground floor: what every part of the crate may use. It uses no other part itself, and knows nothing of videos
//! and databases.

pub mod address;
pub mod descriptors;
pub mod error;
pub mod log;
pub mod random;
pub mod reply;
pub mod retry;
pub mod signals;
pub mod text;
pub mod times;
pub mod timestamp;
