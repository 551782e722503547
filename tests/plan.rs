//! `pintail plan`: what a run would do, without one.

use crate::support::{Api, Reply, Request, Server, TestEnv, pipeline};
use serde_json::{Value, json};
use std::path::PathBuf;
use std::time::Duration;

const SHOP: &str = r#"
[resources.videos]
primary_key = "id"
paginator = { type = "offset", limit = 2 }
columns.price = { type = "DECIMAL(18,4)" }
[resources.videos.incremental]
cursor_path = "updated_at"
start_param = "since"
lag = "1h"

[resources.comments]
parent = "videos"
path = "videos/{{ parent.id }}/comments"
primary_key = ["videos_id", "id"]
include_from_parent = ["id"]
paginator = "single_page"
[resources.comments.incremental]
cursor_path = "updated_at"
start_param = "since"
"#;

fn shop() -> (Api, Server) {
    let api = Api::new(100);
    let at = |day: u64| format!("2026-03-{day:02}T10:00:00Z");
    api.put("/videos", (1..=3).map(|id| json!({ "id": id, "updated_at": at(id) })));
    for video in 1..=3 {
        let comments = (0..2).map(|id| json!({ "id": id, "updated_at": at(10 + video) }));
        api.put(&format!("/videos/{video}/comments"), comments);
    }
    let served = api.clone();
    (api, Server::start(move |request| served.reply(request)))
}

fn plan(env: &TestEnv, further: &[&str]) -> Value {
    let outcome = env.run(&[&["plan", "api", "--output", "json"], further].concat()).expect_code(0);
    serde_json::from_str(&outcome.stdout).unwrap_or_else(|e| panic!("{e}\n{}", outcome.transcript()))
}

fn resource<'p>(plan: &'p Value, name: &str) -> &'p Value {
    let found = plan["resources"].as_array().expect("resources").iter().find(|r| r["name"] == name);
    found.unwrap_or_else(|| panic!("no {name} in {plan:#}"))
}

/// The address of a request that came in, as the plan tells it.
fn address(server: &Server, request: &Request) -> (String, Vec<(String, String)>) {
    (server.url(&request.path), request.params.clone())
}

fn told_address(told: &Value) -> (String, Vec<(String, String)>) {
    let url = url::Url::parse(told["url"].as_str().expect("a url")).expect("a URL");
    let params = url.query_pairs().into_owned().collect();
    let mut bare = url.clone();
    bare.set_query(None);
    (bare.to_string(), params)
}

/// Every file below the directory, but for what the program printed.
fn files(env: &TestEnv) -> Vec<(PathBuf, Vec<u8>)> {
    let mut files = env.bytes_below(".");
    files.retain(|(path, _)| {
        let name = path.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
        !name.starts_with("stdout-") && !name.starts_with("stderr-")
    });
    files.sort();
    files
}

#[test]
fn without_a_warehouse_it_tells_first_requests_and_tables_to_come_and_makes_nothing() {
    let (_, server) = shop();
    let env = TestEnv::new();
    env.pipeline(&pipeline(&server, SHOP));
    let before = files(&env);
    let told = plan(&env, &[]);
    assert_eq!(files(&env), before, "nothing is written");
    assert_eq!(server.requests().len(), 0, "nothing is sent");
    assert_eq!(told["dataset_is_new"], true);
    let videos = resource(&told, "videos");
    assert_eq!(told_address(&videos["requests"][0]).1, [("offset", "0"), ("limit", "2")].map(owned));
    assert_eq!(videos["cursor"]["stored"], Value::Null);
    let table = &videos["tables"][0];
    assert_eq!((table["name"].as_str(), table["action"].as_str()), (Some("videos"), Some("create")));
    let column = |name: &str| {
        let columns = table["columns_to_come"].as_array().expect("columns");
        columns.iter().find(|c| c["name"] == name).unwrap_or_else(|| panic!("no {name} in {table}")).clone()
    };
    assert_eq!(column("id"), json!({ "name": "id", "type": null, "origin": "primary key" }));
    assert_eq!(column("price"), json!({ "name": "price", "type": "DECIMAL(18,4)", "origin": "declared" }));
    assert_eq!(column("_pintail_load_id")["type"], "VARCHAR");
    let comments = resource(&told, "comments");
    assert_eq!(comments["requests"], json!([]), "no parent is known");
    assert_eq!(comments["request"], "GET videos/{{ parent.id }}/comments");
    assert_eq!(comments["runs_for"]["parents"], json!([{ "resource": "videos", "known": 0, "runs": true }]));
    let text = env.run(&["plan", "api"]).expect_code(0);
    text.expect_stdout(&["1. videos: merge by id", "once there are rows", "new table api.videos", "DECIMAL(18,4)"]);
}

