//! The first rows of a resource, as a run would store them in a new table.

use super::rehearsal::{Brought, Rehearsal, RehearsalOptions, Wanted};
use crate::error::Result;
use crate::extract::{Choices, FirstAnswer};
use crate::load::values::json_value;
use crate::schema::catalog::{Catalog, Column, Fitted, Source};
use crate::schema::types::{ColumnType, TextForm};
use crate::schema::widen::value_text;
use arrow::array::{Array, ArrayRef};
use serde_json::Value;
use std::collections::{BTreeMap, HashSet};
use std::sync::atomic::Ordering;

/// Pages that are asked for at most, to fill the rows.
const PAGES_MAX: u64 = 10;

/// The first rows of a resource.
#[derive(Debug)]
pub struct Preview {
    /// Resource name.
    pub resource: String,
    /// DuckDB schema or Parquet folder that it would go to.
    pub dataset: String,
    /// The first answer.
    pub first: Option<FirstAnswer>,
    /// What was found out by itself.
    pub choices: Choices,
    /// Requests of the resource itself, without those of its parents.
    pub requests: u64,
    /// Pages received.
    pub pages: u64,
    /// Records received.
    pub records: u64,
    /// Records left out, by rule.
    pub discarded: BTreeMap<String, u64>,
    /// Why there is no more; none: there is.
    pub end: Option<String>,
    /// What a person should look at.
    pub warnings: Vec<String>,
    /// Its tables, the record table first.
    pub tables: Vec<PreviewTable>,
}

/// A table as it would be.
#[derive(Debug)]
pub struct PreviewTable {
    /// Its name.
    pub name: String,
    /// Rows received.
    pub row_count: u64,
    /// Its data columns.
    pub columns: Vec<PreviewColumn>,
    /// Its first rows, a cell for each column.
    pub rows: Vec<Vec<Cell>>,
}

/// A column as it would be.
#[derive(Debug)]
pub struct PreviewColumn {
    /// Its name.
    pub name: String,
    /// Its type.
    pub data_type: ColumnType,
    /// Whether the file declares the type.
    pub is_declared: bool,
    /// The field that it comes from, as the API names it; none: the request brings it.
    pub field: Option<String>,
    /// Rows without a value.
    pub nulls: u64,
    /// Its first value.
    pub example: Option<String>,
}

/// A value.
#[derive(Debug, Clone, PartialEq)]
pub struct Cell {
    /// As a text; none: null.
    pub text: Option<String>,
    /// As JSON.
    pub json: Value,
}

/// Fetches the first rows of a resource: `limit` of them if there are as many within a few pages.
///
/// # Errors
/// The configuration does not hold together; a request failed, or what it brought is not what it should be.
pub async fn preview(options: RehearsalOptions<'_>, resource: &str, limit: usize) -> Result<Preview> {
    let rehearsal = Rehearsal::open(options, &[resource.to_owned()]).await?;
    let wanted = Wanted { rows: (limit as u64).max(1), pages: PAGES_MAX };
    let brought = rehearsal.rows_of(resource, wanted).await;
    let pipeline = rehearsal.survey.pipeline.clone();
    rehearsal.close().await?;
    let brought = brought?;
    let table = pipeline.resource(resource).map(|resource| resource.table.clone()).unwrap_or_default();
    let tables = tables(&brought, &table, limit)?;
    let tracker = &brought.tracker;
    Ok(Preview {
        resource: resource.to_owned(),
        dataset: pipeline.dataset.clone(),
        requests: tracker.meter.requests.load(Ordering::Relaxed),
        pages: tracker.pages.load(Ordering::Relaxed),
        records: tracker.records.load(Ordering::Relaxed),
        discarded: tracker.discarded(),
        first: brought.first,
        choices: brought.choices,
        end: brought.end,
        warnings: brought.warnings,
        tables,
    })
}

fn tables(brought: &Brought, root: &str, limit: usize) -> Result<Vec<PreviewTable>> {
    let chunks: Vec<_> = brought.pages.iter().flat_map(|page| page.chunks.iter().cloned()).collect();
    let fitted = Catalog::default().fit(root, &chunks, &HashSet::new())?;
    Ok(fitted.iter().map(|fitted| table_of(fitted, limit)).collect())
}

fn table_of(fitted: &Fitted, limit: usize) -> PreviewTable {
    let own = if fitted.table.is_root() { 1 } else { 4 };
    let arrays = |column: usize| fitted.batches.iter().map(move |batch| batch.column(own + column));
    let columns = fitted.table.columns.iter().enumerate();
    let columns = columns.map(|(at, column)| column_of(column, arrays(at))).collect();
    let mut rows = Vec::new();
    for batch in &fitted.batches {
        for row in 0..batch.num_rows().min(limit - rows.len().min(limit)) {
            let cell = |(at, column): (usize, &Column)| cell_of(batch.column(own + at), row, column);
            rows.push(fitted.table.columns.iter().enumerate().map(cell).collect());
        }
    }
    let row_count = fitted.batches.iter().map(|batch| batch.num_rows() as u64).sum();
    PreviewTable { name: fitted.table.name.clone(), row_count, columns, rows }
}

fn column_of<'a>(column: &Column, arrays: impl Iterator<Item = &'a ArrayRef>) -> PreviewColumn {
    let (mut nulls, mut example) = (0, None);
    for array in arrays {
        nulls += array.null_count() as u64;
        let first = (0..array.len()).find(|row| array.is_valid(*row));
        example = example.or_else(|| first.and_then(|row| cell_of(array, row, column).text));
    }
    PreviewColumn {
        name: column.name.clone(),
        data_type: column.data_type(),
        is_declared: column.declared.is_some(),
        field: match &column.source {
            Source::Field(path) => Some(path.join(".")),
            Source::Value => Some("(the element)".to_owned()),
            Source::Parent(_) => None,
        },
        nulls,
        example,
    }
}

fn cell_of(array: &ArrayRef, row: usize, column: &Column) -> Cell {
    if array.is_null(row) {
        return Cell { text: None, json: Value::Null };
    }
    let text = value_text(array, row, column.data_type(), TextForm::default());
    Cell { text: Some(text), json: json_value(array, row, column.data_type()) }
}
