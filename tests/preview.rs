//! `pintail preview` and `pintail check --connect`: real requests, and nothing stored.

use crate::support::{Api, Reply, Server, TestEnv, pipeline};
use serde_json::{Value, json};

fn shop() -> (Api, Server) {
    let api = Api::new(2);
    let at = |day: u64| format!("2026-03-{day:02}T10:00:00Z");
    let price = |id: u64| if id == 2 { Value::Null } else { json!(0.5) };
    let videos = (1..=5)
        .map(|id| json!({ "id": id, "title": format!("Video {id}"), "price": price(id), "at": at(id), "tags": ["a"] }));
    api.put("/videos", videos);
    api.put("/videos/1/comments", []);
    api.put("/videos/2/comments", [json!({ "id": 7, "text": "good" })]);
    let served = api.clone();
    (api, Server::start(move |request| served.reply(request)))
}

const SHOP: &str = r#"
[resources.videos]
primary_key = "id"
paginator = { type = "offset", limit = 2 }

[resources.comments]
parent = "videos"
path = "videos/{{ parent.id }}/comments"
include_from_parent = ["title"]
paginator = "single_page"
"#;

fn preview(env: &TestEnv, args: &[&str]) -> Value {
    let outcome = env.run(&[&["preview", "--output", "json"], args].concat()).expect_code(0);
    serde_json::from_str(&outcome.stdout).unwrap_or_else(|e| panic!("{e}\n{}", outcome.transcript()))
}

/// What a run would have left.
fn nothing_is_stored(env: &TestEnv) {
    for name in ["warehouse.duckdb", "state", "files", ".pintail"] {
        assert!(!env.path(name).exists(), "{name} is there");
    }
}

#[test]
fn first_rows_are_shown_with_their_types_and_child_tables_and_nothing_is_stored() {
    let (_, server) = shop();
    let env = TestEnv::new();
    env.pipeline(&pipeline(&server, SHOP));
    let found = preview(&env, &["api.videos", "--limit", "3"]);
    assert_eq!(server.requests().len(), 2, "as many pages as the rows need");
    let videos = &found["tables"][0];
    assert_eq!(videos["rows"].as_array().map(Vec::len), Some(3));
    assert_eq!(videos["rows"][1], json!({ "id": 2, "title": "Video 2", "price": null, "at": "2026-03-02T10:00:00Z" }));
    let column = |name: &str| {
        let columns = videos["columns"].as_array().expect("columns");
        columns.iter().find(|c| c["name"] == name).unwrap_or_else(|| panic!("no {name}")).clone()
    };
    assert_eq!((column("id")["type"].as_str(), column("id")["nulls"].as_u64()), (Some("BIGINT"), Some(0)));
    assert_eq!((column("price")["type"].as_str(), column("price")["nulls"].as_u64()), (Some("DOUBLE"), Some(1)));
    assert_eq!(column("price")["example"], "0.5");
    assert_eq!(found["tables"][1]["name"], "videos__tags");
    assert_eq!(found["data_selector"], "$");
    assert_eq!(found["end"], Value::Null, "there is more");
    nothing_is_stored(&env);
}

#[test]
fn children_are_found_through_the_first_parents_that_have_some() {
    let (_, server) = shop();
    let env = TestEnv::new();
    env.pipeline(&pipeline(&server, SHOP));
    let found = preview(&env, &["api.comments", "--limit", "1"]);
    assert_eq!(found["tables"][0]["rows"], json!([{ "id": 7, "text": "good", "videos_title": "Video 2" }]));
    assert!(server.requests_for("/videos/3/comments").is_empty(), "no more parents are asked for");
    nothing_is_stored(&env);
}

#[test]
fn a_terminal_gets_tables_that_fit_and_names_of_columns_that_do_not() {
    let wide: serde_json::Map<String, Value> =
        (0..30).map(|n| (format!("a_long_field_{n}"), json!(format!("value {n}")))).collect();
    let server = Server::start(move |_| Reply::json(json!({ "items": [wide], "next": null })));
    let env = TestEnv::new();
    env.pipeline(&pipeline(&server, "[resources.things]\n"));
    let outcome = env.run(&["preview", "api.things"]).expect_code(0);
    let outcome = outcome.expect_stdout(&[
        "GET http://",
        "records at items",
        "format json (application/json)",
        "api.things: 1 row",
        "more columns: a_long_field_",
        "column           type     nulls  example",
        "a_long_field_29  VARCHAR   none  value 29",
    ]);
    let is_too_wide = |line: &&str| line.chars().count() > 80;
    assert_eq!(outcome.stdout.lines().find(is_too_wide), None, "{}", outcome.transcript());
}

