//! Answers: JSON, errors as `{"error": …}`.

use serde::Serialize;
use warp::Reply;
use warp::http::header::{CONTENT_TYPE, RETRY_AFTER};
use warp::http::{HeaderValue, StatusCode};
use warp::reply::Response;

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
        // A string: it can be serialised.
        let body = to_json(&serde_json::json!({ "error": self.message })).unwrap_or_default();
        let mut response = respond(self.status, body);
        if self.status == StatusCode::SERVICE_UNAVAILABLE {
            response.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static("1"));
        }
        response
    }
}

/// 200 with a value.
pub(super) fn json(value: impl Serialize) -> Result<Response, Refusal> {
    let body = to_json(&value)
        .map_err(|error| Refusal::unavailable(format!("the answer could not be written: {error}")))?;
    Ok(respond(StatusCode::OK, body))
}

fn respond(status: StatusCode, body: String) -> Response {
    let mut response = warp::http::Response::new(body).into_response();
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}
