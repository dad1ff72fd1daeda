//! Logging: `tracing` as text or JSON lines, with the journal's `<N>` prefix if the stream is the
//! journal. The writer does not block: it drops and counts lines that the stream does not accept in time.
//!
//! - [`mod@format`] formats an event and its spans as one line. No value of a field can end the line.
//! - [`writer`] writes lines on a thread of its own.
//!
//! Lines of other crates are written from *warning* up, because their debug lines describe their internals.
//!
//! Imports only [`crate::base`].

pub(crate) mod format;
pub(crate) mod writer;

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
use tracing::span::{Attributes, Id};
use tracing::{Event, Metadata, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::{Context, SubscriberExt};
use tracing_subscriber::registry::LookupSpan;

use crate::base::error::{chain, panic_message, plain};
use crate::base::log::{Format, Level, Output};
use crate::base::text::Text;
use crate::base::times::LOG_FAILURE_FLUSH_TIMEOUT;
use format::{Fields, Style, Terminal};
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

    fn from_metadata(metadata: &Metadata<'_>) -> Self {
        match *metadata.level() {
            tracing::Level::ERROR => Self::Error,
            tracing::Level::WARN => Self::Warning,
            tracing::Level::INFO => Self::Info,
            _ => Self::Debug,
        }
    }
}

/// Settings of the log.
#[derive(Clone, Copy, Debug)]
pub struct Options<'a> {
    /// The lowest severity that is written.
    pub level: Level,
    /// Text or JSON.
    pub format: Format,
    /// Standard error or standard output.
    pub output: Output,
    /// `$JOURNAL_STREAM` (`systemd.exec(5)`): device and inode of the journal's socket.
    pub journal_stream: Option<&'a OsStr>,
    /// For the text that a terminal shows.
    pub terminal: TerminalOptions<'a>,
}

/// What the environment wants a terminal to show.
#[derive(Clone, Copy, Debug)]
pub struct TerminalOptions<'a> {
    /// Whether lines may have colours.
    pub colours: bool,
    /// `$TZ` (`tzset(3)`), the time zone.
    pub zone: Option<&'a OsStr>,
}

/// Logging could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum InitError {
    /// The thread of the writer did not start.
    #[error(
        "cannot start the thread that writes the log: {0}; raise the limit on tasks (ulimit -u, TasksMax=)"
    )]
    Thread(#[source] io::Error),
    /// There is a global subscriber already.
    #[error("logging is already set up in this process")]
    Twice,
}

/// A handle to the log of the process.
#[derive(Clone)]
pub struct Telemetry {
    level: Arc<AtomicU8>,
    writer: Writer,
    is_on_terminal: bool,
}

impl Telemetry {
    /// Sets up the log of the process. Panics are logged as errors.
    ///
    /// # Errors
    /// If the thread of the writer cannot be started, or logging is set up already.
    pub fn init(options: Options<'_>) -> Result<Self, InitError> {
        let style = match options.format {
            format if options.output.is_journal(options.journal_stream) => Style::Journal(format),
            Format::Text if options.output.is_terminal() => Style::Terminal(Terminal::new(options.terminal)),
            format => Style::Plain(format),
        };
        let telemetry = Self {
            level: Arc::new(AtomicU8::new(options.level as u8)),
            writer: Writer::start(options.output).map_err(InitError::Thread)?,
            is_on_terminal: matches!(style, Style::Terminal(_)),
        };
        let lines = Lines { handle: telemetry.clone(), style, reported: AtomicU64::new(0) };
        tracing::subscriber::set_global_default(tracing_subscriber::registry().with(lines))
            .map_err(|_| InitError::Twice)?;
        std::panic::set_hook(Box::new(log_panic));
        Ok(telemetry)
    }

    /// Whether the log is text on a terminal, for a person.
    #[must_use]
    pub fn is_on_terminal(&self) -> bool {
        self.is_on_terminal
    }

    /// Changes the lowest severity that is written.
    pub fn set_level(&self, level: Level) {
        self.level.store(level as u8, Ordering::Relaxed);
        // `tracing` caches for each callsite whether it is enabled.
        tracing::callsite::rebuild_interest_cache();
    }

    /// Number of lines lost because the stream was too slow or failed.
    #[must_use]
    pub fn dropped(&self) -> u64 {
        self.writer.dropped()
    }

    /// Waits until all lines so far are written, at most for `timeout`.
    pub fn flush(&self, timeout: Duration) {
        self.writer.flush(timeout);
    }

    fn is_enabled(&self, metadata: &Metadata<'_>) -> bool {
        let ours = metadata.target().split("::").next() == Some(env!("CARGO_CRATE_NAME"));
        let level = Level::from_metadata(metadata);
        *metadata.level() != tracing::Level::TRACE
            && level as u8 <= self.level.load(Ordering::Relaxed)
            && (ours || level <= Level::Warning)
    }
}

/// The layer that turns events into lines.
struct Lines {
    handle: Telemetry,
    style: Style,
    /// Number of lost lines that warnings have reported.
    reported: AtomicU64,
}

impl<S: Subscriber + for<'a> LookupSpan<'a>> Layer<S> for Lines {
    fn enabled(&self, metadata: &Metadata<'_>, _: Context<'_, S>) -> bool {
        // A span is context for the events in it, so it is kept at any level.
        metadata.is_span() || self.handle.is_enabled(metadata)
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        // Includes spans, which are at info or above.
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
        writer.push(&self.style.line(Level::from_metadata(metadata), metadata.target(), &fields));

        let dropped = writer.dropped();
        let reported = self.reported.swap(dropped, Ordering::Relaxed);
        if dropped > reported && writer.has_room() {
            let text = format!("{} log lines were lost: the stream was too slow", dropped - reported);
            writer.push(&self.style.line(Level::Warning, module_path!(), &Fields::from_message(text)));
        } else if dropped > reported {
            self.reported.store(reported, Ordering::Relaxed);
        }
    }
}

/// The panic hook: logs an error instead of a blocking write to stderr. The backtrace is logged at level debug.
fn log_panic(panic: &PanicHookInfo<'_>) {
    let place = panic.location().map(ToString::to_string).unwrap_or_default();
    let reason = panic_message(panic.payload());
    tracing::error!(at = place, "panic: {reason}");
    if tracing::enabled!(tracing::Level::DEBUG) {
        tracing::debug!(backtrace = %std::backtrace::Backtrace::force_capture(), "panic: {reason}");
    }
}

/// Reports panics through [`complain`] until logging is set up. The hook of the standard library does not escape the message.
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

/// Writes one line to standard error, `vpo: …`, before logging is set up and from the short commands.
pub fn complain(what: &dyn Display) {
    to_stderr(&Text::line(format_args!("vpo: {}", plain(what))));
}

/// Writes to standard error. Gives up after a second if the stream blocks. Does not panic if the write fails, unlike
/// `eprintln!`.
pub(crate) fn to_stderr(text: &Text) {
    writer::write_within(io::stderr().as_fd(), text.as_str().as_bytes(), LOG_FAILURE_FLUSH_TIMEOUT);
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
