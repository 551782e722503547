//! Tables that several resources fill.

use crate::support::{Reply, Server, TestEnv, pipeline};
use serde_json::{Value, json};
use std::sync::atomic::{AtomicUsize, Ordering};

fn deal(id: u64, at: u64) -> Value {
    json!({ "id": id, "at": format!("2026-01-{at:02}"), "tags": [format!("t{id}")] })
}

/// Active deals with a `since`, archived ones with a field of their own; deal 3 moves from one list to the other.
fn deals(round: &'static AtomicUsize) -> Server {
    Server::start(move |request| {
        let later = round.load(Ordering::SeqCst) > 0;
        let rows = match request.path.as_str() {
            "/deals" if later => vec![deal(1, 1), deal(2, 2), deal(4, 9)],
            "/deals" => vec![deal(1, 1), deal(2, 2), deal(3, 3)],
            "/archive" => {
                let mut rows = vec![json!({ "id": 7, "at": "2025-01-01", "reason": 5 })];
                rows.extend(
                    later.then(|| json!({ "id": 3, "at": "2026-01-08", "reason": "lost", "tags": ["x", "y"] })),
                );
                rows
            }
            "/notes" => vec![json!({ "id": request.param("deal") })],
            _ => return Reply::status(404),
        };
        let since = request.param("since").unwrap_or("").to_owned();
        let is_new = |row: &Value| row["at"].as_str().is_none_or(|at| at >= since.as_str());
        Reply::json(rows.into_iter().filter(is_new).collect::<Vec<_>>())
    })
}

const DEALS: &str = "[resource_defaults]\nprimary_key = \"id\"\npaginator = \"single_page\"\n\
    [resources.deals]\nincremental = { cursor_path = \"at\", start_param = \"since\" }\n\
    [resources.archived]\npath = \"archive\"\ntable_name = \"deals\"\nadd_columns = { source = \"archive\" }\n\
    incremental = { cursor_path = \"at\", start_param = \"since\" }\n";

#[test]
fn resources_that_share_a_table_merge_into_it_and_keep_cursors_of_their_own() {
    static ROUND: AtomicUsize = AtomicUsize::new(0);
    for number in 0..2 {
        ROUND.store(0, Ordering::SeqCst);
        let server = deals(&ROUND);
        let env = TestEnv::new();
        let warehouse = &env.destinations()[number];
        env.pipeline(&pipeline(&server, DEALS));
        let outcome = env.load_into(warehouse, &[]).expect_code(0);
        assert_eq!(outcome.resource("archived")["rows"], json!({ "deals": 1 }));
        let rows = "SELECT id, source, reason FROM api.deals ORDER BY id";
        assert_eq!(
            warehouse.query(rows),
            [["1", "NULL", "NULL"], ["2", "NULL", "NULL"], ["3", "NULL", "NULL"], ["7", "archive", "5"]]
        );
        ROUND.store(1, Ordering::SeqCst);
        server.forget();
        env.load_into(warehouse, &[]).expect_code(0);
        assert_eq!(server.requests_for("/deals")[0].param("since"), Some("2026-01-03"));
        assert_eq!(server.requests_for("/archive")[0].param("since"), Some("2025-01-01"));
        let expected = [
            ["1", "NULL", "NULL"],
            ["2", "NULL", "NULL"],
            ["3", "archive", "lost"],
            ["4", "NULL", "NULL"],
            ["7", "archive", "5"],
        ];
        assert_eq!(warehouse.query(rows), expected, "a key is one record, whoever brings it");
        let tags = "SELECT string_agg(value, ' ' ORDER BY value) FROM api.deals__tags";
        assert_eq!(warehouse.value(tags), "t1 t2 t4 x y", "child rows go with their record");
        assert_eq!(warehouse.tables("api"), ["deals", "deals__tags"]);
        let changes = "SELECT DISTINCT table_name FROM api._pintail_schema ORDER BY 1";
        assert_eq!(warehouse.query(changes), [["deals"], ["deals__tags"]]);
        let created = "SELECT count(*) FROM api._pintail_schema WHERE change = 'create_table'";
        assert_eq!(warehouse.value(created), "2");
        // One of them alone.
        env.load_into(warehouse, &["--resource", "archived"]).expect_code(0);
        assert_eq!(warehouse.count("api.deals"), 5);
    }
}

