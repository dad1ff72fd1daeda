//! The process environment as a value, so that tests can pass another one. It does not depend on the keys.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// A snapshot of the environment variables and the current directory.
#[derive(Clone, Debug, Default)]
pub struct Environment {
    variables: BTreeMap<OsString, OsString>,
    current_directory: Option<PathBuf>,
}

/// The value of a variable is not UTF-8.
pub(super) struct NotUtf8;

impl Environment {
    /// Reads the environment of the process. No other code does.
    #[must_use]
    pub fn from_process() -> Self {
        Self { variables: std::env::vars_os().collect(), current_directory: std::env::current_dir().ok() }
    }

    /// An environment with these variables and this current directory.
    pub fn new<N: Into<OsString>, V: Into<OsString>>(
        variables: impl IntoIterator<Item = (N, V)>,
        current_directory: impl Into<PathBuf>,
    ) -> Self {
        Self {
            variables: variables.into_iter().map(|(name, value)| (name.into(), value.into())).collect(),
            current_directory: Some(current_directory.into()),
        }
    }

    /// The value of a variable.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&OsStr> {
        self.variables.get(OsStr::new(name)).map(OsString::as_os_str)
    }

    /// Whether a terminal may be sent colours: `$NO_COLOR` is unset or empty (<https://no-color.org>), and `$TERM` names a
    /// terminal that has some.
    #[must_use]
    pub fn allows_colours(&self) -> bool {
        let is_set = |name| self.get(name).is_some_and(|value| !value.is_empty());
        !is_set("NO_COLOR") && is_set("TERM") && self.get("TERM") != Some(OsStr::new("dumb"))
    }

    /// The first directory of `$RUNTIME_DIRECTORY`.
    #[must_use]
    pub fn runtime_directory(&self) -> Option<&Path> {
        self.directories("RUNTIME_DIRECTORY").next()
    }

    /// The directories in a variable such as `$STATE_DIRECTORY`, which systemd joins with colons (systemd.exec(5)).
    pub(super) fn directories(&self, name: &str) -> impl Iterator<Item = &Path> {
        let names = self.get(name).unwrap_or_default().as_bytes().split(|byte| *byte == b':');
        names.filter(|name| !name.is_empty()).map(|name| Path::new(OsStr::from_bytes(name)))
    }

    /// The value of a variable as text. An empty value counts as unset, as usual for variables other than `VPO_*`.
    pub(super) fn text(&self, name: &str) -> Result<Option<&str>, NotUtf8> {
        match self.get(name).map(OsStr::to_str) {
            Some(None) => Err(NotUtf8),
            Some(Some(text)) if !text.is_empty() => Ok(Some(text)),
            _ => Ok(None),
        }
    }

    /// The variables whose names are UTF-8, sorted by name.
    pub(super) fn variables(&self) -> impl Iterator<Item = (&str, &OsStr)> {
        self.variables.iter().filter_map(|(name, value)| Some((name.to_str()?, value.as_os_str())))
    }

    /// The current directory, if it exists.
    pub(super) fn current_directory(&self) -> Option<&Path> {
        self.current_directory.as_deref()
    }
}
