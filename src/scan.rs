//! Keeps the library true to the roots: discover → settle → read → store, and the watch that asks for it.
//! Knows [`crate::library`] and [`crate::media`]; knows nothing of the daemon, HTTP or configuration files.

pub mod discover;
pub mod settle;
pub mod store;
pub mod watch;
