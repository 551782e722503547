//! The destination as a whole: what a reader sees, at every step of a commit and after a crash at any of them.

use super::files::entries;
use super::steps::survives;
use super::*;
use crate::load::{CursorRow, LoadRow, bookkeeping};
use crate::schema::catalog::{Catalog, Column, Source, Table};
use crate::schema::widen::parse_text;
use arrow::array::{Array, ArrayRef, FixedSizeBinaryArray, Int64Array, RecordBatch, StringArray};
use arrow::datatypes::{DataType, Field, Schema};
use arrow::util::display::array_value_to_string;
use chrono::DateTime;
use parquet::basic::LogicalType;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

const PIPELINE: &str = "shop";
const DATASET: &str = "sales";

const WHOLE: &str = "number(i64,whole,exact,4,0)";
const TEXT: &str = "text";

/// Files of 8 rows, so that a few rows fill several.
fn options() -> Options {
    Options { compression: Compression::Snappy, row_group_rows: 4, file_rows: 8 }
}

fn connect(dir: &Path) -> ParquetFolder {
    ParquetFolder::connect(dir, options(), "test", Duration::ZERO).unwrap()
}

fn opened(dir: &Path) -> (ParquetFolder, Stored) {
    let mut folder = connect(dir);
    let stored = folder.open(PIPELINE, DATASET).unwrap();
    (folder, stored)
}

fn table(name: &str, path: &[&str], columns: &[(&str, &str)]) -> Table {
    let column = |(name, observed): &(&str, &str)| Column {
        source: Source::Field(vec![(*name).to_owned()]),
        name: (*name).to_owned(),
        observed: observed.parse().unwrap(),
        declared: None,
    };
    Table {
        path: path.iter().map(|step| vec![(*step).to_owned()]).collect(),
        name: name.to_owned(),
        columns: columns.iter().map(column).collect(),
    }
}

fn orders(columns: &[(&str, &str)]) -> Table {
    table("orders", &[], columns)
}

fn lines() -> Table {
    table("orders__lines", &["lines"], &[("sku", TEXT)])
}

fn id_array(ids: impl Iterator<Item = u128>) -> ArrayRef {
    let bytes: Vec<[u8; 16]> = ids.map(u128::to_be_bytes).collect();
    Arc::new(FixedSizeBinaryArray::try_from_sparse_iter_with_size(bytes.iter().map(Some), 16).unwrap())
}

/// Rows for a table: id, root id (the id itself for root rows), cells.
fn fitted(table: &Table, rows: &[(u128, u128, &[Option<&str>])]) -> Fitted {
    let id = |name: &str| Field::new(name, DataType::FixedSizeBinary(16), false);
    let mut fields = vec![id(bookkeeping::ID)];
    let mut arrays = vec![id_array(rows.iter().map(|r| r.0))];
    if !table.is_root() {
        fields.extend([id(bookkeeping::PARENT_ID), id(bookkeeping::ROOT_ID)]);
        fields.push(Field::new(bookkeeping::LIST_INDEX, DataType::Int64, false));
        arrays.extend([id_array(rows.iter().map(|r| r.1)), id_array(rows.iter().map(|r| r.1))]);
        arrays.push(Arc::new(Int64Array::from_iter_values(0..rows.len() as i64)));
    }
    for (i, column) in table.columns.iter().enumerate() {
        fields.push(Field::new(&column.name, column.data_type().arrow(), true));
        let texts: StringArray = rows.iter().map(|r| r.2[i]).collect();
        arrays.push(parse_text(&texts, column.data_type(), &Default::default()).unwrap());
    }
    let batch = RecordBatch::try_new(Arc::new(Schema::new(fields)), arrays).unwrap();
    Fitted { table: table.clone(), changes: vec![], batches: vec![batch] }
}

