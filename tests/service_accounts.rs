//! Keys in the JSON that Google gives for service accounts, and members of JSON files as secrets.

use crate::support::{Outcome, Reply, Request, Server, TestEnv, pipeline_with_client};
use base64::prelude::{BASE64_URL_SAFE_NO_PAD, Engine};
use serde_json::{Value, json};
use std::collections::HashMap;

/// Made for tests; it opens nothing.
const RSA_KEY: &str = include_str!("../src/http/auth/jwt/test_rsa_key.pem");

const ITEMS: &str = "[resources.items]\nprimary_key = \"id\"\npaginator = \"single_page\"\n";

/// A part of a JWT.
fn part(token: &str, number: usize) -> Value {
    let part = token.split('.').nth(number).expect("three parts");
    serde_json::from_slice(&BASE64_URL_SAFE_NO_PAD.decode(part).expect("base64")).expect("JSON")
}

fn form(request: &Request) -> HashMap<String, String> {
    url::form_urlencoded::parse(request.body.as_bytes()).into_owned().collect()
}

/// Hands out a token at `/token` for an assertion, and takes that token or a JWT.
fn server() -> Server {
    Server::start(|request: &Request| match (request.path.as_str(), request.header("authorization")) {
        ("/token", _) if form(request).contains_key("assertion") => {
            Reply::json(json!({ "access_token": "exchanged-abcdef", "expires_in": 3600 }))
        }
        ("/items", Some(header)) if header == "Bearer exchanged-abcdef" || header.starts_with("Bearer ey") => {
            Reply::json(vec![json!({ "id": 1 })])
        }
        _ => Reply::status(401),
    })
}

fn account(server: &Server) -> Value {
    json!({
        "type": "service_account",
        "private_key_id": "key-7",
        "private_key": RSA_KEY,
        "client_email": "loader@project.iam.example.com",
        "token_uri": server.url("/token"),
    })
}

fn env(server: &Server, auth: &str, account: &Value) -> TestEnv {
    let mut env = TestEnv::new();
    env.set("ACCOUNT", account.to_string());
    env.write("pipelines/sa.json", &serde_json::to_string_pretty(account).expect("JSON"));
    env.pipeline(&pipeline_with_client(server, &format!("auth = {{ {auth} }}"), ITEMS));
    env
}

#[track_caller]
fn assert_hidden(outcome: &Outcome) {
    let body: Vec<&str> = RSA_KEY.lines().filter(|line| !line.starts_with("-----")).collect();
    for secret in body.into_iter().chain(["exchanged-abcdef"]) {
        assert!(!outcome.stdout.contains(secret) && !outcome.stderr.contains(secret), "{}", outcome.transcript());
    }
}

#[test]
fn the_json_of_a_service_account_is_all_that_an_exchange_needs() {
    for auth in [
        "type = \"jwt\", key_file = \"sa.json\", scope = [\"read\", \"list\"]",
        "type = \"jwt\", algorithm = \"RS256\", key = \"${ACCOUNT}\", scope = [\"read\", \"list\"]",
    ] {
        let server = server();
        let outcome = env(&server, auth, &account(&server)).load().expect_code(0);
        assert_hidden(&outcome);
        let requests = server.requests();
        let form = form(&requests[0]);
        assert_eq!(form["grant_type"], "urn:ietf:params:oauth:grant-type:jwt-bearer");
        assert!(!form.contains_key("scope"), "what is asked for is a claim");
        let (header, claims) = (part(&form["assertion"], 0), part(&form["assertion"], 1));
        assert_eq!((&header["alg"], &header["kid"]), (&json!("RS256"), &json!("key-7")), "{auth}");
        assert_eq!(claims["iss"], "loader@project.iam.example.com");
        assert_eq!((&claims["aud"], &claims["scope"]), (&json!(server.url("/token")), &json!("read list")));
        assert!(claims.get("sub").is_none(), "a subject would be a user to act for");
        assert_eq!(requests.len(), 2);
    }
}

#[test]
fn what_the_file_says_wins_over_the_account() {
    let server = server();
    let other = json!({ "token_uri": "http://127.0.0.1:9/nowhere" });
    let mut account = account(&server);
    account.as_object_mut().expect("an object").extend(other.as_object().expect("an object").clone());
    let auth = "type = \"jwt\", key_file = \"sa.json\", access_token_url = \"token\", jwt_headers = { kid = \"mine\" }, \
        claims = { iss = \"me\", sub = \"user@example.com\", scope = \"all\" }";
    env(&server, auth, &account).load().expect_code(0);
    let assertion = form(&server.requests()[0])["assertion"].clone();
    assert_eq!(part(&assertion, 0)["kid"], "mine");
    let claims = part(&assertion, 1);
    assert_eq!((&claims["iss"], &claims["sub"]), (&json!("me"), &json!("user@example.com")));
    assert_eq!((&claims["scope"], &claims["aud"]), (&json!("all"), &json!(server.url("/token"))));
}

