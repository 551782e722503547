//! A DuckDB file as destination.
//!
//! Every load has a connection and a transaction of its own, so that loads of several resources are open at once; DuckDB
//! lets them commit independently because each touches only its own tables and its own rows of the bookkeeping tables.
//! Rows go straight into their tables, once, and DuckDB's transaction makes them, the schema changes and the bookkeeping
//! visible together. A process that dies leaves a write-ahead log, which the next open replays up to the last commit.

mod create;
pub(super) mod file;
pub(super) mod lists;
mod load;
mod publish;
mod recast;
mod rows;
pub(super) mod session;
mod settle;
pub(super) mod sql;
mod state;

pub use file::{STORAGE_VERSION_DEFAULT, Settings};

use super::bookkeeping as book;
use super::merge::Settled;
use super::values::{column_type, json_value};
use super::{
    Commit, Destination, List, ListQuery, LoadSpec, ParentPage, ParentQuery, RowId, StateChange, Stored, Ticket,
};
use crate::batch::contract::Discarded;
use crate::error::{Error, Kind, Result};
use crate::failpoint::{Point, reach};
use crate::schema::catalog::{Catalog, Fitted};
use arrow::array::{AsArray, RecordBatch};
use chrono::{DateTime, Utc};
use lists::Lists;
use load::Load;
use recast::Recasts;
use rows::{id_from_text, id_text};
use serde_json::Value;
use session::{ROWS, Session};
use sql::Place;
use std::collections::HashMap;
use std::fs::File;
use std::path::PathBuf;

/// A connection that reads a warehouse's file, with what DuckDB calls the database; `None` where there is no such file. Waits
/// while another process holds it.
///
/// # Errors
/// As [`DuckDb::new`].
pub(super) fn reading(settings: &Settings) -> Result<Option<(Session, String)>> {
    let Some(connection) = file::open_if_there(settings)? else { return Ok(None) };
    let session = Session::first(connection)?;
    let name = name_of_database(&session)?;
    Ok(Some((session, name)))
}

fn name_of_database(session: &Session) -> Result<String> {
    let names = session.query("SELECT current_database() AS name")?;
    let name = names.first().map(|b| book::text(b, "name", 0)).transpose()?.flatten();
    Ok(name.ok_or_else(|| internal("the database has no name"))?.to_owned())
}

/// An open DuckDB warehouse.
pub struct DuckDb {
    path: PathBuf,
    /// For reading, and for everything outside of a load.
    session: Session,
    /// What DuckDB calls the database: the stem of the file's name.
    database_name: String,
    recasts: Recasts,
    loads: HashMap<u64, Load>,
    loads_begun: u64,
    publish: Option<PathBuf>,
    lists: Lists,
    access: Access,
}

/// What a warehouse was opened for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Access {
    /// Loads.
    Write,
    /// Looking at it: nothing is changed, nothing is made.
    Read,
}

impl DuckDb {
    /// Opens the file, or makes it; waits while another process holds it.
    ///
    /// # Errors
    /// The file is held, is no DuckDB database, or was written by a DuckDB that this program cannot read. It is unchanged.
    pub fn new(settings: &Settings) -> Result<Self> {
        DuckDb::over(file::open(settings)?, settings, Access::Write)
    }

    /// Opens the file for reading; waits while another process writes to it. Where there is no file, the warehouse is an empty
    /// one in memory.
    ///
    /// # Errors
    /// As those of [`DuckDb::new`].
    pub fn reading(settings: &Settings) -> Result<Self> {
        DuckDb::over(file::open_to_read(settings)?, settings, Access::Read)
    }

    /// A warehouse in memory that knows nothing, for queries over other files.
    ///
    /// # Errors
    /// DuckDB could not be started.
    pub fn nothing() -> Result<Self> {
        DuckDb::over(file::in_memory()?, &Settings::new(""), Access::Read)
    }

    fn over(connection: ::duckdb::Connection, settings: &Settings, access: Access) -> Result<Self> {
        let session = Session::first(connection)?;
        let recasts = Recasts::register(&session)?;
        let database_name = name_of_database(&session)?;
        let path = settings.path.clone();
        Ok(DuckDb {
            path,
            session,
            database_name,
            recasts,
            loads: HashMap::new(),
            loads_begun: 0,
            publish: settings.publish.clone(),
            lists: Lists::default(),
            access,
        })
    }

