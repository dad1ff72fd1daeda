//! Explains in one line why a path cannot be used: our uid and gid, owners and modes, the component of the path that blocks
//! it, the type of the file system, and the fix. Called only after a failure; opens nothing.

use std::fmt::Write as _;
use std::fs::Metadata;
use std::io;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::Path;

use rusqlite::ErrorCode;
use rustix::fs::{Access, AtFlags, CWD, StatVfs, accessat, statvfs};
use rustix::io::Errno;
use rustix::process::{Resource, getegid, geteuid, getrlimit};

use super::file_system::{self, is_read_only, is_remote};
use super::path::{companion, directory};
use crate::base::error::plain;

/// The hint for a full disk or quota.
pub(super) const MAKE_ROOM: &str = "make room there, or raise the quota";

/// The hint where the size of files is limited.
pub(super) const RAISE_LIMIT: &str =
    "raise the limit on the size of files (ulimit -f, LimitFSIZE=), or look at the disk and the kernel's log";

/// The room that SQLite needs beside a database, in bytes: the index of a log has 32 KiB.
const LEAST_ROOM: u64 = 64 << 10;

/// Whether our effective uid and gid may read `path`.
pub(super) fn readable(path: &Path) -> bool {
    accessat(CWD, path, Access::READ_OK, AtFlags::EACCESS).is_ok()
}

/// Whether our effective uid and gid may write `path`: mode, access lists and mount allow it.
pub(super) fn writable(path: &Path) -> bool {
    accessat(CWD, path, Access::WRITE_OK, AtFlags::EACCESS).is_ok()
}

/// Whether we may create files in the directory `path`.
pub(super) fn directory_writable(path: &Path) -> bool {
    accessat(CWD, path, Access::WRITE_OK | Access::EXEC_OK, AtFlags::EACCESS).is_ok()
}

/// The type of a file, in words.
pub(super) fn kind(metadata: &Metadata) -> &'static str {
    let kind = metadata.file_type();
    if kind.is_file() {
        "a file"
    } else if kind.is_dir() {
        "a directory"
    } else if kind.is_fifo() {
        "a named pipe (FIFO)"
    } else if kind.is_socket() {
        "a socket"
    } else if kind.is_block_device() || kind.is_char_device() {
        "a device"
    } else {
        "not a regular file"
    }
}

/// Whether the size of files that this process writes is limited (`ulimit -f`). SQLite reports a write beyond the limit as
/// any other error of a disk.
pub(super) fn has_file_size_limit() -> bool {
    getrlimit(Resource::Fsize).current.is_some()
}

