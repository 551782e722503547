//! `pintail status`: what the last runs came to, and whether somebody should look.

use crate::support::{Api, Reply, Server, TestEnv, Warehouse, pipeline};
use serde_json::{Value, json};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

const RESOURCES: &str = "[resources.videos]\nprimary_key = \"id\"\npaginator = \"single_page\"\n\
    [resources.views]\npaginator = \"single_page\"\nwrite_disposition = \"append\"\n";

/// Videos, and views that fail while the flag is set.
fn failing(fails: &Arc<AtomicBool>) -> Server {
    let api = Api::new(100);
    api.put("/videos", (1..=10).map(|id| json!({ "id": id })));
    api.put("/views", (1..=3).map(|id| json!({ "n": id })));
    let fails = fails.clone();
    Server::start(move |request| {
        let is_refused = request.path == "/views" && fails.load(Ordering::Relaxed);
        if is_refused { Reply::status(404) } else { api.reply(request) }
    })
}

fn status(env: &TestEnv, warehouse: &Warehouse, args: &[&str]) -> crate::support::Outcome {
    let flag = warehouse.flag();
    env.run(&[&["status"], args, &["--destination", &flag]].concat())
}

#[test]
fn runs_rows_freshness_and_failures_are_those_of_the_warehouse() {
    for number in 0..2 {
        let fails = Arc::new(AtomicBool::new(false));
        let server = failing(&fails);
        let env = TestEnv::new();
        let warehouse = &env.destinations()[number];
        env.pipeline(&pipeline(&server, RESOURCES));
        status(&env, warehouse, &["api"]).expect_code(0).expect_stdout(&["no run has ended yet"]);
        let first = env.load_into(warehouse, &[]).expect_code(0).report();
        status(&env, warehouse, &["api"]).expect_code(0).expect_stdout(&["api: completed just now, 13 rows"]);

        fails.store(true, Ordering::Relaxed);
        let second = env.load_into(warehouse, &[]).expect_code(1).report();
        let outcome = status(&env, warehouse, &["api"]).expect_code(1);
        assert!(outcome.stdout.starts_with("api: failed just now, 10 rows"), "{}", outcome.transcript());
        assert!(outcome.stdout.contains("views: ") && outcome.stdout.contains("404"), "{}", outcome.transcript());
        assert!(outcome.stdout.lines().all(|line| line.chars().count() <= 80), "{}", outcome.transcript());

        let json: Value = status(&env, warehouse, &["api", "--output", "json"]).expect_code(1).report();
        let ids: Vec<&Value> = json["runs"].as_array().unwrap().iter().map(|run| &run["load_id"]).collect();
        assert_eq!(ids, [&second["load_id"], &first["load_id"]]);
        let rows: Vec<&Value> = json["runs"].as_array().unwrap().iter().map(|run| &run["rows"]).collect();
        assert_eq!(rows, [&json!(10), &json!(13)]);
        assert_eq!((&json["state"], &json["read_from"]), (&json!("bad"), &json!("warehouse")));
        let views = &json["resources"]["views"];
        assert_eq!(views["status"], "failed");
        let completed =
            warehouse.value("SELECT epoch_us(max(committed_at)) // 1000 FROM api._pintail_loads WHERE resource = 'views' AND status = 'completed'");
        let told = chrono::DateTime::parse_from_rfc3339(views["completed_at"].as_str().unwrap()).unwrap();
        assert_eq!(told.timestamp_millis().to_string(), completed);
    }
}

