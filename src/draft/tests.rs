//! Drafts of small documents, each about one thing. `tests/init_from.rs` runs one.

use super::*;
use crate::config::{self, Env, Secrets};
use serde_json::json;
use std::path::Path;

/// A document with these paths; every draft has to pass the checks.
#[track_caller]
fn draft(mut document: Value, paths: Value) -> String {
    let root = document.as_object_mut().unwrap();
    root.entry("openapi").or_insert(json!("3.0.3"));
    root.entry("servers").or_insert(json!([{ "url": "https://api.example.org/v1" }]));
    root.insert("paths".into(), paths);
    let draft = pipeline(&document, "shop").unwrap();
    assert_valid(&draft.text);
    draft.text
}

#[track_caller]
fn assert_valid(text: &str) {
    if let Err(e) = config::pipeline(Path::new("shop.toml"), text, &[], &Env::default(), Secrets::Optional) {
        panic!("{}\n{text}", e.report());
    }
}

#[track_caller]
fn has(text: &str, lines: &[&str]) {
    for line in lines {
        assert!(text.lines().any(|l| l == *line), "no line `{line}` in\n{text}");
    }
}

/// An operation that returns records with these fields, in an array or wherever `wrap` puts it.
fn list(parameters: Value, fields: &[&str], wrap: impl Fn(Value) -> Value) -> Value {
    let properties: serde_json::Map<String, Value> =
        fields.iter().map(|f| ((*f).to_owned(), json!({ "type": "string" }))).collect();
    let array = json!({ "type": "array", "items": { "type": "object", "properties": properties } });
    json!({ "get": {
        "parameters": parameters,
        "responses": { "200": { "content": { "application/json": { "schema": wrap(array) } } } },
    } })
}

fn array(array: Value) -> Value {
    array
}

fn query(name: &str, kind: &str) -> Value {
    json!({ "name": name, "in": "query", "schema": { "type": kind } })
}

#[test]
fn lists_are_found_in_arrays_and_envelopes_and_records_are_left_out() {
    let envelope = |a| json!({ "type": "object", "properties": { "total": { "type": "integer" }, "orders": a } });
    let deep =
        |a| json!({ "type": "object", "properties": { "data": { "type": "object", "properties": { "items": a } } } });
    let record = |a| json!({ "type": "object", "properties": { "id": { "type": "integer" }, "name": { "type": "string" }, "tags": a } });
    let text = draft(
        json!({}),
        json!({
            "/users": list(json!([]), &["id"], array),
            "/orders": list(json!([]), &["id"], envelope),
            "/carts": list(json!([]), &["id"], deep),
            "/users/{id}": list(json!([]), &["id"], record),
            "/me": list(json!([]), &["id"], record),
        }),
    );
    has(
        &text,
        &["[resources.users]", "data_selector = \"$\"", "data_selector = \"orders\"", "data_selector = \"data.items\""],
    );
    has(
        &text,
        &["# GET /users/{id}: answers one object, and not a list", "# GET /me: answers one object, and not a list"],
    );
    has(&text, &["base_url = \"https://api.example.org/v1/\"", "primary_key = \"id\""]);
}

#[test]
fn paginators_follow_from_parameters_and_answers() {
    let with = |field: &'static str, schema: Value| move |a: Value| json!({ "type": "object", "properties": { "data": a, (field): schema }, "required": ["data", field] });
    let uri = json!({ "type": "string", "format": "uri" });
    let token = json!({ "type": "string" });
    let limit = || json!({ "name": "limit", "in": "query", "schema": { "type": "integer", "maximum": 250 } });
    let cases: Vec<(Value, &str)> = vec![
        (
            list(json!([query("offset", "integer"), limit()]), &["id"], array),
            "paginator = { type = \"offset\", limit = 250 }",
        ),
        (
            list(json!([query("page", "integer"), query("per_page", "integer")]), &["id"], array),
            "paginator = { type = \"page_number\", page_size = 100, page_size_param = \"per_page\" }",
        ),
        (
            list(json!([query("cursor", "string")]), &["id"], with("next_cursor", token)),
            "paginator = { type = \"cursor\", cursor_path = \"next_cursor\", cursor_param = \"cursor\" }",
        ),
        (
            list(json!([query("page", "integer")]), &["id"], with("next", uri)),
            "paginator = { type = \"json_link\", next_url_path = \"next\" }",
        ),
        (
            list(json!([query("starting_after", "string")]), &["id"], with("has_more", json!({ "type": "boolean" }))),
            "paginator = { type = \"keyset\", field = \"id\", param = \"starting_after\", has_more_path = \"has_more\" }",
        ),
        (
            list(json!([query("page", "integer")]), &["id"], with("total", json!({ "type": "integer" }))),
            "paginator = { type = \"page_number\", total_path = \"total\" }",
        ),
    ];
    for (operation, expected) in cases {
        has(&draft(json!({}), json!({ "/things": operation })), &[expected]);
    }
}

