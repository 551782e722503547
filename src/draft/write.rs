//! The draft as TOML.

use super::auth::Lines;
use super::endpoint::Endpoint;
use super::family::{Place, Source};
use super::since::Since;
use super::words::{first_line, inline, key, quoted, written};
use std::collections::BTreeMap;
use std::fmt::Write;

/// All that the text is made of.
pub(super) struct Parts<'p, 'd> {
    pub(super) name: &'p str,
    pub(super) title: String,
    pub(super) remarks: Vec<String>,
    pub(super) base_url: Lines,
    pub(super) auth: Lines,
    pub(super) endpoints: &'p [Endpoint<'d>],
    pub(super) places: &'p [Place],
    /// Values of `[vars]`, and whether a person has to fill them in.
    pub(super) variables: &'p BTreeMap<String, (String, bool)>,
    pub(super) left_out: &'p [String],
}

/// What most resources have, and the others then have to say otherwise.
struct Usual {
    paginator: Option<String>,
}

pub(super) fn text(parts: &Parts<'_, '_>) -> String {
    let mut out = String::new();
    let name = parts.name;
    let _ = writeln!(out, "# {}", parts.title);
    let _ = writeln!(
        out,
        "#\n# Drafted from an OpenAPI document. What it doesn't say for sure is commented out, with the reason."
    );
    for remark in &parts.remarks {
        let _ = writeln!(out, "# {remark}");
    }
    let _ = writeln!(
        out,
        "#\n#   pintail check {name}           finds mistakes, asks nobody\n#   pintail run {name}             loads what is new into warehouse.duckdb, schema `{name}`\n"
    );
    let _ = writeln!(out, "name = {}", quoted(name));
    if !parts.variables.is_empty() {
        out.push_str("\n# What paths need and no list of the API tells.\n[vars]\n");
        for (variable, (value, is_unknown)) in parts.variables {
            let note = if *is_unknown { " # EDIT" } else { " # the document's example" };
            let _ = writeln!(out, "{} = {value}{note}", key(variable));
        }
    }
    let usual = Usual { paginator: most_frequent(parts.endpoints) };
    client(parts, &usual, &mut out);
    for i in 0..parts.endpoints.len() {
        out.push('\n');
        out.push_str(&resource(i, parts, &usual));
    }
    if !parts.left_out.is_empty() {
        out.push_str("\n# ---- Not drafted ------------------------------------------------------------------------------------------------\n#\n");
        for line in parts.left_out {
            let _ = writeln!(out, "# GET {line}");
        }
    }
    out
}

