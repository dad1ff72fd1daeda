//! `vpo healthcheck`: asks the running daemon over HTTP; exit 0 healthy, 1 not, and one line that says why.
//!
//! It finds the daemon through the lock file that the daemon holds, so it follows `--port 9000`, port 0 and a
//! Unix socket without being told. It opens no database, binds nothing, starts no runtime and needs no secret.

use std::io::{self, Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::UnixStream;
use std::process::ExitCode;
use std::sync::mpsc;

use serde::Deserialize;

use super::{EXIT_CONFIG, EXIT_FAILURE, output};
use crate::base::address::Address;
use crate::base::text::Text;
use crate::cli::{HealthcheckArgs, Route};
use crate::config::{Config, ConfigError, Environment};
use crate::library::lock::{self, Found, Holder};

/// Longest answer that is read; the daemon's own are far shorter.
const LONGEST: u64 = 256 * 1024;

/// Why the daemon cannot be called healthy.
#[derive(Debug, thiserror::Error)]
enum Unhealthy {
    #[error("no daemon runs on {0}")]
    NotRunning(String),
    #[error(transparent)]
    Config(#[from] ConfigError),
    #[error("{0} has locked the library, and does not listen")]
    NotListening(Holder),
    #[error(
        "the daemon listens on a socket without a name, or with one that is no text: give its .socket unit another ListenStream="
    )]
    Nameless,
    #[error("no answer at {address}: {source}")]
    NoAnswer { address: String, source: io::Error },
    #[error("no answer within {0} s")]
    Late(f64),
    #[error("{address} does not answer as vpo does ({what}): does another program listen there?")]
    Foreign { address: String, what: String },
    #[error("{0}")]
    Told(String),
    #[error("cannot start a thread: {0}; raise the limit on tasks (ulimit -u)")]
    Thread(#[source] io::Error),
}

/// Runs `vpo healthcheck`.
#[must_use]
pub fn run(args: &HealthcheckArgs) -> ExitCode {
    let (tell, told) = mpsc::sync_channel(1);
    let (timeout, args) = (args.timeout, args.clone());
    // A thread of its own: not one of the ways to wait (a dead network share under the library, a connect, a
    // byte an hour) may outlast the timeout. The exit does not wait for it.
    let asked = std::thread::Builder::new().spawn(move || {
        let _ = tell.send(ask(&args));
    });
    let outcome = match asked {
        Ok(_) => told.recv_timeout(timeout).unwrap_or(Err(Unhealthy::Late(timeout.as_secs_f64()))),
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

/// The first problem, for a probe's line is said again at every probe; the rest is for `vpo config --check`.
fn in_one_line(error: &ConfigError) -> String {
    let first = error.problems.first().map(ToString::to_string).unwrap_or_default();
    match error.problems.len().saturating_sub(1) {
        0 => first,
        more => format!("{first} (and {more} more: run `vpo config --check`)"),
    }
}

/// What the daemon says.
fn ask(args: &HealthcheckArgs) -> Result<String, Unhealthy> {
    probe(&locate(args)?, args.route)
}

/// Where the daemon listens.
fn locate(args: &HealthcheckArgs) -> Result<Address, Unhealthy> {
    let (flags, environment) = (args.layer(), Environment::from_process());
    let database = Config::database_path(&flags, &environment)?;
    let not_running = || Unhealthy::NotRunning(database.display().to_string());
    match lock::find(&database, environment.runtime_directory()) {
        Ok(Found::Held(Holder { address: Some(address), .. })) => return Ok(address),
        Ok(Found::Held(holder)) => return Err(Unhealthy::NotListening(holder)),
        Ok(Found::NotHeld) => return Err(not_running()),
        // No lock file, or none that this user may read: the configuration must do.
        Ok(Found::NoFile) | Err(_) => {}
    }
    let server = Config::resolve_without_secrets(&flags, &environment)?.config.server;
    if server.port == 0 {
        return Err(not_running());
    }
    Ok(Address::Tcp(SocketAddr::new(server.bind, server.port)))
}

/// Who listens everywhere is asked on the loopback.
fn reachable(mut address: SocketAddr) -> SocketAddr {
    match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => address.set_ip(Ipv4Addr::LOCALHOST.into()),
        IpAddr::V6(ip) if ip.is_unspecified() => address.set_ip(Ipv6Addr::LOCALHOST.into()),
        _ => {}
    }
    address
}

fn probe(address: &Address, route: Route) -> Result<String, Unhealthy> {
    let (shown, answer) = match address {
        Address::Tcp(address) => {
            let address = reachable(*address);
            let stream = TcpStream::connect(address);
            (format!("http://{address}"), stream.and_then(|stream| exchange(stream, route)))
        }
        Address::Unix(path) => {
            let stream = UnixStream::connect(path);
            (address.to_string(), stream.and_then(|stream| exchange(stream, route)))
        }
        Address::Abstract(name) => {
            let stream = connect_abstract(name);
            (address.to_string(), stream.and_then(|stream| exchange(stream, route)))
        }
        Address::Nameless => return Err(Unhealthy::Nameless),
    };
    match answer {
        Ok(answer) => judge(&answer, &shown, route),
        Err(source) => Err(Unhealthy::NoAnswer { address: shown, source }),
    }
}

/// Connects to a socket in Linux' abstract namespace.
fn connect_abstract(name: &str) -> io::Result<UnixStream> {
    UnixStream::connect_addr(&std::os::unix::net::SocketAddr::from_abstract_name(name)?)
}

/// Sends the request and reads to the end of the stream.
fn exchange(mut stream: impl Read + Write, route: Route) -> io::Result<Vec<u8>> {
    let path = match route {
        Route::Health => "/health",
        Route::Livez => "/livez",
        Route::Readyz => "/readyz",
    };
    let request = format!(
        "GET {path} HTTP/1.1\r\nHost: localhost\r\nUser-Agent: vpo-healthcheck\r\nConnection: close\r\n\r\n"
    );
    stream.write_all(request.as_bytes())?;
    let mut answer = Vec::with_capacity(1024);
    stream.take(LONGEST).read_to_end(&mut answer)?;
    Ok(answer)
}

/// What is read of `/health`.
#[derive(Deserialize)]
struct Health {
    phase: String,
    checks: Vec<Check>,
}

#[derive(Deserialize)]
struct Check {
    name: String,
    status: String,
    reason: Option<String>,
    detail: Option<String>,
}

/// Whether an answer says healthy, and one line of why.
fn judge(answer: &[u8], address: &str, route: Route) -> Result<String, Unhealthy> {
    let foreign = |what: String| Unhealthy::Foreign { address: address.to_owned(), what };
    let text = String::from_utf8_lossy(answer);
    let (head, body) =
        text.split_once("\r\n\r\n").ok_or_else(|| foreign("the answer is not whole HTTP".into()))?;
    let status = head.strip_prefix("HTTP/1.").and_then(|rest| rest.get(2..5)).unwrap_or("no status");
    if route == Route::Livez && status == "200" {
        // Any web server says 200; only the body is ours.
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
    if is_healthy {
        parts.push("healthy".to_owned());
    }
    if health.phase != "running" {
        parts.push(health.phase);
    }
    for check in health.checks.into_iter().filter(is_wanted) {
        let reason = check.reason.unwrap_or(check.status);
        // What a warning is about is for `/health` and the log: this line is said again at every probe.
        let detail = check.detail.filter(|_| !is_healthy).map(|detail| format!(" ({detail})"));
        parts.push(format!("{} {reason}{}", check.name, detail.unwrap_or_default()));
    }
    let line = parts.join("; ");
    if is_healthy {
        Ok(line)
    } else if line.is_empty() {
        Err(Unhealthy::Told("the database is disconnected".into()))
    } else {
        Err(Unhealthy::Told(line))
    }
}
