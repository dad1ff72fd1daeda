//! The TOML file: finds it, parses it once to a spanned table, and deserialises each key separately.
//!
//! Other VPO programs use the same file. Their sections are ignored, and their keys in sections of this program
//! lead to one warning. Any other unknown name is an error.

use std::borrow::Cow;
use std::fs::{self, File};
use std::io::{ErrorKind, Read};
use std::iter;
use std::ops::Range;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;
use serde::de::value::MapDeserializer;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::error::{Finding, MAX_PROBLEMS, Subject};
use super::keys::{KEYS, Key, OLDER_SECTION, OneKey, SECTIONS};
use super::layer::Layer;
use super::origin::{MAX_NAME_LENGTH, Origin, abbreviated};
use super::paths::{NoHome, Paths};
use crate::base::nearest::nearest;
use crate::base::permission::denied;

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

/// Keys of other VPO programs in sections of this program.
pub(super) const FOREIGN_KEYS: &[(&str, &str)] = &[
    ("logging", "file"),
    ("logging", "include_stderr"),
    ("logging", "max_bytes"),
    ("logging", "backup_count"),
    ("server", "rate_limit"),
];

/// Maximum size of the configuration file and of the file of the access token.
const MAX_BYTES: u64 = 1 << 20;

/// The file to read: `named` (`--config`, else `VPO_CONFIG_PATH`), else the first default location that exists,
/// else none.
///
/// # Errors
/// If the path of a named file cannot be resolved, or a default location cannot be accessed. The file may exist
/// there and set an access token, so it is not skipped. In the home directory it is skipped with a warning: `HOME`
/// may belong to another user (`sudo`, a container with `--user`), whose file is not meant for this process.
pub(super) fn find(
    named: Option<&(PathBuf, Origin)>,
    paths: &Paths<'_>,
    warnings: &mut Vec<Finding>,
) -> Result<Option<PathBuf>, Finding> {
    if let Some((path, origin)) = named {
        return match paths.absolute(path) {
            Ok(path) => Ok(Some(path)),
            Err(advice) => {
                let what = format!("configuration file {:?}", path.to_string_lossy());
                Err(Finding::new(Subject::File, origin.clone(), what, advice))
            }
        };
    }
    let directories = paths.directories("CONFIGURATION_DIRECTORY", Subject::File)?;
    let in_home = match paths.in_home("config.toml") {
        Ok(place) => Some(place),
        Err(NoHome::Unset) => None,
        Err(why) => {
            let origin = Origin::Variable("HOME".into());
            let advice = "correct it; ~/.vpo/config.toml is not read";
            warnings.push(Finding::new(Subject::File, origin, why.to_string(), advice));
            None
        }
    };
    let places = directories
        .into_iter()
        .map(|directory| directory.join("config.toml"))
        .chain(in_home.clone())
        .chain(iter::once(PathBuf::from("/etc/vpo/config.toml")));
    for place in places {
        let is_in_home = in_home.as_ref() == Some(&place);
        // Of the link itself: a dangling link is an error, not an absent file.
        match fs::symlink_metadata(&place) {
            Ok(_) => return Ok(Some(place)),
            Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {}
            Err(error) if is_in_home => warnings.push(Finding::new(
                Subject::File,
                Origin::File(place),
                format!("cannot access the configuration file: {error}"),
                "it is skipped; name the file with --config, or correct the permissions of its directory",
            )),
            Err(error) => {
                let what = format!("cannot access the configuration file: {error}");
                let advice = "correct the permissions of its directory, or name another file with --config";
                return Err(Finding::new(Subject::File, Origin::File(place), what, advice));
            }
        }
    }
    Ok(None)
}

