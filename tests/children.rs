//! Resources that run once for every row of their parent.

use crate::support::{Api, Reply, Request, Server, TestEnv, pipeline};
use serde_json::{Value, json};

const PARENT: &str = "[resources.videos]\nprimary_key = \"id\"\npaginator = { type = \"offset\", limit = 100 }\n";

const CHILD: &str = "[resources.interactions]\nparent = \"videos\"\npath = \"videos/{{ parent.id }}/interactions\"\n\
    include_from_parent = [\"id\", \"title\"]\nprimary_key = [\"videos_id\", \"id\"]\n\
    paginator = { type = \"offset\", limit = 100 }\n";

fn video(id: u64) -> Value {
    json!({ "id": id, "title": format!("video {id}"), "updated_at": format!("2026-01-01T00:00:{id:02}Z") })
}

/// Five videos; video n has n * 60 interactions, whose ids begin at 0 in each.
fn filled() -> (Api, Server) {
    let api = Api::new(100);
    api.put("/videos", (0..5).map(video));
    for id in 0..5 {
        api.put(&format!("/videos/{id}/interactions"), (0..id * 60).map(|n| json!({ "id": n, "kind": "question" })));
    }
    let served = api.clone();
    let server = Server::start(move |request| served.reply(request));
    (api, server)
}

#[test]
fn a_child_runs_for_every_parent_and_carries_its_fields() {
    for number in 0..2 {
        let (_api, server) = filled();
        let env = TestEnv::new();
        let warehouse = &env.destinations()[number];
        env.pipeline(&pipeline(&server, &format!("{PARENT}{CHILD}")));
        env.load_into(warehouse, &[]).expect_code(0);
        let found = warehouse.query(
            "SELECT videos_id, videos_title, count(*), count(DISTINCT id) FROM api.interactions \
             GROUP BY ALL ORDER BY videos_id",
        );
        let expected: Vec<Vec<String>> = (1..5)
            .map(|id| vec![id.to_string(), format!("video {id}"), (id * 60).to_string(), (id * 60).to_string()])
            .collect();
        assert_eq!(found, expected);
    }
}

#[test]
fn a_child_can_name_its_parent_in_a_parameter() {
    let server = Server::start(|request| match (request.path.as_str(), request.param("video")) {
        ("/videos", _) => Reply::json((0..3).map(video).collect::<Vec<_>>()),
        ("/interactions", Some(id)) => {
            Reply::json(vec![json!({ "id": format!("{id}-a") }), json!({ "id": format!("{id}-b") })])
        }
        _ => Reply::status(404),
    });
    let env = TestEnv::new();
    env.pipeline(&pipeline(
        &server,
        "[resources.videos]\nprimary_key = \"id\"\npaginator = \"single_page\"\n\
         [resources.interactions]\nparent = \"videos\"\nparams = { video = \"{{ parent.id }}\" }\n\
         paginator = \"single_page\"\nprimary_key = \"id\"\n",
    ));
    env.load().expect_code(0);
    assert_eq!(
        env.warehouse().value("SELECT string_agg(id, ' ' ORDER BY id) FROM api.interactions"),
        "0-a 0-b 1-a 1-b 2-a 2-b"
    );
}

#[test]
fn values_in_a_path_are_one_segment_each() {
    let ids = ["a/b", "c?d", "e#f", "g h", "ü", "100%"];
    let server = Server::start(move |request| match request.path.as_str() {
        "/videos" => Reply::json(ids.iter().map(|id| json!({ "id": id })).collect::<Vec<_>>()),
        _ => Reply::json(vec![json!({ "path": request.path })]),
    });
    let env = TestEnv::new();
    env.pipeline(&pipeline(
        &server,
        "[resources.videos]\nprimary_key = \"id\"\npaginator = \"single_page\"\n\
         [resources.details]\nparent = \"videos\"\npath = \"videos/{{ parent.id }}/details\"\npaginator = \"single_page\"\n",
    ));
    env.load().expect_code(0);
    let mut paths: Vec<String> = server.requests().iter().map(|r| r.path.clone()).filter(|p| p != "/videos").collect();
    paths.sort();
    let mut expected =
        ["a%2Fb", "c%3Fd", "e%23f", "g%20h", "%C3%BC", "100%25"].map(|id| format!("/videos/{id}/details"));
    expected.sort();
    assert_eq!(paths, expected);
}

