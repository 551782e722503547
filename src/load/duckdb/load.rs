//! One open load: a connection with a transaction of its own, in which rows, tables and bookkeeping change together.

use super::recast::Recasts;
use super::rows::{counts_by_id, exported, id_batch, row_ids};
use super::session::{ROWS, Session};
use super::sql::{self, Place};
use crate::batch::contract::Discarded;
use crate::error::{Error, Kind, Result};
use crate::failpoint::{Point, reach};
use crate::load::bookkeeping as book;
use crate::load::merge::{MergeRule, as_versions, check_kind};
use crate::load::{Commit, LoadSpec, RowId};
use crate::plan::model::WriteDisposition;
use crate::schema::catalog::{Change, Fitted, Table};
use arrow::array::{Array, AsArray, RecordBatch};
use arrow::datatypes::Int64Type;
use chrono::{DateTime, Utc};
use std::collections::{HashMap, HashSet};

/// Ids of one load that are remembered, 16 bytes each and their place in the set. Beyond it every write looks for its ids.
const SEEN_IDS_MAX: usize = 2_000_000;

pub(super) struct Load {
    pub(super) session: Session,
    pub(super) spec: LoadSpec,
    pub(super) place: Place,
    recasts: Recasts,
    pub(super) tables: Vec<LoadTable>,
    seen: Seen,
    /// Records whose key came again.
    pub(super) repeated: u64,
    /// Whether the record table is known to be one for rows of this kind.
    checked: bool,
    /// With `replace`: whether the rows of earlier loads are out.
    cleared: bool,
    pub(super) settled: bool,
}

/// A table of the resource, as this load finds or makes it.
pub(super) struct LoadTable {
    pub(super) name: String,
    pub(super) root: bool,
    /// Row id of the last committed row; none if there is none. Row ids only grow, so rows of this load lie above it.
    committed_up_to: Option<i64>,
}

impl LoadTable {
    /// A condition on the rows of earlier loads.
    pub(super) fn stored(&self) -> String {
        self.committed_up_to.map_or_else(|| "false".to_owned(), |up_to| format!("rowid <= {up_to}"))
    }

    /// A condition on the rows of this load.
    pub(super) fn new_rows(&self) -> String {
        self.committed_up_to.map_or_else(|| "true".to_owned(), |up_to| format!("rowid > {up_to}"))
    }
}

/// The root ids that this load wrote, of which rows of earlier loads are still to be deleted.
struct Seen {
    ids: HashSet<RowId>,
    ids_max: usize,
    /// Too many: rows of earlier loads are already out, and repeated ids are looked for in the table.
    overflowed: bool,
}

impl Load {
    pub(super) fn begin(session: Session, place: Place, recasts: Recasts, spec: LoadSpec) -> Result<Self> {
        session.run("BEGIN TRANSACTION")?;
        let mut tables = Vec::new();
        for table in &spec.catalog.tables {
            let target = place.table(&table.name);
            if spec.fresh {
                session.run(&format!("DROP TABLE IF EXISTS {target}")).map_err(|e| e.with("table", &table.name))?;
                continue;
            }
            let last = session.query(&format!("SELECT max(rowid) FROM {target}")).map_err(|e| {
                e.with("table", &table.name).hint("was it dropped by hand? `--full-refresh` makes it anew")
            })?;
            tables.push(LoadTable {
                name: table.name.clone(),
                root: table.is_root(),
                committed_up_to: first_integer(&last),
            });
        }
        let seen = Seen { ids: HashSet::new(), ids_max: SEEN_IDS_MAX, overflowed: false };
        Ok(Load {
            session,
            spec,
            place,
            recasts,
            tables,
            seen,
            repeated: 0,
            checked: false,
            cleared: false,
            settled: false,
        })
    }

    #[cfg(test)]
    pub(super) fn limit_seen_ids(&mut self, ids_max: usize) {
        self.seen.ids_max = ids_max;
    }

