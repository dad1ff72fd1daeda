//! Behaviour from outside: the real binary, real signals, real files, real SQLite faults.
//!
//! One binary with a module per subject, so that it links once and runs in parallel.

mod access;
mod api;
mod architecture;
mod auth;
mod cli;
mod config;
mod crowd;
mod faults;
mod foreign_rows;
mod harness;
mod health;
mod healthcheck;
mod hostile;
mod http;
mod inspect;
mod library;
mod lifecycle;
mod logging;
mod metrics;
mod model;
mod mounts;
mod operations;
mod pid1;
mod probing;
mod scan;
mod scan_command;
mod scan_parts;
mod shutdown;
mod sqlite_build;
mod systemd;
mod watch;
