//! Pages of known parents, in the order of their ids, without the whole table in memory.
//!
//! Files are not sorted by id, so each pass over a table keeps the smallest ids after a position and then reads the columns
//! of just those rows. A pass looks further ahead than one page, and what it found serves the next pages.
//!
//! Rows of one id (in a table that rows are appended to) come newest first. A page may end among them: the older ones that
//! are left are not given, because the next page begins after their id.

use super::files::broken_rows;
use super::ids::{self, id_at};
use super::layout::DatasetLayout;
use super::rows;
use crate::error::{Error, Kind, Result};
use crate::load::bookkeeping::{ID, LOAD_ID, LOADED_AT, VALID_TO};
use crate::load::values::{column_type, json_value};
use crate::load::{ParentPage, ParentQuery, RowId};
use arrow::array::{Array, ArrayRef, AsArray, RecordBatch};
use arrow::datatypes::TimestampMicrosecondType;
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::RowSelection;
use serde_json::Value;
use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::path::{Path, PathBuf};

/// Rows that one pass keeps, if a page isn't longer.
const LOOK_AHEAD_ROWS: usize = 16_384;
/// Walks that are remembered at once: several children may walk the same parents.
const WALKS_MAX: usize = 4;

/// Walks over parents that are under way.
#[derive(Debug, Default)]
pub(super) struct Walks {
    walks: VecDeque<Walk>,
}

/// What a pass found and no page has given yet.
#[derive(Debug)]
struct Walk {
    dataset: String,
    table: String,
    columns: Vec<String>,
    except_load_id: Option<String>,
    version: Option<String>,
    /// Position before the first of `rows`.
    after: Option<RowId>,
    rows: VecDeque<(RowId, Vec<Value>)>,
    /// Whether no rows come after them.
    complete: bool,
}

/// A row, in the order in which rows are given.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Place {
    id: RowId,
    newest_first: Reverse<Age>,
}

/// When a row came, and where it is; file names sort by load.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Age {
    loaded_at_us: i64,
    file: usize,
    row: usize,
}

impl Place {
    fn file(&self) -> usize {
        self.newest_first.0.file
    }

    fn row(&self) -> usize {
        self.newest_first.0.row
    }
}

impl Walks {
    /// The next page.
    pub(super) fn page(&mut self, place: &DatasetLayout, query: &ParentQuery) -> Result<ParentPage> {
        let version = place.live_version(&query.table)?;
        let known = self.walks.iter().position(|walk| walk.serves(query, version.as_ref()));
        let mut walk = match known.and_then(|index| self.walks.remove(index)) {
            Some(walk) => walk,
            None => Walk::look_ahead(place, query, version)?,
        };
        let page: ParentPage = walk.rows.drain(..query.limit.min(walk.rows.len())).collect();
        if let Some((last, _)) = page.last() {
            walk.after = Some(*last);
            let same = walk.rows.iter().take_while(|(id, _)| id == last).count();
            walk.rows.drain(..same);
        }
        self.walks.push_back(walk);
        if self.walks.len() > WALKS_MAX {
            self.walks.pop_front();
        }
        Ok(page)
    }
}

impl Walk {
    fn serves(&self, query: &ParentQuery, version: Option<&String>) -> bool {
        self.dataset == query.dataset
            && self.table == query.table
            && self.columns == query.columns
            && self.except_load_id == query.except_load_id
            && self.version.as_ref() == version
            && self.after == query.after
            && (self.complete || self.rows.len() >= query.limit)
    }

    fn look_ahead(place: &DatasetLayout, query: &ParentQuery, version: Option<String>) -> Result<Walk> {
        let files = place.row_files(&query.table)?;
        let rows_max = query.limit.max(LOOK_AHEAD_ROWS);
        let (chosen, complete) = first_rows(&files, query, rows_max)?;
        Ok(Walk {
            dataset: query.dataset.clone(),
            table: query.table.clone(),
            columns: query.columns.clone(),
            except_load_id: query.except_load_id.clone(),
            version,
            after: query.after,
            rows: read_rows(&files, &chosen, &query.columns)?,
            complete,
        })
    }
}

/// The first rows after the query's position, and whether that is all.
fn first_rows(files: &[PathBuf], query: &ParentQuery, rows_max: usize) -> Result<(BTreeSet<Place>, bool)> {
    let mut chosen: BTreeSet<Place> = BTreeSet::new();
    let mut complete = true;
    for (file, path) in files.iter().enumerate() {
        let mut first_row = 0;
        for batch in rows::batches(path, Some(&[ID, LOADED_AT, LOAD_ID, VALID_TO]))? {
            let batch = batch?;
            let row_keys = RowKeys::of(&batch, path)?;
            for i in 0..batch.num_rows() {
                let place = row_keys.place(i, file, first_row);
                let asked_for = query.after.is_none_or(|after| place.id > after);
                if !asked_for || row_keys.is_past(i) || row_keys.is_of(i, query.except_load_id.as_deref()) {
                    continue;
                }
                chosen.insert(place);
                if chosen.len() > rows_max {
                    chosen.pop_last();
                    complete = false;
                }
            }
            first_row += batch.num_rows();
        }
    }
    Ok((chosen, complete))
}