/// One load of orders with lines: order id, note, skus.
#[derive(Clone)]
struct Rows {
    load_id: &'static str,
    write: WriteDisposition,
    fresh: bool,
    table: Table,
    calls: Vec<Vec<(u128, &'static str, Vec<&'static str>)>>,
}

impl Rows {
    fn new(
        load_id: &'static str,
        write: WriteDisposition,
        calls: Vec<Vec<(u128, &'static str, Vec<&'static str>)>>,
    ) -> Self {
        Rows { load_id, write, fresh: false, table: orders(&[("note", TEXT)]), calls }
    }

    fn load(&self, folder: &mut ParquetFolder, before: &Stored) -> Result<()> {
        let ticket = self.begin(folder, before)?;
        folder.commit(ticket, self.commit())
    }

    fn begin(&self, folder: &mut ParquetFolder, before: &Stored) -> Result<Ticket> {
        let ticket = folder.begin(LoadSpec {
            load_id: self.load_id.into(),
            loaded_at: DateTime::from_timestamp(1_700_000_000, 0).unwrap(),
            pipeline: PIPELINE.into(),
            dataset: DATASET.into(),
            resource: "orders".into(),
            tables_of: "orders".into(),
            fellows: Vec::new(),
            write: self.write,
            keyed: self.write == Merge,
            key: Vec::new(),
            merge: Default::default(),
            descriptions: Vec::new(),
            catalog: before.catalogs.get("orders").cloned().unwrap_or_default(),
            fresh: self.fresh,
        })?;
        for call in &self.calls {
            let cells: Vec<[Option<&str>; 1]> = call.iter().map(|(_, note, _)| [Some(*note)]).collect();
            let roots: Vec<_> = call.iter().zip(&cells).map(|((id, ..), c)| (*id, *id, &c[..])).collect();
            let skus: Vec<(u128, [Option<&str>; 1])> =
                call.iter().flat_map(|(id, _, skus)| skus.iter().map(|sku| (*id, [Some(*sku)]))).collect();
            let children: Vec<_> =
                skus.iter().enumerate().map(|(i, (root, c))| (root * 1000 + i as u128, *root, &c[..])).collect();
            folder.write(&ticket, vec![fitted(&self.table, &roots), fitted(&lines(), &children)])?;
        }
        Ok(ticket)
    }

    fn commit(&self) -> Commit {
        let time = DateTime::from_timestamp(1_700_000_009, 0).unwrap();
        Commit {
            cursors: vec![CursorRow {
                resource: "orders".into(),
                partition: String::new(),
                value: format!("\"{}\"", self.load_id),
            }],
            forget_cursors: self.fresh,
            forget_cursors_of: Vec::new(),
            record: LoadRow {
                status: "completed".into(),
                started_at: time,
                committed_at: time,
                requests: 1,
                pages: 1,
                records: 1,
                bytes: 1,
                rows: vec![],
                discarded: vec![],
                end: None,
                error: None,
            },
            changes: vec![],
            catalog: Catalog { tables: vec![self.table.clone(), lines()] },
        }
    }
}

mod conformance {
    use super::*;

    crate::load::conformance::destination_suite!(|dir| Box::new(connect(dir)) as Box<dyn Destination>);
}

/// What a reader finds in the columns of a table, sorted.
fn read(dir: &Path, table: &str, columns: &[&str]) -> Vec<String> {
    let mut found = Vec::new();
    for path in Layout::new(dir).dataset(DATASET).row_files(table).unwrap() {
        for batch in rows::batches(&path, None).unwrap() {
            let batch = batch.unwrap();
            for i in 0..batch.num_rows() {
                let cell = |name: &&str| {
                    let array = batch.column_by_name(name).unwrap();
                    if array.is_null(i) { "null".into() } else { array_value_to_string(array, i).unwrap() }
                };
                found.push(columns.iter().map(cell).collect::<Vec<_>>().join(" "));
            }
        }
    }
    found.sort();
    found
}

