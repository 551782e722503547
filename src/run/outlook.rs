//! What a run would do, from the real cursors: no request is sent and nothing is written. Requests, slices and units are made
//! by what makes them in a run.

mod tables;

pub use tables::{ColumnOutlook, Origin, TableFate, TableOutlook};

use super::first_request::first_request;
use super::survey::{Question, Survey, WarehouseUse};
use super::unit::Unit;
use crate::config::Settings;
use crate::error::{Error, Result};
use crate::extract::cursor::Slices;
use crate::http::{Request, excerpt, shown_url};
use crate::plan::model::{
    Auth, CursorScope, FieldPath, Parent, ParentScope, Pipeline, RateLimit, RequestSpec, Resource,
};
use crate::secret::MASK;
use chrono::Utc;
use std::path::PathBuf;

/// Units of a resource whose first requests are told.
const UNITS_TOLD: usize = 3;

/// Windows that are counted.
const WINDOWS_COUNTED_MAX: u64 = 100_000;

/// What is asked about.
pub struct OutlookOptions<'a> {
    /// The pipeline.
    pub pipeline: Pipeline,
    /// Where the warehouse is.
    pub settings: &'a Settings,
    /// Resources; empty: all that are selected.
    pub resources: &'a [String],
    /// As if cursors were forgotten and tables made anew.
    pub full_refresh: bool,
}

/// What a run would do.
#[derive(Debug)]
pub struct Outlook {
    /// Pipeline name.
    pub pipeline: String,
    /// Its file.
    pub file: PathBuf,
    /// Type and place of the warehouse.
    pub destination: String,
    /// DuckDB schema or Parquet folder.
    pub dataset: String,
    /// Whether the dataset has to be made.
    pub dataset_is_new: bool,
    /// The newest committed load.
    pub last_load_id: Option<String>,
    /// Cursors are forgotten and tables made anew.
    pub full_refresh: bool,
    /// Requests in flight.
    pub concurrency: usize,
    /// Windows of all requests.
    pub rate_limits: Vec<RateLimit>,
    /// In the order in which they begin.
    pub resources: Vec<ResourceOutlook>,
}

/// What a run would do with one resource.
#[derive(Debug)]
pub struct ResourceOutlook {
    /// The resource, as the plan has it.
    pub resource: Resource,
    /// Whether its rows are stored; a parent that is not selected is fetched for its children only.
    pub is_stored: bool,
    /// Resources that have to end before it begins, because they fill the same table.
    pub after: Vec<String>,
    /// Its cursor.
    pub cursor: Option<CursorOutlook>,
    /// What it runs for.
    pub runs_for: Option<RunsFor>,
    /// First requests, of the first units.
    pub requests: Vec<RequestOutlook>,
    /// Why there is no request to tell, or no further one.
    pub note: Option<String>,
    /// Its tables, the record table first.
    pub tables: Vec<TableOutlook>,
}

/// Where a resource goes on.
#[derive(Debug, Default)]
pub struct CursorOutlook {
    /// What the last run left.
    pub stored: Option<String>,
    /// Each parent or partition has a cursor of its own.
    pub is_per_partition: bool,
    /// Start of what is asked for, before the format of requests is applied.
    pub start: Option<String>,
    /// End of what is asked for.
    pub end: Option<String>,
    /// Windows that are left; none where the range is asked for at once.
    pub windows: Option<u64>,
}

/// What a resource runs for.
#[derive(Debug)]
pub struct RunsFor {
    /// Parents whose rows the warehouse has: name, rows, whether this run loads it too.
    pub parents: Vec<(String, u64, bool)>,
    /// Only parents that were loaded since all of them were asked for.
    pub changed_only: bool,
    /// A filter leaves some out.
    pub is_filtered: bool,
    /// Parents in one request, if several.
    pub batch_size: Option<usize>,
    /// Combinations of the lists' rows.
    pub partitions: Option<u64>,
}

