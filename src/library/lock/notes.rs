//! What the holder of the lock notes for the next one: whether a checkpoint is under way, and whether the database was found
//! damaged. Both lines are in the lock file, beside the address, and outlive a killed process.
//!
//! `main BOOT begun|done STAMP`, padded to one length so that it is rewritten in place, before and after every checkpoint. It
//! is not synced: after a reboot (another BOOT) it counts for nothing.
//! `fault STARTS REASON STAMP DETAIL`: how many starts have found this content damaged, since when it is known to be.

use std::fmt::Write as _;

use crate::base::text::Escaped;
use crate::library::check::reason::Reason;
use crate::library::identity::Stamp;

/// Longer than any record.
const WIDTH: usize = 200;

/// Where the main file stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::library) struct Record {
    boot: String,
    /// A checkpoint has begun and not ended.
    pub(in crate::library) begun: bool,
    /// The main file after the last checkpoint; before this one, where it has begun.
    pub(in crate::library) stamp: Stamp,
}

impl Record {
    pub(in crate::library) fn new(begun: bool, stamp: Stamp) -> Self {
        Self { boot: boot().unwrap_or_else(|| "unknown".to_owned()), begun, stamp }
    }

    /// Whether it was written since the machine was booted, and so cannot have been lost on the way to the disk.
    pub(in crate::library) fn is_of_this_boot(&self) -> bool {
        boot().is_some_and(|boot| boot == self.boot)
    }

    fn parse(line: &str) -> Option<Self> {
        let mut words = line.strip_prefix("main ")?.split_whitespace();
        let boot = words.next()?.to_owned();
        let begun = match words.next()? {
            "begun" => true,
            "done" => false,
            _ => return None,
        };
        Some(Self { boot, begun, stamp: words.next()?.parse().ok()? })
    }
}

fn boot() -> Option<String> {
    let text = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?;
    Some(text.trim().to_owned()).filter(|boot| !boot.is_empty())
}

/// A content that was found damaged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::library) struct Fault {
    /// Starts that have met it.
    pub(in crate::library) starts: u32,
    pub(in crate::library) reason: Reason,
    pub(in crate::library) stamp: Stamp,
    /// One line for people.
    pub(in crate::library) detail: String,
}

impl Fault {
    fn parse(line: &str) -> Option<Self> {
        let mut words = line.strip_prefix("fault ")?.splitn(4, ' ');
        Some(Self {
            starts: words.next()?.parse().ok()?,
            reason: Reason::parse(words.next()?)?,
            stamp: words.next()?.parse().ok()?,
            detail: words.next()?.to_owned(),
        })
    }
}

/// Both.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in crate::library) struct Notes {
    pub(in crate::library) record: Option<Record>,
    pub(in crate::library) fault: Option<Fault>,
}

impl Notes {
    pub(super) fn parse(content: &str) -> Self {
        let mut notes = Self::default();
        for line in content.split_inclusive('\n').filter_map(|line| line.strip_suffix('\n')) {
            notes.record = Record::parse(line).or(notes.record);
            notes.fault = Fault::parse(line).or(notes.fault);
        }
        notes
    }

    pub(super) fn to_text(&self) -> String {
        let mut text = String::new();
        if let Some(Record { boot, begun, stamp }) = &self.record {
            let line = format!("main {boot} {} {stamp}", if *begun { "begun" } else { "done" });
            let _ = writeln!(text, "{line:<WIDTH$}");
        }
        if let Some(Fault { starts, reason, stamp, detail }) = &self.fault {
            let _ = writeln!(text, "fault {starts} {} {stamp} {}", reason.as_str(), Escaped(detail));
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn notes_are_read_back_and_what_is_no_note_is_ignored() {
        let stamp: Stamp = "1:2:3:4.5:6.7".parse().expect("a stamp");
        let fault = Fault {
            starts: 2,
            reason: Reason::Corrupt,
            stamp,
            detail: "row 1 missing from index".to_owned(),
        };
        let notes = Notes { record: Some(Record::new(true, stamp)), fault: Some(fault) };
        let text = format!("123\nhttp://127.0.0.1:8321\n{}", notes.to_text());
        assert_eq!(Notes::parse(&text), notes);
        assert_eq!(Notes::parse("1\nunix:/run/vpo\nmain x perhaps 1\nfault a b"), Notes::default());
        let done = Notes { record: Some(Record::new(false, stamp)), ..notes.clone() };
        let length = |notes: &Notes| notes.to_text().lines().next().map(str::len);
        assert_eq!(length(&done), length(&notes), "it is rewritten in place");
    }
}
