//! Ranges walked in windows: their bounds, their commits, and what becomes of them when a run ends early.

use crate::support::{Outcome, Reply, Request, Server, TestEnv, Warehouse, pipeline};
use chrono::{DateTime, FixedOffset};
use serde_json::{Value, json};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

const KEYED: &str = "primary_key = \"id\"\n";

const APPENDED: &str = "write_disposition = \"append\"\n";

fn resource(write: &str, incremental: &str) -> String {
    format!(
        "[resources.videos]\n{write}paginator = {{ type = \"offset\", limit = 10 }}\n[resources.videos.incremental]\n\
         cursor_path = \"updated_at\"\nstart_param = \"since\"\nend_param = \"until\"\n{incremental}\n"
    )
}

const WEEKLY: &str = "initial_value = \"2026-01-01T00:00:00Z\"\nend_value = \"2026-01-29T00:00:00Z\"\nwindow = \"7d\"";

/// 56 videos, two each midnight of four weeks: some lie at the bounds of the windows.
fn videos() -> Vec<Value> {
    (0..56).map(|id| json!({ "id": id, "updated_at": format!("2026-01-{:02}T00:00:00Z", 1 + id / 2) })).collect()
}

fn time(text: &str) -> DateTime<FixedOffset> {
    let text = if text.len() == 10 { format!("{text}T00:00:00Z") } else { text.to_owned() };
    DateTime::parse_from_rfc3339(&text).unwrap_or_else(|e| panic!("{text}: {e}"))
}

/// The page of those between `since` and `until`, both inclusive.
fn between(records: &[Value], request: &Request) -> Reply {
    let inside = |record: &&Value| {
        let at = time(record["updated_at"].as_str().expect("a time"));
        request.param("since").is_none_or(|since| at >= time(since))
            && request.param("until").is_none_or(|until| at <= time(until))
    };
    let page: Vec<Value> =
        records.iter().filter(inside).skip(request.number_param("offset", 0)).take(10).cloned().collect();
    Reply::json(page)
}

fn serve(records: Vec<Value>) -> Server {
    Server::start(move |request| between(&records, request))
}

/// The windows that were asked for, each once.
fn windows(server: &Server) -> Vec<(String, String)> {
    let bound = |request: &Request, name| request.param(name).unwrap_or("-").to_owned();
    let mut windows: Vec<_> = server.requests().iter().map(|r| (bound(r, "since"), bound(r, "until"))).collect();
    windows.dedup();
    windows
}

fn cursor(outcome: &Outcome) -> Value {
    outcome.resource("videos")["cursor_after"].clone()
}

fn ids(warehouse: &Warehouse) -> Vec<Vec<String>> {
    warehouse.query("SELECT count(*), count(DISTINCT id) FROM api.videos")
}

#[test]
fn windows_share_their_bounds_and_load_each_row_once() {
    for number in 0..2 {
        for write in [KEYED, APPENDED] {
            let server = serve(videos());
            let env = TestEnv::new();
            let warehouse = &env.destinations()[number];
            env.pipeline(&pipeline(&server, &resource(write, WEEKLY)));
            let first = env.load_into(warehouse, &[]).expect_code(0);
            let days = ["01", "08", "15", "22", "29"].map(|day| format!("2026-01-{day}T00:00:00Z"));
            let expected: Vec<_> = days.windows(2).map(|pair| (pair[0].clone(), pair[1].clone())).collect();
            assert_eq!(windows(&server), expected, "{}", first.transcript());
            assert_eq!(ids(warehouse), [["56", "56"]], "{write}\n{}", first.transcript());
            assert_eq!(first.resource("videos")["windows"], 4);
            assert_eq!(cursor(&first), json!("2026-01-29T00:00:00Z"), "a complete window in the past moves to its end");

            server.forget();
            let second = env.load_into(warehouse, &[]).expect_code(0);
            assert!(server.requests().is_empty(), "the range is complete: {}", second.transcript());
            assert_eq!(cursor(&second), json!("2026-01-29T00:00:00Z"));
        }
    }
}

