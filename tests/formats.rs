//! What bodies may be: formats, charsets, compression, files, and how columns read their values.

use crate::support::{Reply, Request, Server, TestEnv, pipeline, pipeline_with_client};
use serde_json::json;
use std::io::Write;

const ONE_PAGE: &str = "[resources.items]\npaginator = \"single_page\"\n";

/// Loads one body; the rows of a query on it.
#[track_caller]
fn rows(content_type: &str, body: impl Into<Vec<u8>>, keys: &str, sql: &str) -> Vec<Vec<String>> {
    let (content_type, body) = (content_type.to_owned(), body.into());
    let server = Server::start(move |_| Reply::new(200, &content_type, body.clone()));
    let env = TestEnv::new();
    env.pipeline(&pipeline(&server, &format!("{ONE_PAGE}{keys}")));
    env.load().expect_code(0);
    env.warehouse().query(sql)
}

/// Loads one body that can't be; what stderr must say.
#[track_caller]
fn refused(content_type: &str, body: impl Into<Vec<u8>>, keys: &str, says: &[&str]) {
    let (content_type, body) = (content_type.to_owned(), body.into());
    let server = Server::start(move |_| Reply::new(200, &content_type, body.clone()));
    let env = TestEnv::new();
    env.pipeline(&pipeline(&server, &format!("{ONE_PAGE}{keys}")));
    env.load().expect_code(1).expect_stderr(&["200"]).expect_stderr(says);
}

fn gzip(text: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(text).expect("in memory");
    encoder.finish().expect("in memory")
}

#[test]
fn every_format_is_known_by_its_content_type() {
    let expected = [["1", "x"], ["2", "NULL"]];
    let utf16: Vec<u8> = "\u{feff}id,name\r\n1,x\r\n2,\r\n".encode_utf16().flat_map(u16::to_le_bytes).collect();
    let cases: &[(&str, Vec<u8>, &str)] = &[
        ("application/json", b"[{\"id\":1,\"name\":\"x\"},{\"id\":2}]".to_vec(), ""),
        ("text/plain", b"\xEF\xBB\xBF[{\"id\":1,\"name\":\"x\"},{\"id\":2}]".to_vec(), ""),
        ("application/x-ndjson", b"{\"id\":1,\"name\":\"x\"}\r\n\r\n{\"id\":2}".to_vec(), ""),
        ("application/json-seq", b"\x1e{\"id\":1,\"name\":\"x\"}\n\x1e{\"id\":2}\n".to_vec(), ""),
        ("application/octet-stream", b"{\"id\":1,\"name\":\"x\"}{\"id\":2}".to_vec(), "format = \"jsonl\"\n"),
        ("text/csv", b"id,name\r\n1,x\r\n2,\r\n".to_vec(), ""),
        ("text/csv", utf16, ""),
        ("text/tab-separated-values", b"id\tname\n1\tx\n2\t\n".to_vec(), ""),
        (
            "text/plain",
            b"report\nid;name\n1;x\n2;NA".to_vec(),
            "csv = { delimiter = \";\", skip_rows = 1, null = \"NA\" }\n",
        ),
        ("text/xml", b"<r><item id='1'><name>x</name></item><item id='2'/></r>".to_vec(), ""),
        (
            "text/plain",
            b"<r><i><id>1</id><name>x</name></i><i><id>2</id><name/></i></r>".to_vec(),
            "format = \"xml\"\n",
        ),
    ];
    for (content_type, body, keys) in cases {
        let found = rows(content_type, body.clone(), keys, "SELECT id, name FROM api.items ORDER BY id");
        assert_eq!(found, expected, "{content_type} {keys}");
    }
}

#[test]
fn csv_is_text_unless_it_is_to_be_inferred() {
    let body = "id,price,ok,code,day,day\n1,2.50,TRUE,007,2026-01-02,\"a,\nb\"\n";
    let sql =
        "SELECT id, price, ok, code, day, day_2, typeof(id), typeof(ok), typeof(code), typeof(day) FROM api.items";
    assert_eq!(
        rows("text/csv", body, "", sql),
        [["1", "2.50", "TRUE", "007", "2026-01-02", "a,\nb", "VARCHAR", "VARCHAR", "VARCHAR", "DATE"]]
    );
    assert_eq!(
        rows("text/csv", body, "csv = { infer = true }\n", sql),
        [["1", "2.5", "true", "007", "2026-01-02", "a,\nb", "BIGINT", "BOOLEAN", "VARCHAR", "DATE"]]
    );
}

