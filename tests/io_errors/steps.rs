//! What a step is, and the steps that a run without faults leads to.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use super::trace::Call;

/// The part of the daemon's life in which a call fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Phase {
    /// From the first instruction: no database yet, then a scan of 100 films, then a stop.
    Create,
    /// From the first instruction: a database with a log that another program left, a scan that changes nothing, a stop.
    Start,
    /// From an idle daemon on: a new root with 100 films, then a stop.
    Scan,
    /// From an idle daemon on: a stop.
    Stop,
}

impl Phase {
    pub(super) const ALL: [Self; 4] = [Self::Create, Self::Start, Self::Scan, Self::Stop];
}

impl fmt::Display for Phase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Create => "create",
            Self::Start => "start",
            Self::Scan => "scan",
            Self::Stop => "stop",
        })
    }
}

/// The files that strace can select by name, relative to the database's directory, and the directory itself.
pub(super) const NAMED: [&str; 6] =
    ["library.db", "library.db-wal", "library.db-shm", "library.db-journal", "library.db.lock", "."];

/// Every file with another name (a draft): strace cannot select those, so their calls are counted among all calls.
pub(super) const OTHER: &str = "*";

/// The system calls that fail. The question mark lets strace accept a name that the architecture does not have.
pub(super) const CALLS: [&str; 14] = [
    "pread64",
    "pwrite64",
    "fsync",
    "fdatasync",
    "ftruncate",
    "fallocate",
    "openat",
    "?unlink",
    "unlinkat",
    "?rename",
    "renameat",
    "renameat2",
    "?link",
    "linkat",
];

/// In place of an error: the process is killed before the call.
pub(super) const KILL: &str = "KILL";

/// What a call meets: not each can have every fault.
fn faults(call: &str) -> &'static [&'static str] {
    match call {
        "pread64" => &["EIO"],
        "openat" | "fsync" | "fdatasync" => &["EIO", "ENOSPC"],
        _ => &["EIO", "ENOSPC", KILL],
    }
}

/// One fault.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Step {
    pub(super) phase: Phase,
    pub(super) file: &'static str,
    pub(super) call: String,
    pub(super) nth: usize,
    pub(super) error: &'static str,
}

impl Step {
    /// Whether the process is killed, and so reports nothing.
    pub(super) fn kills(&self) -> bool {
        self.error == KILL
    }

    /// Whether SQLite reports this fault to its caller: content that does not reach the disk. It works without some of the
    /// rest (a longer `-shm`, a shorter `-wal`), and opens the directory only to sync it.
    pub(super) fn must_be_reported(&self) -> bool {
        !self.kills()
            && ["library.db", "library.db-wal"].contains(&self.file)
            && ["pwrite64", "fsync", "fdatasync"].contains(&self.call.as_str())
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { phase, file, call, nth, error } = self;
        write!(f, "{phase} {file} {call} {nth} {error}")
    }
}

/// The steps of a phase, from the calls of a run without faults. `library.db-wal`'s 17th `pwrite64` is a step where any
/// thread makes that many.
pub(super) fn of(phase: Phase, calls: &[Call]) -> Vec<Step> {
    let mut counts: BTreeMap<(u32, &str, &str), usize> = BTreeMap::new();
    let mut places: BTreeSet<(&'static str, &str, usize)> = BTreeSet::new();
    for call in calls {
        let mut count = |file: &'static str| {
            let count = counts.entry((call.thread, file, &call.name)).or_default();
            *count += 1;
            *count
        };
        let among_all = count(OTHER);
        if call.files.is_empty() {
            continue;
        }
        let named: Vec<_> =
            NAMED.into_iter().filter(|name| call.files.iter().any(|file| file == name)).collect();
        // The dynamic loader reads too.
        if named.is_empty() && call.name != "pread64" {
            places.insert((OTHER, &call.name, among_all));
        }
        for file in named {
            places.insert((file, &call.name, count(file)));
        }
    }
    places
        .into_iter()
        .flat_map(|(file, call, nth)| {
            faults(call).iter().map(move |error| Step { phase, file, call: call.to_owned(), nth, error })
        })
        .collect()
}

#[test]
fn steps_follow_from_the_calls_of_each_thread() {
    let call = |thread, name: &str, files: &[&str]| Call {
        thread,
        comm: "scan".to_owned(),
        name: name.to_owned(),
        files: files.iter().map(ToString::to_string).collect(),
        injected: false,
    };
    let calls = [
        call(1, "pwrite64", &["library.db-wal"]),
        call(1, "pwrite64", &["library.db"]),
        call(1, "pwrite64", &["library.db-wal"]),
        call(2, "pwrite64", &["library.db-wal"]),
        call(1, "openat", &[]),
        call(1, "openat", &[".vpo-draft-1-2/draft.db"]),
        call(1, "renameat2", &[".vpo-draft-1-2/draft.db", "library.db"]),
    ];
    let steps: Vec<_> = of(Phase::Scan, &calls).iter().map(ToString::to_string).collect();
    let expected = [
        "scan * openat 2 EIO",
        "scan library.db pwrite64 1 EIO",
        "scan library.db renameat2 1 EIO",
        "scan library.db-wal pwrite64 1 EIO",
        "scan library.db-wal pwrite64 2 EIO",
    ];
    let found: Vec<_> = steps.iter().filter(|step| step.ends_with("EIO")).collect();
    assert_eq!(found, expected.iter().collect::<Vec<_>>());
    let kills = steps.iter().filter(|step| step.ends_with(KILL)).count();
    assert_eq!((steps.len(), kills), (2 * expected.len() + 4, 4), "an opening changes nothing");
}