fn snapshot(dir: &Path) -> [Vec<String>; 4] {
    [
        read(dir, "orders", &["note", bookkeeping::ID, bookkeeping::LOAD_ID]),
        read(dir, "orders__lines", &["sku", bookkeeping::ROOT_ID, bookkeeping::LOAD_ID]),
        read(dir, "_pintail_loads", &["load_id", "resource", "status"]),
        read(dir, "_pintail_state", &["resource", "partition", "cursor"]),
    ]
}

fn notes(dir: &Path) -> Vec<String> {
    read(dir, "orders", &["note"])
}

use WriteDisposition::{Append, Merge, Replace};

fn first_load() -> Rows {
    let calls =
        vec![vec![(1, "a", vec!["a1", "a2"]), (2, "b", vec!["b1"]), (3, "c", vec![])], vec![(4, "d", vec!["d1"])]];
    Rows::new("0001", Append, calls)
}

#[test]
fn a_merge_takes_the_place_of_rows_and_their_children_also_within_a_load() {
    let dir = tempfile::tempdir().unwrap();
    let (mut folder, stored) = opened(dir.path());
    first_load().load(&mut folder, &stored).unwrap();
    let (_, stored) = {
        drop(folder);
        opened(dir.path())
    };
    let calls = vec![
        vec![(2, "b-first", vec!["b8", "b9"]), (5, "e", vec!["e1"])],
        vec![(6, "f", vec![]), (2, "b-last", vec!["b2"])],
        vec![(1, "a-new", vec![])],
    ];
    let (mut folder, _) = opened(dir.path());
    Rows::new("0002", Merge, calls).load(&mut folder, &stored).unwrap();
    assert_eq!(notes(dir.path()), ["a-new", "b-last", "c", "d", "e", "f"]);
    assert_eq!(read(dir.path(), "orders__lines", &["sku"]), ["b2", "d1", "e1"]);
}

#[test]
fn a_merge_leaves_files_without_hits_as_they_are() {
    let dir = tempfile::tempdir().unwrap();
    let (mut folder, stored) = opened(dir.path());
    let many = (0..20).map(|i| (i, "x", vec![])).collect();
    Rows::new("0001", Append, vec![many]).load(&mut folder, &stored).unwrap();
    let stored = folder.open(PIPELINE, DATASET).unwrap();
    let place = Layout::new(dir.path()).dataset(DATASET);
    let before: BTreeSet<PathBuf> = place.row_files("orders").unwrap().into_iter().collect();
    Rows::new("0002", Merge, vec![vec![(19, "y", vec![])]]).load(&mut folder, &stored).unwrap();
    let after: BTreeSet<PathBuf> = place.row_files("orders").unwrap().into_iter().collect();
    assert_eq!((before.len(), before.intersection(&after).count()), (3, 2));
    assert_eq!(notes(dir.path()).len(), 20);
}

#[test]
fn replace_without_rows_leaves_an_empty_file_with_the_columns() {
    let dir = tempfile::tempdir().unwrap();
    let (mut folder, stored) = opened(dir.path());
    first_load().load(&mut folder, &stored).unwrap();
    let stored = folder.open(PIPELINE, DATASET).unwrap();
    Rows::new("0002", Replace, vec![]).load(&mut folder, &stored).unwrap();
    for name in ["orders", "orders__lines"] {
        let files = Layout::new(dir.path()).dataset(DATASET).row_files(name).unwrap();
        assert_eq!(files.len(), 1);
        assert_eq!(rows::count(&files[0]).unwrap(), 0);
    }
}

