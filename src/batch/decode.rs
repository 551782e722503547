//! The decoder: one pass over a page's records.

use super::column::Fit;
use super::judge::{Judge, LeftOut};
use super::pass::Pass;
use super::shape::{ROOT, Shape, ShapeSpec, TableId};
use super::{Chunk, ChunkColumn, Decoded, Lineage};
use crate::error::{Error, Kind, Result};
use crate::plan::model::{ColumnHint, OnCursorMissing};
use crate::schema::ColumnType;
use crate::schema::catalog::{Catalog, Source};
use crate::schema::names;
use arrow::array::{Array, ArrayRef, BooleanArray, FixedSizeBinaryArray, Int64Array};
use arrow::buffer::Buffer;
use arrow::compute::filter;
use serde_json::Value;
use std::collections::HashMap;
use std::sync::Arc;
use xxhash_rust::xxh3::xxh3_128;

/// The rule by which a record is left out whose key comes again later on the page.
pub const REPEATED_KEY: &str = "repeated_key";

/// The rule by which a record is left out that the filter of the resource does not let through.
pub const FILTERED: &str = "filtered";

/// How records are read.
#[derive(Debug, Clone)]
pub struct DecodeSpec {
    /// Keys, cursor, exclusions, declared types.
    pub shape: ShapeSpec,
    /// Whether a row's id comes from its whole content rather than from its key: `append` keeps every version of a record,
    /// and each needs an id of its own.
    pub id_from_content: bool,
    /// What a record without a cursor value means.
    pub on_cursor_missing: OnCursorMissing,
    /// Whether the content of records is hashed although their ids come from a key.
    pub wants_contents: bool,
}

impl DecodeSpec {
    /// Whether ids come from content: asked for, or for want of a key.
    pub(super) fn hashes_content(&self) -> bool {
        self.id_from_content || self.shape.key.is_empty()
    }
}

/// Columns that the request brought, the same for every row of a page: from the parent, the partition, or `add_columns`.
pub type ParentColumns = [(String, Value)];

/// Whether the filter of the resource leaves a record out. It is asked of records that the contract is about.
pub type IsFiltered<'f> = &'f dyn Fn(&[u8]) -> Result<bool>;

/// What one pass over a page came to.
struct Passed {
    out: Decoded,
    root_ids: Vec<u128>,
    /// Which of the records with a cursor have no row.
    absent: Vec<usize>,
    /// Rows that must not be in the tables: the page has to be read again.
    left_out: LeftOut,
}

/// Decodes the pages of one resource, and learns its shape from them.
#[derive(Debug)]
pub struct Decoder {
    shape: Shape,
    spec: DecodeSpec,
    /// The tables as the run found them, if there is a contract to hold data against.
    catalog: Catalog,
}

impl Decoder {
    /// A decoder that knows what the catalog knows. A contract holds data against that, whatever the run learns.
    pub fn new(spec: DecodeSpec, catalog: &Catalog) -> Self {
        let shape = Shape::new(spec.shape.clone(), catalog);
        let catalog = if spec.shape.contract.modes.evolves() { Catalog::default() } else { catalog.clone() };
        Decoder { shape, spec, catalog }
    }

    /// Decodes a page: each part is a JSON array of records, or one record.
    ///
    /// # Errors
    /// `Kind::Body`: a part is not JSON. `Kind::Data`: a record breaks a rule of the pipeline. The context `at` says which
    /// record and byte, and `schema_contract` that it would change a table. Nothing of the page is kept then.
    pub fn decode(&mut self, parts: &[impl AsRef<[u8]>], parent: &ParentColumns) -> Result<Decoded> {
        self.decode_but(parts, parent, None)
    }

    /// As [`Decoder::decode`]; the contract is not about records that the filter leaves out.
    ///
    /// # Errors
    /// Those of [`Decoder::decode`] and of the filter.
    pub fn decode_but(
        &mut self,
        parts: &[impl AsRef<[u8]>],
        parent: &ParentColumns,
        is_filtered: Option<IsFiltered<'_>>,
    ) -> Result<Decoded> {
        let result = self.passes(parts, parent, is_filtered).and_then(|passed| self.finish(passed, parent));
        if result.is_err() {
            self.shape.clear();
        }
        result
    }

    fn passes(
        &mut self,
        parts: &[impl AsRef<[u8]>],
        parent: &ParentColumns,
        is_filtered: Option<IsFiltered<'_>>,
    ) -> Result<Passed> {
        let first = self.pass(parts, parent, &LeftOut::new(), is_filtered)?;
        if first.left_out.is_empty() {
            return Ok(first);
        }
        // What rows show that are left out must not be learnt.
        self.shape = Shape::new(self.spec.shape.clone(), &self.catalog);
        self.pass(parts, parent, &first.left_out, is_filtered)
    }

