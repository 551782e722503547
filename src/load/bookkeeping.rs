//! The tables that a warehouse keeps beside the rows: what was loaded, where each resource stopped, how the schema came about.
//!
//! They are defined here once, as names, types and comments, and filled as Arrow batches, so that every destination keeps
//! the same tables: DuckDB in the dataset's schema, Parquet as files of the dataset's folder.

mod rows;

pub use rows::{
    catalogs, column_rows, count, cursors, discarded_rows, killed_loads, load_rows, meta_rows, schema_rows, state_rows,
    text,
};

use crate::error::{Error, Kind, Result};
use crate::schema::types::ColumnType::{self, BigInt, Json, TimestampTz, Varchar};
use arrow::datatypes::{Field, Schema, SchemaRef};
use std::sync::Arc;

/// Version of the layout of these tables. A warehouse of a newer one is refused.
pub const FORMAT_VERSION: u32 = 1;

/// Key of [`META`]'s row that holds the format version.
pub const FORMAT_VERSION_KEY: &str = "format_version";
/// Key of [`META`]'s row that holds the warehouse's identifier.
pub const WAREHOUSE_ID_KEY: &str = "warehouse_id";

/// A column that is ours: name, type, what its `COMMENT` says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OwnColumn {
    /// Column name.
    pub name: &'static str,
    /// Its type.
    pub data_type: ColumnType,
    /// What it holds.
    pub comment: &'static str,
}

/// A bookkeeping table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OwnTable {
    /// Table name.
    pub name: &'static str,
    /// What it holds.
    pub comment: &'static str,
    /// Columns that identify a row; a new row takes the place of the one with the same key. Empty: rows are only added.
    pub key: &'static [&'static str],
    /// Its columns.
    pub columns: &'static [OwnColumn],
}

const fn column(name: &'static str, data_type: ColumnType, comment: &'static str) -> OwnColumn {
    OwnColumn { name, data_type, comment }
}

/// One row per load and resource.
pub const LOADS: OwnTable = OwnTable {
    name: "_pintail_loads",
    comment: "Pintail: one row per load and resource",
    key: &["load_id", "pipeline", "resource"],
    columns: &[
        column("load_id", Varchar, "The run; rows carry it as _pintail_load_id"),
        column("pipeline", Varchar, "Name of the pipeline"),
        column("resource", Varchar, "Name of the resource"),
        column("status", Varchar, "completed, failed, interrupted, stopped by a budget, or running at a checkpoint"),
        column("started_at", TimestampTz, "Start of the run"),
        column("committed_at", TimestampTz, "Last commit of this resource in this run"),
        column("requests", BigInt, "Requests sent"),
        column("pages", BigInt, "Pages received"),
        column("records", BigInt, "Records received"),
        column("bytes", BigInt, "Bytes received, decompressed"),
        column("rows", Json, "Rows loaded, by table"),
        column("discarded", Json, "Records not loaded, by the rule that kept them out"),
        column("end_reason", Varchar, "Why paging ended"),
        column("error", Varchar, "The error, if it failed"),
        column("pintail_version", Varchar, "Version of Pintail that wrote this row"),
    ],
};

/// Status of the record of a load that goes on after this commit.
pub const RUNNING: &str = "running";
/// What becomes of that status when the run was killed.
pub const INTERRUPTED: &str = "interrupted";
/// The error of such a load.
pub const KILLED: &str = "the run ended without saying why";

/// Cursors, one row per resource and partition.
pub const STATE: OwnTable = OwnTable {
    name: "_pintail_state",
    comment: "Pintail: where each resource, or each of its partitions, stopped; the next run continues there",
    key: &["pipeline", "resource", "partition"],
    columns: &[
        column("pipeline", Varchar, "Name of the pipeline"),
        column("resource", Varchar, "Name of the resource"),
        column("partition", Varchar, "Values of the parent or partition as JSON; empty for the resource itself"),
        column("cursor", Varchar, "Cursor, as JSON"),
        column("load_id", Varchar, "The load that moved it; null: a person did, with `pintail state`"),
        column("updated_at", TimestampTz, "When it was moved"),
    ],
};

