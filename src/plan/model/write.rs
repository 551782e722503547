//! How rows meet those that are already there.

use super::{FieldPath, Resource};

/// How rows meet those already there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WriteDisposition {
    /// Rows are added.
    Append,
    /// The table is exchanged for the rows of this run.
    Replace,
    /// Rows meet those with the same key, as [`Merge`] says.
    Merge,
}

impl WriteDisposition {
    /// Its name, as the file has it.
    pub fn name(self) -> &'static str {
        match self {
            WriteDisposition::Append => "append",
            WriteDisposition::Replace => "replace",
            WriteDisposition::Merge => "merge",
        }
    }
}

/// How `merge` merges. Of no meaning with other dispositions.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Merge {
    /// What becomes of stored rows.
    pub strategy: MergeStrategy,
    /// The field that says that a record was deleted; none: nothing does.
    pub hard_delete: Option<FieldPath>,
}

/// What a merge does with the stored rows that it meets.
#[derive(Debug, Clone, PartialEq, Default)]
pub enum MergeStrategy {
    /// Rows take the place of those with the same primary key.
    #[default]
    Upsert,
    /// All rows whose values in `merge_key` occur in the load make way, beside those with the same primary key. Without a
    /// merge key it is an upsert.
    DeleteInsert {
        /// Fields that name a group of records, such as a day; may be empty.
        merge_key: Vec<FieldPath>,
    },
    /// A key that is stored stays as it is.
    InsertOnly,
    /// Every version of a record stays, with the times between which it was current.
    Scd2 {
        /// Whether records that a load does not bring are no longer current.
        retire_absent: bool,
    },
}

impl MergeStrategy {
    /// Its name, as the file has it.
    pub fn name(&self) -> &'static str {
        match self {
            MergeStrategy::Upsert => "upsert",
            MergeStrategy::DeleteInsert { .. } => "delete-insert",
            MergeStrategy::InsertOnly => "insert-only",
            MergeStrategy::Scd2 { .. } => "scd2",
        }
    }
}

impl Resource {
    /// The strategy, if rows are merged.
    pub fn merge_strategy(&self) -> Option<&MergeStrategy> {
        (self.write == WriteDisposition::Merge).then_some(&self.merge.strategy)
    }

    /// Whether ids follow the primary key, so that a later row takes the place of an earlier one. Otherwise they follow the
    /// content: `append` and `scd2` keep every version of a record, and each needs an id of its own.
    pub fn has_ids_from_key(&self) -> bool {
        let keeps_versions = matches!(self.merge_strategy(), Some(MergeStrategy::Scd2 { .. }));
        self.write != WriteDisposition::Append && !keeps_versions && !self.primary_key.is_empty()
    }

    /// Whether a part of a key is a column that requests bring, and no field of the record.
    pub fn brings(&self, field: &FieldPath) -> bool {
        let from_parent = self.parent.iter().flat_map(|p| p.include.iter().map(|c| &c.column));
        let from_partition = self.partitions.iter().flat_map(|p| p.include.iter().map(|(name, _)| name));
        let added = self.add_columns.iter().map(|(name, _)| name);
        let mut brought = from_parent.chain(from_partition).chain(added);
        matches!(field.0.as_slice(), [name] if brought.any(|own| own == name))
    }

    /// What becomes of a part of the resource's rows, when the rest is not there yet or does not come.
    pub fn parts(&self) -> Parts {
        parts(self.write, &self.merge.strategy)
    }
}

/// What becomes of a part of a resource's rows, when the rest is not there yet or does not come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Parts {
    /// Rows become visible at the end of the resource only, because some of them would not be what all of them are: a group
    /// half replaced, the first of several versions, a list that seems to lack records.
    pub show_at_end: bool,
    /// Rows of a walk that did not reach its end are kept: they may come again without harm.
    pub of_walk_stay: bool,
    /// Rows of some parents are kept although others failed.
    pub of_parents_stay: bool,
    /// Rows of a parent are held back until all of them are there.
    pub of_parent_wait: bool,
}

fn parts(write: WriteDisposition, strategy: &MergeStrategy) -> Parts {
    let all_or_none = Parts { show_at_end: true, of_walk_stay: false, of_parents_stay: false, of_parent_wait: false };
    let by_key = Parts { show_at_end: false, of_walk_stay: true, of_parents_stay: true, of_parent_wait: false };
    let by_parent = Parts { show_at_end: true, of_walk_stay: false, of_parents_stay: true, of_parent_wait: true };
    match (write, strategy) {
        (WriteDisposition::Append, _) => Parts { show_at_end: false, ..by_parent },
        (WriteDisposition::Replace, _) => all_or_none,
        (WriteDisposition::Merge, MergeStrategy::Upsert) => by_key,
        (WriteDisposition::Merge, MergeStrategy::DeleteInsert { merge_key }) if merge_key.is_empty() => by_key,
        (WriteDisposition::Merge, MergeStrategy::DeleteInsert { .. }) => all_or_none,
        (WriteDisposition::Merge, MergeStrategy::InsertOnly) => by_parent,
        (WriteDisposition::Merge, MergeStrategy::Scd2 { retire_absent: false }) => by_parent,
        (WriteDisposition::Merge, MergeStrategy::Scd2 { retire_absent: true }) => all_or_none,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_kept_of_a_part_depends_on_what_the_rest_could_change() {
        use WriteDisposition::{Append, Merge, Replace};
        let day = || MergeStrategy::DeleteInsert { merge_key: vec![FieldPath(vec!["day".into()])] };
        let scd2 = |retire_absent| MergeStrategy::Scd2 { retire_absent };
        // At the end only, half a walk, some of the parents, held back by parent.
        for (write, strategy, expected) in [
            (Append, MergeStrategy::Upsert, [false, false, true, true]),
            (Replace, MergeStrategy::Upsert, [true, false, false, false]),
            (Merge, MergeStrategy::Upsert, [false, true, true, false]),
            (Merge, MergeStrategy::DeleteInsert { merge_key: vec![] }, [false, true, true, false]),
            (Merge, day(), [true, false, false, false]),
            (Merge, MergeStrategy::InsertOnly, [true, false, true, true]),
            (Merge, scd2(false), [true, false, true, true]),
            (Merge, scd2(true), [true, false, false, false]),
        ] {
            let p = parts(write, &strategy);
            let found = [p.show_at_end, p.of_walk_stay, p.of_parents_stay, p.of_parent_wait];
            assert_eq!(found, expected, "{write:?} {strategy:?}");
        }
    }
}
