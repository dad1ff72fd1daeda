//! Is a root really there, and is a file below it? The guards against a share that was late to mount.

mod beneath;
mod present;
mod unreadable;

use std::path::{Path, PathBuf};

use rustix::fd::{AsFd, BorrowedFd};
use rustix::fs::{AtFlags, CWD, Dir, FileType, RawMode, Statx, StatxFlags};
use rustix::io::Errno;
use serde::{Deserialize, Serialize};

pub(crate) use self::beneath::Beneath;
pub(crate) use self::present::{candidates, is_gone, is_nothing_at, present};
use super::{discover, name};
use crate::base::descriptors;
use crate::library::file_system;

/// What a root looked like, as each completed walk's `summary_json` records it. A device number is no part of
/// it: it changes with every boot and every container.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Identity {
    /// The file system's name, or its magic number where we know none (statfs(2)).
    pub filesystem: String,
    /// Whether the root is the top of a mount.
    pub mount_point: bool,
}

/// One look at a root.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Look {
    /// What it is.
    pub identity: Identity,
    /// Nothing visible is in it.
    pub empty: bool,
    /// Which directory it is, where it can be watched: another one at the same path is watched by nobody.
    pub directory: Option<Directory>,
}

/// What tells a directory from another that takes its place. On network and user-space file systems these numbers
/// may change by themselves, and tell nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Directory {
    device: u64,
    inode: u64,
    /// Its birth, where the file system tells: numbers of inodes are soon used again.
    birth: Option<(i64, u32)>,
    /// The mount that it is reached by: when a disk is unmounted its watches are gone, also if it comes back at once.
    /// Linux before 6.8 may give a new mount the number of an old one.
    mount: Option<u64>,
}

/// `STATX_MNT_ID_UNIQUE` of statx(2), since Linux 6.8: a number that no other mount ever gets.
const MOUNT_UNIQUE: StatxFlags = StatxFlags::from_bits_retain(0x4000);

/// Why a root is offline. The words complete the sentence "the root … ".
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Offline {
    /// Not there, or not to be entered.
    #[error("{0}")]
    Unreadable(String),
    /// Nothing in it, while the library knows files of it.
    #[error(
        "is empty, but the library knows files in it: mount what belongs there, or confirm with `vpo scan --accept-missing`"
    )]
    Empty,
    /// Was a mount point.
    #[error(
        "was a mount point and is none now: mount what belongs there, or confirm with `vpo scan --accept-missing`"
    )]
    Unmounted,
    /// Another kind of file system.
    #[error(
        "was on {before} and is on {now} now: mount what belongs there, or confirm with `vpo scan --accept-missing`"
    )]
    Changed {
        /// At the last completed scan.
        before: String,
        /// At this look.
        now: String,
    },
    /// Gave no answer.
    #[error("does not answer (a dead network share?): nothing can be said of its files until it does")]
    Unresponsive,
}

impl Offline {
    /// A stable code for checks and metrics.
    #[must_use]
    pub(crate) fn code(&self) -> &'static str {
        match self {
            Self::Unreadable(_) => "unreadable",
            Self::Empty => "empty",
            Self::Unmounted => "unmounted",
            Self::Changed { .. } => "filesystem_changed",
            Self::Unresponsive => "silent",
        }
    }
}

impl From<Errno> for Offline {
    fn from(error: Errno) -> Self {
        Self::Unreadable(std::io::Error::from(error).to_string())
    }
}

/// Looks at a root. Blocks for as long as its file system does.
///
/// # Errors
/// [`Offline::Unreadable`]
pub(crate) fn look(root: &Path) -> Result<Look, Offline> {
    let read = || -> Result<Look, Errno> {
        let directory = discover::open_directory(CWD, root, true)?;
        let filesystem = file_system::name(&rustix::fs::fstatfs(&directory)?);
        let mount_point = discover::is_mount_point(directory.as_fd())?;
        let mut entries = descriptors::open(|| Dir::read_from(&directory))?;
        let empty = loop {
            match entries.read() {
                None => break true,
                Some(entry) => {
                    let entry = entry?;
                    let name = entry.file_name().to_bytes();
                    if !name::is_ignored(name) {
                        break false;
                    }
                }
            }
        };
        let directory =
            if file_system::is_remote(&filesystem) { None } else { Some(identify(directory.as_fd())?) };
        Ok(Look { identity: Identity { filesystem, mount_point }, empty, directory })
    };
    read().map_err(|error| Offline::Unreadable(unreadable::describe(root, error)))
}

fn identify(directory: BorrowedFd<'_>) -> Result<Directory, Errno> {
    let found = rustix::fs::fstat(directory)?;
    let wanted = StatxFlags::BTIME | StatxFlags::MNT_ID | MOUNT_UNIQUE;
    let told = rustix::fs::statx(directory, c"", AtFlags::EMPTY_PATH, wanted).ok();
    let is_told = |told: &Statx, flags| StatxFlags::from_bits_retain(told.stx_mask).intersects(flags);
    let birth = told
        .filter(|told| is_told(told, StatxFlags::BTIME))
        .map(|told| (told.stx_btime.tv_sec, told.stx_btime.tv_nsec));
    let mount =
        told.filter(|told| is_told(told, StatxFlags::MNT_ID | MOUNT_UNIQUE)).map(|told| told.stx_mnt_id);
    Ok(Directory { device: found.st_dev, inode: found.st_ino, birth, mount })
}

/// Whether what was seen contradicts what the last completed scan recorded.
///
/// # Errors
/// [`Offline::Unmounted`] and [`Offline::Changed`]
pub(crate) fn compare(before: &Identity, now: &Identity) -> Result<(), Offline> {
    if before.mount_point && !now.mount_point {
        return Err(Offline::Unmounted);
    }
    if before.filesystem != now.filesystem {
        return Err(Offline::Changed { before: before.filesystem.clone(), now: now.filesystem.clone() });
    }
    Ok(())
}

/// Whether a directory is the top of a mount.
pub(crate) fn is_mounted(path: &Path) -> bool {
    look(path).is_ok_and(|look| look.identity.mount_point)
}

/// What shows that an issue that a scan met is over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum RecoverySignal {
    /// A file that was gone, or a place that could not be read.
    Place(PathBuf),
    /// A mount that was gone.
    Mount(PathBuf),
}

impl RecoverySignal {
    /// Whether it shows so now. Blocks for as long as its file system does.
    #[must_use]
    pub(crate) fn has_recovered(&self) -> bool {
        match self {
            Self::Place(path) => {
                let is_directory = |found: rustix::fs::Stat| {
                    FileType::from_raw_mode(found.st_mode as RawMode) == FileType::Directory
                };
                match rustix::fs::lstat(path).map(is_directory) {
                    Ok(true) => path.read_dir().is_ok_and(|mut entries| entries.all(|entry| entry.is_ok())),
                    Ok(false) => true,
                    Err(_) => false,
                }
            }
            Self::Mount(path) => is_mounted(path),
        }
    }
}
