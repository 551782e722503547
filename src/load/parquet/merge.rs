//! Which rows a keyed load takes away: those that are there already and come again, and all but the last of those that come
//! several times in one load, each with its child rows.
//!
//! Ids are read from the files, a share of all ids at a time, so that memory doesn't grow with the rows of a load.

use super::ids::{self, IdMap, fold};
use super::load::CallSpan;
use crate::error::Result;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Root rows whose ids are held in memory at once.
pub(super) const IDS_IN_MEMORY: u64 = 1 << 19;

/// Marks on rows of a file.
#[derive(Debug, Clone, Default)]
pub(super) struct Marks {
    words: Vec<u64>,
    count: u64,
}

impl Marks {
    pub(super) fn set(&mut self, row: u64) {
        let word = (row / 64) as usize;
        if word >= self.words.len() {
            self.words.resize(word + 1, 0);
        }
        let bit = 1 << (row % 64);
        self.count += u64::from(self.words[word] & bit == 0);
        self.words[word] |= bit;
    }

    pub(super) fn contains(&self, row: u64) -> bool {
        self.words.get((row / 64) as usize).is_some_and(|word| word & (1 << (row % 64)) != 0)
    }

    /// How many rows are marked.
    pub(super) fn count(&self) -> u64 {
        self.count
    }
}

/// A file of a table, with the rows that don't go into the next version.
#[derive(Debug)]
pub(super) struct MergeFile {
    pub(super) path: PathBuf,
    pub(super) dead: Marks,
    /// For files of the load: which call each row came with.
    pub(super) calls: Option<FileCalls>,
}

/// Which calls the rows of one file of a load came with.
#[derive(Debug, Clone)]
pub(super) struct FileCalls {
    /// Spans over all files of the table.
    pub(super) spans: Arc<[CallSpan]>,
    /// Where this file begins among them.
    pub(super) first_row: u64,
}

/// A table in a merge.
#[derive(Debug)]
pub(super) struct MergeTable {
    /// The column that says to which root row a row belongs.
    pub(super) root_id_column: &'static str,
    pub(super) is_root: bool,
    pub(super) files: Vec<MergeFile>,
}

/// Marks what makes way for the rows of a load. `root_rows`: how many it has.
pub(super) fn mark_superseded(tables: &mut [MergeTable], root_rows: u64) -> Result<()> {
    // Without root rows nothing makes way, and no file needs to be read.
    mark_in_shares(tables, root_rows.div_ceil(IDS_IN_MEMORY))
}

fn mark_in_shares(tables: &mut [MergeTable], shares: u64) -> Result<()> {
    for share in 0..shares {
        let last_call = last_calls(tables, |id| fold(id) % shares == share)?;
        for table in tables.iter_mut() {
            for file in &mut table.files {
                mark_file(file, table.root_id_column, &last_call)?;
            }
        }
    }
    Ok(())
}

/// For each root id of the load that is in the share: the last call that it came with.
fn last_calls(tables: &[MergeTable], in_share: impl Fn(u128) -> bool) -> Result<IdMap<u32>> {
    let mut last = IdMap::default();
    for table in tables.iter().filter(|t| t.is_root) {
        for file in &table.files {
            let Some(calls) = &file.calls else { continue };
            let mut call_of = CallReader::new(calls);
            ids::for_each(&file.path, table.root_id_column, |row, id| {
                let call = call_of.at(row);
                if in_share(id) {
                    let known = last.entry(id).or_insert(call);
                    *known = call.max(*known);
                }
            })?;
        }
    }
    Ok(last)
}

fn mark_file(file: &mut MergeFile, column: &str, last_call: &IdMap<u32>) -> Result<()> {
    let MergeFile { path, dead, calls } = file;
    let mut call_of = calls.as_ref().map(CallReader::new);
    ids::for_each(Path::new(path), column, |row, id| {
        let call = call_of.as_mut().map(|reader| reader.at(row));
        if let Some(last) = last_call.get(&id)
            && call.is_none_or(|call| call < *last)
        {
            dead.set(row);
        }
    })
}

