//! Bookkeeping rows as Arrow batches, and back.

use super::{
    COLUMNS, DISCARDED, FORMAT_VERSION, FORMAT_VERSION_KEY, INTERRUPTED, KILLED, LOADS, META, OwnColumn, OwnTable,
    RUNNING, SCHEMA, STATE, WAREHOUSE_ID_KEY,
};
use crate::batch::contract::Discarded;
use crate::error::{Error, Kind, Result};
use crate::load::{CursorRow, LoadRow, LoadSpec, RowId, TableChange};
use crate::schema::catalog::{Catalog, Change, Column, Table, TablePath};
use crate::schema::fit::{parse_source, source_text};
use crate::schema::types::{ColumnType, Observed};
use arrow::array::{
    Array, ArrayRef, AsArray, BooleanArray, Int64Array, RecordBatch, StringArray, TimestampMicrosecondArray,
};
use arrow::compute::filter_record_batch;
use arrow::datatypes::{Field, Int64Type};
use chrono::{DateTime, Utc};
use serde_json::{Map, Value, json};
use std::collections::HashMap;
use std::sync::Arc;

/// A new warehouse's rows of [`META`].
///
/// # Errors
/// Only a broken invariant of this module.
pub fn meta_rows(warehouse_id: &str) -> Result<RecordBatch> {
    batch(
        &META,
        &[
            vec![Cell::text(FORMAT_VERSION_KEY), Cell::Text(FORMAT_VERSION.to_string())],
            vec![Cell::text(WAREHOUSE_ID_KEY), Cell::text(warehouse_id)],
        ],
    )
}

/// The row of [`LOADS`] for a load.
///
/// # Errors
/// Only a broken invariant of this module.
pub fn load_rows(spec: &LoadSpec, record: &LoadRow) -> Result<RecordBatch> {
    let counts = |pairs: &[(String, u64)]| {
        let object: Map<String, Value> = pairs.iter().map(|(name, n)| (name.clone(), json!(n))).collect();
        Cell::Text(Value::Object(object).to_string())
    };
    batch(
        &LOADS,
        &[vec![
            Cell::text(&spec.load_id),
            Cell::text(&spec.pipeline),
            Cell::text(&spec.resource),
            Cell::text(&record.status),
            Cell::Time(record.started_at),
            Cell::Time(record.committed_at),
            Cell::Count(record.requests),
            Cell::Count(record.pages),
            Cell::Count(record.records),
            Cell::Count(record.bytes),
            counts(&record.rows),
            counts(&record.discarded),
            Cell::maybe(record.end.clone()),
            Cell::maybe(record.error.clone()),
            Cell::text(env!("CARGO_PKG_VERSION")),
        ]],
    )
}

/// Of rows of [`LOADS`] those of a pipeline that a killed run left as running, as they are now that nothing runs any more.
///
/// # Errors
/// The rows have other columns than those of this version.
pub fn killed_loads(rows: &RecordBatch, pipeline: &str) -> Result<RecordBatch> {
    let is_killed =
        |row| Ok((text(rows, "pipeline", row)? == Some(pipeline)) && text(rows, "status", row)? == Some(RUNNING));
    let killed: BooleanArray = (0..rows.num_rows()).map(|row| is_killed(row).map(Some)).collect::<Result<_>>()?;
    let misfit = |e| Error::new(Kind::Internal, "records of loads can't be changed").source(e);
    let killed = filter_record_batch(rows, &killed).map_err(misfit)?;
    let schema = killed.schema();
    let now = |(field, column): (&Arc<Field>, &ArrayRef)| -> ArrayRef {
        let said = match field.name().as_str() {
            "status" => INTERRUPTED,
            "error" => KILLED,
            _ => return column.clone(),
        };
        Arc::new(StringArray::from_iter_values(std::iter::repeat_n(said, killed.num_rows())))
    };
    let columns = schema.fields().iter().zip(killed.columns()).map(now).collect();
    RecordBatch::try_new(schema.clone(), columns).map_err(misfit)
}

