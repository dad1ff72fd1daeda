//! The access token, as a filter: HTTP Basic with the token as password (any user), or bearer
//! (RFC 7617, RFC 6750), compared in constant time.

use std::convert::Infallible;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use subtle::ConstantTimeEq as _;
use warp::Filter;
use warp::Rejection;

use super::reply::Unauthorized;

/// What a client must present; never shown.
#[derive(Clone)]
pub struct Token(Arc<[u8]>);

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(***)")
    }
}

impl Token {
    /// Takes the secret.
    #[must_use]
    pub fn new(secret: &str) -> Self {
        Self(secret.as_bytes().into())
    }

    fn admits(&self, credentials: &Credentials) -> bool {
        self.0.ct_eq(&credentials.0).into()
    }
}

/// The secret in an `Authorization` header; empty when there is none that we understand.
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

/// Whether the client may know everything: it has the token, or none is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Access {
    Full,
    Anonymous,
}

/// Looks at the token and lets everyone through.
pub(super) fn access(
    token: Option<Token>,
) -> impl Filter<Extract = (Access,), Error = Rejection> + Clone + Send + Sync + 'static {
    warp::header::optional::<Credentials>("authorization")
        // A header that is no ASCII is none that we understand, and no reason to refuse what is open to all.
        .or_else(|_| std::future::ready(Ok::<_, Rejection>((None,))))
        .map(move |credentials: Option<Credentials>| {
            let admitted = match (&token, &credentials) {
                (None, _) => true,
                (Some(token), Some(credentials)) => token.admits(credentials),
                (Some(_), None) => false,
            };
            if admitted { Access::Full } else { Access::Anonymous }
        })
}

/// Lets through who has the token.
pub(super) fn required(
    token: Option<Token>,
) -> impl Filter<Extract = (), Error = Rejection> + Clone + Send + Sync + 'static {
    access(token)
        .and_then(|access| {
            std::future::ready(match access {
                Access::Full => Ok(()),
                Access::Anonymous => Err(warp::reject::custom(Unauthorized)),
            })
        })
        .untuple_one()
}
