//! Every body of JSONTestSuite as an answer: what is JSON is loaded as it is, what is none is a clear error and no row.

use crate::support::{Outcome, Reply, Request, Server, TestEnv, Warehouse, number::same_number, pipeline};
use serde_json::value::RawValue;
use serde_json::{Value, json};

/// A test case of the suite.
struct Case {
    name: String,
    body: Vec<u8>,
}

impl Case {
    fn must_be_accepted(&self) -> bool {
        self.name.starts_with("y_")
    }

    fn must_be_refused(&self) -> bool {
        self.name.starts_with("n_")
    }
}

fn cases() -> Vec<Case> {
    let table = include_str!("json_suite/cases.tsv").lines().filter(|line| !line.starts_with('#'));
    let mut cases: Vec<Case> = table
        .map(|line| {
            let (name, body) = line.split_once('\t').expect("a name and a body");
            Case { name: name.to_owned(), body: unescape(body) }
        })
        .collect();
    // Longer than a line should be.
    cases.push(Case { name: "n_structure_100000_opening_arrays".to_owned(), body: vec![b'['; 100_000] });
    let objects = [b"[{\"\":".repeat(50_000), b"\n".to_vec()].concat();
    cases.push(Case { name: "n_structure_open_array_object".to_owned(), body: objects });
    assert_eq!(cases.len(), 318);
    cases
}

fn unescape(text: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut rest = text.as_bytes();
    while let [first, after @ ..] = rest {
        let (byte, length) = match (first, after) {
            (b'\\', [b'x', hex @ ..]) => (u8::from_str_radix(&text_of(&hex[..2]), 16).expect("two digits"), 4),
            (b'\\', _) => (b'\\', 2),
            _ => (*first, 1),
        };
        bytes.push(byte);
        rest = &rest[length..];
    }
    bytes
}

