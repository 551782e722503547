//! What becomes of rows that meet others: every merge strategy, in both destinations, as an analyst finds it.

use crate::support::{Api, Server, TestEnv, Warehouse, duck::assert_same, pipeline, pipeline_with_client};
use serde_json::{Value, json};
use std::time::Duration;

/// An API whose `/videos` a test fills, and a run of one resource into both destinations.
struct Case {
    api: Api,
    server: Server,
    env: TestEnv,
}

impl Case {
    fn new(resource: &str) -> Case {
        let api = Api::new(4);
        let served = api.clone();
        let server = Server::start(move |request| served.reply(request));
        let env = TestEnv::new();
        let paging = "paginator = { type = \"offset\", limit = 4 }\n";
        env.pipeline(&pipeline(&server, &format!("[resources.videos]\n{paging}{resource}")));
        Case { api, server, env }
    }

    /// Loads records into both destinations. Requires the same report, the same tables, and balanced books.
    #[track_caller]
    fn load(&self, records: Vec<Value>) -> Value {
        self.api.put("/videos", records);
        let [duckdb, parquet] = self.env.destinations();
        let reports = [&duckdb, &parquet].map(|warehouse| {
            let report = self.env.load_into(warehouse, &[]).expect_code(0).resource("videos");
            check_books(&report, warehouse);
            report
        });
        for key in ["records", "rows", "discarded"] {
            assert_eq!(reports[0][key], reports[1][key], "{key} in DuckDB and in Parquet");
        }
        let [report, _] = reports;
        report
    }

    /// What a query over either destination gives.
    #[track_caller]
    fn query(&self, sql: &str) -> Vec<Vec<String>> {
        let [duckdb, parquet] = self.env.destinations();
        let rows = duckdb.query(sql);
        assert_eq!(rows, parquet.query(sql), "{sql}: DuckDB and Parquet");
        rows
    }

    /// The same, each row as one text.
    #[track_caller]
    fn lines(&self, sql: &str) -> Vec<String> {
        self.query(sql).into_iter().map(|row| row.join(" ")).collect()
    }

    fn assert_same_tables(&self, what: &str) {
        let [duckdb, parquet] = self.env.destinations();
        assert_same(&parquet.dump("api"), &duckdb.dump("api"), what);
    }

    fn assert_no_orphans(&self) {
        let sql = "SELECT count(*) FROM api.videos__tags t WHERE NOT EXISTS \
                   (SELECT 1 FROM api.videos v WHERE v._pintail_id = t._pintail_root_id)";
        assert_eq!(self.lines(sql), ["0"], "child rows without a record");
    }
}

/// Received = loaded + left out by rule, in the report and in the warehouse, which has as many rows of the load.
#[track_caller]
fn check_books(report: &Value, warehouse: &Warehouse) {
    let sum = |counts: &Value| counts.as_object().map_or(0, |c| c.values().filter_map(Value::as_u64).sum::<u64>());
    let loaded = report["rows"]["videos"].as_u64().unwrap_or(0);
    assert_eq!(report["records"].as_u64(), Some(loaded + sum(&report["discarded"])), "{report}");
    let found = warehouse.query(
        "SELECT records, rows, discarded, (SELECT count(*) FROM api.videos v WHERE v._pintail_load_id = l.load_id) AS n \
         FROM api._pintail_loads l WHERE load_id = (SELECT max(load_id) FROM api._pintail_loads)",
    );
    let [records, rows, discarded, there] = found[0].as_slice() else { panic!("{found:?}") };
    assert_eq!(*records, report["records"].to_string());
    let parse = |text: &str| serde_json::from_str::<Value>(text).expect("JSON");
    assert_eq!((&parse(rows), &parse(discarded)), (&report["rows"], &report["discarded"]));
    assert_eq!(*there, loaded.to_string(), "rows of the load in the table");
}

fn video(id: u64, title: &str, tags: &[&str]) -> Value {
    json!({ "id": id, "title": title, "tags": tags })
}

