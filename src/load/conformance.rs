//! What every destination has to do, as tests that take any destination.
//!
//! [`destination_suite!`] makes one test of each function here. Rows are read back through the trait itself, page by page.

mod by_hand;
mod discarding;
mod merging;
mod typing;

pub(crate) use by_hand::*;
pub(crate) use discarding::*;
pub(crate) use merging::*;
pub(crate) use typing::*;

use super::{
    Commit, CursorRow, Destination, ListQuery, LoadRow, LoadSpec, ParentQuery, RowId, Stored, TableChange, Ticket,
};
use crate::plan::model::WriteDisposition;
use crate::schema::catalog::{Catalog, Change, Column, Fitted, Source, Table};
use crate::schema::fit::schema_of;
use crate::schema::types::{ColumnType, TextForm};
use crate::schema::widen::Recast;
use arrow::array::{
    ArrayRef, BooleanArray, Date32Array, Decimal128Array, FixedSizeBinaryArray, Float64Array, Int64Array, RecordBatch,
    StringArray, TimestampMicrosecondArray,
};
use chrono::DateTime;
use serde_json::{Value, json};
use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

/// Opens the destination that lives in a folder, or makes it there.
pub(crate) type Opener = fn(&Path) -> Box<dyn Destination>;

/// One test per rule of the contract, for the destination that an [`Opener`] gives.
macro_rules! destination_suite {
    ($open:expr) => {
        $crate::load::conformance::destination_suite!($open;
            every_type_comes_back_as_it_went_in,
            append_adds_rows_and_counts_those_of_earlier_loads,
            a_merged_row_takes_the_place_of_the_old_one_with_its_children,
            the_last_of_two_rows_with_one_id_wins_within_a_load,
            merging_into_an_empty_table_still_sees_repeated_ids,
            replace_without_rows_leaves_empty_tables,
            replace_keeps_the_old_rows_until_the_commit,
            replace_with_a_key_keeps_the_last_row_of_each_id,
            several_checkpoints_of_one_run_add_up,
            a_fresh_load_starts_tables_and_cursors_anew,
            an_aborted_load_leaves_nothing,
            a_reopened_warehouse_knows_what_was_committed,
            partitions_keep_cursors_of_their_own,
            cursors_are_changed_by_hand_all_or_none,
            open_loads_of_several_resources_do_not_disturb_each_other,
            an_added_column_is_null_in_old_rows,
            a_dropped_column_is_gone,
            widening_keeps_every_value,
            rows_are_paged_in_order_of_their_ids,
            what_was_never_seen_is_empty_or_null,
            datasets_and_pipelines_are_apart,
            a_settled_load_says_what_is_in_the_tables,
            a_group_is_replaced_as_a_whole,
            a_checkpoint_of_the_same_run_belongs_to_the_group,
            a_stored_key_stays_as_it_is,
            values_are_those_of_committed_rows,
            a_changed_record_has_a_new_version_and_its_old_one_is_closed,
            absent_records_are_retired_if_asked_for,
            a_deleted_record_goes_with_its_child_rows,
            a_table_keeps_its_kind,
            what_was_left_out_shows_with_the_commit,
            loads_that_a_killed_run_left_as_running_are_over_when_it_is_opened,
        );
    };
    ($open:expr; $($rule:ident,)+) => {
        $(#[test]
        fn $rule() {
            let folder = tempfile::tempdir().unwrap();
            $crate::load::conformance::$rule($open, folder.path());
        })+
    };
}
pub(crate) use destination_suite;

const PIPELINE: &str = "shop";
const DATASET: &str = "shop_data";

/// A table whose columns have declared types.
pub(crate) fn table(name: &str, path: &[&str], columns: &[(&str, ColumnType)]) -> Table {
    let column = |(name, data_type): &(&str, ColumnType)| Column {
        source: Source::Field(vec![(*name).to_owned()]),
        name: (*name).to_owned(),
        observed: "null".parse().unwrap(),
        declared: Some(*data_type),
    };
    Table {
        path: path.iter().map(|key| vec![(*key).to_owned()]).collect(),
        name: name.to_owned(),
        columns: columns.iter().map(column).collect(),
    }
}

fn id_array(ids: &[RowId]) -> ArrayRef {
    let bytes: Vec<u8> = ids.iter().copied().flat_map(RowId::to_be_bytes).collect();
    Arc::new(FixedSizeBinaryArray::try_new(16, bytes.into(), None).unwrap())
}

