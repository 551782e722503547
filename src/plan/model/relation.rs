//! What a resource runs for: rows of a parent, rows of lists.

use super::FieldPath;
use crate::plan::template::{Template, descend};
use serde_json::Value;
use std::path::PathBuf;

/// The resources whose rows this one runs for.
#[derive(Debug, Clone, PartialEq)]
pub struct Parent {
    /// Their names, as they are written: mostly one. The resource itself may be among several.
    pub resources: Vec<String>,
    /// Fields of the parents that the request uses. They identify a row.
    pub fields: Vec<ParentField>,
    /// Fields that only `add_columns` and filters use. They may be absent.
    pub further_fields: Vec<ParentField>,
    /// Columns added to each row.
    pub include: Vec<ParentColumn>,
    /// What must hold for a parent to be asked for; none: all are.
    pub filter: Option<Template>,
    /// Of a resource that is its own parent: how far down its rows may be.
    pub max_depth: u32,
    /// Which parents.
    pub scope: ParentScope,
    /// What a null or missing field of `fields` means.
    pub on_missing_field: OnMissingField,
    /// Several parents in one request.
    pub batch: Option<ParentBatch>,
}

/// A field of the parent as expressions name it, and where the parent's rows have it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ParentField {
    /// What follows `parent.` in an expression.
    pub name: FieldPath,
    /// Where each parent's rows have it.
    pub places: Vec<FieldPlace>,
    /// Whether there is no request without it: some expression does not say what its absence means.
    pub required: bool,
}

/// Where the rows of a parent have a value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FieldPlace {
    /// The field: the same as the name, the column in which they carry a field of their own parent, or one that holds the
    /// value as JSON text.
    pub field: FieldPath,
    /// Where in that JSON the value is; empty: the field itself is meant.
    pub within: Vec<String>,
}

impl FieldPlace {
    /// Its value, from that of the row's field. What is not there is null.
    pub fn value(&self, of_row: &Value) -> Value {
        if self.within.is_empty() {
            return of_row.clone();
        }
        let json: Option<Value> = of_row.as_str().and_then(|text| serde_json::from_str(text).ok());
        json.and_then(|json| descend(&json, &self.within)).unwrap_or_default()
    }

    /// The place as one path.
    pub fn path(&self) -> FieldPath {
        FieldPath(self.field.0.iter().chain(&self.within).cloned().collect())
    }
}

/// A field of the parent that is stored with each row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ParentColumn {
    /// The column's name.
    pub column: String,
    /// The field of each parent's rows.
    pub fields: Vec<FieldPath>,
}

impl Parent {
    /// Their names, for messages.
    pub fn names(&self) -> String {
        self.resources.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
    }
}

impl ParentField {
    /// The name by which it stands in the identity of a row. One parent's rows are known by their own fields, several
    /// parents' by what expressions call them.
    pub fn identity_name(&self) -> String {
        match self.places.as_slice() {
            [place, rest @ ..] if rest.iter().all(|other| other == place) => place.path().to_string(),
            _ => self.name.to_string(),
        }
    }
}

/// Several parents in one request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ParentBatch {
    /// Parents at most.
    pub size: usize,
    /// What stands between their values in a text.
    pub separator: String,
}

/// Lists for whose rows a resource runs: for each combination.
#[derive(Debug, Clone, PartialEq)]
pub struct Partitions {
    /// The lists, as they are written.
    pub lists: Vec<PartitionList>,
    /// Columns that the request uses. They identify a combination.
    pub columns: Vec<String>,
    /// Columns that only `add_columns` uses. They may be absent.
    pub further_columns: Vec<String>,
    /// Columns added to each row: column name, column of a list.
    pub include: Vec<(String, String)>,
}

impl Partitions {
    /// All columns that the lists have to give.
    pub fn wanted(&self) -> Vec<String> {
        let mut wanted = self.columns.clone();
        for column in self.further_columns.iter().chain(self.include.iter().map(|(_, column)| column)) {
            if !wanted.contains(column) {
                wanted.push(column.clone());
            }
        }
        wanted
    }
}

/// One list of partitions.
#[derive(Debug, Clone, PartialEq)]
pub struct PartitionList {
    /// Its rows.
    pub rows: PartitionRows,
    /// Name of the column where rows are single values.
    pub name: String,
    /// Whether the file gives that name.
    pub is_named: bool,
    /// What a null or empty value of a column that the request uses means.
    pub on_missing: OnMissingField,
    /// Where it is written, as `FILE:LINE:COLUMN`.
    pub place: String,
}

/// Where the rows of a list are.
#[derive(Debug, Clone, PartialEq)]
pub enum PartitionRows {
    /// In the pipeline file; of a single value the one column has the list's name.
    Values(Vec<serde_json::Map<String, serde_json::Value>>),
    /// In a file.
    File(PathBuf),
    /// In the answer to a query.
    Sql {
        /// The query.
        query: String,
        /// Folder that the files it names are relative to.
        folder: PathBuf,
    },
}

/// Which parents a child runs for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ParentScope {
    /// Every known one, from the warehouse and this run.
    All,
    /// Those loaded since the child last came through without a failure.
    Changed,
}

/// What it means that a row of a parent or of a list lacks what the request needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnMissingField {
    /// An error that names the row.
    Raise,
    /// The row is skipped, counted and reported.
    Skip,
}