#[test]
fn a_shared_table_is_made_anew_for_all_or_for_none() {
    static ROUND: AtomicUsize = AtomicUsize::new(0);
    for number in 0..2 {
        let server = deals(&ROUND);
        let env = TestEnv::new();
        let warehouse = &env.destinations()[number];
        env.pipeline(&pipeline(&server, DEALS));
        env.load_into(warehouse, &[]).expect_code(0);
        server.forget();
        env.load_into(warehouse, &["--full-refresh", "--resource", "archived"])
            .expect_code(2)
            .expect_stderr(&["`archived` can't be loaded anew alone", "--resource archived --resource deals"]);
        assert_eq!(server.requests().len(), 0);
        assert_eq!(warehouse.count("api.deals"), 4);
        env.load_into(warehouse, &["--full-refresh"]).expect_code(0);
        assert!(server.requests().iter().all(|r| r.param("since").is_none()));
        assert_eq!(warehouse.count("api.deals"), 4);
        server.forget();
        env.load_into(warehouse, &[]).expect_code(0);
        assert!(server.requests().iter().all(|r| r.param("since").is_some()), "both have their cursors");
        assert_eq!(warehouse.count("api.deals"), 4);
    }
}

#[test]
fn children_of_resources_that_share_a_table_run_for_the_rows_of_both() {
    static ROUND: AtomicUsize = AtomicUsize::new(0);
    for number in 0..2 {
        let server = deals(&ROUND);
        let env = TestEnv::new();
        let warehouse = &env.destinations()[number];
        let notes = "[resources.notes]\nparent = [\"deals\", \"archived\"]\nparams = { deal = \"{{ parent.id }}\" }\n";
        env.pipeline(&pipeline(&server, &format!("{DEALS}{notes}")));
        for _ in 0..2 {
            server.forget();
            env.load_into(warehouse, &[]).expect_code(0);
            assert_eq!(server.requests_for("/notes").len(), 4, "each row once");
            assert_eq!(warehouse.count("api.notes"), 4);
        }
    }
}

/// A parent with more pages than wait for a child, and children that fill one table.
#[test]
fn children_that_share_a_table_wait_for_each_other_and_not_for_ever() {
    const PAGES: usize = 40;
    let server = Server::start(|request| match request.path.as_str() {
        "/nodes" => {
            let page = request.number_param("offset", 0);
            let rows: Vec<Value> =
                if page < PAGES { vec![json!({ "id": format!("n{page}"), "level": 0 })] } else { vec![] };
            Reply::json(rows)
        }
        path => Reply::json(vec![json!({ "id": path, "level": 1 })]),
    });
    for number in 0..2 {
        let env = TestEnv::new();
        let warehouse = &env.destinations()[number];
        let child = |name: &str| {
            format!(
                "[resources.{name}]\npaginator = \"single_page\"\ntable_name = \"leaves\"\nparent = \"nodes\"\n\
                 path = \"{name}/{{{{ parent.id }}}}\"\n"
            )
        };
        let nodes = "[resource_defaults]\nprimary_key = \"id\"\n[resources.nodes]\npaginator = { type = \"offset\", limit = 1 }\n";
        env.pipeline(&pipeline(&server, &format!("{nodes}{}{}", child("left"), child("right"))));
        for _ in 0..2 {
            env.load_into(warehouse, &[]).expect_code(0);
            assert_eq!(warehouse.count("api.leaves"), 2 * PAGES as u64);
        }
    }
}

#[test]
fn a_child_can_fill_the_table_of_its_parent() {
    for number in 0..2 {
        let server = Server::start(|request| match request.path.as_str() {
            "/comments" => Reply::json(vec![json!({ "id": 1, "replies": 1 }), json!({ "id": 2, "replies": 0 })]),
            "/comments/1/replies" => Reply::json(vec![json!({ "id": 11, "replies": 1 })]),
            "/comments/11/replies" => Reply::json(vec![json!({ "id": 111, "replies": 0 })]),
            _ => Reply::status(404),
        });
        let env = TestEnv::new();
        let warehouse = &env.destinations()[number];
        env.pipeline(&pipeline(
            &server,
            "[resource_defaults]\nprimary_key = \"id\"\npaginator = \"single_page\"\n[resources.comments]\n\
             [resources.replies]\ntable_name = \"comments\"\nparent = [\"comments\", \"replies\"]\n\
             path = \"comments/{{ parent.id }}/replies\"\nparent_filter = \"{{ parent.replies > 0 }}\"\n\
             include_from_parent = { reply_to = \"id\" }\n",
        ));
        for _ in 0..2 {
            env.load_into(warehouse, &[]).expect_code(0);
            let found = warehouse.query("SELECT id, reply_to FROM api.comments ORDER BY id");
            assert_eq!(found, [["1", "NULL"], ["2", "NULL"], ["11", "1"], ["111", "11"]]);
        }
    }
}

