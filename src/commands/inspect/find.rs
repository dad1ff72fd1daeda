//! The files that `vpo inspect` is given: each argument, or the videos below it if it is a directory.

use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use crate::media;
use crate::scan::name;

/// Maximum depth below a directory.
const MAX_DEPTH: usize = 64;

/// Calls `visit` with each file, those of a directory by name, and with what cannot be listed. Symbolic links below a
/// directory are ignored.
pub(super) fn each(path: &Path, visit: &mut dyn FnMut(&Path, io::Result<()>)) {
    if path.is_dir() {
        descend(path, MAX_DEPTH, visit);
    } else {
        visit(path, Ok(()));
    }
}

fn descend(directory: &Path, depth: usize, visit: &mut dyn FnMut(&Path, io::Result<()>)) {
    let entries = match std::fs::read_dir(directory).and_then(Iterator::collect::<io::Result<Vec<_>>>) {
        Ok(entries) => entries,
        Err(error) => return visit(directory, Err(error)),
    };
    let mut found: Vec<(PathBuf, bool)> = Vec::new();
    for entry in entries {
        let Ok(kind) = entry.file_type() else { continue };
        // As scans do.
        if name::is_ignored(entry.file_name().as_bytes()) {
            continue;
        }
        let path = entry.path();
        if kind.is_dir() || kind.is_file() && is_video(&path) {
            found.push((path, kind.is_dir()));
        }
    }
    found.sort_unstable();
    for (path, is_directory) in found {
        match (is_directory, depth.checked_sub(1)) {
            (false, _) => visit(&path, Ok(())),
            (true, Some(depth)) => descend(&path, depth, visit),
            (true, None) => visit(&path, Err(io::Error::other("it is too deep"))),
        }
    }
}

fn is_video(path: &Path) -> bool {
    let extension = path.extension().and_then(|extension| extension.to_str()).unwrap_or_default();
    media::extensions().any(|known| extension.eq_ignore_ascii_case(known))
}
