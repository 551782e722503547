//! The bundled `pipelines/mindstamp.toml`, against servers that follow one document or the other.

use crate::support::{Api, Reply, Request, Server, TestEnv, Warehouse};
use serde_json::{Value, json};

const PIPELINE: &str = include_str!("../pipelines/mindstamp.toml");
const TOKEN: &str = "tuG4rqqTS_Df7Ma0W73SrzTATkSyH-D7s7NAU2JHPGQ";

fn record(id: u64, parent: &str) -> Value {
    json!({
        "id": format!("id{id}"),
        "title": if id.is_multiple_of(4) { Value::Null } else { json!(format!("title {id}")) },
        parent: "id1",
        "viewer": { "name": null, "location": { "city": "Porto" } },
        "answers": [{ "text": "yes" }, { "text": null }],
        "updated_at": if id % 50 == 9 { Value::Null } else { json!(format!("2026-01-02T03:{:02}:{:02}Z", id / 60, id % 60)) },
    })
}

fn lists() -> Api {
    let api = Api::new(100);
    api.put("/videos", (0..3).map(|id| record(id, "owner")));
    api.put("/viewers", (0..3).map(|id| record(id, "team")));
    api.put("/views", (0..120).map(|id| record(id, "video_id")));
    api.put("/interactions", (0..210).map(|id| record(id, "view_id")));
    api.put("/plink", (0..5).map(|id| record(id, "video_id")));
    api
}

/// Answers what is not one of the four big lists.
fn rest(request: &Request) -> Reply {
    let segments: Vec<&str> = request.path.trim_matches('/').split('/').collect();
    match segments.as_slice() {
        ["user", "me"] => Reply::json(json!({ "id": "me", "email": null, "teams": [{ "id": 1 }, { "id": 2 }] })),
        ["views", "summary", ..] => Reply::json(json!({ "total": 250, "videos": [{ "id": "id1", "views": 3 }] })),
        ["videos", "id1", "views"] => Reply::json(page(request, 130)),
        ["interactions", _, "responses"] => Reply::json(page(request, 1)),
        [_, _, "views" | "interactions"] => Reply::json(page(request, 2)),
        _ => Reply::status(404),
    }
}

fn page(request: &Request, count: usize) -> Vec<Value> {
    (request.number_param("offset", 0)..count).take(100).map(|id| record(id as u64, "parent_id")).collect()
}

/// What the pipeline needs to load from a server.
pub(crate) fn variables(server: &Server) -> Vec<(&'static str, String)> {
    vec![
        ("MINDSTAMP_TOKEN", TOKEN.to_owned()),
        ("MINDSTAMP_BASE_URL", server.url("/")),
        ("MINDSTAMP_PER_MINUTE", "100000".to_owned()),
        ("MINDSTAMP_PER_HOUR", "100000".to_owned()),
    ]
}

/// A small account: the server from which the tape of the pipeline was recorded.
pub(crate) fn sample() -> Server {
    let api = Api::new(100);
    api.put("/videos", (0..2).map(|id| record(id, "owner")));
    api.put("/viewers", (0..2).map(|id| record(id, "team")));
    api.put("/views", (0..3).map(|id| record(id, "video_id")));
    api.put("/interactions", (0..4).map(|id| record(id, "view_id")));
    api.put("/plink", (0..2).map(|id| record(id, "video_id")));
    Server::start(move |request| match request.number {
        3 => Reply::status(503).header("Retry-After", "0"),
        _ => api.page(request).map_or_else(|| small_rest(request), Reply::json),
    })
}

/// As [`rest`], with a nested list that fits on a page.
fn small_rest(request: &Request) -> Reply {
    match request.path.as_str() {
        "/videos/id1/views" => Reply::json(page(request, 3)),
        _ => rest(request),
    }
}

fn env_for(server: &Server) -> TestEnv {
    let mut env = TestEnv::new();
    env.write("pipelines/mindstamp.toml", PIPELINE);
    for (name, value) in variables(server) {
        env.set(name, value);
    }
    env
}

fn assert_complete(warehouse: &Warehouse) {
    let counts = [
        ("videos", 3),
        ("viewers", 3),
        ("views", 120),
        ("interactions", 210),
        ("interactions__answers", 420),
        ("plinks", 5),
        ("user", 1),
        ("user__teams", 2),
        ("views_summary", 1),
        ("views_summary_month", 1),
        ("views_summary_week", 1),
        ("video_views", 134),
        ("video_interactions", 6),
        ("viewer_views", 6),
        ("viewer_interactions", 6),
        ("view_interactions", 240),
        ("interaction_responses", 210),
    ];
    for (table, count) in counts {
        assert_eq!(warehouse.count(&format!("mindstamp.{table}")), count, "{table}");
    }
}

#[test]
fn everything_is_loaded_when_lists_page_as_mindstamp_says() {
    let api = lists();
    let server = Server::start(move |request| {
        assert_eq!(request.header("authorization"), Some(format!("Bearer {TOKEN}").as_str()));
        if request.number % 200 == 3 {
            return Reply::status(503).header("Retry-After", "0");
        }
        api.page(request).map_or_else(|| rest(request), Reply::json)
    });
    let env = env_for(&server);
    for warehouse in env.destinations() {
        env.run(&["run", "mindstamp", "--destination", &warehouse.flag()]).expect_code(0);
        assert_complete(&warehouse);
        server.forget();
        env.run(&["run", "mindstamp", "--destination", &warehouse.flag()]).expect_code(0);
        assert_complete(&warehouse);
        let since = |path: &str| {
            server.requests_for(path).iter().map(|r| r.param("since").map(str::to_owned)).collect::<Vec<_>>()
        };
        assert!(
            since("/interactions").iter().all(|s| s.as_deref() == Some("2026-01-02T03:03:28Z")),
            "{:?}",
            since("/interactions")
        );
        assert!(since("/videos/id1/views").iter().all(Option::is_none), "nested lists take no `since`");
        server.forget();
    }
}

#[test]
fn everything_is_loaded_when_videos_and_viewers_ignore_offset_as_the_guide_says() {
    let api = lists();
    let server = Server::start(move |request| {
        let pages = request.path == "/views" || request.path == "/interactions";
        let mut request = request.clone();
        if !pages {
            request.params.retain(|(name, _)| name != "offset");
        }
        api.page(&request).map_or_else(|| rest(&request), Reply::json)
    });
    let env = env_for(&server);
    // A nested list of 130 that pages by 100 and ignores the offset can't be read by anybody; the others can.
    env.run(&[
        "run",
        "mindstamp",
        "--resource",
        "videos",
        "--resource",
        "viewers",
        "--resource",
        "plinks",
        "--resource",
        "views",
    ])
    .expect_code(0);
    for (table, count) in [("videos", 3), ("viewers", 3), ("plinks", 5), ("views", 120)] {
        assert_eq!(env.warehouse().count(&format!("mindstamp.{table}")), count, "{table}");
    }
}

#[test]
fn the_token_is_asked_for_by_name_before_anything_is_sent() {
    let server = Server::start(rest);
    let mut env = TestEnv::new();
    env.write("pipelines/mindstamp.toml", PIPELINE);
    env.set("MINDSTAMP_BASE_URL", server.url("/"));
    env.run(&["run", "mindstamp"]).expect_code(2).expect_stderr(&["MINDSTAMP_TOKEN", "mindstamp.toml:"]);
    assert_eq!(server.requests().len(), 0);
    env.run(&["check", "mindstamp"]).expect_code(0);
}
