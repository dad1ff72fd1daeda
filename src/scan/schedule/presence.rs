//! Whether a root is there: the looks at it.

use std::time::Instant;

use crate::base::times::{ROOT_CHECK_INTERVAL, ROOT_UNREACHABLE_AFTER};
use crate::scan::overlap::ResolvedRoot;
use crate::scan::root::{Look, Offline};

/// What the looks at a root have shown.
#[derive(Debug)]
pub(super) struct Presence {
    /// What the last look that counts has shown.
    look: Option<Result<Look, Offline>>,
    /// Where the root really was when it was last there.
    resolved: Option<ResolvedRoot>,
    /// When the last look began or ended.
    last_look: Instant,
    is_looking: bool,
    look_soon: bool,
}

/// What is to be done about a look.
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

    /// Whether the root is known not to be there, or not to answer.
    pub(super) fn is_offline(&self) -> bool {
        matches!(self.look, Some(Err(_)))
    }

    /// Whether a look takes longer than that of a share that answers.
    pub(super) fn is_late(&self, now: Instant) -> bool {
        self.is_looking && now.saturating_duration_since(self.last_look) > ROOT_UNREACHABLE_AFTER
    }

    pub(super) fn resolved(&self) -> Option<ResolvedRoot> {
        self.resolved.clone()
    }

    /// Does not wait for the interval with the next look.
    pub(super) fn look_soon(&mut self) {
        self.look_soon = true;
    }

    /// Says what is to be done; a look that is to begin counts as begun.
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

    /// A look has shown nothing.
    pub(super) fn look_failed(&mut self) {
        self.is_looking = false;
    }

    /// Whether a look shows something else than the last one.
    pub(super) fn is_news(&self, look: &Result<Look, Offline>) -> bool {
        self.look.as_ref() != Some(look)
    }

    /// Records what a look has shown. Returns whether there was one before.
    pub(super) fn record(&mut self, look: Result<Look, Offline>) -> bool {
        self.look.replace(look).is_some()
    }
}
