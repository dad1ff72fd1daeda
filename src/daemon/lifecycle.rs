//! The daemon's life as one narrative: signals → start → serve → drain → exit.
//!
//! Signals are listened to before anything slow happens, so that a stop is obeyed at every moment of the
//! start. Whatever may block (a hung disk, a stuck pipe) runs on a thread that nobody joins: the exit waits
//! for tasks and requests until the shutdown timeout, and for nothing else. This module does not know what
//! the daemon serves, where its configuration comes from, or what it closes at the end: the [`Service`]
//! holds that as futures and functions.

mod signals;

use std::error::Error;
use std::ffi::OsString;
use std::future::{Future, pending};
use std::io;
use std::pin::Pin;
use std::process::ExitCode;
use std::time::Duration;

use tokio::task::{JoinError, JoinHandle};
use tokio::time::{Instant, Interval, MissedTickBehavior, interval_at, timeout_at};
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};

use crate::daemon::health::{CheckResult, Health, Phase};
use crate::daemon::http;
use crate::daemon::notify::{Notifier, watchdog_period};
use crate::daemon::supervisor::{State, Supervisor, Task};
use signals::{Request, Signals, Stop};

/// Exit code after a second SIGINT: 128 + SIGINT, as shells have it.
const EXIT_INTERRUPTED: u8 = 130;

/// Time that closing gets when the shutdown timeout has run out: enough for a healthy disk.
const LEAST_TIME_TO_CLOSE: Duration = Duration::from_millis(500);

/// How often the service manager is told what has changed.
const STATUS_PERIOD: Duration = Duration::from_secs(1);

/// What the service manager put into the environment; `None` where a variable is not set.
#[derive(Clone, Debug, Default)]
pub struct Manager {
    /// `$NOTIFY_SOCKET`
    pub notify_socket: Option<OsString>,
    /// `$WATCHDOG_USEC`
    pub watchdog_usec: Option<OsString>,
    /// `$WATCHDOG_PID`
    pub watchdog_pid: Option<OsString>,
}

/// A future that a [`Service`] hands over.
pub type Work<T> = Pin<Box<dyn Future<Output = T> + Send>>;

/// Rereads the configuration and applies what can be applied; on a thread of its own, as files may be on a
/// hung disk. An error means that nothing was changed.
pub type Reload<E> = Box<dyn FnMut() -> Result<(), E> + Send>;

/// The function comes back from its thread with its result.
type Reloaded<E> = (Reload<E>, Result<(), E>);

/// A daemon that serves: what a start hands over as soon as clients can reach it.
pub struct Service<E> {
    /// What probes are told.
    pub health: Health,
    /// The tasks.
    pub supervisor: Supervisor,
    /// The HTTP side; ends once `http_stop` is cancelled and every request is answered.
    pub http: JoinHandle<Result<(), http::ServeError>>,
    /// Tells the HTTP side to drain.
    pub http_stop: CancellationToken,
    /// The rest of the start: what may only happen once the daemon serves.
    pub finish_start: Work<Result<(), E>>,
    /// SIGHUP; `None` while it runs.
    pub reload: Option<Reload<E>>,
    /// What the status line says besides the phase.
    pub status: Box<dyn Fn() -> String + Send>,
    /// Closes what the daemon opened; runs after the tasks have ended, on a thread of its own.
    pub close: Box<dyn FnOnce() + Send>,
    /// How long a stop may take before what is left is cancelled.
    pub shutdown_timeout: Duration,
}

/// How the HTTP side's task came to its end.
type HttpOutcome = Result<Result<(), http::ServeError>, JoinError>;

/// Why the daemon ended with a failure.
#[derive(Debug, thiserror::Error)]
pub enum LifecycleError<E: Error + 'static> {
    /// No event loop or no signal handlers.
    #[error("cannot set up the event loop: {0}; raise the limit on open files (ulimit -n, LimitNOFILE=)")]
    EventLoop(#[source] io::Error),
    /// The service did not start.
    #[error(transparent)]
    Start(E),
    /// The HTTP side failed.
    #[error(transparent)]
    Http(http::ServeError),
    /// The HTTP side ended without being told to.
    #[error("the HTTP side has ended: {0}; please report this as a bug")]
    HttpEnded(String),
}

/// How a life without failure ended.
enum End {
    /// As asked.
    Stopped,
    /// A second SIGINT.
    Interrupted,
}

