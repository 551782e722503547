//! The run itself: what is run, in which order things are opened and closed.

use super::backfill::{self, Past, newer_stays};
use super::credentials::{CredentialsByResource, resolve_all};
use super::decoding::{decode_spec, keeps_nested};
use super::destination;
use super::fanout::{Connections, Progress, check_files};
use super::progress::{Display, Style, Tracker};
use super::report::{Report, ResourceReport, Status};
use super::resource;
use super::shutdown::Stop;
use super::specs::{RunOf, catalog_of, files_of, load_spec, reserved_names, stored_cursor};
use super::unit::{Decoders, Task};
use super::values::{bounds_of, render_vars};
use super::warehouse::{self, Setup, Warehouse};
use super::wire::{self, Senders, Wire};
use crate::config::Settings;
use crate::error::{Error, Kind, Result};
use crate::extract::cursor::Bounds;
use crate::http::Http;
use crate::http::tape::TapeUse;
use crate::load::{Destination, Stored};
use crate::plan::model::{Client, Pipeline, Resource};
use crate::plan::template::Scope;
use crate::schema::catalog::Catalog;
use crate::state::file::{Finding, StateCopy, compare};
use crate::state::lock::lock_pipeline;
use chrono::{DateTime, SecondsFormat, Utc};
use serde_json::Value;
use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tokio::sync::Semaphore;
use tokio::sync::watch;

/// What to run, and how.
pub struct RunOptions<'a> {
    /// The pipeline.
    pub pipeline: Pipeline,
    /// Where rows and state go.
    pub settings: &'a Settings,
    /// Resources to run; empty: all that are selected.
    pub resources: Vec<String>,
    /// Forget cursors and make the tables anew.
    pub full_refresh: bool,
    /// Load a past range, and leave the cursors where they are.
    pub backfill: Option<backfill::Request>,
    /// How progress is shown.
    pub style: Style,
    /// What the lock says of this run, for whoever finds it held.
    pub command: String,
    /// Asks the run to end.
    pub stop: Stop,
    /// Bounds requests in flight over several pipelines.
    pub permits: Option<Arc<Semaphore>>,
    /// Whether the run is recorded, or is itself a recording.
    pub tape: TapeUse,
}

/// What all tasks of a run share.
pub(super) struct Context {
    pub(super) client: Arc<Client>,
    pub(super) senders: Senders,
    pub(super) warehouse: Warehouse,
    pub(super) stop: Stop,
    pub(super) load_id: String,
    /// When the run began, as its requests say it: when a tape is played, the recorded run's beginning.
    pub(super) started_at: DateTime<Utc>,
    /// When the run began, as its rows say it.
    pub(super) loaded_at: DateTime<Utc>,
    pub(super) full_refresh: bool,
    pub(super) vars: Vec<(String, Value)>,
    /// The bounds that the file gives to the cursors, by resource.
    pub(super) bounds: HashMap<String, Bounds>,
    /// What is loaded of the past, by resource.
    pub(super) pasts: HashMap<String, Past>,
    /// The folder in which the warehouse is.
    pub(super) files_base: PathBuf,
}

/// Which resources take part in a run, by name.
pub(super) struct Selection {
    /// Those that run.
    pub(super) running: HashSet<String>,
    /// Those whose rows are stored: a parent that nobody selected is fetched for its children only.
    pub(super) stored: HashSet<String>,
}

