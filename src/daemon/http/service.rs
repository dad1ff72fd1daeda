//! The rules for every route. A request must have exactly one Host and no body, and must not come from another web site.
//! A response has `Cache-Control`, the last one `Connection: close`, and is counted.

use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use hyper::body::{Body, Bytes, Frame, Incoming, SizeHint};
use pin_project_lite::pin_project;
use tracing::debug;
use warp::http::header::{AUTHORIZATION, CACHE_CONTROL, CONNECTION};
use warp::http::request::Parts;
use warp::http::{HeaderMap, HeaderName, HeaderValue, Method, Request, StatusCode};
use warp::reply::Response;

use super::body::Pieces;
use super::counters::{Counters, Route};
use super::hosts::admit_host;
use super::socket::Socket;
use super::state::{Connection, Stage};
use crate::base::reply;

/// warp's routes as a service.
pub(super) trait Routes:
    tower_service::Service<Request<NoBody>, Response = Response, Error = Infallible, Future: Send>
    + Clone
    + Send
    + Sync
    + 'static
{
}

impl<S> Routes for S where
    S: tower_service::Service<Request<NoBody>, Response = Response, Error = Infallible, Future: Send>
        + Clone
        + Send
        + Sync
        + 'static
{
}

/// The empty body of every request that reaches a route. warp boxes bodies, and a box of a zero-sized type does not allocate.
#[derive(Debug)]
pub(super) struct NoBody;

impl Body for NoBody {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        Poll::Ready(None)
    }

    fn is_end_stream(&self) -> bool {
        true
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(0)
    }
}

/// The service of one connection.
pub(super) struct Service<R> {
    routes: R,
    connection: Arc<Connection>,
    counters: Arc<Counters>,
}

impl<R> Service<R> {
    pub(super) fn new(routes: R, connection: Arc<Connection>, counters: Arc<Counters>) -> Self {
        Self { routes, connection, counters }
    }
}

/// The answer to a request that may not reach its route.
fn refusal(head: &mut Parts, has_body: bool, is_unix: bool) -> Option<Response> {
    // The authority form is for proxies (RFC 9112, section 3.2.3). warp's routes require a path.
    if head.uri.path_and_query().is_none() {
        return Some(reply::error(StatusCode::BAD_REQUEST, "the request target must be a path"));
    }
    if let Err(message) = admit_host(head, is_unix) {
        return Some(reply::error(StatusCode::BAD_REQUEST, message));
    }
    if is_from_another_site(&head.headers) {
        let message = "requests that another web site makes are not allowed; links are";
        return Some(reply::coded(StatusCode::FORBIDDEN, "cross-site", message));
    }
    // For another method the route answers 404 or 405, which says more.
    let is_refused = has_body && (head.method == Method::GET || head.method == Method::HEAD);
    let message = "requests with a body are not accepted";
    is_refused.then(|| reply::error(StatusCode::PAYLOAD_TOO_LARGE, message))
}

/// Whether a page of another site makes the request, other than by a link. Browsers send this as Fetch Metadata.
fn is_from_another_site(headers: &HeaderMap) -> bool {
    const SITE: HeaderName = HeaderName::from_static("sec-fetch-site");
    const MODE: HeaderName = HeaderName::from_static("sec-fetch-mode");
    let any = |name: HeaderName, wanted: &str| {
        headers.get_all(name).iter().any(|value| value.as_bytes() == wanted.as_bytes())
    };
    any(SITE, "cross-site") && !any(MODE, "navigate")
}

/// Names the type of the body of warp's responses.
pub(super) trait HasBody {
    type Body;
}

impl<B> HasBody for warp::http::Response<B> {
    type Body = B;
}

/// What hyper sends.
type Sent = warp::http::Response<Pieces<<Response as HasBody>::Body>>;

impl<R: Routes> hyper::service::Service<Request<Incoming>> for Service<R> {
    type Response = Sent;
    type Error = Infallible;
    type Future = Answer<R::Future>;

    fn call(&self, request: Request<Incoming>) -> Self::Future {
        self.connection.enter(Stage::Handling);
        let (mut head, body) = request.into_parts();
        let route = Route::from_path(head.uri.path());
        let has_body = !body.is_end_stream();
        if has_body {
            self.connection.close_after_response();
        }
        let is_unix = matches!(self.connection.socket, Socket::Unix(_));
        let work = if let Some(response) = refusal(&mut head, has_body, is_unix) {
            Work::Refused { response: Some(response) }
        } else {
            if head.headers.contains_key(AUTHORIZATION) {
                head.extensions.insert(Arc::clone(&self.connection));
            }
            // warp's service is always ready.
            Work::Route { future: self.routes.clone().call(Request::from_parts(head, NoBody)) }
        };
        Answer { work, route, connection: Arc::clone(&self.connection), counters: Arc::clone(&self.counters) }
    }
}

pin_project! {
    #[project = WorkProjection]
    enum Work<F> {
        Route { #[pin] future: F },
        Refused { response: Option<Response> },
    }
}

pin_project! {
    /// A response in progress.
    pub(super) struct Answer<F> {
        #[pin]
        work: Work<F>,
        route: Route,
        connection: Arc<Connection>,
        counters: Arc<Counters>,
    }
}

impl<F: Future<Output = Result<Response, Infallible>>> Future for Answer<F> {
    type Output = Result<Sent, Infallible>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let mut response = match this.work.project() {
            WorkProjection::Route { future } => match ready!(future.poll(cx)) {
                Ok(response) => response,
            },
            WorkProjection::Refused { response } => response.take().unwrap_or_default(),
        };
        let headers = response.headers_mut();
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if this.connection.is_last_response() {
            headers.insert(CONNECTION, HeaderValue::from_static("close"));
        }
        let status = response.status().as_u16();
        debug!(route = this.route.as_str(), status, "request");
        let took = this.connection.enter(Stage::Answering);
        this.counters.request(*this.route, status, took);
        Poll::Ready(Ok(response.map(|body| Pieces::new(body, this.connection))))
    }
}
