//! One resource's rows on their way into the warehouse, on the thread that owns it.
//!
//! Pages wait here until there are enough rows for one write, because a warehouse takes rows in bulk. Then they are made to
//! fit the tables, and written into the resource's open load. Nothing is visible before [`ResourceWriter::commit`].

mod leaving_out;

pub(super) use super::written::Written;

use super::newer::NewerStays;
use super::ranks::Ranks;
use super::rows::{PageRows, chunk_bytes};
use super::stages::{Stage, Stages};
use crate::batch::Chunk;
use crate::batch::contract::Discarded;
use crate::error::{Error, Kind, Result};
use crate::failpoint::{Point, reach};
use crate::load::bookkeeping::RUNNING;
use crate::load::merge::check_key;
use crate::load::{Commit, CursorRow, Destination, LoadRow, LoadSpec, ParentQuery, RowId, TableChange, Ticket, keys};
use crate::plan::model::WriteDisposition;
use crate::schema::catalog::Catalog;
use chrono::Utc;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Instant;

/// Rows of the record table that wait for one write.
const WRITE_ROWS: usize = 20_000;

/// Status of the record of a load that came to its end.
const COMPLETED: &str = "completed";

/// Memory of rows that wait for one write, bytes.
const WRITE_BYTES: usize = 16 << 20;

/// The rule by which records are left out of a resource that failed: they can't be kept without the rest, because the next run
/// gets them again.
pub(super) const NOT_COMMITTED: &str = "not_committed";

/// What a commit is to make visible beside the rows.
#[derive(Debug, Default)]
pub struct Checkpoint {
    /// Cursors that the rows justify.
    pub cursors: Vec<CursorRow>,
    /// Whether the resource's other cursors are forgotten.
    pub forget_cursors: bool,
    /// The record, but for what only the writer knows: rows, and rows left out here.
    pub record: Option<LoadRow>,
    /// Whether stored rows that were met are of no more interest: nothing that follows can be like them.
    pub forget_met: bool,
}

/// The open load of one resource.
pub(super) struct ResourceWriter {
    spec: LoadSpec,
    table: String,
    reserved: HashSet<String>,
    /// Where its time goes.
    stages: Arc<Stages>,
    ticket: Option<Ticket>,
    /// The tables with what this load changes.
    catalog: Catalog,
    pending: Vec<PageRows>,
    pending_rows: usize,
    pending_bytes: usize,
    changes: Vec<TableChange>,
    /// What is committed.
    committed: Written,
    /// What the open load adds.
    open: Written,
    /// Rows of the record table that the open load was given.
    given: u64,
    /// Whether the ids of stored rows are known to follow from the key.
    ids_checked: bool,
    /// Which rows count of records that come several times.
    ranks: Ranks,
    /// For ids of stored rows that were looked up: how many of them have not been met again yet.
    stored: HashMap<RowId, u64>,
    /// Leaves out what is older than what is there.
    newer: Option<NewerStays>,
}

impl ResourceWriter {
    /// A writer without an open load. `reserved` are tables of other resources.
    pub(super) fn new(
        spec: LoadSpec,
        table: String,
        reserved: HashSet<String>,
        stages: Arc<Stages>,
        newer: Option<NewerStays>,
    ) -> Self {
        ResourceWriter {
            catalog: start_catalog(&spec),
            spec,
            table,
            reserved,
            stages,
            ticket: None,
            pending: Vec::new(),
            pending_rows: 0,
            pending_bytes: 0,
            changes: Vec::new(),
            committed: Written::default(),
            open: Written::default(),
            given: 0,
            ids_checked: false,
            ranks: Ranks::default(),
            stored: HashMap::new(),
            newer,
        }
    }

    /// The tables as they are committed.
    pub(super) fn catalog(&self) -> &Catalog {
        &self.spec.catalog
    }

    /// Under which name the tables are known: resources that share a table have one.
    pub(super) fn tables_of(&self) -> &str {
        &self.spec.tables_of
    }

    /// Takes note of a commit of another resource into the same table. There is no open load: they write one after the
    /// other.
    pub(super) fn take_over(&mut self, catalog: &Catalog) {
        self.spec.catalog = catalog.clone();
        self.spec.fresh = false;
        self.catalog = catalog.clone();
    }

    /// Takes a page; writes when enough have come together.
    ///
    /// # Errors
    /// The warehouse refused the rows.
    pub(super) fn push(&mut self, page: PageRows, warehouse: &mut dyn Destination) -> Result<()> {
        let records = page.record_count();
        self.given += records;
        self.pending_rows += records as usize;
        self.pending_bytes += page.chunks.iter().map(chunk_bytes).sum::<usize>();
        self.pending_bytes += page.kept_out.iter().map(Discarded::bytes).sum::<usize>();
        self.pending.push(page);
        if self.pending_rows >= WRITE_ROWS || self.pending_bytes >= WRITE_BYTES {
            self.flush(warehouse)?;
        }
        Ok(())
    }

