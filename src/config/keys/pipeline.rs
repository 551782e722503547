//! Keys of a pipeline file.

use super::paging::{MAX_PAGES, ON_REPEAT, PAGINATOR, RESPONSE_ACTIONS, SELECTED};
use super::relations::RELATIONS;
use super::{BOOLEAN, DURATION, POSITIVE, SCALAR, SIZE, STATUS, TEMPLATE, TEXT, TEXTS};
use crate::config::spec::{Choice, Key, Kind, Table, Tagged, Variant};

const PARAMS: Kind = Kind::Map(&Kind::OneOrMany(&SCALAR));

const AUTH: Key = Key::new(
    "auth",
    Kind::Tagged(&Tagged {
        what: "auth",
        common: &[],
        variants: &[Variant {
            name: "bearer",
            doc: "`Authorization: Bearer TOKEN` (RFC 6750)",
            table: Table { keys: &[Key::new("token", TEMPLATE, "The token").required()], later: &[] },
        }],
        later: &[
            "http_basic",
            "api_key",
            "oauth2_client_credentials",
            "oauth2_refresh_token",
            "jwt",
            "session",
            "digest",
        ],
    }),
    "How requests prove who they are",
)
.off();

const HEADERS: Key = Key::new("headers", Kind::Map(&SCALAR), "Headers; merged by name, `false` drops an inherited one");
const PARAMETERS: Key = Key::new(
    "params",
    PARAMS,
    "Query parameters; merged by name, `false` drops an inherited one, a list repeats the parameter",
);
const PAGINATION: Key =
    Key::new("paginator", Kind::Tagged(&PAGINATOR), "How the next page is found").default("\"auto\"").off();

const TIMEOUT: Table = Table {
    keys: &[
        Key::new("connect", DURATION, "Time to connect").default("\"10s\""),
        Key::new("read", DURATION, "Longest silence between two reads").default("\"60s\""),
    ],
    later: &[],
};

const RETRY: Table = Table {
    keys: &[
        Key::new("max_attempts", Kind::Integer { min: 1, max: 1000 }, "Tries in all, the first one included")
            .default("6"),
        Key::new("base_delay", DURATION, "Upper bound of the first wait; it doubles with each attempt")
            .default("\"500ms\""),
        Key::new("max_delay", DURATION, "Upper bound of any wait of our own").default("\"60s\""),
        Key::new("max_elapsed", DURATION, "No further try starts after this time").default("\"15m\""),
        Key::new("max_wait", DURATION, "Longest wait that a server may ask for").default("\"1h\""),
        Key::new("statuses", Kind::List(&STATUS), "Statuses that are tried again")
            .default("[408, 425, 429, 500, 502, 503, 504]"),
    ],
    later: &[],
};

const ALLOWED_HOST: Kind = Kind::Either(&[
    TEXT,
    Kind::Table(&Table {
        keys: &[
            Key::new("host", TEXT, "`host` or `host:port`").required(),
            Key::new("send_auth", BOOLEAN, "Whether credentials go there").default("false"),
        ],
        later: &[],
    }),
]);

/// `[client]`.
const CLIENT: Table = Table {
    keys: &[
        Key::new("base_url", TEMPLATE, "Where relative paths begin; its path is kept").required(),
        AUTH,
        HEADERS,
        PARAMETERS,
        PAGINATION,
        RESPONSE_ACTIONS,
        Key::new("timeout", Kind::Table(&TIMEOUT), "How long to wait for the server"),
        Key::new("rate_limit", TEXTS, "`N/second`, `/minute`, `/hour` or `/day`; of several, all hold at once").off(),
        Key::new("concurrency", Kind::Integer { min: 1, max: 1024 }, "Requests in flight").default("4"),
        Key::new("retry", Kind::Table(&RETRY), "When and how often to try again"),
        Key::new("allowed_hosts", Kind::List(&ALLOWED_HOST), "Other hosts that `next` links and redirects may lead to"),
        Key::new("max_response_bytes", SIZE, "Largest decompressed body").default("\"256 MiB\""),
        Key::new("proxy", TEXT, "Proxy URL, as in curl"),
        Key::new("ca_certificate", TEXT, "PEM file with further root certificates, relative to this file"),
        Key::new("user_agent", TEXT, "`User-Agent` header; `pintail/VERSION` if it is not given"),
        Key::new("accept_invalid_certificates", BOOLEAN, "Accept any certificate: only for a server of your own")
            .default("false"),
    ],
    later: &[],
};

