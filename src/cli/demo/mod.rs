//! `pintail demo`: serves a sample API on loopback, loads it twice with the bundled pipeline file, shows the tables.
//!
//! The server is a stand-in for Mindstamp only; the loads are real ones, over HTTP, by the engine that `run` uses.

mod api;
mod data;
mod server;
mod show;
mod warehouse;

use crate::error::{Error, Kind, Result};
use data::Account;
use server::Server;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use tokio::runtime::Runtime;
use tokio::signal::unix::{Signal, SignalKind, signal};

/// The pipeline file that the demo loads: the one of the repository, carried in the program.
const PIPELINE: &str = include_str!("../../../pipelines/mindstamp.toml");

/// Where the file is in the repository.
const PIPELINE_FILE: &str = "pipelines/mindstamp.toml";

/// The warehouse, in the working directory.
const DATABASE: &str = "demo.duckdb";

/// The DuckDB schema that the pipeline fills.
const DATASET: &str = "mindstamp";

/// The token of the sample API. It opens nothing else.
const TOKEN: &str = "demo-token";

/// The file's limits protect Mindstamp; this server is our own, and a demo should not take ten minutes.
const LIMITS: [(&str, &str); 2] = [("MINDSTAMP_PER_MINUTE", "60000"), ("MINDSTAMP_PER_HOUR", "1000000")];

/// Options of `pintail demo`.
#[derive(Debug, Clone, Copy, clap::Args)]
pub struct DemoArgs {
    /// Keep the sample API running afterwards, for runs of your own (ends with Ctrl-C)
    #[arg(long)]
    pub serve: bool,
}

/// One load that the demo asks the engine for.
#[derive(Debug)]
pub struct LoadRequest<'a> {
    /// What to call the pipeline file in messages.
    pub pipeline_file: &'a Path,
    /// Its text.
    pub pipeline_text: &'a str,
    /// All that `${NAME}` may find: the process's own environment must not be asked.
    pub environment: &'a [(String, String)],
    /// The DuckDB file to load into.
    pub database: &'a Path,
    /// Where state and lock go.
    pub state_dir: &'a Path,
}

/// What the demo tells about a load.
#[derive(Debug, Clone, Default)]
pub struct LoadOutcome {
    /// In the order of the report.
    pub resources: Vec<ResourceOutcome>,
}

/// What the demo tells about a resource of a load.
#[derive(Debug, Clone, Default)]
pub struct ResourceOutcome {
    /// Name as in the pipeline file.
    pub name: String,
    /// Requests sent, those that were tried again included.
    pub requests: u64,
    /// Records received.
    pub records: u64,
    /// Time spent waiting because the server or the file's limits asked for it.
    pub throttled: Duration,
    /// Whether it asked only for what changed since the last load.
    pub from_cursor: bool,
}

/// The engine, as the demo sees it: loads everything that the file selects. An error if any resource failed.
pub type Load<'a> = dyn Fn(&LoadRequest<'_>) -> Result<LoadOutcome> + 'a;

/// Runs the demo in the working directory and tells about it on `out`. Blocks; not to be called on a tokio runtime.
///
/// # Errors
/// `demo.duckdb` is someone else's file, a load failed, or `out` can't be written.
pub fn run(args: &DemoArgs, out: &mut dyn Write, load: &Load<'_>) -> Result<()> {
    let database = Path::new(DATABASE);
    warehouse::renew(database)?;
    let pipeline_file = place_pipeline_file()?;
    let state_dir = StateDir::new()?;
    let server = Server::start(Account::new(), TOKEN)?;
    let environment = environment(&server.base_url());
    let request = LoadRequest {
        pipeline_file: &pipeline_file,
        pipeline_text: PIPELINE,
        environment: &environment,
        database,
        state_dir: &state_dir.0,
    };
    let timed_load = || -> Result<(LoadOutcome, Duration)> {
        let started = Instant::now();
        Ok((load(&request)?, started.elapsed()))
    };

    say(out, &show::introduction(&server.base_url(), &pipeline_file))?;
    let (first, first_elapsed) = timed_load()?;
    let tables_before = warehouse::tables(database, DATASET)?;
    say(out, &show::first_load(&first, first_elapsed, &tables_before))?;

    let changes = server.account().live_on();
    say(out, &show::changes(changes))?;
    let (second, second_elapsed) = timed_load()?;
    let tables_after = warehouse::tables(database, DATASET)?;
    say(out, &show::second_load(&first, &second, second_elapsed, &tables_before, &tables_after))?;

    say(out, &show::example_query(&warehouse::query(database, show::EXAMPLE_SQL)?))?;
    say(out, &show::how_to_go_on(&pipeline_file))?;
    if args.serve {
        let ending = Ending::listen()?;
        say(out, &show::how_to_use_the_server(&environment, &pipeline_file))?;
        ending.wait();
    }
    Ok(())
}

/// What `${…}` finds in the pipeline file.
fn environment(base_url: &str) -> Vec<(String, String)> {
    [("MINDSTAMP_BASE_URL", base_url), ("MINDSTAMP_TOKEN", TOKEN)]
        .into_iter()
        .chain(LIMITS)
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect()
}

/// Where the reader finds the pipeline file: in the repository, or else a copy is put into the working directory.
fn place_pipeline_file() -> Result<PathBuf> {
    let in_repository = PathBuf::from(PIPELINE_FILE);
    if in_repository.exists() {
        return Ok(in_repository);
    }
    let copy = PathBuf::from("mindstamp.toml");
    if !copy.exists() {
        std::fs::write(&copy, PIPELINE).map_err(|e| {
            Error::new(Kind::State, "the pipeline file can't be written").with("file", copy.display()).source(e)
        })?;
    }
    Ok(copy)
}

/// A directory for the demo's state, removed with the demo.
struct StateDir(PathBuf);

impl StateDir {
    fn new() -> Result<StateDir> {
        let path =
            std::env::temp_dir().join(format!("pintail-demo-{}-{:08x}", std::process::id(), rand::random::<u32>()));
        std::fs::create_dir_all(&path).map_err(|e| {
            Error::new(Kind::State, "no directory for the demo's state").with("directory", path.display()).source(e)
        })?;
        Ok(StateDir(path))
    }
}

impl Drop for StateDir {
    fn drop(&mut self) {
        if let Err(e) = std::fs::remove_dir_all(&self.0) {
            tracing::debug!(error = %e, "the demo's state directory stays behind");
        }
    }
}

fn say(out: &mut dyn Write, text: &str) -> Result<()> {
    out.write_all(text.as_bytes())
        .and_then(|()| out.flush())
        .map_err(|e| Error::new(Kind::Internal, "standard output can't be written").source(e))
}

/// The signals that end the sample API. Listened for by name, because the loads before have taken them over from the system.
struct Ending {
    runtime: Runtime,
    interrupt: Signal,
    terminate: Signal,
}

impl Ending {
    fn listen() -> Result<Ending> {
        let failed = |e| Error::new(Kind::Internal, "can't wait for Ctrl-C").source(e);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(failed)?;
        let (interrupt, terminate) = {
            let _inside = runtime.enter();
            (signal(SignalKind::interrupt()).map_err(failed)?, signal(SignalKind::terminate()).map_err(failed)?)
        };
        Ok(Ending { runtime, interrupt, terminate })
    }

    fn wait(mut self) {
        self.runtime.block_on(async {
            tokio::select! {
                _ = self.interrupt.recv() => {}
                _ = self.terminate.recv() => {}
            }
        });
    }
}
