//! Resources that run once for every row of a list: of values, of a file, of a query.

use crate::support::{Outcome, Reply, Request, Server, TestEnv, Warehouse, pipeline, pipeline_with_client};
use serde_json::{Value, json};

/// Answers every request with one record that shows its path and its parameters.
fn echo() -> Server {
    Server::start(|request: &Request| {
        let params: Vec<String> = request.params.iter().map(|(name, value)| format!("{name}={value}")).collect();
        Reply::json(vec![json!({ "path": request.path, "params": params.join("&") })])
    })
}

/// The paths that were asked for, sorted.
fn paths(server: &Server) -> Vec<String> {
    let mut paths: Vec<String> = server.requests().into_iter().map(|r| r.path).collect();
    paths.sort();
    paths
}

fn one(partitions: &str, rest: &str) -> String {
    format!("[resources.items]\npaginator = \"single_page\"\npartitions = {partitions}\n{rest}\n")
}

fn load(server: &Server, files: &[(&str, &str)], resources: &str) -> (TestEnv, Outcome) {
    let env = TestEnv::new();
    for (name, content) in files {
        env.write(&format!("pipelines/{name}"), content);
    }
    env.pipeline(&pipeline(server, resources));
    let outcome = env.load();
    (env, outcome)
}

#[test]
fn every_row_of_every_kind_of_list_is_asked_for_once() {
    let plain = "path = \"x/{{ partition.value }}\"";
    let id = "path = \"x/{{ partition.id }}\"";
    let named = "path = \"x/{{ partition.conference_id }}\"";
    let cases: &[(&str, &str, &str, &[&str])] = &[
        ("{ values = [\"a\", \"b\", \"a\"] }", plain, "", &["a", "b"]),
        ("{ values = [1, true, 2.5, 2026-01-02] }", plain, "", &["1", "2.5", "2026-01-02", "true"]),
        ("{ values = [\"a/b\"], name = \"conference_id\" }", named, "", &["a%2Fb"]),
        ("{ values = [{ id = 1, region = \"eu\" }, { id = 2 }] }", id, "", &["1", "2"]),
        ("{ file = \"list.txt\" }", plain, "\u{feff}a\r\n\r\nb\r\na\r\n", &["a", "b"]),
        ("{ file = \"list.txt\", name = \"conference_id\" }", named, "a\nb", &["a", "b"]),
        ("{ file = \"list.csv\" }", id, "\u{feff}region,id\r\neu,007\r\n\r\nus,\"8,9\"\r\n", &["007", "8%2C9"]),
        ("{ file = \"list.jsonl\" }", id, "{\"id\":1}\n\n{\"x\":0,\"id\":\"b\"}\n", &["1", "b"]),
        ("{ file = \"list.json\" }", plain, "[1, \"b\", 1]", &["1", "b"]),
        ("{ sql = \"SELECT * FROM range(3) r(id)\" }", id, "", &["0", "1", "2"]),
        ("{ sql = \"VALUES ('a'), ('b'), ('a');\", name = \"conference_id\" }", named, "", &["a", "b"]),
        ("{ sql = \"FROM read_csv('list.csv', all_varchar = true) -- all\" }", id, "id\n01\n02\n", &["01", "02"]),
    ];
    for (partitions, request, content, expected) in cases {
        let server = echo();
        let file = partitions.split(['"', '\'']).find(|part| part.starts_with("list.")).unwrap_or("list.txt");
        let (env, outcome) = load(&server, &[(file, content)], &one(partitions, request));
        let outcome = outcome.expect_code(0);
        let expected: Vec<String> = expected.iter().map(|value| format!("/x/{value}")).collect();
        assert_eq!(paths(&server), expected, "{partitions}");
        assert_eq!(env.warehouse().count("api.items"), expected.len() as u64, "{partitions}");
        assert_eq!(outcome.resource("items")["end"], format!("{} partitions", expected.len()));
    }
}