#[test]
fn grandchildren_run_for_the_children() {
    let server = Server::start(|request: &Request| {
        let segments: Vec<&str> = request.path.trim_matches('/').split('/').collect();
        match segments.as_slice() {
            ["videos"] => Reply::json(vec![video(1), video(2)]),
            ["videos", v, "views"] => {
                Reply::json(vec![json!({ "id": format!("{v}x") }), json!({ "id": format!("{v}y") })])
            }
            ["videos", v, "views", w] => Reply::json(json!({ "id": format!("{v}/{w}"), "seconds": 3 })),
            _ => Reply::status(404),
        }
    });
    let env = TestEnv::new();
    env.pipeline(&pipeline(
        &server,
        "[resource_defaults]\nprimary_key = \"id\"\npaginator = \"single_page\"\n[resources.videos]\n\
         [resources.views]\nparent = \"videos\"\npath = \"videos/{{ parent.id }}/views\"\ninclude_from_parent = [\"id\"]\n\
         [resources.details]\nparent = \"views\"\npath = \"videos/{{ parent.videos_id }}/views/{{ parent.id }}\"\n",
    ));
    env.load().expect_code(0);
    assert_eq!(env.warehouse().value("SELECT string_agg(id, ' ' ORDER BY id) FROM api.details"), "1/1x 1/1y 2/2x 2/2y");
}

#[test]
fn all_known_parents_are_asked_again_and_changed_ones_alone_on_demand() {
    let since = "incremental = { cursor_path = \"updated_at\", start_param = \"since\" }\n";
    // In the second run the parent's list answers with the newest video (the bound is inclusive) and a new one.
    for (scope, asked) in [("", 6), ("parents = \"all\"\n", 6), ("parents = \"changed\"\n", 2)] {
        let (api, server) = filled();
        let env = TestEnv::new();
        env.pipeline(&pipeline(&server, &format!("{PARENT}{since}{CHILD}{scope}")));
        env.load().expect_code(0);
        api.push("/videos", video(5));
        api.put("/videos/5/interactions", [json!({ "id": 1, "kind": "button" })]);
        server.forget();
        env.load().expect_code(0);
        let first_pages = server
            .requests()
            .iter()
            .filter(|r| r.path.ends_with("/interactions") && r.number_param("offset", 0) == 0)
            .count();
        assert_eq!(first_pages, asked, "{scope}");
        assert_eq!(env.warehouse().count("api.interactions"), 601, "{scope}");
    }
}

#[test]
fn changed_parents_whose_children_failed_are_asked_for_again() {
    for number in 0..2 {
        let (api, server) = {
            let api = Api::new(100);
            api.put("/videos", (0..3).map(video));
            let served = api.clone();
            (api, Server::start(move |request| served.reply(request)))
        };
        for id in [0, 1] {
            api.put(&format!("/videos/{id}/interactions"), [json!({ "id": 1, "kind": "question" })]);
        }
        let env = TestEnv::new();
        let warehouse = &env.destinations()[number];
        env.pipeline(&pipeline(
            &server,
            &format!(
                "{PARENT}incremental = {{ cursor_path = \"updated_at\", start_param = \"since\" }}\n\
                 {CHILD}parents = \"changed\"\n"
            ),
        ));
        // The third video's list is not there yet. The videos' cursor moves all the same.
        env.load_into(warehouse, &[]).expect_code(1);
        api.put("/videos/2/interactions", [json!({ "id": 1, "kind": "question" })]);
        api.push("/videos", video(9));
        api.put("/videos/9/interactions", [json!({ "id": 1, "kind": "question" })]);
        env.load_into(warehouse, &[]).expect_code(0);
        let found = warehouse.query("SELECT videos_id FROM api.interactions ORDER BY videos_id");
        assert_eq!(found, ["0", "1", "2", "9"].map(|id| vec![id.to_owned()]));
        // All came through: from now on it is the changed ones alone again.
        server.forget();
        env.load_into(warehouse, &[]).expect_code(0);
        let requests = server.requests();
        let mut asked = requests.iter().filter(|r| r.path.ends_with("/interactions"));
        assert!(asked.all(|r| r.path == "/videos/9/interactions"));
    }
}

