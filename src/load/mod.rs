//! Where rows go: the contract of a destination, and what is written beside the rows.
//!
//! # The contract
//!
//! A load is the rows of one resource, the cursors that they justify and the record of the load. `begin` opens it, `write`
//! adds rows that nobody else sees yet, `settle` decides what becomes of them and of the rows that they meet, and `commit`
//! makes rows, cursors, schema changes and record visible as one unit, or not at all: there is no call that stores one
//! without the others. `commit` and `abort` consume the load.
//!
//! * Killed at any instant, the next `open` finds the last commit, whole.
//! * Several loads may be open at once, each for another resource. They commit independently.
//! * A destination is used from one thread.
//! * One that was opened for reading takes no loads, and leaves the warehouse as it is. It need not be there yet.
//! * Rows of a load are visible to nobody before its commit, also not to `parents`.

pub mod bookkeeping;
#[cfg(test)]
pub(crate) mod conformance;
pub mod duckdb;
pub mod keys;
pub mod merge;
pub mod parquet;
pub mod reading;
pub mod values;

use crate::batch::contract::Discarded;
use crate::error::Result;
use crate::plan::model::WriteDisposition;
use crate::schema::catalog::{Catalog, Change, Fitted, Source, Table};
use bookkeeping::RowKind;
use chrono::{DateTime, Utc};
use merge::{MergeSpec, Settled};
use std::collections::HashMap;
use std::path::PathBuf;

/// A row's identity: 128 bits, stored as a UUID.
pub type RowId = u128;

/// What a load is for.
#[derive(Debug, Clone)]
pub struct LoadSpec {
    /// Identifier of the run, the same for all its resources. Sorts by time.
    pub load_id: String,
    /// `_pintail_loaded_at` of its rows.
    pub loaded_at: DateTime<Utc>,
    /// Pipeline name.
    pub pipeline: String,
    /// DuckDB schema or Parquet folder.
    pub dataset: String,
    /// Resource name.
    pub resource: String,
    /// Under which name its tables are kept in [`bookkeeping::COLUMNS`]: the resource's own, or one for all that share them.
    pub tables_of: String,
    /// Other resources that fill the same tables, one after the other.
    pub fellows: Vec<String>,
    /// How rows meet those already there.
    pub write: WriteDisposition,
    /// Whether ids identify records (merge, and replace with a primary key): a row of an id takes the place of the one that
    /// is there, from this load too.
    pub keyed: bool,
    /// The columns of the primary key that ids follow from, if they do.
    pub key: Vec<Source>,
    /// What a merge means.
    pub merge: MergeSpec,
    /// What the file says of columns of the record table, for their comments: column name, description.
    pub descriptions: Vec<(String, String)>,
    /// The tables as they are committed now.
    pub catalog: Catalog,
    /// `--full-refresh`: the resource's tables are dropped first, as part of the load.
    pub fresh: bool,
}

impl LoadSpec {
    /// What our columns of a table of the resource are.
    pub fn row_kind(&self, table: &Table) -> RowKind {
        RowKind::of(table.is_root(), self.merge.rule.keeps_versions())
    }
}

/// An open load. Only `commit` and `abort` end it.
#[derive(Debug)]
pub struct Ticket(pub u64);

/// The partition of the cursor of a child with `parents = "changed"` that tells up to which load its parents were all asked
/// for. Partitions of parents are JSON objects, so none is called that.
pub const PARENTS_ASKED: &str = "parents";

/// What the partitions begin with under which a backfill keeps its progress: for the resource itself, or for one of its
/// partitions, whose name then stands at the end.
pub const BACKFILL: &str = "backfill ";

/// Whether a row of the state is about a partition of the data, and none of our own making.
pub fn is_partition(name: &str) -> bool {
    !name.is_empty() && name != PARENTS_ASKED && !name.starts_with(BACKFILL)
}

/// Whether a row of the state is neither of a resource nor of a partition of its data, but a note such as [`PARENTS_ASKED`].
pub fn is_note(partition: &str) -> bool {
    !partition.is_empty() && !is_partition(partition)
}

/// A cursor of a resource, or of one of its partitions.
#[derive(Debug, Clone, PartialEq)]
pub struct CursorRow {
    /// Resource name.
    pub resource: String,
    /// Which partition: canonical JSON of the parent's fields; empty for the resource itself; or one of our own making,
    /// [`PARENTS_ASKED`] or [`BACKFILL`].
    pub partition: String,
    /// The cursor, as JSON text that `extract::cursor` reads.
    pub value: String,
}

