//! From what the plan says of a merge to what a destination needs to know: fields become the sources of columns.

use crate::load::merge::{MergeRule, MergeSpec};
use crate::plan::model::{FieldPath, MergeStrategy, Resource};
use crate::schema::catalog::Source;

/// What a merge of the resource means to its destination.
pub(super) fn merge_spec(resource: &Resource) -> MergeSpec {
    let sources = |fields: &[FieldPath]| fields.iter().map(|field| source_of(resource, field)).collect();
    let rule = match resource.merge_strategy() {
        None | Some(MergeStrategy::Upsert) => MergeRule::ById,
        Some(MergeStrategy::DeleteInsert { merge_key }) if merge_key.is_empty() => MergeRule::ById,
        Some(MergeStrategy::DeleteInsert { merge_key }) => MergeRule::ByColumns(sources(merge_key)),
        Some(MergeStrategy::InsertOnly) => MergeRule::KeepStored,
        Some(MergeStrategy::Scd2 { retire_absent }) => {
            MergeRule::Versions { key: sources(&resource.primary_key), retire_absent: *retire_absent }
        }
    };
    MergeSpec { rule, hard_delete: resource.merge.hard_delete.as_ref().map(|field| field.0.clone()) }
}

/// Where the values of a key's field come from: the record, or the request that it was asked for with.
pub(super) fn source_of(resource: &Resource, field: &FieldPath) -> Source {
    match field.0.as_slice() {
        [name] if resource.brings(field) => Source::Parent(name.clone()),
        path => Source::Field(path.to_vec()),
    }
}
