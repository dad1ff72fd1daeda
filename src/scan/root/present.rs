//! Is there a file at a path of the library? As in a walk, no link below the root is followed. Blocks for as long as the
//! file system does.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use rustix::fs::{FileType, RawMode};
use rustix::io::Errno;

use crate::scan::name;

/// If more candidates of a path than this exist, none is used.
const PRESENT: usize = 64;

/// Whether there is no file of a stored path: `Ok(true)` only when the kernel says so plainly of all that it may
/// stand for.
pub(crate) fn is_gone(root: &Path, stored: &str) -> Result<bool, Errno> {
    Ok(present(root, stored)?.is_empty())
}

/// The files that are there of all that a stored path may stand for ([`name::path_candidates`]), in the kernel's bytes. Part
/// by part: below what is no directory nothing is to be asked.
pub(crate) fn present(root: &Path, stored: &str) -> Result<Vec<Vec<u8>>, Errno> {
    // Roots are UTF-8, and so written alike.
    let below = Path::new(stored).strip_prefix(root).map_err(|_| Errno::INVAL)?;
    let mut paths = vec![root.as_os_str().as_bytes().to_vec()];
    let mut parts = below.iter().filter_map(OsStr::to_str).peekable();
    let mut kind = FileType::Directory;
    while let Some(part) = parts.next() {
        kind = if parts.peek().is_some() { FileType::Directory } else { FileType::RegularFile };
        let decoded = name::decode(part);
        let mut there = Vec::with_capacity(1);
        for path in &paths {
            for name in [Some(part.as_bytes()), decoded.as_deref()].into_iter().flatten() {
                let path = join(path, name);
                if kind_of(&path)? == Some(kind) {
                    there.push(path);
                }
            }
        }
        if there.len() > PRESENT {
            return Err(Errno::LOOP);
        }
        paths = there;
    }
    // The root itself is no file.
    Ok(if kind == FileType::RegularFile { paths } else { Vec::new() })
}

/// Whether there is nothing to scan at a path of the kernel's: no file and no directory.
pub(crate) fn is_nothing_at(root: &Path, path: &Path) -> Result<bool, Errno> {
    let below = path.strip_prefix(root).map_err(|_| Errno::INVAL)?;
    let mut path = root.as_os_str().as_bytes().to_vec();
    let mut kind = Some(FileType::Directory);
    for part in below {
        if kind != Some(FileType::Directory) {
            return Ok(true);
        }
        path = join(&path, part.as_bytes());
        kind = kind_of(&path)?;
    }
    Ok(!matches!(kind, Some(FileType::Directory | FileType::RegularFile)))
}

fn join(path: &[u8], name: &[u8]) -> Vec<u8> {
    [path.strip_suffix(b"/").unwrap_or(path), name].join(&b'/')
}

/// What is at a path, if anything is; of its last part no link is followed.
fn kind_of(path: &[u8]) -> Result<Option<FileType>, Errno> {
    match rustix::fs::lstat(OsStr::from_bytes(path)) {
        Ok(found) => Ok(Some(FileType::from_raw_mode(found.st_mode as RawMode))),
        // INVAL: a NUL is in it. Of such a path as of one that is too long there never was a file.
        Err(Errno::NOENT | Errno::NOTDIR | Errno::NAMETOOLONG | Errno::INVAL) => Ok(None),
        Err(error) => Err(error),
    }
}
