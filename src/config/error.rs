//! Problems and warnings of the configuration, each with its origin.

use std::fmt;

use super::origin::{Origin, abbreviated};
use crate::base::error::plain;
use crate::base::text::Escaped;

/// A problem or warning, shown on one line: what, where, what to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// What it concerns.
    pub subject: Subject,
    /// What was found.
    pub what: String,
    /// Where it was found.
    pub origin: Origin,
    /// How to correct it; empty if `what` says it.
    pub advice: String,
}

/// What a finding concerns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Subject {
    /// The value of the key with this name.
    Key(&'static str),
    /// An unknown name.
    Name,
    /// The file as a whole. It is not read.
    File,
}

impl Finding {
    pub(super) fn new(
        subject: Subject,
        origin: Origin,
        what: impl fmt::Display,
        advice: impl Into<String>,
    ) -> Self {
        Self { subject, what: plain(what), origin, advice: advice.into() }
    }

    /// The problem of a variable whose value is not UTF-8.
    pub(super) fn not_utf8(subject: Subject, variable: &str) -> Self {
        Self::new(
            subject,
            Origin::Variable(variable.to_owned()),
            "the value is not UTF-8",
            "give a value in UTF-8, or unset it",
        )
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Names and values are truncated by the callers. A path is shown in full up to this length.
        const LONGEST: usize = 1000;
        write!(f, "{}: {}", abbreviated(&self.what, LONGEST), self.origin)?;
        if self.advice.is_empty() { Ok(()) } else { write!(f, ": {}", Escaped(&self.advice)) }
    }
}

/// Maximum number of problems that are reported. All keys in all layers together have fewer. A file that is not
/// a configuration file may have tens of thousands.
pub const MAX_PROBLEMS: usize = 100;

/// The problems of all layers; at least one.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}", lines(.problems))]
pub struct ConfigError {
    /// The problems. If there are more than [`MAX_PROBLEMS`], the last entry states that.
    pub problems: Vec<Finding>,
    /// Warnings, which may explain a problem.
    pub warnings: Vec<Finding>,
}

impl ConfigError {
    /// Reports each problem once: ten empty roots are one problem.
    pub(super) fn new(mut problems: Vec<Finding>, warnings: Vec<Finding>) -> Self {
        problems.dedup();
        problems.truncate(MAX_PROBLEMS + 1);
        if let Some(last) = problems.get_mut(MAX_PROBLEMS) {
            last.what = "and more problems".into();
            last.advice = "correct those above first".into();
        }
        Self { problems, warnings }
    }
}

fn lines(problems: &[Finding]) -> String {
    problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
}
