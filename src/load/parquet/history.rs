//! Versions of records: which are no longer current after a load, and which of its records are new versions.

use super::ids::{self, IdMap};
use super::records::{Record, RecordReader};
use super::settle::{Part, SettledTable, mark_of_load};
use crate::error::Result;
use crate::load::RowId;
use crate::load::bookkeeping::{ID, ROOT_ID};
use crate::load::merge::Settled;
use arrow::array::RecordBatch;
use std::path::Path;

/// The last record of a key in a load.
struct Latest {
    /// Its row over all files of the load.
    position: u64,
    id: RowId,
    content: u128,
    is_deleted: bool,
    /// Whether the current version has the same content.
    is_unchanged: bool,
}

/// Marks the rows of all keys in a share.
pub(super) fn mark(
    tables: &mut [SettledTable],
    root: usize,
    reader: &RecordReader<'_>,
    retire_absent: bool,
    settled: &mut Settled,
    in_share: impl Fn(u128) -> bool,
) -> Result<()> {
    let mut latest: IdMap<Latest> = IdMap::default();
    let mut superseded: Vec<(u64, RowId)> = Vec::new();
    for part in tables[root].parts.iter().filter(|p| p.is_of_load()) {
        reader.each(part, |record| {
            let Some(key) = record.key.filter(|key| in_share(*key)) else { return };
            if let Some(before) = latest.insert(key, Latest::of(&record, part)) {
                superseded.push((before.position, before.id));
            }
        })?;
    }
    settled.repeated += superseded.len() as u64;
    for part in tables[root].parts.iter_mut().filter(|p| !p.is_of_load()) {
        let mut retired = std::mem::take(&mut part.retired);
        reader.each(part, |record| {
            let Some(key) = record.key.filter(|key| record.is_current && in_share(*key)) else { return };
            match latest.get_mut(&key) {
                Some(new) if !new.is_deleted && new.content == record.content => new.is_unchanged = true,
                Some(_) => retired.set(record.row),
                None if retire_absent => retired.set(record.row),
                None => {}
            }
        })?;
        part.retired = retired;
    }
    drop_superseded(tables, root, &superseded, &latest)?;
    let mut dropped: IdMap<()> = IdMap::default();
    for new in latest.values() {
        settled.deleted += u64::from(new.is_deleted);
        settled.unchanged += u64::from(new.is_unchanged);
        if new.is_deleted || new.is_unchanged {
            dropped.insert(new.id, ());
        }
    }
    mark_of_load(tables, &dropped)
}

impl Latest {
    fn of(record: &Record, part: &Part) -> Self {
        Latest {
            position: part.first_row() + record.row,
            id: record.id,
            content: record.content,
            is_deleted: record.is_deleted,
            is_unchanged: false,
        }
    }
}

/// Marks the records whose key comes again later in the load, and their child rows. Records that are alike have the same id,
/// and so have their child rows: of those the last ones stay.
fn drop_superseded(
    tables: &mut [SettledTable],
    root: usize,
    superseded: &[(u64, RowId)],
    latest: &IdMap<Latest>,
) -> Result<()> {
    if superseded.is_empty() {
        return Ok(());
    }
    let staying: IdMap<()> = latest.values().map(|new| (new.id, ())).collect();
    // Whether another record with the same id stays.
    let ids: IdMap<bool> = superseded.iter().map(|(_, id)| (*id, staying.contains_key(id))).collect();
    for part in tables[root].parts.iter_mut().filter(|p| p.is_of_load()) {
        let first = part.first_row();
        let own = superseded.iter().filter(|(position, _)| (first..first + part.file.rows).contains(position));
        own.for_each(|(position, _)| part.dead.set(position - first));
    }
    for child in tables.iter_mut().filter(|t| !t.table.is_root()) {
        let mut last: IdMap<u64> = IdMap::default();
        for part in child.parts.iter().filter(|p| p.is_of_load()) {
            each_child(&part.file.path, |row, id, root_id| {
                if ids.get(&root_id) == Some(&true) {
                    last.insert(id, part.first_row() + row);
                }
            })?;
        }
        for part in child.parts.iter_mut().filter(|p| p.is_of_load()) {
            let first = part.first_row();
            let Part { file, dead, .. } = part;
            each_child(&file.path, |row, id, root_id| {
                let stays =
                    ids.get(&root_id).is_none_or(|alike_stays| *alike_stays && last.get(&id) == Some(&(first + row)));
                if !stays {
                    dead.set(row);
                }
            })?;
        }
    }
    Ok(())
}

/// Calls `each` with row, id and record id of every child row of a file.
fn each_child(path: &Path, mut each: impl FnMut(u64, RowId, RowId)) -> Result<()> {
    let mut first_row = 0;
    for batch in super::rows::batches(path, Some(&[ID, ROOT_ID]))? {
        let batch: RecordBatch = batch?;
        let own = ids::id_array(batch.column_by_name(ID), path)?;
        let roots = ids::id_array(batch.column_by_name(ROOT_ID), path)?;
        for i in 0..batch.num_rows() {
            each(first_row + i as u64, ids::id_at(own, i), ids::id_at(roots, i));
        }
        first_row += batch.num_rows() as u64;
    }
    Ok(())
}
