//! JSON replies over HTTP: values, and errors as `{"error": …}`.

use serde_json::{Value, json};
use warp::Reply;
use warp::http::header::{CONTENT_ENCODING, CONTENT_TYPE, RETRY_AFTER};
use warp::http::{HeaderValue, StatusCode};
use warp::reply::Response;

use super::text::to_json;

/// A reply whose body is JSON already.
pub(crate) fn from_json<T>(status: StatusCode, body: T) -> Response
where
    warp::http::Response<T>: Reply,
{
    let mut response = warp::http::Response::new(body);
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response.into_response()
}

/// States that the body is gzip, if it is.
pub(crate) fn mark_gzip(response: &mut Response, is_compressed: bool) {
    if is_compressed {
        response.headers_mut().insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    }
}

/// An error; 503 asks the client to try again after a second.
#[must_use]
pub(crate) fn error(status: StatusCode, message: &str) -> Response {
    problem(status, &json!({ "error": message }))
}

/// An error with a code that programs can act on.
#[must_use]
pub(crate) fn coded(status: StatusCode, code: &str, message: &str) -> Response {
    problem(status, &json!({ "code": code, "error": message }))
}

/// An error as a value with `error` and more.
#[must_use]
pub(crate) fn problem(status: StatusCode, body: &Value) -> Response {
    // Strings: they can be serialised.
    let mut response = from_json(status, to_json(body).unwrap_or_default());
    if status == StatusCode::SERVICE_UNAVAILABLE {
        response.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static("1"));
    }
    response
}
