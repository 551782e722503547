//! Numbers from the edges of IEEE 754 and SQL: what a warehouse gives back has the digits that the API sent.

use crate::support::{Reply, Server, TestEnv, Warehouse, number::same_number, pipeline};

/// Alone in its column: the number, and the type that holds it.
const ALONE: &[(&str, &str)] = &[
    ("0", "BIGINT"),
    ("-0", "BIGINT"),
    ("9007199254740991", "BIGINT"),
    ("9007199254740992", "BIGINT"),
    ("9007199254740993", "BIGINT"),
    ("-9007199254740993", "BIGINT"),
    ("9223372036854775807", "BIGINT"),
    ("-9223372036854775808", "BIGINT"),
    ("9223372036854775808", "HUGEINT"),
    ("-9223372036854775809", "HUGEINT"),
    ("18446744073709551615", "HUGEINT"),
    ("18446744073709551616", "HUGEINT"),
    ("99999999999999999999999999999999999999", "HUGEINT"),
    ("-99999999999999999999999999999999999999", "HUGEINT"),
    // 39 digits, and the ends of a HUGEINT in DuckDB.
    ("100000000000000000000000000000000000000", "VARCHAR"),
    ("170141183460469231731687303715884105727", "VARCHAR"),
    ("-170141183460469231731687303715884105728", "VARCHAR"),
    ("1e2", "DOUBLE"),
    ("-0.0", "DOUBLE"),
    ("0.1", "DOUBLE"),
    ("0.30000000000000004", "DOUBLE"),
    ("0.1000000000000000055511151231257827", "DECIMAL(38,34)"),
    ("1.7976931348623157e308", "DOUBLE"),
    ("-1.7976931348623157e308", "DOUBLE"),
    ("1e308", "DOUBLE"),
    ("1.7976931348623158e308", "VARCHAR"),
    ("1e309", "VARCHAR"),
    ("-1e400", "VARCHAR"),
    ("2.2250738585072014e-308", "DOUBLE"),
    ("5e-324", "DOUBLE"),
    ("4e-324", "VARCHAR"),
    ("1e-324", "VARCHAR"),
    ("1e-400", "VARCHAR"),
    ("123456789012345678.9", "DECIMAL(38,1)"),
    ("0.12345678901234567890123456789012345678", "DECIMAL(38,38)"),
    ("0.123456789012345678901234567890123456789", "VARCHAR"),
    ("9.9999999999999999999999999999999999999", "DECIMAL(38,37)"),
    ("3.141592653589793238462643383279502884197169399375105820974944592307816406286", "VARCHAR"),
    ("9007199254740993.0", "DECIMAL(38,0)"),
    ("1E22", "DOUBLE"),
    ("1e23", "DOUBLE"),
    ("8.41e21", "DOUBLE"),
    // Its double prints as 2.225073858507201e-308.
    ("2.2250738585072011e-308", "VARCHAR"),
    ("6.8985865317742005e-06", "DECIMAL(38,22)"),
    ("9.5e15", "DOUBLE"),
];

/// Together in a column: the numbers, and the type that holds all of them.
const TOGETHER: &[(&[&str], &str)] = &[
    (&["1", "9223372036854775807", "-9223372036854775808"], "BIGINT"),
    (&["1", "9223372036854775808", "-99999999999999999999999999999999999999"], "HUGEINT"),
    (&["1", "0.5", "9007199254740992"], "DOUBLE"),
    (&["9007199254740993", "0.5"], "DECIMAL(38,1)"),
    (&["9223372036854775807", "0.1"], "DECIMAL(38,1)"),
    (&["99999999999999999999999999999999999999", "0.1"], "VARCHAR"),
    (&["18446744073709551615", "1e-19"], "VARCHAR"),
    (&["1e308", "1", "0.1", "-5e-324"], "DOUBLE"),
    (&["1e308", "9007199254740993"], "VARCHAR"),
    (&["0.1", "0.12345678901234567890123456789012345678"], "DECIMAL(38,38)"),
    (&["12345678901234567890.5", "0.1234567890123456"], "DECIMAL(38,16)"),
    (&["123456789012345678901234567890", "0.123456789"], "VARCHAR"),
    (&["-0.0", "-1", "0"], "DOUBLE"),
];

