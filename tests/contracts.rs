//! Schema contracts: what becomes of data that would change the tables, in both destinations, and where it is kept.

use crate::support::{Api, Outcome, Server, TestEnv, Warehouse, duck::assert_same, pipeline};
use serde_json::{Value, json};

const PAGING: &str = "paginator = { type = \"offset\", limit = 3 }\n";

/// How rows are written; of both, a second load keeps the rows of the first.
const WRITES: [&str; 2] = ["write_disposition = \"append\"\n", "primary_key = \"id\"\n"];

/// An API whose `/videos` a test fills.
struct Case {
    api: Api,
    server: Server,
    env: TestEnv,
}

impl Case {
    fn new() -> Case {
        let api = Api::new(3);
        let served = api.clone();
        Case { api, server: Server::start(move |request| served.reply(request)), env: TestEnv::new() }
    }

    fn configure(&self, resource: &str) {
        self.env.pipeline(&pipeline(&self.server, &format!("[resources.videos]\n{PAGING}{resource}")));
    }

    /// Loads records into both destinations, which must give the same tables and counts.
    #[track_caller]
    fn load(&self, records: Vec<Value>, code: i32) -> Outcome {
        self.api.put("/videos", records);
        let [duckdb, parquet] = self.env.destinations();
        let [first, second] = [&duckdb, &parquet].map(|warehouse| self.env.load_into(warehouse, &[]).expect_code(code));
        for key in ["records", "rows", "discarded", "discarded_parts"] {
            assert_eq!(first.resource("videos")[key], second.resource("videos")[key], "{key} in DuckDB and in Parquet");
        }
        check_books(&first.resource("videos"), &duckdb);
        check_books(&second.resource("videos"), &parquet);
        assert_same(&parquet.dump("api"), &duckdb.dump("api"), "DuckDB and Parquet");
        first
    }

    /// What a query over either destination gives, each row as one text.
    #[track_caller]
    fn lines(&self, sql: &str) -> Vec<String> {
        let [duckdb, parquet] = self.env.destinations();
        let rows = duckdb.query(sql);
        assert_eq!(rows, parquet.query(sql), "{sql}: DuckDB and Parquet");
        rows.into_iter().map(|row| row.join(" ")).collect()
    }
}

/// Received = loaded + left out by rule, in the report, in `_pintail_loads` and in the table itself; and every record that the
/// contract left out of a load that was committed is in `_pintail_discarded`.
#[track_caller]
fn check_books(report: &Value, warehouse: &Warehouse) {
    let sum = |counts: &Value| counts.as_object().map_or(0, |c| c.values().filter_map(Value::as_u64).sum::<u64>());
    let loaded = report["rows"]["videos"].as_u64().unwrap_or(0);
    assert_eq!(report["records"].as_u64(), Some(loaded + sum(&report["discarded"])), "{report}");
    let found = warehouse.query(
        "SELECT records, discarded, (SELECT count(*) FROM api.videos v WHERE v._pintail_load_id = l.load_id), \
         (SELECT count(*) FROM api._pintail_discarded d WHERE d.load_id = l.load_id AND extent = 'record'), \
         (SELECT count(*) FROM api._pintail_discarded d WHERE d.load_id = l.load_id AND extent = 'value') \
         FROM api._pintail_loads l WHERE load_id = (SELECT max(load_id) FROM api._pintail_loads)",
    );
    let [records, discarded, there, noted_records, noted_values] = found[0].as_slice() else { panic!("{found:?}") };
    assert_eq!(*records, report["records"].to_string());
    assert_eq!(serde_json::from_str::<Value>(discarded).expect("JSON"), report["discarded"]);
    assert_eq!(*there, loaded.to_string(), "rows of the load in the table");
    if report["status"] == "completed" {
        let by_contract =
            ["new_column", "data_type", "cursor_missing"].iter().filter_map(|rule| report["discarded"][rule].as_u64());
        assert_eq!(*noted_records, by_contract.sum::<u64>().to_string(), "{report}");
        let parts = report["discarded_parts"].as_object().expect("counts by place");
        let values = parts.iter().filter(|(place, _)| place.contains('.')).filter_map(|(_, n)| n.as_u64());
        assert_eq!(*noted_values, values.sum::<u64>().to_string(), "{report}");
    }
}

