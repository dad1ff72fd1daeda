//! Where a daemon listens.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::SocketAddr as UnixAddr;
use std::path::PathBuf;

/// Where a daemon listens, as the lock file and the log have it: `http://127.0.0.1:8321`, `unix:/run/vpo/vpo.sock`,
/// `unix:@vpo`, or `unix:` alone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Address {
    /// TCP.
    Tcp(SocketAddr),
    /// A Unix socket.
    Unix(PathBuf),
    /// A Unix socket of that name in Linux' abstract namespace.
    Abstract(String),
    /// A Unix socket without a name, or with one that is not text on one line.
    Nameless,
}

impl Address {
    /// Reads what [`fmt::Display`] writes.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let Some(path) = text.strip_prefix("unix:") else {
            return text.strip_prefix("http://")?.parse().ok().map(Self::Tcp);
        };
        Some(match path.strip_prefix('@') {
            Some(name) => Self::Abstract(name.to_owned()),
            None if path.is_empty() => Self::Nameless,
            None => Self::Unix(path.into()),
        })
    }

    /// What a browser on this machine opens: a loopback address if the daemon listens on every address. `None` for a Unix
    /// socket.
    #[must_use]
    pub fn page(&self) -> Option<String> {
        let Self::Tcp(address) = self else { return None };
        let ip = match address.ip() {
            IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
            IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
            ip => ip,
        };
        Some(format!("http://{}", SocketAddr::new(ip, address.port())))
    }
}

impl From<&UnixAddr> for Address {
    fn from(address: &UnixAddr) -> Self {
        if let Some(path) = address.as_pathname() {
            return Self::Unix(path.to_owned());
        }
        match address.as_abstract_name().map(std::str::from_utf8) {
            Some(Ok(name)) if !name.is_empty() && !name.contains(char::is_control) => {
                Self::Abstract(name.to_owned())
            }
            _ => Self::Nameless,
        }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => write!(f, "http://{address}"),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
            Self::Abstract(name) => write!(f, "unix:@{name}"),
            Self::Nameless => f.write_str("unix:"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_back() {
        for text in ["http://127.0.0.1:8321", "http://[::1]:1", "unix:/run/vpo.sock", "unix:@vpo", "unix:"] {
            assert_eq!(Address::parse(text).map(|address| address.to_string()).as_deref(), Some(text));
        }
        for text in ["", "http://", "http://localhost:1", "started 12", "/v/library.db"] {
            assert_eq!(Address::parse(text), None, "{text}");
        }
    }

    #[test]
    fn a_browser_opens_an_address_of_this_machine() {
        for (address, page) in [
            ("http://127.0.0.1:8321", Some("http://127.0.0.1:8321")),
            ("http://0.0.0.0:1", Some("http://127.0.0.1:1")),
            ("http://[::]:1", Some("http://[::1]:1")),
            ("http://192.0.2.7:1", Some("http://192.0.2.7:1")),
            ("unix:/run/vpo.sock", None),
        ] {
            assert_eq!(Address::parse(address).and_then(|address| address.page()).as_deref(), page);
        }
    }

    #[test]
    fn a_name_that_is_not_text_on_one_line_is_none() {
        let of = |name: &[u8]| Address::from(&UnixAddr::from_abstract_name(name).expect("a name"));
        assert_eq!(of(b"vpo"), Address::Abstract("vpo".to_owned()));
        for name in [&b"a\nb"[..], b"\xFF", b""] {
            assert_eq!(of(name), Address::Nameless, "{name:?}");
        }
        assert_eq!(
            Address::from(&UnixAddr::from_pathname("/run/vpo.sock").expect("a path")),
            Address::Unix("/run/vpo.sock".into())
        );
    }
}