/// Rows of a root table: ids and data columns.
pub(crate) fn root_rows(table: &Table, ids: &[RowId], columns: Vec<ArrayRef>) -> RecordBatch {
    let mut arrays = vec![id_array(ids)];
    arrays.extend(columns);
    RecordBatch::try_new(schema_of(table), arrays).unwrap()
}

/// Rows of a child table whose parents are root rows: (id, root id) and data columns.
pub(crate) fn child_rows(table: &Table, ids: &[(RowId, RowId)], columns: Vec<ArrayRef>) -> RecordBatch {
    let own: Vec<RowId> = ids.iter().map(|(id, _)| *id).collect();
    let roots: Vec<RowId> = ids.iter().map(|(_, root)| *root).collect();
    let index: Int64Array = (0..ids.len() as i64).collect();
    let mut arrays = vec![id_array(&own), id_array(&roots), id_array(&roots), Arc::new(index) as ArrayRef];
    arrays.extend(columns);
    RecordBatch::try_new(schema_of(table), arrays).unwrap()
}

pub(crate) fn texts(values: &[&str]) -> ArrayRef {
    Arc::new(StringArray::from(values.to_vec()))
}

/// `videos(title)` and its child `videos__tags(value)`.
fn videos() -> Catalog {
    Catalog {
        tables: vec![
            table("videos", &[], &[("title", ColumnType::Varchar)]),
            table("videos__tags", &["tags"], &[("value", ColumnType::Varchar)]),
        ],
    }
}

/// What one call of `write` brings: videos as (id, title), tags as (id, video, value).
fn videos_part(create: bool, videos_: &[(RowId, &str)], tags: &[(RowId, RowId, &str)]) -> Vec<Fitted> {
    let [root, child] = <[Table; 2]>::try_from(videos().tables).unwrap();
    let changes = if create { vec![Change::CreateTable] } else { Vec::new() };
    let ids: Vec<RowId> = videos_.iter().map(|(id, _)| *id).collect();
    let titles: Vec<&str> = videos_.iter().map(|(_, title)| *title).collect();
    let links: Vec<(RowId, RowId)> = tags.iter().map(|(id, video, _)| (*id, *video)).collect();
    let values: Vec<&str> = tags.iter().map(|(.., value)| *value).collect();
    let root_batch = root_rows(&root, &ids, vec![texts(&titles)]);
    let child_batch = child_rows(&child, &links, vec![texts(&values)]);
    vec![
        Fitted { table: root, changes: changes.clone(), batches: vec![root_batch] },
        Fitted { table: child, changes, batches: vec![child_batch] },
    ]
}

pub(crate) fn spec(load_id: &str, resource: &str, write: WriteDisposition, catalog: &Catalog) -> LoadSpec {
    LoadSpec {
        load_id: load_id.to_owned(),
        loaded_at: DateTime::from_timestamp_micros(1_700_000_000_000_001).unwrap(),
        pipeline: PIPELINE.to_owned(),
        dataset: DATASET.to_owned(),
        resource: resource.to_owned(),
        tables_of: resource.to_owned(),
        fellows: Vec::new(),
        write,
        keyed: write == WriteDisposition::Merge,
        key: Vec::new(),
        merge: Default::default(),
        descriptions: Vec::new(),
        catalog: catalog.clone(),
        fresh: false,
    }
}

pub(crate) fn commit(cursors: &[(&str, &str, &str)], catalog: &Catalog) -> Commit {
    let time = DateTime::from_timestamp_micros(1_700_000_100_000_000).unwrap();
    let cursor = |(resource, partition, value): &(&str, &str, &str)| CursorRow {
        resource: (*resource).to_owned(),
        partition: (*partition).to_owned(),
        value: (*value).to_owned(),
    };
    let change = |table: &Table| TableChange { table: table.name.clone(), change: Change::CreateTable };
    Commit {
        cursors: cursors.iter().map(cursor).collect(),
        forget_cursors: false,
        forget_cursors_of: Vec::new(),
        record: LoadRow {
            status: "completed".to_owned(),
            started_at: time,
            committed_at: time,
            requests: 1,
            pages: 1,
            records: 2,
            bytes: 300,
            rows: catalog.tables.iter().map(|t| (t.name.clone(), 2)).collect(),
            discarded: vec![],
            end: Some("empty page".to_owned()),
            error: None,
        },
        changes: catalog.tables.iter().map(change).collect(),
        catalog: catalog.clone(),
    }
}

