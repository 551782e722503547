//! Lists made objects with names for their elements: records that are lists, or lists in fields of records.

use super::envelope::Envelope;
use super::raw::{self, Shape};
use super::select::{self, Selection, display_steps};
use crate::error::{Error, Kind, Result};
use crate::plan::model::{ColumnNames, FieldPath, RecordColumns, Step};
use bytes::Bytes;
use std::collections::HashSet;

/// Gives the elements of one answer's lists their names.
pub(super) struct Namer<'a> {
    columns: &'a RecordColumns,
    envelope: &'a Envelope,
    /// The names of each list, as JSON texts. The body is asked for them when there is a list.
    keys: Vec<Option<Vec<String>>>,
    /// Records so far.
    count: usize,
}

impl<'a> Namer<'a> {
    /// A namer for the records of an answer.
    pub(super) fn new(columns: &'a RecordColumns, envelope: &'a Envelope) -> Namer<'a> {
        let list_count = match columns {
            RecordColumns::Records(_) => 1,
            RecordColumns::Fields(fields) => fields.len(),
        };
        Namer { columns, envelope, keys: vec![None; list_count], count: 0 }
    }

    /// Whether a list is a record, and not a list of them.
    pub(super) fn takes_lists(&self) -> bool {
        matches!(self.columns, RecordColumns::Records(_))
    }

    /// The records of a selection, with their names.
    ///
    /// # Errors
    /// The names are not where the file says, or a list has another number of elements.
    pub(super) fn records(&mut self, selection: &Selection) -> Result<Vec<Bytes>> {
        let mut records = Vec::new();
        for part in &selection.records {
            match (Shape::of(part), self.takes_lists()) {
                (Shape::List, _) => {
                    for record in raw::elements(part)? {
                        records.push(self.record(&record)?);
                    }
                }
                (_, true) => return Err(self.no_list(part)),
                (_, false) => records.push(self.record(part)?),
            }
        }
        Ok(records)
    }

    /// One record, with its names.
    ///
    /// # Errors
    /// As [`Namer::records`].
    pub(super) fn record(&mut self, record: &Bytes) -> Result<Bytes> {
        self.count += 1;
        match (self.columns, Shape::of(record)) {
            (_, Shape::Null) => Ok(record.clone()),
            (RecordColumns::Records(_), Shape::List) => {
                let mut object = ObjectText::default();
                self.name(record, 0, &mut object)?;
                Ok(object.finish())
            }
            (RecordColumns::Fields(fields), Shape::Object) => self.object(record, fields, &mut Vec::new()),
            (RecordColumns::Fields(_), _) => Ok(record.clone()),
            (RecordColumns::Records(_), _) => Err(self.no_list(record)),
        }
    }

    /// An object in which lists give way to named fields. `at` is where it is in the record.
    fn object(&mut self, object: &Bytes, fields: &[(FieldPath, ColumnNames)], at: &mut Vec<String>) -> Result<Bytes> {
        let mut out = ObjectText::default();
        for (key, value) in raw::members(object)? {
            at.push(key);
            let list = fields.iter().position(|(field, _)| field.0 == *at);
            let is_above = fields.iter().any(|(field, _)| field.0.starts_with(at));
            match (list, Shape::of(&value)) {
                (Some(list), Shape::List) => self.name(&value, list, &mut out)?,
                // No list has no elements.
                (Some(_), Shape::Null) => {}
                (Some(_), shape) => {
                    return Err(Error::new(
                        Kind::Body,
                        format!(
                            "`{}` of a record is {shape}, and `record_columns` says that it is a list",
                            at.join(".")
                        ),
                    )
                    .with("at", format!("record {}", self.count)));
                }
                (None, Shape::Object) if is_above => {
                    let inner = self.object(&value, fields, at)?;
                    out.push(&json_text(&at[at.len() - 1])?, &inner).map_err(|e| self.place(e))?;
                }
                (None, _) => out.push(&json_text(&at[at.len() - 1])?, &value).map_err(|e| self.place(e))?,
            }
            at.pop();
        }
        Ok(out.finish())
    }

    /// Adds the elements of a list to an object, under their names.
    fn name(&mut self, list: &Bytes, number: usize, out: &mut ObjectText) -> Result<()> {
        let keys = match self.keys.get_mut(number).and_then(Option::take) {
            Some(keys) => keys,
            None => keys_of(self.names(number), self.envelope)?,
        };
        let values = raw::elements(list)?;
        if values.len() != keys.len() {
            let what = match self.columns {
                RecordColumns::Records(_) => "a record has".to_owned(),
                RecordColumns::Fields(fields) => format!("`{}` of a record has", fields[number].0),
            };
            let message = format!("{what} another number of values than `record_columns` has names");
            return Err(Error::new(Kind::Body, message)
                .with("at", format!("record {}: {} values, {} names", self.count, values.len(), keys.len())));
        }
        for (key, value) in keys.iter().zip(&values) {
            out.push(key, &bare(value)?).map_err(|e| self.place(e))?;
        }
        if let Some(known) = self.keys.get_mut(number) {
            *known = Some(keys);
        }
        Ok(())
    }

    fn names(&self, number: usize) -> &'a ColumnNames {
        match self.columns {
            RecordColumns::Records(names) => names,
            RecordColumns::Fields(fields) => &fields[number].1,
        }
    }

    fn no_list(&self, record: &[u8]) -> Error {
        let message = format!("a record is {}, and `record_columns` says that records are lists", Shape::of(record));
        self.place(Error::new(Kind::Body, message)).hint("where the lists are is said by `data_selector`")
    }

    fn place(&self, error: Error) -> Error {
        error.with("at", format!("record {}", self.count.max(1)))
    }
}