/// Runs a daemon from its first moment to its last, and says with which code to exit.
///
/// # Errors
/// When it could not start, or its HTTP side failed.
pub fn run<S, F, E>(manager: &Manager, start: S) -> Result<ExitCode, LifecycleError<E>>
where
    S: FnOnce() -> F,
    F: Future<Output = Result<Service<E>, E>>,
    E: Error + Send + 'static,
{
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .thread_keep_alive(Duration::from_secs(1))
        .build()
        .map_err(LifecycleError::EventLoop)?;
    let end = runtime.block_on(async {
        let signals = Signals::listen().map_err(LifecycleError::EventLoop)?;
        live(signals, manager, start).await
    });
    // A thread that hangs in a system call must not hold the exit: dropping the runtime would wait for it.
    runtime.shutdown_background();
    end.map(|end| match end {
        End::Stopped => ExitCode::SUCCESS,
        End::Interrupted => ExitCode::from(EXIT_INTERRUPTED),
    })
}

async fn live<S, F, E>(mut signals: Signals, manager: &Manager, start: S) -> Result<End, LifecycleError<E>>
where
    S: FnOnce() -> F,
    F: Future<Output = Result<Service<E>, E>>,
    E: Error + Send + 'static,
{
    let notifier = Notifier::new(manager.notify_socket.as_deref());
    notifier.status(Phase::Starting.as_str());
    let started = tokio::select! {
        biased;
        stop = signals.stop() => {
            info!("{stop} during the start: stopped");
            notifier.stopping();
            return Ok(End::Stopped);
        }
        started = start() => started.map_err(LifecycleError::Start)?,
    };
    let mut watchdog =
        Ticks::every(watchdog_period(manager.watchdog_usec.as_deref(), manager.watchdog_pid.as_deref()));
    let mut daemon = Daemon { service: started, notifier, signals, reload_failure: None };

    let outcome = daemon.serve(&mut watchdog).await;
    let interrupted = daemon.drain(&outcome).await;
    match (interrupted, outcome) {
        (Some(interrupted), _) => Ok(interrupted),
        (None, outcome) => outcome.map(|_| End::Stopped),
    }
}

impl<E: Error + Send + 'static> Service<E> {
    /// Ends requests, tasks and all else in order; what is left at the deadline is cancelled and named.
    async fn end(&mut self, deadline: Instant) {
        self.http_stop.cancel();
        // Told now, awaited after the requests: a scan need not go on while a slow client reads.
        self.supervisor.stop();
        let mut left = Vec::new();
        if !self.http.is_finished() {
            match timeout_at(deadline, &mut self.http).await {
                Ok(Ok(Ok(()))) => {}
                Ok(outcome) => error!("{}", http_failed::<E>(outcome)),
                Err(_) => {
                    left.push("requests in progress".to_owned());
                    self.http.abort();
                }
            }
        }
        left.extend(self.supervisor.drain(deadline).await);
        if !left.is_empty() {
            warn!("cancelled after {:?}: {}", self.shutdown_timeout, left.join(", "));
        }
        self.close_by(deadline.max(Instant::now() + LEAST_TIME_TO_CLOSE)).await;
    }

    /// Stops the checks and closes what the daemon opened, or says that it took too long.
    async fn close_by(&mut self, deadline: Instant) {
        let close = std::mem::replace(&mut self.close, Box::new(|| ()));
        let closed = async {
            self.health.stop_checks().await;
            tokio::task::spawn_blocking(close).await
        };
        match timeout_at(deadline, closed).await {
            Ok(Ok(())) => {}
            Ok(Err(failure)) => error!("closing failed: {failure}"),
            Err(_) => warn!("not closed in time: the disk does not answer"),
        }
    }
}

struct Daemon<E> {
    service: Service<E>,
    notifier: Notifier,
    signals: Signals,
    /// Why the last reload failed, if it did: the status line says so until one succeeds.
    reload_failure: Option<String>,
}

