//! The same loads into DuckDB and into Parquet give the same tables.

use crate::support::{Api, Server, TestEnv, Warehouse, duck::assert_same, pipeline, pipeline_with_client};
use serde_json::{Value, json};

fn video(id: u64, title: &str, tags: &[&str]) -> Value {
    json!({
        "id": id,
        "title": title,
        "price": id as f64 + 0.25,
        "place": { "city": if id.is_multiple_of(3) { Value::Null } else { json!("Porto") } },
        "tags": tags,
        "segments": (0..id % 4).map(|n| json!({ "n": n, "seen": n % 2 == 0 })).collect::<Vec<_>>(),
        "updated_at": format!("2026-01-02T03:{:02}:{:02}Z", id / 60 % 60, id % 60),
    })
}

fn first() -> Vec<Value> {
    (0..250).map(|id| video(id, "first", &["a", "b"])).collect()
}

/// Some rows change, some are gone, some are new; there is a new field.
fn second() -> Vec<Value> {
    let mut records: Vec<Value> = (200..260).map(|id| video(id, "second", &["c"])).collect();
    records[0]["language"] = json!("pt");
    records
}

/// A disposition, and rows of root and child table after each load.
const DISPOSITIONS: &[(&str, [u64; 2], [u64; 2])] =
    &[("append", [250, 310], [500, 560]), ("replace", [250, 60], [500, 60]), ("merge", [250, 260], [500, 460])];

#[test]
fn every_disposition_gives_the_same_tables_in_both() {
    for (write, row_counts, tag_counts) in DISPOSITIONS {
        let api = Api::new(100);
        let served = api.clone();
        let server = Server::start(move |request| served.reply(request));
        let env = TestEnv::new();
        let key = if *write == "merge" { "primary_key = \"id\"\n" } else { "" };
        env.pipeline(&pipeline(
            &server,
            &format!("[resources.videos]\n{key}write_disposition = \"{write}\"\npaginator = {{ type = \"offset\", limit = 100 }}\n"),
        ));
        for (number, records) in [first(), second()].into_iter().enumerate() {
            api.put("/videos", records);
            let [duckdb, parquet] = env.destinations();
            for warehouse in [&duckdb, &parquet] {
                env.load_into(warehouse, &[]).expect_code(0);
                assert_eq!(warehouse.count("api.videos"), row_counts[number], "{write}, load {number}");
                assert_eq!(warehouse.count("api.videos__tags"), tag_counts[number], "{write}, load {number}: tags");
                let orphans = "SELECT count(*) FROM api.videos__tags c WHERE NOT EXISTS \
                               (SELECT 1 FROM api.videos v WHERE v._pintail_id = c._pintail_parent_id)";
                assert_eq!(warehouse.value(orphans), "0", "{write}, load {number}");
            }
            if key.is_empty() {
                // Without a key, row ids are not the same from one destination to the next: compare what the API sent.
                let sql = "SELECT id, title, price, place__city, updated_at::TIMESTAMP FROM api.videos ORDER BY ALL";
                assert_eq!(duckdb.query(sql), parquet.query(sql), "{write}, load {number}");
            } else {
                assert_same(&parquet.dump("api"), &duckdb.dump("api"), &format!("{write}, load {number}"));
            }
        }
    }
}

#[test]
fn a_record_that_comes_twice_in_one_load_is_merged_into_one_row() {
    let api = Api::new(100);
    let mut records = first();
    records.push(video(7, "the later one", &["z"]));
    api.put("/videos", records);
    let server = Server::start(move |request| api.reply(request));
    let env = TestEnv::new();
    env.pipeline(&pipeline(
        &server,
        "[resources.videos]\nprimary_key = \"id\"\npaginator = { type = \"offset\", limit = 100 }\n",
    ));
    for warehouse in env.destinations() {
        env.load_into(&warehouse, &[]).expect_code(0);
        assert_eq!(warehouse.query("SELECT title FROM api.videos WHERE id = 7"), [["the later one"]]);
        assert_eq!(warehouse.count("api.videos"), 250);
        assert_eq!(warehouse.count("api.videos__tags"), 499);
    }
}

