//! The shape of a resource: tables, objects and fields as they have been seen, in arenas.
//!
//! A field has up to three places, one for each kind of value it may have: a column, an object whose fields are columns of
//! the same table, and a list whose elements are rows of a child table. So a field that changes between them has no conflict.

use super::column::ColumnBuffer;
use super::content::path_hash;
use super::contract::{Contract, Drift};
use super::nesting::KeepsNested;
use crate::plan::model::{ColumnHint, ContractMode, FieldPath};
use crate::schema::ColumnType;
use crate::schema::catalog::{Catalog, Source, TablePath};
use crate::schema::names;
use crate::schema::types::Observed;
use std::collections::HashMap;
use xxhash_rust::xxh3::xxh3_64;

/// Objects with more keys than this are looked up by hash.
const LINEAR_KEYS_MAX: usize = 16;

pub(super) type TableId = usize;
pub(super) type ObjectId = usize;
pub(super) type FieldId = usize;

/// What the decoder has to know of a resource.
#[derive(Debug, Clone, Default)]
pub struct ShapeSpec {
    /// Fields of the record's key, in order.
    pub key: Vec<KeyPart>,
    /// Fields that hold the cursor; the first that is not null counts.
    pub cursor: Vec<FieldPath>,
    /// Fields that are left out.
    pub exclude: Vec<FieldPath>,
    /// What the file says of the record table's columns.
    pub columns: Vec<ColumnHint>,
    /// Columns that requests bring and that say nothing of a record: ids from content leave them out.
    pub of_run: Vec<String>,
    /// What becomes of data that would change the tables.
    pub contract: Contract,
    /// Which objects and lists are kept as they are.
    pub keeps_nested: KeepsNested,
}

/// A part of a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KeyPart {
    /// A field of the record.
    Field(FieldPath),
    /// A column that the request brought: from the parent, the partition, or `add_columns`.
    Parent(String),
}

#[derive(Debug)]
pub(super) struct Table {
    pub(super) path: TablePath,
    pub(super) path_hash: u64,
    pub(super) parent: Option<TableId>,
    /// The element itself: of the record list, or of this table's list.
    pub(super) element: FieldId,
    pub(super) columns: Vec<Column>,
    pub(super) children: Vec<TableId>,
    pub(super) rows: Rows,
    /// Whether it was there before the run, so that a new column is one.
    pub(super) held: bool,
}

/// Where the rows of a page belong.
#[derive(Debug, Default)]
pub(super) struct Rows {
    pub(super) count: usize,
    /// Child tables: the row of the parent table, the row of the root table, the place in the list.
    pub(super) parent: Vec<u32>,
    pub(super) root: Vec<u32>,
    pub(super) index: Vec<i64>,
}

#[derive(Debug)]
pub(super) struct Column {
    pub(super) source: Source,
    pub(super) buffer: ColumnBuffer,
}

#[derive(Debug)]
struct Object {
    table: TableId,
    path: Vec<String>,
    keys: Vec<(Box<[u8]>, FieldId)>,
    positions: HashMap<Box<[u8]>, usize>,
}

#[derive(Debug)]
pub(super) struct Field {
    pub(super) table: TableId,
    /// Keys from the table's element.
    pub(super) path: Vec<String>,
    pub(super) path_hash: u64,
    pub(super) column: Option<usize>,
    pub(super) object: Option<ObjectId>,
    pub(super) list: Option<TableId>,
    pub(super) excluded: bool,
    pub(super) key_slot: Option<usize>,
    pub(super) cursor_slot: Option<usize>,
    /// Declared as JSON: the value's text is kept whatever it is.
    pub(super) raw: bool,
    /// Its objects are kept as they are.
    pub(super) keeps_objects: bool,
    /// Its lists are kept as they are.
    pub(super) keeps_lists: bool,
    /// Its texts are JSON, to be read like the rest of the record.
    pub(super) parse_json: bool,
    /// The file names it, so that its column is nothing new.
    pub(super) named: bool,
    /// No record is kept without its value.
    pub(super) needed: bool,
    /// The row of this page that named it last, plus one.
    pub(super) seen_row: usize,
}

impl Field {
    /// Whether a value that begins like this is nested, and kept as it is.
    #[inline]
    pub(super) fn keeps(&self, first: Option<u8>) -> bool {
        match first {
            Some(b'{') => self.keeps_objects,
            Some(b'[') => self.keeps_lists,
            _ => false,
        }
    }
}

#[derive(Debug)]
pub(super) struct Shape {
    pub(super) tables: Vec<Table>,
    objects: Vec<Object>,
    pub(super) fields: Vec<Field>,
    pub(super) spec: ShapeSpec,
    /// Whether the record table was there before the run, so that a new list is one.
    pub(super) holds_lists: bool,
}

/// The root table.
pub(super) const ROOT: TableId = 0;

