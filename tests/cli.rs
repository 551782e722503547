//! The command line: exit codes, help, and what goes to stdout.

use crate::support::{Api, Reply, Server, TestEnv, pipeline};
use serde_json::json;

fn videos(api: &Api) -> Server {
    api.put("/videos", (0..3).map(|id| json!({ "id": id, "title": "t" })));
    let served = api.clone();
    Server::start(move |request| served.reply(request))
}

const VIDEOS: &str = "[resources.videos]\nprimary_key = \"id\"\npaginator = { type = \"offset\", limit = 100 }\n";

#[test]
fn exit_codes_of_usage() {
    let cases: &[(&[&str], i32)] = &[
        (&["--version"], 0),
        (&["--help"], 0),
        (&["run", "--help"], 0),
        (&["schema"], 0),
        (&[], 2),
        (&["fly"], 2),
        (&["run"], 2),
        (&["run", "api", "--no-such-flag"], 2),
        (&["run", "nobody"], 2),
        (&["run", "missing/file.toml"], 2),
        (&["check", "nobody"], 2),
        (&["run", "api", "--destination", "oracle:x"], 2),
        (&["run", "api", "--output", "yaml"], 2),
        (&["run", "api", "--config", "missing.toml"], 2),
    ];
    let api = Api::new(100);
    let server = videos(&api);
    let env = TestEnv::new();
    env.pipeline(&pipeline(&server, VIDEOS));
    for (args, code) in cases {
        env.run(args).expect_code(*code);
    }
    assert_eq!(server.requests().len(), 0, "wrong usage sends nothing");
}

#[test]
fn version_and_help_go_to_stdout() {
    let env = TestEnv::new();
    assert!(env.run(&["--version"]).stdout.starts_with("pintail "));
    let help = env.run(&["--help"]).expect_code(0).stdout;
    for command in ["run", "check", "schema", "demo"] {
        assert!(help.contains(command), "no `{command}` in\n{help}");
    }
}

#[test]
fn an_unknown_pipeline_or_resource_is_named_with_the_closest_known_one() {
    let api = Api::new(100);
    let server = videos(&api);
    let env = TestEnv::new();
    env.pipeline(&pipeline(&server, VIDEOS));
    env.run(&["run", "apu"]).expect_code(2).expect_stderr(&["apu", "did you mean `api`"]);
    env.run(&["run", "api", "--resource", "vidoes"]).expect_code(2).expect_stderr(&["vidoes", "did you mean `videos`"]);
    assert_eq!(server.requests().len(), 0);
}

#[test]
fn the_json_report_is_all_of_stdout_and_has_the_documented_fields() {
    let api = Api::new(100);
    let server = videos(&api);
    let env = TestEnv::new();
    env.pipeline(&pipeline(&server, VIDEOS));
    let outcome = env.load().expect_code(0);
    let report = outcome.report();
    assert_eq!(report["pipeline"], "api");
    assert_eq!(report["status"], "completed");
    for field in ["load_id", "started_at", "finished_at"] {
        assert!(report[field].is_string(), "{field}: {report}");
    }
    let videos = outcome.resource("videos");
    assert_eq!(videos["status"], "completed");
    assert_eq!(videos["requests"], 2);
    assert_eq!(videos["records"], 3);
    assert_eq!(videos["rows"], json!({ "videos": 3 }));
    assert!(videos["end"].is_string(), "{videos}");
    for field in ["retries", "throttled_ms", "pages", "bytes"] {
        assert!(videos[field].is_u64(), "{field}: {videos}");
    }
    for stage in ["waiting", "decoding", "normalising", "loading", "committing"] {
        assert!(videos["seconds"][stage].is_f64(), "{stage}: {videos}");
    }
    assert!(videos["seconds"]["waiting"].as_f64() > Some(0.0), "{videos}");
    for field in ["discarded", "cursor_before", "cursor_after", "error"] {
        assert!(videos.get(field).is_some(), "{field}: {videos}");
    }
}

#[test]
fn the_text_summary_names_tables_and_rows_on_stdout() {
    let api = Api::new(100);
    let server = videos(&api);
    let env = TestEnv::new();
    env.pipeline(&pipeline(&server, VIDEOS));
    let outcome = env.run(&["run", "api"]).expect_code(0);
    assert!(outcome.stdout.contains("videos"), "{}", outcome.transcript());
    assert!(env.path("warehouse.duckdb").exists(), "the default destination");
    assert!(env.path("state/api.json").exists(), "the default state directory");
}

#[test]
fn quiet_prints_no_log_and_json_logs_are_json() {
    let api = Api::new(100);
    let server = videos(&api);
    let env = TestEnv::new();
    env.pipeline(&pipeline(&server, VIDEOS));
    assert_eq!(env.run(&["run", "api", "-q"]).expect_code(0).stderr, "");
    let outcome = env.run(&["run", "api", "-v", "--log-format", "json"]).expect_code(0);
    assert!(!outcome.stderr.is_empty(), "{}", outcome.transcript());
    for line in outcome.stderr.lines() {
        assert!(serde_json::from_str::<serde_json::Value>(line).is_ok(), "not JSON: {line}");
    }
}

