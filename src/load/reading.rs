//! A warehouse as a reader sees it: what is committed, asked for without changing anything and without a run's lock.

mod tables;

pub use tables::{SchemaChange, TableFacts};

use super::bookkeeping::{self as book, LOADS, META, STATE, WAREHOUSE_ID_KEY, count, text};
use super::duckdb::sql;
use super::duckdb::{self, session::Session};
use super::{CursorRow, parquet};
use crate::error::{Error, Kind, Result};
use arrow::array::RecordBatch;
use chrono::{DateTime, Utc};
use std::path::Path;
use std::time::Duration;

/// How often a query is tried over a Parquet folder: a version may be exchanged between the listing of its files and their
/// opening.
const TRIES: u32 = 4;
const PAUSE: Duration = Duration::from_millis(60);

/// A dataset of a warehouse, open for reading.
pub struct Reader {
    session: Session,
    /// What DuckDB calls the database.
    database: String,
    dataset: String,
    /// How often a query is tried.
    tries: u32,
}

/// A cursor as it is stored.
#[derive(Debug, Clone, PartialEq)]
pub struct StateRow {
    /// Whose cursor, and what it is.
    pub cursor: CursorRow,
    /// The load that moved it; none: a person did.
    pub load_id: Option<String>,
    /// When it was moved.
    pub updated_at: DateTime<Utc>,
}

/// What one load of one resource came to, as `_pintail_loads` has it.
#[derive(Debug, Clone, PartialEq)]
pub struct LoadEntry {
    /// The run.
    pub load_id: String,
    /// Resource name.
    pub resource: String,
    /// `completed`, `failed`, `interrupted`, `running`, or a word of a later version.
    pub status: String,
    /// Start of the run.
    pub started_at: DateTime<Utc>,
    /// Last commit of the resource.
    pub committed_at: DateTime<Utc>,
    /// Requests sent.
    pub requests: u64,
    /// Records received.
    pub records: u64,
    /// Bytes received, decompressed.
    pub bytes: u64,
    /// Rows loaded, by table.
    pub rows: Vec<(String, u64)>,
    /// Records not loaded, by rule.
    pub discarded: Vec<(String, u64)>,
    /// Why paging ended.
    pub end: Option<String>,
    /// The error, if it failed.
    pub error: Option<String>,
}

/// When a resource was last loaded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LastLoad {
    /// Resource name.
    pub resource: String,
    /// Last load that came to its end.
    pub completed_at: Option<DateTime<Utc>>,
    /// Last load that brought rows.
    pub rows_at: Option<DateTime<Utc>>,
}

impl Reader {
    /// Opens a DuckDB file; `None` where there is no such file, or no such dataset in it. Blocks for up to `lock_wait` while
    /// another process writes to it.
    ///
    /// # Errors
    /// [`Kind::Locked`] when that takes longer; [`Kind::Destination`] when the file is none that this version reads.
    pub fn duckdb(path: &Path, lock_wait: Duration, dataset: &str) -> Result<Option<Reader>> {
        let settings = duckdb::Settings { lock_wait, ..duckdb::Settings::new(path) };
        let Some((session, database)) = duckdb::reading(&settings)? else { return Ok(None) };
        Reader { session, database, dataset: dataset.to_owned(), tries: 1 }.if_it_is_one()
    }

    /// Opens a Parquet folder; `None` where there is no such folder, or no such dataset in it.
    ///
    /// # Errors
    /// The folder can't be read.
    pub fn parquet(folder: &Path, dataset: &str) -> Result<Option<Reader>> {
        let Some(session) = parquet::reading(folder)? else { return Ok(None) };
        let database = "memory".to_owned();
        Reader { session, database, dataset: dataset.to_owned(), tries: TRIES }.if_it_is_one()
    }

    /// The reader, if the dataset has the bookkeeping tables, and a format that is known.
    fn if_it_is_one(self) -> Result<Option<Reader>> {
        if !self.table_names()?.iter().any(|name| name == META.name) {
            return Ok(None);
        }
        book::check_format_version(&self.meta(book::FORMAT_VERSION_KEY)?)?;
        Ok(Some(self))
    }

    /// The tables of the dataset.
    fn table_names(&self) -> Result<Vec<String>> {
        let sql = format!(
            "SELECT table_name FROM information_schema.tables WHERE table_catalog = {} AND table_schema = {}",
            sql::literal(&self.database),
            sql::literal(&self.dataset),
        );
        self.rows(&sql, |batch, row| required(batch, "table_name", row))
    }

    fn query(&self, sql: &str) -> Result<Vec<RecordBatch>> {
        let mut tried = 1;
        loop {
            match self.session.query(sql) {
                Err(_) if tried < self.tries => {
                    tried += 1;
                    std::thread::sleep(PAUSE);
                }
                done => return done,
            }
        }
    }