    /// Makes everything visible that was pushed since the last commit, and the checkpoint with it. A replace without rows is
    /// an empty table; any other load without rows only leaves its record.
    ///
    /// # Errors
    /// The warehouse could not. Nothing of the load is visible then.
    pub(super) fn commit(
        &mut self,
        checkpoint: Checkpoint,
        warehouse: &mut dyn Destination,
    ) -> Result<(Written, Commit)> {
        self.flush(warehouse)?;
        let begun = Instant::now();
        self.settle(warehouse)?;
        let mut written = self.committed.clone();
        written.add(&self.open);
        let record = checkpoint.record.ok_or_else(|| Error::new(Kind::Internal, "a commit without a record"))?;
        let record = self.balanced(record, &written)?;
        reach(Point::LoadSettled);
        let ticket = self.begin(warehouse)?;
        let commit = Commit {
            cursors: checkpoint.cursors,
            forget_cursors: checkpoint.forget_cursors,
            forget_cursors_of: if self.spec.fresh { self.spec.fellows.clone() } else { Vec::new() },
            record,
            changes: std::mem::take(&mut self.changes),
            catalog: self.catalog.clone(),
        };
        warehouse.commit(ticket, commit.clone())?;
        reach(Point::Committed);
        self.stages.add(Stage::Committing, begun.elapsed());
        self.ticket = None;
        self.committed = written.clone();
        self.open = Written::default();
        self.given = 0;
        self.newer.iter_mut().for_each(NewerStays::forget);
        if checkpoint.forget_met {
            self.stored.clear();
        }
        self.spec.catalog = self.catalog.clone();
        self.spec.fresh = false;
        Ok((written, commit))
    }

    /// Forgets what was pushed since the last commit.
    ///
    /// # Errors
    /// The warehouse could not roll back.
    pub(super) fn abort(&mut self, warehouse: &mut dyn Destination) -> Result<()> {
        self.pending.clear();
        (self.pending_rows, self.pending_bytes) = (0, 0);
        self.changes.clear();
        self.stored.clear();
        self.newer.iter_mut().for_each(NewerStays::forget);
        self.ranks.clear();
        self.open = Written::default();
        self.given = 0;
        self.catalog = start_catalog(&self.spec);
        match self.ticket.take() {
            Some(ticket) => warehouse.abort(ticket),
            None => Ok(()),
        }
    }

    /// Writes the record of a load whose rows are not kept: tables and cursors stay as they are.
    ///
    /// # Errors
    /// The warehouse could not.
    pub(super) fn record_only(&mut self, checkpoint: Checkpoint, warehouse: &mut dyn Destination) -> Result<Written> {
        let spec = LoadSpec { write: WriteDisposition::Append, keyed: false, fresh: false, ..self.spec.clone() };
        let record = checkpoint.record.ok_or_else(|| Error::new(Kind::Internal, "a commit without a record"))?;
        let record = self.balanced(record, &self.committed)?;
        let ticket = warehouse.begin(spec)?;
        let catalog = self.spec.catalog.clone();
        let commit = Commit {
            cursors: Vec::new(),
            forget_cursors: false,
            forget_cursors_of: Vec::new(),
            record,
            changes: Vec::new(),
            catalog,
        };
        warehouse.commit(ticket, commit)?;
        Ok(self.committed.clone())
    }

    /// What was committed so far.
    pub(super) fn written(&self) -> &Written {
        &self.committed
    }

    /// Lets the warehouse decide which rows stay, and takes over what that comes to. What was given is then there, or left
    /// out by a rule: the books must balance before they are closed.
    fn settle(&mut self, warehouse: &mut dyn Destination) -> Result<()> {
        let ticket = self.begin(warehouse)?;
        let settled = warehouse.settle(&ticket, &self.catalog);
        self.ticket = Some(ticket);
        let settled = settled?;
        for (rule, records) in settled.discarded() {
            *self.open.discarded.entry(rule).or_default() += records;
        }
        self.open.rows = settled.rows.into_iter().filter(|(_, rows)| *rows > 0).collect();
        let there = self.open.rows.get(&self.table).copied().unwrap_or(0);
        let left_out: u64 = self.open.discarded.values().sum();
        if there + left_out == self.given {
            return Ok(());
        }
        Err(Error::new(Kind::Internal, "rows would vanish: the load is not committed")
            .with("given", self.given)
            .with("in the table", there)
            .with("left out by rule", left_out))
    }