    fn place(&self, dataset: &str) -> Place {
        Place::new(&self.database_name, dataset)
    }

    /// The load of a ticket.
    fn load(&mut self, ticket: &Ticket) -> Result<&mut Load> {
        self.loads.get_mut(&ticket.0).ok_or_else(|| internal("the load is not open"))
    }

    fn take(&mut self, ticket: &Ticket) -> Result<Load> {
        self.loads.remove(&ticket.0).ok_or_else(|| internal("the load is not open"))
    }

    /// Runs `work` in a transaction of its own.
    fn in_transaction<T>(&self, work: impl FnOnce(&Session) -> Result<T>) -> Result<T> {
        self.session.run("BEGIN TRANSACTION")?;
        let done = work(&self.session).and_then(|value| self.session.run("COMMIT").map(|()| value));
        if done.is_err() {
            // The error that matters is the first; a transaction that failed to commit is already gone.
            let _ = self.session.run("ROLLBACK");
        }
        done
    }

    /// The warehouse's identifier. Makes the bookkeeping tables where there are none.
    fn prepare(&self, place: &Place) -> Result<String> {
        if self.session.columns(&place.table(book::META.name))?.is_empty() {
            self.in_transaction(|session| create_books(session, place))?;
            reach(Point::BooksMade);
        }
        let warehouse_id = self.identity(place)?;
        // A table that came later than the warehouse.
        if self.session.columns(&place.table(book::DISCARDED.name))?.is_empty() {
            self.session.run(&sql::create_own_table(place, &book::DISCARDED))?;
        }
        Ok(warehouse_id)
    }

    /// The warehouse's identifier, once its bookkeeping tables were found to be of a kind that we know.
    fn identity(&self, place: &Place) -> Result<String> {
        let rows = self.session.query(&format!("SELECT key, value FROM {}", place.table(book::META.name)))?;
        let mut meta = HashMap::new();
        for batch in &rows {
            for row in 0..batch.num_rows() {
                meta.insert(book::text(batch, "key", row)?, book::text(batch, "value", row)?.unwrap_or_default());
            }
        }
        let value = |key| meta.get(&Some(key)).copied();
        book::check_format_version(value(book::FORMAT_VERSION_KEY).unwrap_or_default())
            .map_err(|e| e.with("file", self.path.display()))?;
        Ok(value(book::WAREHOUSE_ID_KEY).unwrap_or_default().to_owned())
    }

    /// Loads that a killed run left as running are over.
    fn end_killed_loads(&self, place: &Place, pipeline: &str) -> Result<()> {
        let sql = format!(
            "UPDATE {} SET status = {}, error = {} WHERE pipeline = {} AND status = {}",
            place.table(book::LOADS.name),
            sql::literal(book::INTERRUPTED),
            sql::literal(book::KILLED),
            sql::literal(pipeline),
            sql::literal(book::RUNNING),
        );
        self.session.run(&sql)
    }

    fn last_load_id(&self, place: &Place, pipeline: &str) -> Result<Option<String>> {
        let rows = self.session.query(&format!(
            "SELECT max(load_id) AS load_id FROM {} WHERE pipeline = {}",
            place.table(book::LOADS.name),
            sql::literal(pipeline),
        ))?;
        let id = rows.first().map(|batch| book::text(batch, "load_id", 0)).transpose()?.flatten();
        Ok(id.map(str::to_owned))
    }

    /// What is known of a pipeline.
    fn known(&self, place: &Place, pipeline: &str, warehouse_id: String) -> Result<Stored> {
        let of_pipeline = format!("pipeline = {}", sql::literal(pipeline));
        let of_resources = format!("{of_pipeline} AND \"partition\" = ''");
        Ok(Stored {
            cursors: book::cursors(&self.rows(place, &book::STATE, &of_resources)?)?,
            catalogs: book::catalogs(&self.rows(place, &book::COLUMNS, &of_pipeline)?)?,
            last_load_id: self.last_load_id(place, pipeline)?,
            warehouse_id,
        })
    }

    /// Rows of a bookkeeping table that meet a condition.
    fn rows(&self, place: &Place, table: &book::OwnTable, condition: &str) -> Result<Vec<RecordBatch>> {
        let columns = sql::list(table.column_names());
        self.session.query(&format!("SELECT {columns} FROM {} WHERE {condition}", place.table(table.name)))
    }
}

