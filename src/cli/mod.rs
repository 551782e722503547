//! The command line: one file per command.

pub mod backfill;
pub mod budget;
pub mod check;
pub mod completions;
pub mod demo;
mod ended;
pub mod init;
pub mod plan;
pub mod preview;
pub mod report;
pub mod run;
pub mod schema;
pub mod state;
pub mod status;

use crate::config::settings::{LogFormat, LogLevel};
use crate::config::{Settings, Target, find_pipeline, load_settings};
use crate::error::{Error, Kind, Result};
use crate::exit::Exit;
use clap::{CommandFactory, Parser, Subcommand, ValueEnum};
use std::io::{self, Write};
use std::path::PathBuf;

/// Pulls REST APIs into DuckDB or Parquet: one TOML file describes an API, a run loads what is new.
#[derive(Debug, Parser)]
#[command(name = "pintail", version, max_term_width = 100, arg_required_else_help = true)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
    #[command(flatten)]
    global: Global,
}

/// Options of every command.
#[derive(Debug, clap::Args)]
struct Global {
    /// Operator file [default: config.toml, if there is one]
    #[arg(long, global = true, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Where rows go: duckdb:PATH or parquet:DIR
    #[arg(long, global = true, value_name = "TYPE:PATH")]
    destination: Option<String>,
    /// Where locks and readable copies of the cursors go
    #[arg(long, global = true, value_name = "DIR")]
    state_dir: Option<PathBuf>,
    /// How log lines look
    #[arg(long, global = true, value_enum, value_name = "FORMAT")]
    log_format: Option<LogFormatArg>,
    /// Log more: -v each request, -vv headers too
    #[arg(short, long, global = true, action = clap::ArgAction::Count, conflicts_with = "quiet")]
    verbose: u8,
    /// Log less: -q warnings and errors, -qq errors
    #[arg(short, long, global = true, action = clap::ArgAction::Count)]
    quiet: u8,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum LogFormatArg {
    /// For people
    Text,
    /// For machines, one object per line
    Json,
}

/// How results are printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Output {
    /// For people
    Text,
    /// For machines
    Json,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Load what is new
    Run(run::RunArgs),
    /// Load a past range, beside what is new
    Backfill(backfill::BackfillArgs),
    /// Validate pipeline files, offline and without secrets
    Check(check::Args),
    /// Tell what a run would do, from the real cursors: no network, nothing is written
    Plan(plan::Args),
    /// Show the first rows of a resource and their schema; nothing is stored
    Preview(preview::Args),
    /// Last runs, freshness, rows and failures
    Status(status::Args),
    /// Write a page of HTML on runs, tables and cursors
    Report(report::Args),
    /// Show cursors, set them, have them forgotten
    State(state::Args),
    /// Print the JSON Schema of pipeline and operator files
    Schema(schema::Args),
    /// Write a commented pipeline file to start from
    Init(init::Args),
    /// Print a script that completes commands and options in a shell
    Completions(completions::Args),
    /// Serve a sample API on loopback, load it twice, show the tables
    Demo(demo::DemoArgs),
}

/// The command line, as it is described.
pub(crate) fn described() -> clap::Command {
    Cli::command()
}

/// Carries out the command line. What goes wrong is told on stderr.
pub fn main() -> Exit {
    let cli = Cli::parse();
    match dispatch(cli) {
        Ok(exit) => exit,
        Err(error) => {
            tell(&error);
            Exit::from(error.kind())
        }
    }
}

/// Tells an error on stderr.
pub(crate) fn tell(error: &Error) {
    let report = error.report();
    let prefix = if report.starts_with("error: ") { "" } else { "error: " };
    tell_text(&format!("{prefix}{}", report.trim_end()));
}

/// Tells an error or a warning on stderr, and in the log file.
pub(crate) fn tell_text(text: &str) {
    crate::log::told(text);
    // Nowhere is left to say that stderr is gone.
    let _ = writeln!(io::stderr(), "{text}");
}

/// Tells a warning about a pipeline file on stderr.
fn tell_warning(warning: &str) {
    let _ = writeln!(io::stderr(), "{warning}\n");
}

/// What a lock says of this process.
fn command() -> String {
    std::env::args().collect::<Vec<_>>().join(" ")
}

/// Columns of the terminal that results go to; 80 where they go elsewhere.
fn terminal_width() -> usize {
    const WIDTH_DEFAULT: usize = 80;
    let of_terminal = console::Term::stdout().size_checked().map(|(_, columns)| usize::from(columns));
    of_terminal.filter(|columns| *columns > 0).unwrap_or(WIDTH_DEFAULT)
}

