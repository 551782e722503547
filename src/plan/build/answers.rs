//! What answers mean: `response_actions` and `expect`.

use super::layers::Layers;
use super::path;
use super::scope::Scope;
use crate::config::tree::{Node, Table};
use crate::config::values;
use crate::plan::model::{Action, Again, Expect, FieldPath, ResponseAction, Retry, StatusSet, ValueTest};

/// Keys of an action that say which answers it is about.
const CONDITIONS: [&str; 4] = ["status", "body_contains", "header", "path"];

/// The entries about the answers of a resource, whose requests are tried again as `retry` says.
pub(super) fn response_actions(all: &Layers<'_>, retry: &Retry, scope: &mut Scope<'_>) -> Vec<ResponseAction> {
    let nodes = all.all("response_actions").flat_map(Node::one_or_many);
    nodes.filter_map(|node| action(node, retry, scope)).collect()
}

/// Refuses `split` where there is no window that could be halved.
pub(super) fn check_split(all: &Layers<'_>, resource: &str, is_windowed: bool, scope: &mut Scope<'_>) {
    let nodes = all.all("response_actions").flat_map(Node::one_or_many);
    let actions = nodes.filter_map(|node| node.as_table()?.get("action"));
    for action in actions.filter(|action| !is_windowed && action.resolved().as_deref() == Some("split")) {
        let message = format!("`split` halves a `window`, and `{resource}` has none");
        let help = "add `incremental.window`, or have only the resources with a window say `split`";
        scope.found.error(action.span.clone(), message).help(help);
    }
}

fn action(node: &Node, retry: &Retry, scope: &mut Scope<'_>) -> Option<ResponseAction> {
    let table = node.as_table()?;
    if CONDITIONS.iter().all(|name| table.get(name).is_none()) {
        let help = "add `status`, `body_contains`, `header` or `path`";
        scope.found.error(node.span.clone(), "this action matches every answer").help(help);
    }
    let test = test(table, scope);
    let header = table.get("header").and_then(Node::resolved).map(|name| name.to_ascii_lowercase());
    let path = table.get("path").and_then(|node| path::place(node, scope));
    if let (Some(_), Some(_), Some(place)) = (&header, &path, test_place(table)) {
        let help = "write two entries, or leave `header` or `path` out";
        scope.found.error(place.span.clone(), "this may be about `header` or about `path`").help(help);
    }
    let action = match table.get("action").and_then(Node::resolved).as_deref() {
        Some("ignore") => Action::Ignore,
        Some("retry") => Action::Retry,
        Some("throttle") => Action::Throttle,
        Some("end") => Action::End,
        Some("accept") => Action::Accept,
        Some("restart") => Action::Restart,
        Some("split") => Action::Split,
        _ => Action::Fail,
    };
    refuse_idle_keys(table, action, scope);
    let again = again(table);
    refuse_endless_wait(table, action, &again, retry, scope);
    Some(ResponseAction {
        statuses: statuses(table, scope),
        body_contains: table.get("body_contains").and_then(Node::resolved),
        header: header.map(|name| (name, test.clone())),
        path: path.map(|path| (path, test)),
        action,
        message: table.get("message").and_then(Node::resolved),
        again,
    })
}

fn statuses(table: &Table, scope: &mut Scope<'_>) -> Vec<StatusSet> {
    let Some(node) = table.get("status") else { return Vec::new() };
    if node.one_or_many().is_empty() {
        scope.found.error(node.span.clone(), "`status` has no status, so that this action would match nothing");
    }
    node.one_or_many().iter().filter_map(status).collect()
}

/// `404`, or `5xx`.
fn status(node: &Node) -> Option<StatusSet> {
    if let Some(class) = node.resolved().as_deref().and_then(|text| text.strip_suffix("xx")) {
        return class.parse().ok().map(StatusSet::Class);
    }
    node.as_count().and_then(|s| u16::try_from(s).ok()).map(StatusSet::One)
}

fn again(table: &Table) -> Again {
    Again {
        wait: table.get("wait").and_then(values::time),
        wait_header: table.get("wait_header").and_then(Node::resolved).map(|name| name.to_ascii_lowercase()),
        max_attempts: table.get("max_attempts").and_then(Node::as_count).and_then(|n| u32::try_from(n).ok()),
    }
}

