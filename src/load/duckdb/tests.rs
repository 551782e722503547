//! The contract, and what is DuckDB's own.

use super::*;
use crate::load::conformance::{self as suite, destination_suite, root_rows, spec, table, texts};
use crate::plan::model::WriteDisposition;
use crate::schema::ColumnType;
use crate::schema::catalog::{Catalog, Change};
use std::path::Path;

fn open(folder: &Path) -> Box<dyn Destination> {
    Box::new(warehouse(folder))
}

/// The dataset of the suite is also the file's stem: names have to be written out in full.
fn warehouse(folder: &Path) -> DuckDb {
    DuckDb::new(&Settings::new(folder.join("shop_data.duckdb"))).unwrap()
}

destination_suite!(open);

fn value(warehouse: &DuckDb, sql: &str) -> Option<String> {
    let rows = warehouse.session.query(&format!("SELECT CAST(({sql}) AS VARCHAR) AS value")).unwrap();
    book::text(&rows[0], "value", 0).unwrap().map(str::to_owned)
}

fn things() -> Catalog {
    Catalog { tables: vec![table("things", &[], &[("name", ColumnType::Varchar)])] }
}

fn things_part(changes: Vec<Change>, ids: &[RowId], names: &[&str]) -> Vec<Fitted> {
    let table = things().tables.remove(0);
    let batches = vec![root_rows(&table, ids, vec![texts(names)])];
    vec![Fitted { table, changes, batches }]
}

fn load_things(warehouse: &mut DuckDb, load_id: &str, catalog: &Catalog, part: Vec<Fitted>) {
    let ticket = warehouse.begin(spec(load_id, "things", WriteDisposition::Merge, catalog)).unwrap();
    warehouse.write(&ticket, part).unwrap();
    warehouse.commit(ticket, suite::commit(&[], &things())).unwrap();
}

#[test]
fn a_closed_warehouse_is_one_file() {
    let folder = tempfile::tempdir().unwrap();
    let mut warehouse = warehouse(folder.path());
    warehouse.open("shop", "shop_data").unwrap();
    load_things(&mut warehouse, "load-1", &Catalog::default(), things_part(vec![Change::CreateTable], &[1], &["a"]));
    Box::new(warehouse).close().unwrap();
    let files: Vec<_> = std::fs::read_dir(folder.path()).unwrap().map(|f| f.unwrap().file_name()).collect();
    assert_eq!(files, ["shop_data.duckdb"]);
}

#[test]
fn tables_show_data_first_and_say_what_ours_is() {
    let folder = tempfile::tempdir().unwrap();
    let mut warehouse = warehouse(folder.path());
    warehouse.open("shop", "shop_data").unwrap();
    load_things(&mut warehouse, "load-1", &Catalog::default(), things_part(vec![Change::CreateTable], &[255], &["a"]));
    let columns = "SELECT string_agg(column_name || ' ' || data_type, ', ' ORDER BY column_index) FROM duckdb_columns() \
                   WHERE table_name = 'things'";
    let expected =
        "name VARCHAR, _pintail_id UUID, _pintail_load_id VARCHAR, _pintail_loaded_at TIMESTAMP WITH TIME ZONE";
    assert_eq!(value(&warehouse, columns).as_deref(), Some(expected));
    let uncommented = "SELECT count(*) FROM duckdb_columns() WHERE comment IS NULL AND NOT internal AND \
                       (table_name LIKE '\\_pintail%' ESCAPE '\\' OR column_name LIKE '\\_pintail%' ESCAPE '\\')";
    assert_eq!(value(&warehouse, uncommented).as_deref(), Some("0"));
    let row = "SELECT concat_ws('|', name, _pintail_id, _pintail_load_id, epoch_us(_pintail_loaded_at)) \
               FROM shop_data.shop_data.things";
    let expected = "a|00000000-0000-0000-0000-0000000000ff|load-1|1700000000000001";
    assert_eq!(value(&warehouse, row).as_deref(), Some(expected));
}

