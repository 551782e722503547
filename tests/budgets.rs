//! Budgets of a command: time and requests. What is spent ends a run cleanly, and the next one goes on.

use crate::support::{Outcome, Reply, Request, Server, TestEnv, pipeline};
use serde_json::{Value, json};
use std::time::Duration;

/// 40 videos, ten each day.
fn videos() -> Vec<Value> {
    (0..40).map(|id| json!({ "id": id, "updated_at": format!("2026-01-{:02}T00:00:00Z", 1 + id / 10) })).collect()
}

/// Those of a range in pages of five.
fn page(records: &[Value], request: &Request) -> Reply {
    let inside = |record: &&Value| {
        let at = record["updated_at"].as_str().expect("a time");
        request.param("since").is_none_or(|since| at >= since) && request.param("until").is_none_or(|until| at < until)
    };
    let page: Vec<Value> =
        records.iter().filter(inside).skip(request.number_param("offset", 0)).take(5).cloned().collect();
    Reply::json(page)
}

fn serve() -> Server {
    let records = videos();
    Server::start(move |request| page(&records, request))
}

fn resource(keys: &str) -> String {
    format!("[resources.videos]\npaginator = {{ type = \"offset\", limit = 5 }}\n{keys}")
}

const DAILY: &str = "primary_key = \"id\"\n[resources.videos.incremental]\ncursor_path = \"updated_at\"\n\
    start_param = \"since\"\nend_param = \"until\"\ninitial_value = \"2026-01-01T00:00:00Z\"\n\
    end_value = \"2026-01-05T00:00:00Z\"\nwindow = \"1d\"\n";

const UNORDERED: &str = "[resources.videos.incremental]\ncursor_path = \"updated_at\"\nstart_param = \"since\"\n";

fn run(env: &TestEnv, budget: &[&str]) -> Outcome {
    env.run(&[&["run", "api", "--output", "json"], budget].concat())
}

fn warnings(outcome: &Outcome) -> String {
    outcome.resource("videos")["warnings"].to_string()
}

#[test]
fn runs_with_too_few_requests_each_get_there_together_and_say_why_they_ended() {
    for write in ["primary_key = \"id\"\n", "write_disposition = \"append\"\n"] {
        let server = serve();
        let env = TestEnv::new();
        env.pipeline(&pipeline(&server, &resource(&DAILY.replace("primary_key = \"id\"\n", write))));
        let outcome = run(&env, &["--max-requests", "4"]).expect_code(0);
        assert_eq!(server.requests().len(), 4, "not one more");
        assert_eq!(outcome.report()["status"], "stopped");
        let videos = outcome.resource("videos");
        assert_eq!((&videos["status"], &videos["end"]), (&json!("stopped"), &json!("stopped after 4 requests")));
        assert_eq!(videos["cursor_after"], "2026-01-02T00:00:00Z", "the first window was complete: {videos}");
        assert_eq!(videos["warnings"], json!([]), "it has got somewhere");
        let loads = "SELECT DISTINCT status, end_reason FROM api._pintail_loads";
        assert_eq!(env.warehouse().query(loads), [["stopped", "stopped after 4 requests"]]);

        let mut ended = Vec::new();
        for _ in 0..4 {
            ended.push(run(&env, &["--max-requests", "4"]).expect_code(0).report()["status"].clone());
        }
        assert_eq!(ended.last(), Some(&json!("completed")), "{ended:?}");
        let ids = "SELECT count(*), count(DISTINCT id) FROM api.videos";
        assert_eq!(env.warehouse().query(ids), [["40", "40"]], "{write}");
    }
}

#[test]
fn a_run_that_needs_no_more_than_its_budget_completes() {
    let server = serve();
    let env = TestEnv::new();
    env.pipeline(&pipeline(&server, &resource("primary_key = \"id\"\n")));
    let outcome = run(&env, &["--max-requests", "9"]).expect_code(0);
    assert_eq!(outcome.report()["status"], "completed", "{}", outcome.transcript());
    assert_eq!(server.requests().len(), 9);
}

#[test]
fn retries_are_requests() {
    let server = Server::start(|_| Reply::status(503));
    let env = TestEnv::new();
    env.pipeline(&pipeline(&server, &resource("primary_key = \"id\"\n")));
    let outcome = run(&env, &["--max-requests", "2"]).expect_code(0);
    assert_eq!(server.requests().len(), 2);
    assert_eq!(outcome.resource("videos")["status"], "stopped");
}

#[test]
fn a_budget_that_gets_nowhere_is_warned_about() {
    let server = serve();
    for (keys, warning, kept) in [
        (format!("primary_key = \"id\"\n{UNORDERED}"), "row_order", 10),
        (format!("write_disposition = \"append\"\n{UNORDERED}"), "before its cursor could move", 0),
        ("primary_key = \"id\"\n".to_owned(), "without a cursor each run begins at the first page again", 10),
        (DAILY.replace("\"1d\"", "\"1mo\""), "a shorter `window`", 10),
    ] {
        let env = TestEnv::new();
        env.pipeline(&pipeline(&server, &resource(&keys)));
        let outcome = run(&env, &["--max-requests", "2"]).expect_code(0);
        assert!(warnings(&outcome).contains(warning), "{warning}\n{}", outcome.transcript());
        let rows: u64 = outcome.resource("videos")["rows"]["videos"].as_u64().unwrap_or(0);
        assert_eq!(rows, kept, "{}", outcome.transcript());
    }
    let env = TestEnv::new();
    env.pipeline(&pipeline(&server, &resource(&format!("primary_key = \"id\"\n{UNORDERED}row_order = \"asc\"\n"))));
    let outcome = run(&env, &["--max-requests", "3"]).expect_code(0);
    assert_eq!(warnings(&outcome), "[]", "in order, the cursor moves with what came");
    let outcome = run(&env, &["--max-requests", "3", "--full-refresh"]).expect_code(0);
    assert!(warnings(&outcome).contains("`--full-refresh` keeps no part"), "{}", outcome.transcript());
    assert_eq!(env.warehouse().count("api.videos"), 15, "the table is as it was");
}

