//! Making the next version of each table that a commit changes.

use super::Options;
use super::fate::{Fate, FileFacts, fates};
use super::files::{self, failed};
use super::ids;
use super::journal::Entry;
use super::layout::{self, DatasetLayout};
use super::load::Load;
use super::merge::Marks;
use super::rows::{self, RowFile, RowWriter};
use super::settle::{Part, SettledTable, keeps_rows};
use super::shape::Shape;
use super::steps::Steps;
use crate::error::Result;
use crate::failpoint::Point;
use crate::load::bookkeeping::{ID, VALID_TO};
use crate::schema::catalog::{Catalog, Table};
use arrow::array::{AsArray, BooleanArray, RecordBatch, TimestampMicrosecondArray};
use arrow::datatypes::{SchemaRef, TimestampMicrosecondType};
use chrono::{DateTime, Utc};
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The versions of one commit, as they are made.
pub(super) struct Versions<'a> {
    place: &'a DatasetLayout,
    load_id: &'a str,
    options: &'a Options,
    /// Where rewritten rows are written before their file has its place.
    scratch: PathBuf,
    entries: Vec<Entry>,
}

impl<'a> Versions<'a> {
    pub(super) fn new(
        place: &'a DatasetLayout,
        load_id: &'a str,
        options: &'a Options,
        scratch: PathBuf,
    ) -> Result<Self> {
        files::create_folder(&scratch)?;
        Ok(Versions { place, load_id, options, scratch, entries: Vec::new() })
    }

    /// What the journal has to say of them.
    pub(super) fn into_entries(self) -> Vec<Entry> {
        self.entries
    }

    /// Removes what was made so far. What can't be removed now is removed by the next `open`.
    pub(super) fn discard(self) {
        for entry in &self.entries {
            if let Entry::Publish { table, version } = entry
                && let Err(e) = files::remove(&self.place.next(table, version))
            {
                tracing::debug!(error = %e, table, "a version that is not needed could not be removed yet");
            }
        }
    }

    /// Makes the versions of a resource's tables after a settled load.
    pub(super) fn add_load(
        &mut self,
        load: &Load,
        tables: Vec<SettledTable>,
        after: &Catalog,
        steps: &mut Steps,
    ) -> Result<()> {
        for SettledTable { table, parts } in tables {
            self.add_table(&table, parts, load)?;
            steps.reach(Point::VersionMade);
        }
        for gone in load.spec.catalog.tables.iter().filter(|_| load.spec.fresh) {
            if after.tables.iter().all(|table| table.name != gone.name) {
                self.entries.push(Entry::Drop { table: gone.name.clone(), version: layout::new_version() });
            }
        }
        Ok(())
    }

    fn add_table(&mut self, table: &Table, parts: Vec<Part>, load: &Load) -> Result<()> {
        let shape = Shape::of(table, load.spec.row_kind(table));
        let facts: Vec<FileFacts> = parts
            .iter()
            .map(|p| FileFacts {
                rows: p.file.rows,
                dead: p.dead.count(),
                outdated: p.retired.count() > 0 || shape.differs(&p.shape),
            })
            .collect();
        let fates = fates(&facts, self.options.file_rows as u64);
        if self.is_unchanged(table, &parts, &facts, &fates, load)? {
            return Ok(());
        }
        let mut rewritten = self.writer(&table.name, shape.schema(), self.options.row_group_rows);
        let mut kept = Vec::new();
        for (part, fate) in parts.iter().zip(&fates) {
            match fate {
                Fate::Keep => kept.push(part),
                Fate::Rewrite => rewrite(part, &shape, load.spec.loaded_at, &mut rewritten)?,
                Fate::Drop => {}
            }
        }
        let new = if kept.is_empty() { rewritten.finish_with_a_file()? } else { rewritten.finish()? };
        let (from_load, linked): (Vec<&Part>, Vec<&Part>) = kept.into_iter().partition(|p| p.calls.is_some());
        let moved = from_load.into_iter().map(|p| p.file.clone()).chain(new).collect();
        self.add_version(&table.name, linked.into_iter().map(|p| p.file.path.as_path()), moved)
    }