#[test]
fn months_are_months_of_the_calendar_and_the_last_window_ends_at_the_start_of_the_run() {
    let server = serve(Vec::new());
    let env = TestEnv::new();
    let start = (chrono::Utc::now() - chrono::Months::new(2)).format("%Y-%m-%dT%H:%M:%SZ").to_string();
    env.pipeline(&pipeline(&server, &resource(KEYED, &format!("initial_value = \"{start}\"\nwindow = \"1mo\""))));
    let outcome = env.load().expect_code(0);
    let asked = windows(&server);
    assert!((2..=3).contains(&asked.len()), "{asked:?}");
    assert_eq!(time(&asked[0].1), time(&start) + chrono::Months::new(1));
    let started = time(outcome.report()["started_at"].as_str().expect("a time"));
    let until = time(&asked[asked.len() - 1].1);
    assert!((started - until).num_seconds().abs() <= 1, "{until} {started}");
}

#[test]
fn the_last_window_moves_the_cursor_only_to_the_newest_value_seen() {
    let newest = (chrono::Utc::now() - chrono::TimeDelta::minutes(90)).format("%Y-%m-%dT%H:%M:%SZ").to_string();
    let start = (chrono::Utc::now() - chrono::TimeDelta::hours(60)).format("%Y-%m-%dT%H:%M:%SZ").to_string();
    let server = serve(vec![json!({ "id": 1, "updated_at": newest })]);
    let env = TestEnv::new();
    env.pipeline(&pipeline(&server, &resource(KEYED, &format!("initial_value = \"{start}\"\nwindow = \"1d\""))));
    assert_eq!(cursor(&env.load().expect_code(0)), json!(newest));
    server.forget();
    env.load().expect_code(0);
    assert_eq!(windows(&server)[0].0, newest);
}

#[test]
fn an_api_that_takes_the_end_for_a_part_of_the_range_is_asked_for_each_day_once() {
    let server = serve(videos());
    let env = TestEnv::new();
    let keys = "initial_value = \"2026-01-01\"\nend_value = \"2026-01-29\"\nwindow = \"14d\"\nformat = \"date\"\nend_bound = \"inclusive\"";
    env.pipeline(&pipeline(&server, &resource(APPENDED, keys)));
    let outcome = env.load().expect_code(0);
    let expected = [("2026-01-01", "2026-01-14"), ("2026-01-15", "2026-01-28")];
    assert_eq!(windows(&server), expected.map(|(a, b)| (a.to_owned(), b.to_owned())));
    assert_eq!(ids(&env.warehouse()), [["56", "56"]]);
    assert_eq!(outcome.resource("videos")["records"], 56, "nothing was asked for twice");
}

#[test]
fn windows_over_numbers_end_at_the_end_value() {
    let server = Server::start(|request| {
        let (from, to) = (request.number_param("since", 0), request.number_param("until", 0));
        let offset = request.number_param("offset", 0);
        Reply::json(
            (from..to.min(25))
                .skip(offset)
                .take(10)
                .map(|id| json!({ "id": id, "updated_at": id }))
                .collect::<Vec<_>>(),
        )
    });
    let env = TestEnv::new();
    env.pipeline(&pipeline(&server, &resource(KEYED, "initial_value = 0\nend_value = 1000\nwindow = 400")));
    let outcome = env.load().expect_code(0);
    let expected = [("0", "400"), ("400", "800"), ("800", "1000")];
    assert_eq!(windows(&server), expected.map(|(a, b)| (a.to_owned(), b.to_owned())));
    assert_eq!(ids(&env.warehouse()), [["25", "25"]]);
    assert_eq!(cursor(&outcome), json!("800"), "no clock says that the numbers before the end are all there");
}

