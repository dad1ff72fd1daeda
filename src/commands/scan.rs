//! `vpo scan [PATH…]`: one scan now, in the foreground or as a job for the running daemon.

use std::process::ExitCode;

use super::output;
use crate::cli::ScanArgs;

/// Runs `vpo scan`.
#[must_use]
pub fn run(_args: &ScanArgs) -> ExitCode {
    output::complain(&"scan is not built yet");
    ExitCode::from(70)
}
