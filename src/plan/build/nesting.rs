//! `nested` and `max_table_nesting`: where objects and lists within records go.

use super::layers::Layers;
use super::scope::Scope;
use crate::config::tree::{Node, Table};
use crate::plan::model::{Nested, Nesting};

/// The nesting of a resource. `own` is its table, without what it inherits.
pub(super) fn nesting(own: &Table, layers: &Layers<'_>, scope: &mut Scope<'_>) -> Nesting {
    let nested = match layers.get("nested").and_then(Node::resolved).as_deref() {
        Some("json") => Nested::Json,
        _ => Nested::Tables,
    };
    if let (Nested::Json, Some((key, node))) = (nested, own.entry("max_table_nesting"))
        && !node.is_off()
    {
        let message = "`max_table_nesting` has no effect with `nested = \"json\"`, which makes no child tables";
        scope.found.error(key.span.clone(), message).help("leave one of the two out");
    }
    Nesting { nested, max_table_nesting: layers.get("max_table_nesting").and_then(Node::as_count) }
}
