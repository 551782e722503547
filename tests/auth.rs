//! Every kind of credentials against a server that checks them, and what happens when they end, are wrong or are refused.

use crate::support::{Outcome, Reply, Request, Server, TestEnv, pipeline_with_client};
use serde_json::{Value, json};
use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

const SECRET: &str = "the-client-secret-5f4dcc3b";

const ITEMS: &str = "[resources.items]\nprimary_key = \"id\"\npaginator = { type = \"offset\", limit = 2 }\n";

/// Five items in pages of two.
fn items(request: &Request) -> Reply {
    let offset = request.number_param("offset", 0);
    Reply::json((offset..5.min(offset + 2)).map(|id| json!({ "id": id })).collect::<Vec<_>>())
}

fn env(server: &Server, auth: &str, resources: &str) -> TestEnv {
    let mut env = TestEnv::new();
    env.set("SECRET", SECRET);
    env.pipeline(&pipeline_with_client(server, auth, resources));
    env
}

/// Loads the items, and requires all of them.
#[track_caller]
fn load_items(env: &TestEnv) -> Outcome {
    let outcome = env.load().expect_code(0);
    assert_eq!(env.warehouse().query("SELECT count(*), count(DISTINCT id) FROM api.items"), [["5", "5"]]);
    assert_hidden(&outcome, &[SECRET]);
    outcome
}

#[track_caller]
fn assert_hidden(outcome: &Outcome, secrets: &[&str]) {
    for secret in secrets {
        let shown = outcome.stdout.contains(secret) || outcome.stderr.contains(secret);
        assert!(!shown, "`{secret}` is shown\n{}", outcome.transcript());
    }
}

fn form(request: &Request) -> HashMap<String, String> {
    url::form_urlencoded::parse(request.body.as_bytes()).into_owned().collect()
}

#[test]
fn a_token_that_may_be_empty_is_sent_where_there_is_one() {
    let auth = "auth = { type = \"bearer\", token = \"${SECRET:-}\" }";
    for (secret, expected) in [(SECRET, Some(format!("Bearer {SECRET}"))), ("", None)] {
        let server = Server::start(items);
        let mut env = env(&server, auth, ITEMS);
        env.set("SECRET", secret);
        let outcome = load_items(&env);
        assert_eq!(outcome.stderr.contains("requests go out without credentials"), expected.is_none());
        assert!(server.requests().iter().all(|r| r.header("authorization") == expected.as_deref()));
    }
}

#[test]
fn fixed_credentials_are_sent_where_the_file_says() {
    type Holds = fn(&Request) -> bool;
    let cases: &[(&str, Holds)] = &[
        // "me:the-client-secret-5f4dcc3b" in base64.
        ("type = \"http_basic\", username = \"me\", password = \"${SECRET}\"", |r| {
            r.header("authorization") == Some("Basic bWU6dGhlLWNsaWVudC1zZWNyZXQtNWY0ZGNjM2I=")
        }),
        // A key in the place of the user, as many APIs want it.
        ("type = \"http_basic\", username = \"${SECRET}\"", |r| {
            r.header("authorization") == Some("Basic dGhlLWNsaWVudC1zZWNyZXQtNWY0ZGNjM2I6")
        }),
        ("type = \"api_key\", api_key = \"${SECRET}\"", |r| r.header("authorization") == Some(SECRET)),
        ("type = \"api_key\", name = \"X-Key\", api_key = \"Token ${SECRET}\"", |r| {
            r.header("x-key") == Some(format!("Token {SECRET}").as_str())
        }),
        ("type = \"api_key\", name = \"key\", api_key = \"${SECRET}\", location = \"query\"", |r| {
            r.param("key") == Some(SECRET)
        }),
        ("type = \"api_key\", name = \"sid\", api_key = \"${SECRET}\", location = \"cookie\"", |r| {
            r.header("cookie") == Some(format!("sid={SECRET}").as_str())
        }),
    ];
    for (auth, holds) in cases {
        let holds = *holds;
        let server = Server::start(move |request| if holds(request) { items(request) } else { Reply::status(401) });
        load_items(&env(&server, &format!("auth = {{ {auth} }}"), ITEMS));
    }
}

#[test]
fn a_fixed_credential_that_is_refused_fails_at_once_and_is_shown_in_no_form() {
    // The server sends back what it got, as careless ones do.
    let server = Server::start(|request| {
        Reply::new(
            401,
            "application/json",
            format!("{{\"got\":\"{}\"}}", request.header("authorization").unwrap_or("")),
        )
    });
    let env = env(&server, "auth = { type = \"http_basic\", username = \"me\", password = \"${SECRET}\" }", ITEMS);
    let outcome = env.run(&["run", "api", "-vv"]).expect_code(1).expect_stderr(&["401", "[client].auth", "***"]);
    assert_hidden(&outcome, &[SECRET, "bWU6dGhlLWNsaWVudC1zZWNyZXQtNWY0ZGNjM2I="]);
    assert_eq!(server.requests().len(), 1);
}

