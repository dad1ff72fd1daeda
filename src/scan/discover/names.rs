//! The names of one directory that are worth a look, in the order of their stored paths.

use std::borrow::Cow;
use std::ffi::CStr;

use rustix::fd::BorrowedFd;
use rustix::fs::{AtFlags, Dir, FileType, RawMode};
use rustix::io::Errno;
use rustix::path::Arg;

use crate::base::descriptors;
use crate::scan::passed_over::PassedOver;
use crate::scan::{name, subtitle};

/// The names of one directory, kept in one piece of memory.
#[derive(Default)]
pub(super) struct Names {
    bytes: Vec<u8>,
    entries: Vec<Entry>,
    /// Names of subtitle files, as the library stores them.
    pub(super) subtitles: Vec<String>,
    /// Files that are neither videos nor subtitles.
    pub(super) passed_over: PassedOver,
    /// Symbolic links, which are passed over.
    pub(super) symlinks: u64,
    /// Names, for people, that are left out: see [`is_clash`].
    pub(super) clashes: Vec<String>,
}

struct Entry {
    start: u32,
    end: u32,
    directory: bool,
    /// The stored form where it is not the name itself.
    stored: Option<Box<str>>,
}

impl Entry {
    fn stored<'a>(&'a self, bytes: &'a [u8]) -> &'a [u8] {
        match &self.stored {
            Some(text) => text.as_bytes(),
            None => &bytes[self.start as usize..self.end as usize - 1],
        }
    }
}

/// One name.
pub(super) struct Name<'a> {
    /// For the kernel.
    pub(super) raw: &'a CStr,
    /// As the library stores it.
    pub(super) stored: &'a str,
    pub(super) is_directory: bool,
}

impl Names {
    /// Reads a directory: its directories, and its files that are called like a video.
    pub(super) fn read(directory: BorrowedFd<'_>, extensions: &[String]) -> Result<Self, Errno> {
        let mut names = Self::default();
        let mut entries = descriptors::open(|| Dir::read_from(directory))?;
        while let Some(entry) = entries.read() {
            let entry = entry?;
            let name = entry.file_name();
            let bytes = name.to_bytes();
            if name::is_ignored(bytes) {
                continue;
            }
            let kind = match entry.file_type() {
                // Some file systems leave the type out.
                FileType::Unknown => match kind_of(directory, name) {
                    Ok(kind) => kind,
                    Err(Errno::NOENT) => continue,
                    Err(error) => return Err(error),
                },
                kind => kind,
            };
            names.symlinks += u64::from(kind == FileType::Symlink);
            let is_file = kind == FileType::RegularFile;
            let is_video = is_file && name::is_video(bytes, extensions);
            if kind != FileType::Directory && !is_video {
                if is_file && subtitle::is_subtitle(bytes) {
                    names.subtitles.push(name::encode(bytes).into_owned());
                } else if is_file && !name::has_extension(bytes, extensions) {
                    names.passed_over.count(bytes);
                }
                continue;
            }
            if is_clash(directory, name) {
                names.clashes.push(name::shown(bytes));
            } else {
                names.push(name, kind == FileType::Directory);
            }
        }
        names.sort();
        Ok(names)
    }

    /// All that were kept.
    pub(super) fn iter(&self) -> impl Iterator<Item = Name<'_>> {
        self.entries.iter().map(|entry| {
            let bytes = self.bytes.get(entry.start as usize..entry.end as usize);
            let raw = bytes.and_then(|bytes| CStr::from_bytes_with_nul(bytes).ok()).unwrap_or_default();
            let stored = entry.stored.as_deref().or_else(|| raw.to_str().ok()).unwrap_or_default();
            Name { raw, stored, is_directory: entry.directory }
        })
    }

    fn push(&mut self, name: &CStr, directory: bool) {
        let stored = match name::encode(name.to_bytes()) {
            Cow::Borrowed(_) => None,
            Cow::Owned(text) => Some(text.into_boxed_str()),
        };
        // 4 GiB of names in one directory do not exist: the kernel gives out far less.
        let start = u32::try_from(self.bytes.len()).unwrap_or(u32::MAX);
        self.bytes.extend_from_slice(name.to_bytes_with_nul());
        let end = u32::try_from(self.bytes.len()).unwrap_or(u32::MAX);
        self.entries.push(Entry { start, end, directory, stored });
    }

    /// By stored path: below a directory every path goes on with a slash, so that is what its name ends with.
    fn sort(&mut self) {
        let bytes = &self.bytes;
        self.entries.sort_unstable_by(|a, b| {
            let (one, other) = (a.stored(bytes), b.stored(bytes));
            let common = one.len().min(other.len());
            one[..common].cmp(&other[..common]).then_with(|| {
                let next = |name: &[u8], directory: bool| {
                    name.get(common).copied().or(directory.then_some(b'/')).map_or(-1, i16::from)
                };
                next(one, a.directory).cmp(&next(other, b.directory)).then(one.len().cmp(&other.len()))
            })
        });
    }
}

/// Whether a name that is not UTF-8 is stored as another one of its directory, which is of the same kind and called so.
pub(super) fn is_clash(directory: BorrowedFd<'_>, name: &CStr) -> bool {
    let Cow::Owned(stored) = name::encode(name.to_bytes()) else { return false };
    let other = kind_of(directory, stored);
    other.is_ok() && other == kind_of(directory, name)
}

fn kind_of(directory: BorrowedFd<'_>, name: impl Arg) -> Result<FileType, Errno> {
    let found = rustix::fs::statat(directory, name, AtFlags::SYMLINK_NOFOLLOW)?;
    Ok(FileType::from_raw_mode(found.st_mode as RawMode))
}
