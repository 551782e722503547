//! `pintail demo`: the first thing that a newcomer runs.

use crate::support::{TestEnv, Warehouse};
use rustix::process::Signal;
use std::time::{Duration, Instant};

#[test]
fn it_loads_twice_and_shows_tables_query_and_what_to_do_next() {
    let env = TestEnv::new();
    let started = Instant::now();
    let outcome = env.run(&["demo"]).expect_code(0);
    assert!(started.elapsed() < Duration::from_secs(60), "took {:?}", started.elapsed());
    for text in ["FIRST LOAD", "SECOND LOAD", "mindstamp.videos", "demo.duckdb", "SELECT", "mindstamp.toml", "check"] {
        assert!(outcome.stdout.contains(text), "no `{text}`\n{}", outcome.transcript());
    }
    let wide: Vec<&str> = outcome.stdout.lines().filter(|line| line.chars().count() > 100).collect();
    assert!(wide.is_empty(), "{wide:?}");

    let warehouse = Warehouse::duckdb(env.path("demo.duckdb"));
    let counts = [("videos", 6), ("viewers", 13), ("views", 133), ("interactions", 255), ("plinks", 8), ("user", 1)];
    for (table, count) in counts {
        assert_eq!(warehouse.count(&format!("mindstamp.{table}")), count, "{table}");
    }
    assert_eq!(warehouse.value("SELECT count(*) FROM mindstamp.videos WHERE title LIKE '%2nd edition%'"), "2");
    assert_eq!(warehouse.value("SELECT count(DISTINCT id) FROM mindstamp.view_interactions"), "255");
    let second = "SELECT arg_max(records, load_id) FROM mindstamp._pintail_loads WHERE resource = 'videos'";
    assert!(warehouse.value(second).parse::<u64>().expect("a count") <= 3, "the second load asks for changes only");
}

#[test]
fn it_replaces_its_own_file_and_no_other() {
    let env = TestEnv::new();
    env.run(&["demo"]).expect_code(0);
    env.run(&["demo"]).expect_code(0);
    std::fs::remove_file(env.path("demo.duckdb")).expect("removable");
    env.write("demo.duckdb", "somebody's notes");
    env.run(&["demo"]).expect_stderr(&["demo.duckdb"]);
    assert_eq!(std::fs::read_to_string(env.path("demo.duckdb")).expect("readable"), "somebody's notes");
}

#[test]
fn the_sample_api_ends_at_a_sigterm_too() {
    let env = TestEnv::new();
    let serving = env.start(&["demo", "--serve"]);
    let started = Instant::now();
    while !serving.printed().contains("stays up until Ctrl-C") {
        assert!(started.elapsed() < Duration::from_secs(60), "{}", serving.kill().transcript());
        std::thread::sleep(Duration::from_millis(20));
    }
    serving.signal(Signal::TERM);
    serving.wait().expect_code(0);
}
