//! The data tables of a pipeline, and how they came about.

use super::{Reader, required, time, whole};
use crate::error::Result;
use crate::load::bookkeeping::{COLUMNS, LOADED_AT, SCHEMA, text};
use crate::load::duckdb::sql;
use chrono::{DateTime, Utc};

/// A data table as it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TableFacts {
    /// Whose table: the resource, or the name that resources share it under.
    pub resource: String,
    /// Table name.
    pub name: String,
    /// Columns with data, without Pintail's own.
    pub columns: u64,
    /// Rows.
    pub rows: u64,
    /// Start of the load that brought the newest of them.
    pub newest_row_at: Option<DateTime<Utc>>,
}

/// A row of `_pintail_schema`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SchemaChange {
    /// When it was committed.
    pub changed_at: DateTime<Utc>,
    /// Table name.
    pub table: String,
    /// `create_table`, `add_column`, `drop_column` or `widen`.
    pub change: String,
    /// The column; none for a new table.
    pub column: Option<String>,
    /// Type before.
    pub old_type: Option<String>,
    /// Type after.
    pub new_type: Option<String>,
}

impl Reader {
    /// The data tables of a pipeline, those of a resource together, parents before children.
    ///
    /// # Errors
    /// The warehouse can't be read.
    pub fn tables(&self, pipeline: &str) -> Result<Vec<TableFacts>> {
        let sql = format!(
            "SELECT resource, table_name, min(table_ordinal) AS place, count(column_name) AS columns FROM {} \
             WHERE pipeline = {} GROUP BY resource, table_name ORDER BY resource, place",
            self.table(COLUMNS.name),
            sql::literal(pipeline),
        );
        let mut tables = self.rows(&sql, |batch, row| {
            Ok(TableFacts {
                resource: required(batch, "resource", row)?,
                name: required(batch, "table_name", row)?,
                columns: whole(batch, "columns", row)?,
                rows: 0,
                newest_row_at: None,
            })
        })?;
        let there = self.table_names()?;
        // A table that never had rows has no files in a Parquet folder.
        for table in tables.iter_mut().filter(|table| there.contains(&table.name)) {
            let sql = format!(
                "SELECT count(*) AS rows, epoch_us(max({})) AS newest FROM {}",
                sql::name(LOADED_AT),
                self.table(&table.name)
            );
            let facts = self.rows(&sql, |batch, row| Ok((whole(batch, "rows", row)?, time(batch, "newest", row)?)))?;
            (table.rows, table.newest_row_at) = facts.into_iter().next().unwrap_or_default();
        }
        Ok(tables)
    }

    /// The last schema changes of a pipeline, newest first, with how many there are in all.
    ///
    /// # Errors
    /// The warehouse can't be read.
    pub fn schema_changes(&self, pipeline: &str, limit: u64) -> Result<(Vec<SchemaChange>, u64)> {
        let (schema, name) = (self.table(SCHEMA.name), sql::literal(pipeline));
        let sql = format!("SELECT count(*) AS changes FROM {schema} WHERE pipeline = {name}");
        let all = self.rows(&sql, |batch, row| whole(batch, "changes", row))?.into_iter().next().unwrap_or_default();
        let sql = format!(
            "SELECT epoch_us(changed_at) AS changed_at, table_name, change, column_name, old_type, new_type FROM {schema} \
             WHERE pipeline = {name} ORDER BY changed_at DESC, table_name, column_name NULLS FIRST LIMIT {limit}"
        );
        let changes = self.rows(&sql, |batch, row| {
            let maybe = |column| Ok::<_, crate::error::Error>(text(batch, column, row)?.map(str::to_owned));
            Ok(SchemaChange {
                changed_at: time(batch, "changed_at", row)?.unwrap_or_default(),
                table: required(batch, "table_name", row)?,
                change: required(batch, "change", row)?,
                column: maybe("column_name")?,
                old_type: maybe("old_type")?,
                new_type: maybe("new_type")?,
            })
        })?;
        Ok((changes, all))
    }
}