fn opened(open: Opener, folder: &Path) -> (Box<dyn Destination>, Stored) {
    let mut warehouse = open(folder);
    let stored = warehouse.open(PIPELINE, DATASET).unwrap();
    (warehouse, stored)
}

/// A whole load with several writes.
fn load(warehouse: &mut dyn Destination, spec: LoadSpec, writes: Vec<Vec<Fitted>>, catalog: &Catalog) -> Vec<Vec<u64>> {
    let ticket = warehouse.begin(spec).unwrap();
    let counts = writes.into_iter().map(|part| warehouse.write(&ticket, part).unwrap()).collect();
    warehouse.commit(ticket, commit(&[], catalog)).unwrap();
    counts
}

fn query(table: &str, columns: &[&str]) -> ParentQuery {
    ParentQuery {
        dataset: DATASET.to_owned(),
        table: table.to_owned(),
        columns: columns.iter().map(|c| (*c).to_owned()).collect(),
        except_load_id: None,
        after: None,
        limit: 1000,
        ordered: true,
    }
}

/// All committed rows of a table, by id.
pub(crate) fn rows(warehouse: &mut dyn Destination, table: &str, columns: &[&str]) -> Vec<(RowId, Vec<Value>)> {
    warehouse.parents(&query(table, columns)).unwrap()
}

type Texts = Vec<(RowId, String)>;

/// Titles and tags as they are committed.
fn contents(warehouse: &mut dyn Destination) -> (Texts, Texts) {
    let mut read = |table, column| {
        let text = |(id, values): (RowId, Vec<Value>)| (id, values[0].as_str().unwrap_or("null").to_owned());
        rows(warehouse, table, &[column]).into_iter().map(text).collect()
    };
    (read("videos", "title"), read("videos__tags", "value"))
}

fn owned(pairs: &[(RowId, &str)]) -> Texts {
    pairs.iter().map(|(id, text)| (*id, (*text).to_owned())).collect()
}

#[track_caller]
fn check(warehouse: &mut dyn Destination, titles: &[(RowId, &str)], tags: &[(RowId, &str)]) {
    assert_eq!(contents(warehouse), (owned(titles), owned(tags)));
}

/// First load: videos 1 (tags 10, 11) and 2 (tag 20).
fn first_videos(warehouse: &mut dyn Destination, write: WriteDisposition) -> Vec<Vec<u64>> {
    let part = videos_part(true, &[(1, "one"), (2, "two")], &[(10, 1, "a"), (11, 1, "b"), (20, 2, "c")]);
    load(warehouse, spec("load-1", "videos", write, &Catalog::default()), vec![part], &videos())
}

fn tz(values: Vec<Option<i64>>) -> ArrayRef {
    Arc::new(TimestampMicrosecondArray::from(values).with_timezone("UTC"))
}

fn decimals(values: Vec<Option<i128>>, precision: u8, scale: i8) -> ArrayRef {
    Arc::new(Decimal128Array::from(values).with_precision_and_scale(precision, scale).unwrap())
}

pub(crate) fn append_adds_rows_and_counts_those_of_earlier_loads(open: Opener, folder: &Path) {
    let (mut warehouse, _) = opened(open, folder);
    assert_eq!(first_videos(&mut *warehouse, WriteDisposition::Append), [[2, 3]]);

    let ticket = warehouse.begin(spec("load-2", "videos", WriteDisposition::Append, &videos())).unwrap();
    assert_eq!(warehouse.write(&ticket, videos_part(false, &[(2, "two"), (3, "three")], &[])).unwrap(), [2, 0]);
    let stored = warehouse.stored(&ticket, "videos", &[2, 3, 4]).unwrap();
    assert_eq!(stored, HashMap::from([(2, 1)]), "its own rows do not count");
    assert_eq!(warehouse.stored(&ticket, "videos", &[]).unwrap(), HashMap::new());
    warehouse.commit(ticket, commit(&[], &videos())).unwrap();

    let ticket = warehouse.begin(spec("load-3", "videos", WriteDisposition::Append, &videos())).unwrap();
    assert_eq!(warehouse.stored(&ticket, "videos", &[1, 2, 3]).unwrap(), HashMap::from([(1, 1), (2, 2), (3, 1)]));
    warehouse.abort(ticket).unwrap();
    check(&mut *warehouse, &[(1, "one"), (2, "two"), (2, "two"), (3, "three")], &[(10, "a"), (11, "b"), (20, "c")]);
}