#[test]
fn auth_can_be_another_for_a_resource_or_none() {
    let server = Server::start(|request| match (request.path.as_str(), request.header("authorization")) {
        ("/items", Some("Bearer the-client-secret-5f4dcc3b")) | ("/public", None) | ("/other", Some("other-key")) => {
            items(request)
        }
        _ => Reply::status(401),
    });
    let resources = format!(
        "{ITEMS}[resources.public]\nprimary_key = \"id\"\npaginator = \"offset\"\nauth = false\n\
         [resources.other]\nprimary_key = \"id\"\npaginator = \"offset\"\nauth = {{ type = \"api_key\", api_key = \"other-key\" }}\n"
    );
    load_items(&env(&server, "auth = { type = \"bearer\", token = \"${SECRET}\" }", &resources));
}

const CLIENT_CREDENTIALS: &str = "auth = { type = \"oauth2_client_credentials\", access_token_url = \"oauth/token\", \
     client_id = \"the-client\", client_secret = \"${SECRET}\" }";

/// A server that hands out tokens `token-N-abcdef` and takes the newest one, as long as `lives` says.
fn token_server(lives: impl Fn(usize) -> usize + Send + Sync + 'static) -> Server {
    let (handed_out, used) = (AtomicUsize::new(0), AtomicUsize::new(0));
    Server::start(move |request| {
        if request.path == "/oauth/token" {
            used.store(0, Ordering::SeqCst);
            let number = handed_out.fetch_add(1, Ordering::SeqCst) + 1;
            return Reply::json(json!({ "access_token": format!("token-{number}-abcdef"), "token_type": "Bearer" }));
        }
        let number = handed_out.load(Ordering::SeqCst);
        let expected = format!("Bearer token-{number}-abcdef");
        let is_over = used.fetch_add(1, Ordering::SeqCst) >= lives(number);
        let refused = number == 0 || is_over || request.header("authorization") != Some(expected.as_str());
        if refused { Reply::status(401) } else { items(request) }
    })
}

#[test]
fn resources_with_the_same_auth_share_one_token() {
    let server = token_server(|_| usize::MAX);
    let others: String = (0..6)
        .map(|i| format!("[resources.r{i}]\npath = \"items?{i}\"\nprimary_key = \"id\"\npaginator = \"offset\"\n"))
        .collect();
    let outcome = load_items(&env(&server, CLIENT_CREDENTIALS, &format!("{ITEMS}{others}")));
    let asked = server.requests_for("/oauth/token");
    assert_eq!(asked.len(), 1);
    assert_eq!(asked[0].method, "POST");
    let form = form(&asked[0]);
    assert_eq!(form["grant_type"], "client_credentials");
    assert_eq!((form["client_id"].as_str(), form["client_secret"].as_str()), ("the-client", SECRET));
    // The request for the token is in the report, of whichever resource made it.
    let resources = outcome.report()["resources"].as_object().unwrap().clone();
    let requests: u64 = resources.values().map(|r| r["requests"].as_u64().unwrap()).sum();
    assert_eq!(requests, server.requests().len() as u64);
}

#[test]
fn a_token_that_ends_during_a_run_is_renewed_and_no_row_is_lost() {
    // Each token serves for one page.
    let server = token_server(|_| 1);
    load_items(&env(&server, CLIENT_CREDENTIALS, ITEMS));
    let tokens = server.requests_for("/oauth/token").len();
    assert!((3..=4).contains(&tokens), "{tokens} tokens");
}

#[test]
fn many_requests_that_are_refused_together_cause_one_new_token() {
    let server = Server::start({
        let handed_out = AtomicUsize::new(0);
        move |request| match request.path.as_str() {
            "/oauth/token" => {
                let number = handed_out.fetch_add(1, Ordering::SeqCst) + 1;
                Reply::json(json!({ "access_token": format!("token-{number}-abcdef"), "expires_in": 3600 }))
            }
            "/parents" => Reply::json((0..40).map(|id| json!({ "id": id })).collect::<Vec<_>>()),
            _ if request.header("authorization") == Some("Bearer token-2-abcdef") => Reply::json(json!([{ "x": 1 }])),
            // Slow enough that many are in flight with the first token.
            _ => Reply::status(401).delayed(std::time::Duration::from_millis(50)),
        }
    });
    let resources = "[resources.parents]\nprimary_key = \"id\"\npaginator = \"single_page\"\n\
        [resources.children]\nparent = \"parents\"\npath = \"parents/{{ parent.id }}\"\npaginator = \"single_page\"\n";
    let env = env(&server, &format!("concurrency = 40\n{CLIENT_CREDENTIALS}"), resources);
    env.load().expect_code(0);
    assert_eq!(env.warehouse().count("api.children"), 40);
    assert_eq!(server.requests_for("/oauth/token").len(), 2);
}

