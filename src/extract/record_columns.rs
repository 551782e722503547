//! Records that are lists, made objects with the names of their elements.

use super::envelope::Envelope;
use super::raw::{self, Shape};
use super::select::{Selection, join_records};
use crate::error::{Error, Kind, Result};
use crate::plan::model::{FieldPath, RecordColumns};
use bytes::Bytes;
use std::collections::HashSet;

/// Makes objects of a selection's records. A page without records needs no names.
///
/// # Errors
/// The names are not where the file says, or a record is not a list of as many values.
pub(super) fn apply(selection: Selection, columns: &RecordColumns, envelope: &Envelope) -> Result<Selection> {
    if !super::select::has_records(&selection.records) {
        return Ok(selection);
    }
    let names = match columns {
        RecordColumns::Names(names) => names.clone(),
        RecordColumns::At(path) => names_at(path, envelope)?,
    };
    let keys = distinct(names).iter().map(|name| json_text(name)).collect::<Result<Vec<_>>>()?;
    let mut records = Vec::new();
    for part in &selection.records {
        let Shape::List = Shape::of(part) else { return Err(no_list(part, records.len())) };
        for record in raw::elements(part)? {
            records.push(object(&record, &keys, records.len())?);
        }
    }
    Ok(Selection { records: vec![join_records(&records)], ..selection })
}

fn object(record: &Bytes, keys: &[String], number: usize) -> Result<Bytes> {
    match Shape::of(record) {
        Shape::List => {}
        Shape::Null => return Ok(record.clone()),
        _ => return Err(no_list(record, number)),
    }
    let values = raw::elements(record)?;
    if values.len() != keys.len() {
        return Err(Error::new(Kind::Body, "a record has another number of values than `record_columns` has names")
            .with("at", format!("record {}: {} values, {} names", number + 1, values.len(), keys.len())));
    }
    let mut out = Vec::with_capacity(record.len() + keys.iter().map(|key| key.len() + 2).sum::<usize>());
    for (key, value) in keys.iter().zip(&values) {
        out.push(if out.is_empty() { b'{' } else { b',' });
        out.extend_from_slice(key.as_bytes());
        out.push(b':');
        out.extend_from_slice(value);
    }
    if out.is_empty() {
        out.push(b'{');
    }
    out.push(b'}');
    Ok(out.into())
}

fn no_list(record: &[u8], number: usize) -> Error {
    Error::new(
        Kind::Body,
        format!("a record is {}, and `record_columns` says that records are lists", Shape::of(record)),
    )
    .with("at", format!("record {}", number + 1))
    .hint("where the lists are is said by `data_selector`")
}

/// The names that the body has: a list of texts, or of objects with a `name`.
fn names_at(path: &FieldPath, envelope: &Envelope) -> Result<Vec<String>> {
    let wrong = |what: &str| {
        Error::new(Kind::Body, format!("the answer has no names of columns at `{path}`: {what}"))
            .hint("`record_columns` needs a list of texts there, or of objects with a `name`")
    };
    let list = envelope.node(path)?.ok_or_else(|| wrong("nothing is there"))?;
    if list.shape() != Shape::List {
        return Err(wrong(&format!("there is {}", list.shape())));
    }
    let name = |element: Bytes| -> Result<String> {
        let text = match Shape::of(&element) {
            Shape::Text => Some(element),
            Shape::Object => raw::members(&element)?.into_iter().find(|(key, _)| key == "name").map(|(_, name)| name),
            Shape::Null | Shape::Boolean | Shape::Number | Shape::List => None,
        };
        let text = text.and_then(|text| serde_json::from_slice::<String>(&text).ok());
        text.ok_or_else(|| wrong("one of them is no text"))
    };
    raw::elements(list.text())?.into_iter().map(name).collect()
}

/// Names of columns, each different: one that is empty gets the number of its column, one that comes again a suffix, so
/// that no column is lost.
pub(super) fn distinct(names: Vec<String>) -> Vec<String> {
    let given: HashSet<String> = names.iter().cloned().collect();
    let mut taken = HashSet::new();
    let name = |(at, name): (usize, String)| {
        let base = if name.trim().is_empty() { format!("column_{}", at + 1) } else { name };
        let mut unique = base.clone();
        let mut number = 1;
        while taken.contains(&unique) || (number > 1 && given.contains(&unique)) {
            number += 1;
            unique = format!("{base}_{number}");
        }
        taken.insert(unique.clone());
        unique
    };
    names.into_iter().enumerate().map(name).collect()
}

/// A text as JSON.
fn json_text(text: &str) -> Result<String> {
    serde_json::to_string(text).map_err(|e| Error::new(Kind::Internal, "a name can't be written as JSON").source(e))
}

#[cfg(test)]
mod tests {
    use super::super::envelope::tests::{envelope, path};
    use super::*;

    fn objects(body: &str, columns: &RecordColumns) -> Result<String> {
        let envelope = envelope(body);
        let rows = envelope.node(&path("rows")).unwrap().unwrap().text().clone();
        let selection = Selection { records: vec![rows], is_list: true, matched: true };
        let selection = apply(selection, columns, &envelope)?;
        Ok(String::from_utf8(selection.records.concat()).unwrap())
    }

    #[test]
    fn lists_become_objects_with_every_digit() {
        let named = RecordColumns::Names(vec!["id".into(), "at\"x".into()]);
        assert_eq!(
            objects(r#"{"rows":[[12345678901234567890.10, null],null]}"#, &named).unwrap(),
            r#"[{"id":12345678901234567890.10,"at\"x":null},null]"#
        );
        let at = RecordColumns::At(path("meta.cols"));
        for names in [r#"["a","a",""]"#, r#"[{"type":"int","name":"a"},{"name":"a"},{"name":""}]"#] {
            let body = format!(r#"{{"meta":{{"cols":{names}}},"rows":[[1,[2],{{"x":3}}]]}}"#);
            assert_eq!(objects(&body, &at).unwrap(), r#"[{"a":1,"a_2":[2],"column_3":{"x":3}}]"#);
        }
        assert_eq!(objects(r#"{"rows":[]}"#, &at).unwrap(), "[]", "no record needs no names");
    }

    #[test]
    fn what_does_not_fit_is_an_error() {
        let at = RecordColumns::At(path("cols"));
        for (body, says) in [
            (r#"{"rows":[[1]]}"#, "nothing is there"),
            (r#"{"cols":"a","rows":[[1]]}"#, "there is a text"),
            (r#"{"cols":[1],"rows":[[1]]}"#, "one of them"),
            (r#"{"cols":["a","b"],"rows":[[1,2],[1]]}"#, "another number of values"),
            (r#"{"cols":["a"],"rows":[{"a":1}]}"#, "a record is an object"),
        ] {
            let error = objects(body, &at).unwrap_err();
            assert!(error.message().contains(says), "{body}: {error}");
        }
    }

    #[test]
    fn no_name_comes_twice() {
        let names = |list: &[&str]| distinct(list.iter().map(|name| (*name).to_owned()).collect()).join(" ");
        assert_eq!(names(&["a", "a", "a_2", "", " "]), "a a_3 a_2 column_4 column_5");
    }
}