pub(crate) fn a_merged_row_takes_the_place_of_the_old_one_with_its_children(open: Opener, folder: &Path) {
    let (mut warehouse, _) = opened(open, folder);
    first_videos(&mut *warehouse, WriteDisposition::Merge);
    let part = videos_part(false, &[(1, "ONE"), (3, "three")], &[(12, 1, "d"), (30, 3, "e")]);
    let merge = spec("load-2", "videos", WriteDisposition::Merge, &videos());
    assert_eq!(load(&mut *warehouse, merge, vec![part], &videos()), [[2, 2]]);
    check(&mut *warehouse, &[(1, "ONE"), (2, "two"), (3, "three")], &[(12, "d"), (20, "c"), (30, "e")]);
}

pub(crate) fn the_last_of_two_rows_with_one_id_wins_within_a_load(open: Opener, folder: &Path) {
    let (mut warehouse, _) = opened(open, folder);
    first_videos(&mut *warehouse, WriteDisposition::Merge);
    let writes = vec![
        videos_part(false, &[(1, "second"), (4, "four")], &[(13, 1, "x"), (40, 4, "y")]),
        videos_part(false, &[(1, "third")], &[(14, 1, "z")]),
        videos_part(false, &[(4, "FOUR"), (5, "five")], &[]),
    ];
    load(&mut *warehouse, spec("load-2", "videos", WriteDisposition::Merge, &videos()), writes, &videos());
    check(&mut *warehouse, &[(1, "third"), (2, "two"), (4, "FOUR"), (5, "five")], &[(14, "z"), (20, "c")]);
}

pub(crate) fn merging_into_an_empty_table_still_sees_repeated_ids(open: Opener, folder: &Path) {
    let (mut warehouse, _) = opened(open, folder);
    let writes = vec![
        videos_part(true, &[(1, "one"), (2, "two")], &[(10, 1, "a"), (20, 2, "b")]),
        videos_part(false, &[(2, "TWO")], &[(21, 2, "c")]),
    ];
    let merge = spec("load-1", "videos", WriteDisposition::Merge, &Catalog::default());
    assert_eq!(load(&mut *warehouse, merge, writes, &videos()), [[2, 2], [1, 1]]);
    check(&mut *warehouse, &[(1, "one"), (2, "TWO")], &[(10, "a"), (21, "c")]);
}

pub(crate) fn replace_without_rows_leaves_empty_tables(open: Opener, folder: &Path) {
    let (mut warehouse, _) = opened(open, folder);
    first_videos(&mut *warehouse, WriteDisposition::Replace);
    load(&mut *warehouse, spec("load-2", "videos", WriteDisposition::Replace, &videos()), vec![], &videos());
    check(&mut *warehouse, &[], &[]);
}

pub(crate) fn replace_keeps_the_old_rows_until_the_commit(open: Opener, folder: &Path) {
    let (mut warehouse, _) = opened(open, folder);
    first_videos(&mut *warehouse, WriteDisposition::Replace);
    let ticket = warehouse.begin(spec("load-2", "videos", WriteDisposition::Replace, &videos())).unwrap();
    warehouse.write(&ticket, videos_part(false, &[(2, "TWO")], &[(21, 2, "x")])).unwrap();
    warehouse.write(&ticket, videos_part(false, &[(7, "seven")], &[])).unwrap();
    check(&mut *warehouse, &[(1, "one"), (2, "two")], &[(10, "a"), (11, "b"), (20, "c")]);
    warehouse.commit(ticket, commit(&[], &videos())).unwrap();
    check(&mut *warehouse, &[(2, "TWO"), (7, "seven")], &[(21, "x")]);
}

pub(crate) fn replace_with_a_key_keeps_the_last_row_of_each_id(open: Opener, folder: &Path) {
    let (mut warehouse, _) = opened(open, folder);
    first_videos(&mut *warehouse, WriteDisposition::Replace);
    let writes = vec![
        videos_part(false, &[(2, "TWO"), (3, "three")], &[(21, 2, "x"), (30, 3, "y")]),
        videos_part(false, &[(3, "THREE")], &[(31, 3, "z")]),
    ];
    let keyed = LoadSpec { keyed: true, ..spec("load-2", "videos", WriteDisposition::Replace, &videos()) };
    load(&mut *warehouse, keyed, writes, &videos());
    check(&mut *warehouse, &[(2, "TWO"), (3, "THREE")], &[(21, "x"), (31, "z")]);
}

