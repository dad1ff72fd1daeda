//! The listening socket, bound here or passed by the service manager, and accept(2).

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::{AsFd, OwnedFd};

use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketFlags, SocketType, sockopt};
use tokio::net::{TcpListener, UnixListener};

use super::socket::Socket;
use crate::base::address::Address;
use crate::base::error::plain;

/// Maximum number of connections in the backlog. The kernel limits it to `net.core.somaxconn`.
const BACKLOG: i32 = 4096;

/// Bytes that the kernel takes for a client that does not read; it doubles them for its own use. Without a limit it takes up
/// to 4 MB (`net.ipv4.tcp_wmem`).
const SEND_BUFFER: usize = 64 * 1024;

/// The listening socket is not usable.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BindError {
    /// The address cannot be bound.
    #[error("{}", refusal(*address, error))]
    Bind {
        /// The requested address.
        address: SocketAddr,
        /// The kernel's error.
        error: io::Error,
    },
    /// The passed descriptor is not a listening stream socket.
    #[error(
        "the socket passed by the service manager is {found}, not a listening TCP or Unix stream socket; check the Listen… lines of the .socket unit"
    )]
    NotListening {
        /// What it is.
        found: &'static str,
    },
    /// The socket cannot be used.
    #[error("cannot use the listening socket: {0}")]
    Socket(#[source] io::Error),
}

fn refusal(address: SocketAddr, error: &io::Error) -> String {
    let (code, what) = match error.kind() {
        io::ErrorKind::AddrInUse => (
            "error[address-in-use]: ",
            "another program listens there. Choose another server.port (--port, VPO_SERVER_PORT), or 0 for any free one",
        ),
        io::ErrorKind::PermissionDenied if address.port() < 1024 => {
            ("", "ports below 1024 are reserved. Choose a higher server.port (--port, VPO_SERVER_PORT)")
        }
        io::ErrorKind::AddrNotAvailable => {
            ("", "no interface has this address. Check server.bind (--bind, VPO_SERVER_BIND)")
        }
        _ => {
            return format!(
                "cannot listen on {address}: {}. Check server.bind and server.port",
                plain(error)
            );
        }
    };
    format!("{code}cannot listen on {address}: {what}")
}

/// A bound socket that does not listen yet, so that connections are refused; or one that the service manager has passed.
#[derive(Debug)]
pub(crate) struct Bound {
    fd: OwnedFd,
    address: Address,
    /// The service manager listens already, with a backlog of its choice.
    is_passed: bool,
}

impl Bound {
    /// Binds a new socket.
    ///
    /// # Errors
    ///
    /// [`BindError::Bind`] when the address cannot be bound.
    pub(crate) fn bind(ip: IpAddr, port: u16) -> Result<Self, BindError> {
        let address = SocketAddr::new(ip, port);
        let family = if ip.is_ipv6() { AddressFamily::INET6 } else { AddressFamily::INET };
        let bind = || -> io::Result<Self> {
            let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
            let fd = rustix::net::socket_with(family, SocketType::STREAM, flags, None)?;
            // Connections of an earlier daemon may still be in TIME_WAIT.
            sockopt::set_socket_reuseaddr(&fd, true)?;
            rustix::net::bind(&fd, &address)?;
            let listener = std::net::TcpListener::from(fd);
            let address = Address::Tcp(listener.local_addr()?);
            Ok(Self { fd: listener.into(), address, is_passed: false })
        };
        bind().map_err(|error| BindError::Bind { address, error })
    }

    /// Uses a socket that the service manager has passed.
    ///
    /// # Errors
    ///
    /// [`BindError::NotListening`] when it is not a listening stream socket.
    pub(crate) fn passed(fd: OwnedFd) -> Result<Self, BindError> {
        let not = |found| BindError::NotListening { found };
        match sockopt::socket_type(&fd) {
            Ok(SocketType::STREAM) => {}
            Ok(_) => return Err(not("a datagram or raw socket")),
            Err(_) => return Err(not("no socket")),
        }
        if !sockopt::socket_acceptconn(&fd).unwrap_or(false) {
            return Err(not("a socket that does not listen"));
        }
        let address = match sockopt::socket_domain(&fd) {
            Ok(AddressFamily::UNIX) => {
                let listener =
                    std::os::unix::net::UnixListener::from(fd.try_clone().map_err(BindError::Socket)?);
                Address::from(&listener.local_addr().map_err(BindError::Socket)?)
            }
            Ok(AddressFamily::INET | AddressFamily::INET6) => {
                let listener = std::net::TcpListener::from(fd.try_clone().map_err(BindError::Socket)?);
                Address::Tcp(listener.local_addr().map_err(BindError::Socket)?)
            }
            _ => return Err(not("of another family")),
        };
        rustix::io::ioctl_fionbio(&fd, true).map_err(|error| BindError::Socket(error.into()))?;
        Ok(Self { fd, address, is_passed: true })
    }