    fn pass(
        &mut self,
        parts: &[impl AsRef<[u8]>],
        parent: &ParentColumns,
        left_out: &LeftOut,
        is_filtered: Option<IsFiltered<'_>>,
    ) -> Result<Passed> {
        let mut out = Decoded::default();
        let judge = Judge::new(&self.catalog, left_out, is_filtered);
        let mut pass = Pass::new(&mut self.shape, &self.spec, parent, judge);
        for (number, part) in parts.iter().enumerate() {
            pass.part_number = number;
            pass.part(part.as_ref(), &mut out)?;
        }
        Ok(Passed { out, root_ids: pass.ids, absent: pass.absent, left_out: pass.judge.found })
    }

    fn finish(&mut self, passed: Passed, parent: &ParentColumns) -> Result<Decoded> {
        let Passed { mut out, root_ids, absent, .. } = passed;
        let keep = if self.spec.hashes_content() { None } else { last_of_each(&root_ids) };
        if let Some(keep) = &keep {
            let dropped = keep.iter().filter(|k| !**k).count() as u64;
            *out.discarded.entry(REPEATED_KEY).or_default() += dropped;
        }
        out.rows = rows_of(root_ids.len(), keep.as_deref());
        // Ascending, so that each is where it belongs once those before it are there.
        absent.into_iter().for_each(|record| out.rows.insert(record, None));
        let mut ids: Vec<Vec<u128>> = Vec::with_capacity(self.shape.tables.len());
        for table in 0..self.shape.tables.len() {
            let own = if table == ROOT { root_ids.clone() } else { self.child_ids(table, &ids) };
            if self.shape.tables[table].rows.count > 0 {
                let chunk = self.chunk(table, &own, &ids, parent)?;
                let mask = keep.as_ref().map(|keep| self.mask(table, keep));
                out.chunks.push(match mask {
                    Some(mask) => retain(chunk, &mask)?,
                    None => chunk,
                });
            }
            ids.push(own);
        }
        self.shape.clear();
        Ok(out)
    }

    /// Which rows of a table belong to records that are kept.
    fn mask(&self, table: TableId, keep: &[bool]) -> BooleanArray {
        if table == ROOT {
            return BooleanArray::from(keep.to_vec());
        }
        self.shape.tables[table].rows.root.iter().map(|r| Some(keep[*r as usize])).collect()
    }

    fn child_ids(&self, table: TableId, ids: &[Vec<u128>]) -> Vec<u128> {
        let t = &self.shape.tables[table];
        let Some(parent_ids) = t.parent.map(|p| &ids[p]) else { return Vec::new() };
        t.rows
            .parent
            .iter()
            .zip(&t.rows.index)
            .map(|(p, i)| child_id(parent_ids[*p as usize], t.path_hash, *i))
            .collect()
    }

    fn chunk(&mut self, table: TableId, own: &[u128], ids: &[Vec<u128>], parent: &ParentColumns) -> Result<Chunk> {
        let t = &mut self.shape.tables[table];
        let rows = t.rows.count;
        let mut columns = Vec::with_capacity(t.columns.len() + parent.len());
        // First, so that they have their names: a field of the API of the same name is the one that gets another.
        if table == ROOT {
            for (name, value) in parent {
                let hint = self.spec.shape.columns.iter().find(|hint| hint.name == *name);
                columns.push(constant(name, value, rows, hint)?);
            }
        }
        for column in &mut t.columns {
            if !column.buffer.is_touched() {
                column.buffer.truncate(0);
                continue;
            }
            let declared = column.buffer.declared();
            let (array, observed) =
                column.buffer.finish(rows).map_err(|row| undeclared(&column.source, declared, row))?;
            columns.push(ChunkColumn { source: column.source.clone(), observed, declared, array });
        }
        let lineage = t.parent.map(|p| Lineage {
            parent_ids: id_array(t.rows.parent.iter().map(|r| ids[p][*r as usize]), rows),
            root_ids: id_array(t.rows.root.iter().map(|r| ids[ROOT][*r as usize]), rows),
            list_index: Arc::new(Int64Array::from(std::mem::take(&mut t.rows.index))),
        });
        if table == ROOT {
            refuse_nulls(&self.spec.shape.columns, &columns)?;
        }
        Ok(Chunk { table: t.path.clone(), columns, row_count: rows, ids: id_array(own.iter().copied(), rows), lineage })
    }
}

/// An id with the version and variant bits of a UUID of our own making (RFC 9562 section 5.8).
pub(super) fn uuid8(hash: u128) -> u128 {
    (hash & !(0xF << 76) & !(0x3 << 62)) | (0x8 << 76) | (0x2 << 62)
}

fn child_id(parent: u128, path_hash: u64, index: i64) -> u128 {
    let mut bytes = [0; 32];
    bytes[..16].copy_from_slice(&parent.to_be_bytes());
    bytes[16..24].copy_from_slice(&path_hash.to_be_bytes());
    bytes[24..].copy_from_slice(&index.to_be_bytes());
    uuid8(xxh3_128(&bytes))
}