#[test]
fn a_token_that_is_refused_also_when_new_is_a_clear_error() {
    let server = token_server(|_| 0);
    let outcome = env(&server, CLIENT_CREDENTIALS, ITEMS).load().expect_code(1);
    let outcome = outcome.expect_stderr(&["the server answered 401", "also with new credentials", "/items"]);
    assert_hidden(&outcome, &[SECRET, "token-1-abcdef", "token-2-abcdef"]);
    assert_eq!(server.requests().len(), 4);
}

#[test]
fn a_refused_token_request_is_asked_once_and_named() {
    let server = Server::start(|request| {
        let echo = format!("{{\"error\":\"invalid_client\",\"sent\":\"{}\"}}", request.body);
        Reply::new(400, "application/json", echo)
    });
    let resources = format!("{ITEMS}[resources.more]\npaginator = \"single_page\"\n");
    let env = env(&server, CLIENT_CREDENTIALS, &resources);
    let outcome = env.run(&["run", "api", "-vv"]).expect_code(1).expect_stderr(&[
        "the token request failed: the server answered 400",
        &format!("POST {}", server.url("/oauth/token")),
        "invalid_client",
        "client_secret",
    ]);
    assert_hidden(&outcome, &[SECRET]);
    assert_eq!(server.requests().len(), 1);
}

#[test]
fn a_token_request_is_retried_like_any_other() {
    let server = Server::start(|request| match (request.path.as_str(), request.number) {
        ("/oauth/token", 0) => Reply::status(503),
        ("/oauth/token", 1) => Reply::reset(),
        ("/oauth/token", 2) => Reply::json(json!({ "access_token": "cut-token-abcdef" })).truncated(20),
        ("/oauth/token", _) => Reply::json(json!({ "access_token": "whole-token-abcdef" })),
        _ if request.header("authorization") == Some("Bearer whole-token-abcdef") => items(request),
        _ => Reply::status(401),
    });
    let client = format!("{CLIENT_CREDENTIALS}\nretry = {{ max_attempts = 5, base_delay = \"1ms\" }}");
    let mut env = TestEnv::new();
    env.set("SECRET", SECRET);
    env.pipeline(&format!("name = \"api\"\n[client]\nbase_url = \"{}\"\n{client}\n{ITEMS}", server.url("/")));
    load_items(&env);
}

#[test]
fn a_token_endpoint_may_be_elsewhere_and_gets_what_the_file_says() {
    let tokens = Server::start(|request| {
        assert_eq!(request.path, "/connect/token");
        // "the+client:the-client-secret-5f4dcc3b": each part is form-encoded first.
        let basic = "Basic dGhlK2NsaWVudDp0aGUtY2xpZW50LXNlY3JldC01ZjRkY2MzYg==";
        assert_eq!(request.header("authorization"), Some(basic));
        assert_eq!(request.header("x-tenant"), Some("growth"));
        let fields: Value = serde_json::from_str(&request.body).unwrap();
        let expected = json!({ "grant_type": "password", "scope": "read write", "audience": "api", "username": "me" });
        assert_eq!(fields, expected);
        Reply::json(json!({ "data": { "token": 123456 }, "ttl": "3600" }))
    });
    let server = Server::start(|request| match request.header("x-access") {
        Some("Zoho 123456") => items(request),
        _ => Reply::status(401),
    });
    let auth = format!(
        "[client.auth]\ntype = \"oauth2_client_credentials\"\naccess_token_url = \"{}\"\nclient_id = \"the client\"\n\
         client_secret = \"${{SECRET}}\"\nclient_auth = \"basic\"\nscope = [\"read\", \"write\"]\n\
         access_token_request_format = \"json\"\ntoken_path = \"data.token\"\nexpires_in_path = \"ttl\"\n\
         header = \"X-Access\"\nprefix = \"Zoho \"\naccess_token_request_headers = {{ X-Tenant = \"growth\" }}\n\
         access_token_request_data = {{ grant_type = \"password\", audience = \"api\", username = \"me\" }}\n",
        tokens.url("/connect/token")
    );
    load_items(&env(&server, &auth, ITEMS));
    assert_eq!(tokens.requests().len(), 1);
    // The client's secret went to the endpoint alone.
    assert!(server.requests().iter().all(|r| r.header("authorization").is_none()));
}

