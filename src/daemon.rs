//! A daemon core that knows nothing of videos, SQL or configuration files: life cycle, supervised tasks,
//! health, HTTP, metrics and systemd's protocols.
//!
//! Inside: `lifecycle` and `http` use `supervisor`, `health`, `metrics` and `notify`; those four import
//! nothing of the crate.

pub mod health;
pub mod http;
pub mod lifecycle;
pub mod metrics;
pub mod notify;
pub mod supervisor;
