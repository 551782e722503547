//! What a run will do: resolved, validated, closed. Nothing here reads a file, the network, the clock or the
//! environment, and nothing here is deserialised.

mod relation;

pub use relation::{
    OnMissingField, Parent, ParentBatch, ParentField, ParentScope, PartitionList, PartitionRows, Partitions,
};

use super::template::Template;
use crate::schema::ColumnType;
use crate::secret::Secret;
use std::path::PathBuf;
use std::time::Duration;
use url::Url;

/// One pipeline file, ready to run.
#[derive(Debug, Clone, PartialEq)]
pub struct Pipeline {
    /// Name of the pipeline: `name`, or the file's stem.
    pub name: String,
    /// One line on what the API is, if the file has one.
    pub description: Option<String>,
    /// DuckDB schema or Parquet folder. Already normalised as an identifier.
    pub dataset: String,
    /// The file it came from, as the user named it.
    pub file: PathBuf,
    /// What all requests share.
    pub client: Client,
    /// `vars.NAME` of the templates: name, value.
    pub vars: Vec<(String, Text)>,
    /// All resources, parents before their children, otherwise in the order of the file.
    pub resources: Vec<Resource>,
}

/// A piece of configuration text that may hold a secret.
#[derive(Debug, Clone, PartialEq)]
pub struct Text {
    /// The template. Where `${…}` brought something from the environment it is already in place.
    pub template: Template,
    /// Whether `${…}` brought a value in: it is then a credential, and goes to the API's own origin only.
    pub secret: bool,
}

/// What all requests of a pipeline share.
#[derive(Debug, Clone, PartialEq)]
pub struct Client {
    /// Base of relative paths; ends with a slash. Its origin is the only one that gets credentials.
    pub base_url: Url,
    /// Time to connect (`timeout.connect`).
    pub connect_timeout: Duration,
    /// Longest silence between two reads (`timeout.read`).
    pub read_timeout: Duration,
    /// All hold at once, over all resources.
    pub rate_limits: Vec<RateLimit>,
    /// Requests in flight, at least 1.
    pub concurrency: usize,
    /// When and how often to try again.
    pub retry: Retry,
    /// Other hosts that `next` links and redirects may lead to.
    pub allowed_hosts: Vec<AllowedHost>,
    /// Largest decompressed body, bytes.
    pub max_response_bytes: u64,
    /// Proxy URL, as in curl.
    pub proxy: Option<Secret>,
    /// PEM file with further root certificates.
    pub ca_certificate: Option<PathBuf>,
    /// `User-Agent` to send.
    pub user_agent: String,
    /// Accept any certificate (tests of a server of one's own).
    pub accept_invalid_certificates: bool,
}

/// At most `count` requests in any window of length `per`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RateLimit {
    /// Requests in a window, at least 1.
    pub count: u32,
    /// Length of the window.
    pub per: Duration,
}

/// When to try again, and for how long.
#[derive(Debug, Clone, PartialEq)]
pub struct Retry {
    /// Tries in all, the first one included.
    pub max_attempts: u32,
    /// Upper bound of the first wait; it doubles with each attempt (full jitter).
    pub base_delay: Duration,
    /// Upper bound of any wait of our own.
    pub max_delay: Duration,
    /// Total time after which no further try starts. Waits that the server asked for do not count.
    pub max_elapsed: Duration,
    /// Longest wait that a server may ask for; a longer one fails at once.
    pub max_wait: Duration,
    /// Statuses that are tried again.
    pub statuses: Vec<u16>,
}

/// A host that links may lead to beside the API's own origin.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AllowedHost {
    /// Host name, lower case.
    pub host: String,
    /// Port, if only one is allowed.
    pub port: Option<u16>,
    /// Whether credentials may go there.
    pub send_auth: bool,
}

/// How requests prove who they are.
#[derive(Debug, Clone, PartialEq)]
pub enum Auth {
    /// No credentials.
    None,
    /// `Authorization: Bearer TOKEN` (RFC 6750).
    Bearer {
        /// The token.
        token: Text,
    },
}

