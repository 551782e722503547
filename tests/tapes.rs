//! `run --record` and `run --replay`: a recorded run can be repeated without a server, secrets or waits.

use crate::support::duck::{Dump, assert_same};
use crate::support::{Outcome, Reply, Request, Server, TestEnv, Warehouse, pipeline, pipeline_with_client};
use serde_json::{Value, json};

const TOKEN: &str = "tuG4rqqTS_Df7Ma0W73SrzTATkSyH-D7s7NAU2JHPGQ";
const KEY: &str = "key/with+odd=characters&9";

const VIDEOS: &str = "[resources.videos]\nprimary_key = \"id\"\npaginator = { type = \"offset\", limit = 100 }\n";

fn videos(request: &Request) -> Reply {
    let offset = request.number_param("offset", 0);
    Reply::json((offset..5).take(2).map(|id| json!({ "id": id, "title": format!("video {id}") })).collect::<Vec<_>>())
}

fn record(env: &TestEnv) -> Outcome {
    env.load_into(&Warehouse::duckdb(env.path("recorded.duckdb")), &["--record", "tape"])
}

fn replay(env: &TestEnv) -> Outcome {
    env.load_into(&replayed(env), &["--replay", "tape"])
}

fn replayed(env: &TestEnv) -> Warehouse {
    Warehouse::duckdb(env.path("replayed.duckdb"))
}

fn tape(env: &TestEnv) -> String {
    std::fs::read_to_string(env.path("tape/tape.jsonl")).expect("a tape")
}

/// Exchanges of the tape, without its header.
fn exchanges(env: &TestEnv) -> Vec<Value> {
    tape(env).lines().skip(1).map(|line| serde_json::from_str(line).expect("a line of JSON")).collect()
}

#[test]
fn a_recorded_run_is_repeated_without_a_server_for_both_destinations() {
    let env = TestEnv::new();
    let server = Server::start(videos);
    env.pipeline(&pipeline(&server, VIDEOS));
    let recorded = record(&env).expect_code(0);
    assert_eq!(exchanges(&env).len() as u64, recorded.resource("videos")["requests"]);
    let expected = Warehouse::duckdb(env.path("recorded.duckdb")).dump("api");
    assert_eq!(expected["videos"].len(), 5);
    drop(server);
    for warehouse in env.destinations() {
        let outcome = env.load_into(&warehouse, &["--replay", "tape"]).expect_code(0);
        assert_same(&warehouse.dump("api"), &expected, "the replay");
        for counter in ["requests", "pages", "records", "bytes"] {
            let count = |outcome: &Outcome| outcome.resource("videos")[counter].clone();
            assert_eq!(count(&outcome), count(&recorded), "{counter}");
        }
    }
}

#[test]
fn secrets_are_not_on_a_tape_and_not_needed_to_play_it() {
    let client = "auth = { type = \"bearer\", token = \"${API_TOKEN}\" }\n\
        headers = { X-Key = \"${API_KEY}\" }\nparams = { api_key = \"${API_KEY}\", team = \"a\" }\n";
    let resources = format!(
        "{VIDEOS}[resources.search]\nmethod = \"POST\"\njson = {{ key = \"${{API_KEY}}\", q = \"x\" }}\n\
         paginator = \"single_page\"\n"
    );
    let server = Server::start(|request| match request.path.as_str() {
        "/search" if !request.body.contains(KEY) => Reply::status(400),
        "/search" => Reply::json(json!([{ "id": 1, "echo": format!("Bearer {TOKEN}") }]))
            .header("Set-Cookie", "sid=cookie-value-1; Path=/")
            .header("X-Echo", KEY),
        _ => videos(request),
    });
    let mut env = TestEnv::new();
    let text = pipeline_with_client(&server, client, &resources).replace(&server.url("/"), "${API_BASE}");
    env.pipeline(&text);
    env.set("API_BASE", server.url("/"));
    env.set("API_TOKEN", TOKEN);
    env.set("API_KEY", KEY);
    let percent: String = url::form_urlencoded::byte_serialize(KEY.as_bytes()).collect();
    record(&env).expect_code(0);
    for (path, bytes) in env.bytes_below("tape") {
        for secret in [TOKEN, KEY, &percent, "cookie-value-1"] {
            let found = bytes.windows(secret.len()).any(|w| w == secret.as_bytes());
            assert!(!found, "{secret} is in {}", path.display());
        }
    }
    drop(server);
    let mut clean = TestEnv::new();
    clean.pipeline(&text);
    std::fs::create_dir(clean.path("tape")).expect("a folder");
    std::fs::copy(env.path("tape/tape.jsonl"), clean.path("tape/tape.jsonl")).expect("a copy");
    // What the environment has is not what the recorded run had.
    clean.set("API_BASE", "http://127.0.0.1:9/elsewhere/");
    replay(&clean).expect_code(0);
    let warehouse = replayed(&clean);
    assert_eq!(warehouse.count("api.videos"), 5);
    assert_eq!(warehouse.value("SELECT echo FROM api.search"), "***");
}

