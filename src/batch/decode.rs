//! The decoder: one pass over a page's records.

use super::json::{Fault, Number, Scanner};
use super::shape::{FieldId, KeyPart, ROOT, Shape, ShapeSpec, TableId};
use super::{Chunk, ChunkColumn, CursorToken, Decoded, Lineage};
use crate::error::{Error, Kind, Result};
use crate::plan::model::OnCursorMissing;
use crate::schema::catalog::{Catalog, Source};
use crate::schema::number::Decimal;
use arrow::array::{Array, ArrayRef, BooleanArray, FixedSizeBinaryArray, Int64Array};
use arrow::buffer::Buffer;
use arrow::compute::filter;
use serde_json::Value;
use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;
use xxhash_rust::xxh3::{xxh3_128, xxh3_128_with_seed};

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
}

impl DecodeSpec {
    /// Whether ids come from content: asked for, or for want of a key.
    fn hashes_content(&self) -> bool {
        self.id_from_content || self.shape.key.is_empty()
    }
}

/// Columns from the parent, the same for every row of a page.
pub type ParentColumns = [(String, Value)];

/// Decodes the pages of one resource, and learns its shape from them.
#[derive(Debug)]
pub struct Decoder {
    shape: Shape,
    spec: DecodeSpec,
}

impl Decoder {
    /// A decoder that knows what the catalog knows.
    pub fn new(spec: DecodeSpec, catalog: &Catalog) -> Self {
        Decoder { shape: Shape::new(spec.shape.clone(), catalog), spec }
    }

    /// Decodes a page: each part is a JSON array of records, or one record.
    ///
    /// # Errors
    /// `Kind::Body`: a part is not JSON. `Kind::Data`: a record breaks a rule of the pipeline. The context `at` says which
    /// record and byte. Nothing of the page is kept then.
    pub fn decode(&mut self, parts: &[impl AsRef<[u8]>], parent: &ParentColumns) -> Result<Decoded> {
        let mut out = Decoded::default();
        let mut pass = Pass::new(&mut self.shape, &self.spec, parent);
        let mut result = Ok(());
        for (number, part) in parts.iter().enumerate() {
            pass.part_number = number;
            result = pass.part(part.as_ref(), &mut out);
            if result.is_err() {
                break;
            }
        }
        let ids = std::mem::take(&mut pass.ids);
        if let Err(error) = result.and_then(|()| self.finish(ids, parent, &mut out)) {
            self.shape.clear();
            return Err(error);
        }
        Ok(out)
    }

    fn finish(&mut self, root_ids: Vec<u128>, parent: &ParentColumns, out: &mut Decoded) -> Result<()> {
        let keep = if self.spec.hashes_content() { None } else { last_of_each(&root_ids) };
        if let Some(keep) = &keep {
            let dropped = keep.iter().filter(|k| !**k).count() as u64;
            *out.discarded.entry("repeated_key").or_default() += dropped;
        }
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
        Ok(())
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
            for (name, value) in parent {
                columns.push(constant(name, value, rows)?);
            }
        }
        Ok(Chunk { table: t.path.clone(), columns, row_count: rows, ids: id_array(own.iter().copied(), rows), lineage })
    }
}

