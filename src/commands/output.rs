//! The output of commands: results on standard output, errors on standard error.
//!
//! Results are [`Text`] or JSON. Neither can contain a character that controls a terminal, so a file name cannot
//! set the title, clear the screen or forge a line. A command that writes raw bytes for programs needs a function of
//! its own here, which refuses a terminal.
//!
//! `println!` and `eprintln!` are not used: they panic if the pipe is closed or the disk is full.

use std::error::Error;
use std::fmt::Display;
use std::io::{ErrorKind, Write};
use std::process::ExitCode;

use serde::Serialize;

use super::EXIT_FAILURE;
use crate::base::error::{chain, plain};
use crate::base::text::{Text, to_json};
use crate::telemetry;

/// Writes the result of a command. Returns 0, also if the pipe was closed (by `head`).
#[must_use]
pub(crate) fn print(text: &Text) -> ExitCode {
    write(text.as_str())
}

/// Writes the result of a command as JSON on one line, as [`print()`].
#[must_use]
pub(crate) fn print_json(value: &impl Serialize) -> ExitCode {
    match to_json(value) {
        Ok(json) => write(&(json + "\n")),
        Err(error) => fail(&error, EXIT_FAILURE),
    }
}

/// Writes text that is already escaped.
fn write(text: &str) -> ExitCode {
    let mut stdout = std::io::stdout().lock();
    match stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => {
            complain(&format_args!(
                "cannot write to standard output: {}; free some space, or redirect the output",
                plain(error)
            ));
            ExitCode::from(EXIT_FAILURE)
        }
        _ => ExitCode::SUCCESS,
    }
}

/// Writes an error on one line of standard error: `vpo: what: where: what to do`.
pub(crate) fn complain(what: &dyn Display) {
    telemetry::complain(what);
}

/// Writes a warning on one line of standard error.
pub(crate) fn warn(what: &dyn Display) {
    complain(&format_args!("warning: {what}"));
}

/// Writes an error with its causes on one line of standard error, and returns the exit code.
#[must_use]
pub(crate) fn fail(error: &(dyn Error + 'static), code: u8) -> ExitCode {
    complain(&chain(error));
    ExitCode::from(code)
}
