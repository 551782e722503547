//! `nested` and `max_table_nesting`: where objects and lists within records go, in both destinations.

use crate::support::{Api, Outcome, Server, TestEnv, duck::assert_same, pipeline};
use serde_json::{Value, json};

/// An API whose `/things` a test fills.
struct Case {
    api: Api,
    server: Server,
    env: TestEnv,
}

impl Case {
    fn new() -> Case {
        let api = Api::new(2);
        let served = api.clone();
        Case { api, server: Server::start(move |request| served.reply(request)), env: TestEnv::new() }
    }

    fn configure(&self, keys: &str) {
        let paging = "paginator = { type = \"offset\", limit = 2 }\n";
        self.env.pipeline(&pipeline(&self.server, &format!("[resources.things]\n{paging}{keys}")));
    }

    /// Loads records into both destinations, which must come to the same tables.
    #[track_caller]
    fn load(&self, records: Vec<Value>, args: &[&str]) {
        self.api.put("/things", records);
        let [duckdb, parquet] = self.env.destinations();
        for warehouse in [&duckdb, &parquet] {
            self.env.load_into(warehouse, args).expect_code(0);
        }
        // Versions of records have ids and times of their load.
        if !duckdb.column_names("api.things").contains(&"_pintail_valid_to".to_owned()) {
            assert_same(&parquet.dump("api"), &duckdb.dump("api"), "DuckDB and Parquet");
        }
    }

    /// What a query over either destination gives, each row as one text.
    #[track_caller]
    fn lines(&self, sql: &str) -> Vec<String> {
        let [duckdb, parquet] = self.env.destinations();
        let rows = duckdb.query(sql);
        assert_eq!(rows, parquet.query(sql), "{sql}: DuckDB and Parquet");
        rows.into_iter().map(|row| row.join(" ")).collect()
    }

    /// The columns of a table with their types, without ours.
    fn columns(&self, table: &str) -> String {
        let sql = format!(
            "SELECT string_agg(column_name || ' ' || column_type, ', ' ORDER BY column_name) \
             FROM (DESCRIBE SELECT * FROM api.{table}) WHERE NOT starts_with(column_name, '_pintail')"
        );
        self.lines(&sql).remove(0)
    }

    fn fail(&self, args: &[&str], code: i32) -> Outcome {
        self.env.load_into(&self.env.destinations()[0], args).expect_code(code)
    }
}

fn first() -> Vec<Value> {
    vec![
        json!({ "id": 1, "place": { "city": "Porto", "at": { "lat": 41.1 } }, "tags": ["a", "b"], "n": 5, "t": "x" }),
        json!({ "id": 2, "place": null, "tags": [], "n": null, "items": [{ "k": [1] }] }),
    ]
}

/// Every field changes its kind.
fn second() -> Vec<Value> {
    vec![
        json!({ "id": 2, "place": "nowhere", "tags": [[1], {}], "n": { "m": 7 }, "t": [true] }),
        json!({ "id": 3, "place": { "city": 1 }, "tags": "c", "n": "six", "new": { "z": null } }),
    ]
}

