//! The definition of each key: its name, its type, its flag, and what to tell someone whose value does not fit.
//!
//! From this list come the `Option<T>` that every source fills ([`Values`]), the names of the variables,
//! and what the did-you-means and the documentation's test go by ([`KEYS`]). Three things are said elsewhere, where they
//! need more than a word: the default (`resolve`), how the value is shown (`Config::shown`) and the line of `--help` (`cli`).
//! The tests in `tests/config` hold them and the documentation to this list.

use std::net::IpAddr;
use std::num::NonZero;
use std::path::PathBuf;

use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::value::{Extensions, Hosts, Seconds, Secret};
use crate::base::log::{Format, Level, Output};

/// A key of the configuration.
#[derive(Debug, PartialEq, Eq)]
pub struct Key {
    /// `section.key`, as `[section]` and `key` in the file.
    pub name: &'static str,
    /// The flag of `vpo serve`, if it has one.
    pub flag: Option<&'static str>,
    /// What a value must be, as advice: "give …".
    pub expects: &'static str,
    /// The section's name.
    pub section: &'static str,
    /// The name within its section.
    pub field: &'static str,
}

impl Key {
    /// The environment variable that sets it: `VPO_SECTION_KEY`.
    #[must_use]
    pub fn variable(&self) -> String {
        format!("{}{}", section_prefix(self.section), self.field.to_ascii_uppercase())
    }

    /// The key with this name, if there is one.
    #[must_use]
    pub fn find(name: &str) -> Option<&'static Self> {
        KEYS.iter().find(|key| key.name == name)
    }

    /// Its value must never be shown.
    #[must_use]
    pub fn is_secret(&self) -> bool {
        self.name == "server.auth_token"
    }
}

/// What the variables of a section begin with: `VPO_SERVER_`.
pub(super) fn section_prefix(section: &str) -> String {
    format!("VPO_{}_", section.to_ascii_uppercase())
}

/// One key's value as a source holds it, read by deserialising a section that has nothing else.
pub(super) trait OneKey {
    /// What the source's deserialiser says when the value does not fit.
    type Error;
    /// Deserialises the section `T` from this key alone.
    fn read<T: DeserializeOwned>(self) -> Result<T, Self::Error>;
}

macro_rules! keys {
    ($($(#[$section_doc:meta])* $section:ident: $Section:ident {
        $($(#[$doc:meta])* $field:ident: $type:ty, $flag:expr, $expects:literal;)*
    })*) => {
        /// Every key as a plain option; `None` where the source says nothing.
        #[derive(Clone, Debug, Default, PartialEq)]
        pub struct Values {
            $($(#[$section_doc])* pub $section: $Section,)*
        }

        $(
            $(#[$section_doc])*
            #[derive(Clone, Debug, Default, PartialEq, Deserialize)]
            #[serde(default, deny_unknown_fields)]
            pub struct $Section {
                $($(#[$doc])* pub $field: Option<$type>,)*
            }
        )*

        /// Every key, section by section.
        pub const KEYS: &[Key] = &[$($(Key {
            name: concat!(stringify!($section), ".", stringify!($field)),
            flag: $flag,
            expects: $expects,
            section: stringify!($section),
            field: stringify!($field),
        },)*)*];

        /// The sections' names.
        pub const SECTIONS: &[&str] = &[$(stringify!($section)),*];

        impl Values {
            /// Takes over what `above` has.
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

keys! {
    /// `[server]`: the HTTP side.
    server: Server {
        /// Address to listen on.
        bind: IpAddr, Some("--bind"), "give an IP address such as 127.0.0.1, 0.0.0.0 or ::1";
        /// TCP port.
        port: u16, Some("--port"), "give a whole number from 0 to 65535 (0 = any free port)";
        /// How long a stop may take.
        shutdown_timeout: Seconds<86_400>, Some("--shutdown-timeout"),
            "give seconds from 0 to 86400, such as 30 or 2.5";
        /// Most connections open at once.
        max_connections: NonZero<u32>, None, "give a whole number from 1 to 4294967295";
        /// What clients must present.
        auth_token: Secret, None,
            "give 1 to 1024 printable ASCII characters, without a space at either end";
        /// The file that holds what clients must present.
        auth_token_file: PathBuf, None, "give the path of a file that holds the token";
        /// The hosts that a request without a token may name.
        hosts: Hosts, None,
            "give host names such as films.example.org, .example.org or * (in the file, a list of strings)";
    }
    /// `[database]`: where the library is.
    database: Database {
        /// The library's file.
        path: PathBuf, Some("--database"), "give the path of the library's file";
        /// Time between two checks of the whole file.
        verify_interval: Seconds<31_536_000>, None,
            "give seconds from 0 to 31536000, such as 86400 (0 = only after the start and after faults)";
    }
    /// `[logging]`
    logging: Logging {
        /// The least severe level that is written.
        level: Level, Some("--log-level"), "give debug, info, warning or error";
        /// Text or JSON.
        format: Format, Some("--log-format"), "give text or json";
        /// The stream.
        output: Output, None, "give stderr or stdout";
    }
    /// `[library]`: what is watched over.
    library: Library {
        /// Directories whose videos the library records.
        roots: Vec<PathBuf>, Some("--library"), "give directories (in the file, a list of strings)";
        /// Watch the roots.
        watch: bool, None, "give true or false";
        /// Time between two scans.
        rescan_interval: Seconds<31_536_000>, None,
            "give seconds from 0 to 31536000, such as 3600 (0 = never)";
        /// File name extensions of videos.
        extensions: Extensions, None,
            "give file name extensions such as mkv, mp4 (in the file, a list of strings)";
    }
    /// `[scan]`: how scans are recorded.
    scan: Scan {
        /// Days after which the row of a finished scan is deleted.
        job_retention_days: u16, None, "give a whole number of days from 0 to 65535 (0 = keep for ever)";
    }
}
