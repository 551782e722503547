//! Credentials: every kind, with the keys of each.

use super::{BOOLEAN, DURATION, SCALAR, STATUS, TEMPLATE, TEXT};
use crate::config::spec::{Choice, Key, Kind, Table, Tagged, Variant};

const TEMPLATES: Kind = Kind::OneOrMany(&TEMPLATE);
const TEXTS: Kind = Kind::OneOrMany(&TEXT);
const VALUES: Kind = Kind::Map(&SCALAR);
const PARAMS: Kind = Kind::Map(&Kind::OneOrMany(&SCALAR));

const USERNAME: Key = Key::new("username", TEMPLATE, "The user").required();
const PASSWORD: Key = Key::new("password", TEMPLATE, "The password; may be empty").default("\"\"");

// Where an obtained token goes.
const HEADER: Key = Key::new("header", TEXT, "Header that carries the token").default("\"Authorization\"");
const PREFIX: Key =
    Key::new("prefix", TEXT, "What stands before the token; \"Bearer \" in `Authorization`, nothing elsewhere");
const PARAM: Key = Key::new("param", TEXT, "Query parameter that carries the token, in place of a header");

// How a token is asked for.
const ACCESS_TOKEN_URL: Key = Key::new(
    "access_token_url",
    TEMPLATE,
    "Where tokens are handed out: a whole URL, or a path below `base_url`. Client credentials go nowhere else",
);
const CLIENT_ID: Key = Key::new("client_id", TEMPLATE, "The client");
const CLIENT_SECRET: Key = Key::new("client_secret", TEMPLATE, "Its secret");
const CLIENT_AUTH: Key = Key::new(
    "client_auth",
    Kind::Choice(&Choice {
        words: &[
            ("body", "`client_id` and `client_secret` are fields of the body"),
            ("basic", "they are in an `Authorization: Basic` header (RFC 6749 section 2.3.1)"),
        ],
        later: &[],
    }),
    "How the client proves who it is",
)
.default("\"body\"");
const SCOPE: Key = Key::new("scope", TEMPLATES, "What to ask for; several are sent in one field, with spaces between");
const REQUEST_DATA: Key = Key::new(
    "access_token_request_data",
    VALUES,
    "Further fields of the token request, such as `audience`; they replace those of the same name",
);
const REQUEST_HEADERS: Key = Key::new("access_token_request_headers", VALUES, "Headers of the token request");
const REQUEST_FORMAT: Key = Key::new(
    "access_token_request_format",
    Kind::Choice(&Choice { words: &[("form", "as RFC 6749 says"), ("json", "a JSON object")], later: &[] }),
    "How the fields of the token request are written",
)
.default("\"form\"");
const TOKEN_PATH: Key = Key::new("token_path", TEXT, "Where the answer has the token").default("\"access_token\"");
const EXPIRES_IN_PATH: Key = Key::new(
    "expires_in_path",
    TEXT,
    "Where the answer says how long the token lives: seconds, or the time at which it ends",
)
.default("\"expires_in\"");
const DEFAULT_EXPIRATION: Key = Key::new(
    "default_token_expiration",
    DURATION,
    "How long a token lives if the answer does not say; until it is refused, if this is not given",
);

const BEARER: Table = Table { keys: &[Key::new("token", TEMPLATE, "The token").required()], later: &[] };

const USER_AND_PASSWORD: Table = Table { keys: &[USERNAME, PASSWORD], later: &[] };

const API_KEY: Table = Table {
    keys: &[
        Key::new("name", TEXT, "Name of the header, parameter or cookie").default("\"Authorization\""),
        Key::new("api_key", TEMPLATE, "The key").required(),
        Key::new(
            "location",
            Kind::Choice(&Choice {
                words: &[
                    ("header", "a header"),
                    ("query", "a query parameter"),
                    ("param", "the same"),
                    ("cookie", "a cookie"),
                ],
                later: &[],
            }),
            "Where it goes",
        )
        .default("\"header\""),
    ],
    later: &[],
};

const CLIENT_CREDENTIALS: Table = Table {
    keys: &[
        ACCESS_TOKEN_URL.required(),
        CLIENT_ID.required(),
        CLIENT_SECRET.required(),
        CLIENT_AUTH,
        SCOPE,
        REQUEST_DATA,
        REQUEST_HEADERS,
        REQUEST_FORMAT,
        TOKEN_PATH,
        EXPIRES_IN_PATH,
        DEFAULT_EXPIRATION,
        HEADER,
        PREFIX,
        PARAM,
    ],
    later: &[],
};

const REFRESH_TOKEN: Table = Table {
    keys: &[
        ACCESS_TOKEN_URL.required(),
        Key::new("refresh_token", TEMPLATE, "The refresh token; one that replaces it is kept in the state directory")
            .required(),
        Key::new("refresh_token_path", TEXT, "Where the answer has a new refresh token").default("\"refresh_token\""),
        CLIENT_ID,
        CLIENT_SECRET,
        CLIENT_AUTH,
        SCOPE,
        REQUEST_DATA,
        REQUEST_HEADERS,
        REQUEST_FORMAT,
        TOKEN_PATH,
        EXPIRES_IN_PATH,
        DEFAULT_EXPIRATION,
        HEADER,
        PREFIX,
        PARAM,
    ],
    later: &[],
};

