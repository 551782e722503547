//! Rows of a list that the pipeline file itself gives: written out, or as a list of `[vars]`.

use crate::config::text::Text;
use crate::config::tree::{Node, Value};
use crate::plan::build::scope::{Scope, Use};
use crate::plan::model::OnMissingField;
use crate::plan::template::Template;
use serde_json::{Map, Number, Value as Json};
use std::ops::Range;

/// A row: column, value.
pub(super) type Row = Map<String, Json>;

/// The rows of `values`, each with its place. None: a mistake was reported.
pub(super) fn rows(node: &Node, column: &str, scope: &mut Scope<'_>) -> Option<Vec<(Row, Range<usize>)>> {
    let rows = match node.as_text() {
        Some(text) => rows_of_expression(node, text, column, scope)?,
        None => written_rows(node, column, scope),
    };
    if rows.is_empty() {
        scope.found.warning(node.span.clone(), "the list is empty: nothing is requested");
    }
    Some(rows)
}

fn written_rows(node: &Node, column: &str, scope: &mut Scope<'_>) -> Vec<(Row, Range<usize>)> {
    let mut rows = Vec::new();
    for node in node.one_or_many() {
        let row = match &node.value {
            Value::Table(table) => {
                table.entries.iter().filter_map(|(key, node)| Some((key.name.clone(), value(node, scope)?))).collect()
            }
            _ => value(node, scope).map(|value| (column.to_owned(), value)).into_iter().collect(),
        };
        rows.push((row, node.span.clone()));
    }
    rows
}

/// A single value, with its type.
fn value(node: &Node, scope: &mut Scope<'_>) -> Option<Json> {
    Some(match &node.value {
        Value::Text(text) => {
            if let Some(span) = text.expression_span() {
                let help = "write the value itself, bring it in with `${NAME}`, or have `values` be one expression";
                scope.found.error(span, "`{{ … }}` can't be used within the list of `values`").help(help);
                return None;
            }
            // Checked without its variables, a value stands for itself.
            text.resolved().unwrap_or_else(|| "${…}".to_owned()).into()
        }
        Value::Integer(n) => (*n).into(),
        Value::Float(n) => match Number::from_f64(*n) {
            Some(n) => n.into(),
            None => {
                scope.found.error(node.span.clone(), "JSON has no such number");
                return None;
            }
        },
        Value::Boolean(flag) => (*flag).into(),
        Value::Datetime(time) => time.clone().into(),
        Value::List(_) | Value::Table(_) => return None,
    })
}

/// What an expression of `values` has to be.
const EXPRESSION_HELP: &str =
    "write `values = [\"a\", \"b\"]`, or `values = \"{{ vars.NAME }}\"` with a list of that name under [vars]";

/// The rows of `values = "{{ vars.NAME }}"`. They are part of the plan, so the variables have to be known before the run.
fn rows_of_expression(
    node: &Node,
    text: &Text,
    column: &str,
    scope: &mut Scope<'_>,
) -> Option<Vec<(Row, Range<usize>)>> {
    let template = expression(text, scope)?;
    let mistake = match template.render_json(&scope.known()) {
        Ok(Some(Json::Array(list))) => match list.into_iter().map(|element| row(element, column)).collect() {
            Some(rows) => {
                let rows: Vec<Row> = rows;
                return Some(rows.into_iter().map(|row| (row, node.span.clone())).collect());
            }
            None => "the list of `values` is nested deeper than tables of single values".to_owned(),
        },
        Ok(Some(_)) => "`values` gives no list".to_owned(),
        Ok(None) => "`values` has no value before the run".to_owned(),
        Err(cause) => format!("`values` can't be evaluated: {}", cause.message()),
    };
    scope.found.error(node.span.clone(), mistake).help(EXPRESSION_HELP);
    None
}

/// The expression of `values`, over variables that are no secrets.
fn expression(text: &Text, scope: &mut Scope<'_>) -> Option<Template> {
    let since = scope.uses.len();
    let template = scope.template(text)?;
    if !template.is_one_expression() {
        let message = "`values` must be a list, or exactly one expression that gives one";
        scope.found.error(text.span.clone(), message).help(EXPRESSION_HELP);
        return None;
    }
    let refused = scope.uses[since..].iter().find_map(|used| Some((used.span.clone(), refusal(used, scope)?)));
    if let Some((span, (message, help))) = refused {
        scope.found.error(span, message).help(help);
        return None;
    }
    Some(template)
}

/// Why a name can't be used in `values`, and what to do: only variables that are no secrets can.
fn refusal(used: &Use, scope: &Scope<'_>) -> Option<(String, &'static str)> {
    let name = used.path.join(".");
    if used.root() != "vars" {
        let message = format!("`{name}` has no value in `values`: the list is known before the run");
        return Some((message, "`vars.NAME` can be used there"));
    }
    scope.brings_secret(used).then(|| {
        let message = format!("`{name}` is a secret, and partitions are named by their values");
        (message, "write the `${…}` in a list of `values` itself: there it is no secret")
    })
}

/// An element of a list as a row; none if there is more in it than columns.
fn row(element: Json, column: &str) -> Option<Row> {
    let is_single = |value: &Json| !value.is_array() && !value.is_object();
    match element {
        Json::Object(row) => row.values().all(is_single).then_some(row),
        single if is_single(&single) => Some(Row::from_iter([(column.to_owned(), single)])),
        _ => None,
    }
}

/// Whether a value is none: null, or an empty text.
fn is_missing(value: Option<&Json>) -> bool {
    value.is_none_or(|value| value.is_null() || value.as_str() == Some(""))
}

/// Rows that lack what the request needs are mistakes of the file.
pub(super) fn refuse_missing(
    rows: &[(Row, Range<usize>)],
    needed: &[String],
    policy: OnMissingField,
    scope: &mut Scope<'_>,
) {
    if policy == OnMissingField::Skip {
        return;
    }
    let is_known_here = |column: &&String| rows.iter().any(|(row, _)| row.contains_key(*column));
    for (row, place) in rows {
        if let Some(column) = needed.iter().filter(is_known_here).find(|column| is_missing(row.get(*column))) {
            let help = "leave the row out, or write `on_missing = \"skip\"`";
            scope.found.error(place.clone(), format!("this row has no `{column}`")).help(help);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn an_element_is_a_value_or_a_table_of_values() {
        for (element, expected) in [
            (json!("a"), Some(json!({ "site": "a" }))),
            (json!(7), Some(json!({ "site": 7 }))),
            (json!(null), Some(json!({ "site": null }))),
            (json!({ "id": 1, "name": "x" }), Some(json!({ "id": 1, "name": "x" }))),
            (json!([1]), None),
            (json!({ "id": [1] }), None),
        ] {
            assert_eq!(row(element.clone(), "site").map(Json::Object), expected, "{element}");
        }
    }
}