/// One endpoint and the table it fills.
#[derive(Debug, Clone, PartialEq)]
pub struct Resource {
    /// Name as in the file.
    pub name: String,
    /// Table name: the resource's name, normalised.
    pub table: String,
    /// Whether a run stores it. A parent that isn't selected is still fetched for its children.
    pub selected: bool,
    /// The request, before paging and cursor parameters.
    pub request: RequestSpec,
    /// Credentials.
    pub auth: Auth,
    /// How the next page is found.
    pub paginator: Paginator,
    /// More pages than this are an error.
    pub max_pages: Option<u64>,
    /// What a repeated page or cursor means.
    pub on_repeat: OnRepeat,
    /// Where the records are in a body.
    pub selector: Selector,
    /// Whether a body without the selected key is an empty page.
    pub allow_missing: bool,
    /// What answers mean, first match wins: the resource's own first, then the inherited ones.
    pub response_actions: Vec<ResponseAction>,
    /// What is asked for since when.
    pub incremental: Option<Incremental>,
    /// The resource whose rows this one runs for.
    pub parent: Option<Parent>,
    /// The lists whose rows it runs for; with a parent, for each of its rows.
    pub partitions: Option<Partitions>,
    /// Columns of each record, evaluated once per request: column name, value.
    pub add_columns: Vec<(String, JsonTemplate)>,
    /// API field paths that identify a record; empty: none. Columns that requests bring are named as columns.
    pub primary_key: Vec<FieldPath>,
    /// How rows meet those already there.
    pub write: WriteDisposition,
    /// Fields left out before anything is stored.
    pub exclude: Vec<FieldPath>,
    /// What the file says of columns, by warehouse column name of the resource's own table.
    pub columns: Vec<ColumnHint>,
}

/// What the file says of one column.
#[derive(Debug, Clone, PartialEq)]
pub struct ColumnHint {
    /// Warehouse column name.
    pub name: String,
    /// Its type, if declared: values are read into it from the JSON text, and never widen it.
    pub data_type: Option<ColumnType>,
    /// For the column's COMMENT.
    pub description: Option<String>,
}

/// A request as the file describes it. Names keep their order.
#[derive(Debug, Clone, PartialEq)]
pub struct RequestSpec {
    /// HTTP method, upper case.
    pub method: String,
    /// Path below `base_url`, or an absolute URL. Each value of an expression is percent-encoded as one segment.
    pub path: Template,
    /// Query parameters: client < defaults < resource, merged by name. A list repeats the parameter.
    pub params: Vec<(String, Vec<Text>)>,
    /// Headers, merged likewise.
    pub headers: Vec<(String, Text)>,
    /// Body, if there is one.
    pub body: Option<BodySpec>,
}

/// The body of a request.
#[derive(Debug, Clone, PartialEq)]
pub enum BodySpec {
    /// JSON: strings in it are templates; one that is exactly an expression keeps the value's JSON type.
    Json(JsonTemplate),
    /// `application/x-www-form-urlencoded`.
    Form(Vec<(String, Vec<Text>)>),
    /// Text as it is.
    Raw(Text),
}

/// A JSON value whose strings are templates.
#[derive(Debug, Clone, PartialEq)]
pub enum JsonTemplate {
    /// A literal null, boolean or number.
    Literal(serde_json::Value),
    /// A string.
    Text(Text),
    /// An array.
    Array(Vec<JsonTemplate>),
    /// An object, in order.
    Object(Vec<(String, JsonTemplate)>),
}

/// How the next page is found.
#[derive(Debug, Clone, PartialEq)]
pub enum Paginator {
    /// Found from the first answer.
    Auto,
    /// One page.
    SinglePage,
    /// `?offset=…&limit=…`.
    Offset(Offset),
    /// `?page=…`.
    PageNumber(PageNumber),
    /// A token of the body goes into a parameter.
    Cursor(CursorPaging),
    /// A URL of the body.
    JsonLink {
        /// Where it is.
        next_url_path: FieldPath,
    },
    /// `Link: <…>; rel="next"` (RFC 8288).
    HeaderLink {
        /// The relation, `next`.
        links_next_key: String,
        /// A header of its own that holds a bare URL, in place of `Link`.
        next_url_header: Option<String>,
    },
}

impl Paginator {
    /// Its `type`, as the file has it.
    pub fn kind(&self) -> &'static str {
        match self {
            Paginator::Auto => "auto",
            Paginator::SinglePage => "single_page",
            Paginator::Offset(_) => "offset",
            Paginator::PageNumber(_) => "page_number",
            Paginator::Cursor(_) => "cursor",
            Paginator::JsonLink { .. } => "json_link",
            Paginator::HeaderLink { .. } => "header_link",
        }
    }
}

/// Where a total is told, and of what.
#[derive(Debug, Clone, PartialEq)]
pub struct TotalSpec {
    /// Body path or header.
    pub place: FactPlace,
    /// Whether it counts pages; otherwise records.
    pub pages: bool,
}

/// Where an answer tells a fact.
#[derive(Debug, Clone, PartialEq)]
pub enum FactPlace {
    /// A path in the body.
    Body(FieldPath),
    /// A header, lower case.
    Header(String),
}

/// Keys of the `offset` paginator.
#[derive(Debug, Clone, PartialEq)]
pub struct Offset {
    /// Records to ask for in a page.
    pub limit: u64,
    /// Parameter for the offset; `None` when an expression carries it.
    pub offset_param: Option<String>,
    /// Parameter for the limit; `None` when an expression carries it or it is switched off.
    pub limit_param: Option<String>,
    /// Where to start.
    pub initial_offset: u64,
    /// Announced total, if the file says where.
    pub total: Option<TotalSpec>,
    /// Announced "more", if the file says where.
    pub has_more_path: Option<FieldPath>,
    /// Exclusive upper bound.
    pub maximum_offset: Option<u64>,
    /// Whether the offset moves by the limit rather than by the records received.
    pub advance_by_limit: bool,
}

