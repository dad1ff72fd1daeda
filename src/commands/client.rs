//! Asks the running daemon over HTTP, without a runtime.

use std::io::{self, Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use serde::Deserialize;

use crate::base::address::Address;
use crate::base::times::DAEMON_ANSWER_TIMEOUT;
use crate::library::lock::{self, Found, Holder};

/// Maximum bytes of an answer that are read. The answers of the daemon are far shorter.
const MAX_ANSWER_BYTES: u64 = 256 * 1024;

/// The parts of `/health` that are read.
#[derive(Deserialize)]
pub(super) struct Health {
    pub phase: String,
    #[serde(default)]
    pub version: String,
    #[serde(default)]
    pub uptime_seconds: f64,
    pub checks: Vec<Check>,
}

/// A check of the daemon.
#[derive(Deserialize)]
pub(super) struct Check {
    pub name: String,
    pub status: String,
    pub reason: Option<String>,
    pub detail: Option<String>,
}

/// An answer of the daemon.
pub(super) struct Answer {
    /// Three digits.
    pub status: String,
    pub body: String,
}

impl Answer {
    /// Splits what was received; `None` if it is not complete HTTP.
    pub(super) fn parse(received: &[u8]) -> Option<Self> {
        let text = String::from_utf8_lossy(received);
        let (head, body) = text.split_once("\r\n\r\n")?;
        let status = head.strip_prefix("HTTP/1.").and_then(|rest| rest.get(2..5)).unwrap_or("no status");
        Some(Self { status: status.to_owned(), body: body.to_owned() })
    }
}

/// The daemon that has locked the database.
pub(super) fn holder(database: &Path, runtime_directory: Option<&Path>) -> Option<Holder> {
    match lock::find(database, runtime_directory) {
        Ok(Found::Held(holder)) => Some(holder),
        _ => None,
    }
}

/// The health of a daemon; `None` if it does not answer within two seconds. A valid `token` adds the details.
pub(super) fn health(address: &Address, token: Option<&str>) -> Option<Health> {
    let answer = Answer::parse(&get(address, "/health", token, Some(DAEMON_ANSWER_TIMEOUT)).ok()?)?;
    serde_json::from_str(&answer.body).ok()
}

/// The roots of a daemon, from the names of its checks.
pub(super) fn roots(health: &Health) -> impl Iterator<Item = (&str, &Check)> {
    health.checks.iter().filter_map(|check| Some((check.name.strip_prefix("root:")?, check)))
}

/// The address as shown to people.
pub(super) fn shown(address: &Address) -> String {
    match address {
        Address::Tcp(address) => format!("http://{}", reachable(*address)),
        other => other.to_string(),
    }
}

/// Sends a request and reads the answer.
///
/// # Errors
/// If nothing listens there, or nothing arrives for as long as `timeout`.
pub(super) fn get(
    address: &Address,
    path: &str,
    token: Option<&str>,
    timeout: Option<Duration>,
) -> io::Result<Vec<u8>> {
    let unix = match address {
        Address::Tcp(address) => {
            let stream = TcpStream::connect(reachable(*address))?;
            stream.set_read_timeout(timeout)?;
            return exchange(stream, path, token);
        }
        Address::Unix(name) => UnixStream::connect(name)?,
        // The abstract namespace of Linux.
        Address::Abstract(name) => {
            UnixStream::connect_addr(&std::os::unix::net::SocketAddr::from_abstract_name(name)?)?
        }
        Address::Nameless => return Err(io::ErrorKind::AddrNotAvailable.into()),
    };
    unix.set_read_timeout(timeout)?;
    exchange(unix, path, token)
}

/// Replaces the unspecified address with the loopback address.
fn reachable(mut address: SocketAddr) -> SocketAddr {
    match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => address.set_ip(Ipv4Addr::LOCALHOST.into()),
        IpAddr::V6(ip) if ip.is_unspecified() => address.set_ip(Ipv6Addr::LOCALHOST.into()),
        _ => {}
    }
    address
}

/// Sends the request and reads to the end of the stream.
fn exchange(mut stream: impl Read + Write, path: &str, token: Option<&str>) -> io::Result<Vec<u8>> {
    let authorization = token.map(|token| format!("Authorization: Bearer {token}\r\n")).unwrap_or_default();
    let request = format!(
        "GET {path} HTTP/1.1\r\nHost: localhost\r\nUser-Agent: vpo\r\n{authorization}Connection: close\r\n\r\n"
    );
    stream.write_all(request.as_bytes())?;
    let mut answer = Vec::with_capacity(1024);
    stream.take(MAX_ANSWER_BYTES).read_to_end(&mut answer)?;
    Ok(answer)
}
