//! A year in which an API changes: fields come, go, and change what they hold. Whatever the order in which its pages come,
//! in one run or in many, the tables are the same, and every value that was sent is in them.

use crate::support::{
    Reply, Request, Server, TestEnv, Warehouse, duck::Dump, duck::assert_same, number::same_number, pipeline,
    random::Random,
};
use chrono::{DateTime, NaiveDate, NaiveDateTime, Utc};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

/// Weeks, each with a page.
const WEEKS: usize = 52;
const RECORDS_OF_A_PAGE: usize = 4;

/// Orders per test; more with the environment variable `PINTAIL_SEEDS`.
const SEED_COUNT: u64 = 2;

fn seeds() -> std::ops::Range<u64> {
    0..std::env::var("PINTAIL_SEEDS").ok().and_then(|n| n.parse().ok()).unwrap_or(SEED_COUNT)
}

/// A page of JSON text per week. Numbers are written by hand, because some are wider than any of Rust's.
fn year(random: &mut Random) -> Vec<String> {
    let page = |random: &mut Random, week: usize| {
        let records: Vec<String> =
            (0..RECORDS_OF_A_PAGE).map(|n| record(random, week, week * RECORDS_OF_A_PAGE + n)).collect();
        format!("[{}]", records.join(","))
    };
    (0..WEEKS).map(|week| page(random, week)).collect()
}

/// One of some texts.
fn pick<'t>(random: &mut Random, of: &[&'t str]) -> &'t str {
    of[random.below(of.len())]
}

fn record(random: &mut Random, week: usize, id: usize) -> String {
    let season = week * 4 / WEEKS;
    let mut fields = vec![format!("\"id\":{id}")];
    let mut field = |name: &str, value: String| fields.push(format!("\"{name}\":{value}"));
    let scalars: [(&str, [&[&str]; 4]); 8] = [
        ("amount", [&["1", "250", "null"], &["0.5", "12.25"], &["9007199254740993", "1e-7"], &["\"12.50\"", "3"]]),
        ("big", [&["1"], &["9223372036854775808"], &["-99999999999999999999999999999999999999"], &["7"]]),
        ("price", [&["1.10"], &["12345678901234567.89"], &["0.1", "null"], &["2"]]),
        ("flag", [&["true", "false"], &["true"], &["0", "1"], &["\"yes\"", "false"]]),
        ("day", [&["\"2026-01-02\""], &["\"2026-01-02T03:04:05\""], &["\"2026-03-04\""], &["null"]]),
        (
            "at",
            [
                &["\"2026-01-02T03:04:05Z\""],
                &["\"2026-01-02T05:04:05.250+02:00\""],
                &["null"],
                &["\"2026-07-08T09:10:11.123456Z\""],
            ],
        ),
        ("note", [&["null"], &["null"], &["\"Grüße 🦆\"", "null"], &["\"\"", "\"00123\""]]),
        ("mixed", [&["1"], &["true"], &["\"2026-01-02\""], &["\"x\"", "1.50"]]),
    ];
    for (name, of_season) in scalars {
        if random.below(5) > 0 {
            field(name, pick(random, of_season[season]).to_owned());
        }
    }
    // A field that is a text, an object or a list; lists of this and that; a list within a list.
    let n = random.below(1000);
    let shapes: [[&str; 2]; 4] = [
        ["\"Porto\"", "null"],
        ["{\"city\":\"Porto\",\"zip\":4000}", "{\"city\":null}"],
        ["{\"city\":\"Faro\",\"zip\":\"8000-001\",\"geo\":{\"lat\":37.02,\"lon\":-7.93}}", "\"Faro\""],
        ["[\"Faro\",\"Porto\"]", "{}"],
    ];
    field("place", pick(random, &shapes[season]).to_owned());
    let lists = [
        [format!("[\"a\",\"b{n}\"]"), "null".to_owned()],
        [format!("[{n},2.5]"), "[]".to_owned()],
        [format!("[{{\"label\":\"l{n}\",\"weight\":{n}}},\"plain\"]"), "[true]".to_owned()],
        [format!("[[{n},{{\"x\":1}}],[\"y\"]]"), "\"none\"".to_owned()],
    ];
    field("tags", lists[season][random.below(2)].clone());
    let item = |random: &mut Random, n: usize| {
        let price = pick(random, [&["1"][..], &["2.5"], &["12345678901234567.25"], &["\"free\""]][season]);
        let parts: Vec<String> = (0..random.below(3)).map(|p| format!("{{\"p\":\"{n}.{p}\"}}")).collect();
        format!("{{\"n\":{n},\"price\":{price},\"parts\":[{}]}}", parts.join(","))
    };
    let items: Vec<String> = (0..random.below(3)).map(|n| item(random, n)).collect();
    field("items", format!("[{}]", items.join(",")));
    if week.is_multiple_of(6) {
        field(&format!("new{week}"), pick(random, &["1", "\"n\"", "null", "{\"deep\":{\"er\":true}}"]).to_owned());
    }
    format!("{{{}}}", fields.join(","))
}

