//! Counts and bytes over the whole library. Each of these reads a table or an index from end to end, which is
//! tens of milliseconds for a hundred thousand files: callers ask seldom, and keep the answer.

use std::collections::HashMap;

use rusqlite::Connection;
use serde::Serialize;

use super::Status;
use crate::library::lenient::{integer, unsigned, word};

/// Files and bytes by status.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// Of each status that occurs; words of other programs are counted together.
    pub by_status: Vec<StatusTotal>,
}

/// Files of one status.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StatusTotal {
    /// `scan_status`
    pub status: Status,
    /// How many.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
}

/// Counts files and bytes by status.
///
/// # Errors
/// What SQLite reports.
pub fn totals(conn: &Connection) -> rusqlite::Result<Totals> {
    let mut statement = conn
        .prepare("SELECT scan_status, count(*), total(max(size_bytes, 0)) FROM files GROUP BY scan_status")?;
    let rows = statement.query_map([], |row| {
        let status = Status::of(word(row, 0).unwrap_or_default());
        // A sum of integers may overflow, which SQLite calls an error; its total is a float.
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "not negative, and saturates"
        )]
        let bytes = row.get::<_, f64>(2)? as u64;
        Ok(StatusTotal { status, files: unsigned(row, 1), bytes })
    })?;
    let mut totals = Totals::default();
    for row in rows {
        let one = row?;
        match totals.by_status.iter_mut().find(|sum| sum.status == one.status) {
            Some(sum) => {
                sum.files += one.files;
                sum.bytes = sum.bytes.saturating_add(one.bytes);
            }
            None => totals.by_status.push(one),
        }
    }
    Ok(totals)
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
    /// By codec: files with at least one track of it.
    pub codecs: Vec<Group>,
    /// By language: files with at least one audio or subtitle track of it.
    pub languages: Vec<Group>,
    /// By the class of the largest video track.
    pub resolutions: Vec<Group>,
}

/// Files that have something in common.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Group {
    /// What; `None` where the library does not say.
    pub name: Option<String>,
    /// The kind of track, where it is about tracks.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub track_type: Option<String>,
    /// Files.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
}

/// Names under which files are counted: the kind of track, if any, and the name, if any.
type Sums = HashMap<(Option<String>, Option<String>), (u64, u64)>;

/// The walk over the library: every file by id, its tracks by the index on `file_id`.
const WALK: &str = "SELECT f.id, f.size_bytes, f.scan_status, f.container_format,
        t.track_type, t.codec, t.language, t.width, t.height, t.frame_rate
    FROM files f LEFT JOIN tracks t ON t.file_id = f.id ORDER BY f.id";

/// Counts everything in one pass, without a temporary table.
///
/// # Errors
/// What SQLite reports.
pub fn overview(conn: &Connection) -> rusqlite::Result<Overview> {
    let mut statement = conn.prepare(WALK)?;
    let mut rows = statement.query([])?;
    let (mut statuses, mut containers, mut codecs, mut languages, mut resolutions) =
        (Sums::new(), Sums::new(), Sums::new(), Sums::new(), Sums::new());
    let mut overview = Overview::default();
    let mut file = Counted::default();
    while let Some(row) = rows.next()? {
        let id: i64 = row.get(0)?;
        if id != file.id {
            file.add_resolution(&mut resolutions);
            let size = integer(row, 1).and_then(|size| u64::try_from(size).ok()).unwrap_or_default();
            file = Counted { id, size, ..Counted::default() };
            let status = word(row, 2);
            file.add(&mut statuses, None, status);
            file.is_missing = status == Some(Status::Missing.as_str());
            if !file.is_missing {
                overview.files += 1;
                overview.bytes = overview.bytes.saturating_add(file.size);
                file.add(&mut containers, None, word(row, 3));
            }
        }
        let Some(kind) = word(row, 4).filter(|_| !file.is_missing) else { continue };
        let codec = word(row, 5);
        if file.is_news(kind, codec) {
            file.add(&mut codecs, Some(kind), codec);
        }
        match kind {
            "video" => {
                let (width, height) = (integer(row, 7), integer(row, 8));
                let is_still = word(row, 9).is_none();
                file.see_picture(codec, is_still, width.unwrap_or_default(), height.unwrap_or_default());
            }
            "audio" | "subtitle" => {
                let language = word(row, 6);
                if file.is_news("language", language) {
                    file.add(&mut languages, None, language);
                }
            }
            _ => {}
        }
    }
    file.add_resolution(&mut resolutions);
    overview.statuses = groups(statuses);
    overview.containers = groups(containers);
    overview.codecs = groups(codecs);
    overview.languages = groups(languages);
    overview.resolutions = groups(resolutions);
    Ok(overview)
}

/// The file whose rows come just now.
#[derive(Default)]
struct Counted {
    id: i64,
    size: u64,
    is_missing: bool,
    seen: Vec<(String, Option<String>)>,
    picture: Option<(i64, i64)>,
}

impl Counted {
    fn add(&self, sums: &mut Sums, kind: Option<&str>, name: Option<&str>) {
        let sum = sums.entry((kind.map(str::to_owned), name.map(str::to_owned))).or_default();
        *sum = (sum.0 + 1, sum.1.saturating_add(self.size));
    }

    /// Whether this is the file's first track of that name.
    fn is_news(&mut self, kind: &str, name: Option<&str>) -> bool {
        if self.seen.iter().any(|(other, word)| other == kind && word.as_deref() == name) {
            return false;
        }
        self.seen.push((kind.to_owned(), name.map(str::to_owned)));
        true
    }

    /// Covers are video tracks too, but no measure of a film. What tells them from a camera's MJPEG is that they have no
    /// frame rate.
    fn see_picture(&mut self, codec: Option<&str>, is_still: bool, width: i64, height: i64) {
        let is_cover = is_still && matches!(codec, Some("mjpeg" | "png" | "bmp" | "gif" | "webp" | "tiff"));
        if !is_cover && self.picture.is_none_or(|(other, _)| width > other) {
            self.picture = Some((width, height));
        }
    }

    fn add_resolution(&self, sums: &mut Sums) {
        if let Some((width, height)) = self.picture {
            self.add(sums, None, Some(resolution(width, height)));
        }
    }
}

/// The class of a picture. Films are often cut in one direction, so either measure is enough.
fn resolution(width: i64, height: i64) -> &'static str {
    const CLASSES: [(i64, i64, &str); 5] = [
        (7000, 4000, "4320p"),
        (3500, 2000, "2160p"),
        (2400, 1400, "1440p"),
        (1800, 1000, "1080p"),
        (1200, 700, "720p"),
    ];
    CLASSES.iter().find(|(wide, high, _)| width >= *wide || height >= *high).map_or("sd", |class| class.2)
}

/// The largest first.
fn groups(sums: Sums) -> Vec<Group> {
    let mut groups: Vec<_> = sums
        .into_iter()
        .map(|((track_type, name), (files, bytes))| Group { name, track_type, files, bytes })
        .collect();
    groups.sort_by(|a, b| {
        (b.files, b.bytes, &a.track_type, &a.name).cmp(&(a.files, a.bytes, &b.track_type, &b.name))
    });
    groups
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::library::schema::plan;

    #[test]
    fn everything_is_counted_in_one_walk_along_the_keys() {
        let plan = plan(WALK, &[]);
        assert!(plan.starts_with("SCAN f; SEARCH t USING INDEX"), "{plan}");
        assert!(plan.contains("(file_id=?) LEFT-JOIN") && !plan.contains("TEMP B-TREE"), "{plan}");
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
