//! The tables of a Parquet folder as views of a DuckDB in memory, for reading queries.

use super::files;
use super::layout::Layout;
use super::rows;
use crate::error::Result;
use crate::load::bookkeeping::VALID_TO;
use crate::load::duckdb::file;
use crate::load::duckdb::session::Session;
use crate::load::duckdb::sql;
use std::path::Path;

/// The schema of a dataset.
pub(super) fn schema(dataset: &str) -> String {
    format!("memory.{}", sql::name(dataset))
}

/// A connection that sees every dataset of the folder as a schema, and its tables as views: all files of a
/// table have the same columns. Tables without rows have no files
/// that could tell their columns, and are left out.
pub(super) fn session(layout: &Layout) -> Result<Session> {
    let session = Session::first(file::in_memory()?)?;
    for dataset in folders(layout.root())? {
        session.run(&format!("CREATE SCHEMA IF NOT EXISTS {}", schema(&dataset)))?;
        let place = layout.dataset(&dataset);
        for table in folders(&place.live)? {
            if place.row_files(&table)?.is_empty() {
                continue;
            }
            let files = place.table(&table).join("*.parquet");
            session.run(&format!(
                "CREATE VIEW {}.{} AS SELECT * FROM read_parquet({})",
                schema(&dataset),
                sql::name(&table),
                sql::literal(&files.display().to_string()),
            ))?;
        }
    }
    Ok(session)
}

/// How many rows a root table has; of a table with versions, how many are current.
pub(super) fn row_count(layout: &Layout, dataset: &str, table: &str) -> Result<u64> {
    let Some(file) = layout.dataset(dataset).row_files(table)?.into_iter().next() else { return Ok(0) };
    let has_versions = rows::reader(&file)?.schema().field_with_name(VALID_TO).is_ok();
    let table = format!("{}.{}", schema(dataset), sql::name(table));
    session(layout)?.count_rows(&table, has_versions)
}

/// Names of the folders in a folder, ours left out.
fn folders(folder: &Path) -> Result<Vec<String>> {
    let mut names = Vec::new();
    for path in files::entries(folder)? {
        let name = path.file_name().and_then(|name| name.to_str()).filter(|name| !name.starts_with('.'));
        if let Some(name) = name.filter(|_| path.is_dir()) {
            names.push(name.to_owned());
        }
    }
    Ok(names)
}
