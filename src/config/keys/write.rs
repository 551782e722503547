//! Keys that say how rows meet those already there.

use super::{BOOLEAN, TEXT, TEXTS};
use crate::config::spec::{Choice, Key, Kind, Table};

const MODE: Kind = Kind::Choice(&Choice {
    words: &[
        ("evolve", "the tables follow the data"),
        ("freeze", "the run fails, and stores nothing of the load"),
        ("discard_row", "the row is left out, and kept in `_pintail_discarded`"),
        ("discard_value", "the value is left out of its row, and kept in `_pintail_discarded`"),
    ],
    later: &[],
});

const CONTRACT: Kind = Kind::Either(&[
    MODE,
    Kind::Table(&Table {
        keys: &[
            Key::new("tables", MODE, "Of lists that would become new child tables").default("\"evolve\""),
            Key::new("columns", MODE, "Of fields that would become new columns").default("\"evolve\""),
            Key::new("data_type", MODE, "Of values that would widen a column, or are not of its declared type")
                .default("\"evolve\""),
        ],
        later: &[],
    }),
]);

/// Of `[resources.NAME]` and `[resource_defaults]`.
pub(super) const WRITE: &[Key] = &[
    Key::new("table_name", TEXT, "The table that it fills, which others may fill too; the resource's name if it is not given")
        .off(),
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
    Key::new(
        "nested",
        Kind::Choice(&Choice {
            words: &[
                ("tables", "fields of objects are columns, elements of lists are rows of child tables"),
                ("json", "each is one JSON column"),
            ],
            later: &["native"],
        }),
        "Where objects and lists within records go",
    )
    .default("\"tables\""),
    Key::new(
        "max_table_nesting",
        Kind::Integer { min: 0, max: 128 },
        "How deep child tables may be; lists below that are JSON columns. 0: no child tables",
    )
    .off(),
    Key::new(
        "schema_contract",
        CONTRACT,
        "What becomes of data that would change the tables: one word, or one each for `tables`, `columns` and `data_type`",
    )
    .default("\"evolve\"")
    .off(),
];
