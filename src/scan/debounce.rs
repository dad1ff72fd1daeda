//! Decides whether a file is still being written.
//!
//! A download or a copy changes the mtime while it runs. A file is read once its mtime is 5 s old, and what was
//! read counts only if size and mtime are the same after the read. With an mtime in the future (the clock of a
//! camera or share) only the second rule applies.

use crate::base::times::SCAN_DEBOUNCE;
use crate::base::timestamp::Timestamp;

/// Whether a file with this mtime has been unchanged long enough.
#[must_use]
pub(crate) fn is_quiet(modified: Timestamp, now: Timestamp) -> bool {
    modified.until(now).is_none_or(|age| age >= SCAN_DEBOUNCE)
}
