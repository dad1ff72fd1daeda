//! The routes of the core as warp filters: `/health`, `/readyz`, `/livez`, `/metrics`. The composition root adds further
//! routes, which require the access token. `docs/openapi.yaml` is the contract.
//!
//! An unknown path is 401 without the token, and 421 for a host that is not allowed, so that such a client cannot find out
//! which paths exist.

use std::convert::Infallible;
use std::future::ready;
use std::sync::{Arc, Mutex, PoisonError};

use hyper::body::Bytes;
use warp::filters::BoxedFilter;
use warp::http::header::CONTENT_TYPE;
use warp::http::{HeaderValue, Method, StatusCode};
use warp::path::FullPath;
use warp::reply::Response;
use warp::{Filter, Rejection, Reply};

use super::auth::{self, Access, Policy};
use super::reply::{MethodNotAllowed, rejected};
use crate::base::{html, reply};
use crate::daemon::health::{Disclosure, Health, Report};
use crate::daemon::metrics::{self, Registry};

/// All routes. `others` are tried last, where `policy` allows everything; what they reject becomes a JSON error.
pub(crate) fn routes(
    health: Health,
    metrics: Arc<Registry>,
    policy: Policy,
    others: BoxedFilter<(Response,)>,
) -> impl Filter<Extract = (Response,), Error = Infallible> + Clone + Send + Sync + 'static {
    let policy = Arc::new(policy);
    let probed = Arc::new((health, Rendered::default()));
    let report = at(&["/health", "/readyz"])
        .and(get_or_head())
        .and(auth::access(Arc::clone(&policy)))
        .and(strictness())
        .then(move |access, is_strict: Option<bool>| {
            let probed = Arc::clone(&probed);
            async move {
                let Some(is_strict) = is_strict else {
                    return reply::error(StatusCode::BAD_REQUEST, "warnings: give warnings=fail or nothing");
                };
                let (health, rendered) = &*probed;
                let report = health.report().await;
                let is_ok = report.ok() && !(is_strict && report.warns());
                let status = if is_ok { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
                reply::from_json(status, rendered.body(report, access))
            }
        });
    let alive =
        at(&["/livez"]).and(get_or_head()).map(|| reply::from_json(StatusCode::OK, "{\"status\":\"alive\"}"));
    let scrape = at(&["/metrics"]).and(get_or_head()).map(move || {
        let mut response = metrics.render().into_response();
        response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(metrics::CONTENT_TYPE));
        response
    });
    let guarded = auth::required(policy).and(no_slash_at_the_end()).and(scrape.or(others).unify());
    // `or` clones its second filter for every request. Boxed, the clone is cheap.
    report.or(alive.or(guarded).unify().boxed()).unify().recover(rejected).unify()
}

/// Whether `?warnings=fail` is given; `None` for another spelling, which must not keep a monitor green. Parameters that do not
/// begin with `warn` are ignored.
fn strictness() -> impl Filter<Extract = (Option<bool>,), Error = Infallible> + Clone + Send + Sync + 'static
{
    let query = warp::query::raw().or(warp::any().map(String::new)).unify();
    query.map(|query: String| {
        let is_meant =
            |parameter: &&str| parameter.get(..4).is_some_and(|name| name.eq_ignore_ascii_case("warn"));
        let mut meant = query.split('&').filter(is_meant).map(|parameter| parameter == "warnings=fail");
        meant.try_fold(false, |_, is_right| is_right.then_some(true))
    })
}

/// Caches the JSON of the last report for each [`Access`]. Under load many probes in a millisecond get the same JSON.
#[derive(Default)]
struct Rendered([Mutex<Option<(Report, Bytes)>>; 3]);

impl Rendered {
    fn body(&self, report: Report, access: Access) -> Bytes {
        let mut last = self.0[access as usize].lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((before, body)) = &*last
            && before.renders_equal(&report)
        {
            return body.clone();
        }
        let disclosure = match access {
            Access::Full => Disclosure::Everything,
            Access::Anonymous => Disclosure::NoDetail,
            Access::StatusOnly => Disclosure::StatusOnly,
        };
        let body = Bytes::from(report.to_json(disclosure));
        *last = Some((report, body.clone()));
        body
    }
}

/// Matches exactly one of these paths. warp's own path filters also accept a trailing slash.
fn at(
    paths: &'static [&'static str],
) -> impl Filter<Extract = (), Error = Rejection> + Clone + Send + Sync + 'static {
    matching(move |full| paths.contains(&full))
}

/// Only the path of the whole may end with a slash. Browsers get a page that says so.
fn no_slash_at_the_end() -> impl Filter<Extract = (), Error = Rejection> + Clone + Send + Sync + 'static {
    warp::path::full()
        .and(html::is_wanted())
        .and_then(|full: FullPath, is_browser: bool| {
            let full = full.as_str();
            let is_page = is_browser && !full.starts_with("/api/") && !full.starts_with("/openapi");
            let is_ok = full == "/" || !full.ends_with('/') || is_page;
            ready(if is_ok { Ok(()) } else { Err(warp::reject::not_found()) })
        })
        .untuple_one()
}

fn matching(
    matches: impl Fn(&str) -> bool + Clone + Send + Sync + 'static,
) -> impl Filter<Extract = (), Error = Rejection> + Clone + Send + Sync + 'static {
    warp::path::full()
        .and_then(move |full: FullPath| {
            ready(if matches(full.as_str()) { Ok(()) } else { Err(warp::reject::not_found()) })
        })
        .untuple_one()
}

/// Must follow the filter of the path, so that only a known path leads to 405.
fn get_or_head() -> impl Filter<Extract = (), Error = Rejection> + Clone + Send + Sync + 'static {
    warp::method()
        .and_then(|method: Method| {
            let allowed = method == Method::GET || method == Method::HEAD;
            ready(if allowed { Ok(()) } else { Err(warp::reject::custom(MethodNotAllowed)) })
        })
        .untuple_one()
}