pub(crate) fn several_checkpoints_of_one_run_add_up(open: Opener, folder: &Path) {
    let (mut warehouse, _) = opened(open, folder);
    first_videos(&mut *warehouse, WriteDisposition::Merge);
    for part in [
        videos_part(false, &[(2, "TWO"), (3, "three")], &[(30, 3, "x")]),
        videos_part(false, &[(3, "THREE"), (4, "four")], &[(31, 3, "y"), (40, 4, "z")]),
    ] {
        // The same load id again: a checkpoint.
        let ticket = warehouse.begin(spec("load-2", "videos", WriteDisposition::Merge, &videos())).unwrap();
        warehouse.write(&ticket, part).unwrap();
        warehouse.commit(ticket, commit(&[("videos", "", "\"c\"")], &videos())).unwrap();
    }
    let titles = [(1, "one"), (2, "TWO"), (3, "THREE"), (4, "four")];
    check(&mut *warehouse, &titles, &[(10, "a"), (11, "b"), (31, "y"), (40, "z")]);
}

pub(crate) fn a_fresh_load_starts_tables_and_cursors_anew(open: Opener, folder: &Path) {
    let (mut warehouse, _) = opened(open, folder);
    first_videos(&mut *warehouse, WriteDisposition::Append);
    let ticket = warehouse.begin(spec("load-2", "videos", WriteDisposition::Append, &videos())).unwrap();
    warehouse
        .commit(ticket, commit(&[("videos", "", "\"old\""), ("videos", "{\"p\":1}", "\"old\"")], &videos()))
        .unwrap();

    let anew = table("videos", &[], &[("name", ColumnType::Varchar)]);
    let catalog = Catalog { tables: vec![anew.clone()] };
    let fresh = LoadSpec { fresh: true, ..spec("load-3", "videos", WriteDisposition::Append, &videos()) };
    let ticket = warehouse.begin(fresh).unwrap();
    assert_eq!(warehouse.stored(&ticket, "videos", &[1]).unwrap(), HashMap::new());
    let batch = root_rows(&anew, &[9], vec![texts(&["nine"])]);
    let part = Fitted { table: anew, changes: vec![Change::CreateTable], batches: vec![batch] };
    warehouse.write(&ticket, vec![part]).unwrap();
    check(&mut *warehouse, &[(1, "one"), (2, "two")], &[(10, "a"), (11, "b"), (20, "c")]);
    let last = Commit { forget_cursors: true, ..commit(&[("videos", "", "\"new\"")], &catalog) };
    warehouse.commit(ticket, last).unwrap();

    assert_eq!(rows(&mut *warehouse, "videos", &["name", "title"]), [(9, vec![json!("nine"), Value::Null])]);
    assert_eq!(rows(&mut *warehouse, "videos__tags", &["value"]), []);
    assert!(warehouse.cursors(PIPELINE, DATASET, "videos", &["{\"p\":1}".to_owned()]).unwrap().is_empty());
    let stored = warehouse.open(PIPELINE, DATASET).unwrap();
    assert_eq!(stored.catalogs, HashMap::from([("videos".to_owned(), catalog)]));
    assert_eq!(stored.cursors.iter().map(|c| c.value.as_str()).collect::<Vec<_>>(), ["\"new\""]);
}

pub(crate) fn an_aborted_load_leaves_nothing(open: Opener, folder: &Path) {
    let (mut warehouse, _) = opened(open, folder);
    let ticket = warehouse.begin(spec("load-0", "videos", WriteDisposition::Append, &Catalog::default())).unwrap();
    warehouse.write(&ticket, videos_part(true, &[(9, "nine")], &[(90, 9, "n")])).unwrap();
    warehouse.abort(ticket).unwrap();
    check(&mut *warehouse, &[], &[]);

    first_videos(&mut *warehouse, WriteDisposition::Merge);
    for write in [WriteDisposition::Append, WriteDisposition::Merge, WriteDisposition::Replace] {
        let ticket = warehouse.begin(spec("load-2", "videos", write, &videos())).unwrap();
        warehouse.write(&ticket, videos_part(false, &[(1, "gone")], &[(15, 1, "gone")])).unwrap();
        warehouse.abort(ticket).unwrap();
    }
    let fresh = LoadSpec { fresh: true, ..spec("load-3", "videos", WriteDisposition::Append, &videos()) };
    let ticket = warehouse.begin(fresh).unwrap();
    warehouse.abort(ticket).unwrap();
    // A load that is neither committed nor aborted ends with the process.
    let _left: Ticket = warehouse.begin(spec("load-4", "videos", WriteDisposition::Replace, &videos())).unwrap();
    warehouse.close().unwrap();

    let (mut warehouse, stored) = opened(open, folder);
    check(&mut *warehouse, &[(1, "one"), (2, "two")], &[(10, "a"), (11, "b"), (20, "c")]);
    assert_eq!(stored.last_load_id.as_deref(), Some("load-1"));
}

