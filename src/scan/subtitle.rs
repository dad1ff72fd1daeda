//! Names of subtitle files beside videos: which video one belongs to, and what its name says about it.
//!
//! Decides by names alone. The conventions are those of Jellyfin, Plex, Kodi and Bazarr; docs/library.md lists them with
//! their sources.

mod marks;
mod words;

use std::ops::Range;

use crate::library::subtitles::Subtitle;
use crate::media::UNDETERMINED;

/// Folders below the directory of a video that hold its subtitle files (Kodi's list; Plex names the first two).
const FOLDERS: [&str; 6] = ["subs", "subtitles", "vobsubs", "sub", "vobsub", "subtitle"];

/// Extensions, and the formats that they stand for.
const FORMATS: [(&str, &str); 7] = [
    ("srt", "srt"),
    ("ass", "ass"),
    ("ssa", "ssa"),
    ("vtt", "vtt"),
    ("sup", "sup"),
    ("sub", "sub"),
    // The index of a VobSub pair stands for both of its files.
    ("idx", "vobsub"),
];

/// Whether a directory of that name holds subtitle files of the videos beside it.
pub(crate) fn is_folder(name: &str) -> bool {
    FOLDERS.iter().any(|folder| folder.eq_ignore_ascii_case(name))
}

/// The format that a file's name states, if it is that of a subtitle file.
fn format_of(name: &[u8]) -> Option<&'static str> {
    let dot = name.iter().rposition(|byte| *byte == b'.').filter(|at| *at > 0)?;
    let extension = &name[dot + 1..];
    let known = |(known, _): &&(&str, &str)| known.as_bytes().eq_ignore_ascii_case(extension);
    FORMATS.iter().find(known).map(|(_, format)| *format)
}

/// Whether a name is that of a subtitle file.
pub(crate) fn is_subtitle(name: &[u8]) -> bool {
    format_of(name).is_some()
}

/// What the name of a subtitle file, relative to its video's directory, says about it.
#[must_use]
pub fn describe<'a>(video: &str, name: &'a str) -> Subtitle<'a> {
    let own = stem(file_name(name));
    let is_video = |prefix: &&str| prefix.to_lowercase() == video.to_lowercase();
    let prefix = own.get(..video.len()).filter(is_video).filter(|_| is_delimiter(own, video.len()));
    let marks = match prefix {
        Some(_) => marks::read(&own[video.len()..]),
        // In a folder, a name needs not begin with that of the video.
        None => marks::read_end(own),
    };
    Subtitle {
        name: name.into(),
        language: marks.language.unwrap_or_else(|| UNDETERMINED.to_owned()),
        tag: marks.tag,
        is_forced: marks.is_forced,
        is_hearing_impaired: marks.is_hearing_impaired,
        format: format_of(name.as_bytes()).unwrap_or_default().into(),
    }
}

/// A file's name without its extension.
#[must_use]
pub fn stem(name: &str) -> &str {
    name.rsplit_once('.').map_or(name, |(stem, _)| stem)
}

fn file_name(path: &str) -> &str {
    path.rsplit_once('/').map_or(path, |(_, name)| name)
}

/// Which subtitle files belong to which videos of a directory.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Assignment {
    /// Index of the video and of the name.
    pub pairs: Vec<(usize, usize)>,
    /// Subtitle files that belong to no video.
    pub unmatched: u64,
}

/// Assigns subtitle files, named relative to a directory, to its videos, given by their stems.
///
/// A file belongs to the video with the longest stem that its name begins with, or to all videos of that stem. In a folder for
/// subtitles it belongs to the video that its own folder is named after, or else to the only video.
#[must_use]
pub fn assign(videos: &[&str], names: &[String]) -> Assignment {
    let stems = Stems::new(videos);
    let is_of_pair = |name: &&String| matches!(format_of(name.as_bytes()), Some("sub" | "vobsub"));
    let mut halves: Vec<_> = names.iter().filter(is_of_pair).map(|name| name.to_lowercase()).collect();
    halves.sort_unstable();
    let has =
        |name: &str, extension: &str| halves.binary_search(&format!("{}.{extension}", stem(name))).is_ok();
    let mut assignment = Assignment::default();
    for (index, name) in names.iter().enumerate() {
        let lower = name.to_lowercase();
        let owners = match format_of(lower.as_bytes()) {
            // The index stands for the pair, and is of no use alone.
            Some("sub") if has(&lower, "idx") => continue,
            Some("vobsub") if !has(&lower, "sub") => 0..0,
            _ => stems.owners(&lower),
        };
        assignment.unmatched += u64::from(owners.is_empty());
        assignment.pairs.extend(stems.0[owners].iter().map(|(_, video)| (*video, index)));
    }
    assignment
}

/// Stems of videos in lower case, each with the video's index; sorted.
struct Stems(Vec<(String, usize)>);

impl Stems {
    fn new(videos: &[&str]) -> Self {
        let mut stems: Vec<_> =
            videos.iter().enumerate().map(|(index, stem)| (stem.to_lowercase(), index)).collect();
        stems.sort_unstable();
        Self(stems)
    }

    /// The videos that a subtitle file belongs to, by its relative name in lower case.
    fn owners(&self, name: &str) -> Range<usize> {
        let mut parts = name.rsplit('/');
        let own = stem(parts.next().unwrap_or_default());
        match (parts.next(), parts.next()) {
            (None, _) => self.by_prefix(own),
            (Some(_), None) => {
                let named = self.by_prefix(own);
                if named.is_empty() { self.only() } else { named }
            }
            (Some(folder), Some(_)) => self.exactly(folder),
        }
    }

    fn by_prefix(&self, own: &str) -> Range<usize> {
        let is_end = |at: &usize| own.is_char_boundary(*at) && is_delimiter(own, *at);
        let prefixes = (1..=own.len()).rev().filter(is_end);
        let found = prefixes.map(|at| self.exactly(&own[..at])).find(|found| !found.is_empty());
        found.unwrap_or_default()
    }

    fn exactly(&self, stem: &str) -> Range<usize> {
        let start = self.0.partition_point(|(known, _)| known.as_str() < stem);
        let count = self.0[start..].iter().take_while(|(known, _)| known == stem).count();
        start..start + count
    }

    /// All, if they have one stem.
    fn only(&self) -> Range<usize> {
        let found = self.0.first().map(|(stem, _)| self.exactly(stem));
        found.filter(|found| found.len() == self.0.len()).unwrap_or_default()
    }
}

/// Whether the stem of a video may end before byte `at` of a name. After a dot anything may follow, which is the title of the
/// subtitles. After other characters it may be another video's name, so what follows must be languages and flags.
fn is_delimiter(name: &str, at: usize) -> bool {
    match name.as_bytes().get(at) {
        None | Some(b'.') => true,
        Some(b' ' | b'-' | b'_' | b'(' | b'[') => {
            marks::is_all_marks(name[at..].split('.').next().unwrap_or_default())
        }
        Some(_) => false,
    }
}

#[cfg(test)]
mod tests;
