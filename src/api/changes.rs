//! `/api/v1/changes`: what happened to the files of the library.

use serde::Serialize;
use warp::reply::Response;

use super::answer::{self, Refusal};
use super::budget::Size;
use super::query::{self, Parameters};
use super::read_pool::ReadPool;
use crate::ask::{Bounds, Question, terms};
use crate::library::changes::Change;
use crate::library::sqlite::Transaction;

#[derive(Serialize)]
struct ChangesPage {
    changes: Vec<Change>,
    next_cursor: Option<i64>,
    /// How the query was understood.
    notes: Vec<String>,
}

/// Answers `/changes`.
pub(super) async fn list(pool: ReadPool, parameters: Parameters) -> Result<Response, Refusal> {
    let (filter, text, cursor, limit) = query::changes(parameters)?;
    let read = move |tx: &Transaction<'_>| {
        let query = match text.as_deref().map(|text| terms::read(tx, text)).transpose() {
            Ok(query) => query,
            Err(error) => return Ok(Err(Refusal::query(error))),
        };
        let notes = query.as_ref().map(terms::aliases).unwrap_or_default();
        let page = Question::new(query).changes(tx, filter, cursor, Bounds::page(limit))?;
        Ok(Ok(ChangesPage { changes: page.changes, next_cursor: page.next_cursor, notes }))
    };
    pool.answer(ReadPool::deadline(), Size::Page, read, |page| answer::json(&page?)).await
}
