//! What can be loaded, but is probably not meant.

use super::layers::Layers;
use super::paginator;
use super::scope::{Scope, Use};
use crate::config::tree::{Key, Node, Value};
use crate::plan::model::{CursorSource, EndBound, Incremental, Paginator, Resource, RowOrder, Selector, StartBound};
use std::ops::Range;

/// Warns of a resource's keys. `uses` are the names that the request's expressions use.
pub(super) fn resource(
    key: &Key,
    resource: &Resource,
    own: &Layers<'_>,
    all: &Layers<'_>,
    uses: &[Use],
    scope: &mut Scope<'_>,
) {
    paginator::warn_of_unset(resource, uses, scope);
    warn_of_host(resource, own, scope);
    warn_of_bare_variables(own, scope);
    let place = |name: &str| own.entry(name).map_or(key.span.clone(), |(key, _)| key.span.clone());
    match &resource.incremental {
        Some(incremental) => {
            warn_of_unsent(resource, incremental, place("incremental"), scope);
            warn_of_bounds(incremental, own, scope);
            warn_of_moving_rows(resource, incremental, own, all, scope);
        }
        None => {
            for used in uses.iter().filter(|u| u.root() == "cursor") {
                let name = used.path.join(".");
                let message = format!("`{name}` has no value in `{}`, which is not incremental", resource.name);
                scope.found.warning(used.span.clone(), message);
            }
        }
    }
    if let Some((key, _)) = own.0.first().and_then(|own| own.entry("on_repeated_key"))
        && resource.primary_key.is_empty()
    {
        scope.found.warning(key.span.clone(), "`on_repeated_key` has no effect without a `primary_key`");
    }
    if resource.allow_missing && resource.selector == Selector::Auto {
        scope.found.warning(place("allow_missing"), "`allow_missing` has no effect without a `data_selector`");
    }
}

/// A path that begins with a host: it would be asked for below `base_url`.
fn warn_of_host(resource: &Resource, own: &Layers<'_>, scope: &mut Scope<'_>) {
    let Some((_, node)) = own.entry("path") else { return };
    let first = resource.request.path.source().trim_start_matches('/').split('/').next().unwrap_or_default();
    let domains = [".com", ".io", ".net", ".org", ".dev", ".app", ".co"];
    let is_host = first.starts_with("www.") || domains.iter().any(|domain| first.ends_with(domain));
    if is_host {
        let message = format!("`path` begins with a host: requests go to `{first}` below `base_url`");
        let help = "`path` is what follows `base_url`; another host is written with https://";
        scope.found.warning(node.span.clone(), message).help(help);
    }
}

/// `$NAME` without braces is sent as it is.
fn warn_of_bare_variables(own: &Layers<'_>, scope: &mut Scope<'_>) {
    let Some(table) = own.0.first() else { return };
    for name in ["auth", "headers", "params", "json", "form"] {
        if let Some(node) = table.get(name) {
            bare_variables(node, scope);
        }
    }
}

/// Warns of each text that is exactly `$NAME`.
pub(super) fn bare_variables(node: &Node, scope: &mut Scope<'_>) {
    match &node.value {
        Value::Table(table) => table.entries.iter().for_each(|(_, node)| bare_variables(node, scope)),
        Value::List(nodes) => nodes.iter().for_each(|node| bare_variables(node, scope)),
        Value::Text(text) if !text.has_substitution() => {
            let text = text.resolved().unwrap_or_default().to_string();
            let name = text.strip_prefix('$').unwrap_or_default();
            let is_name = |c: char| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_';
            if name.len() > 1 && name.chars().all(is_name) {
                let message = format!("`{text}` is sent as it is");
                let help = format!("for the environment variable write `${{{name}}}`");
                scope.found.warning(node.span.clone(), message).help(help);
            }
        }
        _ => {}
    }
}

/// A cursor that no request uses.
fn warn_of_unsent(resource: &Resource, incremental: &Incremental, place: Range<usize>, scope: &mut Scope<'_>) {
    // A value of the answer may be the address of the next run's first request.
    let is_address = matches!(incremental.source, CursorSource::Response(_));
    if !incremental.sends_start && !incremental.client_side && !is_address {
        let message = format!("no request of `{}` uses its cursor: every run asks for everything", resource.name);
        scope.found.warning(place, message).help("add `start_param`, or use `{{ cursor.start }}`");
    }
}

/// Ends that no request shows, and ends that have no value.
fn warn_of_bounds(incremental: &Incremental, own: &Layers<'_>, scope: &mut Scope<'_>) {
    let table = own.get("incremental").and_then(Node::as_table);
    let mut warn = |name: &str, message: &str, help: &str| {
        if let Some((key, _)) = table.and_then(|table| table.entry(name)) {
            scope.found.warning(key.span.clone(), message).help(help);
        }
    };
    let add = "add `end_param`, or use `{{ cursor.end }}`";
    if !incremental.sends_end {
        if incremental.window.is_some() {
            warn(
                "window",
                "no request shows the end of a `window`: each slice asks for everything after its start",
                add,
            );
        } else if !incremental.client_side {
            warn("end_value", "no request shows the `end_value`: rows after it are loaded too", add);
        }
    }
    let add_start = "add `start_param`, or use `{{ cursor.start }}`";
    if incremental.start_bound == StartBound::Exclusive && !incremental.sends_start {
        warn("start_bound", "`start_bound` has no effect: no request shows a start", add_start);
    }
    if incremental.earliest.is_some() && !incremental.sends_start && !incremental.client_side {
        warn("earliest", "`earliest` has no effect: no request shows a start", add_start);
    }
    if incremental.align && incremental.notation.timezone.is_some() && incremental.notation.format.is_none() {
        let help = "add `format = \"iso8601\"` or `format = \"date\"`, which are written in `timezone`";
        warn("align", "units begin in `timezone`, but starts may be written in another zone", help);
    }
    if incremental.end_bound == EndBound::Inclusive && !incremental.sends_end {
        warn("end_bound", "`end_bound` has no effect: no request shows an end", add);
    }
}

/// A page or offset walk in ascending order: a row that is updated meanwhile moves to the end, those behind it slide over a
/// seam between two pages, and the cursor passes them for good.
fn warn_of_moving_rows(
    resource: &Resource,
    incremental: &Incremental,
    own: &Layers<'_>,
    all: &Layers<'_>,
    scope: &mut Scope<'_>,
) {
    let is_numbered = matches!(resource.paginator, Paginator::Offset(_) | Paginator::PageNumber(_));
    let overlaps = all
        .get("paginator")
        .and_then(Node::as_table)
        .is_some_and(|table| table.get("overlap").is_some_and(|n| !n.is_off()));
    let is_ascending = incremental.row_order == Some(RowOrder::Ascending);
    if !is_ascending || !is_numbered || overlaps || incremental.walks_by_cursor {
        return;
    }
    let order = own.get("incremental").and_then(Node::as_table).and_then(|table| table.entry("row_order"));
    let Some((key, _)) = order else { return };
    scope
        .found
        .warning(
            key.span.clone(),
            "rows that are updated during the walk move others over a page's edge, where they are lost",
        )
        .help("add `walk = \"cursor\"`, or `overlap = 1` to an offset paginator");
}
