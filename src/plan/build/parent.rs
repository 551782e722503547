//! A resource's parent: which of its fields the request needs, and which are stored.

use super::column::check_column_name;
use super::layers::Layers;
use super::partition;
use super::path;
use super::resource::File;
use super::scope::{Scope, Use};
use crate::config::tree::{Key, Node, Table, Value};
use crate::plan::model::{FieldPath, OnMissingField, Parent, ParentBatch, ParentField, ParentScope};
use crate::schema::names;
use std::ops::Range;

/// Keys that say something of a parent.
const PARENT_KEYS: [&str; 4] = ["include_from_parent", "parents", "on_missing_parent_field", "parent_batch"];

/// What the expressions of a resource use.
#[derive(Clone, Copy)]
pub(super) struct Uses<'u> {
    /// In its request.
    pub(super) request: &'u [Use],
    /// In `add_columns`.
    pub(super) added: &'u [Use],
}

impl<'u> Uses<'u> {
    /// Names below a root.
    pub(super) fn of(self, root: &'static str) -> impl Iterator<Item = &'u Use> {
        self.request.iter().chain(self.added).filter(move |u| u.root() == root)
    }

    /// Those of the request alone.
    pub(super) fn of_request(self, root: &'static str) -> impl Iterator<Item = &'u Use> {
        self.request.iter().filter(move |u| u.root() == root)
    }
}

/// Builds the relation to the parent.
pub(super) fn parent(
    key: &Key,
    table: &Table,
    layers: &Layers<'_>,
    file: &File<'_>,
    uses: Uses<'_>,
    scope: &mut Scope<'_>,
) -> Option<Parent> {
    let Some(node) = layers.get("parent") else {
        refuse_without_parent(key, table, uses, scope);
        return None;
    };
    let resource = node.resolved()?;
    // That there is no such resource was said already; what follows from it would only confuse.
    file.resource(&resource)?;
    if uses.of_request("parent").next().is_none() {
        let help = format!("use one, as in path = \"{resource}/{{{{ parent.id }}}}/{}\"", key.name);
        let message = format!("no request of `{}` uses a field of its parent", key.name);
        scope.found.error(node.span.clone(), message).help(help);
    }
    let mut fields = Vec::new();
    let mut further_fields = Vec::new();
    for used in uses.of_request("parent") {
        note_field(&mut fields, &[], used, &resource, file, scope);
    }
    for used in uses.added.iter().filter(|u| u.root() == "parent") {
        note_field(&mut further_fields, &fields, used, &resource, file, scope);
    }
    let word = |name: &str| layers.get(name).and_then(Node::resolved);
    let included = layers.get("include_from_parent").map(|n| include(n, &resource, file, scope)).unwrap_or_default();
    Some(Parent {
        include: included.into_iter().map(|i| (i.column, i.field)).collect(),
        fields,
        further_fields,
        scope: if word("parents").as_deref() == Some("changed") { ParentScope::Changed } else { ParentScope::All },
        on_missing_field: on_missing(layers.get("on_missing_parent_field")),
        batch: batch(key, layers, scope),
        resource,
    })
}

/// What a missing value means.
pub(super) fn on_missing(node: Option<&Node>) -> OnMissingField {
    match node.and_then(Node::resolved).as_deref() {
        Some("skip") => OnMissingField::Skip,
        _ => OnMissingField::Raise,
    }
}

fn note_field(
    fields: &mut Vec<ParentField>,
    known: &[ParentField],
    used: &Use,
    parent: &str,
    file: &File<'_>,
    scope: &mut Scope<'_>,
) {
    let name = FieldPath(used.path[1..].to_vec());
    if let Some(known) = fields.iter_mut().find(|f| f.name == name) {
        known.required |= !used.guarded;
        return;
    }
    if known.iter().any(|f| f.name == name) {
        return;
    }
    if let Some((field, within)) = place_in_rows(parent, &name, &used.span, file, scope) {
        fields.push(ParentField { name, field, within, required: !used.guarded });
    }
}

/// The field of a resource's rows that holds a value, and where in its JSON that is. Lists and objects are taken apart when
/// they are stored, so that only a column of JSON can be looked into.
fn place_in_rows(
    resource: &str,
    name: &FieldPath,
    span: &Range<usize>,
    file: &File<'_>,
    scope: &mut Scope<'_>,
) -> Option<(FieldPath, Vec<String>)> {
    let layers = Layers(vec![file.resource(resource)?, file.defaults]);
    let json = (1..name.0.len()).find(|len| is_json_column(&layers, &name.0[..*len]));
    if let Some(len) = json {
        let (field, within) = name.0.split_at(len);
        return Some((FieldPath(field.to_vec()), within.to_vec()));
    }
    let Some(index) = name.0.iter().position(|step| FieldPath::index_of(step).is_some()) else {
        return Some((field_of_rows(resource, name, span, file, scope)?, Vec::new()));
    };
    let list = FieldPath(name.0[..index].to_vec());
    let column = names::column_name(&list.0);
    scope
        .found
        .error(
            span.clone(),
            format!("the rows of `{resource}` don't keep `{list}` as a list: it has a table of its own"),
        )
        .help(format!("keep it in one column: `columns.{column} = {{ type = \"JSON\" }}` in `{resource}`"));
    None
}

/// Whether a field of a resource's rows is kept as JSON.
fn is_json_column(layers: &Layers<'_>, path: &[String]) -> bool {
    let hint =
        layers.get("columns").and_then(Node::as_table).and_then(|columns| columns.get(&names::column_name(path)));
    let declared = hint.and_then(Node::as_table).and_then(|hint| hint.get("type")).and_then(Node::resolved);
    declared.is_some_and(|data_type| data_type.eq_ignore_ascii_case("JSON"))
}

/// Where the rows of a resource have a field. `parent.FIELD` and `partition.COLUMN` of a resource that has a parent or
/// partitions of its own are the columns in which its rows carry them.
fn field_of_rows(
    resource: &str,
    name: &FieldPath,
    span: &Range<usize>,
    file: &File<'_>,
    scope: &mut Scope<'_>,
) -> Option<FieldPath> {
    let layers = file.layers(file.resource(resource)?);
    let (root, rest) = match name.0.as_slice() {
        [root, rest @ ..] if !rest.is_empty() => (root.as_str(), rest),
        _ => return Some(name.clone()),
    };
    let (carried, key): (Vec<Included>, _) = match root {
        "parent" if layers.get("parent").is_some() => {
            let above = layers.get("parent").and_then(Node::resolved)?;
            let node = layers.get("include_from_parent");
            (node.map(|n| include(n, &above, file, scope)).unwrap_or_default(), "include_from_parent")
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

/// Something of a parent or a partition that is stored.
#[derive(Debug, Clone)]
pub(super) struct Included {
    /// The column's name.
    pub(super) column: String,
    /// What is stored, as the file names it.
    pub(super) name: FieldPath,
    /// Where the rows above have it.
    pub(super) field: FieldPath,
}

/// Columns with fields of the parent: `PARENT_FIELD`, nested `PARENT_A__B`, or as the table says. What the parent carries of
/// its own parent keeps its name.
fn include(node: &Node, parent: &str, file: &File<'_>, scope: &mut Scope<'_>) -> Vec<Included> {
    let mut included: Vec<Included> = Vec::new();
    for (column, node) in named_or_listed(node, scope) {
        let Some(name) = path::field(node, scope) else { continue };
        let Some(field) = field_of_rows(parent, &name, &node.span, file, scope) else { continue };
        let column = match (column, field.0.as_slice()) {
            (Some(column), _) => column,
            (None, [carried]) if field != name => carried.clone(),
            (None, _) => format!("{}_{}", names::identifier(parent), names::column_name(&field.0)),
        };
        push(&mut included, Included { column, name, field }, node, scope);
    }
    included
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

/// Adds a column; one of a name.
pub(super) fn push(included: &mut Vec<Included>, new: Included, node: &Node, scope: &mut Scope<'_>) {
    if included.iter().any(|other| other.column == new.column) {
        scope.found.error(node.span.clone(), format!("the column `{}` is included twice", new.column));
    }
    included.push(new);
}

fn batch(key: &Key, layers: &Layers<'_>, scope: &mut Scope<'_>) -> Option<ParentBatch> {
    let (at, node) = layers.entry("parent_batch").filter(|(_, node)| !node.is_off())?;
    let table = node.as_table()?;
    let mut refuse = |message: String, help: &str| {
        scope.found.error(at.span.clone(), message).help(help);
    };
    if layers.get("include_from_parent").is_some() {
        let message = "`include_from_parent` can't say which parent of a batch a row belongs to".to_owned();
        refuse(message, "take it from a field of the rows themselves, or leave `parent_batch` out");
    }
    if layers.get("incremental").is_some() {
        let message = format!("`{}` has a cursor for each parent, which a batch of parents can't have", key.name);
        refuse(message, "leave `parent_batch` out, or set `incremental = false`");
    }
    if layers.get("partitions").is_some() {
        let message = "`parent_batch` and `partitions` can't be used together".to_owned();
        refuse(message, "make the requests one by one, or split the resource");
    }
    let size = table.get("size").and_then(Node::as_count).and_then(|n| usize::try_from(n).ok());
    let separator = table.get("separator").and_then(Node::resolved);
    Some(ParentBatch { size: size.unwrap_or(50), separator: separator.unwrap_or_else(|| ",".to_owned()) })
}

fn refuse_without_parent(key: &Key, table: &Table, uses: Uses<'_>, scope: &mut Scope<'_>) {
    for used in uses.of("parent") {
        let message = format!("`{}` is used, but `{}` has no parent", used.path.join("."), key.name);
        scope.found.error(used.span.clone(), message).help("add `parent = \"RESOURCE\"`");
    }
    for (own, node) in PARENT_KEYS.iter().filter_map(|name| table.entry(name)) {
        if node.is_off() {
            continue;
        }
        let message = format!("`{}` has no effect: `{}` has no parent", own.name, key.name);
        scope.found.error(own.span.clone(), message).help("add `parent = \"RESOURCE\"`, or leave it out");
    }
}