#[test]
fn a_token_request_follows_no_redirect_to_another_origin() {
    let elsewhere = Server::start(|_| Reply::json(json!({ "access_token": "stolen" })));
    let location = elsewhere.url("/oauth/token");
    let server = Server::start(move |_| Reply::status(307).header("Location", location.clone()));
    // Links of the API may lead there; the client's secret may not.
    let client = format!("allowed_hosts = [{{ host = \"{}\", send_auth = true }}]\n", elsewhere.authority());
    let outcome = env(&server, &format!("{client}{CLIENT_CREDENTIALS}"), ITEMS).load().expect_code(1);
    outcome.expect_stderr(&["the token request failed", "another host"]);
    assert_eq!(elsewhere.requests().len(), 0);
}

/// A server that exchanges refresh tokens: each is good for once, and each answer has the next.
struct RefreshServer {
    server: Server,
    good: Arc<Mutex<String>>,
}

impl RefreshServer {
    fn start() -> RefreshServer {
        let good = Arc::new(Mutex::new("refresh-0-abcdef".to_owned()));
        let (current, count) = (good.clone(), AtomicUsize::new(0));
        let server = Server::start(move |request| {
            if request.path != "/oauth/token" {
                let is_known = request.header("authorization").is_some_and(|h| h.starts_with("Bearer access-"));
                return if is_known { items(request) } else { Reply::status(401) };
            }
            let mut current = current.lock().unwrap();
            if form(request).get("refresh_token") != Some(&*current) {
                return Reply::new(400, "application/json", "{\"error\":\"invalid_grant\"}");
            }
            let number = count.fetch_add(1, Ordering::SeqCst) + 1;
            *current = format!("refresh-{number}-abcdef");
            Reply::json(json!({ "access_token": format!("access-{number}"), "refresh_token": *current }))
        });
        RefreshServer { server, good }
    }

    fn env(&self, refresh_token: &str) -> TestEnv {
        let mut env = TestEnv::new();
        env.set("REFRESH_TOKEN", refresh_token);
        let auth = "auth = { type = \"oauth2_refresh_token\", access_token_url = \"oauth/token\", \
            client_id = \"the-client\", refresh_token = \"${REFRESH_TOKEN}\" }";
        env.pipeline(&pipeline_with_client(&self.server, auth, ITEMS));
        env
    }

    /// Which refresh tokens were sent.
    fn sent(&self) -> Vec<String> {
        self.server.requests_for("/oauth/token").iter().map(|r| form(r)["refresh_token"].clone()).collect()
    }
}

#[test]
fn an_exchanged_refresh_token_is_kept_for_its_owner_alone() {
    let api = RefreshServer::start();
    let env = api.env("refresh-0-abcdef");
    for _ in 0..3 {
        load_items(&env);
    }
    assert_eq!(api.sent(), ["refresh-0-abcdef", "refresh-1-abcdef", "refresh-2-abcdef"]);
    let mut holders = Vec::new();
    for (path, bytes) in env.bytes_below(".") {
        if bytes.windows(8).any(|w| w == b"refresh-") && !path.ends_with("pipelines/api.toml") {
            holders.push(path);
        }
    }
    let [file] = holders.as_slice() else { panic!("{holders:?}") };
    assert!(file.ends_with("state/api.tokens"), "{file:?}");
    let mode = std::os::unix::fs::PermissionsExt::mode(&std::fs::metadata(file).unwrap().permissions());
    assert_eq!(mode & 0o777, 0o600);
}

#[test]
fn an_exchanged_refresh_token_is_kept_also_when_the_run_is_interrupted() {
    let server = Server::start(|request| match request.path.as_str() {
        "/oauth/token" => Reply::json(json!({ "access_token": "access-1", "refresh_token": "refresh-next-abcdef" }))
            .delayed(std::time::Duration::from_millis(400)),
        _ => items(request),
    });
    let auth =
        "auth = { type = \"oauth2_refresh_token\", access_token_url = \"oauth/token\", refresh_token = \"${SECRET}\" }";
    let env = env(&server, auth, ITEMS);
    let running = env.start(&["run", "api"]);
    while server.requests().is_empty() {
        std::thread::sleep(std::time::Duration::from_millis(2));
    }
    let outcome = running.interrupt_and_wait().expect_code(130);
    assert_hidden(&outcome, &["refresh-next-abcdef"]);
    let kept = std::fs::read_to_string(env.path("state/api.tokens")).expect("a kept token");
    assert!(kept.contains("refresh-next-abcdef"));
}

#[test]
fn a_new_refresh_token_in_the_file_counts_more_than_a_kept_one() {
    let api = RefreshServer::start();
    let mut env = api.env("refresh-0-abcdef");
    load_items(&env);
    *api.good.lock().unwrap() = "refresh-new-abcdef".to_owned();
    env.set("REFRESH_TOKEN", "refresh-new-abcdef");
    load_items(&env);
    load_items(&env);
    assert_eq!(api.sent(), ["refresh-0-abcdef", "refresh-new-abcdef", "refresh-2-abcdef"]);
}

