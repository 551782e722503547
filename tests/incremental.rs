//! Incremental loads: the cursor, its bounds, and what becomes of it when something fails.

use crate::support::{Api, Outcome, Reply, Server, TestEnv, Warehouse, pipeline};
use serde_json::{Value, json};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

const VIDEOS: &str = "[resources.videos]\nprimary_key = \"id\"\nwrite_disposition = \"merge\"\n\
    paginator = { type = \"offset\", limit = 100 }\n";

const SINCE: &str = "incremental = { cursor_path = \"updated_at\", start_param = \"since\", initial_value = \"2020-01-01T00:00:00Z\" }\n";

fn at(day: u64, second: u64) -> Value {
    json!(format!("2026-01-{day:02}T10:{:02}:{:02}Z", second / 60, second % 60))
}

fn video(id: u64, day: u64) -> Value {
    json!({ "id": id, "title": format!("video {id}"), "updated_at": at(day, id % 60) })
}

fn serve(api: &Api) -> Server {
    let served = api.clone();
    Server::start(move |request| served.reply(request))
}

/// 250 videos; those with the same remainder of 60 share their time.
fn filled() -> (Api, Server) {
    let api = Api::new(100);
    api.put("/videos", (0..250).map(|id| video(id, 2)));
    let server = serve(&api);
    (api, server)
}

fn change_some(api: &Api) {
    api.edit("/videos", 7, &[("title", json!("changed")), ("updated_at", at(3, 0))]);
    api.push("/videos", video(250, 3));
}

fn records(outcome: &Outcome) -> u64 {
    outcome.resource("videos")["records"].as_u64().expect("a count")
}

#[test]
fn the_second_run_asks_since_the_last_cursor_and_loads_only_changes() {
    for number in 0..2 {
        let (api, server) = filled();
        let env = TestEnv::new();
        let warehouse = &env.destinations()[number];
        env.pipeline(&pipeline(&server, &format!("{VIDEOS}{SINCE}")));
        let first = env.load_into(warehouse, &[]).expect_code(0);
        assert_eq!(records(&first), 250);
        assert_eq!(server.requests()[0].param("since"), Some("2020-01-01T00:00:00Z"));

        change_some(&api);
        server.forget();
        let second = env.load_into(warehouse, &[]).expect_code(0);
        assert!(
            server.requests().iter().all(|r| r.param("since") == Some("2026-01-02T10:00:59Z")),
            "{}",
            second.transcript()
        );
        // The bound is inclusive: the four that share the newest time come again, with the two changes.
        assert_eq!(records(&second), 6);
        assert_eq!(warehouse.count("api.videos"), 251);
        assert_eq!(warehouse.value("SELECT title FROM api.videos WHERE id = 7"), "changed");

        server.forget();
        let third = env.load_into(warehouse, &[]).expect_code(0);
        assert_eq!(server.requests()[0].param("since"), Some("2026-01-03T10:00:10Z"));
        assert_eq!((records(&third), warehouse.count("api.videos")), (1, 251));
    }
}

#[test]
fn losing_the_state_directory_changes_nothing() {
    for number in 0..2 {
        let (api, server) = filled();
        let env = TestEnv::new();
        let warehouse = &env.destinations()[number];
        env.pipeline(&pipeline(&server, &format!("{VIDEOS}{SINCE}")));
        env.load_into(warehouse, &[]).expect_code(0);
        let kept = std::fs::read_to_string(env.path("state/api.json")).expect("a copy of the state");
        std::fs::remove_dir_all(env.path("state")).expect("removable");
        change_some(&api);
        server.forget();
        env.load_into(warehouse, &[]).expect_code(0);
        assert_eq!(server.requests()[0].param("since"), Some("2026-01-02T10:00:59Z"));

        // An older copy, put back by hand, loses against the warehouse.
        env.write("state/api.json", &kept);
        server.forget();
        env.load_into(warehouse, &[]).expect_code(0);
        assert_eq!(server.requests()[0].param("since"), Some("2026-01-03T10:00:10Z"));
        let rebuilt = std::fs::read_to_string(env.path("state/api.json")).expect("a copy of the state");
        assert!(rebuilt.contains("2026-01-03T10:00:10"), "{rebuilt}");
    }
}

#[test]
fn a_new_machine_with_the_warehouse_continues_where_the_old_one_stopped() {
    let (_api, server) = filled();
    let env = TestEnv::new();
    env.pipeline(&pipeline(&server, &format!("{VIDEOS}{SINCE}")));
    env.load().expect_code(0);
    std::fs::copy(env.path("warehouse.duckdb"), env.path("moved.duckdb")).expect("a copied warehouse");
    server.forget();
    let moved = Warehouse::duckdb(env.path("moved.duckdb"));
    env.load_into(&moved, &["--state-dir", "elsewhere"]).expect_code(0);
    assert_eq!(server.requests()[0].param("since"), Some("2026-01-02T10:00:59Z"));
    assert!(env.path("elsewhere/api.json").exists());
}

