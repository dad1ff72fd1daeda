//! Filters that decide what a request may see: by its access token, else by the host that it names ([`super::hosts`]).
//!
//! The token is sent as password of HTTP Basic (any user), or as bearer (RFC 7617, RFC 6750). It is compared in constant time.
//! A request with the token may name any host. If a token is set, a request without it gets 401 for any host, so that a
//! browser asks for the password.

use std::convert::Infallible;
use std::fmt;
use std::str::FromStr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use subtle::ConstantTimeEq as _;
use tracing::warn;
use warp::Filter;
use warp::Rejection;

use super::hosts::{Hosts, RequestHost};
use super::reply::{HostNotAllowed, Unauthorized};
use super::state::Connection;
use crate::base::html;
use crate::base::times::HTTP_WARNING_INTERVAL;

/// The access token. `Debug` does not show it.
#[derive(Clone)]
pub(crate) struct Token {
    secret: Arc<[u8]>,
    wrong: Arc<Mutex<WrongTokens>>,
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(***)")
    }
}

impl Token {
    /// A token with this secret.
    #[must_use]
    pub(crate) fn new(secret: &str) -> Self {
        Self { secret: secret.as_bytes().into(), wrong: Arc::default() }
    }

    /// Whether the credentials are right. Warns of wrong ones.
    fn admits(&self, credentials: &Credentials, connection: &Connection) -> bool {
        let is_right: bool = self.secret.ct_eq(&credentials.0).into();
        if !is_right {
            let mut wrong = self.wrong.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some(requests) = wrong.count(Instant::now()) {
                let client = connection.socket.peer();
                warn!(client, requests, "a client sent a wrong access token");
            }
        }
        is_right
    }
}

/// Counts requests with a wrong token, for a warning now and then.
#[derive(Debug, Default)]
struct WrongTokens {
    requests: u64,
    warned: Option<Instant>,
}

impl WrongTokens {
    /// Counts a request. Returns the requests since the last warning if a warning is due.
    fn count(&mut self, now: Instant) -> Option<u64> {
        self.requests += 1;
        let is_due = self.warned.is_none_or(|warned| now.duration_since(warned) >= HTTP_WARNING_INTERVAL);
        is_due.then(|| {
            self.warned = Some(now);
            std::mem::take(&mut self.requests)
        })
    }
}

/// The secret in an `Authorization` header; empty if the header is not valid.
struct Credentials(Vec<u8>);

impl FromStr for Credentials {
    type Err = Infallible;

    fn from_str(header: &str) -> Result<Self, Infallible> {
        let (scheme, rest) = header.split_once(' ').unwrap_or_default();
        let rest = rest.trim();
        let secret = if scheme.eq_ignore_ascii_case("bearer") {
            rest.as_bytes().to_vec()
        } else if scheme.eq_ignore_ascii_case("basic") {
            let decoded = STANDARD.decode(rest).unwrap_or_default();
            let colon = decoded.iter().position(|byte| *byte == b':');
            colon.map(|colon| decoded[colon + 1..].to_vec()).unwrap_or_default()
        } else {
            Vec::new()
        };
        Ok(Self(secret))
    }
}

/// How much a request may see.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Access {
    /// Everything: the request has the token, or no token is set and its host is allowed.
    Full,
    /// Health without details: a token is set, the request does not have it, and its host is allowed.
    Anonymous,
    /// Only the status: the request does not have a token, and its host is not allowed.
    StatusOnly,
}

/// The rules for access.
pub(crate) struct Policy {
    /// The token that clients must send, if any.
    pub token: Option<Token>,
    /// The hosts that a request without a token may name.
    pub hosts: Hosts,
}

impl Policy {
    fn access(&self, credentials: Option<(&Credentials, &Connection)>, host: &RequestHost) -> Access {
        let has_token = |token: &Token| {
            credentials.is_some_and(|(credentials, connection)| token.admits(credentials, connection))
        };
        match &self.token {
            Some(token) if has_token(token) => Access::Full,
            _ if !self.hosts.allow(host) => Access::StatusOnly,
            Some(_) => Access::Anonymous,
            None => Access::Full,
        }
    }
}

/// Decides how much a request may see. Does not reject.
pub(super) fn access(
    policy: Arc<Policy>,
) -> impl Filter<Extract = (Access,), Error = Rejection> + Clone + Send + Sync + 'static {
    decided(policy).map(|decision: Decision| decision.0)
}

/// Rejects a request that may not see everything.
pub(super) fn required(
    policy: Arc<Policy>,
) -> impl Filter<Extract = (), Error = Rejection> + Clone + Send + Sync + 'static {
    let wants_token = policy.token.is_some();
    decided(policy)
        .and(html::is_wanted())
        .and_then(move |(access, host): Decision, is_browser| {
            std::future::ready(match access {
                Access::Full => Ok(()),
                _ if wants_token => Err(warp::reject::custom(Unauthorized { is_browser })),
                Access::Anonymous | Access::StatusOnly => {
                    Err(warp::reject::custom(HostNotAllowed { host, is_browser }))
                }
            })
        })
        .untuple_one()
}

type Decision = (Access, RequestHost);

fn decided(
    policy: Arc<Policy>,
) -> impl Filter<Extract = (Decision,), Error = Rejection> + Clone + Send + Sync + 'static {
    warp::header::optional::<Credentials>("authorization")
        // A header that is not ASCII counts as absent: public routes stay accessible.
        .or_else(|_| std::future::ready(Ok::<_, Rejection>((None,))))
        // The service has checked it.
        .and(warp::header::optional::<RequestHost>("host"))
        // Set by the service for a request with credentials.
        .and(warp::ext::optional::<Arc<Connection>>())
        .map(
            move |credentials: Option<Credentials>,
                  host: Option<RequestHost>,
                  connection: Option<Arc<Connection>>| {
                let host = host.unwrap_or(RequestHost::Exempt);
                let credentials = credentials.as_ref().zip(connection.as_deref());
                (policy.access(credentials, &host), host)
            },
        )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wrong_tokens_are_warned_of_once_in_a_while_and_all_are_counted() {
        let mut wrong = WrongTokens::default();
        let start = Instant::now();
        assert_eq!(wrong.count(start), Some(1), "the first");
        assert_eq!(wrong.count(start), None);
        assert_eq!(wrong.count(start + HTTP_WARNING_INTERVAL / 2), None);
        assert_eq!(wrong.count(start + HTTP_WARNING_INTERVAL), Some(3));
        assert_eq!(wrong.count(start + HTTP_WARNING_INTERVAL), None);
    }
}
