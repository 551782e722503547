//! The cursors' table, sorted by its key and in small row groups, so that a few of a million partitions are found by reading
//! the row groups that they are in.

use super::files::broken_rows;
use super::layout::DatasetLayout;
use super::rows;
use super::version::Versions;
use crate::error::Result;
use crate::load::bookkeeping::{self, STATE};
use crate::load::{Commit, CursorRow, Edit, LoadSpec, StateChange};
use arrow::array::RecordBatch;
use arrow::compute::interleave_record_batch;
use parquet::arrow::ProjectionMask;
use parquet::file::metadata::RowGroupMetaData;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::{Path, PathBuf};

/// Rows of a row group: what a look-up reads at least.
const GROUP_ROWS: usize = 2048;

/// Pipeline, resource, partition.
type Key<'a> = [&'a str; 3];

/// Cursors of partitions, by partition.
pub(super) fn find(
    place: &DatasetLayout,
    pipeline: &str,
    resource: &str,
    partitions: &[String],
) -> Result<HashMap<String, String>> {
    let wanted: BTreeSet<&str> = partitions.iter().map(String::as_str).collect();
    let found = select(place, &Wanted { pipeline, resource: Some(resource), partitions: wanted })?;
    Ok(found.into_iter().map(|row| (row.partition, row.value)).collect())
}

/// The cursors of a pipeline's resources, without those of partitions.
pub(super) fn of_resources(place: &DatasetLayout, pipeline: &str) -> Result<Vec<CursorRow>> {
    select(place, &Wanted { pipeline, resource: None, partitions: BTreeSet::from([""]) })
}

/// Which rows are looked for.
struct Wanted<'a> {
    pipeline: &'a str,
    resource: Option<&'a str>,
    partitions: BTreeSet<&'a str>,
}

impl Wanted<'_> {
    fn is_met_by(&self, [pipeline, resource, partition]: Key<'_>) -> bool {
        pipeline == self.pipeline
            && self.resource.is_none_or(|wanted| wanted == resource)
            && self.partitions.contains(partition)
    }

    /// Whether the bounds of a row group leave room for such a row.
    fn may_be_in(&self, group: &RowGroupMetaData) -> bool {
        STATE.key.iter().enumerate().all(|(part, name)| {
            let column = group.columns().iter().find(|column| column.column_path().string() == *name);
            let Some(bounds) = column.and_then(|column| column.statistics()) else { return true };
            let is_between = |wanted: &str| {
                bounds.min_bytes_opt().is_none_or(|min| min <= wanted.as_bytes())
                    && bounds.max_bytes_opt().is_none_or(|max| max >= wanted.as_bytes())
            };
            match part {
                0 => is_between(self.pipeline),
                1 => self.resource.is_none_or(is_between),
                _ => self.partitions.iter().any(|partition| is_between(partition)),
            }
        })
    }
}

/// Rows that are wanted.
fn select(place: &DatasetLayout, wanted: &Wanted<'_>) -> Result<Vec<CursorRow>> {
    let mut found = Vec::new();
    for path in place.row_files(STATE.name)? {
        let builder = rows::reader(&path)?;
        let groups = builder.metadata().row_groups().iter().enumerate();
        let groups = groups.filter(|(_, group)| wanted.may_be_in(group)).map(|(number, _)| number).collect();
        let columns = STATE.key.iter().copied().chain(["cursor"]);
        let mask = ProjectionMask::columns(builder.parquet_schema(), columns);
        for batch in rows::read(&path, builder.with_row_groups(groups).with_projection(mask))? {
            let batch = batch?;
            for row in 0..batch.num_rows() {
                if wanted.is_met_by(key_at(&batch, row)?) {
                    found.extend(bookkeeping::cursors(&[batch.slice(row, 1)])?);
                }
            }
        }
    }
    Ok(found)
}

fn key_at(batch: &RecordBatch, row: usize) -> Result<Key<'_>> {
    let mut key = [""; 3];
    for (part, name) in key.iter_mut().zip(STATE.key) {
        *part = bookkeeping::text(batch, name, row)?.unwrap_or_default();
    }
    Ok(key)
}

