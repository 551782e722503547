//! Paging: every row once, whatever the server does; and an end for a stated reason.

use crate::support::{Api, Reply, Request, Server, TestEnv, pipeline, pipeline_with_client};
use serde_json::{Value, json};

const RECORD_COUNT: usize = 250;

fn records(count: usize) -> Vec<Value> {
    (0..count).map(|id| json!({ "id": id, "title": format!("video {id}") })).collect()
}

/// The records from `start`, at most `size`.
fn slice(start: usize, size: usize) -> Vec<Value> {
    records(RECORD_COUNT).into_iter().skip(start).take(size).collect()
}

#[test]
fn ten_thousand_videos_behind_a_cap_of_100_while_the_file_says_1000() {
    let api = Api::new(100);
    api.put("/videos", records(10_000));
    let server = Server::start(move |request| api.reply(request));
    for (number, write) in ["append", "replace", "merge"].into_iter().enumerate() {
        let env = TestEnv::new();
        env.pipeline(&pipeline(
            &server,
            &format!(
                "[resources.videos]\nprimary_key = \"id\"\nwrite_disposition = \"{write}\"\n\
                 paginator = {{ type = \"offset\", limit = 1000 }}\n"
            ),
        ));
        server.forget();
        let warehouse = &env.destinations()[number % 2];
        let outcome = env.load_into(warehouse, &[]).expect_code(0);
        assert_eq!(
            warehouse.query("SELECT count(*), count(DISTINCT id), min(id), max(id) FROM api.videos"),
            [["10000", "10000", "0", "9999"]],
            "{write}"
        );
        assert_eq!(server.requests().len(), 101, "100 pages and an empty one");
        assert_eq!(server.requests()[1].param("limit"), Some("1000"));
        assert_eq!(outcome.resource("videos")["pages"], 101);
    }
}

/// A paginator, a server that speaks it, and how many requests that takes.
struct Case {
    name: &'static str,
    paginator: &'static str,
    serve: fn(&Request, &str) -> Reply,
    request_count: usize,
}

const CASES: &[Case] = &[
    Case {
        name: "offset with a total needs no empty page",
        paginator: "{ type = \"offset\", limit = 100, total_path = \"total\" }",
        serve: |request, _| {
            let data = slice(request.number_param("offset", 0), 100);
            Reply::json(json!({ "total": RECORD_COUNT, "data": data }))
        },
        request_count: 3,
    },
    Case {
        name: "offset with has_more",
        paginator: "{ type = \"offset\", limit = 100, has_more_path = \"meta.more\" }",
        serve: |request, _| {
            let offset = request.number_param("offset", 0);
            Reply::json(json!({ "data": slice(offset, 100), "meta": { "more": offset < 200 } }))
        },
        request_count: 3,
    },
    Case {
        name: "offset with names of its own",
        paginator: "{ type = \"offset\", limit = 50, offset_param = \"skip\", limit_param = \"take\" }",
        serve: |request, _| Reply::json(slice(request.number_param("skip", 0), request.number_param("take", 1))),
        request_count: 6,
    },
    Case {
        name: "short pages in the middle are not the end",
        paginator: "{ type = \"offset\", limit = 100 }",
        serve: |request, _| Reply::json(slice(request.number_param("offset", 0), 37)),
        request_count: 8,
    },
    Case {
        name: "page numbers from 1",
        paginator: "{ type = \"page_number\", base_page = 1 }",
        serve: |request, _| Reply::json(slice((request.number_param("page", 1) - 1) * 100, 100)),
        request_count: 4,
    },
    Case {
        name: "page numbers from 0 with a size and a total of pages",
        paginator: "{ type = \"page_number\", base_page = 0, page_size = 50, page_size_param = \"per_page\", total_pages_path = \"pages\" }",
        serve: |request, _| {
            let size = request.number_param("per_page", 100);
            Reply::json(json!({ "pages": 5, "data": slice(request.number_param("page", 0) * size, size) }))
        },
        request_count: 5,
    },
    Case {
        name: "a cursor in the body",
        paginator: "{ type = \"cursor\", cursor_path = \"next\", cursor_param = \"after\" }",
        serve: |request, _| {
            let start = request.param("after").map_or(0, |c| c.trim_start_matches("c").parse().expect("our cursor"));
            let next = if start + 100 < RECORD_COUNT { json!(format!("c{}", start + 100)) } else { Value::Null };
            Reply::json(json!({ "data": slice(start, 100), "next": next }))
        },
        request_count: 3,
    },
    Case {
        name: "an empty cursor is the end",
        paginator: "{ type = \"cursor\", cursor_path = \"next\", cursor_param = \"after\" }",
        serve: |request, _| {
            let start = request.number_param("after", 0);
            let next = if start + 100 < RECORD_COUNT { (start + 100).to_string() } else { String::new() };
            Reply::json(json!({ "data": slice(start, 100), "next": next }))
        },
        request_count: 3,
    },
    Case {
        name: "a relative link in the body",
        paginator: "{ type = \"json_link\", next_url_path = \"paging.next\" }",
        serve: |request, _| {
            let start = request.number_param("from", 0);
            let next = (start + 100 < RECORD_COUNT).then(|| format!("/videos?from={}", start + 100));
            Reply::json(json!({ "data": slice(start, 100), "paging": { "next": next } }))
        },
        request_count: 3,
    },
    Case { name: "Link headers", paginator: "\"header_link\"", serve: linked, request_count: 3 },
    Case { name: "auto finds Link headers", paginator: "\"auto\"", serve: linked, request_count: 3 },
    Case {
        name: "auto finds a next URL",
        paginator: "\"auto\"",
        serve: |request, base| {
            let start = request.number_param("from", 0);
            let next = (start + 100 < RECORD_COUNT).then(|| format!("{base}videos?from={}", start + 100));
            Reply::json(json!({ "data": slice(start, 100), "next": next }))
        },
        request_count: 3,
    },
    Case {
        name: "a single page",
        paginator: "\"single_page\"",
        serve: |_, _| Reply::json(slice(0, RECORD_COUNT)),
        request_count: 1,
    },
    Case {
        name: "an expression carries the offset",
        paginator: "{ type = \"offset\", limit = 100 }\nparams = { filter = \"skip:{{ page.offset }}\" }",
        serve: |request, _| {
            let filter = request.param("filter").expect("the expression's parameter");
            assert!(request.param("offset").is_none(), "the expression replaces the default parameter");
            Reply::json(slice(filter.trim_start_matches("skip:").parse().expect("an offset"), 100))
        },
        request_count: 4,
    },
];