    /// The record of the load with what only the writer knows. Every record that it counts is accounted for: of a resource
    /// that did not complete, those that are not there were not committed.
    fn balanced(&self, mut record: LoadRow, written: &Written) -> Result<LoadRow> {
        record.rows = written.rows.iter().map(|(table, rows)| (table.clone(), *rows)).collect();
        for (rule, records) in &written.discarded {
            // The decoder may have left some out by the same rule, within a page.
            match record.discarded.iter_mut().find(|(own, _)| own == rule) {
                Some((_, own)) => *own += records,
                None => record.discarded.push(((*rule).to_owned(), *records)),
            }
        }
        let there = written.rows.get(&self.table).copied().unwrap_or(0);
        let accounted = there + record.discarded.iter().map(|(_, n)| n).sum::<u64>();
        match record.status.as_str() {
            // Units are under way: what they received is not here yet, and counts with the commit that brings it.
            RUNNING => record.records = accounted,
            COMPLETED if accounted == record.records => {}
            COMPLETED => {
                return Err(Error::new(Kind::Internal, "records would vanish: the load is not committed")
                    .with("received", record.records)
                    .with("loaded, or left out by rule", accounted));
            }
            _ if accounted < record.records => {
                record.discarded.push((NOT_COMMITTED.to_owned(), record.records - accounted));
            }
            _ => {}
        }
        Ok(record)
    }

    fn begin(&mut self, warehouse: &mut dyn Destination) -> Result<Ticket> {
        match self.ticket.take() {
            Some(ticket) => Ok(ticket),
            None => warehouse.begin(self.spec.clone()),
        }
    }

    fn flush(&mut self, warehouse: &mut dyn Destination) -> Result<()> {
        if self.pending.is_empty() {
            return Ok(());
        }
        let ticket = self.begin(warehouse)?;
        let result = self.write(&ticket, warehouse);
        self.ticket = Some(ticket);
        result
    }

    fn write(&mut self, ticket: &Ticket, warehouse: &mut dyn Destination) -> Result<()> {
        let mut pages = std::mem::take(&mut self.pending);
        (self.pending_rows, self.pending_bytes) = (0, 0);
        let kept_out: Vec<Discarded> = pages.iter_mut().flat_map(|page| std::mem::take(&mut page.kept_out)).collect();
        if !kept_out.is_empty() {
            warehouse.keep_discarded(ticket, &kept_out, Utc::now())?;
        }
        self.leave_out_stored(&mut pages, ticket, warehouse)?;
        if let Some(newer) = &mut self.newer {
            let stored = |ids: &[RowId], columns: &[String]| warehouse.values(ticket, &self.table, ids, columns);
            newer.leave_out_older(&mut pages, &self.spec.catalog, &mut self.open.discarded, stored)?;
        }
        if self.spec.keyed {
            self.ranks.leave_out_superseded(&mut pages, &mut self.open.discarded)?;
        }
        let chunks: Vec<Chunk> = pages.into_iter().flat_map(|p| p.chunks).filter(|c| c.row_count > 0).collect();
        let fitted = self.stages.time(Stage::Normalising, || self.catalog.fit(&self.table, &chunks, &self.reserved))?;
        drop(chunks);
        if let Some(root) = fitted.iter().find(|part| part.table.is_root()) {
            check_key(root, self.spec.merge.rule.key())?;
        }
        let names: Vec<String> = fitted.iter().map(|f| f.table.name.clone()).collect();
        let expected: Vec<u64> = fitted.iter().map(|f| f.batches.iter().map(|b| b.num_rows() as u64).sum()).collect();
        for part in &fitted {
            let table = &part.table.name;
            self.changes.extend(part.changes.iter().map(|c| TableChange { table: table.clone(), change: c.clone() }));
        }
        let counts = self.stages.time(Stage::Loading, || warehouse.write(ticket, fitted))?;
        // After the write, which refuses rows of another kind.
        self.check_ids(warehouse)?;
        reach(Point::RowsWritten);
        for ((name, count), expected) in names.iter().zip(counts).zip(expected) {
            if count != expected {
                return Err(Error::new(
                    Kind::Destination,
                    "the warehouse took another number of rows than it was given",
                )
                .with("table", name)
                .with("given", expected)
                .with("taken", count));
            }
        }
        Ok(())
    }

    /// Refuses, once, to merge into rows whose ids don't follow from the key.
    fn check_ids(&mut self, warehouse: &mut dyn Destination) -> Result<()> {
        let merges_by_id = self.spec.keyed && self.spec.write == WriteDisposition::Merge && !self.spec.fresh;
        if !merges_by_id || std::mem::replace(&mut self.ids_checked, true) {
            return Ok(());
        }
        let Some(root) = self.spec.catalog.table(&Vec::new()) else { return Ok(()) };
        let Some(columns) = keys::key_columns(root, &self.spec.key) else { return Ok(()) };
        let query = ParentQuery {
            dataset: self.spec.dataset.clone(),
            table: root.name.clone(),
            columns: columns.iter().flatten().map(|column| column.name.clone()).collect(),
            except_load_id: Some(self.spec.load_id.clone()),
            after: None,
            limit: keys::SAMPLE_ROWS,
            ordered: false,
        };
        keys::check_ids(&root.name, &self.spec.resource, &columns, &warehouse.parents(&query)?)
    }
}

/// The tables that a load starts from: none, if they are made anew.
fn start_catalog(spec: &LoadSpec) -> Catalog {
    if spec.fresh { Catalog::default() } else { spec.catalog.clone() }
}
