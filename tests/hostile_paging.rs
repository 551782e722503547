//! Servers that page as no document says: every row once, or an error that names what is wrong.

use crate::support::{Reply, Request, Server, TestEnv, pipeline, pipeline_with_client};
use serde_json::{Value, json};

const RECORD_COUNT: usize = 95;

/// The records from `start`, at most `size`.
fn slice(start: usize, size: usize) -> Vec<Value> {
    (start..(start + size).min(RECORD_COUNT)).map(|id| json!({ "id": id })).collect()
}

/// What a server does, the paginator, and the server.
type Hostile = (&'static str, &'static str, fn(&Request) -> Reply);

fn offset_page(request: &Request, size: usize) -> (usize, Vec<Value>) {
    let offset = request.number_param("offset", 0);
    (offset, slice(offset, size))
}

const WHOLE: &[Hostile] = &[
    ("totals that count what is left", "{ type = \"offset\", limit = 10, total_path = \"total\" }", |request| {
        let (offset, data) = offset_page(request, 10);
        Reply::json(json!({ "data": data, "total": RECORD_COUNT.saturating_sub(offset) }))
    }),
    ("totals that shrink too far", "{ type = \"page_number\", total_path = \"total\" }", |request| {
        let page = request.number_param("page", 1);
        Reply::json(json!({ "data": slice((page - 1) * 10, 10), "total": if page == 1 { 95 } else { 20 } }))
    }),
    ("a total of zero that is none", "{ type = \"offset\", limit = 10, total_path = \"total\" }", |request| {
        Reply::json(json!({ "data": offset_page(request, 10).1, "total": 0 }))
    }),
    ("no pages although there are records", "{ type = \"page_number\", total_pages_path = \"pages\" }", |request| {
        let page = request.number_param("page", 1);
        Reply::json(json!({ "data": slice((page - 1) * 10, 10), "pages": "0" }))
    }),
    (
        "the number of pages where the total should be",
        "{ type = \"offset\", limit = 10, total_path = \"total\" }",
        |request| Reply::json(json!({ "data": offset_page(request, 10).1, "total": 9 })),
    ),
    (
        "totals as text, with zeros behind a point",
        "{ type = \"offset\", limit = 10, total_path = \"total\" }",
        |request| Reply::json(json!({ "data": offset_page(request, 10).1, "total": " 95.00 " })),
    ),
    (
        "pages larger than asked for",
        "{ type = \"offset\", limit = 10, total_path = \"total\", prefetch = 4 }",
        |request| Reply::json(json!({ "data": offset_page(request, 25).1, "total": 95 })),
    ),
    ("page sizes that change", "{ type = \"offset\", limit = 10, prefetch = 4 }", |request| {
        let offset = request.number_param("offset", 0);
        Reply::json(slice(offset, [10, 10, 3, 10, 1, 7][offset % 6]))
    }),
    (
        "an empty page in the middle, and has_more as text",
        "{ type = \"page_number\", has_more_path = \"more\" }",
        |request| {
            let page = request.number_param("page", 1);
            let data = if page == 5 { Vec::new() } else { slice((page - 1 - usize::from(page > 5)) * 10, 10) };
            Reply::json(json!({ "data": data, "more": if page < 11 { "True" } else { "0" } }))
        },
    ),
    ("204 behind the last page", "{ type = \"page_number\" }", |request| {
        match slice((request.number_param("page", 1) - 1) * 10, 10) {
            data if data.is_empty() => Reply::status(204),
            data => Reply::json(data),
        }
    }),
    (
        "204 behind the last page, beside a declared total",
        "{ type = \"offset\", limit = 10, has_more_path = \"more\" }",
        |request| match offset_page(request, 10).1 {
            data if data.is_empty() => Reply::status(204),
            data => Reply::json(json!({ "data": data, "more": null })),
        },
    ),
    ("no link, in words", "\"json_link\"", |request| {
        let from = request.number_param("from", 0);
        let none = ["null", "", "None", "false", "  "][from % 5];
        let next = if from + 10 < RECORD_COUNT { format!("?from={}", from + 10) } else { none.to_owned() };
        Reply::json(json!({ "data": slice(from, 10), "next": next }))
    }),
    ("no link, as false", "\"json_link\"", |request| {
        let from = request.number_param("from", 0);
        let next = if from + 10 < RECORD_COUNT { json!(format!("?from={}#top", from + 10)) } else { json!(false) };
        Reply::json(json!({ "data": slice(from, 10), "next": next }))
    }),
    ("links with commas, several relations, bare words", "\"header_link\"", |request| {
        let from = request.number_param("from", 0);
        let reply = Reply::json(slice(from, 10))
            .header("Link", "</videos?a=1,2;b>; rel=\"prev first\"; title=\"x, <y>; rel=next\"");
        let next = format!("</videos?fields=a,b&from={}>; rel=\"last NEXT\"", from + 10);
        let bare = format!("</videos?fields=a,b;c&from={}>;rel=next ; type=\"a\"", from + 10);
        match from {
            _ if from + 10 >= RECORD_COUNT => reply.header("Link", "</videos?from=0>; rel=\"next-archive\""),
            _ if from % 20 == 0 => reply.header("Link", next),
            _ => reply.header("Link", bare),
        }
    }),
];

