//! Logging: `tracing` as text or JSON lines, with the journal's `<N>` prefix where stderr is the journal,
//! through a non-blocking writer that drops (and counts) rather than stalls the daemon.
//!
//! Imports nothing of the crate; knows no configuration type (`commands` translates).