    /// Rows of a query, read one by one.
    fn rows<T>(&self, sql: &str, read: impl Fn(&RecordBatch, usize) -> Result<T>) -> Result<Vec<T>> {
        let mut rows = Vec::new();
        for batch in &self.query(sql)? {
            for row in 0..batch.num_rows() {
                rows.push(read(batch, row)?);
            }
        }
        Ok(rows)
    }

    fn table(&self, name: &str) -> String {
        format!("{}.{}.{}", sql::name(&self.database), sql::name(&self.dataset), sql::name(name))
    }

    fn meta(&self, key: &str) -> Result<String> {
        let sql = format!("SELECT value FROM {} WHERE key = {}", self.table(META.name), sql::literal(key));
        let values = self.rows(&sql, |batch, row| Ok(text(batch, "value", row)?.unwrap_or_default().to_owned()))?;
        Ok(values.into_iter().next().unwrap_or_default())
    }

    /// Identifies the warehouse.
    ///
    /// # Errors
    /// The warehouse can't be read; so with every method here.
    pub fn warehouse_id(&self) -> Result<String> {
        self.meta(WAREHOUSE_ID_KEY)
    }

    /// The newest load of a pipeline.
    ///
    /// # Errors
    /// The warehouse can't be read.
    pub fn last_load_id(&self, pipeline: &str) -> Result<Option<String>> {
        let sql = format!(
            "SELECT max(load_id) AS load_id FROM {} WHERE pipeline = {}",
            self.table(LOADS.name),
            sql::literal(pipeline)
        );
        let ids = self.rows(&sql, |batch, row| Ok(text(batch, "load_id", row)?.map(str::to_owned)))?;
        Ok(ids.into_iter().next().flatten())
    }

    /// The cursors of a pipeline's resources, without those of partitions.
    ///
    /// # Errors
    /// The warehouse can't be read.
    pub fn cursors(&self, pipeline: &str) -> Result<Vec<StateRow>> {
        self.state(pipeline, "\"partition\" = ''", "")
    }

    /// How many partitions with cursors each resource has.
    ///
    /// # Errors
    /// The warehouse can't be read.
    pub fn partition_counts(&self, pipeline: &str) -> Result<Vec<(String, u64)>> {
        let sql = format!(
            "SELECT resource, count(*) AS partitions FROM {} WHERE pipeline = {} AND starts_with(\"partition\", '{{') \
             GROUP BY resource ORDER BY resource",
            self.table(STATE.name),
            sql::literal(pipeline),
        );
        self.rows(&sql, |batch, row| Ok((required(batch, "resource", row)?, whole(batch, "partitions", row)?)))
    }

    /// Cursors of a resource's partitions in the order of their names.
    ///
    /// # Errors
    /// The warehouse can't be read.
    pub fn partitions(&self, pipeline: &str, resource: &str, offset: u64, limit: u64) -> Result<Vec<StateRow>> {
        let condition = format!("resource = {} AND starts_with(\"partition\", '{{')", sql::literal(resource));
        self.state(pipeline, &condition, &format!(" LIMIT {limit} OFFSET {offset}"))
    }

    /// What is noted of a resource beside its cursors, see [`super::is_note`].
    ///
    /// # Errors
    /// The warehouse can't be read.
    pub fn notes(&self, pipeline: &str, resource: &str) -> Result<Vec<StateRow>> {
        let resource = sql::literal(resource);
        let condition =
            format!("resource = {resource} AND \"partition\" <> '' AND NOT starts_with(\"partition\", '{{')");
        self.state(pipeline, &condition, "")
    }

    /// The cursor of one partition; of the resource itself where the name is empty.
    ///
    /// # Errors
    /// The warehouse can't be read.
    pub fn cursor(&self, pipeline: &str, resource: &str, partition: &str) -> Result<Option<StateRow>> {
        let condition =
            format!("resource = {} AND \"partition\" = {}", sql::literal(resource), sql::literal(partition));
        Ok(self.state(pipeline, &condition, "")?.into_iter().next())
    }

    /// All cursors behind one of them, in the order of resource and partition, at most `limit`.
    ///
    /// # Errors
    /// The warehouse can't be read.
    pub fn state_after(&self, pipeline: &str, after: Option<&StateRow>, limit: u64) -> Result<Vec<StateRow>> {
        let condition = after.map_or_else(
            || "true".to_owned(),
            |row| {
                let (resource, partition) = (sql::literal(&row.cursor.resource), sql::literal(&row.cursor.partition));
                format!("(resource, \"partition\") > ({resource}, {partition})")
            },
        );
        self.state(pipeline, &condition, &format!(" LIMIT {limit}"))
    }

