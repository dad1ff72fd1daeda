//! The walk of a root: what is there, in the order of the library's index.
//!
//! One directory is held open per level and every file costs one `fstatat`; names are kept for one directory
//! at a time. Files come in the byte order of their stored paths, so that a walk and an ordered query can be
//! laid side by side like two sorted lists, and neither has to be held in memory.
//!
//! The root itself may be a symbolic link. Below it none is followed, also not on the way to a part of it that was asked
//! for: what one points to within the root is found there by itself, and what lies outside is not the root's. Hence no
//! cycles and no file twice.

mod beside;
mod names;

use std::borrow::Cow;
use std::ffi::{CStr, OsStr};
use std::ops::ControlFlow;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::fs::{AtFlags, CWD, FileType, Mode, OFlags, RawMode, StatxAttributes, StatxFlags};
use rustix::io::Errno;
use rustix::path::Arg;

use self::beside::Beside;
use self::names::Names;
use super::examples::{EXAMPLES_KEPT, Examples};
use super::name;
use super::passed_over::PassedOver;
use crate::base::descriptors;
use crate::base::error;
use crate::base::timestamp::Timestamp;

/// Directories within directories that are entered. Beyond lies a mistake, not a library, and every level
/// holds a descriptor.
pub(crate) const DEEPEST: usize = 256;

/// A video found.
#[derive(Debug)]
pub(crate) struct Found<'a> {
    /// Its path as the library stores it.
    pub path: &'a str,
    /// Its path for the kernel.
    pub raw: &'a [u8],
    /// Bytes.
    pub size: u64,
    /// Its mtime.
    pub modified: Timestamp,
    /// Names of its subtitle files, relative to its directory, ordered, with two slashes between them; `None` if a directory
    /// of them cannot be read.
    pub subtitles: Option<&'a str>,
}

/// What a walk meets, in the order of stored paths.
pub(crate) enum Met<'a> {
    Video(Found<'a>),
    /// A file or directory that cannot be read, by its stored path. A directory's ends with a slash: the walk does not know
    /// what is below it.
    Unread(&'a str),
    /// Nothing new. Sent once in a while, so that a walk that finds nothing can be stopped.
    Nothing,
}

/// What a walk looks for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rules<'a> {
    /// The root that the walk does not leave.
    pub root: &'a Path,
    /// Extensions of videos, lower case, without the dot.
    pub extensions: &'a [String],
    /// Directories that belong to somebody else (other roots within this one).
    pub except: &'a [Vec<u8>],
}

/// What a walk met besides videos.
#[derive(Debug, Default)]
pub(crate) struct Walked {
    /// What could not be read: one line each for the first few.
    pub errors: Examples,
    /// How many could not be read.
    pub error_count: u64,
    /// Where the first few of those are, in the kernel's bytes, if reading them could work another time.
    pub places: Vec<PathBuf>,
    /// Mount points below, as stored paths.
    pub mounts: Vec<String>,
    /// Directories entered.
    pub directories: u64,
    /// Symbolic links with a video's name, or to be followed into a directory, passed over.
    pub symlinks: u64,
    /// Names that are not UTF-8 and are passed over, because another name of the directory is stored alike.
    pub clashes: u64,
    /// The first few of those, for people.
    pub clash_examples: Examples,
    /// Subtitle files that belong to no video.
    pub unmatched_subtitles: u64,
    /// Files that are not read.
    pub passed_over: PassedOver,
    /// The visitor said stop.
    pub stopped: bool,
}

impl Walked {
    pub(crate) fn error(&mut self, path: &str, raw: &[u8], error: Errno) {
        let place = Path::new(OsStr::from_bytes(raw));
        self.error_count += 1;
        self.errors.push(|| format!("{path}: {}", error::at(place, error)));
        // What is too deep stays so.
        if error != Errno::NAMETOOLONG && self.places.len() < EXAMPLES_KEPT {
            self.places.push(place.to_owned());
        }
    }

