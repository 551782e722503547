//! What a run leaves for people who were not there: reports, a log file, word of failures.

use crate::support::{Reply, Request, Server, TestEnv, pipeline};
use serde_json::{Value, json};
use std::os::unix::fs::PermissionsExt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

const VIDEOS: &str = "[resources.videos]\nprimary_key = \"id\"\npaginator = \"single_page\"\n";

/// An API that answers, and one that fails, told apart by the path of their resource.
fn api() -> Server {
    Server::start(|request| match request.path.as_str() {
        "/videos" => Reply::json(json!([{ "id": 1 }])),
        _ => Reply::status(404),
    })
}

fn failing(env: &TestEnv, server: &Server) {
    env.pipeline(&pipeline(server, &format!("{VIDEOS}[resources.views]\npaginator = \"single_page\"\n")));
}

/// Whoever wants to know of failures.
fn hook(reply: impl Fn(&Request) -> Reply + Send + Sync + 'static) -> Server {
    Server::start(reply)
}

fn report_files(env: &TestEnv) -> Vec<String> {
    let Ok(entries) = std::fs::read_dir(env.path("state/reports/api")) else { return Vec::new() };
    let mut names: Vec<String> =
        entries.map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    names
}

#[test]
fn each_run_leaves_its_report_and_the_oldest_make_way() {
    let server = api();
    let env = TestEnv::new();
    env.write("config.toml", "[run]\nkeep_reports = 2\n");
    env.pipeline(&pipeline(&server, VIDEOS));
    let reports: Vec<Value> =
        (0..3).map(|_| env.run(&["run", "api", "--output", "json"]).expect_code(0).report()).collect();
    let expected: Vec<String> =
        reports[1..].iter().map(|r| format!("{}.json", r["load_id"].as_str().unwrap())).collect();
    assert_eq!(report_files(&env), expected);
    let kept: Value = serde_json::from_str(&env.read(&format!("state/reports/api/{}", expected[1]))).unwrap();
    assert_eq!(kept, reports[2]);
    env.write("config.toml", "[run]\nkeep_reports = 0\n");
    env.run(&["run", "api"]).expect_code(0);
    assert_eq!(report_files(&env), expected);
}

#[test]
fn a_run_that_could_not_begin_leaves_a_report_that_status_shows() {
    let server = api();
    let env = TestEnv::new();
    env.write("config.toml", "[run]\nlock_wait = \"200ms\"\n");
    env.pipeline(&pipeline(&server, VIDEOS));
    env.run(&["run", "api"]).expect_code(0);
    let holder = duckdb::Connection::open(env.path("warehouse.duckdb")).expect("a file to hold");
    let printed = env.run(&["run", "api", "--output", "json"]).expect_code(4).report();
    drop(holder);
    let files = report_files(&env);
    assert_eq!(files.len(), 2);
    assert!(files[1].ends_with("_not_begun.json"), "{files:?}");
    let kept: Value = serde_json::from_str(&env.read(&format!("state/reports/api/{}", files[1]))).unwrap();
    assert_eq!(kept, printed);
    let told = env.run(&["status", "api"]).expect_code(1).expect_stdout(&["api: failed"]);
    assert!(told.stdout.contains("the warehouse is open in another process"), "{}", told.transcript());
    env.run(&["run", "api"]).expect_code(0);
    env.run(&["status", "api"]).expect_code(0);
}

