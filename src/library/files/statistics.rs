//! Counts and bytes over the whole library, a slice at a time.
//!
//! A count reads every row, which takes seconds for a million files, so it must not be one transaction. A [`Tally`]
//! continues from id to id in short transactions. Its size is bounded, whatever names the rows hold.

use std::time::{Duration, Instant};

use rusqlite::{Connection, Row, Statement};
use serde::Serialize;

use super::facts::{self, Cut, OfFile, Source};
use super::{Span, Status};
use crate::library::lenient::{integer, word};
use crate::library::subtitles;

/// Groups of one kind that are kept; files of further groups are counted together, under [`OTHERS`].
const MOST_GROUPS: usize = 500;

/// Bytes of a name that is shown; longer ones count among [`OTHERS`].
const LONGEST_NAME: usize = 64;

/// The name of the group for all that have no group of their own.
pub(crate) const OTHERS: &str = "(others)";

/// Truncated files whose ids are kept.
const FIRST: usize = 5;

/// Tracks of one file that are counted, at most.
const MOST_TRACKS: i64 = 1000;

/// What the library holds, and how much of it below each root.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// Files and bytes by root and status.
    pub roots: Vec<RootTotals>,
    /// All files together.
    pub overview: Overview,
}

/// Files below one root.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RootTotals {
    /// The root as stored; empty for the files that are below none.
    pub root: String,
    /// In the order of [`Status::ALL`].
    pub by_status: [Sum; Status::ALL.len()],
}

/// How many files, and their bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sum {
    /// Files.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
}

/// What the library holds, counted once through. Missing files count by status only.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Overview {
    /// Files that are not missing.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
    /// By `scan_status`, missing files too.
    pub statuses: Vec<Group>,
    /// By container.
    pub containers: Vec<Group>,
    /// By codec: files with at least one track or subtitle file of it.
    pub codecs: Vec<Group>,
    /// By language: files with at least one audio or subtitle track, or subtitle file, of it.
    pub languages: Vec<Group>,
    /// By language and type of track: files with at least one such track. For the page.
    #[serde(skip)]
    pub track_languages: Vec<Group>,
    /// Their length in seconds, where it is known. For the page, as the next two.
    #[serde(skip)]
    pub seconds: u64,
    /// Files that are cut short.
    #[serde(skip)]
    pub truncated: u64,
    /// Ids of the first few of them. For the page, as the next.
    #[serde(skip)]
    pub first_truncated: Vec<i64>,
    /// By the month in which a scan found them, such as `2026-02`; those of which it is known.
    #[serde(skip)]
    pub months: Vec<Group>,
    /// By the dynamic range of a video track; those of which it is known.
    #[serde(skip)]
    pub ranges: Vec<Group>,
    /// By the codec of the largest video track. For the metrics.
    #[serde(skip)]
    pub pictures: Vec<Group>,
    /// By the class of the largest video track.
    pub resolutions: Vec<Group>,
}

/// Files that have something in common.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Group {
    /// The value; `None` where it is not recorded.
    pub name: Option<String>,
    /// The kind of track, where it is about tracks.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub track_type: Option<String>,
    /// Files.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
}

/// Files that have one thing or another in common.
#[derive(Clone, Debug, Default)]
struct Groups(Vec<Group>);

impl Groups {
    /// Where the group of that kind of track and that name is; there are few, so they are compared one by one.
    fn find(&mut self, kind: Option<&str>, name: Option<&str>) -> usize {
        let short = |word: &str| word.len() <= LONGEST_NAME;
        let others = |word: Option<&str>| word.map(|_| OTHERS);
        let (kind, name) = match (kind, name) {
            (kind, name) if kind.is_none_or(short) && name.is_none_or(short) => (kind, name),
            (kind, _) => (others(kind), Some(OTHERS)),
        };
        self.position(kind, name).unwrap_or_else(|| {
            if self.0.len() < MOST_GROUPS {
                self.add(kind, name)
            } else {
                let kind = others(kind);
                self.position(kind, Some(OTHERS)).unwrap_or_else(|| self.add(kind, Some(OTHERS)))
            }
        })
    }

    fn position(&self, kind: Option<&str>, name: Option<&str>) -> Option<usize> {
        self.0.iter().position(|group| group.name.as_deref() == name && group.track_type.as_deref() == kind)
    }

    fn add(&mut self, kind: Option<&str>, name: Option<&str>) -> usize {
        let (name, track_type) = (name.map(str::to_owned), kind.map(str::to_owned));
        self.0.push(Group { name, track_type, files: 0, bytes: 0 });
        self.0.len() - 1
    }

