//! `pintail run`: loads what is new.

use super::budget::BudgetArgs;
use super::check::parse_var;
use super::demo::{LoadOutcome, LoadRequest, ResourceOutcome};
use super::ended::Ended;
use super::{Output, print};
use crate::config::settings::{LogFormat, LogLevel};
use crate::config::{self, Env, Loaded, Secrets, Settings, Target, all_pipelines, find_pipeline};
use crate::error::{Error, Kind, Result};
use crate::exit::Exit;
use crate::http::tape::{Tape, TapeUse};
use crate::run::progress::Style;
use crate::run::report::{Report, Status};
use crate::run::shutdown::{Cause, Signal, Stop, listen};
use crate::run::{RunOptions, execute, validate};
use chrono::{DateTime, Utc};
use serde_json::json;
use std::io::{self, IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Semaphore;

/// Arguments of `run`.
#[derive(Debug, Clone, clap::Args)]
pub struct RunArgs {
    /// Pipelines: names in `pipelines_dir`, or paths
    #[arg(required_unless_present = "all", value_name = "PIPELINE")]
    pipelines: Vec<String>,
    /// Run every pipeline in `pipelines_dir`, one after the other
    #[arg(long, conflicts_with_all = ["pipelines", "resources"])]
    all: bool,
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
    #[command(flatten)]
    budget: BudgetArgs,
    /// Write every HTTP exchange to a tape, without secrets
    #[arg(long, value_name = "DIR", conflicts_with = "replay")]
    record: Option<PathBuf>,
    /// Answer every request from a tape: no network, no secrets, no waits
    #[arg(long, value_name = "DIR")]
    replay: Option<PathBuf>,
}

/// Runs the pipelines one after the other.
///
/// # Errors
/// Nothing was requested: a file is wrong, or an option is not supported.
pub fn run(args: &RunArgs, settings: &Settings) -> Result<Exit> {
    let files = pipeline_files(args, settings)?;
    let tape = open_tape(args, files.len())?;
    let pipelines = match load_all(args, files, settings, tape.as_deref()) {
        Ok(pipelines) => pipelines,
        Err(wrong) => return Err(tell_of_wrong_files(wrong, settings)?),
    };
    let pipeline_count = pipelines.len();
    let style = progress_style(settings);
    runtime()?.block_on(async {
        let stop = args.budget.begin(settings)?;
        let mut exits = Vec::new();
        for loaded in pipelines {
            let name = loaded.pipeline.name.clone();
            if let Some(cause) = stop.requested() {
                skip(&name, cause, args.output)?;
                continue;
            }
            let options = RunOptions {
                resources: args.resources.clone(),
                full_refresh: args.full_refresh,
                style,
                tape: tape_use(args, tape.as_ref(), &loaded)?,
                ..options(loaded, settings, stop.clone())
            };
            let started_at = Utc::now();
            exits.push(match execute(options).await {
                Ok(report) => conclude(&report, args.output, settings, &stop).await?,
                Err(error) => print_not_begun(&name, started_at, &error, args.output, settings).await?,
            });
        }
        Ok(combine(&exits, pipeline_count, &stop))
    })
}

/// Shows a report, keeps it and tells of a failure; says with which code the command ends.
pub(super) async fn conclude(report: &Report, output: Output, settings: &Settings, stop: &Stop) -> Result<Exit> {
    let exit = exit_of(report, stop);
    let ended = Ended::of(report, exit);
    show(report, &ended, output)?;
    ended.follow_up(settings).await;
    Ok(exit)
}

/// As [`conclude`] of a run that did not begin.
pub(super) async fn print_not_begun(
    pipeline: &str,
    started_at: DateTime<Utc>,
    error: &Error,
    output: Output,
    settings: &Settings,
) -> Result<Exit> {
    super::tell(error);
    let ended = Ended::not_begun(pipeline, settings, started_at, error);
    if output == Output::Json {
        print(&format!("{}\n", ended.json))?;
    }
    ended.follow_up(settings).await;
    Ok(Exit::from(error.kind()))
}

/// How progress is shown.
pub(super) fn progress_style(settings: &Settings) -> Style {
    if shows_bars(settings) { Style::Bars } else { Style::Lines }
}

/// The pipelines that are meant: what each is called before its file is read, and the file or the error that there is none.
fn pipeline_files(args: &RunArgs, settings: &Settings) -> Result<Vec<(String, Result<PathBuf>)>> {
    let stem = |path: &Path| path.file_stem().map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default();
    if args.all {
        return Ok(all_pipelines(settings)?.into_iter().map(|path| (stem(&path), Ok(path))).collect());
    }
    Ok(args.pipelines.iter().map(|name| (stem(Path::new(name)), find_pipeline(settings, name))).collect())
}

/// The tape to replay. A tape is one pipeline's.
fn open_tape(args: &RunArgs, pipeline_count: usize) -> Result<Option<Arc<Tape>>> {
    if (args.record.is_some() || args.replay.is_some()) && pipeline_count > 1 {
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
fn load_all(
    args: &RunArgs,
    files: Vec<(String, Result<PathBuf>)>,
    settings: &Settings,
    tape: Option<&Tape>,
) -> Result<Vec<Loaded>, Vec<WrongFile>> {
    let recorded = tape.map(Tape::environment);
    let (env, secrets) = match &recorded {
        Some(recorded) => (recorded, Secrets::Optional),
        None => (&settings.env, Secrets::Required),
    };
    let mut pipelines = Vec::new();
    let mut wrong: Vec<WrongFile> = Vec::new();
    let is_one_of_several = files.len() > 1;
    for (name, file) in files {
        match file.and_then(|path| config::load_pipeline(&path, &args.vars, env, secrets)) {
            Ok(loaded) => {
                // What is wrong with the second must be known before anything is requested for the first.
                let valid = if is_one_of_several { validate(&loaded.pipeline, &args.resources) } else { Ok(()) };
                wrong.extend(valid.err().map(|error| WrongFile {
                    error: error.with("pipeline", &loaded.pipeline.name),
                    name: loaded.pipeline.name.clone(),
                }));
                pipelines.push(loaded);
            }
            Err(error) => wrong.push(WrongFile { name, error }),
        }
    }
    if args.all {
        wrong.extend(shared_name(&pipelines));
    }
    if wrong.is_empty() { Ok(pipelines) } else { Err(wrong) }
}

/// A pipeline that can't be run, because its file is wrong or not there.
struct WrongFile {
    name: String,
    error: Error,
}

/// Tells of all of them, and gives back the last one's error.
///
/// # Errors
/// The runtime could not be started.
fn tell_of_wrong_files(mut wrong: Vec<WrongFile>, settings: &Settings) -> Result<Error> {
    let now = Utc::now();
    runtime()?.block_on(async {
        for WrongFile { name, error } in &wrong {
            // Its name may be a mistake too: no report is kept.
            Ended::not_begun(name, settings, now, error).tell(settings, None).await;
        }
    });
    let last = wrong.pop().map(|last| last.error);
    wrong.iter().for_each(|wrong| super::tell(&wrong.error));
    Ok(last.unwrap_or_else(|| Error::new(Kind::Internal, "a file was refused without a reason")))
}

/// Two files that call themselves alike would share cursors and tables.
fn shared_name(pipelines: &[Loaded]) -> Option<WrongFile> {
    let mut names: Vec<&str> = pipelines.iter().map(|loaded| loaded.pipeline.name.as_str()).collect();
    names.sort_unstable();
    let name = names.windows(2).find(|pair| pair[0] == pair[1])?[0];
    let hint = "`name` of a file is that of the file itself, unless it says otherwise";
    let error = Error::new(Kind::Config, format!("two files are the pipeline `{name}`")).hint(hint);
    Some(WrongFile { name: name.to_owned(), error })
}

/// One pipeline, with the secrets that it needs.
pub(super) fn load_one(name: &str, vars: &[(String, String)], settings: &Settings) -> Result<Loaded> {
    config::load_pipeline(&find_pipeline(settings, name)?, vars, &settings.env, Secrets::Required)
}

pub(super) fn options(loaded: Loaded, settings: &Settings, stop: Stop) -> RunOptions<'_> {
    for warning in &loaded.warnings {
        tracing::warn!("{}", warning.strip_prefix("warning: ").unwrap_or(warning));
    }
    RunOptions {
        pipeline: loaded.pipeline,
        settings,
        resources: Vec::new(),
        full_refresh: false,
        backfill: None,
        style: Style::Silent,
        command: super::command(),
        stop,
        permits: settings.run.concurrency.map(|n| Arc::new(Semaphore::new(n))),
        tape: TapeUse::None,
    }
}

pub(super) fn runtime() -> Result<tokio::runtime::Runtime> {
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

fn show(report: &Report, ended: &Ended, output: Output) -> Result<()> {
    let text = match output {
        Output::Text => report.to_text(),
        Output::Json => format!("{}\n", ended.json),
    };
    for problem in report.problems() {
        super::tell_text(&format!("{}\n", problem.trim_end()));
    }
    print(&text)
}

/// Tells of a pipeline whose turn did not come.
fn skip(pipeline: &str, cause: Cause, output: Output) -> Result<()> {
    // Nowhere is left to say that stderr is gone.
    let _ = writeln!(io::stderr(), "{pipeline} was not begun: {cause}\n");
    if output == Output::Text {
        return Ok(());
    }
    let report = json!({ "pipeline": pipeline, "status": Status::Skipped.word(), "end": cause.to_string(),
        "error": null, "resources": {} });
    print(&format!("{report}\n"))
}

fn exit_of(report: &Report, stop: &Stop) -> Exit {
    match (report.status, stop.requested()) {
        (Status::Completed | Status::Stopped, _) => Exit::Done,
        (Status::Interrupted, Some(Cause::Signal(signal))) => exit_of_signal(signal),
        (Status::Interrupted | Status::Failed | Status::Skipped, _) => Exit::Failed,
    }
}

fn exit_of_signal(signal: Signal) -> Exit {
    match signal {
        Signal::Interrupt => Exit::Interrupted,
        Signal::Terminate => Exit::Terminated,
    }
}

/// Of several pipelines: the signal's code, else a failure, else a held lock. What is wrong with the configuration and shows
/// only when others have run is a failure: something was requested.
fn combine(exits: &[Exit], pipeline_count: usize, stop: &Stop) -> Exit {
    if let Some(Cause::Signal(signal)) = stop.requested()
        && (exits.len() < pipeline_count || exits.last() != Some(&Exit::Done))
    {
        return exit_of_signal(signal);
    }
    let has = |exit: Exit| exits.contains(&exit);
    match () {
        () if !exits.is_empty() && exits.iter().all(|exit| *exit == Exit::Config) => Exit::Config,
        () if has(Exit::Failed) || has(Exit::Config) => Exit::Failed,
        () if has(Exit::Locked) => Exit::Locked,
        () => Exit::Done,
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_several_exit_codes_the_gravest_counts() {
        use Exit::{Config, Done, Failed, Interrupted, Locked, Terminated};
        let of = |exits: &[Exit], cause: Option<Cause>| {
            let stop = Stop::default();
            cause.into_iter().for_each(|cause| assert!(stop.request(cause)));
            combine(exits, 3, &stop)
        };
        let (signal, budget) = (Some(Cause::Signal(Signal::Terminate)), Some(Cause::Requests(1)));
        for (exits, cause, expected) in [
            (&[Done, Done, Done][..], None, Done),
            (&[Done, Locked, Done], None, Locked),
            (&[Locked, Failed, Done], None, Failed),
            (&[Config, Config, Config], None, Config),
            (&[Done, Config, Done], None, Failed),
            (&[Failed, Terminated], signal, Terminated),
            (&[Done, Done], signal, Terminated),
            (&[Done, Done, Done], signal, Done),
            (&[Done, Done], budget, Done),
            (&[Failed, Done], budget, Failed),
            (&[Done, Done, Interrupted], Some(Cause::Signal(Signal::Interrupt)), Interrupted),
        ] {
            assert_eq!(of(exits, cause), expected, "{exits:?} {cause:?}");
        }
    }
}
