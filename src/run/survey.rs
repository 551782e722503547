//! What a run would find, without one: the warehouse opened for reading, the values that the file gives, and the first units
//! of each resource. Takes no lock and changes nothing.

use super::engine::{Selection, blocking, broken, check_full_refresh, check_names, check_nesting, select};
use super::fanout::{Connections, FirstUnits, Progress, check_files};
use super::specs::{RunOf, load_spec, reserved_names, stored_cursor};
use super::unit::Unit;
use super::values::{bounds_of, render_vars};
use super::warehouse::{self, Setup, Warehouse};
use crate::config::{Settings, Target};
use crate::error::{Error, Result};
use crate::extract::cursor::{Bounds, Position};
use crate::load::duckdb::{self, DuckDb};
use crate::load::parquet::ParquetFolder;
use crate::load::{Destination, Stored};
use crate::plan::model::{CursorScope, PartitionRows, Pipeline, Resource};
use crate::plan::template::Scope;
use crate::state::file::StateCopy;
use chrono::{DateTime, Utc};
use serde_json::Value;
use std::collections::HashMap;
use std::sync::Arc;

/// What a run would find.
pub(super) struct Survey {
    pub(super) pipeline: Arc<Pipeline>,
    pub(super) started_at: DateTime<Utc>,
    pub(super) vars: Vec<(String, Value)>,
    /// The bounds that the file gives to the cursors, by resource.
    pub(super) bounds: HashMap<String, Bounds>,
    /// What the warehouse knows of the pipeline; with a full refresh as much as a run would go by.
    pub(super) stored: Stored,
    /// Type and place of the warehouse.
    pub(super) location: String,
    pub(super) warehouse: Warehouse,
    pub(super) selection: Selection,
    /// Whether the warehouse has nothing of the dataset.
    pub(super) dataset_is_new: bool,
    pub(super) full_refresh: bool,
    thread: std::thread::JoinHandle<Result<()>>,
}

/// What is asked about.
pub(super) struct Question<'a> {
    pub(super) pipeline: Pipeline,
    pub(super) settings: &'a Settings,
    /// Resources; empty: all that are selected.
    pub(super) resources: &'a [String],
    pub(super) full_refresh: bool,
    pub(super) started_at: DateTime<Utc>,
    pub(super) warehouse: WarehouseUse,
}

/// What the warehouse is needed for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum WarehouseUse {
    /// What it knows of the pipeline.
    Known,
    /// Queries of partitions only. Where there is none, it is left alone, whoever holds it.
    IfQueried,
}

impl Survey {
    /// Looks at what is there.
    ///
    /// # Errors
    /// The configuration does not hold together, or the warehouse can't be read.
    pub(super) async fn open(question: Question<'_>) -> Result<Survey> {
        let Question { pipeline, settings, resources, full_refresh, started_at, warehouse } = question;
        let pipeline = Arc::new(pipeline);
        check_names(&pipeline, resources)?;
        pipeline.resources.iter().filter_map(|r| r.partitions.as_ref()).try_for_each(check_files)?;
        let vars = render_vars(&pipeline, started_at)?;
        let scope = Scope { vars: vars.clone(), run_started_at: started_at, ..Scope::default() };
        let bounds = bounds_of(&pipeline, &scope)?;
        let is_needed = warehouse == WarehouseUse::Known || pipeline.resources.iter().any(queries);
        let (destination, found) = match is_needed {
            true => open_to_read(settings, &pipeline).await?,
            false => nothing()?,
        };
        let dataset_is_new = found.is_none();
        let stored = found.unwrap_or_default();
        let location = destination.location();
        let selection = select(&pipeline, resources, &stored);
        if full_refresh {
            check_full_refresh(&pipeline, &selection)?;
        } else {
            check_nesting(&pipeline, &selection, &stored)?;
        }
        let (warehouse, thread) = warehouse::start(Setup {
            destination,
            copy: StateCopy::of(&pipeline.name, &location, &stored, started_at),
            state_dir: settings.state_dir.clone(),
            pipeline: pipeline.name.clone(),
            dataset: pipeline.dataset.clone(),
            load_id: String::new(),
        })?;
        let survey = Survey {
            pipeline,
            started_at,
            vars,
            bounds,
            stored,
            location,
            warehouse,
            selection,
            dataset_is_new,
            full_refresh,
            thread,
        };
        survey.prepare().await?;
        Ok(survey)
    }

