//! The demo's warehouse file: whether it may be replaced, and what is in it after a load.

use crate::error::{Error, Kind, Result};
use duckdb::{AccessMode, Config, Connection};
use std::collections::BTreeSet;
use std::path::Path;

/// A view that says whose file this is. Without it the demo leaves a file alone.
const MARK: &str = "about_this_demo";

/// A table of the warehouse, for people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct TableFacts {
    pub(super) name: String,
    pub(super) rows: u64,
    pub(super) columns: BTreeSet<String>,
}

/// An answer to a query: column names and rows of text.
pub(super) struct Rows {
    pub(super) columns: Vec<String>,
    pub(super) rows: Vec<Vec<String>>,
}

/// Makes a new, marked file in the place of the one that an earlier demo left.
///
/// # Errors
/// There is a file which no demo made, or one that can't be opened or replaced.
pub(super) fn renew(path: &Path) -> Result<()> {
    if path.exists() && !is_marked(path)? {
        return Err(Error::new(Kind::Config, "the demo's file name is taken").with("file", path.display()).hint(
            "`pintail demo` did not make this file and leaves it alone: move it, or run the demo in another directory",
        ));
    }
    for file in [path.to_owned(), path.with_extension("duckdb.wal")] {
        match std::fs::remove_file(&file) {
            Ok(()) => {}
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => {}
            Err(e) => return Err(failed("the file of the last demo can't be removed", &file, e)),
        }
    }
    let sql = format!("CREATE VIEW {MARK} AS SELECT 'Made by `pintail demo`; the next demo replaces it' AS note");
    Connection::open(path)
        .and_then(|connection| connection.execute_batch(&sql))
        .map_err(|e| failed("the demo's file can't be made", path, e))
}

fn is_marked(path: &Path) -> Result<bool> {
    let sql = format!("SELECT count(*) > 0 FROM duckdb_views() WHERE view_name = '{MARK}'");
    open(path)?
        .query_row(&sql, [], |row| row.get(0))
        .map_err(|e| failed("the file of the last demo can't be read", path, e))
}

/// The data tables of a schema by name, children after their parents.
///
/// # Errors
/// The file can't be opened or read.
pub(super) fn tables(path: &Path, schema: &str) -> Result<Vec<TableFacts>> {
    let names = query(
        path,
        &format!(
            "SELECT table_name, string_agg(column_name, ',') FROM information_schema.columns \
             WHERE table_schema = '{schema}' AND table_name NOT LIKE '\\_pintail%' ESCAPE '\\' \
             GROUP BY table_name ORDER BY table_name"
        ),
    )?;
    let connection = open(path)?;
    names
        .rows
        .into_iter()
        .map(|row| {
            let [name, columns] = row.try_into().unwrap_or_default();
            let rows = connection
                .query_row(&format!("SELECT count(*) FROM \"{schema}\".\"{name}\""), [], |row| row.get(0))
                .map_err(|e| failed("a table can't be counted", path, e))?;
            Ok(TableFacts { name, rows, columns: columns.split(',').map(str::to_owned).collect() })
        })
        .collect()
}

/// Asks the file, read-only. Every value comes as text, nulls as an empty one.
///
/// # Errors
/// The file can't be opened, or the query fails.
pub(super) fn query(path: &Path, sql: &str) -> Result<Rows> {
    let connection = open(path)?;
    let read = || -> duckdb::Result<Rows> {
        let mut statement = connection.prepare(&format!("SELECT COLUMNS(*)::VARCHAR FROM ({sql})"))?;
        let mut found = statement.query([])?;
        let mut rows = Vec::new();
        let mut columns = Vec::new();
        while let Some(row) = found.next()? {
            let statement: &duckdb::Statement<'_> = row.as_ref();
            columns = statement.column_names();
            let values = (0..columns.len()).map(|i| Ok(row.get::<_, Option<String>>(i)?.unwrap_or_default()));
            rows.push(values.collect::<duckdb::Result<Vec<String>>>()?);
        }
        Ok(Rows { columns, rows })
    };
    read().map_err(|e| failed("the demo's file can't be queried", path, e).with("query", sql))
}

fn open(path: &Path) -> Result<Connection> {
    Config::default()
        .access_mode(AccessMode::ReadOnly)
        .and_then(|config| Connection::open_with_flags(path, config))
        .map_err(|e| {
            failed("the file can't be opened as a DuckDB database", path, e).hint("is it open in another program?")
        })
}

fn failed(message: &str, path: &Path, cause: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Error {
    Error::new(Kind::Destination, message).with("file", path.display()).source(cause)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_of_an_earlier_demo_is_replaced_and_any_other_is_left_alone() {
        let dir = tempfile::tempdir().expect("a directory");
        let ours = dir.path().join("ours.duckdb");
        renew(&ours).expect("a new file");
        Connection::open(&ours).and_then(|c| c.execute_batch("CREATE TABLE t (a INT)")).expect("writes");
        renew(&ours).expect("replaces its own");
        assert_eq!(query(&ours, "SELECT count(*) AS n FROM duckdb_tables()").expect("reads").rows, [["0"]]);

        let theirs = dir.path().join("theirs.duckdb");
        Connection::open(&theirs).and_then(|c| c.execute_batch("CREATE TABLE t (a INT)")).expect("writes");
        assert_eq!(renew(&theirs).expect_err("refuses").kind(), Kind::Config);

        let text = dir.path().join("text.duckdb");
        std::fs::write(&text, "not a database").expect("writes");
        renew(&text).expect_err("refuses");
        assert_eq!(std::fs::read_to_string(&text).expect("reads"), "not a database");
    }

    #[test]
    fn tables_are_counted_without_the_bookkeeping() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("demo.duckdb");
        let sql = "CREATE SCHEMA s; CREATE TABLE s.a AS SELECT 1 AS x, 2 AS y; CREATE TABLE s.a__b (z INT); \
                   CREATE TABLE s._pintail_loads (q INT)";
        Connection::open(&path).and_then(|c| c.execute_batch(sql)).expect("writes");
        let found = tables(&path, "s").expect("reads");
        let facts: Vec<_> = found.iter().map(|t| (t.name.as_str(), t.rows, t.columns.len())).collect();
        assert_eq!(facts, [("a", 1, 2), ("a__b", 0, 1)]);
    }
}
