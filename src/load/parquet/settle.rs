//! What becomes of the rows of a load and of those that they meet, decided by marks on the rows of files: no file is written.

use super::history;
use super::ids::{self, IdMap, fold};
use super::layout::DatasetLayout;
use super::load::{Load, LoadTable};
use super::merge::{self, FileCalls, IDS_IN_MEMORY, Marks, MergeFile, MergeTable};
use super::records::RecordReader;
use super::rows::{self, RowFile};
use super::shape::Shape;
use crate::error::Result;
use crate::load::bookkeeping::{ID, LOAD_ID, ROOT_ID, VALID_TO};
use crate::load::merge::{self as rules, MergeRule, Settled};
use crate::load::{LoadSpec, RowId};
use crate::plan::model::WriteDisposition;
use crate::schema::catalog::{Catalog, Table};
use arrow::array::AsArray;
use std::sync::Arc;

/// A table as it is after a load.
pub(super) struct SettledTable {
    pub(super) table: Table,
    pub(super) parts: Vec<Part>,
}

/// A file whose rows may go into the next version of a table.
pub(super) struct Part {
    pub(super) file: RowFile,
    pub(super) shape: Arc<Shape>,
    /// Rows that don't go into it.
    pub(super) dead: Marks,
    /// Versions of records that are no longer current.
    pub(super) retired: Marks,
    /// For files of the load: which call each row came with.
    pub(super) calls: Option<FileCalls>,
}

impl Part {
    pub(super) fn is_of_load(&self) -> bool {
        self.calls.is_some()
    }

    /// Where its rows are among those of all parts of the load.
    pub(super) fn first_row(&self) -> u64 {
        self.calls.as_ref().map_or(0, |calls| calls.first_row)
    }
}

/// See `Destination::settle`.
pub(super) fn settle(load: &mut Load, place: &DatasetLayout, after: &Catalog) -> Result<Settled> {
    load.finish_files()?;
    load.require_in(&after.tables)?;
    let mut tables = Vec::with_capacity(after.tables.len());
    for table in &after.tables {
        tables.push(SettledTable { parts: parts(load, place, table)?, table: table.clone() });
    }
    let mut settled = Settled::default();
    if load.spec.keyed {
        mark_superseded(&mut tables, load.spec.merge.rule != MergeRule::KeepStored)?;
        settled.repeated = dead_of_load(&tables);
    }
    if load.spec.write == WriteDisposition::Merge {
        check_kind(&load.spec, place)?;
        merge(&load.spec, &mut tables, &mut settled)?;
    }
    let living =
        |t: &SettledTable| t.parts.iter().filter(|p| p.is_of_load()).map(|p| p.file.rows - p.dead.count()).sum();
    settled.rows = tables.iter().map(|t| (t.table.name.clone(), living(t))).collect();
    load.settled = Some(tables);
    Ok(settled)
}

/// Refuses a table whose files are of another kind than the load's rows.
pub(super) fn check_kind(spec: &LoadSpec, place: &DatasetLayout) -> Result<()> {
    let Some(root) = spec.catalog.tables.iter().find(|t| t.is_root() && !spec.fresh) else { return Ok(()) };
    let Some(first) = place.row_files(&root.name)?.into_iter().next() else { return Ok(()) };
    let has_versions = rows::reader(&first)?.schema().field_with_name(VALID_TO).is_ok();
    rules::check_kind(&root.name, has_versions, &spec.merge.rule)
}

/// Whether rows that were there before stay, as far as no newer ones take their place.
pub(super) fn keeps_rows(load: &Load) -> bool {
    !load.spec.fresh && load.spec.write != WriteDisposition::Replace
}

/// All files whose rows may be in the next version of a table: those in place, then those of the load.
fn parts(load: &Load, place: &DatasetLayout, table: &Table) -> Result<Vec<Part>> {
    let mut parts = Vec::new();
    let before = load.spec.catalog.tables.iter().find(|t| t.name == table.name);
    if let Some(before) = before.filter(|_| keeps_rows(load)) {
        let shape = Shape::of(before, load.spec.row_kind(before));
        for path in place.row_files(&table.name)? {
            let file = RowFile { rows: rows::count(&path)?, path };
            parts.push(part(file, shape.clone(), None));
        }
    }
    parts.extend(load.table(&table.name).into_iter().flat_map(load_parts));
    Ok(parts)
}

