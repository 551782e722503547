//! Walks that an answer makes begin again: every row once, whatever came before.

use crate::support::{Reply, Request, Server, TestEnv, pipeline};
use serde_json::{Value, json};
use std::sync::atomic::{AtomicUsize, Ordering};

const RESTART: &str = "response_actions = [{ status = 400, body_contains = \"scroll\", action = \"restart\" }]";

/// A scroll of five pages of two records that breaks after the third page as often as is said. Records that came before a
/// break have changed when they come again.
fn scroll(breaks: usize) -> Server {
    let (broken, first_pages) = (AtomicUsize::new(0), AtomicUsize::new(0));
    Server::start(move |request: &Request| {
        if request.path == "/notes" {
            return Reply::json(json!([{ "id": format!("n{}", request.param("item").unwrap_or_default()) }]));
        }
        let page = request.number_param("scroll", 0);
        if page == 0 {
            first_pages.fetch_add(1, Ordering::SeqCst);
        }
        if page == 3 && broken.fetch_add(1, Ordering::SeqCst) < breaks {
            return Reply::new(400, "application/json", "{\"error\":\"scroll expired\"}");
        }
        let record = |id: usize| json!({ "id": id, "version": first_pages.load(Ordering::SeqCst) });
        let data: Vec<Value> = if page < 5 { vec![record(page * 2), record(page * 2 + 1)] } else { Vec::new() };
        Reply::json(json!({ "data": data, "scroll": page + 1 }))
    })
}

fn resource(write: &str) -> String {
    format!(
        "[resources.items]\ndata_selector = \"data\"\n{write}\n{RESTART}\n\
         paginator = {{ type = \"cursor\", cursor_path = \"scroll\", cursor_param = \"scroll\", stop_on = \"empty_page\" }}\n"
    )
}

const WRITES: [&str; 5] = [
    "write_disposition = \"append\"",
    "write_disposition = \"append\"\nprimary_key = \"id\"",
    "write_disposition = \"replace\"",
    "write_disposition = \"replace\"\nprimary_key = \"id\"",
    "primary_key = \"id\"",
];

#[test]
fn a_walk_that_begins_again_gives_every_row_once_as_it_came_last() {
    for write in WRITES {
        for number in 0..2 {
            let server = scroll(2);
            let env = TestEnv::new();
            let warehouse = &env.destinations()[number];
            env.pipeline(&pipeline(&server, &resource(write)));
            let outcome = env.load_into(warehouse, &[]).expect_code(0);
            let found =
                warehouse.query("SELECT count(*), count(DISTINCT id), min(version), max(version) FROM api.items");
            assert_eq!(found, [["10", "10", "3", "3"]], "{write}\n{}", outcome.transcript());
            let report = outcome.resource("items");
            let discarded: u64 =
                report["discarded"].as_object().expect("rules").values().filter_map(Value::as_u64).sum();
            let loaded = report["rows"]["items"].as_u64().expect("a count");
            assert_eq!(report["records"].as_u64(), Some(loaded + discarded), "{write}: {report}");
        }
    }
}

#[test]
fn a_walk_does_not_begin_again_for_ever() {
    for write in WRITES {
        let server = scroll(usize::MAX);
        let env = TestEnv::new();
        env.pipeline(&pipeline(&server, &resource(write)));
        env.load().expect_code(1).expect_stderr(&["begun again: 3 times", "scroll expired", "400"]);
        assert_eq!(server.requests().len(), 16, "four walks of four requests");
    }
}

#[test]
fn an_error_between_leaves_no_row_twice_behind() {
    let server = scroll(usize::MAX);
    let env = TestEnv::new();
    env.pipeline(&pipeline(&server, &resource("write_disposition = \"append\"")));
    env.load().expect_code(1);
    let whole = scroll(0);
    env.pipeline(&pipeline(&whole, &resource("write_disposition = \"append\"")));
    env.load().expect_code(0);
    assert_eq!(env.warehouse().query("SELECT count(*), count(DISTINCT id) FROM api.items"), [["10", "10"]]);
}

