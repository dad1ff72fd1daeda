//! The TOML file: found, parsed once to a spanned table, each key deserialised alone.
//!
//! The file is shared with other VPO programs: their sections are skipped, and their keys in our sections are
//! named in one warning. Anything else that we do not know is an error.

use std::fs::{self, File};
use std::io::{ErrorKind, Read};
use std::iter;
use std::ops::Range;
use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;
use serde::de::value::MapDeserializer;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::error::{Finding, nearest};
use super::keys::{KEYS, Key, OneKey, SECTIONS};
use super::layer::Layer;
use super::origin::Origin;
use super::paths::Paths;

/// Sections of other VPO programs.
const FOREIGN_SECTIONS: &[&str] = &[
    "tools",
    "detection",
    "behavior",
    "plugins",
    "jobs",
    "worker",
    "transcription",
    "language",
    "processing",
    "profiles",
];

/// Keys of other VPO programs in our sections.
pub(super) const FOREIGN_KEYS: &[(&str, &str)] = &[
    ("logging", "file"),
    ("logging", "include_stderr"),
    ("logging", "max_bytes"),
    ("logging", "backup_count"),
    ("server", "rate_limit"),
];

/// Far more than any configuration or token, far less than would hurt.
const MAX_BYTES: u64 = 1 << 20;

/// The file to read: the one that `named` (`--config`, else `VPO_CONFIG_PATH`) says, else the first of the default
/// locations that exists, else none.
///
/// # Errors
/// When a named file's path cannot be resolved.
pub(super) fn find(
    named: Option<&(PathBuf, Origin)>,
    paths: &Paths<'_>,
    warnings: &mut Vec<Finding>,
) -> Result<Option<(PathBuf, Origin)>, Finding> {
    if let Some((path, origin)) = named {
        return match paths.absolute(path) {
            Ok(path) => Ok(Some((path, origin.clone()))),
            Err(advice) => Err(Finding::new(origin.clone(), format!("{:?}", path.to_string_lossy()), advice)),
        };
    }
    let directories = paths.directories("CONFIGURATION_DIRECTORY")?;
    let places = directories
        .into_iter()
        .map(|directory| directory.join("config.toml"))
        .chain(paths.in_home("config.toml").ok())
        .chain(iter::once(PathBuf::from("/etc/vpo/config.toml")));
    for place in places {
        // Of the link itself: a dangling one is there, and someone meant it to be read.
        match fs::symlink_metadata(&place) {
            Ok(_) => return Ok(Some((place.clone(), Origin::File(place)))),
            Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {}
            Err(error) => warnings.push(Finding::new(
                Origin::File(place),
                format!("cannot look for it: {error}"),
                "it is skipped; name the file with --config, or correct its directory's permissions",
            )),
        }
    }
    Ok(None)
}

/// Reads a small regular file as text.
///
/// # Errors
/// What is wrong with it.
pub(super) fn read_text(path: &Path) -> Result<String, String> {
    let cannot = |error: std::io::Error| format!("cannot be read: {error}");
    // Looked at first, for opening a FIFO without a writer never returns.
    let kind = fs::metadata(path).map_err(cannot)?.file_type();
    if kind.is_dir() {
        return Err("is a directory, not a file".into());
    }
    if !kind.is_file() && path != Path::new("/dev/null") {
        return Err("is not a regular file".into());
    }
    let mut bytes = Vec::new();
    File::open(path).and_then(|file| file.take(MAX_BYTES + 1).read_to_end(&mut bytes)).map_err(cannot)?;
    if bytes.len() as u64 > MAX_BYTES {
        return Err("is larger than 1 MiB".into());
    }
    String::from_utf8(bytes).map_err(|error| {
        let line = error.as_bytes()[..error.utf8_error().valid_up_to()].split(|byte| *byte == b'\n').count();
        format!("is not UTF-8 in line {line}")
    })
}

/// The layer that a file makes; `origin` is who named it.
pub(super) fn layer(path: &Path, origin: Origin) -> Layer {
    let mut layer = Layer::default();
    let text = match read_text(path) {
        Ok(text) => text,
        Err(what) => {
            let what = format!("the configuration file {} {what}", path.display());
            let advice = "name a readable TOML file, or none";
            layer.problems.push(Finding::new(origin, what, advice));
            return layer;
        }
    };
    let mut reader = Reader { path, text: &text, layer, foreign: Vec::new() };
    match DeTable::parse_recoverable(&text) {
        (table, errors) if errors.is_empty() => reader.table(table.into_inner()),
        (_, errors) => reader.syntax(&errors),
    }
    reader.layer
}