fn owned((name, value): (&str, &str)) -> (String, String) {
    (name.to_owned(), value.to_owned())
}

#[test]
fn the_requests_that_it_tells_are_those_that_the_next_run_sends() {
    let (api, server) = shop();
    let env = TestEnv::new();
    env.pipeline(&pipeline(&server, SHOP));
    for warehouse in env.destinations() {
        env.load_into(&warehouse, &[]).expect_code(0);
        let flag = warehouse.flag();
        let before = files(&env);
        let told = plan(&env, &["--destination", &flag]);
        assert_eq!(files(&env), before, "nothing is written: {flag}");
        let videos = resource(&told, "videos");
        assert_eq!(videos["cursor"]["stored"], "2026-03-03T10:00:00Z");
        assert_eq!(videos["cursor"]["start"], "2026-03-03T09:00:00Z", "the lag counts");
        assert_eq!(videos["tables"][0]["rows"], 3);
        assert_eq!(videos["tables"][0]["action"], "keep");
        let comments = resource(&told, "comments");
        assert_eq!(comments["runs_for"]["parents"][0]["known"], 3);
        assert_eq!(comments["cursor"]["per_partition"], true);
        let sent_before = server.requests().len();
        env.load_into(&warehouse, &[]).expect_code(0);
        let sent: Vec<_> = server.requests()[sent_before..].iter().map(|r| address(&server, r)).collect();
        for told in [videos, comments].iter().flat_map(|r| r["requests"].as_array().expect("requests")) {
            assert!(sent.contains(&told_address(told)), "{told} is not among {sent:#?}");
        }
        assert_eq!(sent[0], told_address(&videos["requests"][0]));
    }
    drop(api);
}

#[test]
fn a_full_refresh_is_told_without_cursors() {
    let (_, server) = shop();
    let env = TestEnv::new();
    env.pipeline(&pipeline(&server, SHOP));
    env.load().expect_code(0);
    let told = plan(&env, &["--full-refresh", "--resource", "videos"]);
    assert_eq!(told["resources"].as_array().map(Vec::len), Some(1));
    let videos = resource(&told, "videos");
    assert_eq!(videos["cursor"]["stored"], Value::Null);
    assert_eq!(videos["tables"][0]["action"], "replace");
    assert!(told_address(&videos["requests"][0]).1.iter().all(|(name, _)| name != "since"), "{videos}");
}

#[test]
fn windows_and_partitions_are_counted() {
    let (_, server) = shop();
    let env = TestEnv::new();
    env.write("pipelines/teams.csv", "team\na\nb\n");
    env.pipeline(&pipeline(
        &server,
        r#"
[resources.visits]
path = "teams/{{ partition.team }}/{{ partition.kind }}"
partitions = [{ file = "teams.csv" }, { name = "kind", values = ["x", "y", "z"] }]
[resources.visits.incremental]
cursor_path = "at"
initial_value = "2020-01-01"
end_value = "2020-01-29"
window = "7d"
start_param = "from"
end_param = "to"
"#,
    ));
    let told = plan(&env, &[]);
    let visits = resource(&told, "visits");
    assert_eq!(visits["runs_for"]["partitions"], 6);
    assert_eq!(visits["cursor"]["windows"], 4);
    assert_eq!(visits["cursor"]["end"], "2020-01-29");
    let requests = visits["requests"].as_array().expect("requests");
    let paths: Vec<_> = requests.iter().map(|told| told_address(told).0).collect();
    assert_eq!(paths, ["/teams/a/x", "/teams/a/y", "/teams/a/z"].map(|path| server.url(path)));
    assert_eq!(told_address(&requests[0]).1, [("from", "2020-01-01"), ("to", "2020-01-08")].map(owned));
    env.run(&["plan", "api"]).expect_code(0).expect_stdout(&["for 6 partitions", "in 4 windows", "… and so on"]);
}

