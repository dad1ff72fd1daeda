//! The Host rule: which hosts a request without an access token may name and still be answered in full.
//!
//! DNS rebinding lets a web page read any server that its visitor's browser reaches: the name of the page is changed to
//! resolve to the address of that server. The browser still sends the name of the page in `Host`. So a name under a public
//! domain must be listed in `server.hosts`. Addresses, names without a dot and names under reserved domains cannot be
//! rebound and are always allowed.

use std::borrow::Cow;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::str::FromStr;
use std::sync::Arc;

use warp::http::header::HOST;
use warp::http::request::Parts;
use warp::http::{HeaderMap, HeaderValue, Version};

/// Domains that cannot be registered: RFC 6761 and 8375, ICANN's `internal`, router defaults, and Podman's networks.
const RESERVED: [&str; 7] = ["localhost", "local", "internal", "home.arpa", "lan", "test", "dns.podman"];

/// Maximum characters of a host that an answer repeats.
const MAX_SHOWN: usize = 100;

/// The entries of `server.hosts` in lower case: `films.example.org` (that name), `.example.org` (every name below it),
/// `*` (every name).
#[derive(Clone, Debug, Default)]
pub struct Hosts(Arc<[String]>);

impl FromIterator<String> for Hosts {
    fn from_iter<I: IntoIterator<Item = String>>(listed: I) -> Self {
        Self(listed.into_iter().collect())
    }
}

impl Hosts {
    /// Whether a request that names this host is answered in full without a token.
    #[must_use]
    pub fn allow(&self, host: &RequestHost) -> bool {
        match host {
            RequestHost::Exempt | RequestHost::Address => true,
            RequestHost::Name(name) => {
                let is_own = || {
                    let own = rustix::system::uname();
                    own.nodename().to_str().is_ok_and(|own| is_same(name, own))
                };
                is_reserved(name) || self.lists(name) || is_own()
            }
        }
    }

    fn lists(&self, name: &str) -> bool {
        self.0.iter().any(|listed| match listed.as_str() {
            "*" => true,
            suffix if suffix.starts_with('.') => is_name(name) && name.ends_with(suffix),
            listed => name == listed,
        })
    }
}

/// The host that a request names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RequestHost {
    /// The rule does not apply: a Unix socket, or HTTP/1.0 without a host.
    Exempt,
    /// An IP literal.
    Address,
    /// Anything else: lower case, without port and trailing dot.
    Name(String),
}

/// Checks the host of a request, and sets `Host` to what the rule applies to: to the host of the target, if there is one; it
/// is removed if the request came through a Unix socket.
///
/// # Errors
///
/// If the request does not have exactly one well-formed `Host` (RFC 9112, section 3.2).
pub(super) fn admit_host(head: &mut Parts, is_unix: bool) -> Result<(), &'static str> {
    const INVALID: &str = "the host of the request target is not valid";
    match only_host(&head.headers)? {
        Some(value) => RequestHost::parse(value).map(drop).ok_or("the Host header is not valid")?,
        None if head.version < Version::HTTP_11 => {}
        None => return Err("the Host header is missing"),
    }
    // The target's authority overrides the header (RFC 9112, section 3.2.2).
    if let Some(authority) = head.uri.authority() {
        RequestHost::parse(authority.as_str()).ok_or(INVALID)?;
        let host = HeaderValue::from_str(authority.as_str()).map_err(|_| INVALID)?;
        head.headers.insert(HOST, host);
    }
    if is_unix {
        head.headers.remove(HOST);
    }
    Ok(())
}

/// The host in the header that `admit_host` has checked.
impl FromStr for RequestHost {
    type Err = ();

    fn from_str(header: &str) -> Result<Self, ()> {
        Self::parse(header).ok_or(())
    }
}

impl RequestHost {
    /// Parses `host[:port]` (RFC 3986, section 3.2, without the user); `None` if it is malformed.
    fn parse(authority: &str) -> Option<Self> {
        let (host, port) = match authority.strip_prefix('[') {
            Some(rest) => {
                let (address, port) = rest.split_once(']')?;
                // A zone (RFC 6874) names an interface, not a host.
                let address = address.split('%').next().unwrap_or(address);
                address.parse::<Ipv6Addr>().ok()?;
                (None, if port.is_empty() { "" } else { port.strip_prefix(':')? })
            }
            None => match authority.split_once(':') {
                Some((host, port)) => (Some(host), port),
                None => (Some(authority), ""),
            },
        };
        let is_port = port.bytes().all(|byte| byte.is_ascii_digit())
            && (port.is_empty() || port.parse::<u16>().is_ok());
        if !is_port {
            return None;
        }
        let Some(host) = host else { return Some(Self::Address) };
        if !host.bytes().all(is_host_byte) {
            return None;
        }
        let host = host.strip_suffix('.').unwrap_or(host);
        Some(if host.parse::<Ipv4Addr>().is_ok() {
            Self::Address
        } else {
            Self::Name(host.to_ascii_lowercase())
        })
    }
}

/// The value of the only Host header, if any.
fn only_host(headers: &HeaderMap) -> Result<Option<&str>, &'static str> {
    let mut hosts = headers.get_all(HOST).iter();
    match (hosts.next(), hosts.next()) {
        (Some(_), Some(_)) => Err("there is more than one Host header"),
        (Some(host), None) => host.to_str().map(Some).map_err(|_| "the Host header is not valid"),
        (None, _) => Ok(None),
    }
}

/// The characters of a host that is not in brackets (RFC 3986, section 3.2.2).
fn is_host_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=%".contains(&byte)
}

/// Whether the name cannot be registered: it has no dot, or it is under a reserved domain.
fn is_reserved(name: &str) -> bool {
    let is_under =
        |domain: &&str| name.strip_suffix(*domain).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'));
    is_name(name) && (!name.contains('.') || RESERVED.iter().any(is_under))
}

