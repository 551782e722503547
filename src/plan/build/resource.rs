//! `[resources.NAME]`, with what it inherits.

use super::layers::Layers;
use super::parent::Uses;
use super::scope::{Scope, Use};
use super::{added, client, incremental, paginator, parent, partition, path, relation, request};
use crate::config::tree::{Key, Node, Table};
use crate::plan::model::{Action, Client, Resource, ResponseAction, Selector};
use crate::schema::names;
use std::path::Path;

/// The file's tables that a resource looks at.
pub(super) struct File<'a> {
    /// Its path, as the user named it.
    pub(super) path: &'a Path,
    pub(super) client: &'a Table,
    pub(super) defaults: &'a Table,
    pub(super) resources: &'a [(Key, Node)],
    /// The client as it is built; none if it has a mistake.
    pub(super) resolved: Option<&'a Client>,
    /// The part of `base_url` that depends on the request.
    pub(super) base_path: Option<&'a client::BasePath>,
}

impl<'a> File<'a> {
    /// The `parent` of a resource, its own or inherited.
    pub(super) fn parent_of(&self, table: &'a Table) -> Option<&'a Node> {
        Layers(vec![table, self.defaults]).get("parent")
    }

    /// The table of a resource.
    pub(super) fn resource(&self, name: &str) -> Option<&'a Table> {
        self.resources.iter().find(|(key, _)| key.name == name).and_then(|(_, node)| node.as_table())
    }
}

/// Builds a resource. None: a mistake was reported.
pub(super) fn resource(key: &Key, table: &Table, file: &File<'_>, scope: &mut Scope<'_>) -> Option<Resource> {
    let own = Layers(vec![table, file.defaults]);
    let all = Layers(vec![table, file.defaults, file.client]);
    let auth = client::auth(all.entry("auth").map(|(_, node)| node), scope);
    let since = scope.uses.len();
    let request = request::request(&key.name, &own, &all, file, scope);
    let uses: Vec<Use> = scope.uses[since..].to_vec();
    let paging = paginator::paging(&own, &all, &uses, scope);
    let incremental = own.get("incremental").and_then(|node| incremental::incremental(node, &uses, scope));
    let added_node = own.get("add_columns");
    let (add_columns, added_uses) = added::columns(added_node, scope);
    let used = Uses { request: &uses, added: &added_uses };
    let parent = parent::parent(key, table, &own, file, used, scope);
    let partitions = partition::partitions(key, table, &own, file, used, scope);
    let cursor_paths: Vec<String> =
        incremental.iter().flat_map(|i| i.cursor_paths.iter().map(ToString::to_string)).collect();
    added::check_names(key, added_node, parent.as_ref(), partitions.as_ref(), &cursor_paths, scope);
    let (primary_key, write) = relation::write(key, &own, scope);
    let selector = match own.get("data_selector") {
        Some(node) => path::selector(node, scope).map(Selector::Path),
        None => Some(Selector::Auto),
    };
    let exclude = path::fields(own.get("exclude"), scope);
    let columns = relation::columns(own.get("columns"), scope);
    let response_actions = response_actions(&all, scope);
    let flag = |name: &str, default| own.entry(name).and_then(|(_, node)| node.as_boolean()).unwrap_or(default);
    let paging = paging?;
    let resource = Resource {
        name: key.name.clone(),
        table: names::identifier(&key.name),
        selected: flag("selected", true),
        request: request?,
        auth: auth?,
        paginator: paging.paginator,
        max_pages: paging.max_pages,
        on_repeat: paging.on_repeat,
        selector: selector?,
        allow_missing: flag("allow_missing", false),
        response_actions,
        incremental,
        parent,
        partitions,
        add_columns,
        primary_key,
        write,
        exclude,
        columns,
    };
    lint(key, &resource, &own, &uses, scope);
    Some(resource)
}

fn response_actions(all: &Layers<'_>, scope: &mut Scope<'_>) -> Vec<ResponseAction> {
    let mut actions = Vec::new();
    for node in all.all("response_actions").flat_map(Node::one_or_many) {
        let Some(table) = node.as_table() else { continue };
        if table.get("status").is_none() && table.get("body_contains").is_none() {
            let help = "add `status` or `body_contains`";
            scope.found.error(node.span.clone(), "this action matches every answer").help(help);
        }
        let action = match table.get("action").and_then(Node::resolved).as_deref() {
            Some("ignore") => Action::Ignore,
            Some("retry") => Action::Retry,
            Some("throttle") => Action::Throttle,
            Some("end") => Action::End,
            _ => Action::Fail,
        };
        actions.push(ResponseAction {
            status: table.get("status").and_then(Node::as_count).and_then(|s| u16::try_from(s).ok()),
            body_contains: table.get("body_contains").and_then(Node::resolved),
            action,
        });
    }
    actions
}

/// What can be loaded, but is probably not meant.
fn lint(key: &Key, resource: &Resource, own: &Layers<'_>, uses: &[Use], scope: &mut Scope<'_>) {
    paginator::warn_of_unset(resource, uses, scope);
    let starts = uses.iter().filter(|u| u.is("cursor", "start"));
    match &resource.incremental {
        Some(incremental) if incremental.start_param.is_none() && starts.clone().next().is_none() => {
            let place = own.entry("incremental").map_or(key.span.clone(), |(key, _)| key.span.clone());
            let message = format!("no request of `{}` uses its cursor: every run asks for everything", resource.name);
            scope.found.warning(place, message).help("add `start_param`, or use `{{ cursor.start }}`");
        }
        Some(_) => {}
        None => {
            for used in starts {
                let message = format!("`cursor.start` has no value in `{}`, which is not incremental", resource.name);
                scope.found.warning(used.span.clone(), message);
            }
        }
    }
    if resource.allow_missing && resource.selector == Selector::Auto {
        let place = own.entry("allow_missing").map_or(key.span.clone(), |(key, _)| key.span.clone());
        scope.found.warning(place, "`allow_missing` has no effect without a `data_selector`");
    }
}
