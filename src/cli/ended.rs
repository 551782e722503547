//! What follows the end of a run: its report in the state folder, and word to whoever wants to know of failures. What goes wrong here
//! is a warning: it changes nothing about the run.

use crate::config::Settings;
use crate::config::settings::Notice;
use crate::error::{Error, Kind, Result};
use crate::exit::Exit;
use crate::http::post::post_json;
use crate::run::Report;
use crate::run::destination;
use crate::run::report::Status;
use crate::secret::redact;
use crate::state::reports;
use chrono::{DateTime, SecondsFormat, Utc};
use serde_json::{Value, json};
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// How long a command may take that is told of a failure.
const COMMAND_TIME: Duration = Duration::from_secs(60);
const COMMAND_POLL: Duration = Duration::from_millis(20);
/// Longest error in a variable or in the line for people, characters.
const LINE_CHARS: usize = 1000;

/// A run that has ended, or that could not begin.
pub(super) struct Ended {
    pipeline: String,
    /// Names the report file; sorts by time.
    id: String,
    load_id: Option<String>,
    status: &'static str,
    exit: Exit,
    started_at: DateTime<Utc>,
    finished_at: DateTime<Utc>,
    destination: String,
    /// What went wrong: of a resource, or of the whole.
    failures: Vec<(Option<String>, String)>,
    /// The report as one line of JSON; secrets are replaced.
    pub(super) json: String,
}

impl Ended {
    /// A run with its report.
    pub(super) fn of(report: &Report, exit: Exit) -> Ended {
        let own = report.resources.iter().filter_map(|r| Some((Some(r.name.clone()), r.error.clone()?)));
        let whole = report.error.iter().map(|error| (None, error.clone()));
        Ended {
            pipeline: report.pipeline.clone(),
            id: report.load_id.clone(),
            load_id: Some(report.load_id.clone()),
            status: report.status.word(),
            exit,
            started_at: report.started_at,
            finished_at: report.finished_at,
            destination: report.destination.clone(),
            failures: whole.chain(own).collect(),
            json: report.to_json(),
        }
    }

    /// A run that could not begin. Whoever reads reports gets one for it too.
    pub(super) fn not_begun(pipeline: &str, settings: &Settings, started_at: DateTime<Utc>, error: &Error) -> Ended {
        let finished_at = Utc::now();
        let report = json!({
            "pipeline": pipeline,
            "load_id": null,
            "status": Status::Failed.word(),
            "started_at": time(started_at),
            "finished_at": time(finished_at),
            "destination": destination::location(&settings.destination),
            "error": error.report(),
            "resources": {},
        });
        Ended {
            pipeline: pipeline.to_owned(),
            // As load ids begin, so that the files sort by time.
            id: format!("{}_not_begun", started_at.format("%Y%m%dT%H%M%S%3fZ")),
            load_id: None,
            status: Status::Failed.word(),
            exit: Exit::from(error.kind()),
            started_at,
            finished_at,
            destination: destination::location(&settings.destination),
            failures: vec![(None, error.report())],
            json: redact(&report.to_string()).into_owned(),
        }
    }

    /// Keeps the report, and tells of a failure.
    pub(super) async fn follow_up(&self, settings: &Settings) {
        let kept = reports::write(&settings.state_dir, &self.pipeline, &self.id, &self.json, settings.run.keep_reports);
        let path = kept.unwrap_or_else(|error| {
            tracing::warn!(%error, "the report of the run could not be kept");
            None
        });
        self.tell(settings, path.as_deref()).await;
    }

    /// Tells of a failure, if it is one and somebody wants to know.
    pub(super) async fn tell(&self, settings: &Settings, report: Option<&Path>) {
        let (true, Some(notice)) = (self.status == Status::Failed.word(), &settings.on_failure) else { return };
        // Whoever reads it may be elsewhere.
        let report = report.map(|path| std::path::absolute(path).unwrap_or_else(|_| path.to_owned()));
        let told = match notice {
            Notice::Webhook(url) => post_json(url, self.message(report.as_deref())).await,
            Notice::Command { words, folder } => {
                let (words, folder, json) = (words.clone(), folder.clone(), self.json.clone());
                let variables = self.variables(report.as_deref());
                let call = move || call(&words, &folder, &variables, &json);
                tokio::task::spawn_blocking(call)
                    .await
                    .unwrap_or_else(|e| Err(Error::new(Kind::Internal, "the command was not waited for").source(e)))
            }
        };
        match told {
            Ok(()) => tracing::info!(pipeline = %self.pipeline, "told of the failure"),
            Err(error) => {
                let text = format!("warning: nobody could be told of the failure: {}", error.report());
                super::tell_text(&text);
            }
        }
    }

