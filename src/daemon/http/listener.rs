//! The listening socket: bound here, or passed by the service manager; and accepting from it.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::{AsFd, OwnedFd};

use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketFlags, SocketType, sockopt};
use tokio::net::{TcpListener, UnixListener};

use super::socket::Socket;
use crate::base::address::Address;

/// Connections that wait to be accepted; the kernel caps it at `net.core.somaxconn`.
const BACKLOG: i32 = 4096;

/// Why there is no listening socket.
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    /// The address cannot be had.
    #[error("cannot listen on {address}: {source}; {}", advice(source, *address))]
    Bind {
        /// What was asked for.
        address: SocketAddr,
        /// What the kernel said.
        source: io::Error,
    },
    /// What was passed is not a listening stream socket.
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
pub struct Listener {
    fd: OwnedFd,
    address: Address,
}

impl Listener {
    /// Binds and listens.
    ///
    /// # Errors
    ///
    /// [`BindError::Bind`] when the address cannot be had.
    pub fn bind(bind: IpAddr, port: u16) -> Result<Self, BindError> {
        let address = SocketAddr::new(bind, port);
        let failed = |source| BindError::Bind { address, source };
        let listener = std::net::TcpListener::bind(address).map_err(failed)?;
        // A second listen(2) changes the backlog, which the standard library does not let us choose.
        rustix::net::listen(&listener, BACKLOG).map_err(|error| failed(error.into()))?;
        let bound = listener.local_addr().map_err(failed)?;
        Self::of(listener.into(), Address::Tcp(bound)).map_err(failed)
    }

    /// Takes a socket that the service manager passed, as it is.
    ///
    /// # Errors
    ///
    /// [`BindError::NotListening`] when it is something else than a listening stream socket.
    pub fn passed(fd: OwnedFd) -> Result<Self, BindError> {
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
        Self::of(fd, address).map_err(BindError::Socket)
    }

    fn of(fd: OwnedFd, address: Address) -> io::Result<Self> {
        rustix::io::ioctl_fionbio(&fd, true)?;
        Ok(Self { fd, address })
    }

    /// Where it really listens.
    #[must_use]
    pub fn address(&self) -> &Address {
        &self.address
    }

    /// Hands it to the runtime.
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

    /// Takes it back from the runtime: what follows must ask the kernel itself who waits, since what the
    /// runtime knows may be older than the signal that ends it all.
    pub(super) fn closing(self) -> io::Result<Closing> {
        Ok(match self {
            Self::Tcp(listener) => Closing { fd: listener.into_std()?.into(), socket: Socket::tcp },
            Self::Unix(listener) => Closing { fd: listener.into_std()?.into(), socket: Socket::unix },
        })
    }
}

/// A listening socket that is about to be closed. Dropping it closes it and never shuts it down: a passed one
/// lives on in the service manager, with all who wait there.
#[derive(Debug)]
pub(super) struct Closing {
    fd: OwnedFd,
    socket: fn(OwnedFd) -> io::Result<Socket>,
}

impl Closing {
    /// Takes the next who waits; `WouldBlock` when there is nobody.
    pub(super) fn accept(&self) -> io::Result<Socket> {
        (self.socket)(accept_nonblocking(&self.fd)?).inspect(no_delay)
    }
}

/// A second small answer to pipelined requests must not wait for the client's ACK.
fn no_delay(socket: &Socket) {
    if matches!(socket, Socket::Tcp(_)) {
        let _ = sockopt::set_tcp_nodelay(socket, true);
    }
}

/// What to do about an error of accept(2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum AcceptError {
    /// Nobody waits.
    Nobody,
    /// The connection is gone, or could not be had; the next may.
    Connection,
    /// Descriptors or memory have run out.
    Exhausted,
    /// The listening socket itself is broken.
    Broken,
}

impl AcceptError {
    pub(super) fn of(error: &io::Error) -> Self {
        match Errno::from_io_error(error) {
            Some(Errno::AGAIN) => Self::Nobody,
            Some(Errno::MFILE | Errno::NFILE | Errno::NOBUFS | Errno::NOMEM) => Self::Exhausted,
            Some(Errno::BADF | Errno::INVAL | Errno::NOTSOCK | Errno::OPNOTSUPP | Errno::FAULT) => {
                Self::Broken
            }
            // accept(2): errors of the network that wait on the new connection come out here.
            _ => Self::Connection,
        }
    }
}

fn accept_nonblocking(listener: impl AsFd) -> rustix::io::Result<OwnedFd> {
    rustix::net::accept_with(listener, SocketFlags::NONBLOCK | SocketFlags::CLOEXEC)
}
