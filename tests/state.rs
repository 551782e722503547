//! `pintail state`: cursors shown, set and forgotten, without a row stored twice or lost.

use crate::support::{Api, Reply, Server, TestEnv, Warehouse, pipeline};
use serde_json::{Value, json};

const SINCE: &str = "incremental = { cursor_path = \"updated_at\", start_param = \"since\" }\n";

fn video(id: u64, day: u64) -> Value {
    json!({ "id": id, "title": format!("video {id}"), "updated_at": format!("2026-01-{day:02}T10:00:00Z") })
}

/// Ten videos, one a day.
fn filled() -> (Api, Server) {
    let api = Api::new(100);
    api.put("/videos", (1..=10).map(|id| video(id, id)));
    let served = api.clone();
    let server = Server::start(move |request| served.reply(request));
    (api, server)
}

/// `pintail state …` on a warehouse.
fn state(env: &TestEnv, warehouse: &Warehouse, args: &[&str]) -> crate::support::Outcome {
    let flag = warehouse.flag();
    env.run(&[&["state"], args, &["--destination", &flag]].concat())
}

fn shown(env: &TestEnv, warehouse: &Warehouse, target: &str) -> Value {
    state(env, warehouse, &["show", target, "--output", "json"]).expect_code(0).report()
}

#[test]
fn an_appending_resource_set_back_asks_again_and_stores_no_row_twice() {
    for number in 0..2 {
        let (api, server) = filled();
        let env = TestEnv::new();
        let warehouse = &env.destinations()[number];
        env.pipeline(&pipeline(&server, &format!("[resources.videos]\nwrite_disposition = \"append\"\n{SINCE}")));
        env.load_into(warehouse, &[]).expect_code(0);
        let before = warehouse.dump("api");

        // A day as people write it becomes an instant as the API writes it.
        state(&env, warehouse, &["set", "api.videos", "2026-01-04", "--yes"]).expect_code(0);
        let cursor = &shown(&env, warehouse, "api")["resources"]["videos"]["cursor"];
        assert_eq!(
            *cursor,
            json!({ "type": "instant", "value": "2026-01-04T00:00:00Z",
                    "seen": { "type": "instant", "value": "2026-01-10T10:00:00Z" } })
        );
        server.forget();
        let again = env.load_into(warehouse, &[]).expect_code(0);
        assert_eq!(server.requests()[0].param("since"), Some("2026-01-04T00:00:00Z"));
        assert_eq!(again.resource("videos")["records"], 7);
        assert_eq!(again.resource("videos")["discarded"]["already_stored"], 7);
        assert_eq!(warehouse.dump("api"), before);

        // All over again, with one row that has changed and one that is new.
        api.edit("/videos", 2, &[("title", json!("changed"))]);
        api.push("/videos", video(11, 11));
        state(&env, warehouse, &["reset", "api.videos", "--yes"]).expect_code(0);
        server.forget();
        let all = env.load_into(warehouse, &[]).expect_code(0);
        assert_eq!(server.requests()[0].param("since"), None);
        assert_eq!(all.resource("videos")["discarded"]["already_stored"], 9);
        assert_eq!(warehouse.count("api.videos"), 12);
    }
}

#[test]
fn an_appending_resource_whose_records_do_not_show_the_cursor_stores_no_row_twice_either() {
    let server = Server::start(|_| Reply::json(json!({ "items": [{ "id": 1 }, { "id": 2 }], "next": "t-1" })));
    let env = TestEnv::new();
    let incremental = "incremental = { cursor_from = \"response\", cursor_path = \"next\", start_param = \"since\" }\n";
    let resource =
        "[resources.events]\nwrite_disposition = \"append\"\ndata_selector = \"items\"\npaginator = \"single_page\"\n";
    env.pipeline(&pipeline(&server, &format!("{resource}{incremental}")));
    env.load().expect_code(0);
    for args in [&["set", "api.events", "t-0", "--yes"][..], &["reset", "api.events", "--yes"]] {
        state(&env, &env.warehouse(), args).expect_code(0);
        env.load().expect_code(0);
        assert_eq!(env.warehouse().count("api.events"), 2, "{args:?}");
    }
}

