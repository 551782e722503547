//! Which rows make way for which.

use super::*;
use crate::load::bookkeeping::{LOAD_ID, VALID_FROM, VALID_TO};
use crate::load::merge::{MergeRule, MergeSpec, Settled};
use chrono::Duration;

/// `days(day, n, gone)` and its child `days__tags(value)`.
fn days() -> Catalog {
    let root = [("day", ColumnType::Varchar), ("n", ColumnType::BigInt), ("gone", ColumnType::Boolean)];
    Catalog {
        tables: vec![table("days", &[], &root), table("days__tags", &["tags"], &[("value", ColumnType::Varchar)])],
    }
}

/// A record: id, day, n, whether it is gone. Each has one child row, with the day as its value.
type Day = (RowId, &'static str, i64, bool);

fn part(create: bool, records: &[Day]) -> Vec<Fitted> {
    let [root, child] = <[Table; 2]>::try_from(days().tables).unwrap();
    let changes = if create { vec![Change::CreateTable] } else { Vec::new() };
    let ids: Vec<RowId> = records.iter().map(|r| r.0).collect();
    let links: Vec<(RowId, RowId)> = ids.iter().map(|id| (id * 1000, *id)).collect();
    let names: Vec<&str> = records.iter().map(|r| r.1).collect();
    let gone: BooleanArray = records.iter().map(|r| Some(r.3)).collect();
    let numbers = integers(&records.iter().map(|r| r.2).collect::<Vec<_>>());
    let roots = root_rows(&root, &ids, vec![texts(&names), numbers, Arc::new(gone)]);
    let children = child_rows(&child, &links, vec![texts(&names)]);
    vec![
        Fitted { table: root, changes: changes.clone(), batches: vec![roots] },
        Fitted { table: child, changes, batches: vec![children] },
    ]
}

fn field(name: &str) -> Source {
    Source::Field(vec![name.to_owned()])
}

/// A spec for the load of a number: its time is that many minutes after the first one's.
fn merging(number: i64, rule: &MergeRule, keyed: bool) -> LoadSpec {
    let catalog = if number == 1 { Catalog::default() } else { days() };
    let spec = spec(&format!("load-{number}"), "days", WriteDisposition::Merge, &catalog);
    let merge = MergeSpec { rule: rule.clone(), hard_delete: Some(vec!["gone".to_owned()]) };
    LoadSpec { loaded_at: spec.loaded_at + Duration::minutes(number), keyed, merge, ..spec }
}

/// Writes, settles and commits. Checks that the counts are those of the tables.
#[track_caller]
fn run(warehouse: &mut dyn Destination, spec: LoadSpec, calls: &[&[Day]]) -> Settled {
    let mut create = spec.catalog.tables.is_empty();
    let load_id = spec.load_id.clone();
    let ticket = warehouse.begin(spec).unwrap();
    for call in calls {
        warehouse.write(&ticket, part(create, call)).unwrap();
        create = false;
    }
    let settled = warehouse.settle(&ticket, &days()).unwrap();
    warehouse.commit(ticket, commit(&[], &days())).unwrap();
    for (table, rows) in &settled.rows {
        let own = all_rows(warehouse, table, &[LOAD_ID]).into_iter().filter(|values| values[0] == json!(load_id));
        assert!(own.count() as u64 >= *rows, "{table}: {settled:?}");
    }
    settled
}

fn counts(root: u64, child: u64) -> Vec<(String, u64)> {
    vec![("days".to_owned(), root), ("days__tags".to_owned(), child)]
}

fn all_rows(warehouse: &mut dyn Destination, table: &str, columns: &[&str]) -> Vec<Vec<Value>> {
    rows(warehouse, table, columns).into_iter().map(|(_, values)| values).collect()
}

/// Records as `day n`, sorted, and the values of the child rows.
fn found(warehouse: &mut dyn Destination) -> (Vec<String>, Vec<String>) {
    let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    let mut read = |table: &str, columns: &[&str]| {
        let lines = all_rows(warehouse, table, columns);
        let mut lines: Vec<String> =
            lines.iter().map(|values| values.iter().map(text).collect::<Vec<_>>().join(" ")).collect();
        lines.sort();
        lines
    };
    (read("days", &["day", "n"]), read("days__tags", &["value"]))
}

#[track_caller]
fn expect(warehouse: &mut dyn Destination, records: &[&str], values: &[&str]) {
    let owned = |texts: &[&str]| texts.iter().map(|t| (*t).to_owned()).collect::<Vec<_>>();
    assert_eq!(found(warehouse), (owned(records), owned(values)));
}

pub(crate) fn a_settled_load_says_what_is_in_the_tables(open: Opener, folder: &Path) {
    let (mut warehouse, _) = opened(open, folder);
    let first: &[Day] = &[(1, "mon", 1, false), (2, "mon", 2, false)];
    let again: &[Day] = &[(2, "tue", 3, false), (3, "tue", 4, true)];
    let settled = run(&mut *warehouse, merging(1, &MergeRule::ById, true), &[first, again]);
    assert_eq!(settled, Settled { rows: counts(2, 2), repeated: 1, deleted: 1, ..Settled::default() });
    expect(&mut *warehouse, &["mon 1", "tue 3"], &["mon", "tue"]);
    let settled = run(&mut *warehouse, merging(2, &MergeRule::ById, true), &[]);
    assert_eq!(settled, Settled { rows: counts(0, 0), ..Settled::default() });
}

pub(crate) fn a_group_is_replaced_as_a_whole(open: Opener, folder: &Path) {
    let (mut warehouse, _) = opened(open, folder);
    let rule = MergeRule::ByColumns(vec![field("day")]);
    run(
        &mut *warehouse,
        merging(1, &rule, false),
        &[&[(1, "mon", 1, false), (1, "mon", 1, false), (2, "tue", 2, false)]],
    );
    let settled = run(&mut *warehouse, merging(2, &rule, false), &[&[(3, "mon", 3, false)], &[(4, "wed", 4, false)]]);
    assert_eq!(settled, Settled { rows: counts(2, 2), ..Settled::default() });
    expect(&mut *warehouse, &["mon 3", "tue 2", "wed 4"], &["mon", "tue", "wed"]);
    // A group of which only deleted records come is empty then.
    let settled = run(&mut *warehouse, merging(3, &rule, false), &[&[(9, "tue", 9, true)]]);
    assert_eq!(settled, Settled { rows: counts(0, 0), deleted: 1, ..Settled::default() });
    expect(&mut *warehouse, &["mon 3", "wed 4"], &["mon", "wed"]);
    // With ids from a key, a record that moves leaves its old group.
    run(&mut *warehouse, merging(4, &rule, true), &[&[(3, "thu", 5, false)]]);
    expect(&mut *warehouse, &["thu 5", "wed 4"], &["thu", "wed"]);
}

pub(crate) fn a_checkpoint_of_the_same_run_belongs_to_the_group(open: Opener, folder: &Path) {
    let (mut warehouse, _) = opened(open, folder);
    let rule = MergeRule::ByColumns(vec![field("day")]);
    run(&mut *warehouse, merging(1, &rule, false), &[&[(1, "mon", 1, false)]]);
    run(&mut *warehouse, merging(2, &rule, false), &[&[(2, "mon", 2, false)]]);
    run(&mut *warehouse, merging(2, &rule, false), &[&[(3, "mon", 3, false)]]);
    expect(&mut *warehouse, &["mon 2", "mon 3"], &["mon", "mon"]);
}

pub(crate) fn a_stored_key_stays_as_it_is(open: Opener, folder: &Path) {
    let (mut warehouse, _) = opened(open, folder);
    let rule = MergeRule::KeepStored;
    run(&mut *warehouse, merging(1, &rule, true), &[&[(1, "mon", 1, false)]]);
    let calls: [&[Day]; 2] =
        [&[(1, "xxx", 9, false), (2, "tue", 2, false)], &[(2, "tue", 3, false), (3, "wed", 4, false)]];
    let settled = run(&mut *warehouse, merging(2, &rule, true), &calls);
    assert_eq!(settled, Settled { rows: counts(2, 2), repeated: 1, key_stored: 1, ..Settled::default() });
    expect(&mut *warehouse, &["mon 1", "tue 3", "wed 4"], &["mon", "tue", "wed"]);
}

/// Versions that are current, as `day n`.
fn current(warehouse: &mut dyn Destination) -> Vec<String> {
    // `parents` gives the current ones only.
    found(warehouse).0
}

pub(crate) fn a_changed_record_has_a_new_version_and_its_old_one_is_closed(open: Opener, folder: &Path) {
    let (mut warehouse, _) = opened(open, folder);
    let rule = MergeRule::Versions { key: vec![field("day")], retire_absent: false };
    // Ids stand for the content: 1 and 2 are versions of `mon`, 3 is one of `tue`.
    run(&mut *warehouse, merging(1, &rule, false), &[&[(1, "mon", 1, false), (3, "tue", 3, false)]]);
    let calls: [&[Day]; 2] = [&[(1, "mon", 1, false), (3, "tue", 3, false)], &[(2, "mon", 2, false)]];
    let settled = run(&mut *warehouse, merging(2, &rule, false), &calls);
    assert_eq!(settled, Settled { rows: counts(1, 1), repeated: 1, unchanged: 1, ..Settled::default() });
    assert_eq!(current(&mut *warehouse), ["mon 2", "tue 3"]);
    assert_eq!(warehouse.row_count(DATASET, "days").unwrap(), 2, "current versions");
    assert_eq!(found(&mut *warehouse).1, ["mon", "mon", "tue"], "child rows of past versions stay");
    // Back to what it was.
    let settled = run(&mut *warehouse, merging(3, &rule, false), &[&[(1, "mon", 1, false)]]);
    assert_eq!(settled, Settled { rows: counts(1, 1), ..Settled::default() });
    assert_eq!(current(&mut *warehouse), ["mon 1", "tue 3"]);
    assert_eq!(found(&mut *warehouse).1, ["mon", "mon", "mon", "tue"]);
    let settled = run(&mut *warehouse, merging(4, &rule, false), &[&[(8, "mon", 8, true), (9, "wed", 9, true)]]);
    assert_eq!(settled, Settled { rows: counts(0, 0), deleted: 2, ..Settled::default() });
    assert_eq!(current(&mut *warehouse), ["tue 3"]);
    let times = all_rows(&mut *warehouse, "days", &[VALID_FROM, VALID_TO]);
    assert_eq!(times, [[json!("2023-11-14T22:14:20.000001Z"), Value::Null]]);
}

pub(crate) fn absent_records_are_retired_if_asked_for(open: Opener, folder: &Path) {
    let (mut warehouse, _) = opened(open, folder);
    let rule = MergeRule::Versions { key: vec![field("day")], retire_absent: true };
    let both: &[Day] = &[(1, "mon", 1, false), (2, "tue", 2, false)];
    run(&mut *warehouse, merging(1, &rule, false), &[both]);
    let settled = run(&mut *warehouse, merging(2, &rule, false), &[&both[..1]]);
    assert_eq!(settled, Settled { rows: counts(0, 0), unchanged: 1, ..Settled::default() });
    assert_eq!(current(&mut *warehouse), ["mon 1"]);
    run(&mut *warehouse, merging(3, &rule, false), &[]);
    assert_eq!(current(&mut *warehouse), [] as [&str; 0]);
    run(&mut *warehouse, merging(4, &rule, false), &[both]);
    assert_eq!(current(&mut *warehouse), ["mon 1", "tue 2"]);
}

pub(crate) fn a_deleted_record_goes_with_its_child_rows(open: Opener, folder: &Path) {
    let (mut warehouse, _) = opened(open, folder);
    let first: &[Day] = &[(1, "mon", 1, false), (2, "tue", 2, false), (3, "wed", 3, false)];
    run(&mut *warehouse, merging(1, &MergeRule::ById, true), &[first]);
    // 1 is deleted; 2 is deleted and comes back; 3 comes and is deleted; 4 was never there.
    let calls: [&[Day]; 2] = [
        &[(1, "mon", 1, true), (2, "tue", 2, true), (3, "wed", 4, false)],
        &[(2, "tue", 5, false), (3, "wed", 6, true), (4, "thu", 7, true)],
    ];
    let settled = run(&mut *warehouse, merging(2, &MergeRule::ById, true), &calls);
    assert_eq!(settled, Settled { rows: counts(1, 1), repeated: 2, deleted: 3, ..Settled::default() });
    expect(&mut *warehouse, &["tue 5"], &["tue"]);
}

pub(crate) fn a_table_keeps_its_kind(open: Opener, folder: &Path) {
    let (mut warehouse, _) = opened(open, folder);
    run(&mut *warehouse, merging(1, &MergeRule::ById, true), &[&[(1, "mon", 1, false)]]);
    let rule = MergeRule::Versions { key: vec![field("day")], retire_absent: false };
    let ticket = warehouse.begin(merging(2, &rule, false)).unwrap();
    let error = warehouse.write(&ticket, part(false, &[(2, "mon", 2, false)])).unwrap_err();
    assert!(error.message().contains("scd2"), "{error}");
    warehouse.abort(ticket).unwrap();
    expect(&mut *warehouse, &["mon 1"], &["mon"]);
}

/// Columns of rows are found by id, those of the open load left out.
pub(crate) fn values_are_those_of_committed_rows(open: Opener, folder: &Path) {
    let (mut warehouse, _) = opened(open, folder);
    run(&mut *warehouse, merging(1, &MergeRule::ById, true), &[&[(1, "mon", 7, false), (2, "tue", 8, false)]]);
    let ticket = warehouse.begin(merging(2, &MergeRule::ById, true)).unwrap();
    warehouse.write(&ticket, part(false, &[(1, "sun", 9, false), (3, "wed", 1, false)])).unwrap();
    let columns = ["n".to_owned(), "day".to_owned()];
    let found = warehouse.values(&ticket, "days", &[1, 2, 3, 77], &columns).unwrap();
    let expected = HashMap::from([(1, vec![json!(7), json!("mon")]), (2, vec![json!(8), json!("tue")])]);
    assert_eq!(found, expected);
    assert!(warehouse.values(&ticket, "days", &[], &columns).unwrap().is_empty());
    warehouse.abort(ticket).unwrap();
}
