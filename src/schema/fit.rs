//! Making chunks fit a resource's tables: which changes they ask for, and the rows in the tables' columns and types.

use super::catalog::{Catalog, Change, Column, Fitted, Source, Table, TablePath};
use super::names;
use crate::batch::{Chunk, ChunkColumn};
use crate::error::{Error, Kind, Result};
use arrow::array::{ArrayRef, new_null_array};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use arrow::record_batch::RecordBatch;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;

impl Catalog {
    /// The table of a path.
    pub fn table(&self, path: &TablePath) -> Option<&Table> {
        self.tables.iter().find(|t| t.path == *path)
    }

    /// Takes chunks of one resource in, in the order in which they came: learns their columns and types, and gives for each
    /// table what has to change and the rows as they are to be written. `root` names the record table; `reserved` are table
    /// names that belong to other resources.
    ///
    /// # Errors
    /// A value does not fit the type that the lattice says it has: a fault of the program.
    pub fn fit(&mut self, root: &str, chunks: &[Chunk], reserved: &HashSet<String>) -> Result<Vec<Fitted>> {
        let mut order: Vec<TablePath> = Vec::new();
        let mut by_table: HashMap<&TablePath, Vec<&Chunk>> = HashMap::new();
        for chunk in chunks {
            if !by_table.contains_key(&chunk.table) {
                order.push(chunk.table.clone());
            }
            by_table.entry(&chunk.table).or_default().push(chunk);
        }
        // Parents before children, whatever the chunks' order; the same path depth keeps the order of appearance.
        order.sort_by_key(Vec::len);
        let lists: Vec<TablePath> = self.tables.iter().map(|t| t.path.clone()).chain(order.iter().cloned()).collect();
        let mut fitted = Vec::with_capacity(order.len());
        for path in &order {
            let at = self.open_table(root, path, reserved);
            let chunks = by_table.get(path).map(Vec::as_slice).unwrap_or_default();
            fitted.push(fit_table(&mut self.tables[at.index], at.new, chunks, &lists)?);
        }
        Ok(fitted)
    }

    fn open_table(&mut self, root: &str, path: &TablePath, reserved: &HashSet<String>) -> Opened {
        if let Some(index) = self.tables.iter().position(|t| t.path == *path) {
            return Opened { index, new: false };
        }
        let name = self.table_name(root, path, reserved);
        self.tables.push(Table { path: path.clone(), name, columns: Vec::new() });
        Opened { index: self.tables.len() - 1, new: true }
    }

    /// `root__field__field`: the name of the table that the list is in, and the list's own.
    pub fn table_name(&self, root: &str, path: &TablePath, reserved: &HashSet<String>) -> String {
        let Some((step, above)) = path.split_last() else { return root.to_owned() };
        let above = above.to_vec();
        let parent = match self.table(&above) {
            Some(table) => table.name.clone(),
            None => self.table_name(root, &above, reserved),
        };
        let own = if step.is_empty() { "list".to_owned() } else { names::column_name(step) };
        let taken = |name: &str| reserved.contains(name) || self.tables.iter().any(|t| t.name == name);
        let origin = format!("{path:?}");
        let wanted = names::table_name(format!("{parent}{}{own}", names::SEPARATOR), &origin);
        names::unique(wanted, &origin, taken)
    }
}

struct Opened {
    index: usize,
    new: bool,
}

fn fit_table(table: &mut Table, new: bool, chunks: &[&Chunk], lists: &[TablePath]) -> Result<Fitted> {
    let before = table.columns.clone();
    for chunk in chunks {
        for (at, column) in chunk.columns.iter().enumerate() {
            learn(table, column, at);
        }
    }
    let mut dropped = Vec::new();
    let shadowed = shadowed_columns(table, lists);
    table.columns.retain(|column| {
        let shadow = shadowed.contains(&column.source);
        if shadow && before.iter().any(|b| b.source == column.source) {
            dropped.push(Change::DropColumn { column: column.name.clone() });
        }
        !shadow
    });
    let mut changes = if new { vec![Change::CreateTable] } else { dropped };
    if !new {
        changes.extend(table.columns.iter().filter_map(|column| change_of(column, &before)));
    }
    let schema = schema_of(table);
    let batches = chunks.iter().map(|chunk| batch_of(table, &schema, chunk)).collect::<Result<Vec<_>>>()?;
    Ok(Fitted { table: table.clone(), changes, batches })
}

/// Where a source is among columns; mostly they come in the order in which they came before.
fn position<C>(columns: &[C], source_of: impl Fn(&C) -> &Source, source: &Source, hint: usize) -> Option<usize> {
    if columns.get(hint).is_some_and(|c| source_of(c) == source) {
        return Some(hint);
    }
    columns.iter().position(|c| source_of(c) == source)
}