/// Runs a pipeline.
///
/// # Errors
/// Nothing was requested: the configuration does not hold together, the lock is held, or the warehouse can't be opened.
/// Whatever happens after the first request is in the report.
pub async fn execute(options: RunOptions<'_>) -> Result<Report> {
    let loaded_at = Utc::now();
    let load_id = new_load_id(loaded_at);
    let started_at = options.tape.started_at().unwrap_or(loaded_at);
    let mut pipeline = options.pipeline;
    check_names(&pipeline, &options.resources)?;
    pipeline.resources.iter().filter_map(|r| r.partitions.as_ref()).try_for_each(check_files)?;
    let settings = options.settings;
    let vars = render_vars(&pipeline, started_at)?;
    let scope = Scope { vars: vars.clone(), run_started_at: started_at, ..Scope::default() };
    let request = options.backfill.as_ref();
    let backfill = request.map(|request| request.apply(&mut pipeline, &options.resources, &scope)).transpose()?;
    let backfill = backfill.unwrap_or_default();
    let pipeline = Arc::new(pipeline);
    let mut bounds = bounds_of(&pipeline, &scope)?;
    bounds.extend(backfill.bounds);
    let credentials = resolve_all(&pipeline, &scope, &options.tape, &settings.state_dir)?;
    let network = wire::network(&options.tape, &pipeline.client)?;
    let _lock = {
        let (dir, name, command) = (settings.state_dir.clone(), pipeline.name.clone(), options.command.clone());
        let wait = settings.run.lock_wait;
        blocking(move || lock_pipeline(&dir, &name, &command, wait)).await?
    };
    let (destination, stored) = open(settings, &pipeline, &options.command).await?;
    let location = destination.location();
    let selection = match &backfill.range {
        Some(_) => backfill::select(&pipeline, &backfill.pasts, &stored)?,
        None => select(&pipeline, &options.resources, &stored),
    };
    if options.full_refresh {
        check_full_refresh(&pipeline, &selection)?;
    } else {
        check_nesting(&pipeline, &selection, &stored)?;
    }
    let copy = readable_copy(settings, &pipeline, &location, &stored);
    let wire = Wire::new(&options.tape, network, &pipeline.name, started_at)?;
    let limiter = wire.limiter(Some(&settings.state_dir), &pipeline)?;
    let (transport, pace) = (wire.transport.clone(), wire.pace);
    let http = Http::new(&pipeline.client, transport, limiter, options.stop.clone(), pace, options.permits);
    let senders = wire.senders(&http, Some(&settings.state_dir), &pipeline)?;
    let (warehouse, thread) = warehouse::start(Setup {
        destination,
        copy,
        state_dir: settings.state_dir.clone(),
        pipeline: pipeline.name.clone(),
        dataset: pipeline.dataset.clone(),
        load_id: load_id.clone(),
    })?;
    let context = Arc::new(Context {
        client: Arc::new(pipeline.client.clone()),
        senders,
        warehouse,
        stop: options.stop.clone(),
        load_id: load_id.clone(),
        started_at,
        loaded_at,
        full_refresh: options.full_refresh,
        vars,
        bounds,
        pasts: backfill.pasts,
        files_base: settings.destination.path().parent().unwrap_or(Path::new("")).to_owned(),
    });
    let resources = run_resources(&pipeline, &context, &selection, &stored, &credentials, options.style).await;
    credentials.settle().await;
    wire.report_unused();
    drop(context);
    let closed =
        blocking(move || thread.join().unwrap_or_else(|_| Err(broken("the warehouse's thread panicked")))).await;
    let (resources, error) = match resources {
        Ok(resources) => (resources, closed.err()),
        Err(error) => (Vec::new(), Some(error)),
    };
    Ok(Report {
        pipeline: pipeline.name.clone(),
        load_id,
        status: overall(&resources, error.as_ref(), &options.stop),
        started_at: loaded_at,
        finished_at: Utc::now(),
        destination: location,
        dataset: pipeline.dataset.clone(),
        range: backfill.range,
        resources,
        error: error.map(|e| e.report()),
    })
}

/// Says whether a run of the pipeline can begin, as far as that can be told without the warehouse.
///
/// # Errors
/// [`Kind::Config`]: there is no such resource, a list can't be read, or a value does not hold together with others.
pub fn validate(pipeline: &Pipeline, resources: &[String]) -> Result<()> {
    check_names(pipeline, resources)?;
    pipeline.resources.iter().filter_map(|r| r.partitions.as_ref()).try_for_each(check_files)?;
    let started_at = Utc::now();
    let vars = render_vars(pipeline, started_at)?;
    bounds_of(pipeline, &Scope { vars, run_started_at: started_at, ..Scope::default() }).map(|_| ())
}

fn overall(resources: &[ResourceReport], error: Option<&Error>, stop: &Stop) -> Status {
    if error.is_some() || resources.iter().any(|r| r.status == Status::Failed) {
        return Status::Failed;
    }
    let cut_short = resources.iter().any(|r| r.status != Status::Completed);
    stop.requested().filter(|_| cut_short).map_or(Status::Completed, Status::of_cause)
}

/// Sorts by time, and is unique among the runs of one second.
fn new_load_id(at: DateTime<Utc>) -> String {
    let time = at.to_rfc3339_opts(SecondsFormat::Millis, true).replace(['-', ':'], "").replace('.', "");
    format!("{time}_{:06x}", rand::random::<u32>() & 0xff_ffff)
}

pub(super) async fn blocking<T: Send + 'static>(work: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
    tokio::task::spawn_blocking(work)
        .await
        .map_err(|e| broken("a background task ended without an answer").source(e))?
}

pub(super) fn broken(message: &str) -> Error {
    Error::new(Kind::Internal, message)
}