#[test]
fn a_fresh_load_drops_what_is_not_written_again() {
    let dir = tempfile::tempdir().unwrap();
    let (mut folder, stored) = opened(dir.path());
    first_load().load(&mut folder, &stored).unwrap();
    let stored = folder.open(PIPELINE, DATASET).unwrap();
    let again = Rows { fresh: true, ..Rows::new("0002", Append, vec![]) };
    let ticket = again.begin(&mut folder, &stored).unwrap();
    folder.write(&ticket, vec![fitted(&again.table, &[(9, 9, &[Some("z")])])]).unwrap();
    let commit = Commit { catalog: Catalog { tables: vec![again.table.clone()] }, ..again.commit() };
    folder.commit(ticket, commit).unwrap();
    assert_eq!(notes(dir.path()), ["z"]);
    assert!(!dir.path().join(DATASET).join("orders__lines").exists());
    let stored = folder.open(PIPELINE, DATASET).unwrap();
    assert_eq!(stored.catalogs["orders"].tables.len(), 1);
    assert_eq!(stored.cursors.iter().map(|c| c.value.as_str()).collect::<Vec<_>>(), ["\"0002\""]);
}

#[test]
fn a_wider_or_a_new_column_is_in_every_file_of_the_table() {
    let dir = tempfile::tempdir().unwrap();
    let (mut folder, stored) = opened(dir.path());
    let narrow = orders(&[("n", WHOLE)]);
    let first = Rows { table: narrow, ..Rows::new("0001", Append, vec![vec![(1, "12", vec![]), (2, "7", vec![])]]) };
    first.load(&mut folder, &stored).unwrap();
    let stored = folder.open(PIPELINE, DATASET).unwrap();
    let second = Rows::new("0002", Append, vec![]);
    let ticket = second.begin(&mut folder, &stored).unwrap();
    // Within this load too: first as it was, then wider, then with one more column.
    let wider = orders(&[("n", "number(i64,whole,exact,4,0) text")]);
    let more = orders(&[("n", "number(i64,whole,exact,4,0) text"), ("m", "boolean")]);
    folder.write(&ticket, vec![fitted(&orders(&[("n", WHOLE)]), &[(3, 3, &[Some("5")])])]).unwrap();
    folder.write(&ticket, vec![fitted(&wider, &[(4, 4, &[Some("x")])])]).unwrap();
    folder.write(&ticket, vec![fitted(&more, &[(5, 5, &[Some("y"), Some("true")])])]).unwrap();
    let catalog = Catalog { tables: vec![more, lines()] };
    folder.commit(ticket, Commit { catalog: catalog.clone(), ..second.commit() }).unwrap();
    assert_eq!(read(dir.path(), "orders", &["n", "m"]), ["12 null", "5 null", "7 null", "x null", "y true"]);
    let schemas: BTreeSet<String> = Layout::new(dir.path())
        .dataset(DATASET)
        .row_files("orders")
        .unwrap()
        .iter()
        .map(|path| rows::reader(path).unwrap().schema().fields().iter().map(|f| f.to_string()).collect())
        .collect();
    assert_eq!(schemas.len(), 1);
    assert_eq!(folder.open(PIPELINE, DATASET).unwrap().catalogs["orders"], catalog);
}

#[test]
fn many_small_files_are_joined_by_a_commit() {
    let dir = tempfile::tempdir().unwrap();
    let options = Options { file_rows: 1000, ..options() };
    let mut folder = ParquetFolder::connect(dir.path(), options, "test", Duration::ZERO).unwrap();
    for i in 0..40 {
        let stored = folder.open(PIPELINE, DATASET).unwrap();
        Rows::new("0001", Append, vec![vec![(i, "x", vec![])]]).load(&mut folder, &stored).unwrap();
        assert!(Layout::new(dir.path()).dataset(DATASET).row_files("orders").unwrap().len() <= 17);
    }
    assert_eq!(notes(dir.path()).len(), 40);
}

