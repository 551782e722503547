//! An open load: its rows, in files that no reader looks at.

use super::Options;
use super::files;
use super::layout::DatasetLayout;
use super::rows::{RowFile, RowWriter};
use super::settle::{self, SettledTable};
use super::shape::Shape;
use crate::batch::contract::Discarded;
use crate::error::{Error, Kind, Result};
use crate::load::LoadSpec;
use crate::load::bookkeeping::{self as book, RowKind};
use crate::load::merge::as_versions;
use crate::schema::catalog::{Fitted, Table};
use chrono::{DateTime, Utc};
use std::path::PathBuf;
use std::sync::Arc;

/// An open load.
pub(super) struct Load {
    pub(super) spec: LoadSpec,
    /// Where its files are.
    pub(super) folder: PathBuf,
    pub(super) tables: Vec<LoadTable>,
    /// What was left out of the rows.
    discarded: Option<RowWriter>,
    /// How often rows were written.
    calls: u32,
    /// The tables after the load, once it is settled.
    pub(super) settled: Option<Vec<SettledTable>>,
}

/// What a load has for one table.
pub(super) struct LoadTable {
    pub(super) table: Table,
    pub(super) shape: Arc<Shape>,
    /// Finished files in the order of their rows, each with what it looks like.
    pub(super) files: Vec<(RowFile, Arc<Shape>)>,
    /// Which rows came with which call, in order. Rows count over all files.
    pub(super) calls: Vec<CallSpan>,
    pub(super) rows: u64,
    writer: Option<RowWriter>,
    folder: PathBuf,
}

/// The rows up to `end` that don't belong to the span before came with this call.
#[derive(Debug, Clone, Copy)]
pub(super) struct CallSpan {
    pub(super) call: u32,
    pub(super) end: u64,
}

impl Load {
    pub(super) fn new(spec: LoadSpec, folder: PathBuf) -> Result<Self> {
        files::create_folder(&folder)?;
        Ok(Load { spec, folder, tables: Vec::new(), discarded: None, calls: 0, settled: None })
    }

    /// Takes rows; gives how many each table took.
    pub(super) fn write(
        &mut self,
        mut fitted: Vec<Fitted>,
        place: &DatasetLayout,
        options: &Options,
    ) -> Result<Vec<u64>> {
        if self.calls == 0 {
            settle::check_kind(&self.spec, place)?;
        }
        self.calls += 1;
        if self.spec.merge.rule.keeps_versions() {
            fitted = as_versions(fitted, &self.spec.load_id)?;
        }
        fitted.iter().map(|rows| self.write_table(rows, place, options)).collect()
    }

    /// Puts away what was left out of the rows.
    pub(super) fn keep_discarded(
        &mut self,
        discarded: &[Discarded],
        at: DateTime<Utc>,
        options: &Options,
    ) -> Result<()> {
        let rows = book::discarded_rows(&self.spec, discarded, at)?;
        let folder = &self.folder;
        let writer = self
            .discarded
            .get_or_insert_with(|| RowWriter::new(folder, "discarded", super::book::schema(&book::DISCARDED), options));
        writer.write(&rows)?;
        // Whole records as text: they are many bytes, and need not wait for a full row group.
        writer.flush()
    }

    /// The files of what was left out, finished.
    pub(super) fn take_discarded(&mut self) -> Result<Vec<RowFile>> {
        self.discarded.take().map_or_else(|| Ok(Vec::new()), RowWriter::finish)
    }

    fn write_table(&mut self, fitted: &Fitted, place: &DatasetLayout, options: &Options) -> Result<u64> {
        let index = match self.tables.iter().position(|t| t.table.name == fitted.table.name) {
            Some(index) => index,
            None => {
                self.add_table(&fitted.table, place)?;
                self.tables.len() - 1
            }
        };
        let (call, spec) = (self.calls, &self.spec);
        let table = &mut self.tables[index];
        table.reshape(&fitted.table, spec.row_kind(&fitted.table))?;
        let before = table.rows;
        for batch in &fitted.batches {
            let rows = table.shape.stamp(batch, &spec.load_id, spec.loaded_at)?;
            table.write(&rows, options)?;
        }
        if table.rows > before {
            table.calls.push(CallSpan { call, end: table.rows });
        }
        Ok(table.rows - before)
    }

    fn add_table(&mut self, table: &Table, place: &DatasetLayout) -> Result<()> {
        if !self.spec.catalog.tables.iter().any(|t| t.name == table.name) {
            place.refuse_taken(&table.name)?;
        }
        let folder = self.folder.join(&table.name);
        files::create_folder(&folder)?;
        self.tables.push(LoadTable {
            table: table.clone(),
            shape: Shape::of(table, self.spec.row_kind(table)),
            files: Vec::new(),
            calls: Vec::new(),
            rows: 0,
            writer: None,
            folder,
        });
        Ok(())
    }

    /// The load's rows of a table, if it has any.
    pub(super) fn table(&self, name: &str) -> Option<&LoadTable> {
        self.tables.iter().find(|t| t.table.name == name)
    }

    /// Ends all files: they are on disk afterwards.
    pub(super) fn finish_files(&mut self) -> Result<()> {
        self.tables.iter_mut().try_for_each(LoadTable::finish_files)
    }

    /// The table that holds most memory, with the bytes of all.
    pub(super) fn memory(&mut self) -> (usize, Option<&mut LoadTable>) {
        let all = self.tables.iter().map(LoadTable::memory_bytes).sum();
        (all, self.tables.iter_mut().max_by_key(|t| t.memory_bytes()))
    }

    /// A table that the load has rows for must be one that it says it has.
    pub(super) fn require_in(&self, tables: &[Table]) -> Result<()> {
        match self.tables.iter().find(|t| tables.iter().all(|known| known.name != t.table.name)) {
            None => Ok(()),
            Some(t) => Err(Error::new(Kind::Internal, "a load has rows for a table that its catalog doesn't name")
                .with("table", &t.table.name)
                .with("resource", &self.spec.resource)),
        }
    }
}

impl LoadTable {
    /// Follows the catalog. Where files would look different from now on, new ones are begun.
    fn reshape(&mut self, table: &Table, kind: RowKind) -> Result<()> {
        if self.table == *table {
            return Ok(());
        }
        let shape = Shape::of(table, kind);
        if shape.differs(&self.shape) {
            self.finish_files()?;
        }
        self.shape = shape;
        self.table = table.clone();
        Ok(())
    }

    fn write(&mut self, rows: &arrow::array::RecordBatch, options: &Options) -> Result<()> {
        let writer = self.writer.get_or_insert_with(|| {
            let stem = format!("rows-{:05}", self.files.len());
            RowWriter::new(&self.folder, &stem, self.shape.schema().clone(), options)
        });
        writer.write(rows)?;
        self.rows += rows.num_rows() as u64;
        Ok(())
    }

    pub(super) fn memory_bytes(&self) -> usize {
        self.writer.as_ref().map_or(0, RowWriter::memory_bytes)
    }

    pub(super) fn flush(&mut self) -> Result<()> {
        self.writer.as_mut().map_or(Ok(()), RowWriter::flush)
    }

    fn finish_files(&mut self) -> Result<()> {
        if let Some(writer) = self.writer.take() {
            let shape = &self.shape;
            self.files.extend(writer.finish()?.into_iter().map(|file| (file, shape.clone())));
        }
        Ok(())
    }
}
