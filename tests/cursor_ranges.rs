//! The range that a run asks for: bounds that are computed, how records write the cursor, what an API still has, whose bounds
//! are exclusive, windows of the calendar, and windows that hold too much.

use crate::support::{Outcome, Reply, Request, Server, TestEnv, Warehouse, pipeline};
use chrono::{DateTime, NaiveDate, TimeDelta, Utc};
use serde_json::{Value, json};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

const KEYED: &str = "primary_key = \"id\"\n";

const APPENDED: &str = "write_disposition = \"append\"\n";

fn resource(write: &str, incremental: &str) -> String {
    format!(
        "[resources.videos]\n{write}paginator = {{ type = \"offset\", limit = 10 }}\n[resources.videos.incremental]\n\
         cursor_path = \"at\"\nstart_param = \"since\"\nend_param = \"until\"\n{incremental}\n"
    )
}

fn page(records: impl Iterator<Item = Value>, request: &Request) -> Reply {
    Reply::json(records.skip(request.number_param("offset", 0)).take(10).collect::<Vec<_>>())
}

fn bounds(server: &Server) -> Vec<(String, String)> {
    let bound = |request: &Request, name| request.param(name).unwrap_or("-").to_owned();
    let mut bounds: Vec<_> = server.requests().iter().map(|r| (bound(r, "since"), bound(r, "until"))).collect();
    bounds.dedup();
    bounds
}

fn pairs<const N: usize>(bounds: [(&str, &str); N]) -> Vec<(String, String)> {
    bounds.map(|(since, until)| (since.to_owned(), until.to_owned())).into()
}

fn cursor(outcome: &Outcome) -> Value {
    outcome.resource("videos")["cursor_after"].clone()
}

fn ids(warehouse: &Warehouse) -> Vec<Vec<String>> {
    warehouse.query("SELECT count(*), count(DISTINCT id) FROM api.videos")
}

/// Days since 1970 of a date.
fn day(text: &str) -> i64 {
    let date: NaiveDate = text.parse().unwrap_or_else(|e| panic!("{text}: {e}"));
    date.signed_duration_since(NaiveDate::default()).num_days()
}

#[test]
fn bounds_are_computed_from_the_start_of_the_run_and_from_variables() {
    let newest = (Utc::now() - TimeDelta::hours(5)).format("%Y-%m-%dT%H:%M:%SZ").to_string();
    let record = json!({ "id": 1, "at": newest });
    let server = Server::start(move |request| page(std::iter::once(record.clone()), request));
    for number in 0..2 {
        let env = TestEnv::new();
        let warehouse = &env.destinations()[number];
        let keys = "initial_value = \"{{ run.started_at | add('-' ~ vars.days ~ 'd') | date }}\"\n\
            end_value = \"{{ run.started_at | add('-2h') }}\"\nformat = \"iso8601\"";
        let vars = "[vars]\ndays = 30\n";
        env.pipeline(&format!("{}{vars}", pipeline(&server, &resource(APPENDED, keys))));
        server.forget();
        let first = env.load_into(warehouse, &[]).expect_code(0);
        let started: DateTime<Utc> =
            first.report()["started_at"].as_str().and_then(|t| t.parse().ok()).expect("a time");
        let (since, until) = bounds(&server)[0].clone();
        assert_eq!(since, (started - TimeDelta::days(30)).format("%Y-%m-%dT00:00:00Z").to_string());
        let until: DateTime<Utc> = until.parse().expect("a time");
        // What the format can't show of the last end is rounded up.
        assert!((until - (started - TimeDelta::hours(2))).num_seconds().abs() <= 1, "{until} {started}");
        assert_eq!(cursor(&first), json!(newest), "an end that moves is no end of the cursor");

        server.forget();
        let second = env.load_into(warehouse, &[]).expect_code(0);
        assert_eq!(bounds(&server)[0].0, newest);
        assert_eq!(warehouse.count("api.videos"), 1, "{}", second.transcript());
    }
}