#[test]
fn odd_servers_are_read_whole() {
    for (name, paginator, serve) in WHOLE {
        let server = Server::start(*serve);
        let env = TestEnv::new();
        env.pipeline(&pipeline(&server, &format!("[resources.videos]\npaginator = {paginator}\n")));
        let outcome = env.load().expect_code(0);
        let counts = env.warehouse().query("SELECT count(*), count(DISTINCT id) FROM api.videos");
        assert_eq!(counts, [["95", "95"]], "{name}\n{}", outcome.transcript());
    }
}

/// Cursors that a careless program would change on their way.
const CURSORS: [&str; 9] = [
    "a+b",
    "a%2Bb%25",
    "a b&c=d#e?f/g\\h",
    "\u{fc}n\u{ef}c\u{f6}de \u{1f986}",
    "\"quoted\" {{ not.an.expression }} ${NOR_THIS}",
    "==AbC/+==",
    "9007199254740993",
    "18446744073709551617",
    "0.10",
];

#[test]
fn cursors_come_back_as_they_were_given() {
    let long = format!("{}%+\u{e9}", "x".repeat(4096));
    let all: Vec<String> = CURSORS.iter().map(|c| (*c).to_owned()).chain([long]).collect();
    for (request_with, read) in [
        (
            "cursor_param = \"after\" }",
            (|r: &Request| r.param("after").map(str::to_owned)) as fn(&Request) -> Option<String>,
        ),
        (" }\njson = { after = \"{{ page.cursor }}\" }", |r: &Request| {
            let body: Value = serde_json::from_str(&r.body).expect("a JSON body");
            body["after"].as_str().map(str::to_owned).or_else(|| body.get("after").map(ToString::to_string))
        }),
    ] {
        let given = all.clone();
        let server = Server::start(move |request| {
            let at = request.number;
            let expected = at.checked_sub(1).map(|before| given[before].clone());
            assert_eq!(read(request), expected);
            // Those that are numbers come as numbers.
            let next = match given.get(at) {
                Some(cursor) if cursor.bytes().all(|c| c.is_ascii_digit()) => cursor.clone(),
                Some(cursor) => json!(cursor).to_string(),
                None => "null".to_owned(),
            };
            Reply::new(200, "application/json", format!("{{\"data\":[{{\"id\":{at}}}],\"next\":{next}}}"))
        });
        let env = TestEnv::new();
        env.pipeline(&pipeline(
            &server,
            &format!("[resources.videos]\npaginator = {{ type = \"cursor\", cursor_path = \"next\", {request_with}\n")
                .replace(",  }", " }"),
        ));
        let outcome = env.load().expect_code(0);
        assert_eq!(env.warehouse().count("api.videos"), all.len() as u64 + 1, "{}", outcome.transcript());
    }
}

#[test]
fn a_cursor_never_writes_a_header_of_its_own() {
    let server = Server::start(|request| {
        let id = request.number;
        Reply::json(json!({ "data": [{ "id": id }], "next": format!("a{id}\r\nX-Evil: 1") }))
    });
    let env = TestEnv::new();
    env.pipeline(&pipeline(
        &server,
        "[resources.videos]\npaginator = { type = \"cursor\", cursor_path = \"next\" }\n\
         headers = { X-After = \"{{ page.cursor }}\" }\n",
    ));
    env.load().expect_code(1);
    assert_eq!(server.requests().len(), 1, "the second request can't be written");
    assert!(server.requests().iter().all(|r| r.header("x-evil").is_none()));
}

