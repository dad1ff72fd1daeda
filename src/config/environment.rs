//! The process environment as a value: a snapshot, so that tests never touch the real one. It knows nothing of keys.

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

/// A variable's value is not UTF-8.
pub(super) struct NotUtf8;

impl Environment {
    /// The process's own: the only place that reads it.
    #[must_use]
    pub fn from_process() -> Self {
        Self { variables: std::env::vars_os().collect(), current_directory: std::env::current_dir().ok() }
    }

    /// One with these variables and this current directory.
    pub fn new<N: Into<OsString>, V: Into<OsString>>(
        variables: impl IntoIterator<Item = (N, V)>,
        current_directory: impl Into<PathBuf>,
    ) -> Self {
        Self {
            variables: variables.into_iter().map(|(name, value)| (name.into(), value.into())).collect(),
            current_directory: Some(current_directory.into()),
        }
    }

    /// A variable's value.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&OsStr> {
        self.variables.get(OsStr::new(name)).map(OsString::as_os_str)
    }

    /// The first directory of `$RUNTIME_DIRECTORY`.
    #[must_use]
    pub fn runtime_directory(&self) -> Option<&Path> {
        self.directories("RUNTIME_DIRECTORY").next()
    }

    /// The directories in a variable such as `$STATE_DIRECTORY`: systemd joins several with colons (systemd.exec(5)).
    pub(super) fn directories(&self, name: &str) -> impl Iterator<Item = &Path> {
        let names = self.get(name).unwrap_or_default().as_bytes().split(|byte| *byte == b':');
        names.filter(|name| !name.is_empty()).map(|name| Path::new(OsStr::from_bytes(name)))
    }

    /// A variable's value as text; an empty one counts as none, as for every variable that is not ours.
    pub(super) fn text(&self, name: &str) -> Result<Option<&str>, NotUtf8> {
        match self.get(name).map(OsStr::to_str) {
            Some(None) => Err(NotUtf8),
            Some(Some(text)) if !text.is_empty() => Ok(Some(text)),
            _ => Ok(None),
        }
    }

    /// Every variable whose name is UTF-8, in order of their names.
    pub(super) fn variables(&self) -> impl Iterator<Item = (&str, &OsStr)> {
        self.variables.iter().filter_map(|(name, value)| Some((name.to_str()?, value.as_os_str())))
    }

    /// The current directory, if there is one.
    pub(super) fn current_directory(&self) -> Option<&Path> {
        self.current_directory.as_deref()
    }
}
