//! The HTTP server: an accept loop, warp's filters on hyper's HTTP/1 connections, limits, drain, and
//! authentication as a filter.
//!
//! The routes ([`mod@routes`]) are warp filters, but warp's server is not used: it has no header timeout and no
//! connection limit, sleeps a second on any accept error and panics on a failed bind. The modules:
//!
//! - [`listener`]: binds, or uses the socket that systemd passes; accepts.
//! - [`server`]: the accept loop: the connection limit, timeouts, the stop.
//! - [`registry`]: the open connections, and which of them may be closed.
//! - [`connection`]: one connection: hyper between the socket and the service.
//! - [`state`]: the socket and the stage of a connection, shared by its task, its service and the accept loop.
//! - [`socket`]: a connection's socket, TCP or Unix.
//! - [`framing`]: finds the end of each request head, so that every request that a client has sent is known.
//! - [`service`]: the rules for every request, on any route.
//! - [`auth`], [`hosts`], [`reply`], [`refused`]: the access token; the hosts that a request may name; rejections as JSON and,
//!   for browsers, as pages.
//! - [`counters`], [`mod@exposition`]: the counters of HTTP; the metrics of the core.

pub(crate) mod auth;
pub(crate) mod counters;
pub(crate) mod exposition;
pub mod framing;
pub mod hosts;
pub(crate) mod listener;
mod reply;
pub(crate) mod routes;

mod body;
mod connection;
mod refused;
mod registry;
mod server;
mod service;
mod socket;
mod state;

pub(crate) use auth::{Policy, Token};
pub(crate) use counters::Counters;
pub(crate) use exposition::exposition;
pub(crate) use listener::{BindError, Bound, Listener};
pub(crate) use routes::routes;
pub(crate) use server::{Limits, ServeError, serve};