/// Makes the next version of the table, if a commit changes it: old and new rows merged, both in the order of their keys.
pub(super) fn add_commit(
    versions: &mut Versions<'_>,
    place: &DatasetLayout,
    spec: &LoadSpec,
    commit: &Commit,
) -> Result<()> {
    if commit.cursors.is_empty() && !commit.forget_cursors && commit.forget_cursors_of.is_empty() {
        return Ok(());
    }
    let sorted: BTreeMap<(&str, &str), &CursorRow> =
        commit.cursors.iter().map(|row| ((row.resource.as_str(), row.partition.as_str()), row)).collect();
    let sorted: Vec<CursorRow> = sorted.into_values().cloned().collect();
    let new = bookkeeping::state_rows(&spec.pipeline, Some(&spec.load_id), &sorted, commit.record.committed_at)?;
    let keys = sorted.iter().map(|row| [spec.pipeline.as_str(), &row.resource, &row.partition]).collect();
    let own = commit.forget_cursors.then_some(&spec.resource);
    let forgotten = own.into_iter().chain(&commit.forget_cursors_of);
    let forgotten = forgotten.map(|resource| [spec.pipeline.as_str(), resource.as_str()]).collect();
    let mut merge = KeyMerge { new: &new, keys, next: 0, forgotten };
    add_version(versions, place, &mut merge, |batch, _| Ok(batch))
}

/// Makes the next version of the table for a change by hand. Says how many rows it concerned.
pub(super) fn add_change(versions: &mut Versions<'_>, place: &DatasetLayout, change: &StateChange<'_>) -> Result<u64> {
    let new = bookkeeping::state_rows(change.pipeline, None, change.put, change.at)?;
    let keys = change.put.iter().map(|row| [change.pipeline, &row.resource, &row.partition]).collect();
    let mut merge = KeyMerge { new: &new, keys, next: 0, forgotten: Vec::new() };
    let mut changed = change.put.len() as u64;
    add_version(versions, place, &mut merge, |batch, path| {
        let (edited, count) = edited(&batch, change, path)?;
        changed += count;
        Ok(edited)
    })?;
    Ok(changed)
}

/// The next version of the table: old rows as they are edited, and new ones, both in the order of their keys.
fn add_version(
    versions: &mut Versions<'_>,
    place: &DatasetLayout,
    merge: &mut KeyMerge<'_>,
    mut edit: impl FnMut(RecordBatch, &Path) -> Result<RecordBatch>,
) -> Result<()> {
    let mut writer = versions.writer(STATE.name, &super::book::schema(&STATE), GROUP_ROWS);
    let old_files: Vec<PathBuf> = place.row_files(STATE.name)?;
    for path in &old_files {
        for batch in rows::batches(path, None)? {
            writer.write(&merge.with_old(&edit(batch?, path)?, path)?)?;
        }
    }
    writer.write(&merge.rest())?;
    let files = writer.finish_with_a_file()?;
    versions.add_version(STATE.name, std::iter::empty(), files)
}

/// Rows as a change leaves them, and how many of them it concerned.
fn edited(old: &RecordBatch, change: &StateChange<'_>, path: &Path) -> Result<(RecordBatch, u64)> {
    let (mut moved, mut picks, mut gone) = (Vec::new(), Vec::with_capacity(old.num_rows()), 0);
    for (number, row) in bookkeeping::cursors(std::slice::from_ref(old))?.into_iter().enumerate() {
        let is_own = key_at(old, number)?[0] == change.pipeline;
        match if is_own { (change.edit)(&row)? } else { Edit::Keep } {
            Edit::Keep => picks.push((0, number)),
            Edit::Forget => gone += 1,
            Edit::Put(value) => {
                picks.push((1, moved.len()));
                moved.push(CursorRow { value, ..row });
            }
        }
    }
    let new = bookkeeping::state_rows(change.pipeline, None, &moved, change.at)?;
    let rows = interleave_record_batch(&[old, &new], &picks).map_err(|e| broken_rows("read", path, e))?;
    Ok((rows, gone + moved.len() as u64))
}

/// Merges new rows into old ones, batch by batch.
struct KeyMerge<'a> {
    new: &'a RecordBatch,
    /// Keys of the new rows, ascending.
    keys: Vec<Key<'a>>,
    /// The first new row that is not yet given.
    next: usize,
    /// Pipelines and resources whose old rows go.
    forgotten: Vec<[&'a str; 2]>,
}

impl KeyMerge<'_> {
    /// The old rows that stay, with the new ones that belong before or between them, or in their place.
    fn with_old(&mut self, old: &RecordBatch, path: &Path) -> Result<RecordBatch> {
        let mut picks: Vec<(usize, usize)> = Vec::with_capacity(old.num_rows());
        for row in 0..old.num_rows() {
            let key = key_at(old, row)?;
            let mut stays = self.forgotten.iter().all(|forgotten| forgotten[..] != key[..2]);
            while let Some(new_key) = self.keys.get(self.next).filter(|new_key| **new_key <= key) {
                stays &= *new_key != key;
                picks.push((1, self.next));
                self.next += 1;
            }
            if stays {
                picks.push((0, row));
            }
        }
        interleave_record_batch(&[old, self.new], &picks).map_err(|e| broken_rows("read", path, e))
    }

    /// The new rows that belong behind all old ones.
    fn rest(&self) -> RecordBatch {
        self.new.slice(self.next, self.new.num_rows() - self.next)
    }
}
