//! One source of configuration as it was read: its values, their origins, its problems.

use std::mem;
use std::path::{Component, Path, PathBuf};

use super::error::{Finding, Subject};
use super::keys::{KEYS, Key, OneKey, Values};
use super::origin::{MAX_NAME_LENGTH, Origin, Origins, abbreviated};
use super::paths::Paths;

/// One source of configuration.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Layer {
    pub(super) values: Values,
    pub(super) origins: Origins,
    pub(super) problems: Vec<Finding>,
    pub(super) warnings: Vec<Finding>,
    /// The configuration file that this source names.
    pub(super) file: Option<(PathBuf, Origin)>,
}

impl Layer {
    /// The layer of the command line: the file of `--config`, the values by flag, and the roots.
    ///
    /// # Panics
    /// If no key has the flag, which is a bug in `cli`.
    pub fn from_flags<'a>(
        file: Option<&str>,
        values: impl IntoIterator<Item = (&'static str, Option<&'a str>)>,
        roots: &[String],
    ) -> Self {
        let mut layer =
            Self { file: file.map(|path| (path.into(), Origin::Flag("--config"))), ..Self::default() };
        for (flag, value) in values {
            let key = KEYS.iter().find(|key| key.flag == Some(flag)).expect("a key has the flag");
            if let Some(value) = value {
                layer.set_text(key, value, Origin::Flag(flag));
            }
        }
        if !roots.is_empty() {
            layer.values.scan.roots = Some(roots.iter().map(PathBuf::from).collect());
            layer.origins.insert("scan.roots", Origin::Flag("--root"));
        }
        layer
    }

    /// Reads the value of one key.
    pub(super) fn set(&mut self, key: &'static Key, value: impl OneKey, shown: &str, origin: Origin) {
        match self.values.read(key.section, value) {
            Ok(()) => {
                self.origins.insert(key.name, origin);
            }
            Err(_) => self.reject(key, shown, origin),
        }
    }

    /// Reads the value of one key from the text of a variable or a flag.
    pub(super) fn set_text(&mut self, key: &'static Key, value: &str, origin: Origin) {
        self.set(key, Text { field: key.field, value }, &format!("{value:?}"), origin);
    }

    /// Adds the problem of an invalid value. `shown` is the value as written.
    fn reject(&mut self, key: &'static Key, shown: &str, origin: Origin) {
        let what = if key.is_secret() {
            let problem = if shown.len() <= 2 { "empty" } else { "not a valid token" };
            format!("{} is {problem}", key.name)
        } else {
            format!("{} = {}", key.name, truncated(shown))
        };
        self.problems.push(Finding::new(Subject::Key(key.name), origin, what, key.expects));
    }

    /// Makes every path absolute. A path that cannot be made absolute becomes a problem, and its value is removed.
    pub(super) fn resolve_paths(&mut self, paths: &Paths<'_>) {
        let Self { values, origins, problems, .. } = self;
        let mut keep = |name: &'static str, resolved: Result<PathBuf, String>, path: &Path| match resolved {
            Ok(absolute) => Some(absolute),
            Err(advice) => {
                let origin = origins.get(name).cloned().unwrap_or(Origin::Default);
                let shown = format!("{:?}", path.to_string_lossy());
                let what = format!("{name} = {}", truncated(&shown));
                problems.push(Finding::new(Subject::Key(name), origin, what, advice));
                None
            }
        };
        let file = &mut values.server.auth_token_file;
        *file = file.take().and_then(|path| keep("server.auth_token_file", paths.file(&path), &path));
        let file = &mut values.database.path;
        *file = file.take().and_then(|path| keep("database.path", paths.file(&path), &path));
        if let Some(roots) = &mut values.scan.roots {
            let given = mem::take(roots);
            roots.extend(given.iter().filter_map(|root| keep("scan.roots", paths.absolute(root), root)));
        }
    }

    /// Whether the layer has an invalid value for the key.
    pub(super) fn has_problem(&self, name: &str) -> bool {
        self.problems.iter().any(|problem| matches!(problem.subject, Subject::Key(key) if key == name))
    }

    /// Adds problems of values that are valid each, but not together.
    pub(super) fn check_together(&mut self) {
        let server = &self.values.server;
        if server.auth_token.is_some() && server.auth_token_file.is_some() {
            let what = format!(
                "server.auth_token_file and server.auth_token ({}) are both set",
                self.origin("server.auth_token")
            );
            let origin = self.origin("server.auth_token_file");
            self.problems.push(Finding::new(
                Subject::Key("server.auth_token"),
                origin,
                what,
                "remove one of the two",
            ));
        }
        let origin = self.origin("scan.roots");
        for (what, advice) in overlaps(self.values.scan.roots.as_deref().unwrap_or_default()) {
            self.problems.push(Finding::new(Subject::Key("scan.roots"), origin.clone(), what, advice));
        }
    }

    /// The origin of the value of a key.
    pub(super) fn origin(&self, name: &str) -> Origin {
        self.origins.get(name).cloned().unwrap_or(Origin::Default)
    }
}

/// Problems between roots, with advice. Roots must not overlap: a video under two roots would be counted twice.
fn overlaps(roots: &[PathBuf]) -> Vec<(String, &'static str)> {
    let mut found = Vec::new();
    let climbs = |root: &&PathBuf| root.components().any(|part| part == Component::ParentDir);
    let (climbing, mut roots): (Vec<_>, Vec<_>) = roots.iter().partition(climbs);
    for root in climbing {
        let what = format!("scan.roots: {} contains ..", root.display());
        found.push((what, "give the path without it"));
    }
    // When sorted, the roots inside a root follow it directly.
    roots.sort();
    let mut outer: Option<&PathBuf> = None;
    for root in roots {
        match outer {
            Some(outer) if outer == root => {
                let what = format!("scan.roots: {} is listed twice", root.display());
                found.push((what, "remove one of the two"));
            }
            Some(outer) if root.starts_with(outer) => {
                let what = format!("scan.roots: {} is inside {}", root.display(), outer.display());
                found.push((what, "remove the inner one: the outer one covers it"));
            }
            _ => outer = Some(root),
        }
    }
    found
}

/// A value as text, read through `envy`.
struct Text<'a> {
    field: &'a str,
    value: &'a str,
}

impl OneKey for Text<'_> {
    type Error = envy::Error;

    fn read<T: serde::de::DeserializeOwned>(self) -> Result<T, envy::Error> {
        envy::from_iter([(self.field.to_owned(), self.value.to_owned())])
    }
}

/// The first line of a value as written, truncated for a message.
fn truncated(shown: &str) -> String {
    let line = shown.lines().next().unwrap_or("");
    let mut part = abbreviated(line, MAX_NAME_LENGTH);
    if line.len() < shown.len() && !part.ends_with('…') {
        part.push('…');
    }
    part
}