#[test]
fn a_computed_bound_that_does_not_do_is_a_mistake_with_its_place_before_any_request() {
    let server = Server::start(|_| Reply::json(Vec::<Value>::new()));
    let env = TestEnv::new();
    let keys = "window = \"1d\"\ninitial_value = \"{{ vars.start }}\"";
    env.pipeline(&format!(
        "[vars]\nstart = \"soon\"\n{}",
        pipeline(&server, &resource(KEYED, keys)).replacen("name = \"api\"\n", "", 1)
    ));
    env.load().expect_code(2).expect_stderr(&["`window` can't be counted on from a text", "api.toml:"]);
    assert!(server.requests().is_empty());
    env.run(&["check", "api", "--var", "start=2026-01-01"]).expect_code(0);
}

#[test]
fn records_may_write_the_cursor_otherwise_than_requests() {
    for (form, key, values, format, next) in [
        ("compact days", "cursor_format = \"%Y%m%d\"", [json!("20240129"), json!("20240131")], "date", "2024-01-31"),
        ("numbers", "cursor_format = [\"%Y%m%d\"]", [json!(20240131), json!(20240129)], "date", "2024-01-31"),
        (
            "mixed",
            "cursor_format = [\"%Y%m%d\", \"date\"]",
            [json!("20240129"), json!("2024-01-31")],
            "date",
            "2024-01-31",
        ),
        (
            "microseconds",
            "cursor_format = \"%Y-%m-%d %H:%M:%S.%f\"",
            [json!("2024-01-31 10:00:00.250000"), json!("2024-01-31 09:00:00.5")],
            "%Y%m%dT%H",
            "20240131T10",
        ),
        (
            "e-mail",
            "",
            [json!("Wed, 31 Jan 2024 20:00:00 +0000"), json!("Thu, 01 Feb 2024 00:30:00 +0200")],
            "date",
            "2024-01-31",
        ),
        (
            "slack",
            "cursor_format = \"epoch_s\"",
            [json!("1512085950.000216"), json!("1512085950.000215")],
            "epoch_s",
            "1512085950.000216",
        ),
    ] {
        for write in [KEYED, APPENDED] {
            let records: Vec<Value> = values.iter().enumerate().map(|(id, at)| json!({ "id": id, "at": at })).collect();
            let server = Server::start(move |request| page(records.clone().into_iter(), request));
            let env = TestEnv::new();
            let keys = format!("{key}\nformat = \"{format}\"\ninitial_value = \"2017-01-01\"");
            env.pipeline(&pipeline(&server, &resource(write, &keys)));
            let first = env.load().expect_code(0);
            server.forget();
            let second = env.load().expect_code(0);
            assert_eq!(bounds(&server)[0].0, next, "{form}: {}", first.transcript());
            assert_eq!(ids(&env.warehouse()), [["2", "2"]], "{form}: {}", second.transcript());
            assert_eq!(cursor(&second), cursor(&first), "{form}");
        }
    }
}

#[test]
fn a_cursor_in_no_declared_form_is_an_error_and_loads_nothing() {
    let server = Server::start(|request| page(std::iter::once(json!({ "id": 1, "at": "31.01.2024" })), request));
    let env = TestEnv::new();
    env.pipeline(&pipeline(&server, &resource(KEYED, "cursor_format = [\"date\", \"%Y%m%d\"]")));
    let failed = env.load().expect_code(1);
    failed.expect_stderr(&["the cursor value has no form that `cursor_format` says", "31.01.2024", "request: GET"]);
}

#[test]
fn a_start_that_the_api_no_longer_has_is_moved_up_in_every_run_and_warned_about() {
    let kept = (Utc::now() - TimeDelta::days(30)).format("%Y-%m-%d").to_string();
    let from = kept.clone();
    // An API that refuses what is older than its retention.
    let server = Server::start(move |request| match request.param("since") {
        Some(since) if since >= from.as_str() => Reply::json(vec![json!({ "id": 1, "at": "2024-02-01" })]),
        _ => Reply::status(410),
    });
    let env = TestEnv::new();
    let keys = "initial_value = \"2020-01-01\"\nearliest = \"30d\"".to_owned();
    let text = pipeline(&server, &resource(KEYED, &keys)).replace("\nend_param = \"until\"", "");
    env.pipeline(&text.replace("{ type = \"offset\", limit = 10 }", "\"single_page\""));
    for before in ["2020-01-01", "2024-02-01"] {
        server.forget();
        let outcome = env.load().expect_code(0);
        assert_eq!(bounds(&server)[0].0, kept, "{}", outcome.transcript());
        let outcome = outcome.expect_stderr(&[&format!("moved up to `earliest`, from {before} to {kept}")]);
        assert_eq!(outcome.resource("videos")["starts_moved"], 1);
    }
}