#[test]
fn json_columns_take_what_changes_its_kind_with_every_disposition() {
    for (keys, ids) in [
        ("write_disposition = \"append\"\n", "1 2 2 3"),
        ("primary_key = \"id\"\n", "1 2 3"),
        ("primary_key = \"id\"\nwrite_disposition = \"replace\"\n", "2 3"),
        ("primary_key = \"id\"\nmerge_strategy = \"scd2\"\n", "1 2 2 3"),
        ("primary_key = \"id\"\nmerge_strategy = \"insert-only\"\n", "1 2 3"),
    ] {
        let case = Case::new();
        case.configure(&format!("nested = \"json\"\n{keys}"));
        case.load(first(), &[]);
        assert_eq!(case.columns("things"), "id BIGINT, items JSON, n BIGINT, place JSON, t VARCHAR, tags JSON");
        case.load(second(), &[]);
        assert_eq!(case.lines("SELECT string_agg(id, ' ' ORDER BY id) FROM api.things"), [ids], "{keys}");
        assert_eq!(case.env.destinations()[0].tables("api"), ["things"]);
        if ids.starts_with("1 2 2") {
            assert_eq!(
                case.columns("things"),
                "id BIGINT, items JSON, n JSON, \"new\" JSON, place JSON, t JSON, tags JSON".replace('"', "")
            );
            assert_eq!(
                case.lines("SELECT id, place, tags, n, t FROM api.things ORDER BY id, n"),
                [
                    r#"1 {"city":"Porto","at":{"lat":41.1}} ["a","b"] "5" "x""#,
                    r#"2 "nowhere" [[1],{}] {"m":7} [true]"#,
                    "2 NULL [] NULL NULL",
                    r#"3 {"city":1} "c" "six" NULL"#,
                ]
            );
        }
    }
}