/// Every schema change.
pub const SCHEMA: OwnTable = OwnTable {
    name: "_pintail_schema",
    comment: "Pintail: every change of a table's schema, in order",
    key: &[],
    columns: &[
        column("load_id", Varchar, "The load that made the change"),
        column("changed_at", TimestampTz, "When it was committed"),
        column("pipeline", Varchar, "Name of the pipeline"),
        column("resource", Varchar, "Name of the resource"),
        column("table_name", Varchar, "The table"),
        column("change", Varchar, "create_table, add_column, drop_column or widen"),
        column("column_name", Varchar, "The column; null for a new table"),
        column("old_type", Varchar, "Type before; null if there was none"),
        column("new_type", Varchar, "Type after; null for a new table or a dropped column"),
    ],
};

/// What was left out of the tables.
pub const DISCARDED: OwnTable = OwnTable {
    name: "_pintail_discarded",
    comment: "Pintail: records, child rows and values that a schema contract or a rule kept out of the tables",
    key: &[],
    columns: &[
        column("load_id", Varchar, "The load that left it out"),
        column("discarded_at", TimestampTz, "When"),
        column("pipeline", Varchar, "Name of the pipeline"),
        column("resource", Varchar, "Name of the resource"),
        column("table_name", Varchar, "The table that it would have gone to"),
        column("column_name", Varchar, "The column that it would have gone to; null if it is about no single column"),
        column("rule", Varchar, "new_table, new_column, data_type or cursor_missing"),
        column("extent", Varchar, "record, row (of a child table), list, or value: how much was left out"),
        column("value", Json, "The value that broke the rule"),
        column("record", Json, "The record or row that was left out; null if only the value was"),
        column("record_id", Varchar, "_pintail_id of the record that it was part of, if that was kept"),
    ],
};

/// The columns of every table as they are now: what a next run needs to continue.
pub const COLUMNS: OwnTable = OwnTable {
    name: "_pintail_columns",
    comment: "Pintail: the columns of every table, where their values come from and what was seen of them",
    key: &["pipeline", "resource"],
    columns: &[
        column("pipeline", Varchar, "Name of the pipeline"),
        column("resource", Varchar, "Name of the resource, or of the table where several resources share it"),
        column("table_ordinal", BigInt, "Position of the table in the resource, from 1; parents before children"),
        column("table_path", Json, "The lists that lead to the table, from the record down, each as a path of keys"),
        column("table_name", Varchar, "The table"),
        column(
            "ordinal",
            BigInt,
            "Position of the column in order of appearance, from 1; 0 for a table without columns",
        ),
        column("column_name", Varchar, "The column; null for a table without columns"),
        column("source", Json, "The field it comes from, as a path of keys"),
        column("observed", Varchar, "All that was seen of its values; its type follows from that"),
        column("declared_type", Varchar, "Its type, if the pipeline file declares one"),
    ],
};

/// What identifies the warehouse.
pub const META: OwnTable = OwnTable {
    name: "_pintail_meta",
    comment: "Pintail: identity of this warehouse and version of its bookkeeping tables",
    key: &["key"],
    columns: &[column("key", Varchar, "format_version or warehouse_id"), column("value", Varchar, "Its value")],
};

/// All bookkeeping tables.
pub const TABLES: [&OwnTable; 6] = [&META, &LOADS, &STATE, &SCHEMA, &COLUMNS, &DISCARDED];

/// `_pintail_id`
pub const ID: &str = "_pintail_id";
/// `_pintail_parent_id`
pub const PARENT_ID: &str = "_pintail_parent_id";
/// `_pintail_root_id`
pub const ROOT_ID: &str = "_pintail_root_id";
/// `_pintail_list_index`
pub const LIST_INDEX: &str = "_pintail_list_index";
/// `_pintail_load_id`
pub const LOAD_ID: &str = "_pintail_load_id";
/// `_pintail_loaded_at`
pub const LOADED_AT: &str = "_pintail_loaded_at";

