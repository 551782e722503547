//! What answers mean: `response_actions` and `expect`.

use super::layers::Layers;
use super::path;
use super::scope::Scope;
use crate::config::tree::{Node, Table};
use crate::plan::model::{Action, Expect, FieldPath, ResponseAction, ValueTest};

/// Keys of an action that say which answers it is about.
const CONDITIONS: [&str; 4] = ["status", "body_contains", "header", "path"];

pub(super) fn response_actions(all: &Layers<'_>, scope: &mut Scope<'_>) -> Vec<ResponseAction> {
    let nodes = all.all("response_actions").flat_map(Node::one_or_many);
    nodes.filter_map(|node| action(node, scope)).collect()
}

fn action(node: &Node, scope: &mut Scope<'_>) -> Option<ResponseAction> {
    let table = node.as_table()?;
    if CONDITIONS.iter().all(|name| table.get(name).is_none()) {
        let help = "add `status`, `body_contains`, `header` or `path`";
        scope.found.error(node.span.clone(), "this action matches every answer").help(help);
    }
    let test = test(table, scope);
    let header = table.get("header").and_then(Node::resolved).map(|name| name.to_ascii_lowercase());
    let path = table.get("path").and_then(|node| path::field(node, scope));
    if let (Some(_), Some(_), Some(place)) = (&header, &path, test_place(table)) {
        let help = "write two entries, or leave `header` or `path` out";
        scope.found.error(place.span.clone(), "this may be about `header` or about `path`").help(help);
    }
    let action = match table.get("action").and_then(Node::resolved).as_deref() {
        Some("ignore") => Action::Ignore,
        Some("retry") => Action::Retry,
        Some("throttle") => Action::Throttle,
        Some("end") => Action::End,
        _ => Action::Fail,
    };
    Some(ResponseAction {
        status: table.get("status").and_then(Node::as_count).and_then(|s| u16::try_from(s).ok()),
        body_contains: table.get("body_contains").and_then(Node::resolved),
        header: header.map(|name| (name, test.clone())),
        path: path.map(|path| (path, test)),
        action,
    })
}

fn test_place(table: &Table) -> Option<&Node> {
    table.get("equals").or_else(|| table.get("contains"))
}

/// What is asked of the header or the path.
fn test(table: &Table, scope: &mut Scope<'_>) -> ValueTest {
    if let (None, None, Some(place)) = (table.get("header"), table.get("path"), test_place(table)) {
        let help = "add `path` or `header`; for any part of the body there is `body_contains`";
        scope.found.error(place.span.clone(), "nothing says what this is about").help(help);
    }
    match (table.get("equals"), table.get("contains")) {
        (Some(_), Some(second)) => {
            scope.found.error(second.span.clone(), "`equals` and `contains` can't both be asked for");
            ValueTest::Present
        }
        (Some(node), None) => scalar_text(node).map_or(ValueTest::Present, ValueTest::Equals),
        (None, Some(node)) => node.resolved().map_or(ValueTest::Present, ValueTest::Contains),
        (None, None) => ValueTest::Present,
    }
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
    let path: Option<FieldPath> = table.get("path").and_then(|node| path::field(node, scope));
    Some(Expect { min_records, path: path.map(|path| (path, test)) })
}

/// A number, text or flag as text.
fn scalar_text(node: &Node) -> Option<String> {
    node.as_scalar()?.resolved()
}
