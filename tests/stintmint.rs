//! The bundled `pipelines/stintmint.toml`, against a server that follows the API's document.

use crate::support::{Reply, Request, Server, TestEnv};
use base64::Engine;
use serde_json::{Value, json};

const PIPELINE: &str = include_str!("../pipelines/stintmint.toml");
const REQUESTS: &str = include_str!("../pipelines/stintmint_requests.example.csv");
const MODULES: &str = include_str!("../pipelines/stintmint_modules.example.csv");
const EMAIL: &str = "enterprise@example.com";
const KEY: &str = "dk-5f0c7b1e9a2d";

/// What the people who did the work said; the fields depend on the StintFlow.
fn responses(identifier: &str, state: Option<&str>) -> Value {
    match (identifier, state) {
        ("invoice-2041", _) => json!([
            { "optionId": "total", "info": "118.40", "votes": 3 },
            { "optionId": "currency", "info": "EUR", "votes": 3 },
        ]),
        ("invoice-2042", _) => json!([{ "optionId": "total", "info": "9.00", "votes": 2, "remark": "hard to read" }]),
        ("portrait-7", Some(_)) => json!([{ "rating": 4.5, "labels": ["smiling"] }]),
        ("portrait-7", None) => json!([{ "rating": 4.5, "labels": ["smiling", "outdoors"] }]),
        _ => json!([]),
    }
}

fn completed(identifier: &str, sf_id: &str, state: Option<&str>) -> Value {
    let responses = responses(identifier, state);
    match state {
        Some(state) => json!({
            "identifier": identifier, "status": "COMPLETED", "stateId": state, "cost": "1", "responses": responses,
        }),
        None => json!({
            "identifier": identifier, "status": "COMPLETED", "created": "1516883710000", "completed": "1516887310250",
            "sfId": sf_id, "cost": "2.5", "responses": responses,
        }),
    }
}

/// Answers as the document's Python and Java samples ask: POST with a JSON body and Basic credentials. Whatever else comes is
/// refused, and `/post` must never be called.
fn answer(request: &Request) -> Reply {
    assert!(request.path != "/post", "work was sent: {request:?}");
    let credentials = base64::engine::general_purpose::STANDARD.encode(format!("{EMAIL}:{KEY}"));
    if request.header("authorization") != Some(format!("Basic {credentials}").as_str()) {
        return Reply::status(401);
    }
    if (request.method.as_str(), request.path.as_str()) != ("POST", "/fetch") {
        return Reply::status(404);
    }
    if request.header("content-type").is_none_or(|t| !t.starts_with("application/json")) {
        return Reply::status(400);
    }
    let Ok(body) = serde_json::from_str::<Value>(&request.body) else { return Reply::status(400) };
    let text = |name: &str| body[name].as_str();
    match (text("identifier"), text("sfId")) {
        (Some(identifier), Some(sf_id)) if !responses(identifier, None).as_array().is_none_or(Vec::is_empty) => {
            Reply::json(completed(identifier, sf_id, text("stateId")))
        }
        (Some(_), Some(_)) => Reply::status(404),
        _ => Reply::status(400),
    }
}

/// Two questions about the same come before the answer: the work is not done yet.
fn slowly(request: &Request, asked: &mut Vec<String>) -> Reply {
    asked.push(request.body.clone());
    let is_ready = asked.iter().filter(|body| **body == request.body).count().is_multiple_of(3);
    match serde_json::from_str::<Value>(&request.body) {
        Ok(body) if !is_ready => Reply::json(json!({ "identifier": body["identifier"], "status": "PROCESSING" })),
        _ => answer(request),
    }
}

pub(crate) fn sample() -> Server {
    let asked = std::sync::Mutex::new(Vec::new());
    Server::start(move |request| slowly(request, &mut asked.lock().expect("no handler panics with the lock")))
}

pub(crate) fn variables(server: &Server) -> Vec<(&'static str, String)> {
    vec![
        ("STINTMINT_BASE_URL", server.url("/")),
        ("STINTMINT_EMAIL", EMAIL.to_owned()),
        ("STINTMINT_KEY", KEY.to_owned()),
        ("STINTMINT_POLL", "10ms".to_owned()),
        ("STINTMINT_REQUESTS_FILE", "stintmint_requests.example.csv".to_owned()),
        ("STINTMINT_MODULES_FILE", "stintmint_modules.example.csv".to_owned()),
    ]
}