const JWT: Table = Table {
    keys: &[
        Key::new(
            "algorithm",
            Kind::Choice(&Choice {
                words: &[
                    ("HS256", "a shared secret"),
                    ("HS384", ""),
                    ("HS512", ""),
                    ("RS256", "an RSA key"),
                    ("RS384", ""),
                    ("RS512", ""),
                    ("PS256", "an RSA key, RSASSA-PSS"),
                    ("PS384", ""),
                    ("PS512", ""),
                    ("ES256", "a key on the curve P-256"),
                    ("ES384", "a key on the curve P-384"),
                ],
                later: &[],
            }),
            "How it is signed (RFC 7518); RS256 if it is not given beside `key_file`",
        ),
        Key::new(
            "key",
            TEXT,
            "The shared secret, the private key in PEM form, or the JSON of a Google service account",
        ),
        Key::new("key_file", TEXT, "File with the key, relative to this file; in place of `key`"),
        Key::new("key_base64", BOOLEAN, "Whether the key is written in base64").default("false"),
        Key::new(
            "claims",
            Kind::Map(&Kind::Json),
            "Claims; `iat`, `nbf` and `exp` are added, unless they are here or switched off with `false`",
        ),
        Key::new("jwt_headers", Kind::Map(&Kind::Json), "Further fields of the JWT's header, such as `kid`"),
        Key::new("expires_in", DURATION, "How long one is valid").default("\"20m\""),
        ACCESS_TOKEN_URL,
        Key::new("assertion_param", TEXT, "Field of the token request that carries the JWT").default("\"assertion\""),
        CLIENT_ID,
        CLIENT_SECRET,
        CLIENT_AUTH,
        SCOPE,
        REQUEST_DATA,
        REQUEST_HEADERS,
        REQUEST_FORMAT,
        TOKEN_PATH,
        EXPIRES_IN_PATH,
        DEFAULT_EXPIRATION,
        HEADER,
        PREFIX,
        PARAM,
    ],
    later: &[],
};

const LOGIN: Table = Table {
    keys: &[
        Key::new("path", TEMPLATE, "Below `base_url`, or a whole URL; the login's credentials go nowhere else")
            .required(),
        Key::new(
            "method",
            Kind::Choice(&Choice { words: &[("POST", ""), ("GET", ""), ("PUT", "")], later: &[] }),
            "HTTP method",
        )
        .default("\"POST\""),
        Key::new("params", PARAMS, "Query parameters"),
        Key::new("headers", VALUES, "Headers"),
        Key::new("json", Kind::Json, "JSON body"),
        Key::new("form", PARAMS, "Form body"),
        Key::new("body", TEMPLATE, "Body as text"),
        Key::new("username", TEMPLATE, "User, sent as HTTP Basic with `password`"),
        Key::new("password", TEMPLATE, "Password, sent as HTTP Basic with `username`"),
    ],
    later: &[],
};

const SESSION: Table = Table {
    keys: &[
        Key::new("login", Kind::Table(&LOGIN), "The request that begins a session; any 2xx is a success").required(),
        Key::new("token_path", TEXT, "Where the answer has the token"),
        Key::new("token_header", TEXT, "Header of the answer that has the token, in place of `token_path`"),
        Key::new(
            "cookie",
            TEXTS,
            "Cookie that carries the session. Without `token_path` or `token_header` the login sets it; of a list, all",
        ),
        HEADER,
        PREFIX,
        PARAM,
        Key::new("expires_in_path", TEXT, "Where the answer says how long the session lives, in seconds or until when"),
        DEFAULT_EXPIRATION,
        Key::new("relogin_statuses", Kind::List(&STATUS), "Statuses that mean that the session is over")
            .default("[401]"),
    ],
    later: &[],
};

const KIND: Tagged = Tagged {
    what: "auth",
    common: &[],
    variants: &[
        Variant { name: "bearer", doc: "`Authorization: Bearer TOKEN` (RFC 6750)", table: BEARER },
        Variant { name: "http_basic", doc: "User and password (RFC 7617)", table: USER_AND_PASSWORD },
        Variant { name: "api_key", doc: "A key in a header, a parameter or a cookie", table: API_KEY },
        Variant {
            name: "oauth2_client_credentials",
            doc: "A token for a client and its secret (RFC 6749 section 4.4)",
            table: CLIENT_CREDENTIALS,
        },
        Variant {
            name: "oauth2_refresh_token",
            doc: "A token for a refresh token (RFC 6749 section 6)",
            table: REFRESH_TOKEN,
        },
        Variant {
            name: "jwt",
            doc: "A signed JWT (RFC 7519), used itself or exchanged for a token (RFC 7523)",
            table: JWT,
        },
        Variant { name: "session", doc: "A login, and what it answers with", table: SESSION },
        Variant { name: "digest", doc: "User and password as a digest (RFC 7616)", table: USER_AND_PASSWORD },
    ],
    later: &[],
};

pub(super) const AUTH: Key =
    Key::new("auth", Kind::Tagged(&KIND), "How requests prove who they are; `false`: they don't").off();
