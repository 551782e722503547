//! `{{ … }}` in requests: values of their type, in their place, and left out where there are none.

use crate::support::{Reply, Request, Server, TestEnv, pipeline};
use serde_json::{Value, json};

/// Three pages of one record, led on by a token in the body.
fn tokens(request: &Request, token: Option<&str>) -> Reply {
    let (id, next) = match token {
        None => (1, json!("b/c+d")),
        Some("b/c+d") => (2, json!(7)),
        Some(_) => (3, Value::Null),
    };
    Reply::json(json!({ "data": [{ "id": id, "method": request.method }], "next": next }))
}

fn loads_three(server: &Server, resource: &str) {
    let env = TestEnv::new();
    env.pipeline(&pipeline(server, &format!("[resources.items]\ndata_selector = \"data\"\n{resource}\n")));
    let outcome = env.load().expect_code(0);
    let ids = env.warehouse().value("SELECT string_agg(id, ',' ORDER BY id) FROM api.items");
    assert_eq!(ids, "1,2,3", "{}", outcome.transcript());
}

const CURSOR: &str = "paginator = { type = \"cursor\", cursor_path = \"next\" }";

#[test]
fn a_json_body_carries_values_of_their_type_and_drops_absent_ones() {
    let server = Server::start(|request| {
        let body: Value = serde_json::from_str(&request.body).expect("a JSON body");
        let token = body["variables"]["after"].clone();
        tokens(request, token.as_str().or(token.as_i64().map(|_| "7")))
    });
    let json = "json = { query = \"query($after: String) { items(after: $after) { id } }\", \
                variables = { first = 50, after = \"{{ page.cursor }}\", tags = [\"x\", \"{{ page.cursor }}\"] } }";
    loads_three(&server, &format!("{CURSOR}\n{json}"));
    let bodies: Vec<Value> = server.requests().iter().map(|r| serde_json::from_str(&r.body).expect("JSON")).collect();
    assert_eq!(bodies[0]["variables"], json!({ "first": 50, "tags": ["x"] }), "no cursor on the first request");
    assert_eq!(bodies[1]["variables"], json!({ "first": 50, "after": "b/c+d", "tags": ["x", "b/c+d"] }));
    assert_eq!(bodies[2]["variables"]["after"], json!(7), "a number stays one");
    assert!(server.requests().iter().all(|r| r.method == "POST" && r.params.is_empty()));
}

#[test]
fn a_header_a_form_and_a_text_carry_the_cursor() {
    let server = Server::start(|request| tokens(request, request.header("x-after")));
    loads_three(&server, &format!("{CURSOR}\nheaders = {{ X-After = \"{{{{ page.cursor }}}}\" }}"));
    assert_eq!(server.requests()[0].header("x-after"), None);

    let server = Server::start(|request| {
        let form: Vec<(String, String)> = url::form_urlencoded::parse(request.body.as_bytes()).into_owned().collect();
        assert!(form.contains(&("kind".to_owned(), "a b".to_owned())), "{form:?}");
        tokens(request, form.iter().find(|(name, _)| name == "after").map(|(_, value)| value.as_str()))
    });
    loads_three(&server, &format!("{CURSOR}\nform = {{ kind = \"a b\", after = \"{{{{ page.cursor }}}}\" }}"));
    assert_eq!(server.requests()[0].header("content-type"), Some("application/x-www-form-urlencoded"));

    let server =
        Server::start(|request| tokens(request, request.body.strip_prefix("after=").filter(|t| !t.is_empty())));
    loads_three(&server, &format!("{CURSOR}\nbody = \"after={{{{ page.cursor | default('') }}}}\""));
}

#[test]
fn an_offset_alone_in_a_json_text_stays_a_number() {
    let server = Server::start(|request| {
        let body: Value = serde_json::from_str(&request.body).expect("a JSON body");
        let from = body["page"]["offset"].as_u64().expect("a number");
        assert_eq!(body["page"]["size"], json!(2));
        assert_eq!(body["note"], json!(format!("from {from}")));
        Reply::json((from..(from + 2).min(3)).map(|id| json!({ "id": id + 1 })).collect::<Vec<_>>())
    });
    let env = TestEnv::new();
    env.pipeline(&pipeline(
        &server,
        "[resources.items]\npaginator = { type = \"offset\", limit = 2 }\n\
         json = { page = { offset = \"{{ page.offset }}\", size = \"{{ page.limit }}\" }, note = \"from {{ page.offset }}\" }\n",
    ));
    env.load().expect_code(0);
    assert_eq!(env.warehouse().count("api.items"), 3);
}

#[test]
fn parent_fields_are_one_segment_of_a_path_and_null_is_never_a_text() {
    let server = Server::start(|request| match request.path.as_str() {
        "/teams" => Reply::json(json!([
            { "id": "a/b ?#", "kind": null, "big": 9007199254740993u64, "on": true },
            { "id": "é", "kind": "k", "big": 1, "on": false },
        ])),
        _ => Reply::json(json!([{ "id": 1 }])),
    });
    let env = TestEnv::new();
    env.pipeline(&pipeline(
        &server,
        "[resources.teams]\nprimary_key = \"id\"\n\
         [resources.members]\nparent = \"teams\"\npath = \"teams/{{ parent.id }}/members\"\ninclude_from_parent = [\"id\"]\n\
         on_missing_parent_field = \"raise\"\n\
         params = { tag = \"{{ [parent.id | upper, 'y z', none] if parent.kind is none else [] }}\", kind = \"{{ parent.kind | default('none') }}\", \
         big = \"{{ parent.big }}\", on = \"{{ parent.on }}\" }\n",
    ));
    let outcome = env.load().expect_code(0);
    let members: Vec<Request> = server.requests().into_iter().filter(|r| r.path.ends_with("/members")).collect();
    assert_eq!(members.len(), 2, "{}", outcome.transcript());
    let of = |path: &str| members.iter().find(|r| r.path == path).unwrap_or_else(|| panic!("{path} was not asked for"));
    let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    assert_eq!(
        of("/teams/a%2Fb%20%3F%23/members").params,
        [
            pair("tag", "A/B ?#"),
            pair("tag", "y z"),
            pair("kind", "none"),
            pair("big", "9007199254740993"),
            pair("on", "true")
        ]
    );
    assert_eq!(of("/teams/%C3%A9/members").params, [pair("kind", "k"), pair("big", "1"), pair("on", "false")]);
}

#[test]
fn a_null_without_a_default_is_still_an_error_of_the_parent_row() {
    let server = Server::start(|request| match request.path.as_str() {
        "/teams" => Reply::json(json!([{ "id": 1, "kind": null }])),
        _ => Reply::json(json!([])),
    });
    let env = TestEnv::new();
    let path = "teams/{{ parent.id }}/{{ parent.kind }}";
    env.pipeline(&pipeline(
        &server,
        &format!(
            "[resources.teams]\nprimary_key = \"id\"\n[resources.members]\nparent = \"teams\"\npath = \"{path}\"\n"
        ),
    ));
    env.load().expect_code(1).expect_stderr(&["a row of `teams` has no `kind`"]);
}