    /// How many committed rows of a table have each of these ids.
    pub(super) fn stored(&self, table: &str, ids: &[RowId]) -> Result<HashMap<RowId, u64>> {
        let known = self.tables.iter().find(|t| t.name == table);
        let (Some(up_to), false) = (known.and_then(|t| t.committed_up_to), ids.is_empty()) else {
            return Ok(HashMap::new());
        };
        let sql = format!(
            "SELECT CAST({id} AS VARCHAR) AS id, count(*) AS n FROM {target} \
             WHERE rowid <= {up_to} AND {id} IN (SELECT id FROM {ROWS}) GROUP BY {id}",
            id = sql::name(book::ID),
            target = self.place.table(table),
        );
        let found = self.session.query_over(id_batch(ids.iter().copied())?, &sql);
        counts_by_id(&found.map_err(|e| e.with("table", table))?)
    }

    /// Columns of the committed rows of a table that have one of these ids.
    pub(super) fn values(&self, table: &str, ids: &[RowId], columns: &[String]) -> Result<Vec<RecordBatch>> {
        let known = self.tables.iter().find(|t| t.name == table);
        let (Some(up_to), false) = (known.and_then(|t| t.committed_up_to), ids.is_empty()) else {
            return Ok(Vec::new());
        };
        let columns: Vec<String> =
            columns.iter().enumerate().map(|(i, column)| format!(", {} AS c{i}", sql::name(column))).collect();
        let sql = format!(
            "SELECT CAST({id} AS VARCHAR) AS id{columns} FROM {target} \
             WHERE rowid <= {up_to} AND {id} IN (SELECT id FROM {ROWS})",
            id = sql::name(book::ID),
            columns = columns.concat(),
            target = self.place.table(table),
        );
        self.session.query_over(id_batch(ids.iter().copied())?, &sql).map_err(|e| e.with("table", table))
    }

    /// Makes the changes, then puts the rows in. See `Destination::write`.
    pub(super) fn write(&mut self, mut fitted: Vec<Fitted>) -> Result<Vec<u64>> {
        self.check_kind()?;
        self.clear_if_replaced()?;
        if self.spec.merge.rule.keeps_versions() {
            fitted = as_versions(fitted, &self.spec.load_id)?;
        }
        for part in &fitted {
            for change in &part.changes {
                self.change(&part.table, change).map_err(|e| e.with("table", &part.table.name))?;
                reach(Point::TableChanged);
            }
        }
        if self.spec.keyed {
            self.make_way(&fitted)?;
        }
        fitted.iter().map(|part| self.insert(part).map_err(|e| e.with("table", &part.table.name))).collect()
    }

    /// Puts away what was left out of the rows.
    pub(super) fn keep_discarded(&self, discarded: &[Discarded], at: DateTime<Utc>) -> Result<()> {
        self.put(&book::DISCARDED, &book::discarded_rows(&self.spec, discarded, at)?)
    }

    /// Writes the bookkeeping and makes everything visible.
    pub(super) fn commit(mut self, commit: &Commit) -> Result<()> {
        if !self.settled {
            self.settle(&commit.catalog)?;
        }
        self.keep_books(commit)?;
        reach(Point::BooksKept);
        self.session.run("COMMIT")
    }

    /// Forgets everything.
    pub(super) fn abort(self) -> Result<()> {
        self.session.run("ROLLBACK")
    }

    /// Refuses to put rows of another kind into a table that is there.
    pub(super) fn check_kind(&mut self) -> Result<()> {
        if let (false, Some(root)) = (self.checked, self.tables.iter().find(|t| t.root)) {
            let columns = self.session.columns(&self.place.table(&root.name))?;
            let has_versions = columns.contains_key(book::VALID_TO);
            check_kind(&root.name, has_versions, &self.spec.merge.rule)?;
        }
        self.checked = true;
        Ok(())
    }

    /// With `replace`: takes the rows of earlier loads out, once.
    pub(super) fn clear_if_replaced(&mut self) -> Result<()> {
        if self.cleared || self.spec.write != WriteDisposition::Replace {
            return Ok(());
        }
        for table in &mut self.tables {
            let sql = format!("DELETE FROM {}", self.place.table(&table.name));
            self.session.run(&sql).map_err(|e| e.with("table", &table.name))?;
            table.committed_up_to = None;
        }
        self.cleared = true;
        Ok(())
    }

