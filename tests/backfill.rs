//! Past ranges, loaded beside the cursor: window by window, whatever ends them, and without a row twice or one too old.

use crate::support::{Outcome, Reply, Request, Server, TestEnv, Warehouse, duck::assert_same, pipeline};
use chrono::{DateTime, FixedOffset};
use serde_json::{Value, json};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

const KEYED: &str = "primary_key = \"id\"\n";

const APPENDED: &str = "write_disposition = \"append\"\n";

/// Both bounds in requests, and a start in the middle of what there is.
const SINCE_15: &str = "cursor_path = \"updated_at\"\nstart_param = \"since\"\nend_param = \"until\"\n\
    initial_value = \"2026-01-15T00:00:00Z\"\n";

fn resource(write: &str, incremental: &str) -> String {
    format!(
        "[resources.videos]\n{write}paginator = {{ type = \"offset\", limit = 5 }}\n\
         [resources.videos.incremental]\n{incremental}"
    )
}

/// 56 videos, two each midnight of four weeks: some lie at the bounds of windows.
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
        records.iter().filter(inside).skip(request.number_param("offset", 0)).take(5).cloned().collect();
    Reply::json(page)
}

fn serve(records: Vec<Value>) -> Server {
    Server::start(move |request| between(&records, request))
}

fn start(env: &TestEnv, warehouse: &Warehouse, range: (&str, &str), further: &[&str]) -> crate::support::env::Running {
    let flag = warehouse.flag();
    let args = ["backfill", "api", "--from", range.0, "--to", range.1, "--output", "json", "--destination", &flag];
    env.start(&[&args, further].concat())
}

fn backfill(env: &TestEnv, warehouse: &Warehouse, range: (&str, &str), further: &[&str]) -> Outcome {
    start(env, warehouse, range, further).wait()
}

fn cursor(warehouse: &Warehouse) -> String {
    warehouse.value("SELECT cursor FROM api._pintail_state WHERE resource = 'videos' AND \"partition\" = ''")
}

fn ids(warehouse: &Warehouse) -> Vec<Vec<String>> {
    warehouse.query("SELECT count(*), count(DISTINCT id) FROM api.videos")
}

fn starts(server: &Server) -> Vec<String> {
    let mut starts: Vec<String> = server.requests().iter().filter_map(|r| Some(r.param("since")?.to_owned())).collect();
    starts.sort();
    starts.dedup();
    starts
}

#[test]
fn a_range_that_overlaps_with_what_is_loaded_doubles_nothing_and_leaves_the_cursor_alone() {
    for write in [KEYED, APPENDED] {
        for number in 0..2 {
            let server = serve(videos());
            let env = TestEnv::new();
            let warehouse = &env.destinations()[number];
            env.pipeline(&pipeline(&server, &resource(write, SINCE_15)));
            env.load_into(warehouse, &[]).expect_code(0);
            assert_eq!(ids(warehouse), [["28", "28"]], "from the 15th on");
            let before = cursor(warehouse);

            server.forget();
            let outcome = backfill(&env, warehouse, ("2026-01-01", "2026-01-20"), &["--window", "7d"]).expect_code(0);
            assert_eq!(starts(&server), ["2026-01-01", "2026-01-08", "2026-01-15"], "{}", outcome.transcript());
            assert_eq!(ids(warehouse), [["56", "56"]], "{write}\n{}", outcome.transcript());
            assert_eq!(cursor(warehouse), before);
            let report = outcome.report();
            assert_eq!((&report["status"], &report["backfill"]["from"]), (&json!("completed"), &json!("2026-01-01")));
            let videos = outcome.resource("videos");
            assert_eq!((&videos["windows"], &videos["windows_left"]), (&json!(3), &json!(0)), "{videos}");
            assert_eq!(videos["cursor_after"], videos["cursor_before"]);
            let end =
                warehouse.value("SELECT max(end_reason) FROM api._pintail_loads WHERE starts_with(end_reason, 'back')");
            assert_eq!(end, "backfill 2026-01-01..2026-01-20: 3 windows");

            env.load_into(warehouse, &[]).expect_code(0);
            backfill(&env, warehouse, ("2026-01-10", "2026-01-29"), &["--window", "3d"]).expect_code(0);
            assert_eq!(ids(warehouse), [["56", "56"]], "another range that overlaps with both");
            assert_eq!(cursor(warehouse), before);
            let state: Value = serde_json::from_str(&env.read("state/api.json")).expect("JSON");
            assert_eq!(state["resources"]["videos"]["partitions"], Value::Null, "progress is no partition: {state}");
        }
    }
}

