//! Which parents a child runs for: rows of several resources, rows of its own, and those that a filter lets through.

use crate::support::{Reply, Server, TestEnv, pipeline};
use serde_json::{Value, json};
use std::sync::atomic::{AtomicBool, Ordering};

const DEFAULTS: &str = "[resource_defaults]\nprimary_key = \"id\"\npaginator = \"single_page\"\n";

/// Two pages with blocks, and blocks below blocks down to the third level.
fn tree(is_circular: bool) -> Server {
    Server::start(move |request| {
        let segments: Vec<&str> = request.path.trim_matches('/').split('/').collect();
        let block = |id: String, more: bool| json!({ "id": id, "has_children": more });
        match segments.as_slice() {
            ["pages"] => Reply::json(vec![json!({ "id": "p" }), json!({ "id": "q" })]),
            ["blocks", "p", "children"] => Reply::json(vec![block("p1".into(), true), block("p2".into(), false)]),
            ["blocks", "p11", "children"] if is_circular => Reply::json(vec![block("p1".into(), true)]),
            ["blocks", id @ ("p1" | "p11"), "children"] => Reply::json(vec![block(format!("{id}1"), *id == "p1")]),
            ["blocks", _, "children"] => Reply::json(Vec::<Value>::new()),
            _ => Reply::status(404),
        }
    })
}

const BLOCKS: &str = "[resources.pages]\n[resources.blocks]\nparent = [\"pages\", \"blocks\"]\n\
    path = \"blocks/{{ parent.id }}/children\"\ninclude_from_parent = { parent_id = \"id\" }\n";

fn asked(server: &Server) -> Vec<String> {
    let mut paths: Vec<String> = server.requests().into_iter().map(|r| r.path).collect();
    paths.sort();
    paths
}

#[test]
fn a_resource_that_is_its_own_parent_goes_down_to_the_last_row() {
    for number in 0..2 {
        let server = tree(false);
        let env = TestEnv::new();
        let warehouse = &env.destinations()[number];
        env.pipeline(&pipeline(&server, &format!("{DEFAULTS}{BLOCKS}")));
        for _ in 0..2 {
            env.load_into(warehouse, &[]).expect_code(0);
            let found = warehouse.query("SELECT id, parent_id FROM api.blocks ORDER BY id");
            assert_eq!(found, [["p1", "p"], ["p11", "p1"], ["p111", "p11"], ["p2", "p"]]);
            let expected = ["p", "p1", "p11", "p111", "p2", "q"].map(|id| format!("/blocks/{id}/children"));
            assert_eq!(
                asked(&server),
                [expected.as_slice(), &["/pages".to_owned()]].concat(),
                "each is asked for once"
            );
            server.forget();
        }
        // What is known is enough to go on from.
        env.load_into(warehouse, &["--resource", "blocks"]).expect_code(0);
        assert_eq!(asked(&server).len(), 6);
        env.load_into(warehouse, &["--full-refresh"]).expect_code(0);
        assert_eq!(warehouse.count("api.blocks"), 4);
    }
}

#[test]
fn rows_below_themselves_are_asked_for_once_and_told() {
    let server = tree(true);
    let env = TestEnv::new();
    env.pipeline(&pipeline(&server, &format!("{DEFAULTS}{BLOCKS}")));
    let outcome = env.load().expect_code(0);
    assert!(outcome.stderr.contains("1 parents are below themselves"), "{}", outcome.transcript());
    assert_eq!(asked(&server).iter().filter(|path| *path == "/blocks/p1/children").count(), 1);
    assert_eq!(env.warehouse().count("api.blocks"), 3);
}

#[test]
fn rows_further_down_than_max_depth_are_an_error_that_keeps_those_above() {
    // Ever new names: nothing but the depth shows that there is no end.
    let server = Server::start(|request| match request.path.as_str() {
        "/pages" => Reply::json(vec![json!({ "id": "p" })]),
        path => {
            let id = path.trim_start_matches("/blocks/").trim_end_matches("/children");
            Reply::json(vec![json!({ "id": format!("{id}x") })])
        }
    });
    let env = TestEnv::new();
    env.pipeline(&pipeline(&server, &format!("{DEFAULTS}{BLOCKS}max_depth = 3\n")));
    env.load().expect_code(1).expect_stderr(&["rows are further down than `max_depth`", "max_depth: 3", "pxxx"]);
    assert_eq!(env.warehouse().query("SELECT id FROM api.blocks ORDER BY id"), [["px"], ["pxx"], ["pxxx"]]);
}