#[test]
fn a_failure_is_posted_once_with_what_went_wrong_and_without_secrets() {
    let server = api();
    let hook = hook(|_| Reply::status(204));
    let mut env = TestEnv::new();
    env.set("HOOK", "path-that-is-a-secret");
    env.write("config.toml", &format!("[notify]\non_failure = \"{}${{HOOK}}\"\n", hook.url("/to/")));
    failing(&env, &server);
    let outcome = env.run(&["run", "api", "--output", "json"]).expect_code(1);
    let requests = hook.requests();
    assert_eq!(requests.len(), 1, "{}", outcome.transcript());
    assert_eq!((requests[0].method.as_str(), requests[0].path.as_str()), ("POST", "/to/path-that-is-a-secret"));
    assert_eq!(requests[0].header("content-type"), Some("application/json"));
    let told: Value = serde_json::from_str(&requests[0].body).unwrap();
    let report = outcome.report();
    assert_eq!((&told["event"], &told["pipeline"]), (&json!("run_failed"), &json!("api")));
    assert_eq!((&told["status"], &told["exit_code"]), (&json!("failed"), &json!(1)));
    assert_eq!((&told["load_id"], &told["failures"][0]["resource"]), (&report["load_id"], &json!("views")));
    assert!(told["error"].as_str().is_some_and(|e| e.starts_with("views: ") && e.contains("404")), "{told}");
    assert!(told["text"].as_str().is_some_and(|t| t.starts_with("pintail: api failed on ")), "{told}");
    let path = std::path::PathBuf::from(told["report"].as_str().unwrap());
    let kept: Value = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    assert_eq!(kept, report);
    assert!(!outcome.transcript().contains("path-that-is-a-secret"), "{}", outcome.transcript());

    hook.forget();
    env.pipeline(&pipeline(&server, VIDEOS));
    env.run(&["run", "api"]).expect_code(0);
    assert!(hook.requests().is_empty(), "a good run is nobody's business");
}

#[test]
fn runs_that_could_not_begin_are_told_of_too() {
    let server = api();
    let hook = hook(|_| Reply::status(200));
    let env = TestEnv::new();
    let config = format!("[run]\nlock_wait = \"200ms\"\n[notify]\non_failure = \"{}\"\n", hook.url("/hook"));
    env.write("config.toml", &config);
    env.pipeline(&pipeline(&server, VIDEOS));
    env.write("pipelines/wrong.toml", "nam = 1\n");
    let holder = duckdb::Connection::open(env.path("warehouse.duckdb")).expect("a file to hold");
    env.run(&["run", "api"]).expect_code(4);
    drop(holder);
    env.run(&["run", "api", "wrong", "absent"]).expect_code(2);
    let told: Vec<Value> = hook.requests().iter().map(|r| serde_json::from_str(&r.body).unwrap()).collect();
    let facts: Vec<_> =
        told.iter().map(|t| (t["pipeline"].clone(), t["exit_code"].clone(), t["load_id"].clone())).collect();
    let expected = [("api", 4), ("wrong", 2), ("absent", 2)];
    assert_eq!(facts, expected.map(|(name, code)| (json!(name), json!(code), Value::Null)));
    assert!(told[1]["error"].as_str().is_some_and(|e| e.contains("wrong.toml")), "{}", told[1]);
    assert!(server.requests().is_empty(), "nothing was requested");
}

#[test]
fn an_address_that_fails_is_a_warning_and_the_exit_code_stays() {
    let server = api();
    let tries = Arc::new(AtomicU32::new(0));
    let count = tries.clone();
    let hook = hook(move |_| Reply::status(if count.fetch_add(1, Ordering::SeqCst) == 0 { 503 } else { 404 }));
    let env = TestEnv::new();
    env.write("config.toml", &format!("[notify]\non_failure = \"{}\"\n", hook.url("/hook")));
    failing(&env, &server);
    let outcome = env.run(&["run", "api"]).expect_code(1);
    assert!(outcome.stderr.contains("warning: nobody could be told of the failure"), "{}", outcome.transcript());
    assert!(outcome.stderr.contains("status: 404"), "{}", outcome.transcript());
    assert_eq!(tries.load(Ordering::SeqCst), 2, "503 is tried again, 404 is not");
    assert!(!outcome.stderr.contains(&hook.url("/hook")), "the address is not shown\n{}", outcome.transcript());
}