#[test]
fn values_keep_their_types_in_json_and_reach_every_part_of_a_request() {
    let server = echo();
    let rest = "path = \"x/{{ partition.id }}\"\nparams = { r = \"{{ partition.region }}\" }\n\
        headers = { X-Id = \"{{ partition.id }}\" }\njson = { id = \"{{ partition.id }}\", text = \"n{{ partition.id }}\" }\n\
        include_from_partition = [\"id\", \"region\"]\nprimary_key = [\"id\", \"path\"]\n\
        add_columns = { source = \"eu\", n = 7, kept = \"{{ partition.id }}\", who = \"{{ vars.team }}/{{ partition.region }}\" }";
    let list = "{ sql = \"SELECT i AS id, CASE WHEN i = 1 THEN 'eu' ELSE 'us' END AS region FROM range(1, 3) t(i)\" }";
    let env = TestEnv::new();
    env.pipeline(&pipeline(&server, &format!("[vars]\nteam = \"growth\"\n{}", one(list, rest))));
    for warehouse in env.destinations() {
        server.forget();
        env.load_into(&warehouse, &[]).expect_code(0);
        let mut seen: Vec<_> = server
            .requests()
            .into_iter()
            .map(|r| {
                (r.path.clone(), r.param("r").map(str::to_owned), r.header("x-id").map(str::to_owned), r.body.clone())
            })
            .collect();
        seen.sort();
        let expected = [(1, "eu"), (2, "us")].map(|(id, region)| {
            let body = format!("{{\"id\":{id},\"text\":\"n{id}\"}}");
            (format!("/x/{id}"), Some(region.to_owned()), Some(id.to_string()), body)
        });
        assert_eq!(seen, expected);
        let found = warehouse.query("SELECT id, region, source, n, kept, who FROM api.items ORDER BY id");
        assert_eq!(found, [["1", "eu", "eu", "7", "1", "growth/eu"], ["2", "us", "eu", "7", "2", "growth/us"]]);
        assert_eq!(warehouse.column_type("api.items", "kept"), "BIGINT");
    }
}

#[test]
fn several_lists_multiply_and_each_row_of_the_parent_meets_each_combination() {
    let lists = "[[resources.items.partitions]]\nfile = \"regions.txt\"\nname = \"region\"\n\
        [[resources.items.partitions]]\nvalues = [1, 2]\nname = \"year\"\n";
    let server = Server::start(|request| match request.path.as_str() {
        "/teams" => Reply::json(vec![json!({ "id": "a" }), json!({ "id": "b" })]),
        path => Reply::json(vec![json!({ "path": path })]),
    });
    let files = [("regions.txt", "eu\nus\nap\n")];
    let alone = format!(
        "[resources.items]\npaginator = \"single_page\"\npath = \"{{{{ partition.year }}}}/{{{{ partition.region }}}}\"\n{lists}"
    );
    let (_env, outcome) = load(&server, &files, &alone);
    outcome.expect_code(0);
    assert_eq!(paths(&server), ["/1/ap", "/1/eu", "/1/us", "/2/ap", "/2/eu", "/2/us"]);

    server.forget();
    let with_parent = format!(
        "[resources.teams]\nprimary_key = \"id\"\npaginator = \"single_page\"\n\
         [resources.items]\npaginator = \"single_page\"\nparent = \"teams\"\n\
         path = \"{{{{ parent.id }}}}/{{{{ partition.year }}}}/{{{{ partition.region }}}}\"\n\
         include_from_parent = [\"id\"]\ninclude_from_partition = {{ y = \"year\" }}\n{lists}"
    );
    let (env, outcome) = load(&server, &files, &with_parent);
    assert_eq!(outcome.expect_code(0).resource("items")["parents"], 12);
    assert_eq!(
        env.warehouse()
            .value("SELECT string_agg(DISTINCT path, ' ' ORDER BY path) FROM api.items WHERE teams_id = 'a' AND y = 2"),
        "/a/2/ap /a/2/eu /a/2/us"
    );
    assert_eq!(env.warehouse().count("api.items"), 12);
}