    fn clash(&mut self, path: String) {
        self.clashes += 1;
        self.clash_examples.push(|| path);
    }

    /// Adds what another walk met.
    pub(crate) fn add(&mut self, other: Self) {
        self.errors.add(other.errors);
        self.places.extend(other.places);
        self.places.truncate(EXAMPLES_KEPT);
        self.error_count += other.error_count;
        self.mounts.extend(other.mounts);
        self.directories += other.directories;
        self.symlinks += other.symlinks;
        self.clashes += other.clashes;
        self.clash_examples.add(other.clash_examples);
        self.unmatched_subtitles += other.unmatched_subtitles;
        self.passed_over.add(&other.passed_over);
    }
}

/// Visits every video at or below `target`, which is the root or below it, in the order of their stored paths.
///
/// A path that is not there has no videos, and neither has one that a walk of the root would not come to (hidden, behind
/// a link, another root's); what that means, the caller must say.
pub(crate) fn walk(
    target: &Path,
    rules: Rules<'_>,
    visit: &mut dyn FnMut(Met<'_>) -> ControlFlow<()>,
) -> Walked {
    let raw = rules.root.as_os_str().as_bytes();
    let raw = raw.strip_suffix(b"/").unwrap_or(raw).to_vec();
    let (path, listed, seen) = (encode_path(&raw), Vec::new(), Walked::default());
    let mut walk = Walk { rules, visit, path, raw, listed, seen };
    if walk.target(target).is_break() {
        walk.seen.stopped = true;
    }
    walk.seen
}

/// Whether scans ignore a path, given from the root on: it is hidden or the system's, or something above it is.
pub(crate) fn is_ignored(below: &Path) -> bool {
    below.components().any(|part| name::is_ignored(part.as_os_str().as_bytes()))
}

/// The kernel's bytes of a path as the library stores them.
pub(crate) fn encode_path(raw: &[u8]) -> String {
    let parts: Vec<_> = raw.split(|byte| *byte == b'/').map(name::encode).collect();
    parts.join("/")
}

/// A path as the library stores it.
#[must_use]
pub(crate) fn stored(path: &Path) -> String {
    encode_path(path.as_os_str().as_bytes())
}

/// Whether an open directory is the top of a mount; by `statx` where the kernel tells, else by its device.
pub(crate) fn is_mount_point(directory: BorrowedFd<'_>) -> Result<bool, Errno> {
    if let Ok(found) = rustix::fs::statx(directory, c"", AtFlags::EMPTY_PATH, StatxFlags::BASIC_STATS)
        && found.stx_attributes_mask.contains(StatxAttributes::MOUNT_ROOT)
    {
        return Ok(found.stx_attributes.contains(StatxAttributes::MOUNT_ROOT));
    }
    let own = rustix::fs::fstat(directory)?;
    let above = rustix::fs::statat(directory, c"..", AtFlags::empty())?;
    Ok(own.st_dev != above.st_dev || own.st_ino == above.st_ino)
}

/// Opens a directory for reading its names.
pub(crate) fn open_directory(
    at: BorrowedFd<'_>,
    name: impl Arg + Copy,
    follow: bool,
) -> Result<OwnedFd, Errno> {
    let follow = if follow { OFlags::empty() } else { OFlags::NOFOLLOW };
    open(at, name, OFlags::RDONLY | OFlags::NONBLOCK | follow)
}

/// The names of the subtitle files of one video, as [`Found::subtitles`].
pub(crate) fn subtitles_of(parent: BorrowedFd<'_>, name: &CStr, extensions: &[String]) -> Option<String> {
    // The way to it may not be open for reading.
    let directory = open_directory(parent, c".", false).ok()?;
    let mut names = Names::read(directory.as_fd(), extensions).ok()?;
    let index = names.iter().position(|other| other.raw == name)?;
    Beside::read(directory.as_fd(), &mut names, &mut |_| true).of(index).map(Cow::into_owned)
}

/// Opens a directory below another only to go through it, for which it need not be readable. No link is followed.
pub(crate) fn open_way(at: BorrowedFd<'_>, name: impl Arg + Copy) -> Result<OwnedFd, Errno> {
    open(at, name, OFlags::PATH | OFlags::NOFOLLOW)
}

fn open(at: BorrowedFd<'_>, name: impl Arg + Copy, flags: OFlags) -> Result<OwnedFd, Errno> {
    let flags = flags | OFlags::DIRECTORY | OFlags::CLOEXEC;
    descriptors::open(|| rustix::fs::openat(at, name, flags, Mode::empty()))
}

/// Whether an error of opening says that there is no such file or directory, or that a link is in its place.
pub(crate) fn is_nothing(error: Errno) -> bool {
    matches!(error, Errno::NOENT | Errno::NOTDIR | Errno::LOOP | Errno::NAMETOOLONG)
}

struct Walk<'a, 'v> {
    rules: Rules<'a>,
    visit: &'v mut dyn FnMut(Met<'_>) -> ControlFlow<()>,
    path: String,
    raw: Vec<u8>,
    /// Folders of which the subtitle files were assigned to the videos above, until the walk comes to them.
    listed: Vec<Vec<u8>>,
    seen: Walked,
}