fn before() -> Vec<Value> {
    vec![json!({ "id": 1, "name": "a", "size": 1, "tags": ["x"], "lines": [{ "n": 1 }] })]
}

/// One drift of each kind, in the record and in a child row, between records without any.
fn drifted() -> Vec<Value> {
    vec![
        json!({ "id": 2, "name": "b", "size": 2, "tags": ["y"], "lines": [{ "n": 2 }] }),
        json!({ "id": 3, "name": "c", "size": 3, "extra": { "k": "e" }, "tags": ["z"] }),
        json!({ "id": 4, "name": "d", "size": "big", "lines": [{ "n": 4 }] }),
        json!({ "id": 5, "name": "e", "size": 5, "notes": ["n1", "n2"] }),
        json!({ "id": 6, "name": "f", "size": 6, "lines": [{ "n": 1 }, { "n": 6, "why": "w" }, { "n": "six" }, { "n": 7 }] }),
        json!({ "id": 7, "name": "g", "size": null, "extra": null, "notes": [], "tags": null }),
    ]
}

const IDS: &str = "SELECT string_agg(id::VARCHAR, ',' ORDER BY id) FROM api.videos";
const LINES: &str = "SELECT string_agg(n::VARCHAR || '@' || _pintail_list_index, ',' ORDER BY n, _pintail_list_index) \
                     FROM api.videos__lines";
const TABLES: &str = "SELECT string_agg(DISTINCT table_name || '.' || column_name, ' ' ORDER BY table_name || '.' || column_name) \
                      FROM api._pintail_columns WHERE column_name NOT IN ('id', 'name', 'value')";
const KEPT_OUT: &str = "SELECT table_name, coalesce(column_name, '-') AS c, rule, extent, value::VARCHAR AS v, \
                        coalesce((record::JSON->>'id')::VARCHAR, record::VARCHAR, '-') AS r \
                        FROM api._pintail_discarded ORDER BY ALL";

/// A contract, and what a load of [`drifted`] comes to.
struct Kept {
    contract: &'static str,
    ids: &'static str,
    lines: &'static str,
    columns: &'static str,
    size_type: &'static str,
    discarded: Value,
    parts: Value,
    kept_out: &'static [&'static str],
}

const ALL_LINES: &str = "1@0,1@0,2@0,4@0,6@1,7@3,six@2";
const PLAIN: &str = "videos.size videos__lines.n";

