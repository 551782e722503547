//! What a merge asks of the records in a file.

use super::files::broken_rows;
use super::ids::{id_array, id_at};
use super::rows;
use super::settle::Part;
use super::shape::Shape;
use crate::error::{Error, Kind, Result};
use crate::load::bookkeeping::{CONTENT, ID, LOAD_ID, VALID_TO, row_columns};
use crate::load::merge::{deletion_columns, key_columns, says_deleted};
use crate::load::{LoadSpec, RowId};
use crate::schema::catalog::Table;
use arrow::array::{Array, ArrayRef, AsArray, RecordBatch};
use arrow::row::{RowConverter, SortField};
use std::sync::Arc;
use xxhash_rust::xxh3::xxh3_128;

/// A record of a file.
#[derive(Debug, Clone, Copy)]
pub(super) struct Record {
    /// Its row in the file.
    pub(super) row: u64,
    pub(super) id: RowId,
    /// Hash of its key's values; none if one of them is null.
    pub(super) key: Option<u128>,
    /// Hash of its content, in tables that keep versions.
    pub(super) content: u128,
    /// Whether it is the current version.
    pub(super) is_current: bool,
    /// Whether it came with another load than the one in hand.
    pub(super) is_of_other_load: bool,
    /// Whether it is marked as deleted.
    pub(super) is_deleted: bool,
}

/// Reads the records of a table's files, whatever they looked like when they were written.
pub(super) struct RecordReader<'a> {
    load_id: &'a str,
    /// The key's columns, as they are after the load; none if there is no key, or no column for a part of it.
    key: Option<Key>,
    /// Names of the columns that say that a record was deleted.
    deletion: Vec<String>,
    own: Vec<&'static str>,
}

struct Key {
    shape: Arc<Shape>,
    names: Vec<String>,
    converter: RowConverter,
}

impl<'a> RecordReader<'a> {
    /// `table`: the record table after the load.
    pub(super) fn new(spec: &'a LoadSpec, table: &Table) -> Result<Self> {
        let key = key_columns(table, spec.merge.rule.key()).filter(|names| !names.is_empty());
        let deletion = spec.merge.hard_delete.as_ref().map(|path| deletion_columns(table, path)).unwrap_or_default();
        Ok(RecordReader {
            load_id: &spec.load_id,
            key: key.map(|names| Key::new(spec, table, &names)).transpose()?,
            deletion: deletion.into_iter().map(|(name, _)| name.to_owned()).collect(),
            own: row_columns(spec.row_kind(table)).map(|(name, ..)| name).collect(),
        })
    }

    pub(super) fn load_id(&self) -> &str {
        self.load_id
    }

    /// Calls `each` for every record of a part.
    pub(super) fn each(&self, part: &Part, mut each: impl FnMut(Record)) -> Result<()> {
        let path = &part.file.path;
        let keys = self.key.iter().flat_map(|key| &key.names);
        let data = keys.chain(&self.deletion).filter(|name| part.shape.columns().iter().any(|c| c.name == **name));
        let columns: Vec<&str> = self.own.iter().copied().chain(data.map(String::as_str)).collect();
        let mut first_row = 0;
        for batch in rows::batches(path, Some(&columns))? {
            let batch = batch?;
            let ids = id_array(batch.column_by_name(ID), path)?;
            let content = batch.column_by_name(CONTENT).map(|c| id_array(Some(c), path)).transpose()?;
            let loads = batch.column_by_name(LOAD_ID).and_then(|c| c.as_string_opt::<i32>());
            let loads = loads.ok_or_else(|| broken_rows("read", path, "it does not say which load brought a row"))?;
            let valid_to = batch.column_by_name(VALID_TO);
            let keys = self.key.as_ref().map(|key| key.hashes(&batch, part)).transpose()?;
            let deletion: Vec<&ArrayRef> = self.deletion.iter().filter_map(|c| batch.column_by_name(c)).collect();
            for i in 0..batch.num_rows() {
                each(Record {
                    row: first_row + i as u64,
                    id: id_at(ids, i),
                    key: keys.as_ref().and_then(|keys| keys[i]),
                    content: content.map_or(0, |content| id_at(content, i)),
                    is_current: valid_to.is_none_or(|times| times.is_null(i)),
                    is_of_other_load: loads.value(i) != self.load_id,
                    is_deleted: deletion.iter().any(|values| says_deleted(values, i)),
                });
            }
            first_row += batch.num_rows() as u64;
        }
        Ok(())
    }
}

impl Key {
    fn new(spec: &LoadSpec, table: &Table, names: &[&str]) -> Result<Self> {
        let column = |name: &&str| table.columns.iter().find(|c| c.name == **name).cloned();
        let columns: Vec<_> = names.iter().filter_map(column).collect();
        let fields = columns.iter().map(|c| SortField::new(c.data_type().arrow())).collect();
        let converter = RowConverter::new(fields)
            .map_err(|e| Error::new(Kind::Internal, "the values of a key can't be compared").source(e))?;
        let reduced = Table { columns, ..table.clone() };
        let names = names.iter().map(|name| (*name).to_owned()).collect();
        Ok(Key { shape: Shape::of(&reduced, spec.row_kind(table)), names, converter })
    }

    fn hashes(&self, rows: &RecordBatch, part: &Part) -> Result<Vec<Option<u128>>> {
        let unreadable = |e| broken_rows("read", &part.file.path, e);
        let rows = self.shape.convert(rows, &part.shape)?;
        let columns: Vec<ArrayRef> = self.names.iter().filter_map(|name| rows.column_by_name(name).cloned()).collect();
        let values = self.converter.convert_columns(&columns).map_err(unreadable)?;
        let hash = |row: usize| columns.iter().all(|c| c.is_valid(row)).then(|| xxh3_128(values.row(row).as_ref()));
        Ok((0..rows.num_rows()).map(hash).collect())
    }
}