    fn change(&mut self, table: &Table, change: &Change) -> Result<()> {
        let sql = match change {
            Change::CreateTable => {
                let made = LoadTable { name: table.name.clone(), root: table.is_root(), committed_up_to: None };
                self.tables.push(made);
                sql::create_table(&self.place, table, &self.spec)
            }
            Change::AddColumn { column, to } => sql::add_column(&self.place, table, column, *to, &self.spec),
            Change::DropColumn { column } => sql::drop_column(&self.place, &table.name, column),
            Change::Widen { column, recast } => self.recasts.widen(&self.place.table(&table.name), column, *recast),
        };
        self.session.run(&sql)
    }

    fn insert(&self, part: &Fitted) -> Result<u64> {
        let Some(batch) = exported(part)? else { return Ok(0) };
        let schema = batch.schema();
        let columns = sql::list(schema.fields().iter().map(|f| f.name().as_str()));
        let at = sql::instant(self.spec.loaded_at);
        let (mut own, mut values) = (vec![book::LOAD_ID, book::LOADED_AT], vec![sql::literal(&self.spec.load_id), at]);
        if self.spec.row_kind(&part.table) == book::RowKind::Version {
            own.push(book::VALID_FROM);
            values.push(sql::instant(self.spec.loaded_at));
        }
        let sql = format!(
            "INSERT INTO {} ({columns}, {}) SELECT {columns}, {} FROM {ROWS}",
            self.place.table(&part.table.name),
            sql::list(own),
            values.join(", "),
        );
        let given = batch.num_rows();
        let inserted = self.session.run_over(batch, &sql)?;
        if inserted != given as u64 {
            return Err(Error::new(Kind::Destination, "DuckDB took another number of rows than it was given")
                .with("given", given)
                .with("taken", inserted));
        }
        Ok(inserted)
    }

    /// Deletes rows that this load wrote under the ids of new rows; those of earlier loads follow once, when it is settled.
    fn make_way(&mut self, fitted: &[Fitted]) -> Result<()> {
        let Some(root) = fitted.iter().find(|part| part.table.is_root()) else { return Ok(()) };
        let mut ids = Vec::new();
        for batch in &root.batches {
            ids.extend(row_ids(batch)?);
        }
        let replaces = self.spec.merge.rule != MergeRule::KeepStored;
        if self.seen.overflowed {
            self.repeated += self.delete(ids.iter().copied(), Rows::OfThisLoad)?;
            return if replaces { self.delete(ids.into_iter(), Rows::OfEarlierLoads).map(|_| ()) } else { Ok(()) };
        }
        let repeated: Vec<RowId> = ids.into_iter().filter(|id| !self.seen.ids.insert(*id)).collect();
        if !repeated.is_empty() {
            self.repeated += self.delete(repeated.into_iter(), Rows::OfThisLoad)?;
        }
        if self.seen.ids.len() > self.seen.ids_max {
            if replaces {
                self.replace_stored()?;
            }
            self.seen.ids.clear();
            self.seen.overflowed = true;
        }
        Ok(())
    }

    /// Deletes the rows of earlier loads that this load's rows replace, in one pass over each table.
    pub(super) fn replace_stored(&mut self) -> Result<()> {
        let ids = std::mem::take(&mut self.seen.ids);
        self.delete(ids.into_iter(), Rows::OfEarlierLoads).map(|_| ())
    }