impl Shape {
    pub(super) fn new(spec: ShapeSpec, catalog: &Catalog) -> Shape {
        let holds_lists = catalog.table(&Vec::new()).is_some();
        let mut shape = Shape { tables: Vec::new(), objects: Vec::new(), fields: Vec::new(), spec, holds_lists };
        shape.add_table(Vec::new(), None);
        // Columns that the file declares are a schema to hold to before there is a table.
        shape.tables[ROOT].held = shape.spec.columns.iter().any(|hint| hint.data_type.is_some());
        for table in &catalog.tables {
            let id = shape.table_at(&table.path);
            shape.tables[id].held = true;
            for column in &table.columns {
                let field = match &column.source {
                    Source::Field(path) => shape.field_at(id, path),
                    Source::Value => shape.tables[id].element,
                    Source::Parent(_) => continue,
                };
                shape.add_column(field, column.observed);
            }
        }
        shape
    }

    fn add_table(&mut self, path: TablePath, parent: Option<TableId>) -> TableId {
        let id = self.tables.len();
        let path_hash = xxh3_64(format!("{path:?}").as_bytes());
        let rows = Rows::default();
        let (columns, children) = (Vec::new(), Vec::new());
        self.tables.push(Table { path, path_hash, parent, element: 0, columns, children, rows, held: false });
        self.tables[id].element = self.add_field(id, Vec::new());
        if let Some(parent) = parent {
            self.tables[parent].children.push(id);
        }
        id
    }

    fn add_field(&mut self, table: TableId, path: Vec<String>) -> FieldId {
        let at = |paths: &[FieldPath]| paths.iter().position(|p| table == ROOT && !path.is_empty() && p.0 == path);
        let key_slot = self.spec.key.iter().position(|k| match k {
            KeyPart::Field(p) => table == ROOT && p.0 == path,
            KeyPart::Parent(_) => false,
        });
        let hint = self.hint(table, &path);
        let of_table = &self.tables[table].path;
        let keeps_objects = self.spec.keeps_nested.objects(of_table, &path);
        let keeps_lists = self.spec.keeps_nested.lists(of_table);
        let needed =
            key_slot.is_some() || at(&self.spec.contract.needed).is_some() || hint.is_some_and(|h| !h.nullable);
        let field = Field {
            table,
            path_hash: path_hash(&path),
            column: None,
            object: None,
            list: None,
            excluded: at(&self.spec.exclude).is_some() || self.excluded_below(table, &path),
            key_slot,
            cursor_slot: at(&self.spec.cursor),
            raw: !path.is_empty() && hint.is_some_and(|h| h.data_type == Some(ColumnType::Json)),
            keeps_objects,
            keeps_lists,
            parse_json: hint.is_some_and(|h| h.parse_json),
            named: needed || hint.is_some() || at(&self.spec.cursor).is_some(),
            needed,
            seen_row: 0,
            path,
        };
        self.fields.push(field);
        self.fields.len() - 1
    }

    /// Whether an excluded path leads through lists to this field: `responses.answer`.
    fn excluded_below(&self, table: TableId, path: &[String]) -> bool {
        let Some(table) = self.tables.get(table).filter(|t| !t.path.is_empty()) else { return false };
        let mut full: Vec<&String> = table.path.iter().flatten().collect();
        full.extend(path);
        !path.is_empty() && self.spec.exclude.iter().any(|e| e.0.iter().eq(full.iter().copied()))
    }

    /// What the file says of a field's column.
    fn hint(&self, table: TableId, path: &[String]) -> Option<&ColumnHint> {
        if table != ROOT || self.spec.columns.is_empty() {
            return None;
        }
        let name = names::column_name(path);
        self.spec.columns.iter().find(|hint| hint.name == name)
    }

    fn add_column(&mut self, field: FieldId, observed: Observed) -> usize {
        if let Some(column) = self.fields[field].column {
            return column;
        }
        let (table, path) = (self.fields[field].table, self.fields[field].path.clone());
        let hint = self.hint(table, &path);
        let (declared, reading) = (hint.and_then(|h| h.data_type), hint.map(|h| h.reading.clone()));
        let source = if path.is_empty() { Source::Value } else { Source::Field(path) };
        let mut buffer = ColumnBuffer::new(observed, declared).reading(reading.unwrap_or_default());
        if self.spec.contract.modes.data_type != ContractMode::Evolve {
            buffer = buffer.holding_its_type();
        }
        let columns = &mut self.tables[table].columns;
        columns.push(Column { source, buffer });
        self.fields[field].column = Some(columns.len() - 1);
        columns.len() - 1
    }

    /// The buffer of a field's scalar values, filled up to a row.
    #[inline]
    pub(super) fn buffer(&mut self, field: FieldId, row: usize) -> &mut ColumnBuffer {
        let table = self.fields[field].table;
        let column = match self.fields[field].column {
            Some(column) => column,
            None => self.add_column(field, Observed::default()),
        };
        let buffer = &mut self.tables[table].columns[column].buffer;
        buffer.pad_to(row);
        buffer
    }

    /// The object that a field's objects are.
    pub(super) fn object(&mut self, field: FieldId) -> ObjectId {
        if let Some(object) = self.fields[field].object {
            return object;
        }
        let Field { table, path, .. } = &self.fields[field];
        self.objects.push(Object { table: *table, path: path.clone(), keys: Vec::new(), positions: HashMap::new() });
        let object = self.objects.len() - 1;
        self.fields[field].object = Some(object);
        object
    }