impl Destination for DuckDb {
    fn location(&self) -> String {
        format!("duckdb:{}", self.path.display())
    }

    fn open(&mut self, pipeline: &str, dataset: &str) -> Result<Stored> {
        let place = self.place(dataset);
        let warehouse_id = self.prepare(&place)?;
        self.end_killed_loads(&place, pipeline)?;
        self.known(&place, pipeline, warehouse_id)
    }

    fn peek(&mut self, pipeline: &str, dataset: &str) -> Result<Option<Stored>> {
        let place = self.place(dataset);
        if self.session.columns(&place.table(book::META.name))?.is_empty() {
            return Ok(None);
        }
        let warehouse_id = self.identity(&place)?;
        self.known(&place, pipeline, warehouse_id).map(Some)
    }

    fn row_count(&mut self, dataset: &str, table: &str) -> Result<u64> {
        let place = self.place(dataset);
        let types = self.session.columns(&place.table(table))?;
        if types.is_empty() {
            return Ok(0);
        }
        self.session.count_rows(&place.table(table), types.contains_key(book::VALID_TO))
    }

    fn cursors(
        &mut self,
        pipeline: &str,
        dataset: &str,
        resource: &str,
        partitions: &[String],
    ) -> Result<HashMap<String, String>> {
        let place = self.place(dataset);
        let is_new = self.access == Access::Read && self.session.columns(&place.table(book::STATE.name))?.is_empty();
        if partitions.is_empty() || is_new {
            return Ok(HashMap::new());
        }
        let wanted: Vec<String> = partitions.iter().map(|partition| sql::literal(partition)).collect();
        let condition = format!(
            "pipeline = {} AND resource = {} AND \"partition\" IN ({})",
            sql::literal(pipeline),
            sql::literal(resource),
            wanted.join(", "),
        );
        let rows = self.rows(&place, &book::STATE, &condition)?;
        Ok(book::cursors(&rows)?.into_iter().map(|row| (row.partition, row.value)).collect())
    }

    fn begin(&mut self, spec: LoadSpec) -> Result<Ticket> {
        if self.access == Access::Read {
            return Err(internal("a load was begun in a warehouse that is open for reading"));
        }
        let place = self.place(&spec.dataset);
        let load = Load::begin(self.session.another(&self.database_name)?, place, self.recasts.clone(), spec)?;
        self.loads_begun += 1;
        self.loads.insert(self.loads_begun, load);
        Ok(Ticket(self.loads_begun))
    }

    fn stored(&mut self, ticket: &Ticket, table: &str, ids: &[RowId]) -> Result<HashMap<RowId, u64>> {
        self.load(ticket)?.stored(table, ids)
    }

    fn values(
        &mut self,
        ticket: &Ticket,
        table: &str,
        ids: &[RowId],
        columns: &[String],
    ) -> Result<HashMap<RowId, Vec<Value>>> {
        let mut rows = Vec::new();
        for batch in &self.load(ticket)?.values(table, ids, columns)? {
            read_parents(batch, &mut rows)?;
        }
        Ok(rows.into_iter().collect())
    }

    fn write(&mut self, ticket: &Ticket, fitted: Vec<Fitted>) -> Result<Vec<u64>> {
        self.load(ticket)?.write(fitted)
    }

    fn settle(&mut self, ticket: &Ticket, catalog: &Catalog) -> Result<Settled> {
        self.load(ticket)?.settle(catalog)
    }

    fn keep_discarded(&mut self, ticket: &Ticket, discarded: &[Discarded], at: DateTime<Utc>) -> Result<()> {
        self.load(ticket)?.keep_discarded(discarded, at)
    }

    fn commit(&mut self, ticket: Ticket, commit: Commit) -> Result<()> {
        self.take(&ticket)?.commit(&commit)
    }

    fn abort(&mut self, ticket: Ticket) -> Result<()> {
        self.take(&ticket)?.abort()
    }

    fn parents(&mut self, query: &ParentQuery) -> Result<ParentPage> {
        let place = self.place(&query.dataset);
        let types = self.session.columns(&place.table(&query.table))?;
        if types.is_empty() {
            return Ok(Vec::new());
        }
        let rows =
            self.session.query(&parents_sql(&place, query, &types)).map_err(|e| e.with("table", &query.table))?;
        let mut page = Vec::new();
        for batch in &rows {
            read_parents(batch, &mut page)?;
        }
        Ok(page)
    }

