//! Decides whether a file is still being written.
//!
//! A download or a copy moves its mtime as it goes. A file is read once its mtime is 5 s old, and what was
//! read counts only if size and mtime are the same after the read. An mtime in the future says nothing (a
//! camera's clock, a share's clock), so there the second rule stands alone.

use crate::base::times::SCAN_DEBOUNCE;
use crate::base::timestamp::Timestamp;

/// Whether a file with this mtime has been left alone long enough.
#[must_use]
pub fn is_quiet(modified: Timestamp, now: Timestamp) -> bool {
    modified.until(now).is_none_or(|age| age >= SCAN_DEBOUNCE)
}