struct Reader<'a> {
    path: &'a Path,
    text: &'a str,
    layer: Layer,
    foreign: Vec<(String, Origin)>,
}

impl Reader<'_> {
    fn place(&self, span: &Range<usize>) -> Origin {
        Origin::place(self.path, self.text, span.start)
    }

    fn problem(&mut self, span: &Range<usize>, what: impl Into<String>, advice: impl Into<String>) {
        self.layer.problems.push(Finding::new(self.place(span), what, advice));
    }

    fn syntax(&mut self, errors: &[toml::de::Error]) {
        for error in errors {
            let span = error.span().unwrap_or(0..0);
            self.problem(&span, format!("not TOML: {}", error.message()), "correct the file here");
        }
    }

    fn table(&mut self, table: DeTable<'_>) {
        let mut older_path = None;
        for (name, value) in table {
            let (span, name) = (name.span(), name.into_inner());
            if name == "database_path" {
                older_path = Some(value);
            } else if let Some(section) = SECTIONS.iter().find(|section| **section == name) {
                self.section(section, value);
            } else if !FOREIGN_SECTIONS.contains(&&*name) {
                self.unknown(&span, &name, matches!(value.get_ref(), DeValue::Table(_)));
            }
        }
        if let Some(value) = older_path {
            self.older_path(value);
        }
        self.warn_of_foreign_keys();
    }

    fn section(&mut self, section: &str, value: Spanned<DeValue<'_>>) {
        let span = value.span();
        let DeValue::Table(table) = value.into_inner() else {
            self.problem(
                &span,
                format!("{section} is no section"),
                format!("write [{section}] on a line of its own"),
            );
            return;
        };
        for (name, value) in table {
            let (span, name) = (name.span(), name.into_inner());
            if let Some(key) = KEYS.iter().find(|key| key.section == section && key.field == name) {
                self.key(key, value);
            } else if FOREIGN_KEYS.contains(&(section, &name)) {
                self.foreign.push((format!("{section}.{name}"), self.place(&span)));
            } else {
                let known = KEYS.iter().filter(|key| key.section == section).map(|key| key.field);
                let advice = match nearest(&name, known.clone()) {
                    Some(meant) => format!("did you mean {meant}?"),
                    None => format!("remove it; [{section}] has {}", known.collect::<Vec<_>>().join(", ")),
                };
                self.problem(&span, format!("unknown key {section}.{name}"), advice);
            }
        }
    }

    fn key(&mut self, key: &'static Key, value: Spanned<DeValue<'_>>) {
        let span = value.span();
        let shown = self.text.get(span.clone()).unwrap_or("");
        let origin = self.place(&span);
        self.layer.set(key, KeyInFile { field: key.field, value }, shown, origin);
    }

    fn older_path(&mut self, value: Spanned<DeValue<'_>>) {
        let Some(key) = Key::find("database.path") else { return };
        let span = value.span();
        let newer = self.layer.values.database.path.take();
        self.key(key, value);
        if newer.is_some() && newer != self.layer.values.database.path {
            self.problem(
                &span,
                "database_path and database.path differ",
                "remove database_path, the older spelling",
            );
        }
    }

    fn unknown(&mut self, span: &Range<usize>, name: &str, is_section: bool) {
        let (what, meant) = if is_section {
            (
                format!("unknown section [{name}]"),
                nearest(name, SECTIONS.iter().copied()).map(|name| format!("[{name}]")),
            )
        } else {
            let key = KEYS.iter().find(|key| key.field == name).map(|key| key.name);
            let meant = key.or_else(|| nearest(name, KEYS.iter().map(|key| key.name)));
            (format!("unknown key {name}"), meant.map(str::to_owned))
        };
        let advice = match meant {
            Some(meant) => format!("did you mean {meant}?"),
            None => format!("remove it; the sections are {}", SECTIONS.join(", ")),
        };
        self.problem(span, what, advice);
    }

    fn warn_of_foreign_keys(&mut self) {
        if let [(_, origin), ..] = &self.foreign[..] {
            let names: Vec<&str> = self.foreign.iter().map(|(name, _)| name.as_str()).collect();
            self.layer.warnings.push(Finding::new(
                origin.clone(),
                format!("not supported here: {}", names.join(", ")),
                "they are skipped; other VPO programs may use them",
            ));
        }
    }
}

/// A value in the file.
struct KeyInFile<'a, 'i> {
    field: &'a str,
    value: Spanned<DeValue<'i>>,
}

impl OneKey for KeyInFile<'_, '_> {
    type Error = toml::de::Error;

    fn read<T: DeserializeOwned>(self) -> Result<T, toml::de::Error> {
        T::deserialize(MapDeserializer::new(iter::once((self.field, self.value))))
    }
}
