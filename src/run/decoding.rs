//! How a resource's records are read, from its plan.

use super::fanout::fields_of;
use super::merging::source_of;
use crate::batch::contract::Contract;
use crate::batch::decode::DecodeSpec;
use crate::batch::nesting::KeepsNested;
use crate::batch::shape::{KeyPart, ShapeSpec};
use crate::plan::model::{FieldPath, JsonTemplate, MergeStrategy, OnCursorMissing, Pipeline, Resource, SchemaContract};
use crate::schema::catalog::Source;

/// What the decoder has to know of a resource. `is_stored`: whether its rows are.
pub(super) fn decode_spec(pipeline: &Pipeline, resource: &Resource, is_stored: bool) -> DecodeSpec {
    let key = resource.primary_key.iter().map(|field| match source_of(resource, field) {
        Source::Parent(name) => KeyPart::Parent(name),
        Source::Field(_) | Source::Value => KeyPart::Field(field.clone()),
    });
    let of_run = resource.add_columns.iter().filter(|(_, value)| !tells_records_apart(value));
    let incremental = resource.incremental.as_ref();
    DecodeSpec {
        shape: ShapeSpec {
            key: key.collect(),
            cursor: incremental.map(|i| i.record_paths().to_vec()).unwrap_or_default(),
            exclude: resource.exclude.clone(),
            columns: resource.columns.clone(),
            of_run: of_run.map(|(name, _)| name.clone()).collect(),
            contract: contract(resource, is_stored),
            keeps_nested: keeps_nested(pipeline, resource),
        },
        id_from_content: !resource.has_ids_from_key(),
        on_cursor_missing: incremental.map_or(OnCursorMissing::Include, |i| i.on_missing),
        wants_contents: incremental.is_some_and(|i| i.walks_by_cursor),
    }
}

/// Which objects and lists of a resource are kept as they are.
pub(super) fn keeps_nested(pipeline: &Pipeline, resource: &Resource) -> KeepsNested {
    let children = pipeline.resources.iter().filter_map(|child| child.parent.as_ref());
    let read_by_children = children.flat_map(|spec| {
        let numbers = spec.resources.iter().enumerate().filter(|(_, name)| **name == resource.name);
        numbers.flat_map(|(number, _)| fields_of(spec, number, Some(resource)))
    });
    let cursor = resource.incremental.iter().flat_map(|i| i.record_paths()).cloned();
    let own = resource.primary_key.iter().cloned().chain(cursor).chain(needed(resource));
    KeepsNested {
        nesting: resource.nesting,
        read: own.chain(read_by_children).collect(),
        columns: resource.columns.iter().map(|hint| hint.name.clone()).collect(),
    }
}

/// Fields without whose values no record is kept, beside its key.
fn needed(resource: &Resource) -> Vec<FieldPath> {
    let merge_key = match resource.merge_strategy() {
        Some(MergeStrategy::DeleteInsert { merge_key }) => merge_key.as_slice(),
        _ => &[],
    };
    merge_key.iter().chain(&resource.merge.hard_delete).cloned().collect()
}

/// The contract of a resource. Of one that is fetched for its children only, there are no tables that could change.
fn contract(resource: &Resource, is_stored: bool) -> Contract {
    Contract {
        table: resource.table.clone(),
        modes: if is_stored { resource.schema_contract } else { SchemaContract::default() },
        needed: needed(resource),
    }
}

/// Whether a column that is added says something of the record, by its parent or partition. What tells only of the run must not
/// make another row of a record that comes again.
fn tells_records_apart(value: &JsonTemplate) -> bool {
    match value {
        JsonTemplate::Text(text) => {
            text.template.references().iter().any(|r| matches!(r.path[0].as_str(), "parent" | "partition"))
        }
        JsonTemplate::Literal(_) | JsonTemplate::Array(_) | JsonTemplate::Object(_) => false,
    }
}
