//! The warehouse as something on a disk: full disks, places that can't be written, other versions, other machines.

use crate::support::{Api, Server, TestEnv, Warehouse, duck::assert_same, pipeline};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

const VIDEOS: &str = "[resources.videos]\nprimary_key = \"id\"\npaginator = { type = \"offset\", limit = 500 }\n\
    incremental = { cursor_path = \"updated_at\", start_param = \"since\" }\n";

fn video(id: u64) -> Value {
    // Text that no compression makes much of.
    let text: String =
        (0..20).map(|n| format!("{:x}", (id + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15 ^ (n << 7)))).collect();
    json!({ "id": id, "text": text, "tags": [text], "updated_at": format!("2026-01-02T{:02}:{:02}:{:02}Z", id / 3600, id / 60 % 60, id % 60) })
}

fn served(count: u64) -> (Api, Server) {
    let api = Api::new(500);
    api.put("/videos", (0..count).map(video));
    let served = api.clone();
    let server = Server::start(move |request| served.reply(request));
    (api, server)
}

/// Every file below a folder, or the file itself, with its bytes.
fn bytes(path: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    if path.is_dir() {
        let entries = std::fs::read_dir(path).expect("a readable folder");
        entries.flat_map(|e| bytes(&e.expect("a readable entry").path())).collect()
    } else {
        BTreeMap::from([(path.to_owned(), std::fs::read(path).expect("a readable file"))])
    }
}

fn place(warehouse: &Warehouse) -> PathBuf {
    match warehouse {
        Warehouse::DuckDb(path) | Warehouse::Parquet(path) => path.clone(),
    }
}

#[test]
fn a_full_disk_fails_the_run_with_its_reason_and_the_next_one_makes_up_for_it() {
    for number in 0..2 {
        let (api, server) = served(400);
        let mut env = TestEnv::new();
        env.pipeline(&pipeline(&server, VIDEOS));
        let warehouse = env.destinations()[number].clone();
        env.load_into(&warehouse, &[]).expect_code(0);
        let before = warehouse.dump("api");
        api.put("/videos", (0..12_000).map(video));
        env.limit_files(Some(if number == 0 { 3_000 } else { 600 }));
        let outcome = env.load_into(&warehouse, &[]).expect_code(1);
        assert!(outcome.stderr.contains("File too large"), "{}", outcome.transcript());
        assert!(outcome.stderr.contains("disk"), "{}", outcome.transcript());
        env.limit_files(None);
        assert_same(&warehouse.dump("api"), &before, "after the failed run");
        env.load_into(&warehouse, &[]).expect_code(0);

        let calm = TestEnv::new();
        calm.pipeline(&pipeline(&server, VIDEOS));
        let undisturbed = &calm.destinations()[number];
        calm.load_into(undisturbed, &[]).expect_code(0);
        assert_same(&warehouse.dump("api"), &undisturbed.dump("api"), "after a full disk");
    }
}

#[test]
#[cfg(target_os = "linux")]
fn a_place_that_can_not_be_written_is_an_error_and_nothing_is_requested() {
    let (_, server) = served(1);
    let env = TestEnv::new();
    env.pipeline(&pipeline(&server, VIDEOS));
    // Nobody makes files there, also not the superuser.
    for destination in ["duckdb:/proc/warehouse.duckdb", "parquet:/proc/warehouse"] {
        let outcome = env.run(&["run", "api", "--destination", destination]).expect_code(1);
        assert!(outcome.stderr.contains("/proc/"), "{}", outcome.transcript());
    }
    env.write("in-the-way", "");
    for destination in ["duckdb:in-the-way/w.duckdb", "parquet:in-the-way"] {
        env.run(&["run", "api", "--destination", destination]).expect_code(1).expect_stderr(&["in-the-way"]);
    }
    assert!(server.requests().is_empty());
}

