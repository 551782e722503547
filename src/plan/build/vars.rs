//! `[vars]`: texts, lists and tables for expressions, with what the command line says of them.

use super::request;
use super::scope::{Scope, Use};
use crate::config::diagnostic::Diagnostics;
use crate::config::text::Text as FileText;
use crate::config::tree::{Key, Node, Table, Value};
use crate::plan::model::JsonTemplate;
use crate::plan::suggest;
use serde_json::Value as Json;

/// The variables. A single value is a text; the elements of lists and tables keep their types.
pub(super) fn variables(
    table: &Table,
    overrides: &[(String, String)],
    found: &mut Diagnostics,
) -> Vec<(String, JsonTemplate)> {
    let empty = Table::default();
    let entries = &table.get("vars").and_then(Node::as_table).unwrap_or(&empty).entries;
    refuse_unknown(entries, overrides, found);
    let mut scope = Scope::new(found, &[]);
    let variable = |(key, node): &(Key, Node)| {
        let given = overrides.iter().rev().find(|(name, _)| *name == key.name);
        let value = match given {
            Some((_, text)) => given_value(key, node, text, &mut scope)?,
            None => declared_value(node, &mut scope)?,
        };
        Some((key.name.clone(), value))
    };
    entries.iter().filter_map(variable).collect()
}

/// Warns of variables that no expression uses.
pub(super) fn warn_of_unused(table: &Table, uses: &[Use], found: &mut Diagnostics) {
    let Some(vars) = table.get("vars").and_then(Node::as_table) else { return };
    for (key, _) in &vars.entries {
        let is_used = uses.iter().any(|u| u.root() == "vars" && u.path.get(1) == Some(&key.name));
        if !is_used {
            found.warning(key.span.clone(), format!("nothing uses the variable `{}`", key.name));
        }
    }
}

fn refuse_unknown(entries: &[(Key, Node)], overrides: &[(String, String)], found: &mut Diagnostics) {
    for (name, _) in overrides {
        if !entries.iter().any(|(key, _)| key.name == *name) {
            let known = entries.iter().map(|(key, _)| key.name.as_str());
            let help = suggest::did_you_mean(name, known.clone())
                .unwrap_or_else(|| format!("variables of this file: {}", suggest::list(known)));
            found.error_of_file(format!("`--var {name}=…` names no variable of the file")).help(help);
        }
    }
}

fn declared_value(node: &Node, scope: &mut Scope<'_>) -> Option<JsonTemplate> {
    match &node.value {
        Value::List(_) | Value::Table(_) => {
            request::json_of(node, scope, |scope, node| scope.variable(&node.as_scalar()?))
        }
        _ => scope.variable(&node.as_scalar()?).map(JsonTemplate::Text),
    }
}

/// What the command line gives, as the file declares the variable.
fn given_value(key: &Key, declared: &Node, text: &str, scope: &mut Scope<'_>) -> Option<JsonTemplate> {
    let value = match &declared.value {
        Value::List(elements) => given_list(text, elements),
        Value::Table(_) => given_table(text),
        _ => return scope.variable(&FileText::given(text, declared.span.clone())).map(JsonTemplate::Text),
    };
    match value {
        Ok(value) => Some(JsonTemplate::constant(value)),
        Err((message, help)) => {
            scope.found.error_of_file(format!("`--var {}=…` {message}", key.name)).help(help);
            None
        }
    }
}

/// What is wrong with a value of the command line, and what to do about it.
type Mistake = (&'static str, &'static str);

/// A list: a JSON array, or elements with commas between them. Those are numbers where the file has nothing but numbers.
fn given_list(text: &str, declared: &[Node]) -> Result<Json, Mistake> {
    const HELP: &str = "write `a,b`, or a JSON array: `[\"a\", \"b\"]`";
    let text = text.trim();
    if text.starts_with('[') {
        return serde_json::from_str(text).map_err(|_| ("is not a JSON array", HELP));
    }
    if text.is_empty() {
        return Ok(Json::Array(Vec::new()));
    }
    let is_number = |node: &Node| matches!(node.value, Value::Integer(_) | Value::Float(_));
    let are_numbers = !declared.is_empty() && declared.iter().all(is_number);
    let element = |part: &str| match are_numbers {
        false => Ok(Json::from(part)),
        true => match serde_json::from_str::<Json>(part) {
            Ok(number @ Json::Number(_)) => Ok(number),
            Ok(_) | Err(_) => Err(("has an element that is no number, as those of the file are", HELP)),
        },
    };
    text.split(',').map(|part| element(part.trim())).collect::<Result<_, _>>().map(Json::Array)
}

fn given_table(text: &str) -> Result<Json, Mistake> {
    match serde_json::from_str::<Json>(text) {
        Ok(table @ Json::Object(_)) => Ok(table),
        Ok(_) | Err(_) => {
            Err(("is not a JSON object, and the file declares a table", "write `{\"id\": 7, \"name\": \"x\"}`"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn nodes(values: &[Value]) -> Vec<Node> {
        values.iter().map(|value| Node { span: 0..0, value: value.clone() }).collect()
    }

    #[test]
    fn a_list_is_given_as_json_or_with_commas_in_the_type_of_its_elements() {
        let (texts, numbers) = (nodes(&[]), nodes(&[Value::Integer(1), Value::Float(0.5)]));
        for (text, declared, expected) in [
            ("a, b", &texts, Ok(json!(["a", "b"]))),
            ("7", &texts, Ok(json!(["7"]))),
            ("7, 8.5", &numbers, Ok(json!([7, 8.5]))),
            ("[\"a,b\", 7]", &numbers, Ok(json!(["a,b", 7]))),
            (" ", &texts, Ok(json!([]))),
            ("[]", &texts, Ok(json!([]))),
        ] {
            assert_eq!(given_list(text, declared), expected, "{text}");
        }
        assert_eq!(given_list("[a]", &texts).unwrap_err().0, "is not a JSON array");
        assert!(given_list("7,x", &numbers).is_err());
    }

    #[test]
    fn a_table_is_given_as_json() {
        assert_eq!(given_table("{\"id\":7}"), Ok(json!({ "id": 7 })));
        assert!(given_table("id=7").is_err() && given_table("[1]").is_err());
    }
}
