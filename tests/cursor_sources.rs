//! Cursors that records don't show: told by the answer, by the server's clock, by the range that was asked for. And cursors of
//! one resource over many parents.

use crate::support::{Reply, Server, TestEnv, pipeline};
use serde_json::{Value, json};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

fn resource(write: &str, incremental: &str) -> String {
    format!("[resources.videos]\n{write}paginator = \"single_page\"\nincremental = {{ {incremental} }}\n")
}

const KEYED: &str = "primary_key = \"id\"\n";

const APPENDED: &str = "write_disposition = \"append\"\n";

#[test]
fn a_token_of_the_last_answer_is_where_the_next_run_starts() {
    let server = Server::start(|request| {
        let page = request.number_param("page", 1);
        // Only the last page has the token.
        let token = if page == 2 { json!({ "sync": { "token": "s-42" } }) } else { json!({}) };
        let records = if page > 2 { Vec::new() } else { vec![json!({ "id": page })] };
        Reply::json(json!({ "items": records, "meta": token, "total_pages": 2 })).header("X-Seq", format!("{page}"))
    });
    for (place, first) in [("cursor_path = \"meta.sync.token\"", "s-42"), ("cursor_header = \"X-Seq\"", "2")] {
        let env = TestEnv::new();
        let text = resource(KEYED, &format!("cursor_from = \"response\", {place}, start_param = \"since\""));
        let paging = "{ type = \"page_number\", total_pages_path = \"total_pages\" }\ndata_selector = \"items\"";
        env.pipeline(&pipeline(&server, &text.replace("\"single_page\"", paging)));
        server.forget();
        let outcome = env.load().expect_code(0);
        assert_eq!(outcome.resource("videos")["cursor_after"], first, "{}", outcome.transcript());
        assert_eq!(server.requests()[0].param("since"), None);
        server.forget();
        env.load().expect_code(0);
        assert!(server.requests().iter().all(|r| r.param("since") == Some(first)), "{place}");
    }
}

#[test]
fn an_address_in_the_answer_is_the_next_runs_first_request() {
    let server = Server::start(|request| {
        let delta = format!("http://{}/delta?token=n%2F1", request.header("host").expect("a host"));
        match (request.path.as_str(), request.param("token")) {
            ("/videos", _) => Reply::json(json!({ "value": [{ "id": 1 }, { "id": 2 }], "@odata.deltaLink": delta })),
            ("/delta", Some("n/1")) => {
                Reply::json(json!({ "value": [{ "id": 2 }, { "id": 3 }], "@odata.deltaLink": delta }))
            }
            _ => Reply::status(404),
        }
    });
    let env = TestEnv::new();
    let keys = "cursor_from = \"response\", cursor_path = \"@odata.deltaLink\"";
    env.pipeline(&pipeline(&server, &format!("{}params = {{ select = \"id\" }}\n", resource(KEYED, keys))));
    env.load().expect_code(0);
    server.forget();
    let second = env.load().expect_code(0);
    let request = &server.requests()[0];
    assert_eq!((request.path.as_str(), request.param("token"), request.param("select")), ("/delta", Some("n/1"), None));
    assert_eq!(env.warehouse().count("api.videos"), 3, "{}", second.transcript());
}

#[test]
fn a_stored_address_on_another_host_is_refused() {
    let elsewhere = Server::start(|_| Reply::json(Vec::<Value>::new()));
    let link = elsewhere.url("/delta");
    let server = Server::start(move |_| Reply::json(json!({ "value": [{ "id": 1 }], "next_sync": link })));
    let env = TestEnv::new();
    env.pipeline(&pipeline(&server, &resource(KEYED, "cursor_from = \"response\", cursor_path = \"next_sync\"")));
    env.load().expect_code(0);
    env.load().expect_code(1).expect_stderr(&["a host that is not allowed", "allowed_hosts"]);
    assert!(elsewhere.requests().is_empty());
}

#[test]
fn a_token_that_no_request_could_show_is_an_error() {
    let server = Server::start(|_| Reply::json(json!({ "value": [{ "id": 1 }], "seq": 7 })));
    let env = TestEnv::new();
    env.pipeline(&pipeline(&server, &resource(KEYED, "cursor_from = \"response\", cursor_path = \"seq\"")));
    env.load().expect_code(1).expect_stderr(&["no request shows the cursor", "start_param"]);
}

