//! Files that get their name only when they are complete: a draft directory, and a rename that replaces nothing.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use rustix::fs::{CWD, FlockOperation, OFlags, RenameFlags, flock};
use rustix::io::Errno;
use rustix::process::geteuid;
use tracing::{debug, info};

/// What the names of all draft directories begin with; the process id and a time in nanoseconds follow.
const PREFIX: &str = ".vpo-draft-";

/// The database in a draft directory.
const NAME: &str = "draft.db";

/// What SQLite may put beside the database, and the database itself.
const SUFFIXES: [&str; 4] = ["", "-wal", "-shm", "-journal"];

/// A directory in which a database is made before it is moved to its place; removed when dropped.
///
/// It is locked with flock(2), so that [`sweep`] of another process distinguishes it from one that a killed process left. The
/// lock is on the directory, not on the database: on NFS it would conflict with the locks of SQLite.
#[derive(Debug)]
pub(super) struct Draft {
    directory: PathBuf,
    _held: File,
}

impl Draft {
    /// Creates one in `directory`, with mode 0700.
    pub(super) fn new(directory: &Path) -> io::Result<Self> {
        loop {
            let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or(Duration::ZERO);
            let path = directory.join(format!("{PREFIX}{}-{}", std::process::id(), now.as_nanos()));
            match DirBuilder::new().mode(0o700).create(&path) {
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => continue,
                made => made?,
            }
            // Another process may sweep it before it is locked.
            match File::open(&path) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => {
                    let _ = std::fs::remove_dir(&path);
                    return Err(error);
                }
                // If directories cannot be locked, `sweep` keeps them.
                Ok(held) if flock(&held, FlockOperation::NonBlockingLockShared) == Err(Errno::WOULDBLOCK) => {
                }
                Ok(held) if path.is_dir() => return Ok(Self { directory: path, _held: held }),
                Ok(_) => {}
            }
        }
    }

    /// Where the database is.
    pub(super) fn file(&self) -> PathBuf {
        self.directory.join(NAME)
    }

    /// The path of the companion with that suffix.
    pub(super) fn companion(&self, suffix: &str) -> PathBuf {
        self.directory.join(format!("{NAME}{suffix}"))
    }

    /// Makes an empty file in the database's place.
    pub(super) fn begin(&self, mode: u32) -> io::Result<File> {
        empty(&self.directory);
        OpenOptions::new().write(true).create_new(true).mode(mode).open(self.file())
    }
}

impl Drop for Draft {
    fn drop(&mut self) {
        empty(&self.directory);
        let _ = std::fs::remove_dir(&self.directory);
    }
}

fn empty(draft: &Path) {
    for suffix in SUFFIXES {
        let _ = std::fs::remove_file(draft.join(format!("{NAME}{suffix}")));
    }
}

/// Removes the drafts that killed processes have left in `directory`: those that are ours and that no process holds.
pub(super) fn sweep(directory: &Path) {
    for entry in std::fs::read_dir(directory).into_iter().flatten().flatten() {
        let name = entry.file_name();
        let Some(numbers) = name.to_str().and_then(|name| name.strip_prefix(PREFIX)) else { continue };
        let is_number = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
        let is_draft = numbers.split_once('-').is_some_and(|(pid, time)| is_number(pid) && is_number(time));
        let is_ours =
            || entry.metadata().is_ok_and(|found| found.is_dir() && found.uid() == geteuid().as_raw());
        if !is_draft || !is_ours() {
            continue;
        }
        let draft = entry.path();
        let flags = (OFlags::DIRECTORY | OFlags::NOFOLLOW).bits().cast_signed();
        let Ok(held) = OpenOptions::new().read(true).custom_flags(flags).open(&draft) else { continue };
        if flock(&held, FlockOperation::NonBlockingLockExclusive).is_err() {
            continue;
        }
        empty(&draft);
        match std::fs::remove_dir(&draft) {
            Ok(()) => info!(path = %draft.display(), "removed the draft of a killed process"),
            Err(error) => debug!(path = %draft.display(), %error, "the draft of a killed process stays"),
        }
    }
}

/// rename(2) that replaces nothing. NFS does not support it, but supports link(2). FAT and some FUSE servers support neither:
/// there the path is checked before a plain rename.
pub(super) fn rename_new(from: &Path, to: &Path) -> Result<(), Errno> {
    match rustix::fs::renameat_with(CWD, from, CWD, to, RenameFlags::NOREPLACE) {
        Err(Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP) => match rustix::fs::link(from, to) {
            Err(Errno::PERM | Errno::NOSYS | Errno::OPNOTSUPP) => {
                if to.symlink_metadata().is_ok() {
                    return Err(Errno::EXIST);
                }
                rustix::fs::rename(from, to)
            }
            other => other,
        },
        other => other,
    }
}

/// Writes the names in `directory` to disk. A directory that may not be read, and a file system that syncs none, are not
/// errors.
pub(super) fn sync_directory(directory: &Path) -> io::Result<()> {
    match File::open(directory).and_then(|directory| directory.sync_all()) {
        Err(error)
            if matches!(
                Errno::from_io_error(&error),
                Some(Errno::ACCESS | Errno::INVAL | Errno::BADF | Errno::OPNOTSUPP | Errno::ROFS)
            ) =>
        {
            debug!(path = %directory.display(), %error, "the directory could not be synced");
            Ok(())
        }
        synced => synced,
    }
}
