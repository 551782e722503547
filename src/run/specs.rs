//! What the parts of a run are given: loads, cursors, places of files.

use super::merging::{merge_spec, source_of};
use crate::error::Result;
use crate::extract::cursor::Position;
use crate::extract::format::file::Files;
use crate::load::{LoadSpec, Stored};
use crate::plan::model::{FormatKind, Pipeline, Resource};
use crate::schema::catalog::Catalog;
use crate::schema::names;
use chrono::{DateTime, Utc};
use std::collections::HashSet;
use std::path::Path;

/// What the loads of all resources of a run have in common.
pub(super) struct RunOf<'a> {
    pub(super) load_id: &'a str,
    pub(super) loaded_at: DateTime<Utc>,
    /// Tables are made anew.
    pub(super) is_fresh: bool,
}

/// The load of a resource.
pub(super) fn load_spec(pipeline: &Pipeline, resource: &Resource, run: &RunOf<'_>, stored: &Stored) -> LoadSpec {
    LoadSpec {
        load_id: run.load_id.to_owned(),
        loaded_at: run.loaded_at,
        pipeline: pipeline.name.clone(),
        dataset: pipeline.dataset.clone(),
        resource: resource.name.clone(),
        tables_of: tables_of(pipeline, resource, stored),
        fellows: pipeline.fellows(resource).map(|fellow| fellow.name.clone()).collect(),
        write: resource.write,
        keyed: resource.has_ids_from_key(),
        key: resource.primary_key.iter().map(|field| source_of(resource, field)).collect(),
        merge: merge_spec(resource),
        descriptions: resource.columns.iter().filter_map(|c| Some((c.name.clone(), c.description.clone()?))).collect(),
        catalog: catalog_of(resource, stored),
        fresh: run.is_fresh,
    }
}

/// The tables of a resource as they are in the warehouse.
pub(super) fn catalog_of(resource: &Resource, stored: &Stored) -> Catalog {
    stored.catalog_of(&resource.table).map(|(_, catalog)| catalog.clone()).unwrap_or_default()
}

/// The name under which the tables of a resource are kept: the one that they have already; else that of the resource from
/// which the table has its name; else the table's.
fn tables_of(pipeline: &Pipeline, resource: &Resource, stored: &Stored) -> String {
    if let Some((name, _)) = stored.catalog_of(&resource.table) {
        return name.clone();
    }
    let mut all = std::iter::once(resource).chain(pipeline.fellows(resource)).map(|r| &r.name);
    all.find(|name| names::identifier(name) == resource.table).unwrap_or(&resource.table).clone()
}

/// Tables that belong to other resources.
pub(super) fn reserved_names(pipeline: &Pipeline, resource: &Resource, stored: &Stored) -> HashSet<String> {
    let own = stored.catalog_of(&resource.table).map(|(name, _)| name);
    let others = pipeline.resources.iter().filter(|r| r.table != resource.table).map(|r| r.table.clone());
    let known = stored.catalogs.iter().filter(|(name, _)| Some(*name) != own);
    others.chain(known.flat_map(|(_, c)| c.tables.iter().map(|t| t.name.clone()))).collect()
}

/// Where a resource goes on.
///
/// # Errors
/// The state is not what Pintail wrote.
pub(super) fn stored_cursor(stored: &Stored, resource: &Resource, full_refresh: bool) -> Result<Option<Position>> {
    if full_refresh || resource.incremental.is_none() {
        return Ok(None);
    }
    let row = stored.cursors.iter().find(|c| c.resource == resource.name && c.partition.is_empty());
    row.map(|c| Position::from_state(&c.value)).transpose()
}

/// Where the bodies of a resource go, if they are stored as files.
pub(super) fn files_of(pipeline: &Pipeline, resource: &Resource, base: &Path) -> Option<Files> {
    if resource.format.kind != Some(FormatKind::File) {
        return None;
    }
    Some(match &resource.format.files_path {
        Some(folder) => Files::at(folder.clone()),
        None => Files::beside(base, &pipeline.dataset, &names::identifier(&resource.name)),
    })
}
