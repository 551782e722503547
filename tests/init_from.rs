//! `pintail init --from`: a pipeline drafted from an OpenAPI document, checked and run as it is.

use crate::support::{Api, Server, TestEnv};
use serde_json::{Value, json};

/// A document of an API with projects that page by offset, and their tasks.
fn document(server: &Server) -> Value {
    let record = json!({ "type": "object", "required": ["id"], "properties": { "id": { "type": "integer" }, "name": { "type": "string" } } });
    let answer =
        json!({ "200": { "content": { "application/json": { "schema": { "type": "array", "items": record } } } } });
    let paged = json!([
        { "name": "offset", "in": "query", "schema": { "type": "integer" } },
        { "name": "limit", "in": "query", "schema": { "type": "integer", "maximum": 2 } },
    ]);
    json!({
        "openapi": "3.0.3",
        "info": { "title": "Projects", "version": "1" },
        "servers": [{ "url": server.url("/") }],
        "components": { "securitySchemes": { "token": { "type": "http", "scheme": "bearer" } } },
        "security": [{ "token": [] }],
        "paths": {
            "/projects": { "get": { "summary": "All projects", "parameters": paged, "responses": answer } },
            "/projects/{project_id}/tasks": { "get": { "parameters": paged, "responses": answer } },
            "/health": { "get": { "responses": { "200": { "description": "fine" } } } },
        },
    })
}

#[test]
fn a_draft_passes_the_checks_and_loads_every_row() {
    let api = Api::new(100);
    api.put("/projects", (0..5).map(|id| json!({ "id": id, "name": format!("p{id}") })));
    for project in 0..5 {
        api.put(&format!("/projects/{project}/tasks"), (0..3).map(|id| json!({ "id": id, "name": "t" })));
    }
    let served = api.clone();
    let server = Server::start(move |request| served.reply(request));
    let mut env = TestEnv::new();
    env.write("openapi.json", &document(&server).to_string());
    let outcome = env.run(&["init", "work", "--from", "openapi.json"]).expect_code(0);
    outcome.expect_stdout(&["2 resources ready, 0 commented out", "1 of the document's GET operations not drafted"]);
    assert_eq!(env.run(&["check", "work"]).expect_code(0).stderr, "");
    let text = std::fs::read_to_string(env.path("pipelines/work.toml")).expect("the draft");
    assert!(text.contains("# GET /health: describes no body"), "{text}");
    env.set("WORK_TOKEN", "s3cret");
    let report = env.run(&["run", "work", "--output", "json"]).expect_code(0);
    assert_eq!(report.resource("projects")["rows"], json!({ "projects": 5 }));
    // Tasks of different projects share their ids: each is a row.
    assert_eq!(report.resource("project_tasks")["rows"], json!({ "project_tasks": 15 }));
    let requests = server.requests();
    assert!(requests.iter().all(|r| r.header("authorization") == Some("Bearer s3cret")));
}

#[test]
fn what_is_no_document_is_refused_and_nothing_is_written() {
    let env = TestEnv::new();
    env.write("openapi.yaml", "openapi: 3.0.3\npaths: {}\n");
    env.write("other.json", "{}");
    let cases =
        [("openapi.yaml", "yq -o json"), ("other.json", "no OpenAPI document"), ("missing.json", "can't be read")];
    for (file, message) in cases {
        env.run(&["init", "work", "--from", file]).expect_code(2).expect_stderr(&[message, file]);
    }
    assert!(!env.path("pipelines/work.toml").exists());
}