#[test]
fn a_range_that_is_loaded_is_not_asked_for_again_unless_it_is_wanted() {
    let server = serve(videos());
    let env = TestEnv::new();
    let warehouse = env.warehouse();
    env.pipeline(&pipeline(&server, &resource(KEYED, SINCE_15)));
    let range = ("2026-01-01", "2026-01-15");
    backfill(&env, &warehouse, range, &["--window", "7d"]).expect_code(0);
    server.forget();
    let second = backfill(&env, &warehouse, range, &[]).expect_code(0).expect_stderr(&["--again"]);
    assert_eq!(second.resource("videos")["end"], "loaded already");
    assert!(server.requests().is_empty());
    backfill(&env, &warehouse, range, &["--again"]).expect_code(0);
    assert_eq!(starts(&server), ["2026-01-01"]);
    assert_eq!(ids(&warehouse), [["30", "30"]]);
    // The table made anew knows nothing of it.
    env.load_into(&warehouse, &["--full-refresh"]).expect_code(0);
    server.forget();
    backfill(&env, &warehouse, range, &[]).expect_code(0);
    assert_eq!(ids(&warehouse), [["56", "56"]]);
}

#[test]
fn what_was_appended_before_the_first_run_is_not_appended_by_it() {
    for number in 0..2 {
        let server = serve(videos());
        let env = TestEnv::new();
        let warehouse = &env.destinations()[number];
        env.pipeline(&pipeline(&server, &resource(APPENDED, SINCE_15)));
        backfill(&env, warehouse, ("2026-01-10", "2026-01-22"), &["--window", "5d"]).expect_code(0);
        let first = env.load_into(warehouse, &[]).expect_code(0);
        assert_eq!(
            first.resource("videos")["cursor_before"],
            Value::Null,
            "no cursor was made: {}",
            first.transcript()
        );
        assert_eq!(ids(warehouse), [["38", "38"]], "from the 10th on");
        env.load_into(warehouse, &[]).expect_code(0);
        assert_eq!(ids(warehouse), [["38", "38"]]);
    }
}

#[test]
fn killed_anywhere_and_run_again_it_equals_one_undisturbed_run() {
    for write in [KEYED, APPENDED] {
        for number in 0..2 {
            let records = videos();
            let server = Server::start(move |request| between(&records, request).delayed(Duration::from_millis(8)));
            let range = ("2026-01-01", "2026-01-27");
            let text = pipeline(&server, &resource(write, SINCE_15));
            let calm = TestEnv::new();
            calm.pipeline(&text);
            let undisturbed = &calm.destinations()[number];
            calm.load_into(undisturbed, &[]).expect_code(0);
            backfill(&calm, undisturbed, range, &["--window", "2d"]).expect_code(0);

            let env = TestEnv::new();
            env.pipeline(&text);
            let warehouse = &env.destinations()[number];
            env.load_into(warehouse, &[]).expect_code(0);
            let before = cursor(warehouse);
            for moment in [40, 90, 150, 230] {
                let running = start(&env, warehouse, range, &["--window", "2d"]);
                std::thread::sleep(Duration::from_millis(moment));
                running.kill();
            }
            backfill(&env, warehouse, range, &["--window", "2d"]).expect_code(0);
            assert_same(&warehouse.dump("api"), &undisturbed.dump("api"), write);
            assert_eq!(cursor(warehouse), before);
            server.forget();
            backfill(&env, warehouse, range, &["--window", "2d"]).expect_code(0);
            assert!(server.requests().is_empty(), "it is all there");
        }
    }
}