impl Walk<'_, '_> {
    /// From the root to what was asked for, a name at a time.
    fn target(&mut self, target: &Path) -> ControlFlow<()> {
        let Ok(below) = target.strip_prefix(self.rules.root) else { return ControlFlow::Continue(()) };
        if is_ignored(below) {
            return ControlFlow::Continue(());
        }
        let mut directory = match open_directory(CWD, self.rules.root, true) {
            Ok(root) => root,
            Err(error) => return self.not_opened(error, 0),
        };
        let mut names = below.iter().peekable();
        let mut depth = 0;
        while let Some(name) = names.next() {
            let Ok(name) = name.into_c_str() else { return ControlFlow::Continue(()) };
            self.raw.push(b'/');
            self.raw.extend_from_slice(name.to_bytes());
            self.path = encode_path(&self.raw);
            if names::is_clash(directory.as_fd(), &name) {
                self.seen.clash(name::shown(&self.raw));
                return ControlFlow::Continue(());
            }
            depth += 1;
            directory = match self.enter(directory.as_fd(), &name, depth, names.peek().is_some()) {
                Ok(Some(next)) => next,
                Ok(None) => return ControlFlow::Continue(()),
                Err(Errno::NOTDIR | Errno::LOOP) if names.peek().is_none() => {
                    return self.only_file(directory.as_fd(), &name);
                }
                Err(error) => return self.not_opened(error, depth),
            };
        }
        self.directory(directory.as_fd(), depth)
    }

    fn not_opened(&mut self, error: Errno, depth: usize) -> ControlFlow<()> {
        // Gone, or become something else, since its name was read.
        let is_gone = is_nothing(error) && depth <= DEEPEST;
        if is_gone { ControlFlow::Continue(()) } else { self.unread(error, "/") }
    }

    /// The file or (with a slash as `end`) directory at the present path cannot be read.
    fn unread(&mut self, error: Errno, end: &str) -> ControlFlow<()> {
        self.seen.error(&self.path, &self.raw, error);
        self.path.push_str(end);
        let flow = (self.visit)(Met::Unread(&self.path));
        self.path.truncate(self.path.len() - end.len());
        flow
    }

