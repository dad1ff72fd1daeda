//! Answers as JSON; errors as `{"error": …}`.

use hyper::body::Bytes;
use serde::Serialize;
use serde_json::json;
use warp::http::header::VARY;
use warp::http::{HeaderValue, StatusCode};
use warp::reply::Response;

use super::budget::AnswerShare;
use crate::base::reply;
use crate::base::text::to_json;
use crate::query;

/// An error answer.
#[derive(Debug)]
pub(crate) struct Refusal {
    pub(crate) status: StatusCode,
    pub(crate) message: String,
    /// Where a query is wrong.
    place: Option<query::Error>,
}

impl Refusal {
    /// 400: a parameter is invalid. The message names it.
    pub(super) fn parameter(message: String) -> Self {
        Self { status: StatusCode::BAD_REQUEST, message, place: None }
    }

    /// 404
    pub(crate) fn not_found(message: &str) -> Self {
        Self { status: StatusCode::NOT_FOUND, message: message.to_owned(), place: None }
    }

    /// 503: the database cannot be read now.
    pub(super) fn unavailable(message: String) -> Self {
        Self { status: StatusCode::SERVICE_UNAVAILABLE, message, place: None }
    }

    /// 400: a query is refused.
    pub(super) fn query(error: query::Error) -> Self {
        let message = format!("where: {error}");
        Self { place: Some(error), ..Self::parameter(message) }
    }

    /// Whether the same request may succeed later.
    pub(super) fn is_temporary(&self) -> bool {
        self.status == StatusCode::SERVICE_UNAVAILABLE
    }

    pub(super) fn into_response(self) -> Response {
        let Some(place) = self.place else { return reply::error(self.status, &self.message) };
        let query::Error { message, line, column, excerpt, caret, .. } = place;
        reply::problem(
            self.status,
            &json!({
                "code": "query-refused",
                "error": self.message,
                "query": {
                    "expected": message, "line": line, "column": column, "excerpt": excerpt, "caret": caret,
                },
            }),
        )
    }
}

/// A value as JSON. Takes time in proportion to it, so it runs on the thread that has read the value.
pub(super) fn json(value: &impl Serialize) -> Result<Box<str>, Refusal> {
    to_json(value)
        .map(String::into_boxed_str)
        .map_err(|error| Refusal::unavailable(format!("cannot write the answer: {error}")))
}

/// 200 with JSON, as it is or as gzip.
pub(super) fn ok(json: Bytes, is_compressed: bool) -> Response {
    let mut response = reply::from_json(StatusCode::OK, json);
    response.headers_mut().insert(VARY, HeaderValue::from_static("accept-encoding"));
    reply::mark_gzip(&mut response, is_compressed);
    response
}

/// Bytes that are in use until the last of them is on its way to the client.
pub(super) fn counted(text: Box<[u8]>, share: AnswerShare) -> Bytes {
    Bytes::from_owner(Counted { text, _share: share })
}

/// Bytes of an answer that are counted until it is dropped.
struct Counted {
    text: Box<[u8]>,
    _share: AnswerShare,
}

impl AsRef<[u8]> for Counted {
    fn as_ref(&self) -> &[u8] {
        &self.text
    }
}
