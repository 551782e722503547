//! Lists for whose rows a resource runs.

mod values;

use super::carried::{Included, named_or_listed, refuse_twice};
use super::layers::Layers;
use super::parent::{Uses, on_missing};
use super::resource::File;
use super::scope::Scope;
use crate::config::tree::{Key, Node, Table};
use crate::plan::model::{FieldPath, PartitionList, PartitionRows, Partitions};
use crate::plan::suggest;
use crate::schema::names;
use std::path::Path;
use values::Row;

/// Keys that give a list its rows; one of them.
const SOURCES: [&str; 3] = ["values", "file", "sql"];

/// Name of the column of single values by default.
const VALUE: &str = "value";

/// Builds the lists of a resource.
pub(super) fn partitions(
    key: &Key,
    table: &Table,
    layers: &Layers<'_>,
    file: &File<'_>,
    uses: Uses<'_>,
    scope: &mut Scope<'_>,
) -> Option<Partitions> {
    let Some(node) = layers.get("partitions") else {
        refuse_without_lists(key, table, uses, scope);
        return None;
    };
    let mut columns: Vec<String> = Vec::new();
    let mut further_columns: Vec<String> = Vec::new();
    for used in uses.of("partition") {
        let Some(column) = used.path.get(1) else { continue };
        let is_of_request = uses.of_request("partition").any(|u| u.path.get(1) == Some(column));
        let known = if is_of_request { &mut columns } else { &mut further_columns };
        if !known.contains(column) {
            known.push(column.clone());
        }
    }
    if columns.is_empty() {
        let message = format!("no request of `{}` uses a column of its partitions", key.name);
        scope.found.error(node.span.clone(), message).help("use one, as in path = \"{{ partition.value }}\"");
    }
    let included = layers.get("include_from_partition").map(|n| include(n, scope)).unwrap_or_default();
    let lists: Vec<PartitionList> =
        node.one_or_many().iter().filter_map(|node| list(node, &columns, file, scope)).collect();
    if lists.len() < node.one_or_many().len() || lists.is_empty() {
        if node.one_or_many().is_empty() {
            scope.found.error(node.span.clone(), "`partitions` has no list");
        }
        return None;
    }
    let include = included.iter().map(|i| (i.column.clone(), i.name.to_string())).collect();
    let partitions = Partitions { lists, columns, further_columns, include };
    check_columns(key, node, &partitions, uses, layers, scope);
    Some(partitions)
}

fn refuse_without_lists(key: &Key, table: &Table, uses: Uses<'_>, scope: &mut Scope<'_>) {
    for used in uses.of("partition") {
        let message = format!("`{}` is used, but `{}` has no partitions", used.path.join("."), key.name);
        scope.found.error(used.span.clone(), message).help("add `partitions = { values = […] }`");
    }
    if let Some((own, _)) = table.entry("include_from_partition") {
        let message = format!("`include_from_partition` has no effect: `{}` has no partitions", key.name);
        scope.found.error(own.span.clone(), message).help("add `partitions`, or leave it out");
    }
}

/// Columns with columns of the partition: under their own names, or as the table says.
pub(super) fn include(node: &Node, scope: &mut Scope<'_>) -> Vec<Included> {
    let mut included: Vec<Included> = Vec::new();
    for (column, node) in named_or_listed(node, scope) {
        let Some(name) = node.resolved() else { continue };
        let field = FieldPath(vec![name.clone()]);
        let column = column.unwrap_or_else(|| names::column_name(&[name]));
        refuse_twice(included.iter().map(|i| &i.column), &column, node, scope);
        included.push(Included { column, name: field });
    }
    included
}

/// One list. `needed` are the columns that the request uses.
fn list(node: &Node, needed: &[String], file: &File<'_>, scope: &mut Scope<'_>) -> Option<PartitionList> {
    let table = node.as_table()?;
    let given: Vec<&(Key, Node)> = SOURCES.iter().filter_map(|name| table.entry(name)).collect();
    let (source, rows) = match given.as_slice() {
        [(key, node)] => (key.name.as_str(), node),
        [] => {
            let help = "add `values = […]`, `file = \"…\"` or `sql = \"…\"`";
            scope.found.error(node.span.clone(), "the list has no rows").help(help);
            return None;
        }
        [first, second, ..] => {
            let message = format!("`{}` and `{}` can't both give the rows of a list", first.0.name, second.0.name);
            let help = "keep one of them; for combinations of several lists write `[[resources.NAME.partitions]]`";
            scope.found.error(second.0.span.clone(), message).help(help);
            return None;
        }
    };
    let name = table.get("name").and_then(Node::resolved);
    let on_missing = on_missing(table.get("on_missing"));
    let column = name.clone().unwrap_or_else(|| VALUE.to_owned());
    let folder = file.path.parent().unwrap_or(Path::new("")).to_owned();
    let rows = match source {
        "values" => {
            let found = values::rows(rows, &column, scope)?;
            values::refuse_missing(&found, needed, on_missing, scope);
            PartitionRows::Values(found.into_iter().map(|(row, _)| row).collect())
        }
        "file" => PartitionRows::File(folder.join(rows.resolved()?)),
        _ => PartitionRows::Sql { query: rows.resolved()?, folder },
    };
    if let (PartitionRows::Values(rows), Some(name)) = (&rows, &name)
        && rows.iter().any(|row| row.len() != 1 || !row.contains_key(name))
    {
        let place = table.entry("name").map_or(node.span.clone(), |(key, _)| key.span.clone());
        scope
            .found
            .error(place, "`name` is for lists of single values")
            .help("these rows name their columns themselves");
    }
    let place = scope.found.place(node.span.clone());
    Some(PartitionList { rows, is_named: name.is_some(), name: column, on_missing, place })
}