#[test]
fn a_missing_value_is_an_error_that_names_its_row_or_is_skipped() {
    for (list, file, row) in [
        ("file = \"list.csv\"", "id,n\n1,1\n,2\n3,3\n", "row 2 of "),
        ("file = \"list.jsonl\"", "{\"id\":1}\n{\"id\":null}\n{\"id\":3}\n", "row 2 of "),
        ("sql = \"SELECT CASE WHEN i <> 2 THEN i END AS id FROM range(1, 4) t(i)\"", "", "row 2 of the query"),
    ] {
        let name = list.split('"').find(|part| part.starts_with("list.")).unwrap_or("list.csv");
        for (policy, code) in [("", 1), (", on_missing = \"skip\"", 0)] {
            let server = echo();
            let (env, outcome) = load(
                &server,
                &[(name, file)],
                &one(&format!("{{ {list}{policy} }}"), "path = \"x/{{ partition.id }}\""),
            );
            let outcome = outcome.expect_code(code);
            assert_eq!(paths(&server), ["/x/1", "/x/3"], "the others are asked for");
            assert_eq!(env.warehouse().count("api.items"), 2, "{list}");
            let report = outcome.resource("items").to_string();
            let said = if code == 1 { row } else { "1 partitions lack a value" };
            assert!(report.contains(said), "{said}: {report}");
        }
    }
}

#[test]
fn what_is_wrong_with_a_list_is_said_with_its_place_before_the_first_request() {
    let path = "path = \"x/{{ partition.id }}\"";
    let cases: &[(&str, &str, &str, &[&str])] = &[
        ("{ file = \"no.csv\" }", path, "", &["api.toml:9:23", "`no.csv` can't be read"]),
        (
            "{ file = \"list.csv\" }",
            path,
            "ids,n\n1,2\n",
            &["no partition has `id`", "api.toml:9:14", "did you mean `ids`"],
        ),
        (
            "{ file = \"list.csv\", name = \"id\" }",
            path,
            "id,n\n1,2\n",
            &["`name` is for lists of single values", "id, n"],
        ),
        (
            "{ values = [{ ids = 1 }] }",
            path,
            "",
            &["no partition of `items` has `partition.id`", "did you mean `partition.ids`"],
        ),
        (
            "{ values = [\"a\", \"\"] }",
            "path = \"{{ partition.value }}\"",
            "",
            &["api.toml:9:31", "this row has no `value`"],
        ),
        ("{ values = [1], file = \"list.csv\" }", path, "id\n1\n", &["`values` and `file` can't both give the rows"]),
        ("{ name = \"x\" }", path, "", &["the list has no rows"]),
        ("{ values = [1] }", "path = \"x\"", "", &["no request of `items` uses a column of its partitions"]),
        (
            "{ values = [1] }",
            "path = \"{{ partition.value }}\"\nadd_columns = { a = \"{{ page.number }}\" }",
            "",
            &["`page.number` has no value in `add_columns`"],
        ),
        (
            "{ values = [1] }",
            "path = \"{{ partition.value }}\"\ninclude_from_partition = [\"value\"]\nadd_columns = { value = 1 }",
            "",
            &["the column `value` is included twice"],
        ),
        (
            "{ values = [1] }",
            "path = \"{{ partition.value }}\"\nadd_columns = { key = \"${SOME_KEY}\" }",
            "",
            &["a secret would be stored"],
        ),
        ("{ vales = [1] }", path, "", &["unknown key `vales`", "did you mean `values`"]),
        (
            "[{ values = [1] }, { values = [2] }]",
            "path = \"{{ partition.value }}\"",
            "",
            &["two lists have a column `value`"],
        ),
    ];
    let server = echo();
    for (partitions, rest, file, says) in cases {
        let mut env = TestEnv::new();
        env.set("SOME_KEY", "AKIAqq77");
        env.write("pipelines/list.csv", file);
        env.pipeline(&pipeline(&server, &one(partitions, rest)));
        env.load().expect_code(2).expect_stderr(says);
        env.load().expect_code(2).expect_stderr(&["api.toml"]);
    }
    assert_eq!(server.requests().len(), 0);
}

