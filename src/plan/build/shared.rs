//! Tables that several resources fill. What one of them says of its rows has to hold for the others.

use super::resource::File;
use crate::config::diagnostic::Diagnostics;
use crate::config::tree::{Key, Node};
use crate::plan::model::{MergeStrategy, Resource, WriteDisposition};
use crate::schema::names;
use std::ops::Range;

/// Checks the names of all tables. Two resources fill one table only if one of them names it, and none fills one of ours.
pub(super) fn check_names(entries: &[(Key, Node)], file: &File<'_>, found: &mut Diagnostics) {
    let mut known: Vec<(String, bool, &Key)> = Vec::new();
    for (key, node) in entries {
        let Some(table) = node.as_table() else { continue };
        let (table, given) = file.table_of(key, table);
        let place = given.map_or(key.span.clone(), |node| node.span.clone());
        if table.starts_with(names::OWN_PREFIX) {
            let help = format!("tables that begin with `{}` are Pintail's own", names::OWN_PREFIX);
            found.error(place.clone(), format!("a resource can't fill the table `{table}`")).help(help);
        }
        if given.and_then(Node::resolved).is_some_and(|name| !name.contains(char::is_alphanumeric)) {
            found.error(place, "`table_name` has no letter or digit");
        }
        let taken = known.iter().find(|(other, is_given, _)| *other == table && !is_given && given.is_none());
        if let Some((.., other)) = taken {
            let message = format!("`{}` and `{}` both fill the table `{table}`", other.name, key.name);
            let help = format!("rename one of them; if they are to share it, add `table_name = \"{table}\"`");
            found.error(key.span.clone(), message).help(help);
        }
        known.push((table, given.is_some(), key));
    }
}

/// Checks that resources that share a table agree about its rows.
pub(super) fn check(resources: &[Resource], entries: &[(Key, Node)], found: &mut Diagnostics) {
    let place = |resource: &Resource| -> Range<usize> {
        entries.iter().find(|(key, _)| key.name == resource.name).map_or(0..0, |(key, _)| key.span.clone())
    };
    for (at, resource) in resources.iter().enumerate() {
        let fellows = || resources.iter().filter(|r| r.table == resource.table && r.name != resource.name);
        let Some(other) = fellows().next() else { continue };
        for (what, help) in unfit_to_share(resource) {
            let message = format!("`{}` can't share the table `{}`: {what}", resource.name, resource.table);
            found.error(place(resource), message).help(help);
        }
        if let Some(first) = resources[..at].iter().find(|r| r.table == resource.table) {
            for key in disagreements(first, resource) {
                let message = format!(
                    "`{}` and `{}` share the table `{}`, and differ in `{key}`",
                    first.name, resource.name, first.table
                );
                found.error(place(resource), message).help(format!(
                    "say the same of both, in [resource_defaults] perhaps; or give `{}` a table of its own",
                    other.name
                ));
            }
            refuse_hidden_parents(resource, resources, place(resource), found);
        }
    }
    for child in resources {
        check_parents(child, resources, place(child), found);
    }
}

/// What a resource says of its rows that would concern those of others.
fn unfit_to_share(resource: &Resource) -> Vec<(&'static str, &'static str)> {
    let mut found = Vec::new();
    if resource.write == WriteDisposition::Replace {
        found.push(("\"replace\" would take the rows of the others out", "use \"merge\" or \"append\""));
    }
    match resource.merge_strategy() {
        Some(MergeStrategy::DeleteInsert { merge_key }) if !merge_key.is_empty() => {
            found.push(("a group of its `merge_key` may hold rows of the others", "use the strategy \"upsert\""));
        }
        Some(MergeStrategy::Scd2 { retire_absent: true }) => {
            found.push(("`retire_absent` would retire the rows of the others", "leave `retire_absent` out"));
        }
        _ => {}
    }
    found
}

/// Keys that have to say the same of two resources with one table.
fn disagreements(one: &Resource, other: &Resource) -> Vec<&'static str> {
    let brings_key = |resource: &Resource| -> Vec<bool> {
        resource.primary_key.iter().map(|field| resource.brings(field)).collect()
    };
    let mut found = Vec::new();
    if one.write != other.write {
        found.push("write_disposition");
    }
    if one.primary_key != other.primary_key || brings_key(one) != brings_key(other) {
        found.push("primary_key");
    }
    if one.merge.strategy != other.merge.strategy {
        found.push("merge_strategy");
    }
    if one.merge.hard_delete != other.merge.hard_delete {
        found.push("hard_delete");
    }
    if one.schema_contract != other.schema_contract {
        found.push("schema_contract");
    }
    if one.nesting != other.nesting {
        found.push("nested` or `max_table_nesting");
    }
    if one.columns != other.columns {
        found.push("columns");
    }
    found
}

/// Of the resources that share a table, all but the first begin when it is theirs: they find their parents in the warehouse.
fn refuse_hidden_parents(resource: &Resource, resources: &[Resource], place: Range<usize>, found: &mut Diagnostics) {
    let parents = resource.parent.iter().flat_map(|p| &p.resources).filter(|name| **name != resource.name);
    for parent in parents.filter_map(|name| resources.iter().find(|r| r.name == *name)).filter(|r| !r.selected) {
        let message = format!("`{}` shares its table, so its parent `{}` has to be stored", resource.name, parent.name);
        let help = format!(
            "leave `selected = false` of `{}` out, or give `{}` a table of its own",
            parent.name, resource.name
        );
        found.error(place.clone(), message).help(help);
    }
}

/// A table does not say which resource brought a row: who is a child of one of those that share it is a child of all.
fn check_parents(child: &Resource, resources: &[Resource], place: Range<usize>, found: &mut Diagnostics) {
    let Some(parent) = &child.parent else { return };
    for name in &parent.resources {
        let Some(table) = resources.iter().find(|r| r.name == *name).map(|r| &r.table) else { continue };
        let all = || resources.iter().filter(|r| r.table == *table);
        if let Some(missing) = all().find(|r| !parent.resources.contains(&r.name)) {
            let message = format!(
                "`{name}` and `{}` share the table `{table}`, so `{}` has both as parents",
                missing.name, child.name
            );
            let names = parent.resources.iter().chain([&missing.name]).map(|n| format!("\"{n}\""));
            let help = format!("write parent = [{}]", names.collect::<Vec<_>>().join(", "));
            found.error(place.clone(), message).help(help);
        }
    }
}