    fn open_list(&mut self, query: &ListQuery) -> Result<List> {
        let schema = self.place(&query.dataset).schema();
        self.lists.open(self.session.another(&self.database_name)?, &schema, query)
    }

    fn list_page(&mut self, list: usize, after: u64, limit: u64) -> Result<Vec<Vec<Value>>> {
        self.lists.page(list, after, limit)
    }

    fn change_state(&mut self, change: &StateChange<'_>) -> Result<u64> {
        let place = self.place(change.dataset);
        self.in_transaction(|session| state::change(session, &place, change))
    }

    fn close(mut self: Box<Self>) -> Result<()> {
        self.lists = Lists::default();
        // Loads that are still open roll back as their connections close.
        self.loads.clear();
        if self.access == Access::Read {
            return Ok(());
        }
        // The write-ahead log goes into the file: nothing stays beside it.
        self.session.run("CHECKPOINT").map_err(|e| e.with("file", self.path.display()))?;
        reach(Point::Checkpointed);
        let Some(target) = self.publish.take() else { return Ok(()) };
        let unreadable = |e| Error::new(Kind::Destination, "the warehouse can't be read").source(e);
        // Open until DuckDB has closed the file: with this descriptor the process would give up DuckDB's lock (fcntl(2)).
        let source = File::open(&self.path).map_err(|e| unreadable(e).with("file", self.path.display()))?;
        let published = publish::publish(&self.path, &source, &target);
        drop(self);
        drop(source);
        if published? {
            tracing::info!(copy = %target.display(), "published");
        }
        Ok(())
    }
}

fn internal(message: &str) -> Error {
    Error::new(Kind::Internal, message)
}

fn create_books(session: &Session, place: &Place) -> Result<()> {
    session.run(&format!("CREATE SCHEMA IF NOT EXISTS {}", place.schema()))?;
    for table in book::TABLES {
        session.run(&sql::create_own_table(place, table)).map_err(|e| e.with("table", table.name))?;
    }
    let insert = format!("INSERT INTO {} SELECT * FROM {ROWS}", place.table(book::META.name));
    session.run_over(book::meta_rows(&book::new_warehouse_id())?, &insert).map(|_| ())
}

/// A page of parents. A column that the table does not have yet was never seen: it is null.
fn parents_sql(place: &Place, query: &ParentQuery, types: &HashMap<String, String>) -> String {
    let id = sql::name(book::ID);
    let mut columns = vec![format!("CAST({id} AS VARCHAR)")];
    for (i, column) in query.columns.iter().enumerate() {
        let value = match types.get(column).map(String::as_str) {
            None => "CAST(NULL AS VARCHAR)".to_owned(),
            Some("JSON") => format!("CAST({} AS VARCHAR)", sql::name(column)),
            Some(_) => sql::name(column),
        };
        columns.push(format!("{value} AS c{i}"));
    }
    let mut conditions = Vec::new();
    conditions.extend(
        query
            .except_load_id
            .as_deref()
            .map(|load_id| format!("{} <> {}", sql::name(book::LOAD_ID), sql::literal(load_id))),
    );
    // Of the versions of a record, the current one.
    conditions.extend(types.contains_key(book::VALID_TO).then(|| format!("{} IS NULL", sql::name(book::VALID_TO))));
    conditions.extend(query.after.map(|after| format!("{id} > CAST({} AS UUID)", sql::literal(&id_text(after)))));
    let condition = if conditions.is_empty() { "true".to_owned() } else { conditions.join(" AND ") };
    format!(
        "SELECT {} FROM {} WHERE {condition}{} LIMIT {}",
        columns.join(", "),
        place.table(&query.table),
        if query.ordered { format!(" ORDER BY {id}") } else { String::new() },
        query.limit,
    )
}

fn read_parents(batch: &RecordBatch, page: &mut ParentPage) -> Result<()> {
    let ids = batch.column(0).as_string_opt::<i32>().ok_or_else(|| internal("the ids are not text"))?;
    let columns = &batch.columns()[1..];
    let types = columns.iter().map(|c| column_type(c.data_type())).collect::<Result<Vec<_>>>()?;
    for row in 0..batch.num_rows() {
        let values: Vec<Value> = columns.iter().zip(&types).map(|(c, t)| json_value(c, row, *t)).collect();
        page.push((id_from_text(ids.value(row))?, values));
    }
    Ok(())
}

#[cfg(test)]
mod tests;
