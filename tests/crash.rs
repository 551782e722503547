//! Ended at any moment: `kill -9`, SIGTERM, SIGINT. What was committed stays, and a plain re-run makes up for the rest.

use crate::support::{Api, Server, TestEnv, Warehouse, duck::Dump, duck::assert_same, pipeline, random::Random};
use rustix::process::Signal;
use serde_json::{Value, json};
use std::time::{Duration, Instant};

/// Kills of a destination; more with the environment variable `PINTAIL_KILLS`.
const KILL_COUNT: usize = 8;

/// Seed of the moments.
const SEED: u64 = 20_260_102;

const RESOURCES: &str = "[resource_defaults]\nprimary_key = \"id\"\nwrite_disposition = \"merge\"\n\
    paginator = { type = \"offset\", limit = 100 }\n\
    [resources.videos]\nincremental = { cursor_path = \"updated_at\", start_param = \"since\" }\n\
    [resources.views]\nincremental = { cursor_path = \"updated_at\", start_param = \"since\" }\n\
    [resources.log]\nprimary_key = false\nwrite_disposition = \"append\"\n\
    incremental = { cursor_path = \"updated_at\", start_param = \"since\" }\n\
    [resources.plinks]\nprimary_key = false\nwrite_disposition = \"replace\"\n\
    [resources.interactions]\nparent = \"videos\"\npath = \"videos/{{ parent.id }}/interactions\"\n\
    include_from_parent = [\"id\"]\nprimary_key = [\"videos_id\", \"id\"]\n\
    [resources.windows]\npath = \"views\"\n[resources.windows.incremental]\ncursor_path = \"updated_at\"\n\
    start_param = \"since\"\nend_param = \"until\"\ninitial_value = \"2026-01-01T00:00:00Z\"\n\
    end_value = \"2026-01-07T00:00:00Z\"\nwindow = \"1d\"\n\
    [resources.log_windows]\npath = \"log\"\nprimary_key = false\nwrite_disposition = \"append\"\n\
    [resources.log_windows.incremental]\ncursor_path = \"updated_at\"\n\
    start_param = \"since\"\nend_param = \"until\"\ninitial_value = \"2026-01-01T00:00:00Z\"\n\
    end_value = \"2026-01-07T00:00:00Z\"\nwindow = \"1d\"\n\
    [resources.log_shelves]\npath = \"shelves/{{ partition.shelf }}\"\nprimary_key = false\n\
    write_disposition = \"append\"\npartitions = { values = [\"a\", \"b\", \"c\"], name = \"shelf\" }\n\
    include_from_partition = [\"shelf\"]\n\
    incremental = { cursor_path = \"updated_at\", start_param = \"since\" }\n";

fn record(id: u64, round: u64) -> Value {
    json!({
        "id": id,
        "title": format!("record {id} of round {round}"),
        "tags": (0..id % 3).map(|n| format!("t{n} of {round}")).collect::<Vec<_>>(),
        "updated_at": format!("2026-01-{:02}T03:{:02}:{:02}Z", 2 + round, id / 60 % 60, id % 60),
    })
}

/// What the API knows in a round: the second changes some records and adds others.
fn fill(api: &Api, round: u64) {
    let changed = |id: u64| if round == 1 && id.is_multiple_of(5) { record(id, 1) } else { record(id, 0) };
    let grown = |count: u64| if round == 1 { count + 40 } else { count };
    api.put("/videos", (0..grown(220)).map(changed));
    api.put("/views", (0..grown(450)).map(changed));
    api.put("/log", (0..grown(300)).map(|id| record(id, if id < 300 { 0 } else { 1 })));
    api.put("/plinks", (0..grown(150)).map(changed));
    for shelf in ["a", "b", "c"] {
        api.put(&format!("/shelves/{shelf}"), (0..grown(60)).map(|id| record(id, if id < 60 { 0 } else { 1 })));
    }
    for id in 0..grown(220) {
        api.put(&format!("/videos/{id}/interactions"), (0..id % 7).map(changed));
    }
}

/// Serves slowly enough that a run has moments to be killed in.
fn serve(api: &Api, delay: Duration) -> Server {
    let served = api.clone();
    Server::start(move |request| served.reply(request).delayed(delay))
}

