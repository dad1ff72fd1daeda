//! `vpo healthcheck`: queries the running daemon over HTTP. Exit code 0 healthy, 1 not, and one line with the reason.
//!
//! The address comes from the lock file of the daemon, so `--port 9000`, port 0 and a Unix socket need no further
//! flags. The command does not open the database, start a runtime, or read the access token.

use std::io;
use std::net::SocketAddr;
use std::process::ExitCode;
use std::sync::mpsc;

use super::client::{self, Check, Health};
use super::{EXIT_CONFIG, EXIT_FAILURE, database, output};
use crate::base::address::Address;
use crate::base::error::plain;
use crate::base::text::Text;
use crate::cli::{HealthcheckArgs, Route};
use crate::config::{Config, ConfigError, Environment};
use crate::library::lock::{self, Found, Holder};

/// Why the daemon is not healthy.
#[derive(Debug, thiserror::Error)]
enum Unhealthy {
    #[error(
        "no daemon runs on {0}. Start it, or name the database of a service, as in `vpo healthcheck --database \
         /var/lib/vpo/library.db`"
    )]
    NotRunning(String),
    #[error(transparent)]
    Config(#[from] ConfigError),
    #[error("{0} has locked the database, but does not listen on an address")]
    NotListening(Holder),
    #[error(
        "the daemon listens on a socket without a name, or whose name is not text; give its .socket unit another ListenStream="
    )]
    Nameless,
    #[error(
        "no answer at {address}: {}. Start the daemon, or name its database with --database",
        plain(error)
    )]
    NoAnswer { address: String, error: io::Error },
    #[error("no answer within {0} s")]
    Late(f64),
    #[error("{address} is not a vpo daemon ({what}); another program may listen there")]
    Foreign { address: String, what: String },
    #[error("{0}")]
    Reported(String),
    #[error("cannot start a thread: {0}; raise the limit on tasks (ulimit -u)")]
    Thread(#[source] io::Error),
}

/// Runs `vpo healthcheck`.
#[must_use]
pub(crate) fn run(args: &HealthcheckArgs) -> ExitCode {
    let (sender, receiver) = mpsc::sync_channel(1);
    let (timeout, args) = (args.timeout, args.clone());
    // On a thread, so that the timeout covers a hung network share, the connect and a slow answer. The exit does
    // not join the thread.
    let thread = std::thread::Builder::new().spawn(move || {
        let _ = sender.send(query(&args));
    });
    let outcome = match thread {
        Ok(_) => receiver.recv_timeout(timeout).unwrap_or(Err(Unhealthy::Late(timeout.as_secs_f64()))),
        Err(error) => Err(Unhealthy::Thread(error)),
    };
    match outcome {
        Ok(line) => output::print(&Text::line(line)),
        Err(Unhealthy::Config(error)) => {
            output::complain(&in_one_line(&error));
            ExitCode::from(EXIT_CONFIG)
        }
        Err(unhealthy) => {
            output::complain(&format_args!("unhealthy: {unhealthy}"));
            ExitCode::from(EXIT_FAILURE)
        }
    }
}

/// The first problem. Probes repeat, so their output stays on one line.
fn in_one_line(error: &ConfigError) -> String {
    let first = error.problems.first().map(ToString::to_string).unwrap_or_default();
    match error.problems.len().saturating_sub(1) {
        0 => first,
        more => format!("{first} (and {more} more; see `vpo config --check`)"),
    }
}

fn query(args: &HealthcheckArgs) -> Result<String, Unhealthy> {
    probe(&locate(args)?, args)
}

/// The address on which the daemon listens.
fn locate(args: &HealthcheckArgs) -> Result<Address, Unhealthy> {
    let (flags, environment) = (args.layer(), Environment::from_process());
    let database = Config::database_path(&flags, &environment)?;
    let is_default = args.database.is_none() && database::is_own(&database, &environment);
    let database = database::find_beside(&database, is_default, &environment);
    let not_running = || Unhealthy::NotRunning(database.display().to_string());
    match lock::find(&database, environment.runtime_directory()) {
        Ok(Found::Held(Holder { address: Some(address), .. })) => return Ok(address),
        Ok(Found::Held(holder)) => return Err(Unhealthy::NotListening(holder)),
        Ok(Found::NotHeld) => return Err(not_running()),
        // Without a lock file that this user may read, the configured address is used.
        Ok(Found::NoFile) | Err(_) => {}
    }
    let server = Config::resolve_without_secrets(&flags, &environment)?.config.server;
    if server.port == 0 {
        return Err(not_running());
    }
    Ok(Address::Tcp(SocketAddr::new(server.bind.get(), server.port)))
}

fn probe(address: &Address, args: &HealthcheckArgs) -> Result<String, Unhealthy> {
    if *address == Address::Nameless {
        return Err(Unhealthy::Nameless);
    }
    let path = match args.route {
        Route::Health => "/health",
        Route::Livez => "/livez",
        Route::Readyz => "/readyz",
    };
    let shown = client::shown(address);
    match client::get(address, path, None, None) {
        Ok(answer) => interpret(&answer, &shown, args),
        Err(error) => Err(Unhealthy::NoAnswer { address: shown, error }),
    }
}

/// Summarises an answer in one line.
fn interpret(answer: &[u8], address: &str, args: &HealthcheckArgs) -> Result<String, Unhealthy> {
    let foreign = |what: String| Unhealthy::Foreign { address: address.to_owned(), what };
    let client::Answer { status, body } =
        client::Answer::parse(answer).ok_or_else(|| foreign("the answer is not complete HTTP".into()))?;
    let (status, body) = (&*status, &*body);
    if args.route == Route::Livez && status == "200" {
        // Any web server may answer 200, so the body is checked too.
        return match serde_json::from_str::<serde_json::Value>(body) {
            Ok(answer) if answer["status"] == "alive" => Ok("alive".into()),
            _ => Err(foreign("status 200, but not the JSON of vpo".into())),
        };
    }
    if status != "200" && status != "503" {
        return Err(foreign(format!("status {status}")));
    }
    let health = serde_json::from_str::<Health>(body)
        .map_err(|_| foreign(format!("status {status}, but not the JSON of vpo")))?;
    let is_healthy = status == "200";
    // A check that is not critical may fail while the daemon is healthy.
    let is_wanted = |check: &Check| check.status == "fail" || (is_healthy && check.status == "warn");
    let mut parts = Vec::new();
    if health.phase != "running" {
        parts.push(health.phase);
    }
    for check in health.checks.into_iter().filter(is_wanted) {
        let reason = check.reason.unwrap_or(check.status);
        // Details of warnings are in `/health` and the log. Probes repeat, so this line stays short.
        let detail = check.detail.filter(|_| !is_healthy).map(|detail| format!(" ({detail})"));
        parts.push(format!("{} {reason}{}", check.name, detail.unwrap_or_default()));
    }
    let line = parts.join("; ");
    if is_healthy && args.strict && !line.is_empty() {
        Err(Unhealthy::Reported(line))
    } else if is_healthy {
        Ok(if line.is_empty() { "healthy".into() } else { format!("healthy, with warnings: {line}") })
    } else if line.is_empty() {
        Err(Unhealthy::Reported("the database is disconnected".into()))
    } else {
        Err(Unhealthy::Reported(line))
    }
}
