//! Four layers → one configuration, or every problem that they have.

use std::io::ErrorKind;
use std::net::{IpAddr, Ipv4Addr};
use std::num::NonZero;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::environment::Environment;
use super::error::{ConfigError, Finding, Subject};
use super::file;
use super::keys::Values;
use super::layer::Layer;
use super::origin::{Origin, Origins};
use super::paths::Paths;
use super::value::{Extensions, Hosts, Seconds, Secret};
use super::variables;
use super::{Config, Database, Library, Logging, Resolved, Scan, Server};
use crate::base::log::{Format, Level, Output};

/// The variables in which systemd names the directories of a unit (systemd.exec(5)).
const CREDENTIALS: &str = "CREDENTIALS_DIRECTORY";
const STATE: &str = "STATE_DIRECTORY";

const EXTENSIONS: [&str; 6] = ["mkv", "mp4", "avi", "webm", "m4v", "mov"];

pub(super) fn resolve(
    flags: &Layer,
    environment: &Environment,
    read_secrets: bool,
) -> Result<Resolved, ConfigError> {
    Resolution::new(flags, environment).finish(read_secrets)
}

/// The library's path alone.
pub(super) fn library_path(flags: &Layer, environment: &Environment) -> Result<PathBuf, ConfigError> {
    let mut resolution = Resolution::new(flags, environment);
    let database = resolution.database();
    // A flag or a variable that names the path needs no file.
    let is_outside =
        matches!(resolution.origins.get("database.path"), Some(Origin::Flag(_) | Origin::Variable(_)));
    let is_unset = resolution.values.database.path.is_none();
    resolution.problems.retain(|problem| match problem.subject {
        Subject::Key(name) => name == "database.path" && !(is_outside && problem.origin.position().is_some()),
        // It may be the path, misspelt.
        Subject::Name => is_unset,
        Subject::File => !is_outside,
    });
    match database {
        Some(database) if resolution.problems.is_empty() => Ok(database.path),
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
    /// The highest layer that says anything of the token says something that is refused.
    token_in_doubt: bool,
}

impl<'a> Resolution<'a> {
    /// Reads the layers and lays them over each other.
    fn new(flags: &Layer, environment: &'a Environment) -> Self {
        let mut resolution = Self {
            paths: Paths::new(environment),
            values: Values::default(),
            origins: Origins::new(),
            problems: Vec::new(),
            warnings: Vec::new(),
            file: None,
            token_in_doubt: false,
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

    /// Lays a layer over those before it.
    fn add(&mut self, mut layer: Layer) {
        layer.resolve_paths(&self.paths);
        layer.check_together();
        // The token and its file are two ways to say one thing: the higher layer's way counts, also where it is
        // refused: what a lower layer says then is not looked at.
        let refused = layer.refuses("server.auth_token") || layer.refuses("server.auth_token_file");
        let server = &layer.values.server;
        if refused || server.auth_token.is_some() || server.auth_token_file.is_some() {
            self.token_in_doubt = refused;
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
        // Any key may be set in a file that is not read: nothing more can be said.
        if self.problems.iter().any(|problem| problem.subject == Subject::File) {
            self.problems.retain(|problem| problem.subject == Subject::File);
            return Err(self.error());
        }
        let server = self.server(read_secrets);
        let database = self.database();
        let library = self.library();
        let scan = Scan {
            job_retention_days: Some(self.values.scan.job_retention_days.unwrap_or(90))
                .filter(|days| *days > 0),
        };
        let logging = Logging {
            level: self.values.logging.level.unwrap_or(Level::Info),
            format: self.values.logging.format.unwrap_or(Format::Text),
            output: self.values.logging.output.unwrap_or(Output::Stderr),
        };
        match database {
            Some(database) if self.problems.is_empty() => {
                let Self { origins, warnings, file, .. } = self;
                let config = Config { server, database, logging, library, scan };
                Ok(Resolved { config, origins, warnings, file })
            }
            _ => Err(self.error()),
        }
    }

    fn error(self) -> ConfigError {
        ConfigError::new(self.problems, self.warnings)
    }

    fn server(&mut self, read_secrets: bool) -> Server {
        let auth_token_file = self.auth_token_file();
        let auth_token = match &auth_token_file {
            Some(file) if read_secrets => self.token_in(file),
            Some(_) => None,
            None => self.values.server.auth_token.clone(),
        };
        let server = &self.values.server;
        Server {
            bind: server.bind.unwrap_or(IpAddr::V4(Ipv4Addr::LOCALHOST)),
            port: server.port.unwrap_or(8321),
            shutdown_timeout: server.shutdown_timeout.map_or(Duration::from_secs(30), Seconds::get),
            max_connections: server.max_connections.map_or(1024, to_usize),
            auth_token,
            auth_token_file,
            hosts: server.hosts.clone().map_or_else(Vec::new, Hosts::into_vec),
        }
    }

    fn auth_token_file(&mut self) -> Option<PathBuf> {
        if self.values.server.auth_token.is_some() || self.token_in_doubt {
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
        // One that cannot be looked at may be there: better an error than a daemon without its token.
        let absent = |error: &std::io::Error| error.kind() == ErrorKind::NotFound;
        let file =
            files.into_iter().find(|file| !file.symlink_metadata().is_err_and(|error| absent(&error)))?;
        self.origins.insert("server.auth_token_file", Origin::Directory(CREDENTIALS));
        Some(file)
    }

    fn token_in(&mut self, file: &Path) -> Option<Secret> {
        let origin = self.origins.get("server.auth_token_file").cloned().unwrap_or(Origin::Default);
        let (what, advice) = match file::read_text(file) {
            Err(error) => (error.to_string(), "name a readable file that holds the token on one line"),
            Ok(text) => {
                let line = text.strip_suffix('\n').unwrap_or(&text);
                match Secret::new(line.strip_suffix('\r').unwrap_or(line)) {
                    Some(token) => return Some(token),
                    None => (
                        "holds no token".to_owned(),
                        "write 1 to 1024 printable ASCII characters into it, on one line, without a space at either end",
                    ),
                }
            }
        };
        let what = format!("server.auth_token_file {} {what}", file.display());
        self.problems.push(Finding::new(Subject::Key("server.auth_token_file"), origin, what, advice));
        None
    }

    fn database(&mut self) -> Option<Database> {
        let default = self.default_library();
        let verify_interval = interval(self.values.database.verify_interval, Duration::from_secs(86_400));
        match (&self.values.database.path, default) {
            // A path that someone wrote down may well be the default one.
            (Some(path), default) => {
                let is_default = default.is_ok_and(|(default, _)| default == *path);
                Some(Database { path: path.clone(), is_default, verify_interval })
            }
            (None, Ok((path, origin))) => {
                if origin != Origin::Default {
                    self.origins.insert("database.path", origin);
                }
                Some(Database { path, is_default: true, verify_interval })
            }
            (None, Err(problem)) => {
                // A path that was refused needs no default.
                let is_path = |problem: &Finding| problem.subject == Subject::Key("database.path");
                if !self.problems.iter().any(is_path) {
                    self.problems.push(problem);
                }
                None
            }
        }
    }

    fn default_library(&self) -> Result<(PathBuf, Origin), Finding> {
        let subject = Subject::Key("database.path");
        if let Some(directory) = self.paths.directories(STATE, subject)?.first() {
            return Ok((directory.join("library.db"), Origin::Directory(STATE)));
        }
        self.paths.in_home("library.db").map(|path| (path, Origin::Default)).map_err(|why| {
            let what = format!("database.path has no default: {why}");
            let advice = "correct it, or give database.path (VPO_DATABASE_PATH, --database)";
            Finding::new(subject, Origin::Variable("HOME".into()), what, advice)
        })
    }

    fn library(&self) -> Library {
        let library = &self.values.library;
        Library {
            roots: library.roots.clone().unwrap_or_default(),
            watch: library.watch.unwrap_or(true),
            rescan_interval: interval(library.rescan_interval, Duration::from_secs(3600)),
            extensions: library
                .extensions
                .clone()
                .map_or_else(|| EXTENSIONS.map(str::to_owned).to_vec(), Extensions::into_vec),
        }
    }
}

/// A time between two of something; `None` = never, which is written as 0.
fn interval<const MAX: u64>(given: Option<Seconds<MAX>>, default: Duration) -> Option<Duration> {
    Some(given.map_or(default, Seconds::get)).filter(|time| !time.is_zero())
}

fn to_usize(number: NonZero<u32>) -> usize {
    usize::try_from(number.get()).unwrap_or(usize::MAX)
}
