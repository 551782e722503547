//! The books of a load: received = loaded + left out by a rule with a name. Held against every report that a test makes the
//! program print, and against the warehouse after every load.

use super::Warehouse;
use duckdb::{AccessMode, Config, Connection};
use serde_json::Value;

/// Requires that every resource of the reports on stdout, one a line, accounts for what it received. What other commands
/// print of resources is no report of a run: it tells no end.
#[track_caller]
pub(crate) fn check_reports(stdout: &str, transcript: impl Fn() -> String) {
    let printed = stdout.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    for report in printed.filter(|printed| printed.get("finished_at").is_some()) {
        for (name, resource) in report["resources"].as_object().into_iter().flatten() {
            if resource["stored"] == false {
                continue;
            }
            let accounted = loaded(&resource["rows"]) + sum(&resource["discarded"]);
            assert_eq!(resource["records"].as_u64(), Some(accounted), "records of `{name}` vanish\n{}", transcript());
        }
    }
}

/// Requires that every load in the warehouse accounts for what it received. A warehouse that can't be read, because there is
/// none or the test holds it, is left alone.
#[track_caller]
pub(crate) fn check_warehouse(warehouse: &Warehouse, transcript: impl Fn() -> String) {
    for [load, records, rows, discarded] in loads(warehouse).unwrap_or_default() {
        let parse = |text: &str| serde_json::from_str::<Value>(text).expect("JSON in _pintail_loads");
        let accounted = loaded(&parse(&rows)) + sum(&parse(&discarded));
        assert_eq!(records, accounted.to_string(), "records of {load} vanish\n{}", transcript());
    }
}

/// Rows of the record table: the names of the others begin with its name.
fn loaded(rows: &Value) -> u64 {
    let tables = rows.as_object().into_iter().flatten();
    tables.min_by_key(|(table, _)| table.len()).and_then(|(_, rows)| rows.as_u64()).unwrap_or(0)
}

fn sum(counts: &Value) -> u64 {
    counts.as_object().into_iter().flatten().filter_map(|(_, count)| count.as_u64()).sum()
}

/// All loads: which, records, rows, discarded.
fn loads(warehouse: &Warehouse) -> duckdb::Result<Vec<[String; 4]>> {
    let (connection, tables) = match warehouse {
        Warehouse::DuckDb(path) => {
            let connection = Connection::open_with_flags(path, Config::default().access_mode(AccessMode::ReadOnly)?)?;
            let sql = "SELECT concat('\"', schema_name, '\"._pintail_loads') FROM duckdb_tables() WHERE table_name = '_pintail_loads'";
            let found = connection.prepare(sql)?.query_map([], |row| row.get(0))?.collect::<duckdb::Result<_>>()?;
            (connection, found)
        }
        Warehouse::Parquet(dir) => {
            let files = dir.join("*/_pintail_loads/*.parquet");
            (Connection::open_in_memory()?, vec![format!("read_parquet('{}')", files.display())])
        }
    };
    let mut loads = Vec::new();
    for table in tables {
        let sql = format!(
            "SELECT concat_ws(' ', load_id, pipeline, resource, status), records::VARCHAR, rows::VARCHAR, \
             discarded::VARCHAR FROM {table}"
        );
        let mut statement = connection.prepare(&sql)?;
        let rows = statement.query_map([], |row| Ok([row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?]))?;
        loads.extend(rows.collect::<duckdb::Result<Vec<_>>>()?);
    }
    Ok(loads)
}
