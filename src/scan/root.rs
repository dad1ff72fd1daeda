//! Whether a root is present, and whether a file below it is. Guards against a share that is not mounted yet.

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

/// The state of a root, as `summary_json` of each completed walk records it. Device numbers change with every boot and every
/// container, so they are left out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Identity {
    /// The file system's name, or its magic number if it has no known name (statfs(2)).
    pub filesystem: String,
    /// Whether the root is the top of a mount.
    pub mount_point: bool,
}

/// What one look at a root found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Look {
    /// What identifies the root.
    pub identity: Identity,
    /// It contains no visible entry.
    pub empty: bool,
    /// Identifies the directory, if it can be watched: the watch does not follow another directory at the same path.
    pub directory: Option<Directory>,
}

/// Distinguishes a directory from another one that takes its place. Not used on network and user-space file systems, where
/// these numbers may change by themselves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Directory {
    device: u64,
    inode: u64,
    /// Time of its creation, if the file system records it: inode numbers are soon reused.
    birth: Option<(i64, u32)>,
    /// The mount that contains it: an unmount removes the watches, also if the disk is mounted again at once. Linux before
    /// 6.8 may reuse the number of an old mount.
    mount: Option<u64>,
}

/// `STATX_MNT_ID_UNIQUE` of statx(2), since Linux 6.8: a number that is never reused.
const MOUNT_UNIQUE: StatxFlags = StatxFlags::from_bits_retain(0x4000);

/// Why a root is offline. The text completes the sentence "the root … ".
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Offline {
    /// It does not exist, or cannot be entered; the cause, and what to do.
    #[error("{0}")]
    Unreadable(String),
    /// It is empty, although the library records files in it.
    #[error(
        "is empty, but the library records files in it; mount the share, or confirm with `vpo scan --accept-missing`"
    )]
    Empty,
    /// Was a mount point.
    #[error("is no longer a mount point; mount the share, or confirm with `vpo scan --accept-missing`")]
    Unmounted,
    /// Another kind of file system.
    #[error(
        "was on {before} and is now on {now}; mount the share, or confirm with `vpo scan --accept-missing`"
    )]
    Changed {
        /// At the last completed scan.
        before: String,
        /// At this look.
        now: String,
    },
    /// It does not respond in time.
    #[error("does not respond; check the network share or the disk")]
    Unresponsive,
}

impl Offline {
    /// For an error of the system at the root.
    pub(crate) fn unreadable(root: &Path, error: Errno) -> Self {
        Self::Unreadable(unreadable::describe(root, error))
    }

    /// A stable code for checks and metrics.
    #[must_use]
    pub(crate) fn code(&self) -> &'static str {
        match self {
            Self::Unreadable(_) => "unreadable",
            Self::Empty => "empty",
            Self::Unmounted => "unmounted",
            Self::Changed { .. } => "filesystem_changed",
            Self::Unresponsive => "unresponsive",
        }
    }
}

/// Examines a root. Blocks for as long as its file system does.
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
    read().map_err(|error| Offline::unreadable(root, error))
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

/// Compares a root with what the last completed scan recorded.
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

/// What indicates that an issue of a root is over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum RecoverySignal {
    /// A file that was absent, or a place that could not be read.
    Place(PathBuf),
    /// A mount that was absent.
    Mount(PathBuf),
}

impl RecoverySignal {
    /// Whether the issue is over. Blocks for as long as its file system does.
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