fn text_of(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// A run with a resource for each case, named by its number.
struct Run {
    cases: Vec<Case>,
    warehouse: Warehouse,
    outcome: Outcome,
    _env: TestEnv,
}

fn runs() -> [Run; 2] {
    let bodies: Vec<Vec<u8>> = cases().into_iter().map(|case| case.body).collect();
    let server = Server::start(move |request: &Request| {
        let number: usize = request.path.trim_start_matches("/c").parse().expect("a number");
        Reply::new(200, "application/json", bodies[number].clone())
    });
    let resources: Vec<String> = (0..cases().len())
        .map(|n| format!("[resources.c{n}]\npaginator = \"single_page\"\ndata_selector = \"$\"\n"))
        .collect();
    let text = pipeline(&server, &resources.concat()).replace("max_attempts = 3", "max_attempts = 1");
    [0, 1].map(|destination| {
        let env = TestEnv::new();
        env.pipeline(&text);
        let warehouse = env.destinations()[destination].clone();
        let outcome = env.load_into(&warehouse, &[]).expect_code(1);
        Run { cases: cases(), warehouse, outcome, _env: env }
    })
}

/// What is none of JSON, but for one thing that the suite leaves open: nothing of it is loaded.
const REFUSED: &[&str] = &[
    // Not UTF-8, and no byte is replaced.
    "i_string_UTF-8_invalid_sequence",
    "i_string_UTF8_surrogate_U+D800",
    "i_string_invalid_utf-8",
    "i_string_iso_latin_1",
    "i_string_lone_utf8_continuation_byte",
    "i_string_not_in_unicode_range",
    "i_string_overlong_sequence_2_bytes",
    "i_string_overlong_sequence_6_bytes",
    "i_string_overlong_sequence_6_bytes_null",
    "i_string_truncated-utf-8",
    // Half a surrogate pair in a key of the answer. (Where records are, it is a part of the text.)
    "i_object_key_lone_2nd_surrogate",
    // Deeper than 128.
    "i_structure_500_nested_arrays",
];

/// Cases that a parser may accept or refuse, and the value that is loaded: numbers keep every digit, half a surrogate pair
/// becomes U+FFFD, and UTF-16 is read as such.
const LOADED: &[(&str, &str)] = &[
    ("i_number_double_huge_neg_exp", "1.23456e-787"),
    // More than 15 digits of an exponent are beyond anything that can be meant: they count as 15 nines.
    ("i_number_huge_exp", "4e+999999999999999"),
    ("i_number_neg_int_huge_exp", "-1e+9999"),
    ("i_number_pos_double_huge_exp", "1.5e+9999"),
    ("i_number_real_neg_overflow", "-1.23123e+100005"),
    ("i_number_real_pos_overflow", "1.23123e+100005"),
    ("i_number_real_underflow", "1.23e-9999998"),
    ("i_number_too_big_neg_int", "-123123123123123123123123123123"),
    ("i_number_too_big_pos_int", "100000000000000000000"),
    ("i_number_very_big_negative_int", "-237462374673276894279832749832423479823246327846"),
    ("i_string_1st_surrogate_but_2nd_missing", "\u{fffd}"),
    ("i_string_1st_valid_surrogate_2nd_invalid", "\u{fffd}\u{1234}"),
    ("i_string_UTF-16LE_with_BOM", "é"),
    ("i_string_incomplete_surrogate_and_escape_valid", "\u{fffd}\n"),
    ("i_string_incomplete_surrogate_pair", "\u{fffd}a"),
    ("i_string_incomplete_surrogates_escape_valid", "\u{fffd}\u{fffd}\n"),
    ("i_string_invalid_lonely_surrogate", "\u{fffd}"),
    ("i_string_invalid_surrogate", "\u{fffd}abc"),
    ("i_string_inverted_surrogates_U+1D11E", "\u{fffd}\u{fffd}"),
    ("i_string_lone_second_surrogate", "\u{fffd}"),
    ("i_string_utf16BE_no_BOM", "é"),
    ("i_string_utf16LE_no_BOM", "é"),
];

impl Run {
    /// The values of all rows of a case, nulls and our own columns left out, sorted.
    fn values(&self, number: usize) -> Vec<String> {
        let table = format!("api.c{number}");
        let columns = self.warehouse.data_columns(&table).into_iter().map(|column| format!("\"{column}\""));
        let list = columns.collect::<Vec<_>>().join(", ");
        let rows =
            if list.is_empty() { Vec::new() } else { self.warehouse.query(&format!("SELECT {list} FROM {table}")) };
        let mut values: Vec<String> = rows.into_iter().flatten().filter(|value| value != "NULL").collect();
        values.sort();
        values
    }

    fn check_refused(&self, case: &Case, report: &Value, tables: &[String], number: usize) {
        // The lines below the first show the body.
        let said = report["error"].as_str().and_then(|said| said.lines().next()).unwrap_or_default();
        let what = format!("{}: {report}", case.name);
        assert_eq!((&report["status"], &report["rows"]), (&json!("failed"), &json!({})), "{what}");
        assert!(said.starts_with("the body ") || said.contains("not JSON"), "{what}");
        assert!(["Error {", "Some(", "::", "panicked"].iter().all(|word| !said.contains(word)), "{what}");
        assert!(!tables.contains(&format!("c{number}")), "{what}");
    }
}

#[test]
fn every_case_of_the_suite_is_loaded_or_refused_as_the_suite_says() {
    for run in runs() {
        let tables = run.warehouse.tables("api");
        for (number, case) in run.cases.iter().enumerate() {
            let report = run.outcome.resource(&format!("c{number}"));
            if case.must_be_refused() || REFUSED.contains(&case.name.as_str()) {
                run.check_refused(case, &report, &tables, number);
                continue;
            }
            assert_eq!(report["status"], "completed", "{}: {report}", case.name);
            if case.must_be_accepted() {
                check_values(case, &run, number);
            } else if case.name != "i_structure_UTF-8_BOM_empty_object" {
                let (_, expected) =
                    LOADED.iter().find(|(name, _)| *name == case.name).unwrap_or_else(|| panic!("{}", case.name));
                assert_eq!(run.values(number), [*expected], "{}", case.name);
            }
        }
    }
}

/// Holds the rows of an accepted case against the values in its text.
fn check_values(case: &Case, run: &Run, number: usize) {
    let expected = scalars(&text_of(&case.body));
    let rows = run.outcome.resource(&format!("c{number}"));
    if expected.is_empty() {
        return;
    }
    let mut found = run.values(number);
    for value in &expected {
        let at = found.iter().position(|found| is_same(found, value));
        let at = at.unwrap_or_else(|| panic!("{}: no {value} in {found:?} ({rows})", case.name));
        found.remove(at);
    }
    assert!(found.is_empty(), "{}: {found:?} is in no body", case.name);
}

/// The values in the record tables: of a list its elements or their members, of an object its members.
fn scalars(text: &str) -> Vec<Box<RawValue>> {
    let is = |value: &RawValue, open: char| value.get().starts_with(open);
    let root: Box<RawValue> = serde_json::from_str(text).expect("a case that serde accepts");
    let values: Vec<Box<RawValue>> = match root.get().chars().next() {
        Some('[') => serde_json::from_str(root.get()).expect("a list"),
        _ => vec![root],
    };
    let members = |value: Box<RawValue>| match is(&value, '{') {
        true => {
            let members: std::collections::BTreeMap<String, Box<RawValue>> =
                serde_json::from_str(value.get()).expect("an object");
            members.into_values().collect()
        }
        false => vec![value],
    };
    values.into_iter().flat_map(members).filter(|v| v.get() != "null" && !is(v, '[') && !is(v, '{')).collect()
}

/// Whether a warehouse's text is a JSON value.
fn is_same(found: &str, value: &RawValue) -> bool {
    match serde_json::from_str::<Value>(value.get()).expect("a value") {
        Value::String(text) => found == text,
        Value::Bool(truth) => found == truth.to_string(),
        _ => same_number(found, value.get()),
    }
}

#[test]
fn as_json_and_as_child_rows_the_accepted_cases_are_what_they_were() {
    let accepted: Vec<Case> = cases().into_iter().filter(Case::must_be_accepted).collect();
    let records: Vec<String> = (0..)
        .zip(&accepted)
        .map(|(n, case)| format!("{{\"id\":{n},\"v\":{0},\"w{n}\":{0}}}", text_of(&case.body)))
        .collect();
    let body = format!("[{}]", records.join(","));
    let server = Server::start(move |_| Reply::new(200, "application/json", body.clone()));
    let env = TestEnv::new();
    env.pipeline(&pipeline(
        &server,
        "[resources.t]\nprimary_key = \"id\"\npaginator = \"single_page\"\ncolumns.v = { type = \"JSON\" }\n",
    ));
    for warehouse in env.destinations() {
        env.load_into(&warehouse, &[]).expect_code(0);
        let found = warehouse.query("SELECT v FROM api.t ORDER BY id");
        for (case, row) in accepted.iter().zip(found) {
            let body = text_of(&case.body);
            let expected = body.trim_matches([' ', '\n', '\r', '\t']);
            assert!(row[0] == expected || (expected == "null" && row[0] == "NULL"), "{}: {}", case.name, row[0]);
        }
        let tables = warehouse.tables("api");
        for (n, case) in accepted.iter().enumerate() {
            let body = text_of(&case.body);
            let expected = scalars(&body);
            if !body.trim_start().starts_with('[') || expected.is_empty() {
                continue;
            }
            assert!(tables.contains(&format!("t__w{n}")), "{}: {tables:?}", case.name);
            let sql = format!("SELECT value FROM api.t__w{n} WHERE value IS NOT NULL ORDER BY _pintail_list_index");
            let found: Vec<String> = warehouse.query(&sql).into_iter().flatten().collect();
            let same = found.len() == expected.len() && found.iter().zip(&expected).all(|(f, e)| is_same(f, e));
            assert!(same, "{}: {found:?}", case.name);
        }
    }
}
