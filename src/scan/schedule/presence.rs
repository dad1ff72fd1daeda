//! Whether a root is present, as found by looks at it.

use std::time::Instant;

use crate::base::times::{ROOT_CHECK_INTERVAL, ROOT_UNREACHABLE_AFTER};
use crate::scan::overlap::ResolvedRoot;
use crate::scan::root::{Look, Offline};

/// The results of the looks at a root.
#[derive(Debug)]
pub(super) struct Presence {
    /// The result of the last look that counts.
    look: Option<Result<Look, Offline>>,
    /// The real path of the root when it was last present.
    resolved: Option<ResolvedRoot>,
    /// When the last look began or ended.
    last_look: Instant,
    is_looking: bool,
    look_soon: bool,
}

/// The next step about a look.
pub(super) enum NextLook {
    /// Nothing yet.
    Wait,
    /// Look now.
    Begin,
    /// The look that began has not ended in time.
    Overdue,
}

impl Presence {
    pub(super) fn new(now: Instant) -> Self {
        Self { look: None, resolved: None, last_look: now, is_looking: false, look_soon: false }
    }

    /// Whether a first look is over, or has taken too long.
    pub(super) fn is_looked_at(&self) -> bool {
        self.look.is_some()
    }

    /// Whether the root is known to be absent, or not to respond.
    pub(super) fn is_offline(&self) -> bool {
        matches!(self.look, Some(Err(_)))
    }

    /// Whether a look takes longer than that of a share that responds.
    pub(super) fn is_late(&self, now: Instant) -> bool {
        self.is_looking && now.saturating_duration_since(self.last_look) > ROOT_UNREACHABLE_AFTER
    }

    pub(super) fn resolved(&self) -> Option<ResolvedRoot> {
        self.resolved.clone()
    }

    /// Makes the next look due now.
    pub(super) fn look_soon(&mut self) {
        self.look_soon = true;
    }

    /// Returns the next step. A look that is due counts as started.
    pub(super) fn next_look(&mut self, now: Instant) -> NextLook {
        let age = now.saturating_duration_since(self.last_look);
        if self.is_looking {
            return if age > ROOT_CHECK_INTERVAL { NextLook::Overdue } else { NextLook::Wait };
        }
        if self.look.is_some() && age < ROOT_CHECK_INTERVAL && !self.look_soon {
            return NextLook::Wait;
        }
        (self.look_soon, self.is_looking, self.last_look) = (false, true, now);
        NextLook::Begin
    }

    /// A look has ended.
    pub(super) fn look_ended(&mut self, resolved: Option<ResolvedRoot>, now: Instant) {
        (self.is_looking, self.last_look) = (false, now);
        self.resolved = resolved.or(self.resolved.take());
    }

    /// A look has failed.
    pub(super) fn look_failed(&mut self) {
        self.is_looking = false;
    }

    /// Whether the result of a look differs from the last one.
    pub(super) fn is_news(&self, look: &Result<Look, Offline>) -> bool {
        self.look.as_ref() != Some(look)
    }

    /// Records the result of a look. Returns whether there was one before.
    pub(super) fn record(&mut self, look: Result<Look, Offline>) -> bool {
        self.look.replace(look).is_some()
    }
}