/// An id with the version and variant bits of a UUID of our own making (RFC 9562 section 5.8).
fn uuid8(hash: u128) -> u128 {
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
fn constant(name: &str, value: &Value, rows: usize) -> Result<ChunkColumn> {
    let mut buffer = super::column::ColumnBuffer::new(Default::default(), None);
    let text = value.to_string();
    for _ in 0..rows {
        match value {
            Value::Null => buffer.null(),
            Value::Bool(b) => buffer.boolean(*b)?,
            Value::Number(n) => match n.as_i64() {
                Some(i) => buffer.int(i)?,
                None => buffer.number(text.as_bytes(), text.contains(['.', 'e', 'E']))?,
            },
            Value::String(s) => buffer.text(s.as_bytes())?,
            Value::Array(_) | Value::Object(_) => buffer.text(text.as_bytes())?,
        }
    }
    let (array, observed) = buffer.finish(rows).map_err(|_| Error::new(Kind::Internal, "an undeclared column"))?;
    Ok(ChunkColumn { source: Source::Parent(name.to_owned()), observed, declared: None, array })
}

fn undeclared(source: &Source, declared: Option<crate::schema::ColumnType>, row: usize) -> Error {
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

/// One pass over a page.
struct Pass<'s> {
    shape: &'s mut Shape,
    spec: &'s DecodeSpec,
    hashes_content: bool,
    part_number: usize,
    ids: Vec<u128>,
    /// Hash of the parent's columns, for ids from content.
    parent_hash: u128,
    /// Key texts of the record in hand, by part of the key; those from the parent are fixed.
    key: Vec<Option<Vec<u8>>>,
    cursor: Vec<Option<Range<usize>>>,
    scratch: Vec<u8>,
    root_row: usize,
}

impl<'s> Pass<'s> {
    fn new(shape: &'s mut Shape, spec: &'s DecodeSpec, parent: &ParentColumns) -> Self {
        let from_parent = |name: &str| parent.iter().find(|(n, _)| n == name).and_then(|(_, v)| key_text(v));
        let key = spec.shape.key.iter().map(|part| match part {
            KeyPart::Field(_) => None,
            KeyPart::Parent(name) => from_parent(name),
        });
        let parent_text = parent.iter().map(|(n, v)| format!("{n}={v}\n")).collect::<String>();
        Pass {
            key: key.collect(),
            cursor: vec![None; spec.shape.cursor.len()],
            ids: Vec::new(),
            parent_hash: xxh3_128(parent_text.as_bytes()),
            scratch: Vec::new(),
            root_row: 0,
            hashes_content: spec.hashes_content(),
            part_number: 0,
            shape,
            spec,
        }
    }

    fn rows(&self) -> usize {
        self.shape.tables[ROOT].rows.count
    }

    /// Reads one part: an array of records, or one record.
    fn part(&mut self, bytes: &[u8], out: &mut Decoded) -> Result<()> {
        if let Err(e) = std::str::from_utf8(bytes) {
            return Err(Error::new(Kind::Body, "the body is not UTF-8").with("at", format!("byte {}", e.valid_up_to())));
        }
        if i32::try_from(bytes.len()).is_err() {
            return Err(Error::new(Kind::Body, "a page of over 2 GiB cannot be decoded").with("bytes", bytes.len()));
        }
        let mut scan = Scanner::new(bytes);
        if scan.peek() != Some(b'[') {
            self.record(&mut scan, out)?;
        } else {
            scan.open(0).map_err(|f| self.malformed(f, out))?;
            if !scan.take(b']') {
                loop {
                    self.record(&mut scan, out)?;
                    if !scan.more(b']').map_err(|f| self.malformed(f, out))? {
                        break;
                    }
                }
            }
        }
        scan.end().map_err(|f| self.malformed(f, out))
    }

    #[cold]
    fn malformed(&self, fault: Fault, out: &Decoded) -> Error {
        Error::new(Kind::Body, "the body is not valid JSON")
            .with("at", format!("record {}, byte {}: {}", out.record_count + 1, fault.at, fault.message))
    }

    fn record(&mut self, scan: &mut Scanner<'_>, out: &mut Decoded) -> Result<()> {
        if scan.peek() == Some(b'n') {
            scan.literal("null").map_err(|f| self.malformed(f, out))?;
            out.record_count += 1;
            *out.discarded.entry("null_record").or_default() += 1;
            return Ok(());
        }
        let row = self.rows();
        self.root_row = row;
        for (slot, part) in self.spec.shape.key.iter().enumerate() {
            if matches!(part, KeyPart::Field(_)) {
                self.key[slot] = None;
            }
        }
        self.cursor.fill(None);
        self.shape.tables[ROOT].rows.count += 1;
        let element = self.shape.tables[ROOT].element;
        let content = match self.value(scan, element, row, 1) {
            Ok(hash) => hash,
            Err(Stop::Fault(fault)) => return Err(self.malformed(fault, out)),
            Err(Stop::Error(error)) => return Err(*error),
        };
        out.record_count += 1;
        let cursor = self.cursor.iter_mut().find_map(Option::take);
        if cursor.is_none() && !self.cursor.is_empty() && !self.keep_without_cursor(out)? {
            self.shape.truncate(ROOT, row);
            self.unsee();
            return Ok(());
        }
        let id = self.id(content, out)?;
        self.ids.push(id);
        out.cursors.push(cursor.map(|range| CursorToken { part: self.part_number, range }));
        Ok(())
    }

    /// After a record was dropped, its row number is used again: no field was seen in it yet.
    fn unsee(&mut self) {
        for field in &mut self.shape.fields {
            field.seen_row = 0;
        }
    }

    fn keep_without_cursor(&self, out: &mut Decoded) -> Result<bool> {
        match self.spec.on_cursor_missing {
            OnCursorMissing::Include => Ok(true),
            OnCursorMissing::Exclude => {
                *out.discarded.entry("cursor_missing").or_default() += 1;
                Ok(false)
            }
            OnCursorMissing::Raise => {
                let paths = self.spec.shape.cursor.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
                Err(Error::new(Kind::Data, format!("a record has no `{paths}`, which is the cursor"))
                    .with("at", format!("record {}", out.record_count))
                    .hint("`on_cursor_value_missing = \"include\"` loads such records, `\"exclude\"` leaves them out"))
            }
        }
    }

    /// The id of the record in hand.
    fn id(&self, content: u128, out: &Decoded) -> Result<u128> {
        if self.hashes_content {
            return Ok(uuid8(content ^ self.parent_hash));
        }
        let mut bytes = Vec::with_capacity(32);
        for (slot, text) in self.key.iter().enumerate() {
            let Some(text) = text else {
                let name = match &self.spec.shape.key[slot] {
                    KeyPart::Field(path) => path.to_string(),
                    KeyPart::Parent(name) => name.clone(),
                };
                return Err(Error::new(Kind::Data, format!("the primary key `{name}` of a record is null or missing"))
                    .with("at", format!("record {}", out.record_count))
                    .hint("name fields that every record has in `primary_key`, or load with `write_disposition = \"append\"`"));
            };
            bytes.extend_from_slice(&(text.len() as u32).to_be_bytes());
            bytes.extend_from_slice(text);
        }
        Ok(uuid8(xxh3_128(&bytes)))
    }

    /// Reads a value into a row of the field's table. Returns the hash of its content, if ids come from it.
    fn value(&mut self, scan: &mut Scanner<'_>, field: FieldId, row: usize, depth: usize) -> Result<u128, Stop> {
        let first = scan.peek();
        if self.shape.fields[field].raw {
            return self.raw(scan, field, row, depth);
        }
        let start = scan.offset();
        let hash = match first {
            Some(b'"') => {
                let text = scan.string(&mut self.scratch)?;
                self.shape.buffer(field, row).text(text)?;
                note_key(&mut self.key, &self.shape.fields[field], || text.to_vec());
                content(self.hashes_content, 1, text)
            }
            Some(b'{') => return self.object(scan, field, row, depth),
            Some(b'[') => return self.list(scan, field, row, depth),
            Some(b'n') => {
                scan.literal("null")?;
                self.shape.buffer(field, row).null();
                return Ok(0);
            }
            Some(b @ (b't' | b'f')) => {
                scan.literal(if b == b't' { "true" } else { "false" })?;
                self.shape.buffer(field, row).boolean(b == b't')?;
                note_key(&mut self.key, &self.shape.fields[field], || {
                    if b == b't' { b"true".to_vec() } else { b"false".to_vec() }
                });
                self.content(2, &[b])
            }
            _ => self.number(scan, field, row)?,
        };
        if let Some(slot) = self.shape.fields[field].cursor_slot {
            self.cursor[slot] = Some(start..scan.offset());
        }
        Ok(hash)
    }

    fn number(&mut self, scan: &mut Scanner<'_>, field: FieldId, row: usize) -> Result<u128, Stop> {
        let number = scan.number()?;
        let buffer = self.shape.buffer(field, row);
        match number {
            Number::Small(value) => buffer.int(value)?,
            Number::Whole(token) => match std::str::from_utf8(token).ok().and_then(|t| t.parse().ok()) {
                Some(value) => buffer.int(value)?,
                None => buffer.number(token, false)?,
            },
            Number::Fraction(token) => buffer.number(token, true)?,
        }
        let wanted = self.hashes_content || self.shape.fields[field].key_slot.is_some();
        if !wanted {
            return Ok(0);
        }
        let text = match number {
            Number::Small(value) => value.to_string(),
            Number::Whole(token) | Number::Fraction(token) => {
                Decimal::parse(token).map(|d| d.canonical()).unwrap_or_default()
            }
        };
        note_key(&mut self.key, &self.shape.fields[field], || text.clone().into_bytes());
        Ok(self.content(3, text.as_bytes()))
    }

    /// A value of a column that is declared as JSON: its text, whatever it is.
    fn raw(&mut self, scan: &mut Scanner<'_>, field: FieldId, row: usize, depth: usize) -> Result<u128, Stop> {
        let token = scan.skip(depth, &mut self.scratch)?;
        let buffer = self.shape.buffer(field, row);
        if token == b"null" {
            buffer.null();
            return Ok(0);
        }
        buffer.json(token);
        Ok(self.content(4, token))
    }

    fn object(&mut self, scan: &mut Scanner<'_>, field: FieldId, row: usize, depth: usize) -> Result<u128, Stop> {
        scan.open(depth)?;
        if scan.take(b'}') {
            self.nothing(field, row);
            return Ok(0);
        }
        let object = self.shape.object(field);
        let (mut hint, mut sum) = (0, 0u128);
        loop {
            let key = scan.string(&mut self.scratch)?;
            let member = self.shape.field(object, key, &mut hint);
            scan.expect(b':', "`:`")?;
            if self.shape.fields[member].excluded {
                scan.skip(depth + 1, &mut self.scratch)?;
            } else {
                if self.shape.fields[member].seen_row == row + 1 {
                    self.shape.erase(member, row);
                }
                self.shape.fields[member].seen_row = row + 1;
                let hash = self.value(scan, member, row, depth + 1)?;
                // A sum, so that the order of keys does not matter. Null adds nothing: a new field changes no old row.
                sum = sum.wrapping_add(mix(hash, u128::from(self.shape.fields[member].path_hash)));
            }
            if !scan.more(b'}')? {
                return Ok(sum);
            }
        }
    }

    fn list(&mut self, scan: &mut Scanner<'_>, field: FieldId, row: usize, depth: usize) -> Result<u128, Stop> {
        scan.open(depth)?;
        if scan.take(b']') {
            self.nothing(field, row);
            return Ok(0);
        }
        let table = self.shape.list(field);
        let element = self.shape.tables[table].element;
        let (mut index, mut sum) = (0i64, 0u128);
        loop {
            let rows = &mut self.shape.tables[table].rows;
            let child_row = rows.count;
            rows.count += 1;
            rows.parent.push(row as u32);
            rows.root.push(self.root_row as u32);
            rows.index.push(index);
            let hash = self.value(scan, element, child_row, depth + 1)?;
            sum = sum.wrapping_add(mix(hash.wrapping_add(1), index as u128 + 1));
            index += 1;
            if !scan.more(b']')? {
                return Ok(sum);
            }
        }
    }

    /// An empty object or list says no more than null does.
    fn nothing(&mut self, field: FieldId, row: usize) {
        if !self.shape.fields[field].path.is_empty() {
            self.shape.buffer(field, row).null();
        }
    }

    #[inline]
    fn content(&self, kind: u64, bytes: &[u8]) -> u128 {
        content(self.hashes_content, kind, bytes)
    }
}

#[inline]
fn content(wanted: bool, kind: u64, bytes: &[u8]) -> u128 {
    if wanted { xxh3_128_with_seed(bytes, kind) } else { 0 }
}

/// Why a value could not be read.
enum Stop {
    Fault(Fault),
    Error(Box<Error>),
}

impl From<Fault> for Stop {
    fn from(fault: Fault) -> Self {
        Stop::Fault(fault)
    }
}

impl From<Error> for Stop {
    fn from(error: Error) -> Self {
        Stop::Error(Box::new(error))
    }
}

#[inline]
fn note_key(key: &mut [Option<Vec<u8>>], field: &super::shape::Field, text: impl FnOnce() -> Vec<u8>) {
    if let Some(slot) = field.key_slot {
        key[slot] = Some(text());
    }
}

fn mix(value: u128, salt: u128) -> u128 {
    if value == 0 {
        return 0;
    }
    let mut bytes = [0; 32];
    bytes[..16].copy_from_slice(&value.to_le_bytes());
    bytes[16..].copy_from_slice(&salt.to_le_bytes());
    xxh3_128(&bytes)
}

/// The text by which a value counts in a key: the same for 5, 5.0 and "5".
fn key_text(value: &Value) -> Option<Vec<u8>> {
    match value {
        Value::Null => None,
        Value::String(s) => Some(s.clone().into_bytes()),
        Value::Number(n) => {
            let text = n.to_string();
            Some(Decimal::parse(text.as_bytes()).map_or(text, |d| d.canonical()).into_bytes())
        }
        Value::Bool(_) | Value::Array(_) | Value::Object(_) => Some(value.to_string().into_bytes()),
    }
}
