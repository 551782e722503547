//! What a pipeline can say of paging beside where the next page is: ends, first requests, answers before, beginning again.

use crate::support::{Reply, Request, Server, TestEnv, Warehouse, pipeline, pipeline_with_client};
use serde_json::{Value, json};

/// `"1,2,3"`: the ids of a table, in order.
fn ids(warehouse: &Warehouse, table: &str) -> String {
    warehouse.value(&format!("SELECT string_agg(id, ',' ORDER BY id) FROM {table}"))
}

/// Loads a resource, and checks which ids came and why the walk ended.
fn loads(server: &Server, resource: &str, expected: &str, end: &str) -> TestEnv {
    let env = TestEnv::new();
    env.pipeline(&pipeline(server, &format!("[resources.items]\ndata_selector = \"data\"\n{resource}\n")));
    let outcome = env.load().expect_code(0);
    assert_eq!(ids(&env.warehouse(), "api.items"), expected, "{}", outcome.transcript());
    assert_eq!(outcome.resource("items")["end"], end, "{}", outcome.transcript());
    env
}

/// Pages of one record whose link stays set behind the last one, and of which the second is empty.
fn endless_links(request: &Request) -> Reply {
    let page = request.number_param("page", 1);
    let data = if page == 2 { json!([]) } else { json!([{ "id": page }]) };
    let next = format!("/items?page={}", page + 1);
    let body =
        json!({ "data": data, "next": next, "end_of_stream": page == 4, "meta": { "has_more": page < 4 }, "total": 3 });
    Reply::json(body).header("Link", format!("<{next}>; rel=next")).header("X-More", (page < 4).to_string())
}

#[test]
fn a_link_that_stays_set_is_not_followed_behind_the_last_page() {
    for (paginator, expected, end) in [
        ("type = \"json_link\", last_page_path = \"end_of_stream\"", "1,3,4", "last page"),
        (
            "type = \"json_link\", has_more_path = \"meta.has_more\", total_path = \"total\"",
            "1,3,4",
            "has_more is false",
        ),
        ("type = \"json_link\", has_more_header = \"X-More\"", "1,3,4", "has_more is false"),
        ("type = \"json_link\", stop_on = \"empty_page\"", "1", "empty page"),
        ("type = \"header_link\", last_page_path = \"end_of_stream\"", "1,3,4", "last page"),
        ("type = \"header_link\", has_more_path = \"meta.has_more\"", "1,3,4", "has_more is false"),
        ("type = \"header_link\", stop_on = \"empty_page\"", "1", "empty page"),
        ("type = \"page_number\", last_page_path = \"end_of_stream\"", "1,3,4", "last page"),
    ] {
        let server = Server::start(endless_links);
        loads(&server, &format!("paginator = {{ {paginator} }}"), expected, end);
        assert_eq!(server.requests().len(), if expected == "1" { 2 } else { 4 }, "{paginator}");
    }
}

#[test]
fn a_last_page_is_told_in_all_writings_and_by_every_paginator() {
    for (paginator, param) in [
        ("type = \"offset\", limit = 1", "offset"),
        ("type = \"cursor\", cursor_path = \"next\", cursor_param = \"after\"", "after"),
        ("type = \"header_cursor\", cursor_key = \"X-Next\", cursor_param = \"after\"", "after"),
        ("type = \"keyset\", field = \"id\", param = \"after\"", "after"),
    ] {
        for (no, yes) in [(json!(false), json!(true)), (json!("False"), json!("TRUE")), (json!(0), json!(1))] {
            let server = Server::start(move |request| {
                let position = request.number_param(param, 0);
                let is_last = if position == 2 { &yes } else { &no };
                let body = json!({ "data": [{ "id": position + 1 }], "next": position + 1, "isLast": is_last });
                Reply::json(body).header("X-Next", (position + 1).to_string())
            });
            let resource = format!("paginator = {{ {paginator}, last_page_path = \"isLast\" }}");
            loads(&server, &resource, "1,2,3", "last page");
            assert_eq!(server.requests().len(), 3, "{paginator}");
        }
    }
}

#[test]
fn more_that_nothing_leads_to_is_an_error() {
    for (paginator, body, says) in [
        ("type = \"json_link\", has_more_path = \"more\"", json!({ "data": [1], "more": true }), "`next`"),
        (
            "type = \"json_link\", last_page_path = \"last\"",
            json!({ "data": [1], "last": false, "next": null }),
            "`next`",
        ),
        ("type = \"header_link\", last_page_path = \"last\"", json!({ "data": [1], "last": "no" }), "relation `next`"),
        ("type = \"json_link\", last_page_path = \"last\"", json!({ "data": [1] }), "no last_page"),
        (
            "type = \"json_link\", last_page_path = \"last\"",
            json!({ "data": [1], "last": "maybe" }),
            "neither true nor false",
        ),
    ] {
        let server = Server::start(move |_| Reply::json(body.clone()));
        let env = TestEnv::new();
        env.pipeline(&pipeline(&server, &format!("[resources.items]\npaginator = {{ {paginator} }}\n")));
        env.load().expect_code(1).expect_stderr(&[says]);
    }
}

