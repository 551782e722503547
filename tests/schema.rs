//! How JSON becomes tables: names, types, child tables, and what happens when they change.

use crate::support::{Reply, Server, TestEnv, Warehouse, pipeline};
use std::sync::{Arc, Mutex};

const THINGS: &str = "[resources.things]\npaginator = { type = \"offset\", limit = 100 }\n";

/// Loads bodies one after the other, each in a run of its own, into both kinds of destination.
fn load_each(resource: &str, bodies: &[&str], check: impl Fn(&Warehouse)) {
    let body = Arc::new(Mutex::new(String::new()));
    let served = body.clone();
    let server = Server::start(move |request| {
        let text = if request.number_param("offset", 0) == 0 {
            served.lock().expect("no test panics with the lock").clone()
        } else {
            "[]".to_owned()
        };
        Reply::new(200, "application/json", text)
    });
    let env = TestEnv::new();
    env.pipeline(&pipeline(&server, resource));
    for warehouse in env.destinations() {
        for text in bodies {
            *body.lock().expect("no test panics with the lock") = (*text).to_owned();
            env.load_into(&warehouse, &[]).expect_code(0);
        }
        check(&warehouse);
    }
}

/// Values of one field over a run or two, the type that its column gets, and how the values read.
struct Column {
    pages: &'static [&'static str],
    data_type: &'static str,
    values: &'static str,
}

const COLUMNS: &[Column] = &[
    Column { pages: &["[{\"x\":true},{\"x\":null}]"], data_type: "BOOLEAN", values: "true" },
    Column {
        pages: &["[{\"x\":1},{\"x\":9223372036854775807}]"],
        data_type: "BIGINT",
        values: "1 9223372036854775807",
    },
    Column { pages: &["[{\"x\":1.5},{\"x\":2}]"], data_type: "DOUBLE", values: "1.5 2.0" },
    Column { pages: &["[{\"x\":1}]", "[{\"x\":2.5}]"], data_type: "DOUBLE", values: "1.0 2.5" },
    Column { pages: &["[{\"x\":\"2026-01-02\"}]"], data_type: "DATE", values: "2026-01-02" },
    Column { pages: &["[{\"x\":\"2026-01-02T03:04:05\"}]"], data_type: "TIMESTAMP", values: "2026-01-02 03:04:05" },
    Column { pages: &["[{\"x\":\"00123\"},{\"x\":\"7\"}]"], data_type: "VARCHAR", values: "00123 7" },
    Column { pages: &["[{\"x\":\"2026-01\"}]"], data_type: "VARCHAR", values: "2026-01" },
    Column { pages: &["[{\"x\":1},{\"x\":\"two\"}]"], data_type: "VARCHAR", values: "1 two" },
    Column { pages: &["[{\"x\":1}]", "[{\"x\":\"two\"}]"], data_type: "VARCHAR", values: "1 two" },
    Column { pages: &["[{\"x\":true}]", "[{\"x\":7}]"], data_type: "VARCHAR", values: "7 true" },
    Column { pages: &["[{\"x\":null}]"], data_type: "VARCHAR", values: "" },
    Column { pages: &["[{\"x\":null}]", "[{\"x\":5}]"], data_type: "BIGINT", values: "5" },
    Column {
        pages: &["[{\"x\":\"2026-01-02\"}]", "[{\"x\":\"2026-01-03T04:05:06\"}]"],
        data_type: "TIMESTAMP",
        values: "2026-01-02 00:00:00 2026-01-03 04:05:06",
    },
    Column {
        pages: &["[{\"x\":\"2026-01-02\"}]", "[{\"x\":\"soon\"}]"],
        data_type: "VARCHAR",
        values: "2026-01-02 soon",
    },
    Column { pages: &["[{\"x\":1e3}]", "[{\"x\":2.5E-1}]"], data_type: "DOUBLE", values: "0.25 1000.0" },
    Column { pages: &["[{\"x\":1e400}]", "[{\"x\":1}]"], data_type: "VARCHAR", values: "1 1e+400" },
    Column {
        pages: &["[{\"x\":9007199254740993}]", "[{\"x\":0.5}]"],
        data_type: "DECIMAL(38,1)",
        values: "0.5 9007199254740993.0",
    },
    Column { pages: &["[{\"x\":\"PT1H30M\"},{\"x\":\"01:30:00\"}]"], data_type: "VARCHAR", values: "01:30:00 PT1H30M" },
    Column {
        pages: &["[{\"x\":\"2026-01-02T03:04:05\"}]", "[{\"x\":\"2026-01-02T03:04:05Z\"}]"],
        data_type: "VARCHAR",
        values: "2026-01-02T03:04:05 2026-01-02T03:04:05Z",
    },
    Column { pages: &["[{\"x\":\"\"},{\"x\":\"Ünï 🦆\"}]"], data_type: "VARCHAR", values: " Ünï 🦆" },
];

