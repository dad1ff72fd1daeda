//! The HTTP side: our own accept loop, warp's filters on hyper's HTTP/1 connections, limits, drain, and
//! authentication as a filter.
//!
//! warp makes the routes ([`mod@routes`]) but does not serve them: its server has no header timeout and no
//! connection limit, sleeps a second on any accept error and panics on a failed bind. What serves them:
//!
//! - [`listener`]: binds, or takes the socket that systemd passes; accepts.
//! - [`server`]: the accept loop: the connection limit, timeouts, the stop.
//! - [`registry`]: the open connections, and which of them may be closed.
//! - [`connection`]: one connection: hyper between our socket and our service.
//! - [`state`]: the socket and the stage of a connection, shared by its task, its service and the accept loop.
//! - [`socket`]: a connection's socket, TCP or Unix.
//! - [`framing`]: where one request's head ends, so that we know of every request that a client has sent.
//! - [`service`]: what every request must satisfy, whatever its route.
//! - [`auth`], [`hosts`], [`reply`]: the access token; the hosts that a request may name; answers, and what becomes of a
//!   rejected request.
//! - [`counters`], [`mod@exposition`]: what is counted here; what `/metrics` shows of the core.

pub mod auth;
pub mod counters;
pub mod exposition;
pub mod hosts;
pub mod listener;
mod reply;
pub mod routes;

mod connection;
mod framing;
mod registry;
mod server;
mod service;
mod socket;
mod state;

pub use auth::{Policy, Token};
pub use counters::Counters;
pub use exposition::exposition;
pub use hosts::Hosts;
pub use listener::{BindError, Listener};
pub use routes::routes;
pub use server::{Limits, ServeError, serve};
