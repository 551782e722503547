//! How rows meet those already there: keys, disposition, strategy. Combinations that can't work are refused.

use super::layers::Layers;
use super::path;
use super::scope::Scope;
use crate::config::tree::{Key, Node, Table};
use crate::plan::model::{FieldPath, Merge, MergeStrategy, WriteDisposition};
use std::ops::Range;

/// Keys that say something of a merge.
const MERGE_KEYS: [&str; 4] = ["merge_strategy", "merge_key", "hard_delete", "retire_absent"];

/// What a resource does with its rows.
pub(super) struct Write {
    pub(super) primary_key: Vec<FieldPath>,
    pub(super) disposition: WriteDisposition,
    pub(super) merge: Merge,
}

/// Builds the writing of a resource. `own` is its table, without what it inherits.
///
/// `default_key` identifies a record where the file says neither what does nor how rows are written.
pub(super) fn write(
    key: &Key,
    own: &Table,
    layers: &Layers<'_>,
    default_key: Option<&str>,
    scope: &mut Scope<'_>,
) -> Write {
    let mut primary_key = named_fields("primary_key", layers, scope);
    let has_default = default_key.is_some() && layers.entry("primary_key").is_none();
    if let (Some(default), true) = (default_key, has_default) {
        primary_key.push(FieldPath(vec![default.to_owned()]));
    }
    let disposition = disposition(has_default, layers);
    let place = layers.get("write_disposition").map_or(key.span.clone(), |n| n.span.clone());
    match disposition {
        WriteDisposition::Merge if has_default => {}
        WriteDisposition::Merge => refuse_without_key(key, place, layers, scope),
        WriteDisposition::Replace => refuse_partial_lists(key, place, layers, scope),
        WriteDisposition::Append => {}
    }
    if disposition != WriteDisposition::Merge {
        refuse_merge_keys(own, disposition, scope);
        return Write { primary_key, disposition, merge: Merge::default() };
    }
    let strategy = strategy(key, layers, scope);
    let hard_delete = layers.get("hard_delete").and_then(|node| path::field(node, scope));
    if let (Some(node), MergeStrategy::InsertOnly) = (layers.get("hard_delete"), &strategy) {
        let message = "`hard_delete` has no effect with \"insert-only\", which never changes a stored row";
        scope.found.error(node.span.clone(), message).help("use another `merge_strategy`, or `hard_delete = false`");
    }
    refuse_excluded(layers, scope);
    Write { primary_key, disposition, merge: Merge { strategy, hard_delete } }
}

fn disposition(has_default_key: bool, layers: &Layers<'_>) -> WriteDisposition {
    let has_key = has_default_key || layers.get("primary_key").is_some() || layers.get("merge_key").is_some();
    match layers.get("write_disposition").and_then(Node::resolved).as_deref() {
        Some("replace") => WriteDisposition::Replace,
        Some("merge") => WriteDisposition::Merge,
        Some(_) => WriteDisposition::Append,
        None if has_key => WriteDisposition::Merge,
        None => WriteDisposition::Append,
    }
}

/// The fields of a key, which are at least one.
fn named_fields(name: &str, layers: &Layers<'_>, scope: &mut Scope<'_>) -> Vec<FieldPath> {
    if let Some(node) = layers.get(name).filter(|node| node.one_or_many().is_empty()) {
        let help = format!("name the fields that identify a record, or write `{name} = false`");
        scope.found.error(node.span.clone(), format!("`{name}` names no field")).help(help);
    }
    path::fields(layers.get(name), scope)
}

