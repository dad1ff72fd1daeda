//! The steps of the start: the socket, the database, the HTTP server.

use std::io::ErrorKind;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};
use warp::Filter;

use super::shown::ForPage;
use super::{Log, ServeError, Sources, metrics, scanning};
use crate::api::{self, Readers};
use crate::base::address::Address;
use crate::commands::terminal;
use crate::config::{self, Config, Origins};
use crate::daemon::backoff::TaskState;
use crate::daemon::health::{self, Health, ListedCheck};
use crate::daemon::http::{self, Bound, Counters, Limits, Listener, Policy, Token};
use crate::daemon::notify::PassedSocketError;
use crate::library::{self, Library, lock};
use crate::page;
use crate::scan::ScanState;
use crate::scan::state::Counted;
use crate::telemetry::{self, Telemetry};

/// Starts with the same damaged database after which the next one fails. Otherwise a service manager that kills an unhealthy
/// daemon would restart it without end.
const DAMAGED_STARTS: u32 = 3;

/// The result of [`open`].
pub(super) struct Opened {
    pub(super) sources: Sources,
    pub(super) config: Config,
    pub(super) origins: Origins,
    /// The file of the configuration.
    pub(super) file: Option<PathBuf>,
    pub(super) telemetry: Telemetry,
    pub(super) socket: Bound,
    pub(super) library: Arc<Library>,
}

/// Reads the configuration, sets up the log, binds the socket and opens the database. All of these may block.
pub(super) fn open(
    sources: Sources,
    passed: Result<Option<OwnedFd>, PassedSocketError>,
    log: &Log,
    stop: &CancellationToken,
) -> Result<Opened, ServeError> {
    let resolved = Config::resolve(&sources.flags, &sources.environment)?;
    let config = resolved.config;
    let telemetry = Telemetry::init(telemetry::Options {
        level: config.logging.level,
        format: config.logging.format,
        output: config.logging.output,
        journal_stream: sources.environment.get("JOURNAL_STREAM"),
        terminal: terminal(&sources.environment),
    })?;
    let _ = log.set(telemetry.clone());
    for warning in &resolved.warnings {
        warn!("configuration: {warning}");
    }
    info!(
        version = env!("CARGO_PKG_VERSION"),
        library = %config.database.path.display(),
        roots = config.scan.roots.len(),
        config = resolved.file.as_deref().map(|file| tracing::field::display(file.display())),
        "starting"
    );
    let options = library::Options {
        write: !config.scan.roots.is_empty(),
        create_directory: config.is_default_path,
        runtime_directory: sources.environment.runtime_directory(),
    };
    // Before a database is created that a wrong port would leave behind.
    let bound = bind(&config, passed?, options.runtime_directory)?;
    let runtime_directory = options.runtime_directory;
    let path = &config.database.path;
    let damaged = |counted: Option<(u32, String)>| {
        let (starts, detail) = counted.filter(|(starts, _)| *starts > DAMAGED_STARTS)?;
        Some(ServeError::Damaged { path: path.clone(), detail, starts })
    };
    let library = Library::open(path, options, stop).map_err(|error| {
        let counted = Library::count_unopened_start(path, runtime_directory, &error, stop);
        damaged(counted).unwrap_or_else(|| error.into())
    })?;
    let socket = match bound {
        Some(socket) => socket,
        None => Bound::bind(config.server.bind.get(), config.server.port)?,
    };
    if let Some(error) = damaged(library.count_damaged_start()) {
        return Err(error);
    }
    let library = Arc::new(library);
    let (origins, file) = (resolved.origins, resolved.file);
    Ok(Opened { sources, config, origins, file, telemetry, socket, library })
}

/// Uses the passed socket, or binds a new one; `None` if the address is in use and a daemon has locked the database. It
/// probably listens there. Opening the database waits for it to end, else reports it.
fn bind(
    config: &Config,
    passed: Option<OwnedFd>,
    runtime_directory: Option<&Path>,
) -> Result<Option<Bound>, http::BindError> {
    if let Some(socket) = passed {
        return Bound::passed(socket).map(Some);
    }
    match Bound::bind(config.server.bind.get(), config.server.port) {
        Err(http::BindError::Bind { error, .. })
            if error.kind() == ErrorKind::AddrInUse
                && lock::held(&config.database.path, runtime_directory).is_some() =>
        {
            Ok(None)
        }
        bound => bound.map(Some),
    }
}

/// Listens on the socket.
pub(super) fn listen(socket: Bound, server: &config::Server) -> Result<Listener, http::BindError> {
    let listener = socket.listen()?;
    if let Address::Tcp(address) = listener.address()
        && !address.ip().to_canonical().is_loopback()
        && server.auth_token.is_none()
    {
        warn!(%address, "every client that reaches this address can read the library; set server.auth_token, or bind to 127.0.0.1");
    }
    Ok(listener)
}

/// The parts that the HTTP server shows.
pub(super) struct Shown {
    pub(super) for_page: ForPage,
    pub(super) health: Health,
    pub(super) telemetry: Telemetry,
    pub(super) library: Arc<Library>,
    pub(super) scans: watch::Receiver<ScanState>,
    pub(super) counted: watch::Receiver<Option<Arc<Counted>>>,
    pub(super) scanner: watch::Receiver<TaskState>,
}

/// The daemon as the API shows it.
fn state(health: &Health) -> api::Daemon {
    let problem = |check: &ListedCheck| {
        let result = check.result.as_deref().filter(|result| result.status != health::Status::Pass)?;
        Some(api::Problem {
            name: check.name.to_string(),
            status: result.status.as_str(),
            reason: result.reason,
            detail: result.detail.clone(),
        })
    };
    api::Daemon {
        version: health.identity().version,
        phase: health.phase().as_str(),
        uptime_seconds: health.uptime().as_secs(),
        problems: health.checks().iter().filter_map(problem).collect(),
    }
}

/// Runs the HTTP server until `stop` is cancelled and every request is answered.
pub(super) fn serve_http(
    listener: Listener,
    shown: Shown,
    server: &config::Server,
    stop: CancellationToken,
) -> impl Future<Output = Result<(), http::ServeError>> + use<> {
    let counters = Arc::new(Counters::default());
    let mut registry = http::exposition(shown.health.clone(), Arc::clone(&counters));
    metrics::add(&mut registry, &shown);
    let readers = Readers::new(Arc::clone(&shown.library), scanning::roots(shown.scans));
    let page = page::routes(&readers, shown.library, Arc::new(shown.for_page));
    let health = shown.health.clone();
    let others = api::routes(&readers, move || state(&health)).or(page).unify().boxed();
    let policy = Policy {
        token: server.auth_token.as_ref().map(|secret| Token::new(secret.expose())),
        hosts: server.hosts.iter().cloned().collect(),
    };
    let routes = http::routes(shown.health, Arc::new(registry), policy, others);
    let limits = Limits::fitted(usize::try_from(server.max_connections.get()).unwrap_or(usize::MAX));
    http::serve(listener, routes, stop, limits, counters)
}