#[test]
fn a_tape_stands_in_for_the_network() {
    let (_, server) = shop();
    let env = TestEnv::new();
    env.pipeline(&pipeline(&server, SHOP));
    env.run(&["run", "api", "--record", "tape", "--resource", "videos"]).expect_code(0);
    let requests = server.requests().len();
    let found = preview(&env, &["api.videos", "--replay", "tape"]);
    assert_eq!(found["tables"][0]["row_count"], 5);
    assert_eq!(server.requests().len(), requests);
}

#[test]
fn a_running_load_does_not_stand_in_its_way() {
    let (_, server) = shop();
    let env = TestEnv::new();
    env.pipeline(&pipeline(&server, SHOP));
    env.write("warehouse.duckdb", "held by somebody, or broken");
    preview(&env, &["api.videos"]);
    assert_eq!(env.read("warehouse.duckdb"), "held by somebody, or broken");
}

#[test]
fn what_is_wrong_with_a_preview_is_said() {
    let server = Server::start(|_| Reply::status(401));
    let env = TestEnv::new();
    env.pipeline(&pipeline(&server, SHOP));
    env.run(&["preview", "api.videos"]).expect_code(1).expect_stderr(&["the server answered 401 Unauthorized"]);
    env.run(&["preview", "api"]).expect_code(2).expect_stderr(&["which resource?", "videos, comments", "`api.videos`"]);
    env.run(&["preview", "api.vidoes"]).expect_code(2).expect_stderr(&["did you mean `videos`?"]);
    env.run(&["preview", "apu.videos"]).expect_code(2).expect_stderr(&["there is no pipeline `apu`"]);
}

#[test]
fn connect_asks_once_for_each_root_resource_and_says_what_came() {
    let (_, server) = shop();
    let env = TestEnv::new();
    env.pipeline(&pipeline(&server, &format!("{SHOP}[resources.orders]\npath = \"nowhere\"\n")));
    let outcome = env.run(&["check", "api", "--connect"]).expect_code(1);
    let outcome = outcome.expect_stdout(&[
        "videos    ok: 200, 2 records, at $, perhaps more",
        "orders    failed: the server answered 404",
    ]);
    let outcome = outcome.expect_stderr(&["error: orders: the server answered 404", "check `base_url`"]);
    assert!(!outcome.stdout.contains("comments  ok"), "children are not asked for\n{}", outcome.transcript());
    assert_eq!(server.requests().len(), 2);
    nothing_is_stored(&env);
}

#[test]
fn connect_needs_the_secrets_and_holds_answers_against_expect() {
    let (_, server) = shop();
    let mut env = TestEnv::new();
    let resources = format!("{SHOP}expect = {{ min_records = 1 }}\n").replace(
        "\n[resources.comments]",
        "auth = { type = \"bearer\", token = \"${SHOP_TOKEN}\" }\n[resources.comments]",
    );
    env.pipeline(&pipeline(&server, &resources));
    env.run(&["check", "api"]).expect_code(0);
    env.run(&["check", "api", "--connect"]).expect_code(2).expect_stderr(&["SHOP_TOKEN"]);
    assert_eq!(server.requests().len(), 0);
    env.set("SHOP_TOKEN", "swordfish");
    let outcome = env.run(&["check", "api", "--connect"]).expect_code(0);
    assert_eq!(server.requests()[0].header("authorization"), Some("Bearer swordfish"));
    assert!(!format!("{}{}", outcome.stdout, outcome.stderr).contains("swordfish"));
    env.pipeline(&pipeline(&server, "[resources.none]\npath = \"videos/1/comments\"\nexpect = { min_records = 1 }\n"));
    env.run(&["check", "api", "--connect"]).expect_code(1).expect_stderr(&["fewer than `expect` says"]);
}
