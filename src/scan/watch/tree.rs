//! The directories of one root that are watched: those that a scan enters.
//!
//! Each has a watch of its own. notify's recursion will not do: it gives up the whole root for one directory that may not
//! be read, watches what no scan enters, and sees nothing below a root that is a link. notify still drops the watches of
//! a directory that is renamed or removed with those of all below it; where one appears, under whatever name, this adds
//! them again.
//!
//! All paths begin with the root as it is configured, and so do those of the events.

use std::collections::BTreeSet;
use std::ffi::{CString, OsStr};
use std::ops::Bound;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use notify::{RecommendedWatcher, RecursiveMode, Watcher};
use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::fs::{AtFlags, CWD, Dir, FileType, RawMode};
use rustix::io::Errno;

use super::{WatchError, refusal};
use crate::scan::discover::{DEEPEST, is_nothing, open_directory, open_way};
use crate::scan::name;

/// The watches of a root.
pub(super) struct Tree {
    root: PathBuf,
    watcher: RecommendedWatcher,
    /// Directories that may not be read or come to, until they may.
    unreadable: BTreeSet<PathBuf>,
}

impl Tree {
    /// Watches the root with all below it.
    ///
    /// # Errors
    /// Where watches or descriptors run out, or the root itself cannot be watched.
    pub(super) fn new(root: &Path, watcher: RecommendedWatcher) -> Result<Self, WatchError> {
        let mut tree = Self { root: root.to_owned(), watcher, unreadable: BTreeSet::new() };
        let directory = open_directory(CWD, root, true).map_err(other)?;
        tree.watcher.watch(root, RecursiveMode::NonRecursive).map_err(|error| refusal(&error))?;
        tree.below(directory.as_fd(), root, 0)?;
        Ok(tree)
    }

    /// Watches what appeared at `path`, if it is a directory, with all below it. It may be gone again.
    ///
    /// # Errors
    /// Where watches or descriptors run out.
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

    /// Whether `path` is a directory that could not be read, or one below it could not be.
    pub(super) fn is_unreadable(&self, path: &Path) -> bool {
        self.first_unreadable(path).is_some()
    }

    /// In the order of paths a directory comes just before what is below it.
    fn first_unreadable(&self, path: &Path) -> Option<&PathBuf> {
        let from = (Bound::Included(path), Bound::Unbounded);
        self.unreadable.range::<Path, _>(from).next().filter(|unreadable| unreadable.starts_with(path))
    }

    /// Opens a directory below the root; no link is followed on the way.
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

    /// The watch comes before the names are read: what appears in between is seen by one of the two.
    fn directory(&mut self, directory: BorrowedFd<'_>, path: &Path, depth: usize) -> Result<(), WatchError> {
        if depth > DEEPEST {
            return Ok(());
        }
        match self.watcher.watch(path, RecursiveMode::NonRecursive) {
            Ok(()) => self.below(directory, path, depth),
            Err(error) => match &error.kind {
                notify::ErrorKind::MaxFilesWatch => Err(WatchError::watches()),
                notify::ErrorKind::Io(io) => {
                    self.note_unreadable(path, Errno::from_io_error(io).unwrap_or(Errno::IO))
                }
                // Gone or renamed; then its new name is told.
                _ => Ok(()),
            },
        }
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

    /// A directory that cannot be read is an error of each scan's walk, and no reason to leave the rest unwatched.
    fn note_unreadable(&mut self, path: &Path, error: Errno) -> Result<(), WatchError> {
        if matches!(error, Errno::MFILE | Errno::NFILE | Errno::NOMEM) {
            return Err(other(error));
        }
        if !is_nothing(error) {
            self.unreadable.insert(path.to_owned());
        }
        Ok(())
    }
}

fn other(error: Errno) -> WatchError {
    WatchError::Other(std::io::Error::from(error).to_string())
}

/// The names of the directories that a scan enters.
fn directories(directory: BorrowedFd<'_>) -> Result<Vec<CString>, Errno> {
    let mut names = Vec::new();
    for entry in Dir::read_from(directory)? {
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