#[test]
fn a_kept_refresh_token_that_is_refused_gives_way_to_the_one_of_the_file_once() {
    let api = RefreshServer::start();
    let env = api.env("refresh-0-abcdef");
    load_items(&env);
    // The server forgot the exchange: the one of the file is good again.
    *api.good.lock().unwrap() = "refresh-0-abcdef".to_owned();
    load_items(&env);
    assert_eq!(api.sent()[1..], ["refresh-1-abcdef", "refresh-0-abcdef"]);
    // Neither is good any more: an error, after one try with each.
    *api.good.lock().unwrap() = "unknown".to_owned();
    api.server.forget();
    let outcome = env.load().expect_code(1).expect_stderr(&[
        "invalid_grant",
        "the kept refresh token, and the one",
        "new refresh token",
    ]);
    assert_hidden(&outcome, &["refresh-0-abcdef", "refresh-2-abcdef"]);
    assert_eq!(api.sent(), ["refresh-2-abcdef", "refresh-0-abcdef"]);
}

#[test]
fn a_login_gives_a_session_that_is_begun_anew_when_it_ends() {
    let logins = AtomicUsize::new(0);
    let uses = AtomicUsize::new(0);
    let server = Server::start(move |request| {
        if request.path == "/auth/login" {
            let body: Value = serde_json::from_str(&request.body).unwrap();
            assert_eq!(body, json!({ "user": "me", "password": SECRET }));
            assert_eq!((request.method.as_str(), request.param("tenant")), ("POST", Some("growth")));
            uses.store(0, Ordering::SeqCst);
            let number = logins.fetch_add(1, Ordering::SeqCst) + 1;
            let body = json!({ "session": { "token": format!("session-{number}-abcdef") } }).to_string();
            return Reply::new(201, "application/json", body);
        }
        let expected = format!("Bearer session-{}-abcdef", logins.load(Ordering::SeqCst));
        let is_over = uses.fetch_add(1, Ordering::SeqCst) >= 2;
        if is_over || request.header("authorization") != Some(expected.as_str()) {
            return Reply::status(403);
        }
        items(request)
    });
    let auth = "[client.auth]\ntype = \"session\"\ntoken_path = \"session.token\"\nrelogin_statuses = [401, 403]\n\
        [client.auth.login]\npath = \"/auth/login\"\njson = { user = \"me\", password = \"${SECRET}\" }\n\
        params = { tenant = \"{{ vars.team }}\" }\n[vars]\nteam = \"growth\"\n";
    load_items(&env(&server, auth, ITEMS));
    assert_eq!(server.requests_for("/auth/login").len(), 2);
}

#[test]
fn sessions_by_cookie_header_and_parameter() {
    type Login = fn() -> Reply;
    type Holds = fn(&Request) -> bool;
    let cases: &[(&str, Login, Holds)] = &[
        // A login form answers with a redirect, which sets the cookies.
        (
            "cookie = [\"sid\", \"csrf\"]",
            || {
                let reply = Reply::status(302)
                    .header("Location", "/home")
                    .header("Set-Cookie", "sid=s1-abcdef; Path=/; HttpOnly");
                reply.header("Set-Cookie", "csrf=c1-abcdef").header("Set-Cookie", "ads=1")
            },
            |r| r.header("cookie") == Some("lang=en; sid=s1-abcdef; csrf=c1-abcdef"),
        ),
        (
            "token_header = \"X-Token\"\nheader = \"X-Session\"",
            || Reply::status(204).header("X-Token", "h1-abcdef"),
            |r| r.header("x-session") == Some("h1-abcdef"),
        ),
        (
            "token_path = \"id\"\nparam = \"sid\"",
            || Reply::json(json!({ "id": "p1-abcdef" })),
            |r| r.param("sid") == Some("p1-abcdef"),
        ),
        (
            "token_path = \"id\"\ncookie = \"sid\"",
            || Reply::json(json!({ "id": "k1-abcdef" })),
            |r| r.header("cookie") == Some("lang=en; sid=k1-abcdef"),
        ),
    ];
    for (keys, login, holds) in cases {
        let (login, holds) = (*login, *holds);
        let server = Server::start(move |request| match request.path.as_str() {
            "/login" => {
                // "me:the-client-secret-5f4dcc3b"
                let basic = "Basic bWU6dGhlLWNsaWVudC1zZWNyZXQtNWY0ZGNjM2I=";
                if request.header("authorization") == Some(basic) { login() } else { Reply::status(401) }
            }
            _ if holds(request) => items(request),
            _ => Reply::status(401),
        });
        let auth = format!(
            "headers = {{ Cookie = \"lang=en\" }}\n[client.auth]\ntype = \"session\"\n{keys}\n\
             login = {{ path = \"login\", username = \"me\", password = \"${{SECRET}}\" }}\n"
        );
        let env = env(&server, &auth, ITEMS);
        let outcome = env.load_into(&env.warehouse(), &["-vv"]).expect_code(0);
        assert_eq!(env.warehouse().count("api.items"), 5, "{keys}");
        assert_hidden(&outcome, &[SECRET, "s1-abcdef", "c1-abcdef", "h1-abcdef", "p1-abcdef", "k1-abcdef"]);
        assert_eq!(server.requests_for("/login").len(), 1, "{keys}");
    }
}

