//! The walk of a root: what is there, in the order of the library's index.
//!
//! One directory is held open per level and every file costs one `fstatat`; names are kept for one directory
//! at a time. Files come in the byte order of their stored paths, so that a walk and an ordered query can be
//! laid side by side like two sorted lists, and neither has to be held in memory.
//!
//! No symbolic link is followed below the root: what one points to within the root is found there by itself,
//! and what lies outside is not the root's. Hence no cycles and no file twice.

use std::borrow::Cow;
use std::cmp::Ordering;
use std::ffi::{CStr, OsStr, OsString};
use std::ops::ControlFlow;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::fs::{AtFlags, CWD, Dir, FileType, Mode, OFlags, RawMode, StatxAttributes, StatxFlags};
use rustix::io::Errno;

use super::name;
use crate::library::timestamp::Timestamp;

/// Directories within directories that are entered. Beyond lies a mistake, not a library, and every level
/// holds a descriptor.
const DEEPEST: usize = 256;

/// Errors of a walk that are kept with their words; the others are only counted.
const ERRORS_KEPT: usize = 10;

/// A video found.
#[derive(Debug)]
pub struct Found<'a> {
    /// Its path as the library stores it.
    pub path: &'a str,
    /// Its path for the kernel.
    pub raw: &'a [u8],
    /// The extension, lower case, without the dot.
    pub extension: &'a str,
    /// Bytes.
    pub size: u64,
    /// Its mtime.
    pub modified: Timestamp,
}

/// What a walk looks for.
#[derive(Clone, Copy, Debug)]
pub struct Rules<'a> {
    /// The root, which alone of all paths may be a symbolic link.
    pub root: &'a Path,
    /// Extensions of videos, lower case, without the dot.
    pub extensions: &'a [String],
    /// Directories that belong to somebody else (other roots within this one).
    pub except: &'a [Vec<u8>],
}

/// What a walk met besides videos.
#[derive(Debug, Default)]
pub struct Walked {
    /// What could not be read: one line each for the first few.
    pub errors: Vec<String>,
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
    /// The visitor said stop.
    pub stopped: bool,
}

impl Walked {
    pub(crate) fn error(&mut self, path: &str, raw: &[u8], error: Errno) {
        let is_kept = self.note(format!("{path}: {}", std::io::Error::from(error)));
        // What is too deep stays so.
        if is_kept && error != Errno::NAMETOOLONG {
            self.places.push(PathBuf::from(OsStr::from_bytes(raw)));
        }
    }

    /// Counts an error. Only the first few are kept with their words; says whether this one is.
    pub(crate) fn note(&mut self, line: String) -> bool {
        self.error_count += 1;
        let is_kept = self.errors.len() < ERRORS_KEPT;
        if is_kept {
            self.errors.push(line);
        }
        is_kept
    }

    /// Adds what another walk met.
    pub(crate) fn add(&mut self, other: Self) {
        self.errors.extend(other.errors);
        self.errors.truncate(ERRORS_KEPT);
        self.places.extend(other.places);
        self.places.truncate(ERRORS_KEPT);
        self.error_count += other.error_count;
        self.mounts.extend(other.mounts);
        self.directories += other.directories;
        self.symlinks += other.symlinks;
    }
}