#[test]
fn a_failed_window_keeps_those_before_it_and_the_next_run_resumes_there() {
    for write in [KEYED, APPENDED] {
        for number in 0..2 {
            let broken = Arc::new(AtomicBool::new(true));
            let (switch, records) = (broken.clone(), videos());
            let server = Server::start(move |request| {
                let is_third = request.param("since").is_some_and(|since| since.starts_with("2026-01-15"));
                let fails = is_third && request.param("offset") == Some("10") && switch.load(Ordering::SeqCst);
                if fails { Reply::status(400) } else { between(&records, request) }
            });
            let env = TestEnv::new();
            let warehouse = &env.destinations()[number];
            env.pipeline(&pipeline(&server, &resource(write, WEEKLY)));
            let failed = env.load_into(warehouse, &[]).expect_code(1);
            assert_eq!(cursor(&failed), json!("2026-01-15T00:00:00Z"), "{}", failed.transcript());
            // Of the third window a page had come, two of whose records the second window had brought.
            let rows = if write == KEYED { 38 } else { 30 };
            assert_eq!(warehouse.count("api.videos"), rows, "{write}\n{}", failed.transcript());

            broken.store(false, Ordering::SeqCst);
            server.forget();
            env.load_into(warehouse, &[]).expect_code(0);
            assert_eq!(windows(&server)[0].0, "2026-01-15T00:00:00Z");
            assert_eq!(ids(warehouse), [["56", "56"]], "{write}");
        }
    }
}

#[test]
fn rows_outside_of_their_window_are_kept_once_and_move_no_cursor_beyond_it() {
    // The API ignores `until`, and one record is newer than the whole range.
    let mut records = videos();
    records.push(json!({ "id": 56, "updated_at": "2026-03-01T00:00:00Z" }));
    for write in [KEYED, APPENDED] {
        let (records, broken) = (records.clone(), Arc::new(AtomicBool::new(true)));
        let switch = broken.clone();
        let server = Server::start(move |request| {
            let since = time(request.param("since").expect("a start"));
            if since == time("2026-01-15") && switch.load(Ordering::SeqCst) {
                return Reply::status(400);
            }
            let newer = records.iter().filter(|r| time(r["updated_at"].as_str().expect("a time")) >= since);
            Reply::json(newer.skip(request.number_param("offset", 0)).take(10).cloned().collect::<Vec<_>>())
        });
        let env = TestEnv::new();
        env.pipeline(&pipeline(&server, &resource(write, WEEKLY)));
        let failed = env.load().expect_code(1);
        assert_eq!(cursor(&failed), json!("2026-01-15T00:00:00Z"), "{}", failed.transcript());
        assert_eq!(ids(&env.warehouse()), [["57", "57"]], "{write}\n{}", failed.transcript());
        broken.store(false, Ordering::SeqCst);
        let second = env.load().expect_code(0);
        assert_eq!(ids(&env.warehouse()), [["57", "57"]], "{write}\n{}", second.transcript());
        assert_eq!(cursor(&second), json!("2026-01-29T00:00:00Z"));
    }
}

#[test]
fn thousands_of_empty_windows_are_walked_and_move_the_cursor() {
    let server = serve(Vec::new());
    let env = TestEnv::new();
    let keys = "initial_value = \"2020-01-01T00:00:00Z\"\nend_value = \"2022-01-01T00:00:00Z\"\nwindow = \"12h\"";
    env.pipeline(&pipeline(&server, &resource(KEYED, keys)));
    let outcome = env.load().expect_code(0);
    assert_eq!(outcome.resource("videos")["windows"], 1_462);
    assert_eq!(cursor(&outcome), json!("2022-01-01T00:00:00Z"));
}

