//! `vpo serve`: the composition root, the only place that names daemon, library and scan.
//!
//! The daemon core knows nothing of configuration, videos or SQL; this file gives it its parts: a library to
//! check, a socket to serve, tasks to supervise, what SIGHUP rereads and what the end closes.

mod scanning;

use std::error::Error;
use std::io;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::{JoinError, spawn_blocking};
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};

use super::{EXIT_DAMAGED, EXIT_FAILURE, output, refuse};
use crate::api;
use crate::base::address::Address;
use crate::base::error::chain;
use crate::cli::ServeArgs;
use crate::config::{self, Config, ConfigError, Environment, Layer};
use crate::daemon::health::{Health, Identity, Verdict};
use crate::daemon::http::{self, Counters, Limits, Listener, Policy, Token};
use crate::daemon::lifecycle::{self, LifecycleError, Manager, Service};
use crate::daemon::metrics::Kind;
use crate::daemon::notify::{self, PassedSocketError};
use crate::daemon::supervisor::{State, Supervisor};
use crate::library::lock::LockError;
use crate::library::{self, Library, OpenError, SCHEMA_VERSION};
use crate::scan::{ScanState, Settings};
use crate::telemetry::{self, Telemetry};

/// How long the exit waits for the last lines of the log.
const FLUSH_PATIENCE: Duration = Duration::from_millis(100);

/// The same, for the line that says why the daemon has failed.
const LAST_WORDS_PATIENCE: Duration = Duration::from_secs(1);

/// Starts that may find the same damaged database before the daemon ends by itself: a service manager that kills it for being
/// unhealthy and starts it again would do so for ever.
const DAMAGED_STARTS: u32 = 3;

