//! Both kinds of warehouse, seen through DuckDB, as an analyst would.

use duckdb::{AccessMode, Config, Connection};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// Columns that say when and by which load a row came; they differ from run to run.
const LOAD_COLUMNS: [&str; 2] = ["_pintail_load_id", "_pintail_loaded_at"];

/// The tables of a dataset: name, and rows as sorted lines of `column=value`.
pub(crate) type Dump = BTreeMap<String, Vec<String>>;

/// Where a run loads to.
#[derive(Debug, Clone)]
pub(crate) enum Warehouse {
    DuckDb(PathBuf),
    Parquet(PathBuf),
}

impl Warehouse {
    pub(crate) fn duckdb(path: PathBuf) -> Warehouse {
        Warehouse::DuckDb(path)
    }

    pub(crate) fn parquet(dir: PathBuf) -> Warehouse {
        Warehouse::Parquet(dir)
    }

    /// The value of `--destination`.
    pub(crate) fn flag(&self) -> String {
        match self {
            Warehouse::DuckDb(path) => format!("duckdb:{}", path.display()),
            Warehouse::Parquet(dir) => format!("parquet:{}", dir.display()),
        }
    }

    /// Opens it for reading. Parquet tables are views, so that one query reads either.
    pub(crate) fn open(&self) -> Connection {
        match self {
            Warehouse::DuckDb(path) => {
                let config = Config::default().access_mode(AccessMode::ReadOnly).expect("a read-only configuration");
                Connection::open_with_flags(path, config).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
            }
            Warehouse::Parquet(dir) => {
                let connection = Connection::open_in_memory().expect("a database in memory");
                for dataset in folders(dir) {
                    connection.execute_batch(&format!("CREATE SCHEMA \"{dataset}\"")).expect("a schema");
                    for table in folders(&dir.join(&dataset)) {
                        create_view(&connection, dir, &dataset, &table);
                    }
                }
                connection
            }
        }
    }

    /// Asks it. Values come as text, nulls as `NULL`.
    #[track_caller]
    pub(crate) fn query(&self, sql: &str) -> Vec<Vec<String>> {
        rows(&self.open(), sql)
    }

    /// The one value of a query.
    #[track_caller]
    pub(crate) fn value(&self, sql: &str) -> String {
        let found = self.query(sql);
        assert!(found.len() == 1 && found[0].len() == 1, "{sql}: expected one value, found {found:?}");
        found[0][0].clone()
    }

    /// Rows of a table.
    #[track_caller]
    pub(crate) fn count(&self, table: &str) -> u64 {
        self.value(&format!("SELECT count(*) FROM {table}")).parse().expect("a count")
    }

    /// The type of a column, as DuckDB names it.
    #[track_caller]
    pub(crate) fn column_type(&self, table: &str, column: &str) -> String {
        self.value(&format!("SELECT column_type FROM (DESCRIBE SELECT * FROM {table}) WHERE column_name = '{column}'"))
    }

    /// Names of a table's columns, ours too.
    pub(crate) fn column_names(&self, table: &str) -> Vec<String> {
        self.query(&format!("SELECT column_name FROM (DESCRIBE SELECT * FROM {table})")).into_iter().flatten().collect()
    }

    /// Names of a table's columns, without ours.
    pub(crate) fn data_columns(&self, table: &str) -> Vec<String> {
        self.column_names(table).into_iter().filter(|column| !column.starts_with("_pintail")).collect()
    }

    /// Names of the data tables, without the bookkeeping.
    pub(crate) fn tables(&self, dataset: &str) -> Vec<String> {
        let sql = format!(
            "SELECT table_name FROM information_schema.tables WHERE table_schema = '{dataset}' \
             AND NOT starts_with(table_name, '_pintail') ORDER BY table_name"
        );
        self.query(&sql).into_iter().flatten().collect()
    }

    /// All data tables, comparable with those of another run or of the other kind of destination.
    pub(crate) fn dump(&self, dataset: &str) -> Dump {
        let connection = self.open();
        let dump_table = |table: String| {
            let described =
                format!("SELECT column_name FROM (DESCRIBE \"{dataset}\".\"{table}\") ORDER BY column_name");
            let columns: Vec<String> = rows(&connection, &described)
                .into_iter()
                .flatten()
                .filter(|column| !LOAD_COLUMNS.contains(&column.as_str()))
                .collect();
            let list = columns.iter().map(|c| format!("\"{c}\"")).collect::<Vec<_>>().join(", ");
            let mut lines: Vec<String> = rows(&connection, &format!("SELECT {list} FROM \"{dataset}\".\"{table}\""))
                .into_iter()
                .map(|row| columns.iter().zip(row).map(|(c, v)| format!("{c}={v}")).collect::<Vec<_>>().join(" "))
                .collect();
            lines.sort();
            (table, lines)
        };
        self.tables(dataset).into_iter().map(dump_table).collect()
    }
}

/// Requires two dumps to be equal, and shows only where they differ.
#[track_caller]
pub(crate) fn assert_same(actual: &Dump, expected: &Dump, what: &str) {
    let tables = |dump: &Dump| dump.iter().map(|(t, rows)| format!("{t}: {}", rows.len())).collect::<Vec<_>>();
    assert_eq!(tables(actual), tables(expected), "{what}: tables and row counts");
    for (table, rows) in expected {
        let differing = actual[table].iter().zip(rows).find(|(a, b)| a != b);
        assert!(
            differing.is_none(),
            "{what}: `{table}` differs\n  is:        {}\n  should be: {}",
            differing.unwrap().0,
            differing.unwrap().1
        );
    }
}

fn rows(connection: &Connection, sql: &str) -> Vec<Vec<String>> {
    let read = || -> duckdb::Result<Vec<Vec<String>>> {
        let mut statement = connection.prepare(&format!("SELECT COLUMNS(*)::VARCHAR FROM ({sql})"))?;
        let mut found = statement.query([])?;
        let mut out = Vec::new();
        while let Some(row) = found.next()? {
            let width = row.as_ref().column_count();
            let values = (0..width).map(|i| Ok(row.get::<_, Option<String>>(i)?.unwrap_or_else(|| "NULL".to_owned())));
            out.push(values.collect::<duckdb::Result<_>>()?);
        }
        Ok(out)
    };
    read().unwrap_or_else(|e| panic!("{sql}\n{e}"))
}

fn create_view(connection: &Connection, dir: &Path, dataset: &str, table: &str) {
    let glob = dir.join(dataset).join(table).join("*.parquet");
    let sql = format!("CREATE VIEW \"{dataset}\".\"{table}\" AS SELECT * FROM read_parquet('{}')", glob.display());
    connection.execute_batch(&sql).unwrap_or_else(|e| panic!("{sql}\n{e}"));
}

/// Folders of a folder by name, hidden ones left out.
fn folders(dir: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(dir).unwrap_or_else(|e| panic!("{}: {e}", dir.display()));
    let mut names: Vec<String> = entries
        .map(|entry| entry.expect("a readable entry"))
        .filter(|entry| entry.path().is_dir())
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .filter(|name| !name.starts_with('.'))
        .collect();
    names.sort();
    names
}
