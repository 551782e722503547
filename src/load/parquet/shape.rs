//! What the row files of a table look like, and how rows of an older look are made to fit.

use crate::error::{Error, Kind, Result};
use crate::load::bookkeeping::{
    CONTENT, ID, LIST_INDEX, LOAD_ID, LOADED_AT, PARENT_ID, ROOT_ID, RowKind, VALID_FROM, VALID_TO, row_columns,
};
use crate::schema::ColumnType;
use crate::schema::catalog::{Column, Table};
use arrow::array::{ArrayRef, RecordBatch, RecordBatchOptions, StringArray, TimestampMicrosecondArray, new_null_array};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use chrono::{DateTime, Utc};
use std::collections::HashMap;
use std::sync::Arc;

/// The columns of a table's files, as one state of the catalog gives them.
#[derive(Debug)]
pub(super) struct Shape {
    columns: Vec<Column>,
    schema: SchemaRef,
}

impl Shape {
    pub(super) fn of(table: &Table, kind: RowKind) -> Arc<Shape> {
        let data = table.columns.iter().map(|column| data_field(&column.name, column.data_type()));
        let own = row_columns(kind).map(|(name, ..)| own_field(name));
        let schema = Schema::new(data.chain(own).collect::<Vec<_>>());
        Arc::new(Shape { columns: table.columns.clone(), schema: Arc::new(schema) })
    }

    /// The schema of its files.
    pub(super) fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    /// Its columns of values.
    pub(super) fn columns(&self) -> &[Column] {
        &self.columns
    }

    /// Whether files of `from` have to be rewritten to be like this.
    pub(super) fn differs(&self, from: &Shape) -> bool {
        self.columns.len() != from.columns.len()
            || self
                .columns
                .iter()
                .zip(&from.columns)
                .any(|(to, from)| to.name != from.name || to.recast_since(from).is_some())
    }

    /// Adds the columns of the load to rows as they are written.
    pub(super) fn stamp(&self, rows: &RecordBatch, load_id: &str, loaded_at: DateTime<Utc>) -> Result<RecordBatch> {
        let count = rows.num_rows();
        self.assemble(count, |field| {
            Ok(match field.name().as_str() {
                LOAD_ID => Arc::new(StringArray::from_iter_values(std::iter::repeat_n(load_id, count))),
                VALID_TO => new_null_array(field.data_type(), count),
                LOADED_AT | VALID_FROM => {
                    let times = TimestampMicrosecondArray::from_value(loaded_at.timestamp_micros(), count);
                    Arc::new(times.with_timezone("UTC"))
                }
                name => rows.column_by_name(name).cloned().ok_or_else(|| missing(name))?,
            })
        })
    }

    /// Rows that were written as `from`, as they are now.
    pub(super) fn convert(&self, rows: &RecordBatch, from: &Shape) -> Result<RecordBatch> {
        self.assemble(rows.num_rows(), |field| {
            let Some(to) = self.columns.iter().find(|c| c.name == *field.name()) else {
                return rows.column_by_name(field.name()).cloned().ok_or_else(|| missing(field.name()));
            };
            let Some(before) = from.columns.iter().find(|c| c.name == to.name) else {
                return Ok(new_null_array(field.data_type(), rows.num_rows()));
            };
            let values = rows.column_by_name(&to.name).ok_or_else(|| missing(&to.name))?;
            to.recast_since(before).map_or_else(|| Ok(values.clone()), |recast| recast.apply(values))
        })
    }

    fn assemble(&self, rows: usize, mut column: impl FnMut(&Field) -> Result<ArrayRef>) -> Result<RecordBatch> {
        let columns: Vec<ArrayRef> = self.schema.fields().iter().map(|f| column(f)).collect::<Result<_>>()?;
        let options = RecordBatchOptions::new().with_row_count(Some(rows));
        RecordBatch::try_new_with_options(self.schema.clone(), columns, &options)
            .map_err(|e| Error::new(Kind::Internal, "rows do not have the columns of their table").source(e))
    }
}

/// A column of values. JSON is text that says what it is, so that Parquet's readers know it too.
pub(super) fn data_field(name: &str, data_type: ColumnType) -> Field {
    let field = Field::new(name, data_type.arrow(), true);
    if data_type == ColumnType::Json { extended(field, "arrow.json") } else { field }
}

/// Gives a field one of Arrow's canonical extension types, which the Parquet writer turns into a logical type.
fn extended(field: Field, name: &str) -> Field {
    let words = [("ARROW:extension:name", name), ("ARROW:extension:metadata", "")];
    let metadata: HashMap<String, String> = words.into_iter().map(|(key, value)| (key.into(), value.into())).collect();
    field.with_metadata(metadata)
}

fn own_field(name: &str) -> Field {
    match name {
        ID | PARENT_ID | ROOT_ID | CONTENT => {
            extended(Field::new(name, DataType::FixedSizeBinary(16), false), "arrow.uuid")
        }
        LIST_INDEX => Field::new(name, ColumnType::BigInt.arrow(), false),
        LOADED_AT | VALID_FROM => Field::new(name, ColumnType::TimestampTz.arrow(), false),
        VALID_TO => Field::new(name, ColumnType::TimestampTz.arrow(), true),
        _ => Field::new(name, ColumnType::Varchar.arrow(), false),
    }
}

fn missing(column: &str) -> Error {
    Error::new(Kind::Destination, "a Parquet file does not have the columns of its table")
        .with("column", column)
        .hint("was the file replaced by hand? The table's folder belongs to Pintail")
}