#[test]
fn columns_have_the_types_of_their_values_and_widen_in_place() {
    for column in COLUMNS {
        load_each(THINGS, column.pages, |warehouse| {
            let what = format!("{:?} in {}", column.pages, warehouse.flag());
            assert_eq!(warehouse.column_type("api.things", "x"), column.data_type, "{what}");
            let sql = "SELECT coalesce(string_agg(x::VARCHAR, ' ' ORDER BY x::VARCHAR), '') FROM api.things";
            assert_eq!(warehouse.value(sql), column.values, "{what}");
        });
    }
}

#[test]
fn numbers_keep_every_digit() {
    let big = "[{\"x\":9223372036854775808},{\"x\":1}]";
    load_each(THINGS, &[big], |warehouse| {
        let expected = if matches!(warehouse, Warehouse::DuckDb(_)) { "HUGEINT" } else { "DECIMAL(38,0)" };
        assert_eq!(warehouse.column_type("api.things", "x"), expected);
        assert_eq!(warehouse.value("SELECT max(x) FROM api.things"), "9223372036854775808");
    });
    load_each(THINGS, &["[{\"x\":12345678901234567.89}]"], |warehouse| {
        assert_eq!(warehouse.value("SELECT x FROM api.things"), "12345678901234567.89");
    });
    load_each(THINGS, &["[{\"x\":123456789012345678901234567890123456789012345}]"], |warehouse| {
        assert_eq!(warehouse.value("SELECT x FROM api.things"), "123456789012345678901234567890123456789012345");
    });
}

/// A value of each type, and how it stands in a column that became JSON after it.
const BECOME_JSON: &[(&str, &str)] = &[
    ("true", "true"),
    ("7", "7"),
    ("9223372036854775808", "9223372036854775808"),
    ("1.5", "1.5"),
    ("12345678901234567.89", "12345678901234567.89"),
    ("1e400", "1e+400"),
    ("\"2026-01-02\"", "\"2026-01-02\""),
    ("\"2026-01-02T03:04:05\"", "\"2026-01-02T03:04:05\""),
    ("\"2026-01-02T05:04:05+02:00\"", "\"2026-01-02T05:04:05+02:00\""),
    ("\"it's \\\"x\\\"\"", "\"it's \\\"x\\\"\""),
];

#[test]
fn a_column_of_any_type_becomes_json_with_its_values() {
    for (value, json) in BECOME_JSON {
        let pages = [format!("[{{\"x\":{value}}}]"), "[{\"x\":{\"y\":1}}]".to_owned(), format!("[{{\"x\":{value}}}]")];
        let resource = format!("{THINGS}nested = \"json\"\n");
        load_each(&resource, &pages.each_ref().map(String::as_str), |warehouse| {
            assert_eq!(warehouse.column_type("api.things", "x"), "JSON", "{value}");
            let found = warehouse.query("SELECT x FROM api.things ORDER BY x::VARCHAR");
            let mut expected = [*json, *json, "{\"y\":1}"];
            expected.sort_unstable();
            assert_eq!(found.concat(), expected, "{value} in {}", warehouse.flag());
        });
    }
}

#[test]
fn a_field_called_rowid_is_a_column_like_any_other_and_confuses_no_merge() {
    let things = format!("{THINGS}primary_key = \"id\"\n");
    let bodies = [
        r#"[{"id":1,"rowid":900,"l":[{"rowid":7}]},{"id":2,"rowid":-5,"l":[]},{"id":3,"rowid":3,"l":[{"rowid":8}]}]"#,
        r#"[{"id":2,"rowid":901,"l":[{"rowid":1}]},{"id":4,"rowid":0,"l":[]},{"id":1,"rowid":900,"l":[]}]"#,
    ];
    load_each(&things, &bodies, |warehouse| {
        let found = warehouse.query("SELECT id, data_rowid FROM api.things ORDER BY id");
        assert_eq!(found, [["1", "900"], ["2", "901"], ["3", "3"], ["4", "0"]]);
        assert_eq!(warehouse.query("SELECT data_rowid FROM api.things__l ORDER BY 1"), [["1"], ["8"]]);
    });
}