#[test]
fn a_link_header_wins_over_page_numbers() {
    let mut operation = list(json!([query("page", "integer"), query("per_page", "integer")]), &["id"], array);
    operation["get"]["responses"]["200"]["headers"] = json!({ "Link": { "schema": { "type": "string" } } });
    let text = draft(json!({}), json!({ "/things": operation }));
    has(&text, &["paginator = \"header_link\"", "params = { per_page = 100 }"]);
}

#[test]
fn a_token_of_unknown_origin_is_commented_out() {
    let text = draft(json!({}), json!({ "/things": list(json!([query("cursor", "string")]), &["id"], array) }));
    assert!(text.contains("doesn't say where its value comes from") && !text.contains("\npaginator"), "{text}");
}

#[test]
fn children_run_for_the_rows_of_their_parents_at_any_depth() {
    let text = draft(
        json!({}),
        json!({
            "/projects": list(json!([]), &["id"], array),
            "/projects/{projectId}/tasks": list(json!([]), &["id", "number"], array),
            "/projects/{p}/tasks/{task_number}/comments": list(json!([]), &["id"], array),
        }),
    );
    has(
        &text,
        &[
            "[resources.project_tasks]",
            "path = \"projects/{{ parent.id }}/tasks\"",
            "primary_key = [\"projects_id\", \"id\"]",
            "path = \"projects/{{ parent.parent.id }}/tasks/{{ parent.number }}/comments\"",
            "include_from_parent = [\"number\", \"parent.id\"]",
            "primary_key = [\"projects_id\", \"project_tasks_number\", \"id\"]",
        ],
    );
}

#[test]
fn what_no_list_tells_is_a_variable() {
    let document = json!({});
    let paths = json!({ "/orgs/{org}/teams": list(json!([]), &["id"], array) });
    let text = draft(document, paths);
    has(&text, &["[vars]", "org = \"EDIT\" # EDIT", "path = \"orgs/{{ vars.org }}/teams\""]);
}

#[test]
fn a_resource_that_needs_an_unknown_parameter_is_commented_out_with_its_children() {
    let needs = json!([{ "name": "q", "in": "query", "required": true, "schema": { "type": "string" } }]);
    let text = draft(
        json!({}),
        json!({
            "/users": list(json!([]), &["id"], array),
            "/items": list(needs, &["id"], array),
            "/items/{id}/parts": list(json!([]), &["id"], array),
        }),
    );
    has(
        &text,
        &["# EDIT: it needs `q`, and the document gives no value", "# [resources.items]", "# [resources.item_parts]"],
    );
    has(&text, &["# EDIT: its parent `items` is commented out", "[resources.users]"]);
}

#[test]
fn what_changed_since_when_needs_a_parameter_and_a_field() {
    let of = |parameter: &str, field: &str| {
        let parameter =
            json!([{ "name": parameter, "in": "query", "schema": { "type": "string", "format": "date-time" } }]);
        draft(json!({}), json!({ "/things": list(parameter, &["id", field], array) }))
    };
    let sure = "incremental = { cursor_path = \"updated_at\", start_param = \"updated_since\" }";
    has(&of("updated_since", "updated_at"), &[sure]);
    assert!(!of("updated_since", "colour").contains("incremental"));
    let unsure = of("since", "updated_at");
    has(&unsure, &["# incremental = { cursor_path = \"updated_at\", start_param = \"since\" }"]);
    has(
        &of("created_after", "created_at"),
        &["# incremental = { cursor_path = \"created_at\", start_param = \"created_after\" }"],
    );
}