/// The columns that say whose a row is, and when it came.
struct RowKeys<'a> {
    ids: &'a arrow::array::FixedSizeBinaryArray,
    loaded_at: &'a arrow::array::TimestampMicrosecondArray,
    load_ids: &'a arrow::array::StringArray,
    /// Until when a version was current, in tables that keep versions.
    valid_to: Option<&'a ArrayRef>,
}

impl<'a> RowKeys<'a> {
    fn of(batch: &'a RecordBatch, path: &Path) -> Result<Self> {
        let wrong = || {
            Error::new(Kind::Destination, "a Parquet file does not have the columns that every row has")
                .with("path", path.display())
        };
        let loaded_at = batch.column_by_name(LOADED_AT).and_then(|c| c.as_primitive_opt::<TimestampMicrosecondType>());
        Ok(RowKeys {
            ids: ids::id_array(batch.column_by_name(ID), path)?,
            loaded_at: loaded_at.ok_or_else(wrong)?,
            load_ids: batch.column_by_name(LOAD_ID).and_then(|c| c.as_string_opt::<i32>()).ok_or_else(wrong)?,
            valid_to: batch.column_by_name(VALID_TO),
        })
    }

    fn is_past(&self, i: usize) -> bool {
        self.valid_to.is_some_and(|times| times.is_valid(i))
    }

    fn place(&self, i: usize, file: usize, first_row: usize) -> Place {
        let age = Age { loaded_at_us: self.loaded_at.value(i), file, row: first_row + i };
        Place { id: id_at(self.ids, i), newest_first: Reverse(age) }
    }

    fn is_of(&self, i: usize, load_id: Option<&str>) -> bool {
        load_id.is_some_and(|load_id| self.load_ids.value(i) == load_id)
    }
}

/// Columns of chosen rows, in their order. A column that a table doesn't have is null.
fn read_rows(files: &[PathBuf], chosen: &BTreeSet<Place>, columns: &[String]) -> Result<VecDeque<(RowId, Vec<Value>)>> {
    let mut rows: BTreeMap<Place, Vec<Value>> = BTreeMap::new();
    for (file, path) in files.iter().enumerate() {
        let mut places: Vec<Place> = chosen.iter().filter(|p| p.file() == file).copied().collect();
        if places.is_empty() {
            continue;
        }
        places.sort_unstable_by_key(Place::row);
        let mut next = places.iter();
        for batch in selected(path, &places, columns)? {
            let batch = batch?;
            for (i, place) in (0..batch.num_rows()).zip(next.by_ref()) {
                let values = columns.iter().map(|name| value(&batch, name, i));
                rows.insert(*place, values.collect::<Result<_>>()?);
            }
        }
    }
    Ok(rows.into_iter().map(|(place, values)| (place.id, values)).collect())
}

/// The values of columns in the rows of a table that have one of these ids.
pub(super) fn values_by_id(
    place: &DatasetLayout,
    table: &str,
    wanted: &[RowId],
    columns: &[String],
) -> Result<HashMap<RowId, Vec<Value>>> {
    let wanted: ids::IdMap<()> = wanted.iter().map(|id| (*id, ())).collect();
    let names: Vec<&str> = columns.iter().map(String::as_str).chain([ID]).collect();
    let mut found = HashMap::new();
    for path in place.row_files(table)? {
        for batch in rows::batches(&path, Some(&names))? {
            let batch = batch?;
            let ids = ids::id_array(batch.column_by_name(ID), &path)?;
            for row in (0..batch.num_rows()).filter(|row| wanted.contains_key(&id_at(ids, *row))) {
                let values = columns.iter().map(|name| value(&batch, name, row));
                found.insert(id_at(ids, row), values.collect::<Result<_>>()?);
            }
        }
    }
    Ok(found)
}

fn value(rows: &RecordBatch, column: &str, row: usize) -> Result<Value> {
    let Some(array) = rows.column_by_name(column) else { return Ok(Value::Null) };
    Ok(json_value(array, row, column_type(array.data_type())?))
}

/// The rows at these places of a file, which are in the order of their rows.
fn selected<'a>(
    path: &'a Path,
    places: &[Place],
    columns: &[String],
) -> Result<impl Iterator<Item = Result<RecordBatch>> + use<'a>> {
    let builder = rows::reader(path)?;
    let ranges = places.iter().map(|place| place.row()..place.row() + 1);
    let total =
        usize::try_from(builder.metadata().file_metadata().num_rows()).map_err(|e| broken_rows("read", path, e))?;
    let selection = RowSelection::from_consecutive_ranges(ranges, total);
    // With the id, so that there is a column even if none of those asked for is in the file.
    let names = columns.iter().map(String::as_str).chain([ID]);
    let mask = ProjectionMask::columns(builder.parquet_schema(), names);
    rows::read(path, builder.with_projection(mask).with_row_selection(selection))
}
