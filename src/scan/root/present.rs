//! Whether a file exists at a stored path. As in a walk, no link below the root is followed. Blocks for as long as the
//! file system does.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use rustix::fs::FileType;
use rustix::io::Errno;

use super::Beneath;
use crate::scan::name;

/// Whether there is no file of a stored path: `Ok(true)` only if the kernel reports so for each path that it may
/// stand for.
pub(crate) fn is_gone(root: &Path, stored: &str) -> Result<bool, Errno> {
    Ok(present(root, stored)?.is_empty())
}

/// The paths that a stored one below `root` may stand for. Roots are UTF-8, and so stored as they are.
pub(crate) fn candidates(root: &Path, stored: &str) -> Result<impl Iterator<Item = PathBuf>, Errno> {
    let below = Path::new(stored).strip_prefix(root).ok().and_then(Path::to_str).ok_or(Errno::INVAL)?;
    Ok(name::path_candidates(below).map(|below| root.join(OsStr::from_bytes(&below))))
}

/// Those of the [`candidates`] that are files.
pub(crate) fn present(root: &Path, stored: &str) -> Result<Vec<PathBuf>, Errno> {
    let mut present = Vec::with_capacity(1);
    for path in candidates(root, stored)? {
        if kind_below(root, &path)? == Some(FileType::RegularFile) {
            present.push(path);
        }
    }
    Ok(present)
}

/// Whether neither a file nor a directory is at a path.
pub(crate) fn is_nothing_at(root: &Path, path: &Path) -> Result<bool, Errno> {
    Ok(!matches!(kind_below(root, path)?, Some(FileType::Directory | FileType::RegularFile)))
}

/// What is at a path below the root, if anything is. A root that is not there has nothing below it.
fn kind_below(root: &Path, path: &Path) -> Result<Option<FileType>, Errno> {
    match Beneath::new(root) {
        Ok(root) => root.kind(path),
        Err(Errno::NOENT | Errno::NOTDIR) => Ok(None),
        Err(error) => Err(error),
    }
}