/// Everything that decides on the access to `path`, and the fix, in one line.
pub(super) fn access(path: &Path) -> String {
    let (uid, gid) = (geteuid().as_raw(), getegid().as_raw());
    let mut text = format!("vpo runs as {uid}:{gid}");
    let directory = directory(path);
    match std::fs::metadata(path) {
        Ok(found) => {
            let _ = write!(text, "; the file belongs to {}", owner(&found));
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => text.push_str("; the file is not there"),
        Err(_) => {}
    }
    for place in directory.ancestors() {
        if let Ok(found) = std::fs::metadata(place) {
            let whose = if place == directory { "its directory" } else { "of the path to it only" };
            let _ = write!(text, "; {whose} {} belongs to {}", place.display(), owner(&found));
            break;
        }
    }
    if let Some(obstacle) = obstacle(path) {
        let _ = write!(text, "; {obstacle}");
    }
    let place = file_system::name_at(path);
    let read_only = path.ancestors().find(|place| statvfs(*place).is_ok()).is_some_and(is_read_only);
    let _ = write!(
        text,
        "; on {}{place}, mounted {}",
        if is_remote(&place) { "the network or user-space file system " } else { "" },
        if read_only { "read-only" } else { "read-write" },
    );
    let _ = write!(text, ". Fix: {}", fix(path, read_only, uid, gid));
    text
}

/// The cause and the fix of an `error` from `path` that permissions do not explain.
pub(super) fn fault(path: &Path, error: &io::Error) -> Option<String> {
    match Errno::from_io_error(error)? {
        Errno::NOTDIR => {
            let found = |place: &Path| std::fs::metadata(place).ok().filter(|found| !found.is_dir());
            let (place, found) = path.ancestors().skip(1).find_map(|place| Some((place, found(place)?)))?;
            Some(format!(
                "{} is {}, not a directory: correct `database.path`, or move that away",
                place.display(),
                kind(&found)
            ))
        }
        Errno::LOOP => {
            let loops = |place: &&Path| {
                std::fs::metadata(place).is_err_and(|error| Errno::from_io_error(&error) == Some(Errno::LOOP))
            };
            let place = path.ancestors().filter(loops).last()?;
            Some(format!(
                "{} is a symbolic link that leads in a circle: remove it, or let it lead to what belongs there",
                place.display()
            ))
        }
        Errno::NAMETOOLONG => Some(
            "a name in that path, or one that is made of it, is too long: correct `database.path`".to_owned(),
        ),
        Errno::NOSPC | Errno::DQUOT => {
            Some(format!("the file system ({}) is full: {MAKE_ROOM}", file_system::name_at(path)))
        }
        Errno::FBIG => Some(RAISE_LIMIT.to_owned()),
        _ => None,
    }
}

/// The fix, limited to what blocks the path.
fn fix(path: &Path, read_only: bool, uid: u32, gid: u32) -> String {
    let directory = directory(path);
    let shown = directory.display();
    if read_only {
        return format!(
            "mount {shown} writable: a container volume without `:ro` (with `:U`, or `--userns=keep-id`, so that \
             it is ours), `ReadWritePaths={shown}` in a systemd unit"
        );
    }
    if is_missing(directory) {
        return format!("make its directory, and give it to us: `install -d -o {uid} -g {gid} {shown}`");
    }
    let mut fixes = Vec::new();
    let shut = |place: &&Path| {
        std::fs::metadata(place).is_ok_and(|found| found.is_dir())
            && accessat(CWD, *place, Access::EXEC_OK, AtFlags::EACCESS).is_err()
    };
    if let Some(place) = directory.ancestors().skip(1).filter(shut).last() {
        fixes.push(format!("let us enter {0} (`chmod o+x {0}`)", place.display()));
    }
    let mut ours = Vec::new();
    if std::fs::metadata(directory).is_ok() && !directory_writable(directory) {
        ours.push(shown.to_string());
    }
    for suffix in ["", "-wal", "-shm", "-journal"] {
        let file = companion(path, suffix);
        if std::fs::metadata(&file).is_ok_and(|found| found.is_file())
            && !(readable(&file) && writable(&file))
        {
            ours.push(file.display().to_string());
        }
    }
    if !ours.is_empty() {
        let ours = ours.join(" ");
        fixes.push(format!("`chown {uid}:{gid} {ours}` and `chmod u+rwX {ours}`"));
    }
    if fixes.is_empty() && descriptors_ran_out() {
        return "raise the limit on open files (`ulimit -n`, `LimitNOFILE=`)".to_owned();
    }
    if fixes.is_empty() && is_full(directory) {
        return format!("{} is full: {MAKE_ROOM}", file_system::name_at(directory));
    }
    if fixes.is_empty() {
        fixes.push("owners and modes are in order, so look at the file system, at SELinux (volume flag `:Z`) and AppArmor".into());
    }
    format!(
        "{}; in a container the volume flag `:U`, or `--userns=keep-id`; in a systemd unit `ReadWritePaths={shown}`",
        fixes.join(", ")
    )
}

/// Whether an error of the disk only means that it is full. SQLite reports any other error of a disk where it cannot make the index
/// of a log.
pub(super) fn is_for_full_disk(path: &Path, error: &rusqlite::Error) -> bool {
    error.sqlite_error_code() == Some(ErrorCode::SystemIoFailure) && is_full(directory(path))
}

/// Whether the file system of `directory` has no room for what SQLite needs.
pub(super) fn is_full(directory: &Path) -> bool {
    // Those of the kernel, like /proc, have no blocks at all.
    let is_full =
        |found: StatVfs| found.f_blocks > 0 && found.f_bavail.saturating_mul(found.f_frsize) < LEAST_ROOM;
    statvfs(directory).is_ok_and(is_full)
}

/// Whether the limit on open files is reached. SQLite then only reports that it cannot open a file.
fn descriptors_ran_out() -> bool {
    matches!(rustix::io::dup(io::stderr()), Err(Errno::MFILE | Errno::NFILE))
}

fn is_missing(path: &Path) -> bool {
    std::fs::metadata(path).is_err_and(|error| error.kind() == io::ErrorKind::NotFound)
}

fn owner(found: &Metadata) -> String {
    format!("{}:{} with mode {:04o}", found.uid(), found.gid(), found.mode() & 0o7777)
}

/// The first component of `path` that blocks us.
fn obstacle(path: &Path) -> Option<String> {
    let mut places: Vec<&Path> = path.ancestors().skip(1).collect();
    places.reverse();
    for place in places {
        match std::fs::metadata(place) {
            Ok(found) if !found.is_dir() => return Some(format!("{} is {}", place.display(), kind(&found))),
            Ok(found) if accessat(CWD, place, Access::EXEC_OK, AtFlags::EACCESS).is_err() => {
                return Some(format!("{} (of {}) may not be entered", place.display(), owner(&found)));
            }
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Some(format!("{} does not exist", place.display()));
            }
            Err(error) => return Some(format!("{}: {}", place.display(), plain(&error))),
        }
    }
    let may = |what| accessat(CWD, path, what, AtFlags::EACCESS).is_ok();
    let is_there = std::fs::metadata(path).is_ok();
    if is_there && !may(Access::READ_OK) {
        Some("the file may not be read".to_owned())
    } else if is_there && !may(Access::WRITE_OK) {
        Some("the file may not be written".to_owned())
    } else {
        let directory = path.parent()?;
        (!directory_writable(directory)).then(|| format!("{} may not be written", directory.display()))
    }
}
