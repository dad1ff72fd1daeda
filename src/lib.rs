//! VPO, the daemon of the Video Policy Orchestrator: one static binary that scans directories of videos,
//! records every file and track in an SQLite database, and reports its health.
//!
//! # The design on one page
//!
//! ```text
//! main → vpo::run → commands::{serve, healthcheck, config, scan, inspect, list, backup, restore}
//!                      │
//!       ┌──────────────┼───────────┬──────────┬───────┐
//!       ▼              ▼           ▼          ▼       ▼
//!    config        telemetry     daemon      api     scan
//!                                           │     │  │    │
//!                                           ▼     ▼  ▼    ▼
//!                                   query ◄ ask ► library media
//! ```
//!
//! - [`base`] is what every part may use: errors, text, addresses, times, signals.
//! - [`cli`] parses argv to a command and a layer of flags. [`config`] merges the four layers.
//! - [`telemetry`] sets up `tracing`.
//! - [`daemon`] is the core of the daemon: signals, restarts, health, HTTP, metrics, systemd. It does not depend
//!   on videos.
//! - [`library`] contains all SQL. [`media`] reads the tracks of a video. [`scan`] uses both to record the files
//!   on disk. [`api`] provides the read-only HTTP routes, [`page`] the library as HTML.
//! - [`query`] is the language of questions about files. It does not depend on anything else. [`ask`] answers such
//!   questions from the library, for [`api`], [`page`] and the commands.
//! - [`commands::serve`] is the composition root: nothing else names daemon, library and scan together.
//!
//! Dependencies go one way, which `tests/architecture.rs` verifies.

pub(crate) mod api;
pub(crate) mod ask;
pub mod base;
pub(crate) mod cli;
pub mod commands;
pub mod config;
pub mod daemon;
pub mod library;
pub mod media;
pub(crate) mod page;
pub mod query;
pub mod scan;
pub mod telemetry;

use std::ffi::OsString;
use std::process::ExitCode;

use base::text::Text;
use cli::{Parsed, UsageError};
use commands::output;

/// The declared command line, for the generator of man pages and completions (`examples/manual.rs`).
#[must_use]
pub fn command_line() -> argh::CommandInfoWithArgs {
    cli::declarations()
}

/// Runs `vpo` with the given argv (program name first) and returns the exit code, as in sysexits.h:
/// 0 done, 1 failed at run time, 64 usage (`EX_USAGE`), 65 damaged database (`EX_DATAERR`),
/// 78 configuration (`EX_CONFIG`).
pub fn run(args: impl IntoIterator<Item = OsString>) -> ExitCode {
    base::signals::ignore_deadly();
    telemetry::report_panics();
    match cli::parse(args) {
        Ok(Parsed::Command(command)) => commands::run(&command),
        Ok(Parsed::Help(text)) => output::print(&Text::from_lines(&text)),
        Ok(Parsed::Version) => commands::version::run(&cli::VersionArgs::default()),
        Err(UsageError::Nothing(help)) => {
            telemetry::to_stderr(&Text::from_lines(&help));
            ExitCode::from(commands::EXIT_USAGE)
        }
        Err(error) => output::fail(&error, commands::EXIT_USAGE),
    }
}