#[test]
fn a_total_beside_links_is_compared_and_ends_nothing() {
    let server = Server::start(|request| {
        let page = request.number_param("page", 1);
        let next = (page < 3).then(|| format!("/items?page={}", page + 1));
        Reply::json(json!({ "data": [{ "id": page }], "next": next, "total": 2 })).header("X-Total", "5")
    });
    for (total, announced) in [("total_path = \"total\"", "announced 2"), ("total_header = \"X-Total\"", "announced 5")]
    {
        let env = loads(&server, &format!("paginator = {{ type = \"json_link\", {total} }}"), "1,2,3", "no next link");
        env.load().expect_code(0).expect_stderr(&[announced, "3 were received"]);
    }
}

#[test]
fn the_first_of_several_places_that_has_something_leads_on() {
    let server = Server::start(|request| match (request.param("after"), request.param("page")) {
        (None, None) => Reply::json(json!({
            "data": [{ "id": 1 }], "boards": [{ "items": { "cursor": "b" } }],
            "next_page_uri": null, "meta": { "next_page_url": "?page=2" }
        })),
        (Some("b"), _) => Reply::json(
            json!({ "data": [{ "id": 2 }], "next_items": { "cursor": 12345678901234567890123_u128.to_string() } }),
        ),
        (Some("12345678901234567890123"), _) => {
            Reply::json(json!({ "data": [{ "id": 3 }], "next_items": { "cursor": null } }))
        }
        (_, Some("2")) => Reply::json(json!({ "data": [{ "id": 2 }], "next_page_uri": "/items?page=3", "meta": {} })),
        (_, Some("3")) => {
            Reply::json(json!({ "data": [{ "id": 3 }], "next_page_uri": "", "meta": { "next_page_url": null } }))
        }
        other => panic!("not asked for: {other:?}"),
    });
    for (paginator, end) in [
        (
            "type = \"cursor\", cursor_path = [\"boards[0].items.cursor\", \"next_items.cursor\"], cursor_param = \"after\"",
            "no next cursor",
        ),
        ("type = \"json_link\", next_url_path = [\"next_page_uri\", \"meta.next_page_url\"]", "no next link"),
    ] {
        loads(&server, &format!("paginator = {{ {paginator} }}"), "1,2,3", end);
    }
}

#[test]
fn the_first_request_is_told_from_the_others_by_every_paginator() {
    for paginator in [
        "{ type = \"offset\", limit = 1, has_more_path = \"more\" }",
        "{ type = \"page_number\", has_more_path = \"more\" }",
        "{ type = \"cursor\", cursor_path = \"cursor\", cursor_param = \"cursor\" }",
        "{ type = \"keyset\", field = \"id\", param = \"after\", has_more_path = \"more\" }",
        "{ type = \"json_link\", next_url_path = \"next\", keep_params = false }",
    ] {
        let server = Server::start(|request| {
            let number = request.number;
            let cursor = (number < 2).then(|| format!("c{number}"));
            let next = (number < 2).then(|| format!("/items?to={number}"));
            Reply::json(json!({ "data": [{ "id": number }], "cursor": cursor, "next": next, "more": number < 2 }))
        });
        let env = TestEnv::new();
        env.pipeline(&pipeline(
            &server,
            &format!(
                "[resources.items]\ndata_selector = \"data\"\npaginator = {paginator}\n\
                 params = {{ filter = \"{{{{ 'open' if page.first }}}}\" }}\n\
                 headers = {{ X-First = \"{{{{ page.first }}}}\" }}\n"
            ),
        ));
        env.run(&["check", "api"]).expect_code(0);
        env.load().expect_code(0);
        let requests = server.requests();
        assert_eq!(requests.len(), 3, "{paginator}");
        let found: Vec<_> = requests.iter().map(|r| (r.param("filter"), r.header("x-first"))).collect();
        assert_eq!(found, [(Some("open"), Some("true")), (None, Some("false")), (None, Some("false"))], "{paginator}");
    }
}

