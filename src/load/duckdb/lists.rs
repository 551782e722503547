//! Rows of reading queries, put aside and given page by page.
//!
//! Each list has a connection of its own, with the rows in a temporary table, which DuckDB can move to disk. The query runs in
//! a transaction that can't write to any other table, and DuckDB's own parser says that it only reads.

use super::session::{Message, Session};
use super::sql;
use crate::error::{Error, Kind, Result};
use crate::load::bookkeeping as book;
use crate::load::values::{column_type, json_value};
use crate::load::{List, ListQuery};
use arrow::array::{AsArray, RecordBatch};
use serde_json::Value;
use std::path::Path;

/// The temporary table of a list, in its own connection.
const TABLE: &str = "temp.main._pintail_list";

/// Lists that are open, by number.
#[derive(Default)]
pub(in crate::load) struct Lists {
    open: Vec<OpenList>,
}

struct OpenList {
    session: Session,
    /// What gives each column.
    columns: Vec<Column>,
}

struct Column {
    expression: String,
    /// Whether the values come as JSON text.
    is_json: bool,
}

impl Lists {
    /// Runs a query on a connection. `schema` is the qualified schema in which table names are looked up.
    ///
    /// # Errors
    /// [`Kind::Config`]: the query does something other than reading, or DuckDB refuses it.
    pub(in crate::load) fn open(&mut self, session: Session, schema: &str, query: &ListQuery) -> Result<List> {
        session.run(&format!("USE {schema}"))?;
        if let Some(folder) = search_path(&query.folder) {
            session.run(&format!("SET file_search_path = {}", sql::literal(&folder)))?;
        }
        refuse_writing(&session, &query.sql)?;
        let created = session
            .run("BEGIN TRANSACTION READ ONLY")
            .and_then(|()| session.run(&format!("CREATE TEMP TABLE _pintail_list AS {}", query.sql)))
            .and_then(|()| session.run("COMMIT"));
        created.map_err(refused)?;
        let described = session.query(&format!("SELECT column_name, column_type FROM (DESCRIBE {TABLE})"))?;
        let (mut names, mut columns) = (Vec::new(), Vec::new());
        for batch in &described {
            for row in 0..batch.num_rows() {
                let text = |column: &'static str| {
                    Ok::<_, Error>(book::text(batch, column, row)?.unwrap_or_default().to_owned())
                };
                let name = text("column_name")?;
                columns.push(Column::new(&name, &text("column_type")?));
                names.push(name);
            }
        }
        self.open.push(OpenList { session, columns });
        Ok(List { number: self.open.len() - 1, columns: names })
    }

    /// Rows of a list from a position on.
    ///
    /// # Errors
    /// There is no such list, or DuckDB can't read its rows.
    pub(in crate::load) fn page(&self, list: usize, after: u64, limit: u64) -> Result<Vec<Vec<Value>>> {
        let open = self.open.get(list).ok_or_else(|| Error::new(Kind::Internal, "the list is not open"))?;
        let columns: Vec<&str> = open.columns.iter().map(|c| c.expression.as_str()).collect();
        let rows = open.session.query(&format!(
            "SELECT {} FROM {TABLE} WHERE rowid >= {after} AND rowid < {} ORDER BY rowid",
            columns.join(", "),
            after.saturating_add(limit),
        ))?;
        let mut page = Vec::new();
        for batch in &rows {
            read(batch, &open.columns, &mut page)?;
        }
        Ok(page)
    }
}

impl Column {
    /// What brings a column into a type that a request's value can have.
    fn new(name: &str, data_type: &str) -> Column {
        let column = sql::name(name);
        let cast = |to: &str| format!("CAST({column} AS {to})");
        let is_nested =
            data_type.ends_with(']') || ["STRUCT", "MAP", "UNION", "JSON"].iter().any(|t| data_type.starts_with(t));
        let expression = match data_type {
            _ if is_nested => format!("CAST(to_json({column}) AS VARCHAR)"),
            "TINYINT" | "SMALLINT" | "INTEGER" | "UTINYINT" | "USMALLINT" | "UINTEGER" => cast("BIGINT"),
            "UBIGINT" => cast("HUGEINT"),
            "FLOAT" => cast("DOUBLE"),
            "TIMESTAMP_S" | "TIMESTAMP_MS" | "TIMESTAMP_NS" => cast("TIMESTAMP"),
            "BIGINT" | "HUGEINT" | "DOUBLE" | "BOOLEAN" | "DATE" | "TIMESTAMP" | "TIMESTAMP WITH TIME ZONE" => column,
            _ if data_type.starts_with("DECIMAL") => column,
            _ => cast("VARCHAR"),
        };
        Column { expression, is_json: is_nested }
    }
}

fn read(batch: &RecordBatch, columns: &[Column], page: &mut Vec<Vec<Value>>) -> Result<()> {
    let types = batch.columns().iter().map(|c| column_type(c.data_type())).collect::<Result<Vec<_>>>()?;
    for row in 0..batch.num_rows() {
        let mut values = Vec::with_capacity(columns.len());
        for ((array, data_type), column) in batch.columns().iter().zip(&types).zip(columns) {
            let text =
                array.as_string_opt::<i32>().filter(|text| column.is_json && !arrow::array::Array::is_null(*text, row));
            values.push(match text {
                Some(text) => serde_json::from_str(text.value(row))
                    .map_err(|e| Error::new(Kind::Destination, "DuckDB gave JSON that is none").source(e))?,
                None => json_value(array, row, *data_type),
            });
        }
        page.push(values);
    }
    Ok(())
}

