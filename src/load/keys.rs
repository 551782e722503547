//! Whether the ids of stored rows follow from the primary key. Rows that were appended have ids from their content: a merge
//! would not find them, and store each record beside them once more.

use super::ParentPage;
use crate::batch::key::id_of_values;
use crate::error::{Error, Kind, Result};
use crate::schema::catalog::{Column, Source, Table};
use crate::schema::temporal::{self, Temporal};
use serde_json::Value;

/// Rows that are looked at.
pub const SAMPLE_ROWS: usize = 100;

/// The columns of a key, in its order; none where the table has none yet.
pub type KeyColumns<'t> = Vec<Option<&'t Column>>;

/// The columns of a key, if what they hold gives back what ids follow from: not if a declared type or several forms of times
/// have changed how values are written.
pub fn key_columns<'t>(root: &'t Table, key: &[Source]) -> Option<KeyColumns<'t>> {
    let columns: KeyColumns<'t> = key.iter().map(|source| root.columns.iter().find(|c| c.source == *source)).collect();
    let is_exact = |column: &&Column| column.declared.is_none() && !column.observed.has_several_forms();
    (!columns.is_empty() && columns.iter().flatten().all(is_exact)).then_some(columns)
}

/// Refuses to merge into rows whose ids follow from something else than this key. `rows` are some of the table's, with the
/// values of those of `columns` that there are.
///
/// # Errors
/// Most of them have other ids than the key gives.
pub fn check_ids(table: &str, resource: &str, columns: &KeyColumns<'_>, rows: &ParentPage) -> Result<()> {
    let differs = |(id, values): &&(super::RowId, Vec<Value>)| {
        let mut values = values.iter();
        let key: Vec<Value> =
            columns.iter().map(|c| c.and_then(|c| Some(as_written(values.next()?, c))).unwrap_or_default()).collect();
        id_of_values(key.iter()) != Some(*id)
    };
    if rows.iter().filter(differs).count() * 2 <= rows.len() {
        return Ok(());
    }
    Err(Error::new(Kind::Destination, "the rows of the table have other ids than `primary_key` gives: a merge would not find them")
        .with("table", table)
        .hint(format!(
            "they were appended, or had another key; `--full-refresh --resource {resource}` makes the table anew, or change the \
             file back; nothing was changed"
        )))
}

/// A value as the records had it: times in their own form.
fn as_written(value: &Value, column: &Column) -> Value {
    let form = column.observed.text_form();
    let parsed = value.as_str().and_then(|text| temporal::parse(text.as_bytes()));
    match (parsed, form.local, form.zoned) {
        (Some(Temporal::Local(micros, _)), Some(form), _) | (Some(Temporal::Zoned(micros, _)), _, Some(form)) => {
            temporal::format_form(micros, form).into()
        }
        _ => value.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schema::types::{ColumnType, Observed};
    use serde_json::json;

    fn column(name: &str, observed: &str, declared: Option<ColumnType>) -> Column {
        Column {
            source: Source::Field(vec![name.to_owned()]),
            name: name.to_owned(),
            observed: observed.parse::<Observed>().unwrap(),
            declared,
        }
    }

    fn root(columns: Vec<Column>) -> Table {
        Table { path: Vec::new(), name: "t".into(), columns }
    }

    fn key(names: &[&str]) -> Vec<Source> {
        names.iter().map(|name| Source::Field(vec![(*name).to_owned()])).collect()
    }

    #[test]
    fn rows_whose_ids_follow_from_their_key_are_merged_into_and_others_are_not() {
        let root = root(vec![column("id", "number(i64,whole,exact,4,0)", None), column("name", "text", None)]);
        let of_key = |values: &[Value]| (id_of_values(values.iter()).unwrap(), values.to_vec());
        let by_id = vec![of_key(&[json!(5)]), of_key(&[json!(6)])];
        let fits = |names: &[&str], rows: &ParentPage| {
            check_ids("t", "r", &key_columns(&root, &key(names)).unwrap(), rows).is_ok()
        };
        assert!(fits(&["id"], &by_id) && fits(&["id"], &Vec::new()));
        assert!(fits(&["id"], &vec![of_key(&[json!("5")])]), "5 and \"5\" are one key");
        assert!(fits(&["id", "name"], &vec![of_key(&[json!(5), json!("a")])]));
        assert!(!fits(&["name"], &vec![(1, vec![json!("a")])]), "an id from content");
        assert!(!fits(&["id", "new"], &by_id), "a key field that no row has");
    }

    #[test]
    fn times_are_compared_as_they_were_written() {
        let written = "2026-01-31T08:00:00+00:00";
        let observed = Observed::of_text(written.as_bytes()).to_string();
        let root = root(vec![column("at", &observed, None)]);
        let id = id_of_values([json!(written)].iter()).unwrap();
        let columns = key_columns(&root, &key(&["at"])).unwrap();
        assert!(check_ids("t", "r", &columns, &vec![(id, vec![json!("2026-01-31T08:00:00Z")])]).is_ok());
    }

    #[test]
    fn nothing_is_said_of_values_that_may_have_changed_their_text() {
        for column in [column("id", "text", Some(ColumnType::Varchar)), column("id", "date local(mixed)", None)] {
            assert!(key_columns(&root(vec![column]), &key(&["id"])).is_none());
        }
        assert!(key_columns(&root(Vec::new()), &[]).is_none());
    }
}
