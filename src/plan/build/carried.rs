//! What the rows of a resource carry of its own parents and partitions: for its children, and as columns of its table.

use super::column::check_column_name;
use super::partition;
use super::path;
use super::resource::File;
use super::scope::Scope;
use crate::config::tree::{Key, Node, Value};
use crate::plan::model::{FieldPath, ParentColumn};
use crate::schema::names;
use std::ops::Range;

/// Something of a parent or a partition that is stored.
#[derive(Debug, Clone)]
pub(super) struct Included {
    /// The column's name.
    pub(super) column: String,
    /// What is stored, as the file names it.
    pub(super) name: FieldPath,
}

/// Where the rows of a resource have a field. `parent.FIELD` and `partition.COLUMN` of a resource that has a parent or
/// partitions of its own are the columns in which its rows carry them.
pub(super) fn field_of_rows(
    resource: &str,
    name: &FieldPath,
    span: &Range<usize>,
    file: &File<'_>,
    scope: &mut Scope<'_>,
) -> Option<FieldPath> {
    let table = file.resource(resource)?;
    let layers = file.layers(table);
    let (root, rest) = match name.0.as_slice() {
        [root, rest @ ..] if !rest.is_empty() => (root.as_str(), rest),
        _ => return Some(name.clone()),
    };
    let (carried, key): (Vec<Included>, _) = match root {
        "parent" if layers.get("parent").is_some() => {
            let node = layers.get("include_from_parent");
            let columns = node.map(|n| columns(n, &file.parents_of(table), file, scope)).unwrap_or_default();
            (columns.into_iter().map(|(included, _)| included).collect(), "include_from_parent")
        }
        "partition" if layers.get("partitions").is_some() => {
            let node = layers.get("include_from_partition");
            (node.map(|n| partition::include(n, scope)).unwrap_or_default(), "include_from_partition")
        }
        _ => return Some(name.clone()),
    };
    if let Some(found) = carried.iter().find(|i| i.name.0 == rest) {
        return Some(FieldPath(vec![found.column.clone()]));
    }
    let wanted = FieldPath(rest.to_vec());
    let message = format!("the rows of `{resource}` don't carry `{wanted}` of their {root}");
    scope.found.error(span.clone(), message).help(format!("add \"{wanted}\" to `{key}` of `{resource}`"));
    None
}

/// Columns with fields of the parents, and where the rows of each have them.
pub(super) fn include(node: &Node, parents: &[String], file: &File<'_>, scope: &mut Scope<'_>) -> Vec<ParentColumn> {
    let mut included = Vec::new();
    for (Included { column, name }, node) in columns(node, parents, file, scope) {
        let fields = parents.iter().map(|parent| field_of_rows(parent, &name, &node.span, file, scope));
        let fields: Vec<FieldPath> = fields.collect::<Vec<_>>().into_iter().flatten().collect();
        if fields.len() == parents.len() {
            included.push(ParentColumn { column, fields });
        }
    }
    included
}

/// The columns that `include_from_parent` adds: `PARENT_FIELD`, nested `PARENT_A__B`, or as the table says.
fn columns<'n>(
    node: &'n Node,
    parents: &[String],
    file: &File<'_>,
    scope: &mut Scope<'_>,
) -> Vec<(Included, &'n Node)> {
    let mut found: Vec<(Included, &Node)> = Vec::new();
    for (column, node) in named_or_listed(node, scope) {
        let Some(name) = path::field(node, scope) else { continue };
        let column = column.or_else(|| default_column(&name, node, parents, file, scope));
        let Some(column) = column else { continue };
        refuse_twice(found.iter().map(|(i, _)| &i.column), &column, node, scope);
        found.push((Included { column, name }, node));
    }
    found
}

/// The name of a column that the file does not name. What the parent carries of its own parent keeps its name.
fn default_column(
    name: &FieldPath,
    node: &Node,
    parents: &[String],
    file: &File<'_>,
    scope: &mut Scope<'_>,
) -> Option<String> {
    let [parent] = parents else {
        let example = name.0.last().map_or("id", String::as_str);
        scope
            .found
            .error(node.span.clone(), "a column with a field of several parents needs a name of its own")
            .help(format!("write include_from_parent = {{ parent_{example} = \"{name}\" }}"));
        return None;
    };
    let field = field_of_rows(parent, name, &node.span, file, scope)?;
    Some(match field.0.as_slice() {
        [carried] if field != *name => carried.clone(),
        _ => format!("{}_{}", names::identifier(parent), names::column_name(&field.0)),
    })
}

/// The entries of `include_from_…`: the column's name where the file gives it, and what is stored.
pub(super) fn named_or_listed<'n>(node: &'n Node, scope: &mut Scope<'_>) -> Vec<(Option<String>, &'n Node)> {
    match &node.value {
        Value::Table(table) => {
            let entry = |(key, node): &'n (Key, Node)| {
                check_column_name(key, scope);
                (Some(key.name.clone()), node)
            };
            table.entries.iter().map(entry).collect()
        }
        _ => node.one_or_many().iter().map(|node| (None, node)).collect(),
    }
}

/// Of columns that requests bring there is one of a name.
pub(super) fn refuse_twice<'c>(
    mut known: impl Iterator<Item = &'c String>,
    column: &str,
    node: &Node,
    scope: &mut Scope<'_>,
) {
    if known.any(|other| other == column) {
        scope.found.error(node.span.clone(), format!("the column `{column}` is included twice"));
    }
}