fn kept() -> Vec<Kept> {
    vec![
        Kept {
            contract: "schema_contract = \"evolve\"",
            ids: "1,2,3,4,5,6,7",
            lines: ALL_LINES,
            columns: "videos.extra__k videos.size videos__lines.n videos__lines.why",
            size_type: "VARCHAR",
            discarded: json!({}),
            parts: json!({}),
            kept_out: &[],
        },
        Kept {
            contract: "schema_contract = \"discard_row\"",
            ids: "1,2,5,6,7",
            lines: "1@0,1@0,2@0,7@3",
            columns: PLAIN,
            size_type: "BIGINT",
            discarded: json!({ "new_column": 1, "data_type": 1 }),
            parts: json!({ "videos__notes": 2, "videos__lines": 2 }),
            kept_out: &[
                "videos extra__k new_column record \"e\" 3",
                "videos size data_type record \"big\" 4",
                "videos__lines n data_type row \"six\" {\"n\":\"six\"}",
                "videos__lines why new_column row \"w\" {\"n\":6,\"why\":\"w\"}",
                "videos__notes - new_table list [\"n1\",\"n2\"] -",
            ],
        },
        Kept {
            contract: "schema_contract = \"discard_value\"",
            ids: "1,2,3,4,5,6,7",
            lines: "1@0,1@0,2@0,4@0,6@1,7@3",
            columns: PLAIN,
            size_type: "BIGINT",
            discarded: json!({}),
            parts: json!({
                "videos.extra__k": 1, "videos.size": 1, "videos__lines.n": 1, "videos__lines.why": 1, "videos__notes": 2,
            }),
            kept_out: &[
                "videos extra__k new_column value \"e\" -",
                "videos size data_type value \"big\" -",
                "videos__lines n data_type value \"six\" -",
                "videos__lines why new_column value \"w\" -",
                "videos__notes - new_table list [\"n1\",\"n2\"] -",
            ],
        },
        Kept {
            contract: "schema_contract = { tables = \"discard_value\" }",
            ids: "1,2,3,4,5,6,7",
            lines: ALL_LINES,
            columns: "videos.extra__k videos.size videos__lines.n videos__lines.why",
            size_type: "VARCHAR",
            discarded: json!({}),
            parts: json!({ "videos__notes": 2 }),
            kept_out: &["videos__notes - new_table list [\"n1\",\"n2\"] -"],
        },
        Kept {
            contract: "schema_contract = { columns = \"discard_row\" }",
            ids: "1,2,4,5,6,7",
            lines: "1@0,1@0,2@0,4@0,7@3,six@2",
            columns: PLAIN,
            size_type: "VARCHAR",
            discarded: json!({ "new_column": 1 }),
            parts: json!({ "videos__lines": 1 }),
            kept_out: &[
                "videos extra__k new_column record \"e\" 3",
                "videos__lines why new_column row \"w\" {\"n\":6,\"why\":\"w\"}",
            ],
        },
        Kept {
            contract: "schema_contract = { columns = \"evolve\", data_type = \"discard_value\" }",
            ids: "1,2,3,4,5,6,7",
            lines: "1@0,1@0,2@0,4@0,6@1,7@3",
            columns: "videos.extra__k videos.size videos__lines.n videos__lines.why",
            size_type: "BIGINT",
            discarded: json!({}),
            parts: json!({ "videos.size": 1, "videos__lines.n": 1 }),
            kept_out: &["videos size data_type value \"big\" -", "videos__lines n data_type value \"six\" -"],
        },
    ]
}

/// Loads [`drifted`] over [`before`] under each contract.
fn check_all_kept(write: &str) {
    for kept in kept() {
        let case = Case::new();
        case.configure(&format!("{write}{}\n", kept.contract));
        case.load(before(), 0);
        let report = case.load(drifted(), 0).resource("videos");
        let what = format!("{} {write}", kept.contract);
        assert_eq!(report["discarded"], kept.discarded, "{what}");
        assert_eq!(report["discarded_parts"], kept.parts, "{what}");
        assert_eq!(case.lines(IDS), [kept.ids], "{what}");
        assert_eq!(case.lines(LINES), [kept.lines], "{what}");
        assert_eq!(case.lines(TABLES), [kept.columns], "{what}");
        assert_eq!(case.lines(KEPT_OUT), kept.kept_out, "{what}");
        let [duckdb, _] = case.env.destinations();
        assert_eq!(duckdb.column_type("api.videos", "size"), kept.size_type, "{what}");
    }
}

#[test]
fn what_has_no_place_is_kept_out_of_an_append_as_the_contract_says() {
    check_all_kept(WRITES[0]);
}

#[test]
fn what_has_no_place_is_kept_out_of_a_merge_as_the_contract_says() {
    check_all_kept(WRITES[1]);
}

#[test]
fn what_is_forbidden_fails_the_load_and_stores_nothing_of_it() {
    for write in WRITES {
        for (contract, parts) in [
            ("{ columns = \"freeze\" }", ["`videos` would get a new column, `extra__k`", "columns = \"freeze\""]),
            ("{ data_type = \"freeze\" }", ["a value of `videos.size` is no BIGINT", "data_type = \"freeze\""]),
            ("{ tables = \"freeze\" }", ["a list would become a new table, `videos__notes`", "tables = \"freeze\""]),
        ] {
            let case = Case::new();
            case.configure(&format!("{write}schema_contract = {contract}\n"));
            case.load(before(), 0);
            let outcome = case.load(drifted(), 1);
            let error = outcome.resource("videos")["error"].to_string();
            for part in parts {
                assert!(outcome.stderr.contains(part), "{part}\n{}", outcome.transcript());
            }
            assert!(error.contains("record") && error.contains("/videos?"), "{error}");
            let report = outcome.resource("videos");
            let lost = if report["records"] == 0 { json!({}) } else { json!({ "not_committed": report["records"] }) };
            assert_eq!(report["discarded"], lost);
            assert_eq!(case.lines(IDS), ["1"], "{contract} {write}");
            assert_eq!(case.lines(KEPT_OUT), [""; 0]);
        }
    }
}

