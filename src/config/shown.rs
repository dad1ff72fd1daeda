//! Effective values as TOML writes them, for `vpo config`.

use std::num::NonZero;
use std::path::PathBuf;

use super::value::{BindAddress, Extensions, Hosts, Seconds, Secret};
use crate::base::log::{Format, Level, Output};

/// The effective value of a key.
#[derive(Clone, Debug, PartialEq)]
pub enum Shown {
    /// The key has no value.
    Unset,
    /// The value must not be shown.
    Secret,
    /// A value.
    Value(toml::Value),
}

pub(super) trait Show {
    fn shown(&self) -> Shown;
}

macro_rules! show {
    ($($type:ty: $value:ident => $shown:expr;)*) => {
        $(impl Show for $type {
            fn shown(&self) -> Shown {
                let $value = self;
                Shown::Value(toml::Value::from($shown))
            }
        })*
    };
}

show! {
    BindAddress: address => address.get().to_string();
    u16: number => i64::from(*number);
    NonZero<u32>: number => i64::from(number.get());
    bool: is_on => *is_on;
    PathBuf: path => path.to_string_lossy().into_owned();
    Vec<PathBuf>: paths => paths.iter().map(|path| path.to_string_lossy().into_owned()).collect::<Vec<_>>();
    Level: level => level.as_str();
    Format: format => format.as_str();
    Output: output => output.as_str();
    Hosts: hosts => hosts.to_vec();
    Extensions: extensions => extensions.to_vec();
}

impl<const MAX: u64> Show for Seconds<MAX> {
    /// Whole seconds are shown without a fraction.
    fn shown(&self) -> Shown {
        let time = self.get();
        Shown::Value(match i64::try_from(time.as_secs()) {
            Ok(whole) if time.subsec_nanos() == 0 => whole.into(),
            _ => time.as_secs_f64().into(),
        })
    }
}

impl Show for Secret {
    fn shown(&self) -> Shown {
        Shown::Secret
    }
}

impl<T: Show> Show for Option<T> {
    fn shown(&self) -> Shown {
        self.as_ref().map_or(Shown::Unset, Show::shown)
    }
}