/// Tables, without the ids of appended rows that have no key.
fn comparable(warehouse: &Warehouse) -> Dump {
    let mut dump = warehouse.dump("api");
    for (table, rows) in &mut dump {
        if table.starts_with("log") || table.starts_with("plinks") {
            for row in rows.iter_mut() {
                *row = row.split(' ').filter(|cell| !cell.starts_with("_pintail_")).collect::<Vec<_>>().join(" ");
            }
            rows.sort();
        }
    }
    dump
}

/// Requires that what killed runs left behind is gone: files beside the DuckDB file, work in hand of the Parquet folder, and
/// files in its tables that belong to no load.
#[track_caller]
fn assert_nothing_left(env: &TestEnv, warehouse: &Warehouse) {
    let below = |name: &str| env.bytes_below(name).into_iter().map(|(path, _)| path.display().to_string());
    let left: Vec<String> = match warehouse {
        Warehouse::DuckDb(path) => {
            let own = path.display().to_string();
            below("").filter(|path| path.contains("both.duckdb") && *path != own).collect()
        }
        Warehouse::Parquet(_) => below("both-parquet/.pintail/api").collect(),
    };
    assert!(left.is_empty(), "left behind: {left:?}");
}

/// An undisturbed run of each round, how long the second took, and its tables.
fn undisturbed(env: &TestEnv, warehouse: &Warehouse, api: &Api) -> (Duration, Dump) {
    fill(api, 0);
    env.load_into(warehouse, &[]).expect_code(0);
    fill(api, 1);
    let started = Instant::now();
    env.load_into(warehouse, &[]).expect_code(0);
    (started.elapsed(), comparable(warehouse))
}

fn kill_at_random_moments(destination: usize) {
    let kills = std::env::var("PINTAIL_KILLS").ok().and_then(|n| n.parse().ok()).unwrap_or(KILL_COUNT);
    let api = Api::new(50);
    let server = serve(&api, Duration::from_millis(1));
    let calm = TestEnv::new();
    calm.pipeline(&pipeline(&server, RESOURCES));
    let (duration, expected) = undisturbed(&calm, &calm.destinations()[destination], &api);

    let mut moments = Random::new(SEED + destination as u64);
    for number in 0..kills {
        let env = TestEnv::new();
        env.pipeline(&pipeline(&server, RESOURCES));
        let warehouse = &env.destinations()[destination];
        let flag = warehouse.flag();
        for round in 0..2 {
            fill(&api, round);
            // Twice in a row now and then, so that a recovery is killed too.
            for _ in 0..1 + moments.below(2) {
                let moment = Duration::from_micros(moments.below(duration.as_micros() as usize * 11 / 10) as u64);
                let running = env.start(&["run", "api", "--destination", &flag]);
                std::thread::sleep(moment);
                running.kill();
            }
            env.load_into(warehouse, &[]).expect_code(0);
        }
        assert_same(&comparable(warehouse), &expected, &format!("after kill {number} (seed {SEED})"));
        assert_nothing_left(&env, warehouse);
    }
}

#[test]
fn killed_at_random_moments_duckdb_equals_an_undisturbed_run() {
    kill_at_random_moments(0);
}

#[test]
fn killed_at_random_moments_parquet_equals_an_undisturbed_run() {
    kill_at_random_moments(1);
}

