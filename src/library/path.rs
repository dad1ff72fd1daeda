//! Paths of the database and of the files beside it. Resolves names; opens nothing.

use std::path::{Path, PathBuf};

/// The directory that `path` is in; `/` for the root itself.
pub(super) fn directory(path: &Path) -> &Path {
    path.parent().unwrap_or(Path::new("/"))
}

/// The file that SQLite keeps beside the database, under its (real) name and a suffix.
pub(super) fn companion(library: &Path, suffix: &str) -> PathBuf {
    appended(&real(library), suffix)
}

/// The lock file beside `library`: its name with `.lock` appended.
#[must_use]
pub(super) fn lock(library: &Path) -> PathBuf {
    appended(library, ".lock")
}

fn appended(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

/// `path` with its symbolic links followed as far as they lead, so that every name of a library leads to one
/// lock, also while the library itself is missing.
#[must_use]
pub(super) fn real(path: &Path) -> PathBuf {
    if let Ok(real) = path.canonicalize() {
        return real;
    }
    let mut path = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    // A dangling link: at most as many hops as the kernel takes (path_resolution(7)).
    for _ in 0..40 {
        let Ok(target) = path.read_link() else { break };
        path = directory(&path).join(target);
    }
    match (directory(&path).canonicalize(), path.file_name()) {
        (Ok(parent), Some(name)) => parent.join(name),
        _ => path,
    }
}
