//! Lists in a declared order: verified, stopped early, committed midway, walked along their cursor.

use crate::support::{Outcome, Reply, Request, Server, TestEnv, pipeline};
use serde_json::{Value, json};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

const APPENDED: &str = "write_disposition = \"append\"\n";

const KEYED: &str = "primary_key = \"id\"\n";

fn resource(write: &str, incremental: &str) -> String {
    format!(
        "[resources.videos]\n{write}paginator = {{ type = \"offset\", limit = 10 }}\n\
         incremental = {{ cursor_path = \"updated_at\", {incremental} }}\n"
    )
}

fn page(records: &[Value], request: &Request) -> Reply {
    let (offset, limit) = (request.number_param("offset", 0), request.number_param("limit", 10));
    Reply::json(records.iter().skip(offset).take(limit).cloned().collect::<Vec<_>>())
}

fn ids(env: &TestEnv) -> Vec<Vec<String>> {
    env.warehouse().query("SELECT count(*), count(DISTINCT id) FROM api.videos")
}

fn discarded(outcome: &Outcome, rule: &str) -> u64 {
    outcome.resource("videos")["discarded"][rule].as_u64().unwrap_or(0)
}

#[test]
fn a_wrong_order_is_an_error_that_names_the_values_and_the_page() {
    for (order, wrong) in [("asc", 3), ("desc", 30)] {
        let mut values: Vec<u64> = (10..25).collect();
        if order == "desc" {
            values.reverse();
        }
        values[12] = wrong;
        let server = Server::start(move |request| {
            page(&values.iter().map(|v| json!({ "id": v, "updated_at": v })).collect::<Vec<_>>(), request)
        });
        let env = TestEnv::new();
        env.pipeline(&pipeline(
            &server,
            &resource(KEYED, &format!("start_param = \"since\", row_order = \"{order}\"")),
        ));
        let outcome = env.load().expect_code(1);
        let last = if order == "asc" { 21 } else { 13 };
        let out_of_order = format!("`{wrong}` after `{last}`");
        let outcome = outcome.expect_stderr(&[&out_of_order, "page: 2", &format!("row_order = \"{order}\"")]);
        // The records of the first page are there, and nothing was taken for complete.
        assert_eq!(outcome.resource("videos")["cursor_after"], Value::Null, "{}", outcome.transcript());
        server.forget();
        env.load();
        assert_eq!(server.requests()[0].param("since"), None);
    }
}

#[test]
fn newest_first_stops_at_the_cursor_and_leaves_out_what_is_older() {
    let records =
        Arc::new(Mutex::new((0..95).rev().map(|id| json!({ "id": id, "updated_at": id / 2 })).collect::<Vec<_>>()));
    let served = records.clone();
    let server = Server::start(move |request| page(&served.lock().expect("no panic"), request));
    for write in [KEYED, APPENDED] {
        records.lock().expect("no panic").truncate(95);
        let env = TestEnv::new();
        env.pipeline(&pipeline(
            &server,
            &resource(write, "client_side = true, row_order = \"desc\", initial_value = 20"),
        ));
        let first = env.load().expect_code(0);
        assert_eq!(first.resource("videos")["end"], "cursor bound", "{}", first.transcript());
        assert_eq!(ids(&env), [["55", "55"]], "of 0 to 94 those from 40 on");
        assert_eq!((server.requests().len(), discarded(&first, "before_start")), (6, 5));

        // Those that share the newest value are not older than it.
        records.lock().expect("no panic").insert(0, json!({ "id": 95, "updated_at": 47 }));
        server.forget();
        let second = env.load().expect_code(0);
        assert_eq!((server.requests().len(), discarded(&second, "before_start")), (1, 8));
        assert_eq!(ids(&env), [["56", "56"]], "{write}\n{}", second.transcript());
        records.lock().expect("no panic").remove(0);
        server.forget();
    }
}

#[test]
fn without_an_order_the_whole_list_is_read_and_older_records_are_left_out() {
    let records: Vec<Value> = (0..30).map(|id| json!({ "id": id, "updated_at": (id * 7) % 30 })).collect();
    let server = Server::start(move |request| page(&records, request));
    let env = TestEnv::new();
    env.pipeline(&pipeline(&server, &resource(KEYED, "client_side = true, initial_value = 10, end_value = 25")));
    let outcome = env.load().expect_code(0);
    assert_eq!((discarded(&outcome, "before_start"), discarded(&outcome, "after_end")), (10, 5));
    assert_eq!(
        env.warehouse().query("SELECT min(updated_at), max(updated_at), count(*) FROM api.videos"),
        [["10", "24", "15"]]
    );
    assert_eq!(outcome.resource("videos")["cursor_after"], "24");
}

