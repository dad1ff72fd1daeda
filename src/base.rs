//! The ground floor: what every part of the crate may use. It uses no other part itself.

pub mod address;
pub(crate) mod descriptors;
pub mod error;
pub mod facts;
pub(crate) mod fold;
pub(crate) mod html;
pub(crate) mod language;
pub(crate) mod log;
pub mod nearest;
pub(crate) mod permission;
pub(crate) mod random;
pub(crate) mod reply;
pub(crate) mod retry;
pub(crate) mod signals;
pub(crate) mod text;
pub mod times;
pub mod timestamp;