fn linked(request: &Request, base: &str) -> Reply {
    let start = request.number_param("from", 0);
    let reply = Reply::json(slice(start, 100)).header("X-Other", "1");
    let first = format!("<{base}videos?from=0>; rel=\"first\"");
    if start + 100 < RECORD_COUNT {
        reply.header("Link", format!("{first}, <{base}videos?from={}>; title=\"a, b\"; rel=\"next\"", start + 100))
    } else {
        reply.header("Link", first)
    }
}

#[test]
fn every_paginator_brings_every_row_once() {
    for case in CASES {
        let serve = case.serve;
        let server = Server::start(move |request| {
            let base = format!("http://{}/", request.header("host").expect("a Host header"));
            serve(request, &base)
        });
        let env = TestEnv::new();
        env.pipeline(&pipeline(&server, &format!("[resources.videos]\npaginator = {}\n", case.paginator)));
        let outcome = env.load().expect_code(0);
        let counts = env.warehouse().query("SELECT count(*), count(DISTINCT id) FROM api.videos");
        assert_eq!(counts, [["250", "250"]], "{}\n{}", case.name, outcome.transcript());
        assert_eq!(server.requests().len(), case.request_count, "{}: requests", case.name);
        assert!(server.requests().iter().all(|r| r.method == "GET"), "{}: only the declared method", case.name);
    }
}

/// A server on whose paging nobody can rely, the paginator, and what the error must say.
type Stuck = (&'static str, &'static str, fn(&Request) -> Reply, &'static [&'static str]);

const STUCK: &[Stuck] = &[
    ("ignores offset", "{ type = \"offset\", limit = 100 }", |_| Reply::json(slice(0, 100)), &["offset"]),
    ("ignores page", "{ type = \"page_number\", base_page = 1 }", |_| Reply::json(slice(0, 100)), &["page"]),
    (
        "repeats its cursor",
        "{ type = \"cursor\", cursor_path = \"next\", cursor_param = \"after\" }",
        |request| Reply::json(json!({ "next": "same", "data": [{ "id": request.number }] })),
        &["cursor"],
    ),
    (
        "links to the page itself",
        "{ type = \"json_link\", next_url_path = \"next\" }",
        |request| Reply::json(json!({ "next": "/videos?again=1", "data": [{ "id": request.number }] })),
        &["again"],
    ),
    (
        "tells of more that auto can't reach",
        "\"auto\"",
        |_| Reply::json(json!({ "total": 250, "data": slice(0, 100) })),
        &["total"],
    ),
    (
        "never shows the declared total",
        "{ type = \"offset\", limit = 100, total_path = \"count\" }",
        |_| Reply::json(json!({ "data": slice(0, 100) })),
        &["count"],
    ),
    (
        "never ends",
        "{ type = \"page_number\", base_page = 1 }\nmax_pages = 5",
        |request| Reply::json(json!([{ "id": request.number_param("page", 1) }])),
        &["max_pages", "5"],
    ),
];