#[test]
fn loads_of_several_resources_are_open_at_once_and_an_aborted_one_leaves_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let (mut folder, stored) = opened(dir.path());
    let ticket = first_load().begin(&mut folder, &stored).unwrap();
    let other = folder
        .begin(LoadSpec {
            load_id: "0001".into(),
            loaded_at: DateTime::UNIX_EPOCH,
            pipeline: PIPELINE.into(),
            dataset: DATASET.into(),
            resource: "views".into(),
            tables_of: "views".into(),
            fellows: Vec::new(),
            write: Append,
            keyed: false,
            key: Vec::new(),
            merge: Default::default(),
            descriptions: Vec::new(),
            catalog: Catalog::default(),
            fresh: false,
        })
        .unwrap();
    folder.write(&other, vec![fitted(&table("views", &[], &[("n", WHOLE)]), &[(1, 1, &[Some("1")])])]).unwrap();
    assert_eq!(folder.stored(&ticket, "orders", &[1]).unwrap(), HashMap::new());
    folder.commit(ticket, first_load().commit()).unwrap();
    folder.abort(other).unwrap();
    assert!(!dir.path().join(DATASET).join("views").exists());
    Box::new(folder).close().unwrap();
    assert_eq!(entries(&dir.path().join(".pintail").join(DATASET)).unwrap(), Vec::<PathBuf>::new());
}

/// Kills a load at each of its steps, and each time lets the next run go on.
fn check_crashes(load: &Rows) {
    let expected = {
        let dir = tempfile::tempdir().unwrap();
        let (mut folder, stored) = opened(dir.path());
        first_load().load(&mut folder, &stored).unwrap();
        let before = snapshot(dir.path());
        let stored = folder.open(PIPELINE, DATASET).unwrap();
        load.load(&mut folder, &stored).unwrap();
        [before, snapshot(dir.path())]
    };
    let mut outcomes = BTreeSet::new();
    for step in 0.. {
        let dir = tempfile::tempdir().unwrap();
        let (mut folder, stored) = opened(dir.path());
        first_load().load(&mut folder, &stored).unwrap();
        let stored = folder.open(PIPELINE, DATASET).unwrap();
        folder.steps = Steps::dying_at(step);
        let survived = survives(|| load.load(&mut folder, &stored).unwrap()).is_some();
        drop(folder);
        let (mut folder, stored) = opened(dir.path());
        let found = snapshot(dir.path());
        let committed = found == expected[1];
        assert!(committed || found == expected[0], "step {step}: {found:?}");
        let last = if committed { load.load_id } else { "0001" };
        assert_eq!(stored.last_load_id.as_deref(), Some(last), "step {step}");
        assert_eq!(stored.cursors[0].value, format!("\"{last}\""), "step {step}");
        if !committed {
            load.load(&mut folder, &stored).unwrap();
            assert_eq!(snapshot(dir.path()), expected[1], "step {step}");
        }
        outcomes.insert((survived, committed));
        if survived {
            assert!(committed);
            break;
        }
        Box::new(folder).close().unwrap();
        assert_eq!(entries(&dir.path().join(".pintail").join(DATASET)).unwrap(), Vec::<PathBuf>::new());
    }
    assert_eq!(outcomes, BTreeSet::from([(false, false), (false, true), (true, true)]), "all outcomes are met");
}

#[test]
fn an_append_killed_at_any_step_is_there_whole_or_not_at_all() {
    check_crashes(&Rows::new("0002", Append, vec![vec![(5, "e", vec!["e1"])]]));
}

#[test]
fn a_replace_killed_at_any_step_is_there_whole_or_not_at_all() {
    check_crashes(&Rows::new("0002", Replace, vec![vec![(5, "e", vec!["e1"])]]));
}

#[test]
fn a_merge_killed_at_any_step_is_there_whole_or_not_at_all() {
    check_crashes(&Rows::new(
        "0002",
        Merge,
        vec![vec![(1, "a-new", vec!["a9"]), (5, "e", vec![])], vec![(5, "e2", vec![])]],
    ));
}

#[test]
fn a_fresh_load_killed_at_any_step_is_there_whole_or_not_at_all() {
    check_crashes(&Rows { fresh: true, ..Rows::new("0002", Append, vec![vec![(5, "e", vec!["e1"])]]) });
}