/// Joins what a chunk shows of a column with what is known of it.
fn learn(table: &mut Table, chunk: &ChunkColumn, hint: usize) {
    if let Some(at) = position(&table.columns, |c| &c.source, &chunk.source, hint) {
        let known = &mut table.columns[at];
        known.observed = known.observed.join(chunk.observed);
        known.declared = chunk.declared.or(known.declared);
        return;
    }
    let wanted = match &chunk.source {
        Source::Field(path) => names::column_name(path),
        Source::Value => names::column_name(&[]),
        Source::Parent(name) => name.clone(),
    };
    let origin = source_text(&chunk.source);
    let name = names::unique(wanted, &origin, |n| table.columns.iter().any(|c| c.name == n));
    table.columns.push(Column {
        source: chunk.source.clone(),
        name,
        observed: chunk.observed,
        declared: chunk.declared,
    });
}

/// Columns that were always null and whose field is an object or a list elsewhere.
fn shadowed_columns(table: &Table, lists: &[TablePath]) -> HashSet<Source> {
    let mut prefixes: HashSet<&[String]> = HashSet::new();
    for column in &table.columns {
        if let Source::Field(path) = &column.source {
            prefixes.extend((1..path.len()).map(|n| &path[..n]));
        }
    }
    for list in lists.iter().filter(|l| l.len() == table.path.len() + 1 && l.starts_with(&table.path)) {
        let step = &list[table.path.len()];
        prefixes.extend((1..=step.len()).map(|n| &step[..n]));
    }
    let others = table.columns.iter().any(|c| matches!(c.source, Source::Field(_)));
    let null = table.columns.iter().filter(|c| c.declared.is_none() && c.observed.is_null());
    null.filter(|c| match &c.source {
        Source::Field(path) => prefixes.contains(path.as_slice()),
        Source::Value => others,
        Source::Parent(_) => false,
    })
    .map(|c| c.source.clone())
    .collect()
}

fn change_of(column: &Column, before: &[Column]) -> Option<Change> {
    let to = column.data_type();
    let Some(old) = before.iter().find(|b| b.source == column.source) else {
        return Some(Change::AddColumn { column: column.name.clone(), to });
    };
    let recast = column.recast_since(old)?;
    Some(Change::Widen { column: column.name.clone(), recast })
}

/// The schema of a table's batches: ids, lineage for child tables, data columns.
pub fn schema_of(table: &Table) -> SchemaRef {
    let id = |name: &str| Field::new(name, DataType::FixedSizeBinary(16), false);
    let mut fields = vec![id("_pintail_id")];
    if !table.is_root() {
        fields.push(id("_pintail_parent_id"));
        fields.push(id("_pintail_root_id"));
        fields.push(Field::new("_pintail_list_index", DataType::Int64, false));
    }
    fields.extend(table.columns.iter().map(|c| Field::new(&c.name, c.data_type().arrow(), true)));
    Arc::new(Schema::new(fields))
}

fn batch_of(table: &Table, schema: &SchemaRef, chunk: &Chunk) -> Result<RecordBatch> {
    let mut arrays: Vec<ArrayRef> = vec![chunk.ids.clone()];
    if let Some(lineage) = &chunk.lineage {
        arrays.extend([lineage.parent_ids.clone(), lineage.root_ids.clone(), lineage.list_index.clone()]);
    }
    for (at, column) in table.columns.iter().enumerate() {
        arrays.push(match position(&chunk.columns, |c| &c.source, &column.source, at) {
            None => new_null_array(&column.data_type().arrow(), chunk.row_count),
            Some(own) => convert(&chunk.columns[own], column)?,
        });
    }
    RecordBatch::try_new(schema.clone(), arrays)
        .map_err(|e| Error::new(Kind::Internal, "decoded rows do not fit their table").source(e))
}

fn convert(own: &ChunkColumn, column: &Column) -> Result<ArrayRef> {
    column.recast_from(own.data_type()).apply(&own.array)
}

/// A source as JSON text, for the catalog's bookkeeping.
pub fn source_text(source: &Source) -> String {
    match source {
        Source::Field(path) => serde_json::json!({ "field": path }).to_string(),
        Source::Value => serde_json::json!({ "value": true }).to_string(),
        Source::Parent(name) => serde_json::json!({ "parent": name }).to_string(),
    }
}

/// Reads what [`source_text`] wrote.
pub fn parse_source(text: &str) -> Option<Source> {
    let value: serde_json::Value = serde_json::from_str(text).ok()?;
    if let Some(path) = value.get("field") {
        return serde_json::from_value(path.clone()).ok().map(Source::Field);
    }
    match value.get("parent") {
        Some(name) => name.as_str().map(|n| Source::Parent(n.to_owned())),
        None => value.get("value").map(|_| Source::Value),
    }
}
