//! What every request must satisfy and every answer carries, whatever its route: exactly one Host, no body,
//! `Cache-Control`, `Connection: close` on the last, and being counted.

use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use hyper::body::{Body, Incoming};
use pin_project_lite::pin_project;
use tracing::debug;
use warp::http::header::{CACHE_CONTROL, CONNECTION, HOST};
use warp::http::{HeaderValue, Request, StatusCode, Version};
use warp::reply::Response;

use super::connection::Exchange;
use super::counters::{Counters, Route};
use super::registry::Stage;
use super::reply;

/// warp's routes as a service.
pub(super) trait Routed:
    hyper::service::Service<Request<Incoming>, Response = Response, Error = Infallible, Future: Send>
    + Clone
    + Send
    + Sync
    + 'static
{
}

impl<S> Routed for S where
    S: hyper::service::Service<Request<Incoming>, Response = Response, Error = Infallible, Future: Send>
        + Clone
        + Send
        + Sync
        + 'static
{
}

/// One connection's service.
pub(super) struct Service<R> {
    routes: R,
    exchange: Arc<Exchange>,
    counters: Arc<Counters>,
}

impl<R> Service<R> {
    pub(super) fn new(routes: R, exchange: Arc<Exchange>, counters: Arc<Counters>) -> Self {
        Self { routes, exchange, counters }
    }
}

/// Why a request gets no further than here.
fn refusal(request: &Request<Incoming>) -> Option<(StatusCode, &'static str)> {
    let mut hosts = request.headers().get_all(HOST).iter();
    match (hosts.next(), hosts.next()) {
        (Some(host), None) if host.as_bytes().iter().all(|byte| is_host(*byte)) => {}
        (Some(_), None) => return Some((StatusCode::BAD_REQUEST, "the Host header is not valid")),
        (None, _) if request.version() < Version::HTTP_11 => {}
        (None, _) => return Some((StatusCode::BAD_REQUEST, "the Host header is missing")),
        (Some(_), Some(_)) => {
            return Some((StatusCode::BAD_REQUEST, "there is more than one Host header"));
        }
    }
    (!request.body().is_end_stream())
        .then_some((StatusCode::PAYLOAD_TOO_LARGE, "requests with a body are not accepted"))
}

/// The characters of a host and port (RFC 3986, section 3.2).
fn is_host(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=:[]%".contains(&byte)
}

impl<R: Routed> hyper::service::Service<Request<Incoming>> for Service<R> {
    type Response = Response;
    type Error = Infallible;
    type Future = Answer<R::Future>;

    fn call(&self, request: Request<Incoming>) -> Self::Future {
        self.exchange.connection.enter(Stage::Handling);
        let route = Route::of(request.uri().path());
        let work = match refusal(&request) {
            None => Work::Route { future: self.routes.call(request) },
            Some((status, message)) => {
                if !request.body().is_end_stream() {
                    self.exchange.overrun();
                }
                Work::Refused { response: Some(reply::error(status, message)) }
            }
        };
        Answer { work, route, exchange: Arc::clone(&self.exchange), counters: Arc::clone(&self.counters) }
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
    /// An answer under way.
    pub(super) struct Answer<F> {
        #[pin]
        work: Work<F>,
        route: Route,
        exchange: Arc<Exchange>,
        counters: Arc<Counters>,
    }
}

impl<F: Future<Output = Result<Response, Infallible>>> Future for Answer<F> {
    type Output = Result<Response, Infallible>;

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
        if this.exchange.is_last() {
            headers.insert(CONNECTION, HeaderValue::from_static("close"));
        }
        let status = response.status().as_u16();
        debug!(route = this.route.as_str(), status, "request");
        this.counters.request(*this.route, status);
        this.exchange.connection.enter(Stage::Answering);
        Poll::Ready(Ok(response))
    }
}