/// The paginator of more than half of the resources.
fn most_frequent(endpoints: &[Endpoint<'_>]) -> Option<String> {
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for paginator in endpoints.iter().filter_map(|e| e.paging.paginator.as_deref()) {
        *counts.entry(paginator).or_default() += 1;
    }
    let (paginator, count) = counts.into_iter().max_by_key(|(_, count)| *count)?;
    (count > 1 && count * 2 > endpoints.len()).then(|| paginator.to_owned())
}

fn client(parts: &Parts<'_, '_>, usual: &Usual, out: &mut String) {
    out.push_str("\n[client]\n");
    for line in parts.base_url.lines.iter().chain(&parts.auth.lines) {
        let _ = writeln!(out, "{line}");
    }
    if !parts.auth.headers.is_empty() {
        let _ = writeln!(out, "headers = {}", inline(&parts.auth.headers));
    }
    if !parts.auth.params.is_empty() {
        let _ = writeln!(out, "params = {}", inline(&parts.auth.params));
    }
    if let Some(paginator) = &usual.paginator {
        let _ = writeln!(out, "paginator = {paginator}");
    }
    out.push_str("# What the API allows; all of them hold at once.\n# rate_limit = [\"10/second\", \"5000/hour\"]\n");
}

fn resource(at: usize, parts: &Parts<'_, '_>, usual: &Usual) -> String {
    let (endpoint, place) = (&parts.endpoints[at], &parts.places[at]);
    let mut lines = vec![format!("[resources.{}]", key(&place.name))];
    lines.push(format!("path = {}", written(&path(endpoint, place))));
    let included: Vec<String> = place.sources.iter().rev().filter_map(|(_, source)| source.included()).collect();
    if let Some(parent) = place.parent {
        lines.push(format!("parent = {}", quoted(&parts.places[parent].name)));
        let included = included.iter().map(|field| quoted(field)).collect::<Vec<_>>();
        lines.push(format!("include_from_parent = [{}]", included.join(", ")));
    }
    if !endpoint.params.is_empty() {
        lines.push(format!("params = {}", inline(&endpoint.params)));
    }
    if !endpoint.headers.is_empty() {
        lines.push(format!("headers = {}", inline(&endpoint.headers)));
    }
    lines.push(format!("data_selector = {}", quoted(endpoint.list.selector.as_deref().unwrap_or("$"))));
    lines.extend(keys(at, parts));
    lines.extend(paginator(endpoint, usual));
    lines.extend(incremental(endpoint));
    let mut out = String::new();
    if !endpoint.summary.is_empty() {
        let _ = writeln!(out, "# {}", endpoint.summary);
    }
    if !endpoint.others.is_empty() {
        let _ = writeln!(out, "# Further parameters: {}", first_line(&endpoint.others.join(", ")));
    }
    if let Some(why) = &endpoint.unsure {
        let _ = writeln!(out, "# EDIT: {}", first_line(why));
    }
    for line in lines {
        let _ = writeln!(out, "{}{line}", if endpoint.unsure.is_some() { "# " } else { "" });
    }
    out
}

/// The path with its parameters as expressions.
fn path(endpoint: &Endpoint<'_>, place: &Place) -> String {
    let mut path = endpoint.path.trim_start_matches('/').to_owned();
    for (name, source) in &place.sources {
        path = path.replacen(&format!("{{{name}}}"), &format!("{{{{ {} }}}}", source.expression()), 1);
    }
    path
}

/// `primary_key`. A record that is listed below several parents is one row for each of them.
fn keys(at: usize, parts: &Parts<'_, '_>) -> Vec<String> {
    let (endpoint, place) = (&parts.endpoints[at], &parts.places[at]);
    let Some(own) = endpoint.key else {
        return vec![
            "# No field is called `id` or the like. With one, rows could be merged: primary_key = \"…\"".to_owned(),
            "write_disposition = \"replace\"".to_owned(),
        ];
    };
    let mut columns: Vec<String> = Vec::new();
    for (_, source) in &place.sources {
        if let Source::Parent { steps, field } = source {
            columns.extend(column(at, *steps, field, parts));
        }
    }
    columns.push(own.to_owned());
    match columns.as_slice() {
        [only] => vec![format!("primary_key = {}", quoted(only))],
        all => vec![format!("primary_key = [{}]", all.iter().map(|c| quoted(c)).collect::<Vec<_>>().join(", "))],
    }
}

/// The column that `include_from_parent` makes of a field, so many steps up: it is named after the resource that has it.
fn column(at: usize, steps: usize, field: &str, parts: &Parts<'_, '_>) -> Option<String> {
    let mut owner = at;
    for _ in 0..steps {
        owner = parts.places[owner].parent?;
    }
    Some(format!("{}_{}", parts.places[owner].name, crate::schema::names::identifier(field)))
}

fn paginator(endpoint: &Endpoint<'_>, usual: &Usual) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    if let Some(note) = &endpoint.paging.note {
        lines.push(format!("# {note}"));
    }
    match (&endpoint.paging.paginator, &usual.paginator) {
        (own, usual) if own == usual => {}
        (Some(own), _) => lines.push(format!("paginator = {own}")),
        (None, Some(_)) => lines.push("paginator = \"auto\"".to_owned()),
        (None, None) => {}
    }
    lines
}

fn incremental(endpoint: &Endpoint<'_>) -> Vec<String> {
    match &endpoint.since {
        Since::Sure { table, .. } => vec![format!("incremental = {table}")],
        Since::Unsure { table, why } => {
            vec![format!("# EDIT: {}", first_line(why)), format!("# incremental = {table}")]
        }
        Since::None => Vec::new(),
    }
}
