//! `pintail status`: last runs, freshness, rows and failures, read from the warehouse.

mod bars;
mod text;

use super::{Output, print};
use crate::config::{Secrets, Settings, all_pipelines, find_pipeline, load_pipeline};
use crate::error::Result;
use crate::exit::Exit;
use crate::history::{History, Run, Source, gather, rows_of};
use crate::load::reading::LoadEntry;
use chrono::{DateTime, SecondsFormat, Utc};
use serde_json::{Map, Value, json};
use std::path::Path;

/// Arguments of `status`.
#[derive(Debug, Clone, clap::Args)]
pub struct Args {
    /// Pipelines: names in `pipelines_dir`, or paths; all of `pipelines_dir` if none is named
    #[arg(value_name = "PIPELINE")]
    pipelines: Vec<String>,
    /// Runs to look at
    #[arg(long, default_value_t = 10, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1000))]
    runs: u16,
    /// What to print: a summary, or one object per pipeline and line
    #[arg(long, value_enum, default_value = "text", value_name = "FORMAT")]
    output: Output,
}

/// Shows how pipelines are. The exit code says whether the last run of each is good.
///
/// # Errors
/// A named pipeline is not there or wrong, or a warehouse can't be read.
pub fn run(args: &Args, settings: &Settings) -> Result<Exit> {
    let files = match args.pipelines.as_slice() {
        [] => all_pipelines(settings)?,
        names => names.iter().map(|name| find_pipeline(settings, name)).collect::<Result<_>>()?,
    };
    let mut wrong = false;
    let mut histories = Vec::new();
    for file in files {
        match read(&file, settings, usize::from(args.runs)) {
            Ok(history) => histories.push(history),
            Err(error) if args.pipelines.is_empty() => {
                super::tell(&error);
                wrong = true;
            }
            Err(error) => return Err(error),
        }
    }
    let now = Utc::now();
    let text = match args.output {
        Output::Text if args.pipelines.is_empty() => text::overview(&histories, now),
        Output::Text => histories.iter().map(|h| text::detail(h, now)).collect::<Vec<_>>().join("\n"),
        Output::Json => histories.iter().map(|history| format!("{}\n", to_json(history))).collect(),
    };
    print(&crate::secret::redact(&text))?;
    Ok(match (wrong, histories.iter().any(History::is_bad)) {
        (true, _) => Exit::Config,
        (false, true) => Exit::Failed,
        (false, false) => Exit::Done,
    })
}

fn read(file: &Path, settings: &Settings, runs: usize) -> Result<History> {
    let loaded = load_pipeline(file, &[], &settings.env, Secrets::Optional)?;
    gather(settings, &loaded.pipeline, runs)
}

fn time(at: DateTime<Utc>) -> String {
    at.to_rfc3339_opts(SecondsFormat::Millis, true)
}

fn to_json(history: &History) -> Value {
    let state = match history.last_run() {
        None => "never_run",
        Some(run) if run.ending.is_bad() => "bad",
        Some(_) => "good",
    };
    let (read_from, copy) = match &history.source {
        Source::Warehouse => ("warehouse", None),
        Source::Copy(path) => ("copy", Some(path.display().to_string())),
        Source::Reports => ("reports", None),
        Source::Nothing => ("nothing", None),
    };
    let running = history
        .running
        .as_ref()
        .map(|owner| json!({ "pid": owner.pid, "host": owner.host, "since": owner.since, "command": owner.command }));
    let resources: Map<String, Value> = history
        .resources
        .iter()
        .map(|last| {
            let newest = history.of_resource(&last.resource).flatten().next();
            let state = json!({
                "status": newest.map(|entry| &entry.status),
                "completed_at": last.completed_at.map(time),
                "rows_at": last.rows_at.map(time),
            });
            (last.resource.clone(), state)
        })
        .collect();
    json!({
        "pipeline": history.pipeline,
        "state": state,
        "destination": history.destination,
        "dataset": history.dataset,
        "running": running,
        "read_from": read_from,
        "copy": copy,
        "resources": resources,
        "runs": history.runs.iter().map(run_json).collect::<Vec<_>>(),
    })
}

fn run_json(run: &Run) -> Value {
    let entry = |entry: &LoadEntry| {
        let rows: Map<String, Value> = entry.rows.iter().map(|(table, rows)| (table.clone(), json!(rows))).collect();
        let discarded: Map<String, Value> = entry.discarded.iter().map(|(rule, n)| (rule.clone(), json!(n))).collect();
        let state = json!({
            "status": entry.status,
            "requests": entry.requests,
            "records": entry.records,
            "bytes": entry.bytes,
            "rows": rows,
            "discarded": discarded,
            "end": entry.end,
            "error": entry.error,
        });
        (entry.resource.clone(), state)
    };
    json!({
        "load_id": run.load_id,
        "status": run.ending.word(),
        "started_at": time(run.started_at),
        "ended_at": time(run.ended_at),
        "rows": run.resources.iter().map(rows_of).sum::<u64>(),
        "requests": run.requests(),
        "error": run.error,
        "resources": run.resources.iter().map(entry).collect::<Map<_, _>>(),
    })
}
