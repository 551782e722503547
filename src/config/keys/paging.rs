//! Paginators, and what answers mean.

use super::{BOOLEAN, COUNT, DURATION, POSITIVE, SCALAR, STATUS, TEXT, TEXTS};
use crate::config::spec::{Choice, Key, Kind, Table, Tagged, Variant};

pub(super) const MAX_PAGES: Key = Key::new("max_pages", POSITIVE, "More pages than this are an error").off();

pub(super) const ON_REPEAT: Key = Key::new(
    "on_repeat",
    Kind::Choice(&Choice {
        words: &[
            ("error", "the server ignores the paging parameter: an error"),
            ("stop", "the list does not page: its end; the repeated page is not stored"),
        ],
        later: &[],
    }),
    "What a repeated page or paging cursor means",
)
.default("\"error\"");

pub(super) const ON_REPEATED_KEY: Key = Key::new(
    "on_repeated_key",
    Kind::Choice(&Choice {
        words: &[
            ("warn", "it is counted and told: the server's order has no tiebreaker, so rows may be missing too"),
            ("fail", "an error"),
        ],
        later: &[],
    }),
    "What a primary key means that comes again in one walk",
)
.default("\"warn\"");

const POLL_TABLE: Table = Table {
    keys: &[
        Key::new("path", TEXT, "Where the body tells its state").required(),
        Key::new("equals", SCALAR, "State in which the answer is ready"),
        Key::new("in", Kind::List(&SCALAR), "States in which the answer is ready"),
        Key::new("fail_on", Kind::OneOrMany(&SCALAR), "States in which it never will be: an error"),
        Key::new("interval", DURATION, "Time between two requests").default("\"5s\""),
        Key::new("timeout", DURATION, "Longest time to wait for the answer").default("\"10m\""),
    ],
    later: &[],
};

pub(super) const POLL: Key =
    Key::new("poll", Kind::Table(&POLL_TABLE), "Repeats a request until its answer is ready: each one of a walk").off();

const TOTAL_PATH: Key = Key::new("total_path", TEXT, "Where the body tells how many records there are in all");
const TOTAL_PAGES_PATH: Key = Key::new("total_pages_path", TEXT, "Where the body tells how many pages there are");
const TOTAL_HEADER: Key = Key::new("total_header", TEXT, "Header that tells how many records there are in all");
const TOTAL_PAGES_HEADER: Key = Key::new("total_pages_header", TEXT, "Header that tells how many pages there are");
const HAS_MORE_PATH: Key = Key::new("has_more_path", TEXT, "Where the body tells whether there is more");
const LAST_PAGE_PATH: Key = Key::new(
    "last_page_path",
    TEXT,
    "Where the body tells whether this was the last page: the opposite of `has_more_path`",
);
const HAS_MORE_HEADER: Key = Key::new("has_more_header", TEXT, "Header that tells whether there is more");
const STOP_ON: Key = Key::new(
    "stop_on",
    Kind::Choice(&Choice {
        words: &[("empty_page", "an empty page ends the walk, whatever says that there is more")],
        later: &[],
    }),
    "What else ends the walk",
);
const PREFETCH: Key = Key::new(
    "prefetch",
    Kind::Integer { min: 1, max: 64 },
    "Pages under way at once, within `[client].concurrency`; results are the same as with 1",
)
.default("1");
const KEEP_PARAMS: Key =
    Key::new("keep_params", BOOLEAN, "Whether a link gets back the parameters that it dropped").default("true");
const LINKS_NEXT_KEY: Key = Key::new("links_next_key", TEXT, "Relation of the next page").default("\"next\"");
/// A parameter's name, or `false`: it is not sent.
const PARAM: Kind = Kind::Text;

