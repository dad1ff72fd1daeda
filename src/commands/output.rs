//! What commands write: results on standard output, complaints on standard error.
//!
//! Results are [`Text`] for people or JSON. Neither can contain a character that a terminal obeys, so a file's name cannot
//! set the title, clear the screen or forge a line. A command that gives raw bytes to programs gets a function of its own
//! here, which refuses a terminal.
//!
//! Neither `println!` nor `eprintln!`: they panic when the reader has gone or the disk is full.

use std::error::Error;
use std::fmt::Display;
use std::io::{ErrorKind, Write};
use std::process::ExitCode;

use serde::Serialize;

use super::EXIT_FAILURE;
use crate::base::error::chain;
use crate::base::text::{Text, to_json};
use crate::telemetry;

/// Writes a command's result; 0, also when the reader (`head`) wanted no more.
#[must_use]
pub fn print(text: &Text) -> ExitCode {
    write(text.as_str())
}

/// Writes a command's result as JSON on one line; as [`print()`].
#[must_use]
pub fn print_json(value: &impl Serialize) -> ExitCode {
    match to_json(value) {
        Ok(json) => write(&(json + "\n")),
        Err(error) => fail(&error, EXIT_FAILURE),
    }
}

/// Writes what cannot contain anything that a terminal obeys.
fn write(text: &str) -> ExitCode {
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
pub fn fail(error: &(dyn Error + 'static), code: u8) -> ExitCode {
    complain(&chain(error));
    ExitCode::from(code)
}