/// The text of a JSON object, as it is put together.
#[derive(Default)]
struct ObjectText {
    text: Vec<u8>,
    keys: HashSet<String>,
}

impl ObjectText {
    /// Adds a member. The key is a JSON text.
    fn push(&mut self, key: &str, value: &[u8]) -> Result<()> {
        if !self.keys.insert(key.to_owned()) {
            return Err(Error::new(Kind::Body, format!("a record has the field {key} twice"))
                .hint("does `record_columns` give a name that another field has?"));
        }
        self.text.push(if self.text.is_empty() { b'{' } else { b',' });
        self.text.extend_from_slice(key.as_bytes());
        self.text.push(b':');
        self.text.extend_from_slice(value);
        Ok(())
    }

    fn finish(mut self) -> Bytes {
        if self.text.is_empty() {
            self.text.push(b'{');
        }
        self.text.push(b'}');
        self.text.into()
    }
}

/// An element of a list. An object with nothing but a `value` stands for it.
fn bare(element: &Bytes) -> Result<Bytes> {
    if Shape::of(element) != Shape::Object {
        return Ok(element.clone());
    }
    Ok(match raw::members(element)?.as_slice() {
        [(name, value)] if name == "value" => value.clone(),
        _ => element.clone(),
    })
}

/// Names as the keys of objects.
fn keys_of(names: &ColumnNames, envelope: &Envelope) -> Result<Vec<String>> {
    let names = match names {
        ColumnNames::Listed(names) => names.clone(),
        ColumnNames::At(steps) => names_at(steps, envelope)?,
    };
    distinct(names).iter().map(|name| json_text(name)).collect()
}

