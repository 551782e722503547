//! From the tree of a pipeline file to the plan. What the description of the keys can't say is checked here: references,
//! combinations, values with a form of their own. A mistake goes to the diagnostics, and building goes on, so that all are
//! found at once.

mod added;
mod answers;
mod auth;
mod before;
mod bound;
mod carried;
mod client;
mod column;
mod contract;
mod extends;
mod filter;
mod format;
mod incremental;
mod json_text;
mod layers;
mod lint;
mod nesting;
mod pace;
mod paginator;
mod parent;
mod partition;
mod path;
mod poll;
mod request;
mod resource;
mod scope;
mod shared;
mod vars;
mod write;

use super::graph;
use super::model::{JsonTemplate, Pipeline, Resource};
use crate::config::diagnostic::Diagnostics;
use crate::config::tree::{Key, Node, Table};
use crate::plan::suggest;
use crate::schema::names;
use scope::{Scope, Use};
use std::path::Path;

/// Builds the plan of a file. `overrides` are the `--var`s. None: a mistake was reported.
pub fn pipeline(
    file: &Path,
    table: &Table,
    overrides: &[(String, String)],
    found: &mut Diagnostics,
) -> Option<Pipeline> {
    let (name, dataset) = names_of(file, table, found);
    let mut uses = Vec::new();
    let vars = vars::variables(table, overrides, found);
    let mut scope = Scope::new(found, &vars);
    let client_table = table.get("client").and_then(Node::as_table);
    let client = client_table.and_then(|client| client::client(client, file, &mut scope));
    uses.append(&mut scope.uses);
    let base_uses: Vec<Use> = uses.iter().filter(|u| matches!(u.root(), "parent" | "partition")).cloned().collect();
    let empty = Table::default();
    let source = resource::File {
        path: file,
        base_uses: &base_uses,
        client: client_table.unwrap_or(&empty),
        defaults: table.get("resource_defaults").and_then(Node::as_table).unwrap_or(&empty),
        resources: table.get("resources").and_then(Node::as_table).map(|t| t.entries.as_slice()).unwrap_or_default(),
        resolved: client.as_ref(),
    };
    let resources = resources(table, &source, &vars, &mut uses, found);
    vars::warn_of_unused(table, &uses, found);
    Some(Pipeline {
        name,
        description: table.get("description").and_then(Node::resolved),
        dataset,
        file: file.to_owned(),
        client: client?,
        vars,
        resources: resources?,
    })
}

/// Name and dataset. The name is part of file names.
fn names_of(file: &Path, table: &Table, found: &mut Diagnostics) -> (String, String) {
    let stem = file.file_stem().map(|s| s.to_string_lossy().into_owned()).unwrap_or_default();
    let given = table.get("name");
    let name = given.and_then(Node::resolved).unwrap_or(stem);
    let usable = |c: char| c.is_alphanumeric() || matches!(c, '_' | '-' | '.');
    if !name.starts_with(char::is_alphanumeric) || !name.chars().all(usable) {
        let message = format!("`{name}` can't be the name of a pipeline");
        let help = "use letters, digits, `-`, `_` and `.`, with a letter or digit first";
        match given {
            Some(node) => found.error(node.span.clone(), message).help(help),
            None => found.error_of_file(message).help(format!("{help}; or give a `name` in the file")),
        };
    }
    let dataset = table.get("dataset");
    let wanted = dataset.and_then(Node::resolved).unwrap_or_else(|| name.clone());
    if let Some(node) = dataset.filter(|_| !wanted.contains(char::is_alphanumeric)) {
        found.error(node.span.clone(), "`dataset` has no letter or digit");
    }
    (name, names::identifier(&wanted))
}

fn resources(
    table: &Table,
    file: &resource::File<'_>,
    vars: &[(String, JsonTemplate)],
    uses: &mut Vec<Use>,
    found: &mut Diagnostics,
) -> Option<Vec<Resource>> {
    let (key, node) = table.entry("resources")?;
    let entries = &node.as_table()?.entries;
    if entries.is_empty() {
        found.error(key.span.clone(), "there are no resources").help("add one: [resources.NAME]");
    }
    shared::check_names(entries, file, found);
    extends::check(entries, found);
    let mut built = Vec::with_capacity(entries.len());
    for index in order(file, found)? {
        let (key, node) = &entries[index];
        let mut scope = Scope::new(found, vars);
        let resource = node.as_table().and_then(|table| resource::resource(key, table, file, &mut scope));
        uses.append(&mut scope.uses);
        built.push(resource);
    }
    let built: Vec<Resource> = built.into_iter().collect::<Option<_>>()?;
    shared::check(&built, entries, found);
    Some(built)
}

/// The order in which resources run. Unknown parents and cycles are reported.
fn order(file: &resource::File<'_>, found: &mut Diagnostics) -> Option<Vec<usize>> {
    let entries = file.resources;
    let index_of = |name: &str| entries.iter().position(|(key, _)| key.name == name);
    let mut parents = Vec::with_capacity(entries.len());
    for (at, (key, node)) in entries.iter().enumerate() {
        let nodes = node.as_table().map(|table| file.parent_nodes(table)).unwrap_or_default();
        let mut known: Vec<usize> = Vec::new();
        for (node, name) in nodes.iter().filter_map(|node| Some((node, node.resolved()?))) {
            match index_of(&name) {
                Some(index) => known.push(index),
                None => report_unknown_parent(key, node, &name, entries, found),
            }
        }
        // A resource may go on from its own rows, once another one has begun.
        if known.iter().any(|index| *index != at) {
            known.retain(|index| *index != at);
        }
        parents.push(known);
    }
    match graph::parents_first(&parents) {
        Ok(order) => Some(order),
        Err(cycle) => {
            let names: Vec<&str> = cycle.iter().chain(cycle.first()).map(|i| entries[*i].0.name.as_str()).collect();
            let (message, help) = match names.as_slice() {
                [only, _] => {
                    let help = format!("name another one that it begins with: parent = [\"RESOURCE\", \"{only}\"]");
                    (format!("`{only}` is its own parent"), Some(help))
                }
                names => (format!("parents go in a circle: {}", names.join(" → ")), None),
            };
            let table = cycle.first().and_then(|i| entries[*i].1.as_table());
            let node = table.and_then(|table| file.parent_nodes(table).first());
            found.error(node.map_or(0..0, |n| n.span.clone()), message).help_maybe(help);
            None
        }
    }
}

fn report_unknown_parent(key: &Key, node: &Node, name: &str, entries: &[(Key, Node)], found: &mut Diagnostics) {
    let known = entries.iter().map(|(k, _)| k.name.as_str()).filter(|name| *name != key.name);
    let help = suggest::did_you_mean(name, known.clone())
        .unwrap_or_else(|| format!("resources of this file: {}", suggest::list(known)));
    found.error(node.span.clone(), format!("there is no resource `{name}`")).help(help);
}
