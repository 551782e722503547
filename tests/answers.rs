//! What answers mean: `response_actions` and `retry`.

use crate::support::{Reply, Server, TestEnv, pipeline, pipeline_with_client};
use serde_json::json;
use std::time::Duration;

const VIDEOS: &str = "[resources.videos]\nprimary_key = \"id\"\npaginator = { type = \"offset\", limit = 100 }\n";

const SELECTED: &str = "[resources.videos]\ndata_selector = \"data\"\npaginator = \"single_page\"\n";

const BODY: &str = "{\"state\": \"fine\", \"code\": 7, \"none\": null, \"data\": [{\"id\": 1}]}";

/// A server that answers every request with a status and [`BODY`].
fn server_of(status: u16) -> Server {
    Server::start(move |_| Reply::new(status, "application/json", BODY))
}

#[test]
fn response_actions_say_what_an_answer_means() {
    let cases: &[(&str, i32, usize)] = &[
        ("{ status = 404, action = \"ignore\" }", 0, 1),
        ("{ status = 404, action = \"fail\" }", 1, 1),
        ("{ status = 404, action = \"retry\" }", 1, 3),
        ("{ status = 404, body_contains = \"status 404\", action = \"ignore\" }", 0, 1),
        ("{ status = 404, body_contains = \"something else\", action = \"ignore\" }", 1, 1),
        ("{ status = 404, action = \"end\" }", 0, 1),
    ];
    for (action, code, request_count) in cases {
        let server = Server::start(|_| Reply::status(404));
        let env = TestEnv::new();
        env.pipeline(&pipeline(&server, &format!("{VIDEOS}response_actions = [{action}]\n")));
        env.load().expect_code(*code);
        assert_eq!(server.requests().len(), *request_count, "{action}");
    }
}

#[test]
fn an_accepted_answer_is_read_whatever_its_status() {
    let cases: &[(u16, &str)] = &[
        (404, "{ status = [403, 404], action = \"accept\" }"),
        (302, "{ status = \"3xx\", action = \"accept\" }"),
        (401, "{ status = [\"4xx\", \"5xx\"], action = \"accept\" }"),
        (
            500,
            "{ path = \"state\", in = [\"good\", \"fine\"], action = \"accept\" }, \
             { status = [\"4xx\", 500], action = \"fail\" }",
        ),
    ];
    for (status, actions) in cases {
        let server = server_of(*status);
        let env = TestEnv::new();
        env.pipeline(&pipeline(&server, &format!("{SELECTED}response_actions = [{actions}]\n")));
        for warehouse in env.destinations() {
            env.load_into(&warehouse, &[]).expect_code(0);
            assert_eq!(warehouse.count("api.videos"), 1, "{actions}");
        }
        assert_eq!(server.requests().len(), 2, "{actions}");
    }
}

#[test]
fn an_answer_with_200_may_be_a_failure_and_the_file_says_why() {
    let cases: &[(&str, i32)] = &[
        ("path = \"code\", not_equals = 0", 1),
        ("path = \"code\", not_equals = 7", 0),
        ("path = \"code\", in = [6, 7]", 1),
        ("path = \"state\", in = [\"bad\"]", 0),
        // What is not there is neither equal nor different.
        ("path = \"errors\", not_equals = 0", 0),
        ("path = \"none\", not_equals = 0", 0),
        ("status = \"2xx\", header = \"X-State\", not_equals = \"ok\"", 0),
    ];
    for (condition, code) in cases {
        let server = server_of(200);
        let env = TestEnv::new();
        let action = format!("{{ {condition}, action = \"fail\", message = \"ask the owner of the API\" }}");
        env.pipeline(&pipeline(&server, &format!("{SELECTED}response_actions = [{action}]\n")));
        let outcome = env.load().expect_code(*code);
        assert_eq!(outcome.stderr.contains("ask the owner of the API"), *code == 1, "{}", outcome.transcript());
        assert_eq!(server.requests().len(), 1, "a failure is not tried again");
    }
}

#[test]
fn the_report_says_what_the_file_says_of_an_end() {
    for (action, end) in [("ignore", "ignored (404: the archive is empty)"), ("end", "end (404: the archive is empty)")]
    {
        let server = server_of(404);
        let env = TestEnv::new();
        let entry = format!("{{ status = 404, action = \"{action}\", message = \"the archive is empty\" }}");
        env.pipeline(&pipeline(&server, &format!("{SELECTED}response_actions = [{entry}]\n")));
        let outcome = env.load().expect_code(0);
        assert_eq!(outcome.resource("videos")["end"], json!(end));
    }
}

