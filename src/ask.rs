//! Questions about the files of a library: what `vpo list`, `vpo stats`, the HTTP API and its pages have in common. Imports
//! only [`crate::base`], [`crate::library`] and [`crate::query`]; it does not depend on HTTP or a terminal.
//!
//! 1. [`terms::read`] reads the text of a query and checks it against what the library holds.
//! 2. A [`Question`] adds filters, an order and whether missing files count.
//! 3. [`Question::page`] answers it page by page, [`Question::walk`] without keeping the files, [`Question::count`] with
//!    sums by a property, [`Question::changes`] with changes of its files.
//!
//! Each call runs within one read transaction of the caller, reads a bounded number of rows, and returns where to go on. So
//! no answer keeps writers waiting, however large the library is.

mod changes;
pub(crate) mod csv;
mod statistics;
pub(crate) mod terms;
mod view;

pub(crate) use statistics::{By, Counted};

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use crate::base::fold::{contains, fold};
use crate::base::times::{COUNT_READ_TIME, QUERY_READ_TIME};
use crate::base::timestamp::Timestamp;
use crate::library::files::Span;
use crate::library::files::listing::{self, Details, Filter};
use crate::library::files::order::{self, Key, Sort};
use crate::library::room::Room;
use crate::library::sqlite::{Result, Transaction};
use crate::query::{Query, Term, TrackType, normalise};
use view::View;

/// Rows that are read before they are examined. Their tracks are in memory together.
const CHUNK: u32 = 250;

/// Tracks of a language that is rare. Their files are read one by one.
const RARE: u32 = 2_000;

/// Most ids that are ordered at once. To order reads a column of every row, so a long answer orders more and more ids.
const AHEAD: u32 = 160_000;

/// How much more.
const GROWTH: u32 = 8;

/// Which files, and in which order. Every condition given must hold.
#[derive(Clone, Debug)]
pub(crate) struct Question {
    /// What is asked of each file.
    pub query: Option<Query>,
    /// Further conditions.
    pub filter: Filter,
    /// The languages and codecs that the filter names.
    pub filter_terms: Vec<Term>,
    /// The directory that contains the file at any depth.
    pub below: Option<String>,
    /// Whether missing files are part of the answer. Otherwise they are counted only.
    pub missing: bool,
    /// Whether the answer shows tracks. They are also read if the conditions name any.
    pub tracks: bool,
    /// The order.
    pub sort: Sort,
    /// When it is asked: the age of a file counts up to here.
    pub now: Timestamp,
}

/// How much one call may read and return.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bounds {
    /// Files of the answer.
    pub files: u64,
    /// Rows that are examined, some more or less.
    pub rows: u64,
    /// No further rows are examined after this time.
    pub time: Duration,
}

impl Bounds {
    /// A page of at most so many files. It examines 50,000 rows, or as many as it can in a second.
    pub(crate) fn page(files: u32) -> Self {
        Self { files: files.into(), rows: 50_000, time: QUERY_READ_TIME }
    }

    /// A part of a whole answer, short enough that writers do not notice the read.
    pub(crate) fn slice(files: u64) -> Self {
        Self { files, rows: u64::MAX, time: COUNT_READ_TIME }
    }
}

/// Where a call begins: after a file. It also remembers the ids that follow in an order for which there is no index.
#[derive(Clone, Debug, Default)]
pub(crate) struct Cursor {
    after: i64,
    ahead: VecDeque<i64>,
    /// How many ids were ordered last.
    ordered: u32,
    plan: Plan,
}

/// How the rows of an answer are found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Plan {
    /// Not known yet.
    #[default]
    None,
    /// All rows in order.
    All,
    /// The ids ahead are all that can match.
    Ahead,
}

impl Cursor {
    /// The file; 0 at the start.
    pub(crate) fn id(&self) -> i64 {
        self.after
    }

    /// How many ids to order now.
    fn grow(&mut self) -> u32 {
        self.ordered = self.ordered.saturating_mul(GROWTH).clamp(CHUNK, AHEAD);
        self.ordered
    }

    /// The place after `at`, which is in the chunk of `ids`, or after what this cursor names.
    fn resume(mut self, ids: &[i64], at: i64) -> Self {
        let rest = ids.iter().position(|id| *id == at).map_or(ids, |place| &ids[place + 1..]);
        rest.iter().rev().for_each(|id| self.ahead.push_front(*id));
        Self { after: at, ..self }
    }
}

impl From<i64> for Cursor {
    fn from(after: i64) -> Self {
        Self { after, ..Self::default() }
    }
}

