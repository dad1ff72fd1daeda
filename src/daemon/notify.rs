//! systemd: the messages of `sd_notify(3)`, the watchdog (`sd_watchdog_enabled(3)`) and the passed socket
//! (`sd_listen_fds(3)`). Imports only [`crate::base`].
//!
//! Errors of the notify socket are ignored. The crate `sd-notify` is not used because it sends on a blocking
//! socket: a manager that does not read would block the daemon (its queue holds some hundred datagrams). Here a
//! message that finds the queue full is kept, in order, and sent later. Only the newest message of each kind is
//! kept.

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

/// Sends messages to the service manager, if any.
#[derive(Debug, Default)]
pub(crate) struct Notifier {
    manager: Option<(UnixDatagram, SocketAddr)>,
    /// Unsent messages, at most one of each kind.
    waiting: RefCell<VecDeque<String>>,
    status: RefCell<String>,
}

impl Notifier {
    /// Connects to `$NOTIFY_SOCKET`: an absolute path, or `@` and an abstract name. With another value (none, or a
    /// `vsock:` address) messages are dropped.
    #[must_use]
    pub(crate) fn new(socket: Option<&OsStr>) -> Self {
        Self { manager: socket.and_then(|socket| connect(socket).ok()), ..Self::default() }
    }

    /// Whether there is a service manager.
    #[must_use]
    pub(crate) fn is_connected(&self) -> bool {
        self.manager.is_some()
    }

    /// The start or a reload has ended.
    pub(crate) fn ready(&self) {
        self.send("READY=1".into());
    }

    /// The stop has begun.
    pub(crate) fn stopping(&self) {
        self.send("STOPPING=1".into());
    }

    /// A reload has begun. By the time in the message the manager distinguishes the `READY=1` of this reload from an
    /// earlier one (`Type=notify-reload`).
    pub(crate) fn reloading(&self) {
        let now = clock_gettime(ClockId::Monotonic);
        let micros = i128::from(now.tv_sec) * 1_000_000 + i128::from(now.tv_nsec) / 1_000;
        self.send(format!("RELOADING=1\nMONOTONIC_USEC={micros}"));
    }

    /// The line that `systemctl status` shows. Sent only if it has changed.
    pub(crate) fn status(&self, line: &str) {
        if *self.status.borrow() != line {
            line.clone_into(&mut self.status.borrow_mut());
            // A newline would start another assignment.
            self.send(format!("STATUS={}", Escaped(line)));
        }
    }

    /// The daemon is alive.
    pub(crate) fn watchdog(&self) {
        self.send("WATCHDOG=1".into());
    }

    /// Retries unsent messages.
    pub(crate) fn retry(&self) {
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
        // The new message replaces an earlier one of its kind. It goes to the end, because a READY=1 must follow the
        // RELOADING=1 that it ends.
        waiting.retain(|earlier| kind(earlier) != kind(&message));
        waiting.push_back(message);
        drop(waiting);
        self.retry();
    }
}

/// The kind of a message: the name of its first assignment.
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

/// Interval of `WATCHDOG=1`: half of `$WATCHDOG_USEC`, as `sd_watchdog_enabled(3)` advises. `None` if the watchdog
/// is off, or `$WATCHDOG_PID` is another process.
#[must_use]
pub(crate) fn watchdog_period(usec: Option<&OsStr>, pid: Option<&OsStr>) -> Option<Duration> {
    let number = |text: &OsStr| text.to_str()?.parse::<u64>().ok();
    if let Some(pid) = pid
        && number(pid) != Some(u64::from(std::process::id()))
    {
        return None;
    }
    let usec = number(usec?).filter(|usec| *usec > 0)?;
    Some(Duration::from_micros(usec) / 2)
}

/// The passed sockets are not usable.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PassedSocketError {
    /// The daemon serves only one socket.
    #[error(
        "LISTEN_FDS passes {0} sockets, but the daemon serves one; keep a single ListenStream= in the .socket unit"
    )]
    TooMany(usize),
    /// Not a number, or a negative one.
    #[error("LISTEN_FDS is {0:?}, not a number of sockets; set it to 1, or unset LISTEN_FDS and LISTEN_PID")]
    NotANumber(OsString),
    /// A file, a datagram socket, or a closed descriptor.
    #[error(
        "LISTEN_FDS passes a descriptor that is not a TCP or Unix stream socket ({0}); use ListenStream= with an address, a port or a path in the .socket unit"
    )]
    NotAStream(#[source] io::Error),
}

/// Takes the socket that systemd has passed, if `$LISTEN_FDS` counts one and `$LISTEN_PID` is this process.
///
/// Call it before other threads exist, because it removes both variables from the process environment, and before
/// other descriptors are opened, which could be mistaken for a passed one.
///
/// # Errors
/// If the count is not a number or above one, or the descriptor is not a TCP or Unix stream socket.
pub(crate) fn take_socket(
    listen_pid: Option<&OsStr>,
    listen_fds: Option<&OsStr>,
) -> Result<Option<OwnedFd>, PassedSocketError> {
    // `listenfd` accepts a missing LISTEN_PID; sd_listen_fds(3) does not.
    if listen_pid.and_then(OsStr::to_str) != Some(&std::process::id().to_string()) {
        return Ok(None);
    }
    let Some(count) = listen_fds else { return Ok(None) };
    // `listenfd` reads an invalid number as 0, and allocates a list of any length.
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
