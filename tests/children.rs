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

/// Videos with views, and details of each view: three levels whose rows show who asked for them.
fn three_levels() -> Server {
    Server::start(|request| {
        let segments: Vec<&str> = request.path.trim_matches('/').split('/').collect();
        match segments.as_slice() {
            ["videos"] => Reply::json(vec![json!({ "id": 1, "team": "x" }), json!({ "id": 2, "team": "y" })]),
            ["videos", v, "views"] => Reply::json(vec![json!({ "id": format!("v{v}") })]),
            ["videos", v, "views", w, "marks"] => Reply::json(vec![json!({ "id": format!("m{v}{w}") })]),
            [team, v, w, m] => Reply::json(vec![json!({ "id": format!("{team} {v} {w} {m}") })]),
            _ => Reply::status(404),
        }
    })
}

const LEVELS: &str = "[resource_defaults]\nprimary_key = \"id\"\npaginator = \"single_page\"\n[resources.videos]\n";

#[test]
fn fields_of_any_ancestor_are_used_through_the_columns_that_carry_them() {
    let resources = format!(
        "{LEVELS}[resources.views]\nparent = \"videos\"\npath = \"videos/{{{{ parent.id }}}}/views\"\n\
         include_from_parent = [\"id\", \"team\"]\n\
         [resources.marks]\nparent = \"views\"\npath = \"videos/{{{{ parent.parent.id }}}}/views/{{{{ parent.id }}}}/marks\"\n\
         include_from_parent = [\"id\", \"parent.id\", \"parent.team\"]\n\
         [resources.notes]\nparent = \"marks\"\n\
         path = \"{{{{ parent.parent.parent.team }}}}/{{{{ parent.parent.parent.id }}}}/{{{{ parent.parent.id }}}}/{{{{ parent.id }}}}\"\n\
         include_from_parent = {{ team = \"parent.parent.team\" }}\n"
    );
    for number in 0..2 {
        let server = three_levels();
        let env = TestEnv::new();
        let warehouse = &env.destinations()[number];
        env.pipeline(&pipeline(&server, &resources));
        env.load_into(warehouse, &[]).expect_code(0);
        let found = warehouse.query("SELECT id, team FROM api.notes ORDER BY 1");
        assert_eq!(found, [["x 1 v1 m1v1", "x"], ["y 2 v2 m2v2", "y"]]);
        assert_eq!(
            warehouse.query("SELECT views_id, videos_id, videos_team FROM api.marks ORDER BY 1")[0],
            ["v1", "1", "x"]
        );
        // From the warehouse alone as well.
        env.load_into(warehouse, &["--resource", "notes"]).expect_code(0);
        assert_eq!(warehouse.count("api.notes"), 2);
    }
}

#[test]
fn a_field_that_the_rows_of_the_parent_do_not_carry_is_a_mistake_that_says_what_to_add() {
    let server = Server::start(|_| Reply::status(500));
    let env = TestEnv::new();
    env.pipeline(&pipeline(
        &server,
        &format!(
            "{LEVELS}[resources.views]\nparent = \"videos\"\npath = \"videos/{{{{ parent.id }}}}/views\"\n\
             [resources.marks]\nparent = \"views\"\npath = \"{{{{ parent.parent.id }}}}/{{{{ parent.id }}}}\"\n"
        ),
    ));
    env.load().expect_code(2).expect_stderr(&[
        "api.toml:16:12",
        "the rows of `views` don't carry `id` of their parent",
        "add \"id\" to `include_from_parent` of `views`",
    ]);
    assert_eq!(server.requests().len(), 0);
}

#[test]
fn an_unknown_parent_is_one_mistake() {
    let env = TestEnv::new();
    let server = Server::start(|_| Reply::status(500));
    env.pipeline(&pipeline(
        &server,
        "[resources.videos]\n[resources.views]\nparent = \"vidoes\"\nparents = \"changed\"\n",
    ));
    let outcome = env.load().expect_code(2).expect_stderr(&["there is no resource `vidoes`", "did you mean `videos`"]);
    assert_eq!(outcome.stderr.matches("error: ").count(), 1, "{}", outcome.transcript());
}