/// Declared, with numbers that fit.
const DECLARED: &[(&str, &[&str])] = &[
    ("BIGINT", &["-9223372036854775808", "9223372036854775807", "1e3", "5.0"]),
    ("HUGEINT", &["99999999999999999999999999999999999999", "-1", "1e37"]),
    ("DOUBLE", &["0.1", "1e308", "5e-324", "12", "0.30000000000000004"]),
    ("DECIMAL(18,4)", &["0.0001", "-99999999999999.9999", "1e13", "12.5000"]),
    ("DECIMAL(38,38)", &["0.99999999999999999999999999999999999999", "-1e-38"]),
    ("DECIMAL(38,0)", &["99999999999999999999999999999999999999", "1.0"]),
    ("DECIMAL(1,0)", &["-9", "9", "0"]),
    ("VARCHAR", &["1e400", "0.1", "170141183460469231731687303715884105728"]),
    ("JSON", &["1e400", "0.10", "-0", "170141183460469231731687303715884105728"]),
];

/// Declared, with a number that does not fit: an error, and no rounding.
const MISFITS: &[(&str, &str)] = &[
    ("BIGINT", "9223372036854775808"),
    ("BIGINT", "-9223372036854775809"),
    ("BIGINT", "0.5"),
    ("HUGEINT", "1e38"),
    ("DECIMAL(18,4)", "0.00001"),
    ("DECIMAL(18,4)", "100000000000000"),
    ("DECIMAL(38,38)", "1"),
    ("DECIMAL(1,0)", "10"),
];

/// Runs of one resource whose answers are these texts, in turn, into both kinds of warehouse.
fn load(resource: &str, bodies: &[String], code: i32, check: impl Fn(&Warehouse)) {
    for number in 0..2 {
        let env = TestEnv::new();
        let warehouse = env.destinations()[number].clone();
        for body in bodies {
            let answer = body.clone();
            let server = Server::start(move |_| Reply::new(200, "application/json", answer.clone()));
            env.pipeline(&pipeline(&server, &format!("[resources.t]\npaginator = \"single_page\"\n{resource}")));
            env.load_into(&warehouse, &[]).expect_code(code);
        }
        check(&warehouse);
    }
}

/// What a type is called in a warehouse.
fn in_warehouse(warehouse: &Warehouse, data_type: &str) -> String {
    match (warehouse, data_type) {
        (Warehouse::Parquet(_), "HUGEINT") => "DECIMAL(38,0)".to_owned(),
        _ => data_type.to_owned(),
    }
}

#[track_caller]
fn assert_numbers(warehouse: &Warehouse, sql: &str, expected: &[&str]) {
    let mut found: Vec<String> = warehouse.query(sql).into_iter().flatten().collect();
    for number in expected {
        let at = found.iter().position(|found| same_number(found, number));
        let at = at.unwrap_or_else(|| panic!("{}: {sql}: no {number} in {found:?}", warehouse.flag()));
        found.remove(at);
    }
    assert!(found.is_empty(), "{}: {sql}: {found:?} was not sent", warehouse.flag());
}

#[test]
fn a_number_alone_in_its_column_has_the_narrowest_type_and_every_digit() {
    let fields: Vec<String> = (0..).zip(ALONE).map(|(n, (number, _))| format!("\"n{n}\":{number}")).collect();
    load("", &[format!("[{{{}}}]", fields.join(","))], 0, |warehouse| {
        for (n, (number, data_type)) in (0..).zip(ALONE) {
            assert_numbers(warehouse, &format!("SELECT n{n} FROM api.t"), &[number]);
            let found = warehouse.column_type("api.t", &format!("n{n}"));
            assert_eq!(found, in_warehouse(warehouse, data_type), "{number}");
        }
    });
}

