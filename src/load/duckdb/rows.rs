//! Batches as DuckDB reads them, and row ids in and out.

use crate::error::{Error, Kind, Result};
use crate::load::RowId;
use crate::load::bookkeeping as book;
use crate::schema::catalog::Fitted;
use arrow::array::{Array, ArrayRef, AsArray, FixedSizeBinaryArray, RecordBatch};
use arrow::compute::concat_batches;
use arrow::datatypes::{DataType, Field, Int64Type, Schema, SchemaRef};
use std::collections::HashMap;
use std::sync::Arc;

/// All rows of a part as one batch, so that they take one statement. None if there are none.
pub(super) fn exported(part: &Fitted) -> Result<Option<RecordBatch>> {
    let batches: Vec<&RecordBatch> = part.batches.iter().filter(|batch| batch.num_rows() > 0).collect();
    let Some(first) = batches.first() else { return Ok(None) };
    let batch = match batches.len() {
        1 => (*first).clone(),
        _ => concat_batches(&first.schema(), batches).map_err(misfit)?,
    };
    batch_of(export_schema(&batch.schema()), batch.columns().to_vec()).map(Some)
}

fn export_schema(schema: &Schema) -> SchemaRef {
    let field = |field: &Arc<Field>| match field.data_type() {
        DataType::FixedSizeBinary(16) => uuid(field),
        _ => Arc::clone(field),
    };
    Arc::new(Schema::new(schema.fields().iter().map(field).collect::<Vec<_>>()))
}

/// Marks a field as Arrow's canonical extension type for UUIDs, which DuckDB reads as its own.
fn uuid(field: &Field) -> Arc<Field> {
    Arc::new(field.clone().with_metadata([("ARROW:extension:name".to_owned(), "arrow.uuid".to_owned())]))
}

/// A batch with the one column `id`.
pub(super) fn id_batch(ids: impl ExactSizeIterator<Item = RowId>) -> Result<RecordBatch> {
    let bytes: Vec<u8> = ids.flat_map(RowId::to_be_bytes).collect();
    let array = FixedSizeBinaryArray::try_new(16, bytes.into(), None).map_err(misfit)?;
    let field = uuid(&Field::new("id", array.data_type().clone(), false));
    batch_of(Arc::new(Schema::new(vec![field])), vec![Arc::new(array)])
}

fn batch_of(schema: SchemaRef, columns: Vec<ArrayRef>) -> Result<RecordBatch> {
    RecordBatch::try_new(schema, columns).map_err(misfit)
}

fn misfit(cause: arrow::error::ArrowError) -> Error {
    Error::new(Kind::Internal, "a batch does not fit its own schema").source(cause)
}

/// `_pintail_id` of each row.
pub(super) fn row_ids(batch: &RecordBatch) -> Result<impl Iterator<Item = RowId> + '_> {
    let column = batch.column_by_name(book::ID).and_then(|a| a.as_fixed_size_binary_opt());
    let column = column.ok_or_else(|| Error::new(Kind::Internal, "a batch has no row ids"))?;
    Ok(column.values().chunks_exact(16).map(|bytes| {
        let mut id = [0; 16];
        id.copy_from_slice(bytes);
        RowId::from_be_bytes(id)
    }))
}

/// Reads an id back from the text of a UUID.
pub(super) fn id_from_text(text: &str) -> Result<RowId> {
    let digits: String = text.chars().filter(|c| *c != '-').collect();
    RowId::from_str_radix(&digits, 16)
        .map_err(|e| Error::new(Kind::Destination, "a row id in the warehouse is not a UUID").source(e))
}

/// An id as the text of a UUID.
pub(super) fn id_text(id: RowId) -> String {
    let h = format!("{id:032x}");
    format!("{}-{}-{}-{}-{}", &h[..8], &h[8..12], &h[12..16], &h[16..20], &h[20..])
}

pub(super) fn counts_by_id(batches: &[RecordBatch]) -> Result<HashMap<RowId, u64>> {
    let unexpected = || Error::new(Kind::Internal, "DuckDB gave other columns than it was asked for");
    let mut counts = HashMap::new();
    for batch in batches {
        let ids = batch.column(0).as_string_opt::<i32>().ok_or_else(unexpected)?;
        let numbers = batch.column(1).as_primitive_opt::<Int64Type>().ok_or_else(unexpected)?;
        for (id, n) in ids.iter().flatten().zip(numbers.values()) {
            counts.insert(id_from_text(id)?, n.unsigned_abs());
        }
    }
    Ok(counts)
}
