//! `filter`: the records of a page that are not kept.

use crate::error::{Error, Kind, Result};
use crate::extract::raw::{self, Shape};
use crate::plan::template::{Scope, Template};
use bytes::Bytes;
use serde_json::{Value, json};

/// The decoded records for which a filter is not true. `skipped` are those of the page that were not decoded, in order.
///
/// # Errors
/// The expression fails on a record.
pub(super) fn filtered(filter: &Template, scope: &Scope, parts: &[Bytes], skipped: &[u64]) -> Result<Vec<usize>> {
    let mut scope = scope.clone();
    let mut skipped = skipped.iter().peekable();
    let (mut filtered, mut number, mut decoded) = (Vec::new(), 0_u64, 0_usize);
    for part in parts {
        for record in records(part)? {
            number += 1;
            if skipped.next_if_eq(&&(number - 1)).is_some() {
                continue;
            }
            scope.record = Some(value(&record)?);
            if !filter.holds(&scope).map_err(|error| error.with("at", format!("record {number}")))? {
                filtered.push(decoded);
            }
            decoded += 1;
        }
    }
    Ok(filtered)
}

/// Whether a filter leaves out one record, as it came.
///
/// # Errors
/// The expression fails on it.
pub(super) fn is_filtered(filter: &Template, scope: &Scope, record: &[u8]) -> Result<bool> {
    let mut scope = scope.clone();
    scope.record = Some(value(record)?);
    filter.holds(&scope).map(|holds| !holds)
}

/// The records of one part of a page: a list of them, or one.
fn records(part: &Bytes) -> Result<Vec<Bytes>> {
    let text = part.slice_ref(part.trim_ascii());
    if Shape::of(&text) == Shape::List { raw::elements(&text) } else { Ok(vec![text]) }
}

/// A record as expressions see it.
fn value(record: &[u8]) -> Result<Value> {
    let value: Value = serde_json::from_slice(record)
        .map_err(|cause| Error::new(Kind::Data, "the filter can't read a record").source(cause))?;
    Ok(if value.is_object() { value } else { json!({ "value": value }) })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn left_out(filter: &str, parts: &[&str], skipped: &[u64]) -> Vec<usize> {
        let parts: Vec<Bytes> = parts.iter().map(|part| Bytes::from((*part).to_owned())).collect();
        filtered(&Template::parse(filter).unwrap(), &Scope::default(), &parts, skipped).unwrap()
    }

    #[test]
    fn what_is_not_true_is_left_out() {
        let page = r#" [{"s":"draft"}, {"s":"sent","n":{"m":1}}, {}, {"s":null}] "#;
        for (filter, expected) in [
            ("{{ record.s != 'draft' }}", vec![0]),
            ("{{ record.s == 'draft' }}", vec![1, 2, 3]),
            ("{{ record.s in ['draft', 'sent'] }}", vec![2, 3]),
            ("{{ record['n'].m }}", vec![0, 2, 3]),
            ("{{ record.s | default('draft') == 'draft' }}", vec![1]),
            ("{{ not record.s or record.s == 'sent' }}", vec![0]),
        ] {
            assert_eq!(left_out(filter, &[page], &[]), expected, "{filter}");
        }
    }

    #[test]
    fn records_that_were_not_decoded_have_no_number() {
        let parts = [r#"[null,{"a":1},{"a":0}]"#, r#"{"a":0}"#, r#"[{"a":2},"x"]"#];
        assert_eq!(left_out("{{ record.a == 0 }}", &parts, &[0]), [0, 3, 4]);
        assert_eq!(left_out("{{ record.a }}", &parts, &[0, 2]), [1, 3]);
        assert_eq!(left_out("{{ record.value == 'x' }}", &parts, &[0]), [0, 1, 2, 3]);
    }
}
