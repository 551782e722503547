//! SQL text: names, literals, and the statements that make and change tables.

use crate::load::LoadSpec;
use crate::load::bookkeeping::{OwnTable, row_columns};
use crate::schema::catalog::{Column, Source, Table};
use crate::schema::types::ColumnType;
use chrono::{DateTime, Utc};

/// A name as an identifier.
pub(in crate::load) fn name(text: &str) -> String {
    format!("\"{}\"", text.replace('"', "\"\""))
}

/// Text as a literal.
pub(in crate::load) fn literal(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

/// An instant as a literal. Its offset is written out, so that DuckDB needs no time zone data to read it.
pub(super) fn instant(time: DateTime<Utc>) -> String {
    format!("TIMESTAMPTZ '{}'", time.format("%Y-%m-%d %H:%M:%S%.6f+00"))
}

/// Names joined by commas.
pub(super) fn list<'a>(names: impl IntoIterator<Item = &'a str>) -> String {
    names.into_iter().map(name).collect::<Vec<_>>().join(", ")
}

/// A dataset of a database. All names are written out with the database's own: a file `shop.duckdb` with a dataset `shop`
/// makes anything shorter ambiguous.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Place {
    database: String,
    dataset: String,
}

impl Place {
    pub(super) fn new(database: &str, dataset: &str) -> Self {
        Place { database: database.to_owned(), dataset: dataset.to_owned() }
    }

    /// The dataset, qualified.
    pub(super) fn schema(&self) -> String {
        format!("{}.{}", name(&self.database), name(&self.dataset))
    }

    /// A table of the dataset, qualified.
    pub(super) fn table(&self, table: &str) -> String {
        format!("{}.{}", self.schema(), name(table))
    }
}

/// The statements that make a data table: data columns first, then ours. Table and columns carry comments.
pub(super) fn create_table(place: &Place, table: &Table, spec: &LoadSpec) -> String {
    let target = place.table(&table.name);
    let data = table.columns.iter().map(|c| format!("{} {}", name(&c.name), c.data_type()));
    let own = row_columns(spec.row_kind(table)).map(|(column, data_type, _)| format!("{} {data_type}", name(column)));
    let columns: Vec<String> = data.chain(own).collect();
    let mut sql = format!("CREATE TABLE {target} ({})", columns.join(", "));
    let lists: Vec<String> = table.path.iter().map(|step| step.join(".")).collect();
    let holds = if table.is_root() { "records".to_owned() } else { format!("the lists `{}`", lists.join("`, `")) };
    let comment = format!("{holds} of `{}`, loaded by the pipeline `{}`", spec.resource, spec.pipeline);
    sql += &format!("; COMMENT ON TABLE {target} IS {}", comment_text(&comment));
    for column in &table.columns {
        sql += &data_comment(&target, table, column, spec);
    }
    for (column, _, comment) in row_columns(spec.row_kind(table)) {
        sql += &column_comment(&target, column, comment);
    }
    sql
}

/// The statements that make a bookkeeping table.
pub(super) fn create_own_table(place: &Place, table: &OwnTable) -> String {
    let target = place.table(table.name);
    let columns: Vec<String> = table.columns.iter().map(|c| format!("{} {}", name(c.name), c.data_type)).collect();
    let mut sql = format!("CREATE TABLE {target} ({})", columns.join(", "));
    sql += &format!("; COMMENT ON TABLE {target} IS {}", comment_text(table.comment));
    for column in table.columns {
        sql += &column_comment(&target, column.name, column.comment);
    }
    sql
}

/// A text for a comment. SQL can't hold a zero byte, which a field's name can: it is written as JSON writes it.
fn comment_text(text: &str) -> String {
    literal(&text.replace('\0', "\\u0000"))
}

fn column_comment(target: &str, column: &str, comment: &str) -> String {
    format!("; COMMENT ON COLUMN {target}.{} IS {}", name(column), comment_text(comment))
}

/// What a data column is: as the file describes it, else where it comes from.
fn data_comment(target: &str, table: &Table, column: &Column, spec: &LoadSpec) -> String {
    let described = spec.descriptions.iter().find(|(name, _)| table.is_root() && *name == column.name);
    let comment = match (described, &column.source) {
        (Some((_, description)), _) => description.clone(),
        (None, Source::Field(path)) => format!("`{}` of the API", path.join(".")),
        (None, Source::Value) => "the element of the list".to_owned(),
        (None, Source::Parent(_)) => {
            "brought by the request: of its parent, its partition, or `add_columns`".to_owned()
        }
    };
    column_comment(target, &column.name, &comment)
}

/// The statements that bring a table's comments up to what the file says now.
pub(super) fn describe(place: &Place, table: &Table, spec: &LoadSpec) -> Vec<String> {
    let target = place.table(&table.name);
    let described = table.columns.iter().filter(|c| spec.descriptions.iter().any(|(name, _)| *name == c.name));
    described.map(|c| data_comment(&target, table, c, spec).trim_start_matches("; ").to_owned()).collect()
}

/// The statements that add a column with its comment.
pub(super) fn add_column(place: &Place, table: &Table, column: &str, to: ColumnType, spec: &LoadSpec) -> String {
    let target = place.table(&table.name);
    let mut sql = format!("ALTER TABLE {target} ADD COLUMN {} {to}", name(column));
    if let Some(column) = table.columns.iter().find(|c| c.name == column) {
        sql += &data_comment(&target, table, column, spec);
    }
    sql
}

/// The statement that drops a column.
pub(super) fn drop_column(place: &Place, table: &str, column: &str) -> String {
    format!("ALTER TABLE {} DROP COLUMN {}", place.table(table), name(column))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_literals_cannot_end_early() {
        assert_eq!(name("a\"b"), "\"a\"\"b\"");
        assert_eq!(literal("it's"), "'it''s'");
        assert_eq!(comment_text("a\0b"), "'a\\u0000b'");
        assert_eq!(Place::new("shop", "shop").table("orders"), "\"shop\".\"shop\".\"orders\"");
    }

    #[test]
    fn instants_are_written_in_utc_with_microseconds() {
        let time = DateTime::from_timestamp_micros(1_700_000_000_000_001).unwrap();
        assert_eq!(instant(time), "TIMESTAMPTZ '2023-11-14 22:13:20.000001+00'");
    }
}