pub(crate) fn a_reopened_warehouse_knows_what_was_committed(open: Opener, folder: &Path) {
    let (mut warehouse, new) = opened(open, folder);
    assert_eq!((new.cursors.len(), new.catalogs.len(), new.last_load_id), (0, 0, None));
    assert!(!new.warehouse_id.is_empty());
    first_videos(&mut *warehouse, WriteDisposition::Append);
    for (load_id, value) in [("load-2", "\"a\""), ("load-3", "\"it's\"")] {
        let ticket = warehouse.begin(spec(load_id, "videos", WriteDisposition::Append, &videos())).unwrap();
        warehouse.commit(ticket, commit(&[("videos", "", value)], &videos())).unwrap();
    }
    let views = Catalog { tables: vec![table("views", &[], &[])] };
    let part = Fitted {
        table: views.tables[0].clone(),
        changes: vec![Change::CreateTable],
        batches: vec![root_rows(&views.tables[0], &[1], vec![])],
    };
    let append = spec("load-3", "views", WriteDisposition::Append, &Catalog::default());
    load(&mut *warehouse, append, vec![vec![part]], &views);
    let seen = warehouse.peek("shop", DATASET).unwrap().expect("a dataset");
    warehouse.close().unwrap();

    let (warehouse, stored) = opened(open, folder);
    let cursor = CursorRow { resource: "videos".into(), partition: String::new(), value: "\"it's\"".into() };
    assert_eq!(stored.cursors, [cursor]);
    let catalogs = HashMap::from([("videos".to_owned(), videos()), ("views".to_owned(), views)]);
    assert_eq!(stored.catalogs, catalogs);
    assert_eq!(stored.last_load_id.as_deref(), Some("load-3"));
    assert_eq!(stored.warehouse_id, new.warehouse_id);
    let of = |stored: Stored| (stored.cursors, stored.catalogs, stored.last_load_id, stored.warehouse_id);
    assert_eq!(of(seen), of(stored), "a look tells what opening does");
    warehouse.close().unwrap();
}

pub(crate) fn partitions_keep_cursors_of_their_own(open: Opener, folder: &Path) {
    let (mut warehouse, _) = opened(open, folder);
    let (one, two) = ("{\"id\":\"it's 1\"}", "{\"id\":2}");
    for cursors in [&[("videos", one, "1"), ("videos", two, "2")][..], &[("videos", two, "3"), ("videos", "", "4")][..]]
    {
        let ticket = warehouse.begin(spec("load-1", "videos", WriteDisposition::Append, &Catalog::default())).unwrap();
        warehouse.commit(ticket, commit(cursors, &Catalog::default())).unwrap();
    }
    let expected =
        [(one, "1"), (two, "3"), ("", "4")].map(|(partition, value)| (partition.to_owned(), value.to_owned()));
    let wanted = [one, two, "", "{\"id\":3}"].map(str::to_owned);
    let found = warehouse.cursors(PIPELINE, DATASET, "videos", &wanted).unwrap();
    assert_eq!(found, HashMap::from(expected.clone()));
    assert_eq!(
        warehouse.cursors(PIPELINE, DATASET, "videos", &wanted[1..2]).unwrap(),
        HashMap::from([expected[1].clone()])
    );
    assert!(warehouse.cursors(PIPELINE, DATASET, "videos", &[]).unwrap().is_empty());
    let stored = warehouse.open(PIPELINE, DATASET).unwrap();
    assert_eq!(stored.cursors.iter().map(|c| c.value.as_str()).collect::<Vec<_>>(), ["4"]);
}