#[test]
fn bookkeeping_tables_tell_what_happened() {
    let folder = tempfile::tempdir().unwrap();
    let mut warehouse = warehouse(folder.path());
    warehouse.open("shop", "shop_data").unwrap();
    for load_id in ["load-1", "load-2", "load-2"] {
        let ticket = warehouse.begin(spec(load_id, "things", WriteDisposition::Append, &Catalog::default())).unwrap();
        let mut commit = suite::commit(&[], &things());
        commit.record.status = "running".into();
        commit.record.discarded = vec![("null key".into(), 3)];
        warehouse.commit(ticket, commit).unwrap();
    }
    let loads = "SELECT string_agg(concat_ws('|', load_id, status, requests, rows->>'things', \
                 discarded->>'null key', end_reason), ', ' ORDER BY load_id) FROM shop_data.shop_data._pintail_loads";
    let expected = "load-1|running|1|2|3|empty page, load-2|running|1|2|3|empty page";
    assert_eq!(value(&warehouse, loads).as_deref(), Some(expected));
    let changes = "SELECT string_agg(load_id || '|' || table_name || '|' || change, ', ') FROM \
                   (FROM shop_data.shop_data._pintail_schema LIMIT 1)";
    assert_eq!(value(&warehouse, changes).as_deref(), Some("load-1|things|create_table"));
}

#[test]
fn a_warehouse_of_a_newer_format_is_refused_untouched() {
    let folder = tempfile::tempdir().unwrap();
    let mut warehouse = warehouse(folder.path());
    warehouse.open("shop", "shop_data").unwrap();
    warehouse
        .session
        .run("UPDATE shop_data.shop_data._pintail_meta SET value = '2' WHERE key = 'format_version'")
        .unwrap();
    let error = warehouse.open("shop", "shop_data").unwrap_err();
    assert_eq!(error.message(), "the warehouse was written by a newer version of Pintail");
}

#[test]
fn more_ids_than_are_remembered_still_replace_their_rows() {
    let folder = tempfile::tempdir().unwrap();
    let mut warehouse = warehouse(folder.path());
    warehouse.open("shop", "shop_data").unwrap();
    let names = ["a", "b", "c", "d"];
    load_things(
        &mut warehouse,
        "load-1",
        &Catalog::default(),
        things_part(vec![Change::CreateTable], &[1, 2, 3, 4], &names),
    );
    let ticket = warehouse.begin(spec("load-2", "things", WriteDisposition::Merge, &things())).unwrap();
    warehouse.load(&ticket).unwrap().limit_seen_ids(2);
    for (id, name) in [(1, "A"), (2, "B"), (3, "C"), (5, "e"), (1, "AA"), (4, "D"), (5, "E")] {
        warehouse.write(&ticket, things_part(vec![], &[id], &[name])).unwrap();
    }
    warehouse.commit(ticket, suite::commit(&[], &things())).unwrap();
    let found = value(&warehouse, "SELECT string_agg(name, ',' ORDER BY _pintail_id) FROM shop_data.shop_data.things");
    assert_eq!(found.as_deref(), Some("AA,B,C,D,E"));
}

#[test]
fn many_rows_in_many_batches_arrive_and_are_replaced() {
    let folder = tempfile::tempdir().unwrap();
    let mut warehouse = warehouse(folder.path());
    warehouse.open("shop", "shop_data").unwrap();
    let name = |i: RowId| format!("thing number {i}");
    let part = |changes: Vec<Change>, from: RowId| {
        let mut part = things_part(changes, &[], &[]);
        part[0].batches = (0..4)
            .map(|b| {
                let ids: Vec<RowId> = (from + b * 5000..from + (b + 1) * 5000).collect();
                let names: Vec<String> = ids.iter().map(|i| name(*i)).collect();
                let names: Vec<&str> = names.iter().map(String::as_str).collect();
                root_rows(&part[0].table, &ids, vec![texts(&names)])
            })
            .collect();
        part
    };
    load_things(&mut warehouse, "load-1", &Catalog::default(), part(vec![Change::CreateTable], 0));
    load_things(&mut warehouse, "load-2", &things(), part(vec![], 10_000));
    let sums = "SELECT concat_ws('|', count(*), count(DISTINCT name), count(*) FILTER (_pintail_load_id = 'load-2')) \
                FROM shop_data.shop_data.things";
    assert_eq!(value(&warehouse, sums).as_deref(), Some("30000|30000|20000"));
}