#[test]
fn the_servers_clock_is_the_cursor_of_records_that_show_no_time() {
    let server = Server::start(|request| {
        let records = if request.param("offset") == Some("0") { vec![json!({ "id": 1 })] } else { Vec::new() };
        let minute = if request.param("offset") == Some("0") { "00" } else { "07" };
        Reply::json(records).header("Date", format!("Fri, 02 Jan 2026 10:{minute}:00 GMT"))
    });
    for write in [KEYED, APPENDED] {
        let env = TestEnv::new();
        let keys = "cursor_from = \"clock\", start_param = \"since\", lag = \"2m\", format = \"epoch_s\"";
        let text = resource(write, keys).replace("\"single_page\"", "{ type = \"offset\", limit = 1 }");
        env.pipeline(&pipeline(&server, &text));
        server.forget();
        let first = env.load().expect_code(0);
        assert_eq!(first.resource("videos")["cursor_after"], "2026-01-02T10:00:00Z", "the time of the first answer");
        server.forget();
        let second = env.load().expect_code(0);
        assert_eq!(server.requests()[0].param("since"), Some("1767347880"), "two minutes before");
        assert_eq!(env.warehouse().count("api.videos"), 1, "{write}\n{}", second.transcript());
    }
}

#[test]
fn a_server_without_a_clock_is_an_error() {
    let server = Server::start(|_| Reply::json(vec![json!({ "id": 1 })]));
    let env = TestEnv::new();
    env.pipeline(&pipeline(&server, &resource(KEYED, "cursor_from = \"clock\", start_param = \"since\"")));
    env.load().expect_code(1).expect_stderr(&["does not tell its time"]);
}

#[test]
fn the_end_of_the_range_is_the_cursor_of_records_that_show_no_time() {
    let server = Server::start(|request| {
        let has_bounds = request.param("since").is_some() && request.param("until").is_some();
        Reply::json(if has_bounds { vec![json!({ "id": 1 })] } else { Vec::new() })
    });
    for write in [KEYED, APPENDED] {
        let env = TestEnv::new();
        let keys = "cursor_from = \"window\", start_param = \"since\", end_param = \"until\", initial_value = \"2026-01-01T00:00:00Z\"";
        env.pipeline(&pipeline(&server, &resource(write, keys)));
        server.forget();
        env.load().expect_code(0);
        let until = server.requests()[0].param("until").expect("an end").to_owned();
        server.forget();
        let second = env.load().expect_code(0);
        assert_eq!(server.requests()[0].param("since"), Some(until.as_str()));
        assert_eq!(env.warehouse().count("api.videos"), 1, "{write}\n{}", second.transcript());
        let sliced =
            keys.replace("cursor_from", "window = \"1000d\", end_value = \"2026-02-01T00:00:00Z\", cursor_from");
        env.pipeline(&pipeline(&server, &resource(write, &sliced.replace("1000d", "10d"))));
        let third = env.load_into(&env.warehouse(), &["--full-refresh"]).expect_code(0);
        assert_eq!(third.resource("videos")["windows"], 4);
        assert_eq!(env.warehouse().count("api.videos"), 1, "{write}\n{}", third.transcript());
    }
}

