//! Problems and warnings of the configuration, each with its origin, and the guess at what was meant.

use std::collections::HashSet;
use std::fmt;

use super::origin::{OneLine, Origin, abbreviated};

/// One thing to say about the configuration: what, where, and what to do, on one line.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Finding {
    /// What it concerns.
    pub subject: Subject,
    /// What was found.
    pub what: String,
    /// Where.
    pub origin: Origin,
    /// What to do about it.
    pub advice: String,
}

/// What a finding concerns.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Subject {
    /// The value of the key with this name.
    Key(&'static str),
    /// A name that is no key's.
    Name,
    /// A name that is no key's, but that may have been meant for the key with this name.
    NameFor(&'static str),
    /// The file as a whole: any key may be set in it.
    File,
}

impl Finding {
    pub(super) fn new(
        subject: Subject,
        origin: Origin,
        what: impl Into<String>,
        advice: impl Into<String>,
    ) -> Self {
        Self { subject, what: what.into(), origin, advice: advice.into() }
    }

    /// What to say of a variable whose value is not UTF-8.
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
        // Names and values are cut where they are put in. Paths are shown whole, as long as they may be real ones.
        const LONGEST: usize = 1000;
        write!(f, "{}: {}: {}", abbreviated(&self.what, LONGEST), self.origin, OneLine(&self.advice))
    }
}

/// Why there is no configuration: every problem of every layer, never empty.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}", lines(.problems))]
pub struct ConfigError {
    /// What must be put right.
    pub problems: Vec<Finding>,
    /// What else was noticed; it may explain a problem.
    pub warnings: Vec<Finding>,
}

impl ConfigError {
    /// Each problem once: ten empty roots are one mistake.
    pub(super) fn new(mut problems: Vec<Finding>, warnings: Vec<Finding>) -> Self {
        let mut seen = HashSet::new();
        problems.retain(|problem| seen.insert(problem.clone()));
        Self { problems, warnings }
    }
}

fn lines(problems: &[Finding]) -> String {
    problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
}

/// The name among `known` that was probably meant by `given`: at most a third of it is wrong.
pub fn nearest<'a>(given: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    // Longer than any name that there is by more than a third; to compare a whole file would take much memory.
    if given.len() > 100 {
        return None;
    }
    known
        .into_iter()
        .map(|name| (strsim::damerau_levenshtein(given, name), name))
        .filter(|(distance, name)| distance * 3 <= name.chars().count().max(3))
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, name)| name)
}