#[test]
fn a_full_refresh_walks_all_windows_and_exchanges_the_table_as_a_whole() {
    let broken = Arc::new(AtomicBool::new(false));
    let (switch, records) = (broken.clone(), videos());
    let server = Server::start(move |request| {
        let is_last = request.param("since").is_some_and(|since| since.starts_with("2026-01-22"));
        if is_last && switch.load(Ordering::SeqCst) { Reply::status(400) } else { between(&records, request) }
    });
    let env = TestEnv::new();
    env.pipeline(&pipeline(&server, &resource(APPENDED, WEEKLY)));
    env.load().expect_code(0);
    broken.store(true, Ordering::SeqCst);
    let failed = env.load_into(&env.warehouse(), &["--full-refresh"]).expect_code(1);
    assert_eq!(ids(&env.warehouse()), [["56", "56"]], "the table is as it was\n{}", failed.transcript());
    broken.store(false, Ordering::SeqCst);
    let outcome = env.load_into(&env.warehouse(), &["--full-refresh"]).expect_code(0);
    assert_eq!(ids(&env.warehouse()), [["56", "56"]], "{}", outcome.transcript());
    assert_eq!(cursor(&outcome), json!("2026-01-29T00:00:00Z"));
}

#[test]
fn each_parent_walks_windows_of_its_own() {
    let broken = Arc::new(AtomicBool::new(true));
    let (switch, records) = (broken.clone(), videos());
    let server = Server::start(move |request| {
        if request.path == "/channels" {
            return Reply::json(vec![json!({ "key": "a" }), json!({ "key": "b" }), json!({ "key": "c" })]);
        }
        let is_last = request.param("since").is_some_and(|since| since.starts_with("2026-01-22"));
        let fails = is_last && request.path == "/channels/b/videos" && switch.load(Ordering::SeqCst);
        if fails { Reply::status(400) } else { between(&records, request) }
    });
    for number in 0..2 {
        let env = TestEnv::new();
        let warehouse = &env.destinations()[number];
        let child = "parent = \"channels\"\npath = \"channels/{{ parent.key }}/videos\"\n\
            include_from_parent = [\"key\"]\nwrite_disposition = \"append\"\n";
        let channels = "[resources.channels]\nprimary_key = \"key\"\npaginator = \"single_page\"\n";
        env.pipeline(&pipeline(&server, &format!("{channels}{}", resource(child, WEEKLY))));
        broken.store(true, Ordering::SeqCst);
        let failed = env.load_into(warehouse, &[]).expect_code(1);
        let counts = "SELECT channels_key, count(*), count(DISTINCT id) FROM api.videos GROUP BY ALL ORDER BY 1";
        assert_eq!(
            warehouse.query(counts),
            [["a", "56", "56"], ["b", "44", "44"], ["c", "56", "56"]],
            "{}",
            failed.transcript()
        );
        broken.store(false, Ordering::SeqCst);
        server.forget();
        env.load_into(warehouse, &[]).expect_code(0);
        let asked: Vec<Request> = server.requests().into_iter().filter(|r| r.path != "/channels").collect();
        assert!(
            asked.iter().all(|r| r.path == "/channels/b/videos" && r.param("since") == Some("2026-01-22T00:00:00Z"))
        );
        assert_eq!(warehouse.query(counts), [["a", "56", "56"], ["b", "56", "56"], ["c", "56", "56"]]);
    }
}

#[test]
fn a_kill_between_windows_loses_and_doubles_nothing() {
    let records = videos();
    let server = Server::start(move |request| between(&records, request).delayed(std::time::Duration::from_millis(8)));
    for write in [KEYED, APPENDED] {
        let env = TestEnv::new();
        env.pipeline(&pipeline(&server, &resource(write, &WEEKLY.replace("7d", "1d"))));
        let destination = env.warehouse().flag();
        for kill_after_ms in [120, 260, 400] {
            let running = env.start(&["run", "api", "--destination", &destination]);
            std::thread::sleep(std::time::Duration::from_millis(kill_after_ms));
            running.kill();
        }
        let outcome = env.load().expect_code(0);
        assert_eq!(ids(&env.warehouse()), [["56", "56"]], "{write}\n{}", outcome.transcript());
    }
}