#[test]
fn a_cursor_that_is_an_object_is_an_error_that_names_it() {
    for keys in ["", ", on_cursor_value_missing = \"include\""] {
        let server = Server::start(|_| Reply::json(vec![json!({ "id": 1, "at": { "sec": 5 } })]));
        let env = TestEnv::new();
        env.pipeline(&pipeline(
            &server,
            &resource(KEYED, &format!("cursor_path = \"at\", start_param = \"since\"{keys}")),
        ));
        env.load().expect_code(1).expect_stderr(&["`at`, the cursor, is an object", r#"{"sec":5}"#]);
    }
    // A list of paths may lead into it.
    let server =
        Server::start(|_| Reply::json(vec![json!({ "id": 1, "at": { "sec": 5 } }), json!({ "id": 2, "at": 4 })]));
    let env = TestEnv::new();
    env.pipeline(&pipeline(&server, &resource(KEYED, "cursor_path = [\"at\", \"at.sec\"], start_param = \"since\"")));
    assert_eq!(env.load().expect_code(0).resource("videos")["cursor_after"], "5");
}

#[test]
fn texts_in_the_pattern_of_the_file_are_dates_and_zones_are_kept() {
    let server = Server::start(|_| {
        Reply::json(["31/12/2025", "02/01/2026", "15/11/2025"].map(|at| json!({ "id": at, "at": at })).to_vec())
    });
    let env = TestEnv::new();
    let keys = "cursor_path = \"at\", start_param = \"since\", format = \"%d/%m/%Y\", initial_value = \"2025-01-01\", lag = \"2d\"";
    env.pipeline(&pipeline(&server, &resource(KEYED, keys)));
    env.load().expect_code(0);
    env.load().expect_code(0);
    assert_eq!(server.requests()[0].param("since"), Some("01/01/2025"));
    assert_eq!(server.requests()[1].param("since"), Some("31/12/2025"));

    let server = Server::start(|_| Reply::json(vec![json!({ "id": 1, "at": "2026-07-02T00:30:00" })]));
    let env = TestEnv::new();
    let keys = "cursor_path = \"at\", start_param = \"since\", format = \"iso8601\", timezone = \"Europe/Berlin\"";
    env.pipeline(&pipeline(&server, &resource(KEYED, keys)));
    env.load().expect_code(0);
    env.load().expect_code(0);
    assert_eq!(server.requests()[1].param("since"), Some("2026-07-02T00:30:00+02:00"));
}

#[test]
fn dates_and_times_in_one_field_are_a_clear_error() {
    let server = Server::start(|_| {
        Reply::json(vec![json!({ "id": 1, "at": "2026-07-02" }), json!({ "id": 2, "at": "2026-07-02T10:00:00Z" })])
    });
    let env = TestEnv::new();
    env.pipeline(&pipeline(&server, &resource(KEYED, "cursor_path = \"at\", start_param = \"since\"")));
    env.load().expect_code(1).expect_stderr(&[
        "different kinds",
        "date `2026-07-02`",
        "instant `2026-07-02T10:00:00Z`",
        "at",
    ]);
}

#[test]
fn one_cursor_for_all_parents_moves_when_all_of_them_succeeded() {
    for number in 0..2 {
        for write in ["primary_key = [\"channels_key\", \"id\"]\n", APPENDED] {
            let broken = Arc::new(AtomicBool::new(true));
            let switch = broken.clone();
            let server = Server::start(move |request| match request.path.as_str() {
                "/channels" => Reply::json(["a", "b", "c"].map(|key| json!({ "key": key })).to_vec()),
                "/channels/b/videos" if switch.load(Ordering::SeqCst) => Reply::status(400),
                path => {
                    let newest = if path == "/channels/a/videos" { 9 } else { 5 };
                    let since = request.number_param("since", 0);
                    Reply::json(
                        (since.min(newest)..=newest).map(|id| json!({ "id": id, "at": id })).collect::<Vec<_>>(),
                    )
                }
            });
            let env = TestEnv::new();
            let warehouse = &env.destinations()[number];
            let child = format!(
                "parent = \"channels\"\npath = \"channels/{{{{ parent.key }}}}/videos\"\ninclude_from_parent = [\"key\"]\n{write}"
            );
            let keys = "cursor_path = \"at\", start_param = \"since\", scope = \"global\"";
            let channels = "[resources.channels]\nprimary_key = \"key\"\npaginator = \"single_page\"\n";
            env.pipeline(&pipeline(&server, &format!("{channels}{}", resource(&child, keys))));
            let failed = env.load_into(warehouse, &[]).expect_code(1);
            assert_eq!(failed.resource("videos")["cursor_after"], Value::Null);
            let counts = "SELECT channels_key, count(*), count(DISTINCT id) FROM api.videos GROUP BY ALL ORDER BY 1";
            assert_eq!(warehouse.query(counts), [["a", "10", "10"], ["c", "6", "6"]], "{}", failed.transcript());

            broken.store(false, Ordering::SeqCst);
            server.forget();
            let second = env.load_into(warehouse, &[]).expect_code(0);
            assert!(server.requests().iter().all(|r| r.param("since").is_none()), "{}", second.transcript());
            assert_eq!(second.resource("videos")["cursor_after"], "9");
            let all = [["a", "10", "10"], ["b", "6", "6"], ["c", "6", "6"]];
            assert_eq!(warehouse.query(counts), all, "{write}\n{}", second.transcript());

            server.forget();
            let third = env.load_into(warehouse, &[]).expect_code(0);
            let asked = server.requests().into_iter().filter(|r| r.path != "/channels");
            assert!(asked.map(|r| r.param("since").map(str::to_owned)).all(|since| since.as_deref() == Some("9")));
            assert_eq!(warehouse.query(counts), all, "{write}\n{}", third.transcript());
        }
    }
}

#[test]
fn an_epoch_cursor_is_a_number_in_a_json_body() {
    let server = Server::start(|_| Reply::json(vec![json!({ "id": 1, "at": 1_767_312_000 })]));
    let env = TestEnv::new();
    let text = format!(
        "{}[resources.videos.json]\nfrom = \"{{{{ cursor.start }}}}\"\nuntil = \"{{{{ cursor.end }}}}\"\n",
        resource(KEYED, "cursor_path = \"at\", initial_value = 0, end_value = 1800000000")
    );
    env.pipeline(&pipeline(&server, &text));
    env.load().expect_code(0);
    env.load().expect_code(0);
    let lengths: Vec<usize> =
        server.requests().iter().map(|r| r.header("content-length").map_or(0, |l| l.parse().unwrap_or(0))).collect();
    assert_eq!(lengths, [r#"{"from":0,"until":1800000000}"#.len(), r#"{"from":1767312000,"until":1800000000}"#.len()]);
}
