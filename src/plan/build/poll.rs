//! When an answer is ready.

use super::path;
use super::scope::Scope;
use crate::config::tree::{Node, Table};
use crate::config::values;
use crate::plan::model::Poll;
use std::time::Duration;

/// Time between two requests by default.
const INTERVAL: Duration = Duration::from_secs(5);

/// Longest time to wait for an answer by default.
const TIMEOUT: Duration = Duration::from_secs(600);

/// Builds the polling of a resource. None: a mistake was reported.
pub(super) fn poll(node: &Node, scope: &mut Scope<'_>) -> Option<Poll> {
    let table = node.as_table()?;
    let path = table.get("path").and_then(|node| path::place(node, scope));
    let ready = match (table.entry("equals"), table.entry("in")) {
        (Some((_, node)), None) | (None, Some((_, node))) => states(node, scope),
        (Some(_), Some((key, _))) => {
            scope
                .found
                .error(key.span.clone(), "`equals` says already when the answer is ready")
                .help("keep one of them");
            Vec::new()
        }
        (None, None) => {
            let help = "add `equals = \"…\"`, or `in = [\"…\", \"…\"]`";
            scope.found.error(node.span.clone(), "`poll` does not say when the answer is ready").help(help);
            Vec::new()
        }
    };
    if let Some(node) = table.get("in").filter(|node| node.one_or_many().is_empty()) {
        scope.found.error(node.span.clone(), "`in` has no state, so that the answer would never be ready");
    }
    let fail_on = table.get("fail_on").map(|node| states(node, scope)).unwrap_or_default();
    if let (Some(both), Some((key, _))) = (fail_on.iter().find(|s| ready.contains(s)), table.entry("fail_on")) {
        scope.found.error(key.span.clone(), format!("`{both}` can't mean both ready and failed"));
    }
    Some(Poll {
        path: path?,
        ready,
        fail_on,
        interval: time(table, "interval", INTERVAL),
        timeout: time(table, "timeout", TIMEOUT),
    })
}

fn time(table: &Table, name: &str, default: Duration) -> Duration {
    table.get(name).and_then(values::time).unwrap_or(default)
}

/// States as texts. They are compared with what an answer says, so that there is nothing to evaluate.
fn states(node: &Node, scope: &mut Scope<'_>) -> Vec<String> {
    let mut states = Vec::new();
    for node in node.one_or_many() {
        let Some(text) = node.as_scalar() else { continue };
        if let Some(span) = text.expression_span() {
            scope.found.error(span, "`{{ … }}` can't be used in `poll`");
        }
        states.extend(text.resolved());
    }
    states
}