#[test]
fn rows_of_several_parents_are_parents_alike() {
    for number in 0..2 {
        let server = Server::start(|request| match request.path.as_str() {
            "/teams" => Reply::json(vec![json!({ "id": 1 }), json!({ "id": 2 })]),
            "/teams/1/own" | "/teams/2/own" => {
                Reply::json(vec![json!({ "id": request.path.replace('/', "-"), "slug": null })])
            }
            "/single" => Reply::json(vec![json!({ "id": "s", "slug": "both" }), json!({ "id": "t", "slug": "both" })]),
            path => Reply::json(vec![json!({ "id": path })]),
        });
        let env = TestEnv::new();
        let warehouse = &env.destinations()[number];
        env.pipeline(&pipeline(
            &server,
            &format!(
                "{DEFAULTS}[resources.teams]\n[resources.own]\nparent = \"teams\"\npath = \"teams/{{{{ parent.id }}}}/own\"\n\
                 include_from_parent = {{ owner = \"id\" }}\n[resources.single]\nadd_columns = {{ owner = \"none\" }}\n\
                 [resources.issues]\nparent = [\"own\", \"single\"]\npath = \"issues/{{{{ parent.id }}}}\"\n\
                 include_from_parent = {{ owner = \"owner\" }}\n\
                 [resources.slugs]\nparent = [\"own\", \"single\"]\npath = \"slugs/{{{{ parent.slug }}}}\"\n\
                 on_missing_parent_field = \"skip\"\n"
            ),
        ));
        for _ in 0..2 {
            let outcome = env.load_into(warehouse, &[]).expect_code(0);
            let found = warehouse.query("SELECT id, owner FROM api.issues ORDER BY id");
            let expected = [("-teams-1-own", "1"), ("-teams-2-own", "2"), ("s", "none"), ("t", "none")];
            assert_eq!(found, expected.map(|(id, owner)| [format!("/issues/{id}"), owner.to_owned()]));
            let report = outcome.resource("slugs");
            assert_eq!((&report["parents"], &report["parents_skipped"]), (&json!(1), &json!(2)), "{report}");
        }
        server.forget();
        env.load_into(warehouse, &["--resource", "issues"]).expect_code(0);
        assert_eq!(asked(&server).len(), 4, "those of both are known");
    }
}

#[test]
fn only_parents_that_the_filter_lets_through_are_asked_for() {
    static PUBLIC: AtomicBool = AtomicBool::new(false);
    for number in 0..2 {
        PUBLIC.store(false, Ordering::SeqCst);
        let server = Server::start(|request| match request.path.as_str() {
            "/channels" => Reply::json(vec![
                json!({ "id": 1, "is_member": true, "topic": { "kind": "x" } }),
                json!({ "id": 2, "is_member": PUBLIC.load(Ordering::SeqCst) }),
                json!({ "id": 3 }),
            ]),
            _ => Reply::json(vec![json!({ "id": request.param("channel") })]),
        });
        let env = TestEnv::new();
        let warehouse = &env.destinations()[number];
        env.pipeline(&pipeline(
            &server,
            &format!(
                "{DEFAULTS}[resources.channels]\n[resources.messages]\nparent = \"channels\"\n\
                 params = {{ channel = \"{{{{ parent.id }}}}\" }}\nparent_filter = \"{{{{ parent.is_member and vars.all }}}}\"\n\
                 [vars]\nall = \"yes\"\n"
            ),
        ));
        let report = env.load_into(warehouse, &[]).expect_code(0).resource("messages");
        assert_eq!((&report["parents"], &report["parents_skipped"]), (&json!(1), &json!(2)), "{report}");
        assert_eq!(report["end"], "1 parents, 2 left out by `parent_filter`");
        PUBLIC.store(true, Ordering::SeqCst);
        env.load_into(warehouse, &[]).expect_code(0);
        assert_eq!(warehouse.query("SELECT id FROM api.messages ORDER BY id"), [["1"], ["2"]]);
        // Parents of the warehouse alike.
        let report = env.load_into(warehouse, &["--resource", "messages"]).expect_code(0).resource("messages");
        assert_eq!((&report["parents"], &report["parents_skipped"]), (&json!(2), &json!(1)), "{report}");
        assert!(server.requests_for("/messages").iter().all(|r| matches!(r.param("channel"), Some("1" | "2"))));
    }
}

