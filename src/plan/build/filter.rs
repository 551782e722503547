//! `filter`: which records are kept. `parent_filter`: which parents are asked for.

use super::scope::{Scope, Use};
use crate::config::tree::Node;
use crate::plan::template::Template;

/// The expression of `filter`, and the names that it uses.
pub(super) fn filter(node: Option<&Node>, scope: &mut Scope<'_>) -> (Option<Template>, Vec<Use>) {
    scope.sees_record = true;
    let found = expression(node, "filter", &["cursor", "page"], "{{ record.status != 'draft' }}", scope);
    scope.sees_record = false;
    found
}

/// The expression of `parent_filter`, and the names that it uses.
pub(super) fn parent_filter(node: Option<&Node>, scope: &mut Scope<'_>) -> (Option<Template>, Vec<Use>) {
    let roots = ["cursor", "page", "partition"];
    let (template, uses) = expression(node, "parent_filter", &roots, "{{ parent.is_member }}", scope);
    if let (Some(node), Some(_)) = (node, &template)
        && !uses.iter().any(|u| u.root() == "parent")
    {
        let help = "write `parent_filter = \"{{ parent.is_member }}\"`, say";
        scope.found.error(node.span.clone(), "`parent_filter` uses no field of the parent").help(help);
    }
    (template, uses)
}

/// A key that is exactly one expression, in which names of these roots have no value.
fn expression(
    node: Option<&Node>,
    key: &str,
    without: &[&str],
    example: &str,
    scope: &mut Scope<'_>,
) -> (Option<Template>, Vec<Use>) {
    let Some((node, text)) = node.and_then(|node| Some((node, node.as_scalar()?))) else { return (None, Vec::new()) };
    let since = scope.uses.len();
    let template = scope.template(&text);
    scope.refuse_names(since, key, without);
    let uses = scope.uses[since..].to_vec();
    if template.as_ref().is_some_and(|template| !template.is_one_expression()) {
        let help = format!("write `{key} = \"{example}\"`, say");
        scope.found.error(node.span.clone(), format!("`{key}` must be exactly one expression")).help(help);
        return (None, uses);
    }
    (template, uses)
}
