//! `vpo healthcheck`: asks the running daemon over HTTP; exit 0 healthy, 1 not, and one line that says why.
//!
//! It finds the daemon through the lock file that the daemon holds, so it follows `--port 9000`, port 0 and a
//! Unix socket without being told. It opens no database, binds nothing, starts no runtime and needs no secret.

use std::fmt::Write as _;
use std::io::{self, Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream};
use std::os::unix::net::UnixStream;
use std::process::ExitCode;
use std::sync::mpsc;

use serde::Deserialize;

use super::{EXIT_FAILURE, output, refuse};
use crate::cli::{HealthcheckArgs, Route};
use crate::config::{Config, Environment};
use crate::library::lock::{self, Address, Found, Holder};

/// Longest answer that is read; the daemon's own are far shorter.
const LONGEST: u64 = 256 * 1024;

/// Why the daemon cannot be called healthy.
#[derive(Debug, thiserror::Error)]
enum Unhealthy {
    #[error("no daemon runs on {0}")]
    NotRunning(String),
    #[error("the daemon is starting: it does not listen yet")]
    NotListening,
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
        Ok(_) => told.recv_timeout(timeout).unwrap_or(Ok(Err(Unhealthy::Late(timeout.as_secs_f64())))),
        Err(error) => Ok(Err(Unhealthy::Thread(error))),
    };
    match outcome {
        Ok(Ok(line)) => output::print(&format!("{line}\n")),
        Ok(Err(unhealthy)) => {
            output::complain(&format_args!("unhealthy: {unhealthy}"));
            ExitCode::from(EXIT_FAILURE)
        }
        Err(code) => code,
    }
}

/// What the daemon says; the outer error is a configuration that does not tell where to look.
fn ask(args: &HealthcheckArgs) -> Result<Result<String, Unhealthy>, ExitCode> {
    Ok(locate(args)?.and_then(|address| probe(&address, args.route)))
}

/// Where the daemon listens.
fn locate(args: &HealthcheckArgs) -> Result<Result<Address, Unhealthy>, ExitCode> {
    let (flags, environment) = (args.layer(), Environment::from_process());
    let library = Config::library_path(&flags, &environment).map_err(|error| refuse(&error))?;
    let not_running = || Unhealthy::NotRunning(library.display().to_string());
    match lock::find(&library, environment.runtime_directory()) {
        Ok(Found::Held(Holder { address: Some(address), .. })) => return Ok(Ok(address)),
        Ok(Found::Held(Holder { address: None, .. })) => return Ok(Err(Unhealthy::NotListening)),
        Ok(Found::NotHeld) => return Ok(Err(not_running())),
        // No lock file, or none that this user may read: the configuration must do.
        Ok(Found::NoFile) | Err(_) => {}
    }
    let resolved = Config::resolve_without_secrets(&flags, &environment).map_err(|error| refuse(&error))?;
    let server = resolved.config.server;
    if server.port == 0 {
        return Ok(Err(not_running()));
    }
    Ok(Ok(Address::Tcp(SocketAddr::new(server.bind, server.port))))
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
        Address::Unix(path) if path.as_os_str().is_empty() => return Err(Unhealthy::Nameless),
        Address::Unix(path) => {
            let stream = UnixStream::connect(path);
            (address.to_string(), stream.and_then(|stream| exchange(stream, route)))
        }
        Address::Abstract(name) => {
            let stream = connect_abstract(name);
            (address.to_string(), stream.and_then(|stream| exchange(stream, route)))
        }
    };
    match answer {
        Ok(answer) => judge(&answer, &shown, route),
        Err(source) => Err(Unhealthy::NoAnswer { address: shown, source }),
    }
}

/// Connects to a socket in Linux' abstract namespace.
#[cfg(any(target_os = "linux", target_os = "android"))]
fn connect_abstract(name: &str) -> io::Result<UnixStream> {
    use std::os::linux::net::SocketAddrExt;
    let address = std::os::unix::net::SocketAddr::from_abstract_name(name)?;
    UnixStream::connect_addr(&address)
}

#[cfg(not(any(target_os = "linux", target_os = "android")))]
fn connect_abstract(_: &str) -> io::Result<UnixStream> {
    Err(io::ErrorKind::Unsupported.into())
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
struct Health<'a> {
    phase: &'a str,
    #[serde(borrow)]
    checks: Vec<Check<'a>>,
}

#[derive(Deserialize)]
struct Check<'a> {
    name: std::borrow::Cow<'a, str>,
    status: &'a str,
    reason: Option<&'a str>,
    #[serde(borrow, default)]
    detail: Option<std::borrow::Cow<'a, str>>,
}

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
    let Ok(health) = serde_json::from_str::<Health<'_>>(body) else {
        // Turned away at the connection limit, the one other 503 that vpo gives.
        return match serde_json::from_str::<serde_json::Value>(body) {
            Ok(error) if status == "503" && error["error"].is_string() => {
                Err(Unhealthy::Told(error["error"].as_str().unwrap_or_default().to_owned()))
            }
            _ => Err(foreign(format!("status {status}, but not the JSON of vpo"))),
        };
    };
    let wanted = if status == "200" { "warn" } else { "fail" };
    let mut line = if status == "200" { "healthy".to_owned() } else { String::new() };
    if health.phase != "running" {
        line.push_str(health.phase);
    }
    for check in health.checks.iter().filter(|check| check.status == wanted) {
        // Writing to a string cannot fail.
        let separator = if line.is_empty() { "" } else { "; " };
        let _ = write!(line, "{separator}{} {}", check.name, check.reason.unwrap_or(check.status));
        if let Some(detail) = &check.detail {
            let _ = write!(line, " ({detail})");
        }
    }
    match status {
        "200" => Ok(line),
        _ if line.is_empty() => Err(Unhealthy::Told("the database is disconnected".into())),
        _ => Err(Unhealthy::Told(line)),
    }
}