pub(super) fn check_names(pipeline: &Pipeline, wanted: &[String]) -> Result<()> {
    for name in wanted {
        if pipeline.resource(name).is_none() {
            let names: Vec<&str> = pipeline.resources.iter().map(|r| r.name.as_str()).collect();
            let error = Error::new(Kind::Config, format!("the pipeline has no resource `{name}`"))
                .with("resources", names.join(", "));
            return Err(match crate::plan::suggest::nearest(name, &names) {
                Some(near) => error.hint(format!("did you mean `{near}`?")),
                None => error,
            });
        }
    }
    Ok(())
}

async fn open(settings: &Settings, pipeline: &Pipeline, command: &str) -> Result<(Box<dyn Destination>, Stored)> {
    let (settings, command) = (settings.clone(), command.to_owned());
    let (name, dataset) = (pipeline.name.clone(), pipeline.dataset.clone());
    blocking(move || {
        let mut destination = destination::open(&settings, &command)?;
        let stored = destination.open(&name, &dataset)?;
        Ok((destination, stored))
    })
    .await
}

/// The readable copy of the state, as the warehouse has it; says what was found in its place.
fn readable_copy(settings: &Settings, pipeline: &Pipeline, location: &str, stored: &Stored) -> StateCopy {
    let found = StateCopy::read(&settings.state_dir, &pipeline.name).unwrap_or_else(|error| {
        tracing::warn!(%error, "the state file could not be read; it is written anew from the warehouse");
        None
    });
    let has_history = stored.last_load_id.is_some();
    match compare(found.as_ref(), stored) {
        Finding::Fresh => {}
        Finding::Missing if !has_history => {}
        Finding::Missing => tracing::info!("no state file; it is written anew from the warehouse"),
        Finding::Older => tracing::info!("the state file is older than the warehouse; it is written anew from it"),
        Finding::Newer => tracing::warn!("the state file is newer than the warehouse; the warehouse counts"),
        Finding::OtherWarehouse => {
            tracing::warn!("the state file tells of another warehouse; this one counts, and the file is written anew");
        }
    }
    let copy = StateCopy::of(&pipeline.name, location, stored, Utc::now());
    if (has_history || found.is_some())
        && let Err(error) = copy.write(&settings.state_dir)
    {
        tracing::warn!(%error, "the readable copy of the state could not be written; the warehouse has it");
    }
    copy
}

/// Which resources run: those that were named, else those that are selected; and parents that they can't do without, because
/// they are not selected themselves or nothing is known of them yet.
pub(super) fn select(pipeline: &Pipeline, wanted: &[String], stored: &Stored) -> Selection {
    let chosen = |r: &Resource| if wanted.is_empty() { r.selected } else { wanted.contains(&r.name) };
    let mut running: HashSet<String> =
        pipeline.resources.iter().filter(|r| chosen(r)).map(|r| r.name.clone()).collect();
    // Parents stand before their children, so going backwards meets every child before its parent.
    for resource in pipeline.resources.iter().rev() {
        if let (true, Some(parent)) = (running.contains(&resource.name), &resource.parent) {
            let is_known =
                |name: &str| pipeline.resource(name).is_some_and(|parent| stored.catalog_of(&parent.table).is_some());
            running.extend(parent.resources.iter().filter(|name| wanted.is_empty() || !is_known(name)).cloned());
        }
    }
    let is_stored = |r: &&Resource| running.contains(&r.name) && (r.selected || wanted.contains(&r.name));
    let stored = pipeline.resources.iter().filter(is_stored).map(|r| r.name.clone()).collect();
    Selection { running, stored }
}