/// Keys of the `page_number` paginator.
#[derive(Debug, Clone, PartialEq)]
pub struct PageNumber {
    /// Number of the first page.
    pub base_page: u64,
    /// Parameter for the number; `None` when an expression carries it.
    pub page_param: Option<String>,
    /// Records in a page, if asked for.
    pub page_size: Option<u64>,
    /// Parameter for the size.
    pub page_size_param: Option<String>,
    /// Announced total.
    pub total: Option<TotalSpec>,
    /// Announced "more".
    pub has_more_path: Option<FieldPath>,
    /// Last page asked for, inclusive.
    pub maximum_page: Option<u64>,
}

/// Keys of the `cursor` paginator.
#[derive(Debug, Clone, PartialEq)]
pub struct CursorPaging {
    /// Where the next token is.
    pub cursor_path: FieldPath,
    /// Parameter for it; `None` when an expression carries it.
    pub cursor_param: Option<String>,
    /// Announced "more".
    pub has_more_path: Option<FieldPath>,
    /// `stop_on = "empty_page"`: an empty page ends the walk although there is a token.
    pub stop_on_empty_page: bool,
}

/// What a repeated page or paging cursor means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnRepeat {
    /// The server ignores the paging parameter: an error.
    Error,
    /// The list does not page: its end. The repeated page is not stored.
    Stop,
}

/// A dotted path of field names, as the API spells them.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct FieldPath(pub Vec<String>);

impl std::fmt::Display for FieldPath {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0.join("."))
    }
}

/// Where the records of a body are.
#[derive(Debug, Clone, PartialEq)]
pub enum Selector {
    /// Found by the rules of the documentation, from the first answer.
    Auto,
    /// Steps from the root. The value there is a list of records, or one record.
    Path(Vec<Step>),
}

/// One step of a [`Selector`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// The member of an object.
    Key(String),
    /// The element of an array.
    Index(usize),
    /// Every element of an array, or every member value of an object.
    Every,
}

/// What an answer means.
#[derive(Debug, Clone, PartialEq)]
pub struct ResponseAction {
    /// Status that it applies to; `None`: any.
    pub status: Option<u16>,
    /// Text that the body contains.
    pub body_contains: Option<String>,
    /// What to do.
    pub action: Action,
}

/// What to do with an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// An empty page that ends this request's paging; counted.
    Ignore,
    /// The run of this resource fails.
    Fail,
    /// Try again, within the limits of `retry`.
    Retry,
    /// The server says "too fast": wait as it says, or as `retry` does; does not count as an attempt.
    Throttle,
    /// No more pages.
    End,
}

/// What is asked for since when.
#[derive(Debug, Clone, PartialEq)]
pub struct Incremental {
    /// Where a record shows the value; the first that is not null.
    pub cursor_paths: Vec<FieldPath>,
    /// Query parameter for the start; `None` when an expression uses `cursor.start`, or nothing does.
    pub start_param: Option<String>,
    /// Start of the first run, as written in the file.
    pub initial_value: Option<String>,
    /// How far back a run asks again: seconds for times, units for numbers.
    pub lag: Option<Lag>,
    /// How values are written in requests; `None`: as seen.
    pub format: Option<CursorFormat>,
    /// What a record without the value means.
    pub on_missing: OnCursorMissing,
}

/// How far back a run asks again.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Lag {
    /// For times.
    Time(Duration),
    /// For numbers.
    Number(i64),
}

/// How a cursor value is written in a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CursorFormat {
    /// `2026-01-02T03:04:05Z`.
    Iso8601,
    /// `2026-01-02`.
    Date,
    /// Seconds since 1970.
    EpochSeconds,
    /// Milliseconds since 1970.
    EpochMillis,
    /// A strftime pattern.
    Strftime(String),
}

/// What a record without a cursor value means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnCursorMissing {
    /// An error.
    Raise,
    /// It is loaded; it does not move the cursor.
    Include,
    /// It is left out, and counted.
    Exclude,
}

/// How rows meet those already there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WriteDisposition {
    /// Rows are added.
    Append,
    /// The table is exchanged for the rows of this run.
    Replace,
    /// Rows replace those with the same key (upsert).
    Merge,
}

impl WriteDisposition {
    /// Its name, as the file has it.
    pub fn name(self) -> &'static str {
        match self {
            WriteDisposition::Append => "append",
            WriteDisposition::Replace => "replace",
            WriteDisposition::Merge => "merge",
        }
    }
}

impl Pipeline {
    /// The resource of a name.
    pub fn resource(&self, name: &str) -> Option<&Resource> {
        self.resources.iter().find(|r| r.name == name)
    }
}