#[test]
fn a_table_without_rows_is_no_row() {
    for (content_type, body) in [("text/csv", "id,name\n"), ("text/csv", ""), ("application/x-ndjson", "\n")] {
        let body = body.to_owned();
        let server = Server::start(move |_| Reply::new(200, content_type, body.clone()));
        let env = TestEnv::new();
        env.pipeline(&pipeline(&server, ONE_PAGE));
        let outcome = env.load().expect_code(0);
        assert_eq!(outcome.resource("items")["records"], 0, "{content_type}");
    }
}

#[test]
fn bodies_that_are_not_in_their_format_are_named() {
    let csv = "format = \"csv\"\n";
    refused("text/csv", "a,b\n1,2\n3\n", "", &["line 3", "1 cells, 2 columns"]);
    refused("text/csv", "a,b\n1,\"2", "", &["within a quoted cell"]);
    refused("text/html", "<!doctype html><title>Log in</title>", csv, &["the server sent HTML, not CSV"]);
    refused("application/json", "{\"error\":\"quota\"}", csv, &["the server sent JSON, not CSV", "quota"]);
    refused("application/x-ndjson", "{\"a\":1}\n{\"a\":", "", &["cut short in line 2"]);
    refused("application/x-ndjson", "{\"a\":1}\noops\n", "", &["line 2", "oops"]);
    refused("text/xml", "<r><a>1</a>", "", &["ends before its element `r` does"]);
    refused("text/xml", "<html><body/></html>", "", &["the server sent HTML, not XML"]);
    refused("text/xml", "<!DOCTYPE r [<!ENTITY a \"b\">]><r>&a;</r>", "", &["entities"]);
    refused("application/json; charset=shift_jis", b"[\"\x81\"]".to_vec(), "", &["Shift_JIS"]);
}

#[test]
fn a_body_that_was_cut_short_is_asked_for_again() {
    for (content_type, cut, whole) in [
        ("application/x-ndjson", "{\"id\":1}\n{\"id\"", "{\"id\":1}\n{\"id\":2}"),
        ("text/csv", "id,n\n1,x\n2", "id,n\n1,x\n2,y"),
        ("text/xml", "<r><i id='1'/><i id=", "<r><i id='1'/><i id='2'/></r>"),
        ("application/json", "[{\"id\":1},{\"id\":", "[{\"id\":1},{\"id\":2}]"),
    ] {
        let server =
            Server::start(move |r: &Request| Reply::new(200, content_type, if r.number == 0 { cut } else { whole }));
        let env = TestEnv::new();
        env.pipeline(&pipeline(&server, ONE_PAGE));
        env.load().expect_code(0);
        assert_eq!(env.warehouse().count("api.items"), 2, "{content_type}");
        assert_eq!(server.requests().len(), 2, "{content_type}");
    }
}

#[test]
fn xml_pages_like_json() {
    // The last page has one element, which is no list to look at.
    let server = Server::start(|request| {
        let offset = request.number_param("offset", 0);
        let items: String = (offset..5.min(offset + 2)).map(|id| format!("<item><id>{id}</id></item>")).collect();
        Reply::new(200, "application/xml", format!("<page><total>5</total>{items}</page>"))
    });
    for selector in [
        "",
        "data_selector = \"page.item\"\nallow_missing = true\n",
        "data_selector = \"page.item[*]\"\nallow_missing = true\n",
    ] {
        let env = TestEnv::new();
        let paginator = "paginator = { type = \"offset\", limit = 2, total_path = \"page.total\" }\n";
        env.pipeline(&pipeline(&server, &format!("[resources.items]\n{selector}{paginator}")));
        env.load().expect_code(0);
        let found = env.warehouse().query("SELECT id FROM api.items ORDER BY id");
        assert_eq!(found, [["0"], ["1"], ["2"], ["3"], ["4"]], "{selector}");
    }
}

#[test]
fn an_empty_last_page_of_xml_is_an_end() {
    let server = Server::start(|request| {
        let offset = request.number_param("offset", 0);
        let items: String = (offset..4.min(offset + 2)).map(|id| format!("<item><id>{id}</id></item>")).collect();
        Reply::new(200, "application/xml", format!("<page><kind>list</kind>{items}</page>"))
    });
    let env = TestEnv::new();
    env.pipeline(&pipeline(&server, "[resources.items]\npaginator = { type = \"offset\", limit = 2 }\n"));
    env.load().expect_code(0);
    assert_eq!(env.warehouse().count("api.items"), 4);
}