#[test]
fn an_ascending_walk_that_fails_keeps_what_came_and_resumes_there() {
    for write in [KEYED, APPENDED] {
        let broken = Arc::new(AtomicBool::new(true));
        let switch = broken.clone();
        let server = Server::start(move |request| {
            let since = request.number_param("since", 0);
            if request.param("offset") == Some("20") && switch.load(Ordering::SeqCst) {
                return Reply::status(400);
            }
            // Three records share each value, and pages end between them.
            let newer = (0..60).filter(|id| id / 3 >= since).map(|id| json!({ "id": id, "updated_at": id / 3 }));
            page(&newer.collect::<Vec<_>>(), request)
        });
        let env = TestEnv::new();
        env.pipeline(&pipeline(&server, &resource(write, "start_param = \"since\", row_order = \"asc\"")));
        let failed = env.load().expect_code(1);
        assert_eq!(failed.resource("videos")["cursor_after"], "6", "{}", failed.transcript());
        assert_eq!(ids(&env), [["20", "20"]], "{write}");
        broken.store(false, Ordering::SeqCst);
        server.forget();
        let second = env.load().expect_code(0);
        assert_eq!(server.requests()[0].param("since"), Some("6"));
        assert_eq!(ids(&env), [["60", "60"]], "{write}\n{}", second.transcript());
    }
}

#[test]
fn a_long_ascending_walk_commits_midway_and_takes_it_back_when_the_order_was_wrong() {
    const PAGE: usize = 50_000;
    let switch = Arc::new(AtomicBool::new(true));
    let broken = switch.clone();
    let server = Server::start(move |request| {
        let (since, offset) = (request.number_param("since", 0), request.number_param("offset", 0));
        let rows = (since + offset..600_000).take(PAGE).map(|id| {
            let is_wrong = broken.load(Ordering::SeqCst) && id == 580_000;
            json!({ "id": id, "updated_at": if is_wrong { 5 } else { id } })
        });
        Reply::json(rows.collect::<Vec<_>>())
    });
    let env = TestEnv::new();
    let text =
        resource(APPENDED, "start_param = \"since\", row_order = \"asc\"").replace("limit = 10", "limit = 50000");
    env.pipeline(&pipeline(&server, &text));
    let failed = env.load().expect_code(1);
    assert_eq!(ids(&env), [["550000", "550000"]], "{}", failed.transcript());
    assert_eq!(failed.resource("videos")["cursor_after"], Value::Null);
    switch.store(false, Ordering::SeqCst);
    server.forget();
    let second = env.load().expect_code(0);
    assert_eq!(server.requests()[0].param("since"), None, "everything is asked for again");
    assert_eq!(ids(&env), [["600000", "600000"]], "and nothing stored twice: {}", second.transcript());
}

/// A list sorted by time that changes while it is walked: after some requests the oldest record of the page just sent is
/// updated, and moves to the end.
struct MovingList {
    records: Mutex<Vec<(u64, u64)>>,
    clock: AtomicUsize,
    moves: AtomicUsize,
}

impl MovingList {
    fn new(count: u64, moves: usize) -> Arc<MovingList> {
        Arc::new(MovingList {
            records: Mutex::new((0..count).map(|id| (id, 100 + id / 4)).collect()),
            clock: AtomicUsize::new(1_000),
            moves: AtomicUsize::new(moves),
        })
    }

    fn reply(&self, request: &Request) -> Reply {
        let mut records = self.records.lock().expect("no panic");
        records.sort_by_key(|(id, at)| (*at, *id));
        let since = request.number_param("since", 0) as u64;
        let newer: Vec<(u64, u64)> = records.iter().filter(|(_, at)| *at >= since).copied().collect();
        let sent: Vec<_> = newer.into_iter().skip(request.number_param("offset", 0)).take(10).collect();
        if let Some((moved, _)) = sent.first().filter(|_| self.moves.load(Ordering::SeqCst) > 0) {
            self.moves.fetch_sub(1, Ordering::SeqCst);
            let now = self.clock.fetch_add(1, Ordering::SeqCst) as u64;
            if let Some(record) = records.iter_mut().find(|(id, _)| id == moved) {
                record.1 = now;
            }
        }
        Reply::json(sent.iter().map(|(id, at)| json!({ "id": id, "updated_at": at })).collect::<Vec<_>>())
    }
}

