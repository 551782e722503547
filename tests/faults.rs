//! Bad answers: survived or named.

use crate::support::{Reply, Request, Server, TestEnv, pipeline, pipeline_with_client};
use serde_json::{Value, json};
use std::time::{Duration, Instant};

const VIDEOS: &str = "[resources.videos]\nprimary_key = \"id\"\npaginator = { type = \"offset\", limit = 100 }\n";

type Fault = fn(&Request) -> Reply;

fn page(request: &Request) -> Reply {
    let offset = request.number_param("offset", 0);
    let records: Vec<Value> =
        (offset..250.min(offset + 100)).map(|id| json!({ "id": id, "title": "t".repeat(50) })).collect();
    Reply::json(records)
}

/// A server that answers the second request with something else, and all others well.
fn server_with(fault: Fault) -> Server {
    Server::start(move |request| if request.number == 1 { fault(request) } else { page(request) })
}

#[test]
fn passing_faults_are_survived_without_losing_or_doubling_a_row() {
    let faults: &[(&str, Fault)] = &[
        ("500", |_| Reply::status(500)),
        ("502 with an HTML page", |_| Reply::new(502, "text/html", "<html>Bad Gateway</html>")),
        ("429 with seconds", |_| Reply::status(429).header("Retry-After", "1")),
        ("429 with nothing", |_| Reply::status(429)),
        ("408", |_| Reply::status(408)),
        ("closed without an answer", |_| Reply::closed()),
        ("reset", |_| Reply::reset()),
        ("truncated in the head of the body", |r| page(r).truncated(1)),
        ("truncated in the middle", |r| page(r).truncated(2_000)),
        ("truncated between chunks", |r| page(r).chunked().truncated(2_000)),
        ("a gzip body that is none", |r| page(r).header("Content-Encoding", "gzip")),
    ];
    for (name, fault) in faults {
        let server = server_with(*fault);
        let env = TestEnv::new();
        env.pipeline(&pipeline(&server, VIDEOS));
        let outcome = env.load().expect_code(0);
        let counts = env.warehouse().query("SELECT count(*), count(DISTINCT id) FROM api.videos");
        assert_eq!(counts, [["250", "250"]], "{name}");
        assert_eq!(server.requests().len(), 5, "{name}: one more than four");
        let report = outcome.resource("videos");
        assert_eq!((&report["requests"], &report["records"]), (&json!(5), &json!(250)), "{name}");
    }
}

#[test]
fn a_body_in_chunks_is_as_good_as_any() {
    let server = Server::start(|request| page(request).chunked());
    let env = TestEnv::new();
    env.pipeline(&pipeline(&server, VIDEOS));
    env.load().expect_code(0);
    assert_eq!(env.warehouse().count("api.videos"), 250);
}

#[test]
fn a_throttle_waits_as_told_and_counts_as_no_attempt() {
    // More refusals than attempts: none of them may count.
    let server = Server::start(|request| match request.number {
        1..=4 => Reply::status(503).header("Retry-After", if request.number == 1 { "1" } else { "0" }),
        _ => page(request),
    });
    let env = TestEnv::new();
    let actions = "response_actions = [{ status = 503, action = \"throttle\" }]";
    env.pipeline(&pipeline_with_client(&server, actions, VIDEOS));
    let outcome = env.load().expect_code(0);
    let requests = server.requests();
    let waited = requests[2].at - requests[1].at;
    assert!(waited >= Duration::from_millis(950), "waited only {waited:?}");
    assert_eq!(env.warehouse().count("api.videos"), 250);
    let report = outcome.resource("videos");
    assert!(report["throttled_ms"].as_u64() >= Some(900), "{report}");
}

#[test]
fn a_wait_longer_than_max_wait_fails_at_once() {
    let server = Server::start(|_| Reply::status(429).header("Retry-After", "86400"));
    let env = TestEnv::new();
    env.pipeline(&pipeline(&server, VIDEOS));
    let started = Instant::now();
    env.load().expect_code(1).expect_stderr(&["429"]);
    assert!(started.elapsed() < Duration::from_secs(30));
    assert_eq!(server.requests().len(), 1);
}