#[test]
fn lists_far_down_have_tables_in_both_kinds_of_warehouse() {
    let depth = 60;
    let body = format!("[{{\"x\":{}1{},\"{}\":[2]}}]", "[".repeat(depth), "]".repeat(depth), "name".repeat(90));
    load_each(THINGS, &[&body], |warehouse| {
        let tables = warehouse.tables("api");
        assert_eq!(tables.len(), depth + 2, "{tables:?}");
        let has_values = |table: &&String| warehouse.data_columns(&format!("api.\"{table}\"")) == ["value"];
        let value = |table: &String| warehouse.value(&format!("SELECT value FROM api.\"{table}\""));
        let mut values: Vec<String> = tables.iter().filter(has_values).map(value).collect();
        values.sort();
        assert_eq!(values, ["1", "2"]);
    });
}

#[test]
fn instants_compare_across_offsets() {
    let body = "[{\"x\":\"2026-01-02T03:04:05Z\"},{\"x\":\"2026-01-02T05:04:05.250+02:00\"}]";
    load_each(THINGS, &[body], |warehouse| {
        assert_eq!(warehouse.column_type("api.things", "x"), "TIMESTAMP WITH TIME ZONE");
        assert_eq!(warehouse.value("SELECT epoch_ms(max(x)) - epoch_ms(min(x)) FROM api.things"), "250");
    });
}

#[test]
fn a_new_field_is_a_new_column_and_a_missing_one_is_null() {
    let bodies = ["[{\"id\":1,\"a\":1}]", "[{\"id\":2,\"b\":\"x\"},{\"id\":3,\"a\":3,\"b\":\"y\",\"c\":null}]"];
    load_each(THINGS, &bodies, |warehouse| {
        let found = warehouse.query("SELECT id, a, b, c FROM api.things ORDER BY id");
        assert_eq!(found, [["1", "1", "NULL", "NULL"], ["2", "NULL", "x", "NULL"], ["3", "3", "y", "NULL"]]);
    });
}

#[test]
fn a_field_that_appears_late_in_a_run_is_not_lost() {
    let records: Vec<String> = (0..100)
        .map(|id| if id == 99 { format!("{{\"id\":{id},\"late\":\"here\"}}") } else { format!("{{\"id\":{id}}}") })
        .collect();
    load_each(THINGS, &[&format!("[{}]", records.join(","))], |warehouse| {
        assert_eq!(warehouse.query("SELECT id, late FROM api.things WHERE late IS NOT NULL"), [["99", "here"]]);
        assert_eq!(warehouse.count("api.things"), 100);
    });
}

#[test]
fn objects_are_flattened_and_lists_become_child_tables() {
    let body = "[{\"id\":1,\"place\":{\"city\":\"Porto\",\"at\":{\"lat\":41.1}},\"tags\":[\"a\",\"b\"],\
                 \"items\":[{\"n\":1,\"parts\":[{\"p\":\"x\"},{\"p\":\"y\"}]},{\"n\":2,\"parts\":[]}]},\
                 {\"id\":2,\"place\":null,\"tags\":null,\"items\":[]}]";
    load_each(THINGS, &[body], |warehouse| {
        assert_eq!(warehouse.tables("api"), ["things", "things__items", "things__items__parts", "things__tags"]);
        assert_eq!(
            warehouse.query("SELECT id, place__city, place__at__lat FROM api.things ORDER BY id"),
            [["1", "Porto", "41.1"], ["2", "NULL", "NULL"]]
        );
        assert_eq!(
            warehouse.query(
                "SELECT t.id, c.value, c._pintail_list_index FROM api.things__tags c \
                 JOIN api.things t ON t._pintail_id = c._pintail_parent_id ORDER BY 3"
            ),
            [["1", "a", "0"], ["1", "b", "1"]]
        );
        assert_eq!(
            warehouse.query(
                "SELECT t.id, i.n, p.p FROM api.things__items__parts p \
                 JOIN api.things__items i ON i._pintail_id = p._pintail_parent_id \
                 JOIN api.things t ON t._pintail_id = p._pintail_root_id ORDER BY p.p"
            ),
            [["1", "1", "x"], ["1", "1", "y"]]
        );
    });
}