/// The columns of a list, where they are known before it is read.
fn columns_of(list: &PartitionList) -> Option<Vec<&str>> {
    match &list.rows {
        PartitionRows::Values(rows) => {
            let mut columns: Vec<&str> = rows.iter().flat_map(Row::keys).map(String::as_str).collect();
            columns.sort_unstable();
            columns.dedup();
            Some(columns)
        }
        PartitionRows::File(_) | PartitionRows::Sql { .. } => None,
    }
}

/// Lists that the file itself gives have single values: there is nothing within them.
fn refuse_looking_into_scalars(partitions: &Partitions, uses: Uses<'_>, scope: &mut Scope<'_>) {
    for used in uses.of("partition").filter(|used| used.path.len() > 2) {
        let column = FieldPath(used.path[..2].to_vec());
        let is_scalar = |list: &PartitionList| columns_of(list).is_some_and(|all| all.contains(&used.path[1].as_str()));
        if partitions.lists.iter().any(is_scalar) {
            let message = format!("`{}` never has a value: `{column}` is a single value", used.name());
            scope
                .found
                .error(used.span.clone(), message)
                .help(format!("use `{column}`, or take the rows from a file or query"));
        }
    }
}

/// Columns that are used have to be in one list, and every list has to be used, as far as that is known without reading.
fn check_columns(
    key: &Key,
    node: &Node,
    partitions: &Partitions,
    uses: Uses<'_>,
    layers: &Layers<'_>,
    scope: &mut Scope<'_>,
) {
    let known: Vec<Option<Vec<&str>>> = partitions.lists.iter().map(columns_of).collect();
    for (place, columns) in node.one_or_many().iter().zip(&known) {
        let Some(columns) = columns.as_ref().filter(|columns| !columns.is_empty()) else { continue };
        if !partitions.columns.is_empty() && !columns.iter().any(|c| partitions.columns.iter().any(|used| used == c)) {
            let message = format!("no request of `{}` uses a column of this list", key.name);
            let help = format!("its columns: {}", suggest::list(columns.iter().copied()));
            scope.found.error(place.span.clone(), message).help(help);
        }
    }
    let all: Vec<&str> = known.iter().flatten().flatten().copied().collect();
    let mut twice = all.iter().enumerate().filter(|(i, column)| all[..*i].contains(column));
    if let Some((_, column)) = twice.next() {
        scope.found.error(node.span.clone(), format!("two lists have a column `{column}`")).help("give one a `name`");
    }
    // Of an empty list the columns are not known.
    if known.iter().any(|columns| columns.as_ref().is_none_or(Vec::is_empty)) {
        return;
    }
    let missing = |column: &str| !all.contains(&column);
    let help = |name: &str| {
        suggest::did_you_mean(name, all.iter().map(|c| format!("partition.{c}")))
            .unwrap_or_else(|| format!("its columns: {}", suggest::list(all.iter().copied())))
    };
    for used in uses.of("partition") {
        if used.path.get(1).is_some_and(|column| missing(column)) {
            let name = used.path.join(".");
            let message = format!("no partition of `{}` has `{name}`", key.name);
            scope.found.error(used.span.clone(), message).help(help(&name));
        }
    }
    refuse_looking_into_scalars(partitions, uses, scope);
    let listed = layers.get("include_from_partition").map(|n| named_or_listed(n, scope)).unwrap_or_default();
    for (_, node) in listed {
        if let Some(name) = node.resolved().filter(|name| missing(name)) {
            let message = format!("no partition of `{}` has `{name}`", key.name);
            scope.found.error(node.span.clone(), message).help(help(&format!("partition.{name}")));
        }
    }
}