#[test]
fn without_an_initial_value_the_first_run_asks_for_everything() {
    let (_api, server) = filled();
    let env = TestEnv::new();
    let since = "incremental = { cursor_path = \"updated_at\", start_param = \"since\" }\n";
    env.pipeline(&pipeline(&server, &format!("{VIDEOS}{since}")));
    env.load().expect_code(0);
    assert_eq!(server.requests()[0].param("since"), None);
    server.forget();
    env.load().expect_code(0);
    assert_eq!(server.requests()[0].param("since"), Some("2026-01-02T10:00:59Z"));
}

#[test]
fn lag_asks_again_that_far_back_without_doubling() {
    for write in ["merge", "append"] {
        let (_api, server) = filled();
        let env = TestEnv::new();
        let since = SINCE.replace(" }", ", lag = \"30s\" }");
        env.pipeline(&pipeline(&server, &format!("{}{since}", VIDEOS.replace("\"merge\"", &format!("\"{write}\"")))));
        env.load().expect_code(0);
        server.forget();
        env.load().expect_code(0);
        assert_eq!(server.requests()[0].param("since"), Some("2026-01-02T10:00:29Z"), "{write}");
        assert_eq!(env.warehouse().count("api.videos"), 250, "{write}");
    }
}

#[test]
fn append_keeps_changed_rows_and_leaves_out_those_stored_unchanged() {
    for number in 0..2 {
        let (api, server) = filled();
        let env = TestEnv::new();
        let warehouse = &env.destinations()[number];
        env.pipeline(&pipeline(&server, &format!("{}{SINCE}", VIDEOS.replace("\"merge\"", "\"append\""))));
        env.load_into(warehouse, &[]).expect_code(0);
        // Same time as the cursor, other content: a row that a comparison by time or key alone would lose.
        api.edit("/videos", 59, &[("title", json!("changed within the second"))]);
        env.load_into(warehouse, &[]).expect_code(0);
        env.load_into(warehouse, &[]).expect_code(0);
        let titles = warehouse.query("SELECT title FROM api.videos WHERE id = 59 ORDER BY title");
        assert_eq!(titles, [["changed within the second"], ["video 59"]]);
        assert_eq!(warehouse.count("api.videos"), 251);
    }
}

#[test]
fn records_without_a_cursor_value() {
    let cases = [("raise", 1, 0, 0), ("include", 0, 3, 0), ("exclude", 0, 2, 1)];
    for (policy, code, row_count, discarded) in cases {
        let api = Api::new(100);
        api.put("/videos", [video(1, 2), json!({ "id": 2, "title": "t", "updated_at": null }), video(3, 2)]);
        let server = serve(&api);
        let env = TestEnv::new();
        let since = format!(
            "incremental = {{ cursor_path = \"updated_at\", start_param = \"since\", on_cursor_value_missing = \"{policy}\" }}\n"
        );
        env.pipeline(&pipeline(&server, &format!("{VIDEOS}{since}")));
        let outcome = env.load().expect_code(code);
        if code == 1 {
            assert!(outcome.stderr.contains("updated_at"), "{}", outcome.transcript());
            continue;
        }
        assert_eq!(env.warehouse().count("api.videos"), row_count, "{policy}");
        let sum: u64 = match &outcome.resource("videos")["discarded"] {
            Value::Object(rules) => rules.values().filter_map(Value::as_u64).sum(),
            other => other.as_u64().unwrap_or(0),
        };
        assert_eq!(sum, discarded, "{policy}\n{}", outcome.transcript());
        server.forget();
        env.load().expect_code(0);
        assert_eq!(server.requests()[0].param("since"), Some("2026-01-02T10:00:03Z"), "{policy}: nulls move no cursor");
    }
}

#[test]
fn cursors_compare_as_instants_and_numbers_and_never_as_text() {
    let cases: [(&str, [Value; 3], &str); 4] = [
        (
            "offsets",
            [json!("2026-01-02T12:00:00+03:00"), json!("2026-01-02T10:00:00Z"), json!("2026-01-02T11:30:00+02:00")],
            "2026-01-02T10:00:00Z",
        ),
        (
            "fractions",
            [json!("2026-01-02T10:00:05Z"), json!("2026-01-02T10:00:05.500Z"), json!("2026-01-02T10:00:05.25Z")],
            "2026-01-02T10:00:05.500Z",
        ),
        ("digits", [json!(9), json!(10), json!(8)], "10"),
        (
            "beyond 2^53",
            [json!(9_007_199_254_740_993_u64), json!(9_007_199_254_740_992_u64), json!(1)],
            "9007199254740993",
        ),
    ];
    for (name, values, newest) in cases {
        let server = Server::start(move |request| match request.param("from") {
            None => Reply::json((0..3).map(|i| json!({ "id": i, "seen": values[i] })).collect::<Vec<_>>()),
            Some(_) => Reply::json(Vec::<Value>::new()),
        });
        let env = TestEnv::new();
        let resource = "[resources.videos]\nprimary_key = \"id\"\npaginator = \"single_page\"\n\
            incremental = { cursor_path = \"seen\", start_param = \"from\" }\n";
        env.pipeline(&pipeline(&server, resource));
        env.load().expect_code(0);
        env.load().expect_code(0);
        assert_eq!(server.requests()[1].param("from"), Some(newest), "{name}");
        // A run without records keeps the cursor.
        env.load().expect_code(0);
        assert_eq!(server.requests()[2].param("from"), Some(newest), "{name}");
    }
}