fn id_array(ids: impl Iterator<Item = u128>, rows: usize) -> ArrayRef {
    let mut bytes = Vec::with_capacity(rows * 16);
    for id in ids {
        bytes.extend_from_slice(&id.to_be_bytes());
    }
    Arc::new(FixedSizeBinaryArray::new(16, Buffer::from_vec(bytes), None))
}

/// Marks the last record of each id, if an id comes twice.
fn last_of_each(ids: &[u128]) -> Option<Vec<bool>> {
    let mut last: HashMap<u128, usize> = HashMap::with_capacity(ids.len());
    for (row, id) in ids.iter().enumerate() {
        last.insert(*id, row);
    }
    (last.len() < ids.len()).then(|| ids.iter().enumerate().map(|(row, id)| last[id] == row).collect())
}

/// Where each record's row is once those that are not kept are gone.
fn rows_of(record_count: usize, keep: Option<&[bool]>) -> Vec<Option<usize>> {
    let Some(keep) = keep else { return (0..record_count).map(Some).collect() };
    let mut next = 0;
    let place = |is_kept: &bool| {
        is_kept.then(|| {
            next += 1;
            next - 1
        })
    };
    keep.iter().map(place).collect()
}

/// The rows of a chunk that a mask keeps.
pub(crate) fn retain(chunk: Chunk, mask: &BooleanArray) -> Result<Chunk> {
    let pick = |array: &ArrayRef| {
        filter(array, mask).map_err(|e| Error::new(Kind::Internal, "rows could not be filtered").source(e))
    };
    let mut columns = chunk.columns;
    for column in &mut columns {
        column.array = pick(&column.array)?;
    }
    let lineage = match chunk.lineage {
        Some(l) => Some(Lineage {
            parent_ids: pick(&l.parent_ids)?,
            root_ids: pick(&l.root_ids)?,
            list_index: pick(&l.list_index)?,
        }),
        None => None,
    };
    let ids = pick(&chunk.ids)?;
    Ok(Chunk { row_count: ids.len(), table: chunk.table, columns, ids, lineage })
}

/// A column with the same value in every row, read like any other value.
fn constant(name: &str, value: &Value, rows: usize, hint: Option<&ColumnHint>) -> Result<ChunkColumn> {
    let declared = hint.and_then(|hint| hint.data_type);
    let reading = hint.map(|hint| hint.reading.clone()).unwrap_or_default();
    let mut buffer = super::column::ColumnBuffer::new(Default::default(), declared).reading(reading);
    let text = value.to_string();
    for _ in 0..rows {
        let fit = match value {
            Value::Null => {
                buffer.null();
                Fit::Fits
            }
            _ if declared == Some(ColumnType::Json) => {
                buffer.json(text.as_bytes());
                Fit::Fits
            }
            Value::Bool(b) => buffer.boolean(*b)?,
            Value::Number(n) => match n.as_i64() {
                Some(i) => buffer.int(i)?,
                None => buffer.number(text.as_bytes(), text.contains(['.', 'e', 'E']))?,
            },
            Value::String(s) => buffer.text(s.as_bytes())?,
            Value::Array(_) | Value::Object(_) => buffer.text(text.as_bytes())?,
        };
        debug_assert_eq!(fit, Fit::Fits, "the contract is not about columns that requests bring");
    }
    let source = Source::Parent(name.to_owned());
    let (array, observed) = buffer.finish(rows).map_err(|row| undeclared(&source, declared, row))?;
    Ok(ChunkColumn { source, observed, declared, array })
}

/// Refuses nulls in columns of the record table that the file declares with `nullable = false`.
fn refuse_nulls(hints: &[ColumnHint], columns: &[ChunkColumn]) -> Result<()> {
    for hint in hints.iter().filter(|hint| !hint.nullable) {
        let column = columns.iter().find(|column| column_name(&column.source) == hint.name);
        let row = match column {
            Some(column) => (0..column.array.len()).find(|row| column.array.is_null(*row)),
            None => Some(0),
        };
        if let Some(row) = row {
            return Err(Error::new(Kind::Data, format!("`{}` is null or missing in a record", hint.name))
                .with("at", format!("row {} of the page", row + 1))
                .hint("`columns` declares it with `nullable = false`"));
        }
    }
    Ok(())
}

fn column_name(source: &Source) -> String {
    match source {
        Source::Field(path) => names::column_name(path),
        Source::Value => "value".to_owned(),
        Source::Parent(name) => name.clone(),
    }
}

fn undeclared(source: &Source, declared: Option<ColumnType>, row: usize) -> Error {
    let field = match source {
        Source::Field(path) => path.join("."),
        Source::Value => "value".to_owned(),
        Source::Parent(name) => name.clone(),
    };
    let declared = declared.map_or_else(String::new, |t| t.to_string());
    Error::new(Kind::Data, format!("a value of `{field}` is not a {declared}, as `columns` declares it"))
        .with("at", format!("row {} of the page", row + 1))
        .hint("declare a wider type, or leave the type out to have it found from the values")
}