#[test]
fn a_link_to_itself_is_recognised_however_it_is_written() {
    const LINKS: [&str; 4] = ["/videos?a=1&b=x%20y", "/videos?b=x+y&a=1", "/videos?a=%31&b=x%20y#again", "?b=x y&a=1"];
    for link in LINKS {
        // The records differ in each answer, so that only the links tell.
        let server = Server::start(move |request| {
            let next = if request.number == 0 { LINKS[0] } else { link };
            Reply::json(json!({ "data": [{ "id": request.number }], "next": next }))
        });
        let env = TestEnv::new();
        env.pipeline(&pipeline(&server, "[resources.videos]\npaginator = \"json_link\"\n"));
        env.load().expect_code(1).expect_stderr(&["followed before", "on_repeat"]);
        assert_eq!(server.requests().len(), 2, "{link}");
    }
}

#[test]
fn links_lead_nowhere_else() {
    let other = Server::start(|_| Reply::json(slice(10, 10)));
    let port = other.authority();
    let links: [String; 6] = [
        format!("http://{port}/videos"),
        format!("//{port}/videos"),
        format!("https://{port}/videos"),
        "file:///etc/passwd".to_owned(),
        "javascript:alert(1)".to_owned(),
        "http://[::bad/".to_owned(),
    ];
    for link in links {
        let next = link.clone();
        let server = Server::start(move |_| Reply::json(json!({ "data": slice(0, 10), "next": next })));
        let env = TestEnv::new();
        let auth = "auth = { type = \"bearer\", token = \"very-secret\" }";
        env.pipeline(&pipeline_with_client(&server, auth, "[resources.videos]\npaginator = \"json_link\"\n"));
        let outcome = env.load().expect_code(1);
        assert!(!outcome.transcript().contains("very-secret"), "{link}");
        assert_eq!((server.requests().len(), other.requests().len()), (1, 0), "{link}");
    }
}

#[test]
fn a_last_page_that_comes_again_is_an_error_or_the_end_and_never_stored_twice() {
    let serve = |request: &Request| {
        let page = request.number_param("page", 1).min(10);
        Reply::json(slice((page - 1) * 10, 10))
    };
    for (on_repeat, code) in [("error", 1), ("stop", 0)] {
        let server = Server::start(serve);
        let env = TestEnv::new();
        env.pipeline(&pipeline(
            &server,
            &format!("[resources.videos]\nprimary_key = \"id\"\npaginator = {{ type = \"page_number\", on_repeat = \"{on_repeat}\" }}\n"),
        ));
        let outcome = env.load().expect_code(code);
        assert_eq!(env.warehouse().count("api.videos"), 95, "{}", outcome.transcript());
        assert_eq!(server.requests().len(), 11);
        if code == 1 {
            outcome.expect_stderr(&["the server repeats a page", "page 11 is the same as page 10"]);
        }
    }
}

#[test]
fn facts_that_are_no_facts_are_named() {
    for (paginator, body, says) in [
        (
            "{ type = \"offset\", total_path = \"total\" }",
            json!({ "data": [1], "total": "many" }),
            "not a whole number",
        ),
        ("{ type = \"offset\", total_path = \"total\" }", json!({ "data": [1], "total": [3] }), "a list, not a number"),
        (
            "{ type = \"offset\", has_more_path = \"more\" }",
            json!({ "data": [1], "more": 2 }),
            "neither true nor false",
        ),
        ("\"json_link\"", json!({ "data": [1], "next": 2 }), "page_number"),
        ("\"json_link\"", json!({ "data": [1], "next": true }), "not a text or a number"),
        (
            "{ type = \"cursor\", cursor_path = [\"a\", \"next\"], cursor_param = \"c\" }",
            json!({ "data": [1], "next": { "id": 1 } }),
            "the cursor at `next` is an object",
        ),
    ] {
        let server = Server::start(move |_| Reply::json(body.clone()));
        let env = TestEnv::new();
        env.pipeline(&pipeline(
            &server,
            &format!("[resources.videos]\ndata_selector = \"data\"\npaginator = {paginator}\n"),
        ));
        env.load().expect_code(1).expect_stderr(&[says]);
        assert_eq!(server.requests().len(), 1);
    }
}