    /// Whether the live folder can stay as it is.
    fn is_unchanged(
        &self,
        table: &Table,
        parts: &[Part],
        facts: &[FileFacts],
        fates: &[Fate],
        load: &Load,
    ) -> Result<bool> {
        if !keeps_rows(load) || parts.is_empty() || parts.iter().any(|p| p.calls.is_some()) {
            return Ok(false);
        }
        // One empty file that looks right is what a table without rows has.
        let is_empty = facts.iter().all(|f| f.rows == 0 && !f.outdated);
        let kept = fates.iter().all(|fate| *fate == Fate::Keep) || (is_empty && facts.len() == 1);
        Ok(kept && self.place.live_version(&table.name)?.is_some())
    }

    /// A writer for rows of a table's next version.
    pub(super) fn writer(&self, table: &str, schema: &SchemaRef, row_group_rows: usize) -> RowWriter {
        let options = Options { row_group_rows, ..*self.options };
        RowWriter::new(&self.scratch, table, schema.clone(), &options)
    }

    /// Makes a version of the files that stay as they are, under their names, and of new ones.
    pub(super) fn add_version<'p>(
        &mut self,
        table: &str,
        linked: impl Iterator<Item = &'p Path>,
        moved: Vec<RowFile>,
    ) -> Result<()> {
        let version = layout::new_version();
        let folder = self.place.next(table, &version);
        self.entries.push(Entry::Publish { table: table.to_owned(), version: version.clone() });
        files::create_folder(&folder)?;
        for path in linked {
            files::link(path, &folder.join(path.file_name().unwrap_or_default()))?;
        }
        for (number, file) in moved.into_iter().enumerate() {
            files::rename(&file.path, &folder.join(layout::row_file_name(self.load_id, &version, number)))?;
        }
        let marker = folder.join(layout::marker_name(&version));
        File::create_new(&marker).map_err(|e| failed("make", &marker, e))?;
        files::sync_folder(&folder)
    }
}

/// Writes the rows of a part that live on, as they have to look now.
fn rewrite(part: &Part, shape: &Shape, retired_at: DateTime<Utc>, out: &mut RowWriter) -> Result<()> {
    let mut first_row = 0;
    for batch in rows::batches(&part.file.path, None)? {
        let mut batch = batch?;
        let count = batch.num_rows() as u64;
        if part.retired.count() > 0 {
            batch = retire(&batch, &part.retired, first_row, retired_at, &part.file.path)?;
        }
        let living =
            if part.dead.count() == 0 { batch } else { living(&batch, &part.dead, first_row, &part.file.path)? };
        let rows = shape.convert(&living, &part.shape).map_err(|e| e.with("path", part.file.path.display()))?;
        out.write(&rows)?;
        first_row += count;
    }
    Ok(())
}

/// Rows of which some are no longer current from a time on.
fn retire(rows: &RecordBatch, retired: &Marks, first_row: u64, at: DateTime<Utc>, path: &Path) -> Result<RecordBatch> {
    let schema = rows.schema();
    let index = schema.index_of(VALID_TO).map_err(|e| files::broken_rows("read", path, e))?;
    let mut columns = rows.columns().to_vec();
    let before = columns[index].as_primitive_opt::<TimestampMicrosecondType>();
    let before = before.ok_or_else(|| files::broken_rows("read", path, "a time is not a time"))?;
    let time = |(row, before): (u64, Option<i64>)| {
        if retired.contains(row) { Some(at.timestamp_micros()) } else { before }
    };
    let times: TimestampMicrosecondArray = (first_row..).zip(before).map(time).collect();
    columns[index] = Arc::new(times.with_timezone("UTC"));
    RecordBatch::try_new(schema, columns).map_err(|e| files::broken_rows("read", path, e))
}

fn living(batch: &RecordBatch, dead: &Marks, first_row: u64, path: &Path) -> Result<RecordBatch> {
    let keep: BooleanArray = (0..batch.num_rows() as u64).map(|i| Some(!dead.contains(first_row + i))).collect();
    arrow::compute::filter_record_batch(batch, &keep).map_err(|e| files::broken_rows("read", path, e))
}

/// How many rows of a table's files have each of these ids.
pub(super) fn count_ids(place: &DatasetLayout, table: &str, wanted: &[u128]) -> Result<ids::IdMap<u64>> {
    let wanted: ids::IdMap<()> = wanted.iter().map(|id| (*id, ())).collect();
    let mut found = ids::IdMap::default();
    for path in place.row_files(table)? {
        ids::for_each(&path, ID, |_, id| {
            if wanted.contains_key(&id) {
                *found.entry(id).or_insert(0) += 1;
            }
        })?;
    }
    Ok(found)
}
