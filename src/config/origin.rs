//! Where a value came from: default, `file:line:column`, variable, flag.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

use crate::base::text::Escaped;

/// Where a value, or a problem with it, came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// Built in.
    Default,
    /// A default that follows a variable which is not ours, such as `$STATE_DIRECTORY`.
    Directory(&'static str),
    /// A file as a whole.
    File(PathBuf),
    /// A place in the file; line and column count from 1, columns in characters.
    Place {
        /// The file.
        file: PathBuf,
        /// The line.
        line: usize,
        /// The column.
        column: usize,
    },
    /// An environment variable.
    Variable(String),
    /// A flag of the command line.
    Flag(&'static str),
}

impl Origin {
    /// The place of a byte offset in a file's text.
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
            Self::Variable(name) => f.write_str(&abbreviated(name, LONGEST_NAME)),
            Self::Flag(flag) => f.write_str(flag),
        }
    }
}

/// Key's name → where its effective value came from; what is not in it is a default.
pub type Origins = BTreeMap<&'static str, Origin>;

/// Most characters of a name or a value that a message shows.
pub(super) const LONGEST_NAME: usize = 60;

/// Text on one line, cut to `most` characters.
pub(super) fn abbreviated(text: &str, most: usize) -> String {
    match text.char_indices().nth(most) {
        Some((end, _)) => format!("{}…", Escaped(&text[..end])),
        None => Escaped(text).to_string(),
    }
}
