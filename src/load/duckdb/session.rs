//! Connections, and how they read our batches.

use super::sql;
use crate::error::{Error, Kind, Result};
use crate::load::bookkeeping;
use ::duckdb::Connection;
use ::duckdb::vtab::arrow::{ArrowBatchRegistration, ArrowVTab};
use arrow::array::RecordBatch;
use std::collections::HashMap;
use std::fmt;

/// Name under which a statement reads the batch that it is given: `FROM _pintail_rows(?)`.
const ROWS_FUNCTION: &str = "_pintail_rows";

/// How a statement names the batch that it is given.
pub(super) const ROWS: &str = "_pintail_rows(?)";

/// A connection. Dropping it rolls back what it has not committed.
pub(in crate::load) struct Session(Connection);

impl Session {
    /// The first connection of a database, which makes [`ROWS`] known to all that follow.
    pub(in crate::load) fn first(connection: Connection) -> Result<Self> {
        connection.register_table_function::<ArrowVTab>(ROWS_FUNCTION).map_err(refused)?;
        Ok(Session(connection))
    }

    /// Another connection, with `database` as its own: names that say no database are looked up there.
    pub(super) fn another(&self, database: &str) -> Result<Self> {
        let session = self.0.try_clone().map(Session).map_err(refused)?;
        session.run(&format!("USE {}.main", sql::name(database)))?;
        Ok(session)
    }

    /// The connection itself, for registering functions.
    pub(super) fn connection(&self) -> &Connection {
        &self.0
    }

    /// Runs statements that give no rows, separated by semicolons.
    pub(in crate::load) fn run(&self, sql: &str) -> Result<()> {
        self.0.execute_batch(sql).map_err(refused)
    }

    /// Runs one statement and says how many rows it changed.
    pub(super) fn change(&self, sql: &str) -> Result<u64> {
        self.0.execute(sql, []).map(|changed| changed as u64).map_err(refused)
    }

    /// Runs one statement over a batch and says how many rows it changed.
    pub(super) fn run_over(&self, batch: RecordBatch, sql: &str) -> Result<u64> {
        let rows = ArrowBatchRegistration::new(batch);
        self.0.execute(sql, [&rows]).map(|changed| changed as u64).map_err(refused)
    }

    /// Runs a query and collects its rows.
    pub(in crate::load) fn query(&self, sql: &str) -> Result<Vec<RecordBatch>> {
        let mut statement = self.0.prepare(sql).map_err(refused)?;
        statement.stream_arrow([]).and_then(Iterator::collect).map_err(refused)
    }

    /// How many rows a table or view has; with `current`, how many that are current versions.
    pub(in crate::load) fn count_rows(&self, table: &str, current: bool) -> Result<u64> {
        let condition =
            if current { format!("{} IS NULL", sql::name(bookkeeping::VALID_TO)) } else { "true".to_owned() };
        let query = format!("SELECT CAST(count(*) AS BIGINT) FROM {table} WHERE {condition}");
        self.0.query_row(&query, [], |row| row.get::<_, i64>(0)).map(i64::unsigned_abs).map_err(refused)
    }

    /// The columns of a table and their types; none if there is no such table. DuckDB's own lists of columns would go through
    /// everything that there is, its built-in views too.
    pub(super) fn columns(&self, table: &str) -> Result<HashMap<String, String>> {
        let described = self.0.prepare(&format!("DESCRIBE {table}")).and_then(|mut statement| {
            let row = |row: &::duckdb::Row<'_>| Ok((row.get("column_name")?, row.get("column_type")?));
            statement.query_map([], row)?.collect()
        });
        match described {
            Err(cause) if cause.to_string().contains("Catalog Error") => Ok(HashMap::new()),
            described => described.map_err(refused),
        }
    }

    /// Runs a query over a batch and collects its rows.
    pub(super) fn query_over(&self, batch: RecordBatch, sql: &str) -> Result<Vec<RecordBatch>> {
        let rows = ArrowBatchRegistration::new(batch);
        let mut statement = self.0.prepare(sql).map_err(refused)?;
        statement.stream_arrow([&rows]).and_then(Iterator::collect).map_err(refused)
    }
}

/// The error of a statement that DuckDB refused.
fn refused(cause: ::duckdb::Error) -> Error {
    let said = Message::new(&cause.to_string());
    let disk_full =
        ["No space left on device", "File too large", "Disk quota exceeded"].iter().any(|w| said.text().contains(w));
    let error = Error::new(Kind::Destination, "DuckDB could not do what it was asked").source(said);
    if disk_full { error.hint("make room on the disk and run again: it goes on from the last commit") } else { error }
}

/// What DuckDB said, without the SQL that it shows below its message.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Message(String);

impl Message {
    /// Keeps the message; where DuckDB quotes values in it, they are blanked.
    pub(super) fn new(text: &str) -> Self {
        const QUOTING: [&str; 4] =
            ["Conversion Error", "Constraint Error", "Out of Range Error", "Invalid Input Error"];
        let end = text.find("\n\n").or_else(|| text.find("\nLINE ")).unwrap_or(text.len());
        let text = text[..end].trim_end();
        let quotes = QUOTING.iter().any(|class| text.contains(class));
        Message(if quotes { without_values(text) } else { text.to_owned() })
    }

    /// The text.
    pub(super) fn text(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Message {}

/// Blanks quoted text and numbers.
fn without_values(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut quote = None;
    let mut before = ' ';
    for c in text.chars() {
        match quote {
            Some(open) if c == open => {
                out.push(c);
                quote = None;
            }
            Some(_) => {}
            None if c == '"' || (c == '\'' && !before.is_alphanumeric()) => {
                out.push(c);
                out.push('…');
                quote = Some(c);
            }
            None if c.is_ascii_digit() && !before.is_ascii_alphanumeric() => {
                if before != '…' {
                    out.push('…');
                }
                before = '…';
                continue;
            }
            None => out.push(c),
        }
        before = c;
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_keeps_its_reason_and_loses_sql_and_values() {
        for (said, kept) in [
            (
                "Catalog Error: Table with name t does not exist!\nDid you mean \"u\"?\n\nLINE 1: SELECT 'secret'",
                "Catalog Error: Table with name t does not exist!\nDid you mean \"u\"?",
            ),
            (
                "Conversion Error: Could not convert string 'ann@example.org' to INT64 when casting\nLINE 1: x",
                "Conversion Error: Could not convert string '…' to INT64 when casting",
            ),
            (
                "Out of Range Error: Overflow in addition of INT64 (9223372036854775807 + 1)!",
                "Out of Range Error: Overflow in addition of INT64 (… + …)!",
            ),
            (
                "Constraint Error: Duplicate key \"id: 12\" violates it",
                "Constraint Error: Duplicate key \"…\" violates it",
            ),
        ] {
            assert_eq!(Message::new(said).text(), kept);
        }
    }
}
