//! Four layers → one configuration, or every problem that they have.

use std::net::{IpAddr, Ipv4Addr};
use std::num::NonZero;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::environment::Environment;
use super::error::{ConfigError, Finding};
use super::file;
use super::keys::Values;
use super::layer::Layer;
use super::origin::{Origin, Origins};
use super::paths::Paths;
use super::value::{Extension, Format, Level, Output, Seconds, Secret};
use super::{Config, Database, Library, Logging, Resolved, Server};

const EXTENSIONS: [&str; 6] = ["mkv", "mp4", "avi", "webm", "m4v", "mov"];

pub(super) fn resolve(flags: &Layer, environment: &Environment) -> Result<Resolved, ConfigError> {
    let paths = Paths::new(environment);
    let mut resolution = Resolution {
        paths,
        values: Values::default(),
        origins: Origins::new(),
        problems: vec![],
        warnings: vec![],
    };
    let variables = environment.layer();
    let named = flags.file.as_ref().or(variables.file.as_ref());
    let file = match file::find(named, &resolution.paths, &mut resolution.warnings) {
        Ok(file) => file,
        Err(problem) => {
            resolution.problems.push(problem);
            None
        }
    };
    let file = file.map(|(path, origin)| (file::layer(&path, origin), path));
    let (file_layer, file) = file.unzip();
    for layer in [file_layer.unwrap_or_default(), variables, flags.clone()] {
        resolution.add(layer);
    }
    resolution.finish(file)
}

struct Resolution<'a> {
    paths: Paths<'a>,
    values: Values,
    origins: Origins,
    problems: Vec<Finding>,
    warnings: Vec<Finding>,
}

