//! The origin of a value: default, `file:line:column`, variable or flag.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

use crate::base::text::Escaped;

/// The origin of a value or of a problem.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// The built-in default.
    Default,
    /// A default that depends on a variable of systemd, such as `$STATE_DIRECTORY`.
    Directory(&'static str),
    /// A file as a whole.
    File(PathBuf),
    /// A place in a file.
    Place {
        /// The file.
        file: PathBuf,
        /// The line, from 1.
        line: usize,
        /// The column in characters, from 1.
        column: usize,
    },
    /// An environment variable.
    Variable(String),
    /// A flag of the command line.
    Flag(&'static str),
}

impl Origin {
    /// The place of a byte offset in the text of a file.
    pub(super) fn place(file: &Path, text: &str, offset: usize) -> Self {
        let before = text.get(..offset).unwrap_or(text);
        let start = before.rfind('\n').map_or(0, |newline| newline + 1);
        Self::Place {
            file: file.to_owned(),
            line: before.matches('\n').count() + 1,
            column: before[start..].chars().count() + 1,
        }
    }

    /// Line and column, for sorting.
    pub(super) fn position(&self) -> Option<(usize, usize)> {
        match self {
            Self::Place { line, column, .. } => Some((*line, *column)),
            _ => None,
        }
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::Directory(variable) => write!(f, "default, from ${variable}"),
            Self::File(file) => write!(f, "{}", Escaped(file.display())),
            Self::Place { file, line, column } => {
                write!(f, "{}:{line}:{column}", Escaped(file.display()))
            }
            Self::Variable(name) => f.write_str(&abbreviated(name, MAX_NAME_LENGTH)),
            Self::Flag(flag) => f.write_str(flag),
        }
    }
}

/// Name of a key → origin of its effective value. A key without an entry has its default.
pub type Origins = BTreeMap<&'static str, Origin>;

/// Maximum number of characters of a name or a value in a message.
pub(super) const MAX_NAME_LENGTH: usize = 60;

/// Text on one line, truncated to `most` characters.
pub(super) fn abbreviated(text: &str, most: usize) -> String {
    match text.char_indices().nth(most) {
        Some((end, _)) => format!("{}…", Escaped(&text[..end])),
        None => Escaped(text).to_string(),
    }
}
