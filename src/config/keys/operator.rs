//! Keys of the operator file, `config.toml`.

use super::{DURATION, POSITIVE, SIZE, TEXT};
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
    ],
    later: &["file"],
};

/// The whole operator file.
pub const CONFIG: Table = Table {
    keys: &[
        Key::new("pipelines_dir", TEXT, "Where pipelines are looked up by name").default("\"pipelines\""),
        Key::new("state_dir", TEXT, "Where readable copies of the cursors and the locks are").default("\"state\""),
        Key::new("destination", Kind::Tagged(&DESTINATION), "Where rows go").default("\"duckdb\""),
        Key::new("run", Kind::Table(&RUN), "How runs behave"),
        Key::new("log", Kind::Table(&LOG), "What is logged on stderr"),
    ],
    later: &["notify"],
};