fn part(file: RowFile, shape: Arc<Shape>, calls: Option<FileCalls>) -> Part {
    Part { file, shape, dead: Marks::default(), retired: Marks::default(), calls }
}

fn load_parts(table: &LoadTable) -> Vec<Part> {
    let spans: Arc<[_]> = table.calls.clone().into();
    let mut first_row = 0;
    let parts = table.files.iter().map(|(file, shape)| {
        let calls = Some(FileCalls { spans: spans.clone(), first_row });
        first_row += file.rows;
        part(file.clone(), shape.clone(), calls)
    });
    parts.collect()
}

/// Marks what makes way for later rows of the load with the same id; with `stored`, also in the files that are in place.
fn mark_superseded(tables: &mut [SettledTable], stored: bool) -> Result<()> {
    let root_rows = rows_of_load(tables);
    let takes_part = |part: &&Part| stored || part.is_of_load();
    let file = |p: &Part| MergeFile { path: p.file.path.clone(), dead: Marks::default(), calls: p.calls.clone() };
    let mut merge: Vec<MergeTable> = tables
        .iter()
        .map(|SettledTable { table, parts }| MergeTable {
            root_id_column: root_id_column(table),
            is_root: table.is_root(),
            files: parts.iter().filter(takes_part).map(file).collect(),
        })
        .collect();
    merge::mark_superseded(&mut merge, root_rows)?;
    for (table, marked) in tables.iter_mut().zip(merge) {
        let parts = table.parts.iter_mut().filter(|part| stored || part.is_of_load());
        for (part, file) in parts.zip(marked.files) {
            part.dead = file.dead;
        }
    }
    Ok(())
}

/// The column that says to which record a row belongs.
pub(super) fn root_id_column(table: &Table) -> &'static str {
    if table.is_root() { ID } else { ROOT_ID }
}

/// Records that the load was given.
fn rows_of_load(tables: &[SettledTable]) -> u64 {
    root_parts_of_load(tables).map(|p| p.file.rows).sum()
}

/// Records of the load that don't stay.
fn dead_of_load(tables: &[SettledTable]) -> u64 {
    root_parts_of_load(tables).map(|p| p.dead.count()).sum()
}

fn root_parts_of_load(tables: &[SettledTable]) -> impl Iterator<Item = &Part> {
    tables.iter().filter(|t| t.table.is_root()).flat_map(|t| &t.parts).filter(|p| p.is_of_load())
}

fn merge(spec: &LoadSpec, tables: &mut [SettledTable], settled: &mut Settled) -> Result<()> {
    let Some(root) = tables.iter().position(|t| t.table.is_root()) else { return Ok(()) };
    let reader = RecordReader::new(spec, &tables[root].table)?;
    // As many shares as keep the ids of one share within bounds.
    let shares = rows_of_load(tables).div_ceil(IDS_IN_MEMORY);
    match &spec.merge.rule {
        MergeRule::ById => {}
        MergeRule::ByColumns(_) => {
            for share in 0..shares {
                replace_groups(tables, root, &reader, |key| fold(key) % shares == share)?;
            }
        }
        MergeRule::KeepStored => {
            for share in 0..shares {
                keep_stored(tables, root, |id| fold(id) % shares == share)?;
            }
            settled.key_stored = dead_of_load(tables) - settled.repeated;
        }
        MergeRule::Versions { retire_absent, .. } => {
            // Without a record everything is absent.
            let shares = shares.max(u64::from(*retire_absent));
            for share in 0..shares {
                history::mark(tables, root, &reader, *retire_absent, settled, |key| fold(key) % shares == share)?;
            }
            return Ok(());
        }
    }
    let before = dead_of_load(tables);
    if spec.merge.hard_delete.is_some() {
        for share in 0..shares {
            drop_deleted(tables, root, &reader, |id| fold(id) % shares == share)?;
        }
    }
    settled.deleted = dead_of_load(tables) - before;
    Ok(())
}