/// The rows of [`STATE`] for cursors, those of a commit or, without a load, those that a person changes.
///
/// # Errors
/// Only a broken invariant of this module.
pub fn state_rows(
    pipeline: &str,
    load_id: Option<&str>,
    cursors: &[CursorRow],
    committed_at: DateTime<Utc>,
) -> Result<RecordBatch> {
    let row = |cursor: &CursorRow| {
        vec![
            Cell::text(pipeline),
            Cell::text(&cursor.resource),
            Cell::text(&cursor.partition),
            Cell::text(&cursor.value),
            Cell::maybe(load_id.map(str::to_owned)),
            Cell::Time(committed_at),
        ]
    };
    batch(&STATE, &cursors.iter().map(row).collect::<Vec<_>>())
}

/// The rows of [`SCHEMA`] for the changes of a commit.
///
/// # Errors
/// Only a broken invariant of this module.
pub fn schema_rows(spec: &LoadSpec, changes: &[TableChange], committed_at: DateTime<Utc>) -> Result<RecordBatch> {
    let row = |change: &TableChange| {
        let (kind, column, from, to) = match &change.change {
            Change::CreateTable => ("create_table", None, None, None),
            Change::AddColumn { column, to } => ("add_column", Some(column), None, Some(*to)),
            // Only a column that was always null is dropped, and that is a VARCHAR.
            Change::DropColumn { column } => ("drop_column", Some(column), Some(ColumnType::Varchar), None),
            Change::Widen { column, recast } => ("widen", Some(column), Some(recast.from), Some(recast.to)),
        };
        vec![
            Cell::text(&spec.load_id),
            Cell::Time(committed_at),
            Cell::text(&spec.pipeline),
            Cell::text(&spec.resource),
            Cell::text(&change.table),
            Cell::text(kind),
            Cell::maybe(column.cloned()),
            Cell::maybe(from.map(|t| t.to_string())),
            Cell::maybe(to.map(|t| t.to_string())),
        ]
    };
    batch(&SCHEMA, &changes.iter().map(row).collect::<Vec<_>>())
}

/// The rows of [`DISCARDED`] for what was left out.
///
/// # Errors
/// Only a broken invariant of this module.
pub fn discarded_rows(spec: &LoadSpec, discarded: &[Discarded], at: DateTime<Utc>) -> Result<RecordBatch> {
    let row = |own: &Discarded| {
        vec![
            Cell::text(&spec.load_id),
            Cell::Time(at),
            Cell::text(&spec.pipeline),
            Cell::text(&spec.resource),
            Cell::text(&own.table),
            Cell::maybe(own.column.clone()),
            Cell::text(own.rule),
            Cell::text(own.extent.name()),
            Cell::maybe(own.value.clone()),
            Cell::maybe(own.record.clone()),
            Cell::maybe(own.record_id.map(uuid_text)),
        ]
    };
    batch(&DISCARDED, &discarded.iter().map(row).collect::<Vec<_>>())
}

/// An id as UUID columns are written.
fn uuid_text(id: RowId) -> String {
    let hex = format!("{id:032x}");
    [&hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..]].join("-")
}

/// The rows of [`COLUMNS`] for a resource's tables.
///
/// # Errors
/// Only a broken invariant of this module.
pub fn column_rows(pipeline: &str, resource: &str, catalog: &Catalog) -> Result<RecordBatch> {
    let mut rows = Vec::new();
    for (table_ordinal, table) in (1..).zip(&catalog.tables) {
        let mut push = |ordinal: u64, rest: [Cell; 4]| {
            let mut row = vec![
                Cell::text(pipeline),
                Cell::text(resource),
                Cell::Count(table_ordinal),
                Cell::Text(json!(table.path).to_string()),
                Cell::text(&table.name),
                Cell::Count(ordinal),
            ];
            row.extend(rest);
            rows.push(row);
        };
        if table.columns.is_empty() {
            push(0, [Cell::Null, Cell::Null, Cell::Null, Cell::Null]);
        }
        for (ordinal, column) in (1..).zip(&table.columns) {
            push(
                ordinal,
                [
                    Cell::text(&column.name),
                    Cell::Text(source_text(&column.source)),
                    Cell::Text(column.observed.to_string()),
                    Cell::maybe(column.declared.map(|t| t.to_string())),
                ],
            );
        }
    }
    batch(&COLUMNS, &rows)
}