#[test]
fn a_batch_asks_for_many_parents_in_one_request() {
    for (request, whole) in [
        ("params = { ids = \"{{ parent.id }}\" }", "ids=0,1,2,3 | ids=4,5,6,7 | ids=8,9"),
        ("path = \"details/{{ parent.id }}\"", "/details/0,1,2,3 | /details/4,5,6,7 | /details/8,9"),
        (
            "json = { ids = \"{{ parent.id }}\", text = \"of {{ parent.id }}\" }",
            "{\"ids\":[0,1,2,3],\"text\":\"of 0,1,2,3\"} | {\"ids\":[4,5,6,7],\"text\":\"of 4,5,6,7\"} | {\"ids\":[8,9],\"text\":\"of 8,9\"}",
        ),
    ] {
        let server = Server::start(|request| match request.path.as_str() {
            "/videos" => {
                let from = request.number_param("offset", 0) as u64;
                Reply::json((from..10.min(from + 3)).map(video).collect::<Vec<_>>())
            }
            _ => Reply::json(vec![json!({ "n": request.number })]),
        });
        let env = TestEnv::new();
        env.pipeline(&pipeline(
            &server,
            &format!(
                "[resources.videos]\nprimary_key = \"id\"\npaginator = {{ type = \"offset\", limit = 3 }}\n\
                 [resources.details]\nparent = \"videos\"\npaginator = \"single_page\"\nparent_batch = {{ size = 4 }}\n{request}\n"
            ),
        ));
        let outcome = env.load().expect_code(0);
        assert_eq!(outcome.resource("details")["parents"], 10);
        let asked = server.requests().into_iter().filter(|r| r.path != "/videos").map(|r| match r.param("ids") {
            Some(ids) => format!("ids={ids}"),
            None if r.body.is_empty() => r.path,
            None => r.body,
        });
        let mut asked: Vec<String> = asked.collect();
        asked.sort();
        assert_eq!(asked.join(" | "), whole);
        assert_eq!(env.warehouse().count("api.details"), 3);
    }
}

#[test]
fn a_batch_refuses_what_needs_one_parent_at_a_time() {
    for (keys, says) in [
        ("include_from_parent = [\"id\"]", "can't say which parent of a batch"),
        ("incremental = { cursor_path = \"u\", start_param = \"s\" }", "cursor for each parent"),
        ("partitions = { values = [1] }\nparams = { v = \"{{ partition.value }}\" }", "can't be used together"),
    ] {
        let env = TestEnv::new();
        let server = Server::start(|_| Reply::status(500));
        env.pipeline(&pipeline(
            &server,
            &format!(
                "[resources.videos]\n[resources.details]\nparent = \"videos\"\npath = \"{{{{ parent.id }}}}\"\nparent_batch = {{}}\n{keys}\n"
            ),
        ));
        env.load().expect_code(2).expect_stderr(&["api.toml:11:1", says]);
    }
}

#[test]
fn a_value_with_the_separator_fails_alone() {
    let server = Server::start(|request| match request.path.as_str() {
        "/videos" => Reply::json(["a", "b,c", "d"].map(|id| json!({ "id": id })).to_vec()),
        _ => Reply::json(vec![json!({ "ids": request.param("ids") })]),
    });
    let env = TestEnv::new();
    env.pipeline(&pipeline(
        &server,
        "[resources.videos]\nprimary_key = \"id\"\npaginator = \"single_page\"\n[resources.details]\nparent = \"videos\"\n\
         paginator = \"single_page\"\nparent_batch = { size = 10 }\nparams = { ids = \"{{ parent.id }}\" }\n",
    ));
    env.load().expect_code(1).expect_stderr(&["holds the separator", "b,c"]);
    assert_eq!(env.warehouse().value("SELECT ids FROM api.details"), "a,d");
}

/// A list of two pages whose second one fails while `broken` says so, and a row for each record of it.
fn breaking(broken: &'static std::sync::atomic::AtomicBool) -> Server {
    Server::start(move |request| match (request.path.as_str(), request.number_param("offset", 0)) {
        ("/videos", 0) => Reply::json((0..2).map(video).collect::<Vec<_>>()),
        ("/videos", 2) if broken.load(std::sync::atomic::Ordering::SeqCst) => Reply::status(400),
        ("/videos", 2) => Reply::json((2..4).map(video).collect::<Vec<_>>()),
        ("/videos", _) => Reply::json(Vec::<Value>::new()),
        (path, _) => Reply::json(vec![json!({ "path": path })]),
    })
}