/// `_pintail_valid_from`
pub const VALID_FROM: &str = "_pintail_valid_from";
/// `_pintail_valid_to`
pub const VALID_TO: &str = "_pintail_valid_to";
/// `_pintail_content`
pub const CONTENT: &str = "_pintail_content";

/// What a row of a data table is; our columns depend on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RowKind {
    /// A record.
    Record,
    /// A version of a record (`scd2`).
    Version,
    /// An element of a list.
    Element,
}

impl RowKind {
    /// The kind of a table's rows. `versions`: whether the resource keeps versions of its records.
    pub fn of(root: bool, versions: bool) -> Self {
        match (root, versions) {
            (false, _) => RowKind::Element,
            (true, false) => RowKind::Record,
            (true, true) => RowKind::Version,
        }
    }
}

/// What our columns of a data table hold, and which rows have them.
pub const ROW_COLUMNS: [(&str, &str, &str, &[RowKind]); 9] = {
    use RowKind::{Element, Record, Version};
    const TIME: &str = "TIMESTAMP WITH TIME ZONE";
    [
        (
            ID,
            "UUID",
            "Identifies the row; follows from the primary key where there is one",
            &[Record, Version, Element],
        ),
        (PARENT_ID, "UUID", "_pintail_id of the row that this row was nested in", &[Element]),
        (ROOT_ID, "UUID", "_pintail_id of the row of the resource's own table", &[Element]),
        (LIST_INDEX, "BIGINT", "Position in the list, from 0", &[Element]),
        (VALID_FROM, TIME, "Start of the load that brought this version of the record", &[Version]),
        (
            VALID_TO,
            TIME,
            "Start of the load that brought the next version, or no longer the record; null: current",
            &[Version],
        ),
        (CONTENT, "UUID", "Hash of what the record holds: the same for the same content", &[Version]),
        (LOAD_ID, "VARCHAR", "The load that brought the row, see _pintail_loads", &[Record, Version, Element]),
        (LOADED_AT, TIME, "When that load started", &[Record, Version, Element]),
    ]
};

/// Our columns of a data table, in order: name, DuckDB type, comment.
pub fn row_columns(kind: RowKind) -> impl Iterator<Item = (&'static str, &'static str, &'static str)> {
    let of_kind = ROW_COLUMNS.into_iter().filter(move |(.., kinds)| kinds.contains(&kind));
    of_kind.map(|(name, data_type, comment, _)| (name, data_type, comment))
}

impl OwnTable {
    /// Its columns as an Arrow schema. JSON travels as text.
    pub fn arrow_schema(&self) -> SchemaRef {
        let field = |c: &OwnColumn| Field::new(c.name, c.data_type.arrow(), true);
        Arc::new(Schema::new(self.columns.iter().map(field).collect::<Vec<_>>()))
    }

    /// Column names, in order.
    pub fn column_names(&self) -> Vec<&'static str> {
        self.columns.iter().map(|c| c.name).collect()
    }
}

/// An identifier for a new warehouse: 128 random bits, in hexadecimal.
pub fn new_warehouse_id() -> String {
    format!("{:032x}", rand::random::<u128>())
}

/// Says whether this version of Pintail may touch a warehouse.
///
/// # Errors
/// The warehouse was written by a newer version.
pub fn check_format_version(found: &str) -> Result<()> {
    match found.parse::<u32>() {
        Ok(version) if version <= FORMAT_VERSION => Ok(()),
        _ => Err(Error::new(Kind::Destination, "the warehouse was written by a newer version of Pintail")
            .with("its format", found)
            .with("this version reads", FORMAT_VERSION)
            .hint("install the newer version; nothing was changed")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_newer_format_is_refused() {
        for (found, accepted) in [("1", true), ("0", true), ("2", false), ("x", false)] {
            assert_eq!(check_format_version(found).is_ok(), accepted, "{found}");
        }
    }
}