impl<E: Error + Send + 'static> Daemon<E> {
    /// Finishes the start and serves until a signal asks to stop.
    async fn serve(&mut self, watchdog: &mut Ticks) -> Result<Stop, LifecycleError<E>> {
        self.tell_status();
        tokio::select! {
            biased;
            stop = self.signals.stop() => return Ok(stop),
            outcome = &mut self.service.http => return Err(http_failed(outcome)),
            outcome = &mut self.service.finish_start => outcome.map_err(LifecycleError::Start)?,
        }
        self.service.health.set_phase(Phase::Running);
        self.tell_status();
        self.notifier.ready();
        info!("running");

        let mut tasks = self.service.supervisor.subscribe();
        tasks.mark_changed();
        let mut status = Ticks::every(self.notifier.is_connected().then_some(STATUS_PERIOD));
        // SIGHUP: wanted, and under way. One that comes while another is under way is done after it.
        let mut reload_wanted = false;
        let mut reloading = None;
        loop {
            if reload_wanted && reloading.is_none() {
                reload_wanted = false;
                reloading = self.begin_reload();
            }
            tokio::select! {
                biased;
                request = self.signals.request() => match request {
                    Request::Stop(stop) => return Ok(stop),
                    Request::Reload => reload_wanted = true,
                },
                outcome = &mut self.service.http => return Err(http_failed(outcome)),
                done = finished(&mut reloading) => {
                    reloading = None;
                    self.end_reload(done);
                }
                () = watchdog.next() => {
                    // That this line runs shows that the event loop turns.
                    if self.service.health.is_alive() {
                        self.notifier.watchdog();
                    }
                }
                _ = tasks.changed() => show_tasks(&self.service.health, &tasks.borrow_and_update()),
                () = status.next() => {
                    self.notifier.retry();
                    self.tell_status();
                }
            }
        }
    }

    /// Rereads on a thread of its own: the files may be on a disk that hangs.
    fn begin_reload(&mut self) -> Option<JoinHandle<Reloaded<E>>> {
        let Some(mut reload) = self.service.reload.take() else {
            error!("reload refused: an earlier one crashed; restart the daemon");
            return None;
        };
        self.notifier.reloading();
        Some(tokio::task::spawn_blocking(move || {
            let outcome = reload();
            (reload, outcome)
        }))
    }

    fn end_reload(&mut self, done: Result<Reloaded<E>, JoinError>) {
        match done {
            Ok((reload, outcome)) => {
                self.service.reload = Some(reload);
                self.reload_failure = outcome.err().map(|failure| failure.to_string());
                if let Some(failure) = &self.reload_failure {
                    error!("reload failed, nothing was changed: {failure}");
                }
            }
            Err(crash) => error!("reload crashed: {crash}"),
        }
        self.tell_status();
        self.notifier.ready();
    }

    /// Ends everything in order; returns early, and says so, on a second SIGINT.
    async fn drain(&mut self, outcome: &Result<Stop, LifecycleError<E>>) -> Option<End> {
        let begun = Instant::now();
        let Self { service, notifier, signals, .. } = self;
        let deadline = begun + service.shutdown_timeout;
        service.health.set_phase(Phase::Stopping);
        notifier.stopping();
        notifier.status(&format!("stopping, {}", (service.status)()));
        let why = outcome.as_ref().map_or_else(|_| "failed".to_owned(), ToString::to_string);
        info!("{why}: stopping, for {:?} at most", service.shutdown_timeout);

        tokio::select! {
            biased;
            () = signals.second_interrupt() => {
                warn!("second SIGINT: leaving at once");
                Some(End::Interrupted)
            }
            () = service.end(deadline) => {
                info!("stopped after {:?}", begun.elapsed());
                None
            }
        }
    }

    fn status(&self) -> String {
        let phase = self.service.health.phase().as_str();
        let details = (self.service.status)();
        match &self.reload_failure {
            Some(failure) => format!("{phase}, {details}; the last reload failed: {failure}"),
            None => format!("{phase}, {details}"),
        }
    }

    fn tell_status(&self) {
        self.notifier.status(&self.status());
    }
}

fn http_failed<E: Error>(outcome: HttpOutcome) -> LifecycleError<E> {
    match outcome {
        Ok(Err(failure)) => LifecycleError::Http(failure),
        Ok(Ok(())) => LifecycleError::HttpEnded("nobody told it to".into()),
        Err(failure) => LifecycleError::HttpEnded(failure.to_string()),
    }
}

/// Each task is a check: a task that does not run is something to look at, never the daemon's end.
fn show_tasks(health: &Health, tasks: &[Task]) {
    for task in tasks {
        let why = || task.last_error.clone().unwrap_or_default();
        let result = match task.state {
            State::Running | State::Finished => CheckResult::pass(),
            State::Restarting => CheckResult::warn("restarting", why()),
            State::Failed => CheckResult::warn("failed", why()),
        };
        health.set(format!("task:{}", task.name), result);
    }
}

/// Waits for the end of what runs; for ever when nothing does.
async fn finished<T>(running: &mut Option<JoinHandle<T>>) -> Result<T, JoinError> {
    match running {
        Some(running) => running.await,
        None => pending().await,
    }
}

/// Ticks at a period, or never.
struct Ticks(Option<Interval>);

impl Ticks {
    fn every(period: Option<Duration>) -> Self {
        Self(period.map(|period| {
            let mut ticks = interval_at(Instant::now() + period, period);
            ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
            ticks
        }))
    }

    async fn next(&mut self) {
        match &mut self.0 {
            Some(ticks) => {
                ticks.tick().await;
            }
            None => pending().await,
        }
    }
}
