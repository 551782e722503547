//! Records whose names stand elsewhere: for lists in their fields, and as the members of an object.

use crate::support::{Outcome, Reply, Request, Server, TestEnv, pipeline};
use serde_json::{Value, json};

fn load(body: Value, keys: &str) -> (TestEnv, Outcome) {
    let server = Server::start(move |_: &Request| Reply::json(body.clone()));
    let env = TestEnv::new();
    env.pipeline(&pipeline(&server, &format!("[resources.items]\npaginator = \"single_page\"\n{keys}")));
    let outcome = env.load();
    (env, outcome)
}

/// Search statistics as Search Console has them, from a day on: the keys are a list without names.
fn statistics(since: &str) -> Value {
    let days = ["2026-01-01", "2026-01-02", "2026-01-03"];
    let row = |day: &&str| json!({ "keys": [day, "deu"], "clicks": 7 });
    json!({ "rows": days.iter().filter(|day| **day >= since).map(row).collect::<Vec<_>>() })
}

#[test]
fn named_elements_are_keys_and_cursors_like_other_fields() {
    let resource = "[resources.items]\npaginator = \"single_page\"\ndata_selector = \"rows\"\n\
        record_columns = { keys = [\"date\", \"country\"] }\nprimary_key = [\"date\", \"country\"]\n\
        filter = \"{{ record.country == 'deu' }}\"\n\
        incremental = { cursor_path = \"date\", start_param = \"since\" }\n";
    for number in 0..2 {
        let server = Server::start(|request: &Request| Reply::json(statistics(request.param("since").unwrap_or(""))));
        let env = TestEnv::new();
        let warehouse = &env.destinations()[number];
        env.pipeline(&pipeline(&server, resource));
        for _ in 0..2 {
            env.load_into(warehouse, &[]).expect_code(0);
        }
        let sql = "SELECT \"date\", country, clicks, typeof(\"date\") FROM api.items ORDER BY 1";
        let day = |day: &str| [format!("2026-01-0{day}"), "deu".into(), "7".into(), "DATE".into()];
        assert_eq!(warehouse.query(sql), [day("1"), day("2"), day("3")]);
        let asked: Vec<_> = server.requests().iter().map(|r| r.param("since").map(str::to_owned)).collect();
        assert_eq!(asked, [None, Some("2026-01-03".to_owned())]);
    }
}

#[test]
fn names_come_from_the_answer_and_bare_values_from_objects_around_them() {
    let body = json!({
        "dimensionHeaders": [{ "name": "day" }, { "name": "city" }],
        "metricHeaders": [{ "name": "users", "type": "INTEGER" }],
        "rows": [
            { "dimensionValues": [{ "value": "20240131" }, { "value": "Bern" }], "metricValues": [{ "value": "12" }] },
            { "dimensionValues": [{ "value": "20240201" }, { "value": "Ulm" }], "metricValues": [{ "value": "3" }] },
        ],
    });
    let (env, outcome) = load(
        body,
        "data_selector = \"rows\"\nprimary_key = [\"day\", \"city\"]\n\
         record_columns = { dimensionValues = \"dimensionHeaders[*].name\", metricValues = \"metricHeaders[*].name\" }\n\
         columns = { day = { format = \"%Y%m%d\" }, users = { type = \"bigint\" } }\n",
    );
    outcome.expect_code(0);
    let found = env
        .warehouse()
        .query("SELECT * EXCLUDE (_pintail_load_id, _pintail_loaded_at, _pintail_id) FROM api.items ORDER BY day");
    assert_eq!(found, [["2024-01-31", "Bern", "12"], ["2024-02-01", "Ulm", "3"]]);
}

#[test]
fn a_list_with_another_number_of_elements_is_an_error_with_its_record() {
    let columns = "data_selector = \"rows\"\nrecord_columns = { keys = [\"a\", \"b\"] }\n";
    for keys in [json!(["x"]), json!(["x", "y", "z"])] {
        let count = keys.as_array().map_or(0, Vec::len);
        let (_env, outcome) = load(json!({ "rows": [{ "keys": ["x", "y"] }, { "keys": keys }] }), columns);
        let says = format!("record 2: {count} values, 2 names");
        outcome.expect_code(1).expect_stderr(&["`keys` of a record has another number of values", &says]);
    }
    let (_env, outcome) = load(json!({ "rows": [{ "keys": ["x", "y"], "a": 1 }] }), columns);
    outcome.expect_code(1).expect_stderr(&["has the field \"a\" twice"]);
}

#[test]
fn the_first_row_can_name_the_others() {
    let body = json!([["NAME", "POP"], ["Ohio", "7"], ["Utah", "3"]]);
    let (env, outcome) = load(body, "data_selector = \"$[1:]\"\nrecord_columns = \"$[0]\"\n");
    outcome.expect_code(0);
    assert_eq!(env.warehouse().query("SELECT name, pop FROM api.items ORDER BY 1"), [["Ohio", "7"], ["Utah", "3"]]);
}