/// A run for each group of pages.
struct Case {
    env: TestEnv,
    pages: Arc<Mutex<Vec<String>>>,
    _server: Server,
}

impl Case {
    fn new(resource: &str) -> Case {
        let pages: Arc<Mutex<Vec<String>>> = Arc::default();
        let served = pages.clone();
        let server = Server::start(move |request: &Request| {
            let pages = served.lock().expect("no test panics with the lock");
            let page = pages.get(request.number_param("page", 1) - 1).cloned();
            Reply::new(200, "application/json", page.unwrap_or_else(|| "[]".to_owned()))
        });
        let env = TestEnv::new();
        env.pipeline(&pipeline(
            &server,
            &format!("[resources.t]\npaginator = {{ type = \"page_number\", base_page = 1, page_param = \"page\" }}\n{resource}"),
        ));
        Case { env, pages, _server: server }
    }

    fn run(&self, warehouse: &Warehouse, pages: Vec<String>) {
        *self.pages.lock().expect("no test panics with the lock") = pages;
        self.env.load_into(warehouse, &[]).expect_code(0);
    }
}

/// Tables with their columns' types in front of their rows.
fn described(warehouse: &Warehouse) -> Dump {
    let mut dump = warehouse.dump("api");
    for (table, lines) in &mut dump {
        let sql = format!("SELECT column_name || ' ' || column_type FROM (DESCRIBE api.{table}) ORDER BY 1");
        let columns: Vec<String> = warehouse.query(&sql).into_iter().flatten().collect();
        lines.insert(0, columns.join(", ").replace("DECIMAL(38,0)", "HUGEINT"));
    }
    dump
}

/// Requires that two loads gave the same tables. Columns are named, because whole lines are long.
#[track_caller]
fn assert_same_tables(actual: &Dump, expected: &Dump, what: &str) {
    for (table, lines) in expected {
        assert_eq!(actual.get(table).map(|lines| &lines[0]), Some(&lines[0]), "{what}: columns of `{table}`");
    }
    assert_same(actual, expected, what);
}

fn replay_in_any_order(resource: &str) {
    for seed in seeds() {
        let mut random = Random::new(0xD21F7 + seed);
        let pages = year(&mut random);
        let calm = Case::new(resource);
        let [duckdb, parquet] = calm.env.destinations();
        let mut expected: Option<Dump> = None;
        for warehouse in [&duckdb, &parquet] {
            calm.run(warehouse, pages.clone());
            assert_complete(warehouse, &pages);
            let dump = described(warehouse);
            let first = expected.get_or_insert_with(|| dump.clone());
            assert_same_tables(&dump, first, &format!("seed {seed}, DuckDB and Parquet"));
        }
        let expected = expected.expect("two destinations");
        for number in 0..2 {
            let mut shuffled = pages.clone();
            random.shuffle(&mut shuffled);
            let one = Case::new(resource);
            let warehouse = &one.env.destinations()[number];
            one.run(warehouse, shuffled.clone());
            assert_same_tables(
                &described(warehouse),
                &expected,
                &format!("seed {seed}, shuffled, {}", warehouse.flag()),
            );

            let many = Case::new(resource);
            let warehouse = &many.env.destinations()[number];
            random.shuffle(&mut shuffled);
            let mut rest = shuffled.as_slice();
            while !rest.is_empty() {
                let (now, later) = rest.split_at((1 + random.below(9)).min(rest.len()));
                many.run(warehouse, now.to_vec());
                rest = later;
            }
            assert_same_tables(
                &described(warehouse),
                &expected,
                &format!("seed {seed}, many runs, {}", warehouse.flag()),
            );
        }
    }
}

#[test]
fn a_year_of_drift_in_any_order_gives_the_same_tables_when_it_is_merged() {
    replay_in_any_order("primary_key = \"id\"\n");
}

#[test]
fn a_year_of_drift_in_any_order_gives_the_same_tables_when_it_is_appended() {
    replay_in_any_order("write_disposition = \"append\"\n");
}

/// The values of a record: the path of their column or list, and the value.
fn leaves(path: &str, value: &Value, found: &mut Vec<(String, Value)>) {
    match value {
        Value::Null => {}
        Value::Object(members) => {
            members.iter().for_each(|(key, value)| leaves(&join(path, key), value, found));
        }
        Value::Array(elements) => elements.iter().for_each(|element| match element {
            Value::Array(_) => leaves(&join(path, "list"), element, found),
            _ => leaves(path, element, found),
        }),
        scalar => found.push((path.to_owned(), scalar.clone())),
    }
}

fn join(path: &str, key: &str) -> String {
    if path.is_empty() { key.to_owned() } else { format!("{path}__{key}") }
}