fn strategy(key: &Key, layers: &Layers<'_>, scope: &mut Scope<'_>) -> MergeStrategy {
    let merge_key = named_fields("merge_key", layers, scope);
    let flag = |name: &str| layers.entry(name).and_then(|(_, node)| node.as_boolean()).unwrap_or(false);
    let retire_absent = flag("retire_absent");
    let strategy = match layers.get("merge_strategy").and_then(Node::resolved).as_deref() {
        Some("delete-insert") => MergeStrategy::DeleteInsert { merge_key },
        Some("insert-only") => MergeStrategy::InsertOnly,
        Some("scd2") => MergeStrategy::Scd2 { retire_absent },
        _ => MergeStrategy::Upsert,
    };
    if let (Some(node), false) = (layers.get("merge_key"), matches!(strategy, MergeStrategy::DeleteInsert { .. })) {
        let message = format!("`merge_key` has no effect with \"{}\"", strategy.name());
        let help = "write `merge_strategy = \"delete-insert\"`, which replaces all rows of the same `merge_key`";
        scope.found.error(node.span.clone(), message).help(help);
    }
    if let (Some((own, _)), true) = (layers.entry("retire_absent"), retire_absent) {
        if matches!(strategy, MergeStrategy::Scd2 { .. }) {
            refuse_retiring(key, own.span.clone(), layers, scope);
        } else {
            let message = format!("`retire_absent` has no effect with \"{}\"", strategy.name());
            scope.found.error(own.span.clone(), message).help("it belongs to `merge_strategy = \"scd2\"`");
        }
    }
    strategy
}

/// What a run does not ask for would seem to be gone.
fn refuse_retiring(key: &Key, place: Range<usize>, layers: &Layers<'_>, scope: &mut Scope<'_>) {
    if layers.get("incremental").is_some() {
        let message = format!("`{}` can't retire what is absent: an incremental run doesn't list everything", key.name);
        scope.found.error(place, message).help("leave `retire_absent` out, or set `incremental = false`");
    } else if asks_changed_parents(layers) {
        let message = format!("`{}` can't retire what is absent: a run asks for changed parents only", key.name);
        scope.found.error(place, message).help("leave `retire_absent` out, or use `parents = \"all\"`");
    }
}

fn asks_changed_parents(layers: &Layers<'_>) -> bool {
    layers.get("parents").and_then(Node::resolved).as_deref() == Some("changed")
}

fn refuse_without_key(key: &Key, place: Range<usize>, layers: &Layers<'_>, scope: &mut Scope<'_>) {
    let strategy = layers.get("merge_strategy").and_then(Node::resolved);
    // Without a strategy it is the `merge_key` that is told about.
    let by_merge_key = layers.get("merge_key").is_some() && matches!(strategy.as_deref(), None | Some("delete-insert"));
    if layers.get("primary_key").is_some() || by_merge_key {
        return;
    }
    let message = format!("`{}` can't merge without a `primary_key`", key.name);
    scope.found.error(place, message).help("name the fields that identify a record, or use \"append\"");
}

fn refuse_partial_lists(key: &Key, place: Range<usize>, layers: &Layers<'_>, scope: &mut Scope<'_>) {
    if layers.get("incremental").is_some() {
        let message = format!("`{}` can't be replaced and incremental: each run would keep only what is new", key.name);
        let help = "use \"merge\" or \"append\", or set `incremental = false`";
        scope.found.error(place.clone(), message).help(help);
    }
    if asks_changed_parents(layers) {
        let message =
            format!("`{}` can't be replaced by the rows of changed parents: those of the others would go", key.name);
        scope.found.error(place, message).help("use \"merge\" or \"append\", or `parents = \"all\"`");
    }
}

/// A resource that does not merge may inherit such keys; its own would be meant to do something.
fn refuse_merge_keys(own: &Table, disposition: WriteDisposition, scope: &mut Scope<'_>) {
    let written = MERGE_KEYS.iter().filter_map(|name| own.entry(name)).filter(|(_, node)| !node.is_off());
    for (key, _) in written {
        let message = format!("`{}` has no effect with \"{}\"", key.name, disposition.name());
        scope.found.error(key.span.clone(), message).help("it belongs to `write_disposition = \"merge\"`");
    }
}

/// A field that is left out identifies nothing.
fn refuse_excluded(layers: &Layers<'_>, scope: &mut Scope<'_>) {
    let excluded = layers.get("exclude").map(Node::one_or_many).unwrap_or_default();
    let excluded: Vec<String> = excluded.iter().filter_map(Node::resolved).collect();
    for name in ["primary_key", "merge_key", "hard_delete"] {
        for node in layers.get(name).map(Node::one_or_many).unwrap_or_default() {
            let Some(field) = node.resolved() else { continue };
            let covers = |path: &String| {
                field.strip_prefix(path.as_str()).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
            };
            if excluded.iter().any(covers) {
                let message = format!("`{field}` is left out by `exclude`, so it can't be the `{name}`");
                scope.found.error(node.span.clone(), message).help("take it out of `exclude`");
            }
        }
    }
}