/// Lists and reads a table like any reader, again if a file is gone by the time it is opened.
fn read_as_a_stranger(folder: &Path) -> Vec<String> {
    'again: loop {
        let Ok(entries) = std::fs::read_dir(folder) else { continue };
        let paths: Vec<PathBuf> = entries.map(|e| e.unwrap().path()).collect();
        let files: Vec<_> = paths.into_iter().filter(|p| p.extension().is_some_and(|e| e == "parquet")).collect();
        assert!(!files.is_empty(), "a table always has a file");
        let mut found = Vec::new();
        for path in files {
            let file = match std::fs::File::open(&path) {
                Ok(file) => file,
                Err(e) if e.kind() == std::io::ErrorKind::NotFound => continue 'again,
                Err(e) => panic!("{e}"),
            };
            let reader = parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder::try_new(file).unwrap();
            for batch in reader.build().unwrap() {
                let batch = batch.unwrap();
                let notes = batch.column_by_name("note").unwrap();
                found.extend((0..notes.len()).map(|i| array_value_to_string(notes, i).unwrap()));
            }
        }
        return found;
    }
}

#[test]
fn a_reader_sees_a_whole_version_at_any_time() {
    const VERSIONS: [&str; 4] = ["v0", "v1", "v2", "v3"];
    let dir = tempfile::tempdir().unwrap();
    let (mut folder, stored) = opened(dir.path());
    let version = |v: usize, write| {
        let rows = (0..20).map(|id| (id, VERSIONS[v % 4], vec![])).collect();
        Rows::new("0001", write, vec![rows])
    };
    version(0, Append).load(&mut folder, &stored).unwrap();
    let done = AtomicBool::new(false);
    let table = dir.path().join(DATASET).join("orders");
    std::thread::scope(|scope| {
        let reader = scope.spawn(|| {
            let mut reads = 0;
            while !done.load(Ordering::Relaxed) {
                let found = read_as_a_stranger(&table);
                assert_eq!(found.len(), 20);
                assert!(found.iter().all(|note| *note == found[0]), "{found:?}");
                reads += 1;
            }
            reads
        });
        for v in 1..60 {
            let stored = folder.open(PIPELINE, DATASET).unwrap();
            version(v, if v % 2 == 0 { Replace } else { Merge }).load(&mut folder, &stored).unwrap();
        }
        done.store(true, Ordering::Relaxed);
        assert!(reader.join().unwrap() > 10);
    });
}

#[test]
fn parents_come_in_pages_by_id_with_the_newest_row_of_each_first() {
    let dir = tempfile::tempdir().unwrap();
    let (mut folder, stored) = opened(dir.path());
    let all = (0..20).rev().map(|id| (id * 7 % 20, "old", vec![])).collect();
    Rows::new("0001", Append, vec![all]).load(&mut folder, &stored).unwrap();
    let stored = folder.open(PIPELINE, DATASET).unwrap();
    Rows::new("0002", Append, vec![vec![(3, "new", vec![]), (30, "new", vec![])]]).load(&mut folder, &stored).unwrap();
    let mut query = ParentQuery {
        dataset: DATASET.into(),
        table: "orders".into(),
        columns: vec!["note".into(), "not_there".into()],
        except_load_id: None,
        after: None,
        limit: 6,
        ordered: true,
    };
    let mut walk = |query: &mut ParentQuery| {
        let mut found = Vec::new();
        loop {
            let page = folder.parents(query).unwrap();
            assert!(page.len() <= query.limit);
            let Some((last, _)) = page.last() else { return found };
            query.after = Some(*last);
            found.extend(page);
        }
    };
    let found = walk(&mut query);
    let first_of_each: BTreeMap<u128, &Value> = found.iter().rev().map(|(id, values)| (*id, &values[0])).collect();
    assert_eq!(first_of_each.keys().copied().collect::<Vec<_>>(), (0..20).chain([30]).collect::<Vec<_>>());
    assert!(first_of_each.iter().all(|(id, note)| **note == (if [3, 30].contains(id) { "new" } else { "old" })));
    assert!(found.is_sorted_by_key(|(id, _)| *id) && found.iter().all(|(_, values)| values[1].is_null()));
    let older = walk(&mut ParentQuery { except_load_id: Some("0002".into()), after: None, ..query.clone() });
    assert!(older.len() == 20 && older.iter().all(|(_, values)| values[0] == "old"));
    assert_eq!(folder.parents(&ParentQuery { table: "nobody".into(), ..query }).unwrap(), vec![]);
}