#[test]
fn a_login_that_brings_no_token_is_named_and_shows_nothing() {
    let server = Server::start(|_| Reply::json(json!({ "accessToken": "hidden-token-abcdef", "message": "welcome" })));
    let auth = "auth = { type = \"session\", token_path = \"token\", login = { path = \"login\", form = { p = \"${SECRET}\" } } }";
    let env = env(&server, auth, ITEMS);
    let outcome = env.run(&["run", "api", "-vv"]).expect_code(1);
    let outcome = outcome.expect_stderr(&["the login brought no token at `token`", "accessToken, message", "welcome"]);
    assert_hidden(&outcome, &[SECRET, "hidden-token-abcdef"]);
    assert_eq!(server.requests().len(), 1);
}

#[test]
fn a_signed_jwt_goes_with_each_request_or_is_exchanged_for_a_token() {
    let claims_of = |token: &str| -> Value {
        use base64::prelude::{BASE64_URL_SAFE_NO_PAD, Engine};
        let part = token.split('.').nth(1).expect("three parts");
        serde_json::from_slice(&BASE64_URL_SAFE_NO_PAD.decode(part).unwrap()).unwrap()
    };
    let seen = Arc::new(Mutex::new(Vec::new()));
    let noted = seen.clone();
    let server = Server::start(move |request| match (request.path.as_str(), request.header("authorization")) {
        ("/token", _) => {
            let form = form(request);
            assert_eq!(form["grant_type"], "urn:ietf:params:oauth:grant-type:jwt-bearer");
            noted.lock().unwrap().push(claims_of(&form["assertion"]));
            Reply::json(json!({ "access_token": "exchanged-abcdef", "expires_in": 3600 }))
        }
        (_, Some("Bearer exchanged-abcdef")) => items(request),
        (_, Some(header)) if header.starts_with("JWT ey") => {
            noted.lock().unwrap().push(claims_of(&header[4..]));
            items(request)
        }
        _ => Reply::status(401),
    });
    let auth = "[client.auth]\ntype = \"jwt\"\nalgorithm = \"HS256\"\nkey = \"${SECRET}\"\n\
        claims = { iss = \"{{ vars.team }}\", admin = true }\n";
    let vars = "[vars]\nteam = \"growth\"\n";
    load_items(&env(&server, &format!("{auth}prefix = \"JWT \"\n{vars}"), ITEMS));
    let claims = seen.lock().unwrap()[0].clone();
    assert_eq!((&claims["iss"], &claims["admin"]), (&json!("growth"), &json!(true)));
    assert_eq!(claims["exp"].as_u64().unwrap() - claims["iat"].as_u64().unwrap(), 1200);

    seen.lock().unwrap().clear();
    load_items(&env(&server, &format!("{auth}access_token_url = \"token\"\n{vars}"), ITEMS));
    let seen = seen.lock().unwrap();
    assert_eq!(seen.len(), 1);
    assert_eq!(seen[0]["aud"], json!(server.url("/token")));
}

#[test]
fn keys_that_can_not_sign_are_mistakes_of_the_configuration() {
    let server = Server::start(items);
    let keys = [
        ("key = \"${SECRET}\"", "not a private key in PEM form"),
        ("key_file = \"missing.pem\"", "missing.pem"),
        ("key_file = \"broken.pem\"", "not one that RS256 signs with"),
    ];
    for (key, part) in keys {
        let auth = format!("auth = {{ type = \"jwt\", algorithm = \"RS256\", {key} }}");
        let env = env(&server, &auth, ITEMS);
        env.write("pipelines/broken.pem", "-----BEGIN PRIVATE KEY-----\nTm90IGEga2V5\n-----END PRIVATE KEY-----\n");
        let outcome = env.load().expect_code(2);
        assert_hidden(&outcome.expect_stderr(&[part]), &[SECRET, "Tm90IGEga2V5"]);
    }
    assert_eq!(server.requests().len(), 0);
}

