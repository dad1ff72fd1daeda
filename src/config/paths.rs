//! Resolves `~`, `$HOME` and relative paths, and knows the default locations. No other code does.

use std::path::{Component, Path, PathBuf};

use super::environment::{Environment, NotUtf8};
use super::error::{Finding, Subject};
use super::origin::Origin;

/// The reason why there is no home directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum NoHome {
    #[error("$HOME is not set")]
    Unset,
    #[error("$HOME is not an absolute path")]
    Relative,
    #[error("$HOME is not UTF-8")]
    NotUtf8,
}

/// Resolves paths in an environment.
pub(super) struct Paths<'a> {
    environment: &'a Environment,
}

impl<'a> Paths<'a> {
    pub(super) fn new(environment: &'a Environment) -> Self {
        Self { environment }
    }

    /// Makes a configured path absolute. `~` and `$HOME` at its start stand for the home directory; a relative
    /// path is below the current directory. The file system is not accessed: the path need not exist.
    ///
    /// # Errors
    /// Advice, if the path cannot be made absolute.
    pub(super) fn absolute(&self, path: &Path) -> Result<PathBuf, String> {
        let text = path.to_str().ok_or("give a path in UTF-8")?;
        if text.is_empty() {
            return Err("it is empty: give a path".into());
        }
        if text.contains('\0') {
            return Err("give a path without a NUL byte".into());
        }
        if let Some(below) = below_home(text) {
            let home = self
                .home()
                .map_err(|why| format!("{why}: set HOME to an absolute path, or give an absolute path"))?;
            return Ok(tidy(&home.join(below)));
        }
        if text.starts_with('~') {
            return Err(
                "only ~ and ~/… are understood: give the whole path, or ./~… for a file of that name".into(),
            );
        }
        if path.is_absolute() {
            return Ok(tidy(path));
        }
        let current = self
            .environment
            .current_directory()
            .ok_or("give an absolute path: there is no current directory")?;
        if current.to_str().is_none() {
            return Err("give an absolute path: the current directory's is not UTF-8".into());
        }
        Ok(tidy(&below(current, path)))
    }

    /// As [`Self::absolute`], for the path of a file.
    ///
    /// # Errors
    /// As [`Self::absolute`].
    pub(super) fn file(&self, path: &Path) -> Result<PathBuf, String> {
        let resolved = self.absolute(path)?;
        let text = path.to_str().unwrap_or_default();
        let last = text.rsplit('/').next().unwrap_or_default();
        if matches!(last, "" | "." | "..") || below_home(text) == Some("") {
            return Err("this is the path of a directory: give the path of a file in it".into());
        }
        Ok(resolved)
    }

    /// The home directory.
    fn home(&self) -> Result<PathBuf, NoHome> {
        match self.environment.text("HOME") {
            Ok(Some(home)) if Path::new(home).is_absolute() => Ok(PathBuf::from(home)),
            Ok(Some(_)) => Err(NoHome::Relative),
            Ok(None) => Err(NoHome::Unset),
            Err(NotUtf8) => Err(NoHome::NotUtf8),
        }
    }

    /// `~/.vpo/NAME`.
    pub(super) fn in_home(&self, name: &str) -> Result<PathBuf, NoHome> {
        Ok(tidy(&self.home()?.join(".vpo").join(name)))
    }

    /// The directories that systemd names in `variable`; none if it is not set.
    ///
    /// # Errors
    /// If one of them is not usable. It may hold the access token, so it is not skipped.
    pub(super) fn directories(
        &self,
        variable: &'static str,
        subject: Subject,
    ) -> Result<Vec<PathBuf>, Finding> {
        if let Err(NotUtf8) = self.environment.text(variable) {
            return Err(Finding::not_utf8(subject, variable));
        }
        let directories = self.environment.directories(variable).map(|directory| {
            self.absolute(directory).map_err(|advice| {
                let what = format!("cannot use the directory {:?}", directory.to_string_lossy());
                Finding::new(subject, Origin::Variable(variable.into()), what, advice)
            })
        });
        directories.collect()
    }
}

fn below_home(text: &str) -> Option<&str> {
    ["~", "$HOME", "${HOME}"].into_iter().find_map(|home| {
        let rest = text.strip_prefix(home)?;
        if rest.is_empty() { Some("") } else { rest.starts_with('/').then(|| rest.trim_start_matches('/')) }
    })
}

/// `path` below `current`. A leading `..` removes a component of `current`, which contains no symlinks. A later
/// `..` stays: after a symlink only the file system can resolve it.
fn below(current: &Path, path: &Path) -> PathBuf {
    let mut current = current.to_owned();
    let mut rest = path.components().peekable();
    while let Some(Component::ParentDir | Component::CurDir) = rest.peek() {
        if rest.next() == Some(Component::ParentDir) {
            current.pop();
        }
    }
    current.extend(rest);
    current
}

/// Removes `.`, doubled and trailing slashes.
fn tidy(path: &Path) -> PathBuf {
    path.components().collect()
}
