//! Prometheus text exposition (format 0.0.4). Imports nothing of the crate.
