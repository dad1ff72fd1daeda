//! What commands say to people: results on standard output, complaints on standard error.
//!
//! Neither `println!` nor `eprintln!`: they panic when the reader has gone or the disk is full.

use std::error::Error;
use std::fmt::Display;
use std::io::{ErrorKind, Write};
use std::process::ExitCode;

use super::EXIT_FAILURE;
use crate::telemetry;

/// Writes a command's result; 0, also when the reader (`head`) wanted no more.
#[must_use]
pub fn print(text: &str) -> ExitCode {
    let mut stdout = std::io::stdout().lock();
    match stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => {
            complain(&format_args!(
                "cannot write to standard output: {error}: make room, or send it elsewhere"
            ));
            ExitCode::from(EXIT_FAILURE)
        }
        _ => ExitCode::SUCCESS,
    }
}

/// Says one line on standard output, whatever is in it; 0.
#[must_use]
pub fn say(line: &str) -> ExitCode {
    print(&format!("{}\n", telemetry::on_one_line(line)))
}

/// Says on one line of standard error what is wrong: `vpo: what: where: what to do`.
pub fn complain(what: &dyn Display) {
    telemetry::complain(what);
}

/// Says on one line of standard error what someone may want to know.
pub fn warn(what: &dyn Display) {
    complain(&format_args!("warning: {what}"));
}

/// Says an error with its chain of sources, each once, and gives the exit code back.
#[must_use]
pub fn fail(error: &dyn Error, code: u8) -> ExitCode {
    complain(&telemetry::chain(error));
    ExitCode::from(code)
}