/// A pipeline in which every way to meet stored rows takes part.
const STRATEGIES: &str = "[resource_defaults]\nprimary_key = \"id\"\nwrite_disposition = \"merge\"\n\
    paginator = { type = \"offset\", limit = 100 }\n\
    [resources.videos]\nincremental = { cursor_path = \"updated_at\", start_param = \"since\" }\n\
    [resources.history]\npath = \"views\"\nmerge_strategy = \"scd2\"\nretire_absent = true\nhard_delete = \"gone\"\n\
    [resources.first]\npath = \"views\"\nmerge_strategy = \"insert-only\"\n\
    [resources.groups]\npath = \"views\"\nprimary_key = false\nmerge_strategy = \"delete-insert\"\nmerge_key = \"group\"\n\
    [resources.log]\nprimary_key = false\nwrite_disposition = \"append\"\n\
    incremental = { cursor_path = \"updated_at\", start_param = \"since\" }\n\
    [resources.plinks]\nwrite_disposition = \"replace\"\n\
    [resources.shelves]\n\
    [resources.books]\nparent = \"shelves\"\npath = \"shelves/{{ parent.name }}\"\n\
    include_from_parent = [\"id\"]\nprimary_key = [\"shelves_id\", \"id\"]\n\
    incremental = { cursor_path = \"updated_at\", start_param = \"since\" }\n\
    [resources.log_shelves]\npath = \"shelves/{{ partition.shelf }}\"\nprimary_key = false\n\
    write_disposition = \"append\"\npartitions = { values = [\"a\", \"b\", \"c\"], name = \"shelf\" }\n\
    include_from_partition = [\"shelf\"]\n\
    incremental = { cursor_path = \"updated_at\", start_param = \"since\" }\n";

fn grouped(id: u64, round: u64) -> Value {
    let mut record = record(id, if id.is_multiple_of(3) { round } else { 0 });
    record["group"] = json!(id % 4 + round);
    record["gone"] = json!(round > 0 && id.is_multiple_of(7));
    record
}

fn fill_strategies(api: &Api, round: u64) {
    fill(api, round);
    api.put("/views", (round * 10..60 + round * 10).map(|id| grouped(id, round)));
    api.put("/shelves", (0..).zip(["a", "b", "c"]).map(|(id, name)| json!({ "id": id, "name": name })));
}

/// Tables without what differs from run to run: loads, their times, and the ids that follow from a load's.
fn steady(warehouse: &Warehouse) -> Dump {
    let mut dump = comparable(warehouse);
    for (table, rows) in &mut dump {
        if !(table.starts_with("history") || table.starts_with("groups")) {
            continue;
        }
        for row in rows.iter_mut() {
            let past = row.contains("_pintail_valid_to=2");
            let cells = row
                .split(' ')
                .filter(|cell| !cell.contains("_pintail_") && !cell.starts_with(|c: char| c.is_ascii_digit()));
            *row = format!("{} past={past}", cells.collect::<Vec<_>>().join(" "));
        }
        rows.sort();
    }
    dump
}

/// Dies at every point that the program knows, the first and the second time that it is reached, and once more while the
/// next run makes up for it.
fn die_at_every_point(destination: usize) {
    let api = Api::new(100);
    let server = serve(&api, Duration::ZERO);
    let calm = TestEnv::new();
    calm.pipeline(&pipeline(&server, STRATEGIES));
    let undisturbed = &calm.destinations()[destination];
    for round in 0..2 {
        fill_strategies(&api, round);
        calm.load_into(undisturbed, &[]).expect_code(0);
    }
    let expected = steady(undisturbed);

    let mut reached = Vec::new();
    // What the other kind of warehouse has, and a run without a copy for readers, is never reached.
    let absent: &[&str] = match destination {
        0 => &[
            "version_made",
            "versions_made",
            "journal_drafted",
            "journal_written",
            "version_placed",
            "versions_placed",
            "journal_removed",
        ],
        _ => &["file_drafted", "table_changed", "books_kept", "checkpointed"],
    };
    let all = points().into_iter().filter(|p| !absent.contains(&p.as_str()) && !p.starts_with("copy_"));
    let all: Vec<String> = all.collect();
    for point in &all {
        for time in [1, 2] {
            let mut env = TestEnv::new();
            env.pipeline(&pipeline(&server, STRATEGIES));
            let warehouse = env.destinations()[destination].clone();
            let mut died = 0;
            for round in 0..2 {
                fill_strategies(&api, round);
                for point in [format!("{point}#{time}"), format!("{point}#1")] {
                    env.set("PINTAIL_DIE_AT", point);
                    died += usize::from(env.load_into(&warehouse, &[]).status.code().is_none());
                }
                env.set("PINTAIL_DIE_AT", "rows_written#9999");
                env.load_into(&warehouse, &[]).expect_code(0);
            }
            if died > 0 {
                reached.push(point.clone());
            }
            assert_same(&steady(&warehouse), &expected, &format!("killed {died} times at {point}#{time}"));
            assert_nothing_left(&env, &warehouse);
        }
    }
    reached.dedup();
    assert_eq!(reached, all, "each point was died at");
}

