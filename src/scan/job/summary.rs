//! The counters of a scan, for its row in `jobs` and for the next scan of the root.

use serde::{Deserialize, Serialize};

use crate::base::text::plural;
use crate::scan::examples::Examples;
use crate::scan::facts_pass::FactsWork;
use crate::scan::passed_over::PassedOver;
use crate::scan::root::Identity;

/// What a scan did, as `summary_json` records it. The first six keys are those of other VPO programs.
///
/// An absent key has its default value, so that the record of another version still guards the root.
#[derive(Clone, Debug, Default, Serialize, Deserialize, PartialEq)]
#[serde(default)]
pub(crate) struct Summary {
    /// Videos found.
    pub total_discovered: u64,
    /// Of them, those read.
    pub scanned: u64,
    /// Of them, those unchanged.
    pub skipped: u64,
    /// New rows.
    pub added: u64,
    /// Rows that went missing.
    pub removed: u64,
    /// Of the unchanged, those whose facts no prober of this version has read. They are read again in the background.
    pub outdated: u64,
    /// Files that could not be parsed.
    pub errors: u64,
    /// Rows brought up to date.
    pub updated: u64,
    /// Rows that followed their moved file.
    pub moved: u64,
    /// Files that could not be read at all, and names that are not recorded because another one is stored alike. What is
    /// known of them stays.
    pub unreadable: u64,
    /// The first few of the files that could not be parsed, each with the reason.
    #[serde(skip_serializing_if = "Examples::is_empty")]
    pub error_examples: Examples,
    /// The first few of the files that could not be read, each with the reason.
    #[serde(skip_serializing_if = "Examples::is_empty")]
    pub unreadable_examples: Examples,
    /// Titles of tracks that were cut, because a file's exceed what is recorded of them.
    pub cut_titles: u64,
    /// Subtitle files that appeared beside recorded videos.
    pub subtitles_added: u64,
    /// Subtitle files that are gone from recorded videos.
    pub subtitles_gone: u64,
    /// Subtitle files that belong to no video.
    pub unmatched_subtitles: u64,
    /// Files that are not read, by extension.
    #[serde(skip_serializing_if = "PassedOver::is_empty")]
    pub passed_over: PassedOver,
    /// Files still being written, left for later.
    pub unsettled: u64,
    /// The first few of those.
    #[serde(skip_serializing_if = "Examples::is_empty")]
    pub unsettled_examples: Examples,
    /// Symbolic links passed over.
    pub symlinks: u64,
    /// Errors of the walk. No file in these places is recorded as missing.
    pub walk_errors: u64,
    /// The first of those errors.
    #[serde(skip_serializing_if = "Examples::is_empty")]
    pub walk_error_examples: Examples,
    /// Files that are gone with a mount below the root; they keep their status.
    pub unmounted: u64,
    /// Wall-clock time.
    pub seconds: f64,
    /// Files read, by wall-clock time.
    pub files_per_second: f64,
    /// What the root is: only where all of it was walked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub root: Option<Identity>,
    /// Mount points below it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub mounts: Vec<String>,
}

impl Summary {
    /// What is to be done about facts after the scan.
    pub(crate) fn facts_work(&self) -> FactsWork {
        FactsWork { reread: self.outdated > 0, sweep: self.root.is_some() }
    }

    /// See [`missed`].
    pub(crate) fn missed(&self) -> Option<String> {
        missed(self.walk_errors, self.unreadable, self.unsettled)
    }
}

/// What a scan did not read, in words; `None` if nothing.
pub(crate) fn missed(walk_errors: u64, unreadable: u64, unsettled: u64) -> Option<String> {
    let parts =
        [(walk_errors, "unreadable place"), (unreadable, "unreadable file"), (unsettled, "unfinished file")];
    let said: Vec<_> =
        parts.into_iter().filter(|(count, _)| *count > 0).map(|(count, what)| plural(count, what)).collect();
    (!said.is_empty()).then(|| said.join(", "))
}