#[test]
fn resources_that_append_share_a_table_too() {
    for number in 0..2 {
        let server = Server::start(|request| Reply::json(vec![json!({ "from": request.path, "at": "2026-01-01" })]));
        let env = TestEnv::new();
        let warehouse = &env.destinations()[number];
        env.pipeline(&pipeline(
            &server,
            "[resource_defaults]\npaginator = \"single_page\"\ntable_name = \"events\"\n\
             incremental = { cursor_path = \"at\", start_param = \"since\" }\n[resources.a]\n[resources.b]\n",
        ));
        for _ in 0..2 {
            env.load_into(warehouse, &[]).expect_code(0);
            assert_eq!(warehouse.query("SELECT \"from\" FROM api.events ORDER BY 1"), [["/a"], ["/b"]]);
        }
    }
}

#[test]
fn what_resources_that_share_a_table_disagree_about_is_found_before_any_request() {
    let server = Server::start(|_| Reply::status(500));
    let shared =
        |a: &str, b: &str| format!("[resources.a]\ntable_name = \"t\"\n{a}\n[resources.b]\ntable_name = \"t\"\n{b}\n");
    for (resources, expected) in [
        (shared("primary_key = \"id\"", ""), "differ in `write_disposition`"),
        (shared("primary_key = \"id\"", "primary_key = \"key\""), "differ in `primary_key`"),
        (shared("", "columns = { x = { type = \"DATE\" } }"), "differ in `columns`"),
        (
            shared("primary_key = \"id\"\nmerge_strategy = \"scd2\"", "primary_key = \"id\""),
            "differ in `merge_strategy`",
        ),
        (shared("primary_key = \"id\"\nhard_delete = \"gone\"", "primary_key = \"id\""), "differ in `hard_delete`"),
        (
            shared("write_disposition = \"replace\"", "write_disposition = \"replace\""),
            "\"replace\" would take the rows of the others out",
        ),
        (
            format!("{}[resources.c]\nparent = \"a\"\npath = \"{{{{ parent.id }}}}\"\n", shared("", "")),
            "`a` and `b` share the table `t`, so `c` has both as parents",
        ),
        ("[resources.a-b]\n[resources.a_b]\n".to_owned(), "both fill the table `a_b`"),
        ("[resources.a]\ntable_name = \"_pintail_x\"\n".to_owned(), "a resource can't fill the table `_pintail_x`"),
        ("[resources.a]\ntable_name = \"--\"\n".to_owned(), "`table_name` has no letter or digit"),
        ("[resources.a]\ntable_name = \"{{ vars.x }}\"\n".to_owned(), "can't be used in `table_name`"),
    ] {
        let env = TestEnv::new();
        env.pipeline(&pipeline(&server, &resources));
        env.load().expect_code(2).expect_stderr(&[expected]);
    }
    assert_eq!(server.requests().len(), 0);
}

#[test]
fn a_merge_into_rows_that_were_appended_is_refused_and_changes_nothing() {
    for number in 0..2 {
        let server = Server::start(|_| {
            Reply::json(
                (1..=3).map(|id| json!({ "id": id, "at": format!("2026-01-0{id}T08:00:00Z") })).collect::<Vec<_>>(),
            )
        });
        let env = TestEnv::new();
        let warehouse = &env.destinations()[number];
        let load = |keys: &str, args: &[&str]| {
            env.pipeline(&pipeline(&server, &format!("[resources.rows]\npaginator = \"single_page\"\n{keys}\n")));
            env.load_into(warehouse, args)
        };
        load("", &[]).expect_code(0);
        for key in ["id", "at"] {
            load(&format!("primary_key = \"{key}\""), &[])
                .expect_code(1)
                .expect_stderr(&["other ids than `primary_key` gives", "--full-refresh --resource rows"]);
            assert_eq!(warehouse.count("api.rows"), 3);
        }
        load("primary_key = \"at\"", &["--full-refresh", "--resource", "rows"]).expect_code(0);
        load("primary_key = \"at\"", &[]).expect_code(0);
        assert_eq!(warehouse.count("api.rows"), 3);
        load("primary_key = \"id\"", &[]).expect_code(1);
        load("primary_key = [\"id\", \"at\"]\nwrite_disposition = \"replace\"", &[]).expect_code(0);
        load("primary_key = [\"id\", \"at\"]", &[]).expect_code(0);
        assert_eq!(warehouse.count("api.rows"), 3);
    }
}