/// A request.
#[derive(Debug)]
pub struct RequestOutlook {
    /// Which parent or partition it is for, as the state names it; empty: none.
    pub partition: String,
    /// Method.
    pub method: String,
    /// Address, without secrets.
    pub url: String,
    /// Headers but those of credentials, without secrets.
    pub headers: Vec<(String, String)>,
    /// Start of the body, without secrets.
    pub body: Option<String>,
}

/// What a run of the pipeline would do.
///
/// # Errors
/// The configuration does not hold together, or the warehouse can't be read.
pub async fn outlook(options: OutlookOptions<'_>) -> Result<Outlook> {
    let survey = Survey::open(Question {
        pipeline: options.pipeline,
        settings: options.settings,
        resources: options.resources,
        full_refresh: options.full_refresh,
        started_at: Utc::now(),
        warehouse: WarehouseUse::Known,
    })
    .await?;
    let resources = resources(&survey).await;
    let pipeline = &survey.pipeline;
    let outlook = Outlook {
        pipeline: pipeline.name.clone(),
        file: pipeline.file.clone(),
        destination: survey.location.clone(),
        dataset: pipeline.dataset.clone(),
        dataset_is_new: survey.dataset_is_new,
        last_load_id: survey.stored.last_load_id.clone(),
        full_refresh: survey.full_refresh,
        concurrency: pipeline.client.concurrency,
        rate_limits: pipeline.client.rate_limits.clone(),
        resources: Vec::new(),
    };
    survey.close().await?;
    Ok(Outlook { resources: resources?, ..outlook })
}

async fn resources(survey: &Survey) -> Result<Vec<ResourceOutlook>> {
    let mut told = Vec::new();
    for resource in survey.running() {
        let units = units(survey, resource).await;
        let cursor = cursor(survey, resource, units.first.first())?;
        told.push(ResourceOutlook {
            is_stored: survey.selection.stored.contains(&resource.name),
            after: survey.waits(resource),
            cursor,
            runs_for: runs_for(survey, resource, units.partitions).await?,
            requests: units.requests,
            note: units.note,
            tables: tables::tables(survey, resource).await?,
            resource: resource.clone(),
        });
    }
    Ok(told)
}

/// The first units of a resource.
#[derive(Default)]
struct Units {
    first: Vec<Unit>,
    requests: Vec<RequestOutlook>,
    partitions: Option<u64>,
    note: Option<String>,
}

/// The first units of a resource with their requests. What can't be told yet is no error: a run will know more.
async fn units(survey: &Survey, resource: &Resource) -> Units {
    let mut units = Units::default();
    if let Err(error) = fill(survey, resource, &mut units).await {
        units.note = Some(error.report());
    }
    units
}

async fn fill(survey: &Survey, resource: &Resource, units: &mut Units) -> Result<()> {
    let mut source = survey.units(resource).await?;
    units.partitions = source.as_ref().and_then(super::fanout::FirstUnits::combination_count);
    while units.first.len() < UNITS_TOLD {
        let unit = match &mut source {
            Some(source) => source.next().await?,
            None => units.first.is_empty().then(|| survey.unit()),
        };
        let Some(unit) = unit else { break };
        let stored = survey.cursor_of(resource, &unit).await?;
        let unit = unit.starting_at(stored);
        let first = first_request(&survey.pipeline.client, resource, survey.bounds.get(&resource.name), &unit)?;
        match first {
            Some(request) => units.requests.push(told(&unit, &request, &resource.auth)),
            None => units.note = Some("nothing to ask for: the range is complete, or lies in the future".to_owned()),
        }
        units.first.push(unit);
    }
    Ok(())
}

