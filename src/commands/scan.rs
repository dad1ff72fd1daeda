//! `vpo scan [PATH…]`: scans once, in the foreground or through the running daemon.
//!
//! The process that holds the lock of the database scans. If that is a daemon, a job is queued for it. A PATH below a
//! configured root is scanned as a part of that root. Any other PATH is a root for this scan only.

mod foreground;
mod names;
mod remote;
pub(super) mod report;

use std::ffi::OsStr;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path, PathBuf};
use std::process::ExitCode;

use tokio::runtime::Runtime;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;

use super::{EXIT_FAILURE, EXIT_USAGE, client, configure, database, output, terminal};
use crate::base::log::{Level, Output};
use crate::base::signals::with_signals_blocked;
use crate::base::text::plural;
use crate::base::times::LOG_FLUSH_TIMEOUT;
use crate::cli::ScanArgs;
use crate::config::{self, Config, Environment};
use crate::library::lock::LockError;
use crate::library::{self, Library, OpenError};
use crate::scan::{self, name};
use crate::telemetry::{self, Telemetry};

/// 128 + SIGINT, as in shells.
const EXIT_INTERRUPTED: u8 = 130;
/// 128 + SIGTERM, as in shells.
const EXIT_TERMINATED: u8 = 143;

/// SIGINT and SIGTERM, which stop a scan.
type Signals = (Signal, Signal);

/// Installs the handlers of the signals that stop a scan.
fn listen(runtime: &Runtime) -> io::Result<Signals> {
    let _runtime = runtime.enter();
    with_signals_blocked(|| Ok((signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?)))?
}

/// Runs `vpo scan`.
#[must_use]
pub(crate) fn run(args: &ScanArgs) -> ExitCode {
    // A scan does not need the token, and its user may not be allowed to read it.
    let mut config = match configure(&args.layer(), Config::resolve_without_secrets) {
        Ok(resolved) => resolved.config,
        Err(code) => return code,
    };
    let environment = Environment::from_process();
    config.database.path = database::find(&config, &environment);
    if config.scan.roots.is_empty() {
        config.scan.roots = daemon_roots(&config.database.path, &environment).unwrap_or_default();
    }
    // The thread of the log must not receive these signals.
    let telemetry = match with_signals_blocked(|| start_logging(&config, &environment)) {
        Ok(Ok(telemetry)) => telemetry,
        Ok(Err(error)) => return output::fail(&error, EXIT_FAILURE),
        Err(error) => return output::fail(&scan::Error::Threads(error), EXIT_FAILURE),
    };
    let code = choose(args, &config, &environment);
    telemetry.flush(LOG_FLUSH_TIMEOUT);
    code
}

/// The roots of the running daemon; none if it does not answer, or does not show them.
fn daemon_roots(database: &Path, environment: &Environment) -> Option<Vec<PathBuf>> {
    let holder = client::holder(database, environment.runtime_directory())?;
    let health = client::health(&holder.address?, None)?;
    Some(client::roots(&health).map(|(root, _)| root.into()).collect())
}

fn choose(args: &ScanArgs, config: &Config, environment: &Environment) -> ExitCode {
    let paths = args.paths.iter().map(|path| absolute(path, environment)).collect::<Result<Vec<_>, _>>();
    let parts = match paths.and_then(|paths| parts(&paths, &config.scan.roots)) {
        Ok(parts) => parts,
        Err(complaint) => {
            output::complain(&complaint);
            return ExitCode::from(EXIT_USAGE);
        }
    };
    if warn_of_other_files(args, &config.scan.extensions) {
        return ExitCode::from(EXIT_USAGE);
    }
    // Beside a daemon that does not show its roots, the path may be of one of them.
    let is_of_daemon = config.scan.roots.is_empty()
        && client::holder(&config.database.path, environment.runtime_directory()).is_some();
    if !is_of_daemon && let Some(complaint) = parts.iter().find_map(|part| mistyped(part, config)) {
        output::complain(&complaint);
        return ExitCode::from(EXIT_FAILURE);
    }
    if args.dry_run {
        return foreground::preview(args, config, &parts);
    }
    // A wrong path would leave a new database behind, and so would a daemon that is not found.
    if !config.database.path.exists() {
        let paths: Vec<_> = parts.iter().map(|part| part.root.as_path()).collect();
        let second = || {
            let found = database::daemon_of(&paths, config, environment).filter(|_| !args.create)?;
            let path = config.database.path.display();
            Some(format!(
                "error[second-database]: {path} does not exist, and {found}, or make a second one with --create"
            ))
        };
        if let Some(why) = parts.iter().find_map(unreadable).map(|error| scan::coded(&error)).or_else(second)
        {
            output::complain(&why);
            return ExitCode::from(EXIT_FAILURE);
        }
    }
    let options = library::Options {
        write: true,
        create_directory: config.is_default_path,
        runtime_directory: environment.runtime_directory(),
    };
    match Library::open(&config.database.path, options, &CancellationToken::new()) {
        Ok(library) => foreground::scan(args, config, parts, library),
        Err(OpenError::Lock(LockError::Held { .. })) => {
            remote::scan(args, config, &parts, environment.runtime_directory())
        }
        Err(error) => output::fail(&error, EXIT_FAILURE),
    }
}

/// Why a part cannot be scanned, if its root or one of its paths is not there.
fn unreadable(part: &Part) -> Option<scan::Error> {
    if let Err(why) = scan::root::look(&part.root) {
        return Some(scan::Error::Offline { root: part.root.clone(), why });
    }
    part.targets.iter().find(|target| !target.exists()).cloned().map(scan::Error::Unknown)
}