const TITLES: &str = "SELECT id, title FROM api.videos ORDER BY ALL";
const TAGS: &str =
    "SELECT v.id, t.value FROM api.videos v JOIN api.videos__tags t ON t._pintail_root_id = v._pintail_id ORDER BY ALL";

#[test]
fn an_upsert_counts_a_key_that_comes_again_over_pages_and_keeps_its_last_version() {
    let case = Case::new("primary_key = \"id\"\n");
    // Within one page, in the next one, and in one much later.
    let records = [1, 1, 2, 3, 2, 4, 5, 6, 7, 8, 9, 1];
    let records = records.iter().enumerate().map(|(n, id)| video(*id, &format!("v{n}"), &["a", "b"])).collect();
    let report = case.load(records);
    assert_eq!(report["discarded"], json!({ "repeated_key": 3 }));
    assert_eq!(report["rows"], json!({ "videos": 9, "videos__tags": 18 }));
    assert_eq!(case.lines(TITLES)[..2], ["1 v11", "2 v4"]);
    case.assert_no_orphans();
    case.assert_same_tables("upsert");
}

#[test]
fn a_key_that_comes_again_over_several_writes_is_counted_once_for_each_time() {
    let api = Api::new(5_000);
    // More than the rows of one write, so that the last versions meet rows that were written before.
    let records = |round: u64| (0..15_000u64).map(move |id| json!({ "id": id, "round": round, "l": [id] }));
    api.put("/videos", records(0).chain(records(1)).chain(records(2)));
    let served = api.clone();
    let server = Server::start(move |request| served.reply(request));
    let env = TestEnv::new();
    env.pipeline(&pipeline(
        &server,
        "[resources.videos]\nprimary_key = \"id\"\npaginator = { type = \"offset\", limit = 5000 }\n",
    ));
    for warehouse in env.destinations() {
        let report = env.load_into(&warehouse, &[]).expect_code(0).resource("videos");
        assert_eq!(report["discarded"], json!({ "repeated_key": 30_000 }));
        assert_eq!(report["rows"], json!({ "videos": 15_000, "videos__l": 15_000 }));
        check_books(&report, &warehouse);
        assert_eq!(warehouse.value("SELECT min(round) FROM api.videos"), "2");
    }
}

#[test]
fn of_parents_that_bring_the_same_record_the_last_one_counts_however_fast_they_answer() {
    for write in ["write_disposition = \"merge\"\n", "write_disposition = \"replace\"\n"] {
        for delays in [[0, 0, 0, 0], [90, 60, 30, 0], [0, 30, 60, 90], [60, 0, 90, 30]] {
            let api = Api::new(2);
            api.put("/teams", (0..4).map(|id| json!({ "id": id })));
            for team in 0..4 {
                // Over two pages each, and beside records of its own.
                let people = [7, 10 + team, 20 + team].map(|id| json!({ "id": id, "team": team, "tags": [team] }));
                api.put(&format!("/teams/{team}/people"), people);
            }
            let served = api.clone();
            let server = Server::start(move |request| {
                let team: Option<usize> = request.path.split('/').nth(2).and_then(|team| team.parse().ok());
                served.reply(request).delayed(Duration::from_millis(team.map_or(0, |team| delays[team])))
            });
            let env = TestEnv::new();
            env.pipeline(&pipeline(
                &server,
                &format!(
                    "[resource_defaults]\npaginator = {{ type = \"offset\", limit = 2 }}\nprimary_key = \"id\"\n\
                     [resources.teams]\n[resources.people]\nparent = \"teams\"\n\
                     path = \"teams/{{{{ parent.id }}}}/people\"\ninclude_from_parent = [\"id\"]\n{write}"
                ),
            ));
            for warehouse in env.destinations() {
                let report = env.load_into(&warehouse, &[]).expect_code(0).resource("people");
                assert_eq!(report["discarded"], json!({ "repeated_key": 3 }), "{delays:?}");
                let found = warehouse.query("SELECT team, teams_id FROM api.people WHERE id = 7");
                assert_eq!(found, [["3", "3"]], "{delays:?}");
                assert_eq!((warehouse.count("api.people"), warehouse.count("api.people__tags")), (9, 9));
            }
        }
    }
}