/// What a call did.
#[derive(Clone, Debug, Default)]
pub(crate) struct Walked {
    /// Files of the answer.
    pub found: u64,
    /// Missing files for which the conditions hold, and which are not part of the answer.
    pub left_out: u64,
    /// Where the next call begins; `None` at the end. Perhaps no file follows.
    pub next_cursor: Option<Cursor>,
}

/// A page of an answer.
#[derive(Clone, Debug, Default)]
pub(crate) struct Page {
    /// Its files, in order. Fewer than asked for if they are long, or match rarely.
    pub files: Vec<Details>,
    /// What was left out, and where the next page begins.
    pub walked: Walked,
}

impl Question {
    /// All files of the library by age, now. `query` decides whether missing files are part of the answer.
    pub(crate) fn new(query: Option<Query>) -> Self {
        Self {
            missing: query.as_ref().is_some_and(Query::asks_for_missing),
            query,
            filter: Filter::default(),
            filter_terms: Vec::new(),
            below: None,
            tracks: true,
            sort: Sort::default(),
            now: Timestamp::now(),
        }
    }

    /// The files of the answer from `cursor` on; `None` if the file at the cursor is no longer recorded. They take 256 KiB as JSON, or are one larger file.
    ///
    /// # Errors
    /// What SQLite reports.
    pub(crate) fn page(&self, tx: &Transaction<'_>, cursor: &Cursor, bounds: Bounds) -> Result<Option<Page>> {
        let (mut files, mut room) = (Vec::new(), Room::page());
        let walked = self.walk(tx, cursor, bounds, &mut |details| {
            // The tracks of a file that was found by them are not always shown.
            let fits = if self.tracks { room.fits(&details) } else { room.fits(&details.file) };
            if fits {
                files.push(details);
            }
            fits
        })?;
        Ok(walked.map(|walked| Page { files, walked }))
    }

    /// As [`Self::page`], and gives each file to `take`. If that returns false, the next call begins with the same file.
    ///
    /// # Errors
    /// What SQLite reports.
    pub(crate) fn walk(
        &self,
        tx: &Transaction<'_>,
        cursor: &Cursor,
        bounds: Bounds,
        take: &mut dyn FnMut(Details) -> bool,
    ) -> Result<Option<Walked>> {
        let span = self.below.as_deref().map(Span::below);
        let asks_for_twins = self.query.as_ref().is_some_and(|query| query.names().contains("duplicate"));
        let start = Instant::now();
        let (mut walked, mut rows, mut cursor) = (Walked::default(), 0_u64, cursor.clone());
        if cursor.plan == Plan::None {
            self.plan(tx, &mut cursor)?;
        }
        let is_filtered = self.is_by_id() && cursor.plan == Plan::All;
        loop {
            let Some(chunk) = self.chunk(tx, span.as_ref(), &mut cursor)? else { return Ok(None) };
            let twins = if asks_for_twins {
                listing::have_twins(tx, &chunk.files)?
            } else {
                vec![false; chunk.files.len()]
            };
            let last = chunk.files.last().map(|details| details.file.id);
            let mut at = cursor.after;
            for (details, has_twin) in chunk.files.into_iter().zip(twins) {
                let id = details.file.id;
                let is_missing = details.file.scan_status == "missing";
                if !self.holds(&details, has_twin, is_filtered) {
                    // Passed over.
                } else if is_missing && !self.missing {
                    walked.left_out += 1;
                } else if take(details) {
                    walked.found += 1;
                    if walked.found >= bounds.files && last != Some(id) {
                        walked.next_cursor = Some(cursor.resume(&chunk.ids, id));
                        return Ok(Some(walked));
                    }
                } else {
                    walked.next_cursor = Some(cursor.resume(&chunk.ids, at));
                    return Ok(Some(walked));
                }
                at = id;
            }
            rows = rows.saturating_add(chunk.rows);
            let Some(next) = chunk.next else { return Ok(Some(walked)) };
            cursor.after = next;
            let is_over = rows >= bounds.rows || start.elapsed() >= bounds.time;
            if is_over || walked.found >= bounds.files {
                walked.next_cursor = Some(cursor);
                return Ok(Some(walked));
            }
        }
    }

    /// Whether the conditions may hold for a file whose tracks are not read yet.
    fn may_hold(&self, details: &Details) -> bool {
        let view = View { details, has_twin: false, now: self.now };
        self.query.as_ref().is_none_or(|query| query.may_match(&view))
    }