#[test]
fn stored_counts_committed_rows_by_id() {
    let dir = tempfile::tempdir().unwrap();
    let (mut folder, stored) = opened(dir.path());
    first_load().load(&mut folder, &stored).unwrap();
    let stored = folder.open(PIPELINE, DATASET).unwrap();
    Rows::new("0002", Append, vec![vec![(2, "b", vec![])]]).load(&mut folder, &stored).unwrap();
    let stored = folder.open(PIPELINE, DATASET).unwrap();
    let ticket = Rows::new("0003", Append, vec![vec![(2, "b", vec![])]]).begin(&mut folder, &stored).unwrap();
    assert_eq!(folder.stored(&ticket, "orders", &[1, 2, 77]).unwrap(), HashMap::from([(1, 1), (2, 2)]));
}

#[test]
fn one_cursor_of_many_partitions_is_found_moved_and_forgotten() {
    let dir = tempfile::tempdir().unwrap();
    let (mut folder, stored) = opened(dir.path());
    let rows = Rows::new("0001", Append, vec![]);
    let partition = |i: u32| format!("{{\"id\":{}}}", i.wrapping_mul(2_654_435_761));
    let cursors = |range: std::ops::Range<u32>, value: &str| -> Vec<CursorRow> {
        let row = |i| CursorRow { resource: "orders".into(), partition: partition(i), value: value.into() };
        range.map(row).collect()
    };
    for (range, value) in [(0..3000, "1"), (2500..6000, "2"), (10..11, "3")] {
        let ticket = rows.begin(&mut folder, &stored).unwrap();
        folder.commit(ticket, Commit { cursors: cursors(range, value), ..rows.commit() }).unwrap();
    }
    for (i, value) in
        [(0, Some("1")), (10, Some("3")), (2499, Some("1")), (2500, Some("2")), (5999, Some("2")), (6000, None)]
    {
        let found = folder.cursors(PIPELINE, DATASET, "orders", &[partition(i)]).unwrap();
        assert_eq!(found.get(&partition(i)).map(String::as_str), value, "{i}");
    }
    assert!(folder.cursors(PIPELINE, DATASET, "views", &[partition(1)]).unwrap().is_empty());
    let many: Vec<String> = (0..7000).step_by(7).map(partition).collect();
    assert_eq!(folder.cursors(PIPELINE, DATASET, "orders", &many).unwrap().len(), 858);
    assert_eq!(read(dir.path(), "_pintail_state", &["partition"]).len(), 6000);
    let ticket = rows.begin(&mut folder, &stored).unwrap();
    folder.commit(ticket, Commit { cursors: cursors(7..8, "4"), forget_cursors: true, ..rows.commit() }).unwrap();
    assert_eq!(read(dir.path(), "_pintail_state", &["cursor"]), ["4"]);
}