/// Reads rows of [`COLUMNS`] back into catalogs by resource. The rows may come in any order.
///
/// # Errors
/// A row that this version does not understand.
pub fn catalogs(batches: &[RecordBatch]) -> Result<HashMap<String, Catalog>> {
    let mut rows = Vec::new();
    for batch in batches {
        for row in 0..batch.num_rows() {
            let table_ordinal = count(batch, "table_ordinal", row)?;
            rows.push((table_ordinal, count(batch, "ordinal", row)?, batch, row));
        }
    }
    rows.sort_by_key(|(table_ordinal, ordinal, ..)| (*table_ordinal, *ordinal));
    let mut catalogs: HashMap<String, Catalog> = HashMap::new();
    for (_, ordinal, batch, row) in rows {
        let catalog = catalogs.entry(required(batch, "resource", row)?.to_owned()).or_default();
        let name = required(batch, "table_name", row)?;
        if catalog.tables.last().is_none_or(|t| t.name != name) {
            let path = table_path(required(batch, "table_path", row)?).ok_or_else(|| unreadable("table_path"))?;
            catalog.tables.push(Table { path, name: name.to_owned(), columns: Vec::new() });
        }
        if let (true, Some(table)) = (ordinal > 0, catalog.tables.last_mut()) {
            table.columns.push(read_column(batch, row)?);
        }
    }
    Ok(catalogs)
}

fn table_path(text: &str) -> Option<TablePath> {
    serde_json::from_str(text).ok()
}

fn read_column(batch: &RecordBatch, row: usize) -> Result<Column> {
    let declared = match text(batch, "declared_type", row)? {
        Some(name) => Some(name.parse::<ColumnType>().map_err(|()| unreadable("declared_type"))?),
        None => None,
    };
    Ok(Column {
        source: parse_source(required(batch, "source", row)?).ok_or_else(|| unreadable("source"))?,
        name: required(batch, "column_name", row)?.to_owned(),
        observed: required(batch, "observed", row)?.parse::<Observed>().map_err(|()| unreadable("observed"))?,
        declared,
    })
}

/// Reads rows of [`STATE`] back.
///
/// # Errors
/// A row that this version does not understand.
pub fn cursors(batches: &[RecordBatch]) -> Result<Vec<CursorRow>> {
    let mut cursors = Vec::new();
    for batch in batches {
        for row in 0..batch.num_rows() {
            cursors.push(CursorRow {
                resource: required(batch, "resource", row)?.to_owned(),
                partition: required(batch, "partition", row)?.to_owned(),
                value: required(batch, "cursor", row)?.to_owned(),
            });
        }
    }
    Ok(cursors)
}

/// A text cell of a batch of bookkeeping rows.
///
/// # Errors
/// The batch has no such text column.
pub fn text<'a>(batch: &'a RecordBatch, column: &'static str, row: usize) -> Result<Option<&'a str>> {
    let array =
        batch.column_by_name(column).and_then(|a| a.as_string_opt::<i32>()).ok_or_else(|| unreadable(column))?;
    Ok((row < array.len() && array.is_valid(row)).then(|| array.value(row)))
}

fn required<'a>(batch: &'a RecordBatch, column: &'static str, row: usize) -> Result<&'a str> {
    text(batch, column, row)?.ok_or_else(|| unreadable(column))
}

/// A whole number of a batch of bookkeeping rows; null is 0.
///
/// # Errors
/// The batch has no such column of whole numbers.
pub fn count(batch: &RecordBatch, column: &'static str, row: usize) -> Result<i64> {
    let array = batch
        .column_by_name(column)
        .and_then(|a| a.as_primitive_opt::<Int64Type>())
        .ok_or_else(|| unreadable(column))?;
    Ok(if array.is_valid(row) { array.value(row) } else { 0 })
}