/// The record of a load of one resource, a row of `_pintail_loads`.
#[derive(Debug, Clone, PartialEq)]
pub struct LoadRow {
    /// `completed`, `failed`, `interrupted`, `stopped`, or `running` at a checkpoint before the end.
    pub status: String,
    /// Start of the run.
    pub started_at: DateTime<Utc>,
    /// Time of this commit.
    pub committed_at: DateTime<Utc>,
    /// Requests sent.
    pub requests: u64,
    /// Pages received.
    pub pages: u64,
    /// Records received.
    pub records: u64,
    /// Bytes received, decompressed.
    pub bytes: u64,
    /// Rows loaded by table, in the order of the catalog.
    pub rows: Vec<(String, u64)>,
    /// Records not loaded, by rule.
    pub discarded: Vec<(String, u64)>,
    /// Why it ended.
    pub end: Option<String>,
    /// The error's one line, if it failed.
    pub error: Option<String>,
}

/// Cursors that a person changes, outside of any load.
pub struct StateChange<'a> {
    /// Pipeline name.
    pub pipeline: &'a str,
    /// DuckDB schema or Parquet folder.
    pub dataset: &'a str,
    /// What becomes of each of the pipeline's cursors.
    pub edit: &'a dyn Fn(&CursorRow) -> Result<Edit>,
    /// Cursors that are put in the place of those with their resource and partition, in the order of both.
    pub put: &'a [CursorRow],
    /// Now.
    pub at: DateTime<Utc>,
}

/// What becomes of a cursor.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Edit {
    /// It stays.
    Keep,
    /// It goes.
    Forget,
    /// It gets another value.
    Put(String),
}

/// A schema change with the table it concerns.
#[derive(Debug, Clone, PartialEq)]
pub struct TableChange {
    /// Warehouse table.
    pub table: String,
    /// The change.
    pub change: Change,
}

/// What becomes visible together with the rows.
#[derive(Debug, Clone)]
pub struct Commit {
    /// Cursors, each replacing the one of the same resource and partition.
    pub cursors: Vec<CursorRow>,
    /// Whether the resource's other cursors are forgotten (`--full-refresh`, first commit of the run).
    pub forget_cursors: bool,
    /// Other resources whose cursors are forgotten too: their rows go with the tables that they share.
    pub forget_cursors_of: Vec<String>,
    /// The record of the load; replaces the one of the same load and resource.
    pub record: LoadRow,
    /// What changed, for `_pintail_schema`.
    pub changes: Vec<TableChange>,
    /// The resource's tables after this load.
    pub catalog: Catalog,
}

/// What a warehouse knows of a pipeline.
#[derive(Debug, Clone, Default)]
pub struct Stored {
    /// All cursors of resources; those of partitions are asked for when they are needed.
    pub cursors: Vec<CursorRow>,
    /// Tables by the name under which they are kept: see [`LoadSpec::tables_of`].
    pub catalogs: HashMap<String, Catalog>,
    /// The newest committed load of the pipeline, if there is one.
    pub last_load_id: Option<String>,
    /// Identifies this warehouse: made when it was made, and never changed.
    pub warehouse_id: String,
}

impl Stored {
    /// The catalog whose record table has a name, with the name under which it is kept.
    pub fn catalog_of(&self, table: &str) -> Option<(&String, &Catalog)> {
        let is_of = |catalog: &Catalog| catalog.table(&Vec::new()).is_some_and(|root| root.name == table);
        self.catalogs.iter().find(|(_, catalog)| is_of(catalog))
    }
}

/// Which parents a child asks for.
#[derive(Debug, Clone)]
pub struct ParentQuery {
    /// DuckDB schema or Parquet folder.
    pub dataset: String,
    /// Root table of the parent.
    pub table: String,
    /// Columns to return.
    pub columns: Vec<String>,
    /// Leave out rows of this load: they were seen as they came.
    pub except_load_id: Option<String>,
    /// Go on after this position (of the last page).
    pub after: Option<RowId>,
    /// Rows to return at most.
    pub limit: usize,
    /// Whether they are the first ones by id, in that order. Any others are found without looking at the whole table.
    pub ordered: bool,
}