#[test]
fn parents_that_a_budget_never_reaches_are_warned_about() {
    let server = Server::start(|request| match request.path.as_str() {
        "/videos" => Reply::json((0..20).map(|id| json!({ "id": id })).collect::<Vec<_>>()),
        path => Reply::json(json!([{ "id": path }])),
    });
    let env = TestEnv::new();
    let resources = "[resources.videos]\nprimary_key = \"id\"\npaginator = \"single_page\"\n\
                     [resources.views]\nparent = \"videos\"\npath = \"videos/{{ parent.id }}/views\"\n\
                     primary_key = \"id\"\npaginator = \"single_page\"\n";
    env.pipeline(&pipeline(&server, resources));
    let outcome = run(&env, &["--max-requests", "8"]).expect_code(0);
    let views = outcome.resource("views");
    assert_eq!((&views["status"], &views["end"]), (&json!("stopped"), &json!("7 parents, stopped after 8 requests")));
    assert!(views["warnings"].to_string().contains("begins with the first of them again"), "{views}");
    assert_eq!(env.warehouse().count("api.views"), 7);
}

#[test]
fn time_is_a_budget_too_and_the_flag_beats_the_file() {
    let records = videos();
    let server = Server::start(move |request| page(&records, request).delayed(Duration::from_millis(150)));
    let env = TestEnv::new();
    env.pipeline(&pipeline(&server, &resource(DAILY)));
    env.write("config.toml", "[run]\nmax_duration = \"600ms\"\n");
    let outcome = run(&env, &[]).expect_code(0);
    assert_eq!(outcome.resource("videos")["end"], "stopped after 600ms", "{}", outcome.transcript());
    let outcome = env.run(&["run", "api", "--max-duration", "5m"]).expect_code(0);
    assert!(outcome.stdout.contains("completed"), "{}", outcome.transcript());
    assert_eq!(env.warehouse().count("api.videos"), 40);
    for wrong in [["--max-duration", "0s"], ["--max-duration", "soon"], ["--max-requests", "0"]] {
        env.run(&[&["run", "api"][..], &wrong].concat()).expect_code(2);
    }
}

#[test]
fn the_summary_says_what_ended_it() {
    let server = serve();
    let env = TestEnv::new();
    env.pipeline(&pipeline(&server, &resource(DAILY)));
    let outcome = env.run(&["run", "api", "--max-requests", "4"]).expect_code(0);
    outcome.expect_stdout(&["api stopped in", "stopped after 4 requests"]);
}

#[test]
fn a_budget_is_that_of_the_command_and_pipelines_that_it_does_not_reach_are_told() {
    let server = serve();
    let env = TestEnv::new();
    env.pipeline(&pipeline(&server, &resource(DAILY)));
    for name in ["b", "c"] {
        let text = pipeline(&server, &resource("primary_key = \"id\"\n")).replace("\"api\"", &format!("\"{name}\""));
        env.write(&format!("pipelines/{name}.toml"), &text);
    }
    let outcome = env.run(&["run", "--all", "--max-requests", "14", "--output", "json"]).expect_code(0);
    let reports: Vec<Value> =
        outcome.stdout.lines().map(|line| serde_json::from_str(line).expect("a report")).collect();
    let told: Vec<Value> = reports.iter().map(|report| json!([report["pipeline"], report["status"]])).collect();
    assert_eq!(told, [json!(["api", "completed"]), json!(["b", "stopped"]), json!(["c", "skipped"])]);
    assert_eq!(reports[2]["end"], "stopped after 14 requests");
    assert_eq!(server.requests().len(), 14);
}

#[test]
fn all_pipelines_run_one_after_the_other_and_a_wrong_file_stops_all_of_them() {
    let server = serve();
    let env = TestEnv::new();
    env.pipeline(&pipeline(&server, &resource("primary_key = \"id\"\n")));
    let other = pipeline(&server, &resource("primary_key = \"id\"\n")).replace("\"api\"", "\"other\"");
    env.write("pipelines/other.toml", &other);
    env.write("pipelines/notes.txt", "not a pipeline");
    let outcome = env.run(&["run", "--all", "--output", "json"]).expect_code(0);
    let names: Vec<Value> = outcome
        .stdout
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).expect("a report")["pipeline"].clone())
        .collect();
    assert_eq!(names, ["api", "other"]);
    assert_eq!(env.warehouse().count("other.videos"), 40);

    server.forget();
    env.write("pipelines/zwrong.toml", "name = 7");
    env.run(&["run", "--all"]).expect_code(2).expect_stderr(&["zwrong.toml:1:8"]);
    env.write("pipelines/zwrong.toml", &other);
    env.run(&["run", "--all"]).expect_code(2).expect_stderr(&["two files are the pipeline `other`"]);
    std::fs::remove_file(env.path("pipelines/zwrong.toml")).expect("a file to remove");
    env.run(&["run", "api", "other", "--resource", "vidoes"]).expect_code(2).expect_stderr(&["did you mean `videos`"]);
    env.run(&["run", "--all", "api"]).expect_code(2);
    env.run(&["run", "--all", "--record", "tape"]).expect_code(2);
    assert!(server.requests().is_empty(), "nothing is requested");

    let empty = TestEnv::new();
    empty.run(&["run", "--all"]).expect_code(2).expect_stderr(&["pipelines_dir"]);
}
