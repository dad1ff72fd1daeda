//! Behaviour from outside: the real binary, real signals, real files, real SQLite faults.
//!
//! One binary with a module per subject, so that it links once and runs in parallel.

mod access;
mod api;
mod architecture;
mod auth;
mod backup;
mod cli;
mod clock;
mod config;
mod crowd;
mod damage;
mod descriptors;
mod faults;
mod foreign_rows;
mod harness;
mod health;
mod healthcheck;
mod hostile;
mod hostile_database;
mod hosts;
mod http;
mod inspect;
mod io_errors;
mod left_log;
mod library;
mod lifecycle;
mod logging;
mod metrics;
mod model;
mod mounts;
mod operations;
mod output;
mod overload;
mod overwrites;
mod pid1;
mod probing;
mod retention;
mod scan;
mod scan_command;
mod scan_parts;
mod shutdown;
mod sqlite_build;
mod systemd;
mod totals;
mod watch;
