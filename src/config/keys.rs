//! The declaration of each key: name, type, default, whether a change needs a restart, valid values, and its flag.
//!
//! [`keys!`] passes it to the macros that generate the rest: here the values of one source ([`Values`]) and the
//! table of keys ([`KEYS`]), in `config` the effective configuration, in `cli` the flags of `vpo serve` and
//! `vpo config`.

use std::num::NonZero;
use std::path::PathBuf;

use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::value::{BindAddress, Extensions, Hosts, Seconds, Secret};
use crate::base::log::{Format, Level, Output};

/// Calls `$with!` with all keys, grouped by section:
///
/// `name: TYPE = DEFAULT, restart or reload, "advice", flag "long" "value" "help" ['short'];`
///
/// Without a default the value is an `Option`. `repeated` marks a flag that `cli` declares itself.
macro_rules! keys {
    ($with:ident) => { $with! {
        /// `[server]`: the HTTP server.
        server: Server {
            /// Address to listen on.
            bind: BindAddress = BindAddress::LOCALHOST, restart,
                "give localhost or an IP address such as 127.0.0.1, 0.0.0.0 or ::1",
                flag "bind" "address" "address to listen on (default 127.0.0.1)";
            /// TCP port; 0 = any free one.
            port: u16 = 8321, restart,
                "give a whole number from 0 to 65535 (0 = any free port)",
                flag "port" "port" "port to listen on (default 8321; 0 = any free one)" ['p'];
            /// Time after which a stop cancels the remaining requests and tasks.
            shutdown_timeout: Seconds<86_400> = Seconds::new(30), restart,
                "give seconds from 0 to 86400, such as 30 or 2.5",
                flag "shutdown-timeout" "seconds" "seconds that a stop may take (default 30)";
            /// Maximum number of open connections.
            max_connections: NonZero<u32> = NonZero::<u32>::MIN.saturating_add(1023), restart,
                "give a whole number from 1 to 4294967295";
            /// The access token, from `auth_token` or from `auth_token_file`.
            auth_token: Secret, restart,
                "give 1 to 1024 printable ASCII characters, without a space at either end";
            /// The file that `auth_token` was read from.
            auth_token_file: PathBuf, restart, "give the path of a file that holds the token";
            /// Further hosts that a request without a token may name.
            hosts: Hosts = Hosts::NONE, restart,
                "give host names such as films.example.org, .example.org or * (in the file, a list of strings)";
        }
        /// `[database]`
        database: Database {
            /// The database file, absolute. The default depends on the environment.
            path: PathBuf = PathBuf::new(), restart, "give the path of the database file",
                flag "database" "file" "database file (default ~/.vpo/library.db)";
            /// Time between two runs of `integrity_check`; 0 = only after the start and after faults.
            verify_interval: Seconds<31_536_000> = Seconds::new(86_400), restart,
                "give seconds from 0 to 31536000, such as 86400 (0 = only after the start and after faults)";
        }
        /// `[logging]`
        logging: Logging {
            /// The least severe level that is written.
            level: Level = Level::Info, reload, "give debug, info, warning or error",
                flag "log-level" "level" "debug, info, warning or error (default info)";
            /// Text or JSON.
            format: Format = Format::Text, restart, "give text or json",
                flag "log-format" "format" "text or json (default text)";
            /// Standard error or standard output.
            output: Output = Output::Stderr, restart, "give stderr or stdout";
        }
        /// `[scan]`: which videos are recorded, and when roots are scanned.
        scan: Scan {
            /// Directories of videos: absolute, none inside another. Without one the daemon only reads.
            roots: Vec<PathBuf> = Vec::new(), reload, "give directories (in the file, a list of strings)",
                repeated "root";
            /// Watch the roots with inotify.
            watch: bool = true, reload, "give true or false";
            /// Time between two scans of a root; 0 = never.
            rescan_interval: Seconds<31_536_000> = Seconds::new(3600), reload,
                "give seconds from 0 to 31536000, such as 3600 (0 = never)";
            /// File name extensions of videos.
            extensions: Extensions = Extensions::default(), reload,
                "give file name extensions such as mkv,mp4: without *, separated by commas (in the file, a list of strings)";
            /// Days after which the row of a finished scan is deleted; 0 = never.
            job_retention_days: u16 = 90, reload,
                "give a whole number of days from 0 to 65535 (0 = keep for ever)";
            /// Days after which a recorded change is deleted; 0 = when there are a million.
            history_days: u16 = 365, reload,
                "give a whole number of days from 0 to 65535 (0 = keep the latest million changes)";
        }
    } };
}
pub(crate) use keys;

