//! Keys that say how rows meet those already there.

use super::{BOOLEAN, TEXT, TEXTS};
use crate::config::spec::{Choice, Key, Kind};

/// Of `[resources.NAME]` and `[resource_defaults]`.
pub(super) const WRITE: &[Key] = &[
    Key::new("primary_key", TEXTS, "Fields that identify a record").off(),
    Key::new(
        "write_disposition",
        Kind::Choice(&Choice {
            words: &[
                ("append", "rows are added; the default without a primary key"),
                ("replace", "the table is exchanged for the rows of this run"),
                ("merge", "rows meet those with the same key; the default with a primary key"),
            ],
            later: &[],
        }),
        "How rows meet those already there",
    ),
    Key::new(
        "merge_strategy",
        Kind::Choice(&Choice {
            words: &[
                ("upsert", "rows replace those with the same primary key"),
                ("delete-insert", "rows replace all those whose `merge_key` occurs in the load"),
                ("insert-only", "a key that is stored stays as it is"),
                ("scd2", "every version of a record is kept, with the times between which it was current"),
            ],
            later: &[],
        }),
        "How `merge` merges",
    )
    .default("\"upsert\""),
    Key::new("merge_key", TEXTS, "Fields that name a group of records which `delete-insert` replaces as a whole").off(),
    Key::new(
        "hard_delete",
        TEXT,
        "Field that says that a record was deleted: `true`, or a time or anything else that is not null, false, 0 or empty",
    )
    .off(),
    Key::new("retire_absent", BOOLEAN, "With `scd2`: whether records that a load does not bring are no longer current")
        .default("false"),
];