const INCREMENTAL: Table = Table {
    keys: &[
        Key::new("cursor_path", TEXTS, "Where a record shows the value; of a list, the first that is not null")
            .required(),
        Key::new("start_param", TEXT, "Query parameter for the start; or use `{{ cursor.start }}`"),
        Key::new("initial_value", SCALAR, "Start of the first run"),
        Key::new(
            "lag",
            Kind::Either(&[POSITIVE, DURATION]),
            "Ask again that far back: a duration for times, a number for numbers",
        ),
        Key::new(
            "format",
            TEXT,
            "How the value is written in requests: iso8601, date, epoch_s, epoch_ms or a strftime pattern; as seen if not given",
        ),
        Key::new(
            "on_cursor_value_missing",
            Kind::Choice(&Choice {
                words: &[
                    ("raise", "an error"),
                    ("include", "it is loaded, and does not move the cursor"),
                    ("exclude", "it is left out, and counted"),
                ],
                later: &[],
            }),
            "What a record without the value means",
        )
        .default("\"include\""),
    ],
    later: &[
        "end_param",
        "end_value",
        "window",
        "row_order",
        "client_side",
        "scope",
        "cursor_from",
        "timezone",
        "end_bound",
        "walk",
    ],
};

const COLUMN: Table = Table {
    keys: &[
        Key::new("type", TEXT, "Its type, by DuckDB's name"),
        Key::new("description", TEXT, "For the column's comment in DuckDB"),
    ],
    later: &["format", "nullable", "parse", "timezone"],
};

const METHODS: Choice = Choice {
    words: &[("GET", "the default"), ("POST", "the default with a body"), ("PUT", ""), ("PATCH", "")],
    later: &[],
};

const WRITE: &[Key] = &[
    Key::new("primary_key", TEXTS, "Fields that identify a record").off(),
    Key::new(
        "write_disposition",
        Kind::Choice(&Choice {
            words: &[
                ("append", "rows are added; the default without a primary key"),
                ("replace", "the table is exchanged for the rows of this run"),
                ("merge", "rows replace those with the same key; the default with a primary key"),
            ],
            later: &[],
        }),
        "How rows meet those already there",
    ),
    Key::new(
        "merge_strategy",
        Kind::Choice(&Choice {
            words: &[("upsert", "rows replace those with the same key")],
            later: &["delete-insert", "insert-only", "scd2"],
        }),
        "How `merge` merges",
    )
    .default("\"upsert\""),
    Key::new("columns", Kind::Map(&Kind::Table(&COLUMN)), "What is known of columns, by their name in the warehouse"),
    Key::new("exclude", TEXTS, "Fields left out before anything is stored"),
];

const REQUEST: &[Key] = &[
    Key::new("path", TEMPLATE, "Below `base_url`; the resource's name if it is not given"),
    Key::new("method", Kind::Choice(&METHODS), "HTTP method"),
    PARAMETERS,
    HEADERS,
    Key::new("json", Kind::Json, "JSON body; an object is merged by key"),
    Key::new("form", PARAMS, "Form body"),
    Key::new("body", TEMPLATE, "Body as text"),
    AUTH,
    Key::new("data_selector", TEXT, "Where the records are: `$`, `$[*]`, `data.items`; found if it is not given").off(),
    Key::new("allow_missing", BOOLEAN, "Whether an answer without the selected key is an empty page").default("false"),
    Key::new(
        "format",
        Kind::Choice(&Choice { words: &[("json", "")], later: &["jsonl", "csv", "xml", "file"] }),
        "What a body is",
    )
    .default("\"json\""),
    PAGINATION,
    MAX_PAGES,
    ON_REPEAT,
    RESPONSE_ACTIONS,
    Key::new("incremental", Kind::Table(&INCREMENTAL), "What is asked for since when").off(),
];

/// The keys of three lists as one.
const RESOURCE_KEYS: [Key; REQUEST.len() + RELATIONS.len() + WRITE.len()] = {
    let mut keys = [SELECTED; REQUEST.len() + RELATIONS.len() + WRITE.len()];
    let lists = [REQUEST, RELATIONS, WRITE];
    let (mut list, mut at) = (0, 0);
    while list < lists.len() {
        let mut i = 0;
        while i < lists[list].len() {
            keys[at] = lists[list][i];
            at += 1;
            i += 1;
        }
        list += 1;
    }
    keys
};

/// `[resources.NAME]` and `[resource_defaults]`.
const RESOURCE: Table = Table {
    keys: &RESOURCE_KEYS,
    later: &[
        "merge_key",
        "transform",
        "hard_delete",
        "max_table_nesting",
        "nested",
        "schema_contract",
        "poll",
        "record_columns",
        "walk",
        "on_repeated_key",
        "expect",
        "csv",
        "xml",
        "files_path",
        "retire_absent",
    ],
};

/// The whole pipeline file.
pub const PIPELINE: Table = Table {
    keys: &[
        Key::new("name", TEXT, "Name of the pipeline; the file's stem if it is not given"),
        Key::new("description", TEXT, "What the API is, in one line"),
        Key::new("dataset", TEXT, "DuckDB schema or Parquet folder; the pipeline's name if it is not given"),
        Key::new("vars", Kind::Map(&SCALAR), "Values for `{{ vars.NAME }}`; `--var NAME=VALUE` overrides them"),
        Key::new("client", Kind::Table(&CLIENT), "What all requests share").required(),
        Key::new("resource_defaults", Kind::Table(&RESOURCE), "Keys that all resources inherit"),
        Key::new("resources", Kind::Map(&Kind::Table(&RESOURCE)), "Endpoints and the tables they fill").required(),
    ],
    later: &[],
};