pub(crate) fn loads_that_a_killed_run_left_as_running_are_over_when_it_is_opened(open: Opener, folder: &Path) {
    let (mut warehouse, _) = opened(open, folder);
    warehouse.open("bar", DATASET).unwrap();
    for (load_id, pipeline, status) in
        [("load-1", PIPELINE, "completed"), ("load-2", PIPELINE, "running"), ("load-2", "bar", "running")]
    {
        let own = LoadSpec {
            pipeline: pipeline.to_owned(),
            ..spec(load_id, "videos", WriteDisposition::Append, &Catalog::default())
        };
        let ticket = warehouse.begin(own).unwrap();
        let mut commit = commit(&[], &Catalog::default());
        commit.record.status = status.to_owned();
        warehouse.commit(ticket, commit).unwrap();
    }
    // Killed: not even closed.
    drop(warehouse);

    let loads = |warehouse: &mut dyn Destination| {
        let sql = "SELECT load_id, pipeline, status, error IS NOT NULL, records FROM _pintail_loads ORDER BY ALL";
        let list = ListQuery { dataset: DATASET.to_owned(), sql: sql.to_owned(), folder: ".".into() };
        let list = warehouse.open_list(&list).unwrap();
        warehouse.list_page(list.number, 0, 10).unwrap()
    };
    let (mut warehouse, _) = opened(open, folder);
    let expected = [
        json!(["load-1", "shop", "completed", false, 2]),
        json!(["load-2", "bar", "running", false, 2]),
        json!(["load-2", "shop", "interrupted", true, 2]),
    ];
    assert_eq!(loads(&mut *warehouse).into_iter().map(Value::from).collect::<Vec<_>>(), expected);
    warehouse.open("bar", DATASET).unwrap();
    assert_eq!(loads(&mut *warehouse)[1][2], "interrupted");
}

/// A resource of its own: one table with one column, first BIGINT.
fn numbers(name: &str, data_type: ColumnType) -> Catalog {
    Catalog { tables: vec![table(name, &[], &[("n", data_type)])] }
}

fn numbers_part(catalog: &Catalog, changes: Vec<Change>, ids: &[RowId], values: ArrayRef) -> Vec<Fitted> {
    let table = catalog.tables[0].clone();
    let batches = vec![root_rows(&table, ids, vec![values])];
    vec![Fitted { table, changes, batches }]
}

fn integers(values: &[i64]) -> ArrayRef {
    Arc::new(Int64Array::from(values.to_vec()))
}

fn recast(from: ColumnType, to: ColumnType) -> Recast {
    Recast { from, to, text: TextForm::default(), canonical: false, quoted: false }
}

pub(crate) fn open_loads_of_several_resources_do_not_disturb_each_other(open: Opener, folder: &Path) {
    let (mut warehouse, _) = opened(open, folder);
    let names = ["first", "second", "third"];
    let before = names.map(|name| numbers(name, ColumnType::BigInt));
    for (name, catalog) in names.iter().zip(&before) {
        let part = numbers_part(catalog, vec![Change::CreateTable], &[1, 2], integers(&[1, 2]));
        load(&mut *warehouse, spec("load-1", name, WriteDisposition::Merge, &Catalog::default()), vec![part], catalog);
    }
    let mut tickets: Vec<Option<Ticket>> = names
        .iter()
        .zip(&before)
        .map(|(name, catalog)| Some(warehouse.begin(spec("load-2", name, WriteDisposition::Merge, catalog)).unwrap()))
        .collect();
    for (i, catalog) in before.iter().enumerate() {
        let part = numbers_part(catalog, vec![], &[2, 3], integers(&[20, 30]));
        warehouse.write(tickets[i].as_ref().unwrap(), part).unwrap();
    }
    let after = names.map(|name| numbers(name, ColumnType::Varchar));
    let widen = Change::Widen { column: "n".into(), recast: recast(ColumnType::BigInt, ColumnType::Varchar) };
    for i in [1, 0, 2] {
        let part = numbers_part(&after[i], vec![widen.clone()], &[3, 4], texts(&["x", "y"]));
        warehouse.write(tickets[i].as_ref().unwrap(), part).unwrap();
    }
    // One commits while the others are open, goes on with another load, and one is forgotten.
    for i in [1, 0] {
        let ticket = tickets[i].take().unwrap();
        warehouse.commit(ticket, commit(&[(names[i], "", "\"2\"")], &after[i])).unwrap();
        let again = warehouse.begin(spec("load-2", names[i], WriteDisposition::Merge, &after[i])).unwrap();
        warehouse.write(&again, numbers_part(&after[i], vec![], &[5], texts(&["z"]))).unwrap();
        warehouse.commit(again, commit(&[(names[i], "", "\"3\"")], &after[i])).unwrap();
    }
    warehouse.abort(tickets[2].take().unwrap()).unwrap();

    let changed = [(1, "1"), (2, "20"), (3, "x"), (4, "y"), (5, "z")].map(|(id, n)| (id, vec![json!(n)]));
    assert_eq!(rows(&mut *warehouse, "first", &["n"]), changed);
    assert_eq!(rows(&mut *warehouse, "second", &["n"]), changed);
    assert_eq!(rows(&mut *warehouse, "third", &["n"]), [(1, vec![json!(1)]), (2, vec![json!(2)])]);
    let mut cursors = warehouse.open(PIPELINE, DATASET).unwrap().cursors;
    cursors.sort_by(|a, b| a.resource.cmp(&b.resource));
    assert_eq!(
        cursors.iter().map(|c| (&*c.resource, &*c.value)).collect::<Vec<_>>(),
        [("first", "\"3\""), ("second", "\"3\"")]
    );
}