#[test]
fn a_request_that_is_not_on_the_tape_fails_at_once_and_names_the_nearest() {
    let env = TestEnv::new();
    let server = Server::start(videos);
    let with_team = |team: &str| pipeline(&server, &format!("{VIDEOS}params = {{ team = \"{team}\" }}\n"));
    env.pipeline(&with_team("a"));
    record(&env).expect_code(0);
    env.pipeline(&with_team("b"));
    let requests = server.requests().len();
    let outcome = replay(&env).expect_code(1).expect_stderr(&[
        "the request is not on the tape",
        "/videos?team=b&offset=0",
        "nearest: GET /videos?limit=100&offset=0&team=a (`team` was a, asked is b)",
        "--full-refresh",
    ]);
    assert_eq!(outcome.resource("videos")["requests"], 1, "nothing is tried again");
    assert_eq!(server.requests().len(), requests, "nothing goes to the server");
}

#[test]
fn failures_are_on_the_tape_and_waits_take_no_time_in_a_replay() {
    let env = TestEnv::new();
    let server = Server::start(|request| match request.number {
        0 => Reply::status(429).header("Retry-After", "1"),
        1 => Reply::json(json!([{ "id": 0 }, { "id": 1 }])).truncated(9),
        2 => Reply::reset(),
        _ => videos(request),
    });
    let limited = pipeline_with_client(&server, "rate_limit = \"1000/hour\"\n", VIDEOS);
    let limited = limited.replace("max_attempts = 3", "max_attempts = 9");
    env.pipeline(&limited);
    record(&env).expect_code(0);
    // Nobody would wait for this to end.
    let text = tape(&env).replace("\"retry-after\":\"1\"", "\"retry-after\":\"3000\"");
    assert!(text.contains("3000"), "{text}");
    env.write("tape/tape.jsonl", &text);
    let kept_windows = std::fs::read(env.path("state/api.limits")).expect("the rate windows");
    env.pipeline(&limited.replace("1000/hour", "1/hour").replace("\"10ms\"", "\"1m\"").replace("\"50ms\"", "\"1m\""));
    let outcome = replay(&env).expect_code(0);
    let videos = outcome.resource("videos");
    assert_eq!((&videos["records"], &videos["retries"]), (&json!(5), &json!(3)));
    assert_eq!(std::fs::read(env.path("state/api.limits")).expect("the rate windows"), kept_windows);
}

#[test]
fn a_replay_says_the_time_at_which_the_recorded_run_began() {
    let env = TestEnv::new();
    let server = Server::start(videos);
    env.pipeline(&pipeline(&server, &format!("{VIDEOS}params = {{ until = \"{{{{ run.started_at }}}}\" }}\n")));
    record(&env).expect_code(0);
    let recorded = server.requests()[0].param("until").expect("the parameter").to_owned();
    drop(server);
    replay(&env).expect_code(0);
    let loaded = "SELECT max(_pintail_loaded_at)::TIMESTAMPTZ > TIMESTAMPTZ ";
    assert_eq!(replayed(&env).value(&format!("{loaded}'{recorded}' FROM api.videos")), "true");
}

