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
        name: "a cursor in a header",
        paginator: "{ type = \"header_cursor\", cursor_key = \"X-Next-Cursor\", cursor_param = \"after\" }",
        serve: |request, _| {
            let start = request.number_param("after", 0);
            let reply = Reply::json(slice(start, 100));
            let next = start + 100;
            if next < RECORD_COUNT { reply.header("X-Next-Cursor", next.to_string()) } else { reply }
        },
        request_count: 3,
    },
    Case {
        name: "a cursor with a has_more header",
        paginator: "{ type = \"header_cursor\", cursor_key = \"X-Cursor\", cursor_param = \"after\", has_more_header = \"X-More\" }",
        serve: |request, _| {
            let next = request.number_param("after", 0) + 100;
            let reply = Reply::json(slice(next - 100, 100)).header("X-Cursor", next.to_string());
            reply.header("X-More", if next < RECORD_COUNT { "true" } else { "false" })
        },
        request_count: 3,
    },
    Case {
        name: "the last record's id",
        paginator: "{ type = \"keyset\", field = \"id\", param = \"after_id\" }",
        serve: |request, _| {
            let after = request.param("after_id").map(|id| id.parse::<usize>().expect("an id"));
            Reply::json(slice(after.map_or(0, |id| id + 1), 100))
        },
        request_count: 4,
    },
    Case {
        name: "the last record's id, with has_more",
        paginator: "{ type = \"keyset\", field = \"id\", param = \"starting_after\", has_more_path = \"has_more\" }",
        serve: |request, _| {
            let start = request.param("starting_after").map_or(0, |id| id.parse::<usize>().expect("an id") + 1);
            Reply::json(json!({ "object": "list", "data": slice(start, 100), "has_more": start + 100 < RECORD_COUNT }))
        },
        request_count: 3,
    },
    Case {
        name: "the last record's id, inclusive",
        paginator: "{ type = \"keyset\", field = \"id\", param = \"from\", inclusive = true }",
        serve: |request, _| Reply::json(slice(request.number_param("from", 0), 100)),
        request_count: 4,
    },
    Case {
        name: "offset pages that overlap",
        paginator: "{ type = \"offset\", limit = 100, overlap = 1 }",
        serve: |request, _| Reply::json(slice(request.number_param("offset", 0), 100)),
        request_count: 4,
    },
    Case {
        name: "offset pages asked for ahead, with a total",
        paginator: "{ type = \"offset\", limit = 20, total_path = \"total\", prefetch = 8 }",
        serve: |request, _| {
            Reply::json(json!({ "total": RECORD_COUNT, "data": slice(request.number_param("offset", 0), 20) }))
        },
        request_count: 13,
    },
    Case {
        name: "numbered pages asked for ahead, with a total of pages in a header",
        paginator: "{ type = \"page_number\", total_pages_header = \"X-Pages\", prefetch = 4 }",
        serve: |request, _| Reply::json(slice((request.number_param("page", 1) - 1) * 25, 25)).header("X-Pages", "10"),
        request_count: 10,
    },
    Case {
        name: "a list of links with relations",
        paginator: "{ type = \"json_link\", next_url_path = \"links\" }",
        serve: related,
        request_count: 3,
    },
    Case { name: "auto finds a list of links", paginator: "\"auto\"", serve: related, request_count: 3 },
    Case {
        name: "a link object, as HAL has it",
        paginator: "{ type = \"json_link\", next_url_path = \"_links.next\" }",
        serve: |request, _| {
            let start = request.number_param("from", 0);
            let links = if start + 100 < RECORD_COUNT {
                json!({ "next": { "href": format!("?from={}", start + 100) } })
            } else {
                json!({})
            };
            Reply::json(json!({ "data": slice(start, 100), "_links": links }))
        },
        request_count: 3,
    },
    Case {
        name: "params give the first offset",
        paginator: "{ type = \"offset\", total_path = \"total\" }\nparams = { offset = 0, limit = 50 }",
        serve: |request, _| {
            let limit = request.number_param("limit", 1);
            Reply::json(json!({ "total": RECORD_COUNT, "data": slice(request.number_param("offset", 9), limit) }))
        },
        request_count: 5,
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

/// Links in a list, each with its relation.
fn related(request: &Request, base: &str) -> Reply {
    let start = request.number_param("from", 0);
    let mut links = vec![json!({ "rel": "self", "href": format!("{base}videos?from={start}") })];
    if start + 100 < RECORD_COUNT {
        links.push(json!({ "rel": "next", "href": format!("{base}videos?from={}", start + 100) }));
    }
    Reply::json(json!({ "data": slice(start, 100), "links": links }))
}

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
        "ignores the key of the last record",
        "{ type = \"keyset\", field = \"id\", param = \"after_id\" }",
        |_| Reply::json(slice(0, 100)),
        &["after_id"],
    ),
    (
        "has a last record without its key",
        "{ type = \"keyset\", field = \"meta.id\", param = \"after_id\" }",
        |_| Reply::json(slice(0, 100)),
        &["meta.id", "null"],
    ),
    (
        "sends empty pages and says that there is more",
        "{ type = \"offset\", limit = 10, has_more_path = \"more\" }",
        |_| Reply::json(json!({ "more": true, "data": [] })),
        &["3 empty pages in a row"],
    ),
    (
        "changes its records with each answer, so that no overlap is recognised",
        "{ type = \"offset\", limit = 10, overlap = 1 }",
        |request| {
            let from = request.number_param("offset", 0);
            Reply::json((from..from + 10).map(|id| json!({ "id": id, "read": request.number })).collect::<Vec<_>>())
        },
        &["no record of the pages before", "overlap"],
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

/// A list in the order of its changes, of which some rows change while it is read.
fn changing(changes: &'static [(usize, u64)]) -> Server {
    let list = std::sync::Mutex::new((0..200u64).map(|id| (id, 0u64)).collect::<Vec<_>>());
    Server::start(move |request| {
        let mut list = list.lock().expect("no test panics with the lock");
        for (_, id) in changes.iter().filter(|(number, _)| *number == request.number) {
            let at = list.iter().position(|(known, _)| known == id).expect("a row");
            let (id, version) = list.remove(at);
            list.push((id, version + 1));
        }
        let limit = request.number_param("limit", 10);
        let page = list.iter().skip(request.number_param("offset", 0)).take(limit);
        Reply::json(page.map(|(id, version)| json!({ "id": id, "version": version })).collect::<Vec<_>>())
    })
}

#[test]
fn rows_that_slide_while_a_list_is_read_all_arrive_with_overlap() {
    // Rows of pages that were read change before the third, the fifth and the last request, more than a page of them at once.
    const CHANGES: &[(usize, u64)] =
        &[(2, 3), (2, 4), (4, 5), (4, 60), (4, 61), (9, 62), (9, 63), (9, 64), (9, 65), (9, 66), (9, 67), (9, 68)];
    for (overlap, is_whole) in [(1, true), (0, false)] {
        let server = changing(CHANGES);
        let env = TestEnv::new();
        let resource = format!(
            "[resources.videos]\nprimary_key = \"id\"\npaginator = {{ type = \"offset\", limit = 25, overlap = {overlap} }}\n"
        );
        env.pipeline(&pipeline(&server, &resource));
        let outcome = env.load().expect_code(0);
        assert_eq!(
            env.warehouse().count("api.videos") == 200,
            is_whole,
            "overlap = {overlap}\n{}",
            outcome.transcript()
        );
        let report = outcome.resource("videos");
        let moved = report["moved"].as_u64().expect("a count");
        assert_eq!(moved > 0, is_whole);
        let rows = report["rows"]["videos"].as_u64().expect("rows");
        let discarded: u64 = report["discarded"].as_object().expect("rules").values().filter_map(Value::as_u64).sum();
        assert_eq!(report["records"], rows + discarded, "the books balance");
    }
}

#[test]
fn overlapping_pages_append_no_row_twice() {
    let server = changing(&[(3, 7)]);
    let env = TestEnv::new();
    env.pipeline(&pipeline(
        &server,
        "[resources.videos]\npaginator = { type = \"offset\", limit = 25, overlap = 1 }\n",
    ));
    let outcome = env.load().expect_code(0);
    let counts =
        env.warehouse().query("SELECT count(*), count(DISTINCT id), count(DISTINCT (id, version)) FROM api.videos");
    assert_eq!(
        counts,
        [["201", "200", "201"]],
        "the row that changed comes in both versions\n{}",
        outcome.transcript()
    );
}

#[test]
fn a_key_that_comes_again_is_told_or_an_error() {
    // Between the pages the server's order turns: 9 comes again, 10 never.
    let serve = |request: &Request| {
        let offset = request.number_param("offset", 0);
        let ids: Vec<u64> = if offset == 0 {
            (0..10).collect()
        } else if offset == 10 {
            [9].into_iter().chain(11..15).collect()
        } else {
            Vec::new()
        };
        Reply::json(ids.iter().map(|id| json!({ "id": id })).collect::<Vec<_>>())
    };
    for (word, code) in [("warn", 0), ("fail", 1)] {
        let server = Server::start(serve);
        let env = TestEnv::new();
        let resource = format!(
            "[resources.videos]\nprimary_key = \"id\"\non_repeated_key = \"{word}\"\npaginator = {{ type = \"offset\", limit = 10 }}\n"
        );
        env.pipeline(&pipeline(&server, &resource));
        let outcome = env.load().expect_code(code);
        let report = outcome.resource("videos");
        if code == 0 {
            assert_eq!(report["repeated"], 1);
            assert!(report["warnings"][0].as_str().is_some_and(|w| w.contains("1 record came again")), "{report}");
        } else {
            outcome.expect_stderr(&["on_repeated_key", "page: 2"]);
        }
    }
}

#[test]
fn a_next_link_keeps_the_filters_that_it_dropped_unless_it_is_to_be_followed_as_it_is() {
    for (keys, kept) in [("", Some("a")), (", keep_params = false", None)] {
        let server = Server::start(|request| match request.param("page_info") {
            None => Reply::json(json!({ "data": [{ "id": 1 }], "next": "/videos?page_info=x%2By" })),
            Some(_) => Reply::json(json!({ "data": [{ "id": 2 }], "next": null })),
        });
        let env = TestEnv::new();
        env.pipeline(&pipeline(
            &server,
            &format!("[resources.videos]\nparams = {{ kind = \"a\" }}\npaginator = {{ type = \"json_link\"{keys} }}\n"),
        ));
        env.load().expect_code(0);
        let second = &server.requests()[1];
        assert_eq!((second.param("kind"), second.param("page_info")), (kept, Some("x+y")));
    }
}

#[test]
fn pages_asked_for_ahead_that_fail_are_asked_for_again_when_they_are_needed() {
    let failed = std::sync::Mutex::new(std::collections::BTreeSet::new());
    let server = Server::start(move |request| {
        let page = request.number_param("page", 1);
        if page > 3 && failed.lock().expect("no test panics with the lock").insert(page) {
            return Reply::status(503);
        }
        Reply::json(slice((page - 1) * 10, 10))
    });
    let env = TestEnv::new();
    env.pipeline(&pipeline(&server, "[resources.videos]\npaginator = { type = \"page_number\", prefetch = 8 }\n"));
    let outcome = env.load().expect_code(0);
    let query = "SELECT count(*), count(DISTINCT id) FROM api.videos";
    assert_eq!(env.warehouse().query(query), [["250", "250"]], "{}", outcome.transcript());
    assert_eq!(outcome.resource("videos")["pages"], 26);
}

#[test]
fn an_answer_is_polled_until_it_is_ready_and_then_paged() {
    let server = Server::start(|request| match request.number {
        0 => Reply::new(202, "application/json", ""),
        1 | 2 => Reply::json(json!({ "status": "RUNNING" })),
        _ => {
            let offset = request.number_param("offset", 0);
            Reply::json(json!({ "status": "COMPLETED", "total": 250, "data": slice(offset, 100) }))
        }
    });
    let env = TestEnv::new();
    let poll = "poll = { path = \"status\", equals = \"COMPLETED\", fail_on = [\"FAILED\"], interval = \"10ms\" }";
    let paginator = "data_selector = \"data\"\npaginator = { type = \"offset\", total_path = \"total\" }";
    env.pipeline(&pipeline(&server, &format!("[resources.videos]\n{poll}\n{paginator}\n")));
    let outcome = env.load().expect_code(0);
    assert_eq!(env.warehouse().count("api.videos"), 250);
    let report = outcome.resource("videos");
    assert_eq!((&report["requests"], &report["pages"]), (&json!(6), &json!(3)));
}

#[test]
fn an_answer_that_fails_or_never_gets_ready_is_an_error_with_its_state() {
    let cases: [(&str, &str, &[&str]); 3] = [
        ("{ \"status\": \"FAILED\" }", "status", &["will not be ready", "FAILED"]),
        ("{ \"status\": \"QUEUED\" }", "status", &["poll.timeout", "`status` was `QUEUED`"]),
        ("{ \"status\": \"QUEUED\" }", "state", &["poll.timeout", "no answer had `state`"]),
    ];
    for (body, path, says) in cases {
        let server = Server::start(move |_| Reply::new(200, "application/json", body));
        let env = TestEnv::new();
        let poll = format!(
            "poll = {{ path = \"{path}\", in = [\"DONE\"], fail_on = \"FAILED\", interval = \"10ms\", timeout = \"50ms\" }}"
        );
        env.pipeline(&pipeline(&server, &format!("[resources.videos]\n{poll}\n")));
        env.load().expect_code(1).expect_stderr(says);
    }
}

#[test]
fn an_interruption_ends_polling() {
    let server = Server::start(|_| Reply::json(json!({ "status": "QUEUED" })));
    let env = TestEnv::new();
    env.pipeline(&pipeline(
        &server,
        "[resources.videos]\npoll = { path = \"status\", equals = \"DONE\", interval = \"1h\", timeout = \"2h\" }\n",
    ));
    let running = env.start(&["run", "api", "--output", "json"]);
    while server.requests().is_empty() {
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    running.interrupt_and_wait().expect_code(130);
}
