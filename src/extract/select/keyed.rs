//! Records that are members of an object: the name of each becomes a column of it (`key_column`).

use super::Selection;
use crate::error::{Error, Kind, Result};
use crate::extract::raw::{self, Shape};
use crate::extract::record_columns::Namer;
use crate::plan::model::Step;
use bytes::Bytes;

/// The records of the objects that a selector found, in their order. `steps` are the selector's: only where it says so are
/// the objects looked for in a list.
///
/// # Errors
/// There is no object, or a record has a field of the column's name.
pub(super) fn records(
    selection: &Selection,
    steps: &[Step],
    column: &str,
    mut namer: Option<&mut Namer<'_>>,
) -> Result<Vec<Bytes>> {
    let takes_elements = steps.last() == Some(&Step::Every);
    let mut records = Vec::new();
    for part in &selection.records {
        let objects = match Shape::of(part) {
            Shape::List if takes_elements => raw::elements(part)?,
            _ => vec![part.clone()],
        };
        for object in &objects {
            match Shape::of(object) {
                Shape::Object => {}
                Shape::Null => continue,
                shape => return Err(no_object(shape)),
            }
            for (name, value) in raw::members(object)? {
                push(&mut records, column, &name, &value, namer.as_deref_mut())?;
            }
        }
    }
    Ok(records)
}

/// Adds the records of one member: itself, or the elements of a list.
fn push(
    records: &mut Vec<Bytes>,
    column: &str,
    name: &str,
    value: &Bytes,
    mut namer: Option<&mut Namer<'_>>,
) -> Result<()> {
    let is_list_of_records =
        Shape::of(value) == Shape::List && !namer.as_ref().is_some_and(|namer| namer.takes_lists());
    let values = if is_list_of_records { raw::elements(value)? } else { vec![value.clone()] };
    for value in &values {
        let value = match namer.as_deref_mut() {
            Some(namer) => namer.record(value)?,
            None => value.clone(),
        };
        records.push(with_name(column, name, &value)?);
    }
    Ok(())
}

/// A record with its name. One that is no object is the field `value`, as it is without a name; null has no fields.
fn with_name(column: &str, name: &str, value: &Bytes) -> Result<Bytes> {
    let fault = |cause| Error::new(Kind::Internal, "a name can't be written as JSON").source(cause);
    let mut out = b"{".to_vec();
    serde_json::to_writer(&mut out, column).map_err(fault)?;
    out.push(b':');
    serde_json::to_writer(&mut out, name).map_err(fault)?;
    match Shape::of(value) {
        Shape::Null => out.push(b'}'),
        Shape::Object => {
            let members = raw::members(value)?;
            if members.iter().any(|(field, _)| field == column) {
                return Err(Error::new(Kind::Body, format!("a record has a field `{column}` of its own"))
                    .with("at", format!("the record `{name}`"))
                    .hint("give `key_column` another name"));
            }
            if !members.is_empty() {
                out.push(b',');
            }
            out.extend_from_slice(&value[1..]);
        }
        Shape::Boolean | Shape::Number | Shape::Text | Shape::List => {
            if column == "value" {
                return Err(Error::new(Kind::Body, "records that are no objects are a field `value` themselves")
                    .with("at", format!("the record `{name}`"))
                    .hint("give `key_column` another name"));
            }
            out.extend_from_slice(b",\"value\":");
            out.extend_from_slice(value);
            out.push(b'}');
        }
    }
    Ok(out.into())
}

fn no_object(shape: Shape) -> Error {
    Error::new(Kind::Body, format!("`key_column` needs an object of records, and there is {shape}"))
        .hint("`data_selector` says where the object is, as in `rates` or `$.rates[*]`")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::extract::envelope::tests::envelope;
    use crate::extract::select::{select, tests::steps};
    use crate::plan::model::{ColumnNames, RecordColumns};

    fn named(body: &str, at: &str, columns: Option<&RecordColumns>) -> Result<String> {
        let envelope = envelope(body);
        let steps = steps(at);
        let selection = select(envelope.root().unwrap(), &steps, false)?;
        let mut namer = columns.map(|columns| Namer::new(columns, &envelope));
        let records = records(&selection, &steps, "day", namer.as_mut())?;
        Ok(String::from_utf8(super::super::join_records(&records).to_vec()).unwrap())
    }

    #[test]
    fn members_become_records_with_their_names() {
        for (body, at, expected) in [
            (r#"{"r":{"d1":{"a":1.10},"d2":{ }}}"#, "r", r#"[{"day":"d1","a":1.10},{"day":"d2" }]"#),
            (r#"{"r":{"a\"b":7,"d2":null}}"#, "r", r#"[{"day":"a\"b","value":7},{"day":"d2"}]"#),
            (r#"{"r":{"d1":[{"a":1},{"a":2}],"d2":[]}}"#, "r", r#"[{"day":"d1","a":1},{"day":"d1","a":2}]"#),
            (r#"{"d1":{"a":1}}"#, "", r#"[{"day":"d1","a":1}]"#),
            (r#"{"g":[{"d1":{"a":1}},{"d2":{"a":2}}]}"#, "g.*", r#"[{"day":"d1","a":1},{"day":"d2","a":2}]"#),
            (r#"{"r":{}}"#, "r", "[]"),
        ] {
            assert_eq!(named(body, at, None).unwrap(), expected, "{body}");
        }
    }

    #[test]
    fn records_that_are_lists_get_both_kinds_of_names() {
        let columns = RecordColumns::Records(ColumnNames::Listed(vec!["open".into(), "close".into()]));
        let body = r#"{"r":{"d1":[1,2],"d2":[3,4]}}"#;
        let expected = r#"[{"day":"d1","open":1,"close":2},{"day":"d2","open":3,"close":4}]"#;
        assert_eq!(named(body, "r", Some(&columns)).unwrap(), expected);
    }

    #[test]
    fn what_is_no_object_of_records_is_an_error() {
        for (body, at, says) in [
            (r#"{"r":[{"a":1}]}"#, "r", "there is a list"),
            (r#"{"r":7}"#, "r", "there is a number"),
            (r#"{"g":[7]}"#, "g.*", "there is a number"),
            (r#"{"r":{"d1":{"day":1}}}"#, "r", "a field `day` of its own"),
        ] {
            assert!(named(body, at, None).unwrap_err().message().contains(says), "{body}");
        }
    }
}
