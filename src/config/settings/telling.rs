//! What is logged, and who is told of failures.

use super::super::diagnostic::Diagnostics;
use super::super::tree::{Node, Table};
use super::super::values;
use crate::secret::Secret;
use std::path::{Path, PathBuf};
use url::Url;

const LOG_FILE_BYTES: u64 = 10 << 20;
const LOG_FILE_COUNT: usize = 5;

/// What is logged, on stderr and in a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogSettings {
    /// How much.
    pub level: LogLevel,
    /// How lines look.
    pub format: LogFormat,
    /// Where they go beside stderr.
    pub file: Option<LogTarget>,
}

/// A log file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogTarget {
    /// The file.
    pub path: PathBuf,
    /// Size at which it makes way for a new one, bytes.
    pub size_bytes: u64,
    /// Files that are kept, the one that is written included; at least 1.
    pub count: usize,
}

/// Who is told when a run fails.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Notice {
    /// A URL that gets a POST.
    Webhook(Secret),
    /// A command, which gets the report on its stdin.
    Command {
        /// The program and its arguments.
        words: Vec<String>,
        /// Where it runs: the folder of the operator file.
        folder: PathBuf,
    },
}

/// How much is logged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum LogLevel {
    /// Failures.
    Error,
    /// And what went wrong without loss.
    Warn,
    /// And a line per resource.
    Info,
    /// And a line per page.
    Debug,
    /// Everything.
    Trace,
}

/// How log lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    Text,
    /// For machines, one object per line.
    Json,
}

/// Who is told. What `${…}` brings into a URL is a secret, and so is the URL: who knows it can post there.
pub(super) fn notice(node: &Node, folder: &Path, found: &mut Diagnostics) -> Option<Notice> {
    if let Some(table) = node.as_table() {
        let command = table.get("command")?;
        let words: Vec<String> = command.one_or_many().iter().filter_map(Node::resolved).collect();
        if words.first().is_none_or(|program| program.trim().is_empty()) {
            found.error(command.span.clone(), "`command` names no program").help("write `[\"program\", \"argument\"]`");
        }
        return Some(Notice::Command { words, folder: folder.to_owned() });
    }
    let text = node.as_text()?;
    text.hide_secrets();
    let url = text.resolved()?;
    if !Url::parse(&url).is_ok_and(|url| matches!(url.scheme(), "http" | "https") && url.has_host()) {
        let help = "write a URL that begins with https://, or a table: { command = [\"program\", \"argument\"] }";
        found.error(node.span.clone(), "`on_failure` is no URL").help(help);
    }
    Some(Notice::Webhook(Secret::new(url)))
}

/// Reads `[log]`.
pub(super) fn fill_log(log: &mut LogSettings, table: &Table, folder: &Path) {
    log.file = table.get("file").and_then(Node::resolved).map(|path| LogTarget {
        path: folder.join(path),
        size_bytes: table.get("file_size").and_then(values::size).unwrap_or(LOG_FILE_BYTES),
        count: table
            .get("file_count")
            .and_then(Node::as_count)
            .and_then(|n| usize::try_from(n).ok())
            .unwrap_or(LOG_FILE_COUNT),
    });
    log.level = match table.get("level").and_then(Node::resolved).as_deref() {
        Some("error") => LogLevel::Error,
        Some("warn") => LogLevel::Warn,
        Some("debug") => LogLevel::Debug,
        Some("trace") => LogLevel::Trace,
        _ => log.level,
    };
    if table.get("format").and_then(Node::resolved).as_deref() == Some("json") {
        log.format = LogFormat::Json;
    }
}
