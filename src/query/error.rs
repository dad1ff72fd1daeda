//! Why a text is refused, and where.

use std::fmt;

use crate::base::nearest::nearest;

/// How many characters of the line an [`Error`] shows before and after the place.
const SHOWN: usize = 60;

/// A text that is not an expression.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Error {
    /// What was expected, and what was found.
    pub message: String,
    /// Code points before the place.
    pub position: usize,
    /// The line of the place, from 1.
    pub line: usize,
    /// The column of the place in its line, from 1, in code points.
    pub column: usize,
    /// What of the text surrounds the place: its line, shortened if long.
    pub excerpt: String,
    /// Code points of `excerpt` before the place.
    pub caret: usize,
}

impl Error {
    /// An error at the byte `start` of `text`.
    pub(super) fn at(text: &str, start: usize, message: String) -> Self {
        let before = text.get(..start).unwrap_or(text);
        let rest = text.get(start..).unwrap_or_default();
        let line_start = before.rfind('\n').map_or(0, |at| at + 1);
        let own_line = &before[line_start..];
        let skipped = own_line.chars().count().saturating_sub(SHOWN);
        let shown: String = own_line.chars().skip(skipped).collect();
        let caret = shown.chars().count();
        let after = rest.split('\n').next().unwrap_or_default().trim_end_matches('\r');
        Self {
            message,
            position: before.chars().count(),
            line: before.matches('\n').count() + 1,
            column: own_line.chars().count() + 1,
            excerpt: shown + &after.chars().take(SHOWN).collect::<String>(),
            caret,
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}, column {}: {}", self.line, self.column, self.message)
    }
}

impl std::error::Error for Error {}

/// `; did you mean NAME?`, or nothing.
pub(super) fn hint(given: &str, known: &mut dyn Iterator<Item = &str>) -> String {
    nearest(&given.to_lowercase(), known).map(|name| format!("; did you mean {name}?")).unwrap_or_default()
}

/// A part of the text, for a message; shortened if long.
pub(super) fn quoted(text: &str) -> String {
    match text.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("{:?}…", &text[..end]),
        None => format!("{text:?}"),
    }
}