/// Requires every value of every record in the tables, in its column, and no other.
#[track_caller]
fn assert_complete(warehouse: &Warehouse, pages: &[String]) {
    let mut stored: BTreeMap<(String, String), Vec<String>> = BTreeMap::new();
    for table in warehouse.tables("api") {
        let list = table.strip_prefix('t').expect("the name of the record table").trim_start_matches("__").to_owned();
        for column in warehouse.data_columns(&format!("api.{table}")) {
            let path = if column == "value" { list.clone() } else { join(&list, &column) };
            let root = if table == "t" { "_pintail_id" } else { "_pintail_root_id" };
            let sql = format!(
                "SELECT r.id, v.\"{column}\" FROM api.{table} v JOIN api.t r ON r._pintail_id = v.{root} \
                 WHERE v.\"{column}\" IS NOT NULL"
            );
            for row in warehouse.query(&sql) {
                stored.entry((row[0].clone(), path.clone())).or_default().push(row[1].clone());
            }
        }
    }
    let mut vanished = Vec::new();
    for page in pages {
        // Digits that no number of Rust's holds are texts here.
        let page = serde_json::from_str::<Vec<Map<String, Value>>>(&quoted(page)).expect("a page");
        for record in page {
            let id = record["id"].as_str().expect("a number").trim_start_matches(NUMBER).to_owned();
            let mut expected = Vec::new();
            leaves("", &Value::Object(record), &mut expected);
            for (path, value) in expected {
                let there = stored.entry((id.clone(), path.clone())).or_default();
                match there.iter().position(|found| is_same(found, &value)) {
                    Some(at) => drop(there.remove(at)),
                    None => vanished.push(format!("{value} at {path} of {id}: {there:?}")),
                }
            }
        }
    }
    assert!(vanished.is_empty(), "{}: {vanished:#?}", warehouse.flag());
    stored.retain(|_, values| !values.is_empty());
    assert!(stored.is_empty(), "{}: never sent: {stored:?}", warehouse.flag());
}

/// What texts that are numbers begin with.
const NUMBER: char = '\u{1}';

/// JSON with each number as a text that begins with [`NUMBER`].
fn quoted(json: &str) -> String {
    let mut out = String::new();
    let (mut in_text, mut in_number, mut escaped) = (false, false, false);
    for c in json.chars() {
        let is_numeric =
            !in_text && (c.is_ascii_digit() || c == '-' || (in_number && matches!(c, '.' | 'e' | 'E' | '+')));
        if is_numeric != in_number {
            out.push_str(if is_numeric { "\"\\u0001" } else { "\"" });
        }
        in_number = is_numeric;
        if c == '"' && !escaped {
            in_text = !in_text;
        }
        escaped = in_text && c == '\\' && !escaped;
        out.push(c);
    }
    out
}

fn is_same(found: &str, value: &Value) -> bool {
    match value {
        Value::String(text) => match text.strip_prefix(NUMBER) {
            Some(number) => same_number(found, number),
            None => found == text || instant(text).is_some_and(|time| instant(found) == Some(time)),
        },
        Value::Bool(truth) => found == truth.to_string(),
        _ => false,
    }
}

/// A date or time in one of the forms of JSON or of DuckDB.
fn instant(text: &str) -> Option<NaiveDateTime> {
    let zoned = text.strip_suffix("+00").map_or_else(|| text.to_owned(), |local| format!("{local}+00:00"));
    let zoned = zoned.replacen(' ', "T", 1);
    let instant = DateTime::parse_from_rfc3339(&zoned).map(|time| time.with_timezone(&Utc).naive_utc());
    instant
        .ok()
        .or_else(|| NaiveDateTime::parse_from_str(&zoned, "%Y-%m-%dT%H:%M:%S%.f").ok())
        .or_else(|| NaiveDate::parse_from_str(&zoned, "%Y-%m-%d").ok()?.and_hms_opt(0, 0, 0))
}

#[test]
fn the_year_has_what_it_should_change_in() {
    let pages = year(&mut Random::new(1));
    let all = quoted(&pages.concat().replace("][", ","));
    let records: Vec<Map<String, Value>> = serde_json::from_str(&all).expect("JSON");
    assert_eq!(records.len(), WEEKS * RECORDS_OF_A_PAGE);
    let shapes = |name: &str| {
        let shape = |value: &Value| match value {
            Value::Null => 0,
            Value::Bool(_) => 1,
            Value::String(text) => 2 + usize::from(text.starts_with(NUMBER)),
            Value::Array(_) => 4,
            Value::Object(_) => 5,
            Value::Number(_) => 6,
        };
        records.iter().filter_map(|record| record.get(name)).map(shape).collect::<std::collections::BTreeSet<_>>()
    };
    assert_eq!(shapes("amount").into_iter().collect::<Vec<_>>(), [0, 2, 3]);
    assert_eq!(shapes("place").into_iter().collect::<Vec<_>>(), [0, 2, 4, 5]);
    assert!(is_same("2026-01-02 03:04:05+00", &json!("2026-01-02T05:04:05+02:00")));
    assert!(!is_same("2026-01-02 03:04:05+00", &json!("2026-01-02T03:04:06Z")));
}