    fn count(&mut self, at: usize, size: u64) {
        if let Some(group) = self.0.get_mut(at) {
            group.files += 1;
            group.bytes = group.bytes.saturating_add(size);
        }
    }

    /// Counts a file in the group of that name, unless a track before was of the same.
    fn count_once(&mut self, seen: &mut Vec<usize>, kind: Option<&str>, name: Option<&str>, size: u64) {
        let at = self.find(kind, name);
        if !seen.contains(&at) {
            seen.push(at);
            self.count(at, size);
        }
    }

    /// The largest first.
    fn sorted(mut self) -> Vec<Group> {
        self.0.retain(|group| group.files > 0);
        self.0.sort_by(|a, b| {
            (b.files, b.bytes, &a.track_type, &a.name).cmp(&(a.files, a.bytes, &b.track_type, &b.name))
        });
        self.0
    }
}

fn files_sql(source: &Source) -> String {
    format!(
        "SELECT files.id, files.size_bytes, scan_status, container_format, path, files.modified_at, {}
         FROM files{} WHERE files.id > ?1 ORDER BY files.id",
        source.file_columns(),
        source.join()
    )
}

fn tracks_sql(source: &Source) -> String {
    format!(
        "SELECT track_type, codec, language, width, height, frame_rate, {} FROM tracks{}
         WHERE tracks.file_id = ?1 LIMIT ?2",
        source.hdr_format(),
        source.join_tracks()
    )
}

/// What reads the tracks of a file.
struct Tracks<'a> {
    tracks: Statement<'a>,
    /// The subtitle files beside it.
    beside: Option<Statement<'a>>,
}

/// A count as far as it has come.
#[derive(Clone, Debug)]
pub struct Tally {
    /// The last file that is counted.
    last: i64,
    files: u64,
    bytes: u64,
    seconds: u64,
    truncated: u64,
    first_truncated: Vec<i64>,
    months: Groups,
    ranges: Groups,
    pictures: Groups,
    statuses: Groups,
    containers: Groups,
    codecs: Groups,
    languages: Groups,
    track_languages: Groups,
    resolutions: Groups,
    /// With the spans of their roots; the last is below none.
    totals: Vec<(Option<Span>, RootTotals)>,
}

impl Tally {
    /// Of nothing as yet. `roots` do not contain each other.
    #[must_use]
    pub fn new(roots: &[String]) -> Self {
        let of = |root: &String| {
            (Some(Span::below(root)), RootTotals { root: root.clone(), ..RootTotals::default() })
        };
        Self {
            totals: roots.iter().map(of).chain([(None, RootTotals::default())]).collect(),
            last: i64::MIN,
            files: 0,
            bytes: 0,
            seconds: 0,
            truncated: 0,
            first_truncated: Vec::new(),
            months: Groups::default(),
            ranges: Groups::default(),
            pictures: Groups::default(),
            statuses: Groups::default(),
            containers: Groups::default(),
            codecs: Groups::default(),
            languages: Groups::default(),
            track_languages: Groups::default(),
            resolutions: Groups::default(),
        }
    }

