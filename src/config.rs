//! The effective configuration, typed and validated: `defaults < TOML file < environment < flags`.
//!
//! One definition of each key serves all four sources ([`keys`]); every problem of every layer is reported
//! in one go with its origin ([`origin`], [`error`]). This module imports [`crate::base`] alone, never logs
//! (it runs before logging is up: it hands its warnings back), and reads the process environment only
//! through an [`Environment`] given to it, so that tests never touch the real one.

pub mod environment;
pub mod error;
mod file;
pub mod keys;
pub mod layer;
pub mod origin;
mod paths;
mod resolve;
pub mod value;
mod variables;

use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

pub use environment::Environment;
pub use error::{ConfigError, Finding};
pub use layer::Layer;
pub use origin::{Origin, Origins};
pub use value::Secret;

use crate::base::log::{Format, Level, Output};

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
    /// `[scan]`
    pub scan: Scan,
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
    /// What clients must present, from `auth_token` or from `auth_token_file`.
    pub auth_token: Option<Secret>,
    /// The file that `auth_token` was read from.
    pub auth_token_file: Option<PathBuf>,
    /// Hosts that a request without a token may name besides those that are always allowed, in lower case.
    pub hosts: Vec<String>,
}

/// `[database]`: where the library is.
#[derive(Clone, Debug, PartialEq)]
pub struct Database {
    /// The library's file, absolute.
    pub path: PathBuf,
    /// The path is the default one: its directory may be created too.
    pub is_default: bool,
    /// Time between two checks of the whole file; `None` = only after the start and after faults.
    pub verify_interval: Option<Duration>,
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

/// `[library]`: what is watched over.
#[derive(Clone, Debug, PartialEq)]
pub struct Library {
    /// Directories whose videos the library records, absolute, none inside another; empty = the daemon only reads.
    pub roots: Vec<PathBuf>,
    /// Watch the roots with inotify.
    pub watch: bool,
    /// Time between two scans of a root; `None` = never.
    pub rescan_interval: Option<Duration>,
    /// File name extensions of videos, lower case, without the dot.
    pub extensions: Vec<String>,
}

/// `[scan]`: how scans are recorded.
#[derive(Clone, Debug, PartialEq)]
pub struct Scan {
    /// Days after which the row of a finished scan is deleted; `None` = never.
    pub job_retention_days: Option<u16>,
}

/// A configuration, and how it came about.
#[derive(Clone, Debug)]
pub struct Resolved {
    /// The configuration.
    pub config: Config,
    /// Where each value came from; a key that is not in it has its default.
    pub origins: Origins,
    /// What to tell the user besides.
    pub warnings: Vec<Finding>,
    /// The file that was read.
    pub file: Option<PathBuf>,
}

/// What differs between two configurations.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Changes {
    /// Keys that a running daemon takes over: `logging.level`, `library.*` and `scan.*`.
    pub live: Vec<&'static str>,
    /// Keys that need a restart.
    pub restart: Vec<&'static str>,
}

/// One key's effective value, as TOML writes it.
#[derive(Clone, Debug, PartialEq)]
pub enum Shown {
    /// There is none.
    Unset,
    /// There is one, never to be shown.
    Secret,
    /// A value.
    Value(toml::Value),
}

impl Config {
    /// Puts the layers together: `flags` over the environment over the file over the defaults.
    ///
    /// # Errors
    /// Why a file cannot be read, else every problem of every layer up to
    /// [`MOST_PROBLEMS`](error::MOST_PROBLEMS).
    pub fn resolve(flags: &Layer, environment: &Environment) -> Result<Resolved, ConfigError> {
        resolve::resolve(flags, environment, true)
    }

    /// As [`Self::resolve`], but with the token's file left unread: for commands that need no secret, and whose
    /// user may not be allowed to read it.
    ///
    /// # Errors
    /// As [`Self::resolve`].
    pub fn resolve_without_secrets(
        flags: &Layer,
        environment: &Environment,
    ) -> Result<Resolved, ConfigError> {
        resolve::resolve(flags, environment, false)
    }

    /// The library's path alone. Where a flag or a variable gives it, problems of the file do not matter; where the
    /// file gives it, those of other keys do not.
    ///
    /// # Errors
    /// The problems of the path, and of a file that may give it.
    pub fn library_path(flags: &Layer, environment: &Environment) -> Result<PathBuf, ConfigError> {
        resolve::library_path(flags, environment)
    }

    /// What differs between the configuration in force and one read anew.
    #[must_use]
    pub fn changes(old: &Self, new: &Self) -> Changes {
        let mut changes = Changes::default();
        for ((name, before), (_, after)) in old.shown().into_iter().zip(new.shown()) {
            let differs = match name {
                "server.auth_token" => old.server.auth_token != new.server.auth_token,
                _ => before != after,
            };
            if differs {
                let live = name == "logging.level"
                    || ["library.", "scan."].iter().any(|section| name.starts_with(section));
                if live { changes.live.push(name) } else { changes.restart.push(name) }
            }
        }
        changes
    }

    /// Every key with its effective value, in the order of [`keys::KEYS`].
    #[must_use]
    pub fn shown(&self) -> Vec<(&'static str, Shown)> {
        let Self { server, database, logging, library, scan } = self;
        let text = |text: &str| Shown::Value(text.into());
        let path = |path: &PathBuf| Shown::Value(path.to_string_lossy().into_owned().into());
        let list = |items: Vec<String>| Shown::Value(items.into());
        let paths =
            |paths: &[PathBuf]| list(paths.iter().map(|path| path.to_string_lossy().into_owned()).collect());
        // A token from a file is shown by the file's name.
        let secret = if server.auth_token.is_some() && server.auth_token_file.is_none() {
            Shown::Secret
        } else {
            Shown::Unset
        };
        let connections = i64::try_from(server.max_connections).unwrap_or(i64::MAX);
        vec![
            ("server.bind", text(&server.bind.to_string())),
            ("server.port", Shown::Value(i64::from(server.port).into())),
            ("server.shutdown_timeout", seconds(server.shutdown_timeout)),
            ("server.max_connections", Shown::Value(connections.into())),
            ("server.auth_token", secret),
            ("server.auth_token_file", server.auth_token_file.as_ref().map_or(Shown::Unset, path)),
            ("server.hosts", list(server.hosts.clone())),
            ("database.path", path(&database.path)),
            ("database.verify_interval", seconds(database.verify_interval.unwrap_or_default())),
            ("logging.level", text(logging.level.as_str())),
            ("logging.format", text(logging.format.as_str())),
            ("logging.output", text(logging.output.as_str())),
            ("library.roots", paths(&library.roots)),
            ("library.watch", Shown::Value(library.watch.into())),
            ("library.rescan_interval", seconds(library.rescan_interval.unwrap_or_default())),
            ("library.extensions", list(library.extensions.clone())),
            (
                "scan.job_retention_days",
                Shown::Value(i64::from(scan.job_retention_days.unwrap_or_default()).into()),
            ),
        ]
    }
}

/// A path from the command line as an absolute one, by the same rules as the paths of the configuration.
///
/// # Errors
/// What to do when it cannot be one.
pub fn absolute(path: &Path, environment: &Environment) -> Result<PathBuf, String> {
    paths::Paths::new(environment).absolute(path)
}

/// Whole seconds without a fraction, for that is how people write them.
fn seconds(time: Duration) -> Shown {
    match i64::try_from(time.as_secs()) {
        Ok(whole) if time.subsec_nanos() == 0 => Shown::Value(whole.into()),
        _ => Shown::Value(time.as_secs_f64().into()),
    }
}
