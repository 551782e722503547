//! What a run will do: resolved, validated, closed. Nothing here reads a file, the network, the clock or the
//! environment, and nothing here is deserialised.

mod answer;
mod auth;
mod base;
mod charset;
mod client;
mod contract;
mod format;
mod incremental;
mod nesting;
mod paginator;
mod relation;
mod request;
mod selector;
mod write;

pub use answer::{Action, Again, Expect, ResponseAction, StatusSet, ValueTest};
pub use auth::{
    Auth, ClientAuth, Exchange, Grant, Jwt, JwtAlgorithm, JwtKey, Login, OAuth2, Place, Session, SessionToken,
    TokenEndpoint, TokenRequestFormat,
};
pub use base::BaseUrl;
pub use charset::Charset;
pub use client::*;
pub use contract::{ContractMode, SchemaContract};
pub use format::{BodyFormat, ColumnNames, CsvFormat, CsvHeader, FormatKind, RecordColumns, XmlFormat};
pub use incremental::*;
pub use nesting::{Nested, Nesting};
pub use paginator::*;
pub use relation::{
    FieldPlace, OnMissingField, Parent, ParentBatch, ParentColumn, ParentField, ParentScope, PartitionList,
    PartitionRows, Partitions,
};
pub use request::*;
pub use selector::*;
pub use write::{Merge, MergeStrategy, Parts, WriteDisposition};

use super::template::Template;
use crate::schema::ColumnType;
use crate::schema::reading::Reading;
use std::path::PathBuf;

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
    pub vars: Vec<(String, JsonTemplate)>,
    /// All resources, parents before their children, otherwise in the order of the file.
    pub resources: Vec<Resource>,
}

/// One endpoint and the table it fills.
#[derive(Debug, Clone, PartialEq)]
pub struct Resource {
    /// Name as in the file.
    pub name: String,
    /// Table name: `table_name`, or the resource's name, normalised. Several resources may fill one table.
    pub table: String,
    /// Whether a run stores it. A parent that isn't selected is still fetched for its children.
    pub selected: bool,
    /// The request, before paging and cursor parameters.
    pub request: RequestSpec,
    /// Requests that come before the first page of each walk, in this order.
    pub before: Vec<Preparation>,
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
    /// When and how often to try again.
    pub retry: Retry,
    /// Windows that hold for its own requests, beside those of the client.
    pub rate_limits: Vec<RateLimit>,
    /// What answers mean, first match wins: the resource's own first, then the inherited ones.
    pub response_actions: Vec<ResponseAction>,
    /// What must hold for a run to count as good.
    pub expect: Option<Expect>,
    /// What is asked for since when.
    pub incremental: Option<Incremental>,
    /// The resources whose rows this one runs for.
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
    /// What becomes of data that would change the tables.
    pub schema_contract: SchemaContract,
    /// Where objects and lists within records go.
    pub nesting: Nesting,
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

impl Pipeline {
    /// The resource of a name.
    pub fn resource(&self, name: &str) -> Option<&Resource> {
        self.resources.iter().find(|r| r.name == name)
    }

    /// The other resources that fill the table of a resource.
    pub fn fellows<'p>(&'p self, resource: &'p Resource) -> impl Iterator<Item = &'p Resource> {
        self.resources.iter().filter(|r| r.table == resource.table && r.name != resource.name)
    }
}
