//! The read-only routes of the library (`/api/v1/…`) as warp filters. Imports only [`crate::base`],
//! [`crate::library`], [`crate::query`] and [`crate::ask`]. `docs/openapi.yaml` is the contract.
//!
//! [`query`] parses parameters, [`read_pool`] limits the number and time of database reads, [`overview`] caches the totals,
//! [`budget`] bounds the bytes of answers, [`mod@answer`] builds them; [`files`](self) answers queries.

pub(crate) mod answer;
pub(crate) mod budget;
mod changes;
mod files;
pub(crate) mod gzip;
pub(crate) mod overview;
pub(crate) mod query;
pub(crate) mod read_pool;
mod status;

use std::convert::Infallible;
use std::path::PathBuf;
use std::sync::Arc;

use serde::Serialize;
use warp::filters::BoxedFilter;
use warp::http::HeaderMap;
use warp::http::header::ACCEPT_ENCODING;
use warp::reply::Response;
use warp::{Filter, Rejection};

use crate::library::Library;
use crate::library::files::listing;
use crate::library::jobs::listing as jobs;
use crate::library::sqlite::Transaction;
use answer::Refusal;
use budget::Size;
use overview::Overviews;
use query::Parameters;
use read_pool::ReadPool;

/// The state of a root.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct Root {
    /// The directory.
    pub path: PathBuf,
    /// `ok` or `warn`.
    pub status: &'static str,
    /// The stable code of its problem.
    pub reason: Option<&'static str>,
    /// Its problem in one line.
    pub detail: Option<String>,
    /// End of the last complete scan.
    pub last_success: Option<String>,
    /// State of the watch for changes: `off`, `starting`, `watching`, `unavailable`.
    pub watch: &'static str,
    /// Whether a scan of it is in progress.
    pub scanning: bool,
}

/// The state of the daemon.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct Daemon {
    /// Its version.
    pub version: &'static str,
    /// `starting`, `running` or `stopping`.
    pub phase: &'static str,
    /// Time since its start.
    pub uptime_seconds: u64,
    /// The checks that warn or fail.
    pub problems: Vec<Problem>,
}

/// A check that warns or fails.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct Problem {
    /// The check.
    pub name: String,
    /// `warn` or `fail`.
    pub status: &'static str,
    /// The stable code.
    pub reason: Option<&'static str>,
    /// What is wrong, where, and what to do, in one line.
    pub detail: Option<String>,
}

/// What all readers of the library share: the permits to read, the last count, and the roots. Clones share it.
#[derive(Clone)]
pub(crate) struct Readers {
    pub(crate) pool: ReadPool,
    pub(crate) overviews: Arc<Overviews>,
    roots: Arc<dyn Fn() -> Vec<Root> + Send + Sync>,
}

impl Readers {
    /// `roots` returns the state of the roots.
    pub(crate) fn new(library: Arc<Library>, roots: impl Fn() -> Vec<Root> + Send + Sync + 'static) -> Self {
        let (pool, roots) = (ReadPool::new(library), Arc::new(roots));
        let counted = Arc::clone(&roots);
        Self { overviews: Arc::new(Overviews::new(pool.clone(), move || counted())), pool, roots }
    }

    /// The same for a client that accepts gzip, or not.
    pub(crate) fn with_gzip(&self, gzip: bool) -> Self {
        Self { pool: self.pool.clone().with_gzip(gzip), ..self.clone() }
    }
}