    /// Listens.
    ///
    /// # Errors
    ///
    /// [`BindError::Bind`] when another program has bound the same address meanwhile, and listens.
    pub(crate) fn listen(self) -> Result<Listener, BindError> {
        let Self { fd, address, is_passed } = self;
        if !is_passed && let Err(error) = rustix::net::listen(&fd, BACKLOG) {
            let error = io::Error::from(error);
            return Err(match address {
                Address::Tcp(address) => BindError::Bind { address, error },
                _ => BindError::Socket(error),
            });
        }
        // Connections inherit it. One of a Unix socket has a fixed buffer anyway.
        sockopt::set_socket_send_buffer_size(&fd, SEND_BUFFER)
            .map_err(|error| BindError::Socket(error.into()))?;
        Ok(Listener { fd, address })
    }
}

/// A listening socket.
#[derive(Debug)]
pub(crate) struct Listener {
    fd: OwnedFd,
    address: Address,
}

impl Listener {
    /// The address on which it listens.
    #[must_use]
    pub(crate) fn address(&self) -> &Address {
        &self.address
    }

    /// Registers it with the runtime.
    pub(super) fn accepting(self) -> io::Result<Accepting> {
        match self.address {
            Address::Tcp(_) => TcpListener::from_std(self.fd.into()).map(Accepting::Tcp),
            Address::Unix(_) | Address::Abstract(_) | Address::Nameless => {
                UnixListener::from_std(self.fd.into()).map(Accepting::Unix)
            }
        }
    }
}

/// A listening socket within the runtime.
#[derive(Debug)]
pub(super) enum Accepting {
    Tcp(TcpListener),
    Unix(UnixListener),
}

impl Accepting {
    /// Waits for a connection.
    pub(super) async fn accept(&self) -> io::Result<Socket> {
        match self {
            Self::Tcp(listener) => listener.accept().await.map(|(stream, _)| Socket::Tcp(stream)),
            Self::Unix(listener) => listener.accept().await.map(|(stream, _)| Socket::Unix(stream)),
        }
        .inspect(no_delay)
    }

    /// Removes it from the runtime. At the stop the backlog is read directly, because the readiness in the runtime may
    /// be older than the signal.
    pub(super) fn closing(self) -> io::Result<Closing> {
        Ok(match self {
            Self::Tcp(listener) => Closing { fd: listener.into_std()?.into(), socket: Socket::tcp },
            Self::Unix(listener) => Closing { fd: listener.into_std()?.into(), socket: Socket::unix },
        })
    }
}

/// A listening socket that is about to be closed. Dropping it closes the descriptor, but does not shut down the socket: a
/// passed socket stays open in the service manager, with the connections in its backlog.
#[derive(Debug)]
pub(super) struct Closing {
    fd: OwnedFd,
    socket: fn(OwnedFd) -> io::Result<Socket>,
}

impl Closing {
    /// Accepts the next connection of the backlog; `WouldBlock` when it is empty.
    pub(super) fn accept(&self) -> io::Result<Socket> {
        (self.socket)(accept_nonblocking(&self.fd)?).inspect(no_delay)
    }
}

/// Sets `TCP_NODELAY`, so that a second small answer to pipelined requests does not wait for the client's ACK.
fn no_delay(socket: &Socket) {
    if matches!(socket, Socket::Tcp(_)) {
        let _ = sockopt::set_tcp_nodelay(socket, true);
    }
}

/// The errors of accept(2), by reaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum AcceptError {
    /// No connection waits.
    BacklogEmpty,
    /// The connection is lost. Further ones may be accepted.
    Connection,
    /// Descriptors have run out.
    Descriptors,
    /// Memory has run out.
    Memory,
    /// The listening socket itself is broken.
    Broken,
}

impl From<&io::Error> for AcceptError {
    fn from(error: &io::Error) -> Self {
        match Errno::from_io_error(error) {
            Some(Errno::AGAIN) => Self::BacklogEmpty,
            Some(Errno::MFILE | Errno::NFILE) => Self::Descriptors,
            Some(Errno::NOBUFS | Errno::NOMEM) => Self::Memory,
            Some(Errno::BADF | Errno::INVAL | Errno::NOTSOCK | Errno::OPNOTSUPP | Errno::FAULT) => {
                Self::Broken
            }
            // accept(2) also returns pending network errors of the new connection.
            _ => Self::Connection,
        }
    }
}

fn accept_nonblocking(listener: impl AsFd) -> rustix::io::Result<OwnedFd> {
    rustix::net::accept_with(listener, SocketFlags::NONBLOCK | SocketFlags::CLOEXEC)
}