#[test]
fn older_rows_do_not_take_the_place_of_newer_ones() {
    let versions = vec![
        json!({ "id": 1, "v": "old", "tags": ["a", "b"], "updated_at": "2026-01-03T00:00:00Z" }),
        json!({ "id": 2, "v": "only", "tags": [], "updated_at": "2026-01-04T00:00:00Z" }),
        json!({ "id": 3, "v": "older", "tags": ["c"], "updated_at": "2026-01-05T00:00:00Z" }),
        json!({ "id": 3, "v": "newer", "tags": ["d"], "updated_at": "2026-01-12T00:00:00Z" }),
        json!({ "id": 1, "v": "new", "tags": ["e"], "updated_at": "2026-01-20T00:00:00Z" }),
    ];
    for number in 0..2 {
        let served = versions.clone();
        let server = Server::start(move |request| {
            // Newer windows answer first, so that they are committed before the older ones.
            let is_early = request.param("since").is_some_and(|since| since < "2026-01-08");
            between(&served, request).delayed(Duration::from_millis(if is_early { 300 } else { 0 }))
        });
        let env = TestEnv::new();
        let warehouse = &env.destinations()[number];
        env.pipeline(&pipeline(&server, &resource(KEYED, SINCE_15)));
        env.load_into(warehouse, &[]).expect_code(0);
        let outcome = backfill(&env, warehouse, ("2026-01-01", "2026-01-15"), &["--window", "7d"]).expect_code(0);
        let rows = warehouse.query("SELECT id, v FROM api.videos ORDER BY id");
        assert_eq!(rows, [["1", "new"], ["2", "only"], ["3", "newer"]], "{}", outcome.transcript());
        let tags = warehouse.query("SELECT value FROM api.videos__tags ORDER BY value");
        assert_eq!(tags, [["d"], ["e"]], "child rows go with their records");
        assert_eq!(outcome.resource("videos")["discarded"]["newer_stored"], 2, "{}", outcome.transcript());
    }
}