#[test]
fn a_merging_resource_that_is_reset_begins_anew_and_its_state_is_copied_first() {
    for number in 0..2 {
        let (_api, server) = filled();
        let env = TestEnv::new();
        let warehouse = &env.destinations()[number];
        env.pipeline(&pipeline(&server, &format!("[resources.videos]\nprimary_key = \"id\"\n{SINCE}")));
        env.load_into(warehouse, &[]).expect_code(0);
        let done = state(&env, warehouse, &["reset", "api", "--yes"]).expect_code(0);
        assert!(done.stdout.starts_with("1 cursor changed in "), "{}", done.transcript());
        assert!(done.stderr.contains("2026-01-10T10:00:00Z  ->  none"), "{}", done.transcript());
        let copies = env.bytes_below("state/backups");
        let lines: Vec<Value> =
            String::from_utf8_lossy(&copies[0].1).lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!((copies.len(), lines.len()), (1, 2));
        assert_eq!(lines[1]["cursor"]["value"], "2026-01-10T10:00:00Z");
        assert_eq!(warehouse.count("api._pintail_state"), 0);
        let copy: Value = serde_json::from_str(&env.read("state/api.json")).unwrap();
        assert_eq!(copy["resources"], json!({}), "the readable copy follows");
        server.forget();
        env.load_into(warehouse, &[]).expect_code(0);
        assert_eq!(server.requests()[0].param("since"), None);
        assert_eq!(warehouse.count("api.videos"), 10);
        state(&env, warehouse, &["reset", "api.videos", "--yes"]).expect_code(0);
        state(&env, warehouse, &["reset", "api", "--yes"]).expect_code(0).expect_stdout(&["no cursor to forget"]);
    }
}

/// Views of three videos; each video has a cursor of its own.
fn with_partitions(env: &TestEnv) -> Server {
    let server = Server::start(|request| match request.path.as_str() {
        "/videos" => Reply::json(json!([{ "id": 1 }, { "id": 2 }, { "id": 3 }])),
        path => {
            let video: u64 = path.split('/').nth(2).and_then(|id| id.parse().ok()).expect("a video");
            Reply::json(json!([{ "n": 1, "at": 10 * video }, { "n": 2, "at": 10 * video + 5 }]))
        }
    });
    let resources = "[resources.videos]\nprimary_key = \"id\"\npaginator = \"single_page\"\n\
        [resources.views]\nparent = \"videos\"\npath = \"videos/{{ parent.id }}/views\"\ninclude_from_parent = [\"id\"]\n\
        write_disposition = \"append\"\npaginator = \"single_page\"\n\
        incremental = { cursor_path = \"at\", start_param = \"since\" }\n";
    env.pipeline(&pipeline(&server, resources));
    server
}

#[test]
fn partitions_are_counted_listed_page_by_page_and_changed_one_by_one() {
    for number in 0..2 {
        let env = TestEnv::new();
        let server = with_partitions(&env);
        let warehouse = &env.destinations()[number];
        env.load_into(warehouse, &[]).expect_code(0);
        assert_eq!(shown(&env, warehouse, "api")["resources"]["views"]["partition_count"], 3);
        state(&env, warehouse, &["show", "api"]).expect_code(0).expect_stdout(&["3 partitions, each with its own"]);
        let page = ["show", "api.views", "--limit", "1", "--offset", "1"];
        state(&env, warehouse, &page).expect_code(0).expect_stdout(&["{\"id\":2}", "25", "2 to 2 of 3", "--offset 2"]);

        state(&env, warehouse, &["set", "api.views", "20", "--yes"])
            .expect_code(2)
            .expect_stderr(&["for each partition"]);
        let unknown = ["set", "api.views", "20", "--partition", "{\"id\":9}", "--yes"];
        state(&env, warehouse, &unknown).expect_code(2).expect_stderr(&["no cursor of this partition"]);
        state(&env, warehouse, &["set", "api.views", "20", "--partition", "{ \"id\": 2 }", "--yes"]).expect_code(0);
        state(&env, warehouse, &["reset", "api.views", "--partition", "{\"id\":3}", "--yes"]).expect_code(0);
        server.forget();
        env.load_into(warehouse, &[]).expect_code(0);
        let since = |path: &str| server.requests_for(path)[0].param("since").map(str::to_owned);
        let starts = ["/videos/1/views", "/videos/2/views", "/videos/3/views"].map(since);
        assert_eq!(starts, [Some("15".to_owned()), Some("20".to_owned()), None]);
        assert_eq!(warehouse.count("api.views"), 6, "no view is stored twice");
        state(&env, warehouse, &["reset", "api.views", "--yes"]).expect_code(0).expect_stdout(&["3 cursors changed"]);
        env.load_into(warehouse, &[]).expect_code(0);
        assert_eq!(warehouse.count("api.views"), 6);
    }
}