/// The older name of a section, and the current one.
pub(super) const OLDER_SECTION: (&str, &str) = ("library", "scan");

/// A key of the configuration.
#[derive(Debug, PartialEq, Eq)]
pub struct Key {
    /// `section.key`, as `[section]` and `key` in the file.
    pub name: &'static str,
    /// Its flag of `vpo serve`, if any.
    pub flag: Option<&'static str>,
    /// A reload applies a change. Otherwise a change needs a restart.
    pub reload: bool,
    /// Valid values, as advice: "give …".
    pub expects: &'static str,
    /// Name of the section.
    pub section: &'static str,
    /// Name within the section.
    pub field: &'static str,
}

impl Key {
    /// The environment variable that sets it: `VPO_SECTION_KEY`.
    #[must_use]
    pub fn variable(&self) -> String {
        format!("{}{}", section_prefix(self.section), self.field.to_ascii_uppercase())
    }

    /// The key with this name.
    #[must_use]
    pub fn find(name: &str) -> Option<&'static Self> {
        KEYS.iter().find(|key| key.name == name)
    }

    /// Whether its value must not be shown.
    #[must_use]
    pub fn is_secret(&self) -> bool {
        self.name == "server.auth_token"
    }
}

/// The prefix of a section's variables: `VPO_SERVER_`.
pub(super) fn section_prefix(section: &str) -> String {
    format!("VPO_{}_", section.to_ascii_uppercase())
}

/// The value of one key in a source. It is read by deserialising a section that contains only this key.
pub(super) trait OneKey {
    /// The error of the source's deserialiser.
    type Error;
    /// Deserialises the section `T` from this key alone.
    fn read<T: DeserializeOwned>(self) -> Result<T, Self::Error>;
}

/// A flag's name.
macro_rules! flag {
    () => {
        None
    };
    ($long:tt) => {
        Some(concat!("--", $long))
    };
}

/// Whether a reload applies a change.
macro_rules! is_reload {
    (reload) => {
        true
    };
    (restart) => {
        false
    };
}
pub(super) use is_reload;

macro_rules! values {
    ($($(#[$section_doc:meta])* $section:ident: $Section:ident {
        $($(#[$doc:meta])* $field:ident: $type:ty $(= $default:expr)?, $change:ident, $expects:literal
            $(, flag $long:tt $arg:tt $help:tt $([$short:tt])?)? $(, repeated $repeated:tt)?;)*
    })*) => {
        /// The values of one source; `None` for a key that it does not set.
        #[derive(Clone, Debug, Default, PartialEq)]
        pub(super) struct Values {
            $(pub(super) $section: $Section,)*
        }

        $(
            #[derive(Clone, Debug, Default, PartialEq, Deserialize)]
            #[serde(default, deny_unknown_fields)]
            pub(super) struct $Section {
                $(pub(super) $field: Option<$type>,)*
            }
        )*

        /// Every key, section by section.
        pub const KEYS: &[Key] = &[$($(Key {
            name: concat!(stringify!($section), ".", stringify!($field)),
            flag: flag!($($long)? $($repeated)?),
            reload: is_reload!($change),
            expects: $expects,
            section: stringify!($section),
            field: stringify!($field),
        },)*)*];

        /// The names of the sections.
        pub const SECTIONS: &[&str] = &[$(stringify!($section)),*];

        impl Values {
            /// Overwrites values with those of the layer `above`.
            pub(super) fn overlay(&mut self, above: Self) {
                $($(if above.$section.$field.is_some() {
                    self.$section.$field = above.$section.$field;
                })*)*
            }

            /// Reads one key of `section`.
            pub(super) fn read<S: OneKey>(&mut self, section: &str, source: S) -> Result<(), S::Error> {
                let mut read = Self::default();
                $(if section == stringify!($section) {
                    read.$section = source.read()?;
                    self.overlay(read);
                    return Ok(());
                })*
                Ok(())
            }
        }
    };
}

keys!(values);