/// All orders of a few things.
fn orders<T: Clone>(things: &[T]) -> Vec<Vec<T>> {
    if things.is_empty() {
        return vec![Vec::new()];
    }
    let with_first = |first: usize| {
        let mut rest = things.to_vec();
        let chosen = rest.remove(first);
        orders(&rest).into_iter().map(move |order| [vec![chosen.clone()], order].concat())
    };
    (0..things.len()).flat_map(with_first).collect()
}

#[test]
fn numbers_of_a_column_keep_their_digits_and_its_type_in_whatever_order_they_come() {
    let most = TOGETHER.iter().map(|(numbers, _)| orders(numbers).len()).max().expect("numbers");
    // One page with a record for each number, and one run for each number; a column for each group and order.
    let columns: Vec<(usize, Vec<&str>, &str)> = TOGETHER
        .iter()
        .flat_map(|(numbers, data_type)| {
            orders(numbers).into_iter().map(move |order| (numbers.len(), order, *data_type))
        })
        .enumerate()
        .map(|(n, (_, order, data_type))| (n, order, data_type))
        .collect();
    assert!(most >= 6);
    let record = |row: usize| {
        let fields: Vec<String> =
            columns.iter().filter_map(|(n, order, _)| order.get(row).map(|x| format!("\"n{n}\":{x}"))).collect();
        format!("{{{}}}", fields.join(","))
    };
    let records: Vec<String> = (0..4).map(record).collect();
    let page = vec![format!("[{}]", records.join(","))];
    let runs: Vec<String> = records.iter().map(|record| format!("[{record}]")).collect();
    for bodies in [page, runs] {
        load("", &bodies, 0, |warehouse| {
            for (n, order, data_type) in &columns {
                assert_numbers(warehouse, &format!("SELECT n{n} FROM api.t WHERE n{n} IS NOT NULL"), order);
                let found = warehouse.column_type("api.t", &format!("n{n}"));
                assert_eq!(found, in_warehouse(warehouse, data_type), "{order:?}");
            }
        });
    }
}

#[test]
fn a_declared_type_is_read_from_the_text() {
    let mut columns = String::new();
    let mut fields = Vec::new();
    for (group, (data_type, numbers)) in DECLARED.iter().enumerate() {
        for (n, number) in numbers.iter().enumerate() {
            columns.push_str(&format!("columns.c{group}_{n} = {{ type = \"{data_type}\" }}\n"));
            fields.push(format!("\"c{group}_{n}\":{number}"));
        }
    }
    load(&columns, &[format!("[{{{}}}]", fields.join(","))], 0, |warehouse| {
        for (group, (data_type, numbers)) in DECLARED.iter().enumerate() {
            for (n, number) in numbers.iter().enumerate() {
                assert_numbers(warehouse, &format!("SELECT c{group}_{n} FROM api.t"), &[number]);
                let found = warehouse.column_type("api.t", &format!("c{group}_{n}"));
                assert_eq!(found, in_warehouse(warehouse, data_type), "{number}");
            }
        }
    });
}

#[test]
fn a_number_that_does_not_fit_its_declared_type_is_an_error_and_not_rounded() {
    for (data_type, number) in MISFITS {
        let server = Server::start({
            let body = format!("[{{\"x\":{number}}}]");
            move |_| Reply::new(200, "application/json", body.clone())
        });
        let env = TestEnv::new();
        env.pipeline(&pipeline(
            &server,
            &format!("[resources.t]\npaginator = \"single_page\"\ncolumns.x = {{ type = \"{data_type}\" }}\n"),
        ));
        for warehouse in env.destinations() {
            let outcome = env.load_into(&warehouse, &[]).expect_code(1).expect_stderr(&["`x`", data_type]);
            assert_eq!(outcome.resource("t")["rows"], serde_json::json!({}), "{data_type} {number}");
            assert!(warehouse.tables("api").is_empty(), "{data_type} {number}");
        }
    }
}
