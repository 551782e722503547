//! The tables of a resource as a run would find or make them. Data columns come with the first page: before it, only those are
//! known that the file declares or that requests bring, and our own.

use super::super::merging::source_of;
use super::super::specs::catalog_of;
use super::super::survey::Survey;
use crate::error::Result;
use crate::load::bookkeeping::{RowKind, row_columns};
use crate::plan::model::{MergeStrategy, Resource};
use crate::schema::catalog::{Source, Table};
use crate::schema::names;

/// A table of a resource.
#[derive(Debug)]
pub struct TableOutlook {
    /// Its name.
    pub name: String,
    /// What becomes of it.
    pub fate: TableFate,
    /// Committed rows of a record table that is there.
    pub row_count: Option<u64>,
    /// Data columns that are there.
    pub column_count: usize,
    /// Columns that are known to come.
    pub columns: Vec<ColumnOutlook>,
}

/// What becomes of a table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TableFate {
    /// It is made with the first page.
    Made,
    /// It stays, and takes rows.
    Kept,
    /// It is exchanged for one made anew.
    Exchanged,
}

/// A column that is known before the first page.
#[derive(Debug, PartialEq, Eq)]
pub struct ColumnOutlook {
    /// Its name.
    pub name: String,
    /// Its type; none: the data tell.
    pub data_type: Option<String>,
    /// Where it comes from.
    pub origin: Origin,
}

/// Where a column comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// The primary key.
    Key,
    /// `columns` declares it.
    Declared,
    /// `include_from_parent`.
    Parent,
    /// `include_from_partition`.
    Partition,
    /// `add_columns`.
    Added,
    /// Ours.
    Own,
}

impl Origin {
    /// The word in reports.
    pub fn word(self) -> &'static str {
        match self {
            Origin::Key => "primary key",
            Origin::Declared => "declared",
            Origin::Parent => "of the parent",
            Origin::Partition => "of the partition",
            Origin::Added => "added",
            Origin::Own => "pintail",
        }
    }
}

impl TableFate {
    /// The word in reports.
    pub fn word(self) -> &'static str {
        match self {
            TableFate::Made => "create",
            TableFate::Kept => "keep",
            TableFate::Exchanged => "replace",
        }
    }
}

/// The tables of a resource.
pub(super) async fn tables(survey: &Survey, resource: &Resource) -> Result<Vec<TableOutlook>> {
    if !survey.selection.stored.contains(&resource.name) {
        return Ok(Vec::new());
    }
    let catalog = catalog_of(resource, &survey.stored);
    let is_exchanged = survey.full_refresh || resource.write == crate::plan::model::WriteDisposition::Replace;
    let fate = if is_exchanged { TableFate::Exchanged } else { TableFate::Kept };
    let mut told = Vec::new();
    for table in &catalog.tables {
        let row_count =
            if table.is_root() { Some(survey.warehouse.row_count(table.name.clone()).await?) } else { None };
        let columns = if table.is_root() { to_come(resource, Some(table)) } else { Vec::new() };
        told.push(TableOutlook {
            name: table.name.clone(),
            fate,
            row_count,
            column_count: table.columns.len(),
            columns,
        });
    }
    if told.is_empty() {
        let mut columns = to_come(resource, None);
        columns.extend(own(resource));
        let name = resource.table.clone();
        told.push(TableOutlook { name, fate: TableFate::Made, row_count: None, column_count: 0, columns });
    }
    Ok(told)
}

/// Data columns of the record table that are known and not there yet.
fn to_come(resource: &Resource, table: Option<&Table>) -> Vec<ColumnOutlook> {
    let mut columns: Vec<ColumnOutlook> = Vec::new();
    let mut add = |name: String, origin: Origin| {
        let is_there = table.is_some_and(|table| table.columns.iter().any(|column| column.name == name));
        if is_there || columns.iter().any(|column| column.name == name) {
            return;
        }
        let hint = resource.columns.iter().find(|hint| hint.name == name);
        let data_type = hint.and_then(|hint| hint.data_type).map(|data_type| data_type.to_string());
        columns.push(ColumnOutlook { name, data_type, origin });
    };
    for field in &resource.primary_key {
        match source_of(resource, field) {
            Source::Field(path) => add(names::column_name(&path), Origin::Key),
            Source::Parent(name) => add(name, Origin::Key),
            Source::Value => {}
        }
    }
    for column in resource.parent.iter().flat_map(|parent| &parent.include) {
        add(column.column.clone(), Origin::Parent);
    }
    for (name, _) in resource.partitions.iter().flat_map(|partitions| &partitions.include) {
        add(name.clone(), Origin::Partition);
    }
    for (name, _) in &resource.add_columns {
        add(name.clone(), Origin::Added);
    }
    for hint in resource.columns.iter().filter(|hint| hint.data_type.is_some()) {
        add(hint.name.clone(), Origin::Declared);
    }
    columns
}

fn own(resource: &Resource) -> impl Iterator<Item = ColumnOutlook> {
    let has_versions = matches!(resource.merge_strategy(), Some(MergeStrategy::Scd2 { .. }));
    row_columns(RowKind::of(true, has_versions)).map(|(name, data_type, _)| ColumnOutlook {
        name: name.to_owned(),
        data_type: Some(data_type.to_owned()),
        origin: Origin::Own,
    })
}
