//! Problems and warnings of the configuration, each with its origin, and the guess at what was meant.

use std::fmt;

use super::origin::{Origin, abbreviated};
use crate::base::text::Escaped;

/// One thing to say about the configuration: what, where, and what to do, on one line.
#[derive(Clone, Debug, PartialEq, Eq)]
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
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Subject {
    /// The value of the key with this name.
    Key(&'static str),
    /// A name that is no key's.
    Name,
    /// The file as a whole, which is not read.
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
        write!(f, "{}: {}: {}", abbreviated(&self.what, LONGEST), self.origin, Escaped(&self.advice))
    }
}

/// The most problems that are reported: more than all keys can have in all layers. A file that is something else
/// altogether has tens of thousands.
pub const MOST_PROBLEMS: usize = 100;

/// Why there is no configuration: the problems of every layer, never empty.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}", lines(.problems))]
pub struct ConfigError {
    /// What must be put right. After [`MOST_PROBLEMS`], the last one says that there are more.
    pub problems: Vec<Finding>,
    /// What else was noticed; it may explain a problem.
    pub warnings: Vec<Finding>,
}

impl ConfigError {
    /// Each problem once: ten empty roots are one mistake.
    pub(super) fn new(mut problems: Vec<Finding>, warnings: Vec<Finding>) -> Self {
        problems.dedup();
        problems.truncate(MOST_PROBLEMS + 1);
        if let Some(last) = problems.get_mut(MOST_PROBLEMS) {
            last.what = "and more problems".into();
            last.advice = "correct those above first".into();
        }
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
    let length = given.chars().count();
    // A file may have tens of thousands of names: those too long or too short are told apart without a comparison.
    let is_near = |distance: usize, name: &str| distance * 3 <= name.chars().count().max(3);
    known
        .into_iter()
        .filter(|name| is_near(length.abs_diff(name.chars().count()), name))
        .map(|name| (strsim::damerau_levenshtein(given, name), name))
        .filter(|(distance, name)| is_near(*distance, name))
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, name)| name)
}
