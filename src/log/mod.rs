//! Log lines on stderr and in a file: for people or, with `--log-format json`, one object per line. Secrets are replaced in all of
//! them.

mod file;

use crate::config::settings::{LogFormat, LogLevel, LogSettings};
use crate::run::progress::beside_bars;
use file::LogFile;
use std::io::{self, IsTerminal, Write as _};
use std::sync::Arc;
use tracing::level_filters::LevelFilter;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::fmt::time::ChronoUtc;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{Layer, Registry};

/// Target of lines that people have read on stderr already in another form: only the file gets them.
const TOLD: &str = "pintail::told";

/// Begins to log: at `stderr_level` on stderr, at the level of the settings in the file, if there is one. Only this crate's lines:
/// those of the libraries below may show headers.
pub fn start(stderr_level: LogLevel, settings: &LogSettings) {
    let colour = io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|v| v.is_empty());
    let on_stderr = layer(|line| beside_bars(|| io::stderr().write_all(line)), settings.format, colour)
        .with_filter(only_ours(stderr_level).with_target(TOLD, LevelFilter::OFF));
    let mut layers = vec![on_stderr.boxed()];
    layers.extend(settings.file.as_ref().map(|target| {
        let file = LogFile::new(target.clone());
        let in_file = layer(move |line| file.append(line), settings.format, false);
        in_file.with_filter(only_ours(settings.level)).boxed()
    }));
    // A second call in one process (a test) changes nothing.
    let _ = tracing_subscriber::registry().with(layers).try_init();
}

/// Has the log file, if there is one, say what people read on stderr: errors and warnings as they are told.
pub fn told(text: &str) {
    match text.strip_prefix("warning: ") {
        Some(warning) => tracing::warn!(target: TOLD, "{}", warning.trim_end()),
        None => tracing::error!(target: TOLD, "{}", text.strip_prefix("error: ").unwrap_or(text).trim_end()),
    }
}

fn only_ours(level: LogLevel) -> Targets {
    let level = match level {
        LogLevel::Error => LevelFilter::ERROR,
        LogLevel::Warn => LevelFilter::WARN,
        LogLevel::Info => LevelFilter::INFO,
        LogLevel::Debug => LevelFilter::DEBUG,
        LogLevel::Trace => LevelFilter::TRACE,
    };
    Targets::new().with_target("pintail", level)
}

/// A layer whose lines go somewhere.
fn layer<W>(write: W, format: LogFormat, colour: bool) -> Box<dyn Layer<Registry> + Send + Sync>
where
    W: Fn(&[u8]) -> io::Result<()> + Send + Sync + 'static,
{
    let time = ChronoUtc::new("%Y-%m-%dT%H:%M:%S%.3fZ".to_owned());
    let layer =
        tracing_subscriber::fmt::layer().with_writer(Lines(Arc::new(write))).with_target(false).with_timer(time);
    match format {
        LogFormat::Json => layer.json().flatten_event(true).boxed(),
        LogFormat::Text => layer.with_ansi(colour).boxed(),
    }
}

/// Where whole lines go.
type Write = dyn Fn(&[u8]) -> io::Result<()> + Send + Sync;

/// Lines, with secrets replaced.
struct Lines(Arc<Write>);

impl<'a> MakeWriter<'a> for Lines {
    type Writer = Line;

    fn make_writer(&'a self) -> Line {
        Line { bytes: Vec::new(), write: self.0.clone() }
    }
}

/// One log line: written as a whole, so that a secret can't hide between two writes.
struct Line {
    bytes: Vec<u8>,
    write: Arc<Write>,
}

impl io::Write for Line {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.bytes.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        let text = String::from_utf8_lossy(&self.bytes);
        let text = crate::secret::redact(&text);
        // Nowhere is left to say that stderr is gone; of its own file the log says it itself.
        let _ = (self.write)(text.as_bytes());
    }
}
