//! Keys of a pipeline file.

use super::auth::AUTH;
use super::formats::FORMATS;
use super::incremental::INCREMENTAL;
use super::paging::{EXPECT, MAX_PAGES, ON_REPEAT, ON_REPEATED_KEY, PAGINATOR, POLL, RESPONSE_ACTIONS, SELECTED};
use super::relations::RELATIONS;
use super::write::WRITE;
use super::{BOOLEAN, DURATION, SCALAR, SIZE, STATUS, TEMPLATE, TEXT, TEXTS};
use crate::config::spec::{Choice, Key, Kind, Table};

const PARAMS: Kind = Kind::Map(&Kind::OneOrMany(&SCALAR));

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

const RETRIES: Key = Key::new(
    "retry",
    Kind::Table(&RETRY),
    "When and how often to try again; merged by key, a resource's over the client's",
);

const RATE_LIMIT: Key = Key::new(
    "rate_limit",
    TEXTS,
    "`N/second`, `/minute`, `/hour`, `/day`, or per a length of time as in `100/15m`; of several, all hold at once, and a \
     resource's hold beside the client's",
)
.off();

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
        RATE_LIMIT,
        Key::new("concurrency", Kind::Integer { min: 1, max: 1024 }, "Requests in flight").default("4"),
        RETRIES,
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

const COLUMN: Table = Table {
    keys: &[
        Key::new("type", TEXT, "Its type, by DuckDB's name"),
        Key::new("description", TEXT, "For the column's comment in DuckDB"),
        Key::new(
            "format",
            TEXT,
            "What its dates and times look like: iso8601, epoch_s, epoch_ms, epoch_us or a strftime pattern",
        )
        .default("\"iso8601\""),
        Key::new("timezone", TEXT, "Zone of times that name none, such as `Europe/Berlin`"),
        Key::new("nullable", BOOLEAN, "Whether it may be null or missing; if not, that is an error").default("true"),
        Key::new(
            "parse",
            Kind::Choice(&Choice { words: &[("json", "JSON, read like the rest of the record")], later: &[] }),
            "What its texts are",
        ),
    ],
    later: &[],
};

const EXTENDS: Key = Key::new(
    "extends",
    TEXT,
    "Another resource whose keys this one inherits, all but `selected`; they come before `[resource_defaults]`",
);

const METHODS: Choice = Choice {
    words: &[("GET", "the default"), ("POST", "the default with a body"), ("PUT", ""), ("PATCH", "")],
    later: &[],
};

const CONTENTS: &[Key] = &[
    Key::new("columns", Kind::Map(&Kind::Table(&COLUMN)), "What is known of columns, by their name in the warehouse"),
    Key::new(
        "filter",
        TEMPLATE,
        "Records for which it is not true are left out, as in `{{ record.status != 'draft' }}`",
    )
    .off(),
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
    Key::new(
        "before",
        Kind::OneOrMany(&Kind::Table(&PREPARATION)),
        "Requests that come before the first page, such as one that makes a report; later ones see their answers",
    )
    .off(),
    AUTH,
    PAGINATION,
    MAX_PAGES,
    ON_REPEAT,
    ON_REPEATED_KEY,
    POLL,
    RATE_LIMIT,
    RETRIES,
    RESPONSE_ACTIONS,
    EXPECT,
    Key::new("incremental", Kind::Table(&INCREMENTAL), "What is asked for since when").off(),
];

/// One request that comes before a walk.
const PREPARATION: Table = Table {
    keys: &[
        Key::new("name", TEXT, "What expressions call it: `{{ before.NAME.body.FIELD }}`").required(),
        Key::new("path", TEMPLATE, "Below `base_url`, or a whole URL").required(),
        Key::new("method", Kind::Choice(&METHODS), "HTTP method"),
        PARAMETERS,
        HEADERS,
        Key::new("json", Kind::Json, "JSON body"),
        Key::new("form", PARAMS, "Form body"),
        Key::new("body", TEMPLATE, "Body as text"),
        POLL,
        RESPONSE_ACTIONS,
    ],
    later: &[],
};

/// The keys that a resource and the defaults of all have in common.
const SHARED_KEYS: [Key; SHARED_COUNT] = joined([REQUEST, FORMATS, RELATIONS, WRITE, CONTENTS]);
const SHARED_COUNT: usize = REQUEST.len() + FORMATS.len() + RELATIONS.len() + WRITE.len() + CONTENTS.len();

/// All keys of a resource.
const RESOURCE_KEYS: [Key; 1 + SHARED_COUNT] = joined([&[EXTENDS], &SHARED_KEYS]);

/// The keys of several lists as one, which has as many.
const fn joined<const COUNT: usize, const LISTS: usize>(lists: [&[Key]; LISTS]) -> [Key; COUNT] {
    let mut keys = [SELECTED; COUNT];
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
}

const RESOURCE_LATER: &[&str] = &["transform"];

/// `[resource_defaults]`.
const DEFAULTS: Table = Table { keys: &SHARED_KEYS, later: RESOURCE_LATER };

/// `[resources.NAME]`.
const RESOURCE: Table = Table { keys: &RESOURCE_KEYS, later: RESOURCE_LATER };

/// The whole pipeline file.
pub const PIPELINE: Table = Table {
    keys: &[
        Key::new("name", TEXT, "Name of the pipeline; the file's stem if it is not given"),
        Key::new("description", TEXT, "What the API is, in one line"),
        Key::new("dataset", TEXT, "DuckDB schema or Parquet folder; the pipeline's name if it is not given"),
        Key::new(
            "vars",
            Kind::Map(&Kind::Json),
            "Values, lists and tables for `{{ vars.NAME }}`; `--var NAME=VALUE` overrides them",
        ),
        Key::new("client", Kind::Table(&CLIENT), "What all requests share").required(),
        Key::new("resource_defaults", Kind::Table(&DEFAULTS), "Keys that all resources inherit"),
        Key::new("resources", Kind::Map(&Kind::Table(&RESOURCE)), "Endpoints and the tables they fill").required(),
    ],
    later: &[],
};