/// Records of whole numbers, three of each, behind a filter that leaves out its start.
fn after(last: i64) -> Server {
    Server::start(move |request| {
        let since = request.param("since").map_or(i64::MIN, |since| since.parse().expect("a number"));
        let until = request.param("until").map_or(i64::MAX, |until| until.parse().expect("a number"));
        let records = (0..=last).filter(|at| *at > since && *at <= until);
        page(records.flat_map(|at| (0..3).map(move |n| json!({ "id": at * 3 + n, "at": at }))), request)
    })
}

#[test]
fn a_filter_that_leaves_out_its_start_loses_and_doubles_nothing() {
    for number in 0..2 {
        for write in [KEYED, APPENDED] {
            for (keys, asked) in [
                ("initial_value = 0", vec![("-1", "-"), ("19", "-")]),
                (
                    "initial_value = 0\nend_value = 21\nwindow = 10",
                    vec![("-1", "10"), ("9", "20"), ("19", "21"), ("19", "21")],
                ),
                ("initial_value = 0\nrow_order = \"asc\"\nwalk = \"cursor\"", Vec::new()),
            ] {
                let server = after(20);
                let env = TestEnv::new();
                let warehouse = &env.destinations()[number];
                env.pipeline(&pipeline(&server, &resource(write, &format!("start_bound = \"exclusive\"\n{keys}"))));
                env.load_into(warehouse, &[]).expect_code(0);
                let mut found = bounds(&server);
                server.forget();
                let second = env.load_into(warehouse, &[]).expect_code(0);
                found.extend(bounds(&server));
                let asked: Vec<_> = asked.into_iter().map(|(a, b)| (a.to_owned(), b.to_owned())).collect();
                assert!(asked.is_empty() || found == asked, "{keys}: {found:?}");
                assert_eq!(ids(warehouse), [["63", "63"]], "{write}{keys}\n{}", second.transcript());
            }
        }
    }
}

#[test]
fn aligned_months_are_asked_for_again_until_they_are_over() {
    let server = Server::start(|request| {
        let month = request.path.trim_start_matches("/archive/").trim_end_matches(".json").to_owned();
        Reply::json(vec![json!({ "id": month, "at": format!("{}-15T08:00:00Z", month.replace('/', "-")) })])
    });
    for number in 0..2 {
        let env = TestEnv::new();
        let warehouse = &env.destinations()[number];
        let archive = |end: &str| {
            format!(
                "[resources.videos]\nprimary_key = \"id\"\npaginator = \"single_page\"\n\
                 path = \"archive/{{{{ cursor.start | strftime('%Y') }}}}/{{{{ cursor.start | strftime('%m') }}}}.json\"\n\
                 [resources.videos.incremental]\ncursor_path = \"at\"\nwindow = \"1mo\"\nalign = true\n\
                 initial_value = \"2025-11-20\"\nend_value = \"{end}\"\nclient_side = true\n"
            )
        };
        let months = |server: &Server| -> Vec<String> { server.requests().iter().map(|r| r.path.clone()).collect() };
        // The end moves with the run, so that the cursor stays at what was seen.
        env.pipeline(&pipeline(&server, &archive("{{ '2026-01-20' if run.started_at else '' }}")));
        server.forget();
        let first = env.load_into(warehouse, &[]).expect_code(0);
        let expected = ["/archive/2025/11.json", "/archive/2025/12.json", "/archive/2026/01.json"];
        assert_eq!(months(&server), expected, "{}", first.transcript());
        assert_eq!(warehouse.count("api.videos"), 3, "the month of the initial value is whole");
        server.forget();
        let second = env.load_into(warehouse, &[]).expect_code(0);
        assert_eq!(months(&server), expected[2..], "{}", second.transcript());
        assert_eq!(warehouse.count("api.videos"), 3);
    }
}

