//! The listening socket, bound here or passed by the service manager, and accept(2).

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::{AsFd, OwnedFd};

use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketFlags, SocketType, sockopt};
use tokio::net::{TcpListener, UnixListener};

use super::socket::Socket;
use crate::base::address::Address;

/// Maximum number of connections in the backlog. The kernel limits it to `net.core.somaxconn`.
const BACKLOG: i32 = 4096;

/// Bytes that the kernel takes for a client that does not read; it doubles them for its own use. Without a limit it takes up
/// to 4 MB (`net.ipv4.tcp_wmem`).
const SEND_BUFFER: usize = 64 * 1024;

/// The listening socket is not usable.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BindError {
    /// The address cannot be bound.
    #[error("{}cannot listen on {address}: {source}; {}", code(source), advice(source, *address))]
    Bind {
        /// The requested address.
        address: SocketAddr,
        /// The kernel's error.
        source: io::Error,
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

fn code(error: &io::Error) -> &'static str {
    if error.kind() == io::ErrorKind::AddrInUse { "error[address-in-use]: " } else { "" }
}

fn advice(error: &io::Error, address: SocketAddr) -> &'static str {
    match error.kind() {
        io::ErrorKind::AddrInUse => {
            "another program listens there; choose another server.port (--port, VPO_SERVER_PORT), or 0 for any free one"
        }
        io::ErrorKind::PermissionDenied if address.port() < 1024 => {
            "ports below 1024 are reserved; choose a higher server.port (--port, VPO_SERVER_PORT)"
        }
        io::ErrorKind::AddrNotAvailable => {
            "no interface has this address; check server.bind (--bind, VPO_SERVER_BIND)"
        }
        _ => "check server.bind and server.port",
    }
}

/// A listening socket.
#[derive(Debug)]
pub(crate) struct Listener {
    fd: OwnedFd,
    address: Address,
}

impl Listener {
    /// Binds and listens.
    ///
    /// # Errors
    ///
    /// [`BindError::Bind`] when the address cannot be bound.
    pub(crate) fn bind(bind: IpAddr, port: u16) -> Result<Self, BindError> {
        let address = SocketAddr::new(bind, port);
        let failed = |source| BindError::Bind { address, source };
        let listener = std::net::TcpListener::bind(address).map_err(failed)?;
        // A second listen(2) changes the backlog, which the standard library does not let us choose.
        rustix::net::listen(&listener, BACKLOG).map_err(|error| failed(error.into()))?;
        let bound = listener.local_addr().map_err(failed)?;
        Self::new(listener.into(), Address::Tcp(bound)).map_err(failed)
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
        Self::new(fd, address).map_err(BindError::Socket)
    }

    fn new(fd: OwnedFd, address: Address) -> io::Result<Self> {
        rustix::io::ioctl_fionbio(&fd, true)?;
        // Connections inherit it. One of a Unix socket has a fixed buffer anyway.
        sockopt::set_socket_send_buffer_size(&fd, SEND_BUFFER)?;
        Ok(Self { fd, address })
    }

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
