//! `pintail run`: loads what is new.

use super::check::parse_var;
use super::demo::{LoadOutcome, LoadRequest, ResourceOutcome};
use crate::config::settings::{LogFormat, LogLevel};
use crate::config::{self, Env, Loaded, Secrets, Settings, Target, find_pipeline};
use crate::error::{Error, Kind, Result};
use crate::exit::Exit;
use crate::http::tape::{Tape, TapeUse};
use crate::run::progress::Style;
use crate::run::report::{Report, Status};
use crate::run::shutdown::{Signal, Stop, listen};
use crate::run::{RunOptions, execute};
use clap::ValueEnum;
use serde_json::json;
use std::io::{self, IsTerminal, Write};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Semaphore;

/// Arguments of `run`.
#[derive(Debug, Clone, clap::Args)]
pub struct RunArgs {
    /// Pipelines: names in `pipelines_dir`, or paths
    #[arg(required = true, value_name = "PIPELINE")]
    pipelines: Vec<String>,
    /// Load only this resource (may be repeated)
    #[arg(long = "resource", value_name = "RESOURCE")]
    resources: Vec<String>,
    /// Forget the cursors and make the tables anew
    #[arg(long)]
    full_refresh: bool,
    /// Override a variable of `[vars]`
    #[arg(long = "var", value_name = "NAME=VALUE", value_parser = parse_var)]
    vars: Vec<(String, String)>,
    /// What to print: a summary, or one JSON report per line
    #[arg(long, value_enum, default_value = "text", value_name = "FORMAT")]
    output: Output,
    /// Not yet supported
    #[arg(long, hide = true, value_name = "DURATION")]
    max_duration: Option<String>,
    /// Not yet supported
    #[arg(long, hide = true, value_name = "N")]
    max_requests: Option<String>,
    /// Write every HTTP exchange to a tape, without secrets
    #[arg(long, value_name = "DIR", conflicts_with = "replay")]
    record: Option<PathBuf>,
    /// Answer every request from a tape: no network, no secrets, no waits
    #[arg(long, value_name = "DIR")]
    replay: Option<PathBuf>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Output {
    /// For people
    Text,
    /// For machines
    Json,
}

/// Runs the pipelines one after the other.
///
/// # Errors
/// Nothing was requested: a file is wrong, or an option is not supported.
pub fn run(args: &RunArgs, settings: &Settings) -> Result<Exit> {
    refuse_later_options(args)?;
    let tape = open_tape(args)?;
    let pipelines = load_all(args, settings, tape.as_deref())?;
    let style = if shows_bars(settings) { Style::Bars } else { Style::Lines };
    runtime()?.block_on(async {
        let stop = Stop::default();
        listen(stop.clone())?;
        let mut exits = Vec::new();
        for loaded in pipelines {
            if stop.requested().is_some() {
                break;
            }
            let name = loaded.pipeline.name.clone();
            let options = RunOptions {
                resources: args.resources.clone(),
                full_refresh: args.full_refresh,
                style,
                tape: tape_use(args, tape.as_ref(), &loaded)?,
                ..options(loaded, settings, stop.clone())
            };
            exits.push(match execute(options).await {
                Ok(report) => show(&report, args.output).map(|()| exit_of(&report, &stop))?,
                Err(error) => {
                    super::tell(&error);
                    if args.output == Output::Json {
                        print(&format!("{}\n", not_begun(&name, &error)))?;
                    }
                    Exit::from(error.kind())
                }
            });
        }
        Ok(combine(&exits, &stop))
    })
}

fn refuse_later_options(args: &RunArgs) -> Result<()> {
    let later = [("--max-duration", args.max_duration.is_some()), ("--max-requests", args.max_requests.is_some())];
    match later.iter().find(|(_, given)| *given) {
        Some((name, _)) => Err(Error::new(Kind::Config, format!("`{name}` is not yet supported"))),
        None => Ok(()),
    }
}

/// The tape to replay. A tape is one pipeline's.
fn open_tape(args: &RunArgs) -> Result<Option<Arc<Tape>>> {
    if (args.record.is_some() || args.replay.is_some()) && args.pipelines.len() > 1 {
        return Err(Error::new(Kind::Config, "a tape is one pipeline's, and several are to run")
            .hint("record and replay each with a command and a folder of its own"));
    }
    args.replay.as_deref().map(|folder| Tape::open(folder).map(Arc::new)).transpose()
}

fn tape_use(args: &RunArgs, tape: Option<&Arc<Tape>>, loaded: &Loaded) -> Result<TapeUse> {
    match (tape, &args.record) {
        (Some(tape), _) => {
            tape.check_pipeline(&loaded.pipeline.name)?;
            Ok(TapeUse::Replay(tape.clone()))
        }
        (None, Some(folder)) => {
            Ok(TapeUse::Record { folder: folder.clone(), variables: loaded.used_variables.clone() })
        }
        (None, None) => Ok(TapeUse::None),
    }
}

/// All files are read before anything is requested, and all that are wrong are told. With a tape they see the variables of
/// the recorded run, and nothing of the environment.
fn load_all(args: &RunArgs, settings: &Settings, tape: Option<&Tape>) -> Result<Vec<Loaded>> {
    let recorded = tape.map(Tape::environment);
    let (env, secrets) = match &recorded {
        Some(recorded) => (recorded, Secrets::Optional),
        None => (&settings.env, Secrets::Required),
    };
    let mut pipelines = Vec::new();
    let mut failures: Vec<Error> = Vec::new();
    for name in &args.pipelines {
        let loaded =
            find_pipeline(settings, name).and_then(|path| config::load_pipeline(&path, &args.vars, env, secrets));
        match loaded {
            Ok(loaded) => pipelines.push(loaded),
            Err(error) => failures.push(error),
        }
    }
    match failures.pop() {
        Some(last) => {
            failures.iter().for_each(super::tell);
            Err(last)
        }
        None => Ok(pipelines),
    }
}

fn options(loaded: Loaded, settings: &Settings, stop: Stop) -> RunOptions<'_> {
    for warning in &loaded.warnings {
        tracing::warn!("{}", warning.strip_prefix("warning: ").unwrap_or(warning));
    }
    let command: Vec<String> = std::env::args().collect();
    RunOptions {
        pipeline: loaded.pipeline,
        settings,
        resources: Vec::new(),
        full_refresh: false,
        style: Style::Silent,
        command: command.join(" "),
        stop,
        permits: settings.run.concurrency.map(|n| Arc::new(Semaphore::new(n))),
        tape: TapeUse::None,
    }
}

