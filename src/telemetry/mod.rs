//! Log lines on standard error, as text or JSON.
//!
//! Promised: a panic is one log line with its place, never its message, which may quote an object; a log that nobody reads holds
//! up no review.

mod line;
mod lines;

use std::{cell::Cell, io, time::SystemTime};

use clap::ValueEnum;
use tracing::{Event, Metadata, Subscriber, level_filters::LevelFilter, span};

pub use lines::flush;

/// How log lines are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// Lines for people.
    Text,
    /// A JSON object a line.
    Json,
}

/// What is logged: this level and everything worse.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum LogLevel {
    /// What failed.
    Error,
    /// What may need a look.
    Warn,
    /// A line a review.
    Info,
    /// Connections and handshakes too.
    Debug,
    /// Everything, the libraries included.
    Trace,
}

/// Starts logging. A second call changes nothing.
///
/// # Errors
/// The system has no thread for it.
pub fn start(format: LogFormat, level: LogLevel) -> io::Result<()> {
    let log = Log { format, level: level.into(), take: lines::add };
    if tracing::subscriber::set_global_default(log).is_ok() {
        log_panics();
        lines::start()?;
    }
    Ok(())
}

impl From<LogLevel> for LevelFilter {
    fn from(level: LogLevel) -> Self {
        match level {
            LogLevel::Error => Self::ERROR,
            LogLevel::Warn => Self::WARN,
            LogLevel::Info => Self::INFO,
            LogLevel::Debug => Self::DEBUG,
            LogLevel::Trace => Self::TRACE,
        }
    }
}

/// Makes a line of every event that is wanted. Spans are of no use here: no line tells what it is part of.
struct Log {
    format: LogFormat,
    level: LevelFilter,
    take: fn(&[u8]),
}

impl Log {
    /// The libraries below speak only at `trace`, but for their errors: what they say is of no use to who runs the webhook. The
    /// client's errors come back to who asked, and are told once, with what to do.
    fn level_of(&self, target: &str) -> LevelFilter {
        if self.level == LevelFilter::TRACE || target.starts_with(env!("CARGO_CRATE_NAME")) {
            self.level
        } else if target.starts_with("kube_client") {
            LevelFilter::OFF
        } else {
            LevelFilter::ERROR
        }
    }
}

impl Subscriber for Log {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.is_event() && *metadata.level() <= self.level_of(metadata.target())
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        Some(self.level)
    }

    fn event(&self, event: &Event<'_>) {
        // Each thread has a buffer; an event that is logged while another is being written takes a new one.
        thread_local!(static BUFFER: Cell<Vec<u8>> = const { Cell::new(Vec::new()) });
        let mut line = BUFFER.try_with(Cell::take).unwrap_or_default();
        line.clear();
        line::push(&mut line, self.format, SystemTime::now(), event);
        (self.take)(&line);
        let _ = BUFFER.try_with(|buffer| buffer.set(line));
    }

    fn new_span(&self, _span: &span::Attributes<'_>) -> span::Id {
        span::Id::from_u64(1)
    }

    fn record(&self, _span: &span::Id, _values: &span::Record<'_>) {}

    fn record_follows_from(&self, _span: &span::Id, _follows: &span::Id) {}

    fn enter(&self, _span: &span::Id) {}

    fn exit(&self, _span: &span::Id) {}
}

fn log_panics() {
    std::panic::set_hook(Box::new(|panic| {
        let place = panic.location().map(ToString::to_string);
        tracing::error!(place, "panic");
    }));
}