#[test]
fn a_filter_that_changes_asks_for_changed_parents_anew() {
    let server = Server::start(|request| match request.path.as_str() {
        "/channels" => {
            let all = vec![
                json!({ "id": 1, "kind": "a", "at": "2026-01-01" }),
                json!({ "id": 2, "kind": "b", "at": "2026-01-02" }),
            ];
            let since = request.param("since").unwrap_or("").to_owned();
            Reply::json(all.into_iter().filter(|c| c["at"].as_str() >= Some(since.as_str())).collect::<Vec<_>>())
        }
        path => Reply::json(vec![json!({ "id": path })]),
    });
    let env = TestEnv::new();
    let resources = |filter: &str| {
        pipeline(
            &server,
            &format!(
                "{DEFAULTS}[resources.channels]\nincremental = {{ cursor_path = \"at\", start_param = \"since\" }}\n\
                 [resources.messages]\nparent = \"channels\"\npath = \"messages/{{{{ parent.id }}}}\"\nparents = \"changed\"\n\
                 parent_filter = \"{{{{ parent.kind in {filter} }}}}\"\n"
            ),
        )
    };
    env.pipeline(&resources("['b']"));
    env.load().expect_code(0);
    assert_eq!(env.warehouse().count("api.messages"), 1);
    env.pipeline(&resources("['a', 'b']"));
    env.load().expect_code(0);
    assert_eq!(env.warehouse().count("api.messages"), 2, "what was passed over is not done");
}

#[test]
fn a_parent_without_a_value_for_the_request_is_an_error_and_never_asks_for_everything() {
    let server = Server::start(|request| match request.path.as_str() {
        "/channels" => Reply::json(vec![json!({ "id": 1, "open": true }), json!({ "id": 2, "open": false })]),
        _ => Reply::json(vec![json!({ "id": request.param("channel").unwrap_or("everything") })]),
    });
    let env = TestEnv::new();
    env.pipeline(&pipeline(
        &server,
        &format!(
            "{DEFAULTS}[resources.channels]\n[resources.messages]\nparent = \"channels\"\n\
             params = {{ channel = \"{{{{ parent.id if parent.open }}}}\" }}\n"
        ),
    ));
    env.load().expect_code(1).expect_stderr(&["it would ask for everything", "`parent_filter` says"]);
    assert_eq!(env.warehouse().query("SELECT id FROM api.messages"), [["1"]]);
    assert_eq!(server.requests_for("/messages").len(), 1);
}

#[test]
fn a_batch_is_a_list_to_expressions_and_filters() {
    let server = Server::start(|request| match request.path.as_str() {
        "/accounts" => Reply::json(["1", "a,b", "3"].map(|id| json!({ "id": id })).to_vec()),
        _ => {
            let ids: Vec<String> = serde_json::from_str(request.param("ids").unwrap_or("[]")).unwrap_or_default();
            let rows = ids.iter().map(String::as_str).chain(["other"]);
            Reply::json(rows.map(|id| json!({ "account": id })).collect::<Vec<_>>())
        }
    });
    let env = TestEnv::new();
    env.pipeline(&pipeline(
        &server,
        "[resources.accounts]\nprimary_key = \"id\"\npaginator = \"single_page\"\n\
         [resources.reports]\nparent = \"accounts\"\npaginator = \"single_page\"\nparent_batch = { size = 2 }\n\
         params = { ids = \"{{ parent.id | tojson }}\" }\nfilter = \"{{ record.account in parent.id }}\"\n",
    ));
    env.load().expect_code(0);
    let mut asked: Vec<String> =
        server.requests_for("/reports").iter().filter_map(|r| r.param("ids").map(str::to_owned)).collect();
    asked.sort();
    assert_eq!(asked, ["[\"1\", \"a,b\"]", "[\"3\"]"]);
    assert_eq!(env.warehouse().query("SELECT account FROM api.reports ORDER BY 1"), [["1"], ["3"], ["a,b"]]);
}