/// Two records a day of January; more than `most` in a window are too many, which is told on a page of its own.
fn limited(most: usize, told_at_offset: usize, broken: &Arc<AtomicBool>) -> Server {
    let broken = broken.clone();
    Server::start(move |request| {
        let bound = |name| day(request.param(name).expect("a bound"));
        let (since, until, first) = (bound("since"), bound("until"), day("2026-01-01"));
        if broken.load(Ordering::SeqCst) && since >= day("2026-01-20") {
            return Reply::status(404);
        }
        let records: Vec<Value> = (0..62)
            .filter(|id| (since..until).contains(&(first + id / 2)))
            .map(|id| json!({ "id": id, "at": format!("2026-01-{:02}", 1 + id / 2) }))
            .collect();
        if records.len() > most && request.number_param("offset", 0) >= told_at_offset {
            return Reply::new(400, "application/json", "{\"name\":\"RESULTSET_TOO_LARGE\"}");
        }
        page(records.into_iter(), request)
    })
}

fn splitting(write: &str) -> String {
    let action = "response_actions = [{ status = 400, path = \"name\", equals = \"RESULTSET_TOO_LARGE\", action = \"split\" }]\n";
    let keys = "initial_value = \"2026-01-01\"\nend_value = \"2026-02-01\"\nwindow = \"1mo\"\nformat = \"date\"";
    resource(&format!("{write}{action}"), keys)
}

#[test]
fn a_window_that_holds_too_much_is_halved_until_it_does_not() {
    let whole = Arc::new(AtomicBool::new(false));
    for number in 0..2 {
        for write in [KEYED, APPENDED] {
            for told_at_offset in [0, 10] {
                let server = limited(20, told_at_offset, &whole);
                let env = TestEnv::new();
                let warehouse = &env.destinations()[number];
                env.pipeline(&pipeline(&server, &splitting(write)));
                let first = env.load_into(warehouse, &[]).expect_code(0);
                let asked = pairs([
                    ("2026-01-01", "2026-02-01"),
                    ("2026-01-01", "2026-01-16"),
                    ("2026-01-01", "2026-01-08"),
                    ("2026-01-08", "2026-01-16"),
                    ("2026-01-16", "2026-02-01"),
                    ("2026-01-16", "2026-01-24"),
                    ("2026-01-24", "2026-02-01"),
                ]);
                assert_eq!(bounds(&server), asked);
                assert_eq!(ids(warehouse), [["62", "62"]], "{write}{told_at_offset}\n{}", first.transcript());
                assert_eq!(cursor(&first), json!("2026-02-01"));
                assert_eq!(first.resource("videos")["windows"], 4);
                server.forget();
                env.load_into(warehouse, &[]).expect_code(0);
                assert!(server.requests().is_empty(), "the range is complete");
            }
        }
    }
}

#[test]
fn a_part_of_a_split_window_that_fails_is_asked_for_again_and_nothing_comes_twice() {
    for number in 0..2 {
        for write in [KEYED, APPENDED] {
            let broken = Arc::new(AtomicBool::new(true));
            let server = limited(20, 10, &broken);
            let env = TestEnv::new();
            let warehouse = &env.destinations()[number];
            env.pipeline(&pipeline(&server, &splitting(write)));
            let failed = env.load_into(warehouse, &[]).expect_code(1);
            assert_eq!(cursor(&failed), json!("2026-01-24"), "{}", failed.transcript());
            broken.store(false, Ordering::SeqCst);
            server.forget();
            let second = env.load_into(warehouse, &[]).expect_code(0);
            assert_eq!(bounds(&server)[0].0, "2026-01-24");
            assert_eq!(ids(warehouse), [["62", "62"]], "{write}\n{}", second.transcript());
        }
    }
}