#[test]
fn compressed_bodies_are_read_whether_they_say_so_or_not() {
    let text = b"[{\"id\":1},{\"id\":2}]";
    let members = [gzip(&text[..9]), gzip(&text[9..])].concat();
    let bodies: [(&str, Vec<u8>, Option<&str>); 6] = [
        ("announced", gzip(text), Some("gzip")),
        ("several members, announced", members.clone(), Some("gzip")),
        ("a file", gzip(text), None),
        ("a file of several members", members, None),
        ("zstd, announced", zstd::encode_all(&text[..], 1).expect("in memory"), Some("zstd")),
        ("a zstd file", zstd::encode_all(&text[..], 1).expect("in memory"), None),
    ];
    for (name, body, encoding) in bodies {
        let server = Server::start(move |_| {
            let reply = Reply::new(200, "application/json", body.clone());
            match encoding {
                Some(encoding) => reply.header("Content-Encoding", encoding),
                None => reply,
            }
        });
        let env = TestEnv::new();
        env.pipeline(&pipeline(&server, ONE_PAGE));
        env.load().expect_code(0);
        assert_eq!(env.warehouse().count("api.items"), 2, "{name}");
    }
}

#[test]
fn a_bomb_stops_at_the_limit() {
    let bomb = gzip(&[b"[".to_vec(), vec![b' '; 4 << 20], b"]".to_vec()].concat());
    for encoding in ["gzip", "identity"] {
        let bomb = bomb.clone();
        let server = Server::start(move |_| {
            Reply::new(200, "application/json", bomb.clone()).header("Content-Encoding", encoding)
        });
        let env = TestEnv::new();
        env.pipeline(&pipeline_with_client(&server, "max_response_bytes = \"1 MiB\"", ONE_PAGE));
        env.load().expect_code(1).expect_stderr(&["max_response_bytes"]);
        assert_eq!(server.requests().len(), 1, "{encoding}: asking again does not help");
    }
}

#[test]
fn columns_read_times_as_the_file_says() {
    let body = json!([{
        "id": 1, "sent": 1_700_000_000_123u64, "seen": "1700000000", "day": "31/12/2025", "local": "2026-07-01 12:00:00",
        "none": "", "share": "NaN"
    }])
    .to_string();
    let keys = "[resources.items.columns]\n\
        sent = { type = \"timestamptz\", format = \"epoch_ms\" }\nseen = { format = \"epoch_s\" }\n\
        day = { format = \"%d/%m/%Y\" }\nlocal = { timezone = \"Europe/Berlin\" }\n\
        none = { type = \"date\", format = \"%d/%m/%Y\" }\nshare = { type = \"double\" }\n";
    let sql = "SELECT epoch_ms(sent), epoch_ms(seen), day, epoch_ms(local), none, isnan(share), typeof(seen), typeof(day), typeof(local) FROM api.items";
    let zoned = "TIMESTAMP WITH TIME ZONE";
    assert_eq!(
        rows("application/json", body, keys, sql),
        [["1700000000123", "1700000000000", "2025-12-31", "1782900000000", "NULL", "true", zoned, "DATE", zoned]]
    );
    let wrong = "[resources.items.columns]\nday = { format = \"%d/%m/%Y\" }\n";
    refused("application/json", "[{\"day\":\"1/1/2026\"},{\"day\":\"2026-01-01\"}]", wrong, &["`day`", "row 2"]);
}

#[test]
fn a_column_that_may_not_be_null_says_which_row_is() {
    let keys = "[resources.items.columns]\nname = { nullable = false }\n";
    for body in ["[{\"id\":1,\"name\":\"x\"},{\"id\":2}]", "[{\"id\":1,\"name\":\"x\"},{\"id\":2,\"name\":null}]"] {
        refused("application/json", body, keys, &["`name`", "row 2"]);
    }
    refused("application/json", "[{\"id\":1}]", keys, &["`name`", "row 1"]);
    let found = rows("application/json", "[{\"name\":\"x\"}]", keys, "SELECT name FROM api.items");
    assert_eq!(found, [["x"]]);
}