#[test]
fn windows_of_keyed_rows_are_walked_side_by_side_and_others_in_their_order() {
    for (write, side_by_side) in [(KEYED, true), (APPENDED, false)] {
        let (under_way, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let (counted, highest, records) = (under_way, most.clone(), videos());
        let server = Server::start(move |request| {
            highest.fetch_max(counted.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
            std::thread::sleep(Duration::from_millis(20));
            counted.fetch_sub(1, Ordering::SeqCst);
            between(&records, request)
        });
        let env = TestEnv::new();
        env.pipeline(&pipeline(&server, &resource(write, SINCE_15)));
        backfill(&env, &env.warehouse(), ("2026-01-01", "2026-01-29"), &["--window", "2d"]).expect_code(0);
        assert_eq!(most.load(Ordering::SeqCst) > 1, side_by_side, "{write}");
        assert_eq!(ids(&env.warehouse()), [["56", "56"]]);
    }
}

#[test]
fn a_window_that_fails_keeps_the_others_and_the_next_command_asks_for_it_alone() {
    for write in [KEYED, APPENDED] {
        let broken = Arc::new(AtomicBool::new(true));
        let (switch, records) = (broken.clone(), videos());
        let server = Server::start(move |request| {
            let is_third = request.param("since").is_some_and(|since| since.starts_with("2026-01-15"));
            let fails = is_third && request.param("offset") == Some("5") && switch.load(Ordering::SeqCst);
            if fails { Reply::status(400) } else { between(&records, request) }
        });
        let env = TestEnv::new();
        let warehouse = env.warehouse();
        env.pipeline(&pipeline(&server, &resource(write, SINCE_15)));
        let range = ("2026-01-01", "2026-01-22");
        let failed = backfill(&env, &warehouse, range, &["--window", "7d"]).expect_code(1);
        assert_eq!(failed.resource("videos")["windows_left"], 1, "{}", failed.transcript());
        broken.store(false, Ordering::SeqCst);
        server.forget();
        backfill(&env, &warehouse, range, &["--window", "7d"]).expect_code(0);
        assert_eq!(starts(&server), ["2026-01-15"]);
        assert_eq!(ids(&warehouse), [["44", "44"]], "{write}");
    }
}

#[test]
fn a_budget_ends_a_backfill_cleanly_and_the_next_one_goes_on() {
    let server = serve(videos());
    let env = TestEnv::new();
    let warehouse = env.warehouse();
    env.pipeline(&pipeline(&server, &resource(APPENDED, SINCE_15)));
    let range = ("2026-01-01", "2026-01-29");
    let further = ["--window", "7d", "--max-requests", "6"];
    let first = backfill(&env, &warehouse, range, &further).expect_code(0);
    let videos = first.resource("videos");
    assert_eq!(videos["end"], "1 window, stopped after 6 requests", "{}", first.transcript());
    assert_eq!((&videos["status"], &videos["windows_left"]), (&json!("stopped"), &json!(3)));
    assert_eq!(videos["warnings"], json!([]), "it got somewhere");
    for _ in 0..4 {
        backfill(&env, &warehouse, range, &further).expect_code(0);
    }
    assert_eq!(ids(&warehouse), [["56", "56"]]);
    let stuck = backfill(&env, &warehouse, range, &["--again", "--max-requests", "2"]).expect_code(0);
    assert!(stuck.resource("videos")["warnings"].to_string().contains("window"), "{}", stuck.transcript());
}

#[test]
fn an_ascending_walk_without_windows_goes_on_where_it_was_killed() {
    let server = serve(videos());
    let env = TestEnv::new();
    let warehouse = env.warehouse();
    let keys = format!("{SINCE_15}row_order = \"asc\"\n");
    env.pipeline(&pipeline(&server, &resource(APPENDED, &keys)));
    let range = ("2026-01-01", "2026-01-29");
    backfill(&env, &warehouse, range, &["--max-requests", "4"]).expect_code(0);
    assert_eq!(ids(&warehouse), [["20", "20"]]);
    server.forget();
    backfill(&env, &warehouse, range, &[]).expect_code(0);
    assert_eq!(starts(&server), ["2026-01-10T00:00:00Z"], "from the newest value on");
    assert_eq!(ids(&warehouse), [["56", "56"]]);
}

#[test]
fn what_can_not_load_a_range_is_refused_with_the_reason() {
    let server = serve(videos());
    let no_end = SINCE_15.replace("end_param = \"until\"\n", "");
    let no_start = SINCE_15.replace("start_param = \"since\"\n", "");
    let cases: Vec<(String, &[&str], &str)> = vec![
        (resource(KEYED, &no_end), &[], "end_param"),
        (resource(KEYED, &no_start), &[], "start_param"),
        ("[resources.videos]\nprimary_key = \"id\"\n".to_owned(), &[], "has no cursor"),
        (resource("primary_key = \"id\"\nmerge_strategy = \"scd2\"\n", SINCE_15), &[], "scd2"),
        (
            resource(
                "merge_strategy = \"delete-insert\"\nmerge_key = \"day\"\nwrite_disposition = \"merge\"\n",
                SINCE_15,
            ),
            &[],
            "merge_key",
        ),
        (
            resource(KEYED, "cursor_from = \"response\"\ncursor_path = \"next\"\nstart_param = \"since\"\n"),
            &[],
            "tokens of the API",
        ),
        (resource(KEYED, &format!("{no_end}client_side = true\n")), &["--window", "1d"], "window by window"),
        (resource(KEYED, SINCE_15), &["--resource", "vidoes"], "did you mean `videos`"),
    ];
    for (text, further, reason) in cases {
        let env = TestEnv::new();
        env.pipeline(&pipeline(&server, &text));
        let outcome = backfill(&env, &env.warehouse(), ("2026-01-01", "2026-01-15"), further).expect_code(2);
        outcome.expect_stderr(&[reason]);
    }
    let env = TestEnv::new();
    env.pipeline(&pipeline(&server, &resource(KEYED, SINCE_15)));
    for (range, reason) in [
        (("2026-01-15", "2026-01-01"), "nothing between `--from` and `--to`"),
        (("january", "2026-01-01"), "--from"),
        (("-3x", "2026-01-01"), "--from"),
    ] {
        backfill(&env, &env.warehouse(), range, &[]).expect_code(2).expect_stderr(&[reason]);
    }
    env.run(&["backfill", "api", "--from", "2026-01-01"]).expect_code(2).expect_stderr(&["--to"]);
    assert!(server.requests().is_empty(), "nothing is requested");
}

#[test]
fn resources_without_a_past_are_left_out_of_a_backfill_of_all_and_named() {
    let server = serve(videos());
    let env = TestEnv::new();
    let text = format!("{}[resources.plain]\nprimary_key = \"id\"\n", resource(KEYED, SINCE_15));
    env.pipeline(&pipeline(&server, &text));
    let outcome = backfill(&env, &env.warehouse(), ("2026-01-01", "2026-01-15"), &[]).expect_code(0);
    assert!(outcome.stderr.contains("`plain` has no cursor"), "{}", outcome.transcript());
    assert!(server.requests_for("/plain").is_empty());
    assert_eq!(outcome.report()["resources"].as_object().map(serde_json::Map::len), Some(1));
}

#[test]
fn an_api_that_can_not_filter_is_bounded_here() {
    let server = Server::start(|request| {
        let page: Vec<Value> = videos().into_iter().skip(request.number_param("offset", 0)).take(5).collect();
        Reply::json(page)
    });
    let env = TestEnv::new();
    let warehouse = env.warehouse();
    env.pipeline(&pipeline(&server, &resource(APPENDED, "cursor_path = \"updated_at\"\nclient_side = true\n")));
    let outcome = backfill(&env, &warehouse, ("2026-01-05", "2026-01-10"), &[]).expect_code(0);
    assert_eq!(ids(&warehouse), [["10", "10"]], "{}", outcome.transcript());
    let discarded = &outcome.resource("videos")["discarded"];
    assert_eq!((&discarded["before_start"], &discarded["after_end"]), (&json!(8), &json!(38)));
}

#[test]
fn ranges_are_numbers_too_and_may_be_so_long_ago() {
    let server = Server::start(|request| {
        let (from, to) = (request.number_param("since", 0), request.number_param("until", 0));
        let page = (from..to.min(25)).skip(request.number_param("offset", 0)).take(5);
        Reply::json(page.map(|id| json!({ "id": id, "updated_at": id })).collect::<Vec<_>>())
    });
    let env = TestEnv::new();
    let keys = "cursor_path = \"updated_at\"\nstart_param = \"since\"\nend_param = \"until\"\n";
    env.pipeline(&pipeline(&server, &resource(KEYED, keys)));
    backfill(&env, &env.warehouse(), ("0", "1000"), &["--window", "400"]).expect_code(0);
    assert_eq!(starts(&server), ["0", "400", "800"]);
    assert_eq!(ids(&env.warehouse()), [["25", "25"]]);

    let recent = serve(Vec::new());
    let env = TestEnv::new();
    env.pipeline(&pipeline(&recent, &resource(KEYED, keys)));
    backfill(&env, &env.warehouse(), ("-10d", "-3d"), &[]).expect_code(0);
    let day = |days| (chrono::Utc::now() - chrono::TimeDelta::days(days)).date_naive().to_string();
    let request = &recent.requests()[0];
    assert_eq!((request.param("since"), request.param("until")), (Some(&*day(10)), Some(&*day(3))));
}

const VIEWS: &str = "[resources.channels]\nprimary_key = \"id\"\npaginator = \"single_page\"\n\
    [resources.videos]\nparent = \"channels\"\npath = \"channels/{{ parent.id }}/videos\"\n\
    include_from_parent = [\"id\"]\npaginator = { type = \"offset\", limit = 5 }\n";

#[test]
fn each_parent_has_a_past_of_its_own_beside_its_cursor() {
    for (write, scope) in
        [("primary_key = [\"channels_id\", \"id\"]\n", ""), (APPENDED, ""), (APPENDED, "scope = \"global\"\n")]
    {
        for number in 0..2 {
            let records = videos();
            let server = Server::start(move |request| match request.path.as_str() {
                "/channels" => Reply::json((0..6).map(|id| json!({ "id": id })).collect::<Vec<_>>()),
                _ => between(&records, request).delayed(Duration::from_millis(3)),
            });
            let env = TestEnv::new();
            let warehouse = &env.destinations()[number];
            env.pipeline(&pipeline(
                &server,
                &format!("{VIEWS}{write}[resources.videos.incremental]\n{SINCE_15}{scope}"),
            ));
            let range = ("2026-01-01", "2026-01-17");
            let further = ["--window", "7d", "--resource", "videos"];
            backfill(&env, warehouse, range, &further)
                .expect_code(2)
                .expect_stderr(&["pintail run api --resource channels"]);
            env.load_into(warehouse, &[]).expect_code(0);
            let cursors = || {
                warehouse.query(
                    "SELECT \"partition\", cursor FROM api._pintail_state WHERE NOT starts_with(\"partition\", 'backfill') \
                     ORDER BY 1",
                )
            };
            let (before, count) = (cursors(), "SELECT count(*), count(DISTINCT (channels_id, id)) FROM api.videos");
            assert_eq!(warehouse.query(count), [["168", "168"]]);
            server.forget();
            for moment in [60, 120] {
                let running = start(&env, warehouse, range, &further);
                std::thread::sleep(Duration::from_millis(moment));
                running.kill();
            }
            backfill(&env, warehouse, range, &[&further[..], &["--max-requests", "30"]].concat()).expect_code(0);
            let last = backfill(&env, warehouse, range, &further).expect_code(0);
            assert_eq!(warehouse.query(count), [["336", "336"]], "{write}{scope}\n{}", last.transcript());
            assert_eq!(cursors(), before);
            assert!(server.requests_for("/channels").is_empty(), "the parents are known");
            server.forget();
            backfill(&env, warehouse, range, &further).expect_code(0);
            assert!(server.requests().is_empty(), "all of it is there");
            env.load_into(warehouse, &[]).expect_code(0);
            assert_eq!(warehouse.query(count), [["336", "336"]]);
        }
    }
}

#[test]
fn a_window_that_holds_too_much_is_halved_and_counts_as_loaded_when_both_halves_are() {
    for write in [KEYED, APPENDED] {
        for number in 0..2 {
            let (records, broken) = (videos(), Arc::new(AtomicBool::new(true)));
            let switch = broken.clone();
            let server = Server::start(move |request| {
                let bound = |name| time(request.param(name).expect("both bounds"));
                let is_broken = switch.load(Ordering::SeqCst) && bound("since") >= time("2026-01-09");
                if bound("until") - bound("since") > chrono::TimeDelta::days(4) {
                    Reply::new(400, "application/json", "{\"name\":\"TOO_LARGE\"}")
                } else if is_broken {
                    Reply::status(404)
                } else {
                    between(&records, request)
                }
            });
            let env = TestEnv::new();
            let warehouse = &env.destinations()[number];
            let split =
                "response_actions = [{ status = 400, path = \"name\", equals = \"TOO_LARGE\", action = \"split\" }]\n";
            env.pipeline(&pipeline(
                &server,
                &resource(&format!("{write}{split}"), &format!("{SINCE_15}window = \"8d\"\n")),
            ));
            let range = ("2026-01-01", "2026-01-21");
            backfill(&env, warehouse, range, &["--window", "8d"]).expect_code(1);
            broken.store(false, Ordering::SeqCst);
            let outcome = backfill(&env, warehouse, range, &["--window", "8d"]).expect_code(0);
            assert_eq!(ids(warehouse), [["42", "42"]], "{write}\n{}", outcome.transcript());
            assert_eq!(outcome.resource("videos")["windows_left"], 0);
        }
    }
}

#[test]
fn the_summary_names_the_range_and_what_is_left() {
    let server = serve(videos());
    let env = TestEnv::new();
    env.pipeline(&pipeline(&server, &resource(APPENDED, SINCE_15)));
    let args =
        ["backfill", "api", "--from", "2026-01-01", "--to", "2026-01-29", "--window", "7d", "--max-requests", "6"];
    env.run(&args).expect_code(0).expect_stdout(&[
        "api backfill 2026-01-01..2026-01-29 stopped in",
        "1 window, stopped after 6 requests",
        "videos: 3 windows left",
    ]);
}
