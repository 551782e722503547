//! `[resources.NAME]`, with what it inherits.

use super::layers::Layers;
use super::parent::Uses;
use super::scope::{Scope, Use};
use super::write::{Write, write};
use super::{
    added, answers, auth, before, column, contract, filter, format, incremental, lint, nesting, pace, paginator,
    parent, partition, path, poll, request,
};
use crate::config::tree::{Key, Node, Table};
use crate::plan::model::{Client, FormatKind, OnRepeatedKey, Parent, Resource, Selector};
use crate::schema::names;
use std::path::Path;

/// The file's tables that a resource looks at.
pub(super) struct File<'a> {
    /// The file itself.
    pub(super) path: &'a Path,
    /// Names of a parent or partition that `base_url` uses: each resource's requests do.
    pub(super) base_uses: &'a [Use],
    pub(super) client: &'a Table,
    pub(super) defaults: &'a Table,
    pub(super) resources: &'a [(Key, Node)],
    /// The client as it is built; none if it has a mistake.
    pub(super) resolved: Option<&'a Client>,
}

impl<'a> File<'a> {
    /// What a resource says and inherits, the nearest first: its own table, those that it extends, the defaults.
    pub(super) fn layers(&self, table: &'a Table) -> Layers<'a> {
        let mut tables = vec![table];
        while let Some(base) = tables.last().and_then(|table| self.base_of(table)) {
            // A circle is a mistake of its own, see `extends`.
            if tables.iter().any(|known| std::ptr::eq(*known, base)) {
                break;
            }
            tables.push(base);
        }
        tables.push(self.defaults);
        Layers(tables)
    }

    /// The table of the resource that one extends.
    fn base_of(&self, table: &Table) -> Option<&'a Table> {
        self.resource(&table.get("extends")?.resolved()?)
    }

    /// The entries of the `parent` of a resource, its own or inherited: mostly one.
    pub(super) fn parent_nodes(&self, table: &'a Table) -> &'a [Node] {
        self.layers(table).get("parent").map(Node::one_or_many).unwrap_or_default()
    }

    /// The names of a resource's parents.
    pub(super) fn parents_of(&self, table: &'a Table) -> Vec<String> {
        self.parent_nodes(table).iter().filter_map(Node::resolved).collect()
    }

    /// The table that a resource fills, and the key that names it; none: it has its name from the resource.
    pub(super) fn table_of(&self, key: &Key, table: &'a Table) -> (String, Option<&'a Node>) {
        let given = self.layers(table).get("table_name");
        let name = given.and_then(Node::resolved).unwrap_or_else(|| key.name.clone());
        (names::identifier(&name), given)
    }

    /// The table of a resource.
    pub(super) fn resource(&self, name: &str) -> Option<&'a Table> {
        self.resources.iter().find(|(key, _)| key.name == name).and_then(|(_, node)| node.as_table())
    }
}

/// Builds a resource. None: a mistake was reported.
pub(super) fn resource(key: &Key, table: &Table, file: &File<'_>, scope: &mut Scope<'_>) -> Option<Resource> {
    let own = file.layers(table);
    let all = own.above(file.client);
    let auth = auth::auth(all.entry("auth"), file.path, file.resolved, scope);
    let since = scope.uses.len();
    scope.uses.extend(file.base_uses.iter().cloned());
    let retry = pace::retry(&all);
    let before = before::before(&own, &retry, file, scope);
    let request = request::request(&key.name, &own, &all, file.resolved, scope);
    scope.preparations.clear();
    let uses: Vec<Use> = scope.uses[since..].to_vec();
    let paging = paginator::paging(&own, &all, &uses, scope);
    let incremental = own.get("incremental").and_then(|node| incremental::incremental(node, &own, &uses, scope));
    let added_node = own.get("add_columns");
    let (add_columns, mut added_uses) = added::columns(added_node, scope);
    let columns_used = added_uses.len();
    let (filter, filter_uses) = filter::filter(own.get("filter"), scope);
    added_uses.extend(filter_uses);
    let (parent_filter, filter_uses) = filter::parent_filter(own.get("parent_filter"), scope);
    added_uses.extend(filter_uses);
    let used = Uses { request: &uses, added: &added_uses, columns: &added_uses[..columns_used] };
    let parent = parent::parent(key, table, &own, file, used, scope);
    let parent = parent.map(|parent| Parent { filter: parent_filter, ..parent });
    let partitions = partition::partitions(key, table, &own, file, used, scope);
    let cursor_paths: Vec<String> =
        incremental.iter().flat_map(|i| i.record_paths().iter().map(ToString::to_string)).collect();
    added::check_names(key, added_node, parent.as_ref(), partitions.as_ref(), &cursor_paths, scope);
    let format = format::format(&own, file.path, scope);
    let default_key = (format.kind == Some(FormatKind::File)).then_some("path");
    let Write { primary_key, disposition, merge } = write(key, table, &own, default_key, scope);
    let selector = match own.get("data_selector") {
        Some(node) if format.key_column.is_some() => path::selector_of_members(node, scope),
        Some(node) => path::selector(node, scope),
        None if format.kind == Some(FormatKind::File) => Some(Selector::Path(Vec::new())),
        None => Some(Selector::Auto),
    };
    let exclude = path::fields(own.get("exclude"), scope);
    let columns = column::columns(own.get("columns"), scope);
    if let Some(incremental) = &incremental {
        column::check_cursor(own.get("columns"), &columns, incremental, scope);
    }
    let rate_limits = pace::rate_limits(own.get("rate_limit"), scope);
    let response_actions = answers::response_actions(&all, &retry, scope);
    let is_windowed = incremental.as_ref().is_some_and(|incremental| incremental.window.is_some());
    answers::check_split(&all, &key.name, is_windowed, scope);
    let expect = answers::expect(&own, scope);
    // The body of a file is not looked into, so it can't say that it is ready.
    let is_read = format.kind != Some(FormatKind::File);
    let poll = own.get("poll").and_then(|node| poll::poll(node, scope)).filter(|_| is_read);
    let mut paging = paging?;
    if format.kind == Some(FormatKind::File) {
        paging.paginator = format::file_paginator(paging.paginator, &own, key, scope);
    }
    let resource = Resource {
        name: key.name.clone(),
        table: file.table_of(key, table).0,
        // One that is only there to be extended says so of itself.
        selected: Layers(vec![table, file.defaults]).flag("selected").unwrap_or(true),
        request: request?,
        before,
        auth: auth?,
        paginator: paging.paginator,
        max_pages: paging.max_pages,
        on_repeat: paging.on_repeat,
        format,
        on_repeated_key: on_repeated_key(&own),
        poll,
        selector: selector?,
        allow_missing: own.flag("allow_missing").unwrap_or(false),
        retry,
        rate_limits,
        response_actions,
        expect,
        incremental,
        parent,
        partitions,
        add_columns,
        primary_key,
        write: disposition,
        merge,
        schema_contract: contract::contract(&own),
        nesting: nesting::nesting(table, &own, scope),
        filter,
        exclude,
        columns,
    };
    lint::resource(key, &resource, &own, &all, &uses, scope);
    Some(resource)
}

fn on_repeated_key(own: &Layers<'_>) -> OnRepeatedKey {
    match own.get("on_repeated_key").and_then(Node::resolved).as_deref() {
        Some("fail") => OnRepeatedKey::Fail,
        _ => OnRepeatedKey::Warn,
    }
}
