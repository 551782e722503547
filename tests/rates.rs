//! Rates that a file sets, by the server's own log of arrivals.

use crate::support::{Reply, Request, Server, TestEnv, pipeline_with_client};
use serde_json::json;
use std::time::Duration;

/// The most requests that arrived in any stretch of a length.
fn most_in_any(requests: &[Request], stretch: Duration) -> usize {
    let mut arrivals: Vec<_> = requests.iter().map(|r| r.at).collect();
    arrivals.sort();
    let within = |start: usize| arrivals[start..].iter().take_while(|at| **at - arrivals[start] < stretch).count();
    (0..arrivals.len()).map(within).max().unwrap_or(0)
}

#[test]
fn no_second_has_more_requests_than_the_rate_allows_whatever_they_are_for() {
    let server = Server::start(|request| match request.path.as_str() {
        "/token" => Reply::json(json!({ "access_token": "short-lived-token-1", "expires_in": 3600 })),
        "/videos" => Reply::json((0..30).map(|id| json!({ "id": id })).collect::<Vec<_>>()),
        _ if request.number % 5 == 0 => Reply::status(500),
        path => Reply::json(json!([{ "id": path }])),
    });
    let mut env = TestEnv::new();
    env.set("SECRET", "client-secret-abcdef");
    let client = "concurrency = 16\nrate_limit = [\"20/second\"]\nauth = { type = \"oauth2_client_credentials\", \
                  access_token_url = \"token\", client_id = \"me\", client_secret = \"${SECRET}\" }\n";
    let resources = "[resources.videos]\nprimary_key = \"id\"\npaginator = \"single_page\"\n\
                     [resources.comments]\nparent = \"videos\"\npath = \"videos/{{ parent.id }}/comments\"\n\
                     primary_key = \"id\"\npaginator = \"single_page\"\nretry = { max_attempts = 20 }\n";
    env.pipeline(&pipeline_with_client(&server, client, resources));
    let outcome = env.load().expect_code(0);
    assert_eq!(env.warehouse().count("api.comments"), 30);
    let requests = server.requests();
    let retries = outcome.resource("comments")["retries"].as_u64().unwrap();
    assert!(retries >= 5, "retries are counted too: {retries}");
    assert_eq!(requests.len() as u64, 1 + 1 + 30 + retries, "the token, the parents, the children and the retries");
    let most = most_in_any(&requests, Duration::from_secs(1));
    assert!(most <= 20, "{most} of {} requests within a second", requests.len());
}

#[test]
fn a_resource_keeps_a_rate_of_its_own_and_holds_nobody_else_up() {
    let server = Server::start(|request| {
        let offset = request.number_param("offset", 0);
        Reply::json((offset..3.min(offset + 1)).map(|id| json!({ "id": id })).collect::<Vec<_>>())
    });
    let env = TestEnv::new();
    let paginator = "paginator = { type = \"offset\", limit = 1 }\n";
    let resources = format!(
        "[resource_defaults]\n{paginator}[resources.slow]\nrate_limit = [\"1/400ms\"]\n[resources.fast]\n[resources.swift]\n"
    );
    // One request at a time: those that wait for their window may not take the others' place.
    env.pipeline(&pipeline_with_client(&server, "concurrency = 1\nrate_limit = \"50/second\"\n", &resources));
    env.load().expect_code(0);
    let slow = server.requests_for("/slow");
    assert_eq!(slow.len(), 4);
    assert_eq!(most_in_any(&slow, Duration::from_millis(400)), 1);
    for other in ["/fast", "/swift"] {
        let last = server.requests_for(other).last().map(|r| r.number);
        assert!(last < Some(slow[3].number), "{other} had to wait for the slow one");
    }
}

#[test]
fn the_rate_of_a_resource_is_known_to_the_next_run() {
    let server = Server::start(|_| Reply::json(json!([{ "id": 1 }])));
    let env = TestEnv::new();
    let resources = "[resource_defaults]\npaginator = \"single_page\"\nrate_limit = \"2/1500ms\"\n\
                     [resources.a]\n[resources.b]\n";
    env.pipeline(&pipeline_with_client(&server, "", resources));
    for _ in 0..3 {
        env.load().expect_code(0);
    }
    // Each has windows of its own: two requests of one are allowed whatever the other did.
    for path in ["/a", "/b"] {
        assert_eq!(most_in_any(&server.requests_for(path), Duration::from_millis(1500)), 2, "{path}");
    }
    assert!(env.path("state/api@a.limits").exists() && env.path("state/api@b.limits").exists());
}

#[test]
fn a_replay_waits_for_no_rate_of_a_resource() {
    let server = Server::start(|_| Reply::json(json!([{ "id": 1 }])));
    let env = TestEnv::new();
    let resources = "[resources.a]\npaginator = \"single_page\"\nrate_limit = \"1/hour\"\n";
    env.pipeline(&pipeline_with_client(&server, "", resources));
    env.load_into(&env.warehouse(), &["--record", "tape"]).expect_code(0);
    // A second request within the hour would wait for an hour.
    env.load_into(&env.warehouse(), &["--replay", "tape", "--full-refresh"]).expect_code(0);
    assert_eq!((server.requests().len(), env.warehouse().count("api.a")), (1, 1));
}
