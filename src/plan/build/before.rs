//! Requests that come before the first page of a walk.

use super::layers::Layers;
use super::resource::File;
use super::scope::Scope;
use super::{answers, poll, request};
use crate::config::tree::{Node, Table};
use crate::plan::model::{Preparation, Retry};

/// Builds the requests that come before those of a resource. Afterwards `scope` knows their answers. `own` is the resource
/// with its defaults: their entries about answers hold here too.
pub(super) fn before(own: &Layers<'_>, retry: &Retry, file: &File<'_>, scope: &mut Scope<'_>) -> Vec<Preparation> {
    let nodes = own.get("before").map(Node::one_or_many).unwrap_or_default();
    let mut preparations = Vec::new();
    for table in nodes.iter().filter_map(Node::as_table) {
        let since = scope.uses.len();
        let built = preparation(table, own, retry, file, scope);
        for used in scope.uses[since..].iter().filter(|used| used.root() == "page") {
            let message = format!("`{}` has no value before the first page", used.name());
            scope.found.error(used.span.clone(), message);
        }
        if let Some(preparation) = built {
            scope.preparations.push(preparation.name.clone());
            preparations.push(preparation);
        }
    }
    preparations
}

fn preparation(
    table: &Table,
    own: &Layers<'_>,
    retry: &Retry,
    file: &File<'_>,
    scope: &mut Scope<'_>,
) -> Option<Preparation> {
    let node = table.get("name")?;
    let name = node.resolved()?;
    let is_word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    if name.is_empty() || name.starts_with(|c: char| c.is_ascii_digit()) || !name.chars().all(is_word) {
        let help = "use letters, digits and `_`";
        scope.found.error(node.span.clone(), format!("`{name}` can't be a name in expressions")).help(help);
        return None;
    }
    if scope.preparations.contains(&name) {
        scope.found.error(node.span.clone(), format!("two requests of `before` are called `{name}`"));
        return None;
    }
    let alone = Layers(vec![table]);
    let request = request::request(&name, &alone, &alone.above(file.client), file.resolved, scope);
    let answers_of: Vec<&Table> = [table].into_iter().chain(own.0.iter().copied()).chain([file.client]).collect();
    let response_actions = answers::response_actions(&Layers(answers_of), retry, scope);
    let poll = table.get("poll").and_then(|node| poll::poll(node, scope));
    Some(Preparation { name, request: request?, poll, response_actions })
}