#[test]
fn secrets_are_not_needed_and_never_shown() {
    let (_, server) = shop();
    let mut env = TestEnv::new();
    env.pipeline(&pipeline(
        &server,
        r#"
[resources.videos]
auth = { type = "bearer", token = "${SHOP_TOKEN}" }
headers = { X-Key = "${SHOP_KEY}" }
params = { key = "${SHOP_KEY}" }
method = "POST"
json = { query = "all", key = "${SHOP_KEY}" }
"#,
    ));
    let told = plan(&env, &[]);
    assert_eq!(told["missing_variables"], json!(["SHOP_TOKEN", "SHOP_KEY"]));
    env.set("SHOP_TOKEN", "swordfish-1");
    env.set("SHOP_KEY", "swordfish-2");
    for outcome in [env.run(&["plan", "api"]), env.run(&["plan", "api", "--output", "json"])] {
        let outcome =
            outcome.expect_code(0).expect_stdout(&["key=***", "X-Key", "bearer", "\"all\"".trim_matches('"')]);
        assert!(!outcome.stdout.contains("swordfish"), "{}", outcome.transcript());
    }
    assert_eq!(server.requests().len(), 0);
}

#[test]
fn it_waits_for_a_warehouse_that_is_written_to_and_then_says_who_holds_it() {
    let api = Api::new(100);
    api.put("/videos", [json!({ "id": 1, "updated_at": "2026-03-01T10:00:00Z" })]);
    let served = api.clone();
    let slow = Server::start(move |request| served.reply(request).delayed(Duration::from_secs(3)));
    let env = TestEnv::new();
    env.pipeline(&pipeline(&slow, "[resources.videos]\nprimary_key = \"id\"\npaginator = \"single_page\"\n"));
    env.write("config.toml", "[run]\nlock_wait = \"200ms\"\n");
    let running = env.start(&["run", "api"]);
    while slow.requests().is_empty() {
        std::thread::sleep(Duration::from_millis(10));
    }
    env.run(&["plan", "api"]).expect_code(4).expect_stderr(&["the warehouse is open in another process", "held by"]);
    env.write("config.toml", "[run]\nlock_wait = \"30s\"\n");
    let told = plan(&env, &[]);
    assert_eq!(resource(&told, "videos")["tables"][0]["rows"], 1);
    running.wait().expect_code(0);
}

#[test]
fn what_a_killed_run_committed_is_seen_and_left_as_it_is() {
    let served = Api::new(1);
    served.put("/videos", (1..=50).map(|id| json!({ "id": id, "updated_at": format!("2026-03-01T10:00:{id:02}Z") })));
    let api = served.clone();
    let server = Server::start(move |request| match request.param("offset") {
        Some(offset) if offset > "2" => Reply::closed().delayed(Duration::from_secs(20)),
        _ => api.reply(request),
    });
    let env = TestEnv::new();
    env.pipeline(&pipeline(
        &server,
        "[resources.videos]\nprimary_key = \"id\"\npaginator = { type = \"offset\", limit = 1 }\n\
         [resources.users]\npath = \"videos\"\nprimary_key = \"id\"\npaginator = \"single_page\"\n",
    ));
    let running = env.start(&["run", "api"]);
    while server.requests().len() < 4 {
        std::thread::sleep(Duration::from_millis(10));
    }
    std::thread::sleep(Duration::from_millis(300));
    running.kill();
    let before = files(&env);
    let told = plan(&env, &[]);
    assert_eq!(files(&env), before, "nothing is written");
    assert_eq!(resource(&told, "users")["tables"][0]["rows"], 1, "{told:#}");
}

#[test]
fn mistakes_are_told_as_run_tells_them() {
    let (_, server) = shop();
    let env = TestEnv::new();
    env.pipeline(&pipeline(&server, SHOP));
    env.run(&["plan", "apu"]).expect_code(2).expect_stderr(&["did you mean `api`"]);
    env.run(&["plan", "api", "--resource", "vidoes"]).expect_code(2).expect_stderr(&["did you mean `videos`"]);
    env.write("warehouse.duckdb", &"id,title\n".repeat(2000));
    env.run(&["plan", "api"]).expect_code(1).expect_stderr(&["the file is not a DuckDB database"]);
}
