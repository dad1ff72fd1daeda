//! argv → [`vpo::run`] → exit code.

use std::process::ExitCode;

fn main() -> ExitCode {
    vpo::run(std::env::args_os())
}
