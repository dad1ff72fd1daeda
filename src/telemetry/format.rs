//! One event → one line: text or JSON, with the journal's prefix.
//!
//! File names may contain newlines and escape sequences. They are escaped, so that they can neither forge a line
//! nor control a terminal.

use std::ffi::OsStr;
use std::fmt::Write as _;

use serde_json::Value;
use tz::{LocalTimeType, TimeZone};

use crate::base::log::{Format, Level};
use crate::base::text::{CUT, Escaped, boundary_within, to_json};
use crate::base::timestamp::Timestamp;
use crate::telemetry::TerminalOptions;

/// Maximum bytes of a text in a line: four times the longest path. A line that does not fit into the writer's queue
/// would be lost.
const MAX_TEXT_BYTES: usize = 16 * 1024;

/// The fields of an event or a span in the order of their first value; `message` separately.
#[derive(Clone, Debug, Default)]
pub(crate) struct Fields {
    message: String,
    fields: Vec<(&'static str, Value)>,
}

impl Fields {
    /// A message without other fields.
    pub(super) fn from_message(message: String) -> Self {
        Self { message, fields: Vec::new() }
    }

    /// Sets a field. Truncates a long text. A later value replaces an earlier one.
    pub(super) fn set(&mut self, name: &'static str, mut value: Value) {
        if let Value::String(text) = &mut value {
            truncate(text);
        }
        if name == "message" {
            self.message = match value {
                Value::String(text) => text,
                other => other.to_string(),
            };
        } else if let Some((_, old)) = self.fields.iter_mut().find(|(known, _)| *known == name) {
            *old = value;
        } else {
            self.fields.push((name, value));
        }
    }

    /// Adds the fields of an enclosing span. Fields that are set already keep their values.
    pub(super) fn add_context(&mut self, outer: &Self) {
        for (name, value) in &outer.fields {
            if !self.fields.iter().any(|(known, _)| known == name) {
                self.fields.push((name, value.clone()));
            }
        }
    }
}

/// Truncates a long text between two characters.
fn truncate(text: &mut String) {
    if text.len() > MAX_TEXT_BYTES {
        text.truncate(boundary_within(text, MAX_TEXT_BYTES));
        text.push(CUT);
    }
}

/// The form of lines.
#[derive(Debug)]
pub(super) enum Style {
    /// With a timestamp.
    Plain(Format),
    /// With the journal's priority. The journal stores the time itself.
    Journal(Format),
    /// Text for a person.
    Terminal(Terminal),
}

impl Style {
    /// The whole line, newline included.
    pub(super) fn line(&self, level: Level, target: &str, fields: &Fields) -> String {
        let mut line = String::with_capacity(160);
        match self {
            Self::Plain(Format::Text) => {
                push_timestamp(&mut line);
                line.push(' ');
            }
            Self::Plain(Format::Json) => {}
            Self::Journal(_) => {
                let _ = write!(line, "<{}>", level.priority());
            }
            Self::Terminal(terminal) => terminal.push_head(&mut line, level),
        }
        match self {
            Self::Plain(Format::Text) | Self::Journal(Format::Text) => {
                let _ = write!(line, "{:<7} {target}: ", level.as_str());
                push_text(&mut line, fields, "");
            }
            Self::Plain(Format::Json) | Self::Journal(Format::Json) => {
                json(&mut line, level, target, fields);
            }
            Self::Terminal(terminal) => push_text(&mut line, fields, terminal.colour(FAINT)),
        }
        line.push('\n');
        line
    }
}

/// Text for a person: in local time, without the module's path, in colours.
#[derive(Debug)]
pub(super) struct Terminal {
    has_colours: bool,
    zone: TimeZone,
}

/// Sequences that set the colour of what follows (ECMA-48, SGR).
const FAINT: &str = "\x1b[2m";
const BOLD_RED: &str = "\x1b[1;31m";
const YELLOW: &str = "\x1b[33m";
const GREEN: &str = "\x1b[32m";
/// Ends the colour.
const RESET: &str = "\x1b[0m";

impl Terminal {
    pub(super) fn new(options: TerminalOptions<'_>) -> Self {
        // localtime(3) of the C library cannot be called without `unsafe`.
        let zone = options.zone.map_or(Some("localtime"), OsStr::to_str);
        let zone = zone.and_then(|zone| TimeZone::from_posix_tz(zone).ok()).unwrap_or_else(TimeZone::utc);
        Self { has_colours: options.colours, zone }
    }

