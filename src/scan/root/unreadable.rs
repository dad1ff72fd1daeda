//! Why a root cannot be read, in words, and what to do about it. The words complete the sentence "the root … ".

use std::fs::Metadata;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use rustix::fs::{Access, AtFlags, CWD, accessat};
use rustix::io::Errno;
use rustix::process::{getegid, geteuid};

use crate::base::error::plain;

/// Describes the error of opening `root`. Blocks for as long as its file system does.
pub(super) fn describe(root: &Path, error: Errno) -> String {
    match error {
        Errno::NOENT => match separated(root) {
            Some((separator, first)) => format!(
                "does not exist. If these are several directories, of which {first} is the first: `{separator}` does not separate \
                 them. VPO_SCAN_ROOTS separates them with `:`, and --root is repeated"
            ),
            None => "does not exist; mount it, or correct scan.roots".to_owned(),
        },
        Errno::NOTDIR if root.metadata().is_ok_and(|found| !found.is_dir()) => {
            "is a file; give the directory that contains it".to_owned()
        }
        Errno::ACCESS => denied(root),
        error => {
            let why = plain(std::io::Error::from(error));
            format!("cannot be read: {why}; mount it, or take it out of scan.roots")
        }
    }
}

/// A separator in the path, and what is before it, if what follows looks like another path.
fn separated(root: &Path) -> Option<(char, &str)> {
    let path = root.to_str()?;
    let mut places = path.match_indices([',', ':', ';']);
    places.find_map(|(at, separator)| {
        let (first, rest) = (&path[..at], path[at + 1..].trim_start());
        let is_list = rest.starts_with(['/', '~', '.']) || Path::new(first).is_dir();
        is_list.then_some((separator.chars().next()?, first))
    })
}

/// Names the directory that this user may not enter or read, and the way to change that.
fn denied(root: &Path) -> String {
    let may = |place: &Path, access| accessat(CWD, place, access, AtFlags::EACCESS).is_ok();
    let mut above: Vec<&Path> = root.ancestors().skip(1).collect();
    above.reverse();
    let shut = above.into_iter().find(|place| !may(place, Access::EXEC_OK));
    let (place, bits) = shut.map_or((root, "rx"), |place| (place, "x"));
    let owner = |found: Metadata| {
        format!(" belongs to {}:{} with mode {:04o}", found.uid(), found.gid(), found.mode() & 0o7777)
    };
    let owner = place.metadata().map_or_else(|_| " is not for it".to_owned(), owner);
    let place = place.display();
    format!(
        "cannot be read: permission denied. We run as uid {}, gid {}, and {place}{owner}. Run `chmod o+{bits} {place}`, or add \
         that user to the directory's group",
        geteuid().as_raw(),
        getegid().as_raw()
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_that_are_lists_are_told_from_names_with_such_a_character() {
        for (path, first) in [
            ("/nope,/b", Some((',', "/nope"))),
            ("/nope:/b", Some((':', "/nope"))),
            ("/nope; /b", Some((';', "/nope"))),
            ("/tmp,videos", Some((',', "/tmp"))),
            ("/nope, The", None),
            ("/nope:2", None),
        ] {
            assert_eq!(separated(Path::new(path)), first, "{path}");
        }
    }
}