#[test]
fn keys_may_have_several_parts_or_lie_deeper() {
    let api = Api::new(100);
    api.put(
        "/videos",
        [("a", 1), ("a", 2), ("b", 1), ("a", 1)]
            .map(|(team, number)| json!({ "team": { "name": team }, "number": number })),
    );
    let server = Server::start(move |request| api.reply(request));
    let env = TestEnv::new();
    env.pipeline(&pipeline(
        &server,
        "[resources.videos]\nprimary_key = [\"team.name\", \"number\"]\npaginator = \"single_page\"\n",
    ));
    for warehouse in env.destinations() {
        env.load_into(&warehouse, &[]).expect_code(0);
        assert_eq!(warehouse.count("api.videos"), 3);
    }
}

#[test]
fn a_null_key_is_a_named_error() {
    let api = Api::new(100);
    api.put("/videos", [json!({ "id": 1 }), json!({ "id": null, "title": "t" })]);
    let server = Server::start(move |request| api.reply(request));
    let env = TestEnv::new();
    env.pipeline(&pipeline(&server, "[resources.videos]\nprimary_key = \"id\"\npaginator = \"single_page\"\n"));
    for warehouse in env.destinations() {
        env.load_into(&warehouse, &[]).expect_code(1).expect_stderr(&["primary_key", "id"]);
    }
}

#[test]
fn two_pipelines_share_a_warehouse_without_touching_each_other() {
    let api = Api::new(100);
    api.put("/videos", first());
    let server = Server::start(move |request| api.reply(request));
    let env = TestEnv::new();
    let text =
        pipeline(&server, "[resources.videos]\nprimary_key = \"id\"\npaginator = { type = \"offset\", limit = 100 }\n");
    env.pipeline(&text);
    env.write("pipelines/other.toml", &text.replace("\"api\"", "\"other\""));
    for warehouse in env.destinations() {
        let destination = warehouse.flag();
        env.run(&["run", "api", "--destination", &destination]).expect_code(0);
        let before = warehouse.dump("api");
        env.run(&["run", "other", "--destination", &destination]).expect_code(0);
        assert_same(&warehouse.dump("api"), &before, "the first pipeline");
        assert_same(&warehouse.dump("other"), &before, "the second pipeline");
    }
}

/// Records whose page decides on types: one brings a new field, one a text in a column of numbers.
fn uneven() -> Vec<Value> {
    let mut records = first();
    records[130]["language"] = json!("pt");
    records[170]["price"] = json!("on request");
    records
}

#[test]
fn one_request_at_a_time_or_eight_give_the_same_tables() {
    let api = Api::new(10);
    api.put("/videos", uneven());
    for id in 0..250 {
        api.put(&format!("/videos/{id}/views"), (0..id % 3).map(|n| json!({ "n": n, "tags": [id, "x"] })));
    }
    let served = api.clone();
    let server = Server::start(move |request| served.reply(request));
    let env = TestEnv::new();
    for kind in ["duckdb", "parquet"] {
        let dumps = [1, 8].map(|at_a_time| {
            let pages = format!("paginator = {{ type = \"offset\", limit = 10, prefetch = {at_a_time} }}\n");
            let resources = format!(
                "[resources.videos]\n{pages}[resources.views]\nparent = \"videos\"\npath = \"videos/{{{{ parent.id }}}}/views\"\n\
                 include_from_parent = [\"id\"]\n{pages}"
            );
            env.pipeline(&pipeline_with_client(&server, &format!("concurrency = {at_a_time}\n"), &resources));
            let path = env.path(&format!("{kind}-{at_a_time}"));
            let warehouse = if kind == "duckdb" { Warehouse::duckdb(path) } else { Warehouse::parquet(path) };
            let state = format!("state-{kind}-{at_a_time}");
            env.load_into(&warehouse, &["--state-dir", &state]).expect_code(0);
            assert_eq!(warehouse.column_type("api.videos", "price"), "VARCHAR");
            warehouse.dump("api")
        });
        assert_same(&dumps[1], &dumps[0], kind);
    }
}
