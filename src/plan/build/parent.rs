//! A resource's parents: which of their fields the request needs, and which are stored.

use super::carried::{field_of_rows, include};
use super::layers::Layers;
use super::resource::File;
use super::scope::{Scope, Use};
use crate::config::tree::{Key, Node, Table};
use crate::plan::model::{FieldPath, FieldPlace, OnMissingField, Parent, ParentBatch, ParentField, ParentScope};
use crate::schema::names;
use std::ops::Range;

/// Keys that say something of a parent.
const PARENT_KEYS: [&str; 6] =
    ["include_from_parent", "parents", "on_missing_parent_field", "parent_batch", "parent_filter", "max_depth"];

/// How far down the rows of a resource may be that is its own parent, unless the file says so.
const MAX_DEPTH: u32 = 100;

/// What the expressions of a resource use.
#[derive(Clone, Copy)]
pub(super) struct Uses<'u> {
    /// In its request.
    pub(super) request: &'u [Use],
    /// In `add_columns`, `filter` and `parent_filter`.
    pub(super) added: &'u [Use],
    /// Those of them in `add_columns`.
    pub(super) columns: &'u [Use],
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

/// Builds the relation to the parents, but for the filter.
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
    let resources = named(node, scope)?;
    // That there is no such resource was said already; what follows from it would only confuse.
    if resources.iter().any(|resource| file.resource(resource).is_none()) {
        return None;
    }
    if uses.of_request("parent").next().is_none() {
        let first = resources.first().map_or("", String::as_str);
        let help = format!("use one, as in path = \"{first}/{{{{ parent.id }}}}/{}\"", key.name);
        let message = format!("no request of `{}` uses a field of its parent", key.name);
        scope.found.error(node.span.clone(), message).help(help);
    }
    let mut fields = Vec::new();
    let mut further_fields = Vec::new();
    for used in uses.of_request("parent") {
        note_field(&mut fields, &[], used, &resources, file, scope);
    }
    for used in uses.added.iter().filter(|u| u.root() == "parent") {
        note_field(&mut further_fields, &fields, used, &resources, file, scope);
    }
    let word = |name: &str| layers.get(name).and_then(Node::resolved);
    let is_own_parent = resources.contains(&key.name);
    check_own_parent(key, table, layers, is_own_parent, scope);
    Some(Parent {
        include: layers.get("include_from_parent").map(|n| include(n, &resources, file, scope)).unwrap_or_default(),
        fields,
        further_fields,
        filter: None,
        max_depth: max_depth(layers),
        scope: if word("parents").as_deref() == Some("changed") { ParentScope::Changed } else { ParentScope::All },
        on_missing_field: on_missing(layers.get("on_missing_parent_field")),
        batch: batch(key, layers, uses, scope),
        resources,
    })
}

/// The names of the parents.
fn named(node: &Node, scope: &mut Scope<'_>) -> Option<Vec<String>> {
    let mut resources: Vec<String> = Vec::new();
    for node in node.one_or_many() {
        let name = node.resolved()?;
        if resources.contains(&name) {
            scope.found.error(node.span.clone(), format!("`{name}` is named twice"));
            continue;
        }
        resources.push(name);
    }
    if resources.is_empty() {
        let help = "name a resource, or leave `parent` out";
        scope.found.error(node.span.clone(), "`parent` names no resource").help(help);
        return None;
    }
    Some(resources)
}

/// What can't be together with rows that are parents of further rows of the same resource.
fn check_own_parent(key: &Key, table: &Table, layers: &Layers<'_>, is_own_parent: bool, scope: &mut Scope<'_>) {
    if !is_own_parent {
        if let Some((own, _)) = table.entry("max_depth") {
            let message = format!("`max_depth` has no effect: `{}` is not its own parent", key.name);
            let help = format!("name it among its parents: parent = [\"RESOURCE\", \"{}\"]", key.name);
            scope.found.error(own.span.clone(), message).help(help);
        }
        return;
    }
    for (name, why) in [
        ("parent_batch", "whose rows are below which can't be told"),
        ("partitions", "rows would run for each combination again and again"),
    ] {
        if let Some((own, node)) = layers.entry(name)
            && !node.is_off()
        {
            let message = format!("`{name}` can't be used where `{}` is its own parent: {why}", key.name);
            scope.found.error(own.span.clone(), message).help(format!("leave `{name}` out"));
        }
    }
}

fn max_depth(layers: &Layers<'_>) -> u32 {
    let given = layers.get("max_depth").and_then(Node::as_count).and_then(|n| u32::try_from(n).ok());
    given.unwrap_or(MAX_DEPTH)
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
    parents: &[String],
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
    let found: Vec<FieldPlace> =
        parents.iter().filter_map(|parent| place_in_rows(parent, &name, &used.span, file, scope)).collect();
    if found.len() == parents.len() {
        fields.push(ParentField { name, places: found, required: !used.guarded });
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
) -> Option<FieldPlace> {
    let layers = file.layers(file.resource(resource)?);
    let json = (1..name.0.len()).find(|len| is_json_column(&layers, &name.0[..*len]));
    if let Some(len) = json {
        let (field, within) = name.0.split_at(len);
        return Some(FieldPlace { field: FieldPath(field.to_vec()), within: within.to_vec() });
    }
    let Some(index) = name.0.iter().position(|step| FieldPath::index_of(step).is_some()) else {
        let field = field_of_rows(resource, name, span, file, scope)?;
        return Some(FieldPlace { field, within: Vec::new() });
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

fn batch(key: &Key, layers: &Layers<'_>, uses: Uses<'_>, scope: &mut Scope<'_>) -> Option<ParentBatch> {
    let (at, node) = layers.entry("parent_batch").filter(|(_, node)| !node.is_off())?;
    let table = node.as_table()?;
    let mut refuse = |message: String, help: &str| {
        scope.found.error(at.span.clone(), message).help(help);
    };
    if layers.get("include_from_parent").is_some() {
        let message = "`include_from_parent` can't say which parent of a batch a row belongs to".to_owned();
        refuse(message, "take it from a field of the rows themselves, or leave `parent_batch` out");
    }
    if layers.get("incremental").is_some_and(|node| !has_one_cursor(node)) {
        let message = format!("`{}` has a cursor for each parent, which a batch of parents can't have", key.name);
        refuse(
            message,
            "add `scope = \"global\"` to `incremental`, leave `parent_batch` out, or set `incremental = false`",
        );
    }
    if layers.get("partitions").is_some() {
        let message = "`parent_batch` and `partitions` can't be used together".to_owned();
        refuse(message, "make the requests one by one, or split the resource");
    }
    for used in uses.columns.iter().filter(|u| u.root() == "parent") {
        let message = format!("`{}` can't say which parent of a batch a row belongs to", used.path.join("."));
        let help = "take it from a field of the rows themselves, or leave `parent_batch` out";
        scope.found.error(used.span.clone(), message).help(help);
    }
    let size = table.get("size").and_then(Node::as_count).and_then(|n| usize::try_from(n).ok());
    let separator = table.get("separator").and_then(Node::resolved);
    Some(ParentBatch { size: size.unwrap_or(50), separator: separator.unwrap_or_else(|| ",".to_owned()) })
}

/// Whether all units of a resource share its cursor.
fn has_one_cursor(incremental: &Node) -> bool {
    let scope = incremental.as_table().and_then(|table| table.get("scope")).and_then(Node::resolved);
    scope.as_deref() == Some("global")
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
