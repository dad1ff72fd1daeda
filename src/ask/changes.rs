//! Changes of the files for which the conditions of a question hold.

use std::collections::BTreeSet;
use std::time::Instant;

use super::{Bounds, CHUNK, Question};
use crate::library::changes::{self, Filter, Page};
use crate::library::files::listing;
use crate::library::room::Room;
use crate::library::sqlite::{Result, Transaction};
use crate::query::Query;

/// Files whose tracks are in memory together.
const FILES: usize = 16;

impl Question {
    /// The next changes before `cursor`. With a query, only those of files that are recorded and for which it holds now,
    /// whether they are missing or not. Perhaps none, with the cursor of the next page.
    ///
    /// # Errors
    /// What SQLite reports.
    pub(crate) fn changes(
        &self,
        tx: &Transaction<'_>,
        filter: Filter,
        cursor: Option<i64>,
        bounds: Bounds,
    ) -> Result<Page> {
        let limit = u32::try_from(bounds.files).unwrap_or(u32::MAX);
        let Some(query) = &self.query else { return changes::page(tx, filter, cursor, limit) };
        let (start, mut cursor) = (Instant::now(), cursor);
        let (mut found, mut room) = (Page::default(), Room::page());
        loop {
            let page = changes::page(tx, filter, cursor, CHUNK)?;
            let chosen = self.chosen(tx, query, &page)?;
            let is_chosen = |id: Option<i64>| id.is_some_and(|id| chosen.contains(&id));
            for change in page.changes.into_iter().filter(|change| is_chosen(change.file_id)) {
                if found.changes.len() as u64 >= bounds.files || !room.fits(&change) {
                    found.next_cursor = found.changes.last().map(|last| last.id);
                    return Ok(found);
                }
                found.changes.push(change);
            }
            cursor = page.next_cursor;
            if cursor.is_none() || start.elapsed() >= bounds.time {
                found.next_cursor = cursor;
                return Ok(found);
            }
        }
    }

    /// The files of a page for which the query holds.
    fn chosen(&self, tx: &Transaction<'_>, query: &Query, page: &Page) -> Result<BTreeSet<i64>> {
        let asks_for_twins = query.names().contains("duplicate");
        let ids: BTreeSet<i64> = page.changes.iter().filter_map(|change| change.file_id).collect();
        let ids: Vec<i64> = ids.into_iter().collect();
        let mut chosen = BTreeSet::new();
        for ids in ids.chunks(FILES) {
            let files = listing::chosen(tx, ids, query.asks_for_tracks())?;
            let twins = if asks_for_twins { listing::have_twins(tx, &files)? } else { Vec::new() };
            for (place, details) in files.iter().enumerate() {
                if self.holds(details, twins.get(place).copied().unwrap_or_default(), true) {
                    chosen.insert(details.file.id);
                }
            }
        }
        Ok(chosen)
    }
}