#[test]
fn what_one_run_takes_in_is_the_schema_from_then_on() {
    let case = Case::new();
    for (contract, records, code) in
        [("freeze", before(), 0), ("freeze", drifted(), 1), ("evolve", drifted(), 0), ("freeze", drifted(), 0)]
    {
        case.configure(&format!("primary_key = \"id\"\nschema_contract = \"{contract}\"\n"));
        case.load(records, code);
    }
    assert_eq!(case.lines(IDS), ["1,2,3,4,5,6,7"]);
}

#[test]
fn a_first_load_and_a_full_refresh_make_the_schema() {
    let case = Case::new();
    case.configure("primary_key = \"id\"\nschema_contract = \"freeze\"\n");
    let [duckdb, parquet] = case.env.destinations();
    case.api.put("/videos", []);
    for empty in [&duckdb, &parquet] {
        case.env.load_into(empty, &[]).expect_code(0);
    }
    case.load(drifted(), 0);
    assert_eq!(case.lines(IDS), ["2,3,4,5,6,7"]);
    case.api.put("/videos", vec![json!({ "id": 1, "other": [1] })]);
    case.env.load_into(&duckdb, &[]).expect_code(1).expect_stderr(&["videos__other"]);
    case.env.load_into(&duckdb, &["--full-refresh"]).expect_code(0);
    assert_eq!(duckdb.value(IDS), "1");
}

#[test]
fn declared_columns_are_a_schema_from_the_first_load_on() {
    let columns = "[resources.videos.columns]\nname = { type = \"VARCHAR\" }\nsize = { type = \"BIGINT\" }\n";
    let case = Case::new();
    case.configure(&format!("primary_key = \"id\"\nschema_contract = \"discard_value\"\n{columns}"));
    let report = case.load(drifted(), 0).resource("videos");
    assert_eq!(report["discarded_parts"], json!({ "videos.extra__k": 1, "videos.size": 1 }));
    assert_eq!(
        case.lines("SELECT id, name, size FROM api.videos WHERE id IN (3, 4) ORDER BY id"),
        ["3 c 3", "4 d NULL"]
    );
    let strict = Case::new();
    strict.configure(&format!("primary_key = \"id\"\nschema_contract = \"freeze\"\n{columns}"));
    strict.api.put("/videos", drifted());
    strict.env.load().expect_code(1).expect_stderr(&["`videos` would get a new column, `extra__k`", "declaring it"]);
}

#[test]
fn a_left_out_value_names_the_record_that_it_was_part_of() {
    let case = Case::new();
    case.configure("primary_key = \"id\"\nschema_contract = \"discard_value\"\n");
    case.load(before(), 0);
    case.load(drifted(), 0);
    let sql = "SELECT v.id, d.table_name, d.value::VARCHAR AS x FROM api._pintail_discarded d \
               JOIN api.videos v ON v._pintail_id::VARCHAR = d.record_id ORDER BY ALL";
    assert_eq!(
        case.lines(sql),
        [
            "3 videos \"e\"",
            "4 videos \"big\"",
            "5 videos__notes [\"n1\",\"n2\"]",
            "6 videos__lines \"six\"",
            "6 videos__lines \"w\""
        ]
    );
    let sql = "SELECT count(*) AS n FROM api._pintail_discarded d JOIN api._pintail_loads l USING (load_id) \
               WHERE d.discarded_at >= l.started_at AND d.pipeline = 'api' AND d.resource = 'videos'";
    assert_eq!(case.lines(sql), ["5"]);
    // Each load has rows of its own.
    case.load(drifted(), 0);
    assert_eq!(
        case.lines("SELECT count(*) AS n, count(DISTINCT load_id) AS loads FROM api._pintail_discarded"),
        ["10 2"]
    );
}