/// Some parents: for each its id and the JSON value of each column.
pub type ParentPage = Vec<(RowId, Vec<serde_json::Value>)>;

/// A reading query whose rows are partitions.
#[derive(Debug, Clone)]
pub struct ListQuery {
    /// DuckDB schema or Parquet folder; its tables need no qualified name.
    pub dataset: String,
    /// One statement.
    pub sql: String,
    /// Folder that the files it names are relative to.
    pub folder: PathBuf,
}

/// Rows of a query, put aside.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct List {
    /// Which list, for [`Destination::list_page`].
    pub number: usize,
    /// Its columns.
    pub columns: Vec<String>,
}

/// A warehouse. See the module's contract.
pub trait Destination: Send {
    /// Type and place, as people know it: `duckdb:warehouse.duckdb`.
    fn location(&self) -> String;

    /// Readies the bookkeeping tables of a dataset, ends what a killed run left behind, and says what is known of a pipeline.
    fn open(&mut self, pipeline: &str, dataset: &str) -> Result<Stored>;

    /// Says what is known of a pipeline, and changes nothing; `None`: the warehouse has no such dataset.
    fn peek(&mut self, pipeline: &str, dataset: &str) -> Result<Option<Stored>>;

    /// How many committed rows a root table has; of a table with versions, how many are current. None without the table.
    fn row_count(&mut self, dataset: &str, table: &str) -> Result<u64>;

    /// Cursors of partitions, by partition; those without one are left out.
    fn cursors(
        &mut self,
        pipeline: &str,
        dataset: &str,
        resource: &str,
        partitions: &[String],
    ) -> Result<HashMap<String, String>>;

    /// Opens a load.
    fn begin(&mut self, spec: LoadSpec) -> Result<Ticket>;

    /// How many committed rows of a root table have each of these ids, as the load sees them: without its own.
    fn stored(&mut self, ticket: &Ticket, table: &str, ids: &[RowId]) -> Result<HashMap<RowId, u64>>;

    /// The values of columns in the committed rows of a root table that have one of these ids. Of several rows of an id one
    /// counts. Ids without a row are left out.
    fn values(
        &mut self,
        ticket: &Ticket,
        table: &str,
        ids: &[RowId],
        columns: &[String],
    ) -> Result<HashMap<RowId, Vec<serde_json::Value>>>;

    /// Adds rows of the resource's tables, root table first. If the load is keyed, rows of the same id that this load wrote
    /// before make way together with their child rows; within one call ids of root rows are unique. Returns how many rows
    /// each table took.
    fn write(&mut self, ticket: &Ticket, fitted: Vec<Fitted>) -> Result<Vec<u64>>;

    /// Keeps what was left out of the rows, to become visible with them. `at` is now.
    fn keep_discarded(&mut self, ticket: &Ticket, discarded: &[Discarded], at: DateTime<Utc>) -> Result<()>;

    /// Ends the writing, and decides by the load's [`MergeSpec`] which rows stay, those of earlier loads and its own, each
    /// with its child rows. `catalog`: the tables after this load. Says what the load comes to, as it is in the tables.
    fn settle(&mut self, ticket: &Ticket, catalog: &Catalog) -> Result<Settled>;

    /// Makes everything visible as one unit. A load that was not settled is settled first.
    fn commit(&mut self, ticket: Ticket, commit: Commit) -> Result<()>;

    /// Forgets the load.
    fn abort(&mut self, ticket: Ticket) -> Result<()>;

    /// A page of known parents.
    fn parents(&mut self, query: &ParentQuery) -> Result<ParentPage>;

    /// Runs a reading query over what is committed, and puts its rows aside until the end of the run.
    ///
    /// # Errors
    /// [`crate::error::Kind::Config`]: the query does something other than reading, or is wrong.
    fn open_list(&mut self, query: &ListQuery) -> Result<List>;

    /// Rows of a list, from the one at the position `after` on, at most `limit` of them.
    fn list_page(&mut self, list: usize, after: u64, limit: u64) -> Result<Vec<Vec<serde_json::Value>>>;

    /// Changes cursors of a pipeline whose dataset is open: all of them or, if something fails, none. No load is open. Says how
    /// many rows were changed, put or removed.
    fn change_state(&mut self, change: &StateChange<'_>) -> Result<u64>;

    /// Flushes and closes. A destination that was opened for reading leaves everything as it is.
    fn close(self: Box<Self>) -> Result<()>;
}
