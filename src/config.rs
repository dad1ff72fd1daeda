//! The effective configuration, typed and validated: `defaults < TOML file < environment < flags`.
//!
//! One declaration of each key ([`keys`]) serves all four sources; every problem of every layer is reported
//! in one go with its origin ([`origin`], [`error`]). This module imports [`crate::base`] alone, never logs
//! (it runs before logging is up: it hands its warnings back), and reads the process environment only
//! through an [`Environment`] given to it, so that tests never touch the real one.

pub mod environment;
pub mod error;
mod file;
pub mod keys;
pub mod layer;
pub mod origin;
mod paths;
mod resolve;
mod shown;
pub mod value;
mod variables;

use std::net::{IpAddr, Ipv4Addr};
use std::num::NonZero;
use std::path::{Path, PathBuf};

pub use environment::Environment;
pub use error::{ConfigError, Finding};
pub use layer::Layer;
pub use origin::{Origin, Origins};
pub use shown::Shown;
pub use value::Secret;

use crate::base::log::{Format, Level, Output};
use keys::{Values, is_reload};
use shown::Show;
use value::{Extensions, Hosts, Seconds};

/// A value of the configuration: an option where its key has no default.
macro_rules! held {
    ($type:ty) => { Option<$type> };
    ($type:ty, $default:expr) => { $type };
}

/// What the sources give, else the default.
macro_rules! or_default {
    ($given:expr) => {
        $given
    };
    ($given:expr, $default:expr) => {
        $given.unwrap_or_else(|| $default)
    };
}

macro_rules! config {
    ($($(#[$section_doc:meta])* $section:ident: $Section:ident {
        $($(#[$doc:meta])* $field:ident: $type:ty $(= $default:expr)?, $change:ident, $expects:literal
            $(, flag $long:tt $arg:tt $help:tt $([$short:tt])?)? $(, repeated $repeated:tt)?;)*
    })*) => {
        /// The effective configuration. What each key means: `docs/configuration.md`.
        #[derive(Clone, Debug, PartialEq)]
        pub struct Config {
            $($(#[$section_doc])* pub $section: $Section,)*
            /// `database.path` is the default one: its directory may be created too.
            pub is_default_path: bool,
        }

        $(
            $(#[$section_doc])*
            #[derive(Clone, Debug, PartialEq)]
            pub struct $Section {
                $($(#[$doc])* pub $field: held!($type $(, $default)?),)*
            }
        )*

        impl Config {
            fn new(values: Values, is_default_path: bool) -> Self {
                Self {
                    $($section: $Section {
                        $($field: or_default!(values.$section.$field $(, $default)?),)*
                    },)*
                    is_default_path,
                }
            }

            /// What differs between the configuration in force and one read later.
            #[must_use]
            pub fn changes(old: &Self, new: &Self) -> Changes {
                let mut changes = Changes::default();
                $($(if old.$section.$field != new.$section.$field {
                    let to = if is_reload!($change) { &mut changes.live } else { &mut changes.restart };
                    to.push(concat!(stringify!($section), ".", stringify!($field)));
                })*)*
                changes
            }

            /// Takes over the keys of `new` that a reload applies.
            pub fn reload(&mut self, new: Self) {
                $($(if is_reload!($change) {
                    self.$section.$field = new.$section.$field;
                })*)*
            }

            /// Every key with its effective value, in the order of [`keys::KEYS`].
            #[must_use]
            pub fn shown(&self) -> Vec<(&'static str, Shown)> {
                // A token from a file is shown by the file's name.
                let is_hidden = |name| name == "server.auth_token" && self.server.auth_token_file.is_some();
                [$($((concat!(stringify!($section), ".", stringify!($field)), self.$section.$field.shown()),)*)*]
                    .map(|(name, shown)| (name, if is_hidden(name) { Shown::Unset } else { shown }))
                    .into()
            }
        }
    };
}

keys::keys!(config);

/// A configuration, and how it came about.
#[derive(Clone, Debug)]
pub struct Resolved {
    /// The configuration.
    pub config: Config,
    /// Where each value came from; a key that is not in it has its default.
    pub origins: Origins,
    /// What to tell the user besides.
    pub warnings: Vec<Finding>,
    /// The file that was read.
    pub file: Option<PathBuf>,
}

/// What differs between two configurations.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Changes {
    /// Keys that a reload applies.
    pub live: Vec<&'static str>,
    /// Keys that need a restart.
    pub restart: Vec<&'static str>,
}

impl Config {
    /// Puts the layers together: `flags` over the environment over the file over the defaults.
    ///
    /// # Errors
    /// Why a file cannot be read, else every problem of every layer up to
    /// [`MOST_PROBLEMS`](error::MOST_PROBLEMS).
    pub fn resolve(flags: &Layer, environment: &Environment) -> Result<Resolved, ConfigError> {
        resolve::resolve(flags, environment, true)
    }

    /// As [`Self::resolve`], but with the token's file left unread: for commands that need no secret, and whose
    /// user may not be allowed to read it.
    ///
    /// # Errors
    /// As [`Self::resolve`].
    pub fn resolve_without_secrets(
        flags: &Layer,
        environment: &Environment,
    ) -> Result<Resolved, ConfigError> {
        resolve::resolve(flags, environment, false)
    }

    /// The library's path alone, whatever is wrong with other keys. Where a flag or a variable gives it, problems of
    /// the file do not matter.
    ///
    /// # Errors
    /// The problems of the path, or why the file cannot be read.
    pub fn library_path(flags: &Layer, environment: &Environment) -> Result<PathBuf, ConfigError> {
        resolve::library_path(flags, environment)
    }
}

/// A path from the command line as an absolute one, by the same rules as the paths of the configuration.
///
/// # Errors
/// What to do when it cannot be one.
pub fn absolute(path: &Path, environment: &Environment) -> Result<PathBuf, String> {
    paths::Paths::new(environment).absolute(path)
}