#[test]
fn a_run_that_fails_half_way_moves_no_cursor_and_the_next_one_gets_everything() {
    for number in 0..2 {
        let api = Api::new(100);
        api.put("/videos", (0..250).map(|id| video(id, 2)));
        let (served, broken) = (api.clone(), Arc::new(AtomicBool::new(true)));
        let switch = broken.clone();
        let server = Server::start(move |request| {
            let last_page = request.param("offset") == Some("200");
            if last_page && switch.load(Ordering::SeqCst) { Reply::status(400) } else { served.reply(request) }
        });
        let env = TestEnv::new();
        let warehouse = &env.destinations()[number];
        env.pipeline(&pipeline(&server, &format!("{VIDEOS}{SINCE}")));
        let failed = env.load_into(warehouse, &[]).expect_code(1);
        assert_eq!(failed.resource("videos")["status"], "failed");

        broken.store(false, Ordering::SeqCst);
        server.forget();
        env.load_into(warehouse, &[]).expect_code(0);
        assert_eq!(server.requests()[0].param("since"), Some("2020-01-01T00:00:00Z"));
        assert_eq!(warehouse.query("SELECT count(*), count(DISTINCT id) FROM api.videos"), [["250", "250"]]);
    }
}

#[test]
fn a_full_refresh_forgets_cursors_and_rows_that_are_gone() {
    for number in 0..2 {
        let (api, server) = filled();
        let env = TestEnv::new();
        let warehouse = &env.destinations()[number];
        env.pipeline(&pipeline(&server, &format!("{VIDEOS}{SINCE}")));
        env.load_into(warehouse, &[]).expect_code(0);
        api.put("/videos", (0..10).map(|id| video(id, 2)));
        server.forget();
        env.load_into(warehouse, &["--full-refresh"]).expect_code(0);
        assert_eq!(server.requests()[0].param("since"), Some("2020-01-01T00:00:00Z"));
        assert_eq!(warehouse.count("api.videos"), 10);
        server.forget();
        env.load_into(warehouse, &[]).expect_code(0);
        assert_eq!(server.requests()[0].param("since"), Some("2026-01-02T10:00:09Z"));
    }
}

#[test]
fn the_report_shows_the_cursor_before_and_after() {
    let (_api, server) = filled();
    let env = TestEnv::new();
    env.pipeline(&pipeline(&server, &format!("{VIDEOS}{SINCE}")));
    let first = env.load().expect_code(0).resource("videos");
    assert!(first["cursor_before"].is_null(), "{first}");
    assert!(first["cursor_after"].to_string().contains("2026-01-02T10:00:59"), "{first}");
    let second = env.load().expect_code(0).resource("videos");
    assert_eq!(second["cursor_before"], first["cursor_after"]);
}

#[test]
fn appended_records_that_are_alike_are_counted_and_not_confused() {
    let alike = |copies: usize| (0..copies).map(|_| json!({ "n": 1, "updated_at": 5, "tags": ["a", "b"] }));
    for number in 0..2 {
        let api = Api::new(100);
        api.put("/videos", alike(3));
        let server = serve(&api);
        let env = TestEnv::new();
        let warehouse = &env.destinations()[number];
        env.pipeline(&pipeline(
            &server,
            "[resources.videos]\npaginator = \"single_page\"\nwrite_disposition = \"append\"\n\
             incremental = { cursor_path = \"updated_at\" }\n",
        ));
        // A list asked for again, then with a further copy, then again: never fewer rows, never one twice.
        for (copies, rows) in [(3, 3), (3, 3), (4, 4), (4, 4)] {
            api.put("/videos", alike(copies));
            let outcome = env.load_into(warehouse, &[]).expect_code(0);
            assert_eq!(warehouse.count("api.videos"), rows, "{}", outcome.transcript());
            assert_eq!(warehouse.count("api.videos__tags"), 2 * rows, "{}", outcome.transcript());
        }
    }
}
