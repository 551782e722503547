//! What a run will do: resolved, validated, closed. Nothing here reads a file, the network, the clock or the
//! environment, and nothing here is deserialised.

mod answer;
mod auth;
mod base;
mod format;
mod incremental;
mod relation;
mod write;

pub use answer::{Action, Expect, ResponseAction, ValueTest};
pub use auth::{
    Auth, ClientAuth, Exchange, Grant, Jwt, JwtAlgorithm, JwtKey, Login, OAuth2, Place, Session, SessionToken,
    TokenEndpoint, TokenRequestFormat,
};
pub use base::BaseUrl;
pub use format::{BodyFormat, CsvFormat, CsvHeader, FormatKind, RecordColumns, XmlFormat};
pub use incremental::*;
pub use relation::{
    OnMissingField, Parent, ParentBatch, ParentField, ParentScope, PartitionList, PartitionRows, Partitions,
};
pub use write::{Merge, MergeStrategy, Parts, WriteDisposition};

use super::template::{Scope, Template};
use crate::error::Result;
use crate::schema::ColumnType;
use crate::schema::reading::Reading;
use crate::secret::Secret;
use serde_json::{Map, Value};
use serde_json_path::JsonPath;
use std::path::PathBuf;
use std::time::Duration;

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
    /// Base of relative paths. Its origin is the only one that gets credentials.
    pub base_url: BaseUrl,
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
    /// What bodies are.
    pub format: BodyFormat,
    /// What a primary key that comes again in one walk means.
    pub on_repeated_key: OnRepeatedKey,
    /// Whether the first answer is asked for until it is ready.
    pub poll: Option<Poll>,
    /// Where the records are in a body.
    pub selector: Selector,
    /// Whether a body without the selected key is an empty page.
    pub allow_missing: bool,
    /// What answers mean, first match wins: the resource's own first, then the inherited ones.
    pub response_actions: Vec<ResponseAction>,
    /// What must hold for a run to count as good.
    pub expect: Option<Expect>,
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
    /// What `merge` means here.
    pub merge: Merge,
    /// What must hold for a record to be kept; none: all are.
    pub filter: Option<Template>,
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
    /// What its dates and times look like; only with a type of dates or times.
    pub reading: Reading,
    /// Whether it may be null or missing.
    pub nullable: bool,
    /// Whether its texts are JSON, to be read like the rest of the record (`parse = "json"`).
    pub parse_json: bool,
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
    Literal(Value),
    /// A string.
    Text(Text),
    /// An array.
    Array(Vec<JsonTemplate>),
    /// An object, in order.
    Object(Vec<(String, JsonTemplate)>),
}

impl JsonTemplate {
    /// The value; `None` where a text gives none. That drops the innermost member or element around it.
    ///
    /// # Errors
    /// An expression fails on its values.
    pub fn render(&self, scope: &Scope) -> Result<Option<Value>> {
        Ok(Some(match self {
            JsonTemplate::Literal(value) => value.clone(),
            JsonTemplate::Text(text) => return text.template.render_json(scope),
            JsonTemplate::Array(elements) => {
                let mut values = Vec::with_capacity(elements.len());
                for element in elements {
                    values.extend(element.render(scope)?);
                }
                Value::Array(values)
            }
            JsonTemplate::Object(members) => Value::Object(render_members(members, scope)?),
        }))
    }
}

/// The members of a JSON object; those without a value are left out.
///
/// # Errors
/// As [`JsonTemplate::render`].
pub fn render_members(members: &[(String, JsonTemplate)], scope: &Scope) -> Result<Map<String, Value>> {
    let mut object = Map::new();
    for (name, member) in members {
        if let Some(value) = member.render(scope)? {
            object.insert(name.clone(), value);
        }
    }
    Ok(object)
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
    /// A token of the body (`cursor`) or of a header (`header_cursor`) goes into a parameter.
    Cursor(CursorPaging),
    /// A field of the last record goes into a parameter.
    Keyset(Keyset),
    /// A URL of the body.
    JsonLink(JsonLink),
    /// `Link: <…>; rel="next"` (RFC 8288).
    HeaderLink(HeaderLink),
}

