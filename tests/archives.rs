//! Bodies that are ZIP archives, and charsets that a file names.

use crate::support::{Outcome, Reply, Request, Server, TestEnv, pipeline, pipeline_with_client};
use std::io::{Cursor, Write};
use zip::ZipWriter;
use zip::write::SimpleFileOptions;

const ITEMS: &str = "[resources.items]\npaginator = \"single_page\"\n";

fn archive(files: &[(&str, &[u8])]) -> Vec<u8> {
    let mut writer = ZipWriter::new(Cursor::new(Vec::new()));
    for (name, content) in files {
        writer.start_file(*name, SimpleFileOptions::default()).expect("in memory");
        writer.write_all(content).expect("in memory");
    }
    writer.finish().expect("in memory").into_inner()
}

fn gzip(text: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(text).expect("in memory");
    encoder.finish().expect("in memory")
}

fn load(content_type: &'static str, body: Vec<u8>, client: &str, keys: &str) -> (TestEnv, Outcome) {
    let server = Server::start(move |_: &Request| Reply::new(200, content_type, body.clone()));
    let env = TestEnv::new();
    env.pipeline(&pipeline_with_client(&server, client, &format!("{ITEMS}{keys}")));
    let outcome = env.load();
    (env, outcome)
}

#[test]
fn every_member_of_an_archive_is_read_in_its_format() {
    let csv = archive(&[("b/1.csv", b"id,n\n1,x\n"), ("empty.csv", b"id,n\n"), ("2.csv", b"n,id\ny,2\nz,3\n")]);
    let jsonl = archive(&[
        ("1.json.gz", &gzip(b"{\"id\":1,\"n\":\"x\"}\n{\"id\":2,\"n\":\"y\"}\n")),
        ("2.json", b"{\"id\":3,\"n\":\"z\"}"),
    ]);
    let json = archive(&[
        ("1", br#"{"data":[{"id":1,"n":"x"}],"cols":7}"#),
        ("2", br#"{"data":[{"id":2,"n":"y"},{"id":3,"n":"z"}]}"#),
    ]);
    let xml = archive(&[
        ("1.xml", b"<r><i><id>1</id><n>x</n></i></r>"),
        ("2.xml", b"<r><i><id>2</id><n>y</n></i><i><id>3</id><n>z</n></i></r>"),
    ]);
    let lists = archive(&[
        ("1.json", br#"{"cols":["id","n"],"rows":[[1,"x"]]}"#),
        ("2.json", br#"{"cols":["n","id"],"rows":[["y",2],["z",3]]}"#),
    ]);
    let cases: &[(&str, &'static str, Vec<u8>, &str)] = &[
        ("by name", "application/zip", csv.clone(), ""),
        ("by format", "application/octet-stream", csv.clone(), "format = \"csv\"\n"),
        ("in gzip too", "application/zip", gzip(&csv), ""),
        ("gzip members", "application/zip", jsonl, "format = \"jsonl\"\n"),
        ("found records", "application/zip", json.clone(), ""),
        ("selected records", "application/zip", json, "data_selector = \"$.data[*]\"\n"),
        ("elements", "application/zip", xml, "data_selector = \"r.i\"\n"),
        ("names of its own", "application/zip", lists, "data_selector = \"rows\"\nrecord_columns = \"cols\"\n"),
    ];
    for (name, content_type, body, keys) in cases {
        let server = {
            let (content_type, body) = (*content_type, body.clone());
            Server::start(move |_: &Request| Reply::new(200, content_type, body.clone()))
        };
        let env = TestEnv::new();
        env.pipeline(&pipeline(&server, &format!("{ITEMS}{keys}")));
        for warehouse in &env.destinations() {
            let outcome = env.load_into(warehouse, &[]).expect_code(0);
            assert_eq!(outcome.resource("items")["records"], 3, "{name}");
            let found = warehouse.query("SELECT id::VARCHAR, n FROM api.items ORDER BY 1");
            assert_eq!(found, [["1", "x"], ["2", "y"], ["3", "z"]], "{name}");
        }
    }
}

#[test]
fn an_archive_without_members_is_an_empty_page() {
    let (_env, outcome) = load("application/zip", archive(&[]), "", "format = \"csv\"\n");
    assert_eq!(outcome.expect_code(0).resource("items")["records"], 0);
}

#[test]
fn archives_that_can_not_be_read_say_why() {
    let good = archive(&[("a.csv", b"id\n1\n")]);
    let mut encrypted = good.clone();
    let directory = good.windows(4).position(|bytes| bytes == b"PK\x01\x02").expect("a directory");
    encrypted[6] |= 1;
    encrypted[directory + 8] |= 1;
    let cut = good[..good.len() - 8].to_vec();
    let ragged = archive(&[("a.csv", b"id\n1\n"), ("b.csv", b"id,n\n1\n")]);
    let bomb = archive(&[("a.csv", &vec![b' '; 3 << 20])]);
    let nested_bomb = archive(&[("a.csv.gz", &gzip(&vec![b' '; 3 << 20]))]);
    let small = "max_response_bytes = \"1 MiB\"\n";
    for (body, client, says) in [
        (encrypted, "", ["encrypted", "a.csv"]),
        (cut, "", ["broken or cut short", "ZIP"]),
        (ragged, "", ["1 cells, 2 columns", "b.csv"]),
        (bomb, small, ["more than `max_response_bytes`", "a.csv"]),
        (nested_bomb, small, ["more than `max_response_bytes`", "a.csv.gz"]),
    ] {
        let (_env, outcome) = load("application/zip", body, client, "");
        outcome.expect_code(1).expect_stderr(&says);
    }
}

#[test]
fn an_archive_that_was_cut_short_is_asked_for_again() {
    let whole = archive(&[("a.csv", b"id\n1\n2\n")]);
    let cut = whole[..whole.len() - 8].to_vec();
    let server = Server::start(move |request: &Request| {
        Reply::new(200, "application/zip", if request.number == 0 { cut.clone() } else { whole.clone() })
    });
    let env = TestEnv::new();
    env.pipeline(&pipeline(&server, ITEMS));
    env.load().expect_code(0);
    assert_eq!((env.warehouse().count("api.items"), server.requests().len()), (2, 2));
}

#[test]
fn a_file_stores_an_archive_as_it_is() {
    let body = archive(&[("a.csv", b"id\n1\n")]);
    let (env, outcome) = load("application/zip", body.clone(), "", "format = \"file\"\n");
    outcome.expect_code(0);
    let path = env.warehouse().value("SELECT path FROM api.items");
    assert_eq!(std::fs::read(env.path(&path)).expect("the file"), body);
}

#[test]
fn an_encoding_wins_over_the_content_type() {
    let json = b"[{\"n\":\"caf\xe9 \x80\"}]".to_vec();
    let csv = b"n\ncaf\xe9 \x80\n".to_vec();
    let xml = b"<?xml version='1.0' encoding='utf-8'?><r><i><n>caf\xe9 \x80</n></i></r>".to_vec();
    let cases: &[(&'static str, Vec<u8>, &str)] = &[
        ("application/json; charset=utf-8", json, ""),
        ("text/csv; charset=utf-8", csv.clone(), ""),
        ("application/x-ndjson", b"{\"n\":\"caf\xe9 \x80\"}\n".to_vec(), ""),
        ("text/xml", xml, "data_selector = \"r.i\"\n"),
        ("application/zip", archive(&[("a.csv", &csv)]), ""),
        ("text/csv", "\u{feff}n\ncafé €\n".as_bytes().to_vec(), ""),
    ];
    for (content_type, body, keys) in cases {
        let (env, outcome) = load(content_type, body.clone(), "", &format!("encoding = \"windows-1252\"\n{keys}"));
        outcome.expect_code(0);
        assert_eq!(env.warehouse().value("SELECT n FROM api.items"), "café €", "{content_type}");
    }
    let (_env, outcome) = load("text/csv", csv, "", "encoding = \"utf-8\"\n");
    outcome.expect_code(1).expect_stderr(&["not UTF-8"]);
    let (_env, outcome) = load("text/csv", Vec::new(), "", "encoding = \"windows-1253x\"\n");
    outcome.expect_code(2).expect_stderr(&["`windows-1253x` is not a charset that is known", "did you mean"]);
}