/// Tells the call of each row, for rows asked in order.
struct CallReader<'a> {
    calls: &'a FileCalls,
    at: usize,
}

impl<'a> CallReader<'a> {
    fn new(calls: &'a FileCalls) -> Self {
        let at = calls.spans.partition_point(|span| span.end <= calls.first_row);
        CallReader { calls, at }
    }

    fn at(&mut self, row: u64) -> u32 {
        let row = self.calls.first_row + row;
        while self.calls.spans.get(self.at).is_some_and(|span| span.end <= row) {
            self.at += 1;
        }
        self.calls.spans.get(self.at).map_or(0, |span| span.call)
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Options, rows::RowWriter};
    use super::*;
    use crate::load::bookkeeping::{ID, ROOT_ID};
    use arrow::array::{FixedSizeBinaryArray, RecordBatch};
    use arrow::datatypes::{DataType, Field, Schema};

    fn file(folder: &Path, stem: &str, column: &str, ids: &[u128]) -> PathBuf {
        let schema = Arc::new(Schema::new(vec![Field::new(column, DataType::FixedSizeBinary(16), false)]));
        let ids = FixedSizeBinaryArray::try_from_iter(ids.iter().map(|id| id.to_be_bytes())).unwrap();
        let mut writer = RowWriter::new(folder, stem, schema.clone(), &Options::default());
        writer.write(&RecordBatch::try_new(schema, vec![Arc::new(ids)]).unwrap()).unwrap();
        writer.finish().unwrap().remove(0).path
    }

    fn spans(ends: &[u64]) -> Arc<[CallSpan]> {
        (1..).zip(ends).map(|(call, end)| CallSpan { call, end: *end }).collect()
    }

    fn dead_rows(file: &MergeFile, rows: u64) -> Vec<u64> {
        (0..rows).filter(|row| file.dead.contains(*row)).collect()
    }

    #[test]
    fn the_same_rows_make_way_in_however_many_shares_ids_are_read() {
        for shares in [1, 2, 7] {
            let dir = tempfile::tempdir().unwrap();
            let merge_file = |stem, column, ids: &[u128], calls| MergeFile {
                path: file(dir.path(), stem, column, ids),
                dead: Marks::default(),
                calls,
            };
            let calls = |ends: &[u64], first_row| Some(FileCalls { spans: spans(ends), first_row });
            // The load brings 1, 2 in its first call and 2, 5 in its second, over two files.
            let roots = vec![
                merge_file("old", ID, &[1, 2, 3], None),
                merge_file("new-1", ID, &[1, 2, 2], calls(&[2, 4], 0)),
                merge_file("new-2", ID, &[5], calls(&[2, 4], 3)),
            ];
            let children = vec![
                merge_file("old-lines", ROOT_ID, &[1, 3, 3, 2], None),
                merge_file("new-lines", ROOT_ID, &[2, 1, 2], calls(&[2, 3], 0)),
            ];
            let mut tables = [
                MergeTable { root_id_column: ID, is_root: true, files: roots },
                MergeTable { root_id_column: ROOT_ID, is_root: false, files: children },
            ];
            mark_in_shares(&mut tables, shares).unwrap();
            let dead: Vec<Vec<u64>> = tables.iter().flat_map(|t| &t.files).map(|f| dead_rows(f, 4)).collect();
            assert_eq!(dead, [vec![0, 1], vec![1], vec![], vec![0, 3], vec![0]], "{shares}");
            assert_eq!(tables[1].files[0].dead.count(), 2);
        }
    }

    #[test]
    fn marks_count_each_row_once() {
        let mut marks = Marks::default();
        for row in [0, 63, 64, 1000, 64] {
            marks.set(row);
        }
        assert_eq!(marks.count(), 4);
        assert_eq!((0..2000).filter(|row| marks.contains(*row)).collect::<Vec<_>>(), [0, 63, 64, 1000]);
    }
}
