//! One event → one line: text or JSON, with the journal's prefix.
//!
//! File names may contain newlines and escape sequences. They are escaped, so that they can neither forge a line
//! nor control a terminal.

use std::fmt::Write as _;

use serde_json::Value;

use crate::base::log::{Format, Level};
use crate::base::text::{Escaped, to_json};
use crate::base::timestamp::Timestamp;

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
        let end = (0..=MAX_TEXT_BYTES).rev().find(|end| text.is_char_boundary(*end)).unwrap_or(0);
        text.truncate(end);
        text.push('…');
    }
}

/// The form of lines.
#[derive(Clone, Copy, Debug)]
pub(super) struct Style {
    pub(super) format: Format,
    /// The stream is the journal: lines have a priority and no timestamp.
    pub(super) journal: bool,
}

impl Style {
    /// The whole line, newline included.
    pub(super) fn line(self, level: Level, target: &str, fields: &Fields) -> String {
        let mut line = String::with_capacity(160);
        if self.journal {
            let _ = write!(line, "<{}>", level.priority());
        }
        match self.format {
            Format::Text => self.text(&mut line, level, target, fields),
            Format::Json => json(&mut line, level, target, fields),
        }
        line.push('\n');
        line
    }

    fn text(self, line: &mut String, level: Level, target: &str, fields: &Fields) {
        if !self.journal {
            push_timestamp(line);
            line.push(' ');
        }
        let _ = write!(line, "{:<7} {target}: ", level.as_str());
        let _ = write!(line, "{}", Escaped(&fields.message));
        for (name, value) in &fields.fields {
            let _ = write!(line, " {name}=");
            match value {
                Value::String(text) => push_text_value(line, text),
                other => {
                    let _ = write!(line, "{other}");
                }
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
