//! Logging: `tracing` as text or JSON lines, with the journal's `<N>` prefix where the stream is the
//! journal, through a non-blocking writer that drops (and counts) rather than stalls the daemon.
//!
//! - [`mod@format`] turns an event and its spans into one line; nothing that a field holds can break out of it.
//! - [`writer`] brings lines to the stream from a thread of its own; nobody waits for it longer than they say.
//!
//! Lines of other crates are written from *warning* up only: their debug lines speak of their insides,
//! and would bury ours.
//!
//! Imports [`crate::base`] alone.

pub mod format;
pub mod writer;

use std::error::Error;
use std::ffi::OsStr;
use std::fmt::Display;
use std::io;
use std::os::fd::AsFd;
use std::panic::PanicHookInfo;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::time::Duration;

use tracing::field::Field;
use tracing::level_filters::LevelFilter;
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Metadata, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::{Context, SubscriberExt};
use tracing_subscriber::registry::LookupSpan;

use crate::base::error::{chain, panic_message};
use crate::base::log::{Format, Level, Output};
use crate::base::text::Text;
use crate::base::times::LOG_FAILURE_FLUSH_TIMEOUT;
use format::{Fields, Style};
use writer::Writer;

impl Level {
    /// The priority of syslog(3), which the journal reads from a line's `<N>` prefix (`sd-daemon(3)`).
    fn priority(self) -> u8 {
        match self {
            Self::Error => 3,
            Self::Warning => 4,
            Self::Info => 6,
            Self::Debug => 7,
        }
    }

    fn of(metadata: &Metadata<'_>) -> Self {
        match *metadata.level() {
            tracing::Level::ERROR => Self::Error,
            tracing::Level::WARN => Self::Warning,
            tracing::Level::INFO => Self::Info,
            _ => Self::Debug,
        }
    }
}

/// How to log.
#[derive(Clone, Copy, Debug)]
pub struct Options<'a> {
    /// The least severe level that is written.
    pub level: Level,
    /// Text or JSON.
    pub format: Format,
    /// Standard error or standard output.
    pub output: Output,
    /// `$JOURNAL_STREAM` (`systemd.exec(5)`): device and inode of the journal's socket.
    pub journal_stream: Option<&'a OsStr>,
}

/// Logging could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum InitError {
    /// The writer's thread did not start.
    #[error("cannot start the log's writer thread: {0}; raise the limit on tasks (ulimit -u, TasksMax=)")]
    Thread(#[source] io::Error),
    /// There is a global subscriber already.
    #[error("logging is already set up in this process")]
    Twice,
}

/// A handle on the process's log.
#[derive(Clone)]
pub struct Telemetry {
    level: Arc<AtomicU8>,
    writer: Writer,
}

impl Telemetry {
    /// Sets the process's log up: events go to the stream, and panics become error lines.
    ///
    /// # Errors
    /// No thread for the writer, or logging is set up already.
    pub fn init(options: Options<'_>) -> Result<Self, InitError> {
        let journal = options.output.is_journal(options.journal_stream);
        let style = Style { format: options.format, journal };
        let telemetry = Self {
            level: Arc::new(AtomicU8::new(options.level as u8)),
            writer: Writer::start(options.output).map_err(InitError::Thread)?,
        };
        let lines = Lines { handle: telemetry.clone(), style, told: AtomicU64::new(0) };
        tracing::subscriber::set_global_default(tracing_subscriber::registry().with(lines))
            .map_err(|_| InitError::Twice)?;
        std::panic::set_hook(Box::new(log_panic));
        Ok(telemetry)
    }

    /// The least severe level that is written from now on.
    pub fn set_level(&self, level: Level) {
        self.level.store(level as u8, Ordering::Relaxed);
        // `tracing` remembers for each callsite whether anyone wants it.
        tracing::callsite::rebuild_interest_cache();
    }

    /// Lines lost because the stream was slower than the daemon, or refused them.
    #[must_use]
    pub fn dropped(&self) -> u64 {
        self.writer.dropped()
    }

    /// Waits until all lines so far are written, but no longer than `patience`.
    pub fn flush(&self, patience: Duration) {
        self.writer.flush(patience);
    }

    fn wants(&self, metadata: &Metadata<'_>) -> bool {
        let ours = metadata.target().split("::").next() == Some(env!("CARGO_CRATE_NAME"));
        let level = Level::of(metadata);
        *metadata.level() != tracing::Level::TRACE
            && level as u8 <= self.level.load(Ordering::Relaxed)
            && (ours || level <= Level::Warning)
    }
}

