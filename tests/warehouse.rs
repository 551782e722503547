//! The warehouse as something on a disk: full disks, places that can't be written, other versions, other machines.

use crate::support::{Api, Server, TestEnv, Warehouse, duck::assert_same, env::allow, pipeline, random::Random};
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

/// Full disks of a destination; more with the environment variable `PINTAIL_FULL_DISKS`.
const FULL_DISK_COUNT: usize = 6;

fn full_disks_at_random_moments(number: usize) {
    let count = std::env::var("PINTAIL_FULL_DISKS").ok().and_then(|n| n.parse().ok()).unwrap_or(FULL_DISK_COUNT);
    let text = format!(
        "{VIDEOS}[resources.log]\npath = \"videos\"\nwrite_disposition = \"append\"\n\
         paginator = {{ type = \"offset\", limit = 500 }}\n\
         incremental = {{ cursor_path = \"updated_at\", start_param = \"since\" }}\n\
         [resources.all]\npath = \"videos\"\nwrite_disposition = \"replace\"\n\
         paginator = {{ type = \"offset\", limit = 500 }}\n"
    );
    let rounds = [1_000, 3_000];
    let (api, server) = served(0);
    let calm = TestEnv::new();
    calm.pipeline(&pipeline(&server, &text));
    let undisturbed = &calm.destinations()[number];
    for rows in rounds {
        api.put("/videos", (0..rows).map(video));
        calm.load_into(undisturbed, &[]).expect_code(0);
    }
    let expected = undisturbed.dump("api");
    let mut random = Random::new(20_260_103 + number as u64);
    let mut failures = 0;
    for disk in 0..count {
        let mut env = TestEnv::new();
        env.pipeline(&pipeline(&server, &text));
        let warehouse = env.destinations()[number].clone();
        for rows in rounds {
            api.put("/videos", (0..rows).map(video));
            let blocks = 40 + random.below(if number == 0 { 12_000 } else { 700 }) as u64;
            env.limit_files(Some(blocks));
            let outcome = env.load_into(&warehouse, &[]);
            match outcome.status.code() {
                Some(0) => {}
                Some(1) => {
                    failures += 1;
                    assert!(outcome.stderr.contains("File too large"), "disk {disk}: {}", outcome.transcript());
                    assert!(!outcome.stderr.contains("panicked"), "disk {disk}: {}", outcome.transcript());
                }
                _ => panic!("disk {disk}, {blocks} blocks: {}", outcome.transcript()),
            }
            env.limit_files(None);
            env.load_into(&warehouse, &[]).expect_code(0);
        }
        assert_same(&warehouse.dump("api"), &expected, &format!("after full disk {disk}"));
    }
    assert!(failures > 0, "some disk was full");
}

#[test]
fn a_disk_that_is_full_at_any_moment_costs_nothing_in_duckdb() {
    full_disks_at_random_moments(0);
}

#[test]
fn a_disk_that_is_full_at_any_moment_costs_nothing_in_parquet() {
    full_disks_at_random_moments(1);
}

#[test]
fn a_warehouse_that_may_only_be_read_is_an_error_and_stays_as_it_is() {
    let (_, server) = served(5);
    let mut env = TestEnv::new();
    env.drop_privileges();
    env.pipeline(&pipeline(&server, VIDEOS));
    // A folder of its own, apart from that of the state.
    std::fs::create_dir(env.path("w")).expect("a folder");
    allow(&env.path("w"), 0o777);
    for warehouse in [Warehouse::duckdb(env.path("w/both.duckdb")), Warehouse::parquet(env.path("w/both-parquet"))] {
        env.load_into(&warehouse, &[]).expect_code(0);
        let place = place(&warehouse);
        let all: Vec<PathBuf> = match &warehouse {
            Warehouse::DuckDb(_) => vec![place.clone()],
            Warehouse::Parquet(_) => folders_of(&place),
        };
        let before = bytes(&place);
        let name = place.file_name().expect("a name").to_string_lossy().into_owned();
        // All of it, or only the folder in which DuckDB has its write-ahead log, and we our next versions.
        for paths in [all.clone(), vec![place.parent().expect("a folder").to_owned()]] {
            if paths.len() == 1 && matches!(warehouse, Warehouse::Parquet(_)) {
                continue;
            }
            paths.iter().for_each(|path| allow(path, if path.is_dir() { 0o555 } else { 0o444 }));
            server.forget();
            let outcome = env.load_into(&warehouse, &[]);
            paths.iter().for_each(|path| allow(path, 0o777));
            let outcome = outcome.expect_code(1);
            assert!(outcome.stderr.contains("ermission denied"), "{}", outcome.transcript());
            assert!(outcome.stderr.contains(&name), "{}", outcome.transcript());
            assert!(server.requests().is_empty(), "{}", outcome.transcript());
            assert!(bytes(&place) == before, "{warehouse:?} was changed");
        }
        env.load_into(&warehouse, &[]).expect_code(0);
    }
}