#[test]
fn a_query_only_reads_and_what_duckdb_says_of_it_is_told_before_requests() {
    for number in 0..2 {
        for (sql, says) in [
            ("DELETE FROM keep", "may only read"),
            ("SELECT 1 AS id; DROP TABLE keep", "may only read"),
            ("SELECT 1 AS id; SELECT 2 AS id", "one statement"),
            ("COPY keep TO 'x.csv'", "may only read"),
            ("SELECT id FROM nothing_here", "nothing_here"),
            ("SELEC id", "syntax error"),
            ("SELECT nope AS id FROM keep", "nope"),
        ] {
            let server = Server::start(|request| match request.path.as_str() {
                "/keep" => Reply::json(vec![json!({ "n": 1 })]),
                path => panic!("asked for {path}"),
            });
            let env = TestEnv::new();
            let warehouse = &env.destinations()[number];
            env.pipeline(&pipeline(
                &server,
                &format!(
                    "[resources.keep]\npaginator = \"single_page\"\n{}",
                    one(&format!("{{ sql = \"{sql}\" }}"), "path = \"x/{{ partition.id }}\"")
                ),
            ));
            let outcome = env.load_into(warehouse, &[]).expect_code(1);
            let error = outcome.resource("items")["error"].as_str().unwrap_or_default().to_owned();
            assert!(error.contains(says) && error.contains("api.toml:11:14"), "{sql}: {error}");
            assert_eq!(warehouse.count("api.keep"), 1, "{sql}");
            assert!(!env.path("x.csv").exists());
        }
    }
}

/// Users, and a resource that asks for each user that a query finds.
fn by_query(server: &Server) -> String {
    pipeline(
        server,
        "[resources.users]\nprimary_key = \"id\"\npaginator = \"single_page\"\n\
         [resources.posts]\npath = \"users/{{ partition.id }}/posts\"\npaginator = \"single_page\"\n\
         partitions = { sql = \"SELECT id FROM users WHERE active ORDER BY id\" }\n\
         include_from_partition = { user_id = \"id\" }\nprimary_key = [\"user_id\", \"n\"]\n",
    )
}

#[test]
fn a_query_sees_what_the_resources_above_have_just_loaded() {
    let server = Server::start(|request| match request.path.as_str() {
        "/users" => Reply::json((0..2500).map(|id| json!({ "id": id, "active": id % 2 == 0 })).collect::<Vec<_>>()),
        _ => Reply::json(vec![json!({ "n": 1 })]),
    });
    for number in 0..2 {
        let env = TestEnv::new();
        let warehouse = &env.destinations()[number];
        env.pipeline(&by_query(&server));
        env.load_into(warehouse, &[]).expect_code(0);
        let found = warehouse.query("SELECT count(*), count(DISTINCT user_id), max(user_id) FROM api.posts");
        assert_eq!(found, [["1250", "1250", "2498"]]);
    }
}

fn events(request: &Request) -> Reply {
    let since = request.param("since").unwrap_or("2026-01-01T00:00:00Z").to_owned();
    let slow = request.path.ends_with("/b");
    let times: &[&str] =
        if slow { &["2026-01-01T00:00:05Z"] } else { &["2026-01-02T00:00:00Z", "2026-01-09T00:00:00Z"] };
    let rows = times.iter().filter(|t| **t >= since.as_str()).map(|t| json!({ "at": t, "region": "of the API" }));
    Reply::json(rows.collect::<Vec<_>>())
}

