//! Real requests without a load: pages are fetched, decoded and held against the cursor as a run does it, and kept in memory.
//! Nothing is stored, no cursor is used or moved, and rate windows are those of this process alone.

use super::credentials::{CredentialsByResource, resolve_all};
use super::decoding::decode_spec;
use super::engine::{Context, blocking, broken};
use super::fanout::{FirstUnits, Live, OwnRows, Parents, Sources, fields_of};
use super::feed::{Feed, queue};
use super::progress::Tracker;
use super::shutdown::Stop;
use super::specs::files_of;
use super::survey::{Question, Survey, WarehouseUse};
use super::unit::{Decoders, Sink, Task, Unit};
use super::unit_walk::UnitWalk;
use super::wire::{self, Wire};
use crate::config::Settings;
use crate::error::Result;
use crate::extract::{Choices, FirstAnswer};
use crate::http::Http;
use crate::http::tape::TapeUse;
use crate::plan::model::{Auth, Grant, Pipeline, Resource};
use crate::run::rows::PageRows;
use crate::schema::catalog::Catalog;
use crate::state::lock::{Lock, lock_pipeline};
use chrono::Utc;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// Requests for one resource at most: pages without records are passed over, but not for ever.
const PAGES_MAX: u64 = 20;

/// Parent rows that are enough to find children.
const PARENTS_WANTED: u64 = 20;

/// What is rehearsed, and with what.
pub struct RehearsalOptions<'a> {
    /// The pipeline.
    pub pipeline: Pipeline,
    /// Where the warehouse is: queries of partitions read it.
    pub settings: &'a Settings,
    /// The network, or a tape in its place.
    pub tape: TapeUse,
    /// What the pipeline's lock says of this process, where it is taken.
    pub command: String,
    /// Asks for an early end.
    pub stop: Stop,
}

/// A rehearsal before its requests.
pub(super) struct Rehearsal {
    pub(super) survey: Survey,
    context: Arc<Context>,
    credentials: CredentialsByResource,
    scratch: Scratch,
}

/// What a resource brought.
pub(super) struct Brought {
    /// Its pages, decoded.
    pub(super) pages: Vec<PageRows>,
    pub(super) tracker: Arc<Tracker>,
    /// The first answer.
    pub(super) first: Option<FirstAnswer>,
    /// What was chosen by itself.
    pub(super) choices: Choices,
    /// Why the last walk ended; none: there are more pages.
    pub(super) end: Option<String>,
    pub(super) warnings: Vec<String>,
}

/// How much is asked for.
#[derive(Debug, Clone, Copy)]
pub(super) struct Wanted {
    /// Rows that are enough.
    pub(super) rows: u64,
    /// Pages at most.
    pub(super) pages: u64,
}

impl Rehearsal {
    /// Readies everything; nothing is requested yet. `resources`: those that requests are about; empty: all that are selected.
    ///
    /// # Errors
    /// The configuration does not hold together, or the warehouse is needed and can't be read.
    pub(super) async fn open(options: RehearsalOptions<'_>, resources: &[String]) -> Result<Rehearsal> {
        let RehearsalOptions { pipeline, settings, tape, command, stop } = options;
        let started_at = tape.started_at().unwrap_or_else(Utc::now);
        let survey = Survey::open(Question {
            pipeline,
            settings,
            resources,
            full_refresh: false,
            started_at,
            warehouse: WarehouseUse::IfQueried,
        })
        .await?;
        let pipeline = &survey.pipeline;
        let credentials = resolve_all(pipeline, &survey.scope(), &tape, &settings.state_dir)?;
        let lock = lock_of_tokens(pipeline, settings, &tape, command).await?;
        let wire = Wire::new(&tape, wire::network(&tape, &pipeline.client)?, &pipeline.name, started_at)?;
        let limiter = wire.limiter(None, pipeline)?;
        let http = Http::new(&pipeline.client, wire.transport.clone(), limiter, stop.clone(), wire.pace, None);
        let senders = wire.senders(&http, None, pipeline)?;
        let context = Arc::new(Context {
            client: Arc::new(pipeline.client.clone()),
            senders,
            warehouse: survey.warehouse.clone(),
            stop,
            load_id: String::new(),
            started_at,
            loaded_at: started_at,
            pasts: std::collections::HashMap::new(),
            full_refresh: false,
            vars: survey.vars.clone(),
            bounds: survey.bounds.clone(),
            files_base: settings.destination.path().parent().unwrap_or(Path::new("")).to_owned(),
        });
        Ok(Rehearsal { survey, context, credentials, scratch: Scratch { path: scratch_path(), _lock: lock } })
    }

