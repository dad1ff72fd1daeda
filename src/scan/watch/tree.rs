//! The watched directories of one root: those that a scan enters. Each has its own inotify watch.
//!
//! inotify watches a directory, not a path. So the watches of a directory that is renamed are removed together with those
//! below it, and [`Tree::add`] sets them again under the new path.
//!
//! All paths begin with the root as it is configured.

use std::collections::{BTreeSet, HashMap};
use std::ffi::{CStr, CString, OsStr};
use std::mem::MaybeUninit;
use std::ops::Bound;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use rustix::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use rustix::fs::inotify::{self, CreateFlags, ReadFlags, WatchFlags};
use rustix::fs::{AtFlags, CWD, Dir, FileType, RawMode};
use rustix::io::Errno;

use super::WatchError;
use crate::base::descriptors;
use crate::base::error::plain;
use crate::scan::discover::{DEEPEST, is_nothing, open_directory, open_way};
use crate::scan::{name, subtitle};

/// What can change the library. Opening and reading a file cannot.
const WATCHED: WatchFlags = WatchFlags::ATTRIB
    .union(WatchFlags::CREATE)
    .union(WatchFlags::DELETE)
    .union(WatchFlags::MODIFY)
    .union(WatchFlags::CLOSE_WRITE)
    .union(WatchFlags::MOVE)
    .union(WatchFlags::DELETE_SELF)
    .union(WatchFlags::MOVE_SELF);

/// Events that are read at once. The kernel keeps the others, up to `max_queued_events`.
const BATCH: usize = 4096;

/// What a number of events mean for the library. Equal paths are one.
#[derive(Default)]
pub(super) struct Batch {
    /// Directories that were created, moved, removed, or may have become readable.
    pub(super) directories: BTreeSet<PathBuf>,
    /// Videos that were created, changed, moved or removed.
    pub(super) files: BTreeSet<PathBuf>,
    /// The kernel dropped events, or the watches of an unmounted file system.
    pub(super) is_lost: bool,
}

/// The watches of a root.
pub(super) struct Tree {
    root: PathBuf,
    inotify: OwnedFd,
    /// The path of each watched directory, by its watch descriptor.
    watched: HashMap<i32, PathBuf>,
    /// Directories that cannot be read or reached, until they can.
    unreadable: BTreeSet<PathBuf>,
}

impl Tree {
    /// Watches the root with all directories below it.
    ///
    /// # Errors
    /// If instances, watches or descriptors run out, or the root itself cannot be watched.
    pub(super) fn new(root: &Path) -> Result<Self, WatchError> {
        let inotify =
            inotify::init(CreateFlags::CLOEXEC | CreateFlags::NONBLOCK).map_err(|error| match error {
                Errno::MFILE => WatchError::Instances { limit: limit("max_user_instances") },
                _ => failure(error),
            })?;
        let mut tree =
            Self { root: root.to_owned(), inotify, watched: HashMap::new(), unreadable: BTreeSet::new() };
        let directory = open_directory(CWD, root, true).map_err(failure)?;
        tree.watch(directory.as_fd(), root).map_err(failure)?;
        tree.below(directory.as_fd(), root, 0)?;
        Ok(tree)
    }

    /// Watches the directory at `path`, if there is one, with all directories below it.
    ///
    /// # Errors
    /// If watches or descriptors run out.
    pub(super) fn add(&mut self, path: &Path) -> Result<(), WatchError> {
        let Ok(below) = path.strip_prefix(&self.root) else { return Ok(()) };
        while let Some(unreadable) = self.first_unreadable(path).cloned() {
            self.unreadable.remove(&unreadable);
        }
        match self.open(below) {
            Ok(directory) => self.directory(directory.as_fd(), path, below.iter().count()),
            Err(error) => self.note_unreadable(path, error),
        }
    }

    /// Takes what the kernel has queued, and removes the watches of directories that were moved.
    pub(super) fn read(&mut self, extensions: &[String]) -> Batch {
        let mut batch = Batch::default();
        let mut moved = BTreeSet::new();
        let mut buffer = [MaybeUninit::uninit(); 4096];
        let mut events = inotify::Reader::new(&self.inotify, &mut buffer);
        let mut count = 0;
        while count < BATCH || !events.is_buffer_empty() {
            count += 1;
            let event = match events.next() {
                Ok(event) => event,
                Err(error) => {
                    batch.is_lost |= error != Errno::AGAIN;
                    break;
                }
            };
            let what = event.events();
            batch.is_lost |= what.intersects(ReadFlags::QUEUE_OVERFLOW | ReadFlags::UNMOUNT);
            if what.contains(ReadFlags::IGNORED) {
                self.watched.remove(&event.wd());
            }
            let Some(directory) = self.watched.get(&event.wd()) else { continue };
            // Without a name the event is of the watched directory itself.
            let name = event.file_name().map(CStr::to_bytes);
            let is_directory = name.is_none() || what.contains(ReadFlags::ISDIR);
            let is_wanted = |name| {
                let is_of_video = || name::is_video(name, extensions) || subtitle::is_subtitle(name);
                !name::is_ignored(name) && (is_directory || is_of_video())
            };
            if !name.is_none_or(is_wanted) {
                continue;
            }
            let path = name.map_or(directory.clone(), |name| directory.join(OsStr::from_bytes(name)));
            // The videos that it belongs to are found in their directory.
            if let Some(above) = videos_of(&path, is_directory) {
                let is_below = above.starts_with(&self.root);
                batch.files.insert(if is_below { above } else { &self.root }.to_owned());
                if !is_directory {
                    continue;
                }
            }
            if !is_directory {
                batch.files.insert(path);
            } else if !what.contains(ReadFlags::ATTRIB) || self.first_unreadable(&path).is_some() {
                if what.contains(ReadFlags::MOVED_FROM) {
                    moved.insert(path.clone());
                }
                batch.directories.insert(path);
            }
        }
        if !moved.is_empty() {
            self.remove(&moved);
        }
        batch
    }