/// Refuses keys that say nothing about this action.
fn refuse_idle_keys(table: &Table, action: Action, scope: &mut Scope<'_>) {
    let (names, help): (&[&str], &str) = match action {
        Action::Retry | Action::Throttle => return,
        Action::Fail | Action::Ignore | Action::End | Action::Restart | Action::Split => {
            (&["wait", "wait_header", "max_attempts"], "it is for `retry` and `throttle`")
        }
        Action::Accept => {
            (&["wait", "wait_header", "max_attempts", "message"], "an accepted answer is a page like any other")
        }
    };
    for (key, _) in names.iter().filter_map(|name| table.entry(name)) {
        let message = format!("`{}` says nothing about this action", key.name);
        scope.found.error(key.span.clone(), message).help(help);
    }
}

/// Refuses a wait that `retry` would never let come to its end.
fn refuse_endless_wait(table: &Table, action: Action, again: &Again, retry: &Retry, scope: &mut Scope<'_>) {
    let (name, longest) = match action {
        Action::Retry => ("max_elapsed", retry.max_elapsed),
        Action::Throttle => ("max_wait", retry.max_wait),
        Action::Ignore | Action::Fail | Action::End | Action::Accept | Action::Restart | Action::Split => return,
    };
    let Some(node) = table.get("wait").filter(|_| again.max_attempts.is_none()) else { return };
    if again.wait.is_some_and(|wait| wait > longest) {
        let message = format!("`wait` is longer than `retry.{name}` allows, so that the request would fail at once");
        let help = format!("add `max_attempts`, which then bounds these waits alone, or raise `retry.{name}`");
        scope.found.error(node.span.clone(), message).help(help);
    }
}

/// Keys that say what is asked of a value; one of them at most.
const TESTS: [&str; 4] = ["equals", "in", "not_equals", "contains"];

fn test_place(table: &Table) -> Option<&Node> {
    TESTS.iter().find_map(|name| table.get(name))
}

/// What is asked of the header or the path.
fn test(table: &Table, scope: &mut Scope<'_>) -> ValueTest {
    if let (None, None, Some(place)) = (table.get("header"), table.get("path"), test_place(table)) {
        let help = "add `path` or `header`; for any part of the body there is `body_contains`";
        scope.found.error(place.span.clone(), "nothing says what this is about").help(help);
    }
    let mut asked = TESTS.iter().filter_map(|name| table.entry(name));
    let Some((key, node)) = asked.next() else { return ValueTest::Present };
    if let Some((second, _)) = asked.next() {
        let message = format!("`{}` and `{}` can't both be asked for", key.name, second.name);
        scope.found.error(second.span.clone(), message);
    }
    if key.name == "in" && node.one_or_many().is_empty() {
        scope.found.error(node.span.clone(), "`in` has no value, so that this would match nothing");
    }
    let test = match key.name.as_str() {
        "equals" => scalar_text(node).map(ValueTest::Equals),
        "not_equals" => scalar_text(node).map(ValueTest::NotEquals),
        "in" => Some(ValueTest::In(node.one_or_many().iter().filter_map(scalar_text).collect())),
        _ => node.resolved().map(ValueTest::Contains),
    };
    test.unwrap_or(ValueTest::Present)
}

pub(super) fn expect(own: &Layers<'_>, scope: &mut Scope<'_>) -> Option<Expect> {
    let node = own.get("expect")?;
    let table = node.as_table()?;
    let min_records = table.get("min_records").and_then(Node::as_count);
    if table.get("min_records").is_none() && table.get("path").is_none() {
        let help = "add `min_records` or `path`";
        scope.found.error(node.span.clone(), "`expect` expects nothing").help(help);
    }
    let test = test(table, scope);
    let path: Option<FieldPath> = table.get("path").and_then(|node| path::place(node, scope));
    Some(Expect { min_records, path: path.map(|path| (path, test)) })
}

/// A number, text or flag as text.
fn scalar_text(node: &Node) -> Option<String> {
    node.as_scalar()?.resolved()
}
