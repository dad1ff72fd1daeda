//! The core of a daemon: signals, restarts, health, HTTP, metrics and the protocols of systemd. It does not depend
//! on videos, SQL or configuration files.
//!
//! `http` uses `health` and `metrics`. The others use only [`crate::base`].

pub(crate) mod backoff;
pub mod health;
pub mod http;
pub(crate) mod metrics;
pub(crate) mod notify;
pub(crate) mod signals;
