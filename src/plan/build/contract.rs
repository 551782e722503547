//! `schema_contract`: what becomes of data that would change the tables.

use super::layers::Layers;
use crate::config::tree::Node;
use crate::plan::model::{ContractMode, SchemaContract};

/// The contract of a resource. One word stands for all three parts; a part that a table leaves out evolves.
pub(super) fn contract(layers: &Layers<'_>) -> SchemaContract {
    let Some(node) = layers.get("schema_contract") else { return SchemaContract::default() };
    let Some(table) = node.as_table() else { return SchemaContract::all(mode(Some(node))) };
    SchemaContract {
        tables: mode(table.get("tables")),
        columns: mode(table.get("columns")),
        data_type: mode(table.get("data_type")),
    }
}

/// A word that is none of them has been reported when the file was checked.
fn mode(node: Option<&Node>) -> ContractMode {
    node.and_then(Node::resolved).and_then(|word| ContractMode::named(&word)).unwrap_or_default()
}