#[test]
fn child_rows_follow_their_parent_in_a_merge() {
    let resource = "[resources.things]\nprimary_key = \"id\"\npaginator = { type = \"offset\", limit = 100 }\n";
    let bodies = [
        "[{\"id\":1,\"tags\":[\"a\",\"b\",\"c\"]},{\"id\":2,\"tags\":[\"d\"]},{\"id\":3,\"tags\":[\"e\"]}]",
        "[{\"id\":1,\"tags\":[\"z\"]},{\"id\":2,\"tags\":[]}]",
    ];
    load_each(resource, &bodies, |warehouse| {
        assert_eq!(warehouse.value("SELECT string_agg(value, ' ' ORDER BY value) FROM api.things__tags"), "e z");
    });
}

#[test]
fn a_field_may_be_a_scalar_an_object_or_a_list_and_keeps_all_of_it() {
    let bodies = ["[{\"id\":1,\"f\":5}]", "[{\"id\":2,\"f\":{\"x\":6}},{\"id\":3,\"f\":[7,8]}]"];
    load_each(THINGS, &bodies, |warehouse| {
        assert_eq!(
            warehouse.query("SELECT id, f, f__x FROM api.things ORDER BY id"),
            [["1", "5", "NULL"], ["2", "NULL", "6"], ["3", "NULL", "NULL"]]
        );
        assert_eq!(warehouse.value("SELECT string_agg(value::VARCHAR, ' ' ORDER BY value) FROM api.things__f"), "7 8");
    });
}

#[test]
fn names_are_snake_case_and_clashes_lose_nothing() {
    let body = "[{\"createdAt\":1,\"Last Name\":2,\"userId\":3,\"user_id\":4,\"select\":5,\"größe\":6,\"\":7,\"_pintail_id\":8}]";
    load_each(THINGS, &[body], |warehouse| {
        assert_eq!(
            warehouse.query("SELECT created_at, last_name, user_id, \"select\" FROM api.things"),
            [["1", "2", "3", "5"]]
        );
        let columns = warehouse.query("SELECT column_name FROM (DESCRIBE SELECT * FROM api.things)");
        let found = columns.iter().filter(|c| !c[0].starts_with("_pintail_")).count();
        assert!(found >= 7, "one of eight fields is missing: {columns:?}");
        let values =
            warehouse.query("SELECT * EXCLUDE (_pintail_id, _pintail_load_id, _pintail_loaded_at) FROM api.things");
        let mut values: Vec<&str> = values[0].iter().map(String::as_str).collect();
        values.sort_unstable();
        assert_eq!(values, ["1", "2", "3", "4", "5", "6", "7", "8"]);
    });
}

#[test]
fn excluded_fields_are_never_stored() {
    let resource = format!("{THINGS}exclude = [\"secret\", \"place.street\", \"items\"]\n");
    let body = "[{\"id\":1,\"secret\":\"s\",\"place\":{\"city\":\"c\",\"street\":\"s\"},\"items\":[1]}]";
    load_each(&resource, &[body], |warehouse| {
        assert_eq!(warehouse.tables("api"), ["things"]);
        let columns: Vec<String> = warehouse
            .query("SELECT column_name FROM (DESCRIBE SELECT * FROM api.things)")
            .into_iter()
            .flatten()
            .collect();
        assert!(
            columns.contains(&"place__city".to_owned())
                && !columns.iter().any(|c| c.contains("secret") || c.contains("street"))
        );
    });
}

#[test]
fn declared_types_are_read_from_the_text_and_kept() {
    let resource = format!(
        "{THINGS}[resources.things.columns]\nprice = {{ type = \"DECIMAL(18,4)\" }}\ncode = {{ type = \"VARCHAR\" }}\n"
    );
    load_each(
        &resource,
        &["[{\"price\":0.1000,\"code\":7},{\"price\":12345678901234.5678,\"code\":8}]"],
        |warehouse| {
            assert_eq!(warehouse.column_type("api.things", "price"), "DECIMAL(18,4)");
            assert_eq!(warehouse.column_type("api.things", "code"), "VARCHAR");
            assert_eq!(warehouse.value("SELECT max(price) FROM api.things"), "12345678901234.5678");
        },
    );
}