#[test]
fn a_link_without_kept_parameters_has_only_its_own_but_for_credentials() {
    let server = Server::start(|request| match request.param("page_info") {
        None => Reply::json(json!([{ "id": 1 }])).header("Link", "</items?page_info=abc&limit=50>; rel=\"next\""),
        Some(_) => Reply::json(json!([{ "id": 2 }])),
    });
    let mut env = TestEnv::new();
    env.set("API_KEY", "very-secret");
    env.pipeline(&pipeline_with_client(
        &server,
        "auth = { type = \"api_key\", name = \"key\", api_key = \"${API_KEY}\", location = \"query\" }\nparams = { shop = \"a\" }",
        "[resources.items]\nprimary_key = \"id\"\nparams = { limit = 250, status = \"any\" }\n\
         paginator = { type = \"header_link\", keep_params = false }\n\
         incremental = { cursor_path = \"id\", start_param = \"since_id\", initial_value = 0 }\n",
    ));
    env.load().expect_code(0);
    let names = |number: usize| -> Vec<String> {
        let mut names: Vec<String> = server.requests()[number].params.iter().map(|(n, v)| format!("{n}={v}")).collect();
        names.sort();
        names
    };
    assert_eq!(names(0), ["key=very-secret", "limit=250", "shop=a", "since_id=0", "status=any"]);
    assert_eq!(names(1), ["key=very-secret", "limit=50", "page_info=abc"]);
}

#[test]
fn a_request_shows_fields_of_the_answer_before() {
    let server = Server::start(|request| {
        let body: Value = serde_json::from_str(&request.body).expect("a JSON body");
        let number = request.number;
        let expected = if number == 0 {
            json!({ "page": 1 })
        } else {
            json!({ "page": number + 1, "session": "s/1", "big": "9007199254740993000000", "tags": [1, null], "first": "x" })
        };
        assert_eq!(body, expected);
        assert_eq!(request.header("x-session"), (number > 0).then_some("s/1"));
        let data = if number < 3 { json!([{ "id": number }]) } else { json!([]) };
        let text = format!(
            "{{\"data\":{data},\"session_id\":\"s/1\",\"meta\":{{\"big\":9007199254740993000000,\"tags\":[1,null],\"list\":[{{\"a\":\"x\"}}]}}}}"
        );
        Reply::new(200, "application/json", text)
    });
    let resource = "paginator = { type = \"page_number\" }\nheaders = { X-Session = \"{{ page.body.session_id }}\" }\n\
        json = { page = \"{{ page.number }}\", session = \"{{ page.body.session_id }}\", big = \"{{ page.body.meta.big }}\", \
        tags = \"{{ page.body.meta.tags }}\", first = \"{{ page.body.meta.list[0].a }}\" }";
    loads(&server, resource, "0,1,2", "empty page");
}

#[test]
fn a_body_can_hold_null_and_values_of_the_request() {
    let server = Server::start(|request| {
        let body: Value = serde_json::from_str(&request.body).expect("a JSON body");
        let after = if request.number == 0 { json!({}) } else { json!({ "after": "c\"1" }) };
        assert_eq!(body["page"], after);
        assert_eq!(body["UserId"], Value::Null);
        assert!(body.as_object().is_some_and(|members| members.contains_key("UserId")));
        assert_eq!(body["ids"], json!([1, null, { "x": null }]));
        assert_eq!(body["key"], "k-very \"secret\"");
        let next = (request.number == 0).then_some("c\"1");
        Reply::json(json!({ "data": [{ "id": request.number }], "next": next }))
    });
    let mut env = TestEnv::new();
    env.set("BODY_KEY", "very \"secret\"");
    env.pipeline(&pipeline(
        &server,
        "[resources.items]\ndata_selector = \"data\"\npaginator = { type = \"cursor\", cursor_path = \"next\" }\n\
         json = '''\n{\"UserId\": null, \"ids\": [1, null, {\"x\": null}], \"key\": \"k-${BODY_KEY}\",\n \
         \"page\": {\"after\": \"{{ page.cursor }}\"}}\n'''\n",
    ));
    env.load().expect_code(0);
    assert_eq!(ids(&env.warehouse(), "api.items"), "0,1");
}