/// The folder for files that a query names, where DuckDB can be told it: commas separate folders there.
fn search_path(folder: &Path) -> Option<String> {
    let folder = std::path::absolute(folder).ok()?.display().to_string();
    (!folder.contains(',')).then_some(folder)
}

/// DuckDB turns statements that only read into JSON, and no others.
fn refuse_writing(session: &Session, query: &str) -> Result<()> {
    let parsed = session.query(&format!("SELECT json_serialize_sql({}) AS parsed", sql::literal(query)))?;
    let parsed = parsed.first().map(|batch| book::text(batch, "parsed", 0)).transpose()?.flatten().unwrap_or_default();
    let parsed: Value = serde_json::from_str(parsed)
        .map_err(|e| Error::new(Kind::Destination, "DuckDB's parse of a query is not JSON").source(e))?;
    if parsed["error"].as_bool() == Some(true) {
        let said = parsed["error_message"].as_str().unwrap_or_default();
        if said.starts_with("Only SELECT statements") {
            return Err(Error::new(Kind::Config, "the query of a partition list may only read")
                .hint("write a SELECT, WITH, FROM or VALUES statement"));
        }
        let kind = parsed["error_type"].as_str().unwrap_or("parser");
        return Err(refused(Message::new(&format!("{kind}: {said}"))));
    }
    if parsed["statements"].as_array().map_or(0, Vec::len) != 1 {
        return Err(Error::new(Kind::Config, "the query of a partition list must be one statement"));
    }
    Ok(())
}

fn refused(cause: impl std::error::Error + Send + Sync + 'static) -> Error {
    Error::new(Kind::Config, "DuckDB refuses the query of a partition list")
        .source(cause)
        .hint("it sees the tables that are committed when it runs: those of earlier runs, and of the resources above in the file")
}

#[cfg(test)]
mod tests {
    use super::super::file;
    use super::*;
    use serde_json::json;

    fn open(sql: &str) -> Result<(Lists, List)> {
        let session = Session::first(file::in_memory()?)?;
        session.run("CREATE SCHEMA api; CREATE TABLE api.keep AS SELECT 1 AS n")?;
        let mut lists = Lists::default();
        let query = ListQuery { dataset: "api".into(), sql: sql.into(), folder: "lists, and more".into() };
        let list = lists.open(session, "memory.api", &query)?;
        Ok((lists, list))
    }

    #[test]
    fn values_have_the_types_that_requests_can_have() {
        for (sql, expected) in [
            ("1::TINYINT", json!(1)),
            ("4000000000::UINTEGER", json!(4_000_000_000_u64)),
            ("9223372036854775807", json!(i64::MAX)),
            ("18446744073709551615::UBIGINT", json!("18446744073709551615")),
            ("170141183460469231731687303715884105727::HUGEINT", json!("170141183460469231731687303715884105727")),
            ("1.5::FLOAT", json!(1.5)),
            ("true", json!(true)),
            ("'00123'", json!("00123")),
            ("NULL", json!(null)),
            ("DATE '2026-01-02'", json!("2026-01-02")),
            ("TIMESTAMP_S '2026-01-02 03:04:05'", json!("2026-01-02T03:04:05")),
            ("'8f7b1c1e-0000-4000-8000-000000000001'::UUID", json!("8f7b1c1e-0000-4000-8000-000000000001")),
            ("[1, 2]", json!([1, 2])),
            ("{'a': 1}", json!({ "a": 1 })),
        ] {
            let (lists, list) = open(&format!("SELECT {sql} AS v")).unwrap();
            assert_eq!(list.columns, ["v"]);
            assert_eq!(lists.page(list.number, 0, 10).unwrap(), [[expected]], "{sql}");
        }
    }

    #[test]
    fn pages_follow_each_other_and_tables_of_the_dataset_need_no_schema() {
        let (lists, list) =
            open("WITH r AS (SELECT range AS i FROM range(7)) SELECT i, n FROM r, keep ORDER BY i;").unwrap();
        let pages: Vec<usize> = [0, 3, 6, 9].iter().map(|at| lists.page(list.number, *at, 3).unwrap().len()).collect();
        assert_eq!(pages, [3, 3, 1, 0]);
        assert_eq!(lists.page(list.number, 6, 3).unwrap(), [[json!(6), json!(1)]]);
    }

    #[test]
    fn a_query_that_writes_or_is_wrong_is_a_mistake_of_the_configuration() {
        for sql in
            ["DROP TABLE keep", "INSERT INTO keep VALUES (2)", "SELECT 1; SELECT 2", "", "SELECT", "FROM nowhere"]
        {
            let error = open(sql).map(|_| ()).unwrap_err();
            assert_eq!(error.kind(), Kind::Config, "{sql}: {error}");
        }
    }
}