#[test]
fn every_partition_has_a_cursor_of_its_own() {
    for number in 0..2 {
        let server = Server::start(events);
        let env = TestEnv::new();
        let warehouse = &env.destinations()[number];
        let rest = "path = \"x/{{ partition.value }}\"\nincremental = { cursor_path = \"at\", start_param = \"since\" }\n\
            add_columns = { region = \"{{ partition.value }}\", loaded = \"{{ run.started_at }}\" }";
        env.pipeline(&pipeline(&server, &one("{ values = [\"a\", \"b\"] }", rest)));
        env.load_into(warehouse, &[]).expect_code(0);
        server.forget();
        env.load_into(warehouse, &[]).expect_code(0);
        let since: Vec<String> =
            server.requests().iter().map(|r| format!("{}={}", r.path, r.param("since").unwrap_or("-"))).collect();
        let mut since = since;
        since.sort();
        assert_eq!(since, ["/x/a=2026-01-09T00:00:00Z", "/x/b=2026-01-01T00:00:05Z"]);
        assert_eq!(warehouse.count("api.items"), 3, "a column of the run makes no other row of a record");
        let regions = warehouse.query("SELECT DISTINCT region FROM api.items ORDER BY 1");
        assert_eq!(regions, [["a"], ["b"]], "the added column has its name");
        let columns = warehouse.query("SELECT column_name FROM (DESCRIBE api.items) WHERE column_name LIKE 'region_%'");
        assert_eq!(columns.len(), 1, "the API's field is stored too");
        let partitions = warehouse.query("SELECT \"partition\" FROM api._pintail_state ORDER BY 1");
        assert_eq!(partitions, [["{\"value\":\"a\"}"], ["{\"value\":\"b\"}"]]);
    }
}

#[test]
fn a_partitioned_resource_can_be_a_parent_and_hand_its_partition_on() {
    let server = Server::start(|request| {
        let segments: Vec<&str> = request.path.trim_matches('/').split('/').collect();
        match segments.as_slice() {
            [region, "teams"] => Reply::json(vec![json!({ "id": format!("{region}-1") })]),
            [region, "teams", team] => Reply::json(vec![json!({ "of": format!("{region}:{team}") })]),
            _ => Reply::status(404),
        }
    });
    let teams = "[resources.teams]\nprimary_key = \"id\"\npaginator = \"single_page\"\npartitions = { values = [\"eu\", \"us\"], name = \"region\" }\n\
         path = \"{{ partition.region }}/teams\"\n";
    let members = "[resources.members]\npaginator = \"single_page\"\nparent = \"teams\"\n\
         path = \"{{ parent.partition.region }}/teams/{{ parent.id }}\"\n";
    let (env, outcome) = load(&server, &[], &format!("{teams}include_from_partition = [\"region\"]\n{members}"));
    outcome.expect_code(0);
    assert_eq!(
        env.warehouse().value("SELECT string_agg(\"of\", ' ' ORDER BY \"of\") FROM api.members"),
        "eu:eu-1 us:us-1"
    );
    let (_env, outcome) = load(&server, &[], &format!("{teams}{members}"));
    outcome.expect_code(2).expect_stderr(&[
        "don't carry `region` of their partition",
        "add \"region\" to `include_from_partition` of `teams`",
    ]);
}

#[test]
fn a_partition_that_fails_leaves_the_others_and_their_cursors() {
    for disposition in ["append", "merge"] {
        for number in 0..2 {
            let server = Server::start(|request| {
                if request.path == "/x/bad" && request.number_param("offset", 0) > 0 {
                    return Reply::status(400);
                }
                let rows =
                    (0..2).map(|n| json!({ "id": format!("{}{n}", request.path), "at": "2026-01-02T00:00:00Z" }));
                Reply::json(if request.number_param("offset", 0) > 0 {
                    Vec::new()
                } else {
                    rows.collect::<Vec<Value>>()
                })
            });
            let env = TestEnv::new();
            let warehouse: &Warehouse = &env.destinations()[number];
            let rest = format!(
                "path = \"x/{{{{ partition.value }}}}\"\nwrite_disposition = \"{disposition}\"\nprimary_key = \"id\"\n\
                 incremental = {{ cursor_path = \"at\", start_param = \"since\" }}"
            );
            let text = one("{ values = [\"a\", \"bad\", \"c\"] }", &rest)
                .replace("\"single_page\"", "{ type = \"offset\", limit = 2 }");
            env.pipeline(&pipeline(&server, &text));
            let outcome = env.load_into(warehouse, &[]).expect_code(1);
            assert_eq!(outcome.resource("items")["status"], "failed");
            let cursors = warehouse.query("SELECT \"partition\" FROM api._pintail_state ORDER BY 1");
            assert_eq!(cursors, [["{\"value\":\"a\"}"], ["{\"value\":\"c\"}"]], "{disposition}");
            let kept = if disposition == "append" { 4 } else { 6 };
            assert_eq!(warehouse.count("api.items"), kept, "{disposition}");
        }
    }
}