#[test]
fn a_command_gets_the_report_on_its_stdin_and_the_facts_in_its_environment() {
    let server = api();
    let env = TestEnv::new();
    let script = "#!/bin/sh\ncat > told.json\necho noise\nprintf '%s\\n' \"$1\" \"$PINTAIL_PIPELINE\" \"$PINTAIL_STATUS\" \
        \"$PINTAIL_EXIT_CODE\" \"$PINTAIL_LOAD_ID\" \"$PINTAIL_REPORT\" > told.txt\nprintf '%s' \"$PINTAIL_ERROR\" > error.txt\n";
    let path = env.write("operator/tell", script);
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
    let config = "pipelines_dir = \"../pipelines\"\n[notify]\non_failure = { command = [\"./tell\", \"ann\"] }\n";
    env.write("operator/config.toml", config);
    failing(&env, &server);
    let outcome = env.run(&["run", "api", "--config", "operator/config.toml", "--output", "json"]).expect_code(1);
    let report = outcome.report();
    let told: Value = serde_json::from_str(&env.read("operator/told.json")).unwrap();
    assert_eq!(told, report);
    let lines = env.read("operator/told.txt");
    let lines: Vec<&str> = lines.lines().collect();
    assert_eq!(lines[..5], ["ann", "api", "failed", "1", report["load_id"].as_str().unwrap()]);
    assert!(std::path::Path::new(lines[5]).is_file(), "{lines:?}");
    assert!(env.read("operator/error.txt").starts_with("views: "));

    env.write("operator/config.toml", &config.replace("./tell", "./absent"));
    let outcome = env.run(&["run", "api", "--config", "operator/config.toml"]).expect_code(1);
    assert!(outcome.stderr.contains("the command can't be run"), "{}", outcome.transcript());
    env.write("operator/config.toml", &config.replace("[\"./tell\", \"ann\"]", "[\"sh\", \"-c\", \"exit 3\"]"));
    let outcome = env.run(&["run", "api", "--config", "operator/config.toml"]).expect_code(1);
    assert!(outcome.stderr.contains("the command failed"), "{}", outcome.transcript());
}

#[test]
fn log_lines_and_errors_are_appended_to_the_log_file_without_secrets() {
    let server = api();
    let mut env = TestEnv::new();
    env.set("TOKEN", "a-token-that-is-a-secret");
    env.write("config.toml", "[log]\nfile = \"logs/pintail.log\"\nlevel = \"debug\"\n");
    let with_token = |resources: &str| {
        let auth = "auth = { type = \"bearer\", token = \"${TOKEN}\" }\n";
        crate::support::pipeline_with_client(&server, auth, resources)
    };
    env.pipeline(&with_token(&format!("{VIDEOS}[resources.views]\npath = \"a-token-that-is-a-secret\"\n")));
    env.run(&["run", "api", "-q"]).expect_code(1);
    let first = env.read("logs/pintail.log");
    assert!(first.contains("error") || first.contains("ERROR"), "{first}");
    assert!(first.contains("404") && first.contains("***") && !first.contains("a-token-that-is-a-secret"), "{first}");
    assert!(!first.contains('\u{1b}'), "no colours in a file\n{first}");
    env.pipeline(&with_token(VIDEOS));
    let outcome = env.run(&["run", "api"]).expect_code(0);
    let both = env.read("logs/pintail.log");
    assert!(both.starts_with(&first) && both.len() > first.len(), "appended\n{both}");
    assert!(outcome.stderr.lines().all(|line| both.contains(line)), "{}\n{both}", outcome.transcript());
    env.write(
        "config.toml",
        "[log]\nfile = \"logs/pintail.log\"\nformat = \"json\"\nfile_size = 100\nfile_count = 2\n",
    );
    env.run(&["run", "absent"]).expect_code(2);
    let new = env.read("logs/pintail.log");
    let line: Value = serde_json::from_str(new.lines().last().unwrap()).unwrap();
    assert_eq!(line["level"], "ERROR", "what was told on stderr is in the file too: {new}");
    assert!(env.path("logs/pintail.log.1").exists(), "the full file made way");
}

#[test]
fn a_log_file_that_cannot_be_written_is_a_warning() {
    let server = api();
    let env = TestEnv::new();
    env.write("config.toml", "[log]\nfile = \"taken/pintail.log\"\n");
    env.write("taken", "a file where a folder should be");
    env.pipeline(&pipeline(&server, VIDEOS));
    let outcome = env.run(&["run", "api"]).expect_code(0);
    let warnings = outcome.stderr.matches("the log file can't be written").count();
    assert_eq!(warnings, 1, "{}", outcome.transcript());
}
