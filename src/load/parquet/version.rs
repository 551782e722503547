//! Making the next version of each table that a commit changes.

use super::Options;
use super::fate::{Fate, FileFacts, fates};
use super::files::{self, failed};
use super::ids;
use super::journal::Entry;
use super::layout::{self, DatasetLayout};
use super::load::{Load, LoadTable};
use super::merge::{self, FileCalls, Marks, MergeFile, MergeTable};
use super::rows::{self, RowFile, RowWriter};
use super::shape::Shape;
use super::steps::Steps;
use crate::error::Result;
use crate::load::bookkeeping::{ID, ROOT_ID};
use crate::plan::model::WriteDisposition;
use crate::schema::catalog::{Catalog, Table};
use arrow::array::{BooleanArray, RecordBatch};
use arrow::datatypes::SchemaRef;
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

/// A file whose rows may go into a version.
struct Part {
    file: RowFile,
    shape: Arc<Shape>,
    dead: Marks,
    /// For files of the load: which call each row came with.
    calls: Option<FileCalls>,
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

    /// Makes the versions of a resource's tables after a load.
    pub(super) fn add_load(&mut self, load: &Load, after: &Catalog, steps: &mut Steps) -> Result<()> {
        load.require_in(&after.tables)?;
        let mut tables: Vec<(&Table, Vec<Part>)> = Vec::with_capacity(after.tables.len());
        for table in &after.tables {
            tables.push((table, self.parts(load, table)?));
        }
        if load.spec.keyed {
            mark_superseded(&mut tables)?;
        }
        for (table, parts) in tables {
            self.add_table(table, parts, load)?;
            steps.reach();
        }
        for gone in load.spec.catalog.tables.iter().filter(|_| load.spec.fresh) {
            if after.tables.iter().all(|table| table.name != gone.name) {
                self.entries.push(Entry::Drop { table: gone.name.clone(), version: layout::new_version() });
            }
        }
        Ok(())
    }

    /// All files whose rows may be in the next version of a table: those in place, then those of the load.
    fn parts(&self, load: &Load, table: &Table) -> Result<Vec<Part>> {
        let mut parts = Vec::new();
        let before = load.spec.catalog.tables.iter().find(|t| t.name == table.name);
        if let Some(before) = before.filter(|_| keeps_rows(load)) {
            let shape = Shape::of(before);
            for path in self.place.row_files(&table.name)? {
                let file = RowFile { rows: rows::count(&path)?, path };
                parts.push(Part { file, shape: shape.clone(), dead: Marks::default(), calls: None });
            }
        }
        parts.extend(load.table(&table.name).into_iter().flat_map(load_parts));
        Ok(parts)
    }

    fn add_table(&mut self, table: &Table, parts: Vec<Part>, load: &Load) -> Result<()> {
        let shape = Shape::of(table);
        let facts: Vec<FileFacts> = parts
            .iter()
            .map(|p| FileFacts { rows: p.file.rows, dead: p.dead.count(), outdated: shape.differs(&p.shape) })
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
                Fate::Rewrite => rewrite(part, &shape, &mut rewritten)?,
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

/// Whether rows that were there before stay, as far as no newer ones take their place.
fn keeps_rows(load: &Load) -> bool {
    !load.spec.fresh && load.spec.write != WriteDisposition::Replace
}

fn load_parts(table: &LoadTable) -> Vec<Part> {
    let spans: Arc<[_]> = table.calls.clone().into();
    let mut first_row = 0;
    let parts = table.files.iter().map(|(file, shape)| {
        let calls = Some(FileCalls { spans: spans.clone(), first_row });
        first_row += file.rows;
        Part { file: file.clone(), shape: shape.clone(), dead: Marks::default(), calls }
    });
    parts.collect()
}

fn mark_superseded(tables: &mut [(&Table, Vec<Part>)]) -> Result<()> {
    let of_load = |parts: &[Part]| parts.iter().filter(|p| p.calls.is_some()).map(|p| p.file.rows).sum::<u64>();
    let root_rows = tables.iter().filter(|(t, _)| t.is_root()).map(|(_, parts)| of_load(parts)).sum();
    let mut merge: Vec<MergeTable> = tables
        .iter()
        .map(|(table, parts)| MergeTable {
            root_id_column: if table.is_root() { ID } else { ROOT_ID },
            is_root: table.is_root(),
            files: parts
                .iter()
                .map(|p| MergeFile { path: p.file.path.clone(), dead: Marks::default(), calls: p.calls.clone() })
                .collect(),
        })
        .collect();
    merge::mark_superseded(&mut merge, root_rows)?;
    for ((_, parts), marked) in tables.iter_mut().zip(merge) {
        for (part, file) in parts.iter_mut().zip(marked.files) {
            part.dead = file.dead;
        }
    }
    Ok(())
}

/// Writes the rows of a part that live on, as they have to look now.
fn rewrite(part: &Part, shape: &Shape, out: &mut RowWriter) -> Result<()> {
    let mut first_row = 0;
    for batch in rows::batches(&part.file.path, None)? {
        let batch = batch?;
        let count = batch.num_rows() as u64;
        let living =
            if part.dead.count() == 0 { batch } else { living(&batch, &part.dead, first_row, &part.file.path)? };
        let rows = shape.convert(&living, &part.shape).map_err(|e| e.with("path", part.file.path.display()))?;
        out.write(&rows)?;
        first_row += count;
    }
    Ok(())
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