#[test]
fn an_error_names_the_table_and_shows_no_sql() {
    let folder = tempfile::tempdir().unwrap();
    let mut warehouse = warehouse(folder.path());
    warehouse.open("shop", "shop_data").unwrap();
    let error = warehouse.begin(spec("load-1", "things", WriteDisposition::Append, &things())).unwrap_err();
    assert_eq!(error.context("table"), Some("things"));
    let report = error.report();
    assert!(report.contains("does not exist") && !report.contains("SELECT"), "{report}");
}

/// What a killed process leaves: the file and its write-ahead log, as they are on disk while the warehouse is open.
fn left_behind(from: &Path, to: &Path) {
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        std::fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
    }
}

/// A process killed while it writes leaves any part of its log, and the log's own first bytes are no exception.
#[test]
fn a_write_ahead_log_that_ends_anywhere_opens_at_a_commit() {
    let (folder, copy) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let mut alive = warehouse(folder.path());
    alive.open("shop", "shop_data").unwrap();
    load_things(&mut alive, "load-1", &Catalog::default(), things_part(vec![Change::CreateTable], &[1], &["a"]));
    load_things(&mut alive, "load-2", &things(), things_part(Vec::new(), &[2], &["b"]));
    left_behind(folder.path(), copy.path());
    let (file, log) = (copy.path().join("shop_data.duckdb"), copy.path().join("shop_data.duckdb.wal"));
    let (pages, bytes) = (std::fs::read(&file).unwrap(), std::fs::read(&log).unwrap());
    let mut counts = std::collections::BTreeSet::new();
    for length in (0..12).chain((12..bytes.len()).step_by(bytes.len() / 30)).chain([bytes.len()]) {
        std::fs::write(&file, &pages).unwrap();
        std::fs::write(&log, &bytes[..length]).unwrap();
        let mut reopened = warehouse(copy.path());
        reopened.open("shop", "shop_data").unwrap();
        let is_there = "SELECT count(*) FROM duckdb_tables() WHERE table_name = 'things'";
        let count = match value(&reopened, is_there).as_deref() {
            Some("1") => value(&reopened, "SELECT count(*) FROM shop_data.shop_data.things").unwrap(),
            _ => "0".to_owned(),
        };
        let loads = value(&reopened, "SELECT count(*) FROM shop_data.shop_data._pintail_loads").unwrap();
        assert_eq!(count, loads, "rows and records of {length} of {} bytes", bytes.len());
        counts.insert(count);
    }
    assert_eq!(counts.into_iter().collect::<Vec<_>>(), ["0", "1", "2"]);
}

#[test]
fn any_duckdb_opens_what_a_killed_process_left_behind() {
    let (folder, copy) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let mut alive = warehouse(folder.path());
    alive.open("shop", "shop_data").unwrap();
    let mut expected = Vec::new();
    for (i, (from, values, targets)) in suite::widenings().into_iter().enumerate() {
        for (j, to) in targets.into_iter().enumerate() {
            let name = format!("things_{i}_{j}");
            expected.push((name.clone(), suite::widened(&mut alive, &name, from, &values, to)));
        }
    }
    let unfinished = alive.begin(spec("load-3", "things", WriteDisposition::Append, &Catalog::default())).unwrap();
    alive.write(&unfinished, things_part(vec![Change::CreateTable], &[1], &["a"])).unwrap();
    left_behind(folder.path(), copy.path());
    assert!(copy.path().join("shop_data.duckdb.wal").exists());

    // Without our functions: as the command line client would open it.
    let plain = ::duckdb::Connection::open(copy.path().join("shop_data.duckdb")).unwrap();
    plain.execute_batch("CHECKPOINT").unwrap();
    drop(plain);
    let mut reopened = warehouse(copy.path());
    reopened.open("shop", "shop_data").unwrap();
    for (name, rows) in expected {
        assert_eq!(suite::rows(&mut reopened, &name, &["n"]), rows, "{name}");
    }
    assert_eq!(suite::rows(&mut reopened, "things", &["name"]), []);
}
