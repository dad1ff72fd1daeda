//! How a run may end.

/// How a run ended. Those in capitals must not occur.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Outcome {
    /// The backup was adopted, and is exactly what it was; nothing was overwritten, and nothing is lost.
    Exact,
    /// The daemon's own database again, and `/health` or the start reported a problem.
    OwnReported,
    /// The daemon's own database, because the restore failed with an error.
    NotRestored,
    /// A mixed file, which `/health` reported from the beginning. The backup, copied again, was adopted.
    Collided,
    /// The start refused what it found. The backup, put back again, was adopted.
    Refused,
    /// The daemon's own database again, without a word.
    Undetected,
    /// A database that is neither the backup nor the daemon's own was healthy.
    Mix,
    /// It was reported after more than 1.5 s.
    Late,
    /// Anything else.
    Wrong,
}

impl Outcome {
    pub(super) const ALL: [Self; 9] = [
        Self::Exact,
        Self::OwnReported,
        Self::NotRestored,
        Self::Collided,
        Self::Refused,
        Self::Undetected,
        Self::Mix,
        Self::Late,
        Self::Wrong,
    ];

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Exact => "exact",
            Self::OwnReported => "own-reported",
            Self::NotRestored => "not-restored",
            Self::Collided => "collided",
            Self::Refused => "refused",
            Self::Undetected => "UNDETECTED",
            Self::Mix => "MIX",
            Self::Late => "LATE",
            Self::Wrong => "WRONG",
        }
    }

    pub(super) fn is_bad(self) -> bool {
        self >= Self::Undetected
    }
}

/// What is known after a run.
#[derive(Debug)]
pub(super) struct Report {
    pub(super) outcome: Outcome,
    pub(super) backup: &'static str,
    /// From the end of the overwrite to the first answer that is not *healthy*, in ms.
    pub(super) detected: Option<i64>,
    /// To the adoption.
    pub(super) adopted: Option<i64>,
    pub(super) detail: String,
}