fn env_for(server: &Server, requests: &str, modules: &str) -> TestEnv {
    let mut env = TestEnv::new();
    env.write("pipelines/stintmint.toml", PIPELINE);
    env.write("pipelines/stintmint_requests.csv", requests);
    env.write("pipelines/stintmint_modules.csv", modules);
    for (name, value) in variables(server).into_iter().filter(|(name, _)| !name.ends_with("_FILE")) {
        env.set(name, value);
    }
    env
}

#[test]
fn responses_are_awaited_and_loaded_and_loading_again_changes_nothing() {
    let server = sample();
    let env = env_for(&server, REQUESTS, MODULES);
    for warehouse in env.destinations() {
        for _ in 0..2 {
            server.forget();
            env.run(&["run", "stintmint", "--destination", &warehouse.flag()]).expect_code(0);
            assert_eq!(server.requests().len(), 18, "three questions for each of six answers");
            assert_eq!(
                warehouse.query(
                    "SELECT identifier, sf_id, status, cost, epoch_ms(created), epoch_ms(completed) \
                     FROM stintmint.stintflow_responses ORDER BY identifier"
                ),
                [
                    ["invoice-2041", "sf-receipts", "COMPLETED", "2.5", "1516883710000", "1516887310250"],
                    ["invoice-2042", "sf-receipts", "COMPLETED", "2.5", "1516883710000", "1516887310250"],
                    ["portrait-7", "sf-portraits", "COMPLETED", "2.5", "1516883710000", "1516887310250"],
                ]
            );
            assert_eq!(warehouse.column_type("stintmint.stintflow_responses", "created"), "TIMESTAMP WITH TIME ZONE");
            assert_eq!(
                warehouse.query(
                    "SELECT r.identifier, p.option_id, p.info, p.votes, p.rating, p.remark \
                     FROM stintmint.stintflow_responses r JOIN stintmint.stintflow_responses__responses p \
                     ON p._pintail_parent_id = r._pintail_id ORDER BY r.identifier, p._pintail_list_index"
                ),
                [
                    ["invoice-2041", "total", "118.40", "3", "NULL", "NULL"],
                    ["invoice-2041", "currency", "EUR", "3", "NULL", "NULL"],
                    ["invoice-2042", "total", "9.00", "2", "NULL", "hard to read"],
                    ["portrait-7", "NULL", "NULL", "NULL", "4.5", "NULL"],
                ]
            );
            assert_eq!(warehouse.count("stintmint.stintflow_responses__responses__labels"), 2);
            assert_eq!(
                warehouse.query(
                    "SELECT identifier, sf_id, state_id, cost FROM stintmint.module_responses ORDER BY identifier"
                ),
                [
                    ["invoice-2041", "sf-receipts", "read-total", "1"],
                    ["invoice-2042", "sf-receipts", "read-total", "1"],
                    ["portrait-7", "sf-portraits", "judge", "1"],
                ]
            );
            assert_eq!(warehouse.count("stintmint.module_responses__responses"), 4);
        }
    }
}

#[test]
fn a_request_that_is_never_done_fails_by_name_and_the_others_are_loaded() {
    let server = Server::start(|request| match request.body.contains("invoice-2042") {
        true => Reply::json(json!({ "identifier": "invoice-2042", "status": "PROCESSING" })),
        false => answer(request),
    });
    let mut env = env_for(&server, REQUESTS, MODULES);
    env.set("STINTMINT_PATIENCE", "50ms");
    env.run(&["run", "stintmint"]).expect_code(1).expect_stderr(&["PROCESSING", "invoice-2042"]);
    let identifiers = "SELECT identifier FROM stintmint.stintflow_responses ORDER BY 1";
    assert_eq!(env.warehouse().query(identifiers), [["invoice-2041"], ["portrait-7"]]);
}

#[test]
fn bad_credentials_and_unknown_requests_are_errors() {
    let server = Server::start(answer);
    let mut env = env_for(&server, "identifier,sfId\nnobody,sf-receipts\n", MODULES);
    let args = ["run", "stintmint", "--resource", "stintflow_responses"];
    env.run(&args).expect_code(1).expect_stderr(&["404", "/fetch"]);
    env.set("STINTMINT_KEY", "another-key");
    let outcome = env.run(&args).expect_code(1).expect_stderr(&["401"]);
    assert!(!outcome.stderr.contains("another-key"), "{}", outcome.transcript());
}