#[test]
fn a_cursor_that_is_ahead_waits_for_the_rows_of_the_walk() {
    for write in ["write_disposition = \"append\"", "primary_key = \"id\""] {
        let server = scroll(1);
        let env = TestEnv::new();
        let incremental = "incremental = { cursor_path = \"id\", start_param = \"from\", row_order = \"asc\" }\n";
        env.pipeline(&pipeline(&server, &format!("{}{incremental}", resource(write))));
        let outcome = env.load().expect_code(0);
        assert_eq!(outcome.resource("items")["cursor_after"], "9", "{}", outcome.transcript());
        assert_eq!(env.warehouse().query("SELECT count(*), count(DISTINCT id) FROM api.items"), [["10", "10"]]);
    }
}

#[test]
fn children_of_a_walk_that_begins_again_are_asked_for_once() {
    let server = scroll(1);
    let env = TestEnv::new();
    let child =
        "[resources.notes]\nparent = \"items\"\nparams = { item = \"{{ parent.id }}\" }\npaginator = \"single_page\"\n";
    let text = format!("{}{child}", resource("primary_key = \"id\""));
    env.pipeline(&pipeline(&server, &text));
    env.load().expect_code(0);
    assert_eq!(env.warehouse().query("SELECT count(*), count(DISTINCT id) FROM api.notes"), [["10", "10"]]);
}

#[test]
fn a_unit_of_a_fan_out_begins_again_by_itself() {
    let server = Server::start({
        let broken = AtomicUsize::new(0);
        move |request| {
            let (team, page) =
                (request.param("team").unwrap_or_default().to_owned(), request.number_param("scroll", 0));
            if team == "b" && page == 2 && broken.fetch_add(1, Ordering::SeqCst) == 0 {
                return Reply::new(400, "application/json", "{\"error\":\"scroll\"}");
            }
            let data = if page < 3 { json!([{ "id": format!("{team}{page}") }]) } else { json!([]) };
            Reply::json(json!({ "data": data, "scroll": page + 1 }))
        }
    });
    for write in WRITES {
        let env = TestEnv::new();
        let partitions =
            "partitions = { values = [\"a\", \"b\", \"c\"] }\nparams = { team = \"{{ partition.value }}\" }\n";
        let text = format!("{}{partitions}", resource(write));
        env.pipeline(&pipeline(&server, &text));
        let outcome = env.load().expect_code(0);
        let found = env.warehouse().query("SELECT count(*), count(DISTINCT id) FROM api.items");
        assert_eq!(found, [["9", "9"]], "{write}\n{}", outcome.transcript());
    }
}

#[test]
fn a_long_walk_begins_again_only_where_rows_are_recognised() {
    let server = || {
        let broken = AtomicUsize::new(0);
        Server::start(move |request| {
            let page = request.number_param("scroll", 0);
            if page == 9 && broken.fetch_add(1, Ordering::SeqCst) == 0 {
                return Reply::new(400, "application/json", "{\"error\":\"scroll\"}");
            }
            let data = if page < 10 { json!([{ "id": page, "text": "x".repeat(4 << 20) }]) } else { json!([]) };
            Reply::json(json!({ "data": data, "scroll": page + 1 }))
        })
    };
    let env = TestEnv::new();
    let appended = server();
    env.pipeline(&pipeline(&appended, &resource("write_disposition = \"append\"")));
    env.load().expect_code(1).expect_stderr(&["too much was loaded", "primary_key"]);
    let merged = server();
    env.pipeline(&pipeline(&merged, &resource("primary_key = \"id\"")));
    env.load().expect_code(0);
    assert_eq!(env.warehouse().query("SELECT count(*), count(DISTINCT id) FROM api.items"), [["10", "10"]]);
}
