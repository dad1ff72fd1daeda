//! The library file (SQLite, schema version 7): created, opened, locked, checked, read and written here.
//! All SQL of the project is in this folder. Imports nothing of the crate, knows no async and no HTTP.

pub mod check;
pub mod files;
pub mod jobs;
pub mod lock;
pub mod schema;

/// The schema version that this program reads and writes.
pub const SCHEMA_VERSION: u32 = 7;
