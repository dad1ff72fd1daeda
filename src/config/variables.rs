//! The `VPO_*` variables → [`Layer`] through `envy`.
//!
//! Variables are read one at a time: `envy` panics on a variable that is not UTF-8, and its errors do not name
//! the variable.

use std::ffi::OsStr;
use std::path::PathBuf;

use super::environment::Environment;
use super::error::{Finding, Subject};
use super::file::FOREIGN_KEYS;
use super::keys::{KEYS, Key, OLDER_SECTION, SECTIONS, section_prefix};
use super::layer::Layer;
use super::origin::Origin;
use crate::base::nearest::nearest;

/// Reads the layer of the `VPO_*` variables.
pub(super) fn layer(environment: &Environment) -> Layer {
    let mut layer = Layer::default();
    let mut foreign = Vec::new();
    for (name, value) in environment.variables() {
        let origin = Origin::Variable(name.to_owned());
        if name == "VPO_CONFIG_PATH" {
            match value.to_str() {
                Some("") => {
                    let problem =
                        Finding::new(Subject::File, origin, "the path is empty", "give a path, or unset it");
                    layer.problems.push(problem);
                }
                Some(path) => layer.file = Some((path.into(), origin)),
                None => layer.problems.push(Finding::not_utf8(Subject::File, name)),
            }
            continue;
        }
        // If both spellings are set, the current one wins: variables are sorted by name.
        let (older, today) = OLDER_SECTION;
        let known = match name.strip_prefix(&section_prefix(older)) {
            Some(field) => section_prefix(today) + field,
            None => name.to_owned(),
        };
        let Some(section) = SECTIONS.iter().find(|section| known.starts_with(&section_prefix(section)))
        else {
            continue;
        };
        match KEYS.iter().find(|key| key.variable() == known) {
            Some(key) => read(&mut layer, key, name, value),
            None if is_service_link(name, value) => {}
            None if is_foreign(name) => foreign.push(name),
            None => layer.warnings.push(unknown(section, &known, name)),
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

fn read(layer: &mut Layer, key: &'static Key, name: &str, value: &OsStr) {
    let origin = Origin::Variable(name.to_owned());
    let Some(value) = value.to_str() else {
        layer.problems.push(Finding::not_utf8(Subject::Key(key.name), name));
        return;
    };
    if key.name == "server.port" && value.contains("://") {
        layer.warnings.push(Finding::new(
            Subject::Key(key.name),
            origin,
            format!("{value:?} is a Kubernetes service link, not a port"),
            "it is skipped; set enableServiceLinks: false on the pod, or rename the Service",
        ));
    } else if key.name == "scan.roots" {
        // envy splits at commas, which are common in names of directories.
        let roots = value.split(':').filter(|root| !root.is_empty()).map(PathBuf::from).collect();
        layer.values.scan.roots = Some(roots);
        layer.origins.insert(key.name, origin);
    } else {
        layer.set_text(key, value, origin);
    }
}

/// `known` is the name with the current name of the section.
fn unknown(section: &str, known: &str, name: &str) -> Finding {
    // Without the common prefix, which would make different names similar.
    let prefix = section_prefix(section);
    let field = known.strip_prefix(&prefix).unwrap_or(known).to_ascii_lowercase();
    let advice = match nearest(&field, KEYS.iter().filter(|key| key.section == section).map(|key| key.field))
    {
        Some(meant) => format!("it is skipped; did you mean {prefix}{}?", meant.to_ascii_uppercase()),
        None => "it is skipped; see docs/configuration.md".into(),
    };
    Finding::new(Subject::Name, Origin::Variable(name.to_owned()), "unknown variable", advice)
}

fn is_foreign(name: &str) -> bool {
    FOREIGN_KEYS
        .iter()
        .any(|(section, key)| name.strip_prefix(&section_prefix(section)) == Some(&key.to_ascii_uppercase()))
}

/// Whether Kubernetes set the variable for a Service whose name begins with the prefix of a section:
/// `…SERVICE_HOST`, `…SERVICE_PORT`, `…SERVICE_PORT_NAME`, `…PORT_8321_TCP…`, or `…PORT` with a URL as value.
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
    // After `VPO_` and the section, which may be the whole name of the Service.
    (2..words.len()).any(|start| {
        let tail = &words[start..];
        matches!(tail, ["SERVICE", "HOST"] | ["SERVICE", "PORT", ..])
            || is_port(tail)
            || (tail == ["PORT"] && value.to_str().is_some_and(|value| value.contains("://")))
    })
}
