//! VPO, the Video Policy Orchestrator's daemon: one static binary that watches over a home video
//! library, knows every file and track in it, and never lies about how it is doing.
//!
//! # The design on one page
//!
//! ```text
//! main → vpo::run → commands::{serve, healthcheck, config, scan, inspect, backup, restore}
//!                      │
//!       ┌──────────────┼───────────┬──────────┬───────┐
//!       ▼              ▼           ▼          ▼       ▼
//!    config        telemetry     daemon      api     scan
//!                                             │     │    │
//!                                             ▼     ▼    ▼
//!                                             library   media
//! ```
//!
//! - [`base`] is what every part may use: errors, text, addresses, times, signals.
//! - [`cli`] turns argv into a command and a layer of flags; [`config`] puts the four layers together.
//! - [`telemetry`] sets `tracing` up.
//! - [`daemon`] is a daemon core (life, tasks, health, HTTP, metrics, systemd) that knows nothing of videos.
//! - [`library`] holds all SQL of the project. [`media`] reads which tracks a video holds; [`scan`] uses it to keep the
//!   library in step with the files on disk. [`api`] is the library's read-only HTTP routes.
//! - [`commands::serve`] (with its submodule) is the composition root: nothing else names daemon, library and scan.
//!
//! Arrows run one way, and a test holds them (`tests/architecture.rs`).

pub mod api;
pub mod base;
pub mod cli;
pub mod commands;
pub mod config;
pub mod daemon;
pub mod library;
pub mod media;
pub mod scan;
pub mod telemetry;

use std::ffi::OsString;
use std::process::ExitCode;

use base::text::Text;
use cli::Parsed;
use commands::output;

/// Runs `vpo` with the given argv (program name first) and returns the code to exit with:
/// 0 done, 1 failed at run time, 64 usage (`EX_USAGE`), 65 damaged database (`EX_DATAERR`), 78 configuration (`EX_CONFIG`),
/// as in sysexits.h.
pub fn run(args: impl IntoIterator<Item = OsString>) -> ExitCode {
    telemetry::report_panics();
    match cli::parse(args) {
        Ok(Parsed::Command(command)) => commands::run(&command),
        Ok(Parsed::Help(text)) => output::print(&Text::of_lines(&text)),
        Ok(Parsed::Version) => commands::version(),
        Err(error) => output::fail(&error, commands::EXIT_USAGE),
    }
}