    /// The colour, or nothing.
    fn colour(&self, colour: &'static str) -> &'static str {
        if self.has_colours { colour } else { "" }
    }

    fn push_head(&self, line: &mut String, level: Level) {
        let now = Timestamp::now().unix_seconds();
        let offset = self.zone.find_local_time_type(now).map_or(0, LocalTimeType::ut_offset);
        let local = Timestamp::from_unix(now + i64::from(offset), 0).to_string();
        let colour = match level {
            Level::Error => BOLD_RED,
            Level::Warning => YELLOW,
            Level::Info => GREEN,
            Level::Debug => FAINT,
        };
        let [faint, colour, reset] = [FAINT, colour, RESET].map(|colour| self.colour(colour));
        let (date, time) = (&local[..10], &local[11..19]);
        let _ = write!(line, "{faint}{date} {time}{reset} {colour}{:<7}{reset} ", level.as_str());
    }
}

/// The message and the fields. Their names are shown in `colour`, if it is not empty.
fn push_text(line: &mut String, fields: &Fields, colour: &str) {
    let _ = write!(line, "{}", Escaped(&fields.message));
    let reset = if colour.is_empty() { "" } else { RESET };
    for (name, value) in &fields.fields {
        let _ = write!(line, " {colour}{name}={reset}");
        match value {
            Value::String(text) => push_text_value(line, text),
            other => {
                let _ = write!(line, "{other}");
            }
        }
    }
}

fn json(line: &mut String, level: Level, target: &str, fields: &Fields) {
    line.push_str(r#"{"timestamp":""#);
    push_timestamp(line);
    let _ = write!(line, r#"","level":"{}","logger":"{target}","message":"#, level.as_str());
    push_json_string(line, &fields.message);
    line.push_str(r#","daemon":true"#);
    for (name, value) in &fields.fields {
        line.push_str(",\"");
        line.push_str(name);
        // Keys in an object are unique, so a field with the name of a built-in key gets a suffix.
        if matches!(*name, "timestamp" | "level" | "logger" | "daemon") {
            line.push('_');
        }
        line.push_str("\":");
        match value {
            Value::String(text) => push_json_string(line, text),
            other => {
                let _ = write!(line, "{other}");
            }
        }
    }
    line.push('}');
}

/// RFC 3339, UTC, milliseconds.
fn push_timestamp(line: &mut String) {
    // A stored time has microseconds and an offset instead of the Z.
    let _ = write!(line, "{:.23}Z", Timestamp::now().to_string());
}

fn push_json_string(line: &mut String, text: &str) {
    // The serialisation of text cannot fail.
    line.push_str(&to_json(&text).unwrap_or_default());
}

/// The text of a field: unquoted if that is unambiguous, else in double quotes.
fn push_text_value(line: &mut String, text: &str) {
    let plain =
        !text.is_empty() && !text.contains(|c: char| c.is_whitespace() || matches!(c, '"' | '=' | '\\'));
    if plain {
        let _ = write!(line, "{}", Escaped(text));
        return;
    }
    line.push('"');
    for part in text.split_inclusive(['"', '\\']) {
        let (body, quote) = match part.strip_suffix(['"', '\\']) {
            Some(body) => (body, part.chars().next_back()),
            None => (part, None),
        };
        let _ = write!(line, "{}", Escaped(body));
        if let Some(quote) = quote {
            line.push('\\');
            line.push(quote);
        }
    }
    line.push('"');
}