impl Resolution<'_> {
    /// Lays a layer over those before it.
    fn add(&mut self, mut layer: Layer) {
        layer.resolve_paths(&self.paths);
        layer.check_together();
        // The token and its file are two ways to say one thing: the higher layer's way counts.
        if layer.values.server.auth_token.is_some() || layer.values.server.auth_token_file.is_some() {
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

    fn finish(mut self, file: Option<PathBuf>) -> Result<Resolved, ConfigError> {
        let server = self.server();
        let database = self.database();
        let library = self.library();
        let logging = Logging {
            level: self.values.logging.level.unwrap_or(Level::Info),
            format: self.values.logging.format.unwrap_or(Format::Text),
            output: self.values.logging.output.unwrap_or(Output::Stderr),
        };
        let Self { origins, problems, warnings, .. } = self;
        match database {
            Some(database) if problems.is_empty() => {
                let config = Config { server, database, logging, library };
                Ok(Resolved { config, origins, warnings, file })
            }
            _ => Err(ConfigError { problems, warnings }),
        }
    }

    fn server(&mut self) -> Server {
        let auth_token_file = self.auth_token_file();
        let auth_token = match &auth_token_file {
            Some(file) => self.token_in(file),
            None => self.values.server.auth_token.clone(),
        };
        let server = &self.values.server;
        Server {
            bind: server.bind.unwrap_or(IpAddr::V4(Ipv4Addr::LOCALHOST)),
            port: server.port.unwrap_or(8321),
            shutdown_timeout: server.shutdown_timeout.map_or(Duration::from_secs(30), Seconds::get),
            max_connections: server.max_connections.map_or(1024, |most| to_usize(most)),
            auth_token,
            auth_token_file,
        }
    }

    fn auth_token_file(&mut self) -> Option<PathBuf> {
        if self.values.server.auth_token.is_some() {
            return None;
        }
        if let Some(file) = &self.values.server.auth_token_file {
            return Some(file.clone());
        }
        let directories = self.paths.directories("CREDENTIALS_DIRECTORY").unwrap_or_else(|problem| {
            self.problems.push(problem);
            Vec::new()
        });
        let file = directories
            .into_iter()
            .map(|directory| directory.join("auth_token"))
            .find(|file| file.exists())?;
        self.origins.insert("server.auth_token_file", Origin::Directory("CREDENTIALS_DIRECTORY"));
        Some(file)
    }

    fn token_in(&mut self, file: &Path) -> Option<Secret> {
        let origin = self.origins.get("server.auth_token_file").cloned().unwrap_or(Origin::Default);
        let (what, advice) = match file::read_text(file) {
            Err(what) => (what, "name a readable file that holds the token on one line"),
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
        self.problems.push(Finding::new(
            origin,
            format!("the token's file {} {what}", file.display()),
            advice,
        ));
        None
    }

    fn database(&mut self) -> Option<Database> {
        let default = self.default_library();
        match (&self.values.database.path, default) {
            // A path that someone wrote down may well be the default one.
            (Some(path), default) => {
                let is_default = default.is_ok_and(|(default, _)| default == *path);
                Some(Database { path: path.clone(), is_default })
            }
            (None, Ok((path, origin))) => {
                if origin != Origin::Default {
                    self.origins.insert("database.path", origin);
                }
                Some(Database { path, is_default: true })
            }
            (None, Err(problem)) => {
                self.problems.push(problem);
                None
            }
        }
    }

    fn default_library(&self) -> Result<(PathBuf, Origin), Finding> {
        if let Some(directory) = self.paths.directories("STATE_DIRECTORY")?.first() {
            return Ok((directory.join("library.db"), Origin::Directory("STATE_DIRECTORY")));
        }
        self.paths.in_home("library.db").map(|path| (path, Origin::Default)).map_err(|advice| {
            let advice = format!("{advice} as database.path (VPO_DATABASE_PATH, --database)");
            Finding::new(Origin::Default, "database.path has no default", advice)
        })
    }

    fn library(&mut self) -> Library {
        self.check_roots();
        let library = &self.values.library;
        Library {
            roots: library.roots.clone().unwrap_or_default(),
            watch: library.watch.unwrap_or(true),
            rescan_interval: library
                .rescan_interval
                .map_or(Some(Duration::from_secs(3600)), |time| Some(time.get()))
                .filter(|time| !time.is_zero()),
            extensions: extensions(library.extensions.clone()),
        }
    }

    /// Roots must be apart: a video under two of them would be counted, moved and missed twice.
    fn check_roots(&mut self) {
        let roots = self.values.library.roots.as_deref().unwrap_or_default();
        let origin = self.origins.get("library.roots").cloned().unwrap_or(Origin::Default);
        for (index, root) in roots.iter().enumerate() {
            let shown = root.display();
            if root.components().any(|part| part == std::path::Component::ParentDir) {
                let what = format!("library.roots: {shown} has .. in it");
                self.problems.push(Finding::new(origin.clone(), what, "give the path without it"));
            }
            for earlier in &roots[..index] {
                let (inner, outer) = match (root.starts_with(earlier), earlier.starts_with(root)) {
                    (false, false) => continue,
                    (true, false) => (root, earlier),
                    (false, true) => (earlier, root),
                    (true, true) => {
                        let what = format!("library.roots: {shown} is there twice");
                        self.problems.push(Finding::new(origin.clone(), what, "remove one of the two"));
                        continue;
                    }
                };
                let what = format!("library.roots: {} is inside {}", inner.display(), outer.display());
                self.problems.push(Finding::new(
                    origin.clone(),
                    what,
                    "remove the inner one: the outer one covers it",
                ));
            }
        }
    }
}

fn extensions(given: Option<Vec<Extension>>) -> Vec<String> {
    let Some(given) = given else { return EXTENSIONS.map(str::to_owned).to_vec() };
    let mut extensions: Vec<String> = Vec::new();
    for extension in given.into_iter().map(Extension::into_string) {
        if !extensions.contains(&extension) {
            extensions.push(extension);
        }
    }
    extensions
}

fn to_usize(number: NonZero<u32>) -> usize {
    usize::try_from(number.get()).unwrap_or(usize::MAX)
}