#[test]
fn a_list_of_the_parent_is_looked_into_where_it_is_kept() {
    for number in 0..2 {
        let server = Server::start(|request| match request.path.as_str() {
            "/boards" => Reply::json(json!([
                { "id": 1, "items": [{ "id": "a/b" }, { "id": "z" }] }, { "id": 2, "items": [{ "id": "c" }] }
            ])),
            path => Reply::json(json!([{ "id": path.trim_start_matches("/items/"), "tag": request.param("tag") }])),
        });
        let env = TestEnv::new();
        let warehouse = &env.destinations()[number];
        env.pipeline(&pipeline(
            &server,
            "[resources.boards]\nprimary_key = \"id\"\npaginator = \"single_page\"\ncolumns.items = { type = \"JSON\" }\n\
             [resources.items]\nparent = \"boards\"\npaginator = \"single_page\"\nprimary_key = \"id\"\n\
             path = \"items/{{ parent.items[0].id }}\"\nparams = { tag = \"{{ parent.items[1].id | default('none') | upper }}\" }\n",
        ));
        let query = "SELECT string_agg(id || ' ' || tag, ',' ORDER BY id) FROM api.items";
        env.load_into(warehouse, &[]).expect_code(0);
        assert_eq!(warehouse.value(query), "a%2Fb Z,c NONE", "as the parents came");
        server.forget();
        env.load_into(warehouse, &["--resource", "items"]).expect_code(0);
        assert_eq!(server.requests_for("/items/c").len(), 1, "as the warehouse has them");
        assert_eq!(server.requests_for("/items/a%2Fb").len(), 1);
    }
}

#[test]
fn a_list_of_a_partition_is_looked_into() {
    let server = Server::start(|request| Reply::json(json!([{ "id": request.param("x"), "y": request.param("y") }])));
    let env = TestEnv::new();
    env.write("pipelines/rows.jsonl", "{\"x\": [7, 8], \"o\": {\"y\": [\"q\"]}}\n{\"x\": [9], \"o\": {\"y\": []}}\n");
    env.pipeline(&pipeline(
        &server,
        "[resources.items]\npaginator = \"single_page\"\npartitions = { file = \"rows.jsonl\" }\n\
         params = { x = \"{{ partition.x[0] }}\", y = \"{{ partition.o.y[0] | default('-') }}\" }\n",
    ));
    env.load().expect_code(0);
    let found = env.warehouse().value("SELECT string_agg(id || y, ',' ORDER BY id) FROM api.items");
    assert_eq!(found, "7q,9-");
}

#[test]
fn each_request_of_a_walk_is_polled() {
    for paginator in ["\"json_link\"", "{ type = \"page_number\", prefetch = 3, total_pages_path = \"pages\" }"] {
        let server = Server::start({
            let asked = std::sync::Mutex::new(std::collections::HashMap::<usize, u32>::new());
            move |request| {
                let page = request.number_param("page", 1);
                let mut asked = asked.lock().expect("no handler panicked");
                let times = asked.entry(page).and_modify(|n| *n += 1).or_insert(1);
                if *times < 3 {
                    return Reply::json(json!({ "status": "RUNNING", "data": [], "pages": 3 }));
                }
                let next = (page < 3).then(|| format!("?page={}", page + 1));
                Reply::json(json!({ "status": "DONE", "data": [{ "id": page }], "next": next, "pages": 3 }))
            }
        });
        let env = TestEnv::new();
        env.pipeline(&pipeline(
            &server,
            &format!(
                "[resources.items]\ndata_selector = \"data\"\npaginator = {paginator}\n\
                 poll = {{ path = \"status\", equals = \"DONE\", interval = \"5ms\" }}\n"
            ),
        ));
        env.load().expect_code(0);
        assert_eq!(ids(&env.warehouse(), "api.items"), "1,2,3", "{paginator}");
        assert_eq!(server.requests().len(), 9, "{paginator}");
    }
}

#[test]
fn later_pages_that_tell_no_state_are_taken_as_they_are() {
    let server = Server::start(|request| match request.number {
        0 => Reply::json(json!({ "note": "working" })),
        1 => Reply::json(json!({ "status": "DONE", "data": [{ "id": 1 }], "next": "?page=2" })),
        2 => Reply::new(202, "application/json", ""),
        _ => Reply::json(json!({ "data": [{ "id": 2 }] })),
    });
    let resource = "paginator = \"json_link\"\npoll = { path = \"status\", equals = \"DONE\", interval = \"5ms\" }";
    loads(&server, resource, "1,2", "no next link");
    assert_eq!(server.requests().len(), 4);
}

#[test]
fn one_element_of_xml_is_one_record_and_several_are_several() {
    let one = "<items><item><id>1</id></item></items>";
    let two = "<items><item><id>1</id></item><item><id>2</id></item></items>";
    for (first, second, expected) in [(one, "<items/>", "1"), (two, "<items/>", "1,2"), (one, two, "1,1,2")] {
        let server = Server::start(move |request| {
            let body = match request.number_param("page", 1) {
                1 => first,
                2 => second,
                _ => "<items/>",
            };
            Reply::new(200, "application/xml", body)
        });
        let env = TestEnv::new();
        env.pipeline(&pipeline(&server, "[resources.items]\npaginator = \"page_number\"\n"));
        let outcome = env.load().expect_code(0);
        assert_eq!(ids(&env.warehouse(), "api.items"), expected, "{first} {second}\n{}", outcome.transcript());
    }
}
