//! The daemon as the page shows it.

use crate::base::timestamp::Timestamp;

/// What the page shows beside the database. All but [`Daemon::settings`] answers from memory.
pub(crate) trait Daemon: Send + Sync {
    /// The health at this moment.
    fn health(&self) -> Health;
    /// The state of the roots.
    fn roots(&self) -> Vec<Root>;
    /// The configuration in force; empty while it is being read again.
    fn settings(&self) -> Vec<Setting>;
    /// The file of the configuration; `None` if there is none, or while it is being read again.
    fn config_file(&self) -> Option<String>;
}

/// The health at one moment.
#[derive(Clone, Debug, Default)]
pub(crate) struct Health {
    /// `starting`, `running` or `stopping`.
    pub phase: &'static str,
    /// The checks that do not pass.
    pub problems: Vec<Problem>,
    /// The detail of the check of the database while it passes.
    pub database: Option<String>,
    /// Another number when a view may have changed by more than the progress of a scan.
    pub version: u64,
}

/// A check that does not pass.
#[derive(Clone, Debug)]
pub(crate) struct Problem {
    /// The name of the check.
    pub check: String,
    /// Whether the database cannot be used.
    pub is_failure: bool,
    /// A stable code.
    pub reason: &'static str,
    /// One line: what, where, what to do.
    pub detail: String,
}

/// A root.
#[derive(Clone, Debug)]
pub(crate) struct Root {
    /// The directory.
    pub path: String,
    /// Its problem in one line.
    pub problem: Option<String>,
    /// End of the last complete scan.
    pub last_success: Option<Timestamp>,
    /// State of the watch for changes: `off`, `starting`, `watching`, `unavailable`.
    pub watch: &'static str,
    /// Its running scan.
    pub scan: Option<Progress>,
}

/// The progress of a scan.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Progress {
    /// What it does, for people.
    pub doing: &'static str,
    /// Videos found by the walk.
    pub found: u64,
    /// Of them, those to be read.
    pub to_read: u64,
    /// Of them, those read.
    pub read: u64,
}

/// A key of the configuration.
#[derive(Clone, Debug)]
pub(crate) struct Setting {
    /// Such as `server.port`.
    pub key: &'static str,
    /// As TOML; hidden if it is a secret; `None` if it is not set.
    pub value: Option<String>,
    /// Where it comes from.
    pub origin: String,
}