pub(crate) fn rows_are_paged_in_order_of_their_ids(open: Opener, folder: &Path) {
    let (mut warehouse, _) = opened(open, folder);
    let ids: [RowId; 6] = [u128::MAX, 1 << 127, (1 << 127) - 1, 1 << 64, 0, 255];
    let catalog = numbers("things", ColumnType::BigInt);
    let create = numbers_part(&catalog, vec![Change::CreateTable], &ids, integers(&[5, 4, 3, 2, 0, 1]));
    load(
        &mut *warehouse,
        spec("load-1", "things", WriteDisposition::Append, &Catalog::default()),
        vec![create],
        &catalog,
    );
    let more = numbers_part(&catalog, vec![], &[7], integers(&[9]));
    load(&mut *warehouse, spec("load-2", "things", WriteDisposition::Append, &catalog), vec![more], &catalog);

    let mut page = ParentQuery { limit: 2, except_load_id: Some("load-2".into()), ..query("things", &["n"]) };
    let mut found = Vec::new();
    loop {
        let rows = warehouse.parents(&page).unwrap();
        assert!(rows.len() <= 2);
        let Some((last, _)) = rows.last() else { break };
        page.after = Some(*last);
        found.extend(rows.into_iter().map(|(_, values)| values[0].clone()));
    }
    assert_eq!(found, (0..6).map(|n| json!(n)).collect::<Vec<_>>());
}

pub(crate) fn what_was_never_seen_is_empty_or_null(open: Opener, folder: &Path) {
    let (mut warehouse, _) = opened(open, folder);
    assert_eq!(rows(&mut *warehouse, "videos", &["title"]), []);
    let ticket = warehouse.begin(spec("load-1", "videos", WriteDisposition::Append, &Catalog::default())).unwrap();
    assert_eq!(warehouse.stored(&ticket, "videos", &[1]).unwrap(), HashMap::new());
    warehouse.abort(ticket).unwrap();
    first_videos(&mut *warehouse, WriteDisposition::Append);
    let found = rows(&mut *warehouse, "videos", &["missing", "title"]);
    assert_eq!(found[0], (1, vec![Value::Null, json!("one")]));
}

pub(crate) fn datasets_and_pipelines_are_apart(open: Opener, folder: &Path) {
    let (mut warehouse, _) = opened(open, folder);
    warehouse.open("other", "other_data").unwrap();
    first_videos(&mut *warehouse, WriteDisposition::Append);
    let elsewhere = LoadSpec {
        pipeline: "other".into(),
        dataset: "other_data".into(),
        ..spec("load-9", "videos", WriteDisposition::Append, &Catalog::default())
    };
    let part = videos_part(true, &[(5, "five")], &[]);
    let ticket = warehouse.begin(elsewhere).unwrap();
    warehouse.write(&ticket, part).unwrap();
    warehouse.commit(ticket, commit(&[("videos", "", "1")], &videos())).unwrap();

    check(&mut *warehouse, &[(1, "one"), (2, "two")], &[(10, "a"), (11, "b"), (20, "c")]);
    assert_eq!(warehouse.open(PIPELINE, DATASET).unwrap().last_load_id.as_deref(), Some("load-1"));
    assert_eq!(warehouse.open("other", "other_data").unwrap().last_load_id.as_deref(), Some("load-9"));
    assert_eq!(warehouse.open("third", DATASET).unwrap().catalogs, HashMap::new());
}