/// A folder and all folders below it.
fn folders_of(path: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(path).expect("a readable folder").map(|e| e.expect("a readable entry").path());
    entries.filter(|entry| entry.is_dir()).flat_map(|entry| folders_of(&entry)).chain([path.to_owned()]).collect()
}

#[test]
fn a_broken_state_file_is_told_of_and_made_anew_and_decides_nothing() {
    for number in 0..2 {
        let (_, server) = served(5);
        let env = TestEnv::new();
        env.pipeline(&pipeline(&server, VIDEOS));
        let warehouse = env.destinations()[number].clone();
        env.load_into(&warehouse, &[]).expect_code(0);
        let whole = std::fs::read(env.path("state/api.json")).expect("a state file");
        let newer = String::from_utf8_lossy(&whole).replace("\"format_version\": 1", "\"format_version\": 99");
        let other = String::from_utf8_lossy(&whole).replace("00:00:04Z", "23:59:59Z");
        for broken in
            [&b""[..], &whole[..whole.len() / 2], b"\xff\xfe\x00", b"[]", b"null", newer.as_bytes(), other.as_bytes()]
        {
            std::fs::write(env.path("state/api.json"), broken).expect("a broken file");
            server.forget();
            let outcome = env.load_into(&warehouse, &[]).expect_code(0);
            assert!(outcome.stderr.contains("state"), "{}: {}", String::from_utf8_lossy(broken), outcome.transcript());
            assert_eq!(server.requests()[0].param("since"), Some("2026-01-02T00:00:04Z"));
            let after = std::fs::read_to_string(env.path("state/api.json")).expect("a state file");
            assert!(after.contains("00:00:04Z") && after.contains("\"format_version\": 1"), "{after}");
            assert_eq!(warehouse.count("api.videos"), 5);
        }
        // Where nothing can be written the run goes on all the same.
        std::fs::remove_file(env.path("state/api.json")).expect("removed");
        std::fs::create_dir(env.path("state/api.json")).expect("a folder in the way");
        env.load_into(&warehouse, &[]).expect_code(0).expect_stderr(&["state"]);
    }
}

#[test]
fn a_parquet_folder_with_a_broken_journal_is_refused_untouched() {
    let (_, server) = served(5);
    let env = TestEnv::new();
    env.pipeline(&pipeline(&server, VIDEOS));
    let warehouse = env.destinations()[1].clone();
    env.load_into(&warehouse, &[]).expect_code(0);
    for broken in ["", "pintail journal 1\npublish\tab", "pintail journal 2\nend\n", "\u{0}\u{0}"] {
        std::fs::write(env.path("both-parquet/.pintail/api/journal"), broken).expect("a broken journal");
        let before = bytes(&place(&warehouse));
        server.forget();
        env.load_into(&warehouse, &[]).expect_code(1).expect_stderr(&["journal", "both-parquet"]);
        assert!(server.requests().is_empty());
        assert!(bytes(&place(&warehouse)) == before, "{broken:?}: changed");
    }
}

#[test]
fn pipelines_that_load_into_one_warehouse_at_once_wait_for_each_other() {
    let (_, server) = served(2_000);
    for number in 0..2 {
        let env = TestEnv::new();
        env.write("config.toml", "[run]\nlock_wait = \"60s\"\n");
        let text = pipeline(&server, VIDEOS);
        let flag = env.destinations()[number].flag();
        let names = ["one", "two", "three"];
        for name in names {
            env.write(&format!("pipelines/{name}.toml"), &text.replace("\"api\"", &format!("\"{name}\"")));
        }
        let running = names.map(|name| env.start(&["run", name, "--output", "json", "--destination", &flag]));
        for running in running {
            running.wait().expect_code(0);
        }
        let warehouse = &env.destinations()[number];
        let dumps = names.map(|name| warehouse.dump(name));
        assert_eq!(dumps[0]["videos"].len(), 2_000);
        assert!(dumps[0] == dumps[1] && dumps[1] == dumps[2]);
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
