//! The output of commands: results on standard output, errors on standard error.
//!
//! Results are [`Text`] or JSON. Neither can contain a character that controls a terminal, so a file name cannot
//! set the title, clear the screen or forge a line. A command that writes raw bytes for programs needs a function of
//! its own here, which refuses a terminal.
//!
//! `println!` and `eprintln!` are not used: they panic if the pipe is closed or the disk is full.

use std::error::Error;
use std::fmt::{Display, Write as _};
use std::io::{ErrorKind, IsTerminal, Write};
use std::ops::ControlFlow;
use std::process::ExitCode;

use serde::Serialize;

use super::EXIT_FAILURE;
use crate::base::error::{chain, plain};
use crate::base::text::{Escaped, Text, to_json};
use crate::cli::Colour;
use crate::config::Environment;
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

/// As [`print_json`], of a part of the result; breaks as [`print_part`].
pub(crate) fn print_json_part(value: &impl Serialize) -> ControlFlow<ExitCode> {
    match to_json(value) {
        Ok(json) => write_part((json + "\n").as_bytes()),
        Err(error) => ControlFlow::Break(fail(&error, EXIT_FAILURE)),
    }
}

/// Writes text that is already escaped.
fn write(text: &str) -> ExitCode {
    write_part(text.as_bytes()).break_value().unwrap_or(ExitCode::SUCCESS)
}

/// Writes a part of the result of a command. Breaks with the exit code where no more can be written; that is 0 if the pipe
/// was closed.
pub(crate) fn print_part(text: &Text) -> ControlFlow<ExitCode> {
    write_part(text.as_str().as_bytes())
}

/// Writes CSV: as it is for a program, and escaped on a terminal.
pub(crate) fn print_csv(lines: &str) -> ControlFlow<ExitCode> {
    if is_terminal() { print_part(&Text::from_lines(lines)) } else { write_part(lines.as_bytes()) }
}

/// Whether a person reads the results.
pub(crate) fn is_terminal() -> bool {
    std::io::stdout().is_terminal()
}

/// Whether a person reads the messages.
pub(crate) fn messages_are_shown() -> bool {
    std::io::stderr().is_terminal()
}

/// How a line is shown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Style {
    /// As any text.
    #[default]
    Plain,
    /// The heading of a table.
    Heading,
    /// All is well.
    Good,
    /// Something is wrong.
    Bad,
    /// Something may be wrong.
    Doubtful,
}

impl Style {
    /// The sequence that sets it (ECMA-48, SGR).
    fn sequence(self) -> &'static str {
        match self {
            Self::Plain => "",
            Self::Heading => "\x1b[1m",
            Self::Good => "\x1b[32m",
            Self::Bad => "\x1b[31m",
            Self::Doubtful => "\x1b[33m",
        }
    }
}

/// Escaped lines, in colours where they may be.
pub(crate) struct Lines {
    text: String,
    has_colours: bool,
}

impl Lines {
    /// None yet.
    pub(crate) fn new(colour: Colour, environment: &Environment) -> Self {
        let has_colours = match colour {
            Colour::Auto => environment.allows_colours() && std::io::stdout().is_terminal(),
            Colour::Always => true,
            Colour::Never => false,
        };
        Self { text: String::new(), has_colours }
    }

    /// Adds a line.
    pub(crate) fn push(&mut self, style: Style, line: impl Display) {
        let sequence = if self.has_colours { style.sequence() } else { "" };
        let reset = if sequence.is_empty() { "" } else { "\x1b[0m" };
        // Writing to a String cannot fail.
        let _ = writeln!(self.text, "{sequence}{}{reset}", Escaped(line));
    }

    /// Writes and removes the lines, as [`print_part`].
    pub(crate) fn print(&mut self) -> ControlFlow<ExitCode> {
        write_part(std::mem::take(&mut self.text).as_bytes())
    }
}

/// Writes bytes for a program, such as paths as the kernel has them, as [`print_part`]. A terminal is refused, because
/// they are not escaped.
pub(crate) fn print_raw(bytes: &[u8]) -> ControlFlow<ExitCode> {
    if std::io::stdout().is_terminal() {
        complain(
            &"-0 writes names unescaped, which a terminal may obey; redirect the output, or use --paths",
        );
        return ControlFlow::Break(ExitCode::from(EXIT_FAILURE));
    }
    write_part(bytes)
}

fn write_part(bytes: &[u8]) -> ControlFlow<ExitCode> {
    let mut stdout = std::io::stdout().lock();
    match stdout.write_all(bytes).and_then(|()| stdout.flush()) {
        Ok(()) => ControlFlow::Continue(()),
        Err(error) if error.kind() == ErrorKind::BrokenPipe => ControlFlow::Break(ExitCode::SUCCESS),
        Err(error) => {
            complain(&format_args!(
                "cannot write to standard output: {}; free some space, or redirect the output",
                plain(error)
            ));
            ControlFlow::Break(ExitCode::from(EXIT_FAILURE))
        }
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