    /// Counts on, by id, until `time` is over, but at least one file. Returns whether all are counted.
    ///
    /// # Errors
    /// What SQLite reports.
    pub fn advance(&mut self, conn: &Connection, time: Duration) -> rusqlite::Result<bool> {
        let start = Instant::now();
        let source = Source::new(conn)?;
        let tracks = conn.prepare(&tracks_sql(&source))?;
        let mut tracks = Tracks { tracks, beside: subtitles::prepare(conn)? };
        let mut statement = conn.prepare(&files_sql(&source))?;
        let mut rows = statement.query([self.last])?;
        while let Some(row) = rows.next()? {
            let id: i64 = row.get(0)?;
            let size = integer(row, 1).and_then(|size| u64::try_from(size).ok()).unwrap_or_default();
            let status = word(row, 2);
            self.count_total(row, Status::of(status.unwrap_or_default()), size);
            let at = self.statuses.find(None, status);
            self.statuses.count(at, size);
            if status != Some(Status::Missing.as_str()) {
                self.files += 1;
                self.bytes = self.bytes.saturating_add(size);
                let at = self.containers.find(None, word(row, 3));
                self.containers.count(at, size);
                let known = facts::of_file(row, 6, 5);
                self.count_facts(&known, id, size);
                self.count_tracks(&mut tracks, id, size, known.is_current)?;
            }
            self.last = id;
            if start.elapsed() >= time {
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn count_facts(&mut self, known: &OfFile, id: i64, size: u64) {
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "whole seconds")]
        let seconds = known.duration_seconds.unwrap_or_default() as u64;
        self.seconds = self.seconds.saturating_add(seconds);
        if Cut::of(size, known.has_zero_tail, &known.facts).is_some_and(Cut::is_truncated) {
            self.truncated += 1;
            if self.first_truncated.len() < FIRST {
                self.first_truncated.push(id);
            }
        }
        if let Some(month) = known.first_seen.as_deref().and_then(|time| time.get(..7)) {
            let at = self.months.find(None, Some(month));
            self.months.count(at, size);
        }
    }

    fn count_tracks(
        &mut self,
        tracks: &mut Tracks<'_>,
        file: i64,
        size: u64,
        has_facts: bool,
    ) -> rusqlite::Result<()> {
        let (mut codecs, mut languages, mut of_type, mut picture) =
            (Vec::new(), Vec::new(), Vec::new(), None);
        let mut ranges = Vec::new();
        let mut rows = tracks.tracks.query([file, MOST_TRACKS])?;
        while let Some(row) = rows.next()? {
            let Some(kind) = word(row, 0) else { continue };
            let codec = word(row, 1);
            self.codecs.count_once(&mut codecs, Some(kind), codec, size);
            match kind {
                "video" => {
                    let (width, height) = (integer(row, 3), integer(row, 4));
                    let is_cover = word(row, 5).is_none() && is_image(codec);
                    let range = word(row, 6).filter(|_| has_facts && !is_cover);
                    if range.is_some() {
                        self.ranges.count_once(&mut ranges, None, range, size);
                    }
                    let width = width.unwrap_or_default();
                    if !is_cover && picture.is_none_or(|(other, _, _)| width > other) {
                        let group = self.pictures.find(None, codec);
                        picture = Some((width, height.unwrap_or_default(), group));
                    }
                }
                "audio" | "subtitle" => {
                    self.languages.count_once(&mut languages, None, word(row, 2), size);
                    self.track_languages.count_once(&mut of_type, Some(kind), word(row, 2), size);
                }
                _ => {}
            }
        }
        if let Some(beside) = &mut tracks.beside {
            let mut rows = beside.query([file])?;
            while let Some(row) = rows.next()? {
                let (kind, language) = (Some("subtitle"), word(row, 0));
                let codec = word(row, 1).and_then(subtitles::codec);
                self.codecs.count_once(&mut codecs, kind, codec, size);
                self.languages.count_once(&mut languages, None, language, size);
                self.track_languages.count_once(&mut of_type, kind, language, size);
            }
        }
        if let Some((width, height, group)) = picture {
            self.pictures.count(group, size);
            let at = self.resolutions.find(None, Some(resolution(width, height)));
            self.resolutions.count(at, size);
        }
        Ok(())
    }

    /// What was counted.
    #[must_use]
    pub fn overview(self) -> Overview {
        Overview {
            files: self.files,
            bytes: self.bytes,
            seconds: self.seconds,
            truncated: self.truncated,
            first_truncated: self.first_truncated,
            months: self.months.sorted(),
            ranges: self.ranges.sorted(),
            pictures: self.pictures.sorted(),
            statuses: self.statuses.sorted(),
            containers: self.containers.sorted(),
            codecs: self.codecs.sorted(),
            languages: self.languages.sorted(),
            track_languages: self.track_languages.sorted(),
            resolutions: self.resolutions.sorted(),
        }
    }

    /// What was counted, by root too.
    #[must_use]
    pub fn totals(mut self) -> Totals {
        let roots = std::mem::take(&mut self.totals).into_iter().map(|(_, totals)| totals).collect();
        Totals { roots, overview: self.overview() }
    }

    fn count_total(&mut self, row: &Row<'_>, status: Status, size: u64) {
        let path = row.get_ref(4).ok().and_then(|path| path.as_bytes().ok()).unwrap_or_default();
        let is_above = |(span, _): &&mut (Option<Span>, RootTotals)| {
            span.as_ref().is_none_or(|span| span.contains_bytes(path))
        };
        if let Some((_, totals)) = self.totals.iter_mut().find(is_above) {
            let sum = &mut totals.by_status[status as usize];
            sum.files += 1;
            sum.bytes = sum.bytes.saturating_add(size);
        }
    }
}

/// Covers are video tracks too, but no measure of a film. What tells them from a camera's MJPEG is that they have no frame
/// rate.
pub(crate) fn is_image(codec: Option<&str>) -> bool {
    matches!(codec, Some("mjpeg" | "png" | "bmp" | "gif" | "webp" | "tiff"))
}

/// The class of a picture. Films are often cut in one direction, so either measure is enough.
pub(crate) fn resolution(width: i64, height: i64) -> &'static str {
    const LEAST: [(i64, i64); 6] =
        [(7000, 4000), (3500, 2000), (2400, 1400), (1800, 1000), (1200, 700), (0, 0)];
    let class = LEAST.iter().position(|(wide, high)| width >= *wide || height >= *high);
    RESOLUTIONS[class.unwrap_or(RESOLUTIONS.len() - 1)]
}

