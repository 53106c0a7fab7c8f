//! Log lines on standard error, as text or JSON.
//!
//! Promised: a panic is one log line with its place, never its message, which may quote an object; a log that nobody reads holds
//! up no review.

mod lines;

use std::io::{self, IsTerminal};

use clap::ValueEnum;
use tracing_subscriber::{filter::Targets, fmt, layer::SubscriberExt, util::SubscriberInitExt};

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
    let lines = fmt::layer().with_writer(|| lines::Line).with_target(false);
    let registry = tracing_subscriber::registry().with(filter(level));
    let started = match format {
        LogFormat::Text => registry.with(lines.with_ansi(io::stderr().is_terminal())).try_init(),
        LogFormat::Json => {
            registry.with(lines.json().flatten_event(true).with_current_span(false).with_span_list(false)).try_init()
        }
    };
    if started.is_ok() {
        log_panics();
        lines::start()?;
    }
    Ok(())
}

/// The libraries below speak only at `trace`: what they say is of no use to who runs the webhook.
fn filter(level: LogLevel) -> Targets {
    use tracing::level_filters::LevelFilter as Filter;
    let own = match level {
        LogLevel::Error => Filter::ERROR,
        LogLevel::Warn => Filter::WARN,
        LogLevel::Info => Filter::INFO,
        LogLevel::Debug => Filter::DEBUG,
        LogLevel::Trace => return Targets::new().with_default(Filter::TRACE),
    };
    Targets::new().with_default(Filter::ERROR).with_target("spark_admission", own)
}

fn log_panics() {
    std::panic::set_hook(Box::new(|panic| {
        let place = panic.location().map(ToString::to_string);
        tracing::error!(place, "panic");
    }));
}