#[test]
fn members_of_an_object_are_records_with_their_names() {
    let body = json!({
        "rates": { "2026-01-02": { "usd": 1.10, "chf": 0.93 }, "2026-01-01": { "usd": 1.09, "chf": 0.94 } },
        "one": { "USD": 1.1, "CHF": 0.9 },
        "many": { "a": [{ "id": 1 }, { "id": 2 }], "b": [{ "id": 3 }] },
        "lists": { "2026-01-01": [1, 2], "2026-01-02": [3, 4] },
        "groups": [{ "kind": "x", "rates": { "2026-01-05": { "usd": 5 } } }, { "kind": "y", "rates": {} }],
    });
    let days = [["2026-01-01", "1.09"], ["2026-01-02", "1.1"]].map(|row| row.map(str::to_owned)).to_vec();
    let row = |values: [&str; 2]| values.map(str::to_owned).to_vec();
    let cases: &[(&str, &str, Vec<Vec<String>>)] = &[
        ("$.rates[*]", "day, usd", days.iter().map(|row| row.to_vec()).collect()),
        ("rates", "day, usd", days.iter().map(|row| row.to_vec()).collect()),
        ("rates.*", "day, usd", days.iter().map(|row| row.to_vec()).collect()),
        ("one", "day, value", vec![row(["CHF", "0.9"]), row(["USD", "1.1"])]),
        ("many", "day, id", vec![row(["a", "1"]), row(["a", "2"]), row(["b", "3"])]),
        ("groups[*].rates", "day, usd", vec![row(["2026-01-05", "5"])]),
        ("$.groups[?@.kind == 'x'].rates[*]", "day, usd", vec![row(["2026-01-05", "5"])]),
    ];
    for (selector, columns, expected) in cases {
        let keys = format!("data_selector = \"{selector}\"\nkey_column = \"day\"\n");
        let (env, outcome) = load(body.clone(), &keys);
        outcome.expect_code(0);
        let found = env.warehouse().query(&format!("SELECT {columns} FROM api.items ORDER BY ALL"));
        assert_eq!(&found, expected, "{selector}");
    }
    let keys = "data_selector = \"lists\"\nkey_column = \"day\"\nrecord_columns = [\"low\", \"high\"]\n";
    let (env, outcome) = load(body, keys);
    outcome.expect_code(0);
    let found = env.warehouse().query("SELECT day, low, high FROM api.items ORDER BY day");
    assert_eq!(found, [["2026-01-01", "1", "2"], ["2026-01-02", "3", "4"]]);
}

#[test]
fn the_name_of_a_record_is_its_key_and_its_cursor() {
    let resource = "[resources.rates]\npaginator = \"single_page\"\ndata_selector = \"$.rates[*]\"\nkey_column = \"day\"\n\
        primary_key = \"day\"\nincremental = { cursor_path = \"day\", start_param = \"since\" }\n";
    for number in 0..2 {
        let server = Server::start(|request: &Request| {
            let since = request.param("since").unwrap_or("");
            let days = ["2026-01-01", "2026-01-02"].into_iter().filter(|day| *day >= since);
            let rates: serde_json::Map<String, Value> =
                days.map(|day| (day.to_owned(), json!({ "usd": request.number }))).collect();
            Reply::json(json!({ "rates": rates }))
        });
        let env = TestEnv::new();
        let warehouse = &env.destinations()[number];
        env.pipeline(&pipeline(&server, resource));
        for _ in 0..2 {
            env.load_into(warehouse, &[]).expect_code(0);
        }
        let found = warehouse.query("SELECT day, usd FROM api.rates ORDER BY day");
        assert_eq!(found, [["2026-01-01", "0"], ["2026-01-02", "1"]]);
        assert_eq!(server.requests()[1].param("since"), Some("2026-01-02"));
    }
}

#[test]
fn shapes_that_do_not_fit_are_refused() {
    for (body, keys, code, says) in [
        (json!([1]), "key_column = \"day\"\n", 2, "`key_column` needs a `data_selector`"),
        (json!([1]), "key_column = \"\"\ndata_selector = \"a\"\n", 2, "`key_column` names no column"),
        (
            json!([1]),
            "key_column = \"d\"\ndata_selector = \"$.a[?@.x > 1]\"\n",
            2,
            "has to lead to the object of records",
        ),
        (json!([1]), "record_columns = {}\n", 2, "`record_columns` names no field"),
        (json!([1]), "record_columns = { a = [] }\n", 2, "`record_columns` names no column"),
        (json!([1]), "record_columns = { a = \"x[\" }\n", 2, "`[` has no `]`"),
        (json!([1]), "record_columns = { \"a[0]\" = [\"x\"] }\n", 2, "is not the path of one field"),
        (json!([1]), "record_columns = { a = [\"x\"], b = [\"x\"] }\n", 2, "two lists of a record name a column `x`"),
        (json!({ "a": [{ "id": 1 }] }), "key_column = \"d\"\ndata_selector = \"a\"\n", 1, "and there is a list"),
        (
            json!({ "a": { "x": { "d": 1 } } }),
            "key_column = \"d\"\ndata_selector = \"a\"\n",
            1,
            "a record has a field `d` of its own",
        ),
    ] {
        let (_env, outcome) = load(body, keys);
        outcome.expect_code(code).expect_stderr(&[says]);
    }
}