    /// Removes the watches of these directories and of those below them.
    fn remove(&mut self, moved: &BTreeSet<PathBuf>) {
        let is_moved = |path: &Path| path.ancestors().any(|above| moved.contains(above));
        for (watch, _) in self.watched.extract_if(|_, path| is_moved(path)) {
            let _ = inotify::remove_watch(&self.inotify, watch);
        }
    }

    /// The first directory at or below `path` that could not be read. In the order of paths a directory comes just before
    /// what is below it.
    fn first_unreadable(&self, path: &Path) -> Option<&PathBuf> {
        let from = (Bound::Included(path), Bound::Unbounded);
        self.unreadable.range::<Path, _>(from).next().filter(|unreadable| unreadable.starts_with(path))
    }

    /// Opens a directory below the root. No symbolic link below the root is followed.
    fn open(&self, below: &Path) -> Result<OwnedFd, Errno> {
        let mut directory = open_directory(CWD, &self.root, true)?;
        let mut names = below.iter().peekable();
        while let Some(name) = names.next() {
            directory = match names.peek() {
                Some(_) => open_way(directory.as_fd(), name)?,
                None => open_directory(directory.as_fd(), name, false)?,
            };
        }
        Ok(directory)
    }

    /// The watch is set before the names are read: what is created in between is found by one of the two.
    fn directory(&mut self, directory: BorrowedFd<'_>, path: &Path, depth: usize) -> Result<(), WatchError> {
        if depth > DEEPEST {
            return Ok(());
        }
        match self.watch(directory, path) {
            Ok(()) => self.below(directory, path, depth),
            Err(error) => self.note_unreadable(path, error),
        }
    }

    /// Watches the open directory, whatever is at `path` by now. The kernel knows one watch of each directory, so another
    /// path replaces the one before.
    fn watch(&mut self, directory: BorrowedFd<'_>, path: &Path) -> Result<(), Errno> {
        let opened = format!("/proc/self/fd/{}", directory.as_raw_fd());
        let watch = inotify::add_watch(&self.inotify, opened, WATCHED)?;
        self.watched.insert(watch, path.to_owned());
        Ok(())
    }

    fn below(&mut self, directory: BorrowedFd<'_>, path: &Path, depth: usize) -> Result<(), WatchError> {
        let names = match directories(directory) {
            Ok(names) => names,
            Err(error) => return self.note_unreadable(path, error),
        };
        for name in names {
            let path = path.join(OsStr::from_bytes(name.to_bytes()));
            match open_directory(directory, name.as_c_str(), false) {
                Ok(next) => self.directory(next.as_fd(), &path, depth + 1)?,
                Err(error) => self.note_unreadable(&path, error)?,
            }
        }
        Ok(())
    }

    /// Each scan reports a directory that cannot be read. The rest of the root is watched nevertheless.
    fn note_unreadable(&mut self, path: &Path, error: Errno) -> Result<(), WatchError> {
        if matches!(error, Errno::NOSPC | Errno::MFILE | Errno::NFILE | Errno::NOMEM) {
            return Err(failure(error));
        }
        if !is_nothing(error) {
            self.unreadable.insert(path.to_owned());
        }
        Ok(())
    }
}

impl AsFd for Tree {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.inotify.as_fd()
    }
}

/// The directory of the videos that a subtitle file, or a directory of subtitle files, belongs to.
fn videos_of(path: &Path, is_directory: bool) -> Option<&Path> {
    let name = path.file_name()?;
    if !is_directory && !subtitle::is_subtitle(name.as_bytes()) {
        return None;
    }
    let is_folder = |path: &&Path| path.file_name().and_then(OsStr::to_str).is_some_and(subtitle::is_folder);
    let own = if is_directory { path } else { path.parent()? };
    let folder = own.ancestors().take(2).find(is_folder);
    if is_directory { folder?.parent() } else { folder.map_or(Some(own), Path::parent) }
}

fn failure(error: Errno) -> WatchError {
    match error {
        Errno::NOSPC => WatchError::Watches { limit: limit("max_user_watches") },
        _ => WatchError::Other(plain(std::io::Error::from(error))),
    }
}

/// A limit of inotify(7), as the kernel reports it.
fn limit(name: &str) -> String {
    let text = std::fs::read_to_string(format!("/proc/sys/fs/inotify/{name}")).unwrap_or_default();
    if text.trim().is_empty() { "unknown".to_owned() } else { text.trim().to_owned() }
}

/// The names of the directories that a scan enters.
fn directories(directory: BorrowedFd<'_>) -> Result<Vec<CString>, Errno> {
    let mut names = Vec::new();
    for entry in descriptors::open(|| Dir::read_from(directory))? {
        let entry = entry?;
        let name = entry.file_name();
        if name::is_ignored(name.to_bytes()) {
            continue;
        }
        let is_directory = match entry.file_type() {
            // Some file systems leave the type out.
            FileType::Unknown => rustix::fs::statat(directory, name, AtFlags::SYMLINK_NOFOLLOW)
                .is_ok_and(|found| FileType::from_raw_mode(found.st_mode as RawMode) == FileType::Directory),
            kind => kind == FileType::Directory,
        };
        if is_directory {
            names.push(name.to_owned());
        }
    }
    Ok(names)
}