/// Whether it is a valid host name for `server.hosts`: labels of letters, digits, `-` and `_`. A `%` may encode a dot.
fn is_name(name: &str) -> bool {
    let is_label = |label: &str| {
        !label.is_empty() && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte))
    };
    name.split('.').all(is_label)
}

/// Whether the name in a request is the name of this machine.
fn is_same(name: &str, own: &str) -> bool {
    is_name(name) && name.eq_ignore_ascii_case(own.strip_suffix('.').unwrap_or(own))
}

/// The message for a request that names a host that is not allowed, with the configuration that allows it.
pub(super) fn refusal(host: &RequestHost) -> String {
    let Some(name) = name_to_add(host) else {
        let name = name(host);
        // It is ASCII.
        let shown: Cow<'_, str> = match name.get(..MAX_SHOWN) {
            Some(begin) => format!("{begin}…").into(),
            None => name.into(),
        };
        return format!("requests for the host \"{shown}\" are not allowed");
    };
    format!(
        "requests for the host \"{name}\" are not allowed; add it to server.hosts: in [server], \
         hosts = [\"{name}\"], or VPO_SERVER_HOSTS={name}"
    )
}

/// The name of a host that `server.hosts` can allow.
#[must_use]
pub fn name_to_add(host: &RequestHost) -> Option<&str> {
    Some(name(host)).filter(|name| name.len() <= MAX_SHOWN && is_name(name))
}

fn name(host: &RequestHost) -> &str {
    match host {
        RequestHost::Name(name) => name,
        RequestHost::Exempt | RequestHost::Address => "",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn allowed(listed: &[&str], authority: &str) -> bool {
        let hosts: Hosts = listed.iter().map(ToString::to_string).collect();
        hosts.allow(&RequestHost::parse(authority).unwrap_or_else(|| panic!("{authority} is malformed")))
    }

    #[test]
    fn names_that_cannot_be_registered_are_allowed() {
        for authority in [
            "127.0.0.1",
            "127.0.0.1:8321",
            "127.0.0.1.",
            "192.0.2.7:80",
            "[::1]",
            "[::1]:8321",
            "[2001:DB8::1]:",
            "[fe80::1%25eth0]",
            "[::ffff:192.0.2.7]",
            "vpo",
            "VPO:8321",
            "vpo.",
            "vpo_vpo_1",
            "localhost",
            "LOCALHOST.",
            "films.localhost",
            "nas.local",
            "nas.Local.:8321",
            "vpo.internal",
            "nas.home.arpa",
            "nas.lan",
            "a.b.c.test",
            "vpo.dns.podman",
            "home.arpa",
        ] {
            assert!(allowed(&[], authority), "{authority}");
        }
    }

    #[test]
    fn names_that_can_be_registered_are_not_allowed() {
        for authority in [
            "evil.example",
            "evil.example:8321",
            "EVIL.example.",
            "localhost.evil.example",
            "127.0.0.1.evil.example",
            "127.0.0.1..",
            "evillocalhost.example",
            "xlocal.example",
            "x.notlocal",
            "x.mylan",
            "x.arpa",
            "podman.dns",
            "x.dns.podman.example",
            "127.1",
            "0x7f.0.0.1",
            "evil%2eexample",
            "evil%2Eexample:80",
            "",
            ":80",
            ".",
            ".local",
            "a..local",
            "a!.local",
            "*",
            "a,b",
        ] {
            assert!(!allowed(&[], authority), "{authority}");
        }
    }

    #[test]
    fn listed_names_are_allowed_and_no_others() {
        let listed = ["films.example.org", ".example.net"];
        for authority in ["films.example.org", "FILMS.Example.org.:443", "a.example.net", "a.b.example.net:1"]
        {
            assert!(allowed(&listed, authority), "{authority}");
        }
        for authority in [
            "example.org",
            "a.films.example.org",
            "xfilms.example.org",
            "example.net",
            "xexample.net",
            ".example.net",
            "a..example.net",
            "a.example.net.evil.example",
        ] {
            assert!(!allowed(&listed, authority), "{authority}");
        }
        assert!(allowed(&["*"], "evil.example") && allowed(&["*"], "") && allowed(&["*"], "evil%2eexample"));
    }

    #[test]
    fn the_machine_s_own_name_is_allowed() {
        assert!(
            is_same("nas.example.org", "NAS.example.org") && is_same("nas.example.org", "nas.example.org.")
        );
        assert!(!is_same("nas.example.org", "nas") && !is_same("", "") && !is_same("(none)", "(none)"));
    }

    #[test]
    fn malformed_hosts_are_distinguished() {
        for authority in [
            "a b",
            "a/b",
            "a@b",
            "user:secret@localhost",
            "user@localhost",
            "a:b",
            "a:1:2",
            "::1",
            "[::1",
            "[::1]x",
            "[::1]:x",
            "[]",
            "[127.0.0.1]",
            "[v1.a]",
            "[evil.example]",
            "localhost:65536",
            "localhost:-1",
            "localhost:+1",
            "caf\u{e9}",
            "a\u{7f}",
            "a\"b",
            "a\\b",
        ] {
            assert_eq!(RequestHost::parse(authority), None, "{authority}");
        }
    }

    #[test]
    fn a_refusal_names_the_host_and_the_line_to_add() {
        let text = refusal(&RequestHost::Name("films.example.org".into()));
        assert!(text.contains("hosts = [\"films.example.org\"]"), "{text}");
        let text = refusal(&RequestHost::Name("x.".repeat(4000)));
        assert!(text.len() < 200 && text.contains("x.x.") && !text.contains("hosts ="), "{text}");
    }
}