#[test]
fn paging_that_can_not_go_on_is_an_error_and_never_endless() {
    for (name, paginator, serve, says) in STUCK {
        let server = Server::start(*serve);
        let env = TestEnv::new();
        env.pipeline(&pipeline(&server, &format!("[resources.videos]\npaginator = {paginator}\n")));
        let outcome = env.load().expect_code(1).expect_stderr(says);
        assert!(outcome.resource("videos")["error"].is_string(), "{name}");
        assert!(server.requests().len() <= 6, "{name}: {} requests", server.requests().len());
    }
}

#[test]
fn what_came_before_max_pages_is_committed() {
    let server = Server::start(|request| Reply::json(json!([{ "id": request.number_param("page", 1) }])));
    let env = TestEnv::new();
    let resource = "[resources.videos]\npaginator = { type = \"page_number\", base_page = 1 }\nmax_pages = 5\n";
    env.pipeline(&pipeline(&server, resource));
    env.load().expect_code(1);
    assert_eq!(env.warehouse().count("api.videos"), 5);
}

#[test]
fn on_repeat_stop_takes_a_list_that_does_not_page() {
    let server = Server::start(|_| Reply::json(slice(0, 50)));
    let env = TestEnv::new();
    let resource = "[resources.videos]\non_repeat = \"stop\"\npaginator = { type = \"offset\", limit = 100 }\n";
    env.pipeline(&pipeline(&server, resource));
    let outcome = env.load().expect_code(0);
    assert_eq!(env.warehouse().count("api.videos"), 50);
    assert_eq!(server.requests().len(), 2);
    assert_eq!(outcome.resource("videos")["rows"], json!({ "videos": 50 }));
}

#[test]
fn an_empty_page_is_not_the_end_while_has_more_says_so() {
    let server = Server::start(|request| {
        let offset = request.number_param("offset", 0);
        let data = if (100..200).contains(&offset) { Vec::new() } else { slice(offset, 100) };
        Reply::json(json!({ "more": offset < 200, "data": data }))
    });
    let env = TestEnv::new();
    let resource = "[resources.videos]\npaginator = { type = \"offset\", limit = 100, has_more_path = \"more\" }\n";
    env.pipeline(&pipeline(&server, resource));
    env.load().expect_code(0);
    assert_eq!(env.warehouse().count("api.videos"), 150);
}

#[test]
fn a_next_link_to_another_host_is_refused_before_anything_is_sent_there() {
    let other = Server::start(|_| Reply::json(slice(100, 100)));
    let target = other.url("/videos");
    let server = Server::start(move |_| Reply::json(json!({ "data": slice(0, 100), "next": target })));
    let env = TestEnv::new();
    let resource = "[resources.videos]\npaginator = { type = \"json_link\", next_url_path = \"next\" }\n";
    env.pipeline(&pipeline_with_client(&server, "auth = { type = \"bearer\", token = \"very-secret\" }", resource));
    env.load().expect_code(1).expect_stderr(&[&other.authority(), "allowed_hosts"]);
    assert_eq!(other.requests().len(), 0);
}

#[test]
fn an_allowed_host_gets_the_request_but_not_the_credentials() {
    for (entry, authorization) in
        [("\"HOST\"", None), ("{ host = \"HOST\", send_auth = true }", Some("Bearer very-secret"))]
    {
        let other = Server::start(|_| Reply::json(json!({ "data": slice(100, 150), "next": null })));
        let target = other.url("/videos");
        let server = Server::start(move |_| Reply::json(json!({ "data": slice(0, 100), "next": target })));
        let client = format!(
            "auth = {{ type = \"bearer\", token = \"very-secret\" }}\nallowed_hosts = [{}]\nheaders = {{ X-Team = \"t\" }}",
            entry.replace("HOST", &other.authority())
        );
        let env = TestEnv::new();
        let resource = "[resources.videos]\npaginator = { type = \"json_link\", next_url_path = \"next\" }\n";
        env.pipeline(&pipeline_with_client(&server, &client, resource));
        env.load().expect_code(0);
        assert_eq!(env.warehouse().count("api.videos"), 250);
        assert_eq!(other.requests()[0].header("authorization"), authorization, "{entry}");
    }
}