/// A request as people may see it.
fn told(unit: &Unit, request: &Request, auth: &Auth) -> RequestOutlook {
    let mut url = shown_url(&request.url);
    for (name, _) in &request.secret_params {
        let joint = if url.contains('?') { '&' } else { '?' };
        url.push_str(&format!("{joint}{name}={MASK}"));
    }
    let is_plain = |(name, value): &&(String, String)| !(name == "Accept" && value == "application/json");
    let mut headers: Vec<(String, String)> = request.headers.iter().filter(is_plain).cloned().collect();
    headers.extend(request.secret_headers.iter().map(|(name, _)| (name.clone(), MASK.to_owned())));
    let has_type = headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("content-type"));
    let content_type = request.content_type.iter().filter(|_| !has_type);
    headers.extend(content_type.map(|value| ("Content-Type".to_owned(), value.clone())));
    // What credentials put into a header is never known here.
    headers.retain(|(name, _)| *auth == Auth::None || !name.eq_ignore_ascii_case("authorization"));
    RequestOutlook {
        partition: unit.partition.clone(),
        method: request.method.clone(),
        url,
        headers,
        body: request.body.as_ref().map(|body| excerpt(body)),
    }
}

fn cursor(survey: &Survey, resource: &Resource, first: Option<&Unit>) -> Result<Option<CursorOutlook>> {
    let (Some(incremental), Some(bounds)) = (&resource.incremental, survey.bounds.get(&resource.name)) else {
        return Ok(None);
    };
    let runs_for_rows = resource.parent.is_some() || resource.partitions.is_some();
    let mut told = CursorOutlook {
        is_per_partition: runs_for_rows && incremental.scope == CursorScope::Partition,
        ..CursorOutlook::default()
    };
    let stored = match first {
        Some(unit) => unit.stored.clone(),
        None => survey.cursor(resource)?,
    };
    let stored = stored.and_then(|position| position.value);
    told.stored = stored.as_ref().map(ToString::to_string);
    let slices = Slices::new(incremental, bounds);
    let place = |error: Error| error.with("resource", &resource.name);
    let Some(slice) = slices.first(stored.as_ref()).map_err(place)? else { return Ok(Some(told)) };
    told.start = slice.start.as_ref().map(ToString::to_string);
    let (mut last, mut count) = (slice, 1);
    if incremental.window.is_some() {
        while count < WINDOWS_COUNTED_MAX
            && let Some(next) = slices.after(&last, None).map_err(place)?
        {
            (last, count) = (next, count + 1);
        }
        told.windows = Some(count);
    }
    told.end = last.end.as_ref().map(ToString::to_string);
    Ok(Some(told))
}

async fn runs_for(survey: &Survey, resource: &Resource, partitions: Option<u64>) -> Result<Option<RunsFor>> {
    if resource.parent.is_none() && resource.partitions.is_none() {
        return Ok(None);
    }
    let parent = resource.parent.as_ref();
    let mut parents = Vec::new();
    for name in parent.iter().flat_map(|parent| &parent.resources) {
        let table = survey.pipeline.resource(name).map(|parent| parent.table.clone()).unwrap_or_default();
        let row_count = survey.warehouse.row_count(table).await?;
        parents.push((name.clone(), row_count, survey.selection.running.contains(name)));
    }
    Ok(Some(RunsFor {
        parents,
        changed_only: parent.is_some_and(|parent| parent.scope == ParentScope::Changed),
        is_filtered: parent.is_some_and(|parent| parent.filter.is_some()),
        batch_size: parent.and_then(|parent: &Parent| parent.batch.as_ref()).map(|batch| batch.size),
        partitions,
    }))
}

impl ResourceOutlook {
    /// The request as the file has it, where no unit is known yet.
    pub fn template(&self) -> String {
        let RequestSpec { method, path, .. } = &self.resource.request;
        format!("{method} {}", crate::secret::redact(path.source()))
    }

    /// The primary key, as the API names its fields.
    pub fn primary_key(&self) -> Vec<String> {
        self.resource.primary_key.iter().map(FieldPath::to_string).collect()
    }
}
