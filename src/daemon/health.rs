//! What the daemon knows of its own state, and how a probe learns it in time.
//!
//! The database check is a closure that this module runs on a thread of its own: every second, and on
//! demand when the last verdict is older than 250 ms; at most one in flight, all waiting probes share it.
//! This module does not know what the closure looks at: it knows deadlines, ages and transitions.
//! Imports nothing of the crate.

/// How a check went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// All is well.
    Pass,
    /// Something to look at; the daemon still does its work (200).
    Warn,
    /// The part is not usable (503 when it is the database).
    Fail,
}

impl Status {
    /// The name used in JSON and metrics.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pass => "pass",
            Self::Warn => "warn",
            Self::Fail => "fail",
        }
    }
}

/// What one look at one part found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// The outcome.
    pub status: Status,
    /// A stable code (`missing`, `locked`, …); `None` when all is well.
    pub reason: Option<&'static str>,
    /// One line for people: what, where, what to do.
    pub detail: Option<String>,
    /// The part was found busy (someone else's commit): the verdict before this one may be given for up to
    /// a second, and only then this one.
    pub busy: bool,
}
