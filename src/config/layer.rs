//! One source of configuration as it was read: its values, where each stands, and what was wrong with it.

use std::mem;
use std::path::{Component, Path, PathBuf};

use super::error::{Finding, Subject};
use super::keys::{KEYS, Key, OneKey, Values};
use super::origin::{LONGEST_NAME, Origin, Origins, abbreviated};
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
    /// The layer of the command line: the file that `--config` names, values as typed by flag, and the roots.
    ///
    /// # Panics
    /// When no key has the flag: a mistake in `cli`, which the first test finds.
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

    /// Reads one key's value.
    pub(super) fn set(&mut self, key: &'static Key, value: impl OneKey, shown: &str, origin: Origin) {
        match self.values.read(key.section, value) {
            Ok(()) => {
                self.origins.insert(key.name, origin);
            }
            Err(_) => self.refuse(key, shown, origin),
        }
    }

    /// Reads one key's value from text: a variable's or a flag's.
    pub(super) fn set_text(&mut self, key: &'static Key, value: &str, origin: Origin) {
        self.set(key, Text { field: key.field, value }, &format!("{value:?}"), origin);
    }

    /// Notes that a value does not fit; `shown` is how it was written.
    pub(super) fn refuse(&mut self, key: &'static Key, shown: &str, origin: Origin) {
        let what = if key.is_secret() {
            format!("{} is no usable token", key.name)
        } else {
            format!("{} = {}", key.name, in_part(shown))
        };
        self.problems.push(Finding::new(Subject::Key(key.name), origin, what, key.expects));
    }

    /// Makes every path absolute, and notes those that cannot be, which then are values no more.
    pub(super) fn resolve_paths(&mut self, paths: &Paths<'_>) {
        let Self { values, origins, problems, .. } = self;
        let mut keep = |name: &'static str, resolved: Result<PathBuf, String>, path: &Path| match resolved {
            Ok(absolute) => Some(absolute),
            Err(advice) => {
                let origin = origins.get(name).cloned().unwrap_or(Origin::Default);
                let shown = format!("{:?}", path.to_string_lossy());
                let what = format!("{name} = {}", in_part(&shown));
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

    /// Whether it holds a value of the key that does not fit.
    pub(super) fn refuses(&self, name: &str) -> bool {
        self.problems.iter().any(|problem| matches!(problem.subject, Subject::Key(key) if key == name))
    }

    /// Notes values that fit each by itself, but not together.
    pub(super) fn check_together(&mut self) {
        let server = &self.values.server;
        if server.auth_token.is_some() && server.auth_token_file.is_some() {
            let what = format!(
                "server.auth_token_file is set beside server.auth_token ({})",
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

    /// Where the value of a key stands.
    pub(super) fn origin(&self, name: &str) -> Origin {
        self.origins.get(name).cloned().unwrap_or(Origin::Default)
    }
}

/// What is wrong between roots, and what to do: they must be apart, for a video under two of them would be counted,
/// moved and missed twice.
fn overlaps(roots: &[PathBuf]) -> Vec<(String, &'static str)> {
    let mut found = Vec::new();
    let climbs = |root: &&PathBuf| root.components().any(|part| part == Component::ParentDir);
    let (climbing, mut roots): (Vec<_>, Vec<_>) = roots.iter().partition(climbs);
    for root in climbing {
        let what = format!("scan.roots: {} has .. in it", root.display());
        found.push((what, "give the path without it"));
    }
    // In their order what is inside a root follows it, and nothing else comes between.
    roots.sort();
    let mut outer: Option<&PathBuf> = None;
    for root in roots {
        match outer {
            Some(outer) if outer == root => {
                let what = format!("scan.roots: {} is there twice", root.display());
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

/// A value given as text, which `envy` reads.
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

/// The first line of a value as written, cut to what fits into a message.
fn in_part(shown: &str) -> String {
    let line = shown.lines().next().unwrap_or("");
    let mut part = abbreviated(line, LONGEST_NAME);
    if line.len() < shown.len() && !part.ends_with('…') {
        part.push('…');
    }
    part
}