#[test]
fn json_within_text_unfolds_with_every_digit() {
    let body = json!([
        { "id": 1, "meta": "{\"n\": 12345678901234567890.5, \"tags\": [\"a\", \"b\"], \"at\": \"2026-01-01\"}" },
        { "id": 2, "meta": "not JSON" },
        { "id": 3, "meta": null },
        { "id": 4, "meta": { "n": 1 } }
    ])
    .to_string();
    let keys = "primary_key = \"id\"\n[resources.items.columns]\nmeta = { parse = \"json\" }\n";
    let sql = "SELECT id, meta, meta__n::VARCHAR, meta__at FROM api.items ORDER BY id";
    assert_eq!(
        rows("application/json", body, keys, sql),
        [
            ["1", "NULL", "12345678901234567890.5", "2026-01-01"],
            ["2", "not JSON", "NULL", "NULL"],
            ["3", "NULL", "NULL", "NULL"],
            ["4", "NULL", "1.0", "NULL"]
        ]
    );
    let json = "[resources.items.columns]\nmeta = { type = \"json\", parse = \"json\" }\n";
    let found = rows("application/json", "[{\"meta\":\"{\\\"a\\\": 1.10}\"}]", json, "SELECT meta FROM api.items");
    assert_eq!(found, [["{\"a\": 1.10}"]]);
}

const RECORDINGS: &str = "[resources.talks]\nprimary_key = \"id\"\npaginator = \"single_page\"\n\
    [resources.recordings]\nparent = \"talks\"\npath = \"talks/{{ parent.id }}/recording\"\nformat = \"file\"\n\
    include_from_parent = [\"id\"]\n";

fn talks(request: &Request) -> Reply {
    match request.path.as_str() {
        "/talks" => Reply::json(json!([{ "id": 1 }, { "id": 2 }])),
        "/talks/1/recording" => Reply::new(200, "video/mp4", b"\x1f\x8b\x08 not gzip\0\xff".to_vec())
            .header("Content-Disposition", "attachment; filename=\"../talk one.mp4\"")
            .header("ETag", "\"e1\"")
            .header("Last-Modified", "Wed, 21 Oct 2015 07:28:00 GMT"),
        _ => Reply::new(200, "video/mp4", vec![7; 300_000]).chunked(),
    }
}

#[test]
fn bodies_are_stored_as_files_with_a_row_each() {
    for number in 0..2 {
        let server = Server::start(talks);
        let env = TestEnv::new();
        let warehouse = &env.destinations()[number];
        // The limit is for what is held in memory, and a file is not.
        env.pipeline(&pipeline_with_client(&server, "max_response_bytes = 1000", RECORDINGS));
        for _ in 0..2 {
            env.load_into(warehouse, &[]).expect_code(0);
        }
        let sql = "SELECT talks_id, path, file_name, bytes, sha256, content_type, etag, \
            epoch_ms(last_modified) FROM api.recordings ORDER BY talks_id";
        let found = warehouse.query(sql);
        assert_eq!(found.len(), 2, "{found:?}");
        assert_eq!(found[0][2], "../talk one.mp4");
        assert_eq!(&found[0][5..], ["video/mp4", "\"e1\"", "1445412480000"]);
        assert_eq!((found[1][2].as_str(), found[1][3].as_str()), ("recording", "300000"));
        assert!(found[0][1].starts_with("files/api/recordings/1-talk_one-"), "{}", found[0][1]);
        assert!(found[1][1].ends_with(".mp4"), "{}", found[1][1]);
        for row in &found {
            let content = std::fs::read(env.path(&row[1])).expect("the file of the row");
            assert_eq!(content.len().to_string(), row[3]);
            let hash: String = sha2::Digest::finalize(<sha2::Sha256 as sha2::Digest>::new_with_prefix(&content))
                .iter()
                .map(|byte| format!("{byte:02x}"))
                .collect();
            assert_eq!(hash, row[4]);
        }
        let files = env.bytes_below("files");
        assert_eq!(
            files.len(),
            2,
            "the same content again is the same file: {:?}",
            files.iter().map(|f| &f.0).collect::<Vec<_>>()
        );
    }
}

#[test]
fn the_same_body_of_partitions_whose_names_look_alike_is_a_row_each() {
    for number in 0..2 {
        let server = Server::start(|_: &Request| Reply::new(200, "application/pdf", b"same".to_vec()));
        let env = TestEnv::new();
        let warehouse = &env.destinations()[number];
        let resource = "[resources.docs]\npath = \"docs/{{ partition.value }}/pdf\"\nformat = \"file\"\n\
            partitions = { values = [\"b/c\", \"b:c\", \"b_c\", \"ü\", \"ö\"] }\n";
        env.pipeline(&pipeline(&server, resource));
        for _ in 0..2 {
            env.load_into(warehouse, &[]).expect_code(0);
        }
        assert_eq!(warehouse.query("SELECT count(*), count(DISTINCT url) FROM api.docs"), [["5", "5"]]);
        assert_eq!(env.bytes_below("files").len(), 5);
    }
}

