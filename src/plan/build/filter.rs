//! `filter`: which records are kept.

use super::scope::{Scope, Use};
use crate::config::tree::Node;
use crate::plan::template::Template;

/// The expression, and the names that it uses.
pub(super) fn filter(node: Option<&Node>, scope: &mut Scope<'_>) -> (Option<Template>, Vec<Use>) {
    let Some((node, text)) = node.and_then(|node| Some((node, node.as_scalar()?))) else { return (None, Vec::new()) };
    let since = scope.uses.len();
    scope.sees_record = true;
    let template = scope.template(&text);
    scope.sees_record = false;
    scope.refuse_names(since, "filter", &["cursor", "page"]);
    let uses = scope.uses[since..].to_vec();
    if template.as_ref().is_some_and(|template| !template.is_one_expression()) {
        let help = "write `filter = \"{{ record.status != 'draft' }}\"`, say";
        scope.found.error(node.span.clone(), "`filter` must be exactly one expression").help(help);
        return (None, uses);
    }
    (template, uses)
}
