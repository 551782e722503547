//! `json` as a text: JSON whose strings are templates, for bodies that TOML can't say because they hold null.

use super::scope::Scope;
use crate::config::text::Text as FileText;
use crate::plan::model::JsonTemplate;
use serde_json::{Number, Value};

/// From here on a double does not hold every whole number.
const EXACT_MAX: f64 = 9_007_199_254_740_992.0;

/// Whether a text is the JSON of an object or a list, and not an expression or a text to be sent.
pub(super) fn is_json(text: &&FileText) -> bool {
    let marked = text.marked();
    let written = marked.trim_start();
    (written.starts_with('{') && !written.starts_with("{{")) || written.starts_with('[')
}

/// The body that a text spells out.
pub(super) fn json(text: &FileText, scope: &mut Scope<'_>) -> Option<JsonTemplate> {
    let marked = text.marked();
    match serde_json::from_str(&marked) {
        Ok(value) => template(value, text, &marked, scope),
        Err(cause) => {
            let at = offset(&marked, cause.line(), cause.column());
            let help = "expressions stand in quotes, where one that stands alone keeps its type: \"{{ page.limit }}\"";
            scope.found.error(text.span_of(at..at + 1), format!("`json` is not JSON: {cause}")).help(help);
            None
        }
    }
}

/// The byte of a line and a column, both counted from 1.
fn offset(text: &str, line: usize, column: usize) -> usize {
    let before: usize = text.split_inclusive('\n').take(line.saturating_sub(1)).map(str::len).sum();
    (before + column.saturating_sub(1)).min(text.len().saturating_sub(1))
}

fn template(value: Value, text: &FileText, marked: &str, scope: &mut Scope<'_>) -> Option<JsonTemplate> {
    Some(match value {
        Value::String(string) => JsonTemplate::Text(scope.credential(&text.part(&string))?),
        Value::Array(elements) => {
            let elements = elements.into_iter().filter_map(|element| template(element, text, marked, scope));
            JsonTemplate::Array(elements.collect())
        }
        Value::Object(members) => {
            let mut templates = Vec::with_capacity(members.len());
            for (name, member) in members {
                if text.has_mark(&name) {
                    scope.found.error(text.span.clone(), "`${…}` can't be used in a name");
                }
                templates.extend(template(member, text, marked, scope).map(|member| (name, member)));
            }
            JsonTemplate::Object(templates)
        }
        Value::Number(number) if !is_exact(&number, marked) => {
            scope
                .found
                .error(text.span.clone(), "`json` has a number with more digits than can be sent")
                .help("send it as a text, in quotes");
            return None;
        }
        literal @ (Value::Null | Value::Bool(_) | Value::Number(_)) => JsonTemplate::Literal(literal),
    })
}

/// Whether a number is sent with all its digits. `marked` is where it was read from.
fn is_exact(number: &Number, marked: &str) -> bool {
    let is_whole = number.is_i64() || number.is_u64();
    is_whole || number.as_f64().is_some_and(|n| n.abs() < EXACT_MAX) || marked.contains(&number.to_string())
}
