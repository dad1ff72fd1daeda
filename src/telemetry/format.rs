//! One event → one line: text or JSON, with the journal's prefix.
//!
//! A line is one line whatever its parts hold: file names may contain newlines, escape sequences and
//! anything else, and must neither forge a line nor reach a terminal as commands.

use std::fmt::Write as _;

use serde_json::Value;

use crate::base::log::{Format, Level};
use crate::base::text::{Escaped, to_json};
use crate::base::timestamp::Timestamp;

/// Most bytes of a text in a line: four times the longest path. A line that did not fit into the writer's queue would be
/// lost, and the stream blamed.
const LONGEST: usize = 16 * 1024;

/// The fields of an event or a span, in the order in which they were named; `message` apart.
#[derive(Clone, Debug, Default)]
pub struct Fields {
    message: String,
    fields: Vec<(&'static str, Value)>,
}

impl Fields {
    /// No field but the message.
    pub(super) fn of_message(message: String) -> Self {
        Self { message, fields: Vec::new() }
    }

    /// Sets one, cut to what a line may hold; the last word counts.
    pub(super) fn set(&mut self, name: &'static str, mut value: Value) {
        if let Value::String(text) = &mut value {
            cut(text);
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

    /// Adds the fields of a span further out; what is here already counts more.
    pub(super) fn add_context(&mut self, outer: &Self) {
        for (name, value) in &outer.fields {
            if !self.fields.iter().any(|(known, _)| known == name) {
                self.fields.push((name, value.clone()));
            }
        }
    }
}

/// Cuts a text that is too long for a line, between two characters.
fn cut(text: &mut String) {
    if text.len() > LONGEST {
        let end = (0..=LONGEST).rev().find(|end| text.is_char_boundary(*end)).unwrap_or(0);
        text.truncate(end);
        text.push('…');
    }
}

/// How lines are dressed.
#[derive(Clone, Copy, Debug)]
pub(super) struct Style {
    pub(super) format: Format,
    /// The reader is the journal: it wants priorities and has timestamps of its own.
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
        // A key stands once in an object: a field by the name of one of ours steps aside.
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
    // Stored times have microseconds, and an offset in place of the Z.
    let _ = write!(line, "{:.23}Z", Timestamp::now().to_string());
}

/// A JSON string.
fn push_json_string(line: &mut String, text: &str) {
    // Text can be serialised.
    line.push_str(&to_json(&text).unwrap_or_default());
}

/// A field's text: as it is when that is unambiguous, else in double quotes.
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
