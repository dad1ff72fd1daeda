//! A daemon core that knows nothing of videos, SQL or configuration files: signals,
//! restarts, health, HTTP, metrics and systemd's protocols.
//!
//! Inside: `http` uses `health` and `metrics`; the others use nothing but [`crate::base`].

pub mod backoff;
pub mod health;
pub mod http;
pub mod metrics;
pub mod notify;
pub mod signals;