#[test]
fn pages_that_are_fetched_ahead_change_nothing_about_which_version_counts() {
    let run = |prefetch: usize, concurrency: usize| {
        let api = Api::new(3);
        // Each key five times, over pages that are far from each other.
        api.put("/videos", (0..60).map(|n| json!({ "id": n % 12, "n": n, "tags": vec![n; n % 3] })));
        let served = api.clone();
        // The later a page, the sooner it is there.
        let server = Server::start(move |request| {
            let late = 60_usize.saturating_sub(request.number_param("offset", 0)) / 3;
            served.reply(request).delayed(Duration::from_millis(late as u64))
        });
        let env = TestEnv::new();
        let resource = format!(
            "[resources.videos]\nprimary_key = \"id\"\n\
             paginator = {{ type = \"offset\", limit = 3, prefetch = {prefetch} }}\n"
        );
        env.pipeline(&pipeline_with_client(&server, &format!("concurrency = {concurrency}\n"), &resource));
        env.destinations().map(|warehouse| {
            let report = env.load_into(&warehouse, &[]).expect_code(0).resource("videos");
            assert_eq!(report["discarded"], json!({ "repeated_key": 48 }));
            warehouse.dump("api")
        })
    };
    let [expected, parquet] = run(1, 1);
    assert_same(&parquet, &expected, "Parquet");
    assert!(expected["videos"].iter().any(|row| row.contains("n=59")), "{expected:?}");
    for (prefetch, concurrency) in [(2, 2), (8, 8), (20, 4)] {
        for dump in run(prefetch, concurrency) {
            assert_same(&dump, &expected, &format!("prefetch {prefetch}"));
        }
    }
}

#[test]
fn delete_insert_replaces_all_rows_of_a_group_with_their_child_rows() {
    let case = Case::new("write_disposition = \"merge\"\nmerge_strategy = \"delete-insert\"\nmerge_key = \"day\"\n");
    let row = |day: &str, n: u64, tags: &[&str]| json!({ "day": day, "n": n, "tags": tags });
    case.load(vec![row("mon", 1, &["a"]), row("mon", 2, &["b"]), row("tue", 3, &["c"]), row("tue", 3, &["c"])]);
    let report = case.load(vec![row("tue", 5, &["x", "y"]), row("wed", 6, &[])]);
    assert_eq!(report["rows"], json!({ "videos": 2, "videos__tags": 2 }));
    assert_eq!(case.lines("SELECT day, n FROM api.videos ORDER BY ALL"), ["mon 1", "mon 2", "tue 5", "wed 6"]);
    assert_eq!(case.lines("SELECT value FROM api.videos__tags ORDER BY ALL"), ["a", "b", "x", "y"]);
    case.assert_no_orphans();
    // The same again changes nothing, although no key tells the rows of a group apart.
    case.load(vec![row("tue", 5, &["x", "y"]), row("wed", 6, &[])]);
    assert_eq!(case.lines("SELECT count(*) FROM api.videos"), ["4"]);
    case.assert_same_tables("delete-insert");
}

#[test]
fn delete_insert_with_a_primary_key_moves_a_record_from_one_group_to_another() {
    let keys = "primary_key = \"id\"\nmerge_strategy = \"delete-insert\"\nmerge_key = [\"place.city\", \"year\"]\n";
    let case = Case::new(keys);
    let row = |id: u64, city: &str, year: u64| json!({ "id": id, "place": { "city": city }, "year": year });
    case.load(vec![row(1, "Porto", 1), row(2, "Porto", 1), row(3, "Porto", 2), row(4, "Faro", 1)]);
    // 1 moves from Porto 1 to Faro 1, which drops 4; Porto 1 does not occur, so 2 stays. Keys as text are the same keys.
    case.load(vec![json!({ "id": "1", "place": { "city": "Faro" }, "year": "1" })]);
    assert_eq!(
        case.lines("SELECT id, place__city, year FROM api.videos ORDER BY ALL"),
        ["1 Faro 1", "2 Porto 1", "3 Porto 2"]
    );
    case.assert_same_tables("delete-insert with both keys");
}

