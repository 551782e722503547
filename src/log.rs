//! Log lines on stderr: for people or, with `--log-format json`, one object per line. Secrets are replaced in all of them.

use crate::config::settings::{LogFormat, LogLevel};
use crate::run::progress::beside_bars;
use std::io::{self, IsTerminal, Write};
use tracing::level_filters::LevelFilter;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::fmt::time::ChronoUtc;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

/// Begins to log. Only this crate's lines: those of the libraries below may show headers.
pub fn start(level: LogLevel, format: LogFormat) {
    let level = match level {
        LogLevel::Error => LevelFilter::ERROR,
        LogLevel::Warn => LevelFilter::WARN,
        LogLevel::Info => LevelFilter::INFO,
        LogLevel::Debug => LevelFilter::DEBUG,
        LogLevel::Trace => LevelFilter::TRACE,
    };
    let only_ours = Targets::new().with_target("pintail", level);
    let registry = tracing_subscriber::registry().with(only_ours);
    let time = ChronoUtc::new("%Y-%m-%dT%H:%M:%S%.3fZ".to_owned());
    let layer = tracing_subscriber::fmt::layer().with_writer(Redacted).with_target(false).with_timer(time);
    // A second call in one process (a test) changes nothing.
    let _ = match format {
        LogFormat::Json => registry.with(layer.json().flatten_event(true)).try_init(),
        LogFormat::Text => {
            let colour = io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|v| v.is_empty());
            registry.with(layer.with_ansi(colour)).try_init()
        }
    };
}

/// Stderr, with secrets replaced.
struct Redacted;

impl<'a> MakeWriter<'a> for Redacted {
    type Writer = Line;

    fn make_writer(&'a self) -> Line {
        Line(Vec::new())
    }
}

/// One log line: written as a whole, so that a secret can't hide between two writes.
struct Line(Vec<u8>);

impl Write for Line {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        let text = String::from_utf8_lossy(&self.0);
        let text = crate::secret::redact(&text);
        // Nowhere is left to say that stderr is gone.
        let _ = beside_bars(|| io::stderr().write_all(text.as_bytes()));
    }
}
