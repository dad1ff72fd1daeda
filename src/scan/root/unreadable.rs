//! Why a root cannot be read, in words, and what to do about it. The words complete the sentence "the root … ".

use std::path::Path;

use rustix::io::Errno;

use crate::base::error::plain;
use crate::base::permission::denied;

/// Describes the error of opening `root`. Blocks for as long as its file system does.
pub(super) fn describe(root: &Path, error: Errno) -> String {
    match error {
        Errno::NOENT if is_list(root) => {
            "does not exist. For several directories, repeat --root, or separate them with `:` in \
             VPO_SCAN_ROOTS"
                .to_owned()
        }
        Errno::NOENT => "does not exist; mount the share, or correct scan.roots".to_owned(),
        Errno::NOTDIR if root.metadata().is_ok_and(|found| !found.is_dir()) => {
            "is a file; give the directory that contains it".to_owned()
        }
        Errno::ACCESS => format!("cannot be read: {}", denied(root)),
        error => {
            let why = plain(std::io::Error::from(error));
            format!("cannot be read: {why}; mount it, or take it out of scan.roots")
        }
    }
}

/// Whether the path looks like several ones: after a separator comes another path, or what is before it exists.
fn is_list(root: &Path) -> bool {
    let Some(path) = root.to_str() else { return false };
    path.match_indices([',', ':', ';']).any(|(at, _)| {
        path[at + 1..].trim_start().starts_with(['/', '~', '.']) || Path::new(&path[..at]).is_dir()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_that_are_lists_are_told_from_names_with_such_a_character() {
        for path in ["/nope,/b", "/nope:/b", "/nope; /b", "/tmp,videos"] {
            assert!(is_list(Path::new(path)), "{path}");
        }
        for path in ["/nope, The", "/nope:2", "/nope"] {
            assert!(!is_list(Path::new(path)), "{path}");
        }
    }
}
