//! Answers: JSON, errors as `{"error": …}`.

use serde::Serialize;
use warp::http::StatusCode;
use warp::reply::Response;

use crate::base::reply;
use crate::base::text::to_json;

/// Why a request is not answered with what it asked for.
#[derive(Debug)]
pub(super) struct Refusal {
    status: StatusCode,
    message: String,
}

impl Refusal {
    /// 400: a parameter, which the message names.
    pub(super) fn parameter(message: String) -> Self {
        Self { status: StatusCode::BAD_REQUEST, message }
    }

    /// 404
    pub(super) fn not_found(message: &str) -> Self {
        Self { status: StatusCode::NOT_FOUND, message: message.to_owned() }
    }

    /// 503: the library cannot be read now.
    pub(super) fn unavailable(message: String) -> Self {
        Self { status: StatusCode::SERVICE_UNAVAILABLE, message }
    }

    pub(super) fn into_response(self) -> Response {
        reply::error(self.status, &self.message)
    }
}

/// 200 with a value.
pub(super) fn json(value: impl Serialize) -> Result<Response, Refusal> {
    let body = to_json(&value)
        .map_err(|error| Refusal::unavailable(format!("the answer could not be written: {error}")))?;
    Ok(reply::from_json(StatusCode::OK, body))
}