const OFFSET: &[Key] = &[
    Key::new("limit", POSITIVE, "Records to ask for in a page").default("100"),
    Key::new("offset_param", PARAM, "Parameter for the offset").default("\"offset\"").off(),
    Key::new("limit_param", PARAM, "Parameter for the limit").default("\"limit\"").off(),
    Key::new("initial_offset", COUNT, "Offset of the first page").default("0"),
    Key::new("maximum_offset", COUNT, "Offsets from this one on are not asked for"),
    TOTAL_PATH,
    TOTAL_PAGES_PATH,
    TOTAL_HEADER,
    TOTAL_PAGES_HEADER,
    HAS_MORE_PATH,
    LAST_PAGE_PATH,
    HAS_MORE_HEADER,
    Key::new(
        "overlap",
        Kind::Integer { min: 0, max: 1 },
        "1: each page begins with the last record of the page before it, and rows that moved meanwhile are fetched",
    )
    .default("0"),
    PREFETCH,
    Key::new(
        "advance",
        Kind::Choice(&Choice {
            words: &[
                ("records", "by the records received: servers that cap the page size lose nothing"),
                ("limit", "by the limit: for servers that filter after paging"),
            ],
            later: &[],
        }),
        "How the offset moves",
    )
    .default("\"records\""),
];

const PAGE_NUMBER: &[Key] = &[
    Key::new("base_page", COUNT, "Number of the first page").default("1"),
    Key::new("page_param", PARAM, "Parameter for the page number").default("\"page\"").off(),
    Key::new("page_size", POSITIVE, "Records to ask for in a page"),
    Key::new("page_size_param", PARAM, "Parameter for the page size").off(),
    Key::new("maximum_page", COUNT, "Last page asked for"),
    TOTAL_PATH,
    TOTAL_PAGES_PATH,
    TOTAL_HEADER,
    TOTAL_PAGES_HEADER,
    HAS_MORE_PATH,
    LAST_PAGE_PATH,
    HAS_MORE_HEADER,
    PREFETCH,
];

const CURSOR_PARAM: Key =
    Key::new("cursor_param", PARAM, "Parameter for the token; not needed where a `{{ page.cursor }}` carries it").off();

const CURSOR: &[Key] = &[
    Key::new(
        "cursor_path",
        TEXTS,
        "Where the body has the next page's token; of several paths the first that has one counts",
    )
    .required(),
    CURSOR_PARAM,
    TOTAL_PATH,
    TOTAL_HEADER,
    HAS_MORE_PATH,
    LAST_PAGE_PATH,
    HAS_MORE_HEADER,
    STOP_ON,
];

const HEADER_CURSOR: &[Key] = &[
    Key::new("cursor_key", TEXT, "Header that has the next page's token").required(),
    CURSOR_PARAM,
    TOTAL_PATH,
    TOTAL_HEADER,
    HAS_MORE_PATH,
    LAST_PAGE_PATH,
    HAS_MORE_HEADER,
    STOP_ON,
];

const KEYSET: &[Key] = &[
    Key::new("field", TEXT, "Field of the last record, whose value asks for the next page").required(),
    Key::new("param", PARAM, "Parameter for the value; not needed where a `{{ page.cursor }}` carries it").off(),
    HAS_MORE_PATH,
    LAST_PAGE_PATH,
    HAS_MORE_HEADER,
    STOP_ON,
    Key::new(
        "inclusive",
        BOOLEAN,
        "Whether a page begins with the records of the value that was asked for; unchanged ones are left out",
    )
    .default("false"),
];

pub(super) const PAGINATOR: Tagged = Tagged {
    what: "paginator",
    common: &[MAX_PAGES, ON_REPEAT],
    variants: &[
        Variant { name: "auto", doc: "Found from the first answer", table: Table { keys: &[], later: &[] } },
        Variant { name: "single_page", doc: "One page", table: Table { keys: &[], later: &[] } },
        Variant { name: "offset", doc: "`?offset=…&limit=…`", table: Table { keys: OFFSET, later: &[] } },
        Variant { name: "page_number", doc: "`?page=…`", table: Table { keys: PAGE_NUMBER, later: &[] } },
        Variant {
            name: "cursor",
            doc: "A token of the body goes into the next request",
            table: Table { keys: CURSOR, later: &[] },
        },
        Variant {
            name: "header_cursor",
            doc: "A token of a header goes into the next request",
            table: Table { keys: HEADER_CURSOR, later: &[] },
        },
        Variant {
            name: "keyset",
            doc: "A field of the last record goes into the next request",
            table: Table { keys: KEYSET, later: &[] },
        },
        Variant {
            name: "json_link",
            doc: "A URL of the body",
            table: Table {
                keys: &[
                    Key::new(
                        "next_url_path",
                        TEXTS,
                        "Where the body has the next page's URL, an object that holds it, or a list of links; of several paths the first that has one counts",
                    )
                    .default("\"next\""),
                    LINKS_NEXT_KEY,
                    KEEP_PARAMS,
                    TOTAL_PATH,
                    TOTAL_HEADER,
                    HAS_MORE_PATH,
                    LAST_PAGE_PATH,
                    HAS_MORE_HEADER,
                    STOP_ON,
                ],
                later: &[],
            },
        },
        Variant {
            name: "header_link",
            doc: "A `Link` header (RFC 8288)",
            table: Table {
                keys: &[
                    LINKS_NEXT_KEY,
                    Key::new("next_url_header", TEXT, "A header with a bare URL, in place of `Link`"),
                    KEEP_PARAMS,
                    TOTAL_PATH,
                    TOTAL_HEADER,
                    HAS_MORE_PATH,
                    LAST_PAGE_PATH,
                    HAS_MORE_HEADER,
                    STOP_ON,
                ],
                later: &[],
            },
        },
    ],
    later: &[],
};