    /// Deletes rows by the ids of their records. Says how many records that were.
    fn delete(&self, ids: impl ExactSizeIterator<Item = RowId>, rows: Rows) -> Result<u64> {
        if ids.len() == 0 {
            return Ok(0);
        }
        let batch = id_batch(ids)?;
        let mut records = 0;
        for table in &self.tables {
            let range = match (rows, table.committed_up_to) {
                (Rows::OfEarlierLoads, None) => continue,
                (Rows::OfEarlierLoads, Some(_)) => table.stored(),
                (Rows::OfThisLoad, _) => table.new_rows(),
            };
            let sql = format!(
                "DELETE FROM {} WHERE {range} AND {} IN (SELECT id FROM {ROWS})",
                self.place.table(&table.name),
                sql::name(if table.root { book::ID } else { book::ROOT_ID }),
            );
            let deleted = self.session.run_over(batch.clone(), &sql).map_err(|e| e.with("table", &table.name))?;
            records += if table.root { deleted } else { 0 };
        }
        Ok(records)
    }

    fn keep_books(&self, commit: &Commit) -> Result<()> {
        let (spec, at) = (&self.spec, commit.record.committed_at);
        self.put(&book::LOADS, &book::load_rows(spec, &commit.record)?)?;
        let own = commit.forget_cursors.then_some(&spec.resource);
        own.into_iter().chain(&commit.forget_cursors_of).try_for_each(|name| self.forget(&book::STATE, name))?;
        self.put(&book::STATE, &book::state_rows(&spec.pipeline, Some(&spec.load_id), &commit.cursors, at)?)?;
        self.put(&book::SCHEMA, &book::schema_rows(spec, &commit.changes, at)?)?;
        if !spec.descriptions.is_empty()
            && let Some(root) = commit.catalog.tables.iter().find(|t| t.is_root())
        {
            sql::describe(&self.place, root, spec).iter().try_for_each(|sql| self.session.run(sql))?;
        }
        if spec.fresh || commit.catalog != spec.catalog {
            self.forget(&book::COLUMNS, &spec.tables_of)?;
            self.put(&book::COLUMNS, &book::column_rows(&spec.pipeline, &spec.tables_of, &commit.catalog)?)?;
        }
        Ok(())
    }

    fn put(&self, table: &book::OwnTable, rows: &RecordBatch) -> Result<()> {
        put(&self.session, &self.place, table, rows)
    }

    /// Deletes what a bookkeeping table holds under the name of a resource.
    fn forget(&self, table: &book::OwnTable, resource: &str) -> Result<()> {
        let sql = format!(
            "DELETE FROM {} WHERE pipeline = {} AND resource = {}",
            self.place.table(table.name),
            sql::literal(&self.spec.pipeline),
            sql::literal(resource),
        );
        self.session.run(&sql).map_err(|e| e.with("table", table.name))
    }
}

/// Adds rows to a bookkeeping table in place of those with the same key.
pub(super) fn put(session: &Session, place: &Place, table: &book::OwnTable, rows: &RecordBatch) -> Result<()> {
    if rows.num_rows() == 0 {
        return Ok(());
    }
    if !table.key.is_empty() {
        take_away(session, place, table, rows)?;
    }
    let columns = sql::list(table.column_names());
    let insert = format!("INSERT INTO {} ({columns}) SELECT {columns} FROM {ROWS}", place.table(table.name));
    session.run_over(rows.clone(), &insert).map_err(|e| e.with("table", table.name))?;
    Ok(())
}

/// Deletes the rows of a bookkeeping table that have the key of one of these.
pub(super) fn take_away(session: &Session, place: &Place, table: &book::OwnTable, rows: &RecordBatch) -> Result<()> {
    let key = sql::list(table.key.iter().copied());
    let target = place.table(table.name);
    let delete = format!("DELETE FROM {target} WHERE ({key}) IN (SELECT ({key}) FROM {ROWS})");
    session.run_over(rows.clone(), &delete).map(|_| ()).map_err(|e| e.with("table", table.name))
}

/// Which rows a deletion looks at.
#[derive(Debug, Clone, Copy)]
enum Rows {
    OfEarlierLoads,
    OfThisLoad,
}

pub(super) fn first_integer(batches: &[RecordBatch]) -> Option<i64> {
    let column = batches.first()?.column(0).as_primitive_opt::<Int64Type>()?;
    (!column.is_empty() && column.is_valid(0)).then(|| column.value(0))
}
