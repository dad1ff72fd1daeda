//! A connected stream socket, TCP or Unix, that several owners share.
//!
//! tokio's streams must be borrowed mutably to be read. Here the service must find out whether unread bytes remain while
//! hyper holds the stream.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::task::{Context, Poll, ready};

use rustix::net::{RecvFlags, SendFlags, Shutdown};
use tokio::io::Interest;
use tokio::net::{TcpStream, UnixStream};

/// The server's end of a connection.
#[derive(Debug)]
pub(super) enum Socket {
    Tcp(TcpStream),
    Unix(UnixStream),
}

impl Socket {
    /// Wraps a connected, non-blocking socket.
    pub(super) fn tcp(fd: OwnedFd) -> io::Result<Self> {
        TcpStream::from_std(fd.into()).map(Self::Tcp)
    }

    /// Wraps a connected, non-blocking socket.
    pub(super) fn unix(fd: OwnedFd) -> io::Result<Self> {
        UnixStream::from_std(fd.into()).map(Self::Unix)
    }

    /// The client's address, in words.
    pub(super) fn peer(&self) -> String {
        match self {
            Self::Tcp(stream) => {
                stream.peer_addr().map_or_else(|_| "gone".to_owned(), |address| address.to_string())
            }
            Self::Unix(_) => "unix".to_owned(),
        }
    }

    /// Reads the available bytes, at most `space`; 0 at the end of the stream.
    pub(super) fn poll_read(&self, cx: &mut Context<'_>, space: &mut [u8]) -> Poll<io::Result<usize>> {
        loop {
            ready!(self.poll_ready(cx, Interest::READABLE))?;
            let mut read = None;
            let result = self.try_io(Interest::READABLE, || {
                let (count, _) = rustix::net::recv(self, &mut *space, RecvFlags::DONTWAIT)?;
                read = Some(count);
                // Fewer bytes than asked for means that the kernel has no more (epoll is edge-triggered here).
                // Reporting that to tokio now avoids a further call that would return EAGAIN.
                if (1..space.len()).contains(&count) { Err(io::ErrorKind::WouldBlock.into()) } else { Ok(()) }
            });
            match (read, result) {
                (Some(count), _) => return Poll::Ready(Ok(count)),
                (None, Err(error)) if !is_transient(&error) => return Poll::Ready(Err(error)),
                (None, _) => {}
            }
        }
    }

    /// Reads the available bytes without checking the readiness; `None` if there are none.
    pub(super) fn try_read(&self, space: &mut [u8]) -> io::Result<Option<usize>> {
        match rustix::net::recv(self, space, RecvFlags::DONTWAIT) {
            Ok((count, _)) => Ok(Some(count)),
            Err(error) if is_transient(&error.into()) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Writes as many bytes as fit.
    pub(super) fn poll_write(&self, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        loop {
            ready!(self.poll_ready(cx, Interest::WRITABLE))?;
            let write = || Ok(rustix::net::send(self, bytes, SendFlags::NOSIGNAL | SendFlags::DONTWAIT)?);
            match self.try_io(Interest::WRITABLE, write) {
                Err(error) if is_transient(&error) => {}
                written => return Poll::Ready(written),
            }
        }
    }

    /// Writes as many bytes as fit now. Ignores errors.
    pub(super) fn try_write(&self, bytes: &[u8]) {
        let _ = rustix::net::send(self, bytes, SendFlags::NOSIGNAL | SendFlags::DONTWAIT);
    }

    /// Whether the kernel holds unread bytes. Readiness may be older than a signal, so it is not used.
    pub(super) fn unread(&self) -> bool {
        rustix::io::ioctl_fionread(self).is_ok_and(|bytes| bytes > 0)
    }

    /// Closes the direction to the client.
    pub(super) fn close_write(&self) {
        let _ = rustix::net::shutdown(self, Shutdown::Write);
    }

    fn poll_ready(&self, cx: &mut Context<'_>, interest: Interest) -> Poll<io::Result<()>> {
        match (self, interest.is_readable()) {
            (Self::Tcp(stream), true) => stream.poll_read_ready(cx),
            (Self::Tcp(stream), false) => stream.poll_write_ready(cx),
            (Self::Unix(stream), true) => stream.poll_read_ready(cx),
            (Self::Unix(stream), false) => stream.poll_write_ready(cx),
        }
    }

    fn try_io<T>(&self, interest: Interest, work: impl FnOnce() -> io::Result<T>) -> io::Result<T> {
        match self {
            Self::Tcp(stream) => stream.try_io(interest, work),
            Self::Unix(stream) => stream.try_io(interest, work),
        }
    }
}

impl AsFd for Socket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Self::Tcp(stream) => stream.as_fd(),
            Self::Unix(stream) => stream.as_fd(),
        }
    }
}

fn is_transient(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted)
}
