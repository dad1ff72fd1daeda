//! `vpo serve`: starts, runs and stops the daemon; [`live`] lists the steps. This is the composition root, the only
//! module that names daemon, library and scan.

mod checks;
mod manager;
mod metrics;
mod reload;
mod scanning;
mod shown;
mod start;
mod stop;

use std::future::pending;
use std::io;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::{JoinError, JoinHandle, spawn_blocking};
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;
use tracing::{error, info};

use super::{EXIT_DAMAGED, EXIT_FAILURE, output, refuse};
use crate::base::address::Address;
use crate::base::error::chain;
use crate::base::times::{LOG_FAILURE_FLUSH_TIMEOUT, LOG_FLUSH_TIMEOUT, POOL_THREAD_IDLE_TIMEOUT};
use crate::cli::ServeArgs;
use crate::config::{ConfigError, Environment, Layer};
use crate::daemon::health::{Health, Identity, Phase};
use crate::daemon::http;
use crate::daemon::notify::{self, PassedSocketError};
use crate::daemon::signals::{Request, Signals, Stop};
use crate::library::lock::LockError;
use crate::library::{Library, OpenError, SCHEMA_VERSION};
use crate::telemetry::{self, Telemetry};
use manager::{Manager, Status};
use reload::Reload;
use scanning::Scanning;
use shown::ForPage;
use start::{Opened, Shown};

