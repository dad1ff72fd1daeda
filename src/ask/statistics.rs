//! Sums over the files of an answer, by a property.

use serde::Serialize;

use super::{Bounds, Cursor, Question};
use crate::library::files::Span;
use crate::library::files::listing::Details;
use crate::library::files::statistics::{OTHERS, resolution};
use crate::library::sqlite::{Result, Transaction};

/// Groups that are kept. Files of further ones are counted together, under [`OTHERS`].
const MOST_GROUPS: usize = 500;

/// The property by which files are grouped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum By {
    /// The codec of the largest video track.
    Codec,
    /// The class of the largest video track, such as `1080p`.
    Resolution,
    /// The format of the largest video track: `sdr`, `hdr10`, ….
    Hdr,
    /// The languages of the audio tracks: a file counts for each of them.
    Language,
    /// ffprobe's name of the container.
    Container,
    /// The root that contains the file.
    Root,
}

impl By {
    /// All of them.
    pub(crate) const ALL: [Self; 6] =
        [Self::Codec, Self::Resolution, Self::Hdr, Self::Language, Self::Container, Self::Root];

    /// Its name in flags and parameters.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Codec => "codec",
            Self::Resolution => "resolution",
            Self::Hdr => "hdr",
            Self::Language => "language",
            Self::Container => "container",
            Self::Root => "root",
        }
    }

    /// The property of that name.
    pub(crate) fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|by| by.as_str() == name)
    }

    /// Whether it is a property of tracks.
    pub(crate) fn needs_tracks(self) -> bool {
        !matches!(self, Self::Container | Self::Root)
    }

    fn of<'a>(self, details: &'a Details, roots: &'a [String]) -> Vec<Option<&'a str>> {
        let picture = details.picture();
        match self {
            Self::Codec => vec![picture.and_then(|track| track.codec.as_deref())],
            Self::Resolution => {
                let size = picture.and_then(|track| track.width.zip(track.height));
                vec![size.map(|(width, height)| resolution(width, height))]
            }
            Self::Hdr => vec![picture.and_then(|track| track.facts.hdr_format.as_deref())],
            Self::Language => {
                let mut languages: Vec<_> = details
                    .tracks
                    .iter()
                    .filter(|track| track.track_type == "audio")
                    .map(|track| track.language.as_deref())
                    .collect();
                languages.sort_unstable();
                languages.dedup();
                languages
            }
            Self::Container => vec![details.file.container_format.as_deref()],
            Self::Root => {
                let is_above = |root: &&String| Span::below(root).contains(&details.file.path);
                vec![roots.iter().filter(is_above).max_by_key(|root| root.len()).map(String::as_str)]
            }
        }
    }
}

/// Files that have the property in common.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct Group {
    /// The value of the property; `None` where it is not recorded.
    pub name: Option<String>,
    /// Files.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Their duration, as far as it is known.
    pub seconds: f64,
}

/// A count, as far as it has come.
#[derive(Clone, Debug, Default, Serialize)]
pub(crate) struct Counted {
    /// Files of the answer.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Their duration, as far as it is known.
    pub seconds: f64,
    /// Missing files for which the conditions hold, and which are not counted.
    pub left_out: u64,
    /// By the property; the largest first.
    pub groups: Vec<Group>,
    #[serde(skip)]
    cursor: Cursor,
}

impl Counted {
    fn add(&mut self, name: Option<&str>, bytes: u64, seconds: f64) {
        let find = |groups: &[Group], name: Option<&str>| {
            groups.iter().position(|group| group.name.as_deref() == name)
        };
        let at = find(&self.groups, name).unwrap_or_else(|| {
            let is_full = self.groups.len() >= MOST_GROUPS;
            let name = if is_full { Some(OTHERS) } else { name };
            find(&self.groups, name).unwrap_or_else(|| {
                self.groups.push(Group { name: name.map(str::to_owned), files: 0, bytes: 0, seconds: 0.0 });
                self.groups.len() - 1
            })
        });
        let group = &mut self.groups[at];
        group.files += 1;
        group.bytes = group.bytes.saturating_add(bytes);
        group.seconds += seconds;
    }
}

impl Question {
    /// Counts on, a slice of the answer; `counted` is the default at the start. Returns whether all is counted.
    ///
    /// # Errors
    /// What SQLite reports.
    pub(crate) fn count(
        &self,
        tx: &Transaction<'_>,
        by: Option<By>,
        roots: &[String],
        counted: &mut Counted,
    ) -> Result<bool> {
        let cursor = std::mem::take(&mut counted.cursor);
        let walked = self.walk(tx, &cursor, Bounds::slice(u64::MAX), &mut |details| {
            let bytes = u64::try_from(details.file.size_bytes).unwrap_or_default();
            counted.files += 1;
            counted.bytes = counted.bytes.saturating_add(bytes);
            let seconds = details.file.duration_seconds.unwrap_or_default();
            counted.seconds += seconds;
            for name in by.map(|by| by.of(&details, roots)).unwrap_or_default() {
                counted.add(name, bytes, seconds);
            }
            true
        })?;
        let walked = walked.unwrap_or_default();
        counted.left_out += walked.left_out;
        let is_last = walked.next_cursor.is_none();
        counted.cursor = walked.next_cursor.unwrap_or_default();
        if is_last {
            counted.groups.sort_by(|a, b| (b.bytes, b.files, &a.name).cmp(&(a.bytes, a.files, &b.name)));
        }
        Ok(is_last)
    }
}
