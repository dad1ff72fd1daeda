//! Why a path cannot be used, for people: who we are, who owns what with which mode, which component of the
//! path is in the way, what kind of file system it is on, and the fix. One line, made only when something
//! has already failed; it opens nothing.

use std::fmt::Write as _;
use std::fs::Metadata;
use std::io;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::Path;

use rustix::fs::{Access, AtFlags, CWD, StatVfsMountFlags, accessat, statfs, statvfs};
use rustix::io::Errno;
use rustix::process::{getegid, geteuid};

/// Types of file systems by the magic number of statfs(2), as in linux/magic.h and the kernel's sources.
const FILE_SYSTEMS: &[(u32, &str)] = &[
    (0x0000_6969, "nfs"),
    (0xff53_4d42, "cifs"),
    (0xfe53_4d42, "smb2"),
    (0x0000_517b, "smb"),
    (0x6573_5546, "fuse"),
    (0x0102_1997, "9p"),
    (0x00c3_6400, "ceph"),
    (0x5346_414f, "afs"),
    (0x794c_7630, "overlay"),
    (0x0102_1994, "tmpfs"),
    (0x8584_58f6, "ramfs"),
    (0x0000_ef53, "ext4"),
    (0x5846_5342, "xfs"),
    (0x9123_683e, "btrfs"),
    (0x2fc1_2fc1, "zfs"),
    (0xca45_1a4e, "bcachefs"),
    (0xf2f5_2010, "f2fs"),
    (0x0000_4d44, "vfat"),
    (0x2011_bab0, "exfat"),
    (0x7366_746e, "ntfs3"),
    (0x5346_544e, "ntfs"),
    (0x7371_7368, "squashfs"),
    (0xe0f5_e1e2, "erofs"),
    (0x0000_9660, "iso9660"),
    (0x786f_4256, "vboxsf"),
    (0x6a65_6a63, "virtiofs"),
];

/// Those that other machines, or other programs, answer for.
const REMOTE: &[&str] = &["nfs", "cifs", "smb2", "smb", "fuse", "9p", "ceph", "afs", "vboxsf", "virtiofs"];

/// The type of the file system that `path`, or the nearest of its directories that can be reached, is on.
pub(super) fn file_system(path: &Path) -> String {
    for place in path.ancestors() {
        if let Ok(found) = statfs(place) {
            #[expect(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "magic numbers are 32 bits"
            )]
            let magic = found.f_type as u32;
            return FILE_SYSTEMS
                .iter()
                .find(|(number, _)| *number == magic)
                .map_or_else(|| format!("file system {magic:#x}"), |(_, name)| (*name).to_owned());
        }
    }
    "unknown file system".to_owned()
}

/// Whether `path` is on a file system that is mounted read-only.
pub(super) fn on_read_only_mount(path: &Path) -> bool {
    statvfs(path).is_ok_and(|found| found.f_flag.contains(StatVfsMountFlags::RDONLY))
}

/// Whether we, as who we effectively are, may read `path`.
pub(super) fn readable(path: &Path) -> bool {
    accessat(CWD, path, Access::READ_OK, AtFlags::EACCESS).is_ok()
}

/// Whether we, as who we effectively are, may write `path`: its mode, lists and mount all allow it.
pub(super) fn writable(path: &Path) -> bool {
    accessat(CWD, path, Access::WRITE_OK, AtFlags::EACCESS).is_ok()
}

/// The same for a directory and the making of files in it.
pub(super) fn directory_writable(path: &Path) -> bool {
    accessat(CWD, path, Access::WRITE_OK | Access::EXEC_OK, AtFlags::EACCESS).is_ok()
}

/// What `metadata` is, in words.
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

/// All that is known about the access to `path`, and the fix, in one line.
pub(super) fn access(path: &Path) -> String {
    let (uid, gid) = (geteuid().as_raw(), getegid().as_raw());
    let mut text = format!("we run as uid {uid}, gid {gid}");
    let directory = path.parent().unwrap_or(Path::new("/"));
    match std::fs::metadata(path) {
        Ok(found) => {
            let _ = write!(text, "; the file is owned by {}", owner(&found));
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => text.push_str("; the file is not there"),
        Err(_) => {}
    }
    if let Ok(found) = std::fs::metadata(directory) {
        let _ = write!(text, "; its directory {} by {}", directory.display(), owner(&found));
    }
    if let Some(obstacle) = obstacle(path) {
        let _ = write!(text, "; {obstacle}");
    }
    let place = file_system(path);
    let read_only = path.ancestors().find(|place| statvfs(*place).is_ok()).is_some_and(on_read_only_mount);
    let _ = write!(
        text,
        "; on {}{place}, mounted {}",
        if REMOTE.contains(&place.as_str()) { "the network or user-space file system " } else { "" },
        if read_only { "read-only" } else { "read-write" },
    );
    let _ = write!(text, ". Fix: {}", fix(path, read_only, uid, gid));
    text
}

/// What is wrong with the way to `path`, and the fix, where `error` is no matter of permissions.
pub(super) fn way(path: &Path, error: &io::Error) -> Option<String> {
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
        Errno::NAMETOOLONG => Some("a name in that path is too long: correct `database.path`".to_owned()),
        _ => None,
    }
}

/// What to do, and only to what is in the way.
fn fix(path: &Path, read_only: bool, uid: u32, gid: u32) -> String {
    let directory = path.parent().unwrap_or(Path::new("/"));
    let shown = directory.display();
    if read_only {
        return format!(
            "mount {shown} writable: a container volume without `:ro` (with `:U`, or `--userns=keep-id`, so that \
             it is ours), `ReadWritePaths={shown}` in a systemd unit"
        );
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
        let file = super::connection::companion(path, suffix);
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
    if fixes.is_empty() {
        fixes.push("owners and modes are in order, so look at the file system, at SELinux (volume flag `:Z`) and AppArmor".into());
    }
    format!(
        "{}; in a container the volume flag `:U`, or `--userns=keep-id`; in a systemd unit `ReadWritePaths={shown}`",
        fixes.join(", ")
    )
}

fn owner(found: &Metadata) -> String {
    format!("{}:{} with mode {:04o}", found.uid(), found.gid(), found.mode() & 0o7777)
}

/// The first component of `path` that stops us.
fn obstacle(path: &Path) -> Option<String> {
    let mut places: Vec<&Path> = path.ancestors().skip(1).collect();
    places.reverse();
    for place in places {
        match std::fs::metadata(place) {
            Ok(found) if !found.is_dir() => return Some(format!("{} is {}", place.display(), kind(&found))),
            Ok(found) if accessat(CWD, place, Access::EXEC_OK, AtFlags::EACCESS).is_err() => {
                return Some(format!("{} (owned by {}) may not be entered", place.display(), owner(&found)));
            }
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Some(format!("{} does not exist", place.display()));
            }
            Err(error) => return Some(format!("{}: {error}", place.display())),
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