    fn state(&self, pipeline: &str, condition: &str, page: &str) -> Result<Vec<StateRow>> {
        let sql = format!(
            "SELECT resource, \"partition\", cursor, load_id, epoch_us(updated_at) AS updated_at FROM {} \
             WHERE pipeline = {} AND {condition} ORDER BY resource, \"partition\"{page}",
            self.table(STATE.name),
            sql::literal(pipeline),
        );
        self.rows(&sql, |batch, row| {
            Ok(StateRow {
                cursor: CursorRow {
                    resource: required(batch, "resource", row)?,
                    partition: required(batch, "partition", row)?,
                    value: required(batch, "cursor", row)?,
                },
                load_id: text(batch, "load_id", row)?.map(str::to_owned),
                updated_at: time(batch, "updated_at", row)?.unwrap_or_default(),
            })
        })
    }

    /// What the last runs of a pipeline came to, newest first; `runs`: how many at most.
    ///
    /// # Errors
    /// The warehouse can't be read.
    pub fn loads(&self, pipeline: &str, runs: u64) -> Result<Vec<LoadEntry>> {
        let (loads, name) = (self.table(LOADS.name), sql::literal(pipeline));
        let sql = format!(
            "SELECT load_id, resource, status, epoch_us(started_at) AS started_at, epoch_us(committed_at) AS committed_at, \
             requests, records, bytes, CAST(rows AS VARCHAR) AS rows, CAST(discarded AS VARCHAR) AS discarded, end_reason, error \
             FROM {loads} WHERE pipeline = {name} AND load_id IN \
             (SELECT DISTINCT load_id FROM {loads} WHERE pipeline = {name} ORDER BY load_id DESC LIMIT {runs}) \
             ORDER BY load_id DESC, committed_at, resource"
        );
        self.rows(&sql, load_entry)
    }

    /// When each resource of a pipeline was last loaded.
    ///
    /// # Errors
    /// The warehouse can't be read.
    pub fn last_loads(&self, pipeline: &str) -> Result<Vec<LastLoad>> {
        let sql = format!(
            "SELECT resource, epoch_us(max(committed_at) FILTER (status = 'completed')) AS completed_at, \
             epoch_us(max(committed_at) FILTER (CAST(rows AS VARCHAR) NOT IN ('', '{{}}'))) AS rows_at \
             FROM {} WHERE pipeline = {} GROUP BY resource ORDER BY resource",
            self.table(LOADS.name),
            sql::literal(pipeline),
        );
        self.rows(&sql, |batch, row| {
            Ok(LastLoad {
                resource: required(batch, "resource", row)?,
                completed_at: time(batch, "completed_at", row)?,
                rows_at: time(batch, "rows_at", row)?,
            })
        })
    }
}

fn load_entry(batch: &RecordBatch, row: usize) -> Result<LoadEntry> {
    Ok(LoadEntry {
        load_id: required(batch, "load_id", row)?,
        resource: required(batch, "resource", row)?,
        status: required(batch, "status", row)?,
        started_at: time(batch, "started_at", row)?.unwrap_or_default(),
        committed_at: time(batch, "committed_at", row)?.unwrap_or_default(),
        requests: whole(batch, "requests", row)?,
        records: whole(batch, "records", row)?,
        bytes: whole(batch, "bytes", row)?,
        rows: counts(batch, "rows", row)?,
        discarded: counts(batch, "discarded", row)?,
        end: text(batch, "end_reason", row)?.map(str::to_owned),
        error: text(batch, "error", row)?.map(str::to_owned),
    })
}

fn required(batch: &RecordBatch, column: &'static str, row: usize) -> Result<String> {
    let value = text(batch, column, row)?;
    value
        .map(str::to_owned)
        .ok_or_else(|| Error::new(Kind::Destination, "a bookkeeping table lacks a value").with("column", column))
}

fn whole(batch: &RecordBatch, column: &'static str, row: usize) -> Result<u64> {
    Ok(u64::try_from(count(batch, column, row)?).unwrap_or_default())
}

/// A time that the query gives in microseconds since 1970; null is none.
fn time(batch: &RecordBatch, column: &'static str, row: usize) -> Result<Option<DateTime<Utc>>> {
    let is_null = batch.column_by_name(column).is_none_or(|array| array.is_null(row));
    Ok(if is_null { None } else { DateTime::from_timestamp_micros(count(batch, column, row)?) })
}

/// Numbers by name, as `_pintail_loads` keeps them.
fn counts(batch: &RecordBatch, column: &'static str, row: usize) -> Result<Vec<(String, u64)>> {
    let value: serde_json::Value = serde_json::from_str(text(batch, column, row)?.unwrap_or("{}")).unwrap_or_default();
    let members = value.as_object().into_iter().flatten();
    Ok(members.filter_map(|(name, n)| Some((name.clone(), n.as_u64()?))).collect())
}
