//! What a resource's tables look like, and how decoded chunks are made to fit them.
//!
//! The catalog of a resource is the fold of its schema changes. [`Catalog::fit`] is pure: it says which changes a set of
//! chunks asks for, and gives the batches in the table's column order and types.

use super::types::{ColumnType, Observed};
use super::widen::Recast;
use arrow::record_batch::RecordBatch;
use std::fmt;

/// Where a column's values come from.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Source {
    /// A field, by the keys that lead to it from the record (or from the list's element).
    Field(Vec<String>),
    /// The element itself, in a list of scalars.
    Value,
    /// A column that the request brought (`include_from_parent`, `include_from_partition`, `add_columns`): its name.
    Parent(String),
}

/// Which table of a resource: the fields whose lists it holds, from the record down. Empty: the records themselves.
/// Each step is the path of keys from one table's object to the list.
pub type TablePath = Vec<Vec<String>>;

/// A column of a warehouse table.
#[derive(Debug, Clone, PartialEq)]
pub struct Column {
    /// Where its values come from.
    pub source: Source,
    /// Its name in the warehouse.
    pub name: String,
    /// All that has been seen of its values; its type follows from that.
    pub observed: Observed,
    /// Its type, when the file declares one: it then never widens.
    pub declared: Option<ColumnType>,
}

impl Column {
    /// Its type in the warehouse.
    pub fn data_type(&self) -> ColumnType {
        self.declared.unwrap_or_else(|| self.observed.column_type())
    }

    /// How values of a type become values of this column.
    pub fn recast_from(&self, from: ColumnType) -> Recast {
        let (to, is_ours) = (self.data_type(), self.declared.is_none());
        // JSON that the file declares is as it came.
        let requotes = to == ColumnType::Json && (is_ours || from != ColumnType::Json);
        Recast {
            from,
            to,
            text: self.observed.text_form(),
            canonical: is_ours && self.observed.needs_canonical_text(),
            quoted: requotes && self.observed.quotes_scalars(),
        }
    }

    /// What has to be done to the values of the column as it was before; none: nothing.
    pub fn recast_since(&self, before: &Column) -> Option<Recast> {
        let old = &before.observed;
        let recast = self.recast_from(before.data_type());
        let has_texts = matches!(recast.from, ColumnType::Varchar | ColumnType::Json) && !old.is_null();
        let canonical = recast.canonical && !old.needs_canonical_text() && has_texts;
        let requoted = recast.from == recast.to && recast.quoted && !old.quotes_scalars();
        let recast = Recast { canonical, ..recast };
        (recast.from != recast.to || canonical || requoted).then_some(recast)
    }
}

/// A table of a resource.
#[derive(Debug, Clone, PartialEq)]
pub struct Table {
    /// Which list it holds.
    pub path: TablePath,
    /// Its name in the warehouse.
    pub name: String,
    /// Data columns, in the order in which they appeared.
    pub columns: Vec<Column>,
}

impl Table {
    /// Whether it holds the records themselves.
    pub fn is_root(&self) -> bool {
        self.path.is_empty()
    }
}

/// A change of the warehouse's schema.
#[derive(Debug, Clone, PartialEq)]
pub enum Change {
    /// A table that was not there.
    CreateTable,
    /// A column that was not there.
    AddColumn {
        /// Column name.
        column: String,
        /// Its type.
        to: ColumnType,
    },
    /// A column that was always null, and whose field turned out to be an object or a list: its values have columns or a
    /// table of their own.
    DropColumn {
        /// Column name.
        column: String,
    },
    /// A column whose type no longer holds all values.
    Widen {
        /// Column name.
        column: String,
        /// How the values that are there are converted: [`Recast::apply`].
        recast: Recast,
    },
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Change::CreateTable => f.write_str("new table"),
            Change::AddColumn { column, to } => write!(f, "new column {column} {to}"),
            Change::DropColumn { column } => write!(f, "column {column}, always null, gave way to its parts"),
            Change::Widen { column, recast } if recast.from == recast.to => {
                write!(f, "column {column}: its values made uniform")
            }
            Change::Widen { column, recast } => write!(f, "column {column} from {} to {}", recast.from, recast.to),
        }
    }
}

/// Rows ready for one table, with what the table has to become first.
#[derive(Debug, Clone)]
pub struct Fitted {
    /// The table as it is after `changes`.
    pub table: Table,
    /// Changes to make before the rows go in, in order. `CreateTable` creates it with all of `table`'s columns, and no
    /// `AddColumn` follows it.
    pub changes: Vec<Change>,
    /// The rows. Columns: `_pintail_id` (FixedSizeBinary(16)), for child tables then `_pintail_parent_id`,
    /// `_pintail_root_id` (FixedSizeBinary(16)) and `_pintail_list_index` (Int64), then `table.columns` in order, each with
    /// the Arrow type of its column type (see [`ColumnType::arrow`]). All batches have the same schema.
    pub batches: Vec<RecordBatch>,
}

/// The tables of one resource. The first is the root table, once there is one.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Catalog {
    /// Parents before children.
    pub tables: Vec<Table>,
}