#[test]
fn a_child_alone_runs_for_the_parents_of_the_warehouse() {
    let (_api, server) = filled();
    let env = TestEnv::new();
    env.pipeline(&pipeline(&server, &format!("{PARENT}{CHILD}")));
    env.run(&["run", "api", "--resource", "videos"]).expect_code(0);
    server.forget();
    env.run(&["run", "api", "--resource", "interactions"]).expect_code(0);
    assert_eq!(env.warehouse().count("api.interactions"), 600);
}

#[test]
fn a_parent_without_the_field_is_named_or_skipped_as_the_file_says() {
    for (policy, code, row_count) in [("", 1, None), ("on_missing_parent_field = \"skip\"\n", 0, Some(2))] {
        let server = Server::start(|request| match request.path.as_str() {
            "/videos" => Reply::json(vec![
                json!({ "id": 1, "slug": "one" }),
                json!({ "id": 2, "slug": null }),
                json!({ "id": 3, "slug": "three" }),
            ]),
            path if path.contains("None") || path.contains("null") => panic!("asked for {path}"),
            _ => Reply::json(vec![json!({ "n": 1 })]),
        });
        let env = TestEnv::new();
        env.pipeline(&pipeline(
            &server,
            &format!(
                "[resources.videos]\nprimary_key = \"id\"\npaginator = \"single_page\"\n[resources.details]\n\
                 parent = \"videos\"\npath = \"videos/{{{{ parent.slug }}}}/details\"\npaginator = \"single_page\"\n{policy}"
            ),
        ));
        let outcome = env.load().expect_code(code);
        match row_count {
            Some(row_count) => assert_eq!(env.warehouse().count("api.details"), row_count),
            None => assert!(outcome.stderr.contains("slug"), "{}", outcome.transcript()),
        }
        assert_eq!(env.warehouse().count("api.videos"), 3, "the parent is not harmed");
    }
}

#[test]
fn a_parent_that_is_gone_is_skipped_with_a_warning() {
    let (api, server) = filled();
    let env = TestEnv::new();
    let since = "incremental = { cursor_path = \"updated_at\", start_param = \"since\" }\n";
    env.pipeline(&pipeline(&server, &format!("{PARENT}{since}{CHILD}")));
    env.load().expect_code(0);

    // Video 1 is known only from the warehouse, and the server has deleted it.
    let gone = api.clone();
    let second =
        Server::start(
            move |request| {
                if request.path.starts_with("/videos/1/") { Reply::status(404) } else { gone.reply(request) }
            },
        );
    env.pipeline(&pipeline(&second, &format!("{PARENT}{since}{CHILD}")));
    let outcome = env.load().expect_code(0);
    assert!(outcome.stderr.to_lowercase().contains("gone"), "{}", outcome.transcript());
    assert_eq!(env.warehouse().count("api.interactions"), 600, "its rows stay");
}

#[test]
fn when_one_parent_fails_the_others_are_loaded_and_the_run_is_failed() {
    let (api, _) = filled();
    let server =
        Server::start(
            move |request| {
                if request.path.starts_with("/videos/3/") { Reply::status(400) } else { api.reply(request) }
            },
        );
    let env = TestEnv::new();
    env.pipeline(&pipeline(&server, &format!("{PARENT}{CHILD}")));
    let outcome = env.load().expect_code(1).expect_stderr(&["/videos/3/interactions", "400"]);
    assert_eq!(outcome.resource("interactions")["status"], "failed");
    assert_eq!(outcome.resource("videos")["status"], "completed");
    let found = env.warehouse().query("SELECT DISTINCT videos_id FROM api.interactions ORDER BY 1");
    assert_eq!(found, [["1"], ["2"], ["4"]]);
}

#[test]
fn a_parent_that_is_not_selected_is_fetched_for_its_children_and_not_stored() {
    let (_api, server) = filled();
    let env = TestEnv::new();
    env.pipeline(&pipeline(&server, &format!("{PARENT}selected = false\n{CHILD}")));
    env.load().expect_code(0);
    assert_eq!(env.warehouse().tables("api"), ["interactions"]);
    assert_eq!(env.warehouse().count("api.interactions"), 600);
}
