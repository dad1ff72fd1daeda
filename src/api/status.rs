//! `/api/v1/status`: the daemon, its roots, running scans, problems, and the database's disk. And the description of the API.

use hyper::body::Bytes;
use serde::Serialize;
use warp::Reply;
use warp::http::HeaderValue;
use warp::http::header::CONTENT_TYPE;
use warp::reply::Response;

use super::answer::{self, Refusal};
use super::budget::Size;
use super::query::{self, Parameters};
use super::read_pool::ReadPool;
use super::{Daemon, Root};
use crate::library::file_system::space;
use crate::library::jobs::listing::{self as jobs, Filter, Job};

/// Most running scans that are shown.
const SCANS: u32 = 20;

/// The contract.
const DESCRIPTION: &str = include_str!("../../docs/openapi.yaml");

#[derive(Serialize)]
struct Status {
    #[serde(flatten)]
    daemon: Daemon,
    database: Database,
    roots: Vec<Root>,
    /// Scans in progress.
    scans: Vec<Job>,
}

#[derive(Serialize)]
struct Database {
    path: String,
    /// With its log.
    bytes: Option<u64>,
    /// Free on its disk, for the daemon's user.
    free_bytes: Option<u64>,
}

pub(super) async fn show(
    pool: ReadPool,
    parameters: Parameters,
    daemon: Daemon,
    roots: Vec<Root>,
) -> Result<Response, Refusal> {
    query::none(&parameters)?;
    let library = pool.library();
    let running = Filter { status: Some("running".to_owned()), job_type: Some("scan".to_owned()) };
    let render = move |page: Option<jobs::Page>| {
        let path = library.path();
        let (bytes, free_bytes) = space(path).unzip();
        let database = Database { path: path.display().to_string(), bytes, free_bytes };
        let scans = page.map(|page| page.jobs).unwrap_or_default();
        answer::json(&Status { daemon, database, roots, scans })
    };
    let read = move |tx: &crate::library::sqlite::Transaction<'_>| jobs::page(tx, &running, None, SCANS);
    pool.answer(ReadPool::deadline(), Size::Whole, read, render).await
}

/// `docs/openapi.yaml`.
pub(super) fn description() -> Response {
    let mut response = warp::http::Response::new(Bytes::from_static(DESCRIPTION.as_bytes())).into_response();
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/yaml"));
    response
}