/// Why the daemon did not start, or ended with a failure.
#[derive(Debug, thiserror::Error)]
enum ServeError {
    #[error("cannot set up the event loop: {0}; raise the limit on open files (ulimit -n, LimitNOFILE=)")]
    EventLoop(#[source] io::Error),
    #[error(transparent)]
    Config(#[from] ConfigError),
    #[error(transparent)]
    Logging(#[from] telemetry::InitError),
    #[error(transparent)]
    Library(#[from] OpenError),
    #[error(
        "error[database-damaged]: {} is damaged ({detail}), and {starts} starts have found it so. Restore a backup with `vpo \
         restore`; to start with the damaged database, delete its lock file", path.display()
    )]
    Damaged { path: PathBuf, detail: String, starts: u32 },
    #[error(transparent)]
    Socket(#[from] PassedSocketError),
    #[error(transparent)]
    Listen(#[from] http::BindError),
    #[error(transparent)]
    Publish(#[from] LockError),
    #[error(
        "cannot start the thread that checks the database: {0}; raise the limit on tasks (ulimit -u, TasksMax=)"
    )]
    Checks(#[source] io::Error),
    #[error("the start crashed: {0}; please report this as a bug")]
    Crashed(#[from] JoinError),
    #[error(transparent)]
    Http(http::ServeError),
    #[error("the HTTP server exited unexpectedly ({0}); please report this as a bug")]
    HttpEnded(String),
}

/// The sources of the configuration besides the file. A reload reads them again.
struct Sources {
    flags: Layer,
    environment: Environment,
}

/// The log. Empty until it is set up.
type Log = Arc<OnceLock<Telemetry>>;

/// Runs `vpo serve`.
#[must_use]
pub(crate) fn run(args: &ServeArgs) -> ExitCode {
    let environment = Environment::from_process();
    // Before anything else opens a descriptor or starts a thread. An error is reported when the socket is needed.
    let socket = notify::take_socket(environment.get("LISTEN_PID"), environment.get("LISTEN_FDS"));
    let sources = Sources { flags: args.layer(), environment };
    let log = Log::default();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .thread_keep_alive(POOL_THREAD_IDLE_TIMEOUT)
        .build();
    let outcome = runtime.map_err(ServeError::EventLoop).and_then(|runtime| {
        let outcome = runtime.block_on(live(sources, socket, Arc::clone(&log)));
        // A thread that hangs in a system call must not hold the exit: dropping the runtime would wait for it.
        runtime.shutdown_background();
        outcome
    });
    let code = outcome.unwrap_or_else(|error| report(&error, &log));
    if let Some(telemetry) = log.get() {
        telemetry.flush(LOG_FLUSH_TIMEOUT);
    }
    code
}

/// Reports a failure in the log, or on standard error before the log is set up.
fn report(error: &ServeError, log: &Log) -> ExitCode {
    if let ServeError::Config(error) = error {
        return refuse(error);
    }
    let code = if matches!(error, ServeError::Damaged { .. }) { EXIT_DAMAGED } else { EXIT_FAILURE };
    let Some(log) = log.get() else { return output::fail(error, code) };
    error!("{}", chain(error));
    log.flush(LOG_FAILURE_FLUSH_TIMEOUT);
    ExitCode::from(code)
}

/// Runs the daemon from start to stop. Blocking work runs on threads that are never joined. The exit waits only for requests
/// and tasks, until the shutdown timeout.
async fn live(
    sources: Sources,
    socket: Result<Option<OwnedFd>, PassedSocketError>,
    log: Log,
) -> Result<ExitCode, ServeError> {
    // Signals first, so that the daemon can be stopped during a slow start.
    let mut signals = Signals::install().map_err(ServeError::EventLoop)?;
    let manager = Manager::new(&sources.environment);
    manager.notifier.status(Phase::Starting.as_str());
    let stop = CancellationToken::new();
    let _stop_at_the_end = stop.clone().drop_guard();

    // Configuration, log, socket, database.
    let cancelled = stop.clone();
    let opened = spawn_blocking(move || start::open(sources, socket, &log, &cancelled));
    let Opened { sources, config, origins, file, telemetry, socket, library } = tokio::select! {
        biased;
        signal = signals.stop() => {
            info!("{signal} during the start: stopped");
            manager.notifier.stopping();
            return Ok(ExitCode::SUCCESS);
        }
        opened = opened => opened??,
    };

    // Health checks, tasks, requests.
    let health = Health::new(Identity { version: env!("CARGO_PKG_VERSION"), schema_version: SCHEMA_VERSION });
    checks::register(&health, &library, &config).map_err(ServeError::Checks)?;
    let listener = start::listen(socket, &config.server)?;
    let address = listener.address().clone();
    let settings = watch::Sender::new(scanning::settings(&config));
    let Scanning { scans, counted, task: scanner, handle } =
        scanning::start(&library, &settings, &health, &stop);
    let server = config.server.clone();
    let reload = Reload { sources, in_force: config, origins, file, telemetry: telemetry.clone(), settings };
    let reload = Arc::new(Mutex::new(reload));
    let shown = Shown {
        for_page: ForPage::new(&health, &library, &scans, &reload),
        health: health.clone(),
        telemetry,
        library: Arc::clone(&library),
        scans: scans.clone(),
        counted,
        scanner,
    };
    let mut daemon = Daemon {
        http: tokio::spawn(start::serve_http(listener, shown, &server, stop.clone())),
        scanner: handle,
        shutdown_timeout: server.shutdown_timeout.get(),
        reload,
        status: Status { health, scans, reload_failure: None },
        manager,
        library,
        stop,
    };

    // Ready until a signal or a failure. Then stop.
    let outcome = daemon.serve(&mut signals, address).await;
    stop::stop(daemon, signals, outcome).await
}

/// The result of the task of the HTTP server.
type HttpOutcome = Result<Result<(), http::ServeError>, JoinError>;

/// A daemon that accepts connections.
struct Daemon {
    manager: Manager,
    status: Status,
    library: Arc<Library>,
    http: JoinHandle<Result<(), http::ServeError>>,
    scanner: AbortOnDropHandle<()>,
    /// Stops HTTP, the scanner and work on the database.
    stop: CancellationToken,
    reload: Arc<Mutex<Reload>>,
    shutdown_timeout: Duration,
}

impl Daemon {
    /// Finishes the start and serves until a signal asks to stop.
    async fn serve(&mut self, signals: &mut Signals, address: Address) -> Result<Stop, ServeError> {
        self.show_status();
        info!(%address, "listening");
        let library = Arc::clone(&self.library);
        let page = address.page().filter(|_| self.is_on_terminal());
        let publish = move || library.lock().map_or(Ok(()), |lock| lock.publish(&address));
        tokio::select! {
            biased;
            stop = signals.stop() => return Ok(stop),
            outcome = &mut self.http => return Err(http_ended(outcome)),
            published = spawn_blocking(publish) => published??,
        }
        self.status.health.set_phase(Phase::Running);
        self.show_status();
        self.manager.notifier.ready();
        info!("running");
        if let Some(page) = page {
            info!("open {page}");
        }
        if self.has_no_roots() {
            info!("no roots: nothing is scanned. Add --root DIRECTORY, or scan.roots to the configuration");
        }
        self.until_stopped(signals).await
    }

    async fn until_stopped(&mut self, signals: &mut Signals) -> Result<Stop, ServeError> {
        let mut watchdog = self.manager.watchdog();
        let mut status = self.manager.status_ticks();
        // A SIGHUP during a reload starts another reload after it.
        let mut reload_wanted = false;
        let mut reloading = None;
        loop {
            if reload_wanted && reloading.is_none() {
                reload_wanted = false;
                reloading = Some(self.begin_reload());
            }
            tokio::select! {
                biased;
                request = signals.request() => match request {
                    Request::Stop(stop) => return Ok(stop),
                    Request::Reload => reload_wanted = true,
                },
                outcome = &mut self.http => return Err(http_ended(outcome)),
                done = finished(&mut reloading) => {
                    reloading = None;
                    self.end_reload(done);
                }
                // This branch runs only if the event loop does.
                () = watchdog.next() => if self.status.health.is_alive() {
                    self.manager.notifier.watchdog();
                },
                () = status.next() => {
                    self.manager.notifier.retry();
                    self.show_status();
                }
            }
        }
    }

    /// Starts a reload on a thread, because the disk of the files may hang.
    fn begin_reload(&self) -> JoinHandle<Result<(), String>> {
        self.manager.notifier.reloading();
        let reload = Arc::clone(&self.reload);
        spawn_blocking(move || reload.lock().unwrap_or_else(PoisonError::into_inner).run())
    }

    fn end_reload(&mut self, done: Result<Result<(), String>, JoinError>) {
        self.status.reload_failure = match done {
            Ok(Ok(())) => None,
            Ok(Err(failure)) => {
                error!("reload failed, nothing was changed: {failure}");
                Some(failure)
            }
            Err(crash) => {
                error!("reload crashed: {crash}; please report this as a bug");
                Some("it crashed".to_owned())
            }
        };
        self.show_status();
        self.manager.notifier.ready();
    }

    fn has_no_roots(&self) -> bool {
        self.reload.lock().unwrap_or_else(PoisonError::into_inner).in_force.scan.roots.is_empty()
    }

    fn is_on_terminal(&self) -> bool {
        self.reload.lock().unwrap_or_else(PoisonError::into_inner).telemetry.is_on_terminal()
    }

    fn show_status(&self) {
        self.manager.notifier.status(&self.status.line());
    }
}

fn http_ended(outcome: HttpOutcome) -> ServeError {
    match outcome {
        Ok(Err(failure)) => ServeError::Http(failure),
        Ok(Ok(())) => ServeError::HttpEnded("without an error".to_owned()),
        Err(failure) => ServeError::HttpEnded(failure.to_string()),
    }
}

/// Waits until a task ends; for ever if there is none.
async fn finished<T>(task: &mut Option<JoinHandle<T>>) -> Result<T, JoinError> {
    match task {
        Some(task) => task.await,
        None => pending().await,
    }
}
