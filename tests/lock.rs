//! One run at a time for a pipeline and a warehouse.

use crate::support::{Api, Reply, Server, TestEnv, pipeline};
use serde_json::json;
use std::time::{Duration, Instant};

const VIDEOS: &str = "[resources.videos]\nprimary_key = \"id\"\npaginator = \"single_page\"\n";

fn slow_server(delay: Duration) -> Server {
    let api = Api::new(100);
    api.put("/videos", [json!({ "id": 1 })]);
    Server::start(move |request| api.reply(request).delayed(delay))
}

fn wait_for_request(server: &Server) {
    let started = Instant::now();
    while server.requests().is_empty() {
        assert!(started.elapsed() < Duration::from_secs(30), "no request came");
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn a_second_run_gives_up_after_lock_wait_with_code_4_and_sends_nothing() {
    let server = slow_server(Duration::from_secs(4));
    let env = TestEnv::new();
    env.write("config.toml", "[run]\nlock_wait = \"200ms\"\n");
    env.pipeline(&pipeline(&server, VIDEOS));
    let first = env.start(&["run", "api"]);
    wait_for_request(&server);
    env.run(&["run", "api"]).expect_code(4).expect_stderr(&["api"]);
    assert_eq!(server.requests().len(), 1, "the second run sends nothing");
    first.wait().expect_code(0);
    assert_eq!(env.warehouse().count("api.videos"), 1);
}

#[test]
fn a_second_run_that_may_wait_runs_after_the_first() {
    let server = slow_server(Duration::from_millis(800));
    let env = TestEnv::new();
    env.write("config.toml", "[run]\nlock_wait = \"60s\"\n");
    env.pipeline(&pipeline(&server, VIDEOS));
    let first = env.start(&["run", "api"]);
    wait_for_request(&server);
    env.run(&["run", "api"]).expect_code(0);
    first.wait().expect_code(0);
    assert_eq!(server.requests().len(), 2);
}

#[test]
fn the_lock_of_a_killed_run_is_no_lock() {
    let server = slow_server(Duration::from_secs(3));
    let env = TestEnv::new();
    env.write("config.toml", "[run]\nlock_wait = \"200ms\"\n");
    env.pipeline(&pipeline(&server, VIDEOS));
    let first = env.start(&["run", "api"]);
    wait_for_request(&server);
    first.kill();
    env.run(&["run", "api"]).expect_code(0);
}

#[test]
fn a_warehouse_that_another_program_holds_is_waited_for_and_then_code_4() {
    let server = Server::start(|_| Reply::json(vec![json!({ "id": 1 })]));
    let env = TestEnv::new();
    env.write("config.toml", "[run]\nlock_wait = \"200ms\"\n");
    env.pipeline(&pipeline(&server, VIDEOS));
    let holder = duckdb::Connection::open(env.path("warehouse.duckdb")).expect("a file to hold");
    let owner = format!("PID {}", std::process::id());
    env.run(&["run", "api"]).expect_code(4).expect_stderr(&["warehouse.duckdb", "held by", &owner]);
    let report = env.run(&["run", "api", "--output", "json"]).expect_code(4).report();
    assert_eq!((&report["pipeline"], &report["status"]), (&json!("api"), &json!("failed")));
    assert!(report["error"].as_str().is_some_and(|e| e.contains("warehouse.duckdb")), "{report}");
    assert!(server.requests().is_empty(), "nothing is requested");
    drop(holder);
    env.run(&["run", "api"]).expect_code(0);
}

#[test]
fn a_warehouse_that_is_let_go_in_time_is_loaded_into() {
    let server = Server::start(|_| Reply::json(vec![json!({ "id": 1 })]));
    let env = TestEnv::new();
    env.write("config.toml", "[run]\nlock_wait = \"60s\"\n");
    env.pipeline(&pipeline(&server, VIDEOS));
    let holder = duckdb::Connection::open(env.path("warehouse.duckdb")).expect("a file to hold");
    let running = env.start(&["run", "api"]);
    std::thread::sleep(Duration::from_millis(400));
    assert!(server.requests().is_empty(), "it waits");
    drop(holder);
    running.wait().expect_code(0);
    assert_eq!(env.warehouse().count("api.videos"), 1);
}
