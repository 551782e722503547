//! The bookkeeping tables as Parquet files.

use super::cursors;
use super::files::broken_rows;
use super::layout::DatasetLayout;
use super::rows::{self, RowFile};
use super::shape::data_field;
use super::version::Versions;
use crate::error::{Error, Kind, Result};
use crate::load::bookkeeping::{self as book, COLUMNS, DISCARDED, LOADS, META, OwnTable, SCHEMA, TABLES};
use crate::load::{Commit, LoadSpec, Stored};
use arrow::array::{BooleanArray, RecordBatch};
use arrow::compute::filter_record_batch;
use arrow::datatypes::{Schema, SchemaRef};
use std::collections::HashSet;
use std::path::PathBuf;
use std::sync::Arc;

/// Rows of a row group of a bookkeeping table.
const GROUP_ROWS: usize = 65_536;

/// The schema of a bookkeeping table's files.
pub(super) fn schema(table: &OwnTable) -> SchemaRef {
    let fields = table.columns.iter().map(|column| data_field(column.name, column.data_type));
    Arc::new(Schema::new(fields.collect::<Vec<_>>()))
}

/// Refuses a dataset that a newer version wrote.
pub(super) fn check_format(place: &DatasetLayout) -> Result<()> {
    match meta(place, book::FORMAT_VERSION_KEY)? {
        Some(found) => book::check_format_version(&found).map_err(|e| e.with("path", place.live.display())),
        None => Ok(()),
    }
}

/// The bookkeeping tables that are not there yet.
pub(super) fn missing_tables(place: &DatasetLayout) -> Result<Vec<&'static OwnTable>> {
    let mut missing = Vec::new();
    for table in TABLES {
        if place.row_files(table.name)?.is_empty() {
            missing.push(table);
        }
    }
    Ok(missing)
}

/// Makes first versions of bookkeeping tables.
pub(super) fn add_tables(versions: &mut Versions<'_>, tables: &[&'static OwnTable]) -> Result<()> {
    for table in tables {
        let mut writer = versions.writer(table.name, &schema(table), GROUP_ROWS);
        if **table == META {
            writer.write(&book::meta_rows(&book::new_warehouse_id())?)?;
        }
        let files = writer.finish_with_a_file()?;
        versions.add_version(table.name, std::iter::empty(), files)?;
    }
    Ok(())
}

/// The records of a pipeline's loads that a killed run left as running, as they are from now on.
pub(super) fn killed_loads(place: &DatasetLayout, pipeline: &str) -> Result<Vec<RecordBatch>> {
    let mut killed = Vec::new();
    for path in place.row_files(LOADS.name)? {
        for batch in rows::batches(&path, None)? {
            killed.push(book::killed_loads(&batch?, pipeline)?);
        }
    }
    killed.retain(|batch| batch.num_rows() > 0);
    Ok(killed)
}

/// Makes the next version of the records of loads, in which these take the place of those that they are about.
pub(super) fn replace_loads(versions: &mut Versions<'_>, place: &DatasetLayout, new: Vec<RecordBatch>) -> Result<()> {
    let mut keys: HashSet<Vec<String>> = HashSet::new();
    for batch in &new {
        for row in 0..batch.num_rows() {
            keys.insert(key_of(&LOADS, batch, row)?.into_iter().map(str::to_owned).collect());
        }
    }
    let is_replaced = |key: &[&str]| keys.iter().any(|own| own.iter().zip(key).all(|(own, key)| own == key));
    add_rows(versions, place, &LOADS, &new, is_replaced)
}

/// What is known of a pipeline.
pub(super) fn stored(place: &DatasetLayout, pipeline: &str) -> Result<Stored> {
    let of_pipeline = |batch: &RecordBatch, row| Ok(book::text(batch, "pipeline", row)? == Some(pipeline));
    let mut last_load_id: Option<String> = None;
    each_row(place, &LOADS, &["pipeline", "load_id"], |batch, row| {
        if of_pipeline(batch, row)? {
            let load_id = book::text(batch, "load_id", row)?.map(str::to_owned);
            last_load_id = last_load_id.take().max(load_id);
        }
        Ok(())
    })?;
    let mut columns = Vec::new();
    for path in place.row_files(COLUMNS.name)? {
        for batch in rows::batches(&path, None)? {
            let batch = batch?;
            let rows: BooleanArray =
                (0..batch.num_rows()).map(|row| of_pipeline(&batch, row).map(Some)).collect::<Result<_>>()?;
            columns.push(filter_record_batch(&batch, &rows).map_err(|e| broken_rows("read", &path, e))?);
        }
    }
    let warehouse_id = meta(place, book::WAREHOUSE_ID_KEY)?.ok_or_else(|| {
        Error::new(Kind::Destination, "the Parquet folder does not say which warehouse it is")
            .with("path", place.table(META.name).display())
            .hint("restore that table from a backup; without it the state can't be trusted")
    })?;
    Ok(Stored {
        cursors: cursors::of_resources(place, pipeline)?,
        catalogs: book::catalogs(&columns)?,
        last_load_id,
        warehouse_id,
    })
}