async fn run_resources(
    pipeline: &Pipeline,
    context: &Arc<Context>,
    selection: &Selection,
    stored: &Stored,
    credentials: &CredentialsByResource,
    style: Style,
) -> Result<Vec<ResourceReport>> {
    let running: Vec<&Resource> = pipeline.resources.iter().filter(|r| selection.running.contains(&r.name)).collect();
    let trackers: Vec<Arc<Tracker>> = running.iter().map(|r| Arc::new(Tracker::new(&r.name))).collect();
    let progress = Progress::new(&running);
    let mut connections = Connections::new(&running);
    // A child may read its parent's committed rows although the parent itself does not run.
    let run = RunOf { load_id: &context.load_id, loaded_at: context.loaded_at, is_fresh: context.full_refresh };
    for resource in &pipeline.resources {
        let spec = load_spec(pipeline, resource, &run, stored);
        let reserved = reserved_names(pipeline, resource, stored);
        let newer = newer_stays(resource, &context.pasts);
        let tracker = trackers.iter().find(|tracker| tracker.name == resource.name);
        let stages = tracker.map(|tracker| tracker.stages.clone()).unwrap_or_default();
        context.warehouse.prepare(spec, resource.table.clone(), reserved, stages, newer).await?;
    }
    let _display = Display::start(trackers.clone(), style);
    let mut tasks = Vec::new();
    let mut above: Vec<(&str, watch::Receiver<()>)> = Vec::new();
    for (resource, tracker) in running.iter().zip(trackers) {
        let cursor = stored_cursor(stored, resource, context.full_refresh)?;
        let catalog = if context.full_refresh { Catalog::default() } else { catalog_of(resource, stored) };
        let ends: Vec<_> = above.iter().map(|(_, end)| end.clone()).collect();
        let sources = connections.sources(pipeline, resource, &progress, &ends);
        let waits_for = |name: &str| connections.waits(&resource.name).iter().any(|other| other == name);
        let before: Vec<_> = above.iter().filter(|(name, _)| waits_for(name)).map(|(_, end)| end.clone()).collect();
        let (ended, end) = watch::channel(());
        above.push((&resource.name, end));
        let task = Arc::new(Task {
            context: context.clone(),
            http: context.senders.of(&resource.name).ok_or_else(|| broken("a resource has no sender"))?,
            credentials: credentials.of(&resource.name).ok_or_else(|| broken("a resource has no credentials"))?,
            decoders: Decoders::new(
                decode_spec(pipeline, resource, selection.stored.contains(&resource.name)),
                catalog,
            ),
            files: files_of(pipeline, resource, &context.files_base).map(Arc::new),
            stored: selection.stored.contains(&resource.name),
            feeds: connections.take_feeds(&resource.name),
            came_through: progress.flag(&resource.name),
            resource: Arc::new((*resource).clone()),
            tracker,
        });
        tasks.push((task, cursor, sources, before, ended));
    }
    // Nothing is requested before everything is ready.
    let tasks: Vec<_> = tasks
        .into_iter()
        .map(|(task, cursor, sources, before, ended)| {
            let name = task.resource.name.clone();
            let run = async move {
                ended_all(before).await;
                let report = resource::run(task, cursor, sources).await;
                drop(ended);
                report
            };
            (name, tokio::spawn(run))
        })
        .collect();
    let mut reports = Vec::new();
    for (name, task) in tasks {
        reports.push(task.await.unwrap_or_else(|e| {
            let error = broken("a resource's task ended without an answer").source(e);
            ResourceReport { status: Status::Failed, error: Some(error.report()), ..ResourceReport::new(&name, true) }
        }));
    }
    Ok(reports)
}

/// Waits until resources have ended.
pub(super) async fn ended_all(resources: Vec<watch::Receiver<()>>) {
    for mut resource in resources {
        // An error says that the sender is gone: the resource has ended.
        while resource.changed().await.is_ok() {}
    }
}

/// Refuses to load nested values otherwise than the tables have them: a query would find some here and some there.
pub(super) fn check_nesting(pipeline: &Pipeline, selection: &Selection, stored: &Stored) -> Result<()> {
    for resource in pipeline.resources.iter().filter(|r| selection.stored.contains(&r.name)) {
        let Some((place, what)) = keeps_nested(pipeline, resource).contradiction(&catalog_of(resource, stored)) else {
            continue;
        };
        let message = format!("the tables of `{}` hold nested values otherwise than the file says", resource.name);
        let hint = format!(
            "change `nested`, `max_table_nesting` or what reads the field back, or make the tables anew with \
             `--full-refresh --resource {}`; nothing was changed",
            resource.name
        );
        return Err(Error::new(Kind::Config, message).with("at", format!("`{place}` {what}")).hint(hint));
    }
    Ok(())
}

/// Refuses to make a table anew for some of the resources that fill it: the rows of the others would be gone.
pub(super) fn check_full_refresh(pipeline: &Pipeline, selection: &Selection) -> Result<()> {
    for resource in pipeline.resources.iter().filter(|r| selection.stored.contains(&r.name)) {
        let mut fellows = pipeline.fellows(resource).filter(|r| r.selected);
        if let Some(other) = fellows.find(|other| !selection.stored.contains(&other.name)) {
            let message = format!(
                "`{}` can't be loaded anew alone: `{}` fills the same table, and its rows would be gone",
                resource.name, other.name
            );
            let hint = format!("name both: --resource {} --resource {}", resource.name, other.name);
            return Err(Error::new(Kind::Config, message).with("table", &resource.table).hint(hint));
        }
    }
    Ok(())
}
