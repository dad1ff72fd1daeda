//! Checks whether the database is usable.

use std::sync::Arc;
use std::time::Duration;

use crate::daemon::health::{Check, CheckResult, DATABASE};
use crate::library::{self, Library};

/// Checks the database, and starts an `integrity_check` when one is due.
pub(super) struct Database {
    library: Arc<Library>,
    verify_interval: Option<Duration>,
}

impl Database {
    pub(super) fn new(library: &Arc<Library>, verify_interval: Option<Duration>) -> Self {
        Self { library: Arc::clone(library), verify_interval }
    }
}

impl Check for Database {
    fn name(&self) -> &'static str {
        DATABASE
    }

    fn is_critical(&self) -> bool {
        true
    }

    fn run(&mut self) -> CheckResult {
        let found = self.library.check();
        self.library.verify_if_due(self.verify_interval, library::SHARE);
        let detail = found.detail.unwrap_or_default();
        match found.reason {
            None => CheckResult {
                detail: Some(detail).filter(|detail| !detail.is_empty()),
                ..CheckResult::pass()
            },
            Some(reason) if found.busy => CheckResult::busy(reason.as_str(), detail),
            Some(reason) if reason.is_warning() => CheckResult::warn(reason.as_str(), detail),
            Some(reason) => CheckResult::fail(reason.as_str(), detail),
        }
    }
}
