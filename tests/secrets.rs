//! A credential is sent to the API and appears nowhere else.

use crate::support::{Outcome, Reply, Request, Server, TestEnv, pipeline_with_client};
use serde_json::json;

const TOKEN: &str = "tuG4rqqTS_Df7Ma0W73SrzTATkSyH-D7s7NAU2JHPGQ";
const KEY: &str = "key/with+odd=characters&9";

const CLIENT: &str = "auth = { type = \"bearer\", token = \"${API_TOKEN}\" }\nheaders = { X-Api-Key = \"${API_KEY}\" }\n\
    params = { api_key = \"${API_KEY}\" }\n";

const RESOURCES: &str = "[resources.videos]\nprimary_key = \"id\"\npaginator = { type = \"offset\", limit = 100 }\n\
    incremental = { cursor_path = \"updated_at\", start_param = \"since\" }\n\
    [resources.details]\nparent = \"videos\"\npath = \"videos/{{ parent.id }}/details\"\npaginator = \"single_page\"\n";

/// Every form in which the secrets could be read back.
fn forms() -> Vec<String> {
    let percent: String = url::form_urlencoded::byte_serialize(KEY.as_bytes()).collect();
    vec![
        TOKEN.to_owned(),
        KEY.to_owned(),
        percent,
        KEY.replace('/', "%2F").replace('+', "%2B"),
        KEY.replace('/', "\\/"),
    ]
}

#[track_caller]
fn assert_clean(what: &str, bytes: &[u8]) {
    for form in forms() {
        let found = bytes.windows(form.len()).any(|w| w == form.as_bytes());
        assert!(!found, "a secret appears in {what}");
    }
}

#[track_caller]
fn assert_all_clean(env: &TestEnv, outcome: &Outcome) {
    assert_clean("stdout", outcome.stdout.as_bytes());
    assert_clean("stderr", outcome.stderr.as_bytes());
    for (path, bytes) in env.bytes_below(".") {
        assert_clean(&path.display().to_string(), &bytes);
    }
}

fn env_with_secrets(server: &Server) -> TestEnv {
    let mut env = TestEnv::new();
    env.set("API_TOKEN", TOKEN);
    env.set("API_KEY", KEY);
    env.pipeline(&pipeline_with_client(server, CLIENT, RESOURCES));
    env
}

fn data(request: &Request) -> Reply {
    assert_eq!(request.header("authorization"), Some(format!("Bearer {TOKEN}").as_str()));
    assert_eq!((request.header("x-api-key"), request.param("api_key")), (Some(KEY), Some(KEY)));
    match request.path.as_str() {
        "/videos" if request.number_param("offset", 0) == 0 => {
            Reply::json((0..3).map(|id| json!({ "id": id, "updated_at": "2026-01-02T03:04:05Z" })).collect::<Vec<_>>())
        }
        "/videos" => Reply::json(Vec::<serde_json::Value>::new()),
        _ => Reply::json(json!({ "text": "fine" })),
    }
}

#[test]
fn nowhere_after_a_good_run_however_talkative() {
    let server = Server::start(data);
    let env = env_with_secrets(&server);
    for warehouse in env.destinations() {
        for args in [["-vv", "--log-format", "text"], ["-vv", "--log-format", "json"]] {
            let outcome = env.load_into(&warehouse, &args).expect_code(0);
            assert_all_clean(&env, &outcome);
        }
    }
}

#[test]
fn nowhere_when_the_server_sends_it_back_in_an_error() {
    // An error page that quotes the request, as careless servers do; in JSON, in HTML, and in a header.
    let faults: [fn(&Request) -> Reply; 4] = [
        |_| Reply::new(400, "application/json", format!("{{\"error\":\"bad token {TOKEN} and {KEY}\"}}")),
        |_| Reply::new(200, "text/html", format!("<html>{TOKEN} {KEY}</html>")),
        |_| Reply::new(200, "application/json", format!("[{{\"oops\": {TOKEN}")),
        |request| Reply::status(302).header("Location", format!("http://127.0.0.2:9/?{}&t={TOKEN}", request.path)),
    ];
    for fault in faults {
        let server = Server::start(fault);
        let env = env_with_secrets(&server);
        for args in [["-vv", "--log-format", "text"], ["-vv", "--log-format", "json"]] {
            let outcome = env.load_into(&env.warehouse(), &args).expect_code(1);
            assert_all_clean(&env, &outcome);
        }
    }
}

#[test]
fn nowhere_when_the_connection_fails() {
    let server = Server::start(|_| Reply::reset());
    let env = env_with_secrets(&server);
    let outcome = env.load_into(&env.warehouse(), &["-vv"]).expect_code(1);
    assert_all_clean(&env, &outcome);
}

#[test]
fn check_and_configuration_errors_show_none() {
    let server = Server::start(data);
    let mut env = env_with_secrets(&server);
    assert_all_clean(&env, &env.run(&["check", "api", "-vv"]).expect_code(0));
    env.set("API_TOKEN", format!("{TOKEN}\n{KEY}"));
    // A line break can't be in a header: the message may name the variable, not its value.
    let outcome = env.run(&["run", "api", "-vv"]);
    assert_ne!(outcome.status.code(), Some(0), "{}", outcome.transcript());
    assert_all_clean(&env, &outcome);
    assert_eq!(server.requests().len(), 0);
}

#[test]
fn data_is_never_altered() {
    // The API may well return the credential as data; rows are stored as they came.
    let server = Server::start(|_| Reply::json(vec![json!({ "id": 1, "note": TOKEN })]));
    let mut env = TestEnv::new();
    env.set("API_TOKEN", TOKEN);
    env.set("API_KEY", KEY);
    env.pipeline(&pipeline_with_client(&server, CLIENT, "[resources.notes]\npaginator = \"single_page\"\n"));
    env.load().expect_code(0);
    assert_eq!(env.warehouse().value("SELECT note FROM api.notes"), TOKEN);
}
