//! Four layers → one configuration, or all problems of the layers.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use super::environment::Environment;
use super::error::{ConfigError, Finding, Subject};
use super::file;
use super::keys::Values;
use super::layer::Layer;
use super::origin::{Origin, Origins};
use super::paths::Paths;
use super::value::Secret;
use super::variables;
use super::{Config, Resolved};

/// The variables in which systemd names the directories of a unit (systemd.exec(5)).
const CREDENTIALS: &str = "CREDENTIALS_DIRECTORY";
const STATE: &str = "STATE_DIRECTORY";
/// Where container engines mount secrets, readable for every user of the container.
const SECRETS: &str = "/run/secrets";

pub(super) fn resolve(
    flags: &Layer,
    environment: &Environment,
    read_secrets: bool,
) -> Result<Resolved, ConfigError> {
    Resolution::new(flags, environment).finish(read_secrets)
}

/// The value of `database.path`.
pub(super) fn database_path(flags: &Layer, environment: &Environment) -> Result<PathBuf, ConfigError> {
    let mut resolution = Resolution::new(flags, environment);
    // If a flag or a variable gives the path, problems of the file are ignored.
    let is_outside =
        matches!(resolution.origins.get("database.path"), Some(Origin::Flag(_) | Origin::Variable(_)));
    resolution.find_database();
    resolution.problems.retain(|problem| match problem.subject {
        Subject::Key(name) => name == "database.path" && !(is_outside && problem.origin.position().is_some()),
        Subject::Name => false,
        Subject::File => !is_outside,
    });
    match resolution.values.database.path.take() {
        Some(path) if resolution.problems.is_empty() => Ok(path),
        _ => Err(resolution.error()),
    }
}

struct Resolution<'a> {
    paths: Paths<'a>,
    values: Values,
    origins: Origins,
    problems: Vec<Finding>,
    warnings: Vec<Finding>,
    file: Option<PathBuf>,
    /// The value in the highest layer that sets the token or its file is invalid.
    token_is_invalid: bool,
}

impl<'a> Resolution<'a> {
    /// Reads the layers and merges them.
    fn new(flags: &Layer, environment: &'a Environment) -> Self {
        let mut resolution = Self {
            paths: Paths::new(environment),
            values: Values::default(),
            origins: Origins::new(),
            problems: Vec::new(),
            warnings: Vec::new(),
            file: None,
            token_is_invalid: false,
        };
        let variables = variables::layer(environment);
        let named = flags.file.as_ref().or(variables.file.as_ref());
        match file::find(named, &resolution.paths, &mut resolution.warnings) {
            Ok(Some(file)) => {
                resolution.add(file::layer(&file, named.map(|(_, origin)| origin)));
                resolution.file = Some(file);
            }
            Ok(None) => {}
            Err(problem) => resolution.problems.push(problem),
        }
        resolution.add(variables);
        resolution.add(flags.clone());
        resolution
    }

    /// Merges a layer of higher precedence.
    fn add(&mut self, mut layer: Layer) {
        layer.resolve_paths(&self.paths);
        layer.check_together();
        // A token or its file replaces both of the lower layers, also if the value is invalid.
        let is_invalid =
            layer.has_problem("server.auth_token") || layer.has_problem("server.auth_token_file");
        let server = &layer.values.server;
        if is_invalid || server.auth_token.is_some() || server.auth_token_file.is_some() {
            self.token_is_invalid = is_invalid;
            self.values.server.auth_token = None;
            self.values.server.auth_token_file = None;
            self.origins.remove("server.auth_token");
            self.origins.remove("server.auth_token_file");
        }
        self.values.overlay(layer.values);
        self.origins.extend(layer.origins);
        self.problems.extend(layer.problems);
        self.warnings.extend(layer.warnings);
    }

    fn finish(mut self, read_secrets: bool) -> Result<Resolved, ConfigError> {
        // A file that is not read may set any key, so other problems may be consequences.
        if self.problems.iter().any(|problem| problem.subject == Subject::File) {
            self.problems.retain(|problem| problem.subject == Subject::File);
            return Err(self.error());
        }
        self.find_token(read_secrets);
        self.warn_of_public_token();
        let is_default_path = self.find_database();
        if !self.problems.is_empty() {
            return Err(self.error());
        }
        let Self { values, origins, warnings, file, .. } = self;
        Ok(Resolved { config: Config::new(values, is_default_path), origins, warnings, file })
    }

    fn error(self) -> ConfigError {
        ConfigError::new(self.problems, self.warnings)
    }

    /// Finds the file of the token and reads the token.
    fn find_token(&mut self, read_secrets: bool) {
        let Some(file) = self.auth_token_file() else { return };
        if read_secrets {
            self.values.server.auth_token = self.read_token(&file);
        }
        self.values.server.auth_token_file = Some(file);
    }