#[test]
fn credentials_become_variables() {
    let schemes = |scheme: Value| json!({ "components": { "securitySchemes": { "main": scheme } }, "security": [{ "main": [] }] });
    let flow = json!({ "clientCredentials": { "tokenUrl": "https://id.example.org/token", "scopes": {} } });
    for (scheme, expected) in [
        (json!({ "type": "http", "scheme": "bearer" }), "auth = { type = \"bearer\", token = \"${SHOP_TOKEN}\" }"),
        (
            json!({ "type": "http", "scheme": "basic" }),
            "auth = { type = \"http_basic\", username = \"${SHOP_USERNAME}\", password = \"${SHOP_PASSWORD}\" }",
        ),
        (
            json!({ "type": "apiKey", "in": "query", "name": "key" }),
            "auth = { type = \"api_key\", name = \"key\", location = \"query\", api_key = \"${SHOP_API_KEY}\" }",
        ),
        (
            json!({ "type": "oauth2", "flows": flow }),
            "auth = { type = \"oauth2_client_credentials\", access_token_url = \"https://id.example.org/token\", client_id = \"${SHOP_CLIENT_ID}\", client_secret = \"${SHOP_CLIENT_SECRET}\" }",
        ),
    ] {
        has(&draft(schemes(scheme), json!({ "/things": list(json!([]), &["id"], array) })), &[expected]);
    }
}

#[test]
fn swagger_2_is_read_with_a_remark() {
    let operation = json!({ "get": {
        "parameters": [{ "name": "limit", "in": "query", "type": "integer" }, { "name": "offset", "in": "query", "type": "integer" }],
        "responses": { "200": { "schema": { "type": "array", "items": { "$ref": "#/definitions/Pet" } } } },
    } });
    let document = json!({
        "swagger": "2.0", "host": "pets.example.org", "basePath": "/v2", "schemes": ["https"],
        "definitions": { "Pet": { "type": "object", "properties": { "id": { "type": "integer" } } } },
        "securityDefinitions": { "user": { "type": "basic" } },
        "paths": { "/pets": operation },
    });
    let text = pipeline(&document, "shop").unwrap().text;
    assert_valid(&text);
    has(&text, &["base_url = \"https://pets.example.org/v2/\"", "paginator = { type = \"offset\", limit = 100 }"]);
    assert!(text.contains("Swagger 2.0") && text.contains("http_basic"), "{text}");
}

#[test]
fn schemas_that_refer_to_themselves_or_nowhere_end() {
    let schema = json!({ "allOf": [{ "$ref": "#/components/schemas/Loop" }] });
    let document = json!({ "components": { "schemas": { "Loop": schema } } });
    let paths = json!({
        "/ok": list(json!([]), &["id"], array),
        "/loop": { "get": { "responses": { "200": { "content": { "application/json": { "schema": { "$ref": "#/components/schemas/Loop" } } } } } } },
        "/gone": { "get": { "responses": { "200": { "$ref": "other.json#/x" } } } },
    });
    let text = draft(document, paths);
    has(&text, &["# GET /loop: describes no fields of its answer", "# GET /gone: describes no body"]);
}

#[test]
fn text_of_the_document_is_never_read_as_an_expression_or_a_variable() {
    let parameter = json!([{ "name": "q", "in": "query", "required": true, "schema": { "type": "string", "default": "${HOME} {{ x }}" } }]);
    let mut plain = list(json!([]), &["id"], array);
    plain["get"]["summary"] = json!("Lists\n[resources.evil]\n${X} {{ y }}");
    let text = draft(json!({}), json!({ "/a": plain, "/b": list(parameter, &["id"], array) }));
    assert!(!text.contains("${HOME}") && !text.contains("[resources.evil]"), "{text}");
}

#[test]
fn what_is_no_openapi_document_says_so() {
    for (document, message) in [
        (json!({}), "this is no OpenAPI document"),
        (json!({ "openapi": "4.0.0", "paths": {} }), "OpenAPI 4.0.0 is not known"),
        (json!({ "openapi": "3.1.0" }), "has no `paths`"),
        (json!({ "openapi": "3.1.0", "paths": {} }), "describes no list"),
    ] {
        let report = pipeline(&document, "shop").unwrap_err().report();
        assert!(report.contains(message), "{report}");
    }
}
