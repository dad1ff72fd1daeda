//! The commands: each takes its parsed flags and returns an exit code.
//!
//! Only [`serve`] may name daemon, library and scan together; the others use the parts they need.

pub mod config;
pub mod healthcheck;
pub mod inspect;
pub mod scan;
pub mod serve;