#[test]
fn the_cursor_passes_records_that_are_left_out() {
    let case = Case::new();
    case.configure(
        "primary_key = \"id\"\nschema_contract = \"discard_row\"\n\
         incremental = { cursor_path = \"at\", start_param = \"since_at\", on_cursor_value_missing = \"exclude\" }\n",
    );
    case.load(vec![json!({ "id": 1, "at": 1 })], 0);
    let records =
        vec![json!({ "id": 2, "at": 2 }), json!({ "id": 3, "at": 3, "new": 1 }), json!({ "id": 4, "note": null })];
    let report = case.load(records, 0).resource("videos");
    assert_eq!(report["cursor_after"], "3");
    assert_eq!(report["discarded"], json!({ "new_column": 1, "cursor_missing": 1 }));
    assert_eq!(case.lines(KEPT_OUT), ["videos - cursor_missing record NULL 4", "videos new new_column record 1 3"]);
}

#[test]
fn children_of_a_parent_are_held_against_their_own_tables() {
    let api = Api::new(10);
    let served = api.clone();
    let server = Server::start(move |request| served.reply(request));
    let env = TestEnv::new();
    let resources = "[resource_defaults]\nprimary_key = \"id\"\nschema_contract = \"freeze\"\npaginator = \"single_page\"\n\
         [resources.teams]\nschema_contract = false\n\
         [resources.members]\nparent = \"teams\"\npath = \"teams/{{ parent.id }}/members\"\ninclude_from_parent = [\"name\"]\n";
    env.pipeline(&pipeline(&server, resources));
    api.put("/teams", (1..=3).map(|id| json!({ "id": id, "name": format!("t{id}") })));
    for id in 1..=3 {
        api.put(&format!("/teams/{id}/members"), [json!({ "id": id, "name": "m" })]);
    }
    for warehouse in env.destinations() {
        api.put("/teams/2/members", [json!({ "id": 2, "name": "m" })]);
        env.load_into(&warehouse, &[]).expect_code(0);
        api.put("/teams", (1..=3).map(|id| json!({ "id": id, "name": format!("t{id}"), "fresh": true })));
        api.put("/teams/2/members", [json!({ "id": 9, "name": "m", "fresh": true })]);
        let outcome = env.load_into(&warehouse, &[]).expect_code(1);
        assert_eq!(outcome.resource("teams")["status"], "completed");
        assert!(outcome.resource("members")["error"].to_string().contains("would get a new column, `fresh`"));
        assert_eq!(warehouse.value("SELECT count(*) FROM api.members WHERE id = 9"), "0");
        api.put("/teams", (1..=3).map(|id| json!({ "id": id, "name": format!("t{id}") })));
    }
}

#[test]
fn a_warehouse_without_the_table_of_what_was_left_out_gets_it() {
    let case = Case::new();
    case.configure("primary_key = \"id\"\nschema_contract = \"discard_value\"\n");
    case.load(before(), 0);
    let connection = duckdb::Connection::open(case.env.path("both.duckdb")).expect("a warehouse");
    connection.execute_batch("DROP TABLE api._pintail_discarded").expect("dropped");
    drop(connection);
    std::fs::remove_dir_all(case.env.path("both-parquet/api/_pintail_discarded")).expect("the table's folder");
    let report = case.load(drifted(), 0).resource("videos");
    assert_eq!(report["status"], "completed");
    assert_eq!(case.lines("SELECT count(*) AS n FROM api._pintail_discarded"), ["5"]);
}

#[test]
fn a_contract_that_says_nothing_known_is_refused_with_its_place() {
    let case = Case::new();
    for (contract, says) in [
        ("\"freze\"", "did you mean `freeze`"),
        ("{ column = \"freeze\" }", "did you mean `columns`"),
        ("{ data_type = \"discard\" }", "`discard` is not a value of `data_type`"),
        ("5", "`schema_contract` must be a word in quotes or a table"),
    ] {
        case.configure(&format!("schema_contract = {contract}\n"));
        case.env.run(&["check", "api"]).expect_code(2).expect_stderr(&[says, "api.toml:"]);
    }
}
