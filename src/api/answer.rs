//! Answers as JSON; errors as `{"error": …}`.

use hyper::body::Bytes;
use serde::Serialize;
use warp::http::StatusCode;
use warp::reply::Response;

use super::budget::AnswerShare;
use crate::base::reply;
use crate::base::text::to_json;

/// An error answer.
#[derive(Debug)]
pub(super) struct Refusal {
    status: StatusCode,
    message: String,
}

impl Refusal {
    /// 400: a parameter is invalid. The message names it.
    pub(super) fn parameter(message: String) -> Self {
        Self { status: StatusCode::BAD_REQUEST, message }
    }

    /// 404
    pub(super) fn not_found(message: &str) -> Self {
        Self { status: StatusCode::NOT_FOUND, message: message.to_owned() }
    }

    /// 503: the database cannot be read now.
    pub(super) fn unavailable(message: String) -> Self {
        Self { status: StatusCode::SERVICE_UNAVAILABLE, message }
    }

    pub(super) fn into_response(self) -> Response {
        reply::error(self.status, &self.message)
    }
}

/// A value as JSON. Takes time in proportion to it, so it runs on the thread that has read the value.
pub(super) fn json(value: &impl Serialize) -> Result<Box<str>, Refusal> {
    to_json(value)
        .map(String::into_boxed_str)
        .map_err(|error| Refusal::unavailable(format!("cannot write the answer: {error}")))
}

/// 200 with JSON. Its bytes are in use until the last of them is on its way to the client.
pub(super) fn ok(json: Box<str>, share: AnswerShare) -> Response {
    reply::from_json(StatusCode::OK, Bytes::from_owner(Counted { json, _share: share }))
}

/// Bytes of an answer that are counted until it is dropped.
struct Counted {
    json: Box<str>,
    _share: AnswerShare,
}

impl AsRef<[u8]> for Counted {
    fn as_ref(&self) -> &[u8] {
        self.json.as_bytes()
    }
}
