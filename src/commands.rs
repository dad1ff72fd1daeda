//! The commands. Each takes its parsed flags and returns an exit code.
//!
//! Only [`serve`] may name daemon, library and scan together.

pub(crate) mod backup;
pub(crate) mod changes;
mod client;
pub(crate) mod config;
mod database;
pub(crate) mod forget;
pub(crate) mod healthcheck;
pub(crate) mod inspect;
pub(crate) mod list;
pub(crate) mod output;
mod question;
pub(crate) mod restore;
pub(crate) mod scan;
pub(crate) mod serve;
pub(crate) mod stats;
pub(crate) mod status;
pub(crate) mod version;

use std::process::ExitCode;

use crate::cli::Command;
use crate::config::{ConfigError, Environment, Layer, Resolved};
use crate::telemetry::TerminalOptions;

/// Failed at run time.
pub const EXIT_FAILURE: u8 = 1;
/// The command line is invalid (`EX_USAGE` of sysexits.h).
pub const EXIT_USAGE: u8 = 64;
/// Several consecutive starts found the database damaged (`EX_DATAERR` of sysexits.h).
pub const EXIT_DAMAGED: u8 = 65;
/// The configuration is invalid (`EX_CONFIG` of sysexits.h).
pub const EXIT_CONFIG: u8 = 78;

/// Runs a command and returns its exit code.
#[must_use]
pub fn run(command: &Command) -> ExitCode {
    match command {
        Command::Serve(args) => serve::run(args),
        Command::Healthcheck(args) => healthcheck::run(args),
        Command::Config(args) => config::run(args),
        Command::Scan(args) => scan::run(args),
        Command::Inspect(args) => inspect::run(args),
        Command::List(args) => list::run(args),
        Command::Changes(args) => changes::run(args),
        Command::Forget(args) => forget::run(args),
        Command::Stats(args) => stats::run(args),
        Command::Status(args) => status::run(args),
        Command::Backup(args) => backup::run(args),
        Command::Restore(args) => restore::run(args),
        Command::Version(args) => version::run(args),
    }
}

/// How the log is shown on a terminal.
pub(crate) fn terminal(environment: &Environment) -> TerminalOptions<'_> {
    TerminalOptions { colours: environment.allows_colours(), zone: environment.get("TZ") }
}

/// `Config::resolve`, or `Config::resolve_without_secrets` for a command that does not need the token.
pub type Resolve = fn(&Layer, &Environment) -> Result<Resolved, ConfigError>;

/// Resolves the configuration of a command. Writes warnings to standard error.
///
/// # Errors
/// The exit code, after the problems are written to standard error.
pub fn configure(flags: &Layer, resolve: Resolve) -> Result<Resolved, ExitCode> {
    let resolved = resolve(flags, &Environment::from_process()).map_err(|error| refuse(&error))?;
    resolved.warnings.iter().for_each(|warning| output::warn(warning));
    Ok(resolved)
}

/// Writes each problem of the configuration on a line of standard error, and returns the exit code.
#[must_use]
pub fn refuse(error: &ConfigError) -> ExitCode {
    error.warnings.iter().for_each(|warning| output::warn(warning));
    error.problems.iter().for_each(|problem| output::complain(problem));
    ExitCode::from(EXIT_CONFIG)
}