#[test]
fn a_warehouse_of_a_newer_version_is_refused_untouched_and_nothing_is_requested() {
    let (_, server) = served(3);
    let env = TestEnv::new();
    env.pipeline(&pipeline(&server, VIDEOS));
    for warehouse in env.destinations() {
        env.load_into(&warehouse, &[]).expect_code(0);
        make_newer(&warehouse);
        let before = bytes(&place(&warehouse));
        server.forget();
        env.load_into(&warehouse, &[]).expect_code(1).expect_stderr(&["newer version of Pintail", "99"]);
        env.load_into(&warehouse, &["--full-refresh"]).expect_code(1);
        assert!(server.requests().is_empty());
        assert!(bytes(&place(&warehouse)) == before, "{warehouse:?} was changed");
    }
}

/// Says in the warehouse that a later version of the program wrote it.
fn make_newer(warehouse: &Warehouse) {
    let newer = "SELECT key, CASE key WHEN 'format_version' THEN '99' ELSE value END AS value FROM";
    match warehouse {
        Warehouse::DuckDb(path) => {
            let connection = duckdb::Connection::open(path).expect("a warehouse");
            let sql = "UPDATE api._pintail_meta SET value = '99' WHERE key = 'format_version'; CHECKPOINT";
            connection.execute_batch(sql).expect("changed");
        }
        Warehouse::Parquet(dir) => {
            let folder = dir.join("api/_pintail_meta");
            let files = bytes(&folder).into_keys().filter(|path| path.extension().is_some_and(|e| e == "parquet"));
            for file in files {
                let draft = folder.with_extension("draft");
                let (from, to) = (file.display(), draft.display());
                let sql = format!("COPY ({newer} read_parquet('{from}')) TO '{to}' (FORMAT parquet)");
                let connection = duckdb::Connection::open_in_memory().expect("a database");
                connection.execute_batch(&sql).expect("a newer file");
                std::fs::rename(&draft, &file).expect("put in place");
            }
        }
    }
}

#[test]
fn the_state_of_another_warehouse_is_noticed_and_not_believed() {
    for number in 0..2 {
        let (api, server) = served(50);
        let env = TestEnv::new();
        env.pipeline(&pipeline(&server, VIDEOS));
        let warehouse = env.destinations()[number].clone();
        let other = Warehouse::duckdb(env.path("other.duckdb"));
        env.load_into(&other, &[]).expect_code(0);
        let of_other = std::fs::read_to_string(env.path("state/api.json")).expect("a state file");
        // The cursor of the other warehouse lies beyond these rows.
        api.put("/videos", (0..20).map(video));
        env.load_into(&warehouse, &[]).expect_code(0).expect_stderr(&["tells of another warehouse"]);
        assert_eq!(warehouse.count("api.videos"), 20);
        let rewritten = std::fs::read_to_string(env.path("state/api.json")).expect("a state file");
        assert_ne!(rewritten, of_other);
    }
}

#[test]
fn a_new_machine_goes_on_with_the_warehouse_alone() {
    for number in 0..2 {
        let (_, server) = served(50);
        let [old, new] = [TestEnv::new(), TestEnv::new()];
        let warehouses = [&old, &new].map(|env| {
            env.pipeline(&pipeline(&server, VIDEOS));
            env.destinations()[number].clone()
        });
        old.load_into(&warehouses[0], &[]).expect_code(0);
        let (from, to) = (place(&warehouses[0]), place(&warehouses[1]));
        for (path, content) in bytes(&from) {
            let target = path
                .strip_prefix(&from)
                .map_or(to.clone(), |rest| if rest.as_os_str().is_empty() { to.clone() } else { to.join(rest) });
            std::fs::create_dir_all(target.parent().expect("a folder")).expect("made");
            std::fs::write(target, content).expect("copied");
        }
        server.forget();
        new.load_into(&warehouses[1], &[]).expect_code(0);
        assert_eq!(server.requests()[0].param("since"), Some("2026-01-02T00:00:49Z"));
        assert_same(&warehouses[1].dump("api"), &warehouses[0].dump("api"), "on the new machine");
    }
}
