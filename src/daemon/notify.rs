//! systemd: the messages of `sd_notify(3)`, the watchdog (`sd_watchdog_enabled(3)`) and the passed socket
//! (`sd_listen_fds(3)`). Imports [`crate::base`] alone.
//!
//! Errors of the notify socket are ignored: a daemon does its work whether or not anyone listens. The
//! sender is ours because `sd-notify` sends on a blocking socket, so that a manager that does not read
//! (its queue holds some hundred datagrams) would stop the daemon for good. Here a message that finds the
//! queue full waits in ours, in order, for the next occasion. What waits stays short without losing a turn of
//! the daemon's life: of each kind of message only the newest has to arrive.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::ffi::{OsStr, OsString};
use std::io;
use std::os::fd::OwnedFd;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

use crate::base::text::Escaped;

/// Speaks to the service manager, if there is one.
#[derive(Debug, Default)]
pub struct Notifier {
    manager: Option<(UnixDatagram, SocketAddr)>,
    /// What the manager had no room for, at most one message of each kind.
    waiting: RefCell<VecDeque<String>>,
    status: RefCell<String>,
}

impl Notifier {
    /// Speaks to `$NOTIFY_SOCKET`: an absolute path, or `@` and an abstract name. Anything else (none, or
    /// a `vsock:` address) is as if there were no manager.
    #[must_use]
    pub fn new(socket: Option<&OsStr>) -> Self {
        Self { manager: socket.and_then(|socket| connect(socket).ok()), ..Self::default() }
    }

    /// Whether anyone is spoken to.
    #[must_use]
    pub fn is_connected(&self) -> bool {
        self.manager.is_some()
    }

    /// The start, or a reload, is done.
    pub fn ready(&self) {
        self.send("READY=1".into());
    }

    /// The stop has begun.
    pub fn stopping(&self) {
        self.send("STOPPING=1".into());
    }

    /// A reload has begun. The time lets the manager tell this reload's `READY=1` from an earlier one
    /// (`Type=notify-reload`).
    pub fn reloading(&self) {
        let now = clock_gettime(ClockId::Monotonic);
        let micros = i128::from(now.tv_sec) * 1_000_000 + i128::from(now.tv_nsec) / 1_000;
        self.send(format!("RELOADING=1\nMONOTONIC_USEC={micros}"));
    }

    /// One line for people, shown by `systemctl status`; sent when it differs from the last one.
    pub fn status(&self, line: &str) {
        if *self.status.borrow() != line {
            line.clone_into(&mut self.status.borrow_mut());
            // A newline would begin another assignment.
            self.send(format!("STATUS={}", Escaped(line)));
        }
    }

    /// Still alive.
    pub fn watchdog(&self) {
        self.send("WATCHDOG=1".into());
    }

    /// Tries again to send what the manager had no room for.
    pub fn retry(&self) {
        let Some((socket, address)) = &self.manager else { return };
        let mut waiting = self.waiting.borrow_mut();
        while let Some(message) = waiting.front() {
            match socket.send_to_addr(message.as_bytes(), address) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Ok(_) | Err(_) => {
                    waiting.pop_front();
                }
            }
        }
    }

    fn send(&self, message: String) {
        if self.manager.is_none() {
            return;
        }
        let mut waiting = self.waiting.borrow_mut();
        // An earlier message of the kind has nothing to add. The new one goes to the end: a READY=1 must come after
        // the RELOADING=1 that it ends.
        waiting.retain(|earlier| kind(earlier) != kind(&message));
        waiting.push_back(message);
        drop(waiting);
        self.retry();
    }
}

/// What a message is about: the name of its first assignment.
fn kind(message: &str) -> &str {
    message.split('=').next().unwrap_or_default()
}

fn connect(socket: &OsStr) -> io::Result<(UnixDatagram, SocketAddr)> {
    let address = match socket.as_bytes() {
        [b'@', name @ ..] => SocketAddr::from_abstract_name(name)?,
        [b'/', ..] => SocketAddr::from_pathname(socket)?,
        _ => return Err(io::ErrorKind::Unsupported.into()),
    };
    let sender = UnixDatagram::unbound()?;
    sender.set_nonblocking(true)?;
    Ok((sender, address))
}

/// How often to say `WATCHDOG=1`: half of `$WATCHDOG_USEC`, as `sd_watchdog_enabled(3)` advises; `None` when
/// the manager wants none, or `$WATCHDOG_PID` names another process.
#[must_use]
pub fn watchdog_period(usec: Option<&OsStr>, pid: Option<&OsStr>) -> Option<Duration> {
    let number = |text: &OsStr| text.to_str()?.parse::<u64>().ok();
    if let Some(pid) = pid
        && number(pid) != Some(u64::from(std::process::id()))
    {
        return None;
    }
    let usec = number(usec?).filter(|usec| *usec > 0)?;
    Some(Duration::from_micros(usec) / 2)
}

/// What was passed cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum PassedSocketError {
    /// There is one address to publish, and one listener to drain.
    #[error(
        "LISTEN_FDS passes {0} sockets, and this daemon serves one: keep a single ListenStream= in the .socket unit"
    )]
    TooMany(usize),
    /// Not a number, or a negative one.
    #[error(
        "LISTEN_FDS is {0:?}, not a number of sockets: have whatever starts vpo set it to 1, or set neither LISTEN_FDS nor LISTEN_PID"
    )]
    NotANumber(OsString),
    /// A file, a datagram socket, or nothing at all.
    #[error(
        "LISTEN_FDS passes something that is no TCP or Unix stream socket ({0}): use ListenStream= with an address, a port or a path in the .socket unit"
    )]
    NotAStream(#[source] io::Error),
}

/// Takes the socket that `$LISTEN_FDS` counts, if there is one and `$LISTEN_PID` says that it is for us.
///
/// To be called before other threads exist, as it takes both variables out of the process environment, and
/// before anything opens a descriptor that could be mistaken for a passed one.
///
/// # Errors
/// A count that is no number, more than one socket, or one that is no TCP or Unix stream socket.
pub fn take_socket(
    listen_pid: Option<&OsStr>,
    listen_fds: Option<&OsStr>,
) -> Result<Option<OwnedFd>, PassedSocketError> {
    // `listenfd` takes a missing LISTEN_PID as ours; sd_listen_fds(3) does not.
    if listen_pid.and_then(OsStr::to_str) != Some(&std::process::id().to_string()) {
        return Ok(None);
    }
    let Some(count) = listen_fds else { return Ok(None) };
    // `listenfd` takes what is no number for 0, and makes a list of any other.
    match count.to_str().and_then(|count| count.parse().ok()) {
        None => Err(PassedSocketError::NotANumber(count.to_owned())),
        Some(0) => Ok(None),
        Some(1) => {
            let mut passed = listenfd::ListenFd::from_env();
            let tcp = passed.take_tcp_listener(0).map(|socket| socket.map(OwnedFd::from));
            tcp.or_else(|_| passed.take_unix_listener(0).map(|socket| socket.map(OwnedFd::from)))
                .map_err(PassedSocketError::NotAStream)
        }
        Some(count) => Err(PassedSocketError::TooMany(count)),
    }
}
