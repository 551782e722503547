//! Who reads while runs load: a Parquet table, and the copy of a DuckDB file, are what they were before a load or what they
//! are after it, and never anything between.

use crate::support::{Api, Server, TestEnv, Warehouse, pipeline};
use duckdb::{AccessMode, Config, Connection};
use serde_json::{Value, json};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

/// Records of each round.
const RECORDS: u64 = 700;
const ROUNDS: u64 = 6;

fn record(id: u64, round: u64) -> Value {
    json!({ "id": id, "round": round, "day": id % 7, "tags": [round, round] })
}

/// A table's rows, its first and its last round, if the files that were listed are all still there.
fn read(connection: &Connection, table: &str, round: &str) -> Option<[i64; 3]> {
    let sql = format!("SELECT count(*), coalesce(min({round}), -1), coalesce(max({round}), -1) FROM {table}");
    let found = connection.query_row(&sql, [], |row| Ok([row.get(0)?, row.get(1)?, row.get(2)?]));
    match found {
        Ok(found) => Some(found),
        Err(error) => {
            let said = error.to_string();
            // Listed in the instant of an exchange: the reader fails, and reads again.
            let gone = ["No such file", "No files found", "removed.parquet"].iter().any(|word| said.contains(word));
            assert!(gone, "{sql}\n{said}");
            None
        }
    }
}

/// Reads over and over until told to stop, and holds each reading against what may be there. Says how often it read.
fn read_until(done: &AtomicBool, mut once: impl FnMut() -> bool) -> usize {
    let mut reads = 0;
    while !done.load(Ordering::Relaxed) {
        reads += usize::from(once());
    }
    reads
}

struct Case {
    api: Api,
    env: TestEnv,
    _server: Server,
}

impl Case {
    fn new(config: &str, resource: &str) -> Case {
        let api = Api::new(200);
        let served = api.clone();
        let server = Server::start(move |request| served.reply(request));
        let env = TestEnv::new();
        env.write("config.toml", config);
        let paging = "paginator = { type = \"offset\", limit = 200 }\n";
        env.pipeline(&pipeline(&server, &format!("[resources.videos]\n{paging}{resource}")));
        Case { api, env, _server: server }
    }

    fn load(&self, round: u64) {
        self.api.put("/videos", (0..RECORDS).map(|id| record(id, round)));
        self.env.run(&["run", "api", "--output", "json"]).expect_code(0);
    }
}

const LAKE: &str = "[destination]\ntype = \"parquet\"\npath = \"lake\"\nfile_rows = 150\nrow_group_rows = 60\n";

#[test]
fn a_parquet_table_is_read_before_a_load_or_after_it_at_any_moment() {
    for (resource, grows) in [
        ("write_disposition = \"replace\"\n", false),
        ("primary_key = \"id\"\n", false),
        ("merge_strategy = \"delete-insert\"\nmerge_key = \"day\"\n", false),
        ("write_disposition = \"append\"\n", true),
    ] {
        let case = Case::new(LAKE, resource);
        case.load(0);
        let done = AtomicBool::new(false);
        let lake = case.env.path("lake/api");
        let read_table = |name: &str, round: &str, rows_of_a_round: i64| {
            let connection = Connection::open_in_memory().expect("a database in memory");
            let table = format!("read_parquet('{}/{name}/*.parquet')", lake.display());
            read_until(&done, || {
                let Some([rows, first, last]) = read(&connection, &table, round) else { return false };
                let is_whole = if grows {
                    first == 0 && rows == (last + 1) * rows_of_a_round
                } else {
                    first == last && rows == rows_of_a_round
                };
                assert!(is_whole, "{resource}: {name} has {rows} rows of the rounds {first} to {last}");
                true
            })
        };
        std::thread::scope(|scope| {
            let readers = [
                scope.spawn(|| read_table("videos", "round", RECORDS as i64)),
                scope.spawn(|| read_table("videos__tags", "value", 2 * RECORDS as i64)),
            ];
            (1..ROUNDS).for_each(|round| case.load(round));
            done.store(true, Ordering::Relaxed);
            for reader in readers {
                assert!(reader.join().expect("no reading was of a part") > 5);
            }
        });
    }
}

