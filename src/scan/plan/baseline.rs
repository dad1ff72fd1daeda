//! What an earlier scan recorded of the root, which the guards compare with the root now.

use crate::scan::root::{self, Identity, Look, Offline};

/// What the guards compare.
#[derive(Clone, Debug)]
pub(crate) struct Baseline {
    /// The root now.
    pub(crate) look: Look,
    /// The root at the last completed scan of all of it.
    pub(crate) before: Option<Identity>,
    /// Mount points below the root at that scan, as stored paths.
    pub(crate) mounts: Vec<String>,
    /// Whether the user has confirmed missing files.
    pub(crate) accept_missing: bool,
    /// Whether files are read that have not changed.
    pub(crate) full: bool,
}

impl Baseline {
    /// Whether the root is unchanged. If not, all of it is walked: a part cannot show whether the root lies on another disk,
    /// or on the directory below a mount.
    pub(crate) fn is_same_root(&self) -> bool {
        self.compare().is_ok()
    }

    fn compare(&self) -> Result<(), Offline> {
        self.before.as_ref().map_or(Ok(()), |before| root::compare(before, &self.look.identity))
    }

    /// Checks whether an absent file of this root counts as gone.
    ///
    /// # Errors
    /// The reason why it does not.
    pub(crate) fn check(&self) -> Result<(), Offline> {
        if self.look.empty { Err(Offline::Empty) } else { self.compare() }
    }

    /// Compares the root after the walk with the root before it: its share may have vanished meanwhile.
    ///
    /// # Errors
    /// The difference.
    pub(crate) fn check_again(&self, now: &Look) -> Result<(), Offline> {
        root::compare(&self.look.identity, &now.identity)?;
        if now.empty && !self.look.empty { Err(Offline::Empty) } else { Ok(()) }
    }
}