/// Prints results on stdout.
fn print(text: &str) -> Result<()> {
    match io::stdout().lock().write_all(text.as_bytes()) {
        // Whoever read our output has enough of it.
        Err(e) if e.kind() != io::ErrorKind::BrokenPipe => {
            Err(Error::new(Kind::State, "the output could not be written").source(e))
        }
        _ => Ok(()),
    }
}

fn dispatch(cli: Cli) -> Result<Exit> {
    if let Command::Schema(args) = &cli.command {
        return schema::run(args, described(), &mut io::stdout().lock());
    }
    if let Command::Completions(args) = &cli.command {
        return completions::run(args, described(), &mut io::stdout().lock());
    }
    crate::failpoint::arm()?;
    let mut settings = cli.global.settings()?;
    if matches!(cli.command, Command::Demo(_)) {
        settings.log.file = None;
    }
    // Lines would run through the bars, and through the demo's tale; what a person must see is told at the end.
    let level = match &cli.command {
        Command::Demo(_) => settings.log.level.min(LogLevel::Warn),
        Command::Run(_) | Command::Backfill(_) if run::shows_bars(&settings) => settings.log.level.min(LogLevel::Error),
        _ => settings.log.level,
    };
    crate::log::start(level, &settings.log);
    match cli.command {
        Command::Run(args) => run::run(&args, &settings),
        Command::Backfill(args) => backfill::run(&args, &settings),
        Command::Check(args) => check::run(&args, &settings, &mut io::stdout().lock(), &mut io::stderr().lock()),
        Command::Plan(args) => plan::run(&args, &settings),
        Command::Preview(args) => preview::run(&args, &settings),
        Command::Status(args) => status::run(&args, &settings),
        Command::Report(args) => report::run(&args, &settings),
        Command::State(args) => state::run(&args, &settings),
        Command::Init(args) => init::run(&args, &settings, &mut io::stdout().lock()),
        Command::Demo(args) => demo::run(&args, &mut io::stdout().lock(), &run::demo_load).map(|()| Exit::Done),
        Command::Schema(_) | Command::Completions(_) => Ok(Exit::Done),
    }
}

impl Global {
    /// The operator's settings with what the flags say.
    fn settings(&self) -> Result<Settings> {
        let mut settings = load_settings(self.config.as_deref())?;
        if let Some(destination) = &self.destination {
            settings.destination = with_settings_of(Target::parse(destination)?, &settings.destination);
        }
        if let Some(dir) = &self.state_dir {
            settings.state_dir.clone_from(dir);
        }
        settings.log.format = match self.log_format {
            Some(LogFormatArg::Text) => LogFormat::Text,
            Some(LogFormatArg::Json) => LogFormat::Json,
            None => settings.log.format,
        };
        settings.log.level = match (self.verbose, self.quiet) {
            (0, 0) => settings.log.level,
            (0, 1) => LogLevel::Warn,
            (0, _) => LogLevel::Error,
            (1, _) => LogLevel::Debug,
            (_, _) => LogLevel::Trace,
        };
        Ok(settings)
    }
}

/// The file of a pipeline and, behind the last dot, the resource that is named.
fn find_part(settings: &Settings, text: &str) -> Result<(PathBuf, Option<String>)> {
    let whole = find_pipeline(settings, text);
    match text.rsplit_once('.') {
        Some((pipeline, resource)) if whole.is_err() && !resource.is_empty() && resource != "toml" => {
            Ok((find_pipeline(settings, pipeline)?, Some(resource.to_owned())))
        }
        _ => Ok((whole?, None)),
    }
}

/// A destination of the command line keeps the file's other settings for a destination of its type.
fn with_settings_of(target: Target, file: &Target) -> Target {
    match (target, file) {
        (Target::DuckDb { path, .. }, Target::DuckDb { path: of_file, storage_version, publish }) => {
            // The readers' copy is one of the file's own warehouse, and of no other.
            let publish = publish.clone().filter(|_| path == *of_file);
            Target::DuckDb { path, storage_version: storage_version.clone(), publish }
        }
        (Target::Parquet { path, .. }, Target::Parquet { compression, row_group_rows, file_rows, .. }) => {
            let (compression, row_group_rows, file_rows) = (*compression, *row_group_rows, *file_rows);
            Target::Parquet { path, compression, row_group_rows, file_rows }
        }
        (target, _) => target,
    }
}