#[test]
fn every_change_of_the_schema_is_recorded() {
    load_each(THINGS, &["[{\"x\":1}]", "[{\"x\":\"a\",\"y\":1}]"], |warehouse| {
        let found: Vec<String> = warehouse.query("SELECT * FROM api._pintail_schema").into_iter().flatten().collect();
        let text = found.join(" ");
        assert!(text.contains("VARCHAR") && text.contains('y'), "{text}");
    });
}

#[test]
fn the_history_of_the_schema_tells_every_change_once_and_in_order() {
    let bodies = ["[{\"x\":1,\"n\":null}]", "[{\"x\":1}]", "[{\"x\":\"a\",\"y\":true,\"n\":{\"m\":2},\"l\":[1]}]"];
    load_each(THINGS, &bodies, |warehouse| {
        let found = warehouse.query(
            "SELECT table_name, change, column_name, old_type, new_type FROM api._pintail_schema \
             ORDER BY changed_at, table_name, change, column_name",
        );
        let found: Vec<String> = found.iter().map(|row| row.join(" ")).collect();
        assert_eq!(
            found,
            [
                "things create_table NULL NULL NULL",
                "things add_column n__m NULL BIGINT",
                "things add_column y NULL BOOLEAN",
                "things drop_column n VARCHAR NULL",
                "things widen x BIGINT VARCHAR",
                "things__l create_table NULL NULL NULL",
            ],
            "{}",
            warehouse.flag()
        );
    });
}

#[test]
fn tables_and_columns_of_a_duckdb_file_carry_comments() {
    let resource = format!("{THINGS}columns = {{ price = {{ description = \"What it's worth, \\\"net\\\"\" }} }}\n");
    let body = "[{\"price\":1,\"theName\":\"a\",\"tags\":[\"t\"]}]";
    load_each(&resource, &[body], |warehouse| {
        let Warehouse::DuckDb(_) = warehouse else { return };
        let comment = |column: &str| {
            let of = format!("WHERE schema_name = 'api' AND table_name = 'things' AND column_name = '{column}'");
            warehouse.value(&format!("SELECT comment FROM duckdb_columns() {of}"))
        };
        assert_eq!(comment("price"), "What it's worth, \"net\"");
        assert_eq!(comment("the_name"), "`theName` of the API");
        let bare = "SELECT count(*) FROM duckdb_columns() WHERE schema_name = 'api' AND comment IS NULL";
        assert_eq!(warehouse.value(bare), "0");
        let tables = "SELECT count(*) FROM duckdb_tables() WHERE schema_name = 'api' AND comment IS NULL";
        assert_eq!(warehouse.value(tables), "0");
    });
}

#[test]
fn a_thousand_columns_and_deep_nesting_load_whole() {
    let wide: Vec<String> = (0..1000).map(|i| format!("\"c{i}\":{i}")).collect();
    let deep = format!("{}1{}", "{\"o\":".repeat(60), "}".repeat(60));
    let body = format!("[{{{},\"deep\":{deep}}}]", wide.join(","));
    load_each(THINGS, &[&body], |warehouse| {
        assert_eq!(warehouse.value("SELECT c0 + c999 FROM api.things"), "999");
        let column = format!("deep{}", "__o".repeat(60));
        assert_eq!(warehouse.value(&format!("SELECT {column} FROM api.things")), "1");
    });
}

#[test]
fn every_load_is_recorded() {
    load_each(THINGS, &["[{\"x\":1}]", "[{\"x\":2}]"], |warehouse| {
        let found = warehouse.query("SELECT status, records FROM api._pintail_loads WHERE resource = 'things'");
        assert_eq!(found, [["completed", "1"], ["completed", "1"]]);
        let joined = "SELECT count(*) FROM api.things JOIN api._pintail_loads l ON l.load_id = things._pintail_load_id";
        assert_eq!(warehouse.value(joined), "2");
    });
}

#[test]
fn an_empty_answer_is_no_error_and_no_row() {
    load_each(THINGS, &["[]"], |warehouse| {
        assert_eq!(warehouse.query("SELECT status, records FROM api._pintail_loads"), [["completed", "0"]]);
    });
}