/// All routes. `daemon` returns the state of the daemon.
pub(crate) fn routes(
    readers: &Readers,
    daemon: impl Fn() -> Daemon + Send + Sync + 'static,
) -> BoxedFilter<(Response,)> {
    let Readers { pool, overviews, roots } = readers.clone();
    let daemon = Arc::new(daemon);
    let (counted_roots, shown_roots) = (Arc::clone(&roots), roots);
    let base = warp::path!("api" / "v1" / ..);
    let overview = base
        .and(warp::path!("library"))
        .and(parameters())
        .then(move |parameters: Parameters| answer(overviews.clone().show(parameters)));
    let list_files = base
        .and(warp::path!("files"))
        .and(parameters())
        .and(with(&pool))
        .then(|parameters: Parameters, pool: ReadPool| answer(files::list(pool, parameters)));
    let statistics = base.and(warp::path!("stats")).and(parameters()).and(with(&pool)).then(
        move |parameters: Parameters, pool: ReadPool| {
            answer(files::statistics(pool, parameters, counted_roots()))
        },
    );
    let state = base.and(warp::path!("status")).and(parameters()).and(with(&pool)).then(
        move |parameters: Parameters, pool: ReadPool| {
            answer(status::show(pool, parameters, daemon(), shown_roots()))
        },
    );
    let description = warp::path!("openapi.yaml").and(parameters()).map(|parameters: Parameters| {
        query::none(&parameters).map_or_else(Refusal::into_response, |()| status::description())
    });
    let one_file = base.and(warp::path!("files" / i64)).and(parameters()).and(with(&pool)).then(
        |id: i64, parameters: Parameters, pool: ReadPool| {
            answer(async move {
                query::none(&parameters)?;
                let read = move |tx: &Transaction<'_>| listing::details(tx, id);
                let unknown = move || Refusal::not_found(&format!("there is no file {id}"));
                let render = move |found: Option<_>| answer::json(&found.ok_or_else(unknown)?);
                pool.answer(ReadPool::deadline(), Size::Whole, read, render).await
            })
        },
    );
    let list_changes = base
        .and(warp::path!("changes"))
        .and(parameters())
        .and(with(&pool))
        .then(|parameters: Parameters, pool: ReadPool| answer(changes::list(pool, parameters)));
    let list_jobs = base.and(warp::path!("jobs")).and(parameters()).and(with(&pool)).then(
        |parameters: Parameters, pool: ReadPool| {
            answer(async move {
                let (filter, after, limit) = query::jobs(parameters)?;
                let start = after.clone();
                let read = move |tx: &Transaction<'_>| jobs::page(tx, &filter, start.as_deref(), limit);
                let unknown = move || {
                    Refusal::not_found(&format!("cursor: there is no job {}", after.unwrap_or_default()))
                };
                let render = move |page: Option<_>| answer::json(&page.ok_or_else(unknown)?);
                pool.answer(ReadPool::deadline(), Size::Page, read, render).await
            })
        },
    );
    let one_job = base.and(warp::path!("jobs" / String)).and(parameters()).and(with(&pool)).then(
        |id: String, parameters: Parameters, pool: ReadPool| {
            answer(async move {
                query::none(&parameters)?;
                let id = query::decode_path(&id)?;
                let wanted = id.clone();
                let read = move |tx: &Transaction<'_>| jobs::details(tx, &wanted);
                let unknown = move || Refusal::not_found(&format!("there is no job {id}"));
                let render = move |found: Option<_>| answer::json(&found.ok_or_else(unknown)?);
                pool.answer(ReadPool::deadline(), Size::Page, read, render).await
            })
        },
    );
    let states = statistics.or(state).unify().or(description).unify().boxed();
    let states = states.or(list_changes).unify().boxed();
    overview
        .or(list_files)
        .unify()
        .or(states)
        .unify()
        .or(one_file)
        .unify()
        .or(list_jobs)
        .unify()
        .or(one_job)
        .unify()
        .boxed()
}

/// Accepts GET or HEAD and parses the query. It must follow the filter of the path, so that only a known path leads to 405.
fn parameters() -> impl Filter<Extract = (Parameters,), Error = Rejection> + Clone + Send + Sync + 'static {
    let method = warp::get().or(warp::head()).unify();
    let raw = warp::query::raw().or(warp::any().map(String::new)).unify();
    method.and(raw).map(|raw: String| Parameters::parse(&raw))
}

/// The pool, for a client that accepts gzip or not.
fn with(
    pool: &ReadPool,
) -> impl Filter<Extract = (ReadPool,), Error = Infallible> + Clone + Send + Sync + 'static {
    let pool = pool.clone();
    accepts_gzip().map(move |gzip| pool.clone().with_gzip(gzip))
}

/// Whether the client accepts gzip. Does not reject.
pub(crate) fn accepts_gzip()
-> impl Filter<Extract = (bool,), Error = Infallible> + Clone + Send + Sync + 'static {
    warp::header::headers_cloned().map(|headers: HeaderMap| {
        let mut codings = headers.get_all(ACCEPT_ENCODING).iter().filter_map(|value| value.to_str().ok());
        codings.any(gzip::is_accepted)
    })
}

async fn answer(outcome: impl Future<Output = Result<Response, Refusal>>) -> Response {
    outcome.await.unwrap_or_else(Refusal::into_response)
}
