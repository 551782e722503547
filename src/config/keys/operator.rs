//! Keys of the operator file, `config.toml`.

use super::{COUNT, DURATION, POSITIVE, SIZE, TEXT};
use crate::config::spec::{Choice, Key, Kind, Table, Tagged, Variant};

const DUCKDB: Table = Table {
    keys: &[
        Key::new("path", TEXT, "The database file, relative to this file").default("\"warehouse.duckdb\""),
        Key::new(
            "storage_version",
            TEXT,
            "Oldest DuckDB release that can open a new file, or `latest`; v1.0.0 if not given",
        ),
        Key::new("publish", TEXT, "Where a read-only copy for readers appears after each run, relative to this file"),
    ],
    later: &[],
};

const PARQUET: Table = Table {
    keys: &[
        Key::new("path", TEXT, "The folder, relative to this file").default("\"warehouse\""),
        Key::new(
            "compression",
            Kind::Choice(&Choice { words: &[("zstd", "small"), ("snappy", "fast"), ("none", "")], later: &[] }),
            "How columns are compressed",
        )
        .default("\"zstd\""),
        Key::new("row_group_rows", POSITIVE, "Rows of a row group").default("122880"),
        Key::new("file_rows", POSITIVE, "Rows of a file").default("5000000"),
        Key::new("publish", TEXT, "Only for DuckDB: readers of a Parquet folder block no run"),
    ],
    later: &[],
};

const DESTINATION: Tagged = Tagged {
    what: "destination",
    common: &[],
    variants: &[
        Variant { name: "duckdb", doc: "A DuckDB database", table: DUCKDB },
        Variant { name: "parquet", doc: "A folder of Parquet files", table: PARQUET },
    ],
    later: &[],
};

const RUN: Table = Table {
    keys: &[
        Key::new("lock_wait", DURATION, "How long to wait for another run, or for who holds the database file")
            .default("\"30s\""),
        Key::new("memory_limit", SIZE, "Memory that DuckDB may use; DuckDB's default if not given"),
        Key::new(
            "concurrency",
            Kind::Integer { min: 1, max: 4096 },
            "Requests in flight over all pipelines of a command; each pipeline's own if not given",
        ),
        Key::new(
            "max_duration",
            DURATION,
            "How long a command may take before it stops, committed; no limit if not given",
        ),
        Key::new("keep_reports", COUNT, "Reports of runs kept for each pipeline, in the state folder; 0: none")
            .default("100"),
    ],
    later: &[],
};

const LOG: Table = Table {
    keys: &[
        Key::new(
            "level",
            Kind::Choice(&Choice {
                words: &[
                    ("error", ""),
                    ("warn", ""),
                    ("info", "a line per resource"),
                    ("debug", "a line per page"),
                    ("trace", ""),
                ],
                later: &[],
            }),
            "How much is logged",
        )
        .default("\"info\""),
        Key::new(
            "format",
            Kind::Choice(&Choice { words: &[("text", "for people"), ("json", "for machines")], later: &[] }),
            "How log lines look",
        )
        .default("\"text\""),
        Key::new("file", TEXT, "A file that lines are appended to, beside stderr, relative to this file"),
        Key::new("file_size", SIZE, "Size at which the log file makes way for a new one").default("\"10 MiB\""),
        Key::new("file_count", POSITIVE, "Log files kept, the one that is written included").default("5"),
    ],
    later: &[],
};

const COMMAND: Table = Table {
    keys: &[Key::new("command", Kind::List(&TEXT), "The program and its arguments; the report comes on its stdin")
        .required()],
    later: &[],
};

const NOTIFY: Table = Table {
    keys: &[Key::new(
        "on_failure",
        Kind::Either(&[TEXT, Kind::Table(&COMMAND)]),
        "Who is told when a run fails or can't begin: a URL that gets a POST with JSON, or a command",
    )],
    later: &[],
};

/// The whole operator file.
pub const CONFIG: Table = Table {
    keys: &[
        Key::new("pipelines_dir", TEXT, "Where pipelines are looked up by name").default("\"pipelines\""),
        Key::new("state_dir", TEXT, "Where readable copies of the cursors and the locks are").default("\"state\""),
        Key::new("destination", Kind::Tagged(&DESTINATION), "Where rows go").default("\"duckdb\""),
        Key::new("run", Kind::Table(&RUN), "How runs behave"),
        Key::new("log", Kind::Table(&LOG), "What is logged, on stderr and in a file"),
        Key::new("notify", Kind::Table(&NOTIFY), "Who is told of failures"),
    ],
    later: &[],
};
