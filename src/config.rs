//! The effective configuration, typed and validated: `defaults < TOML file < environment < flags`.
//!
//! One declaration of each key ([`keys`]) serves all four sources. Every problem of every layer is reported
//! at once, with its origin ([`origin`], [`error`]). This module imports only [`crate::base`]. It does not
//! log, because it runs before logging is set up: it returns its warnings. It reads the process environment
//! only through the [`Environment`] that it is given, so that tests can pass another one.

pub(crate) mod environment;
pub mod error;
mod file;
pub mod keys;
pub(crate) mod layer;
pub(crate) mod origin;
mod paths;
mod resolve;
mod shown;
pub(crate) mod value;
mod variables;

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
use value::{BindAddress, Extensions, Hosts, Seconds};

/// The type of a value: an option if its key has no default.
macro_rules! held {
    ($type:ty) => { Option<$type> };
    ($type:ty, $default:expr) => { $type };
}

/// The value from the sources, else the default.
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
        /// The effective configuration. `docs/configuration.md` describes each key.
        #[derive(Clone, Debug, PartialEq)]
        pub struct Config {
            $($(#[$section_doc])* pub $section: $Section,)*
            /// `database.path` is the default path, so its directory may be created too.
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

            /// The keys whose values differ between two configurations.
            #[must_use]
            pub fn changes(old: &Self, new: &Self) -> Changes {
                let mut changes = Changes::default();
                $($(if old.$section.$field != new.$section.$field {
                    let to = if is_reload!($change) { &mut changes.live } else { &mut changes.restart };
                    to.push(concat!(stringify!($section), ".", stringify!($field)));
                })*)*
                changes
            }

            /// Copies the keys of `new` that a reload applies.
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

/// A configuration and its origins.
#[derive(Clone, Debug)]
pub struct Resolved {
    /// The configuration.
    pub config: Config,
    /// The origin of each value. A key without an entry has its default.
    pub origins: Origins,
    /// Warnings for the user.
    pub warnings: Vec<Finding>,
    /// The file that was read.
    pub file: Option<PathBuf>,
}

/// The keys whose values differ between two configurations.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Changes {
    /// Keys that a reload applies.
    pub live: Vec<&'static str>,
    /// Keys that need a restart.
    pub restart: Vec<&'static str>,
}

impl Config {
    /// Merges the layers: `flags` over the environment over the file over the defaults.
    ///
    /// # Errors
    /// Why a file cannot be read, else the problems of all layers, at most
    /// [`MAX_PROBLEMS`](error::MAX_PROBLEMS).
    pub fn resolve(flags: &Layer, environment: &Environment) -> Result<Resolved, ConfigError> {
        resolve::resolve(flags, environment, true)
    }

    /// As [`Self::resolve`], but does not read the file of the access token. For commands that do not need the
    /// token, and whose user may not be allowed to read it.
    ///
    /// # Errors
    /// As [`Self::resolve`].
    pub fn resolve_without_secrets(
        flags: &Layer,
        environment: &Environment,
    ) -> Result<Resolved, ConfigError> {
        resolve::resolve(flags, environment, false)
    }

    /// The value of `database.path`. Problems of other keys are ignored. If a flag or a variable gives the path,
    /// problems of the file are ignored too.
    ///
    /// # Errors
    /// The problems of the path, or why the file cannot be read.
    pub fn database_path(flags: &Layer, environment: &Environment) -> Result<PathBuf, ConfigError> {
        resolve::database_path(flags, environment)
    }
}

/// Makes a path of the command line absolute, by the rules for paths of the configuration.
///
/// # Errors
/// Advice, if the path cannot be made absolute.
pub fn absolute(path: &Path, environment: &Environment) -> Result<PathBuf, String> {
    paths::Paths::new(environment).absolute(path)
}
