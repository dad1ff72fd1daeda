//! The process environment as a value: `VPO_*` variables → [`Layer`] through `envy`, one variable at a time.
//!
//! One at a time, because `envy` panics on a variable that is not UTF-8 and does not say whose value is wrong.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use super::error::{Finding, Subject, nearest};
use super::file::FOREIGN_KEYS;
use super::keys::{KEYS, Key, SECTIONS, section_prefix};
use super::layer::Layer;
use super::origin::Origin;
use super::paths::not_utf8;

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

    /// The first directory of `$RUNTIME_DIRECTORY`: systemd joins several with colons (systemd.exec(5)).
    #[must_use]
    pub fn runtime_directory(&self) -> Option<&Path> {
        let mut directories = self.get("RUNTIME_DIRECTORY")?.as_bytes().split(|byte| *byte == b':');
        let first = directories.find(|directory| !directory.is_empty())?;
        Some(Path::new(OsStr::from_bytes(first)))
    }

    /// A variable's value as text; an empty one counts as none, as for every variable that is not ours.
    pub(super) fn text(&self, name: &str) -> Result<Option<&str>, NotUtf8> {
        match self.get(name).map(OsStr::to_str) {
            Some(None) => Err(NotUtf8),
            Some(Some(text)) if !text.is_empty() => Ok(Some(text)),
            _ => Ok(None),
        }
    }

    /// The current directory, if there is one.
    pub(super) fn current_directory(&self) -> Option<&Path> {
        self.current_directory.as_deref()
    }

    /// The layer that the `VPO_*` variables make.
    pub(super) fn layer(&self) -> Layer {
        let mut layer = Layer::default();
        let mut foreign = Vec::new();
        for (name, value) in &self.variables {
            let Some(name) = name.to_str() else { continue };
            let origin = Origin::Variable(name.to_owned());
            if name == "VPO_CONFIG_PATH" {
                match value.to_str() {
                    Some("") => {
                        let problem = Finding::new(
                            Subject::File,
                            origin,
                            "the path is empty",
                            "give a path, or unset it",
                        );
                        layer.problems.push(problem);
                    }
                    Some(path) => layer.file = Some((path.into(), origin)),
                    None => layer.problems.push(not_utf8(Subject::File, name)),
                }
                continue;
            }
            let Some(section) = SECTIONS.iter().find(|section| name.starts_with(&section_prefix(section)))
            else {
                continue;
            };
            match KEYS.iter().find(|key| key.variable() == name) {
                Some(key) => read(&mut layer, key, name, value),
                None if is_service_link(name, value) => {}
                None if is_foreign(name) => foreign.push(name),
                None => layer.warnings.push(unknown(section, name)),
            }
        }
        if let [first, ..] = foreign[..] {
            layer.warnings.push(Finding::new(
                Subject::Name,
                Origin::Variable(first.to_owned()),
                format!("not supported here: {}", foreign.join(", ")),
                "they are skipped; other VPO programs may use them",
            ));
        }
        layer
    }
}

fn read(layer: &mut Layer, key: &'static Key, name: &str, value: &OsStr) {
    let origin = Origin::Variable(name.to_owned());
    let Some(value) = value.to_str() else {
        layer.problems.push(not_utf8(Subject::Key(key.name), name));
        return;
    };
    if key.name == "server.port" && value.contains("://") {
        layer.warnings.push(Finding::new(
            Subject::Key(key.name),
            origin,
            format!("{value:?} is a Kubernetes service link, not a port"),
            "it is skipped; set enableServiceLinks: false on the pod, or rename the Service",
        ));
    } else if key.name == "library.roots" {
        // envy would split at commas, which are common in names of directories.
        let roots = value.split(':').filter(|root| !root.is_empty()).map(PathBuf::from).collect();
        layer.values.library.roots = Some(roots);
        layer.origins.insert(key.name, origin);
    } else {
        layer.set_text(key, value, origin);
    }
}

fn unknown(section: &str, name: &str) -> Finding {
    // Without the prefix, which would make unlike names look alike.
    let prefix = section_prefix(section);
    let field = name.strip_prefix(&prefix).unwrap_or(name).to_ascii_lowercase();
    let advice = match nearest(&field, KEYS.iter().filter(|key| key.section == section).map(|key| key.field))
    {
        Some(meant) => format!("it is skipped; did you mean {prefix}{}?", meant.to_ascii_uppercase()),
        None => "it is skipped; docs/configuration.md lists those that there are".into(),
    };
    Finding::new(Subject::Name, Origin::Variable(name.to_owned()), "unknown variable", advice)
}

fn is_foreign(name: &str) -> bool {
    FOREIGN_KEYS
        .iter()
        .any(|(section, key)| name.strip_prefix(&section_prefix(section)) == Some(&key.to_ascii_uppercase()))
}

/// Whether Kubernetes made the variable for a Service whose name begins with one of our sections' prefixes:
/// `…SERVICE_HOST`, `…SERVICE_PORT`, `…SERVICE_PORT_NAME`, `…PORT_8321_TCP…`, and `…PORT` holding a URL.
/// <https://kubernetes.io/docs/tutorials/services/connect-applications-service/#environment-variables>
fn is_service_link(name: &str, value: &OsStr) -> bool {
    let words: Vec<&str> = name.split('_').collect();
    let is_port = |words: &[&str]| match words {
        ["PORT", number, protocol, rest @ ..] => {
            number.parse::<u16>().is_ok()
                && ["TCP", "UDP", "SCTP"].contains(protocol)
                && matches!(rest, [] | ["PROTO" | "PORT" | "ADDR"])
        }
        _ => false,
    };
    // `VPO_` and the section come first, and the section may be the whole name of the Service.
    (2..words.len()).any(|start| {
        let tail = &words[start..];
        matches!(tail, ["SERVICE", "HOST"] | ["SERVICE", "PORT", ..])
            || is_port(tail)
            || (tail == ["PORT"] && value.to_str().is_some_and(|value| value.contains("://")))
    })
}