/// MD5 of a text, in hexadecimal digits.
fn md5(text: String) -> String {
    use md5::Digest;
    md5::Md5::digest(text).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A parameter of a digest header.
fn digest_param<'h>(header: &'h str, name: &str) -> &'h str {
    let start = header.find(&format!("{name}=")).expect("the parameter") + name.len() + 1;
    header[start..].split(',').next().unwrap_or_default().trim_matches('"')
}

#[test]
fn a_digest_answers_the_challenge_and_goes_on_with_its_nonce() {
    let counts = Arc::new(Mutex::new(Vec::new()));
    let noted = counts.clone();
    let server = Server::start(move |request| {
        let challenge = |nonce: &str, stale: &str| {
            let value = format!("Digest realm=\"here\", nonce=\"{nonce}\", qop=\"auth\", opaque=\"o\"{stale}");
            Reply::status(401).header("WWW-Authenticate", value)
        };
        let Some(header) = request.header("authorization") else { return challenge("nonce-1", "") };
        let nonce = digest_param(header, "nonce");
        let (count, client_nonce) = (digest_param(header, "nc"), digest_param(header, "cnonce"));
        let query = request.params.iter().map(|(n, v)| format!("{n}={v}")).collect::<Vec<_>>().join("&");
        assert_eq!(digest_param(header, "uri"), format!("{}?{query}", request.path));
        let user = md5(format!("me:here:{SECRET}"));
        let asked = md5(format!("GET:{}", digest_param(header, "uri")));
        let expected = md5(format!("{user}:{nonce}:{count}:{client_nonce}:auth:{asked}"));
        if digest_param(header, "response") != expected {
            return challenge("nonce-1", "");
        }
        let mut noted = noted.lock().unwrap();
        noted.push(format!("{nonce} {count}"));
        // The first nonce serves twice.
        if nonce == "nonce-1" && noted.len() > 2 { challenge("nonce-2", ", stale=true") } else { items(request) }
    });
    let auth = "auth = { type = \"digest\", username = \"me\", password = \"${SECRET}\" }";
    load_items(&env(&server, auth, ITEMS));
    let seen = ["nonce-1 00000001", "nonce-1 00000002", "nonce-1 00000003", "nonce-2 00000001", "nonce-2 00000002"];
    let counts = counts.lock().unwrap();
    assert_eq!(counts[..], seen[..counts.len()]);
    assert!(counts.len() >= 4, "{counts:?}");

    server.forget();
    let wrong = "auth = { type = \"digest\", username = \"me\", password = \"another-password\" }";
    env(&server, wrong, ITEMS).load().expect_code(1).expect_stderr(&["401", "also with new credentials"]);
    assert_eq!(server.requests().len(), 2);
}

#[test]
fn a_digest_for_a_server_without_one_names_what_it_offers() {
    let server = Server::start(|_| Reply::status(401).header("WWW-Authenticate", "Basic realm=\"x\""));
    let auth = "auth = { type = \"digest\", username = \"me\", password = \"${SECRET}\" }";
    env(&server, auth, ITEMS).load().expect_code(1).expect_stderr(&["it offers: Basic realm=\"x\"", "http_basic"]);
}

#[test]
fn an_api_key_in_the_query_is_stripped_from_next_links_and_everything_shown() {
    let server = Server::start(|request| {
        assert_eq!(request.params.iter().filter(|(name, _)| name == "key").count(), 1, "{:?}", request.params);
        match request.param("page") {
            None => Reply::json(json!({ "data": [{ "id": 1 }], "next": format!("/items?page=2&key={SECRET}") })),
            Some("2") => Reply::json(json!({ "data": [{ "id": 2 }], "next": format!("/items?page=3&key={SECRET}") })),
            Some(_) => Reply::new(500, "text/plain", format!("no page for {SECRET}")),
        }
    });
    let auth = "auth = { type = \"api_key\", name = \"key\", api_key = \"${SECRET}\", location = \"query\" }";
    let resources = "[resources.items]\nprimary_key = \"id\"\npaginator = { type = \"json_link\" }\n";
    let env = env(&server, auth, resources);
    let outcome = env.load_into(&env.warehouse(), &["-vv"]).expect_code(1).expect_stderr(&["items?page=3\n"]);
    assert_hidden(&outcome, &[SECRET]);
}

#[test]
fn tokens_are_in_no_file() {
    let server = token_server(|_| 1);
    let env = env(&server, CLIENT_CREDENTIALS, ITEMS);
    for warehouse in env.destinations() {
        env.load_into(&warehouse, &["-vv", "--log-format", "json"]).expect_code(0);
    }
    for (path, bytes) in env.bytes_below(".") {
        for secret in ["-abcdef", SECRET] {
            let found = bytes.windows(secret.len()).any(|w| w == secret.as_bytes());
            assert!(!found, "{secret} is in {}", path.display());
        }
    }
}