    /// Says to the warehouse's thread which tables the resources have: parents are read from them.
    async fn prepare(&self) -> Result<()> {
        for resource in &self.pipeline.resources {
            let run = RunOf { load_id: "", loaded_at: self.started_at, is_fresh: self.full_refresh };
            let spec = load_spec(&self.pipeline, resource, &run, &self.stored);
            let reserved = reserved_names(&self.pipeline, resource, &self.stored);
            self.warehouse.prepare(spec, resource.table.clone(), reserved, Arc::default(), None).await?;
        }
        Ok(())
    }

    /// The resources that a run takes part in, in their order.
    pub(super) fn running(&self) -> Vec<&Resource> {
        self.pipeline.resources.iter().filter(|r| self.selection.running.contains(&r.name)).collect()
    }

    /// What expressions see in every request.
    pub(super) fn scope(&self) -> Scope {
        Scope { vars: self.vars.clone(), run_started_at: self.started_at, ..Scope::default() }
    }

    /// Where a resource goes on.
    ///
    /// # Errors
    /// The state is not what Pintail wrote.
    pub(super) fn cursor(&self, resource: &Resource) -> Result<Option<Position>> {
        stored_cursor(&self.stored, resource, self.full_refresh)
    }

    /// Where a unit of a resource goes on.
    ///
    /// # Errors
    /// The warehouse can't be read, or the state is not what Pintail wrote.
    pub(super) async fn cursor_of(&self, resource: &Resource, unit: &Unit) -> Result<Option<Position>> {
        let Some(incremental) = resource.incremental.as_ref().filter(|_| !self.full_refresh) else { return Ok(None) };
        if unit.partition.is_empty() || incremental.scope == CursorScope::Global {
            return self.cursor(resource);
        }
        let found = self.warehouse.cursors(&resource.name, vec![unit.partition.clone()]).await?;
        found.get(&unit.partition).map(|state| Position::from_state(state)).transpose()
    }

    /// The one unit of a resource that runs once.
    pub(super) fn unit(&self) -> Unit {
        Unit::new(self.scope(), Vec::new(), String::new(), None)
    }

    /// The resources that have to end before a resource begins: those that fill its table before it, and its parents then.
    pub(super) fn waits(&self, resource: &Resource) -> Vec<String> {
        Connections::new(&self.running()).waits(&resource.name).to_vec()
    }

    /// The units of a resource that runs for rows, as the warehouse knows them; none if it runs once.
    ///
    /// # Errors
    /// A list can't be read, or the state is not what Pintail wrote.
    pub(super) async fn units(&self, resource: &Resource) -> Result<Option<FirstUnits>> {
        // Nobody feeds it: what this run would bring first is not known.
        let mut connections = Connections::new(&[resource]);
        let sources = connections.sources(&self.pipeline, resource, &Progress::new(&[]), &[]);
        let Some(sources) = sources else { return Ok(None) };
        FirstUnits::open(resource, sources, &self.warehouse, self.scope(), self.full_refresh).await.map(Some)
    }

    /// Closes the warehouse.
    ///
    /// # Errors
    /// It was not left as it was.
    pub(super) async fn close(self) -> Result<()> {
        let Survey { warehouse, thread, .. } = self;
        drop(warehouse);
        blocking(move || thread.join().unwrap_or_else(|_| Err(broken("the warehouse's thread panicked")))).await
    }
}

/// Whether lists of a resource are asked of the warehouse.
fn queries(resource: &Resource) -> bool {
    let mut lists = resource.partitions.iter().flat_map(|partitions| &partitions.lists);
    lists.any(|list| matches!(list.rows, PartitionRows::Sql { .. }))
}

/// A warehouse that knows nothing.
fn nothing() -> Result<(Box<dyn Destination>, Option<Stored>)> {
    Ok((Box::new(DuckDb::nothing()?), None))
}

/// The warehouse for reading, and what it knows of a pipeline; it need not be there yet.
async fn open_to_read(settings: &Settings, pipeline: &Pipeline) -> Result<(Box<dyn Destination>, Option<Stored>)> {
    let (target, run) = (settings.destination.clone(), settings.run.clone());
    let (name, dataset) = (pipeline.name.clone(), pipeline.dataset.clone());
    let opened = blocking(move || {
        let mut destination: Box<dyn Destination> = match target {
            Target::DuckDb { path, .. } => Box::new(DuckDb::reading(&duckdb::Settings {
                memory_limit_bytes: run.memory_limit_bytes,
                lock_wait: run.lock_wait,
                ..duckdb::Settings::new(path)
            })?),
            Target::Parquet { path, .. } => Box::new(ParquetFolder::reading(&path)),
        };
        let stored = destination.peek(&name, &dataset)?;
        Ok((destination, stored))
    });
    opened.await.map_err(|error: Error| error.with("warehouse", settings.destination.path().display()))
}