fn unreadable(column: &'static str) -> Error {
    Error::new(Kind::Destination, "a bookkeeping table holds what this version does not understand")
        .with("column", column)
        .hint("was it changed by hand, or written by another version of Pintail?")
}

/// A batch of rows, each with one cell per column.
fn batch(table: &OwnTable, rows: &[Vec<Cell>]) -> Result<RecordBatch> {
    let arrays = table.columns.iter().enumerate().map(|(i, column)| cells(rows, i, column)).collect();
    RecordBatch::try_new(table.arrow_schema(), arrays).map_err(|e| {
        Error::new(Kind::Internal, "bookkeeping rows do not fit their table").with("table", table.name).source(e)
    })
}

/// A value of a bookkeeping row.
enum Cell {
    Null,
    Text(String),
    Count(u64),
    Time(DateTime<Utc>),
}

impl Cell {
    fn text(text: &str) -> Self {
        Cell::Text(text.to_owned())
    }

    fn maybe(text: Option<String>) -> Self {
        text.map_or(Cell::Null, Cell::Text)
    }
}

fn cells(rows: &[Vec<Cell>], index: usize, column: &OwnColumn) -> ArrayRef {
    let column_cells = rows.iter().map(|row| row.get(index));
    match column.data_type {
        ColumnType::TimestampTz => {
            let times =
                column_cells.map(|c| if let Some(Cell::Time(t)) = c { Some(t.timestamp_micros()) } else { None });
            Arc::new(TimestampMicrosecondArray::from_iter(times).with_timezone("UTC"))
        }
        ColumnType::BigInt => {
            // A count beyond 2^63 is out of reach.
            let counts = column_cells.map(|c| if let Some(Cell::Count(n)) = c { i64::try_from(*n).ok() } else { None });
            Arc::new(Int64Array::from_iter(counts))
        }
        _ => {
            let texts = column_cells.map(|c| if let Some(Cell::Text(t)) = c { Some(t.as_str()) } else { None });
            Arc::new(StringArray::from_iter(texts))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schema::catalog::Source;

    fn column(source: Source, name: &str, observed: &str, declared: Option<ColumnType>) -> Column {
        Column { source, name: name.to_owned(), observed: observed.parse().unwrap(), declared }
    }

    #[test]
    fn a_catalog_comes_back_as_it_was_written() {
        let root = Table {
            path: vec![],
            name: "videos".into(),
            columns: vec![
                column(Source::Field(vec!["id".into()]), "id", "number(i64,whole,exact,4,0)", None),
                column(
                    Source::Field(vec!["a".into(), "b.c".into()]),
                    "a__b_c",
                    "null",
                    Some(ColumnType::Decimal(18, 4)),
                ),
                column(Source::Parent("team_id".into()), "team_id", "text", None),
            ],
        };
        let bare = Table { path: vec![vec!["empty".into()]], name: "videos__empty".into(), columns: vec![] };
        let tags = Table {
            path: vec![vec!["meta".into(), "tags".into()]],
            name: "videos__meta__tags".into(),
            columns: vec![column(Source::Value, "value", "text", None)],
        };
        let catalog = Catalog { tables: vec![root, bare, tags] };
        let other = Catalog { tables: vec![] };
        let batches = [column_rows("p", "videos", &catalog).unwrap(), column_rows("p", "views", &other).unwrap()];
        assert_eq!(catalogs(&batches).unwrap(), HashMap::from([("videos".to_owned(), catalog)]));
    }

    #[test]
    fn cursors_come_back_as_they_were_written() {
        let rows = ["", r#"{"id":"it's \u0000"}"#].map(|partition| CursorRow {
            resource: "r".into(),
            partition: partition.into(),
            value: "\"v\"".into(),
        });
        assert_eq!(cursors(&[state_rows("p", Some("l"), &rows, DateTime::UNIX_EPOCH).unwrap()]).unwrap(), rows);
    }
}