#[test]
fn ids_are_uuids_and_json_is_json_to_readers_of_parquet() {
    let dir = tempfile::tempdir().unwrap();
    let (mut folder, stored) = opened(dir.path());
    first_load().load(&mut folder, &stored).unwrap();
    let logical_type = |table: &str, column: &str| {
        let path = Layout::new(dir.path()).dataset(DATASET).row_files(table).unwrap().remove(0);
        let reader = rows::reader(&path).unwrap();
        let columns = reader.parquet_schema().columns().to_vec();
        columns.iter().find(|c| c.name() == column).and_then(|c| c.logical_type_ref().cloned())
    };
    assert_eq!(logical_type("orders", bookkeeping::ID), Some(LogicalType::Uuid));
    assert_eq!(logical_type("orders__lines", bookkeeping::ROOT_ID), Some(LogicalType::Uuid));
    assert_eq!(logical_type("_pintail_loads", "rows"), Some(LogicalType::Json));
}

#[test]
fn a_folder_of_a_newer_format_is_refused_and_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    drop(opened(dir.path()));
    let place = Layout::new(dir.path()).dataset(DATASET);
    let meta = place.row_files("_pintail_meta").unwrap().remove(0);
    let newer = StringArray::from(vec!["format_version", "warehouse_id"]);
    let values = StringArray::from(vec!["99", "w"]);
    let batch =
        RecordBatch::try_new(bookkeeping::META.arrow_schema(), vec![Arc::new(newer), Arc::new(values)]).unwrap();
    let mut writer = rows::RowWriter::new(dir.path(), "newer", batch.schema(), &options());
    writer.write(&batch).unwrap();
    std::fs::rename(&writer.finish().unwrap()[0].path, &meta).unwrap();
    let left = place.work.join("something-of-theirs");
    std::fs::write(&left, "").unwrap();
    let error = connect(dir.path()).open(PIPELINE, DATASET).unwrap_err();
    assert_eq!(error.kind(), Kind::Destination);
    assert!(error.message().contains("newer version"), "{error:?}");
    assert!(left.exists());
}

#[test]
fn a_second_writer_is_refused_and_the_warehouse_keeps_its_identity() {
    let dir = tempfile::tempdir().unwrap();
    let (folder, stored) = opened(dir.path());
    let refused = ParquetFolder::connect(dir.path(), options(), "test", Duration::ZERO).err().unwrap();
    assert_eq!(refused.kind(), Kind::Locked);
    drop(folder);
    let (mut folder, again) = opened(dir.path());
    assert_eq!(again.warehouse_id, stored.warehouse_id);
    assert_ne!(folder.open(PIPELINE, "another").unwrap().warehouse_id, "");
}

#[test]
fn a_load_that_cannot_be_written_leaves_the_tables_as_they_are() {
    let dir = tempfile::tempdir().unwrap();
    let (mut folder, stored) = opened(dir.path());
    first_load().load(&mut folder, &stored).unwrap();
    let before = snapshot(dir.path());
    let stored = folder.open(PIPELINE, DATASET).unwrap();
    let next = Rows::new("0002", Merge, vec![vec![(1, "new", vec![])]]);
    let ticket = next.begin(&mut folder, &stored).unwrap();
    let place = Layout::new(dir.path()).dataset(DATASET);
    std::fs::write(place.load(2).join("rewritten"), "in the way").unwrap();
    let error = folder.commit(ticket, next.commit()).unwrap_err();
    assert_eq!(error.kind(), Kind::Destination);
    assert!(error.context("path").is_some());
    assert_eq!(snapshot(dir.path()), before);
    next.load(&mut folder, &stored).unwrap();
    assert_eq!(notes(dir.path()), ["b", "c", "d", "new"]);
}

#[test]
fn a_folder_of_someone_else_where_a_table_has_to_go_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let (mut folder, stored) = opened(dir.path());
    let theirs = dir.path().join(DATASET).join("orders");
    std::fs::create_dir(&theirs).unwrap();
    std::fs::write(theirs.join("mine.parquet"), "").unwrap();
    let error = first_load().begin(&mut folder, &stored).unwrap_err();
    assert_eq!((error.kind(), error.context("path")), (Kind::Destination, theirs.to_str()));
    assert!(theirs.join("mine.parquet").exists());
}