#[test]
fn when_the_parent_fails_half_way_its_children_keep_what_they_have_and_are_not_complete() {
    static BROKEN: std::sync::atomic::AtomicBool = std::sync::atomic::AtomicBool::new(false);
    let parent =
        "[resources.videos]\nselected = false\nprimary_key = \"id\"\npaginator = { type = \"offset\", limit = 2 }\n";
    let details = "paginator = \"single_page\"\nparent = \"videos\"\npath = \"videos/{{ parent.id }}\"\ninclude_from_parent = [\"id\"]\n";
    let server = breaking(&BROKEN);
    let env = TestEnv::new();
    env.pipeline(&pipeline(
        &server,
        &format!(
            "{parent}[resources.replaced]\nwrite_disposition = \"replace\"\n{details}\
             [resources.merged]\nprimary_key = \"videos_id\"\nparents = \"changed\"\n{details}"
        ),
    ));
    env.load().expect_code(0);
    assert_eq!(env.warehouse().count("api.replaced"), 4);
    let complete = "SELECT \"cursor\" FROM api._pintail_state WHERE \"partition\" = 'parents'";
    let before = env.warehouse().query(complete);
    assert_eq!(before.len(), 1);
    BROKEN.store(true, std::sync::atomic::Ordering::SeqCst);
    let outcome =
        env.load().expect_code(1).expect_stderr(&["the table is not replaced, because `videos` was not loaded whole"]);
    assert_eq!(env.warehouse().count("api.replaced"), 4, "a table is not exchanged for half of its rows");
    assert_eq!(outcome.resource("replaced")["status"], "failed");
    assert_eq!(outcome.resource("merged")["status"], "completed");
    assert!(outcome.resource("merged")["warnings"].to_string().contains("was not loaded whole"));
    assert_eq!(env.warehouse().query(complete), before);
}

#[test]
fn an_ignored_answer_of_a_child_is_no_failure() {
    let (api, _) = filled();
    let server = Server::start(move |request| match request.path.as_str() {
        "/videos/3/interactions" => Reply::status(403),
        _ => api.reply(request),
    });
    let env = TestEnv::new();
    env.pipeline(&pipeline(
        &server,
        &format!("{PARENT}{CHILD}response_actions = [{{ status = 403, action = \"ignore\" }}]\n"),
    ));
    env.load().expect_code(0);
    let found = env.warehouse().query("SELECT DISTINCT videos_id FROM api.interactions ORDER BY 1");
    assert_eq!(found, [["1"], ["2"], ["4"]]);
}

#[test]
fn a_parent_that_answers_404_after_its_first_page_is_not_gone() {
    let (api, server) = filled();
    let env = TestEnv::new();
    let since = "incremental = { cursor_path = \"updated_at\", start_param = \"since\" }\n";
    env.pipeline(&pipeline(&server, &format!("{PARENT}{since}{CHILD}")));
    env.load().expect_code(0);
    let second = Server::start(move |request| {
        let is_second = request.path.starts_with("/videos/2/") && request.number_param("offset", 0) > 0;
        if is_second { Reply::status(404) } else { api.reply(request) }
    });
    env.pipeline(&pipeline(&second, &format!("{PARENT}{since}{CHILD}")));
    env.load().expect_code(1).expect_stderr(&["404", "/videos/2/interactions"]);
}

#[test]
fn four_levels_with_one_request_at_a_time_come_to_an_end() {
    let server = Server::start(|request| {
        let depth = request.path.trim_matches('/').split('/').count();
        let (from, all) = (request.number_param("offset", 0), [400, 3, 2, 1][depth.min(4) - 1]);
        let ids =
            (from..all.min(from + 10)).map(|n| json!({ "id": format!("{}-{n}", request.path.replace('/', "_")) }));
        Reply::json(ids.collect::<Vec<_>>())
    });
    let level = |name: &str, parent: &str, path: &str| {
        format!("[resources.{name}]\nparent = \"{parent}\"\npath = \"{path}\"\n")
    };
    let resources = format!(
        "[resource_defaults]\nprimary_key = \"id\"\npaginator = {{ type = \"offset\", limit = 10 }}\n[resources.a]\n{}{}{}",
        level("b", "a", "a/{{ parent.id }}"),
        level("c", "b", "a/b/{{ parent.id }}"),
        level("d", "c", "a/b/c/{{ parent.id }}"),
    );
    let env = TestEnv::new();
    env.pipeline(&crate::support::pipeline_with_client(&server, "concurrency = 1\n", &resources));
    env.load().expect_code(0);
    let found = env
        .warehouse()
        .query("SELECT (SELECT count(*) FROM api.b), (SELECT count(*) FROM api.c), (SELECT count(*) FROM api.d)");
    assert_eq!(found, [["1200", "2400", "2400"]]);
}
