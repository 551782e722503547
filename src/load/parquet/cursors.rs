//! The cursors' table, sorted by its key and in small row groups, so that one of a million partitions is found by reading
//! one row group.

use super::files::broken_rows;
use super::layout::DatasetLayout;
use super::rows;
use super::version::Versions;
use crate::error::Result;
use crate::load::bookkeeping::{self, STATE};
use crate::load::{Commit, CursorRow, LoadSpec};
use arrow::array::RecordBatch;
use arrow::compute::interleave_record_batch;
use parquet::arrow::ProjectionMask;
use parquet::file::metadata::RowGroupMetaData;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// Rows of a row group: what one look-up reads.
const GROUP_ROWS: usize = 2048;

/// Pipeline, resource, partition.
type Key<'a> = [&'a str; 3];

/// The cursor of one partition.
pub(super) fn find(place: &DatasetLayout, key: Key<'_>) -> Result<Option<String>> {
    let [pipeline, resource, partition] = key;
    let wanted = [Some(pipeline), Some(resource), Some(partition)];
    Ok(select(place, wanted)?.pop().map(|row| row.value))
}

/// The cursors of a pipeline's resources, without those of partitions.
pub(super) fn of_resources(place: &DatasetLayout, pipeline: &str) -> Result<Vec<CursorRow>> {
    select(place, [Some(pipeline), None, Some("")])
}

/// Rows whose key has these parts.
fn select(place: &DatasetLayout, wanted: [Option<&str>; 3]) -> Result<Vec<CursorRow>> {
    let mut found = Vec::new();
    for path in place.row_files(STATE.name)? {
        let builder = rows::reader(&path)?;
        let groups = builder.metadata().row_groups().iter().enumerate();
        let groups = groups.filter(|(_, group)| may_hold(group, wanted)).map(|(number, _)| number).collect();
        let columns = STATE.key.iter().copied().chain(["cursor"]);
        let mask = ProjectionMask::columns(builder.parquet_schema(), columns);
        for batch in rows::read(&path, builder.with_row_groups(groups).with_projection(mask))? {
            let batch = batch?;
            for row in 0..batch.num_rows() {
                let key = key_at(&batch, row)?;
                if wanted.iter().zip(key).all(|(wanted, part)| wanted.is_none_or(|w| w == part)) {
                    found.extend(bookkeeping::cursors(&[batch.slice(row, 1)])?);
                }
            }
        }
    }
    Ok(found)
}

/// Whether the bounds of a row group leave room for such a key.
fn may_hold(group: &RowGroupMetaData, wanted: [Option<&str>; 3]) -> bool {
    STATE.key.iter().zip(wanted).all(|(name, wanted)| {
        let column = group.columns().iter().find(|column| column.column_path().string() == *name);
        let Some((wanted, bounds)) = wanted.zip(column.and_then(|c| c.statistics())) else { return true };
        bounds.min_bytes_opt().is_none_or(|min| min <= wanted.as_bytes())
            && bounds.max_bytes_opt().is_none_or(|max| max >= wanted.as_bytes())
    })
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
    if commit.cursors.is_empty() && !commit.forget_cursors {
        return Ok(());
    }
    let sorted: BTreeMap<(&str, &str), &CursorRow> =
        commit.cursors.iter().map(|row| ((row.resource.as_str(), row.partition.as_str()), row)).collect();
    let sorted: Vec<CursorRow> = sorted.into_values().cloned().collect();
    let new = bookkeeping::state_rows(spec, &sorted, commit.record.committed_at)?;
    let keys = sorted.iter().map(|row| [spec.pipeline.as_str(), &row.resource, &row.partition]).collect();
    let forgotten = commit.forget_cursors.then_some([spec.pipeline.as_str(), spec.resource.as_str()]);
    let mut merge = KeyMerge { new: &new, keys, next: 0, forgotten };
    let mut writer = versions.writer(STATE.name, &super::book::schema(&STATE), GROUP_ROWS);
    let old_files: Vec<PathBuf> = place.row_files(STATE.name)?;
    for path in &old_files {
        for batch in rows::batches(path, None)? {
            writer.write(&merge.with_old(&batch?, path)?)?;
        }
    }
    writer.write(&merge.rest())?;
    let files = writer.finish_with_a_file()?;
    versions.add_version(STATE.name, std::iter::empty(), files)
}

/// Merges new rows into old ones, batch by batch.
struct KeyMerge<'a> {
    new: &'a RecordBatch,
    /// Keys of the new rows, ascending.
    keys: Vec<Key<'a>>,
    /// The first new row that is not yet given.
    next: usize,
    /// Pipeline and resource whose old rows go.
    forgotten: Option<[&'a str; 2]>,
}

impl KeyMerge<'_> {
    /// The old rows that stay, with the new ones that belong before or between them, or in their place.
    fn with_old(&mut self, old: &RecordBatch, path: &Path) -> Result<RecordBatch> {
        let mut picks: Vec<(usize, usize)> = Vec::with_capacity(old.num_rows());
        for row in 0..old.num_rows() {
            let key = key_at(old, row)?;
            let mut stays = self.forgotten.is_none_or(|forgotten| forgotten[..] != key[..2]);
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