    /// Whether the conditions hold. The database may have applied the filter.
    fn holds(&self, details: &Details, has_twin: bool, is_filtered: bool) -> bool {
        let view = View { details, has_twin, now: self.now };
        (is_filtered || is_chosen(&self.filter, details))
            && self.query.as_ref().is_none_or(|query| query.expression.matches(&view))
    }

    /// Whether the answer is in the order of the ids.
    fn is_by_id(&self) -> bool {
        self.sort == Sort::default() && self.below.is_none()
    }

    /// Finds out whether the index of languages names the few files that can match.
    fn plan(&self, tx: &Transaction<'_>, cursor: &mut Cursor) -> Result<()> {
        cursor.plan = Plan::All;
        let required = self.query.as_ref().map(Query::required_languages).unwrap_or_default();
        for (track_type, wanted) in required.into_iter().filter(|_| self.is_by_id()) {
            let is_wanted = |language: &str| wanted.iter().any(|wanted| *wanted == normalise(language));
            let beside = track_type == TrackType::Subtitle;
            if let Some(ids) = order::with_language(tx, &is_wanted, beside, RARE)? {
                cursor.ahead = ids.into_iter().filter(|id| *id > cursor.after).collect();
                cursor.plan = Plan::Ahead;
                return Ok(());
            }
        }
        Ok(())
    }

    /// The next rows in order.
    fn chunk(&self, tx: &Transaction<'_>, span: Option<&Span>, cursor: &mut Cursor) -> Result<Option<Chunk>> {
        let needs_tracks = self.tracks
            || self.filter.codec.is_some()
            || self.filter.language.is_some()
            || self.query.as_ref().is_some_and(Query::asks_for_tracks);
        if self.is_by_id() && cursor.plan == Plan::All {
            let page = listing::page(tx, &self.filter, cursor.after, CHUNK)?;
            let rows = page.next_cursor.map_or(0, |next| next.abs_diff(cursor.after));
            let files = page.files.into_iter().map(Details::from).filter(|details| self.may_hold(details));
            if !needs_tracks {
                return Ok(Some(Chunk {
                    files: files.collect(),
                    ids: Vec::new(),
                    rows,
                    next: page.next_cursor,
                }));
            }
            let files: Vec<_> = files.map(|details| details.file).collect();
            let count = files.len();
            let files = listing::with_tracks(tx, files)?;
            let is_cut = files.len() < count;
            let next = if is_cut { files.last().map(|last| last.file.id) } else { page.next_cursor };
            return Ok(Some(Chunk { files, ids: Vec::new(), rows, next }));
        }
        let mut is_last = cursor.plan == Plan::Ahead;
        if cursor.ahead.is_empty() && !is_last {
            // The index of paths serves a directory.
            let is_default = self.sort == Sort::default();
            let sort = if is_default { Sort { key: Key::Path, ..self.sort } } else { self.sort };
            let limit = cursor.grow();
            let Some(ids) = order::ids(tx, sort, span, cursor.after, limit)? else { return Ok(None) };
            is_last = ids.len() < limit as usize;
            cursor.ahead = ids.into();
        }
        let count = cursor.ahead.len().min(CHUNK as usize);
        let ids: Vec<i64> = cursor.ahead.drain(..count).collect();
        let next = ids.last().copied().filter(|_| !is_last || !cursor.ahead.is_empty());
        let files = listing::chosen(tx, &ids, needs_tracks)?;
        Ok(Some(Chunk { files, rows: ids.len() as u64, ids, next }))
    }
}

/// Rows that are read together.
struct Chunk {
    files: Vec<Details>,
    /// Of the files, in an order other than that of the ids.
    ids: Vec<i64>,
    /// How many were examined for them.
    rows: u64,
    next: Option<i64>,
}

/// Whether `filter` applies to a file that the database has not compared with it.
fn is_chosen(filter: &Filter, details: &Details) -> bool {
    let file = &details.file;
    let is = |wanted: &Option<String>, found: &str| wanted.as_ref().is_none_or(|wanted| wanted == found);
    let any = |wanted: &Option<String>, of: fn(&listing::Track) -> &Option<String>| {
        wanted.is_none() || details.tracks.iter().any(|track| of(track) == wanted)
    };
    is(&filter.status, &file.scan_status)
        && is(&filter.extension, &file.extension)
        && is(&filter.directory, &file.directory)
        && any(&filter.codec, |track| &track.codec)
        && any(&filter.language, |track| &track.language)
        && filter.path_contains.as_ref().is_none_or(|part| contains(&fold(part), &file.path))
}

#[cfg(test)]
mod tests;
