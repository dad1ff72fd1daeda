//! Opens what is below a root, from the root's descriptor on. No symbolic link is followed, also not one that takes the
//! place of a directory in the meantime, so nothing outside the root is ever opened.

use std::path::{Component, Path, PathBuf};

use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::fs::{CWD, FileType, Mode, OFlags, RawMode, ResolveFlags};
use rustix::io::Errno;

use crate::base::descriptors;
use crate::scan::discover::{is_nothing, open_way};

/// An open root.
pub(crate) struct Beneath {
    root: PathBuf,
    directory: OwnedFd,
}

impl Beneath {
    /// Opens a root, which may be a symbolic link itself. It need not be readable.
    ///
    /// # Errors
    /// Of the kernel.
    pub(crate) fn new(root: &Path) -> Result<Self, Errno> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let directory = descriptors::open(|| rustix::fs::openat(CWD, root, flags, Mode::empty()))?;
        Ok(Self { root: root.to_owned(), directory })
    }

    /// Opens the file at `path`, which begins with the root, for reading. Does not wait for the writer of a FIFO.
    ///
    /// # Errors
    /// Of the kernel: `LOOP` or `NOTDIR` for a link. `NOENT` for a path that is not below the root.
    pub(crate) fn file(&self, path: &Path) -> Result<OwnedFd, Errno> {
        self.open(path, OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY)
    }

    /// What is at `path`, if anything is. A file is not opened for it, and need not be readable.
    ///
    /// # Errors
    /// Of the kernel, where it does not say that nothing is there.
    pub(super) fn kind(&self, path: &Path) -> Result<Option<FileType>, Errno> {
        if path == self.root {
            return Ok(Some(FileType::Directory));
        }
        match self.open(path, OFlags::PATH).and_then(|found| rustix::fs::fstat(&found)) {
            Ok(found) => Ok(Some(FileType::from_raw_mode(found.st_mode as RawMode))),
            // INVAL: a NUL is in it. Of such a path as of a name that is too long there never was a file.
            Err(error) if is_nothing(error) || error == Errno::INVAL => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn open(&self, path: &Path, flags: OFlags) -> Result<OwnedFd, Errno> {
        let below = path.strip_prefix(&self.root).map_err(|_| Errno::NOENT)?.components();
        // A walk makes no path with `..`, and one from the database must not lead elsewhere.
        if below.clone().any(|part| part == Component::ParentDir) {
            return Err(Errno::NOENT);
        }
        open(self.directory.as_fd(), below.as_path(), flags | OFlags::NOFOLLOW | OFlags::CLOEXEC)
    }
}

/// Opens `below` by one openat2(2), where there is one.
fn open(root: BorrowedFd<'_>, below: &Path, flags: OFlags) -> Result<OwnedFd, Errno> {
    let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS;
    match descriptors::open(|| rustix::fs::openat2(root, below, flags, Mode::empty(), resolve)) {
        // NOSYS: Linux before 5.6, emulators. PERM: seccomp profiles that do not know the call. NAMETOOLONG: a path of 4,096
        // bytes or more, which no call takes at once.
        Err(Errno::NOSYS | Errno::PERM | Errno::NAMETOOLONG) => open_by_name(root, below, flags),
        opened => opened,
    }
}

/// As [`open`], name by name.
fn open_by_name(root: BorrowedFd<'_>, below: &Path, flags: OFlags) -> Result<OwnedFd, Errno> {
    let name = below.file_name().ok_or(Errno::NOENT)?;
    let mut way: Option<OwnedFd> = None;
    for directory in below.parent().into_iter().flatten() {
        way = Some(open_way(way.as_ref().map_or(root, AsFd::as_fd), directory)?);
    }
    let parent = way.as_ref().map_or(root, AsFd::as_fd);
    descriptors::open(|| rustix::fs::openat(parent, name, flags, Mode::empty()))
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;
    use std::sync::atomic::{AtomicBool, Ordering};

    use rustix::fs::RenameFlags;

    use super::*;

    type Open = fn(BorrowedFd<'_>, &Path, OFlags) -> Result<OwnedFd, Errno>;

    /// Both ways, whatever the kernel has.
    const WAYS: [(&str, Open); 2] = [("open", open), ("open_by_name", open_by_name)];

    const READ: OFlags = OFlags::RDONLY.union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);
    const LOOK: OFlags = OFlags::PATH.union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);

    fn tree() -> (tempfile::TempDir, Beneath) {
        let top = tempfile::tempdir().expect("a directory");
        fs::create_dir_all(top.path().join("root/a/b")).expect("directories");
        fs::create_dir(top.path().join("out")).expect("a directory");
        fs::write(top.path().join("root/a/b/film"), "inside").expect("a file");
        fs::write(top.path().join("out/film"), "outside").expect("a file");
        symlink("../../out", top.path().join("root/a/out")).expect("a link");
        symlink("b/film", top.path().join("root/a/link")).expect("a link");
        let root = Beneath::new(&top.path().join("root")).expect("opens");
        (top, root)
    }

    #[test]
    fn opens_files_and_follows_no_link() {
        let (_top, root) = tree();
        for (way, open) in WAYS {
            let found = |path: &str, flags| {
                let opened = open(root.directory.as_fd(), Path::new(path), flags)?;
                rustix::fs::fstat(opened).map(|found| FileType::from_raw_mode(found.st_mode as RawMode))
            };
            assert_eq!(found("a/b/film", READ), Ok(FileType::RegularFile), "{way}");
            assert_eq!(found("a/b/film", LOOK), Ok(FileType::RegularFile), "{way}");
            assert_eq!(found("a/b", LOOK), Ok(FileType::Directory), "{way}");
            assert_eq!(found("a/link", LOOK), Ok(FileType::Symlink), "{way}");
            assert_eq!(found("a/link", READ), Err(Errno::LOOP), "{way}");
            for outside in ["a/out/film", "a/link/film", "a/b/film/x"] {
                let error = found(outside, READ).expect_err("not below the root");
                assert!(is_nothing(error), "{way} {outside}: {error}");
            }
            assert_eq!(found("a/none/film", LOOK), Err(Errno::NOENT), "{way}");
            assert_eq!(found("", LOOK), Err(Errno::NOENT), "{way}");
        }
    }

    #[test]
    fn path_that_is_not_below_the_root_holds_nothing() {
        let (top, root) = tree();
        let kind = |path: &str| root.kind(&top.path().join(path));
        assert_eq!(kind("root"), Ok(Some(FileType::Directory)));
        assert_eq!(kind("root/a/b/film"), Ok(Some(FileType::RegularFile)));
        assert_eq!(kind("root/a/out"), Ok(Some(FileType::Symlink)));
        let name = format!("root/{}", "x".repeat(300));
        for path in ["root/../out/film", "root/a/../../out/film", "out/film", "root/a/out/film", &name] {
            assert_eq!(kind(path), Ok(None), "{path}");
            assert!(root.file(&top.path().join(path)).is_err(), "{path}");
        }
    }

    #[test]
    fn path_longer_than_a_system_call_takes_is_opened() {
        let (_top, root) = tree();
        let name = "d".repeat(250);
        let mut directory = root.directory.try_clone().expect("a descriptor");
        for _ in 0..20 {
            rustix::fs::mkdirat(&directory, &name, Mode::RWXU).expect("a directory");
            directory = open_way(directory.as_fd(), &name).expect("opens");
        }
        let flags = OFlags::CREATE | OFlags::WRONLY | OFlags::CLOEXEC;
        rustix::fs::openat(&directory, "film", flags, Mode::RUSR).expect("a file");
        let path = root.root.join([name.as_str(); 20].join("/")).join("film");
        assert!(path.as_os_str().len() > 5000);
        assert_eq!(root.kind(&path), Ok(Some(FileType::RegularFile)));
        assert!(root.file(&path).is_ok());
        assert_eq!(root.kind(&path.with_file_name("none")), Ok(None));
    }

    #[test]
    fn nothing_outside_is_opened_while_a_directory_and_a_link_are_exchanged() {
        let (top, root) = tree();
        let link = top.path().join("root/link");
        symlink(top.path().join("out"), &link).expect("a link");
        let is_over = AtomicBool::new(false);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                let directory = top.path().join("root/a/b");
                while !is_over.load(Ordering::Relaxed) {
                    rustix::fs::renameat_with(CWD, &directory, CWD, &link, RenameFlags::EXCHANGE)
                        .expect("exchanged");
                }
            });
            let mut strange = Vec::new();
            for (way, open) in WAYS {
                let (mut inside, mut nothing) = (0, 0);
                while (inside < 200 || nothing < 200) && strange.is_empty() {
                    let opened = open(root.directory.as_fd(), Path::new("a/b/film"), READ);
                    match opened.and_then(rustix::fs::fstat).map(|found| found.st_size) {
                        Ok(6) => inside += 1,
                        Err(error) if is_nothing(error) => nothing += 1,
                        other => strange.push((way, other)),
                    }
                }
            }
            is_over.store(true, Ordering::Relaxed);
            assert_eq!(strange, [], "a file outside the root has 7 bytes");
        });
    }
}