impl Paginator {
    /// Its `type`, as the file has it.
    pub fn kind(&self) -> &'static str {
        match self {
            Paginator::Auto => "auto",
            Paginator::SinglePage => "single_page",
            Paginator::Offset(_) => "offset",
            Paginator::PageNumber(_) => "page_number",
            Paginator::Cursor(CursorPaging { cursor: FactPlace::Body(_), .. }) => "cursor",
            Paginator::Cursor(CursorPaging { cursor: FactPlace::Header(_), .. }) => "header_cursor",
            Paginator::Keyset(_) => "keyset",
            Paginator::JsonLink(_) => "json_link",
            Paginator::HeaderLink(_) => "header_link",
        }
    }

    /// Whether a followed link gets back the parameters that it dropped.
    pub fn keeps_params(&self) -> bool {
        match self {
            Paginator::JsonLink(link) => link.keep_params,
            Paginator::HeaderLink(link) => link.keep_params,
            Paginator::Auto
            | Paginator::SinglePage
            | Paginator::Offset(_)
            | Paginator::PageNumber(_)
            | Paginator::Cursor(_)
            | Paginator::Keyset(_) => true,
        }
    }

    /// Pages that may be under way at once.
    pub fn prefetch(&self) -> usize {
        match self {
            Paginator::Offset(keys) => keys.prefetch,
            Paginator::PageNumber(keys) => keys.prefetch,
            Paginator::Auto
            | Paginator::SinglePage
            | Paginator::Cursor(_)
            | Paginator::Keyset(_)
            | Paginator::JsonLink(_)
            | Paginator::HeaderLink(_) => 1,
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
    pub has_more: Option<FactPlace>,
    /// Exclusive upper bound.
    pub maximum_offset: Option<u64>,
    /// Whether the offset moves by the limit rather than by the records received.
    pub advance_by_limit: bool,
    /// Whether each page begins with the last record of the page before it, so that rows that moved are noticed.
    pub overlap: bool,
    /// Pages under way at once, at least 1.
    pub prefetch: usize,
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
    pub has_more: Option<FactPlace>,
    /// Last page asked for, inclusive.
    pub maximum_page: Option<u64>,
    /// Pages under way at once, at least 1.
    pub prefetch: usize,
}

/// Keys of the `cursor` and `header_cursor` paginators.
#[derive(Debug, Clone, PartialEq)]
pub struct CursorPaging {
    /// Where the next token is.
    pub cursor: FactPlace,
    /// Parameter for it; `None` when an expression carries it.
    pub cursor_param: Option<String>,
    /// Announced total: compared with what was received, it ends nothing.
    pub total: Option<TotalSpec>,
    /// Announced "more".
    pub has_more: Option<FactPlace>,
    /// `stop_on = "empty_page"`: an empty page ends the walk although there is a token.
    pub stop_on_empty_page: bool,
}

/// Keys of the `keyset` paginator.
#[derive(Debug, Clone, PartialEq)]
pub struct Keyset {
    /// Field of the last record.
    pub field: FieldPath,
    /// Parameter for its value; `None` when an expression carries it.
    pub param: Option<String>,
    /// Announced "more".
    pub has_more: Option<FactPlace>,
    /// Whether a page begins with the records that have the value which was asked for.
    pub inclusive: bool,
    /// `stop_on = "empty_page"`: an empty page ends the walk although the server says that there is more.
    pub stop_on_empty_page: bool,
}

/// Keys of the `json_link` paginator.
#[derive(Debug, Clone, PartialEq)]
pub struct JsonLink {
    /// Where the body has the link: its text, an object that holds it, or a list of such objects with their relations.
    pub next_url_path: FieldPath,
    /// The relation to look for in a list.
    pub links_next_key: String,
    /// Whether the link gets back the parameters that it dropped.
    pub keep_params: bool,
}

/// Keys of the `header_link` paginator.
#[derive(Debug, Clone, PartialEq)]
pub struct HeaderLink {
    /// The relation, `next`.
    pub links_next_key: String,
    /// A header of its own that holds a bare URL, in place of `Link`; lower case.
    pub next_url_header: Option<String>,
    /// Whether the link gets back the parameters that it dropped.
    pub keep_params: bool,
}

/// When an answer is ready, and how long to ask for it.
#[derive(Debug, Clone, PartialEq)]
pub struct Poll {
    /// Where the body tells its state.
    pub path: FieldPath,
    /// States in which the answer is ready.
    pub ready: Vec<String>,
    /// States in which it will never be.
    pub fail_on: Vec<String>,
    /// Time between two requests.
    pub interval: Duration,
    /// Longest time to wait for the answer.
    pub timeout: Duration,
}

/// What a primary key that comes again in one walk means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnRepeatedKey {
    /// It is counted, and told.
    Warn,
    /// An error.
    Fail,
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
    /// A JSONPath (RFC 9535) that is more than steps.
    Query(Box<QuerySelector>),
}

/// A JSONPath with filters, slices, descendants or unions. What comes before those are steps, like any others.
#[derive(Debug, Clone, PartialEq)]
pub struct QuerySelector {
    /// As the file has it.
    pub text: String,
    /// Steps from the root to where the query begins.
    pub prefix: Vec<Step>,
    /// The rest, from there on.
    pub query: JsonPath,
    /// Whether it selects elements, each a record; otherwise a list that it selects is a list of records.
    pub selects_elements: bool,
    /// Whether no match means no rows. Otherwise it is an error.
    pub may_be_empty: bool,
}

/// One step of a [`Selector`].
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Step {
    /// The member of an object.
    Key(String),
    /// The element of an array.
    Index(usize),
    /// Every element of an array, or every member value of an object.
    Every,
}

impl Pipeline {
    /// The resource of a name.
    pub fn resource(&self, name: &str) -> Option<&Resource> {
        self.resources.iter().find(|r| r.name == name)
    }
}
