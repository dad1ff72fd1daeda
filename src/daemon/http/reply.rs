//! Answers to rejected requests. All rejections of filters are converted here.

use std::convert::Infallible;

use warp::Rejection;
use warp::http::header::{ALLOW, WWW_AUTHENTICATE};
use warp::http::{HeaderValue, StatusCode};
use warp::reject::Reject;
use warp::reply::Response;

use super::hosts::{self, RequestHost};
use super::refused;
use crate::base::reply::{coded, error};

/// Written by hand, because hyper does not receive the request: the request line is too long.
pub(super) const URI_TOO_LONG: &str = "HTTP/1.1 414 URI Too Long\r\nContent-Type: application/json\r\n\
    Cache-Control: no-store\r\nContent-Length: 40\r\nConnection: close\r\n\r\n{\"error\":\"the request line is too long\"}";
/// Written by hand, because hyper does not receive the request: the head is too long.
pub(super) const HEAD_TOO_LONG: &str = "HTTP/1.1 431 Request Header Fields Too Large\r\n\
    Content-Type: application/json\r\nCache-Control: no-store\r\nContent-Length: 41\r\nConnection: close\r\n\r\n\
    {\"error\":\"the request head is too large\"}";
/// Written by hand, because hyper does not receive the request: the length of its body is stated twice.
pub(super) const TWO_LENGTHS: &str = "HTTP/1.1 400 Bad Request\r\nContent-Type: application/json\r\n\
    Cache-Control: no-store\r\nContent-Length: 73\r\nConnection: close\r\n\r\n\
    {\"error\":\"the request has both a Content-Length and a Transfer-Encoding\"}";

/// The route does not support the method.
#[derive(Debug)]
pub(super) struct MethodNotAllowed;
impl Reject for MethodNotAllowed {}

/// The access token is missing or wrong.
#[derive(Debug)]
pub(super) struct Unauthorized {
    pub(super) is_browser: bool,
}
impl Reject for Unauthorized {}

/// The request has no token, and its host is not allowed.
#[derive(Debug)]
pub(super) struct HostNotAllowed {
    pub(super) host: RequestHost,
    pub(super) is_browser: bool,
}
impl Reject for HostNotAllowed {}

/// Converts a rejection to an answer.
pub(super) async fn rejected(rejection: Rejection) -> Result<Response, Infallible> {
    Ok(answer(&rejection))
}

fn answer(rejection: &Rejection) -> Response {
    use warp::reject::{InvalidHeader, InvalidQuery, MethodNotAllowed as NotAllowed, MissingHeader};
    if rejection.find::<MethodNotAllowed>().is_some() || rejection.find::<NotAllowed>().is_some() {
        let mut answer = error(StatusCode::METHOD_NOT_ALLOWED, "only GET and HEAD are allowed here");
        answer.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
        answer
    } else if let Some(Unauthorized { is_browser }) = rejection.find() {
        let mut answer = match is_browser {
            true => refused::without_token(),
            false => error(StatusCode::UNAUTHORIZED, "the access token is missing or wrong"),
        };
        let challenge = HeaderValue::from_static("Basic realm=\"vpo\", charset=\"UTF-8\"");
        answer.headers_mut().append(WWW_AUTHENTICATE, challenge);
        answer.headers_mut().append(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer realm=\"vpo\""));
        answer
    } else if let Some(HostNotAllowed { host, is_browser }) = rejection.find() {
        match is_browser {
            true => refused::for_host(host),
            false => coded(StatusCode::MISDIRECTED_REQUEST, "host-not-allowed", &hosts::refusal(host)),
        }
    } else if rejection.find::<InvalidQuery>().is_some() {
        error(StatusCode::BAD_REQUEST, "the query string is not valid")
    } else if let Some(header) = rejection.find::<InvalidHeader>() {
        error(StatusCode::BAD_REQUEST, &format!("the header {} is not valid", header.name()))
    } else if let Some(header) = rejection.find::<MissingHeader>() {
        error(StatusCode::BAD_REQUEST, &format!("the header {} is missing", header.name()))
    } else if rejection.is_not_found() {
        error(
            StatusCode::NOT_FOUND,
            "not found. Available: /health, /livez, /readyz, /metrics, /openapi.yaml, /api/v1/library, /api/v1/files, /api/v1/stats, /api/v1/changes, /api/v1/jobs, /api/v1/status",
        )
    } else {
        tracing::error!(?rejection, "a request was rejected for an unknown reason");
        error(StatusCode::INTERNAL_SERVER_ERROR, "internal error")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_length_of_handwritten_answers_is_right() {
        for answer in [URI_TOO_LONG, HEAD_TOO_LONG, TWO_LENGTHS] {
            let (head, body) = answer.split_once("\r\n\r\n").unwrap();
            assert!(head.contains(&format!("Content-Length: {}\r\n", body.len())), "{answer}");
        }
    }
}