/// The reason why a file cannot be read as text.
#[derive(Debug, thiserror::Error)]
pub(super) enum Unreadable {
    #[error("cannot be read: {0}")]
    Io(#[from] std::io::Error),
    /// Holds the explanation.
    #[error("cannot be read: {0}")]
    Denied(String),
    #[error("is a directory, not a file")]
    Directory,
    #[error("is not a regular file")]
    NotRegular,
    #[error("is larger than 1 MiB")]
    TooLarge,
    /// Holds the text before the first byte that is not UTF-8.
    #[error("is not UTF-8")]
    NotUtf8(String),
}

/// Reads a small regular file as text.
pub(super) fn read_text(path: &Path) -> Result<String, Unreadable> {
    read(path).map_err(|error| match error {
        Unreadable::Io(error) if error.kind() == ErrorKind::PermissionDenied => {
            Unreadable::Denied(denied(path))
        }
        error => error,
    })
}

fn read(path: &Path) -> Result<String, Unreadable> {
    // Before the file is opened, because open(2) of a FIFO without a writer blocks.
    let kind = fs::metadata(path)?.file_type();
    if kind.is_dir() {
        return Err(Unreadable::Directory);
    }
    if !kind.is_file() && path != Path::new("/dev/null") {
        return Err(Unreadable::NotRegular);
    }
    let mut bytes = Vec::new();
    File::open(path)?.take(MAX_BYTES + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > MAX_BYTES {
        return Err(Unreadable::TooLarge);
    }
    let text = String::from_utf8(bytes).map_err(|error| {
        let valid = &error.as_bytes()[..error.utf8_error().valid_up_to()];
        Unreadable::NotUtf8(String::from_utf8_lossy(valid).into_owned())
    })?;
    // A byte order mark would be counted as a column.
    Ok(text.strip_prefix('\u{feff}').map(str::to_owned).unwrap_or(text))
}

/// Whether every user of the machine can read a file: its mode allows it, and all directories above can be entered.
pub(super) fn is_public(path: &Path) -> bool {
    let allows = |place: &Path, bit| fs::metadata(place).is_ok_and(|found| found.mode() & bit != 0);
    fs::canonicalize(path)
        .is_ok_and(|path| allows(&path, 0o004) && path.ancestors().skip(1).all(|place| allows(place, 0o001)))
}

/// Reads the layer of a file. `named` is the origin of its path, unless it is a default location.
pub(super) fn layer(path: &Path, named: Option<&Origin>) -> Layer {
    let mut layer = Layer::default();
    let text = match read_text(path) {
        Ok(text) => text,
        Err(error) => {
            let origin = match &error {
                Unreadable::NotUtf8(valid) => Origin::place(path, valid, valid.len()),
                _ => Origin::File(path.to_owned()),
            };
            let (what, advice) = match named {
                Some(named) => {
                    (format!("configuration file from {named} {error}"), "name a readable TOML file")
                }
                None => (format!("configuration file {error}"), "make it a readable TOML file, or remove it"),
            };
            layer.problems.push(Finding::new(Subject::File, origin, what, advice));
            return layer;
        }
    };
    let (table, errors) = DeTable::parse_recoverable(&text);
    // Only the first in the text: later errors may follow from it.
    if let Some(error) = errors.iter().min_by_key(|error| start(error)) {
        let what = format!("not TOML: {}", error.message());
        let origin = Origin::place(path, &text, start(error));
        layer.problems.push(Finding::new(Subject::File, origin, what, advice(&text, start(error))));
        return layer;
    }
    let mut reader = Reader { path, text: &text, layer, foreign: Vec::new() };
    reader.table(table.into_inner());
    let mut layer = reader.layer;
    // In the order of the file.
    layer.problems.sort_by_key(|problem| problem.origin.position());
    layer
}

/// The byte offset of a syntax error.
fn start(error: &toml::de::Error) -> usize {
    error.span().unwrap_or_default().start
}

/// Advice for a syntax error at byte `at`.
fn advice(text: &str, at: usize) -> &'static str {
    let before = text.get(..at).unwrap_or(text);
    let line = before.rfind('\n').map_or(0, |newline| newline + 1);
    let value =
        before[line..].find('=').map(|equals| text[line + equals + 1..].trim_start_matches([' ', '\t']));
    // The parser reads text without quotes as a number, a boolean or a date.
    let is_bare = |value: &str| value.starts_with(|c: char| !c.is_control() && !"\"'[{#".contains(c));
    if value.is_some_and(is_bare) { "put text in quotes" } else { "" }
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

    /// Adds a problem, unless there are too many to report.
    fn problem(&mut self, subject: Subject, span: &Range<usize>, what: String, advice: String) {
        if self.layer.problems.len() <= MAX_PROBLEMS {
            self.layer.problems.push(Finding::new(subject, self.place(span), what, advice));
        }
    }

    fn table(&mut self, table: DeTable<'_>) {
        let mut older_path = None;
        for (name, value) in in_order(table) {
            let (span, name) = (name.span(), name.into_inner());
            if name == "database_path" {
                older_path = Some(value);
            } else if name == OLDER_SECTION.0 {
                self.section(OLDER_SECTION.1, value);
            } else if let Some(section) = SECTIONS.iter().find(|section| **section == name) {
                self.section(section, value);
            } else if !FOREIGN_SECTIONS.contains(&&*name) {
                self.unknown(&span, &name, value.get_ref());
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
            let what = format!("{section} is not a section");
            self.problem(Subject::Name, &span, what, format!("write [{section}] on a line of its own"));
            return;
        };
        for (name, value) in in_order(table) {
            let (span, name) = (name.span(), name.into_inner());
            if let Some(key) = KEYS.iter().find(|key| key.section == section && key.field == name) {
                match self
                    .layer
                    .origins
                    .get(key.name)
                    .map(|origin| format!("{} is also set: {origin}", key.name))
                {
                    Some(what) => {
                        let advice = format!("remove one of the two; [{}] is older", OLDER_SECTION.0);
                        self.problem(Subject::Key(key.name), &span, what, advice);
                    }
                    None => self.key(key, value),
                }
            } else if FOREIGN_KEYS.contains(&(section, &name)) {
                self.foreign.push((format!("{section}.{name}"), self.place(&span)));
            } else {
                let known = KEYS.iter().filter(|key| key.section == section).map(|key| key.field);
                let advice = match nearest(&name, known.clone()) {
                    Some(meant) => format!("did you mean {meant}?"),
                    None => format!("remove it; [{section}] has {}", known.collect::<Vec<_>>().join(", ")),
                };
                let what = format!("unknown key {section}.{}", truncated(&name));
                self.problem(Subject::Name, &span, what, advice);
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
        let path = &mut self.layer.values.database.path;
        if path.is_none() {
            *path = newer;
        } else if newer.is_some() && newer != *path {
            let what = "database_path and database.path differ".to_owned();
            let advice = "remove database_path, the older spelling".to_owned();
            self.problem(Subject::Key(key.name), &span, what, advice);
        }
    }

    fn unknown(&mut self, span: &Range<usize>, name: &str, value: &DeValue<'_>) {
        let (what, meant) = if let DeValue::Table(_) = value {
            let meant = nearest(name, SECTIONS.iter().copied()).map(|name| format!("[{name}]"));
            (format!("unknown section [{}]", truncated(name)), meant)
        } else {
            let key = KEYS.iter().find(|key| key.field == name).map(|key| key.name);
            let meant = key.or_else(|| nearest(name, KEYS.iter().map(|key| key.name)));
            (format!("unknown key {}", truncated(name)), meant.map(str::to_owned))
        };
        let advice = match meant {
            Some(meant) => format!("did you mean {meant}?"),
            None => format!("remove it; the sections are {}", SECTIONS.join(", ")),
        };
        self.problem(Subject::Name, span, what, advice);
    }

    fn warn_of_foreign_keys(&mut self) {
        self.foreign.sort_by_key(|(_, origin)| origin.position());
        if let [(_, origin), ..] = &self.foreign[..] {
            let names: Vec<&str> = self.foreign.iter().map(|(name, _)| name.as_str()).collect();
            self.layer.warnings.push(Finding::new(
                Subject::Name,
                origin.clone(),
                format!("not supported here: {}", names.join(", ")),
                "they are skipped; other VPO programs may use them",
            ));
        }
    }
}

/// A name, truncated for a message.
fn truncated(name: &str) -> String {
    abbreviated(name, MAX_NAME_LENGTH)
}

/// The entries of a table, in the order of the file.
fn in_order(table: DeTable<'_>) -> Vec<(Spanned<Cow<'_, str>>, Spanned<DeValue<'_>>)> {
    let mut entries: Vec<_> = table.into_iter().collect();
    entries.sort_by_key(|(name, _)| name.span().start);
    entries
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
