//! The library's read-only routes (`/api/v1/…`) as warp filters. Knows [`crate::library`] and nothing else
//! of the crate; `docs/openapi.yaml` is the contract.
//!
//! [`query`] reads parameters, [`read_pool`] limits the reads of the library in number and time, [`overview`] keeps
//! what is costly to count, [`mod@answer`] makes the answers.

mod answer;
mod overview;
mod query;
mod read_pool;

use std::convert::Infallible;
use std::path::PathBuf;
use std::sync::Arc;

use serde::Serialize;
use warp::filters::BoxedFilter;
use warp::reply::Response;
use warp::{Filter, Rejection};

use crate::library::Library;
use crate::library::files::listing as files;
use crate::library::jobs::listing as jobs;
use answer::Refusal;
use overview::Overviews;
use query::Parameters;
use read_pool::ReadPool;

/// A root as it stands, told by whoever scans it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Root {
    /// Where.
    pub path: PathBuf,
    /// `ok` or `warn`.
    pub status: &'static str,
    /// What is wrong with it: a stable word.
    pub reason: Option<&'static str>,
    /// What is wrong with it, in one line.
    pub detail: Option<String>,
    /// When all of it was last scanned to the end.
    pub last_success: Option<String>,
    /// Whether changes are seen as they happen: `off`, `starting`, `watching`, `unavailable`.
    pub watch: &'static str,
    /// A scan of it is under way.
    pub scanning: bool,
}

/// All routes; `roots` tells the state of the roots at any moment.
pub fn routes(
    library: Arc<Library>,
    roots: impl Fn() -> Vec<Root> + Send + Sync + 'static,
) -> BoxedFilter<(Response,)> {
    let pool = ReadPool::new(library);
    let overviews = Arc::new(Overviews::new(pool.clone(), roots));
    let base = warp::path!("api" / "v1" / ..);
    let overview = base
        .and(warp::path!("library"))
        .and(parameters())
        .then(move |parameters: Parameters| answer(overviews.clone().show(parameters)));
    let list_files = base.and(warp::path!("files")).and(parameters()).and(with(&pool)).then(
        |parameters: Parameters, pool: ReadPool| {
            answer(async move {
                let (filter, after, limit) = query::files(parameters)?;
                pool.read(move |tx| files::page(tx, &filter, after, limit)).await.and_then(answer::json)
            })
        },
    );
    let one_file = base.and(warp::path!("files" / i64)).and(parameters()).and(with(&pool)).then(
        |id: i64, parameters: Parameters, pool: ReadPool| {
            answer(async move {
                query::none(&parameters)?;
                let found = pool.read(move |tx| files::details(tx, id)).await?;
                answer::json(found.ok_or_else(|| Refusal::not_found(&format!("there is no file {id}")))?)
            })
        },
    );
    let list_jobs = base.and(warp::path!("jobs")).and(parameters()).and(with(&pool)).then(
        |parameters: Parameters, pool: ReadPool| {
            answer(async move {
                let (filter, after, limit) = query::jobs(parameters)?;
                let start = after.clone();
                let page = pool.read(move |tx| jobs::page(tx, &filter, start.as_deref(), limit)).await?;
                let unknown =
                    || Refusal::not_found(&format!("after: there is no job {}", after.unwrap_or_default()));
                answer::json(page.ok_or_else(unknown)?)
            })
        },
    );
    let one_job = base.and(warp::path!("jobs" / String)).and(parameters()).and(with(&pool)).then(
        |id: String, parameters: Parameters, pool: ReadPool| {
            answer(async move {
                query::none(&parameters)?;
                let id = query::decode_path(&id)?;
                let wanted = id.clone();
                let found = pool.read(move |tx| jobs::details(tx, &wanted)).await?;
                answer::json(found.ok_or_else(|| Refusal::not_found(&format!("there is no job {id}")))?)
            })
        },
    );
    overview.or(list_files).unify().or(one_file).unify().or(list_jobs).unify().or(one_job).unify().boxed()
}

/// GET or HEAD, and the query; behind the path, so that another method is 405 and no other path.
fn parameters() -> impl Filter<Extract = (Parameters,), Error = Rejection> + Clone + Send + Sync + 'static {
    let method = warp::get().or(warp::head()).unify();
    let raw = warp::query::raw().or(warp::any().map(String::new)).unify();
    method.and(raw).map(|raw: String| Parameters::parse(&raw))
}

fn with(
    pool: &ReadPool,
) -> impl Filter<Extract = (ReadPool,), Error = Infallible> + Clone + Send + Sync + 'static {
    let pool = pool.clone();
    warp::any().map(move || pool.clone())
}

async fn answer(outcome: impl Future<Output = Result<Response, Refusal>>) -> Response {
    outcome.await.unwrap_or_else(Refusal::into_response)
}
