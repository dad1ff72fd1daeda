//! Why this process may not read a file or a directory, and the fix, in words.

use std::os::unix::fs::MetadataExt;
use std::path::Path;

use rustix::fs::{Access, AtFlags, CWD, accessat};
use rustix::process::{getegid, geteuid};

/// Explains that `path` cannot be read: our user, the owner and mode of what is in the way, and the fix. Blocks for as long
/// as its file system does.
pub(crate) fn denied(path: &Path) -> String {
    let may = |place: &Path, access| accessat(CWD, place, access, AtFlags::EACCESS).is_ok();
    let (uid, gid) = (geteuid().as_raw(), getegid().as_raw());
    let shut = path.ancestors().skip(1).filter(|place| !may(place, Access::EXEC_OK)).last();
    let place = shut.unwrap_or(path);
    let found = place.metadata().ok();
    let bits = match &found {
        _ if shut.is_some() => "x",
        Some(found) if found.is_dir() => "rx",
        _ => "r",
    };
    let owner = found.map_or_else(
        || " is not for it".to_owned(),
        |found| {
            format!(" belongs to {}:{} with mode {:04o}", found.uid(), found.gid(), found.mode() & 0o7777)
        },
    );
    let place = place.display();
    format!(
        "permission denied: vpo runs as {uid}:{gid}, and {place}{owner}. Give that user access, for example with \
         `setfacl -m u:{uid}:{bits} {place}`"
    )
}