    /// Warns if every user of the machine can read the token. Service managers mount secrets so, for the service alone.
    fn warn_of_public_token(&mut self) {
        let server = &self.values.server;
        if server.auth_token.is_none() {
            return;
        }
        let (key, file) = match (&server.auth_token_file, self.origins.get("server.auth_token")) {
            (Some(file), _) => ("server.auth_token_file", file.clone()),
            (None, Some(Origin::Place { file, .. })) => ("server.auth_token", file.clone()),
            _ => return,
        };
        let managed = self.paths.directories(CREDENTIALS, Subject::Key(key)).unwrap_or_default();
        if file.starts_with(SECRETS)
            || managed.iter().any(|directory| file.starts_with(directory))
            || !file::is_public(&file)
        {
            return;
        }
        let what = format!("every user of this machine can read {key} in {}", file.display());
        let origin = self.origins.get(key).cloned().unwrap_or(Origin::Default);
        let advice = format!("run chmod o-r {}", file.display());
        self.warnings.push(Finding::new(Subject::Key(key), origin, what, advice));
    }

    fn auth_token_file(&mut self) -> Option<PathBuf> {
        if self.values.server.auth_token.is_some() || self.token_is_invalid {
            return None;
        }
        if let Some(file) = &self.values.server.auth_token_file {
            return Some(file.clone());
        }
        let subject = Subject::Key("server.auth_token_file");
        let directories = self.paths.directories(CREDENTIALS, subject).unwrap_or_else(|problem| {
            self.problems.push(problem);
            Vec::new()
        });
        let files = directories.into_iter().map(|directory| directory.join("auth_token"));
        // A file that cannot be accessed may exist: reading it fails then, so that no daemon starts without its token.
        let absent = |error: &std::io::Error| error.kind() == ErrorKind::NotFound;
        let file =
            files.into_iter().find(|file| !file.symlink_metadata().is_err_and(|error| absent(&error)))?;
        self.origins.insert("server.auth_token_file", Origin::Directory(CREDENTIALS));
        Some(file)
    }

    fn read_token(&mut self, file: &Path) -> Option<Secret> {
        const ONE_LINE: &str = "write the token into it, on one line and nothing else";
        let origin = self.origins.get("server.auth_token_file").cloned().unwrap_or(Origin::Default);
        let (what, advice) = match file::read_text(file) {
            Err(error @ file::Unreadable::Denied(_)) => (error.to_string(), "or name another file"),
            Err(error) => (error.to_string(), "name a readable file that holds the token on one line"),
            Ok(text) => {
                let line = text.strip_suffix('\n').unwrap_or(&text);
                match Secret::new(line.strip_suffix('\r').unwrap_or(line)) {
                    Some(token) => return Some(token),
                    None if text.trim().is_empty() => ("is empty".to_owned(), ONE_LINE),
                    None if line.contains('\n') => ("has more than one line".to_owned(), ONE_LINE),
                    None => (
                        "does not contain a valid token".to_owned(),
                        "write 1 to 1024 printable ASCII characters into it, on one line, without a space at either end",
                    ),
                }
            }
        };
        let what = format!("server.auth_token_file {} {what}", file.display());
        self.problems.push(Finding::new(Subject::Key("server.auth_token_file"), origin, what, advice));
        None
    }

    /// Sets the default path if no source gives a path. Returns whether the path is the default path.
    fn find_database(&mut self) -> bool {
        let default = self.default_database();
        if let Some(path) = &self.values.database.path {
            // A source may also give the default path.
            return default.is_ok_and(|(default, _)| default == *path);
        }
        match default {
            Ok((path, origin)) => {
                if origin != Origin::Default {
                    self.origins.insert("database.path", origin);
                }
                self.values.database.path = Some(path);
            }
            // An invalid path is reported already.
            Err(problem) => {
                if !self.problems.iter().any(|problem| problem.subject == Subject::Key("database.path")) {
                    self.problems.push(problem);
                }
            }
        }
        true
    }

    fn default_database(&self) -> Result<(PathBuf, Origin), Finding> {
        let subject = Subject::Key("database.path");
        if let Some(directory) = self.paths.directories(STATE, subject)?.first() {
            return Ok((directory.join("library.db"), Origin::Directory(STATE)));
        }
        self.paths.in_home("library.db").map(|path| (path, Origin::Default)).map_err(|why| {
            let what = format!("database.path has no default: {why}");
            let advice =
                "set HOME to an absolute path, or give database.path (VPO_DATABASE_PATH, --database)";
            Finding::new(subject, Origin::Variable("HOME".into()), what, advice)
        })
    }
}