#[test]
fn a_group_key_that_is_null_is_an_error_with_its_name_and_changes_nothing() {
    let case = Case::new("write_disposition = \"merge\"\nmerge_strategy = \"delete-insert\"\nmerge_key = \"day\"\n");
    case.load(vec![json!({ "day": "mon", "n": 1 })]);
    case.api.put("/videos", [json!({ "day": "mon", "n": 2 }), json!({ "day": null, "n": 3 })]);
    for warehouse in case.env.destinations() {
        let outcome = case.env.load_into(&warehouse, &[]).expect_code(1).expect_stderr(&["`day`", "null or missing"]);
        assert_eq!(outcome.resource("videos")["discarded"], json!({ "not_committed": 2 }));
        let last = "SELECT status, discarded FROM api._pintail_loads ORDER BY load_id DESC LIMIT 1";
        assert_eq!(warehouse.query(last), [["failed", r#"{"not_committed":2}"#]]);
    }
    assert_eq!(case.lines("SELECT n FROM api.videos"), ["1"]);
}

#[test]
fn a_walk_that_fails_midway_replaces_no_group_by_half_of_it() {
    let case = Case::new(
        "write_disposition = \"merge\"\nmerge_strategy = \"delete-insert\"\nmerge_key = \"day\"\nmax_pages = 2\n",
    );
    let day = |numbers: std::ops::Range<u64>| numbers.map(|n| json!({ "day": "mon", "n": n }));
    case.load(day(0..4).collect());
    case.api.put("/videos", day(100..120));
    for warehouse in case.env.destinations() {
        let report = case.env.load_into(&warehouse, &[]).expect_code(1).resource("videos");
        assert_eq!(report["discarded"], json!({ "not_committed": report["records"] }), "{report}");
    }
    assert_eq!(case.lines("SELECT count(*), max(n) FROM api.videos"), ["4 3"]);
}

#[test]
fn insert_only_leaves_stored_keys_alone_and_counts_them() {
    let case = Case::new("primary_key = \"id\"\nmerge_strategy = \"insert-only\"\n");
    case.load(vec![video(1, "one", &["a"]), video(2, "two", &[])]);
    let report = case.load(vec![
        video(2, "TWO", &["x"]),
        video(3, "three", &["c"]),
        video(1, "ONE", &["y", "z"]),
        video(4, "four", &[]),
        video(3, "THREE", &["d"]),
    ]);
    assert_eq!(report["discarded"], json!({ "key_stored": 2, "repeated_key": 1 }));
    assert_eq!(report["rows"], json!({ "videos": 2, "videos__tags": 1 }));
    assert_eq!(case.lines(TITLES), ["1 one", "2 two", "3 THREE", "4 four"]);
    assert_eq!(case.lines(TAGS), ["1 a", "3 d"]);
    case.assert_no_orphans();
    case.assert_same_tables("insert-only");
}

const SCD2: &str = "primary_key = \"id\"\nmerge_strategy = \"scd2\"\n";

/// Versions in order: record, title, whether it is current, and its tags.
const VERSIONS: &str = "SELECT v.id, v.title, v._pintail_valid_to IS NULL AS is_current, \
    (SELECT string_agg(t.value, '' ORDER BY t._pintail_list_index) FROM api.videos__tags t \
     WHERE t._pintail_parent_id = v._pintail_id) AS tags \
    FROM api.videos v ORDER BY v.id, v._pintail_valid_from, title";

#[test]
fn scd2_closes_the_old_version_adds_the_new_one_and_leaves_the_unchanged() {
    let case = Case::new(SCD2);
    case.load(vec![video(1, "one", &["a"]), video(2, "two", &["b"]), video(3, "three", &["c"])]);
    let report = case.load(vec![video(1, "ONE", &["a", "x"]), video(2, "two", &["b"]), video(4, "four", &[])]);
    assert_eq!(report["discarded"], json!({ "unchanged": 1 }));
    assert_eq!(report["rows"], json!({ "videos": 2, "videos__tags": 2 }));
    let after_two = ["1 one false a", "1 ONE true ax", "2 two true b", "3 three true c", "4 four true NULL"];
    assert_eq!(case.lines(VERSIONS), after_two);
    // Nothing changes: nothing is written. The order of keys is no change, and neither is a null that was not there before.
    let same = vec![json!({ "tags": ["a", "x"], "new": null, "title": "ONE", "id": 1 }), video(2, "two", &["b"])];
    assert_eq!(case.load(same)["discarded"], json!({ "unchanged": 2 }));
    assert_eq!(case.lines(VERSIONS), after_two);
    // Back to what it was: a version of its own, with child rows of its own. A change of a child row is a change.
    case.load(vec![video(1, "one", &["a"]), video(2, "two", &["B"])]);
    let expected = [
        "1 one false a",
        "1 ONE false ax",
        "1 one true a",
        "2 two false b",
        "2 two true B",
        "3 three true c",
        "4 four true NULL",
    ];
    assert_eq!(case.lines(VERSIONS), expected);
    assert_eq!(case.lines("SELECT count(*), count(DISTINCT _pintail_id) FROM api.videos"), ["7 7"]);
    // The end of a version is the start of the next one.
    let seams = "SELECT count(*) FROM api.videos a JOIN api.videos b ON a.id = b.id AND a._pintail_valid_to = b._pintail_valid_from";
    assert_eq!(case.lines(seams), ["3"]);
    case.assert_no_orphans();
}

#[test]
fn scd2_keeps_the_last_of_several_versions_in_one_load_and_one_of_those_that_are_alike() {
    let case = Case::new(SCD2);
    let report = case.load(vec![
        video(1, "first", &["a"]),
        video(2, "same", &["b", "c"]),
        video(3, "x", &[]),
        video(4, "x", &[]),
        video(1, "second", &["d"]),
        video(2, "same", &["b", "c"]),
        video(1, "third", &["e", "f"]),
    ]);
    assert_eq!(report["discarded"], json!({ "repeated_key": 3 }));
    assert_eq!(report["rows"], json!({ "videos": 4, "videos__tags": 4 }));
    assert_eq!(case.lines(VERSIONS), ["1 third true ef", "2 same true bc", "3 x true NULL", "4 x true NULL"]);
    case.assert_no_orphans();
}

#[test]
fn scd2_retires_absent_records_only_if_it_is_asked_to() {
    for (retire, expected) in
        [("", ["1 true", "2 true", "3 true"]), ("retire_absent = true\n", ["1 true", "2 false", "3 false"])]
    {
        let case = Case::new(&format!("{SCD2}{retire}"));
        case.load(vec![video(1, "one", &["a"]), video(2, "two", &["b"]), video(3, "three", &[])]);
        case.load(vec![video(1, "one", &["a"])]);
        let current = "SELECT id, _pintail_valid_to IS NULL FROM api.videos ORDER BY ALL";
        assert_eq!(case.lines(current), expected);
        // A record that comes back is current again, as a new version.
        case.load(vec![video(1, "one", &["a"]), video(2, "two", &["b"])]);
        let of_two = "SELECT count(*) FILTER (_pintail_valid_to IS NULL) FROM api.videos WHERE id = 2";
        assert_eq!(case.lines(of_two), ["1"]);
        case.load(vec![]);
        let left = if retire.is_empty() { "3" } else { "0" };
        assert_eq!(case.lines("SELECT count(*) FILTER (_pintail_valid_to IS NULL) FROM api.videos"), [left]);
    }
}

#[test]
fn scd2_retires_nothing_when_a_walk_fails_midway() {
    let case = Case::new(&format!("{SCD2}retire_absent = true\nmax_pages = 2\n"));
    case.load(vec![video(1, "one", &[]), video(2, "two", &[]), video(3, "three", &[])]);
    case.api.put("/videos", (10..20).map(|id| video(id, "new", &[])));
    for warehouse in case.env.destinations() {
        case.env.load_into(&warehouse, &[]).expect_code(1);
    }
    assert_eq!(case.lines("SELECT count(*), count(_pintail_valid_to) FROM api.videos"), ["3 0"]);
}

#[test]
fn children_of_an_scd2_parent_are_asked_for_by_its_current_versions() {
    let case = Case::new(SCD2);
    let more = "[resources.comments]\nparent = \"videos\"\npath = \"videos/{{ parent.slug }}/comments\"\nprimary_key = \"id\"\n";
    let text = std::fs::read_to_string(case.env.path("pipelines/api.toml")).expect("the pipeline");
    case.env.pipeline(&format!("{text}{more}"));
    for slug in ["a", "b", "c"] {
        case.api.put(&format!("/videos/{slug}/comments"), [json!({ "id": slug })]);
    }
    for slug in ["a", "b"] {
        case.api.put("/videos", [json!({ "id": 1, "slug": slug }), json!({ "id": 2, "slug": "c" })]);
        for warehouse in case.env.destinations() {
            case.env.load_into(&warehouse, &[]).expect_code(0);
        }
    }
    let before = case.server.requests_for("/videos/a/comments").len();
    case.api.put("/videos", []);
    for warehouse in case.env.destinations() {
        case.env.load_into(&warehouse, &[]).expect_code(0);
    }
    assert_eq!(case.server.requests_for("/videos/a/comments").len(), before, "its version is past");
    assert!(case.server.requests_for("/videos/b/comments").len() >= 2);
}

#[test]
fn a_table_that_was_made_for_another_strategy_is_refused_untouched() {
    let case = Case::new("primary_key = \"id\"\n");
    case.load(vec![video(1, "one", &[])]);
    let text = std::fs::read_to_string(case.env.path("pipelines/api.toml")).expect("the pipeline");
    let versions = format!("{text}merge_strategy = \"scd2\"\n");
    case.env.pipeline(&versions);
    for warehouse in case.env.destinations() {
        case.env.load_into(&warehouse, &[]).expect_code(1).expect_stderr(&["scd2", "--full-refresh"]);
        assert_eq!(warehouse.count("api.videos"), 1);
        case.env.load_into(&warehouse, &["--full-refresh"]).expect_code(0);
    }
    case.env.pipeline(&text);
    for warehouse in case.env.destinations() {
        case.env.load_into(&warehouse, &[]).expect_code(1).expect_stderr(&["scd2", "--full-refresh"]);
        assert_eq!(warehouse.count("api.videos"), 1);
    }
}

#[test]
fn hard_delete_takes_a_record_with_its_child_rows_and_a_deleted_one_never_comes_in() {
    for strategy in ["upsert", "delete-insert"] {
        let case =
            Case::new(&format!("primary_key = \"id\"\nmerge_strategy = \"{strategy}\"\nhard_delete = \"gone\"\n"));
        let row = |id: u64, gone: Value| json!({ "id": id, "gone": gone, "tags": ["t"] });
        case.load(vec![row(1, json!(false)), row(2, Value::Null), row(3, json!(false)), row(4, json!(true))]);
        assert_eq!(case.lines("SELECT id FROM api.videos ORDER BY ALL"), ["1", "2", "3"]);
        let report = case.load(vec![
            row(1, json!(true)),
            row(5, json!(true)),
            row(6, json!(true)),
            row(6, json!(false)),
            row(2, json!(false)),
            row(2, json!(true)),
        ]);
        assert_eq!(report["discarded"], json!({ "repeated_key": 2, "hard_deleted": 3 }), "{strategy}");
        assert_eq!(case.lines("SELECT id FROM api.videos ORDER BY ALL"), ["3", "6"], "{strategy}");
        assert_eq!(case.lines("SELECT count(*) FROM api.videos__tags"), ["2"], "{strategy}");
        case.assert_no_orphans();
        case.assert_same_tables(strategy);
    }
}

#[test]
fn a_time_an_object_or_a_number_marks_a_record_as_deleted_and_no_value_does_not() {
    for (live, dead) in [
        (vec![Value::Null], json!("2026-01-02T03:04:05Z")),
        (vec![Value::Null, json!("")], json!("2026-01-02")),
        (vec![Value::Null, json!(0)], json!(1)),
        (vec![Value::Null], json!({ "at": "2026-01-02", "by": null })),
        // A column that has become text says no as it did before.
        (vec![json!(false), json!(0)], json!("2026-01-02T03:04:05Z")),
    ] {
        let case = Case::new("primary_key = \"id\"\nhard_delete = \"deletedAt\"\n");
        let row = |id: usize, mark: &Value| json!({ "id": id, "deletedAt": mark });
        let records: Vec<Value> = live.iter().enumerate().map(|(id, mark)| row(id, mark)).collect();
        let kept = records.len();
        case.load([records, vec![row(9, &dead)]].concat());
        assert_eq!(case.lines("SELECT count(*), max(id) < 9 FROM api.videos"), [format!("{kept} true")], "{dead}");
        case.load(vec![row(0, &dead)]);
        assert_eq!(case.lines("SELECT count(*) FROM api.videos"), [(kept - 1).to_string()], "{dead}");
    }
}

#[test]
fn hard_delete_with_versions_closes_the_current_one() {
    let case = Case::new(&format!("{SCD2}hard_delete = \"gone\"\n"));
    let row = |id: u64, gone: bool| json!({ "id": id, "gone": gone, "title": "t", "tags": ["a"] });
    case.load(vec![row(1, false), row(2, false)]);
    let report = case.load(vec![row(1, true), row(3, true)]);
    assert_eq!(report["discarded"], json!({ "hard_deleted": 2 }));
    assert_eq!(case.lines(VERSIONS), ["1 t false a", "2 t true a"]);
    // It comes back.
    case.load(vec![row(1, false)]);
    assert_eq!(case.lines(VERSIONS), ["1 t false a", "1 t true a", "2 t true a"]);
}

#[test]
fn what_a_schema_learns_later_changes_no_strategy() {
    // The key column widens from numbers to text, and a column appears, between and within loads.
    for strategy in ["upsert", "delete-insert", "insert-only", "scd2"] {
        let keys = if strategy == "delete-insert" { "merge_key = \"id\"\n" } else { "" };
        let case = Case::new(&format!("primary_key = \"id\"\nmerge_strategy = \"{strategy}\"\n{keys}"));
        case.load((1..=6).map(|id| json!({ "id": id, "n": id })).collect());
        case.load(vec![
            json!({ "id": 2, "n": 2.5 }),
            json!({ "id": "2b", "n": 1, "new": true }),
            json!({ "id": "3", "n": "x" }),
        ]);
        let expected = match strategy {
            "upsert" | "delete-insert" => ["1 1", "2 2.5", "2b 1", "3 x", "4 4", "5 5", "6 6"].to_vec(),
            "insert-only" => ["1 1", "2 2", "2b 1", "3 3", "4 4", "5 5", "6 6"].to_vec(),
            _ => ["1 1", "2 2", "2 2.5", "2b 1", "3 3", "3 x", "4 4", "5 5", "6 6"].to_vec(),
        };
        assert_eq!(case.lines("SELECT id, n FROM api.videos ORDER BY ALL"), expected, "{strategy}");
    }
}