#[test]
fn several_pipelines_give_one_report_a_line_and_the_worst_exit_code() {
    let api = Api::new(100);
    let server = videos(&api);
    let broken = Server::start(|_| Reply::status(401));
    let env = TestEnv::new();
    env.pipeline(&pipeline(&server, VIDEOS));
    env.write("pipelines/other.toml", &pipeline(&broken, VIDEOS).replace("\"api\"", "\"other\""));
    let outcome = env.run(&["run", "other", "api", "--output", "json"]).expect_code(1);
    let statuses: Vec<serde_json::Value> = outcome
        .stdout
        .lines()
        .map(|line| serde_json::from_str(line).unwrap_or_else(|e| panic!("{e}\n{}", outcome.transcript())))
        .map(|report: serde_json::Value| json!([report["pipeline"], report["status"]]))
        .collect();
    assert_eq!(statuses, [json!(["other", "failed"]), json!(["api", "completed"])]);
}

#[test]
fn one_wrong_pipeline_of_several_means_that_nothing_is_requested() {
    let api = Api::new(100);
    let server = videos(&api);
    let env = TestEnv::new();
    env.pipeline(&pipeline(&server, VIDEOS));
    env.write("pipelines/other.toml", "name = 7");
    env.run(&["run", "api", "other"]).expect_code(2).expect_stderr(&["other.toml:1:8"]);
    assert_eq!(server.requests().len(), 0);
}

#[test]
fn check_needs_neither_network_nor_secrets() {
    let env = TestEnv::new();
    env.pipeline(
        "[client]\nbase_url = \"http://127.0.0.1:9/\"\nauth = { type = \"bearer\", token = \"${NOT_SET}\" }\n\n[resources.videos]\n",
    );
    env.run(&["check", "api"]).expect_code(0);
    env.run(&["run", "api"]).expect_code(2).expect_stderr(&["NOT_SET"]);
}

#[test]
fn schema_prints_a_json_schema() {
    let outcome = TestEnv::new().run(&["schema"]).expect_code(0);
    let schema: serde_json::Value =
        serde_json::from_str(&outcome.stdout).unwrap_or_else(|e| panic!("{e}\n{}", outcome.transcript()));
    assert!(outcome.stdout.contains("base_url") && outcome.stdout.contains("resources"), "{schema}");
    assert!(schema["$schema"].is_string(), "no `$schema`");
}

#[test]
fn only_the_asked_resources_run() {
    let api = Api::new(100);
    let server = videos(&api);
    api.put("/viewers", [json!({ "id": 1 })]);
    let env = TestEnv::new();
    env.pipeline(&pipeline(&server, &format!("{VIDEOS}\n{}", VIDEOS.replace("videos", "viewers"))));
    env.run(&["run", "api", "--resource", "viewers"]).expect_code(0);
    assert_eq!(server.requests_for("/videos").len(), 0);
    assert_eq!(env.warehouse().tables("api"), ["viewers"]);
}

#[test]
fn var_overrides_the_files_variable() {
    let server = Server::start(|request| {
        let team = request.param("team").unwrap_or_default();
        Reply::json(vec![json!({ "id": 1, "team": team })])
    });
    let env = TestEnv::new();
    env.pipeline(&pipeline(
        &server,
        "[vars]\nteam = \"growth\"\n[resources.videos]\npaginator = \"single_page\"\nparams = { team = \"{{ vars.team }}\" }\n",
    ));
    env.run(&["run", "api"]).expect_code(0);
    env.run(&["run", "api", "--var", "team=ducks & geese"]).expect_code(0);
    let teams: Vec<_> = server.requests().iter().map(|r| r.param("team").unwrap_or_default().to_owned()).collect();
    assert_eq!(teams, ["growth", "ducks & geese"]);
}

#[test]
fn init_writes_a_pipeline_that_passes_check_and_never_overwrites_one() {
    let env = TestEnv::new();
    env.run(&["init", "my-shop"]).expect_code(0).expect_stdout(&["pipelines/my-shop.toml", "pintail check my-shop"]);
    env.run(&["check", "my-shop"]).expect_code(0).expect_stdout(&["ok, 1 resource", "MY_SHOP_TOKEN"]);
    env.write("pipelines/my-shop.toml", "mine");
    env.run(&["init", "my-shop"]).expect_code(2).expect_stderr(&["is there already", "nothing was changed"]);
    assert_eq!(env.read("pipelines/my-shop.toml"), "mine");
    env.run(&["init", "../shop"]).expect_code(2).expect_stderr(&["no name for a pipeline"]);
}

#[test]
fn the_examples_of_a_new_pipeline_are_valid_too() {
    let env = TestEnv::new();
    env.run(&["init", "shop"]).expect_code(0);
    let written = env.read("pipelines/shop.toml");
    let is_key = |word: &str| word.chars().all(|c| c.is_ascii_lowercase() || c == '_');
    let is_example = |line: &str| line.starts_with('[') || line.split_once(" = ").is_some_and(|(key, _)| is_key(key));
    // `paginator` has several examples; one of them is as good as another.
    let mut paginators = 0;
    let uncommented: Vec<&str> = written
        .lines()
        .map(|line| match line.strip_prefix("# ") {
            Some(example) if is_example(example) => {
                paginators += usize::from(example.starts_with("paginator"));
                if example.starts_with("paginator") && paginators > 1 { line } else { example }
            }
            _ => line,
        })
        .collect();
    assert!(paginators > 1);
    env.write("pipelines/all.toml", &uncommented.join("\n"));
    env.run(&["check", "all"]).expect_code(0).expect_stdout(&["2 resources"]);
}

#[test]
fn completions_are_there_for_every_shell() {
    let env = TestEnv::new();
    for shell in ["bash", "elvish", "fish", "powershell", "zsh"] {
        env.run(&["completions", shell]).expect_code(0).expect_stdout(&["pintail", "full-refresh"]);
    }
}
