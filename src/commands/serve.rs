//! `vpo serve`: the composition root, the only file that names daemon, library and scan.

use std::process::ExitCode;

use super::output;
use crate::cli::ServeArgs;

/// Runs `vpo serve`.
#[must_use]
pub fn run(_args: &ServeArgs) -> ExitCode {
    output::complain(&"serve is not built yet");
    ExitCode::from(70)
}