    /// What went wrong, as one line.
    fn error_line(&self) -> String {
        let texts = self.failures.iter().map(|(resource, error)| match resource {
            Some(resource) => format!("{resource}: {error}"),
            None => error.clone(),
        });
        let text = texts.collect::<Vec<_>>().join("; ");
        let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
        redact(&line).chars().take(LINE_CHARS).collect()
    }

    /// What an address gets.
    fn message(&self, report: Option<&Path>) -> String {
        let host = host();
        let failures: Vec<Value> =
            self.failures.iter().map(|(resource, error)| json!({ "resource": resource, "error": error })).collect();
        let message = json!({
            "event": "run_failed",
            "text": format!("pintail: {} failed on {host}: {}", self.pipeline, self.error_line()),
            "pipeline": self.pipeline,
            "status": self.status,
            "exit_code": self.exit.code(),
            "error": self.error_line(),
            "failures": failures,
            "load_id": self.load_id,
            "started_at": time(self.started_at),
            "finished_at": time(self.finished_at),
            "destination": self.destination,
            "host": host,
            "report": report.map(|path| path.display().to_string()),
        });
        redact(&message.to_string()).into_owned()
    }

    /// What a command finds in its environment.
    fn variables(&self, report: Option<&Path>) -> Vec<(&'static str, String)> {
        vec![
            ("PINTAIL_PIPELINE", self.pipeline.clone()),
            ("PINTAIL_STATUS", self.status.to_owned()),
            ("PINTAIL_EXIT_CODE", self.exit.code().to_string()),
            ("PINTAIL_ERROR", self.error_line()),
            ("PINTAIL_LOAD_ID", self.load_id.clone().unwrap_or_default()),
            ("PINTAIL_DESTINATION", self.destination.clone()),
            ("PINTAIL_REPORT", report.map(|path| path.display().to_string()).unwrap_or_default()),
        ]
    }
}

/// Runs a command with the report on its stdin. Its stdout goes nowhere, because ours is the report's.
fn call(words: &[String], folder: &Path, variables: &[(&'static str, String)], json: &str) -> Result<()> {
    let (name, arguments) = words.split_first().ok_or_else(|| Error::new(Kind::Config, "there is no command"))?;
    let failed = |message: &str| Error::new(Kind::State, message.to_owned()).with("command", name);
    let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
    // A path is relative to the operator file, like every path in it; a bare name is looked up.
    let program = if name.contains('/') {
        std::path::absolute(folder.join(name)).map_err(|e| failed("the command can't be run").source(e))?
    } else {
        PathBuf::from(name)
    };
    let mut child = Command::new(program)
        .args(arguments)
        .current_dir(folder)
        .envs(variables.iter().map(|(name, value)| (name, value)))
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .map_err(|e| failed("the command can't be run").source(e))?;
    let input = child.stdin.take();
    let json = format!("{json}\n");
    // Beside the wait: a command that reads nothing would otherwise hold us up.
    let writer = std::thread::spawn(move || match input.map(|mut input| input.write_all(json.as_bytes())) {
        // A command that does not read its stdin has what it wants.
        Some(Err(e)) if e.kind() != ErrorKind::BrokenPipe => Err(e),
        _ => Ok(()),
    });
    let started = Instant::now();
    let status = loop {
        if let Some(status) = child.try_wait().map_err(|e| failed("the command can't be waited for").source(e))? {
            break status;
        }
        if started.elapsed() >= COMMAND_TIME {
            // It may have ended by itself just now.
            let _ = child.kill().and_then(|()| child.wait());
            return Err(failed("the command took too long and was ended").with("limit", "60 s"));
        }
        std::thread::sleep(COMMAND_POLL);
    };
    if !status.success() {
        return Err(failed("the command failed").with("ended with", status));
    }
    match writer.join() {
        Ok(written) => written.map_err(|e| failed("the command could not be given the report").source(e)),
        Err(_) => Err(failed("the command could not be given the report")),
    }
}

fn host() -> String {
    rustix::system::uname().nodename().to_string_lossy().into_owned()
}

fn time(at: DateTime<Utc>) -> String {
    at.to_rfc3339_opts(SecondsFormat::Millis, true)
}
