//! The subtitle files of the videos in one directory: in it, and in folders such as `Subs`.

use std::borrow::Cow;

use rustix::fd::{AsFd, BorrowedFd};
use rustix::io::Errno;

use super::names::Names;
use super::{is_nothing, open_directory};
use crate::library::subtitles::SEPARATOR;
use crate::scan::subtitle;

/// Most bytes of names of subtitle files of one directory. More are not recorded.
const LIMIT: usize = 1 << 20;

/// The subtitle files of the videos of one directory.
#[derive(Default)]
pub(super) struct Beside {
    /// Relative names of subtitle files, ordered.
    names: Vec<String>,
    /// The index of a video among the directory's names, and of its file among `names`; ordered. `None` if a folder cannot be
    /// read, or there are too many.
    pairs: Option<Vec<(usize, usize)>>,
    /// Subtitle files that belong to no video.
    pub(super) unmatched: u64,
}

impl Beside {
    /// Assigns the subtitle files of a directory and of its folders to its videos. `may_enter` says for the relative path of a
    /// folder whether it is this root's.
    pub(super) fn read(
        directory: BorrowedFd<'_>,
        names: &mut Names,
        may_enter: &mut dyn FnMut(&[u8]) -> bool,
    ) -> Self {
        let mut found = std::mem::take(&mut names.subtitles);
        let (mut videos, mut stems) = (Vec::new(), Vec::new());
        for (index, name) in names.iter().enumerate().filter(|(_, name)| !name.is_directory) {
            videos.push(index);
            stems.push(subtitle::stem(name.stored));
        }
        let is_known = videos.is_empty() || folders(directory, names, &stems, may_enter, &mut found).is_ok();
        if found.is_empty() {
            return Self { pairs: is_known.then(Vec::new), ..Self::default() };
        }
        if found.iter().map(String::len).sum::<usize>() > LIMIT {
            return Self { unmatched: found.len() as u64, ..Self::default() };
        }
        found.sort_unstable();
        let assignment = subtitle::assign(&stems, &found);
        let mut pairs: Vec<_> =
            assignment.pairs.iter().map(|(video, name)| (videos[*video], *name)).collect();
        pairs.sort_unstable();
        Self { names: found, pairs: Some(pairs).filter(|_| is_known), unmatched: assignment.unmatched }
    }

    /// The names of a video's subtitle files, given the index of its name, as [`super::Found::subtitles`].
    pub(super) fn of(&self, index: usize) -> Option<Cow<'_, str>> {
        let pairs = self.pairs.as_ref()?;
        if pairs.is_empty() {
            return Some(Cow::Borrowed(""));
        }
        let start = pairs.partition_point(|(video, _)| *video < index);
        let own = pairs[start..].iter().take_while(|(video, _)| *video == index);
        let mut own = own.map(|(_, name)| self.names[*name].as_str());
        let mut list = Cow::Borrowed(own.next().unwrap_or_default());
        for name in own {
            let list = list.to_mut();
            list.push_str(SEPARATOR);
            list.push_str(name);
        }
        Some(list)
    }
}

/// Adds the subtitle files of folders, and of folders in them that are named after a video.
fn folders(
    directory: BorrowedFd<'_>,
    names: &Names,
    stems: &[&str],
    may_enter: &mut dyn FnMut(&[u8]) -> bool,
    found: &mut Vec<String>,
) -> Result<(), Errno> {
    for folder in names.iter().filter(|name| name.is_directory && subtitle::is_folder(name.stored)) {
        if !may_enter(folder.raw.to_bytes()) {
            continue;
        }
        let opened = match open_directory(directory, folder.raw, false) {
            Err(error) if is_nothing(error) => continue,
            opened => opened?,
        };
        // No video is looked for, so that only the names of directories and subtitle files are kept.
        let inner = Names::read(opened.as_fd(), &[])?;
        found.extend(inner.subtitles.iter().map(|name| format!("{}/{name}", folder.stored)));
        let is_named = |name: &str| stems.iter().any(|stem| stem.to_lowercase() == name.to_lowercase());
        for own in inner.iter().filter(|name| name.is_directory && is_named(name.stored)) {
            if !may_enter(&[folder.raw.to_bytes(), b"/", own.raw.to_bytes()].concat()) {
                continue;
            }
            let opened = match open_directory(opened.as_fd(), own.raw, false) {
                Err(error) if is_nothing(error) => continue,
                opened => opened?,
            };
            let deep = Names::read(opened.as_fd(), &[])?;
            found
                .extend(deep.subtitles.iter().map(|name| format!("{}/{}/{name}", folder.stored, own.stored)));
        }
    }
    Ok(())
}
