//! Bounds an answer by bytes: a number of rows alone does not, because paths and titles may be long.

use serde::Serialize;

use crate::base::text::to_json;

/// A page ends before the row that exceeds this many bytes as JSON. The first row is always part of it.
const PAGE_BYTES: usize = 256 * 1024;

/// One file with its tracks ends likewise. A file of ours has at most 2,000 tracks, with titles of 64 KiB.
const DETAILS_BYTES: usize = 1024 * 1024;

/// The bytes that are left for rows.
pub(crate) struct Room {
    left: usize,
    is_new: bool,
}

impl Room {
    /// Of a page.
    pub(crate) fn page() -> Self {
        Self { left: PAGE_BYTES, is_new: true }
    }

    /// Of one file.
    pub(super) fn details() -> Self {
        Self { left: DETAILS_BYTES, is_new: true }
    }

    /// Whether a further row fits.
    pub(crate) fn fits(&mut self, row: &impl Serialize) -> bool {
        // What cannot be serialised fails the answer as a whole.
        let bytes = to_json(row).map_or(0, |json| json.len() + 1);
        let fits = bytes <= self.left || self.is_new;
        (self.left, self.is_new) = (self.left.saturating_sub(bytes), false);
        fits
    }
}
