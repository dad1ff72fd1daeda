//! `vpo inspect FILE`: the container and its tracks, as a table or JSON.

use std::process::ExitCode;

use super::output;
use crate::cli::InspectArgs;

/// Runs `vpo inspect`.
#[must_use]
pub fn run(_args: &InspectArgs) -> ExitCode {
    output::complain(&"inspect is not built yet");
    ExitCode::from(70)
}
