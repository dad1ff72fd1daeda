//! HTML over HTTP: the headers of every page, and which requests want one.

use std::convert::Infallible;
use std::future::ready;
use std::str::FromStr;

use hyper::body::Bytes;
use warp::http::header::{
    CONTENT_SECURITY_POLICY, CONTENT_TYPE, REFERRER_POLICY, RETRY_AFTER, VARY, X_CONTENT_TYPE_OPTIONS,
};
use warp::http::{HeaderValue, StatusCode};
use warp::reply::Response;
use warp::{Filter, Rejection, Reply};

/// Nothing comes from elsewhere, and nothing within a page runs: no script, style or handler.
const POLICY: &str = "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; connect-src 'self'; \
    form-action 'self'; base-uri 'none'; frame-ancestors 'self'";

/// A page.
pub(crate) fn page(status: StatusCode, text: impl Into<Bytes>) -> Response {
    let mut response = part("text/html; charset=utf-8", text.into());
    *response.status_mut() = status;
    if status == StatusCode::SERVICE_UNAVAILABLE {
        response.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static("1"));
    }
    response
}

/// A page or a file that it loads.
pub(crate) fn part(media_type: &'static str, body: Bytes) -> Response {
    let mut response = warp::http::Response::new(body).into_response();
    for (name, value) in [
        (CONTENT_TYPE, media_type),
        (CONTENT_SECURITY_POLICY, POLICY),
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (REFERRER_POLICY, "no-referrer"),
        // Programs get JSON at some of the addresses.
        (VARY, "accept, accept-encoding"),
    ] {
        response.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    response
}

/// Whether the client is a browser that shows what it gets. Does not reject.
pub(crate) fn is_wanted() -> impl Filter<Extract = (bool,), Error = Rejection> + Clone + Send + Sync + 'static
{
    warp::header::optional::<Accept>("accept")
        .or_else(|_| ready(Ok::<_, Rejection>((None,))))
        .map(|accept: Option<Accept>| accept.is_some_and(|accept| accept.html))
}

/// What a client accepts.
struct Accept {
    html: bool,
}

impl FromStr for Accept {
    type Err = Infallible;

    fn from_str(header: &str) -> Result<Self, Infallible> {
        Ok(Self { html: header.to_ascii_lowercase().contains("text/html") })
    }
}
