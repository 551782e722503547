//! A resource's parent, and what identifies its rows.

use super::column::check_column_name;
use super::layers::Layers;
use super::path;
use super::resource::File;
use super::scope::{Scope, Use};
use crate::config::tree::{Key, Node, Table, Value};
use crate::plan::model::{FieldPath, OnMissingParentField, Parent, ParentScope};
use crate::schema::names;

/// Keys that say something of a parent.
const PARENT_KEYS: [&str; 3] = ["include_from_parent", "parents", "on_missing_parent_field"];

/// Builds the relation to the parent. `uses` are the names that the request's expressions use.
pub(super) fn parent(
    key: &Key,
    table: &Table,
    layers: &Layers<'_>,
    file: &File<'_>,
    uses: &[Use],
    scope: &mut Scope<'_>,
) -> Option<Parent> {
    let from_parent = || uses.iter().filter(|u| u.root() == "parent");
    let Some(node) = layers.get("parent") else {
        refuse_without_parent(key, table, from_parent(), scope);
        return None;
    };
    let resource = node.resolved()?;
    if from_parent().next().is_none() {
        let help = format!("use one, as in path = \"{resource}/{{{{ parent.id }}}}/{}\"", key.name);
        scope
            .found
            .error(node.span.clone(), format!("no request of `{}` uses a field of its parent", key.name))
            .help(help);
    }
    let grandparent = file.resource(&resource).and_then(|table| file.parent_of(table));
    let mut fields: Vec<FieldPath> = Vec::new();
    let mut required: Vec<FieldPath> = Vec::new();
    for used in from_parent() {
        if used.path.len() > 2 && used.path[1] == "parent" && grandparent.is_some() {
            let help = format!("include the field in `{resource}` with `include_from_parent`, and use it from there");
            scope.found.error(used.span.clone(), "fields of a grandparent are not yet supported").help(help);
        }
        let field = FieldPath(used.path[1..].to_vec());
        if !used.guarded && !required.contains(&field) {
            required.push(field.clone());
        }
        if !fields.contains(&field) {
            fields.push(field);
        }
    }
    let word = |name: &str| layers.get(name).and_then(Node::resolved);
    Some(Parent {
        include: layers.get("include_from_parent").map(|n| include(n, &resource, scope)).unwrap_or_default(),
        resource,
        fields,
        required,
        scope: if word("parents").as_deref() == Some("changed") { ParentScope::Changed } else { ParentScope::All },
        on_missing_field: match word("on_missing_parent_field").as_deref() {
            Some("skip") => OnMissingParentField::Skip,
            _ => OnMissingParentField::Raise,
        },
    })
}

fn refuse_without_parent<'u>(key: &Key, table: &Table, uses: impl Iterator<Item = &'u Use>, scope: &mut Scope<'_>) {
    for used in uses {
        let message = format!("`{}` is used, but `{}` has no parent", used.path.join("."), key.name);
        scope.found.error(used.span.clone(), message).help("add `parent = \"RESOURCE\"`");
    }
    for (own, _) in PARENT_KEYS.iter().filter_map(|name| table.entry(name)) {
        let message = format!("`{}` has no effect: `{}` has no parent", own.name, key.name);
        scope.found.error(own.span.clone(), message).help("add `parent = \"RESOURCE\"`, or leave it out");
    }
}

/// Columns with fields of the parent: `PARENT_FIELD`, nested `PARENT_A__B`, or as the table says.
fn include(node: &Node, parent: &str, scope: &mut Scope<'_>) -> Vec<(String, FieldPath)> {
    let mut columns: Vec<(String, FieldPath)> = Vec::new();
    let mut add = |column: String, field: FieldPath, place: &Node, scope: &mut Scope<'_>| {
        if columns.iter().any(|(other, _)| *other == column) {
            scope.found.error(place.span.clone(), format!("the column `{column}` is included twice"));
        }
        columns.push((column, field));
    };
    match &node.value {
        Value::Table(table) => {
            for (key, node) in &table.entries {
                check_column_name(key, scope);
                if let Some(field) = path::field(node, scope) {
                    add(key.name.clone(), field, node, scope);
                }
            }
        }
        _ => {
            for node in node.one_or_many() {
                if let Some(field) = path::field(node, scope) {
                    let column = format!("{}_{}", names::identifier(parent), names::column_name(&field.0));
                    add(column, field, node, scope);
                }
            }
        }
    }
    columns
}
