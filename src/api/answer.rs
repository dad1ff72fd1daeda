//! Answers as JSON; errors as `{"error": …}`.

use serde::Serialize;
use warp::http::StatusCode;
use warp::reply::Response;

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

/// 200 with a value.
pub(super) fn json(value: impl Serialize) -> Result<Response, Refusal> {
    let body =
        to_json(&value).map_err(|error| Refusal::unavailable(format!("cannot write the answer: {error}")))?;
    Ok(reply::from_json(StatusCode::OK, body))
}
