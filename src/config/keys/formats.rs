//! What bodies are, and where their records stand.

use super::{BOOLEAN, COUNT, TEXT};
use crate::config::spec::{Choice, Key, Kind, Table};

const CSV: Table = Table {
    keys: &[
        Key::new("delimiter", TEXT, "What separates cells, one character; a tab for text/tab-separated-values")
            .default("\",\""),
        Key::new("quote", TEXT, "What encloses cells, one character; `false`: nothing does").default("\"\\\"\"").off(),
        Key::new("null", Kind::OneOrMany(&TEXT), "Cells that mean null; `false`: none do").default("\"\"").off(),
        Key::new(
            "header",
            Kind::Either(&[BOOLEAN, Kind::List(&TEXT)]),
            "Whether the first row names the columns, or the names, where no row does",
        )
        .default("true"),
        Key::new("infer", BOOLEAN, "Whether cells that look like numbers and booleans are; otherwise they are text")
            .default("false"),
        Key::new("comment", TEXT, "Character with which lines begin that are left out"),
        Key::new("skip_rows", COUNT, "Lines before the header or the first row").default("0"),
    ],
    later: &[],
};

const XML: Table = Table {
    keys: &[Key::new("lists", Kind::OneOrMany(&TEXT), "Elements that are lists even where there is only one")],
    later: &[],
};

/// Names of columns, or the place of a body that has them.
const COLUMN_NAMES: Kind = Kind::OneOrMany(&TEXT);

/// What a body is, and where its records are.
pub(super) const FORMATS: &[Key] = &[
    Key::new(
        "data_selector",
        TEXT,
        "Where the records are: `data.items`, or a JSONPath (RFC 9535); found if it is not given",
    )
    .off(),
    Key::new("allow_missing", BOOLEAN, "Whether an answer without the selected key is an empty page").default("false"),
    Key::new(
        "key_column",
        TEXT,
        "The selector names an object of records: the column that the name of each goes to",
    )
    .off(),
    Key::new(
        "record_columns",
        Kind::Either(&[COLUMN_NAMES, Kind::Map(&COLUMN_NAMES)]),
        "Records are lists: the names of their elements, or where the body has them; a table does so for lists in fields",
    )
    .off(),
    Key::new(
        "format",
        Kind::Choice(&Choice {
            words: &[
                ("json", "one JSON value"),
                ("jsonl", "a JSON value per line, or one after the other"),
                ("csv", "a table as text; see `csv`"),
                ("xml", "elements as objects; see `xml`"),
                ("file", "the body is stored as a file, and a row describes it"),
            ],
            later: &[],
        }),
        "What a body is; found by its Content-Type if it is not given",
    ),
    Key::new("encoding", TEXT, "The charset of bodies, such as `windows-1252`, whatever their Content-Type says").off(),
    Key::new("csv", Kind::Table(&CSV), "How CSV is read"),
    Key::new("xml", Kind::Table(&XML), "How XML is read"),
    Key::new(
        "files_path",
        TEXT,
        "Folder for the bodies of `format = \"file\"`, relative to this file; `files/DATASET/RESOURCE` beside the warehouse if it is not given",
    ),
];