#[test]
fn batches_can_share_one_cursor() {
    for number in 0..2 {
        let server = Server::start(|request| match request.path.as_str() {
            "/accounts" => Reply::json((1..=3).map(|id| json!({ "id": id })).collect::<Vec<_>>()),
            _ => {
                let since = request.param("since").unwrap_or("2000-01-01").to_owned();
                let ids = request.param("ids").unwrap_or_default().to_owned();
                let rows = ids.split(',').map(|id| json!({ "id": id, "at": format!("2026-01-0{id}") }));
                Reply::json(rows.filter(|row| row["at"].as_str() >= Some(since.as_str())).collect::<Vec<_>>())
            }
        });
        let env = TestEnv::new();
        let warehouse = &env.destinations()[number];
        env.pipeline(&pipeline(
            &server,
            &format!(
                "{DEFAULTS}[resources.accounts]\n[resources.reports]\nparent = \"accounts\"\nparent_batch = {{ size = 2 }}\n\
                 params = {{ ids = \"{{{{ parent.id }}}}\" }}\nwrite_disposition = \"append\"\n\
                 incremental = {{ cursor_path = \"at\", start_param = \"since\", scope = \"global\" }}\n"
            ),
        ));
        env.load_into(warehouse, &[]).expect_code(0);
        server.forget();
        let report = env.load_into(warehouse, &[]).expect_code(0).resource("reports");
        assert!(server.requests_for("/reports").iter().all(|r| r.param("since") == Some("2026-01-03")));
        assert_eq!(report["discarded"], json!({ "already_stored": 1 }));
        assert_eq!(warehouse.count("api.reports"), 3);
    }
}

#[test]
fn mistakes_about_parents_are_found_before_any_request() {
    let server = Server::start(|_| Reply::status(500));
    for (resources, expected) in [
        ("[resources.b]\nparent = \"b\"\npath = \"{{ parent.id }}\"\n", "`b` is its own parent"),
        ("[resources.b]\nparent = [\"a\", \"a\"]\npath = \"{{ parent.id }}\"\n", "`a` is named twice"),
        ("[resources.b]\nparent = []\npath = \"{{ vars.x }}\"\n", "`parent` names no resource"),
        ("[resources.b]\nparent = [\"a\", \"z\"]\npath = \"{{ parent.id }}\"\n", "there is no resource `z`"),
        (
            "[resources.b]\nparent = [\"a\", \"b\"]\npath = \"{{ parent.id }}\"\ninclude_from_parent = [\"id\"]\n",
            "a column with a field of several parents needs a name of its own",
        ),
        ("[resources.b]\nparent = \"a\"\npath = \"{{ parent.id }}\"\nmax_depth = 3\n", "`max_depth` has no effect"),
        (
            "[resources.b]\nparent = [\"a\", \"b\"]\nparams = { p = \"{{ parent.id }}\" }\nparent_batch = {}\n",
            "`parent_batch` can't be used where `b` is its own parent",
        ),
        (
            "[resources.b]\nparent = \"a\"\npath = \"{{ parent.id }}\"\nparent_filter = \"{{ record.x }}\"\n",
            "`record.x` has no value here",
        ),
        (
            "[resources.b]\nparent = \"a\"\npath = \"{{ parent.id }}\"\nparent_filter = \"{{ vars.x == '1' }}\"\n",
            "`parent_filter` uses no field of the parent",
        ),
        ("[resources.b]\nparent_filter = \"{{ parent.x }}\"\n", "`parent_filter` has no effect: `b` has no parent"),
        (
            "[resources.b]\nparent = \"a\"\nparams = { p = \"{{ parent.id }}\" }\nparent_batch = {}\nadd_columns = { p = \"{{ parent.id }}\" }\n",
            "`parent.id` can't say which parent of a batch a row belongs to",
        ),
        (
            "[resources.b]\nparent = \"a\"\nparams = { p = \"{{ parent.id }}\" }\nparent_batch = {}\n\
             incremental = { cursor_path = \"t\", start_param = \"s\" }\n",
            "which a batch of parents can't have",
        ),
    ] {
        let env = TestEnv::new();
        env.pipeline(&pipeline(&server, &format!("[vars]\nx = \"1\"\n[resources.a]\n{resources}")));
        env.load().expect_code(2).expect_stderr(&[expected]);
    }
    assert_eq!(server.requests().len(), 0);
}