/// All rows of earlier loads whose key occurs in this one make way.
fn replace_groups(
    tables: &mut [SettledTable],
    root: usize,
    reader: &RecordReader<'_>,
    in_share: impl Fn(u128) -> bool,
) -> Result<()> {
    let mut keys: IdMap<()> = IdMap::default();
    for part in tables[root].parts.iter().filter(|p| p.is_of_load()) {
        reader.each(part, |record| {
            if let Some(key) = record.key.filter(|key| !part.dead.contains(record.row) && in_share(*key)) {
                keys.insert(key, ());
            }
        })?;
    }
    let mut gone: IdMap<()> = IdMap::default();
    for part in tables[root].parts.iter_mut().filter(|p| !p.is_of_load()) {
        let mut dead = std::mem::take(&mut part.dead);
        reader.each(part, |record| {
            if record.is_of_other_load && record.key.is_some_and(|key| keys.contains_key(&key)) {
                dead.set(record.row);
                gone.insert(record.id, ());
            }
        })?;
        part.dead = dead;
    }
    for child in tables.iter_mut().filter(|t| !t.table.is_root()) {
        for part in child.parts.iter_mut().filter(|p| !p.is_of_load()) {
            mark_of_other_loads(part, reader.load_id(), &gone)?;
        }
    }
    Ok(())
}

/// Marks the child rows of records that are gone, as far as other loads brought them.
fn mark_of_other_loads(part: &mut Part, load_id: &str, gone: &IdMap<()>) -> Result<()> {
    let mut first_row = 0;
    for batch in rows::batches(&part.file.path, Some(&[ROOT_ID, LOAD_ID]))? {
        let batch = batch?;
        let roots = ids::id_array(batch.column_by_name(ROOT_ID), &part.file.path)?;
        let loads = batch.column_by_name(LOAD_ID).and_then(|c| c.as_string_opt::<i32>());
        for i in 0..batch.num_rows() {
            let is_own = loads.is_some_and(|loads| loads.value(i) == load_id);
            if !is_own && gone.contains_key(&ids::id_at(roots, i)) {
                part.dead.set(first_row + i as u64);
            }
        }
        first_row += batch.num_rows() as u64;
    }
    Ok(())
}

/// Rows of the load make way for stored ones with the same id.
fn keep_stored(tables: &mut [SettledTable], root: usize, in_share: impl Fn(RowId) -> bool) -> Result<()> {
    let mut own: IdMap<()> = IdMap::default();
    for part in tables[root].parts.iter().filter(|p| p.is_of_load()) {
        ids::for_each(&part.file.path, ID, |_, id| {
            if in_share(id) {
                own.insert(id, ());
            }
        })?;
    }
    let mut known: IdMap<()> = IdMap::default();
    for part in tables[root].parts.iter().filter(|p| !p.is_of_load()) {
        ids::for_each(&part.file.path, ID, |_, id| {
            if own.contains_key(&id) {
                known.insert(id, ());
            }
        })?;
    }
    mark_of_load(tables, &known)
}

/// Records of the load that are marked as deleted don't stay.
fn drop_deleted(
    tables: &mut [SettledTable],
    root: usize,
    reader: &RecordReader<'_>,
    in_share: impl Fn(RowId) -> bool,
) -> Result<()> {
    let mut deleted: IdMap<()> = IdMap::default();
    for part in tables[root].parts.iter().filter(|p| p.is_of_load()) {
        reader.each(part, |record| {
            if record.is_deleted && !part.dead.contains(record.row) && in_share(record.id) {
                deleted.insert(record.id, ());
            }
        })?;
    }
    mark_of_load(tables, &deleted)
}

/// Marks the load's rows of these records, child rows included.
pub(super) fn mark_of_load(tables: &mut [SettledTable], records: &IdMap<()>) -> Result<()> {
    if records.is_empty() {
        return Ok(());
    }
    for SettledTable { table, parts } in tables {
        let column = root_id_column(table);
        for part in parts.iter_mut().filter(|p| p.is_of_load()) {
            let Part { file, dead, .. } = part;
            ids::for_each(&file.path, column, |row, id| {
                if records.contains_key(&id) {
                    dead.set(row);
                }
            })?;
        }
    }
    Ok(())
}
