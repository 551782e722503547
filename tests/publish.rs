//! `publish`: a copy of the DuckDB file for readers, complete at any time.

use crate::support::{Api, Outcome, Server, TestEnv, Warehouse, env::allow, pipeline};
use serde_json::json;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

struct Case {
    api: Api,
    env: TestEnv,
    _server: Server,
}

impl Case {
    fn new() -> Case {
        let api = Api::new(100);
        api.put("/videos", (0..10).map(|id| json!({ "id": id })));
        let served = api.clone();
        let server = Server::start(move |request| served.reply(request));
        let env = TestEnv::new();
        env.write(
            "config.toml",
            "[destination]\ntype = \"duckdb\"\npublish = \"readers/copy.duckdb\"\n[run]\nlock_wait = \"200ms\"\n",
        );
        env.pipeline(&pipeline(&server, "[resources.videos]\nprimary_key = \"id\"\n"));
        Case { api, env, _server: server }
    }

    fn run(&self) -> Outcome {
        self.env.run(&["run", "api", "--output", "json"])
    }

    fn copy(&self) -> Warehouse {
        Warehouse::duckdb(self.env.path("readers/copy.duckdb"))
    }

    /// What lies beside the copy.
    fn beside(&self) -> Vec<String> {
        let entries = fs::read_dir(self.env.path("readers")).expect("the folder of the copy");
        entries.map(|e| e.expect("an entry").file_name().to_string_lossy().into_owned()).collect()
    }
}

#[test]
fn after_each_run_the_copy_is_what_the_warehouse_is_and_a_reader_blocks_nobody() {
    let case = Case::new();
    case.run().expect_code(0);
    assert_eq!(case.copy().dump("api"), case.env.warehouse().dump("api"));
    let reader = case.copy().open();
    case.api.put("/videos", (0..25).map(|id| json!({ "id": id })));
    case.run().expect_code(0);
    let count = |connection: &duckdb::Connection| {
        connection.query_row("SELECT count(*) FROM api.videos", [], |row| row.get::<_, i64>(0)).expect("a count")
    };
    assert_eq!(count(&reader), 10, "who has the old copy open keeps it");
    assert_eq!(count(&case.copy().open()), 25);
    let mode = fs::metadata(case.env.path("readers/copy.duckdb")).expect("the copy").permissions().mode();
    assert_eq!(mode & 0o222, 0, "read-only");
    assert_eq!(case.beside(), ["copy.duckdb"]);
}

#[test]
fn a_run_that_is_killed_before_it_publishes_leaves_no_half_copy_and_the_next_one_makes_up_for_it() {
    for point in ["committed", "resources_ended", "checkpointed", "copy_begun", "copy_written", "copy_placed"] {
        let mut case = Case::new();
        case.run().expect_code(0);
        case.api.put("/videos", (0..25).map(|id| json!({ "id": id })));
        case.env.set("PINTAIL_DIE_AT", point);
        assert_eq!(case.run().status.code(), None, "{point}: killed");
        let rows = case.copy().count("api.videos");
        assert!(rows == if point == "copy_placed" { 25 } else { 10 }, "{point}: {rows} rows in the copy");
        case.env.set("PINTAIL_DIE_AT", "rows_written#99");
        // A run that fails has nothing to add to the copy, but for its own record and what the killed one missed.
        case.api.put("/videos", [json!({ "id": null })]);
        case.run().expect_code(1);
        assert_eq!(case.copy().dump("api"), case.env.warehouse().dump("api"), "{point}");
        assert_eq!(case.copy().count("api.videos"), 25, "{point}");
        assert_eq!(case.beside(), ["copy.duckdb"], "{point}");
    }
}

#[test]
fn a_copy_that_cannot_be_made_fails_the_run_and_says_that_the_load_is_safe() {
    let case = Case::new();
    fs::create_dir_all(case.env.path("readers/copy.duckdb")).expect("a folder in the way");
    let outcome = case.run().expect_code(1).expect_stderr(&["copy.duckdb", "what was loaded is in the warehouse"]);
    let report = outcome.report();
    assert_eq!((&report["status"], &report["resources"]["videos"]["status"]), (&json!("failed"), &json!("completed")));
    assert_eq!(case.env.warehouse().count("api.videos"), 10);
    assert_eq!(case.beside(), ["copy.duckdb"]);
    fs::remove_dir(case.env.path("readers/copy.duckdb")).expect("out of the way");
    case.run().expect_code(0);
    assert_eq!(case.copy().count("api.videos"), 10);
}

#[test]
fn a_copy_may_be_on_another_filesystem() {
    // Where there is none beside the temporary directory, this shows what the others show.
    let other = tempfile::tempdir_in(if Path::new("/dev/shm").is_dir() { "/dev/shm" } else { "/tmp" });
    let other = other.expect("another directory");
    let case = Case::new();
    let target = other.path().join("deeper/copy.duckdb");
    case.env.write("config.toml", &format!("[destination]\ntype = \"duckdb\"\npublish = \"{}\"\n", target.display()));
    for records in [10, 25] {
        case.api.put("/videos", (0..records).map(|id| json!({ "id": id })));
        case.run().expect_code(0);
        assert_eq!(Warehouse::duckdb(target.clone()).dump("api"), case.env.warehouse().dump("api"));
        let beside: Vec<_> = fs::read_dir(other.path().join("deeper")).expect("a folder").collect();
        assert_eq!(beside.len(), 1, "{beside:?}");
    }
}

#[test]
fn a_write_ahead_log_that_someone_left_beside_the_copy_spoils_no_later_one() {
    let case = Case::new();
    case.run().expect_code(0);
    // The superuser may write into what is read-only, and be killed over it.
    fs::write(case.env.path("readers/copy.duckdb.wal"), "not of this copy").expect("a log");
    case.api.put("/videos", (0..25).map(|id| json!({ "id": id })));
    case.run().expect_code(0);
    assert_eq!(case.copy().count("api.videos"), 25);
    assert_eq!(case.beside(), ["copy.duckdb"]);
}

#[test]
fn a_copy_that_may_not_be_written_stays_until_it_may() {
    let mut case = Case::new();
    case.env.drop_privileges();
    case.run().expect_code(0);
    let folder = case.env.path("readers");
    allow(&folder, 0o555);
    case.api.put("/videos", (0..25).map(|id| json!({ "id": id })));
    case.run().expect_code(1).expect_stderr(&["copy.duckdb", "may this user write there?"]);
    assert_eq!((case.copy().count("api.videos"), case.env.warehouse().count("api.videos")), (10, 25));
    allow(&folder, 0o777);
    case.run().expect_code(0);
    assert_eq!(case.copy().count("api.videos"), 25);
}

#[test]
fn another_destination_than_the_files_own_is_not_published() {
    let case = Case::new();
    case.env.run(&["run", "api", "--destination", "duckdb:other.duckdb"]).expect_code(0);
    assert!(!case.env.path("readers").exists());
}

#[test]
fn publish_is_refused_where_it_means_nothing() {
    for (config, texts) in [
        (
            "[destination]\ntype = \"parquet\"\npublish = \"copy\"\n",
            ["config.toml:3:1", "`publish` is for DuckDB files"],
        ),
        (
            "[destination]\ntype = \"duckdb\"\npath = \"a.duckdb\"\npublish = \"a.duckdb\"\n",
            ["config.toml:4:11", "`publish` is the warehouse itself"],
        ),
    ] {
        let case = Case::new();
        case.env.write("config.toml", config);
        case.run().expect_code(2).expect_stderr(&texts);
    }
}
