//! Keys that say for what a resource runs: rows of a parent, rows of lists, and what of them goes into its own rows.

use super::paging::SELECTED;
use super::{SCALAR, TEMPLATE, TEXT, TEXTS};
use crate::config::spec::{Choice, Key, Kind, Table};

/// Names of fields, or a table of column = field.
const INCLUDED: Kind = Kind::Either(&[TEXTS, Kind::Map(&TEXT)]);

/// One list of partitions.
const PARTITION_LIST: Table = Table {
    keys: &[
        Key::new(
            "values",
            Kind::Either(&[Kind::List(&Kind::Either(&[SCALAR, Kind::Map(&SCALAR)])), TEMPLATE]),
            "The rows: single values, tables of columns, or a list of `[vars]`, `\"{{ vars.NAME }}\"`",
        ),
        Key::new(
            "file",
            TEXT,
            "A file of rows, relative to this file: `.csv` or `.tsv` with a header, `.jsonl`, `.json` (an array), else one value per line",
        ),
        Key::new("sql", TEXT, "A query that gives the rows, over the warehouse and local files"),
        Key::new("name", TEXT, "Name of the column where rows are single values").default("\"value\""),
        Key::new(
            "on_missing",
            Kind::Choice(&Choice {
                words: &[
                    ("raise", "an error that names the row"),
                    ("skip", "the row is skipped, counted and reported"),
                ],
                later: &[],
            }),
            "What a null or empty value means that the request needs",
        )
        .default("\"raise\""),
    ],
    later: &[],
};

const PARENT_BATCH: Table = Table {
    keys: &[
        Key::new("size", Kind::Integer { min: 1, max: 100_000 }, "Parents in one request, at most").default("50"),
        Key::new("separator", TEXT, "What stands between their values in a text").default("\",\""),
    ],
    later: &[],
};

pub(super) const RELATIONS: &[Key] = &[
    Key::new(
        "parent",
        TEXTS,
        "Runs once per row of this resource, or of these; their fields are `{{ parent.FIELD }}`. May name itself beside others",
    )
    .off(),
    Key::new("include_from_parent", INCLUDED, "Fields of the parent to store as `PARENT_FIELD`, or a table of column = field"),
    Key::new(
        "parent_filter",
        TEMPLATE,
        "Parents for which it is not true are not asked for, as in `{{ parent.is_member }}`",
    )
    .off(),
    Key::new(
        "max_depth",
        Kind::Integer { min: 1, max: 1000 },
        "Of a resource that is its own parent: rows that are further down are an error",
    )
    .default("100"),
    Key::new(
        "parents",
        Kind::Choice(&Choice {
            words: &[
                ("all", "every known one, from the warehouse and this run"),
                ("changed", "those loaded since this resource last came through without a failure"),
            ],
            later: &[],
        }),
        "Which parents",
    )
    .default("\"all\""),
    Key::new(
        "on_missing_parent_field",
        Kind::Choice(&Choice {
            words: &[
                ("raise", "an error that names the parent row"),
                ("skip", "the parent is skipped, counted and reported"),
            ],
            later: &[],
        }),
        "What a null or missing parent field means",
    )
    .default("\"raise\""),
    Key::new("parent_batch", Kind::Table(&PARENT_BATCH), "Asks for several parents in one request").off(),
    Key::new(
        "partitions",
        Kind::OneOrMany(&Kind::Table(&PARTITION_LIST)),
        "Runs once per row of a list, of several once per combination; its columns are `{{ partition.COLUMN }}`",
    )
    .off(),
    Key::new(
        "include_from_partition",
        INCLUDED,
        "Columns of the partition to store under their own name, or a table of column = partition column",
    ),
    Key::new(
        "add_columns",
        Kind::Map(&SCALAR),
        "Columns to add to each record, evaluated once per request: constants, variables, values of parent and partition",
    )
    .off(),
    SELECTED,
];