    /// The resource of a name.
    pub(super) fn resource(&self, name: &str) -> Result<Resource> {
        let found = self.survey.pipeline.resource(name).cloned();
        found.ok_or_else(|| broken("a resource is not there that was named"))
    }

    /// Asks for the first rows of a resource, through the first rows of its parents.
    ///
    /// # Errors
    /// A request failed, or what it brought is not what it should be.
    pub(super) async fn rows_of(&self, name: &str, wanted: Wanted) -> Result<Brought> {
        let chain = self.chain(name)?;
        let mut units = None;
        for pair in chain.windows(2) {
            let [parent, child] = pair else { continue };
            let number = child.parent.iter().flat_map(|spec| &spec.resources).position(|name| *name == parent.name);
            let (sender, live) = queue();
            let fields = child
                .parent
                .as_ref()
                .map(|spec| fields_of(spec, number.unwrap_or_default(), Some(parent)))
                .unwrap_or_default();
            let feed = Feed::new(number.unwrap_or_default(), fields, sender);
            let source = match units.take() {
                Some(units) => Some(units),
                None => self.units(parent, None).await?,
            };
            let of_parents = Wanted { rows: PARENTS_WANTED, pages: PAGES_MAX / 2 };
            // The feed ends with the parent's task, and the child's parents with the feed.
            self.walk(parent, source, vec![feed], of_parents).await?;
            units = self.units(child, Some(live)).await?;
        }
        let resource = self.resource(name)?;
        let source = match units {
            Some(units) => Some(units),
            None => self.units(&resource, None).await?,
        };
        self.walk(&resource, source, Vec::new(), wanted).await
    }

    /// A resource with those above it, the topmost first.
    fn chain(&self, name: &str) -> Result<Vec<Resource>> {
        let mut chain = vec![self.resource(name)?];
        while let Some(spec) = chain.last().and_then(|resource| resource.parent.clone()) {
            let known: Vec<String> = chain.iter().map(|resource| resource.name.clone()).collect();
            // Of several parents the first that leads up; a resource may be its own parent beside them.
            let Some(above) = spec.resources.iter().find(|name| !known.contains(name)) else { break };
            chain.push(self.resource(above)?);
        }
        chain.reverse();
        Ok(chain)
    }

    /// The units of a resource that runs for rows: of a parent those that come by the queue, and those of lists.
    async fn units(&self, resource: &Resource, live: Option<Live>) -> Result<Option<FirstUnits>> {
        let parents = resource.parent.as_ref().map(|spec| Parents {
            fields: (0..spec.resources.len())
                .map(|number| {
                    fields_of(spec, number, spec.resources.get(number).and_then(|n| self.survey.pipeline.resource(n)))
                })
                .collect(),
            known: Vec::new(),
            came_through: Default::default(),
            spec: spec.clone(),
            live,
            are_fed: true,
        });
        let partitions = resource.partitions.clone();
        if parents.is_none() && partitions.is_none() {
            return Ok(None);
        }
        let sources = Sources { parents, own: OwnRows::default(), partitions, after: Vec::new() };
        let scope = self.survey.scope();
        FirstUnits::open(resource, sources, &self.context.warehouse, scope, true).await.map(Some)
    }

    async fn walk(
        &self,
        resource: &Resource,
        mut units: Option<FirstUnits>,
        feeds: Vec<Feed>,
        wanted: Wanted,
    ) -> Result<Brought> {
        let task = self.task(resource, feeds)?;
        let mut brought = Brought {
            pages: Vec::new(),
            tracker: task.tracker.clone(),
            first: None,
            choices: Choices::default(),
            end: Some("nothing to ask for".to_owned()),
            warnings: Vec::new(),
        };
        let mut sink = Sink::Kept(Vec::new());
        let mut unit = self.next_unit(&mut units, true).await?;
        while let Some(at) = unit {
            let next = self.walk_slice(&task, &at, &mut sink, &mut brought, wanted).await?;
            if is_enough(&task, &sink, wanted) {
                break;
            }
            unit = match next {
                Some(slice) => Some(slice),
                None => self.next_unit(&mut units, false).await?,
            };
        }
        if let Sink::Kept(pages) = sink {
            brought.pages = pages;
        }
        Ok(brought)
    }