/// Why a part that is not of a configured root cannot be scanned. The advice for a root does not apply to it.
fn mistyped(part: &Part, config: &Config) -> Option<String> {
    if config.scan.roots.contains(&part.root) {
        return None;
    }
    let shown = part.root.display();
    match part.root.metadata() {
        Ok(found) if found.is_dir() => None,
        Ok(_) => Some(format!(
            "error[unreadable]: cannot scan {shown}: it is neither a directory nor a regular file; give one"
        )),
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
            Some(format!(
                "error[unknown_path]: cannot scan {shown}: it does not exist; correct the path, or mount the share"
            ))
        }
        // The scan explains it.
        Err(_) => None,
    }
}

/// Warns of files that are given and that no scan reads. A shell gives such ones for `films/*`. Returns whether nothing
/// else is given.
fn warn_of_other_files(args: &ScanArgs, extensions: &[String]) -> bool {
    let is_skipped = |path: &&String| {
        let path = Path::new(path);
        let is_other = |name: &OsStr| !name::is_video(name.as_bytes(), extensions);
        path.is_file() && path.file_name().is_some_and(is_other)
    };
    let skipped: Vec<_> = args.paths.iter().filter(is_skipped).collect();
    let [first, ..] = skipped[..] else { return false };
    let text = format!(
        "{} skipped, because the name is not that of a finished video (scan.extensions: {}); the first is {first}",
        plural(skipped.len() as u64, "file"),
        extensions.join(", ")
    );
    let is_all = skipped.len() == args.paths.len();
    if is_all {
        output::complain(&format_args!("nothing to scan: {text}"));
    } else {
        output::warn(&text);
    }
    is_all
}

/// A root and what of it to scan.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Part {
    root: PathBuf,
    targets: Vec<PathBuf>,
}

/// Makes a PATH absolute. Rejects `..` after a name: after a symlink it could store the same file under two names.
fn absolute(path: &str, environment: &Environment) -> Result<PathBuf, String> {
    let whole = config::absolute(Path::new(path), environment)
        .map_err(|complaint| format!("cannot scan {path:?}: {complaint}"))?;
    if whole.components().any(|part| part == Component::ParentDir) {
        return Err(format!("cannot scan {path:?}: it contains .. after a name; give the path without it"));
    }
    Ok(whole)
}

/// The roots to scan: without a PATH all of them, else the root of each PATH.
fn parts(paths: &[PathBuf], roots: &[PathBuf]) -> Result<Vec<Part>, String> {
    let whole = |root: &PathBuf| Part { root: root.clone(), targets: vec![root.clone()] };
    if paths.is_empty() {
        if roots.is_empty() {
            return Err(
                "nothing to scan: no PATH is given, and scan.roots is empty. Try `vpo scan /srv/videos`"
                    .to_owned(),
            );
        }
        return Ok(roots.iter().map(whole).collect());
    }
    let mut parts: Vec<Part> = Vec::new();
    for path in paths {
        // The innermost of nested roots.
        let root =
            roots.iter().filter(|root| path.starts_with(root)).max_by_key(|root| root.as_os_str().len());
        match root {
            Some(root) => match parts.iter_mut().find(|part| part.root == *root) {
                Some(part) => part.targets.push(path.clone()),
                None => parts.push(Part { root: root.clone(), targets: vec![path.clone()] }),
            },
            None if path.is_file() => {
                let root = path.parent().unwrap_or(Path::new("/")).to_owned();
                parts.push(Part { root, targets: vec![path.clone()] });
            }
            None => parts.push(whole(path)),
        }
        // A walk does not enter another root, so roots below PATH are added.
        parts.extend(roots.iter().filter(|root| root.starts_with(path) && *root != path).map(whole));
    }
    for part in &mut parts {
        if part.targets.contains(&part.root) {
            part.targets = vec![part.root.clone()];
        }
        part.targets.sort();
        part.targets.dedup();
        let all = part.targets.clone();
        part.targets.retain(|path| !all.iter().any(|other| other != path && path.starts_with(other)));
    }
    parts.dedup();
    Ok(parts)
}

/// Logs to standard error. Level `info` would only repeat the summary, so it becomes `warning`.
fn start_logging(config: &Config, environment: &Environment) -> Result<Telemetry, telemetry::InitError> {
    Telemetry::init(telemetry::Options {
        level: match config.logging.level {
            Level::Info => Level::Warning,
            other => other,
        },
        format: config.logging.format,
        output: Output::Stderr,
        journal_stream: None,
        terminal: terminal(environment),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn part(root: &str, targets: &[&str]) -> Part {
        Part { root: root.into(), targets: targets.iter().map(PathBuf::from).collect() }
    }

    #[test]
    fn a_path_belongs_to_the_innermost_root() {
        let roots = [PathBuf::from("/media"), PathBuf::from("/media/films"), PathBuf::from("/other")];
        let of = |paths: &[&str]| {
            parts(&paths.iter().map(PathBuf::from).collect::<Vec<_>>(), &roots).expect("valid")
        };
        assert_eq!(of(&["/media/films/a"]), [part("/media/films", &["/media/films/a"])]);
        assert_eq!(of(&["/other/a", "/other/a/b", "/other/c"]), [part("/other", &["/other/a", "/other/c"])]);
        assert_eq!(of(&["/media"]), [part("/media", &["/media"]), part("/media/films", &["/media/films"])]);
        assert_eq!(of(&["/elsewhere"]), [part("/elsewhere", &["/elsewhere"])]);
        assert!(parts(&[], &[]).is_err());
    }
}