fn runtime() -> Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|e| Error::new(Kind::Internal, "the runtime could not be started").source(e))
}

/// Whether a person looks on, and has not asked for more than bars.
pub(super) fn shows_bars(settings: &Settings) -> bool {
    let is_terminal = io::stderr().is_terminal() && std::env::var("TERM").is_ok_and(|t| t != "dumb");
    is_terminal && settings.log.level <= LogLevel::Info && settings.log.format == LogFormat::Text
}

fn show(report: &Report, output: Output) -> Result<()> {
    let text = match output {
        Output::Text => report.to_text(),
        Output::Json => format!("{}\n", report.to_json()),
    };
    for problem in report.problems() {
        // Nowhere is left to say that stderr is gone.
        let _ = writeln!(io::stderr(), "{}\n", problem.trim_end());
    }
    print(&text)
}

/// The report of a run that did not begin: whoever reads reports gets one for each pipeline.
fn not_begun(pipeline: &str, error: &Error) -> String {
    let report = json!({ "pipeline": pipeline, "status": "failed", "error": error.report(), "resources": {} });
    crate::secret::redact(&report.to_string()).into_owned()
}

fn print(text: &str) -> Result<()> {
    match io::stdout().lock().write_all(text.as_bytes()) {
        // Whoever read our output has enough of it.
        Err(e) if e.kind() != io::ErrorKind::BrokenPipe => {
            Err(Error::new(Kind::State, "the report could not be written").source(e))
        }
        _ => Ok(()),
    }
}

fn exit_of(report: &Report, stop: &Stop) -> Exit {
    match (report.status, stop.requested()) {
        (Status::Completed, _) => Exit::Done,
        (Status::Interrupted, Some(signal)) => exit_of_signal(signal),
        (Status::Interrupted | Status::Failed | Status::Skipped, _) => Exit::Failed,
    }
}

fn exit_of_signal(signal: Signal) -> Exit {
    match signal {
        Signal::Interrupt => Exit::Interrupted,
        Signal::Terminate => Exit::Terminated,
    }
}

/// Of several pipelines: the signal's code, else a failure, else a held lock.
fn combine(exits: &[Exit], stop: &Stop) -> Exit {
    if let Some(signal) = stop.requested()
        && exits.last() != Some(&Exit::Done)
    {
        return exit_of_signal(signal);
    }
    let order = [Exit::Config, Exit::Failed, Exit::Locked];
    order.into_iter().find(|exit| exits.contains(exit)).unwrap_or(Exit::Done)
}

/// One load of the demo, by the engine that `run` uses.
///
/// # Errors
/// The load failed, or one of its resources.
pub fn demo_load(request: &LoadRequest<'_>) -> Result<LoadOutcome> {
    let env = Env::from_pairs(request.environment.iter().cloned());
    let loaded = config::pipeline(request.pipeline_file, request.pipeline_text, &[], &env, Secrets::Required)?;
    let settings = Settings {
        state_dir: request.state_dir.to_owned(),
        destination: Target::duckdb(request.database),
        env,
        ..Settings::default()
    };
    let runtime = runtime()?;
    let report = runtime.block_on(async {
        let stop = Stop::default();
        listen(stop.clone())?;
        execute(options(loaded, &settings, stop)).await
    })?;
    runtime.shutdown_timeout(Duration::from_secs(1));
    if report.status != Status::Completed {
        return Err(Error::new(Kind::Data, "the load did not complete").with("report", report.problems().join("\n")));
    }
    Ok(LoadOutcome {
        resources: report
            .resources
            .iter()
            .map(|r| ResourceOutcome {
                name: r.name.clone(),
                requests: r.requests,
                records: r.records,
                throttled: Duration::from_millis(r.throttled_ms),
                from_cursor: r.cursor_before.is_some(),
            })
            .collect(),
    })
}