/// Rows and row groups of each file of a table, and how they are compressed.
fn files(lake: &Path, table: &str) -> Vec<[String; 4]> {
    let connection = Connection::open_in_memory().expect("a database in memory");
    let sql = format!(
        "SELECT file_name, sum(rows)::BIGINT::VARCHAR, max(rows)::VARCHAR, string_agg(DISTINCT compression, ' ') FROM \
         (SELECT file_name, row_group_id, any_value(row_group_num_rows) AS rows, any_value(compression) AS compression \
          FROM parquet_metadata('{}/{table}/*.parquet') GROUP BY ALL) GROUP BY file_name ORDER BY 1",
        lake.display()
    );
    let mut statement = connection.prepare(&sql).expect("a query");
    let rows = statement.query_map([], |row| Ok([row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?]));
    rows.expect("files").collect::<duckdb::Result<_>>().expect("files")
}

#[test]
fn parquet_files_have_the_size_the_row_groups_and_the_compression_of_the_settings() {
    for (setting, codec) in
        [("", "ZSTD"), ("compression = \"snappy\"\n", "SNAPPY"), ("compression = \"none\"\n", "UNCOMPRESSED")]
    {
        for resource in ["write_disposition = \"append\"\n", "primary_key = \"id\"\n"] {
            let case = Case::new(&format!("{LAKE}{setting}"), resource);
            (0..3).for_each(|round| case.load(round));
            for (table, rows_of_a_round) in [("videos", RECORDS), ("videos__tags", 2 * RECORDS)] {
                let rounds = if resource.contains("append") { 3 } else { 1 };
                let files = files(&case.env.path("lake/api"), table);
                let mut all = 0;
                for [name, rows, largest_group, compression] in &files {
                    let rows: u64 = rows.parse().expect("a count");
                    let largest_group: u64 = largest_group.parse().expect("a count");
                    assert!(rows <= 150 && largest_group <= 60, "{name}: {rows} rows, {largest_group} in a group");
                    assert_eq!(compression, codec, "{name}");
                    all += rows;
                }
                assert_eq!(all, rows_of_a_round * rounds, "{table}");
                // Full files but for the last one of each load.
                assert!(files.len() as u64 <= rounds * (rows_of_a_round / 150 + 1), "{table}: {} files", files.len());
            }
        }
    }
}

#[test]
fn the_published_copy_opens_and_is_complete_at_any_moment() {
    let case = Case::new(
        "[destination]\ntype = \"duckdb\"\npath = \"w.duckdb\"\npublish = \"readers/copy.duckdb\"\n",
        "primary_key = \"id\"\n",
    );
    case.load(0);
    let copy = case.env.path("readers/copy.duckdb");
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let reader = scope.spawn(|| {
            read_until(&done, || {
                let config = Config::default().access_mode(AccessMode::ReadOnly).expect("a read-only configuration");
                let connection = Connection::open_with_flags(&copy, config).expect("a copy that opens");
                // Two tables of one copy are of one load.
                let [rows, first, last] = read(&connection, "api.videos", "round").expect("no file is listed");
                let [tags, first_tag, last_tag] = read(&connection, "api.videos__tags", "value").expect("the same");
                assert_eq!([rows, tags], [RECORDS as i64, 2 * RECORDS as i64]);
                assert!([last, first_tag, last_tag].iter().all(|round| *round == first));
                true
            })
        });
        (1..ROUNDS).for_each(|round| case.load(round));
        done.store(true, Ordering::Relaxed);
        assert!(reader.join().expect("no reading was of a part") > 5);
    });
    assert_eq!(Warehouse::duckdb(copy).value("SELECT max(round) FROM api.videos"), (ROUNDS - 1).to_string());
}