#[test]
fn a_window_of_one_unit_that_holds_too_much_is_an_error_with_the_answer() {
    let server = limited(1, 0, &Arc::new(AtomicBool::new(false)));
    let env = TestEnv::new();
    env.pipeline(&pipeline(&server, &splitting(APPENDED)));
    let failed = env.load().expect_code(1);
    failed.expect_stderr(&[
        "calls too much at a time",
        "RESULTSET_TOO_LARGE",
        "start: \"2026-01-01\"",
        "can't be halved",
    ]);
}

#[test]
fn each_parent_splits_windows_of_its_own() {
    let whole = Arc::new(AtomicBool::new(false));
    let videos = limited(20, 10, &whole);
    let target = videos.url("/");
    let env = TestEnv::new();
    let partitions = "path = \"videos\"\nparams = { team = \"{{ partition.value }}\" }\npartitions = { values = [\"a\", \"b\"] }\n\
        include_from_partition = { team = \"value\" }\n";
    for write in [APPENDED, "primary_key = [\"id\", \"team\"]\n"] {
        env.pipeline(&pipeline(&videos, &splitting(&format!("{write}{partitions}"))));
        let outcome = env.load_into(&env.warehouse(), &["--full-refresh"]).expect_code(0);
        let counts = "SELECT team, count(*), count(DISTINCT id) FROM api.videos GROUP BY ALL ORDER BY 1";
        let expected = [["a", "62", "62"], ["b", "62", "62"]];
        assert_eq!(env.warehouse().query(counts), expected, "{write} {target}\n{}", outcome.transcript());
    }
}

#[test]
fn rows_of_windows_before_a_failure_come_once_with_one_cursor_for_all() {
    let broken = Arc::new(AtomicBool::new(true));
    let server = limited(1_000, 0, &broken);
    let env = TestEnv::new();
    let keys = "initial_value = \"2026-01-01\"\nend_value = \"2026-02-01\"\nwindow = \"7d\"\nformat = \"date\"\nscope = \"global\"";
    let partitions =
        "path = \"videos\"\nparams = { team = \"{{ partition.value }}\" }\npartitions = { values = [\"a\"] }\n";
    env.pipeline(&pipeline(&server, &resource(&format!("{APPENDED}{partitions}"), keys)));
    env.load().expect_code(1);
    broken.store(false, Ordering::SeqCst);
    let second = env.load().expect_code(0);
    assert_eq!(ids(&env.warehouse()), [["62", "62"]], "{}", second.transcript());
}

#[test]
fn an_initial_value_in_the_future_asks_for_nothing_in_windows() {
    let server = Server::start(|_| Reply::json(Vec::<Value>::new()));
    let env = TestEnv::new();
    env.pipeline(&pipeline(&server, &resource(KEYED, "initial_value = \"2999-01-01T00:00:00Z\"\nwindow = \"7d\"")));
    let outcome = env.load().expect_code(0);
    assert!(server.requests().is_empty());
    assert_eq!((cursor(&outcome), &outcome.resource("videos")["end"]), (Value::Null, &json!("nothing to ask for")));
}

#[test]
fn rows_that_are_newer_than_our_clock_are_kept_once_and_the_cursor_stays_behind_them() {
    // The server's clock is an hour ahead, and it ignores the end.
    let ahead = (Utc::now() + TimeDelta::hours(1)).format("%Y-%m-%dT%H:%M:%SZ").to_string();
    let record = json!({ "id": 1, "at": ahead });
    let server = Server::start(move |request| page(std::iter::once(record.clone()), request));
    for write in [KEYED, APPENDED] {
        let env = TestEnv::new();
        let start = (Utc::now() - TimeDelta::hours(30)).format("%Y-%m-%dT%H:%M:%SZ").to_string();
        env.pipeline(&pipeline(&server, &resource(write, &format!("initial_value = \"{start}\"\nwindow = \"1d\""))));
        for _ in 0..2 {
            let outcome = env.load().expect_code(0);
            assert_eq!(env.warehouse().count("api.videos"), 1, "{write}\n{}", outcome.transcript());
            let reached: DateTime<Utc> = cursor(&outcome).as_str().and_then(|t| t.parse().ok()).expect("a time");
            assert!(reached <= Utc::now() + TimeDelta::seconds(1), "{reached}");
        }
    }
}
