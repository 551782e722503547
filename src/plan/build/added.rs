//! `add_columns`, and the names of all columns that requests bring.

use super::column::check_column_name;
use super::request;
use super::scope::{Scope, Use};
use crate::config::tree::{Key, Node, Table};
use crate::plan::model::{JsonTemplate, Parent, Partitions};

/// Columns of each record, evaluated once per request, and the names that they use.
pub(super) fn columns(node: Option<&Node>, scope: &mut Scope<'_>) -> (Vec<(String, JsonTemplate)>, Vec<Use>) {
    let since = scope.uses.len();
    let empty = Table::default();
    let mut columns = Vec::new();
    for (key, node) in &node.and_then(Node::as_table).unwrap_or(&empty).entries {
        check_column_name(key, scope);
        let Some(value) = request::json(node, scope) else { continue };
        if matches!(&value, JsonTemplate::Text(text) if text.secret) {
            let help = "what `${…}` brings in is a secret; give it with `--var`, or write it out";
            scope.found.error(node.span.clone(), "a secret would be stored in the warehouse").help(help);
        }
        columns.push((key.name.clone(), value));
    }
    let uses = scope.uses[since..].to_vec();
    for used in uses.iter().filter(|u| u.root() == "page") {
        let message = format!("`{}` has no value in `add_columns`", used.path.join("."));
        scope.found.error(used.span.clone(), message);
    }
    (columns, uses)
}

/// Columns that requests bring have names of their own: two of a name can't both be stored, and the cursor is the API's.
pub(super) fn check_names(
    key: &Key,
    node: Option<&Node>,
    parent: Option<&Parent>,
    partitions: Option<&Partitions>,
    cursor_paths: &[String],
    scope: &mut Scope<'_>,
) {
    let from_parent = parent.into_iter().flat_map(|p| p.include.iter().map(|c| &c.column));
    let from_partition: Vec<&String> =
        partitions.into_iter().flat_map(|p| p.include.iter().map(|(column, _)| column)).collect();
    let from_parent: Vec<&String> = from_parent.collect();
    if let Some(column) = from_partition.iter().find(|column| from_parent.contains(column)) {
        let message = format!("`include_from_parent` and `include_from_partition` both add `{column}`");
        scope.found.error(key.span.clone(), message).help("name one of them: { COLUMN = \"FIELD\" }");
    }
    let empty = Table::default();
    for (added, _) in &node.and_then(Node::as_table).unwrap_or(&empty).entries {
        if from_parent.iter().chain(&from_partition).any(|column| **column == added.name) {
            scope.found.error(added.span.clone(), format!("the column `{}` is included twice", added.name));
        }
        if cursor_paths.contains(&added.name) {
            let message = format!("`{}` is the API's cursor, and can't be a column to add", added.name);
            scope.found.error(added.span.clone(), message).help("give the added column another name");
        }
    }
}