#[test]
fn added_columns_take_declared_types_and_are_null_without_a_value() {
    let server = echo();
    let rest = "path = \"x\"\nadd_columns = { price = \"1.50\", day = \"2026-01-02\", none = \"{{ cursor.start }}\", flag = true }\n\
        columns = { price = { type = \"DECIMAL(9,2)\" }, day = { type = \"VARCHAR\" } }\nincremental = { cursor_path = \"at\", start_param = \"s\" }";
    for number in 0..2 {
        let env = TestEnv::new();
        let warehouse = &env.destinations()[number];
        env.pipeline(&pipeline(&server, &format!("[resources.items]\npaginator = \"single_page\"\n{rest}\n")));
        env.load_into(warehouse, &[]).expect_code(0);
        let found = warehouse.query("SELECT price, day, \"none\", flag FROM api.items");
        assert_eq!(found, [["1.50", "2026-01-02", "NULL", "true"]]);
        assert_eq!(warehouse.column_type("api.items", "price"), "DECIMAL(9,2)");
        assert_eq!(warehouse.column_type("api.items", "day"), "VARCHAR");
    }
}

#[test]
fn one_request_at_a_time_is_enough_for_lists_in_lists() {
    let server = Server::start(|request| match request.path.as_str() {
        "/teams" => Reply::json((0..40).map(|id| json!({ "id": id })).collect::<Vec<_>>()),
        path => Reply::json(vec![json!({ "id": path })]),
    });
    let env = TestEnv::new();
    env.pipeline(&pipeline_with_client(
        &server,
        "concurrency = 1\n",
        "[resource_defaults]\nprimary_key = \"id\"\npaginator = \"single_page\"\n[resources.teams]\n\
         [resources.items]\nparent = \"teams\"\npath = \"t/{{ parent.id }}/{{ partition.n }}\"\n\
         partitions = { sql = \"SELECT * FROM range(20) t(n)\" }\n\
         [resources.details]\nparent = \"items\"\npath = \"d{{ parent.id | replace('/', '-') }}\"\n",
    ));
    env.load().expect_code(0);
    assert_eq!(env.warehouse().count("api.details"), 800);
}

#[test]
fn the_base_of_all_paths_may_depend_on_the_partition_below_its_host() {
    let server = echo();
    let env = TestEnv::new();
    let text = pipeline(&server, &one("{ values = [\"a/b\", \"c\"] }", "path = \"/items\""));
    env.pipeline(&text.replace(&server.url("/"), &server.url("/v1/acc-{{ partition.value }}")));
    env.load().expect_code(0);
    assert_eq!(paths(&server), ["/v1/acc-a%2Fb/items", "/v1/acc-c/items"]);

    let quiet = echo();
    let base = quiet.url("/{{ partition.value }}/");
    env.pipeline(&pipeline(&quiet, "[resources.items]\n").replace(&quiet.url("/"), &base));
    env.load().expect_code(2).expect_stderr(&["api.toml:4:", "`items` has no partitions"]);
    assert_eq!(quiet.requests().len(), 0);
}

#[test]
fn a_file_that_breaks_off_keeps_what_came_before() {
    for (name, content) in
        [("list.jsonl", "1\n2\n{\"id\n"), ("list.json", "[1, 2, {\"id"), ("list.csv", "value,n\n1,0\n2,0\n3\n")]
    {
        let server = echo();
        let (env, outcome) = load(
            &server,
            &[(name, content)],
            &one(&format!("{{ file = \"{name}\" }}"), "path = \"x/{{ partition.value }}\""),
        );
        outcome.expect_code(1).expect_stderr(&[name]);
        assert_eq!(paths(&server), ["/x/1", "/x/2"], "{name}");
        assert_eq!(env.warehouse().count("api.items"), 2, "{name}");
    }
}