    /// The table that a field's lists fill.
    pub(super) fn list(&mut self, field: FieldId) -> TableId {
        if let Some(table) = self.fields[field].list {
            return table;
        }
        let (table, step) = (self.fields[field].table, self.fields[field].path.clone());
        let mut path = self.tables[table].path.clone();
        path.push(step);
        let child = self.add_table(path, Some(table));
        self.fields[field].list = Some(child);
        child
    }

    /// The field of a key; `hint` is where it is expected among the object's keys, and is moved behind it.
    #[inline]
    pub(super) fn field(&mut self, object: ObjectId, key: &[u8], hint: &mut usize) -> FieldId {
        if let Some((name, field)) = self.objects[object].keys.get(*hint)
            && **name == *key
        {
            *hint += 1;
            return *field;
        }
        self.field_elsewhere(object, key, hint)
    }

    fn field_elsewhere(&mut self, object: ObjectId, key: &[u8], hint: &mut usize) -> FieldId {
        let o = &self.objects[object];
        let found = if o.keys.len() > LINEAR_KEYS_MAX {
            o.positions.get(key).copied()
        } else {
            o.keys.iter().position(|(name, _)| **name == *key)
        };
        if let Some(position) = found {
            *hint = position + 1;
            return o.keys[position].1;
        }
        let table = o.table;
        let mut path = o.path.clone();
        path.push(String::from_utf8_lossy(key).into_owned());
        let field = self.add_field(table, path);
        let o = &mut self.objects[object];
        o.positions.insert(key.into(), o.keys.len());
        o.keys.push((key.into(), field));
        *hint = o.keys.len();
        field
    }

    fn field_at(&mut self, table: TableId, path: &[String]) -> FieldId {
        let mut field = self.tables[table].element;
        for key in path {
            let object = self.object(field);
            field = self.field(object, key.as_bytes(), &mut 0);
        }
        field
    }

    /// The keys that lead from the record to a field, through lists.
    pub(super) fn full_path(&self, field: FieldId) -> Vec<String> {
        let field = &self.fields[field];
        self.tables[field.table].path.iter().flatten().chain(&field.path).cloned().collect()
    }

    fn table_at(&mut self, path: &TablePath) -> TableId {
        let mut table = ROOT;
        for step in path {
            let field = self.field_at(table, step);
            table = self.list(field);
        }
        table
    }

    /// How a value would change the tables, if the contract is about that. `first` is its first byte.
    pub(super) fn drift(&self, field: FieldId, first: Option<u8>) -> Option<Drift> {
        let modes = self.spec.contract.modes;
        let own = &self.fields[field];
        let is_new_list = own.list.is_none() && self.holds_lists && modes.tables != ContractMode::Evolve;
        let is_new_column =
            own.column.is_none() && !own.named && self.tables[own.table].held && modes.columns != ContractMode::Evolve;
        match first {
            _ if own.raw => None,
            _ if own.keeps(first) => is_new_column.then_some(Drift::Column),
            Some(b'{') => None,
            Some(b'[') => is_new_list.then_some(Drift::Table),
            _ => is_new_column.then_some(Drift::Column),
        }
    }

    /// Takes back all that a row says of a field: its key came twice, and the last one counts.
    pub(super) fn erase(&mut self, field: FieldId, row: usize) {
        let Field { table, column, object, list, .. } = self.fields[field];
        self.fields[field].seen_row = 0;
        if let Some(column) = column {
            self.tables[table].columns[column].buffer.truncate(row);
        }
        if let Some(object) = object {
            let members: Vec<FieldId> = self.objects[object].keys.iter().map(|(_, f)| *f).collect();
            for member in members {
                self.erase(member, row);
            }
        }
        if let Some(list) = list {
            let keep = self.tables[list].rows.parent.partition_point(|p| (*p as usize) < row);
            self.truncate(list, keep);
        }
    }

    /// Drops the rows of a table from one on, with their child rows.
    pub(super) fn truncate(&mut self, table: TableId, rows: usize) {
        if self.tables[table].rows.count <= rows {
            return;
        }
        let t = &mut self.tables[table];
        t.rows.count = rows;
        t.rows.parent.truncate(rows);
        t.rows.root.truncate(rows);
        t.rows.index.truncate(rows);
        for column in &mut t.columns {
            column.buffer.truncate(rows);
        }
        for child in self.tables[table].children.clone() {
            let keep = self.tables[child].rows.parent.partition_point(|p| (*p as usize) < rows);
            self.truncate(child, keep);
        }
    }

    /// Forgets the rows of a page, keeping what was learnt.
    pub(super) fn clear(&mut self) {
        for table in &mut self.tables {
            table.rows = Rows::default();
            for column in &mut table.columns {
                column.buffer.truncate(0);
            }
        }
        for field in &mut self.fields {
            field.seen_row = 0;
        }
    }
}