#[test]
fn a_check_needs_no_server_and_no_secret() {
    let mut env = TestEnv::new();
    env.set("UNUSED", "x");
    env.pipeline(
        "[client]\nbase_url = \"https://api.example.com/\"\n[client.auth]\ntype = \"oauth2_client_credentials\"\n\
         access_token_url = \"token\"\nclient_id = \"${CLIENT_ID}\"\nclient_secret = \"${CLIENT_SECRET}\"\n[resources.items]\n",
    );
    let outcome = env.run(&["check", "api"]).expect_code(0);
    assert!(outcome.stdout.contains("CLIENT_ID, CLIENT_SECRET"), "{}", outcome.transcript());
}

#[test]
fn a_run_with_fewer_records_than_expected_fails_and_commits_nothing() {
    // A bad credential is answered with 200 and what anybody may see.
    let server = Server::start(|request| match request.header("authorization") {
        Some("Bearer the-client-secret-5f4dcc3b") => items(request),
        _ => Reply::json(json!([])),
    });
    let resources = format!("{ITEMS}write_disposition = \"replace\"\nexpect = {{ min_records = 1 }}\n");
    let auth = "auth = { type = \"bearer\", token = \"${SECRET}\" }";
    let mut env = env(&server, auth, &resources);
    load_items(&env);
    env.set("SECRET", "a-wrong-token");
    let outcome =
        env.load().expect_code(1).expect_stderr(&["there are 0 records, fewer than `expect` says", "min_records: 1"]);
    assert_eq!(outcome.resource("items")["status"], "failed");
    // The table is as it was.
    assert_eq!(env.warehouse().count("api.items"), 5);
}

#[test]
fn an_incremental_run_may_bring_nothing_once_it_goes_on_from_a_cursor() {
    let server = Server::start(|request| match request.param("since") {
        None => Reply::json(json!([{ "id": 1, "at": 7 }])),
        Some(_) => Reply::json(json!([])),
    });
    let resources = "[resources.items]\nprimary_key = \"id\"\npaginator = \"single_page\"\nexpect = { min_records = 1 }\n\
        incremental = { cursor_path = \"at\", start_param = \"since\" }\n";
    let env = env(&server, "", resources);
    env.load().expect_code(0);
    env.load().expect_code(0);
    // From the beginning it counts again.
    let few = resources.replace("min_records = 1", "min_records = 2");
    env.pipeline(&pipeline_with_client(&server, "", &few));
    env.load_into(&env.warehouse(), &["--full-refresh"]).expect_code(1).expect_stderr(&["fewer than `expect` says"]);
    assert_eq!(env.warehouse().count("api.items"), 1);
}

#[test]
fn the_first_answer_is_held_against_what_the_file_expects() {
    let server = Server::start(|_| Reply::json(json!({ "user": { "kind": "guest" }, "data": [{ "id": 1 }] })));
    let cases = [
        ("path = \"user.kind\", equals = \"guest\"", 0),
        ("path = \"user.kind\"", 0),
        ("path = \"user.kind\", equals = \"member\"", 1),
        ("path = \"user.name\"", 1),
    ];
    for (keys, code) in cases {
        let resources = format!(
            "[resources.items]\nprimary_key = \"id\"\ndata_selector = \"data\"\npaginator = \"single_page\"\nexpect = {{ {keys} }}\n"
        );
        let outcome = env(&server, "", &resources).load().expect_code(code);
        if code == 1 {
            outcome.expect_stderr(&["the first answer is not what `expect` says", "expected:", "guest", "/items"]);
        }
    }
}

#[test]
fn a_tape_of_logins_holds_no_token_and_plays_without_keys() {
    let api = RefreshServer::start();
    let env = api.env("refresh-0-abcdef");
    let recorded = env.destinations();
    env.load_into(&recorded[0], &["--record", "tape"]).expect_code(0);
    for (path, bytes) in env.bytes_below("tape") {
        for token in ["refresh-", "access-"] {
            let found = bytes.windows(token.len()).any(|w| w == token.as_bytes());
            assert!(!found, "{token} is in {}", path.display());
        }
    }
    let kept = std::fs::read(env.path("state/api.tokens")).expect("a kept token");
    api.server.forget();
    env.load_into(&env.warehouse(), &["--replay", "tape"]).expect_code(0);
    assert_eq!(env.warehouse().count("api.items"), 5);
    assert_eq!(api.server.requests().len(), 0);
    // The masks of a tape are not what the next run needs.
    assert_eq!(std::fs::read(env.path("state/api.tokens")).expect("a kept token"), kept);
}
