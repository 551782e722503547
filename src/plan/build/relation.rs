//! What identifies a resource's rows, how they are written, and what the file says of their columns.

use super::layers::Layers;
use super::path;
use super::scope::Scope;
use crate::config::tree::{Key, Node};
use crate::plan::model::{ColumnHint, FieldPath, WriteDisposition};
use crate::schema::{ColumnType, names};

/// Columns are named as they are in the warehouse.
pub(super) fn check_column_name(key: &Key, scope: &mut Scope<'_>) {
    let parts: Vec<String> = key.name.split(names::SEPARATOR).map(names::identifier).collect();
    let normal = parts.join(names::SEPARATOR);
    if key.name != normal {
        let help = format!("in the warehouse it is `{normal}`");
        scope.found.error(key.span.clone(), format!("`{}` is not the name of a column", key.name)).help(help);
    }
}

/// Key fields and disposition. Combinations that can't work are refused.
pub(super) fn write(key: &Key, layers: &Layers<'_>, scope: &mut Scope<'_>) -> (Vec<FieldPath>, WriteDisposition) {
    let primary_key = path::fields(layers.get("primary_key"), scope);
    let has_key = layers.get("primary_key").is_some();
    let node = layers.get("write_disposition");
    let disposition = match node.and_then(Node::resolved).as_deref() {
        Some("replace") => WriteDisposition::Replace,
        Some("merge") => WriteDisposition::Merge,
        Some(_) => WriteDisposition::Append,
        None if has_key => WriteDisposition::Merge,
        None => WriteDisposition::Append,
    };
    let place = node.map_or(key.span.clone(), |n| n.span.clone());
    if let Some(node) = layers.get("primary_key").filter(|node| node.one_or_many().is_empty()) {
        let help = "name the fields that identify a record, or write `primary_key = false`";
        scope.found.error(node.span.clone(), "`primary_key` names no field").help(help);
    } else if disposition == WriteDisposition::Merge && !has_key {
        let message = format!("`{}` can't merge without a `primary_key`", key.name);
        scope.found.error(place.clone(), message).help("name the fields that identify a record, or use \"append\"");
    }
    if disposition == WriteDisposition::Replace && layers.get("incremental").is_some() {
        let message = format!("`{}` can't be replaced and incremental: each run would keep only what is new", key.name);
        scope.found.error(place.clone(), message).help("use \"merge\" or \"append\", or set `incremental = false`");
    }
    let is_changed = layers.get("parents").and_then(Node::resolved).as_deref() == Some("changed");
    if disposition == WriteDisposition::Replace && is_changed {
        let message =
            format!("`{}` can't be replaced by the rows of changed parents: those of the others would go", key.name);
        scope.found.error(place, message).help("use \"merge\" or \"append\", or `parents = \"all\"`");
    }
    (primary_key, disposition)
}

/// What the file says of columns.
pub(super) fn columns(node: Option<&Node>, scope: &mut Scope<'_>) -> Vec<ColumnHint> {
    let mut hints = Vec::new();
    for (key, node) in node.and_then(Node::as_table).map(|t| t.entries.as_slice()).unwrap_or_default() {
        check_column_name(key, scope);
        let Some(table) = node.as_table() else { continue };
        hints.push(ColumnHint {
            name: key.name.clone(),
            data_type: table.get("type").and_then(|n| column_type(n, scope)),
            description: table.get("description").and_then(Node::resolved),
        });
    }
    hints
}

fn column_type(node: &Node, scope: &mut Scope<'_>) -> Option<ColumnType> {
    let text = node.resolved()?;
    let parsed = text.parse().ok();
    if parsed.is_none() {
        let help = match text.trim().to_ascii_uppercase().as_str() {
            "INTEGER" | "INT" | "SMALLINT" | "TINYINT" | "INT4" | "INT32" | "INT64" => "did you mean `BIGINT`?",
            "FLOAT" | "REAL" | "FLOAT4" => "did you mean `DOUBLE`?",
            "DECIMAL" | "NUMERIC" => "say how many digits: `DECIMAL(18,4)`",
            _ => {
                "known are BOOLEAN, BIGINT, HUGEINT, DOUBLE, DECIMAL(p,s), DATE, TIMESTAMP, TIMESTAMPTZ, VARCHAR and JSON"
            }
        };
        scope.found.error(node.span.clone(), format!("`{text}` is not a column type")).help(help);
    }
    parsed
}