/// The names that the body has: texts, or objects with a `name`.
fn names_at(steps: &[Step], envelope: &Envelope) -> Result<Vec<String>> {
    let place = display_steps(steps);
    let wrong = |what: &str| {
        Error::new(Kind::Body, format!("the answer has no names of columns at `{place}`: {what}"))
            .hint("`record_columns` needs a list of texts there, or of objects with a `name`")
    };
    let found = match envelope.root() {
        Some(root) => select::select(root, steps, true)?,
        None => return Err(wrong("nothing is there")),
    };
    if !found.matched {
        return Err(wrong("nothing is there"));
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
    let mut names = Vec::new();
    for part in found.records {
        match Shape::of(&part) {
            Shape::List => names.append(&mut raw::elements(&part)?.into_iter().map(name).collect::<Result<_>>()?),
            _ if found.is_list => names.push(name(part)?),
            shape => return Err(wrong(&format!("there is {shape}"))),
        }
    }
    Ok(names)
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
    use super::super::select::join_records;
    use super::*;

    fn named(body: &str, columns: &RecordColumns) -> Result<String> {
        let envelope = envelope(body);
        let rows = envelope.node(&path("rows")).unwrap().unwrap().text().clone();
        let selection = Selection { records: vec![rows], is_list: true, matched: true };
        let records = Namer::new(columns, &envelope).records(&selection)?;
        Ok(String::from_utf8(join_records(&records).to_vec()).unwrap())
    }

    fn listed(names: &[&str]) -> ColumnNames {
        ColumnNames::Listed(names.iter().map(|name| (*name).to_owned()).collect())
    }

    fn at(steps: &[&str]) -> ColumnNames {
        let step = |name: &&str| match *name {
            "*" => Step::Every,
            name => name.parse().map_or_else(|_| Step::Key(name.to_owned()), Step::Index),
        };
        ColumnNames::At(steps.iter().map(step).collect())
    }

    fn fields(fields: &[(&str, ColumnNames)]) -> RecordColumns {
        RecordColumns::Fields(fields.iter().map(|(field, names)| (path(field), names.clone())).collect())
    }

    #[test]
    fn lists_become_objects_with_every_digit() {
        let columns = RecordColumns::Records(listed(&["id", "at\"x"]));
        assert_eq!(
            named(r#"{"rows":[[12345678901234567890.10, null],null]}"#, &columns).unwrap(),
            r#"[{"id":12345678901234567890.10,"at\"x":null},null]"#
        );
        let columns = RecordColumns::Records(at(&["meta", "cols"]));
        for names in [r#"["a","a",""]"#, r#"[{"type":"int","name":"a"},{"name":"a"},{"name":""}]"#] {
            let body = format!(r#"{{"meta":{{"cols":{names}}},"rows":[[1,[2],{{"x":3}}]]}}"#);
            assert_eq!(named(&body, &columns).unwrap(), r#"[{"a":1,"a_2":[2],"column_3":{"x":3}}]"#);
        }
        let columns = RecordColumns::Records(at(&["rows", "0"]));
        assert_eq!(named(r#"{"rows":[["a"],["b"]]}"#, &columns).unwrap(), r#"[{"a":"a"},{"a":"b"}]"#);
    }

    #[test]
    fn lists_in_fields_give_way_to_their_elements() {
        let columns = fields(&[("keys", listed(&["date", "country"]))]);
        assert_eq!(
            named(
                r#"{"rows":[{"id":1,"keys":["2024-01-31","deu"],"clicks":1.50},{"keys":null},{"id":2},null]}"#,
                &columns
            )
            .unwrap(),
            r#"[{"id":1,"date":"2024-01-31","country":"deu","clicks":1.50},{},{"id":2},null]"#
        );
        let columns = fields(&[("d", at(&["dims", "*", "name"])), ("m", at(&["mets"]))]);
        let body = r#"{"dims":[{"name":"day"}],"mets":[{"name":"users","type":"INT"},{"name":"n"}],
            "rows":[{"d":[{"value":"20240131"}],"m":[{"value":12},{"value":1,"unit":"s"}]},{"d":[{"value":"x"}],"m":[1,2]}]}"#;
        assert_eq!(
            named(body, &columns).unwrap(),
            r#"[{"day":"20240131","users":12,"n":{"value":1,"unit":"s"}},{"day":"x","users":1,"n":2}]"#
        );
        let columns = fields(&[("a.b", listed(&["x", "y"]))]);
        assert_eq!(
            named(r#"{"rows":{"a":{"b":[1,2],"c":3},"b":[4]}}"#, &columns).unwrap(),
            r#"[{"a":{"x":1,"y":2,"c":3},"b":[4]}]"#
        );
    }

    #[test]
    fn what_does_not_fit_is_an_error() {
        let whole = RecordColumns::Records(at(&["cols"]));
        let part = fields(&[("k", listed(&["a", "b"]))]);
        let of_body = fields(&[("k", at(&["cols", "*", "name"]))]);
        for (columns, body, says) in [
            (&whole, r#"{"rows":[[1]]}"#, "nothing is there"),
            (&whole, r#"{"cols":"a","rows":[[1]]}"#, "there is a text"),
            (&whole, r#"{"cols":[1],"rows":[[1]]}"#, "one of them"),
            (&whole, r#"{"cols":["a","b"],"rows":[[1,2],[1]]}"#, "another number of values"),
            (&whole, r#"{"cols":["a"],"rows":[{"a":1}]}"#, "a record is an object"),
            (&part, r#"{"rows":[{"k":[1,2]},{"k":[1]}]}"#, "`k` of a record has another number of values"),
            (&part, r#"{"rows":[{"k":[1,2,3]}]}"#, "`k` of a record has another number of values"),
            (&part, r#"{"rows":[{"k":7}]}"#, "`k` of a record is a number"),
            (&part, r#"{"rows":[{"k":[1,2],"b":7}]}"#, "a record has the field \"b\" twice"),
            (&of_body, r#"{"rows":[{"k":[1]}]}"#, "nothing is there"),
            (&of_body, r#"{"cols":[{"name":"a"},{"n":"b"}],"rows":[{"k":[1,2]}]}"#, "another number of values"),
        ] {
            let error = named(body, columns).unwrap_err();
            assert!(error.message().contains(says), "{body}: {error}");
        }
        let error = named(r#"{"rows":[{"k":[1,2]},{"k":[1]}]}"#, &part).unwrap_err();
        assert_eq!(error.context("at"), Some("record 2: 1 values, 2 names"));
    }

    #[test]
    fn no_name_comes_twice() {
        let names = |list: &[&str]| distinct(list.iter().map(|name| (*name).to_owned()).collect()).join(" ");
        assert_eq!(names(&["a", "a", "a_2", "", " "]), "a a_3 a_2 column_4 column_5");
    }
}