fn meta(place: &DatasetLayout, key: &str) -> Result<Option<String>> {
    let mut value = None;
    each_row(place, &META, &["key", "value"], |batch, row| {
        if book::text(batch, "key", row)? == Some(key) {
            value = book::text(batch, "value", row)?.map(str::to_owned);
        }
        Ok(())
    })?;
    Ok(value)
}

fn each_row(
    place: &DatasetLayout,
    table: &OwnTable,
    columns: &[&str],
    mut each: impl FnMut(&RecordBatch, usize) -> Result<()>,
) -> Result<()> {
    for path in place.row_files(table.name)? {
        for batch in rows::batches(&path, Some(columns))? {
            let batch = batch?;
            (0..batch.num_rows()).try_for_each(|row| each(&batch, row))?;
        }
    }
    Ok(())
}

/// Makes the next versions of the tables that a commit changes.
pub(super) fn add_commit(
    versions: &mut Versions<'_>,
    place: &DatasetLayout,
    spec: &LoadSpec,
    commit: &Commit,
) -> Result<()> {
    add_rows(versions, place, &LOADS, &[book::load_rows(spec, &commit.record)?], |key| {
        key == [spec.load_id.as_str(), &spec.pipeline, &spec.resource]
    })?;
    if !commit.changes.is_empty() {
        let new = book::schema_rows(spec, &commit.changes, commit.record.committed_at)?;
        add_rows(versions, place, &SCHEMA, &[new], |_| false)?;
    }
    if commit.catalog != spec.catalog {
        let new = book::column_rows(&spec.pipeline, &spec.tables_of, &commit.catalog)?;
        add_rows(versions, place, &COLUMNS, &[new], |key| key == [spec.pipeline.as_str(), &spec.tables_of])?;
    }
    cursors::add_commit(versions, place, spec, commit)
}

/// The next version of the table of what was left out: its files stay as they are, and those of a load come beside them.
pub(super) fn add_discarded(versions: &mut Versions<'_>, place: &DatasetLayout, new: Vec<RowFile>) -> Result<()> {
    if new.is_empty() {
        return Ok(());
    }
    let before = place.row_files(DISCARDED.name)?;
    versions.add_version(DISCARDED.name, before.iter().map(PathBuf::as_path), new)
}

/// A version of a table without the rows whose key is replaced, and with new ones behind the others.
fn add_rows(
    versions: &mut Versions<'_>,
    place: &DatasetLayout,
    table: &OwnTable,
    new: &[RecordBatch],
    replaced: impl Fn(&[&str]) -> bool,
) -> Result<()> {
    let mut writer = versions.writer(table.name, &schema(table), GROUP_ROWS);
    for path in place.row_files(table.name)? {
        for batch in rows::batches(&path, None)? {
            let batch = batch?;
            let stays: BooleanArray = (0..batch.num_rows())
                .map(|row| Ok(Some(!replaced(&key_of(table, &batch, row)?))))
                .collect::<Result<_>>()?;
            writer.write(&filter_record_batch(&batch, &stays).map_err(|e| broken_rows("read", &path, e))?)?;
        }
    }
    new.iter().try_for_each(|rows| writer.write(rows))?;
    let files: Vec<RowFile> = writer.finish_with_a_file()?;
    versions.add_version(table.name, std::iter::empty(), files)
}

fn key_of<'a>(table: &OwnTable, batch: &'a RecordBatch, row: usize) -> Result<Vec<&'a str>> {
    table.key.iter().map(|name| Ok(book::text(batch, name, row)?.unwrap_or_default())).collect()
}