#[test]
fn max_table_nesting_bounds_the_depth_of_child_tables() {
    for (max, tables, columns) in [
        (
            0,
            vec!["things"],
            "id BIGINT, items JSON, n BIGINT, place__at__lat DOUBLE, place__city VARCHAR, t VARCHAR, tags JSON",
        ),
        (
            1,
            vec!["things", "things__items", "things__tags"],
            "id BIGINT, n BIGINT, place__at__lat DOUBLE, place__city VARCHAR, t VARCHAR",
        ),
        (
            2,
            vec!["things", "things__items", "things__items__k", "things__tags"],
            "id BIGINT, n BIGINT, place__at__lat DOUBLE, place__city VARCHAR, t VARCHAR",
        ),
    ] {
        let case = Case::new();
        case.configure(&format!("max_table_nesting = {max}\nprimary_key = \"id\"\n"));
        case.load(first(), &[]);
        assert_eq!(case.env.destinations()[0].tables("api"), tables);
        assert_eq!(case.columns("things"), columns);
        case.load(second(), &[]);
        match max {
            0 => assert_eq!(
                case.lines("SELECT tags FROM api.things WHERE tags IS NOT NULL ORDER BY id"),
                [r#"["a","b"]"#, "[[1],{}]", r#""c""#]
            ),
            1 => assert_eq!(
                case.lines("SELECT value FROM api.things__tags WHERE value IS NOT NULL ORDER BY 1"),
                [r#""a""#, r#""b""#, "[1]"]
            ),
            _ => assert_eq!(case.lines("SELECT value FROM api.things__tags__list"), ["1"]),
        }
    }
}

#[test]
fn tables_that_hold_nested_values_otherwise_are_left_alone() {
    let case = Case::new();
    for (made_as, then) in [
        ("", "nested = \"json\"\n"),
        ("", "max_table_nesting = 0\n"),
        ("nested = \"json\"\n", ""),
        ("max_table_nesting = 0\n", "max_table_nesting = 1\n"),
    ] {
        case.configure(made_as);
        case.load(first(), &["--full-refresh"]);
        let asked = case.server.requests().len();
        case.configure(then);
        let says = "the tables of `things` hold nested values otherwise than the file says";
        case.fail(&[], 2).expect_stderr(&[says, "--full-refresh --resource things"]);
        assert_eq!(case.server.requests().len(), asked, "{then}: nothing is requested");
        case.load(first(), &["--full-refresh"]);
    }
    // What the tables don't have yet contradicts nothing.
    case.configure("");
    case.load(vec![json!({ "id": 1, "n": null })], &["--full-refresh"]);
    case.configure("nested = \"json\"\n");
    case.load(second(), &[]);
    assert_eq!(case.columns("things"), "id BIGINT, n JSON, new JSON, place JSON, t JSON, tags JSON");
}

#[test]
fn fields_that_the_file_names_have_columns_of_their_own() {
    let case = Case::new();
    case.configure(
        "nested = \"json\"\nprimary_key = \"meta.id\"\n\
         incremental = { cursor_path = \"meta.at\", client_side = true }\n\
         columns = { info__price = { type = \"decimal(10,2)\" } }\n\
         [resources.parts]\nparent = \"things\"\npath = \"things/{{ parent.ref.key }}\"\ninclude_from_parent = [\"ref.key\"]\n",
    );
    for number in 1..3 {
        case.api.put(&format!("/things/k{number}"), [json!({ "n": number })]);
    }
    let thing = |number: u64, at: &str| {
        json!({ "meta": { "id": number, "at": at, "x": { "y": 1 } }, "info": { "price": 1.5, "l": [1] },
            "ref": { "key": format!("k{number}") }, "o": { "p": number } })
    };
    case.load(vec![thing(1, "2026-01-01T00:00:00Z"), thing(2, "2026-01-02T00:00:00Z")], &[]);
    case.load(vec![thing(1, "2026-01-01T00:00:00Z"), thing(2, "2026-01-03T00:00:00Z")], &[]);
    assert_eq!(
        case.columns("things"),
        "info__l JSON, info__price DECIMAL(10,2), meta__at TIMESTAMP WITH TIME ZONE, meta__id BIGINT, meta__x JSON, \
         o JSON, ref__key VARCHAR"
    );
    assert_eq!(
        case.lines("SELECT meta__id, meta__x, o FROM api.things ORDER BY 1"),
        [r#"1 {"y":1} {"p":1}"#, r#"2 {"y":1} {"p":2}"#]
    );
    assert_eq!(case.lines("SELECT DISTINCT things_ref__key FROM api.parts ORDER BY 1"), ["k1", "k2"]);
}

#[test]
fn contracts_are_about_json_columns_too() {
    let case = Case::new();
    case.configure("nested = \"json\"\nprimary_key = \"id\"\n");
    case.load(first(), &[]);
    case.configure("nested = \"json\"\nprimary_key = \"id\"\nschema_contract = \"discard_value\"\n");
    case.load(second(), &[]);
    assert_eq!(case.columns("things"), "id BIGINT, items JSON, n BIGINT, place JSON, t VARCHAR, tags JSON");
    assert_eq!(
        case.lines("SELECT column_name, rule, value FROM api._pintail_discarded ORDER BY ALL"),
        [r#"n data_type "six""#, r#"n data_type {"m":7}"#, r#"new new_column {"z":null}"#, "t data_type [true]"]
    );
    let json = "SELECT id, place, n FROM api.things ORDER BY id";
    assert_eq!(case.lines(json)[1..], [r#"2 "nowhere" NULL"#, r#"3 {"city":1} NULL"#]);
}

#[test]
fn json_of_any_form_can_be_read() {
    let texts = [
        r#"{"a":1.5e+9999,"b":-0,"c":123456789012345678901234567890}"#,
        r#"["\u0000","\ud83d\ude00","\uD800","é\n"]"#,
        r#"{"":{"":[]}," ":null}"#,
        "{\n  \"a\": [ 1 ,\t2 ]\n}",
    ];
    let body = format!("[{}]", texts.map(|text| format!("{{\"v\":{text}}}")).join(","));
    let server = Server::start(move |_| crate::support::Reply::new(200, "application/json", body.clone()));
    let env = TestEnv::new();
    env.pipeline(&pipeline(&server, "[resources.things]\npaginator = \"single_page\"\nnested = \"json\"\n"));
    for warehouse in env.destinations() {
        env.load_into(&warehouse, &[]).expect_code(0);
        assert_eq!(warehouse.value("SELECT count(*) FROM api.things WHERE json_valid(v)"), "4");
        assert_eq!(
            warehouse.value("SELECT v->>'c' FROM api.things WHERE v->>'c' IS NOT NULL"),
            "123456789012345678901234567890"
        );
        assert_eq!(warehouse.value("SELECT v->>'$[1]' FROM api.things WHERE v->>'$[1]' IS NOT NULL"), "😀");
    }
}
