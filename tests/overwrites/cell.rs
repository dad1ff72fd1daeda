//! Which cells the matrix has.

use std::fmt;

/// What the daemon does when the overwrite begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Situation {
    /// Nothing; its scans are done.
    Idle,
    /// It scans, and writes many short transactions.
    Scan,
}

/// What is done to the database.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Way {
    /// `cp BACKUP DATABASE`
    Cp,
    /// `cat BACKUP > DATABASE`
    Cat,
    /// `dd conv=notrunc`
    Dd,
    /// `rsync --inplace -I`
    Rsync,
    /// Block by block in place, within about a second.
    Slow,
    /// SQLite's backup API into the database, as the shell's `.restore`.
    Restore,
    /// A rename onto it.
    Rename,
    /// Removal of the `-wal`, where there is one at the moment.
    NoWal,
    /// Removal of the `-shm`.
    NoShm,
    /// Removal of both.
    NoCompanions,
}

impl Way {
    const ALL: [(Self, &str); 10] = [
        (Self::Cp, "cp"),
        (Self::Cat, "cat"),
        (Self::Dd, "dd"),
        (Self::Rsync, "rsync"),
        (Self::Slow, "slow"),
        (Self::Restore, "restore"),
        (Self::Rename, "rename"),
        (Self::NoWal, "no-wal"),
        (Self::NoShm, "no-shm"),
        (Self::NoCompanions, "no-companions"),
    ];

    /// Whether it writes into the file without asking SQLite.
    pub(super) fn copies_in_place(self) -> bool {
        matches!(self, Self::Cp | Self::Cat | Self::Dd | Self::Rsync | Self::Slow)
    }

    /// The companions that it removes; none where it overwrites.
    pub(super) fn removes(self) -> &'static [&'static str] {
        match self {
            Self::NoWal => &["-wal"],
            Self::NoShm => &["-shm"],
            Self::NoCompanions => &["-wal", "-shm"],
            _ => &[],
        }
    }
}

/// A cell of the matrix: runs of one kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Cell {
    pub(super) situation: Situation,
    pub(super) way: Way,
    /// Followed by kill -9 and a start.
    pub(super) killed: bool,
}

impl Cell {
    /// Every cell.
    pub(super) fn all() -> Vec<Self> {
        let mut all = Vec::new();
        for killed in [false, true] {
            for situation in [Situation::Scan, Situation::Idle] {
                all.extend(Way::ALL.map(|(way, _)| Self { situation, way, killed }));
            }
        }
        all
    }
}

impl fmt::Display for Cell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let situation = if self.situation == Situation::Idle { "idle" } else { "scan" };
        let way = Way::ALL.iter().find(|(way, _)| *way == self.way).map_or("", |(_, name)| name);
        write!(f, "{situation} {way}{}", if self.killed { " kill" } else { "" })
    }
}