#[test]
fn a_killed_run_leaves_a_tape_that_can_be_played() {
    let env = TestEnv::new();
    let server = Server::start(|request| match request.number {
        2 => videos(request).delayed(std::time::Duration::from_secs(30)),
        _ => videos(request),
    });
    env.pipeline(&pipeline(&server, VIDEOS));
    let running = env.start(&["run", "api", "--record", "tape"]);
    while server.requests().len() < 3 {
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    running.kill();
    assert_eq!(exchanges(&env).len(), 2);
    let outcome = replay(&env).expect_code(1).expect_stderr(&["not on the tape", "`offset` was 2, asked is 4"]);
    assert_eq!(outcome.resource("videos")["records"], 4);
}

#[test]
fn recording_again_replaces_the_tape_and_spares_other_files() {
    let env = TestEnv::new();
    let server = Server::start(videos);
    env.pipeline(&pipeline(&server, VIDEOS));
    let args = ["run", "api", "--full-refresh", "--record", "tape"];
    for _ in 0..2 {
        env.run(&args).expect_code(0);
        assert_eq!(exchanges(&env).len(), 4);
    }
    let requests = server.requests().len();
    env.write("mine/notes.txt", "mine");
    env.run(&["run", "api", "--record", "mine"]).expect_code(2).expect_stderr(&["is not empty", "mine"]);
    env.write("pipelines/other.toml", &pipeline(&server, VIDEOS).replace("\"api\"", "\"other\""));
    env.run(&["run", "other", "--record", "tape"]).expect_code(2).expect_stderr(&["tape of another pipeline", "api"]);
    env.run(&["run", "other", "--replay", "tape"]).expect_code(2).expect_stderr(&["not one of the pipeline `other`"]);
    assert_eq!(server.requests().len(), requests, "nothing is requested");
    assert_eq!(exchanges(&env).len(), 4);
}

#[test]
fn what_cannot_be_recorded_or_replayed_is_a_usage_error() {
    let env = TestEnv::new();
    let server = Server::start(videos);
    env.pipeline(&pipeline(&server, VIDEOS));
    env.write("pipelines/other.toml", &pipeline(&server, VIDEOS).replace("\"api\"", "\"other\""));
    env.write("newer/tape.jsonl", "{\"pintail_tape\":2,\"reels\":3}\n");
    let cases: [(&[&str], &str); 5] = [
        (&["api", "--record", "a", "--replay", "b"], "cannot be used with"),
        (&["api", "other", "--record", "a"], "a tape is one pipeline's"),
        (&["api", "other", "--replay", "a"], "a tape is one pipeline's"),
        (&["api", "--replay", "nowhere"], "there is no tape"),
        (&["api", "--replay", "newer"], "version 2 of the format"),
    ];
    for (args, message) in cases {
        env.run(&[&["run"], args].concat()).expect_code(2).expect_stderr(&[message]);
    }
    assert_eq!(server.requests().len(), 0);
}

/// A pipeline of the project with the sample server that its tape was recorded from.
struct Bundled {
    name: &'static str,
    /// What the recorded run had in its environment.
    variables: Vec<(&'static str, String)>,
    _server: Server,
}

impl Bundled {
    fn mindstamp() -> Bundled {
        let server = crate::mindstamp::sample();
        Bundled { name: "mindstamp", variables: crate::mindstamp::variables(&server), _server: server }
    }

    fn mind() -> Bundled {
        let server = crate::mind::sample();
        Bundled { name: "mind", variables: crate::mind::variables(&server), _server: server }
    }

    fn stintmint() -> Bundled {
        let server = crate::stintmint::sample();
        Bundled { name: "stintmint", variables: crate::stintmint::variables(&server), _server: server }
    }

    /// Runs the pipeline where it is, into a warehouse of the test.
    fn run(&self, env: &TestEnv, warehouse: &Warehouse, further_args: &[&str]) -> Outcome {
        let file = format!("{}/pipelines/{}.toml", env!("CARGO_MANIFEST_DIR"), self.name);
        env.run(&[&["run", &file, "--destination", &warehouse.flag()], further_args].concat()).expect_code(0)
    }

    /// The tape says what the sample server says. With `PINTAIL_RECORD_TAPES` set, it is recorded anew first.
    fn check(&self) {
        let folder = format!("{}/tests/tapes/{}", env!("CARGO_MANIFEST_DIR"), self.name);
        let mut live = TestEnv::new();
        for (name, value) in &self.variables {
            live.set(name, value);
        }
        let expected = Warehouse::duckdb(live.path("live.duckdb"));
        let is_recording = std::env::var_os("PINTAIL_RECORD_TAPES").is_some();
        let recording = ["--record", &folder];
        self.run(&live, &expected, if is_recording { &recording } else { &[] });
        let offline = TestEnv::new();
        for warehouse in offline.destinations() {
            self.run(&offline, &warehouse, &["--replay", &folder]);
            let (found, expected) = (warehouse.dump(self.name), expected.dump(self.name));
            assert_same(&without_ports(found), &without_ports(expected), self.name);
        }
    }
}

/// The sample server has another port each time, which is in the `url` of a stored file.
fn without_ports(mut dump: Dump) -> Dump {
    const HOST: &str = "http://127.0.0.1:";
    for line in dump.values_mut().flatten() {
        let Some((before, after)) = line.split_once(HOST) else { continue };
        *line = format!("{before}{HOST}{}", after.trim_start_matches(|c: char| c.is_ascii_digit()));
    }
    dump
}

#[test]
fn the_tape_of_mindstamp_replays_offline_without_a_token() {
    Bundled::mindstamp().check();
}

#[test]
fn the_tape_of_mind_replays_offline_without_a_token() {
    Bundled::mind().check();
}

#[test]
fn the_tape_of_stintmint_replays_offline_without_a_password_and_without_waiting() {
    Bundled::stintmint().check();
}

#[test]
fn no_tape_of_the_project_holds_a_secret() {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/tapes");
    let mut count = 0;
    for entry in std::fs::read_dir(&root).expect("the tapes") {
        let tape = entry.expect("a readable entry").path().join("tape.jsonl");
        let text = std::fs::read_to_string(&tape).unwrap_or_else(|e| panic!("{}: {e}", tape.display()));
        for bundled in [Bundled::mindstamp(), Bundled::mind(), Bundled::stintmint()] {
            for (name, value) in &bundled.variables {
                let is_secret = ["TOKEN", "KEY", "PASSWORD", "EMAIL"].iter().any(|word| name.ends_with(word));
                assert!(!is_secret || !text.contains(value), "{name} is in {}", tape.display());
            }
        }
        for line in text.lines().skip(1) {
            let exchange: Value = serde_json::from_str(line).expect("a line of JSON");
            let authorization = &exchange["request"]["headers"]["authorization"];
            assert!(authorization.is_null() || authorization == "***", "{line}");
        }
        count += 1;
    }
    assert!(count > 0, "no tapes in {}", root.display());
}
