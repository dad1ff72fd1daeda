//! Types of file systems: their names, and whether other machines or programs answer for them.

use std::path::Path;

use rustix::fs::{StatFs, StatVfsMountFlags, statfs, statvfs};

/// Names by the magic number of statfs(2), as in linux/magic.h and the kernel's sources. A completed scan stores its
/// root's and the next one compares, so a name does not change.
const NAMES: &[(u32, &str)] = &[
    (0x0000_6969, "nfs"),
    (0xff53_4d42, "cifs"),
    (0xfe53_4d42, "smb2"),
    (0x0000_517b, "smb"),
    (0x6573_5546, "fuse"),
    (0x0102_1997, "9p"),
    (0x00c3_6400, "ceph"),
    (0x5346_414f, "afs"),
    (0x7375_7245, "coda"),
    (0x786f_4256, "vboxsf"),
    (0x6a65_6a63, "fakeowner"), // Docker Desktop's shared directories
    (0x0000_0187, "autofs"),
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
    (0x7366_746e, "ntfs"),
    (0x5346_544e, "ntfs"),
    (0x7371_7368, "squashfs"),
    (0xe0f5_e1e2, "erofs"),
    (0x0000_9660, "iso9660"),
];

/// The bytes of a database with its log, and those that are free on its disk; `None` if it cannot be reached. May block.
#[must_use]
pub(crate) fn space(database: &Path) -> Option<(u64, u64)> {
    let found = statvfs(database).ok()?;
    let bytes = |path: &Path| path.metadata().map_or(0, |found| found.len());
    let used = bytes(database) + bytes(&super::path::companion(database, "-wal"));
    Some((used, found.f_bavail.saturating_mul(found.f_frsize)))
}

/// The type of a file system by what statfs(2) says of it; an unknown one's number in hexadecimal.
#[must_use]
pub(crate) fn name(found: &StatFs) -> String {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "magic numbers are 32 bits")]
    let magic = found.f_type as u32;
    let known = NAMES.iter().find(|(number, _)| *number == magic);
    known.map_or_else(|| format!("{magic:#x}"), |(_, name)| (*name).to_owned())
}

/// Whether other machines, or other programs, answer for it: then inotify(7) does not tell what they change.
#[must_use]
pub(crate) fn is_remote(name: &str) -> bool {
    matches!(
        name,
        "nfs" | "cifs" | "smb2" | "smb" | "fuse" | "9p" | "ceph" | "afs" | "coda" | "vboxsf" | "fakeowner"
    )
}

/// The type of the file system that `path`, or the nearest of its directories that can be reached, is on.
pub(super) fn name_at(path: &Path) -> String {
    path.ancestors()
        .find_map(|place| statfs(place).ok())
        .map_or_else(|| "unknown".to_owned(), |found| name(&found))
}

/// Whether `path` is on a file system that is mounted read-only.
pub(super) fn is_read_only(path: &Path) -> bool {
    statvfs(path).is_ok_and(|found| found.f_flag.contains(StatVfsMountFlags::RDONLY))
}
