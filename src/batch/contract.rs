//! What the decoder holds data against, and what it keeps out.
//!
//! Data is judged value by value against the tables as the run found them, never against what the run has learnt: so neither
//! the order of records nor that of pages changes what is kept.

use crate::plan::model::{ContractMode, FieldPath, SchemaContract};
use crate::schema::catalog::{Catalog, Source, TablePath};
use crate::schema::names;
use std::collections::HashSet;

/// A resource's contract, as the decoder has to know it.
#[derive(Debug, Clone, Default)]
pub struct Contract {
    /// The record table's name.
    pub table: String,
    /// What becomes of what.
    pub modes: SchemaContract,
    /// Fields that decide which rows stay. A record is not kept without such a value: it is left out with it.
    pub needed: Vec<FieldPath>,
}

/// How data would change a table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Drift {
    /// A list would become a table.
    Table,
    /// A field would become a column.
    Column,
    /// A value would widen its column, or is not of its declared type.
    DataType,
}

impl Drift {
    /// The key of `schema_contract` that is about it.
    pub(super) fn key(self) -> &'static str {
        match self {
            Drift::Table => "tables",
            Drift::Column => "columns",
            Drift::DataType => "data_type",
        }
    }

    /// The rule by which something is kept out.
    pub(super) fn rule(self) -> &'static str {
        match self {
            Drift::Table => "new_table",
            Drift::Column => "new_column",
            Drift::DataType => "data_type",
        }
    }

    pub(super) fn mode(self, modes: SchemaContract) -> ContractMode {
        match self {
            Drift::Table => modes.tables,
            Drift::Column => modes.columns,
            Drift::DataType => modes.data_type,
        }
    }
}

/// How much was kept out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Extent {
    /// A record, with its child rows.
    Record,
    /// A row of a child table, with what is nested in it.
    Row,
    /// A list, so many rows of a child table that is not made.
    List(u64),
    /// A value of a row that was kept.
    Value,
}

impl Extent {
    /// Its name in `_pintail_discarded`.
    pub fn name(self) -> &'static str {
        match self {
            Extent::Record => "record",
            Extent::Row => "row",
            Extent::List(_) => "list",
            Extent::Value => "value",
        }
    }
}

/// Something that a rule kept out of the tables: a row of `_pintail_discarded`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Discarded {
    /// How much of the data it is.
    pub extent: Extent,
    /// The rule.
    pub rule: &'static str,
    /// The table that it would have gone to.
    pub table: String,
    /// The column that it would have gone to; none: it is about no single column.
    pub column: Option<String>,
    /// The value that broke the rule, as JSON.
    pub value: Option<String>,
    /// The record or row that was left out, as JSON.
    pub record: Option<String>,
    /// `_pintail_id` of the record that it was part of, if that was kept.
    pub record_id: Option<u128>,
}

impl Discarded {
    /// What is left out of the rows of a record that is kept: the table or `table.column`, and how many rows or values. None
    /// of a whole record, which is counted by its rule.
    pub fn counted(&self) -> Option<(String, u64)> {
        match self.extent {
            Extent::Record => None,
            Extent::Row => Some((self.table.clone(), 1)),
            Extent::List(rows) => Some((self.table.clone(), rows)),
            Extent::Value => Some((format!("{}.{}", self.table, self.column.as_deref().unwrap_or_default()), 1)),
        }
    }

    /// Memory that it takes, roughly.
    pub fn bytes(&self) -> usize {
        let text = |text: &Option<String>| text.as_ref().map_or(0, String::len);
        size_of::<Self>() + self.table.len() + text(&self.column) + text(&self.value) + text(&self.record)
    }
}

/// The name of a table, or the one that it would get.
pub(super) fn table_name(catalog: &Catalog, root: &str, path: &TablePath) -> String {
    match catalog.table(path) {
        Some(table) => table.name.clone(),
        None => catalog.table_name(root, path, &HashSet::new()),
    }
}

/// The name of a column, or the one that it would get.
pub(super) fn column_name(catalog: &Catalog, table: &TablePath, path: &[String]) -> String {
    let is_own = |source: &Source| match source {
        Source::Field(field) => field == path,
        Source::Value => path.is_empty(),
        Source::Parent(_) => false,
    };
    let known = catalog.table(table).and_then(|table| table.columns.iter().find(|c| is_own(&c.source)));
    known.map_or_else(|| names::column_name(path), |column| column.name.clone())
}

#[cfg(test)]
mod tests;