#[test]
fn a_walk_along_the_cursor_loses_no_row_that_moves_meanwhile() {
    for write in [KEYED, APPENDED] {
        let list = MovingList::new(103, 15);
        let served = list.clone();
        let server = Server::start(move |request| served.reply(request));
        let env = TestEnv::new();
        let text = resource(write, "start_param = \"since\", row_order = \"asc\", walk = \"cursor\"");
        env.pipeline(&pipeline(&server, &text));
        let first = env.load().expect_code(0);
        let distinct = "SELECT count(DISTINCT id), count(DISTINCT (id, updated_at)) - count(*) FROM api.videos";
        assert_eq!(env.warehouse().query(distinct), [["103", "0"]], "{write}\n{}", first.transcript());
        assert!(discarded(&first, "already_received") > 0, "{}", first.transcript());
        // The newest version of each record is there.
        let newest = list.records.lock().expect("no panic").iter().map(|(_, at)| at).sum::<u64>().to_string();
        let stored = "SELECT sum(newest)::VARCHAR FROM (SELECT max(updated_at) newest FROM api.videos GROUP BY id)";
        assert_eq!(env.warehouse().value(stored), newest);

        list.moves.store(3, Ordering::SeqCst);
        let second = env.load().expect_code(0);
        assert_eq!(env.warehouse().query(distinct), [["103", "0"]], "{write}\n{}", second.transcript());
        env.load().expect_code(0);
        let newest = list.records.lock().expect("no panic").iter().map(|(_, at)| at).sum::<u64>().to_string();
        assert_eq!(env.warehouse().value(stored), newest, "{write}");
    }
}

#[test]
fn many_records_with_one_value_are_paged_through_and_a_list_without_pages_is_walked_by_its_cursor() {
    // 35 records share a value, more than three pages of them.
    let records: Vec<(u64, u64)> = (0..60)
        .map(|id| {
            (
                id,
                if id < 20 {
                    id
                } else if id < 55 {
                    20
                } else {
                    id
                },
            )
        })
        .collect();
    let served = records.clone();
    let server = Server::start(move |request| {
        let since = request.number_param("since", 0) as u64;
        let newer = served.iter().filter(|(_, at)| *at >= since).map(|(id, at)| json!({ "id": id, "updated_at": at }));
        page(&newer.collect::<Vec<_>>(), request)
    });
    for write in [KEYED, APPENDED] {
        let env = TestEnv::new();
        env.pipeline(&pipeline(
            &server,
            &resource(write, "start_param = \"since\", row_order = \"asc\", walk = \"cursor\""),
        ));
        let outcome = env.load().expect_code(0);
        assert_eq!(ids(&env), [["60", "60"]], "{write}\n{}", outcome.transcript());
    }
    let server = Server::start(move |request| {
        let since = request.number_param("since", 0) as u64;
        Reply::json((since..40).take(7).map(|id| json!({ "id": id, "updated_at": id })).collect::<Vec<_>>())
    });
    let env = TestEnv::new();
    let text = resource(APPENDED, "start_param = \"since\", row_order = \"asc\", walk = \"cursor\"");
    env.pipeline(&pipeline(&server, &text.replace("{ type = \"offset\", limit = 10 }", "\"single_page\"")));
    let outcome = env.load().expect_code(0);
    assert_eq!(ids(&env), [["40", "40"]], "{}", outcome.transcript());
}

#[test]
fn an_ascending_walk_by_pages_is_warned_about_unless_it_goes_along_the_cursor() {
    let server = Server::start(|_| Reply::json(Vec::<Value>::new()));
    let env = TestEnv::new();
    for (walk, is_warned) in [("", true), (", walk = \"cursor\"", false)] {
        let keys = format!("start_param = \"since\", row_order = \"asc\"{walk}");
        env.pipeline(&pipeline(&server, &resource(KEYED, &keys)));
        for outcome in [env.run(&["check", "api"]).expect_code(0), env.load().expect_code(0)] {
            assert_eq!(outcome.stderr.contains("walk = \"cursor\""), is_warned, "{}", outcome.transcript());
        }
    }
}
