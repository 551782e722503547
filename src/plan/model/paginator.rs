//! How the next page is found, and when an answer is ready.

use super::FieldPath;
use std::fmt;
use std::time::Duration;

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
            Paginator::Cursor(CursorPaging { cursor: TokenPlace::Body(_), .. }) => "cursor",
            Paginator::Cursor(CursorPaging { cursor: TokenPlace::Header(_), .. }) => "header_cursor",
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

/// How pages follow each other, in a few words.
impl fmt::Display for Paginator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Paginator::Auto => f.write_str("auto, from the first answer"),
            Paginator::SinglePage => f.write_str("single_page"),
            Paginator::Offset(keys) => write!(f, "offset, {} at a time", keys.limit),
            Paginator::PageNumber(keys) => match keys.page_size {
                Some(size) => write!(f, "page_number from {}, {size} at a time", keys.base_page),
                None => write!(f, "page_number from {}", keys.base_page),
            },
            Paginator::Cursor(keys) => {
                let place = match &keys.cursor {
                    TokenPlace::Body(paths) => format!("cursor at {}", any_of(paths)),
                    TokenPlace::Header(name) => format!("header_cursor in {name}"),
                };
                match &keys.cursor_param {
                    Some(param) => write!(f, "{place}, sent as {param}"),
                    None => f.write_str(&place),
                }
            }
            Paginator::Keyset(keys) => write!(f, "keyset by {}", keys.field),
            Paginator::JsonLink(keys) => write!(f, "json_link at {}", any_of(&keys.next_url_paths)),
            Paginator::HeaderLink(keys) => match &keys.next_url_header {
                Some(header) => write!(f, "header_link in {header}"),
                None => write!(f, "header_link, rel={}", keys.links_next_key),
            },
        }
    }
}

fn any_of(paths: &[FieldPath]) -> String {
    paths.iter().map(ToString::to_string).collect::<Vec<_>>().join(" or ")
}

/// Where a total is told, and of what.
#[derive(Debug, Clone, PartialEq)]
pub struct TotalSpec {
    /// Body path or header.
    pub place: FactPlace,
    /// Whether it counts pages; otherwise records.
    pub pages: bool,
}

/// Where an answer tells whether there is more.
#[derive(Debug, Clone, PartialEq)]
pub struct MoreSpec {
    /// Body path or header.
    pub place: FactPlace,
    /// Whether it tells the opposite: that this was the last page.
    pub is_last: bool,
}

/// What tells where a list ends, beside the token or link that leads on.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct EndSigns {
    /// Announced total: compared with what was received, it ends nothing.
    pub total: Option<TotalSpec>,
    /// Announced "more".
    pub has_more: Option<MoreSpec>,
    /// `stop_on = "empty_page"`: an empty page ends the walk although something leads on.
    pub stop_on_empty_page: bool,
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
    pub has_more: Option<MoreSpec>,
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
    pub has_more: Option<MoreSpec>,
    /// Last page asked for, inclusive.
    pub maximum_page: Option<u64>,
    /// Pages under way at once, at least 1.
    pub prefetch: usize,
}

/// Keys of the `cursor` and `header_cursor` paginators.
#[derive(Debug, Clone, PartialEq)]
pub struct CursorPaging {
    /// Where the next token is.
    pub cursor: TokenPlace,
    /// Parameter for it; `None` when an expression carries it.
    pub cursor_param: Option<String>,
    /// What tells the end.
    pub signs: EndSigns,
}

/// Where an answer has the token of the next page.
#[derive(Debug, Clone, PartialEq)]
pub enum TokenPlace {
    /// Paths in the body: the first that has a value counts.
    Body(Vec<FieldPath>),
    /// A header, lower case.
    Header(String),
}

/// Keys of the `keyset` paginator.
#[derive(Debug, Clone, PartialEq)]
pub struct Keyset {
    /// Field of the last record.
    pub field: FieldPath,
    /// Parameter for its value; `None` when an expression carries it.
    pub param: Option<String>,
    /// Announced "more".
    pub has_more: Option<MoreSpec>,
    /// Whether a page begins with the records that have the value which was asked for.
    pub inclusive: bool,
    /// `stop_on = "empty_page"`: an empty page ends the walk although the server says that there is more.
    pub stop_on_empty_page: bool,
}

/// Keys of the `json_link` paginator.
#[derive(Debug, Clone, PartialEq)]
pub struct JsonLink {
    /// Where the body has the link: its text, an object that holds it, or a list of such objects with their relations. The
    /// first path that has one counts.
    pub next_url_paths: Vec<FieldPath>,
    /// The relation to look for in a list.
    pub links_next_key: String,
    /// Whether the link gets back the parameters that it dropped.
    pub keep_params: bool,
    /// What tells the end.
    pub signs: EndSigns,
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
    /// What tells the end.
    pub signs: EndSigns,
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