/// The layer that turns events into lines.
struct Lines {
    handle: Telemetry,
    style: Style,
    /// How many lost lines a warning has reported so far.
    told: AtomicU64,
}

impl<S: Subscriber + for<'a> LookupSpan<'a>> Layer<S> for Lines {
    fn enabled(&self, metadata: &Metadata<'_>, _: Context<'_, S>) -> bool {
        // A span is context for the lines within: it is kept whatever its own level.
        metadata.is_span() || self.handle.wants(metadata)
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        // Spans included, which are at info or above by custom.
        Some(match self.handle.level.load(Ordering::Relaxed) {
            level if level == Level::Debug as u8 => LevelFilter::DEBUG,
            _ => LevelFilter::INFO,
        })
    }

    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        let mut fields = Fields::default();
        attributes.record(&mut fields);
        if let Some(span) = context.span(id) {
            span.extensions_mut().insert(fields);
        }
    }

    fn on_record(&self, id: &Id, values: &Record<'_>, context: Context<'_, S>) {
        if let Some(span) = context.span(id)
            && let Some(fields) = span.extensions_mut().get_mut::<Fields>()
        {
            values.record(fields);
        }
    }

    fn on_event(&self, event: &Event<'_>, context: Context<'_, S>) {
        let mut fields = Fields::default();
        for span in context.event_scope(event).into_iter().flatten() {
            if let Some(outer) = span.extensions().get::<Fields>() {
                fields.add_context(outer);
            }
        }
        event.record(&mut fields);
        let metadata = event.metadata();
        let writer = &self.handle.writer;
        writer.push(&self.style.line(Level::of(metadata), metadata.target(), &fields));

        let dropped = writer.dropped();
        let told = self.told.swap(dropped, Ordering::Relaxed);
        if dropped > told && writer.is_idle() {
            let text =
                format!("{} log lines were lost: the stream did not take them in time", dropped - told);
            writer.push(&self.style.line(Level::Warning, module_path!(), &Fields::of_message(text)));
        } else if dropped > told {
            self.told.store(told, Ordering::Relaxed);
        }
    }
}

/// The panic hook: an error line instead of a blocking write to stderr; a backtrace at debug level only.
fn log_panic(panic: &PanicHookInfo<'_>) {
    let place = panic.location().map(ToString::to_string).unwrap_or_default();
    let reason = panic_message(panic.payload());
    tracing::error!(at = place, "panic: {reason}");
    if tracing::enabled!(tracing::Level::DEBUG) {
        tracing::debug!(backtrace = %std::backtrace::Backtrace::force_capture(), "panic: {reason}");
    }
}

/// Writes panics as lines of [`complain`] until logging is set up: the standard library's hook writes the message as it is.
pub fn report_panics() {
    std::panic::set_hook(Box::new(|panic| {
        let place = panic.location().map(ToString::to_string).unwrap_or_default();
        complain(&format_args!(
            "panic at {place}: {}; please report this bug",
            panic_message(panic.payload())
        ));
        let backtrace = std::backtrace::Backtrace::capture();
        if backtrace.status() == std::backtrace::BacktraceStatus::Captured {
            backtrace.to_string().lines().for_each(|line| complain(&line));
        }
    }));
}

/// Says one line on standard error, `vpo: …`; for what is said before logging is up, and by the short
/// commands. Gives up after a second on a pipe that nobody reads, and never panics where standard error
/// cannot be written to (`eprintln!` does).
pub fn complain(what: &dyn Display) {
    let line = Text::line(format_args!("vpo: {what}"));
    writer::write_patiently(io::stderr().as_fd(), line.as_str().as_bytes(), LOG_FAILURE_FLUSH_TIMEOUT);
}

impl tracing::field::Visit for Fields {
    fn record_f64(&mut self, field: &Field, value: f64) {
        self.set(field.name(), value.into());
    }
    fn record_i64(&mut self, field: &Field, value: i64) {
        self.set(field.name(), value.into());
    }
    fn record_u64(&mut self, field: &Field, value: u64) {
        self.set(field.name(), value.into());
    }
    fn record_bool(&mut self, field: &Field, value: bool) {
        self.set(field.name(), value.into());
    }
    fn record_str(&mut self, field: &Field, value: &str) {
        self.set(field.name(), value.into());
    }
    fn record_error(&mut self, field: &Field, value: &(dyn Error + 'static)) {
        self.set(field.name(), chain(value).into());
    }
    fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
        self.set(field.name(), format!("{value:?}").into());
    }
}