#[test]
fn an_entry_has_tries_and_a_wait_of_its_own() {
    // More tries than `retry` allows, and a 401 that static credentials would not survive.
    for (action, status) in [("retry", 401), ("throttle", 400)] {
        let server = Server::start(move |request| match request.number {
            0..=4 => Reply::status(status),
            _ => Reply::json(json!({ "data": [{ "id": 1 }] })),
        });
        let mut env = TestEnv::new();
        env.set("TOKEN", "static-token-abcdef");
        let entry = |max| {
            let key = "auth = { type = \"bearer\", token = \"${TOKEN}\" }\n";
            let action = format!("action = \"{action}\", wait = \"20ms\", max_attempts = {max}");
            format!("{SELECTED}{key}response_actions = [{{ status = {status}, {action}, message = \"busy\" }}]\n")
        };
        env.pipeline(&pipeline(&server, &entry(6)));
        env.load().expect_code(0);
        assert_eq!(server.requests().len(), 6, "{action}");

        let server = server_of(status);
        env.pipeline(&pipeline(&server, &entry(2)));
        let outcome = env.load().expect_code(1);
        outcome.expect_stderr(&["tries: 2 (`max_attempts` of the entry of `response_actions`)", "message: busy"]);
        assert_eq!(server.requests().len(), 2, "{action}");
    }
}

#[test]
fn a_wait_that_a_header_of_its_own_names_is_waited() {
    for action in ["retry", "throttle"] {
        let server = Server::start(|request| match request.number {
            0 => Reply::status(420).header("X-Come-Back", "1").header("Retry-After", "600"),
            _ => Reply::json(json!({ "data": [{ "id": 1 }] })),
        });
        let env = TestEnv::new();
        let entry = format!("{{ status = 420, action = \"{action}\", wait_header = \"X-Come-Back\" }}");
        env.pipeline(&pipeline(&server, &format!("{SELECTED}response_actions = [{entry}]\n")));
        env.load().expect_code(0);
        let requests = server.requests();
        assert!(requests[1].at - requests[0].at >= Duration::from_millis(950), "{action}");
    }
}

#[test]
fn an_entry_about_401_wins_over_new_credentials() {
    for (action, code, request_count) in [("ignore", 0, 1), ("fail", 1, 1), ("retry", 1, 3)] {
        let server = Server::start(|request| match request.path.as_str() {
            "/token" => Reply::json(json!({ "access_token": "short-lived-token-1", "expires_in": 3600 })),
            _ => Reply::status(401),
        });
        let mut env = TestEnv::new();
        env.set("SECRET", "client-secret-abcdef");
        let auth = "auth = { type = \"oauth2_client_credentials\", access_token_url = \"token\", client_id = \"me\", \
                    client_secret = \"${SECRET}\" }\n";
        let entry = format!("response_actions = [{{ status = 401, action = \"{action}\" }}]\n");
        env.pipeline(&pipeline_with_client(&server, auth, &format!("{SELECTED}{entry}")));
        env.load().expect_code(code);
        assert_eq!(server.requests_for("/token").len(), 1, "{action}: the token is not renewed");
        assert_eq!(server.requests_for("/videos").len(), request_count, "{action}");
    }
}

#[test]
fn a_resource_has_a_retry_of_its_own() {
    let server = Server::start(|_| Reply::status(503));
    let env = TestEnv::new();
    let resources = "[resource_defaults]\nretry = { max_attempts = 4 }\n[resources.a]\n\
                     [resources.b]\nretry = { statuses = [500] }\n[resources.c]\nretry = { max_attempts = 1 }\n";
    env.pipeline(&pipeline(&server, resources));
    env.load().expect_code(1);
    for (path, count) in [("/a", 4), ("/b", 1), ("/c", 1)] {
        assert_eq!(server.requests_for(path).len(), count, "{path}");
    }
}

#[test]
fn a_known_parent_whose_404_is_a_failure_is_not_passed_over() {
    let server = Server::start(|request| match (request.path.as_str(), request.param("gone")) {
        ("/videos", _) => Reply::json(json!([{ "id": 1 }])),
        (_, Some(_)) => Reply::status(404),
        _ => Reply::json(json!([{ "id": 7 }])),
    });
    let text = |keys: &str| {
        let child = format!(
            "[resources.comments]\nparent = \"videos\"\npath = \"videos/{{{{ parent.id }}}}/comments\"\n{keys}"
        );
        pipeline(&server, &format!("[resources.videos]\nprimary_key = \"id\"\n{child}"))
    };
    for (action, code) in [("", 0), ("response_actions = [{ status = 404, action = \"fail\" }]\n", 1)] {
        let env = TestEnv::new();
        env.pipeline(&text(""));
        env.load().expect_code(0);
        env.pipeline(&text(&format!("params = {{ gone = 1 }}\n{action}")));
        env.load_into(&env.warehouse(), &["--resource", "comments"]).expect_code(code);
    }
}