#[test]
fn without_a_name_every_pipeline_has_a_line_and_one_that_is_wrong_is_told() {
    let fails = Arc::new(AtomicBool::new(true));
    let server = failing(&fails);
    let env = TestEnv::new();
    env.pipeline(&pipeline(&server, RESOURCES));
    let good = pipeline(&server, "[resources.videos]\nprimary_key = \"id\"\npaginator = \"single_page\"\n");
    env.write("pipelines/good.toml", &good.replace("name = \"api\"", "name = \"good\""));
    env.write("pipelines/new.toml", &good.replace("name = \"api\"", "name = \"new\""));
    env.run(&["run", "good"]).expect_code(0);
    env.run(&["status"]).expect_code(0);
    env.run(&["run", "api"]).expect_code(1);
    let outcome = env.run(&["status"]).expect_code(1);
    let firsts: Vec<&str> = outcome.stdout.lines().filter_map(|line| line.split_whitespace().next()).collect();
    assert_eq!(firsts[..4], ["pipeline", "api", "good", "new"], "{}", outcome.transcript());
    assert!(outcome.stdout.contains("api failed at"), "{}", outcome.transcript());
    assert!(outcome.stdout.lines().all(|line| line.chars().count() <= 80), "{}", outcome.transcript());
    let lines = env.run(&["status", "--output", "json"]).expect_code(1).stdout;
    let states: Vec<Value> =
        lines.lines().map(|line| serde_json::from_str::<Value>(line).unwrap()["state"].clone()).collect();
    assert_eq!(states, ["bad", "good", "never_run"]);
    env.write("pipelines/wrong.toml", "nam = 1\n");
    env.run(&["status"]).expect_code(2).expect_stdout(&["good"]).expect_stderr(&["wrong.toml"]);
}

#[test]
fn a_killed_run_is_told_until_another_run_has_ended() {
    for number in 0..2 {
        let server = Server::start(|request| {
            let since = request.param("since").expect("a window");
            Reply::json(json!([{ "id": since, "updated_at": since }]))
        });
        let mut env = TestEnv::new();
        let windows = "[resources.videos]\nprimary_key = \"id\"\npaginator = \"single_page\"\nincremental = { \
            cursor_path = \"updated_at\", start_param = \"since\", end_param = \"until\", window = \"5d\", \
            initial_value = \"2026-01-01T00:00:00Z\", end_value = \"2026-01-21T00:00:00Z\" }\n";
        env.pipeline(&pipeline(&server, windows));
        let warehouse = env.destinations()[number].clone();
        env.set("PINTAIL_DIE_AT", "committed#2");
        let outcome = env.load_into(&warehouse, &[]);
        assert!(outcome.status.code().is_none(), "{}", outcome.transcript());
        let told = status(&env, &warehouse, &["api"]).expect_code(1).expect_stdout(&["api: killed just now, 2 rows"]);
        assert!(told.stdout.contains("the run ended without saying why"), "{}", told.transcript());
        env.set("PINTAIL_DIE_AT", "copy_placed");
        env.load_into(&warehouse, &[]).expect_code(0);
        let told = status(&env, &warehouse, &["api", "--output", "json"]).expect_code(0).report();
        let endings: Vec<&Value> = told["runs"].as_array().unwrap().iter().map(|run| &run["status"]).collect();
        assert_eq!(endings, ["completed", "killed"]);
    }
}

#[test]
fn who_runs_now_is_told_and_the_past_can_be_read_meanwhile() {
    let slow = Arc::new(AtomicBool::new(false));
    let is_slow = slow.clone();
    let server = Server::start(move |_| {
        Reply::json(json!([{ "id": 1 }])).delayed(Duration::from_secs(if is_slow.load(Ordering::Relaxed) {
            4
        } else {
            0
        }))
    });
    let env = TestEnv::new();
    env.pipeline(&pipeline(&server, "[resources.videos]\nprimary_key = \"id\"\npaginator = \"single_page\"\n"));
    env.load().expect_code(0);
    slow.store(true, Ordering::Relaxed);
    server.forget();
    let run = env.start(&["run", "api"]);
    let started = Instant::now();
    while server.requests().is_empty() {
        assert!(started.elapsed() < Duration::from_secs(30), "no request came");
        std::thread::sleep(Duration::from_millis(5));
    }
    let json = env.run(&["status", "api", "--output", "json"]).expect_code(0).report();
    assert_eq!((&json["running"]["command"], &json["read_from"]), (&json!(command(&env)), &json!("reports")));
    assert_eq!(json["runs"][0]["rows"], 1, "the report of the run before");
    env.run(&["status", "api"]).expect_code(0).expect_stdout(&["runs now: pid", "reports in the"]);
    run.wait().expect_code(0);
    let json = env.run(&["status", "api", "--output", "json"]).expect_code(0).report();
    assert_eq!((&json["running"], &json["read_from"]), (&Value::Null, &json!("warehouse")));
}

fn command(_env: &TestEnv) -> String {
    format!("{} run api", env!("CARGO_BIN_EXE_pintail"))
}
