//! Where records are: dotted paths, JSONPath, records that are lists.

use crate::support::{Reply, Server, TestEnv, pipeline};

const BODY: &str = r#"{
    "groups": [
        {"name": "a", "rows": [{"id": 1, "kind": "x", "n": 12345678901234567890}, {"id": 2, "kind": "y", "n": 0.10}]},
        {"name": "b", "rows": [{"id": 3, "kind": "x", "n": null}]},
        {"name": "c", "rows": []}
    ],
    "byId": {"7": {"id": 7}, "8": {"id": 8}},
    "a.b": {"c d": [{"id": 9}]},
    "current": "x",
    "empty": [],
    "none": null
}"#;

fn load(selector: &str, keys: &str, body: &'static str) -> (TestEnv, crate::support::Outcome) {
    let server = Server::start(move |_| Reply::new(200, "application/json", body));
    let env = TestEnv::new();
    let selector = toml::Value::String(selector.to_owned());
    env.pipeline(&pipeline(
        &server,
        &format!("[resources.items]\npaginator = \"single_page\"\ndata_selector = {selector}\n{keys}"),
    ));
    let outcome = env.load();
    (env, outcome)
}

fn ids(env: &TestEnv) -> String {
    env.warehouse().value("SELECT string_agg(id::VARCHAR, ' ' ORDER BY id) FROM api.items")
}

#[test]
fn a_selector_finds_its_records() {
    for (selector, expected) in [
        ("groups[*].rows", "1 2 3"),
        ("$.groups[0].rows", "1 2"),
        ("$.groups[0]['rows'][*]", "1 2"),
        ("byId.*", "7 8"),
        ("$.byId[*]", "7 8"),
        ("$['a.b']['c d']", "9"),
        ("$..rows", "1 2 3"),
        ("$..rows[*]", "1 2 3"),
        ("$.groups[*].rows[?@.kind == 'x']", "1 3"),
        ("groups[0].rows[?@.kind == 'y']", "2"),
        ("$.groups[*].rows[?@.kind == $.current]", "1 3"),
        ("$.groups[0:2].rows", "1 2 3"),
        ("$.groups[-2].rows", "3"),
        ("$.groups[0,1].rows[0]", "1 3"),
        ("$.groups[?@.name == 'a' || @.name == 'b'].rows", "1 2 3"),
        ("$.groups[*].rows[?match(@.kind, 'x|z')]", "1 3"),
        ("$.byId['7','8']", "7 8"),
    ] {
        let (env, outcome) = load(selector, "", BODY);
        outcome.expect_code(0);
        assert_eq!(ids(&env), expected, "{selector}");
    }
}

#[test]
fn a_query_keeps_every_digit() {
    let (env, outcome) = load("$.groups[*].rows[?@.kind == 'x']", "", BODY);
    outcome.expect_code(0);
    assert_eq!(env.warehouse().value("SELECT n FROM api.items WHERE id = 1"), "12345678901234567890");
}

#[test]
fn nothing_is_no_row_only_where_it_can_be() {
    for selector in ["empty", "none", "none.rows", "$.empty[?@.x]", "$.groups[?@.name == 'z'].rows", "$.groups[5:]"] {
        let (_env, outcome) = load(selector, "", BODY);
        let report = outcome.expect_code(0).resource("items");
        assert_eq!(report["records"], 0, "{selector}");
    }
    for selector in ["rows", "groups.rows", "$..nothing", "$.nowhere[?@.x]", "$.groups[-9]"] {
        let (_env, outcome) = load(selector, "", BODY);
        outcome.expect_code(1).expect_stderr(&["data_selector", "allow_missing"]);
        let (_env, outcome) = load(selector, "allow_missing = true\n", BODY);
        outcome.expect_code(0);
    }
}

#[test]
fn records_that_are_lists_get_names() {
    let body = r#"{"columns": [{"name": "id"}, {"name": "at"}], "rows": [[1, "2026-01-01"], [2, null]], "names": ["id", "id"]}"#;
    for columns in ["record_columns = \"columns\"", "record_columns = [\"id\", \"at\"]"] {
        let (env, outcome) = load("rows", columns, body);
        outcome.expect_code(0);
        let found = env.warehouse().query("SELECT id, \"at\" FROM api.items ORDER BY id");
        assert_eq!(found, [["1", "2026-01-01"], ["2", "NULL"]], "{columns}");
    }
    let (env, outcome) = load("rows", "record_columns = \"names\"", body);
    outcome.expect_code(0);
    assert_eq!(env.warehouse().query("SELECT id, id_2 FROM api.items WHERE id = 1"), [["1", "2026-01-01"]]);
    let (_env, outcome) = load("rows", "record_columns = [\"id\"]", body);
    outcome.expect_code(1).expect_stderr(&["record_columns", "2 values, 1 names"]);
}

#[test]
fn bare_scalars_become_a_column() {
    let (env, outcome) = load("ids", "", r#"{"ids": [3, 1, 2]}"#);
    outcome.expect_code(0);
    assert_eq!(env.warehouse().query("SELECT value FROM api.items ORDER BY value"), [["1"], ["2"], ["3"]]);
}
