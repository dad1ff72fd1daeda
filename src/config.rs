//! The effective configuration, typed and validated: `defaults < TOML file < environment < flags`.
//!
//! One definition of each key serves all four sources ([`layer`]); every problem of every layer is reported
//! in one go with its origin ([`origin`], [`error`]). This module imports nothing of the crate, never logs
//! (it runs before logging is up: it hands its warnings back), and reads the process environment only
//! through an [`Environment`] given to it, so that tests never touch the real one.

pub mod environment;
pub mod error;
pub mod file;
pub mod layer;
pub mod origin;

use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

pub use environment::Environment;
pub use layer::Layer;

/// The effective configuration. What each key means: `docs/configuration.md`.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    /// `[server]`
    pub server: Server,
    /// `[database]`
    pub database: Database,
    /// `[logging]`
    pub logging: Logging,
    /// `[library]`
    pub library: Library,
}

/// `[server]`: the HTTP side.
#[derive(Clone, Debug, PartialEq)]
pub struct Server {
    /// Address to listen on.
    pub bind: IpAddr,
    /// TCP port; 0 = any free one.
    pub port: u16,
    /// How long a stop may take before what is left is cancelled.
    pub shutdown_timeout: Duration,
    /// Most connections open at once.
    pub max_connections: usize,
    /// What clients must present, from `auth_token` or the first line of `auth_token_file`.
    pub auth_token: Option<Secret>,
}

/// A secret: never shown by `Debug`, logs or `vpo config`.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("***")
    }
}

/// `[database]`: where the library is.
#[derive(Clone, Debug, PartialEq)]
pub struct Database {
    /// The library's file.
    pub path: PathBuf,
    /// The path is the default one: its directory may be created too.
    pub is_default: bool,
}

/// `[logging]`
#[derive(Clone, Debug, PartialEq)]
pub struct Logging {
    /// The least severe level that is written.
    pub level: Level,
    /// Text or JSON.
    pub format: Format,
    /// Standard error or standard output.
    pub output: Output,
}

/// `logging.level`
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names are the levels")]
pub enum Level {
    Debug,
    Info,
    Warning,
    Error,
}

/// `logging.format`
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names are the formats")]
pub enum Format {
    Text,
    Json,
}

/// `logging.output`
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names are the streams")]
pub enum Output {
    Stderr,
    Stdout,
}

/// `[library]`: what is watched over.
#[derive(Clone, Debug, PartialEq)]
pub struct Library {
    /// Directories whose videos the library records; empty = the daemon only reads.
    pub roots: Vec<PathBuf>,
    /// Watch the roots with inotify.
    pub watch: bool,
    /// Time between two scans of a root; `None` = never.
    pub rescan_interval: Option<Duration>,
    /// File name extensions of videos, lower case, without the dot.
    pub extensions: Vec<String>,
}