#[test]
fn a_rate_limit_of_the_file_is_kept() {
    let server = Server::start(page);
    let env = TestEnv::new();
    env.pipeline(&pipeline_with_client(&server, "rate_limit = [\"2/second\", \"100/minute\"]", VIDEOS));
    env.load().expect_code(0);
    let requests = server.requests();
    // Four requests: in any second at most two.
    assert!(requests[2].at - requests[0].at >= Duration::from_millis(900), "the third came too early");
    assert!(requests[3].at - requests[1].at >= Duration::from_millis(900), "the fourth came too early");
}

/// An answer that ends the resource, how often it is asked for, and what the error must say beside URL and status.
type Fatal = (&'static str, Fault, usize, &'static [&'static str]);

// A body that can't be decoded may come whole the next time, so it is asked for as often as a status that may pass.
const FATAL: &[Fatal] = &[
    (
        "HTML with 200",
        |_| Reply::new(200, "text/html", "<!doctype html><title>Please log in</title>"),
        3,
        &["200", "<!doctype html>"],
    ),
    (
        "HTML that claims to be JSON",
        |_| Reply::new(200, "application/json", "<html>maintenance"),
        3,
        &["200", "<html>maintenance"],
    ),
    (
        "JSON that ends early",
        |_| Reply::new(200, "application/json", "[{\"id\": 1}, {\"id\""),
        3,
        &["200", "[{\"id\": 1}"],
    ),
    ("JSON with a trailing word", |_| Reply::new(200, "application/json", "[{\"id\": 1}] oops"), 3, &["200", "oops"]),
    ("an empty body", |_| Reply::new(200, "application/json", ""), 3, &["200", "empty"]),
    (
        "text that is not UTF-8",
        |_| Reply::new(200, "application/json", b"[{\"id\":1,\"t\":\"\xff\xfe\"}]".to_vec()),
        3,
        &["200", "UTF-8"],
    ),
    ("a bare number", |_| Reply::new(200, "application/json", "42"), 1, &["200"]),
    ("401", |_| Reply::status(401), 1, &["401", "status 401"]),
    ("403", |_| Reply::status(403), 1, &["403"]),
    ("404", |_| Reply::status(404), 1, &["404"]),
    ("422", |_| Reply::status(422), 1, &["422", "status 422"]),
    ("500 for ever", |_| Reply::status(500), 3, &["500", "status 500", "3"]),
    ("resets for ever", |_| Reply::reset(), 3, &[]),
];

#[test]
fn an_answer_that_can_not_be_used_is_named_with_url_status_and_body() {
    for (name, fault, request_count, says) in FATAL {
        let server = Server::start(*fault);
        let env = TestEnv::new();
        env.pipeline(&pipeline(&server, VIDEOS));
        let outcome = env.load().expect_code(1).expect_stderr(&[&server.url("/videos")]).expect_stderr(says);
        assert_eq!(server.requests().len(), *request_count, "{name}: requests");
        let report = outcome.report();
        assert_eq!(report["status"], "failed", "{name}");
        assert!(report["resources"]["videos"]["error"].is_string(), "{name}");
    }
}

#[test]
fn a_bad_second_run_harms_nothing_that_is_committed() {
    for number in 0..2 {
        for (name, fault, _, _) in FATAL {
            let good = Server::start(page);
            let env = TestEnv::new();
            let warehouse = &env.destinations()[number];
            let replaced = VIDEOS.replace("primary_key = \"id\"", "write_disposition = \"replace\"");
            env.pipeline(&pipeline(&good, &replaced));
            env.load_into(warehouse, &[]).expect_code(0);
            let before = warehouse.dump("api");
            let fault = *fault;
            let bad = Server::start(move |request| if request.number == 0 { page(request) } else { fault(request) });
            env.pipeline(&pipeline(&bad, &replaced));
            env.load_into(warehouse, &[]).expect_code(1);
            assert_eq!(warehouse.dump("api"), before, "{name}");
        }
    }
}

#[test]
fn one_failed_resource_does_not_take_the_others_with_it() {
    let server = Server::start(|request| match request.path.as_str() {
        "/videos" => page(request),
        _ => Reply::status(403),
    });
    let env = TestEnv::new();
    env.pipeline(&pipeline(&server, &format!("[resources.views]\npaginator = \"single_page\"\n{VIDEOS}")));
    let outcome = env.load().expect_code(1);
    assert_eq!(outcome.resource("views")["status"], "failed");
    assert_eq!(outcome.resource("videos")["status"], "completed");
    assert_eq!(env.warehouse().count("api.videos"), 250);
}

#[test]
fn a_server_that_falls_silent_is_asked_again_after_the_read_timeout() {
    let server = server_with(|request| page(request).stalled(Duration::from_secs(5)));
    let env = TestEnv::new();
    env.pipeline(&pipeline_with_client(&server, "timeout = { connect = \"2s\", read = \"500ms\" }", VIDEOS));
    env.load().expect_code(0);
    assert_eq!(env.warehouse().count("api.videos"), 250);
    assert_eq!(server.requests().len(), 5);
}

#[test]
fn a_slow_server_is_not_a_silent_one() {
    let server = server_with(|request| page(request).delayed(Duration::from_millis(300)));
    let env = TestEnv::new();
    env.pipeline(&pipeline_with_client(&server, "timeout = { read = \"5s\" }", VIDEOS));
    env.load().expect_code(0);
    assert_eq!(server.requests().len(), 4);
}

#[test]
fn nobody_listens() {
    let gone = Server::start(page).url("/");
    let env = TestEnv::new();
    let text = pipeline(&Server::start(page), VIDEOS);
    let current = text.split('"').nth(3).expect("the base URL").to_owned();
    env.pipeline(&text.replace(&current, &gone.replace("127.0.0.1", "127.0.0.2")));
    env.load().expect_code(1).expect_stderr(&["127.0.0.2"]);
}

#[test]
fn a_body_larger_than_the_limit_is_refused() {
    let server = Server::start(page);
    let env = TestEnv::new();
    env.pipeline(&pipeline_with_client(&server, "max_response_bytes = 1000", VIDEOS));
    env.load().expect_code(1).expect_stderr(&["max_response_bytes", &server.url("/videos")]);
}

#[test]
fn a_redirect_on_the_same_origin_is_followed_and_one_to_another_is_not() {
    let other = Server::start(page);
    let away = other.url("/videos");
    for (target, code) in [("/moved".to_owned(), 0), (away, 1)] {
        let server = Server::start(move |request| match request.path.as_str() {
            "/videos" => {
                let query = format!("?offset={}", request.number_param("offset", 0));
                Reply::status(302).header("Location", format!("{target}{query}"))
            }
            _ => page(request),
        });
        let env = TestEnv::new();
        env.pipeline(&pipeline(&server, VIDEOS));
        env.load().expect_code(code);
    }
    assert_eq!(other.requests().len(), 0, "nothing is sent to a host that the file does not allow");
}

#[test]
fn a_selector_that_matches_nothing_is_an_error_and_an_empty_list_is_none() {
    let cases: &[(&str, &str, i32)] = &[
        ("data.items", "{\"data\": {\"items\": [{\"id\": 1}]}}", 0),
        ("data.items", "{\"data\": {\"items\": []}}", 0),
        ("data.items", "{\"data\": {\"items\": null}}", 0),
        ("data.items", "{\"data\": {\"things\": [{\"id\": 1}]}}", 1),
        ("data.items", "{\"error\": \"later\"}", 1),
        ("$", "[{\"id\": 1}]", 0),
        ("$[*]", "[{\"id\": 1}]", 0),
        ("$.data[*]", "{\"data\": [{\"id\": 1}]}", 0),
    ];
    for (selector, body, code) in cases {
        let server = Server::start(move |_| Reply::new(200, "application/json", *body));
        let env = TestEnv::new();
        let resource = format!("[resources.videos]\ndata_selector = \"{selector}\"\npaginator = \"single_page\"\n");
        env.pipeline(&pipeline(&server, &resource));
        let outcome = env.load().expect_code(*code);
        if *code == 1 {
            assert!(outcome.stderr.contains(selector), "{}", outcome.transcript());
        }
    }
}

#[test]
fn two_candidates_for_the_records_are_listed_and_not_guessed() {
    let server = Server::start(|_| Reply::json(json!({ "cats": [{ "id": 1 }], "dogs": [{ "id": 2 }] })));
    let env = TestEnv::new();
    env.pipeline(&pipeline(&server, "[resources.pets]\npaginator = \"single_page\"\n"));
    env.load().expect_code(1).expect_stderr(&["cats", "dogs", "data_selector"]);
}

#[test]
fn records_of_a_failed_resource_are_accounted_for() {
    // Two good pages, then an error: a merge keeps what came, an append and a replace can't.
    let cases = [
        ("primary_key = \"id\"\nwrite_disposition = \"merge\"\n", 200, None),
        ("write_disposition = \"append\"\n", 0, Some(200)),
        ("write_disposition = \"replace\"\n", 0, Some(200)),
    ];
    for (keys, kept, left_out) in cases {
        let server = Server::start(|request| match request.number_param("offset", 0) {
            200 => Reply::status(422),
            _ => page(request),
        });
        let env = TestEnv::new();
        let resource = format!("[resources.videos]\n{keys}paginator = {{ type = \"offset\", limit = 100 }}\n");
        env.pipeline(&pipeline(&server, &resource));
        let outcome = env.load().expect_code(1);
        let videos = outcome.resource("videos");
        assert_eq!(videos["records"], 200, "{keys}");
        assert_eq!(videos["rows"]["videos"].as_u64().unwrap_or(0), kept, "{keys}");
        assert_eq!(videos["discarded"]["not_committed"].as_u64(), left_out, "{keys}");
    }
}

#[test]
fn an_exhausted_quota_is_waited_out_whatever_the_status() {
    type Throttled = fn() -> Reply;
    let cases: [Throttled; 3] = [
        || Reply::status(403).header("X-RateLimit-Remaining", "0").header("X-RateLimit-Reset", "1"),
        || Reply::status(429).header("RateLimit-Remaining", "0").header("RateLimit-Reset", "1"),
        || Reply::status(403).header("RateLimit", "\"default\";r=0;t=1"),
    ];
    for throttled in cases {
        let server = Server::start(move |request| if request.number == 1 { throttled() } else { page(request) });
        let env = TestEnv::new();
        env.pipeline(&pipeline(&server, VIDEOS));
        env.load().expect_code(0);
        assert_eq!(env.warehouse().count("api.videos"), 250);
        let requests = server.requests();
        assert!(requests[2].at - requests[1].at >= Duration::from_millis(950), "waited too little");
    }
}

#[test]
fn actions_look_at_headers_and_at_values_of_the_body_also_of_good_answers() {
    // GraphQL's way: 200 with errors. Another: 200 with a code, and a header that asks for patience.
    let cases: &[(&str, Fault, i32)] = &[
        ("{ path = \"errors\", action = \"retry\" }", |_| Reply::json(json!({ "errors": [{ "message": "busy" }] })), 0),
        (
            "{ path = \"errors\", action = \"fail\" }",
            |_| Reply::json(json!({ "errors": [{ "message": "no such field" }] })),
            1,
        ),
        (
            "{ path = \"meta.code\", equals = 17, action = \"retry\" }",
            |_| Reply::json(json!({ "meta": { "code": 17 } })),
            0,
        ),
        (
            "{ header = \"X-State\", equals = \"busy\", action = \"throttle\" }",
            |_| Reply::json(json!([])).header("X-State", "busy"),
            0,
        ),
        (
            "{ status = 400, header = \"X-State\", contains = \"wait\", body_contains = \"later\", action = \"retry\" }",
            |_| Reply::new(400, "text/plain", "try later").header("X-State", "please wait"),
            0,
        ),
    ];
    for (action, fault, code) in cases {
        let server = server_with(*fault);
        let env = TestEnv::new();
        env.pipeline(&pipeline_with_client(&server, &format!("response_actions = [{action}]"), VIDEOS));
        let outcome = env.load().expect_code(*code);
        if *code == 0 {
            assert_eq!(env.warehouse().count("api.videos"), 250, "{action}");
            assert_eq!(server.requests().len(), 5, "{action}");
        } else {
            outcome.expect_stderr(&["`response_actions` calls a failure", "no such field"]);
            assert_eq!(server.requests().len(), 2, "{action}");
        }
    }
}