    fn directory(&mut self, directory: BorrowedFd<'_>, depth: usize) -> ControlFlow<()> {
        (self.visit)(Met::Nothing)?;
        self.seen.directories += 1;
        let mut names = match Names::read(directory, self.rules.extensions) {
            Ok(names) => names,
            Err(error) => return self.unread(error, "/"),
        };
        self.seen.symlinks += names.symlinks;
        self.seen.passed_over.add(&names.passed_over);
        for clash in &names.clashes {
            self.seen.clash(format!("{}/{clash}", name::shown(&self.raw)));
        }
        let is_listed = self.listed.iter().position(|listed| *listed == self.raw);
        if let Some(index) = is_listed {
            self.listed.swap_remove(index);
        }
        let beside = self.beside(directory, &mut names);
        if is_listed.is_none() {
            self.seen.unmatched_subtitles += beside.unmatched;
        }
        let (path_length, raw_length) = (self.path.len(), self.raw.len());
        for (index, name) in names.iter().enumerate() {
            self.path.push('/');
            self.path.push_str(name.stored);
            self.raw.push(b'/');
            self.raw.extend_from_slice(name.raw.to_bytes());
            let flow = if name.is_directory {
                match self.enter(directory, name.raw, depth + 1, false) {
                    Ok(Some(next)) => self.directory(next.as_fd(), depth + 1),
                    Ok(None) => ControlFlow::Continue(()),
                    Err(error) => self.not_opened(error, depth + 1),
                }
            } else {
                self.file(directory, name.raw, beside.of(index).as_deref())
            };
            self.path.truncate(path_length);
            self.raw.truncate(raw_length);
            flow?;
        }
        ControlFlow::Continue(())
    }

    /// Opens a directory below the root, if it is this root's; `NAMETOOLONG` where it is too deep. Where it `is_on_the_way`, not for reading.
    fn enter(
        &mut self,
        parent: BorrowedFd<'_>,
        name: &CStr,
        depth: usize,
        is_on_the_way: bool,
    ) -> Result<Option<OwnedFd>, Errno> {
        if self.rules.except.contains(&self.raw) {
            return Ok(None);
        }
        if depth > DEEPEST {
            return Err(Errno::NAMETOOLONG);
        }
        let directory =
            if is_on_the_way { open_way(parent, name) } else { open_directory(parent, name, false) }?;
        match is_mount_point(directory.as_fd()) {
            Ok(true) => self.seen.mounts.push(self.path.clone()),
            Ok(false) => {}
            Err(error) => self.seen.error(&self.path, &self.raw, error),
        }
        Ok(Some(directory))
    }

    /// The subtitle files of the videos in a directory.
    fn beside(&mut self, directory: BorrowedFd<'_>, names: &mut Names) -> Beside {
        let (raw, except) = (&self.raw, self.rules.except);
        let mut may_enter = |folder: &[u8]| {
            let path = [raw, &b"/"[..], folder].concat();
            let may_enter = !except.contains(&path);
            self.listed.extend(may_enter.then_some(path));
            may_enter
        };
        Beside::read(directory, names, &mut may_enter)
    }

    /// A file that was asked for.
    fn only_file(&mut self, parent: BorrowedFd<'_>, name: &CStr) -> ControlFlow<()> {
        let subtitles = subtitles_of(parent, name, self.rules.extensions);
        self.file(parent, name, subtitles.as_deref())
    }

    fn file(&mut self, parent: BorrowedFd<'_>, name: &CStr, subtitles: Option<&str>) -> ControlFlow<()> {
        if !name::is_video(name.to_bytes(), self.rules.extensions) {
            return ControlFlow::Continue(());
        }
        let found = match rustix::fs::statat(parent, name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(found) => found,
            Err(Errno::NOENT) => return ControlFlow::Continue(()),
            Err(error) => return self.unread(error, ""),
        };
        match FileType::from_raw_mode(found.st_mode as RawMode) {
            FileType::RegularFile => {}
            FileType::Symlink => {
                self.seen.symlinks += 1;
                return ControlFlow::Continue(());
            }
            _ => return ControlFlow::Continue(()),
        }
        (self.visit)(Met::Video(Found {
            path: &self.path,
            raw: &self.raw,
            size: u64::try_from(found.st_size).unwrap_or_default(),
            modified: modified(&found),
            subtitles,
        }))
    }
}

/// The mtime of a stat(2) result.
pub(crate) fn modified(found: &rustix::fs::Stat) -> Timestamp {
    Timestamp::from_unix(found.st_mtime, u32::try_from(found.st_mtime_nsec).unwrap_or_default())
}
