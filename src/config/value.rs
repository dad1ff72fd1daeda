//! Types whose values are always in range.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr};
use std::ops::Deref;
use std::time::Duration;

use serde::de::{self, Deserialize, Deserializer, Visitor};

/// An IP address, also given as `localhost`, which is 127.0.0.1: no name is looked up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BindAddress(IpAddr);

impl BindAddress {
    pub(super) const LOCALHOST: Self = Self(IpAddr::V4(Ipv4Addr::LOCALHOST));

    /// The address.
    #[must_use]
    pub fn get(self) -> IpAddr {
        self.0
    }
}

impl<'de> Deserialize<'de> for BindAddress {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        if text.eq_ignore_ascii_case("localhost") {
            return Ok(Self::LOCALHOST);
        }
        text.parse().map(Self).map_err(de::Error::custom)
    }
}

/// A secret. `Debug`, logs and `vpo config` do not show it.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    const MAX_LENGTH: usize = 1024;

    /// Accepts 1 to 1024 printable ASCII characters without leading or trailing spaces. Every client can send
    /// these as a header value and as an HTTP Basic password.
    #[must_use]
    pub fn new(text: &str) -> Option<Self> {
        let fits = !text.is_empty()
            && text.len() <= Self::MAX_LENGTH
            && text.bytes().all(|byte| (b' '..=b'~').contains(&byte))
            && text.trim() == text;
        fits.then(|| Self(text.to_owned()))
    }

    /// The secret itself.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

impl<'de> Deserialize<'de> for Secret {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::new(&text).ok_or_else(|| de::Error::custom("not a token"))
    }
}

/// A time in seconds from 0 to `MAX`, whole or with a fraction.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Seconds<const MAX: u64>(Duration);

impl<const MAX: u64> Seconds<MAX> {
    pub(super) const fn new(seconds: u64) -> Self {
        Self(Duration::from_secs(seconds))
    }

    /// The value as an interval; `None` (never) if it is 0.
    #[must_use]
    pub fn interval(self) -> Option<Duration> {
        Some(self.0).filter(|time| !time.is_zero())
    }

    /// The value as a time.
    #[must_use]
    pub fn get(self) -> Duration {
        self.0
    }
}

impl<'de, const MAX: u64> Deserialize<'de> for Seconds<MAX> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Number;

        impl Visitor<'_> for Number {
            type Value = f64;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a number")
            }

            fn visit_f64<E>(self, value: f64) -> Result<f64, E> {
                Ok(value)
            }

            #[expect(clippy::cast_precision_loss, reason = "precision ends far beyond any bound")]
            fn visit_i64<E>(self, value: i64) -> Result<f64, E> {
                Ok(value as f64)
            }

            #[expect(clippy::cast_precision_loss, reason = "precision ends far beyond any bound")]
            fn visit_u64<E>(self, value: u64) -> Result<f64, E> {
                Ok(value as f64)
            }
        }

        // The conversion rejects NaN, infinities and negative numbers.
        let seconds = deserializer.deserialize_f64(Number)?;
        Duration::try_from_secs_f64(seconds)
            .ok()
            .filter(|time| *time <= Duration::from_secs(MAX))
            .map(Self)
            .ok_or_else(|| de::Error::custom("not a time in range"))
    }
}

/// A list of normalised strings without duplicates.
macro_rules! list {
    ($(#[$doc:meta])* $name:ident, $normalised:ident, $needed:literal) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq)]
        pub struct $name(Vec<String>);

        impl Deref for $name {
            type Target = [String];

            fn deref(&self) -> &[String] {
                &self.0
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let mut list = Vec::new();
                for given in Vec::<String>::deserialize(deserializer)? {
                    let item = $normalised(&given).ok_or_else(|| de::Error::custom("does not fit"))?;
                    if !list.contains(&item) {
                        list.push(item);
                    }
                }
                if $needed && list.is_empty() { Err(de::Error::custom("empty")) } else { Ok(Self(list)) }
            }
        }
    };
}

list! {
    /// File name extensions: lower case, without the dot, at least one, without duplicates.
    Extensions, extension, true
}

list! {
    /// Host names in lower case: `films.example.org`, `.example.org` for every name below it, `*` for any.
    Hosts, host, false
}

impl Default for Extensions {
    fn default() -> Self {
        Self(["mkv", "mp4", "avi", "webm", "m4v", "mov"].map(str::to_owned).into())
    }
}

impl Hosts {
    pub(super) const NONE: Self = Self(Vec::new());
}

fn extension(given: &str) -> Option<String> {
    let extension = given.trim();
    let extension = extension.strip_prefix('.').unwrap_or(extension);
    // The extension of a name follows its last dot, so an extension that contains a dot never matches.
    let fits = !extension.is_empty()
        && !extension.contains(|c: char| "./;*?".contains(c) || c.is_whitespace() || c.is_control());
    fits.then(|| extension.to_lowercase())
}

fn host(given: &str) -> Option<String> {
    let host = given.trim();
    let host = host.strip_suffix('.').unwrap_or(host);
    let is_label = |label: &str| {
        !label.is_empty()
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
    };
    let fits = host == "*" || host.strip_prefix('.').unwrap_or(host).split('.').all(is_label);
    fits.then(|| host.to_ascii_lowercase())
}