    async fn next_unit(&self, units: &mut Option<FirstUnits>, is_first: bool) -> Result<Option<Unit>> {
        match units {
            Some(units) => units.next().await,
            None => Ok(is_first.then(|| self.survey.unit())),
        }
    }

    /// Walks a slice as far as is wanted; gives the unit with the slice that follows.
    async fn walk_slice(
        &self,
        task: &Arc<Task>,
        unit: &Unit,
        sink: &mut Sink,
        brought: &mut Brought,
        wanted: Wanted,
    ) -> Result<Option<Unit>> {
        let Some(mut walk) = UnitWalk::begin(task, Arc::new(unit.clone()))? else { return Ok(None) };
        loop {
            let more = walk.page(sink).await?;
            let seen = walk.walk();
            brought.first = brought.first.take().or_else(|| seen.first_answer().cloned());
            brought.choices = seen.choices();
            let is_over = !more || seen.end().is_some();
            brought.end = seen.end().map(ToString::to_string);
            if is_over {
                break;
            }
            if is_enough(task, sink, wanted) {
                return Ok(None);
            }
        }
        let end = walk.end()?;
        for warning in end.warnings {
            if !brought.warnings.contains(&warning) {
                brought.warnings.push(warning);
            }
        }
        Ok(end.next.map(|next| *next))
    }

    fn task(&self, resource: &Resource, feeds: Vec<Feed>) -> Result<Arc<Task>> {
        let (pipeline, context) = (&self.survey.pipeline, &self.context);
        let files = files_of(pipeline, resource, &context.files_base);
        Ok(Arc::new(Task {
            context: context.clone(),
            http: context.senders.of(&resource.name).ok_or_else(|| broken("a resource has no sender"))?,
            credentials: self.credentials.of(&resource.name).ok_or_else(|| broken("a resource has no credentials"))?,
            decoders: Decoders::new(decode_spec(pipeline, resource, true), Catalog::default()),
            files: files.map(|files| Arc::new(files.kept_in(self.scratch.path.clone()))),
            stored: true,
            feeds,
            came_through: Arc::default(),
            resource: Arc::new(resource.clone()),
            tracker: Arc::new(Tracker::new(&resource.name)),
        }))
    }

    /// Ends it: tokens that are on their way are kept.
    ///
    /// # Errors
    /// The warehouse was not left as it was.
    pub(super) async fn close(self) -> Result<()> {
        let Rehearsal { survey, context, credentials, scratch } = self;
        credentials.settle().await;
        drop((context, scratch));
        survey.close().await
    }
}

fn is_enough(task: &Task, sink: &Sink, wanted: Wanted) -> bool {
    let pages = task.tracker.pages.load(Ordering::Relaxed);
    let requests = task.tracker.meter.requests.load(Ordering::Relaxed);
    sink.kept_records() >= wanted.rows || pages >= wanted.pages || requests >= PAGES_MAX
}

/// Where refresh tokens are exchanged, the pipeline's lock: a token that two processes exchange at once is lost.
async fn lock_of_tokens(
    pipeline: &Pipeline,
    settings: &Settings,
    tape: &TapeUse,
    command: String,
) -> Result<Option<Lock>> {
    let exchanges = |resource: &Resource| match &resource.auth {
        Auth::OAuth2(oauth2) => matches!(oauth2.grant, Grant::RefreshToken { .. }),
        _ => false,
    };
    if matches!(tape, TapeUse::Replay(_)) || !pipeline.resources.iter().any(exchanges) {
        return Ok(None);
    }
    let (dir, name, wait) = (settings.state_dir.clone(), pipeline.name.clone(), settings.run.lock_wait);
    blocking(move || lock_pipeline(&dir, &name, &command, wait)).await.map(Some)
}

/// A folder for bodies that are stored as files, removed in the end. It is made when the first one comes.
struct Scratch {
    path: PathBuf,
    /// Held as long as requests may be under way.
    _lock: Option<Lock>,
}

fn scratch_path() -> PathBuf {
    std::env::temp_dir().join(format!("pintail-{}-{:08x}", std::process::id(), rand::random::<u32>()))
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // Mostly it was never made.
        let _ = std::fs::remove_dir_all(&self.path);
    }
}