const ACTION: Key = Key::new(
    "action",
    Kind::Choice(&Choice {
        words: &[
            ("ignore", "an empty page that ends this request's paging; counted"),
            ("fail", "the resource fails"),
            ("retry", "try again, within the limits of `retry`"),
            ("throttle", "too fast: wait as the server says; does not count as an attempt"),
            ("end", "no more pages"),
            ("accept", "a good answer, whatever its status: its records are read, and no further entry is asked"),
            (
                "restart",
                "the walk begins again at its first page, a few times at most; what it brought so far is dropped",
            ),
            ("split", "the `window` holds too much: its halves are asked for"),
        ],
        later: &[],
    }),
    "What to do with the answer",
)
.required();

const STATUSES: Kind = Kind::Either(&[
    STATUS,
    Kind::Choice(&Choice {
        words: &[
            ("1xx", "100 to 199"),
            ("2xx", "200 to 299"),
            ("3xx", "300 to 399"),
            ("4xx", "400 to 499"),
            ("5xx", "500 to 599"),
        ],
        later: &[],
    }),
]);

const RESPONSE_ACTION: Table = Table {
    keys: &[
        Key::new("status", Kind::OneOrMany(&STATUSES), "Status that it is about, a class such as \"5xx\", or several"),
        Key::new("body_contains", TEXT, "Text that the body contains"),
        Key::new("header", TEXT, "Header that the answer has"),
        Key::new("path", TEXT, "Where a JSON body has a value that is neither null, false nor empty"),
        Key::new("equals", SCALAR, "What the header or the value at `path` is"),
        Key::new("in", Kind::List(&SCALAR), "One of these is what the header or the value at `path` is"),
        Key::new("not_equals", SCALAR, "What the header or the value at `path` is not, though it is there"),
        Key::new("contains", TEXT, "Text that the header or the value at `path` contains"),
        ACTION,
        Key::new("message", TEXT, "What the error says about it, or the report where it ends the paging"),
        Key::new("wait", DURATION, "`retry` and `throttle`: how long to wait where the answer doesn't say"),
        Key::new(
            "wait_header",
            TEXT,
            "`retry` and `throttle`: header with the wait in seconds, or its end as time or date",
        ),
        Key::new(
            "max_attempts",
            Kind::Integer { min: 1, max: 1000 },
            "`retry` and `throttle`: tries of a request that is answered so; then nothing of `retry` bounds its waits",
        ),
    ],
    later: &[],
};

pub(super) const EXPECT: Key = Key::new(
    "expect",
    Kind::Table(&Table {
        keys: &[
            Key::new("min_records", POSITIVE, "Fewest records of a run that asks for everything"),
            Key::new("path", TEXT, "Where the first answer has a value that is neither null, false nor empty"),
            Key::new("equals", SCALAR, "What the value at `path` is"),
        ],
        later: &[],
    }),
    "What must hold for a run to count as good: some servers answer a bad credential with 200 and fewer rows",
)
.off();

pub(super) const RESPONSE_ACTIONS: Key = Key::new(
    "response_actions",
    Kind::List(&Kind::Table(&RESPONSE_ACTION)),
    "What answers mean; the first match wins, a resource's own before inherited ones",
);

pub(super) const SELECTED: Key =
    Key::new("selected", BOOLEAN, "Whether a run stores it; a parent is fetched for its children all the same")
        .default("true");