#[test]
fn without_an_exchange_the_account_speaks_for_itself() {
    let server = server();
    env(&server, "type = \"jwt\", key_file = \"sa.json\"", &account(&server)).load().expect_code(0);
    let requests = server.requests();
    assert_eq!(requests.len(), 1);
    let token = requests[0].header("authorization").expect("a header").trim_start_matches("Bearer ").to_owned();
    let claims = part(&token, 1);
    let email = json!("loader@project.iam.example.com");
    assert_eq!((&claims["iss"], &claims["sub"], &claims["aud"]), (&email, &email, &json!(server.url("/"))));
}

#[test]
fn a_recorded_exchange_is_replayed_without_the_key() {
    let server = server();
    let account = account(&server);
    let env = env(&server, "type = \"jwt\", key_file = \"sa.json\", scope = \"read\"", &account);
    let run = |args: &[&str]| env.run(&[&["run", "api", "--output", "json"], args].concat());
    assert_hidden(&run(&["--record", "tape"]).expect_code(0));
    for entry in walk(&env.path("tape")) {
        let text = String::from_utf8_lossy(&std::fs::read(&entry).expect("a file")).into_owned();
        assert!(!text.contains("exchanged-abcdef") && !text.contains("eyJ"), "{}: {text}", entry.display());
    }
    let keyless = json!({ "private_key": "none", "token_uri": account["token_uri"] });
    env.write("pipelines/sa.json", &keyless.to_string());
    run(&["--replay", "tape", "--destination", "duckdb:replayed.duckdb"]).expect_code(0);
    assert_eq!(server.requests().len(), 2);
}

fn walk(folder: &std::path::Path) -> Vec<std::path::PathBuf> {
    let entries = std::fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("an entry").path());
    entries.flat_map(|path| if path.is_dir() { walk(&path) } else { vec![path] }).collect()
}

#[test]
fn accounts_that_can_not_be_used_are_mistakes_of_the_configuration() {
    let server = server();
    let good = account(&server);
    let without = |name: &str| {
        let mut account = good.clone();
        account.as_object_mut().expect("an object").remove(name);
        account
    };
    let user = json!({ "type": "authorized_user", "refresh_token": "hidden-token" });
    let scoped = "type = \"jwt\", key_file = \"sa.json\", scope = \"read\"";
    for (account, auth, says) in [
        (user, scoped, "authorized_user"),
        (without("private_key"), scoped, "JSON without a `private_key`"),
        (without("token_uri"), scoped, "has no `token_uri`"),
        (json!("text"), scoped, "not a private key in PEM form"),
        (good.clone(), "type = \"jwt\", key = \"x\"", "`algorithm` is missing"),
        (
            good.clone(),
            "type = \"jwt\", algorithm = \"HS256\", key = \"x\", scope = \"s\"",
            "without `access_token_url`",
        ),
        (
            good.clone(),
            "type = \"jwt\", algorithm = \"HS256\", key = \"${ACCOUNT_X:-x}\", scope = \"s\"",
            "nothing says where",
        ),
    ] {
        let outcome = env(&server, auth, &account).load().expect_code(2).expect_stderr(&[says]);
        assert_hidden(&outcome);
        assert!(!outcome.stderr.contains("hidden-token"));
    }
    assert!(server.requests().is_empty());
}

#[test]
fn a_member_of_a_json_file_is_a_secret() {
    let server = Server::start(|request: &Request| match request.header("authorization") {
        Some("Bearer member-token-1") => Reply::json(vec![json!({ "id": 1 })]),
        _ => Reply::status(401),
    });
    let document =
        json!({ "token": "member-token-1", "deep": { "token": "member-token-1", "n": 7 }, "a.b": "member-token-1" });
    for member in ["token", "deep.token", "a.b"] {
        let auth = format!("type = \"bearer\", token = \"${{file:sa.json#{member}}}\"");
        let outcome = env(&server, &auth, &document).load().expect_code(0);
        assert!(!outcome.stderr.contains("member-token-1"));
    }
    for (place, says) in [
        ("sa.json#none", "the file `sa.json` has no `none`"),
        ("sa.json#deep", "neither a text nor a number"),
        ("sa.json#", "needs the name of a member"),
        ("other.json#token", "the file `other.json` can't be read"),
        ("api.toml#token", "the file `api.toml` is not JSON"),
    ] {
        let auth = format!("type = \"bearer\", token = \"${{file:{place}}}\"");
        let outcome = env(&server, &auth, &document).load().expect_code(2).expect_stderr(&[says]);
        assert!(!outcome.stderr.contains("member-token-1"));
    }
}