#[test]
fn a_download_that_is_cut_short_leaves_no_half_file() {
    let server = Server::start(|request| match (request.path.as_str(), request.number) {
        ("/talks", _) => Reply::json(json!([{ "id": 2 }])),
        (_, 1) => talks(request).truncated(1000),
        _ => talks(request),
    });
    let env = TestEnv::new();
    env.pipeline(&pipeline(&server, RECORDINGS));
    env.write("files/api/recordings/.partial-1-0", "left by a killed run");
    env.load().expect_code(0);
    assert_eq!(env.warehouse().value("SELECT bytes FROM api.recordings"), "300000");
    assert_eq!(env.bytes_below("files").len(), 1);
    let broken = Server::start(|request| match request.path.as_str() {
        "/talks" => Reply::json(json!([{ "id": 3 }])),
        _ => talks(request).truncated(1000),
    });
    let env = TestEnv::new();
    env.pipeline(&pipeline(&broken, RECORDINGS));
    env.load().expect_code(1).expect_stderr(&["/talks/3/recording", "ended early"]);
    assert_eq!(env.bytes_below("files").len(), 0);
}

#[test]
fn a_missing_file_is_what_response_actions_say() {
    let server = Server::start(|request| match request.path.as_str() {
        "/talks/1/recording" => Reply::status(404),
        _ => talks(request),
    });
    let env = TestEnv::new();
    env.pipeline(&pipeline(
        &server,
        &format!("{RECORDINGS}response_actions = [{{ status = 404, action = \"ignore\" }}]\n"),
    ));
    env.load().expect_code(0);
    assert_eq!(env.warehouse().query("SELECT talks_id FROM api.recordings"), [["2"]]);
    let env = TestEnv::new();
    env.pipeline(&pipeline(&server, &format!("{RECORDINGS}files_path = \"../kept\"\n")));
    env.load().expect_code(1).expect_stderr(&["404"]);
    assert_eq!(env.bytes_below("kept").len(), 1, "the other file is where the pipeline says");
}

#[test]
fn a_replay_stores_the_files_of_the_tape() {
    let server = Server::start(talks);
    let env = TestEnv::new();
    env.pipeline(&pipeline(&server, RECORDINGS));
    env.load_into(&env.warehouse(), &["--record", "tape"]).expect_code(0);
    let files = env.bytes_below("files");
    std::fs::remove_dir_all(env.path("files")).expect("the files go");
    env.load_into(&env.destinations()[0], &["--replay", "tape"]).expect_code(0);
    assert_eq!(env.bytes_below("files").len(), 2);
    for (path, content) in files {
        assert!(std::fs::read(&path).is_ok_and(|again| again == content), "{}", path.display());
    }
}

#[test]
fn keys_that_would_do_nothing_are_refused() {
    for (keys, says) in [
        ("format = \"file\"\ndata_selector = \"x\"\n", "`data_selector` has no meaning"),
        ("format = \"file\"\npaginator = { type = \"offset\" }\n", "has one page"),
        ("format = \"json\"\ncsv = { infer = true }\n", "`csv` has no effect"),
        ("csv = { delimiter = \"ab\" }\n", "not one character"),
        ("csv = { delimiter = \"\\\"\" }\n", "different characters"),
        ("csv = { header = [] }\n", "names no column"),
        ("columns.x = { format = \"epoch\" }\n", "not a format of dates and times"),
        ("columns.x = { timezone = \"Europe/Belin\" }\n", "did you mean `Europe/Berlin`"),
        ("columns.x = { type = \"bigint\", format = \"epoch_s\" }\n", "for dates and times"),
        ("columns.x = { type = \"timestamptz\", format = \"%d/%m/%Y\" }\n", "name no zone"),
        (
            "incremental = { cursor_path = \"m.at\", start_param = \"s\" }\ncolumns.m = { parse = \"json\" }\n",
            "can't be in `m`",
        ),
        ("data_selector = \"$.a[?@.x ==]\"\n", "is not a JSONPath"),
        ("record_columns = []\n", "names no column"),
    ] {
        let env = TestEnv::new();
        env.pipeline(&format!("[client]\nbase_url = \"http://x.invalid/\"\n[resources.items]\n{keys}"));
        env.run(&["check", "api"]).expect_code(2).expect_stderr(&[says, "api.toml:"]);
    }
}
