//! The scan beside a running daemon: queued for it, and followed.

use std::process::ExitCode;

use super::{EXIT_FAILURE, Part, output};
use crate::cli::ScanArgs;
use crate::config::Config;
use crate::library::lock::Holder;

pub(super) fn scan(_args: &ScanArgs, _config: &Config, _parts: &[Part], holder: &Holder) -> ExitCode {
    output::complain(&format_args!("the library is held by {holder}"));
    ExitCode::from(EXIT_FAILURE)
}