/// The points at which the program can be told to die. It lists them when it is told of one that it does not know.
fn points() -> Vec<String> {
    let mut env = TestEnv::new();
    env.set("PINTAIL_DIE_AT", "nowhere");
    let outcome = env.run(&["check", "api"]).expect_code(2);
    let list = outcome.stderr.split_once("points:").expect("a list of points").1.lines().next().expect("a line");
    list.split_whitespace().map(str::to_owned).collect()
}

#[test]
fn killed_at_every_named_point_duckdb_equals_an_undisturbed_run() {
    die_at_every_point(0);
}

#[test]
fn killed_at_every_named_point_parquet_equals_an_undisturbed_run() {
    die_at_every_point(1);
}

#[test]
fn killed_while_the_warehouse_is_made_leaves_one_that_opens_or_none() {
    let api = Api::new(50);
    api.put("/videos", (0..3).map(|id| record(id, 0)));
    let server = serve(&api, Duration::ZERO);
    for destination in 0..2 {
        for step in 0..20 {
            let env = TestEnv::new();
            env.pipeline(&pipeline(&server, "[resources.videos]\nprimary_key = \"id\"\n"));
            let warehouse = &env.destinations()[destination];
            // The first moments of a process, in which the warehouse is made.
            let running = env.start(&["run", "api", "--destination", &warehouse.flag()]);
            std::thread::sleep(Duration::from_micros(step * 1_500));
            running.kill();
            env.load_into(warehouse, &[]).expect_code(0);
            assert_eq!(warehouse.dump("api")["videos"].len(), 3, "step {step}");
        }
    }
}

#[test]
fn a_signal_ends_the_run_soon_with_its_code_and_keeps_what_is_committed() {
    for (signal, code) in [(Signal::INT, 130), (Signal::TERM, 143)] {
        for destination in 0..2 {
            let api = Api::new(50);
            fill(&api, 0);
            // Slow in one resource only: the others are done by then.
            let served = api.clone();
            let server = Server::start(move |request| {
                let slow = request.path == "/views";
                served.reply(request).delayed(Duration::from_millis(if slow { 150 } else { 0 }))
            });
            let env = TestEnv::new();
            env.pipeline(&pipeline(&server, RESOURCES));
            let warehouse = &env.destinations()[destination];
            let running = env.start(&["run", "api", "--output", "json", "--destination", &warehouse.flag()]);
            wait_until("two pages of views are asked for", || server.requests_for("/views").len() >= 2);
            running.signal(signal);
            let started = Instant::now();
            let outcome = running.wait().expect_code(code);
            assert!(started.elapsed() < Duration::from_secs(10), "took {:?} to end", started.elapsed());
            assert_eq!(outcome.report()["status"], "interrupted");

            env.load_into(warehouse, &[]).expect_code(0);
            let calm = TestEnv::new();
            calm.pipeline(&pipeline(&server, RESOURCES));
            let undisturbed = &calm.destinations()[destination];
            calm.load_into(undisturbed, &[]).expect_code(0);
            assert_same(&comparable(warehouse), &comparable(undisturbed), "after a signal");
        }
    }
}

#[test]
fn a_second_signal_ends_at_once() {
    let api = Api::new(50);
    fill(&api, 0);
    let server = serve(&api, Duration::from_secs(20));
    let env = TestEnv::new();
    env.pipeline(&pipeline(&server, RESOURCES));
    let running = env.start(&["run", "api"]);
    wait_until("a request is under way", || !server.requests().is_empty());
    running.signal(Signal::INT);
    std::thread::sleep(Duration::from_millis(200));
    // It may have ended by itself already, which is as good.
    let started = Instant::now();
    let outcome = running.interrupt_and_wait();
    assert!(started.elapsed() < Duration::from_secs(10), "{}", outcome.transcript());
    assert_eq!(outcome.status.code(), Some(130), "{}", outcome.transcript());
}

fn wait_until(what: &str, condition: impl Fn() -> bool) {
    let started = Instant::now();
    while !condition() {
        assert!(started.elapsed() < Duration::from_secs(30), "waited in vain until {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}