/// Visits every video at or below `path` (in the kernel's bytes) in the order of their stored paths.
///
/// A path that is not there has no videos; what that means, the caller must say. `visit` is also called with
/// `None` once in a while, so that it can stop a walk that finds nothing.
pub fn walk(
    path: &Path,
    rules: Rules<'_>,
    visit: &mut dyn FnMut(Option<Found<'_>>) -> ControlFlow<()>,
) -> Walked {
    let raw = path.as_os_str().as_bytes();
    let mut walk = Walk { rules, visit, path: encode_path(raw), raw: raw.to_vec(), seen: Walked::default() };
    if walk.path.len() > 1 && walk.path.ends_with('/') {
        walk.path.truncate(walk.path.trim_end_matches('/').len());
        walk.raw.truncate(walk.path.len());
    }
    if walk.top(path).is_break() {
        walk.seen.stopped = true;
    }
    walk.seen
}

/// The kernel's bytes of a path as the library stores them.
pub(crate) fn encode_path(raw: &[u8]) -> String {
    let parts: Vec<_> = raw.split(|byte| *byte == b'/').map(name::encode).collect();
    parts.join("/")
}

/// A path as the library stores it.
#[must_use]
pub fn stored(path: &Path) -> String {
    encode_path(path.as_os_str().as_bytes())
}

/// The paths that a stored one may stand for.
pub(crate) fn spellings(stored: &str) -> impl Iterator<Item = PathBuf> {
    name::spellings(stored).into_iter().map(|raw| PathBuf::from(OsString::from_vec(raw)))
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
pub(crate) fn open_directory(at: BorrowedFd<'_>, name: &CStr, follow: bool) -> Result<OwnedFd, Errno> {
    let mut flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC | OFlags::NONBLOCK;
    if !follow {
        flags |= OFlags::NOFOLLOW;
    }
    loop {
        match rustix::fs::openat(at, name, flags, Mode::empty()) {
            Err(Errno::INTR) => {}
            other => return other,
        }
    }
}

struct Walk<'a, 'v> {
    rules: Rules<'a>,
    visit: &'v mut dyn FnMut(Option<Found<'_>>) -> ControlFlow<()>,
    path: String,
    raw: Vec<u8>,
    seen: Walked,
}

/// The names of one directory, kept in one piece of memory.
#[derive(Default)]
struct Names {
    bytes: Vec<u8>,
    entries: Vec<Entry>,
}

struct Entry {
    start: u32,
    end: u32,
    directory: bool,
    /// The stored form where it is not the name itself.
    stored: Option<Box<str>>,
}

impl Names {
    fn push(&mut self, name: &CStr, directory: bool) {
        let bytes = name.to_bytes();
        let stored = match name::encode(bytes) {
            Cow::Borrowed(_) => None,
            Cow::Owned(text) => Some(text.into_boxed_str()),
        };
        // 4 GiB of names in one directory do not exist: the kernel gives out far less.
        let start = u32::try_from(self.bytes.len()).unwrap_or(u32::MAX);
        self.bytes.extend_from_slice(name.to_bytes_with_nul());
        let end = u32::try_from(self.bytes.len()).unwrap_or(u32::MAX);
        self.entries.push(Entry { start, end, directory, stored });
    }

    fn name(&self, entry: &Entry) -> &CStr {
        self.bytes
            .get(entry.start as usize..entry.end as usize)
            .and_then(|bytes| CStr::from_bytes_with_nul(bytes).ok())
            .unwrap_or_default()
    }

    /// By stored path: below a directory every path goes on with a slash, so that is what its name ends with.
    fn sort(&mut self) {
        fn stored<'a>(bytes: &'a [u8], entry: &'a Entry) -> &'a [u8] {
            match &entry.stored {
                Some(text) => text.as_bytes(),
                None => &bytes[entry.start as usize..entry.end as usize - 1],
            }
        }
        let bytes = &self.bytes;
        self.entries.sort_unstable_by(|a, b| {
            let (one, other) = (stored(bytes, a), stored(bytes, b));
            let common = one.len().min(other.len());
            one[..common].cmp(&other[..common]).then_with(|| {
                let next = |name: &[u8], directory: bool| {
                    name.get(common).copied().or(directory.then_some(b'/')).map_or(-1, i16::from)
                };
                match next(one, a.directory).cmp(&next(other, b.directory)) {
                    // Of two that are stored alike, the one that is called so comes first.
                    Ordering::Equal => {
                        one.len().cmp(&other.len()).then(a.stored.is_some().cmp(&b.stored.is_some()))
                    }
                    order => order,
                }
            })
        });
    }
}

impl Walk<'_, '_> {
    /// The path itself: a root may be a symbolic link, and a path that was asked for may be a file.
    fn top(&mut self, path: &Path) -> ControlFlow<()> {
        let Ok(name) = rustix::path::Arg::into_c_str(path) else { return ControlFlow::Continue(()) };
        match open_directory(CWD, &name, true) {
            Ok(directory) => self.directory(directory.as_fd(), 0),
            Err(Errno::NOTDIR) => {
                let file = self.raw.rsplit(|byte| *byte == b'/').next().unwrap_or_default();
                let extension = name::extension(file, self.rules.extensions);
                let wanted = extension.filter(|_| !name::is_hidden(file) && !name::is_partial(file));
                match wanted {
                    Some(extension) => self.file(CWD, &name, extension),
                    None => ControlFlow::Continue(()),
                }
            }
            Err(Errno::NOENT) => ControlFlow::Continue(()),
            Err(error) => {
                self.seen.error(&self.path, &self.raw, error);
                ControlFlow::Continue(())
            }
        }
    }

    fn directory(&mut self, directory: BorrowedFd<'_>, depth: usize) -> ControlFlow<()> {
        (self.visit)(None)?;
        self.seen.directories += 1;
        let names = match self.names(directory) {
            Ok(names) => names,
            Err(error) => {
                self.seen.error(&self.path, &self.raw, error);
                return ControlFlow::Continue(());
            }
        };
        let (path_length, raw_length) = (self.path.len(), self.raw.len());
        for entry in &names.entries {
            let name = names.name(entry);
            if self.path != "/" {
                self.path.push('/');
                self.raw.push(b'/');
            }
            match &entry.stored {
                Some(text) => self.path.push_str(text),
                None => self.path.push_str(name.to_str().unwrap_or_default()),
            }
            self.raw.extend_from_slice(name.to_bytes());
            let flow = if entry.directory {
                self.subdirectory(directory, name, depth + 1)
            } else {
                match name::extension(name.to_bytes(), self.rules.extensions) {
                    Some(extension) => self.file(directory, name, extension),
                    None => ControlFlow::Continue(()),
                }
            };
            self.path.truncate(path_length);
            self.raw.truncate(raw_length);
            flow?;
        }
        ControlFlow::Continue(())
    }

    fn subdirectory(&mut self, parent: BorrowedFd<'_>, name: &CStr, depth: usize) -> ControlFlow<()> {
        if self.rules.except.contains(&self.raw) {
            return ControlFlow::Continue(());
        }
        if depth > DEEPEST {
            self.seen.error(&self.path, &self.raw, Errno::NAMETOOLONG);
            return ControlFlow::Continue(());
        }
        match open_directory(parent, name, false) {
            Ok(directory) => {
                match is_mount_point(directory.as_fd()) {
                    Ok(true) => self.seen.mounts.push(self.path.clone()),
                    Ok(false) => {}
                    Err(error) => self.seen.error(&self.path, &self.raw, error),
                }
                self.directory(directory.as_fd(), depth)
            }
            // Gone, or become something else, since its name was read.
            Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => ControlFlow::Continue(()),
            Err(error) => {
                self.seen.error(&self.path, &self.raw, error);
                ControlFlow::Continue(())
            }
        }
    }

    fn file(&mut self, parent: BorrowedFd<'_>, name: &CStr, extension: &str) -> ControlFlow<()> {
        let found = match rustix::fs::statat(parent, name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(found) => found,
            Err(Errno::NOENT) => return ControlFlow::Continue(()),
            Err(error) => {
                self.seen.error(&self.path, &self.raw, error);
                return ControlFlow::Continue(());
            }
        };
        match FileType::from_raw_mode(found.st_mode as RawMode) {
            FileType::RegularFile => {}
            FileType::Symlink => {
                self.seen.symlinks += 1;
                return ControlFlow::Continue(());
            }
            _ => return ControlFlow::Continue(()),
        }
        (self.visit)(Some(Found {
            path: &self.path,
            raw: &self.raw,
            extension,
            size: u64::try_from(found.st_size).unwrap_or_default(),
            modified: modified(&found),
        }))
    }

    /// The names worth a look: directories, and files that are called like a video.
    fn names(&mut self, directory: BorrowedFd<'_>) -> Result<Names, Errno> {
        let mut names = Names::default();
        let mut entries = Dir::read_from(directory)?;
        while let Some(entry) = entries.read() {
            let entry = entry?;
            let name = entry.file_name();
            let bytes = name.to_bytes();
            if name::is_hidden(bytes) {
                continue;
            }
            let kind = match entry.file_type() {
                // Some file systems leave the type out.
                FileType::Unknown => match rustix::fs::statat(directory, name, AtFlags::SYMLINK_NOFOLLOW) {
                    Ok(found) => FileType::from_raw_mode(found.st_mode as RawMode),
                    Err(Errno::NOENT) => continue,
                    Err(error) => return Err(error),
                },
                kind => kind,
            };
            let video =
                || name::extension(bytes, self.rules.extensions).is_some() && !name::is_partial(bytes);
            match kind {
                FileType::Directory if !name::is_system(bytes) => names.push(name, true),
                FileType::RegularFile if video() => names.push(name, false),
                FileType::Symlink => self.seen.symlinks += 1,
                _ => {}
            }
        }
        names.sort();
        Ok(names)
    }
}

/// The mtime of a stat(2) result.
pub(crate) fn modified(found: &rustix::fs::Stat) -> Timestamp {
    Timestamp::from_unix(found.st_mtime, u32::try_from(found.st_mtime_nsec).unwrap_or_default())
}