/// Why the daemon did not start, or a reload was not done.
#[derive(Debug, thiserror::Error)]
enum ServeError {
    #[error(transparent)]
    Config(#[from] ConfigError),
    #[error("{0}")]
    Reload(String),
    #[error(transparent)]
    Logging(#[from] telemetry::InitError),
    #[error(transparent)]
    Library(#[from] OpenError),
    #[error(
        "error[database-damaged]: {} is damaged ({detail}), as {starts} starts have found. Restore a backup with `vpo restore`, or \
         delete its lock file to start with it all the same", path.display()
    )]
    Damaged { path: PathBuf, detail: String, starts: u32 },
    #[error(transparent)]
    Socket(#[from] PassedSocketError),
    #[error(transparent)]
    Listen(#[from] http::BindError),
    #[error(
        "cannot write the daemon's address for `vpo healthcheck`: {0}; free some space beside the library"
    )]
    Publish(#[from] LockError),
    #[error(
        "cannot start the thread that checks the library: {0}; raise the limit on tasks (ulimit -u, TasksMax=)"
    )]
    Checks(#[source] io::Error),
    #[error("a step of the start has crashed: {0}; please report this as a bug")]
    Crashed(#[from] JoinError),
}

/// Runs `vpo serve`.
#[must_use]
pub fn run(args: &ServeArgs) -> ExitCode {
    let environment = Environment::from_process();
    let variable = |name| environment.get(name).map(ToOwned::to_owned);
    // Before anything else opens a descriptor or starts a thread; used, or complained about, when its turn comes.
    let socket = notify::take_socket(environment.get("LISTEN_PID"), environment.get("LISTEN_FDS"));
    let manager = Manager {
        notify_socket: variable("NOTIFY_SOCKET"),
        watchdog_usec: variable("WATCHDOG_USEC"),
        watchdog_pid: variable("WATCHDOG_PID"),
    };
    let log = Log::default();
    let sources = Sources { flags: args.layer(), environment };
    let code = lifecycle::run(&manager, || start(sources, socket, Arc::clone(&log)))
        .unwrap_or_else(|error| report(&error, &log));
    if let Some(telemetry) = log.get() {
        telemetry.flush(FLUSH_PATIENCE);
    }
    code
}

/// The log, once it is set up.
type Log = Arc<OnceLock<Telemetry>>;

/// Says why the daemon has failed: in the log, and where there is none yet on standard error.
fn report(error: &LifecycleError<ServeError>, log: &Log) -> ExitCode {
    match error {
        LifecycleError::Start(ServeError::Config(error)) => refuse(error),
        error => {
            let is_damaged = matches!(error, LifecycleError::Start(ServeError::Damaged { .. }));
            let code = if is_damaged { EXIT_DAMAGED } else { EXIT_FAILURE };
            match log.get() {
                Some(log) => {
                    error!("{}", chain(error));
                    log.flush(LAST_WORDS_PATIENCE);
                    ExitCode::from(code)
                }
                None => output::fail(error, code),
            }
        }
    }
}

/// Where the configuration comes from, at the start and again at each SIGHUP.
struct Sources {
    flags: Layer,
    environment: Environment,
}

/// What the slow half of the start leads to.
struct Opened {
    sources: Sources,
    config: Config,
    telemetry: Telemetry,
    library: Library,
}

async fn start(
    sources: Sources,
    socket: Result<Option<OwnedFd>, PassedSocketError>,
    log: Log,
) -> Result<Service<ServeError>, ServeError> {
    // When a signal ends the start, this future is dropped, and the thread told so.
    let cancelled = CancellationToken::new();
    let _cancel = cancelled.clone().drop_guard();
    let Opened { sources, config, telemetry, library } =
        spawn_blocking(move || open(sources, &log, &cancelled)).await??;
    let library = Arc::new(library);

    let health = Health::new(Identity { version: env!("CARGO_PKG_VERSION"), schema_version: SCHEMA_VERSION });
    let checked = Arc::clone(&library);
    let verify_interval = config.database.verify_interval.interval();
    let check = move || {
        let found = checked.check();
        checked.verify_if_due(verify_interval, library::SHARE);
        verdict(found)
    };
    health.watch_database(check).map_err(ServeError::Checks)?;

    let listener = listen(&config.server, socket?)?;
    let address = listener.address().clone();
    warn_if_exposed(&config.server, &address);
    let supervisor = Supervisor::default();
    let http_stop = CancellationToken::new();
    let (library_settings, _) = watch::channel(scanning::settings(&config));
    let scans = scanning::start(Arc::clone(&library), &library_settings, supervisor.clone(), health.clone());
    let http = tokio::spawn(serve_http(
        listener,
        Http {
            health: health.clone(),
            supervisor: supervisor.clone(),
            telemetry: telemetry.clone(),
            library: Arc::clone(&library),
            scans: scans.clone(),
        },
        &config.server,
        http_stop.clone(),
    ));

    let published = Arc::clone(&library);
    let finish_start = async move {
        info!(%address, "listening");
        spawn_blocking(move || published.lock().map_or(Ok(()), |lock| lock.publish(&address))).await??;
        Ok(())
    };

    Ok(Service {
        status: status_line(health.clone(), supervisor.clone(), scans),
        reload: Some(Box::new(reload(sources, config.clone(), telemetry, library_settings))),
        close: Box::new(move || {
            if let Err(failure) = library.close() {
                warn!(error = &failure as &dyn Error, "the library was not closed cleanly; nothing is lost");
            }
        }),
        finish_start: Box::pin(finish_start),
        shutdown_timeout: config.server.shutdown_timeout.get(),
        health,
        supervisor,
        http,
        http_stop,
    })
}

/// Everything that may block: configuration, logging, library. On a thread of its own.
fn open(sources: Sources, log: &Log, cancelled: &CancellationToken) -> Result<Opened, ServeError> {
    let resolved = Config::resolve(&sources.flags, &sources.environment)?;
    let config = resolved.config;
    let telemetry = Telemetry::init(telemetry::Options {
        level: config.logging.level,
        format: config.logging.format,
        output: config.logging.output,
        journal_stream: sources.environment.get("JOURNAL_STREAM"),
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
    let library = Library::open(&config.database.path, options, &|| cancelled.is_cancelled())?;
    if let Some((starts, detail)) = library.count_damaged_start()
        && starts > DAMAGED_STARTS
    {
        return Err(ServeError::Damaged { path: library.path().to_owned(), detail, starts });
    }
    Ok(Opened { sources, config, telemetry, library })
}

/// What the HTTP side shows.
struct Http {
    health: Health,
    supervisor: Supervisor,
    telemetry: Telemetry,
    library: Arc<Library>,
    scans: watch::Receiver<ScanState>,
}

fn serve_http(
    listener: Listener,
    shown: Http,
    server: &config::Server,
    stop: CancellationToken,
) -> impl Future<Output = Result<(), http::ServeError>> + use<> {
    let counters = Arc::new(Counters::default());
    let mut metrics = http::exposition(shown.health.clone(), Arc::clone(&counters), shown.supervisor);
    metrics.add(move |text| {
        text.family(
            "vpo_log_lines_dropped_total",
            Kind::Counter,
            "Log lines that could not be written in time.",
        )
        .sample(&[], shown.telemetry.dropped());
    });
    let verified = Arc::clone(&shown.library);
    metrics.add(move |text| {
        let Some(integrity) = verified.integrity() else { return };
        text.family(
            "vpo_database_integrity_check_ok",
            Kind::Gauge,
            "1 where the last integrity_check of the database passed, else 0.",
        )
        .sample(&[], u8::from(integrity.passed));
        text.family(
            "vpo_database_integrity_check_age_seconds",
            Kind::Gauge,
            "Time since the last integrity_check of the database ended.",
        )
        .sample(&[], integrity.age.as_secs_f64());
    });
    let api = api::routes(shown.library, scanning::roots(shown.scans.clone()));
    scanning::collect(&mut metrics, shown.scans);
    let policy = Policy {
        token: server.auth_token.as_ref().map(|secret| Token::new(secret.expose())),
        hosts: server.hosts.iter().cloned().collect(),
    };
    let routes = http::routes(shown.health, Arc::new(metrics), policy, api);
    let limits = Limits::fitted(usize::try_from(server.max_connections.get()).unwrap_or(usize::MAX));
    http::serve(listener, routes, stop, limits, counters)
}

/// The passed socket, or one of our own.
fn listen(server: &config::Server, passed: Option<OwnedFd>) -> Result<Listener, http::BindError> {
    match passed {
        Some(socket) => Listener::passed(socket),
        None => Listener::bind(server.bind, server.port),
    }
}

fn warn_if_exposed(server: &config::Server, address: &Address) {
    if let Address::Tcp(address) = address
        && !address.ip().to_canonical().is_loopback()
        && server.auth_token.is_none()
    {
        warn!(%address, "anyone who reaches this address can read the library: set server.auth_token, or bind to 127.0.0.1");
    }
}

/// A look at the library, as the health module understands it.
fn verdict(found: library::Finding) -> Verdict {
    let detail = found.detail.unwrap_or_default();
    match found.reason {
        None => Verdict { detail: Some(detail).filter(|detail| !detail.is_empty()), ..Verdict::pass() },
        Some(reason) if found.busy => Verdict::busy(reason.as_str(), detail),
        Some(reason) if reason.is_warning() => Verdict::warn(reason.as_str(), detail),
        Some(reason) => Verdict::fail(reason.as_str(), detail),
    }
}

/// What the status line says besides the phase.
fn status_line(
    health: Health,
    supervisor: Supervisor,
    scans: watch::Receiver<ScanState>,
) -> Box<dyn Fn() -> String + Send> {
    Box::new(move || {
        let mut parts = Vec::new();
        if let Some(reason) = health.last().seen.and_then(|seen| seen.verdict.reason) {
            parts.push(format!("library {reason}"));
        }
        if let Some(files) = scanning::files(&scans.borrow()) {
            parts.push(format!("{files} files"));
        }
        let tasks = supervisor.tasks();
        for state in State::ALL {
            match tasks.iter().filter(|task| task.state == state).count() {
                0 if state != State::Running => {}
                1 => parts.push(format!("1 task {}", state.as_str())),
                count => parts.push(format!("{count} tasks {}", state.as_str())),
            }
        }
        parts.join(", ")
    })
}

/// At the start each problem gets its line on standard error; a reload says all in one line of the log.
fn in_one_line(error: &ConfigError) -> ServeError {
    let problems: Vec<_> = error.problems.iter().map(ToString::to_string).collect();
    ServeError::Reload(problems.join("; "))
}

/// SIGHUP: what can change while the daemon runs changes, the rest is named.
fn reload(
    sources: Sources,
    mut in_force: Config,
    telemetry: Telemetry,
    library_settings: watch::Sender<Settings>,
) -> impl FnMut() -> Result<(), ServeError> + Send {
    move || {
        let resolved =
            Config::resolve(&sources.flags, &sources.environment).map_err(|error| in_one_line(&error))?;
        for warning in &resolved.warnings {
            warn!("configuration: {warning}");
        }
        let changes = Config::changes(&in_force, &resolved.config);
        in_force.reload(resolved.config);
        telemetry.set_level(in_force.logging.level);
        library_settings.send_if_modified(|settings| {
            let now = scanning::settings(&in_force);
            let differs = *settings != now;
            *settings = now;
            differs
        });
        if !changes.restart.is_empty() {
            warn!("reload: these keys need a restart to take effect: {}", changes.restart.join(", "));
        }
        match (changes.live.is_empty(), changes.restart.is_empty()) {
            (false, _) => info!(changed = changes.live.join(", "), "reloaded"),
            (true, true) => info!("reloaded: nothing changed"),
            (true, false) => info!("reloaded: nothing else changed"),
        }
        Ok(())
    }
}
