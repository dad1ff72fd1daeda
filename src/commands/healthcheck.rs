//! `vpo healthcheck`: asks the running daemon over HTTP; exit 0 healthy, 1 not. Opens no database, binds nothing, starts no runtime.

use std::process::ExitCode;

use super::output;
use crate::cli::HealthcheckArgs;

/// Runs `vpo healthcheck`.
#[must_use]
pub fn run(_args: &HealthcheckArgs) -> ExitCode {
    output::complain(&"healthcheck is not built yet");
    ExitCode::from(70)
}