/// The classes of [`resolution`].
pub(crate) const RESOLUTIONS: [&str; 6] = ["4320p", "2160p", "1440p", "1080p", "720p", "sd"];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::library::schema::{SQL, plan};

    #[test]
    fn files_and_tracks_are_read_along_the_keys() {
        let source = Source::new(&Connection::open_in_memory().expect("memory")).expect("no facts");
        assert_eq!(
            plan(&files_sql(&source), &[Box::new(0)]),
            "SEARCH files USING INTEGER PRIMARY KEY (rowid>?)"
        );
        let tracks = plan(&tracks_sql(&source), &[Box::new(0), Box::new(1)]);
        assert!(
            tracks.starts_with("SEARCH tracks USING INDEX") && tracks.ends_with("(file_id=?)"),
            "{tracks}"
        );
    }

    #[test]
    fn slices_add_up_and_names_are_bounded() {
        let connection = Connection::open_in_memory().expect("memory");
        connection.execute_batch(SQL).expect("the schema");
        connection
            .execute_batch(
                "WITH RECURSIVE n(x) AS (SELECT -3 UNION ALL SELECT x + 1 FROM n WHERE x < 1996)
                 INSERT INTO files (id, path, filename, directory, extension, size_bytes, modified_at, scanned_at,
                    scan_status)
                 SELECT x, CASE WHEN x < 0 THEN '/a/' WHEN x = 0 THEN '/ab/' ELSE '/abc/' END || x, x, '/', 'mkv', 10, '',
                    '', iif(x % 2, 'ok', 'missing') FROM n;
                 INSERT INTO tracks (file_id, track_index, track_type, codec, language)
                 SELECT id, 0, 'audio', 'codec' || id, printf('%.*c', 80 + id % 7, 'x') FROM files
                 UNION ALL SELECT id, 1, 'audio', 'codec' || (id + 1), 'eng' FROM files
                 UNION ALL SELECT id, 2, 'audio', 'aac', 'eng' FROM files",
            )
            .expect("rows");
        let mut tally = Tally::new(&["/a".to_owned(), "/ab".to_owned()]);
        let mut slices = 1;
        while !tally.advance(&connection, Duration::ZERO).expect("counted") {
            slices += 1;
        }
        assert_eq!(slices, 2001, "each slice a file, and the last none");
        // Pending, ok, error, missing, foreign.
        let files = |totals: &RootTotals| totals.by_status.map(|sum| sum.files);
        let totals = tally.clone().totals().roots;
        assert_eq!(totals.iter().map(|totals| totals.root.as_str()).collect::<Vec<_>>(), ["/a", "/ab", ""]);
        assert_eq!(
            totals.iter().map(files).collect::<Vec<_>>(),
            [[0, 2, 0, 1, 0], [0, 0, 0, 1, 0], [0, 998, 0, 998, 0]]
        );
        assert_eq!(totals[2].by_status[1].bytes, 9980);
        let overview = tally.overview();
        assert_eq!((overview.files, overview.bytes), (1000, 10_000));
        assert_eq!(overview.codecs.len(), MOST_GROUPS + 1);
        let of = |groups: &[Group], name: &str| {
            groups.iter().find(|group| group.name.as_deref() == Some(name)).map(|group| group.files)
        };
        assert_eq!(of(&overview.codecs, "aac"), Some(1000));
        let told: u64 = overview.codecs.iter().map(|group| group.files).sum();
        let others = of(&overview.codecs, OTHERS).expect("a group");
        // Two codecs of its own for each file but for those that count as others, once.
        assert_eq!((told - 1000 - others) / 2 + others, 1000, "each file once: {others}");
        assert_eq!(
            (of(&overview.languages, "eng"), of(&overview.languages, OTHERS)),
            (Some(1000), Some(1000))
        );
        assert_eq!(overview.languages.len(), 2);
    }

    #[test]
    fn pictures_cut_in_one_direction_keep_their_class() {
        for (width, height, class) in [
            (1920, 800, "1080p"),
            (1440, 1080, "1080p"),
            (3840, 1600, "2160p"),
            (1280, 536, "720p"),
            (960, 720, "720p"),
            (720, 576, "sd"),
            (7680, 4320, "4320p"),
            (2560, 1080, "1440p"),
        ] {
            assert_eq!(resolution(width, height), class, "{width}x{height}");
        }
    }
}