#[test]
fn a_value_of_another_kind_is_refused_and_nothing_is_changed() {
    let (_api, server) = filled();
    let env = TestEnv::new();
    let numbers = "[resources.numbers]\npath = \"videos\"\nprimary_key = \"id\"\nincremental = { cursor_path = \"id\", start_param = \"from\" }\n";
    env.pipeline(&pipeline(&server, &format!("[resources.videos]\nprimary_key = \"id\"\n{SINCE}{numbers}")));
    env.load().expect_code(0);
    let before = shown(&env, &env.warehouse(), "api");
    for (target, value, message) in [
        ("api.videos", "12", "of another kind"),
        ("api.videos", "yesterday", "of another kind"),
        ("api.numbers", "2026-01-01T00:00:00Z", "of another kind"),
        ("api.numbers", "", "an empty text"),
        ("api.video", "2026-01-01", "did you mean `videos`?"),
        ("api", "2026-01-01", "PIPELINE.RESOURCE"),
        ("apo.videos", "2026-01-01", "did you mean `api`?"),
    ] {
        let args = ["set", target, value, "--yes"];
        state(&env, &env.warehouse(), &args).expect_code(2).expect_stderr(&[message]);
    }
    state(&env, &env.warehouse(), &["reset", "api.video", "--yes"]).expect_code(2).expect_stderr(&["did you mean"]);
    state(&env, &env.warehouse(), &["show", "api.video"]).expect_code(2).expect_stderr(&["did you mean"]);
    assert_eq!(shown(&env, &env.warehouse(), "api"), before);
    state(&env, &env.warehouse(), &["set", "api.numbers", "-3", "--yes"]).expect_code(0);
    assert_eq!(shown(&env, &env.warehouse(), "api")["resources"]["numbers"]["cursor"]["value"], "-3");
}

#[test]
fn without_a_terminal_a_change_has_to_be_confirmed_on_the_command_line() {
    let (_api, server) = filled();
    let env = TestEnv::new();
    env.pipeline(&pipeline(&server, &format!("[resources.videos]\nprimary_key = \"id\"\n{SINCE}")));
    env.load().expect_code(0);
    let refused = state(&env, &env.warehouse(), &["reset", "api"]).expect_code(2);
    assert!(refused.stderr.contains("--yes") && refused.stderr.contains("videos"), "{}", refused.transcript());
    assert_eq!(env.warehouse().count("api._pintail_state"), 1);
    assert!(!env.path("state/backups").exists(), "nothing was changed, so nothing was copied");
}

#[test]
fn before_the_first_load_there_is_nothing_to_show_or_change_and_no_warehouse_is_made() {
    let (_api, server) = filled();
    let env = TestEnv::new();
    env.pipeline(&pipeline(&server, &format!("[resources.videos]\nprimary_key = \"id\"\n{SINCE}")));
    for warehouse in env.destinations() {
        state(&env, &warehouse, &["show", "api"]).expect_code(0).expect_stdout(&["nothing is loaded yet"]);
        let args = ["set", "api.videos", "2026-01-01", "--yes"];
        state(&env, &warehouse, &args).expect_code(2).expect_stderr(&["initial_value"]);
    }
    assert!(!env.path("both.duckdb").exists() && !env.path("both-parquet").exists());
}

#[test]
fn a_state_file_that_differs_from_the_warehouse_is_told() {
    let (_api, server) = filled();
    let env = TestEnv::new();
    env.pipeline(&pipeline(&server, &format!("[resources.videos]\nprimary_key = \"id\"\n{SINCE}")));
    env.load().expect_code(0);
    let warehouse = env.warehouse();
    assert_eq!(shown(&env, &warehouse, "api")["state_file"]["compared"], "same");
    let text = env.read("state/api.json");
    env.write("state/api.json", &text.replace("2026-01-10T", "2026-01-02T"));
    assert_eq!(shown(&env, &warehouse, "api")["state_file"]["compared"], "older");
    state(&env, &warehouse, &["show", "api"]).expect_code(0).expect_stdout(&["older than the warehouse"]);
    std::fs::remove_file(env.path("state/api.json")).unwrap();
    assert_eq!(shown(&env, &warehouse, "api")["state_file"]["compared"], "missing");
}

#[test]
fn a_change_waits_for_the_run_of_its_pipeline_and_then_gives_up_with_code_4() {
    let server = Server::start(|_| Reply::json(json!([])).delayed(std::time::Duration::from_secs(3)));
    let env = TestEnv::new();
    env.write("config.toml", "[run]\nlock_wait = \"200ms\"\n");
    env.pipeline(&pipeline(&server, &format!("[resources.videos]\nprimary_key = \"id\"\n{SINCE}")));
    let run = env.start(&["run", "api"]);
    let started = std::time::Instant::now();
    while server.requests().is_empty() {
        assert!(started.elapsed().as_secs() < 30, "no request came");
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    state(&env, &env.warehouse(), &["reset", "api", "--yes"]).expect_code(4).expect_stderr(&["pintail run api"]);
    run.wait().expect_code(0);
}
